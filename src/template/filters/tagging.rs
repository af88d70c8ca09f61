//! The filters of `ansible._protomatter` that have a meaning here: what a value brings along, and what
//! becomes of it when a template ends. ansible-core uses them in its own tests.

use super::py::{self, Res};
use super::{Args, Filter, f};
use crate::template::{convert, tags};
use minijinja::Value;

/// Where these filters stand; they have no short names.
pub const HOME: &str = "ansible._protomatter";

pub const FILTERS: &[Filter] = &[
    f("finalize", "value", |_, a| finalize(a)),
    f("origin", "value", |_, a| {
        let origin = tags::of(a.val("value")).and_then(|t| t.origin);
        Ok(origin.map_or_else(|| Value::from(()), |span| Value::from(span.show())))
    }),
    f("tag_names", "value", |_, a| Ok(py::list(names(a.val("value")).into_iter().map(Value::from).collect()))),
];

/// The tags of a text, in order of their names.
pub fn names(v: &Value) -> Vec<&'static str> {
    let Some(tag) = tags::of(v) else { return vec![] };
    let mut names = vec![];
    if tag.origin.is_some() {
        names.push("Origin");
    }
    if tag.trusted {
        names.push("TrustedAsTemplate");
    }
    if tag.vault.is_some() {
        names.push("VaultedValue");
    }
    names
}

/// The value as a template gives it back: tuples are lists.
fn finalize(a: &Args) -> Res {
    let v = convert::from_mj(a.val("value")).map_err(convert::carry)?;
    Ok(convert::to_mj(&crate::template::engine::stored(v)))
}
