//! `rpm_key`: keys in the database of rpm.

use super::support::exec::{Cmd, need_program};
use super::support::webargs;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "rpm_key",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("key").required().doc("The key: a URL, a file on the host, or the id of one that is there."),
            Arg::str("state").choices(&["absent", "present"]).default("present").doc("Whether it shall be there."),
            Arg::bool("validate_certs").default(true).doc("Verify the certificate of the URL."),
            Arg::list("fingerprint", Type::Str).doc("Fingerprints that the key must have."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Adds or removes a gpg key from the rpm db\n\nNeeds rpm and gpg on the host.",
        run,
    }
}

struct Rpm<'a, 'c> {
    ctx: &'a Ctx<'c>,
    rpm: String,
    gpg: String,
}

impl Rpm<'_, '_> {
    /// What gpg tells of keys, as fields of lines with colons.
    fn colons(&self, file: &str, data: &[u8]) -> Result<Vec<Vec<String>>, Failure> {
        let words = ["--no-tty", "--batch", "--with-colons", "--fixed-list-mode", "--with-fingerprint", file];
        let o = Cmd::new([self.gpg.as_str()]).args(words).c_locale().stdin(data.to_vec()).tried(self.ctx)?;
        if !o.ok() {
            return Err(Failure::new(o.err()));
        }
        Ok(o.out().lines().map(|l| l.trim().split(':').map(str::to_owned).collect()).collect())
    }
    /// The ids of all keys in rpm's database.
    fn installed(&self) -> Result<Vec<String>, Failure> {
        let o = Cmd::new([self.rpm.as_str(), "-q", "gpg-pubkey"]).c_locale().tried(self.ctx)?;
        if !o.ok() {
            return Ok(vec![]);
        }
        let all =
            Cmd::new([self.rpm.as_str(), "--qf", "%{description}\\n", "-q", "gpg-pubkey"]).c_locale().must(self.ctx)?;
        Ok(ids(&self.colons("-", &all.stdout)?))
    }
}

/// The ids of keys and subkeys.
fn ids(lines: &[Vec<String>]) -> Vec<String> {
    let key = |l: &&Vec<String>| matches!(l.first().map(String::as_str), Some("pub" | "sub"));
    lines.iter().filter(key).filter_map(|l| l.get(4).cloned()).collect()
}

fn is_key_id(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    digits.len() >= 8 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let rpm = Rpm { ctx, rpm: need_program(ctx, "rpm")?, gpg: need_program(ctx, "gpg")? };
    let key = args.str("key");
    let present = args.str("state") == "present";
    let mut download = None;
    let mut file = None;
    if key.contains("://") {
        let data = webargs::body(webargs::plain(key, args.bool("validate_certs")))
            .map_err(|why| Failure::new(format!("failed to fetch key at {key} , error was: {why}")))?;
        if !String::from_utf8_lossy(&data).contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            return Err(Failure::new(format!("Not a public key: {key}")));
        }
        let mut temp = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut temp, &data)?;
        file = Some(temp.path().to_string_lossy().into_owned());
        download = Some(temp);
    } else if is_key_id(key) {
        // An id; nothing to read.
    } else if Path::new(key).is_file() {
        file = Some(key.to_owned());
    } else {
        return Err(Failure::new(format!("Not a valid key {key}")));
    }
    let mut prints = vec![];
    let id = match &file {
        None => key.trim_start_matches("0x").trim_start_matches("0X").to_uppercase(),
        Some(f) => {
            let lines = rpm.colons(f, &[])?;
            prints = lines
                .iter()
                .filter(|l| l.first().is_some_and(|k| k == "fpr"))
                .filter_map(|l| l.get(9).cloned())
                .collect();
            ids(&lines).into_iter().next().ok_or("Unexpected gpg output")?.to_uppercase()
        }
    };
    // Ids are ends of fingerprints: the shorter one decides.
    let there = rpm.installed()?.iter().any(|k| k.to_uppercase().ends_with(&id) || id.ends_with(&k.to_uppercase()));
    if there == present {
        return Ok(Outcome::ok());
    }
    if present {
        let Some(f) = &file else { return Err("When importing a key, a valid file must be given".into()) };
        let wanted: Vec<String> =
            args.strings("fingerprint").iter().map(|p| p.replace(' ', "").to_uppercase()).collect();
        if wanted.iter().any(|w| !prints.contains(w)) {
            let set = |l: &[String]| {
                let all: Vec<String> = l.iter().map(|p| super::support::pytext::repr(p)).collect();
                format!("{{{}}}", all.join(", "))
            };
            let (wanted, prints) = (set(&wanted), set(&prints));
            return Err(Failure::new(format!(
                "The specified fingerprint, '{wanted}', does not match any key fingerprints in '{prints}'"
            )));
        }
        if !ctx.check {
            Cmd::new([rpm.rpm.as_str(), "--import", f]).c_locale().must(ctx)?;
        }
    } else if !ctx.check {
        let short = id.get(id.len().saturating_sub(8)..).unwrap_or(&id).to_lowercase();
        Cmd::new([rpm.rpm.as_str(), "--erase", "--allmatches", &format!("gpg-pubkey-{short}")]).c_locale().must(ctx)?;
    }
    drop(download);
    Ok(Outcome::changed(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    const RPM: &str = r#"#!/bin/sh
db=$(dirname "$0")/db
case $* in
  *--qf*) cat "$db" ;;
  "-q gpg-pubkey") [ -s "$db" ] ;;
  --import*) cat "$2" >> "$db" ;;
  *--erase*) : > "$db"; echo "$*" > "$db.log" ;;
esac
"#;
    const GPG: &str = r#"#!/bin/sh
for f; do :; done
for k in $(cat "$f"); do case $k in [0-9A-F]*) echo "pub:-:1:1:$k:1:"; echo "fpr:::::::::0011$k:" ;; esac; done
"#;

    #[test]
    fn comes_and_goes() {
        let d = tempfile::tempdir().expect("a directory");
        for (name, text) in [("rpm", RPM), ("gpg", GPG)] {
            std::fs::write(d.path().join(name), text).expect("written");
            let x = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(d.path().join(name), x).expect("set");
        }
        std::fs::write(d.path().join("k"), "9A64C0A729D7D257\n").expect("written");
        let call = |key: &str, more: Json, check: bool| {
            let mut args = json!({"key": key.replace("$D", &d.path().to_string_lossy())});
            args.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let path = format!("{}:/usr/bin:/bin", d.path().display());
            let ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
            let checked = crate::modules::validate(&module().spec, args.as_object().expect("an object"), "rpm_key");
            run(&mut { ctx }, &checked.expect("valid").args)
        };
        let changed = |key: &str, more: Json, check| call(key, more, check).expect("works").changed;
        assert!(changed("$D/k", json!({}), true) && changed("$D/k", json!({}), false));
        assert!(!changed("$D/k", json!({}), false) && !changed("0x29D7D257", json!({}), false));
        let gone = json!({"state": "absent"});
        assert!(changed("9a64c0a729d7d257", gone.clone(), false) && !changed("29D7D257", gone, false));
        let log = std::fs::read_to_string(d.path().join("db.log")).expect("a log");
        assert_eq!(log, "--erase --allmatches gpg-pubkey-29d7d257\n");
        let msg = |key: &str, more: Json| call(key, more, false).expect_err("refused").msg;
        assert_eq!(msg("$D/none", json!({})), format!("Not a valid key {}/none", d.path().display()));
        assert_eq!(msg("29D7D257", json!({})), "When importing a key, a valid file must be given");
        let wrong = msg("$D/k", json!({"fingerprint": "AB CD"}));
        assert!(
            wrong.ends_with("'{'ABCD'}', does not match any key fingerprints in '{'00119A64C0A729D7D257'}'"),
            "{wrong}"
        );
    }
}
