//! `meta` tasks: orders to the engine itself.

use super::conditions::first_false;
use super::connection;
use super::event::{Event, Status, TaskInfo, TaskResult};
use super::play::{PlayRun, info};
use super::state::{Host, Phase, lock};
use super::walk::Frame;
use crate::diag::{Error, Result};
use crate::playbook::Task;
use crate::value::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Carries a meta task out.
pub fn run(p: &PlayRun, t: &Arc<Task>, hosts: &[Host], f: Frame) -> Result<()> {
    let r = &p.runner;
    let Some(first) = hosts.first() else { return Ok(()) };
    let scope = r.scope(&p.view(&first.name, Some(t)));
    let what = match t.args.get("_raw_params") {
        Some(v) => r.engine.render(v, &scope)?.to_str(),
        None => return Err(Error::parse("meta needs the name of an action").at(t.span)),
    };
    let once = p.runs_once(t, &scope)?;
    let chosen = choose(p, t, hosts, what.trim())?;
    if chosen.is_empty() {
        return Ok(());
    }
    match what.trim() {
        "noop" | "role_complete" | "flush_cache" => {}
        "flush_handlers" => {
            if !f.handlers {
                super::handlers::flush(p, &chosen, f)?;
            }
        }
        "clear_facts" => {
            for h in &p.hosts {
                r.store.host(&h.name).clear_facts();
            }
        }
        "clear_host_errors" => {
            for h in &p.hosts {
                h.forgive();
                lock(&r.state.failed).shift_remove(&h.name);
                lock(&r.state.unreachable).shift_remove(&h.name);
            }
            lock(&p.doomed).clear();
            p.refresh_alive();
        }
        "end_host" => {
            for h in &chosen {
                h.set(Phase::Ended);
            }
            p.refresh_alive();
        }
        "end_batch" => end_all(p, hosts),
        "end_play" => {
            end_all(p, hosts);
            p.ended.store(true, Ordering::SeqCst);
        }
        "end_role" => {
            let Some(role) = &t.role else {
                return Err(Error::parse("Cannot execute 'end_role' from outside of a role").at(t.span));
            };
            for h in if once { hosts } else { &chosen[..] } {
                *lock(&h.end_role) = Some(role.id);
            }
        }
        "refresh_inventory" => {
            let fresh = (r.reload)()?;
            r.store.change_inventory(|inv| inv.replace_keeping_runtime(fresh));
        }
        "reset_connection" => {
            for h in &chosen {
                let s = r.scope(&p.view(&h.name, Some(t)));
                let params = connection::params(r, &h.name, t, &s, false)?;
                r.pool.reset(&params);
            }
        }
        other => {
            return Err(Error::parse(format!("invalid meta action requested: {other}")).at(t
                .args
                .get("_raw_params")
                .and_then(origin)
                .or(Some(t.span))));
        }
    }
    Ok(())
}

/// The hosts that the order is for. Some orders are each host's own, the others are for the run as a
/// whole and ask the first host's conditions only; some take no conditions.
fn choose(p: &PlayRun, t: &Arc<Task>, hosts: &[Host], what: &str) -> Result<Vec<Host>> {
    let r = &p.runner;
    let own =
        matches!(what, "noop" | "reset_connection" | "end_host" | "role_complete" | "flush_handlers" | "end_role");
    let unconditional = matches!(what, "noop" | "refresh_inventory" | "reset_connection" | "role_complete");
    let mut chosen = vec![];
    for h in if own { hosts } else { hosts.get(..1).unwrap_or_default() } {
        let info = info(p, t, &h.name);
        if !t.implicit {
            r.emit(Event::TaskStart(info.clone()));
        }
        if unconditional {
            if !t.when.is_empty() {
                r.warn(format!("{what} task does not support when conditional"));
            }
            told(p, t, &done(what, h));
            chosen.push(h.clone());
            continue;
        }
        let scope = r.scope(&p.view(&h.name, Some(t)));
        if first_false(r, &t.when, &scope).map_err(|e| e.at(t.span))?.is_none() {
            told(p, t, &done(what, h));
            chosen.push(h.clone());
        } else {
            let instead = match what {
                "flush_handlers" => format!("not running handlers for {}", h.name),
                "clear_facts" => format!("not clearing facts and fact cache for {}", h.name),
                "clear_host_errors" => format!("not clearing host error state for {}", h.name),
                "end_batch" => "continuing current batch".into(),
                "end_play" => "continuing play".into(),
                "end_role" => format!(
                    "continuing role {} for {}",
                    t.role.as_ref().map(|r| r.name.as_str()).unwrap_or_default(),
                    h.name
                ),
                _ => format!("continuing execution for {}", h.name),
            };
            // ansible-core runs the words together here
            let comma = if what == "end_role" { "" } else { ", " };
            let reason = format!("{what} conditional evaluated to False{comma}{instead}");
            told(p, t, &reason);
            skipped(p, &info, h, what, &instead, reason);
        }
    }
    Ok(if own || chosen.is_empty() { chosen } else { hosts.to_vec() })
}

/// What the carrying out of an order is called in the detailed output; nothing for orders that go without saying.
fn done(what: &str, h: &Host) -> String {
    match what {
        "noop" => "noop".into(),
        "flush_handlers" => format!("triggered running handlers for {}", h.name),
        "clear_facts" => "facts cleared".into(),
        "clear_host_errors" => "cleared host errors".into(),
        "refresh_inventory" => "inventory successfully refreshed".into(),
        "reset_connection" => "reset connection".into(),
        "end_host" => format!("ending play for {}", h.name),
        "end_batch" => "ending batch".into(),
        "end_play" => "ending play".into(),
        _ => String::new(),
    }
}

fn told(p: &PlayRun, t: &Task, words: &str) {
    if p.runner.options.verbosity >= 2 && !t.implicit && !words.is_empty() {
        p.runner.emit(Event::Display(format!("META: {words}")));
    }
}

/// Tells that an order is not carried out; the recap does not count it.
fn skipped(p: &PlayRun, info: &Arc<TaskInfo>, h: &Host, what: &str, instead: &str, reason: String) {
    let msg = match what {
        "end_host" => format!("end_host conditional evaluated to false, {instead}"),
        other => other.to_string(),
    };
    let mut data = Map::new();
    data.insert("msg".into(), msg.into());
    data.insert("skip_reason".into(), reason.into());
    data.insert("skipped".into(), true.into());
    let result = TaskResult {
        host: h.name.clone(),
        delegated_to: None,
        status: Status::Skipped,
        ignored: false,
        data,
        item: None,
        no_log: false,
        verbose_always: false,
        diff: false,
        by_module: false,
        error: None,
    };
    p.runner.emit(Event::Result { task: info.clone(), result: Arc::new(result) });
}

fn origin(v: &Value) -> Option<crate::diag::Span> {
    super::runner::origin(v)
}

fn end_all(p: &PlayRun, hosts: &[Host]) {
    let all = if p.free { hosts } else { &p.hosts[..] };
    for h in all {
        if h.is_active() {
            h.set(Phase::Ended);
        }
    }
}
