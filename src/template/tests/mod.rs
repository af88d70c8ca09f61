//! Tests (`x is …`): Jinja2's and ansible.builtin's.

use minijinja::Environment;

/// Every test name that a template may use without a collection name.
pub const TEST_NAMES: &[&str] = &[];

/// Registers every test under its short name and its FQCN.
pub fn register(env: &mut Environment<'static>) {
    let _ = env;
}
