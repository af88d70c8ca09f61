//! The command line: one argument of the module becomes one option, in the words of the tool.

use super::names::trouble;
use super::{Dialect, Job};
use crate::modules::Failure;
use crate::modules::support::exec::{Cmd, Output};
use serde_json::json;
use std::time::Duration;

impl Job<'_, '_> {
    /// The options that all calls have.
    fn options(&self) -> Vec<String> {
        let (a, five, yum) = (self.args, self.dialect == Dialect::Dnf5, self.dialect == Dialect::Yum);
        let mut w: Vec<String> = vec![];
        let pick = |four: &'static str, new: &'static str| if five { new } else { four };
        for (arg, flag) in [
            // Disabled first: what is enabled by name shall stay so.
            ("disablerepo", pick("--disablerepo", "--disable-repo")),
            ("enablerepo", pick("--enablerepo", "--enable-repo")),
            ("exclude", "--exclude"),
            ("enable_plugin", pick("--enableplugin", "--enable-plugin")),
            ("disable_plugin", pick("--disableplugin", "--disable-plugin")),
        ] {
            let values = a.strings(arg);
            let values = values.iter().flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty());
            w.extend(values.map(|v| format!("{flag}={v}")));
        }
        for (arg, flag) in [
            ("conf_file", "--config"),
            ("releasever", "--releasever"),
            ("disable_excludes", pick("--disableexcludes", "--setopt=disable_excludes")),
        ] {
            w.extend(a.opt_str(arg).map(|v| format!("{flag}={v}")));
        }
        if a.bool("download_only") {
            w.push("--downloadonly".into());
            w.extend(a.opt_str("download_dir").map(|d| format!("{}={d}", pick("--downloaddir", "--setopt=destdir"))));
        }
        if a.str("installroot") != "/" {
            w.push(format!("--installroot={}", a.str("installroot")));
        }
        let best = a.opt_bool("best").or(a.opt_bool("nobest").map(|n| !n));
        for (on, option) in [
            (a.bool("disable_gpg_check"), pick("--nogpgcheck", "--no-gpgchecks")),
            (!a.bool("disable_gpg_check") && !yum, "--setopt=gpgcheck=True"),
            (!a.bool("disable_gpg_check") && !yum, "--setopt=localpkg_gpgcheck=True"),
            (a.bool("skip_broken"), "--skip-broken"),
            (a.bool("skip_broken") && five, "--skip-unavailable"),
            (a.bool("skip_broken") && self.dialect == Dialect::Dnf4, "--setopt=strict=False"),
            (a.bool("security"), "--security"),
            (a.bool("bugfix"), "--bugfix"),
            (a.bool("cacheonly"), "--cacheonly"),
            (a.bool("allowerasing") && !yum, "--allowerasing"),
            (best == Some(true) && !yum, "--best"),
            (best == Some(false) && !yum, pick("--nobest", "--no-best")),
            (!a.bool("install_weak_deps") && !yum, "--setopt=install_weak_deps=False"),
            (!a.bool("sslverify"), "--setopt=sslverify=False"),
            (a.bool("update_cache") && !yum, "--refresh"),
        ] {
            if on {
                w.push(option.into());
            }
        }
        if !yum {
            // The tools remove what nothing needs any more; here it is asked for.
            let clean = if a.bool("autoremove") { "True" } else { "False" };
            w.push(format!("--setopt=clean_requirements_on_remove={clean}"));
        }
        w
    }

    fn cmd(&self, answer: &str, verb: &[&str], names: &[String]) -> Cmd {
        let c = Cmd::new([self.tool.as_str(), answer]).args(self.options()).args(verb.iter().copied());
        // A terminal of this width keeps every package on one line of the table.
        c.args(names.iter().map(String::as_str)).c_locale().env("COLUMNS", "400").env("FORCE_COLUMNS", "400")
    }
    /// Does it, or in a check run says what would be done.
    pub(super) fn call(&self, verb: &[&str], names: &[String]) -> Result<Output, Failure> {
        self.wait_for_lock()?;
        self.cmd(if self.ctx.check { "--assumeno" } else { "-y" }, verb, names).tried(self.ctx)
    }
    /// Says what would be done.
    pub(super) fn predict(&self, verb: &[&str], names: &[String]) -> Result<Output, Failure> {
        self.wait_for_lock()?;
        self.cmd("--assumeno", verb, names).tried(self.ctx)
    }
    /// Fetches what the repositories have.
    pub(super) fn refresh(&self) -> Result<(), Failure> {
        self.wait_for_lock()?;
        let o = self.cmd("-y", &["makecache"], &[]).tried(self.ctx)?;
        match trouble(&o) {
            Some(e) => Err(e),
            None if o.ok() => Ok(()),
            None => Err(o.failure(o.err().trim()).set("results", json!([]))),
        }
    }
    /// A question whose answer is wanted alone.
    pub(super) fn asks(&self, words: &[&str]) -> Result<Output, Failure> {
        self.wait_for_lock()?;
        self.cmd("--quiet", words, &[]).tried(self.ctx)
    }
    /// As `asks`: what is answered, if the repositories can be read.
    pub(super) fn query(&self, words: &[&str]) -> Result<String, Failure> {
        let o = self.asks(words)?;
        match trouble(&o) {
            Some(e) => Err(e),
            None if o.ok() => Ok(o.out()),
            None => Err(o.failure(o.err().trim()).set("results", json!([]))),
        }
    }
    pub(super) fn rpm(&self, words: &[&str]) -> Result<Output, Failure> {
        let rpm = crate::modules::support::exec::need_program(self.ctx, "rpm")?;
        Cmd::new([rpm.as_str(), "--root", self.args.str("installroot")])
            .args(words.iter().copied())
            .c_locale()
            .tried(self.ctx)
    }

    /// Waits as long as told until no other dnf holds its lock; dnf itself would wait for ever.
    fn wait_for_lock(&self) -> Result<(), Failure> {
        let held = || {
            let files = std::fs::read_dir("/var/cache/dnf").into_iter().flatten().flatten().map(|e| e.path());
            let locks = files.into_iter().filter(|p| p.to_string_lossy().ends_with("_lock.pid"));
            locks.into_iter().any(|p| {
                let pid = std::fs::read_to_string(&p).unwrap_or_default();
                pid.trim().parse::<u32>().is_ok_and(|n| std::path::Path::new(&format!("/proc/{n}")).exists())
            })
        };
        let mut left = self.args.int("lock_timeout");
        while self.dialect == Dialect::Dnf4 && held() {
            if left <= 0 {
                return Err(
                    Failure::new("dnf lockfile is held by another process").set("results", Vec::<String>::new())
                );
            }
            left -= 1;
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }
}
