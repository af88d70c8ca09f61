//! Puts collections into a collections path.

use super::build::{Built, link_inside};
use super::manifest::{self, Entry};
use super::source::{From, Source, member};
use crate::diag::{Error, Result};
use crate::galaxy::archive::{self, Filling, What};
use crate::galaxy::version::fits;
use crate::galaxy::{Talk, needs_server};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{BTreeMap, HashMap};
use std::fs;

/// Checks that what the sources need is among them or installed in one of the paths.
pub fn check_dependencies(sources: &[Source], paths: &[Utf8PathBuf]) -> Result<BTreeMap<String, String>> {
    let mut met = BTreeMap::new();
    for s in sources {
        for (name, range) in &s.dependencies {
            if let Some(other) = sources.iter().find(|o| o.name == *name) {
                if fits(&other.version, range) {
                    continue;
                }
                return Err(Error::general(format!(
                    "Failed to resolve the requested dependencies map. Could not satisfy the following requirements:\n\
                     * {name}:{range} (dependency of {}:{}); {name}:{} is asked for",
                    s.name, s.version, other.version
                )));
            }
            let mut there = vec![];
            for p in paths {
                let dir = super::root(p).join(name.replace('.', "/"));
                there.extend(super::version(&dir)?);
            }
            if let Some(v) = there.iter().find(|v| fits(v, range)) {
                met.insert(name.clone(), v.clone());
            } else {
                return Err(needs_server(&format!(
                    "Failed to resolve the requested dependencies map. Could not satisfy the following requirements:\n\
                     * {name}:{range} (dependency of {}:{})",
                    s.name, s.version
                )));
            }
        }
    }
    Ok(met)
}

/// Installs one, replacing what is there.
pub fn install(s: &Source, path: &Utf8Path, talk: Talk) -> Result<()> {
    let dir = super::root(path).join(s.name.replace('.', "/"));
    (talk.say)(&format!("Installing '{}:{}' to '{dir}'", s.name, s.version));
    let parent = dir.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|e| Error::general(format!("Could not create {parent}: {e}")))?;
    // what is there stays until the new one is whole
    let temp = tempfile::Builder::new().prefix(".install-").tempdir_in(parent)?;
    let new = Utf8Path::from_path(temp.path()).ok_or_else(|| Error::general("the path is not UTF-8"))?.join("new");
    match &s.from {
        From::Archive(file) => unpack(file, &new)?,
        From::Folder(built) => {
            copy(built, &new)?;
            (talk.say)(&format!("Created collection for {}:{} at {dir}", s.name, s.version));
        }
    }
    if fs::symlink_metadata(&dir).is_ok() {
        fs::rename(&dir, new.with_file_name("old"))
            .map_err(|e| Error::general(format!("could not replace {dir}: {e}")))?;
    }
    fs::rename(&new, &dir).map_err(|e| Error::general(format!("could not write {dir}: {e}")))?;
    (talk.say)(&format!("{}:{} was installed successfully", s.name, s.version));
    Ok(())
}

/// Only what FILES.json lists is written, and only with the bytes that it tells.
fn unpack(file: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let need = |name: &str| {
        member(file, name)?
            .ok_or_else(|| Error::general(format!("Collection at '{file}' does not contain the required file {name}.")))
    };
    let manifest_bytes = need("MANIFEST.json")?;
    let parsed = serde_json::from_slice(&manifest_bytes)
        .map_err(|e| Error::general(format!("MANIFEST.json of the collection at '{file}': {e}")))?;
    let files_bytes = need("FILES.json")?;
    let entries = manifest::read_files(&files_bytes, &parsed, file.as_str())?;
    let into = Filling::new(to)?;
    into.file("MANIFEST.json".into(), 0o644, &mut manifest_bytes.as_slice())?;
    into.file("FILES.json".into(), 0o644, &mut files_bytes.as_slice())?;
    let place = |name: &str| {
        archive::inside(Utf8Path::new(name)).ok_or_else(|| {
            Error::general(format!(
                "Cannot extract tar entry '{name}' as it will be placed outside the collection directory"
            ))
        })
    };
    let mut wanted: HashMap<Utf8PathBuf, &Entry> = HashMap::new();
    for e in entries.iter().filter(|e| e.name != ".") {
        let at = place(&e.name)?;
        if matches!(at.as_str(), "MANIFEST.json" | "FILES.json") {
            continue;
        }
        wanted.insert(at, e);
    }
    let mut links = vec![];
    archive::each(file, &mut |m| {
        let at = place(&m.name)?;
        let Some(e) = wanted.get(&at) else { return Ok(()) };
        match m.what {
            What::File if e.checksum.is_some() => into.file(&at, m.mode, m.data)?,
            What::Link => links.push((at.clone(), m.link.clone())),
            What::Dir if e.checksum.is_none() => into.dir(&at)?,
            _ => return Ok(()),
        }
        wanted.remove(&at);
        Ok(())
    })?;
    for (at, e) in wanted {
        match e.checksum {
            None => into.dir(&at)?,
            Some(_) => {
                return Err(Error::general(format!("Collection at '{file}' does not contain the file '{at}'.")));
            }
        }
    }
    // links last: nothing can be written through them
    for (at, target) in links {
        into.link(&at, &target)?;
    }
    for e in &entries {
        let Some(sum) = &e.checksum else { continue };
        let path = to.join(place(&e.name)?);
        let actual = crate::modules::support::digest::of_file("sha256", path.as_std_path())
            .map_err(|err| Error::general(format!("cannot read {path}: {err}")))?;
        if actual != *sum {
            return Err(Error::general(format!("Checksum mismatch for '{}' inside collection at '{file}'", e.name)));
        }
    }
    Ok(())
}

fn copy(b: &Built, to: &Utf8Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let into = Filling::new(to)?;
    let (manifest, files) = b.manifests();
    into.file("MANIFEST.json".into(), 0o644, &mut manifest.as_slice())?;
    into.file("FILES.json".into(), 0o644, &mut files.as_slice())?;
    let mut links = vec![];
    for e in b.entries.iter().filter(|e| e.name != ".") {
        let (rel, from) = (Utf8Path::new(&e.name), b.dir.join(&e.name));
        if let Some(target) = link_inside(&b.dir, &e.name) {
            links.push((rel, target));
        } else if e.checksum.is_none() {
            into.dir(rel)?;
        } else {
            let mut f = fs::File::open(&from).map_err(|e| Error::general(format!("cannot read {from}: {e}")))?;
            into.file(rel, f.metadata()?.mode(), &mut f)?;
        }
    }
    for (rel, target) in links {
        into.link(rel, target.as_str())?;
    }
    Ok(())
}
