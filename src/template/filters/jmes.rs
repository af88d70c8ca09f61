//! community.general.json_query

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};
use std::collections::BTreeMap;

pub const FILTERS: &[Filter] = &[f("json_query", "data, expr", json_query)];

fn json_query(_: &mut State, a: &Args) -> Res {
    let text = a.text("expr")?;
    let wrong = |e: jmespath::JmespathError| error(format!("JMESPathError in json_query filter plugin:\n{e}"));
    let expression = jmespath::compile(&text).map_err(wrong)?;
    let found = expression.search(jmespath::Rcvar::new(variable(a.val("data"), 0)?)).map_err(wrong)?;
    value(&found)
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
