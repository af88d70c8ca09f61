//! `uri`: a request, for which a file of the controller may be the body.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::transport::Payload;
use crate::value::Value;

pub fn action() -> Action {
    Action { name: "uri", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    if ctx.check {
        let text = format!("This action ({}) does not support check mode.", ctx.written);
        return Ok(Done::new(false).set("skipped", true).set("msg", text));
    }
    let mut args = ctx.args.clone();
    let payload = match ctx.arg_str("src") {
        Some(src) if !ctx.arg_bool("remote_src", false) => {
            let path = ctx.find_file("files", &src).map_err(|e| ActionError::Raised(Error::general(e.message())))?;
            args.insert("src".into(), Value::plain(path.as_str()));
            Some(Payload::File(path))
        }
        _ => None,
    };
    Ok(Done::of(ctx.module("uri", args, payload)?))
}
