//! Lookups: what `lookup()`, `query()` and `with_<name>` read on the controller.

use super::object::Renderer;
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use minijinja::Environment;

/// Registers `lookup`, `query` and `q`.
pub(super) fn register(env: &mut Environment<'static>) {
    let _ = env;
}

/// Runs the lookup `name`.
pub(super) fn run(r: &Renderer, name: &str, terms: Vec<Value>, kwargs: Map) -> Result<Vec<Value>> {
    let _ = (r, terms, kwargs);
    Err(Error::template(format!("The lookup plugin '{name}' was not found.")))
}
