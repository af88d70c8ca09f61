//! Forms of Jinja's grammar that minijinja's parser has not, written in those it has: a sign in front of
//! (`+5`), and tuples without parentheses (`{{ 1, 2 }}`, `{% for x in 1, 2 %}`, `{% set x = 1, 2 %}`).

use crate::diag::{Error, Result};
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use std::borrow::Cow;

/// Words behind which an expression begins.
const BEFORE_OPERAND: &[&str] =
    &["and", "or", "not", "in", "is", "if", "elif", "else", "do", "print", "return", "call"];

/// A change of the text: at this byte, either a sign to blank or a parenthesis to put in front.
type Edit = (usize, Option<char>);

/// The text in minijinja's grammar; `expression` if it is one without delimiters. Lines stay where they are.
pub(super) fn parseable<'t>(text: &'t str, expression: bool, syntax: &SyntaxConfig) -> Result<Cow<'t, str>> {
    if !text.contains(['+', ',']) && !text.contains("without") {
        return Ok(Cow::Borrowed(text));
    }
    let mut edits: Vec<Edit> = vec![];
    let mut tag = Tag::default();
    let mut operand_ended = false;
    let mut start = if expression { Some(0) } else { None };
    for token in tokenize(text, expression, syntax.clone()) {
        // what is no token is an error of the parser's
        let Ok((token, span)) = token else { return Ok(Cow::Borrowed(text)) };
        let (from, to) = (span.start_offset as usize, span.end_offset as usize);
        match &token {
            Token::TemplateData(_) => continue,
            Token::VariableStart => (tag, start) = (Tag::default(), Some(to)),
            Token::BlockStart => (tag, start) = (Tag { block: true, ..Tag::default() }, None),
            Token::VariableEnd | Token::BlockEnd => tag.close(start.take(), from, &mut edits),
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => tag.depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => tag.depth = tag.depth.saturating_sub(1),
            Token::Comma if tag.depth == 0 && start.is_some() => tag.comma = true,
            Token::Plus if !operand_ended => edits.push((from, None)),
            Token::Assign if tag.depth == 0 && tag.word == "set" && start.is_none() => start = Some(to),
            Token::Ident(word) if tag.depth == 0 && tag.block => {
                match *word {
                    "in" if tag.word == "for" && start.is_none() && !tag.closed => start = Some(to),
                    "if" | "recursive" if tag.word == "for" => {
                        tag.close(start.take(), from, &mut edits);
                        tag.closed = true;
                    }
                    "without" if tag.word == "include" => {
                        return Err(Error::template("'include … without context' is not supported")
                            .help("a macro, or a lookup of the template, sees no names of this one"));
                    }
                    _ => {}
                }
                if tag.word.is_empty() {
                    tag.word = word.to_string();
                }
            }
            _ => {}
        }
        operand_ended = match token {
            Token::Ident(word) => !BEFORE_OPERAND.contains(&word),
            Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_) => true,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => true,
            _ => false,
        };
    }
    if expression {
        tag.close(start, text.len(), &mut edits);
    }
    Ok(if edits.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(edited(text, edits)) })
}

/// What is known of the tag that is being read.
#[derive(Default)]
struct Tag {
    block: bool,
    /// The tag's first word.
    word: String,
    depth: usize,
    /// There is a comma outside of any parentheses in what could be a tuple.
    comma: bool,
    /// The part of a `for` that could be a tuple is behind us.
    closed: bool,
}

impl Tag {
    fn close(&mut self, start: Option<usize>, end: usize, edits: &mut Vec<Edit>) {
        if let Some(start) = start.filter(|_| self.comma) {
            edits.push((start, Some('(')));
            edits.push((end, Some(')')));
        }
        self.comma = false;
    }
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(text.len() + edits.len());
    let mut done = 0;
    for (at, edit) in edits {
        out.push_str(&text[done..at]);
        match edit {
            Some(c) => {
                out.push(c);
                done = at;
            }
            None => {
                out.push(' ');
                done = at + 1;
            }
        }
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> String {
        parseable(text, false, &SyntaxConfig::default()).expect("parseable").into_owned()
    }

    #[test]
    fn signs_in_front() {
        assert_eq!(own("{{ +5 }} + {{ a + +b }}"), "{{  5 }} + {{ a +  b }}");
        assert_eq!(own("{{ f(+1, [+2], x=+3) }}"), "{{ f( 1, [ 2], x= 3) }}");
        assert_eq!(own("{{ 'a' + 'b' }}{{ (1) + 2 }}"), "{{ 'a' + 'b' }}{{ (1) + 2 }}");
    }

    #[test]
    fn tuples() {
        assert_eq!(own("{{ 1, 2 }}{{ f(1, 2) }}"), "{{( 1, 2 )}}{{ f(1, 2) }}");
        assert_eq!(own("{% for a, b in x %}"), "{% for a, b in x %}");
        assert_eq!(own("{% for x in 1, 2 if x %}"), "{% for x in( 1, 2 )if x %}");
        assert_eq!(own("{% set x = 1, 2 %}"), "{% set x =( 1, 2 )%}");
        assert_eq!(parseable("1, 2", true, &SyntaxConfig::default()).expect("parseable"), "(1, 2)");
    }

    #[test]
    fn include_without_context() {
        assert!(parseable("{% include 'x' without context %}", false, &SyntaxConfig::default()).is_err());
    }
}
