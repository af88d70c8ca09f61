//! Local facts: `*.fact` files under `fact_path`, run if executable, read as JSON or else as INI.

use super::{Env, Facts, names, obj};
use crate::modules::support::exec::Cmd;
use serde_json::{Map, Value as Json};
use std::os::unix::fs::PermissionsExt;

pub fn local(env: &mut Env) -> Facts {
    let dir = env.fact_path.trim_end_matches('/').to_string();
    let mut all = Facts::new();
    for name in names(&dir) {
        let Some(base) = name.strip_suffix(".fact") else { continue };
        let path = format!("{dir}/{name}");
        let value = one(env, &path).unwrap_or_else(|message| {
            env.warnings.push(message.clone());
            message.into()
        });
        all.insert(base.to_string(), value);
    }
    obj([("local", Json::Object(all))])
}

fn one(env: &Env, path: &str) -> Result<Json, String> {
    let meta = std::fs::metadata(path).map_err(|e| format!("Could not stat fact ({path}): {e}"))?;
    if meta.is_dir() {
        return Err(format!("Could not read fact ({path}): it is a directory"));
    }
    let text = if meta.permissions().mode() & 0o100 != 0 {
        let o = Cmd::new([path]).run(&env.ctx).map_err(|e| format!("Could not execute fact script ({path}): {e}"))?;
        if !o.ok() {
            return Err(format!("Failure executing fact script ({path}), rc: {}, err: {}", o.rc, o.err()));
        }
        o.out()
    } else {
        let bytes = std::fs::read(path).map_err(|e| format!("Could not read fact ({path}): {e}"))?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    if let Ok(v) = serde_json::from_str::<Json>(&text) {
        return Ok(v);
    }
    ini(&text)
        .map(Json::Object)
        .ok_or_else(|| format!("error loading facts as JSON or ini - please check content: {path}"))
}

/// INI as Python's ConfigParser reads it: keys in lower case, `=` or `:`, continuation lines,
/// `%(name)s` filled in. None if it is not INI.
fn ini(text: &str) -> Option<Map<String, Json>> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = vec![];
    for raw in text.lines() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split_once(']')).map(|(n, _)| n) {
            if sections.iter().any(|(s, _)| s == name) {
                return None;
            }
            sections.push((name.to_string(), vec![]));
            continue;
        }
        let (_, keys) = sections.last_mut()?;
        if raw.starts_with([' ', '\t'])
            && let Some((_, v)) = keys.last_mut()
        {
            v.push('\n');
            v.push_str(line);
            continue;
        }
        let at = line.find(['=', ':'])?;
        let (k, v) = line.split_at(at);
        let key = k.trim().to_lowercase();
        if key.is_empty() || keys.iter().any(|(x, _)| *x == key) {
            return None;
        }
        keys.push((key, v.get(1..).unwrap_or("").trim().to_string()));
    }
    let defaults: Vec<(String, String)> =
        sections.iter().filter(|(n, _)| n == "DEFAULT").flat_map(|(_, k)| k.clone()).collect();
    let mut out = Map::new();
    for (name, keys) in sections.iter().filter(|(n, _)| n != "DEFAULT") {
        let mut scope = defaults.clone();
        for (k, v) in keys {
            scope.retain(|(x, _)| x != k);
            scope.push((k.clone(), v.clone()));
        }
        let section: Map<String, Json> =
            scope.iter().map(|(k, v)| (k.clone(), Json::from(fill(v, &scope, 0)))).collect();
        out.insert(name.clone(), Json::Object(section));
    }
    Some(out)
}

/// `%(name)s` replaced by the section's value, `%%` by a percent sign; ten levels deep at most.
fn fill(v: &str, scope: &[(String, String)], depth: u8) -> String {
    let mut out = String::new();
    let mut rest = v;
    while let Some(i) = rest.find('%') {
        out.push_str(rest.get(..i).unwrap_or(""));
        let after = rest.get(i + 1..).unwrap_or("");
        if let Some(r) = after.strip_prefix('%') {
            out.push('%');
            rest = r;
        } else if let Some((name, r)) = after.strip_prefix('(').and_then(|a| a.split_once(")s"))
            && let Some((_, value)) = scope.iter().find(|(k, _)| *k == name.to_lowercase())
            && depth < 10
        {
            out.push_str(&fill(value, scope, depth + 1));
            rest = r;
        } else {
            out.push('%');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ini_as_configparser() {
        let v = ini("[general]\nasdf=1\nBar = two words\n; c\n[Other]\nX=\nd=%(x)s%%%(nope)s\n").expect("INI");
        assert_eq!(
            Json::Object(v),
            json!({"general": {"asdf": "1", "bar": "two words"}, "Other": {"x": "", "d": "%%(nope)s"}})
        );
        assert!(ini("not ini").is_none() && ini("[a]\nk=1\nk=2").is_none() && ini("[a]\nnope").is_none());
        assert_eq!(fill("%(a)s", &[("a".into(), "%(a)s".into())], 0), "%(a)s");
    }
}
