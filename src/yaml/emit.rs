//! Writing values as PyYAML's C dumper does (what `to_yaml`, `to_nice_yaml` and the YAML output show).

use super::resolve;
use super::sys::{Emitter, Style};
use crate::value::{Key, Map, Value, py_float};
use regex::Regex;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, LazyLock};

/// PyYAML's `dump` options.
#[derive(Clone, Debug)]
pub struct EmitOptions {
    /// Spaces per level, 2 to 9 (others mean 2).
    pub indent: i32,
    /// Lines are folded beyond this column; -1 never.
    pub width: i32,
    /// Keys in order of their text.
    pub sort_keys: bool,
    /// `Some(false)`: block style all through; `Some(true)`: flow style; `None`: collections that hold
    /// only scalars are flow, the others block (`to_yaml`).
    pub default_flow_style: Option<bool>,
    /// Starts with `---`.
    pub explicit_start: bool,
    /// Ends with `...`.
    pub explicit_end: bool,
    /// Characters beyond ASCII are written as they are.
    pub allow_unicode: bool,
    /// The style of every scalar: `'`, `"`, `|` or `>`.
    pub default_style: Option<char>,
    /// YAML's canonical form: every tag written, every scalar in double quotes.
    pub canonical: bool,
    /// Text of several lines as a literal block where the text allows it.
    pub literal_lines: bool,
    /// A list or mapping that is the same object (not just equal) as one before is written as an alias.
    pub aliases: bool,
}

impl Default for EmitOptions {
    /// What `yaml.dump(value, Dumper=AnsibleDumper, allow_unicode=True, default_flow_style=False)` does.
    fn default() -> Self {
        EmitOptions {
            indent: 2,
            width: 80,
            sort_keys: true,
            default_flow_style: Some(false),
            explicit_start: false,
            explicit_end: false,
            allow_unicode: true,
            default_style: None,
            canonical: false,
            literal_lines: false,
            aliases: false,
        }
    }
}

impl EmitOptions {
    /// The defaults of the filter `to_yaml`.
    pub fn to_yaml() -> Self {
        EmitOptions { default_flow_style: None, ..EmitOptions::default() }
    }
    /// The defaults of the filter `to_nice_yaml`.
    pub fn to_nice_yaml() -> Self {
        EmitOptions { indent: 4, ..EmitOptions::default() }
    }
}

/// The value as a YAML document, ending in a newline.
pub fn emit(v: &Value, o: &EmitOptions) -> String {
    let mut w = Writer {
        e: Emitter::new(o.indent, o.width, o.allow_unicode, o.canonical),
        astral: Vec::new(),
        shared: HashMap::new(),
    };
    if o.aliases {
        w.find_shared(v, o.sort_keys);
    }
    w.e.start(o.explicit_start);
    node(&mut w, v, o);
    let text = w.e.finish(o.explicit_end);
    if w.astral.is_empty() { text } else { restore(&text, &w.astral) }
}

/// PyYAML's libyaml escapes characters beyond U+FFFF, the translation used here writes them as they are.
/// So they go through it as U+FFFF, which both escape, and are put back as escapes in order of appearance.
const STAND_IN: char = '\u{ffff}';

struct Writer {
    e: Emitter,
    astral: Vec<char>,
    // Every list and mapping by address; those met again have an anchor, and whether it was written.
    shared: HashMap<usize, Option<(CString, bool)>>,
}

fn address(v: &Value) -> Option<usize> {
    match v {
        Value::List(l) => Some(Arc::as_ptr(l) as usize),
        Value::Map(m) => Some(Arc::as_ptr(m) as usize),
        _ => None,
    }
}

impl Writer {
    /// Gives anchors, numbered in order of the first repetition, as PyYAML does.
    fn find_shared(&mut self, v: &Value, sort: bool) {
        let Some(at) = address(v) else { return };
        if let Some(slot) = self.shared.get(&at) {
            if slot.is_none() {
                let n = self.shared.values().filter(|s| s.is_some()).count() + 1;
                let name = CString::new(format!("id{n:03}")).unwrap_or_default();
                self.shared.insert(at, Some((name, false)));
            }
            return;
        }
        self.shared.insert(at, None);
        match v {
            Value::List(l) => l.iter().for_each(|i| self.find_shared(i, sort)),
            Value::Map(m) => in_order(m, sort).into_iter().for_each(|(_, i)| self.find_shared(i, sort)),
            _ => {}
        }
    }

    /// The anchor of a list or mapping; `Err` if it was written before and is an alias now.
    fn anchor(&mut self, v: &Value) -> Result<Option<CString>, CString> {
        match address(v).and_then(|at| self.shared.get_mut(&at)) {
            Some(Some((name, true))) => Err(name.clone()),
            Some(Some((name, written))) => {
                *written = true;
                Ok(Some(name.clone()))
            }
            _ => Ok(None),
        }
    }
}

fn restore(text: &str, astral: &[char]) -> String {
    let mut parts = text.split("\\uFFFF");
    let mut out = parts.next().unwrap_or("").to_string();
    let mut chars = astral.iter();
    for part in parts {
        match chars.next() {
            Some(c) if *c > STAND_IN => out += &format!("\\U{:08X}", *c as u32),
            _ => out += "\\uFFFF",
        }
        out += part;
    }
    out
}

fn node(w: &mut Writer, v: &Value, o: &EmitOptions) {
    let anchor = match w.anchor(v) {
        Ok(a) => a,
        Err(name) => return w.e.alias(&name),
    };
    match v {
        Value::List(l) | Value::Tuple(l) => {
            w.e.seq_start(flow(o, l.iter().all(is_scalar)), anchor.as_deref());
            for item in l.iter() {
                node(w, item, o);
            }
            w.e.seq_end();
        }
        Value::Map(m) => {
            w.e.map_start(flow(o, m.values().all(is_scalar)), anchor.as_deref());
            for (k, v) in in_order(m, o.sort_keys) {
                node(w, &k.to_value(), o);
                node(w, v, o);
            }
            w.e.map_end();
        }
        scalar => write_scalar(w, scalar, o),
    }
}

fn flow(o: &EmitOptions, only_scalars: bool) -> bool {
    o.default_flow_style.unwrap_or(only_scalars && o.default_style.is_none())
}

fn is_scalar(v: &Value) -> bool {
    !matches!(v, Value::List(_) | Value::Tuple(_) | Value::Map(_) | Value::Vault(_))
}

/// Sorted by key, unless the keys do not compare in Python (text with numbers), which PyYAML leaves alone.
fn in_order(m: &Map, sort: bool) -> Vec<(&Key, &Value)> {
    let mut all: Vec<_> = m.iter().collect();
    let text = m.keys().all(|k| matches!(k, Key::Str(_)));
    let numbers = m.keys().all(|k| matches!(k, Key::Int(_) | Key::Bool(_) | Key::Float(_)));
    if sort && (text || numbers) {
        all.sort_by(|(a, _), (b, _)| match (a, b) {
            (Key::Str(a), Key::Str(b)) => a.chars().cmp(b.chars()),
            (a, b) => number(a).total_cmp(&number(b)),
        });
    }
    all
}

fn number(k: &Key) -> f64 {
    match k {
        Key::Int(i) => *i as f64,
        Key::Bool(b) => f64::from(u8::from(*b)),
        Key::Float(s) => s.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

fn write_scalar(w: &mut Writer, v: &Value, o: &EmitOptions) {
    let style = match o.default_style {
        Some('\'') => Style::Single,
        Some('"') => Style::Double,
        Some('|') => Style::Literal,
        Some('>') => Style::Folded,
        _ => Style::Any,
    };
    let mut other = |text: &str, tag: &CStr| w.e.scalar(text, Some(tag), true, false, style);
    match v {
        // PyYAML gives null no style of its own.
        Value::Null => other("null", c"tag:yaml.org,2002:null"),
        Value::Bool(b) => other(if *b { "true" } else { "false" }, c"tag:yaml.org,2002:bool"),
        Value::Int(i) => other(&i.to_string(), c"tag:yaml.org,2002:int"),
        Value::Float(f) => other(&float_text(*f), c"tag:yaml.org,2002:float"),
        Value::Str(s) => {
            let swapped: String;
            let text = if s.text.chars().any(|c| c >= STAND_IN) {
                w.astral.extend(s.text.chars().filter(|c| *c >= STAND_IN));
                swapped = s.text.chars().map(|c| if c >= STAND_IN { STAND_IN } else { c }).collect();
                &swapped
            } else {
                &*s.text
            };
            let lines = |c: char| matches!(c, '\n' | '\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
            let style = if o.literal_lines && text.contains(lines) { Style::Literal } else { style };
            w.e.scalar(text, Some(c"tag:yaml.org,2002:str"), is_text(text), true, style);
        }
        Value::Vault(v) => w.e.scalar(&v.envelope, Some(c"!vault"), false, false, Style::Literal),
        Value::List(_) | Value::Tuple(_) | Value::Map(_) => {}
    }
}

/// A float as PyYAML writes it: `1.0`, `.inf`, `1.0e+16`.
fn float_text(f: f64) -> String {
    if f.is_nan() {
        return ".nan".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let s = py_float(f);
    if s.contains('.') { s } else { s.replacen('e', ".0e", 1) }
}

// PyYAML's implicit resolvers for the scalars that start like a number; what matches needs quotes.
static NUMBER_LIKE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        r"|[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+",
        r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2}",
        r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?",
        r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)$"
    ))
    .ok()
});

/// True if plain `s` would be read back as text.
fn is_text(s: &str) -> bool {
    match s.as_bytes().first() {
        None => false,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => !NUMBER_LIKE.as_ref().is_some_and(|r| r.is_match(s)),
        Some(b'<') => s != "<<",
        Some(b'=') => s != "=",
        _ => !resolve::is_null(s) && resolve::boolean(s).is_none(),
    }
}
