//! Python's two ways of formatting strings: `'%s' % x` and `'{}'.format(x)`.

use super::convert::{fail, is_tuple, py_repr, py_str, type_name};
use super::ops::Num;
use crate::value::py_float;
use minijinja::Error;
use minijinja::value::{Kwargs, Value as Mj, ValueKind};

/// The widest field that a format may ask for.
const MAX_WIDTH: usize = 1 << 20;

#[derive(Default, Clone)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alt: bool,
    zero: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn pad(body: &str, sign: &str, spec: &Spec, default_align: char) -> String {
    let len = body.chars().count() + sign.chars().count();
    let missing = spec.width.saturating_sub(len);
    let fill = spec.fill.unwrap_or(if spec.zero && spec.align.is_none() { '0' } else { ' ' });
    let align = spec.align.unwrap_or(if spec.zero { '=' } else { default_align });
    let run = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    match align {
        '<' => format!("{sign}{body}{}", run(missing)),
        '^' => format!("{}{sign}{body}{}", run(missing / 2), run(missing - missing / 2)),
        '=' => format!("{sign}{}{body}", run(missing)),
        _ => format!("{}{sign}{body}", run(missing)),
    }
}

fn group_digits(digits: &str, sep: char, every: usize) -> String {
    let n = digits.len();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (n - i).is_multiple_of(every) {
            out.push(sep);
        }
        out.push(c);
    }
    out
}

fn sign_of(negative: bool, spec: &Spec) -> String {
    match (negative, spec.sign) {
        (true, _) => "-".into(),
        (false, Some(s @ ('+' | ' '))) => s.to_string(),
        _ => String::new(),
    }
}

fn format_int(i: i128, spec: &Spec, kind: char) -> String {
    let abs = i.unsigned_abs();
    let (prefix, digits) = match kind {
        'x' => ("0x", format!("{abs:x}")),
        'X' => ("0X", format!("{abs:X}")),
        'o' => ("0o", format!("{abs:o}")),
        'b' => ("0b", format!("{abs:b}")),
        _ => ("", abs.to_string()),
    };
    let digits = match spec.group {
        Some(g) => group_digits(&digits, g, if prefix.is_empty() { 3 } else { 4 }),
        None => digits,
    };
    let sign = sign_of(i < 0, spec) + if spec.alt { prefix } else { "" };
    pad(&digits, &sign, spec, '>')
}

/// `%e` style: mantissa, sign and two exponent digits at least.
fn exponent(f: f64, precision: usize, upper: bool) -> String {
    let s = format!("{f:.precision$e}");
    let (m, e) = s.split_once('e').unwrap_or((&s, "0"));
    let e: i32 = e.parse().unwrap_or(0);
    let letter = if upper { 'E' } else { 'e' };
    format!("{m}{letter}{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
}

fn general(f: f64, precision: usize, alt: bool, upper: bool) -> String {
    let p = precision.max(1);
    if f == 0.0 {
        return "0".into();
    }
    let e = exponent(f, p - 1, upper);
    let exp: i32 = e.rsplit(['e', 'E']).next().and_then(|x| x.parse().ok()).unwrap_or(0);
    let strip = |s: String| -> String {
        if alt || !s.contains('.') {
            return s;
        }
        s.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    if exp < -4 || exp >= p as i32 {
        let at = e.find(['e', 'E']).unwrap_or(e.len());
        let (m, x) = e.split_at(at);
        strip(m.to_string()) + x
    } else {
        strip(format!("{f:.*}", (p as i32 - 1 - exp).max(0) as usize))
    }
}

fn format_float(f: f64, spec: &Spec, kind: char) -> String {
    let precision = spec.precision.unwrap_or(6);
    let upper = kind.is_uppercase();
    let abs = f.abs();
    let mut body = if !f.is_finite() {
        let s = py_float(abs);
        if upper { s.to_uppercase() } else { s }
    } else {
        match kind.to_ascii_lowercase() {
            'f' => format!("{abs:.precision$}"),
            'e' => exponent(abs, precision, upper),
            'g' => general(abs, precision, spec.alt, upper),
            '%' => format!("{:.precision$}%", abs * 100.0),
            _ => match spec.precision {
                Some(p) => general(abs, p, spec.alt, upper),
                None => py_float(abs),
            },
        }
    };
    if let Some(g) = spec.group {
        let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
        let (whole, rest) = body.split_at(end);
        body = group_digits(whole, g, 3) + rest;
    }
    pad(&body, &sign_of(f.is_sign_negative() && !f.is_nan(), spec), spec, '>')
}

fn format_text(s: &str, spec: &Spec, default_align: char) -> String {
    let cut: String = match spec.precision {
        Some(p) => s.chars().take(p).collect(),
        None => s.to_string(),
    };
    pad(&cut, "", &Spec { zero: false, ..spec.clone() }, default_align)
}

/// `format % value`
pub fn percent(format: &str, value: &Mj) -> Result<String, Error> {
    let tuple = is_tuple(value);
    let items: Vec<Mj> = if tuple { value.try_iter()?.collect() } else { vec![value.clone()] };
    let mapping = value.kind() == ValueKind::Map;
    let mut next = 0usize;
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        let mut named: Option<Mj> = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
            if !mapping {
                return Err(fail("format requires a mapping"));
            }
            let found = value.get_item(&Mj::from(name.as_str()))?;
            if found.is_undefined() {
                return Err(fail(format!("'{name}'")));
            }
            named = Some(super::convert::check(found)?);
        }
        while let Some(f) = chars.peek().copied().filter(|c| "-+ #0".contains(*c)) {
            chars.next();
            match f {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alt = true,
                _ => spec.zero = true,
            }
        }
        let mut take = || -> Result<Mj, Error> {
            let v = items.get(next).cloned().ok_or_else(|| fail("not enough arguments for format string"))?;
            next += 1;
            super::convert::check(v)
        };
        let star = |v: Mj| usize::try_from(v).map_err(|_| fail("* wants int"));
        if chars.peek() == Some(&'*') {
            chars.next();
            spec.width = star(take()?)?;
        } else {
            spec.width = digits(&mut chars).unwrap_or(0);
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            spec.precision = if chars.peek() == Some(&'*') {
                chars.next();
                Some(star(take()?)?)
            } else {
                Some(digits(&mut chars).unwrap_or(0))
            };
        }
        bounded(&spec)?;
        while chars.peek().is_some_and(|c| "hlL".contains(*c)) {
            chars.next();
        }
        let Some(kind) = chars.next() else { return Err(fail("incomplete format")) };
        if kind == '%' {
            out.push('%');
            continue;
        }
        if spec.align.is_some() {
            spec.zero = false;
        }
        let arg = match named {
            Some(v) => v,
            None => take()?,
        };
        out.push_str(&percent_one(&arg, &spec, kind)?);
    }
    if next < items.len() && !mapping && !(next == 0 && !tuple && value.kind() == ValueKind::Seq) {
        return Err(fail("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut n: Option<usize> = None;
    while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        n = Some(n.unwrap_or(0).saturating_mul(10).saturating_add(d as usize));
    }
    n
}

fn bounded(spec: &Spec) -> Result<(), Error> {
    if spec.width > MAX_WIDTH || spec.precision.unwrap_or(0) > MAX_WIDTH {
        return Err(fail("format width is too large"));
    }
    Ok(())
}

fn percent_one(arg: &Mj, spec: &Spec, kind: char) -> Result<String, Error> {
    let number = || Num::of(arg);
    Ok(match kind {
        's' => format_text(&py_str(arg)?, spec, '>'),
        'r' | 'a' => format_text(&py_repr(arg)?, spec, '>'),
        'd' | 'i' | 'u' => match number() {
            Some(Num::Int(i)) => format_int(i, spec, 'd'),
            Some(Num::Float(f)) => format_int(f.trunc() as i128, spec, 'd'),
            None => {
                return Err(fail(format!("%{kind} format: a real number is required, not {}", type_name(arg))));
            }
        },
        'x' | 'X' | 'o' => match number() {
            Some(Num::Int(i)) => format_int(i, spec, kind),
            _ => return Err(fail(format!("%{kind} format: an integer is required, not {}", type_name(arg)))),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match number() {
            Some(Num::Int(i)) => format_float(i as f64, spec, kind),
            Some(Num::Float(f)) => format_float(f, spec, kind),
            None => return Err(fail(format!("must be real number, not {}", type_name(arg)))),
        },
        'c' => match (arg.as_str(), number()) {
            (Some(s), _) if s.chars().count() == 1 => format_text(s, spec, '>'),
            (_, Some(Num::Int(i))) => {
                let c = u32::try_from(i).ok().and_then(char::from_u32);
                format_text(&c.ok_or_else(|| fail("%c arg not in range(0x110000)"))?.to_string(), spec, '>')
            }
            _ => return Err(fail("%c requires int or char")),
        },
        other => {
            return Err(fail(format!("unsupported format character '{other}' (0x{:x})", other as u32)));
        }
    })
}

/// `format.format(*args, **kwargs)`
pub fn braces(format: &str, args: &[Mj], kwargs: &Kwargs) -> Result<String, Error> {
    let mut auto = 0usize;
    fill(format, args, kwargs, &mut auto, 0)
}

fn fill(format: &str, args: &[Mj], kwargs: &Kwargs, auto: &mut usize, depth: usize) -> Result<String, Error> {
    if depth > 2 {
        return Err(fail("Max string recursion exceeded"));
    }
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.peek() == Some(&'{') => {
                chars.next();
                out.push('{');
            }
            '}' if chars.peek() == Some(&'}') => {
                chars.next();
                out.push('}');
            }
            '}' => return Err(fail("Single '}' encountered in format string")),
            '{' => {
                let mut field = String::new();
                let mut level = 1;
                for c in chars.by_ref() {
                    match c {
                        '{' => level += 1,
                        '}' => level -= 1,
                        _ => {}
                    }
                    if level == 0 {
                        break;
                    }
                    field.push(c);
                }
                if level != 0 {
                    return Err(fail("expected '}' before end of string"));
                }
                out.push_str(&fill_one(&field, args, kwargs, auto, depth)?);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn fill_one(field: &str, args: &[Mj], kwargs: &Kwargs, auto: &mut usize, depth: usize) -> Result<String, Error> {
    let (name, spec) = match field.find(':') {
        Some(at) => (field.get(..at).unwrap_or(""), field.get(at + 1..).unwrap_or("")),
        None => (field, ""),
    };
    let (name, conversion) = match name.rsplit_once('!') {
        Some((n, c)) => (n, Some(c)),
        None => (name, None),
    };
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut path) = name.split_at(end);
    let mut value = if first.is_empty() {
        *auto += 1;
        positional(args, *auto - 1)?
    } else if let Ok(i) = first.parse::<usize>() {
        positional(args, i)?
    } else {
        kwargs.peek::<Mj>(first).map_err(|_| fail(format!("'{first}'")))?
    };
    while !path.is_empty() {
        let (key, rest) = if let Some(p) = path.strip_prefix('.') {
            p.split_at(p.find(['.', '[']).unwrap_or(p.len()))
        } else if let Some((key, rest)) = path.strip_prefix('[').and_then(|p| p.split_once(']')) {
            (key, rest)
        } else {
            return Err(fail("Only '.' or '[' may follow ']' in format field specifier"));
        };
        if path.starts_with('.') {
            return Err(fail(format!("'{}' object has no attribute '{key}'", type_name(&value))));
        }
        let key = key.parse::<i64>().map(Mj::from).unwrap_or_else(|_| Mj::from(key));
        value = super::convert::check(super::helpers::item(&value, &key)?)?;
        path = rest;
    }
    let value = match conversion {
        None => value,
        Some("r" | "a") => Mj::from(py_repr(&value)?),
        Some("s") => Mj::from(py_str(&value)?),
        Some(other) => return Err(fail(format!("Unknown conversion specifier '{other}'"))),
    };
    let spec = fill(spec, args, kwargs, auto, depth + 1)?;
    format_value(&value, &spec)
}

fn positional(args: &[Mj], i: usize) -> Result<Mj, Error> {
    args.get(i).cloned().ok_or_else(|| fail(format!("Replacement index {i} out of range for positional args tuple")))
}

/// Python's `format(value, spec)`.
pub fn format_value(v: &Mj, spec: &str) -> Result<String, Error> {
    if spec.is_empty() {
        return py_str(v);
    }
    let spec = parse_spec(spec)?;
    bounded(&spec)?;
    let kind = spec.kind;
    let bad = || fail(format!("Unknown format code '{}' for object of type '{}'", kind.unwrap_or(' '), type_name(v)));
    match (Num::of(v), v.as_str()) {
        (Some(Num::Int(i)), _) => match kind {
            None | Some('d' | 'n' | 'x' | 'X' | 'o' | 'b') => Ok(format_int(i, &spec, kind.unwrap_or('d'))),
            Some('c') => Ok(format_text(
                &u32::try_from(i).ok().and_then(char::from_u32).ok_or_else(bad)?.to_string(),
                &spec,
                '<',
            )),
            Some(k @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(format_float(i as f64, &spec, k)),
            _ => Err(bad()),
        },
        (Some(Num::Float(f)), _) => match kind {
            None => Ok(format_float(f, &spec, 'r')),
            Some('n') => Ok(format_float(f, &spec, 'g')),
            Some(k @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(format_float(f, &spec, k)),
            _ => Err(bad()),
        },
        (None, Some(s)) => match kind {
            None | Some('s') => Ok(format_text(s, &spec, '<')),
            _ => Err(bad()),
        },
        _ => Err(fail(format!("unsupported format string passed to {}.__format__", type_name(v)))),
    }
}

fn parse_spec(text: &str) -> Result<Spec, Error> {
    let all: Vec<char> = text.chars().collect();
    let mut spec = Spec::default();
    let mut at = 0;
    let peek = |i: usize| all.get(i).copied();
    let is_align = |c: Option<char>| c.is_some_and(|c| "<>^=".contains(c));
    if is_align(peek(1)) {
        spec.fill = peek(0);
        spec.align = peek(1);
        at = 2;
    } else if is_align(peek(0)) {
        spec.align = peek(0);
        at = 1;
    }
    if let Some(s) = peek(at).filter(|c| "+- ".contains(*c)) {
        spec.sign = Some(s);
        at += 1;
    }
    if peek(at) == Some('#') {
        spec.alt = true;
        at += 1;
    }
    if peek(at) == Some('0') {
        spec.zero = true;
        at += 1;
    }
    let number = |at: &mut usize| {
        let mut n: Option<usize> = None;
        while let Some(d) = peek(*at).and_then(|c| c.to_digit(10)) {
            n = Some(n.unwrap_or(0).saturating_mul(10).saturating_add(d as usize));
            *at += 1;
        }
        n
    };
    spec.width = number(&mut at).unwrap_or(0);
    if let Some(g) = peek(at).filter(|c| ",_".contains(*c)) {
        spec.group = Some(g);
        at += 1;
    }
    if peek(at) == Some('.') {
        at += 1;
        spec.precision = Some(number(&mut at).ok_or_else(|| fail("Format specifier missing precision"))?);
    }
    if let Some(k) = peek(at) {
        spec.kind = Some(k);
        at += 1;
    }
    if at < all.len() {
        return Err(fail(format!("Invalid format specifier '{text}'")));
    }
    Ok(spec)
}
