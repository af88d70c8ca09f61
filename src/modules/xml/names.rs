//! Names and namespaces: what is a name, which prefix stands for a namespace at a place, and what becomes of the
//! declarations of a subtree that moves to another place. As lxml does it, so that the same prefixes are written.

use super::tree::{Doc, Element, Id, Kind, Name, XML_NS};

pub fn is_name_start(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

pub fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
}

/// A name without prefix.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// Characters that a document can hold.
pub fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `{namespace}local` or `local` in its two parts; None if it is no such name.
pub fn clark(text: &str) -> Option<(&str, &str)> {
    let parts = match text.strip_prefix('{') {
        Some(rest) => rest.split_once('}')?,
        None => ("", text),
    };
    is_name(parts.1).then_some(parts)
}

/// All namespaces that hold at an element, the nearest declaration of each prefix: `xml` first.
pub fn in_scope(doc: &Doc, id: Id) -> Vec<(String, String)> {
    let mut all = vec![("xml".to_owned(), XML_NS.to_owned())];
    let mut at = Some(id);
    while let Some(here) = at {
        for (p, u) in doc.element(here).map(|e| e.decls.as_slice()).unwrap_or_default() {
            if !all.iter().any(|(q, _)| q == p) {
                all.push((p.clone(), u.clone()));
            }
        }
        at = doc.parent(here);
    }
    all.retain(|(_, u)| !u.is_empty());
    all
}

/// The namespace a prefix stands for at an element.
pub fn uri_of(doc: &Doc, id: Id, prefix: &str) -> Option<String> {
    in_scope(doc, id).into_iter().find(|(p, _)| p == prefix).map(|(_, u)| u)
}

/// The prefix of a namespace at an element: the nearest declaration that holds there. An attribute needs one that is
/// not empty.
fn prefix_of(doc: &Doc, id: Id, uri: &str, attribute: bool) -> Option<String> {
    let mut all = in_scope(doc, id).into_iter();
    all.find(|(p, u)| u == uri && !(attribute && p.is_empty())).map(|(p, _)| p)
}

/// A prefix that is not in use, declared at the element.
fn make_up(doc: &mut Doc, id: Id, uri: &str) -> String {
    loop {
        let prefix = format!("ns{}", doc.made_up);
        doc.made_up += 1;
        if uri_of(doc, id, &prefix).is_none() {
            declare(doc, id, &prefix, uri);
            return prefix;
        }
    }
}

fn declare(doc: &mut Doc, id: Id, prefix: &str, uri: &str) {
    if let Some(e) = doc.element_mut(id) {
        e.decls.push((prefix.to_owned(), uri.to_owned()));
    }
}

/// The prefix for a new attribute.
pub fn for_attribute(doc: &mut Doc, id: Id, uri: &str) -> String {
    match uri {
        "" => String::new(),
        XML_NS => "xml".into(),
        _ => prefix_of(doc, id, uri, true).unwrap_or_else(|| make_up(doc, id, uri)),
    }
}

/// A new element that stands alone, with a prefix of its own if it has a namespace.
pub fn new_element(doc: &mut Doc, uri: &str, local: &str) -> Id {
    let name = Name { prefix: String::new(), local: local.into(), uri: uri.into() };
    let id = doc.add(Kind::Element(Element { name, ..Element::default() }));
    if !uri.is_empty() {
        let before = std::mem::take(&mut doc.made_up);
        let prefix = make_up(doc, id, uri);
        doc.made_up = before;
        if let Some(e) = doc.element_mut(id) {
            e.name.prefix = prefix;
        }
    }
    id
}

/// After a subtree came to its place: declarations of namespaces that hold there already go, and their names take the
/// prefix that is known there.
pub fn settle(doc: &mut Doc, top: Id) {
    let Some(parent) = doc.parent(top).filter(|p| doc.element(*p).is_some()) else { return };
    for id in doc.walk(top) {
        let Some(e) = doc.element(id) else { continue };
        for (prefix, uri) in e.decls.clone() {
            let Some(known) = prefix_of(doc, parent, &uri, false) else { continue };
            if let Some(e) = doc.element_mut(id) {
                e.decls.retain(|d| *d != (prefix.clone(), uri.clone()));
            }
            rename(doc, top, id, (&prefix, &known), &uri);
        }
    }
}

/// Gives every name of this namespace in a subtree another prefix.
fn rename(doc: &mut Doc, top: Id, from: Id, (old, new): (&str, &str), uri: &str) {
    for id in doc.walk(from) {
        let Some(e) = doc.element_mut(id) else { continue };
        if e.name.prefix == old && e.name.uri == uri {
            e.name.prefix = new.to_owned();
        }
        let wants = |a: &super::tree::Attr| a.name.prefix == old && a.name.uri == uri;
        if !e.attrs.iter().any(wants) {
            continue;
        }
        // an attribute cannot do with the default namespace
        let prefix = match new {
            "" => match prefix_of(doc, top, uri, true) {
                Some(p) => p,
                None => {
                    declare(doc, top, old, uri);
                    old.to_owned()
                }
            },
            _ => new.to_owned(),
        };
        if let Some(e) = doc.element_mut(id) {
            for a in e.attrs.iter_mut().filter(|a| wants(a)) {
                a.name.prefix.clone_from(&prefix);
            }
        }
    }
}
