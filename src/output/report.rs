//! Errors and warnings on standard error.

use super::print;
use super::style::Style;
use crate::diag::{Error, Span};
use crate::executor::{Status, TaskInfo, TaskResult};
use crate::value::Value;
use miette::{GraphicalReportHandler, GraphicalTheme};

/// The text of a failed task as Ansible prints it: the whole message, then each step to the error
/// with its place and the lines before it.
pub fn task_error_text(e: &Error, task: Span) -> String {
    let mut steps = if e.is_bare() { vec![] } else { vec![("Task failed".to_string(), Some(task))] };
    steps.extend(e.steps());
    if let Some((_, place)) = steps.first_mut() {
        place.get_or_insert(task);
    }
    let full = steps.iter().map(|(words, _)| words.as_str()).collect::<Vec<_>>().join(": ");
    // steps without a place of their own are told together with those before them
    let mut groups: Vec<(String, Option<Span>)> = vec![];
    // an empty span says that its step is told by itself (see `playbook::cannot_convert`)
    let place = |s: Option<Span>| s.map(|s| (s.source, s.start, s.start == s.end));
    let (last, helped) = (steps.len() - 1, e.help_text().is_some());
    for (i, (words, span)) in steps.into_iter().enumerate() {
        // an error with advice, or of several lines, stands for itself
        let alone = i == last && (e.is_apart() || i > 1 && helped);
        match groups.last_mut() {
            Some((before, at)) if !alone && (span.is_none() || at.is_none() || place(*at) == place(span)) => {
                *before = format!("{before}: {words}");
                *at = at.or(span);
            }
            _ => groups.push((words, span)),
        }
    }
    let mut out = format!("[ERROR]: {full}\n");
    let count = groups.len();
    let mut advice = e.help_text();
    for (i, (words, span)) in groups.into_iter().enumerate() {
        if span.is_none() && i > 0 {
            // the advice is said in one breath with what it is about
            let help = advice.take().map(|h| format!(" {h}")).unwrap_or_default();
            out.push_str(&format!("<<< caused by >>>\n\n{words}{help}\n\n"));
            continue;
        }
        if count > 1 {
            let dot = if i + 1 < count && !words.ends_with('.') { "." } else { "" };
            out.push_str(&format!("{}\n{words}{dot}\n", if i > 0 { "<<< caused by >>>\n" } else { "" }));
        }
        if let Some(s) = span {
            out.push_str(&format!("Origin: {}\n\n{}\n", s.show(), s.excerpt()));
        }
    }
    if let Some(h) = advice {
        out.push_str(&format!("{h}\n\n"));
    }
    out
}

/// What is said of a failed result besides the result; nothing if it is to be hidden or was said already.
pub fn failure_text(t: &TaskInfo, r: &TaskResult) -> Option<String> {
    if r.no_log || (t.action.contains("include") && r.data.contains_key("reason")) {
        return None;
    }
    if r.data.contains_key("_ansible_unraised") {
        return None;
    }
    if let Some(e) = &r.error {
        return Some(task_error_text(e, t.span));
    }
    let who = if r.by_module { "Module failed" } else { "Action failed" };
    let e = match r.get("msg").map(Value::to_str) {
        Some(m) if m.is_empty() => Error::general(format!("{who}.")),
        Some(m) if r.status == Status::Unreachable => Error::general(m),
        _ if r.data.contains_key("_ansible_error") => {
            Error::general(r.get("_ansible_error").map(Value::to_str).unwrap_or_default())
        }
        // what has no message of its own brings its context
        Some(m) if m.starts_with("Task failed: ") => Error::general(m.trim_start_matches("Task failed: ")),
        Some(m) if r.data.contains_key("_ansible_cause") => {
            let cause = r.get("_ansible_cause").map(Value::to_str).unwrap_or_default();
            Error::general(format!("{}: {cause}", m.trim_end_matches('.'))).context(who)
        }
        Some(m) => Error::general(m).context(who),
        None => Error::general("Unknown error.").context(who),
    };
    Some(task_error_text(&e, t.span))
}

/// The text of an error that ends a host, not the run: as ansible-core lays it out.
pub fn run_error_text(e: &Error) -> String {
    let mut out = format!("[ERROR]: {}\n", e.message());
    if let Some(s) = e.span() {
        out.push_str(&format!("Origin: {}\n\n{}\n", s.show(), s.excerpt()));
    }
    if let Some(h) = e.help_text() {
        out.push_str(&format!("{h}\n\n"));
    }
    out
}

/// The text of an error: Ansible's first line, then the place (once: programs count such lines) with a snippet,
/// then advice.
pub fn error_text(e: &Error, color: bool) -> String {
    let mut out = Style::Error.paint(&format!("[ERROR]: {}", e.message()), color);
    out.push('\n');
    let Some(span) = e.span() else {
        if let Some(h) = e.help_text() {
            out.push_str(&format!("  help: {h}\n"));
        }
        return out;
    };
    out.push_str(&format!("Origin: {}\n", span.show()));
    if miette::Diagnostic::source_code(e).is_none() {
        out.push_str(&format!("\n{}", span.excerpt()));
    }
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_context_lines(2);
    let shown = Snippet(e);
    let mut text = String::new();
    if handler.render_report(&mut text, &shown).is_ok() {
        // the handler's own first line repeats the message
        for line in text.lines().skip_while(|l| !l.contains("╭─") && !l.contains("help:")) {
            // and the frame's first line repeats the place
            let line = line.split_once("╭─[").map_or(line.to_string(), |(indent, _)| format!("{indent}╭────"));
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// The error without its message, which the first line has shown already.
struct Snippet<'a>(&'a Error);
impl std::fmt::Debug for Snippet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl std::fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(".")
    }
}
impl std::error::Error for Snippet<'_> {}
impl miette::Diagnostic for Snippet<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        miette::Diagnostic::help(self.0)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        miette::Diagnostic::source_code(self.0)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        miette::Diagnostic::labels(self.0)
    }
}

/// Prints an error to standard error.
pub fn show_error(e: &Error, color: bool) {
    let text = error_text(e, color);
    print::err(text.strip_suffix('\n').unwrap_or(&text), Style::Error, false);
}

/// Prints a warning to standard error, on one line however long it is, as ansible-core does.
pub fn show_warning(text: &str, color: bool) {
    print::err(&format!("[WARNING]: {text}"), Style::Warn, color);
}

/// Prints a deprecation warning to standard error.
pub fn show_deprecation(text: &str, color: bool) {
    print::err(&format!("[DEPRECATION WARNING]: {text}"), Style::Deprecate, color);
}
