//! Splitting and joining of command lines by POSIX rules, as Python's `shlex` does.

/// Splits a command line; the error is `No closing quotation` or `No escaped character`.
pub fn split(s: &str) -> Result<Vec<String>, &'static str> {
    words(s, false)
}

/// As [`split`]; a `#` outside quotes ends the line, also inside a word, as with `shlex.split(s, comments=True)`.
pub fn split_commented(s: &str) -> Result<Vec<String>, &'static str> {
    words(s, true)
}

fn words(s: &str, comments: bool) -> Result<Vec<String>, &'static str> {
    let mut out = vec![];
    let mut word: Option<String> = None;
    let mut chars = s.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => out.extend(word.take()),
            '#' if comments => break,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("No escaped character")?),
            '\'' => {
                let w = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("No closing quotation")? {
                        '\'' => break,
                        c => w.push(c),
                    }
                }
            }
            '"' => {
                let w = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("No closing quotation")? {
                        '"' => break,
                        '\\' => match chars.next().ok_or("No escaped character")? {
                            c @ ('"' | '\\') => w.push(c),
                            c => w.extend(['\\', c]),
                        },
                        c => w.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Ok(out)
}

/// One word quoted for a POSIX shell, as Python's `shlex.quote` does.
pub fn quote(s: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if s.is_empty() {
        "''".into()
    } else if s.chars().all(safe) {
        s.into()
    } else {
        format!("'{}'", s.replace('\'', "'\"'\"'"))
    }
}

/// Words quoted and joined by spaces.
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|w| quote(w.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_python() {
        assert_eq!(split(r#"a "b c"'d' e\ f "" "x\"y\n" "#).expect("ok"), ["a", "b cd", "e f", "", r#"x"y\n"#]);
        assert_eq!(split("a 'b"), Err("No closing quotation"));
        assert_eq!(split("a \\"), Err("No escaped character"));
    }

    // Recorded from shlex.split(text, comments=True).
    #[test]
    fn comments_as_python() {
        for (text, want) in [
            ("h a=1 b='x y'  c=\"p q\"", vec!["h", "a=1", "b=x y", "c=p q"]),
            (r#"h a="[ \"x\" ]" b=\ x"#, vec!["h", "a=[ \"x\" ]", "b= x"]),
            ("h a=1 # c", vec!["h", "a=1"]),
            ("h a=b#c d", vec!["h", "a=b"]),
            ("h a='b#c' d=''", vec!["h", "a=b#c", "d="]),
            (r#"h "a\n" '\'"#, vec!["h", "a\\n", "\\"]),
            ("", vec![]),
        ] {
            assert_eq!(split_commented(text).expect(text), want, "{text}");
        }
        assert_eq!(split_commented("h a='b"), Err("No closing quotation"));
        assert_eq!(split_commented("h \\"), Err("No escaped character"));
    }

    #[test]
    fn quotes_as_python() {
        assert_eq!(join(&["ls", "a b", "it's", ""]), "ls 'a b' 'it'\"'\"'s' ''");
    }
}
