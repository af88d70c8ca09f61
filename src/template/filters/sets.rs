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
    // sets of numbers have an order of their own in CPython; that of texts changes with every run, for
    // which the order of the lists is as good as any
    let numbers: Option<Vec<i128>> =
        out.iter().map(|(k, _)| if let SetKey::Int(i) = k { Some(*i) } else { None }).collect();
    if let Some(order) = numbers.as_deref().map(set_order) {
        return Ok(py::list(order.into_iter().filter_map(|i| out.get(i).map(|x| x.1.clone())).collect()));
    }
    Ok(py::list(out.into_iter().map(|(_, v)| v).collect()))
}

/// The places of `numbers` in the order in which CPython's set of them is walked: its table is probed
/// first in a row, then by the recurrence of its dictionaries, and grows at three fifths.
fn set_order(numbers: &[i128]) -> Vec<usize> {
    let mut table: Vec<Option<usize>> = vec![None; 8];
    let place = |table: &mut Vec<Option<usize>>, at: usize| {
        let hash = match numbers.get(at).copied().unwrap_or(0) {
            -1 => -2i128,
            n => n % ((1 << 61) - 1),
        } as i64 as u64 as usize;
        let mask = table.len() - 1;
        let (mut perturb, mut slot) = (hash, hash & mask);
        loop {
            let row = if slot + 9 <= mask { slot..=slot + 9 } else { slot..=slot };
            for i in row {
                if let Some(free @ None) = table.get_mut(i) {
                    *free = Some(at);
                    return;
                }
            }
            perturb >>= 5;
            slot = (slot.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb)) & mask;
        }
    };
    for at in 0..numbers.len() {
        place(&mut table, at);
        let used = at + 1;
        if used * 5 >= (table.len() - 1) * 3 {
            let least = if used > 50_000 { used * 2 } else { used * 4 };
            let mut size = 8;
            while size <= least {
                size *= 2;
            }
            let old = std::mem::replace(&mut table, vec![None; size]);
            for i in old.into_iter().flatten() {
                place(&mut table, i);
            }
        }
    }
    table.into_iter().flatten().collect()
}
