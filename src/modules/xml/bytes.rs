//! The encodings that a document's bytes may be in.

use crate::modules::support::charset::{Charset, wide};

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
    let by = |set: Charset| Ok(bytes.iter().map(|b| set.letter(*b)).collect());
    let name = declared(bytes).unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        _ if bytes.starts_with(b"\xef\xbb\xbf") => {}
        "" | "utf-8" | "utf8" => {}
        "us-ascii" | "ascii" if bytes.is_ascii() => {}
        "us-ascii" | "ascii" => return Err(wrong()),
        "iso-8859-1" | "latin1" | "latin-1" | "iso8859-1" | "iso_8859-1" => return by(Charset::Latin1),
        "iso-8859-15" | "latin-9" | "latin9" => return by(Charset::Latin9),
        "windows-1252" | "cp1252" => return by(Charset::Cp1252),
        _ => {
            return Err(format!(
                "Unsupported encoding: {name}; there are UTF-8, UTF-16, US-ASCII, ISO-8859-1, \
                                 ISO-8859-15 and Windows-1252"
            ));
        }
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong())
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
