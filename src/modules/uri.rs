//! `uri`: one HTTP request.

mod body;

use super::support::fileargs::{self, AttrDiff, FileArgs};
use super::support::http::{self, Answer, Follow};
use super::support::{atomic, webargs};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn module() -> Module {
    Module {
        name: "uri",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::None,
        diff: Support::None,
        free_form: false,
        doc: "Send an HTTP or HTTPS request and look at the answer.",
        run,
    }
}

fn spec() -> Spec {
    let mut args = webargs::declared();
    args.extend([
        Arg::path("dest").doc("Where to save the answer; a directory takes the name from the answer or the URL."),
        Arg::raw("body").doc("Body of the request."),
        Arg::str("body_format")
            .default("raw")
            .choices(&["form-urlencoded", "json", "raw", "form-multipart"])
            .doc("How the body is encoded; sets the content type too."),
        Arg::path("src").doc("File to send as the body."),
        Arg::str("method").default("GET").doc("The method."),
        flag("return_content", "Return the body as `content`."),
        Arg::str("follow_redirects")
            .default("safe")
            .choices(&["all", "no", "none", "safe", "urllib2", "yes"])
            .doc("Which redirects to follow."),
        Arg::path("creates").doc("A file; if it is there, nothing is done."),
        Arg::path("removes").doc("A file; if it is not there, nothing is done."),
        Arg::list("status_code", Type::Int).default(json!([200])).doc("The statuses that are a success."),
        Arg::dict("headers").default(json!({})).doc("Headers of the request."),
        flag("remote_src", "`src` is on the host."),
        Arg::path("unix_socket").doc("Socket file to ask instead of the host of the address."),
        Arg::path("ca_path").doc("PEM file with a CA to trust besides the system's."),
    ]);
    for a in args.iter_mut() {
        match a.name.as_str() {
            "url_username" => a.aliases = vec!["user".into()],
            "url_password" => a.aliases = vec!["password".into()],
            _ => {}
        }
    }
    Spec::new(args).exclusive(&["body", "src"]).with_file_args()
}

fn flag(name: &str, doc: &str) -> Arg {
    Arg::bool(name).default(false).doc(doc)
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let method = args.str("method").to_uppercase();
    if method.is_empty() || !method.chars().all(|c| c.is_ascii_uppercase()) {
        return Err("Parameter 'method' needs to be a single word in uppercase, like GET or POST.".into());
    }
    if let Some(p) = args.opt_str("creates").filter(|p| Path::new(p).exists()) {
        return Ok(Outcome::ok().set("stdout", format!("skipped, since '{p}' exists")));
    }
    if let Some(p) = args.opt_str("removes").filter(|p| !Path::new(p).exists()) {
        return Ok(Outcome::ok().set("stdout", format!("skipped, since '{p}' does not exist")));
    }
    let mut ask = webargs::ask(args)?;
    http::check_url(&ask.url)?;
    ask.method = method;
    ask.follow = Follow::by_name(args.str("follow_redirects")).unwrap_or(Follow::Safe);
    let encoded = body::encode(ctx, args)?;
    if let Some(kind) = encoded.content_type {
        let set = ask.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        if !set || args.str("body_format") == "form-multipart" {
            ask.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("content-type"));
            ask.headers.push(("Content-Type".into(), kind));
        }
    }
    ask.body = encoded.bytes;
    let dest = args.opt_str("dest").map(PathBuf::from);
    if let Some(d) = dest.as_ref().filter(|d| d.is_file() && !args.bool("force")) {
        since(&mut ask.headers, d);
    }
    let asked = args.str("url").to_string();
    let started = Instant::now();
    let sent = http::send(ask);
    let elapsed = started.elapsed().as_secs();
    let wanted: Vec<i64> = args.get("status_code").as_array().into_iter().flatten().filter_map(Json::as_i64).collect();
    let refused = |status: i64, msg: &str| {
        let list = wanted.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        format!("Status code was {status} and not [{list}]: {msg}")
    };
    match sent {
        Err(t) => {
            let f = Failure::new(refused(-1, &t))
                .set("status", -1)
                .set("url", asked)
                .set("redirected", false)
                .set("elapsed", elapsed);
            Err(if args.bool("return_content") { f.set("content", "") } else { f })
        }
        Ok(a) => {
            let status = i64::from(a.status);
            let out = report(args, a, &asked, dest, wanted.contains(&status))?.set("elapsed", elapsed);
            if wanted.contains(&status) {
                return Ok(out);
            }
            let msg = out.data.get("msg").and_then(Json::as_str).unwrap_or("").to_string();
            Err(Failure { msg: refused(status, &msg), data: out.data })
        }
    }
}

/// If-Modified-Since by the time of a file that is there.
pub(super) fn since(headers: &mut Vec<(String, String)>, file: &Path) {
    let time = std::fs::metadata(file).and_then(|m| m.modified()).ok().and_then(|t| jiff::Timestamp::try_from(t).ok());
    if let Some(t) = time {
        headers.push(("If-Modified-Since".into(), t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    }
}

/// The result keys of an answer; the body goes to `dest` if the status is a wanted one.
fn report(args: &Args, mut a: Answer, asked: &str, dest: Option<PathBuf>, good: bool) -> Result<Outcome, Failure> {
    let mut out = Outcome::ok();
    for (n, v) in &a.headers {
        out.data.insert(n.replace('-', "_"), v.as_str().into());
    }
    let success = (200..300).contains(&a.status);
    if success {
        let (cookies, text) = cookies(&a);
        out = out.set("cookies", Json::Object(cookies)).set("cookies_string", text);
    }
    let kind = a.header("content-type").unwrap_or("").split(';').next().unwrap_or("").to_ascii_lowercase();
    let is_json = kind.contains("json") || kind.contains("javascript");
    out = out
        .set("redirected", a.url != asked)
        .set("url", a.url.as_str())
        .set("status", a.status)
        .set("msg", a.msg.as_str());
    let want_text = args.bool("return_content") || is_json || !success;
    if let Some(d) = dest {
        let d = if d.is_dir() { d.join(webargs::file_name(&a.url, a.header("content-disposition"))) } else { d };
        out = out.set("path", d.to_string_lossy().into_owned());
        if good && a.status != 304 {
            let bytes = a.read().map_err(|e| Failure::new(format!("failed to read the answer: {e}")))?;
            if !d.parent().is_some_and(Path::is_dir) {
                return Err(Failure::new(format!("Destination directory of {} does not exist", d.display())));
            }
            atomic::write(&d, &bytes, args.bool("unsafe_writes"))?;
            FileArgs::from_args(args).apply(&d, false, &mut AttrDiff::default())?;
            out.changed = true;
            if want_text {
                content(&mut out, args, &a, &bytes, is_json, success);
            }
        }
        if d.exists() {
            fileargs::add_path_info(&mut out.data);
        }
        return Ok(out);
    }
    if want_text {
        let bytes = a.read().map_err(|e| Failure::new(format!("failed to read the answer: {e}")))?;
        content(&mut out, args, &a, &bytes, is_json, success);
        if !good && !args.bool("return_content") {
            out.data.remove("body");
        }
    }
    Ok(out)
}

fn content(out: &mut Outcome, args: &Args, a: &Answer, bytes: &[u8], is_json: bool, success: bool) {
    let text = a.text(bytes);
    if is_json && let Ok(v) = serde_json::from_str::<Json>(&text) {
        out.data.insert("json".into(), v);
    }
    if args.bool("return_content") {
        out.data.insert("content".into(), text.into());
    } else if !success {
        out.data.insert("body".into(), text.into());
    }
}

/// Cookies by name, and as one text.
fn cookies(a: &Answer) -> (Map<String, Json>, String) {
    let mut m: Map<String, Json> = Map::new();
    for part in a.header("set-cookie").unwrap_or("").split(',') {
        // A comma may stand in an expiry date: what has no name before `=` is no cookie.
        let pair = part.split(';').next().unwrap_or("").trim();
        if let Some((n, v)) = pair.split_once('=')
            && !n.is_empty()
            && !n.contains(' ')
        {
            m.insert(n.to_string(), v.into());
        }
    }
    let text = m.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect::<Vec<_>>().join("; ");
    (m, text)
}
