//! Ansible's default text, after the `default` callback's documented output.

use super::dump::dump;
use super::report::failure_text;
use super::style::Style;
use super::{Layout, Screen, diff, messages, print};
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json_indent;
use crate::value::{Map, Value};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// The default renderer.
pub struct DefaultText {
    screen: Screen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: bool,
    /// The task whose banner stands last.
    banner: Option<usize>,
    /// The errors that were told: Ansible tells the same one once.
    told: HashSet<String>,
}

impl DefaultText {
    pub fn new(screen: Screen) -> DefaultText {
        DefaultText { screen, state: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }
    fn failed_line(&self, text: &str, style: Style) {
        if self.screen.display_failed_stderr {
            print::err(text, style, self.screen.color);
        } else {
            self.line(text, style);
        }
    }

    pub(super) fn banner(&self, text: &str) {
        let text = text.trim();
        let width: usize = text.chars().filter_map(unicode_width::UnicodeWidthChar::width).sum();
        let stars = self.screen.columns.saturating_sub(width).max(3);
        self.line(&format!("\n{text} {}", "*".repeat(stars)), Style::Plain);
    }

    fn dry_run(&self) {
        if self.screen.check && self.screen.check_mode_markers {
            self.banner("DRY RUN");
        }
    }

    fn task_banner(&self, t: &TaskInfo) {
        let prefix = if t.is_handler { "RUNNING HANDLER" } else { "TASK" };
        let mut args = String::new();
        if self.screen.display_args_to_stdout && !t.no_log {
            let list: Vec<String> = t.args.iter().map(|(k, v)| format!("{k}={}", v.to_str())).collect();
            args = format!(" {}", list.join(", "));
        }
        let check = if self.screen.check_mode_markers && t.check { " [CHECK MODE]" } else { "" };
        self.banner(&format!("{prefix} [{}{args}]{check}", t.label.trim()));
        if self.screen.verbosity >= 2 {
            let (line, _) = t.span.line_col();
            self.line(&format!("task path: {}:{line}", t.span.file()), Style::Debug);
        }
    }

    fn failure_path(&self, t: &TaskInfo) {
        if self.screen.show_task_path_on_failure && self.screen.verbosity < 2 {
            let (line, _) = t.span.line_col();
            self.line(&format!("task path: {}:{line}", t.span.file()), Style::Debug);
        }
    }

    /// With strategies that do not keep step, the banner comes with the first result.
    fn late_banner(&self, t: &TaskInfo) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if s.banner != Some(t.id) {
            s.banner = Some(t.id);
            drop(s);
            self.task_banner(t);
        }
    }

    fn verbose(&self, r: &TaskResult) -> bool {
        let hidden = !r.no_log && r.data.contains_key("_ansible_verbose_override");
        (self.screen.verbosity > 0 || r.verbose_always && !r.no_log) && !hidden
    }

    fn dump(&self, r: &TaskResult, action: &str) -> String {
        self.written(shown(r, action, self.screen.verbosity), r)
    }

    /// A result's keys in the format of the options.
    fn written(&self, m: Map, r: &TaskResult) -> String {
        dump(m, r.verbose_always && !r.no_log, &self.screen)
    }

    /// True if the options hide the result.
    fn hidden(&self, s: Status) -> bool {
        (s == Status::Ok && !self.screen.display_ok_hosts)
            || (s == Status::Skipped && !self.screen.display_skipped_hosts)
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let item_results = t.loops && r.data.contains_key("results");
        if r.diff && !item_results {
            self.diff(t, r);
        }
        if self.hidden(r.status) {
            return;
        }
        self.late_banner(t);
        let host = host_of(r);
        match r.status {
            Status::Ok | Status::Changed => {
                let (word, style) =
                    if r.status == Status::Changed { ("changed", Style::Changed) } else { ("ok", Style::Ok) };
                if item_results {
                    return;
                }
                let mut text = format!("{word}: [{host}]");
                if self.verbose(r) {
                    text.push_str(&format!(" => {}", self.dump(r, &t.action)));
                }
                self.line(&text, style);
            }
            Status::Skipped => {
                let mut text = format!("skipping: [{}]", r.host);
                if self.verbose(r) {
                    text.push_str(&format!(" => {}", self.dump(r, &t.action)));
                }
                self.line(&text, Style::Skip);
            }
            Status::Failed => {
                if !item_results {
                    self.error(t, r);
                    self.failure_path(t);
                    self.failed_line(&format!("fatal: [{host}]: FAILED! => {}", self.dump(r, &t.action)), Style::Error);
                }
                // debug alone sums its loop up
                if item_results && is_debug(&t.action) {
                    self.failure_path(t);
                    let sum = Map::from_iter([("msg".into(), r.get("msg").cloned().unwrap_or_default())]);
                    self.failed_line(&format!("fatal: [{host}]: FAILED! => {}", self.written(sum, r)), Style::Error);
                }
                if r.ignored {
                    self.line("...ignoring", Style::Skip);
                }
            }
            Status::Unreachable => {
                if !item_results {
                    self.error(t, r);
                }
                self.failed_line(
                    &format!("fatal: [{host}]: UNREACHABLE! => {}", self.dump(r, &t.action)),
                    Style::Unreachable,
                );
                if r.ignored {
                    self.line("...ignoring", Style::Skip);
                }
            }
        }
    }

    /// The failure with its place, once for all hosts and items that fail the same way.
    fn error(&self, t: &TaskInfo, r: &TaskResult) {
        let Some(text) = failure_text(t, r) else { return };
        if !self.state.lock().unwrap_or_else(|e| e.into_inner()).told.insert(text.clone()) {
            return;
        }
        self.failed_line(text.strip_suffix('\n').unwrap_or(&text), Style::Error);
    }

    pub(super) fn diff(&self, t: &TaskInfo, r: &TaskResult) {
        if r.no_log || !r.get("changed").is_some_and(Value::truthy) {
            return;
        }
        if let Some(d) = r.get("diff").filter(|d| d.truthy()) {
            let text = diff::show(d, self.screen.diff_context, self.screen.color);
            if !text.is_empty() {
                self.late_banner(t);
                self.line(text.strip_suffix('\n').unwrap_or(&text), Style::Plain);
            }
        }
    }

    fn item(&self, t: &TaskInfo, r: &TaskResult) {
        if r.diff {
            self.diff(t, r);
        }
        if self.hidden(r.status) {
            return;
        }
        self.late_banner(t);
        let host = host_of(r);
        let label = if r.no_log { "(censored due to no_log)".into() } else { r.item.clone().unwrap_or_default() };
        let dump = || self.dump(r, &t.action);
        match r.status {
            Status::Ok | Status::Changed => {
                let (word, style) =
                    if r.status == Status::Changed { ("changed", Style::Changed) } else { ("ok", Style::Ok) };
                let more = if self.verbose(r) { format!(" => {}", dump()) } else { String::new() };
                self.line(&format!("{word}: [{host}] => (item={label}){more}"), style);
            }
            Status::Skipped => {
                let more = if self.verbose(r) { format!(" => {}", dump()) } else { String::new() };
                self.line(&format!("skipping: [{}] => (item={label}) {more}", r.host), Style::Skip);
            }
            Status::Failed => {
                self.error(t, r);
                self.failed_line(&format!("failed: [{host}] (item={label}) => {}", dump()), Style::Error);
            }
            Status::Unreachable => {
                self.error(t, r);
                self.failed_line(&format!("failed: [{host}] (item={label}) => {}", dump()), Style::Error);
            }
        }
    }

    /// The recap, with or without a column for what was skipped.
    pub(super) fn stats(
        &self,
        hosts: &indexmap::IndexMap<Arc<str>, Counts>,
        custom: &indexmap::IndexMap<String, Map>,
        skipped: bool,
    ) {
        self.banner("PLAY RECAP");
        let mut names: Vec<_> = hosts.iter().collect();
        names.sort_by(|a, b| a.0.cmp(b.0));
        for (h, c) in names {
            self.line(&recap_line(h, c, self.screen.color, skipped), Style::Plain);
        }
        self.line("", Style::Plain);
        self.custom_stats(custom);
    }

    /// Custom statistics are JSON with an indentation of 1 (or the callback's own layout) whose line ends were taken out.
    fn stats_text(&self, m: &Map) -> String {
        let text = match self.screen.layout {
            Layout::Options => py_json_indent(&Value::map(m.clone()), 1),
            _ => dump(m.clone(), true, &self.screen),
        };
        text.replace('\n', "")
    }

    /// What `set_stats` gathered, if it is to be shown.
    pub(super) fn custom_stats(&self, custom: &indexmap::IndexMap<String, Map>) {
        if self.screen.show_custom_stats && !custom.is_empty() {
            self.banner("CUSTOM STATS: ");
            for (k, m) in custom {
                if k != "_run" {
                    self.line(&format!("\t{k}: {}", self.stats_text(m)), Style::Plain);
                }
            }
            if let Some(m) = custom.get("_run") {
                self.line("", Style::Plain);
                self.line(&format!("\tRUN: {}", self.stats_text(m)), Style::Plain);
            }
            self.line("", Style::Plain);
        }
    }
}

/// The host, and the one that did the work for it.
pub(super) fn host_of(r: &TaskResult) -> String {
    match &r.delegated_to {
        Some(d) if d.host != *r.host => match &d.address {
            Some(a) => format!("{} -> {}({a})", r.host, d.host),
            None => format!("{} -> {}", r.host, d.host),
        },
        _ => r.host.to_string(),
    }
}

fn is_debug(action: &str) -> bool {
    action.rsplit('.').next() == Some("debug")
}

/// A host's line of the recap.
pub(super) fn recap_line(h: &str, c: &Counts, color: bool, skipped: bool) -> String {
    let host = if color { format!("{:<37}", super::unixy::host_style(c).paint(h, true)) } else { format!("{h:<26}") };
    let cells = [
        ("ok", c.ok, Style::Ok),
        ("changed", c.changed, Style::Changed),
        ("unreachable", c.unreachable, Style::Unreachable),
        ("failed", c.failed, Style::Error),
        ("skipped", c.skipped, Style::Skip),
        ("rescued", c.rescued, Style::Ok),
        ("ignored", c.ignored, Style::Warn),
    ];
    let cells = cells.into_iter().filter(|(name, ..)| skipped || *name != "skipped").map(|(name, n, style)| {
        let s = format!("{name}={n:<4}");
        if n > 0 { style.paint(&s, color) } else { s }
    });
    format!("{host} : {}", cells.collect::<Vec<_>>().join(" "))
}

/// The keys of a result that the text shows.
pub fn shown(r: &TaskResult, action: &str, verbosity: u8) -> Map {
    let debug = is_debug(action);
    if r.no_log {
        let mut m = Map::new();
        m.insert(
            "censored".into(),
            "the output has been hidden due to the fact that 'no_log: true' was specified for this result".into(),
        );
        for k in ["changed", "attempts", "retries"] {
            if let Some(v) = r.get(k).filter(|_| !(debug && k == "changed")) {
                m.insert(k.into(), v.clone());
            }
        }
        return m;
    }
    // debug shows its message and nothing else
    let message = r.data.contains_key("msg");
    r.data
        .iter()
        .filter(|(k, _)| {
            let k = k.as_str().unwrap_or_default();
            !(k.starts_with("_ansible_")
                || matches!(k, "failed" | "skipped")
                || (k == "invocation" && (verbosity < 3 || debug))
                || (k == "diff" && verbosity < 3)
                || (k == "exception" && verbosity < 3)
                || (matches!(k, "warnings" | "deprecations"))
                || (k == "results" && r.status == Status::Skipped)
                || (debug
                    && if message { k != "msg" } else { matches!(k, "changed" | "skip_reason" | "ansible_loop_var") }))
        })
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

impl Sink for DefaultText {
    fn tells_all(&self) -> bool {
        self.screen.verbosity > 0
    }
    fn event(&self, e: Event) {
        match e {
            Event::PlaybookStart { ref path, .. } => {
                self.dry_run();
                if self.screen.verbosity > 1 {
                    let name = camino::Utf8Path::new(path).file_name().unwrap_or(path).to_string();
                    self.banner(&format!("PLAYBOOK: {name}"));
                }
                messages(e, &self.screen);
            }
            Event::PlayStart { name, check, free, .. } => {
                {
                    let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                    s.free = free;
                    s.banner = None;
                }
                let check = if self.screen.check_mode_markers && check { " [CHECK MODE]" } else { "" };
                let name = name.trim();
                self.banner(&if name.is_empty() { format!("PLAY{check}") } else { format!("PLAY [{name}]{check}") });
            }
            Event::NoHostsMatched => self.line("skipping: no hosts matched", Style::Skip),
            Event::NoHostsRemaining => self.banner("NO MORE HOSTS LEFT"),
            Event::TaskStart(t) => {
                let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                // what may be hidden gets its heading with the first result that is shown
                if !s.free && self.screen.display_ok_hosts && self.screen.display_skipped_hosts {
                    s.banner = Some(t.id);
                    drop(s);
                    self.task_banner(&t);
                }
            }
            Event::HostStart { task, host } => {
                if self.screen.show_per_host_start {
                    let kind = if task.is_handler { "HANDLER" } else { "TASK" };
                    self.line(&format!(" [started {kind}: {} on {host}]", task.label), Style::Plain);
                }
            }
            // of an include is told what it brings
            Event::Item { task, result } | Event::Result { task, result }
                if task.includes() && result.status == Status::Ok => {}
            Event::Item { task, result } => self.item(&task, &result),
            Event::Result { task, result } => self.result(&task, &result),
            Event::Retry { task, result, left, .. } => {
                self.late_banner(&task);
                let mut text =
                    format!("FAILED - RETRYING: [{}]: {} ({left} retries left).", host_of(&result), task.label);
                if self.screen.verbosity > 2 {
                    text.push_str(&format!("Result was: {}", self.dump(&result, &task.action)));
                }
                self.line(&text, Style::Debug);
            }
            Event::AsyncPoll { host, jid, started, .. } => {
                let (started, finished) = if started { ("True", "False") } else { ("False", "True") };
                let text = format!("ASYNC POLL on {host}: jid={jid} started={started} finished={finished}");
                self.line(&text, Style::Debug);
            }
            Event::AsyncEnd { host, jid, failed } => {
                let word = if failed { "FAILED" } else { "OK" };
                self.line(&format!("ASYNC {word} on {host}: jid={jid}"), Style::Debug);
            }
            Event::Included { task, path, hosts, item } => {
                self.late_banner(&task);
                let names: Vec<&str> = hosts.iter().map(|h| &**h).collect();
                let item = item.map(|i| format!(" => (item={i})")).unwrap_or_default();
                self.line(&format!("included: {path} for {}{item}", names.join(", ")), Style::Skip);
            }
            Event::Notified { handler, host } => {
                if self.screen.verbosity > 1 {
                    self.line(&format!("NOTIFIED HANDLER {handler} for {host}"), Style::Verbose);
                }
            }
            Event::Stats { hosts, custom, .. } => {
                self.stats(&hosts, &custom, true);
                self.dry_run();
            }
            e => messages(e, &self.screen),
        }
    }
}
