//! How a host is reached and which user the task acts as: variables, then keywords, then defaults.

use super::runner::Runner;
use crate::actions::{Remote, Route};
use crate::diag::{Error, Result};
use crate::playbook::Task;
use crate::proto::{Request, Response};
use crate::template::{Scope, Var};
use crate::transport::{Become, CallError, ConnParams, Connection, Method, Payload, RawOutput, Secret};
use crate::value::Value;
use serde_json::Value as Json;
use std::io::Write;
use std::sync::Arc;

/// A connection variable that must be a whole number.
fn count<T: std::str::FromStr>(name: &str, text: &str, host: &str) -> Result<T> {
    text.trim().parse().map_err(|_| Error::general(format!("'{text}' is no number for {name} of host {host}")))
}

/// Values of connection variables for one host and task.
struct Lookup<'a> {
    runner: &'a Runner,
    scope: &'a Scope,
}

impl Lookup<'_> {
    /// The last of these variables that is set: they stand in the order in which ansible-core documents them,
    /// from `ansible_host` to `ansible_ssh_host`.
    fn var(&self, names: &[&str]) -> Result<Option<Value>> {
        for n in names.iter().rev() {
            if let Some(Var::Raw(v)) = self.scope.vars.get(n)? {
                let v = self.runner.engine.render(&v, self.scope)?;
                if !v.is_null() && !crate::template::is_omit(&v) {
                    return Ok(Some(v));
                }
            }
        }
        Ok(None)
    }
    fn text(&self, names: &[&str]) -> Result<Option<String>> {
        Ok(self.var(names)?.map(|v| v.to_str()))
    }
}

/// The connection parameters of `host`; `scope` holds the variables of the host that is connected to.
pub fn params(r: &Runner, host: &Arc<str>, task: &Task, scope: &Scope, delegated: bool) -> Result<ConnParams> {
    let l = Lookup { runner: r, scope };
    let d = &r.options.defaults;
    let kw = |v: &Option<Value>| r.text(v, scope);
    let is_local_name = matches!(&**host, "localhost" | "127.0.0.1" | "::1");
    let known = r.store.inventory().hosts.contains_key(&**host);
    // the implicit localhost is always local; a delegate keeps its own connection, not the task's
    let keyword = if delegated { None } else { kw(&task.kw.connection)? };
    let connection = match l.text(&["ansible_connection"])? {
        Some(c) => c,
        None if is_local_name && !known => "local".into(),
        None => keyword.unwrap_or_else(|| d.connection.clone()),
    };
    let on_controller = crate::actions::find(&task.short).is_some_and(|a| a.local);
    let connection = match connection.parse() {
        Ok(c) => c,
        // ansible-core has these, and what runs on the controller asks nothing of them
        Err(_) if on_controller && matches!(connection.rsplit('.').next(), Some("winrm" | "psrp")) => Connection::Local,
        Err(e) => return Err(Error::general(e).help("Use ssh or local.")),
    };
    let mut p = ConnParams::new(host, connection);
    if connection == Connection::Local {
        p.remote_tmp = l.text(&["ansible_remote_tmp"])?.unwrap_or_else(|| d.remote_tmp.clone());
        return Ok(p);
    }
    p.address = l.text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| host.to_string());
    let port = match l.text(&["ansible_port", "ansible_ssh_port"])? {
        Some(t) => Some(t),
        None => kw(&task.kw.port)?,
    };
    p.port = match port {
        Some(t) => Some(t.trim().parse().map_err(|_| Error::general(format!("'{t}' is not a port for host {host}")))?),
        None => d.remote_port,
    };
    p.user = match l.text(&["ansible_user", "ansible_ssh_user"])? {
        Some(u) => Some(u),
        None => kw(&task.kw.remote_user)?.or_else(|| d.remote_user.clone()),
    };
    p.private_key_file =
        l.text(&["ansible_private_key_file", "ansible_ssh_private_key_file"])?.or_else(|| d.private_key_file.clone());
    p.password = l
        .text(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?
        .map(Secret::new)
        .or_else(|| d.password.clone());
    p.ssh_executable = l.text(&["ansible_ssh_executable"])?.unwrap_or_else(|| d.ssh_executable.clone());
    p.ssh_args = l.text(&["ansible_ssh_args"])?.unwrap_or_else(|| d.ssh_args.clone());
    p.ssh_common_args = l.text(&["ansible_ssh_common_args"])?.unwrap_or_else(|| d.ssh_common_args.clone());
    p.ssh_extra_args = l.text(&["ansible_ssh_extra_args"])?.unwrap_or_else(|| d.ssh_extra_args.clone());
    if let Some(t) = l.text(&["ansible_timeout", "ansible_ssh_timeout"])? {
        p.timeout = count("ansible_timeout", &t, host)?;
    } else {
        p.timeout = d.timeout;
    }
    p.host_key_checking = match l.var(&["ansible_host_key_checking", "ansible_ssh_host_key_checking"])? {
        Some(v) => v.to_bool_loose().unwrap_or(true),
        None => d.host_key_checking,
    };
    p.control_path_dir = l.text(&["ansible_control_path_dir"])?.unwrap_or_else(|| d.control_path_dir.clone());
    p.remote_tmp = l.text(&["ansible_remote_tmp"])?.unwrap_or_else(|| d.remote_tmp.clone());
    if let Some(t) = l.text(&["ansible_ssh_retries"])? {
        p.retries = count("ansible_ssh_retries", &t, host)?;
    } else {
        p.retries = d.ssh_retries;
    }
    Ok(p)
}

/// The Python that the host's variables name, if they name one: what `pip` installs for.
/// A name that cannot be told counts as none, for no other task needs it.
pub fn python(r: &Runner, scope: &Scope) -> Option<String> {
    let named = Lookup { runner: r, scope }.text(&["ansible_python_interpreter"]).ok().flatten();
    named.filter(|p| !p.is_empty() && !p.starts_with("auto"))
}

/// The user to become, if any: not the one who logs in, unless the configuration allows it.
pub fn escalation(r: &Runner, task: &Task, scope: &Scope, params: &ConnParams) -> Result<Option<Become>> {
    let l = Lookup { runner: r, scope };
    let d = &r.options.defaults;
    let wanted = match l.var(&["ansible_become"])? {
        Some(v) => v
            .to_bool_loose()
            .ok_or_else(|| Error::general(format!("ansible_become: '{}' is not a boolean", v.to_str())))?,
        None => r.flag(&task.kw.become_, scope, d.become_, "become")?,
    };
    if !wanted {
        return Ok(None);
    }
    let method = match l.text(&["ansible_become_method"])? {
        Some(m) => m,
        None => r.text(&task.kw.become_method, scope)?.unwrap_or_else(|| d.become_method.clone()),
    };
    let method: Method = method.parse().map_err(|e: String| Error::general(e).help("Use sudo, su or doas."))?;
    let name = method.name();
    let var = |what: &str| l.text(&[&format!("ansible_become_{what}"), &format!("ansible_{name}_{what}")]);
    let user = match var("user")? {
        Some(u) => u,
        None => r.text(&task.kw.become_user, scope)?.unwrap_or_else(|| d.become_user.clone()),
    };
    if !d.become_allow_same_user && login(params).is_some_and(|me| me == user) {
        return Ok(None);
    }
    let mut b = Become::new(method, &user);
    let secret = [
        "ansible_become_password".to_string(),
        format!("ansible_{name}_password"),
        "ansible_become_pass".to_string(),
        format!("ansible_{name}_pass"),
    ];
    b.password = match l.text(&secret.each_ref().map(String::as_str))? {
        Some(p) => Some(Secret::new(p)),
        None => d.become_password.clone(),
    };
    b.flags = match var("flags")? {
        Some(f) => Some(f),
        None => r.text(&task.kw.become_flags, scope)?.or_else(|| d.become_flags.clone()),
    };
    b.exe = match var("exe")? {
        Some(e) => Some(e),
        None => r.text(&task.kw.become_exe, scope)?.or_else(|| d.become_exe.clone()),
    };
    Ok(Some(b))
}

/// Who works on the host without `become`, as far as that is known here.
fn login(params: &ConnParams) -> Option<String> {
    static ME: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| {
        use crate::modules::{Ctx, support::accounts};
        accounts::user_by_id(&Ctx::bare(), nix::unistd::geteuid().as_raw()).map(|u| u.name)
    });
    match params.connection {
        Connection::Local => ME.clone(),
        Connection::Ssh => params.user.clone(),
    }
}

/// The task's environment: all levels, the inner ones stronger.
pub fn environment(r: &Runner, task: &Task, scope: &Scope) -> Result<serde_json::Map<String, Json>> {
    let mut out = serde_json::Map::new();
    for layer in &task.environment {
        let v = r.engine.render(layer, scope).map_err(|e| e.during("Error processing keyword 'environment'", None))?;
        let maps: Vec<Value> = match v {
            Value::List(l) => l.to_vec(),
            other => vec![other],
        };
        for m in maps {
            match m {
                Value::Map(m) => {
                    for (k, v) in m.iter() {
                        out.insert(k.to_text().to_string(), v.to_str().into());
                    }
                }
                Value::Null => {}
                other if crate::template::is_omit(&other) => {}
                other => r.warn(format!(
                    "could not parse environment value, skipping: {}",
                    Value::list(vec![other]).to_str()
                )),
            }
        }
    }
    Ok(out)
}

/// A host as actions reach it, with everything of the task that goes along with each call.
pub struct HostRemote<'a> {
    pub runner: &'a Runner,
    pub params: ConnParams,
    pub become_: Option<Become>,
    pub env: serde_json::Map<String, Json>,
    pub no_log: bool,
    pub hints: serde_json::Map<String, Json>,
    /// The task at work, by which answers that came ahead are found.
    pub task: usize,
    /// Set while planning: requests are noted, not sent.
    pub plan: Option<&'a super::ahead::Note>,
}

impl<'a> HostRemote<'a> {
    /// The same task's requests on another way.
    fn with(&self, params: ConnParams, become_: Option<Become>) -> HostRemote<'a> {
        HostRemote {
            runner: self.runner,
            params,
            become_,
            env: self.env.clone(),
            no_log: self.no_log,
            hints: self.hints.clone(),
            task: self.task,
            plan: self.plan,
        }
    }
    /// Passes on what the connections have to say to the user.
    fn told(&self) {
        if let Some(text) = self.runner.pool.take_notice() {
            self.runner.warn(text);
        }
    }
    /// What of the task goes along with each request.
    fn fill_in(&self, q: &mut Request) {
        for (k, v) in &self.env {
            q.env.entry(k.clone()).or_insert_with(|| v.clone());
        }
        for (k, v) in &self.hints {
            q.hints.entry(k.clone()).or_insert_with(|| v.clone());
        }
        q.no_log |= self.no_log;
        self.runner.verbose(3, || {
            let who = self.become_.as_ref().map(|b| format!(" as {}", b.user)).unwrap_or_default();
            format!("<{}> EXEC {} by the agent{who}", self.params.host, q.module)
        });
    }
}

impl Remote for HostRemote<'_> {
    fn call(
        &self,
        mut q: Request,
        payload: Option<Payload>,
        sink: Option<&mut (dyn Write + Send)>,
    ) -> std::result::Result<Response, CallError> {
        self.fill_in(&mut q);
        if let Some(note) = self.plan {
            return Err(note.take(q, payload));
        }
        if sink.is_none()
            && let Some(answer) = super::ahead::answer(self.runner, &self.params.host, self.task, &q, payload.as_ref())
        {
            return answer;
        }
        let answer = self.runner.pool.call(&self.params, self.become_.as_ref(), q, payload, sink);
        self.told();
        answer
    }
    fn call_chain(
        &self,
        mut requests: Vec<(Request, Option<Payload>)>,
    ) -> std::result::Result<Vec<Response>, CallError> {
        if let Some(note) = self.plan {
            return Err(note.refuse());
        }
        requests.iter_mut().for_each(|(q, _)| self.fill_in(q));
        let answers = self.runner.pool.call_chain(&self.params, self.become_.as_ref(), requests);
        self.told();
        answers
    }
    fn raw(&self, command: &str, stdin: Option<&[u8]>) -> std::result::Result<RawOutput, CallError> {
        if let Some(note) = self.plan {
            return Err(note.refuse());
        }
        self.runner.verbose(3, || {
            let what = if self.no_log { "(hidden by no_log)" } else { command };
            format!("<{}> EXEC {what}", self.params.host)
        });
        self.runner.pool.raw(&self.params, self.become_.as_ref(), command, stdin)
    }
    fn reset(&self) {
        self.runner.pool.reset(&self.params);
    }
    fn within(&self, seconds: u64) -> Box<dyn Remote + '_> {
        Box::new(self.with(ConnParams { timeout: seconds, ..self.params.clone() }, self.become_.clone()))
    }
    fn route(&self) -> Route<'_> {
        Route { params: &self.params, become_: self.become_.as_ref() }
    }
    fn without_become(&self) -> Box<dyn Remote + '_> {
        Box::new(self.with(self.params.clone(), None))
    }
    fn controller(&self) -> Box<dyn Remote + '_> {
        let remote_tmp = self.runner.options.defaults.remote_tmp.clone();
        Box::new(self.with(ConnParams { remote_tmp, ..ConnParams::new("localhost", Connection::Local) }, None))
    }
    fn is_local(&self) -> bool {
        self.params.connection == Connection::Local
    }
    fn address(&self) -> String {
        self.params.address.clone()
    }
}
