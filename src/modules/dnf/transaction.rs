//! Installing, upgrading and removing: what the tool says it would do, and what rpm knows afterwards.

use super::{Dialect, Job};
use crate::modules::support::exec::Output;
use crate::modules::support::glob::has_magic;
use crate::modules::{Failure, ModResult, Outcome};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

const PREDICTED: &str = "Check mode: No changes made, but would have if not in check mode";
const FORMAT: &str = "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n";

/// What a transaction brings and takes, as `name-version-release.arch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    installed: Vec<String>,
    removed: Vec<String>,
    /// Names of packages whose older version is installed by it.
    replaced: Vec<String>,
    downgrades: bool,
}

impl Plan {
    /// Reads the table that the tool prints before it asks.
    pub(super) fn parse(said: &str) -> Plan {
        let mut plan = Plan::default();
        let mut part = "";
        for line in said.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if !line.starts_with(' ') {
                part = if line.trim_end().ends_with(':') { line.split([' ', ':']).next().unwrap_or("") } else { "" };
                continue;
            }
            let full = |w: &[&str]| match w {
                [name, arch, version, ..] => {
                    let version = version.split_once(':').map_or(*version, |(_, v)| v);
                    Some((name.to_string(), format!("{name}-{version}.{arch}")))
                }
                _ => None,
            };
            if let Some(("replacing", rest)) = words.split_first().map(|(f, r)| (*f, r)) {
                plan.removed.extend(full(rest).filter(|_| !part.is_empty()).map(|(_, n)| n));
                continue;
            }
            let Some((name, nevra)) = full(&words) else { continue };
            match part {
                "Installing" | "Reinstalling" => plan.installed.push(nevra),
                "Upgrading" | "Downgrading" => {
                    plan.installed.push(nevra);
                    plan.replaced.push(name);
                    plan.downgrades |= part == "Downgrading";
                }
                "Removing" => plan.removed.push(nevra),
                _ => {}
            }
        }
        plan
    }
}

impl Job<'_, '_> {
    /// True if rpm knows the name, what it provides, or a name with a version or a comparison.
    fn installed(&self, name: &str) -> Result<bool, Failure> {
        if name.starts_with('@') || name.contains("://") || name.ends_with(".rpm") {
            return Ok(false);
        }
        if has_magic(name) {
            return Ok(!self.rpm(&["-qa", name])?.out().trim().is_empty());
        }
        Ok(self.rpm(&["-q", name])?.ok() || self.rpm(&["-q", "--whatprovides", name])?.ok())
    }
    fn all(&self) -> Result<BTreeSet<String>, Failure> {
        let o = self.rpm(&["-qa", "--qf", FORMAT])?;
        Ok(o.out().lines().filter(|l| !l.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn install(&self, latest: bool, names: &[String]) -> ModResult {
        let mut notes: Vec<String> = vec![];
        let (mut fresh, mut upgrades) = (vec![], vec![]);
        let upgrade = if self.dialect == Dialect::Yum { "update" } else { "upgrade" };
        let only = self.args.bool("update_only");
        for n in names {
            if n.ends_with(".rpm") && !n.contains("://") && !Path::new(n).exists() {
                let msg = format!("Error occurred attempting remote rpm operation: Could not open: {n}");
                return Err(Failure::new(msg).set("rc", 1).set("results", json!([])));
            }
            if n.ends_with(".rpm") || n.contains("://") {
                notes.push(format!("Installed {n}"));
                fresh.push(n.clone());
            } else if n == "*" {
                upgrades.clear();
                return self.carry_out(notes, &[(upgrade, vec![])]);
            } else if self.installed(n)? {
                if latest {
                    upgrades.push(n.clone());
                }
            } else if latest && only {
                notes.push(format!("Packages providing {n} not installed due to update_only specified"));
            } else if self.goes_back(n)? && !self.args.bool("allow_downgrade") {
                continue;
            } else {
                fresh.push(n.clone());
            }
        }
        let mut steps = vec![];
        if !upgrades.is_empty() {
            steps.push((upgrade, upgrades));
        }
        if !fresh.is_empty() {
            steps.push(("install", fresh));
        }
        self.carry_out(notes, &steps)
    }

    /// True if the name asks for an older version than the one that is there.
    fn goes_back(&self, name: &str) -> Result<bool, Failure> {
        let versioned =
            name.contains(['<', '=']) || name.split('-').skip(1).any(|p| p.starts_with(|c: char| c.is_ascii_digit()));
        if !versioned || self.dialect == Dialect::Yum {
            return Ok(false);
        }
        let o = self.predict(&["install"], &[name.to_owned()])?;
        Ok(Plan::parse(&o.out()).downgrades)
    }

    pub(super) fn remove(&self, names: &[String]) -> ModResult {
        let mut notes = vec![];
        let mut here = vec![];
        for n in names {
            if n.starts_with('@') || self.installed(n)? {
                here.push(n.clone());
            } else {
                notes.push(format!("No match for argument: {n}"));
            }
        }
        let mut steps = vec![];
        if !here.is_empty() {
            steps.push(("remove", here));
        } else if names.is_empty() && self.args.bool("autoremove") {
            steps.push(("autoremove", vec![]));
        }
        self.carry_out(notes, &steps)
    }

    /// Runs the steps; the results are what rpm tells apart before and after or, in a check run, what the tool plans.
    fn carry_out(&self, mut notes: Vec<String>, steps: &[(&str, Vec<String>)]) -> ModResult {
        let before = self.all()?;
        let mut plan = Plan::default();
        for (verb, names) in steps {
            let o = self.call(&[verb], names)?;
            let said = format!("{}\n{}", o.out(), o.err());
            self.judge(&o, &said, verb, &mut notes)?;
            let next = Plan::parse(&o.out());
            plan.installed.extend(next.installed);
            plan.removed.extend(next.removed);
            plan.replaced.extend(next.replaced);
        }
        if self.ctx.check || self.args.bool("download_only") {
            return self.planned(notes, plan, &before);
        }
        let after = self.all()?;
        let mut results: Vec<String> = after.difference(&before).map(|p| format!("Installed: {p}")).collect();
        results.extend(before.difference(&after).map(|p| format!("Removed: {p}")));
        Ok(done(notes, results, ""))
    }

    fn planned(&self, notes: Vec<String>, plan: Plan, before: &BTreeSet<String>) -> ModResult {
        let download = self.args.bool("download_only");
        let mut removed = plan.removed;
        for name in &plan.replaced {
            // dnf names the new version only; the old one is what rpm has.
            let old = self.rpm(&["-q", "--qf", FORMAT, name])?;
            let old: Vec<String> = old.out().lines().filter(|l| before.contains(*l)).map(str::to_owned).collect();
            removed.extend(old.into_iter().filter(|o| !plan.installed.contains(o)));
        }
        removed.sort();
        removed.dedup();
        let word = if download && !self.ctx.check { "Downloaded" } else { "Installed" };
        let mut results: Vec<String> = plan.installed.iter().map(|p| format!("{word}: {p}")).collect();
        if !download {
            results.extend(removed.iter().map(|p| format!("Removed: {p}")));
        }
        Ok(done(notes, results, if self.ctx.check { PREDICTED } else { "" }))
    }

    /// Fails for what went wrong; what is merely left out goes into the notes.
    fn judge(&self, o: &Output, said: &str, verb: &str, notes: &mut Vec<String>) -> Result<(), Failure> {
        let mut missing = vec![];
        for line in said.lines().map(str::trim) {
            let after = |p: &str| line.strip_prefix(p).map(|n| n.trim().to_owned());
            if let Some(n) = after("No match for argument:") {
                missing.push(format!("No package {n} available."));
            } else if let Some(n) = after("All matches were filtered out by exclude filtering for argument:") {
                missing.push(format!("{n} {line}"));
            } else if let Some(n) = after("No package ").and_then(|r| r.strip_suffix(" available.").map(str::to_owned))
            {
                missing.push(format!("No package {n} available."));
            } else if let Some(g) = line.strip_prefix("Module or Group '").and_then(|r| r.split('\'').next()) {
                return Err(Failure::new(format!("No group {g} available.")).set("results", json!([])));
            }
        }
        missing.dedup();
        if !missing.is_empty() && verb == "install" {
            if !self.args.bool("skip_broken") {
                let msg = "Failed to install some of the specified packages";
                return Err(Failure::new(msg).set("failures", missing).set("rc", 1).set("results", json!([])));
            }
            notes.extend(missing);
        }
        // A refused transaction ends with 1 and says so: that is what a check run asks for.
        let refused =
            self.ctx.check && (said.contains("Operation aborted") || said.contains("Exiting on user command"));
        if o.ok() || refused || said.contains("Nothing to do") {
            return Ok(());
        }
        if let Some((_, problem)) = said.split_once("Error: \n").or_else(|| said.split_once("Error:\n")) {
            let lines: Vec<&str> = problem.lines().filter(|l| !l.is_empty() && !l.starts_with('(')).collect();
            let msg = format!("Depsolve Error occurred: \n{}", lines.join("\n"));
            return Err(Failure::new(msg).set("failures", json!([])).set("rc", 1).set("results", json!([])));
        }
        let why = o.err().trim().to_owned();
        Err(o.failure(if why.is_empty() { o.out().trim().to_owned() } else { why }).set("results", json!([])))
    }
}

fn done(mut notes: Vec<String>, results: Vec<String>, msg: &str) -> Outcome {
    let changed = !results.is_empty();
    notes.extend(results);
    let msg = if changed { msg } else { "Nothing to do" };
    Outcome::changed(changed).set("msg", msg).set("rc", 0).set("results", notes)
}
