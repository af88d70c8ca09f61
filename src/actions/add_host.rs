//! `add_host` and `group_by`: the inventory in memory.

use super::{Action, ActionCtx, ActionResult, Done, Effect};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::value::{Map, Value};

pub fn add_host() -> Action {
    Action { name: "add_host", spec: None, raw: false, local: true, run: run_add_host }
}
pub fn group_by() -> Action {
    Action { name: "group_by", spec: Some(group_spec), raw: false, local: true, run: run_group_by }
}

fn group_spec() -> Spec {
    Spec::new(vec![
        Arg::str("key").required().doc("The name of the group."),
        Arg::raw("parents").doc("Groups that shall hold it."),
    ])
}

/// Groups of `add_host`: a list, or names between commas. An empty one among them is an error further on.
fn names(v: &Value) -> Vec<String> {
    match v {
        Value::List(l) => l.iter().map(Value::to_str).collect(),
        Value::Null => vec![],
        other if other.to_str().is_empty() => vec![],
        other => other.to_str().split(',').map(|s| s.trim().to_string()).collect(),
    }
}

/// Parents of `group_by`: a list, or one name as it stands.
fn parents_of(v: &Value) -> Vec<String> {
    match v {
        Value::List(l) => l.iter().map(Value::to_str).collect(),
        other => vec![other.to_str()],
    }
}

fn run_add_host(ctx: &mut ActionCtx) -> ActionResult {
    // all arguments as one dictionary; those of the task itself win
    if let Some(Value::Map(m)) = ctx.args.shift_remove("_raw_params") {
        let mut all = (*m).clone();
        all.extend(std::mem::take(&mut ctx.args));
        ctx.args = all;
    }
    let name = ["name", "hostname", "host"].iter().find_map(|n| ctx.arg_str(n));
    let Some(full) = name else {
        return Err(Error::general("name, host or hostname needs to be provided").into());
    };
    let (name, port) = match full.rsplit_once(':') {
        Some((n, p)) if !n.contains(':') && !n.is_empty() && p.chars().all(|c| c.is_ascii_digit()) && !p.is_empty() => {
            (n.to_string(), p.parse::<i64>().ok())
        }
        _ => (full.clone(), None),
    };
    let groups: Vec<String> =
        ["groupname", "groups", "group"].iter().find_map(|n| ctx.args.get(*n)).map(names).unwrap_or_default();
    let mut vars = Map::new();
    if let Some(p) = port {
        vars.insert("ansible_ssh_port".into(), p.into());
    }
    const OWN: [&str; 4] = ["name", "hostname", "groups", "groupname"];
    for (k, v) in &ctx.args {
        if !OWN.contains(&k.to_string().as_str()) && k.as_str() != Some("_raw_params") {
            vars.insert(k.clone(), v.clone());
        }
    }
    let mut shown = Map::new();
    shown.insert("host_name".into(), name.as_str().into());
    shown.insert("groups".into(), Value::list(groups.iter().map(|g| g.as_str().into()).collect()));
    shown.insert("host_vars".into(), Value::map(vars.clone()));
    Ok(Done::new(false).set("add_host", Value::map(shown)).effect(Effect::AddHost { name, groups, vars }))
}

fn run_group_by(ctx: &mut ActionCtx) -> ActionResult {
    ctx.only(&group_spec())?;
    let Some(key) = ctx.arg_str("key") else {
        return Ok(Done::failed("the 'key' param is required when using group_by"));
    };
    let parents =
        ctx.args.get("parents").filter(|v| !v.is_null()).map(parents_of).unwrap_or_else(|| vec!["all".into()]);
    let safe = |s: &str| s.replace(' ', "-");
    let (group, parents) = (safe(&key), parents.iter().map(|p| safe(p)).collect::<Vec<_>>());
    Ok(Done::new(false)
        .set("add_group", group.as_str())
        .set("parent_groups", Value::list(parents.iter().map(|p| p.as_str().into()).collect()))
        .effect(Effect::GroupBy { group, parents }))
}
