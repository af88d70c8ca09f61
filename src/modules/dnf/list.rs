//! The `list` argument: what packages and repositories there are.

use super::names::is_no_name;
use super::{Dialect, Job};
use crate::modules::{Failure, ModResult, Outcome};
use serde_json::{Value as Json, json};

const QUERY: &str = "%{name}|%{arch}|%{epoch}|%{version}|%{release}|%{repoid}\\n";

impl Job<'_, '_> {
    pub(super) fn list(&self, what: &str) -> ModResult {
        if self.dialect == Dialect::Yum {
            return Err("list needs dnf: yum cannot be asked in a form for programs".into());
        }
        let results = match what {
            no_name if is_no_name(no_name) => vec![],
            "installed" => self.packages(&["--installed"])?,
            "updates" | "upgrades" => self.packages(&["--upgrades"])?,
            "available" => self.packages(&["--available"])?,
            "repos" | "repositories" => self.repositories()?,
            pattern => {
                let mut all = self.packages(&["--installed", pattern])?;
                all.extend(self.packages(&["--available", pattern])?);
                all
            }
        };
        Ok(Outcome::ok().msg("").set("results", results))
    }

    fn packages(&self, which: &[&str]) -> Result<Vec<Json>, Failure> {
        // dnf ends each line itself; dnf5 writes the format as it is.
        let format = if self.dialect == Dialect::Dnf5 { QUERY } else { QUERY.trim_end_matches("\\n") };
        let text = self.query(&[&["repoquery", "--qf", format], which].concat())?;
        let installed = which.contains(&"--installed");
        let mut all: Vec<Json> = text.lines().filter_map(|l| package(l, installed)).collect();
        // The tool sorts whole lines: repositories are mixed, and tool-doc is before tool.
        all.sort_by_key(|p| ["repo", "name"].map(|k| p[k].as_str().unwrap_or("").to_owned()));
        Ok(all)
    }

    fn repositories(&self) -> Result<Vec<Json>, Failure> {
        let text = self.query(&["repolist", "--enabled"])?;
        let ids = text.lines().filter(|l| !l.starts_with("repo id")).filter_map(|l| l.split_whitespace().next());
        Ok(ids.map(|id| json!({"repoid": id, "state": "enabled"})).collect())
    }
}

fn package(line: &str, installed: bool) -> Option<Json> {
    let f: Vec<&str> = line.trim().split('|').collect();
    let [name, arch, epoch, version, release, repo] = f.as_slice() else { return None };
    let full = format!("{epoch}:{name}-{version}-{release}.{arch}");
    let (repo, state) = if installed { ("@System", "installed") } else { (*repo, "available") };
    Some(json!({"name": name, "arch": arch, "epoch": epoch, "release": release, "version": version, "repo": repo,
        "nevra": full, "envra": full, "yumstate": state}))
}
