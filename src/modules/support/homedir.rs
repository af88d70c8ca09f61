//! Home directories made for users that are there already: a copy of the skeleton, owned by the user.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

/// A setting of /etc/login.defs.
fn login_defs(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/login.defs").ok()?;
    text.lines().map(str::trim).filter(|l| !l.starts_with('#')).find_map(|l| {
        let mut w = l.split_whitespace();
        (w.next() == Some(key)).then(|| w.next().map(str::to_string)).flatten()
    })
}

/// The mode of a new home: by the given umask, else by login.defs (HOME_MODE, UMASK), else 0755.
fn mode(umask: Option<&str>) -> u32 {
    let oct = |s: &str| u32::from_str_radix(s, 8).ok();
    if let Some(m) = umask.and_then(oct) {
        return 0o777 & !m;
    }
    if let Some(m) = login_defs("HOME_MODE").as_deref().and_then(oct) {
        return m & 0o7777;
    }
    0o777 & !login_defs("UMASK").as_deref().and_then(oct).unwrap_or(0o022)
}

/// Makes a home with what is in the skeleton; parents are made if they are not there.
pub fn create(home: &Path, skeleton: &Path, umask: Option<&str>, uid: u32, gid: u32) -> std::io::Result<()> {
    if let Some(parent) = home.parent() {
        fs::create_dir_all(parent)?;
    }
    // Closed until it is filled, so that nobody puts a link in the way.
    fs::DirBuilder::new().mode(0o700).create(home)?;
    if skeleton.is_dir() {
        copy_tree(skeleton, home, uid, gid)?;
    }
    fs::set_permissions(home, fs::Permissions::from_mode(mode(umask)))?;
    chown(home, Some(uid), Some(gid))
}

fn copy_tree(from: &Path, to: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    for e in fs::read_dir(from)? {
        let e = e?;
        let (src, dst) = (e.path(), to.join(e.file_name()));
        let kind = e.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&src)?, &dst)?;
            lchown(&dst, Some(uid), Some(gid))?;
        } else if kind.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&dst)?;
            copy_tree(&src, &dst, uid, gid)?;
            fs::set_permissions(&dst, e.metadata()?.permissions())?;
            chown(&dst, Some(uid), Some(gid))?;
        } else if kind.is_file() {
            fs::copy(&src, &dst)?;
            chown(&dst, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_the_skeleton() {
        let t = tempfile::tempdir().expect("a directory");
        let skel = t.path().join("skel");
        fs::create_dir_all(skel.join("d")).expect("made");
        fs::write(skel.join("d/f"), "x").expect("written");
        symlink("d/f", skel.join("l")).expect("linked");
        let me = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let home = t.path().join("a/b/home");
        create(&home, &skel, Some("0027"), me.0, me.1).expect("created");
        assert_eq!(fs::read_to_string(home.join("l")).expect("there"), "x");
        assert_eq!(fs::metadata(&home).expect("there").permissions().mode() & 0o777, 0o750);
        assert!(create(&home, &skel, None, me.0, me.1).is_err());
    }
}
