//! Runs plays. A play's items are walked once, with all hosts of a batch in step (or, with the free
//! strategy, once for each host): [`walk`] goes over blocks and tasks, [`task`] does one task on one host,
//! [`handlers`] and [`mod@include`] what their names say. What happens is told as [`Event`]s.

mod ahead;
mod attempt;
mod conditions;
mod connection;
mod debugger;
mod defaults;
mod event;
mod foreign;
mod handlers;
mod include;
mod job;
mod looping;
mod meta;
mod options;
mod play;
mod prompt;
mod resolve;
mod results;
mod runner;
mod select;
mod state;
mod task;
mod throttle;
mod walk;

pub use event::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
pub use options::{Defaults, Options, SendAhead};
pub use play::heading;
pub use runner::Runner;
pub use select::{Listing, TagFilter, list_play};
