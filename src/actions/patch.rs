//! `patch`: a patch file of the controller (or of the host) applied on the host.

use super::{Action, ActionCtx, ActionResult, Done};
use crate::diag::Error;
use crate::transport::Payload;
use std::sync::Arc;

pub fn action() -> Action {
    Action { name: "patch", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let Some(src) = ctx.arg_str("src").or_else(|| ctx.arg_str("patchfile")) else {
        return Err(Error::general("src is required").into());
    };
    if ctx.arg_bool("remote_src", false) {
        return Ok(Done::of(ctx.module("patch", ctx.args.clone(), None)?));
    }
    let path = match ctx.find_file("files", &src) {
        Ok(p) => p,
        Err(e) => return Ok(not_found(&src, &e)),
    };
    let payload = Payload::Bytes(Arc::from((ctx.read_file)(&path)?));
    Ok(Done::of(ctx.module("patch", ctx.args.clone(), Some(payload))?))
}

/// The failure for a patch file that is not there; of an absolute path no places are named.
fn not_found(src: &str, e: &Error) -> Done {
    let text = e.message().to_string();
    let msg = match (text.split_once("\nSearched in:"), text.find(" on the Ansible Controller.")) {
        (Some((start, _)), Some(end)) if src.starts_with('/') => format!("{start}{}", text.get(end..).unwrap_or("")),
        _ => text,
    };
    let shown = format!("Action failed: {msg}");
    Done::failed(msg).set("_ansible_error", shown)
}
