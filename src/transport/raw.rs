//! Commands without an agent: for `raw`, and for hosts where no agent can run.

use super::channel::{Channel, Exit};
use super::{Become, CallError, escalation};
use crate::seconds;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// More output than this of one stream fails the call.
const MAX_OUTPUT: usize = 64 << 20;

/// What a command said and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawOutput {
    pub rc: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// The shell command for another user, which tells on stderr when it got there.
pub fn command(b: &Become, token: &str, inner: &str) -> String {
    escalation::wrap(b, &prompt(token), &format!("echo BECOME-SUCCESS-{token} >&2; {inner}"))
}

fn prompt(token: &str) -> String {
    format!("[sudo via dirigo, key={token}] password:")
}

/// Runs the command to its end. `escalate` is who it becomes on its way, and the token of [`command`].
pub async fn run(
    channel: Channel,
    escalate: Option<(&Become, &str)>,
    stdin: Option<&[u8]>,
    seconds: u64,
) -> Result<RawOutput, CallError> {
    let Channel { stdin: mut to, mut stdout, mut stderr, exit } = channel;
    let mut early = vec![];
    if let Some((b, token)) = escalate {
        let limit = seconds::whole(seconds.max(1).saturating_add(20));
        let work = become_first(&mut to, &mut stderr, b, token, &mut early);
        match tokio::time::timeout(limit, work).await {
            Ok(r) => r?,
            Err(_) => {
                let text = format!("Timeout ({}s) waiting for privilege escalation prompt: ", limit.as_secs());
                return Err(CallError::Failed(text));
            }
        }
    }
    let feed = async {
        let _ = to.write_all(stdin.unwrap_or(&[])).await;
        let _ = to.shutdown().await;
        drop(to);
    };
    let ((), out, err) =
        tokio::join!(feed, read_bounded(stdout.as_mut(), vec![]), read_bounded(stderr.as_mut(), early));
    let (out, err) = (out?, err?);
    match exit.await {
        Ok(Exit::Code(rc)) => Ok(RawOutput { rc, stdout: out, stderr: err }),
        Ok(Exit::Signal(s)) => Ok(RawOutput { rc: 128 + s, stdout: out, stderr: err }),
        Ok(Exit::Lost(why)) => Err(CallError::ssh(why)),
        Err(_) => Err(CallError::ssh("the connection ended")),
    }
}

async fn read_bounded(
    from: &mut (dyn tokio::io::AsyncRead + Send + Unpin),
    mut all: Vec<u8>,
) -> Result<Vec<u8>, CallError> {
    from.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut all).await.map_err(CallError::ssh)?;
    if all.len() > MAX_OUTPUT {
        return Err(CallError::Failed(format!("the command writes more than {MAX_OUTPUT} bytes")));
    }
    Ok(all)
}

/// Waits until the other user is reached, giving the password when asked; what came after goes to `early`.
async fn become_first(
    to: &mut (dyn tokio::io::AsyncWrite + Send + Unpin),
    stderr: &mut (dyn tokio::io::AsyncRead + Send + Unpin),
    b: &Become,
    token: &str,
    early: &mut Vec<u8>,
) -> Result<(), CallError> {
    let done = format!("BECOME-SUCCESS-{token}\n");
    let (mut words, mut asked) = (String::new(), 0);
    let mut part = vec![0u8; 4096];
    loop {
        let n = stderr.read(&mut part).await.unwrap_or(0);
        words.push_str(&String::from_utf8_lossy(part.get(..n).unwrap_or(&[])));
        if let Some((_, after)) = words.split_once(&done) {
            early.extend_from_slice(after.as_bytes());
            return Ok(());
        }
        if escalation::asks(b.method, &prompt(token), &words) {
            asked += 1;
            words = words.replace(&prompt(token), "").trim_end().to_string() + "\n";
            if let (None, Some(p)) = (escalation::refusal(b, &words, asked), &b.password) {
                let _ = to.write_all(format!("{}\n", p.reveal()).as_bytes()).await;
                let _ = to.flush().await;
                continue;
            }
        }
        if let Some(why) = escalation::refusal(b, &words, asked) {
            return Err(CallError::Failed(why));
        }
        if n == 0 || words.len() > 64 << 10 {
            return Err(CallError::Failed(format!("{} failed: {}", b.method.name(), words.trim())));
        }
    }
}
