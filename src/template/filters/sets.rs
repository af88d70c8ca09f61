//! Set theory on lists.

use super::py::{self, Res, SetKey};
use super::{Args, Filter, f};
use minijinja::Value;
use std::collections::HashSet;

pub const FILTERS: &[Filter] = &[
    f("union", "a, b", |_, a| join(a, true, |_, _| true)),
    f("intersect", "a, b", |_, a| join(a, false, |l, r| l && r)),
    f("difference", "a, b", |_, a| join(a, false, |l, r| l && !r)),
    f("symmetric_difference", "a, b", |_, a| join(a, true, |l, r| l != r)),
];

/// Members of both lists that `keep(in_left, in_right)` wants, each once.
fn join(a: &Args, both: bool, keep: fn(bool, bool) -> bool) -> Res {
    let (left, right) = (py::iter(a.val("a"))?, py::iter(a.val("b"))?);
    let keys = |l: &[Value]| l.iter().map(py::set_key).collect::<Res<Vec<SetKey>>>();
    let (lk, rk) = (keys(&left)?, keys(&right)?);
    let (ls, rs): (HashSet<&SetKey>, HashSet<&SetKey>) = (lk.iter().collect(), rk.iter().collect());
    let mut seen = HashSet::new();
    let mut out = vec![];
    let tail = if both { rk.iter().zip(&right) } else { [].iter().zip(&[]) };
    for (k, v) in lk.iter().zip(&left).chain(tail) {
        if keep(ls.contains(k), rs.contains(k)) && seen.insert(k) {
            out.push((k, v.clone()));
        }
    }
    // CPython's sets of small numbers come out in their order; texts in an order that changes with
    // every run, for which the order of the lists is as good as any
    if out.iter().all(|(k, _)| matches!(k, SetKey::Int(0..=7))) || is_dense(&out) {
        out.sort_by(|x, y| x.0.cmp(y.0));
    }
    Ok(py::list(out.into_iter().map(|(_, v)| v).collect()))
}

/// True if all are numbers below the size of the hash table that CPython makes for so many.
fn is_dense(out: &[(&SetKey, Value)]) -> bool {
    let mut table = 8usize;
    while out.len() * 5 >= table * 3 {
        table *= 4;
    }
    out.iter().all(|(k, _)| matches!(k, SetKey::Int(i) if (0..table as i128).contains(i)))
}
