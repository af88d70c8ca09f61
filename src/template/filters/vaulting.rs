//! vault and unvault: text sealed and opened with a secret that is given as an argument.

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use crate::template::tags;
use crate::value::VaultText;
use crate::vault::{Secret, Secrets, encrypt, encrypt_with_salt, is_envelope};
use minijinja::{State, Value};
use std::sync::Arc;

pub const FILTERS: &[Filter] = &[
    f("vault", "data, secret, salt=, vault_id=, wrap_object=, vaultid=", vault),
    f("unvault", "vault, secret, vault_id=, vaultid=", unvault),
];

const DEFAULT_ID: &str = "filter_default";

fn secret(a: &Args) -> Res<Secret> {
    let v = a.val("secret");
    match py::view(v) {
        Py::Str(s) => Ok(Secret::new(s)),
        Py::Bytes(b) => Ok(Secret::new(b)),
        _ => fail(format!("Secret passed is required to be a string, instead we got <class '{}'>.", py::type_name(v))),
    }
}

fn id(a: &Args) -> Res<String> {
    match a.text_opt("vault_id")? {
        Some(id) => Ok(id),
        None => a.text_or("vaultid", DEFAULT_ID),
    }
}

fn vault(_: &mut State, a: &Args) -> Res {
    let secret = secret(a)?;
    let data = a.val("data");
    if !matches!(py::view(data), Py::Str(_) | Py::Bytes(_)) {
        return fail(format!("Can only vault strings, instead we got <class '{}'>.", py::type_name(data)));
    }
    let plain = super::digest::bytes(data)?;
    let id = id(a)?;
    let envelope: Arc<str> = match a.text_opt("salt")? {
        Some(salt) => encrypt_with_salt(&plain, (&id, &secret), salt.as_bytes()),
        None => encrypt(&plain, (&id, &secret)),
    }
    .into();
    if a.flag("wrap_object", false)? {
        // the plain text, known to be the content of this envelope
        let text = String::from_utf8(plain).map_err(|_| error("only text can be wrapped, and this is not UTF-8"))?;
        return Ok(tags::decrypted(&text.into(), &Arc::new(VaultText { envelope, origin: None })));
    }
    Ok(Value::from(envelope))
}

fn unvault(_: &mut State, a: &Args) -> Res {
    let secret = secret(a)?;
    let v = a.val("vault");
    let Py::Str(text) = py::view(v) else {
        return fail(format!(
            "Vault should be in the form of a string, instead we got <class '{}'>.",
            py::type_name(v)
        ));
    };
    if !is_envelope(text) {
        return Ok(v.clone());
    }
    let secrets = Secrets::new(vec![(id(a)?.into(), secret)], false);
    let plain = secrets.decrypt(text).map_err(|e| error(format!("Unable to decrypt: {}", e.message())))?;
    Ok(match String::from_utf8(plain) {
        Ok(s) => Value::from(s),
        Err(e) => Value::from_bytes(e.into_bytes()),
    })
}
