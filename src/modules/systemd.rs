//! `systemd` and `systemd_service`: units through systemctl.

use super::support::exec::{Cmd, Output, need_program};
use super::support::glob::glob;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Map, Value as Json};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "systemd",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Control systemd units: state, start at boot, mask, daemon-reload.",
        run,
    }
}

/// The same module under its newer name.
pub fn module_service() -> Module {
    Module { name: "systemd_service", ..module() }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::str("name")
            .aliases(&["service", "unit"])
            .doc("Name of one unit; without an extension it is a `.service`."),
        Arg::str("state")
            .choices(&["reloaded", "restarted", "started", "stopped"])
            .doc("`started` and `stopped` act only if needed; `restarted` and `reloaded` always act."),
        Arg::bool("enabled").doc("Whether the unit starts at boot."),
        Arg::bool("force").doc("Override symlinks that are there."),
        Arg::bool("masked").doc("Whether the unit is masked."),
        Arg::bool("daemon_reload").default(false).aliases(&["daemon-reload"]).doc("Run daemon-reload first."),
        Arg::bool("daemon_reexec").default(false).aliases(&["daemon-reexec"]).doc("Run daemon-reexec first."),
        Arg::str("scope").default("system").choices(&["system", "user", "global"]).doc("Which manager to speak to."),
        Arg::bool("no_block").default(false).doc("Do not wait for the job to end."),
    ])
    .required_by("state", &["name"])
    .required_by("enabled", &["name"])
    .required_by("masked", &["name"])
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    execute(ctx, &Want::of(args))
}

impl Want {
    /// What the module's own parameters ask for.
    pub fn of(args: &Args) -> Want {
        Want {
            name: args.opt_str("name").map(str::to_string),
            state: args.opt_str("state").map(str::to_string),
            enabled: args.opt_bool("enabled"),
            masked: args.opt_bool("masked"),
            reload: args.bool("daemon_reload"),
            reexec: args.bool("daemon_reexec"),
            scope: args.opt_str("scope").unwrap_or("system").to_string(),
            no_block: args.bool("no_block"),
            force: args.bool("force"),
        }
    }
}

/// What a unit shall be.
#[derive(Clone, Debug, Default)]
pub(super) struct Want {
    pub name: Option<String>,
    pub state: Option<String>,
    pub enabled: Option<bool>,
    pub masked: Option<bool>,
    pub reload: bool,
    pub reexec: bool,
    pub scope: String,
    pub no_block: bool,
    pub force: bool,
}

struct Systemctl<'a, 'b> {
    ctx: &'a Ctx<'b>,
    base: Vec<String>,
    runtime_dir: Option<String>,
}

impl Systemctl<'_, '_> {
    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        let mut c = Cmd::new(self.base.iter().map(String::as_str)).args(words.iter().copied());
        if let Some(d) = &self.runtime_dir {
            c = c.env("XDG_RUNTIME_DIR", d.as_str());
        }
        Ok(c.c_locale().run(self.ctx)?)
    }
    /// As `call`; a failure of systemctl fails the module with what it said.
    fn must(&self, words: &[&str]) -> Result<Output, Failure> {
        let o = self.call(words)?;
        if o.ok() { Ok(o) } else { Err(self.failed(&o)) }
    }
    fn failed(&self, o: &Output) -> Failure {
        Failure::new(o.err().trim_end())
            .set("cmd", self.base.join(" "))
            .set("rc", o.rc)
            .set("stdout", o.out())
            .set("stderr", o.err())
    }
}

/// Brings a unit into the wanted state; also what `service` does on a systemd host.
pub(super) fn execute(ctx: &mut Ctx, want: &Want) -> ModResult {
    if let Some(n) = &want.name
        && let Some(c) = n.chars().find(|c| "*?[".contains(*c))
    {
        return Err(Failure::new(format!(
            "This module does not currently support using glob patterns, found '{c}' in service name: {n}"
        )));
    }
    let check = ctx.check;
    let mut base = vec![need_program(ctx, "systemctl")?];
    let user = want.scope != "system";
    if user {
        base.push(format!("--{}", want.scope));
    }
    for (on, flag) in [(want.no_block, "--no-block"), (want.force, "--force")] {
        if on {
            base.push(flag.into());
        }
    }
    let set = ctx.env.iter().any(|(k, _)| k == "XDG_RUNTIME_DIR") || std::env::var_os("XDG_RUNTIME_DIR").is_some();
    let runtime_dir = (!set).then(|| format!("/run/user/{}", nix::unistd::geteuid()));
    let ctl = Systemctl { ctx, base, runtime_dir };

    if want.reload && !check {
        let o = ctl.call(&["daemon-reload"])?;
        if !o.ok() {
            if o.err().contains("is not running") || offline(&o) {
                // Nothing to reload where no manager runs.
            } else {
                return Err(Failure::new(format!("failure {} during daemon-reload: {}", o.rc, o.err())));
            }
        }
    }
    if want.reexec && !check {
        let o = ctl.call(&["daemon-reexec"])?;
        if !o.ok() && !offline(&o) {
            return Err(Failure::new(format!("failure {} during daemon-reexec: {}", o.rc, o.err())));
        }
    }
    let Some(unit) = want.name.as_deref() else {
        return Ok(Outcome::ok().set("name", Json::Null).set("status", Json::Object(Map::new())));
    };
    if user {
        ctl.must(&[])?;
    }
    Unit { ctl, unit, check, changed: false, status: Map::new(), found: false, sysv: false }.bring(want)
}

fn offline(o: &Output) -> bool {
    let e = o.err();
    e.contains("System has not been booted with systemd")
        || e.contains("Running in chroot")
        || e.contains("Failed to connect to bus")
}

struct Unit<'a, 'b, 'c> {
    ctl: Systemctl<'a, 'b>,
    unit: &'c str,
    check: bool,
    changed: bool,
    status: Map<String, Json>,
    found: bool,
    sysv: bool,
}

impl Unit<'_, '_, '_> {
    fn bring(mut self, want: &Want) -> ModResult {
        self.look()?;
        let mut out = Outcome::ok().set("name", self.unit);
        if let Some(m) = want.masked {
            self.mask(m)?;
        }
        if let Some(e) = want.enabled {
            self.need()?;
            self.enable(e)?;
            out = out.set("enabled", e);
        }
        if let Some(s) = &want.state {
            self.need()?;
            let now = self.bring_state(s)?;
            out = out.set("state", now);
        }
        out.changed = self.changed;
        Ok(out.set("status", Json::Object(self.status)))
    }

    /// Reads the unit's properties and whether it is there at all.
    fn look(&mut self) -> Result<(), Failure> {
        self.sysv = Path::new("/etc/init.d").join(self.unit).exists();
        let o = self.ctl.call(&["show", "--", self.unit])?;
        if o.ok() && !offline(&o) {
            self.status = parse_show(&o.out());
            let text = |k: &str| self.status.get(k).and_then(Json::as_str).unwrap_or("");
            self.found = !matches!(text("LoadState"), "not-found" | "") || text("ActiveState") == "active";
            let error = text("LoadError");
            if text("LoadState") == "error" && !error.is_empty() {
                return Err(Failure::new(format!("Error loading unit file '{}': {error}", self.unit)));
            }
        } else {
            // No manager answers (a chroot, an image): unit files can still be enabled and masked.
            let e = self.ctl.call(&["is-enabled", "--", self.unit])?;
            let word = e.out();
            self.found = self.sysv
                || e.ok()
                || matches!(word.trim(), "disabled" | "masked" | "masked-runtime" | "linked" | "bad");
            if !self.found {
                return Err(self.ctl.failed(&o));
            }
        }
        Ok(())
    }

    fn need(&self) -> Result<(), Failure> {
        if self.found || self.sysv {
            return Ok(());
        }
        Err(Failure::new(format!("Could not find the requested service {}: host", self.unit)))
    }

    fn mask(&mut self, want: bool) -> Result<(), Failure> {
        let o = self.ctl.call(&["is-enabled", "--", self.unit])?;
        let masked = o.out().trim().starts_with("masked");
        if masked == want {
            return Ok(());
        }
        self.changed = true;
        if self.check {
            return Ok(());
        }
        let verb = if want { "mask" } else { "unmask" };
        let o = self.ctl.call(&[verb, "--", self.unit])?;
        if !o.ok() {
            return Err(Failure::new(format!("Failed to {verb} the service ({}): {}", self.unit, o.err().trim_end())));
        }
        self.found = self.found || !want;
        Ok(())
    }

    fn enable(&mut self, want: bool) -> Result<(), Failure> {
        let o = self.ctl.call(&["is-enabled", "--", self.unit])?;
        let word = o.out();
        // enabled until the next boot, or by another name, is not yet enabled
        let mut enabled = o.ok() && !matches!(word.trim(), "enabled-runtime" | "indirect" | "alias");
        if !o.ok() && self.sysv && word.trim() != "disabled" {
            enabled = !glob(Path::new("/"), &format!("/etc/rc?.d/S??{}", self.unit)).is_empty();
        }
        if enabled == want {
            return Ok(());
        }
        self.changed = true;
        if self.check {
            return Ok(());
        }
        let verb = if want { "enable" } else { "disable" };
        let o = self.ctl.call(&[verb, "--", self.unit])?;
        if !o.ok() {
            let said = format!("{}{}", o.out(), o.err());
            return Err(Failure::new(format!("Unable to {verb} service {}: {said}", self.unit)));
        }
        Ok(())
    }

    /// Starts, stops, reloads or restarts; answers the state to report.
    fn bring_state(&mut self, want: &str) -> Result<&'static str, Failure> {
        let active = self.status.get("ActiveState").and_then(Json::as_str).unwrap_or("");
        if active.is_empty() {
            return Err(Failure::new("Service is in unknown state").set("status", Json::Object(self.status.clone())));
        }
        let running = matches!(active, "active" | "activating");
        let verb = match want {
            "started" => (!running).then_some("start"),
            "stopped" => (running || active == "deactivating").then_some("stop"),
            "reloaded" => Some(if running { "reload" } else { "start" }),
            _ => Some("restart"),
        };
        if let Some(verb) = verb {
            self.changed = true;
            if !self.check {
                let o = self.ctl.call(&[verb, "--", self.unit])?;
                if !o.ok() {
                    return Err(Failure::new(format!("Unable to {verb} service {}: {}", self.unit, o.err())));
                }
            }
        }
        Ok(if want == "stopped" { "stopped" } else { "started" })
    }
}

/// `KEY=value` lines of `systemctl show`; only the Exec keys may go over several lines.
fn parse_show(text: &str) -> Map<String, Json> {
    let mut out = Map::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        if let Some((k, v)) = open.as_mut() {
            v.push('\n');
            v.push_str(line);
            if line.trim_end().ends_with('}') {
                out.insert(std::mem::take(k), std::mem::take(v).trim().into());
                open = None;
            }
            continue;
        }
        let Some((k, v)) = line.split_once('=') else { continue };
        if k.starts_with("Exec") && v.trim_start().starts_with('{') && !v.trim_end().ends_with('}') {
            open = Some((k.to_string(), v.to_string()));
        } else {
            out.insert(k.to_string(), v.trim().into());
        }
    }
    if let Some((k, v)) = open {
        out.insert(k, v.trim().into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties() {
        let m = parse_show(
            "Id=a.service\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c 'a\nb' }\nDescription=x=y\njunk\nEnvironment={ open\n",
        );
        assert_eq!(m["ExecStart"], "{ path=/bin/sh ; argv[]=/bin/sh -c 'a\nb' }");
        assert_eq!((&m["Description"], &m["Environment"], m.len()), (&"x=y".into(), &"{ open".into(), 4));
    }
}
