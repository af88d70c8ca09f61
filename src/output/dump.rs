//! Results as text: JSON or YAML, compact or for reading.

use super::{Layout, Screen};
use crate::pyjson::{py_json, py_json_indent};
use crate::value::{Map, Value};
use crate::yaml::{EmitOptions, emit};

/// The keys of a result in the format of the options. `wide` results are spread over lines even if nothing
/// asks for it (`debug`).
pub fn dump(mut m: Map, wide: bool, screen: &Screen) -> String {
    match screen.layout {
        Layout::Options => {}
        Layout::TextsApart => return apart(m),
        Layout::CommunityYaml => return community_yaml(m),
    }
    if screen.result_format != "yaml" {
        let v = Value::map(m);
        return if screen.pretty_results.unwrap_or(wide) { py_json_indent(&v, 4) } else { py_json(&v) };
    }
    // YAML is for reading unless the options say otherwise
    let lossy = screen.pretty_results.unwrap_or(true);
    if lossy {
        for k in ["stdout", "stderr"] {
            let lines = format!("{k}_lines");
            if m.contains_key(k) && m.contains_key(lines.as_str()) {
                m.insert(lines.into(), OMITTED.into());
            }
        }
    }
    let v = if lossy { readable(&Value::map(m)) } else { Value::map(m) };
    let options = EmitOptions {
        indent: if lossy { 4 } else { 2 },
        literal_lines: true,
        sort_keys: true,
        ..EmitOptions::default()
    };
    format!("\n{}", indented(&emit(&v, &options), 4))
}

const OMITTED: &str = "<omitted>";

/// Texts of several lines without what keeps YAML from showing them as blocks.
fn readable(v: &Value) -> Value {
    match v {
        Value::Str(s) if s.text.contains(['\n', '\r']) => {
            let plain: String =
                s.text.trim_end().chars().filter(|c| matches!(c, '\n' | '\t' | ' '..='~') || *c >= '\u{a0}').collect();
            let lines: Vec<String> = plain.split('\n').map(|l| expand_tabs(l).trim_end_matches(' ').into()).collect();
            Value::plain(lines.join("\n"))
        }
        Value::List(l) | Value::Tuple(l) => Value::list(l.iter().map(readable).collect()),
        Value::Map(m) => Value::map(m.iter().map(|(k, v)| (k.clone(), readable(v))).collect()),
        v => v.clone(),
    }
}

fn expand_tabs(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if c == '\t' {
            let n = 8 - out.chars().count() % 8;
            out.push_str(&" ".repeat(n));
        } else {
            out.push(c);
        }
    }
    out
}

/// A result with its texts as they are, below the rest (the callback `debug`).
fn apart(mut m: Map) -> String {
    let mut texts = String::new();
    for k in ["stdout", "stderr", "msg", "module_stdout", "module_stderr"] {
        let v = m.shift_remove(k);
        m.shift_remove(format!("{k}_lines").as_str());
        if let Some(v) = v.filter(Value::truthy) {
            let text = v.to_str();
            texts.push_str(&format!("\n\n{}:\n\n{text}\n", k.to_uppercase()));
        }
    }
    (py_json_indent(&Value::map(m), 4) + &texts).trim_end_matches('\n').to_string()
}

/// A result as community.general's `yaml` writes it: what changed beside the host, the rest below.
fn community_yaml(mut m: Map) -> String {
    let mut out = String::new();
    for k in ["changed", "skipped"] {
        if let Some(v) = m.shift_remove(k) {
            out.push_str(&format!("{k}={} ", v.to_str().to_lowercase()));
        }
    }
    for k in ["stdout", "stderr"] {
        let lines = format!("{k}_lines");
        if m.contains_key(k) && m.contains_key(lines.as_str()) {
            m.insert(lines.into(), OMITTED.into());
        }
    }
    if m.is_empty() {
        return out.trim_end().to_string();
    }
    let options = EmitOptions { indent: 2, width: -1, literal_lines: true, sort_keys: true, ..EmitOptions::default() };
    out.push('\n');
    out + &indented(&emit(&readable(&Value::map(m)), &options), 2)
}

fn indented(text: &str, n: usize) -> String {
    text.lines()
        .map(|l| if l.is_empty() { String::new() } else { format!("{}{l}", " ".repeat(n)) })
        .collect::<Vec<_>>()
        .join("\n")
}
