//! Requests sent before their turn, so that a round trip is not paid for each.
//!
//! Two cases: the items of a loop, and consecutive tasks of a host that is alone in its step. What is sent ahead must
//! be what would have been sent anyway: the modules are of a list whose results bring no variables, nothing in between
//! registers or judges a result, and rendering looked at nothing but variables. Each task then runs as always; where it
//! asks its host, the answer may be there already. Tasks run ahead only as long as all succeed: the agent stops at
//! the first failure, and what it did not run is asked again if the play still wants it.

use super::options::SendAhead;
use super::play::PlayRun;
use super::runner::Runner;
use super::state::{Host, lock};
use super::task::Work;
use crate::playbook::{Item, Task};
use crate::proto::{NOT_RUN, Request, Response};
use crate::template::impure_count;
use crate::transport::{Become, CallError, ConnParams, Connection, Payload};
use crate::vars::View;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};

/// Modules and actions that ask their host once and whose results bring no variables, sorted.
const PLAIN: &[&str] = &[
    "apt",
    "blockinfile",
    "command",
    "copy",
    "file",
    "find",
    "get_url",
    "group",
    "ini_file",
    "lineinfile",
    "package",
    "ping",
    "replace",
    "service",
    "shell",
    "slurp",
    "stat",
    "systemd",
    "systemd_service",
    "tempfile",
    "template",
    "uri",
    "user",
];
/// Tasks, and items of a loop, that may be under way for a host.
const TASKS: usize = 32;
const ITEMS: usize = 256;

/// A request with the connection it is for.
pub struct Planned {
    pub params: ConnParams,
    pub become_: Option<Become>,
    pub request: Request,
    pub payload: Option<Payload>,
}

/// Notes the one request of a task instead of sending it.
#[derive(Default)]
pub struct Note(Mutex<Vec<Option<(Request, Option<Payload>)>>>);

impl Note {
    /// Takes a request down; the error ends the task that asked.
    pub fn take(&self, request: Request, payload: Option<Payload>) -> CallError {
        lock(&self.0).push(Some((request, payload)));
        CallError::Failed("planned".into())
    }
    /// Something else than a plain request was asked for.
    pub fn refuse(&self) -> CallError {
        lock(&self.0).push(None);
        CallError::Failed("planned".into())
    }
    /// The request, if it was one and nothing else.
    pub fn noted(&self) -> Option<(Request, Option<Payload>)> {
        let mut all = lock(&self.0);
        if all.len() == 1 { all.pop().flatten() } else { None }
    }
}

/// A request that is under way before its task.
#[derive(Debug)]
pub struct Sent {
    /// The task it belongs to, by its address.
    task: usize,
    request: Request,
    payload: Option<Payload>,
    answer: mpsc::Receiver<Result<Response, CallError>>,
}

/// What is under way, by host and in the order sent.
pub type Queues = Mutex<HashMap<Arc<str>, VecDeque<Sent>>>;

fn lost() -> Result<Response, CallError> {
    Err(CallError::Failed("the connection ended before the answer".into()))
}

/// The answer to this request of this task, if it was sent ahead and run.
pub fn answer(
    r: &Runner,
    host: &Arc<str>,
    task: usize,
    request: &Request,
    payload: Option<&Payload>,
) -> Option<Result<Response, CallError>> {
    let sent = {
        let mut queues = lock(&r.state.ahead);
        let queue = queues.get_mut(host)?;
        match queue.front() {
            Some(s) if s.task == task && s.request == *request && s.payload.as_ref() == payload => queue.pop_front()?,
            Some(_) => {
                let rest = queues.remove(host)?;
                drop(queues);
                return settle(rest);
            }
            None => return None,
        }
    };
    match sent.answer.recv().unwrap_or_else(|_| lost()) {
        Ok(a) if a.result.contains_key(NOT_RUN) => None,
        other => Some(other),
    }
}

/// Requests that nobody asks for any more. They were stopped by a failure before them; one that ran all the same is
/// told as an error, since the play went another way than foreseen.
fn settle(rest: VecDeque<Sent>) -> Option<Result<Response, CallError>> {
    for s in rest {
        if let Ok(Ok(a)) = s.answer.recv()
            && !a.result.contains_key(NOT_RUN)
        {
            return Some(Err(CallError::Failed(format!(
                "the module {} was run on the host before its turn and is not wanted any more; this is an error of dirigo, run again with DIRIGO_SEND_AHEAD=off",
                s.request.module
            ))));
        }
    }
    None
}

/// Whether a task of this kind may be sent before its turn.
fn plain(t: &Task) -> bool {
    PLAIN.binary_search(&t.short.as_str()).is_ok()
        && !t.implicit
        && t.bad.is_none()
        && t.module_file.is_none()
        && t.until.is_empty()
        && t.retries.is_none()
        && t.async_.is_none()
        && t.kw.delegate_to.is_none()
        && t.kw.throttle.is_none()
        && t.kw.debugger.is_none()
}

fn wanted(r: &Runner) -> bool {
    r.options.send_ahead != SendAhead::Off && !r.options.step && !r.state.waiting_for_start.load(Ordering::SeqCst)
}

/// Whether a round trip to such a host costs enough to send ahead.
pub fn pays(r: &Runner, params: &ConnParams) -> bool {
    params.connection == Connection::Ssh || r.options.send_ahead == SendAhead::Always
}

/// What is planned so far for one host, all over one connection.
#[derive(Default)]
struct Batch(Vec<(usize, Planned)>);

impl Batch {
    /// Adds a request; false if it cannot go along with those before it.
    fn add(&mut self, task: &Arc<Task>, p: Planned) -> bool {
        let same = self.0.first().is_none_or(|(_, f)| f.params == p.params && f.become_ == p.become_);
        if same {
            self.0.push((Arc::as_ptr(task) as usize, p));
        }
        same
    }

    fn send(self, r: &Runner, host: &Arc<str>, stop_at_failure: bool) {
        let Some((_, first)) = self.0.first() else { return };
        if self.0.len() < 2 {
            return;
        }
        let (params, become_) = (first.params.clone(), first.become_.clone());
        let requests = self.0.iter().map(|(_, p)| (p.request.clone(), p.payload.clone())).collect();
        let answers = r.pool.send_ahead(&params, become_.as_ref(), requests, stop_at_failure);
        let sent = self.0.into_iter().zip(answers);
        let sent = sent.map(|((task, p), answer)| Sent { task, request: p.request, payload: p.payload, answer });
        lock(&r.state.ahead).insert(host.clone(), sent.collect());
    }
}

fn idle(r: &Runner, host: &Arc<str>) -> bool {
    lock(&r.state.ahead).get(host).is_none_or(VecDeque::is_empty)
}

/// Sends the tasks at the head of `list` ahead, for a host that is alone in its step.
pub fn tasks(p: &PlayRun, list: &[Item], host: &Host) {
    // the debugger may do a task again: nothing behind it must have happened
    if p.debug {
        return;
    }
    let r = &p.runner;
    let candidates = || {
        list.iter().map_while(|i| match i {
            Item::Task(t) if plain(t) && t.loop_.is_none() => Some(t),
            _ => None,
        })
    };
    // what a result decides about comes last
    let decides = |t: &Task| t.register.is_some() || !t.failed_when.is_empty();
    let head = candidates().take(2).collect::<Vec<_>>();
    if head.len() < 2 || head.first().is_some_and(|t| decides(t)) || !wanted(r) || !idle(r, &host.name) {
        return;
    }
    let before = impure_count();
    let mut batch = Batch::default();
    for t in candidates().take(TASKS) {
        if !super::walk::concerns(p, t, host) {
            continue;
        }
        let info = super::play::info(p, t, &host.name);
        let work = Work { runner: r, task: t, info: &info, view: p.view(&host.name, Some(t)), item: None };
        let planned = work.plan();
        if impure_count() != before {
            break;
        }
        let goes_along = match planned {
            Ok(None) => true,
            Ok(Some(planned)) => batch.add(t, planned),
            Err(_) => false,
        };
        if !goes_along {
            break;
        }
        if decides(t) {
            break;
        }
    }
    batch.send(r, &host.name, true);
}

/// Whether the items of this task's loop may be sent ahead of one another.
pub fn loops(r: &Runner, t: &Task) -> bool {
    let c = &t.loop_control;
    plain(t) && c.pause.is_none() && c.break_when.is_empty() && wanted(r)
}

/// Sends the items of a loop from `i` on ahead; `turn` gives the variables of each. False if that cannot be done.
pub fn items(w: &Work, i: usize, count: usize, turn: impl Fn(usize) -> View) -> bool {
    let host = &w.view.host;
    if !idle(w.runner, host) {
        return true;
    }
    let before = impure_count();
    let mut batch = Batch::default();
    for n in i..count.min(i + ITEMS) {
        let work = Work { view: turn(n), item: None, ..*w };
        let planned = work.plan();
        if impure_count() != before {
            return false;
        }
        let goes_along = match planned {
            Ok(None) => true,
            Ok(Some(planned)) => batch.add(w.task, planned),
            Err(_) => false,
        };
        if !goes_along {
            break;
        }
    }
    let any = batch.0.len() > 1;
    batch.send(w.runner, host, false);
    any
}
