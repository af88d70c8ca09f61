//! What a plain scalar means: YAML 1.1 as PyYAML resolves it (`yes` is a boolean and `y` is not,
//! `010` is 8, `1:30` is 90, `1e3` is text), or JSON's rules for JSON files.

use super::node::NodeKind;

/// The meaning of a plain (unquoted) scalar.
pub fn plain(s: &str) -> NodeKind {
    match s.as_bytes().first() {
        None => NodeKind::Null,
        Some(b'~') if s == "~" => NodeKind::Null,
        Some(b'n' | b'N') if is_null(s) => NodeKind::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            boolean(s).map_or_else(|| text(s), NodeKind::Bool)
        }
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(s),
        _ => text(s),
    }
}

/// The meaning of a bare word in JSON text.
pub fn json(s: &str) -> NodeKind {
    match s {
        "null" => NodeKind::Null,
        "true" => NodeKind::Bool(true),
        "false" => NodeKind::Bool(false),
        _ if s.contains(['.', 'e', 'E']) => s.parse().map_or_else(|_| text(s), NodeKind::Float),
        _ => s.parse().map_or_else(|_| text(s), NodeKind::Int),
    }
}

fn text(s: &str) -> NodeKind {
    NodeKind::Str(s.into())
}

/// `~`, `null`, `Null`, `NULL` and nothing.
pub fn is_null(s: &str) -> bool {
    matches!(s, "" | "~" | "null" | "Null" | "NULL")
}

/// YAML 1.1's boolean words in the three cases PyYAML knows.
pub fn boolean(s: &str) -> Option<bool> {
    match s {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number(s: &str) -> NodeKind {
    if let Some(f) = float(s) {
        return NodeKind::Float(f);
    }
    if let Some(i) = int(s) {
        return NodeKind::Int(i);
    }
    match timestamp(s) {
        Some(t) => NodeKind::Str(t.into()),
        None => text(s),
    }
}

fn split_sign(s: &str) -> (bool, &str) {
    match s.as_bytes().first() {
        Some(b'-') => (true, s.get(1..).unwrap_or("")),
        Some(b'+') => (false, s.get(1..).unwrap_or("")),
        _ => (false, s),
    }
}

fn digits(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// `:5` or `:05` parts, `60` and above not allowed.
fn sixty(part: &str) -> bool {
    match part.as_bytes() {
        [d] => d.is_ascii_digit(),
        [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
        _ => false,
    }
}

/// The integer that PyYAML sees in `s`: decimal, `0b`, `0x`, octal with a leading 0, base 60.
pub fn int(s: &str) -> Option<i128> {
    let (neg, body) = split_sign(s);
    let clean = |t: &str| t.replace('_', "");
    let value = if body == "0" {
        0
    } else if let Some(b) = body.strip_prefix("0b") {
        if !b.bytes().all(|c| matches!(c, b'0' | b'1' | b'_')) {
            return None;
        }
        i128::from_str_radix(&clean(b), 2).ok()?
    } else if let Some(h) = body.strip_prefix("0x") {
        if !h.bytes().all(|c| c.is_ascii_hexdigit() || c == b'_') {
            return None;
        }
        i128::from_str_radix(&clean(h), 16).ok()?
    } else if let Some(o) = body.strip_prefix('0') {
        if !o.bytes().all(|c| (b'0'..=b'7').contains(&c) || c == b'_') {
            return None;
        }
        let o = clean(o);
        if o.is_empty() { 0 } else { i128::from_str_radix(&o, 8).ok()? }
    } else if body.starts_with(|c: char| c.is_ascii_digit()) {
        let mut parts = body.split(':');
        let first = parts.next()?;
        if !digits(first) {
            return None;
        }
        let mut v: i128 = clean(first).parse().ok()?;
        for p in parts {
            if !sixty(p) {
                return None;
            }
            v = v.checked_mul(60)?.checked_add(p.parse().ok()?)?;
        }
        v
    } else {
        return None;
    };
    Some(if neg { -value } else { value })
}

/// The float that PyYAML sees in `s`: there must be a dot, and an exponent must have a sign.
pub fn float(s: &str) -> Option<f64> {
    let (neg, body) = split_sign(s);
    let signed = |v: f64| Some(if neg { -v } else { v });
    match body {
        ".inf" | ".Inf" | ".INF" => return signed(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if body.len() == s.len() => return Some(f64::NAN),
        _ => {}
    }
    let (whole, rest) = body.split_once('.')?;
    if whole.contains(':') {
        let mut parts = whole.split(':');
        let first = parts.next()?;
        if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) || !digits(rest) {
            return None;
        }
        let mut v: f64 = first.replace('_', "").parse().ok()?;
        for p in parts {
            if !sixty(p) {
                return None;
            }
            v = v * 60.0 + p.parse::<f64>().ok()?;
        }
        let fraction: f64 = format!("0.{}0", rest.replace('_', "")).parse().ok()?;
        return signed(v + fraction);
    }
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(i) => (rest.get(..i)?, Some(rest.get(i + 1..)?)),
        None => (rest, None),
    };
    if let Some(e) = exponent {
        let d = e.strip_prefix(['+', '-'])?;
        if d.is_empty() || !d.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    if whole.is_empty() {
        // `.5` has no sign in PyYAML's pattern, and needs a digit first.
        if body.len() != s.len() || !fraction.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
    } else if !whole.starts_with(|c: char| c.is_ascii_digit()) || !digits(whole) {
        return None;
    }
    if !digits(fraction) {
        return None;
    }
    let clean = format!("0{whole}.{fraction}0{}", exponent.map(|e| format!("e{e}")).unwrap_or_default());
    signed(clean.replace('_', "").parse().ok()?)
}

/// A date or a time as Python prints it (`2020-01-01`, `2020-01-01 10:00:00.500000+02:00`); there is no
/// date type here, templates show this text.
pub fn timestamp(s: &str) -> Option<String> {
    let b = s.as_bytes();
    if b.len() < 8 || !b.get(..4)?.iter().all(u8::is_ascii_digit) || b.get(4) != Some(&b'-') {
        return None;
    }
    let take = |from: &mut usize, max: usize| -> Option<u32> {
        let start = *from;
        while *from < start + max && b.get(*from).is_some_and(u8::is_ascii_digit) {
            *from += 1;
        }
        s.get(start..*from)?.parse().ok()
    };
    let year: u32 = s.get(..4)?.parse().ok()?;
    let mut at = 5;
    let month = take(&mut at, 2)?;
    if b.get(at) != Some(&b'-') {
        return None;
    }
    at += 1;
    let day = take(&mut at, 2)?;
    if year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if at == b.len() {
        return (b.len() == 10).then(|| s.to_string());
    }
    match b.get(at)? {
        b'T' | b't' => at += 1,
        b' ' | b'\t' => {
            while matches!(b.get(at), Some(b' ' | b'\t')) {
                at += 1;
            }
        }
        _ => return None,
    }
    let hour = take(&mut at, 2)?;
    let mut two = || -> Option<u32> {
        if b.get(at) != Some(&b':') || !b.get(at + 1..at + 3)?.iter().all(u8::is_ascii_digit) {
            return None;
        }
        at += 3;
        s.get(at - 2..at)?.parse().ok()
    };
    let (minute, second) = (two()?, two()?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut out = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if b.get(at) == Some(&b'.') {
        at += 1;
        let start = at;
        while b.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        let micro: String = s.get(start..at)?.chars().chain("000000".chars()).take(6).collect();
        if micro != "000000" {
            out += &format!(".{micro}");
        }
    }
    while matches!(b.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    match b.get(at) {
        None => return Some(out),
        Some(b'Z') if at + 1 == b.len() => return Some(out + "+00:00"),
        Some(b'+' | b'-') => {}
        _ => return None,
    }
    let sign = char::from(*b.get(at)?);
    at += 1;
    let tz_hour = take(&mut at, 2)?;
    if b.get(at) == Some(&b':') {
        at += 1;
    }
    let tz_min = if at == b.len() { 0 } else { take(&mut at, 2)? };
    (at == b.len()).then(|| format!("{out}{sign}{tz_hour:02}:{tz_min:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(s: &str) -> String {
        match plain(s) {
            NodeKind::Null => "None".into(),
            NodeKind::Bool(b) => format!("{b}"),
            NodeKind::Int(i) => format!("i{i}"),
            NodeKind::Float(f) => format!("f{}", crate::value::py_float(f)),
            NodeKind::Str(s) => format!("s{s}"),
            other => format!("{other:?}"),
        }
    }

    // Recorded from yaml.load(text, Loader=yaml.CSafeLoader), PyYAML 6.0.3.
    #[test]
    fn scalars_as_pyyaml() {
        for (text, want) in [
            ("yes", "true"),
            ("No", "false"),
            ("oN", "soN"),
            ("y", "sy"),
            ("~", "None"),
            ("Null", "None"),
            ("nULL", "snULL"),
            ("010", "i8"),
            ("0o7", "s0o7"),
            ("09", "s09"),
            ("0b101", "i5"),
            ("0x1F", "i31"),
            ("-0x1f", "i-31"),
            ("1_000", "i1000"),
            ("1:30", "i90"),
            ("1:60", "s1:60"),
            ("190:20:30", "i685230"),
            ("01:30", "s01:30"),
            ("1e3", "s1e3"),
            ("1.0e3", "s1.0e3"),
            ("1.0e+3", "f1000.0"),
            ("1.", "f1.0"),
            (".5", "f0.5"),
            ("-.5", "s-.5"),
            ("+1.5", "f1.5"),
            ("1_0.2_5", "f10.25"),
            ("190:20:30.15", "f685230.15"),
            (".inf", "finf"),
            ("-.INF", "f-inf"),
            (".NaN", "fnan"),
            ("-", "s-"),
            ("+", "s+"),
            (".", "s."),
            ("1.2.3", "s1.2.3"),
            ("0", "i0"),
            ("-0", "i0"),
            ("18446744073709551615", "i18446744073709551615"),
            ("2020-01-01", "s2020-01-01"),
            ("2001-12-14t21:59:43.10-05:00", "s2001-12-14 21:59:43.100000-05:00"),
            ("2001-12-14 21:59:43.10 -5", "s2001-12-14 21:59:43.100000-05:00"),
            ("2001-12-15 2:59:43", "s2001-12-15 02:59:43"),
            ("2001-12-15T02:59:43Z", "s2001-12-15 02:59:43+00:00"),
            ("=", "s="),
            ("12e03", "s12e03"),
            ("0.", "f0.0"),
            ("00", "i0"),
            ("1__0", "i10"),
        ] {
            assert_eq!(show(text), want, "{text}");
        }
    }

    #[test]
    fn json_words() {
        assert!(matches!(json("1e3"), NodeKind::Float(f) if f == 1000.0));
        assert!(matches!(json("-5"), NodeKind::Int(-5)));
        assert!(matches!(json("null"), NodeKind::Null));
    }
}
