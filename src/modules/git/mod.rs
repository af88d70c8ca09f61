//! `git`: checkouts of git repositories, by the host's git.

mod repo;
mod tree;

use super::support::exec::{Cmd, Output, need_program};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    let flag = |n: &str, on: bool, d: &str| Arg::bool(n).default(on).doc(d);
    Module {
        name: "git",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("repo").required().aliases(&["name"]).doc("The repository's address."),
            Arg::path("dest").doc("Where the checkout shall be; may be missing only with clone=false."),
            Arg::str("version").default("HEAD").doc("Branch, tag or commit; HEAD is the remote's default branch."),
            Arg::str("remote").default("origin").doc("Name of the remote."),
            Arg::str("refspec").doc("A further refspec to fetch, for commits that no branch or tag reaches."),
            Arg::str("reference").doc("A repository on the host to take objects from."),
            flag("force", false, "Throw away local modifications."),
            Arg::int("depth").doc("Clone so many commits only."),
            flag("single_branch", false, "Clone only what leads to the version."),
            flag("clone", true, "Clone if there is no repository yet."),
            flag("update", true, "Fetch if there is a repository already."),
            flag("bare", false, "A repository without a checkout."),
            flag("recursive", true, "Check out submodules."),
            flag("track_submodules", false, "Submodules follow their remote branch, not the recorded commit."),
            flag("verify_commit", false, "Verify the signature of the commit or tag."),
            Arg::list("gpg_allowlist", Type::Str)
                .default(json!([]))
                .aliases(&["gpg_whitelist"])
                .doc("With verify_commit: fingerprints of the keys that may sign."),
            flag("accept_hostkey", false, "Take any host key over ssh (StrictHostKeyChecking=no)."),
            flag(
                "accept_newhostkey",
                false,
                "Take host keys of hosts not yet known (StrictHostKeyChecking=accept-new).",
            ),
            Arg::path("key_file").doc("Private key for ssh."),
            Arg::str("ssh_opts").doc("Further options for ssh."),
            Arg::path("executable").doc("The git to use."),
            Arg::raw("umask").doc("The umask to work with, octal, as text."),
            Arg::path("archive").doc("Write the tree to this archive too: .zip, .tar, .tar.gz or .tgz."),
            Arg::str("archive_prefix").doc("Prefix of every path in the archive."),
            Arg::path("separate_git_dir").doc("Where the repository itself shall be, apart from its checkout."),
        ])
        .exclusive(&["separate_git_dir", "bare"])
        .exclusive(&["accept_hostkey", "accept_newhostkey"])
        .required_by("archive_prefix", &["archive"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Deploy software or files from git checkouts\n\nNeeds git on the host.",
        run,
    }
}

/// One call: the program, its environment and what is asked.
struct Git<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    program: String,
    /// Set for every call of git.
    env: Vec<(&'static str, String)>,
    umask: Option<u32>,
    /// The repository's address; a path on the host has become a `file://` address, so that depth works.
    url: String,
    dest: PathBuf,
    remote: &'a str,
    version: &'a str,
    bare: bool,
    depth: Option<i64>,
}

impl Git<'_, '_> {
    /// A git command, in the checkout where there is one.
    fn cmd<S: AsRef<str>>(&self, words: &[S]) -> Cmd {
        let mut c =
            Cmd::new([self.program.as_str()]).args(words.iter().map(|w| w.as_ref())).c_locale().umask(self.umask);
        for (k, v) in &self.env {
            c = c.env(k, v.clone());
        }
        if self.dest.is_dir() { c.cwd(self.dest.to_string_lossy()) } else { c }
    }
    fn must<S: AsRef<str>>(&self, words: &[S]) -> Result<Output, Failure> {
        self.cmd(words).must(self.ctx)
    }
    fn tried<S: AsRef<str>>(&self, words: &[S]) -> Result<Output, Failure> {
        self.cmd(words).tried(self.ctx)
    }
    /// The commit that is checked out.
    fn head(&self) -> Result<String, Failure> {
        Ok(self.tried(&["rev-parse", "HEAD"])?.out().trim_end_matches('\n').to_owned())
    }
    /// Where the repository's own files are: `.git`, what a `.git` file names, or a bare repository itself.
    fn git_dir(&self) -> Result<PathBuf, Failure> {
        if self.bare {
            return Ok(self.dest.clone());
        }
        let dot = self.dest.join(".git");
        if !dot.is_file() {
            return Ok(dot);
        }
        let text = std::fs::read_to_string(&dot)?;
        let at = text.trim_end().strip_prefix("gitdir: ").map(|p| self.dest.join(p.trim()));
        at.filter(|p| p.join("config").exists()).ok_or_else(|| {
            Failure::new(
                "Current repo does not have a valid reference to a separate Git dir or it refers to the invalid path",
            )
            .set("details", format!("{} does not name a repository", dot.display()))
        })
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let umask = umask_of(args.get("umask"))?;
    let (dest, clone) = (args.str("dest"), args.bool("clone"));
    if dest.is_empty() && clone {
        return Err("the destination directory must be specified unless clone=no".into());
    }
    for name in ["repo", "version", "remote", "refspec", "reference"] {
        if args.str(name).starts_with('-') {
            let value = args.str(name);
            return Err(Failure::new(format!(
                "{name} must not begin with a dash, git would take it for an option: {value}"
            )));
        }
    }
    let program = match args.opt_str("executable") {
        Some(p) => p.to_owned(),
        None => need_program(ctx, "git")?,
    };
    let given = super::expand_path(args.str("repo"));
    let (ssh, note) = ssh_command(ctx, args);
    let url = if given.starts_with('/') { format!("file://{given}") } else { args.str("repo").to_owned() };
    let git = Git {
        ctx,
        args,
        program,
        env: vec![("GIT_TERMINAL_PROMPT", "0".into()), ("GIT_SSH_COMMAND", ssh)],
        umask,
        url,
        dest: if dest.is_empty() { PathBuf::new() } else { plain_path(Path::new(dest))? },
        remote: args.str("remote"),
        version: args.str("version"),
        bare: args.bool("bare"),
        depth: args.opt_int("depth").filter(|d| *d > 0),
    };
    git.must(&["--version"])?;
    let mut o = git.deploy()?;
    o.warnings.extend(note);
    Ok(o)
}

impl Git<'_, '_> {
    fn deploy(&self) -> ModResult {
        let mut o = Outcome::ok().set("before", Json::Null);
        let here = !self.args.str("dest").is_empty() && self.git_dir()?.join("config").exists();
        o = if here { self.move_git_dir(o)? } else { o };
        let args = self.args;
        let (mut edited, mut url_changed) = (false, false);
        if !here {
            if self.ctx.check || !args.bool("clone") {
                let after = self.remote_commit(&self.url, false)?;
                o.changed = true;
                return self.with_diff(o, None, after);
            }
            o = self.clone(o)?;
        } else {
            let before = self.head()?;
            o = o.set("before", before.as_str());
            if !args.bool("update") {
                o = o.set("after", before.as_str());
                return if args.is_set("archive") { self.archive(o) } else { Ok(o) };
            }
            edited = self.is_edited()?;
            if edited {
                let msg = format!("Local modifications exist in the destination: {}", self.dest.display());
                if !args.bool("force") {
                    return Err(Failure::new(format!("{msg} (force=no).")).set("before", before));
                }
                if !self.ctx.check {
                    self.must(&["reset", "--hard", "HEAD"])?;
                    o.changed = true;
                    o = o.msg(msg);
                }
            }
            url_changed = self.point_remote()?;
            o = o.set("remote_url_changed", url_changed);
            if self.ctx.check {
                let after = self.remote_commit(self.remote, true)?;
                o.changed = before != after || url_changed;
                return self.with_diff(o, Some(before), after);
            }
            self.fetch()?;
        }
        if !self.bare {
            self.switch()?;
        }
        let submodules = args.bool("recursive") && !self.bare && self.fetch_submodules()?;
        if submodules {
            o = o.set("submodules_changed", true);
            self.update_submodules()?;
        }
        let before = o.data.get("before").and_then(Json::as_str).map(str::to_owned);
        let after = self.head()?;
        let moved = before.as_deref() != Some(after.as_str());
        if moved || edited || submodules || url_changed {
            o.changed = true;
            o = self.with_diff(o, before, after)?;
        } else {
            o = o.set("after", after);
        }
        if args.is_set("archive") { self.archive(o) } else { Ok(o) }
    }

    /// Sets `after`, and the diff of the two commits if one is wanted.
    fn with_diff(&self, o: Outcome, before: Option<String>, after: String) -> ModResult {
        let o = o.set("after", after.as_str());
        if !self.ctx.want_diff {
            return Ok(o);
        }
        let prepared = match before {
            None => format!(">> Newly checked out {after}"),
            Some(b) if b != after => self.diff_of(&b, &after)?,
            Some(_) => return Ok(o),
        };
        Ok(o.with_diff(Diff { prepared: Some(prepared), ..Diff::default() }))
    }

    /// Moves the repository to `separate_git_dir` if it is somewhere else.
    fn move_git_dir(&self, mut o: Outcome) -> ModResult {
        let Some(to) = self.args.opt_str("separate_git_dir") else { return Ok(o) };
        let to = super::support::fileargs::real_path(Path::new(to));
        let from = self.git_dir()?;
        if super::support::fileargs::real_path(&from) == to {
            return Ok(o);
        }
        o.changed = true;
        if self.ctx.check {
            return Ok(o);
        }
        if to.exists() {
            return Err(Failure::new(format!("Separate-git-dir path {} already exists.", to.display())));
        }
        let failed = |e: std::io::Error| Failure::new(format!("Unable to move git dir. {e}"));
        if std::fs::rename(&from, &to).is_err() {
            // Another file system: mv copies and removes.
            let (a, b) = (from.to_string_lossy(), to.to_string_lossy());
            Cmd::new(["mv", "--", &a, &b]).umask(self.umask).must(self.ctx)?;
        }
        let dot = self.dest.join(".git");
        if let Err(e) = std::fs::write(&dot, format!("gitdir: {}", to.display())) {
            let _ = std::fs::rename(&to, &from);
            return Err(failed(e));
        }
        let shown = |p: &Path| p.to_string_lossy().into_owned();
        Ok(o.set("git_dir_before", shown(&from)).set("git_dir_now", shown(&to)))
    }
}

/// An absolute path without `.` and `..`, by its words alone (`os.path.abspath`).
fn plain_path(p: &Path) -> std::io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for c in std::path::absolute(p)?.components() {
        match c {
            std::path::Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// The umask that is asked for: octal digits as text.
fn umask_of(v: &Json) -> Result<Option<u32>, Failure> {
    match v {
        Json::Null => Ok(None),
        Json::String(t) => u32::from_str_radix(t.trim_start_matches("0o"), 8).map(Some).map_err(|_| {
            Failure::new("umask must be an octal integer")
                .set("details", format!("invalid literal for int() with base 8: {}", super::support::pytext::repr(t)))
        }),
        _ => Err("umask must be defined as a quoted octal integer".into()),
    }
}

/// The ssh command line for git, with the options that are asked for; it never prompts. A warning, if ssh is too old.
fn ssh_command(ctx: &Ctx, args: &Args) -> (String, Option<String>) {
    let var = |name: &str| {
        let own = ctx.env.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
        own.or_else(|| std::env::var(name).ok()).filter(|v| !v.is_empty())
    };
    let mut words = vec![var("GIT_SSH").or_else(|| var("GIT_SSH_COMMAND")).unwrap_or_else(|| "ssh".into())];
    words.extend(var("GIT_SSH_OPTS"));
    let given = args.str("ssh_opts");
    words.extend((!given.is_empty()).then(|| given.to_owned()));
    let mut note = None;
    let mut new_hosts = args.bool("accept_newhostkey");
    if new_hosts && !Cmd::new(["ssh", "-o", "StrictHostKeyChecking=accept-new", "-V"]).run(ctx).is_ok_and(|o| o.ok()) {
        new_hosts = false;
        note = Some("Your ssh client does not support accept_newhostkey option, therefore it cannot be used.".into());
    }
    for (on, option) in [
        (args.bool("accept_hostkey"), "-o StrictHostKeyChecking=no"),
        (new_hosts, "-o StrictHostKeyChecking=accept-new"),
        (true, "-o BatchMode=yes"),
    ] {
        if on && !given.contains(option) {
            words.push(option.into());
        }
    }
    if let Some(key) = args.opt_str("key_file") {
        words.push(format!("-i {} -o IdentitiesOnly=yes", super::support::shlex::join(&[key.to_owned()])));
    }
    (words.join(" "), note)
}

#[cfg(test)]
mod tests;
