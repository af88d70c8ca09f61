//! Python's view of a template value: types, text, truth, equality, order, iteration and conversion.
//!
//! Jinja filters lean on Python's own rules everywhere (`True == 1`, a list never equals a tuple,
//! `'a' < 1` is an error); these functions give them over the engine's values.

use crate::value::{Key, Map, Value as Core, py_float, py_repr_str};
use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use std::cmp::Ordering;
use std::sync::Arc;

pub type Res<T = Value> = Result<T, Error>;

/// An error of a filter or test: the words alone, the caller puts the plugin's name before them.
pub fn fail<T>(message: impl Into<String>) -> Res<T> {
    Err(error(message))
}

pub fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// An undefined value that knows why it is one; `default` and `is defined` see through it.
pub fn undefined(message: impl Into<String>) -> Value {
    Value::from(Error::new(ErrorKind::UndefinedError, message.into()))
}

/// What a value is to Python.
pub enum Py<'a> {
    /// Undefined, or a value whose evaluation failed.
    Broken,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    List,
    Tuple,
    Dict,
    /// Anything else: dates, macros, functions.
    Object,
}

pub fn view(v: &Value) -> Py<'_> {
    match v.kind() {
        ValueKind::None => Py::None,
        ValueKind::Bool => Py::Bool(v.is_true()),
        ValueKind::Number => {
            if v.is_integer() {
                match i128::try_from(v.clone()) {
                    Ok(i) => Py::Int(i),
                    Err(_) => Py::Float(f64::try_from(v.clone()).unwrap_or(f64::INFINITY)),
                }
            } else {
                Py::Float(f64::try_from(v.clone()).unwrap_or(f64::NAN))
            }
        }
        ValueKind::String => Py::Str(v.as_str().unwrap_or("")),
        ValueKind::Bytes => Py::Bytes(v.as_bytes().unwrap_or(&[])),
        ValueKind::Seq => {
            if crate::template::convert::is_tuple(v) {
                Py::Tuple
            } else {
                Py::List
            }
        }
        ValueKind::Iterable => Py::List,
        ValueKind::Map => Py::Dict,
        ValueKind::Plain => Py::Object,
        _ => Py::Broken,
    }
}

/// True for an undefined value and for one whose evaluation met an undefined one.
pub fn is_undefined(v: &Value) -> bool {
    v.is_undefined() || broken(v).is_some_and(|e| e.kind() == ErrorKind::UndefinedError)
}

/// The error inside a value that could not be evaluated.
pub fn broken(v: &Value) -> Option<Error> {
    if v.kind() != ValueKind::Invalid {
        return None;
    }
    Value::from(vec![v.clone()]).try_iter().ok()?.checked().next()?.err()
}

/// The value, unless it is undefined or could not be evaluated.
pub fn check(v: &Value) -> Res<()> {
    match v.kind() {
        // the engine knows where an undefined value came from and tells it in this error
        ValueKind::Undefined => v.get_attr("x").map(|_| ()),
        ValueKind::Invalid => Err(broken(v).unwrap_or_else(|| error("invalid value"))),
        _ => Ok(()),
    }
}

/// Python's name of the value's type.
pub fn type_name(v: &Value) -> &'static str {
    match view(v) {
        Py::Broken => "Undefined",
        Py::None => "NoneType",
        Py::Bool(_) => "bool",
        Py::Int(_) => "int",
        Py::Float(_) => "float",
        Py::Str(_) => "str",
        Py::Bytes(_) => "bytes",
        Py::List => {
            if v.downcast_object_ref::<crate::template::globals::Range>().is_some() {
                "range"
            } else {
                "list"
            }
        }
        Py::Tuple => "tuple",
        Py::Dict => "dict",
        Py::Object => {
            if v.downcast_object_ref::<super::time::DateTime>().is_some() {
                "datetime"
            } else if v.downcast_object_ref::<super::time::TimeDelta>().is_some() {
                "timedelta"
            } else {
                "object"
            }
        }
    }
}

/// An integer in its usual representation.
pub fn int(i: i128) -> Value {
    i64::try_from(i).map(Value::from).unwrap_or_else(|_| Value::from(i))
}

pub fn list(items: Vec<Value>) -> Value {
    Value::from(items)
}

pub fn tuple(items: Vec<Value>) -> Value {
    Value::from(Tuple::from(items))
}

pub fn dict(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from_pairs(pairs.into_iter().collect::<Vec<_>>())
}

/// Python's `bool()` of a value.
pub fn truthy(v: &Value) -> Res<bool> {
    check(v)?;
    Ok(v.is_true())
}

/// Python's `str()`.
pub fn str(v: &Value) -> Res<String> {
    match view(v) {
        Py::Str(s) => Ok(s.to_string()),
        Py::Object => Ok(v.to_string()),
        _ => repr(v),
    }
}

/// Python's `repr()`.
pub fn repr(v: &Value) -> Res<String> {
    let mut out = String::new();
    write_repr(v, &mut out, 0)?;
    Ok(out)
}

/// How deep values may be nested before a filter refuses them.
pub const MAX_DEPTH: usize = 200;

fn write_repr(v: &Value, out: &mut String, depth: usize) -> Res<()> {
    if depth > MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    match view(v) {
        Py::Broken => check(v)?,
        Py::None => out.push_str("None"),
        Py::Bool(b) => out.push_str(if b { "True" } else { "False" }),
        Py::Int(i) => out.push_str(&i.to_string()),
        Py::Float(f) => out.push_str(&py_float(f)),
        Py::Str(s) => py_repr_str(s, out),
        Py::List if v.downcast_object_ref::<crate::template::globals::Range>().is_some() => {
            out.push_str(&v.to_string())
        }
        Py::List | Py::Tuple => {
            let is_tuple = matches!(view(v), Py::Tuple);
            out.push(if is_tuple { '(' } else { '[' });
            let all = items(v)?;
            for (i, x) in all.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(x, out, depth + 1)?;
            }
            if is_tuple && all.len() == 1 {
                out.push(',');
            }
            out.push(if is_tuple { ')' } else { ']' });
        }
        Py::Dict => {
            out.push('{');
            for (i, (k, x)) in pairs(v)?.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(k, out, depth + 1)?;
                out.push_str(": ");
                write_repr(x, out, depth + 1)?;
            }
            out.push('}');
        }
        Py::Bytes(_) => out.push_str(&format!("{v:?}")),
        Py::Object => match v.downcast_object_ref::<super::time::DateTime>() {
            Some(d) => out.push_str(&d.repr()),
            None => out.push_str(&v.to_string()),
        },
    }
    Ok(())
}

/// What `for x in v` gives in Python: list items, dict keys, characters.
pub fn iter(v: &Value) -> Res<Vec<Value>> {
    match view(v) {
        Py::Broken => {
            check(v)?;
            Ok(vec![])
        }
        Py::Str(s) => Ok(s.chars().map(Value::from).collect()),
        Py::Bytes(b) => Ok(b.iter().map(|x| Value::from(i64::from(*x))).collect()),
        Py::List | Py::Tuple | Py::Dict => items(v),
        _ => fail(format!("'{}' object is not iterable", type_name(v))),
    }
}

/// Items of a list or tuple, keys of a mapping; nothing for the rest. Items may be undefined.
pub fn items(v: &Value) -> Res<Vec<Value>> {
    Ok(match v.as_object().and_then(|o| o.try_iter()) {
        Some(it) => it.collect(),
        None => vec![],
    })
}

/// Keys and values of a mapping; nothing for the rest.
pub fn pairs(v: &Value) -> Res<Vec<(Value, Value)>> {
    Ok(match v.as_object().and_then(|o| o.try_iter_pairs()) {
        Some(it) if v.kind() == ValueKind::Map => it.collect(),
        _ => vec![],
    })
}

/// Python's `len()`.
pub fn len(v: &Value) -> Res<usize> {
    check(v)?;
    match view(v) {
        Py::Str(s) => Ok(s.chars().count()),
        Py::Bytes(b) => Ok(b.len()),
        Py::List | Py::Tuple | Py::Dict => match v.len() {
            Some(n) => Ok(n),
            None => Ok(items(v)?.len()),
        },
        _ => fail(format!("object of type '{}' has no len()", type_name(v))),
    }
}

/// Python's `==`.
pub fn eq(a: &Value, b: &Value) -> bool {
    match (view(a), view(b)) {
        (Py::None, Py::None) => true,
        (Py::Str(x), Py::Str(y)) => x == y,
        (Py::Bytes(x), Py::Bytes(y)) => x == y,
        (Py::List, Py::List) | (Py::Tuple, Py::Tuple) => match (items(a), items(b)) {
            (Ok(x), Ok(y)) => x.len() == y.len() && x.iter().zip(&y).all(|(p, q)| eq(p, q)),
            _ => false,
        },
        (Py::Dict, Py::Dict) => match (pairs(a), pairs(b)) {
            (Ok(x), Ok(y)) => {
                x.len() == y.len()
                    && x.iter().all(|(k, p)| match b.get_item(k) {
                        Ok(q) if !q.is_undefined() => eq(p, &q),
                        _ => false,
                    })
            }
            _ => false,
        },
        (Py::Object, Py::Object) => a == b,
        _ => match (number(a), number(b)) {
            (Some(x), Some(y)) => x.compare(y) == Some(Ordering::Equal),
            _ => false,
        },
    }
}

#[derive(Clone, Copy)]
pub enum Num {
    Int(i128),
    Float(f64),
}

impl Num {
    pub fn float(self) -> f64 {
        match self {
            Num::Int(i) => i as f64,
            Num::Float(f) => f,
        }
    }
    fn compare(self, other: Num) -> Option<Ordering> {
        match (self, other) {
            (Num::Int(a), Num::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }
    pub fn value(self) -> Value {
        match self {
            Num::Int(i) => int(i),
            Num::Float(f) => Value::from(f),
        }
    }
}

/// The value as a number, if Python counts it among them (booleans are).
pub fn number(v: &Value) -> Option<Num> {
    match view(v) {
        Py::Bool(b) => Some(Num::Int(i128::from(b))),
        Py::Int(i) => Some(Num::Int(i)),
        Py::Float(f) => Some(Num::Float(f)),
        _ => None,
    }
}

/// Python's ordering with the operator `op` for the error; `None` when a NaN is in the game.
pub fn compare(a: &Value, b: &Value, op: &str) -> Res<Option<Ordering>> {
    check(a)?;
    check(b)?;
    if let (Some(x), Some(y)) = (number(a), number(b)) {
        return Ok(x.compare(y));
    }
    match (view(a), view(b)) {
        (Py::Str(x), Py::Str(y)) => Ok(Some(x.cmp(y))),
        (Py::Bytes(x), Py::Bytes(y)) => Ok(Some(x.cmp(y))),
        (Py::List, Py::List) | (Py::Tuple, Py::Tuple) => {
            let (x, y) = (items(a)?, items(b)?);
            for (p, q) in x.iter().zip(&y) {
                if !eq(p, q) {
                    return compare(p, q, op);
                }
            }
            Ok(Some(x.len().cmp(&y.len())))
        }
        (Py::Object, Py::Object) if super::time::order(a, b).is_some() => Ok(super::time::order(a, b)),
        _ => fail(format!("'{op}' not supported between instances of '{}' and '{}'", type_name(a), type_name(b))),
    }
}

pub fn less(a: &Value, b: &Value) -> Res<bool> {
    Ok(compare(a, b, "<")? == Some(Ordering::Less))
}

/// Python's stable sort by a key; unlike the library's it may fail in a comparison.
pub fn sort_by_key(mut items: Vec<(Value, Value)>, reverse: bool) -> Res<Vec<Value>> {
    if reverse {
        items.reverse();
    }
    let mut out: Vec<Value> = merge_sort(items)?.into_iter().map(|(_, v)| v).collect();
    if reverse {
        out.reverse();
    }
    Ok(out)
}

fn merge_sort(mut v: Vec<(Value, Value)>) -> Res<Vec<(Value, Value)>> {
    if v.len() < 2 {
        return Ok(v);
    }
    let right = merge_sort(v.split_off(v.len() / 2))?;
    let left = merge_sort(v)?;
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (l.peek(), r.peek()) {
        let from = if less(&b.0, &a.0)? { &mut r } else { &mut l };
        out.extend(from.next());
    }
    out.extend(l);
    out.extend(r);
    Ok(out)
}

/// A value as a member of a set: equal keys mean equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SetKey {
    None,
    Int(i128),
    Float(u64),
    Str(String),
    List(Vec<SetKey>),
    Tuple(Vec<SetKey>),
    Dict(Vec<(SetKey, SetKey)>),
    Other(String),
}

pub fn set_key(v: &Value) -> Res<SetKey> {
    Ok(match view(v) {
        Py::Broken => {
            check(v)?;
            SetKey::None
        }
        Py::None => SetKey::None,
        Py::Bool(b) => SetKey::Int(i128::from(b)),
        Py::Int(i) => SetKey::Int(i),
        Py::Float(f) if f.fract() == 0.0 && f.abs() < 1e18 => SetKey::Int(f as i128),
        Py::Float(f) => SetKey::Float(f.to_bits()),
        Py::Str(s) => SetKey::Str(s.to_string()),
        Py::Tuple => SetKey::Tuple(items(v)?.iter().map(set_key).collect::<Res<_>>()?),
        Py::List => SetKey::List(items(v)?.iter().map(set_key).collect::<Res<_>>()?),
        Py::Dict => {
            let mut all = pairs(v)?.iter().map(|(k, x)| Ok((set_key(k)?, set_key(x)?))).collect::<Res<Vec<_>>>()?;
            all.sort();
            SetKey::Dict(all)
        }
        Py::Bytes(_) | Py::Object => SetKey::Other(format!("{v:?}")),
    })
}

/// `obj[key]`, then the attribute of that name: an undefined value that says so if there is none.
pub fn get(obj: &Value, key: &Value) -> Res<Value> {
    check(obj)?;
    check(key)?;
    let found = match view(obj) {
        Py::List | Py::Tuple | Py::Str(_) => match view(key) {
            Py::Int(i) => {
                let n = len(obj)? as i128;
                let at = if i < 0 { i + n } else { i };
                match view(obj) {
                    Py::Str(s) if at >= 0 => s.chars().nth(at as usize).map(Value::from),
                    _ if (0..n).contains(&at) => match obj.kind() {
                        ValueKind::Seq => obj.get_item_by_index(at as usize).ok(),
                        _ => items(obj)?.into_iter().nth(at as usize),
                    },
                    _ => None,
                }
            }
            // attributes that an object of ours offers, such as a group's `grouper`
            Py::Str(name) => obj.as_object().and_then(|o| o.get_value_by_str(name)),
            _ => None,
        },
        _ => obj.get_item(key).ok(),
    };
    match found {
        Some(v) if !v.is_undefined() => Ok(v),
        _ => Ok(undefined(missing(obj, key))),
    }
}

/// Ansible's words for a member that is not there.
pub fn missing(obj: &Value, key: &Value) -> String {
    format!("object of type '{}' has no attribute {}", type_name(obj), repr(key).unwrap_or_default())
}

/// The controller's own value of a rendered one; strings are plain. Fails on undefined parts.
pub fn to_core(v: &Value) -> Res<Core> {
    core_at(v, 0)
}

/// Like [`to_core`], but what was decrypted, or could not be, is given as the sealed value that it was.
pub fn to_core_sealed(v: &Value) -> Res<Core> {
    let vault = match v.to_str() {
        Some(_) => crate::template::tags::of(v).and_then(|tag| tag.vault),
        None => crate::template::convert::envelope(v),
    };
    if let Some(vault) = vault {
        return Ok(Core::Vault(vault));
    }
    Ok(match view(v) {
        Py::List => Core::list(items(v)?.iter().map(to_core_sealed).collect::<Res<_>>()?),
        Py::Tuple => Core::Tuple(Arc::new(items(v)?.iter().map(to_core_sealed).collect::<Res<_>>()?)),
        Py::Dict => {
            let mut m = Map::new();
            for (k, x) in pairs(v)? {
                let key = to_core(&k)?;
                let key = Key::from_value(&key).unwrap_or_else(|| Key::from(key.repr()));
                m.insert(key, to_core_sealed(&x)?);
            }
            Core::map(m)
        }
        _ => to_core(v)?,
    })
}

fn core_at(v: &Value, depth: usize) -> Res<Core> {
    if depth > MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    Ok(match view(v) {
        Py::Broken => {
            check(v)?;
            Core::Null
        }
        Py::None => Core::Null,
        Py::Bool(b) => Core::Bool(b),
        Py::Int(i) => Core::Int(i),
        Py::Float(f) => Core::Float(f),
        Py::Str(s) => match v.to_str() {
            Some(shared) => Core::Str(crate::template::tags::leave(shared)),
            None => Core::plain(s),
        },
        Py::Bytes(b) => Core::plain(String::from_utf8_lossy(b).into_owned()),
        Py::List => Core::list(items(v)?.iter().map(|x| core_at(x, depth + 1)).collect::<Res<_>>()?),
        Py::Tuple => Core::Tuple(Arc::new(items(v)?.iter().map(|x| core_at(x, depth + 1)).collect::<Res<_>>()?)),
        Py::Dict => {
            let mut m = Map::new();
            for (k, x) in pairs(v)? {
                let ck = core_at(&k, depth + 1)?;
                let key = Key::from_value(&ck).unwrap_or_else(|| Key::from(ck.repr()));
                m.insert(key, core_at(&x, depth + 1)?);
            }
            Core::map(m)
        }
        Py::Object => Core::plain(v.to_string()),
    })
}

/// A template value of one of the controller's own that holds no template.
pub fn from_core(v: &Core) -> Value {
    match v {
        Core::Null => Value::from(()),
        Core::Bool(b) => Value::from(*b),
        Core::Int(i) => int(*i),
        Core::Float(f) => Value::from(*f),
        Core::Str(s) => Value::from(s.text.clone()),
        Core::Vault(v) => Value::from(v.envelope.clone()),
        Core::List(l) => list(l.iter().map(from_core).collect()),
        Core::Tuple(l) => tuple(l.iter().map(from_core).collect()),
        Core::Map(m) => dict(m.iter().map(|(k, x)| (from_core(&k.to_value()), from_core(x)))),
    }
}
