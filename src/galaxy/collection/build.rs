//! From a folder with galaxy.yml to an archive, or to the list of what belongs to the collection.

use super::manifest::{self, Entry};
use super::source::galaxy_yml;
use crate::diag::{Error, Result};
use crate::galaxy::Talk;
use crate::galaxy::version::Version;
use crate::modules::support::{digest, glob::fnmatch};
use crate::value::Value;
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value as Json, json};
use std::fs;

/// A collection's source, read and listed.
#[derive(Clone, Debug)]
pub struct Built {
    pub name: String,
    pub version: String,
    /// `collection_info` of MANIFEST.json.
    pub info: Json,
    pub entries: Vec<Entry>,
    pub dir: Utf8PathBuf,
}

const REQUIRED: [&str; 5] = ["namespace", "name", "version", "authors", "readme"];
const KNOWN: [&str; 16] = [
    "namespace",
    "name",
    "version",
    "authors",
    "readme",
    "tags",
    "description",
    "license",
    "license_file",
    "dependencies",
    "repository",
    "documentation",
    "homepage",
    "issues",
    "build_ignore",
    "manifest",
];
/// What never goes into an archive.
const IGNORED: [&str; 8] =
    ["MANIFEST.json", "FILES.json", "galaxy.yml", "galaxy.yaml", ".git", "*.pyc", "*.retry", "tests/output"];

/// Reads galaxy.yml and lists the files of the collection in this folder.
pub fn read(dir: &Utf8Path, talk: Talk) -> Result<Built> {
    let file = galaxy_yml(dir)
        .ok_or_else(|| Error::general(format!("The collection galaxy.yml path '{dir}/galaxy.yml' does not exist.")))?;
    let doc = yaml::parse_file(&file).map_err(|e| e.with_kind(crate::diag::Kind::General))?;
    let v = doc.root.to_plain_value();
    let Some(map) = v.as_map() else {
        return Err(doc.root.error(format!("The collection galaxy.yml at '{file}' is incorrectly formatted.")));
    };
    let mut missing: Vec<&str> = REQUIRED.into_iter().filter(|k| v.get(k).is_none()).collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        return Err(Error::general(format!(
            "The collection galaxy.yml at '{file}' is missing the following mandatory keys: {}",
            missing.join(", ")
        ))
        .at(doc.root.span));
    }
    let unknown: Vec<String> = map.keys().map(|k| k.to_string()).filter(|k| !KNOWN.contains(&k.as_str())).collect();
    if !unknown.is_empty() {
        (talk.warn)(&format!("Found unknown keys in collection galaxy.yml at '{file}': {}", unknown.join(", ")));
    }
    if v.get("manifest").is_some_and(|m| !m.is_null()) {
        let at = doc.root.get("manifest").map(|n| n.span);
        return Err(Error::general("'manifest' of galaxy.yml is not supported").at(at).help("use build_ignore"));
    }
    let text = |k: &str| v.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    let list = |k: &str| -> Vec<String> {
        match v.get(k) {
            Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
            Some(Value::Null) | None => vec![],
            Some(one) => vec![one.to_str()],
        }
    };
    let name = format!("{}.{}", text("namespace").unwrap_or_default(), text("name").unwrap_or_default());
    let version = text("version").unwrap_or_default();
    if !super::is_name(&name) {
        return Err(Error::general(format!(
            "'{name}' is no name of a collection: it has the form <namespace>.<collection>, of characters from [a-zA-Z0-9_]"
        ))
        .at(doc.root.get("name").map(|n| n.span)));
    }
    if Version::parse(&version).is_none() {
        return Err(Error::general(format!("'{version}' is not a semantic version (such as 1.0.0)"))
            .at(doc.root.get("version").map(|n| n.span)));
    }
    let or_null = |k: &str| text(k).filter(|t| !t.is_empty()).map(Json::from).unwrap_or(Json::Null);
    let info = json!({
        "namespace": text("namespace"),
        "name": text("name"),
        "version": version,
        "authors": list("authors"),
        "readme": text("readme"),
        "tags": list("tags"),
        "description": or_null("description"),
        "license": list("license"),
        "license_file": or_null("license_file"),
        "dependencies": v.get("dependencies").filter(|d| !d.is_null()).map(Value::to_json).unwrap_or_else(|| json!({})),
        "repository": or_null("repository"),
        "documentation": or_null("documentation"),
        "homepage": or_null("homepage"),
        "issues": or_null("issues"),
    });
    let mut ignore: Vec<String> = IGNORED.iter().map(|s| s.to_string()).collect();
    ignore.push(format!("{}-*.tar.gz", name.replace('.', "-")));
    ignore.extend(list("build_ignore"));
    let mut entries = vec![Entry { name: ".".into(), checksum: None }];
    let top = dir.canonicalize_utf8()?;
    walk(&top, Utf8Path::new(""), &ignore, &mut entries, talk)?;
    Ok(Built { name, version, info, entries, dir: top })
}

fn walk(top: &Utf8Path, rel: &Utf8Path, ignore: &[String], out: &mut Vec<Entry>, talk: Talk) -> Result<()> {
    let mut names: Vec<String> = top.join(rel).read_dir_utf8()?.flatten().map(|e| e.file_name().to_string()).collect();
    names.sort();
    for name in names {
        let rel = rel.join(&name);
        let path = top.join(&rel);
        if ignore.iter().any(|p| fnmatch(rel.as_str(), p) || (!p.contains('/') && fnmatch(&name, p))) {
            continue;
        }
        let link = fs::symlink_metadata(&path)?.is_symlink();
        if link {
            let real = path.canonicalize_utf8();
            if !real.as_ref().is_ok_and(|r| r.starts_with(top)) {
                if real.as_ref().is_ok_and(|r| r.is_dir()) {
                    (talk.warn)(&format!(
                        "Skipping '{path}' as it is a symbolic link to a directory outside the collection"
                    ));
                    continue;
                }
                if real.is_err() {
                    (talk.warn)(&format!("Skipping '{path}' as it is a symbolic link to nothing"));
                    continue;
                }
            }
        }
        if path.is_dir() {
            out.push(Entry { name: rel.to_string(), checksum: None });
            if !link {
                walk(top, &rel, ignore, out, talk)?;
            }
        } else {
            let sum = digest::of_file("sha256", path.as_std_path())
                .map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
            out.push(Entry { name: rel.to_string(), checksum: Some(sum) });
        }
    }
    Ok(())
}

/// A link of the collection that stays a link: where it leads, relative to where it stands.
pub fn link_inside(top: &Utf8Path, rel: &str) -> Option<Utf8PathBuf> {
    let path = top.join(rel);
    if !fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
        return None;
    }
    let real = path.canonicalize_utf8().ok()?;
    let real = real.strip_prefix(top).ok()?.to_owned();
    let ups = Utf8Path::new(rel).components().count().saturating_sub(1);
    Some((0..ups).map(|_| Utf8PathBuf::from("..")).chain([real]).collect())
}

impl Built {
    /// The bytes of MANIFEST.json and FILES.json.
    pub fn manifests(&self) -> (Vec<u8>, Vec<u8>) {
        let files = manifest::text(&manifest::files(&self.entries));
        (manifest::text(&manifest::manifest(self.info.clone(), &files)), files)
    }

    /// Writes the archive.
    pub fn archive(&self, to: &Utf8Path) -> Result<()> {
        let (manifest, files) = self.manifests();
        let gz = flate2::write::GzEncoder::new(fs::File::create(to)?, flate2::Compression::default());
        let mut b = tar::Builder::new(gz);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or(0);
        let header = |kind: tar::EntryType, mode: u32, size: u64, mtime: u64| {
            let mut h = tar::Header::new_gnu();
            h.set_entry_type(kind);
            h.set_mode(mode);
            h.set_size(size);
            h.set_mtime(mtime);
            h.set_uid(0);
            h.set_gid(0);
            h
        };
        for (name, bytes) in [("MANIFEST.json", &manifest), ("FILES.json", &files)] {
            let mut h = header(tar::EntryType::Regular, 0o644, bytes.len() as u64, now);
            b.append_data(&mut h, name, bytes.as_slice())?;
        }
        for e in self.entries.iter().filter(|e| e.name != ".") {
            let path = self.dir.join(&e.name);
            let meta = fs::metadata(&path)?;
            use std::os::unix::fs::MetadataExt;
            let mtime = meta.mtime().max(0) as u64;
            if let Some(target) = link_inside(&self.dir, &e.name) {
                let mut h = header(tar::EntryType::Symlink, 0o777, 0, mtime);
                b.append_link(&mut h, &e.name, target)?;
            } else if e.checksum.is_none() {
                let mut h = header(tar::EntryType::Directory, 0o755, 0, mtime);
                b.append_data(&mut h, format!("{}/", e.name), std::io::empty())?;
            } else {
                let mode = if meta.mode() & 0o100 != 0 { 0o755 } else { 0o644 };
                let mut h = header(tar::EntryType::Regular, mode, meta.len(), mtime);
                b.append_data(&mut h, &e.name, fs::File::open(&path)?)?;
            }
        }
        b.into_inner()?.finish()?;
        Ok(())
    }
}
