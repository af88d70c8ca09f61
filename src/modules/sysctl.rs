//! `sysctl` (ansible.posix): kernel parameters, in a file and in the running kernel.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/sysctl_module.html>.

use super::support::exec::{self, Cmd};
use super::support::{atomic, fileargs::real_path, pytext::os_error};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "sysctl",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::str("name").required().aliases(&["key"]).doc("The parameter, with dots or slashes."),
            Arg::str("value").aliases(&["val"]).doc("Its value."),
            Arg::str("state").choices(&["present", "absent"]).default("present").doc("Whether the file shall have it."),
            Arg::bool("ignoreerrors").default(false).doc("Let sysctl overlook parameters that the kernel lacks."),
            Arg::bool("reload").default(true).doc("Load the file when it changes."),
            Arg::path("sysctl_file").default("/etc/sysctl.conf").doc("The file."),
            Arg::bool("sysctl_set").default(false).doc("Set the parameter in the kernel, and look at it there."),
        ])
        .required_if("state", "present", &["value"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage entries in sysctl.conf",
        run,
    }
}

/// A value as the file has it: yes and no as 1 and 0, blanks as one.
fn plain(value: &str) -> String {
    let v = value.trim();
    match v.to_lowercase().as_str() {
        "y" | "yes" | "on" | "t" | "true" => "1".into(),
        "n" | "no" | "off" | "f" | "false" => "0".into(),
        _ => v.replace('\n', " "),
    }
}

/// Values are the same whatever blanks part their fields.
fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// Name and value of a line that sets a parameter. A minus before the name lets it fail.
fn setting(line: &str) -> Option<(&str, &str)> {
    let t = line.trim();
    if t.starts_with(['#', ';']) {
        return None;
    }
    let (k, v) = t.split_once('=')?;
    Some((k.trim().trim_start_matches('-').trim_start(), v.trim()))
}

/// The text with the parameter set to `value`, or without it. Its last line is the one that counts, so the
/// others go.
fn edited(text: &str, name: &str, value: Option<&str>) -> String {
    let mut out = String::new();
    let mut done = false;
    for line in text.lines() {
        match (setting(line), value) {
            (Some((k, _)), _) if k != name => out.push_str(line),
            (None, _) => out.push_str(line),
            (Some(_), Some(v)) if !done => {
                done = true;
                out.push_str(&format!("{name}={v}"));
            }
            (Some(_), _) => continue,
        }
        out.push('\n');
    }
    if let Some(v) = value.filter(|_| !done) {
        out.push_str(&format!("{name}={v}\n"));
    }
    out
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let name = args.str("name").trim();
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains('=') {
        return Err("name cannot be blank, and has neither blanks nor '='".into());
    }
    let present = args.str("state") == "present";
    let value = args.opt_str("value").filter(|_| present).map(plain);
    if value.as_deref() == Some("") {
        return Err("value cannot be blank".into());
    }
    let shown = args.str("sysctl_file");
    let path = real_path(Path::new(shown));
    let old = match std::fs::read_to_string(&path) {
        Ok(t) => t,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Failure::new(format!("Failed to open {shown}: {}", os_error(&e, &path)))),
    };
    let kept = old.lines().rev().find_map(|l| setting(l).filter(|(k, _)| *k == name)).map(|(_, v)| v);
    let in_file = match (&value, kept) {
        (Some(v), Some(k)) => !same(v, k),
        (Some(_), None) => true,
        (None, k) => k.is_some(),
    };
    let (set, load) = (args.bool("sysctl_set"), args.bool("reload"));
    let now = if value.is_some() && (set || load) { current(ctx, name, args) } else { None };
    let differs = |v: &String| !now.as_ref().is_some_and(|c| same(c, v));
    // What the kernel does not know cannot be set; loading the file tells of it.
    let set_now = set && now.is_some() && value.as_ref().is_some_and(differs);
    let load = load && (in_file || value.as_ref().is_some_and(differs));
    let mut o = Outcome::changed(in_file || set_now || load);
    let new = if in_file { edited(&old, name, value.as_deref()) } else { old.clone() };
    if in_file {
        o = o.with_diff(Diff::new(old.as_str(), new.as_str()).headers(shown, shown));
    }
    if ctx.check {
        return Ok(o);
    }
    if set_now && let Some(v) = &value {
        let word = format!("{name}={v}");
        let mut c = Cmd::new([exec::need_program(ctx, "sysctl")?]).c_locale();
        if args.bool("ignoreerrors") {
            c = c.arg("-e");
        }
        let done = c.args(["-w", word.as_str()]).run(ctx)?;
        // It says so on its error stream alone when a value is refused.
        if !done.ok() || refused(&done.err()) {
            let words = done.out() + &done.err();
            return Err(Failure::new(format!("setting {name} failed: {words}")));
        }
    }
    if in_file {
        atomic::write(&path, new.as_bytes(), false)?;
    }
    if load {
        reload(ctx, shown, args.bool("ignoreerrors"))?;
    }
    Ok(o)
}

fn refused(err: &str) -> bool {
    err.lines()
        .any(|l| l.contains("nvalid argument") || l.contains("ead-only file system") || l.contains("ermission denied"))
}

/// What the kernel has now; nothing where it knows no such parameter.
fn current(ctx: &Ctx, name: &str, args: &Args) -> Option<String> {
    let tool = exec::find_program(ctx, "sysctl")?;
    let mut c = Cmd::new([tool.as_str()]).c_locale();
    if args.bool("ignoreerrors") {
        c = c.arg("-e");
    }
    let o = c.args(["-n", name]).run(ctx).ok()?;
    o.ok().then(|| o.out().trim().to_owned())
}

fn reload(ctx: &Ctx, file: &str, ignore: bool) -> Result<(), Failure> {
    let mut c = Cmd::new([exec::need_program(ctx, "sysctl")?]).c_locale();
    if ignore {
        c = c.arg("-e");
    }
    let o = c.args(["-p", file]).run(ctx)?;
    if o.ok() && !refused(&o.err()) {
        return Ok(());
    }
    Err(Failure::new(format!("Failed to reload sysctl: {}", o.out() + &o.err())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn lines_of_the_file() {
        let text = "# c\nvm.swappiness = 10\nnet.x=1\n-vm.swappiness=20\n";
        assert_eq!(edited(text, "vm.swappiness", Some("5")), "# c\nvm.swappiness=5\nnet.x=1\n");
        assert_eq!(edited(text, "vm.swappiness", None), "# c\nnet.x=1\n");
        assert_eq!(edited("a=1", "b", Some("2")), "a=1\nb=2\n");
        assert_eq!((plain("Yes"), plain(" 1 2\n3"), plain("off")), ("1".into(), "1 2 3".into(), "0".into()));
        assert!(same("1\t2", "1 2") && !same("12", "1 2"));
    }

    #[test]
    fn file_only() {
        let b = bench("sysctl").file("s.conf", "# kept\nvm.swappiness=10\n");
        let r = b
            .cycle(json!({"name": "net.ipv4.ip_forward", "value": "yes", "sysctl_file": "$D/s.conf", "reload": false}));
        assert_eq!(b.read("s.conf"), "# kept\nvm.swappiness=10\nnet.ipv4.ip_forward=1\n");
        assert_eq!(r["diff"]["before"], "# kept\nvm.swappiness=10\n");
        b.cycle(json!({"key": "vm.swappiness", "val": "5", "sysctl_file": "$D/s.conf", "reload": false}));
        b.cycle(json!({"name": "vm.swappiness", "state": "absent", "sysctl_file": "$D/s.conf", "reload": false}));
        assert_eq!(b.read("s.conf"), "# kept\nnet.ipv4.ip_forward=1\n");
        b.cycle(json!({"name": "a.b", "value": "1 2", "sysctl_file": "$D/new.conf", "reload": false}));
        assert_eq!(b.read("new.conf"), "a.b=1 2\n");
        let r = b.real(json!({"name": "x", "sysctl_file": "$D/s.conf"}));
        assert_eq!(r["msg"], "state is present but all of the following are missing: value");
        assert_eq!(b.real(json!({"name": " ", "value": "1"}))["failed"], true);
    }

    #[test]
    fn the_kernel_is_asked_and_told() {
        let fake = "#!/bin/sh\ncd \"$(dirname \"$0\")\"; echo \"$*\" >> log\ncase \"$*\" in *-n*) cat now;; *bad*) echo 'sysctl: Invalid argument' >&2;; *-w*) echo 7 > now;; esac\n";
        let b = bench("sysctl").file("bin/sysctl", fake).file("bin/now", "3\n");
        std::fs::set_permissions(b.at("bin/sysctl"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let path = format!("{}:/usr/bin:/bin", b.at("bin").display());
        let call = |args: serde_json::Value| {
            let mut ctx = Ctx { env: vec![("PATH".into(), path.clone())], ..Ctx::bare() };
            crate::modules::run(
                crate::modules::find("sysctl").expect("known"),
                &mut ctx,
                args.as_object().expect("an object"),
            )
        };
        let file = b.at("f").to_string_lossy().into_owned();
        let task = json!({"name": "k.x", "value": "7", "sysctl_set": true, "sysctl_file": file, "ignoreerrors": true});
        assert_eq!(call(task.clone())["changed"], true);
        assert_eq!(b.read("bin/log"), format!("-e -n k.x\n-e -w k.x=7\n-e -p {file}\n"));
        assert_eq!(call(task)["changed"], false);
        let r = call(json!({"name": "k.bad", "value": "1", "sysctl_set": true, "sysctl_file": file}));
        assert_eq!(r["msg"], "setting k.bad failed: sysctl: Invalid argument\n");
    }
}
