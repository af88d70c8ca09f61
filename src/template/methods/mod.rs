//! Python's methods of strings, lists, dicts and numbers, called from templates.

mod strings;

use super::convert::{check, fail, is_tuple, type_name, undefined};
use super::object::{ListObj, MapObj};
use super::ops;
use indexmap::IndexMap;
use minijinja::value::{Kwargs, Tuple, Value as Mj, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;

/// `v.name(args…)`: an object's own method, then Python's of its type, then a callable member.
pub(super) fn call(state: &mut State<'_, '_>, v: &Mj, name: &str, args: &[Mj]) -> Result<Mj, Error> {
    if let Some(object) = v.as_object() {
        match object.call_method(state, name, args) {
            Err(e) if e.kind() == ErrorKind::UnknownMethod => {}
            other => return other,
        }
    }
    let found = match v.kind() {
        ValueKind::String => strings::call(v.as_str().unwrap_or_default(), name, args)?,
        ValueKind::Seq => list(v, name, args)?,
        ValueKind::Map => dict(v, name, args)?,
        ValueKind::Number if !v.is_integer() && name == "is_integer" => {
            Some(Mj::from(f64::try_from(v.clone())?.fract() == 0.0))
        }
        ValueKind::Number if v.is_integer() && name == "bit_length" => {
            let i = i128::try_from(v.clone())?;
            Some(Mj::from(128 - i.unsigned_abs().leading_zeros()))
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(object) = v.as_object()
        && let Some(member) = object.get_value_by_str(name)
    {
        return check(member)?.call(state, args);
    }
    Err(undefined(format!("object of type '{}' has no attribute '{name}'", type_name(v))))
}

fn frozen(what: &str) -> Error {
    fail(format!("this {what} cannot be changed in place; build a new one (with + or combine)"))
}

fn position(items: &[Mj], wanted: &Mj) -> Result<Option<usize>, Error> {
    for (i, item) in items.iter().enumerate() {
        if ops::equal(&check(item.clone())?, wanted)? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

/// Python's index of insertion or access: negative from the end.
fn fix(i: i64, len: usize) -> i64 {
    if i < 0 { i + len as i64 } else { i }
}

fn list(v: &Mj, name: &str, args: &[Mj]) -> Result<Option<Mj>, Error> {
    Ok(Some(match name {
        "index" => {
            let (wanted, start): (Mj, Option<usize>) = from_args(args)?;
            let items = ops::members(v)?;
            let start = start.unwrap_or(0).min(items.len());
            match position(items.get(start..).unwrap_or_default(), &wanted)? {
                Some(i) => Mj::from(i + start),
                None => return Err(fail(format!("{} is not in list", super::convert::py_repr(&wanted)?))),
            }
        }
        "count" => {
            let (wanted,): (Mj,) = from_args(args)?;
            let mut n = 0usize;
            for item in v.try_iter()? {
                n += usize::from(ops::equal(&check(item)?, &wanted)?);
            }
            Mj::from(n)
        }
        "copy" if !is_tuple(v) => {
            let () = from_args(args)?;
            Mj::from_object(ListObj::owned(ops::members(v)?))
        }
        "append" | "extend" | "insert" | "remove" | "pop" | "clear" | "reverse" | "sort" if !is_tuple(v) => {
            let own = v.downcast_object_ref::<ListObj>().ok_or_else(|| frozen("list"))?;
            return change_list(own, name, args).map(Some);
        }
        _ => return Ok(None),
    }))
}

fn change_list(own: &ListObj, name: &str, args: &[Mj]) -> Result<Mj, Error> {
    match name {
        "append" => {
            let (item,): (Mj,) = from_args(args)?;
            own.change(|l| l.push(item));
        }
        "extend" => {
            let (more,): (Mj,) = from_args(args)?;
            let more =
                ops::members(&more).map_err(|_| fail(format!("'{}' object is not iterable", type_name(&more))))?;
            own.change(|l| l.extend(more));
        }
        "insert" => {
            let (at, item): (i64, Mj) = from_args(args)?;
            own.change(|l| {
                let at = usize::try_from(fix(at, l.len()).max(0)).unwrap_or(0).min(l.len());
                l.insert(at, item);
            });
        }
        "remove" => {
            let (wanted,): (Mj,) = from_args(args)?;
            let removed = own.change(|l| -> Result<bool, Error> {
                match position(l, &wanted)? {
                    Some(i) => {
                        l.remove(i);
                        Ok(true)
                    }
                    None => Ok(false),
                }
            })?;
            if !removed {
                return Err(fail("list.remove(x): x not in list"));
            }
        }
        "pop" => {
            let (at,): (Option<i64>,) = from_args(args)?;
            return own
                .change(|l| {
                    let at = usize::try_from(fix(at.unwrap_or(-1), l.len())).ok().filter(|i| *i < l.len())?;
                    Some(l.remove(at))
                })
                .ok_or_else(|| fail("pop index out of range"));
        }
        "clear" => own.change(Vec::clear),
        "reverse" => own.change(|l| l.reverse()),
        _ => {
            let (kwargs,): (Kwargs,) = from_args(args)?;
            let reverse = kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false);
            kwargs.assert_all_used()?;
            own.change(|l| sort(l, reverse))?;
        }
    }
    Ok(Mj::from(()))
}

fn sort(items: &mut [Mj], reverse: bool) -> Result<(), Error> {
    let mut failed = None;
    items.sort_by(|a, b| {
        let order = ops::compare(a, b).unwrap_or_else(|e| {
            failed.get_or_insert(e);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    failed.map_or(Ok(()), Err)
}

fn pairs(v: &Mj) -> Result<Vec<(Mj, Mj)>, Error> {
    let mut out = Vec::new();
    for key in v.try_iter()? {
        let value = check(v.get_item(&key)?)?;
        out.push((key, value));
    }
    Ok(out)
}

fn dict(v: &Mj, name: &str, args: &[Mj]) -> Result<Option<Mj>, Error> {
    Ok(Some(match name {
        "items" => {
            let () = from_args(args)?;
            Mj::from(pairs(v)?.into_iter().map(|(k, v)| Mj::from(Tuple::new(vec![k, v]))).collect::<Vec<_>>())
        }
        "keys" => {
            let () = from_args(args)?;
            Mj::from(ops::members(v)?)
        }
        "values" => {
            let () = from_args(args)?;
            Mj::from(pairs(v)?.into_iter().map(|(_, v)| v).collect::<Vec<_>>())
        }
        "get" => {
            let (key, default): (Mj, Option<Mj>) = from_args(args)?;
            match v.as_object().and_then(|o| o.get_value(&key)) {
                Some(found) => found,
                None => default.unwrap_or_default_none(),
            }
        }
        "copy" => {
            let () = from_args(args)?;
            Mj::from_object(MapObj::owned(pairs(v)?.into_iter().collect()))
        }
        "update" | "pop" | "popitem" | "setdefault" | "clear" => {
            let own = v.downcast_object_ref::<MapObj>().ok_or_else(|| frozen("dict"))?;
            return change_dict(own, name, args).map(Some);
        }
        _ => return Ok(None),
    }))
}

trait OrNone {
    fn unwrap_or_default_none(self) -> Mj;
}
impl OrNone for Option<Mj> {
    fn unwrap_or_default_none(self) -> Mj {
        self.unwrap_or_else(|| Mj::from(()))
    }
}

fn change_dict(own: &MapObj, name: &str, args: &[Mj]) -> Result<Mj, Error> {
    match name {
        "update" => {
            let (rest, kwargs): (&[Mj], Kwargs) = from_args(args)?;
            let mut all: IndexMap<Mj, Mj> = IndexMap::new();
            if let Some(other) = rest.first() {
                if other.kind() == ValueKind::Map {
                    all.extend(pairs(other)?);
                } else {
                    for pair in other.try_iter()? {
                        let mut two = ops::members(&pair)?.into_iter();
                        let (Some(k), Some(v), None) = (two.next(), two.next(), two.next()) else {
                            return Err(fail("dictionary update sequence element has the wrong length; 2 is required"));
                        };
                        all.insert(k, v);
                    }
                }
            }
            for key in kwargs.args() {
                all.insert(Mj::from(key), kwargs.peek(key)?);
            }
            own.change(|m| m.extend(all));
            Ok(Mj::from(()))
        }
        "pop" => {
            let (key, default): (Mj, Option<Mj>) = from_args(args)?;
            match own.change(|m| m.shift_remove(&key)).or(default) {
                Some(v) => Ok(v),
                None => Err(fail(super::convert::py_repr(&key)?)),
            }
        }
        "popitem" => own
            .change(IndexMap::pop)
            .map(|(k, v)| Mj::from(Tuple::new(vec![k, v])))
            .ok_or_else(|| fail("popitem(): dictionary is empty")),
        "setdefault" => {
            let (key, default): (Mj, Option<Mj>) = from_args(args)?;
            Ok(own.change(|m| m.entry(key).or_insert(default.unwrap_or_default_none()).clone()))
        }
        _ => {
            own.change(IndexMap::clear);
            Ok(Mj::from(()))
        }
    }
}
