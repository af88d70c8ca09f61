//! A play: its hosts, batches and sections.

use super::event::{Event, TaskInfo};
use super::handlers::HandlerState;
use super::runner::{Runner, origin};
use super::select::TagFilter;
use super::state::{Host, HostState, Phase, lock};
use super::throttle::Throttle;
use super::walk::{self, Frame};
use crate::diag::{Error, Kind, Result};
use crate::playbook::{Item, Play, PlayScope, Task};
use crate::value::{Map, Value};
use crate::vars::{PlayVars, View};
use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// A play under way, for one batch of hosts.
pub struct PlayRun {
    pub runner: Arc<Runner>,
    pub play: Arc<Play>,
    pub vars: Arc<PlayVars>,
    pub hosts: Vec<Host>,
    pub scope: PlayScope,
    pub handlers: Mutex<Vec<Arc<HandlerState>>>,
    /// What each host's tasks notified since the last flush.
    pub notifications: Mutex<IndexMap<Arc<str>, IndexSet<String>>>,
    /// Who failed in a handler: no handlers are forced on them any more.
    pub gave_up: Mutex<HashSet<Arc<str>>>,
    /// Hosts to which another one's failure was handed: rescued or not, later plays leave them out.
    pub doomed: Mutex<HashSet<Arc<str>>>,
    /// Hosts that could not be reached where that was everybody's failure: as in ansible-core they count twice among
    /// the batch's losses, which thereby are not the whole batch.
    pub doubled: Mutex<HashSet<Arc<str>>>,
    pub tags: TagFilter,
    pub free: bool,
    /// Failures open the debugger, whatever the tasks say.
    pub debug: bool,
    pub force_handlers: bool,
    pub max_fail: Option<f64>,
    /// Hosts of the batch, with those that failed in an earlier play.
    pub size: usize,
    /// The play has ended for everybody (`end_play`, `any_errors_fatal`, `max_fail_percentage`).
    pub broken: AtomicBool,
    pub ended: AtomicBool,
    /// `max_fail_percentage` is exceeded by hosts that others took with them: no section of a block runs any more.
    pub over: AtomicBool,
    /// `max_fail_percentage` is exceeded, and only hosts whose own failure was ignored go on.
    pub exceeded: AtomicBool,
    pub throttle: Throttle,
}

impl PlayRun {
    pub fn view(&self, host: &Arc<str>, task: Option<&Arc<Task>>) -> View {
        let v = View::new(&self.runner.store, host).in_play(&self.vars);
        match task {
            Some(t) => v.for_task(t),
            None => v,
        }
    }
    /// For a `run_once` task, the hosts that share its result.
    pub fn run_once_hosts(&self, task: &Task, _host: &Host, view: &View) -> Option<Vec<Arc<str>>> {
        let once = self.runs_once(task, &self.runner.scope(view)).unwrap_or(false);
        (once && !self.free)
            .then(|| self.hosts.iter().filter(|h| h.phase() != Phase::Unreachable).map(|h| h.name.clone()).collect())
    }
    /// Whether a task runs once for all. As in ansible-core any text says so, "no" and "false" among them.
    pub fn runs_once(&self, task: &Task, scope: &crate::template::Scope) -> Result<bool> {
        let Some(v) = &task.kw.run_once else { return Ok(false) };
        let v = keyword("run_once", v, self.runner.engine.render(v, scope))?;
        Ok(!crate::template::is_omit(&v) && v.truthy())
    }
    /// Writes down who still takes part, for the magic variables.
    pub fn refresh_alive(&self) {
        let active = |h: &&Host| matches!(h.phase(), Phase::Active);
        let alive: Vec<Arc<str>> = self.hosts.iter().filter(active).map(|h| h.name.clone()).collect();
        let gone: HashSet<&str> = self.hosts.iter().filter(|h| !active(h)).map(|h| &*h.name).collect();
        let whole: Vec<Arc<str>> = self
            .vars
            .all_hosts
            .iter()
            .filter(|h| !gone.contains(&***h) && !self.runner.state.is_out(h))
            .cloned()
            .collect();
        *self.vars.alive.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(alive);
        *self.vars.alive_play.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(whole);
    }
}

/// Runs a play; false if the run ends with it.
pub fn run(r: &Arc<Runner>, play: &Arc<Play>) -> Result<bool> {
    let early = |prompts| before_hosts(r, play, prompts);
    let prompts = Arc::new(super::prompt::ask(r, play, &early(Arc::default()))?);
    // an answer may name the hosts
    let early_scope = early(prompts.clone());
    let Heading { name, patterns } = heading_in(r, play, &early_scope)?;
    let pattern = patterns.join(",");
    let hosts = select_hosts(r, play, &pattern, &early_scope)?;
    for (what, v) in [("gather_subset", &play.gather_subset), ("gather_timeout", &play.gather_timeout)] {
        if let Some(v) = v {
            keyword(what, v, r.engine.render(v, &early_scope))?;
        }
    }
    let strategy = text("strategy", &play.strategy, r, &early_scope)?.unwrap_or_else(|| r.options.strategy.clone());
    let debug = r.options.debugger || matches!(strategy.as_str(), "debug" | "ansible.builtin.debug");
    let free = match strategy.as_str() {
        "linear" | "ansible.builtin.linear" | "debug" | "ansible.builtin.debug" => false,
        "free" | "ansible.builtin.free" | "host_pinned" | "ansible.builtin.host_pinned" => true,
        other => {
            return Err(Error::general(format!("Invalid play strategy specified: {other}"))
                .at(play.strategy.as_ref().and_then(origin))
                .help("there are linear, free, host_pinned and debug"));
        }
    };
    check_vars_files(r, play, &early_scope)?;
    // of a serial that only the hosts' variables tell the batches are found below
    let first_batch = batches(r, play, &hosts, &early_scope).ok().and_then(|b| b.first().map(Vec::len));
    let all = hosts.len();
    r.emit(Event::PlayStart {
        name: name.clone(),
        span: play.span,
        pattern: pattern.clone(),
        hosts: hosts.clone(),
        check: play_check(r, play, &early_scope),
        free,
        tasks: tasks_of(play),
        all,
        batch: first_batch.unwrap_or(all),
    });
    if hosts.is_empty() {
        r.emit(Event::NoHostsMatched);
        return Ok(true);
    }
    let alive =
        |hosts: &[Arc<str>]| -> Vec<Arc<str>> { hosts.iter().filter(|h| !r.state.is_out(h)).cloned().collect() };
    let vars = Arc::new(PlayVars {
        play: play.clone(),
        prompts,
        vars: play.vars.clone(),
        import_vars: play.import_vars.clone(),
        all_hosts: hosts.clone(),
        batch: RwLock::default(),
        alive: RwLock::default(),
        alive_play: RwLock::new(Arc::new(alive(&hosts))),
        exposed: RwLock::new(play.role_list.clone()),
        lists: Default::default(),
    });
    let view = View::new(&r.store, &hosts[0]).in_play(&vars);
    let scope = r.scope(&view);
    let batches = batches(r, play, &hosts, &scope)?;
    let of_play = |e: Error| e.with_kind(Kind::Parse);
    let max_fail = r.decimal(&play.max_fail_percentage, &scope, "max_fail_percentage").map_err(of_play)?;
    let force_handlers =
        r.flag(&play.force_handlers, &scope, r.options.force_handlers, "force_handlers").map_err(of_play)?;
    for (i, batch) in batches.into_iter().enumerate() {
        if i > 0 {
            r.emit(Event::PlayStart {
                name: name.clone(),
                span: play.span,
                pattern: pattern.clone(),
                hosts: batch.clone(),
                check: play_check(r, play, &scope),
                free,
                tasks: tasks_of(play),
                all,
                batch: batch.len(),
            });
        }
        // hosts that failed in an earlier play count for the batch, and do nothing
        let size = batch.len();
        let batch = alive(&batch);
        if batch.is_empty() {
            continue;
        }
        let waiting = r.state.waiting_for_start.load(Ordering::SeqCst);
        let run = PlayRun {
            runner: r.clone(),
            play: play.clone(),
            vars: vars.clone(),
            hosts: batch.iter().map(|h| Arc::new(HostState::new(h.clone(), waiting))).collect(),
            scope: PlayScope {
                completed: play.completed.clone(),
                ..PlayScope::new(
                    play.playbook_dir.clone(),
                    [&*play.import_vars, &*play.vars].into_iter().chain(&play.early_vars).cloned().collect(),
                    (*r.store.extra).clone(),
                )
            },
            handlers: Mutex::new(vec![]),
            notifications: Mutex::default(),
            gave_up: Mutex::default(),
            doomed: Mutex::default(),
            doubled: Mutex::default(),
            tags: TagFilter::new(&r.options.tags, &r.options.skip_tags),
            free,
            debug,
            force_handlers,
            max_fail,
            size,
            broken: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            over: AtomicBool::new(false),
            exceeded: AtomicBool::new(false),
            throttle: Throttle::default(),
        };
        *vars.batch.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(batch.clone());
        super::handlers::collect(&run, &play.handlers);
        let outcome = run_batch(&run);
        let is_out =
            |h: &&Host| matches!(h.phase(), Phase::Failed | Phase::Unreachable) || lock(&run.doomed).contains(&h.name);
        let failed: Vec<&Host> = run.hosts.iter().filter(is_out).collect();
        for h in &failed {
            let set = if h.phase() == Phase::Unreachable { &r.state.unreachable } else { &r.state.failed };
            lock(set).insert(h.name.clone());
        }
        outcome?;
        if run.broken.load(Ordering::SeqCst) || run.exceeded.load(Ordering::SeqCst) {
            return Ok(false);
        }
        if failed.len() + lock(&run.doubled).len() == size {
            return Ok(false);
        }
        if run.ended.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(true)
}

fn play_check(r: &Arc<Runner>, play: &Play, scope: &crate::template::Scope) -> bool {
    r.flag(&play.kw.check_mode, scope, r.options.check, "check_mode").unwrap_or(r.options.check)
}

/// The error of a play's keyword, which ends the run as what cannot be parsed does.
fn keyword<T>(name: &str, value: &Value, done: Result<T>) -> Result<T> {
    done.map_err(|e| e.during(format!("Error processing keyword '{name}'"), origin(value)).with_kind(Kind::Parse))
}

/// A play's keyword as text.
fn text(name: &str, v: &Option<Value>, r: &Arc<Runner>, scope: &crate::template::Scope) -> Result<Option<String>> {
    match v {
        Some(x) => keyword(name, x, r.text(v, scope)),
        None => Ok(None),
    }
}

/// What a play is called and whom it is for.
pub struct Heading {
    pub name: String,
    /// The text of `hosts`, or each entry of its list.
    pub patterns: Vec<String>,
}

/// A play's heading as a run would have it, for what only tells of the play; prompts stand for their defaults.
pub fn heading(r: &Arc<Runner>, play: &Arc<Play>) -> Result<Heading> {
    let prompts = Arc::new(super::prompt::defaults(r, play));
    heading_in(r, play, &before_hosts(r, play, prompts))
}

/// The variables that a play has before its hosts are known.
fn before_hosts(r: &Arc<Runner>, play: &Arc<Play>, prompts: Arc<Map>) -> crate::template::Scope {
    let vars = PlayVars {
        play: play.clone(),
        prompts,
        vars: play.vars.clone(),
        import_vars: play.import_vars.clone(),
        all_hosts: vec![],
        batch: RwLock::default(),
        alive: RwLock::default(),
        alive_play: RwLock::default(),
        exposed: RwLock::new(play.role_list.clone()),
        lists: Default::default(),
    };
    r.scope(&View::new(&r.store, &"localhost".into()).in_play(&Arc::new(vars)))
}

fn heading_in(r: &Arc<Runner>, play: &Play, scope: &crate::template::Scope) -> Result<Heading> {
    let name = match (&play.name, &play.hosts) {
        // a name that is written as nothing is none
        (Some(n), _) if n.as_str() != Some("") => keyword("name", n, r.engine.render(n, scope))?.to_str(),
        // what stands in a list is the name as it is written
        (_, Value::List(l)) => l.iter().map(Value::to_str).collect::<Vec<_>>().join(","),
        (_, hosts) => keyword("name", hosts, r.engine.render(hosts, scope))?.to_str(),
    };
    let patterns = match keyword("hosts", &play.hosts, r.engine.render(&play.hosts, scope))? {
        Value::List(l) => l.iter().map(Value::to_str).collect(),
        other => vec![other.to_str()],
    };
    Ok(Heading { name, patterns })
}

fn select_hosts(r: &Arc<Runner>, play: &Play, pattern: &str, scope: &crate::template::Scope) -> Result<Vec<Arc<str>>> {
    let mut hosts = r.store.inventory().select(pattern).map_err(|e| e.at(origin(&play.hosts).or(Some(play.span))))?;
    for w in r.store.inventory().take_warnings() {
        r.warn(w);
    }
    if let Some(l) = &r.limit {
        hosts.retain(|h| l.contains(h));
    }
    match text("order", &play.order, r, scope)?.as_deref() {
        None | Some("inventory") => {}
        Some("sorted") => hosts.sort(),
        Some("reverse_sorted") => {
            hosts.sort();
            hosts.reverse();
        }
        Some("reverse_inventory") => hosts.reverse(),
        Some("shuffle") => {
            use rand::seq::SliceRandom;
            hosts.shuffle(&mut rand::rng());
        }
        Some(other) => {
            return Err(Error::options(format!("Invalid 'order' specified for inventory hosts: {other}"))
                .at(play.order.as_ref().and_then(origin))
                .help("there are inventory, sorted, reverse_sorted, reverse_inventory and shuffle"));
        }
    }
    Ok(hosts)
}

/// Cuts the hosts in batches as `serial` says: numbers or percentages, the last one repeats.
fn batches(
    r: &Arc<Runner>,
    play: &Play,
    hosts: &[Arc<str>],
    scope: &crate::template::Scope,
) -> Result<Vec<Vec<Arc<str>>>> {
    let mut sizes = vec![];
    for s in &play.serial {
        let v = keyword("serial", s, r.engine.render(s, scope))?;
        let list: Vec<Value> = match v {
            Value::List(l) => l.to_vec(),
            other => vec![other],
        };
        for v in list {
            let t = v.to_str();
            let t = t.trim();
            let bad = || Error::general(format!("'{t}' is not a number of hosts for 'serial'")).at(origin(s));
            let n = match t.strip_suffix('%') {
                Some(p) => {
                    let p: f64 = p.trim().parse().map_err(|_| bad())?;
                    ((p / 100.0) * hosts.len() as f64).max(1.0) as usize
                }
                None => t.parse::<i64>().map_err(|_| bad())?.max(0) as usize,
            };
            sizes.push(n);
        }
    }
    if sizes.is_empty() || (sizes.len() == 1 && sizes[0] == 0) {
        return Ok(vec![hosts.to_vec()]);
    }
    let (mut out, mut rest, mut i) = (vec![], hosts, 0);
    while !rest.is_empty() {
        let n = sizes[i.min(sizes.len() - 1)];
        let n = if n == 0 { rest.len() } else { n.min(rest.len()) };
        out.push(rest[..n].to_vec());
        rest = &rest[n..];
        i += 1;
    }
    Ok(out)
}

fn run_batch(p: &PlayRun) -> Result<()> {
    p.refresh_alive();
    load_vars_files(p, &p.hosts)?;
    for h in &p.hosts {
        p.runner.store.layers(&h.name, &p.play.playbook_dir)?;
    }
    for w in p.runner.store.take_warnings() {
        p.runner.warn(w.in_full());
    }
    if p.free {
        // each host goes through the play by itself
        let results: Vec<Result<()>> =
            p.runner.workers.install(|| p.hosts.par_iter().map(|h| sections(p, std::slice::from_ref(h))).collect());
        return results.into_iter().collect();
    }
    sections(p, &p.hosts)
}

fn sections(p: &PlayRun, hosts: &[Host]) -> Result<()> {
    gather(p, hosts)?;
    let f = Frame::default();
    let parts: [&[&[Item]]; 3] = [&[&p.play.pre_tasks], &[&p.play.roles, &p.play.tasks], &[&p.play.post_tasks]];
    for part in parts {
        for items in part {
            walk::items(p, items, hosts, f)?;
        }
        super::handlers::flush(p, hosts, f)?;
    }
    Ok(())
}

/// Reads the play's `vars_files` for hosts; files whose names are not known yet wait.
pub fn load_vars_files(p: &PlayRun, hosts: &[Host]) -> Result<()> {
    if p.play.vars_files.is_empty() {
        return Ok(());
    }
    let r = &p.runner;
    for h in hosts {
        let view = p.view(&h.name, None);
        let mut layers: Vec<Arc<Map>> = vec![];
        for choice in &p.play.vars_files {
            // each file may use the variables of those before it
            *view.own.vars_files.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(layers.clone());
            if let Some(m) = first_file(r, p, choice, &view)? {
                layers.push(m);
            }
        }
        *view.own.vars_files.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(layers);
    }
    Ok(())
}

fn first_file(r: &Arc<Runner>, p: &PlayRun, choice: &[Value], view: &View) -> Result<Option<Arc<Map>>> {
    let scope = r.scope(view);
    let mut tried = vec![];
    let mut names = vec![];
    for c in choice {
        match r.engine.render(c, &scope) {
            Ok(Value::List(l)) => names.extend(l.iter().map(Value::to_str)),
            Ok(v) => names.push(v.to_str()),
            Err(e) if e.kind() == Kind::Undefined => {
                // a name that needs facts is tried again once they are gathered
                if view.own.facts.read().unwrap_or_else(|e| e.into_inner()).is_empty() {
                    return Ok(None);
                }
                return Err(e.at(origin(c)));
            }
            Err(e) => return Err(e.at(origin(c))),
        }
    }
    for name in names {
        let path = match scope.files.find("vars", &name) {
            Some(path) => path,
            None => {
                tried.push(name);
                continue;
            }
        };
        let node = r.loader.read(&path)?;
        return match node.to_value() {
            Value::Map(m) => Ok(Some(m)),
            Value::Null => Ok(Some(Arc::default())),
            // a list of dictionaries is one of them all
            Value::List(l) if l.iter().all(|v| v.as_map().is_some()) => {
                let all = l.iter().flat_map(|v| v.as_map().into_iter().flatten());
                Ok(Some(Arc::new(all.map(|(k, v)| (k.clone(), v.clone())).collect())))
            }
            _ => Err(node.error(format!("{path} must be stored as a dictionary/hash"))),
        };
    }
    // a name that comes of facts may be found once they are gathered
    let early = view.own.facts.read().unwrap_or_else(|e| e.into_inner()).is_empty();
    if !(early && choice.iter().any(Value::needs_render)) {
        let e = Error::general(format!("vars file {} was not found", tried.join(", ")))
            .at(choice.first().and_then(origin).or(Some(p.play.span)))
            .help("The file is looked for in vars/ and beside the playbook. The play goes on without it.");
        r.warn(e.in_full());
    }
    Ok(None)
}

/// Reads the `vars_files` whose names are plain, so that one that cannot be read ends the run before the play begins.
fn check_vars_files(r: &Arc<Runner>, play: &Play, scope: &crate::template::Scope) -> Result<()> {
    for name in play.vars_files.iter().filter_map(|choice| choice.iter().find(|c| !c.needs_render())) {
        if let Some(path) = scope.files.find("vars", &name.to_str()) {
            r.loader.read(&path)?;
        }
    }
    Ok(())
}

/// Gathers facts at the start of the play, if it wants them.
pub(super) fn gather(p: &PlayRun, hosts: &[Host]) -> Result<()> {
    let r = &p.runner;
    let Some(first) = hosts.first() else { return Ok(()) };
    let scope = r.scope(&p.view(&first.name, None));
    let wanted = match (&p.play.gather_facts, r.options.gathering.as_str()) {
        (Some(v), _) => r.flag(&Some(v.clone()), &scope, true, "gather_facts").map_err(|e| e.with_kind(Kind::Parse))?,
        (None, "explicit") => false,
        (None, _) => true,
    };
    if !wanted {
        return Ok(());
    }
    let smart = r.options.gathering == "smart" && p.play.gather_facts.is_none();
    let todo: Vec<Host> =
        hosts.iter().filter(|h| !smart || !r.store.host(&h.name).gathered.load(Ordering::SeqCst)).cloned().collect();
    if todo.is_empty() {
        return Ok(());
    }
    let mut args = Map::new();
    for (k, v) in [
        ("gather_subset", &p.play.gather_subset),
        ("gather_timeout", &p.play.gather_timeout),
        ("fact_path", &p.play.fact_path),
    ] {
        if let Some(v) = v {
            args.insert(k.into(), v.clone());
        }
    }
    let task = Arc::new(walk::implicit_task(p, "Gathering Facts", "ansible.builtin.gather_facts", args));
    walk::task(p, &task, &todo, Frame::default())?;
    load_vars_files(p, hosts)?;
    Ok(())
}

/// What events tell of a task.
pub fn info(p: &PlayRun, task: &Arc<Task>, host: &Arc<str>) -> Arc<TaskInfo> {
    let r = &p.runner;
    let view = p.view(host, Some(task));
    let scope = r.scope(&view);
    let name = match &task.name {
        Some(n) if n.needs_render() => {
            let (text, errors) = r.engine.render_for_show(n, &scope);
            if !errors.is_empty() {
                let s = if errors.len() == 1 { "" } else { "s" };
                let list: String = errors.iter().enumerate().map(|(i, e)| format!("\nerror {} - {e}", i + 1)).collect();
                let words = format!("Encountered {} template error{s}.{list}", errors.len());
                r.warn(Error::template(words).at(origin(n)).in_full());
            }
            text
        }
        Some(n) => n.to_str(),
        None => String::new(),
    };
    let role = task.role.as_ref().map(|r| r.name.clone());
    // include_role does not show the role that it is in; a nameless one shows the role that comes
    let includes = (name.is_empty() && task.short == "include_role")
        .then(|| task.args.get("name").or_else(|| task.args.get("role")).map(Value::to_str))
        .flatten();
    let own = if name.is_empty() { task.action.clone() } else { name };
    let label = match (&role, includes) {
        (_, Some(coming)) => format!("{own} : {coming}"),
        (Some(r), None) if task.short != "include_role" => format!("{r} : {own}"),
        (_, None) => own.clone(),
    };
    Arc::new(TaskInfo {
        id: task.id,
        label,
        name: own,
        named: task.name.is_some(),
        action: task.action.clone(),
        role,
        span: task.span,
        is_handler: task.is_handler,
        check: r.flag(&task.kw.check_mode, &scope, r.options.check, "check_mode").unwrap_or(r.options.check),
        no_log: r.flag(&task.kw.no_log, &scope, r.options.defaults.no_log, "no_log").unwrap_or(true),
        loops: task.loop_.is_some(),
        tags: task.tags.iter().map(Value::to_str).collect(),
        args: task.args.clone(),
    })
}

/// The tasks of a play's first section, up to its first block; those of that block if it comes first.
fn tasks_of(play: &Play) -> usize {
    let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks];
    let Some(first) = sections.into_iter().find(|l| !l.is_empty()) else { return 0 };
    match first.first() {
        Some(Item::Block(b)) => b.block.len() + b.rescue.len() + b.always.len(),
        _ => first.iter().take_while(|i| !matches!(i, Item::Block(_))).filter(|i| matches!(i, Item::Task(_))).count(),
    }
}
