//! Filters that calculate.

use super::py::{self, Num, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("abs", "x", abs),
    f("int", "value, default=, base=", int),
    f("float", "value, default=", float),
    f("round", "value, precision=, method=", round),
    f("sum", "iterable, attribute=, start=", sum),
    f("log", "x, base=", log),
    f("pow", "x, y", pow),
    f("root", "x, base=", root),
];

fn abs(_: &mut State, a: &Args) -> Res {
    match py::number(a.val("x")) {
        Some(Num::Int(i)) => Ok(py::int(i.checked_abs().ok_or_else(|| error("integer out of range"))?)),
        Some(Num::Float(x)) => Ok(Value::from(x.abs())),
        None => fail(format!("bad operand type for abs(): '{}'", py::type_name(a.val("x")))),
    }
}

/// Python's `int(text, base)`: blanks around, a sign, underscores between digits, a prefix.
pub fn parse_int(text: &str, base: u32) -> Option<i128> {
    let s = text.trim();
    let (negative, s) = match s.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    let lower = s.to_ascii_lowercase();
    let prefixed = |p: &str| lower.strip_prefix(p).map(str::to_string);
    let (base, digits) = match base {
        0 => match (prefixed("0x"), prefixed("0o"), prefixed("0b")) {
            (Some(d), _, _) => (16, d),
            (_, Some(d), _) => (8, d),
            (_, _, Some(d)) => (2, d),
            // without a prefix a leading zero is an error, in Python as here
            _ if lower.len() > 1 && lower.starts_with('0') && !lower.trim_matches(['0', '_']).is_empty() => {
                return None;
            }
            _ => (10, lower.clone()),
        },
        16 => (16, prefixed("0x").unwrap_or(lower)),
        8 => (8, prefixed("0o").unwrap_or(lower)),
        2 => (2, prefixed("0b").unwrap_or(lower)),
        n if n > 1 && n <= 36 => (base, lower),
        _ => return None,
    };
    if digits.is_empty()
        || digits.starts_with(['_', '-', '+']) && base != 0
        || digits.ends_with('_')
        || digits.contains("__")
    {
        return None;
    }
    let n = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -n } else { n })
}

/// Python's `float(text)`.
pub fn parse_float(text: &str) -> Option<f64> {
    let s = text.trim().to_ascii_lowercase();
    let body = s.trim_start_matches(['+', '-']);
    if matches!(body, "nan" | "inf" | "infinity") {
        return s.parse().ok();
    }
    if body.starts_with('_')
        || body.ends_with('_')
        || body.contains("__")
        || !body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
    {
        return None;
    }
    s.replace('_', "").parse().ok()
}

fn whole(x: f64) -> Option<i128> {
    (x.is_finite() && x.abs() < 1.7e38).then_some(x.trunc() as i128)
}

fn int(_: &mut State, a: &Args) -> Res {
    let base = u32::try_from(a.int("base", 10)?).unwrap_or(1);
    let found = match py::view(a.val("value")) {
        Py::Int(i) => Some(i),
        Py::Bool(b) => Some(b.into()),
        Py::Float(x) => whole(x),
        Py::Str(s) => parse_int(s, base).or_else(|| parse_float(s).and_then(whole)),
        _ => None,
    };
    Ok(match found {
        Some(i) => py::int(i),
        None => a.get("default").cloned().unwrap_or_else(|| Value::from(0)),
    })
}

fn float(_: &mut State, a: &Args) -> Res {
    let found = match py::view(a.val("value")) {
        Py::Str(s) => parse_float(s),
        _ => py::number(a.val("value")).map(Num::float),
    };
    Ok(match found {
        Some(x) => Value::from(x),
        None => a.get("default").cloned().unwrap_or_else(|| Value::from(0.0)),
    })
}

/// Python's `round(x, n)`: to even, judged on the exact binary value.
pub fn round_float(x: f64, digits: i128) -> f64 {
    if !x.is_finite() || digits > 300 {
        return x;
    }
    if digits >= 0 {
        let p = usize::try_from(digits).unwrap_or(0);
        format!("{x:.p$}").parse().unwrap_or(x)
    } else {
        let scale = 10f64.powi(i32::try_from(-digits).unwrap_or(400).min(400));
        if scale.is_infinite() { 0.0 } else { (x / scale).round_ties_even() * scale }
    }
}

fn round_int(i: i128, digits: i128) -> i128 {
    let Some(scale) = u32::try_from(-digits).ok().and_then(|n| 10i128.checked_pow(n)) else {
        return if digits >= 0 { i } else { 0 };
    };
    let (q, r) = (i.div_euclid(scale), i.rem_euclid(scale));
    let up = r * 2 > scale || r * 2 == scale && q % 2 != 0;
    (q + i128::from(up)) * scale
}

fn round(_: &mut State, a: &Args) -> Res {
    let digits = a.int("precision", 0)?;
    let method = a.text_or("method", "common")?;
    if !matches!(method.as_str(), "common" | "ceil" | "floor") {
        return fail("method must be common, ceil or floor");
    }
    let v = a.val("value");
    let Some(n) = py::number(v) else {
        return match method.as_str() {
            "common" => fail(format!("type {} doesn't define __round__ method", py::type_name(v))),
            _ => fail("can't multiply sequence by non-int of type 'float'"),
        };
    };
    match (method.as_str(), n) {
        ("common", Num::Int(i)) => Ok(py::int(round_int(i, digits))),
        ("common", Num::Float(x)) => Ok(Value::from(round_float(x, digits))),
        (m, n) => {
            let scale = 10f64.powi(i32::try_from(digits.clamp(-400, 400)).unwrap_or(0));
            let x = n.float() * scale;
            let x = if m == "ceil" { x.ceil() } else { x.floor() };
            Ok(Value::from(x / scale))
        }
    }
}

/// Python's `a + b` for what templates add up.
pub fn add(a: &Value, b: &Value) -> Res {
    py::check(a)?;
    py::check(b)?;
    match (py::number(a), py::number(b)) {
        (Some(Num::Int(x)), Some(Num::Int(y))) => {
            return x.checked_add(y).map(py::int).ok_or_else(|| error("integer out of range"));
        }
        (Some(x), Some(y)) => return Ok(Value::from(x.float() + y.float())),
        _ => {}
    }
    match (py::view(a), py::view(b)) {
        (Py::Str(x), Py::Str(y)) => Ok(Value::from(format!("{x}{y}"))),
        (Py::List, Py::List) => Ok(py::list([py::items(a)?, py::items(b)?].concat())),
        (Py::Tuple, Py::Tuple) => Ok(py::tuple([py::items(a)?, py::items(b)?].concat())),
        (Py::Str(_), _) => fail(format!("can only concatenate str (not \"{}\") to str", py::type_name(b))),
        (Py::List, _) => fail(format!("can only concatenate list (not \"{}\") to list", py::type_name(b))),
        _ => fail(format!("unsupported operand type(s) for +: '{}' and '{}'", py::type_name(a), py::type_name(b))),
    }
}

fn sum(_: &mut State, a: &Args) -> Res {
    let path = a.some("attribute").map(super::sorting::Path::new).transpose()?;
    let mut total = a.get("start").cloned().unwrap_or_else(|| Value::from(0));
    if matches!(py::view(&total), Py::Str(_)) {
        return fail("sum() can't sum strings [use ''.join(seq) instead]");
    }
    // lists are gathered in one go: adding them one by one copies the front again and again
    let mut gathered: Option<Vec<Value>> = match py::view(&total) {
        Py::List => Some(py::items(&total)?),
        _ => None,
    };
    for item in py::iter(a.val("iterable"))? {
        let v = match &path {
            Some(p) => p.get(&item)?,
            None => item,
        };
        match &mut gathered {
            Some(all) if matches!(py::view(&v), Py::List) => all.extend(py::items(&v)?),
            Some(all) => {
                add(&py::list(std::mem::take(all)), &v)?;
            }
            None => total = add(&total, &v)?,
        }
    }
    Ok(gathered.map_or(total, py::list))
}

fn real(a: &Args, name: &str, what: &str) -> Res<f64> {
    let v = a.val(name);
    py::number(v).map(Num::float).ok_or_else(|| error(format!("{what} must be real number, not {}", py::type_name(v))))
}

fn log(_: &mut State, a: &Args) -> Res {
    let x = a
        .num("x")
        .map_err(|e| error(format!("log() can only be used on numbers: {}", e.detail().unwrap_or(""))))?
        .float();
    let base = match a.get("base") {
        Some(_) => a
            .num("base")
            .map_err(|e| error(format!("log() can only be used on numbers: {}", e.detail().unwrap_or(""))))?
            .float(),
        None => std::f64::consts::E,
    };
    if x <= 0.0 || base <= 0.0 {
        return fail("math domain error");
    }
    if base == 1.0 {
        return fail("float division by zero");
    }
    Ok(Value::from(if base == 10.0 {
        x.log10()
    } else if base == std::f64::consts::E {
        x.ln()
    } else {
        x.ln() / base.ln()
    }))
}

fn pow(_: &mut State, a: &Args) -> Res {
    let x = real(a, "x", "pow() can only be used on numbers:")?;
    let y = real(a, "y", "pow() can only be used on numbers:")?;
    let z = x.powf(y);
    if z.is_finite() || !x.is_finite() || !y.is_finite() {
        return Ok(Value::from(z));
    }
    fail(if z.is_nan() || x == 0.0 { "math domain error" } else { "math range error" })
}

fn root(_: &mut State, a: &Args) -> Res {
    let x = real(a, "x", "root() can only be used on numbers:")?;
    let base = match a.get("base") {
        Some(_) => real(a, "base", "root() can only be used on numbers:")?,
        None => 2.0,
    };
    if base == 2.0 {
        if x < 0.0 {
            return fail("root() can only be used on numbers: math domain error");
        }
        return Ok(Value::from(x.sqrt()));
    }
    if base == 0.0 {
        return fail("float division by zero");
    }
    Ok(Value::from(x.powf(1.0 / base)))
}
