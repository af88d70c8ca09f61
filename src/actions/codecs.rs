//! Text as bytes of an encoding, by the names and in the words of Python's codecs.
//!
//! The Unicode encodings, ASCII and ISO 8859-1 are our own; the others come from the tables of the Encoding Standard
//! (<https://encoding.spec.whatwg.org/>). Names that mean other tables there than in Python are not known here.

use crate::value::py_repr_str;
use encoding_rs::{EncoderResult, Encoding};

/// What a name stands for.
enum Codec {
    Utf8 {
        mark: bool,
    },
    Utf16 {
        mark: bool,
        big: bool,
    },
    Utf32 {
        mark: bool,
        big: bool,
    },
    /// The first characters of Unicode, one byte each: the codec's name and how many.
    Low(&'static str, u32),
    /// One of the Encoding Standard: its label, and the name that Python's error gives.
    Table(&'static Encoding, String),
}

/// Names that have a label of their own in the Encoding Standard, with that label.
const TABLES: &[(&str, &str)] = &[
    ("big5", "big5"),
    ("cp866", "ibm866"),
    ("cp932", "shift_jis"),
    ("cp949", "euc-kr"),
    ("euc_jp", "euc-jp"),
    ("euc_kr", "euc-kr"),
    ("gb18030", "gb18030"),
    ("gbk", "gbk"),
    ("iso2022_jp", "iso-2022-jp"),
    ("koi8_r", "koi8-r"),
    ("mac_roman", "macintosh"),
    ("shift_jis", "shift_jis"),
    ("sjis", "shift_jis"),
];

/// Encodings whose errors name the codec; the others of one byte are all `charmap`.
const SEVERAL_BYTES: &[&str] =
    &["big5", "cp932", "cp949", "euc_jp", "euc_kr", "gb18030", "gbk", "iso2022_jp", "shift_jis"];

fn find(name: &str) -> Option<Codec> {
    let plain: String =
        name.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(match plain.as_str() {
        "" | "utf8" | "utf_8" | "u8" | "utf" | "cp65001" => Codec::Utf8 { mark: false },
        "utf_8_sig" | "utf8_sig" => Codec::Utf8 { mark: true },
        "utf16" | "utf_16" | "u16" => Codec::Utf16 { mark: true, big: false },
        "utf_16_le" | "utf16_le" | "utf_16le" | "unicodelittleunmarked" => Codec::Utf16 { mark: false, big: false },
        "utf_16_be" | "utf16_be" | "utf_16be" | "unicodebigunmarked" => Codec::Utf16 { mark: false, big: true },
        "utf32" | "utf_32" | "u32" => Codec::Utf32 { mark: true, big: false },
        "utf_32_le" | "utf32_le" | "utf_32le" => Codec::Utf32 { mark: false, big: false },
        "utf_32_be" | "utf32_be" | "utf_32be" => Codec::Utf32 { mark: false, big: true },
        "ascii" | "us_ascii" | "646" | "us" | "ansi_x3_4_1968" => Codec::Low("ascii", 128),
        "latin_1" | "latin1" | "latin" | "l1" | "iso8859_1" | "iso_8859_1" | "iso8859" | "8859" | "cp819"
        | "iso_ir_100" => Codec::Low("latin-1", 256),
        other => {
            let windows = other.strip_prefix("cp").or_else(|| other.strip_prefix("windows_"));
            let iso = other.strip_prefix("iso8859_").or_else(|| other.strip_prefix("iso_8859_"));
            let label = if let Some(n) = windows.filter(|n| n.len() == 4 && n.starts_with("125")) {
                format!("windows-{n}")
            } else if let Some(n) =
                iso.filter(|n| matches!(*n, "2" | "3" | "4" | "5" | "6" | "7" | "8" | "10" | "13" | "14" | "15" | "16"))
            {
                format!("iso-8859-{n}")
            } else {
                TABLES.iter().find(|(n, _)| *n == other)?.1.to_string()
            };
            let shown = if other == "sjis" { "shift_jis" } else { other };
            let shown = if SEVERAL_BYTES.contains(&shown) { shown } else { "charmap" };
            Codec::Table(Encoding::for_label(label.as_bytes())?, shown.to_string())
        }
    })
}

/// The bytes of a text in the encoding of that name.
///
/// # Errors
/// Python's words for a name that is not known and for a character that the encoding does not have.
pub fn encode(text: &str, name: &str) -> Result<Vec<u8>, String> {
    let marked = |mark: bool| mark.then_some('\u{feff}').into_iter().chain(text.chars());
    Ok(match find(name).ok_or_else(|| format!("unknown encoding: {name}"))? {
        Codec::Utf8 { mark } => marked(mark).collect::<String>().into_bytes(),
        Codec::Utf16 { mark, big } => {
            let mut units = [0u16; 2];
            let mut out = Vec::with_capacity(text.len() * 2 + 2);
            for c in marked(mark) {
                for u in c.encode_utf16(&mut units) {
                    out.extend(if big { u.to_be_bytes() } else { u.to_le_bytes() });
                }
            }
            out
        }
        Codec::Utf32 { mark, big } => {
            let bytes = |c: char| if big { u32::from(c).to_be_bytes() } else { u32::from(c).to_le_bytes() };
            marked(mark).flat_map(bytes).collect()
        }
        Codec::Low(codec, count) => {
            let foreign = |c: char| u32::from(c) >= count;
            if let Some(at) = text.chars().position(foreign) {
                let run = text.chars().skip(at).take_while(|c| foreign(*c)).count();
                return Err(refusal(text, codec, at, run, &format!("ordinal not in range({count})")));
            }
            text.chars().map(|c| u32::from(c) as u8).collect()
        }
        Codec::Table(table, codec) => {
            let bad = |c: char| missing(table, c);
            if let Some(at) = text.chars().position(bad) {
                let several = codec != "charmap";
                let run = if several { 1 } else { text.chars().skip(at).take_while(|c| bad(*c)).count() };
                let why = if several { "illegal multibyte sequence" } else { "character maps to <undefined>" };
                return Err(refusal(text, &codec, at, run, why));
            }
            table.encode(text).0.into_owned()
        }
    })
}

/// True if the table has no place for a character. The Windows ones of the Encoding Standard give the places that
/// nothing stands in to the control characters; Python does not.
fn missing(table: &'static Encoding, c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    if table.name().starts_with("windows-") && ('\u{80}'..='\u{9f}').contains(&c) {
        return true;
    }
    let (mut from, mut to) = ([0u8; 4], [0u8; 16]);
    let text: &str = c.encode_utf8(&mut from);
    let (result, _, _) = table.new_encoder().encode_from_utf8_without_replacement(text, &mut to, true);
    matches!(result, EncoderResult::Unmappable(_))
}

fn refusal(text: &str, codec: &str, at: usize, run: usize, why: &str) -> String {
    let what = if run > 1 {
        format!("characters in position {at}-{}", at + run - 1)
    } else {
        let c = text.chars().nth(at).unwrap_or_default();
        let mut shown = String::new();
        match u32::from(c) {
            n @ 0x80..=0xff => shown = format!("'\\x{n:02x}'"),
            n @ 0x100..=0xffff => shown = format!("'\\u{n:04x}'"),
            n @ 0x10000.. => shown = format!("'\\U{n:08x}'"),
            _ => py_repr_str(&c.to_string(), &mut shown),
        }
        format!("character {shown} in position {at}")
    };
    format!("'{codec}' codec can't encode {what}: {why}")
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn unicode_and_tables() {
        assert_eq!(encode("ä€", "UTF-8").as_deref(), Ok("ä€".as_bytes()));
        assert_eq!(encode("ä", "utf-8-sig").as_deref(), Ok("\u{feff}ä".as_bytes()));
        assert_eq!(encode("a", "utf-16").as_deref(), Ok(&[0xff, 0xfe, b'a', 0][..]));
        assert_eq!(encode("😀", "utf_16_be").as_deref(), Ok(&[0xd8, 0x3d, 0xde, 0x00][..]));
        assert_eq!(encode("ä", "utf-32-le").as_deref(), Ok(&[0xe4, 0, 0, 0][..]));
        assert_eq!(encode("ä", "Latin 1").as_deref(), Ok(&[0xe4][..]));
        assert_eq!(encode("€", "cp1252").as_deref(), Ok(&[0x80][..]));
        assert_eq!(encode("€", "iso-8859-15").as_deref(), Ok(&[0xa4][..]));
        assert_eq!(encode("あ", "shift_jis").as_deref(), Ok(&[0x82, 0xa0][..]));
        assert_eq!(encode("привет", "koi8-r").map(|b| b.len()), Ok(6));
    }

    #[test]
    fn what_does_not_fit_is_told_as_python_does() {
        let e = |t: &str, n: &str| encode(t, n).expect_err("does not fit");
        assert_eq!(
            e("v=ä €", "latin-1"),
            "'latin-1' codec can't encode character '\\u20ac' in position 4: ordinal not in range(256)"
        );
        assert_eq!(
            e("aäö", "ascii"),
            "'ascii' codec can't encode characters in position 1-2: ordinal not in range(128)"
        );
        assert_eq!(
            e("v=ä", "shift_jis"),
            "'shift_jis' codec can't encode character '\\xe4' in position 2: illegal multibyte sequence"
        );
        assert_eq!(
            e("\u{81}", "cp1252"),
            "'charmap' codec can't encode character '\\x81' in position 0: character maps to <undefined>"
        );
        assert_eq!(e("x", "nope"), "unknown encoding: nope");
    }
}
