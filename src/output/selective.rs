//! The callbacks `selective` (tasks tagged `print_action`, and what fails) and `counter_enabled` (tasks and
//! hosts with their numbers).

use super::default::{DefaultText, host_of, shown};
use super::diff;
use super::print;
use super::style::Style;
use super::unixy::{host_style, sorted};
use super::{Screen, messages};
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json;
use crate::value::Value;
use indexmap::IndexMap;
use std::sync::{Arc, Mutex};

const WIDTH: usize = 120;

/// `selective`.
pub struct Selective {
    screen: Screen,
    /// The task whose heading stands last.
    heading: Mutex<Option<usize>>,
}

impl Selective {
    pub fn new(screen: Screen) -> Selective {
        Selective { screen, heading: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }

    fn heading(&self, id: usize, title: &str) {
        if self.heading.lock().unwrap_or_else(|e| e.into_inner()).replace(id) != Some(id) {
            let text = format!("# {title} ");
            self.line(&format!("{text}{}", "*".repeat(WIDTH.saturating_sub(text.chars().count()))), Style::Plain);
        }
    }

    fn wanted(&self, t: &TaskInfo, r: &TaskResult) -> bool {
        self.screen.verbosity > 1
            || t.tags.iter().any(|t| t == "print_action")
            || matches!(r.status, Status::Failed | Status::Unreachable)
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        if !self.wanted(t, r) {
            return;
        }
        self.heading(t.id, &t.label);
        let m = shown(r, &t.action, self.screen.verbosity);
        let text = |k: &str| m.get(k).map(Value::to_str).unwrap_or_default();
        let indent = if r.item.is_some() { 4 } else { 0 };
        let name = match &r.item {
            Some(_) if r.no_log => "(censored due to no_log)".to_string(),
            Some(i) => i.clone(),
            None => host_of(r),
        };
        let (word, style) = match r.status {
            Status::Failed | Status::Unreachable => ("FAILED!!!".to_string(), Style::Error),
            Status::Skipped => ("skipped".to_string(), Style::Skip),
            Status::Changed => ("changed=True".to_string(), Style::Changed),
            Status::Ok => ("changed=False".to_string(), Style::Ok),
        };
        let gap = 40usize.saturating_sub(name.chars().count() + indent);
        let mut line = format!("{}  * {name}{}- {word}", " ".repeat(indent), " ".repeat(gap));
        let msg = if r.no_log { text("censored") } else { text("msg") };
        if !msg.is_empty() && msg.chars().count() < 50 && !msg.contains('\n') {
            line.push_str(&format!(" -- {msg}"));
        }
        let rest = WIDTH.saturating_sub(line.chars().count() + 1);
        self.line(&format!("{line} {}", "-".repeat(rest)), style);
        let more = |t: &str, style| {
            if !t.trim().is_empty() {
                let lines: Vec<String> = t.lines().map(|l| format!("{}{l}", " ".repeat(indent + 4))).collect();
                self.line(&lines.join("\n"), style);
            }
        };
        if msg.chars().count() >= 50 || msg.contains('\n') {
            more(&msg, style);
        }
        if let (Some(d), false) = (r.get("diff"), r.no_log) {
            more(&diff::show(d, self.screen.diff_context, self.screen.color), Style::Plain);
        }
        if matches!(r.status, Status::Failed | Status::Unreachable) || self.screen.verbosity > 0 {
            more(&text("stdout"), style);
            more(&text("stderr"), style);
        }
    }

    fn stats(&self, hosts: &IndexMap<Arc<str>, Counts>) {
        self.line("", Style::Plain);
        self.heading(usize::MAX, "STATS");
        for (h, c) in sorted(hosts) {
            let text = format!(
                "{h}    : ok={}\tchanged={}\tfailed={}\tunreachable={}\trescued={}\tignored={}",
                c.ok, c.changed, c.failed, c.unreachable, c.rescued, c.ignored
            );
            self.line(&text, host_style(c));
        }
    }
}

impl Sink for Selective {
    fn event(&self, e: Event) {
        match e {
            Event::Item { task, result } => self.result(&task, &result),
            Event::Result { task, result } => {
                if !(task.loops && result.data.contains_key("results")) {
                    self.result(&task, &result);
                }
            }
            Event::Stats { hosts, .. } => self.stats(&hosts),
            e => messages(e, &self.screen),
        }
    }
}

/// `counter_enabled`: as the default text, with the numbers of tasks and hosts.
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
}

impl Counter {
    pub fn new(screen: Screen) -> Counter {
        Counter { default: DefaultText::new(screen.clone()), screen, state: Mutex::default() }
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let (host, hosts) = {
            let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
            s.host += 1;
            (s.host, s.hosts)
        };
        let sums_up = t.loops && r.data.contains_key("results");
        let (word, style) = match r.status {
            Status::Ok => ("ok", Style::Ok),
            Status::Changed => ("changed", Style::Changed),
            Status::Skipped => ("skipping", Style::Skip),
            Status::Failed | Status::Unreachable => ("fatal", Style::Error),
        };
        if (r.status == Status::Ok && !self.screen.display_ok_hosts)
            || (r.status == Status::Skipped && !self.screen.display_skipped_hosts)
        {
            return;
        }
        if r.diff && !r.no_log {
            let text = r.get("diff").map(|d| diff::show(d, self.screen.diff_context, self.screen.color));
            if let Some(t) = text.filter(|t| !t.is_empty()) {
                print::out(t.trim_end_matches('\n'), Style::Plain, self.screen.color);
            }
        }
        let mut text = format!("{word}: {host}/{hosts} [{}]", host_of(r));
        let m = py_json(&Value::map(shown(r, &t.action, self.screen.verbosity)));
        match r.status {
            Status::Failed if !sums_up => text.push_str(&format!(": FAILED! => {m}")),
            Status::Unreachable => text.push_str(&format!(": UNREACHABLE! => {m}")),
            _ if self.screen.verbosity > 0 || r.verbose_always => text.push_str(&format!(" => {m}")),
            _ => {}
        }
        print::out(&text, style, self.screen.color);
        if r.ignored {
            print::out("...ignoring", Style::Skip, self.screen.color);
        }
    }
}

impl Sink for Counter {
    fn event(&self, e: Event) {
        match e {
            Event::PlayStart { ref hosts, tasks, .. } => {
                *self.state.lock().unwrap_or_else(|e| e.into_inner()) =
                    Count { tasks, task: 0, hosts: hosts.len(), host: 0 };
                self.default.event(e);
            }
            Event::TaskStart(t) => {
                let (task, tasks) = {
                    let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                    s.task += 1;
                    s.host = 0;
                    // handlers and includes come on top of what the play lists
                    s.tasks = s.tasks.max(s.task);
                    (s.task, s.tasks)
                };
                let kind = if t.is_handler { "RUNNING HANDLER" } else { "TASK" };
                let title = format!("{kind} {task}/{tasks} [{}]", t.label);
                let stars = self.screen.columns.saturating_sub(title.chars().count()).max(3);
                print::out(&format!("\n{title} {}", "*".repeat(stars)), Style::Plain, false);
            }
            Event::Result { task, result } => self.result(&task, &result),
            e => self.default.event(e),
        }
    }
}
