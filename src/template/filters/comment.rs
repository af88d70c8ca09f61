//! The comment filter.

use super::py::{Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[f(
    "comment",
    "text, style=, *, decoration=, beginning=, prefix=, prefix_count=, postfix=, postfix_count=, end=, newline=",
    comment,
)];

/// Decoration, beginning and end of each style.
fn style(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match name {
        "plain" => ("# ", "", ""),
        "erlang" => ("% ", "", ""),
        "c" => ("// ", "", ""),
        "cblock" => (" * ", "/*", " */"),
        "xml" => (" - ", "<!--", "-->"),
        _ => return None,
    })
}

/// More lines than this only serve to exhaust memory.
const MAX_COUNT: i128 = 10_000;

fn comment(_: &mut State, a: &Args) -> Res {
    let name = a.text_or("style", "plain")?;
    let Some((decoration, beginning, end)) = style(&name) else { return fail(format!("Invalid style '{name}'.")) };
    let given = |key: &str, default: &str| a.text_opt(key).map(|t| t.unwrap_or_else(|| default.to_string()));
    let decoration = given("decoration", decoration)?;
    let beginning = given("beginning", beginning)?;
    let end = given("end", end)?;
    let newline = given("newline", "\n")?;
    let bare = decoration.trim_end().to_string();
    let prefix = given("prefix", &bare)?;
    let postfix = given("postfix", &bare)?;
    let count = |key: &str| match a.int(key, 1)? {
        n if n > MAX_COUNT => fail(format!("{key} is too large (at most {MAX_COUNT})")),
        n => Ok(usize::try_from(n).unwrap_or(0)),
    };
    let (before, after) = (count("prefix_count")?, count("postfix_count")?);

    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&beginning);
        out.push_str(&newline);
    }
    if !prefix.is_empty() {
        for _ in 0..before {
            out.push_str(&prefix);
            out.push_str(&newline);
        }
    }
    let text = a.text("text")?;
    let lines: Vec<String> = if newline.is_empty() {
        vec![format!("{decoration}{text}")]
    } else {
        text.split(newline.as_str()).map(|line| format!("{decoration}{line}")).collect()
    };
    // the blanks of the decoration go before an empty line, but not before an empty last one
    let last = lines.len().saturating_sub(1);
    let shown = |(i, l): (usize, &String)| if i < last && *l == decoration { bare.clone() } else { l.clone() };
    let body = lines.iter().enumerate().map(shown).collect::<Vec<_>>().join(&newline);
    out.push_str(&body);
    if !postfix.is_empty() {
        for _ in 0..after {
            out.push_str(&newline);
            out.push_str(&postfix);
        }
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(Value::from(out))
}
