//! Lookups of the controller's processes: `env`, `pipe`, `lines`.

use super::Call;
use crate::diag::{Error, Result};
use crate::value::Value;
use std::process::{Command, Stdio};

pub(super) fn env(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in call.texts()? {
        let name = term.split_whitespace().next().unwrap_or("");
        out.push(match std::env::var_os(name) {
            Some(v) => Value::plain(v.to_string_lossy().into_owned()),
            None => call.option("default").cloned().unwrap_or_else(|| Value::plain("")),
        });
    }
    Ok(out)
}

/// Runs a command with the shell in the playbook's folder; its standard output.
fn output(call: &Call<'_>, name: &str, command: &str) -> Result<String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let dir = &call.r.scope.files.playbook_dir;
    if dir.is_dir() {
        shell.current_dir(dir);
    }
    let done = shell
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|e| Error::template(format!("cannot run '{command}': {e}")))?;
    if !done.status.success() {
        use std::os::unix::process::ExitStatusExt;
        let code = done.status.code().unwrap_or_else(|| -done.status.signal().unwrap_or(1));
        return Err(Error::template(format!("lookup_plugin.{name}({command}) returned {code}")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

pub(super) fn pipe(call: &Call<'_>) -> Result<Vec<Value>> {
    call.shown()?.iter().map(|c| output(call, "pipe", c).map(|o| Value::plain(o.trim_end()))).collect()
}

pub(super) fn lines(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for command in call.texts()? {
        out.extend(output(call, "lines", &command)?.lines().map(Value::plain));
    }
    Ok(out)
}
