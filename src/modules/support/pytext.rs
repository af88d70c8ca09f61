//! Python's ways with text and errors, where results show them.

use std::io;
use std::path::Path;

/// `[Errno 13] Permission denied: '/etc/x'`, as Python prints an `OSError`.
pub fn os_error(e: &io::Error, path: &Path) -> String {
    match e.raw_os_error() {
        Some(code) => {
            let words = nix::errno::Errno::from_raw(code).desc();
            format!("[Errno {code}] {words}: {}", repr(&path.to_string_lossy()))
        }
        None => format!("{e}: {}", repr(&path.to_string_lossy())),
    }
}

/// Python's `repr()` of text.
pub fn repr(s: &str) -> String {
    let mut out = String::new();
    crate::value::py_repr_str(s, &mut out);
    out
}

/// Output as text; where it is not UTF-8 the failure has the words in which ansible-core's controller refuses it.
pub fn strict_utf8(data: &[u8]) -> Result<String, crate::modules::Failure> {
    let e = match std::str::from_utf8(data) {
        Ok(t) => return Ok(t.to_owned()),
        Err(e) => e,
    };
    // Python names each bad byte by its surrogate, and the position in characters.
    let (good, bad) = data.split_at(e.valid_up_to());
    let at = String::from_utf8_lossy(good).chars().count();
    let run = bad.iter().scan(bad, |rest, _| {
        let is_bad = std::str::from_utf8(rest).is_err_and(|e| e.valid_up_to() == 0);
        *rest = rest.get(1..).unwrap_or_default();
        is_bad.then_some(())
    });
    let what = match (run.count(), bad.first()) {
        (1, Some(b)) => format!("character '\\udc{b:02x}' in position {at}"),
        (n, _) => format!("characters in position {at}-{}", at + n.saturating_sub(1)),
    };
    Err(crate::modules::Failure::new(format!(
        "Task failed: Refusing to deserialize an invalid UTF8 string value: 'utf-8' codec can't encode {what}: surrogates not allowed"
    )))
}

/// Bytes as text; where they are not UTF-8, the words of Python's `UnicodeDecodeError`.
pub fn utf8(data: Vec<u8>) -> Result<String, String> {
    String::from_utf8(data).map_err(|e| {
        let (at, data) = (e.utf8_error().valid_up_to(), e.as_bytes());
        let rest = data.get(at..).unwrap_or_default();
        let byte = rest.first().copied().unwrap_or_default();
        // how many bytes belong to the broken character
        let run = e.utf8_error().error_len().unwrap_or(rest.len());
        let why = match (e.utf8_error().error_len(), byte) {
            (None, _) => "unexpected end of data",
            (_, 0xc2..=0xf4) => "invalid continuation byte",
            _ => "invalid start byte",
        };
        match run {
            0 | 1 => format!("'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: {why}"),
            n => format!("'utf-8' codec can't decode bytes in position {at}-{}: {why}", at + n - 1),
        }
    })
}

/// Lines with their ends, as `bytes.splitlines(True)` cuts them: at `\n`, `\r\n` and `\r`.
pub fn split_lines_keep(data: &[u8]) -> Vec<&[u8]> {
    let mut lines = vec![];
    let mut start = 0;
    let mut i = 0;
    while let Some(b) = data.get(i) {
        i += 1;
        if *b == b'\r' && data.get(i) == Some(&b'\n') {
            i += 1;
        }
        if matches!(b, b'\n' | b'\r') {
            lines.extend(data.get(start..i));
            start = i;
        }
    }
    if start < data.len() {
        lines.extend(data.get(start..));
    }
    lines
}

/// Lines with their ends, as `file.readlines()` in binary mode cuts them: at `\n` only.
pub fn read_lines(data: &[u8]) -> Vec<Vec<u8>> {
    data.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

/// A line without its end (`\r` and `\n` taken off the right).
pub fn chomp(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
    line.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(split_lines_keep(b"a\r\nb\rc\nd"), [&b"a\r\n"[..], b"b\r", b"c\n", b"d"]);
        assert_eq!(read_lines(b"a\r\nb\n"), [b"a\r\n".to_vec(), b"b\n".to_vec()]);
        assert_eq!(chomp(b"x\r\n"), b"x");
        assert_eq!(chomp(b"\n"), b"");
    }

    #[test]
    fn errors_read_as_pythons() {
        let e = std::fs::read("/no/such").unwrap_err();
        assert_eq!(os_error(&e, Path::new("/no/such")), "[Errno 2] No such file or directory: '/no/such'");
    }
}
