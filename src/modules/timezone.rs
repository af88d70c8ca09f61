//! `timezone`: the zone of the system's clock, and whether the hardware clock keeps UTC. `timedatectl` does it where
//! systemd runs, else the files of Debian's or of Red Hat's and SUSE's systems and `hwclock`.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/timezone_module.html>.

use super::support::exec::{self, Cmd};
use super::support::{atomic, fileargs::real_path};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type, convert};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "timezone",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("name").doc("The zone's name, such as Asia/Tokyo."),
            Arg::str("hwclock").choices(&["local", "UTC"]).aliases(&["rtc"]).doc("What the hardware clock keeps."),
        ])
        .one_of(&["hwclock", "name"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Configure timezone setting",
        run: |ctx, args| perform(&System { etc: "/etc".into(), zones: "/usr/share/zoneinfo".into() }, ctx, args),
    }
}

/// Stands for what is not set.
const NONE: &str = "n/a";

/// Where a system keeps its settings.
struct System {
    etc: PathBuf,
    zones: PathBuf,
}

/// What can be set, in the order in which it is.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Hwclock,
    Name,
}

impl What {
    fn key(self) -> &'static str {
        match self {
            What::Hwclock => "hwclock",
            What::Name => "name",
        }
    }
}

/// The settings of a host without systemd.
struct Files {
    debian: bool,
    suse: bool,
    name: PathBuf,
    hwclock: PathBuf,
}

enum Way {
    Timedatectl(String),
    Files(Files),
}

fn abort(text: String) -> Failure {
    Failure::new(format!("Error message:\n{text}"))
}

fn read(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(t) => Ok(t),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(abort(format!(
            "tried to configure {} using a file \"{0}\", but could not read it: {e}",
            path.display()
        ))),
    }
}

/// The value of a line `KEY = value`, whose quotes do not belong to it.
fn setting<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim_start();
    let value = value.strip_prefix('"').unwrap_or(value);
    let end = value.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(value.len());
    value.get(..end).filter(|v| !v.is_empty())
}

impl Files {
    fn of(sys: &System, ctx: &Ctx) -> Files {
        if exec::find_program(ctx, "dpkg-reconfigure").is_some() {
            let (name, hwclock) = (sys.etc.join("timezone"), sys.etc.join("default/rcS"));
            return Files { debian: true, suse: false, name, hwclock };
        }
        let clock = sys.etc.join("sysconfig/clock");
        let suse = match std::fs::read_to_string(&clock) {
            Ok(text) => {
                text.lines().any(|l| l.strip_prefix("TIMEZONE").is_some_and(|r| r.trim_start().starts_with('=')))
            }
            Err(_) => std::fs::read_to_string(sys.etc.join("os-release")).is_ok_and(|t| {
                let id =
                    |l: &str| l.strip_prefix("ID=").or(l.strip_prefix("ID_LIKE=")).is_some_and(|v| v.contains("suse"));
                t.lines().any(id)
            }),
        };
        Files { debian: false, suse, name: clock.clone(), hwclock: clock }
    }
    fn path(&self, what: What) -> &Path {
        match what {
            What::Name => &self.name,
            What::Hwclock => &self.hwclock,
        }
    }
    fn value<'a>(&self, what: What, line: &'a str) -> Option<&'a str> {
        match what {
            What::Hwclock => setting(line, "UTC"),
            What::Name if self.debian => {
                line.split_whitespace().next().filter(|_| !line.starts_with(char::is_whitespace))
            }
            What::Name => setting(line, if self.suse { "TIMEZONE" } else { "ZONE" }),
        }
    }
    fn line(&self, what: What, value: &str) -> String {
        match what {
            What::Hwclock => format!("UTC={}\n", if value == "UTC" { "yes" } else { "no" }),
            What::Name if self.debian => format!("{value}\n"),
            What::Name => format!("{}=\"{value}\"\n", if self.suse { "TIMEZONE" } else { "ZONE" }),
        }
    }
    /// What is set; of a value that is as wanted only if the clocks themselves agree with it.
    fn get(&self, sys: &System, what: What, wanted: &str) -> Result<String, Failure> {
        let text = read(self.path(what))?;
        let Some(found) = text.lines().find_map(|l| self.value(what, l)) else { return Ok(NONE.into()) };
        match what {
            What::Name if found == wanted => Ok(running_zone(sys, wanted)),
            What::Name => Ok(found.to_owned()),
            What::Hwclock => {
                let utc = convert(Type::Bool, &found.into()).map_err(|_| Failure::new(super::not_a_boolean(found)))?;
                let set = if utc == true { "UTC" } else { "local" };
                if set != wanted {
                    return Ok(set.into());
                }
                let adjtime = read(&sys.etc.join("adjtime"))?;
                let local = adjtime.lines().find(|l| matches!(*l, "UTC" | "LOCAL")) == Some("LOCAL");
                Ok(if local { "local" } else { "UTC" }.into())
            }
        }
    }
    /// Writes the line in place of the first of its kind, or at the top; says what was done.
    fn edit(&self, what: What, value: &str) -> Result<String, Failure> {
        let path = real_path(self.path(what));
        let text = read(&path)?;
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let ours = |l: &String| self.value(what, l).is_some();
        let (at, before) = (lines.iter().position(ours).unwrap_or(0), lines.len());
        lines.retain(|l| !ours(l));
        let gone = before - lines.len();
        lines.insert(at.min(lines.len()), self.line(what, value));
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        atomic::write(&path, lines.concat().as_bytes(), false)?;
        Ok(format!("Added 1 line and deleted {gone} line(s) on {}", self.path(what).display()))
    }
    fn set(&self, sys: &System, ctx: &Ctx, what: What, value: &str) -> Result<Vec<String>, Failure> {
        let mut said = vec![self.edit(what, value)?];
        match what {
            What::Hwclock => {
                let option = if value == "UTC" { "--utc" } else { "--localtime" };
                let clock = Cmd::new([exec::need_program(ctx, "hwclock")?.as_str(), "--systohc", option]);
                clock.must(ctx)?;
                said.push(format!("executed `{}`", clock.shown()));
            }
            What::Name => self.apply_zone(sys, ctx, value)?,
        }
        Ok(said)
    }
    /// Makes the zone that of the running system.
    fn apply_zone(&self, sys: &System, ctx: &Ctx, value: &str) -> Result<(), Failure> {
        let (zone, local) = (sys.zones.join(value), sys.etc.join("localtime"));
        if self.debian {
            let fresh = sys.etc.join(".localtime.dirigo");
            let _ = std::fs::remove_file(&fresh);
            std::os::unix::fs::symlink(&zone, &fresh)?;
            std::fs::rename(&fresh, &local)?;
            if let Some(tool) = exec::find_program(ctx, "dpkg-reconfigure") {
                Cmd::new([tool.as_str(), "--frontend", "noninteractive", "tzdata"]).must(ctx)?;
            }
            return Ok(());
        }
        match exec::find_program(ctx, "tzdata-update").filter(|_| !local.is_symlink()) {
            Some(tool) => drop(Cmd::new([tool]).must(ctx)?),
            None => {
                let _ = std::fs::remove_file(&local);
                std::fs::copy(&zone, &local)?;
            }
        }
        Ok(())
    }
}

/// The zone of /etc/localtime: what it links to, or `wanted` if it is a copy of that.
fn running_zone(sys: &System, wanted: &str) -> String {
    let local = sys.etc.join("localtime");
    if let Ok(to) = std::fs::read_link(&local) {
        let full = sys.etc.join(&to);
        let name = full.strip_prefix(&sys.zones).ok().or_else(|| {
            // a relative link, as systemd makes them
            to.to_str()?.split_once("/zoneinfo/").map(|(_, n)| Path::new(n))
        });
        return name.map_or_else(|| NONE.into(), |n| n.to_string_lossy().into_owned());
    }
    match (std::fs::read(&local), std::fs::read(sys.zones.join(wanted))) {
        (Ok(a), Ok(b)) if a == b => wanted.to_owned(),
        _ => NONE.into(),
    }
}

/// A value of `timedatectl status`.
fn status(text: &str, what: What) -> String {
    let value = |keys: &[&str]| {
        text.lines().find_map(|l| {
            let (k, v) = l.split_once(':')?;
            keys.contains(&k.trim()).then(|| v.split_whitespace().next().unwrap_or(NONE).to_owned())
        })
    };
    match what {
        What::Name => value(&["Time zone", "Timezone"]).unwrap_or_else(|| NONE.into()),
        What::Hwclock => match value(&["RTC in local TZ"]).as_deref() {
            Some("yes") => "local".into(),
            Some("no") => "UTC".into(),
            _ => NONE.into(),
        },
    }
}

impl Way {
    fn of(sys: &System, ctx: &Ctx) -> Result<Way, Failure> {
        if let Some(tool) = exec::find_program(ctx, "timedatectl")
            && Cmd::new([tool.as_str()]).c_locale().tried(ctx)?.ok()
        {
            return Ok(Way::Timedatectl(tool));
        }
        Ok(Way::Files(Files::of(sys, ctx)))
    }
    fn state(&self, sys: &System, ctx: &Ctx, wanted: &[(What, String)]) -> Result<Map<String, Json>, Failure> {
        let told = match self {
            Way::Timedatectl(tool) => Cmd::new([tool.as_str(), "status"]).c_locale().must(ctx)?.out(),
            Way::Files(_) => String::new(),
        };
        let mut m = Map::new();
        for (what, value) in wanted {
            let now = match self {
                Way::Timedatectl(_) => status(&told, *what),
                Way::Files(f) => f.get(sys, *what, value)?,
            };
            m.insert(what.key().into(), now.into());
        }
        Ok(m)
    }
    fn set(&self, sys: &System, ctx: &Ctx, what: What, value: &str) -> Result<Vec<String>, Failure> {
        let tool = match self {
            Way::Timedatectl(tool) => tool,
            Way::Files(f) => return f.set(sys, ctx, what, value),
        };
        let (verb, value) = match what {
            What::Name => ("set-timezone", value),
            What::Hwclock => ("set-local-rtc", if value == "local" { "yes" } else { "no" }),
        };
        let c = Cmd::new([tool.as_str(), verb, value]);
        c.must(ctx)?;
        Ok(vec![format!("executed `{}`", c.shown())])
    }
}

fn perform(sys: &System, ctx: &mut Ctx, a: &Args) -> ModResult {
    let mut wanted: Vec<(What, String)> = vec![];
    for what in [What::Hwclock, What::Name] {
        wanted.extend(a.opt_str(what.key()).map(|v| (what, v.to_owned())));
    }
    let way = Way::of(sys, ctx)?;
    if let Some(name) = a.opt_str("name") {
        let inside = !name.split('/').any(|p| matches!(p, "" | "." | ".."));
        if !inside || !sys.zones.join(name).is_file() {
            return Err(abort(format!("given timezone \"{name}\" is not available")));
        }
    }
    let before = way.state(sys, ctx, &wanted)?;
    let planned: Map<String, Json> = wanted.iter().map(|(w, v)| (w.key().to_owned(), Json::from(v.as_str()))).collect();
    let (changed, mut said) = (before != planned, vec![]);
    if changed && !ctx.check {
        for (what, value) in wanted.iter().filter(|(w, v)| before.get(w.key()) != Some(&Json::from(v.as_str()))) {
            said.extend(way.set(sys, ctx, *what, value)?);
        }
        let after = way.state(sys, ctx, &wanted)?;
        if after != planned {
            let [p, n] = [planned, after].map(Json::Object);
            return Err(abort(format!("still not desired state, though changes have made - planned: {p}, after: {n}")));
        }
    }
    let mut o = Outcome::changed(changed);
    if !said.is_empty() {
        o = o.msg(said.join("\n"));
    }
    if ctx.want_diff {
        o = o.with_diff(Diff::new(Json::Object(before), Json::Object(planned)));
    }
    Ok(o)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::validate;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    struct Host(tempfile::TempDir);

    impl Host {
        /// A host with these programs; each notes how it is called.
        fn new(programs: &[(&str, &str)]) -> Host {
            let h = Host(tempfile::tempdir().expect("a directory"));
            for zone in ["Asia/Tokyo", "Europe/Rome"] {
                h.write(&format!("zones/{zone}"), zone);
            }
            for (name, code) in programs {
                let dir = h.0.path().display();
                h.write(&format!("bin/{name}"), &format!("#!/bin/sh\ncd {dir}\necho \"{name} $*\" >> log\n{code}\n"));
                std::fs::set_permissions(h.at(&format!("bin/{name}")), std::fs::Permissions::from_mode(0o755))
                    .expect("set");
            }
            h
        }
        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
        fn write(&self, name: &str, text: &str) {
            std::fs::create_dir_all(self.at(name).parent().expect("a parent")).expect("made");
            std::fs::write(self.at(name), text).expect("written");
        }
        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.at(name)).unwrap_or_default()
        }
        /// changed and message, or the failure
        fn call(&self, args: Json, check: bool) -> (bool, String) {
            let mut ctx = Ctx::bare();
            ctx.check = check;
            ctx.env = vec![("PATH".into(), format!("{}:/bin", self.at("bin").display()))];
            let sys = System { etc: self.at("etc"), zones: self.at("zones") };
            let given = args.as_object().cloned().unwrap_or_default();
            match perform(&sys, &mut ctx, &validate(&module().spec, &given, "timezone").expect("valid").args) {
                Ok(o) => (
                    o.changed,
                    o.data
                        .get("msg")
                        .and_then(Json::as_str)
                        .unwrap_or_default()
                        .replace(&self.0.path().display().to_string(), ""),
                ),
                Err(f) => (false, f.msg),
            }
        }
    }

    /// No timedatectl, whatever the machine has.
    const NO_SYSTEMD: (&str, &str) = ("timedatectl", "exit 1");
    const HWCLOCK: (&str, &str) = ("hwclock", "case \"$*\" in *utc) echo UTC;; *) echo LOCAL;; esac > etc/adjtime");

    #[test]
    fn debian() {
        let h = Host::new(&[NO_SYSTEMD, HWCLOCK, ("dpkg-reconfigure", "")]);
        h.write("etc/timezone", "Europe/Rome\n");
        let tokyo = json!({"name": "Asia/Tokyo", "hwclock": "local"});
        assert_eq!(h.call(tokyo.clone(), true), (true, String::new()));
        assert_eq!(h.read("etc/timezone"), "Europe/Rome\n");
        let (changed, msg) = h.call(tokyo.clone(), false);
        assert!(changed, "{msg}");
        assert_eq!(
            msg,
            "Added 1 line and deleted 0 line(s) on /etc/default/rcS\nexecuted `/bin/hwclock --systohc --localtime`\n\
             Added 1 line and deleted 1 line(s) on /etc/timezone"
        );
        assert_eq!((h.read("etc/timezone").as_str(), h.read("etc/default/rcS").as_str()), ("Asia/Tokyo\n", "UTC=no\n"));
        assert_eq!(std::fs::read_link(h.at("etc/localtime")).ok(), Some(h.at("zones/Asia/Tokyo")));
        assert_eq!(h.call(tokyo.clone(), false), (false, String::new()));
        // the file is right, the clock is not
        std::fs::remove_file(h.at("etc/localtime")).expect("removed");
        assert!(h.call(tokyo, false).0);
        for bad in ["Nowhere/Bad", "../etc/timezone", "/etc/passwd", ""] {
            assert_eq!(
                h.call(json!({"name": bad}), false).1,
                format!("Error message:\ngiven timezone \"{bad}\" is not available")
            );
        }
    }

    /// Files of a host that is not Debian's.
    fn files(h: &Host) -> (System, Files) {
        let sys = System { etc: h.at("etc"), zones: h.at("zones") };
        let clock = sys.etc.join("sysconfig/clock");
        let suse = h.read("etc/sysconfig/clock").contains("TIMEZONE");
        (sys, Files { debian: false, suse, name: clock.clone(), hwclock: clock })
    }

    #[test]
    fn red_hat_and_suse() {
        let h = Host::new(&[NO_SYSTEMD, HWCLOCK]);
        let mut ctx = Ctx::bare();
        ctx.env = vec![("PATH".into(), h.at("bin").display().to_string())];
        h.write("etc/sysconfig/clock", "# c\nUTC=true\nZONE=\"Europe/Rome\"\nX=y\nZONE=a\n");
        let (sys, f) = files(&h);
        let way = Way::Files(f);
        let now = |what, wanted: &str| match &way {
            Way::Files(f) => f.get(&sys, what, wanted).map_err(|f| f.msg).unwrap_or_else(|m| m),
            Way::Timedatectl(_) => String::new(),
        };
        assert_eq!(now(What::Name, "Asia/Tokyo"), "Europe/Rome");
        assert_eq!(now(What::Hwclock, "UTC"), "UTC");
        let said = way.set(&sys, &ctx, What::Name, "Asia/Tokyo").map_err(|f| f.msg).expect("set");
        assert!(said.concat().starts_with("Added 1 line and deleted 2 line(s) on "), "{said:?}");
        assert_eq!(h.read("etc/sysconfig/clock"), "# c\nUTC=true\nZONE=\"Asia/Tokyo\"\nX=y\n");
        assert_eq!(h.read("etc/localtime"), "Asia/Tokyo");
        assert_eq!(now(What::Name, "Asia/Tokyo"), "Asia/Tokyo");
        way.set(&sys, &ctx, What::Hwclock, "local").map_err(|f| f.msg).expect("set");
        assert!(h.read("etc/sysconfig/clock").contains("\nUTC=no\n"));
        assert_eq!((now(What::Hwclock, "local").as_str(), now(What::Hwclock, "UTC").as_str()), ("local", "local"));
        std::fs::remove_file(h.at("etc/adjtime")).expect("removed");
        assert_eq!(now(What::Hwclock, "local"), "UTC");
        h.write("etc/sysconfig/clock", "TIMEZONE=\"Asia/Seoul\"\nUTC=weird\n");
        let (_, f) = files(&h);
        assert_eq!(f.get(&sys, What::Name, "x").ok().as_deref(), Some("Asia/Seoul"));
        assert_eq!(f.line(What::Name, "x"), "TIMEZONE=\"x\"\n");
        assert!(
            f.get(&sys, What::Hwclock, "UTC")
                .is_err_and(|f| f.msg.starts_with("The value 'weird' is not a valid boolean"))
        );
    }

    #[test]
    fn systemd() {
        let code =
            "case $1 in status) echo \"   Time zone: $(cat tz) (UTC, +0000)\"; echo \" RTC in local TZ: $(cat rtc)\";;
            set-timezone) echo $2 > tz;; set-local-rtc) echo $2 > rtc;; esac";
        let h = Host::new(&[("timedatectl", code)]);
        h.write("tz", "Europe/Rome\n");
        h.write("rtc", "no\n");
        let both = json!({"name": "Asia/Tokyo", "hwclock": "local"});
        assert_eq!(h.call(both.clone(), true), (true, String::new()));
        assert_eq!(
            h.call(both.clone(), false).1,
            "executed `/bin/timedatectl set-local-rtc yes`\nexecuted `/bin/timedatectl set-timezone Asia/Tokyo`"
        );
        assert_eq!(h.call(both, false), (false, String::new()));
        let h = Host::new(&[("timedatectl", "echo 'Time zone: Europe/Rome (CET)'")]);
        let (_, msg) = h.call(json!({"name": "Asia/Tokyo"}), false);
        assert!(
            msg.starts_with("Error message:\nstill not desired state, though changes have made - planned: "),
            "{msg}"
        );
    }
}
