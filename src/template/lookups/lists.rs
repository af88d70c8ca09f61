//! Lookups over the given values themselves: loops of every kind.

use super::Call;
use crate::diag::{Error, Result};
use crate::value::{Key, Map, Value};
use rand::Rng;

/// One level of lists opened up.
fn flat(values: &[Value]) -> Vec<Value> {
    let mut out = Vec::with_capacity(values.len());
    for v in values {
        match v {
            Value::List(l) | Value::Tuple(l) => out.extend(l.iter().cloned()),
            other => out.push(other.clone()),
        }
    }
    out
}

pub(super) fn items(call: &Call<'_>) -> Result<Vec<Value>> {
    Ok(flat(&call.terms))
}

pub(super) fn indexed_items(call: &Call<'_>) -> Result<Vec<Value>> {
    Ok(flat(&call.terms).into_iter().enumerate().map(|(i, v)| Value::list(vec![Value::from(i), v])).collect())
}

/// All levels of lists opened up, empty words left out.
pub(super) fn flattened(call: &Call<'_>) -> Result<Vec<Value>> {
    fn open(v: &Value, out: &mut Vec<Value>) {
        match v {
            Value::List(l) | Value::Tuple(l) => l.iter().for_each(|v| open(v, out)),
            Value::Null => {}
            Value::Str(s) if *s.text == *"None" || *s.text == *"null" => {}
            other => out.push(other.clone()),
        }
    }
    let mut out = Vec::new();
    call.terms.iter().for_each(|t| open(t, &mut out));
    Ok(out)
}

/// Each dictionary as a list of `{key, value}`.
pub(super) fn dict(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Map(m) = term else {
            return Err(Error::template(format!(
                "the 'dict' lookup plugin expects a dictionary, got '{}' of type <class '{}'>)",
                term.to_str(),
                term.type_name()
            )));
        };
        out.extend(m.iter().map(|(k, v)| {
            let mut pair = Map::new();
            pair.insert(Key::from("key"), k.to_value());
            pair.insert(Key::from("value"), v.clone());
            Value::map(pair)
        }));
    }
    Ok(out)
}

/// The members that Python walks over: of a text its characters, of a dictionary its keys.
fn members(v: &Value) -> Result<Vec<Value>> {
    Ok(match v {
        Value::List(l) | Value::Tuple(l) => l.to_vec(),
        Value::Str(s) => s.text.chars().map(|c| Value::plain(c.to_string())).collect(),
        Value::Map(m) => m.keys().map(Key::to_value).collect(),
        other => return Err(Error::template(format!("'{}' object is not iterable", other.type_name()))),
    })
}

/// Every combination of one member of each list, the first changing slowest.
fn product(lists: &[Value]) -> Result<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists {
        let members = members(list)?;
        if rows.len().saturating_mul(members.len()) > 10_000_000 {
            return Err(Error::template("too many combinations"));
        }
        let mut next = Vec::with_capacity(rows.len() * members.len());
        for row in &rows {
            for member in &members {
                let mut row = row.clone();
                row.push(member.clone());
                next.push(row);
            }
        }
        rows = next;
    }
    Ok(rows.into_iter().map(|row| Value::list(flat(&row))).collect())
}

pub(super) fn nested(call: &Call<'_>) -> Result<Vec<Value>> {
    match call.terms.as_slice() {
        [] => Err(Error::template("with_nested requires at least one element in the nested list")),
        [one] => product(&members(one)?),
        many => product(many),
    }
}

pub(super) fn cartesian(call: &Call<'_>) -> Result<Vec<Value>> {
    if call.terms.is_empty() {
        return Err(Error::template("with_cartesian requires at least one element in each list"));
    }
    product(&call.terms)
}

/// The first members together, then the second ones …, `None` where a list is at its end.
pub(super) fn together(call: &Call<'_>) -> Result<Vec<Value>> {
    if call.terms.is_empty() {
        return Err(Error::template("with_together requires at least one element in each list"));
    }
    let lists = call.terms.iter().map(members).collect::<Result<Vec<_>>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    Ok((0..longest)
        .map(|i| {
            let row: Vec<Value> = lists.iter().map(|l| l.get(i).cloned().unwrap_or_default()).collect();
            Value::list(flat(&row))
        })
        .collect())
}

pub(super) fn random_choice(call: &Call<'_>) -> Result<Vec<Value>> {
    if call.terms.is_empty() {
        return Ok(Vec::new());
    }
    let at = rand::rng().random_range(0..call.terms.len());
    Ok(call.terms.get(at).cloned().into_iter().collect())
}

/// Each dictionary of a list with each member of a list in it.
fn expects(what: &str) -> Error {
    Error::template(format!("subelements lookup expects a list of two or three items, {what}").trim_end().to_string())
}

pub(super) fn subelements(call: &Call<'_>) -> Result<Vec<Value>> {
    let (Some(first), Some(path), true) = (call.terms.first(), call.terms.get(1), call.terms.len() <= 3) else {
        return Err(expects(""));
    };
    let Some(path) = path.as_str() else {
        return Err(expects("first a dict or a list, second a string pointing to the subkey"));
    };
    let skip_missing = match call.terms.get(2) {
        None => false,
        Some(Value::Map(flags)) => flags.get("skip_missing").and_then(Value::to_bool_loose).unwrap_or(false),
        Some(_) => {
            return Err(expects("the optional third item must be a dict with flags skip_missing"));
        }
    };
    let elements: Vec<Value> = match first {
        Value::List(l) | Value::Tuple(l) => l.to_vec(),
        Value::Map(m) if m.get("skipped").is_some_and(Value::truthy) => Vec::new(),
        Value::Map(m) => m.values().cloned().collect(),
        _ => return Err(expects("first a dict or a list, second a string pointing to the subkey")),
    };
    let keys: Vec<&str> = path.split('.').collect();
    let mut out = Vec::new();
    for element in &elements {
        let Value::Map(m) = element else {
            return Err(Error::template(format!(
                "subelements lookup expects a dictionary, got '{}'",
                element.to_str()
            )));
        };
        if m.get("skipped").is_some_and(Value::truthy) {
            continue;
        }
        if let Some((rest, members)) = take(element, &keys, skip_missing)? {
            out.extend(members.into_iter().map(|member| Value::list(vec![rest.clone(), member])));
        }
    }
    Ok(out)
}

/// The members of the list that the path leads to, and the element without that list.
fn take(element: &Value, keys: &[&str], skip_missing: bool) -> Result<Option<(Value, Vec<Value>)>> {
    let Some((key, deeper)) = keys.split_first() else { return Ok(None) };
    let Value::Map(m) = element else {
        if skip_missing {
            return Ok(None);
        }
        return Err(Error::template(format!("the key {key} should point to a dictionary, got '{}'", element.to_str())));
    };
    let Some(found) = m.get(*key) else {
        if skip_missing {
            return Ok(None);
        }
        return Err(Error::template(format!("could not find '{key}' key in iterated item '{}'", element.to_str())));
    };
    let mut rest = (**m).clone();
    if deeper.is_empty() {
        let Some(members) = found.as_list() else {
            return Err(Error::template(format!("the key {key} should point to a list, got '{}'", found.to_str())));
        };
        let members = members.to_vec();
        rest.shift_remove(*key);
        return Ok(Some((Value::map(rest), members)));
    }
    if found.as_map().is_none() {
        if skip_missing {
            return Ok(None);
        }
        return Err(Error::template(format!("the key {key} should point to a dictionary, got '{}'", found.to_str())));
    }
    Ok(take(found, deeper, skip_missing)?.map(|(inner, members)| {
        rest.insert(Key::from(*key), inner);
        (Value::map(rest), members)
    }))
}
