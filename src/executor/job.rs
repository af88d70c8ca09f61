//! Tasks with `async`: the job is started, then (with `poll`) asked for until it ends.

use super::event::Event;
use super::task::Call;
use crate::actions::{self, Done, Remote};
use crate::diag::{Error, Result};
use crate::proto::{AsyncJob, Request};
use crate::value::{Map, Value};
use std::time::Instant;

impl Call<'_> {
    /// The directory of job files on the host.
    pub(super) fn job_dir(&self) -> Result<String> {
        let r = self.work.runner;
        Ok(match self.scope.vars.get("ansible_async_dir")? {
            Some(crate::template::Var::Raw(v)) => r.engine.render(&v, self.scope)?.to_str(),
            _ => r.options.defaults.async_dir.clone(),
        })
    }

    /// `async`: starts the job, then (with `poll`) asks for it until it ends.
    pub(super) fn asynchronous(&self, args: Map, limit: i64) -> actions::ActionResult {
        let (r, t) = (self.work.runner, self.work.task);
        // uri's action only sends a file of the controller along
        if t.module_file.is_none() && actions::find(&t.short).is_some_and(|a| a.name != "uri") {
            return Err(Error::general(format!("This action ({}) does not support async.", t.short)).into());
        }
        let poll = r.number(&t.poll, self.scope, "poll")?.unwrap_or_else(crate::settings::poll_interval);
        let jid = format!("j{}.{}", rand::random_range(100_000_000_000u64..1_000_000_000_000), std::process::id());
        let dir = self.job_dir()?;
        let mut q = self.request(args);
        q.async_job = Some(AsyncJob { jid: jid.clone(), limit: limit.max(0) as u64, dir: dir.clone() });
        let started = self.call(q)?;
        if poll <= 0 || started.data.get("failed").is_some_and(Value::truthy) {
            return Ok(started);
        }
        let began = Instant::now();
        let mut left = limit;
        loop {
            std::thread::sleep(crate::seconds::whole(poll));
            let mut status = Map::new();
            status.insert("jid".into(), jid.as_str().into());
            status.insert("mode".into(), "status".into());
            status.insert("_ansible_async_dir".into(), dir.as_str().into());
            let mut q = self.request(status);
            q.module = "async_status".into();
            let mut d = Done::of(self.setting.remote.call(q, None, None)?);
            if let Some(f) = self.foreign() {
                d = f.settle(d, false);
            }
            let finished = d.data.get("finished").is_some_and(Value::truthy);
            left = left.saturating_sub(poll);
            let ended = |failed: bool| {
                r.emit(Event::AsyncEnd { host: self.work.view.host.clone(), jid: jid.clone(), failed });
            };
            if finished {
                ended(d.data.get("failed").is_some_and(Value::truthy));
                let mut cleanup = Map::new();
                cleanup.insert("jid".into(), jid.as_str().into());
                cleanup.insert("mode".into(), "cleanup".into());
                cleanup.insert("_ansible_async_dir".into(), dir.as_str().into());
                // the job is over, in check mode too
                let mut q = Request { check: false, ..self.request(cleanup) };
                q.module = "async_status".into();
                let _ = self.setting.remote.call(q, None, None);
                return Ok(d);
            }
            r.emit(Event::AsyncPoll {
                task: self.work.info.clone(),
                host: self.work.view.host.clone(),
                jid: jid.clone(),
                started: true,
                left,
            });
            if began.elapsed().as_secs() as i64 >= limit {
                ended(true);
                return Ok(Done::failed(format!("async task did not complete within the requested time - {limit}s"))
                    .set("async_result", Value::map(d.data)));
            }
        }
    }
}
