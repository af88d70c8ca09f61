//! Errors that point: every source file that was read, spans into them, and the error type of all rooms.
//!
//! Sources live in one table for the life of the process, so that a [`Span`] is a small `Copy` value
//! that anything can carry. Offsets are bytes.

use miette::{LabeledSpan, SourceSpan};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, RwLock};

/// A source file as read: its name as shown to the user and its text.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
    /// The text was decrypted: places in it are told, the text itself is never shown.
    pub sealed: bool,
    /// No file but one text, such as an option's value: it has no lines to tell, and is shown as a whole.
    pub whole: bool,
}

/// What stands in the place of an excerpt of a decrypted file.
pub const NOT_SHOWN: &str = "(source not shown: content encrypted)";

/// Names of files whose text was decrypted.
static SEALED: LazyLock<RwLock<HashSet<String>>> = LazyLock::new(Default::default);

/// Marks a file as vaulted: no source of this name shows its text. Whoever decrypts a file calls it first.
pub fn seal(name: &str) {
    SEALED.write().unwrap_or_else(|e| e.into_inner()).insert(name.to_string());
}

static SOURCES: LazyLock<RwLock<Vec<Arc<Source>>>> = LazyLock::new(Default::default);

/// A place in a source: bytes `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

/// Adds a source to the table and answers its number for spans.
pub fn add_source(name: impl Into<String>, text: impl Into<String>) -> u32 {
    let mut all = SOURCES.write().unwrap_or_else(|e| e.into_inner());
    let name = name.into();
    let sealed = SEALED.read().unwrap_or_else(|e| e.into_inner()).contains(&name);
    all.push(Arc::new(Source { name, text: text.into(), sealed, whole: false }));
    (all.len() - 1) as u32
}

/// Adds a text that is no file, such as an option's value; the place of it as a whole.
pub fn add_whole(name: impl Into<String>, text: impl Into<String>) -> Span {
    let mut all = SOURCES.write().unwrap_or_else(|e| e.into_inner());
    let text = text.into();
    let span = Span::new(all.len() as u32, 0, text.len());
    all.push(Arc::new(Source { name: name.into(), text, sealed: false, whole: true }));
    span
}

/// The source with this number.
pub fn source(id: u32) -> Option<Arc<Source>> {
    SOURCES.read().unwrap_or_else(|e| e.into_inner()).get(id as usize).cloned()
}

impl Span {
    pub fn new(source: u32, start: usize, end: usize) -> Span {
        Span { source, start: start as u32, end: end.max(start) as u32 }
    }
    /// Where a word first stands behind this place.
    pub fn find(&self, word: &str) -> Option<Span> {
        let from = self.start as usize;
        let at = source(self.source)?.text.get(from..)?.find(word)? + from;
        Some(Span::new(self.source, at, at + word.len()))
    }
    /// Line and column, both from 1; the column counts characters.
    pub fn line_col(&self) -> (usize, usize) {
        let Some(src) = source(self.source) else { return (1, 1) };
        let at = (self.start as usize).min(src.text.len());
        let before = src.text.get(..at).unwrap_or("");
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let col = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, col)
    }
    /// The file's name.
    pub fn file(&self) -> String {
        source(self.source).map(|s| s.name.clone()).unwrap_or_default()
    }
    /// True of a place in a text that is no file.
    pub fn is_whole(&self) -> bool {
        source(self.source).is_some_and(|s| s.whole)
    }
    /// `file:line:col`; the name alone of what is no file.
    pub fn show(&self) -> String {
        if let Some(s) = source(self.source).filter(|s| s.whole) {
            return s.name.clone();
        }
        let (l, c) = self.line_col();
        format!("{}:{l}:{c}", self.file())
    }
    /// The line of the place with the two before it, and a mark under its column, each line ended; of a
    /// decrypted file only a note that its text is not shown.
    pub fn excerpt(&self) -> String {
        let Some(source) = source(self.source) else { return String::new() };
        if source.sealed {
            return format!("{NOT_SHOWN}\n");
        }
        if source.whole {
            return format!("{}\n", source.text);
        }
        let (line, column) = self.line_col();
        let width = line.to_string().len();
        let first = line.saturating_sub(3);
        let mut out = String::new();
        for (i, text) in source.text.lines().enumerate().skip(first).take(line - first) {
            let shown =
                if text.is_empty() { format!("{:>width$}", i + 1) } else { format!("{:>width$} {text}", i + 1) };
            out.push_str(&shortened(&shown));
            out.push('\n');
        }
        out.push_str(&format!("{}^ column {column}\n", " ".repeat(width + column)));
        out
    }
}

/// A line of at most 120 characters.
fn shortened(line: &str) -> std::borrow::Cow<'_, str> {
    const MOST: usize = 120;
    match line.char_indices().nth(MOST) {
        None => line.into(),
        Some(_) => line.chars().take(MOST - 3).chain("...".chars()).collect::<String>().into(),
    }
}

/// What sort of error this is; decides the exit code as Ansible's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything else (exit 1).
    General,
    /// A playbook, role or inventory that cannot be understood (exit 4).
    Parse,
    /// Wrong use of the command line or configuration (exit 5 in playbook runs; clap's own is 2).
    Options,
    /// Arguments with which a task is sure to fail, seen before the run (exit 2, as for the failed task); an
    /// option with a value it cannot have (exit 2, as for one that does not exist).
    Arguments,
    /// A template or variable that cannot be rendered; fails the task where it happens.
    Template,
    /// An undefined variable inside a template (`default` and `is defined` see through it).
    Undefined,
    /// The host could not be reached.
    Unreachable,
    /// Vault: no secret, wrong secret, damaged envelope (exit 1).
    Vault,
    /// The user interrupted the run (exit 99).
    Interrupted,
}

/// An error with a message, the place in a source, and advice. Cheap to move.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    message: String,
    span: Option<Span>,
    label: Option<String>,
    help: Option<String>,
    source: Option<Arc<Source>>,
    /// Told by itself, not in one line with the task that failed.
    apart: bool,
    /// Told without "Task failed": it happened before there was a task to fail.
    bare: bool,
    /// The file of the controller that is not there, if that is the error.
    absent: Option<String>,
    /// What was being done when it happened, the innermost first; behind them the error itself.
    frames: Vec<Frame>,
}

/// One step on the way to an error: the words, and the place if it has one.
pub type Frame = (String, Option<Span>);

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            span: None,
            label: None,
            help: None,
            source: None,
            apart: false,
            bare: false,
            absent: None,
            frames: vec![],
        }))
    }
    pub fn general(message: impl Into<String>) -> Error {
        Error::new(Kind::General, message)
    }
    pub fn parse(message: impl Into<String>) -> Error {
        Error::new(Kind::Parse, message)
    }
    pub fn options(message: impl Into<String>) -> Error {
        Error::new(Kind::Options, message)
    }
    pub fn template(message: impl Into<String>) -> Error {
        Error::new(Kind::Template, message)
    }
    pub fn undefined(message: impl Into<String>) -> Error {
        Error::new(Kind::Undefined, message)
    }
    /// A file of the controller that is not there, in ansible-core's words.
    pub fn absent(path: impl fmt::Display) -> Error {
        let mut e = Error::general(format!(
            "Unable to retrieve file contents.\nCould not find or access '{path}' on the Ansible Controller.\n\
             If you are using a module and expect the file to exist on the remote, see the remote_src option: \
             [Errno 2] No such file or directory: '{path}'"
        ));
        e.0.absent = Some(path.to_string());
        e
    }
    /// The file that is not there, of an error made by [`Error::absent`].
    pub fn absent_file(&self) -> Option<&str> {
        self.0.absent.as_deref()
    }
    /// Points at a place; an error that points already keeps its own (the innermost is the most exact).
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Error {
        if self.0.span.is_none()
            && let Some(s) = span.into()
        {
            self.0.span = Some(s);
            self.0.source = source(s.source).filter(|s| !s.sealed && !s.whole);
        }
        self
    }
    /// The words beside the marked place.
    pub fn label(mut self, text: impl Into<String>) -> Error {
        self.0.label = Some(text.into());
        self
    }
    /// What the user can do about it.
    pub fn help(mut self, text: impl Into<String>) -> Error {
        self.0.help = Some(text.into());
        self
    }
    /// Names the vaulted file, before the advice there is.
    pub fn vaulted(mut self, file: impl fmt::Display) -> Error {
        let advice = self.0.help.take().map(|h| format!(" {h}")).unwrap_or_default();
        self.0.help = Some(format!("The vaulted file is {file}.{advice}"));
        self
    }
    /// Puts words before the message: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        if let Some((words, _)) = self.0.frames.last_mut() {
            *words = format!("{context}: {words}");
        }
        self
    }
    /// Puts words before the message that have a place of their own: a step of the way to the error.
    pub fn during(mut self, step: impl Into<String>, span: Option<Span>) -> Error {
        let step = step.into();
        if self.0.frames.is_empty() {
            self.0.frames.push((self.0.message.clone(), self.0.span));
        }
        self.0.message = format!("{step}: {}", self.0.message);
        self.0.frames.push((step, span));
        self
    }
    /// The steps to the error, the outermost first, the error itself last.
    pub fn steps(&self) -> Vec<Frame> {
        if self.0.frames.is_empty() {
            return vec![(self.0.message.clone(), self.0.span)];
        }
        self.0.frames.iter().rev().cloned().collect()
    }
    /// An error that is shown in its own paragraph, below the place of the task.
    pub fn apart(mut self) -> Error {
        self.0.apart = true;
        self
    }
    /// An error of what comes before the task itself, its loop: ansible-core tells it without "Task failed".
    pub fn bare(mut self) -> Error {
        self.0.bare = true;
        self
    }
    pub fn is_bare(&self) -> bool {
        self.0.bare
    }
    pub fn is_apart(&self) -> bool {
        self.0.apart
    }
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
    pub fn message(&self) -> &str {
        &self.0.message
    }
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
    /// All of it as text, for a warning: the message, the place with the lines before it, the advice.
    pub fn in_full(&self) -> String {
        let mut out = self.0.message.clone();
        if let Some(s) = self.0.span {
            out.push_str(&format!("\nOrigin: {}\n\n{}", s.show(), s.excerpt()));
        }
        if let Some(h) = &self.0.help {
            out.push_str(&format!("\n{h}\n"));
        }
        out
    }
    /// The exit code of a run that ends with this error.
    pub fn exit_code(&self) -> i32 {
        match self.0.kind {
            Kind::General | Kind::Template | Kind::Undefined | Kind::Vault => 1,
            Kind::Parse | Kind::Unreachable => 4,
            Kind::Arguments => 2,
            Kind::Options => 5,
            Kind::Interrupted => 99,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}
impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Error::general(e.to_string())
    }
}

impl miette::Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.0.source.as_ref().map(|s| s as &dyn miette::SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let s = self.0.span?;
        let range: SourceSpan = (s.start as usize, (s.end - s.start) as usize).into();
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(self.0.label.clone(), range))))
    }
}

impl miette::SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = self.text.as_str().read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_characters() {
        let id = add_source("x.yml", "é: 1\nab: c\n");
        assert_eq!(Span::new(id, 10, 11).show(), "x.yml:2:5");
        assert_eq!(Span::new(id, 3, 3).line_col(), (1, 3));
    }

    #[test]
    fn decrypted_text_is_never_shown() {
        seal("sealed.yml");
        let span = Span::new(add_source("sealed.yml", "user: a\npassword: hunter2\n"), 18, 25);
        let e = Error::parse("bad").at(span);
        assert_eq!(span.show(), "sealed.yml:2:11");
        assert_eq!(span.excerpt(), format!("{NOT_SHOWN}\n"));
        assert!(!e.in_full().contains("hunter2"));
        assert!(miette::Diagnostic::source_code(&e).is_none());
    }

    #[test]
    fn innermost_place_wins() {
        let id = add_source("y.yml", "a: b\n");
        let e = Error::parse("bad").at(Span::new(id, 3, 4)).at(Span::new(id, 0, 1)).context("play");
        assert_eq!(e.span().map(|s| s.start), Some(3));
        assert_eq!(e.to_string(), "play: bad");
        assert_eq!(e.exit_code(), 4);
    }
}
