//! What a cut transfer leaves beside its destination, so that the next one need not begin anew.
//!
//! Large content arrives in a file `.dirigo_part.KEY.RANDOM` (mode 0600), locked while somebody writes it; KEY stands for
//! the destination. A transfer that ends in any other way than by being cut or killed takes it away. The next one to
//! the same destination reads what is there into a file of its own and asks the sender whether its content begins so, by
//! length and checksum of exactly what it read: what lies in such a file is never believed, and never written to.

use sha1::{Digest, Sha1};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Content from this size on is worth being continued.
pub const WORTH: u64 = 8 << 20;

const PREFIX: &str = ".dirigo_part.";
/// What nobody came back for is taken away by the next large transfer into the directory.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The beginning of the names of partial files for `dest`.
fn stem(dest: &Path) -> String {
    let name = dest.file_name().unwrap_or_default();
    let sum = Sha1::digest(name.as_encoded_bytes());
    format!("{PREFIX}{}.", crate::proto::hex(sum.get(..8).unwrap_or_default()))
}

fn directory_of(dest: &Path) -> &Path {
    dest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file for the content of `dest`; it stays if this process is killed.
pub fn create(dest: &Path) -> io::Result<NamedTempFile> {
    let mut b = tempfile::Builder::new();
    let made = b.prefix(&stem(dest)).rand_bytes(12).tempfile_in(directory_of(dest))?;
    // the lock lives as long as the file is open; without one the file may be taken away as nobody's, no more
    let _ = lock(made.as_file(), libc::LOCK_EX);
    Ok(made)
}

fn lock(file: &File, how: libc::c_int) -> bool {
    // SAFETY: plain system call on an open descriptor.
    unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) == 0 }
}

/// What an earlier transfer left.
pub struct Left {
    file: File,
    path: PathBuf,
    /// Its size when it was found, but no more than the content's.
    pub len: u64,
    /// Nobody writes it any more.
    idle: bool,
}

/// The longest of what earlier transfers to `dest` left, if there is any; what is too old is taken away.
pub fn find(dest: &Path, size: u64) -> Option<Left> {
    let stem = stem(dest);
    let mut best: Option<Left> = None;
    for e in std::fs::read_dir(directory_of(dest)).ok()?.flatten() {
        let name = e.file_name();
        let Some(name) = name.to_str().filter(|n| n.starts_with(PREFIX)) else { continue };
        let Some(left) = open(e.path(), size) else { continue };
        if !name.starts_with(&stem) {
            let age = left.file.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            if age.is_some_and(|a| a > FORGOTTEN) {
                left.discard();
            }
        } else if left.len == 0 || best.as_ref().is_some_and(|b| b.len >= left.len) {
            left.discard();
        } else if let Some(shorter) = best.replace(left) {
            shorter.discard();
        }
    }
    best
}

fn open(path: PathBuf, size: u64) -> Option<Left> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
    let m = file.metadata().ok()?;
    if !m.is_file() || m.uid() != nix::unistd::geteuid().as_raw() || m.nlink() != 1 || m.mode() & 0o077 != 0 {
        return None;
    }
    let len = m.len().min(size);
    // freed again: two that find the same file both read it
    let idle = lock(&file, libc::LOCK_EX) && lock(&file, libc::LOCK_UN);
    Some(Left { file, path, len, idle })
}

impl Left {
    /// Copies it to `to`, telling every piece to `each`; how many bytes and their running checksum.
    pub fn copy(&mut self, to: &mut impl Write, mut each: impl FnMut(&[u8])) -> io::Result<(Sha1, u64)> {
        let (mut sum, mut done, mut part) = (Sha1::new(), 0, vec![0u8; 256 << 10]);
        while done < self.len {
            let room = (self.len - done).min(part.len() as u64) as usize;
            let n = match self.file.read(part.get_mut(..room).unwrap_or_default()) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let bytes = part.get(..n).unwrap_or_default();
            sum.update(bytes);
            each(bytes);
            to.write_all(bytes)?;
            done += n as u64;
        }
        Ok((sum, done))
    }

    /// Takes the file away, unless somebody writes it still.
    pub fn discard(self) {
        if self.idle {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Leaves what a transfer that was killed leaves.
#[cfg(test)]
pub fn leave(dest: &Path, bytes: &[u8]) -> PathBuf {
    // without a lock: processes that other tests start at the same time would hold it on
    let made = tempfile::Builder::new().prefix(&stem(dest)).tempfile_in(directory_of(dest)).unwrap();
    std::fs::write(made.path(), bytes).unwrap();
    made.keep().unwrap().1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_longest_is_found_and_the_others_go() {
        let d = tempfile::tempdir().unwrap();
        let dest = d.path().join("f");
        assert!(find(&dest, 100).is_none());
        leave(&dest, b"abc");
        let long = leave(&dest, b"abcdef");
        leave(&dest, b"ab");
        let other = leave(&d.path().join("g"), b"another file's");
        let mut l = find(&dest, 100).unwrap();
        assert_eq!((l.len, &l.path), (6, &long));
        let (mut copied, mut told) = (vec![], vec![]);
        let (sum, n) = l.copy(&mut copied, |b| told.extend_from_slice(b)).unwrap();
        assert_eq!((n, &copied[..], &told[..]), (6, &b"abcdef"[..], &b"abcdef"[..]));
        assert_eq!(sum.finalize(), Sha1::digest(b"abcdef"));
        l.discard();
        assert_eq!(names(d.path()), [other.file_name().unwrap().to_str().unwrap()]);
        assert_eq!(find(&d.path().join("g"), 7).unwrap().len, 7, "never more than the content has");
    }

    #[test]
    fn what_is_still_written_stays() {
        let d = tempfile::tempdir().unwrap();
        let dest = d.path().join("f");
        let mut live = create(&dest).unwrap();
        live.write_all(b"abc").unwrap();
        let mut l = find(&dest, 100).unwrap();
        assert_eq!(l.copy(&mut io::sink(), |_| {}).unwrap().1, 3, "it can be read");
        l.discard();
        assert!(live.path().exists());
        drop(live);
        assert!(names(d.path()).is_empty(), "and goes with its writer");
    }

    #[test]
    fn traps_of_others_are_passed_over() {
        let d = tempfile::tempdir().unwrap();
        let dest = d.path().join("f");
        let name = |n: &str| d.path().join(format!("{}{n}", stem(&dest)));
        std::fs::write(d.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(d.path().join("secret"), name("link")).unwrap();
        nix::unistd::mkfifo(&name("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::create_dir(name("dir")).unwrap();
        std::fs::write(name("open"), "readable by all").unwrap();
        let twice = leave(&dest, b"two names");
        std::fs::hard_link(&twice, d.path().join("second")).unwrap();
        assert!(find(&dest, 100).is_none());
        assert_eq!(names(d.path()).len(), 7, "and left alone");
    }

    #[test]
    fn what_is_forgotten_goes() {
        let d = tempfile::tempdir().unwrap();
        let old = leave(&d.path().join("g"), b"abc");
        let young = leave(&d.path().join("h"), b"abc");
        let then = std::time::SystemTime::now() - 2 * FORGOTTEN;
        File::options().write(true).open(&old).unwrap().set_modified(then).unwrap();
        assert!(find(&d.path().join("f"), 100).is_none());
        assert!(!old.exists() && young.exists());
    }
}
