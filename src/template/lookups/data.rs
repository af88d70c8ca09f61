//! Lookups in data files: `csvfile` and `ini`.

use super::{Call, find, split_term};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use indexmap::IndexMap;

/// The term's own options before the call's.
fn setting(own: &Map, call: &Call<'_>, name: &str) -> Option<String> {
    own.get(name).map(Value::to_str).or_else(|| call.text(name))
}

/// The cell of the column `col` in the row whose column `keycol` is the term.
pub(super) fn csvfile(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in call.texts()? {
        let (key, own) = split_term(&term)?;
        if key.is_empty() {
            return Err(Error::template("Search key is required but was not found"));
        }
        let file = setting(&own, call, "file").unwrap_or_else(|| "ansible.csv".into());
        let delimiter = match setting(&own, call, "delimiter").as_deref() {
            None | Some("TAB" | "t") => '\t',
            Some(d) => d.chars().next().unwrap_or('\t'),
        };
        let number = |name: &str, default: usize| -> Result<usize> {
            match setting(&own, call, name) {
                None => Ok(default),
                Some(v) => v.trim().parse().map_err(|_| Error::template(format!("{name} must be a number, not '{v}'"))),
            }
        };
        let (col, keycol) = (number("col", 1)?, number("keycol", 0)?);
        let path = find(call, "files", &file)
            .ok_or_else(|| Error::template(format!("csvfile: the file '{file}' was not found")))?;
        let text = call.r.scope.files.read_text(&path)?;
        let rows = csv_rows(&text, delimiter);
        let row = rows.iter().find(|r| r.get(keycol).is_some_and(|k| *k == key));
        match (row, call.option("default").cloned().or_else(|| own.get("default").cloned())) {
            (Some(row), _) => {
                let cell = row.get(col).ok_or_else(|| Error::template("csvfile: list index out of range"))?;
                out.push(Value::plain(cell.clone()));
            }
            (None, Some(default)) => out.push(default),
            (None, None) => {}
        }
    }
    Ok(out)
}

/// The rows of a CSV text: cells in double quotes may hold delimiters, newlines and doubled quotes.
fn csv_rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut cell) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            c if !quoted && c == delimiter => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

type Section = IndexMap<String, Option<String>>;

/// The value of a key in a section of an INI file, or of a Java properties file.
pub(super) fn ini(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in call.texts()? {
        let (key, own) = split_term(&term)?;
        let properties = setting(&own, call, "type").is_some_and(|t| t == "properties");
        let section = if properties {
            "java_properties".to_string()
        } else {
            setting(&own, call, "section").unwrap_or_else(|| "global".into())
        };
        let file = setting(&own, call, "file").unwrap_or_else(|| "ansible.ini".into());
        let flag = |name: &str, default: bool| match own.get(name).or_else(|| call.option(name)) {
            Some(v) => v.to_bool_loose().unwrap_or(default),
            None => default,
        };
        let case_sensitive = flag("case_sensitive", false);
        let allow_none = flag("allow_no_value", false) || flag("allow_none", false);
        let path = find(call, "files", &file)
            .ok_or_else(|| Error::template(format!("ini: the file '{file}' was not found")))?;
        let mut text = call.r.scope.files.read_text(&path)?;
        if properties {
            text.insert_str(0, "[java_properties]\n");
        }
        let sections = parse_ini(&text, case_sensitive, allow_none)
            .map_err(|e| Error::template(format!("Error reading config file '{file}': {e}")))?;
        let Some(found) = sections.get(&section) else {
            return Err(Error::template(format!("No section '{section}' in '{file}'.")));
        };
        let mut all = sections.get("DEFAULT").cloned().unwrap_or_default();
        all.extend(found.iter().map(|(k, v)| (k.clone(), v.clone())));
        let show = |v: &Option<String>| -> Result<Value> {
            match v {
                None => Ok(Value::Null),
                Some(v) if flag("interpolation", true) => interpolate(v, &all, 0).map(Value::plain),
                Some(v) => Ok(Value::plain(v.clone())),
            }
        };
        if flag("re", false) {
            let regex = fancy_regex::Regex::new(&key)
                .map_err(|e| Error::template(format!("bad regular expression '{key}': {e}")))?;
            for (k, v) in found {
                let at_start = regex.find(k).ok().flatten().is_some_and(|m| m.start() == 0);
                if at_start {
                    out.push(show(v)?);
                }
            }
            continue;
        }
        let key = if case_sensitive { key } else { key.to_lowercase() };
        let default = call.option("default").cloned().or_else(|| own.get("default").cloned());
        out.push(match all.get(&key) {
            Some(v) => show(v)?,
            None => default.unwrap_or_else(|| Value::plain("")),
        });
    }
    Ok(out)
}

/// Sections of an INI text as Python's configparser reads it.
fn parse_ini(text: &str, case_sensitive: bool, allow_none: bool) -> Result<IndexMap<String, Section>> {
    let mut sections: IndexMap<String, Section> = IndexMap::new();
    let mut current: Option<String> = None;
    let mut last: Option<(String, usize)> = None;
    for (n, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let (Some(section), Some((key, was))) = (&current, &last)
            && indent > *was
        {
            if let Some(Some(v)) = sections.get_mut(section).and_then(|s| s.get_mut(key)) {
                v.push('\n');
                v.push_str(trimmed);
            }
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|t| t.split_once(']')).map(|(name, _)| name) {
            sections.entry(name.to_string()).or_default();
            current = Some(name.to_string());
            last = None;
            continue;
        }
        let Some(section) = &current else {
            return Err(Error::template(format!("File contains no section headers. line: {} {trimmed:?}", n + 1)));
        };
        let (key, value) = match trimmed.find(['=', ':']) {
            Some(at) => {
                let (k, v) = trimmed.split_at(at);
                (k.trim(), Some(v.get(1..).unwrap_or("").trim().to_string()))
            }
            None if allow_none => (trimmed, None),
            None => {
                return Err(Error::template(format!("Source contains parsing errors: [line {}]: {trimmed:?}", n + 1)));
            }
        };
        let key = if case_sensitive { key.to_string() } else { key.to_lowercase() };
        last = Some((key.clone(), indent));
        sections.entry(section.clone()).or_default().insert(key, value);
    }
    Ok(sections)
}

/// `%(name)s` of configparser's basic interpolation.
fn interpolate(value: &str, all: &Section, depth: usize) -> Result<String> {
    if depth > 10 {
        return Err(Error::template("Recursion limit exceeded in value substitution"));
    }
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(tail) = tail.strip_prefix("%%") {
            out.push('%');
            rest = tail;
        } else if let Some((name, tail)) = tail.strip_prefix("%(").and_then(|t| t.split_once(")s")) {
            let found = all.get(&name.to_lowercase()).cloned().flatten().ok_or_else(|| {
                Error::template(format!("Bad value substitution: '{value}' contains an interpolation key '{name}' which is not a valid option name"))
            })?;
            out.push_str(&interpolate(&found, all, depth + 1)?);
            rest = tail;
        } else {
            return Err(Error::template(format!("'%' must be followed by '%' or '(', found: '{tail}'")));
        }
    }
    out.push_str(rest);
    Ok(out)
}
