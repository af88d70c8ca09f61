//! `get_url`: downloads a file.

use super::support::fileargs::{self, AttrDiff, FileArgs};
use super::support::http::{self, Ask};
use super::support::{atomic, digest, webargs};
use super::uri::since;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::Value as Json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn module() -> Module {
    Module {
        name: "get_url",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Partial,
        diff: Support::None,
        free_form: false,
        doc: "Download a file over HTTP or HTTPS, verify it, put it in place in one step.",
        run,
    }
}

fn spec() -> Spec {
    let mut args = webargs::declared();
    args.extend([
        Arg::path("dest")
            .required()
            .doc("Where to put the file; a directory takes the name from the answer or the URL."),
        Arg::bool("backup").default(false).doc("Keep the old file under another name."),
        Arg::str("checksum").default("").doc("`ALGORITHM:DIGEST`, or `ALGORITHM:URL` of a file with digests."),
        Arg::dict("headers").doc("Headers of the request."),
        Arg::path("tmp_dest").doc("Directory for the download before it is put in place."),
    ]);
    for a in args.iter_mut() {
        match a.name.as_str() {
            "url_username" => a.aliases = vec!["username".into()],
            "url_password" => a.aliases = vec!["password".into()],
            "timeout" => a.default = Some(10.into()),
            _ => {}
        }
    }
    Spec::new(args).with_file_args()
}

/// An algorithm and the digest to expect.
struct Sum {
    algorithm: String,
    digest: String,
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let url = args.str("url").to_string();
    let mut dest = PathBuf::from(args.str("dest"));
    let is_dir = dest.is_dir();
    let mut result = Outcome::ok()
        .set("checksum_dest", Json::Null)
        .set("checksum_src", Json::Null)
        .set("dest", dest.to_string_lossy().into_owned())
        .set("url", url.as_str())
        .set("elapsed", 0);
    let ask = webargs::ask(args)?;
    http::check_url(&ask.url)?;
    if let Some(t) = args.opt_str("tmp_dest") {
        let p = Path::new(t);
        if p.is_file() {
            return Err(Failure::new(format!("{t} is a file but should be a directory.")).set("elapsed", 0));
        }
        if !p.is_dir() {
            return Err(Failure::new(format!("{t} directory does not exist.")).set("elapsed", 0));
        }
    }
    let sum = match args.str("checksum").trim() {
        "" => None,
        text => Some(wanted_sum(&ask, text, &url, &result)?),
    };
    if let Some(s) = &sum
        && dest.is_file()
        && !is_dir
        && digest::of_file(&s.algorithm, &dest)?.eq_ignore_ascii_case(&s.digest)
    {
        // The content is right; the attributes may not be.
        let changed = FileArgs::from_args(args).apply(&dest, ctx.check, &mut AttrDiff::default())?;
        result.changed = changed;
        fileargs::add_path_info(&mut result.data);
        let msg = if changed { "file already exists but file attributes changed" } else { "file already exists" };
        return Ok(result.msg(msg));
    }
    let mut ask = ask;
    // With a checksum, a file that is there is wrong, whatever its time.
    if dest.is_file() && !args.bool("force") && sum.is_none() {
        since(&mut ask.headers, &dest);
    }
    if ctx.check {
        ask.method = "HEAD".into();
    }
    let started = Instant::now();
    let sent = http::send(ask);
    let elapsed = started.elapsed().as_secs();
    let first_dest = dest.to_string_lossy().into_owned();
    let base = |msg: String| {
        Failure::new(msg).set("dest", first_dest.as_str()).set("url", url.as_str()).set("elapsed", elapsed)
    };
    let mut a = match sent {
        Ok(a) => a,
        Err(t) => return Err(base(t)),
    };
    if a.status == 304 {
        let mut out = Outcome::ok()
            .set("dest", dest.to_string_lossy().into_owned())
            .set("url", url.as_str())
            .set("elapsed", elapsed)
            .set("status_code", 304)
            .set("msg", a.msg.as_str());
        fileargs::add_path_info(&mut out.data);
        return Ok(out);
    }
    if !(200..300).contains(&a.status) {
        return Err(base("Request failed".into()).set("status_code", a.status).set("response", a.msg.as_str()));
    }
    if is_dir {
        dest = dest.join(webargs::file_name(&a.url, a.header("content-disposition")));
        result = result.set("dest", dest.to_string_lossy().into_owned());
    }
    // The download lands beside its destination unless another place is given, so that renaming is enough.
    let parent = dest.parent().map(Path::to_path_buf).unwrap_or_else(|| "/".into());
    let scratch = args.opt_str("tmp_dest").map(PathBuf::from).unwrap_or_else(std::env::temp_dir);
    let mut tmp = tempfile::Builder::new()
        .prefix("tmp")
        .tempfile_in(&scratch)
        .map_err(|e| base(format!("failed to create temporary content file: {e}")))?;
    if !ctx.check {
        std::io::copy(&mut a.reader(), tmp.as_file_mut())
            .and_then(|_| tmp.as_file_mut().flush())
            .map_err(|e| base(format!("failed to create temporary content file: {e}")))?;
    }
    let src = tmp.path().to_path_buf();
    result = result
        .set("src", src.to_string_lossy().into_owned())
        .set("elapsed", elapsed)
        .set("checksum_src", digest::of_file("sha1", &src)?)
        .set("msg", a.msg.as_str());
    let fail = |r: &Outcome, msg: String| Failure { msg, data: r.data.clone() };
    if dest.is_file() {
        result = result.set("checksum_dest", digest::of_file("sha1", &dest)?);
    } else if !parent.is_dir() {
        return Err(fail(&result, format!("Destination {} does not exist", parent.display())));
    }
    result.changed = result.data.get("checksum_src") != result.data.get("checksum_dest");
    if ctx.check {
        if dest.exists() {
            fileargs::add_path_info(&mut result.data);
        }
        return Ok(result);
    }
    if let Some(s) = &sum {
        let got = digest::of_file(&s.algorithm, &src)?;
        if !got.eq_ignore_ascii_case(&s.digest) {
            return Err(fail(
                &result,
                format!("The checksum for {} did not match {}; it was {got}.", src.display(), s.digest),
            ));
        }
    }
    result = result.set("md5sum", digest::of_file("md5", &src)?).set("status_code", a.status);
    if result.changed {
        if args.bool("backup") && dest.exists() {
            result = result.set("backup_file", atomic::backup(&dest)?);
        }
        let mut staged = atomic::stage(&dest, args.bool("unsafe_writes"))?;
        staged.fill(std::fs::File::open(&src)?)?;
        staged.commit()?;
    }
    result.changed |= FileArgs::from_args(args).apply(&dest, false, &mut AttrDiff::default())?;
    fileargs::add_path_info(&mut result.data);
    Ok(result)
}

const ALGORITHMS: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

fn wanted_sum(ask: &Ask, text: &str, url: &str, result: &Outcome) -> Result<Sum, Failure> {
    let Some((algorithm, rest)) = text.split_once(':') else {
        let msg = "The checksum parameter has to be in format <algorithm>:<checksum>";
        return Err(Failure { msg: msg.into(), data: result.data.clone() });
    };
    let (algorithm, rest) = (algorithm.trim().to_lowercase(), rest.trim());
    if !ALGORITHMS.contains(&algorithm.as_str()) {
        let list = ALGORITHMS.join(", ");
        return Err(Failure::new(format!(
            "Could not hash file '{}' with algorithm '{algorithm}'. Available algorithms: {list}",
            result.data.get("dest").and_then(Json::as_str).unwrap_or("")
        )));
    }
    if !rest.contains("://") {
        let digest: String = rest.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        if digest.is_empty() || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Failure { msg: "The checksum format is invalid".into(), data: result.data.clone() });
        }
        return Ok(Sum { algorithm, digest });
    }
    http::check_url(rest)?;
    let mut a = http::send(Ask { url: rest.into(), ..ask.clone() })
        .map_err(|t| Failure::new(format!("Unable to download the checksums from '{rest}': {t}")))?;
    if a.status != 200 {
        return Err(Failure::new(format!("Unable to download the checksums from '{rest}': {}", a.msg)));
    }
    let bytes = a.read().map_err(Failure::new)?;
    let name = webargs::file_name(url, None);
    match find_sum(&String::from_utf8_lossy(&bytes), &name) {
        Some(digest) => Ok(Sum { algorithm, digest }),
        None => Err(Failure::new(format!("Unable to find a checksum for file '{name}' in '{rest}'"))),
    }
}

/// The digest of a file in the output of sha256sum and its like, in either of their layouts.
fn find_sum(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let hex = |s: &str| s.len() >= 32 && s.chars().all(|c| c.is_ascii_hexdigit());
    // A file with nothing but one digest is meant for the one file.
    if let [one] = lines.as_slice()
        && hex(one)
    {
        return Some(one.to_string());
    }
    lines.iter().find_map(|l| {
        if let Some((left, digest)) = l.split_once(") = ") {
            // BSD: SHA256 (name) = digest
            let file = left.split_once('(').map(|(_, f)| f).unwrap_or("");
            return (file == name && hex(digest)).then(|| digest.to_string());
        }
        let (digest, file) = l.split_once([' ', '\t'])?;
        let file = file.trim_start_matches([' ', '\t', '*']).trim_start_matches("./");
        (hex(digest) && file == name).then(|| digest.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_digests() {
        let d = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(find_sum(&format!("{d}  other\n{d} *./text\n"), "text").as_deref(), Some(d));
        assert_eq!(find_sum(&format!("SHA256 (text) = {d}\n"), "text").as_deref(), Some(d));
        assert_eq!(find_sum(&format!("{d}\n"), "any").as_deref(), Some(d));
        assert_eq!(find_sum("x y\n", "y"), None);
    }
}
