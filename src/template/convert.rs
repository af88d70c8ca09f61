//! Between the controller's values and the template engine's.

use super::object::{ListObj, MapObj};
use crate::diag::{Error, Kind, Result};
use crate::value::{Key, Map, Value, VaultText, py_float, py_repr_str};
use minijinja::value::{Tuple, Value as Mj, ValueKind};
use std::sync::Arc;

/// The engine's view of a rendered value. Maps and lists are shared, not copied.
pub fn to_mj(v: &Value) -> Mj {
    match v {
        Value::Null => Mj::from(()),
        Value::Bool(b) => Mj::from(*b),
        Value::Int(i) => match i64::try_from(*i) {
            Ok(i) => Mj::from(i),
            Err(_) => Mj::from(*i),
        },
        Value::Float(f) => Mj::from(*f),
        Value::Str(s) => super::tags::enter(s),
        Value::Vault(s) => Mj::from(s.envelope.clone()),
        Value::List(l) => Mj::from_object(ListObj::plain(l.clone())),
        Value::Tuple(l) => Mj::from(Tuple::new(l.iter().map(to_mj).collect())),
        Value::Map(m) => Mj::from_object(MapObj::plain(m.clone())),
    }
}

/// A mapping key as the engine's value.
pub fn key_to_mj(k: &Key) -> Mj {
    match k {
        Key::Str(s) => Mj::from(s.clone()),
        other => to_mj(&other.to_value()),
    }
}

/// A mapping key from the engine's value (lists and maps become their Python text).
pub fn key_from_mj(v: &Mj) -> Result<Key> {
    if let Some(s) = v.as_str() {
        return Ok(Key::Str(s.into()));
    }
    let v = from_mj(v)?;
    Ok(Key::from_value(&v).unwrap_or_else(|| Key::from(v.repr())))
}

/// What the engine computed, as a value of ours. Strings come out plain, except one that is, unchanged, a
/// text of a trusted source ([`super::tags`]); a result is never a template.
///
/// Errors: undefined values, and errors that a lazily rendered member raises.
pub fn from_mj(v: &Mj) -> Result<Value> {
    if let Some(m) = v.downcast_object_ref::<MapObj>()
        && let Some(map) = m.as_plain()
    {
        return Ok(Value::Map(map.clone()));
    }
    if let Some(l) = v.downcast_object_ref::<ListObj>()
        && let Some(list) = l.as_plain()
    {
        return Ok(Value::List(list.clone()));
    }
    Ok(match v.kind() {
        ValueKind::Undefined => {
            return Err(Error::template(
                "Error rendering template: Type 'Undefined' is unsupported for variable storage.",
            ));
        }
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(v.is_true()),
        ValueKind::Number => number(v)?,
        ValueKind::String => match v.to_str() {
            Some(s) => Value::Str(super::tags::leave(s)),
            None => Value::plain(""),
        },
        ValueKind::Bytes => Value::plain(String::from_utf8_lossy(v.as_bytes().unwrap_or_default()).into_owned()),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut out = Vec::with_capacity(v.len().unwrap_or(0).min(1024));
            for item in v.try_iter().map_err(error)? {
                out.push(from_mj(&item)?);
            }
            if is_tuple(v) { Value::Tuple(Arc::new(out)) } else { Value::list(out) }
        }
        ValueKind::Map => {
            let mut out = Map::with_capacity(v.len().unwrap_or(0).min(1024));
            for key in v.try_iter().map_err(error)? {
                let value = v.get_item(&key).map_err(error)?;
                out.insert(key_from_mj(&key)?, from_mj(&value)?);
            }
            Value::map(out)
        }
        ValueKind::Invalid => match stand_in(v) {
            Some(text) => Value::plain(text),
            None => return Err(error(invalid(v))),
        },
        _ => {
            // a date is stored as the text that it is in JSON
            if let Some(date) = v.downcast_object_ref::<super::filters::time::DateTime>() {
                return Ok(Value::plain(date.isoformat("T")));
            }
            return Err(Error::template(format!(
                "Error rendering template: Type '{}' is unsupported for variable storage.",
                type_name(v)
            )));
        }
    })
}

/// Like [`from_mj`], but undefined values within are told in their places, and their errors collected.
pub fn from_mj_told(v: &Mj, errors: &mut Vec<String>) -> Result<Value> {
    if is_undefined(v) && v.kind() == ValueKind::Invalid {
        let said = error(invalid(v)).message().to_string();
        errors.push(said.clone());
        return Ok(Value::plain(format!("<< error {} - {said} >>", errors.len())));
    }
    Ok(match v.kind() {
        ValueKind::Seq => {
            let mut out = Vec::new();
            for item in v.try_iter().map_err(error)? {
                out.push(from_mj_told(&item, errors)?);
            }
            if is_tuple(v) { Value::Tuple(Arc::new(out)) } else { Value::list(out) }
        }
        ValueKind::Map => {
            let mut out = Map::new();
            for key in v.try_iter().map_err(error)? {
                let member = v.get_item(&key).map_err(error)?;
                out.insert(key_from_mj(&key)?, from_mj_told(&member, errors)?);
            }
            Value::map(out)
        }
        _ => from_mj(v)?,
    })
}

/// Like [`from_mj`], but what is undefined is left out of the list or mapping that it stands in; `None` if there
/// is nothing else.
pub fn from_mj_defined(v: &Mj) -> Result<Option<Value>> {
    if is_undefined(v) {
        return Ok(None);
    }
    Ok(Some(match v.kind() {
        ValueKind::Seq => {
            let mut out = Vec::new();
            for item in v.try_iter().map_err(error)? {
                out.extend(from_mj_defined(&item)?);
            }
            Value::list(out)
        }
        ValueKind::Map => {
            let mut out = Map::new();
            for key in v.try_iter().map_err(error)? {
                let member = v.get_item(&key).map_err(error)?;
                if let Some(member) = from_mj_defined(&member)? {
                    out.insert(key_from_mj(&key)?, member);
                }
            }
            Value::map(out)
        }
        _ => from_mj(v)?,
    }))
}

fn number(v: &Mj) -> Result<Value> {
    if v.is_integer() {
        return i128::try_from(v.clone())
            .map(Value::Int)
            .map_err(|_| Error::template(format!("integer {v} is out of range")));
    }
    f64::try_from(v.clone()).map(Value::Float).map_err(error)
}

/// The error that an invalid value carries (a lazily rendered variable that failed).
pub fn invalid(v: &Mj) -> minijinja::Error {
    // Checked iteration is minijinja's only public way to the error inside an invalid value.
    let carrier = Mj::from(vec![v.clone()]).try_iter().map(|it| it.checked().find_map(Result::err));
    match carrier {
        Ok(Some(e)) => e,
        _ => minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "invalid value"),
    }
}

/// The value, or the error it carries. Filters call this on members they take out of lists and maps.
pub fn check(v: Mj) -> Result<Mj, minijinja::Error> {
    if v.kind() == ValueKind::Invalid { Err(invalid(&v)) } else { Ok(v) }
}

/// True for a value that is not there: plain undefined, or a marker that carries the error.
pub fn is_undefined(v: &Mj) -> bool {
    match v.kind() {
        ValueKind::Undefined => true,
        ValueKind::Invalid => invalid(v).kind() == minijinja::ErrorKind::UndefinedError,
        _ => false,
    }
}

thread_local! {
    /// While text is made that only people read: the errors that stand in it.
    static SHOWN_ERRORS: std::cell::RefCell<Option<Vec<String>>> = const { std::cell::RefCell::new(None) };
}

/// Runs `f` so that what is undefined is written as `<< error N - … >>` in its place; answers these errors, too.
pub(super) fn showing_errors<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    let before = SHOWN_ERRORS.replace(Some(vec![]));
    let out = f();
    (out, SHOWN_ERRORS.replace(before).unwrap_or_default())
}

/// What stands for an error while errors are shown in place.
pub(super) fn shown_error(message: &str) -> Option<String> {
    SHOWN_ERRORS.with_borrow_mut(|all| {
        let all = all.as_mut()?;
        all.push(message.to_string());
        Some(format!("<< error {} - {message} >>", all.len()))
    })
}

fn stand_in(v: &Mj) -> Option<String> {
    SHOWN_ERRORS.with_borrow(|all| all.is_some().then_some(()))?;
    if !is_undefined(v) {
        return None;
    }
    shown_error(error(invalid(v)).message())
}

/// Appends a value as a template prints it: `None` and undefined as nothing, tuples as lists.
pub fn write_out(v: &Mj, out: &mut String) -> Result<(), minijinja::Error> {
    match v.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        ValueKind::Invalid => match stand_in(v) {
            Some(text) => {
                out.push_str(&text);
                Ok(())
            }
            None => write_value(v, out, 0, true),
        },
        ValueKind::String => {
            out.push_str(v.as_str().unwrap_or_default());
            Ok(())
        }
        _ => write_value(v, out, 0, true),
    }
}

/// True for what is a tuple in Python: those of the language, and the groups that `groupby` makes.
pub fn is_tuple(v: &Mj) -> bool {
    v.is_tuple() || is_group(v)
}

fn is_group(v: &Mj) -> bool {
    v.downcast_object_ref::<super::filters::Group>().is_some()
}

/// Python's name of the value's type.
pub fn type_name(v: &Mj) -> &'static str {
    match v.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if v.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if is_tuple(v) => "tuple",
        ValueKind::Map => "dict",
        ValueKind::Iterable => "generator",
        _ => super::filters::py::type_name(v),
    }
}

/// Python's `str()` of a value.
pub fn py_str(v: &Mj) -> Result<String, minijinja::Error> {
    if let Some(s) = v.as_str() {
        return Ok(s.to_string());
    }
    let mut out = String::new();
    write_repr(v, &mut out, 0)?;
    Ok(out)
}

/// Python's `repr()` of a value.
pub fn py_repr(v: &Mj) -> Result<String, minijinja::Error> {
    let mut out = String::new();
    write_repr(v, &mut out, 0)?;
    Ok(out)
}

/// Appends Python's `repr()` of a value.
pub fn write_repr(v: &Mj, out: &mut String, depth: usize) -> Result<(), minijinja::Error> {
    write_value(v, out, depth, false)
}

fn write_value(v: &Mj, out: &mut String, depth: usize, stored: bool) -> Result<(), minijinja::Error> {
    if depth > 200 {
        return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "value is nested too deeply"));
    }
    match v.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if v.is_true() { "True" } else { "False" }),
        ValueKind::Number if v.is_integer() => out.push_str(&v.to_string()),
        ValueKind::Number => out.push_str(&py_float(f64::try_from(v.clone())?)),
        ValueKind::String => py_repr_str(v.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Iterable => {
            // a group is a tuple with names, which is not taken for one that can be shown as a list
            let tuple = is_tuple(v) && (!stored || is_group(v));
            out.push(if tuple { '(' } else { '[' });
            let mut n = 0;
            for item in v.try_iter()? {
                if n > 0 {
                    out.push_str(", ");
                }
                write_value(&item, out, depth + 1, stored)?;
                n += 1;
            }
            if tuple && n == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Map => {
            out.push('{');
            for (n, key) in v.try_iter()?.enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_value(&key, out, depth + 1, stored)?;
                out.push_str(": ");
                write_value(&v.get_item(&key)?, out, depth + 1, stored)?;
            }
            out.push('}');
        }
        ValueKind::Invalid => return Err(invalid(v)),
        _ => out.push_str(&v.to_string()),
    }
    Ok(())
}

/// The engine's error for an undefined value, with Ansible's words.
pub fn undefined(message: impl Into<String>) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::UndefinedError, message.into())
}

/// The engine's error with a message and no more.
pub fn fail(message: impl Into<String>) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message.into())
}

/// An error of ours, carried through the engine.
pub fn carry(e: Error) -> minijinja::Error {
    let kind = match e.kind() {
        Kind::Undefined => minijinja::ErrorKind::UndefinedError,
        _ => minijinja::ErrorKind::InvalidOperation,
    };
    minijinja::Error::new(kind, e.message().to_string()).with_source(Carried(e))
}

/// A vaulted value that cannot be opened, as the engine's value: whatever uses it as text raises the error.
pub fn sealed(vault: &Arc<VaultText>, e: Error) -> Mj {
    let e = Error::new(e.kind(), format!("Attempt to use undecryptable variable: {}", e.message())).at(e.span());
    let source = Sealed { vault: vault.clone(), error: Carried(e) };
    let message = source.error.0.message().to_string();
    Mj::from(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message).with_source(source))
}

/// The envelope within a value that could not be opened.
pub fn envelope(v: &Mj) -> Option<Arc<VaultText>> {
    if v.kind() != ValueKind::Invalid {
        return None;
    }
    let e = invalid(v);
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(&e);
    while let Some(err) = at {
        if let Some(sealed) = err.downcast_ref::<Sealed>() {
            return Some(sealed.vault.clone());
        }
        at = err.source();
    }
    None
}

#[derive(Debug)]
struct Sealed {
    vault: Arc<VaultText>,
    error: Carried,
}
impl std::fmt::Display for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}
impl std::error::Error for Sealed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[derive(Debug)]
struct Carried(Error);
impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl std::error::Error for Carried {}

/// The error itself, without the frames of the includes and blocks that it came through.
pub(super) fn innermost(e: &minijinja::Error) -> &minijinja::Error {
    use minijinja::ErrorKind as K;
    let mut at = e;
    while matches!(at.kind(), K::BadInclude | K::EvalBlock)
        && let Some(inner) = std::error::Error::source(at).and_then(|s| s.downcast_ref::<minijinja::Error>())
    {
        at = inner;
    }
    at
}

/// What sort of error of ours an engine error is.
pub fn error_kind(e: &minijinja::Error) -> Kind {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(err) = at {
        if let Some(c) = err.downcast_ref::<Carried>() {
            return c.0.kind();
        }
        at = err.source();
    }
    if innermost(e).kind() == minijinja::ErrorKind::UndefinedError { Kind::Undefined } else { Kind::Template }
}

/// An engine error as ours: the innermost carried error if there is one.
pub fn error(e: minijinja::Error) -> Error {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(&e);
    while let Some(err) = at {
        if let Some(c) = err.downcast_ref::<Carried>() {
            return c.0.clone();
        }
        at = err.source();
    }
    let e = innermost(&e);
    let kind = match e.kind() {
        minijinja::ErrorKind::UndefinedError => Kind::Undefined,
        _ => Kind::Template,
    };
    let message = match e.detail() {
        Some(d) => d.to_string(),
        None => e.kind().to_string(),
    };
    Error::new(kind, message)
}
