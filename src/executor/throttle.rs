//! `throttle` where each host goes through the play by itself: how many hosts are at a task now.

use super::state::lock;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex};

/// Counts the hosts at each task.
#[derive(Debug, Default)]
pub struct Throttle {
    busy: Mutex<HashMap<usize, usize>>,
    freed: Condvar,
}

/// A host's place at a task; given back when dropped.
#[derive(Debug)]
pub struct Slot<'a> {
    of: &'a Throttle,
    task: usize,
}

impl Throttle {
    /// Waits until fewer than `limit` hosts are at the task of this number, and takes a place there.
    pub fn enter(&self, task: usize, limit: usize) -> Slot<'_> {
        let full = |m: &mut HashMap<usize, usize>| m.get(&task).is_some_and(|n| *n >= limit);
        let mut busy = self.freed.wait_while(lock(&self.busy), full).unwrap_or_else(|e| e.into_inner());
        *busy.entry(task).or_default() += 1;
        Slot { of: self, task }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(n) = lock(&self.of.busy).get_mut(&self.task) {
            *n = n.saturating_sub(1);
        }
        self.of.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_the_limit_at_once() {
        let (t, now, most) = (Throttle::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    let _slot = t.enter(7, 3);
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(lock(&t.busy).get(&7), Some(&0));
    }
}
