//! What took how long: the callbacks `profile_tasks`, `profile_roles` and `timer`.

use super::Screen;
use super::print;
use super::style::Style;
use crate::executor::{Event, Sink, TaskInfo};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Task,
    Role,
}

/// `profile_tasks` and `profile_roles`: a line of times at each task, a table at the end.
pub struct Profile {
    by: By,
    screen: Screen,
    options: Options,
    state: Mutex<State>,
}

/// The callback's options, from the environment or its section of ansible.cfg.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of the table; `None` is all.
    pub limit: Option<usize>,
    /// `descending`, `ascending` or `none` (in the order of running).
    pub order: String,
    pub summary_only: bool,
}

struct State {
    began: Instant,
    last: Instant,
    current: Option<usize>,
    rows: Vec<(String, Duration, usize)>,
}

impl Profile {
    pub fn new(by: By, screen: Screen, options: Options) -> Profile {
        let now = Instant::now();
        Profile { by, screen, options, state: Mutex::new(State { began: now, last: now, current: None, rows: vec![] }) }
    }

    fn line(&self, text: &str) {
        print::out(text, Style::Plain, self.screen.color);
    }

    /// Ends the task that runs, and tells the time.
    fn stamp(&self, s: &mut State, told: bool) {
        let now = Instant::now();
        let since = now - s.last;
        if let Some((_, d, _)) = s.current.and_then(|i| s.rows.get_mut(i)) {
            *d += since;
        }
        s.last = now;
        if told {
            let date = jiff::Zoned::now().strftime("%A %d %B %Y  %H:%M:%S %z").to_string();
            let text = format!("{date} ({})       {}", clock(since), clock(now - s.began));
            self.line(&filled(&text, '*'));
        }
    }

    fn begin(&self, t: &TaskInfo) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        self.stamp(&mut s, !self.options.summary_only);
        let (name, id) = match self.by {
            By::Task => (t.label.clone(), t.id),
            By::Role => (t.role.clone().unwrap_or_else(|| t.action.clone()), 0),
        };
        let known = s.rows.iter().position(|(n, _, i)| *n == name && *i == id);
        let at = known.unwrap_or_else(|| {
            s.rows.push((name, Duration::ZERO, id));
            s.rows.len() - 1
        });
        s.current = Some(at);
    }

    fn summary(&self) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        banner(if self.by == By::Task { "TASKS RECAP" } else { "ROLES RECAP" }, &self.screen);
        self.stamp(&mut s, true);
        s.current = None;
        let mut rows = s.rows.clone();
        match self.options.order.as_str() {
            "none" => {}
            "ascending" => rows.sort_by_key(|r| r.1),
            _ => rows.sort_by_key(|r| std::cmp::Reverse(r.1)),
        }
        self.line(&filled("", '='));
        for (name, d, _) in rows.iter().take(self.options.limit.unwrap_or(usize::MAX)) {
            self.line(&row(name, *d));
        }
        if self.by == By::Role {
            self.line(&filled("", '~'));
            self.line(&row("total", rows.iter().map(|r| r.1).sum()));
        }
    }
}

/// A heading with a blank line above it, as wide as the screen.
fn banner(name: &str, screen: &Screen) {
    let stars = screen.columns.saturating_sub(name.len()).max(3);
    print::out(&format!("\n{name} {}", "*".repeat(stars)), Style::Plain, screen.color);
}

fn clock(d: Duration) -> String {
    let s = d.as_secs();
    format!("{}:{:02}:{:02}.{:03}", s / 3600, s / 60 % 60, s % 60, d.subsec_millis())
}

fn filled(text: &str, with: char) -> String {
    let text = if text.is_empty() { String::new() } else { format!("{text} ") };
    let n = 79usize.saturating_sub(text.chars().count()).max(3);
    format!("{text}{} ", with.to_string().repeat(n))
}

fn row(name: &str, d: Duration) -> String {
    let seconds = format!(" {:.2}s", d.as_secs_f64());
    format!("{:-<70}{seconds:->9}", format!("{name} "))
}

impl Sink for Profile {
    fn tells_all(&self) -> bool {
        false
    }
    fn event(&self, e: Event) {
        match e {
            Event::TaskStart(t) => self.begin(&t),
            Event::Stats { .. } => self.summary(),
            _ => {}
        }
    }
}

/// `timer`: how long the run took.
pub struct Timer {
    began: Instant,
    screen: Screen,
}

impl Timer {
    pub fn new(screen: Screen) -> Timer {
        Timer { began: Instant::now(), screen }
    }
}

impl Sink for Timer {
    fn tells_all(&self) -> bool {
        false
    }
    fn event(&self, e: Event) {
        if let Event::Stats { .. } = e {
            let s = self.began.elapsed().as_secs();
            banner("PLAYBOOK RECAP", &self.screen);
            // the carriage return is ansible.posix's own
            let text = format!(
                "Playbook run took {} days, {} hours, {} minutes, {} seconds\n\r",
                s / 86400,
                s / 3600 % 24,
                s / 60 % 60,
                s % 60
            );
            print::out(&text, Style::Plain, self.screen.color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(clock(Duration::from_millis(3_723_045)), "1:02:03.045");
        let r = row("install : packages", Duration::from_millis(1500));
        assert!(r.starts_with("install : packages ---") && r.ends_with("--- 1.50s"), "{r}");
        assert_eq!(r.len(), 79);
        assert_eq!(filled("", '=').len(), 80);
    }
}
