//! Expressions and templates with what ansible-core 2.19 makes of them (`testdata/expressions.json`,
//! recorded from the real one), and the places where Dirigo answers differently, each with its reason.

use super::{Engine, EngineOptions, FileScope, MapVars, Scope};
use crate::value::Value;
use serde_json::Value as Json;
use std::sync::Arc;

/// Text → what Dirigo answers instead (`=value` or `!error`). Kept in docs/differences.md too.
const DIFFERENT: &str = include_str!("testdata/different.json");

fn scope(vars: &Json) -> Scope {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/template/testdata/play");
    let vars = Value::from_json(vars.clone()).into_trusted();
    let files = FileScope { playbook_dir: dir.into(), ..FileScope::default() };
    Scope::new(Arc::new(MapVars::from(vars)), Arc::new(files))
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b)),
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

#[test]
fn expressions_as_ansible_has_them() {
    let groups: Vec<Json> = serde_json::from_str(include_str!("testdata/expressions.json")).expect("table");
    let different: serde_json::Map<String, Json> = serde_json::from_str(DIFFERENT).expect("differences");
    let engine = Engine::new(EngineOptions::default());
    let (mut passed, mut failures) = (0, Vec::new());
    for group in &groups {
        let scope = scope(&group["vars"]);
        for case in group["cases"].as_array().expect("cases") {
            let text = case["text"].as_str().expect("text");
            // A scope for each case: what one template changes the next must not see.
            let scope = Scope::new(scope.vars.clone(), scope.files.clone());
            let got = match case["kind"].as_str() {
                Some("t") => engine.render(&Value::trusted(text, None), &scope),
                Some("e") => engine.eval(text, &scope),
                _ => engine.condition(&Value::trusted(text, None), &scope).map(Value::Bool),
            };
            let got = match got {
                Ok(v) => format!("={}", v.to_json()),
                Err(e) => format!("!{}", e.message()),
            };
            let want = match (case.get("value"), case.get("error")) {
                (Some(v), _) => format!("={v}"),
                (None, e) => format!("!{}", e.and_then(Json::as_str).unwrap_or_default()),
            };
            let parse = |s: &str| s.strip_prefix('=').and_then(|j| serde_json::from_str::<Json>(j).ok());
            let equal = |want: &str| match (parse(&got), parse(want)) {
                (Some(a), Some(b)) => same(&a, &b),
                _ => got == want,
            };
            let want =
                match different.get(&format!("{}:{text}", case["kind"].as_str().unwrap_or("t"))).and_then(Json::as_str)
                {
                    // A difference that is gone must leave the list.
                    Some(_) if equal(&want) => format!("(no longer different) {want}"),
                    Some(other) => other.to_string(),
                    None => want,
                };
            if equal(&want) {
                passed += 1;
            } else {
                failures
                    .push(format!("{}:{text:?}\n   want {want}\n   got  {got}", case["kind"].as_str().unwrap_or("t")));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), passed + failures.len(), failures.join("\n"));
    assert!(passed >= 150, "only {passed} cases ran");
}
