//! `fetch_content`: the target's half of `fetch`. Tells what a path is, or streams a file back.

use super::support::digest;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, expand_path};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

pub fn module() -> Module {
    Module {
        name: "fetch_content",
        collection: "dirigo.internal",
        spec: Spec::new(vec![
            Arg::str("src").required().doc("The file."),
            Arg::bool("send").default(false).doc("Send the content."),
            Arg::bool("sum").default(false).doc("Tell its checksum, without sending it."),
            Arg::int("first").default(0).doc(
                "With `sum`: the checksum of so many bytes; with `send`: begin behind them, and tell the checksum.",
            ),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "The target's half of fetch; not for playbooks.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let path = PathBuf::from(expand_path(args.str("src")));
    let shown = path.display().to_string();
    let failed = |why: &str, e: &std::io::Error| {
        let text = format!("{why}: {shown}: {}", super::support::exec::errno_text(e));
        Failure::new(text).set("file", shown.as_str())
    };
    let meta = match std::fs::metadata(&path) {
        Ok(m) => m,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(failed("File not found", &e).set("missing", true));
        }
        Err(e) => return Err(failed("file is not readable", &e)),
    };
    if meta.is_dir() {
        return Err(Failure::new("remote file is a directory").set("file", shown.as_str()).set("directory", true));
    }
    if !meta.is_file() {
        // A fifo or a device would never end.
        return Err(Failure::new(format!("{shown} is not a regular file")).set("file", shown.as_str()));
    }
    let mut from = File::open(&path).map_err(|e| failed("file is not readable", &e))?;
    let told = Outcome::ok().set("file", shown.as_str());
    let first = args.opt_int("first").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    if args.bool("sum") {
        let most = if first > 0 { first } else { u64::MAX };
        let sum = digest::of_reader("sha1", from.take(most)).map_err(|e| failed("file is not readable", &e))?;
        return Ok(told.set("size", meta.len()).set("checksum", sum));
    }
    if !args.bool("send") {
        return Ok(told.set("size", meta.len()));
    }
    let mut size = 0u64;
    let mut part = vec![0u8; 256 << 10];
    let mut whole = (first > 0).then(Sha1::new);
    loop {
        // what the controller has already is read for the checksum alone
        let ahead = first.saturating_sub(size);
        let room = if ahead > 0 { ahead.min(part.len() as u64) as usize } else { part.len() };
        let n = match from.read(part.get_mut(..room).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed("file is not readable", &e)),
        };
        size += n as u64;
        if let Some(sum) = &mut whole {
            sum.update(part.get(..n).unwrap_or(&[]));
        }
        if ahead > 0 {
            continue;
        }
        let Some(sink) = &mut ctx.sink else { return Err("there is nobody to send the content to".into()) };
        sink(part.get(..n).unwrap_or(&[]))?;
    }
    let told = told.set("size", size);
    Ok(match whole {
        Some(sum) => told.set("checksum", digest::hex(&sum.finalize())),
        None => told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value as Json, json};

    fn ask(ctx: &mut Ctx, src: &str, send: bool) -> Map<String, Json> {
        super::super::run(&module(), ctx, json!({"src": src, "send": send, "sum": !send}).as_object().unwrap())
    }

    #[test]
    fn what_a_path_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "hello").unwrap();
        let m = ask(&mut Ctx::bare(), file.to_str().unwrap(), false);
        assert_eq!((&m["size"], &m["checksum"]), (&json!(5), &json!("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")));
        let m = ask(&mut Ctx::bare(), dir.path().join("none").to_str().unwrap(), false);
        assert_eq!((&m["failed"], &m["missing"]), (&json!(true), &json!(true)));
        assert_eq!(ask(&mut Ctx::bare(), dir.path().to_str().unwrap(), false)["directory"], true);
        let m = ask(&mut Ctx::bare(), "/dev/zero", false);
        assert!(m["msg"].as_str().unwrap().contains("not a regular file"));
    }

    #[test]
    fn sends_to_the_sink() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "x".repeat(600_000)).unwrap();
        let mut got = vec![];
        let mut sink = |b: &[u8]| {
            got.extend_from_slice(b);
            Ok(())
        };
        let m = {
            let mut ctx = Ctx { sink: Some(&mut sink), ..Ctx::bare() };
            ask(&mut ctx, file.to_str().unwrap(), true)
        };
        assert_eq!((m["size"].as_u64(), got.len()), (Some(600_000), 600_000));
    }

    #[test]
    fn the_rest_is_sent_and_the_whole_summed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let bytes: Vec<u8> = (0..600_000u32).map(|i| (i / 9) as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        for first in [1, 262_144, 300_000, 600_000] {
            let args = json!({"src": file, "sum": true, "first": first});
            let m = super::super::run(&module(), &mut Ctx::bare(), args.as_object().unwrap());
            assert_eq!(m["checksum"], digest::of_bytes("sha1", &bytes[..first]));
            let mut got = vec![];
            let mut sink = |b: &[u8]| {
                got.extend_from_slice(b);
                Ok(())
            };
            let args = json!({"src": file, "send": true, "first": first});
            let m = super::super::run(
                &module(),
                &mut Ctx { sink: Some(&mut sink), ..Ctx::bare() },
                args.as_object().unwrap(),
            );
            assert_eq!(m["checksum"], digest::of_bytes("sha1", &bytes));
            assert!(got == bytes[first..], "{first}");
        }
    }
}
