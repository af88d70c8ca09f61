//! `deb822_repository`: a source of apt in the deb822 format, with its key.

use super::support::fileargs::{AttrDiff, FileArgs};
use super::support::{atomic, webargs};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// Arguments and the fields they become, sorted by argument as the file has them.
const FIELDS: &[(&str, &str)] = &[
    ("allow_downgrade_to_insecure", "Allow-Downgrade-To-Insecure"),
    ("allow_insecure", "Allow-Insecure"),
    ("allow_weak", "Allow-Weak"),
    ("architectures", "Architectures"),
    ("by_hash", "By-Hash"),
    ("check_date", "Check-Date"),
    ("check_valid_until", "Check-Valid-Until"),
    ("components", "Components"),
    ("date_max_future", "Date-Max-Future"),
    ("enabled", "Enabled"),
    ("inrelease_path", "Inrelease-Path"),
    ("languages", "Languages"),
    ("name", "X-Repolib-Name"),
    ("pdiffs", "Pdiffs"),
    ("signed_by", "Signed-By"),
    ("suites", "Suites"),
    ("targets", "Targets"),
    ("trusted", "Trusted"),
    ("types", "Types"),
    ("uris", "URIs"),
];

pub fn module() -> Module {
    let flag = |n: &str| Arg::bool(n).doc("The source's option of this name, see sources.list(5).");
    let list = |n: &str| Arg::list(n, Type::Str).doc("The source's field of this name, see sources.list(5).");
    Module {
        name: "deb822_repository",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            flag("allow_downgrade_to_insecure"),
            flag("allow_insecure"),
            flag("allow_weak"),
            list("architectures"),
            flag("by_hash"),
            flag("check_date"),
            flag("check_valid_until"),
            list("components"),
            Arg::int("date_max_future").doc("Seconds that a repository may be from the future."),
            flag("enabled"),
            Arg::str("inrelease_path").doc("Path of the InRelease file."),
            list("languages"),
            Arg::raw("mode").default("0644").doc("Mode of the file."),
            Arg::str("name").required().doc("Name of the repository, and of its file."),
            flag("pdiffs"),
            Arg::str("signed_by").doc("The key: a URL, a path, fingerprints, or the armored key itself."),
            Arg::str("state").choices(&["absent", "present"]).default("present").doc("Whether it shall be there."),
            list("suites"),
            list("targets"),
            flag("trusted"),
            list("types").choices(&["deb", "deb-src"]).default(json!(["deb"])),
            list("uris"),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Add and remove deb822 formatted repositories\n\nThe cache of apt is not updated: use `apt` for that.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    run_in(ctx, args, Path::new("/etc/apt"))
}

/// `apt` is apt's directory: `/etc/apt`.
fn run_in(ctx: &mut Ctx, args: &Args, apt: &Path) -> ModResult {
    // What the file's and the key's names are made of.
    let slug = slug_of(args.str("name"));
    if slug.is_empty() {
        return Err(Failure::new(format!("'{}' has nothing of which a file's name can be made", args.str("name"))));
    }
    let dest = apt.join("sources.list.d").join(format!("{slug}.sources"));
    let shown = |p: &Path| p.to_string_lossy().into_owned();
    if args.str("state") == "absent" {
        return remove(ctx, &dest, &apt.join("keyrings"), &slug);
    }
    let mut changed = false;
    let mut key_file = None;
    let mut signed_by = None;
    if let Some(key) = args.opt_str("signed_by") {
        let key = signer(ctx, key, &apt.join("keyrings"), &slug)?;
        changed |= key.changed;
        key_file = key.file;
        signed_by = Some(key.value);
    }
    let text = stanza(args, signed_by.as_deref());
    let old = std::fs::read(&dest).ok().map(|d| String::from_utf8_lossy(&d).into_owned());
    if old.as_deref() != Some(text.as_str()) {
        changed = true;
        if !ctx.check {
            atomic::write(&dest, text.as_bytes(), false)?;
        }
    }
    if dest.exists() {
        let want = FileArgs { mode: args.get("mode").clone(), ..FileArgs::default() };
        changed |= want.apply(&dest, ctx.check, &mut AttrDiff::default())?;
    }
    let o = Outcome::changed(changed).set("repo", text).set("dest", shown(&dest));
    Ok(o.set("key_filename", key_file.map_or(Json::Null, Json::from)))
}

/// The name in small letters, blanks as dashes, without what is neither letter, digit, dash nor underscore.
fn slug_of(name: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c.is_whitespace();
    let plain: String = name.to_lowercase().chars().filter(|c| kept(*c)).collect();
    let words: Vec<&str> =
        plain.split(|c: char| c == '-' || c == '_' || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    words.join("-")
}

fn remove(ctx: &Ctx, dest: &Path, keyrings: &Path, slug: &str) -> ModResult {
    let mut changed = false;
    let mut key = PathBuf::new();
    for (n, path) in [
        ("", dest.to_path_buf()),
        ("asc", keyrings.join(format!("{slug}.asc"))),
        ("gpg", keyrings.join(format!("{slug}.gpg"))),
    ] {
        if path.symlink_metadata().is_ok() {
            changed = true;
            if !ctx.check {
                std::fs::remove_file(&path)
                    .map_err(|e| Failure::new(format!("Cannot remove {}: {e}", path.display())))?;
            }
        }
        if n == "gpg" {
            key = path;
        }
    }
    Ok(Outcome::changed(changed)
        .set("repo", Json::Null)
        .set("dest", dest.to_string_lossy().into_owned())
        .set("key_filename", key.to_string_lossy().into_owned()))
}

/// What `Signed-By` says, and the file it names.
struct Signer {
    value: String,
    file: Option<String>,
    changed: bool,
}

fn signer(ctx: &Ctx, key: &str, keyrings: &Path, slug: &str) -> Result<Signer, Failure> {
    if key.starts_with('/') {
        let file = Path::new(key).is_file().then(|| key.to_owned());
        return Ok(Signer { value: key.into(), file, changed: false });
    }
    if !key.contains("://") || key.contains("-----BEGIN") {
        return Ok(Signer { value: key.into(), file: None, changed: false });
    }
    let data = webargs::body(webargs::plain(key, true)).map_err(|why| {
        Failure::new(format!("Could not fetch signed_by key: {}", why.trim_start_matches("Request failed: ")))
    })?;
    let armored = data.windows(5).any(|w| w == b"-----");
    let to = keyrings.join(format!("{slug}.{}", if armored { "asc" } else { "gpg" }));
    let shown = to.to_string_lossy().into_owned();
    let mut changed = std::fs::read(&to).ok().as_deref() != Some(data.as_slice());
    if !ctx.check {
        std::fs::create_dir_all(keyrings)?;
        if changed {
            atomic::write(&to, &data, false)?;
        }
    }
    if to.exists() {
        let want = FileArgs { mode: "0644".into(), ..FileArgs::default() };
        changed |= want.apply(&to, ctx.check, &mut AttrDiff::default())?;
    }
    Ok(Signer { value: shown.clone(), file: Some(shown), changed })
}

/// The text of the file.
fn stanza(args: &Args, signed_by: Option<&str>) -> String {
    let mut out = String::new();
    for (arg, field) in FIELDS {
        let value = match (*arg, args.get(arg)) {
            (_, Json::Null) => continue,
            ("signed_by", _) => signed_by.unwrap_or_default().to_owned(),
            (_, Json::Bool(b)) => if *b { "yes" } else { "no" }.into(),
            (_, Json::Array(l)) => l.iter().map(json_text).collect::<Vec<_>>().join(" "),
            (_, v) => json_text(v),
        };
        out.push_str(&format!("{field}:"));
        if value.contains('\n') {
            // Further lines are indented; an empty one is a dot.
            for line in value.trim().lines() {
                let line = if line.trim().is_empty() { "." } else { line };
                out.push_str(&format!("\n    {line}"));
            }
        } else if !value.is_empty() {
            out.push_str(&format!(" {value}"));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(dir: &Path, args: Json, check: bool) -> Result<Outcome, Failure> {
        let mut ctx = Ctx { check, ..Ctx::bare() };
        let checked =
            crate::modules::validate(&module().spec, args.as_object().expect("an object"), "deb822_repository");
        run_in(&mut ctx, &checked.expect("valid").args, dir)
    }

    #[test]
    fn comes_changes_and_goes() {
        let d = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(d.path().join("sources.list.d")).expect("made");
        let file = d.path().join("sources.list.d/my-repox.sources");
        let args = json!({"name": "My Repo.x", "uris": ["http://h/a", "http://h/b"], "suites": "stable", "enabled": false, "languages": []});
        assert!(call(d.path(), args.clone(), true).expect("works").changed && !file.exists());
        let o = call(d.path(), args.clone(), false).expect("works");
        let text = "Enabled: no\nLanguages:\nX-Repolib-Name: My Repo.x\nSuites: stable\nTypes: deb\nURIs: http://h/a http://h/b\n";
        assert_eq!((o.changed, std::fs::read_to_string(&file).expect("there").as_str()), (true, text));
        assert!(!call(d.path(), args, false).expect("works").changed);
        let key =
            json!({"name": "My Repo.x", "signed_by": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END-----\n"});
        let o = call(d.path(), key, false).expect("works");
        assert_eq!(o.data["key_filename"], Json::Null);
        let text = "X-Repolib-Name: My Repo.x\nSigned-By:\n    -----BEGIN PGP PUBLIC KEY BLOCK-----\n    .\n    abc\n    -----END-----\nTypes: deb\n";
        assert_eq!(std::fs::read_to_string(&file).expect("there"), text);
        let gone = json!({"name": "My Repo.x", "state": "absent"});
        assert!(call(d.path(), gone.clone(), true).expect("works").changed && file.exists());
        assert!(call(d.path(), gone.clone(), false).expect("works").changed && !file.exists());
        assert!(!call(d.path(), gone, false).expect("works").changed);
    }

    #[test]
    fn names() {
        assert_eq!(slug_of("a.b_c-d"), "ab-c-d");
        assert_eq!(slug_of(" Über Repo "), "über-repo");
        let d = tempfile::tempdir().expect("a directory");
        let f = call(d.path(), json!({"name": "../.."}), false).expect_err("refused");
        assert!(f.msg.contains("nothing of which"), "{}", f.msg);
    }
}
