//! Copying directories within one machine: content, modes and times; links stay links.

use super::fileargs::{AttrDiff, FileArgs};
use super::{atomic, digest, pytext::os_error};
use crate::modules::Failure;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// How to copy.
pub struct Plan {
    /// Replace files whose content differs.
    pub force: bool,
    /// Copy what links point at instead of the links.
    pub follow: bool,
    /// Only find out whether anything would change.
    pub check: bool,
}

/// Copies the contents of `src` into `dest`, which is made if it is not there; true if anything
/// differed. What is only in `dest` stays.
pub fn copy(src: &Path, dest: &Path, plan: &Plan) -> Result<bool, Failure> {
    copy_at(src, dest, plan, 0)
}

fn copy_at(src: &Path, dest: &Path, plan: &Plan, depth: usize) -> Result<bool, Failure> {
    let fail = |e: std::io::Error, p: &Path| Failure::new(os_error(&e, p));
    if depth > 200 {
        return Err(Failure::new(format!("{} is nested too deeply (or a link leads back up)", src.display())));
    }
    let mut changed = false;
    let st = fs::metadata(src).map_err(|e| fail(e, src))?;
    let made = !dest.is_dir();
    // Listed before dest is made: dest may lie inside src.
    let mut names: Vec<_> = fs::read_dir(src).map_err(|e| fail(e, src))?.collect::<Result<_, _>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    if made {
        changed = true;
        if !plan.check {
            fs::create_dir_all(dest).map_err(|e| fail(e, dest))?;
        }
    }
    for entry in names {
        let (from, to) = (entry.path(), dest.join(entry.file_name()));
        if to == *dest || from == *dest {
            continue;
        }
        let st = if plan.follow { fs::metadata(&from) } else { fs::symlink_metadata(&from) };
        let st = st.map_err(|e| fail(e, &from))?;
        if st.is_dir() {
            changed |= copy_at(&from, &to, plan, depth + 1)?;
        } else if st.is_symlink() {
            changed |= copy_link(&from, &to, plan)?;
        } else if st.is_file() {
            changed |= copy_file(&from, &to, &st, plan)?;
        } else {
            return Err(Failure::new(format!("{} is a special file and cannot be copied", from.display())));
        }
    }
    if made && !plan.check {
        // Last, so that a closed or read-only directory can be filled and keeps its time.
        fs::set_permissions(dest, Permissions::from_mode(st.permissions().mode() & 0o7777))
            .map_err(|e| fail(e, dest))?;
        let times = fs::FileTimes::new().set_accessed(st.accessed()?).set_modified(st.modified()?);
        fs::File::open(dest).and_then(|d| d.set_times(times)).map_err(|e| fail(e, dest))?;
    }
    Ok(changed)
}

fn copy_link(from: &Path, to: &Path, plan: &Plan) -> Result<bool, Failure> {
    let target = fs::read_link(from)?;
    if fs::symlink_metadata(to).is_ok() && (!plan.force || fs::read_link(to).is_ok_and(|t| t == target)) {
        return Ok(false);
    }
    if !plan.check {
        if fs::symlink_metadata(to).is_ok() {
            fs::remove_file(to).map_err(|e| Failure::new(os_error(&e, to)))?;
        }
        symlink(&target, to).map_err(|e| Failure::new(os_error(&e, to)))?;
    }
    Ok(true)
}

fn copy_file(from: &Path, to: &Path, st: &fs::Metadata, plan: &Plan) -> Result<bool, Failure> {
    let fail = |e: std::io::Error| Failure::new(os_error(&e, from));
    let there = fs::symlink_metadata(to).ok();
    if let Some(t) = &there
        && (!plan.force
            || (t.len() == st.len() && digest::of_file("sha1", to).ok() == digest::of_file("sha1", from).ok()))
    {
        return Ok(false);
    }
    if plan.check {
        return Ok(true);
    }
    let mut staged = atomic::stage(to, false)?;
    staged.fill(fs::File::open(from).map_err(fail)?)?;
    let times = fs::FileTimes::new().set_accessed(st.accessed()?).set_modified(st.modified()?);
    staged.file()?.set_times(times)?;
    let mode = super::mode::show(st.permissions().mode() & 0o7777);
    let want = FileArgs { mode: mode.into(), ..FileArgs::default() };
    staged.commit_with(&want, &mut AttrDiff::default())?;
    Ok(true)
}

/// Sets owner and group of a directory and everything in it (links themselves, not their targets).
pub fn own(dir: &Path, want: &FileArgs, check: bool) -> Result<bool, Failure> {
    if want.owner.is_none() && want.group.is_none() {
        return Ok(false);
    }
    let mut changed = want.apply(dir, check, &mut AttrDiff::default())?;
    for entry in fs::read_dir(dir)? {
        let p = entry?.path();
        if p.is_dir() && !p.is_symlink() {
            changed |= own(&p, want, check)?;
        } else {
            changed |= want.apply(&p, check, &mut AttrDiff::default())?;
        }
    }
    Ok(changed)
}
