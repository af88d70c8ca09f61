//! Reads the import statements out of Python source, without running it.

/// One imported name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Leading dots of a relative import.
    pub level: usize,
    /// The dotted name after `import` or `from`.
    pub module: String,
    /// What `from … import` takes out of it; empty for a plain `import`, `*` for everything.
    pub names: Vec<String>,
    /// True at the top level of the file: without it the module cannot start. Others may be guarded.
    pub required: bool,
}

/// Every import statement of the source, in order.
pub fn imports(source: &str) -> Vec<Import> {
    let mut out = vec![];
    for line in logical_lines(source) {
        for (i, part) in line.text.split(';').enumerate() {
            // `try: import x` and its kin: what stands before the last colon opens a block
            let text = part.trim();
            let (text, inner) = match text.find(':') {
                Some(at) if opens_block(text) => (text.get(at + 1..).unwrap_or("").trim(), true),
                _ => (text, i > 0 && line.text.split(';').next().is_some_and(opens_block)),
            };
            let required = !line.indented && !inner;
            if let Some(rest) = keyword(text, "import") {
                for name in rest.split(',') {
                    let module = first_word(name);
                    if !module.is_empty() {
                        out.push(Import { level: 0, module, names: vec![], required });
                    }
                }
            } else if let Some(rest) = keyword(text, "from")
                && let Some((module, names)) = split_import(rest)
            {
                let level = module.chars().filter(|c| *c == '.').count()
                    - module.trim_start_matches(['.', ' ']).chars().filter(|c| *c == '.').count();
                let module: String = module.trim_start_matches(['.', ' ']).split_whitespace().collect();
                let names = names.trim_matches(['(', ')', ' ']).split(',').map(first_word);
                let names: Vec<String> = names.filter(|n| !n.is_empty()).collect();
                out.push(Import { level, module, names, required });
            }
        }
    }
    out
}

fn opens_block(text: &str) -> bool {
    ["try", "if", "else", "elif", "except", "finally", "with", "for", "while", "def", "class"]
        .iter()
        .any(|k| keyword(text, k).is_some() || text.strip_prefix(k).is_some_and(|r| r.trim_start().starts_with(':')))
}

/// The text after a keyword that stands at the beginning.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    (rest.starts_with([' ', '\t', '.']) && (word == "from" || !rest.starts_with('.'))).then(|| rest.trim_start())
}

/// `module import names` in two.
fn split_import(text: &str) -> Option<(&str, &str)> {
    let at = text.match_indices("import").find(|(i, w)| {
        let before = text.get(..*i).unwrap_or("");
        let after = text.get(i + w.len()..).unwrap_or("");
        before.ends_with([' ', '\t', '.']) && after.starts_with([' ', '\t', '(', '*'])
    })?;
    Some((text.get(..at.0)?.trim_end(), text.get(at.0 + at.1.len()..)?.trim()))
}

fn first_word(s: &str) -> String {
    s.split_whitespace().next().unwrap_or("").trim_matches(['(', ')']).to_string()
}

struct Line {
    text: String,
    indented: bool,
}

/// Statements as Python sees them: comments and strings taken out, continued lines joined.
fn logical_lines(source: &str) -> Vec<Line> {
    let mut out = vec![];
    let mut cur = Line { text: String::new(), indented: false };
    let (mut depth, mut begun) = (0usize, false);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '#' => taken = rest.find('\n').unwrap_or(rest.len()),
            '\'' | '"' => {
                taken = string_end(rest, c);
                cur.text.push('"');
                begun = true;
            }
            '\\' if rest.starts_with("\\\n") || rest.starts_with("\\\r\n") => {
                taken = rest.find('\n').map_or(1, |n| n + 1);
                cur.text.push(' ');
            }
            '\n' if depth == 0 => {
                if begun {
                    out.push(std::mem::replace(&mut cur, Line { text: String::new(), indented: false }));
                } else {
                    cur = Line { text: String::new(), indented: false };
                }
                begun = false;
            }
            '\n' | '\r' => cur.text.push(' '),
            c => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if c.is_whitespace() && !begun {
                    cur.indented = true;
                } else {
                    begun = true;
                    cur.text.push(c);
                }
            }
        }
        rest = rest.get(taken..).unwrap_or("");
    }
    if begun {
        out.push(cur);
    }
    out
}

/// The length of the string literal at the beginning of `rest`.
fn string_end(rest: &str, quote: char) -> usize {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let long = rest.starts_with(&triple);
    let end = if long { triple } else { quote.to_string() };
    let mut at = end.len();
    while let Some(tail) = rest.get(at..).filter(|t| !t.is_empty()) {
        if tail.starts_with(&end) {
            return at + end.len();
        }
        let mut chars = tail.chars();
        let c = chars.next().unwrap_or(quote);
        at += c.len_utf8();
        if c == '\\' {
            at += chars.next().map_or(0, char::len_utf8);
        } else if c == '\n' && !long {
            // an unfinished string ends with its line
            return at - 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> Vec<String> {
        imports(source)
            .iter()
            .map(|i| {
                let dots = ".".repeat(i.level);
                let must = if i.required { "" } else { "?" };
                format!("{must}{dots}{}[{}]", i.module, i.names.join(","))
            })
            .collect()
    }

    #[test]
    fn every_form() {
        let text = r#"#!/usr/bin/python
"""from ansible.module_utils.doc import nothing
"""
from __future__ import annotations; import os, sys as system
import ansible.module_utils.basic  # from x import y
from ansible.module_utils.a import (
    one,  # first
    two as zwei,
)
from ..module_utils.util2 import two
from . import my_util2
from .. import (a, b)
from ...  import *
s = 'import no' + "from no import no"; x = "it's"
from ansible.module_utils.long \
    import name
try:
    from ansible.module_utils.opt import x
except ImportError: import ansible.module_utils.other
def f():
    import ansible.module_utils.inner
if x: from ansible.module_utils.cond import y
important = 1
from ansible.module_utils.importer import reimport
a = {'k': 1,
from_here: 2}
"#;
        assert_eq!(
            told(text),
            [
                "__future__[annotations]",
                "os[]",
                "sys[]",
                "ansible.module_utils.basic[]",
                "ansible.module_utils.a[one,two]",
                "..module_utils.util2[two]",
                ".[my_util2]",
                "..[a,b]",
                "...[*]",
                "ansible.module_utils.long[name]",
                "?ansible.module_utils.opt[x]",
                "?ansible.module_utils.other[]",
                "?ansible.module_utils.inner[]",
                "?ansible.module_utils.cond[y]",
                "ansible.module_utils.importer[reimport]",
            ]
        );
    }

    #[test]
    fn odd_text_ends() {
        for t in ["'", "'''", "from", "from x", "import", "\\", "from x import", "(((", "f'{x", "from .", "import ,"] {
            let _ = imports(t);
        }
    }
}
