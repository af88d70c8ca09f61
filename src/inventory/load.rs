//! Filling an inventory from its sources: files of every format, scripts, directories, host lists.

use super::{GroupChars, Inventory, constructed, hostname, ini, script, toml, yaml};
use crate::diag::{Error, Result};
use crate::facts::FactCache;
use crate::value::Map;
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
    /// The plug-ins to try, in this order (`[inventory] enable_plugins`).
    pub enabled: Vec<String>,
    pub group_chars: GroupChars,
    /// `-e`, for the plug-in `constructed`.
    pub extra_vars: Map,
    /// The fact cache, for the same.
    pub facts: Option<Arc<FactCache>>,
    /// Where messages of interest to few go, if somebody wants them.
    pub note: Option<fn(&str)>,
}

/// The plug-ins that are tried unless the configuration says otherwise.
pub const ENABLED: [&str; 6] = ["host_list", "script", "auto", "yaml", "ini", "toml"];

const PLUGINS: [&str; 9] =
    ["advanced_host_list", "auto", "constructed", "generator", "host_list", "ini", "script", "toml", "yaml"];

/// The plug-in of this name.
fn known(name: &str) -> Option<&'static str> {
    let short = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    PLUGINS.into_iter().find(|p| *p == short)
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
            enabled: ENABLED.iter().map(|s| s.to_string()).collect(),
            group_chars: GroupChars::default(),
            extra_vars: Map::new(),
            facts: None,
            note: None,
        }
    }
}

struct Loader<'a> {
    inv: Inventory,
    opts: &'a LoadOptions,
    warnings: &'a mut Vec<Error>,
    ignored: Vec<fancy_regex::Regex>,
}

impl Inventory {
    /// Reads all sources in order. A source is a path, or a list of hosts with a comma in it (`a,b`, `a,`).
    /// What cannot be read is a warning, as in Ansible, unless the options make it an error. Warnings come
    /// in the order in which they arose.
    pub fn load(sources: &[String], opts: &LoadOptions) -> Result<(Inventory, Vec<Error>)> {
        let mut warnings = Vec::new();
        let inv = Inventory::load_telling(sources, opts, &mut warnings)?;
        Ok((inv, warnings))
    }

    /// The same; the warnings are told also where an error ends it.
    pub fn load_telling(sources: &[String], opts: &LoadOptions, warnings: &mut Vec<Error>) -> Result<Inventory> {
        let mut ignored = Vec::new();
        for p in &opts.ignore_patterns {
            ignored.push(
                fancy_regex::Regex::new(p)
                    .map_err(|e| Error::options(format!("Invalid inventory ignore pattern {p}: {e}")))?,
            );
        }
        let mut l = Loader { inv: Inventory::new(), opts, warnings, ignored };
        l.inv.group_chars = opts.group_chars;
        for name in opts.enabled.iter().filter(|n| known(n).is_none()) {
            l.warnings.push(Error::general(format!("Failed to load inventory plugin, skipping {name}")));
        }
        if !opts.enabled.iter().any(|n| known(n).is_some()) {
            return Err(Error::general(
                "No inventory plugins available to generate inventory, make sure you have at least one enabled.",
            ));
        }
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
            return Err(Error::general("No inventory was parsed, please check your configuration and options."));
        } else if opts.unparsed_warning {
            l.warnings.push(Error::general("No inventory was parsed, only implicit localhost is available"));
        }
        l.inv.current = None;
        Ok(l.inv)
    }
}

impl Loader<'_> {
    /// True if something could read the source.
    fn source(&mut self, source: &str, depth: usize) -> Result<bool> {
        let path = Utf8Path::new(source);
        let mut failures: Vec<(&'static str, Error)> = Vec::new();
        let parsed = if path.is_dir() {
            self.directory(path, depth)?
        } else {
            self.inv.current = Some(path.to_owned());
            let parsed = self.formats(path, source, &mut failures);
            self.warnings.extend(self.inv.take_warnings().into_iter().map(Error::general));
            parsed
        };
        if parsed {
            return Ok(true);
        }
        for (format, e) in failures {
            self.warnings.push(e.context(format!("Failed to parse inventory with '{format}' plugin")));
        }
        if self.opts.any_unparsed_is_failed {
            return Err(Error::general(format!("Completely failed to parse inventory source {source}")));
        }
        // The default need not be there.
        if source != "/etc/ansible/hosts" || path.exists() {
            self.warnings.push(Error::general(format!("Unable to parse {source} as an inventory source")));
        }
        Ok(false)
    }

    /// Tries the plug-ins that are enabled, in their order.
    fn formats(&mut self, path: &Utf8Path, source: &str, failures: &mut Vec<(&'static str, Error)>) -> bool {
        let exists = path.exists();
        let list = !exists && source.contains(',');
        let mut text: Option<Result<String>> = None;
        for name in &self.opts.enabled {
            let Some(plugin) = known(name) else { continue };
            let verified = match plugin {
                "host_list" | "advanced_host_list" => list,
                "script" => exists && is_script(path),
                "yaml" => exists && matches!(path.extension(), None | Some("yml" | "yaml" | "json")),
                "auto" => exists && matches!(path.extension(), Some("yml" | "yaml")),
                "constructed" | "generator" => {
                    exists && matches!(path.extension(), None | Some("yml" | "yaml" | "config"))
                }
                "toml" => exists && path.extension() == Some("toml"),
                "ini" => exists && path.extension() != Some("toml"),
                _ => exists,
            };
            if !verified {
                self.note(&format!("{plugin} declined parsing {source} as it did not pass its verify_file() method"));
                continue;
            }
            let mut read = || {
                text.get_or_insert_with(|| {
                    crate::yaml::read_text(path).and_then(|t| self.opts.secrets.open_text(source, t))
                })
                .clone()
            };
            let done = match plugin {
                "host_list" => {
                    self.host_list(source);
                    Ok(vec![])
                }
                "advanced_host_list" => self.advanced_host_list(source).map(|()| vec![]),
                "script" => script::read(path, &mut self.inv).map(|()| vec![]),
                "yaml" => read().and_then(|t| yaml::read(source, &t, &mut self.inv)),
                "toml" => read().and_then(|t| toml::read(source, &t, &mut self.inv)),
                "ini" => read()
                    .and_then(|t| ini::read(source, &t, &mut self.inv))
                    .map(|()| vec![])
                    .map_err(|e| e.context("Failed to parse inventory")),
                // files of the plug-ins that a `plugin` key names
                _ => match read().and_then(|t| self.configured(plugin, source, &t)) {
                    Ok(Some(warnings)) => Ok(warnings),
                    Ok(None) => {
                        self.note(&format!(
                            "{plugin} declined parsing {source} as it did not pass its verify_file() method"
                        ));
                        continue;
                    }
                    Err(e) => Err(e),
                },
            };
            match done {
                Ok(warnings) => {
                    self.warnings.extend(warnings);
                    self.note(&format!("Parsed {source} inventory source with {plugin} plugin"));
                    return true;
                }
                Err(e) => failures.push((plugin, e)),
            }
        }
        false
    }

    fn note(&self, text: &str) {
        if let Some(f) = self.opts.note {
            f(text);
        }
    }

    /// A YAML file with the key `plugin`: `auto` takes every plug-in, the others their own files. None if
    /// the file is not one for it.
    fn configured(&mut self, plugin: &str, source: &str, text: &str) -> Result<Option<Vec<Error>>> {
        let doc = crate::yaml::parse_str(source, text)?;
        let Some(node) = doc.root.get("plugin").filter(|p| !p.is_null()) else {
            return match plugin {
                "auto" => Err(Error::parse(format!(
                    "no root 'plugin' key found, '{source}' is not a valid YAML inventory plugin config file"
                ))),
                _ => Ok(None),
            };
        };
        let name = node.to_plain_value().to_str();
        let short = name.strip_prefix("ansible.builtin.").unwrap_or(&name);
        match short {
            _ if plugin != "auto" && plugin != short => Ok(None),
            "constructed" => constructed::construct(source, &doc.root, &mut self.inv, self.opts).map(Some),
            "generator" => constructed::generate(&doc.root, &mut self.inv).map(Some),
            other if known(other).is_some() => {
                Err(node
                    .error(format!("inventory source '{source}' could not be verified by inventory plugin '{other}'")))
            }
            _ => Err(node.error(format!("inventory config '{source}' specifies unknown plugin '{name}'")).help(
                "constructed and generator are built in; a script that answers --list can take the place of others",
            )),
        }
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

    /// Like `host_list`, with ranges.
    fn advanced_host_list(&mut self, source: &str) -> Result<()> {
        for h in source.split(',').map(str::trim).filter(|h| !h.is_empty()) {
            let (names, port) = match hostname::expand(h) {
                Ok(found) => found,
                // bounds that are no numbers are an error, every other text is a name
                Err(e) if e.message().contains("must be numbers or letters") => {
                    let bound = h.split(['[', ']', ':']).rev().find(|b| b.parse::<u64>().is_err() && !b.is_empty());
                    return Err(Error::parse(format!(
                        "Invalid data from string, could not parse: invalid literal for int() with base 10: '{}'",
                        bound.unwrap_or(h)
                    ))
                    .help(e.message()));
                }
                Err(e) => {
                    self.note(&format!("Unable to parse address from hostname, leaving unchanged: {}", e.message()));
                    (vec![h.to_string()], None)
                }
            };
            for n in names {
                if !self.inv.hosts.contains_key(n.as_str()) {
                    self.inv.add_host(&n, Some("ungrouped"), port);
                }
            }
        }
        Ok(())
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
