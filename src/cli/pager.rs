//! Long texts go through the pager if they go to a terminal.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// Shows the text: on a terminal with the program of the setting `PAGER` (its options from LESS), else as it is.
pub fn show(text: &str) {
    let pager = crate::settings::current().get("PAGER").and_then(|f| f.ok()).map(|f| f.value.to_str());
    if let Some(p) = pager.filter(|p| !p.is_empty() && std::io::stdout().is_terminal()) {
        let mut c = Command::new("sh");
        c.arg("-c").arg(&p).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            c.env("LESS", "FRSX");
        }
        if let Ok(mut child) = c.spawn() {
            if let Some(mut i) = child.stdin.take() {
                // who leaves the pager early has seen enough
                let _ = i.write_all(text.as_bytes());
            }
            if child.wait().is_ok_and(|s| s.code() != Some(127)) {
                return;
            }
        }
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
