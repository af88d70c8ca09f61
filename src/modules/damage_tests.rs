//! Modules that edit files, on files that are damaged: whatever stands there, a module comes back, says in check mode
//! what it then does, leaves the file alone until then, and has nothing to do the second time.

use super::support::toolkit::Root;
use super::{find, run};
use crate::damage::{Noise, rounds};
use serde_json::{Value as Json, json};
use std::path::Path;

const PIECES: &[&str] = &[
    "\n", "\r\n", "\t", " ", "#", ";", "=", ":", ",", "[", "]", "[s]\n", "\"", "'", "\\", "\\1", "$", "^", "(", "{",
    "é", "\0", "\u{85}", "\u{2028}", "\u{feff}", "key", "end", "|1|a|b ", "@", "-",
];

/// A module, its arguments (`$F` is the file) and a file that is whole.
fn cases() -> Vec<(&'static str, Json, &'static str)> {
    let ini = "top = 1\n[s]\nkey = a\n; key = b\nkey=c\n\n[t]\n# x\nother: 2\n";
    let limits = "# limits\n@wheel - nofile 100\nbob soft nproc 5 # five\n*\thard\tcore\t0\n# End of file\n";
    let proxy = "global\n  maxconn 5\nbackend be\n  balance source\n  server m0 10.0.0.1:80 check\n  server m1 10.0.0.2:80\n\nlisten x\n";
    let hosts = "h1,10.0.0.1 ssh-rsa AAAAB3NzaC1yc2E=\n|1|tLhlXYbbBwGPwFjH7x8ENjxxGcs=|0iI0Hqfs5vAcIgwHQ9ZyQUn3uDA= ssh-rsa AAAAB3NzaC1yc2E=\n@revoked * ssh-rsa AAAA\n";
    let keys = "# mine\nssh-rsa AAAAB3NzaC1yc2E= a@b\nfrom=\"10.0.0.*\",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1 c d\n";
    let fstab = "# fs\nUUID=1-2 / ext4 defaults 0 1\n/dev/sdb /data\\040x xfs noatime 0 0\nnone swap swap sw 0 0\n";
    let cron = "MAILTO=\"x\"\n#Ansible: job\n* * * * * root /bin/true\n@daily root x\n#Ansible: last\n";
    let text = "first\nkey=old\n# BEGIN ANSIBLE MANAGED BLOCK\nin it\n# END ANSIBLE MANAGED BLOCK\nlast";
    let repo = "[s]\nname = x\nbaseurl = a\n\tb\nkey=%(x)s\n";
    vec![
        ("ini_file", json!({"path": "$F", "section": "s", "option": "key", "value": "v"}), ini),
        ("ini_file", json!({"path": "$F", "section": "t", "option": "key", "state": "absent"}), ini),
        ("ini_file", json!({"path": "$F", "section": "s", "option": "key", "values": ["a", "z"]}), ini),
        ("ini_file", json!({"path": "$F", "section": "s", "option": "key", "values": ["z"], "exclusive": false}), ini),
        (
            "pam_limits",
            json!({"dest": "$F", "domain": "bob", "limit_type": "soft", "limit_item": "nproc", "value": "7"}),
            limits,
        ),
        (
            "haproxy_backend",
            json!({"path": "$F", "backend": "be", "server": "m0", "state": "absent", "validate": ""}),
            proxy,
        ),
        (
            "haproxy_backend",
            json!({"path": "$F", "backend": "be", "address": "10.0.0.2", "state": "absent", "validate": "", "allow_empty": true}),
            proxy,
        ),
        (
            "haproxy_backend",
            json!({"path": "$F", "backend": "be", "server": "m9", "address": "10.0.0.9", "port": 80, "validate": ""}),
            proxy,
        ),
        ("known_hosts", json!({"path": "$F", "name": "h1", "state": "absent"}), hosts),
        (
            "known_hosts",
            json!({"path": "$F", "name": "h1", "key": "h1 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ=="}),
            hosts,
        ),
        (
            "authorized_key",
            json!({"path": "$F", "user": "root", "manage_dir": false, "key": "ssh-rsa AAAAB3NzaC1yc2E= new"}),
            keys,
        ),
        (
            "authorized_key",
            json!({"path": "$F", "user": "root", "manage_dir": false, "state": "absent", "key": "ssh-rsa AAAAB3NzaC1yc2E= x"}),
            keys,
        ),
        (
            "mount",
            json!({"path": "/data", "src": "/dev/sdc", "fstype": "xfs", "state": "present", "fstab": "$F"}),
            fstab,
        ),
        ("mount", json!({"path": "/data x", "state": "absent_from_fstab", "fstab": "$F"}), fstab),
        ("cron", json!({"cron_file": "$F", "name": "job", "job": "/bin/false", "user": "root"}), cron),
        ("cron", json!({"cron_file": "$F", "name": "last", "state": "absent", "user": "root"}), cron),
        ("cron", json!({"cron_file": "$F", "name": "MAILTO", "env": true, "job": "y", "user": "root"}), cron),
        ("lineinfile", json!({"path": "$F", "regexp": "^key=", "line": "key=new"}), text),
        (
            "lineinfile",
            json!({"path": "$F", "regexp": "^(k)ey=", "line": "\\1ey=new", "backrefs": true, "firstmatch": true}),
            text,
        ),
        ("lineinfile", json!({"path": "$F", "line": "a line", "insertafter": "^first"}), text),
        ("lineinfile", json!({"path": "$F", "regexp": "last", "state": "absent"}), text),
        ("blockinfile", json!({"path": "$F", "block": "one\ntwo\n", "insertbefore": "^last"}), text),
        ("blockinfile", json!({"path": "$F", "state": "absent"}), text),
        (
            "replace",
            json!({"path": "$F", "regexp": "in (it)", "replace": "\\1", "after": "first", "before": "END"}),
            text,
        ),
        (
            "sysctl",
            json!({"name": "key", "value": "1", "sysctl_file": "$F", "reload": false}),
            "# k\nother=2\nkey = 5 # x\n-kernel.x=1\n",
        ),
        ("htpasswd", json!({"path": "$F", "name": "key", "state": "absent"}), "key:$apr1$x$y\nbob:{SHA}z=\n"),
        (
            "yum_repository",
            json!({"name": "s", "file": "$B", "reposdir": "$D", "description": "x", "baseurl": "c"}),
            repo,
        ),
    ]
}

/// What is wrong with what a module does to this file; None if it failed and nothing is wrong.
fn fault(
    name: &str,
    args: &serde_json::Map<String, Json>,
    root: &Root,
    file: &Path,
    text: &[u8],
) -> Result<bool, String> {
    let module = find(name).ok_or("no such module")?;
    let call = |check: bool| run(module, &mut root.ctx(check), args);
    let is = |r: &serde_json::Map<String, Json>, k: &str| r.get(k).is_some_and(|v| v == true);
    let there = || std::fs::read(file).unwrap_or_default();
    std::fs::write(file, text).map_err(|e| e.to_string())?;
    let told = call(true);
    if there() != text {
        return Err("check mode changed it".into());
    }
    let first = call(false);
    if is(&told, "failed") != is(&first, "failed") {
        return Err(format!("in check mode {told:?}, then {first:?}"));
    }
    if is(&first, "failed") {
        return if there() == text { Ok(false) } else { Err(format!("it failed and changed it: {first:?}")) };
    }
    if is(&told, "changed") != is(&first, "changed") {
        return Err(format!("in check mode {told:?}, then {first:?}"));
    }
    if is(&first, "changed") != (there() != text) {
        return Err(format!("it is now {:?} and {first:?}", String::from_utf8_lossy(&there())));
    }
    // as in ansible-core: a last line without an end gets one from the run after the one that removes a block
    let twice = name == "blockinfile" && args.contains_key("state");
    let second = call(false);
    match is(&second, "failed") || is(&second, "changed") && !twice {
        true => Err(format!("the second time {second:?}")),
        false => Ok(true),
    }
}

#[test]
fn files() {
    let mut faults = vec![];
    for (name, args, seed) in cases() {
        let root = Root::empty();
        std::fs::create_dir(root.at("d")).expect("made");
        let file = root.at("d/f.repo");
        let dir = root.at("d").to_string_lossy().into_owned();
        let text = args.to_string().replace("$F", &file.to_string_lossy()).replace("$B", "f").replace("$D", &dir);
        let args: Json = serde_json::from_str(&text).expect("JSON");
        let args = args.as_object().expect("arguments");
        let mut noise = Noise::default();
        let mut done = 0;
        for n in 0..rounds(60) {
            let text = if n == 0 { seed.as_bytes().to_vec() } else { noise.damaged(seed.as_bytes(), PIECES) };
            match fault(name, args, &root, &file, &text) {
                Ok(worked) => done += usize::from(worked),
                Err(why) => {
                    faults.push(format!("{name} {args:?}\non {:?}\n{why}\n", String::from_utf8_lossy(&text)));
                    break;
                }
            }
        }
        assert!(done > 0 || !faults.is_empty(), "{name} {args:?} does nothing at all");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
