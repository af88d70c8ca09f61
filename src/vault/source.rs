//! Where vault secrets come from: files, executable scripts, client scripts, prompts.

use super::prompt::ask_secret;
use super::{Secret, Secrets, is_envelope};
use crate::diag::{Error, Kind, Result};
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

/// What the command line, the configuration and the environment say about vault secrets.
#[derive(Clone, Debug, Default)]
pub struct VaultSources {
    /// `--vault-id [label@]source`, after those of ANSIBLE_VAULT_IDENTITY_LIST / `vault_identity_list`.
    pub vault_ids: Vec<String>,
    /// `--vault-password-file`, after ANSIBLE_VAULT_PASSWORD_FILE / `vault_password_file`.
    pub password_files: Vec<String>,
    /// `--ask-vault-pass`.
    pub ask: bool,
    /// The label of secrets without one (ANSIBLE_VAULT_IDENTITY; empty means `default`).
    pub default_label: String,
    /// Try only secrets whose label is the envelope's (ANSIBLE_VAULT_ID_MATCH).
    pub match_ids: bool,
    /// Words for asking: a new secret (asked twice) or an existing one.
    pub new_secret: bool,
    /// Told of sources that could not be had while others could.
    pub warn: Option<fn(&str)>,
}

impl VaultSources {
    /// Adds what the ANSIBLE_VAULT_* variables say, in front of what was given.
    pub fn add_environment(&mut self) {
        let var = |n: &str| std::env::var(n).ok().filter(|v| !v.is_empty());
        if let Some(list) = var("ANSIBLE_VAULT_IDENTITY_LIST") {
            let ids = list.split(',').map(|s| s.trim().to_string()).filter(|s| !s.is_empty());
            self.vault_ids.splice(0..0, ids);
        }
        if let Some(file) = var("ANSIBLE_VAULT_PASSWORD_FILE") {
            self.password_files.insert(0, file);
        }
        if self.default_label.is_empty() {
            self.default_label = var("ANSIBLE_VAULT_IDENTITY").unwrap_or_default();
        }
        if let Some(v) = var("ANSIBLE_VAULT_ID_MATCH") {
            self.match_ids = crate::value::parse_bool(&v).unwrap_or(false);
        }
    }

    fn label(&self) -> &str {
        if self.default_label.is_empty() { "default" } else { &self.default_label }
    }

    /// Reads, runs and asks for every secret, in order. Files that cannot be had are warnings as long as one
    /// secret is found, else the last of them is the error; a prompt without answer ends it.
    pub fn load(&self) -> Result<Secrets> {
        let mut list: Vec<(Arc<str>, Secret)> = Vec::new();
        let mut lost: Vec<(String, Error)> = Vec::new();
        for id in &self.vault_ids {
            let (label, source) = match id.split_once('@') {
                Some((l, s)) if !l.is_empty() => (l, s),
                Some((_, s)) => (self.label(), s),
                None => (self.label(), id.as_str()),
            };
            let secret = match source {
                "prompt" => self.prompt(label, true)?,
                "prompt_ask_vault_pass" => self.prompt(label, false)?,
                file => match self.file(label, file, &list) {
                    Ok(s) => s,
                    Err(e) => {
                        lost.push((label.to_string(), e));
                        continue;
                    }
                },
            };
            list.push((label.into(), secret));
        }
        for file in &self.password_files {
            match self.file(self.label(), file, &list) {
                Ok(secret) => list.push((self.label().into(), secret)),
                Err(e) => lost.push((self.label().to_string(), e)),
            }
        }
        if self.ask {
            list.push((self.label().into(), self.prompt(self.label(), false)?));
        }
        if list.is_empty()
            && let Some((_, e)) = lost.pop()
        {
            return Err(e);
        }
        for (label, e) in lost {
            let missing = e.message().ends_with("was not found");
            let what =
                if missing { "Error getting vault password file" } else { "Error in vault password file loading" };
            if let Some(warn) = self.warn {
                warn(&format!("{what} ({label}): {}", e.message()));
            }
        }
        Ok(Secrets::new(list, self.match_ids))
    }

    /// Asks once, or twice for a new secret. `with_label`: the prompt names the id.
    fn prompt(&self, label: &str, with_label: bool) -> Result<Secret> {
        let words = match with_label {
            true => ["Vault", "New vault", "Confirm new vault"].map(|w| format!("{w} password ({label}): ")),
            false => ["Vault", "New Vault", "Confirm New Vault"].map(|w| format!("{w} password: ")),
        };
        let [old, new, again] = words;
        let ask = |text: &str| ask_secret(text).map_err(|e| Error::new(Kind::Vault, format!("{e} for ({label})")));
        let first = ask(if self.new_secret { &new } else { &old })?;
        if self.new_secret && ask(&again)? != first {
            return Err(Error::new(Kind::Vault, "Passwords do not match"));
        }
        if first.is_empty() {
            return Err(Error::new(Kind::Vault, "Invalid vault password was provided"));
        }
        Ok(Secret::new(first))
    }

    fn file(&self, label: &str, name: &str, known: &[(Arc<str>, Secret)]) -> Result<Secret> {
        let error = |words: String| Error::new(Kind::Vault, words);
        let path = absolute(name);
        let meta =
            std::fs::metadata(&path).map_err(|_| error(format!("The vault password file {path} was not found")))?;
        if meta.is_dir() {
            return Err(error(format!("The vault password file {path} is a directory")));
        }
        let bytes = if meta.permissions().mode() & 0o111 != 0 {
            script(&path, label)?
        } else {
            let text =
                std::fs::read(&path).map_err(|e| error(format!("Could not read vault password file {path}: {e}")))?;
            match std::str::from_utf8(&text) {
                // A password file may be vaulted itself, with a secret given before it.
                Ok(t) if is_envelope(t) => Secrets::new(known.to_vec(), false).decrypt(t)?,
                _ => text,
            }
            .trim_ascii()
            .to_vec()
        };
        if bytes.is_empty() {
            return Err(error(format!("Invalid vault password was provided from file ({path})")));
        }
        Ok(Secret::new(bytes))
    }
}

fn absolute(name: &str) -> Utf8PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    let path = match name.strip_prefix("~/") {
        Some(rest) => Utf8PathBuf::from(home).join(rest),
        None => Utf8PathBuf::from(name),
    };
    if path.is_absolute() {
        return path;
    }
    match std::env::current_dir().ok().and_then(|d| Utf8PathBuf::from_path_buf(d).ok()) {
        Some(dir) => dir.join(path),
        None => path,
    }
}

/// Runs a password script; one whose name ends in `-client` is told the label.
fn script(path: &Utf8Path, label: &str) -> Result<Vec<u8>> {
    let client = path.file_stem().is_some_and(|s| s.ends_with("-client"));
    let mut cmd = Command::new(path);
    if client {
        cmd.arg("--vault-id").arg(label);
    }
    let out =
        cmd.stdin(std::process::Stdio::inherit()).stderr(std::process::Stdio::inherit()).output().map_err(|e| {
            Error::new(Kind::Vault, format!("Problem running vault password script {path} ({e})."))
                .help("If this is not a script, remove the executable bit from the file.")
        })?;
    if !out.status.success() {
        let code = out.status.code().unwrap_or(-1);
        let words = match (client, code) {
            (true, 2) => format!("Vault password client script {path} did not find a secret for vault-id={label}"),
            (true, _) => format!(
                "Vault password client script {path} returned non-zero ({code}) when getting secret for vault-id={label}"
            ),
            _ => format!("Vault password script {path} returned non-zero ({code})"),
        };
        return Err(Error::new(Kind::Vault, words));
    }
    let end = out.stdout.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
    Ok(out.stdout.get(..end).unwrap_or_default().to_vec())
}
