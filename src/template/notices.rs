//! Warnings and deprecations that arise while a task is evaluated: they belong to its result.

use super::scope::Notice;
use std::cell::RefCell;

/// A notice that was kept, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub deprecation: bool,
    pub text: String,
}

thread_local! {
    /// What arose on this thread since somebody began to hold it.
    static HELD: RefCell<Option<Vec<Kept>>> = const { RefCell::new(None) };
}

/// Runs `f` and answers what arose meanwhile, each text once.
pub fn hold<T>(f: impl FnOnce() -> T) -> (T, Vec<Kept>) {
    let before = HELD.replace(Some(vec![]));
    let out = f();
    let kept = HELD.replace(before).unwrap_or_default();
    (out, kept)
}

/// Keeps a notice; false if nobody holds them.
pub fn keep(n: Notice<'_>) -> bool {
    let kept = match n {
        Notice::Warning(t) => Kept { deprecation: false, text: t.into() },
        Notice::Deprecation(t) => Kept { deprecation: true, text: t.into() },
    };
    HELD.with_borrow_mut(|held| match held {
        Some(all) => {
            if !all.contains(&kept) {
                all.push(kept);
            }
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_within() {
        assert!(!keep(Notice::Warning("lost")));
        let (inner, outer) = hold(|| {
            keep(Notice::Warning("a"));
            keep(Notice::Warning("a"));
            hold(|| keep(Notice::Deprecation("b"))).1
        });
        assert_eq!(outer, [Kept { deprecation: false, text: "a".into() }]);
        assert_eq!(inner, [Kept { deprecation: true, text: "b".into() }]);
    }
}
