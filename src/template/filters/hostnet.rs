//! Arithmetic on addresses and networks: ipmath, ipsubnet, nthhost, usable addresses, membership.

use super::ipaddr::{nth_of, step};
use super::ipcalc::{Ip, parse, parse_text};
use super::numbers::parse_int;
use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("ipmath", "value, amount", ipmath),
    f("ipsubnet", "value, query=, index=", ipsubnet),
    f("nthhost", "value, query=", nthhost),
    f("network_in_network", "value, test=", |_, a| within(a, false)),
    f("network_in_usable", "value, test=", |_, a| within(a, true)),
    f("next_nth_usable", "value, offset=", |_, a| nth_usable(a, 1)),
    f("previous_nth_usable", "value, offset=", |_, a| nth_usable(a, -1)),
    f("reduce_on_network", "value, network", reduce_on_network),
    f("ip4_hex", "arg, delimiter=", ip4_hex),
    f("ipv6form", "value, format=", ipv6form),
    f("usable_range", "ip", usable_range),
];

/// A number, also as text.
fn whole(a: &Args, name: &str) -> Res<Option<i128>> {
    let Some(v) = a.some(name) else { return Ok(None) };
    match py::view(v) {
        Py::Int(i) => Ok(Some(i)),
        Py::Str("") => Ok(None),
        Py::Str(s) => match parse_int(s, 10) {
            Some(i) => Ok(Some(i)),
            None => {
                let shown = py::repr(v)?;
                let inner = format!(
                    "argument '{name}' is of type str and we were unable to convert to int: \"{shown}\" cannot be \
                     converted to an int"
                );
                fail(format!("[{}]", py::repr(&Value::from(inner))?))
            }
        },
        _ => fail(format!("argument '{name}' is of type {} and cannot be converted to an int", py::type_name(v))),
    }
}

fn valid(v: &Value) -> Res<Ip> {
    let shown = py::str(v)?;
    parse(v, None).ok_or_else(|| error(format!("You must pass a valid IP address; {shown} is invalid")))
}

fn ipmath(_: &mut State, a: &Args) -> Res {
    let ip = valid(a.val("value"))?;
    let amount =
        whole(a, "amount")?.ok_or_else(|| error("You must pass an integer for arithmetic; None is invalid"))?;
    let limit = if ip.version == 4 { u128::from(u32::MAX) } else { u128::MAX };
    match step(ip.addr, amount).filter(|n| *n <= limit) {
        Some(n) => Ok(Value::from(ip.show(n))),
        None => fail("result outside valid IP address boundary!"),
    }
}

fn nthhost(_: &mut State, a: &Args) -> Res {
    let found = parse(a.val("value"), None).filter(|ip| ip.slash).and_then(|ip| {
        let n = match py::view(a.val("query")) {
            Py::Int(i) => i,
            Py::Str(s) => parse_int(s, 10)?,
            _ => return None,
        };
        nth_of(ip, n).map(|at| ip.show(at))
    });
    Ok(found.map_or_else(|| Value::from(false), Value::from))
}

/// Networks whose prefix is longer than that of `ip`, `n` of them.
fn subnet(ip: Ip, prefix: u8, n: i128) -> Option<Ip> {
    let count = 1u128.checked_shl((prefix - ip.prefix).into()).unwrap_or(u128::MAX);
    let at = if n >= 0 { u128::try_from(n).ok()? } else { count.checked_sub(n.unsigned_abs())? };
    if at >= count {
        return None;
    }
    let size = ip.with_prefix(prefix).size();
    Some(Ip { addr: ip.first() + size.checked_mul(at)?, prefix, slash: true, ..ip })
}

fn ipsubnet(_: &mut State, a: &Args) -> Res {
    let no = || Ok(Value::from(false));
    let Some(ip) = parse(a.val("value"), None) else { return no() };
    let query = a.text_or("query", "")?;
    let network = Ip { addr: ip.first(), slash: true, ..ip };
    if query.is_empty() {
        return Ok(Value::from(network.cidr()));
    }
    let index = whole(a, "index")?;
    if query.bytes().all(|b| b.is_ascii_digit()) {
        let Some(prefix) = query.parse::<u8>().ok().filter(|p| *p <= ip.bits()) else { return no() };
        return Ok(match index {
            None if prefix >= network.prefix && ip.size() > 1 => {
                let n = 1u128.checked_shl((prefix - network.prefix).into()).unwrap_or(u128::MAX);
                Value::from(n.to_string())
            }
            // an address alone: the network of that size around it
            None if !ip.slash || ip.size() == 1 => Value::from(network.with_prefix(prefix).network_cidr()),
            None => return fail(format!("Requested subnet size of {prefix} is invalid")),
            Some(n) if prefix >= network.prefix && ip.size() > 1 => match subnet(network, prefix, n) {
                Some(s) => Value::from(s.cidr()),
                None => Value::from(false),
            },
            // networks around it, from that size down to just above its own
            Some(n) => {
                let count = i128::from(network.prefix) - i128::from(prefix);
                let at = if n < 0 { n + count } else { n };
                match u8::try_from(at).ok().filter(|_| (0..count).contains(&at)) {
                    Some(at) => Value::from(network.with_prefix(prefix + at).network_cidr()),
                    None => Value::from(false),
                }
            }
        });
    }
    let Some(around) = parse_text(&query, None) else {
        return fail(format!("You must pass a valid subnet or IP address; {query} is invalid"));
    };
    let around = Ip { addr: around.first(), ..around };
    if !around.contains(network) {
        return fail(format!("{} is not in the subnet {}", network.cidr(), around.cidr()));
    }
    // its place among the networks of its size
    let place = (network.addr - around.addr) / network.size() + 1;
    Ok(Value::from(place.to_string()))
}

fn within(a: &Args, usable: bool) -> Res {
    let (v, t) = (a.val("value"), a.val("test"));
    let (outer, inner) = match (parse(v, None), parse(t, None)) {
        (Some(x), Some(y)) => (x, y),
        // two that are no networks count as one in the other, as they do in Ansible
        (None, None) => return Ok(Value::from(true)),
        _ => return Ok(Value::from(false)),
    };
    let (first, last) = match outer.usable() {
        Some(range) if usable => range,
        _ => (outer.first(), outer.last()),
    };
    let hit = outer.version == inner.version && first <= inner.first() && inner.last() <= last;
    Ok(Value::from(hit))
}

fn nth_usable(a: &Args, sign: i128) -> Res {
    let Some(ip) = parse(a.val("value"), None) else { return Ok(Value::from(false)) };
    let Some(offset) = whole(a, "offset")? else { return fail("Must pass in an integer") };
    let found = ip
        .usable()
        .filter(|_| ip.slash)
        .and_then(|(x, y)| step(ip.addr, offset.saturating_mul(sign)).filter(|n| (x..=y).contains(n)));
    Ok(found.map_or_else(|| Value::from(()), |n| Value::from(ip.show(n))))
}

fn reduce_on_network(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    let all = match py::view(v) {
        Py::List | Py::Tuple => py::items(v)?,
        _ => vec![v.clone()],
    };
    let network = parse(a.val("network"), None);
    let mut out = vec![];
    for item in all {
        py::check(&item)?;
        if let (Some(net), Some(ip)) = (network, parse(&item, None))
            && net.contains(ip)
        {
            out.push(item);
        }
    }
    Ok(py::list(out))
}

fn ip4_hex(_: &mut State, a: &Args) -> Res {
    let ip = valid(a.val("arg"))?;
    if ip.version != 4 || ip.slash {
        return fail(format!("You must pass a valid IP address; {} is invalid", a.text("arg")?));
    }
    let parts: Vec<String> = (ip.addr as u32).to_be_bytes().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Value::from(parts.join(&a.text_or("delimiter", "")?)))
}

fn ipv6form(_: &mut State, a: &Args) -> Res {
    let ip = valid(a.val("value"))?;
    if ip.version != 6 || ip.slash {
        return fail(format!("You must pass a valid IP address; {} is invalid", a.text("value")?));
    }
    let words: Vec<u128> = (0..8).rev().map(|i| (ip.addr >> (16 * i)) & 0xffff).collect();
    let join = |full: bool| {
        let word = |w: &u128| if full { format!("{w:04x}") } else { format!("{w:x}") };
        words.iter().map(word).collect::<Vec<_>>().join(":")
    };
    match a.text_opt("format")?.as_deref() {
        Some("expand") => Ok(Value::from(join(true))),
        Some("compress") => Ok(Value::from(ip.show(ip.addr))),
        Some("x509") => Ok(Value::from(join(false))),
        other => {
            let shown = other.unwrap_or("None");
            fail(format!("You must pass valid format; {shown} is not a valid format"))
        }
    }
}

/// Lists longer than this are refused.
const MAX_LISTED: u128 = 1 << 20;

fn usable_range(_: &mut State, a: &Args) -> Res {
    let v = a.val("ip");
    let Some(ip) = parse(v, None).filter(|ip| ip.addr == ip.first()) else {
        let shown = py::repr(v)?;
        return fail(format!(
            "Error while using plugin 'usable_range': {shown} does not appear to be an IPv4 or IPv6 network"
        ));
    };
    if ip.size() > MAX_LISTED {
        return fail(format!("the network {} has too many addresses to list", ip.cidr()));
    }
    let all: Vec<Value> = (ip.first()..=ip.last()).map(|n| Value::from(ip.show(n))).collect();
    let n = all.len();
    Ok(py::dict([(Value::from("usable_ips"), py::list(all)), (Value::from("number_of_ips"), Value::from(n))]))
}
