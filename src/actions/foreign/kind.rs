//! What kind of module a file is, and what its first line asks to be run with.

use regex::bytes::Regex;
use std::sync::LazyLock;

/// The text that stands for the arguments as JSON.
pub const JSON_ARGS: &str = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>";
/// The older way to ask for AnsibleModule.
pub const COMMON: &str = "#<<INCLUDE_ANSIBLE_MODULE_COMMON>>";

/// How a module gets its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Python with AnsibleModule: packed with its `module_utils`.
    Python,
    /// The arguments are put into its text, for [`JSON_ARGS`].
    JsonArgs,
    /// Reads a file of JSON, named by its first argument.
    WantJson,
    /// A program in machine code: a file of JSON too.
    Binary,
    /// Reads a file of `key=value`, named by its first argument.
    OldStyle,
    /// PowerShell.
    Windows,
}

/// Tells the kind from a module's bytes, by the rules of
/// <https://docs.ansible.com/ansible/latest/dev_guide/developing_program_flow_modules.html>.
pub fn kind(data: &[u8]) -> Kind {
    static USES_UTILS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?-u)(?:from\s+\.{2,}\s*module_utils\S*\s+import\s|(?:from|import)\s+ansible_collections\.[^.\s]+\.[^.\s]+\.plugins\.module_utils|from\s+ansible\.module_utils\S*\s+import\s|import\s+ansible\.module_utils\.)",
        )
        .ok()
    });
    let has = |text: &str| data.windows(text.len()).any(|w| w == text.as_bytes());
    if is_binary(data) {
        Kind::Binary
    } else if has(COMMON) || USES_UTILS.as_ref().is_some_and(|r| r.is_match(data)) {
        Kind::Python
    } else if has("#Requires -Module") || has("#AnsibleRequires -") || has("# POWERSHELL_COMMON") {
        Kind::Windows
    } else if has(JSON_ARGS) {
        Kind::JsonArgs
    } else if has("WANT_JSON") {
        Kind::WantJson
    } else {
        Kind::OldStyle
    }
}

/// Control characters in the first part that no text has.
fn is_binary(data: &[u8]) -> bool {
    let start = data.get(..data.len().min(1024)).unwrap_or(data);
    start.iter().any(|b| !matches!(b, 7..=10 | 12 | 13 | 27 | 0x20..=0x7e | 0x80..=0xff))
}

/// The words of the `#!` line: the interpreter and its arguments.
pub fn shebang(data: &[u8]) -> Option<Vec<String>> {
    let line = data.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let words = crate::modules::support::shlex::split(line.trim()).ok()?;
    (!words.is_empty()).then_some(words)
}

/// The name under which `ansible_NAME_interpreter` may replace the interpreter of a `#!` line: `python`
/// for every Python.
pub fn interpreter_name(words: &[String]) -> String {
    let base = |w: &String| w.rsplit('/').next().unwrap_or(w).to_string();
    let mut name = words.first().map(base).unwrap_or_default();
    if name == "env" {
        let asked = words.iter().skip(1).find(|w| !w.starts_with('-') && !w.contains('='));
        name = asked.map(base).unwrap_or(name);
    }
    if name.starts_with("python") { "python".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let cases: &[(&[u8], Kind)] = &[
            (b"#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n", Kind::Python),
            (b"import ansible.module_utils.basic\n", Kind::Python),
            (b"from ..module_utils.x import y\n", Kind::Python),
            (b"from ansible_collections.a.b.plugins.module_utils.x import y\n", Kind::Python),
            (b"#<<INCLUDE_ANSIBLE_MODULE_COMMON>>\n", Kind::Python),
            (b"#!/bin/sh\n# WANT_JSON\n", Kind::WantJson),
            (b"#!/usr/bin/python\nx = '''<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>'''\n", Kind::JsonArgs),
            (b"#!/usr/bin/python\nprint('{}')\n", Kind::OldStyle),
            ("#!/bin/sh\necho \u{e9}\n".as_bytes(), Kind::OldStyle),
            (b"\x7fELF\x02\x01\x01\0\0", Kind::Binary),
            (b"#!powershell\n#AnsibleRequires -CSharpUtil Ansible.Basic\n", Kind::Windows),
        ];
        for (data, want) in cases {
            assert_eq!(kind(data), *want, "{}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn first_lines() {
        let name = |t: &str| shebang(t.as_bytes()).map(|w| interpreter_name(&w));
        assert_eq!(name("#!/usr/bin/python3.11 -tt\nx").as_deref(), Some("python"));
        assert_eq!(name("#!/usr/bin/env ruby").as_deref(), Some("ruby"));
        assert_eq!(name("#! /usr/bin/env -S perl -w").as_deref(), Some("perl"));
        assert_eq!(name("#!/bin/sh"), Some("sh".into()));
        assert_eq!(name("# no"), None);
        assert_eq!(name("#!"), None);
    }
}
