//! Filters that order, group and pick extremes; and paths such as `a.b.0` into values.

use super::py::{self, Py, Res, SetKey, fail};
use super::{Args, Filter, f};
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{State, Value};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

pub const FILTERS: &[Filter] = &[
    f("sort", "value, reverse=, case_sensitive=, attribute=", sort),
    f("unique", "a, case_sensitive=, attribute=", unique),
    f("min", "value, case_sensitive=, attribute=", |_, a| extreme(a, "<", Ordering::Less)),
    f("max", "value, case_sensitive=, attribute=", |_, a| extreme(a, ">", Ordering::Greater)),
    f("groupby", "value, attribute, default=, case_sensitive=", groupby),
    f("dictsort", "value, case_sensitive=, by=, reverse=", dictsort),
];

/// A path of keys and indices: `attribute='a.b.0'`, or an index.
pub struct Path(Vec<Value>);

impl Path {
    pub fn new(v: &Value) -> Res<Path> {
        match py::view(v) {
            Py::Str(s) => Ok(Path(s.split('.').map(part).collect())),
            Py::Int(_) => Ok(Path(vec![v.clone()])),
            _ => fail(format!("attribute must be a string or an integer, not {}", py::type_name(v))),
        }
    }
    /// The value at the path; undefined if a part is missing.
    pub fn get(&self, from: &Value) -> Res {
        let mut at = from.clone();
        for key in &self.0 {
            if py::is_undefined(&at) {
                return Ok(at);
            }
            let next = py::get(&at, key)?;
            at = match (py::view(&at), py::view(key)) {
                (Py::List | Py::Tuple | Py::Str(_), Py::Int(i)) if py::is_undefined(&next) => {
                    py::undefined(format!("{} object has no element {i}", py::type_name(&at)))
                }
                _ => next,
            };
        }
        Ok(at)
    }
}

fn part(s: &str) -> Value {
    match s.parse::<i64>() {
        Ok(i) if s.bytes().all(|b| b.is_ascii_digit()) => Value::from(i),
        _ => Value::from(s),
    }
}

/// Text in lower case, unless case counts.
pub fn fold(v: Value, case_sensitive: bool) -> Value {
    match py::view(&v) {
        Py::Str(s) if !case_sensitive => Value::from(s.to_lowercase()),
        _ => v,
    }
}

/// The value to compare an item by.
fn key_of(item: &Value, path: Option<&Path>, case_sensitive: bool) -> Res {
    Ok(fold(path.map_or_else(|| Ok(item.clone()), |p| p.get(item))?, case_sensitive))
}

fn sort(_: &mut State, a: &Args) -> Res {
    let case = a.flag("case_sensitive", false)?;
    // `attribute='a,b'` sorts by several
    let paths: Option<Vec<Path>> = match a.some("attribute") {
        None => None,
        Some(v) => match py::view(v) {
            Py::Str(s) => Some(s.split(',').map(|p| Path::new(&Value::from(p))).collect::<Res<_>>()?),
            _ => Some(vec![Path::new(v)?]),
        },
    };
    let mut keyed = vec![];
    for item in py::iter(a.val("value"))? {
        let key = match &paths {
            None => fold(item.clone(), case),
            Some(all) => py::list(all.iter().map(|p| key_of(&item, Some(p), case)).collect::<Res<_>>()?),
        };
        keyed.push((key, item));
    }
    py::sort_by_key(keyed, a.flag("reverse", false)?).map(py::list)
}

fn unique(_: &mut State, a: &Args) -> Res {
    let path = a.some("attribute").map(Path::new).transpose()?;
    let case = a.flag("case_sensitive", false)?;
    let mut seen: HashSet<SetKey> = HashSet::new();
    let mut out = vec![];
    // what Python cannot hash is compared one by one, which the options do not reach
    let plain = a.some("attribute").is_none() && a.some("case_sensitive").is_none_or(|c| c.is_true());
    for item in py::iter(a.val("a"))? {
        let key = key_of(&item, path.as_ref(), case)?;
        if !plain && matches!(key.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
            return fail(format!(
                "Jinja2's unique filter failed and we cannot fall back to Ansible's version as it does not support the parameters supplied: unhashable type: '{}'",
                py::type_name(&key)
            ));
        }
        if seen.insert(py::set_key(&key)?) {
            out.push(item);
        }
    }
    Ok(py::list(out))
}

fn extreme(a: &Args, op: &str, wanted: Ordering) -> Res {
    let path = a.some("attribute").map(Path::new).transpose()?;
    let case = a.flag("case_sensitive", false)?;
    let mut best: Option<(Value, Value)> = None;
    for item in py::iter(a.val("value"))? {
        let key = key_of(&item, path.as_ref(), case)?;
        let better = match &best {
            None => true,
            Some((k, _)) => py::compare(&key, k, op)? == Some(wanted),
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map(|b| b.1).unwrap_or_else(|| py::undefined("No aggregated item, sequence was empty.")))
}

/// A group: a tuple of the common value and the items, which have names too.
#[derive(Debug)]
pub struct Group {
    pub grouper: Value,
    pub list: Value,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_usize() {
            Some(0) => Some(self.grouper.clone()),
            Some(1) => Some(self.list.clone()),
            Some(_) => None,
            None => match key.as_str()? {
                "grouper" => Some(self.grouper.clone()),
                "list" => Some(self.list.clone()),
                _ => None,
            },
        }
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Group>()?;
        Some(self.grouper.cmp(&other.grouper).then_with(|| self.list.cmp(&other.list)))
    }
}

fn groupby(_: &mut State, a: &Args) -> Res {
    let path = Path::new(a.val("attribute"))?;
    let case = a.flag("case_sensitive", false)?;
    let mut keyed = vec![];
    for item in py::iter(a.val("value"))? {
        let mut found = path.get(&item)?;
        if py::is_undefined(&found)
            && let Some(d) = a.some("default")
        {
            found = d.clone();
        }
        keyed.push((fold(found.clone(), case), py::tuple(vec![found, item])));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = vec![];
    for pair in py::sort_by_key(keyed, false)? {
        let (found, item) = (pair.get_item_by_index(0)?, pair.get_item_by_index(1)?);
        let key = fold(found.clone(), case);
        match groups.last_mut() {
            Some((k, _, members)) if py::eq(k, &key) => members.push(item),
            _ => groups.push((key, found, vec![item])),
        }
    }
    Ok(py::list(
        groups.into_iter().map(|(_, grouper, l)| Value::from_object(Group { grouper, list: py::list(l) })).collect(),
    ))
}

fn dictsort(_: &mut State, a: &Args) -> Res {
    let by = a.text_or("by", "key")?;
    let at = match by.as_str() {
        "key" => 0,
        "value" => 1,
        _ => return fail("You can only sort by either \"key\" or \"value\""),
    };
    let v = a.val("value");
    if !matches!(py::view(v), Py::Dict) {
        return fail(format!("'{}' object has no attribute 'items'", py::type_name(v)));
    }
    let case = a.flag("case_sensitive", false)?;
    let keyed = py::pairs(v)?
        .into_iter()
        .map(|(k, x)| (fold(if at == 0 { k.clone() } else { x.clone() }, case), py::tuple(vec![k, x])))
        .collect();
    py::sort_by_key(keyed, a.flag("reverse", false)?).map(py::list)
}
