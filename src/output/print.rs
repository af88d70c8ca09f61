//! The one way out: lines to standard output and error, and to the log file if there is one.

use super::style::Style;
use crate::diag::{Error, Result};
use camino::Utf8Path;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

/// The log file, with the verbosity that it is written at.
struct Log {
    file: File,
    verbosity: u8,
}

static LOG: Mutex<Option<Log>> = Mutex::new(None);

/// Writes everything that is shown to this file too, dated; messages up to `verbosity` even if they are not shown.
pub fn open_log(path: &Utf8Path, verbosity: u8) -> Result<()> {
    let file =
        File::options().create(true).append(true).open(path).map_err(|e| {
            Error::options(format!("log file at '{path}' is not writeable and we cannot create it: {e}"))
        })?;
    *LOG.lock().unwrap_or_else(|e| e.into_inner()) = Some(Log { file, verbosity });
    Ok(())
}

/// True if messages of this verbosity go into a log file.
pub fn logs(verbosity: u8) -> bool {
    LOG.lock().unwrap_or_else(|e| e.into_inner()).as_ref().is_some_and(|l| l.verbosity >= verbosity)
}

/// Writes to the log file alone.
pub fn log(level: &str, text: &str) {
    let mut log = LOG.lock().unwrap_or_else(|e| e.into_inner());
    let Some(l) = log.as_mut() else { return };
    let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
    let text = text.trim_start_matches('\n');
    // a full disk ends the log, not the run
    let _ = writeln!(l.file, "{now} p={} u={} n=ansible {level}| {text}", std::process::id(), user());
}

fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|u| u.name).unwrap_or_default()
}

/// A line (or several) on standard output.
pub fn out(text: &str, style: Style, color: bool) {
    // in one piece: who reads only so far must not break what comes after; a closed pipe ends the output alone
    let _ = std::io::stdout().lock().write_all((style.paint(text, color) + "\n").as_bytes());
    if !text.is_empty() {
        log("INFO", text);
    }
}

/// A line (or several) on standard error.
pub fn err(text: &str, style: Style, color: bool) {
    let _ = std::io::stderr().lock().write_all((style.paint(text, color) + "\n").as_bytes());
    let level = match style {
        Style::Warn => "WARNING",
        Style::Error if text.starts_with("[ERROR]") => "ERROR",
        _ => "INFO",
    };
    log(level, text);
}

/// A message for those who asked for it with `-v`: shown from this verbosity on.
pub fn verbose(text: &str, level: u8, verbosity: u8, color: bool) {
    if verbosity >= level {
        out(text, Style::Verbose, color);
    } else if logs(level) {
        log("INFO", text);
    }
}
