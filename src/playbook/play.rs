//! Playbook files and their plays.

use super::block::{conditions, load_items, module_defaults, own_names, unknown};
use super::keywords::{Inherit, Keywords, Want, check, list_of, tags_of, texts_of, vars_of};
use super::loader::{Loader, Place, PlayScope, lock};
use super::role::{clean, collect_handlers, load_list};
use super::{Item, Play, Playbook, Prompt};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use crate::yaml::{Node, NodeKind};
use camino::{Utf8Path, Utf8PathBuf};
use std::sync::Arc;

/// What an `import_playbook` hands to the plays it brings.
#[derive(Clone, Default)]
struct Outer {
    when: Vec<Value>,
    tags: Vec<Value>,
    vars: Map,
    files: Vec<Utf8PathBuf>,
    /// A condition that is none: every task fails with it.
    bad: Option<Error>,
}

/// Loads a playbook with everything it imports. `extra` are the `-e` variables.
pub fn load_playbook(loader: &Loader, path: &Utf8Path, extra: &Map) -> Result<Playbook> {
    if !path.exists() {
        return Err(Error::general(format!("the playbook: {path} could not be found"))
            .help("paths are taken from the current directory"));
    }
    use std::os::unix::fs::FileTypeExt;
    let pipe = std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo());
    if !path.is_file() && !pipe {
        return Err(Error::general(format!("the playbook: {path} does not appear to be a file")));
    }
    let mut plays = vec![];
    load_file(loader, path, extra, &Outer::default(), &mut plays)?;
    Ok(Playbook { path: path.to_owned(), plays })
}

/// Loads plays from a document, as if it stood in a file of `dir`.
pub fn load_node(loader: &Loader, name: &str, node: Node, dir: &Utf8Path, extra: &Map) -> Result<Playbook> {
    let path = absolute(&dir.join(name));
    loader.preload(&path, node);
    let mut plays = vec![];
    load_file(loader, &path, extra, &Outer::default(), &mut plays)?;
    Ok(Playbook { path, plays })
}

fn absolute(path: &Utf8Path) -> Utf8PathBuf {
    let p = if path.is_absolute() {
        path.to_owned()
    } else {
        let cwd = std::env::current_dir().ok().and_then(|p| Utf8PathBuf::from_path_buf(p).ok()).unwrap_or_default();
        cwd.join(path)
    };
    clean(&p)
}

fn load_file(loader: &Loader, path: &Utf8Path, extra: &Map, outer: &Outer, plays: &mut Vec<Arc<Play>>) -> Result<()> {
    let full = absolute(path);
    let dir = full.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let node = loader.read(&full)?;
    let Some(list) = node.as_seq() else {
        return Err(if node.is_null() {
            Error::parse(format!("Empty playbook, nothing to do: {full}"))
                .help("a playbook is a list of plays: begin each with '- hosts: …'")
        } else {
            node.error(format!("A playbook must be a list of plays, got a {} instead", node.type_name()))
                .help("begin each play with '- hosts: …'")
        });
    };
    if list.is_empty() {
        return Err(node.error("A playbook must contain at least one play"));
    }
    let mut outer = outer.clone();
    outer.files.push(full.clone());
    loader.options.library.add(&dir);
    for entry in list {
        let Some(map) = entry.as_map() else {
            return Err(entry.error(format!(
                "playbook entries must be either valid plays or 'import_playbook' statements (this is a {})",
                entry.type_name()
            )));
        };
        const IMPORT: [&str; 4] =
            ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook", "include"];
        match map.iter().find(|(k, _)| k.as_str().is_some_and(|k| IMPORT.contains(&k))) {
            Some((_, target)) => import(loader, entry, target, &dir, extra, &outer, plays)?,
            None => plays.push(Arc::new(load_play(loader, entry, &full, &dir, extra, &outer)?)),
        }
    }
    Ok(())
}

fn import(
    loader: &Loader,
    entry: &Node,
    target: &Node,
    dir: &Utf8Path,
    extra: &Map,
    outer: &Outer,
    plays: &mut Vec<Arc<Play>>,
) -> Result<()> {
    let mut inner = outer.clone();
    for (k, v) in entry.as_map().unwrap_or_default() {
        match k.as_str().unwrap_or_default() {
            "when" => inner.when.extend(conditions(v, &mut inner.bad)),
            "tags" => inner.tags.extend(tags_of(v)?),
            "vars" => inner.vars.extend(vars_of(v, "PlaybookInclude")?),
            "name"
            | "import_playbook"
            | "include"
            | "ansible.builtin.import_playbook"
            | "ansible.legacy.import_playbook" => {}
            _ => return Err(unknown(k, "PlaybookInclude", &["import_playbook", "name", "when", "tags", "vars"])),
        }
    }
    let Some(text) = target.as_str() else {
        return Err(target.error("playbook import parameter must be a string indicating a file path"));
    };
    let name = if crate::value::has_delimiter(text) {
        (loader.options.render)(&target.to_value(), &[&inner.vars, extra])
            .map_err(|e| e.with_kind(crate::diag::Kind::Parse).at(target.span))?
            .to_str()
    } else {
        text.split_whitespace().next().unwrap_or(text).to_string()
    };
    let path = clean(&dir.join(&name));
    let path = collection_playbook(loader, dir, &name).unwrap_or(path);
    if inner.files.contains(&path) {
        return Err(target.error(format!("import_playbook '{name}' imports itself")));
    }
    if !path.is_file() {
        return Err(Error::absent(path)
            .at(target.span)
            .help("the path is taken from the directory of the importing playbook"));
    }
    load_file(loader, &path, extra, &inner, plays)
}

/// `ns.collection.playbook` in a collection.
fn collection_playbook(loader: &Loader, dir: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    let mut p = name.splitn(3, '.');
    let (ns, coll, book) = (p.next()?, p.next()?, p.next()?);
    if name.contains('/') || matches!(book, "yml" | "yaml") {
        return None;
    }
    std::iter::once(dir.join("collections"))
        .chain(loader.options.collections_path.iter().cloned())
        .flat_map(|root| {
            let d = root.join("ansible_collections").join(ns).join(coll).join("playbooks");
            [d.join(format!("{book}.yml")), d.join(format!("{book}.yaml")), d.join(book)]
        })
        .find(|f| f.is_file())
}

const PLAY_ONLY: &[&str] = &[
    "hosts",
    "name",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "fact_path",
    "vars_files",
    "vars_prompt",
    "serial",
    "strategy",
    "order",
    "max_fail_percentage",
    "force_handlers",
    "pre_tasks",
    "roles",
    "tasks",
    "post_tasks",
    "handlers",
];

fn load_play(
    loader: &Loader,
    node: &Node,
    file: &Utf8Path,
    dir: &Utf8Path,
    extra: &Map,
    outer: &Outer,
) -> Result<Play> {
    let mut p = Play {
        span: node.span,
        name: None,
        hosts: Value::Null,
        playbook_dir: dir.to_owned(),
        kw: Keywords::default(),
        tags: outer.tags.clone(),
        environment: vec![],
        module_defaults: vec![],
        collections: vec![],
        when: outer.when.clone(),
        vars: Arc::default(),
        import_vars: Arc::new(outer.vars.clone()),
        vars_files: vec![],
        early_vars: vec![],
        vars_prompt: vec![],
        gather_facts: None,
        gather_subset: None,
        gather_timeout: None,
        fact_path: None,
        serial: vec![],
        strategy: None,
        order: None,
        max_fail_percentage: None,
        force_handlers: None,
        pre_tasks: vec![],
        roles: vec![],
        tasks: vec![],
        post_tasks: vec![],
        handlers: vec![],
        role_list: vec![],
        completed: Arc::default(),
    };
    let mut hosts = None;
    let mut bad = outer.bad.clone();
    let collections: Vec<String> =
        node.get("collections").map(|n| list_of(n).iter().map(Value::to_str).collect()).unwrap_or_default();
    for (k, v) in node.as_map().unwrap_or_default() {
        match k.as_str().unwrap_or_default() {
            "name" => p.name = Some(check("name", v, Want::Str)?).filter(|v| !v.is_null()),
            "hosts" => hosts = Some(v),
            "vars" => {
                loader.warn_reserved(Some(v));
                p.vars = Arc::new(play_vars(loader, v)?);
            }
            "vars_files" => p.vars_files = vars_files(v)?,
            "vars_prompt" => p.vars_prompt = prompts(v)?,
            "gather_facts" => p.gather_facts = Some(check("gather_facts", v, Want::Bool)?),
            "gather_subset" => {
                texts_of("gather_subset", v)?;
                p.gather_subset = Some(v.to_value());
            }
            "gather_timeout" => p.gather_timeout = Some(check("gather_timeout", v, Want::Int)?),
            "fact_path" => p.fact_path = Some(check("fact_path", v, Want::Str)?),
            "serial" => p.serial = serial(v)?,
            "strategy" => p.strategy = Some(check("strategy", v, Want::Str)?),
            "order" => p.order = Some(check("order", v, Want::Str)?),
            "max_fail_percentage" => p.max_fail_percentage = Some(check("max_fail_percentage", v, Want::Float)?),
            "force_handlers" => p.force_handlers = Some(check("force_handlers", v, Want::Bool)?),
            "tags" => p.tags.extend(tags_of(v)?),
            "environment" => p.environment.push(v.to_value()),
            "module_defaults" => {
                p.module_defaults.push(module_defaults(v, &|n| loader.knows(n, &collections), &mut bad)?);
            }
            "collections" => p.collections = texts_of("collections", v)?.iter().map(Value::to_str).collect(),
            "user" => {
                if node.get("remote_user").is_some() {
                    return Err(k.error("both 'user' and 'remote_user' are set for this play. The use of 'user' is deprecated, and should be removed"));
                }
                p.kw.set("remote_user", v, &mut bad)?;
            }
            "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" => {}
            "delegate_to" | "delegate_facts" | "when" | "notify" => return Err(unknown(k, "Play", PLAY_ONLY)),
            key if p.kw.set(key, v, &mut bad)? => {}
            _ => {
                let mut names = own_names(PLAY_ONLY);
                names.retain(|n| !matches!(*n, "when" | "delegate_to" | "delegate_facts" | "notify"));
                return Err(unknown(k, "Play", &names));
            }
        }
    }
    p.hosts = hosts_of(node, hosts)?;
    load_sections(loader, node, file, dir, (extra, bad), &mut p)?;
    Ok(p)
}

fn hosts_of(node: &Node, hosts: Option<&Node>) -> Result<Value> {
    let Some(h) = hosts else {
        return Err(node
            .error("The field 'hosts' is required but was not set.")
            .help("begin the play with hosts: PATTERN"));
    };
    match &h.kind {
        NodeKind::Null => Err(h.error("Hosts list cannot be empty. Please check your playbook")),
        NodeKind::Seq(s) if s.is_empty() => Err(h.error("Hosts list cannot be empty. Please check your playbook")),
        NodeKind::Seq(s) => {
            for e in s {
                match &e.kind {
                    NodeKind::Null => {
                        return Err(e.error("Hosts list cannot contain values of 'None'. Please check your playbook"));
                    }
                    NodeKind::Str(_) => {}
                    _ => {
                        return Err(
                            e.error(format!("Hosts list contains an invalid host value: '{}'", e.to_value().to_str()))
                        );
                    }
                }
            }
            Ok(h.to_value())
        }
        NodeKind::Str(s) if s.is_empty() => Err(h.error("Hosts list cannot be empty. Please check your playbook")),
        NodeKind::Str(_) => Ok(h.to_value()),
        _ => Err(h.error("Hosts list must be a sequence or string. Please check your playbook.")),
    }
}

/// `vars` of a play. A list of dicts, which ansible-core took until 2.12, is one dict with what comes later on top.
fn play_vars(loader: &Loader, node: &Node) -> Result<Map> {
    let NodeKind::Seq(parts) = &node.kind else { return vars_of(node, "Play") };
    if parts.is_empty() || parts.iter().any(|n| !matches!(n.kind, NodeKind::Map(_))) {
        return vars_of(node, "Play");
    }
    loader.warn(
        node.error("The vars of a play are a list; ansible-core 2.19 refuses that.")
            .help("write them as one dictionary"),
    );
    let mut all = Map::new();
    for part in parts {
        all.extend(vars_of(part, "Play")?);
    }
    Ok(all)
}

fn load_sections(
    loader: &Loader,
    node: &Node,
    file: &Utf8Path,
    dir: &Utf8Path,
    (extra, bad): (&Map, Option<Error>),
    p: &mut Play,
) -> Result<()> {
    let mut known = vec![(*p.import_vars).clone(), (*p.vars).clone()];
    p.early_vars = early_vars(loader, p, dir, extra);
    known.extend(p.early_vars.iter().cloned());
    let scope = PlayScope::new(dir.to_owned(), known, extra.clone());
    let inherit = Inherit {
        kw: p.kw.clone(),
        tags: p.tags.clone(),
        environment: p.environment.clone(),
        module_defaults: p.module_defaults.clone(),
        collections: p.collections.clone(),
        when: p.when.clone(),
        bad,
        ..Inherit::default()
    };
    let handlers_inherit = Arc::new(Inherit { handlers: true, ..inherit.clone() });
    let place = Place { scope: &scope, file: file.to_owned(), inherit: Arc::new(inherit), importing: vec![] };
    let tasks = |what: &str| -> Result<Vec<Item>> {
        match node.get(what) {
            Some(n) if !n.is_null() && n.as_seq().is_none() => Err(super::block::malformed(what, n)),
            Some(n) => load_items(loader, n, &place),
            None => Ok(vec![]),
        }
    };
    p.pre_tasks = tasks("pre_tasks")?;
    if let Some(n) = node.get("roles") {
        (p.roles, p.role_list) = load_list(loader, n, &place)?;
    }
    p.tasks = tasks("tasks")?;
    p.post_tasks = tasks("post_tasks")?;
    let mut handlers = vec![];
    for r in &p.role_list {
        collect_handlers(r, &mut handlers);
    }
    // those that imports of roles bring come behind the play's own
    let mut imported = std::mem::take(&mut *lock(&scope.role_handlers));
    if let Some(n) = node.get("handlers") {
        let inner = Place { inherit: handlers_inherit, ..place.clone() };
        handlers.extend(load_items(loader, n, &inner)?);
    }
    handlers.append(&mut imported);
    p.handlers = handlers;
    p.role_list = std::mem::take(&mut *lock(&scope.exposed));
    p.completed = scope.completed.clone();
    Ok(())
}

/// The `vars_files` whose names are known now. Those that cannot be read are told of when the play runs.
fn early_vars(loader: &Loader, p: &Play, dir: &Utf8Path, extra: &Map) -> Vec<Map> {
    let mut out: Vec<Map> = vec![];
    for choice in &p.vars_files {
        let layers: Vec<&Map> = [&*p.import_vars, &*p.vars].into_iter().chain(&out).chain([extra]).collect();
        let named = choice.iter().filter_map(|c| (loader.options.render)(c, &layers).ok()).map(|v| v.to_str());
        let found = named.flat_map(|n| [dir.join("vars").join(&n), dir.join(n)]).find(|f| f.is_file());
        if let Some(Value::Map(m)) = found.and_then(|f| loader.read(&f).ok()).map(|n| n.to_value()) {
            out.push((*m).clone());
        }
    }
    out
}

fn serial(v: &Node) -> Result<Vec<Value>> {
    let list = list_of(v);
    for s in &list {
        let ok = match s {
            Value::Int(_) => true,
            Value::Str(t) => t.is_template() || t.text.trim_end_matches('%').trim().parse::<f64>().is_ok(),
            _ => false,
        };
        if !ok {
            return Err(v.error(format!(
                "the field 'serial' has an invalid value ({}), and could not be converted to a number or percentage.",
                s.to_str()
            )));
        }
    }
    Ok(list)
}

/// Each entry is a file, or a list of which the first that exists is taken.
fn vars_files(v: &Node) -> Result<Vec<Vec<Value>>> {
    let entries: Vec<&Node> = match &v.kind {
        NodeKind::Null => return Ok(vec![]),
        NodeKind::Seq(s) => s.iter().collect(),
        _ => vec![v],
    };
    for n in entries.iter().flat_map(|e| e.as_seq().map_or_else(|| vec![*e], |s| s.iter().collect())) {
        if n.as_str().is_none() {
            return Err(n
                .error(format!("Invalid `vars_files` value of type '{}'.", n.type_name()))
                .help("each entry is a file name, or a list of file names of which the first that exists is taken"));
        }
    }
    Ok(entries.into_iter().map(list_of).collect())
}

fn prompts(v: &Node) -> Result<Vec<Prompt>> {
    let list: Vec<&Node> = match &v.kind {
        NodeKind::Seq(s) => s.iter().collect(),
        NodeKind::Null => vec![],
        _ => vec![v],
    };
    let mut out = vec![];
    for n in list {
        let Some(map) = n.as_map() else {
            return Err(n.error("Invalid vars_prompt data structure, missing 'name' key"));
        };
        const KNOWN: &[&str] =
            &["name", "prompt", "default", "private", "confirm", "encrypt", "salt_size", "salt", "unsafe"];
        let text = |k: &str| n.get(k).filter(|v| !v.is_null()).map(Node::to_value);
        let Some(name) = text("name") else {
            return Err(n.error("Invalid vars_prompt data structure, missing 'name' key"));
        };
        if let Some((k, _)) = map.iter().find(|(k, _)| !k.as_str().is_some_and(|k| KNOWN.contains(&k))) {
            return Err(k.error(format!(
                "Invalid vars_prompt data structure, found unsupported key '{}'",
                k.to_value().to_str()
            )));
        }
        let flag = |k: &str, d: bool| n.get(k).and_then(|v| v.to_value().to_bool_loose()).unwrap_or(d);
        out.push(Prompt {
            name: name.to_str(),
            prompt: text("prompt"),
            default: text("default"),
            private: flag("private", true),
            confirm: flag("confirm", false),
            encrypt: text("encrypt").map(|v| v.to_str()),
            salt: text("salt").map(|v| v.to_str()),
            salt_size: text("salt_size").and_then(|v| v.to_str().parse().ok()),
            unsafe_: flag("unsafe", false),
        });
    }
    Ok(out)
}
