//! What one attempt of a task gave, and the verdict that its data stand for.

use super::event::{Delegate, Status};
use crate::actions::Effect;
use crate::diag::{Error, Kind};
use crate::value::{Map, Value};

/// What one attempt of a task (one item of it) gave.
pub struct Attempt {
    pub data: Map,
    pub effects: Vec<Effect>,
    pub unreachable: bool,
    pub verbose_always: bool,
    pub error: Option<Error>,
    /// The result is a module's, not an action's of the controller.
    pub by_module: bool,
    pub delegated_to: Option<Delegate>,
    /// What ends the run, not the task alone.
    pub ends: Option<Error>,
    /// It failed before the task's keywords were rendered: those with templates count as true.
    pub early: bool,
    /// The action broke off: neither `failed_when` nor `changed_when` nor `until` judges it.
    pub raised: bool,
}

impl Attempt {
    pub fn of(data: Map) -> Attempt {
        Attempt {
            data,
            effects: vec![],
            unreachable: false,
            verbose_always: false,
            by_module: false,
            error: None,
            delegated_to: None,
            ends: None,
            early: false,
            raised: false,
        }
    }
    pub fn failed(e: Error) -> Attempt {
        let mut data = Map::new();
        data.insert("changed".into(), false.into());
        data.insert("failed".into(), true.into());
        let rendering = matches!(e.kind(), Kind::Template | Kind::Undefined | Kind::Vault);
        let msg = if rendering { format!("Task failed: {}", e.message()) } else { e.message().to_string() };
        data.insert("msg".into(), msg.into());
        Attempt { error: Some(e), ..Attempt::of(data) }
    }
    /// A task that could not begin: its conditions, loop or arguments have an error.
    pub fn broken(e: Error) -> Attempt {
        let mut data = Map::new();
        data.insert("failed".into(), true.into());
        data.insert("msg".into(), format!("Task failed: {}", e.message()).into());
        Attempt { error: Some(e), ..Attempt::of(data) }
    }
    /// A loop that cannot be evaluated: as [`Attempt::broken`], without "Task failed".
    pub fn without_items(e: Error) -> Attempt {
        if e.kind() == Kind::Undefined {
            return Attempt { early: true, ..Attempt::broken(e) };
        }
        let mut data = Map::new();
        data.insert("failed".into(), true.into());
        data.insert("msg".into(), e.message().into());
        Attempt { error: Some(e.bare()), early: true, ..Attempt::of(data) }
    }
    /// Adds what every result has.
    pub fn complete(&mut self) {
        complete(&mut self.data, self.by_module);
    }
    /// A failure without a message gets ansible-core's words for it.
    pub fn word_failure(&mut self) {
        if self.is("failed") && !self.data.contains_key("msg") {
            let who = if self.by_module { "Module" } else { "Action" };
            self.data.insert("msg".into(), format!("Task failed: {who} failed: Unknown error.").into());
        }
    }
    /// The item's label cannot be rendered: that is the item's failure, unless its conditions have judged it already.
    /// What it failed of before is still told, this is not.
    pub fn unlabelled(&mut self, e: &Error) {
        if self.error.is_none() {
            if self.is("failed") {
                let who = if self.by_module { "Module failed" } else { "Action failed" };
                let msg = self.data.get("msg").map(Value::to_str).unwrap_or_default();
                self.error = Some(match msg.strip_prefix("Task failed: ") {
                    Some(whole) => Error::general(whole),
                    None => Error::general(msg).context(who),
                });
            } else {
                self.data.insert(super::results::UNRAISED.into(), true.into());
            }
        }
        self.data.insert("msg".into(), format!("Failed to template loop_control.label: {}", e.message()).into());
        if !self.data.contains_key("failed_when_result") {
            self.data.insert("failed".into(), true.into());
        }
    }
    pub fn is(&self, key: &str) -> bool {
        self.data.get(key).is_some_and(|v| v.to_bool_loose().unwrap_or(false))
    }
}

/// Adds what Ansible adds to every result: `changed`, `failed`, the lines of a module's outputs.
fn complete(data: &mut Map, by_module: bool) {
    for k in ["stdout", "stderr"] {
        let lines = format!("{k}_lines");
        if let Some(Value::Str(s)) = data.get(k).filter(|_| by_module)
            && !data.contains_key(lines.as_str())
        {
            let l: Vec<Value> = crate::pylines::lines(&s.text).into_iter().map(Value::plain).collect();
            data.insert(lines.into(), Value::list(l));
        }
    }
    let rc_failed = data.get("rc").and_then(Value::as_int).is_some_and(|r| r != 0);
    // what a condition kept from running has no verdict
    if !data.contains_key("failed") && !data.contains_key("skip_reason") {
        data.insert("failed".into(), rc_failed.into());
    }
    if !data.contains_key("changed") {
        data.insert("changed".into(), false.into());
    }
}

/// What `failed_when` decided counts, of a loop that of any item, whatever else went wrong; without it `failed`.
fn failed(data: &Map) -> bool {
    const JUDGED: &str = "failed_when_result";
    // the words of an error count as a failure, too
    let verdict = |m: &Map| m.get(JUDGED).is_some_and(Value::truthy);
    if data.contains_key(JUDGED) {
        return verdict(data);
    }
    let items = data.get("results").and_then(Value::as_list).unwrap_or_default();
    let mut judged = items.iter().filter_map(Value::as_map).filter(|i| i.contains_key(JUDGED)).peekable();
    let loose = |v: &Value| v.to_bool_loose().unwrap_or(false);
    if judged.peek().is_some() { judged.any(verdict) } else { data.get("failed").is_some_and(loose) }
}

/// The status a result stands for.
pub fn status(data: &Map, unreachable: bool) -> Status {
    let is = |k: &str| data.get(k).is_some_and(|v| v.to_bool_loose().unwrap_or(false));
    if unreachable {
        Status::Unreachable
    } else if failed(data) {
        Status::Failed
    } else if is("skipped") {
        Status::Skipped
    } else if is("changed") {
        Status::Changed
    } else {
        Status::Ok
    }
}
