//! `patch` (ansible.posix): a patch file applied or taken back by GNU patch.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/patch_module.html>. A file of the
//! controller comes as the request's content (`src/actions/patch.rs`).

use super::support::exec::{self, Cmd, Output};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use nix::unistd::{AccessFlags, access};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "patch",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::path("src").required().aliases(&["patchfile"]).doc("The patch file."),
            Arg::path("dest").aliases(&["originalfile"]).doc("The one file to patch."),
            Arg::path("basedir").doc("The directory that the patch's file names are below."),
            Arg::int("strip").default(0).doc("How many leading parts of the patch's file names go."),
            Arg::bool("remote_src").default(false).doc("The patch file is on the host."),
            Arg::bool("backup").default(false).doc("Keep numbered copies of what is patched."),
            Arg::bool("binary").default(false).doc("Leave line ends as they are."),
            Arg::bool("ignore_whitespace").default(false).doc("Blanks may differ."),
            Arg::str("state").choices(&["absent", "present"]).default("present"),
        ])
        .one_of(&["dest", "basedir"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Apply patch files using the GNU patch tool",
        run,
    }
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    tool: String,
    input: PathBuf,
    basedir: PathBuf,
}

impl Job<'_, '_> {
    /// Calls patch; `forth` applies, otherwise the patch is taken back.
    fn call(&self, forth: bool, dry: bool) -> Result<Output, Failure> {
        let mut cmd = Cmd::new([self.tool.as_str(), "--quiet", "--forward", "--batch", "--reject-file=-"])
            .arg(format!("--strip={}", self.args.int("strip")))
            .arg(format!("--directory={}", self.basedir.display()))
            .arg(format!("--input={}", self.input.display()))
            .c_locale();
        let flags = [
            (dry, "--dry-run"),
            (!forth, "--reverse"),
            (self.args.bool("binary"), "--binary"),
            (self.args.bool("ignore_whitespace"), "--ignore-whitespace"),
        ];
        cmd = cmd.args(flags.iter().filter(|(on, _)| *on).map(|(_, f)| *f));
        if self.args.bool("backup") && !dry {
            cmd = cmd.args(["--backup", "--version-control=numbered"]);
        }
        if let Some(dest) = self.args.opt_str("dest") {
            cmd = cmd.args(["--", dest]);
        }
        Ok(cmd.run(self.ctx)?)
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let src = args.str("src");
    let mut held = None;
    let input = match ctx.content.as_mut().filter(|_| !args.bool("remote_src")) {
        Some(content) => {
            let mut temp = tempfile::NamedTempFile::new()?;
            std::io::copy(&mut content.reader()?, &mut temp)?;
            held.insert(temp).path().to_owned()
        }
        None => PathBuf::from(src),
    };
    if access(&input, AccessFlags::R_OK).is_err() {
        return Err(Failure::new(format!("src {src} doesn't exist or not readable")));
    }
    let dest = args.opt_str("dest").map(Path::new);
    if let Some(d) = dest.filter(|d| access(*d, AccessFlags::W_OK).is_err()) {
        return Err(Failure::new(format!("dest {} doesn't exist or not writable", d.display())));
    }
    let basedir = match (args.opt_str("basedir"), dest.and_then(Path::parent)) {
        (Some(b), _) => PathBuf::from(b),
        (None, Some(p)) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    };
    if !basedir.exists() {
        return Err(Failure::new(format!("basedir {} doesn't exist", basedir.display())));
    }
    let tool = exec::need_program(ctx, "patch")?;
    let input = std::path::absolute(input)?;
    let job = Job { ctx, args, tool, input, basedir };
    let forth = args.str("state") == "present";
    // what can be taken back has been applied
    if job.call(!forth, true)?.ok() {
        return Ok(Outcome::changed(false));
    }
    // all of it, or nothing
    for dry in [true, false] {
        if dry || !ctx.check {
            let out = job.call(forth, dry)?;
            if !out.ok() {
                let text = if out.stderr.is_empty() { out.out() } else { out.err() };
                return Err(Failure::new(text));
            }
        }
    }
    Ok(Outcome::changed(true))
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    const PATCH: &str = "--- a/t\n+++ b/t\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";

    #[test]
    fn there_and_back() {
        let b = bench("patch").file("t", "a\nb\nc\n").file("p", PATCH);
        b.cycle(json!({"src": "$D/p", "dest": "$D/t", "remote_src": true}));
        assert_eq!(b.read("t"), "a\nB\nc\n");
        b.cycle(
            json!({"src": "$D/p", "basedir": "$D", "strip": 1, "remote_src": true, "state": "absent", "backup": true}),
        );
        assert_eq!((b.read("t"), b.read("t.~1~")), ("a\nb\nc\n".into(), "a\nB\nc\n".into()));
        let r = b.send(json!({"src": "p", "dest": "$D/t"}), PATCH);
        assert_eq!((&r["changed"], b.read("t").as_str()), (&json!(true), "a\nB\nc\n"));
    }

    #[test]
    fn what_does_not_fit() {
        let b = bench("patch").file("t", "x\n").file("p", PATCH).dir("d");
        let msg = |args: serde_json::Value| b.check(args)["msg"].as_str().unwrap_or_default().to_owned();
        let p = |more: serde_json::Value| {
            let mut m = json!({"src": "$D/p", "remote_src": true});
            m.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
            m
        };
        assert_eq!(msg(p(json!({"dest": "$D/t"}))), "1 out of 1 hunk FAILED\n");
        assert!(
            msg(p(json!({"basedir": "$D/d", "strip": 1})))
                .ends_with("No file to patch.  Skipping patch.\n1 out of 1 hunk ignored\n")
        );
        assert_eq!(msg(p(json!({"basedir": "$D/none"}))), "basedir $D/none doesn't exist");
        assert_eq!(msg(p(json!({"dest": "$D/none"}))), "dest $D/none doesn't exist or not writable");
        assert_eq!(msg(json!({"src": "$D/q", "dest": "$D/t"})), "src $D/q doesn't exist or not readable");
    }
}
