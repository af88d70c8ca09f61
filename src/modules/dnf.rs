//! `dnf` and `yum`: RPM packages through the host's dnf, or yum where dnf is not there, and rpm.

use super::support::exec::{Cmd, find_program, need_program};
use super::support::glob::has_magic;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::json;
use std::collections::BTreeSet;

pub fn module() -> Module {
    Module {
        name: "dnf",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage packages with dnf, or with yum where dnf is not there.",
        run,
    }
}

/// The same module under the name of older hosts.
pub fn module_yum() -> Module {
    Module { name: "yum", ..module() }
}

pub(super) fn spec() -> Spec {
    let flag = |n: &str, d: &str| Arg::bool(n).default(false).doc(d);
    let list = |n: &str, d: &str| Arg::list(n, Type::Str).default(json!([])).doc(d);
    Spec::new(vec![
        list("name", "Packages: names, patterns, versions (`foo-1.0`), groups (`@name`), files, URLs.")
            .aliases(&["pkg"]),
        Arg::str("state").choices(&["absent", "present", "installed", "removed", "latest"]).doc("What they shall be."),
        list("enablerepo", "Repositories to enable."),
        list("disablerepo", "Repositories to disable."),
        list("exclude", "Packages to leave alone."),
        Arg::str("conf_file").doc("Configuration file."),
        flag("disable_gpg_check", "Do not check signatures."),
        Arg::str("installroot").default("/").doc("Root of the installation."),
        Arg::str("releasever").doc("Release to install from."),
        flag("autoremove", "Remove what nothing needs any more."),
        flag("skip_broken", "Skip packages with broken dependencies."),
        flag("update_cache", "Refresh the metadata first.").aliases(&["expire-cache"]),
        flag("update_only", "With latest: update only what is installed."),
        flag("security", "With latest: security updates only."),
        flag("bugfix", "With latest: bug fixes only."),
        flag("download_only", "Download, do not install."),
        Arg::str("download_dir").doc("Where downloads go."),
        flag("allow_downgrade", "Allow an older version."),
        flag("allowerasing", "Allow to remove packages that stand in the way."),
        Arg::bool("best").doc("Take the newest version or fail."),
        Arg::bool("nobest").doc("The opposite of best."),
        flag("cacheonly", "Use cached metadata only."),
        Arg::bool("install_weak_deps").default(true).doc("Install weak dependencies."),
        Arg::bool("sslverify").default(true).doc("Verify the repositories' certificates."),
        Arg::bool("validate_certs").default(true).doc("Verify certificates of URLs."),
        list("disable_plugin", "Plug-ins to disable."),
        list("enable_plugin", "Plug-ins to enable."),
        Arg::str("disable_excludes").doc("Ignore configured excludes: all, main or a repository."),
        Arg::bool("install_repoquery").default(true).doc("Accepted, without effect as in dnf."),
        Arg::int("lock_timeout").default(30).doc("Seconds to wait for the lock."),
        Arg::str("list").doc("Not supported: run dnf list with command instead."),
        Arg::str("use_backend")
            .default("auto")
            .choices(&["auto", "dnf", "yum", "yum4", "dnf4", "dnf5"])
            .doc("auto, dnf, dnf4, dnf5, yum or yum4."),
    ])
    .exclusive(&["name", "list"])
    .exclusive(&["best", "nobest"])
    .required_by("download_dir", &["download_only"])
}

pub(super) fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    if args.is_set("list") {
        return Err("the parameter 'list' is not supported: use the command module with dnf list".into());
    }
    let tool = match args.str("use_backend") {
        "yum" => need_program(ctx, "yum")?,
        "dnf5" => need_program(ctx, "dnf5")?,
        _ => find_program(ctx, "dnf").map(Ok).unwrap_or_else(|| need_program(ctx, "yum"))?,
    };
    let names: Vec<String> = args
        .strings("name")
        .iter()
        .flat_map(|n| n.split(','))
        .map(|n| n.trim().to_string())
        .filter(|n| !n.is_empty())
        .collect();
    if let Some(bad) = names.iter().find(|n| n.starts_with('-')) {
        return Err(Failure::new(format!("{bad} is no package name")));
    }
    let job = Job { ctx, args, tool };
    let state = match args.opt_str("state") {
        Some("installed") | None if !args.bool("autoremove") => "present",
        Some("removed") | None => "absent",
        Some("installed") => "present",
        Some(s) => s,
    };
    if names.is_empty() && !args.bool("autoremove") {
        let mut o = Outcome::ok().set("msg", "Nothing to do").set("rc", 0).set("results", json!([]));
        if args.bool("update_cache") {
            if !job.ctx.check {
                job.must(&["makecache"], &[])?;
            }
            o = o.set("msg", "Cache updated").set("results", json!([]));
        }
        return Ok(o);
    }
    job.bring(state, &names)
}

struct Job<'a, 'b> {
    ctx: &'a Ctx<'b>,
    args: &'a Args,
    tool: String,
}

impl Job<'_, '_> {
    fn is_dnf(&self) -> bool {
        !self.tool.ends_with("/yum")
    }

    fn options(&self) -> Vec<String> {
        let a = self.args;
        let mut w: Vec<String> = vec![];
        for (arg, flag) in [
            ("enablerepo", "--enablerepo"),
            ("disablerepo", "--disablerepo"),
            ("exclude", "--exclude"),
            ("disable_plugin", "--disableplugin"),
            ("enable_plugin", "--enableplugin"),
        ] {
            w.extend(a.strings(arg).iter().map(|v| format!("{flag}={v}")));
        }
        for (arg, flag) in [
            ("conf_file", "-c"),
            ("releasever", "--releasever"),
            ("disable_excludes", "--disableexcludes"),
            ("download_dir", "--downloaddir"),
        ] {
            match a.opt_str(arg) {
                Some(v) if flag == "-c" => w.extend([flag.to_string(), v.to_string()]),
                Some(v) => w.push(format!("{flag}={v}")),
                None => {}
            }
        }
        if a.str("installroot") != "/" {
            w.push(format!("--installroot={}", a.str("installroot")));
        }
        for (on, flag) in [
            (a.bool("disable_gpg_check"), "--nogpgcheck"),
            (a.bool("skip_broken"), "--skip-broken"),
            (a.bool("security"), "--security"),
            (a.bool("bugfix"), "--bugfix"),
            (a.bool("download_only"), "--downloadonly"),
            (a.bool("cacheonly"), "-C"),
            (a.bool("allowerasing") && self.is_dnf(), "--allowerasing"),
            (a.opt_bool("best") == Some(true) || a.opt_bool("nobest") == Some(false), "--best"),
            (a.opt_bool("nobest") == Some(true) || a.opt_bool("best") == Some(false), "--nobest"),
            (!a.bool("install_weak_deps") && self.is_dnf(), "--setopt=install_weak_deps=False"),
            (!a.bool("sslverify"), "--setopt=sslverify=False"),
            (a.bool("update_cache") && self.is_dnf(), "--refresh"),
        ] {
            if on {
                w.push(flag.into());
            }
        }
        w
    }

    /// Runs the tool; answers what it said. In check mode it decides, but does nothing.
    fn must(&self, verb: &[&str], names: &[String]) -> Result<String, Failure> {
        let yes = if self.ctx.check { "--assumeno" } else { "-y" };
        let c = Cmd::new([self.tool.as_str(), yes]).args(self.options()).args(verb.iter().copied());
        let o = c.args(names.iter().map(String::as_str)).c_locale().run(self.ctx)?;
        let said = format!("{}{}", o.out(), o.err());
        let missing = ["No match for argument", "Unable to find a match", "No package ", "No packages marked"];
        let unknown = missing.iter().take(3).any(|m| said.contains(m)) && verb.first() != Some(&"remove");
        // A refused transaction ends with 1 and says so: that is what check mode asks for.
        let refused =
            self.ctx.check && (said.contains("Operation aborted") || said.contains("Exiting on user command"));
        if unknown && !self.args.bool("skip_broken") {
            return Err(Failure::new("Failed to install some of the specified packages")
                .set("failures", names.iter().map(|n| format!("No package {n} available.")).collect::<Vec<_>>())
                .set("rc", 1)
                .set("results", json!([])));
        }
        if !o.ok() && !refused && !said.contains("Nothing to do") {
            return Err(Failure::new(o.err().trim().to_string())
                .set("rc", o.rc)
                .set("stdout", o.out())
                .set("stderr", o.err())
                .set("results", json!([])));
        }
        Ok(said)
    }

    /// True if rpm knows the name, a provided name, or a name with version.
    fn installed(&self, name: &str) -> Result<bool, Failure> {
        let rpm = need_program(self.ctx, "rpm")?;
        let root = self.args.str("installroot");
        let ask = |words: &[&str]| {
            Cmd::new([rpm.as_str(), "--root", root]).args(words.iter().copied()).c_locale().run(self.ctx)
        };
        if name.starts_with('@') || name.contains("://") {
            return Ok(false);
        }
        if name.ends_with(".rpm") {
            let full = ask(&["-qp", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}", name])?;
            return Ok(full.ok() && ask(&["-q", full.out().trim()])?.ok());
        }
        if has_magic(name) {
            return Ok(!ask(&["-qa", name])?.out().trim().is_empty());
        }
        Ok(ask(&["-q", name])?.ok() || ask(&["-q", "--whatprovides", name])?.ok())
    }

    /// All packages as name-version-release.arch.
    fn all(&self) -> Result<BTreeSet<String>, Failure> {
        let rpm = need_program(self.ctx, "rpm")?;
        let root = self.args.str("installroot");
        let words = ["--root", root, "-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"];
        Ok(Cmd::new([rpm.as_str()]).args(words).c_locale().run(self.ctx)?.out().lines().map(str::to_string).collect())
    }

    fn bring(&self, state: &str, names: &[String]) -> ModResult {
        let mut here = vec![];
        let mut missing = vec![];
        for n in names {
            if self.installed(n)? { here.push(n.clone()) } else { missing.push(n.clone()) }
        }
        let everything = names.iter().any(|n| n == "*");
        let before = self.all()?;
        let mut said: Vec<String> = vec![];
        match state {
            "absent" => {
                let here: Vec<String> =
                    names.iter().filter(|n| here.contains(n) || n.starts_with('@')).cloned().collect();
                if !here.is_empty() {
                    said.push(self.must(&["remove"], &here)?);
                }
                if self.args.bool("autoremove") {
                    said.push(self.must(&["autoremove"], &[])?);
                }
            }
            "latest" => {
                let upgrade = if self.is_dnf() { "upgrade" } else { "update" };
                if everything {
                    said.push(self.must(&[upgrade], &[])?);
                } else {
                    if !here.is_empty() {
                        said.push(self.must(&[upgrade], &here)?);
                    }
                    if !missing.is_empty() && !self.args.bool("update_only") {
                        said.push(self.must(&["install"], &missing)?);
                    }
                }
            }
            _ => {
                if !missing.is_empty() {
                    match self.args.bool("allow_downgrade") {
                        // An older version of what is there has to be named to the downgrade verb.
                        true if !self.ctx.check => {
                            let first = self.must(&["install"], &missing)?;
                            let lower = first.contains("Nothing to do") || first.contains("already installed");
                            said.push(first);
                            if lower {
                                said.push(self.must(&["downgrade"], &missing)?);
                            }
                        }
                        _ => said.push(self.must(&["install"], &missing)?),
                    }
                }
            }
        }
        let idle = |s: &String| {
            s.contains("Nothing to do") || s.contains("No packages marked for") || s.contains("No Packages marked for")
        };
        if self.ctx.check {
            let changed = said.iter().any(|s| !idle(s));
            let msg = if changed {
                "Check mode: No changes made, but would have if not in check mode"
            } else {
                "Nothing to do"
            };
            return Ok(Outcome::changed(changed).set("msg", msg).set("rc", 0).set("results", json!([])));
        }
        let after = self.all()?;
        let mut results: Vec<String> = after.difference(&before).map(|p| format!("Installed: {p}")).collect();
        results.extend(before.difference(&after).map(|p| format!("Removed: {p}")));
        let changed = !results.is_empty() || (self.args.bool("download_only") && said.iter().any(|s| !idle(s)));
        let msg = if changed { "" } else { "Nothing to do" };
        Ok(Outcome::changed(changed).set("msg", msg).set("rc", 0).set("results", results))
    }
}
