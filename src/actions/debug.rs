//! `debug`: shows a message or a variable.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::template::is_omit;
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
    // message and variable are rendered only if they are shown; one of them may turn out to be left out
    let both = ctx.raw_args.contains_key("msg") && ctx.raw_args.contains_key("var");
    let text = |k: &Key| (k.clone(), Value::plain(""));
    let named = |k: &&Key| !(k.as_str() == Some("verbosity") || both && k.as_str() == Some("var"));
    ctx.args = ctx.raw_args.keys().filter(named).map(text).chain(level).collect();
    if ctx.validated(&spec())?.int("verbosity") > i64::from(ctx.verbosity) {
        return Ok(Done::new(false).set("skipped", true).set("skipped_reason", "Verbosity threshold not met."));
    }
    let given = |name: &str| -> Result<Option<Value>, ActionError> {
        let rendered = ctx.raw_args.get(name).map(|v| ctx.engine.render(v, ctx.scope)).transpose()?;
        Ok(rendered.filter(|v| !is_omit(v)))
    };
    let (msg, var) = (given("msg")?, given("var")?.filter(|v| !v.is_null() && v.as_str() != Some("")));
    if msg.as_ref().is_some_and(|m| !m.is_null()) && var.is_some() {
        return Err(Error::general("parameters are mutually exclusive: msg|var").into());
    }
    let mut done = Done::default();
    if let Some(expr) = &var {
        show(ctx, expr, &mut done)?;
    } else {
        let msg = msg.unwrap_or_else(|| NO_MESSAGE.into());
        done.data.insert("msg".into(), msg);
    }
    done.verbose_always = true;
    Ok(done)
}

/// Shows what an expression leads to; what is undefined in it is told in its place, with a warning.
fn show(ctx: &ActionCtx, expr: &Value, done: &mut Done) -> Result<(), ActionError> {
    let Value::Str(name) = expr else {
        return Err(Error::general(format!(
            "argument 'var' is of type {} and we were unable to convert to _check_type_str_no_conversion: '{}' is not a string and conversion is not allowed",
            expr.type_name(),
            expr.to_str()
        ))
        .into());
    };
    let (mut value, errors) = ctx.engine.eval_shown(expr, ctx.scope).map_err(|e| e.at(name.origin))?;
    let mut warning = None;
    if is_omit(&value) {
        value = "<<Omit>>".into();
        warning =
            Some("The result of the `var` expression could not be omitted; a placeholder was used instead.".into());
    } else if !errors.is_empty() {
        let s = if errors.len() == 1 { "" } else { "s" };
        let told: Vec<String> = errors.iter().enumerate().map(|(i, e)| format!("error {} - {e}", i + 1)).collect();
        warning = Some(format!("Encountered {} template error{s}.\n{}", errors.len(), told.join("\n")));
    }
    if let Some(text) = warning {
        ctx.scope.files.warn.say(&Error::template(text.clone()).at(name.origin).in_full());
    }
    done.data.insert(name.text.clone().into(), value);
    Ok(())
}
