//! `raw`: a command over the connection, without the agent.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::diag::Error;
use crate::modules::support::shlex::quote;
use crate::modules::{Arg, Spec};
use crate::transport::RawOutput;
use crate::value::Value;

pub fn action() -> Action {
    Action { name: "raw", spec: Some(spec), raw: false, local: false, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::str("_raw_params").doc("The command, as the login shell of the host reads it."),
        Arg::str("executable").doc("Absolute path of the shell to run it with."),
    ])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let command = ctx.arg_str("_raw_params").filter(|c| !c.is_empty());
    let Some(command) = command else { return Err(Error::general("no command given").into()) };
    if ctx.check {
        return Ok(Done::new(false).set("skipped", true));
    }
    let line = match ctx.arg_str("executable").filter(|e| !e.is_empty()) {
        Some(e) => format!("{e} -c {}", quote(&command)),
        None => command,
    };
    let RawOutput { rc, stdout, stderr } = ctx.remote.raw(&line, None)?;
    let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
    let (out, err) = (text(stdout), text(stderr));
    let lines = |t: &str| Value::list(crate::pylines::lines(t).into_iter().map(Value::plain).collect());
    let done = Done::new(true)
        .set("rc", i64::from(rc))
        .set("stdout_lines", lines(&out))
        .set("stdout", out)
        .set("stderr_lines", lines(&err))
        .set("stderr", err);
    Ok(if rc == 0 { done } else { done.set("failed", true).set("msg", "non-zero return code") })
}
