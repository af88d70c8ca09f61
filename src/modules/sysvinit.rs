//! `sysvinit`: services that have a script in `/etc/init.d`.

use super::support::exec::{Cmd, Output, find_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Words in what a script says of its status that mean: it does not run.
const DOWN: &[&str] = &["stopped", "is dead ", "dead but ", "could not access pid file", "inactive"];
/// And: it runs, if no "not" is before them.
const UP: &[&str] = &["running", "is operative", "active"];

pub fn module() -> Module {
    Module {
        name: "sysvinit",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().aliases(&["service"]).doc("Name of the service: of its script."),
            Arg::str("state").choices(&["started", "stopped", "restarted", "reloaded"]).doc("What it shall do."),
            Arg::bool("enabled").doc("Whether it shall start with the host."),
            Arg::int("sleep").default(1).doc("Seconds between stop and start of a restart."),
            Arg::str("pattern").doc("Text in the output of ps that stands for a running service."),
            Arg::str("arguments").aliases(&["args"]).doc("Further arguments for the script."),
            Arg::list("runlevels", Type::Str).doc("Runlevels to enable it in, or to disable it in."),
            Arg::bool("daemonize").default(false).doc("Run the script in a session of its own."),
        ])
        .one_of(&["state", "enabled"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage SysV services",
        run,
    }
}

struct Service<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    name: &'a str,
    script: PathBuf,
    /// `/etc`; another directory in tests.
    etc: PathBuf,
    warnings: Vec<String>,
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    run_in(ctx, args, Path::new("/etc"))
}

fn run_in(ctx: &mut Ctx, args: &Args, etc: &Path) -> ModResult {
    let name = args.str("name");
    let script = etc.join("init.d").join(name);
    if name.is_empty() || name.contains('/') || name.starts_with(['-', '.']) || !script.exists() {
        return Err(Failure::new(format!("Could not find the requested service {name}: ")));
    }
    let mut s = Service { ctx, args, name, script, etc: etc.into(), warnings: vec![] };
    let idle = || json!({"changed": false, "rc": null, "stdout": null, "stderr": null});
    let mut changed = false;
    let up = s.is_up()?;
    let mut status = Map::new();
    status.insert("enabled".into(), idle());
    let runlevels = args.strings("runlevels");
    if let Some(want) = args.opt_bool("enabled") {
        let mut part = idle();
        let differs = match runlevels.is_empty() {
            true => s.is_enabled("?") != want,
            false => runlevels.iter().any(|l| s.is_enabled(l) != want),
        };
        if !runlevels.is_empty() {
            set(&mut part, "runlevels", runlevels.clone());
        }
        if differs {
            changed = true;
            set(&mut part, "changed", true);
            if !s.ctx.check {
                note(&mut part, &s.enable(want, &runlevels)?);
            }
        }
        status.insert("enabled".into(), part);
    }
    let state = args.opt_str("state");
    let mut part = idle();
    if let Some(state) = state {
        let acts = match state {
            "started" => !up,
            "stopped" => up,
            _ => true,
        };
        if acts {
            changed = true;
            set(&mut part, "changed", true);
            if !s.ctx.check {
                note(&mut part, &s.act(state)?);
            }
        }
    }
    // ansible-core's result has this key too where no state is asked for.
    status.insert(state.unwrap_or("null").into(), part);
    let mut o = Outcome::changed(changed).set("name", name).set("status", status);
    o.warnings = s.warnings;
    Ok(o)
}

fn set(part: &mut Json, key: &str, value: impl Into<Json>) {
    if let Some(m) = part.as_object_mut() {
        m.insert(key.into(), value.into());
    }
}

fn note(part: &mut Json, o: &Output) {
    set(part, "rc", o.rc);
    set(part, "stdout", o.out());
    set(part, "stderr", o.err());
}

impl Service<'_, '_> {
    /// True if a link starts it in this runlevel (`?`: in any).
    fn is_enabled(&self, level: &str) -> bool {
        let levels: Vec<char> = match level {
            "?" => "0123456S".chars().collect(),
            one => one.chars().take(1).collect(),
        };
        levels.iter().any(|l| {
            let links = std::fs::read_dir(self.etc.join(format!("rc{l}.d"))).into_iter().flatten().flatten();
            links.into_iter().any(|e| {
                let file = e.file_name().to_string_lossy().into_owned();
                file.starts_with('S') && file.get(3..) == Some(self.name)
            })
        })
    }

    fn is_up(&mut self) -> Result<bool, Failure> {
        if let Some(p) = self.args.opt_str("pattern") {
            let up = self.in_process_list(p)?;
            if !up {
                self.warnings.push("Unable to determine if service is up, assuming it is down".into());
            }
            return Ok(up);
        }
        let o = Cmd::new([self.script.to_string_lossy().as_ref(), "status"]).c_locale().tried(self.ctx)?;
        let out = o.out();
        if out.matches('\n').count() <= 1 {
            let said = out.to_lowercase().replace(&self.name.to_lowercase(), "");
            if DOWN.iter().any(|w| said.contains(w)) {
                return Ok(false);
            }
            if let Some(word) = UP.iter().find(|w| said.contains(**w)) {
                return Ok(!said.contains(&format!("not {word}")));
            }
        }
        if [1, 2, 3, 4, 69].contains(&o.rc) {
            return Ok(false);
        }
        if o.rc == 0 || self.in_process_list(self.name)? {
            return Ok(true);
        }
        self.warnings.push("Unable to determine if service is up, assuming it is down".into());
        Ok(false)
    }

    fn in_process_list(&self, text: &str) -> Result<bool, Failure> {
        let o = Cmd::new(["ps", "auxww"]).c_locale().tried(self.ctx)?;
        let own = std::process::id().to_string();
        Ok(o.ok() && o.out().lines().any(|l| l.contains(text) && l.split_whitespace().nth(1) != Some(own.as_str())))
    }

    /// Enables or disables the service by the host's own tool.
    fn enable(&self, on: bool, levels: &[String]) -> Result<Output, Failure> {
        let tool = |n: &str| find_program(self.ctx, n);
        let name = self.name.to_owned();
        if let Some(t) = tool("update-rc.d") {
            let verb = match (on, levels.is_empty()) {
                (true, true) => "defaults",
                (true, false) => "enable",
                (false, _) => "disable",
            };
            return Cmd::new([t, name, verb.into()]).args(levels.iter().cloned()).c_locale().tried(self.ctx);
        }
        if let Some(t) = tool("chkconfig") {
            let c = match levels.is_empty() {
                true => Cmd::new([t]),
                false => Cmd::new([t, "--level".into(), levels.concat()]),
            };
            return c.args([name, if on { "on".into() } else { "off".to_owned() }]).c_locale().tried(self.ctx);
        }
        if let Some(t) = tool("insserv") {
            let c = if on { Cmd::new([t]) } else { Cmd::new([t, "-r".into()]) };
            let c = match levels.is_empty() {
                true => c.arg(name),
                false => c.arg(format!("{name},start={}", levels.join(","))),
            };
            return c.c_locale().tried(self.ctx);
        }
        Err("Cannot enable or disable the service: none of update-rc.d, chkconfig and insserv was found".into())
    }

    fn act(&self, state: &str) -> Result<Output, Failure> {
        match state {
            "restarted" => {
                self.script("stop", "restart")?;
                std::thread::sleep(Duration::from_secs(self.args.int("sleep").clamp(0, 86_400) as u64));
                self.script("start", "restart")
            }
            "reloaded" => self.script("reload", "reload"),
            "stopped" => self.script("stop", "stop"),
            _ => self.script("start", "start"),
        }
    }

    /// Runs the script; `what` is the word for a failure.
    fn script(&self, verb: &str, what: &str) -> Result<Output, Failure> {
        let more = super::support::shlex::split(self.args.str("arguments")).map_err(Failure::new)?;
        let script = self.script.to_string_lossy().into_owned();
        let session = match self.args.bool("daemonize") {
            true => vec!["setsid".to_owned(), "--wait".into()],
            false => vec![],
        };
        let o = Cmd::new(session).args([script, verb.into()]).args(more).c_locale().tried(self.ctx)?;
        match o.ok() {
            true => Ok(o),
            false => Err(o.failure(format!("Failed to {what} service: {}", self.name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DEMO: &str = r#"#!/bin/sh
d=$(dirname "$0"); echo "$*" >> "$d/log"
case $1 in
  start) touch "$d/up"; echo starting ;;
  stop) rm -f "$d/up" ;;
  reload) exit 7 ;;
  status) [ -e "$d/up" ] && echo "demo is running" || { echo "demo is not running"; exit 3; } ;;
esac
"#;
    const RC: &str =
        "#!/bin/sh\necho \"$*\" >> ETC/log\ncase $2 in disable) rm -f ETC/rc3.d/S*;; *) touch ETC/rc3.d/S20$1;; esac\n";

    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Host {
            let d = tempfile::tempdir().expect("a directory");
            for sub in ["init.d", "rc3.d", "bin"] {
                std::fs::create_dir(d.path().join(sub)).expect("made");
            }
            let etc = d.path().to_string_lossy().into_owned();
            for (name, text) in [("init.d/demo", DEMO.to_owned()), ("bin/update-rc.d", RC.replace("ETC", &etc))] {
                std::fs::write(d.path().join(name), text).expect("written");
                std::fs::set_permissions(d.path().join(name), PermissionsExt::from_mode(0o755)).expect("set");
            }
            Host(d)
        }
        fn call(&self, args: Json, check: bool) -> Result<Outcome, Failure> {
            let path = format!("{}/bin:/usr/bin:/bin", self.0.path().display());
            let mut ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
            let checked = crate::modules::validate(&module().spec, args.as_object().expect("an object"), "sysvinit");
            run_in(&mut ctx, &checked.expect("valid").args, self.0.path())
        }
        fn changed(&self, args: Json, check: bool) -> bool {
            self.call(args, check).expect("works").changed
        }
    }

    #[test]
    fn starts_and_stops() {
        let h = Host::new();
        let start = json!({"name": "demo", "state": "started"});
        assert!(h.changed(start.clone(), true) && h.changed(start.clone(), false) && !h.changed(start, false));
        let o = h
            .call(json!({"name": "demo", "state": "restarted", "sleep": 0, "args": "--a 'b c'"}), false)
            .expect("works");
        assert_eq!((o.changed, &o.data["status"]["restarted"]["stdout"]), (true, &json!("starting\n")));
        let log = std::fs::read_to_string(h.0.path().join("init.d/log")).expect("a log");
        assert!(log.ends_with("status\nstop --a b c\nstart --a b c\n"), "{log}");
        let f = h.call(json!({"name": "demo", "state": "reloaded"}), false).expect_err("fails");
        assert_eq!((f.msg.as_str(), &f.data["rc"]), ("Failed to reload service: demo", &json!(7)));
        let stop = json!({"name": "demo", "state": "stopped", "daemonize": true});
        assert!(h.changed(stop.clone(), false) && !h.changed(stop, false));
        let f = h.call(json!({"name": "none", "state": "started"}), true).expect_err("fails");
        assert_eq!(f.msg, "Could not find the requested service none: ");
    }

    #[test]
    fn enables_and_disables() {
        let h = Host::new();
        let on = json!({"name": "demo", "enabled": true});
        assert!(h.changed(on.clone(), true) && h.changed(on.clone(), false) && !h.changed(on, false));
        let some = json!({"name": "demo", "enabled": true, "runlevels": ["3", "5"]});
        let o = h.call(some, false).expect("works");
        assert_eq!((o.changed, &o.data["status"]["enabled"]["runlevels"]), (true, &json!(["3", "5"])));
        let off = json!({"name": "demo", "enabled": false});
        assert!(h.changed(off.clone(), false) && !h.changed(off, false));
        let log = std::fs::read_to_string(h.0.path().join("log")).expect("a log");
        assert_eq!(log, "demo defaults\ndemo enable 3 5\ndemo disable\n");
    }
}
