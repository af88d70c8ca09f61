//! `reboot`: restarts the host, waits until it has booted anew and runs commands again.

use super::wait_for_connection::until;
use super::{Action, ActionCtx, ActionResult, Done, Remote};
use crate::modules::support::shlex::{quote, split};
use crate::modules::{Arg, Args, Spec, Type};
use crate::proto::Request;
use crate::seconds;
use crate::transport::CallError;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

/// Between two looks at a host that is booting.
const PAUSE: Duration = Duration::from_secs(1);

pub fn action() -> Action {
    Action { name: "reboot", spec: Some(spec), raw: false, local: false, run }
}

fn spec() -> Spec {
    let paths = json!(["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"]);
    Spec::new(vec![
        Arg::int("pre_reboot_delay")
            .default(0)
            .aliases(&["pre_reboot_delay_sec"])
            .doc("Seconds before the reboot, rounded down to minutes."),
        Arg::int("post_reboot_delay")
            .default(0)
            .aliases(&["post_reboot_delay_sec"])
            .doc("Seconds to wait after the reboot command before the host is looked at."),
        Arg::int("reboot_timeout")
            .default(600)
            .aliases(&["reboot_timeout_sec"])
            .doc("Seconds for the boot, and again for the test command."),
        Arg::int("connect_timeout")
            .aliases(&["connect_timeout_sec"])
            .doc("Seconds for one attempt to connect; by default the connection's own."),
        Arg::str("test_command").default("whoami").doc("Command that succeeds when the host is ready."),
        Arg::str("msg").default("Reboot initiated by Ansible").doc("Message to the users of the host."),
        Arg { default: Some(paths), ..Arg::list("search_paths", Type::Path) }
            .doc("Directories in which `shutdown` is looked for."),
        Arg::str("boot_time_command")
            .default("cat /proc/sys/kernel/random/boot_id")
            .doc("Command whose output differs after every boot."),
        Arg::str("reboot_command").doc("Command that reboots, instead of `shutdown`."),
    ])
}

/// A failure in the middle of the way, with what Ansible tells beside it.
struct Stop {
    msg: String,
    rebooted: bool,
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let began = Instant::now();
    let answer = |d: Done, rebooted: bool| d.set("elapsed", began.elapsed().as_secs() as i64).set("rebooted", rebooted);
    if ctx.remote.is_local() {
        let text = "Running reboot with local connection would reboot the control node.";
        return Ok(answer(Done::failed(text), false));
    }
    ctx.only(&spec())?;
    let args = ctx.validated(&spec())?;
    if ctx.check {
        return Ok(answer(Done::new(true), true));
    }
    match reboot(ctx, &args) {
        Ok(()) => Ok(answer(Done::new(true), true)),
        Err(Reason::Stop(s)) => Ok(answer(Done::failed(s.msg), s.rebooted)),
        Err(Reason::Call(e)) => Err(e.into()),
    }
}

enum Reason {
    Stop(Stop),
    Call(CallError),
}

fn stop(msg: String, rebooted: bool) -> Reason {
    Reason::Stop(Stop { msg, rebooted })
}

fn reboot(ctx: &ActionCtx, args: &Args) -> Result<(), Reason> {
    let before = boot_id(ctx.remote, args).map_err(|e| match e {
        Trouble::Call(e) => Reason::Call(e),
        Trouble::Command(o) => stop(
            format!(
                "failed to get host boot time info, rc: {}, stdout: {}, stderr: {}",
                o.rc,
                o.stdout.trim(),
                o.stderr.trim()
            ),
            false,
        ),
    })?;
    let command = command(ctx, args)?;
    match shell(ctx.remote, &command) {
        // Going down faster than the answer comes is no failure.
        Ok(o) if o.rc == 0 => {}
        Err(CallError::Unreachable(_) | CallError::Failed(_)) => {}
        Err(e) => return Err(Reason::Call(e)),
        Ok(o) => {
            let words = format!("{}, {}", o.stdout.trim(), o.stderr.trim());
            return Err(stop(format!("Reboot command failed. Error was: '{words}'"), false));
        }
    }
    std::thread::sleep(seconds::whole(args.int("post_reboot_delay")));
    let limit = seconds::whole(args.int("reboot_timeout"));
    let remote = args.opt_int("connect_timeout").filter(|t| *t > 0).map(|t| ctx.remote.within(t as u64));
    let remote = remote.as_deref().unwrap_or(ctx.remote);
    let deadline = || Instant::now() + limit;
    until(deadline(), PAUSE, || {
        remote.reset();
        match boot_id(remote, args) {
            Ok(now) if now != before => Ok(()),
            Ok(_) => Err("boot time has not changed".into()),
            Err(Trouble::Call(e)) => Err(e.to_string()),
            Err(Trouble::Command(o)) => Err(o.stderr),
        }
    })
    .map_err(|_| stop(format!("Timed out waiting for last boot time check (timeout={})", limit.as_secs()), true))?;
    until(deadline(), PAUSE, || match shell(remote, args.str("test_command")) {
        Ok(o) if o.rc == 0 => Ok(()),
        Ok(o) => Err(o.stderr),
        Err(e) => {
            remote.reset();
            Err(e.to_string())
        }
    })
    .map_err(|_| stop(format!("Timed out waiting for post-reboot test command (timeout={})", limit.as_secs()), true))
}

/// The command that reboots this host.
fn command(ctx: &ActionCtx, args: &Args) -> Result<String, Reason> {
    let paths = args.strings("search_paths");
    if let Some(given) = args.opt_str("reboot_command").filter(|c| !c.trim().is_empty()) {
        // Without a path, the program is looked for as shutdown is.
        let program = split(given).ok().and_then(|w| w.into_iter().next()).unwrap_or_default();
        if program.starts_with('/') {
            return Ok(given.into());
        }
        let full = find(ctx, &paths, &program)?.ok_or_else(|| missing(&program, &paths))?;
        return Ok(given.replacen(&program, &full, 1));
    }
    let minutes = args.int("pre_reboot_delay").max(0) / 60;
    if let Some(full) = find(ctx, &paths, "shutdown")? {
        return Ok(format!("{} -r {minutes} {}", quote(&full), quote(args.str("msg"))));
    }
    match find(ctx, &paths, "systemctl")? {
        Some(full) => Ok(format!("{} reboot", quote(&full))),
        None => Err(missing("shutdown", &paths)),
    }
}

fn missing(program: &str, paths: &[String]) -> Reason {
    stop(format!("Unable to find command \"{program}\" in search paths: {paths:?}"), false)
}

/// The first of the directories on the host that has this program.
fn find(ctx: &ActionCtx, paths: &[String], program: &str) -> Result<Option<String>, Reason> {
    let tests: Vec<String> = paths
        .iter()
        .map(|d| quote(&format!("{}/{program}", d.trim_end_matches('/'))))
        .map(|p| format!("if [ -x {p} ]; then echo {p}; exit 0; fi"))
        .collect();
    let o = shell(ctx.remote, &tests.join("\n")).map_err(Reason::Call)?;
    Ok(Some(o.stdout.trim().to_string()).filter(|p| !p.is_empty()))
}

struct Output {
    rc: i64,
    stdout: String,
    stderr: String,
}

enum Trouble {
    Call(CallError),
    Command(Output),
}

fn boot_id(remote: &dyn Remote, args: &Args) -> Result<String, Trouble> {
    let o = shell(remote, args.str("boot_time_command")).map_err(Trouble::Call)?;
    match o.rc {
        0 => Ok(o.stdout.trim().to_string()),
        _ => Err(Trouble::Command(o)),
    }
}

fn shell(remote: &dyn Remote, line: &str) -> Result<Output, CallError> {
    let args = match json!({ "_raw_params": line }) {
        Json::Object(m) => m,
        _ => Default::default(),
    };
    let r = remote.call(Request { module: "shell".into(), args, ..Request::default() }, None, None)?.result;
    let text = |k: &str| r.get(k).and_then(Json::as_str).unwrap_or("").to_string();
    let failed = r.get("failed").and_then(Json::as_bool).unwrap_or(false);
    let rc = r.get("rc").and_then(Json::as_i64).unwrap_or(i64::from(failed));
    // Without an exit code the command could not even be started.
    let stderr = if r.get("rc").is_none() { text("msg") } else { text("stderr") };
    Ok(Output { rc, stdout: text("stdout"), stderr })
}
