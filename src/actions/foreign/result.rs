//! What a module's answer means for the task.

use super::Settings;
use crate::actions::Done;
use crate::diag::Error;
use crate::value::{Map, Value};

const UNKNOWN: &str = "(traceback unavailable)";

/// Settles the answer of a module on `host`: the keys that are for us become the task's error, warnings and
/// facts. `told` is whether the discovery of an interpreter deserves a warning. Answers the module's file on
/// the host if it was left there.
pub fn settle(d: &mut Done, host: &str, told: bool, s: &Settings) -> Option<String> {
    let found = text(&mut d.data, "_ansible_discovered_interpreter");
    let kept = text(&mut d.data, "_ansible_kept");
    let chain = text(&mut d.data, "_ansible_error");
    let hint = text(&mut d.data, "_ansible_hint");
    let broken = d.data.shift_remove("_ansible_parsed").is_some_and(|v| !v.truthy());
    strip(&mut d.data);
    if let Some(chain) = chain {
        let msg = format!("Module failed: {chain}");
        d.data.insert("msg".into(), format!("Task failed: {msg}").into());
        d.data.entry("failed".into()).or_insert(true.into());
        d.error = Some(Error::general(msg));
    }
    if broken {
        d.by_module = false;
        let msg = d.data.get("msg").map(Value::to_str).unwrap_or_default();
        let mut advice = hint.unwrap_or_default();
        if d.data.contains_key("module_stderr") {
            advice = format!("{advice} See stdout/stderr for the returned output.").trim_start().to_string();
        }
        let e = Error::general(msg);
        d.error = Some(if advice.is_empty() {
            e.context("Action failed")
        } else {
            e.help(advice).during("Action failed", None)
        });
    }
    if d.data.get("failed").is_some_and(Value::truthy) {
        let shown =
            d.data.get("exception").and_then(Value::as_str).filter(|_| s.error_tracebacks()).map(str::to_string);
        let stderr = d.data.get("module_stderr").and_then(Value::as_str).filter(|t| broken && t.contains("Traceback"));
        let stderr = stderr.filter(|_| s.error_tracebacks()).map(str::to_string);
        d.data.insert("exception".into(), shown.or(stderr).unwrap_or_else(|| UNKNOWN.into()).into());
    }
    if let Some(path) = found {
        let mut facts = d.data.get("ansible_facts").and_then(Value::as_map).cloned().unwrap_or_default();
        facts.insert("discovered_interpreter_python".into(), path.as_str().into());
        d.data.insert("ansible_facts".into(), Value::map(facts));
        if told {
            warn(
                &mut d.data,
                format!(
                    "Host '{host}' is using the discovered Python interpreter at '{path}', but future installation of another Python interpreter could cause a different interpreter to be discovered. See https://docs.ansible.com/ansible-core/2.19/reference_appendices/interpreter_discovery.html for more information."
                ),
            );
        }
    }
    kept
}

/// Takes out the keys that are an engine's own, wherever they are.
fn strip(m: &mut Map) {
    m.retain(|k, _| !k.as_str().is_some_and(|k| k.starts_with("_ansible_")));
    for v in m.values_mut() {
        strip_value(v);
    }
}

fn strip_value(v: &mut Value) {
    match v {
        Value::Map(inner) => strip(std::sync::Arc::make_mut(inner)),
        Value::List(l) | Value::Tuple(l) => std::sync::Arc::make_mut(l).iter_mut().for_each(strip_value),
        _ => {}
    }
}

fn text(data: &mut Map, key: &str) -> Option<String> {
    data.shift_remove(key).map(|v| v.to_str())
}

fn warn(data: &mut Map, text: String) {
    let mut list = data.get("warnings").and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default();
    list.insert(0, text.into());
    data.insert("warnings".into(), Value::list(list));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settled(v: serde_json::Value, s: &Settings) -> Done {
        let data = Value::from_json(v).as_map().cloned().unwrap_or_default();
        let mut d = Done { data, by_module: true, ..Done::default() };
        settle(&mut d, "h1", true, s);
        d
    }

    #[test]
    fn exceptions() {
        let s = Settings::default();
        let d = settled(json!({"failed": true, "_ansible_error": "one: two", "exception": "Traceback"}), &s);
        assert_eq!(d.data.get("msg").map(Value::to_str).as_deref(), Some("Task failed: Module failed: one: two"));
        assert_eq!(d.data.get("exception").map(Value::to_str).as_deref(), Some(UNKNOWN));
        assert_eq!(d.error.map(|e| e.to_string()).as_deref(), Some("Module failed: one: two"));
        let s = Settings { tracebacks: vec!["error".into()], ..Settings::default() };
        let d =
            settled(json!({"failed": true, "_ansible_parsed": false, "msg": "m", "module_stderr": "Traceback x"}), &s);
        assert!(!d.by_module);
        assert_eq!(d.data.get("exception").map(Value::to_str).as_deref(), Some("Traceback x"));
    }

    #[test]
    fn interpreters_are_facts() {
        let d = settled(
            json!({"ansible_facts": {"a": 1}, "_ansible_discovered_interpreter": "/usr/bin/python3", "_ansible_other": 1}),
            &Settings::default(),
        );
        let facts = d.data.get("ansible_facts").and_then(Value::as_map).map(Map::len);
        assert_eq!((facts, d.data.len()), (Some(2), 2));
    }
}
