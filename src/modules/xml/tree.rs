//! A document as libxml2 keeps it: every comment, processing instruction, CDATA section and prefix in its place. Nodes
//! live in one list and name each other by their number there; a node that was taken out stays in the list.

/// The namespace of the prefix `xml`.
pub const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";

/// Number of a node in its document.
pub type Id = usize;

/// A name with its prefix ("" for none) and its namespace ("" for none).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub prefix: String,
    pub local: String,
    pub uri: String,
}

impl Name {
    /// As it stands in the document: `prefix:local`.
    pub fn qualified(&self) -> String {
        if self.prefix.is_empty() { self.local.clone() } else { format!("{}:{}", self.prefix, self.local) }
    }
    /// As lxml writes it: `{namespace}local`.
    pub fn clark(&self) -> String {
        if self.uri.is_empty() { self.local.clone() } else { format!("{{{}}}{}", self.uri, self.local) }
    }
}

#[derive(Clone, Debug)]
pub struct Attr {
    pub name: Name,
    pub value: String,
}

#[derive(Clone, Debug, Default)]
pub struct Element {
    pub name: Name,
    /// Namespaces that are declared here: prefix ("" for the default one) and namespace.
    pub decls: Vec<(String, String)>,
    pub attrs: Vec<Attr>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Document,
    /// A document type declaration, as it is written.
    Doctype(String),
    Element(Element),
    Text(String),
    Cdata(String),
    Comment(String),
    /// Target and data.
    Pi(String, String),
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub parent: Option<Id>,
    pub children: Vec<Id>,
}

#[derive(Clone, Debug)]
pub struct Doc {
    nodes: Vec<Node>,
    /// Of the XML declaration.
    pub version: String,
    /// Number of the next made-up prefix.
    pub made_up: usize,
}

/// The document node is the first one.
pub const ROOT: Id = 0;

impl Doc {
    pub fn new() -> Doc {
        let root = Node { kind: Kind::Document, parent: None, children: vec![] };
        Doc { nodes: vec![root], version: "1.0".into(), made_up: 0 }
    }

    /// A node without parent.
    pub fn add(&mut self, kind: Kind) -> Id {
        self.nodes.push(Node { kind, parent: None, children: vec![] });
        self.nodes.len() - 1
    }

    // Numbers come from `add` alone and nodes are never dropped, so that every number has its node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }
    fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id]
    }

    pub fn kind(&self, id: Id) -> &Kind {
        &self.node(id).kind
    }
    pub fn kind_mut(&mut self, id: Id) -> &mut Kind {
        &mut self.node_mut(id).kind
    }
    pub fn children(&self, id: Id) -> &[Id] {
        &self.node(id).children
    }
    pub fn parent(&self, id: Id) -> Option<Id> {
        self.node(id).parent
    }
    /// The element that contains this node; the document does not count.
    pub fn parent_element(&self, id: Id) -> Option<Id> {
        self.parent(id).filter(|p| self.element(*p).is_some())
    }
    pub fn element(&self, id: Id) -> Option<&Element> {
        match self.kind(id) {
            Kind::Element(e) => Some(e),
            _ => None,
        }
    }
    pub fn element_mut(&mut self, id: Id) -> Option<&mut Element> {
        match self.kind_mut(id) {
            Kind::Element(e) => Some(e),
            _ => None,
        }
    }
    /// The outermost element.
    pub fn top(&self) -> Option<Id> {
        self.children(ROOT).iter().copied().find(|c| self.element(*c).is_some())
    }
    pub fn is_text(&self, id: Id) -> bool {
        matches!(self.kind(id), Kind::Text(_) | Kind::Cdata(_))
    }
    /// Element, comment or processing instruction: what can be a match of the module.
    pub fn is_node(&self, id: Id) -> bool {
        matches!(self.kind(id), Kind::Element(_) | Kind::Comment(_) | Kind::Pi(..))
    }
    /// Children that are no text.
    pub fn items(&self, id: Id) -> Vec<Id> {
        self.children(id).iter().copied().filter(|c| self.is_node(*c)).collect()
    }

    /// The place among its parent's children.
    fn place(&self, id: Id) -> Option<(Id, usize)> {
        let parent = self.parent(id)?;
        Some((parent, self.children(parent).iter().position(|c| *c == id)?))
    }

    /// The texts that follow a node up to the next one: they move and go with it.
    pub fn tail(&self, id: Id) -> Vec<Id> {
        let Some((parent, at)) = self.place(id) else { return vec![] };
        self.children(parent).iter().skip(at + 1).copied().take_while(|c| self.is_text(*c)).collect()
    }

    /// Takes a node out of its parent, with the text that follows it.
    pub fn detach(&mut self, id: Id) {
        let gone: Vec<Id> = std::iter::once(id).chain(self.tail(id)).collect();
        if let Some(parent) = self.parent(id) {
            self.node_mut(parent).children.retain(|c| !gone.contains(c));
        }
        for g in gone {
            self.node_mut(g).parent = None;
        }
    }

    /// Links a node as it is, as the last child.
    pub fn link(&mut self, parent: Id, id: Id) {
        self.node_mut(id).parent = Some(parent);
        self.node_mut(parent).children.push(id);
    }

    /// Moves a node behind all children.
    pub fn append(&mut self, parent: Id, id: Id) {
        self.detach(id);
        self.link(parent, id);
        super::names::settle(self, id);
    }

    /// Moves a node before another one.
    pub fn insert_before(&mut self, sibling: Id, id: Id) {
        self.detach(id);
        if let Some((parent, at)) = self.place(sibling) {
            self.node_mut(id).parent = Some(parent);
            self.node_mut(parent).children.insert(at, id);
            super::names::settle(self, id);
        }
    }

    /// The node behind this one, text not counted.
    pub fn next_item(&self, id: Id) -> Option<Id> {
        let (parent, at) = self.place(id)?;
        self.children(parent).iter().skip(at + 1).copied().find(|c| self.is_node(*c))
    }

    /// The text before the first child that is no text; of a comment or a processing instruction its content. None if
    /// there is none.
    pub fn text(&self, id: Id) -> Option<String> {
        match self.kind(id) {
            Kind::Comment(t) | Kind::Pi(_, t) => Some(t.clone()),
            _ => {
                let texts = self.children(id).iter().map_while(|c| match self.kind(*c) {
                    Kind::Text(t) | Kind::Cdata(t) => Some(t.as_str()),
                    _ => None,
                });
                let all: Vec<&str> = texts.collect();
                if all.is_empty() { None } else { Some(all.concat()) }
            }
        }
    }

    /// Replaces what [`Doc::text`] answers.
    pub fn set_text(&mut self, id: Id, new: &str) {
        if let Kind::Comment(t) | Kind::Pi(_, t) = self.kind_mut(id) {
            *t = new.to_owned();
            return;
        }
        let old: Vec<Id> = self.children(id).iter().copied().take_while(|c| self.is_text(*c)).collect();
        for t in &old {
            self.node_mut(*t).parent = None;
        }
        let text = self.add(Kind::Text(new.to_owned()));
        self.node_mut(text).parent = Some(id);
        self.node_mut(id).children.splice(0..old.len(), [text]);
    }

    /// The text of the document or an element with all that is in it; else the content.
    pub fn string(&self, id: Id) -> String {
        match self.kind(id) {
            Kind::Text(t) | Kind::Cdata(t) | Kind::Comment(t) | Kind::Pi(_, t) => t.clone(),
            Kind::Doctype(_) => String::new(),
            Kind::Document | Kind::Element(_) => {
                let mut out = String::new();
                self.collect(id, &mut out);
                out
            }
        }
    }
    fn collect(&self, id: Id, out: &mut String) {
        for c in self.children(id) {
            match self.kind(*c) {
                Kind::Text(t) | Kind::Cdata(t) => out.push_str(t),
                Kind::Element(_) => self.collect(*c, out),
                _ => {}
            }
        }
    }

    pub fn attr(&self, id: Id, uri: &str, local: &str) -> Option<&str> {
        let attrs = &self.element(id)?.attrs;
        attrs.iter().find(|a| a.name.uri == uri && a.name.local == local).map(|a| a.value.as_str())
    }

    /// Sets an attribute; a new one gets a prefix that stands for its namespace.
    pub fn set_attr(&mut self, id: Id, uri: &str, local: &str, value: &str) {
        if self.attr(id, uri, local).is_none() {
            let prefix = super::names::for_attribute(self, id, uri);
            let name = Name { prefix, local: local.into(), uri: uri.into() };
            if let Some(e) = self.element_mut(id) {
                e.attrs.push(Attr { name, value: value.into() });
            }
        } else if let Some(e) = self.element_mut(id)
            && let Some(a) = e.attrs.iter_mut().find(|a| a.name.uri == uri && a.name.local == local)
        {
            a.value = value.into();
        }
    }
    pub fn remove_attr(&mut self, id: Id, name: &Name) {
        if let Some(e) = self.element_mut(id) {
            e.attrs.retain(|a| a.name != *name);
        }
    }

    /// A node and all below it, in the order of the document.
    pub fn walk(&self, from: Id) -> Vec<Id> {
        let mut out = vec![];
        let mut todo = vec![from];
        while let Some(id) = todo.pop() {
            out.push(id);
            todo.extend(self.children(id).iter().rev());
        }
        out
    }
    /// The outermost node above this one, the document for what is in it.
    pub fn outermost(&self, id: Id) -> Id {
        let mut at = id;
        while let Some(p) = self.parent(at) {
            at = p;
        }
        at
    }
}
