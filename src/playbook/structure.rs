//! What is known of a task's arguments while it is loaded: those of `meta`, includes and imports, and text that is none.

use super::Keywords;
use super::block::{nearest, unknown};
use super::task::{ActionOf, short_name};
use crate::diag::{Error, Result};
use crate::value::{Key, Value};
use crate::yaml::Node;

/// `meta` has a name that there is, in a place where it may stand.
pub(super) fn check_meta(a: &ActionOf, at: &Node, handler: bool) -> Result<()> {
    const KNOWN: [&str; 12] = [
        "clear_facts",
        "clear_host_errors",
        "end_batch",
        "end_host",
        "end_play",
        "end_role",
        "flush_handlers",
        "noop",
        "refresh_inventory",
        "reset_connection",
        "role_complete",
        "flush_cache",
    ];
    let what = a.args.get("_raw_params").map(Value::to_str).unwrap_or_else(|| "None".into());
    if handler && what == "end_role" {
        return Err(Error::parse("Cannot execute 'end_role' from a handler").at(at.span));
    }
    if KNOWN.contains(&what.as_str()) {
        return Ok(());
    }
    let place = a.args.get("_raw_params").and_then(super::block::origin).unwrap_or(at.span);
    let e = Error::general(format!("invalid meta action requested: {what}")).at(place);
    Err(match nearest(&what, &KNOWN) {
        Some(n) => e.help(format!("did you mean '{n}'?")),
        None => e.help(format!("known are {}", KNOWN[..10].join(", "))),
    })
}

/// The error of text that is no argument, of a module that takes none.
pub(super) fn raw_params(a: &ActionOf) -> Error {
    let name = if a.name.contains('.') { a.name.clone() } else { format!("ansible.builtin.{}", a.name) };
    Error::parse(format!("Action '{name}' does not support raw params."))
        .at(a.span)
        .label("takes key=value pairs or a mapping alone")
}

/// What may stand beside an include or import, and among its arguments.
pub(super) fn check_include(
    short: &str,
    map: &[(Node, Node)],
    a: &ActionOf,
    handlers: bool,
    node: &Node,
) -> Result<()> {
    // a static import hands its keywords down; a dynamic include has few of its own
    const BESIDE: [&str; 15] = [
        "action",
        "args",
        "collections",
        "debugger",
        "ignore_errors",
        "local_action",
        "loop",
        "loop_control",
        "name",
        "no_log",
        "register",
        "run_once",
        "tags",
        "timeout",
        "vars",
    ];
    if short.starts_with("include_") {
        let what = if short == "include_role" { "IncludeRole" } else { "TaskInclude" };
        let wrong = map.iter().find(|(k, _)| {
            k.as_str().is_some_and(|k| {
                !BESIDE.contains(&k)
                    && k != "when"
                    && short_name(k) != short
                    && !k.starts_with("with_")
                    && !(handlers && k == "listen")
            })
        });
        if let Some((k, v)) = wrong {
            let e = unknown(k, what, &[]);
            let name = k.as_str().unwrap_or_default();
            let handed =
                Keywords::NAMES.contains(&name) || matches!(name, "environment" | "module_defaults" | "notify");
            return Err(match v.as_str().filter(|_| handed) {
                Some(text) => e.help(format!("hand it to the included tasks with apply: {{{name}: {text}}}")),
                None if handed => e.help(format!("hand it to the included tasks with apply: {{{name}: …}}")),
                None => e,
            });
        }
    }
    const FILE: [&str; 3] = ["_raw_params", "file", "apply"];
    if a.args_template.is_some() {
        return Ok(());
    }
    let known: &[&str] = if short.ends_with("_role") { &super::role::ROLE_ARGS } else { &FILE };
    let text = |k: &str| a.args.get(k).filter(|v| !v.is_null());
    if short.ends_with("_role") {
        if text("name").or_else(|| text("role")).is_none() {
            return Err(node
                .error(format!("'name' is a required field for {short}."))
                .help(format!("write {short}: {{name: ROLE}}")));
        }
        for from in ["tasks_from", "vars_from", "defaults_from", "handlers_from"] {
            if let Some(v) = text(from).filter(|v| v.as_str().is_none()) {
                return Err(node.error(format!("Expected a string for {from} but got {} instead", v.type_name())));
            }
        }
    } else if text("_raw_params").or_else(|| text("file")).is_none() {
        return Err(node.error(format!("No file specified for {}", a.name)).help(format!("write {short}: FILE")));
    }
    for k in a.args.keys().map(Key::to_string) {
        if !known.contains(&k.as_str()) || (k == "apply" && short.starts_with("import_")) {
            let e = node.error(format!("Invalid options for {short}: {k}"));
            return Err(match nearest(&k, known) {
                Some(n) if k != "apply" => e.help(format!("did you mean '{n}'?")),
                _ if k == "apply" => e.help("an import hands its own keywords down: write them beside it"),
                _ => e.help("variables for what is included go under vars:"),
            });
        }
    }
    match a.args.get("apply") {
        Some(v) if v.as_map().is_none() && !v.is_null() && !v.needs_render() => {
            Err(node.error(format!("Expected a dict for apply but got {} instead", v.type_name())))
        }
        Some(Value::Map(m)) => {
            let known = |k: &str| super::keywords::Keywords::NAMES.contains(&k) || super::apply::BESIDE.contains(&k);
            match m.keys().map(ToString::to_string).find(|k| !known(k)) {
                Some(k) => Err(Error::parse(format!("'{k}' is not a valid attribute for a Block"))
                    .at(node.span.find(&k).unwrap_or(node.span))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
