//! Documentation as text on a terminal, laid out as `ansible-doc` lays it out.

use super::find::Found;
use super::markup::{fill, link, plain};
use super::source::Doc;
use crate::value::{Map, Value};
use crate::yaml;

/// How wide, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Columns of a line.
    pub width: usize,
    pub verbosity: u8,
}

const INDENT: &str = "        ";

/// A value as YAML in lines under a prefix: lists of scalars in brackets, all else in blocks.
fn dump(v: &Value, prefix: &str, flow: Option<bool>) -> Vec<String> {
    let options = yaml::EmitOptions { default_flow_style: flow, allow_unicode: false, ..Default::default() };
    // marks are taken away after quotes are set
    plain(yaml::emit(v, &options).trim_end()).lines().map(|l| format!("{prefix}{l}")).collect()
}

/// A value in brackets and braces.
fn flow(v: &Value) -> Vec<String> {
    let options = yaml::EmitOptions { default_flow_style: Some(true), allow_unicode: false, ..Default::default() };
    plain(yaml::emit(v, &options).trim_end()).lines().map(str::to_string).collect()
}

fn pair(k: &str, v: &Value) -> Value {
    Value::map([(k.into(), v.clone())].into_iter().collect())
}

/// The paragraphs of a description.
fn paragraphs(v: Option<&Value>) -> Vec<String> {
    match v {
        Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
        Some(Value::Null) | None => vec![],
        Some(v) => vec![v.to_str()],
    }
}

/// `version 1.0 of ns.col`
pub fn version(v: &Value, home: Option<&Value>) -> String {
    let text = v.to_str();
    if text == "historical" {
        return text;
    }
    match home.map(Value::to_str).as_deref() {
        None | Some("") => format!("version {text}"),
        Some("ansible.builtin") => format!("version {text} of ansible-core"),
        Some(c) => format!("version {text} of {c}"),
    }
}

/// All of one plug-in.
pub fn page(f: &Found, d: &Doc, file: &str, has_action: bool, layout: Layout) -> String {
    let mut out: Vec<String> = vec![];
    let mut doc = d.doc.clone();
    let mut take = |k: &str| doc.shift_remove(k).filter(|v| !v.is_null());
    out.push(format!("> {} {} ({file})\n", f.kind.to_uppercase(), f.shown()));
    let text = paragraphs(take("description").as_ref());
    take("short_description");
    for p in text {
        out.extend(fill(&plain(&p), "  ", "  ", layout.width));
    }
    let deprecated = take("deprecated");
    if let Some(dep) = &deprecated {
        let part = |k: &str| dep.get(k).map(Value::to_str);
        out.push("DEPRECATED: ".into());
        out.push(format!("\tReason: {}", part("why").unwrap_or_default()));
        if let Some(date) = part("removed_at_date") {
            out.push(format!("\tWill be removed in a release after {date}"));
        } else {
            let home = part("removed_from_collection").unwrap_or_default();
            let home = if home == "ansible.builtin" { "Ansible".to_string() } else { home };
            let when = part("removed_in").or(part("version")).unwrap_or_default();
            out.push(format!("\tWill be removed in: {home} {when}"));
        }
        let instead = part("alternatives").or(part("alternative")).unwrap_or_default();
        out.push(format!("\tAlternatives: {instead}"));
    }
    out.push(String::new());
    if has_action {
        out.push("  * note: This module has a corresponding action plugin.\n".into());
    }
    if let Some(o) = take("options") {
        out.push("OPTIONS (= indicates it is required):\n".into());
        fields(&mut out, o.as_map(), layout, "", INDENT, false);
    }
    if let Some(a) = take("attributes") {
        attributes(&mut out, &a, INDENT);
    }
    if let Some(n) = take("notes") {
        out.push("NOTES:".into());
        for note in paragraphs(Some(&n)) {
            out.extend(fill(&plain(&note), "      * ", INDENT, layout.width.saturating_sub(6)));
        }
        out.push(String::new());
    }
    if let Some(s) = take("seealso") {
        out.push("SEE ALSO:".into());
        for s in s.as_list().unwrap_or_default() {
            see_also(&mut out, s, layout);
        }
        out.push(String::new());
    }
    if let Some(r) = take("requirements") {
        let all: Vec<String> = paragraphs(Some(&r)).iter().map(|r| plain(r)).collect();
        out.extend(fill(&all.join(", "), "REQUIREMENTS:  ", INDENT, layout.width.saturating_sub(6)));
        out.push("\n".into());
    }
    let home = take("version_added_collection");
    let added = take("version_added");
    for k in
        ["module", "plugin", "docuri", "now_date", "has_action", "filename", "collection", "plugin_name", "plugin_type"]
    {
        take(k);
    }
    if let Some(v) = added.filter(|_| layout.verbosity > 0) {
        out.push(format!("ADDED_IN: {}\n", version(&v, home.as_ref())));
    }
    rest(&mut out, &doc, layout);
    if let Some(e) = d.examples.as_ref() {
        out.push("EXAMPLES:".into());
        out.push(e.trim().to_string());
        out.push(String::new());
    }
    if !d.returns.is_null() {
        match d.returns.as_map() {
            Some(m) if !m.is_empty() => {
                out.push("RETURN VALUES:\n".into());
                fields(&mut out, Some(m), layout, "", INDENT, true);
            }
            Some(_) => {}
            None => {
                out.push("RETURN VALUES:".into());
                out.push(d.returns.to_str());
            }
        }
    }
    out.join("\n")
}

/// Keys that have no place of their own.
fn rest(out: &mut Vec<String>, doc: &Map, layout: Layout) {
    let mut keys: Vec<String> = doc.keys().map(ToString::to_string).collect();
    keys.sort();
    for k in keys {
        let Some(v) = doc.get(k.as_str()) else { continue };
        let up = k.to_uppercase();
        match v {
            Value::Null => continue,
            Value::List(l) => out.push(format!("{up}: {}", l.iter().map(Value::to_str).collect::<Vec<_>>().join(", "))),
            Value::Map(_) => {
                out.push(format!("{up}: "));
                out.extend(dump(v, INDENT, Some(false)));
            }
            v => out.extend(fill(&format!("{up}: {}", plain(&v.to_str())), "", INDENT, layout.width)),
        }
        out.push(String::new());
    }
}

pub(super) fn attributes(out: &mut Vec<String>, a: &Value, indent: &str) {
    out.push("ATTRIBUTES:\n".into());
    let all: Vec<_> = a.as_map().into_iter().flatten().collect();
    for (k, v) in all {
        out.push(format!("{indent}`{k}:`"));
        out.extend(dump(v, indent, Some(false)));
        out.push(String::new());
    }
}

fn see_also(out: &mut Vec<String>, s: &Value, layout: Layout) {
    let get = |k: &str| s.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    let width = layout.width.saturating_sub(6);
    let under = format!("{INDENT}   ");
    let mut say = |head: String, about: Option<String>, to: Option<String>| {
        out.extend(fill(&head, "      * ", INDENT, width));
        if let Some(a) = about {
            out.extend(fill(&plain(&a), &under, &under, width));
        }
        if let Some(l) = to {
            out.extend(fill(&l, &under, &under, width.max(l.chars().count() + under.len())));
        }
    };
    let official = |name: &str, kind: &str, words: &str| {
        let short = name.strip_prefix("ansible.builtin.")?;
        let about = get("description").unwrap_or_else(|| format!("The official documentation on the {words}."));
        Some((about, link(&format!("collections/ansible/builtin/{short}_{kind}.html"))))
    };
    if let Some(m) = get("module") {
        match official(&m, "module", &format!("{m} module")) {
            Some((a, l)) => say(format!("Module {m}"), Some(a), Some(l)),
            None => say(format!("Module {m}"), get("description"), None),
        }
    } else if let (Some(p), Some(kind)) = (get("plugin"), get("plugin_type")) {
        let word = if matches!(kind.as_str(), "module" | "role") { "" } else { " plugin" };
        let mut head = kind.clone();
        if let Some(c) = head.get_mut(..1) {
            c.make_ascii_uppercase();
        }
        match official(&p, &kind, &format!("{p} {kind}{word}")) {
            Some((a, l)) => say(format!("{head}{word} {p}"), Some(a), Some(l)),
            None => say(format!("{head}{word} {p}"), get("description"), None),
        }
    } else if let (Some(n), Some(l)) = (get("name"), get("link")) {
        say(n, get("description"), Some(l));
    } else if let Some(r) = get("ref") {
        say(format!("Ansible documentation [{r}]"), get("description"), Some(link(&format!("#stq={r}&stp=1"))));
    }
}

/// Options or return values. `base` stands before the names, `indent` before what is told of each.
pub fn fields(out: &mut Vec<String>, m: Option<&Map>, layout: Layout, base: &str, indent: &str, returns: bool) {
    let Some(m) = m else { return };
    let mut names: Vec<String> = m.keys().map(ToString::to_string).collect();
    names.sort();
    for name in names {
        let Some(Value::Map(all)) = m.get(name.as_str()) else { continue };
        let mut o = (**all).clone();
        let required = o.shift_remove("required").is_some_and(|r| r.to_bool_loose().unwrap_or(false));
        let head = format!("{} {name}", if required { "=" } else { "-" });
        let room = indent.len() - base.len();
        let first = format!("{base}{head:room$}  ");
        let next = " ".repeat(first.chars().count() + 1);
        let text = paragraphs(o.shift_remove("description").as_ref());
        for (i, p) in text.iter().enumerate() {
            if i > 0 {
                out.extend(fill(&plain(p), &next, &next, layout.width));
                continue;
            }
            // the first line has as much room as the others
            let mut lines = fill(&plain(p), &next, &next, layout.width).into_iter();
            let begin = lines.next().unwrap_or_else(|| next.clone());
            out.push(format!("{first}{}", begin.get(next.len()..).unwrap_or_default()));
            out.extend(lines);
        }
        let mut inner = vec![];
        for k in ["options", "suboptions", "contains", "spec"] {
            if let Some(v) = o.shift_remove(k).filter(Value::truthy) {
                inner.push((k, v));
            }
        }
        let mut via = Map::new();
        for k in ["env", "ini", "yaml", "vars", "keyword"] {
            if let Some(v) = o.shift_remove(k).filter(Value::truthy) {
                via.insert(k.into(), sources(&v, layout));
            }
        }
        if !via.is_empty() {
            out.extend(dump(&pair("set_via", &Value::map(via)), indent, Some(false)));
        }
        let home = o.shift_remove("version_added_collection");
        let added = o.shift_remove("version_added");
        if !required && !returns && !o.contains_key("default") {
            o.insert("default".into(), Value::Null);
        }
        let mut keys: Vec<String> = o.keys().map(ToString::to_string).collect();
        keys.sort();
        for k in keys {
            let Some(v) = o.get(k.as_str()) else { continue };
            match v {
                Value::List(_) => {
                    // in brackets, after its name
                    let lines = flow(v);
                    out.push(format!("{indent}{k}: {}", lines.join(&format!("\n{indent}"))));
                }
                v => out.extend(dump(&pair(&k, v), indent, Some(false))),
            }
        }
        if let Some(v) = added.filter(|_| !base.is_empty() || layout.verbosity > 0) {
            out.push(format!("{indent}added in: {}", version(&v, home.as_ref())));
        }
        for (k, v) in inner {
            if out.last().is_some_and(String::is_empty) {
                out.pop();
            }
            out.push(format!("{indent}{k}:\n"));
            let deeper = format!("{indent}  ");
            fields(out, v.as_map(), layout, indent, &deeper, returns);
        }
        if out.last().is_none_or(|l| !l.is_empty()) {
            out.push(String::new());
        }
    }
}

/// Where a value may be set: versions only if much is to be told.
fn sources(v: &Value, layout: Layout) -> Value {
    let Some(l) = v.as_list() else { return v.clone() };
    let each = l.iter().map(|e| {
        let Value::Map(m) = e else { return e.clone() };
        let mut m = (**m).clone();
        let home = m.shift_remove("version_added_collection");
        if let Some(a) = m.shift_remove("version_added")
            && layout.verbosity > 0
        {
            m.insert("added_in".into(), version(&a, home.as_ref()).into());
        }
        Value::map(m)
    });
    Value::list(each.collect())
}
