//! `dnf` and `yum`: RPM packages through the host's dnf, or yum where dnf is not there, and rpm.

mod list;
mod names;
mod options;
mod transaction;

use super::support::exec::{find_program, need_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::json;

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

/// The same for hosts with dnf5: no choice of a backend, and a switch for a Python library that is not needed here.
pub fn module_dnf5() -> Module {
    let mut spec = spec();
    spec.args.retain(|a| a.name != "use_backend");
    spec.args.push(Arg::bool("auto_install_module_deps").default(true).doc("Accepted; no Python library is needed."));
    Module { name: "dnf5", spec, doc: "Manage packages with dnf5.", run: run_dnf5, ..module() }
}

fn run_dnf5(ctx: &mut Ctx, args: &Args) -> ModResult {
    let mut own = args.clone();
    own.0.insert("use_backend".into(), "dnf5".into());
    run(ctx, &own)
}

pub(super) fn spec() -> Spec {
    let flag = |n: &str, d: &str| Arg::bool(n).default(false).doc(d);
    let list = |n: &str, d: &str| Arg::list(n, Type::Str).default(json!([])).doc(d);
    Spec::new(vec![
        list("name", "Packages: names, patterns, versions (`foo-1.0`), groups (`@name`), files, URLs.")
            .aliases(&["pkg"]),
        Arg::str("state").choices(&["absent", "installed", "latest", "present", "removed"]).doc("What they shall be."),
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
        Arg::str("list").doc("Tell of packages instead: installed, updates, available, repos, or a pattern."),
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
    let tool = match args.str("use_backend") {
        "dnf5" => need_program(ctx, "dnf5")?,
        "dnf4" | "yum4" => match find_program(ctx, "dnf-3") {
            Some(t) => t,
            None => need_program(ctx, "dnf")?,
        },
        // The name of older playbooks: whatever the host has.
        _ => match ["dnf", "dnf5", "yum"].iter().find_map(|n| find_program(ctx, n)) {
            Some(t) => t,
            None => need_program(ctx, "dnf")?,
        },
    };
    let dialect =
        match std::fs::canonicalize(&tool).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned())) {
            Some(n) if n.starts_with("dnf5") => Dialect::Dnf5,
            Some(n) if n.starts_with("yum") => Dialect::Yum,
            _ => Dialect::Dnf4,
        };
    if let Some(conf) = args.opt_str("conf_file").filter(|c| std::fs::File::open(c).is_err()) {
        let e = Failure::new("cannot read configuration file");
        return Err(e.set("conf_file", conf).set("results", json!([])));
    }
    let names = names::asked(args)?;
    let job = Job { ctx, args, tool, dialect };
    if let Some(what) = args.opt_str("list").filter(|l| !l.is_empty()) {
        return job.list(what);
    }
    if args.bool("autoremove") && !matches!(args.opt_str("state"), None | Some("absent" | "removed")) {
        let e = Failure::new("Autoremove should be used alone or with state=absent");
        return Err(e.set("results", json!([])));
    }
    let state = match args.opt_str("state") {
        None if args.bool("autoremove") => "absent",
        None | Some("installed") => "present",
        Some("removed") => "absent",
        Some(s) => s,
    };
    if names.is_empty() && !args.bool("autoremove") {
        let o = Outcome::ok().set("rc", 0).set("results", json!([]));
        if !args.bool("update_cache") {
            return Ok(o.msg("Nothing to do"));
        }
        job.refresh()?;
        return Ok(o.msg("Cache updated"));
    }
    if state == "absent" { job.remove(&names) } else { job.install(state == "latest", &names) }
}

/// Whose words the command line takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Dnf4,
    Dnf5,
    Yum,
}

struct Job<'a, 'b> {
    ctx: &'a Ctx<'b>,
    args: &'a Args,
    tool: String,
    dialect: Dialect,
}

#[cfg(test)]
mod tests;
