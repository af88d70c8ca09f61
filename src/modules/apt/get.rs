//! Install, remove, upgrade, clean up.

use super::query::{Candidate, Database, Installed, Op, Wish};
use super::{Apt, quiet};
use crate::modules::support::exec::Cmd;
use crate::modules::support::glob::fnmatch;
use crate::modules::support::shlex;
use crate::modules::{Failure, ModResult, Outcome};
use std::collections::{BTreeMap, BTreeSet};

const NOTHING: &str = "0 upgraded, 0 newly installed, 0 to remove";

impl Apt<'_, '_> {
    /// The options that every change takes, as words and as Ansible's messages show them.
    fn dpkg_words(&self) -> (Vec<String>, String) {
        let mut words = vec![];
        let mut shown = vec![];
        for o in self.args.str("dpkg_options").split(',').map(str::trim).filter(|o| !o.is_empty()) {
            words.extend(["-o".to_string(), format!("Dpkg::Options::=--{o}")]);
            shown.push(format!("-o \"Dpkg::Options::=--{o}\""));
        }
        let lock = format!("DPkg::Lock::Timeout={}", self.args.int("lock_timeout"));
        words.extend(["-o".to_string(), lock.clone()]);
        shown.push(format!("-o {lock}"));
        (words, shown.join(" "))
    }

    /// Options after the package names.
    fn trailing(&self) -> Vec<String> {
        let a = self.args;
        let mut w: Vec<String> = vec![];
        if let Some(r) = a.opt_str("default_release") {
            w.extend(["-t".into(), r.into()]);
        }
        match a.opt_bool("install_recommends") {
            Some(true) => w.extend(["-o".into(), "APT::Install-Recommends=yes".into()]),
            Some(false) => w.extend(["-o".into(), "APT::Install-Recommends=no".into()]),
            None => {}
        }
        for (on, flag) in [
            (a.bool("allow_unauthenticated") || a.bool("force"), "--allow-unauthenticated"),
            (a.bool("allow_downgrade"), "--allow-downgrades"),
            (a.bool("allow_change_held_packages"), "--allow-change-held-packages"),
        ] {
            if on {
                w.push(flag.into());
            }
        }
        w
    }

    /// Runs apt-get VERB; the flags are those of Ansible's command, in its order, empty if not set.
    fn change(&self, verb: &str, flags: &[&str], names: &[String]) -> Result<(bool, Outcome), Failure> {
        let (dpkg, dpkg_shown) = self.dpkg_words();
        let mut c = Cmd::new(["/usr/bin/apt-get", "-y"]).args(dpkg);
        c = c.args(flags.iter().filter(|f| !f.is_empty()).copied()).arg(verb).args(names.iter().map(String::as_str));
        let tail = self.trailing();
        let o = quiet(c.args(tail.clone())).run(self.ctx)?;
        let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
        if !o.ok() {
            let mut shown = format!("/usr/bin/apt-get -y {dpkg_shown} {} {verb}", flags.join(" "));
            for part in quoted.iter().chain(&tail) {
                shown.push(' ');
                shown.push_str(part);
            }
            return Err(Failure::new(format!("'{shown}' failed: {}", o.err()))
                .set("stdout", o.out())
                .set("stderr", o.err())
                .set("rc", o.rc));
        }
        let nothing = o.out().contains(NOTHING);
        let out = Outcome::ok().set("stdout", o.out()).set("stderr", o.err());
        Ok((!nothing, self.with_diff(out, &o.out())))
    }

    fn flag(&self, arg: &str, flag: &'static str) -> &'static str {
        if self.args.bool(arg) { flag } else { "" }
    }
    fn simulate(&self) -> &'static str {
        if self.ctx.check { "--simulate" } else { "" }
    }

    /// state present, latest, fixed and build-dep.
    pub fn install(&self, packages: &[String]) -> ModResult {
        let state = self.args.str("state");
        if state == "build-dep" {
            let flags = [
                self.flag("only_upgrade", "--only-upgrade"),
                "",
                self.flag("force", "--force-yes"),
                self.flag("fail_on_autoremove", "--no-remove"),
                self.simulate(),
            ];
            let (changed, o) = self.change("build-dep", &flags, packages)?;
            return Ok(Outcome { changed, ..o });
        }
        let names = self.to_install(packages)?;
        if names.is_empty() && state != "fixed" {
            return Ok(Outcome::ok());
        }
        let flags = [
            self.flag("only_upgrade", "--only-upgrade"),
            if state == "fixed" { "--fix-broken" } else { "" },
            self.flag("force", "--force-yes"),
            self.flag("autoremove", "--auto-remove"),
            self.flag("fail_on_autoremove", "--no-remove"),
            self.simulate(),
        ];
        let (changed, o) = self.change("install", &flags, &names)?;
        if names.is_empty() && !changed {
            return Ok(Outcome::ok());
        }
        Ok(Outcome { changed: changed || !names.is_empty(), ..o })
    }

    /// The words for apt-get install: what is missing, or has not the wanted version.
    fn to_install(&self, packages: &[String]) -> Result<Vec<String>, Failure> {
        if packages.is_empty() {
            return Ok(vec![]);
        }
        let wishes = self.expand(packages, || self.all_names())?;
        let db = self.database()?;
        let asked: BTreeSet<String> = wishes.iter().map(|w| w.name.clone()).collect();
        let cache = self.candidates(&asked)?;
        let mut out: Vec<String> = vec![];
        for w in &wishes {
            if let Some(word) = self.word_for(w, &db, &cache)?
                && !out.contains(&word)
            {
                out.push(word);
            }
        }
        Ok(out)
    }

    fn all_names(&self) -> Result<Vec<String>, Failure> {
        let o = Cmd::new(["apt-cache", "pkgnames"]).c_locale().run(self.ctx)?;
        let mut v: Vec<String> = o.out().lines().map(str::to_string).collect();
        v.sort();
        Ok(v)
    }

    fn word_for(
        &self,
        w: &Wish,
        db: &Database,
        cache: &BTreeMap<String, Candidate>,
    ) -> Result<Option<String>, Failure> {
        let now = installed(w, db).filter(|i| i.whole);
        let none = Candidate::default();
        let known = cache.get(&w.name).or_else(|| cache.get(w.base()));
        let c = known.unwrap_or(&none);
        if now.is_none() && c.versions.is_empty() {
            return self.virtual_word(w, db);
        }
        let latest = self.args.str("state") == "latest";
        if now.is_none() && self.args.bool("only_upgrade") {
            return Ok(None);
        }
        let Some(op) = w.op else {
            let best = c.candidate.as_deref();
            let wanted = match now {
                None => true,
                // apt's candidate is older than what is there only by pinning; that is no upgrade.
                Some(i) => latest && best.is_some_and(|b| b != i.version) && self.newer(best, &i.version)?,
            };
            if wanted && best.is_none() {
                return Err(Failure::new(format!("no available installation candidate for {}", w.shown())));
            }
            return Ok(wanted.then(|| format!("{}={}", w.name, best.unwrap_or(""))));
        };
        if let (Some(i), false) = (now, latest)
            && match op {
                Op::Equal => fnmatch(&i.version, &w.version),
                Op::AtLeast => self.at_least(&i.version, &w.version)?,
            }
        {
            return Ok(None);
        }
        let best = match op {
            Op::Equal => c.versions.iter().find(|v| fnmatch(v, &w.version)).cloned(),
            Op::AtLeast => match c.candidate.clone() {
                Some(b) if self.at_least(&b, &w.version)? => Some(b),
                _ => None,
            },
        };
        match (best, now) {
            (Some(b), Some(i)) if b == i.version => Ok(None),
            (Some(b), _) => Ok(Some(format!("{}={b}", w.name))),
            (None, _) => Err(Failure::new(format!("no available installation candidate for {}", w.shown()))),
        }
    }

    fn newer(&self, a: Option<&str>, b: &str) -> Result<bool, Failure> {
        match a {
            Some(a) => self.at_least(a, b),
            None => Ok(false),
        }
    }

    /// A name that is no package: provided by one that is installed, or by one that could be.
    fn virtual_word(&self, w: &Wish, db: &Database) -> Result<Option<String>, Failure> {
        let here = db.values().flatten().any(|i| i.whole && i.provides.iter().any(|p| p == w.base()));
        if here {
            return Ok(None);
        }
        if self.providers(&w.name)?.is_empty() {
            return Err(Failure::new(format!("No package matching '{}' is available", w.name)).set("_direct", true));
        }
        Ok((!self.args.bool("only_upgrade")).then(|| w.shown()))
    }

    pub fn remove(&self, packages: &[String]) -> ModResult {
        let db = self.database()?;
        let wishes = match self.expand(packages, || Ok(db.keys().cloned().collect())) {
            Ok(w) => w,
            // Nothing installed has such a name: it is absent.
            Err(f) if f.data.contains_key("_direct") => vec![],
            Err(f) => return Err(f),
        };
        let purge = self.args.bool("purge");
        let names: Vec<String> = wishes
            .iter()
            .filter(|w| installed(w, &db).is_some_and(|i| i.whole || purge))
            .map(|w| w.name.clone())
            .collect();
        if names.is_empty() {
            return Ok(Outcome::ok());
        }
        let flags = [
            self.flag("purge", "--purge"),
            self.flag("force", "--force-yes"),
            self.flag("autoremove", "--auto-remove"),
            self.simulate(),
        ];
        let (dpkg, _) = self.dpkg_words();
        let mut c = Cmd::new(["/usr/bin/apt-get", "-q", "-y"]).args(dpkg);
        c = c.args(flags.iter().filter(|f| !f.is_empty()).copied());
        if self.args.bool("allow_change_held_packages") {
            c = c.arg("--allow-change-held-packages");
        }
        let o = quiet(c.arg("remove").args(names.iter().map(String::as_str))).run(self.ctx)?;
        if !o.ok() {
            let list = names.iter().map(|n| shlex::quote(n)).collect::<Vec<_>>().join(" ");
            return Err(Failure::new(format!("'apt-get remove {list}' failed: {}", o.err()))
                .set("stdout", o.out())
                .set("stderr", o.err())
                .set("rc", o.rc));
        }
        let out = Outcome::changed(true).set("stdout", o.out()).set("stderr", o.err());
        Ok(self.with_diff(out, &o.out()))
    }

    pub fn upgrade(&self, mode: &str) -> ModResult {
        let (verb, more) = match mode {
            "dist" | "full" => ("dist-upgrade", ""),
            _ => ("upgrade", "--with-new-pkgs"),
        };
        let flags = [
            self.simulate(),
            more,
            self.flag("force", "--force-yes"),
            self.flag("autoremove", "--auto-remove"),
            self.flag("fail_on_autoremove", "--no-remove"),
        ];
        let (changed, o) = self.change(verb, &flags, &[])?;
        let said = o.data.get("stdout").cloned().unwrap_or_default();
        let mut o = o.set("msg", said);
        if !changed {
            o.data.remove("diff");
        }
        Ok(Outcome { changed, ..o })
    }

    /// autoremove and autoclean.
    pub fn clean_up(&self, verb: &str) -> ModResult {
        let flags = if verb == "autoremove" {
            vec![self.flag("purge", "--purge"), self.flag("force", "--force-yes"), self.simulate()]
        } else {
            vec![self.simulate()]
        };
        let (_, o) = self.change(verb, &flags, &[])?;
        let said = o.data.get("stdout").and_then(|s| s.as_str()).unwrap_or("");
        let changed = match verb {
            "autoclean" => said.lines().any(|l| l.starts_with("Del ")),
            _ => !said.contains(NOTHING),
        };
        Ok(Outcome { changed, ..o })
    }
}

/// What is installed under a name, of the architecture asked for.
fn installed<'d>(w: &Wish, db: &'d Database) -> Option<&'d Installed> {
    let list = db.get(w.base())?;
    match w.name.split_once(':') {
        Some((_, arch)) => list.iter().find(|i| i.arch == arch || i.arch == "all" || arch == "any"),
        None => list.iter().find(|i| i.whole).or(list.first()),
    }
}
