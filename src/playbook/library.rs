//! Where modules that are not built in are found: `library/` beside playbooks and in roles, the module path,
//! and collections. Only files are looked at here; how they run is the business of `actions::foreign`.
//!
//! Order after <https://docs.ansible.com/ansible/latest/dev_guide/developing_locally.html>: directories that
//! playbooks and roles bring come first, in order of loading, then the configured ones with their
//! subdirectories, then what is built in.

use super::loader::lock;
use super::redirects::redirected;
use super::routing::{Route, Routing};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Files beside modules that are none.
const NO_MODULES: &[&str] = &["pyc", "pyo", "swp", "bak", "rpm", "md", "txt", "rst", "yaml", "yml", "ini"];

/// A module that is a file of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// The last part of its name, e.g. `proxy`.
    pub short: String,
    /// Its full name: `ns.collection.proxy`, `ansible.legacy.proxy` or `ansible.builtin.proxy`.
    pub full: String,
    pub path: Utf8PathBuf,
    /// True if it stands in a collection of its own.
    pub in_collection: bool,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// An action or module of this program.
    BuiltIn,
    /// Another name of an action or module that is built in.
    Alias(String),
    File(Arc<ModuleFile>),
    Unknown,
    /// There is something of this name, but it cannot be run; why.
    Refused(String),
    /// An action in Python that would run on the controller; the words that refuse it.
    InPython(String),
}

/// What the search needs to know of the program and its configuration.
pub struct LibraryOptions {
    /// Configured directories (`-M`, ANSIBLE_LIBRARY, `library`), searched two levels deep.
    pub module_path: Vec<Utf8PathBuf>,
    /// Directories that have an `ansible_collections` in them.
    pub collections_path: Vec<Utf8PathBuf>,
    /// Whether an action or module of this (short or full) name is built in.
    pub built_in: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Whether an action of this short name works on the controller: no file takes its place.
    pub on_controller: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Whether a module of this short name is built in, for that action's work on the host or by itself.
    pub on_host: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// The package `ansible` of an ansible-core that is installed on the controller.
    pub core: Box<dyn Fn() -> Option<Utf8PathBuf> + Send + Sync>,
    /// Take ansible-core's own files instead of what is built in, where there is one (to look at them).
    pub prefer_core: bool,
}

/// The modules of a run; grows as playbooks and roles are loaded.
pub struct Library {
    options: LibraryOptions,
    /// Directories of playbooks and roles, in order of loading.
    added: Mutex<Vec<Utf8PathBuf>>,
    files: Mutex<HashMap<Utf8PathBuf, Arc<HashMap<String, Utf8PathBuf>>>>,
    found: Mutex<HashMap<Utf8PathBuf, Arc<ModuleFile>>>,
    routing: Mutex<HashMap<Utf8PathBuf, Arc<Routing>>>,
    /// What names without a collection stand for, with how many directories were added when that was found out.
    short: Mutex<HashMap<String, (usize, Resolved)>>,
}

impl Library {
    pub fn new(options: LibraryOptions) -> Library {
        let (added, files, found, routing, short) = Default::default();
        Library { options, added, files, found, routing, short }
    }

    /// A library with nothing but what is built in.
    pub fn built_in(known: impl Fn(&str) -> bool + Send + Sync + 'static) -> Library {
        Library::new(LibraryOptions {
            module_path: vec![],
            collections_path: vec![],
            built_in: Box::new(known),
            on_controller: Box::new(|_| false),
            on_host: Box::new(|_| false),
            core: Box::new(|| None),
            prefer_core: false,
        })
    }

    /// Takes in a playbook's or a role's directory: its `library/`, `module_utils/` and `collections/` count from now on.
    pub fn add(&self, dir: &Utf8Path) {
        let mut added = lock(&self.added);
        if !added.iter().any(|d| d == dir) {
            added.push(dir.to_owned());
        }
    }

    /// Directories with `module_utils` of playbooks and roles, in order of loading.
    pub fn module_utils(&self) -> Vec<Utf8PathBuf> {
        self.folders("module_utils")
    }

    /// The folders of this name beside playbooks and in roles, in order of loading.
    pub fn folders(&self, name: &str) -> Vec<Utf8PathBuf> {
        lock(&self.added).iter().map(|d| d.join(name)).filter(|d| d.is_dir()).collect()
    }

    /// The directories of the collection `ns.name`, the strongest first.
    pub fn collection(&self, name: &str) -> Vec<Utf8PathBuf> {
        let Some((ns, coll)) = name.split_once('.') else { return vec![] };
        let beside: Vec<Utf8PathBuf> = lock(&self.added).iter().map(|d| d.join("collections")).collect();
        let roots = beside.iter().chain(&self.options.collections_path);
        let in_root = |r: &Utf8Path| Some(r.join("ansible_collections").join(ns).join(coll)).filter(|d| d.is_dir());
        let mut out: Vec<Utf8PathBuf> = roots.filter_map(|r| in_root(r)).collect();
        if out.is_empty() {
            // collections that were installed together with ansible-core
            out.extend((self.options.core)().and_then(|p| in_root(p.parent()?)));
        }
        out
    }

    /// What `name` stands for in a task with these `collections`.
    pub fn resolve(&self, name: &str, collections: &[String]) -> Resolved {
        if let Some(short) = name.strip_prefix("ansible.builtin.") {
            return self.builtin(short);
        }
        if let Some(short) = name.strip_prefix("ansible.legacy.") {
            return self.legacy(short);
        }
        let mut parts = name.splitn(3, '.');
        if let (Some(ns), Some(coll), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
            return self.of_collection(&format!("{ns}.{coll}"), rest);
        }
        for c in collections {
            let r = match c.as_str() {
                "ansible.builtin" => self.builtin(name),
                "ansible.legacy" => self.legacy(name),
                c => self.of_collection(c, name),
            };
            if !matches!(r, Resolved::Unknown) {
                return r;
            }
        }
        self.legacy(name)
    }

    /// `ansible.builtin.NAME`: what is built in, else the file of an installed ansible-core, else what has become of it.
    fn builtin(&self, short: &str) -> Resolved {
        match self.of_builtin(short) {
            Resolved::Unknown => self.moved(short),
            found => found,
        }
    }

    /// A short name of a module that is in a collection by now, if that collection is there.
    fn moved(&self, short: &str) -> Resolved {
        match redirected(short).map(|full| self.resolve(&full, &[])) {
            Some(Resolved::BuiltIn) => Resolved::Alias(short.to_string()),
            Some(found) => found,
            None => Resolved::Unknown,
        }
    }

    /// The collection that `name` needs and that is not there, with the full name in it.
    pub fn missing_collection(&self, name: &str) -> Option<(String, String)> {
        let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy."));
        let full = redirected(short.unwrap_or(name)).unwrap_or_else(|| name.to_string());
        let mut parts = full.splitn(3, '.');
        let collection = match (parts.next(), parts.next(), parts.next()) {
            (Some(ns), Some(c), Some(_)) if ns != "ansible" || !matches!(c, "builtin" | "legacy") => {
                format!("{ns}.{c}")
            }
            _ => return None,
        };
        self.collection(&collection).is_empty().then_some((collection, full))
    }

    fn of_builtin(&self, short: &str) -> Resolved {
        let own = (self.options.built_in)(&format!("ansible.builtin.{short}"));
        let look_at_it = self.options.prefer_core && !(self.options.on_controller)(short);
        if own && !look_at_it {
            return Resolved::BuiltIn;
        }
        match self.of_core(short) {
            Some(path) => self.file(short, format!("ansible.builtin.{short}"), path, false),
            None if own => Resolved::BuiltIn,
            None => Resolved::Unknown,
        }
    }

    /// The file of a module of ansible-core; not of one that also has a part on the controller.
    fn of_core(&self, short: &str) -> Option<Utf8PathBuf> {
        let core = (self.options.core)()?;
        let path = core.join("modules").join(format!("{short}.py"));
        let action = core.join("plugins/action").join(format!("{short}.py"));
        (path.is_file() && !action.is_file()).then_some(path)
    }

    /// An action in Python beside a playbook or in a role: it would run on the controller. Only one that does
    /// no more than give another name to one of ansible-core's can be understood.
    fn action_plugin(&self, short: &str) -> Option<Resolved> {
        let dirs: Vec<Utf8PathBuf> = lock(&self.added).iter().map(|d| d.join("action_plugins")).collect();
        let path = dirs.iter().map(|d| d.join(format!("{short}.py"))).find(|p| p.is_file())?;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(original) = aliased(&text)
            && (self.options.built_in)(&format!("ansible.builtin.{original}"))
        {
            return Some(Resolved::Alias(original));
        }
        Some(Resolved::InPython(on_the_controller("action", short, &path)))
    }

    /// A name without a collection. What was found is kept until another playbook or role is loaded; what was not may
    /// come yet.
    fn legacy(&self, short: &str) -> Resolved {
        let added = lock(&self.added).len();
        if let Some((_, known)) = lock(&self.short).get(short).filter(|(n, _)| *n == added) {
            return known.clone();
        }
        let found = self.look_up(short);
        if matches!(found, Resolved::BuiltIn | Resolved::Alias(_) | Resolved::File(_)) {
            lock(&self.short).insert(short.to_string(), (added, found.clone()));
        }
        found
    }

    /// A file of playbook, role or module path, else what is built in.
    fn look_up(&self, short: &str) -> Resolved {
        if let Some(r) = self.action_plugin(short) {
            return r;
        }
        let Some(path) = self.find(short) else {
            return match self.of_builtin(short) {
                Resolved::Unknown if (self.options.built_in)(short) => Resolved::BuiltIn,
                Resolved::Unknown => self.moved(short),
                found => found,
            };
        };
        match ((self.options.on_controller)(short), (self.options.on_host)(short)) {
            (false, _) => {}
            (true, false) => return Resolved::BuiltIn,
            (true, true) => {
                return Resolved::Refused(format!(
                    "{path} would replace a part of the built-in action '{short}', which is not supported: give the module another name, or write ansible.builtin.{short}"
                ));
            }
        }
        self.file(short, format!("ansible.legacy.{short}"), path, false)
    }

    /// What `meta/runtime.yml` of a collection says; of several with this name the first counts.
    fn routing(&self, collection: &str) -> Arc<Routing> {
        let Some(dir) = self.collection(collection).into_iter().next() else { return Arc::default() };
        if let Some(r) = lock(&self.routing).get(&dir) {
            return r.clone();
        }
        let r = Arc::new(Routing::of(collection, &dir));
        lock(&self.routing).insert(dir, r.clone());
        r
    }

    /// What is said of the module or action `name`, and of those that it leads to, if they will be gone.
    pub fn deprecations(&self, name: &str, collections: &[String]) -> Vec<String> {
        let (mut out, mut seen) = (vec![], vec![]);
        let mut next = match name.splitn(3, '.').count() {
            3 => Some(name.to_string()),
            _ => {
                let full = |c: &String| (c.clone(), format!("{c}.{name}"));
                let there = |(c, full): (String, String)| {
                    let foreign = !matches!(c.as_str(), "ansible.builtin" | "ansible.legacy");
                    (foreign && !matches!(self.of_collection(&c, name), Resolved::Unknown)).then_some(full)
                };
                collections.iter().map(full).find_map(there)
            }
        };
        while let Some(full) = next.take() {
            let mut parts = full.splitn(3, '.');
            if let (Some(ns), Some(coll), Some(short)) = (parts.next(), parts.next(), parts.next()) {
                let routing = self.routing(&format!("{ns}.{coll}"));
                out.extend(routing.deprecation(short).map(str::to_string));
                next = match routing.route(short) {
                    Some(Route::Redirect(to)) if !seen.contains(to) => Some(to.clone()),
                    _ => None,
                };
            }
            seen.push(full);
        }
        out
    }

    /// The members of a group of modules that a collection defines, those of the groups in it, too; full names.
    pub fn group(&self, name: &str) -> Option<Vec<String>> {
        let mut out = vec![];
        let mut todo = vec![name.to_string()];
        let mut seen: Vec<String> = vec![];
        while let Some(group) = todo.pop() {
            let found = group.rsplit_once('.').filter(|(c, _)| c.contains('.'));
            let members = found.and_then(|(c, short)| self.routing(c).group(short).map(<[String]>::to_vec));
            let Some(members) = members else {
                if seen.is_empty() {
                    return None;
                }
                continue;
            };
            seen.push(group);
            for m in members {
                match m.strip_prefix("group/") {
                    Some(g) if seen.iter().any(|s| s == g) => {}
                    Some(g) => todo.push(g.to_string()),
                    None => out.push(m),
                }
            }
        }
        Some(out)
    }

    /// Whether a name leads to what runs for a task: something built in of this short name, or a file of this name.
    pub fn leads_to(&self, name: &str, short: &str, file: Option<&str>) -> bool {
        match self.resolve(name, &[]) {
            Resolved::Alias(n) => file.is_none() && n == short,
            Resolved::BuiltIn => file.is_none() && super::short_name(name) == short,
            Resolved::File(f) => file == Some(f.full.as_str()),
            _ => false,
        }
    }

    /// Follows the redirections of a name of a collection. None: it has none.
    fn redirected(&self, collection: &str, rest: &str) -> Option<Resolved> {
        let mut path = vec![format!("{collection}.{rest}")];
        let routing = self.routing(collection);
        if let Some(why) = routing.broken() {
            return Some(Resolved::Refused(format!("couldn't resolve module/action '{collection}.{rest}': {why}")));
        }
        let mut route = routing.route(rest)?.clone();
        loop {
            let target = match route {
                Route::Gone(words) => return Some(Resolved::Refused(words)),
                Route::Redirect(to) => to,
            };
            if path.contains(&target) {
                let seen = path.iter().map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", ");
                let first = path.first().map(String::as_str).unwrap_or_default();
                let words = format!("plugin redirect loop resolving {first} (path: [{seen}])");
                return Some(Resolved::Refused(words));
            }
            let mut parts = target.splitn(3, '.');
            let next = match (parts.next(), parts.next(), parts.next()) {
                (Some("ansible"), Some("builtin" | "legacy"), _) => None,
                (Some(ns), Some(c), Some(short)) => self.routing(&format!("{ns}.{c}")).route(short).cloned(),
                _ => None,
            };
            path.push(target.clone());
            match next {
                Some(r) => route = r,
                None => {
                    return Some(match self.resolve(&target, &[]) {
                        Resolved::BuiltIn => Resolved::Alias(super::short_name(&target)),
                        other => other,
                    });
                }
            }
        }
    }

    fn of_collection(&self, collection: &str, rest: &str) -> Resolved {
        let full = format!("{collection}.{rest}");
        if (self.options.built_in)(&full) {
            return Resolved::BuiltIn;
        }
        if let Some(r) = self.redirected(collection, rest) {
            return r;
        }
        let (sub, short) = rest.rsplit_once('.').map_or(("", rest), |(a, b)| (a, b));
        for dir in self.collection(collection) {
            let plugins = dir.join("plugins");
            let action = plugins.join("action").join(sub.replace('.', "/")).join(format!("{short}.py"));
            if action.is_file() {
                return Resolved::InPython(on_the_controller("action", &full, &action));
            }
            let modules = plugins.join("modules").join(sub.replace('.', "/"));
            if let Some(path) = self.listed(&modules).get(short) {
                return self.file(short, full, path.clone(), true);
            }
        }
        Resolved::Unknown
    }

    fn file(&self, short: &str, full: String, path: Utf8PathBuf, in_collection: bool) -> Resolved {
        if matches!(path.extension(), Some("ps1" | "psm1" | "cs")) {
            return Resolved::Refused(format!("'{full}' is a module for Windows ({path}), which is not supported"));
        }
        let mut found = lock(&self.found);
        let f = found
            .entry(path.clone())
            .or_insert_with(|| Arc::new(ModuleFile { short: short.into(), full, path, in_collection }));
        Resolved::File(f.clone())
    }

    /// Looks through playbooks, roles and the module path.
    fn find(&self, short: &str) -> Option<Utf8PathBuf> {
        let added: Vec<Utf8PathBuf> = lock(&self.added).iter().map(|d| d.join("library")).collect();
        if let Some(p) = added.iter().find_map(|d| self.listed(d).get(short).cloned()) {
            return Some(p);
        }
        for dir in &self.options.module_path {
            let mut dirs = subdirectories(dir);
            for d in dirs.clone() {
                dirs.extend(subdirectories(&d));
            }
            dirs.push(dir.clone());
            if let Some(p) = dirs.iter().find_map(|d| self.listed(d).get(short).cloned()) {
                return Some(p);
            }
        }
        None
    }

    /// The modules of one directory by name, read once.
    fn listed(&self, dir: &Utf8Path) -> Arc<HashMap<String, Utf8PathBuf>> {
        if let Some(m) = lock(&self.files).get(dir) {
            return m.clone();
        }
        let mut names: Vec<String> =
            dir.read_dir_utf8().map(|d| d.flatten().map(|e| e.file_name().to_string()).collect()).unwrap_or_default();
        // of several files of one name the Python one, then the one without an extension
        names.sort_by_key(|n| (!n.ends_with(".py"), n.contains('.'), n.clone()));
        let mut out = HashMap::new();
        for n in names {
            let path = dir.join(&n);
            let (stem, ext) = n.rsplit_once('.').unwrap_or((&n, ""));
            if stem.is_empty() || stem == "__init__" || n.ends_with('~') || NO_MODULES.contains(&ext) || !path.is_file()
            {
                continue;
            }
            // a leading underscore marks a deprecated module
            if let Some(bare) = stem.strip_prefix('_') {
                out.entry(bare.to_string()).or_insert_with(|| path.clone());
            }
            out.entry(stem.to_string()).or_insert(path);
        }
        let out = Arc::new(out);
        lock(&self.files).insert(dir.to_owned(), out.clone());
        out
    }
}

/// The words that refuse a plug-in in Python.
fn on_the_controller(kind: &str, name: &str, path: &Utf8Path) -> String {
    format!(
        "the {kind} '{name}' is a plug-in in Python that would run on the controller ({path}), which is not supported"
    )
}

/// The action of ansible-core for which a plug-in is just another name.
fn aliased(text: &str) -> Option<String> {
    let mut name = None;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(n) =
            line.strip_prefix("from ansible.plugins.action.").and_then(|r| r.strip_suffix(" import ActionModule"))
        {
            name = Some(n.to_string());
        } else if !line.starts_with("from __future__ ") && !line.starts_with("assert ActionModule") {
            return None;
        }
    }
    name
}

fn subdirectories(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut out: Vec<Utf8PathBuf> = dir
        .read_dir_utf8()
        .map(|d| d.flatten().map(|e| e.path().to_owned()).filter(|p| p.is_dir()).collect())
        .unwrap_or_default();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Utf8Path, path: &str) {
        let p = root.join(path);
        std::fs::create_dir_all(p.parent().expect("has one")).expect("made");
        std::fs::write(p, "").expect("written");
    }

    fn library(root: &Utf8Path) -> Library {
        let core = root.join("core");
        Library::new(LibraryOptions {
            module_path: vec![root.join("conf")],
            collections_path: vec![root.join("colls")],
            built_in: Box::new(|n| {
                matches!(n.strip_prefix("ansible.builtin.").unwrap_or(n), "ping" | "debug" | "a.b.own")
            }),
            on_controller: Box::new(|n| matches!(n, "debug" | "copy")),
            on_host: Box::new(|n| n == "copy"),
            core: Box::new(move || Some(core.clone())),
            prefer_core: false,
        })
    }

    fn path(l: &Library, name: &str, collections: &[&str]) -> String {
        let c: Vec<String> = collections.iter().map(|c| c.to_string()).collect();
        match l.resolve(name, &c) {
            Resolved::BuiltIn => "built in".into(),
            Resolved::File(f) => format!("{} {}", f.full, f.path.file_name().unwrap_or_default()),
            Resolved::Alias(n) => format!("as {n}"),
            Resolved::Unknown => "unknown".into(),
            Resolved::Refused(w) | Resolved::InPython(w) => w,
        }
    }

    #[test]
    fn precedence() {
        let t = tempfile::tempdir().expect("a directory");
        let root = Utf8Path::from_path(t.path()).expect("UTF-8");
        for f in [
            "book/library/ping.py",
            "book/library/debug.py",
            "book/library/copy.py",
            "book/action_plugins/act.py",
            "core/modules/rare.py",
            "core/modules/ping.py",
            "core/modules/late.py",
            "core/plugins/action/late.py",
            "book/library/both",
            "book/library/both.ini",
            "role/library/both.py",
            "role/library/_gone.py",
            "role/module_utils/x.py",
            "conf/deep/er/far.sh",
            "conf/notes.md",
            "colls/ansible_collections/a/b/plugins/modules/sub/mod.py",
            "colls/ansible_collections/a/b/plugins/modules/own.py",
            "colls/ansible_collections/a/b/plugins/action/act.py",
            "colls/ansible_collections/a/b/plugins/modules/win.ps1",
            "book/collections/ansible_collections/a/b/plugins/modules/near.py",
        ] {
            put(root, f);
        }
        let l = library(root);
        assert_eq!(path(&l, "ping", &[]), "built in");
        l.add(&root.join("role"));
        l.add(&root.join("book"));
        assert_eq!(path(&l, "ping", &[]), "ansible.legacy.ping ping.py");
        assert_eq!(path(&l, "ansible.builtin.ping", &[]), "built in");
        assert_eq!(path(&l, "debug", &[]), "built in");
        assert_eq!(path(&l, "both", &[]), "ansible.legacy.both both.py");
        assert_eq!(path(&l, "gone", &[]), "ansible.legacy.gone _gone.py");
        assert_eq!(path(&l, "far", &[]), "ansible.legacy.far far.sh");
        assert_eq!(path(&l, "notes", &[]), "unknown");
        assert_eq!(path(&l, "rare", &[]), "ansible.builtin.rare rare.py");
        assert_eq!(path(&l, "late", &[]), "unknown");
        assert!(path(&l, "act", &[]).contains("on the controller"));
        let alias = "# c\nfrom ansible.plugins.action.debug import ActionModule\n\nassert ActionModule\n";
        std::fs::write(root.join("book/action_plugins/act.py"), alias).expect("written");
        assert_eq!(path(&l, "act", &[]), "as debug");
        assert!(path(&l, "copy", &[]).contains("another name"));
        assert_eq!(path(&l, "a.b.sub.mod", &[]), "a.b.sub.mod mod.py");
        assert_eq!(path(&l, "a.b.own", &[]), "built in");
        assert_eq!(path(&l, "near", &["a.b"]), "a.b.near near.py");
        assert_eq!(path(&l, "near", &[]), "unknown");
        assert!(path(&l, "a.b.act", &[]).contains("controller"));
        assert!(path(&l, "a.b.win", &[]).contains("Windows"));
        assert_eq!(l.module_utils(), [root.join("role/module_utils")]);
    }
}
