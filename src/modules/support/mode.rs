//! File modes: octal numbers and symbolic expressions, read as Ansible's file modules read them.

use serde_json::Value as Json;

/// A mode that cannot be understood: Ansible's message and its `details`.
#[derive(Debug, PartialEq, Eq)]
pub struct BadMode {
    pub msg: &'static str,
    pub details: String,
}

/// The permission bits that `mode` asks for, on a file whose `st_mode` is `current`.
///
/// An integer is taken as it is (YAML has made a number of `0644` already); text is octal if it can
/// be, and symbolic otherwise. `None` means: nothing asked for.
pub fn wanted(mode: &Json, current: u32) -> Result<Option<u32>, BadMode> {
    let bits = match mode {
        Json::Null => return Ok(None),
        Json::Number(n) => {
            n.as_i64().and_then(|i| u32::try_from(i).ok()).ok_or_else(|| not_permissions(&n.to_string()))?
        }
        Json::String(s) => match octal(s) {
            Some(bits) => bits,
            None => symbolic(s, current).ok_or_else(|| {
                let bad = s.split(',').find(|clause| symbolic(clause, current).is_none()).unwrap_or(s);
                BadMode {
                    msg: "mode must be in octal or symbolic form",
                    details: format!("bad symbolic permission for mode: {bad}"),
                }
            })?,
        },
        other => {
            return Err(BadMode {
                msg: "mode must be in octal or symbolic form",
                details: format!("bad symbolic permission for mode: {other}"),
            });
        }
    };
    if bits > 0o7777 && !matches!(mode, Json::String(_)) {
        return Err(not_permissions(&bits.to_string()));
    }
    Ok(Some(bits))
}

fn not_permissions(given: &str) -> BadMode {
    BadMode { msg: "Invalid mode supplied, only permission info is allowed", details: given.to_owned() }
}

/// Text as an octal number, as Python's `int(text, 8)` reads it (`644`, `0o644`, `0_644`).
fn octal(s: &str) -> Option<u32> {
    let t = s.trim();
    let t = t.strip_prefix("0o").or_else(|| t.strip_prefix("0O")).unwrap_or(t);
    let digits: String = t.chars().filter(|c| *c != '_').collect();
    if t.starts_with('_') || t.ends_with('_') || t.contains("__") || digits.is_empty() {
        return None;
    }
    if digits.chars().all(|c| ('0'..='7').contains(&c)) { u32::from_str_radix(&digits, 8).ok() } else { None }
}

/// `0644`: four digits as Ansible shows modes.
pub fn show(bits: u32) -> String {
    format!("0{:03o}", bits)
}

const DIR: u32 = 0o040000;

/// The bits after a symbolic expression such as `u=rwX,g-w,+x`; `None` if it is not one.
pub fn symbolic(expr: &str, st_mode: u32) -> Option<u32> {
    let is_dir = st_mode & 0o170000 == DIR;
    let mut mode = st_mode & 0o7777;
    for clause in expr.split(',') {
        let who_len = clause.find(['+', '-', '=']).unwrap_or(clause.len());
        if clause.is_empty() {
            continue;
        }
        let (who, mut rest) = clause.split_at(who_len);
        // who without what (`u`) changes nothing
        if !who.chars().all(|c| "ugoa".contains(c)) {
            return None;
        }
        let masked = who.is_empty();
        let who = if masked { "a" } else { who };
        let who = if who.contains('a') { "ugo" } else { who };
        while let Some(op) = rest.chars().next() {
            let body = rest.get(1..)?;
            let end = body.find(['+', '-', '=']).unwrap_or(body.len());
            let (perms, tail) = body.split_at(end);
            let copy = matches!(perms, "u" | "g" | "o");
            if !copy && !perms.chars().all(|c| "rwxXst".contains(c)) {
                return None;
            }
            for class in who.chars() {
                let mut bits = class_bits(class, perms, mode, is_dir);
                if masked {
                    bits &= !(umask() & 0o777);
                }
                match op {
                    '+' => mode |= bits,
                    '-' => mode &= !bits,
                    _ => mode = (mode & !class_mask(class)) | bits,
                }
            }
            rest = tail;
        }
    }
    Some(mode)
}

/// Everything that `=` clears for a class.
fn class_mask(class: char) -> u32 {
    match class {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

fn class_bits(class: char, perms: &str, mode: u32, is_dir: bool) -> u32 {
    let shift = match class {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    let mut bits = 0;
    for c in perms.chars() {
        bits |= match c {
            'r' => 4 << shift,
            'w' => 2 << shift,
            'x' => 1 << shift,
            'X' if is_dir || mode & 0o111 != 0 => 1 << shift,
            's' if class == 'u' => 0o4000,
            's' if class == 'g' => 0o2000,
            't' if class == 'o' => 0o1000,
            'u' => ((mode >> 6) & 7) << shift,
            'g' => ((mode >> 3) & 7) << shift,
            'o' => (mode & 7) << shift,
            _ => 0,
        };
    }
    bits
}

/// The process's umask (there is no way to read it but `/proc` that does not set it).
pub fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("Umask:"))
        .and_then(|v| u32::from_str_radix(v.trim(), 8).ok())
        .unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(mode: Json, current: u32) -> Option<u32> {
        wanted(&mode, current).ok().flatten()
    }

    #[test]
    fn octal_text_and_numbers() {
        assert_eq!(ask(json!("0644"), 0), Some(0o644));
        assert_eq!(ask(json!("644"), 0), Some(0o644));
        assert_eq!(ask(json!("0o644"), 0), Some(0o644));
        assert_eq!(ask(json!(420), 0), Some(0o644));
        // A bare 644 in YAML is decimal: Ansible sets what it says, 01204.
        assert_eq!(ask(json!(644), 0), Some(0o1204));
        assert_eq!(ask(json!(null), 0), None);
        assert!(wanted(&json!("99"), 0).is_err());
        assert!(wanted(&json!(-1), 0).is_err());
    }

    #[test]
    fn symbolic_as_ansible_computes_it() {
        let file = 0o100644;
        assert_eq!(symbolic("u=rw-x+X,g=", file), Some(0o604));
        assert_eq!(symbolic("u=rwx,g+s,o=u", file), Some(0o2747));
        assert_eq!(symbolic("a+X", file), Some(0o644));
        assert_eq!(symbolic("a+X", 0o040644), Some(0o755));
        assert_eq!(symbolic("u+rwX,g-w,o=", 0o100664), Some(0o640));
        assert_eq!(symbolic("o+t", file), Some(0o1644));
        assert_eq!(symbolic("u+q", file), None);
        assert_eq!(symbolic("preserve", file), None);
        assert_eq!(symbolic("", file), Some(0o644));
    }
}
