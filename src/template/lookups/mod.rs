//! Lookups: what `lookup()`, `query()` and `with_<name>` read on the controller.
//!
//! Results are plain: whatever a file, a command or a server says is never a template.

mod config;
mod data;
mod files;
mod lists;
mod options;
mod password;
mod process;
mod sequence;
mod url;
mod variables;

use super::convert::{carry, fail, from_mj, is_undefined, to_mj, undefined};
use super::object::{Renderer, ScopeObj};
use crate::diag::{Error, Kind, Result};
use crate::value::{Key, Map, Value};
use minijinja::value::{Kwargs, Rest, Value as Mj, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, State};

/// The names of the lookups, without collection.
pub const LOOKUP_NAMES: &[&str] = &[
    "cartesian",
    "config",
    "csvfile",
    "dict",
    "env",
    "file",
    "fileglob",
    "first_found",
    "flattened",
    "indexed_items",
    "ini",
    "inventory_hostnames",
    "items",
    "lines",
    "list",
    "nested",
    "password",
    "pipe",
    "random_choice",
    "sequence",
    "subelements",
    "template",
    "together",
    "unvault",
    "url",
    "varnames",
    "vars",
];

/// One call of a lookup: rendered terms, options, and where it runs.
pub(super) struct Call<'r> {
    pub r: &'r Renderer,
    pub terms: Vec<Value>,
    pub options: Map,
}

impl Call<'_> {
    /// The terms as text.
    fn texts(&self) -> Result<Vec<String>> {
        self.terms.iter().map(text_of).collect()
    }
    /// The terms as text, with numbers and booleans as they are shown.
    fn shown(&self) -> Result<Vec<String>> {
        self.terms.iter().map(shown).collect()
    }
    fn option(&self, name: &str) -> Option<&Value> {
        self.options.get(name).filter(|v| !v.is_null())
    }
    fn text(&self, name: &str) -> Option<String> {
        self.option(name).map(Value::to_str)
    }
    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.option(name) {
            None => Ok(default),
            Some(v) => v.to_bool_loose().ok_or_else(|| {
                Error::template(format!("option '{name}' must be a boolean, not {} ('{}')", v.type_name(), v.to_str()))
            }),
        }
    }
}

fn text_of(v: &Value) -> Result<String> {
    match v {
        Value::Str(s) => Ok(s.text.to_string()),
        _ => Err(Error::template(format!("expected text, got {} {}", v.type_name(), v.repr()))),
    }
}

/// As text, which numbers and booleans are as well.
fn shown(v: &Value) -> Result<String> {
    match v {
        Value::List(_) | Value::Tuple(_) | Value::Map(_) => text_of(v),
        other => Ok(other.to_str()),
    }
}

/// The lookup's own name: `ansible.builtin.` and the like may stand before it.
fn short(name: &str) -> &str {
    for prefix in ["ansible.builtin.", "ansible.legacy."] {
        if let Some(rest) = name.strip_prefix(prefix)
            && !matches!(rest, "cartesian" | "flattened")
        {
            return rest;
        }
    }
    match name {
        "community.general.cartesian" => "cartesian",
        "community.general.flattened" => "flattened",
        other => other,
    }
}

/// True if there is a lookup of this name.
pub fn known(name: &str) -> bool {
    LOOKUP_NAMES.contains(&short(name))
}

/// Runs the lookup `name`; its errors are framed as Ansible frames them.
pub(super) fn run(r: &Renderer, name: &str, terms: Vec<Value>, options: Map) -> Result<Vec<Value>> {
    super::impure::looked_up(short(name));
    if !known(name) {
        return Err(not_found(name));
    }
    one(r, name, terms, options).map_err(|e| match e.kind() {
        Kind::Undefined => e,
        _ => e.context(format!("The lookup plugin '{name}' failed")),
    })
}

fn not_found(name: &str) -> Error {
    Error::template(format!("The lookup plugin '{name}' was not found."))
        .help(format!("known lookups: {}", LOOKUP_NAMES.join(", ")))
}

fn one(r: &Renderer, name: &str, terms: Vec<Value>, mut options: Map) -> Result<Vec<Value>> {
    options::typed(short(name), &mut options)?;
    let mut call = Call { r, terms, options };
    config::complete(&mut call, short(name))?;
    match short(name) {
        "cartesian" => lists::cartesian(&call),
        "config" => config::config(&call),
        "csvfile" => data::csvfile(&call),
        "dict" => lists::dict(&call),
        "env" => process::env(&call),
        "file" => files::file(&call),
        "fileglob" => files::fileglob(&call),
        "first_found" => files::first_found(&call),
        "flattened" => lists::flattened(&call),
        "indexed_items" => lists::indexed_items(&call),
        "ini" => data::ini(&call),
        "inventory_hostnames" => variables::inventory_hostnames(&call),
        "items" => lists::items(&call),
        "lines" => process::lines(&call),
        "list" => Ok(call.terms.clone()),
        "nested" => lists::nested(&call),
        "password" => password::password(&call),
        "pipe" => process::pipe(&call),
        "random_choice" => lists::random_choice(&call),
        "sequence" => sequence::sequence(&call),
        "subelements" => lists::subelements(&call),
        "template" => files::template(&call),
        "together" => lists::together(&call),
        "unvault" => files::unvault(&call),
        "url" => url::url(&call),
        "varnames" => variables::varnames(&call),
        "vars" => variables::vars(&call),
        _ => Err(not_found(name)),
    }
}

/// Registers `lookup`, `query` and `q`.
pub(super) fn register(env: &mut Environment<'static>) {
    env.add_function("lookup", |state: &mut State, args: Rest<ValueOrKwargs>| call(state, &args.into_values(), false));
    env.add_function("query", |state: &mut State, args: Rest<ValueOrKwargs>| call(state, &args.into_values(), true));
    env.add_function("q", |state: &mut State, args: Rest<ValueOrKwargs>| call(state, &args.into_values(), true));
}

fn call(state: &mut State<'_, '_>, args: &[Mj], mut wantlist: bool) -> Result<Mj, minijinja::Error> {
    let scope = state.lookup("__d_scope");
    let Some(scope) = scope.as_ref().and_then(|s| s.downcast_object_ref::<ScopeObj>()) else {
        return Err(fail("lookups cannot be used here"));
    };
    let (terms, kwargs): (&[Mj], Kwargs) = from_args(args)?;
    let Some((name, terms)) = terms.split_first() else {
        return Err(fail("_lookup() missing 1 required positional argument: 'plugin_name'"));
    };
    let Some(name) = name.as_str() else {
        let kind = from_mj(name).map_err(carry)?;
        return Err(fail(format!(
            "The lookup plugin {} failed to load: unsupported type <class '{}'>",
            kind.to_str(),
            kind.type_name()
        )));
    };
    let mut errors = "strict".to_string();
    let mut options = Map::new();
    for key in kwargs.args() {
        let value: Mj = kwargs.peek(key)?;
        if value.kind() == ValueKind::Invalid && is_undefined(&value) {
            if short(name) == "env" && key == "default" {
                let term = terms.first().and_then(Mj::as_str).unwrap_or_default();
                if std::env::var_os(term).is_some() {
                    continue;
                }
                return Ok(Mj::from(undefined(format!("The environment variable '{term}' is not set."))));
            }
            return Ok(value);
        }
        match key {
            "wantlist" => wantlist = value.is_true(),
            "errors" => errors = value.as_str().unwrap_or("strict").to_string(),
            _ => {
                options.insert(Key::from(key), from_mj(&value).map_err(carry)?);
            }
        }
    }
    let mut rendered = Vec::with_capacity(terms.len());
    for term in terms {
        if term.kind() == ValueKind::Invalid && is_undefined(term) {
            return Ok(term.clone());
        }
        rendered.push(from_mj(term).map_err(carry)?);
    }
    let found = match run(&scope.r, name, rendered, options) {
        Ok(found) => found,
        // `vars` answers an undefined value, which is no error of the lookup
        Err(e) if e.kind() == Kind::Undefined && (errors == "strict" || short(name) == "vars") => {
            return Ok(Mj::from(carry(e)));
        }
        Err(e) if errors == "warn" || errors == "ignore" => {
            if errors == "warn" {
                let why = e.to_string();
                let why = why.strip_prefix(&format!("The lookup plugin '{name}' failed: ")).unwrap_or(&why);
                let text = format!("An error occurred while running the lookup plugin '{name}': {why}");
                scope.r.scope.files.warn.say(&text);
            }
            return Ok(if wantlist { Mj::from(Vec::<Mj>::new()) } else { Mj::from(()) });
        }
        Err(e) => return Err(carry(e)),
    };
    if wantlist {
        return Ok(to_mj(&Value::list(found)));
    }
    Ok(to_mj(&joined(found)))
}

/// What `lookup()` answers for a list: a single member itself, texts joined by commas.
fn joined(found: Vec<Value>) -> Value {
    if found.len() == 1 {
        return found.into_iter().next().unwrap_or_default();
    }
    if !found.is_empty() && found.iter().all(|v| v.as_str().is_some()) {
        return Value::plain(found.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    }
    Value::list(found)
}

/// `with_<name>: value`: a value that is not a list is a list of one.
pub(super) fn with_terms(value: Value) -> Vec<Value> {
    match value {
        Value::List(l) | Value::Tuple(l) => l.to_vec(),
        other => vec![other],
    }
}

/// `key=value` words at the end of a term (`'x file=t.csv'`): the words before them, and the options.
fn split_term(term: &str) -> Result<(String, Map)> {
    let mut words = Vec::new();
    let mut options = Map::new();
    for word in shell_words(term)? {
        match word.split_once('=') {
            Some((k, v)) if !k.is_empty() && k.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                options.insert(Key::from(k), Value::plain(v));
            }
            _ => words.push(word),
        }
    }
    Ok((words.join(" "), options))
}

/// Words as a shell separates them; quotes group and are removed.
fn shell_words(text: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next().unwrap_or('\\');
                let w = word.get_or_insert_default();
                if next != '"' && next != '\\' {
                    w.push('\\');
                }
                w.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next().unwrap_or('\\')),
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::template(format!("a quote is not closed in '{text}'")));
    }
    out.extend(word);
    Ok(out)
}

/// A file of the task's folders, or `None`.
fn find(call: &Call<'_>, kind: &str, name: &str) -> Option<camino::Utf8PathBuf> {
    call.r.scope.files.candidates(kind, name).into_iter().find(|p| p.is_file())
}
