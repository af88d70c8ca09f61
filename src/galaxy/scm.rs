//! Copies of git repositories, by the `git` program.

use crate::diag::{Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use std::process::Command;

/// Runs git in a folder. `url` and `version` never stand where an option could.
fn git(args: &[&str], dir: &Utf8Path) -> Result<String> {
    let shown = format!("git {}", args.join(" "));
    let out = Command::new("git").args(args).current_dir(dir).output().map_err(|e| {
        Error::general(format!("Could not find/use 'git', it is required to continue: {e}")).help("install git")
    })?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).trim().to_string());
    }
    let rc = out.status.code().unwrap_or(-1);
    Err(Error::general(format!(
        "- command {shown} failed in directory {dir} (rc={rc}) - {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )))
}

/// Clones into `dir` under this name and checks the version out. Answers the folder.
pub fn clone(url: &str, version: &str, name: &str, dir: &Utf8Path) -> Result<Utf8PathBuf> {
    if version.starts_with('-') {
        return Err(Error::general(format!("'{version}' is not the name of a branch, tag or commit")));
    }
    git(&["clone", "--", url, name], dir)?;
    let work = dir.join(name);
    if !version.is_empty() {
        git(&["checkout", version], &work)?;
    }
    Ok(work)
}

/// The commit that is checked out.
pub fn head(work: &Utf8Path) -> Result<String> {
    git(&["rev-parse", "HEAD"], work)
}

/// Writes the tree of the commit that is checked out to a tar archive, each path under `name/`.
pub fn archive(work: &Utf8Path, name: &str, to: &Utf8Path) -> Result<()> {
    git(&["archive", &format!("--prefix={name}/"), &format!("--output={to}"), "HEAD"], work)?;
    Ok(())
}

/// Writes the whole work tree, with `.git`, to a tar archive.
pub fn pack(work: &Utf8Path, name: &str, to: &Utf8Path) -> Result<()> {
    let mut b = tar::Builder::new(std::fs::File::create(to)?);
    b.follow_symlinks(false);
    b.append_dir_all(name, work)?;
    b.finish()?;
    Ok(())
}
