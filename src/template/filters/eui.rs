//! hwaddr, macaddr and slaac: hardware addresses.

use super::ipcalc::parse;
use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("hwaddr", "value, query=, alias=", |_, a| hwaddr(a, "hwaddr")),
    f("macaddr", "value, query=", |_, a| hwaddr(a, "macaddr")),
    f("slaac", "value, query=", slaac),
];

/// A hardware address and the number of its bits.
fn read(v: &Value) -> Option<(u64, u32)> {
    let text = match py::view(v) {
        Py::Int(i) => return u64::try_from(i).ok().map(|n| (n, if n >> 48 == 0 { 48 } else { 64 })),
        Py::Str(s) => s.trim(),
        _ => return None,
    };
    let separator = text.chars().find(|c| matches!(c, ':' | '-' | '.'));
    let parts: Vec<&str> = match separator {
        Some(s) => text.split(s).collect(),
        None => vec![text],
    };
    let digits = |n: usize, exact: bool| {
        parts.iter().all(|p| {
            let fits = if exact { p.len() == n } else { (1..=n).contains(&p.len()) };
            fits && p.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    let (each, bits) = match (separator, parts.len()) {
        (Some(':' | '-'), 6) if digits(2, false) => (8, 48),
        (Some(':' | '-'), 8) if digits(2, false) => (8, 64),
        (Some(_), 3) if digits(4, false) => (16, 48),
        (Some(_), 4) if digits(4, false) => (16, 64),
        (Some(':' | '-'), 2) if digits(6, false) => (24, 48),
        (None, 1) if digits(12, true) => (48, 48),
        (None, 1) if digits(16, true) => (64, 64),
        _ => return None,
    };
    let mut value = 0u64;
    for part in parts {
        value = value.checked_shl(each).unwrap_or(0) | u64::from_str_radix(part, 16).ok()?;
    }
    Some((value, bits))
}

fn hwaddr(a: &Args, name: &str) -> Res {
    let v = a.val("value");
    let query = a.text_or("query", "")?;
    let Some((value, bits)) = read(v) else {
        return match query.as_str() {
            "" | "bool" => Ok(Value::from(())),
            _ => fail(format!("{name}: not a hardware address: {}", py::str(v)?)),
        };
    };
    if bits == 64 && !matches!(query.as_str(), "" | "bool" | "int") {
        return fail(format!("integer out of bounds: '{value:#x}'!"));
    }
    let bytes: Vec<String> =
        value.to_be_bytes().iter().skip(if bits == 48 { 2 } else { 0 }).map(|b| format!("{b:02x}")).collect();
    let group = |n: usize, sep: &str| bytes.chunks(n).map(<[String]>::concat).collect::<Vec<_>>().join(sep);
    Ok(Value::from(match query.as_str() {
        "" => py::str(v)?,
        "bool" => return Ok(Value::from(true)),
        "int" => return Ok(py::int(value.into())),
        "bare" => group(1, "").to_uppercase(),
        "cisco" => group(2, "."),
        "eui48" | "win" => group(1, "-").to_uppercase(),
        "linux" => group(1, ":"),
        "pgsql" | "postgresql" | "psql" => group(3, ":"),
        "unix" => {
            let short = |b: &String| u8::from_str_radix(b, 16).map_or_else(|_| b.clone(), |n| format!("{n:x}"));
            bytes.iter().map(short).collect::<Vec<_>>().join(":")
        }
        other => return fail(format!("{name}: unknown filter type: {other}")),
    }))
}

/// The address that a host with this hardware address gives itself in a network of IPv6.
fn slaac(_: &mut State, a: &Args) -> Res {
    let no = || Ok(Value::from(false));
    let Some(ip) = parse(a.val("value"), None).filter(|ip| ip.version == 6) else { return no() };
    let Some((mac, 48)) = read(a.val("query")) else { return no() };
    let (vendor, device) = (u128::from(mac >> 24), u128::from(mac & 0xff_ffff));
    let id = (vendor ^ 0x02_0000) << 40 | 0xfffe << 24 | device;
    Ok(Value::from(ip.show(ip.first() & !u128::from(u64::MAX) | id)))
}
