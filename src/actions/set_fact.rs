//! `set_fact` and `set_stats`.

use super::{Action, ActionCtx, ActionError, ActionResult, Done, Effect};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::playbook::is_identifier;
use crate::value::{Key, Map, Value};

pub fn set_fact() -> Action {
    Action { name: "set_fact", spec: None, raw: false, local: true, run: run_set_fact }
}
pub fn set_stats() -> Action {
    Action { name: "set_stats", spec: Some(stats_spec), raw: false, local: true, run: run_set_stats }
}

fn stats_spec() -> Spec {
    Spec::new(vec![
        Arg::dict("data").doc("Names and values."),
        Arg::bool("per_host").default(false).doc("Kept for each host rather than for the run."),
        Arg::bool("aggregate").default(true).doc("Added to what is there, rather than put in its place."),
    ])
}

fn run_set_fact(ctx: &mut ActionCtx) -> ActionResult {
    let vars: Map =
        ctx.args.iter().filter(|(k, _)| k.as_str() != Some("cacheable")).map(|(k, v)| (k.clone(), v.clone())).collect();
    if vars.is_empty() {
        return Err(
            Error::general("No key/value pairs provided, at least one is required for this action to succeed").into()
        );
    }
    check_names(ctx, &vars)?;
    let cacheable = match ctx.args.get("cacheable").filter(|v| !v.is_null()) {
        None => false,
        Some(v) => v
            .to_bool_loose()
            .ok_or_else(|| ActionError::Raised(Error::general(crate::modules::not_a_boolean(&v.to_str()))))?,
    };
    let done = Done::default().set("ansible_facts", Value::map(vars.clone()));
    let done = if cacheable { done.set("_ansible_facts_cacheable", true) } else { done };
    Ok(done.effect(Effect::SetFacts { vars, cacheable }))
}

fn run_set_stats(ctx: &mut ActionCtx) -> ActionResult {
    ctx.only(&stats_spec())?;
    let mut data = Map::new();
    match ctx.args.get("data") {
        None | Some(Value::Null) => {}
        Some(Value::Map(m)) => {
            for (k, v) in m.iter() {
                let name = match k.as_str() {
                    Some(s) if crate::value::has_delimiter(s) => {
                        let made = ctx.engine.render(&Value::trusted(s, None), ctx.scope)?;
                        Key::from_value(&made).unwrap_or_else(|| made.repr().into())
                    }
                    _ => k.clone(),
                };
                data.insert(name, v.clone());
            }
        }
        _ => return Ok(Done::failed("The 'data' option needs to be a dictionary/hash")),
    }
    check_names(ctx, &data)?;
    let per_host = ctx.arg_bool("per_host", false);
    let aggregate = ctx.arg_bool("aggregate", true);
    let mut stats = Map::new();
    stats.insert("data".into(), Value::map(data.clone()));
    stats.insert("per_host".into(), per_host.into());
    stats.insert("aggregate".into(), aggregate.into());
    Ok(Done::new(false).set("ansible_stats", Value::map(stats)).effect(Effect::SetStats { data, per_host, aggregate }))
}

/// Refuses names that no variable can have.
fn check_names(ctx: &ActionCtx, vars: &Map) -> Result<(), ActionError> {
    let wrong = vars.keys().find_map(|k| match k {
        Key::Str(name) if is_identifier(name) => None,
        Key::Str(name) => Some((k, format!("'{name}'."))),
        other => Some((k, format!("'{other}' of type '{}'.", other.to_value().type_name()))),
    });
    match wrong {
        None => Ok(()),
        Some((name, which)) => {
            let e = Error::general(format!("Invalid variable name {which}")).at(ctx.task_span.find(&name.to_string()));
            Err(ActionError::Raised(e.help(
                "Variable names must be strings starting with a letter or underscore character, and contain only \
                 letters, numbers and underscores.",
            )))
        }
    }
}
