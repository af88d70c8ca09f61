//! How a run shall go: the command line's and the configuration's choices.

use crate::transport::Secret;

/// Choices for a run.
#[derive(Clone, Debug)]
pub struct Options {
    pub check: bool,
    pub diff: bool,
    pub verbosity: u8,
    /// The verbosity up to which messages go anywhere at all: to the screen or a log file.
    pub told: u8,
    pub forks: usize,
    pub tags: Vec<String>,
    pub skip_tags: Vec<String>,
    pub start_at_task: Option<String>,
    pub step: bool,
    pub limit: Option<String>,
    pub force_handlers: bool,
    pub strategy: String,
    /// `implicit`, `explicit` or `smart`.
    pub gathering: String,
    /// An unknown handler in `notify` ends the run (Ansible's default) or is a warning.
    pub error_on_missing_handler: bool,
    pub any_errors_fatal: bool,
    pub flush_cache: bool,
    /// Every failure opens the debugger (`enable_task_debugger`).
    pub debugger: bool,
    /// A failure with `ignore_errors` does not open it (`task_debugger_ignore_errors`).
    pub debugger_honours_ignore_errors: bool,
    pub send_ahead: SendAhead,
    pub defaults: Defaults,
    pub foreign: crate::actions::foreign::Settings,
    /// Whether what modules say is deprecated is shown.
    pub deprecation_warnings: bool,
    /// What the options of the run use that will not work for ever: told when the run begins.
    pub deprecations: Vec<String>,
}

/// Whether requests are sent before the answers of those before them are there (`DIRIGO_SEND_AHEAD`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendAhead {
    /// One request at a time.
    Off,
    /// Over ssh, where a round trip costs something.
    #[default]
    Auto,
    /// On every connection.
    Always,
}

impl std::str::FromStr for SendAhead {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "off" => Ok(SendAhead::Off),
            "" | "auto" => Ok(SendAhead::Auto),
            "always" => Ok(SendAhead::Always),
            other => Err(format!("DIRIGO_SEND_AHEAD is off, auto or always, not '{other}'")),
        }
    }
}

/// Connection and become values where neither variables nor keywords say otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub connection: String,
    pub remote_user: Option<String>,
    pub remote_port: Option<u16>,
    pub private_key_file: Option<String>,
    pub timeout: u64,
    pub ssh_args: String,
    pub ssh_common_args: String,
    pub ssh_extra_args: String,
    pub ssh_executable: String,
    pub host_key_checking: bool,
    pub control_path_dir: String,
    pub remote_tmp: String,
    pub ssh_retries: u32,
    pub become_: bool,
    pub become_method: String,
    pub become_user: String,
    pub become_flags: Option<String>,
    /// `become` to the user who logs in calls the method, too.
    pub become_allow_same_user: bool,
    pub become_exe: Option<String>,
    /// From `-k` and `-K`.
    pub password: Option<Secret>,
    pub become_password: Option<Secret>,
    pub task_timeout: u64,
    pub module_name: String,
    pub display_args_to_stdout: bool,
    pub no_log: bool,
    pub async_dir: String,
}

impl Default for Defaults {
    fn default() -> Self {
        let c = crate::transport::ConnParams::ssh("");
        Defaults {
            connection: "ssh".into(),
            remote_user: None,
            remote_port: None,
            private_key_file: None,
            timeout: c.timeout,
            ssh_args: c.ssh_args,
            ssh_common_args: String::new(),
            ssh_extra_args: String::new(),
            ssh_executable: c.ssh_executable,
            host_key_checking: true,
            control_path_dir: c.control_path_dir,
            remote_tmp: c.remote_tmp,
            ssh_retries: 0,
            become_: false,
            become_method: "sudo".into(),
            become_user: "root".into(),
            become_flags: None,
            become_allow_same_user: false,
            become_exe: None,
            password: None,
            become_password: None,
            task_timeout: 0,
            module_name: "command".into(),
            display_args_to_stdout: false,
            no_log: false,
            async_dir: "~/.ansible_async".into(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            check: false,
            diff: false,
            verbosity: 0,
            told: 0,
            forks: 5,
            tags: vec!["all".into()],
            skip_tags: vec![],
            start_at_task: None,
            step: false,
            limit: None,
            force_handlers: false,
            strategy: "linear".into(),
            gathering: "implicit".into(),
            error_on_missing_handler: true,
            any_errors_fatal: false,
            flush_cache: false,
            debugger: false,
            debugger_honours_ignore_errors: true,
            send_ahead: SendAhead::default(),
            defaults: Defaults::default(),
            foreign: Default::default(),
            deprecation_warnings: true,
            deprecations: vec![],
        }
    }
}
