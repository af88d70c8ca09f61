//! YAML (and JSON) inventories: groups with `hosts`, `vars` and `children`.

use super::{Inventory, hostname};
use crate::diag::{Error, Result};
use crate::yaml::{self, Node, NodeKind};

/// Reads the text of a YAML inventory; answers warnings.
pub(super) fn read(name: &str, text: &str, inv: &mut Inventory) -> Result<Vec<Error>> {
    let doc = yaml::parse_str(name, text)?;
    let mut warnings = doc.warnings;
    if doc.root.is_null() {
        return Err(Error::parse("Parsed empty YAML file"));
    }
    let Some(groups) = doc.root.as_map() else {
        return Err(doc.root.error(format!(
            "YAML inventory has invalid structure, it should be a dictionary, got: {}",
            doc.root.type_name()
        )));
    };
    if doc.root.get("plugin").is_some_and(|p| !p.is_null()) {
        return Err(doc.root.error("Plugin configuration YAML file, not YAML inventory").help(
            "constructed and generator are built in; a script that answers --list can take the place of others.",
        ));
    }
    for (key, data) in groups {
        group(&key_text(key)?, data, inv, &mut warnings)?;
    }
    Ok(warnings)
}

fn key_text(key: &Node) -> Result<String> {
    match key.as_str() {
        Some(s) => Ok(s.to_string()),
        None => Err(key.error(format!(
            "Unable to add group {0}: Invalid group name supplied, expected a string but got {1} for {0}",
            key.to_plain_value().to_str(),
            key.type_name()
        ))),
    }
}

/// The pairs of a section; a lone string counts as one key without value.
fn section<'a>(group: &str, name: &str, data: &'a Node) -> Result<Vec<(&'a Node, Option<&'a Node>)>> {
    match &data.kind {
        NodeKind::Null => Ok(Vec::new()),
        NodeKind::Str(_) => Ok(vec![(data, None)]),
        NodeKind::Map(pairs) => Ok(pairs.iter().map(|(k, v)| (k, Some(v))).collect()),
        _ => Err(data.error(format!(
            "Invalid \"{name}\" entry for \"{group}\" group, requires a dictionary, found \"{}\" instead.",
            data.type_name()
        ))),
    }
}

fn group(name: &str, data: &Node, inv: &mut Inventory, warnings: &mut Vec<Error>) -> Result<()> {
    let pairs = match &data.kind {
        NodeKind::Map(pairs) => pairs.as_slice(),
        NodeKind::Null => &[],
        _ => {
            warnings
                .push(Error::parse(format!("Skipping '{name}' as this is not a valid group definition")).at(data.span));
            return Ok(());
        }
    };
    inv.add_group(name);
    for s in ["vars", "children", "hosts"] {
        if let Some(d) = data.get(s) {
            section(name, s, d)?;
        }
    }
    for (key, value) in pairs {
        match key.as_str() {
            Some("vars") => {
                for (k, v) in section(name, "vars", value)? {
                    let v = v.map_or(crate::value::Value::Null, Node::to_value);
                    inv.set_variable(name, &k.to_plain_value().to_str(), v)?;
                }
            }
            Some("children") => {
                for (k, v) in section(name, "children", value)? {
                    let child = key_text(k)?;
                    let empty = Node { kind: NodeKind::Null, span: k.span };
                    group(&child, v.unwrap_or(&empty), inv, warnings)?;
                    if inv.groups.contains_key(&*inv.safe_group(&child)) {
                        inv.add_child(name, &child).map_err(|e| e.at(k.span))?;
                    }
                }
            }
            Some("hosts") => {
                for (k, v) in section(name, "hosts", value)? {
                    host(name, k, v, inv)?;
                }
            }
            _ if matches!(value.kind, NodeKind::Map(_)) => warnings.push(
                Error::parse(format!(
                    "Skipping unexpected key ({}) in group ({name}), only \"vars\", \"children\" and \"hosts\" are valid",
                    key.to_plain_value().to_str()
                ))
                .at(key.span),
            ),
            _ if value.is_null() => {}
            _ => warnings.push(
                Error::parse(format!(
                    "Skipping key ({}) in group ({name}) as it is not a mapping, it is a {}",
                    key.to_plain_value().to_str(),
                    value.type_name()
                ))
                .at(key.span),
            ),
        }
    }
    Ok(())
}

fn host(group: &str, key: &Node, vars: Option<&Node>, inv: &mut Inventory) -> Result<()> {
    let Some(pattern) = key.as_str() else {
        return Err(key.error(format!(
            "Host pattern {} must be a string. Enclose integers/floats in quotation marks.",
            key.to_plain_value().to_str()
        )));
    };
    let (hosts, port) = hostname::expand(pattern).map_err(|e| e.at(key.span))?;
    for h in &hosts {
        inv.add_host(h, Some(group), port);
    }
    match vars.map(|v| (v, &v.kind)) {
        None | Some((_, NodeKind::Null)) => {}
        Some((_, NodeKind::Map(pairs))) => {
            for (k, v) in pairs {
                let (k, v) = (k.to_plain_value().to_str(), v.to_value());
                for h in &hosts {
                    inv.set_variable(h, &k, v.clone())?;
                }
            }
        }
        Some((v, _)) => {
            return Err(v.error(format!(
                "Invalid data from file, expected dictionary and got:

{}",
                v.to_plain_value().to_str()
            )));
        }
    }
    Ok(())
}
