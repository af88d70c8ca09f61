//! `pause`: waits for a time, or for the operator.

use super::terminal::{Keys, Line, is_interactive};
use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::value::Value;
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
    let wait = minutes.map(|m| m.trunc() * 60.0).or(seconds.map(f64::trunc)).map(|s| s.max(1.0) as u64);
    let echo = ctx.arg_bool("echo", true);
    let prompt = ctx.arg_str("prompt");
    let (start, began) = (now(), Instant::now());
    let asked = ask(ctx, wait, echo, prompt.as_deref())?;
    let passed = began.elapsed();
    let (n, unit) = match seconds {
        Some(_) => (passed.as_secs_f64(), "seconds"),
        None => (passed.as_secs_f64() / 60.0, "minutes"),
    };
    let n = (n * 100.0).round() / 100.0;
    let mut done = Done::new(false);
    if asked.is_none() {
        let told = "Not waiting for response to prompt as stdin is not interactive";
        done = done.set("warnings", Value::list(vec![told.into()]));
    }
    Ok(done
        .set("rc", Value::Int(0))
        .set("stderr", "")
        .set("stdout", format!("Paused for {} {unit}", crate::value::py_float(n)))
        .set("start", start)
        .set("stop", now())
        .set("delta", Value::Int(passed.as_secs().into()))
        .set("echo", echo)
        .set("user_input", asked.unwrap_or_default()))
}

/// Waits; answers what was typed, or nothing where nobody is there to ask.
/// Errors: the operator aborts.
fn ask(ctx: &ActionCtx, wait: Option<u64>, echo: bool, prompt: Option<&str>) -> Result<Option<String>, ActionError> {
    const KEYS: &str = "(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)\r";
    let hidden = if echo { "" } else { " (output is hidden)" };
    let terminal = is_interactive();
    let text = |p: &str| format!("[{}]\n{p}{hidden}:", ctx.task_name);
    if let Some(s) = wait {
        (ctx.display)(format!("Pausing for {s} seconds{hidden}"));
        if terminal || prompt.is_some() {
            (ctx.display)(KEYS.into());
        }
        if let Some(p) = prompt.filter(|_| terminal) {
            (ctx.display)(text(p));
        }
    } else if terminal {
        (ctx.display)(text(prompt.unwrap_or("Press enter to continue, Ctrl+C to interrupt")));
    }
    let deadline = wait.map(|s| Instant::now() + crate::seconds::whole(s));
    if !terminal {
        std::thread::sleep(wait.map(crate::seconds::whole).unwrap_or_default());
        return Ok(wait.map(|_| String::new()));
    }
    let keys = Keys::take().map_err(Error::from)?;
    match keys.line(echo, deadline).map_err(Error::from)? {
        Line::Typed(line) => return Ok(Some(line)),
        Line::Late => return Ok(Some(String::new())),
        Line::Interrupted => {}
    }
    (ctx.display)("Press 'C' to continue the play or 'A' to abort \r".into());
    match keys.choice(b"ac").map_err(Error::from)? {
        b'a' => Err(ActionError::Raised(Error::general("user requested abort!"))),
        _ => Ok(Some(String::new())),
    }
}
