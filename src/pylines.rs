//! Lines as Python's `str.splitlines()` cuts them: at `\n`, `\r\n`, `\r`, and at what Unicode calls the end of a line.

const ENDS: [char; 10] = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// The lines with their ends; the last one may have none.
pub fn with_ends(text: &str) -> Vec<&str> {
    let mut lines = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ENDS).map_or(rest.len(), |at| {
            let end = &rest[at..];
            at + if end.starts_with("\r\n") { 2 } else { end.chars().next().map_or(0, char::len_utf8) }
        });
        let (line, after) = rest.split_at(end);
        lines.push(line);
        rest = after;
    }
    lines
}

/// The lines without their ends.
pub fn lines(text: &str) -> Vec<&str> {
    with_ends(text).into_iter().map(|l| l.strip_suffix("\r\n").or_else(|| l.strip_suffix(ENDS)).unwrap_or(l)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_lines() {
        let text = "a\r\nb\r\rc\u{c}d\u{2028}\n\ne";
        assert_eq!(with_ends(text), ["a\r\n", "b\r", "\r", "c\u{c}", "d\u{2028}", "\n", "\n", "e"]);
        assert_eq!(lines(text), ["a", "b", "", "c", "d", "", "", "e"]);
        assert_eq!(lines("a\n"), ["a"]);
        assert_eq!(lines(""), [""; 0]);
    }
}
