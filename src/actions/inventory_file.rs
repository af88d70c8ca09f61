//! `inventory_file`: hosts and groups of an inventory file on the controller.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::diag::Error;
use crate::inventory::LoadOptions;
use crate::inventory::edit::{Change, Members, edit};
use crate::modules::support::atomic;
use crate::modules::{Arg, Failure, Spec, Type};
use crate::value::{Key, Map, Value};
use camino::{Utf8Path, Utf8PathBuf};

pub fn action() -> Action {
    Action { name: "inventory_file", spec: Some(spec), raw: false, local: true, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::path("path").required().doc("The inventory file (INI or YAML) on the controller."),
        Arg::str("host").required().doc("The host's name in the inventory."),
        Arg::list("groups", Type::Str).doc("Groups it shall be in or out of; without them, absent means all."),
        Arg::str("state").choices(&["present", "absent"]).default("present"),
        Arg::dict("vars").doc("Variables on the host's new line."),
        Arg::bool("backup").default(false).doc("Keep the old file beside the new one."),
        Arg::list("refuse_empty", Type::Str).doc("Groups that must not lose their last host."),
    ])
    .required_if("state", "present", &["groups"])
}

fn members(m: &Members) -> Value {
    Value::map(
        m.iter()
            .map(|(g, h)| (Key::from(g.as_str()), Value::list(h.iter().map(|x| x.as_str().into()).collect())))
            .collect(),
    )
}

/// host_vars of the host beside the inventory: they stay, and are named.
fn leftovers(path: &Utf8Path, host: &str) -> Vec<Value> {
    let dir = path.parent().unwrap_or(Utf8Path::new("")).join("host_vars");
    ["", ".yml", ".yaml", ".json"]
        .iter()
        .map(|e| dir.join(format!("{host}{e}")))
        .filter(|p| p.exists())
        .map(|p| p.as_str().into())
        .collect()
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let a = ctx.validated(&spec())?;
    let path = Utf8PathBuf::from(a.str("path"));
    // a link is edited where it leads, and stays a link
    let path = path.canonicalize_utf8().map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    let host = a.str("host").to_string();
    let groups = a.is_set("groups").then(|| a.strings("groups"));
    let change = if a.str("state") == "absent" {
        Change::Remove { groups }
    } else {
        let vars =
            a.opt_map("vars").into_iter().flatten().map(|(k, v)| (k.clone(), crate::modules::json_text(v))).collect();
        Change::Add { groups: groups.unwrap_or_default(), vars }
    };
    let e = edit(&path, &host, &change, &a.strings("refuse_empty"), &LoadOptions::default())?;
    let changed = e.before != e.after;
    let mut done = Done::new(changed)
        .set("path", path.as_str())
        .set("host", host.as_str())
        .set("groups_before", members(&e.groups_before))
        .set("groups_after", members(&e.groups_after))
        .set("host_vars", Value::list(leftovers(&path, &host)));
    if !changed {
        return Ok(done);
    }
    let mut diff = Map::new();
    diff.insert("before".into(), e.before.as_str().into());
    diff.insert("after".into(), e.after.as_str().into());
    diff.insert("before_header".into(), format!("{path} (content)").into());
    diff.insert("after_header".into(), format!("{path} (content)").into());
    done.data.insert("diff".into(), Value::map(diff));
    writable(&path)?;
    if ctx.check {
        return Ok(done);
    }
    if a.bool("backup") {
        done.data.insert("backup_file".into(), atomic::backup(path.as_std_path()).map_err(plain)?.into());
    }
    atomic::write(path.as_std_path(), e.after.as_bytes(), false).map_err(plain)?;
    Ok(done)
}

/// A module's failure as the action's error.
fn plain(f: Failure) -> Error {
    Error::general(f.msg)
}

fn writable(path: &Utf8Path) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Utf8Path::new("/"));
    for p in [path, dir] {
        nix::unistd::access(p.as_std_path(), nix::unistd::AccessFlags::W_OK)
            .map_err(|e| Error::general(format!("refused: {p} cannot be written: {e}")))?;
    }
    Ok(())
}
