//! `selinux` (ansible.posix): mode and policy of SELinux, in its configuration file, the running kernel and, if
//! wanted, the kernel's command line.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/selinux_module.html>.

use super::support::exec::{self, Cmd};
use super::support::{atomic, fileargs::real_path};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "selinux",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::str("policy").doc("The policy's name; not needed to disable SELinux."),
            Arg::str("state").required().choices(&["disabled", "enforcing", "permissive"]).doc("The mode."),
            Arg::str("configfile").default("/etc/selinux/config").aliases(&["conf", "file"]),
            Arg::bool("update_kernel_param")
                .default(false)
                .doc("Switch SELinux on or off on the kernel's command line, too; grubby does it."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Change policy and state of SELinux",
        run: |ctx, args| perform(&System { kernel: "/sys/fs/selinux".into(), etc: "/etc/selinux".into() }, ctx, args),
    }
}

/// Where SELinux keeps what it knows.
struct System {
    /// selinuxfs.
    kernel: PathBuf,
    etc: PathBuf,
}

/// Why a host cannot be managed before a policy is installed.
const NO_POLICY: &str = "Install a package with an SELinux policy first.";

impl System {
    /// The running kernel's mode.
    fn running(&self) -> &'static str {
        match std::fs::read_to_string(self.kernel.join("enforce")).as_deref().map(str::trim) {
            Ok("1") => "enforcing",
            Ok(_) => "permissive",
            Err(_) => "disabled",
        }
    }
    fn enforce(&self, on: bool) -> Result<(), Failure> {
        std::fs::write(self.kernel.join("enforce"), if on { "1" } else { "0" })
            .map_err(|e| Failure::new(format!("cannot change the mode of the running kernel: {e}")))
    }
}

/// What the line `KEY=` of a configuration file says.
fn setting<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
}

/// The text with `KEY=value`.
fn with_setting(text: &str, key: &str, value: &str) -> String {
    let mut out = String::new();
    let mut done = false;
    for line in text.lines() {
        if line.strip_prefix(key).is_some_and(|r| r.starts_with('=')) {
            out.push_str(&format!("{key}={value}\n"));
            done = true;
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !done {
        out.push_str(&format!("{key}={value}\n"));
    }
    out
}

/// Whether the entries of the boot loader switch SELinux off: all, none or some of them.
fn boot_state(info: &str) -> &'static str {
    let entries: Vec<bool> = info
        .lines()
        .filter_map(|l| l.strip_prefix("args="))
        .map(|args| args.trim_matches('"').split_whitespace().any(|w| w == "selinux=0"))
        .collect();
    match (entries.iter().any(|off| *off), entries.iter().all(|off| *off)) {
        (true, true) => "disabled",
        (true, false) => "<inconsistent>",
        _ => "enabled",
    }
}

fn grubby(ctx: &Ctx, tool: &str, words: &[&str]) -> Result<String, Failure> {
    let out = Cmd::new([tool]).args(words.iter().copied()).c_locale().run(ctx)?;
    if !out.ok() {
        return Err(Failure::new(format!("grubby failed: {}", out.err().trim())).set("rc", out.rc));
    }
    Ok(out.out())
}

fn shown(policy: Option<&str>) -> &str {
    policy.unwrap_or("None")
}

fn perform(sys: &System, ctx: &mut Ctx, args: &Args) -> ModResult {
    let (config, state) = (args.str("configfile"), args.str("state"));
    let path = Path::new(config);
    let mut text = match std::fs::read_to_string(path) {
        Ok(t) => t,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::new(format!("Unable to find file {config}")).set("details", NO_POLICY));
        }
        Err(e) => return Err(Failure::new(format!("Unable to read file {config}: {e}"))),
    };
    let set_policy = setting(&text, "SELINUXTYPE").map(str::to_owned);
    let set_state = setting(&text, "SELINUX").map(str::to_owned);
    let policy = match args.opt_str("policy").filter(|p| !p.is_empty()) {
        Some(p) => Some(p.to_owned()),
        None if state == "disabled" => set_policy.clone(),
        None => return Err("Policy is required if state is not 'disabled'".into()),
    };
    let tool = match args.bool("update_kernel_param") {
        true => Some(exec::find_program(ctx, "grubby").ok_or_else(|| {
            Failure::new("'grubby' command not found on host")
                .set("details", "update_kernel_param changes the kernel's command line by the program grubby.")
        })?),
        false => None,
    };
    let running = sys.running();
    let system_config = std::fs::read_to_string(sys.etc.join("config")).unwrap_or_default();
    let running_policy = setting(&system_config, "SELINUXTYPE").map(str::to_owned);
    let mut said = vec![];
    if policy != running_policy || policy != set_policy {
        if ctx.check {
            return Ok(Outcome::changed(true));
        }
        if policy != running_policy {
            let (old, new) = (shown(running_policy.as_deref()), shown(policy.as_deref()));
            said.push(format!("Running SELinux policy changed from '{old}' to '{new}'"));
        }
        if let Some(new) = policy.as_deref().filter(|_| policy != set_policy) {
            if new.contains('/') || !sys.etc.join(new).join("policy").exists() {
                return Err(Failure::new(format!("Policy {new} does not exist in /etc/selinux/")));
            }
            let old = shown(set_policy.as_deref());
            said.push(format!("SELinux policy configuration in '{config}' changed from '{old}' to '{new}'"));
            text = with_setting(&text, "SELINUXTYPE", new);
            atomic::write(&real_path(path), text.as_bytes(), false)?;
        }
    }
    let reboot = match (running, state) {
        ("disabled", "disabled") => false,
        ("disabled", _) => true,
        (_, "disabled") => {
            // until the reboot nothing shall be refused any more
            if running == "enforcing" && !ctx.check {
                sys.enforce(false)?;
            }
            true
        }
        (now, wanted) => {
            if now != wanted {
                if !ctx.check {
                    sys.enforce(wanted == "enforcing")?;
                }
                said.push(format!("SELinux state changed from '{now}' to '{wanted}'"));
            }
            false
        }
    };
    if set_state.as_deref() != Some(state) {
        said.push(format!("Config SELinux state changed from '{}' to '{state}'", shown(set_state.as_deref())));
        if !ctx.check {
            let new = with_setting(&text, "SELINUX", state);
            atomic::write(&real_path(path), new.as_bytes(), false)?;
        }
    }
    if let Some(tool) = tool {
        let now = boot_state(&grubby(ctx, &tool, &["--info=ALL"])?);
        let (wanted, change) = match state {
            "disabled" => ("disabled", "--args"),
            _ => ("enabled", "--remove-args"),
        };
        if now != wanted {
            if !ctx.check {
                grubby(ctx, &tool, &["--update-kernel=ALL", change, "selinux=0"])?;
            }
            said.push(format!("Kernel SELinux state changed from '{now}' to '{wanted}'"));
        }
    }
    Ok(Outcome::changed(!said.is_empty())
        .msg(said.join(", "))
        .set("configfile", config)
        .set("policy", policy.map_or(Json::Null, Json::from))
        .set("state", state)
        .set("reboot_required", reboot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::toolkit::{Root, checked};
    use serde_json::json;

    struct Host(Root);

    impl Host {
        /// A host in this mode whose configuration is `config`; its entries of the boot loader have these arguments.
        fn new(enforce: Option<&str>, config: &str, boot: &[&str]) -> Host {
            let h = Root::empty();
            h.write("etc/config", config);
            h.write("etc/targeted/policy/policy.33", "");
            h.write("etc/mls/policy/policy.33", "");
            if let Some(e) = enforce {
                h.write("fs/enforce", e);
            }
            let entries: String = boot.iter().map(|a| format!("index=0\nargs=\"{a}\"\n")).collect();
            h.write("info", &entries);
            h.program("grubby", "[ $1 = --info=ALL ] && cat info || echo \"$*\" >> log");
            Host(h)
        }
        fn call(&self, mut args: Json, check: bool) -> ModResult {
            args["configfile"] = self.0.at("etc/config").to_string_lossy().into_owned().into();
            let sys = System { kernel: self.0.at("fs"), etc: self.0.at("etc") };
            perform(&sys, &mut self.0.ctx(check), &checked(&module(), &args))
        }
        /// changed, message and whether a reboot is due
        fn told(&self, args: Json, check: bool) -> (bool, String, bool) {
            let o = self.call(args, check).map_err(|f| f.msg).expect("no failure");
            let text = o.data.get("msg").and_then(Json::as_str).unwrap_or_default().to_owned();
            (o.changed, text, o.data.get("reboot_required").and_then(Json::as_bool).unwrap_or(false))
        }
    }

    const CONFIG: &str = "# c\nSELINUX=enforcing\n# x\nSELINUXTYPE=targeted";

    #[test]
    fn modes() {
        let h = Host::new(Some("1"), CONFIG, &[]);
        let to = |s: &str| json!({"state": s, "policy": "targeted"});
        assert_eq!(h.told(to("enforcing"), false), (false, String::new(), false));
        let both = "SELinux state changed from 'enforcing' to 'permissive', Config SELinux state changed from 'enforcing' to 'permissive'";
        assert_eq!(h.told(to("permissive"), true), (true, both.into(), false));
        assert_eq!((h.0.read("etc/config"), h.0.read("fs/enforce")), (CONFIG.into(), "1".into()));
        assert_eq!(h.told(to("permissive"), false), (true, both.into(), false));
        assert_eq!(h.0.read("etc/config"), "# c\nSELINUX=permissive\n# x\nSELINUXTYPE=targeted\n");
        assert_eq!((h.0.read("fs/enforce").as_str(), h.told(to("permissive"), false).0), ("0", false));
        // switching off takes a reboot, and is said until then
        h.0.write("fs/enforce", "1");
        let off = json!({"state": "disabled"});
        assert_eq!(
            h.told(off.clone(), false),
            (true, "Config SELinux state changed from 'permissive' to 'disabled'".into(), true)
        );
        assert_eq!((h.0.read("fs/enforce").as_str(), h.told(off, false)), ("0", (false, String::new(), true)));
        let e = h.call(json!({"state": "enforcing"}), false).expect_err("no policy");
        assert_eq!(e.msg, "Policy is required if state is not 'disabled'");
    }

    #[test]
    fn a_kernel_without_selinux() {
        let h = Host::new(None, "SELINUX=disabled\nSELINUXTYPE=targeted\n", &[]);
        assert_eq!(h.told(json!({"state": "disabled"}), false), (false, String::new(), false));
        let on = json!({"state": "permissive", "policy": "targeted"});
        let told = "Config SELinux state changed from 'disabled' to 'permissive'";
        assert_eq!(h.told(on.clone(), false), (true, told.into(), true));
        assert_eq!(h.told(on, false), (false, String::new(), true));
    }

    #[test]
    fn policies() {
        let h = Host::new(Some("1"), CONFIG, &[]);
        let mls = json!({"state": "enforcing", "policy": "mls"});
        let o = h.call(mls.clone(), true).map_err(|f| f.msg).expect("predicts");
        assert!(o.changed && o.data.is_empty());
        let (changed, text, _) = h.told(mls, false);
        assert!(
            changed
                && text.starts_with(
                    "Running SELinux policy changed from 'targeted' to 'mls', SELinux policy configuration in '"
                ),
            "{text}"
        );
        assert_eq!(h.0.read("etc/config"), "# c\nSELINUX=enforcing\n# x\nSELINUXTYPE=mls\n");
        let e = h.call(json!({"state": "enforcing", "policy": "nosuch"}), false).expect_err("unknown");
        assert_eq!(e.msg, "Policy nosuch does not exist in /etc/selinux/");
    }

    #[test]
    fn the_kernels_command_line() {
        let h = Host::new(Some("1"), CONFIG, &["ro selinux=0 quiet", "ro"]);
        let same = json!({"state": "enforcing", "policy": "targeted", "update_kernel_param": true});
        let told = "Kernel SELinux state changed from '<inconsistent>' to 'enabled'";
        assert_eq!(h.told(same.clone(), true), (true, told.into(), false));
        assert_eq!(h.0.read("log"), "");
        assert_eq!(h.told(same, false), (true, told.into(), false));
        let _ = h.told(json!({"state": "disabled", "update_kernel_param": true}), false);
        assert_eq!(
            h.0.read("log"),
            "--update-kernel=ALL --remove-args selinux=0\n--update-kernel=ALL --args selinux=0\n"
        );
        assert_eq!((boot_state("args=\"ro\"\n"), boot_state("args=\"selinux=0\"\n")), ("enabled", "disabled"));
    }
}
