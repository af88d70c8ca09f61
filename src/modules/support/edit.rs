//! What the modules that edit text files share: reading the old content, writing the new one, and
//! the pair of diffs (content, attributes) that they answer.

use super::fileargs::{AttrDiff, FileArgs, followed, real_path};
use super::{atomic, pytext, textdiff};
use crate::modules::{Args, Ctx, Diff, Failure, Outcome};
use std::path::PathBuf;

/// A file that is going to be edited.
pub struct Edit<'a> {
    args: &'a Args,
    /// The path as the task has it.
    pub shown: String,
    path: PathBuf,
    /// The old content; `None` if there is no file.
    pub old: Option<Vec<u8>>,
}

/// Opens the file of the `path` argument; `missing` begins the message if it is not there (and
/// `create` is not given).
pub fn open<'a>(args: &'a Args, missing: &str) -> Result<Edit<'a>, Failure> {
    let shown = args.str("path").to_owned();
    let path = PathBuf::from(&shown);
    if path.is_dir() {
        return Err(Failure::new(format!("Path {shown} is a directory !")).set("rc", 256));
    }
    let old = match std::fs::read(&path) {
        Ok(d) => Some(d),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Failure::new(pytext::os_error(&e, &path))),
    };
    if old.is_none() && !args.bool("create") && args.opt_str("state") != Some("absent") {
        return Err(Failure::new(format!("{missing} {shown} does not exist !")).set("rc", 257));
    }
    Ok(Edit { args, shown, path, old })
}

impl Edit<'_> {
    /// Writes new content unless this is a check run: makes the directory, validates, keeps a backup
    /// if asked, and replaces the file that a link leads to. Answers the backup's name.
    pub fn write(&self, ctx: &Ctx, new: &[u8]) -> Result<String, Failure> {
        if ctx.check {
            return Ok(String::new());
        }
        let target = real_path(&self.path);
        if let Some(dir) = target.parent().filter(|d| self.old.is_none() && !d.as_os_str().is_empty() && !d.exists()) {
            std::fs::create_dir_all(dir).map_err(|e| {
                Failure::new(format!("Error creating {} ({})", dir.display(), pytext::os_error(&e, dir)))
            })?;
        }
        let mut staged = atomic::stage(&target, self.args.bool("unsafe_writes"))?;
        staged.write(new)?;
        if let Some(cmd) = self.args.opt_str("validate") {
            atomic::accepted(cmd, staged.path()?, &ctx.env)?;
        }
        let backup =
            if self.args.bool("backup") && self.old.is_some() { atomic::backup(&target)? } else { String::new() };
        staged.commit()?;
        Ok(backup)
    }

    /// Sets the attributes; `msg` gains Ansible's words if they differed.
    pub fn attributes(&self, ctx: &Ctx, msg: &mut String) -> Result<(bool, AttrDiff), Failure> {
        let mut diff = AttrDiff::default();
        let target = followed(&self.path, true);
        if !target.exists() {
            return Ok((false, diff));
        }
        let changed = FileArgs::from_args(self.args).apply(&target, ctx.check, &mut diff)?;
        if changed {
            if !msg.is_empty() {
                msg.push_str(" and ");
            }
            msg.push_str("ownership, perms or SE linux context changed");
        }
        Ok((changed, diff))
    }

    /// The content diff under the header `PATH (content)`.
    pub fn content_diff(&self, ctx: &Ctx, new: &[u8]) -> Diff {
        let header = format!("{} (content)", self.shown);
        let text = |d: &[u8]| if ctx.want_diff { textdiff::text(d) } else { "".into() };
        Diff::new(text(self.old.as_deref().unwrap_or_default()), text(new)).headers(&header, &header)
    }

    /// Both diffs, as lineinfile and blockinfile answer them.
    pub fn with_diffs(&self, ctx: &Ctx, o: Outcome, new: &[u8], attrs: AttrDiff) -> Outcome {
        let header = format!("{} (file attributes)", self.shown);
        let mut d = Diff::default().headers(&header, &header);
        if !attrs.is_empty() {
            d.before = attrs.before.into();
            d.after = attrs.after.into();
        }
        o.with_diff(self.content_diff(ctx, new)).with_diff(d)
    }
}
