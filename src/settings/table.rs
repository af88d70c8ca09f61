//! The tables of settings and of plug-ins' options.

use std::sync::LazyLock;

/// A setting, or an option of a plug-in.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    pub name: String,
    /// As ansible-core names it: `boolean` or `bool`, `integer` or `int`, `float`, `string`, `list`, `dict`, `path`, `pathspec`, `pathlist`, `tmppath` …
    pub ty: String,
    pub default: serde_json::Value,
    /// Environment variables; of several that are set, the last counts.
    pub env: Vec<String>,
    /// Section and key in ansible.cfg.
    pub ini: Vec<(String, String)>,
    pub vars: Vec<String>,
    pub choices: Vec<String>,
    pub required: bool,
    /// What it does here; empty if it has no effect.
    pub about: String,
}

/// A plug-in with its options.
#[derive(Clone, Debug, Default)]
pub struct Plugin {
    pub kind: String,
    pub name: String,
    pub options: Vec<Setting>,
}

/// Kinds of plug-ins that have options.
pub const KINDS: [&str; 11] = [
    "become",
    "cache",
    "callback",
    "cliconf",
    "connection",
    "httpapi",
    "inventory",
    "lookup",
    "netconf",
    "shell",
    "vars",
];

fn words(s: &str) -> Vec<String> {
    s.split(',').filter(|w| !w.is_empty()).map(str::to_string).collect()
}

fn row(name: &str, ty: &str, rest: &[&str]) -> Setting {
    let at = |i: usize| rest.get(i).copied().unwrap_or_default();
    let place = |w: String| w.split_once('.').map(|(a, b)| (a.to_string(), b.to_string()));
    Setting {
        name: name.into(),
        ty: ty.into(),
        default: serde_json::from_str(at(0)).unwrap_or_default(),
        env: words(at(1)),
        ini: words(at(2)).into_iter().filter_map(place).collect(),
        vars: words(at(3)),
        choices: words(at(4)),
        ..Setting::default()
    }
}

static TABLE: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let lines = include_str!("table.tsv").lines().filter(|l| !l.starts_with('#'));
    lines
        .filter_map(|l| match l.split('\t').collect::<Vec<_>>().as_slice() {
            [name, ty, rest @ .., about] => Some(Setting { about: about.to_string(), ..row(name, ty, rest) }),
            _ => None,
        })
        .collect()
});

static PLUGINS: LazyLock<Vec<Plugin>> = LazyLock::new(|| {
    let mut out: Vec<Plugin> = vec![];
    for l in include_str!("plugins.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [kind, name, option, ty, rest @ .., required, about] = &*l.split('\t').collect::<Vec<_>>() else {
            continue;
        };
        if !out.iter().any(|p| p.kind == *kind && p.name == *name) {
            out.push(Plugin { kind: kind.to_string(), name: name.to_string(), options: vec![] });
        }
        if option.is_empty() {
            continue;
        }
        let required = !required.is_empty();
        let s = Setting { required, about: about.to_string(), ..row(option, ty, rest) };
        if let Some(p) = out.iter_mut().find(|p| p.kind == *kind && p.name == *name) {
            p.options.push(s);
        }
    }
    out
});

/// All settings, by name.
pub fn settings() -> &'static [Setting] {
    &TABLE
}

/// The setting of this name.
pub fn setting(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|s| s.name == name)
}

/// All plug-ins that are built in and have a table.
pub fn plugins() -> &'static [Plugin] {
    &PLUGINS
}

/// The built-in plug-in of this kind and name.
pub fn plugin(kind: &str, name: &str) -> Option<&'static Plugin> {
    let name = ["ansible.builtin.", "ansible.legacy."].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
    PLUGINS.iter().find(|p| p.kind == kind && p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole() {
        assert!(settings().len() > 200);
        for s in settings().iter().chain(plugins().iter().flat_map(|p| &p.options)) {
            assert!(!s.name.is_empty() && !s.ty.is_empty(), "{s:?}");
            assert!(!s.env.iter().chain(&s.vars).any(|w| w.contains(' ')), "{s:?}");
        }
        assert_eq!(setting("DEFAULT_FORKS").map(|s| s.default.clone()), Some(5.into()));
        assert!(plugin("cache", "ansible.builtin.memory").is_some());
    }
}
