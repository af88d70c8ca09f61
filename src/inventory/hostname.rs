//! Host names as inventories write them: ranges such as `web[01:20]`, ports, addresses.

use crate::diag::{Error, Result};
use fancy_regex::Regex;
use std::sync::LazyLock;

/// Hosts beyond this number from one pattern are a typing error.
const MAX_HOSTS: usize = 1_000_000;

static PORT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:\[([^\]]+)\]|(?:(?:[^:\[\]]|\[[^\]]*\])+)):([0-9]+)$").ok());

// A label of a host name: letters, digits, `_` and `-` (not first or last), or a range in brackets.
static HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let range = r"\[(?:[0-9]+:[0-9]+|[a-z]:[a-z]|[A-Z]:[A-Z])(?::[0-9]+)?\]";
    let word = r"[\w]";
    Regex::new(&format!(
        r"^(?:{word}|{range})(?:(?:{word}|-|{range})*(?:{word}|{range}))?(?:\.(?:{word}|{range})(?:(?:{word}|-|{range})*(?:{word}|{range}))?)*\.?$"
    ))
    .ok()
});

static PLAIN_HOST: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[\w](?:[\w-]*[\w])?(?:\.[\w](?:[\w-]*[\w])?)*\.?$").ok());

static IPV4: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let part = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]|\[(?:[0-9]+:[0-9]+)(?::[0-9]+)?\])";
    Regex::new(&format!(r"^{part}(?:\.{part}){{3}}$")).ok()
});

static IPV6_RANGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[0-9a-f:.]*(?:\[[0-9a-f]+:[0-9a-f]+(?::[0-9]+)?\][0-9a-f:.]*)+$").ok());

fn is(r: &LazyLock<Option<Regex>>, s: &str) -> bool {
    r.as_ref().is_some_and(|r| r.is_match(s).unwrap_or(false))
}

/// `host`, `host:22`, `[host]:22`, IPv4 and IPv6 addresses; the host and the port. None if it is none of
/// these. Ranges in brackets are part of a name when `ranges` says so.
pub(super) fn parse_address(text: &str, ranges: bool) -> Option<(&str, Option<u16>)> {
    if is_simple(text) {
        return Some((text, None));
    }
    let (mut host, mut port) = (text, None);
    if let Some(c) = PORT.as_ref().and_then(|r| r.captures(text).ok().flatten()) {
        let digits = c.get(2)?.as_str();
        port = Some(digits.parse().ok()?);
        let before = text.get(..text.len() - digits.len() - 1)?;
        host = match c.get(1) {
            Some(inner) if before.starts_with('[') && before.ends_with(']') && !looks_like_range(inner.as_str()) => {
                inner.as_str()
            }
            _ => before,
        };
    }
    let v6 = host.contains(':') && (host.parse::<std::net::Ipv6Addr>().is_ok() || ranges && is(&IPV6_RANGE, host));
    let named = if ranges { is(&HOST, host) } else { is(&PLAIN_HOST, host) };
    (v6 || is(&IPV4, host) || named).then_some((host, port))
}

/// Names of the usual letters alone, which [`PLAIN_HOST`] takes as well: no pattern has to be made ready for them.
fn is_simple(text: &str) -> bool {
    let word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.strip_suffix('.').unwrap_or(text).split('.').all(|label| {
        let b = label.as_bytes();
        word(b.first()) && word(b.last()) && b.iter().all(|b| *b == b'-' || word(Some(b)))
    })
}

fn looks_like_range(inner: &str) -> bool {
    let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    inner.contains(':') && inner.split(':').count() <= 3 && inner.split(':').all(|p| digits(p) || p.len() == 1)
}

/// The host names and the port of a host pattern in an inventory.
pub(super) fn expand(pattern: &str) -> Result<(Vec<String>, Option<u16>)> {
    let (host, port) = parse_address(pattern, true).unwrap_or((pattern, None));
    Ok((expand_ranges(host)?, port))
}

/// `a[1:3]b` becomes `a1b`, `a2b`, `a3b`; several ranges multiply, the last one runs fastest.
fn expand_ranges(name: &str) -> Result<Vec<String>> {
    let mut out = vec![String::new()];
    let mut rest = name;
    while let Some((head, inner, tail)) = first_range(rest) {
        let items = range_items(inner)?;
        if out.len().saturating_mul(items.len()) > MAX_HOSTS {
            return Err(Error::parse(format!("host range '{name}' makes more than {MAX_HOSTS} hosts")));
        }
        out = out.iter().flat_map(|o| items.iter().map(move |i| format!("{o}{head}{i}"))).collect();
        rest = tail;
    }
    if rest.contains('[') {
        return Err(Error::parse(format!("the range in '{name}' has no closing bracket")));
    }
    for o in &mut out {
        o.push_str(rest);
    }
    Ok(out)
}

fn first_range(s: &str) -> Option<(&str, &str, &str)> {
    let open = s.find('[')?;
    let (head, after) = (s.get(..open)?, s.get(open + 1..)?);
    let close = after.find(']')?;
    Some((head, after.get(..close)?, after.get(close + 1..)?))
}

/// `01:20`, `a:f`, `0:10:2`.
fn range_items(inner: &str) -> Result<Vec<String>> {
    let wrong = |what: &str| Error::parse(what.to_string());
    let bounds: Vec<&str> = inner.split(':').collect();
    let (begin, end, step) = match bounds.as_slice() {
        [b, e] => (*b, *e, 1usize),
        [b, e, s] => (*b, *e, s.parse().map_err(|_| wrong("host range must be begin:end or begin:end:step"))?),
        _ => return Err(wrong("host range must be begin:end or begin:end:step")),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(wrong("host range must specify end value"));
    }
    if step == 0 {
        return Err(wrong("host range must have a step of 1 or more"));
    }
    if let (Some(a), Some(b)) = (letter(begin), letter(end)) {
        if a > b {
            return Err(wrong("host range must have begin <= end"));
        }
        return Ok((a..=b)
            .step_by(step)
            .map(|i| char::from(LETTERS.as_bytes().get(i).copied().unwrap_or(b'?')).to_string())
            .collect());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') {
        if begin.len() != end.len() {
            return Err(wrong("host range must specify equal-length begin and end formats"));
        }
        begin.len()
    } else {
        0
    };
    let number = |s: &str| s.parse::<u64>().map_err(|_| wrong("host range must be numbers or letters"));
    let (a, b) = (number(begin)?, number(end)?);
    // A range that runs backwards has no hosts, as in Ansible.
    if b.saturating_sub(a) / step as u64 > MAX_HOSTS as u64 {
        return Err(wrong("host range makes too many hosts"));
    }
    Ok((a..=b).step_by(step).map(|i| format!("{i:0width$}")).collect())
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn letter(s: &str) -> Option<usize> {
    let mut c = s.chars();
    match (c.next(), c.next()) {
        (Some(c), None) => LETTERS.find(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let e = |s: &str| expand(s).map(|(h, p)| (h.join(" "), p)).map_err(|e| e.to_string());
        assert_eq!(e("web[01:03].x"), Ok(("web01.x web02.x web03.x".into(), None)));
        assert_eq!(e("db[a:c]:22"), Ok(("dba dbb dbc".into(), Some(22))));
        assert_eq!(e("h[0:6:3]-[1:2]"), Ok(("h0-1 h0-2 h3-1 h3-2 h6-1 h6-2".into(), None)));
        assert_eq!(e("[::1]:22"), Ok(("::1".into(), Some(22))));
        assert_eq!(e("10.0.0.[1:2]"), Ok(("10.0.0.1 10.0.0.2".into(), None)));
        assert_eq!(e("h[08:10]"), Ok(("h08 h09 h10".into(), None)));
        assert_eq!(e("h[3:1]"), Ok((String::new(), None)));
        assert!(e("h[1").is_err());
        assert!(e("h[01:100]").is_err());
        assert!(e("h[1]").is_err());
        assert!(e("h[0:99999999999]").is_err());
    }

    #[test]
    fn simple_names_are_those_of_the_pattern() {
        let parts = ["a", "Z9", "_", "-", ".", "a-b", "", ":", "[", "é", " ", "\n"];
        for x in parts {
            for y in parts {
                for z in parts {
                    let name = format!("{x}{y}{z}");
                    assert_eq!(is_simple(&name), name.is_ascii() && is(&PLAIN_HOST, &name), "{name:?}");
                }
            }
        }
    }
}
