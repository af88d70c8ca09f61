//! Replacing files without a moment in which a reader sees half of one: a temporary file in the same
//! directory (unpredictable name, O_EXCL, mode 0600), made like the old one, synced, renamed.

use super::fileargs::{AttrDiff, FileArgs, is_root};
use super::{mode::umask, pytext::os_error, selinux};
use crate::modules::Failure;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// New content on its way to `dest`; dropped without [`Staged::commit`] it leaves nothing behind.
pub struct Staged {
    temp: NamedTempFile,
    dest: PathBuf,
    unsafe_writes: bool,
}

/// Opens a temporary file beside `dest`. With `unsafe_writes` a directory that cannot be written is
/// worked around with the system's temporary directory and, at the end, a write into the file itself.
pub fn stage(dest: &Path, unsafe_writes: bool) -> Result<Staged, Failure> {
    let dir = match dest.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let named = || tempfile::Builder::new().prefix(".dirigo_tmp").rand_bytes(12).suffix(".tmp").to_owned();
    let temp = match named().tempfile_in(dir) {
        Ok(t) => t,
        Err(_) if unsafe_writes && dest.exists() => named().tempfile().map_err(|e| Failure::new(e.to_string()))?,
        Err(e) => {
            // The words before the reason depend on it, as Ansible's do.
            let why = os_error(&raw(e), dir);
            let what = if dir.is_dir() { "is not writable by the current user" } else { "does not exist" };
            let dir = dir.display();
            return Err(Failure::new(format!("The destination directory ({dir}) {what}. Error was: {why}")));
        }
    };
    Ok(Staged { temp, dest: dest.to_owned(), unsafe_writes })
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
    /// The temporary file, for validation.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }
    pub fn file(&mut self) -> &mut File {
        self.temp.as_file_mut()
    }
    pub fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let at = self.temp.path().to_owned();
        self.temp.write_all(data).map_err(|e| Failure::new(os_error(&e, &at)))
    }
    /// Copies everything a reader gives.
    pub fn fill(&mut self, mut r: impl Read) -> Result<(), Failure> {
        let at = self.temp.path().to_owned();
        io::copy(&mut r, self.temp.as_file_mut()).map(drop).map_err(|e| Failure::new(os_error(&e, &at)))
    }
    /// As [`Staged::fill`], and feeds everything to a checksum. What was written goes to the disk meanwhile, so that
    /// little is left for the sync at the end.
    pub fn fill_summed(&mut self, mut r: impl BufRead, sum: &mut impl md5::Digest) -> Result<(), Failure> {
        const PORTION: u64 = 8 << 20;
        let at = self.temp.path().to_owned();
        let fail = |e: io::Error| Failure::new(os_error(&e, &at));
        let f = self.temp.as_file_mut();
        let (mut done, mut flushed) = (0u64, 0u64);
        loop {
            let part = match r.fill_buf() {
                Ok(p) => p,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(fail(e)),
            };
            if part.is_empty() {
                return Ok(());
            }
            sum.update(part);
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
        let changed = before.apply(self.temp.path(), false, diff).map_err(renamed)?;
        self.rename()?;
        Ok(at_end.apply(&dest, false, diff)? | changed)
    }

    fn error(&self, e: &io::Error) -> Failure {
        let (from, to) = (self.temp.path().display(), self.dest.display());
        Failure::new(format!("Could not replace file: {from} with {to}: {}", os_error(e, &self.dest)))
    }

    /// Gives the temporary file what the old file had, or what a new one gets.
    fn make_alike(&mut self) -> Result<(), Failure> {
        let f = self.temp.as_file();
        let Ok(st) = std::fs::symlink_metadata(&self.dest) else {
            f.set_permissions(Permissions::from_mode(0o666 & !umask())).map_err(|e| self.error(&e))?;
            if selinux::enabled()
                && let Some(l) = selinux::default_label(&self.dest)
            {
                // The content matters more than a label that the system will not set.
                let _ = selinux::set_label(self.temp.path(), &l);
            }
            return Ok(());
        };
        let same = f.metadata().is_ok_and(|m| m.uid() == st.uid() && m.gid() == st.gid());
        if !same && let Err(e) = fchown(f, Some(st.uid()), Some(st.gid())) {
            // Only root can give files away; the group may still be one of ours.
            if e.raw_os_error() != Some(libc::EPERM) || is_root() {
                return Err(self.error(&e));
            }
            let _ = fchown(f, None, Some(st.gid()));
        }
        let mode = if st.is_symlink() { 0o666 & !umask() } else { st.mode() & 0o7777 };
        f.set_permissions(Permissions::from_mode(mode)).map_err(|e| self.error(&e))?;
        selinux::copy_labels(&self.dest, self.temp.path());
        Ok(())
    }

    fn rename(self) -> Result<(), Failure> {
        self.temp.as_file().sync_all().map_err(|e| self.error(&e))?;
        let Staged { temp, dest, unsafe_writes } = self;
        match temp.persist(&dest) {
            Ok(_) => {
                sync_dir(&dest);
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

fn sync_dir(dest: &Path) {
    if let Some(dir) = dest.parent().filter(|p| !p.as_os_str().is_empty())
        && let Ok(d) = File::open(dir)
    {
        // Some file systems cannot sync directories; the rename has happened all the same.
        let _ = d.sync_all();
    }
}

/// Replaces `dest` with `data` in one step.
pub fn write(dest: &Path, data: &[u8], unsafe_writes: bool) -> Result<(), Failure> {
    let mut s = stage(dest, unsafe_writes)?;
    s.write(data)?;
    s.commit()
}

/// Runs a `validate` command on a staged file: `%s` is its path. No shell is involved.
pub fn validate(command: &str, path: &Path, env: &[(String, String)]) -> Result<(), Failure> {
    if !command.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {command}")));
    }
    let words = super::shlex::split(command).map_err(Failure::new)?;
    let file = path.to_string_lossy();
    let argv: Vec<String> = words.iter().map(|w| w.replace("%s", &file)).collect();
    let out = super::proc::run(&argv, env, None)?;
    if out.rc == 0 {
        return Ok(());
    }
    Err(Failure::new("failed to validate")
        .set("exit_status", out.rc)
        .set("stdout", out.stdout)
        .set("stderr", out.stderr))
}

/// Copies a file with owner, mode, times and labels to `PATH.PID.YYYY-MM-DD@HH:MM:SS~` beside it and
/// answers that name, as the `backup` argument does; empty text if there is nothing to copy.
pub fn backup(path: &Path) -> Result<String, Failure> {
    let Ok(st) = std::fs::metadata(path) else { return Ok(String::new()) };
    let stamp = jiff::Zoned::now().strftime("%Y-%m-%d@%H:%M:%S").to_string();
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
        let s = stage(&d.path().join("f"), false).expect("staged");
        assert_eq!(s.path().metadata().expect("stat").mode() & 0o7777, 0o600);
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
