//! Network interfaces: what /sys/class/net says, and their addresses.

use super::{Env, Facts, names, obj, read};
use crate::modules::support::exec::{Cmd, find_program};
use nix::ifaddrs::getifaddrs;
use serde_json::{Map, Value as Json, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

/// One interface, or an alias of one (`eth0_1`), and its addresses in the kernel's order.
pub struct Interface {
    pub name: String,
    pub facts: Facts,
    pub addresses: Vec<IpAddr>,
}

/// All interfaces, then the aliases that addresses name.
pub fn all(env: &Env) -> Vec<Interface> {
    let mut list: Vec<Interface> = vec![];
    for name in names("/sys/class/net") {
        let dir = Path::new("/sys/class/net").join(&name);
        if dir.is_dir() {
            let facts = describe(&name, &dir);
            list.push(Interface { name, facts, addresses: vec![] });
        }
    }
    addresses(&mut list);
    ethtool(env, &mut list);
    list
}

fn describe(name: &str, dir: &Path) -> Facts {
    let text = |p: &str| read(dir.join(p));
    let link_name = |p: &str| {
        std::fs::canonicalize(dir.join(p)).ok().and_then(|t| t.file_name().map(|n| n.to_string_lossy().into_owned()))
    };
    let mut f = obj([("device", name.into())]);
    if let Some(a) = text("address").filter(|a| !a.is_empty() && a != "00:00:00:00:00:00") {
        f.insert("macaddress".into(), a.into());
    }
    if let Some(m) = text("mtu").and_then(|m| m.parse::<i64>().ok()) {
        f.insert("mtu".into(), m.into());
    }
    if let Some(s) = text("operstate") {
        f.insert("active".into(), (s != "down").into());
    }
    if let Some(m) = link_name("device/driver/module") {
        f.insert("module".into(), m.into());
    }
    if let Some(t) = text("type") {
        let ty = match t.as_str() {
            "1" => "ether",
            "32" => "infiniband",
            "512" => "ppp",
            "772" => "loopback",
            "65534" => "tunnel",
            _ => "unknown",
        };
        f.insert("type".into(), ty.into());
    }
    if dir.join("bridge").is_dir() {
        f.insert("type".into(), "bridge".into());
        f.insert("interfaces".into(), json!(names(dir.join("brif"))));
        if let Some(id) = text("bridge/bridge_id") {
            f.insert("id".into(), id.into());
        }
        if let Some(stp) = text("bridge/stp_state") {
            f.insert("stp".into(), (stp == "1").into());
        }
    }
    if dir.join("bonding").is_dir() {
        f.insert("type".into(), "bonding".into());
        let words = |p: &str| text(p).unwrap_or_default();
        f.insert("slaves".into(), json!(words("bonding/slaves").split_whitespace().collect::<Vec<_>>()));
        f.insert("mode".into(), words("bonding/mode").split(' ').next().unwrap_or("").into());
        f.insert("miimon".into(), words("bonding/miimon").split(' ').next().unwrap_or("").into());
        f.insert("lacp_rate".into(), words("bonding/lacp_rate").split(' ').next().unwrap_or("").into());
        let primary = words("bonding/primary");
        if !primary.is_empty() {
            f.insert("primary".into(), primary.into());
            let all = words("bonding/all_slaves_active");
            f.insert("all_slaves_active".into(), (all == "1").into());
        }
    }
    if dir.join("bonding_slave").is_dir()
        && let Some(a) = text("bonding_slave/perm_hwaddr")
    {
        f.insert("perm_macaddress".into(), a.into());
    }
    if dir.join("device").exists()
        && let Some(id) = link_name("device")
    {
        f.insert("pciid".into(), id.into());
    }
    if let Some(s) = text("speed").and_then(|s| s.parse::<i64>().ok()) {
        f.insert("speed".into(), s.into());
    }
    let flags = text("flags").and_then(|v| i64::from_str_radix(v.trim_start_matches("0x"), 16).ok()).unwrap_or(0);
    f.insert("promisc".into(), (flags & 0x100 != 0).into());
    f
}

struct V4 {
    label: String,
    address: Ipv4Addr,
    mask: Ipv4Addr,
    broadcast: Option<Ipv4Addr>,
}

fn addresses(list: &mut Vec<Interface>) {
    let Ok(found) = getifaddrs() else { return };
    let mut seen: Vec<V4> = vec![];
    let mut sixes = vec![];
    for a in found {
        let Some(addr) = a.address else { continue };
        if let Some(v4) = addr.as_sockaddr_in() {
            let mask = a.netmask.and_then(|m| m.as_sockaddr_in().map(|s| s.ip())).unwrap_or(Ipv4Addr::BROADCAST);
            // Where no broadcast is set, the C library answers the address itself.
            let broadcast = a
                .broadcast
                .and_then(|m| m.as_sockaddr_in().map(|s| s.ip()))
                .filter(|b| *b != v4.ip() && mask != Ipv4Addr::BROADCAST);
            seen.push(V4 { label: a.interface_name, address: v4.ip(), mask, broadcast });
        } else if let Some(v6) = addr.as_sockaddr_in6() {
            let mask = a.netmask.and_then(|m| m.as_sockaddr_in6().map(|s| s.ip()));
            sixes.push((a.interface_name, v6.ip(), mask));
        }
    }
    for (n, a) in seen.iter().enumerate() {
        let device = a.label.split(':').next().unwrap_or("");
        let net = |x: &V4| u32::from(x.address) & u32::from(x.mask);
        // The kernel makes an address secondary if an earlier one of the device has its network.
        let secondary = seen
            .iter()
            .take(n)
            .any(|b| b.label.split(':').next() == Some(device) && b.mask == a.mask && net(a) == net(b));
        add_v4(list, a, device, secondary);
    }
    for (name, address, mask) in sixes {
        add_v6(list, &name, address, mask);
    }
}

fn add_v4(list: &mut Vec<Interface>, a: &V4, device: &str, secondary: bool) {
    let entry = json!({
        "address": a.address.to_string(),
        "broadcast": a.broadcast.map(|b| b.to_string()).unwrap_or_default(),
        "netmask": a.mask.to_string(),
        "network": Ipv4Addr::from(u32::from(a.address) & u32::from(a.mask)).to_string(),
        "prefix": u32::from(a.mask).count_ones().to_string(),
    });
    let label = a.label.replace(':', "_");
    if !list.iter().any(|i| i.name == label) {
        list.push(Interface { name: label.clone(), facts: Facts::new(), addresses: vec![] });
    }
    for i in list.iter_mut() {
        let own = i.name == label;
        if own {
            i.addresses.push(IpAddr::V4(a.address));
        }
        if own && !secondary && !i.facts.contains_key("ipv4") {
            i.facts.insert("ipv4".into(), entry.clone());
        } else if (own || (secondary && i.name == device))
            && let Some(l) = i.facts.entry("ipv4_secondaries").or_insert_with(|| json!([])).as_array_mut()
        {
            l.push(entry.clone());
        }
    }
}

fn add_v6(list: &mut [Interface], name: &str, address: Ipv6Addr, mask: Option<Ipv6Addr>) {
    let prefix = mask.map(|m| u128::from(m).count_ones()).unwrap_or(128);
    let scope = if address.is_loopback() {
        "host"
    } else if address.is_unicast_link_local() {
        "link"
    } else if address.segments().first().is_some_and(|s| s & 0xffc0 == 0xfec0) {
        "site"
    } else {
        "global"
    };
    if let Some(i) = list.iter_mut().find(|i| i.name == name) {
        i.addresses.push(IpAddr::V6(address));
        let entry = json!({"address": address.to_string(), "prefix": prefix.to_string(), "scope": scope});
        if let Some(l) = i.facts.entry("ipv6").or_insert_with(|| json!([])).as_array_mut() {
            l.push(entry);
        }
    }
}

/// Offload features, where ethtool is installed.
fn ethtool(env: &Env, list: &mut [Interface]) {
    let Some(tool) = find_program(&env.ctx, "ethtool") else { return };
    for i in list.iter_mut().filter(|i| i.facts.contains_key("device")) {
        let cmd = Cmd::new([tool.as_str(), "-k", &i.name]).c_locale().limit(Duration::from_secs(10));
        let Ok(o) = cmd.run(&env.ctx) else { continue };
        if !o.ok() {
            continue;
        }
        let features: Map<String, Json> = o
            .out()
            .lines()
            .filter_map(|l| l.split_once(':'))
            .filter(|(_, v)| !v.trim().is_empty())
            .map(|(k, v)| (k.trim().replace('-', "_"), v.trim().into()))
            .collect();
        i.facts.insert("features".into(), Json::Object(features));
    }
}
