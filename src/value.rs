//! The one value type of the controller: what YAML, inventories, templates and results are made of.
//!
//! A string carries its trust: only text that was loaded from a playbook, role, inventory or vars
//! file may ever be a template. Everything that comes from a host, a command, a lookup or a fact is
//! [`Trust::Plain`] and stays so, also after `set_fact` and through `hostvars`.

use crate::diag::Span;
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// Whether a string may be a template. Decided when the string is loaded, never later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Never a template: host output, facts, lookups, `!unsafe`, results of templating.
    Plain,
    /// From a trusted source, with nothing to render in it (usable as an expression in `when`, `that`).
    Trusted,
    /// From a trusted source, and holds `{{`, `{%` or `{#`.
    Template,
}

/// A string with its trust and, where it was read from a file, the place it stands.
#[derive(Clone)]
pub struct Str {
    pub text: Arc<str>,
    pub trust: Trust,
    pub origin: Option<Span>,
}

impl Str {
    /// Text that is never a template.
    pub fn plain(s: impl Into<Arc<str>>) -> Self {
        Str { text: s.into(), trust: Trust::Plain, origin: None }
    }
    /// Text from a trusted source; it is a template if it holds a template delimiter.
    pub fn trusted(s: impl Into<Arc<str>>, origin: Option<Span>) -> Self {
        let text = s.into();
        let trust = if has_delimiter(&text) { Trust::Template } else { Trust::Trusted };
        Str { text, trust, origin }
    }
    pub fn as_str(&self) -> &str {
        &self.text
    }
    pub fn is_template(&self) -> bool {
        self.trust == Trust::Template
    }
}

/// True if `s` holds `{{`, `{%` or `{#`.
pub fn has_delimiter(s: &str) -> bool {
    s.as_bytes().windows(2).any(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trust {
            Trust::Plain => write!(f, "{:?}", self.text),
            Trust::Trusted => write!(f, "t{:?}", self.text),
            Trust::Template => write!(f, "T{:?}", self.text),
        }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Ciphertext of a `!vault` value (the whole `$ANSIBLE_VAULT;…` envelope); decrypted on first touch.
#[derive(Clone, Debug, PartialEq)]
pub struct VaultText {
    pub envelope: Arc<str>,
    pub origin: Option<Span>,
}

/// A mapping key. Ansible's dictionaries have string keys nearly always; YAML allows the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Null,
    Bool(bool),
    Int(i128),
    /// A float key, kept as its Python `repr`.
    Float(Arc<str>),
    Str(Arc<str>),
}

impl Key {
    /// The key as text, as `json.dumps` writes it (`None` is `null`, `True` is `true`).
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Key::Null => "null".into(),
            Key::Bool(b) => (if *b { "true" } else { "false" }).into(),
            Key::Int(i) => i.to_string().into(),
            Key::Float(s) | Key::Str(s) => s.clone(),
        }
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Key::Str(s) => Some(s),
            _ => None,
        }
    }
    /// The key as a value (strings become plain text).
    pub fn to_value(&self) -> Value {
        match self {
            Key::Null => Value::Null,
            Key::Bool(b) => Value::Bool(*b),
            Key::Int(i) => Value::Int(*i),
            Key::Float(s) => s.parse().map(Value::Float).unwrap_or_else(|_| Value::plain(s.clone())),
            Key::Str(s) => Value::plain(s.clone()),
        }
    }
    /// The key that a value makes, if a value of its kind can be one (not lists, maps or vaulted text).
    pub fn from_value(v: &Value) -> Option<Key> {
        Some(match v {
            Value::Null => Key::Null,
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(i) => Key::Int(*i),
            Value::Float(f) => Key::Float(py_float(*f).into()),
            Value::Str(s) => Key::Str(s.text.clone()),
            Value::Vault(_) | Value::List(_) | Value::Tuple(_) | Value::Map(_) => return None,
        })
    }
}

// A string key hashes as its text does, so that maps can be asked with a plain `&str`.
impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Key::Str(s) => (**s).hash(state),
            Key::Null => 0u8.hash(state),
            Key::Bool(b) => (1u8, b).hash(state),
            Key::Int(i) => (2u8, i).hash(state),
            Key::Float(s) => (3u8, s).hash(state),
        }
    }
}
impl indexmap::Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Str(s) if &**s == self)
    }
}
impl From<&str> for Key {
    fn from(s: &str) -> Self {
        Key::Str(s.into())
    }
}
impl From<String> for Key {
    fn from(s: String) -> Self {
        Key::Str(s.into())
    }
}
impl From<Arc<str>> for Key {
    fn from(s: Arc<str>) -> Self {
        Key::Str(s)
    }
}
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_value().to_str())
    }
}

/// An ordered mapping; `get("name")` takes a plain `&str`.
pub type Map = IndexMap<Key, Value>;

/// A value as loaded (strings may be templates, vaulted text may be there) or as rendered (neither).
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// Covers all of i64 and u64: etcd member ids are decimals beyond 2^53.
    Int(i128),
    Float(f64),
    Str(Str),
    Vault(Arc<VaultText>),
    List(Arc<Vec<Value>>),
    /// A Python tuple; prints as `('a', 1)`, is a list in JSON.
    Tuple(Arc<Vec<Value>>),
    Map(Arc<Map>),
}

impl Value {
    /// A string that is never a template.
    pub fn plain(s: impl Into<Arc<str>>) -> Value {
        Value::Str(Str::plain(s))
    }
    /// A string from a trusted source (a template if it holds a delimiter).
    pub fn trusted(s: impl Into<Arc<str>>, origin: Option<Span>) -> Value {
        Value::Str(Str::trusted(s, origin))
    }
    pub fn list(v: Vec<Value>) -> Value {
        Value::List(Arc::new(v))
    }
    pub fn map(m: Map) -> Value {
        Value::Map(Arc::new(m))
    }
    pub fn empty_map() -> Value {
        Value::map(Map::new())
    }
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(&s.text),
            _ => None,
        }
    }
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(l) | Value::Tuple(l) => Some(l),
            _ => None,
        }
    }
    /// The member `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map().and_then(|m| m.get(key))
    }
    /// True if this string, or any string within, is a template, or is vaulted.
    pub fn needs_render(&self) -> bool {
        match self {
            Value::Str(s) => s.is_template(),
            Value::Vault(_) => true,
            Value::List(l) | Value::Tuple(l) => l.iter().any(Value::needs_render),
            Value::Map(m) => m.values().any(Value::needs_render),
            _ => false,
        }
    }
    /// The same value with every string made [`Trust::Plain`]: what arrives from outside.
    pub fn untrusted(&self) -> Value {
        match self {
            Value::Str(s) => Value::Str(Str { text: s.text.clone(), trust: Trust::Plain, origin: s.origin }),
            Value::List(l) => Value::List(Arc::new(l.iter().map(Value::untrusted).collect())),
            Value::Tuple(l) => Value::Tuple(Arc::new(l.iter().map(Value::untrusted).collect())),
            Value::Map(m) => Value::Map(Arc::new(m.iter().map(|(k, v)| (k.clone(), v.untrusted())).collect())),
            other => other.clone(),
        }
    }
    /// The same value with every plain string made trusted: text typed by the operator (`-e`, prompts).
    pub fn into_trusted(self) -> Value {
        match self {
            Value::Str(s) => Value::Str(Str::trusted(s.text, s.origin)),
            Value::List(l) => Value::list(l.iter().cloned().map(Value::into_trusted).collect()),
            Value::Tuple(l) => Value::Tuple(Arc::new(l.iter().cloned().map(Value::into_trusted).collect())),
            Value::Map(m) => Value::map(m.iter().map(|(k, v)| (k.clone(), v.clone().into_trusted())).collect()),
            other => other,
        }
    }
    /// Python's name for the type, as Ansible's messages show it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) | Value::Vault(_) => "str",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Map(_) => "dict",
        }
    }
    /// Python's truth of the value.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) => !s.text.is_empty(),
            Value::Vault(_) => true,
            Value::List(l) | Value::Tuple(l) => !l.is_empty(),
            Value::Map(m) => !m.is_empty(),
        }
    }
    /// Ansible's loose reading of a boolean (`yes`, `on`, `1`, `true`, `y`, `t` and their opposites, any case).
    pub fn to_bool_loose(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            Value::Int(1) => Some(true),
            Value::Int(0) => Some(false),
            Value::Float(f) if *f == 1.0 => Some(true),
            Value::Float(f) if *f == 0.0 => Some(false),
            Value::Str(s) => parse_bool(&s.text),
            _ => None,
        }
    }
    /// Python's `str()` of the value.
    pub fn to_str(&self) -> String {
        match self {
            Value::Str(s) => s.text.to_string(),
            Value::Vault(v) => v.envelope.to_string(),
            other => {
                let mut out = String::new();
                write_repr(other, &mut out);
                out
            }
        }
    }
    /// Python's `repr()` of the value.
    pub fn repr(&self) -> String {
        let mut out = String::new();
        write_repr(self, &mut out);
        out
    }
    /// The value as JSON; tuples are arrays, keys are text, infinities and NaN are their Python names.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => int_json(*i),
            Value::Float(f) => {
                serde_json::Number::from_f64(*f).map(Json::Number).unwrap_or_else(|| Json::String(py_float(*f)))
            }
            Value::Str(s) => Json::String(s.text.to_string()),
            Value::Vault(v) => Json::String(v.envelope.to_string()),
            Value::List(l) | Value::Tuple(l) => Json::Array(l.iter().map(Value::to_json).collect()),
            Value::Map(m) => Json::Object(m.iter().map(|(k, v)| (k.to_text().to_string(), v.to_json())).collect()),
        }
    }
    /// A value from JSON that came from outside: every string is plain.
    pub fn from_json(j: Json) -> Value {
        match j {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => {
                if let Some(i) = n.as_i64() {
                    Value::Int(i.into())
                } else if let Some(u) = n.as_u64() {
                    Value::Int(u.into())
                } else {
                    Value::Float(n.as_f64().unwrap_or(f64::NAN))
                }
            }
            Json::String(s) => Value::plain(s),
            Json::Array(a) => Value::list(a.into_iter().map(Value::from_json).collect()),
            Json::Object(o) => Value::map(o.into_iter().map(|(k, v)| (Key::from(k), Value::from_json(v))).collect()),
        }
    }
}

fn int_json(i: i128) -> Json {
    if let Ok(v) = i64::try_from(i) {
        Json::from(v)
    } else if let Ok(v) = u64::try_from(i) {
        Json::from(v)
    } else {
        serde_json::Number::from_f64(i as f64).map(Json::Number).unwrap_or(Json::Null)
    }
}

/// Equality as Python has it: `True == 1`, `1 == 1.0`, a list never equals a tuple.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (Str(a), Str(b)) => a == b,
            (Vault(a), Vault(b)) => a == b,
            (List(a), List(b)) | (Tuple(a), Tuple(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            (Float(a), Float(b)) => a == b,
            (a, b) => match (int_of(a), int_of(b)) {
                (Some(x), Some(y)) => x == y,
                (Some(x), None) => matches!(b, Float(f) if *f == x as f64),
                (None, Some(y)) => matches!(a, Float(f) if *f == y as f64),
                _ => false,
            },
        }
    }
}

fn int_of(v: &Value) -> Option<i128> {
    match v {
        Value::Bool(b) => Some(i128::from(*b)),
        Value::Int(i) => Some(*i),
        _ => None,
    }
}

/// Ansible's boolean words: y, yes, on, 1, true, t and n, no, off, 0, false, f, in any case.
pub fn parse_bool(s: &str) -> Option<bool> {
    match s.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
        _ => None,
    }
}

fn write_repr(v: &Value, out: &mut String) {
    match v {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(i) => out.push_str(&i.to_string()),
        Value::Float(f) => out.push_str(&py_float(*f)),
        Value::Str(s) => py_repr_str(&s.text, out),
        Value::Vault(s) => py_repr_str(&s.envelope, out),
        Value::List(l) => write_seq(l, '[', ']', out),
        Value::Tuple(l) => {
            write_seq(l, '(', ')', out);
            if l.len() == 1 {
                out.insert(out.len() - 1, ',');
            }
        }
        Value::Map(m) => {
            out.push('{');
            for (i, (k, v)) in m.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_repr(&k.to_value(), out);
                out.push_str(": ");
                write_repr(v, out);
            }
            out.push('}');
        }
    }
}

fn write_seq(l: &[Value], open: char, close: char, out: &mut String) {
    out.push(open);
    for (i, v) in l.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(v, out);
    }
    out.push(close);
}

/// Python's `repr()` of a string: single quotes unless the text has some and no double ones.
pub fn py_repr_str(s: &str, out: &mut String) {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c == '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Python's `repr()` of a float: shortest digits that read back, exponent from 1e16 and below 1e-4.
pub fn py_float(f: f64) -> String {
    if f.is_nan() {
        return "nan".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "inf" } else { "-inf" }.into();
    }
    if f == 0.0 {
        return if f.is_sign_negative() { "-0.0" } else { "0.0" }.into();
    }
    let sci = format!("{f:e}");
    let (mantissa, exp) = sci.split_once('e').unwrap_or((&sci, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    if (-4..16).contains(&exp) {
        let s = format!("{f}");
        if s.contains('.') { s } else { s + ".0" }
    } else {
        format!("{mantissa}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.abs())
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::plain(s)
    }
}
impl From<String> for Value {
    fn from(s: String) -> Self {
        Value::plain(s)
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}
impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i.into())
    }
}
impl From<usize> for Value {
    fn from(i: usize) -> Self {
        Value::Int(i as i128)
    }
}
impl From<Vec<Value>> for Value {
    fn from(v: Vec<Value>) -> Self {
        Value::list(v)
    }
}
impl From<Map> for Value {
    fn from(m: Map) -> Self {
        Value::map(m)
    }
}
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

/// Two dicts as one, at every depth; of other values the stronger one.
pub fn merged(weak: Value, strong: Value) -> Value {
    match (weak, strong) {
        (Value::Map(w), Value::Map(s)) => {
            let mut out = (*w).clone();
            for (k, v) in s.iter() {
                let v = match out.get(k) {
                    Some(old) => merged(old.clone(), v.clone()),
                    None => v.clone(),
                };
                out.insert(k.clone(), v);
            }
            Value::map(out)
        }
        (_, strong) => strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_text() {
        let v = Value::list(vec![Value::plain("a'b"), Value::Bool(true), Value::Null, Value::Float(1.0)]);
        assert_eq!(v.to_str(), r#"["a'b", True, None, 1.0]"#);
        assert_eq!(Value::Tuple(Arc::new(vec![Value::Int(1)])).to_str(), "(1,)");
        assert_eq!(py_float(1e16), "1e+16");
        assert_eq!(py_float(0.00001), "1e-05");
        assert_eq!(py_float(123.25), "123.25");
    }

    #[test]
    fn maps_are_asked_with_plain_text() {
        let mut m = Map::new();
        m.insert("a".into(), Value::Int(1));
        m.insert(Key::Int(1), Value::Int(2));
        assert_eq!(m.get("a"), Some(&Value::Int(1)));
        assert_eq!(m.get(&Key::Int(1)), Some(&Value::Int(2)));
        assert_eq!(m.get("1"), None);
    }

    #[test]
    fn trust_is_decided_at_load() {
        assert_eq!(Str::trusted("{{ x }}", None).trust, Trust::Template);
        assert_eq!(Str::trusted("x == 1", None).trust, Trust::Trusted);
        assert_eq!(Str::plain("{{ x }}").trust, Trust::Plain);
        assert!(!Value::plain("{{ x }}").needs_render());
    }

    #[test]
    fn equality_is_pythons() {
        assert_eq!(Value::Bool(true), Value::Int(1));
        assert_eq!(Value::Int(1), Value::Float(1.0));
        assert_ne!(Value::plain("1"), Value::Int(1));
    }
}
