//! `apply:` of dynamic includes.

use super::keywords::{Inherit, Keywords};
use crate::diag::Span;
use crate::value::{Map, Value};
use crate::yaml::{Node, NodeKind};

/// What a block has beside the keywords of one value.
pub(super) const BESIDE: &[&str] =
    &["collections", "environment", "module_defaults", "name", "notify", "tags", "vars", "when"];

/// Adds what `apply:` of a dynamic include hands to the included tasks.
pub fn apply_to(inherit: &mut Inherit, apply: &Map) {
    let list = |v: &Value| v.as_list().map(<[Value]>::to_vec).unwrap_or_else(|| vec![v.clone()]);
    let mut kw = Keywords::default();
    for (k, v) in apply {
        match k.to_string().as_str() {
            "tags" => inherit.tags.extend(
                list(v).iter().flat_map(|t| t.to_str().split(',').map(|x| Value::plain(x.trim())).collect::<Vec<_>>()),
            ),
            "when" => inherit.when.extend(list(v)),
            "environment" => inherit.environment.push(v.clone()),
            "module_defaults" => inherit.module_defaults.push(v.clone()),
            "notify" => inherit.notify.extend(list(v)),
            "vars" => {
                if let Value::Map(m) = v {
                    inherit.vars.push(m.clone());
                }
            }
            name => {
                let _ = kw.set(name, &Node { kind: node_kind(v), span: Span::new(u32::MAX, 0, 0) }, &mut inherit.bad);
            }
        }
    }
    kw.inherit(&inherit.kw);
    inherit.kw = kw;
}

fn node_kind(v: &Value) -> NodeKind {
    match v {
        Value::Bool(b) => NodeKind::Bool(*b),
        Value::Int(i) => NodeKind::Int(*i),
        Value::Float(f) => NodeKind::Float(*f),
        Value::Str(s) => NodeKind::Str(s.text.clone()),
        _ => NodeKind::Null,
    }
}
