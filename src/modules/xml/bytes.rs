//! The encodings that a document's bytes may be in.

/// What the bytes 0x80 to 0x9f are in Windows' Latin encoding; the others are as in ISO 8859-1.
const CP1252: &str = "\u{20ac}\u{81}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\u{2030}\u{160}\u{2039}\u{152}\
    \u{8d}\u{17d}\u{8f}\u{90}\u{2018}\u{2019}\u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\u{203a}\
    \u{153}\u{9d}\u{17e}\u{178}";
/// Where ISO 8859-15 differs from ISO 8859-1.
const LATIN9: [(u8, char); 8] = [
    (0xa4, '\u{20ac}'),
    (0xa6, '\u{160}'),
    (0xa8, '\u{161}'),
    (0xb4, '\u{17d}'),
    (0xb8, '\u{17e}'),
    (0xbc, '\u{152}'),
    (0xbd, '\u{153}'),
    (0xbe, '\u{178}'),
];

/// The text of a document by its byte order mark or its declaration, else in UTF-8.
pub fn text(bytes: &[u8]) -> Result<String, String> {
    let wrong = || "Invalid bytes in character encoding".to_owned();
    match bytes {
        [0xff, 0xfe, rest @ ..] => return wide(rest, u16::from_le_bytes).ok_or_else(wrong),
        [0xfe, 0xff, rest @ ..] => return wide(rest, u16::from_be_bytes).ok_or_else(wrong),
        [b'<', 0, b'?', 0, ..] => return wide(bytes, u16::from_le_bytes).ok_or_else(wrong),
        [0, b'<', 0, b'?', ..] => return wide(bytes, u16::from_be_bytes).ok_or_else(wrong),
        _ => {}
    }
    let by = |f: &dyn Fn(u8) -> char| Ok(bytes.iter().map(|b| f(*b)).collect());
    let name = declared(bytes).unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        _ if bytes.starts_with(b"\xef\xbb\xbf") => {}
        "" | "utf-8" | "utf8" => {}
        "us-ascii" | "ascii" if bytes.is_ascii() => {}
        "us-ascii" | "ascii" => return Err(wrong()),
        "iso-8859-1" | "latin1" | "latin-1" | "iso8859-1" | "iso_8859-1" => return by(&char::from),
        "iso-8859-15" | "latin-9" | "latin9" => {
            return by(&|b| LATIN9.iter().find(|(n, _)| *n == b).map_or(char::from(b), |(_, c)| *c));
        }
        "windows-1252" | "cp1252" => {
            return by(&|b| {
                let special = b.checked_sub(0x80).and_then(|n| CP1252.chars().nth(n.into()));
                special.unwrap_or(char::from(b))
            });
        }
        _ => {
            return Err(format!(
                "Unsupported encoding: {name}; there are UTF-8, UTF-16, US-ASCII, ISO-8859-1, \
                                 ISO-8859-15 and Windows-1252"
            ));
        }
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong())
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let units: Vec<u16> = bytes.chunks(2).map(|c| Some(unit(c.try_into().ok()?))).collect::<Option<_>>()?;
    String::from_utf16(&units).ok()
}

/// The encoding that the XML declaration names.
fn declared(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|w| w == b"?>")?;
    let inside = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    let after = inside.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start().to_owned();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after.get(1..)?.split_once(quote).map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn encodings() {
        let wide: Vec<u8> = "\u{feff}<a>é</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&wide).as_deref(), Ok("<a>é</a>"));
        assert_eq!(
            text(b"<?xml version='1.0' encoding = 'ISO-8859-1'?><a>\xe9</a>").unwrap().chars().nth_back(4),
            Some('é')
        );
        assert!(text(b"<?xml version='1.0' encoding='windows-1252'?><a>\x80\xe9</a>").unwrap().ends_with("<a>€é</a>"));
        assert!(text(b"<?xml version='1.0' encoding='iso-8859-15'?><a>\xa4</a>").unwrap().ends_with("<a>€</a>"));
        assert_eq!(text(b"<a>\xe9</a>").unwrap_err(), "Invalid bytes in character encoding");
        assert!(
            text(b"<?xml version='1.0' encoding='koi8-r'?><a/>")
                .unwrap_err()
                .starts_with("Unsupported encoding: koi8-r")
        );
    }
}
