//! Running modules in tests against programs that stand in for a system's own: each notes how it is called.

use crate::modules::{Ctx, find, run};
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
