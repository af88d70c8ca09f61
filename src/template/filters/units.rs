//! Filters between numbers of bytes and text for people.

use super::numbers::{parse_float, parse_int};
use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("filesizeformat", "value, binary=", filesizeformat),
    f("human_readable", "size, isbits=, unit=", human_readable),
    f("human_to_bytes", "size, default_unit=, isbits=", human_to_bytes),
];

fn filesizeformat(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    let bytes = match py::view(v) {
        Py::Str(s) => parse_float(s)
            .ok_or_else(|| error(format!("could not convert string to float: {}", py::repr(v).unwrap_or_default())))?,
        _ => match py::number(v) {
            Some(n) => n.float(),
            None => {
                return fail(format!("float() argument must be a string or a real number, not '{}'", py::type_name(v)));
            }
        },
    };
    let binary = a.flag("binary", false)?;
    let base = if binary { 1024f64 } else { 1000f64 };
    if bytes == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::from(format!("{} Bytes", bytes.trunc() as i128)));
    }
    let units = "kMGTPEZY";
    let mut unit = base;
    let mut text = String::new();
    for letter in units.chars() {
        unit *= base;
        text = match binary {
            true => format!("{:.1} {}iB", base * bytes / unit, letter.to_ascii_uppercase()),
            false => format!("{:.1} {letter}B", base * bytes / unit),
        };
        if bytes < unit {
            break;
        }
    }
    Ok(Value::from(text))
}

const RANGES: &[(char, i128)] = &[
    ('Y', 1 << 80),
    ('Z', 1 << 70),
    ('E', 1 << 60),
    ('P', 1 << 50),
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
    ('B', 1),
];

fn human_readable(_: &mut State, a: &Args) -> Res {
    let v = a.val("size");
    let size = match py::number(v) {
        Some(n) => n.float(),
        None => {
            return fail(format!(
                "human_readable() failed on bad input: '>=' not supported between instances of '{}' and 'int'",
                py::type_name(v)
            ));
        }
    };
    let bits = a.flag("isbits", false)?;
    let unit = a.text_opt("unit")?.map(|u| u.to_uppercase());
    let mut chosen = None;
    for (letter, limit) in RANGES {
        let hit = match &unit {
            None => size >= *limit as f64,
            Some(u) => u == &letter.to_string(),
        };
        if hit {
            chosen = Some((*letter, *limit));
            break;
        }
    }
    let base = if bits { "bits" } else { "Bytes" };
    // without a unit that fits the number is shown as it is
    let (letter, limit) = chosen.unwrap_or(('B', 1));
    let suffix = match letter {
        'B' => base.to_string(),
        c if bits => format!("{c}b"),
        c => format!("{c}B"),
    };
    Ok(Value::from(format!("{:.2} {suffix}", size / limit as f64)))
}

fn human_to_bytes(_: &mut State, a: &Args) -> Res {
    let v = a.val("size");
    let default = a.text_opt("default_unit")?;
    let bits = a.flag("isbits", false)?;
    let text = py::str(v)?;
    let bad = |why: String| error(format!("human_to_bytes() can't interpret the input: human_to_bytes() {why}"));
    let trimmed = text.trim_start();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let number_of = |s: &str| parse_int(s, 10).map(|i| i as f64).or_else(|| parse_float(s));
    if number.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad(format!("can't interpret following string: {text}")));
    }
    let Some(n) = number_of(number) else {
        return Err(bad(format!("can't interpret following number: {number} (original input string: {text})")));
    };
    let unit = unit.trim();
    if !unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(bad(format!("can't interpret following string: {text}")));
    }
    let unit = unit.to_string();
    let unit = if unit.is_empty() { default.unwrap_or_default() } else { unit };
    if unit.is_empty() {
        return Ok(py::int(n.round_ties_even() as i128));
    }
    let letter = unit.chars().next().unwrap_or('B').to_ascii_uppercase();
    let Some((_, limit)) = RANGES.iter().find(|(l, _)| *l == letter) else {
        return Err(bad(format!(
            "failed to convert {text} (unit = {unit}). The suffix must be one of Y, Z, E, P, T, G, M, K, B"
        )));
    };
    // a lone letter is a unit of either kind; longer words must be of the kind asked for
    if unit.len() > 1 {
        let expected = if bits { "b" } else { "B" };
        let word = if bits { "bit" } else { "byte" };
        let name = match letter {
            'B' => "",
            'K' => "kilo",
            'M' => "mega",
            'G' => "giga",
            'T' => "tera",
            'P' => "peta",
            'E' => "exa",
            'Z' => "zetta",
            _ => "yotta",
        };
        let short = unit == format!("{letter}{expected}");
        if unit.to_lowercase() != format!("{name}{word}") && !short {
            let (pair, other) = match letter {
                'B' => (expected.to_string(), word.to_string()),
                l => (format!("{l}{expected}"), l.to_string()),
            };
            return Err(bad(format!(
                "failed to convert {text}. Value is not a valid string (expect {pair} or {other})"
            )));
        }
    }
    Ok(py::int((n * *limit as f64).round_ties_even() as i128))
}
