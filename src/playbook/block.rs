//! Task lists and blocks; static imports are expanded here.

use super::keywords::{Inherit, Keywords, Want, check, list_of, tags_of, texts_of, vars_of};
use super::loader::{Loader, Place};
use super::{Block, Item, Task, role, task};
use crate::diag::{Error, Result};
use crate::value::{Key, Map, Value};
use crate::yaml::{Node, NodeKind};
use std::sync::Arc;

const BLOCK_ONLY: [&str; 3] = ["block", "rescue", "always"];

/// Loads a list of tasks and blocks.
pub fn load_items(loader: &Loader, node: &Node, place: &Place) -> Result<Vec<Item>> {
    if node.is_null() {
        return Ok(vec![]);
    }
    let Some(list) = node.as_seq() else {
        return Err(malformed("a block", node));
    };
    let mut out = Vec::with_capacity(list.len());
    for entry in list {
        if entry.is_null() {
            continue;
        }
        let Some(map) = entry.as_map() else {
            return Err(entry
                .error(format!("task/handler entries must be dictionaries (got a {})", entry.type_name()))
                .help("a task looks like\n- name: what it does\n  module:\n    argument: value"));
        };
        if map.iter().any(|(k, _)| k.as_str().is_some_and(|k| BLOCK_ONLY.contains(&k))) {
            out.push(Item::Block(Arc::new(load_block(loader, entry, place)?)));
        } else {
            let t = task::load(loader, entry, place)?;
            load_static(loader, t, entry, place, &mut out)?;
        }
    }
    Ok(out)
}

/// The error of a section that is no list of tasks.
pub(crate) fn malformed(section: &str, node: &Node) -> Error {
    let (before, verb) = if section == "a block" {
        ("The ds (", ") should be a list but was")
    } else {
        ("", " should be a list or None but is")
    };
    Error::parse(format!(
        "A malformed block was encountered while loading {section}: {before}{}{verb} a <class '{}'>",
        node.to_value().to_str(),
        node.type_name()
    ))
    .at(node.span)
    .label(format!("this is a {}", node.type_name()))
}

fn load_block(loader: &Loader, node: &Node, place: &Place) -> Result<Block> {
    let mut own = Own::default();
    let mut name = None;
    for (k, v) in node.as_map().unwrap_or_default() {
        let key = k.as_str().unwrap_or_default();
        match key {
            "name" => name = Some(check(key, v, Want::Str)?),
            "block" | "rescue" | "always" => {}
            _ if own.take(key, v, "Block", &|n| loader.knows(n, &place.inherit.collections))? => {}
            _ => return Err(unknown(k, "Block", &own_names(&["block", "rescue", "always", "name"]))),
        }
    }
    loader.warn_reserved_of_task(node.get("vars"), false);
    let filled = |what: &str| node.get(what).filter(|n| n.as_seq().is_none_or(|s| !s.is_empty()));
    if node.get("block").is_none()
        && let Some(which) = ["rescue", "always"].into_iter().find(|w| filled(w).is_some())
    {
        return Err(node.error(format!("'{which}' keyword cannot be used without 'block'")));
    }
    let inherit = Arc::new(own.child_of(&place.inherit));
    let inner = Place { inherit: inherit.clone(), ..place.clone() };
    let part = |what: &str| -> Result<Vec<Item>> {
        match node.get(what) {
            Some(n) if n.as_seq().is_none() => Err(n
                .error(format!(
                    "A malformed block was encountered while loading {}: a list of tasks is wanted",
                    if what == "block" { "a block" } else { what }
                ))
                .label(format!("this is a {}", n.type_name()))),
            Some(n) => load_items(loader, n, &inner),
            None => Ok(vec![]),
        }
    };
    Ok(Block {
        span: node.span,
        name,
        block: part("block")?,
        rescue: part("rescue")?,
        always: part("always")?,
        inherit,
    })
}

/// Puts a task in the list, or what it imports.
fn load_static(loader: &Loader, t: Task, node: &Node, place: &Place, out: &mut Vec<Item>) -> Result<()> {
    match t.short.as_str() {
        "include_role" | "import_role" if place.inherit.handlers => {
            return Err(node
                .error(format!("Using '{}' as a handler is not supported.", t.action))
                .help("include tasks (include_tasks), or notify the role's own handlers by `role : name`"));
        }
        "import_tasks" => {
            if let Some(l) = &t.loop_ {
                return Err(Error::parse(
                    "You cannot use loops on 'import_tasks' statements. You should use 'include_tasks' instead.",
                )
                .at(l.span));
            }
            let Some(file) = t.args.get("_raw_params").or_else(|| t.args.get("file")) else {
                return Err(node.error("No file specified for import_tasks"));
            };
            let name = loader.static_name(file, place, "import path", &t.vars)?;
            let candidates = super::loader::include_candidates(&name, place, true);
            let Some(path) = candidates.iter().find(|p| p.is_file()) else {
                super::loader::refuse_directory(&candidates)?;
                let last = candidates.last().cloned().unwrap_or_else(|| name.as_str().into());
                return Err(Error::absent(last)
                    .at(origin(file).unwrap_or(node.span))
                    .help("looked beside this file, in the role's tasks and in the playbook's directory"));
            };
            let path = role::clean(path);
            if place.importing.contains(&path) {
                return Err(node.error(format!("import_tasks '{name}' imports itself")));
            }
            let mut inherit = (*t.inherit).clone();
            inherit.include_dirs.push(super::loader::include_dir(&name));
            let inner = Place { inherit: Arc::new(inherit), ..place.clone() };
            out.push(group(&t, loader.load_task_file(&path, &inner)?));
        }
        "import_role" => {
            if let Some(l) = &t.loop_ {
                return Err(Error::parse(
                    "You cannot use loops on 'import_role' statements. You should use 'include_role' instead.",
                )
                .at(l.span));
            }
            let mut args = Map::new();
            for (k, v) in &t.args {
                let v = if v.needs_render() {
                    Value::plain(loader.static_name(v, place, "import_role", &t.vars)?)
                } else {
                    v.clone()
                };
                args.insert(k.clone(), v);
            }
            let inner = Place { inherit: t.inherit.clone(), ..place.clone() };
            let (items, handlers) = role::load_for_task(loader, &args, node.span, &inner, true)?;
            out.push(group(&t, items));
            super::loader::lock(&place.scope.role_handlers).extend(handlers);
        }
        _ => out.push(Item::Task(Arc::new(t))),
    }
    Ok(())
}

/// Imported tasks as one block without rescue: they inherit already.
fn group(t: &Task, items: Vec<Item>) -> Item {
    Item::Block(Arc::new(Block {
        span: t.span,
        name: None,
        block: items,
        rescue: vec![],
        always: vec![],
        inherit: t.inherit.clone(),
    }))
}

pub(crate) fn origin(v: &Value) -> Option<crate::diag::Span> {
    match v {
        Value::Str(s) => s.origin,
        _ => None,
    }
}

/// The keywords an element has of its own, before it inherits.
#[derive(Default, Debug)]
pub(crate) struct Own {
    pub kw: Keywords,
    pub when: Vec<Value>,
    pub tags: Vec<Value>,
    pub environment: Option<Value>,
    pub module_defaults: Option<Value>,
    pub vars: Map,
    pub collections: Option<Vec<String>>,
    pub notify: Vec<Value>,
    /// A keyword's value that cannot be converted.
    pub bad: Option<Error>,
}

impl Own {
    /// Takes a keyword that blocks, roles and tasks share; false if it is none. `what` has it: Block, Role or Task.
    pub fn take(&mut self, key: &str, v: &Node, what: &str, known_action: &dyn Fn(&str) -> bool) -> Result<bool> {
        match key {
            "when" => self.when = conditions(v, &mut self.bad),
            "tags" => self.tags = tags_of(v)?,
            "environment" => self.environment = Some(v.to_value()),
            "module_defaults" => self.module_defaults = Some(module_defaults(v, known_action, &mut self.bad)?),
            "vars" => self.vars = vars_of(v, what)?,
            "notify" => self.notify = list_of(v),
            "collections" => self.collections = Some(texts_of(key, v)?.iter().map(Value::to_str).collect()),
            _ => return self.kw.set(key, v, &mut self.bad),
        }
        Ok(true)
    }

    /// What children see: the parent's values with these on top.
    pub fn child_of(self, parent: &Inherit) -> Inherit {
        let mut i = parent.clone();
        let mut kw = self.kw;
        kw.inherit(&parent.kw);
        i.kw = kw;
        i.when.extend(self.when);
        i.tags.extend(self.tags);
        i.environment.extend(self.environment);
        i.module_defaults.extend(self.module_defaults);
        if !self.vars.is_empty() {
            i.vars.push(Arc::new(self.vars));
        }
        i.notify.extend(self.notify);
        i.bad = self.bad.or(i.bad);
        if let Some(c) = self.collections {
            i.collections = c;
        }
        i
    }
}

/// Groups of modules of collections, which need no collection to be named: their defaults apply to none of ours.
const GROUPS: [&str; 10] = ["acme", "aws", "azure", "cpm", "docker", "gcp", "k8s", "os", "ovirt", "vmware"];

/// `module_defaults:` a mapping of module names to arguments, or a list of them. What is no mapping of
/// arguments is put in `bad`.
pub(crate) fn module_defaults(v: &Node, known_action: &dyn Fn(&str) -> bool, bad: &mut Option<Error>) -> Result<Value> {
    let wrong = |n: &Node| {
        n.error("The field 'module_defaults' is supposed to be a dictionary or list of dictionaries, the keys of which must be static action, module, or group names. Only the values may contain templates.")
            .label(format!("this is a {}", n.type_name()))
            .help("write module_defaults: {ping: \"{{ ping_defaults }}\"}")
    };
    let maps = match &v.kind {
        NodeKind::Null => return Ok(v.to_value()),
        NodeKind::Seq(s) => s.iter().collect(),
        _ => vec![v],
    };
    for m in maps {
        for (k, args) in m.as_map().ok_or_else(|| wrong(m))? {
            let name = k.as_str().ok_or_else(|| wrong(k))?;
            let group = name.strip_prefix("group/").map(|g| g.strip_prefix("ansible.builtin.").unwrap_or(g));
            if let Some(g) = group.filter(|g| !GROUPS.contains(g) && !known_action(name)) {
                let shown = if g.contains('.') { g } else { name };
                return Err(k.error(format!(
                    "Error loading module_defaults: could not resolve the module_defaults group {shown}"
                )));
            }
            if group.is_none() && !known_action(name) {
                return Err(k
                    .error(format!("Could not resolve action {name} in module_defaults"))
                    .label("no module or action has this name"));
            }
            if args.as_map().is_none() && !args.is_null() && !args.to_value().needs_render() {
                bad.get_or_insert_with(|| {
                    args.error(format!(
                        "the module_defaults of '{name}' must be a dictionary, got {}",
                        args.type_name()
                    ))
                });
            }
        }
    }
    Ok(v.to_value())
}

/// `when:` and its like: one condition or a list of them. One that is no expression is put in `bad`.
pub(crate) fn conditions(v: &Node, bad: &mut Option<Error>) -> Vec<Value> {
    let all: Vec<&Node> = v.as_seq().map_or_else(|| vec![v], |s| s.iter().collect());
    if let Some(n) = all.iter().find(|n| n.as_map().is_some() || n.as_seq().is_some()) {
        bad.get_or_insert_with(|| {
            n.error("Conditional expressions must be strings.")
                .label(format!("this is a {}", n.type_name()))
                .help("quote an expression that has ': ' in it or begins with '{' or '['")
        });
        return vec![];
    }
    list_of(v)
}

pub(crate) fn own_names(more: &[&'static str]) -> Vec<&'static str> {
    let mut n: Vec<&'static str> = Keywords::NAMES.to_vec();
    n.extend(["when", "tags", "environment", "module_defaults", "vars", "notify", "collections"]);
    n.extend(more);
    n
}

/// "'x' is not a valid attribute for a Play", with the nearest valid name.
pub(crate) fn unknown(key: &Node, what: &str, valid: &[&str]) -> Error {
    let name = Key::from_value(&key.to_plain_value()).map(|k| k.to_string()).unwrap_or_default();
    let e =
        key.error(format!("'{name}' is not a valid attribute for a {what}")).label("this keyword is not known here");
    match nearest(&name, valid) {
        Some(n) => e.help(format!("did you mean '{n}'?")),
        None => e,
    }
}

/// The name that differs least, if it differs little.
pub fn nearest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    valid
        .iter()
        .map(|v| (similar::TextDiff::from_chars(name, *v).ratio(), *v))
        .filter(|(r, _)| *r > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, v)| v)
}
