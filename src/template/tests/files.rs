//! Tests on the controller's file system.

use super::{Test, t};
use crate::template::filters::Args;
use crate::template::filters::py::{self, Py, Res, fail};
use minijinja::Value;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub const TESTS: &[Test] = &[
    t(&["directory", "is_dir"], "path", |_, a| Ok(Path::new(&path(a)?).is_dir())),
    t(&["file", "is_file"], "path", |_, a| Ok(Path::new(&path(a)?).is_file())),
    t(&["link", "is_link"], "path", |_, a| Ok(Path::new(&a.text("path")?).is_symlink())),
    t(&["exists"], "path", |_, a| Ok(Path::new(&path(a)?).exists())),
    t(&["link_exists"], "path", |_, a| Ok(Path::new(&a.text("path")?).symlink_metadata().is_ok())),
    t(&["abs", "is_abs"], "path", |_, a| {
        Ok(a.only_text("path", |kind| format!("expected str, bytes or os.PathLike object, not {kind}"))?
            .starts_with('/'))
    }),
    t(&["mount", "is_mount"], "path", |_, a| Ok(is_mount(Path::new(&a.text("path")?)))),
    t(&["same_file", "is_same_file"], "path1, path2", |_, a| same_file(a)),
    t(&["vaulted_file"], "path", |_, a| vaulted(a)),
];

/// A path, or the number of an open file, which Python's functions take as well.
fn path(a: &Args) -> Res<String> {
    match py::view(a.val("path")) {
        Py::Int(fd) => Ok(format!("/proc/self/fd/{fd}")),
        Py::Bool(fd) => Ok(format!("/proc/self/fd/{}", u8::from(fd))),
        _ => a.only_text("path", |kind| {
            format!("stat: path should be string, bytes, os.PathLike or integer, not {kind}")
        }),
    }
}

fn is_mount(path: &Path) -> bool {
    let Ok(own) = path.symlink_metadata() else { return false };
    if own.is_symlink() {
        return false;
    }
    let Ok(parent) = path.join("..").metadata() else { return false };
    own.dev() != parent.dev() || own.ino() == parent.ino()
}

fn quoted(path: &str) -> String {
    py::repr(&Value::from(path)).unwrap_or_default()
}

/// Python's words for what the system refused.
fn os_error(e: &std::io::Error, path: &str) -> String {
    match e.raw_os_error() {
        Some(n) => format!("[Errno {n}] {}: {}", nix::errno::Errno::from_raw(n).desc(), quoted(path)),
        None => e.to_string(),
    }
}

fn same_file(a: &Args) -> Res<bool> {
    let mut ids = vec![];
    for name in ["path1", "path2"] {
        let path = a.text(name)?;
        match Path::new(&path).metadata() {
            Ok(m) => ids.push((m.dev(), m.ino())),
            Err(e) => return fail(os_error(&e, &path)),
        }
    }
    Ok(ids.first() == ids.last())
}

fn vaulted(a: &Args) -> Res<bool> {
    let path = a.text("path")?;
    let mut head = [0u8; 15];
    match std::fs::File::open(&path).and_then(|mut f| f.read(&mut head)) {
        Ok(_) => Ok(head.starts_with(b"$ANSIBLE_VAULT;")),
        Err(e) => fail(format!(
            "Cannot test if the file {} is a vault: {}",
            quoted(&path),
            os_error(&e, &path).replace(": '", ": b'")
        )),
    }
}
