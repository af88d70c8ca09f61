//! Expressions with the results that ansible-core 2.19 gives for them (`*.tsv`: expression, `ok` or
//! `err`, result or message as JSON), recorded from its template engine over the variables of
//! `vars.json`. Cases that differ on purpose stand in `differences.tsv` with the reason, and must differ.

use crate::template::{Engine, EngineOptions, FileScope, MapVars, Scope};
use crate::value::{Value, py_float};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;

const VARS: &str = include_str!("vars.json");
const DIFFERENCES: &str = include_str!("differences.tsv");

/// The tables by family.
const FAMILIES: &[(&str, &str)] = &[
    ("dicts", include_str!("dicts.tsv")),
    ("digest", include_str!("digest.tsv")),
    ("ipaddr", include_str!("ipaddr.tsv")),
    ("json_query", include_str!("json_query.tsv")),
    ("lists", include_str!("lists.tsv")),
    ("mapping", include_str!("mapping.tsv")),
    ("mixed", include_str!("mixed.tsv")),
    ("mixed_more", include_str!("mixed_more.tsv")),
    ("network", include_str!("network.tsv")),
    ("numbers", include_str!("numbers.tsv")),
    ("password", include_str!("password.tsv")),
    ("paths", include_str!("paths.tsv")),
    ("regex", include_str!("regex.tsv")),
    ("regex_more", include_str!("regex_more.tsv")),
    ("serial", include_str!("serial.tsv")),
    ("sorting", include_str!("sorting.tsv")),
    ("tests", include_str!("tests.tsv")),
    ("text", include_str!("text.tsv")),
    ("times", include_str!("times.tsv")),
    ("undefined", include_str!("undefined.tsv")),
    ("urls", include_str!("urls.tsv")),
    ("vaulting", include_str!("vaulting.tsv")),
];

fn trusted(j: Json) -> Value {
    Value::from_json(j).into_trusted()
}

fn scope() -> Scope {
    let Ok(Json::Object(vars)) = serde_json::from_str(VARS) else { panic!("vars.json is no object") };
    let map = vars.into_iter().map(|(k, v)| (k.into(), trusted(v))).collect();
    Scope::new(Arc::new(MapVars(map)), Arc::new(FileScope::default()))
}

/// The result as the recorder wrote it.
fn shown(v: &Value) -> Json {
    match v {
        Value::Int(i) => serde_json::from_str(&i.to_string()).unwrap_or(Json::Null),
        Value::Float(f) if !f.is_finite() => serde_json::json!({ "__float__": py_float(*f) }),
        Value::List(l) | Value::Tuple(l) => Json::Array(l.iter().map(shown).collect()),
        Value::Map(m) => Json::Object(m.iter().map(|(k, v)| (k.to_text().to_string(), shown(v))).collect()),
        other => other.to_json(),
    }
}

fn outcome(engine: &Engine, scope: &Scope, expression: &str) -> (String, Json) {
    match engine.eval(expression, scope) {
        Ok(v) => ("ok".into(), shown(&v)),
        Err(e) => ("err".into(), Json::String(e.message().to_string())),
    }
}

/// Names that the documentation of ansible-core and of the two collections lists.
#[test]
fn every_documented_name_is_there() {
    let mut missing = vec![];
    for line in include_str!("names.txt").lines() {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        for name in words {
            let prefix = if kind.contains('.') { kind } else { "ansible.builtin" };
            for name in [name.to_string(), format!("{prefix}.{name}")] {
                let there =
                    if kind == "tests" { crate::template::tests::is_test(&name) } else { super::is_filter(&name) };
                if !there {
                    missing.push(format!("{kind} {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn expressions_give_what_ansible_gives() {
    let engine = Engine::new(EngineOptions::default());
    let scope = scope();
    let mut differences: HashMap<&str, &str> = DIFFERENCES.lines().filter_map(|l| l.split_once('\t')).collect();
    let (mut cases, mut wrong) = (0, vec![]);
    for (family, table) in FAMILIES {
        for line in table.lines().filter(|l| !l.is_empty()) {
            let mut parts = line.splitn(3, '\t');
            let (Some(expression), Some(kind), Some(expected)) = (parts.next(), parts.next(), parts.next()) else {
                panic!("{family}: not three columns: {line}");
            };
            let expected: Json = serde_json::from_str(expected).unwrap_or_else(|e| panic!("{line}: {e}"));
            cases += 1;
            let (got_kind, got) = outcome(&engine, &scope, expression);
            let equal = got_kind == kind && got == expected;
            match differences.remove(expression) {
                None if equal => {}
                None => {
                    wrong.push(format!("{family}: {expression}\n   want {kind} {expected}\n   got  {got_kind} {got}"))
                }
                Some(_) if !equal => {}
                Some(_) => wrong.push(format!("{family}: {expression}: listed as a difference, but equal")),
            }
        }
    }
    wrong.extend(differences.keys().map(|e| format!("differences.tsv names a case that does not exist: {e}")));
    assert!(cases > 1000, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
