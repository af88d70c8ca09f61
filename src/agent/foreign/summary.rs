//! Results of AnsibleModule carry events with a type mark (`__ansible_type`); here they become the plain
//! keys that playbooks see.

use serde_json::{Map, Value as Json, json};

const TYPE: &str = "__ansible_type";
/// The messages of an exception and its causes, for the controller.
const CHAIN: &str = "_ansible_error";

/// Turns the marked values of a result into plain ones.
pub fn flatten(m: &mut Map<String, Json>) {
    if let Some(e) = m.get("exception").filter(|e| is(e, "ErrorSummary")).cloned() {
        let event = e.get("event").cloned().unwrap_or_default();
        m.remove("exception");
        m.insert(CHAIN.into(), messages(&event).into());
        if let Some(t) = traceback(&event) {
            m.insert("exception".into(), t.into());
        }
    }
    if let Some(Json::Array(list)) = m.get_mut("warnings") {
        for w in list {
            if is(w, "WarningSummary") {
                *w = messages(w.get("event").unwrap_or(&Json::Null)).into();
            }
        }
    }
    if let Some(Json::Array(list)) = m.get_mut("deprecations") {
        for d in list {
            if is(d, "DeprecationSummary") {
                *d = deprecation(d);
            }
        }
    }
    for v in m.values_mut() {
        unmark(v);
    }
}

fn is(v: &Json, kind: &str) -> bool {
    v.get(TYPE).and_then(Json::as_str) == Some(kind)
}

/// The message of an event and those of its causes.
fn messages(event: &Json) -> String {
    let mut out = vec![];
    let mut at = Some(event);
    while let Some(e) = at {
        if let Some(msg) = e.get("msg").and_then(Json::as_str)
            && !out.contains(&msg)
        {
            out.push(msg);
        }
        let chain = e.get("chain");
        let follow = chain.is_some_and(|c| c.get("follow").and_then(Json::as_bool) != Some(false));
        at = chain.filter(|_| follow).and_then(|c| c.get("event"));
    }
    out.join(": ")
}

/// The tracebacks of an event and its causes, the first cause first, as Python prints them.
fn traceback(event: &Json) -> Option<String> {
    let own = event.get("formatted_traceback").and_then(Json::as_str)?;
    let Some(chain) = event.get("chain") else { return Some(own.to_string()) };
    let Some(cause) = chain.get("event").and_then(traceback) else { return Some(own.to_string()) };
    let reason = chain.get("traceback_reason").and_then(Json::as_str).unwrap_or_default();
    Some(format!("{cause}\n{reason}\n\n{own}"))
}

fn deprecation(d: &Json) -> Json {
    let text = |k: &str| d.get(k).and_then(Json::as_str);
    let who = d.get("deprecator");
    let name = who.and_then(|w| w.get("resolved_name")).and_then(Json::as_str);
    let kind = who.and_then(|w| w.get("type")).and_then(|t| t.get("value").or(Some(t))).filter(|t| t.is_string());
    let mut m = Map::new();
    m.insert("msg".into(), messages(d.get("event").unwrap_or(&Json::Null)).into());
    for k in ["version", "date"] {
        if let Some(v) = text(k) {
            m.insert(k.into(), v.into());
        }
    }
    if let Some(n) = name {
        // the collection is what stands before the plug-in's own name
        let parts: Vec<&str> = n.split('.').take(2).collect();
        m.insert("collection_name".into(), parts.join(".").into());
        m.insert("deprecator".into(), json!({"resolved_name": n, "type": kind}));
    }
    Json::Object(m)
}

/// Takes the marks off what is left of them (values of a type that JSON does not have).
fn unmark(v: &mut Json) {
    match v {
        Json::Object(m) => {
            if m.contains_key(TYPE)
                && let Some(plain) = m.get("value").or_else(|| m.get("iso8601")).cloned()
            {
                *v = plain;
                return unmark(v);
            }
            m.values_mut().for_each(unmark);
        }
        Json::Array(l) => l.iter_mut().for_each(unmark),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(v: Json) -> Json {
        let mut m = v.as_object().cloned().unwrap_or_default();
        flatten(&mut m);
        Json::Object(m)
    }

    #[test]
    fn errors_with_their_causes() {
        let inner = json!({"msg": "two", "formatted_traceback": "T2\n", TYPE: "Event"});
        let event = json!({"msg": "one", "formatted_traceback": "T1\n", TYPE: "Event", "chain": {
            "traceback_reason": "The cause:", "event": inner, "follow": true, TYPE: "EventChain"}});
        let r = flat(json!({"failed": true, "exception": {"event": event, TYPE: "ErrorSummary"}}));
        assert_eq!(r, json!({"failed": true, CHAIN: "one: two", "exception": "T2\n\nThe cause:\n\nT1\n"}));
        let r = flat(json!({"exception": {"event": {"msg": "x", TYPE: "Event"}, TYPE: "ErrorSummary"}}));
        assert_eq!(r, json!({CHAIN: "x"}));
    }

    #[test]
    fn warnings_and_deprecations() {
        let r = flat(json!({
            "warnings": ["plain", {"event": {"msg": "w", TYPE: "Event"}, TYPE: "WarningSummary"}],
            "deprecations": [{
                "event": {"msg": "old", TYPE: "Event"},
                "deprecator": {"resolved_name": "ansible.legacy.m", "type": {"value": "module", TYPE: "PluginType"}, TYPE: "PluginInfo"},
                "date": "2030-01-01", TYPE: "DeprecationSummary"}],
        }));
        assert_eq!(
            r,
            json!({
                "warnings": ["plain", "w"],
                "deprecations": [{"msg": "old", "date": "2030-01-01", "collection_name": "ansible.legacy",
                    "deprecator": {"resolved_name": "ansible.legacy.m", "type": "module"}}],
            })
        );
    }
}
