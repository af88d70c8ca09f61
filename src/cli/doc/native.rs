//! The documentation of what is built in, from the modules' own declarations and from the tables beside this file.

use super::find::Found;
use super::source::Doc;
use crate::modules::spec::{Arg, Spec};
use crate::modules::{self, Support};
use crate::settings;
use crate::template::{LOOKUP_NAMES, filters, tests as jinja_tests};
use crate::value::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Kind, name, one line.
static ABOUT: LazyLock<BTreeMap<(&str, &str), &str>> = LazyLock::new(|| {
    include_str!("about.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| {
            let mut f = l.splitn(3, '\t');
            Some(((f.next()?, f.next()?), f.next()?))
        })
        .collect()
});

/// The short names of what is built in.
pub fn names(kind: &str) -> Vec<&'static str> {
    let short = |all: &'static [String]| all.iter().map(String::as_str).filter(|n| !n.contains('.')).collect();
    let mut out: Vec<&str> = match kind {
        "module" => {
            let mut n: Vec<&str> = modules::registry().iter().map(|m| m.name).collect();
            n.extend(crate::actions::names());
            n.extend(crate::actions::ENGINE_ACTIONS.iter().filter(|a| **a != "include"));
            n.push("import_playbook");
            n.retain(|n| !INNER.contains(n));
            n
        }
        "filter" => {
            let mut n: Vec<&str> = short(filters::filter_names());
            // old playbooks use tests as filters; they are documented as tests
            n.retain(|f| filters::parameters(f).is_some());
            n
        }
        "test" => short(jinja_tests::test_names()),
        "lookup" => LOOKUP_NAMES.to_vec(),
        "callback" => crate::output::CALLBACKS.to_vec(),
        kind => ABOUT.keys().filter(|(k, _)| *k == kind).map(|(_, n)| *n).collect(),
    };
    out.sort_unstable();
    out.dedup();
    out
}

/// Modules that other modules are made of; no task names them.
const INNER: [&str; 1] = ["fetch_content"];

pub fn has(kind: &str, name: &str) -> bool {
    names(kind).contains(&name)
}

/// The collection in which the field has it.
pub fn collection_of(kind: &str, name: &str) -> Option<&'static str> {
    if !has(kind, name) {
        return None;
    }
    Some(match kind {
        "module" => modules::find(name).map(|m| m.collection).unwrap_or("ansible.builtin"),
        "callback" => match name {
            "debug" | "json" | "jsonl" | "profile_roles" | "profile_tasks" | "timer" => "ansible.posix",
            "default" | "junit" | "minimal" | "oneline" | "tree" => "ansible.builtin",
            _ => "community.general",
        },
        "filter" => match name {
            "json_query" => "community.general",
            n if n.starts_with("ip") && n != "ip" || IPADDR.contains(&n) => "ansible.utils",
            _ => "ansible.builtin",
        },
        "become" if name == "doas" => "community.general",
        _ => "ansible.builtin",
    })
}

const IPADDR: [&str; 9] = [
    "cidr_merge",
    "hwaddr",
    "macaddr",
    "network_in_network",
    "network_in_usable",
    "next_nth_usable",
    "nthhost",
    "reduce_on_network",
    "slaac",
];

fn about(kind: &str, name: &str) -> Option<&'static str> {
    ABOUT.get(&(kind, name)).copied()
}

/// The documentation of something built in; None if nothing is declared.
pub fn read(f: &Found) -> Option<Doc> {
    let mut doc = Map::new();
    let name = f.name.as_str();
    let (short, more): (String, Vec<Value>) = if f.kind == "module" {
        let text = match (modules::find(name), about("module", name)) {
            // what runs on the controller around the module is what a task means
            (_, Some(t)) => t.to_string(),
            (Some(m), None) => m.doc.to_string(),
            (None, None) => return None,
        };
        let mut p = text.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
        let first = p.next().unwrap_or_default();
        (first, p.map(Value::from).collect())
    } else {
        (about(&f.kind, name)?.to_string(), vec![])
    };
    doc.insert(if f.kind == "module" { "module" } else { "name" }.into(), name.into());
    doc.insert("short_description".into(), short.trim_end_matches('.').into());
    let mut description: Vec<Value> =
        vec![if short.ends_with('.') { short.into() } else { format!("{short}.").into() }];
    description.extend(more);
    doc.insert("description".into(), Value::list(description));
    doc.insert("author".into(), Value::list(vec!["Dirigo".into()]));
    match f.kind.as_str() {
        "module" => {
            let spec = crate::actions::find(name)
                .and_then(|a| a.spec.map(|f| f()))
                .or_else(|| modules::find(name).map(|m| m.spec.clone()));
            if let Some(s) = spec {
                doc.insert("options".into(), options(&s, "suboptions"));
            }
            if let Some(m) = modules::find(name) {
                let word = |s: Support| match s {
                    Support::Full => "full",
                    Support::Partial => "partial",
                    Support::None => "none",
                };
                let row = |text: &str, s: Support| {
                    let m: Map =
                        [("description".into(), text.into()), ("support".into(), word(s).into())].into_iter().collect();
                    Value::map(m)
                };
                let both: Map = [
                    ("check_mode".into(), row("Tells what would change, and changes nothing.", m.check)),
                    ("diff_mode".into(), row("Shows what changes.", m.diff)),
                ]
                .into_iter()
                .collect();
                doc.insert("attributes".into(), Value::map(both));
            }
        }
        kind => {
            if let Some(p) = settings::plugin(kind, name) {
                doc.insert("options".into(), plugin_options(p));
            }
            let signature = match kind {
                "filter" => filters::parameters(name),
                "test" => jinja_tests::parameters(name),
                _ => None,
            };
            if let Some(s) = signature.filter(|s| !s.is_empty()) {
                let mut notes = vec![Value::from(format!("Parameters: V({s})."))];
                notes.extend(doc.get("notes").cloned());
                doc.insert("notes".into(), Value::list(notes));
            }
        }
    }
    Some(Doc { doc, examples: None, returns: Value::Null })
}

fn options(s: &Spec, inner: &str) -> Value {
    let mut out = Map::new();
    for a in &s.args {
        out.insert(a.name.as_str().into(), option(a, inner));
    }
    Value::map(out)
}

/// One argument as documentation has it.
fn option(a: &Arg, inner: &str) -> Value {
    let mut m = Map::new();
    let text = if a.doc.is_empty() { "Not described." } else { a.doc.as_str() };
    m.insert("description".into(), Value::list(vec![text.into()]));
    m.insert("type".into(), a.ty.name().into());
    if let Some(e) = a.elements {
        m.insert("elements".into(), e.name().into());
    }
    if a.required {
        m.insert("required".into(), true.into());
    }
    if let Some(d) = &a.default {
        m.insert("default".into(), Value::from_json(d.clone()));
    }
    if !a.choices.is_empty() {
        m.insert("choices".into(), Value::list(a.choices.iter().cloned().map(Value::from_json).collect()));
    }
    if !a.aliases.is_empty() {
        m.insert("aliases".into(), Value::list(a.aliases.iter().map(|s| s.as_str().into()).collect()));
    }
    if let Some(s) = &a.options {
        m.insert(inner.into(), options(s, inner));
    }
    Value::map(m)
}

fn plugin_options(p: &settings::Plugin) -> Value {
    let mut out = Map::new();
    for s in &p.options {
        let mut m = Map::new();
        let text = if s.about.is_empty() { "Accepted; it has no effect here." } else { s.about.as_str() };
        m.insert("description".into(), Value::list(vec![text.into()]));
        m.insert("type".into(), s.ty.as_str().into());
        if s.required {
            m.insert("required".into(), true.into());
        } else {
            m.insert("default".into(), Value::from_json(s.default.clone()));
        }
        if !s.choices.is_empty() {
            m.insert("choices".into(), Value::list(s.choices.iter().map(|c| c.as_str().into()).collect()));
        }
        let one = |k: &str, v: &str| -> Value { Value::map([(k.into(), Value::from(v))].into_iter().collect()) };
        let mut put = |k: &str, l: Vec<Value>| {
            if !l.is_empty() {
                m.insert(k.into(), Value::list(l));
            }
        };
        put("env", s.env.iter().map(|e| one("name", e)).collect());
        let ini = |(a, b): &(String, String)| {
            Value::map([("key".into(), b.as_str().into()), ("section".into(), a.as_str().into())].into_iter().collect())
        };
        put("ini", s.ini.iter().map(ini).collect());
        put("vars", s.vars.iter().map(|v| one("name", v)).collect());
        out.insert(s.name.as_str().into(), Value::map(m));
    }
    Value::map(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_built_in_is_described() {
        let mut missing = vec![];
        for kind in super::super::find::KINDS.iter().filter(|k| !matches!(**k, "role" | "keyword")) {
            for n in names(kind) {
                let f = Found { kind: (*kind).into(), name: n.into(), collection: None, path: None };
                if read(&f).is_none() {
                    missing.push(format!("{kind} {n}"));
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}
