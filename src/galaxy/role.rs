//! One role in the roles path: found, described, installed, removed.

use super::archive::{self, Filling, What};
use super::requirement::RoleSpec;
use super::{Fetching, Talk, download, needs_server, scm};
use crate::diag::{Error, Result};
use crate::value::Value;
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};
use std::fs;

/// What the note of an installation says.
#[derive(Clone, Debug)]
pub struct Installed {
    pub date: String,
    /// The version that was asked for; `''` and `None` are different notes.
    pub version: Option<String>,
}

/// A role by its name, and the folder where it is or would be.
#[derive(Clone, Debug)]
pub struct Role {
    pub spec: RoleSpec,
    pub path: Utf8PathBuf,
}

const META: [&str; 2] = ["meta/main.yml", "meta/main.yaml"];
const NOTE: &str = "meta/.galaxy_install_info";

impl Role {
    /// The role in the first of the paths that has it, else in the first path. Names that would lead out of the
    /// roles path are refused.
    pub fn new(spec: RoleSpec, paths: &[Utf8PathBuf]) -> Result<Role> {
        let own = archive::inside(Utf8Path::new(&spec.name)).filter(|p| !p.as_str().is_empty());
        if own.is_none() {
            return Err(Error::general(format!(
                "'{}' cannot be the name of a role: it is a path outside the roles path",
                spec.name
            ))
            .help("name the role: SRC,VERSION,NAME on the command line, `name:` in a requirements file"));
        }
        let all: Vec<Utf8PathBuf> = paths.iter().map(|p| p.join(&spec.name)).collect();
        let found = all.iter().find(|p| p.exists()).or(all.first()).cloned();
        let path = found.ok_or_else(|| Error::options("there is no roles path"))?;
        Ok(Role { spec, path })
    }

    /// The metadata, if the role is there and has any.
    pub fn metadata(&self) -> Option<Value> {
        META.iter().find_map(|m| fs::read_to_string(self.path.join(m)).ok()).and_then(|t| yaml::parse_value(&t).ok())
    }

    /// The note that an installation left.
    pub fn installed(&self) -> Option<Installed> {
        let text = fs::read_to_string(self.path.join(NOTE)).ok()?;
        let v = yaml::parse_value(&text).ok()?;
        let text = |k: &str| v.get(k).filter(|v| !v.is_null()).map(Value::to_str);
        Some(Installed { date: text("install_date").unwrap_or_default(), version: text("version") })
    }

    /// What the role needs: `dependencies` of its metadata and `meta/requirements.yml`.
    pub fn dependencies(&self) -> Result<Vec<RoleSpec>> {
        let mut out = vec![];
        let meta = self.metadata().unwrap_or(Value::Null);
        let mut add = |list: Option<&Value>| -> Result<()> {
            for d in list.and_then(Value::as_list).unwrap_or_default() {
                out.push(RoleSpec::from_value(d)?);
            }
            Ok(())
        };
        add(meta.get("dependencies"))?;
        for f in ["meta/requirements.yml", "meta/requirements.yaml"] {
            let Ok(text) = fs::read_to_string(self.path.join(f)) else { continue };
            let v = yaml::parse_value(&text).map_err(|e| e.context(self.path.join(f)))?;
            add(v.get("roles").or(Some(&v)))?;
        }
        Ok(out)
    }

    /// Takes the role's folder away; false if it is not a role.
    pub fn remove(&self) -> Result<bool> {
        if self.metadata().is_none() {
            return Ok(false);
        }
        fs::remove_dir_all(&self.path).map_err(|e| Error::general(format!("could not remove {}: {e}", self.path)))?;
        Ok(true)
    }

    /// Installs the role from its source.
    pub fn install(&self, how: &Install, talk: Talk) -> Result<()> {
        let temp = tempfile::tempdir()?;
        let temp = Utf8Path::from_path(temp.path()).ok_or_else(|| Error::general("TMPDIR is not UTF-8"))?;
        let file = self.fetch(how, temp, talk)?;
        let inner = shape(&file)?;
        (talk.say)(&format!("- extracting {} to {}", self.spec.name, self.path));
        if let Ok(m) = fs::symlink_metadata(&self.path) {
            if !m.is_dir() {
                return Err(Error::general("the specified roles path exists and is not a directory."));
            }
            if !how.force {
                return Err(Error::general(format!(
                    "the specified role {} appears to already exist. Use --force to replace it.",
                    self.spec.name
                )));
            }
            fs::remove_dir_all(&self.path)
                .map_err(|e| Error::general(format!("could not remove {}: {e}", self.path)))?;
        }
        self.unpack(&file, &inner, talk)?;
        self.note()?;
        (talk.say)(&format!("- {} was installed successfully", self.spec.shown()));
        Ok(())
    }

    /// Brings the role's archive to this machine.
    fn fetch(&self, how: &Install, temp: &Utf8Path, talk: Talk) -> Result<Utf8PathBuf> {
        let s = &self.spec;
        let file = temp.join(".archive.tar");
        match s.scm.as_deref() {
            Some("git") => {
                let work = scm::clone(&s.src, s.version.as_deref().unwrap_or(""), &s.name, temp)?;
                if how.keep_scm_meta {
                    scm::pack(&work, "role", &file)?;
                } else {
                    scm::archive(&work, "role", &file)?;
                }
                Ok(file)
            }
            Some(other) => Err(Error::general(format!("repositories of '{other}' are not supported"))
                .help("use a git repository or a tar archive")),
            None if Utf8Path::new(&s.src).is_file() => Ok(Utf8PathBuf::from(&s.src)),
            None if s.src.contains("://") => {
                (talk.say)(&format!("- downloading role from {}", s.src));
                download(&s.src, &file, how.fetching)?;
                Ok(file)
            }
            None if s.src.contains('/') || s.src.ends_with(".tar") || s.src.ends_with(".gz") => {
                Err(Error::general(format!("there is no file {}", s.src)))
            }
            None => Err(needs_server(&s.src)),
        }
    }

    fn unpack(&self, file: &Utf8Path, inner: &Utf8Path, talk: Talk) -> Result<()> {
        let into = Filling::new(&self.path)?;
        archive::each(file, &mut |m| {
            let Some(rel) = below(&m.name, inner)? else { return Ok(()) };
            match m.what {
                What::Dir => {}
                What::File => into.file(&rel, m.mode, m.data)?,
                What::Link => into.link(&rel, &m.link)?,
                What::Other => (talk.warn)(&format!(
                    "{} of {} is neither a file nor a symbolic link and is left out",
                    m.name, self.spec.name
                )),
            }
            Ok(())
        })
    }

    fn note(&self) -> Result<()> {
        let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
        let date = now.strftime("%a %b %e %H:%M:%S %Y").to_string();
        let version = match &self.spec.version {
            None => Value::Null,
            Some(v) => v.as_str().into(),
        };
        let map = [("install_date".into(), date.into()), ("version".into(), version)].into_iter().collect();
        let text = yaml::emit(&Value::map(map), &yaml::EmitOptions::default());
        fs::create_dir_all(self.path.join("meta"))?;
        fs::write(self.path.join(NOTE), text)?;
        Ok(())
    }
}

/// How roles are installed.
#[derive(Clone, Copy, Debug)]
pub struct Install {
    pub force: bool,
    pub keep_scm_meta: bool,
    pub fetching: Fetching,
}

/// The folder of the archive in which the role lies; its metadata must be there and be YAML.
fn shape(file: &Utf8Path) -> Result<Utf8PathBuf> {
    let mut found: Option<(Utf8PathBuf, String)> = None;
    archive::each(file, &mut |m| {
        let name = Utf8PathBuf::from(&m.name);
        let Some(top) = META.iter().find(|meta| name.ends_with(meta)).and_then(|_| name.parent()?.parent()) else {
            return Ok(());
        };
        let depth = |p: &Utf8Path| p.components().count();
        if m.what == What::File && found.as_ref().is_none_or(|(f, _)| depth(top) < depth(f)) {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut std::io::Read::take(m.data, 1 << 20), &mut text)
                .map_err(|_| Error::general("this role does not appear to have a valid meta/main.yml file."))?;
            found = Some((top.to_owned(), text));
        }
        Ok(())
    })?;
    let Some((top, text)) = found else {
        return Err(Error::general("this role does not appear to have a meta/main.yml file."));
    };
    yaml::parse_value(&text)
        .map_err(|_| Error::general("this role does not appear to have a valid meta/main.yml file."))?;
    Ok(top)
}

/// A member's path in the role; None for the role's folder itself.
fn below(name: &str, inner: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let name = Utf8Path::new(name);
    let rel = name.strip_prefix(inner).unwrap_or(name);
    // what does not lie in the role's folder keeps its path, below the role
    let rel = rel.strip_prefix("/").unwrap_or(rel);
    match archive::inside(rel) {
        Some(p) if p.as_str().is_empty() => Ok(None),
        Some(p) => Ok(Some(p)),
        None => Err(Error::general(format!(
            "Invalid name for tarfile member: path {name} is not a subpath of the role {inner}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive_of(members: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = Utf8PathBuf::from_path_buf(dir.path().join("r.tar")).expect("UTF-8");
        let mut b = tar::Builder::new(fs::File::create(&path).expect("made"));
        for (name, kind, text) in members {
            let mut h = tar::Header::new_gnu();
            h.set_entry_type(*kind);
            h.set_mode(0o644);
            // set directly: the crate itself refuses `..` here
            h.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            if kind.is_file() {
                h.set_size(text.len() as u64);
                h.set_cksum();
                b.append(&h, text.as_bytes()).expect("added");
            } else {
                h.set_size(0);
                h.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
                h.set_cksum();
                b.append(&h, &b""[..]).expect("added");
            }
        }
        b.finish().expect("written");
        (dir, path)
    }

    fn install(members: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, Utf8PathBuf, Result<()>) {
        let mut all = vec![("r/meta/main.yml", tar::EntryType::Regular, "galaxy_info: {}\n")];
        all.extend(members);
        let (dir, path) = archive_of(&all);
        let root = path.parent().expect("a folder").join("roles");
        let spec = RoleSpec { name: "x".into(), src: path.to_string(), scm: None, version: None };
        let role = Role::new(spec, std::slice::from_ref(&root)).expect("a role");
        let fetching = Fetching { timeout: std::time::Duration::from_secs(1), validate: true };
        let r = role
            .install(&Install { force: false, keep_scm_meta: false, fetching }, Talk { say: &|_| {}, warn: &|_| {} });
        (dir, root.join("x"), r)
    }

    #[test]
    fn a_role_is_unpacked() {
        use tar::EntryType as T;
        let (_d, at, r) = install(&[("r/tasks/main.yml", T::Regular, "[]"), ("r/l", T::Symlink, "tasks/main.yml")]);
        r.expect("installed");
        assert_eq!(fs::read_to_string(at.join("l")).expect("there"), "[]");
        assert!(fs::read_to_string(at.join(NOTE)).expect("noted").ends_with("version: null\n"));
    }

    #[test]
    fn nothing_leaves_the_role() {
        use tar::EntryType as T;
        for bad in [
            vec![("r/../../evil", T::Regular, "x")],
            vec![("r/l", T::Symlink, "/etc/passwd")],
            vec![("r/l", T::Symlink, "../../evil")],
            vec![("r/l", T::Symlink, "tasks"), ("r/tasks/a", T::Regular, "x"), ("r/l/b", T::Regular, "x")],
        ] {
            let (d, _, r) = install(&bad);
            assert!(r.is_err(), "{bad:?}");
            assert!(!d.path().join("evil").exists() && !d.path().join("roles/evil").exists());
        }
        let (d, at, r) = install(&[("/evil", T::Regular, "x"), ("r/hard", T::Link, "/etc/passwd")]);
        r.expect("installed");
        assert!(at.join("evil").exists() && !at.join("hard").exists() && !d.path().join("evil").exists());
    }

    #[test]
    fn names_are_no_paths_out() {
        for bad in ["../x", "/tmp/x", "a/../../b", ".", ""] {
            let spec = RoleSpec { name: bad.into(), src: "s".into(), scm: None, version: None };
            assert!(Role::new(spec, &["/r".into()]).is_err(), "{bad}");
        }
    }
}
