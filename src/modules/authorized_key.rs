//! `authorized_key` (ansible.posix): the public keys that may log in as a user.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/authorized_key_module.html>
//! and the section AUTHORIZED_KEYS FILE FORMAT of sshd(8).

use super::support::accounts::{self, User};
use super::support::http::{self, Ask};
use super::support::{atomic, fileargs::real_path, pytext::os_error, webargs};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub fn module() -> Module {
    Module {
        name: "authorized_key",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::str("user").required().doc("Whose keys."),
            Arg::str("key").required().doc("Public keys, one a line, or the URL of such a text."),
            Arg::path("path").doc("The file, if it is not ~/.ssh/authorized_keys."),
            Arg::bool("manage_dir").default(true).doc("Make the directory, with its owner and mode."),
            Arg::str("state")
                .choices(&["absent", "present"])
                .default("present")
                .doc("Whether the keys shall be there."),
            Arg::str("key_options").doc("Options before the key."),
            Arg::bool("exclusive").default(false).doc("All other keys go."),
            Arg::bool("validate_certs").default(true).doc("Verify certificates of a URL."),
            Arg::str("comment").doc("A comment instead of the keys' own."),
            Arg::bool("follow").default(false).doc("Change the file that a link leads to, not the link."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Add or remove SSH authorized keys",
        run,
    }
}

const KINDS: [&str; 15] = [
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-dss",
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    options: Vec<String>,
    kind: String,
    blob: String,
    comment: String,
}

/// The words of a line; blanks and commas within quotes part nothing.
fn pieces(text: &str, at: fn(char) -> bool) -> Vec<&str> {
    let (mut out, mut start, mut quoted, mut escaped) = (vec![], 0, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if at(c) && !quoted => {
                out.extend(text.get(start..i).filter(|p| !p.is_empty()));
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    out.extend(text.get(start..).filter(|p| !p.is_empty()));
    out
}

fn options_of(text: &str) -> Vec<String> {
    pieces(text, |c| c == ',').into_iter().map(|p| p.trim().to_owned()).collect()
}

impl Key {
    fn parse(line: &str) -> Option<Key> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let words = pieces(line, char::is_whitespace);
        let at = words.iter().take(2).position(|w| KINDS.contains(w))?;
        let blob = words.get(at + 1)?;
        let options = words.first().filter(|_| at == 1).map(|o| options_of(o)).unwrap_or_default();
        let comment = words.get(at + 2..).unwrap_or_default().join(" ");
        Some(Key { options, kind: words.get(at)?.to_string(), blob: blob.to_string(), comment })
    }
    fn line(&self) -> String {
        let mut parts = vec![];
        if !self.options.is_empty() {
            parts.push(self.options.join(","));
        }
        parts.extend([self.kind.clone(), self.blob.clone()]);
        if !self.comment.is_empty() {
            parts.push(self.comment.clone());
        }
        parts.join(" ") + "\n"
    }
}

/// The keys of a text without its comments.
fn wanted(text: &str, args: &Args) -> Result<Vec<Key>, Failure> {
    let mut out: Vec<Key> = vec![];
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let mut k = Key::parse(line).ok_or_else(|| Failure::new(format!("invalid key specified: {line}")))?;
        if let Some(o) = args.opt_str("key_options") {
            k.options = options_of(o);
        }
        if let Some(c) = args.opt_str("comment") {
            k.comment = c.to_owned();
        }
        out.retain(|o| o.blob != k.blob);
        out.push(k);
    }
    Ok(out)
}

/// The new text of the file. Lines that are no keys stay; a key that changes goes to the end.
fn edited(text: &str, wanted: &[Key], present: bool, exclusive: bool) -> String {
    let mut out = String::new();
    let mut there: Vec<&Key> = vec![];
    for line in text.split_inclusive('\n') {
        let Some(k) = Key::parse(line) else {
            out.push_str(line);
            continue;
        };
        let stays = match (wanted.iter().find(|w| w.blob == k.blob), present) {
            (Some(w), true) if *w == k => {
                let first = !there.iter().any(|t| t.blob == w.blob);
                there.push(w);
                first
            }
            (Some(_), _) => false,
            (None, _) => !exclusive,
        };
        if stays {
            out.push_str(line);
        }
    }
    if present {
        for w in wanted.iter().filter(|w| !there.contains(w)) {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&w.line());
        }
    }
    out
}

fn fetched(url: &str, args: &Args) -> Result<String, Failure> {
    let ask =
        Ask { headers: vec![], timeout: Duration::from_secs(30), ..webargs::plain(url, args.bool("validate_certs")) };
    let bad = |why: String| Failure::new(format!("Error getting key from: {url}: {why}"));
    let mut answer = http::send(ask).map_err(|t| bad(t.to_string()))?;
    if answer.status != 200 {
        return Err(bad(answer.msg));
    }
    let bytes = answer.read().map_err(bad)?;
    String::from_utf8(bytes).map_err(|_| bad("the answer is not text".into()))
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let given = args.str("key");
    let is_url = ["http://", "https://", "ftp://"].iter().any(|p| given.starts_with(p));
    let text = match given.strip_prefix("file://") {
        Some(path) if !Path::new(path).exists() => {
            return Err(Failure::new(format!("Path to a key file not found: {path}")));
        }
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Failure::new(format!("Error in key file {path}: {}", os_error(&e, Path::new(path)))))?,
        None if is_url => fetched(given, args)?,
        None => given.to_owned(),
    };
    let keys = wanted(&text, args)?;
    let name = args.str("user");
    let user = accounts::user_by_name(ctx, name);
    let file = match (args.opt_str("path"), &user) {
        (Some(p), _) => PathBuf::from(p),
        (None, Some(u)) => Path::new(&u.home).join(".ssh/authorized_keys"),
        (None, None) if ctx.check => {
            return Err("Either user must exist or you must provide full path to key file in check mode".into());
        }
        (None, None) => {
            return Err(Failure::new(format!(
                "Failed to lookup user {name}: \"getpwnam(): name not found: '{name}'\""
            )));
        }
    };
    if user.is_none() && !ctx.check {
        return Err(Failure::new(format!("Failed to lookup user {name}: \"getpwnam(): name not found: '{name}'\"")));
    }
    let named = file.to_string_lossy().into_owned();
    let file = if args.bool("follow") { real_path(&file) } else { file };
    let shown = file.to_string_lossy().into_owned();
    let old = match std::fs::read(&file) {
        Ok(d) => String::from_utf8_lossy(&d).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Failure::new(os_error(&e, &file))),
    };
    let new = edited(&old, &keys, args.str("state") == "present", args.bool("exclusive"));
    let changed = new != old;
    if changed && !ctx.check {
        if args.bool("manage_dir") {
            manage_dir(&file, user.as_ref(), args.is_set("path"))?;
        }
        let made = !file.exists();
        atomic::write(&file, new.as_bytes(), false)?;
        if made {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
                .map_err(|e| Failure::new(os_error(&e, &file)))?;
            own(&file, user.as_ref())?;
        }
    }
    let mut o = Outcome::changed(changed).set("keyfile", named.as_str());
    for n in [
        "user",
        "key",
        "path",
        "manage_dir",
        "state",
        "key_options",
        "exclusive",
        "validate_certs",
        "comment",
        "follow",
    ] {
        o = o.set(n, args.get(n).clone());
    }
    if changed {
        o = o.with_diff(Diff::new(old, new).headers(&named, &shown));
    }
    Ok(o)
}

fn own(path: &Path, user: Option<&User>) -> Result<(), Failure> {
    let Some(u) = user.filter(|_| nix::unistd::geteuid().is_root()) else { return Ok(()) };
    lchown(path, Some(u.uid), Some(u.gid)).map_err(|e| Failure::new(os_error(&e, path)))
}

/// The directory of the file: made, and the user's own `.ssh` put in order. One that exists elsewhere stays as it is.
fn manage_dir(file: &Path, user: Option<&User>, elsewhere: bool) -> Result<(), Failure> {
    let Some(dir) = file.parent().filter(|d| !d.as_os_str().is_empty()) else { return Ok(()) };
    let there = dir.is_dir();
    if there && elsewhere {
        return Ok(());
    }
    let fail = |e: std::io::Error| {
        Failure::new(format!("Failed to create directory {} : {}", dir.display(), os_error(&e, dir)))
    };
    if !there {
        std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(fail)?;
    }
    own(dir, user)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbJKZy1P0UmNqhEzd9NwUSBl";
    const B: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7";

    fn me() -> String {
        accounts::user_by_id(&Ctx::bare(), nix::unistd::geteuid().as_raw()).map(|u| u.name).expect("a user")
    }

    #[test]
    fn lines() {
        let text = "from=\"10.0.0.1,10.0.0.2\",command=\"echo \\\"hi, you\\\" x\" ssh-rsa AAAA some one";
        let k = Key::parse(text).expect("a key");
        assert_eq!(k.options, ["from=\"10.0.0.1,10.0.0.2\"", "command=\"echo \\\"hi, you\\\" x\""]);
        assert_eq!((k.kind.as_str(), k.blob.as_str(), k.comment.as_str()), ("ssh-rsa", "AAAA", "some one"));
        assert_eq!(k.line(), format!("{text}\n"));
        assert!(Key::parse("# ssh-rsa AAAA").is_none() && Key::parse("ssh-foo AAAA").is_none());
        assert!(Key::parse("ssh-rsa").is_none());
    }

    #[test]
    fn keys_come_change_and_go() {
        let b = bench("authorized_key");
        let task = |extra: serde_json::Value| {
            let mut m =
                json!({"user": me(), "path": "$D/keys/authorized_keys"}).as_object().cloned().unwrap_or_default();
            m.extend(extra.as_object().cloned().unwrap_or_default());
            serde_json::Value::Object(m)
        };
        b.cycle(task(json!({"key": format!("# first\n{A} one\n\n{B}")})));
        assert_eq!(b.read("keys/authorized_keys"), format!("{A} one\n{B}\n"));
        assert_eq!((b.mode("keys"), b.mode("keys/authorized_keys")), (0o700, 0o600));
        b.cycle(task(json!({"key": A, "key_options": "no-pty,from=\"x\"", "comment": "new"})));
        assert_eq!(b.read("keys/authorized_keys"), format!("{B}\nno-pty,from=\"x\" {A} new\n"));
        b.cycle(task(json!({"key": format!("{A} whatever"), "state": "absent"})));
        assert_eq!(b.read("keys/authorized_keys"), format!("{B}\n"));
        let r = b.cycle(task(json!({"key": A, "exclusive": true})));
        assert_eq!(b.read("keys/authorized_keys"), format!("{A}\n"));
        assert_eq!(r["keyfile"], "$D/keys/authorized_keys");
    }

    #[test]
    fn what_is_no_key_stays() {
        let b = bench("authorized_key").file("f", &format!("# note\n{A} one")).link("l", "f");
        let r = b.real(json!({"user": me(), "path": "$D/l", "follow": true, "key": B}));
        assert_eq!((&r["changed"], b.read("f")), (&json!(true), format!("# note\n{A} one\n{B}\n")));
        assert!(b.at("l").is_symlink());
        let r = b.real(json!({"user": me(), "path": "$D/f", "key": "nonsense"}));
        assert_eq!(r["msg"], "invalid key specified: nonsense");
        let r = b.real(json!({"user": "no-such-user", "key": A}));
        assert_eq!(r["msg"], "Failed to lookup user no-such-user: \"getpwnam(): name not found: 'no-such-user'\"");
        let r = b.check(json!({"user": "no-such-user", "path": "$D/f", "key": B}));
        assert_eq!(r["changed"], false);
    }
}
