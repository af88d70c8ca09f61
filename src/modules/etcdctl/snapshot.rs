//! Snapshots (API 3) and backups of the v2 store (API 2).

use super::client::{Client, failure};
use crate::modules::support::exec::Cmd;
use crate::modules::{Args, Ctx, Diff, Failure, ModResult, Outcome};
use serde_json::{Value as Json, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `snapshot status` of a file.
fn read(ctx: &Ctx, a: &Args, file: &str) -> Result<Json, Failure> {
    let o = Cmd::new([a.str("etcdctl_path"), "snapshot", "status", file, "-w", "json"])
        .env("ETCDCTL_API", "3")
        .run(ctx)
        .map_err(|e| Failure::new(format!("cannot run {}: {}", a.str("etcdctl_path"), e.text)))?;
    if !o.ok() {
        return Err(failure(&o, "snapshot status"));
    }
    let j: Json = serde_json::from_slice(&o.stdout)
        .map_err(|e| Failure::new(format!("cannot read the snapshot's status: {e}")))?;
    Ok(
        json!({"hash": j["hash"], "revision": j["revision"], "total_key": j["totalKey"], "total_size": j["totalSize"], "path": file}),
    )
}

pub fn status(ctx: &mut Ctx, a: &Args) -> ModResult {
    Ok(Outcome::ok().set("snapshot", read(ctx, a, a.str("snapshot"))?))
}

/// Saves a snapshot unless a readable one is there.
pub fn save(ctx: &mut Ctx, a: &Args) -> ModResult {
    let file = a.str("snapshot");
    if a.int("api") != 3 {
        return Err("snapshots need api 3; the v2 store is saved with backup_dir".into());
    }
    if Path::new(file).exists() {
        return match read(ctx, a, file) {
            Ok(s) => Ok(Outcome::ok().set("snapshot", s).set("actions", json!([]))),
            Err(f) => Err(Failure::new(format!(
                "{file} is there but is no readable snapshot ({}); move it away first",
                f.msg
            ))),
        };
    }
    let c = Client::new(ctx, a)?;
    let action = json!([format!("snapshot save {file}")]);
    let diff = Diff::new("", format!("{file}\n")).headers("snapshots", "snapshots");
    if ctx.check {
        return Ok(Outcome::changed(true)
            .set("actions", action)
            .set("snapshot", json!({"path": file}))
            .with_diff(diff));
    }
    // a snapshot comes from exactly one member
    let one = c.at(&c.endpoints()[..1.min(c.endpoints().len())]);
    let part = format!("{file}.{}.part", std::process::id());
    let o = one.run(&["snapshot", "save", &part])?;
    if !o.ok() {
        let _ = std::fs::remove_file(&part);
        let _ = std::fs::remove_file(format!("{part}.part"));
        return Err(failure(&o, "snapshot save"));
    }
    let state = read(ctx, a, &part).inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&part, file)?;
    let mut state = state;
    state["path"] = file.into();
    Ok(Outcome::changed(true).set("actions", action).set("snapshot", state).with_diff(diff))
}

/// Restores a snapshot in a data directory that has no member yet.
pub fn restore(ctx: &mut Ctx, a: &Args) -> ModResult {
    let (file, dir) = (a.str("snapshot"), a.str("data_dir"));
    if Path::new(dir).join("member").exists() {
        return Ok(Outcome::ok().set("actions", json!([])).msg(format!("{dir} has a member already")));
    }
    let state = read(ctx, a, file)?;
    let action = json!([format!("snapshot restore {file} in {dir}")]);
    let o = Outcome::changed(true).set("actions", action).set("snapshot", state);
    if ctx.check {
        return Ok(o);
    }
    let mut cmd =
        Cmd::new([a.str("etcdctl_path"), "snapshot", "restore", file, "--data-dir", dir]).env("ETCDCTL_API", "3");
    if let Some(n) = a.opt_str("name") {
        cmd = cmd.args(["--name", n]);
    }
    if let Some(i) = a.opt_str("initial_cluster") {
        cmd = cmd.args(["--initial-cluster", i]);
    }
    let peers = a.strings("initial_advertise_peer_urls");
    if !peers.is_empty() {
        cmd = cmd.args(["--initial-advertise-peer-urls".to_string(), peers.join(",")]);
    }
    let out = cmd.run(ctx).map_err(|e| Failure::new(format!("cannot run {}: {}", a.str("etcdctl_path"), e.text)))?;
    if out.ok() { Ok(o) } else { Err(failure(&out, "snapshot restore")) }
}

/// `etcdctl backup` of the v2 store. Never `--with-v3`: that waits for the running server's lock.
pub fn v2_backup(ctx: &mut Ctx, a: &Args) -> ModResult {
    let (dir, data) = (a.str("backup_dir"), a.str("data_dir"));
    if Path::new(dir).join("member").is_dir() {
        return Ok(Outcome::ok().set("actions", json!([])));
    }
    let o = Outcome::changed(true)
        .set("actions", json!([format!("backup --data-dir {data} --backup-dir {dir}")]))
        .with_diff(Diff::new("", format!("{dir}/member\n")).headers("v2 backups", "v2 backups"));
    if ctx.check {
        return Ok(o);
    }
    let out = Cmd::new([a.str("etcdctl_path"), "backup", "--data-dir", data, "--backup-dir", dir])
        .env("ETCDCTL_API", "2")
        .limit(std::time::Duration::from_secs(600))
        .run(ctx)
        .map_err(|e| Failure::new(format!("cannot run {}: {}", a.str("etcdctl_path"), e.text)))?;
    if !out.ok() || !Path::new(dir).join("member").is_dir() {
        return Err(failure(&out, "backup"));
    }
    Ok(o)
}
