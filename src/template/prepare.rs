//! Before a template is parsed: what Ansible does to its text.

use minijinja::syntax::SyntaxConfig;

/// Doubles the backslashes of string literals inside `{{ … }}`, as Ansible does for templates that
/// stand in playbooks and variables (not for template files), so that `'\.'` and `'\n'` are what
/// they look like.
pub(super) fn double_backslashes(text: &str, syntax: &SyntaxConfig) -> String {
    let (open, close) = syntax.variable_delimiters();
    let (block_open, block_close) = syntax.block_delimiters();
    let (note_open, note_close) = syntax.comment_delimiters();
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    loop {
        let next = [(open, 0), (block_open, 1), (note_open, 2)]
            .into_iter()
            .filter_map(|(d, kind)| rest.find(d).map(|at| (at, kind, d)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, kind, delimiter)) = next else { break };
        let (before, tag) = rest.split_at(at + delimiter.len());
        out.push_str(before);
        let end = match kind {
            2 => tag.find(note_close).map(|i| i + note_close.len()),
            1 => {
                let end = expression_end(tag, block_close);
                let word = tag.trim_start_matches(['-', '+']).trim_start();
                if word.starts_with("raw") { raw_end(tag, block_open) } else { end }
            }
            _ => expression_end(tag, close),
        };
        let (inside, after) = tag.split_at(end.unwrap_or(tag.len()));
        if kind == 0 {
            double_in_strings(inside, &mut out)
        } else {
            out.push_str(inside)
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn raw_end(tag: &str, block_open: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = tag.get(from..).and_then(|t| t.find(block_open)) {
        let start = from + at;
        let word = tag.get(start + block_open.len()..).unwrap_or("").trim_start_matches(['-', '+']).trim_start();
        if word.starts_with("endraw") {
            return Some(start);
        }
        from = start + block_open.len();
    }
    None
}

/// Where the tag ends: its delimiter outside of strings and brackets.
fn expression_end(tag: &str, close: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in tag.char_indices() {
        if let Some(q) = quote {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == q {
                quote = None;
            }
            continue;
        }
        if depth == 0 && tag.get(i..).is_some_and(|t| t.starts_with(close)) {
            return Some(i + close.len());
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn double_in_strings(tag: &str, out: &mut String) {
    let mut quote = None;
    let mut chars = tag.chars();
    while let Some(c) = chars.next() {
        match quote {
            None => {
                if c == '\'' || c == '"' {
                    quote = Some(c);
                }
                out.push(c);
            }
            Some(_) if c == '\\' => {
                // An escaped quote stays inside the string, and its backslash stays too.
                out.push_str("\\\\");
                match chars.next() {
                    Some(n @ ('\'' | '"')) if quote == Some(n) => {
                        out.push('\\');
                        out.push(n);
                    }
                    Some('\\') => out.push_str("\\\\"),
                    Some(n) => out.push(n),
                    None => {}
                }
            }
            Some(q) => {
                if c == q {
                    quote = None;
                }
                out.push(c);
            }
        }
    }
}

/// The newlines that a template ends with beyond what its result has, which Ansible puts back.
pub(super) fn trailing_newlines(text: &str, result: &str) -> usize {
    let count = |s: &str| s.len() - s.trim_end_matches('\n').len();
    count(text).saturating_sub(count(result))
}
