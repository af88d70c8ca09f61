//! Expressions on a document as lxml answers them to the module, and its words where one does not do.

use super::tree::{Doc, Id, ROOT};
use super::xpath::{Expr, Fault, Focus, Item, Value, compile};
use crate::modules::{Failure, convert};
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
    /// Whether the first match is an element, a comment or a processing instruction. What has no items at all is told.
    pub fn begins_with_node(&self, doc: &Doc) -> Result<bool, String> {
        match self {
            Found::Items(items) => Ok(items.first().is_some_and(|i| node(doc, i).is_some())),
            Found::Other(v) if v.bool() && !matches!(v, Value::Text(_)) => {
                Err(format!("'{}' object is not subscriptable", type_name(v)))
            }
            Found::Other(_) => Ok(false),
        }
    }

    /// The matches, an empty list if the first is none that [`Found::begins_with_node`] means; then all must be.
    pub fn nodes(&self, doc: &Doc) -> Result<Vec<Id>, String> {
        match self {
            Found::Items(items) if self.begins_with_node(doc)? => {
                let other = || "'lxml.etree._ElementUnicodeResult' object has no attribute 'text'".to_owned();
                items.iter().map(|i| node(doc, i).ok_or_else(other)).collect()
            }
            _ => self.begins_with_node(doc).map(|_| vec![]),
        }
    }
}

fn node(doc: &Doc, item: &Item) -> Option<Id> {
    match item {
        Item::Node(id) if doc.is_node(*id) => Some(*id),
        _ => None,
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
        other => convert::type_name(other),
    };
    Err(Failure::uncaught(format!("Argument must be bytes or unicode, got '{kind}'")))
}
