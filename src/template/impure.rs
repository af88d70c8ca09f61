//! Whether rendering looked at anything but variables.
//!
//! A template that reads a file, the clock, a command or chance may answer otherwise the next time. Work that is
//! rendered before its turn must not do so: whoever renders ahead compares [`count`] before and after.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Filters, tests and globals whose answer does not follow from their arguments alone.
const NAMES: &[&str] = &[
    "directory",
    "exists",
    "file",
    "fileglob",
    "is_dir",
    "is_file",
    "is_link",
    "is_mount",
    "is_same_file",
    "link",
    "link_exists",
    "lipsum",
    "mount",
    "now",
    "password_hash",
    "random",
    "random_mac",
    "realpath",
    "same_file",
    "shuffle",
    "strftime",
    "vault",
    "vaulted_file",
];

/// Lookups that work on their arguments and on variables only.
const PURE_LOOKUPS: &[&str] = &[
    "cartesian",
    "dict",
    "flattened",
    "indexed_items",
    "inventory_hostnames",
    "items",
    "list",
    "nested",
    "sequence",
    "subelements",
    "together",
    "varnames",
    "vars",
];

/// How often this thread has asked for something that may change, since it began.
pub fn count() -> u64 {
    COUNT.get()
}

/// A filter, test or global of this name is called.
pub(super) fn called(name: &str) {
    if NAMES.binary_search(&name).is_ok() {
        COUNT.set(COUNT.get() + 1);
    }
}

/// A lookup of this name (without collection) is called.
pub(super) fn looked_up(name: &str) {
    if PURE_LOOKUPS.binary_search(&name).is_err() {
        COUNT.set(COUNT.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Engine, EngineOptions, FileScope, MapVars, Scope};
    use crate::value::Value;
    use std::sync::Arc;

    #[test]
    fn lists_are_sorted() {
        assert!(NAMES.is_sorted() && PURE_LOOKUPS.is_sorted());
    }

    #[test]
    fn what_may_change_is_counted() {
        let engine = Engine::new(EngineOptions::default());
        let vars = Value::from_json(serde_json::json!({"a": [1, 2], "hidden": "{{ now() }}"})).into_trusted();
        let scope = Scope::new(Arc::new(MapVars::from(vars)), Arc::new(FileScope::default()));
        let counted = |text: &str| {
            let before = count();
            engine.render(&Value::trusted(text, None), &scope).expect(text);
            count() - before
        };
        for pure in
            ["{{ a | sum }}", "{{ lookup('dict', {'x': a}) }}", "{{ a is contains 1 }}", "{{ 'x' | hash('sha1') }}"]
        {
            assert_eq!(counted(pure), 0, "{pure}");
        }
        for impure in [
            "{{ now() }}",
            "{{ hidden }}",
            "{{ '/etc' is directory }}",
            "{{ a | random }}",
            "{{ lookup('env', 'HOME') }}",
            "{{ ['/x'] | select('ansible.builtin.exists') | list }}",
            "{{ q('pipe', 'true') }}",
        ] {
            assert!(counted(impure) > 0, "{impure}");
        }
    }
}
