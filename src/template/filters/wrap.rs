//! Filters that lay text out in lines: indent, truncate, wordwrap.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("indent", "s, width=, first=, blank=", indent),
    f("truncate", "s, length=, killwords=, end=, leeway=", truncate),
    f("wordwrap", "s, width=, break_long_words=, wrapstring=, break_on_hyphens=", wordwrap),
];

/// Widths beyond this only serve to exhaust memory.
const MAX_WIDTH: i128 = 1_000_000;

fn indent(_: &mut State, a: &Args) -> Res {
    let pad = match a.get("width").map(py::view) {
        Some(Py::Str(s)) => s.to_string(),
        _ => match a.int("width", 4)? {
            n if n > MAX_WIDTH => return fail(format!("width is too large (at most {MAX_WIDTH})")),
            n => " ".repeat(n.max(0) as usize),
        },
    };
    let (first, blank) = (a.flag("first", false)?, a.flag("blank", false)?);
    let text = a.only_text("s", |kind| format!("unsupported operand type(s) for +=: '{kind}' and 'str'"))?;
    let lines = crate::pylines::lines(&text);
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if i == 0 && first || i > 0 && (blank || !line.is_empty()) {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    // splitting lines drops the last line break, Jinja adds it again
    if text.ends_with('\n') {
        out.push('\n');
        if blank {
            out.push_str(&pad);
        }
    }
    Ok(Value::from(out))
}

fn truncate(_: &mut State, a: &Args) -> Res {
    let s = a.text("s")?;
    let length = a.int("length", 255)?;
    let end = a.text_or("end", "...")?;
    let leeway = a.int("leeway", 5)?;
    let end_len = end.chars().count() as i128;
    if length < end_len {
        return fail(format!("expected length >= {end_len}, got {length}"));
    }
    if leeway < 0 {
        return fail(format!("expected leeway >= 0, got {leeway}"));
    }
    if s.chars().count() as i128 <= length.saturating_add(leeway) {
        return Ok(Value::from(s));
    }
    let cut: String = s.chars().take(usize::try_from(length - end_len).unwrap_or(0)).collect();
    let kept = if a.flag("killwords", false)? {
        cut.as_str()
    } else {
        cut.rsplit_once(' ').map_or(cut.as_str(), |(front, _)| front)
    };
    Ok(Value::from(format!("{kept}{end}")))
}

fn wordwrap(_: &mut State, a: &Args) -> Res {
    let text = a.only_text("s", |kind| format!("'{kind}' object has no attribute 'splitlines'"))?;
    let width = a.int("width", 79)?;
    if width <= 0 {
        return fail(format!("invalid width {width} (must be > 0)"));
    }
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    let (long, hyphens) = (a.flag("break_long_words", true)?, a.flag("break_on_hyphens", true)?);
    let joint = a.text_or("wrapstring", "\n")?;
    let lines: Vec<String> =
        crate::pylines::lines(&text).iter().map(|line| wrap_line(line, width, long, hyphens).join(&joint)).collect();
    Ok(Value::from(lines.join(&joint)))
}

/// One line as `textwrap` breaks it with blanks kept as they are, but not at line ends and starts.
fn wrap_line(line: &str, width: usize, long: bool, hyphens: bool) -> Vec<String> {
    let mut chunks: std::collections::VecDeque<String> = chunks(line, hyphens).into();
    let mut lines: Vec<String> = vec![];
    while !chunks.is_empty() {
        let (mut current, mut n) = (Vec::<String>::new(), 0usize);
        // a line never starts with the blanks at which the one before was broken
        if !lines.is_empty() && chunks.front().is_some_and(|c| c.trim().is_empty()) {
            chunks.pop_front();
        }
        while let Some(c) = chunks.front() {
            let len = c.chars().count();
            if n + len > width {
                break;
            }
            n += len;
            current.extend(chunks.pop_front());
        }
        if let Some(c) = chunks.front()
            && c.chars().count() > width
        {
            let room = width.saturating_sub(n).max(usize::from(current.is_empty()));
            if long {
                let c = chunks.pop_front().unwrap_or_default();
                let mut at = room;
                // a word with hyphens is broken behind the last one that fits
                if hyphens && c.chars().count() > room {
                    let head: Vec<char> = c.chars().take(room).collect();
                    if let Some(h) = head.iter().rposition(|x| *x == '-')
                        && h > 0
                        && head.iter().take(h).any(|x| *x != '-')
                    {
                        at = h + 1;
                    }
                }
                let (head, tail): (String, String) = (c.chars().take(at).collect(), c.chars().skip(at).collect());
                if !head.is_empty() {
                    current.push(head);
                }
                if !tail.is_empty() {
                    chunks.push_front(tail);
                }
            } else if current.is_empty() {
                current.extend(chunks.pop_front());
            }
        }
        if current.last().is_some_and(|c| c.trim().is_empty()) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat());
        }
    }
    lines
}

/// Blanks and words in turn; words are split behind hyphens between letters.
fn chunks(line: &str, hyphens: bool) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    let chars: Vec<char> = line.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let mut current = String::new();
    for (i, c) in chars.iter().enumerate() {
        let blank = c.is_whitespace();
        if !current.is_empty() && current.ends_with(char::is_whitespace) != blank {
            out.push(std::mem::take(&mut current));
        }
        current.push(*c);
        let letter = |c: char| c.is_alphanumeric() || c == '_';
        if hyphens
            && *c == '-'
            && i >= 2
            && letter(at(i - 1))
            && letter(at(i - 2))
            && !at(i - 1).is_ascii_digit()
            && letter(at(i + 1))
            && letter(at(i + 2))
        {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}
