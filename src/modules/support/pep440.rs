//! Versions and requirements of Python packages.
//!
//! After <https://packaging.python.org/en/latest/specifications/version-specifiers/>.

use std::cmp::Ordering;

/// A version; the local part (`+x`) is kept as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    epoch: u64,
    release: Vec<u64>,
    /// `a`, `b` or `rc` as 0, 1, 2, and its number.
    pre: Option<(u8, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: String,
}

impl Version {
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix('v').unwrap_or(&text);
        let (public, local) = text.split_once('+').unwrap_or((text, ""));
        let (epoch, mut rest) = match public.split_once('!') {
            Some((e, r)) => (e.parse().ok()?, r),
            None => (0, public),
        };
        let mut release = vec![number(&mut rest)?];
        while let Some(r) = rest.strip_prefix('.')
            && r.starts_with(|c: char| c.is_ascii_digit())
        {
            rest = r;
            release.push(number(&mut rest)?);
        }
        let (mut pre, mut post, mut dev) = (None, None, None);
        if let Some(r) = rest.strip_prefix('-')
            && r.starts_with(|c: char| c.is_ascii_digit())
        {
            rest = r;
            post = Some(number(&mut rest)?);
        }
        while !rest.is_empty() {
            rest = rest.trim_start_matches(['.', '-', '_']);
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            rest = tail.strip_prefix(['.', '-', '_']).unwrap_or(tail);
            let n = if rest.starts_with(|c: char| c.is_ascii_digit()) { number(&mut rest)? } else { 0 };
            match word {
                "a" | "alpha" => pre = Some((0, n)),
                "b" | "beta" => pre = Some((1, n)),
                "c" | "rc" | "pre" | "preview" => pre = Some((2, n)),
                "post" | "rev" | "r" => post = Some(n),
                "dev" => dev = Some(n),
                _ => return None,
            }
        }
        Some(Version { epoch, release, pre, post, dev, local: local.into() })
    }

    fn is_pre(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }
    fn key(&self) -> (u64, Vec<u64>, (u8, u8, u64), i128, i128) {
        let mut release = self.release.clone();
        while release.len() > 1 && release.last() == Some(&0) {
            release.pop();
        }
        // A development release stands before every other of its version, a final one after its candidates.
        let pre = match (self.pre, self.post, self.dev) {
            (None, None, Some(_)) => (0, 0, 0),
            (Some((kind, n)), ..) => (1, kind, n),
            (None, ..) => (2, 0, 0),
        };
        let post = self.post.map_or(-1, i128::from);
        let dev = self.dev.map_or(i128::MAX, i128::from);
        (self.epoch, release, pre, post, dev)
    }
    fn without_local(&self) -> Version {
        Version { local: String::new(), ..self.clone() }
    }
    fn starts_with(&self, epoch: u64, prefix: &[u64]) -> bool {
        let at = |i: usize| self.release.get(i).copied().unwrap_or(0);
        self.epoch == epoch && prefix.iter().enumerate().all(|(i, n)| at(i) == *n)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key()).then_with(|| self.local.cmp(&other.local))
    }
}
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn number(rest: &mut &str) -> Option<u64> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, tail) = rest.split_at(end);
    *rest = tail;
    digits.parse().ok()
}

/// A package with the versions that are asked for, e.g. `name[extra]>=1,<2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub name: String,
    extras: String,
    /// Operator and version, e.g. (`>=`, `1`).
    pub specs: Vec<(String, String)>,
}

const OPERATORS: [&str; 8] = ["===", "==", "!=", "~=", "<=", ">=", "<", ">"];

impl Requirement {
    /// Reads a requirement without marker or URL; `None` for anything else.
    pub fn parse(text: &str) -> Option<Requirement> {
        let text = text.trim();
        let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let end = text.find(|c| !word(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let alnum = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !alnum(name.chars().next()) || !alnum(name.chars().last()) {
            return None;
        }
        let rest = rest.trim_start();
        let (extras, rest) = match rest.strip_prefix('[') {
            Some(r) => {
                let (inside, tail) = r.split_once(']')?;
                let mut names: Vec<&str> = inside.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
                names.sort_unstable();
                (format!("[{}]", names.join(",")), tail.trim_start())
            }
            None => (String::new(), rest),
        };
        let rest = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest);
        let mut specs = vec![];
        for part in rest.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let op = OPERATORS.iter().find(|o| part.starts_with(**o))?;
            let version = part.strip_prefix(op)?.trim();
            if version.is_empty() || version.contains(|c: char| c.is_whitespace() || ";@<>=~()".contains(c)) {
                return None;
            }
            if *op != "===" {
                let prefix = matches!(*op, "==" | "!=").then(|| version.strip_suffix(".*")).flatten();
                Version::parse(prefix.unwrap_or(version))?;
            }
            specs.push((op.to_string(), version.to_owned()));
        }
        Some(Requirement { name: name.into(), extras, specs })
    }

    /// Whether a package is the one that is meant: names are compared as the index does.
    pub fn is(&self, package: &str) -> bool {
        canonical(&self.name) == canonical(package)
    }

    /// Whether a version is one of those asked for.
    pub fn allows(&self, version: &str) -> bool {
        self.specs.iter().all(|(op, want)| satisfied(op, want, version))
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut specs: Vec<String> = self.specs.iter().map(|(o, v)| format!("{o}{v}")).collect();
        specs.sort();
        write!(f, "{}{}{}", self.name, self.extras, specs.join(","))
    }
}

fn canonical(name: &str) -> String {
    let mut out = String::new();
    for part in name.split(['-', '_', '.']).filter(|p| !p.is_empty()) {
        if !out.is_empty() {
            out.push('-');
        }
        out.push_str(&part.to_ascii_lowercase());
    }
    out
}

fn satisfied(op: &str, want: &str, version: &str) -> bool {
    if op == "===" {
        return want.eq_ignore_ascii_case(version);
    }
    let Some(have) = Version::parse(version) else { return false };
    if let Some(prefix) = want.strip_suffix(".*").and_then(Version::parse) {
        return have.starts_with(prefix.epoch, &prefix.release) == (op == "==");
    }
    let Some(want) = Version::parse(want) else { return false };
    let plain = if want.local.is_empty() { have.without_local() } else { have.clone() };
    match op {
        "==" => plain == want || plain.cmp(&want) == Ordering::Equal,
        "!=" => plain.cmp(&want) != Ordering::Equal,
        "<=" => plain <= want,
        ">=" => plain >= want,
        "<" => plain < want && !(have.is_pre() && !want.is_pre() && have.starts_with(want.epoch, &want.release)),
        ">" => {
            plain > want && !(have.post.is_some() && want.post.is_none() && have.starts_with(want.epoch, &want.release))
        }
        "~=" => {
            let prefix = want.release.get(..want.release.len().saturating_sub(1)).unwrap_or_default();
            plain >= want && have.starts_with(want.epoch, prefix)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let order = ["1.0.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.1.dev1", "1.1", "1!0.1"];
        for pair in order.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::parse("1.0").cmp(&Version::parse("v1")), Ordering::Equal);
        assert!(Version::parse("one").is_none() && Version::parse("1.x").is_none() && Version::parse("").is_none());
    }

    #[test]
    fn requirements() {
        let allows = |r: &str, v: &str| Requirement::parse(r).expect("valid").allows(v);
        assert!(allows("a>0.10,<0.20,!=0.11", "0.12") && !allows("a>0.10,<0.20,!=0.11", "0.11"));
        assert!(allows("a==1.*", "1.9") && !allows("a==1.*", "2") && allows("a!=1.*", "2"));
        assert!(allows("a~=2.2", "2.9") && !allows("a~=2.2", "3.0") && !allows("a~=2.2.1", "2.3"));
        assert!(allows("a==1.0", "1+local") && !allows("a<2", "2rc1") && allows("a", "0") && !allows("a>1", "1.post1"));
        let r = Requirement::parse("Foo_bar [b, a] >0.5, <2").expect("valid");
        assert_eq!(r.to_string(), "Foo_bar[a,b]<2,>0.5");
        assert!(r.is("foo-bar") && r.is("FOO.BAR") && !r.is("foo"));
        for bad in ["", "a b", "bad spec===", "git+http://x/y", "./x", "a;python_version<'3'", "a==x", "-r"] {
            assert_eq!(Requirement::parse(bad), None, "{bad}");
        }
    }
}
