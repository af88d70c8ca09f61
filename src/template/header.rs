//! The first line of a template file: `#jinja2: trim_blocks: False, variable_start_string: '[['`.

use super::engine::FileOptions;
use crate::diag::{Error, Result};

/// The value of an override, as Python's literals are written.
#[derive(Debug, PartialEq)]
enum Literal {
    Text(String),
    Flag(bool),
    Other(&'static str),
}

fn literal(text: &str) -> Option<Literal> {
    let quoted = ['\'', '"'].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q));
    Some(match (text, quoted) {
        (_, Some(inner)) => {
            Literal::Text(inner.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\\\\", "\\"))
        }
        ("True", _) => Literal::Flag(true),
        ("False", _) => Literal::Flag(false),
        ("None", _) => Literal::Other("NoneType"),
        (n, _) if n.parse::<i64>().is_ok() => Literal::Other("int"),
        (n, _) if n.parse::<f64>().is_ok() => Literal::Other("float"),
        _ => return None,
    })
}

fn wrong(why: String) -> Error {
    Error::template(format!("Syntax error in template: {why}"))
}

/// The text behind the header line, and the options that it sets.
/// Errors: an unknown option, a value that is no literal or of another type.
pub(super) fn read<'t>(text: &'t str, options: &FileOptions) -> Result<(&'t str, FileOptions)> {
    let mut o = options.clone();
    let Some(rest) = text.strip_prefix("#jinja2:") else { return Ok((text, o)) };
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    for pair in line.split(',') {
        if pair.trim().is_empty() {
            return Err(wrong("Empty '#jinja2:' override pair not allowed.".into()));
        }
        let Some((key, value)) = pair.split_once(':') else {
            return Err(wrong(format!("Missing key-value separator `:` in '#jinja2:' override pair '{pair}'.")));
        };
        set(&mut o, key.trim(), value.trim())?;
    }
    Ok((body, o))
}

fn set(o: &mut FileOptions, key: &str, value: &str) -> Result<()> {
    let mut ignored = true;
    let (mut text, mut flag) = (None, None);
    match key {
        "trim_blocks" => flag = Some(&mut o.trim_blocks),
        "lstrip_blocks" => flag = Some(&mut o.lstrip_blocks),
        // what Ansible does about the last line does not depend on it
        "keep_trailing_newline" => flag = Some(&mut ignored),
        "newline_sequence" => text = Some(&mut o.newline_sequence),
        "block_start_string" => text = Some(&mut o.block_start_string),
        "block_end_string" => text = Some(&mut o.block_end_string),
        "variable_start_string" => text = Some(&mut o.variable_start_string),
        "variable_end_string" => text = Some(&mut o.variable_end_string),
        "comment_start_string" => text = Some(&mut o.comment_start_string),
        "comment_end_string" => text = Some(&mut o.comment_end_string),
        "line_statement_prefix" => text = Some(&mut o.line_statement_prefix),
        "line_comment_prefix" => text = Some(&mut o.line_comment_prefix),
        _ => {
            return Err(wrong(format!("Invalid '#jinja2:' override key '{key}'."))
                .help("There are trim_blocks, lstrip_blocks, newline_sequence, the delimiter strings and the prefixes of lines."));
        }
    }
    let found = literal(value).ok_or_else(|| {
        wrong("malformed node or string on line 1".into())
            .help(format!("{value} is no literal of Python: write True, False or a quoted text"))
    })?;
    let is = match (found, text, flag) {
        (Literal::Text(v), Some(slot), _) => {
            *slot = v;
            return Ok(());
        }
        (Literal::Flag(v), _, Some(slot)) => {
            *slot = v;
            return Ok(());
        }
        (Literal::Text(_), ..) => "str",
        (Literal::Flag(_), ..) => "bool",
        (Literal::Other(name), ..) => name,
    };
    let wanted = if matches!(key, "trim_blocks" | "lstrip_blocks" | "keep_trailing_newline") { "bool" } else { "str" };
    Err(wrong(format!("TemplateOverrides.{key} must be <class '{wanted}'> instead of <class '{is}'>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_from_the_line() {
        let text = "#jinja2: trim_blocks:False, lstrip_blocks: True, variable_start_string: '[['\nbody";
        let (body, o) = read(text, &FileOptions::default()).unwrap();
        assert_eq!(
            (body, o.trim_blocks, o.lstrip_blocks, o.variable_start_string.as_str()),
            ("body", false, true, "[[")
        );
    }

    #[test]
    fn what_is_wrong_is_told_as_ansible_tells_it() {
        for (line, why) in [
            (
                " lstrip_blocks=True",
                "Missing key-value separator `:` in '#jinja2:' override pair ' lstrip_blocks=True'.",
            ),
            (" nosuch:True", "Invalid '#jinja2:' override key 'nosuch'."),
            ("", "Empty '#jinja2:' override pair not allowed."),
            (" lstrip_blocks: foo", "malformed node or string on line 1"),
            (" lstrip_blocks: 'x'", "TemplateOverrides.lstrip_blocks must be <class 'bool'> instead of <class 'str'>"),
            (
                " block_start_string: 12",
                "TemplateOverrides.block_start_string must be <class 'str'> instead of <class 'int'>",
            ),
        ] {
            let e = read(&format!("#jinja2:{line}\nx"), &FileOptions::default()).unwrap_err();
            assert_eq!(e.message(), format!("Syntax error in template: {why}"));
        }
    }
}
