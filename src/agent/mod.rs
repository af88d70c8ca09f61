//! The process on the target: reads requests, runs modules, answers.
//!
//! One agent serves one host and one user for a whole run. The process that stands on the channel (the
//! [`supervisor`](supervise)) runs no module itself: it is single threaded and hands every request to a
//! forked [`worker`]. So a module that crashes, hangs or is cancelled takes nobody along, the process
//! groups it started can be killed as one, and requests cannot disturb each other's environment or working
//! directory. A worker that has answered waits for the next request, so that a task costs no fork.
//!
//! What other rooms may use: [`main`] (both binaries call it), [`MAGIC`].

mod content;
mod escalate;
mod foreign;
mod job;
mod supervise;
mod tree;
mod worker;

use std::io::Write;

/// The words before the agent's first frame, after the token of the session: everything before it is the
/// noise of login shells.
pub const MAGIC: &str = "DIRIGO-AGENT-HELLO";

/// Version of the protocol that controller and agent must share.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/2");

/// Runs the agent with these arguments (without the program's name) and ends the process.
///
/// - `serve TOKEN`: speaks frames on stdin and stdout.
/// - `tty TOKEN -- COMMAND…`: runs a command with a terminal of its own for password questions.
/// - `--version`: prints the version, which also proves that the file can be executed.
pub fn main(args: &[String]) -> ! {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["serve", token] => supervise::serve(token),
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
