//! Memory, swap, uptime, and what the firmware says about the machine.

use super::{Facts, obj, read};
use serde_json::{Value as Json, json};
use std::path::Path;

pub fn memory() -> Facts {
    let text = read("/proc/meminfo").unwrap_or_default();
    let mb = |key: &str| -> i64 {
        text.lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|v| v.split_whitespace().next())
            .and_then(|v| v.parse::<i64>().ok())
            .unwrap_or(0)
            / 1024
    };
    let (total, free) = (mb("MemTotal"), mb("MemFree"));
    let (swap_total, swap_free) = (mb("SwapTotal"), mb("SwapFree"));
    let nocache = free + mb("Cached") + mb("Buffers");
    obj([
        ("memtotal_mb", total.into()),
        ("memfree_mb", free.into()),
        ("swaptotal_mb", swap_total.into()),
        ("swapfree_mb", swap_free.into()),
        (
            "memory_mb",
            json!({
                "real": {"total": total, "used": total - free, "free": free},
                "nocache": {"free": nocache, "used": total - nocache},
                "swap": {"total": swap_total, "free": swap_free, "used": swap_total - swap_free, "cached": mb("SwapCached")},
            }),
        ),
    ])
}

pub fn uptime() -> Facts {
    let secs = read("/proc/uptime").and_then(|t| t.split(['.', ' ']).next().and_then(|s| s.parse::<i64>().ok()));
    secs.map(|s| obj([("uptime_seconds", s.into())])).unwrap_or_default()
}

/// SMBIOS chassis types, by number.
const FORM_FACTORS: &[&str] = &[
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

pub fn dmi() -> Facts {
    const FILES: &[(&str, &str)] = &[
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_asset_tag", "board_asset_tag"),
        ("board_name", "board_name"),
        ("board_serial", "board_serial"),
        ("board_vendor", "board_vendor"),
        ("board_version", "board_version"),
        ("chassis_asset_tag", "chassis_asset_tag"),
        ("chassis_serial", "chassis_serial"),
        ("chassis_vendor", "chassis_vendor"),
        ("chassis_version", "chassis_version"),
        ("form_factor", "chassis_type"),
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("system_vendor", "sys_vendor"),
    ];
    let dir = Path::new("/sys/devices/virtual/dmi/id");
    FILES
        .iter()
        .map(|(key, file)| {
            let text = read(dir.join(file)).unwrap_or_else(|| "NA".into());
            let text = match *key {
                "form_factor" => {
                    let n = text.parse::<usize>().ok();
                    n.map(|n| FORM_FACTORS.get(n).map(|s| s.to_string()).unwrap_or(format!("unknown ({text})")))
                        .unwrap_or(text)
                }
                _ => text,
            };
            (key.to_string(), Json::from(text))
        })
        .collect()
}
