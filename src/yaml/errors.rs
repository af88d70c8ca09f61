//! The words for broken YAML: Ansible's sentence, the place, and advice for the common mistakes.

use super::sys::Problem;
use crate::diag::{Error, Span};

const TEMPLATE: &str = "This may be an issue with missing quotes around a template block.";
const TABS: &str = "Tabs are usually invalid in YAML.";
const COLONS: &str = "Colons in unquoted values must be followed by a non-space character.";
const QUOTES: &str = "Values starting with a quote must end with the same quote.";

/// `YAML parsing failed: …`
pub(super) fn failed(words: impl AsRef<str>) -> Error {
    Error::parse(format!("YAML parsing failed: {}", words.as_ref()))
}

pub(super) fn unknown_tag(tag: &str) -> Error {
    failed(format!("Could not determine a constructor for the tag {}.", super::quoted(tag)))
        .help("Tags that are known: !vault, !unsafe, and YAML's own such as !!str and !!int.")
}

/// A list or mapping stands where a key must be; nearly always an unquoted `{{ … }}`.
pub(super) fn unhashable(text: &str, map: Span, key: Span) -> Error {
    let at = |s: Span| text.get(s.start as usize..).unwrap_or("");
    if at(map).starts_with("{{") || at(key).starts_with('{') {
        return template().at(map);
    }
    failed("While constructing a mapping found unhashable key.")
        .at(key)
        .help("A key must be a plain value; put quotes around it if it is meant as text.")
}

fn template() -> Error {
    failed(TEMPLATE).help("A value that starts with a template needs quotes around all of it: raw: \"{{ some_var }}\"")
}

/// libyaml's problem as an error with Ansible's sentence.
pub(super) fn from_problem(p: &Problem, source: u32, text: &str) -> Error {
    if let Some(c) = p.character {
        let at = p.mark.index.min(text.len());
        let span = Span::new(source, at, (at + 1).min(text.len()));
        return failed(format!("unacceptable character #x{c:04x}: {}", p.problem)).at(span);
    }
    let mut at = p.mark.index.min(text.len());
    let line_start = text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
    let line = text.get(line_start..).unwrap_or("").split('\n').next().unwrap_or("");
    if p.problem.contains("did not find expected") && unclosed(value_of(line)) {
        // The place of interest is the quote, not what follows it.
        at = line_start + line.len() - value_of(line).len();
    }
    let here = text.get(at..).unwrap_or("");
    let width = here.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    let span = Span::new(source, at, at + width);
    let (words, help) = advice(p, line, here);
    let words = words.map(str::to_string).unwrap_or_else(|| sentence(p));
    let e = failed(words).at(span);
    match help {
        Some(h) => e.help(h),
        None => e,
    }
}

/// `While scanning a simple key could not find expected ':'.`
fn sentence(p: &Problem) -> String {
    let mut s = match &p.context {
        Some(c) => format!("{c} {}", p.problem),
        None => p.problem.clone(),
    };
    if let Some(first) = s.get(..1) {
        let upper = first.to_uppercase();
        s.replace_range(..1, &upper);
    }
    if !s.ends_with('.') {
        s.push('.');
    }
    s
}

fn advice(p: &Problem, line: &str, here: &str) -> (Option<&'static str>, Option<&'static str>) {
    let value = value_of(line);
    if p.problem.contains("cannot start any token") && here.starts_with('\t')
        || line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')
    {
        return (Some(TABS), Some("Indent with spaces."));
    }
    if value.starts_with("{{") {
        return (
            Some(TEMPLATE),
            Some("A value that starts with a template needs quotes around all of it: raw: \"{{ some_var }}\""),
        );
    }
    if p.problem.contains("mapping values are not allowed") {
        return (
            Some(COLONS),
            Some(
                "Put quotes around a value that holds `: `, give every key a space after its colon, and indent keys of one mapping alike.",
            ),
        );
    }
    if p.problem.contains("did not find expected") && unclosed(value) {
        return (Some(QUOTES), Some("Put the other kind of quotes around all of it: raw: '\"foo\" in bar'"));
    }
    if p.problem.contains("unexpected end of stream") {
        return (None, Some("A quote that was opened is not closed."));
    }
    if p.problem.contains("could not find expected ':'") {
        return (
            None,
            Some("A line that is neither `key: value` nor a list item; look at the indentation and at the line above."),
        );
    }
    if p.problem.contains("cannot start any token") {
        return (None, Some("Put quotes around a value that starts with this character."));
    }
    (None, None)
}

/// A value that starts with a quote and does not end with it.
fn unclosed(value: &str) -> bool {
    let value = value.trim_end();
    value.chars().next().is_some_and(|q| matches!(q, '"' | '\'') && (value.len() < 2 || !value.ends_with(q)))
}

/// What stands after the first `key: ` or `- ` of a line.
fn value_of(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(r) = rest.strip_prefix("- ") {
        rest = r.trim_start();
    }
    match rest.find(": ") {
        Some(i) => rest.get(i + 2..).unwrap_or("").trim_start(),
        None => rest,
    }
}
