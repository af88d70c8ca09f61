//! `fetch`: a file of the host to the controller. Whatever the host says, nothing is written outside the
//! destination.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::support::{digest, partial};
use crate::modules::{Arg, Args, Spec};
use crate::proto::{Request, hex};
use crate::transport::{CallError, SENT_SUM};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use md5::{Digest, Md5};
use serde_json::{Map as JsonMap, Value as Json, json};
use sha1::Sha1;
use std::fs;
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;

pub fn action() -> Action {
    Action { name: "fetch", spec: Some(spec), raw: false, local: false, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::str("src").doc("The file on the host."),
        Arg::str("dest")
            .doc("Directory on the controller; the file goes below it, under the host's name and its own path."),
        Arg::bool("flat").default(false).doc("Write to `dest` itself, or into it if it ends in a slash."),
        Arg::bool("validate_checksum").default(true).doc("Compare checksums after the transfer."),
        Arg::bool("fail_on_missing").default(true).doc("Fail if there is no such file."),
    ])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    if ctx.check {
        return Ok(Done::new(false).set("skipped", true).set("msg", "check mode not (yet) supported for this module"));
    }
    let spec = spec();
    ctx.null_is_false(&["flat", "fail_on_missing", "validate_checksum"]);
    // as in ansible-core, other names are not looked at
    ctx.args.retain(|k, _| spec.find(&k.to_string()).is_some());
    for name in ["dest", "src"] {
        if ctx.args.get(name).is_some_and(|v| !v.is_null() && v.as_str().is_none()) {
            let text = format!("Invalid type supplied for {name} option, it must be a string");
            return Err(Error::general(text).into());
        }
    }
    let args = ctx.validated(&spec)?;
    let (Some(src), Some(dest)) = (args.opt_str("src"), args.opt_str("dest")) else {
        return Err(Error::general("src and dest are required").into());
    };
    let seen = look(ctx, src, Want::Size)?;
    if let Some(done) = not_a_file(&seen, &args, src) {
        return Ok(done);
    }
    let file = text(&seen, "file");
    let size = seen.get("size").and_then(Json::as_u64).unwrap_or(0);
    let target = target(ctx, &args, src, &file, dest)?;
    // only what may be here already is worth reading twice
    if fs::metadata(&target).is_ok_and(|m| m.is_file() && m.len() == size) {
        let there = look(ctx, src, Want::Sum)?;
        if let Some(done) = not_a_file(&there, &args, src) {
            return Ok(done);
        }
        let wanted = text(&there, "checksum");
        if let Some((sha1, md5)) = checksums(&target, unseen(ctx, size))
            && sha1 == wanted
        {
            let done = with_md5(Done::new(false), md5).set("file", file);
            return Ok(done.set("dest", target.as_str()).set("checksum", wanted));
        }
    }
    // the checksum is that of the content on both sides, or the transfer has failed
    let (sha1, md5) = transfer(ctx, &file, &target, size)?;
    Ok(with_md5(Done::new(true), md5)
        .set("dest", target.as_str())
        .set("remote_md5sum", crate::value::Value::Null)
        .set("checksum", sha1.as_str())
        .set("remote_checksum", sha1.as_str()))
}

/// Whether the MD5 is too dear for a result that nobody will see.
fn unseen(ctx: &ActionCtx, size: u64) -> bool {
    ctx.unseen && size >= partial::WORTH
}

fn with_md5(done: Done, md5: Option<String>) -> Done {
    match md5 {
        Some(sum) => done.set("md5sum", sum),
        None => done,
    }
}

fn text(m: &JsonMap<String, Json>, key: &str) -> String {
    m.get(key).and_then(Json::as_str).unwrap_or("").to_string()
}

/// What the host is asked to tell of a file.
enum Want<'a> {
    Size,
    Sum,
    /// The checksum of its first bytes.
    First(u64),
    /// What comes behind so many bytes.
    Content(u64, &'a mut (dyn Write + Send)),
}

fn look(ctx: &ActionCtx, src: &str, want: Want) -> Result<JsonMap<String, Json>, CallError> {
    let (sum, first, sink) = match want {
        Want::Size => (false, 0, None),
        Want::Sum => (true, 0, None),
        Want::First(n) => (true, n, None),
        Want::Content(n, sink) => (false, n, Some(sink)),
    };
    let args = match json!({"src": src, "send": sink.is_some(), "sum": sum, "first": first}) {
        Json::Object(m) => m,
        _ => JsonMap::new(),
    };
    let request = Request { module: "fetch_content".into(), args, timeout: ctx.timeout, ..Request::default() };
    Ok(ctx.remote.call(request, None, sink)?.result)
}

fn not_a_file(seen: &JsonMap<String, Json>, args: &Args, src: &str) -> Option<Done> {
    if seen.get("failed").and_then(Json::as_bool) != Some(true) {
        return None;
    }
    let is = |k: &str| seen.get(k).and_then(Json::as_bool) == Some(true);
    let strict = args.bool("fail_on_missing");
    let words = seen.get("msg").and_then(Json::as_str).unwrap_or("the remote file cannot be read").to_string();
    let (msg, fatal) = match (is("missing"), is("directory")) {
        (true, _) => ("the remote file does not exist, not transferring, ignored".to_string(), strict),
        (_, true) if strict => ("remote file is a directory, fetch cannot work on directories".to_string(), true),
        (_, true) => {
            ("remote file is a directory, fetch cannot work on directories, not transferring, ignored".into(), false)
        }
        _ if strict => (words, true),
        _ => (format!("{words}, not transferring, ignored"), false),
    };
    if fatal && is("missing") {
        // ansible-core tells the error of the module it asks
        let why = format!("Module failed: File not found: {src}: [Errno 2] No such file or directory: '{src}'");
        return Some(Done::failed(msg).set("_ansible_error", why));
    }
    if fatal {
        return Some(Done::failed(msg));
    }
    let done = Done::new(false).set("msg", msg);
    Some(if is("missing") { done.set("file", src) } else { done })
}

/// Where the file goes. `file` is the path as the host expanded it, so it is taken apart and only names are
/// kept.
fn target(ctx: &ActionCtx, args: &Args, src: &str, file: &str, dest: &str) -> Result<Utf8PathBuf, Error> {
    let base = Utf8Path::new(&crate::modules::expand_path(dest)).to_owned();
    let base = if base.is_absolute() { base } else { ctx.scope.files.playbook_dir.join(base) };
    // What the host adds counts only where it was asked to: for home directories and variables.
    let source = if src.starts_with('~') || src.contains('$') { file } else { src };
    let names = names_of(source);
    let Some(last) = names.last() else { return Err(Error::general(format!("'{source}' names no file"))) };
    if args.bool("flat") {
        if dest.ends_with('/') {
            return Ok(base.join(last));
        }
        if base.is_dir() {
            let text =
                "dest is an existing directory, use a trailing slash if you want to fetch src into that directory";
            return Err(Error::general(text));
        }
        return Ok(clean(&base));
    }
    let host = &**ctx.host;
    if host.contains('/') || matches!(host, "." | ".." | "") {
        return Err(Error::general(format!("'{host}' cannot be the name of a directory")));
    }
    Ok(clean(&base).join(host).join(names.iter().collect::<Utf8PathBuf>()))
}

/// The names in a path, `..` taken back and never beyond the root.
fn names_of(path: &str) -> Vec<&str> {
    let mut names = vec![];
    for c in Utf8Path::new(path).components() {
        match c {
            Utf8Component::Normal(n) => names.push(n),
            Utf8Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    names
}

fn clean(path: &Utf8Path) -> Utf8PathBuf {
    Utf8Path::new("/").join(names_of(path.as_str()).iter().collect::<Utf8PathBuf>())
}

/// SHA-1 and, unless nobody will see it, MD5 of a file of ours, if there is one.
fn checksums(path: &Utf8Path, unseen: bool) -> Option<(String, Option<String>)> {
    let sum = |kind| digest::of_file(kind, path.as_std_path()).ok();
    Some((sum("sha1")?, if unseen { None } else { Some(sum("md5")?) }))
}

/// Computes the checksums of what is written that are wanted, and stops what never ends.
struct Tee<W> {
    to: W,
    md5: Option<Md5>,
    /// Of the whole content, where part of it came earlier.
    sha1: Option<Sha1>,
    left: u64,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("the host sends much more than the file holds"))?;
        self.to.write_all(bytes)?;
        if let Some(sum) = &mut self.md5 {
            sum.update(bytes);
        }
        if let Some(sum) = &mut self.sha1 {
            sum.update(bytes);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Receives the file beside its destination and puts it in place when it is whole. Its SHA-1 and, unless nobody will see
/// it, MD5. What a cut leaves of a large one is where the next transfer begins, if the host's file begins with the same.
fn transfer(
    ctx: &ActionCtx,
    file: &str,
    target: &Utf8Path,
    size: u64,
) -> Result<(String, Option<String>), ActionError> {
    let bad = |e: io::Error| Error::general(format!("could not write {target}: {e}"));
    let dir = target.parent().unwrap_or(Utf8Path::new("/"));
    fs::create_dir_all(dir).map_err(bad)?;
    let worth = size >= partial::WORTH;
    let earlier = if worth { partial::find(target.as_std_path(), size) } else { None };
    let mut tmp = match worth {
        true => partial::create(target.as_std_path()),
        false => tempfile::Builder::new().prefix(".fetch-").tempfile_in(dir),
    }
    .map_err(bad)?;
    let mut md5 = (!unseen(ctx, size)).then(Md5::new);
    let (mut begin, mut sha1) = (0, None);
    if let Some(mut left) = earlier {
        let mut more = md5.clone();
        let copied = left.copy(tmp.as_file_mut(), |bytes| {
            if let Some(sum) = &mut more {
                sum.update(bytes);
            }
        });
        if let Ok((sum, len)) = copied
            && text(&look(ctx, file, Want::First(len))?, "checksum") == hex(&sum.clone().finalize())
        {
            (begin, sha1, md5) = (len, Some(sum), more);
        } else {
            tmp.as_file().set_len(0).and_then(|()| tmp.as_file_mut().rewind()).map_err(bad)?;
        }
        left.discard();
    }
    let left = size.saturating_mul(2).saturating_add(64 << 20);
    let mut tee = Tee { to: tmp.as_file_mut(), md5, sha1, left };
    let got = match look(ctx, file, Want::Content(begin, &mut tee)) {
        Ok(got) => got,
        Err(e) => {
            if worth && matches!(e, CallError::Unreachable(_)) {
                let _ = tmp.keep();
            }
            return Err(e.into());
        }
    };
    if got.get("failed").and_then(Json::as_bool) == Some(true) {
        let why = got.get("msg").and_then(Json::as_str).unwrap_or("the file could not be sent");
        return Err(Error::general(why).into());
    }
    let md5 = tee.md5.map(|sum| hex(&sum.finalize()));
    let sha1 = match (tee.sha1, text(&got, SENT_SUM)) {
        (Some(whole), _) => {
            let whole = hex(&whole.finalize());
            if whole != text(&got, "checksum") {
                return Err(Error::general(format!("{file} changed on the host while it was fetched")).into());
            }
            whole
        }
        // of an empty file nothing was sent
        (None, none) if none.is_empty() => digest::of_bytes("sha1", b""),
        (None, sum) => sum,
    };
    let mode = fs::metadata(target).map_or(0o666 & !umask(), |m| m.permissions().mode() & 0o7777);
    tmp.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(bad)?;
    tmp.persist(target).map_err(|e| bad(e.error))?;
    Ok((sha1, md5))
}

/// The process's umask, read without changing it for other threads.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("Umask:"));
    line.and_then(|v| u32::from_str_radix(v.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_climb_out() {
        assert_eq!(names_of("/etc/../../../x"), ["x"]);
        assert_eq!(names_of("../../etc/passwd"), ["etc", "passwd"]);
        assert_eq!(names_of("/a/./b//c"), ["a", "b", "c"]);
        assert!(names_of("/..").is_empty());
        assert_eq!(clean(Utf8Path::new("/tmp/../f/")), "/f");
    }

    #[test]
    fn endless_content_is_stopped() {
        let mut t = Tee { to: io::sink(), md5: None, sha1: None, left: 10 };
        assert!(t.write(&[0; 8]).is_ok());
        assert!(t.write(&[0; 8]).is_err());
    }
}
