//! What is installed and what could be, from dpkg-query and apt-cache.

use super::Apt;
use crate::modules::Failure;
use crate::modules::support::exec::Cmd;
use crate::modules::support::glob::{fnmatch, has_magic};
use std::collections::{BTreeMap, BTreeSet};

/// A package as asked for: `name[:arch][=version|>=version]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub name: String,
    pub op: Option<Op>,
    pub version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Equal,
    AtLeast,
}

impl Wish {
    pub fn parse(text: &str) -> Wish {
        let (name, op, version) = match (text.split_once(">="), text.split_once('=')) {
            (Some((n, v)), _) => (n, Some(Op::AtLeast), v),
            (None, Some((n, v))) => (n, Some(Op::Equal), v),
            (None, None) => (text, None, ""),
        };
        Wish { name: name.trim().into(), op, version: version.trim().into() }
    }
    pub fn shown(&self) -> String {
        match self.op {
            None => self.name.clone(),
            Some(Op::Equal) => format!("{}={}", self.name, self.version),
            Some(Op::AtLeast) => format!("{}>={}", self.name, self.version),
        }
    }
    /// The name without the architecture.
    pub fn base(&self) -> &str {
        self.name.split(':').next().unwrap_or("")
    }
}

/// A package in dpkg's database.
#[derive(Clone, Debug)]
pub struct Installed {
    pub version: String,
    pub arch: String,
    /// False if only its configuration files are left.
    pub whole: bool,
    pub provides: Vec<String>,
}

/// Name to what is known of it (one entry per architecture).
pub type Database = BTreeMap<String, Vec<Installed>>;

/// What apt could install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    pub candidate: Option<String>,
    /// All versions, the newest first.
    pub versions: Vec<String>,
}

impl Apt<'_, '_> {
    pub fn database(&self) -> Result<Database, Failure> {
        let format = "${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Status}\\t${Provides}\\n";
        let o = Cmd::new(["dpkg-query", "-W", "-f", format]).c_locale().run(self.ctx)?;
        Ok(parse_database(&o.out()))
    }

    /// apt-cache policy for these names.
    pub fn candidates(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, Candidate>, Failure> {
        let mut all = BTreeMap::new();
        let list: Vec<&String> = names.iter().filter(|n| !n.starts_with('-')).collect();
        for part in list.chunks(500) {
            let mut c = Cmd::new(["apt-cache", "policy"]);
            if let Some(r) = self.args.opt_str("default_release") {
                c = c.args(["-o".to_string(), format!("APT::Default-Release={r}")]);
            }
            let o = c.args(part.iter().map(|s| s.as_str())).c_locale().run(self.ctx)?;
            if !o.ok() {
                return Err(Failure::new(o.err().trim().to_string()).set("_direct", true));
            }
            all.extend(parse_policy(&o.out()));
        }
        Ok(all)
    }

    /// Packages that provide a virtual one.
    pub fn providers(&self, name: &str) -> Result<Vec<String>, Failure> {
        if name.starts_with('-') {
            return Ok(vec![]);
        }
        let o = Cmd::new(["apt-cache", "showpkg", name]).c_locale().run(self.ctx)?;
        let out = o.out();
        let after = out.split_once("Reverse Provides:").map(|(_, r)| r).unwrap_or("");
        let mut names: Vec<String> =
            after.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect();
        names.dedup();
        Ok(names)
    }

    /// Patterns replaced by the names they match.
    pub fn expand(
        &self,
        packages: &[String],
        known: impl Fn() -> Result<Vec<String>, Failure>,
    ) -> Result<Vec<Wish>, Failure> {
        let mut out = vec![];
        let mut names: Option<Vec<String>> = None;
        for p in packages {
            let w = Wish::parse(p);
            if !has_magic(&w.name) {
                out.push(w);
                continue;
            }
            if names.is_none() {
                names = Some(known()?);
            }
            let found: Vec<&String> = names.iter().flatten().filter(|n| fnmatch(n, &w.name)).collect();
            if found.is_empty() {
                return Err(Failure::new(format!("No package(s) matching '{}' available", w.name)).set("_direct", true));
            }
            out.extend(found.into_iter().map(|n| Wish { name: n.clone(), ..w.clone() }));
        }
        Ok(out)
    }

    /// True if version `a` is at least `b`, by dpkg's rules.
    pub fn at_least(&self, a: &str, b: &str) -> Result<bool, Failure> {
        Ok(Cmd::new(["dpkg", "--compare-versions", a, "ge", b]).c_locale().run(self.ctx)?.ok())
    }
}

fn parse_database(text: &str) -> Database {
    let mut all = Database::new();
    for line in text.lines() {
        let f: Vec<&str> = line.split('\t').collect();
        let [name, arch, version, status, provides] = f.as_slice() else { continue };
        if *status == "not-installed" {
            continue;
        }
        let provides = provides.split(',').filter_map(|p| p.split_whitespace().next()).map(str::to_string).collect();
        let whole = *status != "config-files";
        let entry = Installed { version: version.to_string(), arch: arch.to_string(), whole, provides };
        all.entry(name.to_string()).or_default().push(entry);
    }
    all
}

fn parse_policy(text: &str) -> BTreeMap<String, Candidate> {
    let mut all: BTreeMap<String, Candidate> = BTreeMap::new();
    let mut name = String::new();
    let mut table = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            name = line.trim_end_matches(':').to_string();
            table = false;
            all.insert(name.clone(), Candidate::default());
            continue;
        }
        let Some(c) = all.get_mut(&name) else { continue };
        let t = line.trim();
        if let Some(v) = t.strip_prefix("Candidate:") {
            let v = v.trim();
            c.candidate = (v != "(none)").then(|| v.to_string());
        } else if t == "Version table:" {
            table = true;
        } else if table && (line.starts_with(" *** ") || (line.starts_with("     ") && !line.starts_with("      "))) {
            // "     2.0 500": a version; lines of its sources stand further to the right.
            if let Some(v) = line.get(5..).and_then(|l| l.split_whitespace().next()) {
                c.versions.push(v.to_string());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        assert_eq!(Wish::parse("a=1.*"), Wish { name: "a".into(), op: Some(Op::Equal), version: "1.*".into() });
        assert_eq!(Wish::parse("a>=2").op, Some(Op::AtLeast));
        assert_eq!(
            (Wish::parse("a:arm64").base().to_string(), Wish::parse("a>=2").shown()),
            ("a".into(), "a>=2".into())
        );
    }

    #[test]
    fn policy() {
        let t = "toya:\n  Installed: 1.0\n  Candidate: 2.0\n  Version table:\n     2.0 500\n        500 file:/opt/repo ./ Packages\n *** 1.0 100\n        100 /var/lib/dpkg/status\nvirt:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        let p = parse_policy(t);
        assert_eq!(p["toya"], Candidate { candidate: Some("2.0".into()), versions: vec!["2.0".into(), "1.0".into()] });
        assert_eq!(p["virt"], Candidate::default());
        assert!(parse_policy("  x\n").is_empty());
    }

    #[test]
    fn database() {
        let d = parse_database(
            "a\tall\t1.0\tinstalled\tv (= 1), w\nb\tall\t2\tconfig-files\t\nc\tall\t\tnot-installed\t\njunk\n",
        );
        assert_eq!((d["a"][0].whole, d["a"][0].provides.clone()), (true, vec!["v".into(), "w".into()]));
        assert!(!d["b"][0].whole && !d.contains_key("c"));
    }
}
