//! Password questions on a terminal: `doas` and some `su` ask nowhere else.
//!
//! Runs the command with a pseudo terminal as its controlling terminal, while stdin, stdout and stderr stay
//! the channel's own. The password is the first line of stdin; it is typed once, when something is asked.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

/// Runs the command; returns its exit code.
pub fn run(token: &str, command: &[&str]) -> i32 {
    match start(token, command) {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(io::stderr(), "dirigo-agent: {e}");
            126
        }
    }
}

/// One line, byte by byte: what follows belongs to the command.
fn read_line() -> io::Result<Vec<u8>> {
    // SAFETY: stdin stays open for the command; the file is forgotten before it could close it.
    let mut stdin = std::mem::ManuallyDrop::new(unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(0) });
    let mut line = vec![];
    let mut b = [0u8; 1];
    while stdin.read(&mut b)? == 1 && b != [b'\n'] && line.len() < 4096 {
        line.extend_from_slice(&b);
    }
    Ok(line)
}

fn start(token: &str, command: &[&str]) -> io::Result<i32> {
    let mut out = io::stdout();
    out.write_all(format!("\n{token} TTY\n").as_bytes())?;
    out.flush()?;
    let mut password = read_line()?;
    password.push(b'\n');
    let pty = nix::pty::openpty(None, None)?;
    let args: Vec<CString> =
        command.iter().map(|a| CString::new(*a)).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let program = args.first().ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: this process has one thread; the child only makes system calls until it execs.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: as above.
            unsafe {
                libc::setsid();
                libc::ioctl(pty.slave.as_raw_fd(), libc::TIOCSCTTY, 0);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                libc::close(pty.slave.as_raw_fd());
                libc::close(pty.master.as_raw_fd());
            }
            let _ = nix::unistd::execvp(program, &args);
            // SAFETY: ends the child that could not become the command.
            unsafe { libc::_exit(127) }
        }
        pid => pid,
    };
    drop(pty.slave);
    release_stdio();
    let mut tty = std::fs::File::from(pty.master);
    let mut asked = false;
    let mut part = [0u8; 4096];
    loop {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        // The slave side is opened by whoever asks, so the end of the command is found by looking.
        let wait = PollTimeout::from(if asked { 1000u16 } else { 100 });
        let ready = poll(&mut [PollFd::new(tty.as_fd(), PollFlags::POLLIN)], wait).unwrap_or(0);
        let mut got = 0;
        if ready > 0 {
            got = tty.read(&mut part).unwrap_or(0);
        }
        let text = part.get(..got).unwrap_or(&[]);
        if !asked && !text.trim_ascii().is_empty() {
            asked = true;
            tty.write_all(&password)?;
            password.fill(0);
        } else if !text.trim_ascii().is_empty() {
            let _ = io::stderr().write_all(text);
        } else {
            let mut status = 0;
            // SAFETY: status outlives the call; the child is ours.
            let ended = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
            if ended == child {
                return Ok(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
            if ready > 0 {
                // Nobody has the terminal open: reading fails at once and must not turn into a busy loop.
                std::thread::sleep(std::time::Duration::from_millis(if asked { 500 } else { 20 }));
            }
        }
    }
}

/// The channel's stdin and stdout belong to the command alone: its end must be seen by the other side.
fn release_stdio() {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for fd in [0, 1] {
            // SAFETY: replaces descriptors that the child has its own copies of.
            unsafe { libc::dup2(null.as_raw_fd(), fd) };
        }
    }
}
