//! Reads a document without losing anything that lxml keeps. Well-formedness is checked in full, and what is wrong is
//! said in libxml2's words with its line and column.
//!
//! Entities of the internal subset are replaced, those outside of the document are not known.

use super::dtd::Entities;
use super::names::is_char;
use super::scan::{Done, Ref, Scan, comment, is_blank, pi, predefined, reference};
use super::tree::{Attr, Doc, Element, Id, Kind, Name, ROOT, XML_NS};

/// Elements in each other, as libxml2 limits them.
const DEEPEST: usize = 256;
/// Entities in each other.
const DEEPEST_ENTITY: usize = 20;
/// What all entities of a document may grow to.
const MOST_EXPANDED: usize = 10 << 20;

/// What is kept.
#[derive(Clone, Copy, Default)]
pub struct Keep {
    /// Text of blanks that only stands between elements goes.
    pub no_blanks: bool,
    /// CDATA sections become plain text.
    pub no_cdata: bool,
}

/// Why something is no document.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub words: String,
    /// Both from 1.
    pub line: usize,
    pub column: usize,
}

/// Reads a text (in UTF-8, whatever its declaration says).
pub fn parse(text: &str, keep: Keep) -> Result<Doc, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // line ends as they are read
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() };
    let mut p = Parser {
        s: Scan { text: &text, at: 0 },
        doc: Doc::new(),
        keep,
        entities: Entities::default(),
        expanded: 0,
        nested: 0,
        open: vec![],
        bottom: 0,
    };
    match p.document() {
        Ok(()) => Ok(p.doc),
        Err(words) => Err(Fault { words, line: p.s.line(), column: p.s.column() }),
    }
}

struct Parser<'a> {
    s: Scan<'a>,
    doc: Doc,
    keep: Keep,
    entities: Entities,
    expanded: usize,
    nested: usize,
    /// Elements that are not closed: number, name, line.
    open: Vec<(Id, String, usize)>,
    /// So many of them were open when the entity began that is being read.
    bottom: usize,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Done {
        if self.s.rest().is_empty() {
            return Err("Document is empty".into());
        }
        if self.s.rest().starts_with("<?xml") && self.s.rest().chars().nth(5).is_some_and(is_blank) {
            self.declaration()?;
        }
        self.beside_root()?;
        if self.s.rest().starts_with("<!DOCTYPE") {
            let text = super::dtd::doctype(&mut self.s, &mut self.entities)?;
            let id = self.doc.add(Kind::Doctype(text));
            self.doc.link(ROOT, id);
            self.beside_root()?;
        }
        if !self.s.rest().starts_with('<') {
            return Err("Start tag expected, '<' not found".into());
        }
        self.start_tag()?;
        while !self.open.is_empty() {
            self.content_step()?;
        }
        self.beside_root()?;
        if self.s.rest().is_empty() { Ok(()) } else { Err("Extra content at the end of the document".into()) }
    }

    fn declaration(&mut self) -> Done {
        self.s.take("<?xml");
        let mut seen = vec![];
        loop {
            let spaced = self.s.blanks();
            if self.s.take("?>") {
                break;
            }
            let Some(name) = self.s.name().filter(|_| spaced) else {
                return Err("parsing XML declaration: '?>' expected".into());
            };
            self.s.blanks();
            let value = if self.s.take("=") {
                self.s.blanks();
                self.s.quoted()
            } else {
                None
            };
            let Some(value) = value else { return Err("String not started expecting ' or \"".into()) };
            if name == "version" && seen.is_empty() {
                self.doc.version = value.to_owned();
            } else if seen.is_empty() || !matches!(name, "encoding" | "standalone") {
                return Err("Malformed declaration expecting version".into());
            }
            seen.push(name);
        }
        if seen.is_empty() { Err("Malformed declaration expecting version".into()) } else { Ok(()) }
    }

    /// The element whose content is read.
    fn here(&self) -> Id {
        self.open.last().map_or(ROOT, |(id, ..)| *id)
    }

    /// Reads one piece of an element's content.
    fn content_step(&mut self) -> Done {
        let rest = self.s.rest();
        if rest.is_empty() {
            let (name, line) = self.open.last().map(|(_, n, l)| (n.clone(), *l)).unwrap_or_default();
            return Err(format!("Premature end of data in tag {name} line {line}"));
        }
        if rest.starts_with("</") {
            self.end_tag()
        } else if rest.starts_with("<!--") {
            self.comment(self.here())
        } else if rest.starts_with("<![CDATA[") {
            self.cdata()
        } else if rest.starts_with("<?") {
            self.pi(self.here())
        } else if rest.starts_with('<') {
            self.start_tag()
        } else if rest.starts_with('&') {
            self.reference()
        } else {
            self.text()
        }
    }

    fn text(&mut self) -> Done {
        let start = self.s.at;
        loop {
            let run = self.s.while_(|c| !matches!(c, '<' | '&' | ']') && is_char(c));
            match self.s.peek() {
                Some(']') if self.s.rest().starts_with("]]>") => {
                    return Err("Sequence ']]>' not allowed in content".into());
                }
                Some(']') => self.s.bump(),
                Some(c) if !is_char(c) => return Err(format!("PCDATA invalid Char value {}", u32::from(c))),
                _ if run.is_empty() => break,
                Some('<' | '&') | None => break,
                Some(_) => {}
            }
        }
        let text = self.s.text.get(start..self.s.at).unwrap_or("");
        if !(self.keep.no_blanks && self.is_filler(text)) {
            self.put(text);
        }
        Ok(())
    }

    /// Whether blanks only stand between elements, by libxml2's guess.
    fn is_filler(&self, text: &str) -> bool {
        if !text.chars().all(is_blank) || !self.s.rest().starts_with('<') {
            return false;
        }
        let here = self.here();
        let mut at = Some(here);
        while let Some(id) = at {
            match self.doc.attr(id, XML_NS, "space") {
                Some("preserve") => return false,
                Some(_) => break,
                None => at = self.doc.parent(id),
            }
        }
        let children = self.doc.children(here);
        let text_at = |c: Option<&Id>| c.is_some_and(|c| self.doc.is_text(*c));
        !(children.is_empty() && self.s.rest().starts_with("</")
            || text_at(children.last())
            || text_at(children.first()))
    }

    /// Adds text behind what is there.
    fn put(&mut self, text: &str) {
        let here = self.here();
        if let Some(last) = self.doc.children(here).last().copied()
            && let Kind::Text(t) = self.doc.kind_mut(last)
        {
            t.push_str(text);
            return;
        }
        let id = self.doc.add(Kind::Text(text.to_owned()));
        self.doc.link(here, id);
    }

    fn cdata(&mut self) -> Done {
        self.s.take("<![CDATA[");
        let rest = self.s.rest();
        let Some(text) = self.s.until("]]>") else {
            self.s.at = self.s.text.len();
            // libxml2 keeps what could be the beginning of the end
            let some: String = rest.chars().take(rest.chars().count().saturating_sub(2).min(50)).collect();
            return Err(format!("CData section not finished\n{some}"));
        };
        if let Some(c) = text.chars().find(|c| !is_char(*c)) {
            return Err(format!("CData section invalid Char value {}", u32::from(c)));
        }
        if self.keep.no_cdata {
            self.put(text);
        } else {
            let id = self.doc.add(Kind::Cdata(text.to_owned()));
            self.doc.link(self.here(), id);
        }
        Ok(())
    }

    /// Blanks, comments and instructions before and behind the root element.
    fn beside_root(&mut self) -> Done {
        loop {
            self.s.blanks();
            if self.s.rest().starts_with("<!--") {
                self.comment(ROOT)?;
            } else if self.s.rest().starts_with("<?") {
                self.pi(ROOT)?;
            } else {
                return Ok(());
            }
        }
    }

    fn comment(&mut self, parent: Id) -> Done {
        let text = comment(&mut self.s)?;
        let id = self.doc.add(Kind::Comment(text.to_owned()));
        self.doc.link(parent, id);
        Ok(())
    }

    fn pi(&mut self, parent: Id) -> Done {
        let (target, data) = pi(&mut self.s)?;
        let id = self.doc.add(Kind::Pi(target.to_owned(), data.to_owned()));
        self.doc.link(parent, id);
        Ok(())
    }

    fn reference(&mut self) -> Done {
        match reference(&mut self.s)? {
            Ref::Char(c) => {
                self.put(c.encode_utf8(&mut [0; 4]));
                Ok(())
            }
            Ref::Entity(name) => {
                let Some(text) = self.entity(name)? else { return Ok(()) };
                self.expand(name, &text)
            }
        }
    }

    /// The text of a declared entity; one that every document has is put at once.
    fn entity(&mut self, name: &str) -> Done<Option<String>> {
        if let Some(c) = predefined(name) {
            self.put(c);
            return Ok(None);
        }
        let Some(text) = self.entities.get(name).cloned() else { return Err(format!("Entity '{name}' not defined")) };
        self.count(name, text.len())?;
        Ok(Some(text))
    }

    /// Bounds what entities make of a document.
    fn count(&mut self, name: &str, len: usize) -> Done {
        self.expanded += len;
        if self.nested > DEEPEST_ENTITY {
            return Err(format!("Detected an entity reference loop: {name}"));
        }
        if self.expanded > MOST_EXPANDED {
            return Err("Maximum entity amplification factor exceeded".into());
        }
        Ok(())
    }

    /// Reads the text of an entity as content of the element that is open.
    fn expand(&mut self, name: &str, text: &str) -> Done {
        let mut inner = Parser {
            s: Scan { text, at: 0 },
            doc: std::mem::replace(&mut self.doc, Doc::new()),
            keep: Keep { no_blanks: false, ..self.keep },
            entities: std::mem::take(&mut self.entities),
            expanded: self.expanded,
            nested: self.nested + 1,
            open: std::mem::take(&mut self.open),
            bottom: 0,
        };
        inner.bottom = inner.open.len();
        let mut done = Ok(());
        while done.is_ok() && !inner.s.rest().is_empty() {
            done = inner.content_step();
        }
        if done.is_ok() && inner.open.len() != inner.bottom {
            done = Err(format!("Entity '{name}' is not well-formed"));
        }
        self.expanded = inner.expanded;
        self.doc = inner.doc;
        self.entities = inner.entities;
        self.open = inner.open;
        done
    }

    fn end_tag(&mut self) -> Done {
        self.s.take("</");
        let name = self.s.name().unwrap_or("").to_owned();
        self.s.blanks();
        if !self.s.take(">") {
            return Err("expected '>'".into());
        }
        if self.open.len() <= self.bottom {
            return Err("StartTag: invalid element name".into());
        }
        match self.open.pop() {
            Some((_, open, line)) if open != name => {
                Err(format!("Opening and ending tag mismatch: {open} line {line} and {name}"))
            }
            _ => Ok(()),
        }
    }

    fn start_tag(&mut self) -> Done {
        let line = self.s.line();
        self.s.take("<");
        let Some(name) = self.s.name() else { return Err("StartTag: invalid element name".into()) };
        let mut raw: Vec<(&str, String)> = vec![];
        let empty = loop {
            let spaced = self.s.blanks();
            if self.s.take("/>") {
                self.s.at -= 2;
                break true;
            }
            match self.s.peek() {
                Some('>') => break false,
                None => return Err(format!("Couldn't find end of Start Tag {name} line {line}")),
                Some(_) if !spaced => {
                    return Err(match raw.is_empty() {
                        true => format!("Couldn't find end of Start Tag {name} line {line}"),
                        false => "attributes construct error".into(),
                    });
                }
                Some(_) => raw.push(self.attribute(name, line)?),
            }
        };
        let element = self.resolve(name, raw)?;
        self.s.take(if empty { "/>" } else { ">" });
        let id = self.doc.add(Kind::Element(element));
        self.doc.link(self.here(), id);
        if !empty {
            if self.open.len() >= DEEPEST {
                return Err(format!("Excessive depth in document: {DEEPEST} use XML_PARSE_HUGE option"));
            }
            self.open.push((id, name.to_owned(), line));
        }
        Ok(())
    }

    fn attribute(&mut self, element: &str, line: usize) -> Done<(&'a str, String)> {
        let Some(name) = self.s.name() else {
            return Err(format!("Couldn't find end of Start Tag {element} line {line}"));
        };
        self.s.blanks();
        if !self.s.take("=") {
            return Err(format!("Specification mandates value for attribute {name}"));
        }
        self.s.blanks();
        let Some(q) = self.s.peek().filter(|c| matches!(c, '"' | '\'')) else {
            return Err("AttValue: \" or ' expected".into());
        };
        self.s.bump();
        let mut value = String::new();
        loop {
            match self.s.peek() {
                Some(c) if c == q => break self.s.bump(),
                Some('<') => return Err("Unescaped '<' not allowed in attributes values".into()),
                None => return Err("AttValue: ' expected".into()),
                Some('&') => match reference(&mut self.s)? {
                    Ref::Char(c) => value.push(c),
                    Ref::Entity(e) => self.add_entity(e, 0, &mut value)?,
                },
                Some(c) if !is_char(c) => return Err("invalid character in attribute value".into()),
                Some(c) => {
                    value.push(if is_blank(c) { ' ' } else { c });
                    self.s.bump();
                }
            }
        }
        Ok((name, value))
    }

    /// Adds an entity's text to an attribute's value.
    fn add_entity(&mut self, name: &str, depth: usize, value: &mut String) -> Done {
        if let Some(c) = predefined(name) {
            value.push_str(c);
            return Ok(());
        }
        let Some(text) = self.entities.get(name).cloned() else { return Err(format!("Entity '{name}' not defined")) };
        self.count(name, text.len())?;
        if depth > DEEPEST_ENTITY {
            return Err(format!("Detected an entity reference loop: {name}"));
        }
        let mut s = Scan { text: &text, at: 0 };
        while let Some(c) = s.peek() {
            match c {
                '<' => return Err(format!("'<' in entity '{name}' is not allowed in attributes values")),
                '&' => match reference(&mut s)? {
                    Ref::Char(c) => value.push(c),
                    Ref::Entity(e) => self.add_entity(e, depth + 1, value)?,
                },
                c => {
                    value.push(if is_blank(c) { ' ' } else { c });
                    s.bump();
                }
            }
        }
        Ok(())
    }

    /// Tells declarations from attributes and finds the namespaces of all names.
    fn resolve(&self, name: &str, raw: Vec<(&str, String)>) -> Done<Element> {
        let mut e = Element::default();
        let mut plain = vec![];
        let mut seen: Vec<&str> = vec![];
        for (n, value) in raw {
            if seen.contains(&n) {
                return Err(format!("Attribute {n} redefined"));
            }
            seen.push(n);
            match n.split_once(':') {
                _ if n == "xmlns" => e.decls.push((String::new(), value)),
                Some(("xmlns", "xml")) if value == XML_NS => {}
                Some(("xmlns", p)) if value.is_empty() => {
                    return Err(format!("xmlns:{p}: Empty XML namespace is not allowed"));
                }
                Some(("xmlns", p)) => e.decls.push((p.to_owned(), value)),
                _ => plain.push((n, value)),
            }
        }
        let around = super::names::in_scope(&self.doc, self.here());
        let find = |p: &str| {
            let near = e.decls.iter().find(|(q, _)| q == p).map(|(_, u)| u.clone());
            near.or_else(|| around.iter().find(|(q, _)| q == p).map(|(_, u)| u.clone()))
        };
        let split = |n: &str| -> (String, String) {
            let (p, l) = n.split_once(':').filter(|(p, l)| !p.is_empty() && !l.is_empty()).unwrap_or(("", n));
            (p.to_owned(), l.to_owned())
        };
        let (prefix, local) = split(name);
        let uri = match find(&prefix) {
            Some(u) => u,
            None if prefix.is_empty() => String::new(),
            None => return Err(format!("Namespace prefix {prefix} on {local} is not defined")),
        };
        let mut attrs: Vec<Attr> = vec![];
        for (n, value) in plain {
            let (prefix, l) = split(n);
            let uri = match prefix.as_str() {
                "" => String::new(),
                p => match find(p) {
                    Some(u) => u,
                    None => return Err(format!("Namespace prefix {p} for {l} on {local} is not defined")),
                },
            };
            if attrs.iter().any(|a| a.name.uri == uri && a.name.local == l) {
                return Err(format!("Namespaced Attribute {l} in '{uri}' redefined"));
            }
            attrs.push(Attr { name: Name { prefix, local: l, uri }, value });
        }
        e.name = Name { prefix, local, uri };
        e.attrs = attrs;
        Ok(e)
    }
}

#[cfg(test)]
mod tests;
