//! Documents as lxml's `tostring` writes them, byte for byte.

use super::tree::{Attr, Doc, Id, Kind, ROOT};

/// How a document is written.
#[derive(Clone, Copy, Default)]
pub struct Style {
    /// Every element on a line of its own where no text is beside it.
    pub pretty: bool,
    /// Characters outside ASCII as references.
    pub ascii: bool,
}

/// The whole document with its XML declaration.
pub fn document(doc: &Doc, pretty: bool) -> String {
    let mut out = format!("<?xml version='{}' encoding='UTF-8'?>\n", doc.version);
    out.push_str(&tree(doc, ROOT, Style { pretty, ascii: false }));
    out
}

/// The document without declaration, or a node with all that is in it; declarations of namespaces that hold there come
/// along with a node that is not the outermost.
pub fn tree(doc: &Doc, id: Id, style: Style) -> String {
    let mut w = Writer { doc, out: String::new(), ascii: style.ascii };
    if id == ROOT {
        for c in doc.children(ROOT) {
            w.node(*c, 0, style.pretty);
            if style.pretty || matches!(doc.kind(*c), Kind::Doctype(_)) {
                w.out.push('\n');
            }
        }
    } else {
        w.node(id, 0, style.pretty);
        if style.pretty {
            w.out.push('\n');
        }
    }
    w.out
}

struct Writer<'a> {
    doc: &'a Doc,
    out: String,
    ascii: bool,
}

impl Writer<'_> {
    fn node(&mut self, id: Id, depth: usize, pretty: bool) {
        match self.doc.kind(id) {
            Kind::Document => {}
            Kind::Doctype(t) => self.plain(t),
            Kind::Text(t) => self.escaped(t, false),
            Kind::Cdata(t) => {
                self.out.push_str("<![CDATA[");
                self.plain(&t.replace("]]>", "]]]]><![CDATA[>"));
                self.out.push_str("]]>");
            }
            Kind::Comment(t) => {
                self.out.push_str("<!--");
                self.plain(t);
                self.out.push_str("-->");
            }
            Kind::Pi(target, data) => {
                self.out.push_str("<?");
                self.plain(target);
                if !data.is_empty() {
                    self.out.push(' ');
                    self.plain(data);
                }
                self.out.push_str("?>");
            }
            Kind::Element(e) => {
                let name = e.name.qualified();
                self.out.push('<');
                self.plain(&name);
                for (prefix, uri) in &e.decls {
                    self.declaration(prefix, uri);
                }
                // what is written alone brings what holds around it
                if depth == 0 && self.doc.parent_element(id).is_some() {
                    for (prefix, uri) in super::names::in_scope(self.doc, id) {
                        if prefix != "xml" && !e.decls.iter().any(|(p, _)| *p == prefix) {
                            self.declaration(&prefix, &uri);
                        }
                    }
                }
                for Attr { name, value } in &e.attrs {
                    self.out.push(' ');
                    self.plain(&name.qualified());
                    self.out.push_str("=\"");
                    self.escaped(value, true);
                    self.out.push('"');
                }
                self.content(id, &name, depth, pretty);
            }
        }
    }

    fn declaration(&mut self, prefix: &str, uri: &str) {
        self.out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        self.plain(prefix);
        self.out.push_str("=\"");
        self.escaped(uri, true);
        self.out.push('"');
    }

    fn content(&mut self, id: Id, name: &str, depth: usize, pretty: bool) {
        let children = self.doc.children(id);
        if children.is_empty() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        let pretty = pretty && !children.iter().any(|c| self.doc.is_text(*c));
        for c in children {
            self.line(depth + 1, pretty);
            self.node(*c, depth + 1, pretty);
        }
        self.line(depth, pretty);
        self.out.push_str("</");
        self.plain(name);
        self.out.push('>');
    }

    fn line(&mut self, depth: usize, pretty: bool) {
        if pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    /// Text in which nothing is markup.
    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            self.char(c);
        }
    }
    fn char(&mut self, c: char) {
        if self.ascii && !c.is_ascii() {
            self.out.push_str(&format!("&#{};", u32::from(c)));
        } else {
            self.out.push(c);
        }
    }
    fn escaped(&mut self, text: &str, attribute: bool) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '\r' => self.out.push_str("&#13;"),
                '"' if attribute => self.out.push_str("&quot;"),
                '\n' if attribute => self.out.push_str("&#10;"),
                '\t' if attribute => self.out.push_str("&#9;"),
                c => self.char(c),
            }
        }
    }
}

/// Where a node is, as an XPath: `/a/b[2]`, `*` for what is in a default namespace.
pub fn path(doc: &Doc, id: Id) -> String {
    let mut steps = vec![];
    let mut at = id;
    while let Some(parent) = doc.parent(at) {
        steps.push(step(doc, parent, at));
        at = parent;
    }
    steps.iter().rev().map(|s| format!("/{s}")).collect()
}

fn step(doc: &Doc, parent: Id, id: Id) -> String {
    let generic = |i: Id| doc.element(i).is_some_and(|e| e.name.prefix.is_empty() && !e.name.uri.is_empty());
    let (name, alike): (String, Box<dyn Fn(Id) -> bool + '_>) = match doc.kind(id) {
        Kind::Element(_) if generic(id) => ("*".into(), Box::new(|i| doc.element(i).is_some())),
        Kind::Element(e) => {
            (e.name.qualified(), Box::new(|i| doc.element(i).is_some_and(|o| o.name.qualified() == e.name.qualified())))
        }
        Kind::Comment(_) => ("comment()".into(), Box::new(|i| matches!(doc.kind(i), Kind::Comment(_)))),
        Kind::Pi(t, _) => (
            format!("processing-instruction('{t}')"),
            Box::new(move |i| matches!(doc.kind(i), Kind::Pi(o, _) if o == t)),
        ),
        _ => ("text()".into(), Box::new(|i| doc.is_text(i))),
    };
    let all: Vec<Id> = doc.children(parent).iter().copied().filter(|c| alike(*c)).collect();
    match all.iter().position(|c| *c == id) {
        Some(n) if all.len() > 1 => format!("{name}[{}]", n + 1),
        _ => name,
    }
}
