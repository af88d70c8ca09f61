//! Where modules that are not built in come from, and how they run: what the configuration says of it.

use super::config::Config;
use crate::actions::{self, foreign::Settings};
use crate::diag::{Error, Result};
use crate::modules;
use crate::playbook::{Library, LibraryOptions};
use camino::Utf8PathBuf;

/// Events that can bring a traceback.
const TRACEBACKS: [&str; 4] = ["error", "warning", "deprecated", "deprecated_value"];

/// The settings of such modules.
pub fn settings(c: &Config) -> Result<Settings> {
    let d = Settings::default();
    let mut tracebacks = vec![];
    for word in c.list("display_traceback") {
        match word.as_str() {
            "never" => {}
            "always" => tracebacks.extend(TRACEBACKS.map(str::to_string)),
            w if TRACEBACKS.contains(&w) => tracebacks.push(word),
            w => {
                return Err(Error::options(format!(
                    "Invalid value provided for 'DISPLAY_TRACEBACK': '{w}' is none of always, never, {}",
                    TRACEBACKS.join(", ")
                )));
            }
        }
    }
    let special = c.list("selinux_special_fs");
    Ok(Settings {
        module_utils: c.paths("module_utils").unwrap_or_else(|| usual("module_utils")),
        interpreter: c.text("interpreter_python").unwrap_or(d.interpreter),
        keep: c.flag("keep_remote_files", false)?,
        tracebacks,
        selinux_special_fs: if special.is_empty() { d.selinux_special_fs } else { special },
        syslog_facility: c.text("syslog_facility").unwrap_or(d.syslog_facility),
        target_log_info: c.text("target_log_info"),
        open_files: c.number("module_rlimit_nofile")?.unwrap_or(0),
        ..d
    })
}

/// The search for modules; `first` are the directories of `-M`.
pub fn library(c: &Config, s: &Settings, first: &[String], collections: &[Utf8PathBuf]) -> Library {
    let core = s.core.clone();
    let first = first.iter().flat_map(|p| p.split(':')).filter(|p| !p.is_empty());
    let mut module_path: Vec<Utf8PathBuf> = first.map(|p| modules::expand_path(p).into()).collect();
    module_path.extend(c.paths("library").unwrap_or_else(|| usual("modules")));
    Library::new(LibraryOptions {
        module_path,
        collections_path: collections.to_vec(),
        built_in: Box::new(actions::known),
        on_controller: Box::new(|short| actions::ENGINE_ACTIONS.contains(&short) || actions::find(short).is_some()),
        on_host: Box::new(|short| modules::find(short).is_some()),
        core: Box::new(move || core.package().map(Into::into)),
        prefer_core: s.keep,
    })
}

fn usual(kind: &str) -> Vec<Utf8PathBuf> {
    [format!("~/.ansible/plugins/{kind}"), format!("/usr/share/ansible/plugins/{kind}")]
        .iter()
        .map(|p| modules::expand_path(p).into())
        .collect()
}
