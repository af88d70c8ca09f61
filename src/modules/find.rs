//! `find`: files and directories by name, age, size, mode and content.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/builtin/find_module.html>.

use super::support::charset::{self, Charset};
use super::support::{accounts, digest, glob, mode, pyre};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Map, Value as Json, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub fn module() -> Module {
    Module {
        name: "find",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::list("paths", Type::Path).required().aliases(&["name", "path"]).doc("Directories to search."),
            Arg::list("patterns", Type::Str).aliases(&["pattern"]).default(json!([])).doc("Patterns of base names."),
            Arg::list("excludes", Type::Str).aliases(&["exclude"]).doc("Patterns of base names to leave out."),
            Arg::str("contains").doc("A regular expression that the content must match."),
            Arg::bool("read_whole_file")
                .default(false)
                .doc("Match `contains` anywhere in the file rather than at the start of a line."),
            Arg::str("encoding").doc("Encoding of the files: utf-8, ascii, latin-1, iso-8859-15, cp1252 or utf-16."),
            Arg::str("file_type").choices(&["any", "directory", "file", "link"]).default("file"),
            Arg::str("age").doc("Age in s, m, h, d or w; negative for younger."),
            Arg::str("age_stamp").choices(&["atime", "ctime", "mtime"]).default("mtime"),
            Arg::str("size").doc("Size in b, k, m, g or t; negative for smaller."),
            Arg::bool("recurse").default(false),
            Arg::bool("hidden").default(false),
            Arg::bool("follow").default(false),
            Arg::bool("get_checksum").default(false),
            Arg::str("checksum_algorithm")
                .aliases(&["checksum", "checksum_algo"])
                .choices(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
                .default("sha1"),
            Arg::bool("use_regex").default(false),
            Arg::int("depth"),
            Arg::raw("mode"),
            Arg::bool("exact_mode").default(true),
            Arg::int("limit"),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Find files and directories.",
        run,
    }
}

/// A name pattern of either kind.
enum Pattern {
    Glob(String),
    Regex(pyre::Pattern),
}

impl Pattern {
    fn list(words: &[String], regex: bool) -> Result<Vec<Pattern>, Failure> {
        words
            .iter()
            .map(
                |w| {
                    if regex { pyre::Pattern::new(w, false).map(Pattern::Regex) } else { Ok(Pattern::Glob(w.clone())) }
                },
            )
            .collect()
    }
    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Glob(g) => glob::fnmatch(name, g),
            // from the start on, as Python's match
            Pattern::Regex(r) => start(r, name) == Some(0),
        }
    }
}

struct Search<'a> {
    a: &'a Args,
    patterns: Vec<Pattern>,
    excludes: Vec<Pattern>,
    contains: Option<pyre::Pattern>,
    charset: Charset,
    age: Option<i64>,
    size: Option<i64>,
    now: f64,
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
    found: Vec<Json>,
    examined: usize,
    skipped: Map<String, Json>,
    warnings: Vec<String>,
}

/// `2d`, `-1w`, `3600`: seconds.
fn age(text: &str) -> Result<i64, Failure> {
    let bad = || Failure::new("failed to process age").set("age", text);
    let t = text.trim().to_ascii_lowercase();
    let (num, unit) = t.split_at(t.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let n: i64 = num.parse().map_err(|_| bad())?;
    let f = match unit.chars().next() {
        None | Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86400,
        Some('w') => 604_800,
        Some(_) => return Err(bad()),
    };
    n.checked_mul(f).ok_or_else(bad)
}

/// `10m`, `-1k`: bytes.
fn size(text: &str) -> Result<i64, Failure> {
    let bad = || Failure::new("failed to process size").set("size", text);
    let t = text.trim().to_ascii_lowercase();
    let (num, unit) = t.split_at(t.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let n: i64 = num.parse().map_err(|_| bad())?;
    let f = match unit {
        "" | "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1i64 << 40,
        _ => return Err(bad()),
    };
    n.checked_mul(f).ok_or_else(bad)
}

/// What `contains` asks for: of a line it is its beginning, as with Python's match. One that is tied to the beginning is
/// done with a line at its first letter.
fn content_pattern(text: &str, anywhere: bool) -> Result<pyre::Pattern, Failure> {
    let given = pyre::Pattern::new(text, false)?;
    if anywhere { Ok(given) } else { pyre::Pattern::new(&format!("\\A(?:{text})"), false).or(Ok(given)) }
}

/// Whether one of the lines fits, each with its end; the first that does ends the reading.
fn any_line(mut file: impl BufRead, fits: impl Fn(&str) -> bool) -> bool {
    let mut line = vec![];
    while file.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        if line_feeds(&String::from_utf8_lossy(&line)).split_inclusive('\n').any(&fits) {
            return true;
        }
        line.clear();
    }
    false
}

/// A text whose lines all end as Python reads them.
fn line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

/// Where the first match begins.
fn start(pattern: &pyre::Pattern, text: &str) -> Option<usize> {
    pattern.search(text).ok().flatten().and_then(|c| c.get(0).map(|m| m.start()))
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    if let Some(n) = a.opt_int("limit").filter(|n| *n <= 0) {
        return Err(Failure::new(format!("limit cannot be {n} (use None for unlimited)")));
    }
    let regex = a.bool("use_regex");
    let mut words = a.strings("patterns");
    if words.is_empty() {
        words.push(if regex { ".*" } else { "*" }.into());
    }
    let charset = match a.opt_str("encoding") {
        Some(e) => Charset::named(e)
            .ok_or_else(|| Failure::new(format!("encoding {e} is not supported; {} are", charset::KNOWN)))?,
        None => Charset::Utf8,
    };
    let contains = a.opt_str("contains").map(|c| content_pattern(c, a.bool("read_whole_file"))).transpose()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs_f64()).unwrap_or(0.0);
    let mut s = Search {
        a,
        patterns: Pattern::list(&words, regex)?,
        excludes: Pattern::list(&a.strings("excludes"), regex)?,
        contains,
        charset,
        age: a.opt_str("age").map(age).transpose()?,
        size: a.opt_str("size").map(size).transpose()?,
        now,
        users: HashMap::new(),
        groups: HashMap::new(),
        found: vec![],
        examined: 0,
        skipped: Map::new(),
        warnings: vec![],
    };
    for p in a.strings("paths") {
        let path = Path::new(&p);
        if !path.is_dir() {
            let why = format!("'{p}' is not a directory");
            s.warnings.push(format!("Skipped '{p}' path due to this access issue: {why}\n"));
            s.skipped.insert(p.clone(), why.into());
            continue;
        }
        s.walk(ctx, path, 1);
    }
    let msg =
        if s.skipped.is_empty() { "All paths examined" } else { "Not all paths examined, check warnings for details" };
    let mut o = Outcome::ok()
        .set("matched", s.found.len())
        .set("files", s.found)
        .set("examined", s.examined)
        .set("skipped_paths", Json::Object(s.skipped))
        .msg(msg);
    o.warnings = s.warnings;
    Ok(o)
}

impl Search<'_> {
    fn full(&self) -> bool {
        self.a.opt_int("limit").is_some_and(|l| self.found.len() as i64 >= l)
    }

    /// One directory: its members first, then those of its directories.
    fn walk(&mut self, ctx: &Ctx, dir: &Path, depth: i64) {
        let mut names: Vec<PathBuf> = match std::fs::read_dir(dir) {
            Ok(rd) => rd.flatten().map(|e| e.path()).collect(),
            Err(e) => {
                self.skipped.insert(dir.to_string_lossy().into_owned(), e.to_string().into());
                self.warnings.push(format!("Skipped '{}' path due to this access issue: {e}\n", dir.display()));
                return;
            }
        };
        names.sort();
        let (dirs, files): (Vec<_>, Vec<_>) = names.into_iter().partition(|p| p.is_dir());
        self.examined += dirs.len() + files.len();
        // what lies one step too deep is counted, but not looked at
        if self.a.opt_int("depth").is_some_and(|d| d > 0 && depth > d) {
            return;
        }
        for p in dirs.iter().chain(&files) {
            if self.full() {
                return;
            }
            self.look(ctx, p);
        }
        if !self.a.bool("recurse") || depth > 512 {
            return;
        }
        for d in dirs {
            let link = std::fs::symlink_metadata(&d).is_ok_and(|m| m.file_type().is_symlink());
            if (!link || self.a.bool("follow")) && !self.full() {
                self.walk(ctx, &d, depth + 1);
            }
        }
    }

    fn look(&mut self, ctx: &Ctx, path: &Path) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') && !self.a.bool("hidden") {
            return;
        }
        let Ok(meta) = std::fs::symlink_metadata(path) else { return };
        let t = meta.file_type();
        let kind = self.a.str("file_type");
        let fits = match kind {
            "any" => true,
            "directory" => t.is_dir(),
            "link" => t.is_symlink(),
            _ => t.is_file(),
        };
        if !fits || !self.patterns.iter().any(|p| p.matches(&name)) || self.excludes.iter().any(|p| p.matches(&name)) {
            return;
        }
        if !self.age_fits(&meta) || !self.mode_fits(&meta) {
            return;
        }
        let sized = kind == "file" || (kind == "any" && t.is_file());
        if sized && !self.size_fits(&meta) {
            return;
        }
        if kind == "file" && !self.content_fits(path) {
            return;
        }
        let mut m = self.entry(ctx, path, &meta);
        if self.a.bool("get_checksum") && t.is_file() && matches!(kind, "file" | "any") {
            match digest::of_file(self.a.str("checksum_algorithm"), path) {
                Ok(sum) => drop(m.insert("checksum".into(), sum.into())),
                Err(e) => self.warnings.push(format!("{}: {e}", path.display())),
            }
        }
        self.found.push(Json::Object(m));
    }

    fn age_fits(&self, m: &Metadata) -> bool {
        let Some(age) = self.age else { return true };
        let stamp = match self.a.str("age_stamp") {
            "atime" => m.atime(),
            "ctime" => m.ctime(),
            _ => m.mtime(),
        };
        let old = self.now - stamp as f64;
        if age >= 0 { old >= age as f64 } else { old <= -(age as f64) }
    }

    fn size_fits(&self, m: &Metadata) -> bool {
        match self.size {
            None => true,
            Some(s) if s >= 0 => m.size() as i64 >= s,
            Some(s) => m.size() <= s.unsigned_abs(),
        }
    }

    fn mode_fits(&self, m: &Metadata) -> bool {
        let wanted = self.a.get("mode");
        if wanted.is_null() {
            return true;
        }
        let Ok(Some(w)) = mode::wanted(wanted, m.mode()) else { return false };
        let have = m.mode() & 0o7777;
        if self.a.bool("exact_mode") { have == w } else { have & w == w }
    }

    fn content_fits(&self, path: &Path) -> bool {
        let Some(r) = &self.contains else { return true };
        let whole = self.a.bool("read_whole_file");
        let fits = |text: &str| start(r, text).is_some_and(|at| whole || at == 0);
        if self.charset == Charset::Utf8 && !whole {
            return std::fs::File::open(path).is_ok_and(|f| any_line(BufReader::with_capacity(64 << 10, f), fits));
        }
        let Ok(bytes) = std::fs::read(path) else { return false };
        let text = self.charset.decode(&bytes).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        let text = line_feeds(&text);
        if whole { fits(&text) } else { text.split_inclusive('\n').any(fits) }
    }

    fn entry(&mut self, ctx: &Ctx, path: &Path, m: &Metadata) -> Map<String, Json> {
        let mode = m.mode();
        let bit = |b: u32| Json::Bool(mode & b != 0);
        let t = m.file_type();
        let user = self
            .users
            .entry(m.uid())
            .or_insert_with(|| accounts::user_by_id(ctx, m.uid()).map(|u| u.name).unwrap_or_default())
            .clone();
        let group = self
            .groups
            .entry(m.gid())
            .or_insert_with(|| accounts::group_by_id(ctx, m.gid()).map(|g| g.name).unwrap_or_default())
            .clone();
        let time = |s: i64, n: i64| Json::from(s as f64 + n as f64 / 1e9);
        let mut out = Map::new();
        let mut put = |k: &str, v: Json| drop(out.insert(k.into(), v));
        put("path", path.to_string_lossy().into_owned().into());
        put("mode", format!("{:04o}", mode & 0o7777).into());
        put("isdir", t.is_dir().into());
        put("ischr", t.is_char_device().into());
        put("isblk", t.is_block_device().into());
        put("isreg", t.is_file().into());
        put("isfifo", t.is_fifo().into());
        put("islnk", t.is_symlink().into());
        put("issock", t.is_socket().into());
        put("uid", m.uid().into());
        put("gid", m.gid().into());
        put("size", m.size().into());
        put("inode", m.ino().into());
        put("dev", m.dev().into());
        put("nlink", m.nlink().into());
        put("atime", time(m.atime(), m.atime_nsec()));
        put("mtime", time(m.mtime(), m.mtime_nsec()));
        put("ctime", time(m.ctime(), m.ctime_nsec()));
        put("gr_name", group.into());
        put("pw_name", user.into());
        for (k, b) in [
            ("wusr", 0o200),
            ("rusr", 0o400),
            ("xusr", 0o100),
            ("wgrp", 0o020),
            ("rgrp", 0o040),
            ("xgrp", 0o010),
            ("woth", 0o002),
            ("roth", 0o004),
            ("xoth", 0o001),
            ("isuid", 0o4000),
            ("isgid", 0o2000),
        ] {
            put(k, bit(b));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(r: &Map<String, Json>) -> Vec<String> {
        r["files"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|f| f["path"].as_str()?.rsplit('/').next().map(str::to_string))
            .collect()
    }

    #[test]
    fn finds() {
        let d = tempfile::tempdir().expect("a directory");
        let p = d.path();
        std::fs::create_dir(p.join("sub")).expect("makes");
        for (n, t) in [("a.txt", "hello\nworld\n"), ("b.log", ""), (".hidden", "x"), ("sub/c.txt", "world")] {
            std::fs::write(p.join(n), t).expect("writes");
        }
        let call = |args: Json| {
            let mut m = args.as_object().cloned().unwrap_or_default();
            m.insert("paths".into(), p.to_string_lossy().into_owned().into());
            crate::modules::run(&module(), &mut Ctx::bare(), &m)
        };
        assert_eq!(names(&call(json!({}))), ["a.txt", "b.log"]);
        assert_eq!(names(&call(json!({"patterns": "*.txt", "recurse": true}))), ["a.txt", "c.txt"]);
        assert_eq!(names(&call(json!({"patterns": "[ab]\\..*", "use_regex": true, "excludes": "b.*"}))), ["a.txt"]);
        assert_eq!(names(&call(json!({"hidden": true, "size": "-1"}))), [".hidden", "b.log"]);
        assert_eq!(names(&call(json!({"contains": "wor", "recurse": true}))), ["a.txt", "c.txt"]);
        for (contains, found) in [("orl", false), ("nope|wor", true), ("(?x)wor # to the end", true)] {
            let r = call(json!({"contains": contains, "recurse": true}));
            assert_eq!(names(&r) == ["a.txt", "c.txt"], found, "{contains}");
        }
        assert_eq!(names(&call(json!({"contains": "o\\nwor", "read_whole_file": true}))), ["a.txt"]);
        std::fs::write(p.join("mac"), b"\xff\rlines\rof old").expect("writes");
        assert_eq!(names(&call(json!({"contains": "of old$"}))), ["mac"]);
        std::fs::remove_file(p.join("mac")).expect("removes");
        assert_eq!(names(&call(json!({"file_type": "directory"}))), ["sub"]);
        assert_eq!(names(&call(json!({"age": "1h"}))), Vec::<String>::new());
        let r = call(json!({"get_checksum": true, "patterns": "sub"}));
        assert_eq!((r["matched"].as_u64(), r["examined"].as_u64()), (Some(0), Some(4)));
    }
}
