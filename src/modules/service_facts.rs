//! `service_facts`: the services of systemd and of init scripts, and their states.

use super::facts::service_manager;
use super::support::exec::{Cmd, find_program};
use super::{Args, Ctx, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

pub fn module() -> Module {
    Module {
        name: "service_facts",
        collection: "ansible.builtin",
        spec: Spec::default(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Return the state of the host's services as the fact `services`.",
        run,
    }
}

fn run(ctx: &mut Ctx, _: &Args) -> ModResult {
    let mut all: Map<String, Json> = Map::new();
    sysv(ctx, &mut all);
    if service_manager(ctx) == "systemd" {
        systemd(ctx, &mut all);
    }
    if all.is_empty() {
        return Ok(Outcome::skipped(
            "Failed to find any services. This can be due to privileges or some other configuration issue.",
        ));
    }
    Ok(Outcome::ok().set("ansible_facts", json!({"services": all})))
}

fn ask(ctx: &Ctx, words: &[&str]) -> Option<String> {
    let o = Cmd::new(words.iter().copied()).c_locale().limit(Duration::from_secs(120)).run(ctx).ok()?;
    // Some of these tools answer well and still end with an error (a masked unit, a broken script).
    Some(format!("{}\n{}", o.out(), if o.out().is_empty() { o.err() } else { String::new() }))
}

fn sysv(ctx: &Ctx, all: &mut Map<String, Json>) {
    let chkconfig = find_program(ctx, "chkconfig");
    let service = find_program(ctx, "service");
    match (chkconfig, service) {
        (Some(c), Some(s)) => {
            for line in ask(ctx, &[&c, "--list"]).unwrap_or_default().lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let (Some(name), true) = (words.first(), words.iter().any(|w| w.starts_with("3:"))) else { continue };
                let on = words.contains(&"3:on");
                let running = Cmd::new([s.as_str(), name, "status"])
                    .c_locale()
                    .limit(Duration::from_secs(60))
                    .run(ctx)
                    .is_ok_and(|o| o.ok());
                let state = if running { "running" } else { "stopped" };
                let status = if on { "enabled" } else { "disabled" };
                all.insert(name.to_string(), json!({"name": name, "state": state, "status": status, "source": "sysv"}));
            }
        }
        (None, Some(s)) => {
            for line in ask(ctx, &[&s, "--status-all"]).unwrap_or_default().lines() {
                let t = line.trim();
                let (state, name) = match (t.strip_prefix("[ + ]"), t.strip_prefix("[ - ]")) {
                    (Some(n), _) => ("running", n.trim()),
                    (_, Some(n)) => ("stopped", n.trim()),
                    _ => continue,
                };
                all.insert(name.to_string(), json!({"name": name, "state": state, "source": "sysv"}));
            }
        }
        _ => {}
    }
}

fn systemd(ctx: &Ctx, all: &mut Map<String, Json>) {
    let Some(ctl) = find_program(ctx, "systemctl") else { return };
    let units = ask(ctx, &[&ctl, "list-units", "--no-pager", "--type", "service", "--all", "--plain", "--no-legend"]);
    for line in units.unwrap_or_default().lines() {
        let w: Vec<&str> = line.split_whitespace().collect();
        let [name, load, active, sub, ..] = w.as_slice() else { continue };
        if !name.ends_with(".service") {
            continue;
        }
        let bad = ["not-found", "masked", "failed"];
        let status = [load, active, sub].into_iter().find(|x| bad.contains(*x)).unwrap_or(active);
        let state = if *sub == "running" { "running" } else { "stopped" };
        all.insert(name.to_string(), json!({"name": name, "state": state, "status": status, "source": "systemd"}));
    }
    let files = ask(ctx, &[&ctl, "list-unit-files", "--no-pager", "--type", "service", "--all", "--no-legend"]);
    let mut rest: Vec<(String, String)> = vec![];
    for line in files.unwrap_or_default().lines() {
        let mut w = line.split_whitespace();
        let (Some(name), Some(status)) = (w.next(), w.next()) else { continue };
        if !name.ends_with(".service") {
            continue;
        }
        match all.get_mut(name).and_then(Json::as_object_mut) {
            Some(known) => {
                let now = known.get("status").and_then(Json::as_str).unwrap_or("");
                if !matches!(now, "not-found" | "masked" | "failed") {
                    known.insert("status".into(), status.into());
                }
            }
            None => rest.push((name.to_string(), status.to_string())),
        }
    }
    // Templates have no state; the others are asked all at once, and answer in order.
    let asked: Vec<&str> = rest.iter().map(|(n, _)| n.as_str()).filter(|n| !n.contains("@.")).collect();
    let mut states: Map<String, Json> = Map::new();
    for part in asked.chunks(200) {
        let mut words = vec![ctl.as_str(), "show", "--property=ActiveState", "--"];
        words.extend(part);
        let out = ask(ctx, &words).unwrap_or_default();
        let found = out.lines().filter_map(|l| l.strip_prefix("ActiveState="));
        for (name, state) in part.iter().zip(found) {
            states.insert(name.to_string(), state.into());
        }
    }
    for (name, status) in rest {
        let state = states.get(&name).cloned().unwrap_or_else(|| "unknown".into());
        all.insert(name.clone(), json!({"name": name, "state": state, "status": status, "source": "systemd"}));
    }
}
