//! A worker: a forked process that runs one module after the other for its supervisor.

use super::content::Incoming;
use super::{foreign, job};
use crate::modules::support::atomic;
use crate::modules::{self, Ctx};
use crate::proto::{CHUNK, Foreign, Frame, FrameBuf, FrameKind, Request, Response, encode, hex, start};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value as Json};
use sha1::{Digest, Sha1};
use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// A payload below this size is copied behind its frame's head.
const SMALL: usize = 16 << 10;
/// A chain of requests that stops for this long is over: what it put off is done now.
const IDLE: Duration = Duration::from_millis(50);

/// The frames between a worker and its supervisor.
pub struct Link {
    sock: UnixStream,
    buf: RefCell<FrameBuf>,
}

impl Link {
    pub fn new(sock: UnixStream) -> Link {
        Link { sock, buf: RefCell::default() }
    }

    /// The next frame; `None` when the supervisor is gone.
    pub fn recv(&self) -> io::Result<Option<Frame>> {
        let mut buf = self.buf.borrow_mut();
        loop {
            if let Some(f) = buf.next_frame().map_err(io::Error::other)? {
                return Ok(Some(f));
            }
            if !self.more(&mut buf)? {
                return Ok(None);
            }
        }
    }

    /// Whether there is something to hear, or the supervisor goes, within this time.
    fn speaks_within(&self, time: Duration) -> bool {
        if !self.buf.borrow().is_empty() {
            return true;
        }
        let mut fds = [PollFd::new(self.sock.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO)).is_ok_and(|n| n > 0)
    }

    /// Waits for more bytes; false when the supervisor is gone.
    fn more(&self, buf: &mut FrameBuf) -> io::Result<bool> {
        loop {
            match buf.read_from(&mut &self.sock) {
                Ok(n) => return Ok(n > 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// As [`Link::recv`] for someone who took what has arrived with [`Link::take`]: the frame's payload stays there.
    pub fn recv_into(&self, buf: &mut FrameBuf) -> io::Result<Option<(FrameKind, u64)>> {
        loop {
            if let Some(f) = buf.next_whole().map_err(io::Error::other)? {
                return Ok(Some((f.kind, f.id)));
            }
            if !self.more(buf)? {
                return Ok(None);
            }
        }
    }

    /// What has arrived, to be given back.
    pub fn take(&self) -> FrameBuf {
        self.buf.take()
    }

    pub fn give_back(&self, buf: FrameBuf) {
        self.buf.replace(buf);
    }

    pub fn send(&self, kind: FrameKind, id: u64, payload: &[u8]) -> io::Result<()> {
        let too_large = || io::Error::other("a frame larger than allowed");
        if payload.len() < SMALL {
            return (&self.sock).write_all(&encode(kind, id, payload).ok_or_else(too_large)?);
        }
        // content goes as it lies
        let head = start(kind, id, payload.len()).ok_or_else(too_large)?;
        let mut parts = [IoSlice::new(&head), IoSlice::new(payload)];
        let mut left = &mut parts[..];
        while !left.is_empty() {
            match (&self.sock).write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut left, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Where the panic hook answers for the module that crashed: socket and id of the request at hand (0: none).
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static CURRENT: AtomicU64 = AtomicU64::new(0);
static BUSY: AtomicI32 = AtomicI32::new(0);

/// What a module left behind when it had answered.
#[derive(PartialEq)]
enum After {
    Clean,
    /// Processes in the background: they keep the process group, so this worker must take no further
    /// request, or stopping that one would stop them too.
    Background,
}

/// Answers every request with this failure.
pub fn refuse(sock: UnixStream, why: &str) -> ! {
    let link = Link::new(sock);
    while let Ok(Some(frame)) = link.recv() {
        if frame.kind == FrameKind::Request && link.send(FrameKind::Response, frame.id, &fit(failure(why))).is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// Serves requests from this socket until the supervisor closes it. Never returns into the code of the
/// process it was forked from.
pub fn run(sock: UnixStream) -> ! {
    SOCKET.store(sock.as_raw_fd(), Ordering::Relaxed);
    arrange_signals();
    answer_for_panics();
    let link = Link::new(sock);
    atomic::put_off();
    let mut followed = false;
    loop {
        if atomic::owes() && !link.speaks_within(IDLE) {
            atomic::settle();
        }
        let Ok(Some(frame)) = link.recv() else { break };
        match frame.kind {
            FrameKind::Request => {}
            FrameKind::More => {
                followed = true;
                continue;
            }
            _ => continue, // Content that nobody read.
        }
        CURRENT.store(frame.id, Ordering::Relaxed);
        BUSY.store(1, Ordering::Relaxed);
        let result = answer(&link, frame.id, &frame.payload);
        // the last answer of a chain says that the disk has all of it
        if !std::mem::take(&mut followed) || result.get("failed").is_some_and(|f| f != false) {
            atomic::settle();
        }
        BUSY.store(0, Ordering::Relaxed);
        let after = reap();
        // said before the answer, so that no request is on its way to a process that ends
        if after == After::Background && link.send(FrameKind::Cancel, frame.id, &[]).is_err() {
            break;
        }
        if link.send(FrameKind::Response, frame.id, &fit(result)).is_err() || after == After::Background {
            break;
        }
        CURRENT.store(0, Ordering::Relaxed);
    }
    atomic::settle();
    std::process::exit(0)
}

/// The bytes of a response, or of a failure if it is larger than a frame may be.
fn fit(result: Map<String, Json>) -> Vec<u8> {
    let bytes = serde_json::to_vec(&Response { result }).unwrap_or_default();
    if bytes.len() + 9 <= crate::proto::MAX_FRAME as usize && !bytes.is_empty() {
        return bytes;
    }
    let text =
        format!("the module's result of {} bytes is larger than the {} allowed", bytes.len(), crate::proto::MAX_FRAME);
    serde_json::to_vec(&Response { result: failure(text) }).unwrap_or_default()
}

/// A failed result with this message.
pub fn failure(msg: impl Into<String>) -> Map<String, Json> {
    let mut m = Map::new();
    m.insert("failed".into(), true.into());
    m.insert("changed".into(), false.into());
    m.insert("msg".into(), msg.into().into());
    m
}

fn answer(link: &Link, id: u64, payload: &[u8]) -> Map<String, Json> {
    let mut req: Request = match serde_json::from_slice(payload) {
        Ok(r) => r,
        Err(e) => return failure(format!("the agent does not understand the request: {e}")),
    };
    if let Some(f) = req.foreign.take() {
        return match super::foreign() {
            Some(run) => run(link, id, &f, req),
            None => failure(format!("this file of the agent cannot run the module {}", f.name)),
        };
    }
    let Some(module) = super::find(&req.module) else {
        return failure(format!("the agent has no module named {}", req.module));
    };
    if let Some(task) = req.async_job.take() {
        return job::detach(task, || settled(run_module(module, None, &req)));
    }
    let mut sum = Sha1::new();
    let mut streamed = false;
    let result = {
        let mut sink = |bytes: &[u8]| {
            streamed = true;
            sum.update(bytes);
            bytes.chunks(CHUNK).try_for_each(|c| link.send(FrameKind::Data, id, c))
        };
        let content = req.content.take().map(|meta| Incoming::new(link, id, meta));
        run_module(module, Some((content, &mut sink)), &req)
    };
    if streamed && let Err(e) = link.send(FrameKind::DataEnd, id, hex(&sum.finalize()).as_bytes()) {
        return failure(e.to_string());
    }
    result
}

/// Answers a request for a module that came along; only executables that name such a function hold its code.
pub type RunForeign = fn(&Link, u64, &Foreign, Request) -> Map<String, Json>;

/// A module that came along: its file is here before a job goes its own way.
pub fn answer_foreign(link: &Link, id: u64, f: &Foreign, mut req: Request) -> Map<String, Json> {
    let received = match req.content.take() {
        Some(meta) => foreign::receive(&mut Incoming::new(link, id, meta), &f.remote_tmp),
        None => Err(io::Error::other("it did not come with the request")),
    };
    let file = match received {
        Ok(p) => p,
        Err(e) => return failure(format!("the module {} could not be taken: {e}", f.name)),
    };
    let job = req.async_job.is_some();
    let run = |req: &Request| surrounded(None, req, |ctx| foreign::run(f, &file, req, ctx, job));
    match req.async_job.take() {
        Some(task) => job::detach(task, || settled(run(&req))),
        None => run(&req),
    }
}

/// What a job that nobody follows has found, when the disk has what it wrote.
fn settled(result: Map<String, Json>) -> Map<String, Json> {
    atomic::settle();
    result
}

type Streams<'a> = (Option<Incoming<'a>>, &'a mut dyn FnMut(&[u8]) -> io::Result<()>);

fn run_module<'a>(module: &modules::Module, streams: Option<Streams<'a>>, req: &Request) -> Map<String, Json> {
    surrounded(streams, req, |ctx| modules::run(module, ctx, &req.args))
}

/// Runs something in the environment and with the context that a request asks for.
fn surrounded<'a>(
    streams: Option<Streams<'a>>,
    req: &Request,
    run: impl FnOnce(&mut Ctx) -> Map<String, Json>,
) -> Map<String, Json> {
    let env: Vec<(String, String)> = req
        .env
        .iter()
        .filter(|(k, _)| !k.is_empty() && !k.contains(['=', '\0']))
        .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_string)))
        .filter(|(_, v)| !v.contains('\0'))
        .collect();
    let before: Vec<_> = env.iter().map(|(k, _)| (k.clone(), std::env::var_os(k))).collect();
    for (k, v) in &env {
        // SAFETY: a worker has one thread while it runs no module.
        unsafe { std::env::set_var(k, v) };
    }
    let home = std::env::current_dir();
    let verbosity = req.hints.get("verbosity").and_then(Json::as_u64).unwrap_or(0).min(9) as u8;
    let (content, sink) = streams.unzip();
    let mut ctx = Ctx {
        check: req.check,
        want_diff: req.diff,
        env,
        hints: req.hints.clone(),
        verbosity,
        content: content.flatten().map(|c| Box::new(c) as Box<dyn modules::ContentSource>),
        sink,
    };
    let result = run(&mut ctx);
    for (k, v) in before {
        // SAFETY: as above; modules join the threads they start.
        match v {
            Some(v) => unsafe { std::env::set_var(k, v) },
            None => unsafe { std::env::remove_var(k) },
        }
    }
    if let Ok(dir) = home {
        let _ = std::env::set_current_dir(dir);
    }
    result
}

/// Collects what has ended; tells whether something runs on in the background.
fn reap() -> After {
    loop {
        // SAFETY: waitpid with a null status pointer touches no memory of ours.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return After::Background,
            n if n > 0 => {}
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return After::Clean,
        }
    }
}

/// SIGTERM is for the module's processes: the module sees them end and tidies up. SIGHUP comes when the
/// supervisor dies: then all that the module started goes, too.
fn arrange_signals() {
    extern "C" fn ignore(_: libc::c_int) {}
    extern "C" fn orphaned(_: libc::c_int) {
        if BUSY.load(Ordering::Relaxed) != 0 {
            super::tree::kill_below_in_handler();
        }
        // SAFETY: _exit may be called in a signal handler.
        unsafe { libc::_exit(1) };
    }
    // Handlers, not SIG_IGN, because processes the module starts would inherit that.
    // SAFETY: setting handlers and process attributes at start, in a process with one thread.
    unsafe {
        libc::setpgid(0, 0);
        libc::signal(libc::SIGTERM, ignore as extern "C" fn(libc::c_int) as libc::sighandler_t);
        libc::signal(libc::SIGHUP, orphaned as extern "C" fn(libc::c_int) as libc::sighandler_t);
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGHUP);
    }
}

/// The module's last words become its result, because the process cannot go on.
fn answer_for_panics() {
    std::panic::set_hook(Box::new(|info| {
        let id = CURRENT.load(Ordering::Relaxed);
        let words = info.payload();
        let text = words.downcast_ref::<&str>().copied().or(words.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let result = failure(format!("MODULE FAILURE: the module crashed{place}: {text}"));
        if id != 0
            && let Ok(body) = serde_json::to_vec(&Response { result })
            && let Some(bytes) = encode(FrameKind::Response, id, &body)
        {
            // SAFETY: the descriptor is the worker's socket for the whole life of the process.
            unsafe { libc::write(SOCKET.load(Ordering::Relaxed), bytes.as_ptr().cast(), bytes.len()) };
        }
        // SAFETY: _exit ends the process.
        unsafe { libc::_exit(101) }
    }));
}
