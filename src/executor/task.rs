//! One task on one host: conditions, arguments, delegation, retries, and the result's verdict.

use super::ahead::{Note, Planned};
use super::attempt::Attempt;
use super::conditions::{all, first_false};
use super::connection::{self, HostRemote};
use super::event::{Delegate, Event, Status, TaskInfo, TaskResult};
use super::runner::Runner;
use crate::actions::{self, ActionCtx, ActionError, Effect};
use crate::diag::{Error, Kind, Result};
use crate::playbook::Task;
use crate::template::Scope;
use crate::transport::CallError;
use crate::value::{Key, Map, Value};
use crate::vars::View;
use std::sync::Arc;

/// One task (or one of its items) about to run on a host.
pub struct Work<'a> {
    pub runner: &'a Arc<Runner>,
    pub task: &'a Arc<Task>,
    pub info: &'a Arc<TaskInfo>,
    /// The host's variables, with those of the loop.
    pub view: View,
    pub item: Option<String>,
}

impl Work<'_> {
    /// Runs it; never fails, since every error is the task's own failure.
    pub fn run(&self) -> Attempt {
        let (mut a, told) = crate::template::notices::hold(|| self.attempt().unwrap_or_else(Attempt::broken));
        super::results::add_notices(&mut a.data, told);
        if a.error.is_some() && a.delegated_to.is_none() {
            // what it was for is told of what could not begin, too; as written if that is what cannot be rendered
            let name = self.runner.text(&self.task.kw.delegate_to, &self.runner.scope(&self.view));
            a.delegated_to = match name {
                Ok(name) => name.filter(|n| !n.is_empty()).map(Delegate::named),
                Err(_) => Delegate::written(self.task),
            };
        }
        a
    }

    fn attempt(&self) -> Result<Attempt> {
        let scope = self.runner.scope(&self.view);
        // where the task goes is settled before whether it runs
        if self.view.delegated.is_none()
            && let (_, _, Some(to)) = self.target(&scope)?
        {
            let mut view = self.view.clone();
            view.delegated = Some(to.as_str().into());
            return Work { view, item: self.item.clone(), ..*self }.attempt();
        }
        match first_false(self.runner, &self.task.when, &scope) {
            Ok(None) => {}
            Ok(Some(cond)) => return Ok(skipped(cond)),
            Err(e) => return Ok(Attempt { early: true, ..Attempt::broken(e) }),
        }
        let (setting, delegate) = self.setting(&scope, None)?;
        let done = self.arguments(&scope).and_then(|(args, raw_args)| {
            Call { work: self, scope: &scope, setting: &setting, raw_args: &raw_args }.with_retries(args)
        });
        let mut out = done.unwrap_or_else(Attempt::broken);
        out.delegated_to = delegate;
        if out.data.contains_key("diff") && !setting.diff {
            out.data.shift_remove("diff");
        }
        Ok(out)
    }

    /// What the task would ask of its host, without asking; nothing if its conditions do not hold.
    pub fn plan(&self) -> Result<Option<Planned>> {
        let scope = self.runner.scope(&self.view);
        if first_false(self.runner, &self.task.when, &scope)?.is_some() {
            return Ok(None);
        }
        let note = Note::default();
        let (setting, _) = self.setting(&scope, Some(&note))?;
        if !super::ahead::pays(self.runner, &setting.remote.params) {
            return Err(Error::general("a round trip costs nothing on this connection"));
        }
        let (args, raw_args) = self.arguments(&scope)?;
        let _ = Call { work: self, scope: &scope, setting: &setting, raw_args: &raw_args }.once(args)?;
        let Some((request, payload)) = note.noted() else {
            return Err(Error::general("this task does not come down to one request"));
        };
        let Setting { remote: HostRemote { params, become_, .. }, .. } = setting;
        Ok(Some(Planned { params, become_, request, payload }))
    }

    /// The host to work on, how it is reached, and the task's modes.
    fn setting<'a>(&'a self, scope: &Scope, plan: Option<&'a Note>) -> Result<(Setting<'a>, Option<Delegate>)> {
        let r = self.runner;
        if let Some(e) = &self.task.bad {
            return Err(e.clone().with_kind(Kind::General));
        }
        self.keywords(scope)?;
        // a name that cannot be rendered fails the task before it does anything
        for n in self.task.notify.iter().filter(|n| n.needs_render()) {
            r.engine
                .render(n, scope)
                .map_err(|e| e.during("Error processing keyword 'notify'", super::runner::origin(n)))?;
        }
        let no_log = r.flag(&self.task.kw.no_log, scope, r.options.defaults.no_log, "no_log")?;
        let (host, remote_scope, delegated_to) = self.target(scope)?;
        let params = connection::params(r, &host, self.task, &remote_scope, delegated_to.is_some())?;
        let become_ = connection::escalation(r, self.task, &remote_scope, &params)?;
        let env = connection::environment(r, self.task, scope)?;
        let check = r.flag(&self.task.kw.check_mode, scope, r.options.check, "check_mode")?;
        let diff = r.flag(&self.task.kw.diff, scope, r.options.diff, "diff")?;
        let timeout =
            r.number(&self.task.kw.timeout, scope, "timeout")?.unwrap_or(r.options.defaults.task_timeout as i64);
        let mut hints = serde_json::Map::new();
        hints.insert("verbosity".into(), r.options.verbosity.into());
        if self.unseen() {
            hints.insert(crate::modules::UNSEEN.into(), true.into());
        }
        if let Some(python) = connection::python(r, &remote_scope) {
            hints.insert("python".into(), python.into());
        }
        let delegated = delegated_to.is_some();
        let connection = if params.connection == crate::transport::Connection::Ssh { "ssh" } else { "local" };
        let delegate = match delegated_to {
            Some(to) => {
                let named = self.delegate_view(&host).raw("ansible_host")?;
                let address = named.map(|v| r.engine.render(&v, &remote_scope)).transpose()?.map(|v| v.to_str());
                Some(Delegate {
                    address: address.filter(|a| *a != to),
                    host: to,
                    connection,
                    port: params.port,
                    user: params.user.clone(),
                })
            }
            None => None,
        };
        let task = Arc::as_ptr(self.task) as usize;
        let remote = HostRemote { runner: r, params, become_, env, no_log, hints, task, plan };
        Ok((Setting { remote, remote_scope, host, delegated, check, diff, timeout: timeout.max(0) as u64 }, delegate))
    }

    /// A keyword that cannot be rendered fails the task, whether it is of use to it or not.
    fn keywords(&self, scope: &Scope) -> Result<()> {
        let k = &self.task.kw;
        for (name, value) in [("any_errors_fatal", &k.any_errors_fatal), ("run_once", &k.run_once)] {
            self.runner.flag(value, scope, false, name)?;
        }
        let all = [
            ("become_exe", &k.become_exe),
            ("become_flags", &k.become_flags),
            ("become_method", &k.become_method),
            ("become_user", &k.become_user),
            ("connection", &k.connection),
            ("debugger", &k.debugger),
            ("delegate_facts", &k.delegate_facts),
            ("ignore_errors", &k.ignore_errors),
            ("ignore_unreachable", &k.ignore_unreachable),
            ("port", &k.port),
            ("remote_user", &k.remote_user),
        ];
        for (name, value) in all {
            if let Some(v) = value.as_ref().filter(|v| v.needs_render()) {
                let step = || format!("Error processing keyword '{name}'");
                self.runner.engine.render(v, scope).map_err(|e| e.during(step(), super::runner::origin(v)))?;
            }
        }
        Ok(())
    }

    /// Whether nobody will see all of the result if the task succeeds.
    fn unseen(&self) -> bool {
        let (o, t) = (&self.runner.options, self.task);
        let judged = !t.failed_when.is_empty() || !t.until.is_empty() || t.register.is_some();
        let asked = o.debugger || o.step || t.kw.debugger.is_some();
        !judged && !asked && o.told == 0 && !self.runner.sink.tells_all()
    }

    /// The host to work on, and the variables its connection is made from.
    fn target(&self, scope: &Scope) -> Result<(Arc<str>, Scope, Option<String>)> {
        let r = self.runner;
        let Some(name) = r.text(&self.task.kw.delegate_to, scope)? else {
            return Ok((self.view.host.clone(), scope.clone(), None));
        };
        if name.is_empty() {
            let written = self.task.kw.delegate_to.as_ref().map(Value::to_str).unwrap_or_default();
            if written.is_empty() {
                return Ok((self.view.host.clone(), scope.clone(), None));
            }
            return Err(
                Error::general(format!("Empty hostname produced from delegate_to: \"{written}\"")).at(self.task.span)
            );
        }
        let host: Arc<str> = name.as_str().into();
        let scope = r.scope(&self.delegate_view(&host));
        Ok((host, scope, Some(name)))
    }

    /// The variables of a host that the task is delegated to.
    fn delegate_view(&self, host: &Arc<str>) -> View {
        let mut view = View::new(&self.runner.store, host);
        view.play.clone_from(&self.view.play);
        view.task = Some(self.task.clone());
        view.locals.clone_from(&self.view.locals);
        view
    }

    /// Rendered arguments, module defaults below them; and the arguments as written.
    fn arguments(&self, scope: &Scope) -> Result<(Map, Map)> {
        let r = self.runner;
        let mut raw = Map::new();
        raw.extend(super::defaults::default_args(r, self.task, scope)?);
        if let Some(t) = &self.task.args_template {
            let at = super::runner::origin(t);
            r.warn(Error::template(SPLAT).at(at).in_full());
            match r.engine.render(t, scope)? {
                Value::Map(m) => raw.extend(m.iter().map(|(k, v)| (k.clone(), v.clone()))),
                v if crate::template::is_omit(&v) => {}
                other => {
                    return Err(Error::general(format!(
                        "Task args must resolve to a 'dict' not '{}'.",
                        other.type_name()
                    ))
                    .at(at)
                    .during(unfinished_step(self.task), Some(self.task.action_span)));
                }
            }
        }
        if self.task.args.contains_key("_raw_params") && !crate::playbook::free_form(&self.task.short).0 {
            return Err(Error::general(format!("Action '{}' does not support raw params.", full_name(self.task))));
        }
        raw.extend(self.task.args.iter().map(|(k, v)| (k.clone(), v.clone())));
        if let Some(a) = actions::find(&self.task.short).filter(|_| self.task.module_file.is_none())
            && a.raw
        {
            return Ok((Map::new(), raw));
        }
        let mut args = Map::with_capacity(raw.len());
        for (k, v) in &raw {
            let key = match k.as_str() {
                // names out of a template of all arguments are data, and no templates themselves
                Some(s)
                    if crate::value::has_delimiter(s)
                        && self.task.short == "set_fact"
                        && self.task.args.contains_key(k) =>
                {
                    let name = Value::trusted(s, Some(self.task.span));
                    let made = r.engine.render(&name, scope).map_err(|e| unfinished(e, self.task, s, &name))?;
                    Key::from_value(&made).unwrap_or_else(|| made.repr().into())
                }
                _ => k.clone(),
            };
            let rendered = r.engine.render(v, scope).map_err(|e| unfinished(e, self.task, &k.to_string(), v))?;
            if !crate::template::is_omit(&rendered) {
                args.insert(key, rendered);
            }
        }
        Ok((args, raw))
    }
}

/// An error of rendering the argument `key`, with the steps that lead to it.
/// What facts could bring in by their names.
const SPLAT: &str = "Using a template for task args is unsafe in some situations (see \
                     https://docs.ansible.com/ansible/devel/reference_appendices/faq.html#argsplat-unsafe).";

fn unfinished(e: Error, task: &Task, key: &str, value: &Value) -> Error {
    e.during(format!("Error while resolving value for '{key}'"), super::runner::origin(value))
        .during(unfinished_step(task), Some(task.action_span))
}

fn unfinished_step(task: &Task) -> String {
    format!("Finalization of task args for '{}' failed", full_name(task))
}

fn full_name(task: &Task) -> String {
    if task.short == task.action { format!("ansible.builtin.{}", task.short) } else { task.action.clone() }
}

pub fn skipped(cond: Value) -> Attempt {
    let mut m = Map::new();
    m.insert("changed".into(), false.into());
    m.insert("skipped".into(), true.into());
    m.insert("skip_reason".into(), "Conditional result was False".into());
    m.insert("false_condition".into(), cond);
    Attempt::of(m)
}

/// Where and how a task works: its host (or the one it is delegated to), modes, and limit in seconds (0 for none).
pub(super) struct Setting<'a> {
    pub(super) remote: HostRemote<'a>,
    /// Variables of the host that is connected to.
    pub(super) remote_scope: Scope,
    pub(super) host: Arc<str>,
    pub(super) delegated: bool,
    pub(super) check: bool,
    pub(super) diff: bool,
    pub(super) timeout: u64,
}

/// A call with its surroundings fixed; only the retries vary.
pub(super) struct Call<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) scope: &'a Scope,
    pub(super) setting: &'a Setting<'a>,
    pub(super) raw_args: &'a Map,
}

impl Call<'_> {
    fn with_retries(&self, args: Map) -> Result<Attempt> {
        let (r, t) = (self.work.runner, self.work.task);
        let has_until = !t.until.is_empty();
        let retries = match r.number(&t.retries, self.scope, "retries")? {
            Some(n) => n.max(0),
            None if has_until => 3,
            None => 0,
        };
        let delay = r.decimal(&t.delay, self.scope, "delay")?.unwrap_or(5.0);
        let tries = retries.saturating_add(1);
        // a single try is neither counted nor asked whether `until` holds
        let retrying = tries > 1;
        let mut n = 1;
        loop {
            let mut a = self.once(args.clone())?;
            if a.unreachable {
                return Ok(a);
            }
            if a.raised {
                a.complete();
                return Ok(a);
            }
            self.change_inventory(&mut a);
            if let Err((which, e)) = self.verdict(&mut a, n, retrying) {
                a.data.insert(which.into(), e.message().into());
                a.data.insert("failed".into(), true.into());
                a.word_failure();
                return Ok(a);
            }
            a.word_failure();
            if !retrying {
                return Ok(a);
            }
            a.data.insert("attempts".into(), Value::Int(n.into()));
            let done = match has_until.then(|| all(r, &t.until, &self.scope_with(&a.data))) {
                Some(Ok(done)) => done,
                Some(Err(e)) => return Ok(Attempt::failed(e)),
                None => !a.is("failed"),
            };
            if done {
                return Ok(a);
            }
            if n >= tries {
                a.data.insert("attempts".into(), Value::Int((n - 1).max(1).into()));
                // what never became true is not the module's failure
                a.by_module &= a.is("failed");
                a.data.insert("failed".into(), true.into());
                a.word_failure();
                return Ok(a);
            }
            a.data.insert("retries".into(), Value::Int(tries.into()));
            let result = self.shown(&a);
            r.emit(Event::Retry {
                task: self.work.info.clone(),
                result: Arc::new(result),
                left: tries - n,
                attempt: n,
                item: self.work.item.clone(),
            });
            std::thread::sleep(crate::seconds::fraction(delay));
            n += 1;
        }
    }

    /// Gives the inventory what the action has for it; only then it is known whether anything changed.
    /// An inventory that cannot be is nobody's failed task: it ends the run.
    fn change_inventory(&self, a: &mut Attempt) {
        for e in std::mem::take(&mut a.effects) {
            if matches!(e, Effect::AddHost { .. } | Effect::GroupBy { .. }) {
                match super::results::apply_early(self.work.runner, &self.work.view, &e) {
                    Ok(changed) => drop(a.data.insert("changed".into(), changed.unwrap_or(false).into())),
                    Err(e) => a.ends = Some(e),
                }
            } else {
                a.effects.push(e);
            }
        }
    }

    fn shown(&self, a: &Attempt) -> TaskResult {
        TaskResult {
            host: self.work.view.host.clone(),
            delegated_to: None,
            status: Status::Failed,
            ignored: false,
            data: a.data.clone(),
            item: self.work.item.clone(),
            no_log: self.setting.remote.no_log,
            verbose_always: false,
            diff: false,
            by_module: a.by_module,
            error: None,
        }
    }

    /// The scope in which `until`, `failed_when` and `changed_when` see the result.
    fn scope_with(&self, data: &Map) -> Scope {
        let mut locals = Map::new();
        if let Some(name) = &self.work.task.register {
            locals.insert(name.as_str().into(), Value::map(data.clone()));
        }
        let view = self.work.view.clone().with_locals(facts_in(data)).with_locals(locals);
        self.work.runner.scope(&view)
    }

    /// Applies `changed_when` and `failed_when`; an error comes with the result's key that tells it.
    fn verdict(&self, a: &mut Attempt, attempt: i64, retrying: bool) -> Result<(), (&'static str, Error)> {
        let (r, t) = (self.work.runner, self.work.task);
        a.complete();
        if retrying {
            a.data.insert("attempts".into(), Value::Int(attempt.into()));
        }
        if a.is("skipped") {
            return Ok(());
        }
        if t.changed_when.is_empty() && t.failed_when.is_empty() {
            return Ok(());
        }
        // what only the task's own conditions call a failure is not the module's
        a.by_module &= a.is("failed");
        if !t.changed_when.is_empty() {
            let changed = all(r, &t.changed_when, &self.scope_with(&a.data)).map_err(|e| ("changed_when_result", e))?;
            a.data.insert("changed".into(), changed.into());
        }
        if !t.failed_when.is_empty() {
            let failed = all(r, &t.failed_when, &self.scope_with(&a.data)).map_err(|e| ("failed_when_result", e))?;
            a.data.insert("failed_when_result".into(), failed.into());
            // an action of the controller says that it failed without raising anything
            if a.is("failed") && !failed && (a.by_module || a.error.is_some() || a.data.contains_key("_ansible_error"))
            {
                a.data.insert("failed_when_suppressed_exception".into(), "(traceback unavailable)".into());
            }
            a.data.insert("failed".into(), failed.into());
            if !failed {
                a.error = None;
            }
        }
        Ok(())
    }

    /// Runs the action or module one time.
    fn once(&self, args: Map) -> Result<Attempt> {
        let (r, t) = (self.work.runner, self.work.task);
        let asynchronous = r.number(&t.async_, self.scope, "async")?.unwrap_or(0);
        let mut action = false;
        let done = if asynchronous > 0 && !t.short.starts_with("async_status") {
            self.asynchronous(args, asynchronous)
        } else if let Some(a) = actions::find(&t.short).filter(|_| t.module_file.is_none()) {
            action = true;
            self.action(a, args)
        } else {
            self.module(args)
        };
        match done {
            Ok(d) => Ok(Attempt {
                data: d.data,
                effects: d.effects,
                unreachable: false,
                verbose_always: d.verbose_always,
                by_module: d.by_module,
                error: d.error,
                delegated_to: None,
                ends: None,
                early: false,
                raised: false,
            }),
            Err(ActionError::Failed(e)) => Ok(Attempt { raised: action, ..Attempt::failed(e) }),
            Err(ActionError::Raised(e)) => {
                let msg = format!("Task failed: {}", e.message());
                let mut a = Attempt::failed(e);
                a.data.insert("msg".into(), msg.into());
                a.raised = action;
                Ok(a)
            }
            Err(ActionError::Unfinished(e)) => Err(e),
            Err(ActionError::Call(CallError::Unreachable(m))) => {
                let mut data = Map::new();
                data.insert("changed".into(), false.into());
                data.insert("unreachable".into(), true.into());
                data.insert("msg".into(), format!("Task failed: {m}").into());
                Ok(Attempt { unreachable: true, error: Some(Error::general(m)), ..Attempt::of(data) })
            }
            Err(ActionError::Call(e @ CallError::Timeout(_))) => {
                let mut a = Attempt::failed(Error::general(e.to_string()));
                a.data.insert("msg".into(), format!("Task failed: {e}").into());
                let mut td = Map::new();
                td.insert("period".into(), Value::Int(self.setting.timeout.into()));
                a.data.insert("timedout".into(), Value::map(td));
                Ok(a)
            }
            Err(ActionError::Call(e)) => {
                let mut a = Attempt::failed(Error::general(e.to_string()));
                a.data.insert("msg".into(), format!("Task failed: {e}").into());
                Ok(a)
            }
        }
    }

    fn action(&self, a: &actions::Action, args: Map) -> actions::ActionResult {
        let r = self.work.runner;
        let read = |p: &camino::Utf8Path| r.read_file(p);
        let show = |s: String| r.emit(Event::Display(s));
        let mut ctx = ActionCtx {
            name: &self.work.task.short,
            written: &self.work.task.action,
            args,
            raw_args: self.raw_args,
            engine: &r.engine,
            scope: self.scope,
            host: &self.setting.host,
            delegated: self.setting.delegated,
            check: self.setting.check,
            diff: self.setting.diff,
            verbosity: r.options.verbosity,
            unseen: self.work.unseen(),
            remote: &self.setting.remote,
            read_file: &read,
            display: &show,
            timeout: self.setting.timeout,
            task_name: self.work.info.label.clone(),
            task_span: self.work.task.span,
        };
        (a.run)(&mut ctx).map_err(|e| match e {
            // debug renders its own arguments
            ActionError::Failed(e)
                if a.name == "debug" && matches!(e.kind(), Kind::Template | Kind::Undefined | Kind::Vault) =>
            {
                match self.raw_args.get("msg") {
                    Some(v) => ActionError::Unfinished(unfinished(e, self.work.task, "msg", v)),
                    None => {
                        let at = self.raw_args.get("var").and_then(super::runner::origin);
                        ActionError::Unfinished(e.during("Error while resolving `var` expression", at))
                    }
                }
            }
            other => other,
        })
    }
}

/// Facts of a result under the names in which later expressions of the same task see them.
fn facts_in(data: &Map) -> Map {
    match data.get("ansible_facts") {
        Some(Value::Map(m)) => (**m).clone(),
        _ => Map::new(),
    }
}
