//! `file`: files, directories, links and their attributes.

use super::support::accounts;
use super::support::fileargs::{AttrDiff, FileArgs, real_path};
use super::support::pytext::{os_error, repr};
use super::support::times::{self, Wanted};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::fs::{self, FileTimes, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub fn module() -> Module {
    Module {
        name: "file",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "name"]).doc("The file to manage."),
            Arg::str("state")
                .choices(&["absent", "directory", "file", "hard", "link", "touch"])
                .doc("What the path shall be; by default what it is, or a file."),
            Arg::path("src").doc("Target of the link, for `link` and `hard`."),
            Arg::bool("recurse").default(false).doc("Set the attributes of everything in the directory too."),
            Arg::bool("force").default(false).doc("Link to what does not exist; replace a file by a link."),
            Arg::bool("follow").default(true).doc("Follow links."),
            Arg::str("modification_time").doc("`preserve`, `now` or a time."),
            Arg::str("modification_time_format").default("%Y%m%d%H%M.%S").doc("Format of `modification_time`."),
            Arg::str("access_time").doc("`preserve`, `now` or a time."),
            Arg::str("access_time_format").default("%Y%m%d%H%M.%S").doc("Format of `access_time`."),
            Arg::str("_original_basename").doc("Name of the file within a directory that `path` may be."),
            Arg::str("_diff_peek").doc("Only tell whether the file looks binary."),
        ])
        .with_file_args(),
        check: Support::Full,
        diff: Support::Partial,
        free_form: false,
        doc: "Manage files and file properties\n\nSets attributes of files, directories, and links, or creates and removes them. With `recurse` and `follow`, what links inside the directory lead to is changed, too.",
        run,
    }
}

const NO_TARGET: &str =
    "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.";

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Absent,
    Link,
    Directory,
    Hard,
    File,
}

impl State {
    fn of(path: &Path) -> State {
        match fs::symlink_metadata(path) {
            Err(_) => State::Absent,
            Ok(m) if m.is_symlink() => State::Link,
            Ok(m) if m.is_dir() => State::Directory,
            Ok(m) if m.nlink() > 1 => State::Hard,
            Ok(_) => State::File,
        }
    }
    fn name(self) -> &'static str {
        match self {
            State::Absent => "absent",
            State::Link => "link",
            State::Directory => "directory",
            State::Hard => "hard",
            State::File => "file",
        }
    }
}

/// One call: what is asked of which path.
struct Task<'a> {
    args: &'a Args,
    check: bool,
    path: PathBuf,
    want: FileArgs,
    mtime: Wanted,
    atime: Wanted,
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let mut path = PathBuf::from(args.str("path"));
    let src = args.opt_str("src");
    if !matches!(args.str("state"), "link" | "absent") && path.is_dir() {
        let base = match (args.opt_str("_original_basename"), src) {
            (Some(b), _) => Some(b.to_owned()),
            (None, Some(s)) => Path::new(s).file_name().map(|n| n.to_string_lossy().into_owned()),
            (None, None) => None,
        };
        if let Some(b) = base.filter(|b| !b.is_empty()) {
            path = path.join(b);
        }
    }
    let before = State::of(&path);
    let recurse = args.bool("recurse");
    let state = match args.opt_str("state") {
        Some(s) => s,
        None if before != State::Absent => before.name(),
        None if recurse => "directory",
        None => "file",
    };
    let fail = |msg: String| Failure::new(msg).set("path", path.to_string_lossy().into_owned());
    if recurse && state != "directory" {
        return Err(fail("recurse option requires state to be 'directory'".into()));
    }
    if src.is_some() && !matches!(state, "link" | "hard") {
        return Err(fail("src option requires state to be 'link' or 'hard'".into()));
    }
    if args.is_set("_diff_peek") {
        return Ok(Outcome::ok().set("path", args.str("path")).set("appears_binary", looks_binary(&path)));
    }
    let default = if state == "touch" { "now" } else { "preserve" };
    let time = |name: &str| {
        let text = args.opt_str(name).unwrap_or(default);
        let format = args.str(&format!("{name}_format"));
        times::wanted(text, format).map_err(|e| {
            Failure::new(format!("Error while obtaining timestamp for time {text} using format {format}: {e}"))
        })
    };
    let (mtime, atime) = (time("modification_time")?, time("access_time")?);
    let want = FileArgs::from_args(args);
    let mut task = Task { args, check: ctx.check, path, want, mtime, atime };
    let unknown = if ctx.check && state != "absent" { unknown_names(&task.want) } else { vec![] };
    let done = match state {
        "file" => task.file(),
        "directory" => task.directory(recurse),
        "link" => task.link(src),
        "hard" => task.hard(src),
        "touch" => task.touch(),
        _ => task.absent(),
    };
    match done {
        _ if unknown.is_empty() => done,
        Ok(mut o) => {
            o.warnings.extend(unknown);
            Ok(o)
        }
        Err(f) => Err(f.set("warnings", unknown)),
    }
}

/// What a check run says of an owner and a group that an earlier task may be going to make.
fn unknown_names(want: &FileArgs) -> Vec<String> {
    let mut known = accounts::Names::default();
    let mut out = vec![];
    if let Some(owner) = want.owner.as_ref().filter(|o| !o.is_empty()) {
        let id: Option<u32> = owner.parse().ok();
        if id.map_or(accounts::uid_of(owner).is_none(), |id| known.user(id).is_none()) {
            let with = if id.is_some() { " with uid" } else { "" };
            out.push(format!("failed to look up user{with} {owner}. Create user up to this point in real play"));
        }
    }
    if let Some(group) = want.group.as_ref().filter(|g| !g.is_empty()) {
        let id: Option<u32> = group.parse().ok();
        if id.map_or(accounts::gid_of(group).is_none(), |id| known.group(id).is_none()) {
            let with = if id.is_some() { " with gid" } else { "" };
            out.push(format!("failed to look up group{with} {group}. Create group up to this point in real play"));
        }
    }
    out
}

/// As Ansible decides it: a NUL in the first 8 KiB.
pub(super) fn looks_binary(path: &Path) -> bool {
    let mut head = Vec::new();
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    match opened.and_then(|f| f.take(8192).read_to_end(&mut head)) {
        Ok(_) => head.contains(&0),
        Err(_) => false,
    }
}

impl Task<'_> {
    fn shown(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
    fn follow(&self) -> bool {
        self.args.bool("follow")
    }
    fn fail(&self, msg: impl Into<String>) -> Failure {
        Failure::new(msg).set("path", self.shown())
    }
    fn fail_dest(&self, msg: impl Into<String>, src: &str) -> Failure {
        Failure::new(msg).set("dest", self.shown()).set("src", src)
    }
    fn os(&self, what: &str, e: &std::io::Error) -> Failure {
        self.fail(format!("{what}: {}", os_error(e, &self.path)))
    }
    fn diff(&self, after: &str, before: State) -> AttrDiff {
        let mut d = AttrDiff::default();
        d.set("path", self.shown(), self.shown());
        if before.name() != after {
            d.set("state", before.name(), after);
        }
        d
    }
    /// The path whose attributes are meant.
    fn target(&self) -> PathBuf {
        super::support::fileargs::followed(&self.path, self.follow())
    }
    fn attributes(&self, diff: &mut AttrDiff) -> Result<bool, Failure> {
        let target = self.target();
        if !target.exists() && self.args.str("state") == "touch" {
            let e = std::io::Error::from_raw_os_error(libc::ENOENT);
            let why = os_error(&e, &target);
            return Err(Failure::new(format!("Error while updating modification or access time: {why}"))
                .set("path", target.to_string_lossy().into_owned()));
        }
        let attrs = self.want.apply(&target, self.check, diff)?;
        Ok(self.times(&target, diff)? | attrs)
    }

    /// Sets the times of a path that exists; true if they differ.
    fn times(&self, path: &Path, diff: &mut AttrDiff) -> Result<bool, Failure> {
        if (self.mtime, self.atime) == (Wanted::Preserve, Wanted::Preserve) {
            return Ok(false);
        }
        let st = fs::metadata(path).map_err(|e| self.os("Error while updating modification or access time", &e))?;
        let now = SystemTime::now();
        let pick = |w: Wanted, old: SystemTime| match w {
            Wanted::Preserve => old,
            Wanted::Now => now,
            Wanted::At(t) => t,
        };
        let old = (st.modified()?, st.accessed()?);
        let new = (pick(self.mtime, old.0), pick(self.atime, old.1));
        if new == old {
            return Ok(false);
        }
        if new.0 != old.0 {
            diff.set("mtime", times::mtime(&st), times::as_seconds(new.0));
        }
        if new.1 != old.1 {
            diff.set("atime", times::atime(&st), times::as_seconds(new.1));
        }
        if !self.check {
            // who may write a file may set its times to now, even where it is another's
            let now = (self.mtime, self.atime) == (Wanted::Now, Wanted::Now);
            let set = if now { touch_now(path) } else { set_times(path, new.0, new.1) };
            set.map_err(|e| self.os("Error while updating modification or access time", &e))?;
        }
        Ok(true)
    }

    fn file(&mut self) -> ModResult {
        let mut before = State::of(&self.path);
        if self.follow() && before == State::Link {
            self.path = real_path(&self.path);
            before = State::of(&self.path);
        }
        if !matches!(before, State::File | State::Hard) {
            let (p, s) = (self.shown(), before.name());
            return Err(self.fail(format!("file ({p}) is {s}, cannot continue")).set("state", s));
        }
        let mut diff = self.diff("file", State::File);
        let changed = self.attributes(&mut diff)?;
        Ok(Outcome::changed(changed).set("path", self.shown()).with_diff(diff.into_diff()))
    }

    fn absent(&mut self) -> ModResult {
        let before = State::of(&self.path);
        if before == State::Absent {
            return Ok(Outcome::ok().set("path", self.shown()).set("state", "absent"));
        }
        let mut diff = self.diff("absent", before);
        if before == State::Directory {
            diff.before.insert("path_content".into(), content_of(&self.path));
        }
        if !self.check {
            let gone =
                if before == State::Directory { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
            match gone {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    let what = if before == State::Directory { "rmtree failed" } else { "unlinking failed" };
                    return Err(self.os(what, &e));
                }
                _ => {}
            }
        }
        Ok(Outcome::changed(true).set("path", self.shown()).set("state", "absent").with_diff(diff.into_diff()))
    }

    fn touch(&mut self) -> ModResult {
        let before = State::of(&self.path);
        let mut o = Outcome::changed(true).set("dest", self.shown());
        if self.check && before == State::Absent {
            return Ok(o);
        }
        let mut diff = self.diff("touch", before);
        let mut changed = false;
        if before == State::Absent {
            OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).map_err(|e| {
                self.fail("Error, could not touch target.")
                    .set("_ansible_cause", os_error(&e, &self.path).replacen(": '", ": b'", 1))
            })?;
            changed = true;
        }
        changed |= match self.attributes(&mut diff) {
            Ok(c) => c,
            Err(mut f) => {
                super::support::fileargs::add_path_info(&mut f.data);
                // What was made only to be touched must not stay when its attributes cannot be set.
                if before == State::Absent {
                    let _ = fs::remove_file(&self.path);
                }
                return Err(f);
            }
        };
        o.changed = changed;
        Ok(o.with_diff(diff.into_diff()))
    }

    fn directory(&mut self, recurse: bool) -> ModResult {
        let mut before = State::of(&self.path);
        if self.follow() && before == State::Link {
            self.path = real_path(&self.path);
            before = State::of(&self.path);
        }
        let mut diff = self.diff("directory", before);
        match before {
            State::Absent if self.check => {
                return Ok(Outcome::changed(true).set("path", self.shown()).with_diff(diff.into_diff()));
            }
            State::Absent => {
                // Every directory made on the way gets the attributes too.
                let mut at = PathBuf::new();
                for part in self.path.clone().components() {
                    at.push(part);
                    if at.exists() {
                        continue;
                    }
                    match fs::create_dir(&at) {
                        Ok(()) => {}
                        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && at.is_dir() => {}
                        Err(e) => {
                            let (p, why) = (self.shown(), os_error(&e, &at));
                            return Err(self.fail(format!("There was an issue creating {p} as requested: {why}")));
                        }
                    }
                    self.want.apply(&at, false, &mut diff)?;
                    self.times(&at, &mut AttrDiff::default())?;
                }
            }
            State::Directory => {}
            other => {
                let p = self.shown();
                return Err(self.fail(format!("{p} already exists as a {}", other.name())));
            }
        }
        let mut changed = before == State::Absent;
        // what making it has set already is told as that
        let mut again = AttrDiff::default();
        changed |= self.attributes(if changed { &mut again } else { &mut diff })?;
        if recurse {
            changed |= self.recurse(&self.path, &mut HashSet::new())?;
        }
        Ok(Outcome::changed(changed).set("path", self.shown()).with_diff(diff.into_diff()))
    }

    /// Sets the attributes of everything below a directory. Links are changed themselves, never
    /// followed: what they point at may lie anywhere.
    /// Sets the attributes of what is in `dir`; with `follow` also of what links lead to, in the tree or out of it.
    fn recurse(&self, dir: &Path, seen: &mut HashSet<(u64, u64)>) -> Result<bool, Failure> {
        let st = fs::metadata(dir)?;
        // links may lead in a circle
        if !seen.insert((st.dev(), st.ino())) {
            return Ok(false);
        }
        let mut changed = false;
        let entries = fs::read_dir(dir).map_err(|e| self.os("Could not read directory", &e))?;
        for entry in entries {
            let p = entry?.path();
            let mut unseen = AttrDiff::default();
            changed |= self.want.apply(&p, self.check, &mut unseen)?;
            let st = fs::symlink_metadata(&p)?;
            if st.is_symlink() {
                if self.follow() && p.exists() {
                    let target = real_path(&p);
                    if target.is_dir() {
                        changed |= self.recurse(&target, seen)?;
                    }
                    changed |= self.want.apply(&target, self.check, &mut unseen)?;
                    changed |= self.times(&target, &mut unseen)?;
                }
                continue;
            }
            changed |= self.times(&p, &mut unseen)?;
            if st.is_dir() {
                changed |= self.recurse(&p, seen)?;
            }
        }
        Ok(changed)
    }

    fn link(&mut self, src: Option<&str>) -> ModResult {
        let before = State::of(&self.path);
        let force = self.args.bool("force");
        let p = self.shown();
        let Some(src) = src else {
            // Without src the link that is there is meant, and only its attributes.
            if before != State::Link {
                return Err(Failure::new("src is required for creating new symlinks"));
            }
            let mut diff = self.diff("link", before);
            let old = fs::read_link(&self.path)?.to_string_lossy().into_owned();
            let src = if self.follow() && self.path.exists() { Json::from(old) } else { Json::Null };
            let o = Outcome::ok().set("dest", p).set("src", src);
            return self.link_attributes(o, &mut diff);
        };
        let base = if before == State::Directory { self.path.clone() } else { parent(&self.path) };
        let target = base.join(src);
        if !force && !target.exists() {
            let t = target.display();
            let words = "src file does not exist, use 'force=yes' if you really want to create the link";
            return Err(self.fail(format!("{words}: {t}")).set("src", src));
        }
        match before {
            State::Directory if !force => {
                return Err(self.fail(format!("refusing to convert from directory to symlink for {p}")));
            }
            State::Directory if fs::read_dir(&self.path)?.next().is_some() => {
                return Err(self.fail(format!("the directory {p} is not empty, refusing to convert it")));
            }
            State::File | State::Hard if !force => {
                return Err(self.fail(format!("refusing to convert from {} to symlink for {p}", before.name())));
            }
            _ => {}
        }
        let mut diff = self.diff("link", before);
        let mut changed = before != State::Link;
        if before == State::Link {
            let old = fs::read_link(&self.path)?.to_string_lossy().into_owned();
            if old != src {
                diff.set("src", old, src);
                changed = true;
            }
        }
        if changed && !self.check {
            self.put(before, src, |at| symlink(src, at))?;
        }
        self.link_attributes(Outcome::changed(changed).set("dest", p).set("src", src), &mut diff)
    }

    fn link_attributes(&self, mut o: Outcome, diff: &mut AttrDiff) -> ModResult {
        if self.check && !self.path.exists() {
            return Ok(o.with_diff(diff.clone().into_diff()));
        }
        if self.follow() && self.path.is_symlink() && !self.path.exists() {
            o = o.warn(NO_TARGET);
        } else {
            o.changed |= self.attributes(diff)?;
        }
        Ok(o.with_diff(diff.clone().into_diff()))
    }

    fn hard(&mut self, src: Option<&str>) -> ModResult {
        let before = State::of(&self.path);
        let force = self.args.bool("force");
        let src = match src {
            Some(s) => s.to_owned(),
            None if before == State::Hard => String::new(),
            None => return Err(Failure::new("src is required for creating new hardlinks")),
        };
        if !src.is_empty() && !Path::new(&src).exists() {
            return Err(self.fail_dest("src does not exist", &src));
        }
        let mut diff = self.diff("hard", before);
        let same = || match (fs::metadata(&self.path), fs::metadata(&src)) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => false,
        };
        let changed = match before {
            State::Absent => true,
            State::Link => {
                let old = fs::read_link(&self.path)?.to_string_lossy().into_owned();
                let differs = old != src;
                if differs {
                    diff.set("src", old, src.as_str());
                }
                differs
            }
            State::File if !force => {
                return Err(self.fail_dest("Cannot link, file exists at destination", &src));
            }
            _ if src.is_empty() || same() => false,
            State::Hard if !force => {
                return Err(self.fail_dest("Cannot link, different hard link exists at destination", &src));
            }
            State::Directory => {
                let at = self.path.display();
                return Err(self.fail_dest(format!("Cannot link, {at} is a directory"), &src));
            }
            _ => true,
        };
        if changed && !self.check {
            self.put(before, &src, |at| fs::hard_link(&src, at))?;
        }
        let named = if src.is_empty() { Json::Null } else { src.into() };
        let mut o = Outcome::changed(changed).set("dest", self.shown()).set("src", named);
        if !self.check || self.path.exists() {
            o.changed |= self.attributes(&mut diff)?;
        }
        Ok(o.with_diff(diff.into_diff()))
    }

    /// Makes a link in place of what is there: under an unpredictable name first, then renamed.
    fn put(&self, before: State, src: &str, make: impl Fn(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
        let fail = |e: &std::io::Error| {
            let why = os_error(e, Path::new(src));
            let what = if before == State::Absent { "linking" } else { "replacing" };
            self.fail(format!("Error while {what}: {why} -> {}", repr(&self.shown())))
        };
        if before == State::Absent {
            return make(&self.path).map_err(|e| fail(&e));
        }
        if before == State::Directory {
            fs::remove_dir(&self.path).map_err(|e| fail(&e))?;
        }
        let dir = parent(&self.path);
        let temp = tempfile::Builder::new()
            .prefix(".dirigo_tmp")
            .rand_bytes(12)
            .make_in(if dir.as_os_str().is_empty() { Path::new(".") } else { &dir }, |p| make(p))
            .map_err(|e| fail(&e))?;
        let made = temp.into_temp_path();
        fs::rename(&made, &self.path).map_err(|e| fail(&e))?;
        // Renaming a hard link onto another of the same file leaves both; the guard removes ours.
        Ok(())
    }
}

fn parent(p: &Path) -> PathBuf {
    p.parent().map(Path::to_owned).unwrap_or_default()
}

fn touch_now(path: &Path) -> std::io::Result<()> {
    use nix::sys::{stat::UtimensatFlags, time::TimeSpec};
    let now = TimeSpec::UTIME_NOW;
    nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, path, &now, &now, UtimensatFlags::FollowSymlink)?;
    Ok(())
}

fn set_times(path: &Path, mtime: SystemTime, atime: SystemTime) -> std::io::Result<()> {
    let times = FileTimes::new().set_modified(mtime).set_accessed(atime);
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?.set_times(times)
}

/// Names of everything below a directory, as the diff of a removal lists them.
fn content_of(dir: &Path) -> Json {
    let (mut dirs, mut files) = (vec![], vec![]);
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        let Ok(entries) = fs::read_dir(&d) else { continue };
        for e in entries.flatten() {
            let name = e.path().to_string_lossy().into_owned();
            // A link to a directory is listed with the directories but not entered.
            if e.path().is_dir() {
                dirs.push(name);
                if !e.path().is_symlink() {
                    todo.push(e.path());
                }
            } else {
                files.push(name);
            }
        }
    }
    dirs.sort();
    files.sort();
    let mut m = Map::new();
    m.insert("directories".into(), dirs.into());
    m.insert("files".into(), files.into());
    Json::Object(m)
}

#[cfg(test)]
mod tests;
