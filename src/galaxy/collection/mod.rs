//! Collections: found, built, installed, verified.

pub mod build;
pub mod install;
pub mod manifest;
pub mod source;
pub mod verify;

use crate::diag::Result;
use crate::value::Value;
use camino::{Utf8Path, Utf8PathBuf};

/// A collection that lies in a collections path.
#[derive(Clone, Debug)]
pub struct Found {
    /// `namespace.name`
    pub name: String,
    /// None where nothing tells it.
    pub version: Option<String>,
    pub path: Utf8PathBuf,
}

/// Is this `namespace.name`, of letters, digits and underscores?
pub fn is_name(s: &str) -> bool {
    let word = |w: &str| {
        w.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    s.split_once('.').is_some_and(|(a, b)| word(a) && word(b))
}

/// The folder `ansible_collections` of a collections path, which may be given with or without it.
pub fn root(path: &Utf8Path) -> Utf8PathBuf {
    if path.file_name() == Some("ansible_collections") { path.to_owned() } else { path.join("ansible_collections") }
}

/// The version that the folder's MANIFEST.json or galaxy.yml tells.
pub fn version(dir: &Utf8Path) -> Result<Option<String>> {
    if let Ok(text) = std::fs::read_to_string(dir.join("MANIFEST.json")) {
        let v = serde_json::from_str(&text).map(Value::from_json).unwrap_or(Value::Null);
        return Ok(v.get("collection_info").and_then(|i| i.get("version")).map(Value::to_str));
    }
    match source::galaxy_yml(dir) {
        Some(f) => Ok(crate::yaml::parse_file(&f)?.root.to_plain_value().get("version").map(Value::to_str)),
        None => Ok(None),
    }
}

/// The collections below a collections path, by name.
pub fn installed(path: &Utf8Path) -> Result<Vec<Found>> {
    let mut out = vec![];
    let names = |d: &Utf8Path| -> Vec<String> {
        let mut n: Vec<String> =
            d.read_dir_utf8().map(|l| l.flatten().map(|e| e.file_name().to_string()).collect()).unwrap_or_default();
        n.sort();
        n
    };
    let root = root(path);
    for namespace in names(&root) {
        for name in names(&root.join(&namespace)) {
            let dir = root.join(&namespace).join(&name);
            let full = format!("{namespace}.{name}");
            if dir.is_dir() && is_name(&full) {
                out.push(Found { name: full, version: version(&dir)?, path: dir });
            }
        }
    }
    Ok(out)
}
