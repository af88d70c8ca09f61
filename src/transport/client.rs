//! The controller's side of one agent: many calls over one stream of frames.

use super::channel::{Channel, Exit, Reader, Tail, Writer};
use super::content::Source;
use super::pool::Payload;
use super::second::Second;
use super::{CallError, SENT_SUM};
use crate::proto::{Frame, FrameBuf, FrameKind, Hello, Request, Response, encode};
use crate::seconds;
use serde_json::Value as Json;
use sha1::{Digest, Sha1};
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Between two questions to the agent whether it is there.
const PING: Duration = Duration::from_secs(10);
/// Requests of a chain that may be under way at once, and the bytes of content that may wait with them.
const CHAIN: usize = 1024;
const CHAIN_BYTES: u64 = 4 << 20;
/// Patience for an answer beyond the request's own timeout.
const TIMEOUT_GRACE: Duration = Duration::from_secs(10);

/// What arrives for a call.
enum Event {
    Frame(Frame),
    Broken(CallError),
}

struct Calls {
    open: HashMap<u64, mpsc::Sender<Event>>,
    /// Set once the connection is of no use any more; says why.
    broken: Option<CallError>,
}

/// One agent, shared by all calls to it.
pub struct Client {
    host: Arc<str>,
    writer: tokio::sync::Mutex<Writer>,
    calls: Mutex<Calls>,
    next: AtomicU64,
    born: Instant,
    /// Milliseconds after `born` when the last bytes came.
    heard: AtomicU64,
    /// Whether the pings of the keeper were ever needed: a ping is out.
    pinged: AtomicBool,
    pub hello: OnceLock<Hello>,
    /// How long silence may last before the host counts as lost.
    patience: Duration,
    stderr: Tail,
    second: Second,
}

impl Client {
    /// Takes over a channel on which the agent has said its magic word; `early` is what came after it.
    pub async fn start(
        host: Arc<str>,
        channel: Channel,
        early: Vec<u8>,
        stderr: Tail,
        patience: Duration,
        second: Second,
    ) -> Result<Arc<Client>, CallError> {
        let Channel { stdin, stdout, stderr: errors, exit } = channel;
        tokio::spawn(stderr.clone().drain(errors));
        let client = Arc::new(Client {
            host,
            writer: tokio::sync::Mutex::new(stdin),
            calls: Mutex::new(Calls { open: HashMap::new(), broken: None }),
            next: AtomicU64::new(1),
            born: Instant::now(),
            heard: AtomicU64::new(0),
            pinged: AtomicBool::new(false),
            hello: OnceLock::new(),
            patience,
            stderr,
            second,
        });
        let (greet, greeting) = oneshot::channel();
        tokio::spawn(read_all(client.clone(), stdout, early, exit, greet));
        match timeout(patience, greeting).await {
            Ok(Ok(())) => {}
            _ => {
                client.break_off(CallError::Failed("the agent said its word and then nothing".into()));
                return Err(client.why());
            }
        }
        tokio::spawn(keep(Arc::downgrade(&client)));
        Ok(client)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// False once the connection broke.
    pub fn usable(&self) -> bool {
        self.calls().broken.is_none()
    }

    fn why(&self) -> CallError {
        self.calls().broken.clone().unwrap_or(CallError::Failed("the connection to the agent ended".into()))
    }

    /// Ends all calls with this error; the first error stays.
    pub fn break_off(&self, why: CallError) {
        let open = {
            let mut calls = self.calls();
            calls.broken.get_or_insert(why.clone());
            std::mem::take(&mut calls.open)
        };
        for tx in open.into_values() {
            let _ = tx.try_send(Event::Broken(why.clone()));
        }
        // The agent ends when its stdin does, even if calls still hold this client.
        if let Ok(mut w) = self.writer.try_lock() {
            *w = Box::new(tokio::io::sink());
        }
    }

    pub(super) async fn send(&self, kind: FrameKind, id: u64, payload: &[u8]) -> Result<(), CallError> {
        let bytes = encode(kind, id, payload).ok_or_else(|| {
            CallError::Failed(format!("{} bytes of arguments are more than a task can send", payload.len()))
        })?;
        self.send_encoded(&bytes).await
    }

    /// Sends whole frames.
    pub(super) async fn send_encoded(&self, bytes: &[u8]) -> Result<(), CallError> {
        let write = async {
            let mut w = self.writer.lock().await;
            w.write_all(bytes).await?;
            w.flush().await
        };
        match timeout(self.patience, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                // The reading side knows better why; it needs a moment to find out.
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.break_off(lost(&self.host, &self.stderr));
                Err(self.why())
            }
            Err(_) => {
                self.break_off(silent(&self.host, self.patience));
                Err(self.why())
            }
        }
    }

    fn open_call(&self) -> Result<(u64, mpsc::Receiver<Event>), CallError> {
        let (tx, rx) = mpsc::channel(16);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut calls = self.calls();
        match &calls.broken {
            Some(why) => Err(why.clone()),
            None => {
                calls.open.insert(id, tx);
                Ok((id, rx))
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn call(
        &self,
        req: Request,
        payload: Option<&Payload>,
        sink: Option<&mut (dyn Write + Send)>,
    ) -> Result<Response, CallError> {
        let pending = self.begin(req, payload).await?;
        self.end(pending, sink).await
    }

    /// Sends requests that run one after the other without waiting for the answers in between. With
    /// `stop_at_failure` the agent runs no more after the first that fails; the rest is answered by [`crate::proto::NOT_RUN`]. Answers are
    /// told in order, until one cannot be had.
    pub async fn call_chain(
        &self,
        requests: Vec<(Request, Option<Payload>)>,
        stop_at_failure: bool,
        mut tell: impl FnMut(Result<Response, CallError>),
    ) {
        let mut under_way: VecDeque<Pending<'_>> = VecDeque::new();
        let (mut before, mut bytes, mut left) = (None, 0, requests.len());
        for (mut req, payload) in requests {
            while under_way.len() >= CHAIN || bytes > CHAIN_BYTES {
                let Some(p) = under_way.pop_front() else { break };
                bytes -= p.inline_bytes();
                match self.end(p, None).await {
                    Ok(r) => tell(Ok(r)),
                    Err(e) => return tell(Err(e)),
                }
            }
            left -= 1;
            req.after = before;
            req.if_ok = stop_at_failure && before.is_some();
            req.followed = stop_at_failure && left > 0;
            match self.begin(req, payload.as_ref()).await {
                Ok(p) => {
                    before = Some(p.id);
                    bytes += p.inline_bytes();
                    under_way.push_back(p);
                }
                // what was sent before it is answered still
                Err(e) => {
                    for p in under_way {
                        tell(self.end(p, None).await);
                    }
                    return tell(Err(e));
                }
            }
        }
        for p in under_way {
            match self.end(p, None).await {
                Ok(r) => tell(Ok(r)),
                Err(e) => return tell(Err(e)),
            }
        }
    }

    /// Sends a request, with its content if that is small.
    async fn begin(&self, mut req: Request, payload: Option<&Payload>) -> Result<Pending<'_>, CallError> {
        let mut source = match payload {
            Some(p) => Some(Source::open(p).await?),
            None => None,
        };
        req.content = source.as_ref().map(|s| s.meta.clone());
        if Second::needed(self, &req) {
            req.second = Some(self.second.provide(self).await?);
        }
        let (id, events) = self.open_call()?;
        let forget = Forget { client: self, id };
        let body = serde_json::to_vec(&req).map_err(|e| CallError::Failed(e.to_string()))?;
        self.send(FrameKind::Request, id, &body).await?;
        if let Some(s) = &mut source
            && s.meta.inline
        {
            s.portion(self, id, u64::MAX).await?;
        }
        Ok(Pending { id, events, source, timeout: req.timeout, _forget: forget })
    }

    /// Waits for the answer of a request, giving it the content it asks for and taking what it sends.
    async fn end(
        &self,
        pending: Pending<'_>,
        mut sink: Option<&mut (dyn Write + Send)>,
    ) -> Result<Response, CallError> {
        let Pending { id, mut events, mut source, timeout: seconds, _forget } = pending;
        let limit = (seconds > 0).then(|| seconds::whole(seconds) + TIMEOUT_GRACE);
        let work = async {
            let (mut sum, mut sent, mut unfinished) = (Sha1::new(), None, false);
            loop {
                let frame = match events.recv().await {
                    Some(Event::Frame(f)) => f,
                    Some(Event::Broken(e)) => return Err(e),
                    None => return Err(self.why()),
                };
                match frame.kind {
                    FrameKind::Response => {
                        let mut r: Response = serde_json::from_slice(&frame.payload)
                            .map_err(|e| CallError::Failed(format!("the agent's answer cannot be understood: {e}")))?;
                        r.result.shift_remove(SENT_SUM);
                        if let Some(sum) = sent {
                            r.result.insert(SENT_SUM.into(), Json::String(sum));
                        }
                        let failed = r.result.get("failed").and_then(Json::as_bool).unwrap_or(false);
                        if unfinished && !failed {
                            return Err(damaged());
                        }
                        let over = seconds > 0 && r.result.contains_key("timedout");
                        return if over { Err(CallError::Timeout(seconds)) } else { Ok(r) };
                    }
                    FrameKind::WantData => {
                        let more = frame.payload.try_into().map(u64::from_be_bytes).unwrap_or(0);
                        if let Some(s) = &mut source {
                            s.portion(self, id, more).await?;
                        }
                    }
                    FrameKind::WantSum => {
                        if let Some(s) = &mut source {
                            let sum = s.sha1().await.unwrap_or_else(|e| format!("!{e}"));
                            self.send(FrameKind::Sum, id, sum.as_bytes()).await?;
                        }
                    }
                    FrameKind::WantSecond => {
                        let ended = frame.payload.try_into().map(u64::from_be_bytes).unwrap_or(0);
                        if let Err(e) = self.second.again(self, ended).await {
                            let _ = self.send(FrameKind::Cancel, id, &[]).await;
                            return Err(e);
                        }
                    }
                    FrameKind::WantRest => {
                        let same = match (&mut source, frame.payload.split_first_chunk::<8>()) {
                            (Some(s), Some((len, sum))) => s.skip(u64::from_be_bytes(*len), sum).await,
                            _ => false,
                        };
                        self.send(FrameKind::Rest, id, if same { b"1" } else { b"0" }).await?;
                    }
                    FrameKind::Data => {
                        unfinished = true;
                        sum.update(&frame.payload);
                        let taken = sink.as_mut().map_or(Ok(()), |out| out.write_all(&frame.payload));
                        if let Err(e) = taken {
                            let _ = self.send(FrameKind::Cancel, id, &[]).await;
                            return Err(CallError::Failed(e.to_string()));
                        }
                    }
                    FrameKind::DataEnd => {
                        sent = Some(verify(&mut sum, &frame.payload)?);
                        unfinished = false;
                    }
                    _ => {}
                }
            }
        };
        match limit {
            None => work.await,
            Some(l) => match timeout(l, work).await {
                Ok(r) => r,
                Err(_) => {
                    let _ = self.send(FrameKind::Cancel, id, &[]).await;
                    Err(CallError::Timeout(seconds))
                }
            },
        }
    }

    /// Stops everything that runs on this agent for us.
    pub async fn cancel_all(&self) {
        let ids: Vec<u64> = self.calls().open.keys().copied().collect();
        for id in ids {
            let _ = self.send(FrameKind::Cancel, id, &[]).await;
        }
    }
}

/// A request that is under way.
struct Pending<'a> {
    id: u64,
    events: mpsc::Receiver<Event>,
    source: Option<Source>,
    /// The request's own limit in seconds, 0 for none.
    timeout: u64,
    _forget: Forget<'a>,
}

impl Pending<'_> {
    /// Content that went along with the request and waits in the agent's memory.
    fn inline_bytes(&self) -> u64 {
        self.source.as_ref().filter(|s| s.meta.inline).map_or(0, |s| s.meta.size)
    }
}

/// Takes a call off the list whatever way it ends.
struct Forget<'a> {
    client: &'a Client,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.client.calls().open.remove(&self.id);
    }
}

fn verify(sum: &mut Sha1, announced: &[u8]) -> Result<String, CallError> {
    let sum = crate::proto::hex(&sum.finalize_reset());
    if sum.as_bytes() == announced { Ok(sum) } else { Err(damaged()) }
}

fn damaged() -> CallError {
    CallError::Failed("content was damaged on its way from the host".into())
}

fn lost(host: &str, stderr: &Tail) -> CallError {
    let words = stderr.text();
    match words.is_empty() {
        true => CallError::ssh(format!("Shared connection to {host} closed.")),
        false => CallError::ssh(words),
    }
}

fn silent(host: &str, patience: Duration) -> CallError {
    CallError::Unreachable(format!(
        "Connection to {host} lost: no sign of life for {} seconds. The host may be frozen or the link cut.",
        patience.as_secs()
    ))
}

/// Reads frames for as long as there are any and hands them to their calls.
async fn read_all(
    client: Arc<Client>,
    mut from: Reader,
    early: Vec<u8>,
    exit: oneshot::Receiver<Exit>,
    greet: oneshot::Sender<()>,
) {
    let weak = Arc::downgrade(&client);
    drop(client);
    let mut greet = Some(greet);
    let mut buf = FrameBuf::default();
    buf.push(&early);
    loop {
        let Some(client) = weak.upgrade() else { return };
        loop {
            match buf.next_frame() {
                Ok(Some(f)) => {
                    if let Err(why) = deliver(&client, f, &mut greet).await {
                        return client.break_off(CallError::Failed(format!("{}: {why}", client.host)));
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    let text = format!("the host sends what is no answer of an agent: {e}");
                    return client.break_off(CallError::Unreachable(text));
                }
            }
        }
        drop(client);
        let n = from.read(buf.room()).await.unwrap_or(0);
        let Some(client) = weak.upgrade() else { return };
        if n == 0 {
            let end = timeout(Duration::from_secs(2), exit).await;
            // Last words on stderr may still be on their way to the tail.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let words = client.stderr.text();
            let why = match end {
                Ok(Ok(Exit::Code(c))) => ended(&format!("ended with code {c}"), &words),
                Ok(Ok(Exit::Signal(s))) => ended(&format!("was killed by signal {s}"), &words),
                _ => lost(&client.host, &client.stderr),
            };
            return client.break_off(why);
        }
        let now = client.born.elapsed().as_millis() as u64;
        client.heard.store(now, Ordering::Relaxed);
        client.pinged.store(false, Ordering::Relaxed);
        buf.filled(n);
    }
}

fn ended(how: &str, words: &str) -> CallError {
    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
    CallError::Failed(format!("the agent on the host {how} in the middle of its work{words}"))
}

async fn deliver(client: &Client, f: Frame, greet: &mut Option<oneshot::Sender<()>>) -> Result<(), String> {
    match f.kind {
        FrameKind::Hello => {
            let hello: Hello = serde_json::from_slice(&f.payload).map_err(|e| format!("a damaged greeting: {e}"))?;
            if hello.version != crate::agent::VERSION {
                return Err(format!(
                    "the agent is of version {}, this is {}; the dirigo-agent beside dirigo must be of the same build",
                    hello.version,
                    crate::agent::VERSION
                ));
            }
            let _ = client.hello.set(hello);
            if let Some(g) = greet.take() {
                let _ = g.send(());
            }
        }
        FrameKind::Pong => {}
        FrameKind::Request
        | FrameKind::Cancel
        | FrameKind::Ping
        | FrameKind::Sum
        | FrameKind::Second
        | FrameKind::SecondEnd
        | FrameKind::Rest => {
            return Err("the agent sends what only a controller may send".into());
        }
        FrameKind::Response
        | FrameKind::Data
        | FrameKind::DataEnd
        | FrameKind::WantData
        | FrameKind::WantSum
        | FrameKind::WantSecond
        | FrameKind::WantRest
        | FrameKind::More => {
            let tx = client.calls().open.get(&f.id).cloned();
            match tx {
                Some(tx) => drop(tx.send(Event::Frame(f)).await),
                // An answer to a call that was given up is late, not wrong.
                None if f.id < client.next.load(Ordering::Relaxed) => {}
                None => return Err(format!("the agent answers request {}, which was never sent", f.id)),
            }
        }
    }
    Ok(())
}

/// Asks for signs of life as long as the client lives, and gives up after its patience.
async fn keep(client: std::sync::Weak<Client>) {
    loop {
        let Some(pause) = client.upgrade().map(|c| PING.min(c.patience / 3)) else { return };
        tokio::time::sleep(pause).await;
        let Some(c) = client.upgrade() else { return };
        if !c.usable() {
            return;
        }
        let heard = Duration::from_millis(c.heard.load(Ordering::Relaxed));
        let quiet = c.born.elapsed().saturating_sub(heard);
        if c.pinged.load(Ordering::Relaxed) && quiet > c.patience {
            return c.break_off(silent(&c.host, c.patience));
        }
        if !c.pinged.swap(true, Ordering::Relaxed) && c.send(FrameKind::Ping, 0, &[]).await.is_err() {
            return;
        }
    }
}
