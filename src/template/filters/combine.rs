//! The combine filter: mappings merged, flatly or deeply, with a choice for lists.

use super::py::{self, Py, Res, SetKey, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};
use std::collections::HashSet;

pub const FILTERS: &[Filter] = &[f("combine", "*terms, **kwargs", combine)];

#[derive(Clone, Copy, PartialEq)]
enum Lists {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendRp,
    PrependRp,
}

fn combine(_: &mut State, a: &Args) -> Res {
    let (mut recursive, mut lists) = (false, Lists::Replace);
    for (k, v) in &a.more {
        match k.as_str() {
            "recursive" => recursive = py::truthy(v)?,
            "list_merge" => {
                lists = match v.as_str().unwrap_or_default() {
                    "replace" => Lists::Replace,
                    "keep" => Lists::Keep,
                    "append" => Lists::Append,
                    "prepend" => Lists::Prepend,
                    "append_rp" => Lists::AppendRp,
                    "prepend_rp" => Lists::PrependRp,
                    _ => {
                        return fail(
                            "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', \
                             'prepend', 'append_rp' or 'prepend_rp'",
                        );
                    }
                }
            }
            _ => return fail("'recursive' and 'list_merge' are the only valid keyword arguments"),
        }
    }
    // one level of lists among the terms is opened
    let mut maps = vec![];
    for term in &a.rest {
        match py::view(term) {
            Py::List | Py::Tuple => maps.extend(py::items(term)?),
            _ => maps.push(term.clone()),
        }
    }
    maps.retain(|m| !super::lists::is_nothing(m));
    let Some(mut result) = maps.pop() else { return Ok(py::dict([])) };
    py::check(&result)?;
    for older in maps.iter().rev() {
        result = merge(older, &result, recursive, lists, 0)?;
    }
    Ok(result)
}

/// `newer` over `older`; the keys of `older` keep their places.
fn merge(older: &Value, newer: &Value, recursive: bool, lists: Lists, depth: usize) -> Res {
    py::check(older)?;
    py::check(newer)?;
    if !matches!((py::view(older), py::view(newer)), (Py::Dict, Py::Dict)) {
        return fail(format!(
            "failed to combine variables, expected dicts but got a '{}' and a '{}'.",
            py::type_name(older),
            py::type_name(newer)
        ));
    }
    if depth > py::MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    let (old, new) = (py::pairs(older)?, py::pairs(newer)?);
    if old.is_empty() {
        return Ok(py::dict(new));
    }
    let mut out: indexmap::IndexMap<SetKey, (Value, Value)> = indexmap::IndexMap::new();
    for (k, v) in old {
        out.insert(py::set_key(&k)?, (k, v));
    }
    for (k, v) in new {
        let id = py::set_key(&k)?;
        let Some((_, slot)) = out.get_mut(&id) else {
            out.insert(id, (k, v));
            continue;
        };
        match (py::view(slot), py::view(&v)) {
            (Py::Dict, Py::Dict) if recursive => *slot = merge(slot, &v, recursive, lists, depth + 1)?,
            (Py::List | Py::Tuple, Py::List | Py::Tuple) if lists != Lists::Replace => {
                *slot = merge_lists(slot, &v, lists)?
            }
            _ => *slot = v,
        }
    }
    Ok(py::dict(out.into_values()))
}

fn merge_lists(old: &Value, new: &Value, how: Lists) -> Res {
    let (x, y) = (py::items(old)?, py::items(new)?);
    let without = |from: &[Value], drop: &[Value]| -> Res<Vec<Value>> {
        let drop: HashSet<SetKey> = drop.iter().map(py::set_key).collect::<Res<_>>()?;
        let mut kept = vec![];
        for v in from {
            if !drop.contains(&py::set_key(v)?) {
                kept.push(v.clone());
            }
        }
        Ok(kept)
    };
    Ok(py::list(match how {
        Lists::Keep => x,
        Lists::Append => [x, y].concat(),
        Lists::Prepend => [y, x].concat(),
        Lists::AppendRp => [without(&x, &y)?, y].concat(),
        Lists::PrependRp => {
            let rest = without(&x, &y)?;
            [y, rest].concat()
        }
        Lists::Replace => return Err(error("lists are replaced by the caller")),
    }))
}
