//! Replacing files without a moment in which a reader sees half of one: a temporary file in the same
//! directory (mode 0600), made like the old one, synced, renamed; then the directory is synced, at once or by [`settle`].
//!
//! While content is written the file has no name (`O_TMPFILE`), where the file system can do that: a process that is
//! killed leaves nothing behind. It gets an unpredictable name only when it is complete, for the time of its
//! validation and of the rename. Elsewhere it has that name (made with `O_EXCL`) from the beginning.

use super::exec::{Cmd, Output};
use super::fileargs::{AttrDiff, FileArgs, is_root};
use super::{mode::umask, pytext::os_error, selinux};
use crate::modules::Failure;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// New content on its way to `dest`; dropped without [`Staged::commit`] it leaves nothing behind.
pub struct Staged {
    temp: Temp,
    dest: PathBuf,
    unsafe_writes: bool,
}

enum Temp {
    /// Without a name, in the directory of `dest`.
    Nameless(File),
    Named(NamedTempFile),
    /// Between the two.
    Moving,
}

/// A new name beside the file that is replaced.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut b = tempfile::Builder::new();
    b.prefix(".dirigo_tmp").rand_bytes(12).suffix(".tmp");
    b
}

fn directory_of(dest: &Path) -> &Path {
    match dest.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// A file without a name in a directory; nothing where the file system or the kernel has no such files.
fn nameless(dir: &Path) -> Option<File> {
    OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open(dir).ok()
}

/// Gives a file without a name one in `dir`; where that cannot be done (no /proc), its content goes to a named file.
fn name(mut file: File, dir: &Path) -> io::Result<NamedTempFile> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = builder().make_in(dir, |path| {
        let flags = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
        nix::unistd::linkat(nix::fcntl::AT_FDCWD, own.as_str(), nix::fcntl::AT_FDCWD, path, flags)
            .map_err(io::Error::from)
    });
    match linked {
        Ok(l) => Ok(NamedTempFile::from_parts(file, l.into_temp_path())),
        Err(_) => {
            let mut named = builder().tempfile_in(dir)?;
            file.seek(io::SeekFrom::Start(0))?;
            io::copy(&mut file, named.as_file_mut())?;
            Ok(named)
        }
    }
}

/// Opens a temporary file beside `dest`. With `unsafe_writes` a directory that cannot be written is
/// worked around with the system's temporary directory and, at the end, a write into the file itself.
pub fn stage(dest: &Path, unsafe_writes: bool) -> Result<Staged, Failure> {
    let dir = directory_of(dest);
    if let Some(f) = nameless(dir) {
        return Ok(Staged { temp: Temp::Nameless(f), dest: dest.to_owned(), unsafe_writes });
    }
    let temp = match builder().tempfile_in(dir) {
        Ok(t) => t,
        Err(_) if unsafe_writes && dest.exists() => builder().tempfile().map_err(|e| Failure::new(e.to_string()))?,
        Err(e) => {
            // The words before the reason depend on it, as Ansible's do.
            let why = os_error(&raw(e), dir);
            let what = if dir.is_dir() { "is not writable by the current user" } else { "does not exist" };
            let dir = dir.display();
            return Err(Failure::new(format!("The destination directory ({dir}) {what}. Error was: {why}")));
        }
    };
    Ok(Staged { temp: Temp::Named(temp), dest: dest.to_owned(), unsafe_writes })
}

/// As [`stage`], for large content whose transfer may be cut: see [`super::partial`].
pub fn stage_partial(dest: &Path, unsafe_writes: bool) -> Result<Staged, Failure> {
    match super::partial::create(dest) {
        Ok(t) => Ok(Staged { temp: Temp::Named(t), dest: dest.to_owned(), unsafe_writes }),
        Err(_) => stage(dest, unsafe_writes),
    }
}

// The tempfile crate wraps the system's error with the path it tried; the number is inside.
fn raw(e: io::Error) -> io::Error {
    let code = e.raw_os_error().or_else(|| {
        let inner = e.get_ref()?.source()?.downcast_ref::<io::Error>()?;
        inner.raw_os_error()
    });
    let by_kind = match e.kind() {
        io::ErrorKind::NotFound => Some(libc::ENOENT),
        io::ErrorKind::PermissionDenied => Some(libc::EACCES),
        io::ErrorKind::NotADirectory => Some(libc::ENOTDIR),
        io::ErrorKind::ReadOnlyFilesystem => Some(libc::EROFS),
        io::ErrorKind::StorageFull => Some(libc::ENOSPC),
        _ => None,
    };
    code.or(by_kind).map(io::Error::from_raw_os_error).unwrap_or(e)
}

impl Staged {
    /// The temporary file, for validation; the content is complete then.
    pub fn path(&mut self) -> Result<&Path, Failure> {
        self.named().map(|t| t.path())
    }
    /// The temporary file, with a name.
    fn named(&mut self) -> Result<&mut NamedTempFile, Failure> {
        if let Temp::Nameless(_) = self.temp
            && let Temp::Nameless(f) = std::mem::replace(&mut self.temp, Temp::Moving)
        {
            self.temp = Temp::Named(name(f, directory_of(&self.dest)).map_err(|e| self.error(&raw(e)))?);
        }
        match &mut self.temp {
            Temp::Named(t) => Ok(t),
            _ => Err(Failure::new(format!("the new content of {} is gone", self.dest.display()))),
        }
    }
    pub fn file(&mut self) -> Result<&mut File, Failure> {
        match &mut self.temp {
            Temp::Nameless(f) => Ok(f),
            Temp::Named(t) => Ok(t.as_file_mut()),
            Temp::Moving => Err(Failure::new(format!("the new content of {} is gone", self.dest.display()))),
        }
    }
    pub fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let at = self.dest.clone();
        self.file()?.write_all(data).map_err(|e| Failure::new(os_error(&e, &at)))
    }
    /// Copies everything a reader gives.
    pub fn fill(&mut self, mut r: impl Read) -> Result<(), Failure> {
        let at = self.dest.clone();
        io::copy(&mut r, self.file()?).map(drop).map_err(|e| Failure::new(os_error(&e, &at)))
    }
    /// As [`Staged::fill`], and tells every piece to `each`. What was written goes to the disk meanwhile, so that
    /// little is left for the sync at the end.
    pub fn fill_told(&mut self, mut r: impl BufRead, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        const PORTION: u64 = 8 << 20;
        let at = self.dest.clone();
        let fail = |e: io::Error| Failure::new(os_error(&e, &at));
        let f = self.file()?;
        let begin = f.stream_position().map_err(fail)?;
        let (mut done, mut flushed) = (begin, begin);
        loop {
            let part = match r.fill_buf() {
                Ok(p) => p,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(fail(e)),
            };
            if part.is_empty() {
                return Ok(());
            }
            each(part);
            f.write_all(part).map_err(fail)?;
            let n = part.len();
            r.consume(n);
            done += n as u64;
            if done - flushed >= PORTION {
                start_writing(f, flushed, done - flushed);
                flushed = done;
            }
        }
    }

    /// Takes back everything that was written.
    pub fn clear(&mut self) -> Result<(), Failure> {
        let at = self.dest.clone();
        let f = self.file()?;
        f.set_len(0).and_then(|()| f.rewind()).map_err(|e| Failure::new(os_error(&e, &at)))
    }

    /// Puts the content in place: with the old file's owner, mode and labels, or a new file's
    /// ordinary mode.
    pub fn commit(self) -> Result<(), Failure> {
        self.commit_with(&FileArgs::default(), &mut AttrDiff::default()).map(drop)
    }

    /// As [`Staged::commit`], and with the attributes that a task asks for; they are set before the
    /// rename, so that nobody sees the new content with the old or an ordinary mode. True if the
    /// attributes differ from what the file had (or would have had as a new one).
    pub fn commit_with(mut self, want: &FileArgs, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let at_end = FileArgs { attributes: want.attributes.clone(), label: want.label.clone(), ..FileArgs::default() };
        let before = FileArgs { attributes: None, label: Default::default(), ..want.clone() };
        let dest = self.dest.clone();
        self.make_alike()?;
        let renamed = |mut f: Failure| {
            if f.data.contains_key("path") {
                f.data.insert("path".into(), dest.to_string_lossy().into_owned().into());
            }
            f
        };
        let changed = before.apply(self.path()?, false, diff).map_err(renamed)?;
        self.rename()?;
        Ok(at_end.apply(&dest, false, diff)? | changed)
    }

    fn error(&self, e: &io::Error) -> Failure {
        let from = match &self.temp {
            Temp::Named(t) => t.path(),
            _ => directory_of(&self.dest),
        };
        let (from, to) = (from.display(), self.dest.display());
        Failure::new(format!("Could not replace file: {from} with {to}: {}", os_error(e, &self.dest)))
    }

    /// Gives the temporary file what the old file had, or what a new one gets.
    fn make_alike(&mut self) -> Result<(), Failure> {
        let (temp, dest) = (self.path()?.to_owned(), self.dest.clone());
        let f = self.file()?.try_clone().map_err(|e| self.error(&e))?;
        let Ok(st) = std::fs::symlink_metadata(&dest) else {
            f.set_permissions(Permissions::from_mode(0o666 & !umask())).map_err(|e| self.error(&e))?;
            if selinux::enabled()
                && let Some(l) = selinux::default_label(&dest)
            {
                // The content matters more than a label that the system will not set.
                let _ = selinux::set_label(&temp, &l);
            }
            return Ok(());
        };
        let same = f.metadata().is_ok_and(|m| m.uid() == st.uid() && m.gid() == st.gid());
        if !same && let Err(e) = fchown(&f, Some(st.uid()), Some(st.gid())) {
            // Only root can give files away; the group may still be one of ours.
            if e.raw_os_error() != Some(libc::EPERM) || is_root() {
                return Err(self.error(&e));
            }
            let _ = fchown(&f, None, Some(st.gid()));
        }
        let mode = if st.is_symlink() { 0o666 & !umask() } else { st.mode() & 0o7777 };
        f.set_permissions(Permissions::from_mode(mode)).map_err(|e| self.error(&e))?;
        selinux::copy_labels(&dest, &temp);
        Ok(())
    }

    fn rename(mut self) -> Result<(), Failure> {
        if let Err(e) = self.named()?.as_file().sync_all() {
            return Err(self.error(&e));
        }
        let Staged { temp: Temp::Named(temp), dest, unsafe_writes } = self else {
            return Err(Failure::new("the new content is gone"));
        };
        match temp.persist(&dest) {
            Ok(_) => {
                renamed(&dest);
                Ok(())
            }
            Err(e) if unsafe_writes && may_write_into(&e.error) => overwrite(e.file.path(), &dest),
            Err(e) => {
                let (from, to) = (e.file.path().display().to_string(), dest.display());
                let why = os_error(&e.error, &dest);
                Err(Failure::new(format!("Could not replace file: {from} with {to}: {why}")))
            }
        }
    }
}

/// Renaming fails so on bind mounts, across devices and in directories that are closed to us.
fn may_write_into(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EPERM | libc::EXDEV | libc::EACCES | libc::ETXTBSY | libc::EBUSY))
}

fn overwrite(from: &Path, dest: &Path) -> Result<(), Failure> {
    let fail = |e: io::Error| {
        Failure::new(format!(
            "Could not write data to file ({}) from ({}): {}",
            dest.display(),
            from.display(),
            os_error(&e, dest)
        ))
    };
    let mut src = File::open(from).map_err(fail)?;
    let mut dst = OpenOptions::new().write(true).truncate(true).open(dest).map_err(fail)?;
    io::copy(&mut src, &mut dst).map_err(fail)?;
    dst.sync_all().map_err(fail)
}

/// Asks the kernel to begin with writing this range to the disk. Only speed depends on it.
fn start_writing(f: &File, from: u64, len: u64) {
    if let (Ok(from), Ok(len)) = (from.try_into(), len.try_into()) {
        // SAFETY: plain system call on an open descriptor.
        unsafe { libc::sync_file_range(f.as_raw_fd(), from, len, libc::SYNC_FILE_RANGE_WRITE) };
    }
}

/// Directories with new names that the disk may not have yet; `None` where each is synced at once.
static OWED: Mutex<Option<BTreeSet<PathBuf>>> = Mutex::new(None);

fn owed() -> MutexGuard<'static, Option<BTreeSet<PathBuf>>> {
    OWED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on directories are synced by [`settle`], once for all files that were renamed in them. The order on the
/// disk stays: a file's content is there before its name.
pub fn put_off() {
    owed().get_or_insert_default();
}

/// Whether [`settle`] has something to do.
pub fn owes() -> bool {
    owed().as_ref().is_some_and(|o| !o.is_empty())
}

/// Syncs the directories that were put off.
pub fn settle() {
    let all = owed().as_mut().map(std::mem::take).unwrap_or_default();
    all.iter().for_each(|d| sync_dir(d));
}

fn renamed(dest: &Path) {
    let dir = directory_of(dest);
    match owed().as_mut() {
        // the working directory may be another one by then
        Some(o) => drop(o.insert(std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf()))),
        None => sync_dir(dir),
    }
}

fn sync_dir(dir: &Path) {
    // Some file systems cannot sync directories; the rename has happened all the same.
    if let Ok(d) = File::open(dir) {
        let _ = d.sync_all();
    }
}

/// Replaces `dest` with `data` in one step.
pub fn write(dest: &Path, data: &[u8], unsafe_writes: bool) -> Result<(), Failure> {
    let mut s = stage(dest, unsafe_writes)?;
    s.write(data)?;
    s.commit()
}

/// Runs a `validate` command on a file: `%s` is its path. No shell is involved.
fn checked(command: &str, path: &Path, env: &[(String, String)]) -> Result<Output, Failure> {
    if !command.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {command}")));
    }
    if command.matches("%s").count() > 1 {
        return Err(Failure::uncaught("not enough arguments for format string"));
    }
    let words = super::shlex::split(command).map_err(Failure::new)?;
    let file = path.to_string_lossy();
    Cmd::new(words.iter().map(|w| w.replace("%s", &file))).start(env)
}

/// A `validate` command must accept the file; a refusal is told with what the command wrote.
pub fn validate(command: &str, path: &Path, env: &[(String, String)]) -> Result<(), Failure> {
    let out = checked(command, path, env)?;
    if out.ok() {
        return Ok(());
    }
    Err(Failure::new("failed to validate").set("exit_status", out.rc).set("stdout", out.out()).set("stderr", out.err()))
}

/// As [`validate`], in the words of the modules that edit text; what an accepting command left.
pub fn accepted(command: &str, path: &Path, env: &[(String, String)]) -> Result<Output, Failure> {
    let out = checked(command, path, env)?;
    if out.ok() {
        return Ok(out);
    }
    Err(Failure::new(format!("failed to validate: rc:{} error:{}", out.rc, out.err())))
}

/// Copies a file with owner, mode, times and labels to `PATH.PID.YYYY-MM-DD@HH:MM:SS~` beside it and
/// answers that name, as the `backup` argument does; empty text if there is nothing to copy.
pub fn backup(path: &Path) -> Result<String, Failure> {
    let Ok(st) = std::fs::metadata(path) else { return Ok(String::new()) };
    let stamp = super::localtime::now().strftime("%Y-%m-%d@%H:%M:%S").to_string();
    let fail = |e: io::Error, to: &Path| {
        Failure::new(format!("Could not make backup of {} to {}: {}", path.display(), to.display(), os_error(&e, to)))
    };
    // A resident agent keeps its pid, so two backups within a second need different numbers.
    for n in 0..1000u32 {
        let name = format!("{}.{}.{stamp}~", path.display(), std::process::id() + n);
        let to = PathBuf::from(&name);
        let mut dst = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to) {
            Ok(f) => f,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(fail(e, &to)),
        };
        let copied = File::open(path).and_then(|mut src| io::copy(&mut src, &mut dst)).and_then(|_| like(&dst, &st));
        if let Err(e) = copied {
            let _ = std::fs::remove_file(&to);
            return Err(fail(e, &to));
        }
        selinux::copy_labels(path, &to);
        return Ok(name);
    }
    Err(Failure::new(format!("Could not make backup of {}: every name is taken", path.display())))
}

/// Gives an open file the owner (as far as we may), mode and times of another.
pub fn like(f: &File, st: &std::fs::Metadata) -> io::Result<()> {
    if fchown(f, Some(st.uid()), Some(st.gid())).is_err() {
        let _ = fchown(f, None, Some(st.gid()));
    }
    f.set_permissions(Permissions::from_mode(st.mode() & 0o7777))?;
    let times = std::fs::FileTimes::new().set_accessed(st.accessed()?).set_modified(st.modified()?);
    f.set_times(times)?;
    f.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_wait_until_it_is_settled() {
        let d = tempfile::tempdir().expect("dir");
        put_off();
        for name in ["a", "b"] {
            write(&d.path().join(name), b"x", false).expect("written");
        }
        assert!(owed().as_ref().is_some_and(|o| o.contains(d.path())));
        settle();
        assert!(!owed().as_ref().is_some_and(|o| o.contains(d.path())));
        assert!(owed().is_some(), "further ones are put off again");
        *owed() = None;
    }

    #[test]
    fn keeps_mode_and_leaves_no_litter() {
        let d = tempfile::tempdir().expect("dir");
        let p = d.path().join("f");
        std::fs::write(&p, "old").expect("written");
        std::fs::set_permissions(&p, Permissions::from_mode(0o640)).expect("set");
        write(&p, b"new", false).expect("replaced");
        assert_eq!(std::fs::read(&p).expect("read"), b"new");
        assert_eq!(p.metadata().expect("stat").mode() & 0o7777, 0o640);
        drop(stage(&p, false).expect("staged"));
        assert_eq!(std::fs::read_dir(d.path()).expect("list").count(), 1);
    }

    #[test]
    fn staged_content_is_closed_to_others() {
        let d = tempfile::tempdir().expect("dir");
        let mut s = stage(&d.path().join("f"), false).expect("staged");
        assert_eq!(s.path().expect("named").metadata().expect("stat").mode() & 0o7777, 0o600);
    }

    /// What a process leaves that is killed: nothing of it runs any more, destructors least of all.
    #[test]
    fn nothing_is_left_by_one_that_is_killed() {
        let d = tempfile::tempdir().expect("dir");
        if nameless(d.path()).is_none() {
            return; // the file system has no files without a name
        }
        let mut s = stage(&d.path().join("f"), false).expect("staged");
        s.write(b"half of it").expect("written");
        std::mem::forget(s);
        assert_eq!(std::fs::read_dir(d.path()).expect("list").count(), 0);
    }

    #[test]
    fn files_get_their_name_at_the_end() {
        let d = tempfile::tempdir().expect("dir");
        let dest = d.path().join("f");
        for named in [false, true] {
            let temp = match nameless(d.path()) {
                Some(f) if !named => Temp::Nameless(f),
                _ => Temp::Named(builder().tempfile_in(d.path()).expect("temporary file")),
            };
            let mut s = Staged { temp, dest: dest.clone(), unsafe_writes: false };
            s.write(b"all of it").expect("written");
            let path = s.path().expect("named").to_owned();
            assert_eq!(std::fs::read(&path).expect("read"), b"all of it");
            assert!(path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".dirigo_tmp")));
            s.commit().expect("in place");
            assert_eq!(std::fs::read(&dest).expect("read"), b"all of it");
            assert_eq!(std::fs::read_dir(d.path()).expect("list").count(), 1);
        }
    }

    #[test]
    fn missing_directory_is_named() {
        let f = write(Path::new("/no/such/dir/f"), b"", false).expect_err("refused");
        assert!(f.msg.starts_with("The destination directory (/no/such/dir) does not exist"), "{}", f.msg);
        assert!(f.msg.contains("[Errno 2] No such file or directory"), "{}", f.msg);
    }

    #[test]
    fn backups_do_not_collide() {
        let d = tempfile::tempdir().expect("dir");
        let p = d.path().join("f");
        std::fs::write(&p, "x").expect("written");
        let (a, b) = (backup(&p).expect("first"), backup(&p).expect("second"));
        assert_ne!(a, b);
        assert_eq!(std::fs::read(&a).expect("read"), b"x");
        assert!(a.ends_with('~') && a.contains('@'));
    }
}
