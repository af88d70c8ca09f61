//! Running modules in tests: a directory of its own, a first, a second and a check run.

use crate::modules::{ContentSource, Ctx, find, run};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

struct Content(Vec<u8>, String);

impl ContentSource for Content {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn sha1(&mut self) -> std::io::Result<String> {
        Ok(self.1.clone())
    }
    fn reader(&mut self) -> std::io::Result<Box<dyn BufRead + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }
}

/// A directory in which a module runs. `$D` in arguments and results stands for its path.
pub struct Bench {
    dir: tempfile::TempDir,
    module: &'static str,
}

pub fn bench(module: &'static str) -> Bench {
    Bench { dir: tempfile::tempdir().expect("a directory"), module }
}

impl Bench {
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// Writes a file (mode 0644), making its directories.
    pub fn file(self, name: &str, text: &str) -> Bench {
        let p = self.at(name);
        std::fs::create_dir_all(p.parent().expect("a parent")).expect("made");
        std::fs::write(&p, text).expect("written");
        std::fs::set_permissions(&p, std::fs::Permissions::from_mode(0o644)).expect("set");
        self
    }
    pub fn dir(self, name: &str) -> Bench {
        std::fs::create_dir_all(self.at(name)).expect("made");
        self
    }
    pub fn link(self, name: &str, target: &str) -> Bench {
        std::os::unix::fs::symlink(target, self.at(name)).expect("linked");
        self
    }
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.at(name)).expect("readable")).into_owned()
    }
    pub fn mode(&self, name: &str) -> u32 {
        self.at(name).metadata().expect("there").mode() & 0o7777
    }
    fn call(&self, args: Json, check: bool, content: Option<&str>) -> Map<String, Json> {
        let here = self.dir.path().to_string_lossy().into_owned();
        let mut ctx = Ctx::bare();
        ctx.check = check;
        ctx.want_diff = true;
        ctx.content = content.map(|c| {
            let sum = super::digest::of_bytes("sha1", c.as_bytes());
            Box::new(Content(c.into(), sum)) as Box<dyn ContentSource>
        });
        let args = replace(args, "$D", &here);
        let m = find(self.module).expect("a known module");
        let r = run(m, &mut ctx, args.as_object().expect("an object"));
        match replace(Json::Object(r), &here, "$D") {
            Json::Object(o) => o,
            _ => Map::new(),
        }
    }
    pub fn real(&self, args: Json) -> Map<String, Json> {
        self.call(args, false, None)
    }
    /// A check run, which must leave everything as it is.
    pub fn check(&self, args: Json) -> Map<String, Json> {
        self.check_with(args, None)
    }
    pub fn send(&self, args: Json, content: &str) -> Map<String, Json> {
        self.call(args, false, Some(content))
    }
    pub fn check_send(&self, args: Json, content: &str) -> Map<String, Json> {
        self.check_with(args, Some(content))
    }
    fn check_with(&self, args: Json, content: Option<&str>) -> Map<String, Json> {
        let before = self.tree();
        let r = self.call(args, true, content);
        assert_eq!(before, self.tree(), "a check run changed something");
        r
    }
    /// Every path with its mode and content (or link target).
    pub fn tree(&self) -> BTreeMap<String, (u32, String)> {
        let mut all = BTreeMap::new();
        walk(self.dir.path(), self.dir.path(), &mut all);
        all
    }
    /// Check, first, second run of the same task: predicted, done, and then nothing left to do.
    pub fn cycle(&self, args: Json) -> Map<String, Json> {
        let predicted = self.check(args.clone());
        assert_eq!(predicted.get("changed"), Some(&true.into()), "prediction: {predicted:?}");
        let first = self.real(args.clone());
        assert_eq!(first.get("failed"), None, "first: {first:?}");
        assert_eq!(first.get("changed"), Some(&true.into()), "first: {first:?}");
        let second = self.real(args.clone());
        assert_eq!(second.get("changed"), Some(&false.into()), "second: {second:?}");
        let again = self.check(args);
        assert_eq!(again.get("changed"), Some(&false.into()), "last check: {again:?}");
        assert_eq!(predicted.get("diff"), first.get("diff"), "the diff of check and real run");
        first
    }
}

fn replace(j: Json, from: &str, to: &str) -> Json {
    match j {
        Json::String(s) => s.replace(from, to).into(),
        Json::Array(a) => a.into_iter().map(|x| replace(x, from, to)).collect(),
        Json::Object(o) => Json::Object(o.into_iter().map(|(k, v)| (k, replace(v, from, to))).collect()),
        other => other,
    }
}

fn walk(root: &Path, dir: &Path, all: &mut BTreeMap<String, (u32, String)>) {
    for e in std::fs::read_dir(dir).expect("listed").flatten() {
        let p = e.path();
        let st = std::fs::symlink_metadata(&p).expect("stat");
        let name = p.strip_prefix(root).expect("below").to_string_lossy().into_owned();
        let text = if st.is_symlink() {
            std::fs::read_link(&p).expect("a link").to_string_lossy().into_owned()
        } else if st.is_file() {
            String::from_utf8_lossy(&std::fs::read(&p).unwrap_or_default()).into_owned()
        } else {
            String::new()
        };
        if st.is_dir() {
            walk(root, &p, all);
        }
        all.insert(name, (st.mode(), text));
    }
}
