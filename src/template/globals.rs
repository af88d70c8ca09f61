//! Global functions of templates (`range`, `dict`, `now`, …). `lookup`, `query` and `q` are the engine's.

use minijinja::Environment;

/// Registers the global functions.
pub fn register(env: &mut Environment<'static>) {
    let _ = env;
}
