//! Python's regular expressions on the content of files, text or not.

use super::charset::Charset;
use crate::modules::Failure;
use crate::template::filters::regexlib::{self, Flags};
use fancy_regex::{Captures, Regex};
use std::sync::{Arc, OnceLock};

/// How the bytes of a file stand as text: UTF-8 if they can, else one letter for each byte, so that
/// every byte that is not meant to change comes back as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Bytes,
    Known(Charset),
}

impl Codec {
    pub fn of(data: &[u8]) -> Codec {
        if std::str::from_utf8(data).is_err() { Codec::Bytes } else { Codec::Known(Charset::Utf8) }
    }
    /// For a file in the encoding that a task names.
    pub fn named(set: Charset, data: &[u8]) -> Codec {
        if set == Charset::Utf8 { Codec::of(data) } else { Codec::Known(set) }
    }
    pub fn decode(&self, data: &[u8]) -> String {
        match self {
            Codec::Bytes => data.iter().map(|b| char::from(*b)).collect(),
            Codec::Known(set) => set.decode(data).unwrap_or_else(|| String::from_utf8_lossy(data).into_owned()),
        }
    }
    /// An argument of the task as it would stand in the decoded file.
    pub fn arg(&self, text: &str) -> String {
        if *self == Codec::Bytes { self.decode(text.as_bytes()) } else { text.to_owned() }
    }
    pub fn encode(&self, text: &str) -> Vec<u8> {
        match self {
            Codec::Bytes => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            // replaced text is asked for characters that do not fit before
            Codec::Known(set) => set.encode(text).unwrap_or_else(|_| text.as_bytes().to_vec()),
        }
    }
}

/// A Python pattern.
pub struct Pattern {
    text: String,
    flags: Flags,
    /// For texts without and with a line break at their end, as far as there were any.
    ready: [OnceLock<Arc<Regex>>; 2],
}

impl Pattern {
    /// Reads a pattern; the error is ansible-core's, where Python's own goes uncaught.
    pub fn new(text: &str, multiline: bool) -> Result<Pattern, Failure> {
        let p = Pattern { text: text.to_owned(), flags: Flags::new(false, multiline), ready: Default::default() };
        p.compiled("")?;
        Ok(p)
    }
    fn compiled(&self, hay: &str) -> Result<Arc<Regex>, Failure> {
        let [plain, newline] = &self.ready;
        let place = if hay.ends_with('\n') { newline } else { plain };
        if let Some(re) = place.get() {
            return Ok(re.clone());
        }
        let re = regexlib::compile(&self.text, self.flags, hay).map_err(|e| {
            let why = e.detail().map(str::to_owned).unwrap_or_else(|| e.to_string());
            Failure::new(format!("Task failed: Module failed: {why}"))
        })?;
        Ok(place.get_or_init(|| re).clone())
    }
    pub fn search<'t>(&self, hay: &'t str) -> Result<Option<Captures<'t>>, Failure> {
        let re = self.compiled(hay)?;
        let fail = |e| Failure::new(format!("regular expression '{}' failed: {e}", self.text));
        // most lines do not match, and groups cost more than the answer to that
        match re.is_match(hay).map_err(fail)? {
            true => re.captures(hay).map_err(fail),
            false => Ok(None),
        }
    }
    /// The text with every match replaced (`\1`, `\g<name>` and the usual escapes), and how many there were.
    pub fn replace(&self, hay: &str, with: &str) -> Result<(String, usize), Failure> {
        let re = self.compiled(hay)?;
        let fail = |e: minijinja::Error| Failure::new(e.detail().unwrap_or("the replacement is invalid").to_owned());
        let parts = regexlib::template(with, re.captures_len().saturating_sub(1)).map_err(fail)?;
        let found = regexlib::find_all(&re, hay).map_err(fail)?;
        let (mut out, mut at) = (String::with_capacity(hay.len()), 0);
        for c in &found {
            let Some(m) = c.get(0) else { continue };
            out.push_str(hay.get(at..m.start()).unwrap_or_default());
            regexlib::expand(&parts, c, &mut out).map_err(fail)?;
            at = m.end();
        }
        out.push_str(hay.get(at..).unwrap_or_default());
        Ok((out, found.len()))
    }
    /// A replacement text filled with the groups of one match.
    pub fn expand(&self, found: &Captures, with: &str) -> Result<String, Failure> {
        let fail = |e: minijinja::Error| Failure::uncaught(e.detail().unwrap_or("the replacement is invalid"));
        let parts = regexlib::template(with, found.len().saturating_sub(1)).map_err(fail)?;
        let mut out = String::new();
        regexlib::expand(&parts, found, &mut out).map_err(fail)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let data = b"caf\xe9 = 1\n";
        let c = Codec::of(data);
        assert_eq!(c.encode(&c.decode(data)), data);
        let (t, n) = Pattern::new("= (\\d)", false).and_then(|p| p.replace(&c.decode(data), "=\\g<1>")).expect("valid");
        assert_eq!((c.encode(&t).as_slice(), n), (&b"caf\xe9 =1\n"[..], 1));
        assert!(Pattern::new("(", false).is_err());
    }
}
