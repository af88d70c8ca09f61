//! Several renderers at once: the one of the standard output and those that run besides it.

use crate::executor::{Event, Sink};
use std::sync::Arc;

/// Gives every event to all, in order.
pub struct Tee(pub Vec<Arc<dyn Sink>>);

impl Sink for Tee {
    fn tells_all(&self) -> bool {
        self.0.iter().any(|s| s.tells_all())
    }
    fn event(&self, e: Event) {
        let Some((last, before)) = self.0.split_last() else { return };
        for s in before {
            s.event(e.clone());
        }
        last.event(e);
    }
}
