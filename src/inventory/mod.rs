//! Hosts, groups and their variables: INI, YAML, scripts, directories, host lists; host patterns.
//!
//! [`Inventory`] is the model: hosts and groups by name, in the order they were first met. [`load`] fills
//! it from sources, [`pattern`] chooses hosts from it, [`vars_files`] reads `group_vars/` and `host_vars/`.

mod constructed;
#[cfg(test)]
mod damage_tests;
pub mod edit;
mod hostname;
mod ini;
pub mod literal;
pub mod load;
pub mod pattern;
mod runtime;
mod script;
mod toml;
pub mod vars_files;
mod yaml;

use crate::diag::{Error, Result};
use crate::value::{Key, Map, Value};
use camino::Utf8PathBuf;
use indexmap::{IndexMap, IndexSet};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

pub use load::LoadOptions;
pub use vars_files::load_vars_dir;

/// Names that mean the controller when the inventory does not define them.
pub const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A host: its name, its own variables (raw, as loaded) and the groups that list it.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: Arc<str>,
    /// Shared with the layers of every view of the host.
    pub vars: Arc<Map>,
    /// The groups that hold the host directly, in the order they were met.
    pub groups: Vec<Arc<str>>,
    /// The file (or host list) that named the host first: `inventory_file`, `inventory_dir`.
    pub source: Option<Utf8PathBuf>,
    /// True for the localhost that exists without being in the inventory.
    pub implicit: bool,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: Arc<str>,
    /// Shared with the layers of every member's view.
    pub vars: Arc<Map>,
    /// Hosts that the group lists itself.
    pub hosts: IndexSet<Arc<str>>,
    pub children: Vec<Arc<str>>,
    pub parents: Vec<Arc<str>>,
    /// Longest way down from `all`.
    pub depth: usize,
    /// `ansible_group_priority` (1 unless set): later wins among groups of one depth.
    pub priority: i128,
}

/// All hosts and groups. `all` and `ungrouped` are always there.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub hosts: IndexMap<Arc<str>, Host>,
    pub groups: IndexMap<Arc<str>, Group>,
    /// The first of the names that mean the controller, if the inventory defines one.
    localhost: Option<Arc<str>>,
    /// Patterns that matched nothing, until they are taken.
    warnings: Warnings,
    /// Whether a group name was complained about already.
    named_badly: bool,
    group_chars: GroupChars,
    /// What `add_host` and `group_by` did, to be done again after the sources are read anew.
    runtime: Vec<Runtime>,
    /// The source being read, for the hosts it defines.
    current: Option<Utf8PathBuf>,
    /// Every source that was given, absolute where it is a path (`ansible_inventory_sources`).
    pub sources: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn push(&self, w: String) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(w);
    }
}

/// What happens to characters in group names that are none of an identifier (`force_valid_group_names`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupChars {
    /// They stay, with a warning.
    #[default]
    Never,
    /// They become `_`, with a warning.
    Always,
    /// They stay.
    Ignore,
    /// They become `_`.
    Silently,
}

impl std::str::FromStr for GroupChars {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        Ok(match s {
            "never" => GroupChars::Never,
            "always" => GroupChars::Always,
            "ignore" => GroupChars::Ignore,
            "silently" => GroupChars::Silently,
            _ => return Err(format!("force_valid_group_names: '{s}' is none of always, never, ignore and silently")),
        })
    }
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The name with `_` for what an identifier cannot have.
pub fn identifier(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if safe.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{}", safe.get(1..).unwrap_or_default())
    } else {
        safe
    }
}

/// A change of the inventory by a task.
#[derive(Clone, Debug)]
enum Runtime {
    Host { name: String, groups: Vec<String>, vars: Map },
    Group { host: String, group: String, parents: Vec<String> },
}

impl Default for Inventory {
    fn default() -> Self {
        Inventory::new()
    }
}

impl Inventory {
    /// An inventory with nothing but `all` and `ungrouped`.
    pub fn new() -> Inventory {
        let mut inv = Inventory {
            hosts: IndexMap::new(),
            groups: IndexMap::new(),
            localhost: None,
            warnings: Warnings::default(),
            named_badly: false,
            group_chars: GroupChars::default(),
            runtime: Vec::new(),
            current: None,
            sources: Vec::new(),
        };
        inv.add_group("all");
        inv.add_group("ungrouped");
        let _ = inv.add_child("all", "ungrouped");
        inv
    }

    /// The name under which a group goes.
    pub(crate) fn safe_group<'n>(&self, name: &'n str) -> std::borrow::Cow<'n, str> {
        match self.group_chars {
            GroupChars::Always | GroupChars::Silently if !is_identifier(name) => identifier(name).into(),
            _ => name.into(),
        }
    }

    /// The group of this name, made if it is not there. Answers true if it is new.
    pub fn add_group(&mut self, name: &str) -> bool {
        let safe = self.safe_group(name);
        if self.groups.contains_key(&*safe) {
            return false;
        }
        if !is_identifier(name) && !self.named_badly {
            self.named_badly = true;
            let done = match self.group_chars {
                GroupChars::Never => "but not replaced",
                GroupChars::Always => "and automatically replaced",
                GroupChars::Ignore | GroupChars::Silently => "",
            };
            if !done.is_empty() {
                self.warnings
                    .push(format!("Invalid characters were found in group names {done}, use -vvvv to see details"));
            }
        }
        let name: Arc<str> = safe.as_ref().into();
        let group = Group {
            name: name.clone(),
            vars: Arc::default(),
            hosts: IndexSet::new(),
            children: Vec::new(),
            parents: Vec::new(),
            depth: 0,
            priority: 1,
        };
        self.groups.insert(name, group);
        true
    }

    /// The host of this name, made if it is not there, and put into `group`. Answers true if the host is
    /// new. A port counts only for a new host, as in Ansible.
    pub fn add_host(&mut self, name: &str, group: Option<&str>, port: Option<u16>) -> bool {
        let new = !self.hosts.contains_key(name);
        if new {
            let name: Arc<str> = name.into();
            let mut vars = Map::new();
            if let Some(p) = port {
                vars.insert("ansible_port".into(), Value::Int(p.into()));
            }
            if LOCALHOST.contains(&&*name) {
                match &self.localhost {
                    None => self.localhost = Some(name.clone()),
                    Some(first) => self.warnings.push(format!(
                        "A duplicate localhost-like entry was found ({name}). First found localhost was {first}"
                    )),
                }
            }
            let source = self.current.clone();
            self.hosts
                .insert(name.clone(), Host { name, vars: Arc::new(vars), groups: Vec::new(), source, implicit: false });
        }
        if let Some(g) = group {
            self.put_host(name, g);
        }
        new
    }

    fn put_host(&mut self, host: &str, group: &str) -> bool {
        let group = self.safe_group(group);
        let (Some(h), Some(g)) = (self.hosts.get_mut(host), self.groups.get_mut(&*group)) else { return false };
        let added = g.hosts.insert(h.name.clone());
        if added {
            h.groups.push(g.name.clone());
        }
        added
    }

    fn drop_host(&mut self, host: &str, group: &str) {
        if let Some(g) = self.groups.get_mut(group) {
            g.hosts.shift_remove(host);
        }
        if let Some(h) = self.hosts.get_mut(host) {
            h.groups.retain(|g| &**g != group);
        }
    }

    /// Puts a group (or, if there is no such group, a host) into `group`. Answers true if that is new.
    pub fn add_child(&mut self, group: &str, child: &str) -> Result<bool> {
        let group = &*self.safe_group(group);
        // a host keeps its name
        let child = &*if self.hosts.contains_key(child) { child.into() } else { self.safe_group(child) };
        if !self.groups.contains_key(group) {
            return Err(Error::parse(format!("{group} is not a known group")));
        }
        if !self.groups.contains_key(child) {
            if !self.hosts.contains_key(child) {
                return Err(Error::parse(format!("{child} is not a known host nor group")));
            }
            return Ok(self.put_host(child, group));
        }
        if group == child {
            return Err(Error::parse("can't add group to itself"));
        }
        if self.groups.get(group).is_some_and(|g| g.children.iter().any(|c| &**c == child)) {
            return Ok(false);
        }
        if self.ancestors(group).iter().any(|a| &**a == child) {
            return Err(Error::parse(format!(
                "Adding group '{child}' as child to '{group}' creates a recursive dependency loop."
            )));
        }
        let (parent, depth) = match self.groups.get(group) {
            Some(g) => (g.name.clone(), g.depth),
            None => return Ok(false),
        };
        let name = match self.groups.get_mut(child) {
            Some(c) => {
                c.parents.push(parent);
                c.name.clone()
            }
            None => return Ok(false),
        };
        if let Some(g) = self.groups.get_mut(group) {
            g.children.push(name.clone());
        }
        self.sink(&name, depth + 1);
        Ok(true)
    }

    /// Makes a group at least `depth` deep, and what is below it accordingly.
    fn sink(&mut self, name: &str, depth: usize) {
        let mut todo: Vec<(Arc<str>, usize)> = vec![(name.into(), depth)];
        while let Some((name, depth)) = todo.pop() {
            if let Some(g) = self.groups.get_mut(&name)
                && (g.depth < depth || g.children.is_empty())
            {
                g.depth = g.depth.max(depth);
                let next = g.depth + 1;
                todo.extend(g.children.iter().map(|c| (c.clone(), next)));
            }
        }
    }

    /// Sets a variable of a group or, if no group has that name, of a host.
    pub fn set_variable(&mut self, entity: &str, key: &str, value: Value) -> Result<()> {
        let group = self.safe_group(entity);
        if let Some(g) = self.groups.get_mut(&*group) {
            if key == "ansible_group_priority" {
                g.priority = match &value {
                    Value::Int(i) => *i,
                    Value::Bool(b) => (*b).into(),
                    Value::Str(s) => s.text.trim().parse().unwrap_or(g.priority),
                    _ => g.priority,
                };
            } else {
                Arc::make_mut(&mut g.vars).insert(Key::from(key), value);
            }
            return Ok(());
        }
        match self.hosts.get_mut(entity) {
            Some(h) => {
                Arc::make_mut(&mut h.vars).insert(Key::from(key), value);
                Ok(())
            }
            None => Err(Error::parse(format!("Could not identify group or host named {entity}"))),
        }
    }

    /// Takes a host out of everything.
    pub fn remove_host(&mut self, name: &str) {
        for g in self.groups.values_mut() {
            g.hosts.shift_remove(name);
        }
        self.hosts.shift_remove(name);
    }

    /// The groups above `group` (not itself), nearest first.
    pub fn ancestors(&self, group: &str) -> Vec<Arc<str>> {
        self.walk(group, |g| &g.parents)
    }

    /// The groups below `group` (not itself), nearest first.
    pub fn descendants(&self, group: &str) -> Vec<Arc<str>> {
        self.walk(group, |g| &g.children)
    }

    fn walk(&self, group: &str, next: impl Fn(&Group) -> &Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut seen: IndexSet<Arc<str>> = IndexSet::new();
        let mut at = 0;
        let step = |name: &str, seen: &mut IndexSet<Arc<str>>| {
            if let Some(g) = self.groups.get(name) {
                seen.extend(next(g).iter().cloned());
            }
        };
        step(group, &mut seen);
        while let Some(name) = seen.get_index(at).cloned() {
            step(&name, &mut seen);
            at += 1;
        }
        seen.into_iter().collect()
    }

    /// All hosts of a group and of the groups below it, in inventory order.
    pub fn hosts_in(&self, group: &str) -> Vec<Arc<str>> {
        let Some(g) = self.groups.get(group) else { return Vec::new() };
        if g.children.is_empty() {
            return g.hosts.iter().cloned().collect();
        }
        let mut out: IndexSet<Arc<str>> = g.hosts.clone();
        for d in self.descendants(group) {
            if let Some(d) = self.groups.get(&d) {
                out.extend(d.hosts.iter().cloned());
            }
        }
        out.into_iter().collect()
    }

    /// All groups of a host, with those above them (and `all`), in the order in which their variables
    /// are merged: depth, priority, name. The implicit localhost belongs to `all`'s variables only.
    pub fn groups_of(&self, host: &str) -> Vec<&Group> {
        let mut out: Vec<&Group> = self.group_set(host).iter().filter_map(|n| self.groups.get(n)).collect();
        out.sort_by(|a, b| (a.depth, a.priority, &a.name).cmp(&(b.depth, b.priority, &b.name)));
        out
    }

    fn group_set(&self, host: &str) -> HashSet<Arc<str>> {
        let mut out: HashSet<Arc<str>> = HashSet::new();
        let Some(h) = self.hosts.get(host) else {
            out.insert("all".into());
            return out;
        };
        for g in &h.groups {
            if out.insert(g.clone()) {
                out.extend(self.ancestors(g));
            }
        }
        out
    }

    /// The magic variable `group_names`: all groups of the host, sorted, without `all`.
    pub fn group_names(&self, host: &str) -> Vec<Arc<str>> {
        if !self.hosts.contains_key(host) {
            return Vec::new();
        }
        let mut out: Vec<_> = self.group_set(host).into_iter().filter(|g| &**g != "all").collect();
        out.sort();
        out
    }

    /// Every group with its hosts (the magic variable `groups`).
    pub fn group_members(&self) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
        self.groups.keys().map(|g| (g.clone(), self.hosts_in(g))).collect()
    }

    /// The warnings about patterns since the last call.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.0.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// The host of this name; for `localhost` and its addresses, when the inventory has none of them, the
    /// implicit one (connection local, in no group).
    pub fn host(&self, name: &str) -> Option<Host> {
        if let Some(h) = self.hosts.get(name) {
            return Some(h.clone());
        }
        if !LOCALHOST.contains(&name) {
            return None;
        }
        if let Some(l) = &self.localhost {
            return self.hosts.get(l).cloned();
        }
        let mut vars = Map::new();
        vars.insert("ansible_connection".into(), Value::trusted("local", None));
        Some(Host { name: name.into(), vars: Arc::new(vars), groups: Vec::new(), source: None, implicit: true })
    }

    /// Puts every group under `all` and every host without a group into `ungrouped`, and takes hosts that
    /// have a group out of it. Answers warnings. To be called after changes by `add_host` and `group_by`.
    pub fn reconcile(&mut self) -> Vec<Error> {
        let roots: Vec<Arc<str>> = self
            .groups
            .values()
            .filter(|g| g.parents.is_empty() && &*g.name != "all")
            .map(|g| g.name.clone())
            .collect();
        for g in roots {
            let _ = self.add_child("all", &g);
        }
        let (mut lonely, mut placed) = (Vec::new(), Vec::new());
        for h in self.hosts.values() {
            let real = h.groups.iter().any(|g| &**g != "all" && &**g != "ungrouped");
            let un = h.groups.iter().any(|g| &**g == "ungrouped");
            if !real && !un {
                lonely.push(h.name.clone());
            } else if real && un {
                placed.push(h.name.clone());
            }
        }
        for h in lonely {
            self.put_host(&h, "ungrouped");
        }
        if !placed.is_empty() {
            let gone: HashSet<Arc<str>> = placed.iter().cloned().collect();
            if let Some(g) = self.groups.get_mut("ungrouped") {
                g.hosts.retain(|h| !gone.contains(h));
            }
            for h in &placed {
                self.drop_host(h, "ungrouped");
            }
        }
        self.groups
            .keys()
            .filter(|g| self.hosts.contains_key(&***g))
            .map(|g| Error::parse(format!("Found both group and host with same name: {g}")))
            .collect()
    }
}
