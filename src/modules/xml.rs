//! `xml`: parts of an XML document by XPath: read, counted, set, added and removed.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/xml_module.html>; the document is read
//! and written as lxml does it.

mod bytes;
mod children;
mod dtd;
mod find;
mod names;
mod parse;
mod scan;
mod spawn;
mod tree;
mod write;
mod xpath;

use super::support::{atomic, fileargs};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use find::{Found, Query, plain, type_name};
use parse::Keep;
use serde_json::{Map, Value as Json, json};
use spawn::{Spawn, Trouble, told};
use std::path::Path;
use tree::{Doc, Id, ROOT};
use xpath::{Focus, Item, Value};

const ACTIONS: [&str; 6] = ["add_children", "content", "count", "print_match", "set_children", "value"];

pub fn module() -> Module {
    let children = "Elements, each a name, a name with its text, or a name with attributes, +value and children in _; \
                    or XML with input_type=xml.";
    let mut spec = Spec::new(vec![
        Arg::path("path").aliases(&["dest", "file"]).doc("The file, which must be there."),
        Arg::str("xmlstring").doc("A document in place of a file; the result has it as it became."),
        Arg::str("xpath").doc("What is meant, an XPath 1.0 expression."),
        Arg::dict("namespaces").default(json!({})).doc("Prefixes of the expression and the namespaces they stand for."),
        Arg::str("state").choices(&["absent", "present"]).default("present").aliases(&["ensure"]),
        Arg::raw("attribute").doc("The attribute of the matches that gets the value."),
        Arg::raw("value").doc("The text that the matches, or their attribute, shall have."),
        Arg::list("add_children", Type::Raw).doc(children),
        Arg::list("set_children", Type::Raw).doc("As add_children, in place of the elements that are there."),
        Arg::bool("count").default(false).doc("Answer how many matches there are."),
        Arg::bool("print_match").default(false).doc("Answer where the matches are."),
        Arg::bool("pretty_print").default(false).doc("Write each element on a line of its own, indented."),
        Arg::str("content").choices(&["attribute", "text"]).doc("Answer the attributes or the texts of the matches."),
        Arg::str("input_type").choices(&["xml", "yaml"]).default("yaml").doc("How new elements are written."),
        Arg::bool("backup").default(false),
        Arg::bool("strip_cdata_tags").default(false).doc("Turn CDATA sections into plain text."),
        Arg::bool("insertbefore").default(false).doc("Put added elements before the first match, not into it."),
        Arg::bool("insertafter").default(false).doc("Put added elements behind the last match, not into it."),
    ]);
    for needs in ["add_children", "content", "set_children", "value"] {
        spec = spec.required_by(needs, &["xpath"]);
    }
    for flag in ["count", "print_match", "insertbefore", "insertafter"] {
        spec = spec.required_if(flag, true, &["xpath"]);
    }
    let spec = spec.required_by("attribute", &["value"]).one_of(&["path", "xmlstring"]);
    Module {
        name: "xml",
        collection: "community.general",
        spec: spec.exclusive(&ACTIONS).exclusive(&["path", "xmlstring"]).exclusive(&["insertbefore", "insertafter"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Read and change parts of XML files.",
        run,
    }
}

/// One call: the document, and what is asked of it.
struct Job<'a> {
    a: &'a Args,
    /// As it was given.
    source: String,
    before: Doc,
    doc: Doc,
    spaces: Vec<(String, String)>,
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let source = read(a)?;
    let xpath = a.opt_str("xpath");
    if let Some(x) = xpath
        && let Err(f @ xpath::Fault::Syntax(_)) = xpath::compile(x)
    {
        return Err(format!("Syntax error in xpath expression: {x} ({})", f.words()).into());
    }
    let doc = load(a, &source)?;
    let mut job = Job { a, source, before: doc.clone(), doc, spaces: vec![] };
    let Some(xpath) = xpath else { return job.without_xpath(ctx) };
    job.spaces = spaces(a)?;
    let out = if a.bool("count") {
        job.count(xpath)?
    } else if a.bool("print_match") {
        job.places(xpath)?
    } else if a.is_set("content") {
        job.content(xpath)?
    } else {
        job.change(xpath)?;
        return job.finish(ctx, Outcome::ok());
    };
    Ok(job.answer(out))
}

/// The document as text, whatever it is encoded in.
fn read(a: &Args) -> Result<String, Failure> {
    let Some(path) = a.opt_str("path") else { return Ok(a.str("xmlstring").to_owned()) };
    if !Path::new(path).is_file() {
        return Err(format!("The target XML source '{path}' does not exist.").into());
    }
    let found = std::fs::read(path)?;
    bytes::text(&found).map_err(|why| Failure::uncaught(format!("Error reading file '{path}': {why}")))
}

fn load(a: &Args, text: &str) -> Result<Doc, Failure> {
    let keep = Keep { no_blanks: a.bool("pretty_print"), no_cdata: a.bool("strip_cdata_tags") };
    parse::parse(text, keep).map_err(|f| {
        let (told, file) = match a.opt_str("path") {
            Some(p) => (p, p.rsplit('/').next().unwrap_or(p)),
            None => ("xml_string", "<string>"),
        };
        let place = format!("line {}, column {} ({file}, line {})", f.line, f.column, f.line);
        Failure::new(format!("Error while parsing document: {told} ({}, {place})", f.words))
    })
}

fn spaces(a: &Args) -> Result<Vec<(String, String)>, Failure> {
    let mut all = vec![];
    for (prefix, uri) in a.opt_map("namespaces").into_iter().flatten() {
        let uri = plain(uri)?;
        if prefix.is_empty() {
            return Err(Failure::uncaught("empty namespace prefix is not supported in XPath"));
        }
        if uri.is_empty() {
            return Err(Failure::uncaught("setting default namespace is not supported in XPath"));
        }
        all.push((prefix.clone(), uri.to_owned()));
    }
    Ok(all)
}

impl Job<'_> {
    /// Only a new form of the document can be asked for without an expression.
    fn without_xpath(self, ctx: &Ctx) -> ModResult {
        if self.a.str("state") == "absent" {
            let why = "Argument must be bytes or unicode, got 'NoneType'";
            return Err(format!("Couldn't delete xpath target: None ({why})").into());
        }
        if !self.a.bool("pretty_print") {
            return Err("Don't know what to do".into());
        }
        let new = write::document(&self.doc, true);
        let same = match self.a.opt_str("path") {
            Some(path) => std::fs::read(path)? == new.as_bytes(),
            None => self.source == new,
        };
        self.store(ctx, Outcome::changed(!same), new)
    }

    fn query<'q>(&'q self, xpath: &'q str) -> Result<Query<'q>, Failure> {
        Query::new(xpath, &self.spaces).map_err(|f| Failure::uncaught(f.words()))
    }

    fn found(&self, xpath: &str) -> Result<Found, Failure> {
        self.query(xpath)?.run(&self.doc).map_err(|f| Failure::uncaught(f.words()))
    }

    /// The matches, none if they are not elements.
    fn nodes(&self, xpath: &str) -> Result<Vec<Id>, Failure> {
        self.found(xpath)?.nodes(&self.doc).map_err(Failure::uncaught)
    }

    fn count(&self, xpath: &str) -> ModResult {
        // as the module does it: below the document, so that a path from its root may begin anywhere
        let below = format!("/{xpath}");
        let raised = |f: xpath::Fault| Failure::uncaught(f.words());
        let expr = xpath::compile(&below).map_err(raised)?;
        let focus = Focus::new(&self.doc, self.doc.top().unwrap_or(ROOT), &self.spaces);
        let Value::Nodes(all) = focus.value(&expr).map_err(raised)? else {
            return Err(Failure::uncaught("Invalid type"));
        };
        Ok(Outcome::ok().set("count", all.len()).msg(format!("found {} nodes", all.len())))
    }

    fn places(&self, xpath: &str) -> ModResult {
        let wrong = |kind: &str| {
            let what = format!("Argument 'element' has incorrect type (expected lxml.etree._Element, got {kind})");
            Failure::uncaught(what)
        };
        let items = match self.found(xpath)? {
            Found::Items(items) => items,
            Found::Other(Value::Text(t)) if t.is_empty() => vec![],
            Found::Other(Value::Text(_)) => return Err(wrong("str")),
            Found::Other(v) => return Err(Failure::uncaught(format!("'{}' object is not iterable", type_name(&v)))),
        };
        let mut all = vec![];
        for i in items {
            match i {
                Item::Node(id) if self.doc.is_node(id) => {
                    let mut text = String::new();
                    crate::pyjson::quote(&write::path(&self.doc, id), true, &mut text);
                    all.push(text);
                }
                Item::Space(..) => return Err(wrong("tuple")),
                _ => return Err(wrong("lxml.etree._ElementUnicodeResult")),
            }
        }
        // the list of matches stays empty, they are in the message
        let told = format!("selector '{xpath}' match: [{}]", all.join(", "));
        Ok(Outcome::ok().set("matches", json!([])).msg(told))
    }

    fn content(&self, xpath: &str) -> ModResult {
        let nodes = self.nodes(xpath)?;
        if nodes.is_empty() {
            return Err(format!("Xpath {xpath} does not reference a node!").into());
        }
        let attributes = self.a.str("content") == "attribute";
        let mut matches = vec![];
        for id in nodes {
            let Some(e) = self.doc.element(id) else {
                return Err(Failure::uncaught("a comment or a processing instruction has no name to answer"));
            };
            let value = if attributes {
                let pairs = e.attrs.iter().map(|a| (a.name.clark(), Json::from(a.value.as_str())));
                Json::Object(pairs.collect())
            } else {
                json!(self.doc.text(id))
            };
            matches.push(Json::Object(Map::from_iter([(e.name.clark(), value)])));
        }
        let count = matches.len();
        Ok(Outcome::ok().set("count", count).set("matches", matches).set("msg", count))
    }

    fn change(&mut self, xpath: &str) -> Result<(), Failure> {
        let a = self.a;
        if a.str("state") == "absent" {
            return self.remove(xpath).map_err(|why| format!("Couldn't delete xpath target: {xpath} ({why})").into());
        }
        let xml = a.str("input_type") == "xml";
        if let Some(wanted) = a.get("set_children").as_array() {
            let at = self.nodes(xpath)?;
            if at.is_empty() && matches!(self.found(xpath)?, Found::Items(i) if !i.is_empty()) {
                let what = "'lxml.etree._ElementUnicodeResult' object has no attribute 'remove'";
                return Err(Failure::uncaught(what));
            }
            if !at.is_empty() {
                let new = children::make(&mut self.doc, wanted, xml)?;
                let texts = children::texts(&self.doc, &new);
                at.into_iter().for_each(|m| children::set(&mut self.doc, m, &new, &texts));
            }
            return Ok(());
        }
        if let Some(wanted) = a.get("add_children").as_array() {
            let at = self.nodes(xpath)?;
            if !at.is_empty() {
                let new = children::make(&mut self.doc, wanted, xml)?;
                return self.add(&at, &new);
            }
            return Ok(());
        }
        if a.is_set("value") {
            return self.set(xpath);
        }
        self.ensure(xpath).map_err(|t| match t {
            Trouble::Refused(words) => Failure::new(words),
            Trouble::Raised(words) => Failure::uncaught(words),
        })
    }

    fn remove(&mut self, xpath: &str) -> Result<(), String> {
        let query = Query::new(xpath, &self.spaces).map_err(|f| f.words().to_owned())?;
        let items = match query.run(&self.doc).map_err(|f| f.words().to_owned())? {
            Found::Items(items) => items,
            Found::Other(Value::Text(t)) if t.is_empty() => vec![],
            Found::Other(Value::Text(_)) => return Err("Impossible error".into()),
            Found::Other(v) => return Err(format!("'{}' object is not iterable", type_name(&v))),
        };
        // numbers of attributes change with the first that goes
        let mut attributes = vec![];
        for item in items {
            match item {
                Item::Attr(id, n) => {
                    attributes.extend(self.doc.element(id).and_then(|e| e.attrs.get(n)).map(|a| (id, a.name.clone())));
                }
                Item::Node(id) if self.doc.is_node(id) => {
                    if self.doc.parent_element(id).is_none() {
                        return Err("'NoneType' object has no attribute 'remove'".into());
                    }
                    self.doc.detach(id);
                }
                Item::Node(_) => return Err("Argument must be bytes or unicode, got 'NoneType'".into()),
                Item::Space(..) => return Err("Impossible error".into()),
            }
        }
        attributes.iter().for_each(|(id, name)| self.doc.remove_attr(*id, name));
        Ok(())
    }

    fn add(&mut self, at: &[Id], new: &[Id]) -> Result<(), Failure> {
        let (before, after) = (self.a.bool("insertbefore"), self.a.bool("insertafter"));
        if !before && !after {
            for m in at.iter().filter(|m| self.doc.element(**m).is_some()).copied().collect::<Vec<_>>() {
                new.iter().for_each(|n| self.doc.append(m, *n));
            }
            return Ok(());
        }
        let Some(beside) = (if before { at.first() } else { at.last() }).copied() else { return Ok(()) };
        let Some(parent) = self.doc.parent_element(beside) else {
            return Err(Failure::uncaught("'NoneType' object has no attribute 'index'"));
        };
        let next = if before { Some(beside) } else { self.doc.next_item(beside) };
        for n in new {
            match next {
                Some(next) => self.doc.insert_before(next, *n),
                None => self.doc.append(parent, *n),
            }
        }
        Ok(())
    }

    /// Makes what the expression names if it is not there.
    fn ensure(&mut self, xpath: &str) -> Result<(), Trouble> {
        let raised = |f: xpath::Fault| Trouble::Raised(f.words().to_owned());
        let found = Query::new(xpath, &self.spaces).and_then(|q| q.run(&self.doc)).map_err(raised)?;
        if !found.begins_with_node(&self.doc).map_err(Trouble::Raised)? {
            Spawn { doc: &mut self.doc, spaces: &self.spaces }.make(ROOT, xpath)?;
        }
        Ok(())
    }

    /// Gives all matches, or their attribute, the value.
    fn set(&mut self, xpath: &str) -> Result<(), Failure> {
        if let Err(t) = self.ensure(xpath) {
            return Err(match t {
                Trouble::Refused(words) => words.into(),
                Trouble::Raised(words) => {
                    let tree = told(&self.doc, ROOT);
                    format!("Xpath {xpath} causes a failure: {words}\n  -- tree is {tree}").into()
                }
            });
        }
        let nodes = self.nodes(xpath)?;
        if nodes.is_empty() {
            let tree = told(&self.doc, ROOT);
            return Err(format!("Xpath {xpath} does not reference a node! tree is {tree}").into());
        }
        let value = self.a.get("value");
        if !self.a.is_set("attribute") {
            let value = plain(value)?;
            for id in nodes {
                if self.doc.text(id).as_deref() != Some(value) {
                    self.doc.set_text(id, value);
                }
            }
            return Ok(());
        }
        let name = plain(self.a.get("attribute"))?;
        let (uri, local) = match name.split_once(':').filter(|_| !name.starts_with('{')) {
            Some((prefix, local)) => match self.spaces.iter().find(|(p, _)| p == prefix) {
                Some((_, uri)) => (uri.clone(), local),
                None => return Err(Failure::uncaught(format!("'{prefix}'"))),
            },
            None => names::clark(name).map(|(u, l)| (u.to_owned(), l)).unwrap_or_default(),
        };
        if !names::is_name(local) {
            return Err(Failure::uncaught(format!("Invalid attribute name '{name}'")));
        }
        let value = plain(value)?;
        for id in nodes {
            if self.doc.element(id).is_none() {
                return Err(Failure::uncaught("this element does not have children or attributes"));
            }
            self.doc.set_attr(id, &uri, local, value);
        }
        Ok(())
    }

    /// The result's keys that every call with an expression has.
    fn answer(&self, out: Outcome) -> Outcome {
        let a = self.a;
        let actions = json!({"xpath": a.str("xpath"), "namespaces": a.get("namespaces"), "state": a.str("state")});
        let out = out.set("actions", actions);
        match a.is_set("xmlstring") {
            true => out.set("xmlstring", write::document(&self.doc, a.bool("pretty_print"))),
            false => out,
        }
    }

    /// Compares what the document became with what it was, and writes it.
    fn finish(self, ctx: &Ctx, out: Outcome) -> ModResult {
        let changed = children::essence(&self.before) != children::essence(&self.doc);
        let mut out = self.answer(out);
        out.changed = changed;
        if changed && ctx.want_diff {
            out = out.with_diff(Diff::new(write::document(&self.before, true), write::document(&self.doc, true)));
        }
        let new = write::document(&self.doc, self.a.bool("pretty_print"));
        self.store(ctx, out, new)
    }

    fn store(self, ctx: &Ctx, mut out: Outcome, new: String) -> ModResult {
        let Some(path) = self.a.opt_str("path") else { return Ok(out.set("xmlstring", new)) };
        if out.changed && !ctx.check {
            let path = Path::new(path);
            if self.a.bool("backup") {
                out = out.set("backup_file", atomic::backup(path)?);
            }
            atomic::write(&fileargs::real_path(path), new.as_bytes(), false)?;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
