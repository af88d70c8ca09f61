//! The documentation of a plug-in in Python: the YAML in its file or in one beside it, with what it takes from
//! fragments, and with the collection that each version is one of.

use super::find::{Found, Places};
use crate::diag::{Error, Result};
use crate::settings::pydoc;
use crate::value::{Key, Map, Value};
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};

/// What is known of one plug-in.
#[derive(Clone, Debug)]
pub struct Doc {
    pub doc: Map,
    /// As written.
    pub examples: Option<String>,
    /// A mapping, or text where it could not be more.
    pub returns: Value,
}

/// The files beside a plug-in that may hold its documentation.
pub fn sidecars(path: &Utf8Path, name: &str) -> Vec<Utf8PathBuf> {
    let dir = path.parent().unwrap_or(Utf8Path::new(""));
    let short = name.rsplit('.').next().unwrap_or(name);
    let mut out: Vec<Utf8PathBuf> = [short, path.file_stem().unwrap_or(short)]
        .iter()
        .flat_map(|s| ["yml", "yaml"].map(|e| dir.join(format!("{s}.{e}"))))
        .collect();
    // a file without an ending may be described by one in Python
    if path.extension().is_none() {
        out.push(path.with_extension("py"));
    }
    out
}

/// Reads it. None if there is none.
pub fn read(found: &Found, places: &Places) -> Result<Option<Doc>> {
    let Some(path) = &found.path else { return Ok(None) };
    let jinja = matches!(found.kind.as_str(), "filter" | "test");
    let mut files = vec![];
    if !jinja {
        files.push(path.clone());
    }
    files.extend(sidecars(path, &found.name));
    for f in files.iter().filter(|f| f.is_file()) {
        let Some(mut d) = of_file(f)? else { continue };
        fragments(&mut d.doc, found, places)?;
        // "fragments" of the list need not be told any more
        d.doc.shift_remove("extends_documentation_fragment");
        collections(&mut d, found);
        return Ok(Some(d));
    }
    Ok(None)
}

/// What a list of plug-ins needs: the documentation itself, whatever examples and return values are like.
pub fn summary(found: &Found) -> Option<Map> {
    let path = found.path.as_ref()?;
    let jinja = matches!(found.kind.as_str(), "filter" | "test");
    let own = (!jinja).then(|| path.clone());
    own.into_iter().chain(sidecars(path, &found.name)).filter(|f| f.is_file()).find_map(|f| {
        let text = std::fs::read_to_string(&f).ok()?;
        let v = match f.extension() {
            Some("yml" | "yaml") => yaml::parse_value(&text).ok()?.get("DOCUMENTATION")?.clone(),
            _ => yaml::parse_value(&pydoc::text_of(&text, "DOCUMENTATION")?).ok()?,
        };
        v.as_map().cloned()
    })
}

fn of_file(path: &Utf8Path) -> Result<Option<Doc>> {
    let bytes = std::fs::read(path).map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let part = |v: Option<Value>| match v {
        Some(Value::Map(m)) => Some((*m).clone()),
        _ => None,
    };
    if matches!(path.extension(), Some("yml" | "yaml")) {
        let v = yaml::parse_value(&text).map_err(|e| e.context(path))?;
        let Some(doc) = part(v.get("DOCUMENTATION").cloned()) else { return Ok(None) };
        let examples = v.get("EXAMPLES").map(Value::to_str);
        return Ok(Some(Doc { doc, examples, returns: v.get("RETURN").cloned().unwrap_or(Value::Null) }));
    }
    let parse = |name: &str| -> Result<Option<Value>> {
        match pydoc::text_of(&text, name) {
            Some(t) => yaml::parse_value(&t)
                .map(Some)
                .map_err(|e| e.context(format!("Unable to parse documentation in python file '{path}'"))),
            None => Ok(None),
        }
    };
    let Some(doc) = part(parse("DOCUMENTATION")?) else { return Ok(None) };
    let returns = parse("RETURN")?.unwrap_or(Value::Null);
    Ok(Some(Doc { doc, examples: pydoc::text_of(&text, "EXAMPLES"), returns }))
}

/// Adds what the fragments say; what the documentation itself says stands.
fn fragments(doc: &mut Map, found: &Found, places: &Places) -> Result<()> {
    let names: Vec<String> = match doc.get("extends_documentation_fragment") {
        Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
        Some(Value::Null) | None => return Ok(()),
        Some(v) => v.to_str().split(',').map(|s| s.trim().to_string()).collect(),
    };
    let mut unknown = vec![];
    for name in names {
        let Some(text) = places.fragment(&name) else {
            unknown.push(name);
            continue;
        };
        let v = yaml::parse_value(&text).map_err(|e| e.context(format!("doc_fragment {name}")))?;
        let Some(m) = v.as_map() else { continue };
        let mut m = m.clone();
        let own: Vec<&str> = name.split('.').collect();
        let home =
            if own.len() > 2 { own.iter().take(2).copied().collect::<Vec<_>>().join(".") } else { BUILTIN.into() };
        if m.contains_key("version_added") {
            m.entry("version_added_collection".into()).or_insert_with(|| home.as_str().into());
        }
        if let Some(Value::Map(o)) = m.get_mut("options") {
            versions(std::sync::Arc::make_mut(o), &home, is_module(found));
        }
        for (k, v) in m {
            match (doc.get_mut(&k), v) {
                (Some(Value::List(mine)), Value::List(theirs)) => {
                    let mut all = (**mine).clone();
                    all.extend(theirs.iter().cloned());
                    *mine = std::sync::Arc::new(all);
                }
                (Some(Value::Map(mine)), Value::Map(theirs)) => {
                    let mine = std::sync::Arc::make_mut(mine);
                    for (k, v) in theirs.iter() {
                        match (mine.get_mut(k), v) {
                            // details of one option from both, the nearer first
                            (Some(Value::Map(a)), Value::Map(b)) => {
                                let a = std::sync::Arc::make_mut(a);
                                for (k, v) in b.iter() {
                                    a.entry(k.clone()).or_insert_with(|| v.clone());
                                }
                            }
                            (Some(_), _) => {}
                            (None, v) => {
                                mine.insert(k.clone(), v.clone());
                            }
                        }
                    }
                }
                (Some(_), _) => {}
                (None, v) => {
                    doc.insert(k, v);
                }
            }
        }
    }
    if !unknown.is_empty() {
        return Err(Error::general(format!(
            "unknown doc_fragment(s) in file {}: {}",
            found.path.as_deref().map(Utf8Path::as_str).unwrap_or_default(),
            unknown.join(", ")
        ))
        .help("fragments are looked for in collections' plugins/doc_fragments and in an installed ansible-core"));
    }
    Ok(())
}

const BUILTIN: &str = "ansible.builtin";

fn is_module(f: &Found) -> bool {
    f.kind == "module"
}

/// Whether every option and return value is described.
pub fn described(d: &Doc) -> bool {
    fn all(m: Option<&Value>, inner: &[&str]) -> bool {
        let Some(m) = m.and_then(Value::as_map) else { return true };
        m.values().all(|o| {
            o.as_map().is_none() || o.get("description").is_some() && inner.iter().all(|i| all(o.get(i), inner))
        })
    }
    all(d.doc.get("options"), &["options", "suboptions"]) && all(Some(&d.returns), &["contains"])
}

/// Tells of each version which collection's it is.
fn collections(d: &mut Doc, found: &Found) {
    let home = found.collection.clone().unwrap_or_else(|| BUILTIN.into());
    let key = |s: &str| -> Key { s.into() };
    if d.doc.contains_key("version_added") {
        d.doc.entry(key("version_added_collection")).or_insert_with(|| home.as_str().into());
    }
    if let Some(Value::Map(a)) = d.doc.get_mut("attributes") {
        for a in std::sync::Arc::make_mut(a).values_mut() {
            if let Value::Map(a) = a {
                tell(std::sync::Arc::make_mut(a), &home);
            }
        }
    }
    if let Some(Value::Map(m)) = d.doc.get_mut("deprecated") {
        let m = std::sync::Arc::make_mut(m);
        m.entry(key("removed_from_collection")).or_insert_with(|| home.as_str().into());
    }
    if let Some(Value::Map(o)) = d.doc.get_mut("options") {
        versions(std::sync::Arc::make_mut(o), &home, is_module(found));
    }
    if let Value::Map(r) = &mut d.returns {
        returns(std::sync::Arc::make_mut(r), &home);
    }
}

fn versions(options: &mut Map, home: &str, module: bool) {
    for o in options.values_mut() {
        let Value::Map(o) = o else { continue };
        let o = std::sync::Arc::make_mut(o);
        tell(o, home);
        if !module {
            if let Some(Value::Map(d)) = o.get_mut("deprecated") {
                std::sync::Arc::make_mut(d).entry("collection_name".into()).or_insert_with(|| home.into());
            }
            for k in ["cli", "env", "ini", "vars", "keyword"] {
                let Some(Value::List(l)) = o.get_mut(k) else { continue };
                for e in std::sync::Arc::make_mut(l) {
                    let Value::Map(e) = e else { continue };
                    let e = std::sync::Arc::make_mut(e);
                    tell(e, home);
                    if let Some(Value::Map(d)) = e.get_mut("deprecated") {
                        let d = std::sync::Arc::make_mut(d);
                        d.entry("collection_name".into()).or_insert_with(|| home.into());
                    }
                }
            }
        }
        if let Some(Value::Map(s)) = o.get_mut("suboptions") {
            versions(std::sync::Arc::make_mut(s), home, module);
        }
    }
}

fn returns(m: &mut Map, home: &str) {
    for r in m.values_mut() {
        let Value::Map(r) = r else { continue };
        let r = std::sync::Arc::make_mut(r);
        tell(r, home);
        if let Some(Value::Map(c)) = r.get_mut("contains") {
            returns(std::sync::Arc::make_mut(c), home);
        }
    }
}

fn tell(m: &mut Map, home: &str) {
    if m.contains_key("version_added") && !m.contains_key("version_added_collection") {
        m.insert("version_added_collection".into(), home.into());
    }
}
