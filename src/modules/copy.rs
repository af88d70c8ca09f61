//! `copy`: files and directories, from the controller or from the target itself.
//!
//! From the controller the content arrives with the request (`ctx.content`, or the text of
//! `content`), one call for each file; directories and links of a tree are calls of `file`. The
//! controller's action sets `_original_basename` (the name within a `dest` that is a directory),
//! leaves in `src` the name to show in results and above the new text of a diff, and has turned
//! `mode: preserve` into the mode of its file.

use super::support::atomic::{self, Staged};
use super::support::fileargs::{AttrDiff, FileArgs, followed, real_path};
use super::support::{copytree, digest, mode, partial, pytext::os_error, textdiff};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, UNSEEN};
use md5::Digest as _;
use serde_json::Value as Json;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "copy",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("src").doc("File or directory to copy."),
            Arg::str("content").doc("The content itself, instead of src."),
            Arg::path("dest").required().doc("Where it goes."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old file."),
            Arg::bool("force").default(true).doc("Replace a file with other content."),
            Arg::str("validate").doc("Command that must accept the new file; %s is its path."),
            Arg::raw("directory_mode").doc("Mode of directories that are created on the way."),
            Arg::bool("remote_src").default(false).doc("src is on the target."),
            Arg::bool("local_follow").doc("Follow links in the source."),
            Arg::bool("follow").default(false).doc("Follow a link at dest."),
            Arg::str("checksum").doc("SHA-1 that the source must have."),
            Arg::bool("decrypt").default(true).doc("Decrypt a vaulted source."),
            Arg::str("_original_basename").doc("Name of the source file."),
        ])
        .with_file_args()
        .exclusive(&["src", "content"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Copy files to remote locations",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let literal = args.opt_str("content").map(str::to_owned);
    if args.bool("remote_src") && literal.is_none() {
        return remote(ctx, args);
    }
    let size = match (&literal, &ctx.content) {
        (Some(text), _) => text.len() as u64,
        (None, Some(c)) => c.size(),
        (None, None) => return Err("src (or content) is required".into()),
    };
    if args.opt_str("checksum").is_some() {
        check_sum(args, &sum_of(&literal, ctx)?)?;
    }
    let given = args.str("dest");
    let mut dest = PathBuf::from(given);
    let name = args.opt_str("_original_basename").map(str::to_owned);
    let wants_dir = given.ends_with('/');
    if wants_dir || dest.is_dir() {
        match name.filter(|_| literal.is_none()) {
            Some(n) => dest.push(n),
            None => return Err("can not use content with a dir as dest".into()),
        }
    }
    let shown = dest.to_string_lossy().into_owned();
    // Text of the task itself has no name but that of the file it goes to.
    let source = args.opt_str("src").unwrap_or(shown.as_str()).to_owned();
    let target = followed(&dest, args.bool("follow"));
    let old = fs::symlink_metadata(&target).ok();
    if old.is_some() && !args.bool("force") {
        return Ok(Outcome::ok().set("dest", shown).set("src", source).set("_ansible_no_path_info", true));
    }
    let asked = shown;
    let shown = if target == dest { asked.clone() } else { target.to_string_lossy().into_owned() };
    let want = FileArgs::from_args(args);
    // content of another size is not worth a checksum before it is here
    let alike = match old.as_ref().is_some_and(|st| st.is_file() && st.len() == size) {
        true => Some(sum_of(&literal, ctx)?).filter(|sum| digest::of_file("sha1", &target).is_ok_and(|s| s == *sum)),
        false => None,
    };
    if let Some(sha1) = alike {
        let mut diff = AttrDiff::default();
        diff.set("path", shown.as_str(), shown.as_str());
        let changed = want.apply(&target, ctx.check, &mut diff)?;
        let o = Outcome::changed(changed).set("path", shown.as_str()).set("dest", shown).set("checksum", sha1);
        return Ok(o.with_diff(diff.into_diff()));
    }
    let mut diff = ctx.want_diff.then(|| textdiff::before_of(&target, &asked)).transpose()?;
    if ctx.check {
        if let Some(d) = &mut diff {
            match literal {
                Some(text) => textdiff::set_after(d, text.as_bytes(), &source),
                None => textdiff::after_from(d, ctx.content.as_mut(), &source)?,
            }
        }
        return Ok(with(Outcome::changed(true), diff));
    }
    make_parents(&target, wants_dir, args)?;
    let parent = target.parent().unwrap_or(Path::new("."));
    if !parent.as_os_str().is_empty() && !parent.is_dir() {
        return Err(Failure::new(format!("Destination directory {} does not exist", parent.display())));
    }
    let (mut staged, md5) = received(ctx, &literal, &target, args)?;
    let sha1 = sum_of(&literal, ctx)?;
    if let Some(d) = &mut diff {
        let name = staged.path()?.to_owned();
        textdiff::after_of(d, &name, &source)?;
    }
    let backup = finish(ctx, args, staged, &target, &want)?;
    // a name alone is told with its directory, as ansible-core does of a file that it wrote
    let shown = if shown.contains('/') { shown } else { format!("./{shown}") };
    let mut o = Outcome::changed(true).set("dest", shown).set("src", source).set("checksum", sha1);
    if let Some(md5) = md5 {
        o = o.set("md5sum", digest::hex(&md5.finalize()));
    }
    if let Some(b) = backup {
        o = o.set("backup_file", b);
    }
    Ok(with(o, diff))
}

/// The new content beside its place, and its MD5 unless that is dear and nobody will see it.
fn received(
    ctx: &mut Ctx,
    literal: &Option<String>,
    target: &Path,
    args: &Args,
) -> Result<(Staged, Option<md5::Md5>), Failure> {
    let unsafe_writes = args.bool("unsafe_writes");
    let unseen = ctx.hints.get(UNSEEN).and_then(Json::as_bool) == Some(true);
    let mut md5 = Some(md5::Md5::new());
    let told = |md5: &mut Option<md5::Md5>, part: &[u8]| {
        if let Some(m) = md5 {
            m.update(part);
        }
    };
    let content = match (literal, &mut ctx.content) {
        (None, Some(c)) => c,
        (text, _) => {
            let mut staged = atomic::stage(target, unsafe_writes)?;
            staged.fill_told(text.as_deref().unwrap_or_default().as_bytes(), |part| told(&mut md5, part))?;
            return Ok((staged, md5));
        }
    };
    if content.size() < partial::WORTH {
        let mut staged = atomic::stage(target, unsafe_writes)?;
        staged.fill_told(content.reader().map_err(not_received)?, |part| told(&mut md5, part))?;
        return Ok((staged, md5));
    }
    if unseen {
        md5 = None;
    }
    let earlier = partial::find(target, content.size());
    let mut staged = atomic::stage_partial(target, unsafe_writes)?;
    if let Some(mut left) = earlier {
        let mut with_md5 = md5.clone();
        let same = match left.copy(staged.file()?, |part| told(&mut with_md5, part)) {
            Ok((sum, len)) => content.resume(sum, len).map_err(not_received)?,
            // no room for both, or it cannot be read: as if it were not there
            Err(_) => false,
        };
        left.discard();
        match same {
            true => md5 = with_md5,
            false => staged.clear()?,
        }
    }
    staged.fill_told(content.reader().map_err(not_received)?, |part| told(&mut md5, part))?;
    Ok((staged, md5))
}

/// SHA-1 of what is to be written.
fn sum_of(literal: &Option<String>, ctx: &mut Ctx) -> Result<String, Failure> {
    match (literal, &mut ctx.content) {
        (None, Some(c)) => c.sha1().map_err(not_received),
        (text, _) => Ok(digest::of_bytes("sha1", text.as_deref().unwrap_or_default().as_bytes())),
    }
}

fn not_received(e: std::io::Error) -> Failure {
    Failure::new(format!("could not receive the content: {e}"))
}

fn with(o: Outcome, diff: Option<Diff>) -> Outcome {
    match diff {
        Some(d) => o.with_diff(d),
        None => o,
    }
}

fn check_sum(args: &Args, sha1: &str) -> Result<(), Failure> {
    match args.opt_str("checksum") {
        Some(want) if want != sha1 => {
            Err(Failure::new("Copied file does not match the expected checksum. Transfer failed.")
                .set("checksum", sha1)
                .set("expected_checksum", want))
        }
        _ => Ok(()),
    }
}

/// Validates, keeps a backup, and renames into place.
fn finish(
    ctx: &Ctx,
    args: &Args,
    mut staged: Staged,
    target: &Path,
    want: &FileArgs,
) -> Result<Option<String>, Failure> {
    if let Some(cmd) = args.opt_str("validate") {
        // The checker may run as somebody else; it sees the file as it will be.
        want.apply(staged.path()?, false, &mut AttrDiff::default())?;
        atomic::validate(cmd, staged.path()?, &ctx.env)?;
    }
    let backup = match args.bool("backup") && target.exists() {
        true => Some(atomic::backup(target)?),
        false => None,
    };
    staged.commit_with(want, &mut AttrDiff::default())?;
    Ok(backup)
}

/// Makes the directories that a `dest` with a slash at its end names.
fn make_parents(target: &Path, wants_dir: bool, args: &Args) -> Result<(), Failure> {
    let Some(parent) = target.parent().filter(|p| wants_dir && !p.exists()) else { return Ok(()) };
    let want = FileArgs { mode: args.get("directory_mode").clone(), ..FileArgs::from_args(args) };
    let mut at = PathBuf::new();
    for part in parent.components() {
        at.push(part);
        if !at.exists() {
            fs::create_dir(&at).map_err(|e| Failure::new(os_error(&e, &at)))?;
            want.apply(&at, false, &mut AttrDiff::default())?;
        }
    }
    Ok(())
}

/// A copy within the target.
fn remote(ctx: &mut Ctx, args: &Args) -> ModResult {
    let given = args.opt_str("src").ok_or("src (or content) is required")?;
    let src = PathBuf::from(given);
    let st = fs::metadata(&src).map_err(|_| Failure::new(format!("Source {given} not found")))?;
    let mut want = FileArgs::from_args(args);
    if want.mode.as_str() == Some("preserve") {
        want.mode = Json::from(mode::show(st.mode() & 0o7777));
    }
    let mut dest = PathBuf::from(args.str("dest"));
    if st.is_dir() {
        return tree(ctx, args, &src, &dest, &want);
    }
    // a device has no end, a pipe no beginning
    if !st.is_file() {
        return Err(Failure::new(format!("Cannot copy invalid source '{given}': not a file")));
    }
    let mut file = File::open(&src).map_err(|_| Failure::new(format!("Source {given} not readable")))?;
    let sum = digest::of_reader("sha1", &mut file)?;
    check_sum(args, &sum)?;
    let md5 = digest::of_file("md5", &src)?;
    let wants_dir = args.str("dest").ends_with('/');
    if wants_dir || dest.is_dir() {
        dest.push(src.file_name().unwrap_or_default());
    }
    if dest.is_symlink() && args.bool("follow") {
        dest = real_path(&dest);
    }
    let shown = dest.to_string_lossy().into_owned();
    let mut o = Outcome::ok().set("dest", shown).set("src", given);
    if fs::symlink_metadata(&dest).is_ok() && !args.bool("force") {
        return Ok(o.msg("file already exists"));
    }
    o = o.set("checksum", sum.as_str()).set("md5sum", md5);
    let same = !dest.is_symlink() && digest::of_file("sha1", &dest).is_ok_and(|s| s == sum);
    if same {
        o.changed = want.apply(&dest, ctx.check, &mut AttrDiff::default())?;
        return Ok(o);
    }
    o.changed = true;
    if ctx.check {
        return Ok(o);
    }
    make_parents(&dest, wants_dir, args)?;
    let parent = dest.parent().unwrap_or(Path::new("."));
    if !parent.as_os_str().is_empty() && !parent.is_dir() {
        return Err(Failure::new(format!("Destination directory {} does not exist", parent.display())));
    }
    let mut staged = atomic::stage(&dest, args.bool("unsafe_writes"))?;
    staged.fill(File::open(&src)?)?;
    let times = fs::FileTimes::new().set_accessed(st.accessed()?).set_modified(st.modified()?);
    staged.file()?.set_times(times)?;
    if let Some(b) = finish(ctx, args, staged, &dest, &want)? {
        o = o.set("backup_file", b);
    }
    Ok(o)
}

/// A copy of a directory within the target.
fn tree(ctx: &Ctx, args: &Args, src: &Path, dest: &Path, want: &FileArgs) -> ModResult {
    if dest.exists() && !dest.is_dir() {
        let (s, d) = (args.str("src"), dest.display());
        return Err(Failure::new(format!("cannot copy directory {s} over file {d}")));
    }
    let contents = args.str("src").ends_with('/');
    let into = if contents { dest.to_owned() } else { dest.join(src.file_name().unwrap_or_default()) };
    let existed = dest.is_dir();
    let named = |p: &Path| p.to_string_lossy().into_owned();
    if into.exists() && !args.bool("force") {
        let o = Outcome::ok().set("dest", named(&into)).set("src", args.str("src"));
        return Ok(o.msg("file already exists"));
    }
    let plan = copytree::Plan { force: args.bool("force"), follow: args.bool("local_follow"), check: ctx.check };
    let mut changed = copytree::copy(src, &into, &plan)?;
    let owner = FileArgs { owner: want.owner.clone(), group: want.group.clone(), ..FileArgs::default() };
    if into.is_dir() {
        changed |= copytree::own(&into, &owner, ctx.check)?;
        changed |= want.apply(&into, ctx.check, &mut AttrDiff::default())?;
    }
    // What Ansible answers differs between a first and a later run.
    let shown = match (existed, contents) {
        (false, _) => named(dest),
        (true, false) => named(&into),
        (true, true) => named(dest).trim_end_matches('/').to_owned() + "/",
    };
    let o = Outcome::changed(changed).set("dest", shown).set("src", args.str("src"));
    Ok(o.set("md5sum", Json::Null).set("checksum", Json::Null))
}

#[cfg(test)]
mod tests;
