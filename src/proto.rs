//! The protocol between controller and agent.
//!
//! A frame is `u32` length (big endian, of what follows), one byte kind, `u64` id, payload. Requests
//! and responses are JSON; file content travels as raw [`FrameKind::Data`] frames under the id of its
//! request. Several requests may be under way on one channel.

mod frame;

pub use frame::{Frame, FrameBuf, FrameError, START, Whole, encode, start};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The largest frame either side accepts, in bytes; content is cut in chunks of [`CHUNK`].
pub const MAX_FRAME: u32 = 64 << 20;
/// Size of a content chunk in bytes.
pub const CHUNK: usize = 256 << 10;
/// Content up to this size goes along with the request; larger content waits until the agent asks.
pub const INLINE: u64 = 64 << 10;

/// The key of a result that stands for a request which was not run, because the one before it failed.
pub const NOT_RUN: &str = "_dirigo_not_run";

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Agent → controller, once, at start: [`Hello`].
    Hello = 1,
    /// Controller → agent: [`Request`].
    Request = 2,
    /// Agent → controller: [`Response`].
    Response = 3,
    /// Either way: a chunk of content of the request with this id.
    Data = 4,
    /// Either way: the content of this id is complete; payload is its SHA-1 in hex.
    DataEnd = 5,
    /// Agent → controller: the module of this id wants the content announced in its request; payload
    /// is a `u64` (big endian): how many more bytes may be sent. It comes again as they are used up,
    /// so that a slow disk fills nobody's memory.
    WantData = 6,
    /// Controller → agent: stop the request of this id (kill its processes).
    Cancel = 7,
    /// Controller → agent: are you there? Answered by [`FrameKind::Pong`] at once, whatever modules do.
    Ping = 8,
    /// Agent → controller: the answer to a ping, with its id.
    Pong = 9,
    /// Agent → controller: the module of this id needs the checksum of its content before the content.
    WantSum = 10,
    /// Controller → agent: that checksum, SHA-1 in hex; or an exclamation mark and why there is none.
    Sum = 11,
    /// Controller → agent: a piece of the agent's second file, compressed by deflate; the id is the number of this
    /// upload, from 1.
    Second = 12,
    /// Controller → agent: that upload is complete; payload is the SHA-256 of the file in hex.
    SecondEnd = 13,
    /// Agent → controller: the request of this id needs the second file and it is not there; payload is a `u64` (big
    /// endian): the number of the last upload that ended here, 0 for none.
    WantSecond = 14,
    /// Agent → controller: the module of this id has the first bytes of its content already; payload is how many they
    /// are, a `u64` (big endian), and their SHA-1 in hex.
    WantRest = 15,
    /// Controller → agent: payload `1` if these are the first bytes indeed: then what is sent begins behind them.
    Rest = 16,
    /// Within the agent, to a worker: the request of this id comes next, and one that waits for its answer after it.
    More = 17,
}

impl FrameKind {
    pub fn from_byte(b: u8) -> Option<FrameKind> {
        use FrameKind::*;
        [
            Hello, Request, Response, Data, DataEnd, WantData, Cancel, Ping, Pong, WantSum, Sum, Second, SecondEnd,
            WantSecond, WantRest, Rest, More,
        ]
        .into_iter()
        .find(|k| *k as u8 == b)
    }
}

/// What the agent says first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    pub version: String,
    pub pid: u32,
    pub uid: u32,
    pub user: String,
    pub home: String,
    /// True if it has every module itself, so that it needs no second file.
    #[serde(default)]
    pub whole: bool,
    /// SHA-256 in hex of the files beside it, as their names say.
    #[serde(default)]
    pub files: Vec<String>,
}

/// One module to run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Request {
    /// Module name without collection, e.g. `copy`.
    pub module: String,
    /// Rendered arguments, validated again by the agent.
    pub args: Map<String, Json>,
    #[serde(default)]
    pub check: bool,
    #[serde(default)]
    pub diff: bool,
    /// Extra environment of the task (`environment:` keyword).
    #[serde(default)]
    pub env: Map<String, Json>,
    /// Size and SHA-1 of content that belongs to the request (copy, script, unarchive …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Set for `async` tasks: run detached, answer at once.
    #[serde(default, rename = "async", skip_serializing_if = "Option::is_none")]
    pub async_job: Option<AsyncJob>,
    /// Seconds after which the agent stops the module (`timeout:` keyword); 0 for none.
    #[serde(default)]
    pub timeout: u64,
    #[serde(default)]
    pub no_log: bool,
    /// Run only when the request of this id has been answered: the items of a loop go out as one stream
    /// and still run one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// With `after`: do not run unless that one succeeded; the answer is then [`NOT_RUN`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_ok: bool,
    /// A request with `if_ok` follows, perhaps after this one has been answered: its outcome is remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub followed: bool,
    /// Set for a module that is not built in: its file is the request's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<Foreign>>,
    /// Set for a module of the agent's second file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondFile>,
    /// What modules may need to know of the play: `verbosity`, `remote_tmp`, `ansible_facts` wanted …
    #[serde(default)]
    pub hints: Map<String, Json>,
}

/// The agent's second file, which runs the modules that the first has not.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct SecondFile {
    /// SHA-256 in hex; empty if there is a path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Where it lies already: for an agent that is the controller's own child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How the agent runs a module that it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// The module's name, for messages.
    pub name: String,
    /// Name of its file on the host.
    pub file: String,
    pub style: Style,
    pub interpreter: Interpreter,
    /// Arguments that the engine adds to the task's own (`_ansible_*`), in this order.
    pub extra: Map<String, Json>,
    /// Leave the module and its arguments on the host.
    pub keep: bool,
    /// Directory for temporary files, `~` not expanded.
    pub remote_tmp: String,
}

/// How a module that was sent gets its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Style {
    /// An archive for Python: JSON on standard input.
    Archive,
    /// JSON takes the place of a mark in the module's text.
    Inside,
    /// The first argument names a file of JSON.
    JsonFile,
    /// The first argument names a file of `key=value`.
    TextFile,
}

/// What runs a module that was sent.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub enum Interpreter {
    /// It is a program itself.
    None,
    /// A program and its first arguments.
    Words(Vec<String>),
    /// The first of these that the host has.
    Discover(Vec<String>),
}

/// Content announced with a request.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Content {
    pub size: u64,
    /// SHA-1 in hex; none if the content is large and has not been read yet: then it follows at the end of the
    /// content, or is told to who asks with `WantSum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// True if the data frames follow at once; otherwise the agent asks with `WantData`.
    pub inline: bool,
}

/// An asynchronous job: its id (as in `ansible_job_id`) and its limit in seconds.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct AsyncJob {
    pub jid: String,
    pub limit: u64,
    /// Directory of the job files, by default `~/.ansible_async`.
    pub dir: String,
}

/// A module's answer: Ansible's result keys (`changed`, `failed`, `msg`, `rc`, …).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Response {
    pub result: Map<String, Json>,
}

/// Bytes in lower-case hex, as checksums are written.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}
