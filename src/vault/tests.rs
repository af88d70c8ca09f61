use super::source::VaultSources;
use super::*;
use std::os::unix::fs::PermissionsExt;

fn secrets(list: &[(&str, &str)]) -> Secrets {
    Secrets::new(list.iter().map(|(l, s)| ((*l).into(), Secret::new(*s))).collect(), false)
}

// Made by ansible-vault of ansible-core 2.19 (`secret1` for 1.1, `secret2` under the id dev for 1.2).
const V11: &str = include_str!("testdata/format11.vault");
const V12: &str = include_str!("testdata/format12.vault");

#[test]
fn opens_what_ansible_vault_made() {
    let text = "one\ntwo é\n".as_bytes();
    assert_eq!(secrets(&[("default", "secret1")]).decrypt(V11).expect("1.1"), text);
    assert_eq!(secrets(&[("dev", "secret2")]).decrypt(V12).expect("1.2"), text);
    let both = secrets(&[("x", "secret1"), ("y", "secret2")]);
    assert_eq!(both.decrypt(V12).expect("other id"), text);
    assert_eq!(both.decrypt_with(V12).expect("id").1.as_deref(), Some("dev"));
    let s = secrets(&[("dev", "secret2")]);
    assert_eq!(s.decrypt(include_str!("testdata/empty.vault")).expect("empty"), b"");
    assert_eq!(s.decrypt(include_str!("testdata/block.vault")).expect("block"), vec![b'x'; 300]);
}

#[test]
fn what_is_sealed_opens() {
    let secret = Secret::new("s");
    let s = secrets(&[("default", "s")]);
    for n in [0, 15, 16, 1000] {
        let plain = vec![7u8; n];
        let a = encrypt(&plain, ("default", &secret));
        assert!(a.starts_with("$ANSIBLE_VAULT;1.1;AES256\n") && a.lines().all(|l| l.len() <= 80) && a.ends_with('\n'));
        assert_eq!(s.decrypt(&a).expect("opens"), plain);
        assert!(encrypt(&plain, ("dev", &secret)).starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
    }
    let fixed = cipher::seal(b"x", &secret, "default", &[1; 32]);
    assert_eq!(fixed, cipher::seal(b"x", &secret, "default", &[1; 32]));
}

#[test]
fn words_are_ansibles() {
    let s = secrets(&[("default", "wrong")]);
    let words = |s: &Secrets, t: &str| s.decrypt(t).expect_err("must fail").to_string();
    assert_eq!(words(&s, V11), "Decryption failed (no vault secrets were found that could decrypt).");
    assert_eq!(words(&Secrets::default(), V11), "Attempting to decrypt but no vault secrets found.");
    assert_eq!(words(&s, "a: 1"), "Input is not vault encrypted data.");
    for (text, want) in [
        ("$ANSIBLE_VAULT;1.1;AES256\nzz\n", "Vault format unhexlify error: Non-hexadecimal digit found"),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n3132\n",
            "Vault vaulttext format error: not enough values to unpack (expected 3, got 1)",
        ),
        ("$ANSIBLE_VAULT;1.1;AES128\n3132\n", "Cipher 'AES128' could not be found."),
    ] {
        assert_eq!(words(&s, text), want);
    }
    assert!(words(&s, "$ANSIBLE_VAULT;1.1\n3132\n").starts_with("Vault envelope format error"));
}

#[test]
fn damage_is_noticed() {
    let s = secrets(&[("default", "secret1")]);
    for i in (27..V11.len()).step_by(97) {
        let mut bytes = V11.as_bytes().to_vec();
        if bytes[i] == b'\n' {
            continue;
        }
        bytes[i] = if bytes[i] == b'3' { b'4' } else { b'3' };
        if bytes == V11.as_bytes() {
            continue;
        }
        // A hexadecimal digit in the other case is no damage; all else must not open.
        if let Ok(plain) = s.decrypt(&String::from_utf8(bytes).expect("ascii")) {
            assert_eq!(plain, "one\ntwo é\n".as_bytes(), "{i}");
        }
    }
    for cut in (0..V11.trim_end().len()).step_by(61) {
        assert!(s.decrypt(V11.get(..cut).expect("ascii")).is_err(), "{cut}");
    }
}

#[test]
fn id_match_restricts() {
    let list = || vec![("x".into(), Secret::new("secret2"))];
    assert!(Secrets::new(list(), false).decrypt(V12).is_ok());
    assert!(Secrets::new(list(), true).decrypt(V12).is_err());
}

#[test]
fn secrets_from_files_and_scripts() {
    let dir = tempfile::tempdir().expect("dir");
    let put = |name: &str, text: &str, mode: u32| {
        let p = dir.path().join(name);
        std::fs::write(&p, text).expect("write");
        std::fs::set_permissions(&p, std::fs::Permissions::from_mode(mode)).expect("mode");
        p.to_str().expect("utf-8").to_string()
    };
    let plain = put("pw", " pass word \n", 0o600);
    let script = put("get.sh", "#!/bin/sh\necho script$#\n", 0o700);
    let client = put("get-client.sh", "#!/bin/sh\necho for-$2\n", 0o700);
    let vaulted = put("vaulted", &encrypt(b"inner\n", ("default", &Secret::new("pass word"))), 0o600);
    let src = VaultSources {
        vault_ids: vec![format!("a@{script}"), format!("b@{client}"), plain.clone()],
        password_files: vec![vaulted],
        ..VaultSources::default()
    };
    let got: Vec<(String, String)> = src
        .load()
        .expect("secrets")
        .list()
        .iter()
        .map(|(l, s)| (l.to_string(), String::from_utf8_lossy(s.bytes()).into_owned()))
        .collect();
    let want = [("a", "script0"), ("b", "for-b"), ("default", "pass word"), ("default", "inner")];
    assert_eq!(got, want.map(|(a, b)| (a.to_string(), b.to_string())));
    let fails = |id: String| {
        VaultSources { vault_ids: vec![id], ..VaultSources::default() }.load().expect_err("must fail").to_string()
    };
    let missing = format!("{}/none", dir.path().display());
    assert_eq!(fails(missing.clone()), format!("The vault password file {missing} was not found"));
    let empty = put("empty", "", 0o600);
    assert_eq!(fails(empty.clone()), format!("Invalid vault password was provided from file ({empty})"));
    let bad = put("bad", "#!/bin/sh\nexit 3\n", 0o700);
    assert_eq!(fails(bad.clone()), format!("Vault password script {bad} returned non-zero (3)"));
    let none = put("none-client", "#!/bin/sh\nexit 2\n", 0o700);
    assert_eq!(
        fails(format!("z@{none}")),
        format!("Vault password client script {none} did not find a secret for vault-id=z")
    );
}

#[test]
fn damaged_envelopes_are_refused() {
    let s = secrets(&[("default", "secret1")]);
    let none = Secrets::default();
    let pieces = ["$ANSIBLE_VAULT;", ";", "1.2", "AES256", "\n", "3132", "0a", "zz", " ", "\r\n", "é", "\0"];
    let mut opened = 0;
    crate::damage::text_withstands(&[V11, V12], &pieces, 400, |text| {
        let _ = is_envelope(text);
        let _ = none.decrypt(text);
        // each key derivation takes its time
        opened += 1;
        if opened % 8 == 0 && s.decrypt(text).is_ok() {
            assert_eq!(s.decrypt(text).ok(), s.decrypt(V11).ok(), "damage is seen");
        }
    });
}
