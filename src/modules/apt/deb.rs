//! Package files, and a policy-rc.d for the time of the work.

use super::{Apt, prepared, quiet};
use crate::modules::support::exec::Cmd;
use crate::modules::{Failure, ModResult, Outcome};
use serde_json::Value as Json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Installs a package file with what it needs.
pub fn install(apt: &Apt, path: &str) -> ModResult {
    if path.contains("://") {
        return Err(Failure::new(format!("deb={path}: download the file with get_url first, then give its path")));
    }
    if let Err(e) = std::fs::File::open(path) {
        let n = e.raw_os_error().unwrap_or(0);
        let words = e.to_string();
        let words = words.split(" (os error").next().unwrap_or("").to_string();
        return Err(Failure::new(format!(
            "Unable to install package: E:Could not open file {path} - open ({n}: {words})"
        )));
    }
    let o = Cmd::new(["dpkg-deb", "-f", path, "Package", "Version"]).c_locale().run(apt.ctx)?;
    let text = o.out();
    let field = |k: &str| text.lines().find_map(|l| l.strip_prefix(k)?.strip_prefix(": ")).map(str::to_string);
    let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
        return Err(Failure::new(format!("Unable to install package: {}", o.err().trim())));
    };
    let db = apt.database()?;
    let now = db.get(&name).and_then(|l| l.iter().find(|i| i.whole));
    if let Some(i) = now {
        if i.version == version && !apt.args.bool("force") {
            return Ok(Outcome::ok().set("stdout", "").set("stderr", "").set("diff", ""));
        }
        let older = !apt.at_least(&version, &i.version)?;
        if older && !apt.args.bool("allow_downgrade") && !apt.args.bool("force") {
            return Err("A later version is already installed".into());
        }
    }
    let missing = needs(apt, path, &name)?;
    let mut said = (String::new(), String::new());
    if !missing.is_empty() {
        let mut words: Vec<&str> = vec!["-y"];
        if apt.ctx.check {
            words.push("--simulate");
        }
        words.push("install");
        words.extend(missing.iter().map(String::as_str));
        let o = apt.get(&words).run(apt.ctx)?;
        if !o.ok() {
            return Err(
                Failure::new(format!("Unable to install the dependencies of {path}: {}", o.err())).set("rc", o.rc)
            );
        }
        said = (o.out(), o.err());
    }
    let options = apt.args.str("dpkg_options");
    let mut c = Cmd::new(["dpkg"]);
    c = c.args(options.split(',').map(str::trim).filter(|o| !o.is_empty()).map(|o| format!("--{o}")));
    if apt.ctx.check {
        c = c.arg("--simulate");
    }
    if apt.args.bool("force") {
        c = c.arg("--force-all");
    }
    let o = quiet(c.args(["-i", path])).run(apt.ctx)?;
    // In a simulation dpkg misses what would be installed before.
    if !o.ok() && (!apt.ctx.check || missing.is_empty()) {
        return Err(Failure::new(format!("dpkg -i {path} failed: {}", o.err()))
            .set("stdout", o.out())
            .set("stderr", o.err())
            .set("rc", o.rc));
    }
    let (out, err) = (format!("{}{}", said.0, o.out()), format!("{}{}", said.1, o.err()));
    let diff = prepared(&out);
    Ok(Outcome::changed(true).set("stdout", out).set("stderr", err).set("diff", Json::Object(diff)))
}

/// Packages that apt would install along with the file.
fn needs(apt: &Apt, path: &str, own: &str) -> Result<Vec<String>, Failure> {
    let full = std::fs::canonicalize(path)?;
    let mut words = vec!["-y", "--simulate"];
    if apt.args.bool("allow_downgrade") || apt.args.bool("force") {
        words.push("--allow-downgrades");
    }
    let file = full.to_string_lossy();
    words.extend(["install", &file]);
    let o = apt.get(&words).run(apt.ctx)?;
    if !o.ok() {
        return Err(Failure::new(format!("Unable to install package: {}", o.err().trim()))
            .set("stdout", o.out())
            .set("stderr", o.err())
            .set("rc", o.rc));
    }
    let out = o.out();
    let inst = out.lines().filter_map(|l| l.strip_prefix("Inst ")).filter_map(|l| l.split_whitespace().next());
    Ok(inst.filter(|n| *n != own).map(str::to_string).collect())
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const KEPT: &str = "/usr/sbin/policy-rc.d.dirigo-kept";

/// A policy-rc.d with a fixed exit code; the old one comes back when this is dropped.
pub struct PolicyRcD;

impl PolicyRcD {
    pub fn put(code: i64) -> Result<PolicyRcD, Failure> {
        if !(0..=255).contains(&code) {
            return Err(Failure::new(format!("policy_rc_d must be an exit code from 0 to 255, not {code}")));
        }
        if Path::new(POLICY).exists() {
            std::fs::rename(POLICY, KEPT)?;
        }
        let guard = PolicyRcD;
        std::fs::write(POLICY, format!("#!/bin/sh\nexit {code}\n"))?;
        std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        Ok(guard)
    }
}

impl Drop for PolicyRcD {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(POLICY);
        if Path::new(KEPT).exists() {
            let _ = std::fs::rename(KEPT, POLICY);
        }
    }
}
