//! Roles: their entry points after `meta/argument_specs.yml` or `argument_specs` of `meta/main.yml`.

use super::find::Places;
use super::markup::{fill, plain};
use super::text::{Layout, fields};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};

/// A role with entry points.
#[derive(Clone, Debug)]
pub struct Role {
    /// With its collection, if it is in one.
    pub name: String,
    pub collection: Option<String>,
    pub path: Utf8PathBuf,
    pub specs: Map,
    /// Why the specifications cannot be read.
    pub broken: Option<Error>,
}

const FILES: [&str; 4] = ["meta/argument_specs.yml", "meta/argument_specs.yaml", "meta/main.yml", "meta/main.yaml"];

/// The specifications of a role's folder. None if it is no role.
fn specs(dir: &Utf8Path) -> Option<Result<Map>> {
    let file = FILES.iter().map(|f| dir.join(f)).find(|f| f.is_file())?;
    let read = || -> Result<Map> {
        let doc = yaml::parse_file(&file)?;
        match doc.root.to_plain_value().get("argument_specs") {
            Some(Value::Map(m)) => Ok((**m).clone()),
            _ => Ok(Map::new()),
        }
    };
    Some(read().map_err(|e| e.context(&file)))
}

/// All roles there are. `filters` name collections.
pub fn all(places: &Places, roles_path: &[Utf8PathBuf], filters: &[String]) -> Vec<Role> {
    let mut out: Vec<Role> = vec![];
    let mut add = |name: String, collection: Option<String>, path: Utf8PathBuf| {
        if out.iter().any(|r| r.name == name) {
            return;
        }
        match specs(&path) {
            Some(Ok(m)) => out.push(Role { name, collection, path, specs: m, broken: None }),
            Some(Err(e)) => out.push(Role { name, collection, path, specs: Map::new(), broken: Some(e) }),
            None => {}
        }
    };
    let folders = |d: &Utf8Path| -> Vec<String> {
        let mut n: Vec<String> = d
            .read_dir_utf8()
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.path().is_dir())
            .map(|e| e.file_name().to_string())
            .collect();
        n.sort();
        n
    };
    if filters.is_empty() {
        let mut dirs: Vec<Utf8PathBuf> = vec![];
        if let Some(p) = places.playbook_dir() {
            dirs.extend([p.join("roles"), p.to_owned()]);
        }
        dirs.extend(roles_path.iter().cloned());
        for d in dirs {
            for n in folders(&d) {
                add(n.clone(), None, d.join(n));
            }
        }
    }
    for (c, dir) in places.all_collections() {
        if !filters.is_empty() && !filters.contains(&c) {
            continue;
        }
        for n in folders(&dir.join("roles")) {
            add(format!("{c}.{n}"), Some(c.clone()), dir.join("roles").join(n));
        }
    }
    out
}

/// The list of roles with their entry points.
pub fn list(roles: &[Role]) -> String {
    let mut out = String::new();
    let wide = roles.iter().flat_map(|r| r.specs.keys()).map(|k| k.to_string().len()).max().unwrap_or(0);
    let most = 79usize.saturating_sub(wide + 5).max(20);
    for r in roles {
        if r.specs.is_empty() {
            out.push_str(&format!("{}\n", r.name));
            continue;
        }
        out.push_str(&format!("{}:\n  specs:\n", r.name));
        for (entry, s) in &r.specs {
            let text = s.get("short_description").map(Value::to_str).unwrap_or_else(|| "UNDOCUMENTED".into());
            let text = plain(&text);
            let text =
                if text.chars().count() > most { text.chars().take(most).collect::<String>() + "..." } else { text };
            out.push_str(&format!("    {:wide$}: {text}\n", entry.to_string()));
        }
    }
    out
}

/// The entry points as data.
pub fn data(r: &Role, entry: Option<&str>) -> Value {
    let points: Map = r
        .specs
        .iter()
        .filter(|(k, _)| entry.is_none_or(|e| k.as_str() == Some(e)))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let mut m = Map::new();
    m.insert("collection".into(), r.collection.as_deref().map(Value::from).unwrap_or(Value::Null));
    m.insert("entry_points".into(), Value::map(points));
    m.insert("path".into(), r.path.as_str().into());
    Value::map(m)
}

const INDENT: &str = "          ";

/// A role's pages, one for each entry point.
pub fn page(r: &Role, entry: Option<&str>, layout: Layout) -> Option<String> {
    let mut out: Vec<String> = vec![];
    let chosen: Vec<_> = r.specs.iter().filter(|(k, _)| entry.is_none_or(|e| k.as_str() == Some(e))).collect();
    if chosen.is_empty() {
        return None;
    }
    out.push(format!("> ROLE: *{}* ({})", r.name, r.path));
    for (name, s) in chosen {
        let about = s.get("short_description").map(Value::to_str).unwrap_or_default();
        out.push(String::new());
        out.push(if about.is_empty() {
            format!("ENTRY POINT: *{name}*")
        } else {
            format!("ENTRY POINT: *{name}* - {about}")
        });
        out.push(String::new());
        let text: Vec<String> = match s.get("description") {
            Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
            Some(Value::Null) | None => vec![],
            Some(v) => vec![v.to_str()],
        };
        // the paragraphs run on
        if !text.is_empty() {
            out.extend(fill(&plain(&text.join(" ")), INDENT, INDENT, layout.width));
            out.push(String::new());
        }
        if let Some(o) = s.get("options").and_then(Value::as_map) {
            out.push("Options (= indicates it is required):\n".into());
            fields(&mut out, Some(o), layout, "", INDENT, false);
        }
        if let Some(a) = s.get("attributes") {
            super::text::attributes(&mut out, a, INDENT);
        }
        let known = ["short_description", "description", "options", "attributes", "examples"];
        let mut more: Vec<(String, &Value)> = s
            .as_map()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.to_string(), v))
            .filter(|(k, _)| !known.contains(&k.as_str()))
            .collect();
        more.sort_by(|a, b| a.0.cmp(&b.0));
        for (k, v) in more {
            let up = k.to_uppercase();
            match v {
                Value::List(l) => {
                    out.push(format!("{up}: {}", l.iter().map(Value::to_str).collect::<Vec<_>>().join(", ")));
                }
                v => out.extend(fill(&format!("{up}: {}", plain(&v.to_str())), "", INDENT, layout.width)),
            }
            out.push(String::new());
        }
        if let Some(e) = s.get("examples").filter(|e| !e.is_null()) {
            out.push("EXAMPLES:".into());
            out.push(e.to_str().trim().to_string());
            out.push(String::new());
        }
    }
    Some(out.join("\n"))
}
