//! Running modules in tests against programs that stand in for a system's own: each notes how it is called.

use crate::modules::spec::Args;
use crate::modules::{Ctx, Module, find, run, validate};
use serde_json::Value as Json;
use std::os::unix::fs::PermissionsExt;

/// A directory of programs and devices. `$D` in arguments and answers stands for its path.
pub struct Tools {
    dir: tempfile::TempDir,
    module: &'static str,
}

impl Tools {
    pub fn new(module: &'static str) -> Tools {
        Tools { dir: tempfile::tempdir().expect("a directory"), module }
    }
    fn here(&self) -> String {
        std::fs::canonicalize(self.dir.path()).expect("there").to_string_lossy().into_owned()
    }
    /// A file that stands for a device; its path.
    pub fn device(&self, name: &str) -> String {
        let path = format!("{}/{name}", self.here());
        std::fs::write(&path, "").expect("written");
        path
    }
    /// A program that runs these lines of shell.
    pub fn says(&self, program: &str, code: &str) {
        let (dir, path) = (self.here(), format!("{}/{program}", self.here()));
        std::fs::write(&path, format!("#!/bin/sh\ncd {dir}\necho \"{program} $*\" >> log\n{code}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    /// The programs' calls in order, then `changed` if so; or the failure's message alone.
    pub fn call(&self, args: Json, check: bool) -> Vec<String> {
        let here = self.here();
        let mut ctx = Ctx::bare();
        ctx.check = check;
        ctx.env = vec![("PATH".into(), format!("{here}:/usr/bin:/bin"))];
        let args: Json = serde_json::from_str(&args.to_string().replace("$D", &here)).expect("JSON");
        let m = find(self.module).expect("a known module");
        let r = run(m, &mut ctx, args.as_object().expect("an object"));
        if r.get("failed").is_some_and(|f| f == true) {
            let msg = r.get("msg").and_then(Json::as_str).unwrap_or_default();
            return vec![msg.replace(&here, "$D")];
        }
        let log = std::fs::read_to_string(format!("{here}/log")).unwrap_or_default().replace(&here, "$D");
        let mut out: Vec<String> = log.lines().map(str::to_owned).collect();
        if r.get("changed").is_some_and(|c| c == true) {
            out.push("changed".into());
        }
        out
    }
}

/// A directory that stands for a host's file system, with programs of its own in `bin/`.
pub struct Root(pub tempfile::TempDir);

impl Root {
    pub fn empty() -> Root {
        Root(tempfile::tempdir().expect("a directory"))
    }
    /// Where the file `name` is.
    pub fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.at(name).parent().expect("a parent")).expect("made");
        std::fs::write(self.at(name), text).expect("written");
    }
    /// A file's text; none if it is not there.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap_or_default()
    }
    /// A program in `bin/` that runs these lines of shell in the root.
    pub fn program(&self, name: &str, code: &str) {
        let name = format!("bin/{name}");
        self.write(&name, &format!("#!/bin/sh\ncd {}\n{code}\n", self.0.path().display()));
        std::fs::set_permissions(self.at(&name), std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    /// The surroundings of a module that finds the programs of the root first.
    pub fn ctx(&self, check: bool) -> Ctx<'static> {
        let mut ctx = Ctx::bare();
        ctx.check = check;
        ctx.env = vec![("PATH".into(), format!("{}/bin:/usr/bin:/bin", self.0.path().display()))];
        ctx
    }
}

/// Arguments that the module takes.
pub fn checked(module: &Module, args: &Json) -> Args {
    let given = args.as_object().cloned().unwrap_or_default();
    validate(&module.spec, &given, module.name).expect("valid").args
}
