//! Tests on results of tasks: failed, changed, skipped and their kin.

use super::{Test, t};
use crate::template::filters::Args;
use crate::template::filters::py::{self, Py, Res, fail};
use minijinja::Value;

pub const TESTS: &[Test] = &[
    t(&["failed", "failure"], "result", |_, a| failed(a)),
    t(&["succeeded", "success", "successful"], "result", |_, a| failed(a).map(|b| !b)),
    t(&["reachable"], "result", |_, a| flag(a, "unreachable", false).map(|b| !b)),
    t(&["unreachable"], "result", |_, a| flag(a, "unreachable", false)),
    t(&["timedout"], "result", |_, a| timedout(a)),
    t(&["changed", "change"], "result", |_, a| changed(a)),
    t(&["skipped", "skip"], "result", |_, a| flag(a, "skipped", false)),
    t(&["started"], "result", |_, a| flag(a, "started", true)),
    t(&["finished"], "result", |_, a| flag(a, "finished", true)),
];

fn result(a: &Args) -> Res<&Value> {
    let v = a.val("result");
    match py::view(v) {
        Py::Dict => Ok(v),
        _ => fail(format!("The '{}' test expects a dictionary", a.name)),
    }
}

fn member(v: &Value, key: &str) -> Res<Option<Value>> {
    let found = v.get_attr(key)?;
    if found.is_undefined() {
        return Ok(None);
    }
    py::check(&found)?;
    Ok(Some(found))
}

/// A member's truth. What a synchronous task did not say about `started` and `finished` is true.
fn flag(a: &Args, key: &str, default: bool) -> Res<bool> {
    Ok(member(result(a)?, key)?.map_or(default, |v| v.is_true()))
}

fn failed(a: &Args) -> Res<bool> {
    flag(a, "failed", false)
}

fn timedout(a: &Args) -> Res<bool> {
    let found = member(result(a)?, "timedout")?;
    match found {
        Some(v) if v.is_true() && !matches!(py::view(&v), Py::Dict) => {
            fail(format!("'{}' object has no attribute 'get'", py::type_name(&v)))
        }
        Some(v) if v.is_true() => Ok(member(&v, "period")?.is_some_and(|p| p.is_true())),
        _ => Ok(false),
    }
}

fn changed(a: &Args) -> Res<bool> {
    let v = result(a)?;
    if let Some(c) = member(v, "changed")? {
        return Ok(c.is_true());
    }
    // a loop's result that does not say is changed if one of its items is
    let Some(items) = member(v, "results")? else { return Ok(false) };
    if !matches!(py::view(&items), Py::List | Py::Tuple) {
        return Ok(false);
    }
    let Some(first) = py::items(&items)?.into_iter().next() else { return fail("list index out of range") };
    if !matches!(py::view(&first), Py::Dict) {
        return Ok(false);
    }
    for item in py::iter(&items)? {
        if matches!(py::view(&item), Py::Dict) && member(&item, "changed")?.is_some_and(|c| c.is_true()) {
            return Ok(true);
        }
    }
    Ok(false)
}
