//! What ansible.cfg, the environment and variables say: the settings by their documented names, with their
//! types, defaults and the places that they are read from.
//!
//! The names, types, defaults and places are those of
//! <https://docs.ansible.com/ansible/latest/reference_appendices/config.html>; the plug-ins' options those of
//! their documentation. The tables lie beside this file.

mod convert;
pub mod pydoc;
mod table;

pub use table::{KINDS, Plugin, Setting, plugin, plugins, setting, settings};

use crate::diag::Result;
use crate::value::Value;
use camino::Utf8PathBuf;
use std::sync::{Arc, RwLock};

/// A setting's value and where it comes from: `default`, `env: NAME`, `var: NAME` or the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub value: Value,
    pub origin: String,
}

/// The configuration file as it was read; the environment is asked when a setting is.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub file: Option<Utf8PathBuf>,
    /// Section, key, text.
    pub entries: Vec<(String, String, String)>,
}

static CURRENT: RwLock<Option<Arc<Settings>>> = RwLock::new(None);

/// Makes these the settings of the process.
pub fn install(s: Settings) {
    *CURRENT.write().unwrap_or_else(|e| e.into_inner()) = Some(Arc::new(s));
}

/// The settings of the process: without a file until [`install`] gave one.
pub fn current() -> Arc<Settings> {
    CURRENT.read().unwrap_or_else(|e| e.into_inner()).clone().unwrap_or_default()
}

impl Settings {
    /// The setting's value: from a variable, the environment, the file or its default, in this order.
    /// An error if the text does not fit the setting's type or choices.
    pub fn find(&self, s: &Setting, variable: &dyn Fn(&str) -> Option<Value>) -> Result<Found> {
        // of several names the last one set counts
        for name in s.vars.iter().rev() {
            if let Some(v) = variable(name) {
                let value = convert::to_type(s, v, None)?;
                return Ok(Found { value, origin: format!("var: {name}") });
            }
        }
        for name in s.env.iter().rev() {
            if let Ok(text) = std::env::var(name) {
                // an empty variable says nothing of a number
                if text.is_empty() && matches!(s.ty.as_str(), "integer" | "int" | "float") {
                    continue;
                }
                let value = convert::to_type(s, Value::plain(text), None)?;
                return Ok(Found { value, origin: format!("env: {name}") });
            }
        }
        for (section, key) in s.ini.iter().rev() {
            if let Some((_, _, text)) = self.entries.iter().rev().find(|(a, b, _)| a == section && b == key) {
                let value = convert::to_type(s, Value::plain(text.as_str()), self.file.as_deref())?;
                let origin = self.file.as_ref().map(ToString::to_string).unwrap_or_default();
                return Ok(Found { value, origin });
            }
        }
        let value = match s.default.as_str() {
            Some(text) if text.contains(HOME) => Value::plain(text.replace(HOME, &self.home()?)),
            _ => Value::from_json(s.default.clone()),
        };
        Ok(Found { value: convert::to_type(s, value, None)?, origin: "default".into() })
    }

    /// ANSIBLE_HOME, under which the defaults of most paths lie.
    fn home(&self) -> Result<String> {
        match setting("ANSIBLE_HOME") {
            Some(s) => Ok(self.find(s, &|_| None)?.value.to_str()),
            None => Ok(crate::modules::expand_path("~/.ansible")),
        }
    }

    /// A setting by its name, without variables. None if there is no setting of this name.
    pub fn get(&self, name: &str) -> Option<Result<Found>> {
        setting(name).map(|s| self.find(s, &|_| None))
    }
}

/// Seconds between looks at a background job, where neither the task nor the command line says.
pub fn poll_interval() -> i64 {
    match current().get("DEFAULT_POLL_INTERVAL").and_then(|f| f.ok()).map(|f| f.value) {
        Some(Value::Int(n)) => i64::try_from(n).unwrap_or(15),
        _ => 15,
    }
}

/// Stands for ANSIBLE_HOME in defaults.
pub(crate) const HOME: &str = "${ANSIBLE_HOME}";

#[cfg(test)]
mod tests {
    use super::*;

    fn with(entries: &[(&str, &str, &str)]) -> Settings {
        let own = |s: &&str| s.to_string();
        Settings {
            file: Some("/etc/x/ansible.cfg".into()),
            entries: entries.iter().map(|(a, b, c)| (own(a), own(b), own(c))).collect(),
        }
    }

    #[test]
    fn precedence_and_types() {
        let s = with(&[("defaults", "forks", "9"), ("defaults", "roles_path", "r:/a")]);
        let get = |n: &str| s.get(n).and_then(|f| f.ok()).map(|f| (f.value.repr(), f.origin));
        assert_eq!(get("DEFAULT_FORKS"), Some(("9".into(), "/etc/x/ansible.cfg".into())));
        assert_eq!(get("DEFAULT_ROLES_PATH").map(|f| f.0), Some("['/etc/x/r', '/a']".into()));
        assert_eq!(get("DEFAULT_GATHERING"), Some(("'implicit'".into(), "default".into())));
        assert_eq!(get("NOPE"), None);
        let port = plugin("connection", "ssh").and_then(|p| p.options.iter().find(|o| o.name == "port").cloned());
        let found = port.map(|p| s.find(&p, &|n| (n == "ansible_port").then(|| Value::plain("22"))));
        assert_eq!(
            found.and_then(|f| f.ok()),
            Some(Found { value: Value::Int(22), origin: "var: ansible_port".into() })
        );
        assert!(with(&[("defaults", "forks", "many")]).get("DEFAULT_FORKS").is_some_and(|f| f.is_err()));
        assert!(with(&[("defaults", "gathering", "x")]).get("DEFAULT_GATHERING").is_some_and(|f| f.is_err()));
    }
}
