//! The callback `unixy`: a line for each result with its outcome, message and output, as at a system's start.

use super::default::{DefaultText, host_of, recap_line, shown};
use super::dump::dump;
use super::print;
use super::report::failure_text;
use super::style::Style;
use super::{Screen, diff, messages};
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::value::{Map, Value};
use camino::Utf8Path;
use indexmap::IndexMap;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// The renderer, after community.general's.
pub struct Unixy {
    screen: Screen,
    default: DefaultText,
    /// The errors that were told: the same one is told once.
    told: Mutex<HashSet<String>>,
}

impl Unixy {
    pub fn new(screen: Screen) -> Unixy {
        Unixy { default: DefaultText::new(screen.clone()), screen, told: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }

    fn heading(&self, t: &TaskInfo) {
        let label = t.label.trim();
        let name = label.rsplit(" : ").next().unwrap_or(label);
        // of an include is told what it brings
        if label == name && name.starts_with("include") {
            return;
        }
        let check = if t.check && self.screen.check_mode_markers { " (check mode)" } else { "" };
        let text = if t.is_handler { format!("{name} (via handler){check}... ") } else { format!("{name}{check}...") };
        self.line(&text, Style::Plain);
    }

    fn hidden(&self, s: Status) -> bool {
        (s == Status::Skipped && !self.screen.display_skipped_hosts)
            || (s == Status::Ok && !self.screen.display_ok_hosts)
    }

    /// Everything, if that is asked for; otherwise message and output.
    fn details(&self, r: &TaskResult) -> String {
        let m = shown(r, "", self.screen.verbosity);
        let full = self.screen.verbosity > 0 || r.verbose_always && !r.no_log;
        let mut text = String::new();
        if matches!(r.status, Status::Changed | Status::Failed | Status::Unreachable) {
            if r.no_log {
                text.push_str(" | item: (censored due to no_log)");
            } else if let Some(i) = r.item.as_ref().filter(|_| {
                // an item that counts as false is not named
                r.get("_ansible_item_label").is_none_or(Value::truthy)
            }) {
                text.push_str(&format!(" | item: {i}"));
            }
        }
        if full && !m.contains_key("_ansible_verbose_override") {
            let whole = Screen { pretty_results: Some(true), result_format: "json".into(), ..self.screen.clone() };
            return format!("{text}: {}", dump(m, true, &whole));
        }
        for k in ["msg", "stdout", "stderr"] {
            let part = m.get(k).map(Value::to_str).unwrap_or_default();
            if !part.is_empty() && part != "All items completed" {
                text.push_str(&format!(" | {k}: {part}"));
            }
        }
        text
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let sum = r.item.is_none() && r.data.contains_key("results");
        let failed = matches!(r.status, Status::Failed | Status::Unreachable);
        let print = |text: &str, style| {
            if failed && self.screen.display_failed_stderr {
                print::err(text, style, self.screen.color);
            } else {
                self.line(text, style);
            }
        };
        if failed
            && !sum
            && let Some(text) = failure_text(t, r)
            && self.told.lock().unwrap_or_else(|e| e.into_inner()).insert(text.clone())
        {
            print(text.strip_suffix('\n').unwrap_or(&text), Style::Error);
        }
        if r.diff && !r.no_log && !sum && r.get("changed").is_some_and(Value::truthy) {
            let text = r.get("diff").map(|d| diff::show(d, self.screen.diff_context, self.screen.color));
            if let Some(t) = text.filter(|t| !t.is_empty()) {
                self.line(t.strip_suffix('\n').unwrap_or(&t), Style::Plain);
            }
        }
        if self.hidden(r.status) {
            return;
        }
        let (word, style) = match r.status {
            Status::Ok => ("ok", Style::Ok),
            Status::Changed => ("done", Style::Changed),
            Status::Skipped => ("skipped", Style::Skip),
            Status::Failed => ("failed", Style::Error),
            Status::Unreachable if r.item.is_some() => ("failed", Style::Error),
            Status::Unreachable => ("unreachable", Style::Unreachable),
        };
        // of what shows itself only the host is named
        let host = if r.verbose_always { r.host.to_string() } else { host_of(r) };
        print(&format!("  {host} {word}{}", self.details(r)), style);
    }

    fn stats(&self, hosts: &IndexMap<Arc<str>, Counts>, custom: &IndexMap<String, Map>) {
        self.line("\n- Play recap -", Style::Plain);
        for (h, c) in sorted(hosts) {
            self.line(&format!("  {}", recap_line(h, c, self.screen.color, false)), Style::Plain);
        }
        self.default.custom_stats(custom);
    }
}

/// Hosts and their counts by name.
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
        let marked = |check: bool| check && self.screen.check_mode_markers;
        match e {
            Event::PlaybookStart { ref path, check, .. } => {
                let name = Utf8Path::new(path).file_name().unwrap_or(path).to_string();
                let check = if marked(check) { " in check mode" } else { "" };
                self.line(&format!("Executing playbook {name}{check}"), Style::Plain);
                messages(e, &self.screen);
            }
            Event::PlayStart { name, pattern, check, .. } => {
                let name = name.trim();
                let check = if marked(check) { " (in check mode)" } else { "" };
                self.line(&format!("\n- {name}{check} on hosts: {pattern} -"), Style::Plain);
            }
            Event::NoHostsMatched => self.line("  No hosts found!", Style::Debug),
            Event::NoHostsRemaining => self.line("  Ran out of hosts!", Style::Error),
            Event::TaskStart(t) => self.heading(&t),
            Event::HostStart { .. } => self.default.event(e),
            Event::Item { task, result } | Event::Result { task, result } => self.result(&task, &result),
            Event::Retry { attempt, left, .. } => {
                let text = format!("  Retrying... ({attempt} of {})", attempt + left);
                self.line(&text, Style::Debug);
            }
            Event::Included { path, hosts, item, .. } => {
                let hosts = hosts.iter().map(|h| &**h).collect::<Vec<_>>().join(", ");
                let item = item.map(|i| format!(" => (item={i})")).unwrap_or_default();
                self.line(&format!("included: {path} for {hosts}{item}"), Style::Skip);
            }
            Event::Stats { hosts, custom, .. } => self.stats(&hosts, &custom),
            e => messages(e, &self.screen),
        }
    }
}
