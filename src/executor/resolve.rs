//! Actions whose names are templates: known only when the task is reached, for each host by itself.

use super::play::PlayRun;
use crate::actions;
use crate::diag::{Error, Result};
use crate::playbook::{Resolved, Task, short_name};
use std::sync::Arc;

/// True if the task's action is named by a template.
pub fn is_open(t: &Task) -> bool {
    crate::value::has_delimiter(&t.action)
}

/// The task with its action's name rendered for this host. An undefined name is the run's error, an unknown one the
/// task's own.
pub fn resolve(p: &PlayRun, t: &Arc<Task>, host: &Arc<str>) -> Result<Task> {
    let scope = p.runner.scope(&p.view(host, Some(t)));
    let name = p.runner.engine.render_to_string(&t.action, &scope).map_err(|e| e.at(t.span))?;
    let short = short_name(&name);
    let mut out = (**t).clone();
    out.short.clone_from(&short);
    if actions::ENGINE_ACTIONS.contains(&short.as_str()) {
        out.bad = Some(
            Error::general(format!("The action '{name}' cannot be named by a template."))
                .at(t.span)
                .help("write its name itself, with a condition for each choice"),
        );
    } else {
        match p.runner.loader.options.library.resolve(&name, &t.collections) {
            Resolved::BuiltIn => {}
            Resolved::Alias(original) => out.short = original,
            Resolved::File(f) => out.module_file = Some(f),
            Resolved::Unknown => {
                out.bad = Some(Error::general(format!("Cannot resolve '{name}' to an action or module.")))
            }
            Resolved::Refused(why) | Resolved::InPython(why) => out.bad = Some(Error::general(why).at(t.span)),
        }
    }
    out.action = name;
    Ok(out)
}
