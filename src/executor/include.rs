//! `include_tasks` and `include_role`: what is known only when the task is reached.

use super::attempt::{Attempt, status};
use super::conditions::first_false;
use super::event::{Event, Status, TaskInfo};
use super::looping::{self, HostOutcome};
use super::play::PlayRun;
use super::state::{Host, lock};
use super::task::skipped;
use super::walk::{self, Frame};
use crate::diag::{Error, Kind, Result};
use crate::playbook::{Inherit, Item, Place, Task, apply_to, include_candidates, load_for_task};
use crate::value::{Map, Value};
use crate::vars::View;
use std::sync::Arc;

/// One thing to include, for one or more hosts.
struct Group {
    args: Map,
    locals: Map,
    label: Option<String>,
    hosts: Vec<Host>,
}

/// Runs an include task: evaluates it on each host, then runs what it names with those that agree.
pub fn run(p: &PlayRun, t: &Arc<Task>, what: &Arc<TaskInfo>, hosts: &[Host], f: Frame) -> Result<()> {
    let r = &p.runner;
    let mut groups: Vec<Group> = vec![];
    let scope = r.scope(&p.view(&hosts[0].name, Some(t)));
    let once = p.runs_once(t, &scope)?;
    let chosen = if once { &hosts[..1] } else { hosts };
    for h in chosen {
        r.emit(Event::HostStart { task: what.clone(), host: h.name.clone() });
    }
    for h in chosen {
        let view = p.view(&h.name, Some(t));
        if let Err(e) = evaluate(p, t, what, h, &view, &mut groups, f) {
            fail(p, t, what, h, e, f)?;
        }
    }
    // everything is told before the first of its tasks runs
    let mut loaded = vec![];
    for g in groups {
        let live: Vec<Host> = g.hosts.iter().filter(|h| h.is_active()).cloned().collect();
        if live.is_empty() {
            continue;
        }
        let made = load(p, t, &g);
        r.tell_of_loading();
        match made {
            Ok((shown, items)) => {
                r.emit(Event::Included {
                    task: what.clone(),
                    path: shown,
                    hosts: live.iter().map(|h| h.name.clone()).collect(),
                    // an item may be the secret
                    item: if what.no_log { Some("(censored due to no_log)".into()) } else { g.label.clone() },
                });
                for h in &live {
                    r.state.count(&h.name, |c| c.ok += 1);
                    if let Some(role) = &t.role {
                        lock(&role.ran).insert(h.name.clone());
                    }
                }
                loaded.push((live, items));
            }
            Err(e) => {
                for h in &live {
                    missing(p, t, what, h, &g, e.clone(), f)?;
                }
            }
        }
    }
    for (live, items) in loaded {
        let live: Vec<Host> = live.into_iter().filter(|h| h.is_active()).collect();
        walk::included(p, &items, &live, f)?;
    }
    p.refresh_alive();
    Ok(())
}

fn fail(p: &PlayRun, t: &Arc<Task>, what: &Arc<TaskInfo>, h: &Host, e: Error, f: Frame) -> Result<()> {
    let mut a = Attempt::failed(e);
    a.complete();
    settle(p, t, what, h, a, None, f)
}

/// What was to be included cannot be loaded: the host fails, whatever `ignore_errors` says.
fn missing(p: &PlayRun, t: &Arc<Task>, what: &Arc<TaskInfo>, h: &Host, g: &Group, e: Error, f: Frame) -> Result<()> {
    // what cannot be parsed ends the run, as with ansible-core; what is not there fails the task
    if e.kind() == Kind::Parse {
        return Err(e);
    }
    let mut m = Map::new();
    m.insert("changed".into(), false.into());
    m.insert("failed".into(), true.into());
    let span = e.span();
    let e = match e.absent_file() {
        Some(file) => {
            let words = format!("Could not find or access '{file}' on the Ansible Controller");
            e.context(words)
        }
        None => e,
    };
    let mut shown = Error::general(e.message()).at(span);
    if t.short == "include_role" {
        let name = t.args.get("name").or_else(|| t.args.get("role")).or_else(|| t.args.get("_raw_params"));
        // an error within the role's own files has its place there
        if e.span().is_none_or(|s| s.source == t.span.source) {
            shown = Error::general(e.message()).at(name.and_then(super::runner::origin).or(e.span()));
        }
    } else {
        let name = g.args.get("_raw_params").or_else(|| g.args.get("file")).cloned().unwrap_or_default();
        m.insert("include".into(), name);
    }
    m.insert("reason".into(), e.message().into());
    p.runner.emit(Event::Error(shown));
    settle(p, t, what, h, Attempt::of(m), None, f)
}

fn settle(
    p: &PlayRun,
    t: &Arc<Task>,
    what: &Arc<TaskInfo>,
    h: &Host,
    a: Attempt,
    item: Option<String>,
    f: Frame,
) -> Result<()> {
    let result = super::TaskResult {
        host: h.name.clone(),
        delegated_to: None,
        status: status(&a.data, false),
        ignored: false,
        data: a.data,
        item,
        no_log: what.no_log,
        verbose_always: false,
        diff: false,
        by_module: false,
        error: a.error,
    };
    super::results::settle(
        p,
        t,
        what,
        h,
        HostOutcome { result, effects: vec![], facts: vec![], ends: None, ignored: None },
        f.rescuable,
    )?;
    Ok(())
}

fn evaluate(
    p: &PlayRun,
    t: &Arc<Task>,
    what: &Arc<TaskInfo>,
    h: &Host,
    view: &View,
    groups: &mut Vec<Group>,
    f: Frame,
) -> Result<()> {
    let r = &p.runner;
    if t.loop_.is_none() {
        return match first_false(r, &t.when, &r.scope(view))? {
            Some(c) => {
                let mut a = skipped(c);
                a.complete();
                settle(p, t, what, h, a, None, Frame::default())
            }
            None => {
                let mut data = add(p, t, h, view, Map::new(), None, groups)?;
                data.insert("changed".into(), false.into());
                r.emit(Event::Result { task: what.clone(), result: Arc::new(included(h, what, data, None)) });
                Ok(())
            }
        };
    }
    let list = match looping::items(r, t, view) {
        Ok(l) => l,
        Err(e) => match first_false(r, &t.when, &r.scope(view)) {
            Ok(Some(c)) => {
                let mut a = skipped(c);
                a.complete();
                return settle(p, t, what, h, a, None, Frame::default());
            }
            _ => return Err(e),
        },
    };
    if list.is_empty() {
        let mut m = Map::new();
        m.insert("changed".into(), false.into());
        m.insert("skipped".into(), true.into());
        m.insert("skipped_reason".into(), "No items in the list".into());
        let mut a = Attempt::of(m);
        a.complete();
        return settle(p, t, what, h, a, None, Frame::default());
    }
    let (mut done, mut failed) = (0, false);
    let mut results = vec![];
    for turn in looping::turns(r, t, view, &list)? {
        let mut a = match (first_false(r, &t.when, &r.scope(&turn.view))?, &turn.label) {
            (None, Ok(label)) => {
                done += 1;
                let label = label.clone();
                let mut own: Map = turn.locals.iter().map(|(k, v)| (k.clone(), v.untrusted())).collect();
                own.extend(loop_keys(t, &turn));
                own.extend(add(p, t, h, &turn.view, turn.locals, Some(label.clone()), groups)?);
                results.push(Value::map(super::results::registered(&own)));
                r.emit(Event::Item { task: what.clone(), result: Arc::new(included(h, what, own, Some(label))) });
                continue;
            }
            (Some(c), _) => skipped(c),
            (None, Err(_)) => Attempt::of(Map::new()),
        };
        a.complete();
        if let Err(e) = &turn.label {
            a.unlabelled(e);
        }
        a.data.extend(turn.locals.iter().map(|(k, v)| (k.clone(), v.untrusted())));
        a.data.extend(loop_keys(t, &turn));
        results.push(Value::map(super::results::registered(&a.data)));
        let status = status(&a.data, false);
        failed |= status == Status::Failed;
        let result = super::TaskResult {
            host: h.name.clone(),
            delegated_to: None,
            status,
            ignored: false,
            item: Some(turn.label.unwrap_or_else(|_| looping::unlabelled(t, &a.data))),
            data: a.data,
            no_log: what.no_log,
            verbose_always: false,
            by_module: false,
            diff: false,
            error: None,
        };
        r.emit(Event::Item { task: what.clone(), result: Arc::new(result) });
    }
    if failed {
        let mut m = Map::new();
        m.insert("changed".into(), false.into());
        m.insert("failed".into(), true.into());
        m.insert("msg".into(), "One or more items failed".into());
        m.insert("results".into(), Value::list(results));
        return settle(p, t, what, h, Attempt::of(m), None, f);
    }
    if done == 0 {
        let mut m = Map::new();
        m.insert("changed".into(), false.into());
        m.insert("skipped".into(), true.into());
        m.insert("msg".into(), "All items skipped".into());
        m.insert("results".into(), Value::list(results));
        let mut a = Attempt::of(m);
        a.complete();
        return settle(p, t, what, h, a, None, Frame::default());
    }
    let mut m = Map::new();
    m.insert("changed".into(), false.into());
    m.insert("msg".into(), "All items completed".into());
    m.insert("results".into(), Value::list(results));
    r.emit(Event::Result { task: what.clone(), result: Arc::new(included(h, what, m, None)) });
    Ok(())
}

/// What the result of an item tells of its loop.
fn loop_keys(t: &Task, turn: &looping::Turn) -> Map {
    let label = match &t.loop_control.label {
        Some(_) => turn.label.as_ref().map_or(Value::Null, |l| Value::plain(l.as_str())),
        None => turn.locals.get(turn.var.as_str()).map(Value::untrusted).unwrap_or_default(),
    };
    Map::from_iter([
        ("ansible_loop_var".into(), Value::plain(turn.var.as_str())),
        ("_ansible_item_label".into(), label),
    ])
}

/// What is told of an include that will take place; the recap counts the files, not this.
fn included(h: &Host, what: &TaskInfo, data: Map, item: Option<String>) -> super::TaskResult {
    super::TaskResult {
        host: h.name.clone(),
        delegated_to: None,
        status: Status::Ok,
        ignored: false,
        data,
        item,
        no_log: what.no_log,
        verbose_always: false,
        diff: false,
        by_module: false,
        error: None,
    }
}

/// Puts the host into the group that includes the same; answers the result's keys.
fn add(
    p: &PlayRun,
    t: &Arc<Task>,
    h: &Host,
    view: &View,
    locals: Map,
    label: Option<String>,
    groups: &mut Vec<Group>,
) -> Result<Map> {
    let r = &p.runner;
    let scope = r.scope(view);
    let mut args = Map::new();
    for (k, v) in &t.args {
        // `apply` stays as written: its values are rendered by the tasks that get them
        let v =
            if k.as_str() == Some("apply") && v.as_map().is_some() { v.clone() } else { r.engine.render(v, &scope)? };
        if !crate::template::is_omit(&v) {
            args.insert(k.clone(), v);
        }
    }
    let mut data = Map::new();
    let mut rest = args.clone();
    if t.short != "include_role" {
        let named = rest.shift_remove("_raw_params");
        let file = named.or_else(|| rest.get("file").cloned());
        data.insert("include".into(), file.unwrap_or_default().untrusted());
    }
    data.insert("include_args".into(), Value::map(rest).untrusted());
    // hosts come one after the other, so one that has an item in the group already is its last
    let other = |g: &Group| !g.hosts.last().is_some_and(|x| Arc::ptr_eq(x, h));
    match groups.iter_mut().find(|g| g.args == args && g.locals == locals && other(g)) {
        Some(g) => g.hosts.push(h.clone()),
        None => groups.push(Group { args, locals, label, hosts: vec![h.clone()] }),
    }
    Ok(data)
}

/// Loads what a group includes: what is shown of it, and its items.
fn load(p: &PlayRun, t: &Arc<Task>, g: &Group) -> Result<(String, Vec<Item>)> {
    let r = &p.runner;
    let mut inherit: Inherit = (*t.inherit).clone();
    if !g.locals.is_empty() {
        // locals are data by now; templates within loop items were rendered
        inherit.include_vars.push(Arc::new(g.locals.clone()));
    }
    if t.short == "include_role" {
        let place = Place { scope: &p.scope, file: t.file.clone(), inherit: Arc::new(inherit), importing: vec![] };
        let (items, handlers) = load_for_task(&r.loader, &g.args, t.span, &place, false)?;
        super::handlers::collect(p, &handlers);
        super::handlers::collect(p, &std::mem::take(&mut *lock(&p.scope.role_handlers)));
        let exposed = std::mem::take(&mut *lock(&p.scope.exposed));
        p.vars.exposed.write().unwrap_or_else(|e| e.into_inner()).extend(exposed);
        let name = g.args.get("name").or_else(|| g.args.get("role")).map(Value::to_str).unwrap_or_default();
        return Ok((name, items));
    }
    const KNOWN: [&str; 3] = ["_raw_params", "file", "apply"];
    if let Some(k) = g.args.keys().find(|k| !KNOWN.contains(&k.to_string().as_str())) {
        if t.short == "include" {
            inherit.include_vars.push(Arc::new(g.args.clone()));
        } else {
            return Err(Error::parse(format!("Invalid options for include_tasks: {k}"))
                .at(t.span)
                .help("variables for the included tasks go under vars:"));
        }
    }
    let Some(name) = g.args.get("_raw_params").or_else(|| g.args.get("file")).map(Value::to_str) else {
        return Err(Error::parse(format!("No file specified for {}", t.action)).at(t.span));
    };
    if let Some(Value::Map(apply)) = g.args.get("apply") {
        apply_to(&mut inherit, apply);
    }
    let searched =
        Place { scope: &p.scope, file: t.file.clone(), inherit: Arc::new(inherit.clone()), importing: vec![] };
    let candidates = include_candidates(&name, &searched, false);
    let Some(shown) = candidates.iter().find(|c| c.is_file()) else {
        crate::playbook::refuse_directory(&candidates)?;
        let last = candidates.last().cloned().unwrap_or_else(|| name.as_str().into());
        return Err(Error::absent(last).at(t
            .args
            .get("_raw_params")
            .or_else(|| t.args.get("file"))
            .and_then(super::runner::origin)
            .or(Some(t.span))));
    };
    inherit.include_dirs.push(crate::playbook::include_dir(&name));
    let place = Place { inherit: Arc::new(inherit), ..searched };
    let path = crate::playbook::clean(shown);
    let node = r.loader.read(&path)?;
    if node.as_seq().is_none() && !node.is_null() {
        return Err(node.error("included task files must contain a list of tasks").with_kind(Kind::General));
    }
    let items = r.loader.load_task_file(&path, &place)?;
    let roles = std::mem::take(&mut *lock(&p.scope.role_handlers));
    super::handlers::collect(p, &roles);
    Ok((shown.to_string(), items))
}
