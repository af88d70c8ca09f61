//! All connections of a run.

use super::bootstrap::{self, Start, StartError};
use super::bound::{self, Bound};
use super::channel::{self, Channel, Tail};
use super::client::Client;
use super::locate::{self, AgentFile};
use super::raw::{self, RawOutput};
use super::second::{Here, Second};
use super::{Become, CallError, ConnParams, Connection, ssh};
use crate::proto::{Request, Response};
use crate::seconds;
use camino::Utf8PathBuf;
use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Content that goes with a request: sent only when the module asks for it, in portions.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    Bytes(Arc<[u8]>),
    File(Utf8PathBuf),
}

/// Opens a channel on which an agent has said its magic word; its greeting comes next.
type Connector = dyn Fn(&ConnParams) -> Channel + Send + Sync;

static SIMULATED: OnceLock<Box<Connector>> = OnceLock::new();

/// For measurements: from now on every connection of this process is opened by this function, which is called within
/// the runtime. No host is contacted.
pub fn simulate(open: impl Fn(&ConnParams) -> Channel + Send + Sync + 'static) {
    let _ = SIMULATED.set(Box::new(open));
}

/// How a pool behaves.
#[derive(Clone, Debug, Default)]
pub struct PoolOptions {
    /// May the user be asked at the terminal (host keys, key passphrases)?
    pub interactive: bool,
    /// The agent's executable; `None` to look for it.
    pub agent: Option<Utf8PathBuf>,
    /// How long a host may give no sign of life; `None` for four times its timeout, but at least 60 seconds.
    pub patience: Option<Duration>,
    /// How many connections may be open at once; `None` for what the machine's limits allow.
    pub most: Option<usize>,
}

type Key = (ConnParams, Option<Become>);

/// The place of one connection; the lock is held while it is made, so that it is made once.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<Option<Held>>);

/// An open connection, with its share of the machine's limits.
struct Held {
    client: Arc<Client>,
    _room: OwnedSemaphorePermit,
}

struct Inner {
    options: PoolOptions,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    agent_path: Result<Utf8PathBuf, CallError>,
    agent_file: tokio::sync::OnceCell<AgentFile>,
    second_file: Arc<Here>,
    bound: Bound,
    room: Arc<Semaphore>,
    /// Said to the user once, when connections have to make room for others.
    notice: Mutex<Option<String>>,
    bound_told: AtomicBool,
}

/// Keeps every connection of a run and answers calls. Shared by all threads; not for use inside tokio tasks.
pub struct Pool {
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Pool {
    /// Starts the runtime. Fails only if the machine has no threads to give.
    pub fn new(options: PoolOptions) -> std::io::Result<Pool> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("transport").enable_all().build()?;
        let agent_path = options.agent.clone().map_or_else(locate::find, Ok);
        let mut bound = Bound::find();
        bound.most = options.most.map_or(bound.most, |n| n.clamp(1, bound.most));
        if SIMULATED.get().is_some() {
            bound.most = Semaphore::MAX_PERMITS; // nothing of the machine is used
        }
        let inner = Inner {
            room: Arc::new(Semaphore::new(bound.most)),
            bound,
            options,
            slots: Mutex::default(),
            second_file: Here::beside(&agent_path),
            agent_path,
            agent_file: Default::default(),
            notice: Mutex::default(),
            bound_told: AtomicBool::new(false),
        };
        let handle = runtime.handle().clone();
        Ok(Pool { inner: Arc::new(inner), runtime: Some(runtime), handle })
    }

    /// Runs a module on a host and waits for its answer. Content that the module sends back (fetch) goes to
    /// `sink`. Connects first if need be.
    pub fn call(
        &self,
        params: &ConnParams,
        escalate: Option<&Become>,
        request: Request,
        payload: Option<Payload>,
        sink: Option<&mut (dyn Write + Send)>,
    ) -> Result<Response, CallError> {
        self.handle.block_on(async {
            let client = self.inner.client(params, escalate).await?;
            client.call(request, payload.as_ref(), sink).await
        })
    }

    /// Runs modules one after the other without waiting for the answers in between; after the first that fails no
    /// more are run. Answers those that ran.
    pub fn call_chain(
        &self,
        params: &ConnParams,
        escalate: Option<&Become>,
        requests: Vec<(Request, Option<Payload>)>,
    ) -> Result<Vec<Response>, CallError> {
        self.handle.block_on(async {
            let client = self.inner.client(params, escalate).await?;
            let (mut answers, mut broken) = (vec![], None);
            let not_run = |r: &Response| r.result.contains_key(crate::proto::NOT_RUN);
            let tell = |a: Result<Response, CallError>| match a {
                Ok(r) if not_run(&r) => {}
                Ok(r) => answers.push(r),
                Err(e) => broken = Some(e),
            };
            client.call_chain(requests, true, tell).await;
            broken.map_or(Ok(answers), Err)
        })
    }

    /// As [`Pool::call_chain`], without waiting for anything: one receiver for each request. Without `stop_at_failure`
    /// all are run whatever the others answer.
    pub fn send_ahead(
        &self,
        params: &ConnParams,
        escalate: Option<&Become>,
        requests: Vec<(Request, Option<Payload>)>,
        stop_at_failure: bool,
    ) -> Vec<mpsc::Receiver<Result<Response, CallError>>> {
        let (senders, receivers): (Vec<_>, Vec<_>) = requests.iter().map(|_| mpsc::channel()).unzip();
        let (inner, params, escalate) = (self.inner.clone(), params.clone(), escalate.cloned());
        self.handle.spawn(async move {
            let mut senders = senders.into_iter();
            let mut broken = None;
            match inner.client(&params, escalate.as_ref()).await {
                Ok(client) => {
                    let tell = |a: Result<Response, CallError>| {
                        broken = a.as_ref().err().cloned();
                        if let Some(tx) = senders.next() {
                            let _ = tx.send(a);
                        }
                    };
                    client.call_chain(requests, stop_at_failure, tell).await;
                }
                Err(e) => broken = Some(e),
            }
            if let Some(e) = broken {
                senders.for_each(|tx| drop(tx.send(Err(e.clone()))));
            }
        });
        receivers
    }

    /// Runs a shell command on the host without an agent, through the user's login shell.
    pub fn raw(
        &self,
        params: &ConnParams,
        escalate: Option<&Become>,
        command: &str,
        stdin: Option<&[u8]>,
    ) -> Result<RawOutput, CallError> {
        self.handle.block_on(async {
            let token = token();
            let line = escalate.map_or_else(|| command.to_string(), |b| raw::command(b, &token, command));
            let ch = self.inner.open(params, &line).await?;
            raw::run(ch, escalate.map(|b| (b, token.as_str())), stdin, params.timeout).await
        })
    }

    /// What the user should know once: that the machine's limits bind, and which one.
    pub fn take_notice(&self) -> Option<String> {
        self.inner.notice.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes the connections of these parameters, the master too; the next call makes new ones.
    pub fn reset(&self, params: &ConnParams) {
        let gone: Vec<Arc<Slot>> = {
            let mut slots = self.inner.slots();
            let keys: Vec<Key> = slots.keys().filter(|(p, _)| p == params).cloned().collect();
            keys.iter().filter_map(|k| slots.remove(k)).collect()
        };
        self.handle.block_on(async {
            for slot in gone {
                drop(slot.0.lock().await.take());
            }
            if params.connection == Connection::Ssh
                && let Ok(path) = ssh::socket(params)
            {
                ssh::stop(&path).await;
            }
        });
    }

    /// Asks every agent to stop what runs for us; the calls answer as failed.
    pub fn cancel_all(&self) {
        let slots: Vec<Arc<Slot>> = self.inner.slots().values().cloned().collect();
        self.handle.block_on(async {
            for slot in slots {
                // A slot whose connection is being made has nothing to cancel.
                let client = slot.0.try_lock().ok().and_then(|c| c.as_ref().map(|h| h.client.clone()));
                if let Some(c) = client {
                    c.cancel_all().await;
                }
            }
        });
    }

    /// Says so if the agent is linked to shared libraries, which other hosts may not have.
    pub fn agent_warning(&self) -> Option<String> {
        let a = self.handle.block_on(self.inner.agent_file()).ok()?;
        a.dynamic.then(|| {
            format!(
                "{} is linked dynamically and may not run on other hosts; build it as the documentation says",
                a.path
            )
        })
    }

    /// Closes everything; agents end what they run for us and go.
    pub fn shutdown(&self) {
        let slots: Vec<(Key, Arc<Slot>)> = self.inner.slots().drain().collect();
        self.handle.block_on(async {
            for (key, slot) in slots {
                let held = slot.0.lock().await.take();
                if let Some(h) = held {
                    h.client.break_off(CallError::Failed("the run has ended".into()));
                }
                if key.0.connection == Connection::Ssh
                    && ssh::ends_with_run(&key.0)
                    && let Ok(path) = ssh::socket(&key.0)
                {
                    ssh::stop(&path).await;
                }
            }
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
        if let Some(rt) = self.runtime.take() {
            rt.shutdown_timeout(Duration::from_millis(200));
        }
    }
}

/// A word that nobody guesses, to know our own words by.
fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn agent_file(&self) -> Result<&AgentFile, CallError> {
        let path = self.agent_path.clone()?;
        let load = || async {
            let read = tokio::task::spawn_blocking(move || AgentFile::load(&path)).await;
            read.unwrap_or_else(|e| Err(CallError::Failed(e.to_string())))
        };
        self.agent_file.get_or_try_init(load).await
    }

    /// The connection of these parameters, made if it is not there or broke.
    async fn client(&self, params: &ConnParams, escalate: Option<&Become>) -> Result<Arc<Client>, CallError> {
        let key = (params.clone(), escalate.cloned());
        let slot = self.slots().entry(key).or_default().clone();
        let mut place = slot.0.lock().await;
        if let Some(h) = place.as_ref().filter(|h| h.client.usable()) {
            return Ok(h.client.clone());
        }
        *place = None;
        let room = self.room().await;
        let client = self.connect(params, escalate).await?;
        *place = Some(Held { client: client.clone(), _room: room });
        Ok(client)
    }

    /// Room for one more connection: free, or made by closing one that nobody uses.
    async fn room(&self) -> OwnedSemaphorePermit {
        bound::raise_files(self.bound.most - self.room.available_permits().min(self.bound.most) + 1);
        loop {
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return room;
            }
            if !self.bound_told.swap(true, Ordering::Relaxed) {
                *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.bound.notice());
            }
            if !self.close_idle().await {
                // all are at work; one of them will be done
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Closes one of the connections that nobody uses; false if all are in use. Hosts do their tasks in turn, so the one
    /// that rested longest would be the next one needed: chance keeps as many as there is room for.
    async fn close_idle(&self) -> bool {
        let slots: Vec<(Key, Arc<Slot>)> = self.slots().iter().map(|(k, s)| (k.clone(), s.clone())).collect();
        let idle = |h: &Held| Arc::strong_count(&h.client) == 1;
        let resting = |slot: &Slot| slot.0.try_lock().is_ok_and(|p| p.as_ref().is_some_and(idle));
        let first = rand::random_range(0..slots.len().max(1));
        let (before, after) = slots.split_at(first.min(slots.len()));
        let Some(((params, _), slot)) = after.iter().chain(before).find(|(_, s)| resting(s)) else {
            return false;
        };
        let Some(held) = slot.0.try_lock().ok().and_then(|mut p| p.take_if(|h| idle(h))) else {
            return true; // somebody was faster; look again
        };
        held.client.break_off(CallError::Failed("closed to make room for others".into()));
        drop(held);
        let shared = slots.iter().any(|((p, _), s)| p == params && s.0.try_lock().map_or(true, |h| h.is_some()));
        if params.connection == Connection::Ssh
            && !shared
            && let Ok(path) = ssh::socket(params)
        {
            ssh::release(&path).await;
        }
        true
    }

    fn patience(&self, params: &ConnParams) -> Duration {
        let usual = seconds::whole(params.timeout.saturating_mul(4).max(60));
        self.options.patience.unwrap_or(usual)
    }

    async fn connect(&self, params: &ConnParams, escalate: Option<&Become>) -> Result<Arc<Client>, CallError> {
        let patience = self.patience(params);
        if let Some(open) = SIMULATED.get() {
            let second = self.second(false);
            return Client::start(params.host.clone(), open(params), vec![], Tail::default(), patience, second).await;
        }
        if params.connection == Connection::Local && escalate.is_none() {
            return self.connect_here(params, patience).await;
        }
        let agent = self.agent_file().await?;
        let mut skip = vec![];
        // doas asks nowhere else; the others are tried without a terminal first.
        let mut terminal = escalate.is_some_and(|b| b.method == super::Method::Doas && b.password.is_some());
        loop {
            let token = token();
            let start = Start { agent, token: &token, remote_tmp: &params.remote_tmp, escalate, skip: &skip, terminal };
            let ch = self.open(params, &start.command()).await?;
            match bootstrap::run(ch, &start, params.timeout).await {
                Ok(s) => {
                    let second = self.second(false);
                    return Client::start(params.host.clone(), s.channel, s.early, s.stderr, patience, second).await;
                }
                Err(StartError::Place(dir)) if !skip.contains(&dir) => skip.push(dir),
                Err(StartError::Place(dir)) => {
                    return Err(CallError::Failed(format!("the agent could not be written to {dir} on the host")));
                }
                Err(StartError::Terminal) => terminal = true,
                Err(StartError::Call(e)) => {
                    if matches!(e, CallError::Unreachable(_)) {
                        self.drop_master(params).await;
                    }
                    return Err(e);
                }
            }
        }
    }

    /// The agent as a plain child of this process.
    async fn connect_here(&self, params: &ConnParams, patience: Duration) -> Result<Arc<Client>, CallError> {
        let token = token();
        let path = self.agent_path.clone()?;
        let mut ch = channel::local(path.as_str(), &["__agent".into(), "serve".into(), token.clone()])?;
        let tail = Tail::default();
        let early = bootstrap::await_hello(&mut ch, &token, &tail, patience).await?;
        Client::start(params.host.clone(), ch, early, tail, patience, self.second(true)).await
    }

    /// The agent's second file for one connection; `child`: the agent is a child of this process.
    fn second(&self, child: bool) -> Second {
        Second::new(self.second_file.clone(), child)
    }

    /// A shell command on the host, as its login user.
    async fn open(&self, params: &ConnParams, command: &str) -> Result<Channel, CallError> {
        if params.connection == Connection::Local {
            return channel::local("/bin/sh", &["-c".into(), command.into()]);
        }
        let path = ssh::socket(params)?;
        let program = self.agent_path.clone()?.into_std_path_buf();
        let helper = ssh::Helper { program, interactive: self.options.interactive };
        ssh::ensure_master(params, &path, &helper).await?;
        match ssh::spawn(params, &path, command).await {
            Ok(ch) => Ok(ch),
            // A master that was left by another run may be dying just now, or its host was rebooted.
            Err(_) => {
                ssh::stop(&path).await;
                ssh::ensure_master(params, &path, &helper).await?;
                ssh::spawn(params, &path, command).await
            }
        }
    }

    /// After a broken connection, a master that looks alive may hang for minutes.
    async fn drop_master(&self, params: &ConnParams) {
        if params.connection == Connection::Ssh
            && let Ok(path) = ssh::socket(params)
        {
            ssh::stop(&path).await;
        }
    }
}
