//! `copy`: files, trees and text of the controller to the host. What is there already is not sent.

use super::template::preserve_mode;
use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::support::digest;
use crate::proto::Request;
use crate::transport::Payload;
use crate::value::{Map, Value};
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

pub fn action() -> Action {
    Action { name: "copy", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    ctx.null_is_false(&["follow"]);
    let given = |k: &str| ctx.args.get(k).filter(|v| !v.is_null());
    let content = given("content").cloned();
    let src = ctx.arg_str("src").filter(|s| !s.is_empty());
    if ctx.arg_bool("remote_src", false) && src.is_some() {
        let args = ctx.args.clone();
        return Ok(Done::of(ctx.module("copy", args, None)?));
    }
    let Some(dest) = ctx.arg_str("dest") else {
        let text = if src.is_none() && content.is_none() { "src (or content) is required" } else { "dest is required" };
        return Ok(Done::failed(text));
    };
    match (src, content) {
        (Some(_), Some(_)) => Ok(Done::failed("src and content are mutually exclusive")),
        (None, None) => Ok(Done::failed("src (or content) is required")),
        (None, Some(c)) => {
            if dest.ends_with('/') {
                return Ok(Done::failed("can not use content with a dir as dest"));
            }
            let text = match &c {
                Value::Map(_) | Value::List(_) => json_text(&c),
                other => other.to_str(),
            };
            let mut args = base_args(ctx);
            args.shift_remove("content");
            if args.get("mode").and_then(Value::as_str) == Some("preserve") {
                // there is no file whose mode could be kept: that of ansible-core's temporary one
                args.insert("mode".into(), Value::from("0600"));
            }
            let mut done = send(ctx, args, Payload::Bytes(Arc::from(text.into_bytes())))?;
            if done.data.contains_key("src") {
                done.data.insert("src".into(), staged_name(&dest).into());
            }
            Ok(done)
        }
        (Some(src), None) => from_file(ctx, &src, &dest),
    }
}

/// The `src` of a result where there was only content: what ansible-core's temporary file would be called, without
/// what is random in it.
fn staged_name(dest: &str) -> String {
    let extension = Utf8Path::new(dest).extension().map(|e| format!(".{e}")).unwrap_or_default();
    format!("~/.ansible/tmp/.source{extension}")
}

/// A list or mapping given as content is written as JSON.
fn json_text(v: &Value) -> String {
    crate::pyjson::py_json(v)
}

/// The arguments that go along with each file.
fn base_args(ctx: &ActionCtx) -> Map {
    let mut args = ctx.args.clone();
    for k in ["local_follow", "decrypt"] {
        args.shift_remove(k);
    }
    args
}

/// The diff of a content as the list that the action makes in ansible-core; that of attributes is the module's, and
/// stands alone.
fn listed(mut done: Done) -> Done {
    let content = |d: &Value| d.as_map().is_some_and(|m| m.get("before").is_none_or(|b| b.as_map().is_none()));
    if let Some(d) = done.data.get_mut("diff").filter(|d| content(d)) {
        *d = Value::list(vec![std::mem::take(d)]);
    }
    done
}

/// Runs the module with a content; a failure tells the content's checksum.
pub(super) fn send(ctx: &ActionCtx, args: Map, payload: Payload) -> ActionResult {
    let sent = payload.clone();
    let mut done = listed(Done::of(ctx.module("copy", args, Some(payload))?));
    if done.data.get("msg").and_then(Value::as_str) == Some("can not use content with a dir as dest") {
        // seen on the host only, but not the module's words in ansible-core
        done.by_module = false;
    } else if done.data.get("failed").is_some_and(Value::truthy) && !done.data.contains_key("checksum") {
        // what should have gone there is told of a failure, too
        let sum = match sent {
            Payload::Bytes(b) => digest::of_bytes("sha1", &b),
            Payload::File(p) => digest::of_file("sha1", p.as_std_path()).unwrap_or_default(),
        };
        done.data.insert("checksum".into(), sum.into());
    }
    Ok(done)
}

fn from_file(ctx: &ActionCtx, src: &str, dest: &str) -> ActionResult {
    let trailing = src.ends_with('/');
    let path = ctx
        .find_file("files", src)
        .map_err(|e| Error::general(format!("Unexpected AnsibleActionFail error: {}", e.message())))?;
    if path.is_dir() {
        return tree(ctx, &path, trailing, dest);
    }
    let mut args = base_args(ctx);
    let base = path.file_name().unwrap_or_default().to_string();
    args.insert("_original_basename".into(), base.into());
    args.insert("src".into(), path.as_str().into());
    preserve_mode(&mut args, &path)?;
    let payload = payload_of(ctx, &path)?;
    send(ctx, args, payload)
}

/// The file itself, or its plain text if it is vaulted (and `decrypt` is not off).
pub(super) fn payload_of(ctx: &ActionCtx, path: &Utf8Path) -> Result<Payload, ActionError> {
    let mut head = [0u8; 15];
    let vaulted = std::fs::File::open(path)
        .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head))
        .is_ok_and(|()| &head == b"$ANSIBLE_VAULT;");
    if vaulted && ctx.arg_bool("decrypt", true) {
        return Ok(Payload::Bytes(Arc::from(ctx.open_file(path)?)));
    }
    Ok(Payload::File(path.to_owned()))
}

/// A directory: its members below `dest`, itself too unless `src` ends in a slash.
fn tree(ctx: &ActionCtx, root: &Utf8Path, trailing: bool, dest: &str) -> ActionResult {
    let name = root.file_name().unwrap_or_default();
    let base: Utf8PathBuf = if trailing { dest.into() } else { Utf8Path::new(dest).join(name) };
    let follow_local = ctx.arg_bool("local_follow", true);
    let mut entries = vec![];
    collect(root, Utf8Path::new(""), follow_local, &mut vec![], &mut entries)?;
    if entries.len() == 1 {
        // of a directory with nothing in it ansible-core makes nothing, not even itself
        entries.clear();
    }
    let mut changed = false;
    let mut diffs = vec![];
    let mut one = |d: Done| -> Result<(), Done> {
        if d.data.get("failed").is_some_and(Value::truthy) {
            return Err(d);
        }
        changed |= d.data.get("changed").is_some_and(Value::truthy);
        match d.data.get("diff") {
            Some(Value::List(l)) => diffs.extend(l.to_vec()),
            Some(v) if v.truthy() => diffs.push(v.clone()),
            _ => {}
        }
        Ok(())
    };
    let mut requests = Vec::with_capacity(entries.len());
    for e in entries {
        let target = base.join(&e.relative);
        requests.push(match &e.kind {
            Kind::Directory => (directory(ctx, target.as_str()), None),
            Kind::File(p) => {
                let mut args = base_args(ctx);
                args.insert("dest".into(), target.as_str().into());
                args.insert("src".into(), p.as_str().into());
                args.insert("_original_basename".into(), e.relative.as_str().into());
                args.shift_remove("directory_mode");
                preserve_mode(&mut args, p)?;
                (ctx.request("copy", args), Some(payload_of(ctx, p)?))
            }
            Kind::Link(to) => {
                let mut args = Map::new();
                args.insert("path".into(), target.as_str().into());
                args.insert("src".into(), to.as_str().into());
                args.insert("state".into(), "link".into());
                args.insert("force".into(), true.into());
                args.insert("follow".into(), ctx.arg_bool("follow", false).into());
                (ctx.request("file", args), None)
            }
        });
    }
    // all of the tree goes out as one stream, and the first failure ends it
    for response in ctx.remote.call_chain(requests)? {
        if let Err(failed) = one(Done::of(response)) {
            return Ok(failed);
        }
    }
    let mut d = Done::new(changed).set("src", root.as_str()).set("dest", format!("{}/", dest.trim_end_matches('/')));
    if !diffs.is_empty() {
        d.data.insert("diff".into(), Value::list(diffs));
    }
    Ok(d)
}

fn directory(ctx: &ActionCtx, path: &str) -> Request {
    let mut args = Map::new();
    args.insert("path".into(), path.into());
    args.insert("state".into(), "directory".into());
    args.insert("recurse".into(), false.into());
    if let Some(m) = ctx.args.get("directory_mode").filter(|v| !v.is_null()) {
        args.insert("mode".into(), m.clone());
    }
    for k in ["owner", "group", "seuser", "serole", "setype", "selevel", "follow"] {
        if let Some(v) = ctx.args.get(k) {
            args.insert(k.into(), v.clone());
        }
    }
    ctx.request("file", args)
}

struct Entry {
    relative: Utf8PathBuf,
    kind: Kind,
}

enum Kind {
    Directory,
    File(Utf8PathBuf),
    Link(String),
}

/// The members of a directory, parents before children and files before the directories beside them. `above`: the directories that lead here, by device and inode;
/// a link that leads back to one of them, or nowhere, stays a link.
fn collect(
    dir: &Utf8Path,
    relative: &Utf8Path,
    follow: bool,
    above: &mut Vec<(u64, u64)>,
    out: &mut Vec<Entry>,
) -> Result<(), Error> {
    let bad = |e: std::io::Error| Error::general(format!("cannot read the directory {dir}: {e}"));
    let id = |m: std::fs::Metadata| (m.dev(), m.ino());
    let mut names: Vec<Utf8PathBuf> =
        dir.read_dir_utf8().map_err(bad)?.map(|e| e.map(|e| e.into_path())).collect::<Result<_, _>>().map_err(bad)?;
    names.sort_by_cached_key(|p| (p.is_dir(), p.clone()));
    out.push(Entry { relative: relative.to_owned(), kind: Kind::Directory });
    above.push(id(std::fs::metadata(dir).map_err(bad)?));
    for p in names {
        let rel = relative.join(p.file_name().unwrap_or_default());
        let link = std::fs::symlink_metadata(&p).is_ok_and(|m| m.file_type().is_symlink());
        let circle = link && std::fs::metadata(&p).is_ok_and(|m| m.is_dir() && above.contains(&id(m)));
        let dangling = link && !p.exists();
        if link && (!follow || circle || dangling) {
            let to = std::fs::read_link(&p).map_err(|e| Error::general(format!("{p}: {e}")))?;
            out.push(Entry { relative: rel, kind: Kind::Link(to.to_string_lossy().into_owned()) });
        } else if p.is_dir() {
            collect(&p, &rel, follow, above, out)?;
        } else if p.is_file() {
            out.push(Entry { relative: rel, kind: Kind::File(p) });
        }
    }
    above.pop();
    Ok(())
}
