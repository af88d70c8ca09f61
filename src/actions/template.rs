//! `template`: renders a file of the controller and copies the result.

use super::codecs;
use super::{Action, ActionCtx, ActionError, ActionResult};
use crate::diag::Error;
use crate::modules::{Arg, Spec};
use crate::template::{FileOptions, about};
use crate::transport::Payload;
use crate::value::{Map, Value};
use camino::Utf8Path;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

pub fn action() -> Action {
    Action { name: "template", spec: Some(spec), raw: false, local: false, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::path("src").required().doc("The template, looked for in templates/ of the role and the playbook."),
        Arg::path("dest").required().doc("Where the result goes on the host."),
        Arg::bool("backup").default(false).doc("Keep the old file."),
        Arg::bool("force").default(true).doc("Replace a file that differs."),
        Arg::bool("follow").default(false).doc("Follow a link at dest."),
        Arg::str("validate").doc("A command that must accept the new file, with %s for its name."),
        Arg::str("newline_sequence").choices(&["\\n", "\\r", "\\r\\n", "\n", "\r", "\r\n"]).default("\\n"),
        Arg::str("block_start_string").default("{%"),
        Arg::str("block_end_string").default("%}"),
        Arg::str("variable_start_string").default("{{"),
        Arg::str("variable_end_string").default("}}"),
        Arg::str("comment_start_string"),
        Arg::str("comment_end_string"),
        Arg::bool("trim_blocks").default(true),
        Arg::bool("lstrip_blocks").default(false),
        Arg::str("output_encoding").default("utf-8").doc("The name of the encoding, as Python has it."),
    ])
    .with_file_args()
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let wrong = |text: &str| Err(Error::general(text).into());
    if ctx.args.contains_key("state") {
        return wrong("'state' cannot be specified on a template");
    }
    if ctx.arg_str("src").is_none() || ctx.arg_str("dest").is_none() {
        return wrong("src and dest are required");
    }
    ctx.null_is_false(&["trim_blocks", "lstrip_blocks", "follow"]);
    // a newline given as the character itself is as good as its escape
    if let Some(v) = ctx.args.get("newline_sequence").and_then(Value::as_str) {
        let escaped = v.replace('\r', "\\r").replace('\n', "\\n");
        if !["\\n", "\\r", "\\r\\n"].contains(&escaped.as_str()) {
            return wrong("newline_sequence needs to be one of: \n, \r or");
        }
        ctx.args.insert("newline_sequence".into(), escaped.into());
    }
    // names that are not the template's own are for copy, which tells of those it does not know either
    let spec = spec();
    let (own, other): (Map, Map) =
        std::mem::take(&mut ctx.args).into_iter().partition(|(k, _)| spec.find(&k.to_string()).is_some());
    ctx.args = own;
    let a = ctx.validated(&spec)?;
    let src = ctx.arg_str("src").unwrap_or_default();
    let path = ctx.find_file("templates", &src)?;
    if path.is_dir() {
        return Err(ActionError::Raised(Error::general(format!(
            "An error occurred while trying to read the file '{path}': [Errno 21] Is a directory: '{path}'"
        ))));
    }
    let bytes = (ctx.read_file)(&path)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::general(format!("Template source files must be utf-8 encoded: {path}")))?;
    let dest = a.str("dest").to_string();
    let unescape = |s: &str| s.replace("\\r", "\r").replace("\\n", "\n");
    let options = FileOptions {
        name: path.to_string(),
        trim_blocks: a.bool("trim_blocks"),
        lstrip_blocks: a.bool("lstrip_blocks"),
        newline_sequence: unescape(a.str("newline_sequence")),
        block_start_string: a.str("block_start_string").into(),
        block_end_string: a.str("block_end_string").into(),
        variable_start_string: a.str("variable_start_string").into(),
        variable_end_string: a.str("variable_end_string").into(),
        comment_start_string: a.opt_str("comment_start_string").unwrap_or("{#").into(),
        comment_end_string: a.opt_str("comment_end_string").unwrap_or("#}").into(),
        line_statement_prefix: String::new(),
        line_comment_prefix: String::new(),
        extra: about::variables(&src, &path, &dest, ctx.scope).map_err(ActionError::Raised)?,
    };
    // includes are looked for beside the template first
    let mut files = (*ctx.scope.files).clone();
    files.template_dir = path.parent().map(Utf8Path::to_owned);
    // and so are the files that its lookups name
    files.search = files.folders("templates");
    let scope = crate::template::Scope::new(ctx.scope.vars.clone(), Arc::new(files));
    let out = ctx.engine.render_file(&text, &options, &scope)?;
    let bytes = codecs::encode(&out, a.str("output_encoding")).map_err(|e| ActionError::Raised(Error::general(e)))?;
    let base = path.file_name().unwrap_or_default().to_string();
    let mut args = Map::new();
    const PASSED: [&str; 14] = [
        "dest",
        "backup",
        "force",
        "follow",
        "validate",
        "mode",
        "owner",
        "group",
        "seuser",
        "serole",
        "setype",
        "selevel",
        "attributes",
        "unsafe_writes",
    ];
    for k in PASSED {
        if let Some(v) = ctx.args.get(k) {
            args.insert(k.into(), v.clone());
        }
    }
    if let Some(v) = ctx.args.get("attr") {
        args.insert("attributes".into(), v.clone());
    }
    args.extend(other);
    args.insert("_original_basename".into(), base.as_str().into());
    args.insert("src".into(), path.as_str().into());
    preserve_mode(&mut args, &path)?;
    super::copy::send(ctx, args, Payload::Bytes(Arc::from(bytes)))
}

/// `mode: preserve` takes the controller's file's mode.
pub fn preserve_mode(args: &mut Map, path: &Utf8Path) -> Result<(), ActionError> {
    if args.get("mode").and_then(Value::as_str) == Some("preserve") {
        let m = std::fs::metadata(path).map_err(|e| Error::general(format!("{path}: {e}")))?;
        args.insert("mode".into(), format!("0{:03o}", m.mode() & 0o7777).into());
    }
    Ok(())
}
