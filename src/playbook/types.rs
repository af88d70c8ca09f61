//! Plays, blocks, tasks and roles as loaded: every keyword typed, every inherited value in place.

use super::ModuleFile;
use super::keywords::{Inherit, Keywords};
use crate::diag::{Error, Span};
use crate::modules::Spec;
use crate::value::{Map, Value};
use camino::Utf8PathBuf;
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

/// A playbook file with its `import_playbook`s expanded.
#[derive(Debug)]
pub struct Playbook {
    pub path: Utf8PathBuf,
    pub plays: Vec<Arc<Play>>,
}

/// A play.
#[derive(Debug)]
pub struct Play {
    pub span: Span,
    pub name: Option<Value>,
    pub hosts: Value,
    /// Directory of the playbook file this play stands in.
    pub playbook_dir: Utf8PathBuf,
    pub kw: Keywords,
    pub tags: Vec<Value>,
    pub environment: Vec<Value>,
    pub module_defaults: Vec<Value>,
    pub collections: Vec<String>,
    /// `when:` of the `import_playbook` that brought this play.
    pub when: Vec<Value>,
    pub vars: Arc<Map>,
    /// `vars:` of the `import_playbook`s that brought this play (weaker than the play's own).
    pub import_vars: Arc<Map>,
    pub vars_files: Vec<Vec<Value>>,
    /// What those of the `vars_files` hold that could be read while loading, for names that must be known then.
    pub early_vars: Vec<Map>,
    pub vars_prompt: Vec<Prompt>,
    pub gather_facts: Option<Value>,
    pub gather_subset: Option<Value>,
    pub gather_timeout: Option<Value>,
    pub fact_path: Option<Value>,
    pub serial: Vec<Value>,
    pub strategy: Option<Value>,
    pub order: Option<Value>,
    pub max_fail_percentage: Option<Value>,
    pub force_handlers: Option<Value>,
    pub pre_tasks: Vec<Item>,
    pub roles: Vec<Item>,
    pub tasks: Vec<Item>,
    pub post_tasks: Vec<Item>,
    pub handlers: Vec<Item>,
    /// Roles of the `roles:` section with their dependencies, in order of running.
    pub role_list: Vec<Arc<Role>>,
    /// Who has completed which use of a role; shared with what is included while the play runs.
    pub completed: Arc<Mutex<HashMap<String, Completed>>>,
}

/// A `vars_prompt` entry.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub name: String,
    pub prompt: Option<Value>,
    pub default: Option<Value>,
    pub private: bool,
    pub confirm: bool,
    pub encrypt: Option<String>,
    pub salt: Option<String>,
    pub salt_size: Option<i64>,
    pub unsafe_: bool,
}

/// An element of a task list.
#[derive(Clone, Debug)]
pub enum Item {
    Task(Arc<Task>),
    Block(Arc<Block>),
    /// The end of a role's tasks: hosts that come here have completed it.
    RoleEnd(Arc<Role>),
}

/// A block with its rescue and always sections.
#[derive(Debug)]
pub struct Block {
    pub span: Span,
    pub name: Option<Value>,
    pub block: Vec<Item>,
    pub rescue: Vec<Item>,
    pub always: Vec<Item>,
    pub inherit: Arc<Inherit>,
}

/// How a task repeats.
#[derive(Clone, Debug)]
pub struct Loop {
    /// `None` for `loop:`, the lookup's name for `with_NAME:`.
    pub lookup: Option<String>,
    pub over: Value,
    pub span: Span,
}

/// `loop_control:`
#[derive(Clone, Debug, Default)]
pub struct LoopControl {
    pub loop_var: Option<Value>,
    pub index_var: Option<Value>,
    pub label: Option<Value>,
    pub pause: Option<Value>,
    pub extended: Option<Value>,
    pub extended_allitems: Option<Value>,
    pub break_when: Vec<Value>,
}

/// A task (or handler).
#[derive(Clone, Debug)]
pub struct Task {
    pub id: usize,
    pub span: Span,
    /// Where the action is named.
    pub action_span: Span,
    pub name: Option<Value>,
    /// The module or action as written, e.g. `ansible.builtin.copy`.
    pub action: String,
    /// The action's short name, e.g. `copy`.
    pub short: String,
    /// The file of a module that is not built in.
    pub module_file: Option<Arc<ModuleFile>>,
    /// Arguments as written; free-form text is `_raw_params`.
    pub args: Map,
    /// `args:` given as a template, rendered to a mapping at run time.
    pub args_template: Option<Value>,
    /// Effective keywords (own, else inherited).
    pub kw: Keywords,
    /// Effective conditions: parents' first.
    pub when: Vec<Value>,
    pub tags: Vec<Value>,
    pub environment: Vec<Value>,
    pub module_defaults: Vec<Value>,
    pub collections: Vec<String>,
    /// The task's own `vars:`.
    pub vars: Arc<Map>,
    /// `vars:` of enclosing blocks, outermost first.
    pub block_vars: Vec<Arc<Map>>,
    /// Parameters of enclosing includes, outermost first.
    pub include_vars: Vec<Arc<Map>>,
    pub role: Option<Arc<Role>>,
    pub loop_: Option<Loop>,
    pub loop_control: LoopControl,
    pub register: Option<String>,
    pub changed_when: Vec<Value>,
    pub failed_when: Vec<Value>,
    pub until: Vec<Value>,
    pub retries: Option<Value>,
    pub delay: Option<Value>,
    pub async_: Option<Value>,
    pub poll: Option<Value>,
    pub notify: Vec<Value>,
    pub listen: Vec<Value>,
    pub is_handler: bool,
    /// What the children of an include task inherit from it.
    pub inherit: Arc<Inherit>,
    /// The file the task stands in, for relative includes.
    pub file: Utf8PathBuf,
    /// True for tasks that the engine adds itself (fact gathering).
    pub implicit: bool,
    /// A keyword whose literal value cannot be converted: the task fails with it when it runs.
    pub bad: Option<Error>,
}

impl Task {
    /// A task that the engine adds itself, tagged `always` on top of `tags`; nothing else is handed down to it.
    pub fn implicit(
        span: Span,
        name: impl Into<Arc<str>>,
        action: &str,
        args: Map,
        mut tags: Vec<Value>,
        file: Utf8PathBuf,
    ) -> Task {
        tags.push("always".into());
        Task {
            id: 0,
            span,
            action_span: span,
            name: Some(Value::plain(name)),
            action: action.into(),
            short: super::short_name(action),
            module_file: None,
            args,
            args_template: None,
            kw: Keywords::default(),
            when: vec![],
            tags,
            environment: vec![],
            module_defaults: vec![],
            collections: vec![],
            vars: Arc::default(),
            block_vars: vec![],
            include_vars: vec![],
            role: None,
            loop_: None,
            loop_control: LoopControl::default(),
            register: None,
            changed_when: vec![],
            failed_when: vec![],
            until: vec![],
            retries: None,
            delay: None,
            async_: None,
            poll: None,
            notify: vec![],
            listen: vec![],
            is_handler: false,
            inherit: Arc::default(),
            file,
            implicit: true,
            bad: None,
        }
    }
    /// The label that `TASK [...]` shows when it needs no rendering: role, name or action.
    pub fn raw_label(&self) -> String {
        let own = match &self.name {
            Some(n) => n.to_str(),
            None => self.unnamed(),
        };
        match &self.role {
            Some(r) if self.short != "include_role" => format!("{} : {own}", r.name),
            _ => own,
        }
    }
    /// What stands for the name of a task without one: the action, with the role it includes.
    pub fn unnamed(&self) -> String {
        match self.args.get("name").or_else(|| self.args.get("role")) {
            Some(role) if self.short == "include_role" => format!("{} : {}", self.action, role.to_str()),
            _ => self.action.clone(),
        }
    }
    /// A plain argument's text.
    pub fn raw_arg(&self, name: &str) -> Option<&str> {
        self.args.get(name).and_then(Value::as_str)
    }
}

/// One use of a role.
#[derive(Debug)]
pub struct Role {
    /// Unique per use with its own parameters; equal uses share one.
    pub id: usize,
    pub name: String,
    pub path: Utf8PathBuf,
    pub defaults: Arc<Map>,
    /// From the role's vars/.
    pub vars: Arc<Map>,
    /// `vars:` given where the role is used; seen by its own tasks and those of roles it brings.
    pub use_vars: Arc<Map>,
    /// Parameters given where the role is used.
    pub params: Arc<Map>,
    pub allow_duplicates: bool,
    /// Whether vars and defaults are visible to the rest of the play.
    pub public: bool,
    /// Argument specifications by entry point, from meta/argument_specs.yml or meta/main.yml.
    pub argument_specs: IndexMap<String, ArgumentSpec>,
    /// The role that depends on this one, or includes it.
    pub parent: Option<Arc<Role>>,
    /// All roles this one depends on, in order of running.
    pub dependencies: Vec<Arc<Role>>,
    pub handlers: OnceLock<Vec<Item>>,
    /// Hosts that have completed this use, or an equal one of the play.
    pub completed: Completed,
    /// Hosts on which a task of this use was not skipped; only these can complete it.
    pub ran: Arc<Mutex<HashSet<Arc<str>>>>,
    /// It came by `include_role` or `import_role`: such roles know the names of those above them.
    pub by_task: bool,
    pub collection: Option<String>,
}

/// The hosts that have completed the uses of a role that are equal.
pub type Completed = Arc<Mutex<HashSet<Arc<str>>>>;

/// An entry point of meta/argument_specs.yml.
#[derive(Clone, Debug)]
pub struct ArgumentSpec {
    pub short_description: Option<String>,
    pub spec: Spec,
    /// The `options` as written, for the task's arguments.
    pub raw: Value,
}

impl Role {
    pub fn dir(&self, sub: &str) -> Utf8PathBuf {
        self.path.join(sub)
    }
    /// The roles above this one by `include_role` and `import_role`, innermost first.
    pub fn parents(self: &Arc<Role>) -> Vec<Arc<Role>> {
        let chain = self.chain();
        chain.windows(2).filter(|w| w[0].by_task).map(|w| w[1].clone()).collect()
    }
    /// This role and those above it that depend on or include it, innermost first.
    pub fn chain(self: &Arc<Role>) -> Vec<Arc<Role>> {
        let mut out = vec![self.clone()];
        let mut at = self.parent.clone();
        while let Some(r) = at {
            at = r.parent.clone();
            out.push(r);
        }
        out
    }
}
