//! Checksums, base64 and name-based UUIDs.

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use base64::Engine;
use minijinja::{State, Value};
use sha1::Digest;

pub const FILTERS: &[Filter] = &[
    f("hash", "data, hashtype=", |_, a| hash(a.val("data"), &a.text_or("hashtype", "sha1")?)),
    f("checksum", "data", |_, a| hash(a.val("data"), "sha1")),
    f("sha1", "data", |_, a| hash(a.val("data"), "sha1")),
    f("md5", "data", |_, a| hash(a.val("data"), "md5")),
    f("b64encode", "string, encoding=, urlsafe=", b64encode),
    f("b64decode", "string, encoding=, urlsafe=", b64decode),
    f("to_uuid", "string, namespace=", to_uuid),
];

pub fn bytes(v: &Value) -> Res<Vec<u8>> {
    match py::view(v) {
        Py::Bytes(b) => Ok(b.to_vec()),
        _ => Ok(py::str(v)?.into_bytes()),
    }
}

pub fn hex(b: &[u8]) -> String {
    b.iter().map(|x| format!("{x:02x}")).collect()
}

fn hash(v: &Value, kind: &str) -> Res {
    let data = bytes(v)?;
    let sum = match kind.to_ascii_lowercase().replace('_', "-").as_str() {
        "md5" => md5::Md5::digest(&data).to_vec(),
        "sha1" | "sha-1" => sha1::Sha1::digest(&data).to_vec(),
        "sha224" | "sha2-224" => sha2::Sha224::digest(&data).to_vec(),
        "sha256" | "sha2-256" => sha2::Sha256::digest(&data).to_vec(),
        "sha384" | "sha2-384" => sha2::Sha384::digest(&data).to_vec(),
        "sha512" | "sha2-512" => sha2::Sha512::digest(&data).to_vec(),
        "sha512-256" => sha2::Sha512_256::digest(&data).to_vec(),
        "sha512-224" => sha2::Sha512_224::digest(&data).to_vec(),
        _ => return fail(format!("unsupported hash type {kind}")),
    };
    Ok(Value::from(hex(&sum)))
}

fn encode(text: &str, encoding: &str) -> Res<Vec<u8>> {
    let name = encoding.to_ascii_lowercase().replace(['_', ' '], "-");
    Ok(match name.as_str() {
        "utf-8" | "utf8" => text.as_bytes().to_vec(),
        "ascii" | "us-ascii" | "latin-1" | "latin1" | "iso-8859-1" => {
            let limit = if name.contains("ascii") { 0x80 } else { 0x100 };
            text.chars()
                .enumerate()
                .map(|(i, c)| match u8::try_from(c as u32) {
                    Ok(b) if u32::from(b) < limit => Ok(b),
                    _ => {
                        let code = c as u32;
                        let shown = match code {
                            0..=0xff => format!("\\x{code:02x}"),
                            0x100..=0xffff => format!("\\u{code:04x}"),
                            _ => format!("\\U{code:08x}"),
                        };
                        fail(format!(
                            "'{encoding}' codec can't encode character '{shown}' in position {i}: ordinal not in range({limit})"
                        ))
                    }
                })
                .collect::<Res<_>>()?
        }
        "utf-16-le" | "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16-be" | "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-16" | "utf16" => [0xfeffu16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        "utf-32-le" => text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect(),
        "utf-32-be" => text.chars().flat_map(|c| (c as u32).to_be_bytes()).collect(),
        _ => return fail(format!("unknown encoding: {encoding}")),
    })
}

fn decode(data: Vec<u8>, encoding: &str) -> Res {
    let pairs = |big: bool| -> Vec<u16> {
        data.chunks_exact(2)
            .filter_map(|c| <[u8; 2]>::try_from(c).ok())
            .map(|c| if big { u16::from_be_bytes(c) } else { u16::from_le_bytes(c) })
            .collect()
    };
    let wide = |units: Vec<u16>| Value::from(String::from_utf16_lossy(&units));
    Ok(match encoding.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
        // what is no text stays bytes, so that it can still be encoded, hashed or written
        "utf-8" | "utf8" | "ascii" | "us-ascii" => match String::from_utf8(data) {
            Ok(s) => Value::from(s),
            Err(e) => Value::from_bytes(e.into_bytes()),
        },
        "latin-1" | "latin1" | "iso-8859-1" => Value::from(data.iter().map(|b| char::from(*b)).collect::<String>()),
        "utf-16-le" | "utf-16le" => wide(pairs(false)),
        "utf-16-be" | "utf-16be" => wide(pairs(true)),
        "utf-16" | "utf16" => match data.get(..2) {
            Some([0xfe, 0xff]) => wide(pairs(true).split_off(1)),
            Some([0xff, 0xfe]) => wide(pairs(false).split_off(1)),
            _ => wide(pairs(false)),
        },
        "utf-32-le" | "utf-32-be" => {
            let big = encoding.to_ascii_lowercase().ends_with("be");
            let chars = data.chunks_exact(4).filter_map(|c| <[u8; 4]>::try_from(c).ok());
            let text: Option<String> = chars
                .map(|c| char::from_u32(if big { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) }))
                .collect();
            Value::from(text.ok_or_else(|| error("'utf-32' codec can't decode the data"))?)
        }
        _ => return fail(format!("unknown encoding: {encoding}")),
    })
}

fn b64encode(_: &mut State, a: &Args) -> Res {
    let v = a.val("string");
    let data = match py::view(v) {
        Py::Bytes(b) => b.to_vec(),
        _ => encode(&py::str(v)?, &a.text_or("encoding", "utf-8")?)?,
    };
    let engine = if a.flag("urlsafe", false)? {
        base64::engine::general_purpose::URL_SAFE
    } else {
        base64::engine::general_purpose::STANDARD
    };
    Ok(Value::from(engine.encode(data)))
}

fn b64decode(_: &mut State, a: &Args) -> Res {
    let text = bytes(a.val("string"))?;
    let urlsafe = a.flag("urlsafe", false)?;
    // Python skips what is not of the alphabet
    let mut sextets = vec![];
    let mut padding = 0usize;
    for b in text {
        let b = match b {
            b'-' if urlsafe => b'+',
            b'_' if urlsafe => b'/',
            b => b,
        };
        match b {
            b'A'..=b'Z' => sextets.push(b - b'A'),
            b'a'..=b'z' => sextets.push(b - b'a' + 26),
            b'0'..=b'9' => sextets.push(b - b'0' + 52),
            b'+' => sextets.push(62),
            b'/' => sextets.push(63),
            b'=' => {
                padding += 1;
                if sextets.len() % 4 >= 2 && (sextets.len() + padding).is_multiple_of(4) {
                    break;
                }
                continue;
            }
            _ => continue,
        }
        padding = 0;
    }
    match sextets.len() % 4 {
        1 => {
            return fail(format!(
                "Invalid base64-encoded string: number of data characters ({}) cannot be 1 more than a multiple of 4",
                sextets.len()
            ));
        }
        0 => {}
        n if n + padding < 4 => return fail("Incorrect padding"),
        _ => {}
    }
    let mut out = vec![];
    for four in sextets.chunks(4) {
        let word = four.iter().enumerate().fold(0u32, |w, (i, s)| w | u32::from(*s) << (18 - 6 * i));
        let [_, x, y, z] = word.to_be_bytes();
        out.extend([x, y, z].iter().take(four.len().saturating_sub(1)));
    }
    decode(out, &a.text_or("encoding", "utf-8")?)
}

fn to_uuid(_: &mut State, a: &Args) -> Res {
    let space = a.text_or("namespace", "361E6D51-FAEC-444A-9079-341386DA8E2E")?;
    let Ok(space_id) = uuid::Uuid::parse_str(&space) else {
        return fail(format!(
            "Invalid value {} for 'namespace': badly formed hexadecimal UUID string",
            py::repr(&Value::from(space))?
        ));
    };
    Ok(Value::from(uuid::Uuid::new_v5(&space_id, a.text("string")?.as_bytes()).to_string()))
}
