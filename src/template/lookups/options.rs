//! The types of the lookups' options: what is given is converted before the lookup sees it.

use super::short;
use crate::diag::{Error, Result};
use crate::value::{Key, Map, Value};

#[derive(Clone, Copy)]
enum Kind {
    /// What is no boolean counts as false.
    Bool,
    /// A whole number; the text is the type's name in the error.
    Int(&'static str),
    List,
    Dict,
    OneOf(&'static [&'static str]),
}

use Kind::{Bool, Dict, Int, List, OneOf};

/// Lookup, option, type. An option that is not listed is taken as it comes.
const TYPES: &[(&str, &str, Kind)] = &[
    ("csvfile", "col", Int("int")),
    ("csvfile", "keycol", Int("int")),
    ("file", "lstrip", Bool),
    ("file", "rstrip", Bool),
    ("first_found", "files", List),
    ("first_found", "paths", List),
    ("first_found", "skip", Bool),
    ("ini", "allow_no_value", Bool),
    ("ini", "allow_none", Bool),
    ("ini", "interpolation", Bool),
    ("ini", "re", Bool),
    ("ini", "type", OneOf(&["ini", "properties"])),
    ("password", "length", Int("integer")),
    ("sequence", "count", Int("integer")),
    ("sequence", "end", Int("integer")),
    ("sequence", "start", Int("integer")),
    ("sequence", "stride", Int("integer")),
    ("template", "convert_data", Bool),
    ("template", "jinja2_native", Bool),
    ("template", "template_vars", Dict),
    ("template", "trim_blocks", Bool),
];

/// Brings the options of a call to the lookup `name` to their types.
pub(super) fn typed(name: &str, options: &mut Map) -> Result<()> {
    for (_, option, kind) in TYPES.iter().filter(|(lookup, ..)| *lookup == short(name)) {
        let Some(given) = options.get(*option).filter(|v| !v.is_null()) else { continue };
        let bad = |kind: &str| {
            Error::template(format!(
                "Config '{option}' for '{name}' lookup plugin from 'Direct' has an invalid value: Invalid value provided for '{kind}': {}",
                given.repr()
            ))
        };
        let value = match kind {
            Bool => Value::Bool(given.to_bool_loose().unwrap_or(false)),
            Int(kind) => match given {
                Value::Int(_) => continue,
                Value::Bool(b) => Value::Int((*b).into()),
                Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e15 => Value::Int(*f as i128),
                Value::Str(s) => Value::Int(s.text.trim().parse().map_err(|_| bad(kind))?),
                _ => return Err(bad(kind)),
            },
            List => match given {
                Value::List(_) | Value::Tuple(_) | Value::Str(_) => continue,
                _ => return Err(bad("list")),
            },
            Dict => match given {
                Value::Map(_) => continue,
                _ => return Err(bad("dict")),
            },
            OneOf(choices) => match given.as_str() {
                Some(text) if choices.contains(&text) => continue,
                _ => {
                    return Err(Error::template(format!(
                        "Invalid value {} for config '{option}' for '{name}' lookup plugin.",
                        given.repr()
                    ))
                    .help(format!("one of: {}", choices.join(", "))));
                }
            },
        };
        options.insert(Key::from(*option), value);
    }
    Ok(())
}
