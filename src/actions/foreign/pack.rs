//! Packs a module in Python with all of `module_utils` that it imports into one archive that a Python on
//! the host can run.

use super::core::Core;
use super::pysource::{Import, imports};
use crate::diag::{Error, Result};
use crate::playbook::{Library, ModuleFile};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};

/// Our own start of every archive.
const WRAPPER: &str = include_str!("wrapper.py");
/// Loaded by name at run time, so that no import statement shows it.
const LOADER: &str = "ansible.module_utils._internal._ansiballz._loader";
const PROFILES: &str = "ansible.module_utils._internal._json._profiles";

const MADE_AT_RUN_TIME: &str = "ansible.module_utils.six";

/// Where imported code is looked for.
pub struct Sources<'a> {
    pub library: &'a Library,
    /// Configured directories (ANSIBLE_MODULE_UTILS, `module_utils`), weaker than those beside playbooks and roles.
    pub module_utils: &'a [Utf8PathBuf],
    pub core: &'a Core,
    /// The limit of open files for the module; 0 leaves it.
    pub open_files: u64,
}

/// The name by which Python knows the module.
fn python_name(file: &ModuleFile) -> String {
    if file.in_collection {
        let mut parts = file.full.splitn(3, '.');
        let mut part = || parts.next().unwrap_or_default();
        return format!("ansible_collections.{}.{}.plugins.modules.{}", part(), part(), part());
    }
    match file.full.strip_prefix("ansible.builtin.") {
        Some(short) => format!("ansible.modules.{short}"),
        None => file.full.clone(),
    }
}

/// Packs the module with this source. The same input gives the same bytes, so that hosts can keep them.
pub fn pack(file: &ModuleFile, source: &str, from: &Sources) -> Result<Vec<u8>> {
    let name = python_name(file);
    let mut found = Found { from, files: BTreeMap::new(), waiting: vec![] };
    let source = source.replace(super::kind::COMMON, "from ansible.module_utils.basic import *");
    found.parents(&name)?;
    found.take(&name, false, source.as_bytes().to_vec());
    found.need("ansible.module_utils.basic", &name)?;
    let has_loader = found.locate(LOADER).is_some();
    if has_loader {
        found.need(LOADER, &name)?;
        for profile in found.modules_in(PROFILES) {
            found.need(&format!("{PROFILES}.{profile}"), &name)?;
        }
    }
    while let Some((module, is_package, text)) = found.waiting.pop() {
        for i in imports(&text) {
            found.follow(&module, is_package, &i, if module == name { &name } else { &module })?;
        }
    }
    let version = from.core.version().unwrap_or_default();
    // text in JSON's quotes is text in Python's
    let quoted = |s: &str| serde_json::Value::from(s).to_string();
    let start = WRAPPER
        .replace("@MODULE@", &quoted(&name))
        .replace("@HAS_LOADER@", if has_loader { "True" } else { "False" })
        .replace("@OPEN_FILES@", &from.open_files.to_string())
        .replace("@CORE@", &quoted(version));
    found.files.insert("__main__.py".into(), start.into_bytes());
    let about = format!("__version__ = {}\n__author__ = \"Ansible, Inc.\"\n", quoted(version));
    found.files.insert("ansible/__init__.py".into(), about.into_bytes());
    archive(&found.files).map_err(|e| Error::general(format!("cannot pack the module {}: {e}", file.full)))
}

fn archive(files: &BTreeMap<String, Vec<u8>>) -> zip::result::ZipResult<Vec<u8>> {
    let mut z = zip::ZipWriter::new(Cursor::new(vec![]));
    let how = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for (path, bytes) in files {
        z.start_file(path.as_str(), how)?;
        z.write_all(bytes)?;
    }
    Ok(z.finish()?.into_inner())
}

/// A piece of Python code found on the controller.
struct Piece {
    is_package: bool,
    bytes: Vec<u8>,
}

struct Found<'a> {
    from: &'a Sources<'a>,
    /// Path in the archive and content.
    files: BTreeMap<String, Vec<u8>>,
    /// Name, whether it is a package, and source of what was taken but not yet read.
    waiting: Vec<(String, bool, String)>,
}

impl Found<'_> {
    fn has(&self, name: &str) -> bool {
        let path = name.replace('.', "/");
        self.files.contains_key(&format!("{path}.py")) || self.files.contains_key(&format!("{path}/__init__.py"))
    }

    fn take(&mut self, name: &str, is_package: bool, bytes: Vec<u8>) {
        let path = name.replace('.', "/");
        let path = if is_package { format!("{path}/__init__.py") } else { format!("{path}.py") };
        self.waiting.push((name.to_string(), is_package, String::from_utf8_lossy(&bytes).into_owned()));
        self.files.insert(path, bytes);
    }

    /// Takes the packages above a module; what has no code of its own is empty.
    fn parents(&mut self, name: &str) -> Result<()> {
        for (at, _) in name.match_indices('.') {
            let above = name.get(..at).unwrap_or_default();
            if !self.has(above) {
                let piece = self.locate(above).filter(|p| p.is_package);
                self.take(above, true, piece.map(|p| p.bytes).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Takes a module by its full name; false if it is nowhere.
    fn add(&mut self, name: &str) -> Result<bool> {
        if self.has(name) {
            return Ok(true);
        }
        let Some(piece) = self.locate(name) else { return Ok(false) };
        self.parents(name)?;
        self.take(name, piece.is_package, piece.bytes);
        Ok(true)
    }

    fn need(&mut self, name: &str, by: &str) -> Result<()> {
        if self.add(name)? { Ok(()) } else { Err(self.missing(by, &[name.to_string()])) }
    }

    /// Takes what an import statement of `module` names, if it is support code of modules.
    fn follow(&mut self, module: &str, is_package: bool, i: &Import, by: &str) -> Result<()> {
        let Some(mut base) = absolute(module, is_package, i) else { return Ok(()) };
        // the modules below it exist only while it runs
        if base.starts_with(&format!("{MADE_AT_RUN_TIME}.")) {
            base = MADE_AT_RUN_TIME.into();
        }
        if !is_support(&base) && !i.names.iter().any(|n| is_support(&format!("{base}.{n}"))) {
            return Ok(());
        }
        if i.names.is_empty() {
            return if self.add(&base)? || !i.required { Ok(()) } else { Err(self.missing(by, &[base])) };
        }
        for n in &i.names {
            let inner = format!("{base}.{n}");
            let mut tried = vec![];
            for candidate in [inner.as_str(), base.as_str()] {
                if is_support(candidate) && (candidate != "ansible.module_utils") {
                    if self.add(candidate)? {
                        tried.clear();
                        break;
                    }
                    tried.push(candidate.to_string());
                }
            }
            if !tried.is_empty() && i.required {
                return Err(self.missing(by, &tried));
            }
        }
        Ok(())
    }

    fn missing(&self, by: &str, tried: &[String]) -> Error {
        let list: Vec<String> = tried.iter().map(|t| format!("'{t}'")).collect();
        let e = Error::general(format!(
            "Could not find imported module support code for {by}. Looked for ([{}])",
            list.join(", ")
        ));
        if self.from.core.package().is_none() && tried.iter().any(|t| t.starts_with("ansible.module_utils")) {
            return Error::general(format!(
                "{}. No ansible-core is installed on the controller to take ansible.module_utils from",
                e.message()
            ))
            .help(format!(
                "install it (pip install ansible-core) for the python3 on the path, or name the directory of its package in {}",
                super::core::VARIABLE
            ));
        }
        e
    }

    /// The code of a module or package of support code.
    fn locate(&self, name: &str) -> Option<Piece> {
        let in_dir = |dir: &Utf8Path, rest: &str| {
            let path = dir.join(rest.replace('.', "/"));
            let init = path.join("__init__.py");
            if let Ok(bytes) = std::fs::read(&init) {
                return Some(Piece { is_package: true, bytes });
            }
            if let Ok(bytes) = std::fs::read(format!("{path}.py")) {
                return Some(Piece { is_package: false, bytes });
            }
            path.is_dir().then(|| Piece { is_package: true, bytes: vec![] })
        };
        if let Some(rest) = name.strip_prefix("ansible.module_utils.") {
            return self.roots().iter().find_map(|d| in_dir(d, rest));
        }
        let rest = name.strip_prefix("ansible_collections.")?;
        let mut parts = rest.splitn(3, '.');
        let collection = format!("{}.{}", parts.next()?, parts.next()?);
        let inner = parts.next()?;
        if !format!("{inner}.").starts_with("plugins.module_utils.") {
            return None;
        }
        self.from.library.collection(&collection).iter().find_map(|d| in_dir(d, inner))
    }

    /// Directories that stand for `ansible.module_utils`, the strongest first.
    fn roots(&self) -> Vec<Utf8PathBuf> {
        let mut out = self.from.library.module_utils();
        out.extend(self.from.module_utils.iter().cloned());
        out.extend(self.from.core.module_utils());
        out
    }

    /// The modules directly in a package of ansible-core.
    fn modules_in(&self, package: &str) -> Vec<String> {
        let rest = package.strip_prefix("ansible.module_utils.").unwrap_or(package).replace('.', "/");
        let Some(dir) = self.from.core.module_utils().map(|d| d.join(rest)) else { return vec![] };
        let Ok(entries) = dir.read_dir_utf8() else { return vec![] };
        let names = entries.flatten().filter_map(|e| e.file_name().strip_suffix(".py").map(str::to_string));
        let mut out: Vec<String> = names.filter(|n| n != "__init__").collect();
        out.sort();
        out
    }
}

/// The full name that an import statement in `module` is about; `None` if it climbs too high.
fn absolute(module: &str, is_package: bool, i: &Import) -> Option<String> {
    if i.level == 0 {
        return Some(i.module.clone());
    }
    let mut parts: Vec<&str> = module.split('.').collect();
    for _ in 0..i.level - usize::from(is_package) {
        parts.pop()?;
    }
    let base = parts.join(".");
    Some(if i.module.is_empty() { base } else { format!("{base}.{}", i.module) })
}

/// Whether a name belongs to the support code that goes along with modules.
fn is_support(name: &str) -> bool {
    let collection = || {
        let mut p = name.split('.');
        p.next() == Some("ansible_collections") && p.nth(2) == Some("plugins") && p.next() == Some("module_utils")
    };
    name == "ansible.module_utils" || name.starts_with("ansible.module_utils.") || collection()
}
