//! What can be checked of a playbook before any host is touched: arguments of modules and actions.

use crate::actions;
use crate::diag::{Error, Result};
use crate::modules::{self, Spec};
use crate::playbook::{Item, Play, Playbook, Task, nearest};
use crate::value::Value;
use std::collections::HashSet;

/// Refuses unknown names, missing required ones and impossible choices among the literal arguments.
pub fn playbooks(books: &[Playbook]) -> Result<()> {
    let mut seen = HashSet::new();
    for play in books.iter().flat_map(|b| &b.plays) {
        check_play(play, &mut seen)?;
    }
    Ok(())
}

fn check_play(play: &Play, seen: &mut HashSet<usize>) -> Result<()> {
    for part in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
        check_items(part, seen)?;
    }
    Ok(())
}

fn check_items(items: &[Item], seen: &mut HashSet<usize>) -> Result<()> {
    for i in items {
        match i {
            Item::Task(t) if seen.insert(t.id) => check_task(t)?,
            Item::Block(b) => {
                for part in [&b.block, &b.rescue, &b.always] {
                    check_items(part, seen)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_task(t: &Task) -> Result<()> {
    if actions::ENGINE_ACTIONS.contains(&t.short.as_str()) || t.implicit {
        return Ok(());
    }
    // an action's own declaration counts, else that of the module of the same name
    let action = actions::find(&t.action);
    let module = modules::find(&t.action);
    let spec: Spec = match (action.and_then(|a| a.spec), module) {
        (Some(f), _) => f(),
        (None, Some(m)) => m.spec.clone(),
        (None, None) => return Ok(()),
    };
    check_args(t, &spec)
}

fn check_args(t: &Task, spec: &Spec) -> Result<()> {
    for (k, v) in &t.args {
        let name = k.to_string();
        if name.starts_with('_') || crate::value::has_delimiter(&name) {
            continue;
        }
        let Some(arg) = spec.find(&name) else {
            let mut names: Vec<&str> =
                spec.args.iter().map(|a| a.name.as_str()).filter(|n| !n.starts_with('_')).collect();
            names.sort_unstable();
            let e = Error::parse(format!(
                "Unsupported parameters for ({}) module: {name}. Supported parameters include: {}.",
                t.action,
                names.join(", ")
            ))
            .at(place(v).unwrap_or(t.span));
            return Err(match nearest(&name, &names) {
                Some(n) => e.help(format!("did you mean '{n}'?")),
                None => e,
            });
        };
        let literal = !v.needs_render() && matches!(v, Value::Str(_) | Value::Int(_) | Value::Bool(_));
        if literal && !arg.choices.is_empty() && arg.ty == modules::Type::Str {
            let text = modules::convert(arg.ty, &v.to_json()).unwrap_or_default();
            if !arg.choices.contains(&text) {
                let list: Vec<String> = arg.choices.iter().map(modules::json_text).collect();
                return Err(Error::parse(format!(
                    "value of {} must be one of: {}, got: {}",
                    arg.name,
                    list.join(", "),
                    v.to_str()
                ))
                .at(place(v).unwrap_or(t.span)));
            }
        }
    }
    // module_defaults and templated args may give what is missing here
    if t.args_template.is_some() || !t.module_defaults.is_empty() {
        return Ok(());
    }
    let missing: Vec<&str> = spec
        .args
        .iter()
        .filter(|a| a.required && !std::iter::once(&a.name).chain(&a.aliases).any(|n| t.args.contains_key(n.as_str())))
        .map(|a| a.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(Error::parse(format!("missing required arguments: {}", missing.join(", ")))
            .at(t.span)
            .label(format!("a task of {}", t.action)));
    }
    Ok(())
}

fn place(v: &Value) -> Option<crate::diag::Span> {
    match v {
        Value::Str(s) => s.origin,
        _ => None,
    }
}
