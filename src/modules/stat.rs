//! `stat`: everything about a path.

use super::support::exec::{Cmd, find_program};
use super::support::{accounts::Names, attrs, digest, pytext, times};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use nix::unistd::AccessFlags;
use serde_json::{Map, Value as Json};
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub fn module() -> Module {
    Module {
        name: "stat",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "name"]).doc("The path to look at."),
            Arg::bool("follow").default(false).doc("Look at the target of a link."),
            Arg::bool("get_checksum").default(true).doc("Compute the checksum of a regular file."),
            Arg::bool("get_mime")
                .default(true)
                .aliases(&["mime", "mime_type", "mime-type"])
                .doc("Ask file(1) for the MIME type."),
            Arg::bool("get_attributes").default(true).aliases(&["attr", "attributes"]).doc("Read the attributes."),
            Arg::str("checksum_algorithm")
                .choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
                .default("sha1")
                .aliases(&["checksum", "checksum_algo"])
                .doc("Kind of the checksum."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Retrieve file or file system status",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let path = Path::new(args.str("path"));
    let follow = args.bool("follow");
    let st = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    let st = match st {
        Ok(st) => st,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Outcome::ok().set("stat", Map::from_iter([("exists".to_string(), Json::from(false))])));
        }
        Err(e) => {
            let words = e.raw_os_error().map(|c| nix::errno::Errno::from_raw(c).desc().to_owned());
            return Err(Failure::new(words.unwrap_or_else(|| e.to_string())));
        }
    };
    let mut m = describe(path, &st);
    if st.is_symlink() {
        let target = std::fs::read_link(path)?;
        m.insert("lnk_source".into(), text(&super::support::fileargs::real_path(path)).into());
        m.insert("lnk_target".into(), text(&target).into());
    }
    let readable = m.get("readable") == Some(&Json::Bool(true));
    if args.bool("get_checksum") && st.is_file() && readable {
        let sum = digest::of_file(args.str("checksum_algorithm"), path)
            .map_err(|e| Failure::new(pytext::os_error(&e, path)))?;
        m.insert("checksum".into(), sum.into());
    }
    if args.bool("get_mime") {
        // of a link, `file` tells that it is one, whatever `follow` says
        let plain = st.is_file() && (!follow || std::fs::symlink_metadata(path).is_ok_and(|l| l.is_file()));
        let (mime, charset) =
            if plain && readable { known_mime(&st, ctx, || mime(path, ctx)) } else { mime(path, ctx) };
        m.insert("mimetype".into(), mime.into());
        m.insert("charset".into(), charset.into());
    }
    if args.bool("get_attributes") {
        let a = attrs::read(path);
        m.insert("version".into(), a.version.into());
        m.insert("attributes".into(), attrs::words(&a.flags).into());
        m.insert("attr_flags".into(), a.flags.into());
    }
    Ok(Outcome::ok().set("stat", m))
}

fn text(p: &Path) -> String {
    p.to_string_lossy().into_owned()
}

fn describe(path: &Path, st: &Metadata) -> Map<String, Json> {
    let mut m = Map::new();
    let mut put = |k: &str, v: Json| drop(m.insert(k.into(), v));
    let (ty, bits) = (st.file_type(), st.mode());
    put("exists", true.into());
    put("path", text(path).into());
    put("mode", format!("{:04o}", bits & 0o7777).into());
    put("isdir", ty.is_dir().into());
    put("ischr", ty.is_char_device().into());
    put("isblk", ty.is_block_device().into());
    put("isreg", ty.is_file().into());
    put("isfifo", ty.is_fifo().into());
    put("islnk", ty.is_symlink().into());
    put("issock", ty.is_socket().into());
    put("uid", st.uid().into());
    put("gid", st.gid().into());
    put("size", st.size().into());
    put("inode", st.ino().into());
    put("dev", st.dev().into());
    put("nlink", st.nlink().into());
    put("atime", times::atime(st).into());
    put("mtime", times::mtime(st).into());
    put("ctime", times::ctime(st).into());
    let bit = |b: u32| Json::from(bits & b != 0);
    let bit_names = [
        ("wusr", 0o200),
        ("rusr", 0o400),
        ("xusr", 0o100),
        ("wgrp", 0o20),
        ("rgrp", 0o40),
        ("xgrp", 0o10),
        ("woth", 2),
        ("roth", 4),
        ("xoth", 1),
    ];
    for (name, b) in bit_names {
        put(name, bit(b));
    }
    put("isuid", bit(0o4000));
    put("isgid", bit(0o2000));
    put("blocks", st.blocks().into());
    put("block_size", st.blksize().into());
    put("device_type", st.rdev().into());
    let may = |f| Json::from(nix::unistd::access(path, f).is_ok());
    put("readable", may(AccessFlags::R_OK));
    put("writeable", may(AccessFlags::W_OK));
    put("executable", may(AccessFlags::X_OK));
    let mut n = Names::default();
    if let Some(name) = n.user(st.uid()) {
        put("pw_name", name.into());
    }
    if let Some(name) = n.group(st.gid()) {
        put("gr_name", name.into());
    }
    m
}

/// What tells one state of a file from another: device, inode, size, and the times of change in nanoseconds.
type State = (u64, u64, u64, (i64, i64), (i64, i64));

/// What `file` said of files in a state: a play that looks at one again and again pays for that program once.
static SEEN: Mutex<Vec<(State, (String, String))>> = Mutex::new(Vec::new());
/// The most that is kept.
const SEEN_MOST: usize = 64;
/// A file that was changed so lately may change again without another time of change.
const SETTLED: Duration = Duration::from_secs(2);

/// [`mime`] of a regular file, asked for once in each state. Not where the task has an environment of its own, which could
/// lead to another program or other rules.
fn known_mime(st: &Metadata, ctx: &Ctx, ask: impl FnOnce() -> (String, String)) -> (String, String) {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(st.ctime().max(st.mtime()).unsigned_abs());
    if !ctx.env.is_empty() || !SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED) {
        return ask();
    }
    let state = (st.dev(), st.ino(), st.size(), (st.mtime(), st.mtime_nsec()), (st.ctime(), st.ctime_nsec()));
    let seen = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, said)) = seen().iter().find(|(s, _)| *s == state) {
        return said.clone();
    }
    let said = ask();
    if said.0 != "unknown" {
        let mut seen = seen();
        if seen.len() >= SEEN_MOST {
            seen.clear();
        }
        seen.push((state, said.clone()));
    }
    said
}

/// What `file` says of the MIME type and character set; `unknown` without it.
fn mime(path: &Path, ctx: &Ctx) -> (String, String) {
    let unknown = || ("unknown".to_owned(), "unknown".to_owned());
    let Some(tool) = find_program(ctx, "file") else { return unknown() };
    let cmd = Cmd::new([tool, "--mime-type".into(), "--mime-encoding".into(), text(path)]);
    let Ok(out) = cmd.run(ctx) else { return unknown() };
    match out.out().rsplit_once(':').and_then(|(_, v)| v.split_once(';')) {
        Some((mime, set)) if out.ok() => {
            (mime.trim().to_owned(), set.rsplit('=').next().unwrap_or("unknown").trim().to_owned())
        }
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::json;

    #[test]
    fn tells_of_files_links_and_nothing() {
        let d = tempfile::tempdir().expect("dir");
        let f = d.path().join("f");
        std::fs::write(&f, "hi\n").expect("written");
        std::os::unix::fs::symlink("f", d.path().join("l")).expect("linked");
        let ask = |p: std::path::PathBuf, extra: serde_json::Value| {
            let mut a = extra.as_object().cloned().unwrap_or_default();
            a.insert("path".into(), p.to_string_lossy().into_owned().into());
            run(find("stat").expect("known"), &mut Ctx::bare(), &a)
        };
        let r = ask(f.clone(), json!({"checksum_algorithm": "md5"}));
        assert_eq!(r["stat"]["checksum"], "764efa883dda1e11db47671c4a3bbd9e");
        assert_eq!(r["stat"]["size"], 3);
        assert_eq!(r["changed"], false);
        let r = ask(d.path().join("l"), json!({}));
        assert_eq!((&r["stat"]["islnk"], &r["stat"]["lnk_target"]), (&json!(true), &json!("f")));
        assert_eq!(ask(d.path().join("none"), json!({}))["stat"], json!({"exists": false}));
        assert_eq!(ask(f.join("x"), json!({}))["msg"], "Not a directory");
    }

    #[test]
    fn asks_for_the_type_once_in_each_state() {
        let d = tempfile::tempdir().expect("dir");
        let f = d.path().join("f");
        let calls = std::cell::Cell::new(0);
        let ask = |ctx: &Ctx| {
            let st = std::fs::metadata(&f).expect("there");
            let said = super::known_mime(&st, ctx, || {
                calls.set(calls.get() + 1);
                ("text/plain".into(), "us-ascii".into())
            });
            assert_eq!(said, ("text/plain".into(), "us-ascii".into()));
            calls.get()
        };
        std::fs::write(&f, "hi\n").expect("written");
        let ctx = Ctx::bare();
        assert_eq!((ask(&ctx), ask(&ctx)), (1, 2), "what changed lately may change again unseen");
        std::thread::sleep(super::SETTLED + std::time::Duration::from_millis(1100));
        assert_eq!((ask(&ctx), ask(&ctx)), (3, 3));
        let own = Ctx { env: vec![("MAGIC".into(), "x".into())], ..Ctx::bare() };
        assert_eq!(ask(&own), 4, "another environment");
        std::fs::write(&f, "hallo\n").expect("written");
        assert_eq!(ask(&ctx), 5, "another state");
    }
}
