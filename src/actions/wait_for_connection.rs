//! `wait_for_connection`: waits until the host can be reached and its agent answers.

use super::{Action, ActionCtx, ActionResult, Done, Remote};
use crate::modules::{Arg, Spec};
use crate::proto::Request;
use crate::seconds;
use crate::transport::CallError;
use std::time::{Duration, Instant};

pub fn action() -> Action {
    Action { name: "wait_for_connection", spec: Some(spec), raw: false, local: false, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::int("connect_timeout").default(5).doc("Seconds for one attempt to connect."),
        Arg::int("delay").default(0).doc("Seconds to wait before the first attempt."),
        Arg::int("sleep").default(1).doc("Seconds between two attempts."),
        Arg::int("timeout").default(600).doc("Seconds after which to give up."),
    ])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    ctx.only(&spec())?;
    let args = ctx.validated(&spec())?;
    if ctx.check {
        return Ok(Done::new(false).set("skipped", true));
    }
    let seconds = |name: &str| seconds::whole(args.int(name));
    let began = Instant::now();
    std::thread::sleep(seconds("delay"));
    let remote = ctx.remote.within(args.int("connect_timeout").max(1) as u64);
    let end = began + seconds("delay") + seconds("timeout");
    let elapsed = || began.elapsed().as_secs() as i64;
    let done = match until(end, seconds("sleep"), || ping(remote.as_ref())) {
        Ok(()) => Done::new(false),
        Err(why) => Done::failed(format!("timed out waiting for ping module test: {why}")),
    };
    Ok(done.set("elapsed", elapsed()))
}

/// One attempt over a new connection.
fn ping(remote: &dyn Remote) -> Result<(), String> {
    remote.reset();
    match remote.call(Request { module: "ping".into(), ..Request::default() }, None, None) {
        Ok(r) if r.result.get("ping").is_some() => Ok(()),
        Ok(r) => Err(r.result.get("msg").and_then(|m| m.as_str()).unwrap_or("ping test failed").to_string()),
        Err(CallError::Unreachable(m) | CallError::Failed(m)) => Err(m),
        Err(e) => Err(e.to_string()),
    }
}

/// Tries until it works or the time is over; the last reason is the error.
pub fn until(end: Instant, pause: Duration, mut test: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    loop {
        let why = match test() {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        if Instant::now() + pause >= end {
            return Err(why);
        }
        std::thread::sleep(pause);
    }
}
