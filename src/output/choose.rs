//! Which callbacks a run has: the one of the standard output, and those that run besides it.

use super::profile::{By, Options as ProfileOptions, Profile, Timer};
use super::{DefaultText, Document, Format, Layout, Minimal, Screen, show_warning};
use super::{counter, dense, files, json, junit, selective, tee, unixy};
use crate::diag::{Error, Result};
use crate::executor::{Event, Sink};
use crate::settings;
use camino::Utf8PathBuf;
use std::sync::Arc;

/// The callbacks there are. Each can be the standard output's.
pub const CALLBACKS: [&str; 18] = [
    "counter_enabled",
    "debug",
    "default",
    "dense",
    "json",
    "jsonl",
    "junit",
    "log_plays",
    "minimal",
    "null",
    "oneline",
    "profile_roles",
    "profile_tasks",
    "selective",
    "timer",
    "tree",
    "unixy",
    "yaml",
];

/// Those that run besides the one of the standard output.
const BESIDES: [&str; 6] = ["junit", "log_plays", "profile_roles", "profile_tasks", "timer", "tree"];

/// Callbacks in wide use that exist in Python alone.
pub const PYTHON_ONLY: [&str; 24] = [
    "ara_default",
    "aws_resource_actions",
    "cgroup_memory_recap",
    "cgroup_perf_recap",
    "context_demo",
    "diy",
    "elastic",
    "foreman",
    "grafana_annotations",
    "hipchat",
    "jabber",
    "loganalytics",
    "logdna",
    "logentries",
    "logstash",
    "mail",
    "nrdp",
    "opentelemetry",
    "say",
    "skippy",
    "slack",
    "splunk",
    "sumologic",
    "syslog_json",
];

/// What the choice depends on.
pub struct Callbacks {
    pub screen: Screen,
    /// Directories in which Python callbacks would be looked for.
    pub plugin_dirs: Vec<Utf8PathBuf>,
}

fn short(name: &str) -> &str {
    let collections = ["ansible.builtin.", "ansible.legacy.", "ansible.posix.", "community.general."];
    collections.iter().find_map(|c| name.strip_prefix(c)).unwrap_or(name)
}

/// Renders nothing.
struct Null;
impl Sink for Null {
    fn event(&self, _: Event) {}
}

/// Shows messages alone, beside a callback that writes files or sums up.
struct Messages(Screen);
impl Sink for Messages {
    fn event(&self, e: Event) {
        super::messages(e, &self.0);
    }
}

/// An option of a callback: from the environment, else from its section of ansible.cfg.
fn option(variable: &str, place: Option<(&str, &str)>) -> Option<String> {
    std::env::var(variable).ok().filter(|v| !v.is_empty()).or_else(|| {
        let (section, key) = place?;
        settings::current().entries.iter().rev().find(|(s, k, _)| s == section && k == key).map(|e| e.2.clone())
    })
}

fn flag(variable: &str, default: bool) -> bool {
    option(variable, None).and_then(|v| crate::value::parse_bool(&v)).unwrap_or(default)
}

fn dir(text: String) -> Utf8PathBuf {
    crate::modules::expand_path(&text).into()
}

fn profile_options(variable: &str, section: &str) -> Result<ProfileOptions> {
    let get = |key: &str| option(&format!("{variable}_{}", key.to_uppercase()), Some((section, key)));
    let limit = get("task_output_limit").unwrap_or_else(|| "20".into());
    Ok(ProfileOptions {
        limit: match limit.as_str() {
            "all" => None,
            n => Some(n.parse().map_err(|_| Error::options(format!("task_output_limit: '{n}' is no number")))?),
        },
        order: get("sort_order").unwrap_or_else(|| "descending".into()),
        summary_only: get("summary_only").and_then(|v| crate::value::parse_bool(&v)).unwrap_or(false),
    })
}

fn json_options(lines: bool) -> Result<json::Options> {
    let text = option("ANSIBLE_JSON_INDENT", Some(("defaults", "json_indent")));
    let indent = match text {
        None => {
            if lines {
                0
            } else {
                4
            }
        }
        Some(n) => n.trim().parse().map_err(|_| Error::options(format!("json_indent: '{n}' is no number")))?,
    };
    Ok(json::Options { lines, indent })
}

fn junit_options() -> junit::Options {
    let path = |v: &str| option(v, None).filter(|v| v != "none");
    junit::Options {
        output_dir: dir(option("JUNIT_OUTPUT_DIR", None).unwrap_or_else(|| "~/.ansible.log".into())),
        task_class: flag("JUNIT_TASK_CLASS", false),
        fail_on_change: flag("JUNIT_FAIL_ON_CHANGE", false),
        fail_on_ignore: flag("JUNIT_FAIL_ON_IGNORE", false),
        include_setup: flag("JUNIT_INCLUDE_SETUP_TASKS_IN_REPORT", true),
        hide_arguments: flag("JUNIT_HIDE_TASK_ARGUMENTS", false),
        prefix: option("JUNIT_TEST_CASE_PREFIX", None),
        relative: path("JUNIT_TASK_RELATIVE_PATH"),
        replace: path("JUNIT_REPLACE_OUT_OF_TREE_PATH"),
    }
}

/// Where `tree` writes if nothing else is said.
pub fn tree_dir() -> Utf8PathBuf {
    let named = option("ANSIBLE_CALLBACK_TREE_DIR", Some(("callback_tree", "directory")));
    dir(named.unwrap_or_else(|| "~/.ansible/tree".into()))
}

impl Callbacks {
    /// The renderer of `--output`, by the format's name.
    pub fn format(&self, name: &str) -> Result<Arc<dyn Sink>> {
        let s = self.screen.clone();
        Ok(match name {
            "default" | "text" => Arc::new(DefaultText::new(s)),
            "json" => Arc::new(Document::new(Format::Json, s)),
            "ndjson" => Arc::new(Document::new(Format::Ndjson, s)),
            "yaml" => Arc::new(Document::new(Format::Yaml, s)),
            _ => {
                return Err(Error::options(format!("there is no output format '{name}'"))
                    .help("there are default, json, ndjson and yaml"));
            }
        })
    }

    /// The callback of the standard output.
    pub fn stdout(&self, name: &str) -> Result<Arc<dyn Sink>> {
        let s = self.screen.clone();
        match short(name) {
            // these write no text of their own: messages must not be lost
            n @ ("junit" | "tree" | "log_plays" | "timer") => {
                let made = self.make(n)?.into_iter();
                Ok(Arc::new(tee::Tee(made.chain([Arc::new(Messages(s)) as Arc<dyn Sink>]).collect())))
            }
            "profile_tasks" | "profile_roles" => {
                let made = self.make(name)?.into_iter();
                Ok(Arc::new(tee::Tee(made.chain([Arc::new(Messages(s)) as Arc<dyn Sink>]).collect())))
            }
            n => self.make(n)?.ok_or_else(|| {
                self.python(name).unwrap_or_else(|| {
                    Error::general(format!("Could not load '{name}' callback plugin."))
                        .help(format!("there are {}", CALLBACKS.join(", ")))
                })
            }),
        }
    }

    /// The callbacks besides the one of the standard output, which is not made again.
    pub fn besides(&self, names: &[String], stdout: &str) -> Result<Vec<Arc<dyn Sink>>> {
        let mut seen = vec![short(stdout).to_string()];
        let mut out = vec![];
        for name in names {
            if seen.iter().any(|s| s == short(name)) {
                continue;
            }
            seen.push(short(name).into());
            // there is one for the standard output
            if CALLBACKS.contains(&short(name)) && !BESIDES.contains(&short(name)) {
                continue;
            }
            match self.make(name)? {
                Some(s) => out.push(s),
                None => match self.python(name) {
                    Some(e) => return Err(e),
                    None => {
                        let text = format!("Skipping callback plugin '{name}', unable to load");
                        show_warning(&text, self.screen.color);
                    }
                },
            }
        }
        Ok(out)
    }

    /// The refusal of a callback that exists, but in Python.
    fn python(&self, name: &str) -> Option<Error> {
        let file = settings::pydoc::find(name, &self.plugin_dirs);
        if file.is_none() && !PYTHON_ONLY.contains(&short(name)) {
            return None;
        }
        let whence = file.map(|f| format!(" ({f})")).unwrap_or_default();
        Some(
            Error::options(format!(
                "the callback plugin '{name}'{whence} is written in Python, which dirigo does not run"
            ))
            .help(format!(
                "built in are {}; --output ndjson gives every event to other programs",
                CALLBACKS.join(", ")
            )),
        )
    }

    fn make(&self, name: &str) -> Result<Option<Arc<dyn Sink>>> {
        let s = self.screen.clone();
        Ok(Some(match short(name) {
            "default" => Arc::new(DefaultText::new(s)),
            "debug" => Arc::new(DefaultText::new(Screen { layout: Layout::TextsApart, ..s })),
            "yaml" => Arc::new(DefaultText::new(Screen { layout: Layout::CommunityYaml, ..s })),
            "json" => Arc::new(json::Json::new(json_options(false)?, s)),
            "jsonl" => Arc::new(json::Json::new(json_options(true)?, s)),
            "minimal" => Arc::new(Minimal::new(s, false)),
            "oneline" => Arc::new(Minimal::new(s, true)),
            "null" => Arc::new(Null),
            "unixy" => Arc::new(unixy::Unixy::new(s)),
            // asked for more, it is the default
            "dense" if s.verbosity > 1 => Arc::new(DefaultText::new(s)),
            "dense" => Arc::new(dense::Dense::new(s)),
            "selective" => {
                let named = ["ANSIBLE_NOCOLOR", "ANSIBLE_SELECTIVE_DONT_COLORIZE"];
                let asked =
                    named.iter().find_map(|v| option(v, None)).or_else(|| option("", Some(("defaults", "nocolor"))));
                let nocolor = asked.and_then(|v| crate::value::parse_bool(&v)).unwrap_or(false);
                Arc::new(selective::Selective::new(s, !nocolor))
            }
            "counter_enabled" => Arc::new(counter::Counter::new(s)),
            "timer" => Arc::new(Timer::new(s)),
            "profile_tasks" => {
                Arc::new(Profile::new(By::Task, s, profile_options("PROFILE_TASKS", "callback_profile_tasks")?))
            }
            "profile_roles" => {
                let options = profile_options("PROFILE_ROLES", "callback_profile_roles")?;
                Arc::new(Profile::new(By::Role, s, ProfileOptions { limit: None, ..options }))
            }
            "junit" => Arc::new(junit::Junit::new(junit_options(), s)),
            "tree" => Arc::new(files::Tree::new(tree_dir(), s)),
            "log_plays" => {
                let named = option("ANSIBLE_LOG_FOLDER", Some(("callback_log_plays", "log_folder")));
                Arc::new(files::LogPlays::new(dir(named.unwrap_or_else(|| "/var/log/ansible/hosts".into())), s))
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_made() {
        let c = Callbacks { screen: Screen::of_stdout(0), plugin_dirs: vec![] };
        for n in CALLBACKS {
            assert!(c.stdout(n).is_ok(), "{n}");
        }
        assert!(c.stdout("ansible.posix.json").is_ok());
        let refused = |r: Result<Arc<dyn Sink>>| r.err().map(|e| e.message().to_string()).unwrap_or_default();
        assert!(refused(c.stdout("slack")).contains("written in Python"));
        assert_eq!(refused(c.stdout("nope")), "Could not load 'nope' callback plugin.");
        assert!(c.besides(&["mail".into()], "default").is_err());
        let besides = c.besides(&["timer".into(), "default".into(), "nope".into()], "default");
        assert_eq!(besides.map(|l| l.len()).ok(), Some(1));
    }
}
