//! Filters about HTML and XML markup.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("escape", "s", escape_filter),
    f("e", "s", escape_filter),
    f("forceescape", "value", |_, a| Ok(Value::from_safe_string(escape(&a.text("value")?)))),
    f("safe", "value", |_, a| Ok(Value::from_safe_string(a.text("value")?))),
    f("striptags", "value", |_, a| Ok(Value::from(strip_tags(&a.text("value")?)))),
    f("xmlattr", "d, autospace=", xmlattr),
];

/// Text with `& < > ' "` as entities.
pub fn escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_filter(_: &mut State, a: &Args) -> Res {
    let v = a.val("s");
    if v.is_safe() { Ok(v.clone()) } else { Ok(Value::from_safe_string(escape(&py::str(v)?))) }
}

fn xmlattr(_: &mut State, a: &Args) -> Res {
    let d = a.val("d");
    if !matches!(py::view(d), Py::Dict) {
        return fail(format!("'{}' object has no attribute 'items'", py::type_name(d)));
    }
    let mut out = vec![];
    for (k, v) in py::pairs(d)? {
        if v.is_none() {
            continue;
        }
        let key = py::str(&k)?;
        if key.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '>' | '=')) {
            return fail(format!("Invalid character in attribute name: {}", py::repr(&k)?));
        }
        out.push(format!("{}=\"{}\"", escape(&key), escape(&py::str(&v)?)));
    }
    let mut text = out.join(" ");
    if !text.is_empty() && a.flag("autospace", true)? {
        text.insert(0, ' ');
    }
    Ok(Value::from(text))
}

/// Comments and tags are dropped, runs of blanks become one, entities become characters.
fn strip_tags(s: &str) -> String {
    let mut text = s.to_string();
    while let Some(start) = text.find("<!--")
        && let Some(len) = text.get(start..).and_then(|t| t.find("-->"))
    {
        text.replace_range(start..start + len + 3, "");
    }
    while let Some(start) = text.find('<')
        && let Some(len) = text.get(start..).and_then(|t| t.find('>'))
    {
        text.replace_range(start..start + len + 1, "");
    }
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    unescape(&joined)
}

/// Numeric entities and the named ones that occur in practice.
fn unescape(s: &str) -> String {
    let mut out = String::new();
    let mut rest = s;
    while let Some(at) = rest.find('&') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let end = tail.find(';').filter(|e| *e <= 12);
        let known = end.and_then(|e| tail.get(1..e)).and_then(entity);
        match (known, end) {
            (Some(c), Some(e)) => {
                out.push(c);
                rest = tail.get(e + 1..).unwrap_or("");
            }
            _ => {
                out.push('&');
                rest = tail.get(1..).unwrap_or("");
            }
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "copy" => '©',
        "reg" => '®',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "laquo" => '«',
        "raquo" => '»',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "middot" => '·',
        "euro" => '€',
        "pound" => '£',
        "sect" => '§',
        "deg" => '°',
        "plusmn" => '±',
        "times" => '×',
        "trade" => '™',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "ntilde" => 'ñ',
        _ => return None,
    })
}
