//! The four kinds of values, and how one becomes another.

use super::super::scan::is_blank;
use super::super::tree::{Doc, Id};

/// Something that a path can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    Node(Id),
    /// An element and the number of its attribute.
    Attr(Id, usize),
    /// An element and the number of a namespace that holds there.
    Space(Id, usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// In the order of the document, each once.
    Nodes(Vec<Item>),
    Bool(bool),
    Number(f64),
    Text(String),
}

/// The text of an item.
pub fn text_of(doc: &Doc, item: Item) -> String {
    match item {
        Item::Node(id) => doc.string(id),
        Item::Attr(id, n) => doc.element(id).and_then(|e| e.attrs.get(n)).map(|a| a.value.clone()).unwrap_or_default(),
        Item::Space(id, n) => {
            super::super::names::in_scope(doc, id).into_iter().nth(n).map(|(_, uri)| uri).unwrap_or_default()
        }
    }
}

impl Value {
    pub fn bool(&self) -> bool {
        match self {
            Value::Nodes(n) => !n.is_empty(),
            Value::Bool(b) => *b,
            Value::Number(n) => *n != 0.0 && !n.is_nan(),
            Value::Text(t) => !t.is_empty(),
        }
    }
    pub fn number(&self, doc: &Doc) -> f64 {
        match self {
            Value::Bool(b) => f64::from(u8::from(*b)),
            Value::Number(n) => *n,
            Value::Text(t) => number_of(t),
            Value::Nodes(_) => number_of(&self.text(doc)),
        }
    }
    pub fn text(&self, doc: &Doc) -> String {
        match self {
            Value::Nodes(n) => n.first().map(|i| text_of(doc, *i)).unwrap_or_default(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => number_text(*n),
            Value::Text(t) => t.clone(),
        }
    }
}

/// How many bytes of a text are a number without sign: digits with a point, with or without an exponent.
pub fn number_length(text: &str) -> usize {
    let b = text.as_bytes();
    let digits = |from: usize| b.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    let mut fraction = 0;
    if b.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(b.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(b.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

/// The number that a text is; not a number if it is none.
pub fn number_of(text: &str) -> f64 {
    let t = text.trim_matches(is_blank);
    let (sign, digits) = match t.strip_prefix('-') {
        Some(d) => (-1.0, d),
        None => (1.0, t),
    };
    let len = number_length(digits);
    if len == 0 || len != digits.len() {
        return f64::NAN;
    }
    sign * digits.parse::<f64>().unwrap_or(f64::NAN)
}

/// A number as libxml2 writes it: whole ones in full up to 32 bits, others with fifteen digits, very large and very
/// small ones with an exponent.
pub fn number_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    if n == 0.0 {
        return "0".into();
    }
    if n.trunc() == n && n > f64::from(i32::MIN) && n < f64::from(i32::MAX) {
        return format!("{n}");
    }
    let size = n.abs();
    if !(1e-5..=1e9).contains(&size) {
        let all = format!("{n:.14e}");
        let (digits, exponent) = all.split_once('e').unwrap_or((&all, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.abs());
    }
    // fifteen digits in all
    let places = 14 - size.log10().floor() as i32;
    trimmed(&format!("{n:.*}", usize::try_from(places).unwrap_or(0))).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
