//! Filters between mappings and lists.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::value::ValueKind;
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("items", "value", items),
    f("dict2items", "mydict, key_name=, value_name=", dict2items),
    f("items2dict", "mylist, key_name=, value_name=", items2dict),
    f("extract", "item, container, morekeys=", extract),
    f("subelements", "obj, subelements, skip_missing=", subelements),
    f("rekey_on_member", "data, key, duplicates=", rekey_on_member),
];

fn items(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    if !matches!(py::view(v), Py::Dict) {
        return fail("Can only get item pairs from a mapping.");
    }
    Ok(py::list(py::pairs(v)?.into_iter().map(|(k, x)| py::tuple(vec![k, x])).collect()))
}

fn dict2items(_: &mut State, a: &Args) -> Res {
    let v = a.val("mydict");
    if !matches!(py::view(v), Py::Dict) {
        return fail(format!("dict2items requires a dictionary, got <class '{}'> instead.", py::type_name(v)));
    }
    let (key, value) = (Value::from(a.text_or("key_name", "key")?), Value::from(a.text_or("value_name", "value")?));
    let row = |(k, x)| py::dict([(key.clone(), k), (value.clone(), x)]);
    Ok(py::list(py::pairs(v)?.into_iter().map(row).collect()))
}

fn items2dict(_: &mut State, a: &Args) -> Res {
    let v = a.val("mylist");
    if !matches!(py::view(v), Py::List | Py::Tuple) {
        return fail(format!("items2dict requires a list, got <class '{}'> instead.", py::type_name(v)));
    }
    let name = |n: &str, default: &str| a.get(n).cloned().unwrap_or_else(|| Value::from(default));
    let (key, value) = (name("key_name", "key"), name("value_name", "value"));
    let mut out = vec![];
    for item in py::items(v)? {
        py::check(&item)?;
        // lists of pairs are fine too, by index
        let by_index = |k: &Value| matches!(py::view(k), Py::Int(_));
        let fits = match py::view(&item) {
            Py::Dict => true,
            Py::List | Py::Tuple => by_index(&key) && by_index(&value),
            _ => false,
        };
        if !fits {
            return fail(format!("items2dict requires a list of dictionaries, got {} instead.", py::repr(v)?));
        }
        let (k, x) = (py::get(&item, &key)?, py::get(&item, &value)?);
        if k.kind() == ValueKind::Invalid || x.kind() == ValueKind::Invalid {
            // a member that could not be evaluated tells why itself
            for (found, wanted) in [(&k, &key), (&x, &value)] {
                if item.get_item(wanted).is_ok_and(|i| !i.is_undefined()) {
                    py::check(found)?;
                }
            }
            return fail(format!(
                "items2dict requires each dictionary in the list to contain the keys '{}' and '{}', got {} instead.",
                py::str(&key)?,
                py::str(&value)?,
                py::repr(v)?
            ));
        }
        if matches!(py::view(&k), Py::List | Py::Dict) {
            return fail(format!("items2dict requires a list of dictionaries, got {} instead.", py::repr(v)?));
        }
        out.push((k, x));
    }
    Ok(py::dict(out))
}

fn extract(_: &mut State, a: &Args) -> Res {
    let mut at = py::get(a.val("container"), a.val("item"))?;
    let more = match a.some("morekeys") {
        None => vec![],
        Some(keys) => match py::view(keys) {
            Py::List | Py::Tuple => py::items(keys)?,
            _ => vec![keys.clone()],
        },
    };
    for key in more {
        if py::is_undefined(&at) {
            break;
        }
        at = py::get(&at, &key)?;
    }
    Ok(at)
}

fn subelements(_: &mut State, a: &Args) -> Res {
    let obj = a.val("obj");
    let elements = match py::view(obj) {
        Py::Dict => py::pairs(obj)?.into_iter().map(|(_, v)| v).collect(),
        Py::List | Py::Tuple => py::items(obj)?,
        _ => return fail("obj must be a list of dicts or a nested dict"),
    };
    let keys = match py::view(a.val("subelements")) {
        Py::Str(s) => s.split('.').map(Value::from).collect(),
        Py::List | Py::Tuple => py::items(a.val("subelements"))?,
        _ => return fail("subelements must be a list or a string"),
    };
    let skip = a.flag("skip_missing", false)?;
    let mut out = vec![];
    for element in elements {
        let mut values = element.clone();
        for key in &keys {
            if !matches!(py::view(&values), Py::Dict) {
                return fail(format!(
                    "the key {} should point to a dictionary, got '{}'",
                    py::str(key)?,
                    py::str(&values)?
                ));
            }
            let next = values.get_item(key)?;
            if next.is_undefined() {
                if skip {
                    values = py::list(vec![]);
                    break;
                }
                return fail(format!("could not find {} key in iterated item {}", py::repr(key)?, py::repr(&values)?));
            }
            values = next;
        }
        if !matches!(py::view(&values), Py::List | Py::Tuple) {
            let last = keys.last().map(py::repr).transpose()?.unwrap_or_default();
            return fail(format!("the key {last} should point to a list, got {}", py::repr(&values)?));
        }
        out.extend(py::items(&values)?.into_iter().map(|v| py::tuple(vec![element.clone(), v])));
    }
    Ok(py::list(out))
}

fn rekey_on_member(_: &mut State, a: &Args) -> Res {
    let duplicates = a.text_or("duplicates", "error")?;
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return fail(format!("duplicates parameter to rekey_on_member has unknown value '{duplicates}'"));
    }
    let data = a.val("data");
    let rows: Vec<Value> = match py::view(data) {
        Py::Dict => py::pairs(data)?.into_iter().map(|(_, v)| v).collect(),
        Py::List | Py::Tuple => py::items(data)?,
        _ => return fail("Type is not a valid list, set, or dict"),
    };
    let key = a.val("key");
    let mut out: Vec<(Value, Value)> = vec![];
    for row in rows {
        py::check(&row)?;
        if !matches!(py::view(&row), Py::Dict) {
            return fail("List item is not a valid dict");
        }
        let member = row.get_item(key)?;
        if member.is_undefined() {
            return fail(format!("Key {} was not found.", py::repr(key)?));
        }
        if duplicates == "error" && out.iter().any(|(k, _)| py::eq(k, &member)) {
            return fail(format!("Key {} is not unique, cannot convert to dict.", py::repr(&member)?));
        }
        out.push((member, row));
    }
    Ok(py::dict(out))
}
