//! What is known of hosts during a run: inventory, facts, registered results, set facts.

use super::magic::Globals;
use crate::diag::{Error, Result};
use crate::facts::{FactCache, GATHERED, is_control_name};
use crate::inventory::{Inventory, load_vars_dir};
use crate::playbook::{Play, Role};
use crate::value::{Key, Map, Value, VaultText};
use crate::vault::Secrets;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) fn read<T>(l: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    l.read().unwrap_or_else(|e| e.into_inner())
}
pub(super) fn write<T>(l: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    l.write().unwrap_or_else(|e| e.into_inner())
}

/// Variables that a host gathers in the course of a run.
#[derive(Debug, Default)]
pub struct HostStore {
    /// The content of `ansible_facts`.
    pub facts: RwLock<Arc<Map>>,
    /// Facts under their injected names (`ansible_…`, and names from `set_fact` with cacheable).
    pub injected: RwLock<Arc<Map>>,
    /// `include_vars`.
    pub registered: RwLock<Arc<Map>>,
    /// `set_fact` and registered results: one level, the later wins.
    pub set_facts: RwLock<Arc<Map>>,
    /// The play's `vars_files` as this host reads them, strongest last.
    pub vars_files: RwLock<Arc<Vec<Arc<Map>>>>,
    /// True once facts were gathered, not only set; by this or, with a fact cache, an earlier run.
    pub gathered: AtomicBool,
    /// Where the facts are kept beyond the run, and the host's name there.
    cache: Option<(Arc<FactCache>, Arc<str>)>,
    /// Why the cached facts cannot be read.
    unread: Mutex<Option<Error>>,
    /// Layers from inventory and vars directories for one playbook directory, strongest first.
    layers: RwLock<Option<(u64, Utf8PathBuf, Arc<Vec<Arc<Map>>>)>>,
}

impl HostStore {
    fn put(slot: &RwLock<Arc<Map>>, name: &str, v: Value) {
        Arc::make_mut(&mut *write(slot)).insert(Key::from(name), v);
    }
    pub fn register(&self, name: &str, v: Value) {
        HostStore::put(&self.registered, name, v);
    }
    pub fn set_fact(&self, name: &str, v: Value) {
        HostStore::put(&self.set_facts, name, v);
    }
    /// A host with what the cache knows of it.
    fn cached(cache: &Arc<FactCache>, name: &Arc<str>) -> HostStore {
        let empty = HostStore::default();
        match cache.get(name) {
            Ok(Some(facts)) => {
                empty.gathered.store(facts.contains_key(GATHERED), Ordering::SeqCst);
                empty.add_facts(&facts);
            }
            Ok(None) => {}
            Err(e) => *empty.unread.lock().unwrap_or_else(|e| e.into_inner()) = Some(e),
        }
        HostStore { cache: Some((cache.clone(), name.clone())), ..empty }
    }
    /// Takes in facts from a module; those that would steer the connection are dropped and named.
    pub fn add_facts(&self, facts: &Map) -> Vec<String> {
        let mut dropped = vec![];
        let mut inner = write(&self.facts);
        let mut injected = write(&self.injected);
        let (inner, injected) = (Arc::make_mut(&mut *inner), Arc::make_mut(&mut *injected));
        for (k, v) in facts {
            let name = k.to_string();
            if name.starts_with("_ansible_") {
                continue;
            }
            if is_control_name(&name) {
                dropped.push(name);
                continue;
            }
            let v = v.untrusted();
            let short = name.strip_prefix("ansible_").filter(|s| *s != "local").unwrap_or(&name);
            inner.insert(Key::from(short), v.clone());
            if name == "ansible_local" {
                inner.insert("ansible_local".into(), v.clone());
            }
            injected.insert(k.clone(), v);
        }
        if let Some((cache, name)) = &self.cache {
            let mut kept = injected.clone();
            if self.gathered.load(Ordering::SeqCst) {
                kept.insert(GATHERED.into(), true.into());
            }
            cache.set(name, &kept);
        }
        dropped
    }
    pub fn clear_facts(&self) {
        if let Some((cache, name)) = &self.cache {
            cache.delete(name);
        }
        *self.unread.lock().unwrap_or_else(|e| e.into_inner()) = None;
        self.gathered.store(false, Ordering::SeqCst);
        *write(&self.facts) = Arc::default();
        *write(&self.injected) = Arc::default();
    }
}

/// What the play adds to its hosts' variables.
#[derive(Debug)]
pub struct PlayVars {
    pub play: Arc<Play>,
    pub prompts: Arc<Map>,
    /// The play's `vars:` and those of its import.
    pub vars: Arc<Map>,
    pub import_vars: Arc<Map>,
    /// Hosts of the play (all batches), in order.
    pub all_hosts: Vec<Arc<str>>,
    /// Hosts of the current batch.
    pub batch: RwLock<Arc<Vec<Arc<str>>>>,
    /// Hosts of the batch that have not failed.
    pub alive: RwLock<Arc<Vec<Arc<str>>>>,
    /// Hosts of the whole play that have not failed.
    pub alive_play: RwLock<Arc<Vec<Arc<str>>>>,
    /// Roles in order of loading; the whole play sees vars and defaults of those that are public.
    pub exposed: RwLock<Vec<Arc<Role>>>,
    /// Lists of hosts as values, made once for all hosts that ask.
    pub lists: Lists,
}

/// Values of lists of hosts, by where the list lies; each is kept with its list, so that no other can take its place.
#[derive(Debug, Default)]
pub struct Lists(Mutex<Vec<(Arc<Vec<Arc<str>>>, Value)>>);

impl Lists {
    /// The lists that are in use at one time: those of the batch and of the play, and some that somebody still holds.
    const KEPT: usize = 4;

    pub(super) fn value(&self, list: &Arc<Vec<Arc<str>>>, make: impl FnOnce(&[Arc<str>]) -> Value) -> Value {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, v)) = known.iter().find(|(l, _)| Arc::ptr_eq(l, list)) {
            return v.clone();
        }
        if known.len() >= Lists::KEPT {
            known.remove(0);
        }
        let v = make(list);
        known.push((list.clone(), v.clone()));
        v
    }
}

/// The variables of a run, shared by all threads.
pub struct Store {
    pub inventory: RwLock<Inventory>,
    /// Counts changes of the inventory, so that cached layers are made anew.
    pub generation: std::sync::atomic::AtomicU64,
    hosts: RwLock<HashMap<Arc<str>, Arc<HostStore>>>,
    /// `-e`, strongest of all.
    pub extra: Arc<Map>,
    pub globals: Globals,
    pub secrets: Arc<Secrets>,
    /// Where group_vars and host_vars are looked for without a play: the (first) playbook's directory.
    pub base_dir: Utf8PathBuf,
    /// Directories of the inventory sources, where group_vars and host_vars stand.
    pub inventory_dirs: Vec<Utf8PathBuf>,
    /// The magic variable `groups`, for one state of the inventory.
    groups: Mutex<Option<(u64, Value)>>,
    vars_dirs: Mutex<HashMap<(Utf8PathBuf, &'static str, Arc<str>), Arc<Map>>>,
    decrypted: Mutex<HashMap<Arc<str>, Arc<str>>>,
    warnings: Mutex<Vec<Error>>,
    /// Layers whose names were looked at, so that a group's are looked at once.
    named: Mutex<HashSet<usize>>,
    /// Where facts are kept from run to run.
    pub cache: Option<Arc<FactCache>>,
    /// `hash_behaviour = merge`: dicts of one name from several layers are merged, the stronger winning.
    pub merge_hashes: bool,
}

impl Store {
    pub fn new(
        inventory: Inventory,
        inventory_dirs: Vec<Utf8PathBuf>,
        base_dir: Utf8PathBuf,
        extra: Map,
        globals: Globals,
        secrets: Arc<Secrets>,
    ) -> Store {
        Store {
            inventory: RwLock::new(inventory),
            generation: Default::default(),
            hosts: RwLock::default(),
            extra: Arc::new(extra),
            globals,
            secrets,
            base_dir,
            inventory_dirs,
            groups: Mutex::default(),
            vars_dirs: Mutex::default(),
            decrypted: Mutex::default(),
            warnings: Mutex::default(),
            named: Mutex::default(),
            cache: None,
            merge_hashes: false,
        }
    }
    pub fn with_cache(mut self, cache: Option<Arc<FactCache>>) -> Store {
        self.cache = cache;
        self
    }
    pub fn merging_hashes(mut self, merge: bool) -> Store {
        self.merge_hashes = merge;
        self
    }
    /// Warnings met while reading group_vars and host_vars, taken out.
    pub fn take_warnings(&self) -> Vec<Error> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(|e| e.into_inner()))
    }
    pub fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        read(&self.inventory)
    }
    /// Changes the inventory (`add_host`, `group_by`, `refresh_inventory`).
    pub fn change_inventory<T>(&self, f: impl FnOnce(&mut Inventory) -> T) -> T {
        let r = f(&mut write(&self.inventory));
        self.generation.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        r
    }
    /// The magic variable `groups`: made once for all hosts, and again when the inventory has changed.
    pub(super) fn groups(&self, make: impl FnOnce(&Inventory) -> Value) -> Value {
        let mut known = self.groups.lock().unwrap_or_else(|e| e.into_inner());
        let now = self.generation.load(Ordering::SeqCst);
        match &*known {
            Some((then, v)) if *then == now => v.clone(),
            _ => {
                let v = make(&self.inventory());
                *known = Some((now, v.clone()));
                v
            }
        }
    }
    /// The variables that `host` has gathered.
    pub fn host(&self, name: &Arc<str>) -> Arc<HostStore> {
        if let Some(h) = read(&self.hosts).get(name) {
            return h.clone();
        }
        let mut hosts = write(&self.hosts);
        let made = hosts.entry(name.clone()).or_insert_with(|| match &self.cache {
            Some(cache) => Arc::new(HostStore::cached(cache, name)),
            None => Arc::default(),
        });
        made.clone()
    }
    /// The text of a vaulted value; kept, since deriving a key is dear.
    pub fn decrypt(&self, v: &VaultText) -> Result<Arc<str>> {
        if let Some(s) = self.decrypted.lock().unwrap_or_else(|e| e.into_inner()).get(&v.envelope) {
            return Ok(s.clone());
        }
        let bytes = self.secrets.decrypt(&v.envelope).map_err(|e| e.at(v.origin))?;
        let s = String::from_utf8(bytes)
            .map_err(|_| Error::new(crate::diag::Kind::Vault, "the vaulted value is not valid UTF-8").at(v.origin))?;
        let s: Arc<str> = s.into();
        self.decrypted.lock().unwrap_or_else(|e| e.into_inner()).insert(v.envelope.clone(), s.clone());
        Ok(s)
    }

    fn vars_dir(&self, base: &Utf8Path, kind: &'static str, name: &Arc<str>) -> Result<Arc<Map>> {
        let key = (base.to_owned(), kind, name.clone());
        if let Some(m) = self.vars_dirs.lock().unwrap_or_else(|e| e.into_inner()).get(&key) {
            return Ok(m.clone());
        }
        let mut warnings = vec![];
        let m = Arc::new(load_vars_dir(base, kind, name, &self.secrets, &mut warnings)?);
        self.warnings.lock().unwrap_or_else(|e| e.into_inner()).extend(warnings);
        self.vars_dirs.lock().unwrap_or_else(|e| e.into_inner()).insert(key, m.clone());
        Ok(m)
    }

    /// The layers of a host from inventory, group_vars and host_vars, strongest first.
    pub fn layers(&self, host: &Arc<str>, playbook_dir: &Utf8Path) -> Result<Arc<Vec<Arc<Map>>>> {
        self.layers_of(&self.host(host), host, playbook_dir)
    }

    /// As [`Store::layers`], of a host whose own store is at hand.
    pub(super) fn layers_of(
        &self,
        store: &HostStore,
        host: &Arc<str>,
        playbook_dir: &Utf8Path,
    ) -> Result<Arc<Vec<Arc<Map>>>> {
        if let Some(e) = &*store.unread.lock().unwrap_or_else(|e| e.into_inner()) {
            return Err(e.clone());
        }
        let generation = self.generation.load(std::sync::atomic::Ordering::SeqCst);
        if let Some((g, d, l)) = &*read(&store.layers)
            && *g == generation
            && d == playbook_dir
        {
            return Ok(l.clone());
        }
        let made = Arc::new(self.make_layers(host, playbook_dir)?);
        *write(&store.layers) = Some((generation, playbook_dir.to_owned(), made.clone()));
        Ok(made)
    }

    /// Warns of names that keywords have, in layers that are met for the first time.
    fn look_at_names(&self, weak_first: &[Arc<Map>]) {
        let mut named = self.named.lock().unwrap_or_else(|e| e.into_inner());
        let mut found = vec![];
        for m in std::iter::once(&self.extra).chain(weak_first) {
            if named.insert(Arc::as_ptr(m) as usize) {
                found.extend(crate::playbook::reserved_among(m));
            }
        }
        self.warnings.lock().unwrap_or_else(|e| e.into_inner()).extend(found);
    }

    fn make_layers(&self, host: &Arc<str>, playbook_dir: &Utf8Path) -> Result<Vec<Arc<Map>>> {
        let inv = self.inventory();
        let all: Arc<str> = "all".into();
        let groups: Vec<(Arc<str>, Arc<Map>)> = inv
            .groups_of(host)
            .into_iter()
            .filter(|g| *g.name != *all)
            .map(|g| (g.name.clone(), g.vars.clone()))
            .collect();
        let mut weak_first: Vec<Arc<Map>> = vec![];
        weak_first.extend(inv.groups.get(&*all).map(|g| g.vars.clone()));
        weak_first.extend(groups.iter().map(|(_, v)| v.clone()));
        let play_dir = [playbook_dir.to_owned()];
        for name in [Some(&all), None] {
            let names: Vec<&Arc<str>> = match name {
                Some(a) => vec![a],
                None => groups.iter().map(|(n, _)| n).collect(),
            };
            for dirs in [&self.inventory_dirs[..], &play_dir[..]] {
                for n in &names {
                    for d in dirs {
                        weak_first.push(self.vars_dir(d, "group_vars", n)?);
                    }
                }
            }
        }
        weak_first.extend(inv.hosts.get(&**host).map(|h| h.vars.clone()));
        drop(inv);
        for d in self.inventory_dirs.iter().chain(&play_dir) {
            weak_first.push(self.vars_dir(d, "host_vars", host)?);
        }
        weak_first.retain(|m| !m.is_empty());
        self.look_at_names(&weak_first);
        weak_first.reverse();
        Ok(weak_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_cannot_steer_the_connection() {
        let h = HostStore::default();
        let mut facts = Map::new();
        for n in [
            "ansible_host",
            "ansible_become_password",
            "ansible_ssh_common_args",
            "ansible_python_interpreter",
            "ansible_connection",
        ] {
            facts.insert(n.into(), "evil".into());
        }
        facts.insert("ansible_distribution".into(), "Debian".into());
        facts.insert("ansible_ssh_host_key_rsa_public".into(), "AAAA".into());
        let dropped = h.add_facts(&facts);
        assert_eq!(dropped.len(), 5);
        let inner = read(&h.facts);
        assert_eq!(inner.get("distribution").and_then(Value::as_str), Some("Debian"));
        assert!(inner.contains_key("ssh_host_key_rsa_public") && !inner.contains_key("host"));
        assert!(!read(&h.injected).contains_key("ansible_host"));
    }

    #[test]
    fn facts_are_never_templates() {
        let h = HostStore::default();
        let mut facts = Map::new();
        facts.insert("ansible_x".into(), Value::trusted("{{ 1 }}", None));
        h.add_facts(&facts);
        assert!(read(&h.facts).get("x").is_some_and(|v| !v.needs_render()));
    }
}
