//! `apt_repository`: one-line sources of apt in `sources.list` and `sources.list.d/*.list`.

mod ppa;
mod sources;

use super::support::atomic;
use super::support::exec::{Cmd, need_program};
use super::support::fileargs::{AttrDiff, FileArgs};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use sources::{Line, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub fn module() -> Module {
    Module {
        name: "apt_repository",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("repo").required().doc("The source: a line of sources.list, or `ppa:OWNER/NAME`."),
            Arg::str("state").choices(&["absent", "present"]).default("present").doc("Whether it shall be there."),
            Arg::raw("mode").doc("Mode of a new file."),
            Arg::bool("update_cache")
                .default(true)
                .aliases(&["update-cache"])
                .doc("Update apt's cache after a change."),
            Arg::int("update_cache_retries").default(5).doc("How often to try the update again."),
            Arg::int("update_cache_retry_max_delay").default(12).doc("Seconds to wait at most between tries."),
            Arg::str("filename").doc("Name of a new file, without .list; made from the source if not given."),
            Arg::bool("install_python_apt").default(true).doc("Accepted; no Python is needed."),
            Arg::bool("validate_certs").default(true).doc("Verify certificates when a PPA is looked up."),
            Arg::str("codename").doc("The distribution's codename for a PPA; the host's own if not given."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Add and remove APT repositories\n\nFiles that change are written anew, with one blank between words.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    run_in(ctx, args, Path::new("/etc/apt"))
}

/// `apt` is apt's directory: `/etc/apt`.
fn run_in(ctx: &mut Ctx, args: &Args, apt: &Path) -> ModResult {
    let repo = args.str("repo");
    if repo.is_empty() {
        return Err("Please set argument 'repo' to a non-empty value".into());
    }
    let before = Sources::read(apt)?;
    let mut after = before.clone();
    let ppa = ppa::Ppa::parse(repo, args)?;
    let text = ppa.as_ref().map(|p| p.line()).unwrap_or_else(|| repo.to_owned());
    let source = match Line::parse(&text) {
        Line::Source { enabled: true, text, .. } => text,
        Line::Source { text, .. } => return Err(Failure::new(format!("Invalid repository string: {text}"))),
        Line::Other(_) => return Err(Failure::new(format!("Invalid repository string: {repo}"))),
    };
    let mut key = None;
    if args.str("state") == "present" {
        let suggested = match &ppa {
            Some(p) => p.file_stem(),
            None => sources::file_stem(&source),
        };
        if let Some(p) = ppa.as_ref().filter(|_| !after.has(&source)) {
            key = p.missing_key(args, apt)?;
        }
        let stem = args.opt_str("filename").map(str::to_owned).unwrap_or(suggested);
        after.add(&source, sources::path_of(apt, &stem));
    } else {
        after.remove(&source);
    }
    let (old, new) = (before.texts(), after.texts());
    let names = |m: &BTreeMap<PathBuf, String>| m.keys().cloned().collect::<BTreeSet<_>>();
    let added: Vec<PathBuf> = names(&new).difference(&names(&old)).cloned().collect();
    let removed: Vec<PathBuf> = names(&old).difference(&names(&new)).cloned().collect();
    let changed = old != new;
    let shown = |l: &[PathBuf]| l.iter().map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let mut o = Outcome::changed(changed).set("repo", repo).set("state", args.str("state"));
    o = o.set("sources_added", shown(&added)).set("sources_removed", shown(&removed));
    if !changed {
        return Ok(o);
    }
    if ctx.want_diff {
        o.diff = added.iter().chain(&removed).map(|p| diff_of(p, &old, &new)).collect();
    }
    if ctx.check {
        return Ok(o);
    }
    if let Some(k) = &key {
        k.install()?;
    }
    write(&old, &new, args)?;
    if args.bool("update_cache")
        && let Err(f) = update(ctx, args)
    {
        // What apt cannot read must not stay.
        write(&new, &old, args)?;
        return Err(f);
    }
    Ok(o)
}

fn diff_of(path: &Path, old: &BTreeMap<PathBuf, String>, new: &BTreeMap<PathBuf, String>) -> Diff {
    let side = |m: &BTreeMap<PathBuf, String>| m.get(path).cloned().unwrap_or_default();
    let head = |m: &BTreeMap<PathBuf, String>| match m.contains_key(path) {
        true => path.to_string_lossy().into_owned(),
        false => "/dev/null".into(),
    };
    Diff::new(side(old), side(new)).headers(&head(old), &head(new))
}

/// Brings the files from one state to the other.
fn write(old: &BTreeMap<PathBuf, String>, new: &BTreeMap<PathBuf, String>, args: &Args) -> Result<(), Failure> {
    for (path, text) in new.iter().filter(|(p, t)| old.get(*p) != Some(*t)) {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)
                .map_err(|e| Failure::new(format!("Failed to create directory {}: {e}", dir.display())))?;
        }
        atomic::write(path, text.as_bytes(), false)?;
        if !old.contains_key(path) {
            let want = FileArgs { mode: args.get("mode").clone(), ..FileArgs::default() };
            want.apply(path, false, &mut AttrDiff::default())?;
        }
    }
    for path in old.keys().filter(|p| !new.contains_key(*p)) {
        std::fs::remove_file(path).map_err(|e| Failure::new(format!("Cannot remove {}: {e}", path.display())))?;
    }
    Ok(())
}

/// `apt-get update`, tried again with growing pauses.
fn update(ctx: &Ctx, args: &Args) -> Result<(), Failure> {
    let apt = need_program(ctx, "apt-get")?;
    let retries = args.int("update_cache_retries").max(0);
    let longest = args.int("update_cache_retry_max_delay").clamp(0, 3600);
    let mut why = String::new();
    for n in 0..retries.max(1) {
        if n > 0 {
            std::thread::sleep(Duration::from_secs((1u64 << n.min(12)).min(longest as u64)));
        }
        // Every index must be fetched: without this a failed download is a warning only.
        let c = Cmd::new([apt.as_str(), "-o", "APT::Update::Error-Mode=any", "update"]);
        let o = c.c_locale().env("DEBIAN_FRONTEND", "noninteractive").tried(ctx)?;
        if o.ok() {
            return Ok(());
        }
        let err = o.err();
        why =
            err.lines().filter_map(|l| l.strip_prefix("E: ")).map(|l| format!("E:{l}")).collect::<Vec<_>>().join(", ");
    }
    let why = if why.is_empty() { "unknown reason".to_owned() } else { why };
    Err(Failure::new(format!("Failed to update apt cache after {retries} retries: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn call(dir: &Path, mut args: Json, check: bool) -> Result<Outcome, Failure> {
        args["update_cache"] = json!(args.get("update_cache").is_some());
        let mut ctx = Ctx { check, want_diff: true, ..Ctx::bare() };
        let path = format!("{}/bin:/usr/bin:/bin", dir.display());
        ctx.env.push(("PATH".into(), path));
        let checked = crate::modules::validate(&module().spec, args.as_object().expect("an object"), "apt_repository");
        run_in(&mut ctx, &checked.expect("valid").args, dir)
    }

    fn apt(list: &str) -> tempfile::TempDir {
        let d = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(d.path().join("sources.list.d")).expect("made");
        std::fs::write(d.path().join("sources.list.d/old.list"), list).expect("written");
        d
    }

    #[test]
    fn comes_and_goes() {
        let d = apt("");
        let file = d.path().join("sources.list.d/h_debian.list");
        let args = json!({"repo": "deb  http://h/debian   stable main", "mode": "0600"});
        let o = call(d.path(), args.clone(), true).expect("works");
        assert!(o.changed && !file.exists());
        let o = call(d.path(), args.clone(), false).expect("works");
        assert_eq!(o.data["sources_added"], json!([file.to_string_lossy()]));
        assert_eq!(o.diff[0].before_header.as_deref(), Some("/dev/null"));
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "deb http://h/debian stable main\n");
        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("there"));
        assert_eq!(mode & 0o777, 0o600);
        assert!(!call(d.path(), args, false).expect("works").changed);
        let gone = json!({"repo": "deb http://h/debian stable main", "state": "absent"});
        let o = call(d.path(), gone.clone(), false).expect("works");
        assert!(o.changed && !file.exists());
        assert!(!call(d.path(), gone, false).expect("works").changed);
    }

    #[test]
    fn what_is_there_is_enabled_and_kept() {
        let d = apt(
            "# c\ndeb http://h/a stable main # note\n#deb http://h/off stable main\n\ndeb   [arch=amd64]  http://h/o  s main\n",
        );
        assert!(!call(d.path(), json!({"repo": "deb [arch=amd64] http://h/o s main"}), false).expect("works").changed);
        assert!(!call(d.path(), json!({"repo": "deb http://h/a stable main"}), false).expect("works").changed);
        let o = call(d.path(), json!({"repo": "deb http://h/off stable main"}), false).expect("works");
        assert_eq!((o.changed, &o.data["sources_added"]), (true, &json!([])));
        assert!(
            call(d.path(), json!({"repo": "deb http://h/a stable main", "state": "absent"}), false)
                .expect("works")
                .changed
        );
        let text = std::fs::read_to_string(d.path().join("sources.list.d/old.list")).expect("there");
        assert_eq!(text, "# c\ndeb http://h/off stable main\n\ndeb [arch=amd64] http://h/o s main\n");
    }

    #[test]
    fn an_update_that_fails_takes_the_source_away_again() {
        let d = apt("");
        std::fs::create_dir(d.path().join("bin")).expect("made");
        let tool = d.path().join("bin/apt-get");
        std::fs::write(&tool, "#!/bin/sh\necho 'E: no way' >&2; exit 100\n").expect("written");
        std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let args = json!({"repo": "deb http://h/x s main", "update_cache": true, "update_cache_retries": 1, "update_cache_retry_max_delay": 0});
        let f = call(d.path(), args, false).expect_err("fails");
        assert_eq!(f.msg, "Failed to update apt cache after 1 retries: E:no way");
        assert!(!d.path().join("sources.list.d/h_x.list").exists());
    }

    #[test]
    fn refusals() {
        let d = apt("");
        let msg = |r: &str| call(d.path(), json!({"repo": r}), false).expect_err("refused").msg;
        assert_eq!(msg("nonsense"), "Invalid repository string: nonsense");
        assert_eq!(msg("#deb http://h s m"), "Invalid repository string: deb http://h s m");
        assert_eq!(msg(""), "Please set argument 'repo' to a non-empty value");
    }
}
