//! cidr_merge

use super::ipcalc::{Ip, merge, parse};
use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[f("cidr_merge", "value, action=", cidr_merge)];

fn cidr_merge(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    let all = match py::view(v) {
        Py::List | Py::Tuple => py::items(v)?,
        Py::Str(_) => vec![v.clone()],
        _ => return fail(format!("cidr_merge: expected iterable, got {}", py::repr(v)?)),
    };
    let mut nets: Vec<Ip> = vec![];
    for item in &all {
        match parse(item, None) {
            Some(ip) => nets.push(ip),
            None => return fail(format!("cidr_merge: error in netaddr:\ninvalid IPNetwork {}", py::str(item)?)),
        }
    }
    match a.text_or("action", "merge")?.as_str() {
        "merge" => Ok(py::list(merge(&nets).iter().map(|n| Value::from(n.cidr())).collect())),
        "span" => span(&nets),
        other => fail(format!("cidr_merge: invalid action '{other}'")),
    }
}

/// The smallest network around all of them.
fn span(nets: &[Ip]) -> Res {
    let Some(first) = nets.first() else { return Ok(Value::from(())) };
    if nets.iter().any(|n| n.version != first.version) {
        return fail("cidr_merge: error in netaddr:\nIP sequence cannot contain both IPv4 and IPv6!");
    }
    let low = nets.iter().map(|n| n.first()).min().unwrap_or_default();
    let high = nets.iter().map(|n| n.last()).max().unwrap_or_default();
    let longest = nets.iter().map(|n| n.prefix).min().unwrap_or(0);
    let fitting = (0..=longest).rev().map(|p| Ip { addr: low, ..*first }.with_prefix(p)).find(|n| n.last() >= high);
    Ok(fitting.map_or_else(|| Value::from(()), |n| Value::from(n.network_cidr())))
}
