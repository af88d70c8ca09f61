//! Expressions on a document as lxml answers them to the module, and its words where one does not do.

use super::tree::{Doc, Id, ROOT};
use super::xpath::{Expr, Fault, Focus, Item, Value, compile};
use crate::modules::Failure;
use serde_json::Value as Json;

/// What an expression led to.
pub enum Found {
    /// In the order of the document; the document itself is never among them.
    Items(Vec<Item>),
    Other(Value),
}

/// An expression with its prefixes.
pub struct Query<'a> {
    expr: Expr,
    pub spaces: &'a [(String, String)],
}

impl<'a> Query<'a> {
    pub fn new(text: &str, spaces: &'a [(String, String)]) -> Result<Query<'a>, Fault> {
        Ok(Query { expr: compile(text)?, spaces })
    }

    /// Evaluates it at the outermost element.
    pub fn run(&self, doc: &Doc) -> Result<Found, Fault> {
        self.run_at(doc, doc.top().unwrap_or(ROOT))
    }
    pub fn run_at(&self, doc: &Doc, here: Id) -> Result<Found, Fault> {
        Ok(match Focus::new(doc, here, self.spaces).value(&self.expr)? {
            Value::Nodes(n) => Found::Items(n.into_iter().filter(|i| !Focus::is_document(*i)).collect()),
            other => Found::Other(other),
        })
    }
}

/// Python's name of what is no list of matches.
pub fn type_name(v: &Value) -> &'static str {
    match v {
        Value::Bool(_) => "bool",
        Value::Number(_) => "float",
        _ => "str",
    }
}

impl Found {
    /// The matches, if the first of them is an element, a comment or a processing instruction; an empty list if there is
    /// no match of that kind. What has no items at all is told.
    pub fn nodes(&self, doc: &Doc) -> Result<Vec<Id>, String> {
        let items = match self {
            Found::Items(items) => items,
            Found::Other(v) if v.bool() && !matches!(v, Value::Text(_)) => {
                return Err(format!("'{}' object is not subscriptable", type_name(v)));
            }
            Found::Other(_) => return Ok(vec![]),
        };
        let node = |i: &Item| match i {
            Item::Node(id) if doc.is_node(*id) => Some(*id),
            _ => None,
        };
        if items.first().and_then(node).is_none() {
            return Ok(vec![]);
        }
        let other = || "'lxml.etree._ElementUnicodeResult' object has no attribute 'text'".to_owned();
        items.iter().map(|i| node(i).ok_or_else(other)).collect()
    }
}

/// A text that a document can hold; lxml's words for what is none.
pub fn plain(v: &Json) -> Result<&str, Failure> {
    let kind = match v {
        Json::String(s) if s.chars().all(super::names::is_char) => return Ok(s),
        Json::String(_) => {
            let words = "All strings must be XML compatible: Unicode or ASCII, no NULL bytes or control characters";
            return Err(Failure::uncaught(words));
        }
        other => python_type(other),
    };
    Err(Failure::uncaught(format!("Argument must be bytes or unicode, got '{kind}'")))
}

/// Python's name of a JSON type.
pub fn python_type(v: &Json) -> &'static str {
    match v {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(n) if n.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}
