//! What a template knows about itself: `template_path`, `template_host` … and `ansible_managed`.

use super::Scope;
use super::filters::time::{DateTime, strftime};
use crate::diag::{Error, Result};
use crate::settings;
use crate::value::{Map, Value};
use camino::Utf8Path;
use jiff::tz::TimeZone;
use std::os::unix::fs::MetadataExt;

/// The variables in front of a template file's own in this scope: `src` is its name as written, `dest` is empty for a
/// lookup.
/// Errors: the setting `ansible_managed` cannot be filled in.
pub fn variables(src: &str, path: &Utf8Path, dest: &str, scope: &Scope) -> Result<Map> {
    let meta = std::fs::metadata(path).ok();
    let mtime = meta.as_ref().and_then(|m| jiff::Timestamp::from_second(m.mtime()).ok());
    let show = |t: jiff::Timestamp| t.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let uid = meta.as_ref().map(MetadataExt::uid).unwrap_or_default();
    let user = scope.files.user_name.and_then(|name| name(uid)).unwrap_or_else(|| uid.to_string());
    let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let mut m = Map::new();
    // a variable of this name is stronger than the setting
    if scope.vars.get("ansible_managed")?.is_none() {
        m.insert("ansible_managed".into(), managed(&host, &user, src, mtime)?);
    }
    for (name, value) in [
        ("template_host", host.as_str()),
        ("template_path", src),
        ("template_fullpath", path.as_str()),
        ("template_destpath", dest),
        ("template_uid", user.as_str()),
        ("template_run_date", &show(jiff::Timestamp::now())),
        ("template_mtime", &mtime.map(show).unwrap_or_default()),
    ] {
        m.insert(name.into(), value.into());
    }
    Ok(m)
}

/// The setting `ansible_managed`: a template, after `{file}`, `{host}` and `{uid}` and the template's time were put in.
fn managed(host: &str, uid: &str, file: &str, mtime: Option<jiff::Timestamp>) -> Result<Value> {
    let found = settings::current().get("DEFAULT_MANAGED_STR").transpose()?;
    let Some(text) = found.filter(|f| f.origin != "default").map(|f| f.value.to_str()) else {
        return Ok("Ansible managed".into());
    };
    let time = mtime.unwrap_or_else(jiff::Timestamp::now);
    let zoned = time.to_zoned(TimeZone::system());
    let at = DateTime {
        at: zoned.datetime(),
        offset: Some(zoned.offset().seconds()),
        zone: zoned.strftime("%Z").to_string(),
    };
    let dated = |s: &str| strftime(s, &at, time.as_second());
    filled(&text, &dated, &[("file", file), ("host", host), ("uid", uid)]).map(|t| Value::trusted(t, None))
}

/// `text` with its `{name}` replaced as Python's `format` does it, and `dated` applied to all but the values.
fn filled(text: &str, dated: &dyn Fn(&str) -> String, values: &[(&str, &str)]) -> Result<String> {
    let wrong = |why: String| Error::general(format!("the setting ansible_managed cannot be filled in: {why}"));
    let (mut out, mut plain, mut rest) = (String::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if matches!(c, '{' | '}') && after.starts_with(c) {
            plain.push(c);
            rest = &after[1..];
            continue;
        }
        match c {
            '}' => return Err(wrong("Single '}' encountered in format string".into())),
            '{' => {
                let (name, behind) =
                    after.split_once('}').ok_or_else(|| wrong("expected '}' before end of string".into()))?;
                let Some((_, value)) = values.iter().find(|(n, _)| *n == name) else {
                    return Err(wrong(format!("'{name}'")).help("It may name {file}, {host} and {uid}."));
                };
                out.push_str(&dated(&plain));
                plain.clear();
                out.push_str(&literal(value));
                rest = behind;
            }
            c => {
                plain.push(c);
                rest = after;
            }
        }
    }
    out.push_str(&dated(&plain));
    Ok(out)
}

/// A value within a template that is text there whatever it holds: a file's name is no template.
fn literal(value: &str) -> String {
    if !["{{", "{%", "{#"].iter().any(|s| value.contains(s)) {
        return value.into();
    }
    format!("{{{{ '{}' }}}}", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, file: &str) -> Result<String> {
        filled(text, &|s| s.replace("%Y", "2020").replace("%%", "%"), &[("file", file), ("uid", "me")])
    }

    #[test]
    fn names_and_times_are_put_in_and_values_stay() {
        assert_eq!(fill("{file} of %Y by {uid} 5%%", "a.j2").unwrap(), "a.j2 of 2020 by me 5%");
        assert_eq!(fill("{file}", "%Y.j2").unwrap(), "%Y.j2");
        assert_eq!(fill("{{{{ 1 + 1 }}}} ü", "a").unwrap(), "{{ 1 + 1 }} ü");
    }

    #[test]
    fn a_file_name_is_no_template() {
        assert_eq!(fill("{file}", "a{{ 1 }}'.j2").unwrap(), "{{ 'a{{ 1 }}\\'.j2' }}");
    }

    #[test]
    fn what_cannot_be_filled_is_an_error_with_its_reason() {
        for (text, why) in [("{nosuch}", "'nosuch'"), ("a } b", "Single '}'"), ("{file", "expected '}'")] {
            let e = fill(text, "x").unwrap_err();
            assert!(e.message().contains(why), "{text}: {}", e.message());
        }
    }
}
