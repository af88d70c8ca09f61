//! `pip`: Python packages, by the pip of the host.

use super::support::exec::{self, Cmd, Output};
use super::support::pep440::Requirement;
use super::support::shlex;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::Value as Json;
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "pip",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("state")
                .choices(&["absent", "forcereinstall", "latest", "present"])
                .default("present")
                .doc("What shall be with the packages."),
            Arg::list("name", Type::Str).doc("Packages, with version specifiers if need be, or URLs."),
            Arg::str("version").doc("The version of the one package in name."),
            Arg::str("requirements").doc("Path of a requirements file on the host."),
            Arg::path("virtualenv").doc("A virtual environment to install into; it is made if need be."),
            Arg::bool("virtualenv_site_packages").default(false).doc("A new environment sees the system's packages."),
            Arg::path("virtualenv_command").default("virtualenv").doc("The command that makes the environment."),
            Arg::str("virtualenv_python").doc("The Python of a new environment."),
            Arg::str("extra_args").doc("Further arguments for pip."),
            Arg::bool("editable").default(false).doc("Install as editable."),
            Arg::path("chdir").doc("Directory to change into first."),
            Arg::path("executable").doc("The pip to use."),
            Arg::str("umask").doc("The umask to install with, octal."),
            Arg::bool("break_system_packages")
                .default(false)
                .doc("Let pip change a Python that the system's package manager looks after."),
        ])
        .exclusive(&["name", "requirements"])
        .exclusive(&["executable", "virtualenv"])
        .one_of(&["name", "requirements"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage Python library dependencies\n\n\
              Needs pip on the host: of `executable`, of `virtualenv`, or of the Python that \
              `ansible_python_interpreter` names (else python3). `ansible_python_interpreter` is for this module only: \
              nothing else needs Python.",
        run,
    }
}

/// What is installed into, and how.
struct Pip<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    command: Vec<String>,
    umask: Option<u32>,
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let state = args.str("state");
    if state == "latest" && args.is_set("version") {
        return Err("version is incompatible with state=latest".into());
    }
    let names = args.is_set("name").then(|| split_names(&args.strings("name")));
    let umask = match args.opt_str("umask") {
        Some(t) => Some(u32::from_str_radix(t, 8).map_err(|_| {
            Failure::new("umask must be an octal integer")
                .set("details", format!("invalid literal for int() with base 8: '{t}'"))
        })?),
        None => None,
    };
    let mut pip = Pip { ctx, args, command: vec![], umask };
    let mut made = String::new();
    if let Some(env) = args.opt_str("virtualenv") {
        if !Path::new(env).join("bin/activate").exists() {
            if ctx.check {
                return Ok(Outcome::changed(true));
            }
            made = pip.make_environment(env)?;
        }
        pip.command = vec![pip_of_environment(env)?];
    } else {
        pip.command = pip.find()?;
    }
    let packages = match &names {
        Some(n) => requested(n, args.opt_str("version"))?,
        None => vec![],
    };
    if args.is_set("name") && packages.is_empty() && !args.is_set("requirements") {
        return Ok(Outcome::ok().warn("No valid name or requirements file found."));
    }
    let vcs = packages.iter().any(|p| is_vcs(p));
    if ctx.check {
        return pip.predict(&packages);
    }
    let compares = args.is_set("requirements") || vcs;
    let before = if compares { Some(pip.list()?.1.out()) } else { None };
    let words = pip.words(&packages, state)?;
    let o = pip.cmd(&words).run(ctx).map_err(|e| not_run(&words, e))?;
    let (out, err) = (o.out(), o.err());
    let gone = state == "absent" && err.contains("not installed") | out.contains("not installed");
    if o.rc != 0 && !(o.rc == 1 && gone) {
        return Err(failed(&words, &out, &err));
    }
    let changed = match before {
        Some(b) => b != pip.list()?.1.out(),
        None if state == "absent" => out.contains("Successfully uninstalled"),
        None => out.contains("Successfully installed"),
    };
    Ok(Outcome::changed(changed)
        .set("cmd", words)
        .set("name", names.map_or(Json::Null, Json::from))
        .set("version", args.get("version").clone())
        .set("state", state)
        .set("requirements", args.get("requirements").clone())
        .set("virtualenv", args.get("virtualenv").clone())
        .set("stdout", made + &out)
        .set("stderr", err))
}

impl Pip<'_, '_> {
    /// The pip of `executable`, or that of the host's Python.
    fn find(&self) -> Result<Vec<String>, Failure> {
        if let Some(exe) = self.args.opt_str("executable") {
            if exe.starts_with('/') {
                return Ok(vec![exe.into()]);
            }
            return exec::find_program(self.ctx, exe).map(|p| vec![p]).ok_or_else(|| not_found(&[exe]));
        }
        if let Some(python) = self.python() {
            let probe = Cmd::new([python.as_str(), "-c", "import pip"]);
            if probe.run(self.ctx).is_ok_and(|o| o.ok()) {
                return Ok(vec![python, "-m".into(), "pip".into()]);
            }
        }
        exec::find_program(self.ctx, "pip3").map(|p| vec![p]).ok_or_else(|| not_found(&["pip3"]))
    }
    fn python(&self) -> Option<String> {
        let named = self.ctx.hints.get("python").and_then(Json::as_str);
        let usual = ["/usr/bin/python3", "python3"];
        named.into_iter().chain(usual).find_map(|p| exec::find_program(self.ctx, p))
    }
    fn cmd(&self, words: &[String]) -> Cmd {
        let mut c = Cmd::new(words.to_vec()).c_locale().umask(self.umask);
        if self.args.bool("break_system_packages") {
            // Older releases of pip know no such option, but any may be told so.
            c = c.env("PIP_BREAK_SYSTEM_PACKAGES", "1");
        }
        match self.args.opt_str("chdir") {
            Some(d) => c.cwd(d),
            None => c,
        }
    }
    /// The command line that does what `state` says.
    fn words(&self, packages: &[String], state: &str) -> Result<Vec<String>, Failure> {
        let mut w = self.command.clone();
        let verbs: &[&str] = match state {
            "absent" => &["uninstall", "-y"],
            "latest" => &["install", "-U"],
            "forcereinstall" => &["install", "-U", "--force-reinstall"],
            _ => &["install"],
        };
        w.extend(verbs.iter().map(|v| v.to_string()));
        let extra = shlex::split(self.args.str("extra_args")).map_err(Failure::new)?;
        if self.args.bool("editable") && !extra.iter().any(|a| a == "-e") {
            w.push("-e".into());
        }
        w.extend(extra);
        match self.args.opt_str("requirements") {
            Some(file) => w.extend(["-r".to_string(), file.into()]),
            None => w.extend(packages.iter().cloned()),
        }
        Ok(w)
    }
    /// What is installed: the command and its answer, lines of `name==version`.
    fn list(&self) -> Result<(String, Output), Failure> {
        let mut last = Output::default();
        for verb in [&["list", "--format=freeze"][..], &["freeze"]] {
            let words: Vec<String> = self.command.iter().cloned().chain(verb.iter().map(|v| v.to_string())).collect();
            let o = self.cmd(&words).run(self.ctx).map_err(|e| not_run(&words, e))?;
            if o.ok() {
                return Ok((words.join(" "), o));
            }
            last = o;
        }
        let words: Vec<String> = self.command.iter().cloned().chain(["freeze".into()]).collect();
        Err(failed(&words, &last.out(), &last.err()))
    }
    fn predict(&self, packages: &[String]) -> ModResult {
        let state = self.args.str("state");
        let unsure = matches!(state, "latest" | "forcereinstall")
            || self.args.is_set("extra_args")
            || self.args.is_set("requirements");
        if unsure {
            return Ok(Outcome::changed(true));
        }
        let (cmd, o) = self.list()?;
        let (out, err) = (o.out(), o.err());
        let installed: Vec<(&str, &str)> = out.lines().filter_map(|l| l.split_once("==")).collect();
        let is_there = |p: &String| {
            Requirement::parse(p).is_some_and(|r| installed.iter().any(|(n, v)| r.is(n) && r.allows(v.trim())))
        };
        let changed = match state {
            "absent" => packages.iter().any(is_there),
            _ => !packages.iter().all(is_there),
        };
        Ok(Outcome::changed(changed).set("cmd", cmd).set("stdout", out).set("stderr", err))
    }
    /// Makes the virtual environment; answers what the command printed.
    fn make_environment(&self, env: &str) -> Result<String, Failure> {
        let words = shlex::split(self.args.str("virtualenv_command")).map_err(Failure::new)?;
        let (program, rest) = words.split_first().ok_or("virtualenv_command is empty")?;
        let is_venv = program.ends_with("pyvenv") || rest.windows(2).any(|w| w == ["-m", "venv"]);
        let mut w = vec![exec::need_program(self.ctx, program)?];
        w.extend(rest.iter().cloned());
        if self.args.bool("virtualenv_site_packages") {
            w.push("--system-site-packages".into());
        }
        match self.args.opt_str("virtualenv_python") {
            Some(_) if is_venv => {
                return Err(
                    "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command"
                        .into(),
                );
            }
            Some(p) => w.push(format!("-p{p}")),
            None if is_venv => {}
            None => w.extend(self.python().map(|p| format!("-p{p}"))),
        }
        w.push(env.into());
        let o = self.cmd(&w).run(self.ctx).map_err(|e| not_run(&w, e))?;
        if !o.ok() {
            return Err(failed(&w, &o.out(), &o.err()));
        }
        Ok(o.out())
    }
}

fn pip_of_environment(env: &str) -> Result<String, Failure> {
    let at = |n: &str| format!("{}/bin/{n}", env.trim_end_matches('/'));
    let ctx = Ctx::bare();
    ["pip3", "pip"]
        .iter()
        .find_map(|n| exec::find_program(&ctx, &at(n)))
        .ok_or_else(|| Failure::new(format!("Unable to find pip in the virtualenv, {env}, under any of these names: pip3, pip. Make sure pip is present in the virtualenv.")))
}

fn not_found(names: &[&str]) -> Failure {
    Failure::new(format!("Unable to find any of {} to use.  pip needs to be installed.", names.join(", ")))
}

fn not_run(words: &[String], e: exec::SpawnError) -> Failure {
    let rc = if e.errno == 0 { 257 } else { e.errno };
    Failure::new("Error executing command.")
        .set("cmd", words.join(" "))
        .set("rc", rc)
        .set("stdout", "")
        .set("stderr", "")
        .set("_ansible_cause", e.text)
}

fn failed(words: &[String], out: &str, err: &str) -> Failure {
    let mut msg = String::new();
    if !out.is_empty() {
        msg.push_str(&format!("stdout: {out}"));
    }
    if !err.is_empty() {
        msg.push_str(&format!("\n:stderr: {err}"));
    }
    Failure::new(msg).set("cmd", words.to_vec())
}

/// Each of the given names may hold several, parted by commas; so are specifiers.
fn split_names(given: &[String]) -> Vec<String> {
    given.iter().flat_map(|g| g.split(',').map(|p| p.trim().to_owned())).collect()
}

/// The packages for pip's command line: specifiers that were parted go together again.
fn requested(names: &[String], version: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut out: Vec<String> = vec![];
    for n in names {
        let continues = n.starts_with(['<', '>', '=', '!', '~'])
            || out.last().is_some_and(|l| l.rfind('[').is_some_and(|i| !l.get(i..).unwrap_or_default().contains(']')));
        match out.last_mut() {
            Some(last) if continues => *last = format!("{last},{n}"),
            _ => out.push(n.clone()),
        }
    }
    let mut read: Vec<String> = out.into_iter().map(|t| Requirement::parse(&t).map_or(t, |r| r.to_string())).collect();
    let Some(version) = version else { return Ok(read) };
    let [only] = read.as_mut_slice() else {
        return Err("'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.".into());
    };
    if Requirement::parse(only).is_some_and(|r| !r.specs.is_empty()) {
        return Err("The 'version' argument conflicts with any version specifier provided along with a package name. Please keep the version specifier, but remove the 'version' argument.".into());
    }
    let has_operator = version.starts_with(['<', '>', '=', '!', '~']);
    let joined = if has_operator { format!("{only}{version}") } else { format!("{only}=={version}") };
    *only = Requirement::parse(&joined).map_or(joined, |r| r.to_string());
    Ok(read)
}

fn is_vcs(name: &str) -> bool {
    ["svn+", "git+", "hg+", "bzr+"]
        .iter()
        .any(|p| name.get(..p.len()).is_some_and(|start| start.eq_ignore_ascii_case(p)) && name.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;
    use serde_json::{Map, json};

    fn names(given: &[&str], version: Option<&str>) -> Result<Vec<String>, String> {
        let given: Vec<String> = given.iter().map(|s| s.to_string()).collect();
        requested(&split_names(&given), version).map_err(|f| f.msg)
    }

    #[test]
    fn packages_and_versions() {
        let want = |w: &[&str]| Ok(w.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        assert_eq!(names(&["demo>0.5,<2,pip>1"], None), want(&["demo<2,>0.5", "pip>1"]));
        assert_eq!(names(&["a[x,y] >= 1", "b"], None), want(&["a[x,y]>=1", "b"]));
        assert_eq!(names(&["demo"], Some("1.0")), want(&["demo==1.0"]));
        assert_eq!(names(&["demo"], Some("~=1.0")), want(&["demo~=1.0"]));
        assert_eq!(names(&["git+http://h/x#egg=y"], None), want(&["git+http://h/x#egg=y"]));
        assert!(names(&["demo==1"], Some("1")).is_err_and(|m| m.contains("conflicts with any version specifier")));
        assert!(names(&["a", "b"], Some("1")).is_err_and(|m| m.contains("is ambiguous")));
    }

    /// A pip that keeps its packages in a file beside it.
    const FAKE: &str = r#"#!/bin/sh
db=$(dirname "$0")/db; touch "$db"
case "$1" in
  list) sort "$db";;
  install) shift; for p; do case "$p" in -*) ;; *)
    if grep -q "^${p%%[=<>]*}==" "$db"; then echo "Requirement already satisfied: $p"
    else echo "${p%%[=<>]*}==1.0" >> "$db"; echo "Successfully installed $p"; fi;; esac; done;;
  uninstall) shift 2; for p; do if grep -q "^$p==" "$db"; then sed -i "/^$p==/d" "$db"
    echo "Successfully uninstalled $p"; fi; done;;
  *) echo "unknown $1" >&2; exit 2;;
esac
"#;

    #[test]
    fn installs_predicts_and_removes() {
        let b = bench("pip").file("pip", FAKE).file("db", "");
        std::fs::set_permissions(b.at("pip"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let call = |extra: Json| {
            let mut m: Map<String, Json> = json!({"executable": "$D/pip"}).as_object().cloned().unwrap_or_default();
            m.extend(extra.as_object().cloned().unwrap_or_default());
            Json::Object(m)
        };
        let r = b.cycle(call(json!({"name": ["demo>=1", "other"]})));
        assert_eq!(r["cmd"], json!(["$D/pip", "install", "demo>=1", "other"]));
        assert_eq!(b.check(call(json!({"name": "demo", "version": "2"})))["changed"], true);
        assert_eq!(b.check(call(json!({"name": "demo", "version": "1.0"})))["changed"], false);
        assert_eq!(b.check(call(json!({"name": "demo", "state": "latest"})))["changed"], true);
        b.cycle(call(json!({"name": "demo", "state": "absent"})));
        let r = b.real(call(json!({"name": "x", "extra_args": "--a 'b c'", "editable": true, "umask": "0077"})));
        assert_eq!(r["cmd"], json!(["$D/pip", "install", "-e", "--a", "b c", "x"]));
    }

    #[test]
    fn refusals() {
        let b = bench("pip").file("pip", "#!/bin/sh\necho out; echo err >&2; exit 3\n");
        std::fs::set_permissions(b.at("pip"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let msg = |args| b.real(args)["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(msg(json!({"name": "a", "executable": "$D/pip"})), "stdout: out\n\n:stderr: err\n");
        let gone = msg(json!({"name": "a", "executable": "no-such-pip"}));
        assert_eq!(gone, "Unable to find any of no-such-pip to use.  pip needs to be installed.");
        assert_eq!(msg(json!({"name": "a", "umask": "zz"})), "umask must be an octal integer");
        let both = msg(json!({"name": "a", "version": "1", "state": "latest"}));
        assert_eq!(both, "version is incompatible with state=latest");
        let r = b.real(json!({"name": "a", "executable": "$D/gone/pip"}));
        assert_eq!((&r["rc"], &r["cmd"]), (&json!(2), &json!("$D/gone/pip install a")));
    }
}
