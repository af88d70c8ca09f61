//! The keywords that plays, roles, blocks and tasks share, and how a child inherits them.
//!
//! Names and inheritance after <https://docs.ansible.com/ansible/latest/reference_appendices/playbooks_keywords.html>.

use crate::diag::{Error, Kind, Result, Span};
use crate::value::{Map, Value};
use crate::yaml::{Node, NodeKind};
use camino::Utf8PathBuf;
use std::sync::Arc;

/// What a keyword's value must be, when it is not a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    Bool,
    Int,
    Float,
    Str,
}

macro_rules! keywords {
    ($($field:ident, $name:literal, $want:ident;)*) => {
        /// Keywords with one value; a child's own value wins over its parents'.
        #[derive(Clone, Debug, Default)]
        pub struct Keywords { $(pub $field: Option<Value>,)* }

        impl Keywords {
            /// Sets the keyword `name`; false if it is none of these. A value that cannot be converted is kept as
            /// it is and told in `bad`: a task fails with it when it runs.
            pub fn set(&mut self, name: &str, node: &Node, bad: &mut Option<Error>) -> Result<bool> {
                match name {
                    $($name => { self.$field = Some(check_late(name, node, Want::$want, bad)?); })*
                    _ => return Ok(false),
                }
                Ok(true)
            }
            /// Takes from `parent` what is not set here.
            pub fn inherit(&mut self, parent: &Keywords) {
                $(if self.$field.is_none() { self.$field.clone_from(&parent.$field); })*
            }
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

keywords! {
    any_errors_fatal, "any_errors_fatal", Bool;
    become_, "become", Bool;
    become_exe, "become_exe", Str;
    become_flags, "become_flags", Str;
    become_method, "become_method", Str;
    become_user, "become_user", Str;
    check_mode, "check_mode", Bool;
    connection, "connection", Str;
    debugger, "debugger", Str;
    delegate_facts, "delegate_facts", Bool;
    delegate_to, "delegate_to", Str;
    diff, "diff", Bool;
    ignore_errors, "ignore_errors", Bool;
    ignore_unreachable, "ignore_unreachable", Bool;
    no_log, "no_log", Bool;
    port, "port", Int;
    remote_user, "remote_user", Str;
    run_once, "run_once", Bool;
    throttle, "throttle", Int;
    timeout, "timeout", Int;
}

/// Checks a literal value against what a keyword wants; templates are checked when rendered.
pub fn check(name: &str, node: &Node, want: Want) -> Result<Value> {
    let v = node.to_value();
    if v.needs_render() {
        return Ok(v);
    }
    let bad =
        |what: &str| cannot_convert(name, &v, what, Some(node.span)).label(format!("this is a {}", v.type_name()));
    match want {
        Want::Bool => match v.to_bool_loose() {
            // ansible-core asks these two before it converts them
            Some(_) if matches!(name, "any_errors_fatal" | "run_once") => Ok(v),
            Some(b) => Ok(Value::Bool(b)),
            None if v.is_null() => Ok(v),
            None => Err(bad("bool")),
        },
        Want::Int => match &v {
            Value::Int(_) => Ok(v),
            Value::Str(s) if s.text.trim().parse::<i64>().is_ok() => {
                Ok(Value::Int(s.text.trim().parse().unwrap_or_default()))
            }
            Value::Null => Ok(v),
            _ => Err(bad("int")),
        },
        Want::Float => match &v {
            Value::Int(_) | Value::Float(_) => Ok(v),
            Value::Str(s) if s.text.trim().trim_end_matches('%').parse::<f64>().is_ok() => Ok(v),
            Value::Null => Ok(v),
            _ => Err(bad("float")),
        },
        Want::Str => match &v {
            Value::List(_) | Value::Map(_) => {
                let kind = if matches!(v, Value::List(_)) { "list" } else { "dict" };
                Err(node
                    .error(format!(
                        "The field '{name}' is supposed to be a string type, however the incoming data structure is a {kind}"
                    ))
                    .label(format!("this is a {kind}")))
            }
            Value::Null | Value::Str(_) => Ok(v),
            other => Ok(Value::trusted(other.to_str(), Some(node.span))),
        },
    }
}

/// As [`check`]; a value that cannot be converted is answered as it is, and the error put in `bad`.
pub fn check_late(name: &str, node: &Node, want: Want, bad: &mut Option<Error>) -> Result<Value> {
    const DEBUGGER: [&str; 5] = ["always", "never", "on_failed", "on_skipped", "on_unreachable"];
    match check(name, node, want) {
        Ok(v)
            if name == "debugger" && !v.needs_render() && !v.is_null() && !DEBUGGER.contains(&v.to_str().as_str()) =>
        {
            bad.get_or_insert_with(|| {
                let valid = DEBUGGER.join(", ");
                Error::parse(format!("'{}' is not a valid value for debugger. Must be one of {valid}", v.to_str()))
                    .at(node.span)
                    .during("Error processing keyword 'debugger'", Some(node.span))
            });
            Ok(v)
        }
        // ansible-core reads it before the task is a host's
        Err(e) if name == "throttle" => Err(e.with_kind(Kind::General)),
        Err(e) if want != Want::Str => {
            bad.get_or_insert(e);
            Ok(node.to_value())
        }
        other => other,
    }
}

/// The error of a keyword whose value is not of its type (`int`, `float` or `bool`).
pub fn cannot_convert(keyword: &str, value: &Value, to: &str, span: Option<Span>) -> Error {
    let shown = match value {
        Value::Str(s) => format!("'{}'", s.text),
        v => v.to_str(),
    };
    let keyword = if keyword == "async" { "async_val" } else { keyword };
    // a place of its own, so that the two steps are told one after the other
    let whole = span.map(|s| Span { end: s.start, ..s });
    Error::parse(format!("The value {shown} could not be converted to '{to}'."))
        .at(span)
        .during(format!("Error processing keyword '{keyword}'"), whole)
}

/// Everything that a block, role or include hands down to its children.
#[derive(Clone, Debug, Default)]
pub struct Inherit {
    pub kw: Keywords,
    /// Conditions of all parents, outermost first.
    pub when: Vec<Value>,
    pub tags: Vec<Value>,
    /// `environment:` of all parents, outermost first.
    pub environment: Vec<Value>,
    /// `module_defaults:` of all parents, outermost first.
    pub module_defaults: Vec<Value>,
    /// `vars:` of enclosing blocks and static includes, outermost first.
    pub vars: Vec<Arc<Map>>,
    /// Parameters given to `include_*` and `import_*` (stronger than facts), outermost first.
    pub include_vars: Vec<Arc<Map>>,
    pub collections: Vec<String>,
    pub role: Option<Arc<super::Role>>,
    /// `notify:` of enclosing blocks.
    pub notify: Vec<Value>,
    /// True inside handlers.
    pub handlers: bool,
    /// The directories that the file names of the enclosing includes hold, outermost first; begins anew in a role.
    pub include_dirs: Vec<Utf8PathBuf>,
    /// A keyword of an enclosing block whose value cannot be converted.
    pub bad: Option<Error>,
}

/// A list keyword: one value or a list of values.
pub fn list_of(node: &Node) -> Vec<Value> {
    match &node.kind {
        NodeKind::Seq(s) => s.iter().map(Node::to_value).collect(),
        NodeKind::Null => vec![],
        _ => vec![node.to_value()],
    }
}

/// Tags: a text with commas, or a list of texts and numbers. As in ansible-core only the text is cut at its commas,
/// neither what stands in a list nor what a template makes.
pub fn tags_of(node: &Node) -> Result<Vec<Value>> {
    let wrong = |n: &Node| {
        n.error("tags must be specified as a list")
            .with_kind(Kind::General)
            .label(format!("this is a {}", n.type_name()))
            .help("write tags: [one, two] or tags: one,two")
    };
    let items = match &node.kind {
        NodeKind::Seq(s) => s,
        NodeKind::Str(s) | NodeKind::Unsafe(s) => {
            let trusted = matches!(node.kind, NodeKind::Str(_));
            return Ok(at_commas(s)
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(|t| match trusted && crate::value::has_delimiter(t) {
                    true => Value::trusted(t, Some(node.span)),
                    false => Value::plain(t),
                })
                .collect());
        }
        _ => return Err(wrong(node)),
    };
    let tag = |n: &Node| match &n.kind {
        NodeKind::Str(s) if crate::value::has_delimiter(s) => Ok(n.to_value()),
        NodeKind::Str(s) | NodeKind::Unsafe(s) => Ok(Value::plain(&**s)),
        NodeKind::Int(_) | NodeKind::Bool(_) | NodeKind::Float(_) => Ok(Value::plain(n.to_value().to_str())),
        _ => Err(wrong(n)),
    };
    items.iter().map(tag).collect()
}

/// A text cut at the commas that stand in no template.
fn at_commas(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0i32;
    text.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth <= 0
    })
}

/// A keyword that is one text or a list of texts, such as `collections`.
pub fn texts_of(name: &str, node: &Node) -> Result<Vec<Value>> {
    let all = list_of(node);
    let no_text = |v: &&Value| {
        matches!(v, Value::Map(_) | Value::List(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null)
    };
    match all.iter().find(no_text) {
        Some(v) => Err(node.error(format!("Keyword '{name}' items must be of type 'str', not '{}'.", v.type_name()))),
        None => Ok(all),
    }
}

/// `vars:` of a `what` (Play, Block or Task).
pub fn vars_of(node: &Node, what: &str) -> Result<Map> {
    match &node.kind {
        NodeKind::Null => Ok(Map::new()),
        NodeKind::Map(entries) => {
            for (k, _) in entries {
                check_var_name(k)?;
            }
            Ok(node.to_value().as_map().cloned().unwrap_or_default())
        }
        _ => Err(node
            .error(format!("Vars in a {what} must be specified as a dictionary."))
            .label(format!("this is a {}", node.type_name()))
            .help("write vars:\n  name: value")),
    }
}

/// Refuses names that templates could never reach.
fn check_var_name(k: &Node) -> Result<()> {
    let wrong = |text: String| {
        Err(k
            .error(text)
            .with_kind(Kind::General)
            .help("a name begins with a letter or underscore and holds letters, digits and underscores only"))
    };
    match k.as_str() {
        Some(s) if is_identifier(s) => Ok(()),
        Some(s) => wrong(format!("Invalid variable name '{s}'.")),
        None => wrong(format!("Invalid variable name '{}' of type '{}'.", k.to_value().to_str(), k.type_name())),
    }
}

/// True for a name that a variable may have.
pub fn is_identifier(name: &str) -> bool {
    let mut c = name.chars();
    c.next().is_some_and(|f| f.is_ascii_alphabetic() || f == '_')
        && c.all(|x| x.is_ascii_alphanumeric() || x == '_')
        && !matches!(name, "None" | "True" | "False" | "none" | "true" | "false" | "not")
}
