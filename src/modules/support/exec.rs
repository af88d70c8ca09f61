//! Starting processes: no shell unless the caller names one, output read while input is written.

use crate::modules::Ctx;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What both streams together may hold; beyond it the process is ended and the call fails.
const MAX_OUTPUT: usize = 32 << 20;
/// Room for what most programs write, and for those that fill it.
const SOME: usize = 4 << 10;
const MUCH: usize = 64 << 10;
/// A write of this size into a pipe that polls writable never blocks (PIPE_BUF).
const PIPE_WRITE: usize = 4096;

/// A process to run to its end.
#[derive(Clone, Debug, Default)]
pub struct Cmd {
    argv: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    limit: Option<Duration>,
    user: Option<(u32, u32)>,
    umask: Option<u32>,
}

/// What a process left behind. `rc` is negative for a death by signal, as Python has it.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub rc: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
    pub fn ok(&self) -> bool {
        self.rc == 0
    }
    /// A failure with `rc`, `stdout` and `stderr`.
    pub fn failure(&self, msg: impl Into<String>) -> crate::modules::Failure {
        crate::modules::Failure::new(msg).set("rc", self.rc).set("stdout", self.out()).set("stderr", self.err())
    }
}

/// Why a process could not be run: the error number (0 if there is none) and its words.
#[derive(Clone, Debug)]
pub struct SpawnError {
    pub errno: i32,
    pub text: String,
    /// True if a time limit ended the process.
    pub timed_out: bool,
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<SpawnError> for crate::modules::Failure {
    fn from(e: SpawnError) -> Self {
        crate::modules::Failure::new(e.text)
    }
}

impl Cmd {
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Cmd {
        Cmd { argv: argv.into_iter().map(Into::into).collect(), ..Cmd::default() }
    }
    pub fn arg(mut self, a: impl Into<String>) -> Cmd {
        self.argv.push(a.into());
        self
    }
    pub fn args<S: Into<String>>(mut self, a: impl IntoIterator<Item = S>) -> Cmd {
        self.argv.extend(a.into_iter().map(Into::into));
        self
    }
    pub fn cwd(mut self, dir: impl Into<String>) -> Cmd {
        self.cwd = Some(dir.into());
        self
    }
    /// Sets a variable, over those of the task's `environment`.
    pub fn env(mut self, k: &str, v: impl Into<String>) -> Cmd {
        self.env.push((k.into(), v.into()));
        self
    }
    /// English messages in UTF-8, for programs whose output is read.
    pub fn c_locale(self) -> Cmd {
        self.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").env("LC_MESSAGES", "C.UTF-8")
    }
    pub fn stdin(mut self, data: impl Into<Vec<u8>>) -> Cmd {
        self.stdin = Some(data.into());
        self
    }
    /// Runs as this user and group, without supplementary groups (root only).
    pub fn user(mut self, uid: u32, gid: u32) -> Cmd {
        self.user = Some((uid, gid));
        self
    }
    /// Runs with this umask.
    pub fn umask(mut self, mask: Option<u32>) -> Cmd {
        self.umask = mask;
        self
    }
    /// Ends the process group after this time.
    pub fn limit(mut self, d: Duration) -> Cmd {
        self.limit = Some(d);
        self
    }
    /// The command line as a person would type it.
    pub fn shown(&self) -> String {
        super::shlex::join(&self.argv)
    }

    /// Runs the process, which must be found and end with 0: fails as ansible-core's `run_command(check_rc=True)`.
    pub fn must(&self, ctx: &Ctx) -> Result<Output, crate::modules::Failure> {
        let o = self.tried(ctx)?;
        match o.ok() {
            true => Ok(o),
            false => Err(self.failure(o.err().trim_end(), &o)),
        }
    }

    /// Runs the process, whatever it answers; fails if it cannot be started.
    pub fn tried(&self, ctx: &Ctx) -> Result<Output, crate::modules::Failure> {
        self.run(ctx).map_err(|e| {
            let rc = if e.errno == 0 { 257 } else { e.errno };
            let o = Output { rc, ..Output::default() };
            self.failure("Error executing command.", &o).set("_ansible_cause", e.text)
        })
    }

    /// A failure with the command line and what the process left behind.
    pub fn failure(&self, msg: impl Into<String>, o: &Output) -> crate::modules::Failure {
        o.failure(msg).set("cmd", self.shown())
    }

    /// Runs the process in a process group of its own. The task's environment applies, then the
    /// command's own.
    pub fn run(&self, ctx: &Ctx) -> Result<Output, SpawnError> {
        self.run_with(&ctx.env)
    }

    /// As [`Cmd::run`]; an exit code other than 0 is the failure that Ansible's `run_command(check_rc=True)` makes.
    pub fn run_ok(&self, ctx: &Ctx) -> Result<Output, crate::modules::Failure> {
        let out = self.run(ctx)?;
        if out.ok() {
            return Ok(out);
        }
        Err(crate::modules::Failure::new(out.err().trim_end())
            .set("cmd", self.shown())
            .set("rc", out.rc)
            .set("stdout", out.out())
            .set("stderr", out.err()))
    }

    /// As [`Cmd::run_with`], for programs that a task names: one that cannot be started is told in ansible-core's
    /// words, with `rc` and `cmd`.
    pub fn start(&self, env: &[(String, String)]) -> Result<Output, crate::modules::Failure> {
        self.run_with(env).map_err(|e| {
            let o = Output { rc: if e.errno == 0 { 257 } else { e.errno }, ..Output::default() };
            self.failure("Error executing command.", &o).set("_ansible_cause", e.text)
        })
    }

    /// As [`Cmd::run`], with an environment instead of a context.
    pub fn run_with(&self, env: &[(String, String)]) -> Result<Output, SpawnError> {
        let Some((program, rest)) = self.argv.split_first() else {
            return Err(SpawnError { errno: 0, text: "no command given".into(), timed_out: false });
        };
        if self.argv.iter().any(|a| a.contains('\0')) {
            return Err(SpawnError { errno: 22, text: "embedded null byte".into(), timed_out: false });
        }
        let mut c = Command::new(program);
        c.args(rest).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        c.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        if let Some(d) = &self.cwd {
            c.current_dir(d);
        }
        if let Some((uid, gid)) = self.user {
            c.uid(uid).gid(gid);
        }
        if let Some(mask) = self.umask {
            // SAFETY: umask(2) is safe between fork and exec and always succeeds.
            unsafe {
                c.pre_exec(move || {
                    libc::umask(mask as libc::mode_t);
                    Ok(())
                });
            }
        }
        for (k, v) in env.iter().chain(&self.env) {
            if !k.is_empty() && !k.contains(['=', '\0']) && !v.contains('\0') {
                c.env(k, v);
            }
        }
        let child = c.spawn().map_err(|e| os_error(&e, program))?;
        self.collect(child)
    }

    fn collect(&self, mut child: Child) -> Result<Output, SpawnError> {
        let pid = child.id() as i32;
        let started = Instant::now();
        let mut out = Output::default();
        let mut input = self.stdin.as_deref().unwrap_or(&[]);
        let mut buf = vec![0u8; SOME];
        loop {
            if input.is_empty() {
                drop(child.stdin.take());
            }
            let wait = match self.limit {
                None => Duration::from_secs(1),
                Some(l) => match l.checked_sub(started.elapsed()) {
                    Some(left) if !left.is_zero() => left.min(Duration::from_secs(1)),
                    _ => {
                        end_group(&mut child, pid);
                        let text = format!("the command did not end within {} seconds", l.as_secs());
                        return Err(SpawnError { errno: 0, text, timed_out: true });
                    }
                },
            };
            let ready = wait_ready(&child, wait);
            if child.stdout.is_none() && child.stderr.is_none() && child.stdin.is_none() {
                break;
            }
            if ready == [false; 3] {
                // A daemon may have inherited the pipes: the command itself is what counts.
                if let Ok(Some(_)) = child.try_wait() {
                    break;
                }
                continue;
            }
            if ready[0] && read_some(&mut child.stdout, &mut buf, &mut out.stdout) {
                child.stdout = None;
            }
            if ready[1] && read_some(&mut child.stderr, &mut buf, &mut out.stderr) {
                child.stderr = None;
            }
            if ready[2]
                && let Some(w) = child.stdin.as_mut()
            {
                let n = input.len().min(PIPE_WRITE);
                match w.write(input.get(..n).unwrap_or(&[])) {
                    Ok(n) => input = input.get(n..).unwrap_or(&[]),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(_) => input = &[],
                }
            }
            if out.stdout.len() + out.stderr.len() > MAX_OUTPUT {
                end_group(&mut child, pid);
                let text = format!("the command wrote more than {} MiB; it was ended", MAX_OUTPUT >> 20);
                return Err(SpawnError { errno: 0, text, timed_out: false });
            }
        }
        let status = wait_limited(&mut child, pid, self.limit.map(|l| (started, l)))?;
        out.rc = rc_of(status);
        Ok(out)
    }
}

fn wait_limited(child: &mut Child, pid: i32, limit: Option<(Instant, Duration)>) -> Result<ExitStatus, SpawnError> {
    if let Some((started, l)) = limit {
        loop {
            match child.try_wait() {
                Ok(Some(s)) => return Ok(s),
                Ok(None) if started.elapsed() < l => std::thread::sleep(Duration::from_millis(20)),
                _ => {
                    end_group(child, pid);
                    let text = format!("the command did not end within {} seconds", l.as_secs());
                    return Err(SpawnError { errno: 0, text, timed_out: true });
                }
            }
        }
    }
    child.wait().map_err(|e| SpawnError { errno: e.raw_os_error().unwrap_or(0), text: e.to_string(), timed_out: false })
}

/// Waits until stdout, stderr (readable) or stdin (writable) of the child is ready.
fn wait_ready(child: &Child, wait: Duration) -> [bool; 3] {
    let mut fds: Vec<PollFd> = vec![];
    let mut which = vec![];
    if let Some(s) = &child.stdout {
        fds.push(PollFd::new(s.as_fd(), PollFlags::POLLIN));
        which.push(0usize);
    }
    if let Some(s) = &child.stderr {
        fds.push(PollFd::new(s.as_fd(), PollFlags::POLLIN));
        which.push(1);
    }
    if let Some(s) = &child.stdin {
        fds.push(PollFd::new(s.as_fd(), PollFlags::POLLOUT));
        which.push(2);
    }
    let mut ready = [false; 3];
    if fds.is_empty() {
        return ready;
    }
    let ms = u16::try_from(wait.as_millis()).unwrap_or(1000).max(1);
    if poll(&mut fds, PollTimeout::from(ms)).is_ok() {
        for (fd, i) in fds.iter().zip(which) {
            if let Some(slot) = ready.get_mut(i) {
                *slot = fd.any().unwrap_or(true);
            }
        }
    }
    ready
}

/// Reads what is there; true at the end of the stream.
fn read_some<R: Read>(from: &mut Option<R>, buf: &mut Vec<u8>, into: &mut Vec<u8>) -> bool {
    let Some(r) = from.as_mut() else { return true };
    match r.read(buf) {
        Ok(0) => true,
        Ok(n) => {
            into.extend_from_slice(buf.get(..n).unwrap_or(&[]));
            if n == SOME {
                *buf = vec![0; MUCH];
            }
            false
        }
        Err(e) => e.kind() != ErrorKind::Interrupted,
    }
}

fn end_group(child: &mut Child, pid: i32) {
    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    let _ = child.kill();
    let _ = child.wait();
}

/// An exit status as Python's `returncode`.
pub fn rc_of(s: ExitStatus) -> i32 {
    s.code().unwrap_or_else(|| -s.signal().unwrap_or(1))
}

/// An operating system error in Python's words: `[Errno 2] No such file or directory: b'name'`.
pub fn os_error(e: &std::io::Error, name: &str) -> SpawnError {
    let errno = e.raw_os_error().unwrap_or(0);
    SpawnError { errno, text: format!("{}: {}", errno_text(e), bytes_repr(name)), timed_out: false }
}

/// `[Errno 2] No such file or directory`
pub fn errno_text(e: &std::io::Error) -> String {
    match e.raw_os_error() {
        Some(n) => {
            let words = e.to_string();
            let words = words.rsplit_once(" (os error").map(|(w, _)| w.to_string()).unwrap_or(words);
            format!("[Errno {n}] {words}")
        }
        None => e.to_string(),
    }
}

/// Python's `repr` of bytes.
pub fn bytes_repr(s: &str) -> String {
    let q = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    let mut out = format!("b{q}");
    for b in s.bytes() {
        match b {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if char::from(b) == q => {
                out.push('\\');
                out.push(q);
            }
            0x20..=0x7e => out.push(char::from(b)),
            b => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push(q);
    out
}

/// The full path of a program, looked for in the task's PATH and in the sbin directories as Ansible's
/// `get_bin_path` does.
pub fn find_program(ctx: &Ctx, name: &str) -> Option<String> {
    if name.contains('/') {
        return is_program(name).then(|| name.to_string());
    }
    let path = ctx.env.iter().rev().find(|(k, _)| k == "PATH").map(|(_, v)| v.clone());
    let path = path.or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    path.split(':')
        .filter(|d| !d.is_empty())
        .chain(["/sbin", "/usr/sbin", "/usr/local/sbin", "/bin", "/usr/bin", "/usr/local/bin"])
        .map(|d| format!("{}/{name}", d.trim_end_matches('/')))
        .find(|p| is_program(p))
}

/// As [`find_program`], with Ansible's failure when it is not there.
pub fn need_program(ctx: &Ctx, name: &str) -> Result<String, crate::modules::Failure> {
    find_program(ctx, name).ok_or_else(|| {
        crate::modules::Failure::new(format!("Failed to find required executable \"{name}\" in the target's PATH"))
    })
}

fn is_program(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file())
        && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(s: &str) -> Cmd {
        Cmd::new(["/bin/sh", "-c", s])
    }

    #[test]
    fn reads_and_writes_at_once() {
        let big = vec![b'x'; 300_000];
        let o = Cmd::new(["cat"]).stdin(big.clone()).run_with(&[]).expect("cat runs");
        assert_eq!(o.stdout.len(), big.len());
        let o = sh("echo a; echo b >&2; exit 3").run_with(&[]).expect("sh runs");
        assert_eq!((o.rc, o.out().as_str(), o.err().as_str()), (3, "a\n", "b\n"));
    }

    #[test]
    fn signals_and_limits() {
        assert_eq!(sh("kill -9 $$").run_with(&[]).expect("runs").rc, -9);
        let e = sh("sleep 20").limit(Duration::from_millis(100)).run_with(&[]).expect_err("must end");
        assert!(e.timed_out);
    }

    #[test]
    fn a_daemon_with_our_pipes_does_not_hold_us() {
        let t = Instant::now();
        let o = sh("sleep 9 & echo up").run_with(&[]).expect("runs");
        assert_eq!(o.out(), "up\n");
        assert!(t.elapsed() < Duration::from_secs(6));
    }

    #[test]
    fn errors_in_pythons_words() {
        let e = Cmd::new(["/no/such"]).run_with(&[]).expect_err("is not there");
        assert_eq!((e.errno, e.text.as_str()), (2, "[Errno 2] No such file or directory: b'/no/such'"));
        assert_eq!(bytes_repr("a'é"), "b\"a'\\xc3\\xa9\"");
    }
}
