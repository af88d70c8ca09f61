//! Filters: Jinja2's, ansible.builtin's and the few of collections that Dirigo carries.

use minijinja::Environment;

/// Every filter name that a template may use without a collection name.
pub const FILTER_NAMES: &[&str] = &[];

/// Registers every filter under its short name and its FQCN.
pub fn register(env: &mut Environment<'static>) {
    let _ = env;
}
