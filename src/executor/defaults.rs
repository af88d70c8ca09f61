//! `module_defaults`: arguments that a module has unless the task gives others.

use super::runner::Runner;
use crate::diag::Result;
use crate::modules;
use crate::playbook::Task;
use crate::template::Scope;
use crate::value::{Map, Value};

/// Defaults for this task's module from `module_defaults`. What the innermost of them says of a module replaces
/// what the others say of it.
pub(super) fn default_args(r: &Runner, task: &Task, scope: &Scope) -> Result<Map> {
    let mut out = Map::new();
    let mut layers: Vec<Value> = vec![];
    for layer in &task.module_defaults {
        match layer {
            Value::List(l) => layers.extend(l.iter().cloned()),
            v if v.as_str().is_some() => layers.push(r.engine.render(v, scope)?),
            v => layers.push(v.clone()),
        }
    }
    for l in &layers {
        for (k, v) in l.as_map().into_iter().flatten() {
            let name = k.to_string();
            if crate::playbook::short_name(&name) == task.short
                || task.module_file.as_ref().is_some_and(|f| f.full == name)
                || modules::find(&name).is_some_and(|m| modules::find(&task.action).is_some_and(|t| std::ptr::eq(m, t)))
            {
                let v = if v.as_str().is_some() { r.engine.render(v, scope)? } else { v.clone() };
                out = v.as_map().cloned().unwrap_or_default();
            }
        }
    }
    Ok(out)
}
