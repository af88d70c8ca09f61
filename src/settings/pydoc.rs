//! The documentation that a Python plug-in or module carries as text: read, never run.

use super::{Plugin, Setting};
use crate::diag::{Error, Result};
use crate::value::Value;
use camino::{Utf8Path, Utf8PathBuf};

/// The text assigned to `name` (`DOCUMENTATION`, `EXAMPLES`, `RETURN`) at the top level of a Python source.
pub fn text_of(source: &str, name: &str) -> Option<String> {
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some(rest) = line.strip_prefix(name) else { continue };
        let Some(after) = rest.trim_start().strip_prefix('=') else { continue };
        if after.starts_with('=') {
            continue;
        }
        let begin = start + (line.len() - after.len());
        return literal(source.get(begin..)?.trim_start());
    }
    None
}

/// A Python string literal at the beginning of the text.
fn literal(s: &str) -> Option<String> {
    let (raw, s) = match s.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, s.strip_prefix(['u', 'U']).unwrap_or(s)),
    };
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| s.starts_with(q))?;
    let body = s.get(quote.len()..)?;
    let mut out = String::new();
    let mut chars = body.char_indices();
    while let Some((i, c)) = chars.next() {
        if body.get(i..).is_some_and(|r| r.starts_with(quote)) {
            return Some(out);
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some((_, next)) = chars.next() else { break };
        match next {
            _ if raw => out.extend(['\\', next]),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '\n' => {}
            '\\' | '\'' | '"' => out.push(next),
            other => out.extend(['\\', other]),
        }
    }
    None
}

/// The documentation of a Python file as data; None if it has none.
pub fn documentation(path: &Utf8Path) -> Result<Option<Value>> {
    let source = std::fs::read_to_string(path).map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    match text_of(&source, "DOCUMENTATION") {
        Some(text) => Ok(Some(crate::yaml::parse_value(&text)?)),
        None => Ok(None),
    }
}

/// The file of a Python plug-in of this kind in one of the directories.
pub fn find(name: &str, dirs: &[Utf8PathBuf]) -> Option<Utf8PathBuf> {
    let short = name.rsplit('.').next().unwrap_or(name);
    dirs.iter().map(|d| d.join(format!("{short}.py"))).find(|p| p.is_file())
}

/// The options that a plug-in's documentation declares.
pub fn plugin(kind: &str, name: &str, doc: &Value) -> Plugin {
    let names = |v: Option<&Value>, key: &str| -> Vec<String> {
        let list = v.and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(|e| e.get(key)).map(Value::to_str).collect()
    };
    let mut options = vec![];
    for (k, v) in doc.get("options").and_then(Value::as_map).into_iter().flatten() {
        let ini = v.get("ini");
        let ty = v.get("type").map(Value::to_str).unwrap_or_else(|| "string".into());
        options.push(Setting {
            name: k.to_string(),
            ty: match ty.as_str() {
                "bool" => "boolean".into(),
                "int" => "integer".into(),
                "str" => "string".into(),
                _ => ty,
            },
            default: v.get("default").map(Value::to_json).unwrap_or_default(),
            env: names(v.get("env"), "name"),
            ini: names(ini, "section").into_iter().zip(names(ini, "key")).collect(),
            vars: names(v.get("vars"), "name"),
            choices: match v.get("choices") {
                Some(Value::Map(m)) => m.keys().map(ToString::to_string).collect(),
                c => c.and_then(Value::as_list).unwrap_or_default().iter().map(Value::to_str).collect(),
            },
            required: v.get("required").is_some_and(|r| r.to_bool_loose().unwrap_or(false)),
            about: v.get("description").map(Value::to_str).unwrap_or_default(),
        });
    }
    Plugin { kind: kind.into(), name: name.into(), options }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let s = "#!/usr/bin/python\nDOCUMENTATION = r'''\na: \\d\n'''\nEXAMPLES=\"\"\"\nx: 'y\\\\n'\n\"\"\"\nRETURN = '''#'''\n";
        assert_eq!(text_of(s, "DOCUMENTATION").as_deref(), Some("\na: \\d\n"));
        assert_eq!(text_of(s, "EXAMPLES").as_deref(), Some("\nx: 'y\\n'\n"));
        assert_eq!(text_of(s, "RETURN").as_deref(), Some("#"));
        assert_eq!(text_of(s, "NONE"), None);
        assert_eq!(text_of("DOCUMENTATION = '''open", "DOCUMENTATION"), None);
    }
}
