//! File attributes (`lsattr`, `chattr`): read with the ioctls that lsattr uses, set with `chattr`.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The attributes of a file as lsattr and Ansible show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The inode's version (generation) number as text.
    pub version: Option<String>,
    /// Letters in lsattr's order, e.g. `ie`.
    pub flags: String,
}

/// Bit, lsattr's letter, Ansible's word for it (none where it has no word); in lsattr's order.
const FLAGS: &[(u32, char, Option<&str>)] = &[
    (0x0000_0001, 's', Some("zero")),
    (0x0000_0002, 'u', Some("undelete")),
    (0x0000_0008, 'S', Some("synchronous")),
    (0x0001_0000, 'D', Some("dirsync")),
    (0x0000_0010, 'i', Some("immutable")),
    (0x0000_0020, 'a', Some("append")),
    (0x0000_0040, 'd', Some("nodump")),
    (0x0000_0080, 'A', Some("noatime")),
    (0x0000_0004, 'c', Some("compressed")),
    (0x0000_0800, 'E', Some("encrypted")),
    (0x0000_4000, 'j', Some("journalled")),
    (0x0000_1000, 'I', Some("indexed")),
    (0x0000_8000, 't', Some("notail")),
    (0x0002_0000, 'T', Some("blockroot")),
    (0x0008_0000, 'e', Some("extents")),
    (0x0080_0000, 'C', Some("nocow")),
    (0x0200_0000, 'x', None),
    (0x4000_0000, 'F', None),
    (0x1000_0000, 'N', Some("inline")),
    (0x2000_0000, 'P', None),
    (0x0010_0000, 'V', None),
    (0x0000_0400, 'm', None),
];

nix::ioctl_read!(get_flags, b'f', 1, libc::c_long);
nix::ioctl_read!(get_version, b'v', 1, libc::c_long);

/// The letters of a regular file or directory; empty where the file system keeps none. Some that do keep no
/// version number.
pub fn flags(path: &Path) -> String {
    let Some(f) = opened(path) else { return String::new() };
    let mut bits: libc::c_long = 0;
    // SAFETY: the call writes at most one long (the kernel writes an int) into a local that outlives it.
    let got = unsafe { get_flags(f.as_raw_fd(), &mut bits) };
    if got.is_ok() { letters(bits as u32) } else { String::new() }
}

fn letters(bits: u32) -> String {
    FLAGS.iter().filter(|(b, ..)| bits & b != 0).map(|(_, c, _)| *c).collect()
}

fn opened(path: &Path) -> Option<std::fs::File> {
    let known = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_file() || m.is_dir());
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path);
    open.ok().filter(|_| known)
}

/// Version and letters as `lsattr -v` tells them: neither where one of them is missing.
pub fn read(path: &Path) -> Attributes {
    let Some(f) = opened(path) else { return Attributes::default() };
    let mut bits: libc::c_long = 0;
    let mut version: libc::c_long = 0;
    // SAFETY: both calls write at most one long (the kernel writes an int) into a local that outlives them.
    let got = unsafe { (get_flags(f.as_raw_fd(), &mut bits), get_version(f.as_raw_fd(), &mut version)) };
    if got.0.is_err() || got.1.is_err() {
        return Attributes::default();
    }
    let bits = bits as u32;
    Attributes { version: Some((version as u32).to_string()), flags: letters(bits) }
}

/// Ansible's words for attribute letters.
pub fn words(flags: &str) -> Vec<&'static str> {
    flags.chars().filter_map(|c| FLAGS.iter().find(|(_, l, _)| *l == c).and_then(|(.., w)| *w)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order() {
        assert_eq!(words("ieV"), ["immutable", "extents"]);
        assert_eq!(read(Path::new("/no/such")), Attributes::default());
        assert_eq!(read(Path::new("/dev/null")), Attributes::default());
    }
}
