//! `dirigo galaxy`, also as `ansible-galaxy`: roles and collections without a Galaxy server.

mod collection;
mod download;
mod role;

use super::config::Config;
use crate::diag::{Error, Result};
use crate::galaxy::{Fetching, Talk};
use camino::Utf8PathBuf;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Manage roles and collections.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand, Debug)]
enum Kind {
    /// Manage roles
    Role(role::Args),
    /// Manage collections
    Collection(Box<collection::Args>),
}

/// Options of every action.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Common {
    /// The Galaxy server (not supported: whatever needs one is refused)
    #[arg(short = 's', long = "server", value_name = "API_SERVER")]
    pub server: Option<String>,
    /// The key for the server (accepted; no server is asked)
    #[arg(long = "token", visible_alias = "api-key", value_name = "API_KEY")]
    pub token: Option<String>,
    /// Do not check certificates of downloads
    #[arg(short = 'c', long = "ignore-certs")]
    pub ignore_certs: bool,
    /// Seconds for a download
    #[arg(long, value_name = "TIMEOUT")]
    pub timeout: Option<u64>,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The words of an action that is refused, whatever they are.
#[derive(clap::Args, Debug)]
struct Refused {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// What every action begins with.
pub struct Start {
    pub config: Config,
    pub verbosity: u8,
    pub fetching: Fetching,
    color: bool,
}

impl Start {
    pub fn new(c: &Common) -> Result<Start> {
        let config = Config::load()?;
        let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let settings = crate::settings::current();
        let setting = |name: &str| settings.get(name).and_then(|f| f.ok()).map(|f| f.value);
        let seconds = c.timeout.or(setting("GALAXY_SERVER_TIMEOUT").and_then(|v| v.as_int()?.try_into().ok()));
        let ignore = c.ignore_certs || setting("GALAXY_IGNORE_CERTS").is_some_and(|v| v.truthy());
        let verbosity = c.verbose.max(config.number("verbosity")?.unwrap_or(0));
        if let Some(s) = &c.server {
            crate::output::show_warning(&format!("no Galaxy server is asked: --server {s} has no effect"), color);
        }
        let s = Start {
            verbosity,
            fetching: Fetching { timeout: Duration::from_secs(seconds.unwrap_or(60)), validate: !ignore },
            color,
            config,
        };
        s.config.tell(verbosity)?;
        Ok(s)
    }
    /// A line on standard output.
    pub fn say(&self, text: &str) {
        // a reader that went away ends the program by its signal
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
    pub fn warn(&self, text: &str) {
        crate::output::show_warning(text, self.color);
    }
    /// Runs `f` with both ways to talk.
    pub fn talking<T>(&self, f: impl FnOnce(Talk) -> T) -> T {
        f(Talk { say: &|t| self.say(t), warn: &|t| self.warn(t) })
    }
    /// Paths of options: each may hold several with colons between them.
    pub fn paths(&self, given: &[String]) -> Vec<Utf8PathBuf> {
        given
            .iter()
            .flat_map(|p| p.split(':'))
            .filter(|p| !p.is_empty())
            .map(|p| super::setup::absolute(crate::modules::expand_path(p).as_str().into()))
            .collect()
    }
    pub fn setting_paths(&self, name: &str) -> Vec<Utf8PathBuf> {
        let found = crate::settings::current().get(name).and_then(|f| f.ok());
        let list = found.as_ref().and_then(|f| f.value.as_list()).unwrap_or_default();
        list.iter().map(|v| Utf8PathBuf::from(v.to_str())).collect()
    }
}

/// Variables of `-e` for a skeleton.
fn more_vars(list: &[String]) -> Result<crate::value::Map> {
    super::setup::extra_vars(list, &crate::vault::Secrets::default())
}

/// The folder for something new; refuses one that is there, unless forced.
fn free(path: &Utf8PathBuf, force: bool) -> Result<()> {
    if path.is_file() {
        return Err(Error::general(format!("- the path {path} already exists, but is a file - aborting")));
    }
    if path.exists() && !force {
        return Err(Error::general(format!(
            "- the directory {path} already exists. You can use --force to re-initialize this directory,\n\
             however it will reset any main.yml files that may have\nbeen modified there already.\n"
        )));
    }
    Ok(())
}

/// Roles are what is meant where neither roles nor collections are named, as of old: `install x` is `role install x`.
pub fn with_kind(mut argv: Vec<OsString>) -> Vec<OsString> {
    const ACTIONS: [&str; 9] = ["init", "remove", "delete", "list", "search", "import", "setup", "info", "install"];
    let first = argv.iter().skip(2).position(|a| !a.to_string_lossy().starts_with('-')).map(|i| i + 2);
    if let Some(i) = first
        && argv.get(i).is_some_and(|a| ACTIONS.contains(&a.to_string_lossy().as_ref()))
    {
        let both = argv.get(i).is_some_and(|a| a == "install");
        argv.insert(i, "role".into());
        if both {
            // after the action, where its options stand
            argv.insert(i + 2, "--with-collections".into());
        }
    }
    argv
}

pub fn run(a: Args) -> Result<i32> {
    match a.kind {
        Kind::Role(r) => role::run(r),
        Kind::Collection(c) => collection::run(*c),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_old_form_means_roles() {
        let f = |s: &str| {
            let v = super::with_kind(s.split(' ').map(Into::into).collect());
            v.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(f("dirigo galaxy install -r x"), "dirigo galaxy role install --with-collections -r x");
        assert_eq!(f("dirigo galaxy -v list"), "dirigo galaxy -v role list");
        assert_eq!(f("dirigo galaxy role list"), "dirigo galaxy role list");
        assert_eq!(f("dirigo galaxy collection install a"), "dirigo galaxy collection install a");
    }
}
