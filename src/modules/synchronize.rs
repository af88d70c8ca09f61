//! `synchronize` (ansible.posix): one call of rsync. The action of the same name chooses the machine that runs it and
//! writes source and destination as rsync wants them.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/synchronize_module.html>.

use super::support::exec::{self, Cmd};
use super::support::shlex;
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::Value as Json;

pub fn module() -> Module {
    Module {
        name: "synchronize",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::path("src").doc("What is copied; a trailing slash means what lies in that directory."),
            Arg::path("dest").doc("Where it goes."),
            Arg::int("dest_port").doc("Port of ssh on the other host; that of its connection if not given."),
            Arg::bool("delete").default(false).doc("Remove what the source does not have; takes `recursive`."),
            Arg::path("private_key").doc("Key for ssh; that of the connection if not given."),
            Arg::str("rsync_path").doc("The rsync of the other host; with become by sudo one that sudo runs."),
            Arg::str("_local_rsync_path").default("rsync").doc("Set by the variable ansible_rsync_path."),
            Arg::str("_local_rsync_password").secret().doc("Set from the connection's password."),
            Arg::bool("_substitute_controller").default(false).doc("`localhost:` stands for the controller."),
            Arg::bool("archive").default(true).doc("Recursive, with links, permissions, times, owner, group, devices."),
            Arg::bool("checksum").default(false).doc("Compare contents, not size and time."),
            Arg::bool("compress").default(true),
            Arg::bool("existing_only").default(false).doc("Make no new files."),
            Arg::bool("dirs").default(false).doc("Copy directories without what is in them."),
            Arg::bool("recursive").doc("As `archive` if not given; so are the next ones."),
            Arg::bool("links"),
            Arg::bool("copy_links").default(false).doc("Copy what links point to."),
            Arg::bool("perms"),
            Arg::bool("times"),
            Arg::bool("owner"),
            Arg::bool("group"),
            Arg::bool("set_remote_user").default(true).doc("Write `user@` before the other host."),
            Arg::int("rsync_timeout").default(0).doc("Seconds without data after which rsync gives up; 0 for none."),
            Arg::list("rsync_opts", Type::Str).default(Json::Array(vec![])).doc("Further options of rsync."),
            Arg::str("_ssh_args").doc("Set by `use_ssh_args`."),
            Arg::bool("use_ssh_args").default(false).doc("Give ssh the options of the connection, too."),
            Arg::bool("ssh_connection_multiplexing").default(false).doc("Let ssh share connections."),
            Arg::bool("partial").default(false).doc("Keep what has come of a file when the transfer ends early."),
            Arg::bool("verify_host").default(false).doc("Check the other host's key."),
            Arg::bool("delay_updates").default(true).doc("Put files into place at the end; reads .rsync-filter files."),
            Arg::str("mode").default("push").choices(&["pull", "push"]).doc("pull: the task's host is the source."),
            Arg::list("link_dest", Type::Path).doc("Directories whose equal files become hard links."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Copy trees with rsync, between the controller (or the host of delegate_to) and the task's host.",
        run,
    }
}

/// Stands before each line of what rsync did, to tell it from what rsync says.
const MARK: &str = "<<CHANGED>>";

/// The command line, as a shell would read it.
fn command(ctx: &Ctx, a: &Args, src: &str, dest: &str) -> Result<String, Failure> {
    let rsync = a.str("_local_rsync_path");
    let rsync = if rsync.contains('/') { rsync.to_owned() } else { exec::need_program(ctx, rsync)? };
    let mut words: Vec<String> = vec![];
    if a.is_set("_local_rsync_password") {
        if exec::find_program(ctx, "sshpass").is_none() {
            return Err("to use rsync connection with passwords, you must install the sshpass program".into());
        }
        words.extend(["sshpass".into(), "-e".into()]);
    }
    words.push(shlex::quote(&rsync));
    let mut flag = |on: bool, text: &str| {
        if on {
            words.push(text.to_owned());
        }
    };
    flag(a.bool("delay_updates"), "--delay-updates");
    flag(a.bool("delay_updates"), "-F");
    flag(a.bool("compress"), "--compress");
    let seconds = a.int("rsync_timeout");
    flag(seconds != 0, &format!("--timeout={seconds}"));
    flag(ctx.check, "--dry-run");
    flag(a.bool("delete"), "--delete-after");
    flag(a.bool("existing_only"), "--existing");
    flag(a.bool("checksum"), "--checksum");
    flag(a.bool("copy_links"), "--copy-links");
    let archive = a.bool("archive");
    flag(archive, "--archive");
    for part in ["recursive", "links", "perms", "times", "owner", "group"] {
        match (archive, a.opt_bool(part)) {
            (true, Some(false)) => flag(true, &format!("--no-{part}")),
            (false, Some(true)) => flag(true, &format!("--{part}")),
            _ => {}
        }
    }
    flag(a.bool("dirs"), "--dirs");
    let daemon = src.starts_with("rsync://") || dest.starts_with("rsync://");
    if !daemon && (src.contains(':') || dest.contains(':')) {
        flag(true, &format!("--rsh={}", shlex::quote(&shell(ctx, a)?)));
    }
    if let Some(path) = a.opt_str("rsync_path").filter(|p| !p.is_empty()) {
        flag(true, &format!("--rsync-path={}", shlex::quote(path)));
    }
    for option in a.strings("rsync_opts") {
        flag(true, &option);
    }
    flag(a.bool("partial"), "--partial");
    let linked = link_dest(a, dest)?;
    flag(!linked.is_empty(), "-H");
    flag(!linked.is_empty(), "-vv");
    for dir in linked {
        flag(true, &format!("--link-dest={}", shlex::quote(&dir)));
    }
    flag(true, &format!("--out-format={}", shlex::quote(&format!("{MARK}%i %n%L"))));
    words.extend([shlex::quote(src), shlex::quote(dest)]);
    Ok(words.join(" "))
}

/// The ssh that rsync calls.
fn shell(ctx: &Ctx, a: &Args) -> Result<String, Failure> {
    let mut ssh = vec![exec::need_program(ctx, "ssh")?];
    if !a.bool("ssh_connection_multiplexing") {
        ssh.push("-S none".into());
    }
    if let Some(key) = a.opt_str("private_key") {
        ssh.push(format!("-i {}", shlex::quote(key)));
    }
    if let Some(port) = a.opt_int("dest_port") {
        ssh.push(format!("-o Port={port}"));
    }
    if !a.bool("verify_host") {
        ssh.push("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null".into());
    }
    if let Some(more) = a.opt_str("_ssh_args").filter(|s| !s.is_empty()) {
        ssh.push(more.to_owned());
    }
    Ok(ssh.join(" "))
}

/// The directories of `link_dest` in full, none of which may hold the destination.
fn link_dest(a: &Args, dest: &str) -> Result<Vec<String>, Failure> {
    let full = |p: &str| std::path::absolute(p).map_or_else(|_| p.to_owned(), |p| p.to_string_lossy().into_owned());
    let to = full(dest);
    let dirs: Vec<String> = a.strings("link_dest").iter().map(|d| full(d)).collect();
    if let Some(d) = dirs.iter().find(|d| to.starts_with(&format!("{}/", d.trim_end_matches('/')))) {
        return Err(format!("Hardlinking into a subdirectory of the source would cause recursion. {d} and {to}").into());
    }
    Ok(dirs)
}

/// `localhost:` of a path becomes the address from which this host was reached.
fn substituted(ctx: &Ctx, path: &str) -> Result<String, Failure> {
    let Some(rest) = path.strip_prefix("localhost:") else { return Ok(path.to_owned()) };
    let set = |name: &str| {
        let own = ctx.env.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        own.or_else(|| std::env::var(name).ok())?.split_whitespace().next().map(str::to_owned)
    };
    match set("SSH_CLIENT").or_else(|| set("SSH_CONNECTION")) {
        Some(address) => Ok(format!("{address}:{rest}")),
        None => Err("Could not determine controller hostname for rsync to send to".into()),
    }
}

/// Whether a marked line tells of a change; with `-vv` rsync lists what is as it was, too.
fn tells_change(line: &str) -> bool {
    line.contains(MARK)
        && !line.split(MARK).nth(1).is_some_and(|l| l.starts_with('.') && l.get(2..11) == Some("         "))
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let [mut src, mut dest] = ["src", "dest"].map(|k| a.str(k).to_owned());
    for (name, value) in [("src", &src), ("dest", &dest)] {
        if value.is_empty() {
            return Err(format!("missing required arguments: {name}").into());
        }
    }
    if a.bool("_substitute_controller") {
        src = substituted(ctx, &src)?;
        dest = substituted(ctx, &dest)?;
    }
    let line = command(ctx, a, &src, &dest)?;
    let mut rsync = Cmd::new(shlex::split(&line).map_err(Failure::uncaught)?);
    if let Some(password) = a.opt_str("_local_rsync_password") {
        rsync = rsync.env("SSHPASS", password);
    }
    let out = rsync.tried(ctx)?;
    if !out.ok() {
        return Err(Failure::new(out.err()).set("rc", out.rc).set("cmd", line));
    }
    let said = out.out();
    let clean = said.replace(MARK, "");
    let lines: Vec<&str> = clean.split('\n').filter(|l| !l.is_empty()).collect();
    let mut o = Outcome::changed(said.lines().any(tells_change))
        .msg(clean.as_str())
        .set("rc", out.rc)
        .set("cmd", line)
        .set("stdout_lines", lines);
    if a.strings("rsync_opts").iter().any(String::is_empty) {
        o = o.warn(
            "The empty string is present in rsync_opts which will cause rsync to transfer the current working \
             directory. If this is intended, use \".\" instead to get rid of this warning. If this is unintended, \
             check for problems in your playbook leading to empty string in rsync_opts.",
        );
    }
    if ctx.want_diff {
        o = o.with_diff(Diff { prepared: Some(clean), ..Diff::default() });
    }
    Ok(o)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::validate;
    use serde_json::json;

    /// The command line for these arguments, without the program and the format.
    fn line(args: Json) -> String {
        let given = args.as_object().cloned().unwrap_or_default();
        let a = validate(&module().spec, &given, "synchronize").expect("valid").args;
        let mut ctx = Ctx::bare();
        ctx.env = vec![("SSH_CLIENT".into(), "192.0.2.1 5 22".into())];
        let [src, dest] = ["src", "dest"].map(|k| substituted(&ctx, a.str(k)).expect("known"));
        let l = command(&ctx, &a, &src, &dest).map_err(|f| f.msg).unwrap_or_else(|m| m);
        l.replace("/opt/rsync ", "").replace(" --out-format='<<CHANGED>>%i %n%L'", "")
    }
    fn with(mut args: Json) -> String {
        for (k, v) in [("_local_rsync_path", "/opt/rsync"), ("src", "/a"), ("dest", "/b")] {
            if args.get(k).is_none() {
                args[k] = v.into();
            }
        }
        line(args)
    }

    #[test]
    fn command_lines() {
        assert_eq!(with(json!({})), "--delay-updates -F --compress --archive /a /b");
        let quiet = |mut more: Json| {
            more["delay_updates"] = false.into();
            more["compress"] = false.into();
            with(more)
        };
        assert_eq!(
            quiet(json!({"recursive": true, "owner": false, "group": false})),
            "--archive --no-owner --no-group /a /b"
        );
        assert_eq!(
            quiet(json!({"archive": false, "recursive": true, "owner": false, "links": true, "delete": true})),
            "--delete-after --recursive --links /a /b"
        );
        assert_eq!(
            quiet(json!({"rsync_opts": ["--exclude='a b'", "-v"], "partial": true, "rsync_path": "sudo -u x rsync"})),
            "--archive --rsync-path='sudo -u x rsync' --exclude='a b' -v --partial /a /b"
        );
        assert_eq!(quiet(json!({"dest": "rsync://h/m", "rsync_timeout": 3})), "--timeout=3 --archive /a rsync://h/m");
        assert_eq!(quiet(json!({"link_dest": ["/l"], "dest": "/lx"})), "--archive -H -vv --link-dest=/l /a /lx");
        assert_eq!(
            quiet(json!({"link_dest": ["/l"], "dest": "/l/x"})),
            "Hardlinking into a subdirectory of the source would cause recursion. /l and /l/x"
        );
    }

    #[test]
    fn the_other_host() {
        let ssh = exec::find_program(&Ctx::bare(), "ssh").unwrap_or_default();
        if ssh.is_empty() {
            return;
        }
        let args = |mut more: Json| {
            more["dest"] = "u@h:/b".into();
            with(more).replace(&ssh, "ssh").replace("--delay-updates -F --compress --archive ", "")
        };
        assert_eq!(
            args(json!({"dest_port": 22, "private_key": "/k k"})),
            "--rsh='ssh -S none -i '\"'\"'/k k'\"'\"' -o Port=22 -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null' /a u@h:/b"
        );
        assert_eq!(
            args(json!({"ssh_connection_multiplexing": true, "verify_host": true, "_ssh_args": "-C -v"})),
            "--rsh='ssh -C -v' /a u@h:/b"
        );
        let from = args(json!({"_substitute_controller": true, "src": "localhost:/a"}));
        assert!(from.ends_with(" 192.0.2.1:/a u@h:/b"), "{from}");
    }

    #[test]
    fn what_counts_as_a_change() {
        for yes in [
            "<<CHANGED>>>f+++++++++ a",
            "<<CHANGED>>.f...p..... a",
            "<<CHANGED>>hf          a",
            "<<CHANGED>>*deleting   a",
        ] {
            assert!(tells_change(yes), "{yes}");
        }
        for no in ["<<CHANGED>>.f          a", "<<CHANGED>>.d          ./", "sent 102 bytes"] {
            assert!(!tells_change(no), "{no}");
        }
    }
}
