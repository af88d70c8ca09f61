//! Addresses and networks of both versions, as the ipaddr filters see them.

use super::py::{self, Py};
use minijinja::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    pub version: u8,
    pub addr: u128,
    pub prefix: u8,
    /// Written with a prefix or mask.
    pub slash: bool,
}

impl Ip {
    pub fn bits(self) -> u8 {
        if self.version == 4 { 32 } else { 128 }
    }
    fn all(self) -> u128 {
        if self.version == 4 { u128::from(u32::MAX) } else { u128::MAX }
    }
    /// The bits of the host part.
    pub fn hostmask(self) -> u128 {
        match self.bits() - self.prefix {
            0 => 0,
            128 => u128::MAX,
            n => (1 << n) - 1,
        }
    }
    pub fn netmask(self) -> u128 {
        self.all() & !self.hostmask()
    }
    pub fn first(self) -> u128 {
        self.addr & !self.hostmask()
    }
    pub fn last(self) -> u128 {
        self.addr | self.hostmask()
    }
    /// The number of addresses (that of `::/0` does not fit and is one too small).
    pub fn size(self) -> u128 {
        self.hostmask().saturating_add(1)
    }
    pub fn is_network(self) -> bool {
        self.size() > 1 && self.addr == self.first()
    }
    /// First and last address that a host may have.
    pub fn usable(self) -> Option<(u128, u128)> {
        match self.size() {
            1 => None,
            2 => Some((self.first(), self.last())),
            _ => Some((self.first() + 1, self.last() - 1)),
        }
    }
    pub fn contains(self, other: Ip) -> bool {
        self.version == other.version && self.first() <= other.first() && other.last() <= self.last()
    }
    pub fn with_prefix(self, prefix: u8) -> Ip {
        Ip { prefix, slash: true, ..self }
    }
    /// Another address of the same version as text.
    pub fn show(self, addr: u128) -> String {
        show(self.version, addr)
    }
    pub fn cidr(self) -> String {
        format!("{}/{}", self.show(self.addr), self.prefix)
    }
    pub fn network_cidr(self) -> String {
        format!("{}/{}", self.show(self.first()), self.prefix)
    }
    pub fn is_multicast(self) -> bool {
        match self.version {
            4 => self.addr >> 28 == 0xe,
            _ => self.addr >> 120 == 0xff,
        }
    }
    pub fn is_loopback(self) -> bool {
        match self.version {
            4 => self.addr >> 24 == 127,
            _ => self.addr == 1,
        }
    }
    pub fn is_link_local(self) -> bool {
        match self.version {
            4 => self.addr >> 16 == 0xa9fe,
            _ => self.addr >> 118 == 0xfe80 >> 6,
        }
    }
    /// Reachable from everywhere, by IANA's registries of special addresses.
    pub fn is_global(self) -> bool {
        let (special, except): (&[&str], &[&str]) = match self.version {
            4 => (
                &[
                    "0.0.0.0/8",
                    "10.0.0.0/8",
                    "100.64.0.0/10",
                    "127.0.0.0/8",
                    "169.254.0.0/16",
                    "172.16.0.0/12",
                    "192.0.0.0/24",
                    "192.0.2.0/24",
                    "192.168.0.0/16",
                    "198.18.0.0/15",
                    "198.51.100.0/24",
                    "203.0.113.0/24",
                    "240.0.0.0/4",
                ],
                &["192.0.0.9/32", "192.0.0.10/32"],
            ),
            _ => (
                &[
                    "::/128",
                    "::1/128",
                    "::ffff:0:0/96",
                    "64:ff9b:1::/48",
                    "100::/64",
                    "2001::/23",
                    "2001:db8::/32",
                    "2002::/16",
                    "3fff::/20",
                    "5f00::/16",
                    "fc00::/7",
                    "fe80::/10",
                ],
                &[
                    "2001:1::1/128",
                    "2001:1::2/128",
                    "2001:1::3/128",
                    "2001:3::/32",
                    "2001:4:112::/48",
                    "2001:20::/28",
                    "2001:30::/28",
                ],
            ),
        };
        let own = Ip { prefix: self.bits(), ..self };
        let within = |all: &[&str]| all.iter().filter_map(|n| parse_text(n, None)).any(|n| n.contains(own));
        !within(special) || within(except)
    }
}

/// An address as text; addresses of IPv6 with an IPv4 one at their end as `inet_ntop` shows them.
pub fn show(version: u8, addr: u128) -> String {
    if version == 4 {
        return Ipv4Addr::from(addr as u32).to_string();
    }
    if addr >> 32 == 0 && addr >> 16 != 0 {
        return format!("::{}", Ipv4Addr::from(addr as u32));
    }
    Ipv6Addr::from(addr).to_string()
}

/// A value as an address: text, a number, or text of a number.
pub fn parse(v: &Value, version: Option<u8>) -> Option<Ip> {
    match py::view(v) {
        Py::Int(i) => from_number(u128::try_from(i).ok()?, version),
        Py::Str(s) => parse_text(s, version),
        _ => None,
    }
}

fn from_number(n: u128, version: Option<u8>) -> Option<Ip> {
    let fits = n <= u128::from(u32::MAX);
    let version = match version {
        Some(4) if !fits => return None,
        Some(v) => v,
        None if fits => 4,
        None => 6,
    };
    Some(Ip { version, addr: n, prefix: if version == 4 { 32 } else { 128 }, slash: false })
}

pub fn parse_text(s: &str, version: Option<u8>) -> Option<Ip> {
    let (host, mask) = s.split_once('/').map_or((s, None), |(h, m)| (h, Some(m)));
    let mut ip = if !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit()) {
        from_number(host.parse().ok()?, version)?
    } else if host.contains(':') {
        let addr: Ipv6Addr = host.parse().ok()?;
        Ip { version: 6, addr: addr.into(), prefix: 128, slash: false }
    } else {
        let addr: Ipv4Addr = host.parse().ok()?;
        Ip { version: 4, addr: u32::from(addr).into(), prefix: 32, slash: false }
    };
    if version.is_some_and(|v| v != ip.version) {
        return None;
    }
    if let Some(mask) = mask {
        ip.prefix = prefix(mask, ip)?;
        ip.slash = true;
    }
    Some(ip)
}

/// A prefix length, a netmask or a hostmask.
fn prefix(mask: &str, ip: Ip) -> Option<u8> {
    if !mask.is_empty() && mask.bytes().all(|b| b.is_ascii_digit()) {
        return mask.parse().ok().filter(|p| *p <= ip.bits());
    }
    let bits: u128 = match ip.version {
        4 => u32::from(mask.parse::<Ipv4Addr>().ok()?).into(),
        _ => mask.parse::<Ipv6Addr>().ok()?.into(),
    };
    (0..=ip.bits())
        .find(|p| ip.with_prefix(*p).netmask() == bits)
        .or_else(|| (0..=ip.bits()).find(|p| ip.with_prefix(*p).hostmask() == bits))
}

/// The fewest networks that cover just these addresses, in order.
pub fn merge(all: &[Ip]) -> Vec<Ip> {
    let mut nets: Vec<Ip> = all.iter().map(|n| Ip { addr: n.first(), slash: true, ..*n }).collect();
    loop {
        nets.sort_by_key(|n| (n.version, n.addr, n.prefix));
        let before = nets.len();
        let mut out: Vec<Ip> = vec![];
        for n in nets {
            match out.last_mut() {
                Some(l) if l.contains(n) => {}
                // two halves of one network
                Some(l)
                    if l.version == n.version
                        && l.prefix == n.prefix
                        && l.prefix > 0
                        && l.with_prefix(l.prefix - 1).contains(n) =>
                {
                    *l = l.with_prefix(l.prefix - 1)
                }
                _ => out.push(n),
            }
        }
        nets = out;
        if nets.len() == before {
            return nets;
        }
    }
}
