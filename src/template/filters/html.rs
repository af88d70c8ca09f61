//! urlize: links around what looks like an address.

use super::escape::escape;
use super::py::Res;
use super::{Args, Filter, f};
use fancy_regex::Regex;
use minijinja::{State, Value};
use std::sync::LazyLock;

pub const FILTERS: &[Filter] =
    &[f("urlize", "value, trim_url_limit=, nofollow=, target=, rel=, extra_schemes=", urlize)];

static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:(https?://|www\.)(?:(?:[\w%-]+\.)+)?(?:[a-z]{2,63}|xn--[\w%]{2,59})|([\w%-]{2,63}\.)+(?:com|net|int|edu|gov|org|info|mil)|(https?://)(?:(?:[\d]{1,3})(?:\.[\d]{1,3}){3}|\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\]))(?::[\d]{1,5})?(?:[/?#]\S*)?$",
    )
    .ok()
});
static MAIL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\S+@\w[\w.-]*\.\w+$").ok());

fn matches(re: &LazyLock<Option<Regex>>, s: &str) -> bool {
    re.as_ref().is_some_and(|r| r.is_match(s).unwrap_or(false))
}

fn urlize(_: &mut State, a: &Args) -> Res {
    let text = escape(&a.text("value")?);
    let limit = a.int_opt("trim_url_limit")?.and_then(|n| usize::try_from(n).ok());
    let mut rels: Vec<String> = a.text_or("rel", "")?.split_whitespace().map(str::to_string).collect();
    if a.flag("nofollow", false)? {
        rels.push("nofollow".into());
    }
    rels.push("noopener".into());
    rels.sort();
    rels.dedup();
    let rel = format!(" rel=\"{}\"", escape(&rels.join(" ")));
    let target = a.text_opt("target")?.map(|t| format!(" target=\"{}\"", escape(&t))).unwrap_or_default();
    let extra: Vec<String> = match a.some("extra_schemes") {
        Some(v) => super::py::iter(v)?.iter().map(super::py::str).collect::<Res<_>>()?,
        None => vec![],
    };
    let trim = |x: &str| match limit {
        Some(n) if x.chars().count() > n => format!("{}...", x.chars().take(n).collect::<String>()),
        _ => x.to_string(),
    };
    let mut out = String::new();
    for word in split_keeping_blanks(&text) {
        let (mut head, mut middle, mut tail) = (String::new(), word.as_str(), String::new());
        let opening = ["(", "<", "&lt;"];
        while let Some(p) = opening.iter().find(|p| middle.starts_with(**p)) {
            head.push_str(p);
            middle = middle.get(p.len()..).unwrap_or("");
        }
        let closing = [")", ">", ".", ",", "\n", "&gt;"];
        while let Some(p) = closing.iter().find(|p| middle.ends_with(**p)) {
            // a bracket that was opened within the address belongs to it
            let inside = match *p {
                ")" => middle.matches('(').count() >= middle.matches(')').count(),
                ">" => middle.matches('<').count() >= middle.matches('>').count(),
                "&gt;" => middle.matches("&lt;").count() >= middle.matches("&gt;").count(),
                _ => false,
            };
            if inside {
                break;
            }
            tail.insert_str(0, p);
            middle = middle.get(..middle.len() - p.len()).unwrap_or("");
        }
        if matches(&LINK, middle) {
            if middle.starts_with("https://") || middle.starts_with("http://") {
                out.push_str(&format!("{head}<a href=\"{middle}\"{rel}{target}>{}</a>{tail}", trim(middle)));
            } else {
                out.push_str(&format!("{head}<a href=\"https://{middle}\"{rel}{target}>{}</a>{tail}", trim(middle)));
            }
        } else if let Some(mail) = middle.strip_prefix("mailto:").filter(|m| matches(&MAIL, m)) {
            out.push_str(&format!("{head}<a href=\"{middle}\">{mail}</a>{tail}"));
        } else if middle.contains('@') && !middle.starts_with("www.") && !middle.contains(':') && matches(&MAIL, middle)
        {
            out.push_str(&format!("{head}<a href=\"mailto:{middle}\">{middle}</a>{tail}"));
        } else if extra.iter().any(|s| middle != s && middle.starts_with(s.as_str())) {
            out.push_str(&format!("{head}<a href=\"{middle}\"{rel}{target}>{middle}</a>{tail}"));
        } else {
            out.push_str(&format!("{head}{middle}{tail}"));
        }
    }
    Ok(Value::from(out))
}

fn split_keeping_blanks(s: &str) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for c in s.chars() {
        match out.last_mut() {
            Some(last) if last.ends_with(char::is_whitespace) == c.is_whitespace() => last.push(c),
            _ => out.push(c.to_string()),
        }
    }
    out
}
