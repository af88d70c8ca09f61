//! Which tasks run: `--tags`, `--skip-tags`; and the listings `--list-tasks`, `--list-tags`.

use crate::playbook::{Item, Play, Task};
use std::collections::BTreeSet;

/// The choice that `--tags` and `--skip-tags` make.
#[derive(Clone, Debug)]
pub struct TagFilter {
    only: Vec<String>,
    skip: Vec<String>,
}

impl TagFilter {
    pub fn new(only: &[String], skip: &[String]) -> TagFilter {
        let split = |l: &[String]| {
            l.iter()
                .flat_map(|s| s.split(','))
                .map(|s| s.trim().to_string())
                .filter(|s| !s.is_empty())
                .collect::<Vec<_>>()
        };
        let mut only = split(only);
        if only.is_empty() {
            only.push("all".into());
        }
        TagFilter { only, skip: split(skip) }
    }

    /// Whether a task with these tags runs.
    pub fn selects(&self, tags: &[String]) -> bool {
        let untagged = tags.is_empty();
        let has = |n: &str| tags.iter().any(|t| t == n) || (untagged && n == "untagged");
        let only = |n: &str| self.only.iter().any(|t| t == n);
        let skip = |n: &str| self.skip.iter().any(|t| t == n);
        let common = |l: &[String]| l.iter().any(|t| has(t));
        let never = has("never");
        let run =
            has("always") || (only("all") && !never) || common(&self.only) || (only("tagged") && !untagged && !never);
        if !run || self.skip.is_empty() {
            return run;
        }
        let left_out = if skip("all") {
            !has("always") || skip("always")
        } else {
            common(&self.skip) || (skip("tagged") && !untagged)
        };
        !left_out
    }
}

/// A play's tasks for the listings.
#[derive(Debug, Default)]
pub struct Listing {
    /// Label and tags of each task that would run.
    pub tasks: Vec<(String, Vec<String>)>,
    pub tags: BTreeSet<String>,
}

/// The tasks of a play that a filter selects. `render` gives a task's tags.
pub fn list_play(play: &Play, filter: &TagFilter, render: &dyn Fn(&Task) -> Vec<String>) -> Listing {
    let mut l = Listing::default();
    for part in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
        walk(part, filter, render, &mut l);
    }
    l
}

fn walk(items: &[Item], filter: &TagFilter, render: &dyn Fn(&Task) -> Vec<String>, l: &mut Listing) {
    for i in items {
        match i {
            Item::Task(t) => add(t, filter, render, l),
            // what may come of a failure is not listed, nor is `always`
            Item::Block(b) => walk(&b.block, filter, render, l),
            Item::RoleEnd(_) => {}
        }
    }
}

fn add(t: &Task, filter: &TagFilter, render: &dyn Fn(&Task) -> Vec<String>, l: &mut Listing) {
    let tags: BTreeSet<String> = render(t).into_iter().collect();
    let tags: Vec<String> = tags.into_iter().collect();
    l.tags.extend(tags.iter().cloned());
    if !filter.selects(&tags) {
        return;
    }
    // without a name the action stands alone
    let label = if t.name.is_some() { t.raw_label() } else { t.action.clone() };
    l.tasks.push((label, tags));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sel(only: &[&str], skip: &[&str], tags: &[&str]) -> bool {
        let own = |l: &[&str]| l.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        TagFilter::new(&own(only), &own(skip)).selects(&own(tags))
    }

    #[test]
    fn tags() {
        assert!(sel(&[], &[], &[]));
        assert!(!sel(&[], &[], &["never"]));
        assert!(sel(&["never"], &[], &["never", "x"]));
        assert!(sel(&["x"], &[], &["never", "x"]));
        assert!(sel(&["a,b"], &[], &["b"]));
        assert!(!sel(&["a"], &[], &[]));
        assert!(sel(&["a"], &[], &["always"]));
        assert!(sel(&["untagged"], &[], &[]));
        assert!(!sel(&["tagged"], &[], &[]));
        assert!(sel(&["tagged"], &[], &["q"]));
        assert!(!sel(&[], &["q"], &["q"]));
        assert!(!sel(&[], &["always"], &["always"]));
        assert!(sel(&[], &["all"], &["always"]));
        assert!(!sel(&[], &["untagged"], &[]));
    }
}
