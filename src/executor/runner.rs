//! The run as a whole: playbooks one after the other, then the recap and the exit code.

use super::event::{Event, Sink};
use super::options::Options;
use super::state::{RunState, lock};
use crate::diag::Result;
use crate::playbook::{Loader, Playbook};
use crate::template::{Engine, FileScope, InventoryView, Notice, Scope, VaultOpener, Warn};
use crate::transport::Pool;
use crate::value::Value;
use crate::vars::{Store, View};
use camino::Utf8Path;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// Everything a run needs; shared by all threads.
pub struct Runner {
    pub options: Options,
    pub store: Arc<Store>,
    pub engine: Engine,
    pub loader: Arc<Loader>,
    pub pool: Arc<Pool>,
    pub packer: crate::actions::foreign::Packer,
    pub sink: Arc<dyn Sink>,
    pub state: RunState,
    /// Reloads the inventory (`meta: refresh_inventory`).
    pub reload: Box<dyn Fn() -> Result<crate::inventory::Inventory> + Send + Sync>,
    /// Hosts chosen by `--limit`, if given.
    pub limit: Option<HashSet<Arc<str>>>,
    warned: Mutex<HashSet<String>>,
    pub(super) workers: rayon::ThreadPool,
}

/// Exit codes of a run, as Ansible's.
pub mod exit {
    pub const OK: i32 = 0;
    pub const FAILED: i32 = 2;
    pub const UNREACHABLE: i32 = 4;
    pub const INTERRUPTED: i32 = 99;
}

impl Runner {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        options: Options,
        store: Arc<Store>,
        engine: Engine,
        loader: Arc<Loader>,
        pool: Arc<Pool>,
        sink: Arc<dyn Sink>,
        reload: Box<dyn Fn() -> Result<crate::inventory::Inventory> + Send + Sync>,
        limit: Option<HashSet<Arc<str>>>,
    ) -> Result<Arc<Runner>> {
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(options.forks.max(1))
            .thread_name(|i| format!("fork-{i}"))
            .stack_size(8 << 20)
            .build()
            .map_err(|e| crate::diag::Error::general(format!("cannot start {} forks: {e}", options.forks)))?;
        let state = RunState::default();
        state.waiting_for_start.store(options.start_at_task.is_some(), Ordering::SeqCst);
        Ok(Arc::new(Runner {
            options,
            store,
            engine,
            loader,
            pool,
            packer: Default::default(),
            sink,
            state,
            reload,
            limit,
            warned: Mutex::default(),
            workers,
        }))
    }

    pub fn emit(&self, e: Event) {
        self.sink.event(e);
    }

    /// Shows a warning, once for each text.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if lock(&self.warned).insert(text.clone()) {
            self.emit(Event::Warning(text));
        }
    }

    /// A message for those who asked for this verbosity.
    pub fn verbose(&self, level: u8, text: impl FnOnce() -> String) {
        if self.options.told >= level {
            self.emit(Event::Verbose { level, text: text() });
        }
    }

    /// Shows what will not work for ever, once for each text, unless that is switched off.
    pub fn deprecate(&self, text: impl Into<String>) {
        let text = text.into();
        let wanted = crate::settings::current().get("DEPRECATION_WARNINGS");
        if wanted.is_some_and(|w| w.is_ok_and(|f| !f.value.truthy())) {
            return;
        }
        if lock(&self.warned).insert(text.clone()) {
            self.warn("Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.");
            self.emit(Event::Deprecation(text));
        }
    }

    /// Shows what was to be said of the files that were loaded.
    pub(super) fn tell_of_loading(&self) {
        for w in self.loader.take_warnings() {
            self.warn(w.in_full());
        }
        for d in self.loader.take_deprecations() {
            self.deprecate(d.in_full());
        }
    }

    /// Runs the playbooks and answers the exit code.
    pub fn run(self: &Arc<Self>, playbooks: &[Playbook]) -> Result<i32> {
        self.options.deprecations.iter().for_each(|d| self.deprecate(d));
        let mut failure = None;
        'all: for (i, book) in playbooks.iter().enumerate() {
            let mut lost_some = false;
            self.emit(Event::PlaybookStart {
                path: book.path.to_string(),
                plays: book.plays.len(),
                check: self.options.check,
            });
            self.tell_of_loading();
            for play in &book.plays {
                let failed_before = lock(&self.state.failed).len();
                let goes_on = match super::play::run(self, play) {
                    Ok(goes_on) => goes_on,
                    Err(e) => {
                        failure = Some(e);
                        break 'all;
                    }
                };
                lost_some = lock(&self.state.failed).len() > failed_before || !lock(&self.state.unreachable).is_empty();
                if !goes_on {
                    lost_some = true;
                    break;
                }
            }
            // each file has its recap; one whose last play lost a host is the last
            let last = lost_some || i + 1 == playbooks.len();
            self.stats(last);
            if last {
                break;
            }
        }
        if let Some(e) = failure {
            return Err(e);
        }
        if let Some(name) = &self.options.start_at_task
            && self.state.waiting_for_start.load(Ordering::SeqCst)
        {
            self.emit(Event::Error(crate::diag::Error::general(format!(
                "No matching task \"{name}\" found. Note: --start-at-task can only follow static includes."
            ))));
        }
        Ok(self.exit_code())
    }

    /// Emits the recap; `last` if nothing comes behind it.
    pub fn stats(&self, last: bool) {
        let hosts = lock(&self.state.counts).clone();
        let custom = lock(&self.state.custom).clone();
        self.emit(Event::Stats { hosts, custom, last });
    }

    pub fn exit_code(&self) -> i32 {
        if self.state.stopped.load(Ordering::SeqCst) {
            return exit::FAILED;
        }
        let mut code = exit::OK;
        if !lock(&self.state.failed).is_empty() {
            code |= exit::FAILED;
        }
        if !lock(&self.state.unreachable).is_empty() {
            code |= exit::UNREACHABLE;
        }
        // Ansible answers 4 when hosts were unreachable, whatever else failed
        if code & exit::UNREACHABLE != 0 { exit::UNREACHABLE } else { code }
    }

    /// A template scope over a host's variables, with the files that `view`'s task may look for.
    pub(super) fn scope(self: &Arc<Self>, view: &View) -> Scope {
        Scope::new(Arc::new(view.clone()), self.files(view))
    }

    fn files(self: &Arc<Self>, view: &View) -> Arc<FileScope> {
        let mut search = vec![];
        let mut role_path = None;
        if let Some(t) = &view.task {
            if let Some(r) = &t.role {
                role_path = Some(r.path.clone());
                search.extend(r.chain().iter().map(|r| r.path.clone()));
            }
            if let Some(d) = t.file.parent().filter(|d| !d.as_str().is_empty()) {
                search.push(d.to_owned());
            }
        }
        let playbook_dir =
            view.play.as_ref().map(|p| p.play.playbook_dir.clone()).unwrap_or_else(|| self.store.base_dir.clone());
        search.push(playbook_dir.clone());
        let weak = Arc::downgrade(self);
        Arc::new(FileScope {
            search,
            playbook_dir,
            role_path,
            check_mode: self.options.check,
            warn: Warn(Some(Arc::new(move |n: Notice<'_>| {
                if crate::template::notices::keep(n) {
                    return;
                }
                if let Some(r) = weak.upgrade() {
                    match n {
                        Notice::Warning(t) => r.warn(t),
                        Notice::Deprecation(t) => r.deprecate(t),
                    }
                }
            }))),
            inventory: Some(Arc::new(InventoryOf(self.store.clone()))),
            vault: Some(Arc::new(VaultOf(self.store.clone()))),
            user_name: Some(crate::modules::user_name),
            ..FileScope::default()
        })
    }

    /// A file of the controller, decrypted if it is vaulted.
    pub(super) fn read_file(&self, path: &Utf8Path) -> Result<Vec<u8>> {
        let bytes = std::fs::read(path).map_err(|e| {
            crate::diag::Error::general(format!("an error occurred while trying to read the file '{path}': {e}"))
        })?;
        if bytes.starts_with(b"$ANSIBLE_VAULT;") {
            crate::diag::seal(path.as_str());
            let text = String::from_utf8_lossy(&bytes);
            return self.store.secrets.decrypt(&text).map_err(|e| e.vaulted(path));
        }
        Ok(bytes)
    }

    /// Renders a play's or task's keyword to a boolean.
    pub(super) fn flag(&self, v: &Option<Value>, scope: &Scope, default: bool, name: &str) -> Result<bool> {
        let Some(v) = v else { return Ok(default) };
        let r = if v.needs_render() {
            self.engine
                .render(v, scope)
                .map_err(|e| e.during(format!("Error processing keyword '{name}'"), origin(v)))?
        } else {
            v.clone()
        };
        if r.is_null() || crate::template::is_omit(&r) {
            return Ok(default);
        }
        r.to_bool_loose().ok_or_else(|| {
            crate::playbook::cannot_convert(name, &r, "bool", origin(v)).with_kind(crate::diag::Kind::General)
        })
    }

    /// Renders a keyword to text; `None` if it is not set (or omitted).
    pub(super) fn text(&self, v: &Option<Value>, scope: &Scope) -> Result<Option<String>> {
        let Some(v) = v else { return Ok(None) };
        let r = if v.needs_render() { self.engine.render(v, scope)? } else { v.clone() };
        Ok((!r.is_null() && !crate::template::is_omit(&r)).then(|| r.to_str()))
    }

    /// Renders a keyword to a whole number.
    pub(super) fn number(&self, v: &Option<Value>, scope: &Scope, name: &str) -> Result<Option<i64>> {
        Ok(self.parsed(v, scope, name, "int", |t| t.parse::<f64>().ok())?.map(|f| f as i64))
    }

    /// Renders a keyword to a number; a percent sign behind it is left out.
    pub(super) fn decimal(&self, v: &Option<Value>, scope: &Scope, name: &str) -> Result<Option<f64>> {
        self.parsed(v, scope, name, "float", |t| t.trim_end_matches('%').parse().ok())
    }

    fn parsed<T>(
        &self,
        v: &Option<Value>,
        scope: &Scope,
        name: &str,
        kind: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let at = || v.as_ref().and_then(origin);
        match self.text(v, scope).map_err(|e| e.during(format!("Error processing keyword '{name}'"), at()))? {
            Some(t) if !t.trim().is_empty() => parse(t.trim()).map(Some).ok_or_else(|| {
                crate::playbook::cannot_convert(name, &Value::plain(t), kind, at())
                    .with_kind(crate::diag::Kind::General)
            }),
            _ => Ok(None),
        }
    }
}

pub(super) fn origin(v: &Value) -> Option<crate::diag::Span> {
    match v {
        Value::Str(s) => s.origin,
        _ => None,
    }
}

struct InventoryOf(Arc<Store>);
impl fmt::Debug for InventoryOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InventoryOf")
    }
}
impl InventoryView for InventoryOf {
    fn select(&self, pattern: &str) -> Result<Vec<Arc<str>>> {
        self.0.inventory().select(pattern)
    }
}

struct VaultOf(Arc<Store>);
impl fmt::Debug for VaultOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultOf")
    }
}
impl VaultOpener for VaultOf {
    fn open(&self, envelope: &str) -> Result<Vec<u8>> {
        self.0.secrets.decrypt(envelope)
    }
}
