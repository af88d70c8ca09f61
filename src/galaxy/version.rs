//! Semantic versions of collections and the ranges that requirements name.

use std::cmp::Ordering;

/// `MAJOR.MINOR.PATCH[-pre][+build]`; the build is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre: Vec<String>,
}

impl Version {
    pub fn parse(text: &str) -> Option<Version> {
        let (text, _build) = text.split_once('+').unwrap_or((text, ""));
        let (core, pre) = match text.split_once('-') {
            Some((c, p)) => (c, p.split('.').map(str::to_string).collect()),
            None => (text, vec![]),
        };
        let mut parts = core.split('.').map(|p| p.parse::<u64>().ok());
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        let plain = |s: &String| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        (parts.next().is_none() && pre.iter().all(plain)).then_some(Version { numbers, pre })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = || match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            // a release stands above its candidates
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let each = self.pre.iter().zip(&other.pre).map(|(a, b)| match (a.parse::<u64>(), b.parse::<u64>()) {
                    (Ok(a), Ok(b)) => a.cmp(&b),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => a.cmp(b),
                });
                each.fold(Ordering::Equal, Ordering::then).then(self.pre.len().cmp(&other.pre.len()))
            }
        };
        self.numbers.cmp(&other.numbers).then_with(pre)
    }
}
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Does the version lie in a range such as `>=1.0.0,<2.0.0`, `1.2.3` or `*`? A version that is no semantic one
/// fits only itself and `*`.
pub fn fits(version: &str, range: &str) -> bool {
    range.split(',').map(str::trim).all(|r| {
        if r.is_empty() || r == "*" {
            return true;
        }
        let end = r.find(|c| !matches!(c, '<' | '>' | '=' | '!')).unwrap_or(r.len());
        let (op, wanted) = r.split_at(end);
        let wanted = wanted.trim();
        let (Some(a), Some(b)) = (Version::parse(version), Version::parse(wanted)) else {
            return match op {
                "" | "=" | "==" => version == wanted,
                "!=" => version != wanted,
                _ => false,
            };
        };
        match op {
            "" | "=" | "==" => a == b,
            "!=" => a != b,
            ">" => a > b,
            ">=" => a >= b,
            "<" => a < b,
            "<=" => a <= b,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_ranges() {
        let v = |s: &str| Version::parse(s).unwrap_or_else(|| panic!("{s}"));
        assert!(v("1.0.0-alpha.2") < v("1.0.0-alpha.10"));
        assert!(v("1.0.0-rc1") < v("1.0.0") && v("1.0.0") < v("1.0.1"));
        assert!(v("1.0.0-alpha") < v("1.0.0-alpha.1") && v("1.0.0-1") < v("1.0.0-a"));
        for bad in ["1.0", "1.0.0.0", "a.b.c", "1.0.0-", ""] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
        assert!(fits("1.5.0", ">=1.0.0,<2.0.0") && !fits("2.0.0", ">=1.0.0,<2.0.0"));
        assert!(fits("1.0.0", "*") && fits("1.0.0", "1.0.0") && !fits("1.0.0", "!=1.0.0"));
    }
}
