//! `seboolean` (ansible.posix): switches of the SELinux policy, in the kernel and in the policy store.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/seboolean_module.html>. The kernel's
//! values are read and set in selinuxfs; the store is changed by `setsebool -P` and read through `semanage` or, where
//! that is missing, from the list of local changes.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "seboolean",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("The boolean."),
            Arg::bool("persistent").default(false).doc("Keep the value over a reboot."),
            Arg::bool("state").required().doc("The value."),
            Arg::bool("ignore_selinux_state").default(false).doc("Go on where SELinux seems off, as in a chroot."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Toggles SELinux booleans",
        run: |ctx, args| perform(&System { kernel: "/sys/fs/selinux".into(), root: "/".into() }, ctx, args),
    }
}

/// Where SELinux keeps what it knows.
struct System {
    /// selinuxfs.
    kernel: PathBuf,
    /// What `etc/selinux` and `var/lib/selinux` are below.
    root: PathBuf,
}

impl System {
    fn policy(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join("etc/selinux/config")).ok()?;
        text.lines().filter_map(|l| l.strip_prefix("SELINUXTYPE=")).next_back().map(|t| t.trim().to_owned())
    }
    /// The name that a boolean has today, where the policy renamed it.
    fn renamed(&self, name: &str) -> String {
        let subs = self.policy().map(|p| self.root.join("etc/selinux").join(p).join("booleans.subs_dist"));
        let text = subs.and_then(|p| std::fs::read_to_string(p).ok()).unwrap_or_default();
        let pairs = text.lines().filter_map(|l| l.trim().split_once(char::is_whitespace));
        pairs.filter(|(old, _)| *old == name).map(|(_, new)| new.trim().to_owned()).next().unwrap_or(name.to_owned())
    }
    fn boolean(&self, name: &str) -> PathBuf {
        self.kernel.join("booleans").join(name)
    }
    /// The value in the kernel.
    fn active(&self, name: &str) -> Option<bool> {
        let text = std::fs::read_to_string(self.boolean(name)).ok()?;
        text.split_whitespace().next().map(|v| v == "1")
    }
    fn set_active(&self, name: &str, on: bool) -> std::io::Result<()> {
        std::fs::write(self.boolean(name), if on { "1" } else { "0" })?;
        std::fs::write(self.kernel.join("commit_pending_bools"), "1")
    }
    /// The value that a local change gave the boolean in the policy store.
    fn stored(&self, name: &str) -> Option<bool> {
        let policy = self.policy()?;
        let places = [
            self.root.join("var/lib/selinux").join(&policy).join("active/booleans.local"),
            self.root.join("etc/selinux").join(&policy).join("modules/active/booleans.local"),
        ];
        let text = places.iter().find_map(|p| std::fs::read_to_string(p).ok())?;
        let set = text.lines().filter_map(|l| l.split_once('=')).filter(|(k, _)| k.trim() == name);
        set.map(|(_, v)| matches!(v.trim(), "1" | "on" | "true")).next_back()
    }
}

/// The value after a reboot, as `semanage boolean -l` shows it: `name (now , then) words`.
fn listed(ctx: &Ctx, tool: &str, name: &str) -> Result<Option<bool>, Failure> {
    let out = Cmd::new([tool, "boolean", "-l", "-n"]).c_locale().run(ctx)?;
    if !out.ok() {
        return Err(Failure::new(format!("Failed to manage policy for boolean {name}: {}", out.err().trim())));
    }
    let text = out.out();
    let line = text.lines().find(|l| l.split_whitespace().next() == Some(name));
    let pair = line.and_then(|l| l.split_once('(')).and_then(|(_, r)| r.split_once(')')).map(|(p, _)| p);
    Ok(pair.and_then(|p| p.split_once(',')).map(|(_, then)| then.trim() == "on"))
}

fn perform(sys: &System, ctx: &mut Ctx, args: &Args) -> ModResult {
    let (given, on, persistent) = (args.str("name"), args.bool("state"), args.bool("persistent"));
    let enabled = Path::new(&sys.kernel).join("enforce").exists();
    if !enabled && !args.bool("ignore_selinux_state") {
        return Err("SELinux is disabled on this host.".into());
    }
    // a name is a file of selinuxfs
    let name = sys.renamed(given);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Failure::new(format!("SELinux boolean {given} does not exist.")));
    }
    let active = sys.active(&name);
    if enabled && active.is_none() {
        return Err(Failure::new(format!("SELinux boolean {given} does not exist.")));
    }
    // what is kept counts alone where it shall be kept
    let changed = if persistent { later(sys, ctx, &name)? != Some(on) } else { active.is_some_and(|a| a != on) };
    if changed && !ctx.check {
        if persistent {
            let tool = exec::need_program(ctx, "setsebool")?;
            let out = Cmd::new([tool.as_str(), "-P", "--", &name, if on { "1" } else { "0" }]).c_locale().run(ctx)?;
            if !out.ok() {
                let why = (out.err() + &out.out()).trim().to_owned();
                return Err(Failure::new(format!("Failed to manage policy for boolean {given}: {why}")));
            }
        } else {
            sys.set_active(&name, on)
                .map_err(|e| Failure::new(format!("Failed to set boolean {given} to {}: {e}", i32::from(on))))?;
        }
    }
    Ok(Outcome::changed(changed).set("name", given).set("state", on).set("persistent", persistent))
}

/// The value after a reboot; `None` where nothing tells it.
fn later(sys: &System, ctx: &Ctx, name: &str) -> Result<Option<bool>, Failure> {
    match exec::find_program(ctx, "semanage") {
        Some(tool) => listed(ctx, &tool, name),
        None => Ok(sys.stored(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::toolkit::{Root, checked};
    use serde_json::json;

    struct Host(Root);

    impl Host {
        fn new() -> Host {
            let h = Root::empty();
            for (name, text) in [
                ("fs/enforce", "1"),
                ("fs/booleans/httpd_x", "0 0"),
                ("fs/booleans/b2", "1 1"),
                ("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n"),
                ("etc/selinux/targeted/booleans.subs_dist", "old_x httpd_x\n"),
                ("var/lib/selinux/targeted/active/booleans.local", "b2=0\n"),
            ] {
                h.write(name, text);
            }
            Host(h)
        }
        fn call(&self, args: serde_json::Value, check: bool) -> ModResult {
            let sys = System { kernel: self.0.at("fs"), root: self.0.at("") };
            perform(&sys, &mut self.0.ctx(check), &checked(&module(), &args))
        }
        fn changed(&self, args: serde_json::Value, check: bool) -> bool {
            self.call(args, check).map_err(|f| f.msg).expect("no failure").changed
        }
    }

    #[test]
    fn the_running_kernel() {
        let h = Host::new();
        let on = json!({"name": "old_x", "state": true});
        assert!(h.changed(on.clone(), true));
        assert_eq!(h.0.read("fs/booleans/httpd_x"), "0 0");
        assert!(h.changed(on.clone(), false));
        assert_eq!((h.0.read("fs/booleans/httpd_x"), h.0.read("fs/commit_pending_bools")), ("1".into(), "1".into()));
        assert!(!h.changed(on, false));
        let e = h.call(json!({"name": "nosuch", "state": true}), false).expect_err("unknown");
        assert_eq!(e.msg, "SELinux boolean nosuch does not exist.");
        std::fs::remove_file(h.0.at("fs/enforce")).expect("removed");
        let e = h.call(json!({"name": "b2", "state": true}), false).expect_err("off");
        assert_eq!(e.msg, "SELinux is disabled on this host.");
    }

    #[test]
    fn the_policy_store() {
        let h = Host::new();
        h.0.program("setsebool", "echo \"$*\" >> log; echo \"$4 $4\" > fs/booleans/$3; sed -i \"/^$3=/d\" var/lib/selinux/targeted/active/booleans.local; echo \"$3=$4\" >> var/lib/selinux/targeted/active/booleans.local");
        let keep = json!({"name": "b2", "state": true, "persistent": true});
        assert!(h.changed(keep.clone(), true), "on now, off after a reboot");
        assert!(h.changed(keep.clone(), false));
        assert!(!h.changed(keep, false));
        assert_eq!(h.0.read("log"), "-P -- b2 1\n");
        // semanage knows what the policy itself says
        h.0.program("semanage", "echo 'httpd_x                        (off  ,  off)  Allow x'");
        assert!(!h.changed(json!({"name": "httpd_x", "state": false, "persistent": true}), false));
    }
}
