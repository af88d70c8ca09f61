//! `module_defaults`: arguments that a module has unless the task gives others.

use super::runner::Runner;
use crate::diag::Result;
use crate::modules;
use crate::playbook::Task;
use crate::template::Scope;
use crate::value::{Map, Value};

/// Defaults for this task's module from `module_defaults`. What the innermost of them says of a module, or of a group
/// that it is in, replaces what the others say of it; what is said of the module counts more than its groups'.
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
    let library = &r.loader.options.library;
    let file = task.module_file.as_ref().map(|f| f.full.as_str());
    let is_it = |name: &str| {
        crate::playbook::short_name(name) == task.short
            || file == Some(name)
            || modules::find(name).is_some_and(|m| modules::find(&task.action).is_some_and(|t| std::ptr::eq(m, t)))
            || (file.is_some() || name.contains('.')) && library.leads_to(name, &task.short, file)
    };
    let mut of_groups: Vec<(String, Map)> = vec![];
    for l in &layers {
        for (k, v) in l.as_map().into_iter().flatten() {
            let name = k.to_string();
            let group = name.strip_prefix("group/");
            let meant = match group {
                Some(g) => library.group(g).is_some_and(|members| members.iter().any(|m| is_it(m))),
                None => is_it(&name),
            };
            if meant {
                let v = if v.as_str().is_some() { r.engine.render(v, scope)? } else { v.clone() };
                let args = v.as_map().cloned().unwrap_or_default();
                match group {
                    Some(g) => {
                        of_groups.retain(|(old, _)| old != g);
                        of_groups.push((g.to_string(), args));
                    }
                    None => out = args,
                }
            }
        }
    }
    let mut all = Map::new();
    for (_, args) in of_groups {
        all.extend(args);
    }
    all.extend(out);
    Ok(all)
}
