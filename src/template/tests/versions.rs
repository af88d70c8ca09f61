//! The version test: loose, strict, semantic and PEP 440 versions.

use super::{Test, t};
use crate::template::filters::Args;
use crate::template::filters::py::{self, Res, error, fail};
use minijinja::Value;
use std::cmp::Ordering;

pub const TESTS: &[Test] =
    &[t(&["version", "version_compare"], "value, version, operator=, strict=, version_type=", |_, a| version(a))];

fn version(a: &Args) -> Res<bool> {
    let (value, version) = (a.text("value")?, a.text("version")?);
    if value.is_empty() || a.val("value").is_none() {
        return fail("Input version value cannot be empty");
    }
    if version.is_empty() || a.val("version").is_none() {
        return fail("Version parameter to compare against cannot be empty");
    }
    let strict = a.some("strict");
    let kind = a.text_opt("version_type")?;
    if strict.is_some() && kind.is_some() {
        return fail("Cannot specify both 'strict' and 'version_type'");
    }
    let kind = match (strict, kind) {
        (Some(s), _) if py::truthy(s)? => "strict".to_string(),
        (_, Some(k)) => k,
        _ => "loose".to_string(),
    };
    let operator = a.text_or("operator", "eq")?;
    let hit: fn(Ordering) -> bool = match operator.as_str() {
        "==" | "=" | "eq" => |o| o == Ordering::Equal,
        "<" | "lt" => |o| o == Ordering::Less,
        "<=" | "le" => |o| o != Ordering::Greater,
        ">" | "gt" => |o| o == Ordering::Greater,
        ">=" | "ge" => |o| o != Ordering::Less,
        "!=" | "<>" | "ne" => |o| o != Ordering::Equal,
        other => {
            return fail(format!(
                "Invalid operator type ({other}). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', \
                 '>=', 'ge', '!=', '<>', 'ne'"
            ));
        }
    };
    let order = match kind.as_str() {
        "loose" => compare_loose(&value, &version),
        "strict" => strict_key(&value).and_then(|x| Ok(x.cmp(&strict_key(&version)?))),
        "semver" | "semantic" => Semver::parse(&value).and_then(|x| Ok(x.order(&Semver::parse(&version)?))),
        "pep440" => pep440_key(&value).and_then(|x| Ok(x.cmp(&pep440_key(&version)?))),
        other => {
            return fail(format!(
                "Invalid version type ({other}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'"
            ));
        }
    };
    order.map(hit).map_err(|e| error(format!("Version comparison failed: {}", e.detail().unwrap_or_default())))
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Number(i128),
    Text(String),
}

/// Digits and lower-case words apart; dots separate, other signs stay as they are.
fn loose(s: &str) -> Vec<Piece> {
    let class = |c: char| match c {
        '0'..='9' => 0,
        'a'..='z' => 1,
        '.' => 2,
        _ => 3,
    };
    let mut out: Vec<(u8, String)> = vec![];
    for c in s.chars() {
        match out.last_mut() {
            Some((k, text)) if *k == class(c) && *k != 2 => text.push(c),
            _ => out.push((class(c), c.to_string())),
        }
    }
    out.into_iter()
        .filter(|(k, _)| *k != 2)
        .map(|(_, s)| s.parse().map(Piece::Number).unwrap_or(Piece::Text(s)))
        .collect()
}

fn compare_loose(a: &str, b: &str) -> Res<Ordering> {
    let (x, y) = (loose(a), loose(b));
    for (p, q) in x.iter().zip(&y) {
        match (p, q) {
            (Piece::Number(m), Piece::Number(n)) if m != n => return Ok(m.cmp(n)),
            (Piece::Text(m), Piece::Text(n)) if m != n => return Ok(m.cmp(n)),
            (Piece::Number(_), Piece::Text(_)) => {
                return fail("'<' not supported between instances of 'int' and 'str'");
            }
            (Piece::Text(_), Piece::Number(_)) => {
                return fail("'<' not supported between instances of 'str' and 'int'");
            }
            _ => {}
        }
    }
    Ok(x.len().cmp(&y.len()))
}

/// Two or three numbers, then perhaps `a` or `b` and a number (an alpha or beta comes before the release).
fn strict_key(s: &str) -> Res<(Vec<u64>, bool, (char, u64))> {
    let bad = || error(format!("invalid version number {}", py::repr(&Value::from(s)).unwrap_or_default()));
    let (numbers, pre) = match s.find(['a', 'b']) {
        Some(i) => {
            let (front, tail) = s.split_at(i);
            let letter = tail.chars().next().unwrap_or('a');
            (front, Some((letter, tail.get(1..).unwrap_or("").parse::<u64>().map_err(|_| bad())?)))
        }
        None => (s, None),
    };
    let mut parts = numbers
        .split('.')
        .map(|p| if p.bytes().all(|b| b.is_ascii_digit()) { p.parse::<u64>().map_err(|_| bad()) } else { Err(bad()) })
        .collect::<Res<Vec<_>>>()?;
    if parts.len() != 2 && parts.len() != 3 {
        return Err(bad());
    }
    parts.resize(3, 0);
    Ok((parts, pre.is_none(), pre.unwrap_or(('z', 0))))
}

struct Semver {
    core: [u64; 3],
    pre: Vec<String>,
}

impl Semver {
    fn parse(s: &str) -> Res<Semver> {
        let bad = || error(format!("invalid semantic version {}", py::repr(&Value::from(s)).unwrap_or_default()));
        let word = |p: &str| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        let no_zero = |p: &str| digits(p) && (p == "0" || !p.starts_with('0'));
        let (rest, build) = s.split_once('+').map_or((s, None), |(r, b)| (r, Some(b)));
        let (core, pre) = rest.split_once('-').map_or((rest, None), |(c, p)| (c, Some(p)));
        if build.is_some_and(|b| !b.split('.').all(word)) {
            return Err(bad());
        }
        let pre: Vec<String> = pre.map(|p| p.split('.').map(str::to_string).collect()).unwrap_or_default();
        if !pre.iter().all(|p| word(p) && (!digits(p) || no_zero(p))) {
            return Err(bad());
        }
        let numbers: Vec<&str> = core.split('.').collect();
        if numbers.len() != 3 || !numbers.iter().all(|n| no_zero(n)) {
            return Err(bad());
        }
        let numbers = numbers.iter().map(|n| n.parse().map_err(|_| bad())).collect::<Res<Vec<u64>>>()?;
        Ok(Semver { core: numbers.try_into().map_err(|_| bad())?, pre })
    }
    fn order(&self, other: &Semver) -> Ordering {
        self.core.cmp(&other.core).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                for (p, q) in self.pre.iter().zip(&other.pre) {
                    let order = match (p.parse::<u64>(), q.parse::<u64>()) {
                        (Ok(m), Ok(n)) => m.cmp(&n),
                        (Ok(_), Err(_)) => Ordering::Less,
                        (Err(_), Ok(_)) => Ordering::Greater,
                        (Err(_), Err(_)) => p.cmp(q),
                    };
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                self.pre.len().cmp(&other.pre.len())
            }
        })
    }
}

/// A part of a local version: numbers come after words.
type Local = (bool, u64, String);
/// Epoch, release without zeros at its end, pre-release, post-release, development release, local part.
type Pep440 = (u64, Vec<u64>, (i8, u64), (bool, u64), (bool, u64), Vec<Local>);

/// The order of a version by PEP 440.
fn pep440_key(s: &str) -> Res<Pep440> {
    let bad = || error(format!("Invalid version: {}", py::repr(&Value::from(s)).unwrap_or_default()));
    let lower = s.trim().to_lowercase();
    let text = lower.strip_prefix('v').unwrap_or(&lower);
    let (public, local) = text.split_once('+').map_or((text, None), |(p, l)| (p, Some(l)));
    let (epoch, rest) = match public.split_once('!') {
        Some((e, r)) => (e.parse().map_err(|_| bad())?, r),
        None => (0, public),
    };
    let mut at = Cursor(rest);
    let mut release = vec![at.number().ok_or_else(bad)?];
    loop {
        let mark = at.0;
        match at.0.strip_prefix('.') {
            Some(r) => at.0 = r,
            None => break,
        }
        match at.number() {
            Some(n) => release.push(n),
            None => {
                at.0 = mark;
                break;
            }
        }
    }
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let mut pre = None;
    if let Some((w, n)) = at.tagged(&["alpha", "beta", "preview", "pre", "rc", "a", "b", "c"]) {
        let rank = match w {
            "alpha" | "a" => 0,
            "beta" | "b" => 1,
            _ => 2,
        };
        pre = Some((rank, n.unwrap_or(0)));
    }
    let mut post = at.tagged(&["post", "rev", "r"]).map(|(_, n)| n.unwrap_or(0));
    if post.is_none()
        && let Some(r) = at.0.strip_prefix('-')
        && r.starts_with(|c: char| c.is_ascii_digit())
    {
        at.0 = r;
        post = at.number();
    }
    let dev = at.tagged(&["dev"]).map(|(_, n)| n.unwrap_or(0));
    if !at.0.is_empty() {
        return Err(bad());
    }
    let local = match local {
        None => vec![],
        Some(l) => l
            .split(['.', '-', '_'])
            .map(|p| match p.parse::<u64>() {
                Ok(n) => Ok((true, n, String::new())),
                Err(_) if !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric()) => {
                    Ok((false, 0, p.to_string()))
                }
                Err(_) => Err(bad()),
            })
            .collect::<Res<_>>()?,
    };
    // a development release of a release comes before its alphas, a release after its candidates
    let pre_key = match (pre, post, dev) {
        (Some((rank, n)), _, _) => (rank, n),
        (None, None, Some(_)) => (-1, 0),
        _ => (3, 0),
    };
    let post_key = post.map_or((false, 0), |n| (true, n));
    let dev_key = dev.map_or((true, 0), |n| (false, n));
    Ok((epoch, release, pre_key, post_key, dev_key, local))
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        let n = digits.parse().ok()?;
        self.0 = rest;
        Some(n)
    }
    /// A word such as `rc` with an optional separator before it and a number after it.
    fn tagged(&mut self, words: &[&'static str]) -> Option<(&'static str, Option<u64>)> {
        let body = self.0.strip_prefix(['.', '-', '_']).unwrap_or(self.0);
        let word = words.iter().find(|w| body.starts_with(**w))?;
        self.0 = body.get(word.len()..).unwrap_or("");
        let mark = self.0;
        self.0 = self.0.strip_prefix(['.', '-', '_']).unwrap_or(self.0);
        let n = self.number();
        if n.is_none() {
            self.0 = mark;
        }
        Some((word, n))
    }
}
