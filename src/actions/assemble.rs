//! `assemble`: fragments of the controller are joined (and decrypted) here and sent as one file;
//! fragments of the host are the module's.

use super::template::preserve_mode;
use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::assemble::Plan;
use crate::modules::{Failure, support::digest};
use crate::transport::Payload;
use crate::value::Value;
use camino::Utf8Path;
use std::sync::Arc;

pub fn action() -> Action {
    Action { name: "assemble", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let (Some(src), Some(dest)) = (ctx.arg_str("src"), ctx.arg_str("dest")) else {
        return Err(Error::general("src and dest are required").into());
    };
    if ctx.arg_bool("remote_src", true) {
        return Ok(Done::of(ctx.module("assemble", ctx.args.clone(), None)?));
    }
    let dir = ctx.find_file("files", &src).map_err(|e| ActionError::Raised(Error::general(e.message())))?;
    if !dir.is_dir() {
        return Err(Error::general(format!("Source ({dir}) is not a directory")).into());
    }
    let (regexp, delimiter) = (ctx.arg_str("regexp"), ctx.arg_str("delimiter"));
    let decrypt = ctx.arg_bool("decrypt", true);
    let read = |p: &std::path::Path| -> Result<Vec<u8>, Failure> {
        let shown = Utf8Path::from_path(p).ok_or("a fragment has a name that is not UTF-8")?;
        match decrypt {
            true => ctx.open_file(shown).map_err(|e| Failure::new(e.to_string())),
            false => std::fs::read(p).map_err(|e| Failure::new(format!("{shown}: {e}"))),
        }
    };
    let joined = Plan::new(regexp.as_deref(), delimiter.as_deref(), ctx.arg_bool("ignore_hidden", false))
        .and_then(|plan| plan.join(dir.as_std_path(), read));
    let data = match joined {
        Ok(d) => d,
        Err(f) => return Err(Error::general(f.msg).into()),
    };
    let mut args = ctx.args.clone();
    for k in ["remote_src", "regexp", "delimiter", "ignore_hidden", "decrypt"] {
        args.shift_remove(k);
    }
    args.insert("src".into(), dir.as_str().into());
    args.insert("_original_basename".into(), "src".into());
    preserve_mode(&mut args, &dir)?;
    let (sha1, md5) = (digest::of_bytes("sha1", &data), digest::of_bytes("md5", &data));
    let mut done = Done::of(ctx.module("copy", args, Some(Payload::Bytes(Arc::from(data))))?);
    // A file that has this content already, and one that check mode does not make, answer as one that was sent.
    if !done.data.get("failed").is_some_and(Value::truthy) {
        done.data.shift_remove("path");
        for (key, v) in [("dest", dest), ("src", dir.to_string()), ("checksum", sha1), ("md5sum", md5)] {
            done.data.entry(key.into()).or_insert_with(|| v.into());
        }
    }
    Ok(done)
}
