//! Calls of modules that are not built in.

use super::connection::HostRemote;
use super::event::Event;
use super::runner::Runner;
use crate::actions::Done;
use crate::actions::foreign::{How, is_automatic, settle};
use crate::diag::Result;
use crate::playbook::ModuleFile;
use crate::proto::Request;
use crate::template::{Scope, Var};
use crate::transport::{Connection, Payload};
use crate::value::{Map, Value};
use std::sync::Arc;

/// A module's call on one host.
pub struct ForeignCall<'a> {
    pub runner: &'a Arc<Runner>,
    pub file: &'a ModuleFile,
    /// Its name as the task has it.
    pub name: &'a str,
    pub remote: &'a HostRemote<'a>,
    /// Variables of the host that is connected to.
    pub scope: &'a Scope,
    pub host: &'a Arc<str>,
}

impl ForeignCall<'_> {
    fn var(&self, name: &str) -> Result<Option<Value>> {
        match self.scope.vars.get(name)? {
            Some(Var::Raw(v)) => self.runner.engine.render(&v, self.scope).map(Some),
            _ => Ok(None),
        }
    }

    /// Fills in what makes the request one for this module.
    pub fn fill(&self, q: &mut Request) -> Result<Payload> {
        let r = self.runner;
        let s = &r.options.foreign;
        let prepared = r.packer.prepare(self.file, &r.loader.options.library, s)?;
        let unknown = !r.store.inventory().hosts.contains_key(&**self.host);
        let own = match self.remote.params.connection {
            // the implicit localhost runs what the engine itself runs
            Connection::Local if unknown => self.var("ansible_playbook_python")?.map(|v| v.to_str()),
            _ => None,
        };
        let shell = self.var("ansible_shell_executable")?.map(|v| v.to_str());
        let how = How {
            name: self.name,
            check: q.check,
            diff: q.diff,
            no_log: self.remote.no_log,
            verbosity: r.options.verbosity,
            remote_tmp: &self.remote.params.remote_tmp,
            shell_executable: shell.as_deref().unwrap_or("/bin/sh"),
            var: &|name| self.var(name),
            own_python: own.as_deref(),
        };
        let (foreign, payload) = prepared.request(self.file, s, &how)?;
        q.module = self.file.short.clone();
        q.foreign = Some(Box::new(foreign));
        Ok(payload)
    }

    /// Makes the answer the task's result. A Python that was found on a host that the task was delegated to is
    /// a fact of that host.
    pub fn settle(&self, mut d: Done, delegated: bool) -> Done {
        let r = self.runner;
        let s = &r.options.foreign;
        let chosen = self.var("ansible_python_interpreter").ok().flatten().map(|v| v.to_str());
        let told = is_automatic(chosen.as_deref().unwrap_or(&s.interpreter)).unwrap_or(false);
        let found = d.data.get("_ansible_discovered_interpreter").cloned();
        let kept = settle(&mut d, self.host, told, s);
        if let (Some(path), true) = (found, delegated) {
            let mut facts = Map::new();
            facts.insert("discovered_interpreter_python".into(), path);
            r.store.host(self.host).add_facts(&facts);
            if let Some(Value::Map(all)) = d.data.get("ansible_facts") {
                let mut all = (**all).clone();
                all.shift_remove("discovered_interpreter_python");
                if all.is_empty() {
                    d.data.shift_remove("ansible_facts");
                } else {
                    d.data.insert("ansible_facts".into(), Value::map(all));
                }
            }
        }
        if let (Some(path), 3..) = (kept, r.options.verbosity) {
            let address = match self.remote.params.connection {
                Connection::Local => "127.0.0.1",
                _ => &self.remote.params.address,
            };
            r.emit(Event::Display(format!("<{address}> PUT {} TO {path}", self.file.path)));
        }
        d
    }
}
