//! The arguments that all file modules share (mode, owner, group, SELinux label, attributes): what
//! they ask for, whether that differs from what is there, and making it so.

use super::exec::{Cmd, find_program};
use super::{accounts, attrs, mode, pytext::os_error, selinux};
use crate::modules::{Args, Ctx, Diff, Failure};
use nix::unistd::{Gid, Uid};
use serde_json::{Map, Value as Json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Before and after of a file's attributes, holding only what differs.
#[derive(Clone, Debug, Default)]
pub struct AttrDiff {
    pub before: Map<String, Json>,
    pub after: Map<String, Json>,
}

impl AttrDiff {
    pub fn set(&mut self, key: &str, before: impl Into<Json>, after: impl Into<Json>) {
        self.before.insert(key.into(), before.into());
        self.after.insert(key.into(), after.into());
    }
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
    /// As the `diff` key of a result.
    pub fn into_diff(self) -> Diff {
        Diff::new(Json::Object(self.before), Json::Object(self.after))
    }
    /// As the `diff` key of modules that show content and attributes apart: headers name the file.
    pub fn into_headed(self, path: &str) -> Diff {
        let header = format!("{path} (file attributes)");
        self.into_diff().headers(&header, &header)
    }
}

/// What a task asks of a file's attributes.
#[derive(Clone, Debug, Default)]
pub struct FileArgs {
    pub mode: Json,
    pub owner: Option<String>,
    pub group: Option<String>,
    pub attributes: Option<String>,
    /// SELinux user, role, type and level.
    pub label: [Option<String>; 4],
    pub unsafe_writes: bool,
}

impl FileArgs {
    /// The common file arguments of a call.
    pub fn from_args(a: &Args) -> FileArgs {
        let text = |n: &str| a.opt_str(n).map(str::to_owned);
        FileArgs {
            mode: a.get("mode").clone(),
            owner: text("owner"),
            group: text("group"),
            attributes: text("attributes"),
            label: [text("seuser"), text("serole"), text("setype"), text("selevel")],
            unsafe_writes: a.bool("unsafe_writes"),
        }
    }

    /// Makes the attributes of `path` (a link itself, not its target) as asked; true if anything
    /// differed. With `check` nothing is done. What differs goes into `diff`.
    pub fn apply(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let label = self.apply_label(path, check, diff)?;
        let owner = self.apply_owner(path, check, diff)?;
        let group = self.apply_group(path, check, diff)?;
        let mode = self.apply_mode(path, check, diff)?;
        let attributes = self.apply_attributes(path, check, diff)?;
        Ok(label | owner | group | mode | attributes)
    }

    fn apply_label(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        if self.label.iter().all(Option::is_none) || !selinux::enabled() {
            return Ok(false);
        }
        let current = selinux::label(path).unwrap_or_default();
        let wanted = selinux::merge(&current, &self.label, path);
        if current == wanted {
            return Ok(false);
        }
        let parts = |s: &str| Json::from(s.splitn(4, ':').collect::<Vec<_>>());
        diff.set("secontext", parts(&current), parts(&wanted));
        if !check {
            selinux::set_label(path, &wanted).map_err(|e| {
                failure(path, format!("invalid selinux context: {e}"))
                    .set("new_context", parts(&wanted))
                    .set("cur_context", parts(&current))
            })?;
        }
        Ok(true)
    }

    fn apply_owner(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let Some(owner) = &self.owner else { return Ok(false) };
        let uid = owner
            .parse()
            .ok()
            .or_else(|| accounts::uid_of(owner))
            .ok_or_else(|| failure(path, format!("chown failed: failed to look up user {owner}")))?;
        let current = lstat(path)?.uid();
        if current == uid {
            return Ok(false);
        }
        diff.set("owner", current, uid);
        if !check {
            std::os::unix::fs::lchown(path, Some(uid), None)
                .map_err(|e| failure(path, "chown failed").set("details", os_error(&e, path)))?;
        }
        Ok(true)
    }

    fn apply_group(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let Some(group) = &self.group else { return Ok(false) };
        let gid = group
            .parse()
            .ok()
            .or_else(|| accounts::gid_of(group))
            .ok_or_else(|| failure(path, format!("chgrp failed: failed to look up group {group}")))?;
        let current = lstat(path)?.gid();
        if current == gid {
            return Ok(false);
        }
        diff.set("group", current, gid);
        if !check {
            std::os::unix::fs::lchown(path, None, Some(gid))
                .map_err(|e| failure(path, "chgrp failed").set("details", os_error(&e, path)))?;
        }
        Ok(true)
    }

    fn apply_mode(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let st = lstat(path)?;
        let wanted = mode::wanted(&self.mode, st.mode()).map_err(|e| failure(path, e.msg).set("details", e.details))?;
        let current = st.mode() & 0o7777;
        // Linux has no modes on links.
        let Some(bits) = wanted.filter(|w| *w != current && !st.is_symlink()) else { return Ok(false) };
        diff.set("mode", mode::show(current), mode::show(bits));
        if !check {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
                .map_err(|e| failure(path, "chmod failed").set("details", os_error(&e, path)))?;
        }
        Ok(true)
    }

    fn apply_attributes(&self, path: &Path, check: bool, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let Some(wanted) = &self.attributes else { return Ok(false) };
        let op = wanted.chars().next().filter(|c| "+-=".contains(*c));
        let (op, letters) = match op {
            Some(op) => (op, wanted.get(1..).unwrap_or_default()),
            None => ('=', wanted.as_str()),
        };
        if letters.is_empty() {
            return Ok(false);
        }
        let current = attrs::flags(path);
        if current == letters && op != '-' {
            return Ok(false);
        }
        diff.set("attributes", current.as_str(), format!("{op}{letters}"));
        if !check {
            let tool = find_program(&Ctx::bare(), "chattr").ok_or("chattr was not found, cannot set attributes")?;
            let out = Cmd::new([tool, format!("{op}{letters}"), path.to_string_lossy().into()]).start(&[])?;
            if !out.ok() {
                let details = format!("Error while setting attributes: {}{}", out.out(), out.err());
                return Err(failure(path, "chattr failed").set("details", details));
            }
        }
        Ok(true)
    }
}

fn failure(path: &Path, msg: impl Into<String>) -> Failure {
    Failure::new(msg).set("path", path.to_string_lossy().into_owned())
}

fn lstat(path: &Path) -> Result<std::fs::Metadata, Failure> {
    std::fs::symlink_metadata(path).map_err(|e| failure(path, os_error(&e, path)))
}

/// The path whose attributes a task means: the target of a link if `follow`.
pub fn followed(path: &Path, follow: bool) -> PathBuf {
    if follow && path.is_symlink() { real_path(path) } else { path.to_owned() }
}

/// The path with every link resolved as far as it exists (`os.path.realpath`).
pub fn real_path(path: &Path) -> PathBuf {
    if let Ok(p) = std::fs::canonicalize(path) {
        return p;
    }
    // A dangling link leads where it points; what does not exist keeps its name under a resolved parent.
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => break,
        }
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent != path => real_path(parent).join(name),
        _ => path,
    }
}

/// Adds what Ansible tells of a file whenever a result has `path` or `dest`: uid, gid, owner, group,
/// mode, state, size (and secontext).
pub fn add_path_info(result: &mut Map<String, Json>) {
    let Some(path) = ["path", "dest"].iter().find_map(|k| result.get(*k).and_then(Json::as_str)) else { return };
    let path = PathBuf::from(path);
    // A dangling link counts as nothing here.
    let (true, Ok(st)) = (path.exists(), std::fs::symlink_metadata(&path)) else { return };
    let mut n = accounts::Names::default();
    let state = match () {
        _ if st.is_symlink() => "link",
        _ if st.is_dir() => "directory",
        _ if st.nlink() > 1 => "hard",
        _ => "file",
    };
    result.insert("uid".into(), st.uid().into());
    result.insert("gid".into(), st.gid().into());
    result.insert("owner".into(), n.user(st.uid()).unwrap_or_else(|| st.uid().to_string()).into());
    result.insert("group".into(), n.group(st.gid()).unwrap_or_else(|| st.gid().to_string()).into());
    result.insert("mode".into(), mode::show(st.mode() & 0o7777).into());
    result.insert("state".into(), state.into());
    result.insert("size".into(), st.size().into());
    if selinux::enabled()
        && let Some(l) = selinux::label(&path)
    {
        result.insert("secontext".into(), l.into());
    }
}

/// True if this process may act for everybody.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The ids this process works as.
pub fn own_ids() -> (Uid, Gid) {
    (Uid::effective(), Gid::effective())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(dir: &Path) -> PathBuf {
        let p = dir.join("f");
        std::fs::write(&p, "x").expect("written");
        std::fs::set_permissions(&p, std::fs::Permissions::from_mode(0o644)).expect("set");
        p
    }

    #[test]
    fn mode_is_predicted_then_set_then_unchanged() {
        let d = tempfile::tempdir().expect("dir");
        let p = file(d.path());
        let want = FileArgs { mode: json!("u=rw,go="), ..FileArgs::default() };
        let mut diff = AttrDiff::default();
        assert!(want.apply(&p, true, &mut diff).expect("predicts"));
        assert_eq!((&diff.before["mode"], &diff.after["mode"]), (&json!("0644"), &json!("0600")));
        assert_eq!(p.metadata().expect("stat").mode() & 0o7777, 0o644);
        assert!(want.apply(&p, false, &mut AttrDiff::default()).expect("sets"));
        assert!(!want.apply(&p, false, &mut AttrDiff::default()).expect("keeps"));
        assert_eq!(p.metadata().expect("stat").mode() & 0o7777, 0o600);
    }

    #[test]
    fn refusals_use_ansibles_words() {
        let d = tempfile::tempdir().expect("dir");
        let p = file(d.path());
        let fail = |w: FileArgs| w.apply(&p, true, &mut AttrDiff::default()).expect_err("refused");
        let f = fail(FileArgs { owner: Some("no such".into()), ..FileArgs::default() });
        assert_eq!(f.msg, "chown failed: failed to look up user no such");
        let f = fail(FileArgs { mode: json!("99"), ..FileArgs::default() });
        assert_eq!(f.msg, "mode must be in octal or symbolic form");
        assert_eq!(f.data["details"], "bad symbolic permission for mode: 99");
    }

    #[test]
    fn real_path_of_what_is_not_there() {
        let d = tempfile::tempdir().expect("dir");
        let real = std::fs::canonicalize(d.path()).expect("real");
        std::os::unix::fs::symlink("gone/deeper", d.path().join("l")).expect("linked");
        assert_eq!(real_path(&d.path().join("l")), real.join("gone/deeper"));
        assert_eq!(real_path(&d.path().join("new")), real.join("new"));
    }

    #[test]
    fn path_info() {
        let d = tempfile::tempdir().expect("dir");
        let p = file(d.path());
        let mut m = Map::new();
        m.insert("dest".into(), p.to_string_lossy().into_owned().into());
        add_path_info(&mut m);
        assert_eq!((&m["mode"], &m["state"], &m["size"]), (&json!("0644"), &json!("file"), &json!(1)));
    }
}
