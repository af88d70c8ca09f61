//! `ansible.cfg` and the `ANSIBLE_*` variables. One table says what is understood; what is set but not in
//! it is named in a warning, once.
//!
//! Names after <https://docs.ansible.com/ansible/latest/reference_appendices/config.html>.

use super::setup::absolute;
use crate::diag::{Error, Result};
use crate::settings::{Settings, settings};
use crate::template::filters::normpath;
use crate::yaml::RepeatedKeys;
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

/// One setting: its name here, the environment variables and the `[section] key`s it is read from.
struct Setting {
    name: &'static str,
    env: &'static [&'static str],
    ini: &'static [(&'static str, &'static str)],
}

macro_rules! settings {
    ($($name:literal: $env:expr, $ini:expr;)*) => {
        const SETTINGS: &[Setting] = &[$(Setting { name: $name, env: &$env, ini: &$ini }),*];
    };
}

settings! {
    "inventory": ["ANSIBLE_INVENTORY"], [("defaults", "inventory"), ("defaults", "hostfile")];
    "forks": ["ANSIBLE_FORKS"], [("defaults", "forks")];
    "roles_path": ["ANSIBLE_ROLES_PATH"], [("defaults", "roles_path")];
    "collections_path": ["ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"], [("defaults", "collections_path"), ("defaults", "collections_paths")];
    "remote_user": ["ANSIBLE_REMOTE_USER"], [("defaults", "remote_user")];
    "remote_port": ["ANSIBLE_REMOTE_PORT"], [("defaults", "remote_port")];
    "private_key_file": ["ANSIBLE_PRIVATE_KEY_FILE"], [("defaults", "private_key_file")];
    "timeout": ["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"], [("defaults", "timeout"), ("ssh_connection", "timeout")];
    "transport": ["ANSIBLE_TRANSPORT"], [("defaults", "transport")];
    "host_key_checking": ["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"], [("defaults", "host_key_checking"), ("ssh_connection", "host_key_checking")];
    "ssh_args": ["ANSIBLE_SSH_ARGS"], [("ssh_connection", "ssh_args")];
    "ssh_common_args": ["ANSIBLE_SSH_COMMON_ARGS"], [("ssh_connection", "ssh_common_args")];
    "ssh_extra_args": ["ANSIBLE_SSH_EXTRA_ARGS"], [("ssh_connection", "ssh_extra_args")];
    "ssh_executable": ["ANSIBLE_SSH_EXECUTABLE"], [("ssh_connection", "ssh_executable")];
    "ssh_retries": ["ANSIBLE_SSH_RETRIES"], [("ssh_connection", "retries")];
    "control_path_dir": ["ANSIBLE_SSH_CONTROL_PATH_DIR"], [("ssh_connection", "control_path_dir")];
    "remote_tmp": ["ANSIBLE_REMOTE_TMP", "ANSIBLE_REMOTE_TEMP"], [("defaults", "remote_tmp")];
    "become": ["ANSIBLE_BECOME"], [("privilege_escalation", "become")];
    "become_method": ["ANSIBLE_BECOME_METHOD"], [("privilege_escalation", "become_method")];
    "become_user": ["ANSIBLE_BECOME_USER"], [("privilege_escalation", "become_user")];
    "become_ask_pass": ["ANSIBLE_BECOME_ASK_PASS"], [("privilege_escalation", "become_ask_pass")];
    "become_flags": ["ANSIBLE_BECOME_FLAGS"], [("privilege_escalation", "become_flags")];
    "become_allow_same_user": ["ANSIBLE_BECOME_ALLOW_SAME_USER"], [("privilege_escalation", "become_allow_same_user")];
    "become_exe": ["ANSIBLE_BECOME_EXE"], [("privilege_escalation", "become_exe")];
    "become_password_file": ["ANSIBLE_BECOME_PASSWORD_FILE"], [("defaults", "become_password_file")];
    "connection_password_file": ["ANSIBLE_CONNECTION_PASSWORD_FILE"], [("defaults", "connection_password_file")];
    "ask_pass": ["ANSIBLE_ASK_PASS"], [("defaults", "ask_pass")];
    "ask_vault_pass": ["ANSIBLE_ASK_VAULT_PASS"], [("defaults", "ask_vault_pass")];
    "vault_password_file": ["ANSIBLE_VAULT_PASSWORD_FILE"], [("defaults", "vault_password_file")];
    "vault_identity": ["ANSIBLE_VAULT_IDENTITY"], [("defaults", "vault_identity")];
    "vault_identity_list": ["ANSIBLE_VAULT_IDENTITY_LIST"], [("defaults", "vault_identity_list")];
    "vault_id_match": ["ANSIBLE_VAULT_ID_MATCH"], [("defaults", "vault_id_match")];
    "vault_encrypt_identity": ["ANSIBLE_VAULT_ENCRYPT_IDENTITY"], [("defaults", "vault_encrypt_identity")];
    "gathering": ["ANSIBLE_GATHERING"], [("defaults", "gathering")];
    "strategy": ["ANSIBLE_STRATEGY"], [("defaults", "strategy")];
    "fact_caching": ["ANSIBLE_CACHE_PLUGIN"], [("defaults", "fact_caching")];
    "fact_caching_connection": ["ANSIBLE_CACHE_PLUGIN_CONNECTION"], [("defaults", "fact_caching_connection")];
    "fact_caching_prefix": ["ANSIBLE_CACHE_PLUGIN_PREFIX"], [("defaults", "fact_caching_prefix")];
    "fact_caching_timeout": ["ANSIBLE_CACHE_PLUGIN_TIMEOUT"], [("defaults", "fact_caching_timeout")];
    "duplicate_dict_key": ["ANSIBLE_DUPLICATE_YAML_DICT_KEY"], [("defaults", "duplicate_dict_key")];
    "private_role_vars": ["ANSIBLE_PRIVATE_ROLE_VARS"], [("defaults", "private_role_vars")];
    "debugger": ["ANSIBLE_ENABLE_TASK_DEBUGGER"], [("defaults", "enable_task_debugger")];
    "debugger_ignore_errors": ["ANSIBLE_TASK_DEBUGGER_IGNORE_ERRORS"], [("defaults", "task_debugger_ignore_errors")];
    "force_handlers": ["ANSIBLE_FORCE_HANDLERS"], [("defaults", "force_handlers")];
    "any_errors_fatal": ["ANSIBLE_ANY_ERRORS_FATAL"], [("defaults", "any_errors_fatal")];
    "hash_behaviour": ["ANSIBLE_HASH_BEHAVIOUR"], [("defaults", "hash_behaviour")];
    "error_on_missing_handler": ["ANSIBLE_ERROR_ON_MISSING_HANDLER"], [("defaults", "error_on_missing_handler")];
    "no_log": ["ANSIBLE_NO_LOG"], [("defaults", "no_log")];
    "diff_always": ["ANSIBLE_DIFF_ALWAYS"], [("diff", "always")];
    "diff_context": ["ANSIBLE_DIFF_CONTEXT"], [("diff", "context")];
    "run_tags": ["ANSIBLE_RUN_TAGS"], [("tags", "run")];
    "skip_tags": ["ANSIBLE_SKIP_TAGS"], [("tags", "skip")];
    "task_timeout": ["ANSIBLE_TASK_TIMEOUT"], [("defaults", "task_timeout")];
    "async_dir": ["ANSIBLE_ASYNC_DIR"], [("defaults", "async_dir")];
    "force_color": ["ANSIBLE_FORCE_COLOR"], [("defaults", "force_color")];
    "nocolor": ["ANSIBLE_NOCOLOR", "NO_COLOR"], [("defaults", "nocolor")];
    "display_skipped_hosts": ["ANSIBLE_DISPLAY_SKIPPED_HOSTS"], [("defaults", "display_skipped_hosts")];
    "display_ok_hosts": ["ANSIBLE_DISPLAY_OK_HOSTS"], [("defaults", "display_ok_hosts")];
    "display_failed_stderr": ["ANSIBLE_DISPLAY_FAILED_STDERR"], [("defaults", "display_failed_stderr")];
    "display_args_to_stdout": ["ANSIBLE_DISPLAY_ARGS_TO_STDOUT"], [("defaults", "display_args_to_stdout")];
    "show_custom_stats": ["ANSIBLE_SHOW_CUSTOM_STATS"], [("defaults", "show_custom_stats")];
    "show_per_host_start": ["ANSIBLE_SHOW_PER_HOST_START"], [("defaults", "show_per_host_start")];
    "callbacks_enabled": ["ANSIBLE_CALLBACKS_ENABLED"], [("defaults", "callbacks_enabled")];
    "callback_plugins": ["ANSIBLE_CALLBACK_PLUGINS"], [("defaults", "callback_plugins")];
    "bin_ansible_callbacks": ["ANSIBLE_LOAD_CALLBACK_PLUGINS"], [("defaults", "bin_ansible_callbacks")];
    "log_path": ["ANSIBLE_LOG_PATH"], [("defaults", "log_path")];
    "log_verbosity": ["ANSIBLE_LOG_VERBOSITY"], [("defaults", "log_verbosity")];
    "deprecation_warnings": ["ANSIBLE_DEPRECATION_WARNINGS"], [("defaults", "deprecation_warnings")];
    "show_task_path_on_failure": ["ANSIBLE_SHOW_TASK_PATH_ON_FAILURE"], [("defaults", "show_task_path_on_failure")];
    "check_mode_markers": ["ANSIBLE_CHECK_MODE_MARKERS"], [("defaults", "check_mode_markers")];
    "callback_result_format": ["ANSIBLE_CALLBACK_RESULT_FORMAT"], [("defaults", "callback_result_format")];
    "callback_format_pretty": ["ANSIBLE_CALLBACK_FORMAT_PRETTY"], [("defaults", "callback_format_pretty")];
    "stdout_callback": ["ANSIBLE_STDOUT_CALLBACK"], [("defaults", "stdout_callback")];
    "verbosity": ["ANSIBLE_VERBOSITY"], [("defaults", "verbosity")];
    "playbook_vars_root": ["ANSIBLE_PLAYBOOK_VARS_ROOT"], [("defaults", "playbook_vars_root")];
    "inventory_ignore_extensions": ["ANSIBLE_INVENTORY_IGNORE"], [("defaults", "inventory_ignore_extensions"), ("inventory", "ignore_extensions")];
    "inventory_unparsed_failed": ["ANSIBLE_INVENTORY_UNPARSED_FAILED"], [("inventory", "unparsed_is_failed")];
    "inventory_any_unparsed_failed": ["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"], [("inventory", "any_unparsed_is_failed")];
    "inventory_enabled": ["ANSIBLE_INVENTORY_ENABLED"], [("inventory", "enable_plugins")];
    "inventory_ignore_patterns": ["ANSIBLE_INVENTORY_IGNORE_REGEX"], [("defaults", "inventory_ignore_patterns"), ("inventory", "ignore_patterns")];
    "inventory_export": ["ANSIBLE_INVENTORY_EXPORT"], [("inventory", "export")];
    "group_chars": ["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS"], [("defaults", "force_valid_group_names")];
    "host_pattern_mismatch": ["ANSIBLE_HOST_PATTERN_MISMATCH"], [("inventory", "host_pattern_mismatch")];
    "localhost_warning": ["ANSIBLE_LOCALHOST_WARNING"], [("defaults", "localhost_warning")];
    "inventory_unparsed_warning": ["ANSIBLE_INVENTORY_UNPARSED_WARNING"], [("inventory", "inventory_unparsed_warning")];
    "ansible_managed": [], [("defaults", "ansible_managed")];
    "deprecation_warnings": ["ANSIBLE_DEPRECATION_WARNINGS"], [("defaults", "deprecation_warnings")];
    "library": ["ANSIBLE_LIBRARY"], [("defaults", "library")];
    "module_utils": ["ANSIBLE_MODULE_UTILS"], [("defaults", "module_utils")];
    "interpreter_python": ["ANSIBLE_PYTHON_INTERPRETER"], [("defaults", "interpreter_python")];
    "keep_remote_files": ["ANSIBLE_KEEP_REMOTE_FILES"], [("defaults", "keep_remote_files")];
    "display_traceback": ["ANSIBLE_DISPLAY_TRACEBACK"], [("defaults", "display_traceback")];
    "selinux_special_fs": ["ANSIBLE_SELINUX_SPECIAL_FS"], [("selinux", "special_context_filesystems")];
    "syslog_facility": ["ANSIBLE_SYSLOG_FACILITY"], [("defaults", "syslog_facility")];
    "target_log_info": ["ANSIBLE_TARGET_LOG_INFO"], [("defaults", "target_log_info")];
    "module_rlimit_nofile": ["ANSIBLE_PYTHON_MODULE_RLIMIT_NOFILE"], [("defaults", "python_module_rlimit_nofile")];
}

/// Settings that change nothing here: they tune Python, ssh plug-ins' inner workings, or files Ansible alone writes.
const WITHOUT_MEANING: &[&str] = &[
    "ANSIBLE_PIPELINING",
    "ANSIBLE_SSH_PIPELINING",
    "ANSIBLE_CONFIG",
    "ANSIBLE_SYSTEM_WARNINGS",
    "ANSIBLE_COMMAND_WARNINGS",
    "ANSIBLE_LOCAL_TEMP",
    "ANSIBLE_HOME",
    "ANSIBLE_NOCOWS",
    "ANSIBLE_COW_SELECTION",
    "ANSIBLE_DEVEL_WARNING",
    "ANSIBLE_SSH_TRANSFER_METHOD",
    "ANSIBLE_LOCALHOST_WARNING",
    "ANSIBLE_INVENTORY_UNPARSED_WARNING",
    "ANSIBLE_WORKER_SHUTDOWN_POLL_COUNT",
    "ANSIBLE_WORKER_SHUTDOWN_POLL_DELAY",
    "ANSIBLE_PYTHON_MODULE_RLIMIT_NOFILE",
    "ANSIBLE_DISPLAY_TRACEBACK",
    "ANSIBLE_TEST_ENTRY",
    "ANSIBLE_SSH_CONTROL_PATH",
    "NO_COLOR",
];
const WITHOUT_MEANING_INI: &[&str] = &[
    "pipelining",
    "system_warnings",
    "command_warnings",
    "local_tmp",
    "home",
    "nocows",
    "cow_selection",
    "control_path",
    "transfer_method",
    "scp_if_ssh",
    "internal_poll_interval",
    "retry_files_save_path",
    "use_persistent_connections",
    "module_compression",
];

/// Settings that are asked for by their documented names where they count.
const BY_NAME: &[&str] = &[
    "ALLOW_BROKEN_CONDITIONALS",
    "DEFAULT_MODULE_ARGS",
    "DEFAULT_MODULE_NAME",
    "DEFAULT_POLL_INTERVAL",
    "EDITOR",
    "PAGER",
    "PLAYBOOK_DIR",
    "VAULT_ENCRYPT_SALT",
];

/// True if the setting with this section and key, or this variable, does something or is asked to do nothing.
fn means_something(fits: impl Fn(&crate::settings::Setting) -> bool, value: &str) -> bool {
    settings().iter().filter(|s| fits(s)).any(|s| match s.name.as_str() {
        // files of hosts to retry are not written: no matter where nobody asks for them
        "RETRY_FILES_ENABLED" => crate::value::parse_bool(value) == Some(false),
        name => BY_NAME.contains(&name),
    })
}

/// PLAYBOOK_DIR: the directory that stands in for the playbook's.
pub fn playbook_dir() -> Result<Option<Utf8PathBuf>> {
    let set = crate::settings::current().get("PLAYBOOK_DIR").transpose()?;
    Ok(set.filter(|f| !f.value.is_null()).map(|f| Utf8PathBuf::from(f.value.to_str())).filter(|d| d.as_str() != ""))
}

/// What the configuration file and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Config {
    values: BTreeMap<&'static str, (String, From)>,
    pub file: Option<Utf8PathBuf>,
    /// Every section, key and text of the file.
    entries: Vec<(String, String, String)>,
    /// Set, but not understood.
    pub unknown: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Env,
    File,
}

impl Config {
    /// Finds and reads the configuration: ANSIBLE_CONFIG, ./ansible.cfg, ~/.ansible.cfg, /etc/ansible/ansible.cfg.
    pub fn load() -> Result<Config> {
        let mut c = Config::default();
        if let Some(f) = c.find_file() {
            c.read_file(&f)?;
        }
        c.read_env();
        c.install()?;
        Ok(c)
    }

    /// With `-v` every command names the file first.
    pub fn tell(&self, verbosity: u8) -> Result<()> {
        if verbosity.max(self.number("verbosity")?.unwrap_or(0)) > 0 {
            // a reader that went away ends the program by its signal
            let _ = match &self.file {
                Some(f) => writeln!(std::io::stdout(), "Using {f} as config file"),
                None => writeln!(std::io::stdout(), "No config file found; using defaults"),
            };
        }
        Ok(())
    }

    /// Reads this file, whatever others there are.
    pub fn load_file(file: &Utf8Path) -> Result<Config> {
        let mut c = Config::default();
        c.read_file(file)?;
        c.read_env();
        c.install()?;
        Ok(c)
    }

    fn read_file(&mut self, file: &Utf8Path) -> Result<()> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::options(format!("Error reading config file ({file}): {e}")))?;
        self.read_ini(file, &text)?;
        self.file = Some(file.to_owned());
        Ok(())
    }

    /// Makes the file's settings known to lookups and commands that go by documented names. A value that is
    /// not of its setting's type or choices is an error, whether the setting is used or not.
    fn install(&self) -> Result<()> {
        let s = Settings { file: self.file.clone(), entries: self.entries.clone() };
        for setting in settings() {
            let value = s.find(setting, &|_| None)?.value;
            if setting.name == "DUPLICATE_YAML_DICT_KEY" {
                match &*value.to_str() {
                    "error" => RepeatedKeys::Refuse.install(),
                    "ignore" => RepeatedKeys::Ignore.install(),
                    _ => RepeatedKeys::Warn.install(),
                }
            }
        }
        crate::settings::install(s);
        Ok(())
    }

    fn find_file(&mut self) -> Option<Utf8PathBuf> {
        if let Ok(p) = std::env::var("ANSIBLE_CONFIG") {
            let p = Utf8PathBuf::from(p);
            let p = super::setup::absolute(&if p.is_dir() { p.join("ansible.cfg") } else { p });
            if p.is_file() {
                return Some(p);
            }
        }
        let cwd = std::env::current_dir().ok().and_then(|p| Utf8PathBuf::from_path_buf(p).ok())?;
        let here = cwd.join("ansible.cfg");
        if here.is_file() {
            // CVE-2018-10875: others must not be able to steer the run
            if std::fs::metadata(&cwd).is_ok_and(|m| m.permissions().mode() & 0o002 != 0) {
                self.warnings.push(format!(
                    "Ansible is being run in a world writable directory ({cwd}), ignoring it as an ansible.cfg source. For more information see https://docs.ansible.com/ansible/devel/reference_appendices/config.html#cfg-in-world-writable-dir"
                ));
            } else {
                return Some(here);
            }
        }
        let home = std::env::var("HOME").ok().map(|h| Utf8Path::new(&h).join(".ansible.cfg"));
        home.into_iter().chain(["/etc/ansible/ansible.cfg".into()]).find(|p| p.is_file())
    }

    fn read_ini(&mut self, file: &Utf8Path, text: &str) -> Result<()> {
        let source = crate::diag::add_source(file.as_str(), text);
        let mut section: Option<String> = None;
        let mut seen = std::collections::HashSet::new();
        let mut at = 0;
        let mut last: Option<&'static str> = None;
        // in the words of Python's configparser, which ansible-core reads the file with
        let wrong = |what: String, number: usize, start: usize, line: &str| {
            let here = crate::diag::Span::new(source, start, start + line.trim_end().len());
            Error::options(format!("Error reading config file ({file}): {}", what.replace("LINE", &number.to_string())))
                .at(here)
        };
        let mut number = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            number += 1;
            let t = line.trim();
            if t.is_empty() || t.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with([' ', '\t'])
                && let Some(name) = last
                && let Some((v, _)) = self.values.get_mut(name)
            {
                v.push('\n');
                v.push_str(t);
                if let Some((_, _, text)) = self.entries.last_mut() {
                    text.push('\n');
                    text.push_str(t);
                }
                continue;
            }
            if let Some((s, _)) = t.strip_prefix('[').and_then(|s| s.rsplit_once(']')) {
                let s = s.to_string();
                if !seen.insert((s.clone(), None)) {
                    let what = format!("While reading from '<string>' [line  LINE]: section '{s}' already exists");
                    return Err(wrong(what, number, start, line));
                }
                section = Some(s);
                last = None;
                continue;
            }
            let Some(section) = section.clone() else {
                let shown = crate::value::Value::plain(line).repr();
                let what = format!("File contains no section headers.\nfile: '<string>', line: LINE\n{shown}");
                return Err(wrong(what, number, start, line).help("settings stand below [defaults] or another section"));
            };
            let Some((k, v)) = t.split_once(['=', ':']) else {
                let shown = crate::value::Value::plain(line).repr();
                let what = format!("Source contains parsing errors: '<string>'\n\t[line LINE]: {shown}");
                return Err(wrong(what, number, start, line).help("a setting looks like key = value"));
            };
            let (k, v) = (k.trim(), strip_comment(v.trim()));
            last = None;
            if !seen.insert((section.clone(), Some(k.to_lowercase()))) {
                let what = format!(
                    "While reading from '<string>' [line  LINE]: option '{}' in section '{section}' already exists",
                    k.to_lowercase()
                );
                return Err(wrong(what, number, start, line));
            }
            self.entries.push((section.clone(), k.to_string(), v.to_string()));
            match SETTINGS.iter().find(|s| s.ini.contains(&(section.as_str(), k))) {
                Some(s) => {
                    let v = if is_path(s.name) { relative_to(file, v) } else { v.to_string() };
                    self.values.insert(s.name, (v, From::File));
                    last = Some(s.name);
                }
                None if WITHOUT_MEANING_INI.contains(&k) => {}
                None if means_something(|s| s.ini.iter().any(|(a, b)| *a == section && b == k), v) => {}
                None => self.unknown.push(format!("[{section}] {k}")),
            }
        }
        Ok(())
    }

    fn read_env(&mut self) {
        for s in SETTINGS {
            if let Some(v) = s.env.iter().find_map(|e| std::env::var(e).ok()) {
                self.values.insert(s.name, (v, From::Env));
            }
        }
        for (k, v) in std::env::vars() {
            if documented(&k)
                && !WITHOUT_MEANING.contains(&k.as_str())
                && !means_something(|s| s.env.contains(&k), &v)
                && !v.is_empty()
                && !SETTINGS.iter().any(|s| s.env.contains(&k.as_str()))
            {
                self.unknown.push(k);
            }
        }
    }

    /// A setting's text, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(SETTINGS.iter().any(|s| s.name == name), "{name} is not in the table");
        self.values.get(name).map(|(v, _)| v.as_str())
    }
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_string)
    }
    /// A boolean setting; words that are none are a no, as in ansible-core.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(v) => Ok(crate::value::parse_bool(v.trim()).unwrap_or(false)),
        }
    }
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        match self.values.get(name) {
            None => Ok(None),
            // an empty variable says nothing
            Some((v, From::Env)) if v.is_empty() => Ok(None),
            Some((v, _)) => v.trim().parse().map(Some).map_err(|_| {
                Error::options(format!("Invalid value provided for '{name}': '{v}' is not a valid number"))
            }),
        }
    }
    /// A list separated by commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.get(name)
            .map(|v| v.split(',').map(|s| s.trim().to_string()).filter(|s| !s.is_empty()).collect())
            .unwrap_or_default()
    }
    /// Directories separated by colons, from the root, `~` expanded.
    pub fn paths(&self, name: &str) -> Option<Vec<Utf8PathBuf>> {
        let whole = |p: &str| normpath(absolute(Utf8Path::new(&crate::modules::expand_path(p))).as_str()).into();
        self.get(name).map(|v| v.split(':').filter(|s| !s.is_empty()).map(whole).collect())
    }
}

/// True for the variables that Ansible documents, apart from those that plug-ins here read themselves;
/// others are for somebody else.
fn documented(variable: &str) -> bool {
    let settings = crate::settings::settings().iter();
    let plugins = crate::settings::plugins().iter();
    settings
        .chain(plugins.filter(|p| !matches!(&*p.kind, "callback" | "cache" | "inventory")).flat_map(|p| &p.options))
        .any(|s| s.env.iter().any(|e| e == variable))
}

fn is_path(name: &str) -> bool {
    matches!(
        name,
        "inventory"
            | "roles_path"
            | "library"
            | "module_utils"
            | "collections_path"
            | "private_key_file"
            | "vault_password_file"
            | "become_password_file"
            | "connection_password_file"
    )
}

/// Relative paths in the file are taken from its directory; `~` and `{{CWD}}` stay.
fn relative_to(file: &Utf8Path, v: &str) -> String {
    let dir = file.parent().unwrap_or(Utf8Path::new(""));
    let sep = if v.contains(',') { ',' } else { ':' };
    v.split(sep)
        .map(|p| {
            let p = p.trim();
            if p.is_empty() || p.starts_with(['/', '~', '$']) || p.ends_with(',') {
                p.to_string()
            } else {
                dir.join(p).to_string()
            }
        })
        .collect::<Vec<_>>()
        .join(&sep.to_string())
}

/// A `;` with a space before it begins a comment within a line.
fn strip_comment(v: &str) -> &str {
    v.find(" ;").map_or(v, |i| v[..i].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini() {
        let mut c = Config::default();
        c.read_ini(
            "/etc/x/ansible.cfg".into(),
            "[defaults]\nforks = 20 ; many\nroles_path = roles:/a\nfancy = 1\n[ssh_connection]\nssh_args = -o A=b\n  -o C=d\n",
        )
        .expect("reads");
        assert_eq!(c.get("forks"), Some("20"));
        assert_eq!(c.get("roles_path"), Some("/etc/x/roles:/a"));
        assert_eq!(c.get("ssh_args"), Some("-o A=b\n-o C=d"));
        assert_eq!(c.unknown, ["[defaults] fancy"]);
        assert!(c.read_ini("/x".into(), "[defaults]\nnonsense\n").is_err());
    }
}
