//! `synchronize`: who runs rsync, and how it writes source and destination. rsync runs on the controller or on the host
//! of `delegate_to`; the task's host is the other side.

use super::{Action, ActionCtx, ActionError, ActionResult, Done, Remote};
use crate::template::{Scope, Var};
use crate::transport::{Connection, Method};
use crate::value::Value;

pub fn action() -> Action {
    Action { name: "synchronize", spec: None, raw: false, local: false, run }
}

const BOTH: &str = "synchronize requires both src and dest parameters are set";

fn run(ctx: &mut ActionCtx) -> ActionResult {
    // an empty path would mean the playbook's whole folder
    let path = |name| ctx.arg_str(name).filter(|p| !p.is_empty());
    let (Some(src), Some(dest)) = (path("src"), path("dest")) else {
        return Ok(Done::failed(BOTH).set("_ansible_error", format!("Action failed: {BOTH}")));
    };
    let side = Other::of(ctx)?;
    let mut args = ctx.args.clone();
    let mut set = |k: &str, v: Value| drop(args.insert(k.into(), v));
    let (near, far) = (own_path(ctx, if side.pull { &dest } else { &src }), if side.pull { &src } else { &dest });
    let far = if side.here { own_path(ctx, far) } else { side.path(far) };
    let (src, dest) = if side.pull { (far, near) } else { (near, far) };
    if let Some(program) = variable(ctx, &["ansible_rsync_path"])? {
        set("_local_rsync_path", program.into());
    }
    let given = |name: &str| ctx.args.get(name).is_some_and(|v| !v.is_null());
    let route = ctx.remote.route();
    if let Some(password) = side.password.clone().filter(|_| src.contains(':') || dest.contains(':')) {
        set("_local_rsync_password", password.into());
    }
    set("src", src.into());
    set("dest", dest.into());
    if let Some(port) = side.port.clone().filter(|_| !given("dest_port")) {
        set("dest_port", port.into());
    }
    if let Some(key) = route.params.private_key_file.clone().filter(|_| !given("private_key")) {
        set("private_key", key.into());
    }
    if ctx.arg_bool("use_ssh_args", false) {
        let p = route.params;
        let all = [&p.ssh_args, &p.ssh_common_args, &p.ssh_extra_args];
        let all: Vec<&str> = all.iter().map(|s| s.as_str()).filter(|s| !s.is_empty()).collect();
        set("_ssh_args", all.join(" ").into());
    }
    // what another user shall do is done on the other side
    let sudo = route.become_.filter(|b| !side.whole && b.method == Method::Sudo);
    if let Some(b) = sudo.filter(|_| !given("rsync_path")) {
        set("rsync_path", format!("sudo -u {} rsync", b.user).into());
    }
    let mut request = ctx.request("synchronize", args);
    request.hints.insert("named".into(), ctx.written.into());
    let runner: Box<dyn Remote + '_> = match (side.whole, side.delegated) {
        (true, _) => return Ok(Done::of(ctx.remote.call(request, None, None)?)),
        (false, true) => ctx.remote.without_become(),
        (false, false) => ctx.remote.controller(),
    };
    Ok(Done::of(runner.call(request, None, None)?))
}

/// The side that rsync does not run on.
struct Other {
    pull: bool,
    delegated: bool,
    /// Both sides are one machine, and the task's own connection leads to it.
    whole: bool,
    /// Both sides are one machine.
    here: bool,
    address: String,
    user: Option<String>,
    port: Option<String>,
    password: Option<String>,
}

impl Other {
    fn of(ctx: &ActionCtx) -> Result<Other, ActionError> {
        let route = ctx.remote.route();
        let p = route.params;
        let name = variable(ctx, &["inventory_hostname"])?.unwrap_or_else(|| ctx.host.to_string());
        let own_port = variable(ctx, &["ansible_port", "ansible_ssh_port"])?;
        let address = match ctx.delegated {
            // within the task these are the delegate's
            true => own_address(ctx, &name)?,
            false => variable(ctx, &["ansible_host", "ansible_ssh_host"])?,
        };
        let address = address.unwrap_or_else(|| name.clone());
        let away = ctx.delegated && p.connection != Connection::Local;
        let runs_at = if away { p.address.as_str() } else { "127.0.0.1" };
        let loopback = |a: &str| matches!(a, "localhost" | "127.0.0.1" | "::1");
        let whole = match ctx.delegated {
            true => **ctx.host == *name,
            false => p.connection == Connection::Local,
        };
        // a port of its own means another machine behind this address
        let here = whole || (loopback(&address) && loopback(runs_at) && own_port.is_none());
        let user = variable(ctx, &["ansible_user", "ansible_ssh_user"])?.or_else(|| p.user.clone());
        let password = variable(ctx, &["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?;
        Ok(Other {
            pull: ctx.arg_str("mode").as_deref() == Some("pull"),
            delegated: ctx.delegated,
            whole,
            here,
            address,
            user: user.filter(|_| ctx.arg_bool("set_remote_user", true)),
            port: own_port.or_else(|| p.port.map(|n| n.to_string())),
            password: password.or_else(|| Some(p.password.as_ref()?.reveal().to_owned())),
        })
    }

    /// A path of that side as rsync reads it.
    fn path(&self, path: &str) -> String {
        if path.starts_with("rsync://") {
            return path.to_owned();
        }
        let user = self.user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
        match path.split_once(':') {
            Some((host, _)) if host.contains('@') => path.to_owned(),
            Some(_) => format!("{user}{path}"),
            None if self.address.contains(':') => format!("[{user}{}]:{path}", self.address),
            None => format!("{user}{}:{path}", self.address),
        }
    }
}

/// A path of the side that runs rsync: a relative one is looked for as files of a role or playbook are.
fn own_path(ctx: &ActionCtx, path: &str) -> String {
    if path.contains(':') || path.starts_with('/') {
        return path.to_owned();
    }
    let files = &ctx.scope.files;
    let found = ctx.find_file("files", path).unwrap_or_else(|_| match path.starts_with('~') {
        true => crate::modules::expand_path(path).into(),
        false => files.playbook_dir.join(path),
    });
    let found = if found.is_absolute() { found } else { files.playbook_dir.join(found) };
    let tail = if path.ends_with('/') { "/" } else { "" };
    format!("{}{tail}", found.as_str().trim_end_matches('/'))
}

/// The first of these variables of the task's host that is set.
/// Where the variables of this host say that it is.
fn own_address(ctx: &ActionCtx, name: &str) -> Result<Option<String>, ActionError> {
    let Some(Var::Scope(all)) = ctx.scope.vars.get("hostvars")? else { return Ok(None) };
    let Some(Var::Scope(vars)) = all.get(name)? else { return Ok(None) };
    let scope = Scope::new(vars.clone(), ctx.scope.files.clone());
    for key in ["ansible_host", "ansible_ssh_host"] {
        if let Some(Var::Raw(v)) = vars.get(key)? {
            return Ok(Some(ctx.engine.render(&v, &scope)?.to_str()));
        }
    }
    Ok(None)
}

fn variable(ctx: &ActionCtx, names: &[&str]) -> Result<Option<String>, ActionError> {
    for name in names {
        if let Some(Var::Raw(v)) = ctx.scope.vars.get(name)? {
            let v = ctx.engine.render(&v, ctx.scope)?;
            if !v.is_null() && !crate::template::is_omit(&v) {
                return Ok(Some(v.to_str()));
            }
        }
    }
    Ok(None)
}
