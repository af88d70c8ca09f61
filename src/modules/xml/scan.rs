//! The small pieces of a document's text: names, literals, references, comments, processing instructions.

use super::names::{is_char, is_name_char, is_name_start};

/// What was read, or what is wrong with it in libxml2's words.
pub type Done<T = ()> = Result<T, String>;

/// A place in a text.
pub struct Scan<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl<'a> Scan<'a> {
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    pub fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }
    pub fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }
    pub fn while_(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !f(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }
    /// Skips blanks; true if there were some.
    pub fn blanks(&mut self) -> bool {
        !self.while_(is_blank).is_empty()
    }
    /// What comes before a text, which is skipped, too.
    pub fn until(&mut self, end: &str) -> Option<&'a str> {
        let rest = self.rest();
        let n = rest.find(end)?;
        self.at += n + end.len();
        rest.get(..n)
    }
    pub fn name(&mut self) -> Option<&'a str> {
        self.peek().filter(|c| is_name_start(*c) || *c == ':')?;
        Some(self.while_(|c| is_name_char(c) || c == ':'))
    }
    /// Something in quotes of either kind.
    pub fn quoted(&mut self) -> Option<&'a str> {
        let q = self.peek().filter(|c| matches!(c, '"' | '\''))?;
        self.bump();
        self.until(if q == '"' { "\"" } else { "'" })
    }
    pub fn line(&self) -> usize {
        self.text.get(..self.at).unwrap_or(self.text).matches('\n').count() + 1
    }
    /// Counted from 1, in bytes.
    pub fn column(&self) -> usize {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        before.len() - before.rfind('\n').map_or(0, |n| n + 1) + 1
    }
}

pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// A reference that was read.
pub enum Ref<'a> {
    Char(char),
    Entity(&'a str),
}

/// Reads `&name;` or a character's number.
pub fn reference<'a>(s: &mut Scan<'a>) -> Done<Ref<'a>> {
    if s.take("&#") {
        let radix = if s.take("x") { 16 } else { 10 };
        let digits = s.while_(|c| c.is_digit(radix));
        let kind = if radix == 16 { "hexadecimal" } else { "decimal" };
        if digits.is_empty() || !s.take(";") {
            return Err(format!("xmlParseCharRef: invalid {kind} value"));
        }
        let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
        let c = char::from_u32(number).filter(|c| is_char(*c));
        return c.map(Ref::Char).ok_or_else(|| format!("xmlParseCharRef: invalid xmlChar value {number}"));
    }
    s.take("&");
    let Some(name) = s.name() else { return Err("xmlParseEntityRef: no name".into()) };
    if s.take(";") { Ok(Ref::Entity(name)) } else { Err("EntityRef: expecting ';'".into()) }
}

pub fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

/// Reads a comment; what is in it.
pub fn comment<'a>(s: &mut Scan<'a>) -> Done<&'a str> {
    s.take("<!--");
    let rest = s.rest();
    match rest.find("--") {
        None => {
            s.at = s.text.len();
            Err("Comment not terminated".into())
        }
        Some(n) if !rest.get(n..).is_some_and(|r| r.starts_with("-->")) => {
            s.at += n;
            Err(format!("Double hyphen within comment: <!--{}", rest.get(..n).unwrap_or("")))
        }
        Some(n) => {
            s.at += n + 3;
            let text = rest.get(..n).unwrap_or("");
            match text.chars().find(|c| !is_char(*c)) {
                Some(c) => Err(format!("xmlParseComment: invalid xmlChar value {}", u32::from(c))),
                None => Ok(text),
            }
        }
    }
}

/// Reads a processing instruction; its target and its data.
pub fn pi<'a>(s: &mut Scan<'a>) -> Done<(&'a str, &'a str)> {
    s.take("<?");
    let Some(target) = s.name() else { return Err("xmlParsePI : no target name".into()) };
    if target == "xml" {
        return Err("XML declaration allowed only at the start of the document".into());
    }
    let spaced = s.blanks();
    let Some(data) = s.until("?>") else {
        s.at = s.text.len();
        return Err(format!("ParsePI: PI {target} never end ..."));
    };
    if !spaced && !data.is_empty() {
        return Err(format!("ParsePI: PI {target} space expected"));
    }
    Ok((target, data))
}
