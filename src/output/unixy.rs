//! Short texts: the callbacks `unixy` and `dense`.

use super::default::{host_of, shown};
use super::print;
use super::style::Style;
use super::{Screen, messages};
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json;
use crate::value::Value;
use camino::Utf8Path;
use indexmap::IndexMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// `unixy`: a line for each result with its outcome, message and output.
pub struct Unixy {
    screen: Screen,
    /// The task whose heading stands last.
    heading: Mutex<Option<usize>>,
}

impl Unixy {
    pub fn new(screen: Screen) -> Unixy {
        Unixy { screen, heading: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }

    fn heading(&self, t: &TaskInfo) {
        let before = self.heading.lock().unwrap_or_else(|e| e.into_inner()).replace(t.id);
        if before != Some(t.id) {
            let kind = if t.is_handler { " (via handler)" } else { "" };
            let check = if t.check && self.screen.check_mode_markers { " (check mode)" } else { "" };
            self.line(&format!("{}{kind}{check}...", t.name), Style::Plain);
        }
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        if t.loops && r.item.is_none() && r.data.contains_key("results") {
            return;
        }
        self.heading(t);
        let (word, style) = outcome(r.status);
        if (r.status == Status::Skipped && !self.screen.display_skipped_hosts)
            || (r.status == Status::Ok && !self.screen.display_ok_hosts)
        {
            return;
        }
        let mut text = format!("  {} {word}", host_of(r));
        if let (Some(i), false) = (&r.item, r.no_log) {
            text.push_str(&format!(" | item: {i}"));
        }
        let m = shown(r, &t.action, self.screen.verbosity);
        if self.screen.verbosity > 0 || r.verbose_always && !m.contains_key("msg") {
            text.push_str(&format!(" => {}", py_json(&Value::map(m))));
        } else {
            for k in ["msg", "stdout", "stderr"] {
                let part = m.get(k).map(Value::to_str).unwrap_or_default();
                if !part.is_empty() && part != "All items completed" {
                    text.push_str(&format!(" | {k}: {part}"));
                }
            }
        }
        let failed = matches!(r.status, Status::Failed | Status::Unreachable);
        if failed && self.screen.display_failed_stderr {
            print::err(&text, style, self.screen.color);
        } else {
            self.line(&text, style);
        }
    }

    fn stats(&self, hosts: &IndexMap<Arc<str>, Counts>) {
        self.line("- Play recap -", Style::Plain);
        for (h, c) in sorted(hosts) {
            let text = format!(
                "  {h:<26} : ok={:<4} changed={:<4} unreachable={:<4} failed={:<4} rescued={:<4} ignored={:<4}",
                c.ok, c.changed, c.unreachable, c.failed, c.rescued, c.ignored
            );
            self.line(&text, host_style(c));
        }
    }
}

/// `ok`, `done`, … and the colour.
fn outcome(s: Status) -> (&'static str, Style) {
    match s {
        Status::Ok => ("ok", Style::Ok),
        Status::Changed => ("done", Style::Changed),
        Status::Skipped => ("skipped", Style::Skip),
        Status::Failed => ("failed", Style::Error),
        Status::Unreachable => ("unreachable", Style::Unreachable),
    }
}

pub(super) fn sorted(hosts: &IndexMap<Arc<str>, Counts>) -> Vec<(&Arc<str>, &Counts)> {
    let mut all: Vec<_> = hosts.iter().collect();
    all.sort_by(|a, b| a.0.cmp(b.0));
    all
}

/// A host's colour in a recap.
pub(super) fn host_style(c: &Counts) -> Style {
    if c.failed + c.unreachable > 0 {
        Style::Error
    } else if c.changed > 0 {
        Style::Changed
    } else {
        Style::Ok
    }
}

impl Sink for Unixy {
    fn event(&self, e: Event) {
        match e {
            Event::PlaybookStart { path, .. } => {
                let name = Utf8Path::new(&path).file_name().unwrap_or(&path).to_string();
                self.line(&format!("Executing playbook {name}"), Style::Plain);
            }
            Event::PlayStart { name, hosts, check, .. } => {
                let check = if check && self.screen.check_mode_markers { " (in check mode)" } else { "" };
                let hosts = hosts.iter().map(|h| &**h).collect::<Vec<_>>().join(", ");
                self.line(&format!("\n- {} on hosts: {hosts}{check} -", name.trim()), Style::Plain);
            }
            Event::NoHostsMatched => self.line("  No hosts found!", Style::Debug),
            Event::NoHostsRemaining => self.line("  Ran out of hosts!", Style::Error),
            Event::TaskStart(t) => self.heading(&t),
            Event::Item { task, result } | Event::Result { task, result } => self.result(&task, &result),
            Event::Retry { task, result, left, .. } => {
                let text = format!("  Retrying... ({left} retries left) {}: {}", host_of(&result), task.name);
                self.line(&text, Style::Debug);
            }
            Event::Included { path, hosts, .. } => {
                let hosts = hosts.iter().map(|h| &**h).collect::<Vec<_>>().join(", ");
                self.line(&format!("  included: {path} for {hosts}"), Style::Skip);
            }
            Event::Stats { hosts, .. } => self.stats(&hosts),
            e => messages(e, &self.screen),
        }
    }
}

/// `dense`: a line for each task that grows as hosts answer; what changed or failed stays.
pub struct Dense {
    screen: Screen,
    live: bool,
    state: Mutex<DenseState>,
}

#[derive(Default)]
struct DenseState {
    plays: usize,
    tasks: usize,
    title: String,
    hosts: Vec<(String, Style)>,
    keep: bool,
}

impl Dense {
    pub fn new(screen: Screen) -> Dense {
        use std::io::IsTerminal;
        Dense { screen, live: std::io::stdout().is_terminal(), state: Mutex::default() }
    }

    fn text(&self, s: &DenseState) -> String {
        let hosts: Vec<String> = s.hosts.iter().map(|(h, style)| style.paint(h, self.screen.color)).collect();
        format!("task {}: {} {}", s.tasks, s.title, hosts.join(" ")).trim_end().to_string()
    }

    /// Ends the task's line: it stays, or the next one takes its place.
    fn close(&self, s: &mut DenseState) {
        if s.title.is_empty() {
            return;
        }
        let text = self.text(s);
        if !self.live {
            print::out(&text, Style::Plain, false);
        } else if s.keep {
            println!();
        } else {
            print!("\r\x1b[K");
        }
        s.title.clear();
        s.hosts.clear();
        s.keep = false;
    }

    fn add(&self, t: &TaskInfo, r: &TaskResult) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let (_, style) = outcome(r.status);
        let detail = match r.status {
            Status::Failed | Status::Unreachable => {
                let m = shown(r, &t.action, self.screen.verbosity);
                Some(m.get("msg").map(Value::to_str).unwrap_or_else(|| py_json(&Value::map(m))))
            }
            _ if r.verbose_always => {
                let m = shown(r, &t.action, self.screen.verbosity);
                m.get("msg").map(Value::to_str)
            }
            _ => None,
        };
        s.keep |= r.status != Status::Ok && r.status != Status::Skipped || detail.is_some();
        s.hosts.push((host_of(r), style));
        if let Some(d) = detail {
            let (word, _) = outcome(r.status);
            let line = format!("  {}: {word}: {d}", host_of(r));
            if self.live {
                print!("\r\x1b[K");
            }
            print::out(&line, style, self.screen.color);
        }
        if self.live {
            print!("\r\x1b[K{}", self.text(&s));
            let _ = std::io::stdout().flush();
        }
    }
}

impl Sink for Dense {
    fn event(&self, e: Event) {
        match e {
            Event::PlayStart { name, .. } => {
                let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                self.close(&mut s);
                s.plays += 1;
                s.tasks = 0;
                print::out(&format!("PLAY {}: {}", s.plays, name.trim().to_uppercase()), Style::Plain, false);
            }
            Event::TaskStart(t) => {
                let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                self.close(&mut s);
                s.tasks += 1;
                s.title = t.label.clone();
                if self.live {
                    print!("{}", self.text(&s));
                    let _ = std::io::stdout().flush();
                }
            }
            Event::Result { task, result } => self.add(&task, &result),
            Event::Item { task, result } if matches!(result.status, Status::Failed) => self.add(&task, &result),
            Event::Item { .. } => {}
            Event::Stats { hosts, .. } => {
                self.close(&mut self.state.lock().unwrap_or_else(|e| e.into_inner()));
                print::out("SUMMARY", Style::Plain, false);
                for (h, c) in sorted(&hosts) {
                    let text = format!(
                        "{h:<26} : ok={:<4} changed={:<4} unreachable={:<4} failed={:<4} skipped={:<4} rescued={:<4} ignored={:<4}",
                        c.ok, c.changed, c.unreachable, c.failed, c.skipped, c.rescued, c.ignored
                    );
                    print::out(&text, host_style(c), self.screen.color);
                }
            }
            e => messages(e, &self.screen),
        }
    }
}
