//! Renderers of events: Ansible's default text, json, ndjson, yaml.

mod choose;
mod counter;
mod default;
mod dense;
mod diff;
mod document;
mod dump;
mod files;
mod json;
mod junit;
mod minimal;
pub mod print;
mod profile;
mod raw;
mod report;
mod selective;
mod sequence;
mod style;
mod tee;
mod unixy;

pub use choose::{CALLBACKS, Callbacks, PYTHON_ONLY, tree_dir};
pub use default::DefaultText;
pub use document::{Document, Format};
pub use files::Tree;
pub use minimal::Minimal;
pub use report::{show_deprecation, show_error, show_warning};
pub use style::{Style, terminal_columns};
pub use tee::Tee;

use crate::executor::Event;

/// What the playbook of an ad-hoc command is called.
pub const AD_HOC: &str = "__adhoc_playbook__";

/// How a result is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the options say.
    Options,
    /// Its texts below it, as they are (the callback `debug`).
    TextsApart,
    /// As community.general's callback `yaml` does.
    CommunityYaml,
}

/// What the renderers need to know of the terminal and the options.
#[derive(Clone, Debug)]
pub struct Screen {
    pub color: bool,
    /// Columns of banners, at least 79.
    pub columns: usize,
    pub verbosity: u8,
    pub display_skipped_hosts: bool,
    pub display_ok_hosts: bool,
    pub display_failed_stderr: bool,
    pub show_custom_stats: bool,
    pub show_per_host_start: bool,
    pub show_task_path_on_failure: bool,
    pub check_mode_markers: bool,
    pub display_args_to_stdout: bool,
    pub diff_context: usize,
    /// `json` or `yaml`: how results are written in the text.
    pub result_format: String,
    pub pretty_results: Option<bool>,
    pub layout: Layout,
    pub deprecation_warnings: bool,
    /// The run is one of `--check`.
    pub check: bool,
}

impl Screen {
    /// For the standard output as it is; `verbosity` counts the `-v`.
    pub fn of_stdout(verbosity: u8) -> Screen {
        use std::io::IsTerminal;
        let tty = std::io::stdout().is_terminal();
        let env = |n: &str| std::env::var(n).ok().filter(|v| !v.is_empty());
        let flag = |n: &str| env(n).and_then(|v| crate::value::parse_bool(&v));
        let color = if flag("ANSIBLE_FORCE_COLOR") == Some(true) {
            true
        } else {
            tty && flag("ANSIBLE_NOCOLOR") != Some(true) && env("NO_COLOR").is_none()
        };
        Screen {
            color,
            columns: if tty { style::terminal_columns().saturating_sub(1).max(79) } else { 79 },
            verbosity,
            display_skipped_hosts: flag("ANSIBLE_DISPLAY_SKIPPED_HOSTS").unwrap_or(true),
            display_ok_hosts: flag("ANSIBLE_DISPLAY_OK_HOSTS").unwrap_or(true),
            display_failed_stderr: flag("ANSIBLE_DISPLAY_FAILED_STDERR").unwrap_or(false),
            show_per_host_start: flag("ANSIBLE_SHOW_PER_HOST_START").unwrap_or(false),
            show_custom_stats: flag("ANSIBLE_SHOW_CUSTOM_STATS").unwrap_or(false),
            show_task_path_on_failure: flag("ANSIBLE_SHOW_TASK_PATH_ON_FAILURE").unwrap_or(false),
            check_mode_markers: flag("ANSIBLE_CHECK_MODE_MARKERS").unwrap_or(false),
            display_args_to_stdout: flag("ANSIBLE_DISPLAY_ARGS_TO_STDOUT").unwrap_or(false),
            diff_context: env("ANSIBLE_DIFF_CONTEXT").and_then(|v| v.parse().ok()).unwrap_or(3),
            result_format: env("ANSIBLE_CALLBACK_RESULT_FORMAT").unwrap_or_else(|| "json".into()),
            pretty_results: flag("ANSIBLE_CALLBACK_FORMAT_PRETTY"),
            layout: Layout::Options,
            deprecation_warnings: flag("ANSIBLE_DEPRECATION_WARNINGS").unwrap_or(true),
            check: false,
        }
    }
}

/// Messages that every renderer of the standard output shows alike.
fn messages(e: Event, screen: &Screen) {
    let detailed = screen.verbosity > 1;
    match e {
        Event::PlaybookStart { path, plays, .. } if detailed && path != AD_HOC => {
            print::out(&format!("{plays} plays in {path}"), Style::Plain, screen.color);
        }
        Event::NotificationSaved { handler, .. } if detailed => {
            let text = format!("Notification for handler {handler} has been saved.");
            print::out(&text, Style::Verbose, screen.color);
        }
        Event::Display(t) => print::out(&t, Style::Plain, screen.color),
        Event::Warning(t) => show_warning(&t, screen.color),
        Event::Deprecation(t) if screen.deprecation_warnings => show_deprecation(&t, screen.color),
        Event::Error(e) => {
            let text = report::run_error_text(&e);
            print::err(text.strip_suffix('\n').unwrap_or(&text), Style::Error, screen.color);
        }
        Event::Verbose { level, text } => print::verbose(&text, level, screen.verbosity, screen.color),
        _ => {}
    }
}
