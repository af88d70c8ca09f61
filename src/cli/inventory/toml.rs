//! `--toml`: the inventory as its TOML plug-in reads it, a table for each group. (ansible-inventory needs the Python
//! library tomli-w for it.)

use super::{View, put_map};
use crate::diag::{Error, Result};
use crate::value::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// Groups and hosts that were told already.
type Seen = (HashSet<Arc<str>>, HashSet<Arc<str>>);

impl View<'_> {
    /// All groups, each at the top; the group `all` only with its variables.
    pub(super) fn toml_list(&self, hosts: &HashSet<Arc<str>>) -> Result<String> {
        let mut out = Map::new();
        self.toml_group("all", hosts, &mut Seen::default(), &mut out)?;
        dump(&Value::map(out))
    }

    fn toml_group(&self, name: &str, hosts: &HashSet<Arc<str>>, seen: &mut Seen, out: &mut Map) -> Result<()> {
        let Some(g) = self.inv.groups.get(name) else { return Ok(()) };
        let mut data = Map::new();
        let mut shown = Map::new();
        if name != "all" {
            let children = g.children.iter().map(|c| Value::trusted(c.clone(), None)).collect::<Vec<_>>();
            if !children.is_empty() {
                data.insert("children".into(), Value::list(children));
            }
            for h in g.hosts.iter().filter(|h| hosts.contains(*h)) {
                let vars = if seen.1.insert(h.clone()) { self.host_vars(h)? } else { Map::new() };
                shown.insert(h.clone().into(), Value::map(vars));
            }
        }
        put_map(&mut data, "hosts", shown);
        if self.want.export {
            put_map(&mut data, "vars", self.group_vars(g)?);
        }
        if !data.is_empty() {
            out.insert(g.name.clone().into(), Value::map(data));
        }
        for c in &g.children {
            if seen.0.insert(c.clone()) {
                self.toml_group(c, hosts, seen, out)?;
            }
        }
        Ok(())
    }
}

/// The text; an error names what TOML cannot hold.
pub(super) fn dump(v: &Value) -> Result<String> {
    let table = match converted(v, "")? {
        toml::Value::Table(t) => t,
        _ => return Err(Error::general("only a mapping can be written as TOML")),
    };
    toml::to_string_pretty(&table).map_err(|e| Error::general(format!("The inventory cannot be written as TOML: {e}")))
}

fn converted(v: &Value, at: &str) -> Result<toml::Value> {
    let cannot = |what: &str| {
        Error::general(format!("{at} cannot be written as TOML: {what}"))
            .help("Use --yaml, or the default, JSON; both hold every value.")
    };
    Ok(match v {
        Value::Null => return Err(cannot("TOML has no null")),
        Value::Bool(b) => toml::Value::Boolean(*b),
        Value::Int(i) => toml::Value::Integer(i64::try_from(*i).map_err(|_| cannot("the number is too big"))?),
        Value::Float(f) => toml::Value::Float(*f),
        Value::Vault(t) => toml::Value::String(t.envelope.to_string()),
        Value::Str(_) => toml::Value::String(v.to_str()),
        Value::List(l) | Value::Tuple(l) => {
            let each = l.iter().enumerate().map(|(i, v)| converted(v, &format!("{at}[{i}]")));
            toml::Value::Array(each.collect::<Result<_>>()?)
        }
        Value::Map(m) => {
            let mut t = toml::Table::new();
            for (k, v) in m.iter() {
                let name = k.to_string();
                let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                t.insert(name, converted(v, &below)?);
            }
            toml::Value::Table(t)
        }
    })
}
