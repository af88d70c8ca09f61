//! community.general.json_query

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};
use std::collections::BTreeMap;

pub const FILTERS: &[Filter] = &[f("json_query", "data, expr", json_query)];

fn json_query(_: &mut State, a: &Args) -> Res {
    let text = a.text("expr")?;
    let expression = jmespath::compile(&quote_literals(&text)).map_err(wrong)?;
    let found = expression.search(jmespath::Rcvar::new(variable(a.val("data"), 0)?)).map_err(wrong)?;
    value(&found)
}

fn wrong(e: jmespath::JmespathError) -> minijinja::Error {
    let message = e.to_string();
    let unknown = message.split_once("Call to undefined function ").and_then(|(_, r)| r.split_whitespace().next());
    match unknown {
        Some(name) => error(format!("JMESPathError in json_query filter plugin:\nUnknown function: {name}()")),
        None => error(format!("JMESPathError in json_query filter plugin:\n{}", message.trim_end())),
    }
}

/// Literals in backquotes that are no JSON mean the text itself, in Python's library and in many
/// playbooks (`[?name==`web`]`).
fn quote_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if !matches!(c, '\'' | '"' | '`') {
            continue;
        }
        // up to the closing mark of the same kind
        let mut body = String::new();
        let mut closed = false;
        while let Some(x) = chars.next() {
            if x == '\\' {
                body.push(x);
                body.extend(chars.next());
            } else if x == c {
                closed = true;
                break;
            } else {
                body.push(x);
            }
        }
        let plain =
            c == '`' && closed && serde_json::from_str::<serde::de::IgnoredAny>(&body.replace("\\`", "`")).is_err();
        match plain {
            true => out.push_str(&serde_json::Value::from(body.trim_start()).to_string()),
            false => out.push_str(&body),
        }
        if closed {
            out.push(c);
        }
    }
    out
}

/// A value for the query; everything in it is evaluated.
fn variable(v: &Value, depth: usize) -> Res<jmespath::Variable> {
    use jmespath::Variable;
    if depth > py::MAX_DEPTH {
        return fail("maximum recursion depth exceeded");
    }
    Ok(match py::view(v) {
        Py::Broken => {
            py::check(v)?;
            Variable::Null
        }
        Py::None => Variable::Null,
        Py::Bool(b) => Variable::Bool(b),
        Py::Int(i) => match (i64::try_from(i), u64::try_from(i)) {
            (Ok(n), _) => Variable::Number(n.into()),
            (_, Ok(n)) => Variable::Number(n.into()),
            _ => number(i as f64),
        },
        Py::Float(x) => number(x),
        Py::List | Py::Tuple => Variable::Array(
            py::items(v)?.iter().map(|x| variable(x, depth + 1).map(jmespath::Rcvar::new)).collect::<Res<_>>()?,
        ),
        Py::Dict => {
            let mut map = BTreeMap::new();
            for (k, x) in py::pairs(v)? {
                map.insert(py::str(&k)?, jmespath::Rcvar::new(variable(&x, depth + 1)?));
            }
            Variable::Object(map)
        }
        _ => Variable::String(py::str(v)?),
    })
}

fn number(x: f64) -> jmespath::Variable {
    serde_json::Number::from_f64(x).map_or(jmespath::Variable::Null, jmespath::Variable::Number)
}

fn value(v: &jmespath::Variable) -> Res {
    use jmespath::Variable;
    Ok(match v {
        Variable::Null | Variable::Expref(_) => Value::from(()),
        Variable::Bool(b) => Value::from(*b),
        Variable::String(s) => Value::from(s.as_str()),
        Variable::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => Value::from(i),
            (_, Some(u), _) => py::int(u.into()),
            (_, _, x) => Value::from(x.unwrap_or(f64::NAN)),
        },
        Variable::Array(l) => py::list(l.iter().map(|x| value(x)).collect::<Res<_>>()?),
        Variable::Object(m) => {
            let pairs = m.iter().map(|(k, x)| Ok((Value::from(k.as_str()), value(x)?))).collect::<Res<Vec<_>>>()?;
            py::dict(pairs)
        }
    })
}
