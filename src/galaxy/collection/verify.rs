//! Compares an installed collection with its own manifest.

use super::manifest;
use crate::diag::{Error, Result};
use crate::modules::support::digest;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::HashSet;

/// What is found of one collection.
#[derive(Clone, Debug)]
pub struct Report {
    pub version: String,
    /// SHA-256 of MANIFEST.json.
    pub manifest: String,
    /// Files that differ, are missing or are not listed.
    pub modified: Vec<String>,
}

/// Looks at the collection in this folder.
pub fn verify(dir: &Utf8Path) -> Result<Report> {
    let bytes = std::fs::read(dir.join("MANIFEST.json")).map_err(|_| {
        Error::general(format!(
            "Collection {dir} does not appear to have a MANIFEST.json. A MANIFEST.json is expected if the collection has \
             been built and installed via ansible-galaxy."
        ))
    })?;
    let parsed: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Error::general(format!("{dir}/MANIFEST.json: {e}")))?;
    let version = parsed.pointer("/collection_info/version").and_then(|v| v.as_str()).unwrap_or("*").to_string();
    let manifest = digest::of_bytes("sha256", &bytes);
    let files = std::fs::read(dir.join("FILES.json")).unwrap_or_default();
    let Ok(entries) = manifest::read_files(&files, &parsed, dir.as_str()) else {
        return Ok(Report { version, manifest, modified: vec!["FILES.json".into()] });
    };
    let mut modified = vec![];
    let mut listed: HashSet<Utf8PathBuf> = ["MANIFEST.json", "FILES.json"].iter().map(Utf8PathBuf::from).collect();
    for e in &entries {
        listed.insert(Utf8PathBuf::from(&e.name));
        let path = dir.join(&e.name);
        let same = match &e.checksum {
            None => path.is_dir(),
            Some(sum) => digest::of_file("sha256", path.as_std_path()).is_ok_and(|s| s == *sum),
        };
        if !same {
            modified.push(e.name.clone());
        }
    }
    extra(dir, Utf8Path::new(""), &listed, &mut modified);
    Ok(Report { version, manifest, modified })
}

fn extra(top: &Utf8Path, rel: &Utf8Path, listed: &HashSet<Utf8PathBuf>, out: &mut Vec<String>) {
    let mut names: Vec<Utf8PathBuf> =
        top.join(rel).read_dir_utf8().into_iter().flatten().flatten().map(|e| rel.join(e.file_name())).collect();
    names.sort();
    for rel in names {
        if !listed.contains(&rel) {
            out.push(rel.to_string());
        }
        let path = top.join(&rel);
        if path.is_dir() && !path.is_symlink() {
            extra(top, &rel, listed, out);
        }
    }
}
