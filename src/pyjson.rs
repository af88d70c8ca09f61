//! JSON as Python's `json.dumps` writes it: `, ` and `: `, keys sorted, not ASCII only.

use crate::value::{Map, Value, py_float};

/// One line, keys sorted.
pub fn py_json(v: &Value) -> String {
    let mut out = String::new();
    write(v, Form::LINE, 0, &mut out);
    out
}

/// Indented by `n` spaces a level, keys sorted.
pub fn py_json_indent(v: &Value, n: usize) -> String {
    let mut out = String::new();
    write(v, Form { indent: Some(n), tight: false }, 0, &mut out);
    out
}

/// Without blanks behind commas and colons (`separators=(",", ":")`), on one line or indented by `n`; keys sorted.
pub fn py_json_tight(v: &Value, n: Option<usize>) -> String {
    let mut out = String::new();
    write(v, Form { indent: n, tight: true }, 0, &mut out);
    out
}

/// How JSON is laid out.
#[derive(Clone, Copy)]
struct Form {
    indent: Option<usize>,
    tight: bool,
}

impl Form {
    const LINE: Form = Form { indent: None, tight: false };

    fn comma(self) -> &'static str {
        if self.indent.is_some() || self.tight { "," } else { ", " }
    }
    fn colon(self) -> &'static str {
        if self.tight { ":" } else { ": " }
    }
}

fn newline(form: Form, level: usize, out: &mut String) {
    if let Some(n) = form.indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', n * level));
    }
}

fn write(v: &Value, form: Form, level: usize, out: &mut String) {
    match v {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => out.push_str(&i.to_string()),
        Value::Float(f) if f.is_nan() => out.push_str("NaN"),
        Value::Float(f) if f.is_infinite() => out.push_str(if *f > 0.0 { "Infinity" } else { "-Infinity" }),
        Value::Float(f) => out.push_str(&py_float(*f)),
        Value::Str(s) => quote(&s.text, false, out),
        Value::Vault(s) => quote(&s.envelope, false, out),
        Value::List(l) | Value::Tuple(l) => list(l, form, level, out),
        Value::Map(m) => map(m, form, level, out),
    }
}

fn list(l: &[Value], form: Form, level: usize, out: &mut String) {
    if l.is_empty() {
        out.push_str("[]");
        return;
    }
    out.push('[');
    for (i, x) in l.iter().enumerate() {
        if i > 0 {
            out.push_str(form.comma());
        }
        newline(form, level + 1, out);
        write(x, form, level + 1, out);
    }
    newline(form, level, out);
    out.push(']');
}

fn map(m: &Map, form: Form, level: usize, out: &mut String) {
    if m.is_empty() {
        out.push_str("{}");
        return;
    }
    let mut entries: Vec<_> = m.iter().map(|(k, v)| (k.to_text(), v)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    out.push('{');
    for (i, (k, x)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push_str(form.comma());
        }
        newline(form, level + 1, out);
        quote(&k, false, out);
        out.push_str(form.colon());
        write(x, form, level + 1, out);
    }
    newline(form, level, out);
    out.push('}');
}

/// A text in quotes; with `ascii`, everything beyond is escaped, as `ensure_ascii` has it.
pub fn quote(s: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if ascii && (c as u32) > 0x7e => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_writes_it() {
        let mut m = Map::new();
        m.insert("b".into(), Value::list(vec![Value::Int(1), Value::Float(1.0), Value::plain("é\n")]));
        m.insert("a".into(), Value::empty_map());
        let v = Value::map(m);
        assert_eq!(py_json_tight(&v, None), "{\"a\":{},\"b\":[1,1.0,\"é\\n\"]}");
        assert_eq!(py_json(&v), "{\"a\": {}, \"b\": [1, 1.0, \"é\\n\"]}");
        assert_eq!(
            py_json_indent(&v, 4),
            "{\n    \"a\": {},\n    \"b\": [\n        1,\n        1.0,\n        \"é\\n\"\n    ]\n}"
        );
    }
}
