//! `ini_file`: options of an INI-like file, comments and order kept.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/ini_file_module.html>.

use super::support::{atomic, fileargs};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::json;
use std::path::PathBuf;

pub fn module() -> Module {
    Module {
        name: "ini_file",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest"]).doc("The file."),
            Arg::str("section").doc("The section; without it, the options before the first section."),
            Arg::list("section_has_values", Type::Dict).doc("Not supported; refused when given."),
            Arg::str("option").doc("The option; without it the whole section is meant."),
            Arg::str("value").doc("The option's value."),
            Arg::list("values", Type::Str).doc("All values of an option that stands more than once."),
            Arg::bool("backup").default(false),
            Arg::str("state").choices(&["absent", "present"]).default("present"),
            Arg::bool("exclusive").default(true).doc("Other values of the option go."),
            Arg::bool("no_extra_spaces").default(false).doc("No spaces around the equals sign."),
            Arg::bool("ignore_spaces").default(false).doc("Leave a line that differs in spaces only."),
            Arg::bool("create").default(true),
            Arg::bool("allow_no_value").default(false),
            Arg::bool("modify_inactive_option").default(true).doc("Use a commented line of the option."),
            Arg::bool("follow").default(false),
        ])
        .with_file_args()
        .exclusive(&["value", "values"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Set, change and remove options of INI files.",
        run,
    }
}

/// `[name]` of a section heading.
fn heading(line: &str) -> Option<&str> {
    let t = line.trim();
    t.strip_prefix('[')?.split(']').next()
}

/// The option a line sets, with its value (if any); `active` only, or commented ones too.
fn option_of<'a>(line: &'a str, option: &str, commented: bool) -> Option<Option<&'a str>> {
    let mut t = line.trim_start_matches([' ', '\t']);
    if commented {
        t = t.trim_start_matches(['#', ';', ' ', '\t']);
    }
    let rest = t.strip_prefix(option)?;
    let rest = rest.trim_end_matches(['\n', '\r']);
    let r = rest.trim_start_matches([' ', '\t']);
    if r.is_empty() {
        return Some(None);
    }
    r.strip_prefix('=').map(|v| Some(v.trim()))
}

fn line_of(option: &str, value: Option<&str>, tight: bool) -> String {
    match value {
        None => format!("{option}\n"),
        Some(v) if tight => format!("{option}={v}\n"),
        Some(v) => format!("{option} = {v}\n"),
    }
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    if a.is_set("section_has_values") {
        return Err("section_has_values is not supported".into());
    }
    let path = fileargs::followed(&PathBuf::from(a.str("path")), a.bool("follow"));
    let exists = path.exists();
    if !exists && !a.bool("create") {
        return Err(Failure::new(format!("Destination {} does not exist!", path.display())).set("rc", 257));
    }
    let before = if exists { std::fs::read_to_string(&path)? } else { String::new() };
    let present = a.str("state") == "present";
    let mut values: Vec<Option<String>> = match (a.opt_str("value"), a.is_set("values")) {
        (Some(v), _) => vec![Some(v.to_string())],
        (None, true) => a.strings("values").into_iter().map(Some).collect(),
        _ => vec![],
    };
    if present && a.is_set("option") && values.is_empty() {
        if !a.bool("allow_no_value") {
            return Err("Parameter 'value(s)' must be defined if state=present and option is set.".into());
        }
        values.push(None);
    }
    values.dedup();
    let (after, msg) = edit(&before, a, &values, present);
    let mut changed = after != before;
    let mut out = Outcome::ok().set("path", path.to_string_lossy().into_owned());
    let header = format!("{} (content)", path.display());
    let mut diffs = vec![Diff::new(before.as_str(), after.as_str()).headers(&header, &header)];
    if changed && !ctx.check {
        if a.bool("backup") && exists {
            out = out.set("backup_file", atomic::backup(&path)?);
        }
        if let Some(d) = path.parent()
            && !d.as_os_str().is_empty()
        {
            std::fs::create_dir_all(d)?;
        }
        atomic::write(&path, after.as_bytes(), a.bool("unsafe_writes"))?;
    }
    if path.exists() {
        let mut attrs = fileargs::AttrDiff::default();
        changed |= fileargs::FileArgs::from_args(a).apply(&path, ctx.check, &mut attrs)?;
        let name = path.to_string_lossy().into_owned();
        let mut d = attrs.into_diff();
        d.before_header = Some(format!("{name} (file attributes)"));
        d.after_header = Some(format!("{name} (file attributes)"));
        diffs.push(d);
    }
    out.changed = changed;
    out.diff = diffs;
    out.data.insert("msg".into(), json!(msg));
    fileargs::add_path_info(&mut out.data);
    Ok(out)
}

/// The new text, and what happened to it in the module's words.
fn edit(before: &str, a: &Args, values: &[Option<String>], present: bool) -> (String, &'static str) {
    let section = a.opt_str("section").filter(|s| !s.is_empty());
    let mut lines: Vec<String> = before.split_inclusive('\n').map(str::to_string).collect();
    if let Some(l) = lines.last_mut()
        && !l.ends_with('\n')
    {
        l.push('\n');
    }
    // the lines of the section: from behind its heading to the next one
    let range = match section {
        None => Some((0, lines.iter().position(|l| heading(l).is_some()).unwrap_or(lines.len()))),
        Some(s) => lines.iter().position(|l| heading(l) == Some(s)).map(|i| {
            let end = lines[i + 1..].iter().position(|l| heading(l).is_some()).map_or(lines.len(), |n| i + 1 + n);
            (i + 1, end)
        }),
    };
    let Some(option) = a.opt_str("option") else {
        return whole_section(lines, section, range, present, before);
    };
    let Some((start, end)) = range else {
        if !present {
            return (before.to_string(), "OK");
        }
        let mut text: String = lines.concat();
        if let Some(s) = section {
            text.push_str(&format!("[{s}]\n"));
        }
        for v in values {
            text.push_str(&line_of(option, v.as_deref(), a.bool("no_extra_spaces")));
        }
        return (text, "section and option added");
    };
    let body: Vec<String> = lines[start..end].to_vec();
    let (new, msg) = if present { set(body, a, option, values) } else { unset(body, a, option, values) };
    lines.splice(start..end, new);
    let text = lines.concat();
    if text == before { (text, "OK") } else { (text, msg) }
}

fn whole_section(
    mut lines: Vec<String>,
    section: Option<&str>,
    range: Option<(usize, usize)>,
    present: bool,
    before: &str,
) -> (String, &'static str) {
    match (section, range, present) {
        (Some(_), Some((start, end)), false) => {
            lines.drain(start - 1..end);
            (lines.concat(), "section removed")
        }
        (Some(s), None, true) => {
            lines.push(format!("[{s}]\n"));
            (lines.concat(), "only section added")
        }
        _ => (before.to_string(), "OK"),
    }
}

fn set(mut body: Vec<String>, a: &Args, option: &str, values: &[Option<String>]) -> (Vec<String>, &'static str) {
    let mut left: Vec<Option<String>> = values.to_vec();
    let mut msg = "option changed";
    let mut placed = vec![false; body.len()];
    // lines that have a wanted value already
    for (i, l) in body.iter_mut().enumerate() {
        if let Some(v) = option_of(l, option, false)
            && let Some(n) = left.iter().position(|w| w.as_deref() == v)
        {
            let value = left.remove(n);
            placed[i] = true;
            let new = line_of(option, value.as_deref(), a.bool("no_extra_spaces"));
            if !a.bool("ignore_spaces") {
                *l = new;
            }
        }
    }
    // then lines whose value makes way; active ones first, commented ones if allowed
    for commented in [false, true] {
        if commented && !a.bool("modify_inactive_option") {
            continue;
        }
        for (i, l) in body.iter_mut().enumerate() {
            let is_comment = l.trim_start().starts_with(['#', ';']);
            if placed[i] || left.is_empty() || is_comment != commented || (!a.bool("exclusive") && !commented) {
                continue;
            }
            if option_of(l, option, commented).is_some() {
                *l = line_of(option, left.remove(0).as_deref(), a.bool("no_extra_spaces"));
                placed[i] = true;
            }
        }
    }
    let mut keep = vec![];
    for (l, placed) in body.into_iter().zip(placed) {
        let extra = a.bool("exclusive") && !placed && option_of(&l, option, false).is_some();
        if !extra {
            keep.push(l);
        }
    }
    if !left.is_empty() {
        msg = "option added";
        // behind the section's last line that is not blank
        let at = keep.iter().rposition(|l| !l.trim().is_empty()).map_or(0, |i| i + 1);
        for (n, v) in left.iter().enumerate() {
            keep.insert(at + n, line_of(option, v.as_deref(), a.bool("no_extra_spaces")));
        }
    }
    (keep, msg)
}

fn unset(body: Vec<String>, a: &Args, option: &str, values: &[Option<String>]) -> (Vec<String>, &'static str) {
    let all = values.is_empty() || a.bool("exclusive");
    let new = body
        .into_iter()
        .filter(|l| match option_of(l, option, false) {
            Some(v) => !all && !values.iter().any(|w| w.as_deref() == v),
            None => true,
        })
        .collect();
    (new, "option changed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn call(text: &str, args: Json) -> (String, String) {
        let d = tempfile::tempdir().expect("a directory");
        let p = d.path().join("f.ini");
        std::fs::write(&p, text).expect("writes");
        let mut m = args.as_object().cloned().unwrap_or_default();
        m.insert("path".into(), p.to_string_lossy().into_owned().into());
        let r = crate::modules::run(&module(), &mut Ctx::bare(), &m);
        (r["msg"].as_str().unwrap_or("").to_string(), std::fs::read_to_string(&p).expect("reads"))
    }

    const T: &str = "a = 1\n[s]\n# c\nx = 1\n;y = 2\n\n[t]\nx=9\n";

    #[test]
    fn options() {
        assert_eq!(call(T, json!({"section": "s", "option": "x", "value": "2"})).1, T.replace("x = 1", "x = 2"));
        assert_eq!(call(T, json!({"section": "s", "option": "x", "value": "1"})), ("OK".into(), T.into()));
        assert_eq!(call(T, json!({"section": "s", "option": "y", "value": "3"})).1, T.replace(";y = 2", "y = 3"));
        assert_eq!(
            call(T, json!({"section": "s", "option": "z", "value": "3"})),
            ("option added".into(), T.replace(";y = 2\n", ";y = 2\nz = 3\n"))
        );
        assert_eq!(call(T, json!({"section": "t", "option": "x", "state": "absent"})).1, T.replace("x=9\n", ""));
        assert_eq!(
            call(T, json!({"section": "u", "option": "k", "value": "v", "no_extra_spaces": true})),
            ("section and option added".into(), format!("{T}[u]\nk=v\n"))
        );
        assert_eq!(call(T, json!({"option": "a", "value": "5"})).1, T.replace("a = 1", "a = 5"));
        assert_eq!(
            call(T, json!({"section": "s", "state": "absent"})),
            ("section removed".into(), "a = 1\n[t]\nx=9\n".into())
        );
    }
}
