//! Which Python this host has.

use crate::modules::Ctx;
use crate::modules::support::exec::find_program;
use crate::proto::Interpreter;
use std::collections::HashMap;
use std::sync::Mutex;

static KNOWN: Mutex<Option<HashMap<Vec<String>, String>>> = Mutex::new(None);

/// The first of the wanted interpreters that is here, looked for once in a worker's life.
pub fn found(wanted: &Interpreter, ctx: &Ctx) -> Option<String> {
    let Interpreter::Discover(names) = wanted else { return None };
    let mut known = KNOWN.lock().unwrap_or_else(|e| e.into_inner());
    let known = known.get_or_insert_default();
    if let Some(p) = known.get(names) {
        return Some(p.clone());
    }
    let path = names.iter().find_map(|n| find_program(ctx, n))?;
    known.insert(names.clone(), path.clone());
    Some(path)
}
