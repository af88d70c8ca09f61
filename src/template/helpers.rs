//! The helper filters that lowered templates are made of (see [`super::lower`]).

use super::convert::{carry, check, envelope, fail, invalid, is_undefined, py_repr, type_name, undefined, write_out};
use super::object::{ListObj, MapObj, ScopeObj};
use super::{methods, ops};
use crate::diag::Error as OurError;
use indexmap::IndexMap;
use minijinja::value::{Kwargs, Object, Rest, Value as Mj, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

thread_local! {
    /// What the templates under way on this thread have printed, one entry for each.
    static NODES: RefCell<Vec<Nodes>> = const { RefCell::new(Vec::new()) };
}

/// The values that a template printed itself: `None` does not count, and a single one keeps its type.
#[derive(Default)]
pub(super) struct Nodes {
    pub count: usize,
    pub none: bool,
    pub last: Option<Mj>,
}

/// Runs `f` as one template and answers what it printed.
pub(super) fn with_nodes<T>(f: impl FnOnce() -> T) -> (T, Nodes) {
    NODES.with(|n| n.borrow_mut().push(Nodes::default()));
    let out = f();
    let nodes = NODES.with(|n| n.borrow_mut().pop()).unwrap_or_default();
    (out, nodes)
}

fn node(v: Mj) -> Mj {
    NODES.with(|n| {
        if let Some(top) = n.borrow_mut().last_mut() {
            if v.is_none() {
                top.none = true;
            } else {
                top.count += 1;
                top.last = Some(v.clone());
            }
        }
    });
    v
}

/// A member, or a marker in Ansible's words, or a vaulted value that cannot be opened; another error that
/// a lazy member carries is raised.
fn soften(v: Mj) -> Result<Mj, Error> {
    if v.kind() == ValueKind::Invalid && !is_undefined(&v) && envelope(&v).is_none() { Err(invalid(&v)) } else { Ok(v) }
}

fn no_attribute(base: &Mj, key: &Mj) -> Mj {
    let kind = match base.downcast_object_ref::<ScopeObj>() {
        Some(s) => match key.as_str().and_then(|k| s.r.scope.vars.missing(k)) {
            Some(words) => return Mj::from(undefined(words)),
            None => "HostVarsVars",
        },
        None => type_name(base),
    };
    let scalar = matches!(base.kind(), ValueKind::Number | ValueKind::Bool | ValueKind::None);
    if scalar && key.is_integer() {
        return Mj::from(undefined(format!("{kind} object has no element {key}")));
    }
    let key = py_repr(key).unwrap_or_else(|_| key.to_string());
    Mj::from(undefined(format!("object of type '{kind}' has no attribute {key}")))
}

fn undefined_base(base: &Mj) -> Option<Mj> {
    match base.kind() {
        ValueKind::Invalid => Some(base.clone()),
        ValueKind::Undefined => Some(Mj::from(undefined(
            "the inline if-expression on line 1 evaluated to false and no else section was defined.",
        ))),
        _ => None,
    }
}

/// `base.name`
pub(super) fn attr(base: &Mj, name: &str) -> Result<Mj, Error> {
    if let Some(marker) = undefined_base(base) {
        return soften(marker);
    }
    if let Some(object) = base.as_object()
        && let Some(found) = object.get_value_by_str(name)
    {
        return soften(found);
    }
    Ok(no_attribute(base, &Mj::from(name)))
}

/// `base[key]`
pub(super) fn item(base: &Mj, key: &Mj) -> Result<Mj, Error> {
    if let Some(marker) = undefined_base(base) {
        return soften(marker);
    }
    let index = match ops::Num::of(key) {
        Some(ops::Num::Int(i)) => Some(i),
        _ => None,
    };
    let found = match (base.kind(), index) {
        (ValueKind::String, Some(i)) => base.as_str().and_then(|s| {
            let i = if i < 0 { s.chars().count() as i128 + i } else { i };
            usize::try_from(i).ok().and_then(|i| s.chars().nth(i)).map(|c| Mj::from(c.to_string()))
        }),
        (ValueKind::Seq, Some(i)) => {
            let i = if i < 0 { base.len().unwrap_or(0) as i128 + i } else { i };
            usize::try_from(i).ok().and_then(|i| base.as_object().and_then(|o| o.get_value(&Mj::from(i))))
        }
        (ValueKind::Iterable, Some(i)) if i >= 0 => base.try_iter()?.nth(usize::try_from(i).unwrap_or(usize::MAX)),
        _ => base.as_object().and_then(|o| o.get_value(key)),
    };
    match found {
        Some(v) => soften(v),
        None => Ok(no_attribute(base, key)),
    }
}

fn first_marker(args: &[Mj]) -> Option<Mj> {
    for a in args {
        if is_undefined(a) && a.kind() == ValueKind::Invalid {
            return Some(a.clone());
        }
        if a.is_kwargs()
            && let Ok(mut keys) = a.try_iter()
            && let Some(m) = keys.find_map(|k| a.get_item(&k).ok().filter(|v| v.kind() == ValueKind::Invalid))
        {
            return Some(m);
        }
    }
    None
}

fn full_name(name: &str) -> String {
    if name.contains('.') { name.to_string() } else { format!("ansible.builtin.{name}") }
}

/// An error of a filter or test with Ansible's words before it; undefined values pass as markers.
fn plugin_error(kind: &str, name: &str, e: Error) -> Result<Mj, Error> {
    if e.kind() == ErrorKind::UndefinedError {
        return Ok(Mj::from(e));
    }
    // The engine's own error has no detail: it is about this very name.
    let unknown = matches!(e.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest);
    if unknown && e.detail().is_none() {
        return Err(fail(format!("Syntax error in template: No {kind} named '{name}'.")));
    }
    if e.kind() == ErrorKind::OutOfFuel {
        return Err(e);
    }
    let ours = super::convert::error(e);
    // a plugin that names itself (or the one that it called) has said it all
    if ours.kind() == crate::diag::Kind::Vault || super::filters::names_plugin(ours.message()) {
        return Err(carry(ours));
    }
    let message = format!("The {kind} plugin '{}' failed: {}", full_name(name), ours.message());
    Err(carry(OurError::template(message).at(ours.span())))
}

/// Applies the filter `name`; a marker among the arguments is the answer.
fn filter(state: &mut State<'_, '_>, v: Mj, name: &str, rest: Vec<Mj>) -> Result<Mj, Error> {
    let mut args = Vec::with_capacity(rest.len() + 1);
    args.push(v);
    args.extend(rest);
    // `ternary` takes both its answers and uses one.
    let strict = if name.ends_with("ternary") { args.get(..1).unwrap_or_default() } else { &args };
    if let Some(marker) = first_marker(strict) {
        return Ok(marker);
    }
    match state.apply_filter(name, &args) {
        Ok(v) => Ok(v),
        Err(e) => plugin_error("filter", name, e),
    }
}

fn test(state: &mut State<'_, '_>, v: Mj, name: &str, rest: Vec<Mj>) -> Result<Mj, Error> {
    let mut args = Vec::with_capacity(rest.len() + 1);
    args.push(v);
    args.extend(rest);
    if let Some(marker) = first_marker(&args) {
        return Ok(marker);
    }
    match state.perform_test(name, &args) {
        Ok(b) => Ok(Mj::from(b)),
        Err(e) => plugin_error("test", name, e),
    }
}

fn call_method(state: &mut State<'_, '_>, v: Mj, name: &str, args: Vec<Mj>) -> Result<Mj, Error> {
    if let Some(marker) = undefined_base(&v) {
        return soften(marker);
    }
    if let Some(marker) = first_marker(&args) {
        return Ok(marker);
    }
    match methods::call(state, &v, name, &args) {
        Err(e) if e.kind() == ErrorKind::UndefinedError => Ok(Mj::from(e)),
        other => other,
    }
}

fn default_filter(v: Mj, args: &[Mj]) -> Result<Mj, Error> {
    let (rest, kwargs): (&[Mj], Kwargs) = from_args(args)?;
    let kw = |n: &str| kwargs.peek::<Mj>(n).ok();
    let other = rest.first().cloned().or_else(|| kw("default_value")).unwrap_or_else(|| Mj::from(""));
    let boolean = rest.get(1).cloned().or_else(|| kw("boolean")).is_some_and(|b| b.is_true());
    if is_undefined(&v) || (boolean && !v.is_true()) {
        return Ok(other);
    }
    check(v)
}

fn mandatory(v: Mj, args: &[Mj]) -> Result<Mj, Error> {
    if !is_undefined(&v) {
        return check(v);
    }
    let (rest, kwargs): (&[Mj], Kwargs) = from_args(args)?;
    let own = rest.first().cloned().or_else(|| kwargs.peek::<Mj>("msg").ok()).filter(|m| !m.is_none());
    let message = match own {
        Some(m) => super::convert::py_str(&m)?,
        None => {
            let said = if v.kind() == ValueKind::Invalid {
                invalid(&v).detail().unwrap_or("").to_string()
            } else {
                String::new()
            };
            let member = said.split_once(" has no attribute ").map(|(_, name)| name);
            match said.strip_suffix(" is undefined").or(member) {
                Some(name) => format!("Mandatory variable {name} not defined."),
                None => "Mandatory variable not defined.".to_string(),
            }
        }
    };
    Err(fail(format!("The filter plugin 'ansible.builtin.mandatory' failed: {message}")))
}

/// What a `for` iterates over: Python's errors for what is not iterable, characters of strings, and
/// for several targets (`unpack`) Python's errors for members of another length.
fn iterable(v: Mj, unpack: Option<usize>) -> Result<Mj, Error> {
    let v = match v.kind() {
        ValueKind::Invalid => return Err(invalid(&v)),
        ValueKind::String => {
            Mj::from(v.as_str().unwrap_or_default().chars().map(|c| Mj::from(c.to_string())).collect::<Vec<_>>())
        }
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => v,
        ValueKind::Undefined => Mj::from(Vec::<Mj>::new()),
        _ => return Err(fail(format!("'{}' object is not iterable", type_name(&v)))),
    };
    let Some(want) = unpack else { return Ok(v) };
    let mut out = Vec::new();
    for member in v.try_iter()? {
        let member = iterable(check(member)?, None)
            .map_err(|_| fail(format!("cannot unpack non-iterable {} object", "value")))?;
        let got = member.len().unwrap_or(want);
        if got > want {
            return Err(fail(format!("too many values to unpack (expected {want})")));
        }
        if got < want {
            return Err(fail(format!("not enough values to unpack (expected {want}, got {got})")));
        }
        out.push(member);
    }
    Ok(Mj::from(out))
}

/// A list or dict that the template may change in place.
fn mutable(v: Mj) -> Mj {
    if let Some(list) = v.downcast_object_ref::<Vec<Mj>>() {
        return Mj::from_object(ListObj::owned(list.clone()));
    }
    if let Some(map) = v.downcast_object_ref::<IndexMap<Mj, Mj>>() {
        return Mj::from_object(MapObj::owned(map.clone()));
    }
    v
}

/// A macro with `varargs` and `kwargs`: sorts the arguments and calls the inner macro.
struct VarMacro {
    inner: Mj,
    names: Vec<String>,
    caller: bool,
}

impl fmt::Debug for VarMacro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<macro>")
    }
}

impl Object for VarMacro {
    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Mj]) -> Result<Mj, Error> {
        let (positional, kwargs): (&[Mj], Kwargs) = from_args(args)?;
        let mut own: Vec<Mj> = positional.iter().take(self.names.len()).cloned().collect();
        let varargs: Vec<Mj> = positional.iter().skip(self.names.len()).cloned().collect();
        let mut rest: Vec<(Mj, Mj)> = Vec::new();
        let mut caller = None;
        own.resize(self.names.len(), Mj::UNDEFINED);
        for key in kwargs.args() {
            let value: Mj = kwargs.peek(key)?;
            if let Some(slot) = self.names.iter().position(|n| n == key).and_then(|i| own.get_mut(i)) {
                *slot = value;
            } else if key == "caller" {
                caller = Some(value);
            } else {
                rest.push((Mj::from(key), value));
            }
        }
        own.push(Mj::from(varargs));
        own.push(Mj::from_object(rest.into_iter().collect::<IndexMap<Mj, Mj>>()));
        if let Some(c) = caller.filter(|_| self.caller) {
            own.push(Kwargs::from_iter([("caller", c)]).into());
        }
        self.inner.call(state, &own)
    }
}

/// The value, if it can be called at all.
fn callable(v: Mj) -> Result<Mj, Error> {
    let callable = !matches!(
        v.kind(),
        ValueKind::Undefined
            | ValueKind::None
            | ValueKind::Bool
            | ValueKind::Number
            | ValueKind::String
            | ValueKind::Bytes
            | ValueKind::Seq
    );
    if callable { check(v) } else { Err(fail(format!("'{}' object is not callable", type_name(&v)))) }
}

/// Registers the helpers, the formatter and the callbacks.
pub(super) fn register(env: &mut Environment<'static>) {
    env.set_formatter(|out, _state, v| {
        let mut text = String::new();
        let shown = match v.as_str() {
            Some(s) if super::is_omit_text(s) => "",
            Some(s) => s,
            None => {
                write_out(v, &mut text)?;
                &text
            }
        };
        out.write_str(shown).map_err(Error::from)
    });
    env.set_unknown_method_callback(methods::call);
    env.add_filter("__d_id", |v: Mj| v);
    env.add_filter("__d_n", node);
    env.add_filter("__d_ck", check);
    env.add_filter("__d_tpl", |state: &State, text: &str| -> Result<Mj, Error> {
        let scope = state.lookup("__d_scope");
        match scope.as_ref().and_then(|s| s.downcast_object_ref::<ScopeObj>()) {
            Some(s) => s.r.engine.template(text, None, &s.r).map_err(carry),
            None => Ok(Mj::from(text)),
        }
    });
    env.add_filter("__d_m", mutable);
    env.add_filter("__d_v", |state: &State, name: &str| -> Result<Mj, Error> {
        match state.lookup(name) {
            Some(v) => soften(v),
            None => Ok(Mj::from(undefined(format!("'{name}' is undefined")))),
        }
    });
    env.add_filter("__d_vh", |state: &State, name: &str| -> Result<Mj, Error> {
        match state.lookup(name) {
            Some(v) => check(v),
            None => Err(undefined(format!("'{name}' is undefined"))),
        }
    });
    env.add_filter("__d_p", |v: Mj, name: &str| -> Mj {
        if v.is_undefined() { Mj::from(undefined(format!("parameter '{name}' was not provided"))) } else { v }
    });
    env.add_filter("__d_d", |v: Mj, name: &str| -> Result<Mj, Error> {
        if v.is_undefined() { Err(undefined(format!("parameter '{name}' was not provided"))) } else { Ok(v) }
    });
    env.add_filter("__d_a", |v: &Mj, name: &str| -> Result<Mj, Error> { check(attr(v, name)?) });
    env.add_filter("__d_as", |v: &Mj, name: &str| -> Result<Mj, Error> { attr(v, name) });
    env.add_filter("__d_i", |v: &Mj, key: &Mj| -> Result<Mj, Error> { check(item(v, key)?) });
    env.add_filter("__d_is", |v: &Mj, key: &Mj| -> Result<Mj, Error> { item(v, key) });
    env.add_filter("__d_sl", |v: &Mj, a: &Mj, b: &Mj, c: &Mj| -> Result<Mj, Error> {
        match undefined_base(v) {
            Some(marker) => soften(marker),
            None => ops::slice(v, a, b, c),
        }
    });
    env.add_filter("__d_f", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        filter(state, v, name, rest.into_values())
    });
    env.add_filter("__d_fh", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        filter(state, v, name, rest.into_values()).and_then(check)
    });
    env.add_filter("__d_t", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        test(state, v, name, rest.into_values())
    });
    env.add_filter("__d_th", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        test(state, v, name, rest.into_values()).and_then(check)
    });
    env.add_filter("__d_cs", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        call_method(state, v, name, rest.into_values())
    });
    env.add_filter("__d_c", |state: &mut State, v: Mj, name: &str, rest: Rest<ValueOrKwargs>| {
        call_method(state, v, name, rest.into_values()).and_then(check)
    });
    env.add_filter("__d_call", callable);
    env.add_filter("__d_cf", |state: &mut State, v: Mj, rest: Rest<ValueOrKwargs>| -> Result<Mj, Error> {
        let args = rest.into_values();
        match first_marker(std::slice::from_ref(&v)).or_else(|| first_marker(&args)) {
            Some(marker) => Ok(marker),
            None => callable(v)?.call(state, &args),
        }
    });
    env.add_filter("__d_def", |v: Mj| -> Result<bool, Error> {
        if is_undefined(&v) { Ok(false) } else { check(v).map(|_| true) }
    });
    env.add_filter("__d_dflt", |v: Mj, rest: Rest<ValueOrKwargs>| default_filter(v, &rest.into_values()));
    env.add_filter("__d_mand", |v: Mj, rest: Rest<ValueOrKwargs>| mandatory(v, &rest.into_values()));
    env.add_filter("__d_type", |v: Mj| match v {
        v if is_undefined(&v) => "UndefinedMarker",
        v if envelope(&v).is_some() => "VaultExceptionMarker",
        v => type_name(&v),
    });
    env.add_filter("__d_it", |v: Mj, unpack: Option<usize>| iterable(v, unpack));
    env.add_filter("__d_vm", |inner: Mj, names: Vec<String>, caller: bool| {
        Mj::from_object(VarMacro { inner, names, caller })
    });
    operators(env);
}

fn operators(env: &mut Environment<'static>) {
    use std::cmp::Ordering::{Greater, Less};
    env.add_filter("__d_add", ops::add);
    env.add_filter("__d_sub", ops::sub);
    env.add_filter("__d_mul", ops::mul);
    env.add_filter("__d_div", ops::div);
    env.add_filter("__d_fdiv", ops::floor_div);
    env.add_filter("__d_rem", ops::rem);
    env.add_filter("__d_pow", ops::pow);
    env.add_filter("__d_neg", ops::neg);
    env.add_filter("__d_cat", ops::concat);
    env.add_filter("__d_eq", ops::equal);
    env.add_filter("__d_ne", |a: &Mj, b: &Mj| ops::equal(a, b).map(|e| !e));
    env.add_filter("__d_lt", |a: &Mj, b: &Mj| ops::compare_for(a, b, "<").map(|o| o == Less));
    env.add_filter("__d_le", |a: &Mj, b: &Mj| ops::compare_for(a, b, "<=").map(|o| o != Greater));
    env.add_filter("__d_gt", |a: &Mj, b: &Mj| ops::compare_for(a, b, ">").map(|o| o == Greater));
    env.add_filter("__d_ge", |a: &Mj, b: &Mj| ops::compare_for(a, b, ">=").map(|o| o != Less));
    env.add_filter("__d_in", |needle: &Mj, hay: &Mj| ops::contains(hay, needle));
    env.add_filter("__d_nin", |needle: &Mj, hay: &Mj| ops::contains(hay, needle).map(|c| !c));
}
