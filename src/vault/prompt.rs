//! Asking for secrets on the terminal.

use crate::diag::{Error, Kind, Result};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;

/// Puts the terminal's settings back, also when reading fails.
struct Restore {
    tty: File,
    before: Termios,
}

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty.as_fd(), SetArg::TCSAFLUSH, &self.before);
        let _ = writeln!(&self.tty);
    }
}

/// Asks on the controlling terminal without echo; without a terminal the line is read from stdin.
/// The answer has no line end.
pub fn ask_secret(prompt: &str) -> Result<String> {
    ask(prompt, true)
}

/// Asks on the terminal; `hidden` switches the echo off.
pub fn ask(prompt: &str, hidden: bool) -> Result<String> {
    ask_or_end(prompt, hidden)?.ok_or_else(|| Error::new(Kind::General, "EOFError (ctrl-d) on prompt"))
}

/// As `ask`; None where the input ends without an answer.
pub fn ask_or_end(prompt: &str, hidden: bool) -> Result<Option<String>> {
    let mut line = String::new();
    let n = match File::options().read(true).write(true).open("/dev/tty") {
        Ok(tty) => {
            let _ = write!(&tty, "{prompt}");
            let _ = (&tty).flush();
            let guard = match (hidden, tcgetattr(tty.as_fd())) {
                (true, Ok(before)) => {
                    let mut quiet = before.clone();
                    quiet.local_flags.remove(LocalFlags::ECHO);
                    let _ = tcsetattr(tty.as_fd(), SetArg::TCSAFLUSH, &quiet);
                    tty.try_clone().ok().map(|tty| Restore { tty, before })
                }
                _ => None,
            };
            let n = BufReader::new(&tty).read_line(&mut line)?;
            drop(guard);
            n
        }
        Err(_) => {
            eprint!("{prompt}");
            let n = std::io::stdin().lock().read_line(&mut line)?;
            if hidden && n > 0 {
                eprintln!();
            }
            n
        }
    };
    Ok((n > 0).then(|| line.trim_end_matches(['\n', '\r']).to_string()))
}
