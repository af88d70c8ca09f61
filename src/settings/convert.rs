//! A setting's text as a value of its type.

use super::Setting;
use crate::diag::{Error, Result};
use crate::value::{Value, parse_bool};
use camino::Utf8Path;

/// The value in the setting's type. Relative paths in a file are taken from the file's directory.
pub(super) fn to_type(s: &Setting, v: Value, file: Option<&Utf8Path>) -> Result<Value> {
    if v.is_null() {
        return Ok(v);
    }
    let wrong = |what: &str| {
        let from = file.map(|f| format!("'{f}'")).or_else(|| s.env.first().map(|e| format!("'env: {e}'")));
        let from = from.map(|f| format!(" from {f}")).unwrap_or_default();
        Error::options(format!(
            "Config '{}'{from} has an invalid value: Invalid value provided for '{what}': {}",
            s.name,
            v.repr()
        ))
    };
    let text = v.to_str();
    let out = match s.ty.as_str() {
        "boolean" | "bool" => match &v {
            Value::Bool(_) => v.clone(),
            // any other word is a no, as in ansible-core
            _ => Value::Bool(parse_bool(text.trim()).unwrap_or(false)),
        },
        "integer" | "int" => match &v {
            Value::Int(_) => v.clone(),
            _ => Value::Int(text.trim().parse().map_err(|_| wrong("integer"))?),
        },
        "float" => match &v {
            Value::Float(_) => v.clone(),
            _ => Value::Float(text.trim().parse().map_err(|_| wrong("float"))?),
        },
        "list" => split(&v, ',', str::to_string),
        "pathspec" => split(&v, ':', |p| path(p, file)),
        "pathlist" => split(&v, ',', |p| path(p, file)),
        "path" | "tmp" | "temppath" | "tmppath" => Value::plain(path(&text, file)),
        "dict" | "dictionary" | "raw" | "none" => v.clone(),
        _ => match &v {
            Value::Str(_) => Value::plain(unquoted(&text)),
            _ => v.clone(),
        },
    };
    let chosen = match out.as_list() {
        Some(l) => l.iter().map(Value::to_str).collect(),
        None => vec![out.to_str()],
    };
    if !s.choices.is_empty() && !out.is_null() && !chosen.iter().all(|c| s.choices.contains(c)) {
        return Err(Error::options(format!(
            "Invalid value '{}' for config '{}'. Valid values are: {}",
            out.to_str(),
            s.name,
            s.choices.join(", ")
        )));
    }
    Ok(out)
}

fn split(v: &Value, at: char, each: impl Fn(&str) -> String) -> Value {
    match v {
        Value::List(l) => Value::list(l.iter().map(|x| Value::plain(each(&x.to_str()))).collect()),
        v => {
            let text = unquoted(&v.to_str()).to_string();
            let parts = text.split(at).map(str::trim).filter(|p| !p.is_empty());
            Value::list(parts.map(|p| Value::plain(each(p))).collect())
        }
    }
}

fn unquoted(s: &str) -> &str {
    for q in ['\'', '"'] {
        if s.len() > 1
            && let Some(inner) = s.strip_prefix(q).and_then(|s| s.strip_suffix(q))
        {
            return inner;
        }
    }
    s
}

fn path(p: &str, file: Option<&Utf8Path>) -> String {
    let dir = file.and_then(Utf8Path::parent);
    let p = match dir {
        Some(d) => p.replace("{{CWD}}", ".").replace("{{ANSIBLE_CONFIG_DIR}}", d.as_str()),
        None => p.to_string(),
    };
    let expanded = crate::modules::expand_path(unquoted(&p));
    match dir {
        Some(d) if !expanded.starts_with('/') && !expanded.is_empty() => d.join(expanded).to_string(),
        _ if expanded.is_empty() => expanded,
        _ => absolute(&expanded),
    }
}

fn absolute(p: &str) -> String {
    if p.starts_with('/') {
        return p.to_string();
    }
    let cwd = std::env::current_dir().unwrap_or_default();
    cwd.join(p).to_string_lossy().into_owned()
}
