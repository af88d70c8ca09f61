//! Templates: minijinja with Ansible's semantics. Lazy variables, undefined rules, native types,
//! Python-style output, trust by origin.

pub mod about;
#[cfg(test)]
mod checks;
mod compile;
mod condition;
pub mod convert;
#[cfg(test)]
mod damage_tests;
mod engine;
pub mod filters;
mod format;
mod forms;
pub mod globals;
mod header;
mod helpers;
mod impure;
mod lookups;
mod lower;
mod methods;
pub mod notices;
mod object;
pub mod ops;
mod prepare;
mod scope;
#[cfg(test)]
mod security;
#[cfg(test)]
mod table;
pub(crate) mod tags;
pub mod tests;
mod untrusted;

pub use engine::{Engine, EngineOptions, FileOptions};
pub use impure::count as impure_count;
pub use lookups::{LOOKUP_NAMES, known as is_lookup};
pub use scope::{FileScope, InventoryView, MapVars, Notice, Scope, VaultOpener, Warn, expand_user};

use crate::diag::Result;
use crate::value::Value;
use std::sync::{Arc, LazyLock};

/// What a variable name leads to.
#[derive(Clone)]
pub enum Var {
    /// A value as loaded; if it is a template it is rendered in the scope it was found in.
    Raw(Value),
    /// A mapping that is a scope of its own (`vars`, `hostvars`, `hostvars[host]`): what is found in
    /// it is rendered in it.
    Scope(Arc<dyn Vars>),
}

/// Where templates find their variables.
pub trait Vars: Send + Sync {
    /// The variable `name`, unrendered. An error is one of finding it (a vault without secret …).
    fn get(&self, name: &str) -> Result<Option<Var>>;
    /// Every name, in no particular order.
    fn names(&self) -> Vec<Arc<str>>;
    /// What is said of a name that is not there, where it is not that an attribute is missing.
    fn missing(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
    /// The text of a `!vault` value met while rendering.
    fn decrypt(&self, vault: &crate::value::VaultText) -> Result<Arc<str>>;
}

static OMIT: LazyLock<Arc<str>> =
    LazyLock::new(|| format!("__omit_place_holder__{}", uuid::Uuid::new_v4().simple()).into());

/// The value of the magic variable `omit`: an argument rendered to it is left out.
pub fn omit() -> Value {
    Value::plain(OMIT.clone())
}

/// JSON as Python's `json.loads` reads it; the error is in its words.
pub fn python_json(text: &str) -> std::result::Result<serde_json::Value, String> {
    let v = filters::loads(text).map_err(|e| e.detail().map_or_else(|| e.to_string(), str::to_string))?;
    convert::from_mj(&v).map(|v| v.to_json()).map_err(|e| e.message().to_string())
}

/// True for the text that stands for `omit`; printed among other text it is nothing.
fn is_omit_text(text: &str) -> bool {
    *text == **OMIT
}

/// True for the value of `omit`.
pub fn is_omit(v: &Value) -> bool {
    matches!(v, Value::Str(s) if *s.text == **OMIT)
}
