//! `htpasswd`: users and their passwords in a file of a web server.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/htpasswd_module.html>.

use super::support::pytext::{os_error, utf8};
use super::support::{atomic, crypt, fileargs, selinux};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "htpasswd",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "destfile"]).doc("The file."),
            Arg::str("name").required().aliases(&["username"]).doc("The user."),
            Arg::str("password").secret().doc("The password; needed for a user that shall be there."),
            Arg::str("hash_scheme").default("apr_md5_crypt").aliases(&["crypt_scheme"]).doc(
                "apr_md5_crypt, bcrypt, des_crypt, ldap_sha1, md5_crypt, plaintext, sha256_crypt, sha512_crypt, \
                 ldap_md5, or ldap_salted_ with md5, sha1, sha256 or sha512. A password that fits the entry stays, \
                 whatever its scheme.",
            ),
            Arg::str("state").choices(&["present", "absent"]).default("present"),
            Arg::bool("create").default(true).doc("Make the file if it is not there."),
        ])
        .with_file_args(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage user files for basic authentication",
        run,
    }
}

/// A line of the file.
enum Line {
    Entry(String, String),
    /// A comment, kept as it is.
    Other(String),
}

/// The file's lines; blank ones go.
fn parse(text: &str) -> Result<Vec<Line>, Failure> {
    let kept = text.lines().filter(|l| !l.trim().is_empty());
    kept.enumerate()
        .map(|(n, l)| match l.split_once(':') {
            _ if l.trim_start().starts_with('#') => Ok(Line::Other(l.to_owned())),
            // what may follow the hash is no part of it
            Some((user, rest)) => {
                Ok(Line::Entry(user.to_owned(), rest.split(':').next().unwrap_or("").trim_end().to_owned()))
            }
            None => Err(Failure::new(format!("malformed htpasswd file (error reading line {})", n + 1))),
        })
        .collect()
}

fn text_of(lines: &[Line]) -> String {
    let line = |l: &Line| match l {
        Line::Entry(user, hash) => format!("{user}:{hash}\n"),
        Line::Other(text) => format!("{text}\n"),
    };
    lines.iter().map(line).collect()
}

/// A hash of the password for the file.
fn hashed(scheme: &str, password: &str) -> Result<String, Failure> {
    if password.contains('\0') {
        return Err("password contains a null byte".into());
    }
    crypt::make(scheme, password).ok_or_else(|| {
        let all = crypt::SCHEMES.join(", ");
        Failure::new(format!("no crypt handler found for algorithm: '{scheme}'; there are {all}"))
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    let data = std::fs::read(path).map_err(|e| Failure::new(os_error(&e, path)))?;
    utf8(data).map_err(Failure::new)
}

fn write(path: &Path, lines: &[Line], a: &Args) -> Result<(), Failure> {
    atomic::write(&fileargs::real_path(path), text_of(lines).as_bytes(), a.bool("unsafe_writes"))
}

/// What was done, in ansible-core's words, and whether it is a change.
fn entry(ctx: &Ctx, a: &Args, path: &Path) -> Result<(bool, String), Failure> {
    let (user, scheme, present) = (a.str("name"), a.str("hash_scheme"), a.str("state") == "present");
    if !crypt::SCHEMES.contains(&scheme) {
        hashed(scheme, "")?;
    }
    let exists = path.exists();
    if !exists && present {
        if !a.bool("create") {
            return Err(format!("Destination {} does not exist", path.display()).into());
        }
        if ctx.check {
            return Ok((true, format!("Create {}", path.display())));
        }
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir)?;
        }
    }
    let mut lines = if exists { parse(&text(path)?)? } else { vec![] };
    if user.contains([':', '\n', '\r', '\t', '\0']) {
        return Err(format!("user contains invalid characters: b'{}'", user.escape_default()).into());
    }
    if user.len() > 255 {
        return Err(format!("user must be at most 255 characters: b'{user}'").into());
    }
    let ours = |l: &Line| matches!(l, Line::Entry(u, _) if u == user);
    if !present {
        let before = lines.len();
        lines.retain(|l| !ours(l));
        if lines.len() == before {
            return Ok((false, format!("{user} not present")));
        }
        if !ctx.check {
            write(path, &lines, a)?;
        }
        return Ok((true, format!("Remove {user}")));
    }
    let Some(password) = a.opt_str("password") else {
        return Err("secret must be unicode or bytes, not None".into());
    };
    match lines.iter_mut().find(|l| ours(l)) {
        Some(Line::Entry(_, hash)) if crypt::verify(hash, password, scheme) => {
            return Ok((false, format!("{user} already present")));
        }
        Some(Line::Entry(_, hash)) => *hash = hashed(scheme, password)?,
        _ => lines.push(Line::Entry(user.to_owned(), hashed(scheme, password)?)),
    }
    if !ctx.check {
        write(path, &lines, a)?;
    }
    let told =
        if exists { format!("Add/update {user}") } else { format!("Created {} and added {user}", path.display()) };
    Ok((true, told))
}

/// Whether anything is asked of the file's attributes.
fn asks(f: &fileargs::FileArgs) -> bool {
    let texts = [&f.owner, &f.group, &f.attributes];
    let label = selinux::enabled() && f.label.iter().any(Option::is_some);
    !f.mode.is_null() || label || texts.into_iter().any(Option::is_some)
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let path = Path::new(a.str("path"));
    let absent = !path.exists() && a.str("state") == "absent";
    let (mut changed, mut msg) = match absent {
        true => (false, format!("{} not present", a.str("name"))),
        false => entry(ctx, a, path)?,
    };
    let wanted = fileargs::FileArgs::from_args(a);
    let other = match path.exists() {
        true => wanted.apply(path, ctx.check, &mut fileargs::AttrDiff::default())?,
        // a file that a check run does not make would get them
        false => changed && asks(&wanted),
    };
    if other {
        // without the word where the entry is as it was, as ansible-core
        msg.push_str(if changed { " and " } else { "" });
        msg.push_str("ownership, perms or SE linux context changed");
        changed = true;
    }
    let o = Outcome::changed(changed).msg(msg);
    Ok(if absent { o.warn(format!("{} does not exist", path.display())) } else { o })
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::{Value, json};

    #[test]
    fn users_come_change_and_go() {
        let b = bench("htpasswd");
        let joe = |more: Value| {
            let mut args = json!({"path": "$D/sub/f", "name": "joe", "password": "geheim"});
            for (k, v) in more.as_object().into_iter().flatten() {
                args[k] = v.clone();
            }
            args
        };
        let msg = |r: &serde_json::Map<String, Value>| r.get("msg").and_then(Value::as_str).unwrap_or("").to_owned();
        let first = b.cycle(joe(json!({"mode": "0640"})));
        assert_eq!(msg(&first), "Created $D/sub/f and added joe and ownership, perms or SE linux context changed");
        assert_eq!(b.mode("sub/f"), 0o640);
        assert!(b.read("sub/f").starts_with("joe:$apr1$"));
        assert_eq!(msg(&b.real(joe(json!({})))), "joe already present");
        let ann = joe(json!({"name": "ann", "hash_scheme": "plaintext"}));
        assert_eq!(msg(&b.cycle(ann)), "Add/update ann");
        let b = b.file("g", "# c\n\njoe:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\nann:rqXexS6ZhobKA\n");
        let r = b.real(json!({"path": "$D/g", "name": "ann", "password": "myPassword"}));
        assert_eq!(r.get("changed"), Some(&false.into()));
        b.cycle(json!({"path": "$D/g", "name": "ann", "state": "absent"}));
        assert_eq!(b.read("g"), "# c\njoe:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n");
        b.cycle(json!({"path": "$D/g", "name": "joe", "password": "new", "hash_scheme": "ldap_sha1"}));
        assert!(b.read("g").starts_with("# c\njoe:{SHA}"));
    }

    #[test]
    fn refusals() {
        let b = bench("htpasswd").file("bad", "a:b\nnothing\n");
        let fails = |args: Value, words: &str| {
            let r = b.check(args);
            let msg = r.get("msg").and_then(Value::as_str).unwrap_or_default();
            assert!(r.contains_key("failed") && msg.contains(words), "{msg}");
        };
        fails(
            json!({"path": "$D/f", "name": "a", "password": "geheim", "create": false}),
            "Destination $D/f does not exist",
        );
        fails(
            json!({"path": "$D/bad", "name": "a", "password": "geheim"}),
            "malformed htpasswd file (error reading line 2)",
        );
        let b = b.file("good", "a:b\n");
        let r = b.real(json!({"path": "$D/good", "name": "a"}));
        assert_eq!(r.get("msg"), Some(&"secret must be unicode or bytes, not None".into()));
        let r = b.real(json!({"path": "$D/good", "name": "a:b", "password": "geheim"}));
        assert_eq!(r.get("msg"), Some(&"user contains invalid characters: b'a:b'".into()));
        let r = b.real(json!({"path": "$D/good", "name": "a", "password": "geheim", "hash_scheme": "scram"}));
        assert!(r.get("msg").and_then(Value::as_str).is_some_and(|m| m.contains("algorithm: 'scram'; there are ")));
    }
}
