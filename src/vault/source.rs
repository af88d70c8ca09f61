//! Where vault secrets come from: files, executable scripts, client scripts, prompts.

use super::prompt::ask_secret;
use super::{Secret, Secrets, is_envelope};
use crate::diag::{Error, Kind, Result};
use camino::{Utf8Path, Utf8PathBuf};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
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
        let mut lost: Option<Error> = None;
        for id in &self.vault_ids {
            if let Some((l, _)) = id.split_once('@')
                && l.contains(';')
            {
                let words = format!("'{id}' is not a valid vault id. The character ';' is not allowed in vault ids");
                return Err(Error::new(Kind::Options, words));
            }
            let (label, source) = match id.split_once('@') {
                Some((l, s)) if !l.is_empty() => (l, s),
                Some((_, s)) => (self.label(), s),
                None => (self.label(), id.as_str()),
            };
            let secret = match source {
                "prompt" => self.prompt(label, true)?,
                "prompt_ask_vault_pass" => self.prompt(label, false)?,
                file => match self.file(id.contains('@').then_some(label), file, &list) {
                    Ok(s) => s,
                    Err(e) => {
                        self.told(if id.contains('@') { label } else { "None" }, &e);
                        lost = Some(e);
                        continue;
                    }
                },
            };
            list.push((label.into(), secret));
        }
        for file in &self.password_files {
            match self.file(Some(self.label()), file, &list) {
                Ok(secret) => list.push((self.label().into(), secret)),
                Err(e) => {
                    self.told(self.label(), &e);
                    lost = Some(e);
                }
            }
        }
        if self.ask {
            list.push((self.label().into(), self.prompt(self.label(), false)?));
        }
        match lost {
            Some(e) if list.is_empty() => Err(e),
            _ => Ok(Secrets::new(list, self.match_ids)),
        }
    }

    /// Warns of a source that could not be had: what others give may do.
    fn told(&self, label: &str, e: &Error) {
        let m = e.message();
        let missing = m.ends_with("was not found") || m.ends_with("can not be a directory");
        let what = if missing { "Error getting vault password file" } else { "Error in vault password file loading" };
        if let Some(warn) = self.warn {
            warn(&format!("{what} ({label}): {m}"));
        }
    }

    /// Asks once, or twice for a new secret. `with_label`: the prompt names the id.
    fn prompt(&self, label: &str, with_label: bool) -> Result<Secret> {
        self.asked(label, with_label).inspect_err(|e| {
            if let Some(warn) = self.warn {
                warn(&format!("Error in vault password prompt ({label}): {}", e.message()));
            }
        })
    }

    fn asked(&self, label: &str, with_label: bool) -> Result<Secret> {
        let words = match with_label {
            true => ["Vault", "New vault", "Confirm new vault"].map(|w| format!("{w} password ({label}): ")),
            false => ["Vault", "New Vault", "Confirm New Vault"].map(|w| format!("{w} password: ")),
        };
        let [old, new, again] = words;
        let ask = |text: &str| ask_secret(text).map_err(|e| Error::new(Kind::Vault, format!("{e} for ({label})")));
        let first = ask(if self.new_secret { &new } else { &old })?;
        if first.is_empty() {
            return Err(Error::new(Kind::Vault, "Invalid vault password was provided"));
        }
        if self.new_secret && ask(&again)? != first {
            return Err(Error::new(Kind::Vault, "Passwords do not match"));
        }
        Ok(Secret::new(first))
    }

    fn file(&self, label: Option<&str>, name: &str, known: &[(Arc<str>, Secret)]) -> Result<Secret> {
        let error = |words: String| Error::new(Kind::Vault, words);
        let path = absolute(name);
        let meta =
            std::fs::metadata(&path).map_err(|_| error(format!("The vault password file {path} was not found")))?;
        if meta.is_dir() {
            let path = path.as_str().trim_end_matches('/');
            return Err(error(format!("The vault password file provided '{path}' can not be a directory")));
        }
        let runs = meta.permissions().mode() & 0o111 != 0;
        let bytes = if runs {
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
            let what = if runs { "script" } else { "file" };
            return Err(error(format!("Invalid vault password was provided from {what} ({path})")));
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

/// Runs a password script; one whose name ends in `-client` is told the label, if one was given. What a client
/// writes to standard error is part of its error only.
fn script(path: &Utf8Path, label: Option<&str>) -> Result<Vec<u8>> {
    let client = path.file_stem().is_some_and(|s| s.ends_with("-client"));
    let mut cmd = Command::new(path);
    cmd.stdin(Stdio::inherit());
    if client {
        cmd.stderr(Stdio::piped());
        if let Some(l) = label {
            cmd.arg("--vault-id").arg(l);
        }
    } else {
        cmd.stderr(Stdio::inherit());
    }
    let out = cmd.output().map_err(|e| {
        Error::new(Kind::Vault, format!("Problem running vault password script {path} ({e})."))
            .help("If this is not a script, remove the executable bit from the file.")
    })?;
    if !out.status.success() {
        let code = out.status.code().unwrap_or(-1);
        let said = String::from_utf8_lossy(&out.stderr);
        let said = said.trim();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let label = label.unwrap_or("None");
        let words = match (client, code) {
            (true, 2) => {
                format!("Vault password client script {path} did not find a secret for vault-id={label}{said}")
            }
            (true, _) => format!(
                "Vault password client script {path} returned non-zero ({code}) when getting secret for vault-id={label}{said}"
            ),
            _ => format!("Vault password script {path} returned non-zero ({code})"),
        };
        return Err(Error::new(Kind::Vault, words));
    }
    let end = out.stdout.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
    Ok(out.stdout.get(..end).unwrap_or_default().to_vec())
}
