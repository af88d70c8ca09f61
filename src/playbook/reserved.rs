//! Names that variables should not have: those of keywords and of the template language itself.

use super::loader::Loader;
use crate::diag::{Error, Span};
use crate::value::{Map, Value};
use crate::yaml::Node;

/// The names for which ansible-core 2.19 was observed to warn.
const RESERVED: &[&str] = &[
    "action",
    "always",
    "any_errors_fatal",
    "args",
    "async",
    "async_val",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "block",
    "changed_when",
    "check_mode",
    "collections",
    "connection",
    "cycler",
    "debugger",
    "delay",
    "delegate_facts",
    "delegate_to",
    "dict",
    "diff",
    "environment",
    "fact_path",
    "failed_when",
    "force_handlers",
    "gather_facts",
    "gather_timeout",
    "handlers",
    "hosts",
    "ignore_errors",
    "ignore_unreachable",
    "joiner",
    "lipsum",
    "local_action",
    "lookup",
    "loop",
    "loop_control",
    "loop_with",
    "max_fail_percentage",
    "module_defaults",
    "name",
    "namespace",
    "no_log",
    "notify",
    "now",
    "omit",
    "order",
    "poll",
    "port",
    "post_tasks",
    "pre_tasks",
    "q",
    "query",
    "range",
    "register",
    "remote_user",
    "rescue",
    "retries",
    "roles",
    "run_once",
    "serial",
    "strategy",
    "tags",
    "tasks",
    "throttle",
    "timeout",
    "undef",
    "until",
    "vars_files",
    "vars_prompt",
    "when",
    "with_",
];

/// The warning for a variable of this name at this place; `None` if the name is free.
pub fn reserved(name: &str, at: Span) -> Option<Error> {
    RESERVED
        .binary_search(&name)
        .is_ok()
        .then(|| Error::parse(format!("Found variable using reserved name '{name}'.")).at(at))
}

/// The warnings for the names of variables as they are read from inventories and the command line; the place is that
/// of the value.
pub fn reserved_among(vars: &Map) -> impl Iterator<Item = Error> {
    let found = vars.iter().filter(|(k, _)| k.as_str().is_some_and(|k| RESERVED.binary_search(&k).is_ok()));
    found.map(|(k, v)| {
        let at = if let Value::Str(s) = v { s.origin } else { None };
        Error::parse(format!("Found variable using reserved name '{k}'.")).at(at)
    })
}

/// The warnings for the names of a mapping (or of a list of mappings).
pub fn reserved_in(node: &Node) -> Vec<Error> {
    let own = node.as_map().unwrap_or_default();
    let own = own.iter().filter_map(|(k, _)| reserved(k.as_str()?, k.span));
    own.chain(node.as_seq().unwrap_or_default().iter().flat_map(reserved_in)).collect()
}

impl Loader {
    /// The same for the `vars` of a task or block: of `tags` and `when` ansible-core says nothing there, since they
    /// are taken out; it does for what `includes` something.
    pub(crate) fn warn_reserved_of_task(&self, vars: Option<&Node>, includes: bool) {
        for (k, _) in vars.and_then(Node::as_map).unwrap_or_default() {
            let name = k.as_str().filter(|n| includes || !matches!(*n, "tags" | "when"));
            if let Some(w) = name.and_then(|n| reserved(n, k.span)) {
                self.warn(w);
            }
        }
    }
    /// Warns of the reserved names in a mapping of variables.
    pub(crate) fn warn_reserved(&self, vars: Option<&Node>) {
        for w in vars.map(reserved_in).unwrap_or_default() {
            self.warn(w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_found() {
        assert!(RESERVED.is_sorted());
        let span = Span::new(0, 0, 0);
        assert!(reserved("query", span).is_some() && reserved("queries", span).is_none());
    }
}
