//! YAML inventories: keys of `hosts` mappings, found by their places in the parsed document.

use super::Change;
use super::ranges::without;
use crate::diag::{Error, Result};
use crate::yaml::{self, Node};
use camino::Utf8Path;

/// A `hosts` mapping of a group, with the key that names it.
struct Hosts<'a> {
    group: String,
    key: &'a Node,
    map: &'a Node,
}

pub fn edit(path: &Utf8Path, text: &str, host: &str, change: &Change) -> Result<String> {
    let doc = yaml::parse_str(path.as_str(), text)?;
    match change {
        Change::Remove { groups } => remove(text, &doc.root, host, groups.as_deref()),
        Change::Add { groups, vars } => {
            let mut text = text.to_string();
            for g in groups {
                let doc = yaml::parse_str(path.as_str(), &text)?;
                text = add(&text, &doc.root, host, g, vars)?;
            }
            Ok(text)
        }
    }
}

fn collect<'a>(groups: &'a Node, out: &mut Vec<Hosts<'a>>, depth: usize) {
    if depth > 64 {
        return;
    }
    for (k, g) in groups.as_map().unwrap_or_default() {
        for (part, v) in g.as_map().unwrap_or_default() {
            match part.as_str() {
                Some("hosts") => {
                    out.push(Hosts { group: k.as_str().unwrap_or_default().to_string(), key: part, map: v })
                }
                Some("children") => collect(v, out, depth + 1),
                _ => {}
            }
        }
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].rfind('\n').map_or(0, |i| i + 1)
}

/// True if only white space stands before `at` on its line: a block mapping's key.
fn begins_line(text: &str, at: usize) -> bool {
    text[line_start(text, at)..at].trim().is_empty()
}

/// The end of an entry: the line after its last one.
fn entry_end(text: &str, k: &Node, v: &Node) -> usize {
    let mut last = (k.span.end as usize).max(if v.is_null() { 0 } else { v.span.end as usize }).min(text.len());
    // a block value's span may reach into the next key's line
    while last > 0 && text[..last].ends_with(['\n', ' ', '\t']) {
        last -= 1;
    }
    text[last..].find('\n').map_or(text.len(), |i| last + i + 1)
}

fn remove(text: &str, root: &Node, host: &str, groups: Option<&[String]>) -> Result<String> {
    let mut all = vec![];
    collect(root, &mut all, 0);
    let mut edits: Vec<(usize, usize, String)> = vec![];
    for h in all.iter().filter(|h| groups.is_none_or(|l| l.contains(&h.group))) {
        for (k, v) in h.map.as_map().unwrap_or_default() {
            let Some(pattern) = k.as_str() else { continue };
            let Some(rest) = without(pattern, host)? else { continue };
            let start = k.span.start as usize;
            if !begins_line(text, start) {
                return Err(k.error("refused: hosts in braces cannot be edited").help("write the hosts one a line"));
            }
            let (from, to) = (line_start(text, start), entry_end(text, k, v));
            let entry = &text[from..to];
            let mut new = String::new();
            for p in rest {
                new.push_str(&entry.replacen(pattern, &p, 1));
            }
            edits.push((from, to, new));
        }
    }
    edits.sort_by_key(|e| std::cmp::Reverse(e.0));
    let mut out = text.to_string();
    for (from, to, new) in edits {
        out.replace_range(from..to, &new);
    }
    Ok(out)
}

fn scalar(v: &str) -> String {
    yaml::emit(&crate::value::Value::plain(v), &Default::default()).lines().next().unwrap_or("''").to_string()
}

fn entry(indent: &str, host: &str, vars: &[(String, String)]) -> String {
    let mut s = format!("{indent}{host}:\n");
    for (k, v) in vars {
        let v = if v.parse::<f64>().is_ok() || v == "true" || v == "false" { v.clone() } else { scalar(v) };
        s.push_str(&format!("{indent}  {k}: {v}\n"));
    }
    s
}

fn add(text: &str, root: &Node, host: &str, group: &str, vars: &[(String, String)]) -> Result<String> {
    let mut all = vec![];
    collect(root, &mut all, 0);
    let of_group: Vec<&Hosts> = all.iter().filter(|h| h.group == group).collect();
    for h in &of_group {
        for (k, _) in h.map.as_map().unwrap_or_default() {
            if k.as_str().is_some_and(|p| without(p, host).is_ok_and(|r| r.is_some())) {
                return Ok(text.to_string());
            }
        }
    }
    let Some(h) = of_group.first() else {
        let mut out = text.to_string();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!("{group}:\n  hosts:\n{}", entry("    ", host, vars)));
        return Ok(out);
    };
    let own = &text[line_start(text, h.key.span.start as usize)..h.key.span.start as usize];
    let (at, indent) = match h.map.as_map().and_then(|m| m.last()) {
        Some((k, v)) => {
            let start = k.span.start as usize;
            if !begins_line(text, start) {
                return Err(Error::general("refused: hosts in braces cannot be edited")
                    .at(k.span)
                    .help("write the hosts one a line"));
            }
            (entry_end(text, k, v), text[line_start(text, start)..start].to_string())
        }
        None => (entry_end(text, h.key, h.map), format!("{own}  ")),
    };
    let mut out = text.to_string();
    let mut new = entry(&indent, host, vars);
    if !out[..at].ends_with('\n') {
        new.insert(0, '\n');
    }
    out.insert_str(at, &new);
    Ok(out)
}
