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

/// What follows the module's name and key in each line of a table.
type Row = (&'static str, Vec<&'static str>);

/// A table beside this file: the lines of each module.
fn table(text: &'static str) -> BTreeMap<&'static str, Vec<Row>> {
    let mut out: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut f = line.split('\t');
        if let (Some(name), Some(key)) = (f.next(), f.next()) {
            out.entry(name).or_default().push((key, f.collect()));
        }
    }
    out
}

/// Module, key (a dot stands before what is within), type, when it is returned, what it is.
static RETURNS: LazyLock<BTreeMap<&str, Vec<Row>>> = LazyLock::new(|| table(include_str!("pages/returns.tsv")));

/// What the engine does itself: action, check mode, diff mode, about check mode.
static SUPPORT: LazyLock<BTreeMap<&str, Vec<Row>>> = LazyLock::new(|| table(include_str!("pages/support.tsv")));

/// Action, argument, type, required or a default, choices, what it is.
static OPTIONS: LazyLock<BTreeMap<&str, Vec<Row>>> = LazyLock::new(|| table(include_str!("pages/options.tsv")));

/// Kind, plug-in, then an option (name, type, required or a default, choices, elements, what it is), or `+positional`
/// with the order of those that need no name, or `+returns` with name, type, elements and what it is.
static PLUGIN_OPTIONS: LazyLock<BTreeMap<(&str, &str), Vec<Row>>> = LazyLock::new(|| {
    let mut out: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for (kind, rows) in table(include_str!("pages/plugin-options.tsv")) {
        for (name, rest) in rows {
            if let Some((key, rest)) = rest.split_first() {
                for name in name.split(',') {
                    out.entry((kind, name)).or_default().push((key, rest.to_vec()));
                }
            }
        }
    }
    out
});

/// Kind and name, then tasks or expressions that show its use.
static EXAMPLES: LazyLock<BTreeMap<(&str, &str), String>> = LazyLock::new(|| {
    let all = [include_str!("pages/examples-modules.txt"), include_str!("pages/examples-plugins.txt")];
    let parts = all.iter().flat_map(|t| t.split("\n## ").skip(1));
    parts
        .filter_map(|p| {
            let (head, text) = p.split_once('\n')?;
            Some((head.trim().split_once(' ')?, format!("{}\n", text.trim_end())))
        })
        .collect()
});

/// Kind and name, then expressions with what they answer as JSON (empty where that depends on the machine).
static EXPRESSIONS: LazyLock<BTreeMap<(&str, &str), Vec<(String, &str)>>> = LazyLock::new(|| {
    let mut out: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for l in include_str!("pages/expressions.tsv").lines().filter(|l| !l.starts_with('#')) {
        if let [kind, names, expression, answer] = &*l.split('\t').collect::<Vec<_>>() {
            for name in names.split(',') {
                out.entry((*kind, name)).or_default().push((expression.replace("NAME", name), *answer));
            }
        }
    }
    out
});

/// Expressions as values of a YAML file, each under what it answers.
fn shown_expressions(all: &[(String, &str)]) -> String {
    let mut out = String::new();
    for (i, (expression, answer)) in all.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if !answer.is_empty() {
            out.push_str(&format!("# answers {answer}\n"));
        }
        // a block needs no quotes
        out.push_str(&format!("example: >-\n  {{{{ {expression} }}}}\n"));
    }
    out
}

/// The return values that are declared for a module.
fn returns(name: &str) -> Value {
    fn below(rows: &[Row], before: &str) -> Map {
        let mut out = Map::new();
        for (key, rest) in rows {
            let Some(own) = key.strip_prefix(before).filter(|k| !k.contains('.')) else { continue };
            let col = |i: usize| Value::from(rest.get(i).copied().unwrap_or_default());
            let mut m = Map::new();
            m.insert("description".into(), Value::list(vec![format!("{}.", col(2).to_str()).into()]));
            m.insert("returned".into(), col(1));
            m.insert("type".into(), col(0));
            let within = below(rows, &format!("{key}."));
            if !within.is_empty() {
                m.insert("contains".into(), Value::map(within));
            }
            out.insert(own.into(), Value::map(m));
        }
        out
    }
    RETURNS.get(name).map_or(Value::Null, |rows| Value::map(below(rows, "")))
}

/// Rows of the attributes `check_mode` and `diff_mode`.
fn attributes(check: &str, about_check: Option<&str>, diff: &str) -> Value {
    let row = |text: &str, support: &str, details: Option<&str>| {
        let mut m = Map::new();
        m.insert("description".into(), text.into());
        details.into_iter().for_each(|d| drop(m.insert("details".into(), d.into())));
        m.insert("support".into(), support.into());
        Value::map(m)
    };
    let mut both = Map::new();
    both.insert("check_mode".into(), row("Tells what would change, and changes nothing.", check, about_check));
    both.insert("diff_mode".into(), row("Shows what changes.", diff, None));
    Value::map(both)
}

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

/// Whether lists have it: not the signs among tests (`==`), and one name for what has two.
pub fn listed(kind: &str, name: &str) -> bool {
    match kind {
        "test" => name.starts_with(|c: char| c.is_ascii_alphabetic()),
        "module" => name != "yum",
        _ => true,
    }
}

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
        "lookup" if matches!(name, "cartesian" | "flattened") => "community.general",
        _ => "ansible.builtin",
    })
}

const IPADDR: [&str; 11] = [
    "cidr_merge",
    "hwaddr",
    "macaddr",
    "network_in_network",
    "network_in_usable",
    "next_nth_usable",
    "nthhost",
    "previous_nth_usable",
    "reduce_on_network",
    "slaac",
    "usable_range",
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
    let mut answer = Value::Null;
    match f.kind.as_str() {
        "module" => {
            let spec = crate::actions::find(name)
                .and_then(|a| a.spec.map(|f| f()))
                .or_else(|| modules::find(name).map(|m| m.spec.clone()));
            let mut all = match OPTIONS.get(name) {
                Some(rows) => listed_options(rows),
                None => spec.map(|s| options(&s, "suboptions")).unwrap_or_default(),
            };
            if modules::find(name).is_some_and(|m| m.free_form) || name == "raw" {
                let mut m = Map::new();
                m.insert("description".into(), Value::list(vec!["What is run; it is written without a name.".into()]));
                m.insert("type".into(), "str".into());
                all.insert("free_form".into(), Value::map(m));
            }
            if !all.is_empty() {
                doc.insert("options".into(), Value::map(all));
            }
            let word = |s: Support| match s {
                Support::Full => "full",
                Support::Partial => "partial",
                Support::None => "none",
            };
            let engine = SUPPORT.get(name).and_then(|rows| rows.first());
            let found = match (engine, modules::find(name)) {
                (Some((check, rest)), _) => {
                    Some(attributes(check, rest.get(1).copied(), rest.first().unwrap_or(&"none")))
                }
                (None, Some(m)) => Some(attributes(word(m.check), None, word(m.diff))),
                (None, None) => None,
            };
            doc.extend(found.map(|a| ("attributes".into(), a)));
        }
        kind => {
            if let Some(p) = settings::plugin(kind, name) {
                doc.insert("options".into(), plugin_options(p));
            }
            let rows = PLUGIN_OPTIONS.get(&(kind, name)).map(Vec::as_slice).unwrap_or_default();
            let mut all = Map::new();
            for (key, rest) in rows {
                let col = |i: usize| rest.get(i).copied().unwrap_or_default();
                match *key {
                    "+positional" => drop(doc.insert("positional".into(), col(0).into())),
                    "+returns" => {
                        let mut m = Map::new();
                        m.insert("description".into(), Value::list(vec![col(3).into()]));
                        for (k, v) in [("type", col(1)), ("elements", col(2))] {
                            if !v.is_empty() {
                                m.insert(k.into(), v.into());
                            }
                        }
                        answer = Value::map([(col(0).into(), Value::map(m))].into_iter().collect());
                    }
                    key => drop(all.insert(key.into(), plugin_option(rest))),
                }
            }
            if !all.is_empty() {
                doc.insert("options".into(), Value::map(all));
            }
            if kind == "test" {
                let holds = [("description", "Whether it is so."), ("type", "boolean")];
                let holds: Map = holds.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
                answer = Value::map([("_value".into(), Value::map(holds))].into_iter().collect());
            }
            if kind == "callback" {
                doc.insert("type".into(), callback_type(name).into());
            }
            let signature = match kind {
                _ if doc.contains_key("options") => None,
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
    let key = (f.kind.as_str(), name);
    let examples = EXAMPLES.get(&key).cloned().or_else(|| EXPRESSIONS.get(&key).map(|e| shown_expressions(e)));
    Some(Doc { doc, examples, returns: if f.kind == "module" { returns(name) } else { answer } })
}

/// What a callback is for: the output, a summary at the end, or telling others.
fn callback_type(name: &str) -> &'static str {
    match name {
        "junit" | "timer" | "profile_tasks" | "profile_roles" => "aggregate",
        "tree" | "log_plays" => "notification",
        _ => "stdout",
    }
}

/// An option of a plug-in, from the columns of its table.
fn plugin_option(row: &[&str]) -> Value {
    let col = |i: usize| row.get(i).copied().unwrap_or_default();
    let mut m = Map::new();
    m.insert("description".into(), Value::list(vec![col(4).into()]));
    if !col(0).is_empty() {
        m.insert("type".into(), col(0).into());
    }
    match col(1) {
        "" => {}
        "required" => drop(m.insert("required".into(), true.into())),
        default => drop(m.insert("default".into(), crate::yaml::parse_value(default).unwrap_or(default.into()))),
    }
    if !col(2).is_empty() {
        m.insert("choices".into(), Value::list(col(2).split(',').map(Value::from).collect()));
    }
    if !col(3).is_empty() {
        m.insert("elements".into(), col(3).into());
    }
    Value::map(m)
}

/// What a table says of an action's arguments.
fn listed_options(rows: &[Row]) -> Map {
    let mut out = Map::new();
    for (name, rest) in rows {
        let col = |i: usize| rest.get(i).copied().unwrap_or_default();
        let mut m = Map::new();
        m.insert("description".into(), Value::list(vec![col(3).into()]));
        m.insert("type".into(), col(0).into());
        if col(0) == "list" {
            m.insert("elements".into(), "str".into());
        }
        match col(1) {
            "" => {}
            "required" => drop(m.insert("required".into(), true.into())),
            default => drop(m.insert("default".into(), crate::yaml::parse_value(default).unwrap_or(default.into()))),
        }
        if !col(2).is_empty() {
            m.insert("choices".into(), Value::list(col(2).split(',').map(Value::from).collect()));
        }
        out.insert((*name).into(), Value::map(m));
    }
    out
}

/// The declared arguments, but those that the engine hands to its own modules.
fn options(s: &Spec, inner: &str) -> Map {
    s.args.iter().filter(|a| !a.name.starts_with('_')).map(|a| (a.name.as_str().into(), option(a, inner))).collect()
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
        m.insert(inner.into(), Value::map(options(s, inner)));
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

    /// Everything in the tables is about something that is there; every example is YAML.
    #[test]
    fn tables_name_what_is_there() {
        for name in RETURNS.keys().chain(SUPPORT.keys()).chain(OPTIONS.keys()) {
            assert!(has("module", name), "{name}");
        }
        for ((kind, name), rows) in PLUGIN_OPTIONS.iter() {
            assert!(has(kind, name), "{kind} {name}");
            assert!(rows.iter().all(|(_, r)| r.last().is_some_and(|t| !t.is_empty())), "{kind} {name}");
        }
        for ((kind, name), text) in EXAMPLES.iter() {
            assert!(has(kind, name), "{kind} {name}");
            let read = crate::yaml::parse_value(text);
            assert!(read.is_ok(), "{kind} {name}: {read:?}");
        }
        let missing: Vec<_> = names("module").into_iter().filter(|n| !EXAMPLES.contains_key(&("module", n))).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn expressions_answer_what_their_pages_say() {
        use crate::template::{Engine, EngineOptions, FileScope, MapVars, Scope};
        use std::sync::Arc;
        let engine = Engine::new(EngineOptions::default());
        let scope = Scope::new(Arc::new(MapVars(Default::default())), Arc::new(FileScope::default()));
        let mut wrong = vec![];
        for ((kind, name), all) in EXPRESSIONS.iter() {
            if !has(kind, name) || crate::yaml::parse_value(&shown_expressions(all)).is_err() {
                wrong.push(format!("{kind} {name}"));
            }
            for (expression, answer) in all.iter().filter(|(_, a)| !a.is_empty()) {
                let got = engine.render(&Value::trusted(format!("{{{{ {expression} }}}}"), None), &scope);
                let got = got.map(|v| v.to_json().to_string());
                let want = serde_json::from_str::<serde_json::Value>(answer).map(|v| v.to_string());
                if got.as_ref().ok() != want.as_ref().ok() {
                    wrong.push(format!("{kind} {name}: {expression}: {got:?}, not {want:?}"));
                }
            }
        }
        for kind in ["filter", "test", "lookup"] {
            for n in names(kind).into_iter().filter(|n| listed(kind, n)) {
                if !EXPRESSIONS.contains_key(&(kind, n)) && !EXAMPLES.contains_key(&(kind, n)) {
                    wrong.push(format!("{kind} {n} has no example"));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }

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
