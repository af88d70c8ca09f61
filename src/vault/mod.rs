//! Ansible Vault, formats 1.1 and 1.2: encrypt, decrypt, several ids.
//!
//! An envelope is a header line (`$ANSIBLE_VAULT;1.1;AES256` or `…;1.2;AES256;ID`) and hexadecimal lines
//! of 80 characters. [`Secrets`] holds what can open them; [`source`] gets secrets from files, scripts
//! and prompts.

mod cipher;
pub mod prompt;
pub mod source;
#[cfg(test)]
mod tests;

use crate::diag::{Error, Kind, Result};
use crate::value::VaultText;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use cipher::DecryptError;

const MAGIC: &str = "$ANSIBLE_VAULT";

/// What is said where something is sealed and no secret is given.
pub const NO_SECRETS: &str = "Attempting to decrypt but no vault secrets found.";

/// True if the text is a vault envelope.
pub fn is_envelope(text: &str) -> bool {
    text.starts_with(MAGIC)
}

/// A vault secret, not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The secrets of a run, each under its vault id, in the order they are tried.
#[derive(Debug, Default)]
pub struct Secrets {
    list: Vec<(Arc<str>, Secret)>,
    /// Only secrets whose id is the envelope's are tried (`ANSIBLE_VAULT_ID_MATCH`).
    match_ids: bool,
    // Key derivation costs milliseconds, and one value is read for many hosts.
    opened: Opened,
}

/// Envelopes opened before; secrets are never shown.
#[derive(Default)]
struct Opened(Mutex<HashMap<Arc<str>, Arc<[u8]>>>);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Who encrypts: the id (None and `default` give format 1.1) and the secret.
pub type EncryptWith<'a> = (&'a str, &'a Secret);

impl Secrets {
    pub fn new(list: Vec<(Arc<str>, Secret)>, match_ids: bool) -> Secrets {
        Secrets { list, match_ids, opened: Opened::default() }
    }
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// Ids and secrets in the order they are tried.
    pub fn list(&self) -> &[(Arc<str>, Secret)] {
        &self.list
    }

    /// The text inside an envelope. Secrets with the envelope's id are tried first, then the others.
    /// Errors are of kind [`Kind::Vault`], in Ansible's words.
    pub fn decrypt(&self, envelope: &str) -> Result<Vec<u8>> {
        self.decrypt_with(envelope).map(|(plain, _)| plain.to_vec())
    }

    /// As [`Secrets::decrypt`], with the id of the envelope (None for format 1.1).
    pub fn decrypt_with(&self, envelope: &str) -> Result<(Arc<[u8]>, Option<String>)> {
        if let Some(found) = self.opened.0.lock().unwrap_or_else(|e| e.into_inner()).get(envelope) {
            return Ok((found.clone(), cipher::parse(envelope)?.vault_id));
        }
        let (plain, id, _) = self.open(envelope)?;
        let plain: Arc<[u8]> = plain.into();
        self.opened.0.lock().unwrap_or_else(|e| e.into_inner()).insert(envelope.into(), plain.clone());
        Ok((plain, id))
    }

    /// The text inside an envelope, the id in its header, and the secret that opened it.
    pub fn open(&self, envelope: &str) -> Result<(Vec<u8>, Option<String>, Secret)> {
        let vault_error = |words: &str| Error::new(Kind::Vault, words);
        let parsed = cipher::parse(envelope)?;
        let id = parsed.vault_id.clone();
        if self.list.is_empty() {
            return Err(vault_error(NO_SECRETS)
                .help("Give the secret with --vault-password-file, --vault-id or --ask-vault-pass."));
        }
        let same = |(label, _): &&(Arc<str>, Secret)| id.as_deref() == Some(&**label);
        let first = self.list.iter().filter(same);
        let rest = self.list.iter().filter(|s| !self.match_ids && !same(s));
        for (_, secret) in first.chain(rest) {
            match parsed.open(secret) {
                Ok(plain) => return Ok((plain, id.clone(), secret.clone())),
                Err(DecryptError::WrongSecret) => {}
                Err(DecryptError::Format(words)) => return Err(vault_error(&words)),
            }
        }
        Err(vault_error("Decryption failed (no vault secrets were found that could decrypt)."))
    }

    /// The text of a `!vault` value; an error points at the value.
    pub fn decrypt_value(&self, v: &VaultText) -> Result<String> {
        let plain = self.decrypt(&v.envelope).map_err(|e| e.at(v.origin))?;
        String::from_utf8(plain).map_err(|_| Error::new(Kind::Vault, "The decrypted text is not UTF-8.").at(v.origin))
    }

    /// The text of a file that may be vaulted: opens envelopes, passes other text through.
    pub fn open_text(&self, name: &str, text: String) -> Result<String> {
        if !is_envelope(&text) {
            return Ok(text);
        }
        crate::diag::seal(name);
        let plain = self.decrypt(&text).map_err(|e| e.vaulted(name))?;
        crate::yaml::decode(name, plain)
    }
}

/// Like [`encrypt`] with a salt of the caller's (the filter `vault`): the same text again and again.
pub fn encrypt_with_salt(plain: &[u8], (id, secret): EncryptWith<'_>, salt: &[u8]) -> String {
    cipher::seal(plain, secret, id, salt)
}

/// Encrypts for `id` (`default` gives format 1.1, others 1.2); the envelope ends in a newline.
pub fn encrypt(plain: &[u8], (id, secret): EncryptWith<'_>) -> String {
    // the setting VAULT_ENCRYPT_SALT makes the same envelope of the same text
    let fixed = crate::settings::current().get("VAULT_ENCRYPT_SALT").and_then(|f| f.ok());
    match fixed.map(|f| f.value).filter(|v| !v.is_null()).map(|v| v.to_str()).filter(|s| !s.is_empty()) {
        Some(salt) => cipher::seal(plain, secret, id, salt.as_bytes()),
        None => cipher::seal(plain, secret, id, &cipher::new_salt()),
    }
}
