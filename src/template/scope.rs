//! Where a template finds its variables and files.

use super::{Var, Vars};
use crate::diag::{Error, Result, Span};
use crate::value::{Key, Map, Value, VaultText};
use camino::{Utf8Path, Utf8PathBuf};
use minijinja::value::Value as Mj;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Where lookups and `{% include %}` look for files, and what the run is about.
#[derive(Clone, Debug, Default)]
pub struct FileScope {
    /// The folders of the task, the most specific first, without the kind folder (`files`,
    /// `templates` …): role folder, folder of the task file, playbook folder.
    pub search: Vec<Utf8PathBuf>,
    /// The playbook's folder.
    pub playbook_dir: Utf8PathBuf,
    /// The role's folder, inside a role.
    pub role_path: Option<Utf8PathBuf>,
    /// True in check mode.
    pub check_mode: bool,
    /// The folder that a loop over files looks into first, by its action (`templates` for template, `vars` for
    /// include_vars, `files` for others); empty outside of loops, where `first_found` looks into no such folder.
    pub kind: &'static str,
    /// The folder of the template file being rendered; `include` looks there last.
    pub template_dir: Option<Utf8PathBuf>,
    /// Where template errors and warnings of lookups (`errors='warn'`) go.
    pub warn: Warn,
    /// Names a user of the controller by number (`template_uid`); without it the number stands for the name.
    pub user_name: Option<fn(u32) -> Option<String>>,
    /// What `group_names`-like lookups need of the inventory.
    pub inventory: Option<Arc<dyn InventoryView>>,
    /// Opens vaulted files (lookups `file`, `unvault`, `template`).
    pub vault: Option<Arc<dyn VaultOpener>>,
}

/// What lookups ask of the inventory.
pub trait InventoryView: Send + Sync + fmt::Debug {
    /// The hosts that a pattern selects, in inventory order.
    fn select(&self, pattern: &str) -> Result<Vec<Arc<str>>>;
}

/// Decrypts a vaulted file.
pub trait VaultOpener: Send + Sync + fmt::Debug {
    /// The plain bytes of an envelope (`$ANSIBLE_VAULT;…`).
    fn open(&self, envelope: &str) -> Result<Vec<u8>>;
}

/// A place for warnings; the default prints nothing.
#[derive(Clone, Default)]
pub struct Warn(pub Option<Sink>);

/// What a template has to say beside its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    Warning(&'a str),
    Deprecation(&'a str),
}

/// Takes a notice.
pub type Sink = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

impl Warn {
    pub fn say(&self, message: &str) {
        if let Some(f) = &self.0 {
            f(Notice::Warning(message));
        }
    }
    /// Says that something at this place will not work for ever, and with `help` why it does.
    pub fn deprecate(&self, message: &str, at: Option<Span>, help: Option<&str>) {
        if let Some(f) = &self.0 {
            let e = Error::template(format!("{message} This feature will be removed from ansible-core version 2.23."));
            let e = e.at(at);
            let e = match help {
                Some(h) => e.help(h),
                None => e,
            };
            f(Notice::Deprecation(&e.in_full()));
        }
    }
}
impl fmt::Debug for Warn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Warn")
    }
}

impl FileScope {
    /// The paths where a file of this kind (`files`, `templates`, `vars`, …) may stand, best first:
    /// for each search folder the kind's folder, then the folder itself. An absolute or `~` name has one.
    pub fn candidates(&self, kind: &str, name: &str) -> Vec<Utf8PathBuf> {
        let expanded = expand_user(name);
        if expanded.is_absolute() {
            return vec![expanded];
        }
        self.folders(kind).into_iter().map(|dir| dir.join(&expanded)).collect()
    }
    /// The paths as ansible-core's messages list them: a folder that is searched for two reasons twice.
    pub fn tried(&self, kind: &str, name: &str) -> Vec<Utf8PathBuf> {
        let expanded = expand_user(name);
        if expanded.is_absolute() {
            return vec![expanded];
        }
        let within = |d: &Utf8PathBuf| if d.file_name() == Some(kind) { None } else { Some(d.join(kind)) };
        self.search.iter().flat_map(|d| within(d).into_iter().chain([d.clone()])).map(|d| d.join(&expanded)).collect()
    }
    /// The folders where files of this kind may stand, best first.
    pub fn folders(&self, kind: &str) -> Vec<Utf8PathBuf> {
        let mut out: Vec<Utf8PathBuf> = Vec::new();
        let mut push = |p: Utf8PathBuf| {
            if !out.contains(&p) {
                out.push(p);
            }
        };
        for dir in self.search.iter().chain(std::iter::once(&self.playbook_dir)) {
            if !kind.is_empty() && dir.file_name() != Some(kind) {
                push(dir.join(kind));
            }
            push(dir.clone());
        }
        out
    }
    /// The bytes of a file on the controller, decrypted if it is vaulted.
    pub fn read(&self, path: &Utf8Path) -> Result<Vec<u8>> {
        let bytes =
            std::fs::read(path).map_err(|e| crate::diag::Error::template(format!("cannot read '{path}': {e}")))?;
        match (std::str::from_utf8(&bytes), &self.vault) {
            (Ok(text), Some(vault)) if text.starts_with("$ANSIBLE_VAULT;") => {
                crate::diag::seal(path.as_str());
                vault.open(text)
            }
            (Ok(text), None) if text.starts_with("$ANSIBLE_VAULT;") => {
                Err(crate::diag::Error::new(crate::diag::Kind::Vault, crate::vault::NO_SECRETS))
            }
            _ => Ok(bytes),
        }
    }
    /// The text of a file on the controller, decrypted if it is vaulted.
    pub fn read_text(&self, path: &Utf8Path) -> Result<String> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| crate::diag::Error::template(format!("'{path}' is not valid UTF-8")))
    }
    /// The first of [`Self::candidates`] that exists.
    pub fn find(&self, kind: &str, name: &str) -> Option<Utf8PathBuf> {
        self.candidates(kind, name).into_iter().find(|p| p.exists())
    }
}

/// `~` and `~user` replaced by the home folder.
pub fn expand_user(name: &str) -> Utf8PathBuf {
    if let Some(rest) = name.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with('/'))
        && let Ok(home) = std::env::var("HOME")
    {
        return Utf8Path::new(&home).join(rest.trim_start_matches('/'));
    }
    Utf8PathBuf::from(name)
}

/// What a template is rendered in: variables, files, and what was rendered of them so far.
#[derive(Clone)]
pub struct Scope {
    pub vars: Arc<dyn Vars>,
    pub files: Arc<FileScope>,
    pub(super) cache: Arc<Mutex<HashMap<Arc<str>, Mj>>>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

impl Scope {
    /// A scope over variables; keeps what it renders, so make a new one when variables change.
    pub fn new(vars: Arc<dyn Vars>, files: Arc<FileScope>) -> Scope {
        Scope { vars, files, cache: Arc::default() }
    }
    /// The same scope with some variables in front (`item`, `ansible_loop`, task vars).
    pub fn with_extra(&self, extra: Map) -> Scope {
        Scope::new(Arc::new(Layered { extra, below: self.vars.clone() }), self.files.clone())
    }
    /// Other variables over the same files, for `hostvars[…]`.
    pub(super) fn over(&self, vars: Arc<dyn Vars>) -> Scope {
        Scope::new(vars, self.files.clone())
    }
}

/// A few variables in front of others.
struct Layered {
    extra: Map,
    below: Arc<dyn Vars>,
}

impl Vars for Layered {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        match self.extra.get(name) {
            Some(v) => Ok(Some(Var::Raw(v.clone()))),
            None => self.below.get(name),
        }
    }
    fn names(&self) -> Vec<Arc<str>> {
        let mut all = self.below.names();
        for k in self.extra.keys() {
            if let Key::Str(s) = k
                && !all.contains(s)
            {
                all.push(s.clone());
            }
        }
        all
    }
    fn decrypt(&self, vault: &VaultText) -> Result<Arc<str>> {
        self.below.decrypt(vault)
    }
}

/// Variables from one map, for tests and for tools that have no inventory.
pub struct MapVars(pub Map);

impl Vars for MapVars {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        Ok(self.0.get(name).cloned().map(Var::Raw))
    }
    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().filter_map(|k| k.as_str().map(Arc::from)).collect()
    }
    fn decrypt(&self, _vault: &VaultText) -> Result<Arc<str>> {
        Err(crate::diag::Error::new(crate::diag::Kind::Vault, crate::vault::NO_SECRETS))
    }
}

impl From<Value> for MapVars {
    fn from(v: Value) -> Self {
        MapVars(v.as_map().cloned().unwrap_or_default())
    }
}
