//! Tests on kinds, numbers, order, membership and text.

use super::{Test, t};
use crate::template::filters::py::{self, Num, Py, Res, fail};
use crate::template::filters::{Args, regexlib, urls};
use minijinja::{State, Value};
use std::cmp::Ordering;

const fn tu(names: &'static [&'static str], params: &'static str, func: fn(&mut State, &Args) -> Res<bool>) -> Test {
    Test { names, params, func, undefined: true }
}

pub const TESTS: &[Test] = &[
    tu(&["defined"], "value", |_, a| Ok(!py::is_undefined(a.val("value")))),
    tu(&["undefined"], "value", |_, a| Ok(py::is_undefined(a.val("value")))),
    t(&["none"], "value", |_, a| Ok(a.val("value").is_none())),
    t(&["boolean"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Bool(_)))),
    t(&["true"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Bool(true)))),
    t(&["false"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Bool(false)))),
    t(&["integer"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Int(_)))),
    t(&["float"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Float(_)))),
    t(&["number"], "value", |_, a| Ok(py::number(a.val("value")).is_some())),
    t(&["string"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Str(_)))),
    t(&["mapping"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Dict))),
    t(&["sequence", "iterable"], "value", |_, a| {
        Ok(matches!(py::view(a.val("value")), Py::Str(_) | Py::Bytes(_) | Py::List | Py::Tuple | Py::Dict))
    }),
    t(&["callable"], "obj", |_, a| Ok(is_callable(a.val("obj")))),
    t(&["escaped"], "value", |_, a| Ok(a.val("value").is_safe())),
    t(&["sameas"], "value, other", |_, a| Ok(same(a.val("value"), a.val("other")))),
    t(&["even"], "value", |_, a| remainder(a, 2.0, 2).map(|r| r == 0.0)),
    t(&["odd"], "value", |_, a| remainder(a, 2.0, 2).map(|r| r == 1.0)),
    t(&["divisibleby"], "value, num", divisible),
    t(&["lower"], "value", |_, a| Ok(cased(&a.text("value")?, char::is_lowercase, char::is_uppercase))),
    t(&["upper"], "value", |_, a| Ok(cased(&a.text("value")?, char::is_uppercase, char::is_lowercase))),
    t(&["==", "eq", "equalto"], "a, b", |_, a| Ok(py::eq(a.val("a"), a.val("b")))),
    t(&["!=", "ne"], "a, b", |_, a| Ok(!py::eq(a.val("a"), a.val("b")))),
    t(&["<", "lt", "lessthan"], "a, b", |_, a| order(a, "<", |o| o == Ordering::Less)),
    t(&["<=", "le"], "a, b", |_, a| order(a, "<=", |o| o != Ordering::Greater)),
    t(&[">", "gt", "greaterthan"], "a, b", |_, a| order(a, ">", |o| o == Ordering::Greater)),
    t(&[">=", "ge"], "a, b", |_, a| order(a, ">=", |o| o != Ordering::Less)),
    t(&["in"], "value, seq", |_, a| contains(a.val("seq"), a.val("value"))),
    t(&["contains"], "master, value", |_, a| contains(a.val("master"), a.val("value"))),
    t(&["subset", "issubset"], "a, b", |_, a| subset(a.val("a"), a.val("b"))),
    t(&["superset", "issuperset"], "a, b", |_, a| subset(a.val("b"), a.val("a"))),
    t(&["all"], "value", |_, a| each(a, true)),
    t(&["any"], "value", |_, a| each(a, false)),
    t(&["truthy"], "value, convert_bool=", truthy),
    t(&["falsy"], "value, convert_bool=", |s, a| truthy(s, a).map(|b| !b)),
    t(&["nan", "isnan"], "value", |_, a| Ok(matches!(py::view(a.val("value")), Py::Float(x) if x.is_nan()))),
    t(&["filter"], "value", |_, a| {
        let name = a.text("value")?;
        Ok(crate::template::filters::is_filter(&name))
    }),
    t(&["test"], "value", |_, a| Ok(super::is_test(&a.text("value")?))),
    t(&["match"], MATCH, |_, a| regex(a, "match")),
    t(&["search"], MATCH, |_, a| regex(a, "search")),
    t(&["regex"], "value, pattern=, ignorecase=, multiline=, match_type=", |_, a| {
        let kind = a.text_or("match_type", "search")?;
        match kind.as_str() {
            "search" | "match" | "fullmatch" => regex(a, &kind),
            other => {
                fail(format!("Invalid match_type specified. Expected one of: search, match, fullmatch. Got {other}"))
            }
        }
    }),
    t(&["uri"], "value, schemes=", |_, a| uri(a, false)),
    t(&["url"], "value, schemes=", |_, a| uri(a, true)),
    t(&["urn"], "value", |_, a| Ok(urls::Url::split(&a.text("value")?).scheme == "urn")),
    t(&["vault_encrypted"], "value", |_, a| {
        Ok(crate::template::tags::of(a.val("value")).is_some_and(|tag| tag.vault.is_some()))
    }),
];

const MATCH: &str = "value, pattern=, ignorecase=, multiline=";

fn is_callable(v: &Value) -> bool {
    matches!(py::view(v), Py::Object) && !matches!(py::type_name(v), "datetime" | "timedelta")
}

/// The same object, as far as plain data has identity: equal and of one type.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_object(), b.as_object()) {
        (Some(_), Some(_)) => minijinja::tests::is_sameas(a, b),
        _ => py::type_name(a) == py::type_name(b) && py::eq(a, b),
    }
}

fn remainder(a: &Args, by: f64, by_int: i128) -> Res<f64> {
    let v = a.val("value");
    match py::number(v) {
        Some(Num::Int(i)) => Ok(i.rem_euclid(by_int) as f64),
        Some(Num::Float(x)) => Ok(x.rem_euclid(by)),
        None if matches!(py::view(v), Py::Str(_)) => fail("not all arguments converted during string formatting"),
        None => fail(format!("unsupported operand type(s) for %: '{}' and 'int'", py::type_name(v))),
    }
}

fn divisible(_: &mut State, a: &Args) -> Res<bool> {
    let (v, n) = (a.val("value"), a.val("num"));
    match (py::number(v), py::number(n)) {
        (Some(Num::Int(_)), Some(Num::Int(0))) => fail("integer modulo by zero"),
        (Some(Num::Int(x)), Some(Num::Int(y))) => Ok(x.wrapping_rem(y) == 0),
        (Some(_), Some(y)) if y.float() == 0.0 => fail("float modulo by zero"),
        (Some(x), Some(y)) => Ok(x.float() % y.float() == 0.0),
        _ => fail(format!("unsupported operand type(s) for %: '{}' and '{}'", py::type_name(v), py::type_name(n))),
    }
}

/// `str.islower` and `str.isupper`: some letters, none of the other case.
fn cased(s: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    s.chars().any(wanted) && !s.chars().any(other)
}

fn order(a: &Args, op: &str, hit: fn(Ordering) -> bool) -> Res<bool> {
    Ok(py::compare(a.val("a"), a.val("b"), op)?.is_some_and(hit))
}

/// Python's `value in seq`.
pub fn contains(seq: &Value, value: &Value) -> Res<bool> {
    py::check(value)?;
    match (py::view(seq), py::view(value)) {
        (Py::Str(s), Py::Str(v)) => Ok(s.contains(v)),
        (Py::Str(_), _) => fail(format!("'in <string>' requires string as left operand, not {}", py::type_name(value))),
        (Py::List | Py::Tuple, _) => {
            for item in py::items(seq)? {
                py::check(&item)?;
                if py::eq(&item, value) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Py::Dict, _) => Ok(py::items(seq)?.iter().any(|k| py::eq(k, value))),
        _ => fail(format!("argument of type '{}' is not iterable", py::type_name(seq))),
    }
}

fn subset(a: &Value, b: &Value) -> Res<bool> {
    let all = py::iter(b)?.iter().map(py::set_key).collect::<Res<std::collections::HashSet<_>>>()?;
    for item in py::iter(a)? {
        if !all.contains(&py::set_key(&item)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn each(a: &Args, all: bool) -> Res<bool> {
    for item in py::iter(a.val("value"))? {
        if py::truthy(&item)? != all {
            return Ok(!all);
        }
    }
    Ok(all)
}

fn truthy(_: &mut State, a: &Args) -> Res<bool> {
    let v = a.val("value");
    if a.flag("convert_bool", false)?
        && let Py::Str(s) = py::view(v)
        && let Some(b) = crate::value::parse_bool(s)
    {
        return Ok(b);
    }
    py::truthy(v)
}

fn regex(a: &Args, kind: &str) -> Res<bool> {
    let value = a.text("value")?;
    let flags = regexlib::Flags::new(a.flag("ignorecase", false)?, a.flag("multiline", false)?);
    let pattern = a.text_or("pattern", "")?;
    // compiled for itself first, so that errors speak of the pattern as written
    let plain = regexlib::compile(&pattern, flags, &value)?;
    let re = match kind {
        "match" => regexlib::compile(&format!("\\A(?:{pattern})"), flags, &value)?,
        "fullmatch" => regexlib::compile(&format!("\\A(?:{pattern})\\Z"), flags, &value)?,
        _ => plain,
    };
    re.is_match(&value).map_err(regexlib::runaway)
}

/// Any text is a URI of some scheme or none; a URL names a host or a local file.
fn uri(a: &Args, needs_host: bool) -> Res<bool> {
    let Py::Str(text) = py::view(a.val("value")) else { return Ok(false) };
    let url = urls::Url::split(text);
    let allowed = match a.some("schemes") {
        Some(list) => contains(list, &Value::from(url.scheme.as_str()))?,
        None => true,
    };
    Ok(allowed && (!needs_host || !url.netloc.is_empty() || url.scheme == "file" && !url.path.is_empty()))
}
