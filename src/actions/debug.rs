//! `debug`: shows a message or a variable.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::value::{Key, Value};

/// What is shown where there is no message.
const NO_MESSAGE: &str = "Hello world!";

pub fn action() -> Action {
    Action { name: "debug", spec: Some(spec), raw: true, local: true, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::raw("msg").doc("What to show."),
        Arg::raw("var").doc("The variable (or expression) to show."),
        Arg::int("verbosity").default(0).doc("Show only from this many -v on."),
    ])
    .exclusive(&["msg", "var"])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let level = ctx.rendered("verbosity")?.map(|v| (Key::from("verbosity"), v));
    // message and variable are rendered only if they are shown
    let text = |k: &Key| (k.clone(), Value::plain(""));
    ctx.args = ctx.raw_args.keys().filter(|k| k.as_str() != Some("verbosity")).map(text).chain(level).collect();
    if ctx.validated(&spec())?.int("verbosity") > i64::from(ctx.verbosity) {
        return Ok(Done::new(false).set("skipped", true).set("skipped_reason", "Verbosity threshold not met."));
    }
    let mut done = Done::new(false);
    if let Some(m) = ctx.raw_args.get("msg") {
        let text = ctx.engine.render(m, ctx.scope)?;
        done.data.insert("msg".into(), if crate::template::is_omit(&text) { NO_MESSAGE.into() } else { text });
    } else if let Some(var) = ctx.raw_args.get("var") {
        let expr = ctx.engine.render(var, ctx.scope)?;
        let Value::Str(name) = &expr else {
            return Err(Error::general(format!(
                "argument 'var' is of type {} and we were unable to convert to _check_type_str_no_conversion: '{}' is not a string and conversion is not allowed",
                expr.type_name(),
                expr.to_str()
            ))
            .into());
        };
        let value = ctx.engine.eval_for_show(&expr, ctx.scope).map_err(|e| e.at(name.origin))?;
        let key = name.text.to_string();
        done.data.insert(key.into(), value);
    } else {
        done.data.insert("msg".into(), NO_MESSAGE.into());
    }
    done.verbose_always = true;
    Ok(done)
}
