//! Checks arguments against a [`Spec`]: unknown names, required ones, types (converted as Ansible
//! does), choices, nested options, rules over several arguments.

use super::spec::{Arg, Args, Rule, Spec, Type, json_text};
use crate::value;
use serde_json::{Map, Value as Json};

/// Arguments that passed, with what must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub args: Args,
    pub warnings: Vec<String>,
    secret_names: Vec<String>,
    secrets: Vec<String>,
}

const HIDDEN: &str = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER";
const MASK: &str = "********";

impl Checked {
    /// The arguments as `invocation.module_args` shows them.
    pub fn shown(&self) -> Map<String, Json> {
        let mut m = self.args.0.clone();
        for n in &self.secret_names {
            if let Some(v) = m.get_mut(n)
                && !v.is_null()
            {
                *v = HIDDEN.into();
            }
        }
        m
    }
    /// Masks the values of secret arguments wherever they stand in a result.
    pub fn censor(&self, m: &mut Map<String, Json>) {
        if self.secrets.is_empty() {
            return;
        }
        for v in m.values_mut() {
            self.censor_value(v);
        }
    }
    fn censor_value(&self, v: &mut Json) {
        match v {
            Json::String(s) => {
                for secret in &self.secrets {
                    if s == secret && s != HIDDEN {
                        *s = HIDDEN.into();
                    } else if s.contains(secret.as_str()) {
                        *s = s.replace(secret.as_str(), MASK);
                    }
                }
            }
            Json::Array(a) => a.iter_mut().for_each(|x| self.censor_value(x)),
            Json::Object(o) => o.values_mut().for_each(|x| self.censor_value(x)),
            _ => {}
        }
    }
}

/// Checks `given` against `spec`; `what` names the module or role for messages.
/// The error is Ansible's message, several joined by `. `.
pub fn validate(spec: &Spec, given: &Map<String, Json>, what: &str) -> Result<Checked, String> {
    let mut out = Checked::default();
    out.args.0 = check_level(spec, given, what, "", &mut out)?;
    Ok(out)
}

fn check_level(
    spec: &Spec,
    given: &Map<String, Json>,
    what: &str,
    path: &str,
    out: &mut Checked,
) -> Result<Map<String, Json>, String> {
    let within = if path.is_empty() { String::new() } else { format!(" found in {path}") };
    let mut vals: Map<String, Json> = Map::new();
    let mut unknown: Vec<&str> = vec![];
    for (k, v) in given {
        match spec.find(k) {
            Some(a) => {
                if a.name != *k && given.contains_key(&a.name) {
                    out.warnings.push(format!("Both option {} and its alias {k} are set.", a.name));
                    continue;
                }
                vals.insert(a.name.clone(), v.clone());
            }
            None if k.starts_with("_ansible_") => {}
            None => unknown.push(k),
        }
    }
    if !unknown.is_empty() {
        unknown.sort_unstable();
        let mut supported: Vec<String> = spec
            .args
            .iter()
            .map(|a| {
                let mut al = a.aliases.clone();
                al.sort();
                if al.is_empty() { a.name.clone() } else { format!("{} ({})", a.name, al.join(", ")) }
            })
            .collect();
        supported.sort();
        let names = unknown.iter().map(|u| if path.is_empty() { u.to_string() } else { format!("{path}.{u}") });
        return Err(format!(
            "Unsupported parameters for ({what}) module: {}. Supported parameters include: {}.",
            names.collect::<Vec<_>>().join(", "),
            supported.join(", ")
        ));
    }
    let is_given = |vals: &Map<String, Json>, n: &str| vals.get(n).is_some_and(|v| !v.is_null());
    for r in &spec.rules {
        if let Rule::MutuallyExclusive(names) = r
            && names.iter().filter(|n| is_given(&vals, n)).count() > 1
        {
            return Err(format!("parameters are mutually exclusive: {}{within}", names.join("|")));
        }
    }
    let missing: Vec<&str> =
        spec.args.iter().filter(|a| a.required && !is_given(&vals, &a.name)).map(|a| a.name.as_str()).collect();
    if !missing.is_empty() {
        return Err(format!("missing required arguments: {}{within}", missing.join(", ")));
    }
    for a in &spec.args {
        let sub = if path.is_empty() { a.name.clone() } else { format!("{path}.{}", a.name) };
        let v = match vals.get(&a.name) {
            Some(v) if !v.is_null() => convert_arg(a, v, what, path)?,
            _ => match &a.default {
                Some(d) => convert_arg(a, d, what, path)?,
                None => Json::Null,
            },
        };
        check_choices(a, &v, &within)?;
        let v = match (&a.options, v) {
            (Some(s), Json::Object(o)) => Json::Object(check_level(s, &o, what, &sub, out)?),
            (Some(s), Json::Array(l)) => {
                let mut done = vec![];
                for e in l {
                    match e {
                        Json::Object(o) => done.push(Json::Object(check_level(s, &o, what, &sub, out)?)),
                        other => done.push(other),
                    }
                }
                Json::Array(done)
            }
            (_, v) => v,
        };
        if a.no_log && !v.is_null() {
            if path.is_empty() {
                out.secret_names.push(a.name.clone());
            }
            collect_secrets(&v, &mut out.secrets);
        }
        vals.insert(a.name.clone(), v);
    }
    check_rules(&spec.rules, &vals, &within)?;
    Ok(vals)
}

fn collect_secrets(v: &Json, into: &mut Vec<String>) {
    match v {
        Json::String(s) if !s.is_empty() => into.push(s.clone()),
        Json::Array(a) => a.iter().for_each(|x| collect_secrets(x, into)),
        Json::Object(o) => o.values().for_each(|x| collect_secrets(x, into)),
        Json::Number(n) => into.push(n.to_string()),
        _ => {}
    }
}

fn check_choices(a: &Arg, v: &Json, within: &str) -> Result<(), String> {
    if a.choices.is_empty() || v.is_null() {
        return Ok(());
    }
    let list = a.choices.iter().map(json_text).collect::<Vec<_>>().join(", ");
    match v {
        Json::Array(l) => {
            let bad: Vec<String> = l.iter().filter(|e| !a.choices.contains(e)).map(json_text).collect();
            if bad.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "value of {} must be one or more of: {list}. Got no match for: {}{within}",
                    a.name,
                    bad.join(", ")
                ))
            }
        }
        v if a.choices.contains(v) => Ok(()),
        v => Err(format!("value of {} must be one of: {list}, got: {}{within}", a.name, json_text(v))),
    }
}

fn check_rules(rules: &[Rule], vals: &Map<String, Json>, within: &str) -> Result<(), String> {
    let given = |n: &String| vals.get(n.as_str()).is_some_and(|v| !v.is_null());
    for r in rules {
        match r {
            Rule::MutuallyExclusive(_) => {}
            Rule::RequiredTogether(n) => {
                let c = n.iter().filter(|x| given(x)).count();
                if c > 0 && c < n.len() {
                    return Err(format!("parameters are required together: {}{within}", n.join(", ")));
                }
            }
            Rule::RequiredOneOf(n) => {
                if !n.iter().any(given) {
                    return Err(format!("one of the following is required: {}{within}", n.join(", ")));
                }
            }
            Rule::RequiredIf { key, value, names, any } => {
                if vals.get(key.as_str()) == Some(value) {
                    let missing: Vec<&str> = names.iter().filter(|x| !given(x)).map(String::as_str).collect();
                    if (*any && missing.len() == names.len()) || (!*any && !missing.is_empty()) {
                        let how = if *any { "any" } else { "all" };
                        return Err(format!(
                            "{key} is {} but {how} of the following are missing: {}{within}",
                            json_text(value),
                            missing.join(", ")
                        ));
                    }
                }
            }
            Rule::RequiredBy { key, names } => {
                if given(key) {
                    let missing: Vec<&str> = names.iter().filter(|x| !given(x)).map(String::as_str).collect();
                    if !missing.is_empty() {
                        return Err(format!(
                            "missing parameter(s) required by '{key}': {}{within}",
                            missing.join(", ")
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

fn convert_arg(a: &Arg, v: &Json, _what: &str, path: &str) -> Result<Json, String> {
    let shown = if path.is_empty() { a.name.clone() } else { format!("{path}.{}", a.name) };
    let fail = |e: String| {
        format!("argument '{shown}' is of type {} and we were unable to convert to {}: {e}", type_of(v), a.ty.name())
    };
    let out = convert(a.ty, v).map_err(fail)?;
    match (a.elements, out) {
        (Some(t), Json::Array(l)) => {
            let mut done = Vec::with_capacity(l.len());
            for e in l {
                done.push(convert(t, &e).map_err(|m| {
                    format!(
                        "Elements value for option '{shown}' is of type {} and we were unable to convert to {}: {m}",
                        type_of(&e),
                        t.name()
                    )
                })?);
            }
            Ok(Json::Array(done))
        }
        (_, out) => Ok(out),
    }
}

fn type_of(v: &Json) -> String {
    let n = match v {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(n) if n.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    };
    format!("<class '{n}'>")
}

/// Converts a value to an argument type as Ansible's modules do; the error is the reason only.
pub fn convert(ty: Type, v: &Json) -> Result<Json, String> {
    match ty {
        Type::Raw => Ok(v.clone()),
        Type::Str => Ok(match v {
            Json::String(_) => v.clone(),
            other => Json::String(value::Value::from_json(other.clone()).to_str()),
        }),
        Type::Path => {
            let s = match v {
                Json::String(s) => s.clone(),
                other => value::Value::from_json(other.clone()).to_str(),
            };
            Ok(expand_path(&s).into())
        }
        Type::Bool => match v {
            Json::Bool(_) => Ok(v.clone()),
            other => value::Value::from_json(other.clone()).to_bool_loose().map(Json::Bool).ok_or_else(|| {
                format!(
                    "The value {} is not a valid boolean. Valid booleans include: 'y', '1', 'yes', 'on', 'true', 't', 'n', '0', 'no', 'off', 'false', 'f'",
                    value::Value::from_json(other.clone()).repr()
                )
            }),
        },
        Type::Int => match v {
            Json::Number(n) if n.is_i64() || n.is_u64() => Ok(v.clone()),
            Json::Number(n) => match n.as_f64() {
                Some(f) if f.fract() == 0.0 => Ok(Json::from(f as i64)),
                _ => Err(format!("<class 'float'> cannot be converted to an int: {n}")),
            },
            Json::Bool(b) => Ok(Json::from(i64::from(*b))),
            Json::String(s) => s
                .trim()
                .parse::<i64>()
                .map(Json::from)
                .map_err(|_| format!("\"<class 'str'> cannot be converted to an int\": {s}")),
            _ => Err(format!("{} cannot be converted to an int", type_of(v))),
        },
        Type::Float => match v {
            Json::Number(n) => Ok(Json::from(n.as_f64().unwrap_or(0.0))),
            Json::String(s) => s
                .trim()
                .parse::<f64>()
                .map(Json::from)
                .map_err(|_| format!("<class 'str'> cannot be converted to a float: {s}")),
            _ => Err(format!("{} cannot be converted to a float", type_of(v))),
        },
        Type::List => match v {
            Json::Array(_) => Ok(v.clone()),
            Json::String(s) => Ok(s.split(',').map(|x| Json::from(x.trim())).collect()),
            Json::Number(n) => Ok(vec![Json::from(n.to_string())].into()),
            _ => Err(format!("{} cannot be converted to a list", type_of(v))),
        },
        Type::Dict => match v {
            Json::Object(_) => Ok(v.clone()),
            Json::String(s) => dict_from_text(s),
            _ => Err(format!("{} cannot be converted to a dict", type_of(v))),
        },
        Type::Jsonarg | Type::Json => Ok(match v {
            Json::String(s) => s.trim().into(),
            Json::Array(_) | Json::Object(_) => v.to_string().into(),
            other => value::Value::from_json(other.clone()).to_str().into(),
        }),
        Type::Bytes | Type::Bits => match v {
            Json::Number(_) => Ok(v.clone()),
            Json::String(s) => human_to_bytes(s, ty == Type::Bits).map(Json::from),
            _ => Err(format!("{} cannot be converted to a Byte value", type_of(v))),
        },
    }
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
            let (k, v) = part
                .split_once('=')
                .ok_or("unable to evaluate string in the \"key=value, ...\" style as dictionary")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Spec {
        Spec::new(vec![
            Arg::path("path").required().aliases(&["dest"]),
            Arg::bool("force").default(false),
            Arg::str("state").choices(&["present", "absent"]).default("present"),
            Arg::list("tags", Type::Str),
            Arg::str("password").secret(),
        ])
        .exclusive(&["tags", "password"])
    }
    fn run(v: Json) -> Result<Checked, String> {
        validate(&spec(), v.as_object().expect("an object"), "t")
    }

    #[test]
    fn converts_and_defaults() {
        let c = run(json!({"dest": "/a", "force": "yes", "tags": "a, b"})).expect("valid");
        assert_eq!(c.args.str("path"), "/a");
        assert!(c.args.bool("force"));
        assert_eq!(c.args.strings("tags"), ["a", "b"]);
        assert_eq!(c.args.str("state"), "present");
    }

    #[test]
    fn refuses() {
        assert!(
            run(json!({"path": "/a", "nope": 1}))
                .unwrap_err()
                .starts_with("Unsupported parameters for (t) module: nope.")
        );
        assert_eq!(run(json!({})).unwrap_err(), "missing required arguments: path");
        assert_eq!(
            run(json!({"path": "/a", "state": "x"})).unwrap_err(),
            "value of state must be one of: present, absent, got: x"
        );
        assert_eq!(
            run(json!({"path": "/a", "tags": "a", "password": "b"})).unwrap_err(),
            "parameters are mutually exclusive: tags|password"
        );
    }

    #[test]
    fn secrets_are_masked() {
        let c = run(json!({"path": "/a", "password": "hunter2"})).expect("valid");
        let mut m = Map::new();
        m.insert("msg".into(), "it is hunter2".into());
        c.censor(&mut m);
        assert_eq!(m["msg"], "it is ********");
        assert_eq!(c.shown()["password"], HIDDEN);
    }

    #[test]
    fn sizes() {
        assert_eq!(human_to_bytes("10M", false), Ok(10 << 20));
        assert_eq!(human_to_bytes("1.5KB", false), Ok(1536));
        assert!(human_to_bytes("1Kb", false).is_err());
    }
}
