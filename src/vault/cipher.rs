//! The envelope's layout and its cryptography: PBKDF2-HMAC-SHA256 (10,000 rounds) makes from secret and
//! salt the AES-256 key, the HMAC key and the counter block; AES-CTR over PKCS#7-padded text, and
//! HMAC-SHA256 over the ciphertext.

use super::Secret;
use crate::diag::{Error, Kind, Result};
use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use sha2::Sha256;

const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;

/// Why an envelope did not open.
#[derive(Debug)]
pub enum DecryptError {
    /// The HMAC does not fit: another secret, or damaged text.
    WrongSecret,
    /// The envelope itself is broken.
    Format(String),
}

/// An envelope taken apart.
pub(super) struct Envelope {
    pub vault_id: Option<String>,
    body: String,
    cipher: String,
}

fn bad(words: impl Into<String>) -> Error {
    Error::new(Kind::Vault, words)
}

/// Takes an envelope apart.
pub(super) fn parse(text: &str) -> Result<Envelope> {
    if !super::is_envelope(text) {
        return Err(bad("Input is not vault encrypted data."));
    }
    let mut lines = text.lines();
    let header = lines.next().unwrap_or("").trim();
    let fields: Vec<&str> = header.split(';').collect();
    let (Some(version), Some(cipher)) = (fields.get(1), fields.get(2)) else {
        return Err(bad("Vault envelope format error: the first line must be `$ANSIBLE_VAULT;VERSION;CIPHER`"));
    };
    let vault_id = match *version {
        "1.2" => Some(fields.get(3).unwrap_or(&"default").to_string()),
        _ => None,
    };
    Ok(Envelope { vault_id, cipher: cipher.trim().to_string(), body: lines.map(str::trim).collect() })
}

impl Envelope {
    /// Checks the HMAC and decrypts.
    pub fn open(&self, secret: &Secret) -> Result<Vec<u8>, DecryptError> {
        if self.cipher != "AES256" {
            return Err(DecryptError::Format(format!(
                "Cipher {} could not be found.",
                crate::yaml::quoted(&self.cipher)
            )));
        }
        let inner = unhex(self.body.as_bytes())?;
        let parts: Vec<&[u8]> = inner.splitn(3, |b| *b == b'\n').collect();
        let [salt, mac, data] = parts.as_slice() else {
            return Err(DecryptError::Format(format!(
                "Vault vaulttext format error: not enough values to unpack (expected 3, got {})",
                parts.len()
            )));
        };
        let (salt, mac, mut data) = (unhex(salt)?, unhex(mac)?, unhex(data)?);
        let keys = Keys::derive(secret, &salt);
        let mut hmac = keys.hmac();
        hmac.update(&data);
        hmac.verify_slice(&mac).map_err(|_| DecryptError::WrongSecret)?;
        keys.apply(&mut data);
        unpad(&mut data)?;
        Ok(data)
    }
}

/// Removes PKCS#7 padding.
fn unpad(data: &mut Vec<u8>) -> Result<(), DecryptError> {
    let wrong = || DecryptError::Format("Invalid padding bytes.".into());
    let n = usize::from(*data.last().ok_or_else(wrong)?);
    let keep = data.len().checked_sub(n).ok_or_else(wrong)?;
    let padded = data.get(keep..).ok_or_else(wrong)?;
    if n == 0 || n > BLOCK || padded.iter().any(|b| usize::from(*b) != n) {
        return Err(wrong());
    }
    data.truncate(keep);
    Ok(())
}

struct Keys {
    out: [u8; 80],
}

impl Keys {
    fn derive(secret: &Secret, salt: &[u8]) -> Keys {
        let mut out = [0u8; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(secret.bytes(), salt, ROUNDS, &mut out);
        Keys { out }
    }
    fn parts(&self) -> ([u8; 32], [u8; 32], [u8; 16]) {
        let (mut key, mut mac, mut iv) = ([0; 32], [0; 32], [0; 16]);
        for (i, b) in self.out.iter().enumerate() {
            let slot = match i {
                0..32 => key.get_mut(i),
                32..64 => mac.get_mut(i - 32),
                _ => iv.get_mut(i - 64),
            };
            if let Some(s) = slot {
                *s = *b;
            }
        }
        (key, mac, iv)
    }
    fn hmac(&self) -> Hmac<Sha256> {
        let (_, key, _) = self.parts();
        // HMAC takes keys of any length; the fall-back is never reached.
        Hmac::<Sha256>::new_from_slice(&key).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()))
    }
    fn apply(&self, data: &mut [u8]) {
        let (key, _, iv) = self.parts();
        ctr::Ctr128BE::<aes::Aes256>::new(&key.into(), &iv.into()).apply_keystream(data);
    }
}

pub(super) fn new_salt() -> [u8; 32] {
    rand::random()
}

/// The envelope for `plain`.
pub(super) fn seal(plain: &[u8], secret: &Secret, id: &str, salt: &[u8]) -> String {
    let keys = Keys::derive(secret, salt);
    let mut data = plain.to_vec();
    let pad = BLOCK - plain.len() % BLOCK;
    data.resize(plain.len() + pad, pad as u8);
    keys.apply(&mut data);
    let mut hmac = keys.hmac();
    hmac.update(&data);
    let inner = format!("{}\n{}\n{}", hex(salt), hex(&hmac.finalize().into_bytes()), hex(&data));
    let body = hex(inner.as_bytes());
    let mut out = match id {
        "" | "default" => format!("{};1.1;AES256\n", super::MAGIC),
        id => format!("{};1.2;AES256;{id}\n", super::MAGIC),
    };
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(80));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, DecryptError> {
    if text.len() % 2 == 1 {
        return Err(DecryptError::Format("Vault format unhexlify error: Odd-length string".into()));
    }
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    text.chunks(2)
        .map(|pair| match pair {
            [a, b] => Some(digit(*a)? << 4 | digit(*b)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| DecryptError::Format("Vault format unhexlify error: Non-hexadecimal digit found".into()))
}
