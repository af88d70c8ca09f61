//! Python's regular expressions over fancy-regex: syntax, flags, replacement texts, `regex_escape`.

use super::py::{Res, error, fail};
use fancy_regex::{Captures, Regex};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

/// Patterns already compiled: the same ones come back for every host.
type Compiled = HashMap<(String, Flags), Arc<Regex>>;
static COMPILED: LazyLock<RwLock<Compiled>> = LazyLock::new(Default::default);
const MAX_COMPILED: usize = 1000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    pub ignorecase: bool,
    pub multiline: bool,
    /// The text ends with a line break, before which `$` matches too.
    newline_end: bool,
}

impl Flags {
    pub fn new(ignorecase: bool, multiline: bool) -> Flags {
        Flags { ignorecase, multiline, newline_end: false }
    }
}

/// Compiles a Python pattern for use on `text`.
pub fn compile(pattern: &str, mut flags: Flags, text: &str) -> Res<Arc<Regex>> {
    flags.newline_end = text.ends_with('\n');
    let key = (pattern.to_string(), flags);
    if let Some(hit) = COMPILED.read().unwrap_or_else(|e| e.into_inner()).get(&key) {
        return Ok(hit.clone());
    }
    let mut prefix = String::new();
    if flags.ignorecase {
        prefix.push_str("(?i)");
    }
    if flags.multiline {
        prefix.push_str("(?m)");
    }
    let text = prefix + &translate(pattern, flags)?;
    let re = Regex::new(&text).map_err(|e| error(words(pattern, &e.to_string())))?;
    let re = Arc::new(re);
    let mut all = COMPILED.write().unwrap_or_else(|e| e.into_inner());
    if all.len() >= MAX_COMPILED {
        all.clear();
    }
    all.insert(key, re.clone());
    Ok(re)
}

/// Python's words for the usual mistakes; the library's otherwise.
fn words(pattern: &str, message: &str) -> String {
    let mut open = vec![];
    let (mut class, mut escaped) = (false, false);
    for (i, c) in pattern.chars().enumerate() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if !class => class = true,
            ']' if class => class = false,
            '(' if !class => open.push(i),
            ')' if !class && open.pop().is_none() => return format!("unbalanced parenthesis at position {i}"),
            _ => {}
        }
    }
    if escaped {
        return format!("bad escape (end of pattern) at position {}", pattern.chars().count().saturating_sub(1));
    }
    if class {
        let at = pattern.rfind('[').map_or(0, |b| pattern.get(..b).unwrap_or("").chars().count());
        return format!("unterminated character set at position {at}");
    }
    if let Some(at) = open.pop() {
        return format!("missing ), unterminated subpattern at position {at}");
    }
    if pattern.starts_with(['*', '+', '?']) {
        return "nothing to repeat at position 0".to_string();
    }
    let doubled = pattern.as_bytes().windows(2).position(|w| matches!(w, b"**" | b"+*" | b"?*" | b"*+" | b"++"));
    if let Some(at) = doubled {
        return format!("multiple repeat at position {}", at + 1);
    }
    if let Some((at, flag)) = unknown_extension(pattern) {
        return format!("unknown extension ?{flag} at position {at}");
    }
    if let Some(at) = wrong_counts(pattern) {
        return format!("min repeat greater than max repeat at position {at}");
    }
    format!("invalid regular expression {pattern:?}: {message}")
}

/// The place and letter of a group such as `(?z`.
fn unknown_extension(pattern: &str) -> Option<(usize, char)> {
    let chars: Vec<char> = pattern.chars().collect();
    chars.windows(3).enumerate().find_map(|(i, w)| match w {
        ['(', '?', x] if x.is_ascii_alphabetic() && !"PaiLmsux".contains(*x) => Some((i + 1, *x)),
        _ => None,
    })
}

/// The place of a repetition such as `{2,1}`.
fn wrong_counts(pattern: &str) -> Option<usize> {
    pattern.match_indices('{').find_map(|(i, _)| {
        let (low, high) = pattern.get(i + 1..)?.split_once('}')?.0.split_once(',')?;
        let wrong = low.parse::<u64>().ok()? > high.parse::<u64>().ok()?;
        wrong.then(|| pattern.get(..i).unwrap_or("").chars().count() + 1)
    })
}

/// What differs in writing: `\Z`, `$` before a last line break, `{` that begins no repetition,
/// `[` within a class, `(?P=name)`, `(?#…)`, escapes of letters that mean nothing here.
fn translate(pattern: &str, flags: Flags) -> Res<String> {
    let chars: Vec<char> = pattern.chars().collect();
    let at = |i: usize| chars.get(i).copied();
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut i, mut multiline) = (0, flags.multiline);
    while let Some(c) = at(i) {
        match c {
            '\\' => {
                match at(i + 1) {
                    None => return fail(words(pattern, "")),
                    Some('Z') => out.push_str("\\z"),
                    Some('/' | '"' | '\'' | ',' | ':' | ';' | '=' | '!' | '@' | '%' | '`' | '_' | ' ' | '<' | '>') => {
                        // Python takes any escaped sign for itself
                        if let Some(x) = at(i + 1) {
                            out.push_str(&fancy_regex::escape(&x.to_string()));
                        }
                    }
                    Some(x) => {
                        out.push('\\');
                        out.push(x);
                    }
                }
                i += 2;
                continue;
            }
            '[' => {
                i = class(&chars, i, &mut out);
                continue;
            }
            '$' if !multiline && flags.newline_end => out.push_str("(?=\\n?\\z)"),
            '{' => {
                let digits: String = chars.iter().skip(i + 1).take_while(|c| **c != '}').collect();
                let counts = at(i + 1 + digits.chars().count()) == Some('}')
                    && !digits.is_empty()
                    && digits != ","
                    && digits.chars().all(|c| c.is_ascii_digit() || c == ',')
                    && digits.matches(',').count() <= 1;
                match digits.strip_prefix(',') {
                    _ if !counts => out.push_str("\\{"),
                    Some(most) => {
                        out.push_str(&format!("{{0,{most}}}"));
                        i += digits.chars().count() + 2;
                        continue;
                    }
                    None => out.push('{'),
                }
            }
            '}' => {
                // the end of a repetition if one is open, itself otherwise
                let open = out.rfind('{').is_some_and(|o| {
                    !out.get(..o).unwrap_or("").ends_with('\\')
                        && out
                            .get(o + 1..)
                            .is_some_and(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit() || c == ','))
                });
                out.push_str(if open { "}" } else { "\\}" });
            }
            '(' if at(i + 1) == Some('?') => {
                let rest: String = chars.iter().skip(i + 2).take_while(|c| **c != ')').collect();
                if rest.starts_with('#') {
                    i += rest.chars().count() + 3;
                    continue;
                }
                if let Some(name) = rest.strip_prefix("P=") {
                    out.push_str(&format!("\\k<{name}>"));
                    i += rest.chars().count() + 3;
                    continue;
                }
                // flags for the whole: `a`, `u` and `L` mean nothing for text
                if !rest.is_empty() && rest.chars().all(|c| "aiLmsux".contains(c)) {
                    let kept: String = rest.chars().filter(|c| "imsx".contains(*c)).collect();
                    multiline |= kept.contains('m');
                    if !kept.is_empty() {
                        out.push_str(&format!("(?{kept})"));
                    }
                    i += rest.chars().count() + 3;
                    continue;
                }
                out.push('(');
            }
            c => out.push(c),
        }
        i += 1;
    }
    Ok(out)
}

/// Copies a class `[…]`; signs that have a meaning there only in Rust are escaped. The place after it.
fn class(chars: &[char], start: usize, out: &mut String) -> usize {
    let at = |i: usize| chars.get(i).copied();
    out.push('[');
    let mut i = start + 1;
    if at(i) == Some('^') {
        out.push('^');
        i += 1;
    }
    if at(i) == Some(']') {
        out.push_str("\\]");
        i += 1;
    }
    while let Some(c) = at(i) {
        match c {
            ']' => {
                out.push(']');
                return i + 1;
            }
            '[' => out.push_str("\\["),
            '&' | '~' | '-' if at(i + 1) == Some(c) => {
                out.push('\\');
                out.push(c);
            }
            '\\' => {
                match at(i + 1) {
                    Some(x) if x.is_ascii_alphanumeric() && x != 'b' => {
                        out.push('\\');
                        out.push(x);
                    }
                    Some('b') => out.push_str("\\x08"),
                    Some(x) if x.is_ascii() => {
                        out.push('\\');
                        out.push(x);
                    }
                    Some(x) => out.push(x),
                    None => out.push_str("\\\\"),
                }
                i += 1;
            }
            c => out.push(c),
        }
        i += 1;
    }
    i
}

/// All matches from left to right as Python finds them: an empty one may follow right after another.
pub fn find_all<'t>(re: &Regex, text: &'t str) -> Res<Vec<Captures<'t>>> {
    let mut out = vec![];
    let (mut pos, mut advance) = (0usize, false);
    while pos <= text.len() {
        let Some(found) = re.captures_from_pos(text, pos).map_err(runaway)? else { break };
        let Some(all) = found.get(0) else { break };
        let (start, end) = (all.start(), all.end());
        if advance && start == end && start == pos {
            // the same empty match again: go on one letter later
            advance = false;
            pos += text.get(pos..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8);
            continue;
        }
        advance = start == end;
        pos = end;
        out.push(found);
    }
    Ok(out)
}

/// One part of a replacement text.
pub enum Part {
    Text(String),
    Group(usize),
    Name(String),
}

/// Reads `\1`, `\g<1>`, `\g<name>`, `\n`, `\\` … of a replacement text.
pub fn template(text: &str, groups: usize) -> Res<Vec<Part>> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied();
    let mut parts = vec![];
    let mut plain = String::new();
    let mut i = 0;
    let group = |n: usize, at: usize| {
        if n > groups { fail(format!("invalid group reference {n} at position {at}")) } else { Ok(Part::Group(n)) }
    };
    while let Some(c) = at(i) {
        if c != '\\' {
            plain.push(c);
            i += 1;
            continue;
        }
        let Some(next) = at(i + 1) else { return fail(format!("bad escape (end of pattern) at position {i}")) };
        match next {
            'g' => {
                if at(i + 2) != Some('<') {
                    return fail(format!("missing < at position {}", i + 2));
                }
                let name: String = chars.iter().skip(i + 3).take_while(|c| **c != '>').collect();
                let end = i + 3 + name.chars().count();
                if name.is_empty() {
                    return fail(format!("missing group name at position {}", i + 3));
                }
                if at(end) != Some('>') {
                    return fail(format!("missing >, unterminated name at position {}", i + 3));
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(match name.parse::<usize>() {
                    Ok(n) => group(n, i + 3)?,
                    Err(_) => Part::Name(name),
                });
                i = end + 1;
                continue;
            }
            '0' => {
                let octal: String = chars.iter().skip(i + 1).take(3).take_while(|c| matches!(c, '0'..='7')).collect();
                plain.extend(u32::from_str_radix(&octal, 8).ok().and_then(char::from_u32));
                i += 1 + octal.len();
                continue;
            }
            '1'..='9' => {
                let second = at(i + 2).filter(char::is_ascii_digit);
                let number: String = [Some(next), second].into_iter().flatten().collect();
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(group(number.parse().unwrap_or(usize::MAX), i + 1)?);
                i += 1 + number.len();
                continue;
            }
            'n' => plain.push('\n'),
            't' => plain.push('\t'),
            'r' => plain.push('\r'),
            'a' => plain.push('\u{7}'),
            'b' => plain.push('\u{8}'),
            'f' => plain.push('\u{c}'),
            'v' => plain.push('\u{b}'),
            '\\' => plain.push('\\'),
            c if c.is_ascii_alphabetic() => return fail(format!("bad escape \\{c} at position {i}")),
            c => {
                plain.push('\\');
                plain.push(c);
            }
        }
        i += 2;
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// Writes a replacement for one match.
pub fn expand(parts: &[Part], found: &Captures, out: &mut String) -> Res<()> {
    for part in parts {
        match part {
            Part::Text(t) => out.push_str(t),
            Part::Group(n) => out.push_str(found.get(*n).map_or("", |m| m.as_str())),
            Part::Name(n) => out.push_str(found.name(n).map_or("", |m| m.as_str())),
        }
    }
    Ok(())
}

/// `re.escape`
pub fn escape(s: &str) -> String {
    let special = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    s.chars().flat_map(|c| special.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Escapes for POSIX basic expressions.
pub fn escape_posix_basic(s: &str) -> String {
    s.chars().flat_map(|c| "].[$*\\^".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Runs out of patience on patterns that go wild.
pub fn runaway(e: fancy_regex::Error) -> minijinja::Error {
    error(format!("regular expression failed: {e}"))
}
