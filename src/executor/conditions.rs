//! `when`, `changed_when`, `failed_when` and `until`.

use super::runner::Runner;
use crate::diag::{Error, Result};
use crate::template::Scope;
use crate::value::Value;

/// The first condition that does not hold; `None` if all do.
pub fn first_false(r: &Runner, conds: &[Value], scope: &Scope) -> Result<Option<Value>> {
    for c in conds {
        if !r.engine.condition(c, scope).map_err(|e| wrap(e, c))? {
            return Ok(Some(c.untrusted()));
        }
    }
    Ok(None)
}

/// True if every condition holds (as `changed_when`, `until` read a list).
pub fn all(r: &Runner, conds: &[Value], scope: &Scope) -> Result<bool> {
    Ok(first_false(r, conds, scope)?.is_none())
}

/// Points at the condition that could not be evaluated.
fn wrap(e: Error, c: &Value) -> Error {
    e.at(super::runner::origin(c))
}
