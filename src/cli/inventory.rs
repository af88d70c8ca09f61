//! `dirigo inventory` (ansible-inventory): hosts, groups and variables as JSON, YAML, TOML or a graph.

mod toml;

use super::common::{InventoryArgs, VaultArgs};
use super::config::Config;
use super::setup::{adjust, extra_vars, fact_cache, flush, load_inventory, secrets, sources};
use crate::diag::{Error, Result};
use crate::facts::{FactCache, as_variables};
use crate::inventory::{Group, Inventory, load, load_vars_dir};
use crate::output::Screen;
use crate::pyjson::py_json_indent;
use crate::value::{Key, Map, Trust, Value};
use crate::vault::Secrets;
use crate::yaml::{EmitOptions, emit};
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexSet;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is the magic of a run rather than the inventory's: never shown.
const INTERNAL: [&str; 19] = [
    "ansible_diff_mode",
    "ansible_config_file",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_playbook_python",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "groups",
    "group_names",
    "omit",
    "playbook_dir",
];

/// What to show and how.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub yaml: bool,
    pub toml: bool,
    pub vars: bool,
    pub export: bool,
    pub limit: Option<String>,
    pub extra_vars: Map,
    /// The fact cache: a run would see its facts.
    pub facts: Option<Arc<FactCache>>,
    /// `--playbook-dir`, for group_vars and host_vars beside playbooks.
    pub playbook_dir: Option<Utf8PathBuf>,
}

/// A directory, `group_vars` or `host_vars`, and a name.
type FileKey = (Utf8PathBuf, &'static str, Arc<str>);

/// An inventory with the files beside it, ready to be shown.
pub struct View<'a> {
    inv: &'a Inventory,
    secrets: &'a Secrets,
    want: &'a Wanted,
    inventory_dirs: Vec<Utf8PathBuf>,
    /// Files are read once; lists and mappings in them stay one object, which YAML shows as aliases.
    files: RefCell<HashMap<FileKey, Map>>,
    warnings: RefCell<Vec<Error>>,
    /// Warnings of names that were given.
    named: RefCell<HashSet<String>>,
}

impl<'a> View<'a> {
    pub fn new(inv: &'a Inventory, secrets: &'a Secrets, want: &'a Wanted) -> View<'a> {
        let mut inventory_dirs: Vec<Utf8PathBuf> = Vec::new();
        for s in inv.sources.iter().filter(|s| !s.is_empty()) {
            let path = Utf8Path::new(s);
            if s.contains(',') && !path.exists() {
                continue;
            }
            let dir = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
            inventory_dirs.push(dir.to_owned());
        }
        View {
            inv,
            secrets,
            want,
            inventory_dirs,
            files: RefCell::default(),
            warnings: RefCell::default(),
            named: RefCell::default(),
        }
    }

    /// Warnings that arose while variables were read.
    pub fn take_warnings(&self) -> Vec<Error> {
        std::mem::take(&mut self.warnings.borrow_mut())
    }

    fn add_files(&self, out: &mut Map, dir: &Utf8Path, kind: &'static str, name: &Arc<str>) -> Result<()> {
        let key = (dir.to_owned(), kind, name.clone());
        let mut files = self.files.borrow_mut();
        if let Some(m) = files.get(&key) {
            merge(out, m);
            return Ok(());
        }
        let m = load_vars_dir(dir, kind, name, self.secrets, &mut self.warnings.borrow_mut())?;
        merge(out, &m);
        files.insert(key, m);
        Ok(())
    }

    fn inventory_files(&self, out: &mut Map, kind: &'static str, name: &Arc<str>) -> Result<()> {
        for d in &self.inventory_dirs {
            self.add_files(out, d, kind, name)?;
        }
        Ok(())
    }

    /// The variables a run would see for the host, in Ansible's order of precedence; with `--export` only
    /// those that are the host's own.
    pub fn host_vars(&self, host: &str) -> Result<Map> {
        let mut out = Map::new();
        let Some(h) = self.inv.host(host) else { return Ok(out) };
        let play_dirs: Vec<Utf8PathBuf> = match (&self.want.playbook_dir, self.want.export) {
            (Some(d), _) => vec![d.clone()],
            (None, true) => Vec::new(),
            (None, false) => vec![load::absolute(".")],
        };
        if !self.want.export {
            let groups = self.inv.groups_of(host);
            let (all, others): (Vec<&Group>, Vec<&Group>) = groups.into_iter().partition(|g| &*g.name == "all");
            for g in all.iter().chain(&others) {
                merge(&mut out, &g.vars);
            }
            for part in [&all, &others] {
                for g in part.iter() {
                    self.inventory_files(&mut out, "group_vars", &g.name)?;
                }
                for g in part.iter() {
                    for d in &play_dirs {
                        self.add_files(&mut out, d, "group_vars", &g.name)?;
                    }
                }
            }
        }
        merge(&mut out, &h.vars);
        self.inventory_files(&mut out, "host_vars", &h.name)?;
        for d in &play_dirs {
            self.add_files(&mut out, d, "host_vars", &h.name)?;
        }
        if !self.want.export {
            if let Some(facts) = self.want.facts.as_ref().map(|c| c.get(host)).transpose()?.flatten() {
                merge(&mut out, &as_variables(facts));
            }
            merge(&mut out, &self.want.extra_vars);
            // as when a run first needs them
            for w in crate::playbook::reserved_among(&out) {
                if self.named.borrow_mut().insert(w.in_full()) {
                    self.warnings.borrow_mut().push(w);
                }
            }
        }
        Ok(public(out))
    }

    /// A group's own variables, and those of its files.
    fn group_vars(&self, g: &Group) -> Result<Map> {
        let mut out = Map::clone(&g.vars);
        self.inventory_files(&mut out, "group_vars", &g.name)?;
        if let Some(d) = &self.want.playbook_dir {
            self.add_files(&mut out, d, "group_vars", &g.name)?;
        }
        if g.priority != 1 {
            out.insert("ansible_group_priority".into(), Value::Int(g.priority));
        }
        Ok(public(out))
    }

    fn available(&self) -> Result<HashSet<Arc<str>>> {
        let mut hosts: HashSet<Arc<str>> = self.inv.hosts_in("all").into_iter().collect();
        if let Some(l) = &self.want.limit {
            let keep: HashSet<Arc<str>> = self.inv.select_limit(l)?.into_iter().collect();
            hosts.retain(|h| keep.contains(h));
        }
        Ok(hosts)
    }

    /// `--list`: everything, as scripts answer it.
    pub fn list(&self) -> Result<String> {
        let hosts = self.available()?;
        if self.want.yaml {
            let mut seen = (HashSet::new(), HashSet::new());
            let mut out = Map::new();
            self.yaml_group("all", &hosts, &mut seen, &mut out)?;
            return Ok(dump_yaml(&Value::map(out)));
        }
        if self.want.toml {
            return self.toml_list(&hosts);
        }
        let mut hostvars = Map::new();
        for h in self.inv.hosts_in("all").iter().filter(|h| hosts.contains(*h)) {
            let vars = self.host_vars(h)?;
            if !vars.is_empty() {
                hostvars.insert(h.clone().into(), Value::map(vars));
            }
        }
        let mut meta = Map::new();
        meta.insert("hostvars".into(), Value::map(hostvars));
        meta.insert("profile".into(), Value::trusted("inventory_legacy", None));
        let mut out = Map::new();
        out.insert("_meta".into(), Value::map(meta));
        self.json_group("all", &hosts, &mut HashSet::new(), &mut out)?;
        Ok(dump_json(&Value::map(out)))
    }

    fn json_group(
        &self,
        name: &str,
        hosts: &HashSet<Arc<str>>,
        seen: &mut HashSet<Arc<str>>,
        out: &mut Map,
    ) -> Result<()> {
        let Some(g) = self.inv.groups.get(name) else { return Ok(()) };
        let mut data = Map::new();
        if name != "all" {
            put_list(&mut data, "hosts", g.hosts.iter().filter(|h| hosts.contains(*h)));
        }
        let mut children = IndexSet::new();
        for c in &g.children {
            children.insert(c.clone());
            if seen.insert(c.clone()) {
                self.json_group(c, hosts, seen, out)?;
            }
        }
        put_list(&mut data, "children", children.iter());
        if self.want.export {
            put_map(&mut data, "vars", self.group_vars(g)?);
        }
        if !data.is_empty() {
            out.insert(g.name.clone().into(), Value::map(data));
        }
        Ok(())
    }

    fn yaml_group(
        &self,
        name: &str,
        hosts: &HashSet<Arc<str>>,
        seen: &mut (HashSet<Arc<str>>, HashSet<Arc<str>>),
        out: &mut Map,
    ) -> Result<()> {
        let Some(g) = self.inv.groups.get(name) else { return Ok(()) };
        let mut children = Map::new();
        for c in &g.children {
            if seen.0.insert(c.clone()) {
                self.yaml_group(c, hosts, seen, &mut children)?;
            } else {
                children.insert(c.clone().into(), Value::empty_map());
            }
        }
        let mut shown = Map::new();
        if name != "all" {
            for h in g.hosts.iter().filter(|h| hosts.contains(*h)) {
                let vars = if seen.1.insert(h.clone()) { self.host_vars(h)? } else { Map::new() };
                shown.insert(h.clone().into(), Value::map(vars));
            }
        }
        let mut data = Map::new();
        put_map(&mut data, "children", children);
        put_map(&mut data, "hosts", shown);
        if self.want.export {
            put_map(&mut data, "vars", self.group_vars(g)?);
        }
        if !data.is_empty() {
            out.insert(g.name.clone().into(), Value::map(data));
        }
        Ok(())
    }

    /// `--host`.
    pub fn host(&self, pattern: &str) -> Result<String> {
        let hosts = self.inv.select(pattern)?;
        let [host] = hosts.as_slice() else {
            return Err(Error::options("You must pass a single valid host to --host parameter"));
        };
        let vars = Value::map(self.host_vars(host)?);
        Ok(match () {
            _ if self.want.yaml => dump_yaml(&vars),
            _ if self.want.toml => toml::dump(&vars)?,
            _ => py_json_indent(&marked(&vars, false), 4),
        })
    }

    /// `--graph`, from `top` down.
    pub fn graph(&self, top: &str) -> Result<String> {
        let Some(g) = self.inv.groups.get(top) else {
            return Err(Error::options("Pattern must be valid group name when using --graph"));
        };
        let mut out = Vec::new();
        self.graph_group(g, 0, &mut out)?;
        Ok(out.join("\n"))
    }

    fn graph_group(&self, g: &Group, depth: usize, out: &mut Vec<String>) -> Result<()> {
        out.push(branch(&format!("@{}:", g.name), depth));
        for c in g.children.iter().filter_map(|c| self.inv.groups.get(c)) {
            self.graph_group(c, depth + 1, out)?;
        }
        if &*g.name != "all" {
            for h in &g.hosts {
                out.push(branch(h, depth + 1));
                if self.want.vars {
                    graph_vars(&self.host_vars(h)?, depth + 2, out);
                }
            }
        }
        if self.want.vars {
            graph_vars(&self.group_vars(g)?, depth + 1, out);
        }
        Ok(())
    }
}

fn branch(text: &str, depth: usize) -> String {
    if depth == 0 { text.to_string() } else { format!("{}--{text}", "  |".repeat(depth)) }
}

fn graph_vars(vars: &Map, depth: usize, out: &mut Vec<String>) {
    for (k, v) in sorted(vars) {
        out.push(branch(&format!("{{{} = {}}}", k.to_text(), v.to_str()), depth));
    }
}

fn merge(into: &mut Map, from: &Map) {
    for (k, v) in from {
        into.insert(k.clone(), v.clone());
    }
}

fn public(mut vars: Map) -> Map {
    vars.retain(|k, _| !k.as_str().is_some_and(|k| INTERNAL.contains(&k)));
    vars
}

fn put_list<'n>(data: &mut Map, key: &str, names: impl Iterator<Item = &'n Arc<str>>) {
    let list: Vec<Value> = names.map(|n| Value::trusted(n.clone(), None)).collect();
    if !list.is_empty() {
        data.insert(key.into(), Value::list(list));
    }
}

fn put_map(data: &mut Map, key: &str, m: Map) {
    if !m.is_empty() {
        data.insert(key.into(), Value::map(m));
    }
}

fn sorted(m: &Map) -> Vec<(&Key, &Value)> {
    let mut all: Vec<_> = m.iter().collect();
    all.sort_by_cached_key(|(k, _)| k.to_text());
    all
}

fn dump_yaml(v: &Value) -> String {
    emit(v, &EmitOptions { aliases: true, ..EmitOptions::default() })
}

/// JSON with keys sorted; vaulted and unsafe text is marked.
fn dump_json(v: &Value) -> String {
    py_json_indent(&marked(v, true), 4)
}

/// One host's variables show unsafe text as it is.
fn marked(v: &Value, unsafe_too: bool) -> Value {
    let with = |mark: &str, text: &Arc<str>| {
        Value::map(Map::from_iter([(Key::from(mark), Value::trusted(text.clone(), None))]))
    };
    match v {
        Value::Str(s) if unsafe_too && s.trust == Trust::Plain => with("__ansible_unsafe", &s.text),
        Value::Vault(t) => with("__ansible_vault", &t.envelope),
        Value::List(l) | Value::Tuple(l) => Value::list(l.iter().map(|v| marked(v, unsafe_too)).collect()),
        Value::Map(m) => Value::map(m.iter().map(|(k, v)| (k.clone(), marked(v, unsafe_too))).collect()),
        v => v.clone(),
    }
}

/// Options of the command; the exit code is 0 or that of the error.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Inventory: a file, a directory, a script, or hosts separated by commas
    #[arg(short = 'i', long = "inventory", visible_alias = "inventory-file", value_name = "INVENTORY")]
    pub inventory: Vec<String>,
    /// Limit the hosts further (a pattern, or @FILE)
    #[arg(short = 'l', long = "limit", value_name = "SUBSET")]
    pub limit: Option<String>,
    /// Forget cached facts
    #[arg(long)]
    pub flush_cache: bool,
    #[command(flatten)]
    pub vault: VaultArgs,
    /// Directory that stands in for the playbook's: its group_vars and host_vars count
    #[arg(long, value_name = "BASEDIR")]
    pub playbook_dir: Option<String>,
    /// Variables: key=value, JSON, YAML, or @FILE
    #[arg(short = 'e', long = "extra-vars", value_name = "EXTRA_VARS", allow_hyphen_values = true)]
    pub extra_vars: Vec<String>,
    /// Show all hosts and variables
    #[arg(long)]
    pub list: bool,
    /// Show the variables of one host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Show groups and hosts as a tree
    #[arg(long)]
    pub graph: bool,
    /// Write YAML instead of JSON
    #[arg(short = 'y', long)]
    pub yaml: bool,
    /// Write TOML
    #[arg(long)]
    pub toml: bool,
    /// Show variables in the graph
    #[arg(long)]
    pub vars: bool,
    /// With --list: groups keep their variables, hosts show only their own
    #[arg(long)]
    pub export: bool,
    /// With --list: write to this file
    #[arg(long, value_name = "FILE")]
    pub output: Option<String>,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// With --graph: the group to start from
    pub group: Option<String>,
}

impl Args {
    /// The text that was asked for, and where it goes. Refuses what is not supported before anything is read.
    pub fn check(&self) -> Result<()> {
        match usize::from(self.list) + usize::from(self.host.is_some()) + usize::from(self.graph) {
            0 => Err(Error::options(
                "No action selected, at least one of --host, --graph or --list needs to be specified.",
            )),
            1 => Ok(()),
            _ => Err(Error::options(
                "Conflicting options used, only one of --host, --graph or --list can be used at the same time.",
            )),
        }
    }

    /// Shows the inventory. `extra` are the variables of `-e`.
    pub fn show(
        &self,
        inv: &Inventory,
        secrets: &Secrets,
        extra: Map,
        facts: Option<Arc<FactCache>>,
    ) -> Result<(String, Vec<Error>)> {
        let want = Wanted {
            yaml: self.yaml,
            toml: self.toml,
            vars: self.vars,
            export: self.export || setting("INVENTORY_EXPORT"),
            limit: self.limit.clone(),
            extra_vars: extra,
            facts,
            playbook_dir: match &self.playbook_dir {
                Some(d) => {
                    let dir = load::absolute(d);
                    super::common::warn_of_no_dir(&dir);
                    Some(dir)
                }
                None => super::config::playbook_dir()?.map(|d| load::absolute(d.as_str())),
            },
        };
        let view = View::new(inv, secrets, &want);
        let text = if let Some(h) = &self.host {
            view.host(h)
        } else if self.graph {
            view.graph(self.group.as_deref().unwrap_or("all"))
        } else {
            view.list()
        };
        Ok((text?, view.take_warnings()))
    }
}

/// A setting that is on.
fn setting(name: &str) -> bool {
    crate::settings::current().get(name).and_then(|f| f.ok()).is_some_and(|f| f.value.truthy())
}

/// Loads the inventory and shows it, on standard output or in a file.
pub fn run(a: Args) -> Result<i32> {
    a.check()?;
    let config = Config::load()?;
    let mut screen = Screen::of_stdout(a.verbose);
    adjust(&mut screen, &config)?;
    config.tell(a.verbose)?;
    let warn = |text: &str| crate::output::show_warning(text, screen.color);
    config.warnings.iter().for_each(|w| warn(w));
    let secrets = Arc::new(secrets(&a.vault, &config)?);
    let extra = extra_vars(&a.extra_vars, &secrets)?;
    let from = InventoryArgs { inventory: a.inventory.clone(), ..InventoryArgs::default() };
    let facts = fact_cache(&screen)?;
    let inv = load_inventory(&sources(&config, &from), &secrets, &config, &screen, &extra, &facts)?;
    if let (Some(cache), true) = (&facts, a.flush_cache) {
        flush(cache, &inv);
    }
    let shown = a.show(&inv, &secrets, extra, facts);
    inv.take_warnings().iter().for_each(|w| warn(w));
    let (text, warnings) = shown?;
    warnings.iter().for_each(|w| warn(&w.in_full()));
    match a.output.as_deref() {
        Some(file) => std::fs::write(load::absolute(file), text)
            .map_err(|e| Error::general(format!("Unable to write to destination file '{file}': {e}")))?,
        None if text.ends_with('\n') => print!("{text}"),
        None => println!("{text}"),
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
