//! Which roles and collections are asked for: on the command line, in requirements files, in a role's metadata.

use crate::diag::{Error, Result};
use crate::value::Value;
use crate::yaml::{self, Node};
use camino::{Utf8Path, Utf8PathBuf};

/// A role to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSpec {
    /// What it shall be called.
    pub name: String,
    /// A path, a URL or a name on a server.
    pub src: String,
    /// `git` or another system for versions.
    pub scm: Option<String>,
    /// A branch, tag, commit or release. None if nothing was said, which the install note tells apart from empty.
    pub version: Option<String>,
}

/// A collection to install.
#[derive(Clone, Debug)]
pub struct CollectionSpec {
    /// A name, a path, a URL.
    pub name: String,
    /// A range of versions, or a git reference.
    pub version: Option<String>,
    /// `file`, `dir`, `subdirs`, `url`, `git`, `galaxy`.
    pub kind: Option<String>,
    pub source: Option<String>,
}

/// The last part of a URL without what tells of archives.
fn name_of(src: &str) -> String {
    if !src.contains("://") && !src.contains('@') {
        return src.into();
    }
    let last = src.rsplit('/').next().unwrap_or(src);
    let last = last.strip_suffix(".git").unwrap_or(last);
    let last = last.strip_suffix(".tar.gz").unwrap_or(last);
    last.split(',').next().unwrap_or(last).into()
}

impl RoleSpec {
    /// `SRC[,VERSION[,NAME]]`, the source perhaps with `git+` before it.
    pub fn parse(text: &str) -> Result<RoleSpec> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (src, version, name) = match parts.as_slice() {
            [src] => (*src, None, None),
            [src, v] => (*src, Some(*v), None),
            [src, v, n] => (*src, Some(*v), Some(*n)),
            _ => {
                return Err(Error::general(format!(
                    "Invalid role line ({text}). Proper format is 'role_name[,version[,name]]'"
                )));
            }
        };
        Ok(RoleSpec::of(src, name, version, None))
    }

    fn of(src: &str, name: Option<&str>, version: Option<&str>, scm: Option<&str>) -> RoleSpec {
        let (mut scm, mut src) = (scm.map(str::to_string), src.to_string());
        if let Some((before, rest)) = src.clone().split_once('+')
            && matches!(before, "git" | "hg")
        {
            scm = Some(before.into());
            src = rest.into();
        } else if scm.is_none() && src.starts_with("http") && src.contains("github.com") && !src.ends_with(".tar.gz") {
            scm = Some("git".into());
        }
        let name = name.filter(|n| !n.is_empty()).map(str::to_string).unwrap_or_else(|| name_of(&src));
        RoleSpec { name, src, scm, version: version.map(str::to_string) }
    }

    /// A list item of a requirements file or of `dependencies`: a text or a mapping.
    pub fn from_value(v: &Value) -> Result<RoleSpec> {
        let text = |k: &str| v.get(k).filter(|v| !v.is_null()).map(Value::to_str);
        let Value::Map(_) = v else {
            let mut s = RoleSpec::parse(&v.to_str())?;
            s.version.get_or_insert_default();
            return Ok(s);
        };
        if let Some(role) = text("role") {
            let mut s = match role.contains(',') {
                true => RoleSpec::parse(&role)?,
                false => RoleSpec::of(
                    &text("src").unwrap_or_else(|| role.clone()),
                    Some(&text("name").unwrap_or(role)),
                    text("version").as_deref(),
                    text("scm").as_deref(),
                ),
            };
            s.version.get_or_insert_default();
            return Ok(s);
        }
        let (src, name) = (text("src"), text("name"));
        let Some(from) = src.clone().or(name.clone()) else {
            return Err(Error::general("Must specify name or src for role"));
        };
        Ok(RoleSpec::of(&from, name.as_deref(), Some(&text("version").unwrap_or_default()), text("scm").as_deref()))
    }

    /// `name` or `name (version)`.
    pub fn shown(&self) -> String {
        match self.version.as_deref() {
            None | Some("") => self.name.clone(),
            Some(v) => format!("{} ({v})", self.name),
        }
    }
}

/// What a requirements file asks for.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    pub roles: Vec<RoleSpec>,
    pub collections: Vec<CollectionSpec>,
}

/// A requirement that no collection can be found by.
pub const NO_NAME: &str = "Neither the collection requirement entry key 'name', nor 'source' point to a concrete resolvable collection \
     artifact. Also 'name' is not an FQCN. A valid collection name must be in the format <namespace>.<collection>. \
     Please make sure that the namespace and the collection name contain characters from [a-zA-Z0-9_] only.";

/// Reads a requirements file: a list of roles, or `roles` and `collections`. With `old` unset a list is refused.
pub fn read(path: &Utf8Path, old: bool) -> Result<Requirements> {
    if !path.exists() {
        return Err(Error::general(format!("The requirements file '{path}' does not exist.")));
    }
    let doc = yaml::parse_file(path).map_err(|e| e.with_kind(crate::diag::Kind::General))?;
    let none = || Error::general(format!("No requirements found in file '{path}'"));
    let bad = |n: &Node, text: String| Error::general(text).at(n.span);
    let mut out = Requirements::default();
    if doc.root.is_null() {
        return Err(none());
    }
    if let Some(list) = doc.root.as_seq() {
        if !old {
            return Err(bad(
                &doc.root,
                "Expecting requirements file to be a dict with the key 'collections' that contains a list of \
                 collections to install"
                    .into(),
            ));
        }
        for n in list {
            role(n, path, &mut out.roles)?;
        }
        return Ok(out);
    }
    let Some(map) = doc.root.as_map() else {
        let kind = doc.root.to_plain_value().type_name();
        return Err(bad(&doc.root, format!("Expecting requirements yaml to be a list or dictionary but got {kind}")));
    };
    let extra: Vec<String> = map
        .iter()
        .map(|(k, _)| k.to_plain_value().to_str())
        .filter(|k| !matches!(k.as_str(), "roles" | "collections"))
        .collect();
    if !extra.is_empty() {
        return Err(Error::general(format!(
            "Expecting only 'roles' and/or 'collections' as base keys in the requirements file. Found: {}",
            extra.join(", ")
        ))
        .at(doc.root.span));
    }
    let list = |key: &str| -> Result<Vec<Node>> {
        match doc.root.get(key) {
            None => Ok(vec![]),
            Some(n) if n.is_null() => Ok(vec![]),
            Some(n) => n.as_seq().map(<[Node]>::to_vec).ok_or_else(|| bad(n, format!("'{key}' must be a list"))),
        }
    };
    for n in list("roles")? {
        role(&n, path, &mut out.roles)?;
    }
    for n in list("collections")? {
        out.collections.push(collection(&n)?);
    }
    Ok(out)
}

fn role(n: &Node, file: &Utf8Path, out: &mut Vec<RoleSpec>) -> Result<()> {
    if let Some(include) = n.get("include") {
        let name = include.to_plain_value().to_str();
        // the path is that of the current directory, as in ansible-core
        let path = Utf8PathBuf::from(crate::modules::expand_path(&name));
        if !path.exists() {
            return Err(Error::general(format!("Failed to find include requirements file '{name}' in '{file}'"))
                .at(include.span));
        }
        let doc = yaml::parse_file(&path)?;
        for inner in doc.root.as_seq().unwrap_or_default() {
            out.push(RoleSpec::from_value(&inner.to_plain_value()).map_err(|e| e.at(inner.span))?);
        }
        return Ok(());
    }
    out.push(RoleSpec::from_value(&n.to_plain_value()).map_err(|e| e.at(n.span))?);
    Ok(())
}

fn collection(n: &Node) -> Result<CollectionSpec> {
    let v = n.to_plain_value();
    let text = |k: &str| v.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    let Value::Map(_) = v else {
        return Ok(CollectionSpec { name: v.to_str(), version: None, kind: None, source: None });
    };
    if v.get("signatures").is_some_and(Value::truthy) {
        return Err(n.error("signatures of collections are not supported: remove the key 'signatures'"));
    }
    let Some(name) = text("name").or_else(|| text("source")) else {
        return Err(Error::general(NO_NAME).at(n.span));
    };
    let kind = text("type");
    let known = ["file", "galaxy", "git", "dir", "subdirs", "url"];
    if let Some(k) = kind.as_deref().filter(|k| !known.contains(k)) {
        let words =
            "The collection requirement entry key 'type' must be one of file, galaxy, git, dir, subdirs, or url.";
        return Err(Error::general(words).at(n.span).help(format!("found: {k}")));
    }
    Ok(CollectionSpec { name, version: text("version"), kind, source: text("source") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let s = |t: &str| RoleSpec::parse(t).map(|s| (s.name, s.src, s.scm, s.version)).ok();
        let own = |a: &str, b: &str, c: Option<&str>, d: Option<&str>| {
            Some((a.to_string(), b.to_string(), c.map(str::to_string), d.map(str::to_string)))
        };
        assert_eq!(s("x.tar.gz"), own("x.tar.gz", "x.tar.gz", None, None));
        assert_eq!(s("x.tar.gz,,n"), own("n", "x.tar.gz", None, Some("")));
        assert_eq!(s("git+https://h/a/b.git,v1"), own("b", "https://h/a/b.git", Some("git"), Some("v1")));
        assert_eq!(s("git+git@h:a/c.git"), own("c", "git@h:a/c.git", Some("git"), None));
        assert_eq!(s("a,b,c,d"), None);
    }

    #[test]
    fn mappings() {
        let s = |t: &str| RoleSpec::from_value(&yaml::parse_value(t).expect("YAML")).map(|s| (s.name, s.src, s.scm));
        assert_eq!(s("{src: 'git+file:///a/b'}").ok(), Some(("b".into(), "file:///a/b".into(), Some("git".into()))));
        assert_eq!(s("{role: x.y, vars: 1}").ok(), Some(("x.y".into(), "x.y".into(), None)));
        assert_eq!(s("{name: -c x, src: s, scm: git}").ok(), Some(("-c x".into(), "s".into(), Some("git".into()))));
        assert!(s("{srx: a}").is_err());
    }
}
