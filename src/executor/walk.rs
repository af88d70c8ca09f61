//! Goes over blocks and tasks with a set of hosts in step. Hosts that fail leave the list until a
//! rescue section takes them in again; an always section runs for all that entered its block.

use super::event::{Event, Status};
use super::looping;
use super::play::{PlayRun, info};
use super::runner::Runner;
use super::state::{Host, Phase, lock};
use crate::diag::{Error, Result};
use crate::modules::support::glob::fnmatch;
use crate::playbook::{Block, Item, Task};
use crate::template::Scope;
use crate::value::{Map, Value};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

/// Where in the play we are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// A failure here is taken in by a rescue section.
    pub rescuable: bool,
    /// After a failure here an `always` section is still to come.
    pub always: bool,
    /// After a failure here a section of the innermost block is to come.
    pub next: bool,
    /// Within handlers.
    pub handlers: bool,
}

fn active(hosts: &[Host]) -> Vec<Host> {
    hosts.iter().filter(|h| h.is_active()).cloned().collect()
}

/// Runs a list of tasks and blocks.
pub fn items(p: &PlayRun, list: &[Item], hosts: &[Host], f: Frame) -> Result<()> {
    for (at, item) in list.iter().enumerate() {
        let live = active(hosts);
        if live.is_empty() || p.broken.load(Ordering::SeqCst) {
            return Ok(());
        }
        if let ([host], Item::Task(_)) = (live.as_slice(), item) {
            super::ahead::tasks(p, list.get(at..).unwrap_or_default(), host);
        }
        match item {
            Item::Task(t) => task(p, t, &live, f)?,
            Item::Block(b) => block(p, b, &live, f)?,
            Item::RoleEnd(role) => {
                let ran = lock(&role.ran);
                lock(&role.completed).extend(live.iter().map(|h| h.name.clone()).filter(|h| ran.contains(h)));
            }
        }
    }
    // hosts that ended the role early go on behind it
    if let Some(Item::RoleEnd(role)) = list.last() {
        for h in hosts {
            let mut e = h.end_role.lock().unwrap_or_else(|e| e.into_inner());
            if *e == Some(role.id) {
                *e = None;
                role.completed.lock().unwrap_or_else(|e| e.into_inner()).insert(h.name.clone());
            }
        }
    }
    Ok(())
}

fn block(p: &PlayRun, b: &Arc<Block>, hosts: &[Host], f: Frame) -> Result<()> {
    let always = !b.always.is_empty();
    let after = Frame { always: f.always || always, next: always, ..f };
    // of what the tags leave out nothing is there: a rescue section without tasks rescues nobody
    let rescues = hosts.first().is_some_and(|h| p.has_tasks(&b.rescue, &h.name, f.handlers));
    let inner = Frame { rescuable: f.rescuable || rescues, next: rescues || always, ..after };
    items(p, &b.block, hosts, inner)?;
    if p.over.load(Ordering::SeqCst) {
        return Ok(());
    }
    let failed =
        |hosts: &[Host]| -> Vec<Host> { hosts.iter().filter(|h| h.phase() == Phase::Failed).cloned().collect() };
    if rescues {
        let lost: Vec<Host> = failed(hosts).into_iter().filter(|h| !h.section_failed()).collect();
        for h in &lost {
            h.set(Phase::Active);
            h.pardoned.store(false, Ordering::SeqCst);
        }
        p.refresh_alive();
        items(p, &b.rescue, &lost, after)?;
    }
    if !b.always.is_empty() {
        let forgiven = |h: &Host| h.forgiven.load(Ordering::SeqCst);
        let lost = failed(hosts).into_iter().filter(|h| !h.section_failed());
        let pardoned = |h: &Host| h.pardoned.swap(false, Ordering::SeqCst);
        let lost: Vec<(Host, usize, bool)> = lost.map(|h| (h.clone(), forgiven(&h), pardoned(&h))).collect();
        let broken = p.broken.swap(false, Ordering::SeqCst);
        for (h, ..) in &lost {
            h.set(Phase::Active);
        }
        let all = active(hosts);
        items(p, &b.always, &all, Frame { next: false, ..f })?;
        let mut still = lost.is_empty();
        for (h, before, pardoned) in &lost {
            if forgiven(h) == *before && !pardoned {
                still = true;
                if h.phase() == Phase::Active {
                    h.set(Phase::Failed);
                }
            }
        }
        p.broken.fetch_or(broken && still, Ordering::SeqCst);
        p.refresh_alive();
    }
    hosts.iter().for_each(|h| h.leave());
    Ok(())
}

/// Runs what was included: a block of its own.
pub fn included(p: &PlayRun, list: &[Item], hosts: &[Host], f: Frame) -> Result<()> {
    items(p, list, hosts, Frame { next: false, ..f })?;
    hosts.iter().for_each(|h| h.leave());
    Ok(())
}

/// True if the task is not for this host: its role is completed or ended.
fn role_done(t: &Task, h: &Host) -> bool {
    let Some(role) = &t.role else { return false };
    if h.end_role.lock().unwrap_or_else(|e| e.into_inner()).is_some_and(|id| role.chain().iter().any(|r| r.id == id)) {
        return true;
    }
    !role.allow_duplicates
        && !t.is_handler
        && role.completed.lock().unwrap_or_else(|e| e.into_inner()).contains(&h.name)
}

/// Whether a task (not a handler) will run on this host, as far as tags and its role say.
pub fn concerns(p: &PlayRun, t: &Arc<Task>, h: &Host) -> bool {
    !t.is_handler && !role_done(t, h) && p.tags.selects(&p.tags_of(t, &h.name))
}

/// Runs one task on hosts.
pub fn task(p: &PlayRun, t: &Arc<Task>, hosts: &[Host], f: Frame) -> Result<()> {
    let r = &p.runner;
    let hosts: Vec<Host> = hosts.iter().filter(|h| !role_done(t, h)).cloned().collect();
    let Some(first) = hosts.first().cloned() else { return Ok(()) };
    if !f.handlers && !t.is_handler && !p.tags.selects(&p.tags_of(t, &first.name)) {
        return Ok(());
    }
    let (waiting, ready): (Vec<Host>, Vec<Host>) =
        hosts.into_iter().partition(|h| h.waiting_for_start.load(Ordering::SeqCst));
    let mut hosts = ready;
    if !waiting.is_empty() {
        let implicit = t.implicit || t.short == "meta";
        if !implicit && starts_here(r.options.start_at_task.as_deref().unwrap_or_default(), t) {
            waiting.iter().for_each(|h| h.waiting_for_start.store(false, Ordering::SeqCst));
            r.state.waiting_for_start.store(false, Ordering::SeqCst);
            // the play's facts were passed over while its first task was looked for
            super::play::gather(p, &waiting)?;
            hosts.extend(waiting);
        }
        if hosts.is_empty() {
            return Ok(());
        }
    }
    if t.short == "meta" {
        return super::meta::run(p, t, &hosts, f);
    }
    let what = info(p, t, &first.name);
    if r.options.step && !t.implicit && !step(p, &what.label)? {
        return Ok(());
    }
    r.emit(Event::TaskStart(what.clone()));
    if matches!(t.short.as_str(), "include_tasks" | "include_role" | "include") {
        return super::include::run(p, t, &what, &hosts, f);
    }
    let scope = r.scope(&p.view(&first.name, Some(t)));
    // these work on the run as a whole, once, whatever the hosts
    let bypass = matches!(t.short.as_str(), "add_host" | "pause");
    let once = bypass || p.runs_once(t, &scope)?;
    let chosen: Vec<Host> = if once && !p.free { vec![first.clone()] } else { hosts.clone() };
    let throttle = throttle(r, t, &scope)?;
    let (failed, spared) = on_hosts(p, t, &what, &chosen, throttle, f)?;
    if failed && once && !bypass && !p.free && first.phase() == Phase::Failed {
        // the result is everybody's
        p.hosts.iter().filter(|h| !Arc::ptr_eq(h, &first)).for_each(|h| h.fail_with_others());
    }
    // as in ansible-core it is taken as it is written: any text holds, a template that gives false among them
    let for_all = t.kw.any_errors_fatal.as_ref().map_or(r.options.any_errors_fatal, Value::truthy);
    // as in ansible-core errors that may be ignored, by a template, end the play for nobody else
    let ignores = t.kw.ignore_errors.as_ref().is_some_and(Value::needs_render);
    let fatal = for_all && !ignores;
    if failed && (fatal || once && !p.free && !ignores) {
        let own = |h: &Host| !h.is_active() && chosen.iter().any(|c| Arc::ptr_eq(c, h));
        for h in p.hosts.iter().filter(|h| !own(h) && h.phase() != Phase::Unreachable) {
            h.fail_with_others();
            if !p.free {
                lock(&p.doomed).insert(h.name.clone());
            }
        }
        if !p.free {
            let lost = chosen.iter().filter(|h| h.phase() == Phase::Unreachable);
            lock(&p.doubled).extend(lost.map(|h| h.name.clone()));
        }
        if fatal && !f.rescuable && !p.free && lock(&p.doubled).is_empty() {
            p.broken.store(true, Ordering::SeqCst);
        }
    }
    if failed {
        for h in p.hosts.iter().filter(|h| h.phase() == Phase::Failed) {
            if fatal || once || hosts.iter().any(|x| Arc::ptr_eq(x, h)) {
                h.waits.store(f.next, Ordering::SeqCst);
            }
        }
        if !f.rescuable && !f.always {
            for h in p
                .hosts
                .iter()
                .filter(|h| h.phase() == Phase::Failed && (fatal || hosts.iter().any(|x| Arc::ptr_eq(x, h))))
            {
                h.lost.store(true, Ordering::SeqCst);
            }
        }
        p.refresh_alive();
    }
    if failed || p.exceeded.load(Ordering::SeqCst) {
        check_percentage(p, &spared);
    }
    Ok(())
}

/// How many hosts may do a task at once, beside the forks; 0 for any number.
fn throttle(r: &Arc<Runner>, t: &Task, scope: &Scope) -> Result<usize> {
    let failed = |e: Error| {
        Error::general(format!("Failed to convert the throttle value to an integer: {}", e.message())).at(t
            .kw
            .throttle
            .as_ref()
            .and_then(super::runner::origin))
    };
    let n = match r.text(&t.kw.throttle, scope).map_err(failed)? {
        None => 0,
        Some(text) => {
            let n = text.trim().parse::<f64>();
            n.map_err(|_| failed(Error::general(format!("invalid literal for int() with base 10: '{text}'"))))? as i64
        }
    };
    Ok(n.max(0) as usize)
}

/// `max_fail_percentage`: more failures than that end the play. One that is rescued is none, and of hosts for which
/// `always` was still to come ansible-core does not count the failure. It lets those go on for which this very task
/// failed and was ignored.
fn check_percentage(p: &PlayRun, spared: &[Host]) {
    let Some(max) = p.max_fail else { return };
    let doomed: HashSet<Arc<str>> = lock(&p.doomed).union(&lock(&p.doubled)).cloned().collect();
    let bad = p.hosts.iter().filter(|h| h.lost.load(Ordering::SeqCst) || doomed.contains(&h.name)).count();
    if bad as f64 / p.size.max(1) as f64 > max / 100.0 {
        for h in p.hosts.iter().filter(|h| !spared.iter().any(|s| Arc::ptr_eq(s, h))) {
            if h.is_active() {
                h.set(Phase::Failed);
            }
        }
        p.runner.emit(Event::NoHostsRemaining);
        p.exceeded.store(true, Ordering::SeqCst);
        p.runner.state.stopped.store(true, Ordering::SeqCst);
        if p.hosts.iter().any(|h| h.is_active()) {
            return;
        }
        // Ansible says so twice
        p.runner.emit(Event::NoHostsRemaining);
        p.broken.store(true, Ordering::SeqCst);
        p.over.store(!doomed.is_empty(), Ordering::SeqCst);
    }
}

/// Runs the task on hosts, as many at once as forks and throttle allow; whether one failed, and for which hosts it
/// failed and was ignored.
fn on_hosts(
    p: &PlayRun,
    t: &Arc<Task>,
    what: &Arc<super::TaskInfo>,
    hosts: &[Host],
    throttle: usize,
    f: Frame,
) -> Result<(bool, Vec<Host>)> {
    let r = &p.runner;
    let mut failed = false;
    let spared = RefCell::new(vec![]);
    // an action that a template names is another for each host
    let mut named: HashMap<Arc<str>, (Arc<Task>, Arc<super::TaskInfo>)> = HashMap::new();
    if super::resolve::is_open(t) {
        for h in hosts {
            let task = Arc::new(super::resolve::resolve(p, t, &h.name)?);
            let told = info(p, &task, &h.name);
            named.insert(h.name.clone(), (task, told));
        }
    }
    let settle = |h: &Host, o| {
        let (t, what) = named.get(&h.name).map_or((t, what), |(t, what)| (t, what));
        let (o, told) = super::debugger::inspect(p, t, what, h, o)?;
        let bad = o.result.status == Status::Failed;
        let failed = super::results::settle_told(p, t, what, h, o, f.rescuable, told)?;
        if bad && !failed {
            spared.borrow_mut().push(h.clone());
        }
        Ok::<bool, Error>(failed)
    };
    let start = |h: &Host| r.emit(Event::HostStart { task: what.clone(), host: h.name.clone() });
    let one = |h: &Host| {
        let t = named.get(&h.name).map_or(t, |(t, _)| t);
        looping::run(r, t, what, &p.view(&h.name, Some(t)))
    };
    // one after the other, what is told of a host comes before what is told of the next
    if hosts.len() == 1 || p.free || throttle == 1 || r.options.forks == 1 {
        hosts.first().into_iter().for_each(start);
        for (i, h) in hosts.iter().enumerate() {
            // the next one waits already while this one works
            hosts.get(i + 1).into_iter().for_each(start);
            let slot = (p.free && throttle > 0).then(|| p.throttle.enter(t.id, throttle));
            let outcome = one(h);
            drop(slot);
            failed |= settle(h, outcome)?;
        }
        return Ok((failed, spared.into_inner()));
    }
    let wave = if throttle == 0 { hosts.len() } else { throttle };
    for part in hosts.chunks(wave) {
        let (tx, rx) = mpsc::channel();
        let settled: Result<()> = r.workers.in_place_scope(|s| {
            for (i, h) in part.iter().enumerate() {
                let tx = tx.clone();
                let (start, one) = (&start, &one);
                s.spawn(move |_| {
                    start(h);
                    drop(tx.send((i, one(h))));
                });
            }
            drop(tx);
            // results are told in the hosts' order as far as they have come
            let mut waiting: Vec<Option<looping::HostOutcome>> = (0..part.len()).map(|_| None).collect();
            let mut next = 0;
            for (i, o) in rx {
                waiting[i] = Some(o);
                while let Some(o) = waiting.get_mut(next).and_then(Option::take) {
                    failed |= settle(&part[next], o)?;
                    next += 1;
                }
            }
            Ok(())
        });
        settled?;
    }
    Ok((failed, spared.into_inner()))
}

/// A task that the engine adds itself.
pub fn implicit_task(p: &PlayRun, name: &str, action: &str, args: Map) -> Task {
    let file = p.play.playbook_dir.join("playbook.yml");
    Task {
        kw: p.play.kw.clone(),
        when: p.play.when.clone(),
        environment: p.play.environment.clone(),
        module_defaults: p.play.module_defaults.clone(),
        ..Task::implicit(p.play.span, name, action, args, p.play.tags.clone(), file)
    }
}

/// `--start-at-task`: the name, with or without its role, or a glob.
fn starts_here(wanted: &str, t: &Task) -> bool {
    let own = t.name.as_ref().map(Value::to_str).unwrap_or_default();
    let full = t.raw_label();
    [own.as_str(), full.as_str()].iter().any(|n| !n.is_empty() && (*n == wanted || fnmatch(n, wanted)))
}

/// `--step`: asks whether to do this task.
fn step(p: &PlayRun, label: &str) -> Result<bool> {
    let r = &p.runner;
    if r.state.step_all.load(Ordering::SeqCst) || !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    print!("Perform task: TASK: {label} (N)o/(y)es/(c)ontinue: ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => true,
        "c" | "continue" => {
            r.state.step_all.store(true, Ordering::SeqCst);
            true
        }
        _ => false,
    })
}

impl PlayRun {
    /// Whether a list has a task that will run, as far as tags say.
    fn has_tasks(&self, list: &[Item], host: &Arc<str>, handlers: bool) -> bool {
        list.iter().any(|i| match i {
            Item::Task(t) => handlers || t.is_handler || self.tags.selects(&self.tags_of(t, host)),
            Item::Block(b) => [&b.block, &b.rescue, &b.always].iter().any(|l| self.has_tasks(l, host, handlers)),
            Item::RoleEnd(_) => false,
        })
    }
    /// A task's tags, rendered.
    pub fn tags_of(&self, t: &Arc<Task>, host: &Arc<str>) -> Vec<String> {
        if t.tags.iter().all(|v| !v.needs_render()) {
            return t.tags.iter().map(Value::to_str).collect();
        }
        let scope = self.runner.scope(&self.view(host, Some(t)));
        let mut out = vec![];
        for v in &t.tags {
            match self.runner.engine.render(v, &scope) {
                Ok(Value::List(l)) => out.extend(l.iter().map(Value::to_str)),
                Ok(v) => out.push(v.to_str()),
                Err(_) => out.push(v.to_str()),
            }
        }
        out
    }
}
