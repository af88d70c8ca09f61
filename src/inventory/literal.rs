//! Python literals, as `ast.literal_eval` reads them: what an INI value may be besides text.

use crate::value::{Key, Map, Value};
use std::sync::Arc;

/// Brackets deeper than this are no literal (Python refuses about as much).
const MAX_DEPTH: usize = 100;

/// The value of a Python literal, or None if the text is none (then it is text). `string` makes the
/// string values: the caller decides about trust.
pub fn evaluate(text: &str, string: &dyn Fn(String) -> Value) -> Option<Value> {
    let mut p = Parser { rest: text.trim_start_matches([' ', '\t']), string, depth: 0 };
    let v = p.top()?;
    p.space();
    p.rest.is_empty().then_some(v)
}

struct Parser<'a> {
    rest: &'a str,
    string: &'a dyn Fn(String) -> Value,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            match self.rest.strip_prefix('#') {
                Some(r) => self.rest = r.split_once('\n').map_or("", |(_, r)| r),
                None => return,
            }
        }
    }

    fn eat(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(r) => {
                self.rest = r;
                true
            }
            None => false,
        }
    }

    /// An expression, or several with commas between them: a tuple without its brackets.
    fn top(&mut self) -> Option<Value> {
        let first = self.value()?;
        if !self.eat(',') {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.space();
            if self.rest.is_empty() {
                return Some(Value::Tuple(Arc::new(items)));
            }
            items.push(self.value()?);
            if !self.eat(',') {
                return Some(Value::Tuple(Arc::new(items)));
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let v = match self.rest.chars().next()? {
            '[' => self.list(),
            '(' => self.tuple(),
            '{' => self.braces(),
            '+' | '-' => self.signed(),
            // Python's Ellipsis and complex numbers are no values here: they stay the text that they are
            '.' if self.rest.starts_with("...") => {
                self.rest = self.rest.get(3..)?;
                Some((self.string)("...".into()))
            }
            '0'..='9' | '.' => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        v
    }

    /// Items up to `close`; tells whether a comma was seen.
    fn items(&mut self, close: char) -> Option<(Vec<Value>, bool)> {
        let (mut out, mut comma) = (Vec::new(), false);
        loop {
            if self.eat(close) {
                return Some((out, comma));
            }
            if !out.is_empty() && !comma {
                return None;
            }
            out.push(self.value()?);
            if !self.eat(',') {
                return self.eat(close).then_some((out, comma));
            }
            comma = true;
        }
    }

    fn list(&mut self) -> Option<Value> {
        self.eat('[');
        self.items(']').map(|(v, _)| Value::list(v))
    }

    fn tuple(&mut self) -> Option<Value> {
        self.eat('(');
        let (mut v, comma) = self.items(')')?;
        match v.len() {
            1 if !comma => v.pop(),
            _ => Some(Value::Tuple(Arc::new(v))),
        }
    }

    fn braces(&mut self) -> Option<Value> {
        self.eat('{');
        if self.eat('}') {
            return Some(Value::empty_map());
        }
        let first = self.value()?;
        if !self.eat(':') {
            // A set; there is no set here, a list without repetitions is what JSON would show.
            let mut out = vec![first];
            while self.eat(',') {
                if self.eat('}') {
                    return Some(Value::list(out));
                }
                let v = self.value()?;
                if !out.contains(&v) {
                    out.push(v);
                }
            }
            return self.eat('}').then(|| Value::list(out));
        }
        let mut map = Map::new();
        map.insert(Key::from_value(&first)?, self.value()?);
        while self.eat(',') {
            if self.eat('}') {
                return Some(Value::map(map));
            }
            let k = Key::from_value(&self.value()?)?;
            if !self.eat(':') {
                return None;
            }
            map.insert(k, self.value()?);
        }
        self.eat('}').then(|| Value::map(map))
    }

    fn signed(&mut self) -> Option<Value> {
        let minus = self.rest.starts_with('-');
        self.rest = self.rest.get(1..)?;
        self.space();
        if !self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        Some(match self.number()? {
            Value::Int(i) if minus => Value::Int(-i),
            Value::Float(f) if minus => Value::Float(-f),
            v => v,
        })
    }

    fn number(&mut self) -> Option<Value> {
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        while let Some(b) = bytes.get(end) {
            let exponent_sign = matches!(b, b'+' | b'-')
                && end > 0
                && matches!(bytes.get(end - 1), Some(b'e' | b'E'))
                && !self.rest.starts_with("0x")
                && !self.rest.starts_with("0X");
            if b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.') || exponent_sign {
                end += 1;
            } else {
                break;
            }
        }
        let text = self.rest.get(..end)?;
        let v = match text.strip_suffix(['j', 'J']) {
            Some(n) if number(n).is_some() => (self.string)(format!("{n}j")),
            _ => number(text)?,
        };
        self.rest = self.rest.get(end..)?;
        // `1 a` and `1'x'` are no literals.
        (!self.rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '"')).then_some(v)
    }

    fn word(&mut self) -> Option<Value> {
        if let Some(s) = self.string_literal()? {
            return Some((self.string)(s));
        }
        for (name, v) in [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)] {
            if let Some(r) = self.rest.strip_prefix(name)
                && !r.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '"'))
            {
                self.rest = r;
                return Some(v);
            }
        }
        if let Some(r) = self.rest.strip_prefix("set") {
            self.rest = r;
            if self.eat('(') && self.eat(')') {
                return Some(Value::list(Vec::new()));
            }
        }
        None
    }

    /// One or more string literals side by side. `Some(None)`: there is none here. None: a broken one.
    fn string_literal(&mut self) -> Option<Option<String>> {
        let mut out: Option<(String, bool)> = None;
        loop {
            if out.is_some() {
                self.space();
            }
            let prefix_len = self.rest.find(['\'', '"']).filter(|n| *n <= 2);
            let prefix = prefix_len.and_then(|n| self.rest.get(..n)).unwrap_or("x").to_ascii_lowercase();
            if !matches!(prefix.as_str(), "" | "r" | "u" | "b" | "br" | "rb") {
                return Some(out.map(|(s, _)| s));
            }
            self.rest = self.rest.get(prefix.len()..)?;
            let bytes = prefix.contains('b');
            let piece = self.quoted(prefix.contains('r'), bytes)?;
            out = Some(match out {
                None => (piece, bytes),
                Some((s, b)) if b == bytes => (s + &piece, b),
                Some(_) => return None,
            });
        }
    }

    fn quoted(&mut self, raw: bool, bytes: bool) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let three: String = std::iter::repeat_n(quote, 3).collect();
        let (close, single_line) =
            if self.rest.starts_with(&three) { (three, false) } else { (quote.to_string(), true) };
        self.rest = self.rest.get(close.len()..)?;
        let mut out = String::new();
        loop {
            if let Some(r) = self.rest.strip_prefix(close.as_str()) {
                self.rest = r;
                return Some(out);
            }
            let mut chars = self.rest.chars();
            let c = chars.next()?;
            self.rest = chars.as_str();
            match c {
                '\n' if single_line => return None,
                '\\' if raw => {
                    let c = chars.next()?;
                    self.rest = chars.as_str();
                    out.extend(['\\', c]);
                }
                '\\' => self.escape(bytes, &mut out)?,
                c if bytes && !c.is_ascii() => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, bytes: bool, out: &mut String) -> Option<()> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        let mut hex = |n: usize| -> Option<char> {
            let digits = self.rest.get(..n).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            self.rest = self.rest.get(n..)?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        };
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            'x' => out.push(hex(2)?),
            'u' if !bytes => out.push(hex(4)?),
            'U' if !bytes => out.push(hex(8)?),
            'N' if !bytes => return None,
            '0'..='7' => {
                let mut v = c.to_digit(8)?;
                for _ in 0..2 {
                    match self.rest.chars().next().and_then(|d| d.to_digit(8)) {
                        Some(d) => {
                            v = v * 8 + d;
                            self.rest = self.rest.get(1..)?;
                        }
                        None => break,
                    }
                }
                out.push(char::from_u32(v)?);
            }
            c => out.extend(['\\', c]),
        }
        Some(())
    }
}

/// A Python number: no leading zeros, single underscores between digits, `0x`, `0o`, `0b`.
fn number(text: &str) -> Option<Value> {
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(d) = lower.strip_prefix(prefix) {
            return i128::from_str_radix(&d.replace('_', ""), radix).ok().map(Value::Int);
        }
    }
    let around = |sep: char| lower.split(sep).all(|p| !p.starts_with('_') && !p.ends_with('_'));
    if !around('.') || !around('e') {
        return None;
    }
    let digits = lower.replace('_', "");
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if digits.starts_with('0') && digits.bytes().any(|b| b != b'0') {
            return None;
        }
        return digits.parse().ok().map(Value::Int);
    }
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    if !plain || !digits.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.') || digits == "." {
        return None;
    }
    digits.parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(s: &str) -> String {
        evaluate(s, &|s| Value::plain(s)).map_or("-".into(), |v| v.repr())
    }

    // Recorded from ast.literal_eval of Python 3.11 ("-": an error, so the value stays text).
    #[test]
    fn as_python() {
        for (text, want) in [
            ("1", "1"),
            ("007", "-"),
            ("00", "0"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1_000", "1000"),
            ("1__0", "-"),
            ("-3.11", "-3.11"),
            ("-3.11.0", "-"),
            ("--1", "-"),
            ("- 1", "-1"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("1+2", "-"),
            ("2j", "'2j'"),
            ("[..., 1j]", "['...', '1j']"),
            ("true", "-"),
            ("True", "True"),
            ("None", "None"),
            ("Nonesuch", "-"),
            ("[1, 'a', \"b\",]", "[1, 'a', 'b']"),
            ("[1,,2]", "-"),
            ("[,]", "-"),
            ("{'a': True, 'b': [1]}", "{'a': True, 'b': [1]}"),
            ("{\"a\": true}", "-"),
            ("{}", "{}"),
            ("{1, 2}", "[1, 2]"),
            ("(1)", "1"),
            ("(1,)", "(1,)"),
            ("()", "()"),
            ("80,443", "(80, 443)"),
            ("1,", "(1,)"),
            ("a,b", "-"),
            ("'a' 'b'", "'ab'"),
            ("'a\\n\\x41\\u263a\\q'", "'a\\nA☺\\\\q'"),
            ("r'a\\n'", "'a\\\\n'"),
            ("b'x'", "'x'"),
            ("f'x'", "-"),
            ("'''a'''", "'a'"),
            ("'a", "-"),
            ("", "-"),
            (" 1", "1"),
            ("1 # c", "1"),
            ("# c", "-"),
            ("{{ x }}", "-"),
            ("1 2", "-"),
            ("...", "'...'"),
            ("1if", "-"),
            ("[1 2]", "-"),
            ("{'a' 1}", "-"),
            ("192.168.1.1", "-"),
            ("1e", "-"),
            ("0_0", "0"),
            ("'\\101'", "'A'"),
        ] {
            assert_eq!(show(text), want, "{text}");
        }
        assert_eq!(show(&"[".repeat(10_000)), "-");
    }
}
