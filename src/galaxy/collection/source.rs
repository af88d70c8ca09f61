//! Where a collection to install comes from, brought to this machine and described.

use super::build::{self, Built};
use crate::diag::{Error, Result};
use crate::galaxy::archive::{self, What};
use crate::galaxy::requirement::CollectionSpec;
use crate::galaxy::version::fits;
use crate::galaxy::{Fetching, Talk, download, needs_server, scm};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value as Json;
use std::io::Read;

/// A collection that can be installed.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub version: String,
    /// Name and range of what it needs.
    pub dependencies: Vec<(String, String)>,
    pub from: From,
}

/// What it is installed from.
#[derive(Clone, Debug)]
pub enum From {
    Archive(Utf8PathBuf),
    Folder(Box<Built>),
}

/// galaxy.yml (or .yaml) of the folder.
pub fn galaxy_yml(dir: &Utf8Path) -> Option<Utf8PathBuf> {
    ["galaxy.yml", "galaxy.yaml"].iter().map(|f| dir.join(f)).find(|p| p.is_file())
}

/// Brings what is asked for to this machine; archives and clones go into `temp`.
pub fn find(spec: &CollectionSpec, temp: &Utf8Path, f: Fetching, talk: Talk) -> Result<Vec<Source>> {
    let name = spec.source.as_deref().filter(|s| s.contains('/') && spec.kind.is_some()).unwrap_or(&spec.name);
    let kind = match spec.kind.as_deref() {
        Some(k) => k,
        None if name.starts_with("git+") || name.starts_with("git@") => "git",
        None if name.starts_with("http://") || name.starts_with("https://") => "url",
        None if Utf8Path::new(name).is_file() => "file",
        None if Utf8Path::new(name).is_dir()
            && (name.contains('/') || name == "." || galaxy_yml(name.into()).is_some()) =>
        {
            if galaxy_yml(name.into()).is_some() { "dir" } else { "subdirs" }
        }
        None if super::is_name(name) => "galaxy",
        None => {
            return Err(Error::general(crate::galaxy::requirement::NO_NAME).help(format!("there is no {name}")));
        }
    };
    let path = Utf8PathBuf::from(crate::modules::expand_path(name));
    let found = match kind {
        "file" => vec![of_archive(&path)?],
        "dir" => vec![of_folder(&path, talk)?],
        "subdirs" => of_subdirs(&path, talk)?,
        "url" => {
            let file = temp.join(format!("{}.tar.gz", uuid::Uuid::new_v4()));
            download(name, &file, f)?;
            vec![of_archive(&file)?]
        }
        "git" => return of_git(name, spec.version.as_deref(), temp, talk),
        _ => return Err(needs_server(name)),
    };
    let range = spec.version.as_deref().unwrap_or("*");
    if let Some(s) = found.iter().find(|s| !fits(&s.version, range)) {
        return Err(Error::general(format!("{name} is {}:{}, which is not {range}", s.name, s.version)));
    }
    Ok(found)
}

/// `git+URL[#/folder/][,REF]`
fn of_git(text: &str, version: Option<&str>, temp: &Utf8Path, talk: Talk) -> Result<Vec<Source>> {
    let text = text.strip_prefix("git+").unwrap_or(text);
    let (text, reference) = match text.rsplit_once(',') {
        Some((t, r)) => (t, Some(r.trim())),
        None => (text, version.filter(|v| *v != "*")),
    };
    let (url, folder) = text.split_once('#').unwrap_or((text, ""));
    let dir = temp.join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(&dir)?;
    let work = scm::clone(url, reference.filter(|r| *r != "HEAD").unwrap_or(""), "work", &dir)?;
    let inner = folder.split(',').next().unwrap_or("").trim_matches('/');
    let Some(inner) = archive::inside(Utf8Path::new(inner)) else {
        return Err(Error::general(format!("'{folder}' is not a folder of the repository {url}")));
    };
    let top = work.join(inner);
    if galaxy_yml(&top).is_some() { Ok(vec![of_folder(&top, talk)?]) } else { of_subdirs(&top, talk) }
}

fn of_subdirs(dir: &Utf8Path, talk: Talk) -> Result<Vec<Source>> {
    let mut dirs: Vec<Utf8PathBuf> = dir
        .read_dir_utf8()
        .map_err(|e| Error::general(format!("cannot read {dir}: {e}")))?
        .flatten()
        .map(|e| e.path().to_owned())
        .filter(|p| galaxy_yml(p).is_some())
        .collect();
    dirs.sort();
    if dirs.is_empty() {
        return Err(Error::general(format!(
            "{dir} holds no collection: neither it nor a folder in it has a galaxy.yml"
        )));
    }
    dirs.iter().map(|d| of_folder(d, talk)).collect()
}

fn dependencies(info: &Json) -> Vec<(String, String)> {
    let map = info.get("dependencies").and_then(Json::as_object);
    map.into_iter().flatten().map(|(k, v)| (k.clone(), v.as_str().unwrap_or("*").to_string())).collect()
}

fn of_folder(dir: &Utf8Path, talk: Talk) -> Result<Source> {
    if dir.join("MANIFEST.json").is_file() && galaxy_yml(dir).is_none() {
        return Err(Error::general(format!("{dir} is an installed collection, not the source of one")));
    }
    let b = build::read(dir, talk)?;
    let dependencies = dependencies(&b.info);
    Ok(Source { name: b.name.clone(), version: b.version.clone(), dependencies, from: From::Folder(Box::new(b)) })
}

/// The bytes of a file of an archive, at most 64 MiB.
pub fn member(path: &Utf8Path, name: &str) -> Result<Option<Vec<u8>>> {
    let mut out = None;
    archive::each(path, &mut |m| {
        if out.is_none() && m.what == What::File && m.name.trim_start_matches("./") == name {
            let mut b = vec![];
            m.data.take(64 << 20).read_to_end(&mut b)?;
            out = Some(b);
        }
        Ok(())
    })?;
    Ok(out)
}

fn of_archive(path: &Utf8Path) -> Result<Source> {
    if !path.is_file() {
        return Err(Error::general(format!("there is no file {path}")));
    }
    let bytes = member(path, "MANIFEST.json").map_err(|e| e.context(path))?.ok_or_else(|| {
        Error::general(format!("Collection at '{path}' does not contain the required file MANIFEST.json."))
    })?;
    let bad = || Error::general(format!("MANIFEST.json of the collection at '{path}' cannot be understood"));
    let v: Json = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let info = v.get("collection_info").ok_or_else(bad)?;
    let text = |k: &str| info.get(k).and_then(Json::as_str).unwrap_or_default();
    let name = format!("{}.{}", text("namespace"), text("name"));
    if !super::is_name(&name) {
        return Err(Error::general(format!("'{name}' is no name of a collection")));
    }
    let version = text("version").to_string();
    Ok(Source { name, version, dependencies: dependencies(info), from: From::Archive(path.to_owned()) })
}
