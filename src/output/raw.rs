//! Results as callbacks in Python see them: with the engine's own keys (`_ansible_…`).

use crate::executor::{Event, Status, TaskInfo, TaskResult};
use crate::value::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What stands for a result that nobody may see.
pub const CENSORED: &str =
    "the output has been hidden due to the fact that 'no_log: true' was specified for this result";

/// Keys that are this engine's alone.
const OWN: [&str; 4] = ["_ansible_error", "_ansible_cause", "_ansible_warned", "_ansible_hint"];

/// The result of a task or an item; `items` are those of a loop that it sums up.
pub fn raw(r: &TaskResult, items: &[Arc<TaskResult>]) -> Map {
    let sum = r.item.is_none() && r.data.contains_key("results");
    let mut m = Map::new();
    let truthy = |k: &str| r.get(k).is_some_and(Value::truthy);
    if r.no_log {
        m.insert("censored".into(), CENSORED.into());
        m.insert("_ansible_no_log".into(), true.into());
        for k in ["changed", "attempts", "retries"] {
            if let Some(v) = r.get(k) {
                m.insert(k.into(), v.clone());
            }
        }
    } else {
        m.extend(
            r.data
                .iter()
                .filter(|(k, _)| !k.as_str().is_some_and(|k| OWN.contains(&k)))
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        if !sum {
            m.insert("_ansible_no_log".into(), false.into());
        }
        if r.verbose_always && r.status != Status::Skipped {
            m.insert("_ansible_verbose_always".into(), true.into());
        }
        if let Some(d) = &r.delegated_to {
            let text = |v: &str| Value::plain(v);
            m.insert(
                "_ansible_delegated_vars".into(),
                Value::map(Map::from_iter([
                    ("ansible_connection".into(), text(d.connection)),
                    ("ansible_host".into(), text(d.address.as_ref().unwrap_or(&d.host))),
                    ("ansible_port".into(), d.port.map_or(Value::Null, |p| Value::Int(p.into()))),
                    ("ansible_user".into(), d.user.as_deref().map_or(Value::Null, text)),
                ])),
            );
        }
    }
    if sum {
        let all = r.get("results").and_then(Value::as_list).unwrap_or_default();
        let all = if items.is_empty() && !r.no_log {
            all.to_vec()
        } else {
            items.iter().map(|i| Value::map(raw(i, &[]))).collect()
        };
        m.insert("results".into(), Value::list(all));
    }
    if matches!(r.status, Status::Failed | Status::Unreachable) && !sum {
        m.entry("exception".into()).or_insert_with(|| "(traceback unavailable)".into());
    }
    if r.status == Status::Failed {
        m.insert("failed".into(), true.into());
    } else if r.item.is_none() || r.status == Status::Unreachable || r.no_log {
        m.shift_remove("failed");
    }
    if truthy("skipped") {
        m.insert("skipped".into(), true.into());
    } else {
        m.shift_remove("skipped");
    }
    m
}

/// Keeps the items of loops until their sum comes.
#[derive(Default)]
pub struct Items(Mutex<HashMap<(usize, Arc<str>), Vec<Arc<TaskResult>>>>);

impl Items {
    /// Takes note of an item.
    pub fn keep(&self, task: &TaskInfo, item: &Arc<TaskResult>) {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        all.entry((task.id, item.host.clone())).or_default().push(item.clone());
    }

    /// The whole result of a task on a host, with its items.
    pub fn whole(&self, task: &TaskInfo, r: &TaskResult) -> Map {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let items = all.remove(&(task.id, r.host.clone())).unwrap_or_default();
        drop(all);
        raw(r, &items)
    }

    /// Takes note of the event if it is an item's.
    pub fn see(&self, e: &Event) {
        if let Event::Item { task, result } = e {
            self.keep(task, result);
        }
    }
}
