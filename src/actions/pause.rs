//! `pause`: waits for a time, or for the operator.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::diag::{Error, Kind};
use crate::modules::{Arg, Spec};
use crate::value::Value;
use std::io::{BufRead, IsTerminal};
use std::time::Instant;

pub fn action() -> Action {
    Action { name: "pause", spec: Some(spec), raw: false, local: true, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::raw("minutes").doc("Minutes to wait."),
        Arg::raw("seconds").doc("Seconds to wait."),
        Arg::str("prompt").doc("The text shown."),
        Arg::bool("echo").default(true).doc("Whether what is typed is shown."),
    ])
    .exclusive(&["minutes", "seconds"])
}

fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

fn number(v: &Value, name: &str) -> Result<f64, Error> {
    let whole = match v {
        Value::Float(f) => Some(f.trunc()),
        other => other.to_str().trim().parse::<i64>().ok().map(|n| n as f64),
    };
    whole.ok_or_else(|| {
        Error::general(format!(
            "argument '{name}' is of type {} and we were unable to convert to int: invalid literal for int() with base \
             10: {}",
            v.type_name(),
            v.repr()
        ))
    })
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    ctx.validated(&spec())?;
    let minutes = ctx.args.get("minutes").filter(|v| !v.is_null()).map(|v| number(v, "minutes")).transpose()?;
    let seconds = ctx.args.get("seconds").filter(|v| !v.is_null()).map(|v| number(v, "seconds")).transpose()?;
    let wait = minutes.map(|m| m.trunc() * 60.0).or(seconds.map(f64::trunc));
    let echo = ctx.arg_bool("echo", true);
    let prompt = ctx.arg_str("prompt");
    let (start, began) = (now(), Instant::now());
    let mut typed = String::new();
    match wait {
        Some(s) => {
            let s = s.max(1.0) as u64;
            (ctx.display)(format!("Pausing for {s} seconds{}", if echo { "" } else { " (output is hidden)" }));
            if let Some(p) = &prompt {
                (ctx.display)(format!("[{}]\n{p}{}", ctx.task_name, if echo { ":" } else { " (output is hidden):" }));
            }
            std::thread::sleep(crate::seconds::whole(s));
        }
        None => {
            let text = prompt.as_deref().unwrap_or("Press enter to continue, Ctrl+C to interrupt");
            (ctx.display)(format!("[{}]\n{text}{}", ctx.task_name, if echo { ":" } else { " (output is hidden):" }));
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                stdin.lock().read_line(&mut typed).map_err(|e| Error::new(Kind::Interrupted, e.to_string()))?;
            } else {
                (ctx.display)("[WARNING]: Not waiting for response to prompt as stdin is not interactive".into());
            }
        }
    }
    let passed = began.elapsed();
    let (n, unit) = match minutes {
        Some(_) => (passed.as_secs_f64() / 60.0, "minutes"),
        None => (passed.as_secs_f64(), "seconds"),
    };
    let n = (n * 100.0).round() / 100.0;
    Ok(Done::new(false)
        .set("rc", Value::Int(0))
        .set("stderr", "")
        .set("stdout", format!("Paused for {} {unit}", crate::value::py_float(n)))
        .set("start", start)
        .set("stop", now())
        .set("delta", Value::Int(passed.as_secs().into()))
        .set("echo", echo)
        .set("user_input", typed.trim_end_matches(['\n', '\r'])))
}
