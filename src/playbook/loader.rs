//! Reads playbook files: the door of this room. Keeps every parsed document, and what the static
//! parts (imports, roles) need to know of their surroundings.

use super::keywords::Inherit;
use super::role::clean;
use super::types::Completed;
use super::{Item, Library, Role, block};
use crate::diag::{Error, Kind, Result};
use crate::value::{Map, Value};
use crate::yaml::{self, Node, NodeKind};
use camino::{Utf8Path, Utf8PathBuf};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Renders what must be known while loading (names of imported files and roles) with the variables
/// known then: extra vars, the play's vars, and those of the enclosing imports.
pub type StaticRender = dyn Fn(&Value, &[&Map]) -> Result<Value> + Send + Sync;

/// What the loader needs of its surroundings.
pub struct LoaderOptions {
    pub roles_path: Vec<Utf8PathBuf>,
    pub collections_path: Vec<Utf8PathBuf>,
    /// Decrypts a vaulted file's text.
    pub decrypt: Box<dyn Fn(&str) -> Result<String> + Send + Sync>,
    pub render: Box<StaticRender>,
    /// What the names of actions and modules stand for.
    pub library: Arc<Library>,
}

/// Loads playbooks, task files and roles; shared by all threads of a run.
pub struct Loader {
    pub options: LoaderOptions,
    documents: Mutex<HashMap<Utf8PathBuf, Arc<Node>>>,
    warnings: Mutex<Vec<Error>>,
    deprecations: Mutex<Vec<Error>>,
    next_id: AtomicUsize,
    /// Nothing will run: what would be refused for a plug-in is a warning.
    only_told: AtomicBool,
}

/// The play in which something is loaded: its directory, variables, and the roles used so far.
pub struct PlayScope {
    pub playbook_dir: Utf8PathBuf,
    /// The play's variables usable in static names, weakest first.
    pub vars: Vec<Map>,
    /// Those of the command line.
    pub extra: Map,
    /// Uses of roles with equal parameters share one.
    pub roles: Mutex<HashMap<String, Arc<Role>>>,
    /// Who has completed which use: uses that are equal, however they came, share an entry.
    pub completed: Arc<Mutex<HashMap<String, Completed>>>,
    /// Roles in order of loading; the whole play sees the variables of those that are public.
    pub exposed: Mutex<Vec<Arc<Role>>>,
    /// Handlers that imported roles bring.
    pub role_handlers: Mutex<Vec<Item>>,
}

impl PlayScope {
    pub fn new(playbook_dir: Utf8PathBuf, vars: Vec<Map>, extra: Map) -> PlayScope {
        PlayScope {
            playbook_dir,
            vars,
            extra,
            roles: Mutex::default(),
            completed: Arc::default(),
            exposed: Mutex::default(),
            role_handlers: Mutex::default(),
        }
    }
}

/// Where a list of tasks stands: its file and what it inherits.
#[derive(Clone)]
pub struct Place<'a> {
    pub scope: &'a PlayScope,
    pub file: Utf8PathBuf,
    pub inherit: Arc<Inherit>,
    /// Files that are being imported, outermost first, to refuse circles.
    pub importing: Vec<Utf8PathBuf>,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

impl Loader {
    pub fn new(options: LoaderOptions) -> Loader {
        Loader {
            options,
            documents: Mutex::default(),
            warnings: Mutex::default(),
            deprecations: Mutex::default(),
            next_id: AtomicUsize::new(1),
            only_told: AtomicBool::new(false),
        }
    }

    /// Whether an action or module of this name can be found.
    pub(crate) fn knows(&self, name: &str, collections: &[String]) -> bool {
        match name.strip_prefix("group/") {
            Some(g) => self.options.library.group(g).is_some(),
            None => !matches!(self.options.library.resolve(name, collections), super::Resolved::Unknown),
        }
    }

    /// From now on nothing is loaded to run but to be told of (`--list-tasks` and the like): a plug-in that a run
    /// would be refused for is a warning.
    pub fn only_tell(&self) {
        self.only_told.store(true, Ordering::Relaxed);
    }

    /// Settles a plug-in that cannot run.
    pub(crate) fn refuse(&self, e: Error) -> Result<()> {
        if !self.only_told.load(Ordering::Relaxed) {
            return Err(e);
        }
        self.warn(e);
        Ok(())
    }

    pub(crate) fn next_id(&self) -> usize {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A warning met while loading; shown once.
    pub fn warn(&self, e: Error) {
        lock(&self.warnings).push(e);
    }
    /// What was met that will not work for ever.
    pub fn deprecate(&self, e: Error) {
        lock(&self.deprecations).push(e);
    }
    /// The deprecations met so far, taken out.
    pub fn take_deprecations(&self) -> Vec<Error> {
        std::mem::take(&mut *lock(&self.deprecations))
    }
    /// The warnings met so far, taken out.
    pub fn take_warnings(&self) -> Vec<Error> {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// The parsed content of a YAML (or JSON, or vaulted) file; `None` if the file is empty.
    pub fn read(&self, path: &Utf8Path) -> Result<Arc<Node>> {
        if let Some(n) = lock(&self.documents).get(path) {
            return Ok(n.clone());
        }
        let text = self.read_text(path)?;
        let doc = yaml::parse_str(path.as_str(), &text)?;
        lock(&self.warnings).extend(doc.warnings);
        let node = Arc::new(doc.root);
        lock(&self.documents).insert(path.to_owned(), node.clone());
        Ok(node)
    }

    /// The sources of all files read so far.
    pub fn sources(&self) -> Vec<u32> {
        let mut all: Vec<u32> = lock(&self.documents).values().map(|n| n.span.source).collect();
        all.sort_unstable();
        all
    }

    /// Keeps a document as the content of a file that need not exist.
    pub fn preload(&self, path: &Utf8Path, node: Node) {
        lock(&self.documents).insert(path.to_owned(), Arc::new(node));
    }

    /// A file's text, decrypted if it is vaulted.
    pub fn read_text(&self, path: &Utf8Path) -> Result<String> {
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::absent(path).help("the file is looked for on the machine that runs this command")
            }
            _ => Error::parse(format!("an error occurred while trying to read the file '{path}': {e}")),
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            Error::parse(format!("'{path}' is not valid UTF-8 (byte {})", e.utf8_error().valid_up_to()))
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
        if text.starts_with("$ANSIBLE_VAULT;") {
            crate::diag::seal(path.as_str());
            return (self.options.decrypt)(&text).map_err(|e| e.vaulted(path));
        }
        Ok(text)
    }

    /// Loads the tasks of a file at run time (`include_tasks`).
    pub fn load_task_file(&self, path: &Utf8Path, place: &Place) -> Result<Vec<Item>> {
        let node = self.read(path)?;
        match &node.kind {
            NodeKind::Null => Ok(vec![]),
            NodeKind::Seq(_) => {
                let mut importing = place.importing.clone();
                if importing.iter().filter(|p| *p == path).count() > 0 && !place.inherit.handlers {
                    return Err(node.error(format!("included task file '{path}' imports itself")));
                }
                importing.push(path.to_owned());
                let place = Place { file: path.to_owned(), importing, ..place.clone() };
                block::load_items(self, &node, &place)
            }
            _ => Err(node
                .error("included task files must contain a list of tasks")
                .label(format!("this is a {}", node.type_name()))),
        }
    }

    /// Renders a name that must be known while loading.
    pub fn static_name(&self, v: &Value, place: &Place, what: &str, own: &Map) -> Result<String> {
        let v = if v.needs_render() {
            let magic = magic(place);
            let chain = place.inherit.role.as_ref().map(|r| r.chain()).unwrap_or_default();
            let mut layers: Vec<&Map> = chain.iter().rev().map(|r| &*r.defaults).collect();
            layers.extend(&place.scope.vars);
            for r in chain.iter().rev() {
                layers.extend([&*r.vars, &*r.use_vars, &*r.params]);
            }
            layers.extend(place.inherit.vars.iter().map(|m| &**m));
            layers.extend(place.inherit.include_vars.iter().map(|m| &**m));
            layers.extend([own, &place.scope.extra, &magic]);
            (self.options.render)(v, &layers).map_err(|e| {
                // ansible-core's parser tells of a file's name, its loader of a role's
                let kind = if what == "import path" { Kind::Parse } else { Kind::General };
                e.context(format!("Error when evaluating variable in {what}"))
                    .help("when using static imports, ensure that all variables used in their names are defined in vars/vars_files or extra vars passed in from the command line; group or host vars are not known yet")
                    .with_kind(kind)
            })?
        } else {
            v.clone()
        };
        Ok(v.to_str())
    }
}

/// The magic variables that are known while loading.
fn magic(place: &Place) -> Map {
    let mut m = Map::new();
    m.insert("playbook_dir".into(), place.scope.playbook_dir.as_str().into());
    if let Some(r) = &place.inherit.role {
        m.insert("role_path".into(), r.path.as_str().into());
        m.insert("role_name".into(), r.name.rsplit('.').next().unwrap_or(&r.name).into());
        m.insert("ansible_role_name".into(), r.name.as_str().into());
    }
    m
}

/// Where an include's file is looked for, best first, as ansible-core was observed to do it.
///
/// A name is taken relative to the directories that the enclosing includes named (nearest first, each relative to the
/// next), in a role under its `tasks` or `handlers`. For dynamic includes the role's own place comes before these, for
/// imports after them. Each of the places is followed by the role's `tasks`, and by the playbook's directory.
pub fn include_candidates(name: &str, place: &Place, static_: bool) -> Vec<Utf8PathBuf> {
    let expanded = crate::template::expand_user(name);
    if expanded.is_absolute() {
        return vec![expanded];
    }
    let playbook = &place.scope.playbook_dir;
    let sub = if place.inherit.handlers { "handlers" } else { "tasks" };
    let mut cumulated: Vec<Utf8PathBuf> = vec![];
    for d in place.inherit.include_dirs.iter().rev() {
        let next = cumulated.last().map_or_else(|| d.clone(), |inner| d.join(inner));
        cumulated.push(next);
    }
    let mut out = vec![];
    match &place.inherit.role {
        Some(role) => {
            let own = beside(&role.path, Utf8Path::new(sub), name, playbook, true);
            let mut enclosing = vec![];
            for c in &cumulated {
                let base = role.path.join(sub).join(c);
                enclosing.extend(beside(&base, Utf8Path::new(sub), name, playbook, !static_));
            }
            if static_ {
                out.extend(enclosing);
                out.extend(own);
            } else {
                out.extend(own);
                out.extend(enclosing);
            }
        }
        None => {
            for c in &cumulated {
                out.extend(beside(playbook, c, name, playbook, false));
            }
            out.push(playbook.join(name));
        }
    }
    out
}

/// The places for `name` around one directory `base`, where `sub` is the directory such files belong in.
fn beside(base: &Utf8Path, sub: &Utf8Path, name: &str, playbook: &Utf8Path, role: bool) -> Vec<Utf8PathBuf> {
    let mut out = vec![base.join(sub).join(name), clean(&base.join(sub).join(name))];
    if role {
        out.push(clean(&base.join("tasks").join(name)));
    }
    if let Some(cwd) = std::env::current_dir().ok().and_then(|p| Utf8PathBuf::from_path_buf(p).ok()) {
        out.push(clean(&cwd.join(sub).join(name)));
    }
    out.extend([base.join(name), playbook.join(sub).join(name), playbook.join(name)].iter().map(|p| clean(p)));
    out
}

/// The directory part of an include's file name, for the includes within that file.
pub fn include_dir(name: &str) -> Utf8PathBuf {
    Utf8Path::new(name).parent().map(Utf8Path::to_owned).unwrap_or_default()
}

/// A directory where a file of tasks is wanted ends the run.
pub fn refuse_directory(candidates: &[Utf8PathBuf]) -> Result<()> {
    match candidates.iter().find(|c| c.is_dir()) {
        Some(dir) => {
            let dir = super::clean(dir);
            Err(Error::parse(format!(
                "An error occurred while trying to read the file '{dir}': [Errno 21] Is a directory: '{dir}'"
            )))
        }
        None => Ok(()),
    }
}
