//! The process on the target: reads requests, runs modules, answers.
//!
//! One agent serves one host and one user for a whole run. The process that stands on the channel (the
//! [`supervisor`](supervise)) runs no module itself: it is single threaded and hands every request to a
//! forked [`worker`]. So a module that crashes, hangs or is cancelled takes nobody along, the process
//! groups it started can be killed as one, and requests cannot disturb each other's environment or working
//! directory. A worker that has answered waits for the next request, so that a task costs no fork.
//!
//! The agent lies in two files, so that most hosts get a small one ([`second`]): a worker for a module of the second
//! is forked as always and becomes that file.
//!
//! What other rooms may use: [`main`] (all binaries call it), [`MAGIC`].

mod content;
mod escalate;
mod foreign;
mod job;
mod second;
pub(crate) mod stdio;
mod supervise;
mod tree;
mod worker;

use crate::modules::{self, Module};
use std::io::Write;
use std::sync::OnceLock;

/// The words before the agent's first frame, after the token of the session: everything before it is the
/// noise of login shells.
pub const MAGIC: &str = "DIRIGO-AGENT-HELLO";

/// Version of the protocol that controller and agent must share.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/3");

/// Which modules an executable has. An executable holds the code of what its `main` names here and no more.
#[derive(Clone, Copy)]
pub struct Holds {
    /// The list, made when the first module runs.
    pub modules: fn() -> Vec<Module>,
    /// Whether these are all there are.
    pub whole: bool,
    /// Runs modules that came along.
    foreign: Option<worker::RunForeign>,
}

impl Holds {
    /// What the file has that every host gets.
    pub const fn first() -> Holds {
        Holds { modules: modules::first, whole: false, foreign: None }
    }
    /// What the other file has; modules that are not built in run there, too.
    pub const fn second() -> Holds {
        Holds { modules: modules::second, whole: false, foreign: Some(worker::answer_foreign) }
    }
    /// All modules.
    pub const fn all() -> Holds {
        fn both() -> Vec<Module> {
            let mut all = modules::first();
            all.append(&mut modules::second());
            all
        }
        Holds { modules: both, whole: true, foreign: Some(worker::answer_foreign) }
    }
}

static HOLDS: OnceLock<Holds> = OnceLock::new();

/// Whether this process has all modules.
fn whole() -> bool {
    HOLDS.get().is_some_and(|h| h.whole)
}

/// How this executable runs modules that came along, if it can.
fn foreign() -> Option<worker::RunForeign> {
    HOLDS.get().and_then(|h| h.foreign)
}

/// A module of this executable.
fn find(name: &str) -> Option<&'static Module> {
    static MODULES: OnceLock<Vec<Module>> = OnceLock::new();
    modules::find_in(MODULES.get_or_init(|| HOLDS.get().map(|h| (h.modules)()).unwrap_or_default()), name)
}

/// Runs the agent with these arguments (without the program's name) and ends the process.
///
/// - `serve TOKEN`: speaks frames on stdin and stdout.
/// - `work VERSION FD`: is a worker of the agent that became this file; FD is its socket.
/// - `tty TOKEN -- COMMAND…`: runs a command with a terminal of its own for password questions.
/// - `--version`: prints the version, which also proves that the file can be executed.
pub fn main(holds: Holds, args: &[String]) -> ! {
    let _ = HOLDS.set(holds);
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["serve", token] => supervise::serve(token),
        ["work", version, fd] => match fd.parse() {
            Ok(fd) => second::work(version, fd),
            Err(_) => 2,
        },
        ["tty", token, "--", command @ ..] if !command.is_empty() => escalate::run(token, command),
        ["--version"] => {
            let _ = writeln!(std::io::stdout(), "dirigo-agent {VERSION}");
            0
        }
        _ => {
            let _ = writeln!(std::io::stderr(), "dirigo-agent {VERSION}: started by dirigo on targets, not by hand");
            2
        }
    };
    std::process::exit(code)
}
