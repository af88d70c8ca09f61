//! `modprobe` (community.general): kernel modules, now and after a reboot.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/modprobe_module.html>.

use super::support::exec::{self, Cmd};
use super::support::{atomic, shlex};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "modprobe",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("The module."),
            Arg::str("state").choices(&["absent", "present"]).default("present"),
            Arg::str("params").default("").doc("Its parameters."),
            Arg::str("persistent")
                .choices(&["disabled", "present", "absent"])
                .default("disabled")
                .doc("Whether modules-load.d and modprobe.d shall name it; `disabled` leaves them alone."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Load or unload kernel modules",
        run: |ctx, args| with_names(args, perform(&System::real(), ctx, args)),
    }
}

/// Every result names what it is about.
fn with_names(args: &Args, done: ModResult) -> ModResult {
    let keys = ["name", "params", "state"];
    match done {
        Ok(o) => Ok(keys.iter().fold(o, |o, k| o.set(k, args.str(k)))),
        Err(f) => Err(keys.iter().fold(f, |f, k| f.set(k, args.str(k)))),
    }
}

/// The files that matter.
struct System {
    loaded: PathBuf,
    builtin: PathBuf,
    load: PathBuf,
    options: PathBuf,
}

impl System {
    fn real() -> System {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        System {
            loaded: "/proc/modules".into(),
            builtin: Path::new("/lib/modules").join(release.trim()).join("modules.builtin"),
            load: "/etc/modules-load.d".into(),
            options: "/etc/modprobe.d".into(),
        }
    }
    fn is_loaded(&self, name: &str) -> Result<bool, Failure> {
        let text = std::fs::read_to_string(&self.loaded)
            .map_err(|e| Failure::new(format!("{}: '{}'", exec::errno_text(&e), self.loaded.display())))?;
        let plain = name.replace('-', "_");
        if text.lines().any(|l| l.split(' ').next() == Some(plain.as_str())) {
            return Ok(true);
        }
        let text = std::fs::read_to_string(&self.builtin).unwrap_or_default();
        Ok(text.lines().any(|l| l.ends_with(&format!("/{name}.ko"))))
    }
}

/// The regular files of a directory, by name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    all.retain(|p| p.is_file());
    all.sort();
    all
}

/// Whether a line of modules-load.d names the module.
fn names(line: &str, name: &str) -> bool {
    let t = line.trim_start();
    t.strip_prefix(name).is_some_and(|r| r.trim().is_empty() || r.trim_start().starts_with(['#', ';']))
}

/// The parameters that a line of modprobe.d gives the module.
fn options<'a>(line: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    (words.next() == Some("options") && words.next() == Some(name)).then(|| words.collect())
}

/// Puts a `#` before every line that fits; whether there was one. In a check run the files stay.
fn comment_out(dir: &Path, check: bool, fits: &dyn Fn(&str) -> bool) -> Result<bool, Failure> {
    let mut any = false;
    for path in files(dir) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let new: String =
            text.split_inclusive('\n').map(|l| if fits(l) { format!("#{l}") } else { l.to_owned() }).collect();
        if new != text {
            any = true;
            if !check {
                atomic::write(&path, new.as_bytes(), false)?;
            }
        }
    }
    Ok(any)
}

fn any_line(dir: &Path, mut seen: impl FnMut(&str)) {
    for path in files(dir) {
        std::fs::read_to_string(&path).unwrap_or_default().lines().for_each(&mut seen);
    }
}

fn perform(sys: &System, ctx: &mut Ctx, args: &Args) -> ModResult {
    let (name, params, present) = (args.str("name"), args.str("params"), args.str("state") == "present");
    let persistent = args.str("persistent");
    if persistent != "disabled" && (name.is_empty() || name.contains('/')) {
        return Err(Failure::new(format!("'{name}' cannot be the name of a file below {}", sys.load.display())));
    }
    let mut changed = false;
    if sys.is_loaded(name)? != present {
        let tool = exec::need_program(ctx, "modprobe")?;
        let words = shlex::split(params).map_err(Failure::new)?;
        let mut cmd = Cmd::new([tool]).c_locale();
        cmd = match (present, ctx.check) {
            (true, true) => cmd.args(["-n", name]),
            (true, false) => cmd.arg(name).args(words),
            (false, true) => cmd.args(["-r", name, "-n"]),
            (false, false) => cmd.args(["-r", name]),
        };
        let out = cmd.run(ctx)?;
        if !out.ok() {
            let f = Failure::new(out.err()).set("rc", out.rc).set("stdout", out.out()).set("stderr", out.err());
            return Err(f);
        }
        changed = true;
    }
    match persistent {
        "present" => changed |= keep(sys, ctx, name, params)?,
        "absent" => {
            changed |= comment_out(&sys.load, ctx.check, &|l| names(l, name))?;
            changed |= comment_out(&sys.options, ctx.check, &|l| options(l, name).is_some_and(|o| !o.is_empty()))?;
        }
        _ => {}
    }
    Ok(Outcome::changed(changed))
}

/// Makes the module one that is loaded after a reboot, with these parameters and no others.
fn keep(sys: &System, ctx: &Ctx, name: &str, params: &str) -> Result<bool, Failure> {
    let mut changed = false;
    let mut there = false;
    any_line(&sys.load, |l| there |= names(l, name));
    if !there {
        changed = true;
        if !ctx.check {
            write(&sys.load, name, &format!("{name}\n"))?;
        }
    }
    let mut now: Vec<String> = vec![];
    any_line(&sys.options, |l| now.extend(options(l, name).unwrap_or_default().into_iter().map(str::to_owned)));
    let mut wanted: Vec<String> = params.split_whitespace().map(str::to_owned).collect();
    for list in [&mut now, &mut wanted] {
        list.sort();
        list.dedup();
    }
    if now != wanted {
        changed = true;
        comment_out(&sys.options, ctx.check, &|l| options(l, name).is_some_and(|o| !o.is_empty()))?;
        if !ctx.check {
            let text = if wanted.is_empty() { String::new() } else { format!("options {name} {params}\n") };
            write(&sys.options, name, &text)?;
        }
    }
    Ok(changed)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    atomic::write(&dir.join(format!("{name}.conf")), text.as_bytes(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::toolkit::{Root, checked};
    use serde_json::{Value as Json, json};

    struct Host(Root);

    impl Host {
        fn new() -> Host {
            let h = Root::empty();
            h.write("modules", "busy 1 0 - Live 0x0\n");
            h.write("builtin", "kernel/drivers/built_in.ko\n");
            h.program("modprobe", "echo \"$*\" >> log\ncase \"$*\" in\n-n*|*-n) ;;\n'-r busy') echo 'FATAL: in use' >&2; exit 1;;\n-r*) sed -i \"/^$2 /d\" modules;;\n*) echo \"$1 1 0\" | tr - _ >> modules;;\nesac");
            Host(h)
        }
        fn call(&self, args: &Json, check: bool) -> Result<bool, String> {
            let at = |n: &str| self.0.at(n);
            let sys = System { loaded: at("modules"), builtin: at("builtin"), load: at("load"), options: at("opt") };
            perform(&sys, &mut self.0.ctx(check), &checked(&module(), args)).map(|o| o.changed).map_err(|f| f.msg)
        }
        /// check, first, second, check again
        fn cycle(&self, args: Json) {
            let runs = [true, false, false, true].map(|check| self.call(&args, check));
            assert_eq!(runs, [Ok(true), Ok(true), Ok(false), Ok(false)], "{args}");
        }
    }

    #[test]
    fn now() {
        let h = Host::new();
        h.cycle(json!({"name": "dum-my", "params": "a=1 b='2 3'"}));
        assert_eq!(h.0.read("log"), "-n dum-my\ndum-my a=1 b=2 3\n");
        assert_eq!(h.call(&json!({"name": "built_in"}), false), Ok(false));
        assert_eq!(h.call(&json!({"name": "busy", "state": "absent"}), false), Err("FATAL: in use\n".into()));
        std::fs::remove_file(h.0.at("modules")).expect("removed");
        let e = h.call(&json!({"name": "x"}), false).expect_err("no list");
        assert!(e.starts_with("[Errno 2] No such file or directory: '"), "{e}");
    }

    #[test]
    fn after_a_reboot() {
        let h = Host::new();
        h.cycle(json!({"name": "dummy", "persistent": "present", "params": "n=2 x=y"}));
        assert_eq!(
            (h.0.read("load/dummy.conf").as_str(), h.0.read("opt/dummy.conf").as_str()),
            ("dummy\n", "options dummy n=2 x=y\n")
        );
        h.cycle(json!({"name": "dummy", "persistent": "present", "params": "n=3"}));
        assert_eq!(h.0.read("opt/dummy.conf"), "options dummy n=3\n");
        h.cycle(json!({"name": "dummy", "persistent": "absent"}));
        assert_eq!(
            (h.0.read("load/dummy.conf").as_str(), h.0.read("opt/dummy.conf").as_str()),
            ("#dummy\n", "#options dummy n=3\n")
        );
    }

    #[test]
    fn files_of_others() {
        let h = Host::new();
        h.0.write("modules", "foo 1\nbar 1\n");
        h.0.write("load/my.conf", "# c\nother\n  foo  \nbar # x\n;foo\nfoobar\n");
        h.0.write("opt/o.conf", "options foo a=1\nblacklist foo\noptions foobar a=1\n");
        assert_eq!(h.call(&json!({"name": "bar", "persistent": "present"}), false), Ok(false));
        assert_eq!(h.call(&json!({"name": "foo", "persistent": "present", "params": "a=1"}), false), Ok(false));
        h.cycle(json!({"name": "foo", "persistent": "present"}));
        assert_eq!(h.0.read("opt/o.conf"), "#options foo a=1\nblacklist foo\noptions foobar a=1\n");
        h.cycle(json!({"name": "foo", "persistent": "absent"}));
        assert_eq!(h.0.read("load/my.conf"), "# c\nother\n#  foo  \nbar # x\n;foo\nfoobar\n");
    }
}
