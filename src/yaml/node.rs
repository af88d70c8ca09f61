//! The tree that a YAML document becomes: every mapping, sequence and scalar with its place.

use crate::diag::{Error, Span};
use crate::value::{Key, Map, Str, Trust, Value, VaultText};
use std::sync::Arc;

/// A YAML node with its place in the source.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub span: Span,
}

/// What a node holds, scalars resolved as PyYAML does (YAML 1.1).
#[derive(Clone, Debug)]
pub enum NodeKind {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    /// `!unsafe` text: never a template.
    Unsafe(Arc<str>),
    /// `!vault` (or `!vault-encrypted`) text: the envelope.
    Vault(Arc<str>),
    Seq(Vec<Node>),
    /// Keys in order of first appearance; merge keys applied, duplicates resolved (last wins).
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a string scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Str(s) | NodeKind::Unsafe(s) => Some(s),
            _ => None,
        }
    }
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            NodeKind::Map(m) => Some(m),
            _ => None,
        }
    }
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::Seq(s) => Some(s),
            _ => None,
        }
    }
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }
    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }
    /// Ansible's word for the type of this node (`dict`, `list`, `str`, …).
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "NoneType",
            NodeKind::Bool(_) => "bool",
            NodeKind::Int(_) => "int",
            NodeKind::Float(_) => "float",
            NodeKind::Str(_) | NodeKind::Unsafe(_) | NodeKind::Vault(_) => "str",
            NodeKind::Seq(_) => "list",
            NodeKind::Map(_) => "dict",
        }
    }
    /// The node as a value of a trusted source: strings may be templates and know their place.
    pub fn to_value(&self) -> Value {
        self.convert(true)
    }
    /// The node as a value from outside: no string in it is ever a template.
    pub fn to_plain_value(&self) -> Value {
        self.convert(false)
    }
    /// The place, unless the text is in no source table.
    fn origin(&self) -> Option<Span> {
        (self.span.source != super::NO_SOURCE).then_some(self.span)
    }
    fn convert(&self, trusted: bool) -> Value {
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(b) => Value::Bool(*b),
            NodeKind::Int(i) => Value::Int(*i),
            NodeKind::Float(f) => Value::Float(*f),
            NodeKind::Str(s) if trusted => Value::trusted(s.clone(), self.origin()),
            NodeKind::Str(s) | NodeKind::Unsafe(s) => {
                Value::Str(Str { text: s.clone(), trust: Trust::Plain, origin: self.origin() })
            }
            NodeKind::Vault(s) => Value::Vault(Arc::new(VaultText { envelope: s.clone(), origin: self.origin() })),
            NodeKind::Seq(s) => Value::list(s.iter().map(|n| n.convert(trusted)).collect()),
            NodeKind::Map(m) => {
                let mut out = Map::with_capacity(m.len());
                for (k, v) in m {
                    let key =
                        Key::from_value(&k.convert(false)).unwrap_or_else(|| Key::from(k.convert(false).to_str()));
                    out.insert(key, v.convert(trusted));
                }
                Value::map(out)
            }
        }
    }
    /// The node with one place for all that is in it.
    pub fn at(self, span: Span) -> Node {
        let kind = match self.kind {
            NodeKind::Seq(s) => NodeKind::Seq(s.into_iter().map(|n| n.at(span)).collect()),
            NodeKind::Map(m) => NodeKind::Map(m.into_iter().map(|(k, v)| (k.at(span), v.at(span))).collect()),
            other => other,
        };
        Node { kind, span }
    }
    /// A parse error that points at this node.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::parse(message).at(self.span)
    }
}
