//! What the remote has, and bringing it here: references, clones, fetches.

use super::Git;
use crate::modules::support::exec::Output;
use crate::modules::{Failure, Outcome};

impl Git<'_, '_> {
    /// What `ls-remote` says of some references: `commit TAB name` a line.
    fn ls_remote(&self, from: &str, kind: &str, reference: &str) -> Result<Output, Failure> {
        self.must(&["ls-remote", from, kind, reference])
    }
    fn is_remote_branch(&self, from: &str) -> Result<bool, Failure> {
        let name = format!("refs/heads/{}", self.version);
        Ok(self.ls_remote(from, "-h", &name)?.out().contains(self.version))
    }
    fn is_remote_tag(&self, from: &str) -> Result<bool, Failure> {
        let name = format!("refs/tags/{}", self.version);
        Ok(self.ls_remote(from, "-t", &name)?.out().contains(self.version))
    }
    /// Local and remote-tracking branches as `git branch -a` shows them, without the mark of the current one.
    fn branches(&self) -> Result<Vec<String>, Failure> {
        let cmd = self.cmd(&["branch", "--no-color", "-a"]);
        let o = cmd.tried(self.ctx)?;
        if !o.ok() {
            return Err(o.failure(format!("Could not determine branch data - received {}", o.out())));
        }
        Ok(o.out().lines().map(|l| l.trim_start_matches(['*', '+', ' ']).to_owned()).collect())
    }
    pub(super) fn is_local_branch(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.branches()?.iter().any(|b| b == name))
    }

    /// The branch that is checked out; with a detached head the default branch of the remote.
    pub(super) fn head_branch(&self) -> Result<String, Failure> {
        let own = self.tried(&["symbolic-ref", "-q", "HEAD"])?;
        if let Some(b) = own.out().trim_end().strip_prefix("refs/heads/").filter(|_| own.ok()) {
            return Ok(b.to_owned());
        }
        let prefix = format!("refs/remotes/{}/", self.remote);
        let o = self.tried(&["symbolic-ref", "-q", &format!("{prefix}HEAD")])?;
        match o.out().trim_end().strip_prefix(&prefix) {
            Some(b) if o.ok() => Ok(b.to_owned()),
            _ => Err(Failure::new(format!("Unable to split head from '{}'", own.out().trim_end()))),
        }
    }

    /// The commit that the version is on the remote. What is no branch and no tag there is taken for a commit.
    pub(super) fn remote_commit(&self, from: &str, cloned: bool) -> Result<String, Failure> {
        let (kind, name) = if self.version == "HEAD" {
            match cloned {
                false => ("-h", "HEAD".to_owned()),
                true => ("-h", format!("refs/heads/{}", self.head_branch()?)),
            }
        } else if self.is_remote_branch(from)? {
            ("-h", format!("refs/heads/{}", self.version))
        } else if self.is_remote_tag(from)? {
            ("-t", format!("refs/tags/{}*", self.version))
        } else {
            return Ok(self.version.to_owned());
        };
        // git says nothing of HEAD among the heads; without the restriction it does.
        let o = match name == "HEAD" {
            true => self.head_of(from)?,
            false => self.ls_remote(from, kind, &name)?,
        };
        let out = o.out();
        // Of an annotated tag the commit counts, which follows the tag with `^{}`.
        let peeled = format!("refs/tags/{}^{{}}", self.version);
        let plain = format!("refs/tags/{}", self.version);
        let line = match kind {
            "-t" => [peeled, plain].iter().find_map(|end| out.lines().find(|l| l.ends_with(end.as_str()))),
            _ => out.lines().next(),
        };
        line.and_then(|l| l.split_whitespace().next()).map(str::to_owned).ok_or_else(|| {
            let msg = format!("Could not determine remote revision for {}", self.version);
            o.failure(msg)
        })
    }
    fn head_of(&self, from: &str) -> Result<Output, Failure> {
        let o = self.ls_remote(from, "-h", "HEAD")?;
        if o.out().is_empty() { self.must(&["ls-remote", from, "HEAD"]) } else { Ok(o) }
    }

    pub(super) fn clone(&self, mut o: Outcome) -> Result<Outcome, Failure> {
        if let Some(parent) = self.dest.parent() {
            // git makes it too and says why it cannot.
            let _ = std::fs::create_dir_all(parent);
        }
        let args = self.args;
        let known = self.is_remote_branch(&self.url)? || self.is_remote_tag(&self.url)?;
        let refspec = args.opt_str("refspec");
        let mut words: Vec<String> = vec!["clone".into()];
        let mut add = |w: &[&str]| words.extend(w.iter().map(|s| s.to_string()));
        match self.bare {
            true => add(&["--bare"]),
            false => add(&["--origin", self.remote]),
        }
        if let Some(depth) = self.depth {
            let depth = depth.to_string();
            if self.version == "HEAD" || refspec.is_some() {
                add(&["--depth", &depth]);
            } else if known {
                add(&["--depth", &depth, "--branch", self.version]);
            } else {
                let note = "Ignoring depth argument. Shallow clones are only available for HEAD, branches, tags or in combination with refspec.";
                o = o.warn(note);
            }
        }
        if let Some(r) = args.opt_str("reference") {
            add(&["--reference", r]);
        }
        if args.bool("single_branch") {
            add(&["--single-branch"]);
            if known {
                add(&["--branch", self.version]);
            }
        }
        if let Some(d) = args.opt_str("separate_git_dir") {
            add(&[&format!("--separate-git-dir={d}")]);
        }
        add(&[&self.url, &self.dest.to_string_lossy()]);
        let parent = self.dest.parent().filter(|p| p.is_dir()).map(|p| p.to_string_lossy().into_owned());
        let cmd = self.cmd(&words);
        parent.into_iter().fold(cmd, |c, p| c.cwd(p)).must(self.ctx)?;
        if self.bare && self.remote != "origin" {
            self.must(&["remote", "add", self.remote, &self.url])?;
        }
        if let Some(spec) = refspec {
            let mut words = vec!["fetch".to_owned()];
            words.extend(self.depth.map(|d| ["--depth".to_owned(), d.to_string()]).into_iter().flatten());
            words.extend([self.remote.to_owned(), spec.to_owned()]);
            self.must(&words)?;
        }
        if args.bool("verify_commit") {
            self.verify_signature()?;
        }
        Ok(o)
    }

    /// Makes the remote point to the repository; true if it was another. In a check run it is only looked at.
    pub(super) fn point_remote(&self) -> Result<bool, Failure> {
        let o = self.tried(&["ls-remote", "--get-url", self.remote])?;
        let is = o.out().trim_end_matches('\n').to_owned();
        let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
        if o.ok() && same(&is, &self.url) {
            return Ok(false);
        }
        if !self.ctx.check {
            let set = self.tried(&["remote", "set-url", self.remote, &self.url])?;
            if !set.ok() {
                let (remote, url) = (self.remote, &self.url);
                let why = format!("Failed to set a new url {url} for {remote}: {} {}", set.out(), set.err());
                return Err(Failure::new(why));
            }
        }
        Ok(o.ok())
    }

    pub(super) fn fetch(&self) -> Result<(), Failure> {
        let mut words = vec!["fetch".to_owned()];
        let mut specs: Vec<String> = vec![];
        let (remote, version) = (self.remote, self.version);
        let refspec = self.args.opt_str("refspec").map(str::to_owned);
        if let Some(depth) = self.depth {
            if let Some(s) = &refspec {
                specs.push(s.clone());
            } else if version == "HEAD" {
                specs.push(self.head_branch()?);
            } else if self.is_remote_branch(remote)? {
                if self.head_branch().ok().as_deref() != Some(version) {
                    specs.push(format!("+refs/heads/{version}:refs/heads/{version}"));
                }
                specs.push(format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"));
            } else if self.is_remote_tag(remote)? {
                specs.push(format!("+refs/tags/{version}:refs/tags/{version}"));
            }
            if !specs.is_empty() {
                words.extend(["--depth".to_owned(), depth.to_string()]);
            }
        }
        if specs.is_empty() {
            // Everything: also where the depth is of no use, since a commit cannot be asked for directly.
            if self.bare {
                specs.extend(["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()]);
            } else {
                words.push("--tags".into());
            }
            specs.extend(refspec);
        }
        if self.args.bool("force") {
            words.push("--force".into());
        }
        words.push(remote.to_owned());
        words.extend(specs);
        let cmd = self.cmd(&words);
        let o = cmd.tried(self.ctx)?;
        if o.ok() {
            return Ok(());
        }
        let msg = format!("Failed to download remote objects and refs: {} {}", o.out(), o.err());
        let shown: Vec<String> = std::iter::once(self.program.clone()).chain(words).collect();
        Err(Failure::new(msg).set("cmd", shown))
    }

    /// Brings a branch that a shallow clone does not have.
    pub(super) fn fetch_branch(&self, depth: i64) -> Result<(), Failure> {
        let (remote, version) = (self.remote, self.version);
        let o = self.tried(&[
            "fetch",
            &format!("--depth={depth}"),
            remote,
            &format!("+refs/heads/{version}:refs/heads/{version}"),
            &format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"),
        ])?;
        match o.ok() {
            true => Ok(()),
            false => Err(o.failure(format!("Failed to fetch branch from remote: {version}"))),
        }
    }

    /// True if the remote that is set up has the version as a branch.
    pub(super) fn version_is_branch(&self) -> Result<bool, Failure> {
        self.is_remote_branch(self.remote)
    }
}
