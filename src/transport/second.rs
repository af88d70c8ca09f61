//! The agent's second file on its way to a host: sent ahead of the first request that needs it, unless the agent said
//! that it has it.

use super::CallError;
use super::client::Client;
use super::locate::{self, AgentFile, Form};
use crate::proto::{FrameKind, Request, SecondFile};
use camino::Utf8PathBuf;
use std::sync::Arc;

/// Bytes of one piece: each has to be taken within the patience for the host.
const PIECE: usize = 64 << 10;
/// A host that wants the file more often than this has lost it again and again, or plays with us.
const MOST: u64 = 8;

/// The file on this side, found and read when a task first needs it; shared by all connections of a run.
#[derive(Debug)]
pub struct Here {
    path: Result<Utf8PathBuf, CallError>,
    file: tokio::sync::OnceCell<AgentFile>,
}

impl Here {
    /// The file that goes with this agent.
    pub fn beside(agent: &Result<Utf8PathBuf, CallError>) -> Arc<Here> {
        let path = agent.clone().and_then(|a| locate::find_second(&a));
        Arc::new(Here { path, file: Default::default() })
    }

    async fn load(&self) -> Result<&AgentFile, CallError> {
        let path = self.path.clone()?;
        let load = || async {
            let read = tokio::task::spawn_blocking(move || AgentFile::load(&path)).await;
            read.unwrap_or_else(|e| Err(CallError::Failed(e.to_string())))
        };
        self.file.get_or_try_init(load).await
    }
}

/// The file for one agent.
pub struct Second {
    here: Arc<Here>,
    /// The agent is our own child and starts the file where it lies.
    child: bool,
    sent: tokio::sync::Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    uploads: u64,
    /// The agent has it or will have it when it has read what was sent so far.
    there: bool,
}

impl Second {
    pub fn new(here: Arc<Here>, child: bool) -> Second {
        Second { here, child, sent: Default::default() }
    }

    /// Whether a request is for a module that the agent itself has not, or that is not built in.
    pub fn needed(client: &Client, req: &Request) -> bool {
        let whole = client.hello.get().is_some_and(|h| h.whole);
        !whole && (req.foreign.is_some() || crate::modules::in_second(&req.module))
    }

    /// What a request says of the file; the file itself goes before it if the agent has not got it.
    pub async fn provide(&self, client: &Client) -> Result<SecondFile, CallError> {
        if self.child {
            let path = self.here.path.clone()?.into_string();
            return Ok(SecondFile { sha256: String::new(), path: Some(path) });
        }
        let file = self.here.load().await?;
        let mut sent = self.sent.lock().await;
        if !sent.there && client.hello.get().is_none_or(|h| !h.files.contains(&file.sha256)) {
            self.upload(client, &mut sent).await?;
        }
        sent.there = true;
        Ok(SecondFile { sha256: file.sha256.clone(), path: None })
    }

    /// The agent misses the file after `ended` uploads: sends it again, unless one is on its way already.
    pub async fn again(&self, client: &Client, ended: u64) -> Result<(), CallError> {
        let mut sent = self.sent.lock().await;
        if self.child || sent.uploads > ended {
            return Ok(());
        }
        self.upload(client, &mut sent).await
    }

    async fn upload(&self, client: &Client, sent: &mut Sent) -> Result<(), CallError> {
        let file = self.here.load().await?;
        if sent.uploads >= MOST {
            return Err(CallError::Failed(format!("the host lost the agent's second file {MOST} times")));
        }
        sent.uploads += 1;
        let (number, from) = (sent.uploads, file.clone());
        let read = tokio::task::spawn_blocking(move || from.bytes(Form::Deflate)).await.map_err(std::io::Error::other);
        let bytes =
            read.and_then(|r| r).map_err(|e| CallError::Failed(format!("{} cannot be read: {e}", file.path)))?;
        for piece in bytes.chunks(PIECE) {
            client.send(FrameKind::Second, number, piece).await?;
        }
        client.send(FrameKind::SecondEnd, number, file.sha256.as_bytes()).await
    }
}
