//! `validate_argument_spec`: checks variables against a specification.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::{Arg, Spec, validate_all};
use crate::playbook::spec_of;
use crate::value::{Map, Value};

pub fn action() -> Action {
    Action { name: "validate_argument_spec", spec: Some(spec), raw: true, local: true, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::dict("argument_spec").required().doc("Names and their declarations."),
        Arg::dict("provided_arguments").doc("Values that win over the variables of the same names."),
        Arg::dict("validate_args_context").doc("What is checked, for the message."),
    ])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let get = |k: &str| ctx.raw_args.get(k).map(|v| ctx.engine.render(v, ctx.scope)).transpose();
    let Some(wanted) = get("argument_spec")? else {
        let given = ctx.engine.render(&Value::map(ctx.raw_args.clone()), ctx.scope)?;
        let text = format!("\"argument_spec\" arg is required in args: {}", given.repr());
        return Err(ActionError::Raised(Error::general(text)));
    };
    let Value::Map(wanted) = wanted else {
        return Err(Error::general(format!(
            "Incorrect type for argument_spec, expected dict and got {}",
            wanted.type_name()
        ))
        .into());
    };
    let provided = get("provided_arguments")?.unwrap_or_default();
    let context = get("validate_args_context")?.unwrap_or_else(Value::empty_map);
    let spec = spec_of(&wanted, None).map_err(Error::general)?;
    let mut given = Map::new();
    for a in &spec.args {
        for name in std::iter::once(&a.name).chain(&a.aliases) {
            if let Some(v) = provided.get(name) {
                given.insert(name.as_str().into(), v.clone());
            } else if let Some(v) = variable(ctx, name)? {
                given.insert(name.as_str().into(), v);
            }
        }
    }
    // names beyond the specification are errors
    for (k, v) in provided.as_map().into_iter().flatten() {
        if !given.contains_key(k) {
            given.insert(k.clone(), v.clone());
        }
    }
    let json = match Value::map(given).to_json() {
        serde_json::Value::Object(o) => o,
        _ => Default::default(),
    };
    let done = Done::new(false).set("validate_args_context", context);
    Ok(match validate_all(&spec, &json) {
        Ok(_) => done.set("msg", "The arg spec validation passed"),
        Err(errors) => done
            .set("failed", true)
            .set("msg", format!("Validation of arguments failed:\n{}", errors.join("\n")))
            .set("argument_spec_data", Value::Map(wanted))
            .set("argument_errors", Value::list(errors.iter().map(|e| e.as_str().into()).collect())),
    })
}

/// A variable's rendered value; `None` if there is none.
fn variable(ctx: &ActionCtx, name: &str) -> Result<Option<Value>, Error> {
    if ctx.scope.vars.get(name)?.is_none() {
        return Ok(None);
    }
    ctx.engine.eval(name, ctx.scope).map(Some)
}
