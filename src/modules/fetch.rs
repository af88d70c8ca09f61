//! `fetch`, the target's half: streams a file to the controller unless it has the same content.
//!
//! The controller's action sends `src` and, if it has a file there already, `_have` (its SHA-1). The
//! answer is `source`, `checksum` (SHA-1), `md5sum`, `size` and `sent`; the bytes go through the
//! context's sink. A file that is not there is no failure here but `exists: false`, because
//! `fail_on_missing` is the action's to judge. Where the file goes on the controller is decided
//! there alone, from the path that the task names, never from anything a host answers.

use super::support::digest::Hasher;
use super::support::pytext::os_error;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "fetch",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("src").required().doc("The file on the target."),
            Arg::str("dest").doc("Where it goes on the controller."),
            Arg::bool("fail_on_missing").default(true).doc("Fail if the file is not there."),
            Arg::bool("flat").default(false).doc("Do not put host name and path under dest."),
            Arg::bool("validate_checksum").default(true).doc("Compare the checksum after the transfer."),
            Arg::str("_have").doc("SHA-1 of what the controller has."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Fetch files from remote nodes",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let src = args.str("src");
    let path = Path::new(src);
    let fail = |e: std::io::Error| {
        Failure::new(match e.kind() {
            ErrorKind::PermissionDenied => "no read permission on remote file".to_owned(),
            ErrorKind::IsADirectory => "remote file is a directory, fetch cannot work on directories".to_owned(),
            _ => os_error(&e, path),
        })
    };
    let o = Outcome::ok().set("source", src);
    let mut file = match File::open(path) {
        Ok(f) => f,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(o.set("exists", false)),
        Err(e) => return Err(fail(e)),
    };
    let mut md5 = Hasher::by_name("md5").ok_or("no md5")?;
    let mut sha1 = Hasher::by_name("sha1").ok_or("no sha1")?;
    let mut size = 0u64;
    let mut buf = vec![0u8; crate::proto::CHUNK];
    // With something to compare, the file is read once to learn its checksum and again only if that differs.
    if let Some(have) = args.opt_str("_have") {
        let mut first = (Hasher::by_name("sha1").ok_or("no sha1")?, Hasher::by_name("md5").ok_or("no md5")?);
        let mut f = File::open(path).map_err(fail)?;
        let mut n = 0u64;
        loop {
            let got = f.read(&mut buf).map_err(fail)?;
            let chunk = buf.get(..got).unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            n += chunk.len() as u64;
            first.0.update(chunk);
            first.1.update(chunk);
        }
        let sum = first.0.finish();
        if sum == have {
            let md5 = first.1.finish();
            return Ok(o.set("exists", true).set("checksum", sum).set("md5sum", md5).set("size", n).set("sent", false));
        }
    }
    let sink = ctx.sink.as_mut().ok_or("fetch needs a channel to the controller")?;
    loop {
        let n = file.read(&mut buf).map_err(fail)?;
        let chunk = buf.get(..n).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        md5.update(chunk);
        sha1.update(chunk);
        size += chunk.len() as u64;
        sink(chunk).map_err(|e| Failure::new(format!("could not send the file: {e}")))?;
    }
    let o = o.set("exists", true).set("checksum", sha1.finish()).set("md5sum", md5.finish());
    Ok(o.set("size", size).set("sent", true))
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::{Map, json};

    fn ask(a: serde_json::Value) -> (Map<String, serde_json::Value>, Vec<u8>) {
        let mut got = vec![];
        let mut sink = |d: &[u8]| {
            got.extend_from_slice(d);
            Ok(())
        };
        let mut ctx = Ctx {
            check: false,
            want_diff: false,
            env: vec![],
            hints: Map::new(),
            verbosity: 0,
            content: None,
            sink: Some(&mut sink),
        };
        let r = run(find("fetch").expect("known"), &mut ctx, a.as_object().expect("object"));
        drop(ctx);
        (r, got)
    }

    #[test]
    fn streams_unless_known() {
        let d = tempfile::tempdir().expect("dir");
        let f = d.path().join("f");
        std::fs::write(&f, "hi\n").expect("written");
        let (r, got) = ask(json!({"src": f.to_string_lossy()}));
        assert_eq!((got.as_slice(), &r["sent"]), (&b"hi\n"[..], &json!(true)));
        let (r, got) = ask(json!({"src": f.to_string_lossy(), "_have": r["checksum"]}));
        assert_eq!((got.len(), &r["sent"], &r["size"]), (0, &json!(false), &json!(3)));
        assert_eq!(ask(json!({"src": "/no/such"})).0["exists"], false);
        assert_eq!(
            ask(json!({"src": d.path().to_string_lossy()})).0["msg"],
            "remote file is a directory, fetch cannot work on directories"
        );
    }
}
