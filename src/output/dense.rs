//! The callback `dense`: one line of the terminal that each result writes anew; what changed or failed stays above it.
//!
//! The output is community.general's, byte for byte, into a file too: the line is written at a place that the
//! terminal keeps, so every change of it begins with a return to that place.

use super::default::{DefaultText, recap_line, shown};
use super::dump::dump;
use super::minimal::raised;
use super::unixy::sorted;
use super::{Screen, messages};
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::value::{Map, Value};
use indexmap::IndexMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

const RESET: &str = "\x1b[0;0m";
const BOLD: &str = "\x1b[1m";
const UNDERLINE: &str = "\x1b[4m";
/// To the place that was kept.
const BACK: &str = "\x1b[u\x1b[0;0m";
const CLEAR_LINE: &str = "\x1b[2K";
/// The place is where the cursor is; the line is empty.
const KEEP_PLACE: &str = "\x1b[s\x1b[2K";
const NO_WRAP: &str = "\x1b[7l";
const WRAP: &str = "\x1b[7h";
const WHITE_ON_RED: &str = "\x1b[1;37m\x1b[41m";

/// What a host's name is painted with; a later state takes the place of those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Skipped,
    Ok,
    Changed,
    Ignored,
    Failed,
    Unreachable,
}

impl State {
    fn of(r: &TaskResult) -> State {
        match r.status {
            Status::Ok => State::Ok,
            Status::Changed => State::Changed,
            Status::Skipped => State::Skipped,
            Status::Failed if r.ignored => State::Ignored,
            Status::Failed => State::Failed,
            Status::Unreachable => State::Unreachable,
        }
    }
    fn word(self) -> &'static str {
        match self {
            State::Skipped => "skipped",
            State::Ok => "ok",
            State::Changed => "changed",
            State::Ignored => "ignored",
            State::Failed => "failed",
            State::Unreachable => "unreachable",
        }
    }
    fn color(self) -> &'static str {
        match self {
            State::Skipped => "\x1b[0;36m",
            State::Ok => "\x1b[0;32m",
            State::Changed => "\x1b[0;33m",
            State::Ignored => "\x1b[46m\x1b[1;31m",
            State::Failed => "\x1b[0;31m",
            State::Unreachable => "\x1b[1;31m",
        }
    }
}

/// The renderer, after community.general's.
pub struct Dense {
    screen: Screen,
    default: DefaultText,
    state: Mutex<Line>,
}

/// The line that is being written, and what it counts.
#[derive(Default)]
struct Line {
    begun: bool,
    ended: bool,
    plays: usize,
    tasks: usize,
    handlers: usize,
    /// `task 3`, without an end.
    head: String,
    /// The title stands above the line.
    titled: bool,
    /// The line stays when the next task begins.
    keep: bool,
    /// Each host's state, with the address of the host that does the work for it.
    hosts: IndexMap<Arc<str>, (State, Option<String>)>,
}

impl Line {
    /// Back to the place: below the line if it is to stay, else upon it.
    fn leave(&mut self, quiet: bool, clear: bool) -> String {
        let stays = quiet && self.keep;
        self.keep = false;
        match (stays, clear) {
            (true, _) => next_line(),
            (false, true) => format!("{BACK}{CLEAR_LINE}"),
            (false, false) => BACK.into(),
        }
    }
}

/// Makes the line permanent and begins one below it.
fn next_line() -> String {
    format!("{BACK}\n{KEEP_PLACE}")
}

/// Writes it as it is; a closed pipe ends the output alone.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|_| out.flush());
}

/// The host that does the work, as the line names it.
fn delegate(r: &TaskResult) -> Option<String> {
    r.delegated_to.as_ref().map(|d| d.address.clone().unwrap_or_else(|| d.host.clone()))
}

impl Dense {
    pub fn new(screen: Screen) -> Dense {
        Dense { default: DefaultText::new(screen.clone()), screen, state: Mutex::default() }
    }

    fn quiet(&self) -> bool {
        self.screen.verbosity == 0
    }

    /// The line with all hosts that have answered.
    fn progress(s: &Line) -> String {
        let mut text = format!("{BACK}{CLEAR_LINE}{NO_WRAP}{UNDERLINE}{}:{RESET}", s.head);
        for (name, (state, by)) in &s.hosts {
            let by = by.as_ref().map(|b| format!("{b}>")).unwrap_or_default();
            let _ = write!(text, " {by}{}{name}{RESET}", state.color());
        }
        text + WRAP
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let sum = t.loops && r.item.is_none() && r.data.contains_key("results");
        if r.diff && matches!(r.status, Status::Ok | Status::Changed) && (r.item.is_some() || r.get("diff").is_some()) {
            put(BOLD);
            if !sum {
                self.default.diff(t, r);
            }
            put(RESET);
        }
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let state = State::of(r);
        let entry = s.hosts.entry(r.host.clone()).or_insert((state, None));
        // a failure that is ignored is said once, whatever other items do
        let told = entry.0 == State::Ignored && r.item.is_none() && state == State::Ignored && sum;
        entry.0 = entry.0.max(state);
        if let Some(d) = delegate(r) {
            entry.1 = Some(d);
        }
        if told {
            return;
        }
        let mut text = Self::progress(&s);
        if matches!(state, State::Changed | State::Failed | State::Unreachable) {
            s.keep = true;
            if self.screen.verbosity == 1 {
                s.keep = false;
                if s.titled {
                    text += &format!("{BACK}{CLEAR_LINE}");
                } else {
                    s.titled = true;
                    text += &format!("{BACK}{CLEAR_LINE}{UNDERLINE}{}: {}{}", s.head, t.label.trim(), next_line());
                }
                text += &format!("{BACK}{CLEAR_LINE}");
                if !sum {
                    text += &self.details(r, state);
                }
            }
        }
        put(&text);
    }

    /// A result below its task's title.
    fn details(&self, r: &TaskResult, state: State) -> String {
        let what = match state {
            State::Failed if raised(r) => {
                "An exception occurred during task execution. To see the full traceback, use -vvv.".into()
            }
            State::Unreachable if !r.no_log => r.get("msg").map(Value::to_str).unwrap_or_default(),
            _ => dump(essence(shown(r, "", self.screen.verbosity)), r.verbose_always && !r.no_log, &self.screen),
        };
        let who = match delegate(r) {
            Some(d) => format!("{RESET}{}>{}{d}", r.host, state.color()),
            None => r.host.to_string(),
        };
        format!("{}{}: {who}: {what}\n{RESET}{KEEP_PLACE}", state.color(), state.word())
    }

    fn end(&self) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if s.begun && !s.ended {
            s.ended = true;
            put(&next_line());
        }
    }
}

/// A result without what tells little: times, repetitions, and whatever is empty.
fn essence(m: Map) -> Map {
    m.into_iter()
        .filter(|(k, v)| {
            let little = ["delta", "end", "start", "stdout_lines", "failed_when_result", "invocation", "exception"];
            let empty = match v {
                Value::Str(_) | Value::List(_) | Value::Map(_) => !v.truthy(),
                _ => false,
            };
            !empty && !little.contains(&k.as_str().unwrap_or_default())
        })
        .collect()
}

impl Sink for Dense {
    fn tells_all(&self) -> bool {
        self.screen.verbosity > 0
    }

    fn event(&self, e: Event) {
        let lock = || self.state.lock().unwrap_or_else(|e| e.into_inner());
        {
            let mut s = lock();
            if !s.begun {
                s.begun = true;
                put(&format!("{RESET}{KEEP_PLACE}"));
            }
        }
        match e {
            Event::PlayStart { name, .. } => {
                let mut s = lock();
                let left = s.leave(self.quiet(), true);
                s.plays += 1;
                (s.tasks, s.handlers) = (0, 0);
                let name = if name.trim().is_empty() { "unnamed" } else { name.trim() }.to_uppercase();
                put(&format!("{left}{BOLD}PLAY {}: {name}{}", s.plays, next_line()));
            }
            Event::TaskStart(t) => {
                let mut s = lock();
                // what the task before has shown stays in sight until the first host has answered
                let left = s.leave(self.quiet(), t.is_handler);
                s.titled = false;
                s.hosts.clear();
                let counts = usize::from(t.label != "setup");
                s.head = if t.is_handler {
                    s.handlers += counts;
                    format!("handler {}", s.handlers)
                } else {
                    s.tasks += counts;
                    format!("task {}", s.tasks)
                };
                put(&format!("{left}{UNDERLINE}{}.{RESET}", s.head));
            }
            Event::Item { task, result } | Event::Result { task, result } => self.result(&task, &result),
            Event::Included { .. } => {}
            Event::NoHostsRemaining => {
                let left = lock().leave(self.quiet(), true);
                put(&format!("{left}{WHITE_ON_RED}NO MORE HOSTS LEFT{}", next_line()));
            }
            Event::Stats { hosts, last, .. } => {
                let mut text = lock().leave(self.quiet(), true);
                if !self.quiet() {
                    text += &format!("{BOLD}{UNDERLINE}SUMMARY{}", next_line());
                    for (h, c) in sorted(&hosts) {
                        text += &format!("{}\n", recap_line(h, c, self.screen.color, false));
                    }
                }
                put(&text);
                if last {
                    self.end();
                }
            }
            Event::NoHostsMatched | Event::HostStart { .. } | Event::Retry { .. } | Event::Notified { .. } => {
                self.default.event(e);
            }
            Event::AsyncPoll { .. } | Event::AsyncEnd { .. } => self.default.event(e),
            e => messages(e, &self.screen),
        }
    }
}

impl Drop for Dense {
    /// A run that breaks off leaves the cursor below the line, too.
    fn drop(&mut self) {
        self.end();
    }
}
