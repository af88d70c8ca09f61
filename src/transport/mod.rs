//! Ways to a host: OpenSSH masters, local processes, become, and the controller's side of the agent.
//!
//! [`Pool`] is the door: it takes a request for a host (and the user to become) and answers with the
//! agent's response. Behind it, one [`client`] per host and user speaks frames over a [`channel`], which is
//! either a local process or a session of an OpenSSH master ([`ssh`]); [`bootstrap`] brings the agent there
//! and starts it, through `sudo`, `su` or `doas` ([`escalation`]) where another user is wanted. Connections
//! stay open for the life of the pool; masters stay longer, as ControlPersist says.

mod askpass;
mod bootstrap;
mod bound;
mod channel;
mod client;
#[cfg(test)]
mod client_tests;
mod content;
mod escalation;
mod locate;
mod params;
mod pool;
mod raw;
mod second;
mod ssh;

pub use channel::{Channel, Exit};
pub use locate::hidden_commands;
pub use params::{Become, ConnParams, Connection, Method, Secret};
pub use pool::{Payload, Pool, PoolOptions, simulate};
pub use raw::RawOutput;

/// The key of a result for the SHA-1 of the content that came before it: computed on this side, equal to what the agent
/// says it sent. Not there if no content came.
pub const SENT_SUM: &str = "_dirigo_sent_sha1";

/// Why a call has no answer of the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The host cannot be reached, or was lost in the middle of the call.
    #[error("{0}")]
    Unreachable(String),
    /// The host was reached, but the module could not be run: wrong become password, no place for the
    /// agent, an agent that was killed.
    #[error("{0}")]
    Failed(String),
    /// The request's own `timeout` passed.
    #[error("Timed out after {0} second(s).")]
    Timeout(u64),
}

impl CallError {
    /// In Ansible's words for connections that do not come about.
    fn ssh(detail: impl std::fmt::Display) -> CallError {
        CallError::Unreachable(format!("Failed to connect to the host via ssh: {detail}"))
    }
}
