//! `apt`: Debian packages through apt-get, apt-cache, dpkg and dpkg-query.

mod deb;
mod get;
mod query;

use super::support::exec::{Cmd, find_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use crate::seconds;
use serde_json::{Map, Value as Json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn module() -> Module {
    Module {
        name: "apt",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage packages with apt-get. Neither Python nor python3-apt is needed on the host.",
        run,
    }
}

pub(super) fn spec() -> Spec {
    let flag = |n: &str, d: &str| Arg::bool(n).default(false).doc(d);
    Spec::new(vec![
        Arg::list("package", Type::Str)
            .aliases(&["pkg", "name"])
            .doc("Packages: `foo`, `foo=1.0`, `foo=1.*`, `foo>=1.0`, `foo:arm64`, patterns."),
        Arg::str("state")
            .default("present")
            .choices(&["absent", "build-dep", "fixed", "latest", "present"])
            .doc("What the packages shall be."),
        Arg::bool("update_cache").aliases(&["update-cache"]).doc("Run apt-get update first."),
        Arg::int("update_cache_retries").default(5).doc("How often a failed update is tried again."),
        Arg::int("update_cache_retry_max_delay").default(12).doc("Longest pause between tries in seconds."),
        Arg::int("cache_valid_time").default(0).doc("Update only if the lists are older than this many seconds."),
        flag("purge", "Remove configuration files too."),
        Arg::path("deb").doc("A .deb file on the host."),
        Arg::str("default_release").aliases(&["default-release"]).doc("The release to take packages from (`-t`)."),
        Arg::bool("install_recommends")
            .aliases(&["install-recommends"])
            .doc("Whether recommended packages come along."),
        flag("force", "Force yes, and allow what is not authenticated."),
        Arg::str("upgrade").default("no").choices(&["dist", "full", "no", "safe", "yes"]).doc("Upgrade all packages."),
        Arg::str("dpkg_options").default("force-confdef,force-confold").doc("Options for dpkg, with commas between."),
        flag("autoremove", "Remove packages that nothing needs any more."),
        flag("autoclean", "Remove downloaded packages that are out of date."),
        flag("fail_on_autoremove", "Fail rather than remove a package."),
        Arg::int("policy_rc_d").doc("Exit code of a policy-rc.d that stands there during the work."),
        flag("only_upgrade", "Upgrade what is installed, install nothing new."),
        flag("force_apt_get", "Accepted; apt-get is always used."),
        flag("clean", "Remove all downloaded packages."),
        flag("allow_unauthenticated", "Ignore missing signatures.").aliases(&["allow-unauthenticated"]),
        flag("allow_downgrade", "Allow an older version.").aliases(&[
            "allow-downgrade",
            "allow_downgrades",
            "allow-downgrades",
        ]),
        flag("allow_change_held_packages", "Allow changes to packages on hold."),
        Arg::int("lock_timeout").default(60).doc("Seconds to wait for apt's lock."),
        Arg::bool("auto_install_module_deps")
            .default(true)
            .doc("Accepted; nothing needs to be installed for this module."),
    ])
    .exclusive(&["deb", "package", "upgrade"])
}

/// One call of the module.
struct Apt<'a, 'b> {
    ctx: &'a Ctx<'b>,
    args: &'a Args,
}

pub(super) fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let apt = Apt { ctx, args };
    if find_program(ctx, "apt-get").is_none() {
        return Err("apt-get was not found on this host".into());
    }
    let packages: Vec<String> = args
        .strings("package")
        .iter()
        .flat_map(|p| p.split(','))
        .map(|p| p.trim().to_string())
        .filter(|p| !p.is_empty())
        .collect();
    let upgrade = args.str("upgrade");
    if upgrade != "no" && (!packages.is_empty() || args.is_set("deb")) || args.is_set("deb") && !packages.is_empty() {
        return Err("parameters are mutually exclusive: deb|package|upgrade".into());
    }
    let policy = match args.opt_int("policy_rc_d") {
        Some(code) if !ctx.check => Some(deb::PolicyRcD::put(code)?),
        _ => None,
    };
    let done = apt.work(&packages, upgrade);
    drop(policy);
    done
}

impl Apt<'_, '_> {
    fn work(&self, packages: &[String], upgrade: &str) -> ModResult {
        let args = self.args;
        let nothing_else = packages.is_empty() && upgrade == "no" && !args.is_set("deb");
        if args.bool("clean") {
            let o = if self.ctx.check { Outcome::ok() } else { self.simple(&["clean"])? };
            if nothing_else {
                let o = o.msg("");
                return Ok(Outcome { changed: true, ..o });
            }
        }
        let updated = self.update_cache()?;
        if let Some(path) = args.opt_str("deb") {
            return deb::install(self, path);
        }
        if nothing_else && args.str("state") != "fixed" {
            if args.bool("autoclean") || args.bool("autoremove") {
                let mut o = Outcome::ok();
                for verb in ["autoremove", "autoclean"] {
                    if args.bool(verb) {
                        let one = self.clean_up(verb)?;
                        o = Outcome { changed: o.changed || one.changed, ..one };
                    }
                }
                return Ok(o);
            }
            return Ok(self.with_cache(Outcome::changed(updated), updated));
        }
        if upgrade != "no" {
            return self.upgrade(upgrade);
        }
        match args.str("state") {
            "absent" => self.remove(packages),
            "latest" if packages.iter().any(|p| p == "*") => self.upgrade("dist"),
            _ if packages.iter().any(|p| p == "*") => {
                Err("a package named \"*\" is only allowed with state=latest".into())
            }
            _ => {
                let done = self.install(packages);
                match done {
                    Ok(o) => Ok(self.with_cache(o, updated)),
                    Err(f) if f.data.contains_key("_direct") => Err(without(f, "_direct")),
                    Err(f) => {
                        let o = self.with_cache(Outcome { data: f.data, ..Outcome::ok() }, updated);
                        Err(Failure { msg: f.msg, data: o.data })
                    }
                }
            }
        }
    }

    fn with_cache(&self, o: Outcome, updated: bool) -> Outcome {
        o.set("cache_updated", updated).set("cache_update_time", cache_time())
    }

    /// Updates the package lists if asked for and due; true if they were (in check mode: would be) updated.
    fn update_cache(&self) -> Result<bool, Failure> {
        let args = self.args;
        let valid = args.int("cache_valid_time");
        let asked = args.opt_bool("update_cache").unwrap_or(valid != 0);
        if !asked || (valid > 0 && cache_time().saturating_add(valid) >= now()) {
            return Ok(false);
        }
        if self.ctx.check {
            return Ok(true);
        }
        let tries = args.int("update_cache_retries").max(0);
        let longest = args.int("update_cache_retry_max_delay").max(1);
        let lock_end = SystemTime::now() + seconds::whole(args.int("lock_timeout"));
        let mut tried = 0;
        let before = cache_time();
        loop {
            let o = self.get(&["update"]).run(self.ctx)?;
            let err = o.err();
            if o.ok() && !err.contains("W: Failed to fetch") && !err.contains("W: Some index files failed") {
                // where nothing new came, nothing changed
                return Ok(cache_time() != before);
            }
            if err.contains("Could not get lock") && SystemTime::now() < lock_end {
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
            tried += 1;
            if tried >= tries {
                let text = err.trim().replace('\n', ", ");
                return Err(Failure::new(format!("Failed to update apt cache after {tries} retries: {text}"))
                    .set("rc", o.rc)
                    .set("stderr", err));
            }
            let pause = 1i64.checked_shl(tried as u32).unwrap_or(longest).min(longest);
            std::thread::sleep(seconds::whole(pause));
        }
    }

    /// apt-get with its environment, not asking anything.
    fn get(&self, words: &[&str]) -> Cmd {
        quiet(Cmd::new(["/usr/bin/apt-get"]).args(words.iter().copied()))
    }

    fn simple(&self, words: &[&str]) -> ModResult {
        let o = self.get(words).run(self.ctx)?;
        if !o.ok() {
            return Err(Failure::new(format!("'apt-get {}' failed: {}", words.join(" "), o.err()))
                .set("rc", o.rc)
                .set("stdout", o.out())
                .set("stderr", o.err()));
        }
        Ok(self.with_diff(Outcome::ok().set("stdout", o.out()).set("stderr", o.err()), &o.out()))
    }

    /// The `diff` key: what apt-get says it does, or an empty mapping when no diff is wanted.
    fn with_diff(&self, o: Outcome, said: &str) -> Outcome {
        let diff = if self.ctx.want_diff { prepared(said) } else { Map::new() };
        o.set("diff", Json::Object(diff))
    }
}

fn quiet(c: Cmd) -> Cmd {
    c.c_locale().env("DEBIAN_FRONTEND", "noninteractive").env("DEBIAN_PRIORITY", "critical").env("LANGUAGE", "C.UTF-8")
}

fn without(mut f: Failure, key: &str) -> Failure {
    f.data.remove(key);
    f
}

/// The lines of apt-get from after its preparations to its summary.
fn prepared(said: &str) -> Map<String, Json> {
    let lines: Vec<&str> = said.lines().collect();
    let start = lines.iter().position(|l| *l == "Reading state information...").map(|i| i + 1).unwrap_or(0);
    let is_end = |l: &&str| {
        let rest = l.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < l.len() && rest.starts_with(" upgraded")
    };
    let end = lines.iter().position(is_end).map(|i| i + 1).unwrap_or(lines.len());
    let mut m = Map::new();
    m.insert("prepared".into(), lines.get(start..end).unwrap_or(&[]).join("\n").into());
    m
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs() as i64).unwrap_or(0)
}

/// When the lists were last updated, in seconds since 1970.
fn cache_time() -> i64 {
    let of = |p: &str| {
        let t = std::fs::metadata(p).and_then(|m| m.modified()).ok()?;
        t.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs() as i64)
    };
    of("/var/lib/apt/periodic/update-success-stamp").or_else(|| of("/var/lib/apt/lists")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_are_what_apt_announces() {
        let said = "Reading package lists...\nReading state information...\nThe following NEW packages will be installed:\n  a\n0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\nInst a (1)\n";
        let d = prepared(said);
        assert_eq!(
            d["prepared"],
            "The following NEW packages will be installed:\n  a\n0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded."
        );
        assert_eq!(prepared("x")["prepared"], "x");
    }
}
