//! Which lines of two texts belong together, as Python's `difflib.SequenceMatcher` finds them, so that a diff reads
//! line by line as Ansible's: the longest run that both have, then the same to its left and to its right. Lines that
//! are more than one in a hundred of a long text begin no run (<https://docs.python.org/3/library/difflib.html>).

use similar::DiffOp;
use std::collections::HashMap;
use std::hash::Hash;

/// A text this long (in lines) has popular lines.
const LONG: usize = 200;

/// A run of `len` equal lines, from `old` in the first text and from `new` in the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    old: usize,
    new: usize,
    len: usize,
}

/// What turns `old` into `new`, in order, without gaps.
pub fn operations<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<DiffOp> {
    let mut ops = vec![];
    let (mut i, mut j) = (0, 0);
    let end = Run { old: old.len(), new: new.len(), len: 0 };
    for run in runs(old, new).into_iter().chain([end]) {
        let (old_len, new_len) = (run.old - i, run.new - j);
        match (old_len, new_len) {
            (0, 0) => {}
            (_, 0) => ops.push(DiffOp::Delete { old_index: i, old_len, new_index: j }),
            (0, _) => ops.push(DiffOp::Insert { old_index: i, new_index: j, new_len }),
            _ => ops.push(DiffOp::Replace { old_index: i, old_len, new_index: j, new_len }),
        }
        if run.len > 0 {
            ops.push(DiffOp::Equal { old_index: run.old, new_index: run.new, len: run.len });
        }
        (i, j) = (run.old + run.len, run.new + run.len);
    }
    ops
}

/// All runs, in order; those that touch on both sides are one.
fn runs<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<Run> {
    let places = places(new);
    let mut found: Vec<Run> = vec![];
    let mut open = vec![(0..old.len(), 0..new.len())];
    while let Some((a, b)) = open.pop() {
        let run = longest(old, new, &places, a.clone(), b.clone());
        if run.len == 0 {
            continue;
        }
        found.push(run);
        open.push((a.start..run.old, b.start..run.new));
        open.push((run.old + run.len..a.end, run.new + run.len..b.end));
    }
    found.sort();
    let mut joined: Vec<Run> = vec![];
    for run in found {
        match joined.last_mut() {
            Some(l) if l.old + l.len == run.old && l.new + l.len == run.new => l.len += run.len,
            _ => joined.push(run),
        }
    }
    joined
}

/// Where each line stands in `new`, but for popular ones.
fn places<T: Eq + Hash>(new: &[T]) -> HashMap<&T, Vec<usize>> {
    let mut places: HashMap<&T, Vec<usize>> = HashMap::new();
    for (j, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(j);
    }
    if new.len() >= LONG {
        places.retain(|_, at| at.len() <= new.len() / 100 + 1);
    }
    places
}

/// The longest run within the two ranges; of several the first in `old`, then the first in `new`.
fn longest<T: Eq + Hash>(
    old: &[T],
    new: &[T],
    places: &HashMap<&T, Vec<usize>>,
    a: std::ops::Range<usize>,
    b: std::ops::Range<usize>,
) -> Run {
    let mut best = Run { old: a.start, new: b.start, len: 0 };
    // the length of the run that ends at this line of `old` and that one of `new`
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for (i, line) in old.iter().enumerate().take(a.end).skip(a.start) {
        let mut here = HashMap::new();
        let at = places.get(line).map_or(&[][..], Vec::as_slice);
        for j in at.iter().copied().skip_while(|j| *j < b.start).take_while(|j| *j < b.end) {
            let len = 1 + j.checked_sub(1).and_then(|j| ending.get(&j)).unwrap_or(&0);
            here.insert(j, len);
            if len > best.len {
                best = Run { old: i + 1 - len, new: j + 1 - len, len };
            }
        }
        ending = here;
    }
    // popular lines begin no run, but they may continue one
    let same = |i: usize, j: usize| matches!((old.get(i), new.get(j)), (Some(x), Some(y)) if x == y);
    while best.old > a.start && best.new > b.start && same(best.old - 1, best.new - 1) {
        best = Run { old: best.old - 1, new: best.new - 1, len: best.len + 1 };
    }
    while best.old + best.len < a.end && best.new + best.len < b.end && same(best.old + best.len, best.new + best.len) {
        best.len += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `testdata/sequences.json`: pairs of texts (words for lines), with what Python's difflib made of them.
    #[test]
    fn as_python_does() {
        #[derive(serde::Deserialize)]
        struct Case {
            old: String,
            new: String,
            ops: String,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("testdata/sequences.json")).unwrap();
        for c in &cases {
            let old: Vec<&str> = c.old.split_whitespace().collect();
            let new: Vec<&str> = c.new.split_whitespace().collect();
            let ops: Vec<String> = operations(&old, &new)
                .iter()
                .map(|op| {
                    let (tag, a, b) = op.as_tag_tuple();
                    let tag = match tag {
                        similar::DiffTag::Equal => '=',
                        similar::DiffTag::Delete => '-',
                        similar::DiffTag::Insert => '+',
                        similar::DiffTag::Replace => 'r',
                    };
                    format!("{tag}{}:{}:{}:{}", a.start, a.end, b.start, b.end)
                })
                .collect();
            assert_eq!(ops.join(" "), c.ops, "{} / {}", c.old, c.new);
        }
        assert_eq!(cases.len(), 64);
    }
}
