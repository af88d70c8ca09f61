//! Lookups of files: `file`, `fileglob`, `first_found`, `template`, `unvault`.

use super::{Call, find, text_of};
use crate::diag::{Error, Result};
use crate::modules::support::glob::{fnmatch, has_magic};
use crate::template::about;
use crate::template::engine::FileOptions;
use crate::value::{Map, Value};
use camino::{Utf8Path, Utf8PathBuf};

/// The text of each file, trailing white space removed.
pub(super) fn file(call: &Call<'_>) -> Result<Vec<Value>> {
    let (rstrip, lstrip) = (call.flag("rstrip", true)?, call.flag("lstrip", false)?);
    let mut out = Vec::new();
    for term in call.texts()? {
        let Some(path) = find(call, "files", &term) else {
            let places = call.r.scope.files.candidates("files", &term);
            if let Some(dir) = places.into_iter().find(|p| p.is_dir()) {
                let dir = dir.as_str().trim_end_matches('/');
                return Err(Error::template(format!(
                    "Unable to access the file '{term}': An error occurred while trying to read the file '{dir}': \
                     [Errno 21] Is a directory: '{dir}'"
                )));
            }
            return Err(Error::template(format!(
                "Unable to access the file '{term}': File not found. Use -vvvvv to see paths searched."
            ))
            .help(searched(call, "files", &term)));
        };
        let text = call.r.scope.files.read_text(&path)?;
        let text = if lstrip { text.trim_start() } else { &text };
        out.push(Value::plain(if rstrip { text.trim_end() } else { text }));
    }
    Ok(out)
}

fn searched(call: &Call<'_>, kind: &str, name: &str) -> String {
    let paths: Vec<String> = call.r.scope.files.candidates(kind, name).into_iter().map(String::from).collect();
    format!("searched: {}", paths.join(", "))
}

/// The text of each file, decrypted, nothing removed.
pub(super) fn unvault(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in call.texts()? {
        let path = find(call, "files", &term)
            .ok_or_else(|| Error::template(format!("Unable to find file matching \"{term}\"")))?;
        out.push(Value::plain(String::from_utf8_lossy(&call.r.scope.files.read(&path)?).into_owned()));
    }
    Ok(out)
}

/// The paths of the regular files that match each pattern. Only its last part may have wildcards: the folder before
/// it is looked for as files are, and the first that is there counts; without one, the first folder that has any match.
pub(super) fn fileglob(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    if let Some(t) = call.terms.iter().find(|t| matches!(t, Value::Int(_) | Value::Float(_) | Value::Bool(_))) {
        let what = t.type_name();
        return Err(Error::template(format!("expected str, bytes or os.PathLike object, not {what}")));
    }
    let files = &call.r.scope.files;
    for term in call.texts()? {
        let places = match term.rsplit_once('/') {
            None => files.folders("files"),
            Some((folder, _)) => {
                let name = match folder.trim_end_matches('/') {
                    "" => "/",
                    name => name,
                };
                let place = files.candidates("files", name).into_iter().find(|p| p.exists());
                if place.is_none() {
                    let words = format!("Unable to find '{name}' in expected paths (use -vvvvv to see paths)");
                    files.warn.say(&words);
                }
                place.into_iter().collect()
            }
        };
        let pattern = term.rsplit('/').next().unwrap_or_default();
        let found = places.iter().map(|p| matching(p, pattern)).find(|found| !found.is_empty());
        out.extend(found.unwrap_or_default().into_iter().map(|p| Value::plain(p.into_string())));
    }
    Ok(out)
}

/// The regular files of a folder that a name with wildcards matches, sorted.
fn matching(folder: &Utf8Path, pattern: &str) -> Vec<Utf8PathBuf> {
    let mut found: Vec<Utf8PathBuf> = if has_magic(pattern) {
        let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
        let shown = |name: &str| pattern.starts_with('.') || !name.starts_with('.');
        let wanted = entries.filter(|e| fnmatch(e.file_name(), pattern) && shown(e.file_name()));
        wanted.map(|e| folder.join(e.file_name())).collect()
    } else if pattern.is_empty() {
        vec![]
    } else {
        vec![folder.join(pattern)]
    };
    found.retain(|p| p.is_file());
    found.sort();
    found
}

/// The first file that exists, of names and folders given in several ways. A dictionary among the terms brings
/// `files`, `paths` and `skip` for itself and for the terms after it, in place of all that stood before.
pub(super) fn first_found(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut options = call.options.clone();
    let mut names = Vec::new();
    if call.terms.is_empty() {
        candidates(&options, &mut names)?;
    }
    for term in &call.terms {
        collect(term, &mut options, &mut names)?;
    }
    // only a loop over it knows the action and so the folder to look into first
    let kind = call.r.scope.files.kind;
    for name in &names {
        let places = call.r.scope.files.candidates(kind, name);
        if let Some(found) = places.into_iter().find(|p| p.exists()) {
            return Ok(vec![Value::plain(found.into_string())]);
        }
    }
    if options.get("skip").and_then(Value::to_bool_loose).unwrap_or(false) {
        return Ok(Vec::new());
    }
    Err(Error::template("No file was found when using first_found.")
        .help(format!("looked for: {}; say `skip: true` to go without", names.join(", "))))
}

fn collect(term: &Value, options: &mut Map, names: &mut Vec<String>) -> Result<()> {
    match term {
        Value::Map(m) => {
            *options = (**m).clone();
            candidates(options, names)
        }
        Value::List(l) | Value::Tuple(l) => l.iter().try_for_each(|t| collect(t, options, names)),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => Err(not_a_term(term)),
        other => in_paths(words(&Value::plain(text_of(other)?), &[',', ';'])?, options, names),
    }
}

fn not_a_term(term: &Value) -> Error {
    // the last bracket is ansible-core's own
    Error::template(format!("Invalid term supplied. A string, dict or list is required, not '{}').", term.type_name()))
}

/// `files` in `paths`: every folder with every file.
fn candidates(options: &Map, names: &mut Vec<String>) -> Result<()> {
    let files = options.get("files").map(|f| words(f, &[',', ';'])).transpose()?.unwrap_or_default();
    in_paths(files, options, names)
}

fn in_paths(files: Vec<String>, options: &Map, names: &mut Vec<String>) -> Result<()> {
    let paths = options.get("paths").map(|p| words(p, &[',', ':', ';'])).transpose()?.unwrap_or_default();
    if paths.is_empty() {
        names.extend(files);
        return Ok(());
    }
    for dir in &paths {
        names.extend(files.iter().map(|file| Utf8Path::new(dir).join(file).into_string()));
    }
    Ok(())
}

fn words(v: &Value, separators: &[char]) -> Result<Vec<String>> {
    match v {
        Value::List(l) | Value::Tuple(l) => {
            let mut out = Vec::new();
            for item in l.iter() {
                if !matches!(item, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Null) {
                    return Err(not_a_term(item));
                }
                out.extend(words(item, separators)?);
            }
            Ok(out)
        }
        Value::Null => Ok(Vec::new()),
        other => {
            Ok(text_of(other)?.split(separators).map(str::trim).filter(|s| !s.is_empty()).map(String::from).collect())
        }
    }
}

/// Each template file, rendered.
pub(super) fn template(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in call.texts()? {
        let path = find(call, "templates", &term).ok_or_else(|| {
            Error::template(format!("the template file {term} could not be found for the lookup")).help(searched(
                call,
                "templates",
                &term,
            ))
        })?;
        let text = call.r.scope.files.read_text(&path)?;
        let mut options = FileOptions { name: path.to_string(), ..FileOptions::default() };
        for (name, slot) in [
            ("variable_start_string", &mut options.variable_start_string),
            ("variable_end_string", &mut options.variable_end_string),
            ("block_start_string", &mut options.block_start_string),
            ("block_end_string", &mut options.block_end_string),
            ("comment_start_string", &mut options.comment_start_string),
            ("comment_end_string", &mut options.comment_end_string),
        ] {
            if let Some(v) = call.text(name) {
                *slot = v;
            }
        }
        options.trim_blocks = call.flag("trim_blocks", true)?;
        options.lstrip_blocks = call.flag("lstrip_blocks", false)?;
        let mut extra = about::variables(&term, &path, "", &call.r.scope)?;
        if let Some(Value::Map(vars)) = call.option("template_vars") {
            extra.extend(vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        let scope = call.r.scope.with_extra(extra);
        let engine = &call.r.engine;
        out.push(Value::plain(engine.file(&text, &options, &engine.renderer(&scope))?));
    }
    Ok(out)
}
