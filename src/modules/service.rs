//! `service`: the host's service manager, whichever it is: systemd, or init scripts.

use super::facts::service_manager;
use super::support::exec::{Cmd, Output, find_program};
use super::support::glob::glob;
use super::systemd::{self, Want};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use crate::seconds;
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "service",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("Name of the service."),
            Arg::str("state")
                .choices(&["started", "stopped", "reloaded", "restarted"])
                .doc("`started` and `stopped` act only if needed; `restarted` and `reloaded` always act."),
            Arg::int("sleep").doc("Seconds between stop and start of a restart (init scripts only)."),
            Arg::str("pattern").doc("Text to look for among processes if the script knows no status."),
            Arg::bool("enabled").doc("Whether the service starts at boot."),
            Arg::str("runlevel").default("default").doc("OpenRC only."),
            Arg::str("arguments").default("").aliases(&["args"]).doc("More arguments for the init script."),
            Arg::bool("daemon_reload").aliases(&["daemon-reload"]).doc("systemd only: run daemon-reload first."),
            Arg::bool("daemon_reexec").aliases(&["daemon-reexec"]).doc("systemd only: run daemon-reexec first."),
            Arg::bool("masked").doc("systemd only: whether the unit is masked."),
            Arg::bool("force").doc("systemd only: override symlinks that are there."),
            Arg::bool("no_block").doc("systemd only: do not wait for the job to end."),
            Arg::str("scope").choices(&["system", "user", "global"]).doc("systemd only: which manager to speak to."),
            Arg::str("use").default("auto").doc("The service manager: auto, systemd, sysvinit or service."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Control services through systemd, or through init scripts where systemd does not run.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let wanted = args.str("use").rsplit('.').next().unwrap_or("").to_string();
    let manager = match wanted.as_str() {
        "auto" | "" => service_manager(ctx),
        "systemd_service" => "systemd".into(),
        other => other.to_string(),
    };
    match manager.as_str() {
        "systemd" => on_systemd(ctx, args),
        "openrc" | "upstart" | "runit" | "svc" | "bsdinit" | "smf" => {
            Err(Failure::new(format!("services under {manager} are not supported; systemd and init scripts are")))
        }
        _ if wanted != "auto" && !matches!(wanted.as_str(), "service" | "sysvinit") => Err(Failure::new(format!(
            "use={wanted}: no such service manager here; give auto, systemd, sysvinit or service"
        ))),
        _ => {
            of_scripts(args)?;
            Script::find(ctx, args)?.bring(args)
        }
    }
}

fn on_systemd(ctx: &mut Ctx, args: &Args) -> ModResult {
    one_of(args, &["state", "enabled", "masked", "daemon_reload", "daemon_reexec"])?;
    let mut o = systemd::execute(ctx, &Want::of(args))?;
    for (name, given) in [
        ("pattern", args.is_set("pattern")),
        ("runlevel", args.str("runlevel") != "default"),
        ("sleep", args.is_set("sleep")),
        ("arguments", !args.str("arguments").is_empty()),
    ] {
        if given {
            o = o.warn(format!("Ignoring \"{name}\" as it is not used in \"systemd\""));
        }
    }
    Ok(o)
}

/// Parameters of `systemd` that `service` hands on, where that is what controls the services.
const OF_SYSTEMD: [&str; 6] = ["daemon_reload", "daemon_reexec", "masked", "force", "no_block", "scope"];

/// Nothing else knows them.
fn of_scripts(args: &Args) -> Result<(), Failure> {
    let foreign: Vec<&str> = OF_SYSTEMD.into_iter().filter(|n| args.is_set(n)).collect();
    if !foreign.is_empty() {
        return Err(Failure::new(format!(
            "Unsupported parameters for (ansible.legacy.service) module: {}. systemd alone has them.",
            foreign.join(", ")
        )));
    }
    one_of(args, &["state", "enabled"])
}

fn one_of(args: &Args, names: &[&str]) -> Result<(), Failure> {
    match names.iter().any(|n| args.is_set(n)) {
        true => Ok(()),
        false => Err(Failure::new(format!("one of the following is required: {}", names.join(", ")))),
    }
}

/// An init script and the ways to call it.
struct Script<'a, 'b> {
    ctx: &'a Ctx<'b>,
    name: String,
    /// `service NAME` or the script itself.
    call: Vec<String>,
}

impl<'a, 'b> Script<'a, 'b> {
    fn find(ctx: &'a Ctx<'b>, args: &Args) -> Result<Script<'a, 'b>, Failure> {
        let name = args.str("name").to_string();
        let dirs = ["/etc/init.d", "/etc/rc.d/init.d"];
        let path = dirs.iter().map(|d| format!("{d}/{name}")).find(|p| Path::new(p).is_file());
        let Some(path) = path.filter(|_| !name.is_empty() && !name.contains('/')) else {
            return Err(Failure::new(format!("Could not find the requested service {name}: host")));
        };
        let call = match find_program(ctx, "service") {
            Some(s) => vec![s, name.clone()],
            None => vec![path],
        };
        Ok(Script { ctx, name, call })
    }

    fn run(&self, verb: &str, more: &str) -> Result<Output, Failure> {
        let more = super::support::shlex::split(more).map_err(Failure::new)?;
        Ok(Cmd::new(self.call.iter().map(String::as_str)).arg(verb).args(more).c_locale().run(self.ctx)?)
    }

    fn running(&self, args: &Args) -> Result<bool, Failure> {
        if let Some(p) = args.opt_str("pattern") {
            return Ok(process_with(p));
        }
        let o = self.run("status", "")?;
        let said = o.out().to_lowercase();
        Ok(match o.rc {
            1..=4 | 69 => false,
            _ if said.contains("not running") || said.contains("is dead") || said.contains("stopped") => false,
            0 => true,
            _ => said.contains("running") || said.contains("is up"),
        })
    }

    fn bring(&self, args: &Args) -> ModResult {
        let mut out = Outcome::ok().set("name", self.name.as_str());
        let mut plan: Vec<&str> = vec![];
        let state = args.opt_str("state");
        if let Some(s) = state {
            let running = self.running(args)?;
            match s {
                "started" if !running => plan.push("start"),
                "stopped" if running => plan.push("stop"),
                "reloaded" => plan.push(if running { "reload" } else { "start" }),
                "restarted" if running => plan.extend(["stop", "start"]),
                "restarted" => plan.push("start"),
                _ => {}
            }
        }
        if let Some(e) = args.opt_bool("enabled") {
            out.changed |= self.enable(e)?;
            out = out.set("enabled", e);
        }
        out.changed |= !plan.is_empty();
        if self.ctx.check {
            return Ok(if plan.is_empty() { self.with_state(out, state) } else { out.msg("service state changed") });
        }
        for (i, verb) in plan.iter().enumerate() {
            if i > 0 {
                std::thread::sleep(seconds::whole(args.int("sleep")));
            }
            let o = self.run(verb, args.str("arguments"))?;
            // A service that would not stop may still be restarted by its start.
            if !o.ok() && plan.len() == i + 1 {
                return Err(Failure::new(if o.err().is_empty() { o.out() } else { o.err() }));
            }
        }
        Ok(self.with_state(out, state))
    }

    fn with_state(&self, out: Outcome, state: Option<&str>) -> Outcome {
        match state {
            Some("stopped") => out.set("state", "stopped"),
            Some(_) => out.set("state", "started"),
            None => out,
        }
    }

    /// Makes the script start at boot or not; true if that is a change.
    fn enable(&self, want: bool) -> Result<bool, Failure> {
        let links = |l: &str| !glob(Path::new("/"), &format!("/etc/rc{l}.d/S??{}", self.name)).is_empty();
        let enabled =
            links("[2-5]") || !glob(Path::new("/"), &format!("/etc/rc.d/rc[2-5].d/S??{}", self.name)).is_empty();
        if enabled == want {
            return Ok(false);
        }
        if self.ctx.check {
            return Ok(true);
        }
        let verb = if want { "enable" } else { "disable" };
        let calls: Vec<Vec<String>> = match (find_program(self.ctx, "update-rc.d"), find_program(self.ctx, "chkconfig"))
        {
            (Some(u), _) if want => {
                vec![vec![u.clone(), self.name.clone(), "defaults".into()], vec![u, self.name.clone(), "enable".into()]]
            }
            (Some(u), _) => vec![vec![u, self.name.clone(), "disable".into()]],
            (None, Some(c)) => {
                let on = if want { "on" } else { "off" };
                vec![vec![c.clone(), "--add".into(), self.name.clone()], vec![c, self.name.clone(), on.into()]]
            }
            (None, None) => {
                return Err(Failure::new(format!(
                    "cannot {verb} {}: neither update-rc.d nor chkconfig is there",
                    self.name
                )));
            }
        };
        for c in calls {
            let o = Cmd::new(c).c_locale().run(self.ctx)?;
            if !o.ok() {
                return Err(
                    Failure::new(format!("Unable to {verb} service {}: {}", self.name, o.err())).set("rc", o.rc)
                );
            }
        }
        Ok(true)
    }
}

/// True if the command line of a process holds the text.
fn process_with(pattern: &str) -> bool {
    let me = std::process::id().to_string();
    super::facts::names("/proc").into_iter().filter(|n| *n != me && n.bytes().all(|b| b.is_ascii_digit())).any(|n| {
        std::fs::read(format!("/proc/{n}/cmdline"))
            .is_ok_and(|c| String::from_utf8_lossy(&c).replace('\0', " ").contains(pattern))
    })
}
