//! Shell patterns as Python's `fnmatch` and `glob` have them.

use std::path::{Path, PathBuf};

/// Matches a name against `*`, `?`, `[seq]` and `[!seq]`; there is no escape character.
pub fn fnmatch(name: &str, pattern: &str) -> bool {
    let n: Vec<char> = name.chars().collect();
    let p: Vec<char> = pattern.chars().collect();
    let (mut i, mut j) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while i < n.len() {
        let step = match p.get(j) {
            Some('*') => {
                star = Some((j, i));
                j += 1;
                continue;
            }
            Some('?') => Some(j + 1),
            Some('[') => match set(&p, j) {
                Some((end, negated)) => {
                    let inside = n.get(i).is_some_and(|c| in_set(*c, p.get(j + 1..end).unwrap_or(&[]), negated));
                    inside.then_some(end + 1)
                }
                None => (n.get(i) == Some(&'[')).then_some(j + 1),
            },
            Some(c) => (n.get(i) == Some(c)).then_some(j + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                i += 1;
                j = next;
            }
            (None, Some((sj, si))) => {
                star = Some((sj, si + 1));
                i = si + 1;
                j = sj + 1;
            }
            (None, None) => return false,
        }
    }
    p.get(j..).unwrap_or(&[]).iter().all(|c| *c == '*')
}

/// The end of the set that starts at `j`, and whether it is negated.
fn set(p: &[char], j: usize) -> Option<(usize, bool)> {
    let negated = p.get(j + 1) == Some(&'!');
    let mut k = j + 1 + usize::from(negated);
    if p.get(k) == Some(&']') {
        k += 1;
    }
    while let Some(c) = p.get(k) {
        if *c == ']' {
            return Some((k, negated));
        }
        k += 1;
    }
    None
}

fn in_set(c: char, body: &[char], negated: bool) -> bool {
    let body = if negated { body.get(1..).unwrap_or(&[]) } else { body };
    let mut i = 0;
    let mut found = false;
    while let Some(a) = body.get(i) {
        match (body.get(i + 1), body.get(i + 2)) {
            (Some('-'), Some(b)) => {
                found |= *a <= c && c <= *b;
                i += 3;
            }
            _ => {
                found |= *a == c;
                i += 1;
            }
        }
    }
    found != negated
}

/// True if the text holds a pattern character.
pub fn has_magic(s: &str) -> bool {
    s.contains(['*', '?', '['])
}

/// Paths that match a pattern, relative ones under `base`; sorted. Hidden names need a pattern that
/// starts with a dot.
pub fn glob(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_path_buf() }];
    let parts: Vec<&str> = pattern.split('/').filter(|p| !p.is_empty()).collect();
    for part in &parts {
        let mut next = vec![];
        for dir in &found {
            if has_magic(part) {
                let mut names: Vec<String> = std::fs::read_dir(dir)
                    .map(|d| d.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
                    .unwrap_or_default();
                names.retain(|n| (part.starts_with('.') || !n.starts_with('.')) && fnmatch(n, part));
                names.sort();
                next.extend(names.into_iter().map(|n| dir.join(n)));
            } else {
                let p = dir.join(part);
                if p.symlink_metadata().is_ok() {
                    next.push(p);
                }
            }
        }
        found = next;
    }
    if pattern.ends_with('/') {
        found.retain(|p| p.is_dir());
    }
    if parts.is_empty() && !pattern.starts_with('/') {
        found.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(fnmatch("abc", "a*c") && fnmatch("abc", "a?[a-d]") && fnmatch("a]c", "a[]]c"));
        assert!(!fnmatch("abc", "a[!b]c") && !fnmatch("abc", "ab") && fnmatch("a[", "a["));
        assert!(fnmatch("ansible_eth0", "ansible_eth[0-2]") && fnmatch("", "*") && !fnmatch("", "?"));
    }

    #[test]
    fn paths() {
        assert!(!glob(Path::new("/"), "/etc/pass*").is_empty());
        assert!(!glob(Path::new("/etc"), "passw?").is_empty());
        assert!(glob(Path::new("/etc"), "nope*").is_empty());
        assert!(glob(Path::new("/"), "").is_empty());
    }
}
