//! Modules of the agent's second file: everything about them is as with the others, and the file travels once.

use super::sshd::Sshd;
use super::*;
use dirigo::proto::{Foreign, Interpreter, Style};
use dirigo::transport::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FIRST: &str = env!("CARGO_BIN_EXE_dirigo-agent");
const MORE: &str = env!("CARGO_BIN_EXE_dirigo-agent-more");

/// A copy of an executable that no host has.
fn new_copy(of: &str, to: &Path) {
    std::fs::copy(of, to).unwrap();
    let mut f = std::fs::OpenOptions::new().append(true).open(to).unwrap();
    write!(f, "{:?}", std::time::SystemTime::now()).unwrap();
}

/// An agent of two files in this folder; no host has them.
fn new_agent(dir: &Path) -> PathBuf {
    let dir = dir.join("bin");
    std::fs::create_dir_all(&dir).unwrap();
    new_copy(MORE, &dir.join("dirigo-agent-more"));
    new_copy(FIRST, &dir.join("dirigo-agent"));
    dir.join("dirigo-agent")
}

fn pool_of(agent: &Path) -> Pool {
    pool_with(PoolOptions { agent: Some(agent.to_str().unwrap().into()), ..PoolOptions::default() })
}

/// A task of the second file: packs a file of this folder.
fn pack(dir: &Path, to: &str) -> Request {
    std::fs::write(dir.join("text"), "some text\n".repeat(1000)).unwrap();
    request("archive", json!({"path": dir.join("text"), "dest": dir.join(to), "format": "gz"}))
}

fn changed(r: Result<Response, CallError>) -> bool {
    let r = r.unwrap();
    assert_ne!(r.result.get("failed"), Some(&json!(true)), "{:?}", r.result);
    r.result["changed"] == json!(true)
}

/// Names the program that runs modules of the second file: `expect` starts this.
fn exe(pool: &Pool, p: &ConnParams) -> String {
    let r = call(pool, p, None, run("/bin/sh -c 'readlink /proc/$PPID/exe'")).unwrap();
    r.result["stdout"].as_str().unwrap_or_else(|| panic!("{:?}", r.result)).trim().to_string()
}

/// A command run by a module of the second file.
fn run(command: &str) -> Request {
    request("expect", json!({"command": command, "responses": {"nobody asks this": "x"}, "timeout": 60}))
}

#[test]
fn goes_to_a_host_once() {
    let Some(host) = Sshd::start() else { return };
    let d = host.dir.path();
    let agent = new_agent(d);
    let pool = pool_of(&agent);
    assert_eq!(output(&pool, &host.params(), None, "echo $((6 * 7))"), "42");
    assert_eq!(host.uploaded().len(), 1, "nobody needed the second file");
    // predicted, then done, then found done
    assert!(changed(call(&pool, &host.params(), None, Request { check: true, ..pack(d, "a.gz") })));
    assert!(!d.join("a.gz").exists());
    assert!(changed(call(&pool, &host.params(), None, pack(d, "a.gz"))));
    assert!(d.join("a.gz").exists());
    assert!(!changed(call(&pool, &host.params(), None, pack(d, "a.gz"))));
    let inodes = || -> Vec<(PathBuf, u64, u32)> {
        let of = |p: PathBuf| std::fs::metadata(&p).map(|m| (p, m.ino(), m.mode() & 0o7777)).unwrap();
        let mut all: Vec<_> = host.uploaded().into_iter().map(of).collect();
        all.sort();
        all
    };
    let before = inodes();
    assert_eq!(before.len(), 2, "{before:?}");
    let named = |p: &Path| p.file_name().unwrap().to_str().unwrap().starts_with("agent-");
    assert!(before.iter().all(|(p, _, mode)| *mode == 0o700 && named(p)), "{before:?}");
    let second = exe(&pool, &host.params());
    assert!(before.iter().any(|(p, ..)| p.to_str() == Some(&second)) && !second.ends_with("/agent"), "{second}");
    drop(pool);
    // another run uploads nothing
    let pool = pool_of(&agent);
    assert!(changed(call(&pool, &host.params(), None, pack(d, "b.gz"))));
    assert_eq!(inodes(), before);
}

#[test]
fn damaged_planted_and_lost_files_are_sent_again() {
    let Some(host) = Sshd::start() else { return };
    let d = host.dir.path();
    let agent = new_agent(d);
    let pool = pool_of(&agent);
    assert!(changed(call(&pool, &host.params(), None, pack(d, "a.gz"))));
    let second = PathBuf::from(exe(&pool, &host.params()));
    drop(pool);
    std::fs::write(d.join("plant"), "#!/bin/sh\ntouch $0.was-run\n").unwrap();
    std::fs::set_permissions(d.join("plant"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::rename(d.join("plant"), &second).unwrap();
    let pool = pool_of(&agent);
    assert!(changed(call(&pool, &host.params(), None, pack(d, "b.gz"))));
    assert!(std::fs::metadata(&second).unwrap().len() > 1000 && !second.with_extension("was-run").exists());
    // somebody's cleaning takes it while one worker runs it and a second one is needed
    std::thread::scope(|s| {
        let long = s.spawn(|| call(&pool, &host.params(), None, run("sleep 2")));
        eventually("it runs", || running("sleep 2"));
        std::fs::remove_file(&second).unwrap();
        assert!(changed(call(&pool, &host.params(), None, pack(d, "c.gz"))));
        assert!(changed(long.join().unwrap()));
    });
    assert!(second.exists());
}

#[test]
fn interrupted_upload_leaves_nothing_and_the_next_run_sends_it() {
    let Some(host) = Sshd::start() else { return };
    let d = host.dir.path();
    let agent = new_agent(d);
    // an executable by its beginning, and so much that nothing can make smaller that its upload takes a while
    let mut bytes = std::fs::read(MORE).unwrap();
    bytes.truncate(4096);
    std::fs::File::open("/dev/urandom").unwrap().take(100 << 20).read_to_end(&mut bytes).unwrap();
    std::fs::write(agent.with_file_name("dirigo-agent-more"), &bytes).unwrap();
    let pool = pool_of(&agent);
    output(&pool, &host.params(), None, "true");
    std::thread::scope(|s| {
        let calling = s.spawn(|| call(&pool, &host.params(), None, pack(d, "a.gz")));
        let part = || {
            let is_part = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("up-"));
            host.uploaded().iter().any(|p| is_part(p) && std::fs::metadata(p).is_ok_and(|m| m.len() > 1 << 20))
        };
        eventually("the upload is under way", part);
        kill(Pid::from_raw(host.master_pid().unwrap()), Signal::SIGKILL).unwrap();
        let r = calling.join().unwrap();
        assert!(matches!(&r, Err(CallError::Unreachable(_))), "{r:?}");
    });
    drop(pool);
    eventually("the first file is left", || host.uploaded().len() == 1);
    new_copy(MORE, &agent.with_file_name("dirigo-agent-more"));
    assert!(changed(call(&pool_of(&agent), &host.params(), None, pack(d, "a.gz"))));
}

#[test]
fn one_upload_for_a_chain_and_for_tasks_side_by_side() {
    let Some(host) = Sshd::start() else { return };
    let d = host.dir.path();
    let pool = pool_of(&new_agent(d));
    let file = d.join("out");
    let note = |i: usize| (shell(&format!("echo {i} >> {}", file.display())), None);
    let packs = |to: &str| (pack(d, to), None);
    let bad = (run("false"), None);
    let chain = vec![note(1), packs("a.gz"), note(2), packs("b.gz"), bad, note(3), packs("c.gz")];
    let answers = pool.call_chain(&host.params(), None, chain).unwrap();
    let failed: Vec<bool> = answers.iter().map(|r| r.result.get("failed") == Some(&json!(true))).collect();
    assert_eq!(failed, [false, false, false, false, true], "{answers:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n2\n");
    assert!(d.join("b.gz").exists() && !d.join("c.gz").exists());
    assert_eq!(host.uploaded().len(), 2);

    let pool = pool_of(&new_agent(d));
    std::thread::scope(|s| {
        let start = Instant::now();
        let all: Vec<_> =
            (0..6).map(|_| s.spawn(|| changed(call(&pool, &host.params(), None, run("sleep 2"))))).collect();
        assert!(all.into_iter().all(|t| t.join().unwrap()));
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    });
    assert_eq!(host.uploaded().len(), 4, "{:?}", host.uploaded());
}

#[test]
fn content_goes_to_it_and_comes_back() {
    let Some(host) = Sshd::start() else { return };
    let d = host.dir.path();
    let pool = pool_of(&new_agent(d));
    let big = d.join("big");
    let mut bytes = vec![];
    std::fs::File::open("/dev/urandom").unwrap().take(9 << 20).read_to_end(&mut bytes).unwrap();
    std::fs::write(&big, &bytes).unwrap();
    let done =
        std::process::Command::new("tar").args(["-cf"]).arg(d.join("big.tar")).arg("-C").arg(d).arg("big").status();
    assert!(done.unwrap().success());
    let to = d.join("unpacked");
    std::fs::create_dir(&to).unwrap();
    let r = request("unarchive", json!({"src": "big.tar", "dest": to}));
    let content = dirigo::transport::Payload::File(d.join("big.tar").to_str().unwrap().into());
    assert!(changed(pool.call(&host.params(), None, r, Some(content), None)));
    assert!(std::fs::read(to.join("big")).unwrap() == bytes);
}

#[test]
fn a_module_that_is_not_built_in_runs_there() {
    let Some(host) = Sshd::start() else { return };
    let agent = new_agent(host.dir.path());
    let tmp = host.params().remote_tmp;
    let script = b"#!/bin/sh\n. \"$1\"\necho \"{\\\"changed\\\": true, \\\"said\\\": \\\"$word\\\"}\"\n";
    let foreign = Foreign {
        name: "say".into(),
        file: "say.sh".into(),
        style: Style::TextFile,
        interpreter: Interpreter::Words(vec!["/bin/sh".into()]),
        extra: Default::default(),
        keep: false,
        remote_tmp: tmp,
    };
    let files = || host.uploaded().iter().filter(|p| p.to_string_lossy().contains("/agent-")).count();
    for word in ["first", "second"] {
        let pool = pool_of(&agent);
        let r = Request { foreign: Some(Box::new(foreign.clone())), ..request("say", json!({"word": word})) };
        let content = Some(dirigo::transport::Payload::Bytes(script.as_slice().into()));
        let r = pool.call(&host.params(), None, r, content, None).unwrap();
        assert_eq!((&r.result["said"], files()), (&json!(word), 2), "{:?}", r.result);
    }
}

#[test]
fn another_user_has_a_file_of_his_own() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let agent = new_agent(dir.path());
    let pool = pool_of(&agent);
    let mut p = ConnParams::local("here");
    p.remote_tmp = "/nowhere/at/all".into();
    let mut b = Become::new(Method::Su, "nobody");
    b.flags = Some("-s /bin/sh".into());
    let own = dir.path().join("his");
    std::fs::create_dir(&own).unwrap();
    nix::unistd::chown(&own, Some(65534.into()), Some(65534.into())).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut r = pack(&own, "a.gz");
    std::fs::set_permissions(own.join("text"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(changed(call(&pool, &p, Some(&b), r.clone())));
    assert_eq!(std::fs::metadata(own.join("a.gz")).unwrap().uid(), 65534);
    // as an asynchronous job, which outlives its agent
    let jobs = own.join("jobs").display().to_string();
    r.args.insert("dest".into(), json!(own.join("job.gz")));
    r.async_job = Some(dirigo::proto::AsyncJob { jid: "j1.1".into(), limit: 60, dir: jobs });
    let started = call(&pool, &p, Some(&b), r).unwrap();
    assert_eq!(started.result["started"], true, "{:?}", started.result);
    drop(pool);
    let result = || std::fs::read(own.join("jobs/j1.1")).ok().and_then(|t| serde_json::from_slice::<Json>(&t).ok());
    eventually("the job is done", || result().is_some_and(|r| r["changed"] == true));
    assert_eq!(std::fs::metadata(own.join("job.gz")).unwrap().uid(), 65534);
    for file in [agent.with_file_name("dirigo-agent-more"), agent] {
        let sum = std::process::Command::new("sha256sum").arg(file).output().unwrap().stdout;
        let his = format!("/var/tmp/.dirigo-65534/agent-{}", &String::from_utf8(sum).unwrap()[..64]);
        assert_eq!(std::fs::metadata(&his).map(|m| (m.uid(), m.mode() & 0o7777)).unwrap(), (65534, 0o700));
        std::fs::remove_file(his).unwrap();
    }
}

#[test]
fn a_disk_with_no_room_for_it_is_passed_over() {
    let Some(host) = Sshd::start() else { return };
    let dir = host.path("small");
    std::fs::create_dir(&dir).unwrap();
    let room = std::fs::metadata(FIRST).unwrap().len() + (1 << 20);
    let size = format!("size={room}");
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none", &dir]).status();
    if !mount.is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED: no tmpfs can be mounted");
        return;
    }
    let mut p = host.params();
    p.remote_tmp = dir.clone();
    let pool = pool_of(&new_agent(host.dir.path()));
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| exe(&pool, &p)));
    let left = std::fs::read_dir(format!("{dir}/dirigo-0")).map(Iterator::count);
    assert!(std::process::Command::new("umount").args(["-l", &dir]).status().unwrap().success());
    let found = found.unwrap();
    assert!(found.starts_with("/var/tmp/.dirigo-0/agent-"), "{found}");
    std::fs::remove_file(found).unwrap();
    assert_eq!(left.unwrap(), 1, "the first file alone");
}

#[test]
fn killed_stopped_and_cancelled_as_any_other() {
    let pool = pool();
    let here = ConnParams::local("localhost");
    assert!(exe(&pool, &here).ends_with("/dirigo-agent-more"), "started where it lies");
    let r = call(&pool, &here, None, Request { timeout: 1, ..run("/bin/sh -c 'sleep 4731.5 & setsid sleep 4731.6'") });
    assert_eq!(r.unwrap_err(), CallError::Timeout(1));
    eventually("the sleeps are gone", || !running("sleep 4731."));
    std::thread::scope(|s| {
        let call = s.spawn(|| call(&pool, &here, None, run("sleep 4732.5")));
        eventually("the sleep runs", || running("sleep 4732.5"));
        pool.cancel_all();
        assert_eq!(call.join().unwrap().unwrap().result["msg"], "cancelled");
    });
    eventually("the sleep is gone", || !running("sleep 4732.5"));
    let r = call(&pool, &here, None, run("/bin/sh -c 'kill -9 $PPID; sleep 10'")).unwrap();
    let msg = r.result["msg"].as_str().unwrap();
    assert!(msg.contains("MODULE FAILURE") && msg.contains("signal 9"), "{msg}");
    assert!(changed(call(&pool, &here, None, run("true"))));
    let r = call(&pool, &here, None, run("/bin/sh -c 'kill -9 $(cut -d\" \" -f4 /proc/$PPID/stat); sleep 4733.5'"));
    let e = r.unwrap_err();
    assert!(matches!(&e, CallError::Failed(m) if m.contains("killed by signal 9")), "{e:?}");
    eventually("nothing is left", || !running("sleep 4733.5"));
    assert!(changed(call(&pool, &here, None, run("true"))));
}

#[test]
fn its_workers_show_no_trace_of_the_channel() {
    let pool = pool();
    let here = ConnParams::local("localhost");
    let r = call(&pool, &here, None, run("ls -l /proc/self/fd")).unwrap();
    let fds = r.result["stdout"].as_str().unwrap();
    assert!(fds.contains("/proc/") && !fds.contains("socket:"), "{fds}");
    let mut r = run("/bin/sh -c 'echo $COLOUR'");
    r.env.insert("COLOUR".into(), "blue".into());
    assert_eq!(call(&pool, &here, None, r).unwrap().result["stdout"], "blue");
    assert_eq!(call(&pool, &here, None, run("/bin/sh -c 'echo \"<$COLOUR>\"'")).unwrap().result["stdout"], "<>");
}

#[test]
fn its_jobs_stop_at_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    let jobs = dir.path().join("jobs").display().to_string();
    let job = dirigo::proto::AsyncJob { jid: "j2.1".into(), limit: 1, dir: jobs };
    let r =
        call(&pool(), &ConnParams::local("localhost"), None, Request { async_job: Some(job), ..run("sleep 4734.5") });
    let file = r.unwrap().result["results_file"].as_str().unwrap().to_string();
    let result = || std::fs::read(&file).ok().and_then(|t| serde_json::from_slice::<Json>(&t).ok());
    eventually("over its time", || result().is_some_and(|r| r["msg"] == "Timeout exceeded"));
    eventually("its processes are gone", || !running("sleep 4734.5"));
}
