//! Roles: where they are found, their files, dependencies and argument specifications.
//!
//! Layout after <https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html>.

use super::apply::apply_to;
use super::block::{Own, load_items};
use super::keywords::Inherit;
use super::loader::{Loader, Place, lock};
use super::{Block, Item, Role, argspec};
use crate::diag::{Error, Kind, Result, Span};
use crate::value::{Key, Map, Value};
use crate::yaml::{Node, NodeKind};
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use std::sync::{Arc, OnceLock};

/// How a role is asked for, apart from its name.
#[derive(Clone, Debug, Default)]
pub struct RoleFrom {
    pub tasks: Option<String>,
    pub vars: Option<String>,
    pub defaults: Option<String>,
    pub handlers: Option<String>,
    pub allow_duplicates: Option<bool>,
    pub public: Option<bool>,
    pub validate: Option<bool>,
}

/// Loads the `roles:` of a play or the `dependencies:` of a role: what runs, in order.
pub fn load_list(loader: &Loader, node: &Node, place: &Place) -> Result<(Vec<Item>, Vec<Arc<Role>>)> {
    let list = match &node.kind {
        NodeKind::Null => return Ok((vec![], vec![])),
        NodeKind::Seq(s) => s,
        _ => {
            return Err(node.error(format!(
                "A malformed role declaration was encountered: a list of roles is wanted, not a {}",
                node.type_name()
            )));
        }
    };
    let (mut items, mut roles) = (vec![], vec![]);
    for entry in list {
        let (i, r) = load_use(loader, entry, place)?;
        items.extend(i);
        roles.push(r);
    }
    Ok((items, roles))
}

fn load_use(loader: &Loader, entry: &Node, place: &Place) -> Result<(Vec<Item>, Arc<Role>)> {
    let mut own = Own::default();
    let mut params = Map::new();
    let mut name: Option<(Value, Span)> = None;
    match &entry.kind {
        NodeKind::Str(s) if s.contains(',') && !crate::value::has_delimiter(s) => {
            return Err(entry
                .error(format!("Invalid old style role requirement: {s}"))
                .help("parameters of a role stand beside its name:\n- role: NAME\n  parameter: value"));
        }
        NodeKind::Str(_) => name = Some((entry.to_value(), entry.span)),
        NodeKind::Map(m) => {
            for (k, v) in m {
                let key = k.as_str().unwrap_or_default();
                match key {
                    "role" => name = Some((v.to_value(), v.span)),
                    "name" if entry.get("role").is_none() => name = Some((v.to_value(), v.span)),
                    "src" | "scm" | "version" if entry.get("role").is_none() && entry.get("name").is_none() => {
                        if key == "src" {
                            name = Some((v.to_value(), v.span));
                        }
                    }
                    _ if own.take(key, v, "RoleInclude", &|n| loader.knows(n, &place.inherit.collections))? => {}
                    _ => {
                        let key = Key::from_value(&k.to_plain_value()).unwrap_or(Key::Null);
                        params.insert(key, v.to_value());
                    }
                }
            }
        }
        _ => {
            return Err(entry
                .error("Invalid role definition.")
                .help("a role is a name or a mapping with `role: NAME`"));
        }
    }
    let Some((name, span)) = name else {
        return Err(entry
            .error("role definitions must contain a role name")
            .with_kind(Kind::General)
            .help("write - role: NAME"));
    };
    loader.warn_reserved(entry.get("vars"));
    for (k, _) in entry.as_map().unwrap_or_default() {
        let param = k.as_str().filter(|n| params.contains_key(*n));
        if let Some(w) = param.and_then(|n| super::reserved::reserved(n, k.span)) {
            loader.warn(w);
        }
    }
    let use_vars = std::mem::take(&mut own.vars);
    let identity = format!("{:?}|{:?}", own.when, own.tags);
    let name = loader.static_name(&name, place, "role name", &use_vars)?;
    let inherit = own.child_of(&place.inherit);
    let from = RoleFrom { public: Some(!private_vars()?.0), ..RoleFrom::default() };
    let loaded =
        load(loader, &name, span, Use { params, vars: use_vars, from, inherit, identity, by_task: false }, place)?;
    let role = loaded.role.clone();
    // a dependency belongs to the role that names it
    if !for_dependencies(place) {
        lock(&place.scope.exposed).push(role.clone());
    }
    Ok((loaded.into_items(), role))
}

/// What `import_role` and `include_role` take; `apply` is for the include alone.
pub(super) const ROLE_ARGS: [&str; 10] = [
    "name",
    "role",
    "tasks_from",
    "vars_from",
    "defaults_from",
    "handlers_from",
    "allow_duplicates",
    "public",
    "rolespec_validate",
    "apply",
];

/// Loads the role that an `import_role` or `include_role` names: its tasks and its handlers.
pub fn load_for_task(
    loader: &Loader,
    args: &Map,
    span: Span,
    place: &Place,
    is_import: bool,
) -> Result<(Vec<Item>, Vec<Item>)> {
    let text = |k: &str| args.get(k).filter(|v| !v.is_null()).map(Value::to_str);
    let flag = |k: &str| args.get(k).and_then(Value::to_bool_loose);
    let action = if is_import { "import_role" } else { "include_role" };
    // names that a template brought; those in writing were checked with the task
    if let Some(k) = args.keys().map(Key::to_string).find(|k| !ROLE_ARGS.contains(&k.as_str())) {
        return Err(Error::parse(format!("Invalid options for {action}: {k}")).at(span));
    }
    let Some(name) = text("name").or_else(|| text("role")) else {
        return Err(Error::parse(format!("'name' is a required field for {action}.")).at(span));
    };
    let public = match (flag("public"), private_vars()?) {
        (Some(said), _) => said,
        // an include is private unless the configuration says something
        (None, (_, false)) => is_import,
        (None, (private, true)) => !private,
    };
    let from = RoleFrom {
        tasks: text("tasks_from"),
        vars: text("vars_from"),
        defaults: text("defaults_from"),
        handlers: text("handlers_from"),
        allow_duplicates: flag("allow_duplicates").or(Some(true)),
        public: Some(public),
        validate: flag("rolespec_validate"),
    };
    let mut inherit = (*place.inherit).clone();
    // the uses of `roles:` without anything of their own look the same
    let vars = inherit.vars.last().filter(|m| !m.is_empty());
    let identity = format!("[]|[]{}", vars.map(|v| format!("|{v:?}")).unwrap_or_default());
    if let Some(Value::Map(apply)) = args.get("apply") {
        apply_to(&mut inherit, apply);
    }
    if is_import {
        // one that is not there is told of at its name
        let named = args.get("name").or_else(|| args.get("role")).and_then(super::block::origin);
        find(loader, &name, named.unwrap_or(span), place)?;
    }
    let loaded = load(
        loader,
        &name,
        span,
        Use { params: Map::new(), vars: Map::new(), from, inherit, identity, by_task: true },
        place,
    )?;
    lock(&place.scope.exposed).push(loaded.role.clone());
    let mut handlers = vec![];
    collect_handlers(&loaded.role, &mut handlers);
    Ok((loaded.into_items(), handlers))
}

/// DEFAULT_PRIVATE_ROLE_VARS, and whether somebody set it.
fn private_vars() -> Result<(bool, bool)> {
    match crate::settings::current().get("DEFAULT_PRIVATE_ROLE_VARS") {
        Some(found) => found.map(|f| (f.value.truthy(), f.origin != "default")),
        None => Ok((false, false)),
    }
}

/// The handlers of a role and of those it depends on, dependencies first.
pub fn collect_handlers(role: &Arc<Role>, out: &mut Vec<Item>) {
    for d in &role.dependencies {
        collect_handlers(d, out);
    }
    if let Some(h) = role.handlers.get() {
        out.extend(h.iter().cloned());
    }
}

struct Use {
    params: Map,
    vars: Map,
    from: RoleFrom,
    inherit: Inherit,
    /// What tells this use from others of the role, besides its parameters, variables and files.
    identity: String,
    by_task: bool,
}

/// The place is a role's list of dependencies.
fn for_dependencies(place: &Place) -> bool {
    place.importing.last().is_some_and(|l| l.file_name() == Some("meta"))
}

struct Loaded {
    role: Arc<Role>,
    dependencies: Vec<Item>,
    tasks: Vec<Item>,
    inherit: Arc<Inherit>,
    span: Span,
}

impl Loaded {
    /// Dependencies, then the role's own tasks as one block, then its end.
    fn into_items(self) -> Vec<Item> {
        let mut items = self.dependencies;
        let mut block = self.tasks;
        block.push(Item::RoleEnd(self.role));
        items.push(Item::Block(Arc::new(Block {
            span: self.span,
            name: None,
            block,
            rescue: vec![],
            always: vec![],
            inherit: self.inherit,
        })));
        items
    }
}

fn load(loader: &Loader, name: &str, span: Span, mut u: Use, place: &Place) -> Result<Loaded> {
    u.inherit.include_dirs.clear();
    let path = find(loader, name, span, place)?;
    let parent = place.inherit.role.clone();
    if let Some(p) = &parent
        && p.chain().iter().any(|r| r.path == path)
        && !u.inherit.handlers
        && for_dependencies(place)
    {
        let chain: Vec<String> = p.chain().iter().rev().map(|r| r.name.clone()).collect();
        return Err(Error::general(format!("A recursion loop was detected with the roles specified. Make sure child roles do not have dependencies on parent roles: {} -> {name}", chain.join(" -> ")))
            .at(span)
            .label("this dependency closes the circle")
            .help("take one of these dependencies out"));
    }
    let meta = match find_main(&path.join("meta"), "main") {
        Some(f) => loader.read(&f)?,
        None => Arc::new(Node { kind: NodeKind::Null, span }),
    };
    if meta.as_map().is_none() && !meta.is_null() {
        return Err(meta.error(format!("the 'meta/main.yml' for role {name} is not a dictionary")));
    }
    const META: [&str; 5] = ["allow_duplicates", "argument_specs", "collections", "dependencies", "galaxy_info"];
    if let Some((k, _)) =
        meta.as_map().into_iter().flatten().find(|(k, _)| !k.as_str().is_some_and(|k| META.contains(&k)))
    {
        return Err(super::block::unknown(k, "RoleMetadata", &META));
    }
    let meta_flag = |k: &str| meta.get(k).and_then(|n| n.to_value().to_bool_loose());
    let vars_part = |sub: &str, from: &Option<String>| load_role_vars(loader, &path, sub, from.as_deref(), span);
    let vars = vars_part("vars", &u.from.vars)?;
    let collection = collection_of(name).or_else(|| collection_above(&path));
    loader.options.library.add(&path);
    // a role searches its own collections, not those of the play that uses it
    u.inherit.collections.clear();
    if let Some(n) = meta.get("collections") {
        u.inherit.collections = super::keywords::list_of(n).iter().map(Value::to_str).collect();
    }
    // a role of a collection finds its neighbours without their full names
    if let Some(c) = &collection
        && !u.inherit.collections.contains(c)
    {
        u.inherit.collections.insert(0, c.clone());
    }
    let own_specs = argspec::load(loader, &path, &meta)?;
    let files = [&u.from.tasks, &u.from.vars, &u.from.defaults, &u.from.handlers];
    let same = format!("{path}|{:?}|{:?}|{files:?}|{}", u.params, u.vars, u.identity);
    let completed = lock(&place.scope.completed).entry(same).or_default().clone();
    let mut role = Role {
        id: loader.next_id(),
        name: name.to_string(),
        path: path.clone(),
        defaults: Arc::new(vars_part("defaults", &u.from.defaults)?),
        vars: Arc::new(vars),
        use_vars: Arc::new(std::mem::take(&mut u.vars)),
        params: Arc::new(u.params),
        allow_duplicates: u.from.allow_duplicates.or_else(|| meta_flag("allow_duplicates")).unwrap_or(false),
        public: u.from.public.unwrap_or(true),
        argument_specs: own_specs,
        parent,
        dependencies: vec![],
        handlers: OnceLock::new(),
        completed,
        ran: Arc::default(),
        by_task: u.by_task,
        collection,
    };
    // dependencies see the role as their parent, so that circles and parameters show
    let mut dependencies = vec![];
    if let Some(deps) = meta.get("dependencies") {
        let shell = Arc::new(Role {
            params: role.params.clone(),
            argument_specs: IndexMap::new(),
            handlers: OnceLock::new(),
            completed: Arc::default(),
            ran: Arc::default(),
            dependencies: vec![],
            name: role.name.clone(),
            path: path.clone(),
            defaults: role.defaults.clone(),
            vars: role.vars.clone(),
            use_vars: role.use_vars.clone(),
            parent: role.parent.clone(),
            collection: role.collection.clone(),
            ..role
        });
        let mut inherit = u.inherit.clone();
        inherit.role = Some(shell);
        let mut importing = place.importing.clone();
        importing.push(path.join("meta"));
        let inner =
            Place { file: path.join("meta/main.yml"), inherit: Arc::new(inherit), importing, scope: place.scope };
        let (items, roles) = load_list(loader, deps, &inner)?;
        dependencies = items;
        role.dependencies = roles;
    }
    // equal uses are one role, so that it runs once for each host
    let above: Vec<&Utf8PathBuf> =
        std::iter::successors(role.parent.as_ref(), |r| r.parent.as_ref()).map(|r| &r.path).collect();
    let key = format!(
        "{path}|{name}|{:?}|{:?}|{:?}|{:?}|{:?}|{above:?}|{}",
        role.params, role.use_vars, u.from, u.inherit.when, u.inherit.tags, role.by_task
    );
    // … but one below another role sees that role's parameters
    let below = format!("{:?} {key}", role.parent.as_ref().map(|p| p.id));
    let role = {
        let mut known = lock(&place.scope.roles);
        match (known.get(&below).cloned(), known.get(&key).cloned()) {
            (Some(same), _) => same,
            (None, Some(equal)) => {
                role.ran = equal.ran.clone();
                role.handlers = equal.handlers.clone();
                let role = Arc::new(role);
                known.insert(below, role.clone());
                role
            }
            (None, None) => {
                let role = Arc::new(role);
                known.insert(below, role.clone());
                known.insert(key, role.clone());
                role
            }
        }
    };
    u.inherit.role = Some(role.clone());
    if let Some(p) = &role.parent
        && Some(&role.collection) == Some(&p.collection)
        && u.inherit.collections.is_empty()
    {
        u.inherit.collections = place.inherit.collections.clone();
    }
    let inherit = Arc::new(u.inherit);
    if role.handlers.get().is_none() {
        let handlers = load_handlers(loader, &path, u.from.handlers.as_deref(), &inherit, place, span)?;
        let _ = role.handlers.set(handlers);
    }
    let mut tasks = vec![];
    let entry = u.from.tasks.as_deref().map(|t| t.rsplit_once('.').map_or(t, |(a, _)| a)).unwrap_or("main");
    if u.from.validate != Some(false)
        && let Some(spec) = role.argument_specs.get(entry)
    {
        tasks.push(Item::Task(Arc::new(argspec::validation_task(loader, &role, entry, spec, &inherit, span))));
    }
    let file = match &u.from.tasks {
        // a role without tasks has none of any name
        Some(_) if !path.join("tasks").is_dir() => None,
        Some(f) => Some(find_named(&path.join("tasks"), f, name, span)?.ok_or_else(|| {
            Error::parse(format!("Could not find specified file in role: tasks/{f}"))
                .at(span)
                .help(format!("the role is {path}"))
        })?),
        None => find_main(&path.join("tasks"), "main"),
    };
    if let Some(file) = file {
        let inner = Place {
            file: file.clone(),
            inherit: inherit.clone(),
            importing: place.importing.clone(),
            scope: place.scope,
        };
        tasks.extend(loader.load_task_file(&file, &inner)?);
    }
    Ok(Loaded { role, dependencies, tasks, inherit, span })
}

fn load_handlers(
    loader: &Loader,
    path: &Utf8Path,
    from: Option<&str>,
    inherit: &Inherit,
    place: &Place,
    span: Span,
) -> Result<Vec<Item>> {
    let file = match from {
        Some(f) => {
            let name = path.file_name().unwrap_or_default();
            let found = find_named(&path.join("handlers"), f, name, span)?;
            if found.is_none() {
                let e = Error::parse(format!("Could not find specified file in role: handlers/{f}"));
                loader.warn(e.at(span).help("The role goes without it."));
            }
            found
        }
        None => find_main(&path.join("handlers"), "main"),
    };
    let Some(file) = file else { return Ok(vec![]) };
    let node = loader.read(&file)?;
    let mut i = inherit.clone();
    i.handlers = true;
    let inner = Place { file, inherit: Arc::new(i), importing: vec![], scope: place.scope };
    load_items(loader, &node, &inner)
}

fn collection_of(name: &str) -> Option<String> {
    let mut p = name.split('.');
    match (p.next(), p.next(), p.next(), p.next()) {
        (Some(a), Some(b), Some(_), None) if !name.contains('/') => Some(format!("{a}.{b}")),
        _ => None,
    }
}

/// The collection in whose `roles/` this directory stands.
fn collection_above(path: &Utf8Path) -> Option<String> {
    let mut up = path.ancestors().skip(1);
    if up.next()?.file_name() != Some("roles") {
        return None;
    }
    let (coll, ns) = (up.next()?.file_name()?, up.next()?.file_name()?);
    (up.next()?.file_name() == Some("ansible_collections")).then(|| format!("{ns}.{coll}"))
}

/// The directory of a role: `roles/` beside the playbook, the roles path, beside the using role, a collection, a path.
fn find(loader: &Loader, name: &str, span: Span, place: &Place) -> Result<Utf8PathBuf> {
    let dir = &place.scope.playbook_dir;
    let mut candidates: Vec<Utf8PathBuf> = vec![];
    let collections: Vec<String> = match collection_of(name) {
        Some(c) => vec![c],
        None => place.inherit.collections.clone(),
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    for c in &collections {
        if let Some((ns, coll)) = c.split_once('.') {
            let short = if collection_of(name).is_some() { last } else { name };
            for root in std::iter::once(dir.join("collections")).chain(loader.options.collections_path.iter().cloned())
            {
                candidates.push(root.join("ansible_collections").join(ns).join(coll).join("roles").join(short));
            }
        }
    }
    let in_collections = candidates.len();
    candidates.push(dir.join("roles").join(name));
    candidates.extend(loader.options.roles_path.iter().map(|p| p.join(name)));
    if let Some(r) = &place.inherit.role {
        candidates.extend(r.path.parent().map(|p| p.join(name)));
    }
    candidates.push(dir.join(name));
    if Utf8Path::new(name).is_absolute() {
        candidates.insert(in_collections, name.into());
    }
    // `roles/../../other` is a place also where there is no roles/
    let candidates: Vec<Utf8PathBuf> = candidates.iter().map(|c| clean(c)).collect();
    if let Some((i, found)) = candidates.iter().enumerate().find(|(_, c)| c.is_dir()) {
        // `role_path` and the names of its files are those behind links; a collection stays where it is looked for
        let real = if i < in_collections { None } else { found.canonicalize_utf8().ok() };
        return Ok(real.unwrap_or_else(|| found.clone()));
    }
    let searched: Vec<String> = candidates
        .iter()
        .skip(in_collections)
        .filter_map(|c| c.parent().map(|p| p.to_string()))
        .fold(vec![], |mut v, p| {
            if !v.contains(&p) {
                v.push(p);
            }
            v
        });
    Err(Error::general(format!("the role '{name}' was not found in {}", searched.join(":")))
        .at(span)
        .label("no directory of this name")
        .help("put the role in roles/ beside the playbook, or name its directory in ANSIBLE_ROLES_PATH or roles_path"))
}

/// The path without `.` and `..` parts.
pub fn clean(p: &Utf8Path) -> Utf8PathBuf {
    let mut out = Utf8PathBuf::new();
    for c in p.components() {
        match c {
            camino::Utf8Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            camino::Utf8Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

fn find_main(dir: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    ["yml", "yaml", "json"]
        .iter()
        .map(|e| dir.join(format!("{name}.{e}")))
        .chain([dir.join(name)])
        .find(|p| p.is_file())
}

/// The file of this name in a role's directory; one that lies elsewhere is refused.
fn find_named(dir: &Utf8Path, name: &str, role: &str, span: Span) -> Result<Option<Utf8PathBuf>> {
    let exact = dir.join(name);
    let Some(found) = (if exact.is_file() { Some(exact) } else { find_main(dir, name) }) else { return Ok(None) };
    let real = |p: &Utf8Path| {
        std::path::absolute(p).map(|p| crate::template::filters::normpath(&p.to_string_lossy())).unwrap_or_default()
    };
    if Utf8Path::new(&real(&found)).starts_with(real(dir)) {
        return Ok(Some(found));
    }
    Err(Error::parse(format!(
        "Failed loading '{found}' for role ({role}) as it is not inside the expected role path: '{dir}'"
    ))
    .at(span))
}

/// `vars/main.yml`, or every file of `vars/main/`, or the named file.
fn load_role_vars(loader: &Loader, path: &Utf8Path, sub: &str, from: Option<&str>, span: Span) -> Result<Map> {
    let dir = path.join(sub);
    let mut files = vec![];
    match from {
        Some(f) => match find_named(&dir, f, path.file_name().unwrap_or_default(), span)? {
            Some(p) => files.push(p),
            None => loader.warn(
                Error::parse(format!("Could not find specified file in role: {sub}/{f}"))
                    .at(span)
                    .help("The role goes without it."),
            ),
        },
        None if dir.join("main").is_dir() => collect_yaml(&dir.join("main"), &mut files),
        None => files.extend(find_main(&dir, "main")),
    }
    let mut out = Map::new();
    for f in files {
        let node = loader.read(&f)?;
        if node.is_null() {
            continue;
        }
        if node.as_map().is_none() {
            return Err(node.error(format!(
                "The {sub}/main.yml file for role '{}' must contain a dictionary of variables",
                path.file_name().unwrap_or_default()
            )));
        }
        out.extend(node.to_value().as_map().cloned().unwrap_or_default());
        loader.warn_reserved(Some(&node));
    }
    Ok(out)
}

fn collect_yaml(dir: &Utf8Path, out: &mut Vec<Utf8PathBuf>) {
    let Ok(rd) = dir.read_dir_utf8() else { return };
    let mut entries: Vec<Utf8PathBuf> = rd.flatten().map(|e| e.path().to_owned()).collect();
    entries.sort();
    for e in entries {
        if e.is_dir() {
            collect_yaml(&e, out);
        } else if matches!(e.extension(), Some("yml" | "yaml" | "json")) {
            out.push(e);
        }
    }
}
