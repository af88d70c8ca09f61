//! Against the hosts of tests/lab, if one is up: `LAB_DIR` names it. Real sudo and su, real passwords, a
//! host without Python, frozen hosts and cut links.

use super::*;
use dirigo::transport::{Method, Secret};
use std::time::{Duration, Instant};

struct Lab {
    dir: String,
    cp: tempfile::TempDir,
    _alone: std::sync::MutexGuard<'static, ()>,
}

/// These tests freeze and cut hosts, so they take turns.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl Lab {
    fn open() -> Option<Lab> {
        let dir = std::env::var("LAB_DIR").ok().filter(|d| std::path::Path::new(d).join("ssh_config").exists());
        if dir.is_none() {
            eprintln!("SKIPPED: no lab is up (LAB_DIR)");
        }
        let cp = tempfile::Builder::new().prefix("dlab").tempdir_in("/tmp").unwrap();
        Some(Lab { dir: dir?, cp, _alone: ALONE.lock().unwrap_or_else(|e| e.into_inner()) })
    }

    fn params(&self, host: &str, user: &str) -> ConnParams {
        let mut p = ConnParams::ssh(host);
        p.user = Some(user.into());
        p.ssh_common_args = format!("-F {}/ssh_config", self.dir);
        p.control_path_dir = self.cp.path().display().to_string();
        p.timeout = 5;
        p
    }

    fn lab(&self, words: &[&str]) {
        let lab =
            std::env::var("LAB_TOOL").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab").into());
        let out = std::process::Command::new(lab).args(words).output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for s in std::fs::read_dir(self.cp.path()).unwrap().flatten() {
            let _ = std::process::Command::new("ssh").args(["-O", "exit", "-S"]).arg(s.path()).arg("x").output();
        }
    }
}

fn sudo(user: &str, password: Option<&str>) -> Become {
    Become { password: password.map(Secret::new), ..Become::new(Method::Sudo, user) }
}

#[test]
fn users_of_a_host_without_python() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool();
    let p = lab.params("node-1", "ops");
    assert_eq!(output(&pool, &p, None, "id -un; command -v python3; true"), "ops");
    assert_eq!(output(&pool, &p, Some(&sudo("root", None)), "id -un; echo $HOME; umask"), "root\n/root\n0022");
    assert_eq!(output(&pool, &p, Some(&sudo("nobody", None)), "id -un"), "nobody");
    assert_eq!(output(&pool, &p, Some(&sudo("opspw", None)), "id -un; pwd"), "opspw\n/home/ops");
}

#[test]
fn passwords_of_sudo_and_su() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool();
    let p = lab.params("node-0", "opspw");
    assert_eq!(output(&pool, &p, Some(&sudo("root", Some("opspw-secret"))), "id -un"), "root");
    assert_eq!(output(&pool, &p, Some(&sudo("ops", Some("opspw-secret"))), "id -un"), "ops");
    let failed = |b: &Become| match call(&pool, &p, Some(b), shell("true")) {
        Err(CallError::Failed(m)) => m,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(&sudo("nobody", Some("wrong"))), "Incorrect sudo password");
    assert_eq!(failed(&sudo("nobody", None)), "Missing sudo password");
    let mut su = Become::new(Method::Su, "opspw");
    let p = lab.params("node-0", "ops");
    su.password = Some(Secret::new("opspw-secret"));
    assert_eq!(output(&pool, &p, Some(&su), "id -un; echo $HOME"), "opspw\n/home/opspw");
    su.password = Some(Secret::new("wrong"));
    assert_eq!(
        call(&pool, &p, Some(&su), shell("true")).unwrap_err(),
        CallError::Failed("Incorrect su password".into())
    );
    su.password = None;
    assert_eq!(call(&pool, &p, Some(&su), shell("true")).unwrap_err(), CallError::Failed("Missing su password".into()));
    // From root nothing is asked.
    let root = lab.params("node-0", "root");
    assert_eq!(output(&pool, &root, Some(&su), "id -un"), "opspw");
    let r =
        pool.raw(&lab.params("node-0", "opspw"), Some(&sudo("root", Some("opspw-secret"))), "id -un", None).unwrap();
    assert_eq!(r.stdout, b"root\n");
}

#[test]
fn passwords_of_ssh() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool();
    let mut p = lab.params("node-0", "opspw");
    p.ssh_extra_args = "-o PubkeyAuthentication=no".into();
    let e = call(&pool, &p, None, shell("true")).unwrap_err();
    assert!(
        matches!(&e, CallError::Unreachable(m) if m.contains("opspw@10.") && m.contains("Permission denied")),
        "{e:?}"
    );
    p.password = Some(Secret::new("wrong"));
    let e = call(&pool, &p, None, shell("true")).unwrap_err();
    assert!(matches!(&e, CallError::Unreachable(m) if m.contains("Invalid/incorrect password")), "{e:?}");
    p.password = Some(Secret::new("opspw-secret"));
    assert_eq!(output(&pool, &p, None, "id -un"), "opspw");
    let secret_seen = std::fs::read_dir("/proc").unwrap().flatten().any(|e| {
        let read =
            |f| std::fs::read(e.path().join(f)).is_ok_and(|c| String::from_utf8_lossy(&c).contains("opspw-secret"));
        read("cmdline") || read("environ")
    });
    assert!(!secret_seen);
}

#[test]
fn jump_host() {
    let Some(lab) = Lab::open() else { return };
    let mut p = lab.params("node-1", "ops");
    p.ssh_common_args = format!("-F {0}/ssh_config -o ProxyCommand='ssh -F {0}/ssh_config -W %h:%p node-0'", lab.dir);
    let from = output(&pool(), &p, None, "echo $SSH_CONNECTION | cut -d' ' -f1");
    assert!(from.starts_with("10."), "{from}");
    assert_eq!(output(&pool(), &p, None, "hostname"), "node-1");
}

#[test]
fn cut_link_heals_or_is_unreachable() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool_with(PoolOptions { patience: Some(Duration::from_secs(6)), ..PoolOptions::default() });
    let p = lab.params("node-1", "ops");
    output(&pool, &p, None, "true");
    std::thread::scope(|s| {
        let short = s.spawn(|| output(&pool, &p, None, "sleep 3; echo survived"));
        std::thread::sleep(Duration::from_millis(500));
        lab.lab(&["cut", "node-1"]);
        std::thread::sleep(Duration::from_millis(1500));
        lab.lab(&["heal", "node-1"]);
        assert_eq!(short.join().unwrap(), "survived");
        let start = Instant::now();
        let long = s.spawn(|| call(&pool, &p, None, shell("sleep 30")));
        std::thread::sleep(Duration::from_millis(500));
        lab.lab(&["cut", "node-1"]);
        let r = long.join().unwrap();
        assert!(matches!(&r, Err(CallError::Unreachable(m)) if m.contains("no sign of life")), "{r:?}");
        assert!(start.elapsed() < Duration::from_secs(40));
        // Still cut: the next task tries to connect and says what ssh says.
        let r = call(&pool, &p, None, shell("true"));
        assert!(matches!(&r, Err(CallError::Unreachable(_))), "{r:?}");
        lab.lab(&["heal", "node-1"]);
    });
    assert_eq!(output(&pool, &p, None, "echo back"), "back");
}

#[test]
fn frozen_host_is_unreachable() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool_with(PoolOptions { patience: Some(Duration::from_secs(4)), ..PoolOptions::default() });
    let p = lab.params("node-0", "ops");
    output(&pool, &p, None, "true");
    lab.lab(&["freeze", "node-0"]);
    let r = call(&pool, &p, None, shell("true"));
    let start = Instant::now();
    let again = call(&pool, &p, None, shell("true"));
    let waited = start.elapsed();
    lab.lab(&["thaw", "node-0"]);
    assert!(matches!(&r, Err(CallError::Unreachable(_))), "{r:?}");
    assert!(matches!(&again, Err(CallError::Unreachable(_))), "{again:?}");
    assert!(waited < Duration::from_secs(90), "{waited:?}");
    assert_eq!(output(&pool, &p, None, "echo back"), "back");
}

#[test]
fn round_trips() {
    let Some(lab) = Lab::open() else { return };
    let pool = pool();
    for args in ["-C -o ControlPersist=60s", "-o ControlPersist=60s"] {
        let mut p = lab.params("node-1", "ops");
        p.ssh_args = args.into();
        call(&pool, &p, None, request("ping", json!({}))).unwrap();
        let mut times: Vec<Duration> = (0..2000)
            .map(|_| {
                let start = Instant::now();
                call(&pool, &p, None, request("ping", json!({}))).unwrap();
                start.elapsed()
            })
            .collect();
        times.sort();
        eprintln!("ping over ssh ({args}): minimum {:?}, median {:?}, p90 {:?}", times[0], times[1000], times[1800]);
        assert!(times[0] < Duration::from_millis(20));
    }
}
