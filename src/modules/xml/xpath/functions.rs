//! The core function library.

use super::super::scan::is_blank;
use super::super::tree::{Kind, Name, XML_NS};
use super::eval::{At, Focus};
use super::values::text_of;
use super::{Expr, Fault, Item, Value};

const COUNT: Fault = Fault::Evaluation("Invalid number of arguments");
const TYPE: Fault = Fault::Evaluation("Invalid type");

impl Focus<'_> {
    pub(super) fn call(&self, prefix: &str, name: &str, arguments: &[Expr], at: At) -> Result<Value, Fault> {
        if !prefix.is_empty() {
            self.space(prefix)?;
            return Err(Fault::Evaluation("Unregistered function"));
        }
        let wants = |range: std::ops::RangeInclusive<usize>| {
            if range.contains(&arguments.len()) { Ok(()) } else { Err(COUNT) }
        };
        let value = |n: usize| arguments.get(n).ok_or(COUNT).and_then(|a| self.eval(a, at));
        // without an argument, the place itself
        let or_here = |n: usize| match arguments.get(n) {
            Some(a) => self.eval(a, at),
            None => Ok(Value::Nodes(vec![at.item])),
        };
        let text = |n: usize| value(n).map(|v| v.text(self.doc));
        let number = |n: usize| value(n).map(|v| v.number(self.doc));
        let nodes = |n: usize| match value(n)? {
            Value::Nodes(all) => Ok(all),
            _ => Err(TYPE),
        };
        Ok(match name {
            "last" | "position" | "true" | "false" => {
                wants(0..=0)?;
                match name {
                    "last" => Value::Number(at.last as f64),
                    "position" => Value::Number(at.position as f64),
                    _ => Value::Bool(name == "true"),
                }
            }
            "count" => {
                wants(1..=1)?;
                Value::Number(nodes(0)?.len() as f64)
            }
            "sum" => {
                wants(1..=1)?;
                let all = nodes(0)?;
                Value::Number(all.iter().map(|i| super::values::number_of(&text_of(self.doc, *i))).sum::<f64>() + 0.0)
            }
            "id" => {
                wants(1..=1)?;
                Value::Nodes(self.by_id(&value(0)?))
            }
            "local-name" | "name" | "namespace-uri" => {
                wants(0..=1)?;
                let Value::Nodes(all) = or_here(0)? else { return Err(TYPE) };
                let found = all.first().map(|i| self.name_of(*i)).unwrap_or_default();
                Value::Text(match name {
                    "name" => found.qualified(),
                    "local-name" => found.local,
                    _ => found.uri,
                })
            }
            "string" => {
                wants(0..=1)?;
                Value::Text(or_here(0)?.text(self.doc))
            }
            "number" => {
                wants(0..=1)?;
                Value::Number(or_here(0)?.number(self.doc))
            }
            "boolean" | "not" => {
                wants(1..=1)?;
                Value::Bool(value(0)?.bool() == (name == "boolean"))
            }
            "concat" => {
                wants(2..=usize::MAX)?;
                Value::Text((0..arguments.len()).map(text).collect::<Result<String, Fault>>()?)
            }
            "starts-with" | "contains" => {
                wants(2..=2)?;
                let (all, part) = (text(0)?, text(1)?);
                Value::Bool(if name == "contains" { all.contains(&part) } else { all.starts_with(&part) })
            }
            "substring-before" | "substring-after" => {
                wants(2..=2)?;
                let (all, part) = (text(0)?, text(1)?);
                let (before, after) = all.split_once(part.as_str()).unwrap_or_default();
                Value::Text(if name == "substring-before" { before } else { after }.to_owned())
            }
            "substring" => {
                wants(2..=3)?;
                let len = if arguments.len() == 3 { number(2)? } else { f64::INFINITY };
                Value::Text(substring(&text(0)?, number(1)?, len))
            }
            "string-length" => {
                wants(0..=1)?;
                Value::Number(or_here(0)?.text(self.doc).chars().count() as f64)
            }
            "normalize-space" => {
                wants(0..=1)?;
                let all = or_here(0)?.text(self.doc);
                Value::Text(all.split(is_blank).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "))
            }
            "translate" => {
                wants(3..=3)?;
                Value::Text(translate(&text(0)?, &text(1)?, &text(2)?))
            }
            "lang" => {
                wants(1..=1)?;
                Value::Bool(self.speaks(at.item, &text(0)?))
            }
            "floor" => {
                wants(1..=1)?;
                Value::Number(number(0)?.floor())
            }
            "ceiling" => {
                wants(1..=1)?;
                Value::Number(number(0)?.ceil())
            }
            "round" => {
                wants(1..=1)?;
                let n = number(0)?;
                // halves go up
                Value::Number(if n.is_finite() { (n + 0.5).floor() } else { n })
            }
            _ => return Err(Fault::Evaluation("Unregistered function")),
        })
    }

    fn name_of(&self, item: Item) -> Name {
        match item {
            Item::Node(id) => match self.doc.kind(id) {
                Kind::Element(e) => e.name.clone(),
                Kind::Pi(target, _) => Name { local: target.clone(), ..Name::default() },
                _ => Name::default(),
            },
            Item::Attr(id, n) => {
                self.doc.element(id).and_then(|e| e.attrs.get(n)).map(|a| a.name.clone()).unwrap_or_default()
            }
            Item::Space(id, n) => {
                let prefix = super::super::names::in_scope(self.doc, id).into_iter().nth(n).map(|(p, _)| p);
                Name { local: prefix.unwrap_or_default(), ..Name::default() }
            }
        }
    }

    /// Elements whose `xml:id` is among the words.
    fn by_id(&self, wanted: &Value) -> Vec<Item> {
        let texts = match wanted {
            Value::Nodes(n) => n.iter().map(|i| text_of(self.doc, *i)).collect(),
            other => vec![other.text(self.doc)],
        };
        let words: Vec<&str> = texts.iter().flat_map(|t| t.split(is_blank)).filter(|w| !w.is_empty()).collect();
        let all = self.doc.walk(self.doc.outermost(self.here)).into_iter();
        all.filter(|id| self.doc.attr(*id, XML_NS, "id").is_some_and(|v| words.contains(&v))).map(Item::Node).collect()
    }

    fn speaks(&self, item: Item, wanted: &str) -> bool {
        let (Item::Node(id) | Item::Attr(id, _) | Item::Space(id, _)) = item;
        let spoken =
            std::iter::successors(Some(id), |i| self.doc.parent(*i)).find_map(|i| self.doc.attr(i, XML_NS, "lang"));
        let (Some(spoken), wanted) = (spoken.map(str::to_lowercase), wanted.to_lowercase()) else { return false };
        spoken.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// Characters at positions from `start` (the first is 1) for `len`, both rounded.
fn substring(text: &str, start: f64, len: f64) -> String {
    let round = |n: f64| if n.is_finite() { (n + 0.5).floor() } else { n };
    let (from, to) = (round(start), round(start) + round(len));
    let inside = |n: usize| {
        let p = (n + 1) as f64;
        p >= from && p < to
    };
    text.chars().enumerate().filter(|(n, _)| inside(*n)).map(|(_, c)| c).collect()
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    let new = |c: char| match from.chars().position(|f| f == c) {
        Some(n) => to.get(n).copied(),
        None => Some(c),
    };
    text.chars().filter_map(new).collect()
}
