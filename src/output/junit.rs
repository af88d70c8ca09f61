//! The callback `junit`: a report for test tools, one file for each playbook.

use super::default::shown;
use super::{Screen, show_warning};
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json_indent;
use crate::value::Value;
use camino::{Utf8Path, Utf8PathBuf};
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Instant;

/// The callback's options, by the names of their variables (`JUNIT_…`).
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub output_dir: Utf8PathBuf,
    /// Class names are the file without the line.
    pub task_class: bool,
    pub fail_on_change: bool,
    pub fail_on_ignore: bool,
    pub include_setup: bool,
    pub hide_arguments: bool,
    /// Only tasks whose name begins so are cases, and those that failed.
    pub prefix: Option<String>,
    /// Paths are written relative to this directory.
    pub relative: Option<String>,
    /// What stands for paths outside of it.
    pub replace: Option<String>,
}

/// Gathers cases, writes them at the end.
pub struct Junit {
    options: Options,
    screen: Screen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    playbook: String,
    play: String,
    cases: Vec<Case>,
    started: Option<Instant>,
}

struct Case {
    class: String,
    name: String,
    seconds: f64,
    outcome: Outcome,
    output: String,
}

enum Outcome {
    Passed,
    Skipped(String),
    Error(String),
    Failure(String),
}

impl Junit {
    pub fn new(options: Options, screen: Screen) -> Junit {
        Junit { options, screen, state: Mutex::default() }
    }

    fn class(&self, t: &TaskInfo) -> String {
        let (line, _) = t.span.line_col();
        let mut path = t.span.file();
        if let Some(base) = &self.options.relative {
            match Utf8Path::new(&path).strip_prefix(base) {
                Ok(p) => path = p.to_string(),
                Err(_) => path = self.options.replace.clone().unwrap_or(path),
            }
        }
        if self.options.task_class {
            return path.strip_suffix(".yml").unwrap_or(&path).to_string();
        }
        format!("{path}:{line}")
    }

    fn case(&self, t: &TaskInfo, r: &TaskResult) {
        let o = &self.options;
        let setup = matches!(t.action.rsplit('.').next(), Some("setup" | "gather_facts"));
        if setup && !o.include_setup && !matches!(r.status, Status::Failed | Status::Unreachable) {
            return;
        }
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let failed = self.failed(t, r);
        let mut name = t.label.clone();
        if o.prefix.as_deref().is_some_and(|p| !name.starts_with(p)) && failed != Some(true) {
            return;
        }
        if !o.hide_arguments && !t.no_log && !t.args.is_empty() {
            let args: Vec<String> = t.args.iter().map(|(k, v)| format!("{k}={}", v.to_str())).collect();
            name.push_str(&format!(" {}", args.join(" ")));
        }
        let data = shown(r, "", 2);
        let message = || r.get("msg").map(Value::to_str).unwrap_or_else(|| "Unknown error.".into());
        let outcome = match failed {
            None => {
                let why = r.get("skip_reason").or_else(|| r.get("msg")).map(Value::to_str);
                Outcome::Skipped(why.unwrap_or_else(|| "skipped".into()))
            }
            Some(false) => Outcome::Passed,
            // a result that is good or that of a loop brings no exception
            Some(true) if !bad(r) || r.data.contains_key("results") => {
                let rc = || format!("rc={}", data.get("rc").map_or("0".into(), Value::to_str));
                Outcome::Failure(data.get("msg").map(Value::to_str).unwrap_or_else(rc))
            }
            Some(true) if r.no_log => Outcome::Error("Task failed".into()),
            Some(true) if r.error.is_some() || r.status == Status::Unreachable => Outcome::Error(message()),
            Some(true) => {
                let who = if r.by_module { "Module" } else { "Action" };
                Outcome::Error(format!("Task failed: {who} failed: {}", message()))
            }
        };
        let seconds = s.started.map(|t| t.elapsed().as_secs_f64()).unwrap_or_default();
        let case = Case {
            class: self.class(t),
            name: format!("[{}] {}: {name}", r.host, s.play),
            seconds,
            outcome,
            output: py_json_indent(
                &Value::map(data),
                if r.verbose_always && !r.no_log || self.screen.verbosity > 2 { 4 } else { 0 },
            ),
        };
        s.cases.push(case);
    }

    /// Whether the case counts as failed; nothing of a skipped one. A name with `EXPECTED FAILURE` makes a failure good,
    /// one with `TOGGLE RESULT` turns good and bad round.
    fn failed(&self, t: &TaskInfo, r: &TaskResult) -> Option<bool> {
        let failed = match r.status {
            Status::Skipped => return None,
            Status::Ok => false,
            Status::Changed => self.options.fail_on_change,
            Status::Failed | Status::Unreachable => !r.ignored || self.options.fail_on_ignore,
        };
        if failed && t.label.contains("EXPECTED FAILURE") {
            return Some(false);
        }
        Some(failed != t.label.contains("TOGGLE RESULT"))
    }

    /// What was included is a case of its own, which passes.
    fn included(&self, t: &TaskInfo, path: &str, hosts: &[std::sync::Arc<str>]) {
        let o = &self.options;
        if o.prefix.as_deref().is_some_and(|p| !t.label.starts_with(p)) {
            return;
        }
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let seconds = s.started.map(|t| t.elapsed().as_secs_f64()).unwrap_or_default();
        let mut name = format!("[include] {}: {}", s.play, t.label);
        if !o.hide_arguments && !t.no_log {
            t.args.iter().for_each(|(k, v)| name.push_str(&format!(" {k}={}", v.to_str())));
        }
        let output = format!("{path} (args={{}} vars={{}}): [{}]", hosts.join(", "));
        s.cases.push(Case { class: self.class(t), name, seconds, outcome: Outcome::Passed, output });
    }

    fn write(&self) {
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let cases = std::mem::take(&mut s.cases);
        let text = document(&s.playbook, &cases);
        let now = jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
        let path = self.options.output_dir.join(format!("{}-{now:.6}.xml", s.playbook));
        let done = std::fs::create_dir_all(&self.options.output_dir).and_then(|()| std::fs::write(&path, text));
        if let Err(e) = done {
            show_warning(&format!("Unable to write to {path}: {e}"), self.screen.color);
        }
    }
}

fn bad(r: &TaskResult) -> bool {
    matches!(r.status, Status::Failed | Status::Unreachable)
}

fn document(name: &str, cases: &[Case]) -> String {
    let count = |f: fn(&Outcome) -> bool| cases.iter().filter(|c| f(&c.outcome)).count();
    let errors = count(|o| matches!(o, Outcome::Error(_)));
    let failures = count(|o| matches!(o, Outcome::Failure(_)));
    let skipped = count(|o| matches!(o, Outcome::Skipped(_)));
    let (tests, time) = (cases.len(), cases.iter().map(|c| c.seconds).sum::<f64>());
    let mut out = String::from("<?xml version=\"1.0\" ?>\n");
    let _ = writeln!(
        out,
        r#"<testsuites disabled="0" errors="{errors}" failures="{failures}" tests="{tests}" time="{time:.6}">"#
    );
    let _ = writeln!(
        out,
        "\t<testsuite disabled=\"0\" errors=\"{errors}\" failures=\"{failures}\" name=\"{}\" skipped=\"{skipped}\" tests=\"{tests}\" time=\"{time:.6}\">",
        quoted(name)
    );
    for c in cases {
        let _ = writeln!(
            out,
            "\t\t<testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\">",
            quoted(&c.class),
            quoted(&c.name),
            c.seconds
        );
        let body = quoted(&c.output);
        let _ = match &c.outcome {
            Outcome::Passed => writeln!(out, "\t\t\t<system-out>{body}</system-out>"),
            Outcome::Skipped(why) => writeln!(out, "\t\t\t<skipped>{}</skipped>", quoted(why)),
            Outcome::Error(m) => {
                writeln!(out, "\t\t\t<error message=\"{}\" type=\"error\">{body}</error>", quoted(m))
            }
            Outcome::Failure(m) => {
                writeln!(out, "\t\t\t<failure message=\"{}\" type=\"failure\">{body}</failure>", quoted(m))
            }
        };
        out.push_str("\t\t</testcase>\n");
    }
    out.push_str("\t</testsuite>\n</testsuites>\n");
    out
}

/// Text for XML: marks escaped, characters that XML cannot hold replaced.
fn quoted(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

impl Sink for Junit {
    fn event(&self, e: Event) {
        match e {
            Event::PlaybookStart { path, .. } => {
                let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
                s.playbook = Utf8Path::new(&path).file_stem().unwrap_or("playbook").to_string();
            }
            Event::PlayStart { name, .. } => {
                self.state.lock().unwrap_or_else(|e| e.into_inner()).play = name;
            }
            Event::TaskStart(_) => {
                self.state.lock().unwrap_or_else(|e| e.into_inner()).started = Some(Instant::now());
            }
            Event::Result { task, result } => self.case(&task, &result),
            Event::Included { task, path, hosts, .. } => self.included(&task, &path, &hosts),
            Event::Stats { .. } => self.write(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let case = |outcome| Case {
            class: "a.yml:1".into(),
            name: "[h] p: <x>".into(),
            seconds: 0.5,
            outcome,
            output: "{\"a\": \"\u{1b}[0m\"}".into(),
        };
        let text = document("site", &[case(Outcome::Passed), case(Outcome::Skipped("no".into()))]);
        assert!(
            text.contains(r#"errors="0" failures="0" name="site" skipped="1" tests="2" time="1.000000""#),
            "{text}"
        );
        assert!(text.contains("name=\"[h] p: &lt;x&gt;\"") && text.contains("<skipped>no</skipped>"), "{text}");
        assert!(text.contains("{&quot;a&quot;: &quot;\u{fffd}[0m&quot;}"), "{text}");
    }
}
