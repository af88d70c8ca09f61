//! The command line: one file per command. The binary answers to Ansible's names too.

mod adhoc;
mod check;
mod common;
mod config;
mod configure;
mod console;
mod doc;
mod galaxy;
mod inventory;
mod locale;
mod modules;
mod pager;
mod playbook;
mod plugins;
mod pull;
mod refuse;
mod setup;
mod vault;

pub use common::{ConnectionArgs, InventoryArgs, RunArgs, VaultArgs};
pub use config::Config;

use crate::diag::Result;
use clap::{Parser, Subcommand};
use std::io::IsTerminal;

/// A drop-in replacement for Ansible's playbook engine.
#[derive(Parser, Debug)]
#[command(name = "dirigo", version = concat!(env!("CARGO_PKG_VERSION"), " [core 2.19.14]"), disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run playbooks (as ansible-playbook does).
    Playbook(Box<playbook::Args>),
    /// Run one module on hosts (as ansible does).
    Adhoc(Box<adhoc::Args>),
    /// Show hosts, groups and variables (as ansible-inventory does).
    Inventory(Box<inventory::Args>),
    /// Encrypt and decrypt files and values (as ansible-vault does).
    Vault(Box<vault::Args>),
    /// Show settings (as ansible-config does).
    Config(Box<configure::Args>),
    /// Manage roles and collections (as ansible-galaxy does, without a server).
    Galaxy(Box<galaxy::Args>),
    /// Run modules on hosts, interactively (as ansible-console does).
    Console(Box<console::Args>),
    /// Check a repository out and run its playbook here (as ansible-pull does).
    Pull(Box<pull::Args>),
    /// Show the documentation of modules and plug-ins (as ansible-doc does).
    Doc(Box<doc::Args>),
}

/// Runs the program; the exit code.
pub fn main() -> i32 {
    let argv: Vec<std::ffi::OsString> = std::env::args_os().collect();
    crate::transport::hidden_commands(crate::agent::Holds::all());
    end_when_nobody_reads();
    if let Some(words) = locale::complaint() {
        eprintln!("ERROR: {words}");
        return 1;
    }
    let name = argv
        .first()
        .and_then(|a| std::path::Path::new(a).file_name())
        .map(|f| f.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut command = "";
    let argv = match alias(&name) {
        Alias::Command(c) => {
            command = c;
            std::iter::once(argv.first().cloned().unwrap_or_default())
                .chain(std::iter::once(c.into()))
                .chain(argv.into_iter().skip(1))
                .collect()
        }
        Alias::Refused => {
            eprintln!("[ERROR]: {name} is not offered by dirigo; see dirigo --help for what is");
            return 2;
        }
        Alias::None => argv,
    };
    if !name.starts_with("dirigo") && argv.get(2).is_some_and(|a| a == "--version") {
        println!("{name} [core {}]\n  dirigo version = {}", crate::vars::ANSIBLE_VERSION, env!("CARGO_PKG_VERSION"));
        return 0;
    }
    let argv = if argv.get(1).is_some_and(|a| a == "galaxy") { galaxy::with_kind(argv) } else { argv };
    let cli = match Cli::try_parse_from(argv) {
        Ok(c) => c,
        Err(e) => {
            // called by Ansible's name, it does not tell of its own command
            let text = if e.use_stderr() && std::io::stderr().is_terminal()
                || !e.use_stderr() && std::io::stdout().is_terminal()
            {
                e.render().ansi().to_string()
            } else {
                e.render().to_string()
            };
            let text = if command.is_empty() { text } else { text.replace(&format!("{name} {command}"), &name) };
            if e.use_stderr() {
                eprint!("{text}")
            } else {
                print!("{text}")
            }
            return e.exit_code();
        }
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(e) => {
            let plain =
                |name| std::env::var(name).is_ok_and(|v| !v.is_empty() && crate::value::parse_bool(&v) != Some(false));
            let color = std::io::stderr().is_terminal() && !plain("NO_COLOR") && !plain("ANSIBLE_NOCOLOR");
            crate::output::show_error(&e, color);
            e.exit_code()
        }
    }
}

/// Output into a closed pipe (`dirigo ... | head`) ends the program quietly, as it ends other tools. Any other pipe that
/// breaks, that of an agent or a script which died, is an error of that write alone: one host must not end the run.
fn end_when_nobody_reads() {
    extern "C" fn broken(signal: libc::c_int) {
        let mut out = [1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
        // SAFETY: poll, signal and raise may be called in a signal handler; the array outlives the call
        unsafe {
            libc::poll(out.as_mut_ptr(), 2, 0);
            if out.iter().any(|o| o.revents & libc::POLLERR != 0) {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
    }
    // SAFETY: sets the action of a signal before any thread exists
    unsafe {
        libc::signal(libc::SIGPIPE, broken as extern "C" fn(libc::c_int) as libc::sighandler_t);
    }
}

enum Alias {
    Command(&'static str),
    Refused,
    None,
}

/// What a name of Ansible's stands for.
fn alias(name: &str) -> Alias {
    match name {
        "ansible-playbook" => Alias::Command("playbook"),
        "ansible" => Alias::Command("adhoc"),
        "ansible-inventory" => Alias::Command("inventory"),
        "ansible-vault" => Alias::Command("vault"),
        "ansible-config" => Alias::Command("config"),
        "ansible-galaxy" => Alias::Command("galaxy"),
        "ansible-console" => Alias::Command("console"),
        "ansible-pull" => Alias::Command("pull"),
        "ansible-doc" => Alias::Command("doc"),
        n if n.starts_with("ansible-") => Alias::Refused,
        _ => Alias::None,
    }
}

/// Runs a command line that one command makes for another.
fn run_argv(argv: Vec<String>) -> Result<i32> {
    let cli = Cli::try_parse_from(argv).map_err(|e| crate::diag::Error::options(e.to_string()))?;
    run(cli.command)
}

fn run(c: Command) -> Result<i32> {
    match c {
        Command::Playbook(a) => playbook::run(*a),
        Command::Adhoc(a) => adhoc::run(*a),
        Command::Inventory(a) => inventory::run(*a),
        Command::Vault(a) => vault::run(*a),
        Command::Config(a) => configure::run(*a),
        Command::Galaxy(a) => galaxy::run(*a),
        Command::Console(a) => console::run(*a),
        Command::Pull(a) => pull::run(*a),
        Command::Doc(a) => doc::run(*a),
    }
}
