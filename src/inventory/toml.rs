//! TOML inventories: a table for each group, with `hosts`, `vars` and `children`.

use super::{Inventory, hostname};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};

/// Reads the text of a TOML inventory. What is no group, and what no group has, is passed over with a warning.
pub(super) fn read(name: &str, text: &str, inv: &mut Inventory) -> Result<Vec<Error>> {
    let table: ::toml::Table = text.parse().map_err(|e: ::toml::de::Error| {
        let source = crate::diag::add_source(name, text);
        let at = e.span().map(|r| crate::diag::Span::new(source, r.start, r.end.max(r.start + 1)));
        Error::parse(format!("TOML file '{name}' is invalid: {}", e.message())).at(at)
    })?;
    if table.is_empty() {
        return Err(Error::parse("Parsed empty TOML file"));
    }
    if table.contains_key("plugin") {
        return Err(Error::parse("Plugin configuration TOML file, not TOML inventory"));
    }
    let mut warnings = vec![];
    for (group, data) in &table {
        let ::toml::Value::Table(data) = data else {
            warnings.push(Error::parse(format!("Skipping '{group}' as this is not a valid group definition")));
            continue;
        };
        inv.add_group(group);
        for (section, found) in data {
            let wrong = |wanted: &str| {
                Error::parse(format!(
                    "Invalid \"{section}\" entry for \"{group}\" group, requires a {wanted}, found \"{}\" instead.",
                    class(found)
                ))
            };
            match section.as_str() {
                "vars" => {
                    for (k, v) in found.as_table().ok_or_else(|| wrong("dict"))? {
                        inv.set_variable(group, k, value(v))?;
                    }
                }
                "children" => {
                    for c in found.as_array().ok_or_else(|| wrong("list"))? {
                        let child = value(c).to_str();
                        inv.add_group(&child);
                        inv.add_child(group, &child)?;
                    }
                }
                "hosts" => {
                    for (pattern, vars) in found.as_table().ok_or_else(|| wrong("dict"))? {
                        let (hosts, port) = hostname::expand(pattern)?;
                        for h in hosts {
                            inv.add_host(&h, Some(group), port);
                            for (k, v) in vars.as_table().into_iter().flatten() {
                                inv.set_variable(&h, k, value(v))?;
                            }
                        }
                    }
                }
                _ => {
                    warnings.push(Error::parse(format!(
                        "Skipping unexpected key \"{section}\" in group \"{group}\", only \"vars\", \"children\" and \"hosts\" are valid"
                    )));
                }
            }
        }
    }
    Ok(warnings)
}

fn class(v: &::toml::Value) -> &'static str {
    match v {
        ::toml::Value::String(_) => "<class 'str'>",
        ::toml::Value::Integer(_) => "<class 'int'>",
        ::toml::Value::Float(_) => "<class 'float'>",
        ::toml::Value::Boolean(_) => "<class 'bool'>",
        ::toml::Value::Datetime(_) => "<class 'datetime.datetime'>",
        ::toml::Value::Array(_) => "<class 'list'>",
        ::toml::Value::Table(_) => "<class 'dict'>",
    }
}

/// A date as Python writes it: UTC is an offset, too.
fn python_date(d: &::toml::value::Datetime) -> String {
    let text = d.to_string();
    text.strip_suffix('Z').map(|t| format!("{t}+00:00")).unwrap_or(text)
}

/// The value; text may be a template, as in every inventory.
fn value(v: &::toml::Value) -> Value {
    match v {
        ::toml::Value::String(s) => Value::trusted(s.as_str(), None),
        ::toml::Value::Integer(i) => Value::Int((*i).into()),
        ::toml::Value::Float(f) => Value::Float(*f),
        ::toml::Value::Boolean(b) => Value::Bool(*b),
        ::toml::Value::Datetime(d) => Value::trusted(python_date(d), None),
        ::toml::Value::Array(a) => Value::list(a.iter().map(value).collect()),
        ::toml::Value::Table(t) => Value::map(t.iter().map(|(k, v)| (k.as_str().into(), value(v))).collect::<Map>()),
    }
}
