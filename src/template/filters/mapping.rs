//! map, select, reject, selectattr, rejectattr.

use super::py::{self, Res, error, fail};
use super::sorting::Path;
use super::{Args, Filter, f};
use minijinja::value::Kwargs;
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("map", "value, *args, **kwargs", map),
    f("select", "value, *args, **kwargs", |s, a| choose(s, a, false, true)),
    f("reject", "value, *args, **kwargs", |s, a| choose(s, a, false, false)),
    f("selectattr", "value, *args, **kwargs", |s, a| choose(s, a, true, true)),
    f("rejectattr", "value, *args, **kwargs", |s, a| choose(s, a, true, false)),
];

/// The argument list for a filter or test that is called for each item.
fn arguments(first: Value, rest: &[Value], more: &[(String, Value)]) -> Vec<Value> {
    let mut all = vec![first];
    all.extend_from_slice(rest);
    if !more.is_empty() {
        all.push(Value::from(more.iter().cloned().collect::<Kwargs>()));
    }
    all
}

/// The items; whatever counts as false has none, also where it is no list.
fn members(a: &Args) -> Res<Vec<Value>> {
    let v = a.val("value");
    if py::truthy(v)? { py::iter(v) } else { Ok(vec![]) }
}

fn map(state: &mut State, a: &Args) -> Res {
    let items = members(a)?;
    if a.rest.is_empty()
        && let Some((_, path)) = a.more.iter().find(|(k, _)| k == "attribute")
    {
        if let Some((other, _)) = a.more.iter().find(|(k, _)| k != "attribute" && k != "default") {
            return fail(format!("Unexpected keyword argument '{other}'"));
        }
        let default = a.more.iter().find(|(k, v)| k == "default" && !v.is_none()).map(|(_, v)| v);
        let path = Path::new(path)?;
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let v = path.get(&item)?;
            out.push(match default {
                Some(d) if py::is_undefined(&v) => d.clone(),
                _ => v,
            });
        }
        return Ok(py::list(out));
    }
    let Some((name, rest)) = a.rest.split_first() else { return fail("map requires a filter argument") };
    let Some(name) = name.as_str() else { return fail("map requires a filter argument") };
    if super::filter_names().binary_search_by(|n| n.as_str().cmp(name)).is_err() {
        return fail(super::unknown_filter(name));
    }
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        out.push(state.apply_filter(name, &arguments(item, rest, &a.more))?);
    }
    Ok(py::list(out))
}

fn choose(state: &mut State, a: &Args, by_attribute: bool, keep: bool) -> Res {
    let mut rest = a.rest.as_slice();
    let path = if by_attribute {
        let Some((attribute, more)) = rest.split_first() else { return fail("Missing parameter for attribute name") };
        rest = more;
        Some(Path::new(attribute)?)
    } else {
        None
    };
    let test = match rest.split_first() {
        None => None,
        Some((name, more)) => {
            let name = name.as_str().ok_or_else(|| error("the name of a test must be a string"))?;
            if !crate::template::tests::is_test(name) {
                return fail(crate::template::tests::unknown_test(name));
            }
            rest = more;
            Some(name)
        }
    };
    let mut out = vec![];
    for item in members(a)? {
        let probe = match &path {
            Some(p) => p.get(&item)?,
            None => item.clone(),
        };
        let hit = match test {
            None => py::truthy(&probe)?,
            Some(name) => state.perform_test(name, &arguments(probe, rest, &a.more))?,
        };
        if hit == keep {
            out.push(item);
        }
    }
    Ok(py::list(out))
}
