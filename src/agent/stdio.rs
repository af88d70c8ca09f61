//! The streams of the process on the channel.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Room in a pipe between agent and controller that large content goes through, in bytes: the most that users may ask for by
/// default.
const WIDE: libc::c_int = 1 << 20;
/// Who reads this much at once has content before him.
pub const MUCH: usize = 32 << 10;

/// Gives the pipe more room, which spares most of the switching to sshd and back. It may be none, or the user may have too
/// many; then it stays as it is. Not done before it is needed, because the system counts what a user has in pipes.
pub fn widen(pipe: &impl AsFd) {
    let _ = nix::fcntl::fcntl(pipe.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(WIDE));
}

/// Writes these bytes behind what waits already; what does not go without waiting is kept.
pub fn send(bytes: &[u8], waiting: &mut VecDeque<u8>, to: &mut impl Write) -> io::Result<()> {
    let mut left = bytes;
    while waiting.is_empty() && !left.is_empty() {
        match to.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => left = left.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                waiting.extend(left);
                return Err(e);
            }
        }
    }
    waiting.extend(left);
    Ok(())
}

/// Writes as much as goes without waiting.
pub fn send_some(from: &mut VecDeque<u8>, to: &mut impl Write) -> io::Result<()> {
    while !from.is_empty() {
        let (a, _) = from.as_slices();
        match to.write(a) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => drop(from.drain(..n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Moves the channel away from 0 and 1, where modules' processes would find it, and puts /dev/null there.
pub fn take_stdio() -> io::Result<(File, File)> {
    let take = |fd: i32| -> io::Result<File> {
        // SAFETY: the duplicate is a new descriptor that nobody else owns.
        let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10) };
        if new < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        let file = unsafe { OwnedFd::from_raw_fd(new) };
        // SAFETY: sets a flag of an open descriptor.
        unsafe {
            let flags = libc::fcntl(new, libc::F_GETFL);
            libc::fcntl(new, libc::F_SETFL, flags | libc::O_NONBLOCK);
        }
        Ok(file.into())
    };
    let (from, to) = (take(0)?, take(1)?);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in [0, 1] {
        // SAFETY: replaces descriptors that were duplicated above.
        if unsafe { libc::dup2(null.as_raw_fd(), fd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok((from, to))
}
