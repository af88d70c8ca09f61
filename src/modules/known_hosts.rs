//! `known_hosts`: the host keys that an SSH client trusts. What `ssh-keygen -F`, `-R` and `-H` do is
//! done here: names are matched plainly, as patterns' literals and by their HMAC-SHA1.

use super::support::{atomic, pytext::os_error};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "known_hosts",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().aliases(&["host"]).doc("The host; `[host]:port` for a port other than 22."),
            Arg::str("key").doc("The line, or lines, as the file has them: names, key type, key."),
            Arg::path("path").default("~/.ssh/known_hosts").doc("The file."),
            Arg::bool("hash_host").default(false).doc("Store a hash of the name, not the name."),
            Arg::str("state").choices(&["absent", "present"]).default("present").doc("Whether the key shall be there."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Add or remove a host from the known_hosts file\n\n\
              A key of another type for the same host stays; one of the same type is replaced.",
        run,
    }
}

/// One line of the file that names hosts.
struct Entry<'a> {
    marker: &'a str,
    hosts: &'a str,
    kind: &'a str,
    blob: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Entry<'a>> {
        let mut w = line.split_whitespace();
        let first = w.next().filter(|f| !f.starts_with('#'))?;
        let (marker, hosts) = if first.starts_with('@') { (first, w.next()?) } else { ("", first) };
        Some(Entry { marker, hosts, kind: w.next()?, blob: w.next()? })
    }
    fn hashed(&self) -> bool {
        self.hosts.starts_with("|1|")
    }
    fn names(&self, host: &str) -> bool {
        if self.hashed() {
            return hash_fits(self.hosts, host);
        }
        self.hosts.split(',').any(|h| h.eq_ignore_ascii_case(host))
    }
    fn same_key(&self, other: &Entry) -> bool {
        self.marker == other.marker && self.kind == other.kind && self.blob == other.blob
    }
}

fn hash_fits(field: &str, host: &str) -> bool {
    let Some((salt, sum)) = field.strip_prefix("|1|").and_then(|r| r.split_once('|')) else { return false };
    let (Ok(salt), Ok(sum)) = (STANDARD.decode(salt), STANDARD.decode(sum)) else { return false };
    digest(&salt, host).is_some_and(|d| d == sum)
}

fn digest(salt: &[u8], host: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(host.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

/// The field that hides a host name: a salt of 20 bytes and the name's HMAC.
fn hash_of(host: &str) -> Result<String, Failure> {
    use rand::RngCore;
    let mut salt = [0u8; 20];
    rand::rng().fill_bytes(&mut salt);
    let sum = digest(&salt, host).ok_or("the host name cannot be hashed")?;
    Ok(format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(sum)))
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let host = args.str("name").to_lowercase();
    let shown = args.str("path");
    let path = Path::new(shown);
    let present = args.str("state") == "present";
    let key = args.opt_str("key").map(|k| if k.ends_with('\n') { k.to_owned() } else { format!("{k}\n") });
    if present && key.is_none() {
        return Err("No key specified when adding a host".into());
    }
    if let Some(k) = &key {
        check_key(k, &host)?;
    }
    let key = match key {
        Some(k) if args.bool("hash_host") => Some(hash_names(&k, &host)?),
        other => other,
    };
    let old = match std::fs::read(path) {
        Ok(d) => Some(d),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Failure::uncaught(format!("Failed to read '{shown}': {}", os_error(&e, path)))),
    };
    let text = String::from_utf8_lossy(old.as_deref().unwrap_or_default()).into_owned();
    let new = edited(&text, key.as_deref(), &host, present, args.bool("hash_host"));
    let changed = new.is_some();
    let new = new.unwrap_or_else(|| text.clone());
    let diff = Diff::new(text, new.clone()).headers(if old.is_some() { shown } else { "/dev/null" }, shown);
    if ctx.check {
        return Ok(Outcome::changed(changed).with_diff(diff));
    }
    if changed {
        atomic::write(path, new.as_bytes(), false).map_err(|f| {
            let why = f.msg.rsplit_once("Error was: ").map_or(f.msg.as_str(), |(_, w)| w);
            Failure::uncaught(format!("Failed to write to file '{shown}': {why}"))
        })?;
    }
    let mut o = Outcome::changed(changed).set("name", args.str("name")).set("path", shown);
    o = o.set("hash_host", args.bool("hash_host")).set("key", args.get("key").clone());
    if !path.exists() {
        o = o.set("state", args.str("state"));
    }
    Ok(if changed { o.with_diff(diff) } else { o })
}

/// A key must be for the host that the task names.
fn check_key(key: &str, host: &str) -> Result<(), Failure> {
    let lines: Vec<&str> = key.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let readable: Vec<Entry> = lines.iter().filter_map(|l| Entry::parse(l)).collect();
    if readable.is_empty() && lines.iter().any(|l| l.split_whitespace().count() < 2) {
        return Err("Unable to read the key: it must be a line of a known_hosts file".into());
    }
    if readable.iter().any(|e| e.names(host)) {
        return Ok(());
    }
    Err("Host parameter does not match hashed host field in supplied key".into())
}

/// The lines of a key with a hash in place of the names.
fn hash_names(key: &str, host: &str) -> Result<String, Failure> {
    let mut out = String::new();
    for line in key.lines() {
        match Entry::parse(line) {
            Some(e) if !e.hashed() => out.push_str(&line.replacen(e.hosts, &hash_of(host)?, 1)),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    Ok(out)
}

/// The new text, if anything is to change.
fn edited(text: &str, key: Option<&str>, host: &str, present: bool, hash: bool) -> Option<String> {
    let wanted: Vec<Entry> = key.unwrap_or_default().lines().filter_map(Entry::parse).collect();
    // Without a key every key of the host goes; with one, those of its type.
    let goes =
        |e: &Entry| (!present && wanted.is_empty()) || wanted.iter().any(|w| w.kind == e.kind && w.marker == e.marker);
    let of_host = |l: &str| Entry::parse(l).is_some_and(|e| e.names(host));
    if present {
        let there = |w: &Entry| {
            text.lines()
                .filter_map(Entry::parse)
                .any(|e| e.names(host) && e.same_key(w) && e.hashed() == (hash || w.hashed()))
        };
        if wanted.iter().all(there) {
            return None;
        }
    } else if !text.lines().any(|l| of_host(l) && Entry::parse(l).is_some_and(|e| goes(&e))) {
        return None;
    }
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if !(of_host(line) && Entry::parse(line).is_some_and(|e| goes(&e))) {
            out.push_str(line);
        }
    }
    if present {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(key.unwrap_or_default());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbJKZy1P0UmNqhEzd9NwUSBl/1/KZc9rNq7r0yVCyXw";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbKKZy1P0UmNqhEzd9NwUSBl/1/KZc9rNq7r0yVCyXw";

    #[test]
    fn adds_replaces_and_removes() {
        let b = bench("known_hosts").file("kh", "# mine\nother ssh-rsa AAAA");
        let r = b.cycle(json!({"name": "H1", "key": format!("h1,10.0.0.1 {A} note"), "path": "$D/kh"}));
        assert_eq!(b.read("kh"), format!("# mine\nother ssh-rsa AAAA\nh1,10.0.0.1 {A} note\n"));
        assert_eq!((&r["name"], &r["state"]), (&json!("H1"), &json!("file")));
        b.cycle(json!({"name": "h1", "key": format!("h1 {B}"), "path": "$D/kh"}));
        assert_eq!(b.read("kh"), format!("# mine\nother ssh-rsa AAAA\nh1 {B}\n"));
        let r = b.real(json!({"name": "h1", "key": "h1 ssh-rsa AAAA", "path": "$D/kh", "state": "absent"}));
        assert_eq!(r["changed"], false);
        b.cycle(json!({"name": "h1", "path": "$D/kh", "state": "absent"}));
        assert_eq!(b.read("kh"), "# mine\nother ssh-rsa AAAA\n");
        let r = b.cycle(json!({"name": "new", "key": format!("new {A}"), "path": "$D/made"}));
        assert_eq!(r["diff"]["before_header"], "/dev/null");
    }

    #[test]
    fn hashes() {
        // Made with ssh-keygen -H.
        let field = "|1|Kc5u2Y1EIdUozXCdChn7rwldEA4=|wuBLGkcy+Qbp+8LS+SawKxNIzaE=";
        assert!(hash_fits(field, "10.0.0.1") && !hash_fits(field, "10.0.0.2"));
        let b = bench("known_hosts").file("kh", "");
        let task = json!({"name": "h1", "key": format!("h1 {A}"), "path": "$D/kh", "hash_host": true});
        assert_eq!(b.real(task.clone())["changed"], true);
        assert!(b.read("kh").starts_with("|1|") && b.read("kh").ends_with(&format!(" {A}\n")));
        assert_eq!(b.real(task)["changed"], false);
        let r = b.real(json!({"name": "h1", "key": format!("h1 {A}"), "path": "$D/kh"}));
        assert_eq!((&r["changed"], b.read("kh")), (&json!(true), format!("h1 {A}\n")));
    }

    #[test]
    fn refusals() {
        let b = bench("known_hosts").dir("d");
        let msg = |args| b.real(args)["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(msg(json!({"name": "h"})), "No key specified when adding a host");
        let other = msg(json!({"name": "h", "key": format!("x {A}"), "path": "$D/kh"}));
        assert_eq!(other, "Host parameter does not match hashed host field in supplied key");
        let dir = msg(json!({"name": "h", "key": format!("h {A}"), "path": "$D/d"}));
        assert!(dir.contains("Failed to read '$D/d': [Errno 21] Is a directory"), "{dir}");
        let gone = msg(json!({"name": "h", "key": format!("h {A}"), "path": "$D/no/kh"}));
        assert!(gone.contains("Failed to write to file '$D/no/kh': [Errno 2]"), "{gone}");
    }
}
