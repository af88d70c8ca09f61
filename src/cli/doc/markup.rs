//! Ansible's markup in descriptions as plain text, and text in lines of limited width as Python's `textwrap` makes
//! them. The marks: <https://docs.ansible.com/ansible/latest/dev_guide/ansible_markup.html>.

use regex::{Captures, Regex};
use std::sync::LazyLock;

fn re(s: &str) -> Regex {
    // the patterns are constants and each is used by the tests below
    Regex::new(s).unwrap_or_else(|e| panic!("{s}: {e}"))
}

static SIMPLE: LazyLock<Regex> = LazyLock::new(|| re(r"\b([IBCMULR])\(([^)]+)\)"));
static RICH: LazyLock<Regex> = LazyLock::new(|| re(r"\b(V|E|O|RV|P)\(((?:\\.|[^)\\])+)\)"));
static LINE: LazyLock<Regex> = LazyLock::new(|| re(r"\bHORIZONTALLINE\b"));

/// A description without its marks.
pub fn plain(text: &str) -> String {
    let text = SIMPLE.replace_all(text, |c: &Captures| {
        let all = c.get(0).map(|m| m.as_str()).unwrap_or_default();
        let body = c.get(2).map(|m| m.as_str()).unwrap_or_default();
        let two = || body.split_once(',').map(|(a, b)| (a.trim_end(), b.trim()));
        match c.get(1).map(|m| m.as_str()) {
            Some("I") => format!("`{body}`"),
            Some("B") => format!("*{body}*"),
            Some("C") => format!("`{body}'"),
            Some("M") => format!("[{body}]"),
            Some("U") => body.to_string(),
            Some("L") => two().map(|(a, b)| format!("{a} <{}>", link(b))).unwrap_or_else(|| all.to_string()),
            Some("R") => two().map(|(a, _)| a.to_string()).unwrap_or_else(|| all.to_string()),
            _ => all.to_string(),
        }
    });
    let text = RICH.replace_all(&text, |c: &Captures| {
        let body = unescaped(c.get(2).map(|m| m.as_str()).unwrap_or_default());
        match c.get(1).map(|m| m.as_str()) {
            Some("P") => format!("[[{}]]", body.split('#').next().unwrap_or(&body)),
            Some("O" | "RV") => of_plugin(&body),
            _ => format!("`{body}'"),
        }
    });
    LINE.replace_all(&text, format!("\n{}\n", "-".repeat(13))).into_owned()
}

/// A page of the documentation is named without its host.
pub fn link(to: &str) -> String {
    if to.contains("://") { to.into() } else { format!("https://docs.ansible.com/ansible-core/2.19/{to}") }
}

fn unescaped(s: &str) -> String {
    let mut out = String::new();
    let mut chars = s.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

/// `name=value`, perhaps of another plug-in: `ns.col.name#module:option=value`.
fn of_plugin(body: &str) -> String {
    let (name, value) = match body.split_once('=') {
        Some((n, v)) => (n, Some(v)),
        None => (body, None),
    };
    let mut of = String::new();
    let mut option = name.strip_prefix("ignore:").unwrap_or(name);
    if let Some((plugin, rest)) = option.split_once('#')
        && let Some((kind, rest)) = rest.split_once(':')
    {
        option = rest;
        of = match kind {
            "module" => format!(" (of module {plugin})"),
            "role" => match rest.split_once(':') {
                Some((entry, o)) => {
                    option = o;
                    format!(" (of role {plugin}, {entry} entrypoint)")
                }
                None => format!(" (of role {plugin})"),
            },
            "playbook" => format!(" (of playbook {plugin})"),
            kind => format!(" (of {kind} plugin {plugin})"),
        };
    }
    match value {
        Some(v) => format!("`{option}={v}'{of}"),
        None => format!("`{option}'{of}"),
    }
}

/// The paragraphs of a text in lines of at most `width` characters, `first` before the first line and `rest` before
/// each other. Words longer than a line stay whole.
pub fn fill(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    let mut out = vec![];
    for (i, paragraph) in text.split("\n\n").enumerate() {
        let lead = if i == 0 { first } else { rest };
        out.extend(wrap(paragraph, lead, rest, width));
    }
    out
}

fn wrap(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    let spaced: String =
        text.replace('\t', "        ").chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    // words and the gaps between them, in turn
    let mut chunks: Vec<Vec<char>> = vec![];
    for c in spaced.chars() {
        match chunks.last_mut() {
            Some(l) if (l.first() == Some(&' ')) == (c == ' ') => l.push(c),
            _ => chunks.push(vec![c]),
        }
    }
    let mut lines: Vec<String> = vec![];
    let mut todo: std::collections::VecDeque<Vec<char>> = chunks.into();
    while !todo.is_empty() {
        let indent = if lines.is_empty() { first } else { rest };
        let room = width.saturating_sub(indent.chars().count()).max(1);
        let mut line: Vec<Vec<char>> = vec![];
        let mut used = 0;
        if !lines.is_empty() && todo.front().is_some_and(|c| c.first() == Some(&' ')) {
            todo.pop_front();
        }
        while let Some(c) = todo.front() {
            if used + c.len() > room {
                break;
            }
            used += c.len();
            line.extend(todo.pop_front());
        }
        if used == 0 {
            // a word that is longer than a line stays whole
            line.extend(todo.pop_front());
        }
        if line.last().is_some_and(|c| c.first() == Some(&' ')) {
            line.pop();
        }
        if !line.is_empty() {
            let words: String = line.into_iter().flatten().collect();
            lines.push(format!("{indent}{words}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for (text, shown) in [
            ("I(a) B(b) C(c) V(d) E(E)", "`a` *b* `c' `d' `E'"),
            ("M(a.b.c) U(http://x) L(t, http://y) R(r,ref)", "[a.b.c] http://x t <http://y> r"),
            ("O(a=b) RV(c) P(a.b.c#filter)", "`a=b' `c' [[a.b.c]]"),
            (
                r"O(a.b.c#module:p=\(1\)) O(a.b.r#role:main:x)",
                "`p=(1)' (of module a.b.c) `x' (of role a.b.r, main entrypoint)",
            ),
            ("RV(a.b.c#lookup:v) O(ignore:x=y) FOO(x)", "`v' (of lookup plugin a.b.c) `x=y' FOO(x)"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn lines() {
        assert_eq!(fill("one two three", "- ", "  ", 9), ["- one two", "  three"]);
        assert_eq!(fill("abcdefghij k", "", "", 4), ["abcdefghij", "k"]);
        assert_eq!(fill("a\n\nb c", "* ", "  ", 20), ["* a", "  b c"]);
    }
}
