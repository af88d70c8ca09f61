//! `assert` and `fail`.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::{Arg, Spec, Type};
use crate::value::{Key, Value};

pub fn assert() -> Action {
    Action { name: "assert", spec: Some(assert_spec), raw: true, local: true, run: run_assert }
}
pub fn fail() -> Action {
    Action { name: "fail", spec: Some(fail_spec), raw: false, local: true, run: run_fail }
}

fn assert_spec() -> Spec {
    Spec::new(vec![
        Arg::list("that", Type::Raw).required().doc("Conditions as in `when`."),
        Arg::raw("fail_msg").aliases(&["msg"]).doc("Message of a failure."),
        Arg::raw("success_msg").doc("Message of a success."),
        Arg::bool("quiet").default(false).doc("Show only failures."),
    ])
}
fn fail_spec() -> Spec {
    Spec::new(vec![Arg::raw("msg").default("Failed as requested from task").doc("The message.")])
}

fn message(ctx: &ActionCtx, names: &[&str], default: &str) -> Result<Value, ActionError> {
    for n in names {
        if let Some(v) = ctx.raw_args.get(*n) {
            let v = ctx.engine.render(v, ctx.scope)?;
            return match &v {
                Value::Str(_) => Ok(v),
                Value::List(l) if l.iter().all(|x| x.as_str().is_some()) => Ok(v),
                _ => Err(Error::general(format!(
                    "argument '{n}' is of type {} and we were unable to convert to str_or_list_of_str: a string or list \
                     of strings is required",
                    v.type_name()
                ))
                .into()),
            };
        }
    }
    Ok(default.into())
}

fn run_assert(ctx: &mut ActionCtx) -> ActionResult {
    let spec = assert_spec();
    let Some(that) = ctx.raw_args.get("that") else {
        return Err(Error::general("missing required arguments: that").into());
    };
    let quiet = ctx.rendered("quiet")?.map(|v| (Key::from("quiet"), v));
    // the texts are rendered below, and conditions are not rendered at all
    let text = |k: &Key| (k.clone(), Value::plain(""));
    ctx.args = ctx.raw_args.keys().filter(|k| k.as_str() != Some("quiet")).map(text).chain(quiet).collect();
    let quiet = ctx.validated(&spec)?.bool("quiet");
    let fail_msg = message(ctx, &["fail_msg", "msg"], "Assertion failed")?;
    let success_msg = message(ctx, &["success_msg"], "All assertions passed")?;
    // a template that yields a list of conditions is rendered; conditions themselves are evaluated, not rendered
    let list: Vec<Value> = match that {
        Value::List(l) => l.to_vec(),
        v => match ctx.engine.render(v, ctx.scope) {
            Ok(Value::List(l)) if v.needs_render() => l.to_vec(),
            _ => vec![v.clone()],
        },
    };
    for cond in &list {
        if !ctx.engine.condition(cond, ctx.scope)? {
            let mut d = Done::new(false)
                .set("failed", true)
                .set("evaluated_to", false)
                .set("assertion", cond.untrusted())
                .set("msg", fail_msg);
            d.verbose_always = !quiet;
            return Ok(d);
        }
    }
    let mut d = Done::new(false).set("msg", success_msg);
    d.verbose_always = !quiet;
    Ok(d)
}

fn run_fail(ctx: &mut ActionCtx) -> ActionResult {
    ctx.only(&fail_spec())?;
    let msg = ctx.args.get("msg").cloned().unwrap_or_else(|| "Failed as requested from task".into());
    Ok(Done::new(false).set("failed", true).set("msg", msg))
}
