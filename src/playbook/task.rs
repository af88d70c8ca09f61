//! One task: its keywords, its action and the action's arguments.

use super::block::{Own, conditions, nearest, own_names, unknown};
use super::keywords::{Want, check, check_late, is_identifier, list_of, texts_of};
use super::loader::{Loader, Place};
use super::redirects::redirected_lookup;
use super::structure::{check_include, check_meta, raw_params};
use super::{Loop, LoopControl, Resolved, Task, kv};
use crate::diag::{Error, Kind, Result, Span};
use crate::value::{Key, Map, Value};
use crate::yaml::{Node, NodeKind};
use std::sync::Arc;

const TASK_ONLY: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "failed_when",
    "local_action",
    "loop",
    "loop_control",
    "name",
    "poll",
    "register",
    "retries",
    "until",
    "listen",
    "environment",
];

/// Actions that change what the play consists of.
const STRUCTURE: [&str; 6] = ["meta", "include_tasks", "include_role", "include", "import_tasks", "import_role"];

/// Where a task's action and arguments come from.
pub(super) struct ActionOf {
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    pub args: Map,
    pub args_template: Option<Value>,
    delegate: Option<Value>,
}

/// Loads a task from its mapping.
pub fn load(loader: &Loader, node: &Node, place: &Place) -> Result<Task> {
    let map = node.as_map().unwrap_or_default();
    let collections = match node.get("collections") {
        Some(n) => list_of(n).iter().map(Value::to_str).collect(),
        None => place.inherit.collections.clone(),
    };
    let resolve = |name: &str| loader.options.library.resolve(name, &collections);
    let known = |name: &str| !matches!(resolve(name), Resolved::Unknown);
    let mut own = Own::default();
    let mut action: Option<(ActionOf, &Node)> = None;
    let mut args_kw: Option<&Node> = None;
    let mut loop_: Option<Loop> = None;
    let mut t = Parts::default();
    for (k, v) in map {
        let key = match k.as_str() {
            Some(s) => s,
            None => return Err(unknown(k, "Task", TASK_ONLY)),
        };
        match key {
            "name" => t.name = Some(check(key, v, Want::Str)?).filter(|v| !v.is_null()),
            "args" => args_kw = Some(v),
            "async" => t.async_ = Some(check_late(key, v, Want::Int, &mut own.bad)?),
            "poll" => t.poll = Some(check_late(key, v, Want::Int, &mut own.bad)?),
            "retries" => t.retries = Some(check_late(key, v, Want::Int, &mut own.bad)?),
            "delay" => t.delay = Some(check_late(key, v, Want::Float, &mut own.bad)?),
            "changed_when" => t.changed_when = conditions(v, &mut own.bad),
            "failed_when" => t.failed_when = conditions(v, &mut own.bad),
            "until" => t.until = conditions(v, &mut own.bad),
            "register" => {
                t.register = register_name(v)?;
                if let Some(w) = t.register.as_deref().and_then(|n| super::reserved::reserved(n, v.span)) {
                    loader.warn(w);
                }
            }
            "loop_control" => t.loop_control = loop_control(v, &mut own.bad)?,
            "listen" if place.inherit.handlers => t.listen = texts_of(key, v)?,
            "loop" if v.is_null() => {}
            "loop" => set_loop(&mut loop_, Loop { lookup: None, over: v.to_value(), span: v.span }, k)?,
            "action" | "local_action" => {
                let mut a = action_keyword(v, key)?;
                if key == "local_action" {
                    a.delegate = Some(Value::plain("localhost"));
                }
                set_action(&mut action, a, k)?;
            }
            _ if key.strip_prefix("with_").is_some_and(crate::template::is_lookup) => {
                let l = Loop { lookup: Some(key[5..].to_string()), over: v.to_value(), span: v.span };
                set_loop(&mut loop_, l, k)?;
            }
            _ if own.take(key, v, "Task", &known)? => {}
            _ if known(key) => {
                if short_name(key) == "set_fact" {
                    loader.warn_reserved(Some(v));
                }
                let a = ActionOf {
                    name: key.to_string(),
                    span: k.span,
                    args: args_of(key, v)?,
                    args_template: None,
                    delegate: None,
                };
                set_action(&mut action, a, k)?;
            }
            _ => {
                let what = if place.inherit.handlers { "Handler" } else { "Task" };
                if let Some(full) = key.strip_prefix("with_").and_then(redirected_lookup) {
                    loader.refuse(
                        k.error(format!("the lookup '{full}' is not built in; it would be a plug-in in Python on the controller, which is not supported"))
                            .label("a loop over what it finds"),
                    )?;
                    continue;
                }
                if let Some(name) = key.strip_prefix("with_") {
                    let e = unknown(k, what, &[]);
                    return Err(match nearest(name, crate::template::LOOKUP_NAMES) {
                        Some(n) => e.help(format!("did you mean 'with_{n}'?")),
                        None => e.help(format!(
                            "with_NAME wants one of the lookups {}",
                            crate::template::LOOKUP_NAMES.join(", ")
                        )),
                    });
                }
                // a second key that is no keyword beside the action is a mistyped keyword; alone it is an unknown module
                let has_action = map.iter().any(|(x, _)| {
                    x.as_str().is_some_and(|x| {
                        x != key
                            && (matches!(x, "action" | "local_action") || known(x))
                            && !own_names(TASK_ONLY).contains(&x)
                    })
                });
                if has_action {
                    return Err(unknown(k, what, &own_names(TASK_ONLY)));
                }
                return Err(unknown_action(loader, k, key));
            }
        }
    }
    let includes = action.as_ref().is_some_and(|(a, _)| short_name(&a.name).starts_with("include"));
    loader.warn_reserved_of_task(node.get("vars"), includes);
    let Some((mut a, at)) = action else {
        return Err(node
            .error("no module/action detected in task.")
            .help("name a module, as in\n  ansible.builtin.debug:\n    msg: hello"));
    };
    if crate::value::has_delimiter(&a.name) {
        // what the engine itself does must be known while loading; other names may differ from host to host
        let name = Value::trusted(a.name.as_str(), Some(at.span));
        if let Ok(n) = loader.static_name(&name, place, "the action's name", &own.vars)
            && STRUCTURE.contains(&short_name(n.trim()).as_str())
        {
            a.name = n.trim().to_string();
        }
    }
    for words in loader.options.library.deprecations(&a.name, &collections) {
        loader.deprecate(Error::parse(words));
    }
    let mut alias = None;
    let module_file = match resolve(&a.name) {
        // told apart for each host when it runs
        _ if crate::value::has_delimiter(&a.name) => None,
        Resolved::BuiltIn => None,
        Resolved::Alias(name) => {
            alias = Some(name);
            None
        }
        Resolved::File(f) => Some(f),
        Resolved::Unknown if a.name.is_empty() => {
            return Err(at.error("no module/action detected in task.").help("write the module's name behind it"));
        }
        Resolved::Unknown => {
            own.bad.get_or_insert_with(|| {
                at.error(format!("Cannot resolve '{}' to an action or module.", a.name))
                    .label("no module or action has this name")
            });
            None
        }
        Resolved::Refused(why) => return Err(at.error(why)),
        Resolved::InPython(why) => {
            loader.refuse(at.error(why))?;
            None
        }
    };
    // as in ansible-core only those of the action itself are looked at, not those of `args`
    if let Some(k) = a.args.keys().map(Key::to_string).find(|k| k.starts_with("_ansible_")) {
        return Err(Error::general(format!(
            "Invalid parameter specified beginning with keyword '_ansible_' for action '{}': '{k}'. The prefix '_ansible_' is reserved for internal use only.",
            a.name
        ))
        .at(at.span));
    }
    if let Some(n) = args_kw {
        let own_key = |k: &Node| std::ptr::eq(k, at) && !matches!(k.as_str(), Some("action" | "local_action"));
        if let Some((_, written)) = map.iter().find(|(k, _)| own_key(k)) {
            warn_legacy(loader, &a, written, n);
        }
        merge_args(&mut a, n)?;
    }
    if let Some(d) = a.delegate.take() {
        own.kw.delegate_to = Some(d);
    }
    if let Some(v) = a.args.shift_remove(kv::VARIABLE_PARAMS) {
        a.args_template = Some(v);
    }
    let short = alias.unwrap_or_else(|| short_name(&a.name));
    if short == "meta" {
        check_meta(&a, at, place.inherit.handlers)?;
        if let Some(l) = loop_.take() {
            loader.warn(Error::parse("A loop has no effect on a meta task.").at(l.span));
        }
    }
    if !free_form(&short).0 && a.args.get("_raw_params").is_some_and(|v| !v.needs_render()) {
        own.bad.get_or_insert_with(|| raw_params(&a));
    }
    if matches!(short.as_str(), "include_tasks" | "include_role" | "import_tasks" | "import_role") {
        check_include(&short, map, &a, place.inherit.handlers, node)?;
    }
    let mut task = t.finish(loader, node, place, own, a, short, loop_);
    task.module_file = module_file;
    Ok(task)
}

#[derive(Default)]
struct Parts {
    name: Option<Value>,
    loop_control: LoopControl,
    register: Option<String>,
    changed_when: Vec<Value>,
    failed_when: Vec<Value>,
    until: Vec<Value>,
    retries: Option<Value>,
    delay: Option<Value>,
    async_: Option<Value>,
    poll: Option<Value>,
    listen: Vec<Value>,
}

impl Parts {
    #[allow(clippy::too_many_arguments)]
    fn finish(
        self,
        loader: &Loader,
        node: &Node,
        place: &Place,
        mut own: Own,
        a: ActionOf,
        short: String,
        loop_: Option<Loop>,
    ) -> Task {
        let vars = Arc::new(std::mem::take(&mut own.vars));
        let notify_own = std::mem::take(&mut own.notify);
        let include =
            matches!(short.as_str(), "include_tasks" | "import_tasks" | "include_role" | "import_role" | "include");
        let static_include = matches!(short.as_str(), "import_tasks" | "import_role");
        let parent = &place.inherit;
        let collections = own.collections.clone();
        let effective = own.child_of(parent);
        // dynamic includes keep their own keywords to themselves (`apply` hands them down); imports do not
        let mut inherit = if static_include {
            effective.clone()
        } else {
            let mut i = (**parent).clone();
            if let Some(c) = collections {
                i.collections = c;
            }
            i
        };
        // what an import is given are variables of its tasks, weaker than facts that are set; of an include they are
        // parameters
        if include && !vars.is_empty() {
            let level = if static_include { &mut inherit.vars } else { &mut inherit.include_vars };
            level.push(vars.clone());
        }
        let mut notify = effective.notify.clone();
        notify.extend(notify_own);
        let mut include_vars = parent.include_vars.clone();
        if include && !static_include && !vars.is_empty() {
            include_vars.push(vars.clone());
        }
        Task {
            id: loader.next_id(),
            span: node.span,
            action_span: a.span,
            name: self.name,
            action: a.name,
            short,
            module_file: None,
            args: a.args,
            args_template: a.args_template,
            kw: effective.kw,
            when: effective.when,
            tags: effective.tags,
            environment: effective.environment,
            module_defaults: effective.module_defaults,
            collections: effective.collections,
            vars,
            block_vars: parent.vars.clone(),
            include_vars,
            role: parent.role.clone(),
            loop_,
            loop_control: self.loop_control,
            register: self.register,
            changed_when: self.changed_when,
            failed_when: self.failed_when,
            until: self.until,
            retries: self.retries,
            delay: self.delay,
            async_: self.async_,
            poll: self.poll,
            notify,
            listen: self.listen,
            is_handler: parent.handlers,
            inherit: Arc::new(inherit),
            file: place.file.clone(),
            implicit: false,
            bad: effective.bad,
        }
    }
}

fn unknown_action(loader: &Loader, at: &Node, name: &str) -> Error {
    let e = at.error(format!(
        "couldn't resolve module/action '{name}'. This often indicates a misspelling, missing collection, or incorrect module path."
    ))
    .label("no module, action or keyword has this name");
    match loader.options.library.missing_collection(name) {
        Some((collection, full)) if full == name => e.help(format!("install the collection {collection}")),
        Some((collection, full)) => e.help(format!("it is {full}: install the collection {collection}")),
        None => e,
    }
}

fn set_action<'a>(slot: &mut Option<(ActionOf, &'a Node)>, a: ActionOf, key: &'a Node) -> Result<()> {
    if let Some((first, _)) = slot {
        return Err(key
            .error(format!("conflicting action statements: {}, {}", first.name, a.name))
            .label("a second module")
            .help("a task runs one module; make two tasks of it, or indent the second one if it is an argument"));
    }
    *slot = Some((a, key));
    Ok(())
}

fn set_loop(slot: &mut Option<Loop>, l: Loop, key: &Node) -> Result<()> {
    if slot.is_some() {
        return Err(key
            .error(format!("duplicate loop in task: {}", l.lookup.as_deref().unwrap_or("loop")))
            .with_kind(Kind::General)
            .label("a second loop")
            .help("a task has one loop"));
    }
    if l.over.is_null() && l.lookup.is_some() {
        let name = l.lookup.as_deref().unwrap_or_default();
        return Err(key.error(format!("you must specify a value when using with_{name}")).with_kind(Kind::General));
    }
    *slot = Some(l);
    Ok(())
}

fn register_name(v: &Node) -> Result<Option<String>> {
    let wrong = |name: String| {
        v.error(format!("Invalid 'register' specified: Invalid variable name {name}."))
            .help("a name begins with a letter or underscore and holds letters, digits and underscores only")
    };
    match v.as_str() {
        Some(s) if is_identifier(s) => Ok(Some(s.to_string())),
        Some(s) => Err(wrong(format!("'{s}'"))),
        None if v.is_null() => Ok(None),
        None => Err(wrong(format!("'{}' of type '{}'", v.to_value().to_str(), v.type_name()))),
    }
}

fn loop_control(v: &Node, bad: &mut Option<Error>) -> Result<LoopControl> {
    let mut c = LoopControl::default();
    let Some(m) = v.as_map() else {
        return Err(v.error(format!("the field 'loop_control' must be a dictionary, received {}", v.type_name())));
    };
    for (k, v) in m {
        let val = Some(v.to_value());
        match k.as_str().unwrap_or_default() {
            "loop_var" => c.loop_var = val,
            "index_var" => c.index_var = val,
            // a literal that says nothing is none
            "label" => c.label = val.filter(|l| l.needs_render() || l.truthy()),
            "pause" => c.pause = Some(check_late("pause", v, Want::Float, bad)?),
            "extended" => c.extended = Some(check_late("extended", v, Want::Bool, bad)?),
            "extended_allitems" => c.extended_allitems = Some(check_late("extended_allitems", v, Want::Bool, bad)?),
            "break_when" => c.break_when = conditions(v, bad),
            _ => {
                return Err(unknown(
                    k,
                    "LoopControl",
                    &["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"],
                ));
            }
        }
    }
    Ok(c)
}

/// The name behind the last dot for Ansible's own collections, the full name for others.
pub fn short_name(action: &str) -> String {
    for prefix in ["ansible.builtin.", "ansible.legacy."] {
        if let Some(s) = action.strip_prefix(prefix) {
            return s.to_string();
        }
    }
    action.to_string()
}

/// `action: module k=v` or `action: {module: name, …}`.
fn action_keyword(v: &Node, what: &str) -> Result<ActionOf> {
    match &v.kind {
        NodeKind::Str(s) => {
            let t = s.trim();
            let (name, rest) = first_word(t);
            let (raw, command) = free_form(&short_name(name));
            let args = kv::parse_kv(rest, raw, command, Some(v.span))?;
            Ok(ActionOf { name: name.to_string(), span: v.span, args, args_template: None, delegate: None })
        }
        NodeKind::Map(_) => {
            let mut args = v.to_value().as_map().cloned().unwrap_or_default();
            let Some(name) = args.shift_remove("module") else {
                return Err(v.error(format!("{what}: a 'module' key with the module's name is wanted")));
            };
            let name = name.to_str();
            let (name, rest) = first_word(&name);
            let (raw, command) = free_form(&short_name(name));
            let mut all = kv::parse_kv(rest, raw, command, Some(v.span))?;
            args.shift_remove("args");
            all.extend(args);
            // these count most
            if let Some(inner) = v.get("args") {
                all.extend(args_of(name, inner)?);
            }
            let span = v.get("module").map_or(v.span, |n| n.span);
            Ok(ActionOf { name: name.to_string(), span, args: all, args_template: None, delegate: None })
        }
        _ => Err(v.error(format!("unexpected parameter type in action: {}", v.type_name()))),
    }
}

/// The first word and what follows it; a template is part of a word.
fn first_word(text: &str) -> (&str, &str) {
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && depth == 0 => {
                return (text.get(..i).unwrap_or(text), text.get(i..).unwrap_or("").trim_start());
            }
            _ => {}
        }
    }
    (text, "")
}

/// Whether an action takes free text as its argument, and whether options may stand within that text.
pub fn free_form(short: &str) -> (bool, bool) {
    if crate::value::has_delimiter(short) {
        return (true, false);
    }
    let last = short.rsplit('.').next().unwrap_or(short);
    let raw = kv::RAW_PARAM.contains(&last) || crate::modules::find(short).is_some_and(|m| m.free_form);
    (raw, matches!(last, "command" | "shell" | "script" | "raw" | "expect"))
}

/// The arguments under the module's own key.
fn args_of(name: &str, v: &Node) -> Result<Map> {
    match &v.kind {
        NodeKind::Null => Ok(Map::new()),
        NodeKind::Map(_) => Ok(v.to_value().as_map().cloned().unwrap_or_default()),
        NodeKind::Str(s) => {
            let (raw, command) = free_form(&short_name(name));
            kv::parse_kv(s, raw, command, Some(v.span))
        }
        _ if free_form(&short_name(name)).0 => Err(v
            .error(format!("unexpected parameter type in action: {}", v.type_name()))
            .help("quote what is to be text, as in command: \"true\"")),
        _ => Err(v.error(format!("unexpected parameter type in action: {}", v.type_name()))),
    }
}

/// Tells that arguments written as `key=value` will not for ever be mixed with those of `args`.
fn warn_legacy(loader: &Loader, a: &ActionOf, written: &Node, args: &Node) {
    let (NodeKind::Str(_), NodeKind::Map(_)) = (&written.kind, &args.kind) else { return };
    let keys = a.args.keys().map(Key::to_string).filter(|k| k != "_raw_params" && k != kv::VARIABLE_PARAMS);
    let keys: Vec<String> = keys.map(|k| format!("'{k}'")).collect();
    if !keys.is_empty() {
        let words = format!("Merging legacy k=v args ({}) into task args.", keys.join(", "));
        let e = Error::parse(format!("{words} This feature will be removed from ansible-core version 2.23."));
        loader.deprecate(e.at(written.span).help("Include all task args in the task `args` mapping."));
    }
}

/// `args:` beside the action: weaker than the action's own arguments.
fn merge_args(a: &mut ActionOf, n: &Node) -> Result<()> {
    match &n.kind {
        NodeKind::Null => Ok(()),
        NodeKind::Map(_) => {
            if let Value::Map(m) = n.to_value() {
                for (k, v) in m.iter() {
                    if !a.args.contains_key(k) {
                        a.args.insert(k.clone(), v.clone());
                    }
                }
            }
            Ok(())
        }
        NodeKind::Str(s) if crate::value::has_delimiter(s) => {
            a.args_template = Some(n.to_value());
            Ok(())
        }
        _ => Err(n.error(format!(
            "Complex args must be a dictionary or variable string (\"{{{{ var }}}}\"), got a {}",
            n.type_name()
        ))),
    }
}
