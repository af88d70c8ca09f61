//! `meta/runtime.yml` of a collection: other names of its modules, those that are gone, and groups of modules for
//! `module_defaults`; and which of them will be gone.
//!
//! After <https://docs.ansible.com/ansible/latest/dev_guide/developing_collections_structure.html#meta-directory>.

use camino::Utf8Path;
use indexmap::IndexMap;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The file as it is written, as far as it is read here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Runtime {
    /// kind of plug-in → short name → what is said of it
    plugin_routing: Option<IndexMap<String, Option<IndexMap<String, Option<Entry>>>>>,
    action_groups: Option<IndexMap<String, Option<Vec<Member>>>>,
}

/// What is said of one plug-in.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    redirect: Option<String>,
    tombstone: Option<Tombstone>,
    deprecation: Option<Tombstone>,
}

/// Of one that is or will be gone: since when, and what to take.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tombstone {
    removal_date: Option<String>,
    removal_version: Option<String>,
    warning_text: Option<String>,
}

/// A member of a group of modules: a module, or what is said of the group.
#[derive(Deserialize)]
#[serde(untagged)]
enum Member {
    Module(String),
    About { metadata: Option<About> },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    extend_group: Option<Groups>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Groups {
    One(String),
    Several(Vec<String>),
}

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
    /// What is said of those that will be gone.
    deprecated: BTreeMap<String, String>,
    groups: BTreeMap<String, Vec<String>>,
    broken: Option<String>,
}

impl Routing {
    /// Reads the file of the collection `name` in its directory; without one, nothing leads anywhere else.
    /// One that cannot be read is [`Routing::broken`].
    pub fn of(name: &str, dir: &Utf8Path) -> Routing {
        let path = dir.join("meta/runtime.yml");
        let text = match std::fs::read_to_string(&path) {
            Ok(t) => t,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Routing::default(),
            Err(e) => return Routing::unread(&path, &e.to_string()),
        };
        match read(&text) {
            Ok(r) => Routing::written(name, r),
            Err(why) => Routing::unread(&path, &why),
        }
    }

    fn unread(path: &Utf8Path, why: &str) -> Routing {
        Routing { broken: Some(format!("error parsing collection metadata: {path}: {why}")), ..Routing::default() }
    }

    fn written(name: &str, root: Runtime) -> Routing {
        let mut out = Routing::default();
        let mut tables = root.plugin_routing.unwrap_or_default();
        for (kind, shown) in [("modules", "module"), ("action", "action plugin")] {
            for (short, entry) in tables.swap_remove(kind).flatten().unwrap_or_default() {
                let mut entry = entry.unwrap_or_default();
                if let Some(d) = entry.deprecation.take() {
                    out.deprecated.insert(short.clone(), deprecation(name, &short, d));
                }
                if let Some(r) = route(name, &short, shown, entry) {
                    out.routes.insert(short, r);
                }
            }
        }
        for (group, members) in root.action_groups.unwrap_or_default() {
            let mut all = vec![];
            for m in members.unwrap_or_default() {
                match m {
                    Member::Module(m) => all.push(full(name, &m)),
                    // `metadata: {extend_group: [...]}` takes in other groups
                    Member::About { metadata } => {
                        let groups = match metadata.unwrap_or_default().extend_group {
                            None => vec![],
                            Some(Groups::One(g)) => vec![g],
                            Some(Groups::Several(l)) => l,
                        };
                        all.extend(groups.iter().map(|g| format!("group/{}", full(name, g))));
                    }
                }
            }
            out.groups.insert(group, all);
        }
        out
    }

    /// Why nothing of this collection can be named: its file is there and says nothing that is understood.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Where a name of this collection leads, if it is not simply there.
    pub fn route(&self, short: &str) -> Option<&Route> {
        self.routes.get(short)
    }

    /// What is said of a name of this collection that will be gone.
    pub fn deprecation(&self, short: &str) -> Option<&str> {
        self.deprecated.get(short).map(String::as_str)
    }

    /// The members of a group: full names, `group/NAME` for all of another group.
    pub fn group(&self, short: &str) -> Option<&[String]> {
        self.groups.get(short).map(Vec::as_slice)
    }
}

fn full(collection: &str, name: &str) -> String {
    if name.contains('.') { name.to_string() } else { format!("{collection}.{name}") }
}

/// The text as its types. Merge keys (`<<`) are not part of YAML 1.2: they are refused rather than read as a name.
fn read(text: &str) -> Result<Runtime, String> {
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim_end() == "---") {
        return Ok(Runtime::default());
    }
    let root: Runtime = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    let tables = root.plugin_routing.iter().flatten();
    match tables.filter_map(|(_, t)| t.as_ref()).any(|t| t.contains_key("<<")) {
        true => Err("merge keys (<<) are not supported in this file".into()),
        false => Ok(root),
    }
}

fn deprecation(collection: &str, short: &str, d: Tombstone) -> String {
    let advice = d.warning_text.map(|w| format!(" {}.", w.trim_end_matches('.'))).unwrap_or_default();
    let when = match (d.removal_date, d.removal_version) {
        (Some(date), _) => format!("in a release after {date}"),
        (None, Some(v)) => format!("version {v}"),
        (None, None) => "in a future release".into(),
    };
    format!(
        "{collection}.{short} has been deprecated.{advice} This feature will be removed from collection '{collection}' {when}."
    )
}

fn route(collection: &str, short: &str, shown: &str, what: Entry) -> Option<Route> {
    if let Some(t) = what.tombstone {
        let mut words = format!("The '{collection}.{short}' {shown} has been removed.");
        if let Some(w) = t.warning_text {
            words.push_str(&format!(" {}.", w.trim_end_matches('.')));
        }
        match (t.removal_date, t.removal_version) {
            (Some(d), _) => words
                .push_str(&format!(" This feature was removed from collection '{collection}' in a release after {d}.")),
            (None, Some(v)) => {
                words.push_str(&format!(" This feature was removed from collection '{collection}' version {v}."));
            }
            (None, None) => words.push_str(&format!(" This feature was removed from collection '{collection}'.")),
        }
        return Some(Route::Gone(words));
    }
    what.redirect.map(Route::Redirect)
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
        let words = "a.b.late has been deprecated. This feature will be removed from collection 'a.b' version 9.0.0.";
        assert_eq!((r.deprecation("late"), r.deprecation("old")), (Some(words), None));
        assert_eq!(r.group("g"), Some(["a.b.old".to_string(), "c.d.e".into(), "group/a.b.h".into()].as_slice()));
        assert_eq!(r.broken(), None);
    }

    #[test]
    fn broken_files() {
        let t = tempfile::tempdir().expect("a directory");
        let dir = Utf8Path::from_path(t.path()).expect("UTF-8");
        std::fs::create_dir(dir.join("meta")).expect("made");
        let of = |text: &str| {
            std::fs::write(dir.join("meta/runtime.yml"), text).expect("written");
            Routing::of("a.b", dir).broken().map(|b| b.replace(dir.as_str(), "DIR"))
        };
        for fine in ["", "---\n", "# nothing\n", "{}", "plugin_routing:\n", "requires_ansible: '>=2.9'\nx: 1\n"] {
            assert_eq!(of(fine), None, "{fine}");
        }
        for (bad, words) in [
            ("- no\n- mapping\n", "invalid type"),
            ("a: [b\n", "line 2 column 1"),
            (
                "plugin_routing:\n  modules: [x]\n",
                "plugin_routing.modules: invalid type: sequence, expected a map at line 2 column 12",
            ),
            ("plugin_routing: {modules: {m: 3}}\n", "modules.m: invalid type"),
            ("plugin_routing:\n  modules:\n    a: &a {redirect: b}\n    <<: *a\n", "merge keys"),
        ] {
            let why = of(bad).expect("an error");
            assert!(
                why.starts_with("error parsing collection metadata: DIR/meta/runtime.yml: ") && why.contains(words),
                "{why}"
            );
        }
    }

    /// A version that looks like a number stays as it is written.
    #[test]
    fn versions_are_text() {
        let r = read("plugin_routing: {modules: {m: {tombstone: {removal_version: 2.10, removal_date: 2021-12-12}}}}");
        let r = r.expect("it is read").plugin_routing.expect("a table");
        let t = r["modules"].as_ref().expect("modules")["m"].as_ref().expect("m").tombstone.as_ref().expect("gone");
        assert_eq!((t.removal_version.as_deref(), t.removal_date.as_deref()), (Some("2.10"), Some("2021-12-12")));
    }
}
