//! Hosts and groups that tasks add: `add_host`, `group_by`, and keeping them when sources are read again.

use super::{Inventory, Runtime};
use crate::diag::{Error, Kind, Result};
use crate::value::Map;
use std::sync::Arc;

/// A group has a name.
fn named<S: AsRef<str>>(groups: impl IntoIterator<Item = S>) -> Result<()> {
    match groups.into_iter().any(|g| g.as_ref().is_empty()) {
        true => Err(Error::general("Invalid empty/false group name provided: ")
            .help("A group of `add_host` or `group_by` has an empty name; look at the expression that gives it.")),
        false => Ok(()),
    }
}

impl Inventory {
    /// `add_host`: the host is made if needed, its variables replaced by name, and put into the groups
    /// (made if needed). Answers true if hosts or groups changed.
    pub fn add_runtime_host(&mut self, name: &str, groups: &[String], vars: &Map) -> Result<bool> {
        let changed = self.apply_host(name, groups, vars)?;
        self.runtime.push(Runtime::Host { name: name.into(), groups: groups.to_vec(), vars: vars.clone() });
        Ok(changed)
    }

    fn apply_host(&mut self, name: &str, groups: &[String], vars: &Map) -> Result<bool> {
        named(groups)?;
        let mut changed = self.add_host(name, None, None);
        if let Some(h) = self.hosts.get_mut(name) {
            for (k, v) in vars {
                changed |= h.vars.get(k) != Some(v);
                Arc::make_mut(&mut h.vars).insert(k.clone(), v.clone());
            }
        }
        for g in groups {
            changed |= self.add_group(g);
            changed |= self.put_host(name, g);
        }
        self.reconcile();
        Ok(changed)
    }

    /// `group_by`: puts the host into the group and the group under its parents, all made if needed.
    /// Answers true if something changed. Errors: a group that would be its own ancestor.
    pub fn add_runtime_group(&mut self, host: &str, group: &str, parents: &[String]) -> Result<bool> {
        let changed = self.apply_group(host, group, parents)?;
        self.runtime.push(Runtime::Group { host: host.into(), group: group.into(), parents: parents.to_vec() });
        Ok(changed)
    }

    fn apply_group(&mut self, host: &str, group: &str, parents: &[String]) -> Result<bool> {
        named(std::iter::once(group).chain(parents.iter().map(String::as_str)))?;
        let mut changed = self.add_group(group);
        for p in parents {
            changed |= self.add_group(p);
            if p != group {
                changed |= self.add_child(p, group).map_err(|e| e.with_kind(Kind::General))?;
            }
        }
        changed |= self.put_host(host, group);
        self.reconcile();
        Ok(changed)
    }

    /// Takes the place of this inventory with one read anew, and does again what tasks had added.
    pub fn replace_keeping_runtime(&mut self, fresh: Inventory) {
        let runtime = std::mem::take(&mut self.runtime);
        *self = fresh;
        for r in &runtime {
            // What failed the first time fails again, without harm.
            let _ = match r {
                Runtime::Host { name, groups, vars } => self.apply_host(name, groups, vars),
                Runtime::Group { host, group, parents } => self.apply_group(host, group, parents),
            };
        }
        self.runtime = runtime;
    }
}
