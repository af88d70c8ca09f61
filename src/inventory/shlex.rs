//! Splitting a host line as Python's `shlex.split(line, comments=True)` does.

/// The words of a line. A `#` outside quotes ends the line, also inside a word.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => out.extend(word.take()),
            '#' => break,
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
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("No escaped character")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::split;

    // Recorded from shlex.split(text, comments=True).
    #[test]
    fn as_python() {
        for (text, want) in [
            ("h a=1 b='x y'  c=\"p q\"", vec!["h", "a=1", "b=x y", "c=p q"]),
            (r#"h a="[ \"x\" ]" b=\ x"#, vec!["h", "a=[ \"x\" ]", "b= x"]),
            ("h a=1 # c", vec!["h", "a=1"]),
            ("h a=b#c d", vec!["h", "a=b"]),
            ("h a='b#c' d=''", vec!["h", "a=b#c", "d="]),
            (r#"h "a\n" '\'"#, vec!["h", "a\\n", "\\"]),
            ("", vec![]),
        ] {
            assert_eq!(split(text).expect(text), want, "{text}");
        }
        assert_eq!(split("h a='b"), Err("No closing quotation"));
        assert_eq!(split("h \\"), Err("No escaped character"));
    }
}
