//! Magic variables: what the engine itself tells of the run, the play and the host.

use super::store::{PlayVars, read};
use super::view::View;
use crate::playbook::{Role, Task};
use crate::template::Var;
use crate::value::{Key, Map, Value};
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexSet;
use std::sync::Arc;

/// Magic variables that are the same for every host and task.
#[derive(Clone, Debug, Default)]
pub struct Globals {
    pub all: Map,
    /// What the connection is like where no variable says so; only tasks see these.
    pub connection: Map,
}

/// What the magic variables need to know of the run.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub verbosity: u8,
    pub limit: Option<String>,
    pub run_tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub inventory_sources: Vec<String>,
    pub config_file: Option<String>,
    /// Connection variables of the command line and the settings.
    pub connection: Map,
}

/// The release of ansible-core whose behaviour this engine has.
pub const ANSIBLE_VERSION: &str = "2.19.14";

impl Globals {
    pub fn new(info: &RunInfo) -> Globals {
        let list = |v: &[String]| Value::list(v.iter().map(|s| Value::plain(s.as_str())).collect());
        let mut m = Map::new();
        let mut put = |k: &str, v: Value| drop(m.insert(Key::from(k), v));
        put("ansible_check_mode", info.check.into());
        put("ansible_diff_mode", info.diff.into());
        put("ansible_forks", info.forks.into());
        put("ansible_verbosity", Value::Int(info.verbosity.into()));
        put("ansible_run_tags", list(&info.run_tags));
        put("ansible_skip_tags", list(&info.skip_tags));
        put("ansible_inventory_sources", list(&info.inventory_sources));
        put("ansible_version", version());
        put("ansible_playbook_python", own_python().into());
        put("ansible_config_file", info.config_file.as_deref().map(Value::plain).unwrap_or_default());
        if let Some(l) = &info.limit {
            put("ansible_limit", l.as_str().into());
        }
        put("omit", crate::template::omit());
        Globals { all: m, connection: info.connection.clone() }
    }
}

/// The Python of the controller: the first on the path.
fn own_python() -> String {
    use std::os::unix::fs::PermissionsExt;
    let program = |p: &String| std::fs::metadata(p).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').filter(|d| d.starts_with('/')).map(|d| format!("{d}/python3")).find(program);
    found.unwrap_or_else(|| "/usr/bin/python3".into())
}

fn version() -> Value {
    let mut m = Map::new();
    m.insert("full".into(), ANSIBLE_VERSION.into());
    m.insert("string".into(), ANSIBLE_VERSION.into());
    let mut parts = ANSIBLE_VERSION.split('.').map(|p| Value::Int(p.parse().unwrap_or(0)));
    for k in ["major", "minor", "revision"] {
        m.insert(k.into(), parts.next().unwrap_or_default());
    }
    Value::map(m)
}

fn names(list: &[Arc<str>]) -> Value {
    Value::list(list.iter().map(|h| Value::plain(h.clone())).collect())
}

pub(super) const HOST_NAMES: &[&str] = &[
    "inventory_hostname",
    "inventory_hostname_short",
    "inventory_dir",
    "inventory_file",
    "group_names",
    "groups",
    "hostvars",
    "vars",
];
pub(super) const PLAY_NAMES: &[&str] = &[
    "play_hosts",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_batch",
    "ansible_play_name",
    "playbook_dir",
    "ansible_play_role_names",
    "role_names",
    "ansible_role_names",
    "ansible_dependent_role_names",
];
pub(super) const ROLE_NAMES: &[&str] = &[
    "role_name",
    "role_path",
    "role_uuid",
    "ansible_role_name",
    "ansible_parent_role_names",
    "ansible_parent_role_paths",
    "ansible_collection_name",
    "ansible_search_path",
];

/// What the connection to a host is where no variable says so: the implicit localhost is local, and a task knows
/// the address it goes to.
pub(super) fn connection_default(view: &View, name: &str) -> Option<Value> {
    let implicit = || is_implicit_localhost(view, &view.host);
    let delegated_there =
        || view.task.is_some() && view.delegated.as_deref().is_some_and(|h| is_implicit_localhost(view, h));
    if view.task.is_some()
        && let Some(v) = twin(view, name)
    {
        return Some(v);
    }
    match name {
        "ansible_connection" if implicit() || delegated_there() => Some("local".into()),
        "ansible_python_interpreter" if implicit() => view.store.globals.all.get("ansible_playbook_python").cloned(),
        "ansible_host" | "ansible_ssh_host" if view.task.is_some() => {
            Some(if implicit() { "127.0.0.1".into() } else { Value::plain(view.host.clone()) })
        }
        _ => {
            // a keyword of the task is nearer than what the run has
            let keywords = &view.task.as_ref()?.kw;
            let keyword = match name {
                "ansible_user" | "ansible_ssh_user" | "ansible_connection_user" => &keywords.remote_user,
                "ansible_connection" => &keywords.connection,
                _ => &None,
            };
            match keyword {
                // one that asks for this very variable finds none
                Some(v) => (!asks_for_itself(v)).then(|| v.clone()),
                None => view.store.globals.connection.get(name).cloned(),
            }
        }
    }
}

/// Each of these has two names, of which one is enough. The host that a task is delegated to counts before its own.
const TWINS: [[&str; 2]; 3] =
    [["ansible_ssh_host", "ansible_host"], ["ansible_ssh_user", "ansible_user"], ["ansible_ssh_port", "ansible_port"]];

/// What the other name of a connection variable says.
fn twin(view: &View, name: &str) -> Option<Value> {
    let names = TWINS.iter().find(|pair| pair.contains(&name))?;
    let of = |v: &View| names.iter().find_map(|n| v.raw(n).ok().flatten());
    match super::view::DelegatedVars::of(view) {
        // a template of that host's would be rendered with the variables of this one
        Some(to) => of(&to.0)
            .filter(|v| !v.needs_render())
            .or_else(|| name.ends_with("_host").then(|| Value::plain(to.0.host.clone()))),
        None => of(view),
    }
}

fn asks_for_itself(v: &Value) -> bool {
    let own = ["ansible_user", "ansible_ssh_user", "ansible_connection"];
    v.needs_render() && own.iter().any(|n| v.to_str().contains(n))
}

fn is_implicit_localhost(view: &View, host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1") && !view.store.inventory().hosts.contains_key(host)
}

/// The magic variable `name` as `view` sees it.
pub(super) fn get(view: &View, name: &str) -> Option<Var> {
    let raw = |v: Value| Some(Var::Raw(v));
    if let Some(v) = view.store.globals.all.get(name) {
        return raw(v.clone());
    }
    match name {
        "inventory_hostname" => return raw(Value::plain(view.host.clone())),
        "inventory_hostname_short" => return raw(view.host.split('.').next().unwrap_or("").into()),
        "inventory_dir" | "inventory_file" => {
            let inv = view.store.inventory();
            let src = inv.hosts.get(&*view.host).and_then(|h| h.source.clone());
            return raw(match (src, name) {
                (Some(f), "inventory_file") => f.as_str().into(),
                (Some(f), _) => f.parent().map(|p| p.as_str().into()).unwrap_or_default(),
                (None, _) => Value::Null,
            });
        }
        "group_names" => return raw(names(&view.store.inventory().group_names(&view.host))),
        "groups" => return raw(groups(view)),
        "hostvars" => return Some(Var::Scope(Arc::new(super::view::HostVars::of(view)))),
        "vars" => return Some(Var::Scope(Arc::new(view.clone()))),
        "ansible_delegated_vars" => return super::view::DelegatedVars::of(view).map(|d| Var::Scope(Arc::new(d))),
        _ => {}
    }
    let play = view.play.as_ref()?;
    if let Some(v) = play_name(play, name) {
        return raw(v);
    }
    let task = view.task.as_deref()?;
    if name == "ansible_search_path" {
        let dirs = search_path(task, &play.play.playbook_dir);
        return raw(Value::list(dirs.iter().map(|d| Value::plain(d.as_str())).collect()));
    }
    role_name(task, name).map(Var::Raw)
}

/// Where a task's files are looked for: its role and those above it, its own directory, the playbook's.
pub fn search_path(task: &Task, playbook_dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let roles = task.role.as_ref().map(|r| r.chain()).unwrap_or_default();
    let mut out: Vec<Utf8PathBuf> = roles.iter().map(|r| r.path.clone()).collect();
    let own = task.file.parent().filter(|d| !d.as_str().is_empty() && !task.implicit).map(Utf8Path::to_owned);
    for dir in own.into_iter().chain([playbook_dir.to_owned()]) {
        if !out.contains(&dir) {
            out.push(dir);
        }
    }
    out
}

fn groups(view: &View) -> Value {
    view.store.groups(|inv| {
        let members = inv.group_members().into_iter();
        Value::map(members.map(|(name, members)| (Key::from(name), names(&members))).collect())
    })
}

fn play_name(p: &PlayVars, name: &str) -> Option<Value> {
    let own = || -> Vec<String> { read(&p.exposed).iter().map(|r| r.name.clone()).collect() };
    let dependencies = || -> Vec<String> {
        fn add(r: &Role, out: &mut Vec<String>) {
            for d in &r.dependencies {
                add(d, out);
                out.push(d.name.clone());
            }
        }
        let mut out = vec![];
        read(&p.exposed).iter().for_each(|r| add(r, &mut out));
        out
    };
    let list = |names: Vec<String>| Value::list(names.into_iter().map(Value::plain).collect());
    // the dependencies are told without an order in ansible-core; here each stands where it came first
    let once = |names: Vec<String>| list(names.into_iter().collect::<IndexSet<String>>().into_iter().collect());
    Some(match name {
        "play_hosts" | "ansible_play_batch" => p.lists.value(&read(&p.alive), names),
        "ansible_play_hosts" => p.lists.value(&read(&p.alive_play), names),
        "ansible_play_hosts_all" => names(&p.all_hosts),
        "ansible_play_name" => {
            p.play.name.as_ref().map(|n| Value::plain(n.to_str())).unwrap_or_else(|| match &p.play.hosts {
                Value::List(l) => l.iter().map(Value::to_str).collect::<Vec<_>>().join(",").into(),
                one => one.untrusted(),
            })
        }
        "playbook_dir" => p.play.playbook_dir.as_str().into(),
        "role_names" | "ansible_play_role_names" => list(own()),
        "ansible_dependent_role_names" => once(dependencies()),
        "ansible_role_names" => once(dependencies().into_iter().chain(own()).collect()),
        _ => return None,
    })
}

fn role_name(task: &Task, name: &str) -> Option<Value> {
    let role = task.role.as_ref()?;
    Some(match name {
        "role_name" => role.name.rsplit('.').next().unwrap_or(&role.name).into(),
        "ansible_role_name" => role.name.as_str().into(),
        "role_path" => role.path.as_str().into(),
        "role_uuid" => format!("role-{}", role.id).into(),
        "ansible_collection_name" => role.collection.as_deref().map(Value::plain)?,
        "ansible_parent_role_names" | "ansible_parent_role_paths" => {
            let parents = role.parents();
            if parents.is_empty() {
                return None;
            }
            Value::list(
                parents
                    .iter()
                    .map(|r| Value::plain(if name.ends_with("names") { r.name.as_str() } else { r.path.as_str() }))
                    .collect(),
            )
        }
        _ => return None,
    })
}
