//! The local connection: the agent as a child process.

use super::*;
use std::time::{Duration, Instant};

fn here() -> ConnParams {
    ConnParams::local("localhost")
}

#[test]
fn ping_and_command() {
    let pool = pool();
    let r = call(&pool, &here(), None, request("ping", json!({}))).unwrap();
    assert_eq!(r.result["ping"], "pong");
    assert_eq!(output(&pool, &here(), None, "echo $((6 * 7))"), "42");
}

#[test]
fn agent_stays_for_the_run_and_goes_with_it() {
    let pool = pool();
    let parent = || output(&pool, &here(), None, "cat /proc/$PPID/stat | cut -d' ' -f4");
    let agent = parent();
    assert_eq!(agent, parent());
    drop(pool);
    eventually("the agent is gone", || !std::path::Path::new(&format!("/proc/{agent}")).exists());
}

#[test]
fn unknown_module_and_wrong_arguments_fail() {
    let pool = pool();
    let r = call(&pool, &here(), None, request("no_such_module", json!({}))).unwrap();
    assert_eq!(r.result["failed"], true);
    let r = call(&pool, &here(), None, request("ping", json!({"nonsense": 1}))).unwrap();
    assert_eq!(r.result["failed"], true);
}

#[test]
fn timeout_stops_the_module_and_its_processes() {
    let pool = pool();
    let start = Instant::now();
    let r = call(&pool, &here(), None, Request { timeout: 1, ..shell("sleep 4711.5 & setsid sleep 4711.6") });
    assert_eq!(r.unwrap_err(), CallError::Timeout(1));
    assert!(start.elapsed() < Duration::from_secs(20));
    eventually("the sleeps are gone", || !running("sleep 4711.5") && !running("sleep 4711.6"));
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
}

#[test]
fn modules_run_side_by_side() {
    let pool = pool();
    let start = Instant::now();
    std::thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(|| output(&pool, &here(), None, "sleep 2"));
        }
    });
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn closing_the_pool_kills_what_runs() {
    let pool = pool();
    std::thread::scope(|s| {
        let running_call = s.spawn(|| call(&pool, &here(), None, shell("sleep 4712.5")));
        eventually("the sleep runs", || running("sleep 4712.5"));
        pool.shutdown();
        assert!(running_call.join().unwrap().is_err());
    });
    eventually("the sleep is gone", || !running("sleep 4712.5"));
}

#[test]
fn cancel_answers_and_kills() {
    let pool = pool();
    std::thread::scope(|s| {
        let running_call = s.spawn(|| call(&pool, &here(), None, shell("sleep 4713.5")));
        eventually("the sleep runs", || running("sleep 4713.5"));
        pool.cancel_all();
        let r = running_call.join().unwrap().unwrap();
        assert_eq!(r.result["msg"], "cancelled");
    });
    eventually("the sleep is gone", || !running("sleep 4713.5"));
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
}

#[test]
fn killed_agent_is_a_failure_and_the_next_task_has_a_new_one() {
    let pool = pool();
    let r = call(&pool, &here(), None, shell("kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 4714.5"));
    let e = r.unwrap_err();
    assert!(matches!(&e, CallError::Failed(m) if m.contains("killed by signal 9")), "{e:?}");
    eventually("nothing is left", || !running("sleep 4714.5"));
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
}

#[test]
fn killed_worker_is_a_failed_result() {
    let pool = pool();
    let r = call(&pool, &here(), None, shell("kill -9 $PPID; sleep 10")).unwrap();
    let msg = r.result["msg"].as_str().unwrap();
    assert!(msg.contains("MODULE FAILURE") && msg.contains("signal 9"), "{msg}");
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
}

#[test]
fn worker_whose_stack_overflows_is_a_failed_result() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d/".repeat(500));
    std::fs::create_dir_all(&deep).unwrap();
    // little stack for the agent, so that a search of these directories is too much for it
    let agent = dir.path().join("agent");
    let script = format!("#!/bin/sh\nulimit -s 256\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_dirigo-agent"));
    std::fs::write(&agent, script).unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let pool = pool_with(PoolOptions { agent: agent.to_str().map(Into::into), ..PoolOptions::default() });
    let search = |depth| json!({"paths": dir.path(), "recurse": true, "file_type": "directory", "depth": depth});
    let r = call(&pool, &here(), None, request("find", search(3))).unwrap();
    assert_eq!(r.result["matched"], 3, "{:?}", r.result);
    let r = call(&pool, &here(), None, request("find", search(1000))).unwrap();
    let msg = r.result["msg"].as_str().unwrap();
    let signal = ["signal 11", "signal 6"].iter().any(|s| msg.contains(s));
    assert!(msg.contains("MODULE FAILURE") && signal && r.result["failed"] == true, "{msg}");
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
    assert_eq!(std::fs::remove_dir_all(dir.path().join("d")).map_err(|e| e.to_string()), Ok(()));
}

#[test]
fn background_processes_outlive_their_task_and_other_tasks() {
    let pool = pool();
    let pid = output(&pool, &here(), None, "sleep 4715.5 >/dev/null 2>&1 & echo $!");
    let alive = || std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists();
    let _ = call(&pool, &here(), None, Request { timeout: 1, ..shell("sleep 30") });
    assert!(alive());
    drop(pool);
    std::thread::sleep(Duration::from_millis(300));
    assert!(alive());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse().unwrap()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
fn environment_reaches_processes_and_stays_with_its_task() {
    let pool = pool();
    let mut r = shell("echo $COLOUR");
    r.env.insert("COLOUR".into(), "blue".into());
    assert_eq!(call(&pool, &here(), None, r).unwrap().result["stdout"], "blue");
    assert_eq!(output(&pool, &here(), None, "echo $COLOUR"), "");
}

#[test]
fn processes_find_no_trace_of_the_channel() {
    let pool = pool();
    let fds = output(&pool, &here(), None, "ls -l /proc/self/fd /proc/$PPID/fd | grep -c 'pipe:.*pipe:' ; true");
    assert_eq!(fds, "0");
    // Writing where the agent's stdout was must not disturb the frames.
    output(&pool, &here(), None, "echo noise > /proc/$PPID/fd/1; echo noise >&2");
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
}

#[test]
fn big_results_and_results_too_big() {
    let pool = pool();
    let r = call(&pool, &here(), None, shell("head -c 8000000 /dev/zero | tr '\\0' x")).unwrap();
    assert_eq!(r.result["stdout"].as_str().map(str::len), Some(8_000_000));
}

#[test]
fn async_job_is_written_as_ansible_does() {
    let dir = tempfile::tempdir().unwrap();
    let job = |line: &str, limit| Request {
        async_job: Some(dirigo::proto::AsyncJob {
            jid: "j4711.1".into(),
            limit,
            dir: dir.path().join("jobs").display().to_string(),
        }),
        ..shell(line)
    };
    let read = |r: &Response| -> Json {
        let text = std::fs::read(r.result["results_file"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let pool = pool();
    let start = Instant::now();
    let r = call(&pool, &here(), None, job("sleep 5; echo done", 60)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(r.result["ansible_job_id"], "j4711.1");
    assert_eq!((&r.result["started"], &r.result["finished"]), (&json!(true), &json!(false)));
    assert_eq!(read(&r), json!({"started": 1, "finished": 0, "ansible_job_id": r.result["ansible_job_id"]}));
    // The job outlives its agent.
    drop(pool);
    eventually("the job is done", || read(&r).get("stdout") == Some(&json!("done")));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.path().join("jobs/j4711.1")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let pool = super::pool();
    let r = call(&pool, &here(), None, job("sleep 4716.5 & sleep 4716.6", 1)).unwrap();
    eventually("the job is over its time", || read(&r).get("msg") == Some(&json!("Timeout exceeded")));
    eventually("its processes are gone", || !running("sleep 4716."));
}

/// A file of three lines: what each request of a chain appended to it.
#[test]
fn a_chain_runs_in_order_and_stops_at_the_first_failure() {
    let pool = pool();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let line =
        |i: usize, end: &str| (shell(&format!("sleep 0.0{}; echo {i} >> {}; {end}", 9 - i % 9, file.display())), None);
    let all = pool.call_chain(&here(), None, (0..300).map(|i| line(i, "true")).collect()).unwrap();
    assert_eq!(all.len(), 300);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, (0..300).map(|i| format!("{i}\n")).collect::<String>());

    std::fs::remove_file(&file).unwrap();
    let some =
        pool.call_chain(&here(), None, (0..200).map(|i| line(i, if i == 2 { "false" } else { "true" })).collect());
    let some = some.unwrap();
    assert_eq!(some.len(), 3);
    assert_eq!(some[2].result["rc"], 1);
    // the agent is at rest and nothing of the rest ran
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n1\n2\n");
}

#[test]
fn content_of_any_size_travels_in_a_chain() {
    let pool = pool();
    let dir = tempfile::tempdir().unwrap();
    let size = |i: usize| [0, 10, 60_000, 70_000, 3_000_000][i % 5];
    let requests = (0..40)
        .map(|i| {
            let bytes: std::sync::Arc<[u8]> = vec![b'a' + (i % 26) as u8; size(i)].into();
            let dest = dir.path().join(format!("f{i}"));
            (request("copy", json!({"dest": dest, "src": "x"})), Some(dirigo::transport::Payload::Bytes(bytes)))
        })
        .collect();
    let answers = pool.call_chain(&here(), None, requests).unwrap();
    assert_eq!(answers.len(), 40);
    for (i, a) in answers.iter().enumerate() {
        assert_eq!(a.result["changed"], true, "{:?}", a.result);
        let got = std::fs::read(dir.path().join(format!("f{i}"))).unwrap();
        assert!(got.len() == size(i) && got.iter().all(|b| *b == b'a' + (i % 26) as u8), "file {i}");
    }
}

/// The second request takes longer to prepare than the first to fail.
#[test]
fn what_arrives_after_the_failure_is_not_run_either() {
    let pool = pool();
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("f");
    let big: std::sync::Arc<[u8]> = vec![7u8; 60_000_000].into();
    let copy = request("copy", json!({"dest": dest, "src": "x"}));
    let third = shell(&format!("touch {}", dir.path().join("third").display()));
    let requests = vec![
        (shell("false"), None),
        (copy, Some(dirigo::transport::Payload::Bytes(big))),
        (third, None),
        (shell("true"), None),
    ];
    let answers = pool.call_chain(&here(), None, requests).unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(output(&pool, &here(), None, "echo next"), "next");
    assert!(dir.path().read_dir().unwrap().next().is_none());
}

#[test]
fn connections_make_room_for_others() {
    let pool = pool_with(PoolOptions { most: Some(2), ..PoolOptions::default() });
    let hosts: Vec<ConnParams> = (0..6).map(|i| ConnParams::local(&format!("h{i}"))).collect();
    assert_eq!(output(&pool, &hosts[0], None, "echo one"), "one");
    assert_eq!(pool.take_notice(), None);
    for round in 0..2 {
        std::thread::scope(|s| {
            for h in &hosts {
                let pool = &pool;
                s.spawn(move || {
                    assert_eq!(output(pool, h, None, &format!("sleep 0.05; echo {round}")), round.to_string())
                });
            }
        });
    }
    let notice = pool.take_notice().unwrap();
    assert!(notice.starts_with("At most 2 connections are kept open at once"), "{notice}");
    assert_eq!(pool.take_notice(), None, "said once");
}

/// The agent dies in the middle of a copy; what it left is the beginning of the next one, and goes.
#[test]
fn a_copy_that_was_cut_goes_on() {
    let d = tempfile::tempdir().unwrap();
    let src = d.path().join("src");
    std::fs::write(&src, (0..48_000_000u32).map(|i| (i / 3) as u8).collect::<Vec<u8>>()).unwrap();
    let dest = d.path().join("to/dest");
    std::fs::create_dir(d.path().join("to")).unwrap();
    let left = || {
        let all = std::fs::read_dir(d.path().join("to")).unwrap().flatten();
        let sizes: Vec<u64> = all.filter(|e| e.path() != dest).map(|e| e.metadata().unwrap().len()).collect();
        sizes
    };
    let pool = pool();
    let payload = || Some(dirigo::transport::Payload::File(src.to_str().unwrap().into()));
    let args = json!({"dest": dest, "src": "/src"});
    let agent: i32 = output(&pool, &here(), None, "cut -d' ' -f4 /proc/$PPID/stat").trim().parse().unwrap();
    let cut = std::thread::scope(|s| {
        let call = s.spawn(|| pool.call(&here(), None, request("copy", args.clone()), payload(), None));
        while left().first().is_none_or(|n| *n < 8_000_000) && !call.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let agent = nix::unistd::Pid::from_raw(agent);
        let _ = nix::sys::signal::kill(agent, nix::sys::signal::Signal::SIGKILL);
        call.join().unwrap()
    });
    assert!(cut.is_err(), "it was faster than the test: {cut:?}");
    crate::eventually("the worker has gone", || {
        let first = left();
        std::thread::sleep(std::time::Duration::from_millis(50));
        first == left()
    });
    assert!(!dest.exists() && left().len() == 1, "{:?}", left());
    let r = pool.call(&here(), None, request("copy", args), payload(), None).unwrap();
    assert_eq!(r.result["changed"], true, "{:?}", r.result);
    assert!(std::fs::read(&dest).unwrap() == std::fs::read(&src).unwrap());
    assert_eq!(left(), [0u64; 0]);
}
