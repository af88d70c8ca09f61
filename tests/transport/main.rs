//! The transport and the agent as a whole: real processes, and a real sshd where there is one.

mod escalate;
mod lab;
mod local;
mod second;
mod ssh;
mod sshd;

use dirigo::proto::{Request, Response};
use dirigo::transport::{Become, CallError, ConnParams, Pool, PoolOptions};
use serde_json::{Value as Json, json};

/// A pool with the agent of this build.
pub fn pool() -> Pool {
    pool_with(PoolOptions::default())
}

pub fn pool_with(options: PoolOptions) -> Pool {
    let agent = options.agent.clone().or(Some(env!("CARGO_BIN_EXE_dirigo-agent").into()));
    Pool::new(PoolOptions { agent, ..options }).unwrap()
}

/// A pool whose agent no host has: its own checksum, and so its own name in every cache.
pub fn pool_with_new_agent(dir: &std::path::Path) -> Pool {
    use std::io::Write;
    let copy = dir.join("new-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_dirigo-agent"), &copy).unwrap();
    let mut f = std::fs::OpenOptions::new().append(true).open(&copy).unwrap();
    write!(f, "{:?}", std::time::SystemTime::now()).unwrap();
    pool_with(PoolOptions { agent: Some(copy.to_str().unwrap().into()), ..PoolOptions::default() })
}

/// A request for a module with these arguments.
pub fn request(module: &str, args: Json) -> Request {
    let Json::Object(args) = args else { panic!("arguments are an object") };
    Request { module: module.into(), args, ..Request::default() }
}

pub fn shell(line: &str) -> Request {
    request("shell", json!({ "_raw_params": line }))
}

/// Calls without content.
pub fn call(pool: &Pool, p: &ConnParams, b: Option<&Become>, r: Request) -> Result<Response, CallError> {
    pool.call(p, b, r, None, None)
}

/// stdout of a shell command that must succeed.
pub fn output(pool: &Pool, p: &ConnParams, b: Option<&Become>, line: &str) -> String {
    let r = call(pool, p, b, shell(line)).unwrap();
    assert_eq!(r.result.get("rc"), Some(&json!(0)), "{:?}", r.result);
    r.result["stdout"].as_str().unwrap().to_string()
}

/// Waits up to half a minute for something to become true.
pub fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !test() {
        assert!(std::time::Instant::now() < end, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// True while a process with this word in its command line lives.
pub fn running(word: &str) -> bool {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|e| {
        let name = e.file_name().to_string_lossy().into_owned();
        name.bytes().all(|b| b.is_ascii_digit())
            && name != me
            && std::fs::read(e.path().join("cmdline")).is_ok_and(|c| {
                let line = String::from_utf8_lossy(&c).replace('\0', " ");
                line.contains(word)
            })
    })
}
