//! The process on the channel: one thread, one poll loop, no module. It hands requests to workers, passes
//! frames between them and the controller, stops what is cancelled or over its time, and tidies up when
//! the channel breaks.

use super::second::{self, Second};
use super::stdio::{MUCH, send, send_some, take_stdio, widen};
use super::worker::{self, failure};
use super::{MAGIC, VERSION, tree};
use crate::proto::{Frame, FrameBuf, FrameKind, Hello, NOT_RUN, Response, SecondFile, encode};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests that run at the same time; more wait for their turn.
const MAX_WORKERS: usize = 64;
/// Above this many waiting bytes for the controller, workers are not read from.
const OUT_HIGH: usize = 4 << 20;
/// Time between asking a module's processes to end and ending them.
const GRACE: Duration = Duration::from_secs(2);
/// A controller that says nothing for this long is gone: it pings several times a minute.
const SILENCE: Duration = Duration::from_secs(900);

/// Serves one controller on stdin and stdout; returns the exit code.
pub fn serve(token: &str) -> i32 {
    leave_unreadable();
    match Supervisor::start(token) {
        Ok(mut s) => {
            let end = s.run();
            s.stop_all();
            match end {
                Ok(()) => 0,
                Err(e) => {
                    let _ = writeln!(io::stderr(), "dirigo-agent: {e}");
                    1
                }
            }
        }
        Err(e) => {
            let _ = writeln!(io::stderr(), "dirigo-agent: {e}");
            1
        }
    }
}

/// Where this user may not look (root's home directory, after sudo to somebody else), commands cannot run: they get the
/// user's own home directory, or `/tmp`.
fn leave_unreadable() {
    // SAFETY: a constant string.
    let readable = || unsafe { libc::access(c".".as_ptr(), libc::R_OK) } == 0;
    let places = [std::env::var_os("HOME"), Some("/tmp".into())];
    let mut places = places.into_iter().flatten().filter(|p| !p.is_empty());
    while !(std::env::current_dir().is_ok() && readable()) {
        let Some(next) = places.next() else { return };
        let _ = std::env::set_current_dir(next);
    }
}

/// A request on a worker.
struct Running {
    id: u64,
    deadline: Option<Instant>,
    timeout: u64,
    /// Set when its processes were asked to end: what to answer, and when patience ends.
    stopping: Option<(Map<String, Json>, Instant)>,
}

struct Worker {
    pid: i32,
    sock: UnixStream,
    input: FrameBuf,
    output: VecDeque<u8>,
    running: Option<Running>,
    /// Whether it became the agent's second file.
    second: bool,
    /// True once it said that it takes no further request.
    leaving: bool,
    /// True once it closed its socket.
    gone: bool,
}

/// The few words of a request that the supervisor needs.
#[derive(Deserialize, Default)]
struct Envelope {
    #[serde(default)]
    timeout: u64,
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    if_ok: bool,
    #[serde(default)]
    followed: bool,
    #[serde(default)]
    second: Option<SecondFile>,
}

/// The one key of an answer that decides about the requests after it.
#[derive(Deserialize, Default)]
struct Verdict {
    #[serde(default)]
    result: VerdictResult,
}

#[derive(Deserialize, Default)]
struct VerdictResult {
    #[serde(default)]
    failed: bool,
}

struct Waiting {
    frame: Frame,
    envelope: Envelope,
    /// Inline content that arrived meanwhile.
    content: Vec<u8>,
    /// Whether the controller was asked for the second file.
    asked: bool,
}

struct Supervisor {
    from: File,
    to: File,
    input: FrameBuf,
    output: VecDeque<u8>,
    workers: Vec<Worker>,
    waiting: VecDeque<Waiting>,
    /// Requests that have no answer yet, for `after`.
    open: HashSet<u64>,
    /// Requests whose outcome decides about one that may still be on its way.
    followed: HashSet<u64>,
    /// Those of them that were no success.
    failed: HashSet<u64>,
    second: Second,
    heard: Instant,
    /// Whether the pipes from and to the controller have got more room.
    wide: (bool, bool),
}

impl Supervisor {
    fn start(token: &str) -> io::Result<Supervisor> {
        let (from, to) = take_stdio()?;
        // SAFETY: process attributes at start, in a process with one thread.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
        }
        let name = crate::modules::user_name(nix::unistd::getuid().as_raw());
        let second = Second::new();
        let hello = Hello {
            version: VERSION.into(),
            pid: std::process::id(),
            uid: nix::unistd::getuid().as_raw(),
            user: name.unwrap_or_default(),
            home: std::env::var("HOME").unwrap_or_default(),
            whole: super::whole(),
            files: if super::whole() { vec![] } else { second.names() },
        };
        let mut s = Supervisor {
            from,
            to,
            input: FrameBuf::default(),
            output: format!("\n{token} {MAGIC}\n").into_bytes().into(),
            workers: vec![],
            waiting: VecDeque::new(),
            open: HashSet::new(),
            followed: HashSet::new(),
            failed: HashSet::new(),
            second,
            heard: Instant::now(),
            wide: (false, false),
        };
        s.tell(FrameKind::Hello, 0, &serde_json::to_vec(&hello)?);
        // The first worker starts while the controller still reads the greeting.
        s.hire(None)?;
        Ok(s)
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            self.check_deadlines(now);
            self.collect_gone();
            self.dispatch()?;
            if now.duration_since(self.heard) > SILENCE && self.workers.iter().all(|w| w.running.is_none()) {
                return Err(io::Error::other("the controller is silent"));
            }
            if !self.wait()? {
                return Ok(());
            }
        }
    }

    /// Waits for something to do and does the input and output; false at the end of the input.
    fn wait(&mut self) -> io::Result<bool> {
        let full = self.output.len() > OUT_HIGH;
        let mut fds = vec![PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        let out = if self.output.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        fds.push(PollFd::new(self.to.as_fd(), out));
        for w in &self.workers {
            let mut want = PollFlags::empty();
            want.set(PollFlags::POLLIN, !full && !w.gone);
            want.set(PollFlags::POLLOUT, !w.output.is_empty() && !w.gone);
            fds.push(PollFd::new(w.sock.as_fd(), want));
        }
        match poll(&mut fds, self.patience()) {
            Err(nix::Error::EINTR) => return Ok(true),
            other => other?,
        };
        let ready: Vec<PollFlags> = fds.iter().map(|f| f.revents().unwrap_or(PollFlags::empty())).collect();
        let hung = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        if ready.get(1).is_some_and(|r| r.intersects(PollFlags::POLLOUT | hung)) {
            send_some(&mut self.output, &mut self.to)?;
        }
        for (i, r) in ready.iter().skip(2).enumerate() {
            if r.intersects(PollFlags::POLLOUT | hung)
                && let Some(w) = self.workers.get_mut(i)
                && !w.gone
                && send_some(&mut w.output, &mut w.sock).is_err()
            {
                w.output.clear();
            }
            if r.intersects(PollFlags::POLLIN | hung) && !full {
                self.hear_worker(i);
            }
        }
        if ready.first().is_some_and(|r| r.intersects(PollFlags::POLLIN | hung)) {
            return self.hear_controller();
        }
        Ok(true)
    }

    fn patience(&self) -> PollTimeout {
        let now = Instant::now();
        let ends = self.workers.iter().filter_map(|w| w.running.as_ref()).filter_map(|r| match &r.stopping {
            Some((_, end)) => Some(*end),
            None => r.deadline,
        });
        let next = ends.min().map_or(SILENCE, |e| e.saturating_duration_since(now)).min(SILENCE);
        PollTimeout::try_from(next + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    }

    fn hear_controller(&mut self) -> io::Result<bool> {
        match self.input.read_from(&mut self.from) {
            Ok(0) => return Ok(false),
            Ok(n) if n >= MUCH && !self.wide.0 => {
                widen(&self.from);
                self.wide.0 = true;
            }
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(true),
            Err(e) => return Err(e),
        }
        self.heard = Instant::now();
        while let Some(f) = self.input.next_whole().map_err(io::Error::other)? {
            let content = matches!(f.kind, FrameKind::Data | FrameKind::DataEnd | FrameKind::Sum | FrameKind::Rest);
            let whose = |w: &&mut Worker| w.running.as_ref().is_some_and(|r| r.id == f.id);
            if content && let Some(w) = self.workers.iter_mut().find(whose) {
                if !w.gone && send(f.bytes, &mut w.output, &mut w.sock).is_err() {
                    w.output.clear();
                }
                continue;
            }
            let f = f.frame();
            self.obey(f);
        }
        Ok(true)
    }

    fn obey(&mut self, frame: Frame) {
        match frame.kind {
            FrameKind::Request => {
                let envelope: Envelope = serde_json::from_slice(&frame.payload).unwrap_or_default();
                self.open.insert(frame.id);
                if envelope.followed {
                    self.followed.insert(frame.id);
                }
                if envelope.if_ok && envelope.after.is_some_and(|a| self.failed.remove(&a)) {
                    return self.not_run(frame.id);
                }
                self.waiting.push_back(Waiting { frame, envelope, content: vec![], asked: false });
            }
            FrameKind::Data | FrameKind::DataEnd | FrameKind::Sum | FrameKind::Rest => {
                let Some(bytes) = encode(frame.kind, frame.id, &frame.payload) else { return };
                if let Some(w) = self.waiting.iter_mut().find(|w| w.frame.id == frame.id) {
                    w.content.extend(bytes);
                }
            }
            FrameKind::Cancel => {
                if let Some(at) = self.waiting.iter().position(|w| w.frame.id == frame.id) {
                    self.waiting.remove(at);
                    self.respond(frame.id, failure("cancelled"));
                } else {
                    self.stop(|r| r.id == frame.id, |_| failure("cancelled"));
                }
            }
            FrameKind::Ping => self.tell(FrameKind::Pong, frame.id, &[]),
            FrameKind::Second => self.second.piece(frame.id, &frame.payload),
            FrameKind::SecondEnd => self.second_ended(frame.id, &String::from_utf8_lossy(&frame.payload)),
            FrameKind::Hello
            | FrameKind::Response
            | FrameKind::WantData
            | FrameKind::WantSum
            | FrameKind::WantSecond
            | FrameKind::WantRest
            | FrameKind::More
            | FrameKind::Pong => {}
        }
    }

    /// The second file has come, or has not: then those that wait for it fail, or else the next one that needs it.
    fn second_ended(&mut self, number: u64, sha256: &str) {
        self.second.end(number, sha256);
        for w in &mut self.waiting {
            w.asked = false;
        }
        while let Some(at) = self.waiting.iter().position(|w| w.envelope.second.is_some())
            && let Some(why) = self.second.failed.clone()
        {
            self.fail_waiting(at, why);
            if !self.waiting.iter().any(|w| w.envelope.second.is_some()) {
                self.second.failed = None;
            }
        }
    }

    fn fail_waiting(&mut self, at: usize, why: String) {
        if let Some(w) = self.waiting.remove(at) {
            self.respond(w.frame.id, failure(why));
        }
    }

    /// Asks the processes of matching requests to end.
    fn stop(&mut self, which: impl Fn(&Running) -> bool, answer: impl Fn(&Running) -> Map<String, Json>) {
        for w in &mut self.workers {
            if let Some(r) = &mut w.running
                && r.stopping.is_none()
                && which(r)
            {
                r.stopping = Some((answer(r), Instant::now() + GRACE));
                tree::signal(w.pid, true, libc::SIGTERM);
            }
        }
    }

    fn check_deadlines(&mut self, now: Instant) {
        self.stop(
            |r| r.deadline.is_some_and(|d| d <= now),
            |r| {
                let mut m = failure(format!("Timed out after {} second(s).", r.timeout));
                m.insert("timedout".into(), json!({"period": r.timeout}));
                m
            },
        );
        for w in &self.workers {
            if let Some(Running { stopping: Some((_, end)), .. }) = &w.running
                && *end <= now
            {
                tree::signal(w.pid, true, libc::SIGKILL);
            }
        }
    }

    fn hear_worker(&mut self, i: usize) {
        let Some(w) = self.workers.get_mut(i) else { return };
        match w.input.read_from(&mut w.sock) {
            Ok(0) => w.gone = true,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(_) => w.gone = true,
        }
        let mut answers = vec![];
        while let Ok(Some(f)) = w.input.next_whole() {
            if w.running.as_ref().is_none_or(|r| r.id != f.id) {
                continue;
            }
            match f.kind {
                FrameKind::Cancel => w.leaving = true,
                FrameKind::Response => answers.push(f.frame()),
                // a broken channel is met at the next turn of the loop
                _ => drop(send(f.bytes, &mut self.output, &mut self.to)),
            }
        }
        if self.output.len() >= MUCH && !self.wide.1 {
            widen(&self.to);
            self.wide.1 = true;
        }
        for f in answers {
            let Some(w) = self.workers.get_mut(i).filter(|w| w.running.as_ref().is_some_and(|r| r.id == f.id)) else {
                return;
            };
            // Whatever a module says after it was told to stop, it was stopped.
            match w.running.take().and_then(|r| r.stopping) {
                Some((answer, _)) => self.respond(f.id, answer),
                None => self.pass_on(f.id, &f.payload),
            }
        }
    }

    /// Workers that ended: with a request in hand that is the module's failure.
    fn collect_gone(&mut self) {
        let (gone, stay): (Vec<Worker>, Vec<Worker>) = self.workers.drain(..).partition(|w| w.gone);
        self.workers = stay;
        for w in gone {
            let mut status = 0;
            // SAFETY: status outlives the call; the child is ours.
            unsafe { libc::waitpid(w.pid, &mut status, 0) };
            let Some(r) = w.running else { continue };
            let answer = r.stopping.map(|(a, _)| a).unwrap_or_else(|| {
                let how = match libc::WIFSIGNALED(status) {
                    true => format!("was killed by signal {}", libc::WTERMSIG(status)),
                    false => format!("ended with code {}", libc::WEXITSTATUS(status)),
                };
                failure(format!("MODULE FAILURE: the process that ran the module {how} and left no answer"))
            });
            self.respond(r.id, answer);
        }
    }

    /// Gives waiting requests to idle workers.
    fn dispatch(&mut self) -> io::Result<()> {
        let mut at = 0;
        while let Some(w) = self.waiting.get(at) {
            if w.envelope.after.is_some_and(|a| self.open.contains(&a)) {
                at += 1;
                continue;
            }
            let second = match &w.envelope.second {
                None => None,
                Some(wanted) => match self.second.find(wanted) {
                    Some(path) => Some(path),
                    None => {
                        match self.second.failed.take() {
                            Some(why) => self.fail_waiting(at, why),
                            None => {
                                self.ask_for_second(at);
                                at += 1;
                            }
                        }
                        continue;
                    }
                },
            };
            let resting = |w: &Worker| w.running.is_none() && !w.leaving && !w.gone;
            let idle = self.workers.iter().position(|w| w.second == second.is_some() && resting(w));
            let who = match idle {
                Some(i) => i,
                None if self.workers.len() < MAX_WORKERS => self.hire(second.as_deref())?,
                None => {
                    // one that has only the other modules makes room; its end wakes us
                    if let Some(w) = self.workers.iter_mut().find(|w| resting(w)) {
                        w.leaving = true;
                        let _ = w.sock.shutdown(std::net::Shutdown::Both);
                    }
                    return Ok(());
                }
            };
            let Some(job) = self.waiting.remove(at) else { return Ok(()) };
            let Some(bytes) = encode(FrameKind::Request, job.frame.id, &job.frame.payload) else { continue };
            let timeout = job.envelope.timeout;
            let followed = self.waiting.iter().any(|w| w.envelope.after == Some(job.frame.id));
            if let Some(w) = self.workers.get_mut(who) {
                let limit = (timeout > 0).then(|| Duration::from_secs(timeout.min(u32::MAX.into())));
                let deadline = limit.map(|l| Instant::now() + l);
                w.running = Some(Running { id: job.frame.id, deadline, timeout, stopping: None });
                if followed {
                    w.output.extend(encode(FrameKind::More, job.frame.id, &[]).unwrap_or_default());
                }
                w.output.extend(bytes);
                w.output.extend(job.content);
                // Mostly this is all there is to do, and saves a turn of the loop.
                let _ = send_some(&mut w.output, &mut w.sock);
            }
        }
        Ok(())
    }

    /// Asks the controller for the second file, once for each request that waits for it: the one that asked first may
    /// be cancelled.
    fn ask_for_second(&mut self, at: usize) {
        let Some(w) = self.waiting.get_mut(at).filter(|w| !w.asked) else { return };
        w.asked = true;
        let id = w.frame.id;
        self.tell(FrameKind::WantSecond, id, &self.second.ended.to_be_bytes());
    }

    /// Forks a worker, which becomes the second file if there is a path; answers its place.
    fn hire(&mut self, second: Option<&Path>) -> io::Result<usize> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: this process has one thread, so the child may run any code.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                self.forget();
                match second {
                    Some(path) => second::become_worker(path, theirs),
                    None => worker::run(theirs),
                }
            }
            _ => {
                drop(theirs);
                // Both sides set the group, so that it is there whoever comes first.
                // SAFETY: the child is ours.
                unsafe { libc::setpgid(pid, pid) };
                ours.set_nonblocking(true)?;
                let w = Worker {
                    pid,
                    sock: ours,
                    input: FrameBuf::default(),
                    output: VecDeque::new(),
                    running: None,
                    second: second.is_some(),
                    leaving: false,
                    gone: false,
                };
                self.workers.push(w);
                Ok(self.workers.len() - 1)
            }
        }
    }

    /// In a worker: lets go of the channel and of the other workers.
    fn forget(&mut self) {
        self.workers.clear();
        if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            for fd in [self.from.as_raw_fd(), self.to.as_raw_fd(), 2] {
                // SAFETY: the numbers stay open, they lead nowhere now.
                unsafe { libc::dup2(null.as_raw_fd(), fd) };
                if fd != 2 {
                    // SAFETY: dup2 drops close-on-exec.
                    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
                }
            }
        }
    }

    fn tell(&mut self, kind: FrameKind, id: u64, payload: &[u8]) {
        if let Some(bytes) = encode(kind, id, payload) {
            let _ = send(&bytes, &mut self.output, &mut self.to);
        }
    }

    fn respond(&mut self, id: u64, result: Map<String, Json>) {
        let body = serde_json::to_vec(&Response { result }).unwrap_or_default();
        self.pass_on(id, &body);
    }

    /// Hands an answer to the controller; what may only run after a success is answered too if it was none.
    fn pass_on(&mut self, id: u64, body: &[u8]) {
        self.open.remove(&id);
        self.tell(FrameKind::Response, id, body);
        // an answer that cannot be read is not taken for a success
        if !self.followed.remove(&id) || serde_json::from_slice::<Verdict>(body).is_ok_and(|v| !v.result.failed) {
            return;
        }
        match self.waiting.iter().position(|w| w.envelope.if_ok && w.envelope.after == Some(id)) {
            Some(at) => {
                if let Some(w) = self.waiting.remove(at) {
                    self.not_run(w.frame.id);
                }
            }
            // its follower is still on its way
            None => drop(self.failed.insert(id)),
        }
    }

    /// Answers a request that is not run because the one before it was no success; so is the one after it.
    fn not_run(&mut self, id: u64) {
        let mut result = failure("not run, because the request before it failed");
        result.insert(NOT_RUN.into(), true.into());
        self.respond(id, result);
    }

    /// The channel is closed: whatever still runs for it ends now. Background processes of answered
    /// requests and asynchronous jobs live on.
    fn stop_all(&mut self) {
        self.second.discard();
        self.stop(|_| true, |_| Map::new());
        let end = Instant::now() + GRACE;
        while self.workers.iter().any(|w| w.running.is_some() && !w.gone) && Instant::now() < end {
            for w in &mut self.workers {
                if matches!(w.input.read_from(&mut w.sock), Ok(0)) {
                    w.gone = true;
                }
                while let Ok(Some(f)) = w.input.next_frame() {
                    if f.kind == FrameKind::Response {
                        w.running = None;
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for w in self.workers.iter().filter(|w| w.running.is_some()) {
            tree::signal(w.pid, true, libc::SIGKILL);
        }
    }
}
