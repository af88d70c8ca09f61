//! Converts values to the types of arguments, as Ansible's modules do.

use super::spec::{Type, json_text};
use crate::value;
use serde_json::{Map, Value as Json};

/// Python's name for the type of a value.
pub(in crate::modules) fn type_name(v: &Json) -> &'static str {
    match v {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(n) if n.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

fn class(v: &Json) -> String {
    format!("<class '{}'>", type_name(v))
}

/// Converts a value to an argument type as Ansible's modules do; the error is the reason only.
pub fn convert(ty: Type, v: &Json) -> Result<Json, String> {
    match ty {
        Type::Raw => Ok(v.clone()),
        Type::Str => Ok(match v {
            Json::String(_) => v.clone(),
            Json::Null => "".into(),
            other => Json::String(value::Value::from_json(other.clone()).to_str()),
        }),
        Type::Path => {
            let s = match v {
                Json::String(s) => s.clone(),
                Json::Null => String::new(),
                other => value::Value::from_json(other.clone()).to_str(),
            };
            Ok(expand_path(&s).into())
        }
        Type::Bool => match v {
            Json::Bool(_) => Ok(v.clone()),
            Json::Null | Json::Array(_) | Json::Object(_) => Err(format!("{} cannot be converted to a bool", class(v))),
            other => {
                let v = value::Value::from_json(other.clone());
                v.to_bool_loose().map(Json::Bool).ok_or_else(|| not_a_boolean(&v.to_str()))
            }
        },
        Type::Int => match v {
            Json::Number(n) if n.is_i64() || n.is_u64() => Ok(v.clone()),
            Json::Number(n) => whole(n.as_f64()).ok_or_else(|| not_int(v)),
            Json::Bool(b) => Ok(Json::from(i64::from(*b))),
            Json::String(s) => {
                let t = s.trim();
                let int = || t.parse::<i64>().ok().map(Json::from);
                // "1.0" is a whole number, too
                int().or_else(|| whole(t.parse().ok())).ok_or_else(|| not_int(v))
            }
            _ => Err(not_int(v)),
        },
        Type::Float => match v {
            Json::Number(n) => Ok(Json::from(n.as_f64().unwrap_or(0.0))),
            Json::String(s) => s
                .trim()
                .parse::<f64>()
                .map(Json::from)
                .map_err(|_| format!("{} cannot be converted to a float", class(v))),
            _ => Err(format!("{} cannot be converted to a float", class(v))),
        },
        Type::List => match v {
            Json::Array(_) => Ok(v.clone()),
            Json::String(s) => Ok(s.split(',').map(|x| Json::from(x.trim())).collect()),
            Json::Number(_) | Json::Bool(_) => Ok(vec![Json::from(json_text(v))].into()),
            _ => Err(format!("{} cannot be converted to a list", class(v))),
        },
        Type::Dict => match v {
            Json::Object(_) => Ok(v.clone()),
            Json::String(s) => dict_from_text(s),
            _ => Err(format!("{} cannot be converted to a dict", class(v))),
        },
        Type::Jsonarg | Type::Json => Ok(match v {
            Json::String(s) => s.trim().into(),
            Json::Array(_) | Json::Object(_) => v.to_string().into(),
            Json::Null => return Err(format!("{} cannot be converted to a json string", class(v))),
            other => value::Value::from_json(other.clone()).to_str().into(),
        }),
        Type::Bytes | Type::Bits => match v {
            Json::Number(_) => Ok(v.clone()),
            other => {
                other.as_str().and_then(|s| human_to_bytes(s, ty == Type::Bits).ok()).map(Json::from).ok_or_else(|| {
                    let unit = if ty == Type::Bits { "Bit" } else { "Byte" };
                    format!("{} cannot be converted to a {unit} value", class(v))
                })
            }
        },
    }
}

/// A float without a fraction as an integer.
fn whole(f: Option<f64>) -> Option<Json> {
    // beyond 2^53 a float no longer tells which integer was meant
    f.filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0).map(|f| Json::from(f as i64))
}

fn not_int(v: &Json) -> String {
    format!("\"{}\" cannot be converted to an int", value::Value::from_json(v.clone()).repr())
}

fn dict_from_text(s: &str) -> Result<Json, String> {
    let t = s.trim();
    if t.starts_with('{') {
        return serde_json::from_str::<Map<String, Json>>(t)
            .map(Json::Object)
            .map_err(|_| "unable to evaluate string as dictionary".to_string());
    }
    if t.contains('=') {
        let mut m = Map::new();
        for part in t.split([',', ' ']).map(str::trim).filter(|p| !p.is_empty()) {
            let (k, v) =
                part.split_once('=').ok_or("unable to evaluate string in the \"key=value\" format as dictionary")?;
            m.insert(k.into(), v.into());
        }
        return Ok(Json::Object(m));
    }
    Err("dictionary requested, could not parse JSON or key=value".into())
}

/// `~`, `~user` and `$VAR` expanded, as for arguments of type path.
pub fn expand_path(s: &str) -> String {
    expand_path_with(s, &|name| std::env::var(name).ok())
}

/// As [`expand_path`], with the environment asked through `env`.
pub fn expand_path_with(s: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(s.len());
    let rest = if let Some(r) = s.strip_prefix('~')
        && (r.is_empty() || r.starts_with('/'))
    {
        out.push_str(&env("HOME").unwrap_or_else(|| "~".into()));
        r
    } else if let Some(r) = s.strip_prefix('~') {
        let (user, tail) = r.split_once('/').map(|(u, _)| (u, &r[u.len()..])).unwrap_or((r, ""));
        match home_of(user) {
            Some(h) => out.push_str(&h),
            None => {
                out.push('~');
                out.push_str(user);
            }
        }
        tail
    } else {
        s
    };
    expand_vars(rest, env, &mut out);
    out
}

fn home_of(user: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .find(|f| f.first() == Some(&user))
        .and_then(|f| f.get(5).map(|s| s.to_string()))
}

fn expand_vars(s: &str, env: &dyn Fn(&str) -> Option<String>, out: &mut String) {
    let mut rest = s;
    while let Some(i) = rest.find('$') {
        out.push_str(&rest[..i]);
        let after = &rest[i + 1..];
        let (name, used) = if let Some(b) = after.strip_prefix('{') {
            match b.find('}') {
                Some(e) => (&b[..e], e + 2),
                None => ("", 0),
            }
        } else {
            let e = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            (&after[..e], e)
        };
        match env(name) {
            Some(v) if !name.is_empty() => out.push_str(&v),
            _ => {
                out.push('$');
                out.push_str(&after[..used]);
            }
        }
        rest = &after[used..];
    }
    out.push_str(rest);
}

/// `10M`, `1.5 GB`, `2048` in bytes (or bits with `bits`).
pub fn human_to_bytes(s: &str, bits: bool) -> Result<i64, String> {
    let t = s.trim();
    let split = t.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(t.len());
    let (num, unit) = t.split_at(split);
    let n: f64 = num.parse().map_err(|_| format!("human_to_bytes() can't interpret following string: {s}"))?;
    let unit = unit.trim();
    let factor = match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
        None => 1f64,
        Some('B') => 1.0,
        Some(c) => match "KMGTPEZY".find(c) {
            Some(i) => 1024f64.powi(i as i32 + 1),
            None => return Err(format!("human_to_bytes() failed to convert {s}")),
        },
    };
    let last = unit.chars().nth(1).or_else(|| unit.chars().next().filter(|c| c.eq_ignore_ascii_case(&'b')));
    if let Some(c) = last
        && ((bits && c == 'B') || (!bits && c == 'b'))
    {
        return Err(format!("human_to_bytes() failed to convert {s}. Value is not a valid string"));
    }
    Ok((n * factor).round() as i64)
}

/// What is said of a text that is no boolean.
pub fn not_a_boolean(text: &str) -> String {
    format!(
        "The value '{text}' is not a valid boolean. Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', \
         'off', 'on', 't', 'true', 'y', 'yes'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(human_to_bytes("10M", false), Ok(10 << 20));
        assert_eq!(human_to_bytes("1.5KB", false), Ok(1536));
        assert!(human_to_bytes("1Kb", false).is_err());
    }
}
