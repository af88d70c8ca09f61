//! Where plug-ins and their documentation are: beside the playbook, in the configured paths, in collections, built in.

use super::super::config::Config;
use super::native;
use crate::diag::{Error, Result};
use crate::settings::pydoc;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;

/// The kinds that `-t` takes.
pub const KINDS: [&str; 17] = [
    "become",
    "cache",
    "callback",
    "cliconf",
    "connection",
    "httpapi",
    "inventory",
    "lookup",
    "netconf",
    "shell",
    "vars",
    "module",
    "strategy",
    "test",
    "filter",
    "role",
    "keyword",
];

/// A plug-in that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub kind: String,
    /// Without its collection.
    pub name: String,
    /// `namespace.name`; empty for a file in no collection; None is never told.
    pub collection: Option<String>,
    /// None: built in.
    pub path: Option<Utf8PathBuf>,
}

impl Found {
    /// The name with its collection.
    pub fn full(&self) -> String {
        match self.collection.as_deref() {
            Some("") | None => format!("ansible.legacy.{}", self.name),
            Some(c) => format!("{c}.{}", self.name),
        }
    }
    /// The name as a playbook may write it.
    pub fn shown(&self) -> String {
        match self.collection.as_deref() {
            Some("") | None => self.name.clone(),
            Some(c) => format!("{c}.{}", self.name),
        }
    }
}

/// Where is looked.
pub struct Places {
    playbook_dir: Option<Utf8PathBuf>,
    module_path: Vec<Utf8PathBuf>,
    collections: Vec<Utf8PathBuf>,
    core: Option<Utf8PathBuf>,
}

impl Places {
    pub fn new(c: &Config, playbook_dir: Option<Utf8PathBuf>, modules: &[String]) -> Result<Places> {
        let setting = |name: &str| -> Vec<Utf8PathBuf> {
            let found = crate::settings::current().get(name).and_then(|f| f.ok());
            let list = found.as_ref().and_then(|f| f.value.as_list()).unwrap_or_default();
            list.iter().map(|v| Utf8PathBuf::from(v.to_str())).collect()
        };
        let mut module_path: Vec<Utf8PathBuf> = modules
            .iter()
            .flat_map(|p| p.split(':'))
            .map(|p| super::super::setup::absolute(crate::modules::expand_path(p).as_str().into()))
            .map(|p| crate::playbook::clean(&p))
            .collect();
        if let Some(d) = &playbook_dir {
            module_path.push(d.join("library"));
        }
        module_path.extend(setting("DEFAULT_MODULE_PATH"));
        let mut collections: Vec<Utf8PathBuf> = playbook_dir.iter().map(|d| d.join("collections")).collect();
        collections.extend(setting("COLLECTIONS_PATHS"));
        let core = super::super::modules::settings(c)?.core.package().map(Into::into);
        Ok(Places { playbook_dir, module_path, collections, core })
    }

    /// The folders of the kind that are in no collection.
    fn legacy(&self, kind: &str) -> Vec<Utf8PathBuf> {
        if kind == "module" {
            return self.module_path.clone();
        }
        let mut out: Vec<Utf8PathBuf> = vec![];
        if let Some(d) = &self.playbook_dir {
            out.push(d.join(format!("{kind}_plugins")));
        }
        let name = format!("DEFAULT_{}_PLUGIN_PATH", kind.to_uppercase());
        let found = crate::settings::current().get(&name).and_then(|f| f.ok());
        let list = found.as_ref().and_then(|f| f.value.as_list()).unwrap_or_default();
        out.extend(list.iter().map(|v| Utf8PathBuf::from(v.to_str())));
        out
    }

    /// The folders of a collection, the nearest first.
    pub fn collection_dirs(&self, name: &str) -> Vec<Utf8PathBuf> {
        let rel = name.replace('.', "/");
        self.roots().into_iter().map(|c| c.join(&rel)).filter(|d| d.is_dir()).collect()
    }

    fn roots(&self) -> Vec<Utf8PathBuf> {
        self.collections.iter().map(|c| crate::galaxy::collection::root(c)).collect()
    }

    /// All collections there are: name and folder.
    pub fn all_collections(&self) -> Vec<(String, Utf8PathBuf)> {
        let mut out: BTreeMap<String, Utf8PathBuf> = BTreeMap::new();
        for c in &self.collections {
            for f in crate::galaxy::collection::installed(c).unwrap_or_default() {
                out.entry(f.name).or_insert(f.path);
            }
        }
        out.into_iter().collect()
    }

    pub fn playbook_dir(&self) -> Option<&Utf8Path> {
        self.playbook_dir.as_deref()
    }

    fn folder(kind: &str) -> &str {
        if kind == "module" { "modules" } else { kind }
    }

    /// The plug-in of this name.
    pub fn find(&self, kind: &str, name: &str) -> Option<Found> {
        let parts: Vec<&str> = name.split('.').collect();
        let legacy = |short: &str| {
            let all = self.in_dirs(kind, &self.legacy(kind));
            all.get(short).map(|p| Found {
                kind: kind.into(),
                name: short.into(),
                collection: Some(String::new()),
                path: Some(p.clone()),
            })
        };
        let built_in = |short: &str| native::has(kind, short).then(|| self.native(kind, short));
        match parts.as_slice() {
            [short] => legacy(short).or_else(|| built_in(short)),
            ["ansible", "legacy", short] => legacy(short).or_else(|| built_in(short)),
            ["ansible", "builtin", short] => built_in(short),
            [ns, col, rest @ ..] if !rest.is_empty() => {
                let collection = format!("{ns}.{col}");
                let own = rest.join(".");
                let dirs: Vec<Utf8PathBuf> = self
                    .collection_dirs(&collection)
                    .iter()
                    .map(|d| d.join("plugins").join(Self::folder(kind)))
                    .collect();
                let path = self.in_dirs(kind, &dirs).get(&own).cloned();
                match path {
                    Some(p) => {
                        Some(Found { kind: kind.into(), name: own, collection: Some(collection), path: Some(p) })
                    }
                    None => {
                        native::collection_of(kind, &own).filter(|c| *c == collection).map(|_| self.native(kind, &own))
                    }
                }
            }
            _ => None,
        }
    }

    /// One that is built in; an installed ansible-core tells more of filters, tests and lookups than we do.
    fn native(&self, kind: &str, short: &str) -> Found {
        let collection = native::collection_of(kind, short).unwrap_or("ansible.builtin").to_string();
        Found { kind: kind.into(), name: short.into(), collection: Some(collection), path: None }
    }

    /// Names and files in folders, what is nearer first; folders in them count as parts of names.
    fn in_dirs(&self, kind: &str, dirs: &[Utf8PathBuf]) -> BTreeMap<String, Utf8PathBuf> {
        let mut out = BTreeMap::new();
        for d in dirs {
            walk(kind, d, "", 0, &mut out);
        }
        out
    }

    /// All plug-ins of a kind; `filters` name collections or namespaces.
    pub fn list(&self, kind: &str, filters: &[String]) -> Result<Vec<Found>> {
        let mut out: Vec<Found> = vec![];
        let mut add = |f: Found| {
            if !out.iter().any(|o| o.full() == f.full()) {
                out.push(f);
            }
        };
        let wants = |c: &str| filters.is_empty() || filters.iter().any(|f| f == c);
        for f in filters {
            let parts = f.split('.').count();
            if parts > 2 || (parts == 2 && !crate::galaxy::collection::is_name(f)) {
                return Err(Error::general(format!(
                    "Invalid collection name (must be of the form namespace.collection): {f}"
                )));
            }
            if parts == 2 && !f.starts_with("ansible.") && self.collection_dirs(f).is_empty() {
                return Err(Error::general(format!(
                    "Cannot use supplied collection '{f}': unable to locate collection {f}"
                )));
            }
        }
        let built_in = || {
            native::names(kind).into_iter().filter(|n| native::listed(kind, n)).map(|n| {
                let c = native::collection_of(kind, n).unwrap_or("ansible.builtin");
                Found { kind: kind.into(), name: n.into(), collection: Some(c.into()), path: None }
            })
        };
        for f in built_in() {
            let c = f.collection.clone().unwrap_or_default();
            if wants(&c) || filters.iter().any(|f| f == "ansible.legacy") && c == "ansible.builtin" {
                add(f);
            }
        }
        if wants("ansible.legacy") {
            for (name, path) in self.in_dirs(kind, &self.legacy(kind)) {
                add(Found { kind: kind.into(), name, collection: Some(String::new()), path: Some(path) });
            }
        }
        for (c, dir) in self.all_collections() {
            let namespace = c.split('.').next().unwrap_or_default();
            if !(wants(&c) || filters.iter().any(|f| f == namespace)) {
                continue;
            }
            for (name, path) in self.in_dirs(kind, &[dir.join("plugins").join(Self::folder(kind))]) {
                add(Found { kind: kind.into(), name, collection: Some(c.clone()), path: Some(path) });
            }
        }
        out.sort_by_key(Found::full);
        Ok(out)
    }

    /// The text of a documentation fragment: `name`, `name.part`, `ns.col.name`, `ns.col.name.part`.
    pub fn fragment(&self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('.').collect();
        let builtin = || {
            let mut dirs: Vec<Utf8PathBuf> = vec![];
            if let Some(d) = &self.playbook_dir {
                dirs.push(d.join("doc_fragments"));
            }
            dirs.extend(self.core.iter().map(|c| c.join("plugins/doc_fragments")));
            dirs
        };
        let of = |c: &str| -> Vec<Utf8PathBuf> {
            self.collection_dirs(c).iter().map(|d| d.join("plugins/doc_fragments")).collect()
        };
        let (dirs, file, part) = match parts.as_slice() {
            [f] => (builtin(), *f, "DOCUMENTATION"),
            [f, p] => (builtin(), *f, *p),
            ["ansible", "builtin" | "legacy", f] => (builtin(), *f, "DOCUMENTATION"),
            ["ansible", "builtin" | "legacy", f, p] => (builtin(), *f, *p),
            [ns, c, f] => (of(&format!("{ns}.{c}")), *f, "DOCUMENTATION"),
            [ns, c, f, p] => (of(&format!("{ns}.{c}")), *f, *p),
            _ => return None,
        };
        let path = dirs.iter().map(|d| d.join(format!("{file}.py"))).find(|p| p.is_file())?;
        let text = std::fs::read_to_string(path).ok()?;
        // the texts are attributes of a class, indented
        let flat: String = text
            .split_inclusive('\n')
            .map(|l| {
                let t = l.trim_start();
                let name: String =
                    t.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_' || c.is_ascii_digit()).collect();
                let is = !name.is_empty() && t.get(name.len()..).is_some_and(|r| r.trim_start().starts_with('='));
                if is { t } else { l }
            })
            .collect();
        pydoc::text_of(&flat, &part.to_uppercase())
    }
}

/// Endings that no plug-in has.
const NOT: [&str; 17] = [
    "pyc", "pyo", "yml", "yaml", "md", "txt", "rst", "json", "orig", "rej", "bak", "swp", "ini", "in", "toml", "cfg",
    "retry",
];

fn walk(kind: &str, dir: &Utf8Path, prefix: &str, depth: u8, out: &mut BTreeMap<String, Utf8PathBuf>) {
    let mut entries: Vec<Utf8PathBuf> =
        dir.read_dir_utf8().into_iter().flatten().flatten().map(|e| e.path().to_owned()).collect();
    entries.sort();
    let jinja = matches!(kind, "filter" | "test");
    for p in &entries {
        let (Some(name), Some(stem)) = (p.file_name(), p.file_stem()) else { continue };
        if name.starts_with('.') || name.starts_with("__") {
            continue;
        }
        if p.is_dir() {
            if depth < 8 && !matches!(name, "__pycache__") {
                walk(kind, p, &format!("{prefix}{name}."), depth + 1, out);
            }
            continue;
        }
        let documented = matches!(p.extension(), Some("yml" | "yaml"));
        if jinja {
            if p.extension() == Some("py") {
                let mut found = BTreeMap::new();
                super::super::plugins::names_in(p, &mut found);
                for n in found.into_keys() {
                    out.entry(format!("{prefix}{n}")).or_insert_with(|| p.clone());
                }
            } else if documented {
                out.entry(format!("{prefix}{stem}")).or_insert_with(|| p.clone());
            }
            continue;
        }
        if documented || p.extension().is_some_and(|e| NOT.contains(&e)) {
            continue;
        }
        // the description of a file without an ending
        if p.extension() == Some("py") && entries.iter().any(|o| o.file_name() == Some(stem)) {
            continue;
        }
        let own = stem.strip_prefix('_').filter(|_| kind != "module" || prefix.is_empty()).unwrap_or(stem);
        out.entry(format!("{prefix}{own}")).or_insert_with(|| p.clone());
    }
}
