//! The comment filter.

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[f(
    "comment",
    "text, style=, *, decoration=, beginning=, prefix=, prefix_count=, postfix=, postfix_count=, end=, newline=, **more",
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

/// A count: a number, or text of one.
fn whole(a: &Args, key: &str) -> Res<i128> {
    match a.some(key).map(py::view) {
        Some(Py::Str(s)) => super::numbers::parse_int(s, 10)
            .ok_or_else(|| error(format!("invalid literal for int() with base 10: '{s}'"))),
        _ => a.int(key, 1),
    }
}

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
    let count = |key: &str| match whole(a, key)? {
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
            // a prefix that is a line break is no line of its own
            if prefix != newline {
                out.push_str(&newline);
            }
        }
    }
    let text = a.only_text("text", |kind| format!("'{kind}' object has no attribute 'replace'"))?;
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
    // an empty one leaves its line breaks
    for _ in 0..after {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(Value::from(out))
}
