//! Tests (`x is …`): Jinja2's and ansible.builtin's.

mod basic;
mod files;
mod results;
mod versions;

use super::filters::py::Res;
use super::filters::{Args, Signature, named};
use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};
use std::sync::{Arc, LazyLock};

/// One test: its names, its parameters as [`Signature::parse`] reads them, its function.
pub struct Test {
    pub names: &'static [&'static str],
    pub params: &'static str,
    pub func: fn(&mut State, &Args) -> Res<bool>,
    /// The function wants undefined arguments itself.
    pub undefined: bool,
}

/// A line of a table.
pub const fn t(names: &'static [&'static str], params: &'static str, func: fn(&mut State, &Args) -> Res<bool>) -> Test {
    Test { names, params, func, undefined: false }
}

const FAMILIES: &[&[Test]] = &[basic::TESTS, files::TESTS, results::TESTS, versions::TESTS];
const PREFIXES: &[&str] = &["ansible.builtin", "ansible.legacy"];
/// A test of ansible-core's own suite that has a meaning here too; it has no short name.
static TAGGED: Test = t(&["ansible._protomatter.tagged_with"], "value, tag_name", |_, a| {
    let name = a.text("tag_name")?;
    Ok(super::filters::tagging::names(a.val("value")).contains(&name.as_str()))
});

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = vec![];
    for name in FAMILIES.iter().copied().flatten().flat_map(|t| t.names) {
        names.push(name.to_string());
        names.extend(PREFIXES.iter().map(|p| format!("{p}.{name}")));
    }
    names.push(TAGGED.names[0].to_string());
    names.sort();
    names
});

/// Every name a test answers to, sorted; full names with their collection among them.
pub fn test_names() -> &'static [String] {
    &NAMES
}

/// True if there is such a test.
pub fn is_test(name: &str) -> bool {
    NAMES.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
}

/// The parameters of a test by its short name, as its declaration has them.
pub fn parameters(name: &str) -> Option<&'static str> {
    FAMILIES.iter().copied().flatten().find(|t| t.names.contains(&name)).map(|t| t.params)
}

/// Ansible's words for a test that does not exist.
pub fn unknown_test(name: &str) -> String {
    format!("No test named '{name}'.")
}

/// Puts every test into the environment, replacing the engine's own.
pub fn register(env: &mut Environment<'static>) {
    for name in ["safe", "startingwith", "endingwith", "int"] {
        env.remove_test(name);
    }
    env.add_test(TAGGED.names[0], |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<bool, Error> {
        let sig = Arc::new(Signature::parse(TAGGED.params));
        call(state, &TAGGED, "tagged_with", &sig, args.into_values())
    });
    for test in FAMILIES.iter().copied().flatten() {
        let sig = Arc::new(Signature::parse(test.params));
        for name in test.names {
            let full = PREFIXES.iter().map(|p| format!("{p}.{name}"));
            for spelling in std::iter::once(name.to_string()).chain(full) {
                let sig = sig.clone();
                env.add_test(spelling, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<bool, Error> {
                    call(state, test, name, &sig, args.into_values())
                        .map_err(|e| named(e, &format!("The test plugin 'ansible.builtin.{name}' failed")))
                });
            }
        }
    }
}

fn call(state: &mut State, test: &Test, name: &'static str, sig: &Arc<Signature>, args: Vec<Value>) -> Res<bool> {
    if name == "vault_encrypted" && args.first().is_some_and(|v| crate::template::convert::envelope(v).is_some()) {
        return Ok(true);
    }
    let args = Args::bind(name, sig, &args)?;
    args.check_broken()?;
    super::impure::called(name);
    if !test.undefined
        && let Some(v) = args.undefined()
    {
        super::filters::py::check(v)?;
    }
    (test.func)(state, &args)
}
