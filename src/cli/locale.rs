//! The locale of the terminal, which must be one of UTF-8: ansible-core refuses others, and so do we.

/// What is wrong with the locale of the environment, in ansible-core's words.
pub fn complaint() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    judge(&set, exists() || !std::path::Path::new("/usr/lib/locale").exists())
}

/// `set` answers the environment; `exists` is whether the system knows its locale. The database of locales is glibc's:
/// on a system that has none only the name is judged.
fn judge(set: &dyn Fn(&str) -> Option<String>, exists: bool) -> Option<String> {
    if !exists {
        return Some("Ansible could not initialize the preferred locale: unsupported locale setting".into());
    }
    let all = set("LC_ALL");
    let chosen = all.clone().or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_else(|| "C".into());
    // Python takes C.UTF-8 for a bare C that nobody insists on
    if all.is_none() && matches!(chosen.as_str(), "C" | "POSIX") {
        return None;
    }
    let code = chosen.split('@').next().and_then(|n| n.split_once('.')).map(|(_, code)| code);
    if code.is_some_and(|c| matches!(c.to_ascii_lowercase().as_str(), "utf-8" | "utf8")) {
        return None;
    }
    let code = code.map_or("None".into(), |c| c.replace("ISO-8859-", "ISO8859-"));
    Some(format!("Ansible requires the locale encoding to be UTF-8; Detected {code}."))
}

/// Whether the system has the locales that the environment names.
fn exists() -> bool {
    // SAFETY: the name is a C string, and the locale made is freed here alone
    unsafe {
        let locale = libc::newlocale(libc::LC_ALL_MASK, c"".as_ptr(), std::ptr::null_mut());
        if locale.is_null() {
            return false;
        }
        libc::freelocale(locale);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(env: &[(&str, &str)]) -> Option<String> {
        judge(&|name| env.iter().find(|(k, _)| *k == name).map(|(_, v)| v.to_string()), true)
    }

    #[test]
    fn the_locale_must_be_utf_8() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("LC_ALL", "C.UTF-8")]), None);
        assert_eq!(said(&[("LC_CTYPE", "C"), ("LANG", "de_DE.utf8")]), None);
        assert_eq!(said(&[("LANG", "de_DE.UTF-8@euro")]), None);
        let refused = |code| Some(format!("Ansible requires the locale encoding to be UTF-8; Detected {code}."));
        assert_eq!(said(&[("LC_ALL", "C")]), refused("None"));
        assert_eq!(said(&[("LC_ALL", "en_US.ISO-8859-1"), ("LANG", "C.UTF-8")]), refused("ISO8859-1"));
        assert_eq!(said(&[("LC_CTYPE", "en_US.KOI8-R")]), refused("KOI8-R"));
    }
}
