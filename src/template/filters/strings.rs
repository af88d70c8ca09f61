//! Filters on text that work letter by letter or word by word.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f, percent};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("upper", "s", |_, a| Ok(Value::from(a.text("s")?.to_uppercase()))),
    f("lower", "s", |_, a| Ok(Value::from(a.text("s")?.to_lowercase()))),
    f("capitalize", "s", |_, a| Ok(Value::from(capitalize(&a.text("s")?)))),
    f("title", "s", |_, a| Ok(Value::from(title(&a.text("s")?)))),
    f("trim", "value, chars=", trim),
    f("replace", "s, old, new, count=", replace),
    f("center", "value, width=", |_, a| center(&a.text("value")?, a.int("width", 80)?).map(Value::from)),
    f("string", "object", |_, a| match a.val("object") {
        v if matches!(py::view(v), Py::Str(_)) => Ok(v.clone()),
        v => Ok(Value::from(py::str(v)?)),
    }),
    f("pprint", "value", |_, a| Ok(Value::from(py::repr(a.val("value"))?))),
    f("wordcount", "s", |_, a| Ok(Value::from(words(&a.text("s")?)))),
    f("format", "value, *args, **kwargs", format),
    f("split", "value, sep=, maxsplit=", split),
    f("quote", "a", quote),
];

/// `str.capitalize`: first letter upper, the rest lower.
pub fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(c) => c.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect(),
        None => String::new(),
    }
}

/// Words begin after spaces, hyphens and opening brackets; apostrophes do not end one.
fn title(s: &str) -> String {
    let mut out = String::new();
    let mut start = true;
    for c in s.chars() {
        if c.is_whitespace() || matches!(c, '-' | '(' | '{' | '[' | '<') {
            start = true;
            out.push(c);
        } else if start {
            out.extend(c.to_uppercase());
            start = false;
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

fn trim(_: &mut State, a: &Args) -> Res {
    let s = a.text("value")?;
    Ok(Value::from(match a.text_opt("chars")? {
        Some(set) => s.trim_matches(|c| set.contains(c)),
        None => s.trim(),
    }))
}

fn replace(_: &mut State, a: &Args) -> Res {
    let (s, old, new) = (a.text("s")?, a.text("old")?, a.text("new")?);
    let out = match a.int("count", -1)? {
        n if n < 0 => s.replace(&old, &new),
        n => s.replacen(&old, &new, usize::try_from(n).unwrap_or(usize::MAX)),
    };
    Ok(Value::from(out))
}

/// `str.center`: an odd blank goes left when the width is odd, as CPython does.
fn center(s: &str, width: i128) -> Res<String> {
    let n = s.chars().count();
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    if width <= n {
        return Ok(s.to_string());
    }
    if width > MAX_WIDTH {
        return fail(format!("width is too large (at most {MAX_WIDTH})"));
    }
    let pad = width - n;
    let left = pad / 2 + (pad & width & 1);
    Ok(format!("{}{s}{}", " ".repeat(left), " ".repeat(pad - left)))
}

/// Widths beyond this only serve to exhaust memory.
const MAX_WIDTH: usize = 1_000_000;

fn words(s: &str) -> usize {
    s.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).count()
}

fn format(_: &mut State, a: &Args) -> Res {
    let text = a.text("value")?;
    if !a.rest.is_empty() && !a.more.is_empty() {
        return fail("can't handle positional and keyword arguments at the same time");
    }
    let operand = if a.more.is_empty() {
        py::tuple(a.rest.clone())
    } else {
        py::dict(a.more.iter().map(|(k, v)| (Value::from(k.as_str()), v.clone())))
    };
    Ok(Value::from(percent(&text, &operand)?))
}

fn split(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    let Py::Str(s) = py::view(v) else {
        return fail(format!("descriptor 'split' for 'str' objects doesn't apply to a '{}' object", py::type_name(v)));
    };
    let limit = usize::try_from(a.int("maxsplit", -1)?).ok();
    let parts: Vec<Value> = match a.some("sep") {
        Some(sep) => {
            let Py::Str(sep) = py::view(sep) else {
                return fail(format!("must be str or None, not {}", py::type_name(sep)));
            };
            if sep.is_empty() {
                return fail("empty separator");
            }
            match limit {
                Some(n) => s.splitn(n.saturating_add(1), sep).map(Value::from).collect(),
                None => s.split(sep).map(Value::from).collect(),
            }
        }
        None => split_words(s, limit).into_iter().map(Value::from).collect(),
    };
    Ok(py::list(parts))
}

/// `str.split()` without separator: runs of blanks count as one, none at the ends.
pub fn split_words(s: &str, limit: Option<usize>) -> Vec<&str> {
    let mut out = vec![];
    let mut rest = s.trim_start();
    while !rest.is_empty() {
        if limit.is_some_and(|n| out.len() >= n) {
            out.push(rest);
            break;
        }
        match rest.split_once(char::is_whitespace) {
            Some((word, more)) => {
                out.push(word);
                rest = more.trim_start();
            }
            None => {
                out.push(rest);
                break;
            }
        }
    }
    out
}

fn quote(_: &mut State, a: &Args) -> Res {
    let text = a.text_or("a", "")?;
    Ok(Value::from(shell_quote(&text)))
}

/// Python's `shlex.quote`.
pub fn shell_quote(s: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if s.is_empty() {
        "''".to_string()
    } else if s.chars().all(plain) {
        s.to_string()
    } else {
        format!("'{}'", s.replace('\'', "'\"'\"'"))
    }
}
