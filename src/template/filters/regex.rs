//! regex_search, regex_findall, regex_replace, regex_escape.

use super::py::{self, Py, Res, fail};
use super::regexlib::{self, Flags, compile, runaway};
use super::{Args, Filter, f};
use fancy_regex::Captures;
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("regex_search", "value, regex, *args, ignorecase=, multiline=, **more", search),
    f("regex_findall", "value, regex, multiline=, ignorecase=", findall),
    f("regex_replace", "value=, pattern=, replacement=, ignorecase=, multiline=, count=, mandatory_count=", replace),
    f("regex_escape", "string, re_type=", escape),
];

fn flags(a: &Args) -> Res<Flags> {
    Ok(Flags::new(a.flag("ignorecase", false)?, a.flag("multiline", false)?))
}

fn group(found: &Captures, n: usize) -> Value {
    found.get(n).map(|m| Value::from(m.as_str())).unwrap_or_else(|| Value::from(()))
}

fn search(_: &mut State, a: &Args) -> Res {
    let value = a.text("value")?;
    let re = compile(&a.text("regex")?, flags(a)?, &value)?;
    let mut wanted = vec![];
    for arg in &a.rest {
        let Py::Str(arg) = py::view(arg) else { return fail("Unknown argument") };
        match arg.strip_prefix("\\g<").and_then(|r| r.strip_suffix('>')) {
            Some(name) => wanted.push(name.to_string()),
            None => match arg.strip_prefix('\\').filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())) {
                Some(n) => wanted.push(n.to_string()),
                None => return fail("Unknown argument"),
            },
        }
    }
    let Some(found) = re.captures(&value).map_err(runaway)? else { return Ok(Value::from(())) };
    if wanted.is_empty() {
        return Ok(group(&found, 0));
    }
    let mut out = vec![];
    for name in wanted {
        out.push(match name.parse::<usize>() {
            Ok(n) if n < found.len() => group(&found, n),
            Ok(_) => return fail("no such group"),
            Err(_) if re.capture_names().any(|x| x == Some(name.as_str())) => {
                found.name(&name).map(|m| Value::from(m.as_str())).unwrap_or_else(|| Value::from(()))
            }
            Err(_) => return fail("no such group"),
        });
    }
    Ok(py::list(out))
}

fn findall(_: &mut State, a: &Args) -> Res {
    let value = a.text("value")?;
    let re = compile(&a.text("regex")?, flags(a)?, &value)?;
    let text = |found: &Captures, n: usize| Value::from(found.get(n).map_or("", |m| m.as_str()));
    let mut out = vec![];
    for found in regexlib::find_all(&re, &value)? {
        out.push(match found.len() {
            1 => text(&found, 0),
            2 => text(&found, 1),
            n => py::tuple((1..n).map(|i| text(&found, i)).collect()),
        });
    }
    Ok(py::list(out))
}

fn replace(_: &mut State, a: &Args) -> Res {
    let value = if a.get("value").is_some() { a.text("value")? } else { String::new() };
    let part = |name: &str, words: fn(&str) -> String| match a.get(name) {
        Some(_) => a.only_text(name, words),
        None => Ok(String::new()),
    };
    let replacement = part("replacement", |kind| format!("decoding to str: need a bytes-like object, {kind} found"))?;
    let pattern = part("pattern", |_| "first argument must be string or compiled pattern".into())?;
    let re = compile(&pattern, flags(a)?, &value)?;
    let limit = usize::try_from(a.int("count", 0)?).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
    let parts = regexlib::template(&replacement, re.captures_len().saturating_sub(1))?;
    for part in &parts {
        if let regexlib::Part::Name(name) = part
            && !re.capture_names().any(|x| x == Some(name.as_str()))
        {
            return fail(format!("unknown group name {}", py::repr(&Value::from(name.as_str()))?));
        }
    }
    let mut out = String::with_capacity(value.len());
    let (mut last, mut done) = (0usize, 0usize);
    for found in regexlib::find_all(&re, &value)? {
        if done >= limit {
            break;
        }
        let Some(all) = found.get(0) else { continue };
        out.push_str(value.get(last..all.start()).unwrap_or(""));
        regexlib::expand(&parts, &found, &mut out)?;
        last = all.end();
        done += 1;
    }
    out.push_str(value.get(last..).unwrap_or(""));
    let mandatory = a.int("mandatory_count", 0)?;
    if mandatory != 0 && done as i128 != mandatory {
        return fail(format!("'{pattern}' should match {mandatory} times, but matches {done} times in '{value}'"));
    }
    Ok(Value::from(out))
}

fn escape(_: &mut State, a: &Args) -> Res {
    let s = a.text("string")?;
    match a.text_or("re_type", "python")?.as_str() {
        "python" => Ok(Value::from(regexlib::escape(&s))),
        "posix_basic" => Ok(Value::from(regexlib::escape_posix_basic(&s))),
        "posix_extended" => fail("Regex type (posix_extended) not yet implemented"),
        other => fail(format!("Invalid regex type ({other})")),
    }
}
