//! From libyaml's events to [`Node`]s: anchors and aliases, merge keys, tags, duplicate keys, bounds.

use super::RepeatedKeys;
use super::errors;
use super::node::{Node, NodeKind};
use super::resolve;
use super::sys::{Event, Mark, Parser, Spanned, Style};
use crate::diag::{Error, Result, Span};
use crate::value::Key;
use std::collections::HashMap;

/// Nesting beyond this is refused (PyYAML gives up at Python's recursion limit, at about the same depth).
const MAX_DEPTH: usize = 200;
/// Nodes that aliases may add to one document in all: a bound on "billion laughs".
const MAX_ALIASED: usize = 1_000_000;

/// Composes the documents of one text.
pub(super) struct Composer<'a> {
    parser: Parser<'a>,
    text: &'a str,
    source: u32,
    json: bool,
    anchors: HashMap<String, (Node, usize)>,
    aliased: usize,
    pub(super) warnings: Vec<Error>,
}

impl<'a> Composer<'a> {
    /// `json`: bare words have JSON's meaning (`1e3` is a number).
    pub(super) fn new(source: u32, text: &'a str, json: bool) -> Composer<'a> {
        Composer {
            parser: Parser::new(text),
            text,
            source,
            json,
            anchors: HashMap::new(),
            aliased: 0,
            warnings: Vec::new(),
        }
    }

    /// The next document's root; `None` at the end of the text.
    pub(super) fn document(&mut self) -> Result<Option<Node>> {
        loop {
            let ev = self.next()?;
            match ev.event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart => {
                    self.anchors.clear();
                    let first = self.next()?;
                    let root = self.node(first, 0)?;
                    loop {
                        if matches!(self.next()?.event, Event::DocumentEnd | Event::StreamEnd) {
                            return Ok(Some(root));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The root of a text that holds one document at most (an empty text is null).
    pub(super) fn single(&mut self) -> Result<Node> {
        let Some(root) = self.document()? else {
            return Ok(Node { kind: NodeKind::Null, span: Span::new(self.source, 0, 0) });
        };
        let ev = self.next()?;
        match ev.event {
            Event::StreamEnd => Ok(root),
            _ => Err(errors::failed("Expected a single document in the stream but found another document.")
                .at(self.line_span(ev.start))
                .help("Split the documents into files of their own.")),
        }
    }

    fn next(&mut self) -> Result<Spanned> {
        self.parser.next_event().map_err(|p| errors::from_problem(&p, self.source, self.text))
    }

    fn span(&self, start: Mark, end: Mark) -> Span {
        Span::new(self.source, start.index, end.index)
    }

    /// From `start` to the end of its line: a collection is marked by its first line.
    fn line_span(&self, start: Mark) -> Span {
        let at = start.index;
        let rest = self.text.get(at..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("").trim_end();
        Span::new(self.source, at, at + line.len())
    }

    fn node(&mut self, ev: Spanned, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(
                errors::failed(format!("Nesting is deeper than {MAX_DEPTH} levels.")).at(self.line_span(ev.start))
            );
        }
        let (start, end) = (ev.start, ev.end);
        let (node, anchor) = match ev.event {
            Event::Alias(name) => return self.alias(&name, start, end),
            Event::Scalar { value, style, anchor, tag } => {
                let span = self.span(start, end);
                let kind = self.scalar(&value, style, tag.as_deref(), span)?;
                (Node { kind, span }, anchor)
            }
            Event::SequenceStart { anchor, tag } => {
                let mut items = Vec::new();
                let last = loop {
                    let ev = self.next()?;
                    if matches!(ev.event, Event::SequenceEnd | Event::StreamEnd) {
                        break ev.end;
                    }
                    items.push(self.node(ev, depth + 1)?);
                };
                let span = self.collection_span(start, last);
                (self.seq(items, tag.as_deref(), span)?, anchor)
            }
            Event::MappingStart { anchor, tag } => {
                let (pairs, last) = self.pairs(start, depth)?;
                let span = self.collection_span(start, last);
                (self.map(pairs, tag.as_deref(), span)?, anchor)
            }
            // Only a broken event stream would bring one of the others here.
            _ => (Node { kind: NodeKind::Null, span: self.span(start, end) }, None),
        };
        if let Some(name) = anchor {
            let size = count(&node);
            self.anchors.insert(name, (node.clone(), size));
        }
        Ok(node)
    }

    fn collection_span(&self, start: Mark, end: Mark) -> Span {
        let line = self.line_span(start);
        let end = end.index;
        if end > line.start as usize && end < line.end as usize {
            Span::new(self.source, line.start as usize, end)
        } else {
            line
        }
    }

    fn alias(&mut self, name: &str, start: Mark, end: Mark) -> Result<Node> {
        let span = self.span(start, end);
        let Some((node, size)) = self.anchors.get(name) else {
            return Err(errors::failed("Found undefined alias.")
                .at(span)
                .help(format!("No `&{name}` stands before this place.")));
        };
        self.aliased += size;
        if self.aliased > MAX_ALIASED {
            return Err(errors::failed("Aliases expand to too many nodes.").at(span));
        }
        Ok(node.clone())
    }

    /// The pairs of a mapping with merge keys applied, duplicates reported and resolved.
    fn pairs(&mut self, start: Mark, depth: usize) -> Result<(Vec<(Node, Node)>, Mark)> {
        let mut own: Vec<(Node, Node)> = Vec::new();
        let mut merged: Vec<(Node, Node)> = Vec::new();
        let last = loop {
            let ev = self.next()?;
            if matches!(ev.event, Event::MappingEnd | Event::StreamEnd) {
                break ev.end;
            }
            let merge = is_merge(&ev.event) && !self.json;
            let key_start = ev.start;
            let key = self.node(ev, depth + 1)?;
            if matches!(key.kind, NodeKind::Seq(_) | NodeKind::Map(_)) {
                return Err(errors::unhashable(self.text, self.line_span(start), key.span));
            }
            let ev = self.next()?;
            let value = self.node(ev, depth + 1)?;
            if merge {
                self.merge(value, &mut merged, self.span(key_start, key_start))?;
            } else {
                own.push((key, value));
            }
        };
        merged.append(&mut own);
        Ok((self.unique(merged)?, last))
    }

    fn merge(&mut self, value: Node, into: &mut Vec<(Node, Node)>, at: Span) -> Result<()> {
        let wrong = |n: &Node, what: &str| {
            errors::failed(format!("While constructing a mapping expected {what}, but found {}.", word(n))).at(at)
        };
        match value.kind {
            NodeKind::Map(pairs) => into.extend(pairs),
            NodeKind::Seq(items) => {
                // The first of several wins, so it is laid down last.
                for item in items.into_iter().rev() {
                    match item.kind {
                        NodeKind::Map(pairs) => into.extend(pairs),
                        _ => return Err(wrong(&item, "a mapping for merging")),
                    }
                }
            }
            _ => return Err(wrong(&value, "a mapping or list of mappings for merging")),
        }
        Ok(())
    }

    /// Keeps the first place and the last value of every key; a repetition is a warning, an error or nothing,
    /// as [`RepeatedKeys`] says. JSON's own reader, which Ansible tries first, tells of none.
    fn unique(&mut self, pairs: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>> {
        let mut seen: HashMap<Key, usize> = HashMap::with_capacity(pairs.len());
        let mut out: Vec<(Node, Node)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(k) = Key::from_value(&key.to_plain_value()) else {
                out.push((key, value));
                continue;
            };
            match seen.get(&k) {
                Some(i) => {
                    if !self.json {
                        let words = format!("Found duplicate mapping key {}.", k.to_value().repr());
                        match RepeatedKeys::now() {
                            RepeatedKeys::Warn => self
                                .warnings
                                .push(Error::parse(words).at(key.span).help("Using last defined value only.")),
                            RepeatedKeys::Refuse => {
                                return Err(errors::failed(words)
                                    .at(key.span)
                                    .help("Keep one of them; DUPLICATE_YAML_DICT_KEY=warn takes the last."));
                            }
                            RepeatedKeys::Ignore => {}
                        }
                    }
                    if let Some(slot) = out.get_mut(*i) {
                        slot.1 = value;
                    }
                }
                None => {
                    seen.insert(k, out.len());
                    out.push((key, value));
                }
            }
        }
        Ok(out)
    }

    fn scalar(&mut self, value: &str, style: Style, tag: Option<&str>, span: Span) -> Result<NodeKind> {
        let wrong = |what: &str| errors::failed(format!("{} is not {what}.", super::quoted(value))).at(span);
        let implicit = || match style {
            Style::Plain if self.json => resolve::json(value),
            Style::Plain => resolve::plain(value),
            _ => NodeKind::Str(value.into()),
        };
        Ok(match tag.map(short_tag) {
            None | Some("" | "!") => implicit(),
            Some("!!str") => NodeKind::Str(value.into()),
            Some("!unsafe") => unsafe_kind(implicit()),
            Some("!vault" | "!vault-encrypted") => NodeKind::Vault(value.into()),
            Some("!!int") => NodeKind::Int(resolve::int(value).ok_or_else(|| wrong("an integer"))?),
            Some("!!float") => NodeKind::Float(
                resolve::float(value)
                    .or_else(|| value.replace('_', "").parse().ok())
                    .ok_or_else(|| wrong("a number"))?,
            ),
            Some("!!bool") => {
                NodeKind::Bool(resolve::boolean(value).or(lower_bool(value)).ok_or_else(|| wrong("a boolean"))?)
            }
            Some("!!null") => NodeKind::Null,
            Some("!!timestamp") => {
                NodeKind::Str(resolve::timestamp(value).ok_or_else(|| wrong("a date or time"))?.into())
            }
            Some("!!binary") => {
                use base64::Engine;
                let packed: String = value.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(packed)
                    .map_err(|e| errors::failed(format!("Failed to decode base64 data: {e}.")).at(span))?;
                // bytes are never a template
                NodeKind::Unsafe(match String::from_utf8(bytes) {
                    Ok(text) => text.into(),
                    Err(e) => {
                        self.warnings.push(
                            Error::parse(
                                "Binary data that is not UTF-8 text is kept as text, with '?' for what is none.",
                            )
                            .at(span),
                        );
                        String::from_utf8_lossy(e.as_bytes()).replace('\u{fffd}', "?").into()
                    }
                })
            }
            Some("!!seq" | "!!map" | "!!set" | "!!omap" | "!!pairs") => {
                return Err(errors::failed("Expected a mapping or sequence node, but found scalar.").at(span));
            }
            Some(other) => return Err(errors::unknown_tag(tag.unwrap_or(other)).at(span)),
        })
    }

    fn seq(&self, items: Vec<Node>, tag: Option<&str>, span: Span) -> Result<Node> {
        let kind = match tag.map(short_tag) {
            None | Some("" | "!" | "!!seq") => NodeKind::Seq(items),
            Some("!unsafe") => NodeKind::Seq(items.into_iter().map(make_unsafe).collect()),
            Some("!!omap" | "!!pairs") => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    match item.kind {
                        NodeKind::Map(pairs) => out.extend(
                            pairs.into_iter().map(|(k, v)| Node { span: k.span, kind: NodeKind::Seq(vec![k, v]) }),
                        ),
                        _ => {
                            return Err(
                                errors::failed("Expected a mapping of length 1 in an ordered map.").at(item.span)
                            );
                        }
                    }
                }
                NodeKind::Seq(out)
            }
            Some("!vault" | "!vault-encrypted") => return Err(vault_kind().at(span)),
            Some(other) => return Err(errors::unknown_tag(tag.unwrap_or(other)).at(span)),
        };
        Ok(Node { kind, span })
    }

    fn map(&self, pairs: Vec<(Node, Node)>, tag: Option<&str>, span: Span) -> Result<Node> {
        let kind = match tag.map(short_tag) {
            None | Some("" | "!" | "!!map") => NodeKind::Map(pairs),
            Some("!unsafe") => NodeKind::Map(pairs.into_iter().map(|(k, v)| (k, make_unsafe(v))).collect()),
            Some("!!set") => NodeKind::Seq(pairs.into_iter().map(|(k, _)| k).collect()),
            Some("!vault" | "!vault-encrypted") => return Err(vault_kind().at(span)),
            Some(other) => return Err(errors::unknown_tag(tag.unwrap_or(other)).at(span)),
        };
        Ok(Node { kind, span })
    }
}

fn vault_kind() -> Error {
    errors::failed("Expected a scalar node for the tag '!vault'.")
}

fn is_merge(e: &Event) -> bool {
    match e {
        Event::Scalar { value, style: Style::Plain, tag, .. } => {
            value == "<<" && matches!(tag.as_deref().map(short_tag), None | Some("!" | "!!merge"))
        }
        _ => false,
    }
}

/// `!!str` for `tag:yaml.org,2002:str`.
fn short_tag(tag: &str) -> &str {
    match tag.strip_prefix("tag:yaml.org,2002:") {
        Some("str") => "!!str",
        Some("int") => "!!int",
        Some("float") => "!!float",
        Some("bool") => "!!bool",
        Some("null") => "!!null",
        Some("binary") => "!!binary",
        Some("timestamp") => "!!timestamp",
        Some("seq") => "!!seq",
        Some("map") => "!!map",
        Some("set") => "!!set",
        Some("omap") => "!!omap",
        Some("pairs") => "!!pairs",
        Some("merge") => "!!merge",
        _ => tag,
    }
}

fn lower_bool(s: &str) -> Option<bool> {
    resolve::boolean(&s.to_lowercase())
}

fn word(n: &Node) -> &'static str {
    match n.kind {
        NodeKind::Seq(_) => "sequence",
        NodeKind::Map(_) => "mapping",
        _ => "scalar",
    }
}

fn unsafe_kind(kind: NodeKind) -> NodeKind {
    match kind {
        NodeKind::Str(s) => NodeKind::Unsafe(s),
        other => other,
    }
}

fn make_unsafe(mut n: Node) -> Node {
    n.kind = match n.kind {
        NodeKind::Str(s) => NodeKind::Unsafe(s),
        NodeKind::Seq(v) => NodeKind::Seq(v.into_iter().map(make_unsafe).collect()),
        NodeKind::Map(m) => NodeKind::Map(m.into_iter().map(|(k, v)| (k, make_unsafe(v))).collect()),
        other => other,
    };
    n
}

fn count(n: &Node) -> usize {
    1 + match &n.kind {
        NodeKind::Seq(v) => v.iter().map(count).sum(),
        NodeKind::Map(m) => m.iter().map(|(k, v)| count(k) + count(v)).sum(),
        _ => 0,
    }
}
