//! Lookups of variables and the inventory: `vars`, `varnames`, `inventory_hostnames`.

use super::Call;
use crate::diag::{Error, Result};
use crate::template::Var;
use crate::template::convert::{error, from_mj};
use crate::template::object::ScopeObj;
use crate::value::Value;
use minijinja::value::Value as Mj;

/// The variable `name` of the call's scope, rendered.
pub(super) fn variable(call: &Call<'_>, name: &str) -> Result<Option<Value>> {
    let root = Mj::from_object(ScopeObj { r: call.r.clone(), root: false });
    match root.get_attr(name) {
        Ok(v) if v.is_undefined() => Ok(None),
        Ok(v) => from_mj(&v).map(Some),
        Err(e) => Err(error(e)),
    }
}

pub(super) fn vars(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for term in &call.terms {
        let Some(name) = term.as_str() else {
            return Err(Error::template(format!("Variable name must be 'str' not '{}'.", term.type_name())));
        };
        out.push(match (variable(call, name)?, call.option("default")) {
            (Some(v), _) => v,
            (None, Some(default)) => default.clone(),
            (None, None) => return Err(Error::undefined(format!("No variable named '{name}' was found."))),
        });
    }
    Ok(out)
}

pub(super) fn varnames(call: &Call<'_>) -> Result<Vec<Value>> {
    let names = call.r.scope.vars.names();
    let mut out = Vec::new();
    for term in &call.terms {
        let Some(pattern) = term.as_str() else {
            return Err(Error::template(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a <class '{}'>",
                term.to_str(),
                term.type_name()
            )));
        };
        let regex = fancy_regex::Regex::new(pattern)
            .map_err(|e| Error::template(format!("Unable to use \"{pattern}\" as a search parameter: {e}")))?;
        out.extend(names.iter().filter(|n| regex.is_match(n).unwrap_or(false)).map(|n| Value::plain(n.clone())));
    }
    Ok(out)
}

pub(super) fn inventory_hostnames(call: &Call<'_>) -> Result<Vec<Value>> {
    let mut out: Vec<Value> = Vec::new();
    for term in call.shown()? {
        let hosts = match &call.r.scope.files.inventory {
            Some(inventory) => inventory.select(&term)?.into_iter().map(Value::plain).collect(),
            None => group(call, &term)?,
        };
        for host in hosts {
            if !out.contains(&host) {
                out.push(host);
            }
        }
    }
    Ok(out)
}

/// Without an inventory at hand: the hosts of the variable `groups`.
fn group(call: &Call<'_>, name: &str) -> Result<Vec<Value>> {
    let found = match call.r.scope.vars.get("groups")? {
        Some(Var::Raw(v)) => v.get(name).and_then(Value::as_list).map(<[Value]>::to_vec),
        Some(Var::Scope(s)) => match s.get(name)? {
            Some(Var::Raw(v)) => v.as_list().map(<[Value]>::to_vec),
            _ => None,
        },
        None => None,
    };
    Ok(found.unwrap_or_default())
}
