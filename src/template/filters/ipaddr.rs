//! ipaddr and its short forms ipv4, ipv6, ipwrap (ansible.utils).

use super::ipcalc::{Ip, parse, parse_text};
use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("ipaddr", "value, query=, version=, alias=", |_, a| {
        let version = match a.int_opt("version")? {
            Some(4) => Some(4),
            Some(6) => Some(6),
            Some(_) => return Ok(Value::from(false)),
            None => None,
        };
        each(a, "ipaddr", version)
    }),
    f("ipv4", "value, query=", |_, a| each(a, "ipv4", Some(4))),
    f("ipv6", "value, query=", |_, a| each(a, "ipv6", Some(6))),
    f("ipwrap", "value, query=", ipwrap),
];

const NO: fn() -> Value = || Value::from(false);
const NONE: fn() -> Value = || Value::from(());

/// The filter on one value, or on each of a list, where what is empty or false drops out.
fn each(a: &Args, name: &str, version: Option<u8>) -> Res {
    let query = match a.get("query") {
        None => String::new(),
        Some(q) => py::str(q)?,
    };
    apply(a.val("value"), &query, name, version, 0)
}

fn apply(v: &Value, query: &str, name: &str, version: Option<u8>, depth: usize) -> Res {
    if depth > py::MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    match py::view(v) {
        Py::List | Py::Tuple => {
            let mut out = vec![];
            for item in py::items(v)? {
                py::check(&item)?;
                let found = match py::view(&item) {
                    Py::Dict | Py::None | Py::Float(_) | Py::Object => NO(),
                    _ => apply(&item, query, name, version, depth + 1)?,
                };
                if found.is_true() {
                    out.push(found);
                }
            }
            Ok(py::list(out))
        }
        Py::Str(_) | Py::Int(_) | Py::Bool(_) => match parse(v, version) {
            Some(ip) => ask(v, ip, query, name),
            None => Ok(NO()),
        },
        _ => fail(format!("Unrecognized type <<class '{}'>> for {name} filter <value>", py::type_name(v))),
    }
}

/// The value as written; a number as an address with its prefix.
fn written(v: &Value, ip: Ip) -> Value {
    match py::view(v) {
        Py::Str(s) if !s.split('/').next().is_some_and(|h| h.bytes().all(|b| b.is_ascii_digit())) => {
            Value::from(s.to_lowercase())
        }
        _ => Value::from(ip.cidr()),
    }
}

/// Brackets around an address of IPv6.
fn wrapped(ip: Ip, shown: Value) -> Value {
    match (ip.version, ip.slash) {
        (6, true) => Value::from(format!("[{}]/{}", ip.show(ip.addr), ip.prefix)),
        (6, false) => Value::from(format!("[{}]", ip.show(ip.addr))),
        _ => shown,
    }
}

fn plain(ip: Ip) -> Value {
    Value::from(if ip.slash { ip.cidr() } else { ip.show(ip.addr) })
}

fn ask(v: &Value, ip: Ip, query: &str, name: &str) -> Res {
    let text = |s: String| Ok(Value::from(s));
    let number = |n: u128| Ok(i128::try_from(n).map_or_else(|_| Value::from(n), py::int));
    let given = |yes: bool| Ok(if yes { written(v, ip) } else { NONE() });
    let or_none = |s: Option<String>| Ok(s.map_or_else(NONE, Value::from));
    let usable = || -> Res<Option<(u128, u128)>> {
        if !ip.slash {
            return fail("Not a network address");
        }
        Ok(ip.usable())
    };
    // may a host have this address with this prefix?
    let hostlike = ip.size() <= 2 || !ip.is_network();
    match query {
        "" => Ok(plain(ip)),
        "bool" => Ok(Value::from(true)),
        "address" | "ip" => or_none((hostlike || ip.version == 6).then(|| ip.show(ip.addr))),
        "host" => or_none(hostlike.then(|| ip.cidr())),
        "net" => or_none(ip.is_network().then(|| ip.cidr())),
        "network" | "network_id" => text(ip.show(ip.first())),
        "network/prefix" | "subnet" => text(ip.network_cidr()),
        "network_netmask" => text(format!("{} {}", ip.show(ip.first()), ip.show(ip.netmask()))),
        "network_wildcard" => text(format!("{} {}", ip.show(ip.first()), ip.show(ip.hostmask()))),
        "netmask" => text(ip.show(ip.netmask())),
        "hostmask" | "wildcard" => text(ip.show(ip.hostmask())),
        "prefix" => number(ip.prefix.into()),
        "cidr" => text(ip.cidr()),
        "gateway" | "gw" | "host/prefix" | "hostnet" | "router" | "address/prefix" => {
            let edge = ip.size() > 2 && (ip.is_network() || ip.addr == ip.last());
            Ok(if edge { NO() } else { Value::from(ip.cidr()) })
        }
        "ip/prefix" => or_none((ip.size() > 1 && hostlike).then(|| ip.cidr())),
        "ip_netmask" => {
            or_none((ip.size() > 1 && hostlike).then(|| format!("{} {}", ip.show(ip.addr), ip.show(ip.netmask()))))
        }
        "range_usable" => or_none(usable()?.map(|(x, y)| format!("{}-{}", ip.show(x), ip.show(y)))),
        "first_usable" => or_none(usable()?.map(|(x, _)| ip.show(x))),
        "last_usable" => or_none(usable()?.map(|(_, y)| ip.show(y))),
        "next_usable" => {
            or_none(usable()?.and_then(|(x, y)| step(ip.addr, 1).filter(|n| (x..=y).contains(n))).map(|n| ip.show(n)))
        }
        "previous_usable" => {
            or_none(usable()?.and_then(|(x, y)| step(ip.addr, -1).filter(|n| (x..=y).contains(n))).map(|n| ip.show(n)))
        }
        "peer" => peer(ip),
        "size" => number(ip.size()),
        "size_usable" => number(if ip.size() > 2 {
            ip.size() - 2
        } else if ip.size() == 2 {
            2
        } else {
            0
        }),
        "type" => text(if ip.is_network() { "network" } else { "address" }.into()),
        "version" => number(ip.version.into()),
        "int" if ip.slash => text(format!("{}/{}", ip.addr, ip.prefix)),
        "int" => number(ip.addr),
        "broadcast" => or_none((ip.size() > 2).then(|| ip.show(ip.last()))),
        "wrap" => Ok(wrapped(ip, written(v, ip))),
        "loopback" | "lo" => given(ip.is_loopback()),
        "multicast" => given(ip.is_multicast()),
        "unicast" => given(!ip.is_multicast()),
        "link-local" => given(ip.is_link_local()),
        "private" => given(!ip.is_multicast() && !ip.is_global()),
        "public" => given(!ip.is_multicast() && ip.is_global()),
        "revdns" => text(revdns(ip)),
        "6to4" => Ok(six_to_four(v, ip)),
        "ipv4" | "v4" => Ok(as_v4(v, ip)),
        "ipv6" | "v6" => Ok(match ip.version {
            6 => written(v, ip),
            _ => Value::from(format!("::ffff:{}/{}", ip.show(ip.addr), ip.prefix + 96)),
        }),
        _ => {
            if let Ok(n) = query.parse::<i128>() {
                return Ok(nth(ip, n));
            }
            match parse_text(query, None) {
                Some(net) => given(net.contains(ip)),
                None => fail(format!("{name}: unknown filter type: {query}")),
            }
        }
    }
}

/// The address `n` further on, if there is one.
pub fn step(addr: u128, n: i128) -> Option<u128> {
    addr.checked_add_signed(n)
}

/// The `n`th address of a network (from its end if negative) with the prefix.
fn nth(ip: Ip, n: i128) -> Value {
    if !ip.slash {
        return Value::from(ip.show(ip.addr));
    }
    if ip.size() == 1 {
        return Value::from(ip.cidr());
    }
    match nth_of(ip, n) {
        Some(addr) => Value::from(format!("{}/{}", ip.show(addr), ip.prefix)),
        None => NO(),
    }
}

pub fn nth_of(ip: Ip, n: i128) -> Option<u128> {
    let at = if n >= 0 { step(ip.first(), n) } else { step(ip.last(), n + 1) }?;
    (ip.first()..=ip.last()).contains(&at).then_some(at)
}

fn peer(ip: Ip) -> Res {
    if !ip.slash {
        return fail("Not a network address");
    }
    match ip.size() {
        2 => Ok(Value::from(ip.show(ip.addr ^ 1))),
        4 if ip.addr == ip.first() => fail("Network address of /30 has no peer"),
        4 if ip.addr == ip.last() => fail("Broadcast address of /30 has no peer"),
        4 => Ok(Value::from(ip.show(ip.addr ^ 3))),
        _ => fail("Not a point-to-point network"),
    }
}

fn revdns(ip: Ip) -> String {
    if ip.version == 4 {
        let [a, b, c, d] = (ip.addr as u32).to_be_bytes();
        return format!("{d}.{c}.{b}.{a}.in-addr.arpa.");
    }
    let digits: Vec<String> = (0..32).map(|i| format!("{:x}", (ip.addr >> (4 * i)) & 0xf)).collect();
    format!("{}.ip6.arpa.", digits.join("."))
}

fn six_to_four(v: &Value, ip: Ip) -> Value {
    match ip.version {
        4 if !ip.is_network() && !ip.is_multicast() => {
            Value::from(format!("2002:{:04x}:{:04x}::1/48", ip.addr >> 16, ip.addr & 0xffff))
        }
        6 if ip.addr >> 112 == 0x2002 => written(v, ip),
        _ => NO(),
    }
}

fn as_v4(v: &Value, ip: Ip) -> Value {
    let low = ip.addr & u128::from(u32::MAX);
    match ip.version {
        4 => written(v, ip),
        // mapped (`::ffff:1.2.3.4`) and compatible (`::1.2.3.4`) addresses
        _ if (ip.addr >> 32 == 0xffff || ip.addr >> 32 == 0) && ip.prefix >= 96 => {
            Value::from(format!("{}/{}", super::ipcalc::show(4, low), ip.prefix - 96))
        }
        _ => NO(),
    }
}

/// Brackets for use in URLs; what is no address passes unchanged.
fn ipwrap(_: &mut State, a: &Args) -> Res {
    fn one(v: &Value) -> Res {
        py::check(v)?;
        Ok(match (py::view(v), parse(v, None)) {
            (Py::Int(_), Some(ip)) => wrapped(ip, Value::from(ip.cidr())),
            (_, Some(ip)) => wrapped(ip, plain(ip)),
            _ => v.clone(),
        })
    }
    let v = a.val("value");
    match py::view(v) {
        Py::List | Py::Tuple => py::items(v)?.iter().map(one).collect::<Res<Vec<_>>>().map(py::list),
        Py::Str(_) | Py::Bool(_) => one(v),
        _ => fail(format!("Unrecognized type <<class '{}'>> for ipwrap filter <value>", py::type_name(v))),
    }
}
