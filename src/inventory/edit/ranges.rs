//! Host ranges with one host taken out: `master-[0:2]` less `master-1` is `master-0` and `master-2`.

use crate::diag::Result;
use crate::inventory::hostname::expand;

/// The patterns that stand for all of `pattern` but `host`, each as short as one range can say it.
/// `None` if the pattern does not hold the host.
pub fn without(pattern: &str, host: &str) -> Result<Option<Vec<String>>> {
    let (names, _) = expand(pattern)?;
    if !names.iter().any(|n| n == host) {
        return Ok(None);
    }
    let port = port_of(pattern);
    let rest: Vec<&String> = names.iter().filter(|n| *n != host).collect();
    let Some(r) = single(pattern) else {
        return Ok(Some(rest.into_iter().map(|n| format!("{n}{port}")).collect()));
    };
    // cut the values in runs at the host that goes
    let mut runs: Vec<Vec<usize>> = vec![vec![]];
    for (i, n) in names.iter().enumerate() {
        if n == host {
            runs.push(vec![]);
        } else if let Some(run) = runs.last_mut() {
            run.push(i);
        }
    }
    let value = |i: usize| names[i].strip_prefix(r.before).and_then(|s| s.strip_suffix(r.after.trim_end_matches(port)));
    let mut out = vec![];
    for run in runs.iter().filter(|r| !r.is_empty()) {
        let ends = run.first().zip(run.last()).and_then(|(a, b)| value(*a).zip(value(*b)));
        match ends {
            Some((a, b)) if run.len() > 1 => {
                let step = r.step.map(|s| format!(":{s}")).unwrap_or_default();
                out.push(format!("{}[{a}:{b}{step}]{}", r.before, r.after));
            }
            _ => out.extend(run.iter().map(|i| format!("{}{port}", names[*i]))),
        }
    }
    Ok(Some(out))
}

/// `:22` behind the name, if there is one.
fn port_of(pattern: &str) -> &str {
    match pattern.rfind(':') {
        Some(i)
            if !pattern[i..].contains(']')
                && pattern[i + 1..].chars().all(|c| c.is_ascii_digit())
                && i + 1 < pattern.len() =>
        {
            &pattern[i..]
        }
        _ => "",
    }
}

struct Single<'a> {
    before: &'a str,
    step: Option<&'a str>,
    after: &'a str,
}

/// The parts of a pattern with exactly one range.
fn single(pattern: &str) -> Option<Single<'_>> {
    let open = pattern.find('[')?;
    let close = pattern[open..].find(']')? + open;
    let after = &pattern[close + 1..];
    if after.contains('[') {
        return None;
    }
    let mut parts = pattern[open + 1..close].split(':');
    let (_, _, step) = (parts.next()?, parts.next()?, parts.next());
    Some(Single { before: &pattern[..open], step, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(p: &str, h: &str) -> Option<Vec<String>> {
        without(p, h).expect("a range")
    }
    fn own(l: &[&str]) -> Option<Vec<String>> {
        Some(l.iter().map(|s| s.to_string()).collect())
    }

    #[test]
    fn split() {
        assert_eq!(w("m-[0:4]", "m-2"), own(&["m-[0:1]", "m-[3:4]"]));
        assert_eq!(w("m-[0:2]", "m-0"), own(&["m-[1:2]"]));
        assert_eq!(w("m-[0:2]", "m-9"), None);
        assert_eq!(w("m", "m"), own(&[]));
        assert_eq!(w("m[01:04].x", "m02.x"), own(&["m01.x", "m[03:04].x"]));
        assert_eq!(w("m[a:d]", "mb"), own(&["ma", "m[c:d]"]));
        assert_eq!(w("m[0:8:2]", "m4"), own(&["m[0:2:2]", "m[6:8:2]"]));
        assert_eq!(w("m[0:1]:22", "m0"), own(&["m1:22"]));
        assert_eq!(w("m[0:2]:22", "m0"), own(&["m[1:2]:22"]));
        assert_eq!(w("[0:1]-[0:1]", "0-1"), own(&["0-0", "1-0", "1-1"]));
    }
}
