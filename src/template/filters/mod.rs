//! Filters: Jinja2's own, ansible.builtin's, the ipaddr family of ansible.utils and json_query.
//!
//! Each family is a file with a table of `Filter` lines: name, parameters, function. Arguments are
//! bound as Python binds them. As in ansible-core 2.19 an undefined argument makes the result
//! undefined (so that a later `default` still helps) unless the filter says it takes such values.

mod args;
mod cidr;
mod combine;
mod comment;
pub mod cryptf;
mod dicts;
mod digest;
mod escape;
mod eui;
mod hostnet;
mod html;
mod ipaddr;
mod ipcalc;
mod jmes;
mod json;
mod lists;
mod mapping;
mod numbers;
mod paths;
pub mod py;
pub mod pyfmt;
mod random;
mod regex;
pub mod regexlib;
mod serial;
mod sets;
mod sorting;
mod strings;
#[cfg(test)]
mod table;
pub mod tagging;
pub mod time;
mod units;
pub mod urls;
mod vaulting;
mod wrap;

pub use args::{Args, Signature};
pub use json::{JsonStyle, dumps, loads};
pub use paths::normpath;
pub use pyfmt::percent;
pub use sorting::Group;
pub use strings::capitalize;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use py::Res;
use std::sync::{Arc, LazyLock};

/// One filter (or test): its name, its parameters as [`Signature::parse`] reads them, its function.
pub struct Filter {
    pub name: &'static str,
    pub params: &'static str,
    pub func: fn(&mut State, &Args) -> Res,
    /// The function wants undefined arguments itself.
    pub undefined: bool,
}

/// A line of a table.
pub const fn f(name: &'static str, params: &'static str, func: fn(&mut State, &Args) -> Res) -> Filter {
    Filter { name, params, func, undefined: false }
}

/// A line of a table for a filter that takes undefined values.
pub const fn fu(name: &'static str, params: &'static str, func: fn(&mut State, &Args) -> Res) -> Filter {
    Filter { name, params, func, undefined: true }
}

/// The families of ansible.builtin (Jinja2's own among them).
const BUILTIN: &[&[Filter]] = &[
    strings::FILTERS,
    escape::FILTERS,
    html::FILTERS,
    wrap::FILTERS,
    numbers::FILTERS,
    units::FILTERS,
    lists::FILTERS,
    sorting::FILTERS,
    mapping::FILTERS,
    sets::FILTERS,
    dicts::FILTERS,
    combine::FILTERS,
    comment::FILTERS,
    serial::FILTERS,
    regex::FILTERS,
    paths::FILTERS,
    digest::FILTERS,
    cryptf::FILTERS,
    vaulting::FILTERS,
    random::FILTERS,
    time::FILTERS,
    urls::FILTERS,
];

/// Tests that old playbooks use as filters (`result | succeeded`).
const TEST_FILTERS: &[&str] = &[
    "succeeded",
    "success",
    "successful",
    "failed",
    "failure",
    "changed",
    "change",
    "skipped",
    "skip",
    "started",
    "finished",
    "version_compare",
    "version",
    "match",
    "search",
];

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = vec![];
    let mut add = |name: &str, prefixes: &[&str]| {
        names.push(name.to_string());
        names.extend(prefixes.iter().map(|p| format!("{p}.{name}")));
    };
    for filter in BUILTIN.iter().copied().flatten() {
        add(filter.name, &["ansible.builtin", "ansible.legacy"]);
    }
    for filter in NETWORK.iter().copied().flatten() {
        add(filter.name, NETWORK_PREFIXES);
    }
    for filter in jmes::FILTERS {
        add(filter.name, &["community.general"]);
    }
    for name in TEST_FILTERS {
        add(name, &[]);
    }
    names.extend(tagging::FILTERS.iter().map(|f| format!("{}.{}", tagging::HOME, f.name)));
    names.sort();
    names.dedup();
    names
});

const NETWORK: &[&[Filter]] = &[ipaddr::FILTERS, hostnet::FILTERS, cidr::FILTERS, eui::FILTERS];
const NETWORK_PREFIXES: &[&str] = &["ansible.utils", "ansible.netcommon"];

/// Every name a filter answers to, sorted; full names with their collection among them.
pub fn filter_names() -> &'static [String] {
    &NAMES
}

/// The parameters of a filter by its short name, as its declaration has them.
pub fn parameters(name: &str) -> Option<&'static str> {
    let all = BUILTIN.iter().chain(NETWORK).copied().flatten().chain(jmes::FILTERS);
    all.into_iter().find(|f| f.name == name).map(|f| f.params)
}

/// Ansible's words for a filter that does not exist.
pub fn unknown_filter(name: &str) -> String {
    format!("No filter named '{name}'.")
}

/// Puts every filter into the environment, replacing the engine's own.
pub fn register(env: &mut Environment<'static>) {
    for filter in BUILTIN.iter().copied().flatten() {
        add(env, filter, &["ansible.builtin", "ansible.legacy"]);
    }
    for filter in NETWORK.iter().copied().flatten() {
        add(env, filter, NETWORK_PREFIXES);
    }
    for filter in jmes::FILTERS {
        add(env, filter, &["community.general"]);
    }
    for filter in tagging::FILTERS {
        add_as(env, filter, format!("{}.{}", tagging::HOME, filter.name), tagging::HOME);
    }
    for name in TEST_FILTERS {
        env.add_filter(*name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            state.perform_test(name, &args.into_values()).map(Value::from)
        });
    }
    // of the engine, but of neither Jinja2 nor Ansible
    for name in ["lines", "chain"] {
        env.remove_filter(name);
    }
}

fn add(env: &mut Environment<'static>, filter: &'static Filter, prefixes: &[&'static str]) {
    let home = prefixes.first().copied().unwrap_or_default();
    for name in std::iter::once(filter.name.to_string()).chain(prefixes.iter().map(|p| format!("{p}.{}", filter.name)))
    {
        add_as(env, filter, name, home);
    }
}

fn add_as(env: &mut Environment<'static>, filter: &'static Filter, name: String, home: &'static str) {
    let sig = Arc::new(Signature::parse(filter.params));
    env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
        call(state, filter, &sig, args.into_values())
            .map_err(|e| named(e, &format!("The filter plugin '{home}.{}' failed", filter.name)))
    });
}

fn call(state: &mut State, filter: &'static Filter, sig: &Arc<Signature>, mut args: Vec<Value>) -> Res {
    if matches!(filter.name, "unvault" | "to_yaml" | "to_nice_yaml")
        && let Some(first) = args.first_mut()
        && let Some(vault) = crate::template::convert::envelope(first)
    {
        // these work on the sealed text
        *first = crate::template::tags::text_of(&vault);
    }
    let args = Args::bind(filter.name, sig, &args)?;
    args.check_broken()?;
    crate::template::impure::called(filter.name);
    if !filter.undefined
        && let Some(v) = args.undefined()
    {
        return Ok(v.clone());
    }
    (filter.func)(state, &args)
}

/// True for an error that names the plugin it comes from.
pub fn names_plugin(message: &str) -> bool {
    ["The filter plugin '", "The test plugin '", "The lookup plugin '"].iter().any(|p| message.starts_with(p))
}

/// Puts the plugin's name before an error, unless it is an undefined variable or has one already.
pub fn named(e: Error, plugin: &str) -> Error {
    match e.kind() {
        ErrorKind::UndefinedError | ErrorKind::OutOfFuel => e,
        _ if e.detail().is_some_and(names_plugin) => e,
        _ if crate::template::convert::error_kind(&e) == crate::diag::Kind::Vault => e,
        kind => {
            let words = e.detail().map(str::to_string).unwrap_or_else(|| kind.to_string());
            let new = Error::new(kind, format!("{plugin}: {words}"));
            match std::error::Error::source(&e) {
                // an error of another room travels inside
                Some(_) => new.with_source(e),
                None => new,
            }
        }
    }
}

/// True if there is such a filter.
pub fn is_filter(name: &str) -> bool {
    NAMES.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
}
