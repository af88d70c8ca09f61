//! The callback `selective`: tasks tagged `print_action` and what fails; a dot for every other result.

use super::raw::Items;
use super::{Screen, messages, print, style::Style};
use crate::executor::{Counts, Event, Sink, Status, TaskInfo, TaskResult};
use crate::value::{Map, Value};
use indexmap::IndexMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// Columns of headings, and of lines without a message; with one they are longer.
const WIDTH: usize = 120;
/// Messages that are not longer stand within the line.
const SHORT: usize = 50;

/// The renderer, after community.general's.
pub struct Selective {
    screen: Screen,
    /// Colours are written even to files, unless the callback's own option says otherwise.
    color: bool,
    items: Items,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The task whose heading stands last.
    heading: Option<usize>,
    /// Dots stand in the line that is not ended yet.
    dots: bool,
}

/// A line's colour, as the callback has them.
#[derive(Clone, Copy)]
enum Paint {
    Bold,
    Name,
    Style(Style),
}

/// One line of a result: a host's, or an item's below it.
struct Line<'a> {
    name: String,
    item: bool,
    word: &'static str,
    style: Style,
    msg: String,
    data: &'a Map,
}

impl Selective {
    pub fn new(screen: Screen, color: bool) -> Selective {
        Selective { screen, color, items: Items::default(), state: Mutex::default() }
    }

    fn out(&self, text: &str) {
        print::out(text, Style::Plain, false);
    }

    fn paint(&self, p: Paint, text: &str) -> String {
        match p {
            _ if !self.color => text.to_string(),
            Paint::Bold => format!("\x1b[1m{text}\x1b[0m"),
            Paint::Name => format!("\x1b[1m\x1b[34m{text}\x1b[0m"),
            Paint::Style(s) => s.paint_whole(text),
        }
    }

    /// Ends a line of dots.
    fn end_dots(&self, s: &mut State) {
        if std::mem::take(&mut s.dots) {
            self.out("");
        }
    }

    fn heading(&self, title: &str) {
        let stars = WIDTH.saturating_sub(title.chars().count() + 3);
        self.out(&self.paint(Paint::Bold, &format!("# {title} {}", "*".repeat(stars))));
    }

    fn wanted(&self, t: &TaskInfo, r: &TaskResult) -> bool {
        self.screen.verbosity > 1
            || matches!(r.status, Status::Failed | Status::Unreachable)
            || r.status != Status::Skipped && t.tags.iter().any(|t| t == "print_action")
    }

    fn result(&self, t: &TaskInfo, r: &TaskResult) {
        let data = self.items.whole(t, r);
        let mut s = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if !self.wanted(t, r) {
            if r.status != Status::Skipped {
                s.dots = true;
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(b".").and_then(|()| out.flush());
            }
            return;
        }
        self.end_dots(&mut s);
        if s.heading.replace(t.id) != Some(t.id) {
            self.heading(&t.label);
        }
        if r.status == Status::Skipped {
            let line = format!("  * {:<27}- skipped -- {} ", r.host, text(&data, "skip_reason"));
            return self.out(&filled(line, 130));
        }
        let (word, style) = match r.status {
            Status::Failed | Status::Unreachable => ("FAILED!!!", Style::Error),
            Status::Changed => ("changed=True", Style::Changed),
            _ => ("changed=False", Style::Ok),
        };
        self.line(&Line { name: r.host.to_string(), item: false, word, style, msg: text(&data, "msg"), data: &data });
        for i in data.get("results").and_then(Value::as_list).unwrap_or_default() {
            self.item(i);
        }
    }

    fn item(&self, i: &Value) {
        let Some(data) = i.as_map() else { return };
        let Some(name) = data.get("ansible_loop_var").and_then(|n| data.get(n.to_str().as_str())) else { return };
        let is = |k: &str| data.get(k).is_some_and(Value::truthy);
        let (word, style) = if is("failed") {
            ("FAILED!!!", Style::Error)
        } else if is("changed") {
            ("changed=True", Style::Changed)
        } else {
            ("changed=False", Style::Ok)
        };
        self.line(&Line { name: name.to_str(), item: true, word, style, msg: text(data, "msg"), data });
    }

    fn line(&self, l: &Line<'_>) {
        let (indent, paint) = if l.item { ("    ", Paint::Bold) } else { ("", Paint::Name) };
        let name = self.paint(paint, &l.name);
        let gap = 40usize.saturating_sub(name.chars().count() + indent.len());
        let style = Paint::Style(l.style);
        let head = format!("{indent}  * {name}{}- {}", " ".repeat(gap), self.paint(style, l.word));
        let long = l.msg.chars().count() >= SHORT;
        if long {
            self.out(&filled(format!("{head} "), WIDTH + 1));
        } else {
            self.out(&filled(format!("{head} -- {} ", self.paint(style, &l.msg)), 130));
        }
        let below = |text: &str, s: Style| {
            let text = text.lines().map(|t| format!("{indent}    {t}")).collect::<Vec<_>>().join("\n");
            self.out(&text_in(self, s, &text, indent.len() + 4));
        };
        if long {
            below(&l.msg, l.style);
        }
        if let Some(d) = l.data.get("diff").filter(|d| d.truthy() && !l.item) {
            below(&d.to_str(), l.style);
        }
        if let Some(e) = l.data.get("exception") {
            below(&e.to_str(), Style::Error);
        }
    }

    fn stats(&self, hosts: &IndexMap<Arc<str>, Counts>) {
        self.end_dots(&mut self.state.lock().unwrap_or_else(|e| e.into_inner()));
        self.out("");
        self.heading("STATS");
        for (h, c) in super::unixy::sorted(hosts) {
            let text = format!(
                "{h}    : ok={}\tchanged={}\tfailed={}\tunreachable={}\trescued={}\tignored={}",
                c.ok, c.changed, c.failed, c.unreachable, c.rescued, c.ignored
            );
            self.out(&self.paint(Paint::Style(super::unixy::host_style(c)), &text));
        }
    }
}

/// Indented text whose colour begins behind the indentation.
fn text_in(s: &Selective, style: Style, text: &str, indent: usize) -> String {
    let (space, rest) = text.split_at(indent.min(text.len()));
    format!("{space}{}", s.paint(Paint::Style(style), rest))
}

fn text(m: &Map, key: &str) -> String {
    m.get(key).map(Value::to_str).unwrap_or_default()
}

/// The line filled up with dashes.
fn filled(line: String, width: usize) -> String {
    let dashes = width.saturating_sub(line.chars().count());
    line + &"-".repeat(dashes)
}

impl Sink for Selective {
    fn event(&self, e: Event) {
        self.items.see(&e);
        match e {
            Event::Item { .. } => {}
            Event::Result { task, result } => self.result(&task, &result),
            Event::Stats { hosts, .. } => self.stats(&hosts),
            e => messages(e, &self.screen),
        }
    }
}
