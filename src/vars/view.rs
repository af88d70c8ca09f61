//! The variables of one host, as one task (or another host's template) sees them.

use super::magic;
use super::store::{HostStore, PlayVars, Store, read};
use crate::diag::Result;
use crate::playbook::{Role, Task};
use crate::template::{Var, Vars};
use crate::value::{Key, Map, Value, VaultText, merged};
use camino::Utf8Path;
use std::collections::HashSet;
use std::sync::Arc;

/// All layers of one host; looking a name up walks from the strongest to the weakest.
#[derive(Clone)]
pub struct View {
    pub store: Arc<Store>,
    pub host: Arc<str>,
    pub own: Arc<HostStore>,
    pub play: Option<Arc<PlayVars>>,
    pub task: Option<Arc<Task>>,
    /// Loop variables and their like: stronger than everything; strongest last.
    pub locals: Vec<Arc<Map>>,
    /// The host that the task is delegated to.
    pub delegated: Option<Arc<str>>,
}

impl View {
    pub fn new(store: &Arc<Store>, host: &Arc<str>) -> View {
        View {
            store: store.clone(),
            host: host.clone(),
            own: store.host(host),
            play: None,
            task: None,
            locals: vec![],
            delegated: None,
        }
    }
    pub fn in_play(mut self, play: &Arc<PlayVars>) -> View {
        self.play = Some(play.clone());
        self
    }
    pub fn for_task(mut self, task: &Arc<Task>) -> View {
        self.task = Some(task.clone());
        self
    }
    pub fn with_locals(mut self, m: Map) -> View {
        self.locals.push(Arc::new(m));
        self
    }

    fn playbook_dir(&self) -> &Utf8Path {
        self.play.as_ref().map(|p| p.play.playbook_dir.as_path()).unwrap_or(&self.store.base_dir)
    }

    /// Shows every layer below the magic variables, strongest first, until one is enough: then the answer is true. A
    /// lookup is this walk, so nothing is collected for it.
    fn visit(&self, see: &mut dyn FnMut(&Arc<Map>) -> bool) -> Result<bool> {
        let mut see = |m: &Arc<Map>| !m.is_empty() && see(m);
        let role = self.task.as_ref().and_then(|t| t.role.as_ref());
        if see(&self.store.extra) {
            return Ok(true);
        }
        if let Some(t) = &self.task
            && (t.include_vars.iter().rev().any(&mut see)
                || role.is_some_and(|r| r.chain().iter().any(|r| see(&r.params))))
        {
            return Ok(true);
        }
        if see(&read(&self.own.set_facts)) || see(&read(&self.own.registered)) {
            return Ok(true);
        }
        if let Some(t) = &self.task
            && (see(&t.vars) || t.block_vars.iter().rev().any(&mut see))
        {
            return Ok(true);
        }
        if let Some(r) = role
            && (r.chain().iter().any(|r| see(&r.use_vars)) || role_vars(r, &mut see))
        {
            return Ok(true);
        }
        if let Some(p) = &self.play {
            let shown = read(&p.exposed)
                .iter()
                .rev()
                .filter(|r| r.public)
                .any(|r| see(&r.vars) || of_dependencies(r, &mut see, |d| &d.vars));
            if shown
                || read(&self.own.vars_files).iter().rev().any(&mut see)
                || see(&p.prompts)
                || see(&p.vars)
                || see(&p.import_vars)
            {
                return Ok(true);
            }
        }
        if see(&read(&self.own.injected)) {
            return Ok(true);
        }
        if self.store.layers_of(&self.own, &self.host, self.playbook_dir())?.iter().any(&mut see) {
            return Ok(true);
        }
        if let Some(r) = role
            && (r.chain().iter().any(|r| see(&r.defaults)) || of_dependencies(r, &mut see, |d| &d.defaults))
        {
            return Ok(true);
        }
        Ok(self.play.as_ref().is_some_and(|p| {
            let exposed = read(&p.exposed);
            let mut public = exposed.iter().rev().filter(|r| r.public);
            public.any(|r| see(&r.defaults) || of_dependencies(r, &mut see, |d| &d.defaults))
        }))
    }

    /// The raw value of a name, magic variables excepted.
    pub fn raw(&self, name: &str) -> Result<Option<Value>> {
        for m in self.locals.iter().rev() {
            if let Some(v) = m.get(name) {
                return Ok(Some(v.clone()));
            }
        }
        self.in_layers(name)
    }

    /// The value of a name in the layers.
    fn in_layers(&self, name: &str) -> Result<Option<Value>> {
        let merge = self.store.merge_hashes;
        let mut found: Vec<Value> = vec![];
        self.visit(&mut |m| {
            let Some(v) = m.get(name) else { return false };
            let dict = v.as_map().is_some();
            // a weaker value that is no dict hides those below it
            if found.is_empty() || dict {
                found.push(v.clone());
            }
            !merge || !dict
        })?;
        Ok(found.into_iter().rev().reduce(merged))
    }
}

/// The variables of a role, of its dependencies and of the roles above it; true once one of them was enough.
fn role_vars(role: &Arc<Role>, see: &mut dyn FnMut(&Arc<Map>) -> bool) -> bool {
    see(&role.vars) || of_dependencies(role, see, |d| &d.vars) || role.chain().iter().skip(1).any(|r| see(&r.vars))
}

/// Layers of a role's dependencies, the last one strongest.
fn of_dependencies(role: &Role, see: &mut dyn FnMut(&Arc<Map>) -> bool, get: fn(&Role) -> &Arc<Map>) -> bool {
    role.dependencies.iter().rev().any(|d| see(get(d)) || of_dependencies(d, see, get))
}

impl Vars for View {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        for m in self.locals.iter().rev() {
            if let Some(v) = m.get(name) {
                return Ok(Some(Var::Raw(v.clone())));
            }
        }
        if let Some(v) = magic::get(self, name) {
            return Ok(Some(v));
        }
        if name == "ansible_facts" {
            return Ok(Some(Var::Raw(Value::Map(read(&self.own.facts).clone()))));
        }
        if name == "environment" {
            return Ok(Some(Var::Raw(Value::list(
                self.task.as_ref().map(|t| t.environment.clone()).unwrap_or_default(),
            ))));
        }
        let found = self.in_layers(name)?;
        Ok(found.or_else(|| magic::connection_default(self, name)).map(Var::Raw))
    }

    fn names(&self) -> Vec<Arc<str>> {
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        let mut all: Vec<Arc<str>> = vec![];
        let mut add = |k: Arc<str>| {
            if seen.insert(k.clone()) {
                all.push(k);
            }
        };
        let mut all_of = |m: &Arc<Map>| {
            for k in m.keys() {
                if let Key::Str(s) = k {
                    add(s.clone());
                }
            }
            false
        };
        for m in &self.locals {
            all_of(m);
        }
        // layers that cannot be read are told where one of their names is asked for
        let _ = self.visit(&mut all_of);
        for k in self.store.globals.all.keys() {
            add(k.to_text());
        }
        let lists = [magic::HOST_NAMES, magic::PLAY_NAMES, magic::ROLE_NAMES, &["ansible_facts"]];
        for n in lists.into_iter().flatten() {
            if !matches!(*n, "vars" | "hostvars") && magic::get(self, n).is_some() || *n == "ansible_facts" {
                add((*n).into());
            }
        }
        all
    }

    fn decrypt(&self, vault: &VaultText) -> Result<Arc<str>> {
        self.store.decrypt(vault)
    }
}

/// `hostvars`: every host's variables without play and task.
pub struct HostVars {
    store: Arc<Store>,
}

impl HostVars {
    pub fn of(view: &View) -> HostVars {
        HostVars { store: view.store.clone() }
    }
}

/// `ansible_delegated_vars`: the variables of the host that a task is delegated to, as the task sees them.
pub struct DelegatedVars(pub(super) View);

impl DelegatedVars {
    /// Those of a delegated task's view.
    pub fn of(view: &View) -> Option<DelegatedVars> {
        let host = view.delegated.as_ref()?;
        let mut own = View { host: host.clone(), own: view.store.host(host), ..view.clone() };
        own.delegated = None;
        Some(DelegatedVars(own))
    }
}

impl Vars for DelegatedVars {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        Ok((name == &*self.0.host).then(|| Var::Scope(Arc::new(self.0.clone()) as Arc<dyn Vars>)))
    }
    fn names(&self) -> Vec<Arc<str>> {
        vec![self.0.host.clone()]
    }
    fn decrypt(&self, vault: &VaultText) -> Result<Arc<str>> {
        self.0.store.decrypt(vault)
    }
}

impl Vars for HostVars {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        let known = {
            let inv = self.store.inventory();
            inv.hosts.get_key_value(name).map(|(k, _)| k.clone())
        };
        let host = match known {
            Some(h) => h,
            None if matches!(name, "localhost" | "127.0.0.1" | "::1") => name.into(),
            None => return Ok(None),
        };
        Ok(Some(Var::Scope(Arc::new(View::new(&self.store, &host)))))
    }
    fn missing(&self, name: &str) -> Option<String> {
        Some(format!("hostvars['{name}']"))
    }
    fn names(&self) -> Vec<Arc<str>> {
        self.store.inventory().hosts.keys().cloned().collect()
    }
    fn decrypt(&self, vault: &VaultText) -> Result<Arc<str>> {
        self.store.decrypt(vault)
    }
}
