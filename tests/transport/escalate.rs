//! Becoming other users. Stand-ins for sudo, su and doas ask as the real ones do; the lab has the real ones.

use super::*;
use dirigo::transport::{Method, Secret};
use std::path::Path;

/// Asks as sudo -S does: prompt of -p on stderr, answer on stdin, three tries.
const SUDO: &str = r#"#!/bin/bash
while [ $# -gt 0 ]; do case $1 in -p) p=$2; shift 2;; -u) u=$2; shift 2;; -n) n=1; shift;; -*) shift;; *) break;; esac; done
if [ -n "$n" ]; then echo "sudo: a password is required" >&2; exit 1; fi
for try in 1 2 3; do
  printf %s "$p" >&2; IFS= read -r a || { echo; echo "sudo: no password was provided" >&2; exit 1; }
  echo >&2
  if [ "$a" = geheim ]; then exec env BECAME=$u "$@"; fi
  echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2; exit 1
"#;

/// Asks on the terminal and nowhere else, as doas does.
const DOAS: &str = r#"#!/bin/bash
while [ $# -gt 0 ]; do case $1 in -u) u=$2; shift 2;; -n) n=1; shift;; -*) shift;; *) break;; esac; done
if [ -n "$n" ]; then echo "doas: Authentication required" >&2; exit 1; fi
exec 9<>/dev/tty || { echo "doas: a tty is required" >&2; exit 1; }
stty -echo <&9; printf "doas (me@host) password: " >&9; IFS= read -r a <&9; stty echo <&9; echo >&9
exec 9>&-
if [ "$a" = geheim ]; then exec env BECAME=$u "$@"; fi
echo "doas: Authentication failed" >&2; exit 1
"#;

/// Asks on stderr and reads stdin, as su with PAM does; with TTY=1 it wants a terminal, as busybox does.
const SU: &str = r#"#!/bin/bash
u=$1; shift; [ "$1" = -c ] && shift
if [ -e "$0.tty" ]; then
  tty >/dev/null; exec 9<>/dev/tty || { echo "su: must be run from a terminal" >&2; exit 1; }
  printf "Passwort: " >&9; IFS= read -r a <&9; exec 9>&-
else
  printf "Passwort: " >&2; IFS= read -r a
fi
if [ "$a" = geheim ]; then exec env BECAME=$u /bin/bash -c "$1"; fi
sleep 0.2; echo "su: Authentication failure" >&2; exit 1
"#;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }
    fn params(&self) -> ConnParams {
        let mut p = ConnParams::local("here");
        p.remote_tmp = self.dir.path().join("tmp").display().to_string();
        p.timeout = 5;
        p
    }
    fn tool(&self, method: Method, text: &str, password: Option<&str>) -> Become {
        let exe = self.dir.path().join(method.name());
        std::fs::write(&exe, text).unwrap();
        std::fs::set_permissions(&exe, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut b = Become::new(method, "bob");
        b.exe = Some(exe.display().to_string());
        b.password = password.map(Secret::new);
        b
    }
}

fn check(method: Method, text: &str) {
    let place = Place::new();
    let pool = pool();
    let good = place.tool(method, text, Some("geheim"));
    assert_eq!(output(&pool, &place.params(), Some(&good), "echo $BECAME"), "bob");
    // Again, now that the agent is in its place.
    let mut p = place.params();
    p.host = "again".into();
    assert_eq!(output(&pool, &p, Some(&good), "echo $BECAME"), "bob");
    let wrong = Become { password: Some(Secret::new("falsch")), ..good.clone() };
    let e = call(&pool, &p, Some(&wrong), shell("true")).unwrap_err();
    assert_eq!(e, CallError::Failed(format!("Incorrect {} password", method.name())));
    let none = Become { password: None, ..good };
    let e = call(&pool, &p, Some(&none), shell("true")).unwrap_err();
    assert_eq!(e, CallError::Failed(format!("Missing {} password", method.name())));
}

#[test]
fn sudo_with_password() {
    check(Method::Sudo, SUDO);
}

#[test]
fn doas_with_password_on_a_terminal() {
    check(Method::Doas, DOAS);
}

#[test]
fn su_with_password_on_stdin() {
    check(Method::Su, SU);
}

#[test]
fn su_that_wants_a_terminal() {
    let place = Place::new();
    let b = place.tool(Method::Su, SU, Some("geheim"));
    std::fs::write(place.dir.path().join("su.tty"), "").unwrap();
    assert_eq!(output(&pool(), &place.params(), Some(&b), "echo $BECAME"), "bob");
}

#[test]
fn password_is_in_no_argument_list_or_environment() {
    let place = Place::new();
    let b = place.tool(Method::Sudo, SUDO, Some("geheim"));
    let found = output(
        &pool(),
        &place.params(),
        Some(&b),
        "cat /proc/*/cmdline /proc/*/environ 2>/dev/null | grep -c gehei[m]; true",
    );
    assert_eq!(found, "0");
}

#[test]
fn raw_with_password() {
    let place = Place::new();
    let b = place.tool(Method::Sudo, SUDO, Some("geheim"));
    let r = pool().raw(&place.params(), Some(&b), "cat; echo $BECAME", Some(b"in ")).unwrap();
    assert_eq!(String::from_utf8_lossy(&r.stdout), "in bob\n");
    let b = place.tool(Method::Sudo, SUDO, Some("falsch"));
    let e = pool().raw(&place.params(), Some(&b), "true", None).unwrap_err();
    assert_eq!(e, CallError::Failed("Incorrect sudo password".into()));
}

#[test]
fn other_failures_keep_their_words() {
    let place = Place::new();
    let b = place.tool(Method::Sudo, "#!/bin/sh\necho 'ops is not in the sudoers file.' >&2; exit 1\n", None);
    let e = call(&pool(), &place.params(), Some(&b), shell("true")).unwrap_err();
    assert!(matches!(&e, CallError::Failed(m) if m.contains("not in the sudoers file")), "{e:?}");
}

#[test]
fn real_sudo_to_an_unprivileged_user() {
    if !Path::new("/usr/bin/sudo").exists() || !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root and sudo");
        return;
    }
    let pool = pool();
    let b = Become::new(Method::Sudo, "nobody");
    assert_eq!(output(&pool, &ConnParams::local("here"), Some(&b), "id -un; umask"), "nobody\n0022");
    // root's own connection is another one.
    assert_eq!(output(&pool, &ConnParams::local("here"), None, "id -un"), "root");
}
