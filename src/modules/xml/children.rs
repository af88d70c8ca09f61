//! Elements that are written as data, and how they become the children of a match.

use super::find::plain;
use super::names::{clark, new_element};
use super::parse::{Keep, parse};
use super::tree::{Doc, Id, Node, ROOT};
use super::write::{Style, tree};
use crate::modules::convert::type_name;
use crate::modules::{Failure, json_text};
use serde_json::{Map, Value as Json};

/// New elements of the document, each without a parent.
pub fn make(doc: &mut Doc, all: &[Json], xml: bool) -> Result<Vec<Id>, Failure> {
    all.iter().map(|c| if xml { from_xml(doc, c) } else { from_data(doc, c) }).collect()
}

/// The outermost element of a document of its own.
fn from_xml(doc: &mut Doc, child: &Json) -> Result<Id, Failure> {
    let parsed = parse(&json_text(child), Keep { no_blanks: false, no_cdata: true });
    let other = parsed.map_err(|f| {
        let place = format!("line {}, column {}", f.line, f.column);
        Failure::new(format!("Error while parsing child element: {}, {place} (<string>, line {})", f.words, f.line))
    })?;
    let top = other.top().ok_or("Error while parsing child element")?;
    Ok(copy(&other, top, doc))
}

/// A copy of a node of another document, without a parent.
fn copy(from: &Doc, id: Id, to: &mut Doc) -> Id {
    let Node { kind, children, .. } = from.node(id);
    let new = to.add(kind.clone());
    for c in children {
        let c = copy(from, *c, to);
        to.link(new, c);
    }
    new
}

fn element(doc: &mut Doc, name: &str) -> Result<Id, Failure> {
    if name.is_empty() {
        return Err(Failure::uncaught("Empty tag name"));
    }
    match clark(name) {
        Some((uri, local)) => Ok(new_element(doc, uri, local)),
        None => Err(Failure::uncaught(format!("Invalid tag name '{name}'"))),
    }
}

/// `name`, `{name: text}` or `{name: {attribute: value, +value: text, _: [children]}}`.
fn from_data(doc: &mut Doc, child: &Json) -> Result<Id, Failure> {
    let (name, value) = match child {
        Json::String(name) => return element(doc, name),
        Json::Object(m) if m.len() > 1 => return Err("Can only create children from hashes with one key".into()),
        Json::Object(m) => m.iter().next().ok_or_else(|| Failure::uncaught("a child without a name"))?,
        other => {
            let kind = type_name(other);
            return Err(
                format!("Invalid child type: <class '{kind}'>. Children must be either strings or hashes.").into()
            );
        }
    };
    match value {
        Json::Object(parts) => {
            let new = element(doc, name)?;
            fill(doc, new, parts)?;
            Ok(new)
        }
        value => {
            let new = element(doc, name)?;
            if !value.is_null() {
                doc.set_text(new, plain(value)?);
            }
            Ok(new)
        }
    }
}

fn fill(doc: &mut Doc, new: Id, parts: &Map<String, Json>) -> Result<(), Failure> {
    let own = usize::from(doc.element(new).is_some_and(|e| !e.decls.is_empty()));
    let before = std::mem::replace(&mut doc.made_up, own);
    for (key, value) in parts {
        match key.as_str() {
            "+value" if value.is_null() => {}
            "+value" => doc.set_text(new, plain(value)?),
            "_" => {}
            name => {
                let Some((uri, local)) = clark(name) else {
                    return Err(Failure::uncaught(format!("Invalid attribute name '{name}'")));
                };
                doc.set_attr(new, uri, local, plain(value)?);
            }
        }
    }
    doc.made_up = before;
    match parts.get("_") {
        Some(Json::Array(inner)) => {
            for c in inner {
                let c = from_data(doc, c)?;
                doc.append(new, c);
            }
        }
        None | Some(Json::Null) => {}
        Some(other) if python_empty(other) => {}
        Some(other) => {
            let kind = type_name(other);
            return Err(format!("Invalid children type: <class '{kind}'>, must be list.").into());
        }
    }
    Ok(())
}

/// What Python takes for nothing.
fn python_empty(v: &Json) -> bool {
    match v {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
    }
}

/// Each element as a text, with the text that follows it.
pub fn texts(doc: &Doc, all: &[Id]) -> Vec<String> {
    let tail = |id: Id| doc.tail(id).into_iter().map(|t| doc.string(t)).collect::<String>();
    all.iter().map(|id| tree(doc, *id, Style::default()) + &tail(*id)).collect()
}

/// Puts the new elements in place of what a match contains; its first text stays. A match that has them already is
/// left: what contains the same texts as `wanted`, those of the new elements before they had a place.
pub fn set(doc: &mut Doc, at: Id, new: &[Id], wanted: &[String]) {
    if doc.element(at).is_none() {
        return;
    }
    let old = doc.items(at);
    if old.len() == wanted.len() && texts(doc, &old) == wanted {
        return;
    }
    for o in old {
        doc.detach(o);
    }
    for n in new {
        doc.append(at, *n);
    }
}

/// A document by which two states are compared: nothing counts that is only another way of writing.
pub fn essence(doc: &Doc) -> String {
    let text = tree(doc, ROOT, Style::default());
    match parse(&text, Keep { no_blanks: true, no_cdata: true }) {
        Ok(d) => tree(&d, ROOT, Style::default()),
        Err(_) => text,
    }
}
