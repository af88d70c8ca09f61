//! The document type declaration: kept, and read as far as the entities go that it declares.

use super::scan::{Ref, Scan, comment, pi, reference};
use std::collections::HashMap;

/// Entities of the internal subset by name. What is declared in other files is not among them.
pub type Entities = HashMap<String, String>;

/// Reads `<!DOCTYPE …>`; its text with one declaration to a line, as libxml2 writes it.
pub fn doctype(s: &mut Scan, entities: &mut Entities) -> Result<String, String> {
    s.take("<!DOCTYPE");
    s.blanks();
    let Some(name) = s.name() else { return Err("xmlParseDocTypeDecl : no DOCTYPE name !".into()) };
    let mut out = format!("<!DOCTYPE {name}");
    s.blanks();
    let literal = |s: &mut Scan| {
        s.blanks();
        s.quoted().map(quote).ok_or("SystemLiteral \" or ' expected")
    };
    if s.take("PUBLIC") {
        out.push_str(&format!(" PUBLIC {} {}", literal(s)?, literal(s)?));
    } else if s.take("SYSTEM") {
        out.push_str(&format!(" SYSTEM {}", literal(s)?));
    }
    s.blanks();
    if s.take("[") {
        out.push_str(" [\n");
        subset(s, entities, &mut out)?;
        out.push(']');
        s.blanks();
    }
    if !s.take(">") {
        return Err("DOCTYPE improperly terminated".into());
    }
    out.push('>');
    Ok(out)
}

/// A literal in the quotes that fit.
fn quote(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("\"{text}\"") }
}

fn subset(s: &mut Scan, entities: &mut Entities, out: &mut String) -> Result<(), String> {
    loop {
        s.blanks();
        let (start, rest) = (s.at, s.rest());
        if s.take("]") {
            return Ok(());
        } else if rest.starts_with("<!--") {
            comment(s)?;
        } else if rest.starts_with("<?") {
            pi(s)?;
        } else if s.take("%") {
            if s.name().is_none() || !s.take(";") {
                return Err("PEReference: no name".into());
            }
        } else if ["<!ENTITY", "<!ELEMENT", "<!ATTLIST", "<!NOTATION"].iter().any(|d| rest.starts_with(d)) {
            declaration(s, entities)?;
        } else {
            return Err("internal error: xmlParseInternalSubset: error detected in Markup declaration".into());
        }
        out.push_str(s.text.get(start..s.at).unwrap_or(""));
        out.push('\n');
    }
}

/// Reads `<!…>`, in which quotes hide its end; the first declaration of an entity counts.
fn declaration(s: &mut Scan, entities: &mut Entities) -> Result<(), String> {
    let entity = s.rest().starts_with("<!ENTITY");
    s.take("<!");
    s.name();
    if entity {
        s.blanks();
        let parameter = s.take("%");
        s.blanks();
        let Some(name) = s.name() else { return Err("xmlParseEntityDecl: no name".into()) };
        s.blanks();
        if let Some(text) = s.quoted()
            && !parameter
        {
            entities.entry(name.to_owned()).or_insert(replacement(text)?);
        }
    }
    loop {
        s.while_(|c| !matches!(c, '>' | '"' | '\'' | '<'));
        match s.peek() {
            Some('>') => break s.bump(),
            Some('"' | '\'') if s.quoted().is_some() => {}
            _ => return Err("xmlParseEntityDecl: entity not terminated".into()),
        }
    }
    Ok(())
}

/// The text that an entity stands for: numbers of characters are replaced, other references stay.
fn replacement(literal: &str) -> Result<String, String> {
    let mut s = Scan { text: literal, at: 0 };
    let mut out = String::new();
    while let Some(c) = s.peek() {
        match c {
            '&' => match reference(&mut s)? {
                Ref::Char(c) => out.push(c),
                Ref::Entity(e) => out.push_str(&format!("&{e};")),
            },
            '%' => return Err("PEReference: references are not allowed in an entity of the internal subset".into()),
            c => {
                out.push(c);
                s.bump();
            }
        }
    }
    Ok(out)
}
