//! Filters to and from JSON and YAML.

use super::json::{JsonStyle, dumps, loads};
use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use crate::template::Notice;
use crate::yaml::{self, EmitOptions};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("tojson", "value, indent=", tojson),
    f("to_json", JSON, |_, a| Ok(Value::from(dumps(a.val("value"), &style(a, None)?)?))),
    f("to_nice_json", JSON, |_, a| Ok(Value::from(dumps(a.val("value"), &nice(a)?)?))),
    f("from_json", "value", from_json),
    f("to_yaml", YAML, |_, a| to_yaml(a, EmitOptions::to_yaml())),
    f("to_nice_yaml", YAML, |_, a| to_yaml(a, EmitOptions::to_nice_yaml())),
    f("from_yaml", "data", |_, a| from_yaml(a, false)),
    f("from_yaml_all", "data", |_, a| from_yaml(a, true)),
];

/// Parameters of both JSON writers. Three say nothing here: sealed values are always written as text, all text is equally safe, and no value contains itself.
const JSON: &str = "value, *, vault_to_text=, preprocess_unsafe=, indent=, separators=, sort_keys=, \
                    ensure_ascii=, allow_nan=, skipkeys=, check_circular=";

/// Widths beyond this only serve to exhaust memory.
const MAX_INDENT: i128 = 1000;

fn blanks(n: i128) -> Res<String> {
    if n > MAX_INDENT {
        return fail(format!("indent is too large (at most {MAX_INDENT})"));
    }
    Ok(" ".repeat(usize::try_from(n).unwrap_or(0)))
}

fn style(a: &Args, nice: Option<i128>) -> Res<JsonStyle> {
    let indent = match a.get("indent").map(py::view) {
        Some(Py::Str(text)) => Some(text.to_string()),
        Some(Py::None) => None,
        None => nice.map(|n| " ".repeat(n as usize)),
        Some(_) => Some(blanks(a.int("indent", 0)?)?),
    };
    let mut s = JsonStyle { indent, ..JsonStyle::default() };
    match a.some("separators") {
        Some(v) => match py::iter(v)?.as_slice() {
            [item, key] => (s.item_separator, s.key_separator) = (py::str(item)?, py::str(key)?),
            other => return fail(format!("not enough values to unpack (expected 2, got {})", other.len())),
        },
        None if s.indent.is_some() => s.item_separator = ",".into(),
        None => {}
    }
    s.sort_keys = a.flag("sort_keys", nice.is_some())?;
    s.ensure_ascii = a.flag("ensure_ascii", true)?;
    s.allow_nan = a.flag("allow_nan", true)?;
    Ok(s)
}

/// `to_nice_json` has separators of its own, whatever is asked for.
fn nice(a: &Args) -> Res<JsonStyle> {
    let own = JsonStyle { item_separator: ",".into(), key_separator: ": ".into(), ..JsonStyle::default() };
    let asked = style(a, Some(4))?;
    Ok(JsonStyle { item_separator: own.item_separator, key_separator: own.key_separator, ..asked })
}

/// Jinja's own: sorted keys, safe to stand in HTML.
fn tojson(_: &mut State, a: &Args) -> Res {
    let mut s = match a.int_opt("indent")? {
        Some(n) => JsonStyle { indent: Some(blanks(n)?), item_separator: ",".into(), ..JsonStyle::default() },
        None => JsonStyle::default(),
    };
    s.sort_keys = true;
    let text = dumps(a.val("value"), &s)?;
    Ok(Value::from_safe_string(
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027"),
    ))
}

fn from_json(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    match py::view(v) {
        Py::Str(s) => loads(s),
        Py::Bytes(b) => loads(&String::from_utf8_lossy(b)),
        _ => fail(format!("the JSON object must be str, bytes or bytearray, not {}", py::type_name(v))),
    }
}

/// Parameters of both YAML writers: Ansible's own and PyYAML's.
const YAML: &str = "value, *args, indent=, default_flow_style=, sort_keys=, width=, \
                    explicit_start=, explicit_end=, allow_unicode=, default_style=, canonical=, line_break=, encoding=, \
                    version=, tags=";

fn to_yaml(a: &Args, mut o: EmitOptions) -> Res {
    if a.some("tags").is_some() {
        return fail("the parameter 'tags' is not supported");
    }
    if !a.rest.is_empty() {
        return fail("parameters must be given by name");
    }
    let number = |name: &str, default: i32| -> Res<i32> {
        let n = a.int(name, default.into())?;
        i32::try_from(n.clamp(-1, i128::from(i32::MAX))).or_else(|_| fail(format!("{name} is out of range")))
    };
    o.indent = number("indent", o.indent)?;
    o.width = number("width", o.width)?;
    o.sort_keys = a.flag("sort_keys", o.sort_keys)?;
    if let Some(v) = a.get("default_flow_style") {
        o.default_flow_style = if v.is_none() { None } else { Some(py::truthy(v)?) };
    }
    o.explicit_start = a.flag("explicit_start", o.explicit_start)?;
    o.explicit_end = a.flag("explicit_end", o.explicit_end)?;
    o.allow_unicode = a.flag("allow_unicode", o.allow_unicode)?;
    o.canonical = a.flag("canonical", false)?;
    if let Some(style) = a.text_opt("default_style")? {
        o.default_style = style.chars().next();
    }
    if let Some(name) = a.text_opt("encoding")?.filter(|n| !n.eq_ignore_ascii_case("utf-8")) {
        return fail(format!("the encoding '{name}' is not supported, only utf-8"));
    }
    let mut head = String::new();
    if let Some(version) = a.some("version") {
        match py::iter(version)?.iter().map(py::view).collect::<Vec<_>>().as_slice() {
            [Py::Int(1), Py::Int(minor @ (1 | 2))] => head = format!("%YAML 1.{minor}\n"),
            _ => return fail("incompatible %YAML directive"),
        }
        o.explicit_start = true;
    }
    let text = head + &yaml::emit(&py::to_core_sealed(a.val("value"))?, &o);
    Ok(Value::from(match a.text_opt("line_break")?.as_deref() {
        Some(line_break @ ("\r" | "\r\n")) => text.replace('\n', line_break),
        _ => text,
    }))
}

fn from_yaml(a: &Args, all: bool) -> Res {
    let v = a.val("data");
    let text = match py::view(v) {
        Py::Str(s) => s.to_string(),
        Py::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        Py::None if all => return Ok(py::list(vec![])),
        // anything else is what it is already
        _ => return Ok(v.clone()),
    };
    let (mut values, warnings) = yaml::parse_told(&text, all).map_err(|e| super::py::error(e.message().to_string()))?;
    for w in &warnings {
        crate::template::notices::keep(Notice::Warning(w));
    }
    let value = if all { crate::value::Value::list(values) } else { values.pop().unwrap_or_default() };
    Ok(crate::template::convert::to_mj(&value))
}
