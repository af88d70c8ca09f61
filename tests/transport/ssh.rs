//! The ssh connection against a real sshd.

use super::sshd::Sshd;
use super::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

fn unreachable(r: Result<Response, CallError>) -> String {
    match r {
        Err(CallError::Unreachable(m)) => m,
        other => panic!("not unreachable: {other:?}"),
    }
}

/// The agent lies in the first directory after the remote temporary one; removes it.
fn in_fallback(exe: &str) {
    assert!(exe.starts_with("/var/tmp/.dirigo-0/agent-"), "{exe}");
    std::fs::remove_file(exe).unwrap();
}

#[test]
fn uploads_once_and_masters_persist() {
    let Some(host) = Sshd::start() else { return };
    let first = pool_with_new_agent(host.dir.path());
    assert_eq!(output(&first, &host.params(), None, "echo $((6 * 7))"), "42");
    let files = host.uploaded();
    assert_eq!(files.len(), 1, "{files:?}");
    let modes =
        Command::new("stat").args(["-c", "%a"]).arg(&files[0]).arg(files[0].parent().unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&modes.stdout), "700\n700\n");
    let inode = |p: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(p).unwrap());
    let (before, master) = (inode(&files[0]), host.master_pid().unwrap());
    drop(first);
    let agent = Some(host.path("new-agent").into());
    let second = pool_with(PoolOptions { agent, ..PoolOptions::default() });
    let start = Instant::now();
    assert_eq!(output(&second, &host.params(), None, "echo again"), "again");
    eprintln!("second run: {:?} to the first answer", start.elapsed());
    assert_eq!((inode(&files[0]), host.uploaded().len()), (before, 1));
    assert_eq!(host.master_pid(), Some(master));
}

#[test]
fn damaged_and_planted_agents_are_not_run() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool_with_new_agent(host.dir.path());
    output(&pool, &host.params(), None, "true");
    let file = host.uploaded().remove(0);
    let mut p = host.params();
    p.host = "other name, so another connection".into();
    // Right name and mode, wrong content.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "#!/bin/sh\ntouch $0.was-run\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(output(&pool, &p, None, "echo fine"), "fine");
    assert!(std::fs::metadata(&file).unwrap().len() > 1000);
    // A directory that others may write to.
    std::fs::set_permissions(file.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    p.host = "third".into();
    let exe = output(&pool, &p, None, "readlink /proc/$PPID/exe");
    in_fallback(&exe);
    assert!(!file.with_extension("was-run").exists());
}

#[test]
fn unwritable_and_noexec_places_are_passed_over() {
    let Some(host) = Sshd::start() else { return };
    let mut p = host.params();
    p.remote_tmp = "/proc/nowhere".into();
    in_fallback(&output(&pool_with_new_agent(host.dir.path()), &p, None, "readlink /proc/$PPID/exe"));
    in_fallback_on(&host, "noexec");
}

#[test]
fn full_disk_is_passed_over() {
    let Some(host) = Sshd::start() else { return };
    in_fallback_on(&host, "size=64k");
}

/// With `remote_tmp` on a file system of these mount options the agent runs from elsewhere and leaves nothing there.
fn in_fallback_on(host: &Sshd, options: &str) {
    let dir = host.path("small");
    std::fs::create_dir(&dir).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none", &dir]).status();
    if !mount.is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED: no tmpfs can be mounted");
        return;
    }
    let mut p = host.params();
    p.remote_tmp = dir.clone();
    let exe = call(&pool_with_new_agent(host.dir.path()), &p, None, shell("readlink /proc/$PPID/exe"));
    let left = std::fs::read_dir(format!("{dir}/dirigo-0")).map(Iterator::count);
    assert!(Command::new("umount").args(["-l", &dir]).status().unwrap().success());
    in_fallback(exe.unwrap().result["stdout"].as_str().unwrap());
    assert_eq!(left.unwrap(), 0);
}

#[test]
fn errors_in_the_words_of_ssh() {
    let Some(mut host) = Sshd::start() else { return };
    let pool = pool();
    host.trust("other");
    let m = unreachable(call(&pool, &host.params(), None, shell("true")));
    assert!(
        m.starts_with("Failed to connect to the host via ssh: ") && m.contains("REMOTE HOST IDENTIFICATION"),
        "{m}"
    );
    std::fs::write(host.path("known_hosts"), "").unwrap();
    let m = unreachable(call(&pool, &host.params(), None, shell("true")));
    assert!(m.contains("Host key verification failed."), "{m}");
    let mut p = host.params();
    p.host_key_checking = false;
    assert_eq!(output(&pool, &p, None, "echo on request"), "on request");
    host.trust("host");
    let mut p = host.params();
    p.private_key_file = Some(host.path("other"));
    let m = unreachable(call(&pool, &p, None, shell("true")));
    assert!(m.contains("root@127.0.0.1: Permission denied (publickey"), "{m}");
    let mut p = host.params();
    p.address = "no-such-host.invalid".into();
    let m = unreachable(call(&pool, &p, None, shell("true")));
    assert!(m.contains("ssh: Could not resolve hostname no-such-host.invalid"), "{m}");
    let mut p = host.params();
    p.ssh_executable = "/no/such/ssh".into();
    let m = unreachable(call(&pool, &p, None, shell("true")));
    assert!(m.contains("/no/such/ssh could not be started"), "{m}");
    host.down();
    let mut p = host.params();
    p.host = "down".into();
    p.timeout = 3;
    p.ssh_extra_args = "-v".into();
    let m = unreachable(call(&pool, &p, None, shell("true")));
    assert!(m.contains("Connection refused"), "{m}");
}

#[test]
fn login_noise_and_odd_shells() {
    let Some(host) = Sshd::start() else { return };
    // ForceCommand stands for shells that talk before they do what they are told.
    let noisy = "ForceCommand echo Welcome; echo 'to the machine' >&2; printf 'no line end'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
    let config = host.path("sshd_config");
    let mut host = host;
    host.down();
    let text = std::fs::read_to_string(&config).unwrap() + noisy;
    std::fs::write(&config, text).unwrap();
    host.up();
    assert_eq!(output(&pool(), &host.params(), None, "echo fine"), "fine");
}

#[test]
fn endless_talk_is_unreachable() {
    let Some(mut host) = Sshd::start() else { return };
    host.down();
    let config = host.path("sshd_config");
    let text = std::fs::read_to_string(&config).unwrap() + "ForceCommand yes\n";
    std::fs::write(&config, text).unwrap();
    host.up();
    let m = unreachable(call(&pool(), &host.params(), None, shell("true")));
    assert!(m.contains("talks without end"), "{m}");
}

#[test]
fn killed_master_is_unreachable_and_the_next_task_connects() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool();
    output(&pool, &host.params(), None, "true");
    let master = host.master_pid().unwrap();
    std::thread::scope(|s| {
        let running_call = s.spawn(|| call(&pool, &host.params(), None, shell("sleep 4721.5")));
        eventually("the sleep runs", || running("sleep 4721.5"));
        kill(Pid::from_raw(master), Signal::SIGKILL).unwrap();
        let m = unreachable(running_call.join().unwrap());
        assert!(m.contains("Shared connection to web closed."), "{m}");
    });
    eventually("the sleep is gone", || !running("sleep 4721.5"));
    assert_eq!(output(&pool, &host.params(), None, "echo again"), "again");
}

#[test]
fn killed_agent_is_a_failure() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool();
    let r = call(&pool, &host.params(), None, shell("kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 4722.5"));
    assert!(matches!(&r, Err(CallError::Failed(m)) if m.contains("killed")), "{r:?}");
    assert_eq!(output(&pool, &host.params(), None, "echo next"), "next");
    eventually("nothing is left", || !running("sleep 4722.5"));
}

#[test]
fn frozen_agent_is_unreachable_in_time() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool_with(PoolOptions { patience: Some(Duration::from_secs(2)), ..PoolOptions::default() });
    let agent: i32 = output(&pool, &host.params(), None, "cut -d' ' -f4 /proc/$PPID/stat").parse().unwrap();
    kill(Pid::from_raw(agent), Signal::SIGSTOP).unwrap();
    let start = Instant::now();
    let m = unreachable(call(&pool, &host.params(), None, shell("true")));
    assert!(m.contains("no sign of life for 2 seconds"), "{m}");
    assert!(start.elapsed() < Duration::from_secs(30));
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    assert_eq!(output(&pool, &host.params(), None, "echo next"), "next");
}

#[test]
fn raw_needs_no_agent() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool();
    let r = pool.raw(&host.params(), None, "cat; echo err >&2; exit 3", Some(b"in")).unwrap();
    assert_eq!((r.rc, &r.stdout[..], &r.stderr[..]), (3, &b"in"[..], &b"err\n"[..]));
    assert_eq!(pool.raw(&host.params(), None, "no-such-command-here", None).unwrap().rc, 127);
    assert!(host.uploaded().is_empty());
    let b = Become::new(dirigo::transport::Method::Sudo, "nobody");
    if Command::new("sudo").arg("-V").output().is_ok() {
        let r = pool.raw(&host.params(), Some(&b), "id -un; echo $0 >&2", None).unwrap();
        assert_eq!((&r.stdout[..], &r.stderr[..]), (&b"nobody\n"[..], &b"/bin/sh\n"[..]));
    }
}

#[test]
fn reset_connects_anew() {
    let Some(host) = Sshd::start() else { return };
    let pool = pool();
    output(&pool, &host.params(), None, "true");
    let before = host.master_pid().unwrap();
    pool.reset(&host.params());
    assert_eq!(output(&pool, &host.params(), None, "echo next"), "next");
    assert_ne!(host.master_pid(), Some(before));
}

#[test]
fn masters_end_with_the_run_if_told_so() {
    let Some(host) = Sshd::start() else { return };
    let mut p = host.params();
    p.ssh_args = "-o ControlPersist=no".into();
    let pool = pool();
    output(&pool, &p, None, "true");
    let master = host.master_pid().unwrap();
    drop(pool);
    eventually("the master is gone", || kill(Pid::from_raw(master), None).is_err());
}

#[test]
fn two_runs_at_once() {
    let Some(host) = Sshd::start() else { return };
    let first = pool_with_new_agent(host.dir.path());
    let agent = Some(host.path("new-agent").into());
    let second = pool_with(PoolOptions { agent, ..PoolOptions::default() });
    std::thread::scope(|s| {
        let a = s.spawn(|| output(&first, &host.params(), None, "echo a"));
        let b = s.spawn(|| output(&second, &host.params(), None, "echo b"));
        assert_eq!((a.join().unwrap(), b.join().unwrap()), ("a".into(), "b".into()));
    });
    assert_eq!(host.uploaded().len(), 1, "{:?}", host.uploaded());
}

#[test]
fn interrupted_upload_leaves_nothing() {
    let Some(host) = Sshd::start() else { return };
    // an executable by its beginning, and so much that nothing can make smaller that its upload takes a while
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_dirigo-agent")).unwrap();
    bytes.truncate(4096);
    let mut noise = std::fs::File::open("/dev/urandom").unwrap().take(100 << 20);
    noise.read_to_end(&mut bytes).unwrap();
    let path = host.path("new-agent");
    std::fs::write(&path, &bytes).unwrap();
    let pool = pool_with(PoolOptions { agent: Some(path.into()), ..PoolOptions::default() });
    std::thread::scope(|s| {
        let calling = s.spawn(|| call(&pool, &host.params(), None, shell("true")));
        let part = || host.uploaded().iter().any(|p| std::fs::metadata(p).is_ok_and(|m| m.len() > 1 << 20));
        eventually("the upload is under way", part);
        kill(Pid::from_raw(host.master_pid().unwrap()), Signal::SIGKILL).unwrap();
        unreachable(calling.join().unwrap());
    });
    eventually("nothing is left", || host.uploaded().is_empty());
}
