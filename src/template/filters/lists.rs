//! Filters on lists as a whole, and the small ones that pick a value.

use super::py::{self, Py, Res, error, fail};
use super::{Args, Filter, f, fu};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    fu("default", "value, default_value=, boolean=", default),
    fu("d", "value, default_value=, boolean=", default),
    fu("mandatory", "a, msg=", mandatory),
    fu("type_debug", "obj", type_debug),
    fu("ternary", "value, true_val, false_val, none_val=", ternary),
    f("bool", "value", |_, a| Ok(Value::from(to_bool(a.val("value"))))),
    f("attr", "obj, name", attr),
    f("list", "value", list),
    f("length", "value", |_, a| py::len(a.val("value")).map(Value::from)),
    f("count", "value", |_, a| py::len(a.val("value")).map(Value::from)),
    f("first", "seq", first),
    f("last", "seq", last),
    f("reverse", "value", reverse),
    f("join", "value, d=, attribute=", join),
    f("batch", "value, linecount, fill_with=", batch),
    f("slice", "value, slices, fill_with=", slice),
    f("flatten", "mylist, levels=, skip_nulls=", flatten),
    f("zip", "value, *lists, strict=", zip),
    f("zip_longest", "value, *lists, fillvalue=", zip_longest),
    f("product", "value, *lists, repeat=", product),
    f("combinations", "value, r=", combinations),
    f("permutations", "value, r=", permutations),
];

/// Results longer than this are refused: such products only serve to exhaust memory.
const MAX_ITEMS: usize = 10_000_000;

fn default(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    if py::is_undefined(v) || a.flag("boolean", false)? && !py::truthy(v)? {
        return Ok(a.get("default_value").cloned().unwrap_or_else(|| Value::from("")));
    }
    Ok(v.clone())
}

fn mandatory(_: &mut State, a: &Args) -> Res {
    let v = a.val("a");
    if !py::is_undefined(v) {
        return Ok(v.clone());
    }
    match a.text_opt("msg")? {
        Some(msg) => fail(msg),
        // the engine puts the variable's name into this sentence where it knows it
        None => fail("Mandatory variable not defined."),
    }
}

fn type_debug(_: &mut State, a: &Args) -> Res {
    let v = a.val("obj");
    Ok(Value::from(if py::is_undefined(v) { "UndefinedMarker" } else { py::type_name(v) }))
}

fn ternary(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    if py::is_undefined(v) {
        return Ok(v.clone());
    }
    let pick = match a.get("none_val") {
        Some(none) if v.is_none() && !none.is_none() => none,
        _ if py::truthy(v)? => a.val("true_val"),
        _ => a.val("false_val"),
    };
    Ok(pick.clone())
}

/// Ansible's `bool` filter; what it does not know is false.
pub fn to_bool(v: &Value) -> bool {
    match py::view(v) {
        Py::Bool(b) => b,
        Py::Str(s) => matches!(s.to_lowercase().as_str(), "true" | "yes" | "on" | "1"),
        _ => py::eq(v, &Value::from(1)),
    }
}

/// Every item is looked at, as Python's `list()` does: an undefined one is an error.
fn list(_: &mut State, a: &Args) -> Res {
    let all = py::iter(a.val("value"))?;
    all.iter().try_for_each(py::check)?;
    Ok(py::list(all))
}

fn attr(_: &mut State, a: &Args) -> Res {
    let (obj, name) = (a.val("obj"), a.text("name")?);
    let found = match py::view(obj) {
        // a number's parts are the only attributes of plain data that are data themselves
        Py::Int(_) | Py::Bool(_) | Py::Float(_) if name == "real" => Some(obj.clone()),
        Py::Int(_) | Py::Bool(_) if name == "imag" => Some(Value::from(0)),
        Py::Object | Py::Tuple => obj.get_attr(&name).ok().filter(|v| !v.is_undefined()),
        _ => None,
    };
    Ok(found.unwrap_or_else(|| py::undefined(py::missing(obj, &Value::from(name)))))
}

fn first(_: &mut State, a: &Args) -> Res {
    let v = a.val("seq");
    let found = match v.as_object().and_then(|o| o.try_iter()) {
        Some(mut it) => it.next(),
        None => py::iter(v)?.into_iter().next(),
    };
    Ok(found.unwrap_or_else(|| py::undefined("No first item, sequence was empty.")))
}

fn last(_: &mut State, a: &Args) -> Res {
    Ok(py::iter(a.val("seq"))?.pop().unwrap_or_else(|| py::undefined("No last item, sequence was empty.")))
}

fn reverse(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    if let Py::Str(s) = py::view(v) {
        return Ok(Value::from(s.chars().rev().collect::<String>()));
    }
    let mut all =
        py::iter(v).map_err(|e| error(format!("argument must be iterable: {}", e.detail().unwrap_or_default())))?;
    all.reverse();
    Ok(py::list(all))
}

fn join(_: &mut State, a: &Args) -> Res {
    let sep = a.get("d").map_or_else(|| Ok(String::new()), py::str)?;
    let path = a.some("attribute").map(super::sorting::Path::new).transpose()?;
    let mut out = String::new();
    for (i, item) in py::iter(a.val("value"))?.iter().enumerate() {
        if i > 0 {
            out.push_str(&sep);
        }
        match &path {
            Some(p) => out.push_str(&py::str(&p.get(item)?)?),
            None => out.push_str(&py::str(item)?),
        }
    }
    Ok(Value::from(out))
}

fn batch(_: &mut State, a: &Args) -> Res {
    let n = usize::try_from(a.int("linecount", 1)?).unwrap_or(0);
    let all = py::iter(a.val("value"))?;
    let fill = a.some("fill_with");
    let mut out = vec![];
    if n == 0 {
        // no row is ever full: an empty one is before the first member where 0 was said
        if a.int("linecount", 1)? == 0 && !all.is_empty() {
            out.push(py::list(vec![]));
        }
        if !all.is_empty() {
            out.push(py::list(all));
        }
        return Ok(py::list(out));
    }
    if n > MAX_ITEMS && fill.is_some() {
        return fail("batch is too long");
    }
    for part in all.chunks(n) {
        let mut row = part.to_vec();
        if let Some(x) = fill {
            row.resize(n, x.clone());
        }
        out.push(py::list(row));
    }
    Ok(py::list(out))
}

fn slice(_: &mut State, a: &Args) -> Res {
    let all = py::iter(a.val("value"))?;
    let n = usize::try_from(a.int("slices", 1)?).unwrap_or(0);
    if n == 0 {
        return fail("integer division or modulo by zero");
    }
    if n > MAX_ITEMS {
        return fail("too many slices");
    }
    let (each, extra) = (all.len() / n, all.len() % n);
    let mut rest = all.into_iter();
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        let mut part: Vec<Value> = rest.by_ref().take(each + usize::from(i < extra)).collect();
        if let Some(x) = a.some("fill_with")
            && i >= extra
        {
            part.push(x.clone());
        }
        out.push(py::list(part));
    }
    Ok(py::list(out))
}

/// What `flatten` and `combine` leave out.
pub fn is_nothing(v: &Value) -> bool {
    v.is_none() || matches!(py::view(v), Py::Str("None" | "null"))
}

fn flatten(_: &mut State, a: &Args) -> Res {
    fn go(v: &Value, levels: Option<i128>, skip: bool, depth: usize, out: &mut Vec<Value>) -> Res<()> {
        if depth > py::MAX_DEPTH {
            return fail("maximum recursion depth exceeded");
        }
        for item in py::iter(v)? {
            if skip && is_nothing(&item) {
                continue;
            }
            match py::view(&item) {
                Py::List | Py::Tuple if levels.is_none_or(|n| n >= 1) => {
                    go(&item, levels.map(|n| n - 1), skip, depth + 1, out)?
                }
                _ => out.push(item),
            }
        }
        Ok(())
    }
    let mut out = vec![];
    go(a.val("mylist"), a.int_opt("levels")?, a.flag("skip_nulls", true)?, 0, &mut out)?;
    Ok(py::list(out))
}

fn lists(a: &Args) -> Res<Vec<Vec<Value>>> {
    std::iter::once(a.val("value")).chain(&a.rest).map(py::iter).collect()
}

fn zip(_: &mut State, a: &Args) -> Res {
    let all = lists(a)?;
    let first = all.first().map_or(0, Vec::len);
    if a.flag("strict", false)?
        && let Some(i) = all.iter().position(|l| l.len() != first)
    {
        let word = if all.get(i).map_or(0, Vec::len) < first { "shorter" } else { "longer" };
        let others = if i == 1 { "argument 1".to_string() } else { format!("arguments 1-{i}") };
        return fail(format!("zip() argument {} is {word} than {others}", i + 1));
    }
    let n = all.iter().map(Vec::len).min().unwrap_or(0);
    Ok(py::list((0..n).map(|i| py::tuple(all.iter().filter_map(|l| l.get(i).cloned()).collect())).collect()))
}

fn zip_longest(_: &mut State, a: &Args) -> Res {
    let all = lists(a)?;
    let fill = a.get("fillvalue").cloned().unwrap_or_else(|| Value::from(()));
    let n = all.iter().map(Vec::len).max().unwrap_or(0);
    let row = |i: usize| py::tuple(all.iter().map(|l| l.get(i).unwrap_or(&fill).clone()).collect());
    Ok(py::list((0..n).map(row).collect()))
}

fn product(_: &mut State, a: &Args) -> Res {
    let once = lists(a)?;
    let repeat = usize::try_from(a.int("repeat", 1)?).or_else(|_| fail("repeat argument cannot be negative"))?;
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for _ in 0..repeat {
        for l in &once {
            if rows.len().saturating_mul(l.len()) > MAX_ITEMS {
                return fail("product is too long");
            }
            rows = rows
                .iter()
                .flat_map(|r| l.iter().map(move |x| [r.as_slice(), std::slice::from_ref(x)].concat()))
                .collect();
        }
    }
    Ok(py::list(rows.into_iter().map(py::tuple).collect()))
}

fn size(a: &Args, all: usize) -> Res<usize> {
    match a.int_opt("r")? {
        None => Ok(all),
        Some(r) => usize::try_from(r).or_else(|_| fail("r must be non-negative")),
    }
}

fn combinations(_: &mut State, a: &Args) -> Res {
    if a.get("r").is_none() {
        return fail("combinations() missing required argument 'r' (pos 2)");
    }
    let all = py::iter(a.val("value"))?;
    let r = size(a, all.len())?;
    let mut out = vec![];
    if r > all.len() {
        return Ok(py::list(out));
    }
    let mut at: Vec<usize> = (0..r).collect();
    loop {
        out.push(py::tuple(at.iter().filter_map(|i| all.get(*i).cloned()).collect()));
        if out.len() > MAX_ITEMS {
            return fail("too many combinations");
        }
        let Some(i) = (0..r).rev().find(|i| at.get(*i).is_some_and(|x| *x != i + all.len() - r)) else { break };
        let from = at.get(i).copied().unwrap_or(0) + 1;
        for (step, slot) in at.iter_mut().skip(i).enumerate() {
            *slot = from + step;
        }
    }
    Ok(py::list(out))
}

fn permutations(_: &mut State, a: &Args) -> Res {
    fn go(all: &[Value], used: &mut Vec<usize>, r: usize, out: &mut Vec<Value>) -> Res<()> {
        if used.len() == r {
            out.push(py::tuple(used.iter().filter_map(|i| all.get(*i).cloned()).collect()));
            return if out.len() > MAX_ITEMS { fail("too many permutations") } else { Ok(()) };
        }
        for i in 0..all.len() {
            if !used.contains(&i) {
                used.push(i);
                go(all, used, r, out)?;
                used.pop();
            }
        }
        Ok(())
    }
    let all = py::iter(a.val("value"))?;
    let r = size(a, all.len())?;
    let mut out = vec![];
    if r <= all.len() {
        go(&all, &mut vec![], r, &mut out)?;
    }
    Ok(py::list(out))
}
