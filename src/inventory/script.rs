//! Executable inventories: `--list`, and `--host NAME` where `_meta` is missing.

use super::Inventory;
use crate::diag::{Error, Result};
use crate::value::Value;
use camino::Utf8Path;
use indexmap::IndexSet;
use std::process::{Command, Stdio};

fn run(path: &Utf8Path, args: &[&str]) -> Result<String> {
    let out = Command::new(path).args(args).stdin(Stdio::null()).output().map_err(|e| {
        let why = match e.raw_os_error() {
            Some(n) => format!("[Errno {n}] {}: '{path}'", nix::errno::Errno::from_raw(n).desc()),
            None => e.to_string(),
        };
        Error::parse(format!("Failed to execute inventory script command '{path} {}': {why}", args.join(" ")))
            .help("An inventory that is a script must be executable and start with #! and its interpreter.")
    })?;
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        let code = out.status.code().unwrap_or(-1);
        return Err(Error::parse(format!("Inventory script returned non-zero exit code {code}."))
            .help(format!("Standard error from inventory script:\n{stderr}")));
    }
    if !stderr.trim().is_empty() {
        eprint!("{stderr}");
    }
    String::from_utf8(out.stdout)
        .map_err(|_| Error::parse(format!("Inventory {path} contained characters that cannot be interpreted as UTF-8")))
}

/// What the script says; its strings may be templates, as Ansible treats inventory scripts.
fn parse(path: &Utf8Path, text: &str) -> Result<Value> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| {
        Error::parse(format!(
            "Unable to get JSON decoder for inventory script result: Value could not be parsed as JSON: {e}"
        ))
        .help(format!("The script is {path}."))
    })?;
    Ok(Value::from_json(json).into_trusted())
}

/// Runs the script and reads its answer.
pub(super) fn read(path: &Utf8Path, inv: &mut Inventory) -> Result<()> {
    let data = parse(path, &run(path, &["--list"])?)?;
    let Some(groups) = data.as_map() else {
        return Err(Error::parse(format!(
            "Unable to get JSON decoder for inventory script result: Value is '{}' instead of 'dict'.",
            data.type_name()
        )));
    };
    let mut hosts: IndexSet<String> = IndexSet::new();
    let mut meta = None;
    for (name, data) in groups {
        let name = name.to_text();
        if &*name == "_meta" {
            meta = data.get("hostvars").cloned();
            continue;
        }
        group(&name, data, inv, &mut hosts)?;
    }
    for host in hosts {
        let vars = match &meta {
            Some(m) => m.get(&host).cloned().unwrap_or_default(),
            None => {
                let text = run(path, &["--host", &host])?;
                if text.trim().is_empty() { Value::Null } else { parse(path, &text)? }
            }
        };
        match vars.as_map() {
            Some(m) => {
                for (k, v) in m {
                    inv.set_variable(&host, &k.to_text(), v.clone())?;
                }
            }
            None if vars.is_null() => {}
            None => return Err(Error::parse(format!("The variables of host {host} from {path} are not a dictionary"))),
        }
    }
    Ok(())
}

fn group(name: &str, data: &Value, inv: &mut Inventory, hosts: &mut IndexSet<String>) -> Result<()> {
    inv.add_group(name);
    let put = |inv: &mut Inventory, hosts: &mut IndexSet<String>, host: &Value| {
        let host = host.to_str();
        inv.add_host(&host, Some(name), None);
        hosts.insert(host);
    };
    let Some(map) = data.as_map() else {
        let Some(list) = data.as_list() else {
            return Err(bad(name, "hosts", data, "list"));
        };
        list.iter().for_each(|h| put(inv, hosts, h));
        return Ok(());
    };
    if !["hosts", "vars", "children"].iter().any(|k| map.contains_key(*k)) {
        // Short form: the group is a host, the data its variables.
        put(inv, hosts, &Value::plain(name));
        for (k, v) in map {
            // Ansible does not trust this form.
            inv.set_variable(name, &k.to_text(), v.untrusted())?;
        }
        return Ok(());
    }
    if let Some(h) = map.get("hosts") {
        let list = h.as_list().ok_or_else(|| bad(name, "hosts", h, "list"))?;
        list.iter().for_each(|h| put(inv, hosts, h));
    }
    if let Some(v) = map.get("vars") {
        for (k, v) in v.as_map().ok_or_else(|| bad(name, "vars", v, "dict"))? {
            inv.set_variable(name, &k.to_text(), v.clone())?;
        }
    }
    if let Some(children) = map.get("children") {
        for c in children.as_list().ok_or_else(|| bad(name, "children", children, "list"))? {
            let c = c.to_str();
            inv.add_group(&c);
            inv.add_child(name, &c)?;
        }
    }
    Ok(())
}

fn bad(group: &str, part: &str, found: &Value, wanted: &str) -> Error {
    Error::parse(format!("Value contains '{group}.{part}' which is '{}' instead of '{wanted}'.", found.type_name()))
}
