//! Tar archives from others: read whatever their compression is, and unpacked so that nothing is written outside
//! one folder, through a link or over a file that is there.

use crate::diag::{Error, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

/// What a member of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    File,
    Dir,
    /// A symbolic link.
    Link,
    /// A hard link, a device, a pipe.
    Other,
}

/// The bytes of an archive: plain, gzip or bzip2 by its first bytes.
pub fn open(path: &Utf8Path) -> Result<Box<dyn Read>> {
    let mut f = File::open(path).map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    let mut magic = [0u8; 6];
    let n = f.read(&mut magic)?;
    f.rewind()?;
    let f = BufReader::new(f);
    Ok(match magic.get(..n).unwrap_or_default() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(f)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::MultiBzDecoder::new(f)),
        [0xfd, b'7', b'z', ..] => {
            return Err(Error::general(format!("{path} is compressed with xz: unpack it first (xz -d)")));
        }
        _ => Box::new(f),
    })
}

/// Calls `f` with the path, kind, link target, mode and bytes of each member.
pub fn each(path: &Utf8Path, f: &mut dyn FnMut(Member) -> Result<()>) -> Result<()> {
    let broken = |_: io::Error| Error::general("the downloaded file does not appear to be a valid tar archive.");
    let mut tar = tar::Archive::new(open(path)?);
    let mut any = false;
    for entry in tar.entries().map_err(broken)? {
        any = true;
        let mut e = entry.map_err(broken)?;
        let kind = e.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = String::from_utf8(e.path_bytes().into_owned())
            .map_err(|_| Error::general("a member of the archive has a name that is not UTF-8"))?;
        let link = e.link_name_bytes().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let what = match kind {
            k if k.is_file() || k.is_contiguous() || k.is_gnu_sparse() => What::File,
            k if k.is_dir() => What::Dir,
            k if k.is_symlink() => What::Link,
            _ => What::Other,
        };
        let mode = e.header().mode().unwrap_or(0o644);
        f(Member { name, what, link, mode, data: &mut e })?;
    }
    if !any && fs::metadata(path).is_ok_and(|m| m.len() == 0) {
        return Err(Error::general("the downloaded file does not appear to be a valid tar archive."));
    }
    Ok(())
}

/// One member while its archive is read.
pub struct Member<'a> {
    /// As the archive has it, also absolute or with `..`.
    pub name: String,
    pub what: What,
    /// Where a link leads.
    pub link: String,
    pub mode: u32,
    pub data: &'a mut dyn Read,
}

/// Resolves `.` and `..` by name alone; None if the path leads above its beginning.
pub fn inside(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut out = Utf8PathBuf::new();
    for c in path.components() {
        match c {
            Utf8Component::Normal(n) => out.push(n),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// A folder that is filled. Paths are relative to it and hold only names ([`inside`]).
pub struct Filling {
    root: Utf8PathBuf,
}

impl Filling {
    /// Begins; the folder is made if it is not there.
    pub fn new(root: &Utf8Path) -> Result<Filling> {
        fs::create_dir_all(root).map_err(|e| Error::general(format!("Could not create {root}: {e}")))?;
        Ok(Filling { root: root.to_owned() })
    }

    /// Makes the folder and those above it. What is there already must be a folder, not a link to one.
    pub fn dir(&self, rel: &Utf8Path) -> Result<()> {
        let mut at = self.root.clone();
        for c in rel.components() {
            let Utf8Component::Normal(name) = c else {
                return Err(Error::general(format!("{rel} is not a path below {}", self.root)));
            };
            at.push(name);
            match fs::symlink_metadata(&at) {
                Ok(m) if m.is_dir() => {}
                Ok(_) => return Err(Error::general(format!("Could not update files in {}: {at} exists", self.root))),
                Err(_) => fs::create_dir(&at).map_err(|e| Error::general(format!("Could not create {at}: {e}")))?,
            }
        }
        Ok(())
    }

    fn place(&self, rel: &Utf8Path) -> Result<Utf8PathBuf> {
        self.dir(rel.parent().unwrap_or(Utf8Path::new("")))?;
        Ok(self.root.join(rel))
    }

    /// Writes a new file; an executable one keeps its execution bits, others get none.
    pub fn file(&self, rel: &Utf8Path, mode: u32, data: &mut dyn Read) -> Result<()> {
        let path = self.place(rel)?;
        let bits = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
        let made =
            OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).mode(0o600).open(&path);
        let mut f =
            made.map_err(|e| Error::general(format!("Could not update files in {}: {path}: {e}", self.root)))?;
        io::copy(data, &mut f).map_err(|e| Error::general(format!("Could not write {path}: {e}")))?;
        f.set_permissions(fs::Permissions::from_mode(bits))?;
        Ok(())
    }

    /// Makes a symbolic link. Its target must be relative and stay in the folder.
    pub fn link(&self, rel: &Utf8Path, target: &str) -> Result<()> {
        let from = rel.parent().unwrap_or(Utf8Path::new(""));
        if target.starts_with('/') || inside(&from.join(target)).is_none() {
            return Err(Error::general(format!(
                "Invalid linkname for tarfile member: path {target} is not a subpath of the role {} (member {rel})",
                self.root
            )));
        }
        let path = self.place(rel)?;
        std::os::unix::fs::symlink(target, &path)
            .map_err(|e| Error::general(format!("Could not update files in {}: {path}: {e}", self.root)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let ok = |p: &str| inside(Utf8Path::new(p)).map(|p| p.to_string());
        assert_eq!(ok("a/./b/../c").as_deref(), Some("a/c"));
        for bad in ["../a", "a/../../b", "/etc/passwd"] {
            assert_eq!(ok(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_is_written_through_links_or_over_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Utf8Path::from_path(dir.path()).expect("UTF-8").join("role");
        let f = Filling::new(&root).expect("made");
        f.file("a/b".into(), 0o755, &mut &b"x"[..]).expect("written");
        f.link("l".into(), "a").expect("a link");
        f.link("a/up".into(), "../a/b").expect("a link");
        assert!(f.file("l/evil".into(), 0o644, &mut &b"x"[..]).is_err());
        assert!(f.file("a/b".into(), 0o644, &mut &b"y"[..]).is_err());
        assert!(f.file("l".into(), 0o644, &mut &b"y"[..]).is_err());
        for bad in ["/etc", "..", "a/../../x"] {
            assert!(f.link("bad".into(), bad).is_err(), "{bad}");
        }
        assert!(f.dir("../x".into()).is_err());
        assert_eq!(fs::read_to_string(root.join("a/b")).expect("there"), "x");
        assert!(!root.join("a/evil").exists());
    }
}
