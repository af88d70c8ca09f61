//! `dirigo pull`, also as `ansible-pull`: brings a repository of playbooks here and runs one of them on this host.

use super::common::{InventoryArgs, VaultArgs};
use super::config::Config;
use crate::diag::{Error, Result};
use crate::pyjson::py_json_indent;
use crate::value::{Map, Value};
use camino::{Utf8Path, Utf8PathBuf};
use rand::Rng;
use std::io::IsTerminal;
use std::process::Command;

/// Check a repository out and run its playbook.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The playbooks, relative to the repository; else HOST.yml or local.yml
    #[arg(value_name = "PLAYBOOK")]
    playbooks: Vec<String>,
    /// The repository
    #[arg(short = 'U', long, value_name = "URL")]
    url: Option<String>,
    /// Where it is checked out; else ~/.ansible/pull/HOST
    #[arg(short = 'd', long, value_name = "DEST")]
    directory: Option<String>,
    /// Branch, tag or commit
    #[arg(short = 'C', long, value_name = "CHECKOUT")]
    checkout: Option<String>,
    /// How the repository is brought here: git
    #[arg(short = 'm', long, value_name = "MODULE_NAME", default_value = "git")]
    module_name: String,
    /// Remove the checkout after the run
    #[arg(long)]
    purge: bool,
    /// Run the playbook only if the repository brought something new
    #[arg(short = 'o', long)]
    only_if_changed: bool,
    /// Wait a random time of at most this many seconds first
    #[arg(short = 's', long, value_name = "SLEEP")]
    sleep: Option<String>,
    /// Run the playbook even if the repository cannot be had
    #[arg(short = 'f', long)]
    force: bool,
    /// Clone with the whole history
    #[arg(long)]
    full: bool,
    /// Take a host key that is not known yet
    #[arg(long)]
    accept_host_key: bool,
    /// The commit must have a valid signature
    #[arg(long)]
    verify_commit: bool,
    /// Discard changes of the checkout
    #[arg(long)]
    clean: bool,
    /// Submodules follow their branches
    #[arg(long)]
    track_subs: bool,
    /// Say what would change; change nothing
    #[arg(long)]
    check: bool,
    /// Show what changes
    #[arg(long)]
    diff: bool,
    /// Run only plays and tasks with one of these tags
    #[arg(short = 't', long, value_name = "TAGS")]
    tags: Vec<String>,
    /// Leave out plays and tasks with one of these tags
    #[arg(long, value_name = "SKIP_TAGS")]
    skip_tags: Vec<String>,
    /// Variables: key=value, JSON, YAML, or @FILE
    #[arg(short = 'e', long = "extra-vars", value_name = "EXTRA_VARS", allow_hyphen_values = true)]
    extra_vars: Vec<String>,
    /// Directories of more modules
    #[arg(short = 'M', long = "module-path", value_name = "PATH")]
    module_path: Vec<String>,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    inventory: InventoryArgs,
    #[command(flatten)]
    vault: VaultArgs,
    /// Ask for the connection password
    #[arg(short = 'k', long = "ask-pass")]
    ask_pass: bool,
    /// File with the connection password
    #[arg(long, visible_alias = "conn-pass-file", value_name = "FILE")]
    connection_password_file: Option<String>,
    /// Ask for the become password
    #[arg(short = 'K', long = "ask-become-pass")]
    ask_become_pass: bool,
    /// File with the become password
    #[arg(long, visible_alias = "become-pass-file", value_name = "FILE")]
    become_password_file: Option<String>,
    /// Private key, for the repository too
    #[arg(long = "private-key", visible_alias = "key-file", value_name = "FILE")]
    private_key: Option<String>,
    /// Connect as this user
    #[arg(short = 'u', long = "user", value_name = "REMOTE_USER")]
    user: Option<String>,
    /// Connection to use
    #[arg(short = 'c', long = "connection", value_name = "CONNECTION")]
    connection: Option<String>,
    /// Seconds for a connection to come about
    #[arg(short = 'T', long = "timeout", value_name = "TIMEOUT")]
    timeout: Option<String>,
    /// Arguments for ssh, sftp and scp alike
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    ssh_common_args: Option<String>,
    /// Arguments for sftp only
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    sftp_extra_args: Option<String>,
    /// Arguments for scp only
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    scp_extra_args: Option<String>,
    /// Arguments for ssh only
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    ssh_extra_args: Option<String>,
}

/// The names of this host, the fullest first.
fn names() -> Vec<String> {
    let out = |args: &[&str]| {
        let o = Command::new("hostname").args(args).output().ok()?;
        let text = String::from_utf8_lossy(&o.stdout).trim().to_string();
        (o.status.success() && !text.is_empty()).then_some(text)
    };
    let node = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let full = out(&["-f"]).unwrap_or_else(|| node.clone());
    let short = |s: &str| s.split('.').next().unwrap_or_default().to_string();
    let mut all = vec![];
    for n in [full.clone(), node.clone(), short(&full), short(&node)] {
        if !n.is_empty() && !all.contains(&n) {
            all.push(n);
        }
    }
    all
}

pub fn run(a: Args) -> Result<i32> {
    let config = Config::load()?;
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let Some(url) = a.url.clone() else {
        return Err(Error::options("URL for repository not specified, use -h for help"));
    };
    if a.module_name != "git" && a.module_name != "ansible.builtin.git" {
        return Err(Error::options(format!("'{}' is not supported for pulling", a.module_name))
            .help("keep the playbooks in a git repository (-m git)"));
    }
    let names = names();
    let host = names.first().cloned().unwrap_or_else(|| "localhost".into());
    let dest = match &a.directory {
        Some(d) => crate::playbook::clean(&super::setup::absolute(crate::modules::expand_path(d).as_str().into())),
        None => {
            let home = crate::settings::current().get("ANSIBLE_HOME").and_then(|f| f.ok()).map(|f| f.value.to_str());
            let home = home.unwrap_or_else(|| crate::modules::expand_path("~/.ansible"));
            Utf8PathBuf::from(home).join("pull").join(&host)
        }
    };
    if let Some(s) = &a.sleep {
        let most: u64 = s.parse().map_err(|_| Error::options(format!("{s} is not a number.")))?;
        let wait = rand::rng().random_range(0..=most);
        println!("Sleeping for {wait} seconds...");
        std::thread::sleep(std::time::Duration::from_secs(wait));
    }
    let verbosity = a.verbose.max(config.number("verbosity")?.unwrap_or(0));
    config.tell(verbosity)?;
    let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    println!("Starting Ansible Pull at {now}");
    let typed: Vec<String> = std::env::args().collect();
    println!("{}", typed.join(" "));
    let checkout = Checkout { args: &a, url: &url, dest: &dest };
    match checkout.bring() {
        Ok(state) => {
            println!("{}", state.text());
            if a.only_if_changed && !state.changed() {
                println!("Repository has not changed, quitting.");
                return Ok(0);
            }
        }
        Err(e) => {
            let told = Error::general(format!("Task failed: Module failed: {}", e.message()));
            crate::output::show_error(&told, color);
            println!("localhost | FAILED! => {}", failure(&e));
            if !a.force {
                return Ok(2);
            }
            crate::output::show_warning(
                "Unable to update repository. Continuing with (forced) run of playbook.",
                color,
            );
        }
    }
    let chosen = choose(&a, &dest, &names).map_err(|tried| {
        crate::output::show_warning(&tried, color);
        Error::options("Could not find a playbook to run.")
    })?;
    let limit = a.inventory.limit.clone().unwrap_or_else(|| {
        let mut l = vec!["localhost".to_string()];
        l.extend(names.iter().filter(|n| *n != "localhost").cloned());
        l.push("127.0.0.1".into());
        l.join(",")
    });
    let argv = playbook_argv(&a, &chosen, &limit, verbosity);
    std::env::set_current_dir(&dest).map_err(|e| Error::general(format!("cannot change to {dest}: {e}")))?;
    let code = super::run_argv(argv);
    if a.purge {
        std::env::set_current_dir("/")?;
        if let Err(e) = std::fs::remove_dir_all(&dest) {
            crate::output::show_warning(&format!("Failed to remove: {dest}, {e}"), color);
        }
    }
    code
}

/// A failure as an ad-hoc command would show it.
fn failure(e: &Error) -> String {
    let m: Map = [("changed".into(), false.into()), ("msg".into(), e.message().into())].into_iter().collect();
    py_json_indent(&Value::map(m), 4)
}

/// The playbooks to run; else what was looked for.
fn choose(a: &Args, dest: &Utf8Path, names: &[String]) -> std::result::Result<Vec<Utf8PathBuf>, String> {
    let missing = |p: &Utf8Path| format!("{p}: File does not exist");
    if !a.playbooks.is_empty() {
        let all: Vec<Utf8PathBuf> = a.playbooks.iter().map(|p| dest.join(p)).collect();
        return match all.iter().find(|p| !p.is_file()) {
            Some(p) => Err(missing(p)),
            None => Ok(all),
        };
    }
    let mut tried: Vec<Utf8PathBuf> = names.iter().map(|n| dest.join(format!("{n}.yml"))).collect();
    tried.push(dest.join("local.yml"));
    match tried.iter().find(|p| p.is_file()) {
        Some(p) => Ok(vec![p.clone()]),
        None => Err(tried.iter().map(|p| missing(p) + "\n").collect()),
    }
}

/// The command line of the playbook run.
fn playbook_argv(a: &Args, books: &[Utf8PathBuf], limit: &str, verbosity: u8) -> Vec<String> {
    let mut out: Vec<String> = vec!["dirigo".into(), "playbook".into()];
    for i in &a.inventory.inventory {
        let own = if i.contains(',') || !Utf8Path::new(i).exists() {
            i.clone()
        } else {
            super::setup::absolute(i.as_str().into()).to_string()
        };
        out.push(format!("--inventory={own}"));
    }
    let lists = [
        ("extra-vars", &a.extra_vars),
        ("tags", &a.tags),
        ("skip-tags", &a.skip_tags),
        ("module-path", &a.module_path),
        ("vault-id", &a.vault.vault_id),
        ("vault-password-file", &a.vault.vault_password_file),
    ];
    for (name, values) in lists {
        out.extend(values.iter().map(|v| format!("--{name}={v}")));
    }
    let ones = [
        ("connection-password-file", &a.connection_password_file),
        ("become-password-file", &a.become_password_file),
        ("private-key", &a.private_key),
        ("user", &a.user),
        ("connection", &a.connection),
        ("timeout", &a.timeout),
        ("ssh-common-args", &a.ssh_common_args),
        ("sftp-extra-args", &a.sftp_extra_args),
        ("scp-extra-args", &a.scp_extra_args),
        ("ssh-extra-args", &a.ssh_extra_args),
    ];
    for (name, value) in ones {
        out.extend(value.iter().map(|v| format!("--{name}={v}")));
    }
    let flags = [
        ("check", a.check),
        ("diff", a.diff),
        ("list-hosts", a.inventory.list_hosts),
        ("flush-cache", a.inventory.flush_cache),
        ("ask-pass", a.ask_pass),
        ("ask-become-pass", a.ask_become_pass),
        ("ask-vault-password", a.vault.ask_vault_password),
    ];
    out.extend(flags.iter().filter(|(_, on)| *on).map(|(n, _)| format!("--{n}")));
    if verbosity > 0 {
        out.push(format!("-{}", "v".repeat(verbosity.into())));
    }
    out.push(format!("--limit={limit}"));
    out.extend(books.iter().map(ToString::to_string));
    out
}

/// The repository and where it goes.
struct Checkout<'a> {
    args: &'a Args,
    url: &'a str,
    dest: &'a Utf8Path,
}

/// Before and after.
struct State {
    before: Option<String>,
    after: String,
    url_changed: Option<bool>,
    /// Changes of the checkout were discarded.
    cleaned: Option<String>,
}

impl State {
    fn changed(&self) -> bool {
        self.before.as_ref() != Some(&self.after) || self.url_changed == Some(true) || self.cleaned.is_some()
    }
    fn text(&self) -> String {
        let mut m = Map::new();
        m.insert("after".into(), self.after.as_str().into());
        m.insert("before".into(), self.before.as_deref().map(Value::from).unwrap_or(Value::Null));
        m.insert("changed".into(), self.changed().into());
        if let Some(c) = &self.cleaned {
            m.insert("msg".into(), c.as_str().into());
        }
        if let Some(u) = self.url_changed {
            m.insert("remote_url_changed".into(), u.into());
        }
        let word = if self.changed() { "CHANGED" } else { "SUCCESS" };
        format!("localhost | {word} => {}", py_json_indent(&Value::map(m), 4))
    }
}

impl Checkout<'_> {
    fn git(&self, args: &[&str], dir: Option<&Utf8Path>) -> Result<String> {
        let mut c = Command::new("git");
        c.args(args);
        if let Some(d) = dir {
            c.current_dir(d);
        }
        let mut ssh = vec!["ssh".to_string()];
        if let Some(k) = &self.args.private_key {
            let k = super::setup::absolute(crate::modules::expand_path(k).as_str().into());
            ssh.extend([
                "-i".into(),
                crate::modules::support::shlex::quote(k.as_str()),
                "-o IdentitiesOnly=yes".into(),
            ]);
        }
        if self.args.accept_host_key {
            ssh.push("-o StrictHostKeyChecking=accept-new".into());
        }
        if ssh.len() > 1 {
            c.env("GIT_SSH_COMMAND", ssh.join(" "));
        }
        let out = c.output().map_err(|e| Error::general(format!("Failed to find required executable \"git\": {e}")))?;
        if !out.status.success() {
            return Err(Error::general(String::from_utf8_lossy(&out.stderr).trim_end().to_string()));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_string())
    }

    /// Clones, or brings the checkout up to date.
    fn bring(&self) -> Result<State> {
        let version = self.args.checkout.as_deref();
        if version.is_some_and(|v| v.starts_with('-')) {
            return Err(Error::general(format!("'{}' is no branch, tag or commit", version.unwrap_or_default())));
        }
        let there = self.dest.join(".git").exists();
        let mut state = State { before: None, after: String::new(), url_changed: None, cleaned: None };
        // git clones by path without regard to depth
        let local = self.url.starts_with('/') || Utf8Path::new(self.url).is_dir();
        let url = match local {
            true => format!("file://{}", super::setup::absolute(self.url.into())),
            false => self.url.to_string(),
        };
        if there {
            state.before = self.git(&["rev-parse", "HEAD"], Some(self.dest)).ok();
            state.cleaned = self.clean()?;
            state.url_changed = Some(self.update(&url)?);
        } else {
            if let Some(p) = self.dest.parent() {
                std::fs::create_dir_all(p)?;
            }
            // a commit is in no shallow clone of a branch
            let shallow = !self.args.full && version.is_none();
            let mut args = vec!["clone", "--origin", "origin"];
            if shallow {
                args.extend(["--depth", "1"]);
            }
            args.extend(["--", url.as_str(), self.dest.as_str()]);
            self.git(&args, None)?;
        }
        self.switch(version)?;
        if self.args.verify_commit {
            self.git(&["verify-commit", "HEAD"], Some(self.dest))
                .map_err(|e| e.context("Failed to verify GPG signature of commit/tag"))?;
        }
        if self.dest.join(".gitmodules").exists() {
            self.git(&["submodule", "sync", "--recursive"], Some(self.dest))?;
            let mut args = vec!["submodule", "update", "--init", "--recursive"];
            if self.args.track_subs {
                args.push("--remote");
            }
            self.git(&args, Some(self.dest))?;
        }
        state.after = self.git(&["rev-parse", "HEAD"], Some(self.dest))?;
        Ok(state)
    }

    /// Discards changes of the checkout if that is asked for, else they are an error.
    fn clean(&self) -> Result<Option<String>> {
        let modified = self.git(&["status", "--porcelain", "--untracked-files=no"], Some(self.dest))?;
        if !modified.is_empty() {
            let told = format!("Local modifications exist in the destination: {}", self.dest);
            if !self.args.clean {
                return Err(Error::general(format!("{told} (force=no).")));
            }
            self.git(&["reset", "--hard", "HEAD"], Some(self.dest))?;
            return Ok(Some(told));
        }
        Ok(None)
    }

    /// Fetches what is new; true if the repository was another one.
    fn update(&self, url: &str) -> Result<bool> {
        let old = self.git(&["remote", "get-url", "origin"], Some(self.dest)).unwrap_or_default();
        let bare = |u: &str| u.strip_prefix("file://").unwrap_or(u).to_string();
        let changed = bare(&old) != bare(url);
        if changed {
            self.git(&["remote", "set-url", "origin", "--", url], Some(self.dest))?;
        }
        let shallow = self.git(&["rev-parse", "--is-shallow-repository"], Some(self.dest))? == "true";
        let mut args = vec!["fetch", "--tags", "--force"];
        if self.args.checkout.is_some() || self.args.full {
            if shallow {
                args.push("--unshallow");
            }
        } else if shallow {
            args.extend(["--depth", "1"]);
        }
        // a clone of depth 1 follows one branch alone
        args.extend(["origin", "+refs/heads/*:refs/remotes/origin/*"]);
        self.git(&args, Some(self.dest))?;
        // which branch is the main one may have changed; a server that does not tell leaves it as it is
        let _ = self.git(&["remote", "set-head", "origin", "-a"], Some(self.dest));
        Ok(changed)
    }

    fn switch(&self, version: Option<&str>) -> Result<()> {
        let known = |r: &str| self.git(&["rev-parse", "--verify", "--quiet", r], Some(self.dest)).is_ok();
        let branch = match version {
            Some(v) => known(&format!("refs/remotes/origin/{v}")).then(|| v.to_string()),
            None => {
                let head = self.git(&["symbolic-ref", "--short", "refs/remotes/origin/HEAD"], Some(self.dest));
                head.ok().and_then(|h| h.strip_prefix("origin/").map(str::to_string))
            }
        };
        match (branch, version) {
            (Some(b), _) => {
                let remote = format!("origin/{b}");
                self.git(&["checkout", "--force", "-B", &b, &remote], Some(self.dest))?;
            }
            (None, Some(v)) => {
                self.git(&["checkout", "--force", v], Some(self.dest))
                    .map_err(|e| e.context(format!("Failed to checkout {v}")))?;
            }
            (None, None) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playbooks_are_chosen_by_host() {
        let dir = tempfile::tempdir().expect("a directory");
        let dest = Utf8Path::from_path(dir.path()).expect("UTF-8");
        let args = |books: &[&str]| {
            use clap::Parser;
            #[derive(Parser)]
            struct P {
                #[command(flatten)]
                a: Args,
            }
            P::parse_from(["x", "-U", "u"].iter().chain(books)).a
        };
        let names = ["web.example".to_string(), "web".into()];
        assert!(choose(&args(&[]), dest, &names).is_err_and(|t| t.contains("web.yml") && t.contains("local.yml")));
        std::fs::write(dest.join("local.yml"), "").expect("written");
        assert_eq!(choose(&args(&[]), dest, &names), Ok(vec![dest.join("local.yml")]));
        std::fs::write(dest.join("web.yml"), "").expect("written");
        assert_eq!(choose(&args(&[]), dest, &names), Ok(vec![dest.join("web.yml")]));
        assert!(choose(&args(&["nope.yml", "web.yml"]), dest, &names).is_err());
        let line = playbook_argv(&args(&["--check", "-e", "a=b", "-vv"]), &[dest.join("web.yml")], "localhost", 2);
        assert_eq!(
            line.get(2..6).map(|l| l.join(" ")).as_deref(),
            Some("--extra-vars=a=b --check -vv --limit=localhost")
        );
    }
}
