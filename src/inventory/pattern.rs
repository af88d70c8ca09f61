//! Host patterns: `a:b`, `a,b`, `&x`, `!x`, globs, `~regex`, `group[0]`, `group[1:3]`, `--limit` with `@file`.

use super::hostname::parse_address;
use super::{Inventory, LOCALHOST};
use crate::diag::{Error, Result};
use crate::modules::support::glob::fnmatch;
use fancy_regex::Regex;
use std::collections::HashSet;
use std::sync::Arc;

/// Splits `a:b,c` into its patterns. Commas win over colons; colons inside brackets, and the one of an
/// address with a port or of an IPv6 address, do not split. White space does, and lone brackets are dropped.
pub fn split(pattern: &str) -> Vec<String> {
    if pattern.contains(',') {
        return pattern.split(',').map(|p| p.trim().to_string()).filter(|p| !p.is_empty()).collect();
    }
    let pattern = pattern.trim();
    if parse_address(pattern, true).is_some() {
        return if pattern.is_empty() { Vec::new() } else { vec![pattern.to_string()] };
    }
    let mut out = vec![String::new()];
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let tail = rest.as_str();
        match (c, tail.find(']')) {
            ('[', Some(end)) => {
                if let Some(last) = out.last_mut() {
                    last.push('[');
                    last.push_str(tail.get(..=end).unwrap_or(""));
                }
                rest = tail.get(end + 1..).unwrap_or("").chars();
            }
            (':' | '[' | ']', _) => out.push(String::new()),
            (c, _) if c.is_whitespace() => out.push(String::new()),
            (c, _) => {
                if let Some(last) = out.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    out.retain(|p| !p.is_empty());
    out
}

/// Unions first, then intersections, then exclusions; only the latter two means "of all".
fn ordered(patterns: &[String]) -> Vec<&str> {
    let of = |f: fn(&str) -> bool| patterns.iter().map(String::as_str).filter(move |p| f(p)).collect::<Vec<_>>();
    let mut out = of(|p| !p.starts_with(['&', '!']));
    if out.is_empty() {
        out.push("all");
    }
    out.extend(of(|p| p.starts_with('&')));
    out.extend(of(|p| p.starts_with('!')));
    out
}

/// A place in a list of hosts: `[n]`, `[a:b]`, `[a:]`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subscript {
    One(i64),
    Range(i64, Option<i64>),
}

/// `group[1:2]` is the pattern `group` and a subscript; globs such as `h[ab]` have none.
fn subscript(pattern: &str) -> (&str, Option<Subscript>) {
    let none = (pattern, None);
    if pattern.starts_with('~') {
        return none;
    }
    let Some((expr, inner)) = pattern.strip_suffix(']').and_then(|p| p.rsplit_once('[')) else { return none };
    if expr.is_empty() {
        return none;
    }
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if digits(inner.strip_prefix('-').unwrap_or(inner)) {
        return match inner.parse() {
            Ok(n) => (expr, Some(Subscript::One(n))),
            Err(_) => none,
        };
    }
    match inner.split_once([':', '-']) {
        Some((a, b)) if digits(a) && (b.is_empty() || digits(b)) => match (a.parse(), b.parse()) {
            (Ok(a), Ok(b)) => (expr, Some(Subscript::Range(a, Some(b)))),
            (Ok(a), Err(_)) if b.is_empty() => (expr, Some(Subscript::Range(a, None))),
            _ => none,
        },
        _ => none,
    }
}

fn take(hosts: Vec<Arc<str>>, s: Subscript, pattern: &str) -> Result<Vec<Arc<str>>> {
    let len = hosts.len() as i64;
    match s {
        _ if hosts.is_empty() => Ok(hosts),
        Subscript::One(n) => {
            let at = if n < 0 { len + n } else { n };
            match usize::try_from(at).ok().and_then(|i| hosts.get(i)) {
                Some(h) => Ok(vec![h.clone()]),
                None => Err(Error::general(format!("No hosts matched the subscripted pattern '{pattern}'"))
                    .help(format!("The pattern before the brackets matches {len} hosts."))),
            }
        }
        Subscript::Range(a, b) => {
            let end = b.unwrap_or(len - 1);
            Ok(hosts
                .into_iter()
                .enumerate()
                .filter(|(i, _)| (a..=end).contains(&(*i as i64)))
                .map(|(_, h)| h)
                .collect())
        }
    }
}

/// How names are compared with a pattern.
enum Matcher {
    Exact(String),
    Glob(String),
    Regex(Box<Regex>),
}

impl Matcher {
    fn new(pattern: &str) -> Result<Matcher> {
        let wrong = |e: String| {
            Error::general(format!("Invalid host list pattern: {pattern}")).help(format!("It does not compile: {e}"))
        };
        if let Some(r) = pattern.strip_prefix('~') {
            let anchored = format!("^(?:{r})");
            return Regex::new(&anchored).map(|r| Matcher::Regex(Box::new(r))).map_err(|e| wrong(e.to_string()));
        }
        if !pattern.contains(['*', '?', '[']) {
            return Ok(Matcher::Exact(pattern.to_string()));
        }
        Ok(Matcher::Glob(pattern.to_string()))
    }
    fn fits(&self, name: &str) -> bool {
        match self {
            Matcher::Exact(p) => p == name,
            Matcher::Glob(p) => fnmatch(name, p),
            Matcher::Regex(r) => r.is_match(name).unwrap_or(false),
        }
    }
}

impl Inventory {
    /// The hosts that a pattern chooses, in inventory order. `localhost` and its addresses are answered even
    /// when the inventory does not define them (see [`Inventory::host`]). What matched nothing is a warning
    /// ([`Inventory::take_warnings`]). Errors: a pattern that does not compile, a subscript out of range.
    pub fn select(&self, pattern: &str) -> Result<Vec<Arc<str>>> {
        self.select_all(&[pattern])
    }

    /// As [`Inventory::select`] for a list of patterns (`hosts:` as a YAML list).
    pub fn select_all<S: AsRef<str>>(&self, patterns: &[S]) -> Result<Vec<Arc<str>>> {
        let parts: Vec<String> = patterns.iter().flat_map(|p| split(p.as_ref())).collect();
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        self.evaluate(&parts)
    }

    /// The hosts that `--limit` leaves: a pattern in which `@file` stands for the lines of a file. If nothing is
    /// named, as by an empty file, all hosts of the inventory, as in ansible-core.
    pub fn select_limit(&self, limit: &str) -> Result<Vec<Arc<str>>> {
        let mut parts = Vec::new();
        for part in split(limit) {
            let Some(file) = part.strip_prefix('@') else {
                parts.push(part);
                continue;
            };
            let text = match std::fs::read_to_string(super::load::absolute(file)) {
                Ok(t) => t,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::general(format!("Unable to find limit file {file}")));
                }
                Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => {
                    return Err(Error::general(format!(
                        "Limit starting with \"@\" must be a file, not a directory: {}",
                        super::load::absolute(file)
                    )));
                }
                Err(e) => return Err(Error::general(format!("Unable to read limit file {file}: {e}"))),
            };
            parts.extend(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_string));
        }
        if parts.is_empty() {
            self.warnings.push(format!("the limit '{limit}' names no host, so all hosts of the inventory are left"));
            return Ok(self.hosts_in("all"));
        }
        self.evaluate(&parts)
    }

    fn evaluate(&self, patterns: &[String]) -> Result<Vec<Arc<str>>> {
        let mut hosts: indexmap::IndexSet<Arc<str>> = indexmap::IndexSet::new();
        for p in ordered(patterns) {
            if let Some(h) = self.hosts.get(p) {
                hosts.insert(h.name.clone());
                continue;
            }
            let body = p.strip_prefix(['&', '!']).unwrap_or(p);
            let (expr, sub) = subscript(body);
            let mut found = self.matches(expr)?;
            if let Some(s) = sub {
                if matches!(s, Subscript::Range(..)) && !body.get(expr.len()..).unwrap_or("").contains(':') {
                    self.warnings
                        .push("Use [x:y] inclusive subscripts instead of [x-y] which has been removed".to_string());
                }
                found = take(found, s, p)?;
            }
            if p.starts_with('&') {
                let keep: HashSet<Arc<str>> = found.into_iter().collect();
                hosts.retain(|h| keep.contains(h));
            } else if p.starts_with('!') {
                let gone: HashSet<Arc<str>> = found.into_iter().collect();
                hosts.retain(|h| !gone.contains(h));
            } else {
                hosts.extend(found);
            }
        }
        Ok(hosts.into_iter().collect())
    }

    /// Groups first; hosts if no group fits or the pattern is a glob or regex.
    fn matches(&self, expr: &str) -> Result<Vec<Arc<str>>> {
        let mut out: Vec<Arc<str>> = Vec::new();
        let m = Matcher::new(expr)?;
        let mut groups = 0;
        let fitting: Vec<&Arc<str>> = match &m {
            Matcher::Exact(name) => self.groups.get_key_value(name.as_str()).map(|(k, _)| k).into_iter().collect(),
            m => self.groups.keys().filter(|g| m.fits(g)).collect(),
        };
        for g in fitting {
            groups += 1;
            out.extend(self.hosts_in(g));
        }
        if groups == 0 || expr.starts_with('~') || expr.contains(['.', '?', '*', '[']) {
            match &m {
                Matcher::Exact(name) => out.extend(self.hosts.get(name.as_str()).map(|h| h.name.clone())),
                m => out.extend(self.hosts.keys().filter(|h| m.fits(h)).cloned()),
            }
        }
        if out.is_empty()
            && LOCALHOST.contains(&expr)
            && let Some(h) = self.host(expr)
        {
            out.push(h.name);
        }
        if out.is_empty() && groups == 0 && expr != "all" {
            self.warnings.push(format!("Could not match supplied host pattern, ignoring: {expr}"));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::LoadOptions;

    /// Patterns and limits over one inventory, recorded from InventoryManager.list_hosts of ansible-core 2.19.
    #[test]
    fn patterns_as_ansible() {
        let cases: Vec<(String, String, serde_json::Value, Vec<String>)> =
            serde_json::from_str(include_str!("testdata/patterns.json")).expect("recorded cases");
        let tmp = tempfile::tempdir().expect("dir");
        let file = |name: &str, text: &str| {
            let p = tmp.path().join(name);
            std::fs::write(&p, text).expect("write");
            p.to_str().expect("utf-8").to_string()
        };
        let hosts = file("hosts", include_str!("testdata/patterns.ini"));
        file("lim", "web1.x\n# c\ndba\nweb\n");
        file("lim2", "nosuch\n");
        let (inv, _) = Inventory::load(&[hosts], &LoadOptions::default()).expect("loads");
        let mut wrong = Vec::new();
        for (pattern, limit, want, want_warnings) in &cases {
            let limit = limit.replace('@', &format!("@{}/", tmp.path().display()));
            let got = inv.select(pattern).and_then(|mut hosts| {
                if !limit.is_empty() {
                    let keep = inv.select_limit(&limit)?;
                    hosts.retain(|h| keep.contains(h));
                }
                Ok(hosts)
            });
            let warnings = inv.take_warnings();
            let same = match (&got, want) {
                (Ok(hosts), serde_json::Value::Array(w)) => {
                    let w: Vec<&str> = w.iter().filter_map(|v| v.as_str()).collect();
                    hosts.iter().map(|h| &**h).eq(w) && warnings == *want_warnings
                }
                (Err(_), serde_json::Value::String(_)) => true,
                _ => false,
            };
            if !same {
                wrong.push(format!(
                    "{pattern:?} limit {limit:?}\n got {got:?} {warnings:?}\nwant {want} {want_warnings:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }

    #[test]
    fn many_hosts_are_no_burden() {
        let tmp = tempfile::tempdir().expect("dir");
        let path = tmp.path().join("hosts");
        std::fs::write(&path, "[a]\nh[1:50000] x=1 y=[1,2]\n[b:children]\na\n").expect("write");
        let (inv, _) = Inventory::load(&[path.display().to_string()], &LoadOptions::default()).expect("loads");
        assert_eq!(inv.select("b:!h1*").expect("selects").len(), 50_000 - 11_111);
    }
}
