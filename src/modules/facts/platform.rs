//! Kernel, machine, host names, machine id, and the Python that is there, if one is.

use super::{Env, Facts, obj, read};
use crate::modules::support::exec::{Cmd, find_program};
use nix::sys::utsname::uname;
use serde_json::{Value as Json, json};
use std::sync::Mutex;
use std::time::Duration;

pub fn platform(env: &mut Env) -> Facts {
    let mut f = Facts::new();
    let Ok(u) = uname() else { return f };
    let text = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
    let (node, machine) = (text(u.nodename()), text(u.machine()));
    let full = fqdn(env, &node);
    f.extend(obj([
        ("system", text(u.sysname()).into()),
        ("kernel", text(u.release()).into()),
        ("kernel_version", text(u.version()).into()),
        ("machine", machine.as_str().into()),
        ("hostname", node.split('.').next().unwrap_or("").into()),
        ("nodename", node.as_str().into()),
        ("domain", full.split_once('.').map(|(_, d)| d).unwrap_or("").into()),
        ("fqdn", full.into()),
        ("userspace_bits", if cfg!(target_pointer_width = "64") { "64" } else { "32" }.into()),
    ]));
    let arch = match machine.as_str() {
        "i386" | "i486" | "i586" | "i686" => "i386".to_string(),
        m => m.to_string(),
    };
    f.insert("architecture".into(), arch.as_str().into());
    f.insert("userspace_architecture".into(), arch.into());
    if let Some(id) = read("/etc/machine-id").filter(|s| !s.is_empty()).or_else(|| read("/var/lib/dbus/machine-id")) {
        f.insert("machine_id".into(), id.lines().next().unwrap_or("").into());
    }
    if let Some(v) = python_info(env).get("version_info").and_then(Json::as_array) {
        let n: Vec<String> = v.iter().take(3).map(Json::to_string).collect();
        f.insert("python_version".into(), n.join(".").into());
    }
    f
}

/// The full name as the resolver tells it: the name's address, then the address's names, the first
/// with a dot; otherwise the first of them.
fn fqdn(env: &Env, node: &str) -> String {
    let hosts = read("/etc/hosts").unwrap_or_default();
    let lines: Vec<Vec<&str>> = hosts
        .lines()
        .map(|l| l.split('#').next().unwrap_or("").split_whitespace().collect::<Vec<_>>())
        .filter(|w| w.len() > 1)
        .collect();
    let by_name = lines
        .iter()
        .filter(|w| w.iter().skip(1).any(|n| n.eq_ignore_ascii_case(node)))
        .min_by_key(|w| w.first().is_some_and(|a| a.contains(':')))
        .and_then(|w| w.first().map(|a| a.to_string()));
    let getent = |key: &str| -> Option<Vec<String>> {
        let o = Cmd::new(["getent", "hosts", key]).limit(Duration::from_secs(5)).run(&env.ctx).ok()?;
        let out = o.out();
        let words: Vec<String> = out.lines().next()?.split_whitespace().map(str::to_string).collect();
        (words.len() > 1).then_some(words)
    };
    let found = by_name.is_some();
    let forward = if found { None } else { getent(node) };
    let Some(address) = by_name.or_else(|| forward.as_ref().and_then(|w| w.first().cloned())) else {
        return node.to_string();
    };
    let names: Vec<String> = match lines.iter().find(|w| w.first() == Some(&address.as_str())) {
        Some(w) => w.iter().skip(1).map(|s| s.to_string()).collect(),
        None => getent(&address).or(forward).map(|w| w.into_iter().skip(1).collect()).unwrap_or_default(),
    };
    names.iter().find(|n| n.contains('.')).or(names.first()).cloned().unwrap_or_else(|| node.to_string())
}

const ASK: &str = "import sys,json;v=sys.version_info;\
print(json.dumps({'executable':sys.executable,'type':getattr(getattr(sys,'implementation',None),'name','cpython'),\
'version_info':[v[0],v[1],v[2],v[3],v[4]],'has_sslcontext':(v[0],v[1],v[2])>=(2,7,9)}))";

/// Asks the host's Python once in the agent's life; an empty mapping if there is none.
fn python_info(env: &Env) -> Facts {
    static KNOWN: Mutex<Option<Facts>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(k) = known.as_ref() {
        return k.clone();
    }
    let found = ["/usr/bin/python3", "python3", "/usr/libexec/platform-python", "python", "python2"]
        .iter()
        .filter_map(|n| find_program(&env.ctx, n))
        .find_map(|p| {
            let o = Cmd::new([p.as_str(), "-S", "-c", ASK]).limit(Duration::from_secs(10)).run(&env.ctx).ok()?;
            serde_json::from_slice::<Facts>(&o.stdout).ok()
        })
        .unwrap_or_default();
    *known = Some(found.clone());
    found
}

pub fn python(env: &mut Env) -> Facts {
    let mut p = python_info(env);
    let Some(v) = p.get("version_info").and_then(Json::as_array).cloned() else { return Facts::new() };
    let at = |i: usize| v.get(i).cloned().unwrap_or(Json::Null);
    p.insert(
        "version".into(),
        json!({"major": at(0), "minor": at(1), "micro": at(2), "releaselevel": at(3), "serial": at(4)}),
    );
    obj([("python", Json::Object(p))])
}
