//! SELinux labels through extended attributes. Where SELinux is not enabled the arguments are
//! ignored, as Ansible ignores them.

use super::exec::{Cmd, find_program};
use crate::modules::Ctx;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const LABEL: &str = "security.selinux";

/// True if the running kernel enforces or audits an SELinux policy.
pub fn enabled() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// The label of a file (the link itself, not its target), if it has one.
pub fn label(path: &Path) -> Option<String> {
    let raw = get_xattr(path, LABEL)?;
    Some(String::from_utf8_lossy(&raw).trim_end_matches('\0').to_owned())
}

/// The label that the policy gives a path by default.
pub fn default_label(path: &Path) -> Option<String> {
    let tool = find_program(&Ctx::bare(), "matchpathcon")?;
    let out = Cmd::new([tool, "-n".into(), path.to_string_lossy().into_owned()]).run_with(&[]).ok()?;
    out.ok().then(|| out.out().trim().to_owned()).filter(|s| s.contains(':'))
}

/// The label that `wanted` (user, role, type, level; `_default` takes the policy's) makes of `current`.
pub fn merge(current: &str, wanted: &[Option<String>; 4], path: &Path) -> String {
    let parts: Vec<&str> = current.splitn(4, ':').collect();
    let needs_default = wanted.iter().flatten().any(|w| w == "_default");
    let default = if needs_default { default_label(path) } else { None };
    let default: Vec<&str> = default.as_deref().map(|d| d.splitn(4, ':').collect()).unwrap_or_default();
    let merged = wanted.iter().enumerate().map(|(i, w)| {
        let now = parts.get(i).copied();
        match w.as_deref() {
            Some("_default") => default.get(i).copied().or(now),
            Some(w) => Some(w),
            None => now,
        }
    });
    merged.flatten().collect::<Vec<_>>().join(":")
}

/// Sets the label of a file.
pub fn set_label(path: &Path, label: &str) -> std::io::Result<()> {
    let mut value = label.as_bytes().to_vec();
    value.push(0);
    set_xattr(path, LABEL, &value)
}

/// Copies security labels and access lists from one file to another, as far as the system lets us.
pub fn copy_labels(from: &Path, to: &Path) {
    for name in [LABEL, "security.SMACK64", "system.posix_acl_access"] {
        if let Some(v) = get_xattr(from, name) {
            // Not every file system or user may set every label; the content matters more.
            let _ = set_xattr(to, name, &v);
        }
    }
}

fn get_xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let (p, n) = (CString::new(path.as_os_str().as_bytes()).ok()?, CString::new(name).ok()?);
    let mut buf = vec![0u8; 4096];
    // SAFETY: both strings end with NUL, and the buffer's length is passed along.
    let len = unsafe { libc::lgetxattr(p.as_ptr(), n.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) };
    buf.truncate(usize::try_from(len).ok()?);
    Some(buf)
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> std::io::Result<()> {
    let p = CString::new(path.as_os_str().as_bytes())?;
    let n = CString::new(name)?;
    // SAFETY: both strings end with NUL, and the value's length is passed along.
    let rc = unsafe { libc::lsetxattr(p.as_ptr(), n.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_parts() {
        let w = [None, None, Some("httpd_t".to_owned()), None];
        assert_eq!(merge("system_u:object_r:etc_t:s0:c1,c2", &w, Path::new("/")), "system_u:object_r:httpd_t:s0:c1,c2");
    }
}
