//! Resolver, default routes, addresses, storage initiator names.

use super::interfaces::{self, Interface};
use super::{Env, Facts, names, obj, read};
use serde_json::{Map, Value as Json, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

pub fn dns(_: &mut Env) -> Facts {
    let text = read("/etc/resolv.conf").unwrap_or_default();
    obj([("dns", Json::Object(parse_resolv(&text)))])
}

fn parse_resolv(text: &str) -> Facts {
    let mut dns = Facts::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or("");
        let rest: Vec<&str> = words.collect();
        match (key, rest.first()) {
            ("nameserver", Some(_)) => {
                let list = dns.entry("nameservers").or_insert_with(|| json!([]));
                if let Some(a) = list.as_array_mut() {
                    a.extend(rest.iter().map(|s| Json::from(*s)));
                }
            }
            ("domain", Some(d)) => drop(dns.insert("domain".into(), (*d).into())),
            ("search", _) => drop(dns.insert("search".into(), json!(rest))),
            ("sortlist", _) => drop(dns.insert("sortlist".into(), json!(rest))),
            ("options", _) => {
                let opts: Map<String, Json> = rest
                    .iter()
                    .map(|o| match o.split_once(':') {
                        Some((k, v)) => (k.to_string(), v.into()),
                        None => (o.to_string(), true.into()),
                    })
                    .collect();
                dns.insert("options".into(), Json::Object(opts));
            }
            _ => {}
        }
    }
    dns
}

pub fn iscsi(_: &mut Env) -> Facts {
    let text = read("/etc/iscsi/initiatorname.iscsi").unwrap_or_default();
    let name =
        text.lines().filter(|l| !l.starts_with('#')).find_map(|l| l.strip_prefix("InitiatorName=")).unwrap_or("");
    obj([("iscsi_iqn", name.into())])
}

pub fn nvme(_: &mut Env) -> Facts {
    let text = read("/etc/nvme/hostnqn").unwrap_or_default();
    let nqn = text.lines().find(|l| l.starts_with("nqn.")).unwrap_or("");
    obj([("hostnqn", nqn.into())])
}

pub fn fibre_channel(_: &mut Env) -> Facts {
    let all: Vec<Json> = names("/sys/class/fc_host")
        .into_iter()
        .filter_map(|h| read(format!("/sys/class/fc_host/{h}/port_name")))
        .map(|w| w.strip_prefix("0x").unwrap_or(&w).into())
        .collect();
    obj([("fibre_channel_wwn", Json::Array(all))])
}

pub fn network(env: &mut Env) -> Facts {
    let all = interfaces::all(env);
    let mut f = Facts::new();
    f.insert("interfaces".into(), all.iter().map(|i| Json::from(i.name.as_str())).collect());
    for i in &all {
        f.insert(i.name.clone(), Json::Object(i.facts.clone()));
    }
    f.insert("default_ipv4".into(), Json::Object(default_v4(&all)));
    f.insert("default_ipv6".into(), Json::Object(default_v6(&all)));
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
        all.iter().flat_map(|i| i.addresses.iter().copied()).partition(IpAddr::is_ipv4);
    let shown = |l: Vec<IpAddr>| -> Json {
        l.into_iter().filter(|a| !a.is_loopback()).map(|a| Json::from(a.to_string())).collect()
    };
    f.insert("all_ipv4_addresses".into(), shown(v4));
    f.insert("all_ipv6_addresses".into(), shown(v6));
    f.insert("locally_reachable_ips".into(), json!({"ipv4": local_v4(), "ipv6": local_v6()}));
    f
}

/// The address this host would speak from: the socket is only connected, nothing is sent.
fn source_for(remote: IpAddr) -> Option<IpAddr> {
    // addresses, not text: that would bring the C library's resolver into the agent
    let local = if remote.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let s = UdpSocket::bind((local, 0)).ok()?;
    s.connect((remote, 53)).ok()?;
    s.local_addr().ok().map(|a| a.ip()).filter(|a| !a.is_unspecified())
}

const FAR_V4: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const FAR_V6: &str = "2404:6800:400a:800::1012";

/// What is known of the way out, in the order in which `ip route get` tells it.
fn told(address: &str, interface: &str, gateway: Option<String>) -> Facts {
    let gateway = gateway.map(|g| ("gateway", g));
    let rest = [("interface", interface.to_string()), ("address", address.to_string())];
    gateway.into_iter().chain(rest).map(|(k, v)| (k.into(), v.into())).collect()
}

fn default_v4(all: &[Interface]) -> Facts {
    let Some(address) = source_for(FAR_V4.into()) else { return Facts::new() };
    let Some(route) = route_v4(&read("/proc/net/route").unwrap_or_default(), FAR_V4) else { return Facts::new() };
    let text = address.to_string();
    let mut f = told(&text, &route.0, route.1.map(|g| g.to_string()));
    // The address may stand on an alias or among the secondaries of its interface.
    for i in all {
        let main = i.facts.get("ipv4").into_iter();
        let more = i.facts.get("ipv4_secondaries").and_then(Json::as_array).into_iter().flatten();
        let Some(entry) = main.chain(more).find(|e| e.get("address").and_then(Json::as_str) == Some(&text)) else {
            continue;
        };
        for k in ["broadcast", "netmask", "network", "prefix"] {
            if let Some(v) = entry.get(k) {
                f.insert(k.into(), v.clone());
            }
        }
        let device = all.iter().find(|d| d.name == route.0).unwrap_or(i);
        copy(&mut f, &device.facts, &["macaddress", "mtu", "type"]);
        f.insert("alias".into(), i.name.as_str().into());
        break;
    }
    f
}

fn copy(to: &mut Facts, from: &Facts, keys: &[&str]) {
    for k in keys {
        if let Some(v) = from.get(*k) {
            to.insert((*k).into(), v.clone());
        }
    }
}

fn default_v6(all: &[Interface]) -> Facts {
    let Ok(far) = FAR_V6.parse::<Ipv6Addr>() else { return Facts::new() };
    let Some(address) = source_for(far.into()) else { return Facts::new() };
    let Some(route) = route_v6(&read("/proc/net/ipv6_route").unwrap_or_default(), far) else { return Facts::new() };
    let text = address.to_string();
    let mut f = told(&text, &route.0, route.1.map(|g| g.to_string()));
    if let Some(i) = all.iter().find(|i| i.name == route.0) {
        let list = i.facts.get("ipv6").and_then(Json::as_array).into_iter().flatten();
        if let Some(e) = list.into_iter().find(|e| e.get("address").and_then(Json::as_str) == Some(&text)) {
            for k in ["prefix", "scope"] {
                f.insert(k.into(), e.get(k).cloned().unwrap_or(Json::Null));
            }
        }
        copy(&mut f, &i.facts, &["macaddress", "mtu", "type"]);
    }
    f
}

/// The interface and gateway of the best route to an address, from /proc/net/route.
fn route_v4(table: &str, to: Ipv4Addr) -> Option<(String, Option<Ipv4Addr>)> {
    let hex = |s: &str| u32::from_str_radix(s, 16).ok().map(u32::swap_bytes);
    table
        .lines()
        .skip(1)
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            let (dev, dest, gw, mask) = (f.first()?, hex(f.get(1)?)?, hex(f.get(2)?)?, hex(f.get(7)?)?);
            let up = u32::from_str_radix(f.get(3)?, 16).ok()? & 1 == 1;
            let metric: u32 = f.get(6)?.parse().ok()?;
            (up && u32::from(to) & mask == dest).then(|| (mask, metric, dev.to_string(), gw))
        })
        .min_by_key(|(mask, metric, ..)| (u32::MAX - mask, *metric))
        .map(|(_, _, dev, gw)| (dev, (gw != 0).then(|| Ipv4Addr::from(gw))))
}

/// As [`route_v4`], from /proc/net/ipv6_route.
fn route_v6(table: &str, to: Ipv6Addr) -> Option<(String, Option<Ipv6Addr>)> {
    let hex = |s: &str| u128::from_str_radix(s, 16).ok();
    table
        .lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            let (dest, len) = (hex(f.first()?)?, u32::from_str_radix(f.get(1)?, 16).ok()?);
            let (gw, metric) = (hex(f.get(4)?)?, u32::from_str_radix(f.get(5)?, 16).ok()?);
            let (flags, dev) = (u32::from_str_radix(f.get(8)?, 16).ok()?, f.get(9)?);
            let mask = if len == 0 { 0 } else { u128::MAX << (128 - len.min(128)) };
            // Up, and no reject route.
            (flags & 1 == 1 && flags & 0x200 == 0 && u128::from(to) & mask == dest)
                .then(|| (len, metric, dev.to_string(), gw))
        })
        .min_by_key(|(len, metric, ..)| (128u32.saturating_sub(*len), *metric))
        .map(|(_, _, dev, gw)| (dev, (gw != 0).then(|| Ipv6Addr::from(gw))))
}

/// Addresses and networks of the kernel's local table.
fn local_v4() -> Vec<String> {
    let text = read("/proc/net/fib_trie").unwrap_or_default();
    let mut node: Option<Ipv4Addr> = None;
    let mut found: Vec<(Ipv4Addr, u8)> = vec![];
    for line in text.lines().map(str::trim) {
        if let Some(a) = line.strip_prefix("|-- ") {
            node = a.trim().parse().ok();
        } else if let (Some(a), Some((len, rest))) = (node, line.strip_prefix('/').and_then(|l| l.split_once(' ')))
            && rest.contains("LOCAL")
            && let Ok(n) = len.parse::<u8>()
            && !found.contains(&(a, n))
        {
            found.push((a, n));
        }
    }
    found.sort();
    found.iter().map(|(a, n)| if *n == 32 { a.to_string() } else { format!("{a}/{n}") }).collect()
}

fn local_v6() -> Vec<String> {
    let text = read("/proc/net/ipv6_route").unwrap_or_default();
    let mut found: Vec<Ipv6Addr> = vec![];
    for line in text.lines() {
        let f: Vec<&str> = line.split_whitespace().collect();
        let (Some(dest), Some(len), Some(flags)) = (f.first(), f.get(1), f.get(8)) else { continue };
        let local = u32::from_str_radix(flags, 16).is_ok_and(|n| n & 0x8000_0000 != 0);
        if let (true, "80", Ok(n)) = (local, *len, u128::from_str_radix(dest, 16))
            && !found.contains(&Ipv6Addr::from(n))
        {
            found.push(Ipv6Addr::from(n));
        }
    }
    found.sort();
    found.iter().map(Ipv6Addr::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let t = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                 eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n\
                 eth1 00000000 00000000 0001 0 0 50 00000000 0 0 0\n\
                 junk\n";
        assert_eq!(route_v4(t, FAR_V4), Some(("eth1".into(), None)));
        let t = t.replace(" 50 ", " 500 ");
        assert_eq!(route_v4(&t, FAR_V4), Some(("eth0".into(), Some(Ipv4Addr::new(192, 0, 2, 1)))));
        assert_eq!(route_v4("", FAR_V4), None);
        assert_eq!(route_v6("zz\n", Ipv6Addr::LOCALHOST), None);
    }

    #[test]
    fn resolver() {
        let d = parse_resolv("# c\nnameserver 127.0.0.1\nnameserver ::1\nsearch a.b c\noptions timeout:1 rotate\n");
        assert_eq!(
            Json::Object(d),
            json!({"nameservers": ["127.0.0.1", "::1"], "search": ["a.b", "c"], "options": {"timeout": "1", "rotate": true}})
        );
    }
}
