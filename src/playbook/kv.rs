//! Free-form arguments: `command: echo hi chdir=/tmp`, `copy: src=a dest=b`.

use crate::diag::{Error, Result, Span};
use crate::value::{Key, Map, Value};

/// Actions whose free text is kept whole as `_raw_params`.
pub const RAW_PARAM: &[&str] = &[
    "add_host",
    "command",
    "expect",
    "group_by",
    "import_role",
    "import_tasks",
    "include",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "raw",
    "script",
    "set_fact",
    "shell",
    "import_playbook",
];

/// The key of text that is no `key=value` but one template: it must render to the arguments.
pub const VARIABLE_PARAMS: &str = "_variable_params";

/// The options that may stand within the free text of command-like modules.
const COMMAND_OPTIONS: &[&str] =
    &["creates", "removes", "chdir", "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends"];

/// Splits text at spaces, but not inside quotes or template delimiters. Quotes are kept.
pub fn split_args(text: &str) -> Result<Vec<String>> {
    Ok(words(text)?.into_iter().map(|(_, word)| word).collect())
}

/// The words of a text, each with the spaces before it; a word keeps the end of its line.
fn words(text: &str) -> Result<Vec<(String, String)>> {
    let mut out: Vec<(String, String)> = vec![];
    let (mut gap, mut cur) = (String::new(), String::new());
    let mut quote: Option<char> = None;
    let mut depth = 0usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote.is_some() || matches!(chars.peek(), Some('\'' | '"' | '\\' | ' ')) => {
                cur.push(c);
                if let Some(n) = chars.next() {
                    cur.push(n);
                }
            }
            '{' if matches!(chars.peek(), Some('{' | '%' | '#')) => {
                depth += 1;
                cur.push(c);
                cur.extend(chars.next());
            }
            '}' | '%' | '#' if depth > 0 && chars.peek() == Some(&'}') => {
                depth -= 1;
                cur.push(c);
                cur.extend(chars.next());
            }
            '\'' | '"' if depth == 0 => {
                match quote {
                    Some(q) if q == c => quote = None,
                    None => quote = Some(c),
                    Some(_) => {}
                }
                cur.push(c);
            }
            c if c.is_whitespace() && quote.is_none() && depth == 0 => {
                if c == '\n' && cur == "\\" {
                    // the line goes on
                    cur.clear();
                    gap.clear();
                    continue;
                }
                if c == '\n' {
                    cur.push('\n');
                }
                if !cur.is_empty() {
                    out.push((std::mem::take(&mut gap), std::mem::take(&mut cur)));
                }
                if c != '\n' {
                    gap.push(c);
                }
            }
            c => cur.push(c),
        }
    }
    if quote.is_some() || depth > 0 {
        return Err(Error::parse(format!(
            "failed at splitting arguments, either an unbalanced jinja2 block or quotes: {text}"
        )));
    }
    if !cur.is_empty() {
        out.push((gap, cur));
    }
    Ok(out)
}

/// Takes one pair of enclosing quotes off.
pub fn unquote(s: &str) -> &str {
    let b = s.as_bytes();
    if b.len() > 1 && b[0] == b[b.len() - 1] && (b[0] == b'"' || b[0] == b'\'') && !s[..s.len() - 1].ends_with('\\') {
        &s[1..s.len() - 1]
    } else {
        s
    }
}

/// Replaces the escapes of Python's string literals, as the words of a `k=v` text have them; others stay.
fn decode_escapes(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match escape(after) {
            Some((c, used)) => {
                out.push(c);
                rest = &after[used..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character that the escape behind a backslash stands for, and the bytes it takes.
fn escape(after: &str) -> Option<(char, usize)> {
    let number = |radix: u32, skip: usize, min: usize, max: usize| {
        let digits: String = after.get(skip..)?.chars().take(max).take_while(|c| c.is_digit(radix)).collect();
        (digits.len() >= min)
            .then(|| u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32))
            .flatten()
            .map(|c| (c, skip + digits.len()))
    };
    match after.chars().next()? {
        c @ ('\\' | '\'' | '"') => Some((c, 1)),
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'v' => Some(('\u{b}', 1)),
        'x' => number(16, 1, 2, 2),
        'u' => number(16, 1, 4, 4),
        'U' => number(16, 1, 8, 8),
        _ => None,
    }
}

/// Reads `k=v k2="v 2" rest`. What is no option becomes `_raw_params`, or, of an action that takes none
/// (`raw` is false), [`VARIABLE_PARAMS`] if it holds a template;
/// with `command`, only the options of command-like modules are taken out of the text.
pub fn parse_kv(text: &str, raw: bool, command: bool, span: Option<Span>) -> Result<Map> {
    let mut out = Map::new();
    let mut rest: Vec<(String, String)> = vec![];
    for (gap, word) in words(text).map_err(|e| e.at(span))? {
        let decoded = decode_escapes(&word);
        let trimmed = decoded.trim_end_matches('\n');
        match find_equals(trimmed) {
            Some(i)
                if (is_option(&trimmed[..i]) || (raw && is_template(&trimmed[..i])))
                    && (!command || COMMAND_OPTIONS.contains(&&trimmed[..i])) =>
            {
                let (k, v) = (trimmed[..i].trim(), unquote(trimmed[i + 1..].trim()));
                out.insert(Key::from(k), Value::trusted(v, span));
            }
            _ => rest.push((gap, word)),
        }
    }
    if command && out.is_empty() && rest.is_empty() && !text.is_empty() {
        // blanks are a command line, too
        out.insert("_raw_params".into(), Value::trusted(text, span));
    }
    if !rest.is_empty() {
        let mut joined = String::new();
        for (gap, w) in &rest {
            // the spaces within the text count: a here-document or a script may be in it
            if !joined.is_empty() {
                joined.push_str(if gap.is_empty() && !joined.ends_with('\n') { " " } else { gap });
            }
            joined.push_str(w);
        }
        // other text with a template is refused when the task runs
        let lone = joined.trim_start().starts_with("{{") && joined.trim_end().ends_with("}}");
        let key = if raw || !lone { "_raw_params" } else { VARIABLE_PARAMS };
        out.insert(key.into(), Value::trusted(joined, span));
    }
    Ok(out)
}

/// A name that is made by templates (`set_fact: "{{ name }}=value"`, `user_{{ n }}=value`).
fn is_template(k: &str) -> bool {
    let (mut rest, mut found) = (k, false);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((_, after)) = after.split_once("}}") else { return false };
        if !before.is_empty() && !is_option(before) {
            return false;
        }
        (rest, found) = (after, true);
    }
    found && (rest.is_empty() || is_option(rest))
}

fn is_option(k: &str) -> bool {
    !k.is_empty() && k.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@'))
}

/// Position of the first `=` that is not escaped.
fn find_equals(s: &str) -> Option<usize> {
    let b = s.as_bytes();
    (1..b.len()).find(|i| b[*i] == b'=' && b[i - 1] != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(t: &str, raw: bool, command: bool) -> Vec<(String, String)> {
        parse_kv(t, raw, command, None).expect("parses").into_iter().map(|(k, v)| (k.to_string(), v.to_str())).collect()
    }
    fn own(v: &[(&str, &str)]) -> Vec<(String, String)> {
        v.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    #[test]
    fn spaces_within_free_text_stay() {
        let script = "cat <<X chdir=/tmp\n  a  b\n\n\tc\nX\n";
        assert_eq!(kv(script, true, true), own(&[("chdir", "/tmp"), ("_raw_params", "cat <<X  a  b\n\n\tc\nX\n")]));
        assert_eq!(kv("  echo \\\n  a", true, true), own(&[("_raw_params", "echo  a")]));
    }

    #[test]
    fn pairs_and_raw() {
        assert_eq!(
            kv("a=1 b=\"x y\" c={{ d | default('e f') }}", false, false),
            own(&[("a", "1"), ("b", "x y"), ("c", "{{ d | default('e f') }}")])
        );
        assert_eq!(kv("echo a=b chdir=/tmp", true, true), own(&[("chdir", "/tmp"), ("_raw_params", "echo a=b")]));
        assert_eq!(
            kv(r#"a="x\ny" b='\\d \x41\u00e9\101' c="say \"hi\"" d=\q"#, false, false),
            own(&[("a", "x\ny"), ("b", "\\d Aé\\101"), ("c", "say \"hi\""), ("d", "\\q")])
        );
        assert_eq!(kv(r"echo a\nb \= c", true, true), own(&[("_raw_params", r"echo a\nb \= c")]));
        assert_eq!(kv("echo 'it is' \"so  far\"", true, true), own(&[("_raw_params", "echo 'it is' \"so  far\"")]));
    }

    #[test]
    fn unbalanced_is_refused() {
        assert!(parse_kv("msg='abc", false, false, None).is_err());
        assert_eq!(kv("a=1 just words", false, false), own(&[("a", "1"), ("_raw_params", "just words")]));
    }

    #[test]
    fn damaged_text_is_an_error_or_arguments() {
        let seeds = [
            "src=a dest='b c' mode=\"{{ m | default('0644') }}\" x={% if a %}1{% endif %}",
            "echo \\x41 \\u263a chdir=/tmp",
        ];
        let pieces = ["'", "\"", "{{", "}}", "{%", "\\", "\\x", "\\N{", "=", " ", "\n", "é", "{#", "\\U0011ffff"];
        crate::damage::text_withstands(&seeds, &pieces, 3000, |text| {
            for (raw, command) in [(false, false), (true, false), (true, true)] {
                let _ = parse_kv(text, raw, command, None);
            }
        });
    }
}
