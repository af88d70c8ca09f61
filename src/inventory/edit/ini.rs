//! INI inventories: host lines within their sections.

use super::Change;
use super::ranges::without;
use crate::diag::Result;

/// What a line is.
enum Line<'a> {
    Section { group: &'a str, kind: Option<&'a str> },
    Host(&'a str),
    Other,
}

fn classify(line: &str) -> Line<'_> {
    let t = line.trim();
    if t.is_empty() || t.starts_with(['#', ';']) {
        return Line::Other;
    }
    if let Some(rest) = t.strip_prefix('[')
        && let Some(end) = rest.find(']')
        && rest[end + 1..].trim_start().chars().next().is_none_or(|c| c == '#')
    {
        let (group, kind) = match rest[..end].split_once(':') {
            Some((g, k)) => (g, Some(k)),
            None => (&rest[..end], None),
        };
        return Line::Section { group: group.trim(), kind: kind.map(str::trim) };
    }
    Line::Host(t.split_whitespace().next().unwrap_or(t))
}

pub fn edit(text: &str, host: &str, change: &Change) -> Result<String> {
    match change {
        Change::Remove { groups } => remove(text, host, groups.as_deref()),
        Change::Add { groups, vars } => add(text, host, groups, vars),
    }
}

fn remove(text: &str, host: &str, groups: Option<&[String]>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let (mut group, mut hosts) = ("ungrouped".to_string(), true);
    for line in text.split_inclusive('\n') {
        match classify(line) {
            Line::Section { group: g, kind } => {
                group = g.to_string();
                hosts = matches!(kind, None | Some("hosts"));
            }
            Line::Host(pattern) if hosts && groups.is_none_or(|l| l.contains(&group)) => {
                if let Some(rest) = without(pattern, host)? {
                    for p in rest {
                        out.push_str(&line.replacen(pattern, &p, 1));
                    }
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(line);
    }
    Ok(out)
}

/// The host's line: variables with quotes where the value needs them.
fn host_line(host: &str, vars: &[(String, String)]) -> String {
    let mut s = host.to_string();
    for (k, v) in vars {
        let plain = !v.is_empty() && v.chars().all(|c| c.is_alphanumeric() || "-_./:@%+,".contains(c));
        let v = if plain { v.clone() } else { format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\"")) };
        s.push_str(&format!(" {k}={v}"));
    }
    s + "\n"
}

fn add(text: &str, host: &str, groups: &[String], vars: &[(String, String)]) -> Result<String> {
    let mut text = text.to_string();
    for g in groups {
        text = add_to(&text, host, g, vars)?;
    }
    Ok(text)
}

fn add_to(text: &str, host: &str, wanted: &str, vars: &[(String, String)]) -> Result<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut group, mut hosts) = ("ungrouped".to_string(), true);
    // behind the last host of the section, else behind its heading
    let mut place = None;
    for (i, line) in lines.iter().enumerate() {
        match classify(line) {
            Line::Section { group: g, kind } => {
                group = g.to_string();
                hosts = matches!(kind, None | Some("hosts"));
                if hosts && group == wanted {
                    place = Some(i);
                }
            }
            Line::Host(pattern) if hosts && group == wanted => {
                if without(pattern, host)?.is_some() {
                    return Ok(text.to_string());
                }
                place = Some(i);
            }
            _ => {}
        }
    }
    let new = host_line(host, vars);
    let mut out = String::with_capacity(text.len() + new.len());
    for (i, line) in lines.iter().enumerate() {
        out.push_str(line);
        if place == Some(i) {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&new);
        }
    }
    if place.is_none() {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("[{wanted}]\n{new}"));
    }
    Ok(out)
}
