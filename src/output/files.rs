//! Results in files: the callbacks `tree` (a file for each host) and `log_plays` (a log for each host).

use super::default::shown;
use super::dump::dump;
use super::raw::Items;
use super::{Layout, Screen, show_warning};
use crate::executor::{Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::py_json;
use crate::value::Value;
use camino::{Utf8Path, Utf8PathBuf};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

/// `tree`: the last result of each host as JSON, in a file of the host's name.
pub struct Tree {
    dir: Utf8PathBuf,
    screen: Screen,
}

impl Tree {
    pub fn new(dir: Utf8PathBuf, screen: Screen) -> Tree {
        Tree { dir, screen }
    }
}

/// A host's name as the name of a file: no way out of the directory.
fn file_in(dir: &Utf8Path, host: &str) -> Utf8PathBuf {
    dir.join(if matches!(host, "." | "..") { host.replace('.', "_") } else { host.replace('/', "_") })
}

fn complain(what: std::io::Result<()>, path: &Utf8Path, screen: &Screen) {
    if let Err(e) = what {
        show_warning(&format!("Unable to write to {path}: {e}"), screen.color);
    }
}

impl Sink for Tree {
    fn event(&self, e: Event) {
        if let Event::Result { result, .. } = e {
            // a task that did not run leaves what came before it
            if result.status == Status::Skipped {
                return;
            }
            let path = file_in(&self.dir, &result.host);
            // the whole result, whatever the action would have the screen show
            let m = shown(&result, "", self.screen.verbosity);
            let text = dump(
                m,
                result.verbose_always && !result.no_log,
                &Screen { layout: Layout::Options, ..self.screen.clone() },
            );
            let done = std::fs::create_dir_all(&self.dir).and_then(|()| std::fs::write(&path, text));
            complain(done, &path, &self.screen);
        }
    }
}

/// `log_plays`: every result of each host, dated, in a log of the host's name.
pub struct LogPlays {
    dir: Utf8PathBuf,
    screen: Screen,
    items: Items,
    playbook: Mutex<String>,
}

impl LogPlays {
    pub fn new(dir: Utf8PathBuf, screen: Screen) -> LogPlays {
        LogPlays { dir, screen, items: Items::default(), playbook: Mutex::default() }
    }

    fn log(&self, t: &TaskInfo, r: &TaskResult) {
        let mut m = self.items.whole(t, r);
        // the category says so
        m.shift_remove("failed");
        m.shift_remove("skipped");
        let category = match r.status {
            Status::Ok | Status::Changed => "OK",
            Status::Skipped => "SKIPPED",
            Status::Failed => "FAILED",
            Status::Unreachable => "UNREACHABLE",
        };
        let now = jiff::Zoned::now().strftime("%b %d %Y %H:%M:%S").to_string();
        let data = match m.shift_remove("invocation") {
            Some(i) => format!("{} => {} ", py_json(&i), py_json(&Value::map(m))),
            None => py_json(&Value::map(m)),
        };
        let book = self.playbook.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let path = file_in(&self.dir, &r.host);
        let name = if t.named { t.name.as_str() } else { "" };
        let text = format!("{now} - {book} - {name} - {} - {category} - {data}\n\n", t.action);
        let done = std::fs::create_dir_all(&self.dir)
            .and_then(|()| File::options().create(true).append(true).open(&path))
            .and_then(|mut f| f.write_all(text.as_bytes()));
        complain(done, &path, &self.screen);
    }
}

impl Sink for LogPlays {
    fn event(&self, e: Event) {
        self.items.see(&e);
        match e {
            Event::PlaybookStart { path, .. } => {
                let name = Utf8Path::new(&path).file_name().unwrap_or(&path).to_string();
                *self.playbook.lock().unwrap_or_else(|e| e.into_inner()) = name;
            }
            Event::Result { task, result } => self.log(&task, &result),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let at = |h: &str| file_in("/d".into(), h).into_string();
        assert_eq!(at("web1"), "/d/web1");
        assert_eq!(at("../../etc/passwd"), "/d/.._.._etc_passwd");
        assert_eq!(at(".."), "/d/__");
    }
}
