//! Filling an inventory from its sources: files of every format, scripts, directories, host lists.

use super::{Inventory, hostname, ini, script, yaml};
use crate::diag::{Error, Result};
use crate::vault::Secrets;
use camino::{Utf8Path, Utf8PathBuf};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// Ansible's list of endings that a directory of inventories passes over.
pub const IGNORED_EXTENSIONS: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

/// How sources are read. The defaults are Ansible's.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// For vaulted inventory files.
    pub secrets: Arc<Secrets>,
    /// Endings that a directory passes over (`inventory_ignore_extensions`).
    pub ignore_extensions: Vec<String>,
    /// Regular expressions of names that a directory passes over (`inventory_ignore_patterns`).
    pub ignore_patterns: Vec<String>,
    /// A source that nothing can read is an error (`[inventory] any_unparsed_is_failed`).
    pub any_unparsed_is_failed: bool,
    /// So is having no readable source at all (`[inventory] unparsed_is_failed`).
    pub unparsed_is_failed: bool,
    /// Warn when no source was readable (`[inventory] inventory_unparsed_warning`).
    pub unparsed_warning: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            secrets: Arc::default(),
            ignore_extensions: IGNORED_EXTENSIONS.iter().map(|s| s.to_string()).collect(),
            ignore_patterns: Vec::new(),
            any_unparsed_is_failed: false,
            unparsed_is_failed: false,
            unparsed_warning: true,
        }
    }
}

struct Loader<'a> {
    inv: Inventory,
    opts: &'a LoadOptions,
    warnings: Vec<Error>,
    ignored: Vec<fancy_regex::Regex>,
}

impl Inventory {
    /// Reads all sources in order. A source is a path, or a list of hosts with a comma in it (`a,b`, `a,`).
    /// What cannot be read is a warning, as in Ansible, unless the options make it an error. Warnings come
    /// in the order in which they arose.
    pub fn load(sources: &[String], opts: &LoadOptions) -> Result<(Inventory, Vec<Error>)> {
        let mut ignored = Vec::new();
        for p in &opts.ignore_patterns {
            ignored.push(
                fancy_regex::Regex::new(p)
                    .map_err(|e| Error::options(format!("Invalid inventory ignore pattern {p}: {e}")))?,
            );
        }
        let mut l = Loader { inv: Inventory::new(), opts, warnings: Vec::new(), ignored };
        let mut parsed = false;
        for s in sources {
            let source = if s.contains(',') { s.clone() } else { absolute(s).into_string() };
            l.inv.sources.push(source.clone());
            if source.is_empty() {
                continue;
            }
            parsed |= l.source(&source, 0)?;
        }
        if parsed {
            let more = l.inv.reconcile();
            l.warnings.extend(more);
        } else if opts.unparsed_is_failed {
            return Err(Error::parse("No inventory was parsed, please check your configuration and options."));
        } else if opts.unparsed_warning {
            l.warnings.push(Error::general("No inventory was parsed, only implicit localhost is available"));
        }
        l.inv.current = None;
        Ok((l.inv, l.warnings))
    }
}

impl Loader<'_> {
    /// True if something could read the source.
    fn source(&mut self, source: &str, depth: usize) -> Result<bool> {
        let path = Utf8Path::new(source);
        if path.is_dir() {
            return self.directory(path, depth);
        }
        self.inv.current = Some(path.to_owned());
        let mut failures: Vec<(&str, Error)> = Vec::new();
        let parsed = self.formats(path, source, &mut failures);
        self.warnings.extend(self.inv.take_warnings().into_iter().map(Error::general));
        if parsed {
            return Ok(true);
        }
        for (format, e) in failures {
            self.warnings.push(e.context(format!("Failed to parse inventory with '{format}' plugin")));
        }
        if self.opts.any_unparsed_is_failed {
            return Err(Error::parse(format!("Completely failed to parse inventory source {source}")));
        }
        // The default need not be there.
        if source != "/etc/ansible/hosts" || path.exists() {
            self.warnings.push(Error::general(format!("Unable to parse {source} as an inventory source")));
        }
        Ok(false)
    }

    /// Tries the formats in Ansible's order.
    fn formats(&mut self, path: &Utf8Path, source: &str, failures: &mut Vec<(&str, Error)>) -> bool {
        if !path.exists() {
            if source.contains(',') {
                self.host_list(source);
                return true;
            }
            return false;
        }
        if is_script(path) {
            match script::read(path, &mut self.inv) {
                Ok(()) => return true,
                Err(e) => failures.push(("script", e)),
            }
        }
        let text = crate::yaml::read_text(path).and_then(|t| self.opts.secrets.open_text(source, t));
        let extension = path.extension();
        if matches!(extension, None | Some("yml" | "yaml" | "json")) {
            let read = text.clone().and_then(|t| yaml::read(source, &t, &mut self.inv));
            match read {
                Ok(more) => {
                    self.warnings.extend(more);
                    return true;
                }
                Err(e) => failures.push(("yaml", e)),
            }
        }
        match text.and_then(|t| ini::read(source, &t, &mut self.inv)) {
            Ok(()) => return true,
            Err(e) => failures.push(("ini", e.context("Failed to parse inventory"))),
        }
        if extension == Some("toml") {
            failures.push(("toml", Error::parse("TOML inventories are not supported; write it as INI or YAML")));
        }
        false
    }

    fn host_list(&mut self, source: &str) {
        for h in source.split(',').map(str::trim).filter(|h| !h.is_empty()) {
            // The `host_list` plugin takes `host:port` and addresses, no ranges; other text is a name as it is.
            let (name, port) = hostname::parse_address(h, false).unwrap_or((h, None));
            let name = name.to_string();
            if !self.inv.hosts.contains_key(name.as_str()) {
                self.inv.add_host(&name, Some("ungrouped"), port);
            }
        }
    }

    fn directory(&mut self, dir: &Utf8Path, depth: usize) -> Result<bool> {
        if depth > 40 {
            return Err(Error::parse(format!("{dir} is nested too deeply (a link that leads back?)")));
        }
        let mut names = Vec::new();
        let unreadable = |e: std::io::Error| Error::parse(format!("Unable to read the directory {dir}: {e}"));
        for entry in dir.read_dir_utf8().map_err(unreadable)? {
            names.push(entry.map_err(unreadable)?.file_name().to_string());
        }
        names.sort();
        let mut parsed = false;
        for name in names {
            if self.passes_over(&name) {
                continue;
            }
            parsed |= self.source(dir.join(&name).as_str(), depth + 1)?;
        }
        Ok(parsed)
    }

    fn passes_over(&self, name: &str) -> bool {
        name.starts_with('.')
            || matches!(name, "group_vars" | "host_vars" | "vars_plugins")
            || self.opts.ignore_extensions.iter().any(|e| name.ends_with(e.as_str()))
            || self.ignored.iter().any(|r| r.is_match(name).unwrap_or(false))
    }
}

/// An executable file, or one that says with `#!` that it means to be one.
fn is_script(path: &Utf8Path) -> bool {
    let executable = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let mut start = [0u8; 2];
    let shebang = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && &start == b"#!";
    executable || shebang
}

/// The absolute path of a source, `~` resolved; `.` and `..` taken out.
pub fn absolute(path: &str) -> Utf8PathBuf {
    let home = || std::env::var("HOME").unwrap_or_default();
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home()),
        _ => path.to_string(),
    };
    let mut out = Utf8PathBuf::new();
    if !path.starts_with('/')
        && let Some(d) = std::env::current_dir().ok().and_then(|d| Utf8PathBuf::from_path_buf(d).ok())
    {
        out = d;
    }
    for part in Utf8Path::new(&path).components() {
        match part {
            camino::Utf8Component::CurDir => {}
            camino::Utf8Component::ParentDir => {
                out.pop();
            }
            other => out.push(other.as_str()),
        }
    }
    out
}
