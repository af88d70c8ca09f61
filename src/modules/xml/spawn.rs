//! Makes what an XPath names but the document does not have. What can be made: a child by its name, behind what is
//! there or is made first (`/a/b/c`); an attribute (`/a/@k`), which is empty or gets its value (`/a/@k='v'`); a text
//! (`/a/text()='v'`); and a child with such conditions (`/a/b[@k='v' and c and text()='t']`).

use super::find::{Found, Query};
use super::names::{is_name, new_element};
use super::tree::{Doc, Id, ROOT};
use super::write::{Style, tree};

/// Why it could not be made.
pub enum Trouble {
    /// The module's own words.
    Refused(String),
    /// What lxml says to an expression.
    Raised(String),
}

/// The document with a step that shall exist: where relative paths begin, and the prefixes.
pub struct Spawn<'a> {
    pub doc: &'a mut Doc,
    pub spaces: &'a [(String, String)],
}

/// A condition or a last step.
enum Make<'a> {
    Child(&'a str, Vec<&'a str>),
    Attribute(&'a str, &'a str),
    Text(&'a str),
}

impl Spawn<'_> {
    /// Makes the last step of a path that begins at `here` (an element, or the document).
    pub fn make(&mut self, here: Id, path: &str) -> Result<(), Trouble> {
        let path = path.trim_end();
        let parts = split_last(path).and_then(|(parent, last)| Some((parent, read(last)?)));
        let Some((parent, make)) = parts else { return Err(self.refused(here, path)) };
        let parents = match self.find(here, parent)? {
            found if !found.is_empty() => found,
            _ => {
                self.make(here, parent)?;
                self.find(here, parent)?
            }
        };
        if parents.is_empty() {
            return Err(self.refused(here, path));
        }
        match make {
            Make::Child(name, conditions) => {
                let (uri, local) = self.resolve(name)?;
                let new = new_element(self.doc, &uri, &local);
                for c in conditions {
                    self.make(new, &format!("./{c}"))?;
                }
                // one node: with several parents, it stays with the last
                for p in parents {
                    self.doc.append(p, new);
                }
            }
            Make::Attribute(name, value) => {
                let (uri, local) = self.resolve(name)?;
                for p in parents {
                    self.doc.set_attr(p, &uri, &local, value);
                }
            }
            Make::Text(value) => parents.into_iter().for_each(|p| self.doc.set_text(p, value)),
        }
        Ok(())
    }

    fn refused(&self, here: Id, path: &str) -> Trouble {
        let tree = told(self.doc, self.doc.outermost(here));
        Trouble::Refused(format!("Can't process Xpath {path} in order to spawn nodes! tree is {tree}"))
    }

    /// The elements that a path leads to.
    fn find(&self, here: Id, path: &str) -> Result<Vec<Id>, Trouble> {
        let raised = |f: super::xpath::Fault| Trouble::Raised(f.words().to_owned());
        let query = Query::new(path, self.spaces).map_err(raised)?;
        let found: Found = match here {
            ROOT => query.run(self.doc),
            _ => query.run_at(self.doc, here),
        }
        .map_err(raised)?;
        let all = found.nodes(self.doc).map_err(Trouble::Raised)?;
        Ok(all.into_iter().filter(|id| self.doc.element(*id).is_some()).collect())
    }

    /// Namespace and local name of a name with or without prefix.
    fn resolve(&self, name: &str) -> Result<(String, String), Trouble> {
        let Some((prefix, local)) = name.split_once(':') else { return Ok((String::new(), name.to_owned())) };
        match self.spaces.iter().find(|(p, _)| p == prefix) {
            Some((_, uri)) => Ok((uri.clone(), local.to_owned())),
            None => Err(Trouble::Raised("Undefined namespace prefix".into())),
        }
    }
}

/// A document or a part of it as messages show it: Python's bytes of its indented text.
pub fn told(doc: &Doc, id: Id) -> String {
    let text = tree(doc, id, Style { pretty: true, ascii: true });
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = format!("b{quote}");
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Positions of a character that is in no brackets and in no quotes.
fn outside(text: &str, wanted: char) -> Vec<usize> {
    let (mut depth, mut quote, mut all) = (0usize, None, vec![]);
    for (n, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c == wanted && depth == 0 => {
                all.push(n);
                depth += usize::from(matches!(c, '[' | '('));
            }
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    all
}

/// A path without its last step, and that step. What begins with a slash has the document before it.
fn split_last(path: &str) -> Option<(&str, &str)> {
    let at = *outside(path, '/').last()?;
    let parent = match path.get(..at)? {
        // of two slashes, the first one is left
        "" if path.starts_with("//") => "/",
        p => p,
    };
    Some((parent, path.get(at + 1..)?))
}

/// A name that may have a prefix.
fn is_qname(text: &str) -> bool {
    match text.split_once(':') {
        Some((p, l)) => is_name(p) && is_name(l),
        None => is_name(text),
    }
}

/// What a last step asks for; None if it cannot be made.
fn read(step: &str) -> Option<Make<'_>> {
    if let Some(value) = step.strip_prefix("text()=") {
        return literal(value).map(Make::Text);
    }
    if let Some(rest) = step.strip_prefix('@') {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "''"));
        return Some(Make::Attribute(Some(name).filter(|n| is_qname(n))?, literal(value)?));
    }
    let brackets = outside(step, '[');
    let name = step.get(..brackets.first().copied().unwrap_or(step.len()))?;
    if !is_qname(name) {
        return None;
    }
    let mut conditions = vec![];
    let mut rest = step.get(name.len()..)?;
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[')?;
        let end = *outside(inner, ']').first()?;
        conditions.extend(ands(inner.get(..end)?));
        rest = inner.get(end + 1..)?;
    }
    Some(Make::Child(name, conditions))
}

fn literal(text: &str) -> Option<&str> {
    let q = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.get(1..)?.strip_suffix(q)?;
    (!inner.contains(q)).then_some(inner)
}

/// The conditions of a predicate, which `and` joins.
fn ands(predicate: &str) -> Vec<&str> {
    let mut all = vec![];
    let mut start = 0;
    for at in outside(predicate, 'a') {
        let word = predicate.get(at..).and_then(|r| r.strip_prefix("and"));
        let before = predicate.get(..at).is_some_and(|b| b.ends_with(char::is_whitespace));
        if before && at >= start && word.is_some_and(|w| w.starts_with(char::is_whitespace)) {
            all.push(predicate.get(start..at).unwrap_or("").trim());
            start = at + 3;
        }
    }
    all.push(predicate.get(start..).unwrap_or("").trim());
    all
}
