//! `unarchive`: an archive of the controller (or of the host) unpacked on the host.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::transport::Payload;
use crate::value::Value;

pub fn action() -> Action {
    Action { name: "unarchive", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let (Some(src), Some(_)) = (ctx.arg_str("src"), ctx.arg_str("dest")) else {
        return Err(Error::general("src (or content) and dest are required").into());
    };
    // `copy: no` is the old way to say remote_src
    let remote = ctx.arg_bool("remote_src", false) || !ctx.arg_bool("copy", true);
    let mut args = ctx.args.clone();
    args.shift_remove("copy");
    args.shift_remove("decrypt");
    if remote {
        args.insert("remote_src".into(), true.into());
        return Ok(Done::of(ctx.module("unarchive", args, None)?));
    }
    let path = ctx.find_file("files", &src).map_err(|e| ActionError::Raised(Error::general(e.message())))?;
    if path.is_dir() {
        return Err(Error::general(format!("the source '{path}' is a directory, not an archive")).into());
    }
    args.insert("src".into(), Value::plain(path.as_str()));
    Ok(Done::of(ctx.module("unarchive", args, Some(Payload::File(path)))?))
}
