//! Lookups in data files: `csvfile` and `ini`.

use super::{Call, find, split_term};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use camino::Utf8Path;
use indexmap::IndexMap;

/// The term's words, and its options: its own before the call's.
fn settings(call: &Call<'_>, lookup: &str, term: &str) -> Result<(String, Map)> {
    let (key, own) = split_term(term)?;
    let mut all = call.options.clone();
    all.extend(own);
    all.retain(|_, v| !v.is_null());
    super::options::typed(lookup, &mut all)?;
    Ok((key, all))
}

fn text(options: &Map, name: &str, default: &str) -> String {
    options.get(name).map_or_else(|| default.to_string(), Value::to_str)
}

/// The text of a data file in its encoding.
fn read(call: &Call<'_>, path: &Utf8Path, options: &Map) -> Result<String> {
    let encoding = text(options, "encoding", "utf-8");
    match encoding.to_ascii_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" => call.r.scope.files.read_text(path),
        "latin-1" | "latin1" | "iso-8859-1" => {
            Ok(call.r.scope.files.read(path)?.iter().map(|b| char::from(*b)).collect())
        }
        "ascii" | "us-ascii" => {
            let bytes = call.r.scope.files.read(path)?;
            match bytes.iter().position(|b| !b.is_ascii()) {
                Some(at) => Err(Error::template(format!(
                    "'ascii' codec can't decode byte 0x{:02x} in position {at}: ordinal not in range(128)",
                    bytes.get(at).copied().unwrap_or(0)
                ))),
                None => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            }
        }
        _ => Err(Error::template(format!("unknown encoding: {encoding}"))
            .help("encodings known here: utf-8, latin-1, ascii")),
    }
}

/// The cell of the column `col` in the row whose column `keycol` is the term.
pub(super) fn csvfile(call: &Call<'_>) -> Result<Vec<Value>> {
    const NO_KEY: &str = "Search key is required but was not found";
    if call.terms.is_empty() {
        return Err(Error::template(NO_KEY));
    }
    let mut out = Vec::new();
    for term in call.texts()? {
        let (mut key, options) = settings(call, "csvfile", &term)?;
        if key.is_empty() {
            key = text(&options, "_raw_params", "");
        }
        if key.is_empty() {
            return Err(Error::template(NO_KEY));
        }
        let file = text(&options, "file", "ansible.csv");
        let delimiter = text(&options, "delimiter", "TAB");
        let delimiter = match (delimiter.as_str(), delimiter.chars().collect::<Vec<_>>().as_slice()) {
            ("TAB" | "t", _) => '\t',
            (_, [one]) => *one,
            _ => return Err(Error::template("\"delimiter\" must be a 1-character string")),
        };
        // a number below zero counts from the end, as Python's lists do
        let number = |name: &str, default: i128| match options.get(name) {
            Some(Value::Int(i)) => *i,
            _ => default,
        };
        let (col, keycol) = (number("col", 1), number("keycol", 0));
        let cell = |row: &Vec<String>, at: i128| {
            let at = if at < 0 { at + row.len() as i128 } else { at };
            usize::try_from(at).ok().and_then(|at| row.get(at).cloned())
        };
        let path = find(call, "files", &file)
            .ok_or_else(|| Error::template(format!("csvfile: the file '{file}' was not found")))?;
        let rows = csv_rows(&read(call, &path, &options)?, delimiter);
        let row = rows.iter().find(|r| cell(r, keycol).is_some_and(|k| k == key));
        match (row, options.get("default")) {
            (Some(row), _) => {
                let found = cell(row, col).ok_or_else(|| Error::template("list index out of range"))?;
                out.push(Value::plain(found));
            }
            (None, Some(default)) => out.push(default.clone()),
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
        let (key, options) = settings(call, "ini", &term)?;
        let properties = text(&options, "type", "ini") == "properties";
        let section = if properties { "java_properties".to_string() } else { text(&options, "section", "global") };
        let file = text(&options, "file", "ansible.ini");
        let flag = |name: &str, default: bool| match options.get(name) {
            Some(v) => v.to_bool_loose().unwrap_or(default),
            None => default,
        };
        let case_sensitive = flag("case_sensitive", false);
        let allow_none = flag("allow_no_value", false) || flag("allow_none", false);
        let path = find(call, "files", &file)
            .ok_or_else(|| Error::template(format!("ini: the file '{file}' was not found")))?;
        let mut content = read(call, &path, &options)?;
        if properties {
            content.insert_str(0, "[java_properties]\n");
        }
        let sections = parse_ini(&content, case_sensitive, allow_none, &file)?;
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
            for (k, v) in &all {
                let at_start = regex.find(k).ok().flatten().is_some_and(|m| m.start() == 0);
                if at_start {
                    out.push(show(v)?);
                }
            }
            continue;
        }
        let key = if case_sensitive { key } else { key.to_lowercase() };
        match all.get(&key) {
            // a name without a value is nothing, not an empty value
            Some(None) => {}
            Some(v) => out.push(show(v)?),
            None => out.push(options.get("default").cloned().unwrap_or_else(|| Value::plain(""))),
        }
    }
    Ok(out)
}

/// Sections of an INI text as Python's configparser reads it.
fn parse_ini(text: &str, case_sensitive: bool, allow_none: bool, file: &str) -> Result<IndexMap<String, Section>> {
    let twice = |what: &str, n: usize, which: &str| {
        Error::template(format!(
            "Duplicate {what} in '{file}': While reading from '<???>' [line {:2}]: {which} already exists",
            n + 1
        ))
    };
    let broken = |n: usize, line: &str, what: &str| {
        Error::template(format!("Error reading config file '{file}': {what} [line {}]: {line:?}", n + 1))
    };
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
            if sections.contains_key(name) && name != "DEFAULT" {
                return Err(twice("section", n, &format!("section '{name}'")));
            }
            sections.entry(name.to_string()).or_default();
            current = Some(name.to_string());
            last = None;
            continue;
        }
        let Some(section) = &current else {
            return Err(broken(n, trimmed, "File contains no section headers."));
        };
        let (key, value) = match trimmed.find(['=', ':']) {
            Some(at) => {
                let (k, v) = trimmed.split_at(at);
                (k.trim(), Some(v.get(1..).unwrap_or("").trim().to_string()))
            }
            None if allow_none => (trimmed, None),
            None => return Err(broken(n, trimmed, "Source contains parsing errors:")),
        };
        let key = if case_sensitive { key.to_string() } else { key.to_lowercase() };
        last = Some((key.clone(), indent));
        if sections.entry(section.clone()).or_default().insert(key.clone(), value).is_some() {
            return Err(twice("option", n, &format!("option '{key}' in section '{section}'")));
        }
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
