//! `archive`: files and trees into an archive, or one file compressed.

mod pack;

use super::support::atomic;
use super::support::fileargs::{AttrDiff, FileArgs};
use super::support::glob::{fnmatch, glob, has_magic};
use super::support::pytext::os_error;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use pack::{Format, Member};
use std::fs;
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "archive",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::list("path", Type::Path).required().doc("Files, directories or patterns to put in."),
            Arg::str("format").choices(&["bz2", "gz", "tar", "xz", "zip"]).default("gz").doc("Kind of the archive."),
            Arg::path("dest").doc("The archive; needed for more than a single file."),
            Arg::list("exclude_path", Type::Path)
                .default(Vec::<String>::new())
                .doc("Paths or patterns not to take from path."),
            Arg::list("exclusion_patterns", Type::Path).doc("Patterns of names within the archive to leave out."),
            Arg::bool("force_archive").default(false).doc("Make an archive of a single file too."),
            Arg::bool("remove").default(false).doc("Remove what was put in."),
        ])
        .with_file_args(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Creates a compressed archive of one or more files or trees\n\nAn archive is replaced only if its members (name, content, mode, owner and time) differ. The format xz needs the program xz on the host.",
        run,
    }
}

/// The paths of a list, patterns expanded; a pattern that nothing matches adds nothing.
fn expand(given: &[String]) -> Vec<PathBuf> {
    let mut all = vec![];
    for g in given {
        let found = if has_magic(g) { glob(Path::new("/"), g) } else { vec![PathBuf::from(g)] };
        for p in found {
            if !all.contains(&p) {
                all.push(p);
            }
        }
    }
    all
}

fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|p| p.to_string_lossy().into_owned()).collect()
}

/// The deepest directory that holds all paths, with a slash at its end.
fn root_of(paths: &[PathBuf]) -> String {
    let mut root: Option<PathBuf> = None;
    for dir in paths.iter().filter_map(|p| p.parent()) {
        root = Some(match root {
            None => dir.to_owned(),
            Some(r) => r.components().zip(dir.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    let r = root.unwrap_or_default().to_string_lossy().into_owned();
    if r.ends_with('/') { r } else { r + "/" }
}

fn joined(paths: &[PathBuf]) -> String {
    shown(paths).join(", ")
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let format = Format::by_name(args.str("format")).ok_or("unknown format")?;
    let excluded = expand(&args.strings("exclude_path"));
    let expanded = expand(&args.strings("path"));
    let paths: Vec<PathBuf> = expanded.iter().filter(|p| !excluded.contains(p)).cloned().collect();
    let given = args.strings("path").join(", ");
    if paths.is_empty() {
        return Err(Failure::new("Error, no source paths were found")
            .set("path", given)
            .set("expanded_paths", joined(&expanded))
            .set("expanded_exclude_paths", joined(&excluded)));
    }
    let single = paths.len() == 1 && !paths.iter().any(|p| p.is_dir());
    let dest = match (args.opt_str("dest"), paths.as_slice()) {
        (Some(d), _) => PathBuf::from(d),
        (None, [one]) if single => PathBuf::from(format!("{}.{}", one.display(), args.str("format"))),
        _ => {
            let msg = "Error, must specify \"dest\" when archiving multiple files or trees";
            return Err(Failure::new(msg).set("path", given));
        }
    };
    if dest.is_dir() {
        return Err(Failure::uncaught("[Errno 21] Is a directory"));
    }
    let root = root_of(&paths);
    let is_archive = !single || args.bool("force_archive") || matches!(format, Format::Tar | Format::Zip);
    let missing: Vec<PathBuf> = paths.iter().filter(|p| fs::symlink_metadata(p).is_err()).cloned().collect();
    let patterns = args.strings("exclusion_patterns");
    let mut members = vec![];
    for p in paths.iter().filter(|p| !missing.contains(p)) {
        collect(p, &root, &dest, &patterns, &mut members)?;
    }
    let existed = dest.exists();
    let state = |exists: bool| match () {
        _ if !exists => "absent",
        _ if !missing.is_empty() && is_archive => "incomplete",
        _ if is_archive => "archive",
        _ => "compress",
    };
    let mut o = Outcome::ok()
        .set("arcroot", root)
        .set("missing", shown(&missing))
        .set("expanded_paths", shown(&expanded))
        .set("expanded_exclude_paths", shown(&excluded))
        .set("dest", dest.to_string_lossy().into_owned());
    if missing.len() == paths.len() {
        if existed && !ctx.check {
            o.changed = FileArgs::from_args(args).apply(&dest, false, &mut AttrDiff::default())?;
        }
        return Ok(o
            .set("archived", Vec::<String>::new())
            .set("dest_state", if existed { "archive" } else { "absent" }));
    }
    if members.is_empty() {
        return Err(Failure::new("Error, everything was excluded: the archive would be empty").set("path", given));
    }
    let same = existed && pack::same(&dest, &members, format, is_archive);
    let want = FileArgs::from_args(args);
    o.changed = !same;
    // folders are in a zip file too, but they are not told
    let told = |m: &&Member| format != Format::Zip || !m.path.is_dir() || m.path.is_symlink();
    let archived: Vec<String> = members.iter().filter(told).map(|m| m.path.to_string_lossy().into_owned()).collect();
    if ctx.check {
        let attrs = existed && want.apply(&dest, true, &mut AttrDiff::default())?;
        o.changed |= attrs || args.bool("remove");
        return Ok(o.set("archived", Vec::<String>::new()).set("dest_state", state(existed)));
    }
    if same {
        o.changed |= want.apply(&dest, false, &mut AttrDiff::default())?;
    } else {
        let mut staged = atomic::stage(&dest, args.bool("unsafe_writes"))?;
        pack::write(staged.file()?, &members, format, is_archive)?;
        staged.commit_with(&want, &mut AttrDiff::default())?;
    }
    if args.bool("remove") {
        o.changed = true;
        remove(&paths, &members, &dest, patterns.is_empty())?;
    }
    Ok(o.set("archived", archived).set("dest_state", state(true)))
}

/// Adds a path, and everything below it, but not the archive itself.
fn collect(p: &Path, root: &str, dest: &Path, patterns: &[String], out: &mut Vec<Member>) -> Result<(), Failure> {
    let fail = |e: std::io::Error| Failure::new(os_error(&e, p));
    let mut todo = vec![p.to_owned()];
    let mut top = true;
    while let Some(at) = todo.pop() {
        let st = fs::symlink_metadata(&at).map_err(fail)?;
        let name = at.strip_prefix(root).unwrap_or(&at).to_string_lossy().into_owned();
        let out_of = patterns.iter().any(|x| fnmatch(&name, x));
        // A directory that is named itself is not a member, only what it holds, as Ansible has it.
        if at != dest && !out_of && !(top && st.is_dir()) {
            out.push(Member { path: at.clone(), name });
        }
        if st.is_dir() {
            let mut below: Vec<PathBuf> = fs::read_dir(&at)
                .map_err(fail)?
                .map(|e| e.map(|e| e.path()))
                .collect::<Result<_, _>>()
                .map_err(fail)?;
            below.sort_by(|a, b| b.cmp(a));
            todo.append(&mut below);
        }
        top = false;
    }
    Ok(())
}

/// Removes what was put in: whole trees only if nothing in them was left out.
fn remove(paths: &[PathBuf], members: &[Member], dest: &Path, whole: bool) -> Result<(), Failure> {
    let fail = |e: std::io::Error, p: &Path| Failure::new(format!("Unable to remove source file: {}", os_error(&e, p)));
    if whole {
        for p in paths.iter().filter(|p| !dest.starts_with(p)) {
            match fs::symlink_metadata(p) {
                Ok(st) if st.is_dir() => fs::remove_dir_all(p).map_err(|e| fail(e, p))?,
                Ok(_) => fs::remove_file(p).map_err(|e| fail(e, p))?,
                Err(_) => {}
            }
        }
        if !paths.iter().any(|p| dest.starts_with(p)) {
            return Ok(());
        }
    }
    for m in members.iter().rev() {
        match fs::symlink_metadata(&m.path) {
            // Only if nothing stayed in it.
            Ok(st) if st.is_dir() => drop(fs::remove_dir(&m.path)),
            Ok(_) => fs::remove_file(&m.path).map_err(|e| fail(e, &m.path))?,
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
