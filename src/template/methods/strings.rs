//! Python's string methods.

use crate::pylines;
use crate::template::convert::{check, fail, is_tuple, py_str, type_name};
use crate::template::{format, ops};
use minijinja::Error;
use minijinja::value::{Kwargs, Tuple, Value as Mj, ValueKind, from_args};

/// The widest string that padding may make.
const MAX_WIDTH: usize = 1 << 20;

/// The method `name` of the string, or `None` when strings have no such method.
pub(super) fn call(s: &str, name: &str, args: &[Mj]) -> Result<Option<Mj>, Error> {
    let none = || -> Result<(), Error> { from_args::<()>(args) };
    let chars_all = |f: fn(char) -> bool| Mj::from(!s.is_empty() && s.chars().all(f));
    Ok(Some(match name {
        "upper" => none().map(|()| Mj::from(s.to_uppercase()))?,
        "lower" | "casefold" => none().map(|()| Mj::from(s.to_lowercase()))?,
        "swapcase" => none().map(|()| Mj::from(s.chars().map(swap).collect::<String>()))?,
        "capitalize" => none().map(|()| Mj::from(capitalize(s)))?,
        "title" => none().map(|()| Mj::from(title(s)))?,
        "strip" | "lstrip" | "rstrip" => {
            let (set,): (Option<&str>,) = from_args(args)?;
            let drop = |c: char| match set {
                Some(set) => set.contains(c),
                None => c.is_whitespace(),
            };
            Mj::from(match name {
                "lstrip" => s.trim_start_matches(drop),
                "rstrip" => s.trim_end_matches(drop),
                _ => s.trim_matches(drop),
            })
        }
        "split" | "rsplit" => split(s, name == "rsplit", args)?,
        "splitlines" => {
            let (pos, kwargs): (&[Mj], Kwargs) = from_args(args)?;
            let keep = match pos.first() {
                Some(k) => k.is_true(),
                None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
            };
            let lines = if keep { pylines::with_ends(s) } else { pylines::lines(s) };
            Mj::from(lines.into_iter().map(Mj::from).collect::<Vec<_>>())
        }
        "join" => {
            let (items,): (Mj,) = from_args(args)?;
            Mj::from(join(s, &items)?)
        }
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            Mj::from(match count.and_then(|n| usize::try_from(n).ok()) {
                Some(n) => s.replacen(old, new, n),
                None => s.replace(old, new),
            })
        }
        "startswith" | "endswith" => {
            let (what, start, end): (Mj, Option<i64>, Option<i64>) = from_args(args)?;
            let part = window(s, start, end).1;
            let test = |v: &Mj| -> Result<bool, Error> {
                let Some(x) = v.as_str() else {
                    return Err(fail(format!("{name} first arg must be str or a tuple of str, not {}", type_name(v))));
                };
                Ok(if name == "startswith" { part.starts_with(x) } else { part.ends_with(x) })
            };
            if is_tuple(&what) {
                let mut any = false;
                for v in what.try_iter()? {
                    any |= test(&check(v)?)?;
                }
                Mj::from(any)
            } else {
                Mj::from(test(&what)?)
            }
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (what, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let (offset, part) = window(s, start, end);
            let at = if name.starts_with('r') { part.rfind(what) } else { part.find(what) };
            match at {
                Some(at) => Mj::from(offset + part.get(..at).unwrap_or("").chars().count()),
                None if name.ends_with("index") => return Err(fail("substring not found")),
                None => Mj::from(-1),
            }
        }
        "count" => {
            let (what, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let part = window(s, start, end).1;
            Mj::from(if what.is_empty() { part.chars().count() + 1 } else { part.matches(what).count() })
        }
        "center" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            Mj::from(justify(s, name, width, fill.unwrap_or(' '))?)
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match s.strip_prefix(['+', '-']) {
                Some(rest) => (s.get(..1).unwrap_or(""), rest),
                None => ("", s),
            };
            let padded = justify(digits, "rjust", width.saturating_sub(sign.len()), '0')?;
            Mj::from(format!("{sign}{padded}"))
        }
        "partition" | "rpartition" => {
            let (sep,): (&str,) = from_args(args)?;
            if sep.is_empty() {
                return Err(fail("empty separator"));
            }
            let found = if name == "partition" { s.split_once(sep) } else { s.rsplit_once(sep) };
            let three = match found {
                Some((a, b)) => [a, sep, b],
                None if name == "partition" => [s, "", ""],
                None => ["", "", s],
            };
            Mj::from(Tuple::new(three.into_iter().map(Mj::from).collect()))
        }
        "removeprefix" => {
            let (p,): (&str,) = from_args(args)?;
            Mj::from(s.strip_prefix(p).unwrap_or(s))
        }
        "removesuffix" => {
            let (p,): (&str,) = from_args(args)?;
            Mj::from(s.strip_suffix(p).unwrap_or(s))
        }
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(args)?;
            Mj::from(expand_tabs(s, size.unwrap_or(8).min(MAX_WIDTH)))
        }
        "format" => {
            let (pos, kwargs): (&[Mj], Kwargs) = from_args(args)?;
            Mj::from(format::braces(s, pos, &kwargs)?)
        }
        "format_map" => {
            let (map,): (Mj,) = from_args(args)?;
            let mut named = Vec::new();
            for key in map.try_iter()? {
                if let Some(k) = key.as_str() {
                    named.push((k.to_string(), map.get_item(&key)?));
                }
            }
            Mj::from(format::braces(s, &[], &Kwargs::from_iter(named))?)
        }
        // Bytes are text here: what a template prints of them is their text.
        "encode" | "decode" => Mj::from(s),
        "isdigit" | "isdecimal" => chars_all(|c| c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())),
        "isnumeric" => chars_all(char::is_numeric),
        "isalpha" => chars_all(char::is_alphabetic),
        "isalnum" => chars_all(char::is_alphanumeric),
        "isspace" => chars_all(char::is_whitespace),
        "isascii" => Mj::from(s.is_ascii()),
        "isprintable" => Mj::from(!s.chars().any(char::is_control)),
        "isupper" => Mj::from(s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase)),
        "islower" => Mj::from(s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase)),
        "istitle" => Mj::from(s.chars().any(char::is_alphabetic) && title(s) == s),
        "isidentifier" => Mj::from(
            s.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && s.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        _ => return Ok(None),
    }))
}

fn swap(c: char) -> char {
    let mut other = if c.is_uppercase() { c.to_lowercase().next() } else { c.to_uppercase().next() };
    other.take().unwrap_or(c)
}

fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

/// The part `s[start:end]` and the number of characters before it.
fn window(s: &str, start: Option<i64>, end: Option<i64>) -> (usize, &str) {
    if start.is_none() && end.is_none() {
        return (0, s);
    }
    let n = s.chars().count() as i64;
    let fix = |i: i64| (if i < 0 { i + n } else { i }).clamp(0, n) as usize;
    let (from, to) = (fix(start.unwrap_or(0)), fix(end.unwrap_or(n)));
    let byte = |i: usize| s.char_indices().nth(i).map_or(s.len(), |(at, _)| at);
    (from, s.get(byte(from)..byte(to)).unwrap_or(""))
}

fn split(s: &str, from_right: bool, args: &[Mj]) -> Result<Mj, Error> {
    let (pos, kwargs): (&[Mj], Kwargs) = from_args(args)?;
    let sep = pos.first().cloned().or_else(|| kwargs.peek("sep").ok()).filter(|v| !v.is_none());
    let max = pos.get(1).cloned().or_else(|| kwargs.peek("maxsplit").ok());
    let max = match max {
        Some(m) => usize::try_from(i64::try_from(m).map_err(|_| fail("maxsplit must be an integer"))?).ok(),
        None => None,
    };
    let parts: Vec<String> = match &sep {
        Some(sep) => {
            let Some(sep) = sep.as_str() else {
                return Err(fail(format!("must be str or None, not {}", type_name(sep))));
            };
            if sep.is_empty() {
                return Err(fail("empty separator"));
            }
            match (max, from_right) {
                (None, _) => s.split(sep).map(String::from).collect(),
                (Some(n), false) => s.splitn(n + 1, sep).map(String::from).collect(),
                (Some(n), true) => {
                    let mut parts: Vec<String> = s.rsplitn(n + 1, sep).map(String::from).collect();
                    parts.reverse();
                    parts
                }
            }
        }
        None => words(s, max, from_right),
    };
    Ok(Mj::from(parts.into_iter().map(Mj::from).collect::<Vec<_>>()))
}

fn words(s: &str, max: Option<usize>, from_right: bool) -> Vec<String> {
    let Some(max) = max else { return s.split_whitespace().map(String::from).collect() };
    let mut out = Vec::new();
    let mut rest = s.trim();
    while !rest.is_empty() {
        if out.len() == max {
            out.push(rest.to_string());
            break;
        }
        let cut = if from_right {
            rest.rsplit_once(char::is_whitespace).map(|(a, b)| (b, a))
        } else {
            rest.split_once(char::is_whitespace)
        };
        match cut {
            Some((word, more)) => {
                out.push(word.to_string());
                rest = more.trim();
            }
            None => {
                out.push(rest.to_string());
                break;
            }
        }
    }
    if from_right {
        out.reverse();
    }
    out
}

fn join(sep: &str, items: &Mj) -> Result<String, Error> {
    if let Some(s) = items.as_str() {
        return Ok(s.chars().map(|c| c.to_string()).collect::<Vec<_>>().join(sep));
    }
    let mut parts = Vec::new();
    for (i, item) in ops::members(items)?.into_iter().enumerate() {
        let item = check(item)?;
        if item.kind() != ValueKind::String {
            return Err(fail(format!("sequence item {i}: expected str instance, {} found", type_name(&item))));
        }
        parts.push(py_str(&item)?);
    }
    Ok(parts.join(sep))
}

fn justify(s: &str, how: &str, width: usize, fill: char) -> Result<String, Error> {
    if width > MAX_WIDTH {
        return Err(fail("width is too large"));
    }
    let missing = width.saturating_sub(s.chars().count());
    // Python gives the odd place of `center` to the left if the width is odd.
    let left = match how {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    let run = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    Ok(format!("{}{s}{}", run(left), run(missing - left)))
}

fn expand_tabs(s: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in s.chars() {
        match c {
            '\t' if size == 0 => {}
            '\t' => {
                let n = size - column % size;
                out.extend(std::iter::repeat_n(' ', n));
                column += n;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    out
}
