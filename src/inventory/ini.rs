//! INI inventories: sections of hosts, `:vars` and `:children`, values as Python literals or text.

use super::{Inventory, hostname, literal};
use crate::diag::{self, Error, Result, Span};
use crate::modules::support::shlex;
use crate::value::Value;
use indexmap::IndexMap;

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Hosts,
    Vars,
    Children,
}

/// Where a group was named before it was defined.
struct Pending {
    section: Section,
    /// The group whose `:children` names it.
    parents: Vec<String>,
    span: Span,
}

struct Reader<'a> {
    inv: &'a mut Inventory,
    group: String,
    section: Section,
    pending: IndexMap<String, Pending>,
}

/// Reads the text of an INI inventory. Errors point at the line.
pub(super) fn read(name: &str, text: &str, inv: &mut Inventory) -> Result<()> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = diag::add_source(name, text);
    let mut r = Reader { inv, group: "ungrouped".into(), section: Section::Hosts, pending: IndexMap::new() };
    let mut at = 0;
    for raw in text.split('\n') {
        let start = at + (raw.len() - raw.trim_start().len());
        let line = raw.trim();
        let span = Span::new(source, start, start + line.len());
        at += raw.len() + 1;
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        r.line(line, span).map_err(|e| e.at(span))?;
    }
    r.finish()
}

impl Reader<'_> {
    fn line(&mut self, line: &str, span: Span) -> Result<()> {
        if let Some((group, kind)) = section_header(line) {
            return self.header(group, kind, span);
        }
        if line.starts_with('[') && line.ends_with(']') {
            return Err(Error::parse(format!(
                "Invalid section entry: '{line}'. Please make sure that there are no spaces in the section entry, and that there are no other invalid characters"
            )));
        }
        match self.section {
            Section::Hosts => self.host_line(line, span),
            Section::Vars => {
                let Some((k, v)) = line.split_once('=') else {
                    return Err(Error::parse(format!("Expected key=value, got: {line}")));
                };
                let value = self.value(v.trim(), span);
                self.inv.set_variable(&self.group.clone(), k.trim(), value)
            }
            Section::Children => self.child(line, span),
        }
    }

    fn header(&mut self, group: &str, kind: Option<&str>, span: Span) -> Result<()> {
        self.section = match kind {
            None | Some("hosts") => Section::Hosts,
            Some("vars") => Section::Vars,
            Some("children") => Section::Children,
            Some(other) => {
                return Err(Error::parse(format!("Section [{group}:{other}] has unknown type: {other}"))
                    .help("A section is [group], [group:vars] or [group:children]."));
            }
        };
        self.group = group.to_string();
        if self.section == Section::Vars {
            // `[g:vars]` may come before `[g]`: the group counts as defined only when that comes.
            if self.inv.add_group(group) {
                self.pending.insert(group.into(), Pending { section: Section::Vars, parents: Vec::new(), span });
            }
            return Ok(());
        }
        self.inv.add_group(group);
        if let Some(p) = self.pending.shift_remove(group) {
            for parent in p.parents {
                self.inv.add_child(&parent, group)?;
            }
        }
        Ok(())
    }

    fn child(&mut self, line: &str, span: Span) -> Result<()> {
        let name = line.split('#').next().unwrap_or("").trim_end();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ':' || c == ']') {
            return Err(Error::parse(format!("Expected group name, got: {line}")));
        }
        if self.inv.groups.contains_key(name) && !self.pending.contains_key(name) {
            return self.inv.add_child(&self.group.clone(), name).map(|_| ());
        }
        let group = self.group.clone();
        let p = self.pending.entry(name.to_string()).or_insert(Pending {
            section: Section::Children,
            parents: Vec::new(),
            span,
        });
        p.section = Section::Children;
        p.span = span;
        p.parents.push(group);
        Ok(())
    }

    fn host_line(&mut self, line: &str, span: Span) -> Result<()> {
        let tokens = shlex::split_commented(line)
            .map_err(|e| Error::parse(format!("Error parsing host definition '{line}': {e}")))?;
        let Some((pattern, vars)) = tokens.split_first() else { return Ok(()) };
        if pattern == "---" {
            return Err(Error::parse(
                "Invalid host pattern '---' supplied, '---' is normally a sign this is a YAML file.",
            )
            .help("Give a YAML inventory the extension .yml or .yaml."));
        }
        if pattern.trim().ends_with(':') {
            return Err(Error::parse(format!(
                "Invalid host pattern '{pattern}' supplied, ending in ':' is not allowed, this character is reserved to provide a port."
            )));
        }
        let (hosts, port) = hostname::expand(pattern)?;
        let mut values = Vec::with_capacity(vars.len());
        for v in vars {
            let Some((k, v)) = v.split_once('=') else {
                return Err(Error::parse(format!("Expected key=value host variable assignment, got: {v}")));
            };
            values.push((k, self.value(v, span)));
        }
        for h in &hosts {
            self.inv.add_host(h, Some(&self.group), port);
            for (k, v) in &values {
                // Lists and mappings are every host's own, not one that all share.
                self.inv.set_variable(h, k, lists(v.clone()))?;
            }
        }
        Ok(())
    }

    fn value(&self, text: &str, span: Span) -> Value {
        let string = |s: String| Value::trusted(s, Some(span));
        // What starts with a letter is a literal only if it is a word or a prefixed string of Python's.
        let maybe = text.starts_with(|c: char| !c.is_alphabetic() || "TFNrRuUbBs".contains(c));
        maybe.then(|| literal::evaluate(text, &string)).flatten().map(lists).unwrap_or_else(|| string(text.to_string()))
    }

    /// A group that was named but never defined is an error.
    fn finish(self) -> Result<()> {
        let Some((name, p)) = self.pending.into_iter().next() else { return Ok(()) };
        let (words, help) = match p.section {
            Section::Vars => (
                format!("Section [{name}:vars] not valid for undefined group '{name}'."),
                format!("Add a section [{name}]."),
            ),
            _ => (
                format!(
                    "Section [{}:children] includes undefined group '{name}'.",
                    p.parents.last().map_or("", String::as_str)
                ),
                format!("Add a section [{name}], empty if it has no hosts."),
            ),
        };
        Err(Error::parse(words).at(p.span).help(help))
    }
}

/// `[group]`, `[group:kind]`, with an optional comment behind.
fn section_header(line: &str) -> Option<(&str, Option<&str>)> {
    let (inner, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    if !after.is_empty() && !after.starts_with('#') {
        return None;
    }
    let (group, kind) = match inner.split_once(':') {
        Some((g, k)) if !k.is_empty() && k.chars().all(|c| c.is_alphanumeric() || c == '_') => (g, Some(k)),
        Some(_) => return None,
        None => (inner, None),
    };
    (!group.is_empty() && !group.contains(char::is_whitespace)).then_some((group, kind))
}

/// Tuples become lists, as they do on their way through Ansible's inventory.
fn lists(v: Value) -> Value {
    match v {
        Value::List(l) | Value::Tuple(l) => Value::list(l.iter().cloned().map(lists).collect()),
        Value::Map(m) => Value::map(m.iter().map(|(k, v)| (k.clone(), lists(v.clone()))).collect()),
        v => v,
    }
}
