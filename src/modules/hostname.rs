//! `hostname`: the name of the host, now and after a restart.

use super::support::exec::{self, Cmd};
use super::support::{atomic, pytext::os_error};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::json;
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "hostname",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("The name."),
            Arg::str("use")
                .choices(&[
                    "alpine", "debian", "freebsd", "generic", "macos", "macosx", "darwin", "openbsd", "openrc",
                    "redhat", "sles", "solaris", "systemd",
                ])
                .doc("How the system keeps its name; found out if not given."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage hostname\n\n\
              Linux only: the strategies of other systems are refused. /etc/hosts stays as it is.",
        run,
    }
}

/// Where the permanent name is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// hostnamectl.
    Systemd,
    /// A file that holds the name and nothing else.
    File(&'static str),
    /// A file with a `KEY=` line; whether the value is quoted.
    Line(&'static str, &'static str, bool),
}

const LIMIT: usize = 64;

fn keeper(ctx: &Ctx, named: Option<&str>) -> Result<Keeper, Failure> {
    Ok(match named {
        Some("systemd" | "debian") => Keeper::Systemd,
        Some("alpine") => Keeper::File("/etc/hostname"),
        Some("sles") => Keeper::File("/etc/HOSTNAME"),
        Some("redhat") => Keeper::Line("/etc/sysconfig/network", "HOSTNAME", false),
        Some("openrc") => Keeper::Line("/etc/conf.d/hostname", "hostname", true),
        Some("generic") => {
            return Err("use=generic keeps no permanent name: name the strategy of the system".into());
        }
        Some(other) => {
            return Err(Failure::new(format!("use={other} is for a system that is not supported; there is Linux")));
        }
        None if Path::new("/run/systemd/system").is_dir() && exec::find_program(ctx, "hostnamectl").is_some() => {
            Keeper::Systemd
        }
        None if Path::new("/etc/sysconfig/network").exists() && !Path::new("/etc/hostname").exists() => {
            Keeper::Line("/etc/sysconfig/network", "HOSTNAME", false)
        }
        None if Path::new("/etc/HOSTNAME").exists() && !Path::new("/etc/hostname").exists() => {
            Keeper::File("/etc/HOSTNAME")
        }
        None if Path::new("/etc/conf.d/hostname").exists() => Keeper::Line("/etc/conf.d/hostname", "hostname", true),
        None => Keeper::File("/etc/hostname"),
    })
}

fn hostnamectl(ctx: &Ctx, words: &[&str]) -> Result<String, Failure> {
    let tool = exec::need_program(ctx, "hostnamectl")?;
    let o = Cmd::new([tool.as_str()]).args(words.iter().copied()).run(ctx)?;
    if o.ok() {
        return Ok(o.out().trim().to_owned());
    }
    Err(Failure::new(format!("Command failed rc={}, out={}, err={}", o.rc, o.out(), o.err())))
}

fn running() -> String {
    nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(ctx: &Ctx, k: Keeper) -> Result<String, Failure> {
    match k {
        Keeper::Systemd => hostnamectl(ctx, &["--static", "status"]).or_else(|_| hostnamectl(ctx, &["--static"])),
        Keeper::File(path) => match std::fs::read_to_string(path) {
            Ok(t) => Ok(t.trim().to_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(Failure::new(format!("failed to read hostname: {}", os_error(&e, Path::new(path))))),
        },
        Keeper::Line(path, key, _) => {
            let text = std::fs::read_to_string(path).map_err(|e| match key {
                "HOSTNAME" => Failure::new(format!("Unable to locate HOSTNAME entry in {path}")),
                _ => Failure::new(format!("failed to update hostname: {}", os_error(&e, Path::new(path)))),
            })?;
            let value = text.lines().find_map(|l| value_of(l, key));
            Ok(value.map(|v| v.trim_matches(['"', '\'']).to_owned()).unwrap_or_default())
        }
    }
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.trim().strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim)
}

fn write(ctx: &Ctx, k: Keeper, name: &str) -> Result<(), Failure> {
    match k {
        Keeper::Systemd => hostnamectl(ctx, &["set-hostname", "--pretty", "--static", name]).map(drop),
        Keeper::File(path) => atomic::write(Path::new(path), format!("{name}\n").as_bytes(), false),
        Keeper::Line(path, key, quoted) => {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::new(os_error(&e, Path::new(path))))?;
            atomic::write(Path::new(path), with_line(&text, key, name, quoted).as_bytes(), false)
        }
    }
}

/// The text with the line of `key` set, added at the end if there is none.
fn with_line(text: &str, key: &str, name: &str, quoted: bool) -> String {
    let new = if quoted { format!("{key}=\"{name}\"\n") } else { format!("{key}={name}\n") };
    let mut out = String::new();
    let mut done = false;
    for line in text.lines() {
        if !done && value_of(line, key).is_some() {
            out.push_str(&new);
            done = true;
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !done {
        out.push_str(&new);
    }
    out
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let name = args.str("name");
    if name.len() > LIMIT {
        return Err(Failure::new(format!("name cannot be longer than {LIMIT} characters on this system.")));
    }
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Failure::new(format!("'{name}' is not a host name")));
    }
    let keeper = keeper(ctx, args.opt_str("use"))?;
    let (now, kept) = (running(), read(ctx, keeper)?);
    if !ctx.check {
        if now != name {
            match keeper {
                Keeper::Systemd => drop(hostnamectl(ctx, &["set-hostname", "--transient", name])?),
                _ => nix::unistd::sethostname(name)
                    .map_err(|e| Failure::new(format!("failed to set the host name: {}", e.desc())))?,
            }
        }
        if kept != name {
            write(ctx, keeper, name)?;
        }
    }
    let changed = now != name || kept != name;
    let facts = json!({
        "ansible_hostname": name.split('.').next().unwrap_or(name),
        "ansible_nodename": name,
        "ansible_fqdn": fqdn(ctx, name),
        "ansible_domain": fqdn(ctx, name).split_once('.').map_or("", |(_, d)| d),
    });
    let o = Outcome::changed(changed).set("name", name).set("ansible_facts", facts);
    if !changed {
        return Ok(o);
    }
    let before = if now == name { kept } else { now };
    Ok(o.with_diff(Diff::new(format!("hostname = {before}\n"), format!("hostname = {name}\n"))))
}

/// The full name that the system's resolver knows for a name; the name itself if it knows none.
fn fqdn(ctx: &Ctx, name: &str) -> String {
    let limit = std::time::Duration::from_secs(10);
    let out = Cmd::new(["getent", "hosts", name]).limit(limit).run(ctx).ok().filter(|o| o.ok());
    let found = out.and_then(|o| o.out().split_whitespace().skip(1).find(|n| n.contains('.')).map(str::to_owned));
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;

    #[test]
    fn lines_of_files() {
        assert_eq!(with_line("A=1\nHOSTNAME=old\nB=2\n", "HOSTNAME", "new", false), "A=1\nHOSTNAME=new\nB=2\n");
        assert_eq!(with_line("# x\nhostname=\"old\"", "hostname", "new", true), "# x\nhostname=\"new\"\n");
        assert_eq!(with_line("A=1\n", "HOSTNAME", "new", false), "A=1\nHOSTNAME=new\n");
        assert_eq!(value_of(" HOSTNAME = x ", "HOSTNAME"), Some("x"));
        assert_eq!(value_of("HOSTNAME2=x", "HOSTNAME"), None);
    }

    #[test]
    fn check_mode_predicts() {
        let b = bench("hostname");
        let r = b.check(json!({"name": "a-new.example.org", "use": "alpine"}));
        assert_eq!((&r["changed"], &r["ansible_facts"]["ansible_hostname"]), (&json!(true), &json!("a-new")));
        assert_eq!(r["diff"]["after"], "hostname = a-new.example.org\n");
        let r = b.check(json!({"name": "x".repeat(65), "use": "alpine"}));
        assert_eq!(r["msg"], "name cannot be longer than 64 characters on this system.");
        assert_eq!(b.check(json!({"name": "x", "use": "solaris"}))["failed"], true);
    }
}
