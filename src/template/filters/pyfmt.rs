//! Python's `%` formatting of text: the `format` filter and the `'%s' % x` operator.

use super::py::{self, Num, Py, Res, error, fail};
use minijinja::Value;

/// The parts of one conversion such as `%(name)-08.3f`.
#[derive(Default)]
struct Spec {
    left: bool,
    sign: bool,
    blank: bool,
    zero: bool,
    alternate: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Widths and precisions beyond this are refused: they only serve to exhaust memory.
const MAX_WIDTH: usize = 1_000_000;

/// `text % operand`: a tuple gives several values, a mapping gives names, anything else is one value.
pub fn percent(text: &str, operand: &Value) -> Res<String> {
    let mut values = match py::view(operand) {
        Py::Tuple => py::items(operand)?,
        _ => vec![operand.clone()],
    }
    .into_iter();
    let is_dict = matches!(py::view(operand), Py::Dict);
    let mut used_names = is_dict;
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut position = 0usize;
    let missing = || error("not enough arguments for format string");
    while let Some(c) = chars.next() {
        position += 1;
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        let mut value = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            position += 1;
            let (mut name, mut depth) = (String::new(), 1);
            loop {
                let Some(c) = chars.next() else { return fail("incomplete format key") };
                position += 1;
                match c {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                name.push(c);
            }
            if !is_dict {
                return fail("format requires a mapping");
            }
            used_names = true;
            let found = operand.get_item(&Value::from(name.as_str()))?;
            if found.is_undefined() {
                return fail(py::repr(&Value::from(name))?);
            }
            value = Some(found);
        }
        while let Some(c) = chars.peek() {
            match c {
                '-' => spec.left = true,
                '+' => spec.sign = true,
                ' ' => spec.blank = true,
                '0' => spec.zero = true,
                '#' => spec.alternate = true,
                _ => break,
            }
            chars.next();
            position += 1;
        }
        for part in 0..2 {
            if part == 1 {
                if chars.peek() != Some(&'.') {
                    break;
                }
                chars.next();
                position += 1;
            }
            let mut digits: Option<usize> = if part == 1 { Some(0) } else { None };
            if chars.peek() == Some(&'*') {
                chars.next();
                position += 1;
                let Py::Int(n) = py::view(&values.next().ok_or_else(missing)?) else { return fail("* wants int") };
                if part == 0 && n < 0 {
                    spec.left = true;
                }
                digits = usize::try_from(n.unsigned_abs()).ok();
            } else {
                while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                    chars.next();
                    position += 1;
                    digits = Some(digits.unwrap_or(0).saturating_mul(10).saturating_add(d as usize));
                }
            }
            if digits.is_some_and(|d| d > MAX_WIDTH) {
                return fail("width too big");
            }
            if part == 0 {
                spec.width = digits;
            } else {
                spec.precision = digits;
            }
        }
        while matches!(chars.peek(), Some('l' | 'L' | 'h')) {
            chars.next();
            position += 1;
        }
        let Some(kind) = chars.next() else { return fail("incomplete format") };
        position += 1;
        if kind == '%' {
            out.push('%');
            continue;
        }
        if !"diouxXeEfFgGcrsa".contains(kind) {
            return fail(format!(
                "unsupported format character '{kind}' ({:#x}) at index {}",
                kind as u32,
                position.saturating_sub(1)
            ));
        }
        let v = match value {
            Some(v) => v,
            None => values.next().ok_or_else(missing)?,
        };
        py::check(&v)?;
        out.push_str(&convert(kind, &spec, &v)?);
    }
    if !used_names && values.next().is_some() {
        return fail("not all arguments converted during string formatting");
    }
    Ok(out)
}

fn convert(kind: char, spec: &Spec, v: &Value) -> Res<String> {
    let (sign, digits) = match kind {
        's' | 'r' | 'a' => {
            let mut s = if kind == 's' { py::str(v)? } else { py::repr(v)? };
            if let Some(p) = spec.precision {
                s = s.chars().take(p).collect();
            }
            return Ok(pad(spec, "", &s, false));
        }
        'c' => {
            let c = match py::view(v) {
                Py::Int(i) => u32::try_from(i).ok().and_then(char::from_u32),
                Py::Str(s) if s.chars().count() == 1 => s.chars().next(),
                _ => return fail("%c requires int or char"),
            };
            let c = c.ok_or_else(|| error("%c arg not in range(0x110000)"))?;
            return Ok(pad(spec, "", &c.to_string(), false));
        }
        'd' | 'i' | 'u' => {
            let i = match py::number(v) {
                Some(Num::Int(i)) => i,
                Some(Num::Float(f)) if f.is_finite() => f.trunc() as i128,
                Some(Num::Float(_)) => return fail("cannot convert float infinity to integer"),
                None => {
                    return fail(format!("%{kind} format: a real number is required, not {}", py::type_name(v)));
                }
            };
            (i < 0, zeros(i.unsigned_abs().to_string(), spec.precision))
        }
        'o' | 'x' | 'X' => {
            let Some(Num::Int(i)) = py::number(v) else {
                return fail(format!("%{kind} format: an integer is required, not {}", py::type_name(v)));
            };
            let n = i.unsigned_abs();
            let (prefix, body) = match kind {
                'o' => ("0o", format!("{n:o}")),
                'x' => ("0x", format!("{n:x}")),
                _ => ("0X", format!("{n:X}")),
            };
            let body = zeros(body, spec.precision);
            (i < 0, if spec.alternate { format!("{prefix}{body}") } else { body })
        }
        _ => {
            let Some(n) = py::number(v) else { return fail(format!("must be real number, not {}", py::type_name(v))) };
            let x = n.float();
            (x.is_sign_negative() && !x.is_nan(), float(kind, x.abs(), spec.precision.unwrap_or(6), spec.alternate))
        }
    };
    let sign = if sign {
        "-"
    } else if spec.sign {
        "+"
    } else if spec.blank {
        " "
    } else {
        ""
    };
    Ok(pad(spec, sign, &digits, true))
}

fn zeros(digits: String, precision: Option<usize>) -> String {
    match precision {
        Some(p) if p > digits.len() => "0".repeat(p - digits.len()) + &digits,
        _ => digits,
    }
}

fn pad(spec: &Spec, sign: &str, body: &str, numeric: bool) -> String {
    let n = sign.len() + body.chars().count();
    let gap = spec.width.unwrap_or(0).saturating_sub(n);
    if spec.left {
        format!("{sign}{body}{}", " ".repeat(gap))
    } else if spec.zero && numeric {
        format!("{sign}{}{body}", "0".repeat(gap))
    } else {
        format!("{}{sign}{body}", " ".repeat(gap))
    }
}

/// C's `%e`, `%f` and `%g` of a number that is not negative.
fn float(kind: char, x: f64, precision: usize, alternate: bool) -> String {
    let upper = kind.is_ascii_uppercase();
    let text = if x.is_nan() {
        "nan".to_string()
    } else if x.is_infinite() {
        "inf".to_string()
    } else {
        match kind.to_ascii_lowercase() {
            'f' => format!("{x:.precision$}"),
            'e' => exponent(x, precision),
            _ => {
                let p = precision.max(1);
                let sci = exponent(x, p - 1);
                let exp: i32 = sci.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
                let text = if exp < -4 || exp >= p as i32 {
                    sci
                } else {
                    format!("{x:.*}", usize::try_from(p as i32 - 1 - exp).unwrap_or(0))
                };
                if alternate { text } else { trim_zeros(&text) }
            }
        }
    };
    if upper { text.to_uppercase() } else { text }
}

fn exponent(x: f64, precision: usize) -> String {
    let s = format!("{x:.precision$e}");
    let (mantissa, exp) = s.split_once('e').unwrap_or((&s, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.abs())
}

fn trim_zeros(s: &str) -> String {
    let (mantissa, exp) = match s.find('e') {
        Some(i) => s.split_at(i),
        None => (s, ""),
    };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}{exp}")
}
