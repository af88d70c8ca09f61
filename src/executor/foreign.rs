//! Calls of modules, built in or not.

use super::connection::HostRemote;
use super::event::Event;
use super::runner::Runner;
use super::task::Call;
use crate::actions::foreign::{How, is_automatic, settle};
use crate::actions::{self, Done, Remote};
use crate::diag::Result;
use crate::modules;
use crate::playbook::ModuleFile;
use crate::proto::Request;
use crate::template::{Scope, Var};
use crate::transport::{Connection, Payload};
use crate::value::{Map, Value};
use std::sync::Arc;

impl Call<'_> {
    /// The module of the task if it is not built in, ready to be called.
    pub(super) fn foreign(&self) -> Option<ForeignCall<'_>> {
        let file = self.work.task.module_file.as_deref()?;
        Some(ForeignCall {
            runner: self.work.runner,
            file,
            name: &self.work.task.action,
            remote: &self.setting.remote,
            scope: &self.setting.remote_scope,
            host: &self.setting.host,
        })
    }

    pub(super) fn request(&self, args: Map) -> Request {
        let args = match Value::map(args).to_json() {
            serde_json::Value::Object(o) => o,
            _ => Default::default(),
        };
        let module = modules::find(&self.work.task.action).map_or(self.work.task.short.as_str(), |m| m.name);
        let mut hints = serde_json::Map::new();
        hints.insert("named".into(), modules::shown_name(&self.work.task.action).into());
        Request {
            module: module.into(),
            args,
            hints,
            check: self.setting.check,
            diff: self.setting.diff,
            timeout: self.setting.timeout,
            ..Request::default()
        }
    }

    /// Sends the request for the task's module, wherever that comes from.
    pub(super) fn call(&self, mut q: Request) -> actions::ActionResult {
        let Some(f) = self.foreign() else { return Ok(Done::of(self.setting.remote.call(q, None, None)?)) };
        let payload = match f.fill(&mut q) {
            Ok(p) => p,
            Err(e) => {
                return Ok(Done { error: Some(e.clone()), ..Done::failed(format!("Task failed: {}", e.message())) });
            }
        };
        Ok(f.settle(
            Done::of(self.setting.remote.call(q, Some(payload), None)?),
            self.setting.host != self.work.view.host,
        ))
    }

    pub(super) fn module(&self, mut args: Map) -> actions::ActionResult {
        if self.work.task.short == "async_status" && self.work.task.module_file.is_none() {
            args.insert("_ansible_async_dir".into(), self.job_dir()?.into());
        }
        self.call(self.request(args))
    }
}

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
