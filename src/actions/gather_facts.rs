//! `gather_facts`: runs `setup` as the play asks for it.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::value::Value;

pub fn action() -> Action {
    Action { name: "gather_facts", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let mut args = ctx.args.clone();
    args.shift_remove("parallel");
    let mut done = Done::of(ctx.module("setup", args, None)?);
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
