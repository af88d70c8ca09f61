//! The encodings of text files that modules read and write, by Python's names for them.

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
/// What [`Charset::named`] knows, for messages.
pub const KNOWN: &str = "utf-8, ascii, latin-1, iso-8859-15, cp1252 and utf-16";

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    /// UTF-16 with a byte order mark (little endian where there is none).
    Utf16,
    Utf16Le,
    Utf16Be,
    Latin1,
    Latin9,
    Cp1252,
}

impl Charset {
    /// The encoding of a name; ASCII is taken for UTF-8, which it is a part of.
    pub fn named(name: &str) -> Option<Charset> {
        let plain: String = name.to_ascii_lowercase().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        Some(match plain.as_str() {
            "utf8" | "u8" | "ascii" | "usascii" => Charset::Utf8,
            "utf16" | "u16" => Charset::Utf16,
            "utf16le" => Charset::Utf16Le,
            "utf16be" => Charset::Utf16Be,
            "latin1" | "l1" | "latin" | "iso88591" | "88591" | "cp819" => Charset::Latin1,
            "latin9" | "l9" | "iso885915" => Charset::Latin9,
            "cp1252" | "windows1252" | "1252" => Charset::Cp1252,
            _ => return None,
        })
    }

    /// The character of a byte, in an encoding of one byte for each.
    pub fn letter(self, byte: u8) -> char {
        let special = match self {
            Charset::Latin9 => LATIN9.iter().find(|(b, _)| *b == byte).map(|(_, c)| *c),
            Charset::Cp1252 => byte.checked_sub(0x80).and_then(|n| CP1252.chars().nth(n.into())),
            _ => None,
        };
        special.unwrap_or(char::from(byte))
    }

    /// The text of some bytes; `None` where they are none of this encoding. UTF-8 is not looked into here.
    pub fn decode(self, data: &[u8]) -> Option<String> {
        match (self, data) {
            (Charset::Utf8, _) => std::str::from_utf8(data).ok().map(str::to_owned),
            (Charset::Utf16, [0xfe, 0xff, rest @ ..]) | (Charset::Utf16Be, rest) => wide(rest, u16::from_be_bytes),
            (Charset::Utf16, [0xff, 0xfe, rest @ ..]) | (Charset::Utf16 | Charset::Utf16Le, rest) => {
                wide(rest, u16::from_le_bytes)
            }
            _ => Some(data.iter().map(|b| self.letter(*b)).collect()),
        }
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// The first character that the encoding does not have.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, char> {
        let units = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        Ok(match self {
            Charset::Utf8 => text.as_bytes().to_vec(),
            Charset::Utf16 => [vec![0xff, 0xfe], units(u16::to_le_bytes)].concat(),
            Charset::Utf16Le => units(u16::to_le_bytes),
            Charset::Utf16Be => units(u16::to_be_bytes),
            one => {
                let byte = |c: char| (0..=u8::MAX).find(|b| one.letter(*b) == c).ok_or(c);
                text.chars().map(|c| if c.is_ascii() { Ok(c as u8) } else { byte(c) }).collect::<Result<_, _>>()?
            }
        })
    }
}

/// UTF-16 in the given order of bytes.
pub fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let units: Vec<u16> = bytes.chunks(2).map(|c| Some(unit(c.try_into().ok()?))).collect::<Option<_>>()?;
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::Charset;

    #[test]
    fn there_and_back() {
        for (name, bytes, text) in [
            ("UTF-8", &b"\xc3\xa4"[..], "ä"),
            ("iso-8859-1", b"a\xe4\xa4\x80", "aä¤\u{80}"),
            ("ISO8859_15", b"\xa4\xe4", "€ä"),
            ("windows-1252", b"\x80\x9f\xe4", "€Ÿä"),
            ("utf-16", b"\xff\xfea\0\xac\x20", "a€"),
            ("utf_16_be", b"\0a", "a"),
        ] {
            let set = Charset::named(name).expect(name);
            assert_eq!(set.decode(bytes).as_deref(), Some(text), "{name}");
            assert_eq!(set.encode(text).as_deref(), Ok(bytes), "{name}");
        }
        assert_eq!(Charset::Latin1.encode("a€"), Err('€'));
        assert_eq!(Charset::Utf16.decode(b"\xfe\xff\0a").as_deref(), Some("a"));
        assert_eq!((Charset::Utf16.decode(b"a"), Charset::named("nope")), (None, None));
    }
}
