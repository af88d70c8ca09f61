//! A run as data: one JSON or YAML document at the end, or one JSON object a line as things happen.

use super::Screen;
use super::default::shown;
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::value::Value;
use crate::yaml;
use serde_json::{Map, Value as Json, json};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// How the data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Yaml,
}

/// Renders events as data. The document has `plays` (with `play`, `tasks`; a task has `task`, `hosts`),
/// `stats` and `custom_stats`, as Ansible's `json` callback lays them out.
pub struct Document {
    format: Format,
    screen: Screen,
    plays: Mutex<Vec<Json>>,
}

fn word(s: Status) -> &'static str {
    match s {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

impl Document {
    pub fn new(format: Format, screen: Screen) -> Document {
        Document { format, screen, plays: Mutex::default() }
    }

    fn emit(&self, v: Json) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{v}");
    }

    fn result(t: &TaskInfo, r: &TaskResult) -> Json {
        let mut m = match Value::map(shown(r, &t.action, 3)).to_json() {
            Json::Object(o) => o,
            _ => Map::new(),
        };
        m.insert("action".into(), t.action.as_str().into());
        if r.status == Status::Failed {
            m.insert("failed".into(), true.into());
        }
        if r.status == Status::Skipped {
            m.insert("skipped".into(), true.into());
        }
        if r.ignored {
            m.insert("ignored".into(), true.into());
        }
        Json::Object(m)
    }

    fn line(&self, e: &Event) -> Option<Json> {
        let task = |t: &TaskInfo| json!({"id": t.id, "name": t.label, "action": t.action, "path": t.span.show(), "handler": t.is_handler});
        let ended = |kind: &str, t: &Arc<TaskInfo>, r: &Arc<TaskResult>| {
            json!({"event": kind, "time": now(), "task": task(t), "host": &*r.host, "delegated_to": r.delegated_to.as_ref().map(|d| &d.host), "status": word(r.status),
                   "ignored": r.ignored, "item": if r.no_log { None } else { r.item.clone() }, "result": Document::result(t, r)})
        };
        Some(match e {
            Event::PlaybookStart { path, plays, .. } => {
                json!({"event": "playbook_start", "time": now(), "path": path, "plays": plays})
            }
            Event::PlayStart { name, hosts, check, .. } => {
                json!({"event": "play_start", "time": now(), "name": name, "hosts": hosts, "check": check})
            }
            Event::NoHostsMatched => json!({"event": "no_hosts_matched", "time": now()}),
            Event::NoHostsRemaining => json!({"event": "no_hosts_remaining", "time": now()}),
            Event::TaskStart(t) => json!({"event": "task_start", "time": now(), "task": task(t)}),
            Event::HostStart { task: t, host } => {
                json!({"event": "host_start", "time": now(), "task": task(t), "host": host})
            }
            Event::Item { task: t, result } => ended("item", t, result),
            Event::Result { task: t, result } => ended("result", t, result),
            Event::Retry { task: t, result, left, attempt, .. } => {
                json!({"event": "retry", "time": now(), "task": task(t), "host": &*result.host, "attempt": attempt, "left": left})
            }
            Event::AsyncPoll { task: t, host, jid, started, left } => {
                json!({"event": "async_poll", "time": now(), "task": task(t), "host": host, "jid": jid, "finished": !started, "left": left})
            }
            Event::AsyncEnd { host, jid, failed } => {
                json!({"event": "async_end", "time": now(), "host": host, "jid": jid, "failed": failed})
            }
            Event::Included { path, hosts, item, .. } => {
                json!({"event": "included", "time": now(), "path": path, "hosts": hosts, "item": item})
            }
            Event::NotificationSaved { handler, host } => {
                json!({"event": "notification", "time": now(), "handler": handler, "host": host})
            }
            Event::Notified { handler, host } => {
                json!({"event": "notified", "time": now(), "handler": handler, "host": host})
            }
            Event::Display(t) => json!({"event": "display", "time": now(), "text": t}),
            Event::Warning(t) => json!({"event": "warning", "time": now(), "text": t}),
            Event::Deprecation(t) => json!({"event": "deprecation", "time": now(), "text": t}),
            Event::Verbose { level, text } => {
                if *level > self.screen.verbosity {
                    return None;
                }
                json!({"event": "verbose", "time": now(), "level": level, "text": text})
            }
            Event::Error(e) => {
                json!({"event": "error", "time": now(), "text": e.message(), "place": e.span().map(|s| s.show()), "help": e.help_text()})
            }
            Event::Stats { hosts, custom, .. } => {
                json!({"event": "stats", "time": now(), "stats": stats(hosts), "custom_stats": custom_stats(custom)})
            }
        })
    }

    fn gather(&self, e: Event) {
        let mut plays = self.plays.lock().unwrap_or_else(|e| e.into_inner());
        match e {
            Event::PlayStart { name, .. } => {
                plays.push(json!({"play": {"name": name, "duration": {"start": now()}}, "tasks": []}));
            }
            Event::TaskStart(t) => {
                if let Some(tasks) = plays.last_mut().and_then(|p| p["tasks"].as_array_mut()) {
                    tasks.push(json!({"task": {"id": t.id, "name": t.label, "path": t.span.show(), "duration": {"start": now()}}, "hosts": {}}));
                }
            }
            Event::Result { task, result } => {
                let tasks = plays.last_mut().and_then(|p| p["tasks"].as_array_mut());
                if let Some(t) = tasks.and_then(|l| l.iter_mut().rev().find(|t| t["task"]["id"] == task.id)) {
                    t["hosts"][&*result.host] = Document::result(&task, &result);
                    t["task"]["duration"]["end"] = now().into();
                }
            }
            // standard output holds the document alone
            Event::Display(_) | Event::Verbose { .. } => {}
            Event::Stats { hosts, custom, last: true } => {
                let doc = json!({"plays": std::mem::take(&mut *plays), "stats": stats(&hosts), "custom_stats": custom_stats(&custom), "global_custom_stats": {}});
                if self.format == Format::Json {
                    let text = serde_json::to_string_pretty(&doc).unwrap_or_default();
                    let _ = writeln!(std::io::stdout().lock(), "{text}");
                } else {
                    let _ =
                        write!(std::io::stdout().lock(), "{}", yaml::emit(&Value::from_json(doc), &Default::default()));
                }
            }
            e => super::messages(e, &self.screen),
        }
    }
}

fn stats(hosts: &indexmap::IndexMap<Arc<str>, crate::executor::Counts>) -> Json {
    let mut m = Map::new();
    for (h, c) in hosts {
        m.insert(
            h.to_string(),
            json!({"ok": c.ok, "changed": c.changed, "unreachable": c.unreachable, "failures": c.failed, "skipped": c.skipped, "rescued": c.rescued, "ignored": c.ignored}),
        );
    }
    Json::Object(m)
}

fn custom_stats(custom: &indexmap::IndexMap<String, crate::value::Map>) -> Json {
    Json::Object(custom.iter().map(|(k, v)| (k.clone(), Value::map(v.clone()).to_json())).collect())
}

impl Sink for Document {
    fn event(&self, e: Event) {
        // of an include is told what it brings
        if let Event::Item { task, result } | Event::Result { task, result } = &e
            && task.includes()
            && result.status == Status::Ok
        {
            return;
        }
        if self.format != Format::Ndjson {
            return self.gather(e);
        }
        if let Some(j) = self.line(&e) {
            self.emit(j);
        }
    }
}
