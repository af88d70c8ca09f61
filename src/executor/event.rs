//! What happens in a run, as typed values; renderers turn them into text or JSON.

use crate::diag::{Error, Span};
use crate::playbook::Task;
use crate::value::{Map, Value};
use indexmap::IndexMap;
use std::sync::Arc;

/// What every event of a task tells of it.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    pub id: usize,
    /// The rendered name with its role, as `TASK [...]` shows it.
    pub label: String,
    /// The rendered name without the role; the action's name if it has none.
    pub name: String,
    /// The task has a name of its own.
    pub named: bool,
    pub action: String,
    pub role: Option<String>,
    pub span: Span,
    pub is_handler: bool,
    pub check: bool,
    pub no_log: bool,
    pub loops: bool,
    pub tags: Vec<String>,
    /// Arguments as written, for `display_args_to_stdout`.
    pub args: Map,
}

impl TaskInfo {
    /// True if the task includes others.
    pub fn includes(&self) -> bool {
        matches!(self.action.rsplit('.').next(), Some("include_tasks" | "include_role" | "include"))
    }
}

/// How a task ended on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    Changed,
    Skipped,
    Failed,
    Unreachable,
}

/// The host that does a task in place of another one.
#[derive(Clone, Debug)]
pub struct Delegate {
    pub host: String,
    /// Its address, where that is not its name.
    pub address: Option<String>,
    /// How it is reached: `local`, `ssh`.
    pub connection: &'static str,
    pub port: Option<u16>,
    pub user: Option<String>,
}

impl Delegate {
    /// A host that was not asked yet.
    pub fn named(host: String) -> Delegate {
        Delegate { host, address: None, connection: "local", port: None, user: None }
    }
    /// What stands at a task's `delegate_to`, as it is written.
    pub fn written(task: &Task) -> Option<Delegate> {
        let v = task.kw.delegate_to.as_ref().filter(|v| !v.is_null())?;
        Some(Delegate::named(v.to_str()))
    }
}

/// The result of a task (or one of its items) on a host.
#[derive(Clone, Debug)]
pub struct TaskResult {
    pub host: Arc<str>,
    /// The host that did the work, if delegated.
    pub delegated_to: Option<Delegate>,
    pub status: Status,
    /// A failure that does not stop the host (`ignore_errors`, `ignore_unreachable`).
    pub ignored: bool,
    /// Ansible's result keys.
    pub data: Map,
    /// The item's label within a loop.
    pub item: Option<String>,
    pub no_log: bool,
    /// Show the result whatever the verbosity (`debug`).
    pub verbose_always: bool,
    /// Diffs are wanted for this result.
    pub diff: bool,
    /// The result is a module's, not an action's of the controller.
    pub by_module: bool,
    /// Where an error of the task itself (undefined variable …) stands.
    pub error: Option<Error>,
}

impl TaskResult {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.data.get(key)
    }
    pub fn is_failed(&self) -> bool {
        self.status == Status::Failed
    }
}

/// A host's counts in the recap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ok: u32,
    pub changed: u32,
    pub unreachable: u32,
    pub failed: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The playbook file begins (shown from -vv).
    PlaybookStart {
        path: String,
        plays: usize,
        check: bool,
    },
    PlayStart {
        name: String,
        /// Where the play is written.
        span: Span,
        /// The play's `hosts`, rendered.
        pattern: String,
        hosts: Vec<Arc<str>>,
        check: bool,
        free: bool,
        /// Tasks of the play's first section, up to its first block.
        tasks: usize,
        /// Hosts of all batches.
        all: usize,
        /// Hosts of the batch that begins.
        batch: usize,
    },
    /// No host matches the play's pattern.
    NoHostsMatched,
    NoHostsRemaining,
    TaskStart(Arc<TaskInfo>),
    /// A host begins a task (free strategy shows the banner from it).
    HostStart {
        task: Arc<TaskInfo>,
        host: Arc<str>,
    },
    Item {
        task: Arc<TaskInfo>,
        result: Arc<TaskResult>,
    },
    Result {
        task: Arc<TaskInfo>,
        result: Arc<TaskResult>,
    },
    Retry {
        task: Arc<TaskInfo>,
        result: Arc<TaskResult>,
        left: i64,
        attempt: i64,
        item: Option<String>,
    },
    AsyncPoll {
        task: Arc<TaskInfo>,
        host: Arc<str>,
        jid: String,
        started: bool,
        left: i64,
    },
    /// A task with `async` and `poll` has ended.
    AsyncEnd {
        host: Arc<str>,
        jid: String,
        failed: bool,
    },
    Included {
        task: Arc<TaskInfo>,
        path: String,
        hosts: Vec<Arc<str>>,
        item: Option<String>,
    },
    /// A task notified a handler, which hears of it at the next flush.
    NotificationSaved {
        handler: String,
        host: Arc<str>,
    },
    Notified {
        handler: String,
        host: Arc<str>,
    },
    /// A message from a prompt, `pause` and their like: printed as it is.
    Display(String),
    /// A message for those who asked with `-v` for this much.
    Verbose {
        level: u8,
        text: String,
    },
    Warning(String),
    Deprecation(String),
    Error(Error),
    /// The end of a playbook file, with the counts of the run so far.
    Stats {
        /// The run ends here.
        last: bool,
        hosts: IndexMap<Arc<str>, Counts>,
        custom: IndexMap<String, Map>,
    },
}

/// Takes events, in order.
pub trait Sink: Send + Sync {
    fn event(&self, e: Event);
    /// Whether all keys of a result that is a success can be seen in what this makes of it.
    fn tells_all(&self) -> bool {
        true
    }
}
