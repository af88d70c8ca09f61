//! Replacing a text file in one step: temporary file beside it, owner and mode kept, validated, synced, renamed.

use super::exec::Cmd;
use crate::modules::{Ctx, Failure};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// Replaces `path` with `text`; `validate` is a command with `%s` for the new file's name that must end with 0.
/// A failure leaves the old file as it was.
pub fn replace(ctx: &Ctx, path: &Path, text: &str, validate: Option<&str>) -> Result<(), Failure> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new()
        .prefix(".dirigo-")
        .tempfile_in(dir)
        .map_err(|e| Failure::new(format!("cannot write in {}: {e}", dir.display())))?;
    temp.write_all(text.as_bytes())?;
    if let Ok(old) = std::fs::metadata(path) {
        temp.as_file().set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
        // an owner that only root may give stays ours where we are not root
        let _ = fchown(temp.as_file(), Some(old.uid()), Some(old.gid()));
    } else {
        temp.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    temp.as_file().sync_all()?;
    if let Some(v) = validate {
        check(ctx, v, temp.path())?;
    }
    temp.persist(path).map_err(|e| Failure::new(format!("cannot replace {}: {}", path.display(), e.error)))?;
    Ok(())
}

/// Runs a validation command on a file.
pub fn check(ctx: &Ctx, validate: &str, file: &Path) -> Result<(), Failure> {
    if !validate.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {validate}")));
    }
    let name = file.to_string_lossy();
    let words: Vec<String> =
        super::shlex::split(validate).map_err(Failure::new)?.into_iter().map(|w| w.replace("%s", &name)).collect();
    let out = Cmd::new(words).run(ctx).map_err(|e| Failure::new(format!("failed to validate: {}", e.text)))?;
    if out.ok() {
        return Ok(());
    }
    Err(Failure::new("failed to validate: the new content is not accepted")
        .set("rc", out.rc)
        .set("stdout", out.out())
        .set("stderr", out.err())
        .set("exit_status", out.rc))
}

/// Checks content that is not going to be written (check mode), by way of a temporary file elsewhere.
pub fn check_text(ctx: &Ctx, validate: &str, text: &str) -> Result<(), Failure> {
    let mut temp = tempfile::Builder::new().prefix("dirigo-").tempfile()?;
    temp.write_all(text.as_bytes())?;
    check(ctx, validate, temp.path())
}

/// Copies the file to `PATH.PID.DATE~` with its owner and mode; the copy's name.
pub fn backup(path: &Path) -> Result<String, Failure> {
    let stamp = jiff::Zoned::now().strftime("%Y-%m-%d@%H:%M:%S~").to_string();
    let name = format!("{}.{}.{stamp}", path.display(), std::process::id());
    std::fs::copy(path, &name)?;
    let old = std::fs::metadata(path)?;
    std::fs::set_permissions(&name, std::fs::Permissions::from_mode(old.mode() & 0o7777))?;
    let _ = std::os::unix::fs::chown(&name, Some(old.uid()), Some(old.gid()));
    Ok(name)
}
