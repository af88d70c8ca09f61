//! The files with one-line sources: read, changed and written in the form that ansible-core gives them.

use crate::modules::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A source, perhaps commented out, with the comment behind it.
    Source {
        enabled: bool,
        text: String,
        comment: String,
    },
    Other(String),
}

impl Line {
    pub fn parse(line: &str) -> Line {
        let t = line.trim();
        let (enabled, rest) = match t.strip_prefix('#') {
            Some(r) => (false, r),
            None => (true, t),
        };
        let (spec, comment) = match rest.find('#') {
            Some(i) if i > 0 => rest.split_at(i),
            _ => (rest, ""),
        };
        let words: Vec<&str> = spec.split_whitespace().collect();
        match words.first() {
            Some(&("deb" | "deb-src")) => Line::Source {
                enabled,
                text: words.join(" "),
                comment: comment.trim_start_matches('#').trim().to_owned(),
            },
            _ => Line::Other(line.to_owned()),
        }
    }
    fn write(&self, out: &mut String) {
        match self {
            Line::Other(t) => out.push_str(t),
            Line::Source { enabled, text, comment } => {
                out.push_str(if *enabled { "" } else { "# " });
                out.push_str(text);
                if !comment.is_empty() {
                    out.push_str(&format!(" # {comment}"));
                }
            }
        }
        out.push('\n');
    }
    fn is(&self, source: &str) -> bool {
        matches!(self, Line::Source { text, .. } if text == source)
    }
}

/// All files, by path.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<PathBuf, Vec<Line>>);

impl Sources {
    pub fn read(apt: &Path) -> Result<Sources, Failure> {
        let mut files = vec![apt.join("sources.list")];
        let parts = std::fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
        files.extend(parts.map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "list")));
        let mut all = BTreeMap::new();
        for f in files.into_iter().filter(|f| f.is_file()) {
            let data = std::fs::read(&f).map_err(|e| Failure::new(format!("Cannot read {}: {e}", f.display())))?;
            let lines = String::from_utf8_lossy(&data).lines().map(Line::parse).collect();
            all.insert(f, lines);
        }
        Ok(Sources(all))
    }
    /// True if the source is there and enabled.
    pub fn has(&self, source: &str) -> bool {
        self.0.values().flatten().any(|l| l.is(source) && matches!(l, Line::Source { enabled: true, .. }))
    }
    /// Enables the source wherever it is, or puts it into `file`.
    pub fn add(&mut self, source: &str, file: PathBuf) {
        let mut found = false;
        for l in self.0.values_mut().flatten().filter(|l| l.is(source)) {
            if let Line::Source { enabled, .. } = l {
                *enabled = true;
                found = true;
            }
        }
        if !found {
            let line = Line::Source { enabled: true, text: source.to_owned(), comment: String::new() };
            self.0.entry(file).or_default().push(line);
        }
    }
    /// Takes the source away wherever it is enabled.
    pub fn remove(&mut self, source: &str) {
        for lines in self.0.values_mut() {
            lines.retain(|l| !(l.is(source) && matches!(l, Line::Source { enabled: true, .. })));
        }
    }
    /// The files' contents; a file without lines is none.
    pub fn texts(&self) -> BTreeMap<PathBuf, String> {
        let text = |lines: &Vec<Line>| {
            let mut out = String::new();
            lines.iter().for_each(|l| l.write(&mut out));
            out
        };
        self.0.iter().filter(|(_, l)| !l.is_empty()).map(|(p, l)| (p.clone(), text(l))).collect()
    }
}

/// The name for a source's file, without `.list`: its address without options, scheme and credentials.
pub fn file_stem(source: &str) -> String {
    let mut plain = String::new();
    let mut rest = source;
    while let Some((head, tail)) = rest.split_once('[') {
        plain.push_str(head);
        match tail.split_once(']') {
            Some((_, after)) => rest = after,
            None => {
                plain.push('[');
                rest = tail;
            }
        }
    }
    plain.push_str(rest);
    let word = plain.split_whitespace().find(|w| !matches!(*w, "deb" | "deb-src")).unwrap_or("");
    let word = word.split_once("://").map_or(word, |(_, r)| r);
    let word = word.split_once('@').map_or(word, |(_, r)| r);
    words_of(word)
}

/// Letters and digits, with underscores for everything between them.
pub fn words_of(s: &str) -> String {
    let parts: Vec<&str> = s.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()).collect();
    parts.join("_")
}

/// Where a file of this name is; one with a slash is a path already.
pub fn path_of(apt: &Path, stem: &str) -> PathBuf {
    let name = format!("{stem}.list");
    if stem.contains('/') { PathBuf::from(name) } else { apt.join("sources.list.d").join(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut out = String::new();
        for l in ["deb  http://h  s   m   # why", "#deb http://h s m", "# deb is a word", "", "x"] {
            Line::parse(l).write(&mut out);
        }
        assert_eq!(out, "deb http://h s m # why\n# deb http://h s m\n# deb is a word\n\nx\n");
    }

    #[test]
    fn names_of_files() {
        assert_eq!(
            file_stem("deb [arch=amd64 signed-by=/x] http://u:p@h.example.org/x/y stable/"),
            "h_example_org_x_y"
        );
        assert_eq!(file_stem("deb file:/nonexistent/repo ./"), "file_nonexistent_repo");
        assert_eq!(file_stem("deb http://[::1]/x stable main"), "x");
        assert_eq!(path_of(Path::new("/etc/apt"), "a"), Path::new("/etc/apt/sources.list.d/a.list"));
        assert_eq!(path_of(Path::new("/etc/apt"), "/b/c.list"), Path::new("/b/c.list.list"));
    }
}
