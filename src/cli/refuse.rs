//! Plug-ins of Ansible's that there are not here: refused by their names before any host is touched, with what to
//! use instead. Names that are nobody's fail where they are used, as in ansible-core.

use super::setup::Ready;
use crate::diag::{Error, Result, Span};
use crate::playbook::{Item, Play, Playbook, Task};
use crate::value::Value;
use crate::vars::View;
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// What a name is a name of, and what stands in its place.
struct Kind {
    what: &'static str,
    /// The variable that chooses it.
    var: &'static str,
    names: &'static [(&'static str, &'static str)],
}

const WINDOWS: &str = "Windows hosts are not supported";
const SSH: &str = "install an ssh server there and use ssh";
const NETWORK: &str = "network devices are not supported";
const SUDO: &str = "use sudo, su or doas";

const CONNECTION: Kind = Kind {
    what: "connection plugin",
    var: "ansible_connection",
    names: &[
        ("winrm", WINDOWS),
        ("psrp", WINDOWS),
        ("httpapi", NETWORK),
        ("netconf", NETWORK),
        ("network_cli", NETWORK),
        ("grpc", NETWORK),
        ("libssh", "use ssh"),
        ("persistent", NETWORK),
        ("aws_ssm", "use ssh, with a ProxyCommand of the aws program in ansible_ssh_common_args"),
        ("docker", "use ssh, or run the playbook in the container with the connection local"),
        ("docker_api", "use ssh, or run the playbook in the container with the connection local"),
        ("nsenter", "use the connection local"),
        ("podman", "use ssh, or run the playbook in the container with the connection local"),
        ("podman_unshare", "use the connection local"),
        ("buildah", "use ssh, or run the playbook in the container with the connection local"),
        ("kubectl", "use ssh, or run the playbook in the pod with the connection local"),
        ("oc", "use ssh, or run the playbook in the pod with the connection local"),
        ("chroot", "run the playbook within it with the connection local"),
        ("jail", SSH),
        ("iocage", SSH),
        ("lxc", SSH),
        ("lxd", SSH),
        ("incus", SSH),
        ("libvirt_lxc", SSH),
        ("libvirt_qemu", SSH),
        ("qubes", SSH),
        ("proxmox_pct_remote", SSH),
        ("zone", SSH),
        ("funcd", "use ssh"),
        ("saltstack", "use ssh"),
        ("vmware_tools", SSH),
    ],
};

const BECOME: Kind = Kind {
    what: "become method",
    var: "ansible_become_method",
    names: &[
        ("runas", WINDOWS),
        ("enable", NETWORK),
        ("dzdo", SUDO),
        ("ksu", SUDO),
        ("machinectl", SUDO),
        ("pbrun", SUDO),
        ("pfexec", SUDO),
        ("pmrun", SUDO),
        ("run0", SUDO),
        ("sesu", SUDO),
        ("sudosu", "use sudo or su"),
    ],
};

const SHELL: Kind = Kind {
    what: "shell plugin",
    var: "ansible_shell_type",
    names: &[
        ("powershell", WINDOWS),
        ("cmd", WINDOWS),
        ("csh", "use sh: commands are run by /bin/sh whatever the user's own shell is"),
        ("fish", "use sh: commands are run by /bin/sh whatever the user's own shell is"),
    ],
};

const STRATEGY: Kind = Kind {
    what: "strategy",
    var: "",
    names: &[
        ("mitogen", "take strategy and strategy_plugins away: connections are held open and reused anyway"),
        ("mitogen_linear", "use linear: connections are held open and reused anyway"),
        ("mitogen_free", "use free: connections are held open and reused anyway"),
        ("mitogen_host_pinned", "use host_pinned: connections are held open and reused anyway"),
    ],
};

impl Kind {
    fn check(&self, v: &Value) -> Result<()> {
        let Value::Str(s) = v else { return Ok(()) };
        let name = s.as_str();
        // only Ansible's own collections are known by their short names
        let short = match name.rsplit_once('.') {
            None => name,
            Some((c, n)) if c.split('.').count() == 2 => n,
            _ => return Ok(()),
        };
        let Some((_, instead)) = self.names.iter().find(|(n, _)| *n == short) else { return Ok(()) };
        Err(Error::parse(format!("the {} '{name}' is not supported: {instead}", self.what)).at(s.origin))
    }
    fn keyword(&self, v: &Option<Value>, at: Span) -> Result<()> {
        v.as_ref().map_or(Ok(()), |v| self.check(v).map_err(|e| e.at(at)))
    }
}

/// Looks at what configuration, plays, tasks and the variables of the plays' hosts name.
pub fn plugins(ready: &Ready, books: &[Playbook], hosts_of: &dyn Fn(&Play) -> Vec<Arc<str>>) -> Result<()> {
    let o = &ready.options;
    let from =
        |k: &Kind, text: &str| k.check(&Value::plain(text)).map_err(|e| e.context("configuration or command line"));
    from(&CONNECTION, &o.defaults.connection)?;
    from(&BECOME, &o.defaults.become_method)?;
    from(&STRATEGY, &o.strategy)?;
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    for play in books.iter().flat_map(|b| &b.plays) {
        if let Some(s) = &play.strategy {
            STRATEGY.check(s)?;
        }
        variables(&play.vars)?;
        for part in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
            items(part)?;
        }
        let new: Vec<Arc<str>> = hosts_of(play).into_iter().filter(|h| seen.insert(h.clone())).collect();
        new.par_iter().map(|h| host(ready, h)).find_map_any(Result::err).map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn host(ready: &Ready, name: &Arc<str>) -> Result<()> {
    let view = View::new(&ready.store, name);
    for k in [&CONNECTION, &BECOME, &SHELL] {
        // what cannot be read is told where it is used
        if let Ok(Some(v)) = view.raw(k.var) {
            k.check(&v).map_err(|e| e.context(format!("host {name}")))?;
        }
    }
    Ok(())
}

fn variables(m: &crate::value::Map) -> Result<()> {
    for k in [&CONNECTION, &BECOME, &SHELL] {
        if let Some(v) = m.get(k.var) {
            k.check(v)?;
        }
    }
    Ok(())
}

fn items(all: &[Item]) -> Result<()> {
    for i in all {
        match i {
            Item::Task(t) => task(t)?,
            Item::Block(b) => {
                for part in [&b.block, &b.rescue, &b.always] {
                    items(part)?;
                }
            }
            Item::RoleEnd(_) => {}
        }
    }
    Ok(())
}

fn task(t: &Task) -> Result<()> {
    CONNECTION.keyword(&t.kw.connection, t.span)?;
    BECOME.keyword(&t.kw.become_method, t.span)?;
    for m in t.block_vars.iter().chain([&t.vars]) {
        variables(m)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_with_and_without_their_collection() {
        let said = |k: &Kind, n: &str| k.check(&Value::plain(n)).err().map(|e| e.message().to_string());
        assert_eq!(
            said(&CONNECTION, "ansible.builtin.winrm").as_deref(),
            Some("the connection plugin 'ansible.builtin.winrm' is not supported: Windows hosts are not supported")
        );
        assert!(said(&CONNECTION, "community.docker.docker").is_some() && said(&BECOME, "runas").is_some());
        assert!(said(&SHELL, "powershell").is_some() && said(&STRATEGY, "mitogen_linear").is_some());
        for ok in ["ssh", "local", "nosuch", "a.b.c.docker"] {
            assert_eq!(said(&CONNECTION, ok), None, "{ok}");
        }
    }
}
