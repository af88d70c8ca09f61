//! New roles and collections: the folders and files that one begins with, or those of a skeleton of the user's.

use super::Talk;
use crate::diag::{Error, Result};
use crate::template::{Engine, EngineOptions, FileOptions, FileScope, MapVars, Scope};
use crate::value::{Map, Value};
use camino::{Utf8Path, Utf8PathBuf};
use std::fs;
use std::sync::Arc;

/// A file of a skeleton; `{{ … }}` in it is filled in.
type Part = (&'static str, &'static str);

const ROLE: &[Part] = &[
    ("README.md", include_str!("skeleton/role-readme.md.j2")),
    ("defaults/main.yml", "---\n# defaults of {{ role_name }}: what its user may set\n"),
    ("handlers/main.yml", "---\n# handlers of {{ role_name }}\n"),
    ("meta/main.yml", include_str!("skeleton/role-meta.yml.j2")),
    ("tasks/main.yml", "---\n# tasks of {{ role_name }}\n"),
    ("tests/inventory", "localhost\n"),
    ("tests/test.yml", "---\n- hosts: localhost\n  remote_user: root\n  roles:\n    - {{ role_name }}\n"),
    ("vars/main.yml", "---\n# variables of {{ role_name }} that its user does not set\n"),
];
const ROLE_DIRS: &[&str] = &["files", "templates"];

const COLLECTION: &[Part] = &[
    ("README.md", "# {{ namespace }}.{{ collection_name }}\n\nWhat this collection is for.\n"),
    ("galaxy.yml", include_str!("skeleton/galaxy.yml.j2")),
    (
        "meta/runtime.yml",
        "---\n# The versions of ansible-core that this collection works with:\n# requires_ansible: '>=2.16'\n",
    ),
    (
        "plugins/README.md",
        "# Plug-ins\n\nOne folder for each kind: `modules`, `module_utils`, `filter`, `lookup`, `action`, `inventory` and so on.\n",
    ),
];
const COLLECTION_DIRS: &[&str] = &["roles", "docs"];

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Role,
    Collection,
}

/// Makes the folder `to`. `skeleton` is a folder of the user's; paths that fit one of `ignore` are left out of it.
pub fn create(
    kind: Kind,
    to: &Utf8Path,
    vars: Map,
    skeleton: Option<&Utf8Path>,
    ignore: &[String],
    talk: Talk,
) -> Result<()> {
    let scope = Scope::new(Arc::new(MapVars(vars)), Arc::new(FileScope::default()));
    let engine = Engine::new(EngineOptions::default());
    let write = |rel: &Utf8Path, text: &str, name: &str| -> Result<()> {
        let options = FileOptions { name: name.into(), ..FileOptions::default() };
        let text = engine.render_file(text, &options, &scope)?;
        put(&to.join(rel), text.as_bytes())
    };
    fs::create_dir_all(to).map_err(|e| Error::general(format!("Could not create {to}: {e}")))?;
    let Some(skeleton) = skeleton else {
        let (parts, dirs) = match kind {
            Kind::Role => (ROLE, ROLE_DIRS),
            Kind::Collection => (COLLECTION, COLLECTION_DIRS),
        };
        for (rel, text) in parts {
            write(rel.as_ref(), text, rel)?;
        }
        for d in dirs {
            fs::create_dir_all(to.join(d))?;
        }
        return Ok(());
    };
    let ignore: Vec<regex::Regex> = ignore
        .iter()
        .map(|p| {
            regex::Regex::new(&format!("^(?:{p})"))
                .map_err(|e| Error::options(format!("'{p}' is not a regular expression: {e}")))
        })
        .collect::<Result<_>>()?;
    if !skeleton.is_dir() {
        return Err(Error::general(format!(
            "- the skeleton path '{skeleton}' does not exist, cannot init {}",
            if kind == Kind::Role { "role" } else { "collection" }
        )));
    }
    let mut todo = vec![Utf8PathBuf::new()];
    while let Some(rel) = todo.pop() {
        let mut names: Vec<String> =
            skeleton.join(&rel).read_dir_utf8()?.flatten().map(|e| e.file_name().to_string()).collect();
        names.sort();
        for name in names {
            let rel = rel.join(&name);
            let from = skeleton.join(&rel);
            if ignore.iter().any(|r| r.is_match(rel.as_str())) {
                continue;
            }
            // files of a role's `templates` are templates of the role, not of its skeleton
            let own = rel.components().rev().skip(1).any(|c| c.as_str() == "templates");
            if from.is_symlink() {
                let target = from.read_link_utf8()?;
                if target.is_absolute() {
                    (talk.warn)(&format!("{from} leads out of the skeleton and is left out"));
                    continue;
                }
                let at = to.join(&rel);
                if !at.is_symlink() {
                    std::os::unix::fs::symlink(&target, &at)?;
                }
            } else if from.is_dir() {
                fs::create_dir_all(to.join(&rel))?;
                todo.push(rel);
            } else if rel.extension() == Some("j2") && !own {
                let text = crate::yaml::read_text(&from)?;
                write(&rel.with_extension(""), &text, from.as_str())?;
            } else {
                let at = to.join(&rel);
                put(&at, &fs::read(&from)?)?;
                fs::set_permissions(&at, fs::metadata(&from)?.permissions())?;
            }
        }
    }
    Ok(())
}

fn put(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::general(format!("Could not write {path}: {e}"));
    if let Some(p) = path.parent() {
        fs::create_dir_all(p).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}

/// What skeletons of roles may name.
pub fn role_vars(name: &str) -> Map {
    let words: [(&str, &str); 8] = [
        ("role_name", name),
        ("role_type", "default"),
        ("author", "your name"),
        ("description", "your role description"),
        ("company", "your company (optional)"),
        ("license", "license (GPL-2.0-or-later, MIT, etc)"),
        ("issue_tracker_url", "http://example.com/issue/tracker"),
        ("repository_url", "http://example.com/repository"),
    ];
    let mut m: Map = words.iter().map(|(k, v)| ((*k).into(), Value::from(*v))).collect();
    m.insert("documentation_url".into(), "http://docs.example.com".into());
    m.insert("homepage_url".into(), "http://example.com".into());
    m.insert("min_ansible_version".into(), "2.1".into());
    m.insert("dependencies".into(), Value::list(vec![]));
    m
}

/// What skeletons of collections may name.
pub fn collection_vars(namespace: &str, name: &str) -> Map {
    let words: [(&str, &str); 10] = [
        ("namespace", namespace),
        ("collection_name", name),
        ("version", "1.0.0"),
        ("readme", "README.md"),
        ("description", "your collection description"),
        ("repository", "http://example.com/repository"),
        ("documentation", "http://docs.example.com"),
        ("homepage", "http://example.com"),
        ("issues", "http://example.com/issue/tracker"),
        ("license_file", ""),
    ];
    let mut m: Map = words.iter().map(|(k, v)| ((*k).into(), Value::from(*v))).collect();
    m.insert("authors".into(), Value::list(vec!["your name <example@domain.com>".into()]));
    m.insert("license".into(), Value::list(vec!["GPL-2.0-or-later".into()]));
    m.insert("tags".into(), Value::list(vec![]));
    m.insert("build_ignore".into(), Value::list(vec![]));
    m.insert("dependencies".into(), Value::empty_map());
    m
}
