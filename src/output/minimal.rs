//! The text of ad-hoc commands, after the `minimal` and `oneline` callbacks' output.

use super::Screen;
use super::default::shown;
use super::diff;
use super::report::{show_error, show_warning};
use super::style::Style;
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::{py_json, py_json_indent};
use crate::value::Value;
use std::io::Write;

/// One block (or line) a result.
pub struct Minimal {
    screen: Screen,
    one_line: bool,
}

impl Minimal {
    pub fn new(screen: Screen, one_line: bool) -> Minimal {
        Minimal { screen, one_line }
    }

    fn line(&self, text: &str, style: Style) {
        let _ = writeln!(std::io::stdout().lock(), "{}", style.paint(text, self.screen.color));
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let (word, style) = match r.status {
            Status::Ok => ("SUCCESS", Style::Ok),
            Status::Changed => ("CHANGED", Style::Changed),
            Status::Failed => ("FAILED", Style::Error),
            Status::Skipped => ("SKIPPED", Style::Skip),
            Status::Unreachable => ("UNREACHABLE!", Style::Unreachable),
        };
        if r.diff
            && !r.no_log
            && let Some(d) = r.get("diff")
        {
            let text = diff::show(d, self.screen.diff_context, self.screen.color);
            if !text.is_empty() {
                self.line(&text, Style::Plain);
            }
        }
        if r.status == Status::Skipped {
            return self.line(&format!("{} | SKIPPED", r.host), style);
        }
        let command = matches!(t.action.rsplit('.').next(), Some("command" | "shell" | "raw" | "script"));
        if command && r.status != Status::Unreachable && r.data.contains_key("rc") && !r.no_log {
            let text = |k: &str| r.get(k).map(Value::to_str).unwrap_or_default();
            let rc = text("rc");
            if self.one_line {
                let out = text("stdout").replace('\n', "\\n").replace('\r', "\\r");
                let err = text("stderr").replace('\n', "\\n");
                let err = if err.is_empty() { String::new() } else { format!(" (stderr) {err}") };
                return self.line(&format!("{} | {word} | rc={rc} | (stdout) {out}{err}", r.host), style);
            }
            let msg = if r.status == Status::Failed { text("msg") } else { String::new() };
            let mut body = text("stdout");
            for more in [text("stderr"), msg] {
                body.push_str(&more);
            }
            return self.line(&format!("{} | {word} | rc={rc} >>\n{body}\n", r.host), style);
        }
        let m = Value::map(shown(r, &t.action, self.screen.verbosity));
        let mark = if r.status == Status::Failed { "!" } else { "" };
        if self.one_line {
            self.line(&format!("{} | {word}{mark} => {}", r.host, py_json(&m).replace('\n', "")), style);
        } else {
            self.line(&format!("{} | {word}{mark} => {}", r.host, py_json_indent(&m, 4)), style);
        }
    }
}

impl Sink for Minimal {
    fn event(&self, e: Event) {
        match e {
            Event::Result { task, result } => self.result(&task, &result),
            Event::Warning(t) => show_warning(&t, self.screen.color),
            Event::Error(e) => show_error(&e, self.screen.color),
            Event::Display(t) => self.line(&t, Style::Plain),
            Event::AsyncPoll { host, jid, started, .. } => {
                self.line(
                    &format!("ASYNC POLL on {host}: jid={jid} started=1 finished={}", u8::from(!started)),
                    Style::Debug,
                );
            }
            _ => {}
        }
    }
}
