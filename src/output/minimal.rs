//! The text of ad-hoc commands, after the `minimal` and `oneline` callbacks' output.

use super::Screen;
use super::default::shown;
use super::diff;
use super::dump::dump;
use super::print;
use super::report::failure_text;
use super::style::Style;
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json_indent;
use crate::value::Value;
use std::collections::HashSet;
use std::sync::Mutex;

/// One block (or line) a result.
pub struct Minimal {
    screen: Screen,
    one_line: bool,
    /// The errors that were told: the same one is told once.
    told: Mutex<HashSet<String>>,
}

impl Minimal {
    pub fn new(screen: Screen, one_line: bool) -> Minimal {
        Minimal { screen, one_line, told: Mutex::default() }
    }

    fn line(&self, text: &str, style: Style) {
        print::out(text, style, self.screen.color);
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let (word, style) = match r.status {
            Status::Ok => ("SUCCESS", Style::Ok),
            Status::Changed => ("CHANGED", Style::Changed),
            Status::Failed => ("FAILED", Style::Error),
            Status::Skipped => ("SKIPPED", Style::Skip),
            Status::Unreachable => ("UNREACHABLE!", Style::Unreachable),
        };
        if matches!(r.status, Status::Failed | Status::Unreachable)
            && !self.one_line
            && !r.data.contains_key("results")
            && let Some(text) = failure_text(t, r)
            && self.told.lock().unwrap_or_else(|e| e.into_inner()).insert(text.clone())
        {
            self.line(text.strip_suffix('\n').unwrap_or(&text), Style::Error);
        }
        if r.diff
            && !r.no_log
            && let Some(d) = r.get("diff")
        {
            let text = diff::show(d, self.screen.diff_context, self.screen.color);
            if !text.is_empty() {
                self.line(text.strip_suffix('\n').unwrap_or(&text), Style::Plain);
            }
        }
        if r.status == Status::Skipped {
            return self.line(&format!("{} | SKIPPED", r.host), style);
        }
        if r.status == Status::Unreachable && self.one_line {
            let msg = r.get("msg").filter(|_| !r.no_log).map(Value::to_str).unwrap_or_default();
            return self.line(&format!("{} | UNREACHABLE!: {msg}", r.host), style);
        }
        let command = matches!(t.action.rsplit('.').next(), Some("command" | "shell" | "raw" | "script"));
        let failed = r.status == Status::Failed;
        let plain = if failed { !r.data.contains_key("module_stderr") } else { !r.data.contains_key("ansible_job_id") };
        let told = !(failed && self.one_line) || raised(r);
        if command && r.status != Status::Unreachable && plain && told {
            // of a result that is hidden none of these is there
            let get = |k: &str| r.get(k).filter(|_| !r.no_log);
            let text = |k: &str| get(k).map(Value::to_str).unwrap_or_default();
            let rc = get("rc").map_or_else(|| "-1".to_string(), Value::to_str);
            if self.one_line {
                let out = text("stdout").replace('\n', "\\n").replace('\r', "\\r");
                let err = text("stderr").replace('\n', "\\n");
                let err = if err.is_empty() { String::new() } else { format!(" (stderr) {err}") };
                self.line(&format!("{} | {word} | rc={rc} | (stdout) {out}{err}", r.host), style);
                // a failure is told in full, too
                if failed {
                    self.json(t, r, word, style);
                }
                return;
            }
            let mut body = text("stdout");
            for more in [text("stderr"), text("msg")] {
                body.push_str(&more);
            }
            return self.line(&format!("{} | {word} | rc={rc} >>\n{body}", r.host), style);
        }
        if failed && self.one_line && raised(r) {
            let text = if self.screen.verbosity < 3 {
                "An exception occurred during task execution. To see the full traceback, use -vvv. \
                 The error was: (traceback unavailable)"
            } else {
                "An exception occurred during task execution. The full traceback is:\n(traceback unavailable)"
            };
            self.line(text, style);
        }
        self.json(t, r, word, style);
    }

    fn json(&self, t: &TaskInfo, r: &TaskResult, word: &str, style: Style) {
        let mark = if r.status == Status::Failed { "!" } else { "" };
        // one line, and a failure, tell all of a debug's result
        let all = (self.one_line || r.status == Status::Failed) && !r.no_log;
        let action = if all { "" } else { &t.action };
        let m = shown(r, action, self.screen.verbosity);
        let text = if self.one_line {
            let indent = if r.verbose_always { 4 } else { 0 };
            py_json_indent(&Value::map(m), indent).replace('\n', "")
        } else {
            dump(m, true, &self.screen)
        };
        self.line(&format!("{} | {word}{mark} => {text}", r.host), style);
    }
}

/// True of a failure that is an error of its own: not of a loop's sum, nor of an include.
pub(super) fn raised(r: &TaskResult) -> bool {
    !r.data.contains_key("results") && !r.data.contains_key("reason")
}

impl Sink for Minimal {
    fn event(&self, e: Event) {
        match e {
            Event::Result { task, result } => self.result(&task, &result),
            e => super::messages(e, &self.screen),
        }
    }
}
