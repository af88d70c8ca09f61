//! What follows from a result: registered names, facts, effects, notifications, counts.

use super::event::{Event, Status, TaskInfo, TaskResult};
use super::looping::{HostOutcome, ignores};
use super::play::PlayRun;
use super::runner::Runner;
use super::state::{Host, Phase, lock};
use crate::actions::Effect;
use crate::diag::Result;
use crate::playbook::Task;
use crate::template::notices::Kept;
use crate::value::{Key, Map, Value};
use crate::vars::View;
use std::sync::Arc;

/// Effects that come before the task's verdict (what the inventory is given), or that the next item of a loop must
/// see. Answers whether it changed the inventory, if that was what it is for: then nothing is left to be done.
pub fn apply_early(r: &Arc<Runner>, view: &View, e: &Effect) -> Result<Option<bool>> {
    match e {
        Effect::AddHost { name, groups, vars } => {
            return r.store.change_inventory(|inv| inv.add_runtime_host(name, groups, vars)).map(Some);
        }
        Effect::GroupBy { group, parents } => {
            return r.store.change_inventory(|inv| inv.add_runtime_group(&view.host, group, parents)).map(Some);
        }
        Effect::SetFacts { vars, .. } => {
            let h = r.store.host(&view.host);
            for (k, v) in vars {
                h.set_fact(&k.to_string(), v.clone());
            }
        }
        Effect::IncludeVars(vars) => {
            let h = r.store.host(&view.host);
            for (k, v) in vars {
                h.register(&k.to_string(), v.clone());
            }
        }
        Effect::SetStats { .. } => {}
    }
    Ok(None)
}

/// Settles a result: answers true if the host failed at this task.
pub fn settle(
    p: &PlayRun,
    task: &Arc<Task>,
    info: &Arc<TaskInfo>,
    host: &Host,
    o: HostOutcome,
    rescuable: bool,
) -> Result<bool> {
    settle_told(p, task, info, host, o, rescuable, false)
}

/// The same for a result that may have been shown already.
pub fn settle_told(
    p: &PlayRun,
    task: &Arc<Task>,
    info: &Arc<TaskInfo>,
    host: &Host,
    o: HostOutcome,
    rescuable: bool,
    told: bool,
) -> Result<bool> {
    if let Some(e) = o.ends {
        return Err(e);
    }
    let r = &p.runner;
    let view = p.view(&host.name, Some(task));
    let mut result = o.result;
    let not_included = task.short.starts_with("include") && result.data.contains_key("reason");
    result.ignored = !not_included && o.ignored.unwrap_or_else(|| ignores(r, task, &view, result.status));
    let delegate_facts = delegates_facts(r, task, &view);
    let run_once_hosts = p.run_once_hosts(task, host, &view);
    let targets: Vec<Arc<str>> = match &run_once_hosts {
        Some(all) => all.clone(),
        None => vec![host.name.clone()],
    };
    for (facts, to) in &o.facts {
        for t in fact_targets(&targets, to, delegate_facts) {
            if task.short == "gather_facts" && matches!(result.status, Status::Ok | Status::Changed) {
                r.store.host(&t).gathered.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            take_facts(r, &t, facts);
        }
    }
    for (e, to) in &o.effects {
        apply(p, &targets, host, e, to, delegate_facts);
    }
    if let (Some(role), true) = (&task.role, !matches!(result.status, Status::Skipped | Status::Unreachable)) {
        lock(&role.ran).insert(host.name.clone());
    }
    if let Some(name) = &task.register {
        let mut shown = registered(&result.data);
        if let (Some(_), Some(items)) = (&task.loop_, result.data.get("results")) {
            // each was made a variable already
            shown.insert("results".into(), items.clone());
        }
        for t in &targets {
            // a result and a set fact are of one level: the later one wins
            r.store.host(t).set_fact(name, Value::map(shown.clone()));
        }
    }
    if result.status == Status::Changed || (result.status == Status::Failed && any_changed(&result.data)) {
        // a failed task notifies nothing; a changed one tells its handlers
        // whether the inventory has changed is not known yet when the handlers are told
        // of a loop's last item, that is: what those before it changed is
        let items = result.data.get("results").and_then(Value::as_list).unwrap_or_default();
        let before = items.split_last().map_or(&[][..], |(_, before)| before);
        let known = before.iter().any(|i| i.get("changed").is_some_and(Value::truthy));
        let unsure = matches!(task.short.as_str(), "add_host" | "group_by") && task.changed_when.is_empty() && !known;
        if result.status == Status::Changed && !unsure {
            super::handlers::notify(p, task, &host.name, &view)?;
        }
    }
    let failed = count(r, host, &result, rescuable);
    if failed && result.status == Status::Failed {
        remember_failure(r, host, task, &result);
    }
    if failed {
        host.set(if result.status == Status::Unreachable { Phase::Unreachable } else { Phase::Failed });
    }
    tell_warnings(r, &result.data);
    if !told {
        r.emit(Event::Result { task: info.clone(), result: Arc::new(result) });
    }
    Ok(failed)
}

/// Shows the warnings and deprecations of a result, each text once in a run.
pub fn tell_warnings(r: &Runner, data: &Map) {
    let full = match data.get(WARNED) {
        Some(Value::Bool(true)) => return,
        v => texts(v),
    };
    let in_full = |words: &str| full.iter().find(|f| message(f) == words).cloned();
    for w in texts(data.get("warnings")) {
        // a line break at the end of a module's words is none of the notice, as the one behind a snippet is
        r.warn(in_full(&w).unwrap_or_else(|| w.trim_end_matches('\n').to_string()));
    }
    for d in data.get("deprecations").and_then(Value::as_list).unwrap_or_default() {
        if let Some(text) = deprecation(d) {
            r.deprecate(in_full(&text).unwrap_or(text));
        }
    }
}

/// The words of a notice without its place.
fn message(text: &str) -> &str {
    text.split_once("\nOrigin: ").map_or(text, |(words, _)| words)
}

/// Puts what templates had to say into the result; with their places they are told later, see [`tell_warnings`].
pub fn add_notices(data: &mut Map, told: Vec<Kept>) {
    if told.is_empty() {
        return;
    }
    let mut add = |key: &str, v: Value| {
        let mut all = data.get(key).and_then(Value::as_list).unwrap_or_default().to_vec();
        all.push(v);
        data.insert(key.into(), Value::list(all));
    };
    for n in told {
        let words = message(&n.text);
        if n.deprecation {
            let (msg, version) = words.split_once(REMOVED).unwrap_or((words, ""));
            let core = || Value::plain("ansible.builtin");
            let who = Map::from_iter([("resolved_name".into(), core()), ("type".into(), Value::Null)]);
            let d = Map::from_iter([
                ("msg".into(), Value::plain(msg)),
                ("version".into(), Value::plain(version.trim_end_matches('.'))),
                ("collection_name".into(), core()),
                ("deprecator".into(), Value::map(who)),
            ]);
            add("deprecations", Value::map(d));
        } else {
            add("warnings", Value::plain(words));
        }
        add(WARNED, Value::plain(n.text));
    }
}

/// What stands between a deprecation of the engine and the version that does without it.
const REMOVED: &str = " This feature will be removed from ansible-core version ";

/// A deprecation as it is told: what, who will do without it, and when.
fn deprecation(d: &Value) -> Option<String> {
    let text = |k: &str| d.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    let msg = text("msg")?;
    let msg = msg.trim().trim_end_matches('.');
    let who = d.get("deprecator");
    let name = who.and_then(|w| w.get("resolved_name")).and_then(Value::as_str).map(str::to_string);
    let kind = who.and_then(|w| w.get("type")).and_then(Value::as_str);
    let name = name.or_else(|| text("collection_name")).unwrap_or_default();
    let mut parts = name.splitn(3, '.');
    let collection = format!("{}.{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let by = match (parts.next(), kind, collection.as_str()) {
        (Some(plugin), Some(kind), _) => format!(" from {kind} '{plugin}' in collection '{collection}'"),
        (_, _, "ansible.builtin") => " from ansible-core".into(),
        _ => format!(" from collection '{collection}'"),
    };
    // a date or version is somebody's
    if name.is_empty() {
        return Some(format!("{msg}. This feature will be removed in the future."));
    }
    let when = match (text("date"), text("version")) {
        (Some(date), _) => format!(" in a release after {date}"),
        (None, Some(v)) => format!(" version {v}"),
        (None, None) => " in a future release".into(),
    };
    Some(format!("{msg}. This feature will be removed{by}{when}."))
}

fn any_changed(m: &Map) -> bool {
    m.get("changed").is_some_and(Value::truthy)
}

fn texts(v: Option<&Value>) -> Vec<String> {
    v.and_then(Value::as_list).unwrap_or_default().iter().map(Value::to_str).collect()
}

/// The result as a variable: without the keys that are the engine's own, with those that every variable has.
pub fn registered(data: &Map) -> Map {
    let mut out: Map = data
        .iter()
        .filter(|(k, _)| !k.as_str().is_some_and(|k| k.starts_with("_ansible_") || k == "invocation"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    out.entry("changed".into()).or_insert(Value::Bool(false));
    if data.contains_key(UNRAISED) { out } else { completed(out) }
}

/// A key of a result that failed without an error that could be shown.
pub const UNRAISED: &str = "_ansible_unraised";

/// A key of a result: its warnings with their places, as they are to be told; true if they were told.
pub const WARNED: &str = "_ansible_warned";

/// What every failed result has to say, and those of a loop's items.
fn completed(mut m: Map) -> Map {
    let is = |m: &Map, key: &str| m.get(key).is_some_and(Value::truthy);
    if let Some(Value::List(items)) = m.get("results") {
        let lacks = |v: &Value| v.as_map().is_some_and(|i| is(i, "failed") && !i.contains_key("exception"));
        if items.iter().any(lacks) {
            let all = items.iter().map(|v| match v {
                Value::Map(i) => Value::map(completed((**i).clone())),
                other => other.clone(),
            });
            let all = Value::list(all.collect());
            m.insert("results".into(), all);
        }
    } else if is(&m, "failed") || is(&m, "unreachable") {
        m.entry("exception".into()).or_insert_with(|| "(traceback unavailable)".into());
        m.entry("changed".into()).or_insert(Value::Bool(false));
    }
    m
}

/// Whether what a delegated task finds is the other host's.
pub fn delegates_facts(r: &Arc<Runner>, task: &Task, view: &View) -> bool {
    r.flag(&task.kw.delegate_facts, &r.scope(view), false, "delegate_facts").unwrap_or(false)
}

fn fact_targets(hosts: &[Arc<str>], to: &Option<String>, delegate_facts: bool) -> Vec<Arc<str>> {
    match to {
        Some(d) if delegate_facts => vec![d.as_str().into()],
        _ => hosts.to_vec(),
    }
}

fn take_facts(r: &Arc<Runner>, host: &Arc<str>, facts: &Map) {
    let dropped = r.store.host(host).add_facts(facts);
    told_of_cache(r);
    for d in dropped {
        r.warn(format!("Removed restricted key from module data: {d}"));
    }
}

/// Warns of facts that could not be cached.
fn told_of_cache(r: &Arc<Runner>) {
    for w in r.store.cache.iter().flat_map(|c| c.take_problems()) {
        r.warn(w);
    }
}

/// Carries out an effect of a result.
fn apply(p: &PlayRun, targets: &[Arc<str>], host: &Host, e: &Effect, to: &Option<String>, delegate_facts: bool) {
    let r = &p.runner;
    match e {
        Effect::SetFacts { vars, cacheable } => {
            for t in fact_targets(targets, to, delegate_facts) {
                let h = r.store.host(&t);
                for (k, v) in vars {
                    h.set_fact(&k.to_string(), v.clone());
                }
                if *cacheable {
                    h.add_facts(vars);
                    told_of_cache(r);
                }
            }
        }
        Effect::IncludeVars(vars) => {
            for t in fact_targets(targets, to, delegate_facts) {
                let h = r.store.host(&t);
                for (k, v) in vars {
                    h.register(&k.to_string(), v.clone());
                }
            }
        }
        // the inventory has these already: see `apply_early`
        Effect::AddHost { .. } | Effect::GroupBy { .. } => {}
        // nothing given leaves nothing behind
        Effect::SetStats { data, .. } if data.is_empty() => {}
        Effect::SetStats { data, per_host, aggregate } => {
            let key = if *per_host { host.name.to_string() } else { "_run".to_string() };
            let mut custom = lock(&r.state.custom);
            let slot = custom.entry(key).or_default();
            for (k, v) in data {
                add_stat(slot, k, v, *aggregate);
            }
        }
    }
}

/// Aggregation as set_stats documents it: maps merge, everything else is added.
fn add_stat(slot: &mut Map, k: &Key, v: &Value, aggregate: bool) {
    let merged = match (slot.get(k), aggregate) {
        (Some(Value::Map(a)), true) if v.as_map().is_some() => {
            let mut m = (**a).clone();
            m.extend(v.as_map().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
            Value::map(m)
        }
        (Some(Value::Int(a)), true) if v.as_int().is_some() => {
            let b = v.as_int().unwrap_or(0);
            a.checked_add(b).map_or(Value::Float(*a as f64 + b as f64), Value::Int)
        }
        (Some(Value::List(a)), true) if v.as_list().is_some() => {
            Value::list(a.iter().chain(v.as_list().unwrap_or_default()).cloned().collect())
        }
        (Some(Value::Str(a)), true) if v.as_str().is_some() => Value::plain(format!("{}{}", a.text, v.to_str())),
        _ => v.clone(),
    };
    slot.insert(k.clone(), merged);
}

/// Counts a result; true if the host failed.
fn count(r: &Arc<Runner>, host: &Host, result: &TaskResult, rescuable: bool) -> bool {
    let mut failed = false;
    r.state.count(&host.name, |c| match result.status {
        Status::Ok => c.ok += 1,
        Status::Changed => {
            c.ok += 1;
            c.changed += 1;
        }
        Status::Skipped => c.skipped += 1,
        Status::Failed if result.ignored => {
            c.ok += 1;
            c.ignored += 1;
            if any_changed(&result.data) {
                c.changed += 1;
            }
        }
        Status::Failed => {
            failed = true;
            if rescuable {
                c.rescued += 1;
            } else {
                c.failed += 1;
            }
        }
        Status::Unreachable if result.ignored => {
            c.ok += 1;
            c.ignored += 1;
        }
        Status::Unreachable => {
            failed = true;
            c.unreachable += 1;
        }
    });
    failed
}

/// `ansible_failed_task` and `ansible_failed_result`, for rescue sections.
fn remember_failure(r: &Arc<Runner>, host: &Host, task: &Task, result: &TaskResult) {
    let h = r.store.host(&host.name);
    let mut t = Map::new();
    t.insert("name".into(), task.name.as_ref().map(|n| Value::plain(n.to_str())).unwrap_or_else(|| "".into()));
    t.insert("action".into(), task.action.as_str().into());
    t.insert("args".into(), Value::map(task.args.clone()).untrusted());
    t.insert("tags".into(), Value::list(task.tags.clone()).untrusted());
    t.insert("register".into(), task.register.as_deref().map(Value::plain).unwrap_or_default());
    t.insert("uuid".into(), format!("task-{}", task.id).into());
    h.set_fact("ansible_failed_task", Value::map(t));
    h.set_fact("ansible_failed_result", Value::map(registered(&result.data)));
}
