//! `apt_key`: keys that apt trusts, by `apt-key`, or by gpg on the keyring where apt-key is gone.

use super::support::exec::{Cmd, Output, find_program, need_program};
use super::support::webargs;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::Value as Json;

pub fn module() -> Module {
    Module {
        name: "apt_key",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("id").doc("The key's id: 8, 16 or more hexadecimal digits, best the whole fingerprint."),
            Arg::str("url").doc("Where to download the key."),
            Arg::str("data").doc("The key itself."),
            Arg::path("file").doc("A file on the host with the key."),
            Arg::str("keyserver").doc("The key server to ask for the id."),
            Arg::path("keyring").doc("The keyring to change; apt's own if not given."),
            Arg::bool("validate_certs").default(true).doc("Verify the certificate of the URL."),
            Arg::str("state").choices(&["absent", "present"]).default("present").doc("Whether it shall be there."),
        ])
        .exclusive(&["data", "file", "keyserver", "url"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Add or remove an apt key\n\nNeeds apt-key or gpg, and gpg to read a key whose id is not given.",
        run,
    }
}

/// An id in the forms that the result has: of a key given by 8 digits only these are compared.
struct Id {
    whole: String,
    /// The last 16 digits, or 8 of an id of 8.
    print: String,
    short: String,
}

impl Id {
    fn parse(text: &str) -> Option<Id> {
        let whole = text.trim().to_uppercase();
        let whole = whole.strip_prefix("0X").unwrap_or(&whole).to_owned();
        let n = whole.len();
        if !whole.chars().all(|c| c.is_ascii_hexdigit()) || !(n == 8 || n >= 16) {
            return None;
        }
        let last = |k: usize| whole.get(n - k..).unwrap_or_default().to_owned();
        Some(Id { print: last(n.min(16)), short: last(8), whole })
    }
}

struct Keys<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    /// `apt-key`, if the host has it.
    apt_key: Option<String>,
}

impl Keys<'_, '_> {
    /// A command of gpg on the keyring.
    fn gpg(&self, words: &[&str]) -> Result<Cmd, Failure> {
        let ring = self.args.opt_str("keyring");
        let c = match &self.apt_key {
            Some(t) => {
                let c = Cmd::new([t.as_str()]).env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1");
                ring.map_or(c.clone(), |r| c.args(["--keyring", r])).args(["adv", "--no-tty"])
            }
            None => {
                let c = Cmd::new([need_program(self.ctx, "gpg")?]).args(["--no-tty", "--batch", "--yes"]);
                c.args(["--no-default-keyring", "--keyring", ring.unwrap_or("/etc/apt/trusted.gpg")])
            }
        };
        Ok(c.c_locale().args(words.iter().copied()))
    }
    /// The ids of all keys and subkeys that are not expired, in the form of `id`.
    fn list(&self, id: &Id) -> Result<Vec<String>, Failure> {
        let cmd = self.gpg(&["--list-public-keys", "--keyid-format=long"])?;
        let o = cmd.tried(self.ctx)?;
        if !o.ok() && !o.err().contains("No such file") {
            return Err(self.failed(&cmd, &o, "Unable to list public keys"));
        }
        let out = o.out();
        let keys = out.lines().filter(|l| (l.starts_with("pub") || l.starts_with("sub")) && !l.contains("expired"));
        let ids = keys.filter_map(|l| l.split_whitespace().nth(1)?.split_once('/').map(|(_, k)| k.to_owned()));
        let short = id.print.len() == 8;
        Ok(ids.map(|k| if short { k.get(k.len().saturating_sub(8)..).unwrap_or(&k).to_owned() } else { k }).collect())
    }
    fn failed(&self, cmd: &Cmd, o: &Output, msg: impl Into<String>) -> Failure {
        o.failure(msg).set("cmd", cmd.shown())
    }
    fn must(&self, cmd: &Cmd, msg: impl Into<String>) -> Result<(), Failure> {
        let o = cmd.tried(self.ctx)?;
        if o.ok() { Ok(()) } else { Err(self.failed(cmd, &o, msg)) }
    }
    /// Imports what is in a file or, with `-`, in `data`.
    fn import(&self, file: &str, data: &[u8]) -> Result<(), Failure> {
        let cmd = match &self.apt_key {
            Some(t) => {
                let c = Cmd::new([t.as_str()]).env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1").c_locale();
                self.args.opt_str("keyring").map_or(c.clone(), |r| c.args(["--keyring", r])).args(["add", file])
            }
            None => {
                // gpg keeps the old format, which apt reads, of a keyring that is there; even of an empty one.
                let ring = self.args.opt_str("keyring").unwrap_or("/etc/apt/trusted.gpg");
                std::fs::OpenOptions::new().create(true).append(true).open(ring)?;
                self.gpg(&["--import", file])?
            }
        };
        let cmd = if file == "-" { cmd.stdin(data.to_vec()) } else { cmd };
        if file == "-" {
            return self.must(&cmd, "Unable to add a key from binary data");
        }
        self.must(&cmd, format!("Unable to add a key from file {file}")).map_err(|e| e.set("keyfile", file))
    }
    fn remove(&self, id: &Id) -> Result<(), Failure> {
        let cmd = match &self.apt_key {
            Some(t) => {
                let c = Cmd::new([t.as_str()]).env("APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE", "1").c_locale();
                self.args.opt_str("keyring").map_or(c.clone(), |r| c.args(["--keyring", r])).args(["del", &id.whole])
            }
            None => self.gpg(&["--delete-keys", &id.whole])?,
        };
        let (short, msg) = (id.short.as_str(), format!("Unable to remove a key with id {}", id.short));
        self.must(&cmd, msg).map_err(|e| e.set("key_id", short))
    }
    /// The id of the first key in a file or in data.
    fn id_of(&self, file: &str, data: &[u8], shown: &str) -> Result<Id, Failure> {
        let gpg = need_program(self.ctx, "gpg")?;
        let cmd = Cmd::new([gpg.as_str(), "--with-colons", file]).c_locale().stdin(data.to_vec());
        let o = cmd.tried(self.ctx)?;
        let out = o.out();
        let id = out.lines().find_map(|l| l.strip_prefix("pub:")?.split(':').nth(3).and_then(Id::parse));
        id.ok_or_else(|| {
            Failure::new(format!("Unable to extract key from '{shown}'")).set("stdout", out).set("stderr", o.err())
        })
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let keys = Keys { ctx, args, apt_key: find_program(ctx, "apt-key") };
    let given = args.opt_str("id");
    let mut data = args.opt_str("data").map(|d| d.as_bytes().to_vec());
    if args.is_set("keyserver") && given.is_none() {
        return Err("Missing key_id, required with keyserver.".into());
    }
    if let Some(url) = args.opt_str("url") {
        let got = webargs::body(webargs::plain(url, args.bool("validate_certs")));
        data = Some(got.map_err(|why| Failure::new(format!("Failed to download key at {url}: {why}")))?);
    }
    let present = args.str("state") == "present";
    let id = match given {
        Some(text) => Id::parse(text),
        None => match (args.opt_str("file"), &data) {
            (Some(f), _) => Some(keys.id_of(f, &[], f)?),
            (None, Some(d)) => Some(keys.id_of("-", d, args.opt_str("url").unwrap_or("inline data"))?),
            _ => None,
        },
    };
    let id = id.ok_or_else(|| Failure::new("Invalid key_id").set("id", args.get("id").clone()))?;
    let before = keys.list(&id)?;
    let there = before.contains(&id.print);
    let mut o = Outcome::changed(there != present);
    o = o.set("id", given.map_or(Json::from(id.whole.as_str()), Json::from)).set("key_id", id.whole.as_str());
    o = o.set("fp", id.print.as_str()).set("short_id", id.short.as_str()).set("before", before);
    if !o.changed || ctx.check {
        return Ok(o);
    }
    let mut why = "apt-key did not return an error, but the key was not removed";
    if !present {
        keys.remove(&id)?;
    } else {
        why = "apt-key did not return an error, but failed to add the key";
        match (args.opt_str("file"), &data, args.opt_str("keyserver")) {
            (Some(f), ..) => keys.import(f, &[])?,
            (_, Some(d), _) => keys.import("-", d)?,
            (_, _, Some(server)) => {
                let cmd = keys.gpg(&["--keyserver", server, "--recv", &id.whole])?;
                keys.must(&cmd, format!("Error fetching key {} from keyserver: {server}", id.whole))?;
            }
            _ => return Err("A key cannot be added by its id alone: give data, file, url or keyserver".into()),
        }
    }
    let after = keys.list(&id)?;
    let done = after.contains(&id.print) == present;
    o = o.set("after", after);
    if done {
        return Ok(o);
    }
    let msg = format!("{why} (check that the id is correct and *not* a subkey)");
    Err(Failure { msg, data: o.data }.set("changed", true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Keeps ids in a file; `--with-colons` tells that of the key itself, which is its text.
    const FAKE: &str = r#"#!/bin/sh
ring=$(dirname "$0")/../ring; echo "$*" >> "$ring.log"
case $* in
  *--with-colons*) [ "$2" = - ] && k=$(cat) || k=$(cat "$2" 2>/dev/null); case $k in [0-9A-F]*) echo "pub:-:2048:1:$k:1::" ;; *) echo "gpg: no" >&2; exit 2 ;; esac ;;
  *--list*) [ -e "$ring" ] && sed 's/.*/pub   rsa2048\/& 2024-01-01/' "$ring"; true ;;
  *--import*-|*add*-) cat >> "$ring"; echo >> "$ring" ;;
  *--import*|*add*) for f; do :; done; cat "$f" >> "$ring" ;;
  *del*) for f; do :; done; grep -v "${f#????????????????????????}" "$ring" > "$ring.new"; mv "$ring.new" "$ring" ;;
  *) exit 2 ;;
esac
"#;
    const KEY: &str = "5F42F2CEA6A439A8";
    const PRINT: &str = "5B84E40DAD4718B5B0C45C6F5F42F2CEA6A439A8";

    struct Host(tempfile::TempDir);

    impl Host {
        fn new(tool: &str) -> Host {
            let d = tempfile::tempdir().expect("a directory");
            std::fs::create_dir(d.path().join("bin")).expect("made");
            for name in [tool, "gpg"] {
                let at = d.path().join("bin").join(name);
                std::fs::write(&at, FAKE).expect("written");
                std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
            }
            std::fs::write(d.path().join("k.asc"), format!("{KEY}\n")).expect("written");
            Host(d)
        }
        fn call(&self, mut args: Json, check: bool) -> Result<Outcome, Failure> {
            let dir = self.0.path().display();
            args["keyring"] = json!(format!("{dir}/k.gpg"));
            if args["file"].is_string() {
                args["file"] = json!(format!("{dir}/k.asc"));
            }
            let ctx = Ctx { check, env: vec![("PATH".into(), format!("{dir}/bin:/usr/bin:/bin"))], ..Ctx::bare() };
            let checked = crate::modules::validate(&module().spec, args.as_object().expect("an object"), "apt_key");
            run(&mut { ctx }, &checked.expect("valid").args)
        }
    }

    #[test]
    fn comes_and_goes() {
        let h = Host::new("apt-key");
        let add = json!({"file": "f"});
        let o = h.call(add.clone(), true).expect("works");
        assert_eq!((o.changed, &o.data["before"], o.data.get("after")), (true, &json!([]), None));
        let o = h.call(add.clone(), false).expect("works");
        assert_eq!(
            (&o.data["id"], &o.data["short_id"], &o.data["after"]),
            (&json!(KEY), &json!("A6A439A8"), &json!([KEY]))
        );
        assert!(!h.call(add, false).expect("works").changed);
        let o = h.call(json!({"id": format!("0x{}", &KEY[8..]), "data": "x"}), false).expect("works");
        assert_eq!((o.changed, &o.data["before"]), (false, &json!(["A6A439A8"])));
        let gone = json!({"id": PRINT, "state": "absent"});
        let o = h.call(gone.clone(), false).expect("works");
        assert_eq!((o.changed, &o.data["fp"], &o.data["after"]), (true, &json!(KEY), &json!([])));
        assert!(!h.call(gone, false).expect("works").changed);
    }

    #[test]
    fn refusals() {
        let h = Host::new("apt-key");
        let msg = |a| h.call(a, false).expect_err("refused").msg;
        assert_eq!(msg(json!({"id": "nothex", "file": "f"})), "Invalid key_id");
        assert_eq!(msg(json!({"state": "absent"})), "Invalid key_id");
        assert_eq!(msg(json!({"keyserver": "x"})), "Missing key_id, required with keyserver.");
        assert_eq!(msg(json!({"data": "nonsense"})), "Unable to extract key from 'inline data'");
        assert!(msg(json!({"id": PRINT})).starts_with("A key cannot be added by its id alone"));
        let f = h.call(json!({"id": "0000000000000001", "file": "f"}), false).expect_err("another key");
        assert_eq!((&f.data["changed"], &f.data["after"]), (&json!(true), &json!([KEY])));
        assert!(f.msg.starts_with("apt-key did not return an error, but failed to add the key"));
    }
}
