//! `meta/runtime.yml` of a collection: other names of its modules, those that are gone, and groups of modules for
//! `module_defaults`. Deprecations are read over: nothing here announces them.
//!
//! After <https://docs.ansible.com/ansible/latest/dev_guide/developing_collections_structure.html#meta-directory>.

use crate::value::{Map, Value};
use crate::yaml;
use camino::Utf8Path;
use std::collections::BTreeMap;

/// What is written of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The full name of what takes its place.
    Redirect(String),
    /// It is gone; the words for it.
    Gone(String),
}

/// Where the names of one collection lead.
#[derive(Debug, Default)]
pub struct Routing {
    routes: BTreeMap<String, Route>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Routing {
    /// Reads the file of the collection `name` in its directory; without one, and from one that cannot be read,
    /// nothing leads anywhere else.
    pub fn of(name: &str, dir: &Utf8Path) -> Routing {
        let path = dir.join("meta/runtime.yml");
        let Some(root) = path.is_file().then(|| yaml::parse_file(&path).ok()).flatten() else {
            return Routing::default();
        };
        let root = root.root.to_plain_value();
        let mut out = Routing::default();
        for (kind, shown) in [("modules", "module"), ("action", "action plugin")] {
            let table = root.get("plugin_routing").and_then(|r| r.get(kind)).and_then(Value::as_map);
            for (short, what) in table.into_iter().flatten() {
                if let Some(r) = route(name, &short.to_string(), shown, what) {
                    out.routes.insert(short.to_string(), r);
                }
            }
        }
        for (group, members) in root.get("action_groups").and_then(Value::as_map).into_iter().flatten() {
            let mut all = vec![];
            for m in members.as_list().unwrap_or_default() {
                match m.as_map() {
                    None => all.push(full(name, &m.to_str())),
                    // `metadata: {extend_group: [...]}` takes in other groups
                    Some(meta) => all.extend(extended(meta).iter().map(|g| format!("group/{}", full(name, g)))),
                }
            }
            out.groups.insert(group.to_string(), all);
        }
        out
    }

    /// Where a name of this collection leads, if it is not simply there.
    pub fn route(&self, short: &str) -> Option<&Route> {
        self.routes.get(short)
    }

    /// The members of a group: full names, `group/NAME` for all of another group.
    pub fn group(&self, short: &str) -> Option<&[String]> {
        self.groups.get(short).map(Vec::as_slice)
    }
}

fn full(collection: &str, name: &str) -> String {
    if name.contains('.') { name.to_string() } else { format!("{collection}.{name}") }
}

fn extended(meta: &Map) -> Vec<String> {
    let list = meta.get("metadata").and_then(|m| m.get("extend_group"));
    match list {
        Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
        Some(v) if v.as_str().is_some() => vec![v.to_str()],
        _ => vec![],
    }
}

fn route(collection: &str, short: &str, shown: &str, what: &Value) -> Option<Route> {
    let text = |m: &Value, k: &str| m.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    if let Some(t) = what.get("tombstone").filter(|t| t.as_map().is_some()) {
        let mut words = format!("The '{collection}.{short}' {shown} has been removed.");
        if let Some(w) = text(t, "warning_text") {
            words.push_str(&format!(" {}.", w.trim_end_matches('.')));
        }
        match (text(t, "removal_date"), text(t, "removal_version")) {
            (Some(d), _) => words
                .push_str(&format!(" This feature was removed from collection '{collection}' in a release after {d}.")),
            (None, Some(v)) => {
                words.push_str(&format!(" This feature was removed from collection '{collection}' version {v}."));
            }
            (None, None) => words.push_str(&format!(" This feature was removed from collection '{collection}'.")),
        }
        return Some(Route::Gone(words));
    }
    text(what, "redirect").map(Route::Redirect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file() {
        let t = tempfile::tempdir().expect("a directory");
        let dir = Utf8Path::from_path(t.path()).expect("UTF-8");
        assert!(Routing::of("a.b", dir).route("x").is_none());
        std::fs::create_dir(dir.join("meta")).expect("made");
        let text = "plugin_routing:\n  modules:\n    old: {redirect: c.d.new}\n    gone: {tombstone: {removal_date: '2020-01-01', warning_text: Use x.}}\n    late: {deprecation: {removal_version: 9.0.0}}\n  action:\n    act: {tombstone: {removal_version: 2.0.0}}\naction_groups:\n  g: [old, c.d.e, {metadata: {extend_group: [h]}}]\n";
        std::fs::write(dir.join("meta/runtime.yml"), text).expect("written");
        let r = Routing::of("a.b", dir);
        assert_eq!(r.route("old"), Some(&Route::Redirect("c.d.new".into())));
        let words = "The 'a.b.gone' module has been removed. Use x. This feature was removed from collection 'a.b' in a release after 2020-01-01.";
        assert_eq!(r.route("gone"), Some(&Route::Gone(words.into())));
        let words = "The 'a.b.act' action plugin has been removed. This feature was removed from collection 'a.b' version 2.0.0.";
        assert_eq!(r.route("act"), Some(&Route::Gone(words.into())));
        assert_eq!(r.route("late"), None);
        assert_eq!(r.group("g"), Some(["a.b.old".to_string(), "c.d.e".into(), "group/a.b.h".into()].as_slice()));
        std::fs::write(dir.join("meta/runtime.yml"), "- no mapping").expect("written");
        assert!(Routing::of("a.b", dir).group("g").is_none());
    }
}
