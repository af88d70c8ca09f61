//! `expect`: a program on a terminal of its own, whose questions are answered.

use super::support::exec::{self, rc_of};
use super::support::pyre::{Codec, Pattern};
use super::support::{localtime, pytext, pytime, shlex};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, convert, json_text};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use serde_json::Value as Json;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub fn module() -> Module {
    Module {
        name: "expect",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("command").required().doc("The program and its arguments; no shell."),
            Arg::path("chdir").doc("Directory to change into first."),
            Arg::path("creates").doc("A path; if it is there, the command is not run."),
            Arg::path("removes").doc("A path; if it is not there, the command is not run."),
            Arg::dict("responses")
                .required()
                .doc("Python expressions for prompts, and the answer or the list of answers to each."),
            Arg::raw("timeout").default(30).doc("Seconds to wait for the next prompt or the end; null waits for ever."),
            Arg::bool("echo").default(false).doc("Show the answers in the output."),
        ]),
        check: Support::None,
        diff: Support::None,
        free_form: false,
        doc: "Execute a command and respond to prompts\n\n\
              The program gets a terminal of 24 lines by 80 columns. Patterns are looked for in what came since the \
              last answer, at most 2000 bytes back from what is new.",
        run,
    }
}

/// How far back from new output a prompt may begin.
const WINDOW: usize = 2000;
/// Output beyond this ends the program.
const MAX_OUTPUT: usize = 32 << 20;
/// Programs that switch the echo off before they read need a moment for it.
const BEFORE_ANSWER: Duration = Duration::from_millis(50);

/// A prompt and its answers.
struct Prompt {
    text: String,
    pattern: Pattern,
    answers: Answers,
}

enum Answers {
    Always(String),
    /// One after the other, and how many were given.
    Each(Vec<String>, usize),
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let line = args.str("command");
    if line.trim().is_empty() {
        return Err(Failure::new("no command given").set("rc", 256));
    }
    let timeout = seconds(args.get("timeout"))?;
    let mut prompts = vec![];
    for (key, value) in args.opt_map("responses").into_iter().flatten() {
        // The pattern alone first, so that an error names its own places; then the dot matches line ends too.
        Pattern::new(key, false)?;
        let pattern = Pattern::new(&format!("(?s){key}"), false)?;
        let answers = match value {
            Json::Array(l) => Answers::Each(l.iter().map(json_text).collect(), 0),
            one => Answers::Always(json_text(one)),
        };
        prompts.push(Prompt { text: key.clone(), pattern, answers });
    }
    let mut base = std::env::current_dir().unwrap_or_else(|_| "/".into());
    if let Some(d) = args.opt_str("chdir") {
        base.push(d);
        std::fs::read_dir(&base).map_err(|e| Failure::uncaught(pytext::os_error(&e, Path::new(d))))?;
    }
    let skipped = |text: String| Ok(Outcome::ok().set("cmd", line).set("stdout", text).set("rc", 0));
    if let Some(p) = args.opt_str("creates").filter(|p| base.join(p).exists()) {
        return skipped(format!("skipped, since {p} exists"));
    }
    if let Some(p) = args.opt_str("removes").filter(|p| !base.join(p).exists()) {
        return skipped(format!("skipped, since {p} does not exist"));
    }
    let (start, clock) = (localtime::now(), Instant::now());
    let mut talk = Talk::start(ctx, line, &base, args.bool("echo"))?;
    let ended = talk.go(&mut prompts, timeout);
    let rc = talk.finish(matches!(ended, Ok(true)));
    ended?;
    let text = pytext::strict_utf8(&talk.seen)?;
    let o = Outcome::changed(true)
        .set("cmd", line)
        .set("stdout", text.trim_end_matches(['\r', '\n']))
        .set("rc", rc)
        .set("start", pytime::datetime(&start))
        .set("end", pytime::datetime(&localtime::now()))
        .set("delta", pytime::timedelta(clock.elapsed()));
    let msg = match rc {
        Some(0) => return Ok(o),
        Some(_) => "non-zero return code",
        None => "command exceeded timeout",
    };
    Err(Failure { msg: msg.into(), data: o.data }.set("changed", true))
}

fn seconds(v: &Json) -> Result<Option<Duration>, Failure> {
    if v.is_null() {
        return Ok(None);
    }
    match convert(Type::Int, v).ok().and_then(|n| n.as_i64()) {
        Some(n) => Ok(Some(Duration::from_secs(u64::try_from(n).unwrap_or(0)))),
        None => {
            let (kind, shown) = match v {
                Json::String(s) => ("str", pytext::repr(s)),
                Json::Number(_) => ("float", json_text(v)),
                Json::Array(_) => ("list", v.to_string()),
                _ => ("dict", v.to_string()),
            };
            Err(Failure::new(format!(
                "argument 'timeout' is of type <class '{kind}'> and we were unable to convert to int: \"{shown}\" cannot be converted to an int"
            )))
        }
    }
}

/// A running program and its terminal.
struct Talk {
    child: Child,
    terminal: OwnedFd,
    /// What came before the prompt that is waited for.
    seen: Vec<u8>,
    /// What came since the last prompt.
    fresh: Vec<u8>,
    /// The last prompt with what stood before it.
    last: Vec<u8>,
}

impl Talk {
    fn start(ctx: &Ctx, line: &str, dir: &PathBuf, echo: bool) -> Result<Talk, Failure> {
        let words = shlex::split(line).map_err(Failure::new)?;
        let (name, rest) = words.split_first().ok_or("no command given")?;
        let program = exec::find_program(ctx, name)
            .ok_or_else(|| Failure::new(format!("The command was not found or was not executable: {name}.")))?;
        let os = |e: Errno| Failure::uncaught(e.desc());
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).map_err(os)?;
        if !echo {
            let mut quiet = tcgetattr(&pty.slave).map_err(os)?;
            quiet.local_flags.remove(LocalFlags::ECHO);
            tcsetattr(&pty.slave, SetArg::TCSANOW, &quiet).map_err(os)?;
        }
        let side = || pty.slave.try_clone().map(Stdio::from);
        let mut c = Command::new(program);
        c.args(rest).current_dir(dir).stdin(side()?).stdout(side()?).stderr(side()?);
        for (k, v) in &ctx.env {
            if !k.is_empty() && !k.contains(['=', '\0']) && !v.contains('\0') {
                c.env(k, v);
            }
        }
        // SAFETY: both calls are safe between fork and exec and touch nothing of this process.
        unsafe {
            c.pre_exec(|| {
                nix::unistd::setsid()?;
                if libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = c.spawn().map_err(|e| Failure::uncaught(exec::os_error(&e, name)))?;
        Ok(Talk { child, terminal: pty.master, seen: vec![], fresh: vec![], last: vec![] })
    }

    /// Answers prompts until the program closes its terminal (true) or a wait took too long (false).
    fn go(&mut self, prompts: &mut [Prompt], timeout: Option<Duration>) -> Result<bool, Failure> {
        let mut from = 0;
        let mut since = Instant::now();
        let mut buf = vec![0u8; 64 << 10];
        loop {
            while let Some((which, end)) = self.find(prompts, from)? {
                let rest = self.fresh.split_off(end);
                self.last = std::mem::replace(&mut self.fresh, rest);
                self.seen.extend_from_slice(&self.last);
                if let Some(p) = prompts.get_mut(which) {
                    self.answer(p)?;
                }
                (from, since) = (0, Instant::now());
            }
            let left = match timeout {
                None => Duration::from_secs(60),
                Some(t) => t.saturating_sub(since.elapsed()),
            };
            if timeout.is_some() && left.is_zero() {
                self.seen.append(&mut self.fresh);
                return Ok(false);
            }
            if !self.readable(left) {
                continue;
            }
            match nix::unistd::read(&self.terminal, &mut buf) {
                Ok(n) if n > 0 => {
                    from = self.fresh.len().saturating_sub(WINDOW);
                    self.fresh.extend_from_slice(buf.get(..n).unwrap_or_default());
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                // Linux says EIO once nobody has the other end open.
                _ => {
                    self.seen.append(&mut self.fresh);
                    return Ok(true);
                }
            }
            if self.seen.len() + self.fresh.len() > MAX_OUTPUT {
                return Err(Failure::new(format!(
                    "the command wrote more than {} MiB; it was ended",
                    MAX_OUTPUT >> 20
                )));
            }
        }
    }

    fn readable(&self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        let ms = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX).max(1);
        poll(&mut fds, PollTimeout::from(ms)).is_ok_and(|n| n > 0)
    }

    /// The prompt that comes first in the fresh output from byte `from` on, and where it ends.
    fn find(&self, prompts: &[Prompt], from: usize) -> Result<Option<(usize, usize)>, Failure> {
        let window = self.fresh.get(from..).unwrap_or_default();
        if window.is_empty() {
            return Ok(None);
        }
        let codec = Codec::of(window);
        let text = codec.decode(window);
        let bytes_to = |at: usize| codec.encode(text.get(..at).unwrap_or_default()).len();
        let mut best: Option<(usize, usize, usize)> = None;
        for (i, p) in prompts.iter().enumerate() {
            let found = p.pattern.search(&text)?.and_then(|c| c.get(0).map(|m| (m.start(), m.end())));
            if let Some((start, end)) = found
                && best.is_none_or(|(_, b, _)| start < b)
            {
                best = Some((i, start, end));
            }
        }
        Ok(best.map(|(i, _, end)| (i, from + bytes_to(end))))
    }

    fn answer(&self, p: &mut Prompt) -> Result<(), Failure> {
        let text = match &mut p.answers {
            Answers::Always(t) => t.clone(),
            Answers::Each(all, given) => {
                let Some(t) = all.get(*given) else {
                    let shown = exec::bytes_repr(&String::from_utf8_lossy(&self.last));
                    return Err(Failure::new(format!("No remaining responses for '{}', output was '{shown}'", p.text)));
                };
                *given += 1;
                t.clone()
            }
        };
        std::thread::sleep(BEFORE_ANSWER);
        let mut data = text.trim_end_matches('\n').as_bytes().to_vec();
        data.push(b'\n');
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            match nix::unistd::write(&self.terminal, rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                // A program that is gone needs no answer; reading tells.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// The exit code; `None` if a signal ended the program, ours included.
    fn finish(&mut self, over: bool) -> Option<i32> {
        let gone = |c: &mut Child| c.try_wait().ok().flatten();
        let until = Instant::now() + Duration::from_millis(if over { 500 } else { 0 });
        loop {
            if let Some(s) = gone(&mut self.child) {
                return Some(rc_of(s)).filter(|rc| *rc >= 0);
            }
            if Instant::now() >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let group = Pid::from_raw(self.child.id() as i32);
        for signal in [Signal::SIGHUP, Signal::SIGCONT, Signal::SIGINT, Signal::SIGKILL] {
            let _ = killpg(group, signal);
            std::thread::sleep(Duration::from_millis(100));
            if gone(&mut self.child).is_some() {
                return None;
            }
        }
        let _ = self.child.wait();
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::{Map, Value as Json, json};

    const ASK: &str =
        "n=$1; i=0; while [ $i -lt $n ]; do printf 'q%s? ' $i; read a; echo \"<$a>\"; i=$((i+1)); done; exit ${2:-0}";

    fn ask(args: Json) -> Map<String, Json> {
        let b = bench("expect").file("ask", ASK);
        let mut all = json!({"command": "sh $D/ask 2"}).as_object().cloned().unwrap_or_default();
        all.extend(args.as_object().cloned().unwrap_or_default());
        b.real(Json::Object(all))
    }

    #[test]
    fn answers_prompts() {
        let r = ask(json!({"responses": {"q\\d": "a"}}));
        assert_eq!((&r["stdout"], &r["rc"], &r["changed"]), (&json!("q0? <a>\r\nq1? <a>"), &json!(0), &json!(true)));
        let r = ask(json!({"responses": {"(?i)Q\\d": ["a", "b\n"], "never": "x"}, "echo": true}));
        assert_eq!(r["stdout"], "q0? a\r\n<a>\r\nq1? b\r\n<b>");
    }

    #[test]
    fn failures() {
        let r = ask(json!({"responses": {"q\\d": ["a"]}}));
        let m = r["msg"].as_str().unwrap_or_default();
        assert!(m.starts_with("No remaining responses for 'q\\d', output was 'b'? <a>"), "{m}");
        let r = ask(json!({"command": "sh $D/ask 1 3", "responses": {"q": 3}}));
        assert_eq!((&r["rc"], &r["msg"], &r["changed"]), (&json!(3), &json!("non-zero return code"), &json!(true)));
        let r = ask(json!({"responses": {"nothing": "a"}, "timeout": 1}));
        assert_eq!((&r["rc"], &r["msg"]), (&Json::Null, &json!("command exceeded timeout")));
        assert_eq!(r["stdout"], "q0? ");
        let r = ask(json!({"command": "no-such-program", "responses": {}}));
        assert_eq!(r["msg"], "The command was not found or was not executable: no-such-program.");
        assert_eq!(ask(json!({"command": " ", "responses": {}}))["rc"], 256);
        let r = ask(json!({"responses": {"(": "a"}}));
        assert_eq!(r["msg"], "Task failed: Module failed: missing ), unterminated subpattern at position 0");
        let r = ask(json!({"responses": {}, "timeout": "abc"}));
        assert!(r["msg"].as_str().is_some_and(|m| m.contains("\"'abc'\" cannot be converted to an int")), "{r:?}");
        let r = ask(json!({"command": "printf '\\377'", "responses": {}}));
        assert!(r["msg"].as_str().is_some_and(|m| m.contains("an invalid UTF8 string value")), "{r:?}");
    }

    #[test]
    fn guards_and_a_terminal() {
        let r = ask(json!({"responses": {}, "creates": "/etc/passwd"}));
        assert_eq!((&r["stdout"], &r["changed"]), (&json!("skipped, since /etc/passwd exists"), &json!(false)));
        let r = ask(json!({"responses": {}, "command": "stty size", "chdir": "/", "timeout": null}));
        assert_eq!(r["stdout"], "24 80");
    }
}
