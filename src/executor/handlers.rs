//! Handlers: notified by changed tasks, run at the flush points in the order they are written.

use super::event::Event;
use super::play::PlayRun;
use super::state::{Host, Phase, lock};
use super::walk::{self, Frame};
use crate::diag::{Error, Result};
use crate::playbook::{Item, Place, Task};
use crate::value::Value;
use crate::vars::View;
use indexmap::IndexSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A handler and the hosts that wait for it.
#[derive(Debug)]
pub struct HandlerState {
    pub task: Arc<Task>,
    notified: Mutex<IndexSet<Arc<str>>>,
}

/// Adds handlers (blocks of handlers are flattened) to the play's.
pub fn collect(p: &PlayRun, items: &[Item]) {
    for i in items {
        match i {
            Item::Task(t) => {
                let mut all = lock(&p.handlers);
                if !all.iter().any(|h| Arc::ptr_eq(&h.task, t)) {
                    all.push(Arc::new(HandlerState { task: t.clone(), notified: Mutex::default() }));
                }
            }
            Item::Block(b) => collect(p, &b.block),
            Item::RoleEnd(_) => {}
        }
    }
}

/// The names by which a handler can be notified. A template among them knows no host, only the play and the role.
fn names(p: &PlayRun, t: &Arc<Task>) -> Vec<String> {
    let Some(n) = &t.name else { return vec![] };
    if !n.needs_render() {
        return with_role(t, n.to_str());
    }
    let place = Place { scope: &p.scope, file: t.file.clone(), inherit: t.inherit.clone(), importing: vec![] };
    match p.runner.loader.static_name(n, &place, "handler name", &t.vars) {
        Ok(own) => with_role(t, own),
        Err(e) => {
            if t.listen.is_empty() {
                let cause = e.message().rsplit_once("handler name: ").map_or(e.message(), |(_, cause)| cause);
                p.runner.warn(format!(
                    "Handler '{}' is unusable because it has no listen topics and the name could not be templated (host-specific variables are not supported in handler names). The error: {cause}",
                    n.to_str()
                ));
            }
            vec![]
        }
    }
}

/// A handler's name or topic, also as it is called with its role's short and full name before it.
fn with_role(t: &Task, own: String) -> Vec<String> {
    let mut out = vec![];
    if let Some(role) = &t.role {
        out.push(format!("{} : {own}", role.name));
        out.push(format!("{} : {own}", role.name.rsplit('.').next().unwrap_or(&role.name)));
    }
    out.push(own);
    out
}

/// The topics that a handler listens to; they are as written, never templates.
fn topics(t: &Task) -> Vec<String> {
    t.listen.iter().flat_map(|l| with_role(t, l.to_str())).collect()
}

/// Notifies what a changed task names.
pub fn notify(p: &PlayRun, task: &Arc<Task>, host: &Arc<str>, view: &View) -> Result<()> {
    let r = &p.runner;
    let mut wanted: Vec<String> = vec![];
    for n in &task.notify {
        match r.engine.render(n, &r.scope(view))? {
            Value::List(l) => wanted.extend(l.iter().map(Value::to_str)),
            v => wanted.push(v.to_str()),
        }
    }
    for name in wanted {
        let meant = search(p, &name);
        if meant.is_empty() {
            let msg = format!(
                "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
            );
            if r.options.error_on_missing_handler {
                return Err(Error::general(msg).at(task
                    .notify
                    .iter()
                    .find_map(super::runner::origin)
                    .or(Some(task.span))));
            }
            r.warn(msg);
        } else if task.is_handler {
            for h in meant {
                tell(p, &h, host);
            }
        } else {
            lock(&p.notifications).entry(host.clone()).or_default().insert(name.clone());
            r.emit(Event::NotificationSaved { handler: name, host: host.clone() });
        }
    }
    Ok(())
}

/// The handlers that a notification means: the first of this name in the last section (a role's handlers,
/// the play's) that has one, and every one that listens.
fn search(p: &PlayRun, name: &String) -> Vec<Arc<HandlerState>> {
    let all = lock(&p.handlers).clone();
    let role = |h: &Arc<HandlerState>| h.task.role.as_ref().map(|r| r.id);
    let sections: Vec<&[Arc<HandlerState>]> = all.chunk_by(|a, b| role(a) == role(b)).collect();
    let named = sections.iter().rev().find_map(|s| s.iter().find(|h| names(p, &h.task).contains(name)));
    let mut out: Vec<Arc<HandlerState>> = named.into_iter().cloned().collect();
    for h in &all {
        if topics(&h.task).contains(name) && !out.iter().any(|o| Arc::ptr_eq(o, h)) {
            out.push(h.clone());
        }
    }
    out
}

fn tell(p: &PlayRun, h: &HandlerState, host: &Arc<str>) {
    if lock(&h.notified).insert(host.clone()) {
        p.runner.emit(Event::Notified { handler: h.task.raw_label(), host: host.clone() });
    }
}

/// Tells the handlers what was notified since the last flush. What a name means is settled only now, so that
/// of handlers that roles brought in meanwhile the last ones count.
fn deliver(p: &PlayRun, hosts: &[Host]) {
    for h in hosts.iter().filter(|h| h.is_active()) {
        let names = lock(&p.notifications).shift_remove(&h.name).unwrap_or_default();
        for name in names {
            for handler in search(p, &name) {
                tell(p, &handler, &h.name);
            }
        }
    }
}

/// Runs what was notified on these hosts. Handlers notified by handlers run in the same flush if they stand behind,
/// else in the next one. `f` is where in the play the flush is: a block around it may rescue a handler's failure.
pub fn flush(p: &PlayRun, hosts: &[Host], f: Frame) -> Result<()> {
    let forced: Vec<Host> = if p.force_handlers {
        let gave_up = lock(&p.gave_up);
        let failed = hosts.iter().filter(|h| h.phase() == Phase::Failed && !gave_up.contains(&h.name));
        failed.cloned().collect()
    } else {
        vec![]
    };
    for h in &forced {
        h.set(Phase::Active);
    }
    let broken = p.force_handlers && p.broken.swap(false, Ordering::SeqCst);
    let active: Vec<&Host> = hosts.iter().filter(|h| h.is_active()).collect();
    let outcome = run_notified(p, hosts, Frame { handlers: true, ..f });
    for h in active {
        match h.phase() {
            Phase::Failed => lock(&p.gave_up).insert(h.name.clone()),
            // it was rescued meanwhile
            _ => lock(&p.gave_up).remove(&h.name),
        };
    }
    for h in &forced {
        if h.phase() == Phase::Active {
            h.set(Phase::Failed);
        }
    }
    if broken {
        p.broken.store(true, Ordering::SeqCst);
    }
    outcome
}

/// Goes over the handlers once. A host that failed in one before goes on behind that one, as in ansible-core; what
/// stands before waits for the next flush.
fn run_notified(p: &PlayRun, hosts: &[Host], f: Frame) -> Result<()> {
    deliver(p, hosts);
    let first: Vec<usize> = hosts.iter().map(|h| h.next_handler.swap(0, Ordering::SeqCst)).collect();
    let mut i = 0;
    loop {
        // a role that a handler includes may bring more of them
        let Some(handler) = lock(&p.handlers).get(i).cloned() else { return Ok(()) };
        let todo: Vec<Host> = {
            let mut told = lock(&handler.notified);
            let due = hosts.iter().zip(&first).filter(|(h, first)| h.is_active() && **first <= i);
            due.map(|(h, _)| h.clone()).filter(|h| told.shift_remove(&h.name)).collect()
        };
        i += 1;
        if todo.is_empty() {
            continue;
        }
        let before: Vec<&Host> = hosts.iter().filter(|h| h.is_active()).collect();
        walk::task(p, &handler.task, &todo, f)?;
        before.iter().filter(|h| h.phase() == Phase::Failed).for_each(|h| h.next_handler.store(i, Ordering::SeqCst));
    }
}
