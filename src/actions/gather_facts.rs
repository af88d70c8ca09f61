//! `gather_facts`: runs `setup` as the play asks for it.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::value::{Map, Value};

pub fn action() -> Action {
    Action { name: "gather_facts", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let mut args = ctx.args.clone();
    args.shift_remove("parallel");
    let mut done = Done::of(ctx.module("setup", args, None)?);
    if done.data.get("failed").is_some_and(Value::truthy) {
        let mut modules = Map::new();
        done.data.shift_remove("changed");
        done.data.insert("exception".into(), "(traceback unavailable)".into());
        modules.insert("ansible.legacy.setup".into(), Value::map(std::mem::take(&mut done.data)));
        return Ok(Done::failed("The following modules failed to execute: ansible.legacy.setup.")
            .set("ansible_facts", Value::empty_map())
            .set("failed_modules", Value::map(modules)));
    }
    if let Some(Value::Map(m)) = done.data.get("ansible_facts") {
        let mut m = (**m).clone();
        m.insert(
            "gather_subset".into(),
            ctx.args.get("gather_subset").cloned().unwrap_or_else(|| Value::list(vec!["all".into()])),
        );
        m.insert("module_setup".into(), true.into());
        done.data.insert("ansible_facts".into(), Value::map(m));
    }
    Ok(done)
}
