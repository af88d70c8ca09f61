//! JSON text as Python's `json` module writes and reads it.

use super::py::{self, Py, Res, error, fail};
use crate::value::py_float;
use minijinja::Value;

/// Arguments of `json.dumps`.
pub struct JsonStyle {
    pub indent: Option<String>,
    pub item_separator: String,
    pub key_separator: String,
    pub sort_keys: bool,
    pub ensure_ascii: bool,
    pub allow_nan: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        JsonStyle {
            indent: None,
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            sort_keys: false,
            ensure_ascii: true,
            allow_nan: true,
        }
    }
}

/// `json.dumps(value, …)`
pub fn dumps(v: &Value, style: &JsonStyle) -> Res<String> {
    let mut out = String::new();
    write(v, style, 0, &mut out)?;
    Ok(out)
}

fn newline(style: &JsonStyle, depth: usize, out: &mut String) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    }
}

fn float(x: f64, style: &JsonStyle) -> Res<String> {
    if x.is_finite() {
        return Ok(py_float(x));
    }
    if !style.allow_nan {
        return fail(format!("Out of range float values are not JSON compliant: {}", py_float(x)));
    }
    Ok(if x.is_nan() {
        "NaN"
    } else if x > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
    .to_string())
}

fn write(v: &Value, style: &JsonStyle, depth: usize, out: &mut String) -> Res<()> {
    if depth > py::MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    match py::view(v) {
        Py::Broken => py::check(v)?,
        Py::None => out.push_str("null"),
        Py::Bool(b) => out.push_str(if b { "true" } else { "false" }),
        Py::Int(i) => out.push_str(&i.to_string()),
        Py::Float(x) => out.push_str(&float(x, style)?),
        Py::Str(s) => crate::pyjson::quote(s, style.ensure_ascii, out),
        Py::Bytes(b) => crate::pyjson::quote(&String::from_utf8_lossy(b), style.ensure_ascii, out),
        Py::List | Py::Tuple => {
            let items = py::items(v)?;
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(&style.item_separator);
                }
                newline(style, depth + 1, out);
                write(item, style, depth + 1, out)?;
            }
            if !items.is_empty() {
                newline(style, depth, out);
            }
            out.push(']');
        }
        Py::Dict => {
            let mut pairs = py::pairs(v)?;
            if style.sort_keys {
                // keys count as the text they become
                let mut keyed = pairs.into_iter().map(|(k, x)| Ok((py::str(&k)?, k, x))).collect::<Res<Vec<_>>>()?;
                keyed.sort_by(|a, b| a.0.cmp(&b.0));
                pairs = keyed.into_iter().map(|(_, k, x)| (k, x)).collect();
            }
            out.push('{');
            let mut first = true;
            for (k, x) in pairs {
                let key = match py::view(&k) {
                    Py::Str(s) => s.to_string(),
                    Py::None => "null".into(),
                    Py::Bool(b) => if b { "true" } else { "false" }.into(),
                    Py::Int(i) => i.to_string(),
                    Py::Float(f) => float(f, style)?,
                    _ => {
                        return fail(format!(
                            "Key of type '{}' is not JSON serializable by the 'tagless' profile.",
                            py::type_name(&k)
                        ));
                    }
                };
                if !first {
                    out.push_str(&style.item_separator);
                }
                first = false;
                newline(style, depth + 1, out);
                crate::pyjson::quote(&key, style.ensure_ascii, out);
                out.push_str(&style.key_separator);
                write(&x, style, depth + 1, out)?;
            }
            if !first {
                newline(style, depth, out);
            }
            out.push('}');
        }
        Py::Object => match v.downcast_object_ref::<super::time::DateTime>() {
            Some(d) => crate::pyjson::quote(&d.isoformat("T"), style.ensure_ascii, out),
            None => {
                return fail(format!("Object of type {} is not JSON serializable", py::type_name(v)));
            }
        },
    }
    Ok(())
}

/// `json.loads(text)`, with its errors.
pub fn loads(text: &str) -> Res {
    let mut p = Parser { chars: text.chars().collect(), at: 0 };
    p.blanks();
    let v = p.value(0)?;
    p.blanks();
    if p.at < p.chars.len() { p.bad("Extra data", p.at) } else { Ok(v) }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

/// Deeper nesting is refused: the reader calls itself.
const MAX_NESTING: usize = 500;

impl Parser {
    fn bad<T>(&self, what: &str, at: usize) -> Res<T> {
        let before = self.chars.get(..at).unwrap_or(&self.chars);
        let line = before.iter().filter(|c| **c == '\n').count() + 1;
        let column = at + 1 - before.iter().rposition(|c| *c == '\n').map_or(0, |i| i + 1);
        fail(format!("{what}: line {line} column {column} (char {at})"))
    }
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }
    fn word(&mut self, w: &str) -> bool {
        let n = w.chars().count();
        let hit = self.chars.get(self.at..self.at + n).is_some_and(|s| s.iter().copied().eq(w.chars()));
        if hit {
            self.at += n;
        }
        hit
    }
    fn value(&mut self, depth: usize) -> Res {
        if depth > MAX_NESTING {
            return fail("maximum recursion depth exceeded while decoding a JSON document");
        }
        match self.peek() {
            Some('"') => self.text().map(Value::from),
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('-' | '0'..='9') if !self.chars.get(self.at..).is_some_and(|s| s.starts_with(&['-', 'I'])) => {
                self.number()
            }
            _ => {
                for (w, v) in [
                    ("null", Value::from(())),
                    ("true", Value::from(true)),
                    ("false", Value::from(false)),
                    ("NaN", Value::from(f64::NAN)),
                    ("Infinity", Value::from(f64::INFINITY)),
                    ("-Infinity", Value::from(f64::NEG_INFINITY)),
                ] {
                    if self.word(w) {
                        return Ok(v);
                    }
                }
                self.bad("Expecting value", self.at)
            }
        }
    }
    fn number(&mut self) -> Res {
        let start = self.at;
        let digits = |p: &mut Parser| {
            let from = p.at;
            while matches!(p.peek(), Some('0'..='9')) {
                p.at += 1;
            }
            p.at > from
        };
        if self.peek() == Some('-') {
            self.at += 1;
        }
        if self.peek() == Some('0') {
            self.at += 1;
        } else if !digits(self) {
            return self.bad("Expecting value", start);
        }
        let mut whole = true;
        let mark = self.at;
        if self.peek() == Some('.') {
            self.at += 1;
            if digits(self) { whole = false } else { self.at = mark }
        }
        let mark = self.at;
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            if digits(self) { whole = false } else { self.at = mark }
        }
        let text: String = self.chars.get(start..self.at).unwrap_or(&[]).iter().collect();
        if whole && let Ok(i) = text.parse::<i128>() {
            return Ok(py::int(i));
        }
        text.parse::<f64>().map(Value::from).map_err(|e| error(e.to_string()))
    }
    fn text(&mut self) -> Res<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return self.bad("Unterminated string starting at", start) };
            self.at += 1;
            match c {
                '"' => return Ok(out),
                '\\' => {
                    let Some(e) = self.peek() else { return self.bad("Unterminated string starting at", start) };
                    self.at += 1;
                    match e {
                        '"' | '\\' | '/' => out.push(e),
                        'b' => out.push('\u{8}'),
                        'f' => out.push('\u{c}'),
                        'n' => out.push('\n'),
                        'r' => out.push('\r'),
                        't' => out.push('\t'),
                        'u' => out.push(self.unicode()?),
                        _ => return self.bad("Invalid \\escape", self.at.saturating_sub(2)),
                    }
                }
                c if (c as u32) < 0x20 => return self.bad("Invalid control character at", self.at - 1),
                c => out.push(c),
            }
        }
    }
    fn hex(&mut self) -> Option<u32> {
        let four: String = self.chars.get(self.at..self.at + 4)?.iter().collect();
        let code = u32::from_str_radix(&four, 16).ok().filter(|_| !four.starts_with('+'))?;
        self.at += 4;
        Some(code)
    }
    fn unicode(&mut self) -> Res<char> {
        let Some(high) = self.hex() else { return self.bad("Invalid \\uXXXX escape", self.at) };
        if (0xd800..0xdc00).contains(&high) && self.word("\\u") {
            let mark = self.at;
            match self.hex() {
                Some(low) if (0xdc00..0xe000).contains(&low) => {
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
                }
                _ => self.at = mark - 2,
            }
        }
        Ok(char::from_u32(high).unwrap_or('\u{fffd}'))
    }
    fn array(&mut self, depth: usize) -> Res {
        self.at += 1;
        let mut out = vec![];
        self.blanks();
        if self.word("]") {
            return Ok(py::list(out));
        }
        loop {
            self.blanks();
            out.push(self.value(depth + 1)?);
            self.blanks();
            if self.word("]") {
                return Ok(py::list(out));
            }
            if !self.word(",") {
                return self.bad("Expecting ',' delimiter", self.at);
            }
        }
    }
    fn object(&mut self, depth: usize) -> Res {
        self.at += 1;
        let mut out = vec![];
        self.blanks();
        if self.word("}") {
            return Ok(py::dict(out));
        }
        loop {
            self.blanks();
            if self.peek() != Some('"') {
                return self.bad("Expecting property name enclosed in double quotes", self.at);
            }
            let key = self.text()?;
            self.blanks();
            if !self.word(":") {
                return self.bad("Expecting ':' delimiter", self.at);
            }
            self.blanks();
            out.push((Value::from(key), self.value(depth + 1)?));
            self.blanks();
            if self.word("}") {
                return Ok(py::dict(out));
            }
            if !self.word(",") {
                return self.bad("Expecting ',' delimiter", self.at);
            }
        }
    }
}
