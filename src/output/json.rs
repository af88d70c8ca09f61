//! The callbacks `ansible.posix.json` (one document at the end) and `ansible.posix.jsonl` (a line for each event).

use super::raw::Items;
use super::{Screen, messages, print, style::Style};
use crate::diag::Span;
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::pyjson::{py_json, py_json_indent, py_json_tight};
use crate::value::{Key, Map, Value};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The callback's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// A line for each event, not one document.
    pub lines: bool,
    /// Spaces of a level; 0 or less writes one line.
    pub indent: i64,
}

/// Renders events as ansible.posix does.
pub struct Json {
    options: Options,
    screen: Screen,
    /// What all ids of this run begin with.
    node: String,
    items: Items,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: bool,
    plays: Vec<Entry>,
    /// The plays by their places: a play of several batches is one play.
    ids: HashMap<Place, u64>,
    /// Where the entry of a task is; with strategies that keep no step, that of a task on a host.
    places: HashMap<(usize, Option<Arc<str>>), usize>,
}

/// Where a play is written: its file's number and the place therein.
type Place = (String, usize);

/// A play or a task with its times.
struct Entry {
    id: String,
    name: String,
    path: String,
    start: String,
    end: Option<String>,
    tasks: Vec<Entry>,
    hosts: Map,
}

impl Entry {
    fn new(id: String, name: &str, span: Span) -> Entry {
        Entry {
            id,
            name: name.into(),
            path: if span.is_whole() { String::new() } else { format!("{}:{}", span.file(), span.line_col().0) },
            start: now(),
            end: None,
            tasks: vec![],
            hosts: Map::new(),
        }
    }

    fn head(&self) -> Value {
        let mut duration = map([("start", self.start.as_str().into())]);
        if let Some(e) = &self.end {
            duration.insert("end".into(), e.as_str().into());
        }
        Value::map(map([
            ("duration", Value::map(duration)),
            ("id", self.id.as_str().into()),
            ("name", Value::plain(self.name.as_str())),
            ("path", self.path.as_str().into()),
        ]))
    }

    fn task(&self) -> Map {
        map([("task", self.head()), ("hosts", Value::map(self.hosts.clone()))])
    }

    fn play(&self) -> Map {
        let tasks = self.tasks.iter().map(|t| Value::map(t.task())).collect();
        map([("play", self.head()), ("tasks", Value::list(tasks))])
    }
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Map {
    pairs.into_iter().map(|(k, v)| (Key::from(k), v)).collect()
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// JSON of ASCII alone.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04x}")));
        }
    }
    out
}

impl Json {
    pub fn new(options: Options, screen: Screen) -> Json {
        use std::hash::{BuildHasher, Hasher};
        let n = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let node =
            format!("{:08x}-{:04x}-4{:03x}-8{:03x}", n as u32, (n >> 32) as u16, (n >> 48) & 0xfff, (n >> 20) & 0xfff);
        Json { options, screen, node, items: Items::default(), state: Mutex::default() }
    }

    fn id(&self, n: u64) -> String {
        format!("{}-{n:012x}", self.node)
    }

    fn write(&self, v: Map) {
        let v = Value::map(v);
        let indent = usize::try_from(self.options.indent).ok().filter(|n| *n > 0);
        let text = match indent {
            n if self.options.lines => py_json_tight(&v, n),
            Some(n) => py_json_indent(&v, n),
            None => py_json(&v),
        };
        print::out(&ascii(&text), Style::Plain, self.screen.color);
    }

    /// A line of `jsonl`.
    fn line(&self, event: &str, mut m: Map) {
        m.insert("_event".into(), event.into());
        m.insert("_timestamp".into(), now().into());
        self.write(m);
    }

    fn begin_play(&self, s: &mut State, name: &str, span: Span, free: bool) {
        s.free = free;
        s.places.clear();
        let known = s.ids.len() as u64;
        let n = *s.ids.entry((span.file(), span.start as usize)).or_insert(known);
        let play = Entry::new(self.id((1 << 47) + n), name, span);
        if self.options.lines {
            s.plays.clear();
            self.line("v2_playbook_on_play_start", play.play());
        }
        s.plays.push(play);
    }

    fn begin_task(&self, s: &mut State, t: &TaskInfo, host: Option<Arc<str>>, event: &str) {
        let task = Entry::new(self.id(t.id as u64), &t.label, t.span);
        if self.options.lines {
            self.line(event, task.task());
        }
        let Some(play) = s.plays.last_mut() else { return };
        s.places.insert((t.id, host), play.tasks.len());
        play.tasks.push(task);
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let mut m = self.items.whole(t, r);
        m.insert("action".into(), t.action.as_str().into());
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let host = s.free.then(|| r.host.clone());
        let Some(at) = s.places.get(&(t.id, host)).copied() else { return };
        let Some(play) = s.plays.last_mut() else { return };
        let end = Some(now());
        play.end.clone_from(&end);
        let Some(task) = play.tasks.get_mut(at) else { return };
        task.end = end;
        let host = Key::from(&*r.host);
        if !self.options.lines {
            task.hosts.insert(host, Value::map(m));
            return;
        }
        let event = match r.status {
            Status::Ok | Status::Changed => "v2_runner_on_ok",
            Status::Skipped => "v2_runner_on_skipped",
            Status::Failed => "v2_runner_on_failed",
            Status::Unreachable => "v2_runner_on_unreachable",
        };
        let hosts = Map::from_iter([(host, Value::map(m))]);
        self.line(event, map([("task", task.head()), ("hosts", Value::map(hosts))]));
    }

    fn stats(&self, hosts: &IndexMap<Arc<str>, Counts>, custom: &IndexMap<String, Map>) {
        let count = |c: &Counts| {
            let all = [
                ("ok", c.ok),
                ("changed", c.changed),
                ("unreachable", c.unreachable),
                ("failures", c.failed),
                ("skipped", c.skipped),
                ("rescued", c.rescued),
                ("ignored", c.ignored),
            ];
            Value::map(all.into_iter().map(|(k, n)| (Key::from(k), Value::Int(n.into()))).collect())
        };
        let mut own = Map::new();
        let mut global = Map::new();
        if self.screen.show_custom_stats {
            for (k, m) in custom {
                if k == "_run" {
                    global = m.clone();
                } else {
                    own.insert(k.as_str().into(), Value::map(m.clone()));
                }
            }
        }
        let mut m = map([
            ("stats", Value::map(hosts.iter().map(|(h, c)| (Key::from(&**h), count(c))).collect())),
            ("custom_stats", Value::map(own)),
            ("global_custom_stats", Value::map(global)),
        ]);
        if self.options.lines {
            return self.line("v2_playbook_on_stats", m);
        }
        let s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        m.insert("plays".into(), Value::list(s.plays.iter().map(|p| Value::map(p.play())).collect()));
        self.write(m);
    }
}

impl Sink for Json {
    fn event(&self, e: Event) {
        self.items.see(&e);
        let state = || self.state.lock().unwrap_or_else(|e| e.into_inner());
        match e {
            Event::PlayStart { name, span, free, .. } => self.begin_play(&mut state(), &name, span, free),
            Event::TaskStart(t) => {
                let mut s = state();
                if !s.free {
                    let kind = if t.is_handler { "handler_task" } else { "task" };
                    self.begin_task(&mut s, &t, None, &format!("v2_playbook_on_{kind}_start"));
                }
            }
            Event::HostStart { task, host } => {
                let mut s = state();
                if s.free {
                    self.begin_task(&mut s, &task, Some(host), "v2_runner_on_start");
                }
            }
            Event::Result { task, result } => self.result(&task, &result),
            Event::Stats { hosts, custom, .. } => self.stats(&hosts, &custom),
            e => messages(e, &self.screen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped() {
        assert_eq!(ascii("\"café 🙂\""), "\"caf\\u00e9 \\ud83d\\ude42\"");
    }
}
