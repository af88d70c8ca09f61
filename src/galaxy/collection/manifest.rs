//! MANIFEST.json and FILES.json.

use crate::diag::{Error, Result};
use crate::modules::support::digest;
use serde_json::{Value as Json, json};

/// One line of FILES.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the collection; `.` is the collection itself.
    pub name: String,
    /// SHA-256 of a file; None for a folder.
    pub checksum: Option<String>,
}

/// JSON as ansible-core writes it into collections.
pub fn text(v: &Json) -> Vec<u8> {
    let mut out = vec![];
    let mut w = serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b" "));
    // writing into memory does not fail
    let _ = serde::Serialize::serialize(v, &mut w);
    out
}

/// FILES.json.
pub fn files(entries: &[Entry]) -> Json {
    let list: Vec<Json> = entries
        .iter()
        .map(|e| {
            let kind = if e.checksum.is_some() { "file" } else { "dir" };
            let by = e.checksum.as_ref().map(|_| "sha256");
            json!({"name": e.name, "ftype": kind, "chksum_type": by, "chksum_sha256": e.checksum, "format": 1})
        })
        .collect();
    json!({"files": list, "format": 1})
}

/// MANIFEST.json over these bytes of FILES.json.
pub fn manifest(info: Json, files: &[u8]) -> Json {
    json!({
        "collection_info": info,
        "file_manifest_file": {
            "name": "FILES.json",
            "ftype": "file",
            "chksum_type": "sha256",
            "chksum_sha256": digest::of_bytes("sha256", files),
            "format": 1,
        },
        "format": 1,
    })
}

/// The entries of a FILES.json whose checksum MANIFEST.json tells.
pub fn read_files(files: &[u8], manifest: &Json, place: &str) -> Result<Vec<Entry>> {
    let wanted = manifest.pointer("/file_manifest_file/chksum_sha256").and_then(Json::as_str);
    let actual = digest::of_bytes("sha256", files);
    if wanted != Some(actual.as_str()) {
        return Err(Error::general(format!("Checksum mismatch for 'FILES.json' inside collection at '{place}'")));
    }
    let bad = || Error::general(format!("FILES.json of the collection at '{place}' cannot be understood"));
    let v: Json = serde_json::from_slice(files).map_err(|_| bad())?;
    let list = v.get("files").and_then(Json::as_array).ok_or_else(bad)?;
    list.iter()
        .map(|e| {
            let name = e.get("name").and_then(Json::as_str).ok_or_else(bad)?.to_string();
            let sum = e.get("chksum_sha256").and_then(Json::as_str).map(str::to_string);
            match e.get("ftype").and_then(Json::as_str) {
                Some("dir") => Ok(Entry { name, checksum: None }),
                Some("file") if sum.is_some() => Ok(Entry { name, checksum: sum }),
                _ => Err(bad()),
            }
        })
        .collect()
}
