//! Block devices, from /sys/block and the links of udev.

use super::{Env, Facts, names, obj, read};
use crate::modules::support::exec::{Cmd, find_program};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Device name to the names that link to it.
type Links = BTreeMap<String, Vec<String>>;

fn links(dir: &str) -> Links {
    let mut all = Links::new();
    for name in names(dir) {
        if let Ok(target) = std::fs::read_link(Path::new(dir).join(&name))
            && let Some(dev) = target.file_name()
        {
            all.entry(dev.to_string_lossy().into_owned()).or_default().push(name.replace("\\x20", " "));
        }
    }
    all
}

fn masters() -> Links {
    let mut all = Links::new();
    for dev in names("/sys/block") {
        for slave in names(format!("/sys/block/{dev}/slaves")) {
            all.entry(slave).or_default().push(dev.clone());
        }
    }
    all
}

/// Bytes as `256.00 GB`.
pub fn human(size: f64) -> String {
    const UNITS: &[(&str, i32)] =
        &[("YB", 80), ("ZB", 70), ("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    for (unit, power) in UNITS {
        let limit = 2f64.powi(*power);
        if size >= limit {
            return format!("{:.2} {unit}", size / limit);
        }
    }
    format!("{size:.2} Bytes")
}

pub fn devices(env: &mut Env) -> Facts {
    let kinds = [
        ("ids", links("/dev/disk/by-id")),
        ("uuids", links("/dev/disk/by-uuid")),
        ("labels", links("/dev/disk/by-label")),
        ("masters", masters()),
    ];
    let of = |dev: &str| -> Json {
        kinds
            .iter()
            .map(|(k, l)| (k.to_string(), json!(l.get(dev).cloned().unwrap_or_default())))
            .collect::<Facts>()
            .into()
    };
    let pci = pci_names(env);
    let mut all = Facts::new();
    for name in names("/sys/block") {
        let dir = Path::new("/sys/block").join(&name);
        all.insert(name.clone(), Json::Object(one(&dir, &name, &of, &pci, &kinds)));
    }
    let device_links: Facts = kinds.iter().map(|(k, l)| (k.to_string(), json!(l))).collect();
    obj([("devices", Json::Object(all)), ("device_links", Json::Object(device_links))])
}

fn one(
    dir: &Path,
    name: &str,
    of: &dyn Fn(&str) -> Json,
    pci: &BTreeMap<String, String>,
    kinds: &[(&str, Links)],
) -> Facts {
    let text = |p: &str| read(dir.join(p)).map(Json::from).unwrap_or(Json::Null);
    let sectors = read(dir.join("size")).and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
    let sector_size = read(dir.join("queue/logical_block_size"))
        .or_else(|| read(dir.join("queue/hw_sector_size")))
        .unwrap_or_else(|| "512".into());
    let mut d = obj([
        ("virtual", 1.into()),
        ("links", of(name)),
        ("vendor", text("device/vendor")),
        ("model", text("device/model")),
        ("sas_address", text("device/sas_address")),
        ("sas_device_handle", text("device/sas_device_handle")),
    ]);
    if let Some(s) = read(dir.join("device/serial")) {
        d.insert("serial".into(), s.into());
    }
    let ids = kinds.iter().find(|(k, _)| *k == "ids").and_then(|(_, l)| l.get(name));
    if let Some(wwn) = ids.and_then(|l| l.iter().find_map(|i| i.strip_prefix("wwn-"))) {
        d.insert("wwn".into(), wwn.into());
    }
    for (key, file) in [("removable", "removable"), ("support_discard", "queue/discard_granularity")] {
        if let Some(v) = read(dir.join(file)) {
            d.insert(key.into(), v.into());
        }
    }
    d.insert("partitions".into(), Json::Object(partitions(dir, name, of)));
    if let Some(v) = read(dir.join("queue/rotational")) {
        d.insert("rotational".into(), v.into());
    }
    let scheduler = read(dir.join("queue/scheduler")).unwrap_or_default();
    let chosen = scheduler.split_once('[').and_then(|(_, r)| r.split_once(']')).map(|(s, _)| s).unwrap_or("");
    let slot = std::fs::canonicalize(dir)
        .ok()
        .and_then(|p| p.iter().filter_map(|c| c.to_str()).rfind(|c| is_slot(c)).map(str::to_string));
    let host = slot.and_then(|s| pci.get(&s).cloned()).unwrap_or_default();
    d.extend(obj([
        ("scheduler_mode", chosen.into()),
        ("sectors", sectors.into()),
        ("sectorsize", sector_size.into()),
        ("size", human(sectors as f64 * 512.0).into()),
        ("host", host.into()),
        ("holders", holders(dir)),
    ]));
    d
}

fn partitions(dir: &Path, disk: &str, of: &dyn Fn(&str) -> Json) -> Map<String, Json> {
    let mut all = Map::new();
    for part in names(dir) {
        let p = dir.join(&part);
        if !part.starts_with(disk) || !p.join("partition").exists() {
            continue;
        }
        let n = |f: &str| read(p.join(f)).and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
        let sector_size = read(dir.join("queue/logical_block_size")).and_then(|s| s.parse::<i64>().ok()).unwrap_or(512);
        let link = of(&part);
        let uuid = link.get("uuids").and_then(|u| u.get(0)).cloned().unwrap_or(Json::Null);
        let entry = obj([
            ("links", link),
            ("start", n("start").to_string().into()),
            ("sectors", n("size").to_string().into()),
            ("sectorsize", sector_size.into()),
            ("size", human(n("size") as f64 * 512.0).into()),
            ("uuid", uuid),
            ("holders", holders(&p)),
        ]);
        all.insert(part, Json::Object(entry));
    }
    all
}

fn holders(dir: &Path) -> Json {
    names(dir.join("holders"))
        .into_iter()
        .map(|h| Json::from(read(dir.join("holders").join(&h).join("dm/name")).unwrap_or(h)))
        .collect()
}

/// True for `0000:00:1f.2`.
fn is_slot(s: &str) -> bool {
    let b = s.as_bytes();
    b.len() == 12 && b.get(4) == Some(&b':') && b.get(7) == Some(&b':') && b.get(10) == Some(&b'.')
}

fn pci_names(env: &Env) -> BTreeMap<String, String> {
    let Some(p) = find_program(&env.ctx, "lspci") else { return BTreeMap::new() };
    match Cmd::new([p.as_str(), "-D"]).c_locale().limit(Duration::from_secs(10)).run(&env.ctx) {
        Ok(o) => o.out().lines().filter_map(|l| l.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect(),
        Err(_) => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!((human(0.0), human(274877906944.0)), ("0.00 Bytes".into(), "256.00 GB".into()));
        assert!(is_slot("0000:00:1f.2") && !is_slot("virtio0"));
    }
}
