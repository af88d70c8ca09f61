//! `script`: a script of the controller, sent to the host and run there.

use super::{Action, ActionCtx, ActionError, ActionResult, Done};
use crate::diag::Error;
use crate::modules::support::shlex;
use crate::transport::Payload;
use crate::value::Value;
use std::sync::Arc;

pub fn action() -> Action {
    Action { name: "script", spec: None, raw: false, local: false, run }
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let line = ctx.arg_str("_raw_params").or_else(|| ctx.arg_str("cmd"));
    let Some(line) = line else {
        return Err(Error::general("one of the following is required: _raw_params, cmd").into());
    };
    let words = shlex::split(&line).map_err(|e| Error::general(format!("{e} in '{line}'")))?;
    let Some(name) = words.into_iter().next() else { return Err(Error::general("no script given").into()) };
    let path = ctx.find_file("files", &name)?;
    if path.is_dir() {
        return Err(Error::general(format!("'{path}' is a directory, not a script")).into());
    }
    let mut args = ctx.args.clone();
    let decrypt = ctx.arg_bool("decrypt", true);
    args.shift_remove("decrypt");
    let payload = content(ctx, &path, decrypt)?;
    let mut done = Done::of(ctx.module("script", args, Some(payload))?);
    if done.data.get("rc").and_then(Value::as_int).is_some_and(|rc| rc != 0) {
        // the script is the action's, there is no module in ansible-core
        let msg = done.data.get("msg").map(Value::to_str).unwrap_or_default();
        done.data.insert("_ansible_error".into(), format!("Action failed: {msg}").into());
    }
    Ok(done)
}

/// The script's text, decrypted if it is vaulted.
fn content(ctx: &ActionCtx, path: &camino::Utf8Path, decrypt: bool) -> Result<Payload, ActionError> {
    if decrypt {
        return Ok(Payload::Bytes(Arc::from(ctx.open_file(path)?)));
    }
    Ok(Payload::File(path.to_owned()))
}
