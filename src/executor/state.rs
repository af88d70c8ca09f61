//! What is known of each host during a play, and of the whole run.

use super::event::Counts;
use crate::value::Map;
use indexmap::{IndexMap, IndexSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub(super) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

/// Whether a host still takes part in the play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Active = 0,
    Failed = 1,
    Unreachable = 2,
    /// `meta: end_host` and its kin.
    Ended = 3,
}

/// A host in a play.
#[derive(Debug)]
pub struct HostState {
    pub name: Arc<str>,
    phase: AtomicU8,
    /// Set by `meta: end_role`, with the id of the role that ends.
    pub end_role: Mutex<Option<usize>>,
    /// How often `meta: clear_host_errors` has forgiven this host.
    pub forgiven: AtomicUsize,
    /// It failed where neither `rescue` nor `always` was to come: `max_fail_percentage` counts it.
    pub lost: AtomicBool,
    /// Failures that were handed to it after the first, before the next section of its block began: each takes
    /// one of these sections (`rescue`, `always`) from it.
    again: AtomicUsize,
    /// It failed and has left the block where that was.
    left: AtomicBool,
    /// It failed, and a section of the block where that was is to come.
    pub waits: AtomicBool,
    /// While it waited for that, `meta: clear_host_errors` forgave it: behind the section it goes on.
    pub pardoned: AtomicBool,
    /// Behind the handler in which it failed: where its next flush begins.
    pub next_handler: AtomicUsize,
    /// The task named by `--start-at-task` is still to come.
    pub waiting_for_start: AtomicBool,
}

impl HostState {
    pub fn new(name: Arc<str>, waiting_for_start: bool) -> HostState {
        HostState {
            name,
            phase: AtomicU8::new(0),
            end_role: Mutex::default(),
            forgiven: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            again: AtomicUsize::new(0),
            left: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            pardoned: AtomicBool::new(false),
            next_handler: AtomicUsize::new(0),
            waiting_for_start: AtomicBool::new(waiting_for_start),
        }
    }
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Active,
            1 => Phase::Failed,
            2 => Phase::Unreachable,
            _ => Phase::Ended,
        }
    }
    pub fn set(&self, p: Phase) {
        self.phase.store(p as u8, Ordering::SeqCst);
        self.left.store(false, Ordering::SeqCst);
    }
    /// Another host's failure is this one's, too. Where it has failed already, that is how the section fails that it
    /// waits for.
    pub fn fail_with_others(&self) {
        match self.phase() {
            Phase::Active => self.set(Phase::Failed),
            Phase::Failed if !self.left.load(Ordering::SeqCst) => drop(self.again.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }
    /// Forgives its failure; one for which nothing is to come takes part again from the next play on.
    pub fn forgive(&self) {
        let failed = self.phase() == Phase::Failed;
        if failed && self.waits.load(Ordering::SeqCst) && !self.left.load(Ordering::SeqCst) {
            self.pardoned.store(true, Ordering::SeqCst);
        } else if failed || self.phase() == Phase::Unreachable {
            self.set(Phase::Ended);
        }
        self.forgiven.fetch_add(1, Ordering::SeqCst);
        self.lost.store(false, Ordering::SeqCst);
    }
    /// Whether the section that follows has failed for this host before it began.
    pub fn section_failed(&self) -> bool {
        self.again.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }
    /// A block, or what was included, is over for this host.
    pub fn leave(&self) {
        self.again.store(0, Ordering::SeqCst);
        self.left.store(self.phase() == Phase::Failed, Ordering::SeqCst);
    }
    pub fn is_active(&self) -> bool {
        self.phase() == Phase::Active
    }
}

pub type Host = Arc<HostState>;

/// What lasts over all plays of a run.
#[derive(Debug, Default)]
pub struct RunState {
    pub counts: Mutex<IndexMap<Arc<str>, Counts>>,
    /// Hosts that failed or could not be reached: later plays leave them out.
    pub failed: Mutex<IndexSet<Arc<str>>>,
    pub unreachable: Mutex<IndexSet<Arc<str>>>,
    /// `set_stats`: by host, and `_run` for the whole.
    pub custom: Mutex<IndexMap<String, Map>>,
    /// True until the task named by `--start-at-task` is met.
    pub waiting_for_start: AtomicBool,
    /// `max_fail_percentage` has ended the run: with ansible-core a failure, whoever could not be reached.
    pub stopped: AtomicBool,
    /// The operator chose to go on without asking (`--step`).
    pub step_all: AtomicBool,
    /// Held while a debugger session asks.
    pub debugging: Mutex<()>,
    /// What was sent before its turn, by host.
    pub ahead: super::ahead::Queues,
}

impl RunState {
    pub fn count(&self, host: &Arc<str>, f: impl FnOnce(&mut Counts)) {
        f(lock(&self.counts).entry(host.clone()).or_default());
    }
    pub fn is_out(&self, host: &Arc<str>) -> bool {
        lock(&self.failed).contains(host) || lock(&self.unreachable).contains(host)
    }
}
