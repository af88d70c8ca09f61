//! YAML with places: parsing (PyYAML's YAML 1.1 reading, anchors, merge keys, `!vault`, `!unsafe`)
//! into [`Node`]s, and writing values in PyYAML's layout.

mod compose;
mod emit;
mod errors;
mod node;
mod resolve;
mod sys;
#[cfg(test)]
mod tests;

pub use emit::{EmitOptions, emit};
pub use node::{Node, NodeKind};

use crate::diag::{self, Error, Result, Span};
use crate::value::Value;
use camino::Utf8Path;
use compose::Composer;
use std::sync::atomic::{AtomicU8, Ordering};

/// The source number of text that is in no source table (`from_yaml`): spans with it show no place.
pub const NO_SOURCE: u32 = u32::MAX;

/// What a key that stands twice in a mapping is (DUPLICATE_YAML_DICT_KEY); one answer for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedKeys {
    Warn,
    Refuse,
    Ignore,
}

static REPEATED_KEYS: AtomicU8 = AtomicU8::new(0);

impl RepeatedKeys {
    fn now() -> RepeatedKeys {
        match REPEATED_KEYS.load(Ordering::Relaxed) {
            0 => RepeatedKeys::Warn,
            1 => RepeatedKeys::Refuse,
            _ => RepeatedKeys::Ignore,
        }
    }

    /// Makes this the answer for everything that is read from now on.
    pub fn install(self) {
        let n = match self {
            RepeatedKeys::Warn => 0,
            RepeatedKeys::Refuse => 1,
            RepeatedKeys::Ignore => 2,
        };
        REPEATED_KEYS.store(n, Ordering::Relaxed);
    }
}

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its number in the table of sources.
    pub source: u32,
    pub root: Node,
    /// Repeated keys (the last one counts).
    pub warnings: Vec<Error>,
}

/// Reads and parses a YAML or JSON file that holds one document. Vaulted files are the caller's to
/// decrypt first (the text starts with `$ANSIBLE_VAULT;`).
pub fn parse_file(path: &Utf8Path) -> Result<Document> {
    parse_str(path.as_str(), &read_text(path)?)
}

/// The text of a file, which must be UTF-8.
pub fn read_text(path: &Utf8Path) -> Result<String> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::parse(format!("Unable to read {}: {e}", quoted(path.as_str()))))?;
    decode(path.as_str(), bytes)
}

/// Bytes of a file as text, with Python's words for what is not UTF-8.
pub fn decode(name: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(at).copied().unwrap_or(0);
        Error::parse(format!(
            "{name}: 'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: the file must be UTF-8 text"
        ))
    })
}

/// Parses text that holds one document; it is added to the table of sources under `name`. JSON is read
/// by JSON's rules, as Ansible does (it tries JSON first).
pub fn parse_str(name: &str, text: &str) -> Result<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = diag::add_source(name, text);
    if looks_like_json(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        let mut c = Composer::new(source, text, true);
        if let Ok(root) = c.single() {
            return Ok(Document { source, root: tagged(root), warnings: c.warnings });
        }
        // JSON that is no YAML (tabs, surrogate pairs, very long keys): the places are lost, the values not.
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
            let root = from_json(&json, Span::new(source, 0, 0));
            return Ok(Document { source, root: tagged(root), warnings: Vec::new() });
        }
    }
    let mut c = Composer::new(source, text, false);
    let root = c.single()?;
    Ok(Document { source, root, warnings: c.warnings })
}

/// JSON has no tags: what YAML says with `!unsafe` and `!vault`, it says with a mapping of one key.
fn tagged(n: Node) -> Node {
    let span = n.span;
    let kind = match n.kind {
        NodeKind::Seq(s) => NodeKind::Seq(s.into_iter().map(tagged).collect()),
        NodeKind::Map(m) => match m.as_slice() {
            [(k, v)] => match (k.as_str(), &v.kind) {
                (Some("__ansible_unsafe"), NodeKind::Str(s)) => {
                    return Node { kind: NodeKind::Unsafe(s.clone()), ..*v };
                }
                (Some("__ansible_vault"), NodeKind::Str(s)) => return Node { kind: NodeKind::Vault(s.clone()), ..*v },
                _ => NodeKind::Map(m.into_iter().map(|(k, v)| (k, tagged(v))).collect()),
            },
            _ => NodeKind::Map(m.into_iter().map(|(k, v)| (k, tagged(v))).collect()),
        },
        other => other,
    };
    Node { kind, span }
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
}

fn from_json(j: &serde_json::Value, span: Span) -> Node {
    use serde_json::Value as J;
    let kind = match j {
        J::Null => NodeKind::Null,
        J::Bool(b) => NodeKind::Bool(*b),
        J::Number(n) => resolve::json(&n.to_string()),
        J::String(s) => NodeKind::Str(s.as_str().into()),
        J::Array(a) => NodeKind::Seq(a.iter().map(|v| from_json(v, span)).collect()),
        J::Object(o) => NodeKind::Map(
            o.iter()
                .map(|(k, v)| (Node { kind: NodeKind::Str(k.as_str().into()), span }, from_json(v, span)))
                .collect(),
        ),
    };
    Node { kind, span }
}

/// The value of one YAML document (`from_yaml`): plain strings, no places.
pub fn parse_value(text: &str) -> Result<Value> {
    let mut c = Composer::new(NO_SOURCE, text, false);
    c.single().map(|n| n.to_plain_value()).map_err(|e| e.at(None))
}

/// The values of all documents (`from_yaml_all`), or of the only one, with the warnings in full.
pub fn parse_told(text: &str, all: bool) -> Result<(Vec<Value>, Vec<String>)> {
    let mut c = Composer::new(NO_SOURCE, text, false);
    let mut out = Vec::new();
    if all {
        while let Some(n) = c.document()? {
            out.push(n.to_plain_value());
        }
    } else {
        out.push(c.single().map_err(|e| e.at(None))?.to_plain_value());
    }
    let told = c.warnings.iter().map(|e| {
        let at = e.span().map_or(0..0, |s| s.start as usize..s.end as usize);
        let before = text.get(..at.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let key = text.get(at).unwrap_or_default();
        let help = e.help_text().unwrap_or_default();
        format!("{}\nOrigin: <unknown>:{line}:{column}\n\n{key}\n\n{help}\n", e.message())
    });
    let told = told.collect();
    Ok((out, told))
}

/// Text in Python's quotes.
pub(crate) fn quoted(s: &str) -> String {
    let mut out = String::new();
    crate::value::py_repr_str(s, &mut out);
    out
}
