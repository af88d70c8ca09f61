//! A running command with its three streams, here or at the other end of an ssh connection.

use super::CallError;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Ended by a signal.
    Signal(i32),
    /// The connection broke, so nobody knows.
    Lost(String),
}

/// A command that runs. Dropping it closes its stdin, which ends every agent.
pub struct Channel {
    pub stdin: Writer,
    pub stdout: Reader,
    pub stderr: Reader,
    pub exit: oneshot::Receiver<Exit>,
}

/// Starts a command on this machine, without a shell.
pub fn local(program: &str, args: &[String]) -> Result<Channel, CallError> {
    let mut command = tokio::process::Command::new(program);
    super::bound::as_before(&mut command);
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the controller, which then tells its agents.
        .process_group(0)
        .spawn()
        .map_err(|e| CallError::Failed(format!("{program} could not be started: {e}")))?;
    let missing = || CallError::Failed(format!("{program} was started without its pipes"));
    let stdin = Box::new(child.stdin.take().ok_or_else(missing)?);
    let stdout = Box::new(child.stdout.take().ok_or_else(missing)?);
    let stderr = Box::new(child.stderr.take().ok_or_else(missing)?);
    let (tell, exit) = oneshot::channel();
    tokio::spawn(async move {
        use std::os::unix::process::ExitStatusExt;
        let end = match child.wait().await {
            Ok(s) => s.code().map(Exit::Code).or(s.signal().map(Exit::Signal)),
            Err(_) => None,
        };
        let _ = tell.send(end.unwrap_or(Exit::Lost("no exit status".into())));
    });
    Ok(Channel { stdin, stdout, stderr, exit })
}

/// The last words of a stream, however much it says.
#[derive(Clone, Default, Debug)]
pub struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    const KEEP: usize = 8 << 10;

    pub fn push(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        all.extend_from_slice(bytes);
        let over = all.len().saturating_sub(Self::KEEP);
        all.drain(..over);
    }

    /// What was kept, as text without the blank ends.
    pub fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        String::from_utf8_lossy(&all).trim().to_string()
    }

    /// Reads the stream to its end, keeping the tail.
    pub async fn drain(self, mut from: Reader) {
        let mut part = vec![0u8; 4096];
        while let Ok(n @ 1..) = from.read(&mut part).await {
            self.push(part.get(..n).unwrap_or(&[]));
        }
    }
}
