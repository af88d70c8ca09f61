//! What is checked out: local changes, switching, signatures, submodules, diffs, archives.

use super::Git;
use crate::modules::{Failure, ModResult, Outcome};
use std::path::Path;

impl Git<'_, '_> {
    /// True if files that git knows were changed.
    pub(super) fn is_edited(&self) -> Result<bool, Failure> {
        if self.bare {
            return Ok(false);
        }
        Ok(self.tried(&["status", "--porcelain"])?.out().lines().any(|l| !l.is_empty() && !l.starts_with("??")))
    }

    /// Checks out the version: the tip of the remote's branch, a tag or a commit.
    pub(super) fn switch(&self) -> Result<(), Failure> {
        let (remote, version) = (self.remote, self.version);
        let mut branch = version.to_owned();
        let is_head = version == "HEAD";
        if is_head {
            branch = self.head_branch()?;
        }
        let words: Vec<String> = if is_head || self.version_is_branch()? {
            let local = self.is_local_branch(&branch)?;
            if let Some(depth) = self.depth.filter(|_| !local && !is_head) {
                self.fetch_branch(depth)?;
            }
            if is_head || self.is_local_branch(&branch)? {
                let o = self.tried(&["checkout", "--force", &branch])?;
                if !o.ok() {
                    return Err(o.failure(format!("Failed to checkout branch {branch}")));
                }
                vec!["reset".into(), "--hard".into(), format!("{remote}/{branch}"), "--".into()]
            } else {
                ["checkout", "--track", "-b", &branch, &format!("{remote}/{branch}")].map(str::to_owned).to_vec()
            }
        } else {
            vec!["checkout".into(), "--force".into(), branch.clone()]
        };
        let cmd = self.cmd(&words);
        let o = cmd.tried(self.ctx)?;
        if !o.ok() {
            let what = if is_head { "branch " } else { "" };
            return Err(cmd.failure(format!("Failed to checkout {what}{branch}"), &o));
        }
        if self.args.bool("verify_commit") { self.verify_signature() } else { Ok(()) }
    }

    /// The signature of the version must be good, and by one of the keys of the list if there is one.
    pub(super) fn verify_signature(&self) -> Result<(), Failure> {
        let version = self.version;
        let kind = self.tried(&["cat-file", "-t", &format!("refs/tags/{version}")])?;
        let verb = if kind.ok() && kind.out().trim() == "tag" { "verify-tag" } else { "verify-commit" };
        let allowed = self.args.strings("gpg_allowlist");
        let mut words = vec![verb, version];
        if !allowed.is_empty() {
            words.push("--raw");
        }
        let o = self.tried(&words)?;
        if !o.ok() {
            return Err(o.failure(format!("Failed to verify GPG signature of commit/tag \"{version}\"")));
        }
        if allowed.is_empty() {
            return Ok(());
        }
        let key = signer(&o.err());
        if key.as_ref().is_some_and(|k| allowed.contains(k)) {
            return Ok(());
        }
        let key = key.unwrap_or_else(|| "None".into());
        Err(o.failure(format!("The gpg_allowlist does not include the public key \"{key}\" for this commit")))
    }

    /// Fetches submodules; true if one is missing or is not what it should be.
    pub(super) fn fetch_submodules(&self) -> Result<bool, Failure> {
        let Ok(listed) = std::fs::read_to_string(self.dest.join(".gitmodules")) else { return Ok(false) };
        let paths = listed.lines().filter_map(|l| l.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
        if paths.into_iter().any(|p| !self.dest.join(p.trim()).join(".git").exists()) {
            return Ok(true);
        }
        let track = self.args.bool("track_submodules");
        let before = if track { self.submodule_commits("HEAD")? } else { vec![] };
        let cmd = self.cmd(&["submodule", "foreach", &self.program, "fetch"]);
        let o = cmd.tried(self.ctx)?;
        if !o.ok() {
            return Err(o.failure(format!("Failed to fetch submodules: {}", o.out() + &o.err())));
        }
        if track {
            return Ok(before != self.submodule_commits(&format!("{}/master", self.remote))?);
        }
        let o = self.tried(&["submodule", "status"])?;
        if !o.ok() {
            return Err(o.failure(format!("Failed to retrieve submodule status: {}", o.out() + &o.err())));
        }
        Ok(o.out().lines().any(|l| !l.starts_with(' ')))
    }

    /// What `rev-parse` answers in each submodule.
    fn submodule_commits(&self, version: &str) -> Result<Vec<String>, Failure> {
        let o = self.tried(&["submodule", "foreach", &self.program, "rev-parse", version])?;
        match o.ok() {
            true => Ok(o.out().lines().map(str::to_owned).collect()),
            false => Err(o.failure("Unable to determine hashes of submodules")),
        }
    }

    pub(super) fn update_submodules(&self) -> Result<(), Failure> {
        self.must(&["submodule", "sync"])?;
        let mut words = vec!["submodule", "update", "--init", "--recursive"];
        if self.args.bool("track_submodules") {
            words.push("--remote");
        }
        if self.args.bool("force") {
            words.push("--force");
        }
        let o = self.tried(&words)?;
        match o.ok() {
            true => Ok(()),
            false => Err(o.failure(format!("Failed to init/update submodules: {}", o.out() + &o.err()))),
        }
    }

    /// The difference of two commits as text. In a check run the objects that are not here yet go to a directory of
    /// their own, so that the repository stays as it is.
    pub(super) fn diff_of(&self, before: &str, after: &str) -> Result<String, Failure> {
        let scratch = if self.ctx.check { Some(tempfile::tempdir()?) } else { None };
        let own = |words: &[&str]| -> Result<_, Failure> {
            let mut c = self.cmd(words);
            if let Some(d) = &scratch {
                let objects = self.git_dir()?.join("objects");
                c = c.env("GIT_OBJECT_DIRECTORY", d.path().to_string_lossy());
                c = c.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.to_string_lossy());
            }
            c.tried(self.ctx)
        };
        if scratch.is_some() && !own(&["cat-file", "-e", &format!("{after}^{{commit}}")])?.ok() {
            // A dry run brings the objects, but writes no reference.
            let mut words = vec!["fetch", "--dry-run", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules"];
            words.extend(["--no-auto-gc", self.url.as_str()]);
            words.extend(["+refs/heads/*:refs/predicted/heads/*", "+refs/tags/*:refs/predicted/tags/*"]);
            words.extend(self.args.opt_str("refspec"));
            own(&words)?;
        }
        let o = own(&["diff", before, after])?;
        Ok(match (o.ok(), o.out()) {
            (true, text) if !text.is_empty() => text,
            (true, _) => format!(">> No visual differences between {before} and {after}"),
            _ => format!(">> Failed to get proper diff between {before} and {after}:\n>> {}", o.err()),
        })
    }

    /// Writes the archive of the version; an archive with the same content stays, and then nothing has changed.
    pub(super) fn archive(&self, mut o: Outcome) -> ModResult {
        if self.ctx.check {
            o.changed = true;
            return Ok(o);
        }
        let to = self.args.str("archive");
        let format = ["tar.gz", "tgz", "zip", "tar"].into_iter().find(|f| to.ends_with(&format!(".{f}")));
        let Some(format) = format else {
            let details = "Please specify archive as filename with extension. File extension can be one of ['tar', 'tar.gz', 'zip', 'tgz']";
            let msg = format!("Unable to get file extension from archive file name : {to}");
            return Err(Failure::new(msg).set("details", details));
        };
        let target = Path::new(to);
        let scratch = match target.exists() {
            true => Some(tempfile::tempdir()?),
            false => None,
        };
        let file = scratch.as_ref().map(|d| d.path().join(format!("archive.{format}")));
        let file = file.as_deref().unwrap_or(target).to_string_lossy().into_owned();
        let mut words = vec!["archive", "--format", format, "--output", &file];
        if let Some(p) = self.args.opt_str("archive_prefix") {
            words.extend(["--prefix", p]);
        }
        words.push(self.version);
        let cmd = self.cmd(&words);
        let done = cmd.tried(self.ctx)?;
        if !done.ok() {
            let dest = self.dest.display();
            return Err(Failure::new("Failed to perform archive operation").set(
                "details",
                format!(
                    "Git archive command failed to create archive {file} using {dest} directory.Error: {}",
                    done.err()
                ),
            ));
        }
        o.changed = true;
        if scratch.is_some() {
            if std::fs::read(&file)? == std::fs::read(target)? {
                o.changed = false;
            } else {
                let failed = |e: std::io::Error| {
                    Failure::new(format!("Failed to move {file} to {to}")).set("details", e.to_string())
                };
                std::fs::copy(&file, target).map_err(failed)?;
            }
        }
        Ok(o)
    }
}

/// The fingerprint of the primary key that made a good signature, out of what gpg says with `--raw`.
fn signer(said: &str) -> Option<String> {
    said.lines().find_map(|l| {
        let w: Vec<&str> = l.strip_prefix("[GNUPG:] VALIDSIG ")?.split_whitespace().collect();
        // The tenth word is the primary key's, the first that of the key which signed.
        w.get(9).or(w.first()).map(|s| s.to_string())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn signers() {
        let sub = "[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG AA 2024-01-01 1 0 4 0 1 8 00 BB\n";
        assert_eq!(super::signer(sub).as_deref(), Some("BB"));
        assert_eq!(super::signer("[GNUPG:] VALIDSIG AA 2024-01-01").as_deref(), Some("AA"));
        assert_eq!(super::signer("gpg: Good signature"), None);
    }
}
