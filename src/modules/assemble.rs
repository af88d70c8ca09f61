//! `assemble`: one file from the fragments in a directory.

use super::support::fileargs::{AttrDiff, FileArgs, real_path};
use super::support::{atomic, digest, pyre::Pattern, pytext::os_error};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "assemble",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("src").required().doc("The directory with the fragments."),
            Arg::str("delimiter").doc("Text between the fragments; backslash escapes are known."),
            Arg::path("dest").required().doc("The file to make."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old file."),
            Arg::bool("remote_src").default(true).doc("src is on the host; false: on the controller."),
            Arg::str("regexp").doc("Take only files whose name this Python expression matches."),
            Arg::bool("ignore_hidden").default(false).doc("Leave out files whose name begins with a dot."),
            Arg::bool("decrypt").default(true).doc("Decrypt vaulted fragments of the controller."),
            Arg::str("validate").doc("Command that must accept the new file; %s is its path."),
        ])
        .with_file_args(),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Assemble configuration files from fragments\n\n\
              Fragments are taken in the order of their names. With `remote_src: false` the controller reads (and \
              decrypts) them and sends the result.",
        run,
    }
}

/// What to take from a directory and what to put between.
pub struct Plan {
    pattern: Option<Pattern>,
    delimiter: Vec<u8>,
    ignore_hidden: bool,
}

impl Plan {
    pub fn new(regexp: Option<&str>, delimiter: Option<&str>, ignore_hidden: bool) -> Result<Plan, Failure> {
        let pattern = regexp.filter(|r| !r.is_empty()).map(|r| {
            Pattern::new(r, false).map_err(|f| {
                let why = f.msg.trim_start_matches("Task failed: Module failed: ");
                Failure::new(format!("Invalid Regexp ({why}) in \"{r}\""))
            })
        });
        let delimiter = unescape(delimiter.unwrap_or_default().as_bytes())?;
        Ok(Plan { pattern: pattern.transpose()?, delimiter, ignore_hidden })
    }

    /// The fragments of `dir`, joined; each is read by `read`.
    pub fn join(
        &self,
        dir: &Path,
        mut read: impl FnMut(&Path) -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, Failure> {
        let fail = |e: std::io::Error| Failure::new(os_error(&e, dir));
        let mut names = vec![];
        for e in std::fs::read_dir(dir).map_err(fail)? {
            names.push(e.map_err(fail)?.file_name());
        }
        names.sort();
        let mut out: Vec<u8> = vec![];
        let mut first = true;
        for name in names {
            let (path, shown) = (dir.join(&name), name.to_string_lossy());
            if let Some(p) = &self.pattern
                && p.search(&shown)?.is_none()
            {
                continue;
            }
            if !path.is_file() || (self.ignore_hidden && shown.starts_with('.')) {
                continue;
            }
            let part = read(&path)?;
            if !first {
                // A fragment that has no line end gets one before the next.
                end_line(&mut out);
                if !self.delimiter.is_empty() {
                    out.extend_from_slice(&self.delimiter);
                    end_line(&mut out);
                }
            }
            out.extend(part);
            first = false;
        }
        Ok(out)
    }
}

fn end_line(out: &mut Vec<u8>) {
    if out.last().is_some_and(|b| *b != b'\n') {
        out.push(b'\n');
    }
}

/// Backslash escapes as Python knows them in bytes.
fn unescape(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while let Some(b) = text.get(i).copied() {
        i += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some(c) = text.get(i).copied() else { return Err("Trailing \\ in string".into()) };
        i += 1;
        match c {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(c),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'x' => {
                let digits = text.get(i..i + 2).and_then(|d| std::str::from_utf8(d).ok());
                let n = digits.filter(|d| !d.starts_with('+')).and_then(|d| u8::from_str_radix(d, 16).ok());
                out.push(n.ok_or_else(|| Failure::new(format!("invalid \\x escape at position {}", i - 2)))?);
                i += 2;
            }
            b'0'..=b'7' => {
                let mut n = u32::from(c - b'0');
                for _ in 0..2 {
                    let Some(d @ b'0'..=b'7') = text.get(i).copied() else { break };
                    n = n * 8 + u32::from(d - b'0');
                    i += 1;
                }
                out.push((n & 0xff) as u8);
            }
            _ => out.extend([b'\\', c]),
        }
    }
    Ok(out)
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let given = args.str("src");
    let src = Path::new(given);
    if !src.exists() {
        return Err(Failure::new(format!("Source ({given}) does not exist")));
    }
    if !src.is_dir() {
        return Err(Failure::new(format!("Source ({given}) is not a directory")));
    }
    let plan = Plan::new(args.opt_str("regexp"), args.opt_str("delimiter"), args.bool("ignore_hidden"))?;
    let data = plan.join(src, |p| std::fs::read(p).map_err(|e| Failure::new(os_error(&e, p))))?;
    let shown = args.str("dest");
    let dest = PathBuf::from(shown);
    if dest.is_dir() {
        return Err(Failure::new(format!("attempted to take checksum of directory: {shown}")));
    }
    let sum = digest::of_bytes("sha1", &data);
    let mut o = Outcome::ok().set("src", given).set("dest", shown).set("checksum", sum.as_str());
    o = o.set("md5sum", digest::of_bytes("md5", &data));
    let want = FileArgs::from_args(args);
    let same = digest::of_file("sha1", &dest).is_ok_and(|s| s == sum);
    if !same {
        o.changed = true;
        let target = real_path(&dest);
        if let Some(cmd) = args.opt_str("validate") {
            let mut temp = tempfile::NamedTempFile::new()?;
            std::io::Write::write_all(&mut temp, &data)?;
            let out = atomic::accepted(cmd, temp.path(), &ctx.env)?;
            o = o.set("validation", json!({"stdout": out.out(), "stderr": out.err(), "rc": 0}));
        }
        if !ctx.check {
            if args.bool("backup") && dest.exists() {
                o = o.set("backup_file", atomic::backup(&target)?);
            }
            atomic::write(&target, &data, want.unsafe_writes)?;
        }
    }
    if dest.exists() {
        o.changed |= want.apply(&real_path(&dest), ctx.check, &mut AttrDiff::default())?;
    }
    Ok(o.msg("OK"))
}

#[cfg(test)]
mod tests {
    use super::unescape;
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn joins_in_order_of_names() {
        let b = bench("assemble").file("d/2", "b\n").file("d/1", "a").file("d/.h", "h").file("d/sub/x", "no");
        let r = b.cycle(json!({"src": "$D/d", "dest": "$D/out", "delimiter": "--\\n==", "mode": "0600"}));
        assert_eq!((b.read("out").as_str(), b.mode("out")), ("h\n--\n==\na\n--\n==\nb\n", 0o600));
        assert_eq!((&r["msg"], &r["state"], r.get("backup_file")), (&json!("OK"), &json!("file"), None));
        let r =
            b.real(json!({"src": "$D/d", "dest": "$D/out", "ignore_hidden": true, "regexp": "[12]", "backup": true}));
        assert_eq!(b.read("out"), "a\nb\n");
        assert!(r["backup_file"].as_str().is_some_and(|n| n.starts_with("$D/out.")));
    }

    #[test]
    fn refusals() {
        let b = bench("assemble").file("d/1", "a").file("out", "old");
        let msg = |args| b.real(args)["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(msg(json!({"src": "$D/no", "dest": "$D/out"})), "Source ($D/no) does not exist");
        assert_eq!(msg(json!({"src": "$D/out", "dest": "$D/out"})), "Source ($D/out) is not a directory");
        let bad = json!({"src": "$D/d", "dest": "$D/out", "validate": "false %s"});
        assert_eq!(msg(bad), "failed to validate: rc:1 error:");
        assert_eq!(b.read("out"), "old");
        let bad = json!({"src": "$D/d", "dest": "$D/out", "regexp": "["});
        assert_eq!(msg(bad), "Invalid Regexp (unterminated character set at position 0) in \"[\"");
        assert_eq!(msg(json!({"src": "$D/d", "dest": "$D"})), "attempted to take checksum of directory: $D");
    }

    #[test]
    fn escapes() {
        let text = br"\101\0\8\e\x41\n\\'\q";
        assert_eq!(unescape(text).expect("valid"), b"A\0\\8\\eA\n\\'\\q");
        assert_eq!(unescape(br"a\x4").expect_err("refused").msg, "invalid \\x escape at position 1");
        assert_eq!(unescape(br"a\").expect_err("refused").msg, "Trailing \\ in string");
    }
}
