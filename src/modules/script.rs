//! `script`: a script of the controller, run here. The script's text is the request's content; its name
//! and arguments are the free-form text.

use super::support::exec::{Cmd, os_error};
use super::support::shlex;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, expand_path};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "script",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("_raw_params").doc("Path of the script on the controller, then its arguments."),
            Arg::str("cmd").doc("The same, by name."),
            Arg::str("creates").doc("A file; if it is there, the script is not run."),
            Arg::str("removes").doc("A file; if it is not there, the script is not run."),
            Arg::str("chdir").doc("Directory to change into first."),
            Arg::str("executable").doc("Program to run the script with."),
            Arg::bool("decrypt").default(true).doc("Decrypt a vaulted script (done by the controller)."),
        ])
        .exclusive(&["_raw_params", "cmd"])
        .one_of(&["_raw_params", "cmd"]),
        check: Support::Partial,
        diff: Support::None,
        free_form: true,
        doc: "Run a local script on the host; no Python is needed there.\n\n\
              In check mode the task is skipped, unless `creates` or `removes` tells what would happen.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let line = args.opt_str("_raw_params").or(args.opt_str("cmd")).unwrap_or("").trim();
    let (name, rest) = first_word(line).map_err(Failure::new)?;
    if let Some(d) = args.opt_str("chdir")
        && !d.starts_with(['/', '~'])
    {
        return Err(Failure::new(format!("chdir {d} must be an absolute path for a Unix-aware remote node")));
    }
    let here = |p: &str| Path::new(&expand_path(p)).exists();
    if let Some(p) = args.opt_str("creates").filter(|p| here(p)) {
        return Ok(Outcome::skipped(&format!("{p} exists, matching creates option")));
    }
    if let Some(p) = args.opt_str("removes").filter(|p| !here(p)) {
        return Ok(Outcome::skipped(&format!("{p} does not exist, matching removes option")));
    }
    if ctx.check {
        let known = args.is_set("creates") || args.is_set("removes");
        return Ok(if known {
            Outcome::changed(true)
        } else {
            Outcome::skipped("Check mode is not supported for this task.")
        });
    }
    let dir = private_dir(ctx)?;
    let path = dir.join(Path::new(&name).file_name().unwrap_or(std::ffi::OsStr::new("script")));
    let done = place(ctx, &path).and_then(|()| start(ctx, args, &path, rest));
    let _ = std::fs::remove_dir_all(&dir);
    done
}

/// The first word of a command line without its quotes, and the rest as it stands.
fn first_word(line: &str) -> Result<(String, &str), &'static str> {
    let mut end = 0;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        match (escaped, quote, c) {
            (true, ..) => escaped = false,
            (_, None | Some('"'), '\\') => escaped = true,
            (_, Some(q), c) if q == c => quote = None,
            (_, None, '\'' | '"') => quote = Some(c),
            (_, None, c) if c.is_whitespace() => break,
            _ => {}
        }
        end = i + c.len_utf8();
    }
    let (word, rest) = line.split_at(end);
    let name = shlex::split(word)?.into_iter().next().unwrap_or_default();
    Ok((name, rest.trim_start()))
}

/// A directory of our own for one script, under `remote_tmp` or where else one can be made.
fn private_dir(ctx: &Ctx) -> Result<PathBuf, Failure> {
    let wish = ctx.hints.get("remote_tmp").and_then(|v| v.as_str()).unwrap_or("~/.ansible/tmp");
    let base = PathBuf::from(expand_path(wish));
    let name = format!("ansible-tmp-{}", uuid::Uuid::new_v4().simple());
    let make = |b: &Path| -> std::io::Result<PathBuf> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(b)?;
        let d = b.join(&name);
        std::fs::DirBuilder::new().mode(0o700).create(&d)?;
        Ok(d)
    };
    make(&base).or_else(|_| make(&std::env::temp_dir())).map_err(|e| {
        Failure::new(format!(
            "no temporary directory could be made in {} or {}: {e}",
            base.display(),
            std::env::temp_dir().display()
        ))
    })
}

fn place(ctx: &mut Ctx, path: &Path) -> Result<(), Failure> {
    let Some(content) = ctx.content.as_mut() else {
        return Err("the script's text did not come with the request".into());
    };
    let mut f = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?;
    std::io::copy(&mut content.reader()?, &mut f)?;
    f.flush()?;
    Ok(())
}

fn start(ctx: &Ctx, args: &Args, path: &Path, rest: &str) -> ModResult {
    let mut text = shlex::quote(&path.to_string_lossy());
    if let Some(x) = args.opt_str("executable") {
        text = format!("{x} {text}");
    }
    if !rest.is_empty() {
        // The arguments are for the shell to expand, as Ansible does it.
        text = format!("{text} {rest}");
    }
    if let Some(d) = args.opt_str("chdir") {
        text = format!("cd {} && {text}", shlex::quote(&expand_path(d)));
    }
    let cmd = Cmd::new(["/bin/sh", "-c", &text]);
    let o = cmd.run(ctx).map_err(|e| {
        if e.errno == 0 {
            Failure::new(e.text)
        } else {
            Failure::new(os_error(&std::io::Error::from_raw_os_error(e.errno), "/bin/sh").text)
        }
    })?;
    let out = Outcome::changed(true).set("rc", o.rc).set("stdout", o.out()).set("stderr", o.err());
    if o.ok() {
        return Ok(out);
    }
    Err(Failure { msg: "non-zero return code".into(), data: out.data }.set("changed", true))
}

#[cfg(test)]
mod tests {
    use crate::modules::{ContentSource, Ctx, find, run};
    use serde_json::{Map, Value as Json, json};

    struct Text(&'static str);
    impl ContentSource for Text {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn sha1(&mut self) -> std::io::Result<String> {
            Ok(String::new())
        }
        fn reader(&mut self) -> std::io::Result<Box<dyn std::io::BufRead + '_>> {
            Ok(Box::new(self.0.as_bytes()))
        }
    }

    fn script(text: &'static str, args: Json, check: bool) -> Map<String, Json> {
        let t = tempfile::tempdir().expect("a directory");
        let mut hints = Map::new();
        hints.insert("remote_tmp".into(), t.path().to_string_lossy().into());
        let mut ctx = Ctx { check, hints, content: Some(Box::new(Text(text))), ..Ctx::bare() };
        let r = run(find("script").expect("registered"), &mut ctx, &args.as_object().cloned().unwrap_or_default());
        assert_eq!(std::fs::read_dir(t.path()).map(Iterator::count).ok(), Some(0), "nothing stays behind");
        r
    }

    #[test]
    fn runs_with_arguments() {
        let r = script(
            "#!/bin/sh\nfor a; do echo \"[$a]\"; done; exit 3\n",
            json!({"_raw_params": "'my s.sh' \"a b\" $((1+1))"}),
            false,
        );
        assert_eq!((&r["stdout"], &r["rc"], &r["failed"]), (&json!("[a b]\n[2]\n"), &json!(3), &json!(true)));
        let r = script("pwd", json!({"cmd": "x.sh", "executable": "/bin/sh", "chdir": "/"}), false);
        assert_eq!((&r["stdout"], &r["changed"]), (&json!("/\n"), &json!(true)));
    }

    #[test]
    fn check_mode_and_guards() {
        assert_eq!(script("exit 1", json!({"cmd": "x"}), true)["skipped"], true);
        assert_eq!(script("exit 1", json!({"cmd": "x", "creates": "/no/such"}), true)["changed"], true);
        let r = script("exit 1", json!({"cmd": "x", "creates": "/etc/passwd"}), false);
        assert_eq!(r["msg"], "/etc/passwd exists, matching creates option");
    }
}
