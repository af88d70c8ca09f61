//! The agent's second file: the modules that few hosts need. It comes over the channel when a task first needs one of
//! them, lies beside the first under the same name (`agent-` and its checksum) with the same permissions, and goes with
//! the same cleaning. A worker for such a module is forked as any other and becomes this file, so that content,
//! results, jobs, signals and deadlines go the ways they always go.

use super::{VERSION, worker};
use crate::proto::{SecondFile, hex};
use flate2::write::DeflateDecoder;
use sha2::{Digest, Sha256};
use std::ffi::CString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// So many names of files are told to the controller.
const TOLD: usize = 64;
/// Parts that nobody added to for so long were left by an agent that was killed.
const STALE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What the supervisor knows of the second file.
#[derive(Default)]
pub struct Second {
    /// Folders it may lie in: first that of this executable. Those where it could not be written are taken out.
    dirs: Vec<PathBuf>,
    upload: Option<Upload>,
    /// Number of the last upload that ended.
    pub ended: u64,
    /// Why it came to nothing, and no other folder is left to try.
    pub failed: Option<String>,
    /// The file that was found to have its checksum, and in which state that was.
    genuine: Option<(PathBuf, Identity)>,
}

/// Device, inode, size and times of change.
type Identity = (u64, u64, u64, (i64, i64), (i64, i64));

/// A file on its way here. It is opened for each piece, so that no worker that is forked meanwhile holds it open for
/// writing: nobody could start it then.
struct Upload {
    number: u64,
    part: PathBuf,
    unpack: DeflateDecoder<Vec<u8>>,
    sum: Sha256,
    bad: Option<Bad>,
}

enum Bad {
    /// What arrived is not the file.
    Damaged(String),
    /// It cannot be written here.
    Place(io::Error),
}

impl Second {
    pub fn new() -> Second {
        let exe = std::env::current_exe().ok();
        let mine = exe.as_ref().and_then(|p| p.parent()).filter(|d| is_alone(d)).map(Path::to_owned);
        let user = nix::unistd::geteuid();
        // where the agent itself would have gone next
        let others = [
            format!("/var/tmp/.dirigo-{user}"),
            format!("/dev/shm/.dirigo-{user}"),
            format!("/run/user/{user}/dirigo"),
            format!("/tmp/.dirigo-{user}"),
        ];
        Second { dirs: mine.into_iter().chain(others.map(PathBuf::from)).collect(), ..Second::default() }
    }

    /// Checksums in the names of the files that could be a second one.
    pub fn names(&self) -> Vec<String> {
        let all = self.dirs.iter().filter(|d| is_alone(d)).filter_map(|d| fs::read_dir(d).ok()).flatten().flatten();
        let usable = |e: fs::DirEntry| {
            let sum = e.file_name().to_str()?.strip_prefix("agent-").filter(|s| is_sum(s))?.to_owned();
            e.metadata().is_ok_and(|m| is_program(&m)).then_some(sum)
        };
        all.filter_map(usable).take(TOLD).collect()
    }

    /// The file, if it is here and has the right content.
    pub fn find(&mut self, wanted: &SecondFile) -> Option<PathBuf> {
        if let Some(path) = &wanted.path {
            return Some(path.into());
        }
        let name = format!("agent-{}", wanted.sha256);
        if !is_sum(&wanted.sha256) {
            return None;
        }
        for dir in self.dirs.iter().filter(|d| is_alone(d)) {
            let path = dir.join(&name);
            let Some(m) = fs::symlink_metadata(&path).ok().filter(is_program) else { continue };
            let known = (path.clone(), identity(&m));
            if self.genuine.as_ref() == Some(&known) || sum_of(&path).is_ok_and(|s| s == wanted.sha256) {
                self.genuine = Some(known);
                self.failed = None;
                return Some(path);
            }
        }
        None
    }

    /// Takes a piece of this upload; one with another number before its end is given up.
    pub fn piece(&mut self, number: u64, bytes: &[u8]) {
        if self.upload.as_ref().is_none_or(|u| u.number != number) {
            self.discard();
            self.upload = Some(self.begin(number));
        }
        if let Some(u) = &mut self.upload
            && u.bad.is_none()
        {
            u.bad = u.take(bytes).err();
        }
    }

    fn begin(&mut self, number: u64) -> Upload {
        let name = format!("up-{}-{number}", std::process::id());
        let mut upload = Upload {
            number,
            part: PathBuf::new(),
            unpack: DeflateDecoder::new(vec![]),
            sum: Sha256::new(),
            bad: Some(Bad::Place(io::Error::other("no folder for it"))),
        };
        while let Some(dir) = self.dirs.first() {
            upload.part = dir.join(&name);
            upload.bad = create(dir, &upload.part).err().map(Bad::Place);
            if upload.bad.is_none() || self.dirs.len() == 1 {
                break;
            }
            self.dirs.remove(0);
        }
        upload
    }

    /// The upload is complete: its file gets its name, or it is wanted once more for another folder, or
    /// [`Second::failed`] says why not.
    pub fn end(&mut self, number: u64, sha256: &str) {
        self.ended = number;
        self.failed = None;
        let Some(mut upload) = self.upload.take_if(|u| u.number == number) else {
            self.failed = Some("the agent's second file did not arrive".into());
            return;
        };
        match upload.finish(sha256) {
            Ok(known) => self.genuine = Some(known),
            Err(why) => {
                let _ = fs::remove_file(&upload.part);
                self.failed = match why {
                    Bad::Damaged(e) => Some(format!("the agent's second file arrived damaged: {e}")),
                    Bad::Place(_) if self.dirs.len() > 1 => None,
                    Bad::Place(e) => {
                        let part = upload.part.display();
                        Some(format!("the agent's second file could not be written to {part}: {e}"))
                    }
                };
                if self.failed.is_none() {
                    self.dirs.remove(0);
                }
            }
        }
    }

    /// Gives up an upload that has not ended.
    pub fn discard(&mut self) {
        if let Some(u) = self.upload.take() {
            let _ = fs::remove_file(&u.part);
        }
    }
}

impl Upload {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        // smaller steps, so that a few kilobytes that stand for many do not fill the memory
        for some in bytes.chunks(16 << 10) {
            self.unpack.write_all(some).and_then(|()| self.unpack.flush()).map_err(damaged)?;
            self.store().map_err(Bad::Place)?;
        }
        Ok(())
    }

    /// Appends what was unpacked to the file.
    fn store(&mut self) -> io::Result<()> {
        let plain = self.unpack.get_mut();
        if plain.is_empty() {
            return Ok(());
        }
        self.sum.update(plain.as_slice());
        OpenOptions::new().append(true).open(&self.part)?.write_all(plain)?;
        plain.clear();
        Ok(())
    }

    fn finish(&mut self, sha256: &str) -> Result<(PathBuf, Identity), Bad> {
        if let Some(e) = self.bad.take() {
            return Err(e);
        }
        self.unpack.try_finish().map_err(damaged)?;
        self.store().map_err(Bad::Place)?;
        if hex(&std::mem::take(&mut self.sum).finalize()) != sha256 {
            return Err(Bad::Damaged("its checksum is another".into()));
        }
        self.name(sha256).map_err(Bad::Place)
    }

    fn name(&self, sha256: &str) -> io::Result<(PathBuf, Identity)> {
        fs::set_permissions(&self.part, Permissions::from_mode(0o700))?;
        let path = self.part.with_file_name(format!("agent-{sha256}"));
        fs::rename(&self.part, &path)?;
        let known = identity(&fs::symlink_metadata(&path)?);
        Ok((path, known))
    }
}

fn damaged(e: io::Error) -> Bad {
    Bad::Damaged(e.to_string())
}

fn sum_of(path: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut sum)?;
    Ok(hex(&sum.finalize()))
}

/// An empty file of this name, in a folder of ours alone where files can be started; in place of one that another
/// process of the same number left.
fn create(dir: &Path, part: &Path) -> io::Result<()> {
    if fs::symlink_metadata(dir).is_err() {
        DirBuilder::new().mode(0o700).create(dir)?;
    }
    if !is_alone(dir) {
        return Err(io::Error::other("the folder is not this user's alone"));
    }
    if nix::sys::statvfs::statvfs(dir)?.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC) {
        return Err(io::Error::other("nothing can be started there (noexec)"));
    }
    clean(dir);
    let _ = fs::remove_file(part);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map(drop)
}

/// Removes what agents left that were killed in the middle of an upload.
fn clean(dir: &Path) {
    for e in fs::read_dir(dir).into_iter().flatten().flatten() {
        let old = |m: Metadata| m.modified().ok().and_then(|t| t.elapsed().ok()).is_some_and(|age| age > STALE);
        if e.file_name().to_string_lossy().starts_with("up-") && e.metadata().is_ok_and(old) {
            let _ = fs::remove_file(e.path());
        }
    }
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_ours(m: &Metadata) -> bool {
    m.uid() == nix::unistd::geteuid().as_raw() && m.mode() & 0o077 == 0
}

fn is_alone(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir() && is_ours(&m))
}

fn is_program(m: &Metadata) -> bool {
    m.is_file() && is_ours(m) && m.mode() & 0o100 != 0
}

fn identity(m: &Metadata) -> Identity {
    (m.dev(), m.ino(), m.size(), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()))
}

/// In a forked worker: becomes the second file, or answers why it cannot.
pub fn become_worker(path: &Path, sock: UnixStream) -> ! {
    let start = || -> io::Result<()> {
        let text = |t: &[u8]| CString::new(t).map_err(io::Error::other);
        let (program, fd) = (text(path.as_os_str().as_bytes())?, sock.as_raw_fd());
        let args = [
            program.clone(),
            c"__agent".to_owned(),
            c"work".to_owned(),
            text(VERSION.as_bytes())?,
            text(fd.to_string().as_bytes())?,
        ];
        // SAFETY: sets a flag of a descriptor that is open; the only one that the new program is to have.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        let Err(e) = nix::unistd::execv(&program, &args);
        Err(e.into())
    };
    let why = start().err().map(|e| e.to_string()).unwrap_or_default();
    worker::refuse(sock, &format!("the agent's second file {} could not be started: {why}", path.display()))
}

/// In the second file: goes on as the worker that became it, on this socket. Answers the exit code if it cannot.
pub fn work(version: &str, fd: i32) -> i32 {
    // SAFETY: asks for the flags of a descriptor and sets them; nothing of this process is there yet.
    if fd < 3 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return 2;
    }
    // SAFETY: the descriptor was left open for this process and is owned by nobody else in it.
    let sock = unsafe { UnixStream::from_raw_fd(fd) };
    // SAFETY: a process attribute at start, in a process with one thread.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    if version != VERSION {
        worker::refuse(sock, &format!("the agent is of version {version}, its second file of {VERSION}"));
    }
    worker::run(sock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut z = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::fast());
        z.write_all(bytes).unwrap();
        z.finish().unwrap()
    }

    fn place() -> (tempfile::TempDir, Second) {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let s = Second { dirs: vec![dir.path().to_owned()], ..Second::default() };
        (dir, s)
    }

    fn left(dir: &tempfile::TempDir) -> Vec<String> {
        fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn arrives_in_pieces_and_is_checked_at_every_change() {
        let (dir, mut s) = place();
        let bytes: Vec<u8> = (0..3_000_000u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        let wanted = SecondFile { sha256: hex(&Sha256::digest(&bytes)), path: None };
        assert_eq!(s.find(&wanted), None);
        // the first attempt is given up for the second
        s.piece(1, &packed(&bytes)[..70_000]);
        for some in packed(&bytes).chunks(64 << 10) {
            s.piece(2, some);
        }
        s.end(2, &wanted.sha256);
        assert_eq!((s.failed.as_deref(), s.ended), (None, 2));
        let path = s.find(&wanted).unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!((left(&dir).len(), s.names()), (1, vec![wanted.sha256.clone()]));
        // an agent that was not there finds it, and nobody takes it once it was changed
        let mut other = Second { dirs: s.dirs.clone(), ..Second::default() };
        assert!(other.find(&wanted).is_some());
        fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!((s.find(&wanted), other.find(&wanted)), (None, None));
        fs::write(&path, &bytes).unwrap();
        assert!(s.find(&wanted).is_some());
        fs::set_permissions(&path, Permissions::from_mode(0o720)).unwrap();
        assert_eq!((s.find(&wanted), s.names()), (None, vec![]));
    }

    #[test]
    fn what_arrives_damaged_or_cannot_be_written_leaves_nothing() {
        let (dir, mut s) = place();
        let sum = hex(&Sha256::digest(b"hello"));
        for (number, bytes) in
            [(1, packed(b"hallo")), (2, b"nothing packed".to_vec()), (3, packed(b"hello")[..4].to_vec())]
        {
            s.piece(number, &bytes);
            s.end(number, &sum);
            assert!(s.failed.take().is_some_and(|why| why.contains("second file")), "{number}");
        }
        s.end(4, &sum);
        assert!(s.failed.take().is_some_and(|why| why.contains("did not arrive")));
        s.piece(5, &packed(b"hello"));
        s.discard();
        assert_eq!(left(&dir), Vec::<String>::new());
        let mut nowhere = Second::default();
        nowhere.piece(1, &packed(b"hello"));
        nowhere.end(1, &sum);
        assert!(nowhere.failed.is_some_and(|why| why.contains("no folder")));
    }

    #[test]
    fn another_folder_where_the_first_takes_nothing() {
        let (dir, mut s) = place();
        let sum = hex(&Sha256::digest(b"hello"));
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        s.dirs = vec!["/proc/nowhere".into(), open.clone(), "/dev/null/x".into(), dir.path().join("new")];
        s.piece(1, &packed(b"hello"));
        s.end(1, &sum);
        assert_eq!(s.failed, None);
        let path = s.find(&SecondFile { sha256: sum.clone(), path: None }).unwrap();
        assert_eq!(path, dir.path().join("new").join(format!("agent-{sum}")));
        // the folder goes in the middle of an upload
        s.dirs.push(dir.path().to_owned());
        s.piece(2, &packed(b"hello")[..5]);
        fs::remove_dir_all(dir.path().join("new")).unwrap();
        s.piece(2, &packed(b"hello")[5..]);
        s.end(2, &sum);
        assert_eq!((s.failed.as_deref(), s.dirs.len()), (None, 1), "wanted once more");
        s.piece(3, &packed(b"hello"));
        s.end(3, &sum);
        assert!(s.find(&SecondFile { sha256: sum, path: None }).is_some_and(|p| p.starts_with(dir.path())));
    }

    #[test]
    fn parts_of_the_killed_go() {
        let (dir, mut s) = place();
        let old = dir.path().join("up-1-1");
        fs::write(&old, "x").unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * STALE;
        fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        fs::write(dir.path().join("up-2-1"), "x").unwrap();
        s.piece(1, &packed(b"hello"));
        s.discard();
        assert_eq!(left(&dir), ["up-2-1"]);
    }
}
