//! `group_vars/` and `host_vars/`: variables of a group or host from files beside inventories and playbooks.

use crate::diag::{Error, Kind, Result};
use crate::value::Map;
use crate::vault::Secrets;
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};

const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// The variables that `base/kind` (`group_vars` or `host_vars`) has for `name`: the file `name` with no
/// extension, `.yml`, `.yaml` or `.json`, or every such file below the directory `name`, in the order of
/// their names; later ones replace earlier ones. Strings are trusted; duplicate keys go to `warnings`.
pub fn load_vars_dir(
    base: &Utf8Path,
    kind: &str,
    name: &str,
    secrets: &Secrets,
    warnings: &mut Vec<Error>,
) -> Result<Map> {
    let mut out = Map::new();
    // A name with a slash would lead out of the directory; Ansible looks into none of those either.
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Ok(out);
    }
    for file in vars_files(&base.join(kind), name)? {
        load_vars_file(&file, secrets, &mut out, warnings)?;
    }
    Ok(out)
}

/// The files that hold the variables of `name` in the directory `dir`.
pub fn vars_files(dir: &Utf8Path, name: &str) -> Result<Vec<Utf8PathBuf>> {
    for ext in EXTENSIONS {
        let path = dir.join(format!("{name}{ext}"));
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if !meta.is_dir() {
            return Ok(vec![path]);
        }
        if ext.is_empty() {
            let mut out = Vec::new();
            walk(&path, 0, &mut out)?;
            return Ok(out);
        }
    }
    Ok(Vec::new())
}

fn walk(dir: &Utf8Path, depth: usize, out: &mut Vec<Utf8PathBuf>) -> Result<()> {
    if depth > 40 {
        return Err(Error::parse(format!("{dir} is nested too deeply (a link that leads back?)")));
    }
    let unreadable = |e: std::io::Error| Error::parse(format!("Unable to read the directory {dir}: {e}"));
    let mut names: Vec<Utf8PathBuf> = Vec::new();
    for entry in dir.read_dir_utf8().map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.into_path());
    }
    names.sort();
    for path in names {
        let name = path.file_name().unwrap_or("");
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, out)?;
        } else if EXTENSIONS.iter().any(|e| !e.is_empty() && name.ends_with(e)) || !name.contains('.') {
            out.push(path);
        }
    }
    Ok(())
}

/// Reads one vars file (vaulted or not) over `into`. Errors: unreadable, not YAML, not a dictionary.
pub fn load_vars_file(path: &Utf8Path, secrets: &Secrets, into: &mut Map, warnings: &mut Vec<Error>) -> Result<()> {
    // A vaulted file that does not open ends the loading like a file that does not parse.
    let text = secrets.open_text(path.as_str(), yaml::read_text(path)?).map_err(|e| e.with_kind(Kind::Parse))?;
    let doc = yaml::parse_str(path.as_str(), &text)?;
    warnings.extend(doc.warnings);
    if doc.root.is_null() {
        return Ok(());
    }
    match doc.root.to_value() {
        crate::value::Value::Map(m) => {
            for (k, v) in m.iter() {
                into.insert(k.clone(), v.clone());
            }
            Ok(())
        }
        other => Err(doc.root.error(format!(
            "Failed to load vars from {path}: variables must be a dictionary, found {} instead.",
            other.type_name()
        ))),
    }
}
