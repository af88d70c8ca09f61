//! A task on a host with its loop: one result of all items.

use super::attempt::{Attempt, status};
use super::event::{Delegate, Event, Status, TaskInfo, TaskResult};
use super::runner::Runner;
use super::task::{Work, skipped};
use crate::actions::Effect;
use crate::diag::{Error, Result};
use crate::playbook::Task;
use crate::template::Scope;
use crate::value::{Key, Map, Value};
use crate::vars::View;
use std::sync::Arc;

/// What a task gave on a host, with what is still to be done about it.
pub struct HostOutcome {
    pub result: TaskResult,
    pub effects: Vec<(Effect, Option<String>)>,
    /// `ansible_facts` of each (item's) result, with the host they are of.
    pub facts: Vec<(Map, Option<String>)>,
    /// What ends the run, not the task alone.
    pub ends: Option<Error>,
    /// Whether the failure stops nobody, where that is settled already.
    pub ignored: Option<bool>,
}

/// Runs a task on one host.
pub fn run(r: &Arc<Runner>, task: &Arc<Task>, info: &Arc<TaskInfo>, view: &View) -> HostOutcome {
    match &task.loop_ {
        None => single(r, task, info, view),
        Some(_) => looped(r, task, info, view),
    }
}

fn flags(r: &Arc<Runner>, task: &Task, view: &View) -> (bool, bool) {
    let scope = r.scope(view);
    let no_log = r.flag(&task.kw.no_log, &scope, r.options.defaults.no_log, "no_log").unwrap_or(true);
    let diff = r.flag(&task.kw.diff, &scope, r.options.diff, "diff").unwrap_or(r.options.diff);
    (no_log, diff)
}

fn finish(a: Attempt, host: &Arc<str>, item: Option<String>, no_log: bool, diff: bool) -> TaskResult {
    // an action may know that its result is secret
    let no_log = no_log || a.data.get("_ansible_no_log").is_some_and(Value::truthy);
    TaskResult {
        host: host.clone(),
        delegated_to: a.delegated_to,
        status: status(&a.data, a.unreachable),
        ignored: false,
        data: a.data,
        item,
        no_log,
        verbose_always: a.verbose_always,
        diff,
        by_module: a.by_module,
        error: a.error,
    }
}

fn single(r: &Arc<Runner>, task: &Arc<Task>, info: &Arc<TaskInfo>, view: &View) -> HostOutcome {
    let (no_log, diff) = flags(r, task, view);
    let mut a = Work { runner: r, task, info, view: view.clone(), item: None }.run();
    a.complete();
    let to = a.delegated_to.as_ref().map(|d| d.host.clone());
    let facts = facts_of(task, &a, to.clone());
    let effects = std::mem::take(&mut a.effects).into_iter().map(|e| (e, to.clone())).collect();
    let ends = a.ends.take();
    let ignored = ignored_early(r, task, view, &a);
    HostOutcome { result: finish(a, &view.host, None, no_log, diff), effects, facts, ends, ignored }
}

/// The facts of a result, unless they are carried by an effect, or only shown (`debug: var=ansible_facts`).
fn facts_of(task: &Task, a: &Attempt, to: Option<String>) -> Vec<(Map, Option<String>)> {
    match a.data.get("ansible_facts") {
        Some(Value::Map(m)) if a.effects.is_empty() && task.short != "debug" => vec![((**m).clone(), to)],
        _ => vec![],
    }
}

/// The items of a task's loop.
pub fn items(r: &Arc<Runner>, task: &Task, view: &View) -> Result<Vec<Value>> {
    let Some(l) = &task.loop_ else { return Ok(vec![]) };
    let scope = r.scope(view);
    let Some(lookup) = &l.lookup else {
        let v = r.engine.render(&l.over, &scope)?;
        return match v {
            Value::List(l) | Value::Tuple(l) => Ok(l.to_vec()),
            other => {
                Err(Error::general(format!("The `loop` value must resolve to a 'list', not '{}'.", other.type_name()))
                    .at(l.span)
                    .help("Provide a list of items/templates, or a template resolving to a list."))
            }
        };
    };
    let terms = match (&l.over, lookup.as_str()) {
        // a file whose name is undefined is one that is not there
        (over, "first_found") => {
            r.engine.render_defined(over, &scope).map_err(|e| e.at(l.span))?.unwrap_or_else(|| Value::list(vec![]))
        }
        (over, _) => r.engine.render(over, &scope).map_err(|e| e.at(l.span))?,
    };
    let terms = match (lookup.as_str(), terms) {
        ("dict", v) => vec![v],
        (_, Value::List(l)) => l.to_vec(),
        (_, v) => vec![v],
    };
    let scope = if lookup == "first_found" { beside_action(&task.action, scope) } else { scope };
    r.engine.lookup(lookup, terms, Map::new(), &scope).map_err(|e| e.at(l.span))
}

/// The scope in which a loop's files are looked for first in the folder of the action's own kind.
fn beside_action(action: &str, scope: Scope) -> Scope {
    let mut files = (*scope.files).clone();
    files.kind = match action {
        a if a.contains("template") => "templates",
        a if a.contains("var") => "vars",
        _ => "files",
    };
    Scope::new(scope.vars, Arc::new(files))
}

/// Names and settings of `loop_control`, rendered.
struct Control {
    var: String,
    index: Option<String>,
    extended: bool,
    all_items: bool,
    pause: f64,
}

fn control(r: &Arc<Runner>, task: &Task, view: &View) -> Result<Control> {
    let (scope, c) = (r.scope(view), &task.loop_control);
    let name = |v: &Option<Value>| match r.text(v, &scope)? {
        Some(n) if !crate::playbook::is_identifier(&n) => Err(Error::general(format!("Invalid variable name '{n}'."))
            .at(v.as_ref().and_then(super::runner::origin))
            .help(
                "Variable names must be strings starting with a letter or underscore character, and contain only \
                 letters, numbers and underscores.",
            )),
        other => Ok(other),
    };
    Ok(Control {
        var: name(&c.loop_var)?.unwrap_or_else(|| "item".into()),
        index: name(&c.index_var)?,
        extended: r.flag(&c.extended, &scope, false, "extended")?,
        all_items: r.flag(&c.extended_allitems, &scope, true, "extended_allitems")?,
        pause: r.decimal(&c.pause, &scope, "pause")?.unwrap_or(0.0),
    })
}

/// Variables that the loop gives to item `i`.
fn locals(c: &Control, list: &[Value], i: usize) -> Map {
    let mut m = Map::new();
    m.insert(Key::from(c.var.as_str()), list[i].clone());
    m.insert("ansible_loop_var".into(), c.var.as_str().into());
    if let Some(n) = &c.index {
        m.insert(Key::from(n.as_str()), i.into());
        m.insert("ansible_index_var".into(), n.as_str().into());
    }
    if c.extended {
        let mut l = Map::new();
        if c.all_items {
            l.insert("allitems".into(), Value::list(list.to_vec()));
        }
        l.insert("index".into(), (i + 1).into());
        l.insert("index0".into(), i.into());
        l.insert("first".into(), (i == 0).into());
        l.insert("last".into(), (i + 1 == list.len()).into());
        l.insert("length".into(), list.len().into());
        l.insert("revindex".into(), (list.len() - i).into());
        l.insert("revindex0".into(), (list.len() - i - 1).into());
        if let Some(n) = list.get(i + 1) {
            l.insert("nextitem".into(), n.clone());
        }
        if i > 0 {
            l.insert("previtem".into(), list[i - 1].clone());
        }
        m.insert("ansible_loop".into(), Value::map(l));
    }
    m
}

/// One turn of a loop: the view with its variables, and the label shown or why there is none.
pub struct Turn {
    pub view: View,
    pub label: Result<String>,
    pub locals: Map,
    /// The name of the loop's variable.
    pub var: String,
}

/// The turns of a task's loop on a host.
pub fn turns(r: &Arc<Runner>, task: &Task, view: &View, list: &[Value]) -> Result<Vec<Turn>> {
    let c = control(r, task, view)?;
    warn_reuse(r, task, view, &c);
    let mut out = Vec::with_capacity(list.len());
    for i in 0..list.len() {
        let l = locals(&c, list, i);
        let v = view.clone().with_locals(l.clone());
        let label = label(r, task, &v, &list[i]);
        out.push(Turn { view: v, label, locals: l, var: c.var.clone() });
    }
    Ok(out)
}

fn warn_reuse(r: &Arc<Runner>, task: &Task, view: &View, c: &Control) {
    if view.locals.iter().any(|m| m.contains_key(c.var.as_str())) || view.raw(&c.var).is_ok_and(|v| v.is_some()) {
        r.warn(format!(
            "{}: The loop variable '{}' is already in use. You should set the `loop_var` value in the `loop_control` option for the task to something else to avoid variable collisions and unexpected behavior.",
            task.raw_label(),
            c.var
        ));
    }
}

/// The label of an item: `loop_control.label`, else the item as text.
fn label(r: &Arc<Runner>, task: &Task, view: &View, item: &Value) -> Result<String> {
    match &task.loop_control.label {
        Some(l) => r.engine.render(l, &r.scope(view)).map(|v| v.to_str()),
        None => Ok(item.to_str()),
    }
}

/// The label of an item that was run, which may use its result; nothing where that fails the item.
fn final_label(r: &Arc<Runner>, task: &Task, view: &View, item: &Value, a: &mut Attempt) -> Option<Value> {
    let Some(l) = task.loop_control.label.as_ref().filter(|l| l.needs_render()) else {
        label(r, task, view, item).ok()?;
        return Some(task.loop_control.label.as_ref().unwrap_or(item).untrusted());
    };
    let mut result = Map::new();
    if let Some(name) = &task.register {
        result.insert(name.as_str().into(), Value::map(super::results::registered(&a.data)));
    }
    match r.engine.render(l, &r.scope(&view.clone().with_locals(result))) {
        Ok(v) => Some(v.untrusted()),
        Err(e) => {
            a.unlabelled(&e);
            None
        }
    }
}

/// What stands for the label of an item that has none: the result's `item`. `debug` shows its message alone.
pub fn unlabelled(task: &Task, data: &Map) -> String {
    let item = data.get("item").filter(|_| task.short != "debug");
    item.map_or_else(|| "None".into(), Value::to_str)
}

fn looped(r: &Arc<Runner>, task: &Arc<Task>, info: &Arc<TaskInfo>, view: &View) -> HostOutcome {
    let (no_log, diff) = flags(r, task, view);
    let whole = |mut a: Attempt| {
        let ends = a.ends.take();
        let ignored = ignored_early(r, task, view, &a);
        if a.early {
            a.delegated_to = Delegate::written(task);
        }
        HostOutcome { result: finish(a, &view.host, None, no_log, diff), effects: vec![], facts: vec![], ends, ignored }
    };
    let list = match items(r, task, view) {
        Ok(l) => l,
        Err(e) => {
            // a condition that does not hold without the item saves a loop that cannot be evaluated
            return match super::conditions::first_false(r, &task.when, &r.scope(view)) {
                Ok(Some(c)) => {
                    let mut a = skipped(c);
                    a.complete();
                    whole(a)
                }
                _ => {
                    let mut a = Attempt::without_items(e);
                    a.complete();
                    whole(a)
                }
            };
        }
    };
    if list.is_empty() {
        let mut m = Map::new();
        m.insert("changed".into(), false.into());
        m.insert("skipped".into(), true.into());
        m.insert("skipped_reason".into(), "No items in the list".into());
        m.insert("results".into(), Value::list(vec![]));
        return whole(Attempt::of(m));
    }
    let c = match control(r, task, view) {
        Ok(c) => c,
        Err(e) => return whole(Attempt::without_items(e)),
    };
    warn_reuse(r, task, view, &c);
    let (mut results, mut effects, mut facts) = (vec![], vec![], vec![]);
    // whether all failures of the items are ignored
    let mut ignored = true;
    // seen by the items behind: the result of the one before, and facts of the host that the task is delegated to
    let (mut carried, mut elsewhere) = (Map::new(), None);
    let mut sum = Sum::default();
    let mut delegated = None;
    let impure = crate::template::impure_count();
    let mut may_go_ahead = super::ahead::loops(r, task);
    for i in 0..list.len() {
        if i > 0 && may_go_ahead {
            // the first item has shown whether rendering looks at more than variables
            let turn = |n: usize| {
                // what the item before will be registered as is not known yet: whatever looks at it waits
                let unknown = task.register.iter().map(|r| (r.as_str().into(), Value::trusted("{{ now() }}", None)));
                let mut v = view.clone().with_locals(unknown.collect()).with_locals(locals(&c, &list, n));
                v.own = r.store.host(&view.host);
                v
            };
            let work = Work { runner: r, task, info, view: view.clone(), item: None };
            may_go_ahead = crate::template::impure_count() == impure && super::ahead::items(&work, i, list.len(), turn);
        }
        if i > 0 && c.pause > 0.0 {
            std::thread::sleep(crate::seconds::fraction(c.pause));
        }
        let l = locals(&c, &list, i);
        let mut item_view = view.clone().with_locals(carried.clone()).with_locals(l.clone());
        // items see the facts and results of those before them
        item_view.own = r.store.host(&view.host);
        let told = label(r, task, &item_view, &list[i]).unwrap_or_else(|_| list[i].to_str());
        let mut a = Work { runner: r, task, info, view: item_view.clone(), item: Some(told) }.run();
        a.complete();
        if a.ends.is_some() {
            return whole(a);
        }
        let labelled = final_label(r, task, &item_view, &list[i], &mut a);
        for k in [Some(&c.var), c.index.as_ref()].into_iter().flatten() {
            if let Some(v) = l.get(k.as_str()) {
                a.data.insert(Key::from(k.as_str()), v.untrusted());
            }
        }
        a.data.insert("ansible_loop_var".into(), c.var.as_str().into());
        if let Some(n) = &c.index {
            a.data.insert("ansible_index_var".into(), n.as_str().into());
        }
        if c.extended
            && let Some(v) = l.get("ansible_loop")
        {
            let mut shown = v.as_map().cloned().unwrap_or_default();
            if !c.all_items {
                shown.shift_remove("allitems");
            }
            a.data.insert("ansible_loop".into(), Value::map(shown).untrusted());
        }
        let label = labelled.unwrap_or_else(|| Value::plain(unlabelled(task, &a.data)));
        if !no_log {
            a.data.insert("_ansible_item_label".into(), label.clone());
        }
        if !a.early {
            delegated = a.delegated_to.clone().or(delegated);
        }
        let to = a.delegated_to.as_ref().map(|d| d.host.clone());
        facts.extend(facts_of(task, &a, to.clone()));
        for e in std::mem::take(&mut a.effects) {
            // set_fact, include_vars, add_host of one item are seen by the next
            if let (Some(_), Effect::SetFacts { vars, .. } | Effect::IncludeVars(vars)) = (&to, &e)
                && *elsewhere.get_or_insert_with(|| super::results::delegates_facts(r, task, view))
            {
                carried.extend(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
                effects.push((e, to.clone()));
                continue;
            }
            match super::results::apply_early(r, view, &e) {
                Ok(Some(_)) => {}
                Ok(None) => effects.push((e, to.clone())),
                Err(e) => return whole(Attempt::failed(e)),
            }
        }
        sum.add(&a);
        if let Some((f, None)) = facts.last() {
            r.store.host(&view.host).add_facts(f);
        }
        let early = ignored_early(r, task, &item_view, &a);
        let mut result = finish(a, &view.host, Some(label.to_str()), no_log, diff);
        result.ignored = early.unwrap_or_else(|| ignores(r, task, &item_view, result.status));
        ignored &= result.ignored || result.status != Status::Failed;
        if matches!(result.status, Status::Skipped | Status::Unreachable) {
            result.data.shift_remove("failed");
        } else {
            result.data.insert("failed".into(), (result.status == Status::Failed).into());
        }
        super::results::tell_warnings(r, &result.data);
        sum.take_warnings(&mut result.data);
        let mut kept = super::results::registered(&result.data);
        if let Some(i) = result.data.get("invocation") {
            kept.insert("invocation".into(), i.untrusted());
        }
        // the item is the playbook's own if its text is
        if let Some(v) = l.get(c.var.as_str()) {
            kept.insert(Key::from(c.var.as_str()), v.clone());
        }
        if let Some(name) = &task.register {
            carried.insert(name.as_str().into(), Value::map(kept.clone()));
        }
        results.push(Value::map(kept));
        let brk = if task.loop_control.break_when.is_empty() {
            Ok(false)
        } else {
            let mut l = Map::new();
            if let Some(n) = &task.register {
                l.insert(n.as_str().into(), Value::map(result.data.clone()));
            }
            super::conditions::all(r, &task.loop_control.break_when, &r.scope(&item_view.clone().with_locals(l)))
        };
        r.emit(Event::Item { task: info.clone(), result: Arc::new(result) });
        match brk {
            Ok(false) => {}
            Ok(true) => break,
            Err(e) => return whole(Attempt::failed(e)),
        }
    }
    let data = sum.finish(results);
    let mut a = Attempt::of(data);
    a.unreachable = sum.unreachable;
    // where no item got that far it is told as it is written
    a.delegated_to = delegated.or_else(|| Delegate::written(task).filter(|_| sum.failed));
    let ignored = sum.failed.then_some(ignored);
    HostOutcome { result: finish(a, &view.host, None, no_log, diff), effects, facts, ends: None, ignored }
}

/// Whether a failure from before the keywords were rendered stops the host: a template in `ignore_errors` counts as
/// true. Nothing of other failures.
fn ignored_early(r: &Arc<Runner>, task: &Task, view: &View, a: &Attempt) -> Option<bool> {
    let open = task.kw.ignore_errors.as_ref().is_some_and(Value::needs_render);
    a.early.then(|| open || ignores(r, task, view, Status::Failed))
}

/// Whether a failure of this task does not stop the host.
pub fn ignores(r: &Arc<Runner>, task: &Task, view: &View, s: Status) -> bool {
    let scope = r.scope(view);
    match s {
        Status::Failed => r.flag(&task.kw.ignore_errors, &scope, false, "ignore_errors").unwrap_or(false),
        Status::Unreachable => {
            r.flag(&task.kw.ignore_unreachable, &scope, false, "ignore_unreachable").unwrap_or(false)
        }
        _ => false,
    }
}

/// The verdict over all items.
#[derive(Default)]
struct Sum {
    items: usize,
    changed: bool,
    failed: bool,
    skipped: usize,
    unreachable: bool,
    /// What the items warned of: the whole result has it, not they.
    warnings: Vec<Value>,
    deprecations: Vec<Value>,
}

impl Sum {
    fn take_warnings(&mut self, item: &mut Map) {
        for (key, all) in [("warnings", &mut self.warnings), ("deprecations", &mut self.deprecations)] {
            if let Some(list) = item.shift_remove(key) {
                all.extend(list.as_list().unwrap_or_default().iter().cloned());
            }
        }
    }

    fn add(&mut self, a: &Attempt) {
        self.items += 1;
        self.changed |= a.is("changed");
        self.failed |= a.is("failed");
        self.skipped += usize::from(a.is("skipped"));
        self.unreachable |= a.unreachable;
    }
    fn finish(&self, results: Vec<Value>) -> Map {
        let mut m = Map::new();
        let all_skipped = self.items > 0 && self.skipped == self.items;
        m.insert("results".into(), Value::list(results));
        let msg = if self.failed {
            m.insert("failed".into(), true.into());
            "One or more items failed"
        } else if self.unreachable {
            m.insert("unreachable".into(), true.into());
            "All items completed"
        } else if all_skipped {
            "All items skipped"
        } else {
            "All items completed"
        };
        m.insert("skipped".into(), all_skipped.into());
        m.insert("msg".into(), msg.into());
        m.insert("changed".into(), self.changed.into());
        for (key, all) in [("warnings", &self.warnings), ("deprecations", &self.deprecations)] {
            if !all.is_empty() {
                m.insert(key.into(), Value::list(all.clone()));
                m.insert(super::results::WARNED.into(), true.into());
            }
        }
        m
    }
}
