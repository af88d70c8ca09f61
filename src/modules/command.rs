//! `command`: a program with arguments, no shell between. `shell` shares its code.

use super::support::exec::{self, Cmd, SpawnError};
use super::support::{glob, localtime, pytime, shlex};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, expand_path_with};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::path::PathBuf;
use std::time::Instant;

pub fn module() -> Module {
    Module {
        name: "command",
        collection: "ansible.builtin",
        spec: spec(false),
        check: Support::Partial,
        diff: Support::None,
        free_form: true,
        doc: "Run a program with arguments, without a shell.\n\n\
              In check mode the task is skipped, unless `creates` or `removes` tells what would happen.",
        run: |ctx, args| {
            let shell = args.bool("_uses_shell");
            let o = execute(ctx, args, shell)?;
            Ok(match args.opt_str("executable") {
                Some(x) if !shell => o.warn(format!(
                    "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. Not using '{x}'."
                )),
                _ => o,
            })
        },
    }
}

/// The arguments of `command` and `shell`.
pub(super) fn spec(shell: bool) -> Spec {
    Spec::new(vec![
        Arg::str("_raw_params").doc("The free-form command line."),
        Arg::bool("_uses_shell").default(shell).doc("Internal: run through a shell."),
        Arg::str("cmd").doc("The command line."),
        Arg::list("argv", Type::Str).doc("The program and its arguments as a list."),
        Arg::path("chdir").doc("Directory to change into first."),
        Arg::str("executable").doc("The shell to use (`shell` only)."),
        Arg::bool("expand_argument_vars").default(true).doc("Expand `$VAR` and `~` in arguments (`command` only)."),
        Arg::path("creates").doc("A path or pattern; if something matches, the command is not run."),
        Arg::path("removes").doc("A path or pattern; if nothing matches, the command is not run."),
        Arg::str("stdin").doc("Text for the standard input."),
        Arg::bool("stdin_add_newline").default(true).doc("End `stdin` with a newline."),
        Arg::bool("strip_empty_ends").default(true).doc("Strip line ends from the end of stdout and stderr."),
    ])
    .exclusive(&["_raw_params", "cmd", "argv"])
    .one_of(&["_raw_params", "cmd", "argv"])
}

/// Result keys in the order that Ansible's callbacks show them, filled in as the work goes on.
#[derive(Default)]
struct Answer {
    cmd: Json,
    rc: Json,
    stdout: String,
    stderr: String,
    start: Json,
    end: Json,
    delta: Json,
}

impl Answer {
    fn outcome(self, changed: bool, msg: &str) -> Outcome {
        Outcome::changed(changed)
            .set("stdout", self.stdout)
            .set("stderr", self.stderr)
            .set("rc", self.rc)
            .set("cmd", self.cmd)
            .set("start", self.start)
            .set("end", self.end)
            .set("delta", self.delta)
            .set("msg", msg)
    }
    fn failure(self, changed: bool, msg: &str) -> Failure {
        Failure { msg: msg.into(), data: self.outcome(changed, msg).data }.set("changed", changed)
    }
}

/// Runs the command line of `args`, through a shell or not.
pub(super) fn execute(ctx: &mut Ctx, args: &Args, shell: bool) -> ModResult {
    let line = args.opt_str("_raw_params").or(args.opt_str("cmd"));
    let argv = args.is_set("argv").then(|| args.strings("argv"));
    let mut answer = Answer::default();
    let words: Vec<String> = match &argv {
        Some(a) => a.clone(),
        None if shell => vec![],
        None => shlex::split(line.unwrap_or("")).map_err(Failure::new)?,
    };
    // nothing to run is found where it would be run: a condition or a check run comes first
    let nothing = argv.is_none() && if shell { line.unwrap_or("").is_empty() } else { words.is_empty() };
    if !nothing {
        answer.cmd = if shell && argv.is_none() { line.unwrap_or("").into() } else { words.clone().into() };
    }

    let base = enter(args, &mut answer).map_err(|e| *e)?;
    if let Some(skip) = guarded(ctx, args, &base) {
        answer.rc = 0.into();
        answer.stdout = skip.stdout;
        return Ok(answer.outcome(false, &skip.msg));
    }
    if ctx.check {
        answer.rc = 0.into();
        let known = args.is_set("creates") || args.is_set("removes");
        let o = answer.outcome(known, "Command would have run if not in check mode");
        return Ok(if known { o } else { o.set("skipped", true) });
    }
    if nothing {
        return Err(Failure::new("Argument 'args' to run_command must be list or string")
            .set("rc", 257)
            .set("cmd", Json::Null));
    }
    let cmd = build(ctx, args, shell, argv.is_some(), words, line);
    run_it(ctx, args, cmd, answer)
}

/// The directory the command runs in, checked first as the module would enter it.
fn enter(args: &Args, answer: &mut Answer) -> Result<PathBuf, Box<Failure>> {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let Some(dir) = args.opt_str("chdir") else { return Ok(here) };
    let bad = |e: std::io::Error, answer: &mut Answer| {
        let cause = exec::os_error(&e, dir).text;
        let f = std::mem::take(answer).failure(false, "Unable to change directory before execution.");
        Box::new(f.set("_ansible_cause", cause))
    };
    let full = here.join(dir);
    match std::fs::metadata(&full) {
        Err(e) => return Err(bad(e, answer)),
        Ok(m) if !m.is_dir() => return Err(bad(std::io::Error::from_raw_os_error(nix::libc::ENOTDIR), answer)),
        Ok(_) => {}
    }
    if let Err(e) = nix::unistd::access(&full, nix::unistd::AccessFlags::X_OK) {
        return Err(bad(std::io::Error::from_raw_os_error(e as i32), answer));
    }
    Ok(full)
}

struct Skip {
    stdout: String,
    msg: String,
}

/// Whether `creates` or `removes` says that there is nothing to do.
fn guarded(ctx: &Ctx, args: &Args, base: &std::path::Path) -> Option<Skip> {
    let word = if ctx.check { "Would" } else { "Did" };
    let found = |p: &str| !glob::glob(base, p).is_empty();
    if let Some(p) = args.opt_str("creates")
        && found(p)
    {
        return Some(Skip {
            stdout: format!("skipped, since {p} exists"),
            msg: format!("{word} not run command since '{p}' exists"),
        });
    }
    if let Some(p) = args.opt_str("removes")
        && !found(p)
    {
        return Some(Skip {
            stdout: format!("skipped, since {p} does not exist"),
            msg: format!("{word} not run command since '{p}' does not exist"),
        });
    }
    None
}

fn build(ctx: &Ctx, args: &Args, shell: bool, from_list: bool, words: Vec<String>, line: Option<&str>) -> Cmd {
    let mut cmd = if shell {
        let text = if from_list { shlex::join(&words) } else { line.unwrap_or("").to_string() };
        Cmd::new([args.opt_str("executable").unwrap_or("/bin/sh"), "-c", &text])
    } else if args.bool("expand_argument_vars") {
        let env = |n: &str| {
            let set = ctx.env.iter().rev().find(|(k, _)| k == n).map(|(_, v)| v.clone());
            set.or_else(|| std::env::var(n).ok())
        };
        Cmd::new(words.iter().map(|w| expand_path_with(w, &env)))
    } else {
        Cmd::new(words)
    };
    if let Some(d) = args.opt_str("chdir") {
        cmd = cmd.cwd(d);
    }
    if let Some(text) = args.opt_str("stdin") {
        let end = if args.bool("stdin_add_newline") { "\n" } else { "" };
        cmd = cmd.stdin(format!("{text}{end}"));
    }
    cmd
}

fn run_it(ctx: &mut Ctx, args: &Args, cmd: Cmd, mut answer: Answer) -> ModResult {
    let (start, clock) = (localtime::now(), Instant::now());
    let done = cmd.run(ctx);
    let (delta, end) = (clock.elapsed(), Timestamp::now().to_zoned(start.time_zone().clone()));
    let out = match done {
        Ok(o) => o,
        Err(e) => return Err(not_started(e, &cmd)),
    };
    let text = |s: String| {
        if args.bool("strip_empty_ends") { s.trim_end_matches(['\r', '\n']).to_string() } else { s }
    };
    answer.stdout = text(out.out());
    answer.stderr = text(out.err());
    answer.rc = out.rc.into();
    answer.start = pytime::datetime(&start).into();
    answer.end = pytime::datetime(&end).into();
    answer.delta = pytime::timedelta(delta).into();
    if out.rc != 0 { Err(answer.failure(true, "non-zero return code")) } else { Ok(answer.outcome(true, "")) }
}

fn not_started(e: SpawnError, cmd: &Cmd) -> Failure {
    let rc = if e.errno == 0 { 257 } else { e.errno };
    Failure::new("Error executing command.")
        .set("cmd", cmd.shown())
        .set("rc", rc)
        .set("stdout", "")
        .set("stderr", "")
        .set("_ansible_cause", e.text)
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::{Map, Value as Json, json};

    fn call(module: &str, args: Json, check: bool) -> Map<String, Json> {
        let mut ctx = Ctx { check, ..Ctx::bare() };
        let args = args.as_object().cloned().unwrap_or_default();
        run(find(module).expect("registered"), &mut ctx, &args)
    }

    #[test]
    fn runs_without_a_shell() {
        let r = call("command", json!({"_raw_params": "printf '%s|' a \"b c\" ; $NO_SUCH_VAR"}), false);
        assert_eq!((&r["stdout"], &r["rc"], &r["changed"]), (&json!("a|b c|;|$NO_SUCH_VAR|"), &json!(0), &json!(true)));
        assert_eq!(r["cmd"], json!(["printf", "%s|", "a", "b c", ";", "$NO_SUCH_VAR"]));
    }

    #[test]
    fn failures_keep_ansibles_keys() {
        let r = call("command", json!({"_raw_params": "no-such-program a"}), false);
        assert_eq!((&r["rc"], &r["msg"]), (&json!(2), &json!("Error executing command.")));
        assert_eq!(r["_ansible_cause"], "[Errno 2] No such file or directory: b'no-such-program'");
        let r = call("shell", json!({"_raw_params": "echo x; exit 4"}), false);
        assert_eq!((&r["rc"], &r["failed"], &r["changed"]), (&json!(4), &json!(true), &json!(true)));
        let r = call("command", json!({"_raw_params": "ls", "chdir": "/no/such"}), false);
        assert_eq!((&r["rc"], &r["msg"]), (&Json::Null, &json!("Unable to change directory before execution.")));
    }

    #[test]
    fn check_mode_predicts() {
        let r = call("command", json!({"_raw_params": "false"}), true);
        assert_eq!((&r["skipped"], &r["changed"]), (&json!(true), &json!(false)));
        let r = call("command", json!({"_raw_params": "false", "creates": "/no/such"}), true);
        assert_eq!((r.get("skipped"), &r["changed"]), (None, &json!(true)));
        let r = call("command", json!({"_raw_params": "false", "creates": "passw*", "chdir": "/etc"}), true);
        assert_eq!(r["msg"], "Would not run command since 'passw*' exists");
    }

    #[test]
    fn the_tasks_environment_reaches_the_command() {
        let mut ctx = Ctx { env: vec![("DIRIGO_T".into(), "v".into())], ..Ctx::bare() };
        let args = json!({"_raw_params": "echo $DIRIGO_T"}).as_object().cloned().unwrap_or_default();
        assert_eq!(run(find("command").expect("registered"), &mut ctx, &args)["stdout"], "v");
    }
}
