//! Installing, upgrading and removing: what the tool says it would do, and what rpm knows afterwards.

use super::names::{Group, is_file, is_no_name, trouble};
use super::{Dialect, Job};
use crate::modules::support::exec::Output;
use crate::modules::support::glob::has_magic;
use crate::modules::{Failure, ModResult, Outcome};
use serde_json::json;
use std::collections::BTreeSet;

const PREDICTED: &str = "Check mode: No changes made, but would have if not in check mode";
const FORMAT: &str = "%{NAME}-%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH}\\n";

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
                    let version = version.strip_prefix("0:").unwrap_or(version);
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
        if name.starts_with('@') || is_file(name) || is_no_name(name) {
            return Ok(false);
        }
        if has_magic(name) {
            return Ok(!self.rpm(&["-qa", name])?.out().trim().is_empty());
        }
        if name.contains(['<', '=', '>']) && self.dialect != Dialect::Yum {
            return Ok(!self.query(&["repoquery", "--installed", "--whatprovides", name])?.trim().is_empty());
        }
        Ok(self.rpm(&["-q", name])?.ok() || self.rpm(&["-q", "--whatprovides", name])?.ok())
    }
    fn all(&self) -> Result<BTreeSet<String>, Failure> {
        let o = self.rpm(&["-qa", "--qf", FORMAT])?;
        Ok(nevras(&o).collect())
    }

    pub(super) fn install(&self, latest: bool, names: &[String]) -> ModResult {
        let (mut fresh, mut upgrades, mut notes, mut files, mut missing) = (vec![], vec![], vec![], vec![], vec![]);
        let filtered = latest && (self.args.bool("security") || self.args.bool("bugfix"));
        // The advised version is wanted, which may not be the newest.
        let upgrade: &[&str] = match self.dialect {
            Dialect::Yum if filtered => &["update-minimal"],
            Dialect::Yum => &["update"],
            Dialect::Dnf4 if filtered => &["upgrade-minimal"],
            Dialect::Dnf5 if filtered => &["upgrade", "--minimal"],
            _ => &["upgrade"],
        };
        if latest && names == ["*"] {
            return self.carry_out(notes, &[(upgrade, vec![])]);
        }
        let only = self.args.bool("update_only");
        for n in names.iter().filter(|n| is_file(n)) {
            let file = self.file(n)?;
            notes.push(format!("Installed {n}"));
            let here = file.package.as_ref().map_or(Ok(true), |p| self.installed(p))?;
            if !here || self.args.bool("allow_downgrade") || !self.goes_back(&file.path)? {
                fresh.push(file.path.clone());
            }
            files.push(file);
        }
        let groups = self.groups(names)?;
        for n in names.iter().filter(|n| n.starts_with('@')) {
            let group = Group::find(&groups, n);
            let there = latest && group.is_some_and(|g| g.installed);
            if latest && only && !there && group.is_some() {
                continue;
            }
            let done = if there { "upgraded" } else { "installed" };
            notes.extend(group.filter(|g| !g.environment).map(|g| format!("Group {} {done}.", g.id)));
            if there { &mut upgrades } else { &mut fresh }.push(n.clone());
        }
        for n in names.iter().filter(|n| !is_file(n) && !n.starts_with('@')) {
            if is_no_name(n) {
                missing.push(if n.is_empty() {
                    " No match for argument".into()
                } else {
                    format!("No package {n} available.")
                });
                continue;
            }
            let here = self.installed(n)?;
            if only && !here {
                notes.push(format!("Packages providing {n} not installed due to update_only specified"));
            } else if only {
                upgrades.push(n.clone());
            } else if has_magic(n) {
                // What matches may be there in part.
                upgrades.extend((latest && here).then(|| n.clone()));
                fresh.push(n.clone());
            } else if here {
                upgrades.extend(latest.then(|| n.clone()));
            } else if self.args.bool("allow_downgrade") || !self.goes_back(n)? {
                fresh.push(n.clone());
            }
        }
        if self.args.bool("skip_broken") {
            notes.append(&mut missing);
        } else if !missing.is_empty() {
            return Err(lacks(missing));
        }
        let mut steps: Vec<(&[&str], Vec<String>)> = vec![];
        if !upgrades.is_empty() && !fresh.is_empty() && !self.ctx.check {
            // What cannot be installed shall be known before anything is upgraded.
            let o = self.predict(&["install"], &fresh)?;
            self.judge(&o, "install", &fresh, true, &mut vec![])?;
        }
        if !upgrades.is_empty() {
            steps.push((upgrade, upgrades));
        }
        if !fresh.is_empty() {
            steps.push((&["install"], fresh));
        }
        self.carry_out(notes, &steps)
    }

    /// True if the name asks for an older version than the one that is there.
    fn goes_back(&self, name: &str) -> Result<bool, Failure> {
        let versioned = is_file(name)
            || name.contains(['<', '='])
            || name.split('-').skip(1).any(|p| p.starts_with(|c: char| c.is_ascii_digit()));
        if !versioned || self.dialect == Dialect::Yum {
            return Ok(false);
        }
        let o = self.predict(&["install"], &[name.to_owned()])?;
        Ok(Plan::parse(&o.out()).downgrades)
    }

    pub(super) fn remove(&self, names: &[String]) -> ModResult {
        if names.iter().any(|n| is_file(n)) {
            let e = Failure::new("Cannot remove paths -- please specify package name.");
            return Err(e.set("results", json!([])));
        }
        let (mut notes, mut here) = (vec![], vec![]);
        for n in names {
            if n.starts_with('@') || self.installed(n)? {
                here.push(n.clone());
            } else {
                notes.push(format!("No match for argument: {n}"));
            }
        }
        let mut steps: Vec<(&[&str], Vec<String>)> = vec![];
        if !here.is_empty() {
            steps.push((&["remove"], here));
        } else if names.is_empty() && self.args.bool("autoremove") {
            steps.push((&["autoremove"], vec![]));
        }
        self.carry_out(notes, &steps)
    }

    /// Runs the steps; the results are what rpm tells apart before and after or, in a check run, what the tool plans.
    fn carry_out(&self, mut notes: Vec<String>, steps: &[(&[&str], Vec<String>)]) -> ModResult {
        if steps.is_empty() && self.args.bool("update_cache") {
            self.refresh()?;
        }
        let before = self.all()?;
        let mut plan = Plan::default();
        for (verb, names) in steps {
            let o = self.call(verb, names)?;
            self.judge(&o, verb.first().unwrap_or(&""), names, self.ctx.check, &mut notes)?;
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
            removed.extend(nevras(&old).filter(|o| before.contains(o) && !plan.installed.contains(o)));
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
    fn judge(
        &self,
        o: &Output,
        verb: &str,
        names: &[String],
        asked: bool,
        notes: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let said = format!("{}\n{}", o.out(), o.err());
        let mut missing = vec![];
        let mut unsigned = None;
        for line in said.lines().map(str::trim) {
            let after = |p: &str| line.strip_prefix(p).map(|n| n.trim().to_owned());
            if let Some(n) = after("No match for argument:") {
                missing.push(format!("No package {n} available."));
            } else if let Some(n) = after("All matches were filtered out by exclude filtering for argument:") {
                if verb == "remove" {
                    notes.push(line.to_owned());
                }
                missing.push(format!("{n} {line}"));
            } else if let Some(n) = after("No package ").and_then(|r| r.strip_suffix(" available.").map(str::to_owned))
            {
                missing.push(format!("No package {n} available."));
            } else if let Some((group, rest)) = strange_group(line) {
                // An available one may be removed again and again.
                let known = verb == "remove" && !self.no_such_group(group)?;
                if !known && rest.starts_with(" is not ") {
                    return Err(Failure::new(format!("No group {group} available.")).set("results", json!([])));
                }
            } else if let Some(file) = unchecked(line) {
                unsigned.get_or_insert(format!("Failed to validate GPG signature for {file}: {line}"));
            }
        }
        if said.contains("There are no enabled repositories") {
            // Nothing can be newer than what is there.
            missing = names.iter().map(|n| format!("No package {n} available.")).collect();
            if verb != "install" {
                return Ok(());
            }
        }
        missing.dedup();
        if !missing.is_empty() && verb == "install" {
            if !self.args.bool("skip_broken") {
                return Err(lacks(missing));
            }
            notes.extend(missing);
        }
        // A refused transaction ends with 1 and says so: that is what was asked for.
        let refused = asked && (said.contains("Operation aborted") || said.contains("Exiting on user command"));
        if o.ok() || refused || said.contains("Nothing to do") {
            return Ok(());
        }
        if let Some(e) = trouble(o) {
            return Err(e);
        }
        if let Some(msg) = unsigned {
            return Err(Failure::new(msg));
        }
        // Said before anything is fetched where no key is there at all.
        if said.contains("enabled checking of packages via GPG keys") {
            return Err(Failure::new(format!("Failed to validate GPG signature: {}", o.err().trim())));
        }
        if let Some((_, problem)) = said.split_once("Error: \n").or_else(|| said.split_once("Error:\n")) {
            let lines: Vec<&str> = problem.lines().filter(|l| !l.is_empty() && !l.starts_with('(')).collect();
            let msg = format!("Depsolve Error occurred: \n{}", lines.join("\n"));
            return Err(Failure::new(msg).set("failures", json!([])).set("rc", 1).set("results", json!([])));
        }
        let why = o.err().trim().to_owned();
        Err(o.failure(if why.is_empty() { o.out().trim().to_owned() } else { why }).set("results", json!([])))
    }

    fn no_such_group(&self, group: &str) -> Result<bool, Failure> {
        let spec = format!("@{group}");
        Ok(Group::find(&self.groups(std::slice::from_ref(&spec))?, &spec).is_none())
    }
}

/// What rpm lists, as dnf writes it: an epoch of 0 is none.
fn nevras(o: &Output) -> impl Iterator<Item = String> {
    let text = o.out();
    let lines: Vec<String> = text.lines().filter(|l| !l.is_empty()).map(|l| l.replacen("-0:", "-", 1)).collect();
    lines.into_iter()
}

/// The group and the words after it, of a line that tells of one that is not there.
fn strange_group(line: &str) -> Option<(&str, &str)> {
    let at = line.strip_prefix("Warning: ").unwrap_or(line);
    at.strip_prefix("Module or Group '")?.split_once('\'')
}

/// The package of a line that tells of a signature that cannot be checked.
fn unchecked(line: &str) -> Option<&str> {
    let file = line.strip_prefix("Package ").and_then(|l| l.strip_suffix(" is not signed"));
    let file = file.or_else(|| line.strip_prefix("Public key for ").and_then(|l| l.strip_suffix(" is not installed")));
    file?.strip_suffix(".rpm")
}

fn lacks(failures: Vec<String>) -> Failure {
    let e = Failure::new("Failed to install some of the specified packages");
    e.set("failures", failures).set("rc", 1).set("results", json!([]))
}

fn done(mut notes: Vec<String>, results: Vec<String>, msg: &str) -> Outcome {
    let changed = !results.is_empty();
    notes.extend(results);
    let msg = if changed { msg } else { "Nothing to do" };
    Outcome::changed(changed).set("msg", msg).set("rc", 0).set("results", notes)
}
