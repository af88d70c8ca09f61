//! Modules that are not built in: files in Python or any other language, found by
//! [`Library`], packed here, run by the agent, and their results settled.
//!
//! Code in Python that would have to run on the controller (actions, filters, lookups, callbacks …) has no
//! place here; it is refused where it is named.

mod core;
mod kind;
mod pack;
mod pysource;
mod result;

pub use core::Core;
pub use result::settle;

use crate::diag::{Error, Result};
use crate::playbook::{Library, ModuleFile};
use crate::proto::{self, Interpreter, Style};
use crate::transport::Payload;
use crate::value::Value;
use camino::Utf8PathBuf;
use kind::Kind;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The version told to modules when there is no ansible-core: the one whose behaviour this program has.
const VERSION: &str = "2.19.0";

/// The configuration's choices for such modules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directories that stand for `ansible.module_utils` (ANSIBLE_MODULE_UTILS, `module_utils`).
    pub module_utils: Vec<Utf8PathBuf>,
    /// `interpreter_python`: a path, or one of the words of [`is_automatic`].
    pub interpreter: String,
    /// What is tried when the interpreter is found automatically.
    pub fallback: Vec<String>,
    /// Leave modules on the hosts, to look at them.
    pub keep: bool,
    /// Events for which tracebacks are wanted: `error`, `warning`, `deprecated`, `deprecated_value`.
    pub tracebacks: Vec<String>,
    pub selinux_special_fs: Vec<String>,
    pub syslog_facility: String,
    pub target_log_info: Option<String>,
    /// Limit of open files for modules in Python; 0 leaves it.
    pub open_files: u64,
    pub core: Arc<Core>,
}

impl Default for Settings {
    fn default() -> Self {
        let words = |s: &str| s.split_whitespace().map(str::to_string).collect();
        Settings {
            module_utils: vec![],
            interpreter: "auto".into(),
            fallback: words("python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 /usr/bin/python3 python3"),
            keep: false,
            tracebacks: vec![],
            selinux_special_fs: words("fuse nfs vboxsf ramfs 9p vfat"),
            syslog_facility: "LOG_USER".into(),
            target_log_info: None,
            open_files: 0,
            core: Arc::default(),
        }
    }
}

impl Settings {
    /// Whether failures shall bring tracebacks.
    pub fn error_tracebacks(&self) -> bool {
        self.tracebacks.iter().any(|t| t == "error")
    }
}

/// Whether an interpreter's name asks to look for one; and whether that is to be told.
pub fn is_automatic(name: &str) -> Option<bool> {
    match name {
        "auto" | "auto_legacy" => Some(true),
        "auto_silent" | "auto_legacy_silent" => Some(false),
        _ => None,
    }
}

/// A module file made ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    style: Style,
    /// The words of its `#!` line.
    shebang: Option<Vec<String>>,
    binary: bool,
    payload: Arc<[u8]>,
}

/// Makes modules ready, each once as long as its file stays as it is.
#[derive(Debug, Default)]
pub struct Packer(Mutex<HashMap<(Utf8PathBuf, [u8; 32]), Arc<Prepared>>>);

/// What a call needs to know of its task.
pub struct How<'a> {
    /// The module as the task names it.
    pub name: &'a str,
    pub check: bool,
    pub diff: bool,
    pub no_log: bool,
    pub verbosity: u8,
    pub remote_tmp: &'a str,
    pub shell_executable: &'a str,
    /// A variable of the host that is connected to, rendered.
    pub var: &'a dyn Fn(&str) -> Result<Option<Value>>,
    /// The interpreter of a local connection that nobody has configured.
    pub own_python: Option<&'a str>,
}

impl Packer {
    /// Reads and, if it is Python, packs a module. Errors name what cannot be found.
    pub fn prepare(&self, file: &ModuleFile, library: &Library, s: &Settings) -> Result<Arc<Prepared>> {
        let data = std::fs::read(&file.path)
            .map_err(|e| Error::general(format!("the module {} cannot be read ({}): {e}", file.full, file.path)))?;
        let key = (file.path.clone(), Sha256::digest(&data).into());
        if let Some(p) = self.lock().get(&key) {
            return Ok(p.clone());
        }
        let kind = kind::kind(&data);
        let style = match kind {
            Kind::Python => Style::Archive,
            Kind::JsonArgs => Style::Inside,
            Kind::WantJson | Kind::Binary => Style::JsonFile,
            Kind::OldStyle => Style::TextFile,
            Kind::Windows => {
                return Err(Error::general(format!(
                    "{} is a module for Windows ({}), which is not supported",
                    file.full, file.path
                )));
            }
        };
        let shebang = kind::shebang(&data);
        if shebang.is_none() && matches!(kind, Kind::JsonArgs | Kind::WantJson | Kind::OldStyle) {
            return Err(Error::general(format!("module ({}) is missing interpreter line", file.short)));
        }
        let payload = if kind == Kind::Python {
            let text = String::from_utf8(data)
                .map_err(|_| Error::general(format!("the module {} is not valid UTF-8 ({})", file.full, file.path)))?;
            let from =
                pack::Sources { library, module_utils: &s.module_utils, core: &s.core, open_files: s.open_files };
            pack::pack(file, &text, &from)?
        } else {
            data
        };
        let prepared = Arc::new(Prepared { style, shebang, binary: kind == Kind::Binary, payload: payload.into() });
        self.lock().insert(key, prepared.clone());
        Ok(prepared)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Utf8PathBuf, [u8; 32]), Arc<Prepared>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Prepared {
    /// What goes to the agent beside the task's arguments.
    pub fn request(&self, file: &ModuleFile, s: &Settings, how: &How) -> Result<(proto::Foreign, Payload)> {
        let base = file.path.file_name().unwrap_or(&file.short);
        let foreign = proto::Foreign {
            name: how.name.into(),
            file: if matches!(self.style, Style::Archive | Style::Inside) {
                format!("AnsiballZ_{}.py", file.short)
            } else {
                base.into()
            },
            style: self.style,
            interpreter: self.interpreter(s, how)?,
            extra: extra(s, how),
            keep: s.keep,
            remote_tmp: how.remote_tmp.into(),
        };
        Ok((foreign, Payload::Bytes(self.payload.clone())))
    }

    /// The host's variable, then the configuration, then the module's own first line.
    fn interpreter(&self, s: &Settings, how: &How) -> Result<Interpreter> {
        let words = match (&self.shebang, self.style) {
            _ if self.binary => return Ok(Interpreter::None),
            (_, Style::Archive) => vec!["/usr/bin/python".to_string()],
            (Some(w), _) => w.clone(),
            (None, _) => return Ok(Interpreter::None),
        };
        let name = kind::interpreter_name(&words);
        let set = (how.var)(&format!("ansible_{name}_interpreter"))?.map(|v| v.to_str()).filter(|v| !v.is_empty());
        let chosen = match set {
            Some(v) => v,
            None if name != "python" => return Ok(Interpreter::Words(words)),
            None => how.own_python.unwrap_or(&s.interpreter).to_string(),
        };
        if name == "python" && is_automatic(&chosen).is_some() {
            return Ok(match known_python(how)? {
                Some(p) => Interpreter::Words(vec![p]),
                None => Interpreter::Discover(s.fallback.clone()),
            });
        }
        let mut out = crate::modules::support::shlex::split(&chosen).unwrap_or_else(|_| vec![chosen.clone()]);
        if name != "python" && !words.first().is_some_and(|w| w.ends_with("/env")) {
            out.extend(words.into_iter().skip(1));
        }
        Ok(Interpreter::Words(out))
    }
}

/// The Python that was found on the host before.
fn known_python(how: &How) -> Result<Option<String>> {
    let facts = (how.var)("ansible_facts")?;
    let found = facts.as_ref().and_then(|f| f.get("discovered_interpreter_python"));
    Ok(found.and_then(Value::as_str).map(str::to_string))
}

/// What every module is told beside its arguments, in ansible-core's order.
fn extra(s: &Settings, how: &How) -> Map<String, Json> {
    let all = json!({
        "_ansible_check_mode": how.check,
        "_ansible_no_log": how.no_log,
        "_ansible_debug": false,
        "_ansible_diff": how.diff,
        "_ansible_verbosity": how.verbosity,
        "_ansible_version": s.core.version().unwrap_or(VERSION),
        "_ansible_module_name": how.name,
        "_ansible_syslog_facility": s.syslog_facility,
        "_ansible_selinux_special_fs": s.selinux_special_fs,
        "_ansible_socket": null,
        "_ansible_shell_executable": how.shell_executable,
        "_ansible_keep_remote_files": s.keep,
        "_ansible_tmpdir": null,
        "_ansible_remote_tmp": how.remote_tmp,
        "_ansible_ignore_unknown_opts": false,
        "_ansible_target_log_info": s.target_log_info,
        "_ansible_tracebacks_for": s.tracebacks,
    });
    match all {
        Json::Object(m) => m,
        _ => Map::new(),
    }
}
