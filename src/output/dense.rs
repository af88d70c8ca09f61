//! The callback `dense`: a line for each task that grows as hosts answer; what changed or failed stays.

use super::default::{host_of, shown};
use super::print;
use super::style::Style;
use super::unixy::{host_style, sorted};
use super::{Screen, messages};
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json;
use crate::value::Value;
use std::io::Write;
use std::sync::Mutex;

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
