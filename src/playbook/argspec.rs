//! Argument specifications of roles: `meta/argument_specs.yml`, or `argument_specs` in `meta/main.yml`.

use super::loader::Loader;
use super::{ArgumentSpec, Inherit, Role, Task};
use crate::diag::{Result, Span};
use crate::modules::{Arg, Rule, Spec, Type};
use crate::value::{Map, Value};
use crate::yaml::Node;
use camino::Utf8Path;
use indexmap::IndexMap;
use std::sync::Arc;

/// The entry points of a role with their specifications.
pub fn load(loader: &Loader, role: &Utf8Path, meta: &Node) -> Result<IndexMap<String, ArgumentSpec>> {
    let mut out = IndexMap::new();
    let mut doc = None;
    for e in ["yml", "yaml"] {
        let f = role.join("meta").join(format!("argument_specs.{e}"));
        if f.is_file() {
            doc = Some(loader.read(&f)?);
            break;
        }
    }
    let specs = match &doc {
        Some(d) => d.get("argument_specs"),
        None => meta.get("argument_specs"),
    };
    let Some(specs) = specs.filter(|s| !s.is_null()) else { return Ok(out) };
    let Some(entries) = specs.as_map() else {
        return Err(specs.error("argument_specs must be a dictionary of entry points"));
    };
    for (k, v) in entries {
        // option specifications are data: a default is never a template
        let value = v.to_plain_value();
        let options = value.get("options").cloned().unwrap_or_else(Value::empty_map);
        let spec = spec_of(options.as_map().unwrap_or(&Map::new()), value.as_map()).map_err(|m| v.error(m))?;
        out.insert(
            k.to_value().to_str(),
            ArgumentSpec { short_description: value.get("short_description").map(Value::to_str), spec, raw: options },
        );
    }
    Ok(out)
}

/// A [`Spec`] from options as written in YAML; `rules` may hold mutually_exclusive and its kin.
pub fn spec_of(options: &Map, rules: Option<&Map>) -> std::result::Result<Spec, String> {
    let mut spec = Spec::default();
    for (name, o) in options {
        let text = |k: &str| o.get(k).map(Value::to_str);
        let ty = text("type").unwrap_or_else(|| "str".into());
        let Some(t) = Type::from_name(&ty) else {
            return Err(format!("unknown type '{ty}' of option '{name}'"));
        };
        let mut a = Arg::new(&name.to_string(), t);
        a.elements = text("elements").and_then(|e| Type::from_name(&e));
        a.required = o.get("required").and_then(Value::to_bool_loose).unwrap_or(false);
        a.no_log = o.get("no_log").and_then(Value::to_bool_loose).unwrap_or(false);
        a.default = o.get("default").filter(|d| !d.is_null()).map(Value::to_json);
        a.choices = match o.get("choices") {
            Some(Value::Map(m)) => m.keys().map(|k| k.to_value().to_json()).collect(),
            Some(v) => v.as_list().unwrap_or_default().iter().map(Value::to_json).collect(),
            None => vec![],
        };
        a.aliases = o.get("aliases").and_then(Value::as_list).unwrap_or_default().iter().map(Value::to_str).collect();
        a.doc = o.get("description").map(Value::to_str).unwrap_or_default();
        if let Some(sub) = o.get("options").and_then(Value::as_map) {
            a.options = Some(Box::new(spec_of(sub, o.as_map())?));
        }
        spec.args.push(a);
    }
    if let Some(r) = rules {
        add_rules(&mut spec, r);
    }
    Ok(spec)
}

fn add_rules(spec: &mut Spec, r: &Map) {
    let names = |v: &Value| v.as_list().unwrap_or_default().iter().map(Value::to_str).collect::<Vec<_>>();
    // one list of names, or a list of such lists
    let groups = |k: &str| -> Vec<Vec<String>> {
        let Some(l) = r.get(k).and_then(Value::as_list) else { return vec![] };
        if l.iter().all(|v| v.as_str().is_some()) && !l.is_empty() {
            vec![l.iter().map(Value::to_str).collect()]
        } else {
            l.iter().map(names).collect()
        }
    };
    spec.rules.extend(groups("mutually_exclusive").into_iter().map(Rule::MutuallyExclusive));
    spec.rules.extend(groups("required_together").into_iter().map(Rule::RequiredTogether));
    spec.rules.extend(groups("required_one_of").into_iter().map(Rule::RequiredOneOf));
    for cond in r.get("required_if").and_then(Value::as_list).unwrap_or_default() {
        if let Some([key, value, needed, rest @ ..]) = cond.as_list() {
            spec.rules.push(Rule::RequiredIf {
                key: key.to_str(),
                value: value.to_json(),
                names: names(needed),
                any: rest.first().is_some_and(Value::truthy),
            });
        }
    }
    for (key, needed) in r.get("required_by").and_then(Value::as_map).into_iter().flatten() {
        let needed = if needed.as_str().is_some() { vec![needed.to_str()] } else { names(needed) };
        spec.rules.push(Rule::RequiredBy { key: key.to_string(), names: needed });
    }
}

/// The task that checks a role's arguments before its own tasks.
pub(super) fn validation_task(
    loader: &Loader,
    role: &Arc<Role>,
    entry: &str,
    spec: &ArgumentSpec,
    inherit: &Arc<Inherit>,
    span: Span,
) -> Task {
    let mut name = format!("Validating arguments against arg spec '{entry}'");
    if let Some(d) = &spec.short_description {
        name.push_str(&format!(" - {d}"));
    }
    let mut context = Map::new();
    context.insert("type".into(), "role".into());
    // a role of a collection goes by its own name here
    let own_name = role.path.file_name().filter(|_| role.collection.is_some()).unwrap_or(&role.name);
    context.insert("name".into(), own_name.into());
    context.insert("argument_spec_name".into(), entry.into());
    context.insert("path".into(), role.path.as_str().into());
    let mut args = Map::new();
    args.insert("argument_spec".into(), spec.raw.clone());
    args.insert("provided_arguments".into(), Value::empty_map());
    args.insert("validate_args_context".into(), Value::map(context));
    let action = "ansible.builtin.validate_argument_spec";
    let file = role.path.join("meta/argument_specs.yml");
    Task {
        id: loader.next_id(),
        kw: inherit.kw.clone(),
        when: inherit.when.clone(),
        block_vars: inherit.vars.clone(),
        include_vars: inherit.include_vars.clone(),
        role: Some(role.clone()),
        inherit: inherit.clone(),
        ..Task::implicit(span, name, action, args, inherit.tags.clone(), file)
    }
}
