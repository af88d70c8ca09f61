//! `meta` tasks: orders to the engine itself.

use super::conditions::first_false;
use super::connection;
use super::play::PlayRun;
use super::state::{Host, Phase, lock};
use super::walk::Frame;
use crate::diag::{Error, Result};
use crate::playbook::Task;
use crate::value::Value;
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
    let once = r.flag(&t.kw.run_once, &scope, false, "run_once")?;
    let mut chosen = vec![];
    for h in hosts {
        let s = r.scope(&p.view(&h.name, Some(t)));
        match first_false(r, &t.when, &s) {
            Ok(None) => chosen.push(h.clone()),
            Ok(Some(_)) => {}
            Err(e) => return Err(e.at(t.span)),
        }
    }
    if chosen.is_empty() {
        return Ok(());
    }
    match what.trim() {
        "noop" | "role_complete" | "flush_cache" => {}
        "flush_handlers" => {
            if !f.handlers {
                super::handlers::flush(p, &chosen)?;
            }
        }
        "clear_facts" => {
            for h in &chosen {
                r.store.host(&h.name).clear_facts();
            }
        }
        "clear_host_errors" => {
            for h in &p.hosts {
                if matches!(h.phase(), Phase::Failed | Phase::Unreachable) {
                    h.set(Phase::Active);
                }
                lock(&r.state.failed).shift_remove(&h.name);
                lock(&r.state.unreachable).shift_remove(&h.name);
            }
            p.refresh_alive();
        }
        "end_host" => {
            for h in &chosen {
                h.set(Phase::Ended);
            }
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
