//! Arguments of filters, tests and globals, bound as Python binds them: by position or by name.

use super::py::{self, Py, Res, error, fail};
use minijinja::Value;
use std::sync::Arc;

/// A parameter list, read from text such as `value, width=, *rest, indent=, **more`.
/// `=` marks a parameter that may be left out; those after `*` are given by name only.
#[derive(Debug, Default)]
pub struct Signature {
    params: Vec<Param>,
    rest: bool,
    more: bool,
}

#[derive(Debug)]
struct Param {
    name: &'static str,
    required: bool,
    by_name_only: bool,
}

impl Signature {
    pub fn parse(text: &'static str) -> Signature {
        let mut sig = Signature::default();
        let mut by_name_only = false;
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            if part.starts_with("**") {
                sig.more = true;
            } else if part.starts_with('*') {
                sig.rest = true;
                by_name_only = true;
            } else {
                let name = part.trim_end_matches('=');
                sig.params.push(Param { name, required: name == part, by_name_only });
            }
        }
        sig
    }
}

/// The arguments of one call.
pub struct Args {
    pub name: &'static str,
    sig: Arc<Signature>,
    values: Vec<Option<Value>>,
    /// What `*rest` caught.
    pub rest: Vec<Value>,
    /// What `**more` caught.
    pub more: Vec<(String, Value)>,
}

const NOTHING: Value = Value::UNDEFINED;

impl Args {
    /// Binds the engine's argument list (keyword arguments are its last value).
    pub fn bind(name: &'static str, sig: &Arc<Signature>, given: &[Value]) -> Res<Args> {
        let (given, named) = match given.split_last() {
            Some((last, front)) if last.is_kwargs() => (front, py::pairs(last)?),
            _ => (given, vec![]),
        };
        let mut values: Vec<Option<Value>> = vec![None; sig.params.len()];
        let mut rest = vec![];
        let positional = sig.params.iter().filter(|p| !p.by_name_only).count();
        for (i, v) in given.iter().enumerate() {
            match values.get_mut(i) {
                Some(slot) if i < positional => *slot = Some(v.clone()),
                _ if sig.rest => rest.push(v.clone()),
                _ => {
                    let least = sig.params.iter().filter(|p| p.required && !p.by_name_only).count();
                    let takes = if least == positional {
                        format!("{positional} positional argument{}", if positional == 1 { "" } else { "s" })
                    } else {
                        format!("from {least} to {positional} positional arguments")
                    };
                    return fail(format!(
                        "{name}() takes {takes} but {} {} given",
                        given.len(),
                        if given.len() == 1 { "was" } else { "were" }
                    ));
                }
            }
        }
        let mut more = vec![];
        for (k, v) in named {
            let key = k.as_str().unwrap_or_default();
            match sig.params.iter().position(|p| p.name == key) {
                Some(i) => match values.get_mut(i) {
                    Some(slot @ None) => *slot = Some(v),
                    _ => return fail(format!("{name}() got multiple values for argument '{key}'")),
                },
                None if sig.more => more.push((key.to_string(), v)),
                None => return fail(format!("{name}() got an unexpected keyword argument '{key}'")),
            }
        }
        let missing: Vec<String> = sig
            .params
            .iter()
            .zip(&values)
            .filter(|(p, v)| p.required && v.is_none())
            .map(|(p, _)| format!("'{}'", p.name))
            .collect();
        if !missing.is_empty() {
            return fail(format!(
                "{name}() missing {} required positional argument{}: {}",
                missing.len(),
                if missing.len() == 1 { "" } else { "s" },
                missing.join(" and ")
            ));
        }
        Ok(Args { name, sig: sig.clone(), values, rest, more })
    }

    /// The argument as given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let i = self.sig.params.iter().position(|p| p.name == name)?;
        self.values.get(i)?.as_ref()
    }

    /// The argument unless it was left out or is `None`.
    pub fn some(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|v| !v.is_none())
    }

    /// A required argument (undefined if it is not one).
    pub fn val(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&NOTHING)
    }

    /// The argument as Python's `str()` shows it.
    pub fn text(&self, name: &str) -> Res<String> {
        py::str(self.val(name))
    }

    /// The argument, which must be text: `words` says of another type what Python's function says.
    pub fn only_text(&self, name: &str, words: fn(&str) -> String) -> Res<String> {
        let v = self.val(name);
        match py::view(v) {
            Py::Str(s) => Ok(s.to_string()),
            _ => fail(words(py::type_name(v))),
        }
    }

    /// The argument as text, or `default` if it was left out or is `None`.
    pub fn text_or(&self, name: &str, default: &str) -> Res<String> {
        match self.some(name) {
            Some(v) => py::str(v),
            None => Ok(default.to_string()),
        }
    }

    /// The argument as text, if it was given and is not `None`.
    pub fn text_opt(&self, name: &str) -> Res<Option<String>> {
        self.some(name).map(py::str).transpose()
    }

    /// Python's truth of the argument.
    pub fn flag(&self, name: &str, default: bool) -> Res<bool> {
        self.get(name).map_or(Ok(default), py::truthy)
    }

    /// An integer argument; `None` counts as left out.
    pub fn int(&self, name: &str, default: i128) -> Res<i128> {
        Ok(self.int_opt(name)?.unwrap_or(default))
    }

    pub fn int_opt(&self, name: &str) -> Res<Option<i128>> {
        match self.some(name) {
            None => Ok(None),
            Some(v) => match py::view(v) {
                Py::Int(i) => Ok(Some(i)),
                Py::Bool(b) => Ok(Some(b.into())),
                _ => fail(format!("'{}' object cannot be interpreted as an integer", py::type_name(v))),
            },
        }
    }

    /// A required argument as a number.
    pub fn num(&self, name: &str) -> Res<py::Num> {
        let v = self.val(name);
        py::number(v).ok_or_else(|| error(format!("must be real number, not {}", py::type_name(v))))
    }

    /// The first undefined argument.
    pub fn undefined(&self) -> Option<&Value> {
        let named = self.more.iter().map(|(_, v)| v);
        self.values.iter().flatten().chain(&self.rest).chain(named).find(|v| py::is_undefined(v))
    }

    /// Fails if an argument could not be evaluated for another reason than an undefined variable.
    pub fn check_broken(&self) -> Res<()> {
        let named = self.more.iter().map(|(_, v)| v);
        match self
            .values
            .iter()
            .flatten()
            .chain(&self.rest)
            .chain(named)
            .filter_map(py::broken)
            .find(|e| e.kind() != minijinja::ErrorKind::UndefinedError)
        {
            Some(e) => Err(e),
            None => Ok(()),
        }
    }
}
