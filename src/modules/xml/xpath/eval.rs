//! What an expression leads to.

use super::super::names::in_scope;
use super::super::tree::{Doc, Id, Kind, ROOT};
use super::values::text_of;
use super::{Axis, Expr, Fault, Item, Op, Start, Step, Test, Value};
use std::collections::{HashMap, HashSet};

/// A document with the place and the prefixes that expressions are about.
pub struct Focus<'a> {
    pub doc: &'a Doc,
    /// Where relative paths begin.
    pub here: Id,
    /// Prefixes of the expression and what they stand for.
    pub spaces: &'a [(String, String)],
    order: HashMap<Id, usize>,
}

/// What an expression is evaluated for.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub item: Item,
    pub position: usize,
    pub last: usize,
}

impl<'a> Focus<'a> {
    pub fn new(doc: &'a Doc, here: Id, spaces: &'a [(String, String)]) -> Focus<'a> {
        let order = doc.walk(doc.outermost(here)).into_iter().enumerate().map(|(n, id)| (id, n)).collect();
        Focus { doc, here, spaces, order }
    }

    pub fn value(&self, expr: &Expr) -> Result<Value, Fault> {
        self.eval(expr, At { item: Item::Node(self.here), position: 1, last: 1 })
    }

    pub(super) fn space(&self, prefix: &str) -> Result<&str, Fault> {
        if prefix == "xml" {
            return Ok(super::super::tree::XML_NS);
        }
        let known = self.spaces.iter().find(|(p, _)| p == prefix).map(|(_, u)| u.as_str());
        known.ok_or(Fault::Evaluation("Undefined namespace prefix"))
    }

    /// In the order of the document: an element, its namespaces, its attributes, its content.
    fn rank(&self, item: Item) -> (usize, u8, usize) {
        let of = |id: Id| self.order.get(&id).copied().unwrap_or(usize::MAX);
        match item {
            Item::Node(id) => (of(id), 0, 0),
            Item::Space(id, n) => (of(id), 1, n),
            Item::Attr(id, n) => (of(id), 2, n),
        }
    }
    fn sorted(&self, mut items: Vec<Item>) -> Vec<Item> {
        items.sort_by_key(|i| self.rank(*i));
        items.dedup();
        items
    }

    pub(super) fn eval(&self, expr: &Expr, at: At) -> Result<Value, Fault> {
        Ok(match expr {
            Expr::Literal(t) => Value::Text(t.clone()),
            Expr::Number(n) => Value::Number(*n),
            Expr::Variable => return Err(Fault::Evaluation("Undefined variable")),
            Expr::Negative(e) => Value::Number(-self.eval(e, at)?.number(self.doc)),
            Expr::Call(prefix, name, arguments) => self.call(prefix, name, arguments, at)?,
            Expr::Binary(op, a, b) => self.binary(*op, a, b, at)?,
            Expr::Path(start, steps) => {
                let mut items = match start {
                    Start::Here => vec![at.item],
                    Start::Root => {
                        let (Item::Node(id) | Item::Attr(id, _) | Item::Space(id, _)) = at.item;
                        vec![Item::Node(self.doc.outermost(id))]
                    }
                    Start::At(e, predicates) => match self.eval(e, at)? {
                        Value::Nodes(n) => self.filtered(n, predicates)?,
                        _ => return Err(Fault::Evaluation("Invalid type")),
                    },
                };
                for step in steps {
                    items = self.step(&items, step)?;
                }
                Value::Nodes(items)
            }
        })
    }

    fn binary(&self, op: Op, a: &Expr, b: &Expr, at: At) -> Result<Value, Fault> {
        let left = self.eval(a, at)?;
        match op {
            Op::Or if left.bool() => return Ok(Value::Bool(true)),
            Op::And if !left.bool() => return Ok(Value::Bool(false)),
            _ => {}
        }
        let right = self.eval(b, at)?;
        let (l, r) = (|| left.number(self.doc), || right.number(self.doc));
        Ok(match op {
            Op::Or | Op::And => Value::Bool(right.bool()),
            Op::Eq | Op::Ne => Value::Bool(self.equal(&left, &right, op == Op::Eq)),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => Value::Bool(self.ordered(&left, &right, op)),
            Op::Add => Value::Number(l() + r()),
            Op::Sub => Value::Number(l() - r()),
            Op::Mul => Value::Number(l() * r()),
            Op::Div => Value::Number(l() / r()),
            Op::Mod => Value::Number(l() % r()),
            Op::Union => match (left, right) {
                (Value::Nodes(mut x), Value::Nodes(y)) => {
                    x.extend(y);
                    Value::Nodes(self.sorted(x))
                }
                _ => return Err(Fault::Evaluation("Invalid type")),
            },
        })
    }

    /// Sets of nodes are equal to something if one of them is.
    fn equal(&self, a: &Value, b: &Value, wanted: bool) -> bool {
        let texts = |n: &[Item]| n.iter().map(|i| text_of(self.doc, *i)).collect::<Vec<_>>();
        match (a, b) {
            (Value::Nodes(x), Value::Nodes(y)) => {
                let (x, y) = (texts(x), texts(y));
                if wanted {
                    let x: HashSet<&String> = x.iter().collect();
                    return y.iter().any(|t| x.contains(t));
                }
                // one pair that differs
                x.iter().any(|t| y.iter().any(|u| t != u))
            }
            (Value::Bool(x), other) | (other, Value::Bool(x)) => (*x == other.bool()) == wanted,
            (Value::Nodes(x), Value::Number(n)) | (Value::Number(n), Value::Nodes(x)) => {
                texts(x).iter().any(|t| (super::values::number_of(t) == *n) == wanted)
            }
            (Value::Nodes(x), Value::Text(t)) | (Value::Text(t), Value::Nodes(x)) => {
                texts(x).iter().any(|u| (u == t) == wanted)
            }
            (Value::Text(x), Value::Text(y)) => (x == y) == wanted,
            _ => (a.number(self.doc) == b.number(self.doc)) == wanted,
        }
    }

    fn ordered(&self, a: &Value, b: &Value, op: Op) -> bool {
        let holds = |x: f64, y: f64| match op {
            Op::Lt => x < y,
            Op::Le => x <= y,
            Op::Gt => x > y,
            _ => x >= y,
        };
        // a set stands for each of its nodes, unless it is compared with a truth
        let numbers = |v: &Value, other: &Value| match (v, other) {
            (Value::Nodes(_), Value::Bool(_)) => vec![f64::from(u8::from(v.bool()))],
            (Value::Nodes(n), _) => n.iter().map(|i| super::values::number_of(&text_of(self.doc, *i))).collect(),
            _ => vec![v.number(self.doc)],
        };
        let (x, y) = (numbers(a, b), numbers(b, a));
        x.iter().any(|x| y.iter().any(|y| holds(*x, *y)))
    }

    /// Items for which all predicates hold; positions count in this order.
    fn filtered(&self, mut items: Vec<Item>, predicates: &[Expr]) -> Result<Vec<Item>, Fault> {
        for p in predicates {
            let last = items.len();
            let mut kept = vec![];
            for (n, item) in items.into_iter().enumerate() {
                let holds = match self.eval(p, At { item, position: n + 1, last })? {
                    Value::Number(wanted) => wanted == (n + 1) as f64,
                    other => other.bool(),
                };
                if holds {
                    kept.push(item);
                }
            }
            items = kept;
        }
        Ok(items)
    }

    fn step(&self, from: &[Item], step: &Step) -> Result<Vec<Item>, Fault> {
        let uri = match &step.test {
            Test::Space(p) | Test::Name(p, _) if !p.is_empty() => Some(self.space(p)?),
            _ => None,
        };
        let mut all = vec![];
        for item in from {
            let mut there = self.axis(*item, step.axis);
            there.retain(|i| self.passes(*i, step, uri));
            all.extend(self.filtered(there, &step.predicates)?);
        }
        Ok(self.sorted(all))
    }

    fn passes(&self, item: Item, step: &Step, uri: Option<&str>) -> bool {
        let uri = uri.unwrap_or("");
        match item {
            Item::Attr(id, n) => {
                let Some(a) = self.doc.element(id).and_then(|e| e.attrs.get(n)) else { return false };
                match &step.test {
                    Test::Any => step.axis == Axis::Attribute,
                    Test::Space(_) => step.axis == Axis::Attribute && a.name.uri == uri,
                    Test::Name(_, l) => step.axis == Axis::Attribute && a.name.uri == uri && a.name.local == *l,
                    test => *test == Test::Node,
                }
            }
            Item::Space(id, n) => match &step.test {
                Test::Any => step.axis == Axis::Namespace,
                Test::Name(p, l) => {
                    p.is_empty() && in_scope(self.doc, id).get(n).is_some_and(|(prefix, _)| prefix == l)
                }
                test => *test == Test::Node,
            },
            Item::Node(id) => match (&step.test, self.doc.kind(id)) {
                (_, Kind::Doctype(_)) => false,
                (Test::Node, _) | (Test::Any, Kind::Element(_)) => true,
                (Test::Space(_), Kind::Element(e)) => e.name.uri == uri,
                (Test::Name(_, l), Kind::Element(e)) => e.name.uri == uri && e.name.local == *l,
                (Test::Text, Kind::Text(_) | Kind::Cdata(_)) | (Test::Comment, Kind::Comment(_)) => true,
                (Test::Pi(target), Kind::Pi(t, _)) => target.as_ref().is_none_or(|w| w == t),
                _ => false,
            },
        }
    }

    /// What lies on an axis, the nearest first.
    fn axis(&self, item: Item, axis: Axis) -> Vec<Item> {
        let doc = self.doc;
        let nodes = |ids: Vec<Id>| ids.into_iter().map(Item::Node).collect::<Vec<_>>();
        let (id, inner) = match item {
            Item::Node(id) => (id, true),
            Item::Attr(id, _) | Item::Space(id, _) => (id, false),
        };
        let up = || {
            let first = if inner { doc.parent(id) } else { Some(id) };
            std::iter::successors(first, |p| doc.parent(*p)).collect::<Vec<_>>()
        };
        let siblings = |ahead: bool| -> Vec<Id> {
            let Some(p) = doc.parent(id).filter(|_| inner) else { return vec![] };
            let all = doc.children(p);
            let at = all.iter().position(|c| *c == id).unwrap_or(0);
            if ahead {
                all.iter().skip(at + 1).copied().collect()
            } else {
                all.iter().take(at).rev().copied().collect()
            }
        };
        match axis {
            Axis::Itself => vec![item],
            Axis::Parent => nodes(up().into_iter().take(1).collect()),
            Axis::Ancestor => nodes(up()),
            Axis::AncestorOrSelf => std::iter::once(item).chain(nodes(up())).collect(),
            Axis::FollowingSibling => nodes(siblings(true)),
            Axis::PrecedingSibling => nodes(siblings(false)),
            Axis::DescendantOrSelf if !inner => vec![item],
            Axis::DescendantOrSelf => nodes(doc.walk(id)),
            Axis::Following | Axis::Preceding => {
                let above: HashSet<Id> = up().into_iter().collect();
                let all = doc.walk(doc.outermost(id));
                let mine = self.order.get(&id).copied().unwrap_or(0);
                if axis == Axis::Preceding {
                    let before = all.into_iter().take(mine).filter(|i| !above.contains(i)).collect::<Vec<_>>();
                    return nodes(before.into_iter().rev().collect());
                }
                let below = if inner { doc.walk(id).len() } else { 1 };
                nodes(all.into_iter().skip(mine + below).collect())
            }
            _ if !inner => vec![],
            Axis::Child => nodes(doc.children(id).to_vec()),
            Axis::Descendant => nodes(doc.walk(id).into_iter().skip(1).collect()),
            Axis::Attribute => (0..doc.element(id).map_or(0, |e| e.attrs.len())).map(|n| Item::Attr(id, n)).collect(),
            Axis::Namespace if doc.element(id).is_some() => {
                (0..in_scope(doc, id).len()).map(|n| Item::Space(id, n)).collect()
            }
            Axis::Namespace => vec![],
        }
    }

    /// The document that paths from the root begin at has no name of its own among the matches.
    pub fn is_document(item: Item) -> bool {
        item == Item::Node(ROOT)
    }
}
