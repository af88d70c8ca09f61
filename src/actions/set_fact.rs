//! `set_fact` and `set_stats`.

use super::{Action, ActionCtx, ActionError, ActionResult, Done, Effect};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::playbook::{is_identifier, parse_kv};
use crate::value::{Key, Map, Value};

pub fn set_fact() -> Action {
    Action { name: "set_fact", spec: None, raw: false, local: true, run: run_set_fact }
}
pub fn set_stats() -> Action {
    Action { name: "set_stats", spec: Some(stats_spec), raw: false, local: true, run: run_set_stats }
}

fn stats_spec() -> Spec {
    Spec::new(vec![
        Arg::dict("data").required().doc("Names and values."),
        Arg::bool("per_host").default(false).doc("Kept for each host rather than for the run."),
        Arg::bool("aggregate").default(true).doc("Added to what is there, rather than put in its place."),
    ])
}

/// Facts from the rendered arguments; text of the form `a=1 b=2` is taken apart.
fn pairs(ctx: &ActionCtx) -> Result<Map, Error> {
    let mut vars = Map::new();
    for (k, v) in &ctx.args {
        let name = k.to_string();
        match name.as_str() {
            "cacheable" => {}
            "_raw_params" => {
                vars.extend(parse_kv(&v.to_str(), false, false, None)?.into_iter().map(|(k, v)| (k, v.untrusted())))
            }
            _ => drop(vars.insert(k.clone(), v.clone())),
        }
    }
    Ok(vars)
}

fn run_set_fact(ctx: &mut ActionCtx) -> ActionResult {
    let vars = pairs(ctx)?;
    if vars.is_empty() {
        return Err(
            Error::general("No key/value pairs provided, at least one is required for this action to succeed").into()
        );
    }
    for k in vars.keys() {
        if !k.as_str().is_some_and(is_identifier) {
            return Err(bad_name(ctx, k));
        }
    }
    let cacheable = ctx.arg_bool("cacheable", false);
    let done = Done::new(false).set("ansible_facts", Value::map(vars.clone()));
    let done = if cacheable { done.set("_ansible_facts_cacheable", true) } else { done };
    Ok(done.effect(Effect::SetFacts { vars, cacheable }))
}

fn bad_name(ctx: &ActionCtx, name: &Key) -> ActionError {
    let kind = match name.to_value() {
        Value::Str(_) => String::new(),
        other => format!(" of type '{}'", other.type_name()),
    };
    let shown = name.to_value().to_str();
    let e = Error::general(format!("Invalid variable name '{shown}'{kind}.")).at(ctx.task_span.find(&name.to_string()));
    ActionError::Raised(e.help(
        "Variable names must be strings starting with a letter or underscore character, and contain only letters, \
         numbers and underscores.",
    ))
}

fn run_set_stats(ctx: &mut ActionCtx) -> ActionResult {
    ctx.only(&stats_spec())?;
    let data = match ctx.args.get("data") {
        Some(Value::Map(m)) => (**m).clone(),
        _ => return Ok(Done::failed("The 'data' option needs to be a dictionary/hash")),
    };
    if let Some(k) = data.keys().find(|k| !k.as_str().is_some_and(is_identifier)) {
        return Err(bad_name(ctx, k));
    }
    let per_host = ctx.arg_bool("per_host", false);
    let aggregate = ctx.arg_bool("aggregate", true);
    let mut stats = Map::new();
    stats.insert("data".into(), Value::map(data.clone()));
    stats.insert("per_host".into(), per_host.into());
    stats.insert("aggregate".into(), aggregate.into());
    Ok(Done::new(false).set("ansible_stats", Value::map(stats)).effect(Effect::SetStats { data, per_host, aggregate }))
}
