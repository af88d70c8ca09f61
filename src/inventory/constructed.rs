//! Inventory plug-ins configured by a YAML file: `constructed` (variables and groups from what is known of
//! hosts) and `generator` (hosts from all combinations of layers).

use super::{Inventory, LoadOptions, identifier, load_vars_dir};
use crate::diag::{Error, Result};
use crate::facts::as_variables;
use crate::template::{Engine, EngineOptions, FileScope, MapVars, Scope};
use crate::value::{Map, Value};
use crate::yaml::Node;
use camino::Utf8Path;
use std::sync::Arc;

/// Options of plug-ins that ask a server. These here have nothing to cache, and take the options without effect, as in
/// ansible-core.
const CACHING: [&str; 5] = ["cache", "cache_connection", "cache_plugin", "cache_prefix", "cache_timeout"];

/// What an option of the plug-in must be.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Bool,
    Dict,
    List,
}

/// Checks a configuration against the options that the plug-in has. As in ansible-core one that it does not have is
/// without effect; here that is a warning.
fn options<'a>(root: &'a Node, known: &[(&str, Kind)], warnings: &mut Vec<Error>) -> Result<&'a [(Node, Node)]> {
    let pairs = root.as_map().ok_or_else(|| root.error("the plugin's configuration must be a dictionary"))?;
    let plugin = root.get("plugin").map(|p| p.to_plain_value().to_str()).unwrap_or_default();
    let plugin = plugin.rsplit('.').next().unwrap_or_default();
    for (k, v) in pairs {
        let name = k.to_plain_value().to_str();
        if CACHING.contains(&name.as_str()) {
            continue;
        }
        let Some((_, kind)) = known.iter().find(|(n, _)| *n == name) else {
            let names = known.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
            warnings.push(
                k.error(format!("the inventory plugin '{plugin}' has no option '{name}', it is without effect"))
                    .help(format!("Its options are {names}.")),
            );
            continue;
        };
        let value = v.to_plain_value();
        let wanted = match kind {
            Kind::Bool if value.to_bool_loose().is_none() => "bool",
            Kind::Dict if value.as_map().is_none() => "dict",
            Kind::List if matches!(value, Value::Map(_)) => "list",
            _ => continue,
        };
        if !value.is_null() {
            let shown = value.repr();
            return Err(v.error(format!(
                "Config '{name}' for '{plugin}' inventory plugin from 'Direct' has an invalid value: Invalid value provided for '{wanted}': {shown}"
            )));
        }
    }
    Ok(pairs)
}

fn option(pairs: &[(Node, Node)], name: &str) -> Value {
    let found = pairs.iter().find(|(k, _)| k.as_str() == Some(name));
    found.map(|(_, v)| v.to_value()).unwrap_or_default()
}

fn flag(pairs: &[(Node, Node)], name: &str, default: bool) -> bool {
    option(pairs, name).to_bool_loose().unwrap_or(default)
}

fn scope(vars: Map) -> Scope {
    Scope::new(Arc::new(MapVars(vars)), Arc::new(FileScope::default()))
}

/// One of the `keyed_groups`.
struct Keyed {
    key: Value,
    prefix: Value,
    separator: String,
    parent: Option<Value>,
    default: Option<String>,
    trailing: bool,
}

fn keyed(v: &Value, warnings: &mut Vec<Error>) -> Result<Keyed> {
    let m =
        v.as_map().ok_or_else(|| Error::parse(format!("keyed_groups must hold dictionaries, not {}", v.to_str())))?;
    let known = ["key", "prefix", "separator", "parent_group", "default_value", "trailing_separator"];
    if let Some(k) = m.keys().find(|k| !k.as_str().is_some_and(|k| known.contains(&k))) {
        let names = known.join(", ");
        warnings.push(
            Error::parse(format!("keyed_groups have no option '{k}', it is without effect"))
                .help(format!("Their options are {names}.")),
        );
    }
    let get = |k: &str| m.get(k).filter(|v| !v.is_null()).cloned();
    let key = get("key").ok_or_else(|| Error::parse("keyed_groups: the option 'key' is missing"))?;
    let default = get("default_value").map(|d| d.to_str());
    let trailing = get("trailing_separator").and_then(|t| t.to_bool_loose());
    if default.is_some() && trailing.is_some() {
        return Err(Error::parse(
            "parameters are mutually exclusive for keyed groups: default_value|trailing_separator",
        ));
    }
    Ok(Keyed {
        key,
        prefix: get("prefix").unwrap_or_else(|| "".into()),
        separator: get("separator").map(|s| s.to_str()).unwrap_or_else(|| "_".into()),
        parent: get("parent_group"),
        default,
        trailing: trailing.unwrap_or(true),
    })
}

impl Keyed {
    /// The names that a key's value stands for, without prefix.
    fn names(&self, value: &Value) -> Result<Vec<String>> {
        let filled = |s: String| if s.is_empty() { self.default.clone().unwrap_or_default() } else { s };
        Ok(match value {
            Value::List(l) | Value::Tuple(l) => l.iter().map(|v| filled(v.to_str())).collect(),
            Value::Map(m) => m
                .iter()
                .map(|(k, v)| {
                    let v = filled(v.to_str());
                    if v.is_empty() && !self.trailing { k.to_string() } else { format!("{k}{}{v}", self.separator) }
                })
                .collect(),
            v @ Value::Str(_) => vec![filled(v.to_str())],
            Value::Null => self.default.iter().cloned().collect(),
            v => {
                return Err(Error::parse(format!(
                    "Invalid group name format, expected a string or a list of them or dictionary, got: {}",
                    v.type_name()
                )));
            }
        })
    }
}

/// The plug-in `constructed`: works on the hosts that earlier sources brought.
pub(super) fn construct(source: &str, root: &Node, inv: &mut Inventory, opts: &LoadOptions) -> Result<Vec<Error>> {
    const KNOWN: [(&str, Kind); 8] = [
        ("plugin", Kind::Text),
        ("strict", Kind::Bool),
        ("compose", Kind::Dict),
        ("groups", Kind::Dict),
        ("keyed_groups", Kind::List),
        ("leading_separator", Kind::Bool),
        ("use_extra_vars", Kind::Bool),
        ("use_vars_plugins", Kind::Bool),
    ];
    let mut warnings = vec![];
    let pairs = options(root, &KNOWN, &mut warnings)?;
    let strict = flag(pairs, "strict", false);
    let leading = flag(pairs, "leading_separator", true);
    let compose = option(pairs, "compose");
    let groups = option(pairs, "groups");
    let keys = option(pairs, "keyed_groups");
    let keys = keys.as_list().unwrap_or_default();
    let keys = keys.iter().map(|k| keyed(k, &mut warnings)).collect::<Result<Vec<_>>>()?;
    let engine = Engine::new(EngineOptions::default());
    let all: Vec<Arc<str>> = inv.hosts.keys().cloned().collect();
    for host in all {
        let told =
            |what: String, e: Error| Error::parse(format!("{what} for host {host}: {}", e.message())).at(e.span());
        let mut vars = known_of(source, &host, inv, opts, flag(pairs, "use_vars_plugins", false), &mut warnings)?;
        if flag(pairs, "use_extra_vars", false) {
            vars.extend(opts.extra_vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        // what one expression gives is seen by groups, not by the other expressions
        let before = scope(vars.clone());
        for (name, expression) in compose.as_map().into_iter().flatten() {
            let value = match expression.as_str() {
                Some(text) => engine.eval(text, &before),
                None => Err(Error::parse(format!("Expressions must be strings, got {}.", expression.type_name()))),
            };
            match value {
                Ok(v) => {
                    let v = v.untrusted();
                    inv.set_variable(&host, &name.to_string(), v.clone())?;
                    vars.insert(name.clone(), v);
                }
                Err(e) if strict => return Err(told(format!("Could not set {name}"), e)),
                Err(_) => {}
            }
        }
        let scope = scope(vars);
        for (name, condition) in groups.as_map().into_iter().flatten() {
            match engine.condition(condition, &scope) {
                Ok(true) => {
                    let name = identifier(&name.to_string());
                    inv.add_group(&name);
                    inv.add_host(&host, Some(&name), None);
                }
                Ok(false) => {}
                Err(e) if strict => {
                    let why = e.message();
                    let text = format!("Could not add host {host} to group {name}: {why}");
                    return Err(Error::parse(text).at(e.span()));
                }
                Err(_) => {}
            }
        }
        for k in &keys {
            let written = k.key.to_str();
            let value = match engine.eval(&written, &scope) {
                Ok(v) => v,
                Err(e) if strict => {
                    let text =
                        format!("Could not generate group for host {host} from {written} entry: {}", e.message());
                    return Err(Error::parse(text).at(e.span()));
                }
                Err(_) => continue,
            };
            if !value.truthy() && !(k.default.is_some() && (value.is_null() || value.as_str() == Some(""))) {
                if strict {
                    let text = format!("No key or key resulted empty for {written} in host {host}, invalid entry");
                    return Err(Error::parse(text));
                }
                continue;
            }
            // a prefix is text, never a template; parent_group may be one
            let prefix = k.prefix.to_str();
            for name in k.names(&value)? {
                let bare = prefix.is_empty() && !leading;
                let full = if bare { name } else { format!("{prefix}{}{name}", k.separator) };
                let full = identifier(&full);
                inv.add_group(&full);
                inv.add_host(&host, Some(&full), None);
                if let Some(p) = &k.parent {
                    let parent = identifier(&engine.render(p, &scope)?.to_str());
                    inv.add_group(&parent);
                    inv.add_child(&parent, &full)?;
                }
            }
        }
    }
    Ok(warnings)
}

/// What the inventory knows of a host by now: its groups' variables, its own, its names.
fn known_of(
    source: &str,
    host: &Arc<str>,
    inv: &Inventory,
    opts: &LoadOptions,
    files: bool,
    warnings: &mut Vec<Error>,
) -> Result<Map> {
    let mut vars = Map::new();
    let base = Utf8Path::new(source).parent().unwrap_or(Utf8Path::new("."));
    for g in inv.groups_of(host) {
        vars.extend(g.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
        if files {
            vars.extend(load_vars_dir(base, "group_vars", &g.name, &opts.secrets, warnings)?);
        }
    }
    if let Some(h) = inv.hosts.get(host) {
        vars.extend(h.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    if files {
        vars.extend(load_vars_dir(base, "host_vars", host, &opts.secrets, warnings)?);
    }
    if let Some(facts) = opts.facts.as_ref().map(|c| c.get(host)).transpose()?.flatten() {
        vars.extend(as_variables(facts));
    }
    vars.insert("inventory_hostname".into(), Value::plain(host.clone()));
    vars.insert("inventory_hostname_short".into(), Value::plain(host.split('.').next().unwrap_or(host)));
    let groups = inv.group_names(host).into_iter().map(Value::plain).collect();
    vars.insert("group_names".into(), Value::list(groups));
    Ok(vars)
}

/// Hosts beyond this number from one file are a typing error.
const MAX_HOSTS: usize = 1_000_000;

/// The plug-in `generator`.
pub(super) fn generate(root: &Node, inv: &mut Inventory) -> Result<Vec<Error>> {
    const KNOWN: [(&str, Kind); 3] = [("plugin", Kind::Text), ("hosts", Kind::Dict), ("layers", Kind::Dict)];
    let mut warnings = vec![];
    let pairs = options(root, &KNOWN, &mut warnings)?;
    let hosts = option(pairs, "hosts");
    let Some(name) = hosts.get("name") else {
        return Err(root.error("Element 'hosts' of the generator plugin requires a name"));
    };
    let mut combinations: Vec<Map> = vec![Map::new()];
    for (layer, values) in option(pairs, "layers").as_map().into_iter().flatten() {
        let values = values.as_list().ok_or_else(|| root.error(format!("layer '{layer}' must be a list")))?;
        if combinations.len().saturating_mul(values.len()) > MAX_HOSTS {
            return Err(root.error(format!("the layers make more than {MAX_HOSTS} hosts")));
        }
        combinations = combinations
            .iter()
            .flat_map(|c| {
                values.iter().map(|v| {
                    let mut c = c.clone();
                    c.insert(layer.clone(), v.clone());
                    c
                })
            })
            .collect();
    }
    let engine = Engine::new(EngineOptions::default());
    for layers in combinations {
        let scope = scope(layers);
        let host = engine.render(name, &scope)?.to_str();
        inv.add_host(&host, None, None);
        if inv.hosts.get(host.as_str()).is_some_and(|h| h.groups.is_empty()) && hosts.get("parents").is_none() {
            inv.add_host(&host, Some("ungrouped"), None);
        }
        parents(&host, hosts.get("parents"), &engine, &scope, inv)?;
    }
    Ok(warnings)
}

fn parents(child: &str, list: Option<&Value>, engine: &Engine, scope: &Scope, inv: &mut Inventory) -> Result<()> {
    for p in list.and_then(Value::as_list).unwrap_or_default() {
        let Some(name) = p.get("name") else {
            return Err(Error::parse(format!("Element {child} has a parent with no name.")));
        };
        let group = engine.render(name, scope)?.to_str();
        inv.add_group(&group);
        for (k, v) in p.get("vars").and_then(Value::as_map).into_iter().flatten() {
            inv.set_variable(&group, &k.to_string(), engine.render(v, scope)?)?;
        }
        inv.add_child(&group, child)?;
        parents(&group, p.get("parents"), engine, scope, inv)?;
    }
    Ok(())
}
