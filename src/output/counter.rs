//! The callback `counter_enabled`: tasks and hosts with their numbers.

use super::default::{DefaultText, host_of, shown};
use super::dump::dump;
use super::report::failure_text;
use super::style::Style;
use super::{Screen, messages, print};
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::value::Map;
use std::collections::HashSet;
use std::sync::Mutex;

/// The renderer, after community.general's: items of loops and diffs are not shown, nor what handlers are called.
pub struct Counter {
    screen: Screen,
    default: DefaultText,
    state: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    tasks: usize,
    task: usize,
    hosts: usize,
    host: usize,
    /// Hosts of the batches before, and with this one.
    before: usize,
    so_far: usize,
    /// The errors that were told: the same one is told once.
    told: HashSet<String>,
}

impl Counter {
    pub fn new(screen: Screen) -> Counter {
        Counter { default: DefaultText::new(screen.clone()), screen, state: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }

    fn written(&self, m: Map, r: &TaskResult) -> String {
        dump(m, r.verbose_always && !r.no_log, &self.screen)
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let (host, hosts) = {
            let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
            s.host += 1;
            (s.host, s.hosts)
        };
        if t.includes() && r.status == Status::Ok {
            return;
        }
        let sum = t.loops && r.data.contains_key("results");
        let debug = t.action.rsplit('.').next() == Some("debug");
        let at = format!("{host}/{hosts} [{}]", host_of(r));
        let all = || self.written(shown(r, &t.action, self.screen.verbosity), r);
        let more = || {
            let hidden = !r.no_log && r.data.contains_key("_ansible_verbose_override");
            let wanted = (self.screen.verbosity > 0 || r.verbose_always && !r.no_log) && !hidden;
            if wanted { format!(" => {}", all()) } else { String::new() }
        };
        match r.status {
            Status::Ok | Status::Changed if sum => {}
            Status::Skipped if sum && !debug => {}
            Status::Skipped if !self.screen.display_skipped_hosts => {}
            Status::Ok => self.line(&format!("ok: {at}{}", more()), Style::Ok),
            Status::Changed => self.line(&format!("changed: {at}{}", more()), Style::Changed),
            Status::Skipped => self.line(&format!("skipping: {at}{}", more()), Style::Skip),
            Status::Unreachable => {
                self.line(&format!("fatal: {at}: UNREACHABLE! => {}", all()), Style::Unreachable);
            }
            Status::Failed => {
                if !sum {
                    self.error(t, r);
                    self.line(&format!("fatal: {at}: FAILED! => {}", all()), Style::Error);
                } else if debug {
                    let m = Map::from_iter([("msg".into(), r.get("msg").cloned().unwrap_or_default())]);
                    self.line(&format!("fatal: {at}: FAILED! => {}", self.written(m, r)), Style::Error);
                }
                if r.ignored {
                    self.line("...ignoring", Style::Skip);
                }
            }
        }
    }

    fn error(&self, t: &TaskInfo, r: &TaskResult) {
        let Some(text) = failure_text(t, r) else { return };
        if self.state.lock().unwrap_or_else(|e| e.into_inner()).told.insert(text.clone()) {
            self.line(text.strip_suffix('\n').unwrap_or(&text), Style::Error);
        }
    }
}

impl Sink for Counter {
    fn event(&self, e: Event) {
        match e {
            Event::PlayStart { all, batch, tasks, .. } => {
                {
                    let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                    s.before = s.so_far;
                    s.so_far += batch;
                    (s.tasks, s.task, s.hosts, s.host) = (tasks, 0, all, s.before);
                }
                self.default.event(e);
            }
            Event::TaskStart(t) if !t.is_handler => {
                let (task, tasks) = {
                    let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                    s.task += 1;
                    s.host = s.before;
                    (s.task, s.tasks)
                };
                self.default.banner(&format!("TASK {task}/{tasks} [{}]", t.label.trim()));
            }
            Event::Result { task, result } => self.result(&task, &result),
            Event::Stats { hosts, custom, .. } => self.default.stats(&hosts, &custom, false),
            Event::TaskStart(_)
            | Event::Item { .. }
            | Event::Retry { .. }
            | Event::Included { .. }
            | Event::NoHostsMatched => {}
            Event::HostStart { .. } | Event::NoHostsRemaining | Event::AsyncPoll { .. } | Event::AsyncEnd { .. } => {
                self.default.event(e);
            }
            e => messages(e, &self.screen),
        }
    }
}
