//! `unarchive`: an archive of the controller (or of the host) unpacked on the host.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::transport::Payload;
use crate::value::{Map, Value};

pub fn action() -> Action {
    Action { name: "unarchive", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let (Some(src), Some(_)) = (ctx.arg_str("src"), ctx.arg_str("dest")) else {
        return Err(Error::general("src (or content) and dest are required").into());
    };
    if ctx.args.contains_key("copy") && ctx.args.contains_key("remote_src") {
        return Err(Error::general("parameters are mutually exclusive: ('copy', 'remote_src')").into());
    }
    // `copy: no` is the old way to say remote_src
    let remote = ctx.arg_bool("remote_src", false) || !ctx.arg_bool("copy", true);
    let mut args = ctx.args.clone();
    args.shift_remove("copy");
    args.shift_remove("decrypt");
    if remote {
        args.insert("remote_src".into(), true.into());
        return send(ctx, args, None);
    }
    let path = ctx.find_file("files", &src).map_err(|e| ActionError::Raised(Error::general(e.message())))?;
    if path.is_dir() {
        return Err(ActionError::Raised(super::not_found(&format!("'{path}'"))));
    }
    args.insert("src".into(), Value::plain(path.as_str()));
    let payload = super::copy::payload_of(ctx, &path)?;
    send(ctx, args, Some(payload))
}

fn send(ctx: &ActionCtx, args: Map, payload: Option<Payload>) -> ActionResult {
    let done = Done::of(ctx.module("unarchive", args, payload)?);
    // seen on the host only, but not the module's words in ansible-core
    let msg = done.data.get("msg").map(Value::to_str).unwrap_or_default();
    if msg.starts_with("dest '") && msg.ends_with("' must be an existing dir") {
        return Err(Error::general(msg).into());
    }
    Ok(done)
}
