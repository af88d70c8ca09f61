//! `ini_file`: options of an INI-like file, comments and order kept.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/ini_file_module.html>.

use super::support::{atomic, fileargs, pytext};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "ini_file",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest"]).doc("The file."),
            Arg::str("section").doc("The section; without it, the options before the first section."),
            Arg::list("section_has_values", Type::Dict)
                .options(
                    Spec::new(vec![Arg::str("option").required(), Arg::str("value"), Arg::list("values", Type::Str)])
                        .exclusive(&["value", "values"]),
                )
                .doc("Options by which the section is told from others of its name."),
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

/// `[name]` of a section heading, which starts its line.
fn heading(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('[')?;
    rest.rfind(']').and_then(|end| rest.get(..end)).map(str::trim)
}

/// The option a line sets, with its value (if any); with `commented` also one behind a comment's sign.
fn option_of<'a>(line: &'a str, option: &str, commented: bool) -> Option<Option<&'a str>> {
    let mut t = line.trim_start_matches([' ', '\t']);
    if commented {
        t = t.strip_prefix(['#', ';']).unwrap_or(t).trim_start_matches([' ', '\t']);
    }
    let rest = t.strip_prefix(option)?;
    let r = rest.trim_end_matches(['\n', '\r']).trim_start_matches([' ', '\t']);
    if r.is_empty() {
        return Some(None);
    }
    r.strip_prefix('=').map(|v| Some(v.trim()))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

fn line_of(option: &str, value: Option<&str>, tight: bool) -> String {
    match value {
        None => format!("{option}\n"),
        Some(v) if tight => format!("{option}={v}\n"),
        Some(v) => format!("{option} = {v}\n"),
    }
}

/// What a section must contain to be the one that is meant.
struct Mark {
    option: String,
    values: Vec<String>,
}

impl Mark {
    fn all(a: &Args) -> Vec<Mark> {
        let list = a.get("section_has_values").as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|m| Mark {
                option: m.get("option").map(json_text).unwrap_or_default(),
                values: match (m.get("value"), m.get("values").and_then(Json::as_array)) {
                    (Some(v), _) if !v.is_null() => vec![json_text(v)],
                    (_, Some(all)) => all.iter().map(json_text).collect(),
                    _ => vec![],
                },
            })
            .collect()
    }
    fn fits(&self, body: &[String]) -> bool {
        let there: Vec<Option<&str>> = body.iter().filter_map(|l| option_of(l, &self.option, false)).collect();
        !there.is_empty() && self.values.iter().all(|v| there.contains(&Some(v.as_str())))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::uncaught(pytext::os_error(&e, path)))
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let present = a.str("state") == "present";
    let mut values: Vec<Option<String>> = vec![];
    for v in a.opt_str("value").map(str::to_owned).into_iter().chain(a.strings("values")) {
        if !values.contains(&Some(v.clone())) {
            values.push(Some(v));
        }
    }
    if present && values.is_empty() {
        if !a.bool("allow_no_value") {
            return Err("Parameter 'value(s)' must be defined if state=present and allow_no_value=False.".into());
        }
        values.push(None);
    }
    let path = fileargs::followed(&PathBuf::from(a.str("path")), a.bool("follow"));
    let exists = path.exists();
    if !exists && !a.bool("create") {
        return Err(Failure::new(format!("Destination {} does not exist!", path.display())).set("rc", 257));
    }
    let raw = if exists { read(&path)? } else { vec![] };
    let raw = pytext::utf8(raw).map_err(Failure::uncaught)?;
    let before = raw.strip_prefix('\u{feff}').unwrap_or(&raw).replace("\r\n", "\n").replace('\r', "\n");
    let (after, msg) = edit(&before, a, &values, present);
    let mut changed = after != before;
    let mut out = Outcome::ok().set("path", a.str("path"));
    let header = format!("{} (content)", a.str("path"));
    let shown = if ctx.want_diff { [before.as_str(), after.as_str()] } else { [""; 2] };
    out = out.with_diff(Diff::new(shown[0], shown[1]).headers(&header, &header));
    if changed && !ctx.check {
        if a.bool("backup") {
            // no name where there was nothing to copy
            out = out.set("backup_file", if exists { atomic::backup(&path)? } else { String::new() });
        }
        if let Some(d) = path.parent()
            && !d.as_os_str().is_empty()
        {
            std::fs::create_dir_all(d)?;
        }
        atomic::write(&path, after.as_bytes(), a.bool("unsafe_writes"))?;
    }
    if path.exists() {
        changed |= fileargs::FileArgs::from_args(a).apply(&path, ctx.check, &mut fileargs::AttrDiff::default())?;
    }
    out.changed = changed;
    out.data.insert("msg".into(), json!(msg));
    fileargs::add_path_info(&mut out.data);
    Ok(out)
}

/// The lines of the section that is meant: from behind its heading to the next one.
fn range_of(lines: &[String], section: Option<&str>, marks: &[Mark]) -> Option<(usize, usize)> {
    let end_from =
        |start: usize| lines.iter().skip(start).position(|l| heading(l).is_some()).map_or(lines.len(), |n| start + n);
    let Some(section) = section else { return Some((0, end_from(0))) };
    lines
        .iter()
        .enumerate()
        .filter(|(_, l)| heading(l) == Some(section.trim()))
        .map(|(i, _)| (i + 1, end_from(i + 1)))
        .find(|(start, end)| lines.get(*start..*end).is_some_and(|body| marks.iter().all(|m| m.fits(body))))
}

/// The new text, and what happened to it in the module's words.
fn edit(before: &str, a: &Args, values: &[Option<String>], present: bool) -> (String, &'static str) {
    let section = a.opt_str("section").filter(|s| !s.is_empty());
    let option = a.opt_str("option").filter(|o| !o.is_empty());
    let tight = a.bool("no_extra_spaces");
    let mut lines: Vec<String> = before.split_inclusive('\n').map(str::to_string).collect();
    if let Some(l) = lines.last_mut()
        && !l.ends_with('\n')
    {
        l.push('\n');
    }
    let marks = Mark::all(a);
    let Some((start, end)) = range_of(&lines, section, &marks) else {
        if !present {
            return (lines.concat(), "OK");
        }
        if lines.is_empty() {
            lines.push("\n".into());
        }
        lines.push(format!("[{}]\n", section.unwrap_or_default()));
        for m in &marks {
            lines.extend(m.values.iter().map(|v| line_of(&m.option, Some(v), tight)));
        }
        if let Some(o) = option {
            lines.extend(values.iter().map(|v| line_of(o, v.as_deref(), tight)));
            return (lines.concat(), "section and option added");
        }
        return (lines.concat(), "only section added");
    };
    let Some(option) = option else {
        if present || (section.is_none() && start == end) {
            return (lines.concat(), "OK");
        }
        lines.drain(if section.is_some() { start - 1 } else { start }..end);
        return (lines.concat(), "section removed");
    };
    let body: Vec<String> = lines.get(start..end).unwrap_or_default().to_vec();
    let old = body.concat();
    let (new, msg) = if present { set(body, a, option, values) } else { unset(body, a, option, values) };
    let same = new.concat() == old;
    if lines.is_empty() {
        // an empty file counts as an empty line
        lines.push("\n".into());
    }
    lines.splice(start..end, new);
    let msg = if same { "OK" } else { msg };
    if same && before.is_empty() { (String::new(), msg) } else { (lines.concat(), msg) }
}

/// A section's lines with these values of the option.
fn set(body: Vec<String>, a: &Args, option: &str, values: &[Option<String>]) -> (Vec<String>, &'static str) {
    let (tight, exclusive, inactive) =
        (a.bool("no_extra_spaces"), a.bool("exclusive"), a.bool("modify_inactive_option"));
    let mut left: Vec<Option<String>> = values.to_vec();
    // None: another line. Some(false): the option, with no wanted value yet.
    let mut state: Vec<Option<bool>> = body.iter().map(|l| option_of(l, option, inactive).map(|_| false)).collect();
    let mut lines = body;
    for (l, placed) in lines.iter_mut().zip(state.iter_mut()) {
        let now = option_of(l, option, inactive).map(|v| v.map(str::to_owned));
        if let Some(v) = now
            && let Some(n) = left.iter().position(|w| *w == v)
        {
            let new = line_of(option, left.remove(n).as_deref(), tight);
            if is_comment(l) || !a.bool("ignore_spaces") {
                *l = new;
            }
            *placed = Some(true);
        }
    }
    if exclusive {
        // the others make way, or go
        for (l, placed) in lines.iter_mut().zip(state.iter_mut()) {
            if *placed == Some(false) && !left.is_empty() {
                *l = line_of(option, left.remove(0).as_deref(), tight);
                *placed = Some(true);
            }
        }
        let mut places = state.iter();
        lines.retain(|_| places.next() != Some(&Some(false)));
    }
    if left.is_empty() {
        return (lines, "option changed");
    }
    // behind the section's last line that says something
    let at = lines.iter().rposition(|l| !l.trim().is_empty() && !is_comment(l)).map_or(0, |i| i + 1);
    for (n, v) in left.iter().enumerate() {
        lines.insert(at + n, line_of(option, v.as_deref(), tight));
    }
    (lines, "option added")
}

/// A section's lines without the option, or without these values of it.
fn unset(body: Vec<String>, a: &Args, option: &str, values: &[Option<String>]) -> (Vec<String>, &'static str) {
    let all = a.bool("exclusive");
    let keeps = |l: &String| match option_of(l, option, false) {
        Some(v) => !all && !values.iter().any(|w| w.as_deref() == v),
        None => true,
    };
    (body.into_iter().filter(keeps).collect(), "option changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str, args: Json) -> (String, String) {
        let d = tempfile::tempdir().expect("a directory");
        let p = d.path().join("f.ini");
        std::fs::write(&p, text).expect("writes");
        let mut m = args.as_object().cloned().unwrap_or_default();
        m.insert("path".into(), p.to_string_lossy().into_owned().into());
        let r = crate::modules::run(&module(), &mut Ctx::bare(), &m);
        (r["msg"].as_str().unwrap_or("").to_string(), std::fs::read_to_string(&p).expect("reads"))
    }

    const PEERS: &str = "[p]\nip = 1\nk = a\n[p]\nip = 2\nk = b\n[p]\nip = 3\nip=4\n";

    #[test]
    fn sections_of_one_name() {
        let by = |marks: Json, more: Json| {
            let mut args = json!({"section": "p", "section_has_values": marks});
            args.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
            call(PEERS, args)
        };
        let two = json!([{"option": "ip", "value": "2"}]);
        let r = by(two.clone(), json!({"option": "k", "value": "c"}));
        assert_eq!(r, ("option changed".into(), PEERS.replace("k = b", "k = c")));
        assert_eq!(by(two, json!({"state": "absent"})).1, PEERS.replace("[p]\nip = 2\nk = b\n", ""));
        let r = by(json!([{"option": "ip", "values": ["3", "4"]}]), json!({"option": "k", "value": "d"}));
        assert_eq!(r, ("option added".into(), format!("{PEERS}k = d\n")));
        let r =
            by(json!([{"option": "ip", "values": ["7", "8"]}, {"option": "w"}]), json!({"option": "k", "value": "e"}));
        assert_eq!(r, ("section and option added".into(), format!("{PEERS}[p]\nip = 7\nip = 8\nk = e\n")));
        assert_eq!(
            by(json!([{"option": "ip", "value": "9"}]), json!({"state": "absent"})),
            ("OK".into(), PEERS.into())
        );
    }

    #[test]
    fn commented_options() {
        let text = "x = 9\n# x = 10\n  x = 11\n";
        for (more, after) in [
            (json!({"value": "10"}), "x = 10\n"),
            (json!({"value": "9"}), "x = 9\n"),
            (json!({"value": "10", "exclusive": false}), "x = 9\nx = 10\n  x = 11\n"),
            (json!({"value": "12", "exclusive": false}), "x = 9\n# x = 10\n  x = 11\nx = 12\n"),
            (json!({"value": "10", "modify_inactive_option": false}), "x = 10\n# x = 10\n"),
            (json!({"value": "11", "modify_inactive_option": false}), "# x = 10\nx = 11\n"),
            (json!({"value": "11", "ignore_spaces": true}), "  x = 11\n"),
            (json!({"state": "absent"}), "# x = 10\n"),
            (json!({"state": "absent", "value": "9", "exclusive": false}), "# x = 10\n  x = 11\n"),
        ] {
            let mut args = json!({"option": "x"});
            args.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
            assert_eq!(call(text, args).1, after, "{more}");
        }
    }

    #[test]
    fn odd_files() {
        let b = json!({"option": "b", "value": "2"});
        assert_eq!(call("", b.clone()).1, "b = 2\n\n");
        assert_eq!(call("", json!({"section": "x", "option": "b", "value": "2"})).1, "\n[x]\nb = 2\n");
        assert_eq!(call("a=1\n\n[s]\n", b.clone()).1, "a=1\nb = 2\n\n[s]\n");
        assert_eq!(call("\u{feff}b=1\r\n[s]\r\n", b).1, "b = 2\n[s]\n");
        assert_eq!(
            call("a=1", json!({"option": "a", "value": "1", "ignore_spaces": true})),
            ("OK".into(), "a=1\n".into())
        );
        assert_eq!(
            call("a=1\n[s]\nx=1\n", json!({"state": "absent"})),
            ("section removed".into(), "[s]\nx=1\n".into())
        );
        assert_eq!(
            call("", json!({"section": "n", "allow_no_value": true})),
            ("only section added".into(), "\n[n]\n".into())
        );
        // a heading starts its line, and its name may have blanks around
        let text = "  [s]\n# c\n[ t ]\n#x\n";
        assert_eq!(call(text, json!({"section": "t", "option": "x", "value": "1"})).1, "  [s]\n# c\n[ t ]\nx = 1\n");
        assert_eq!(call(text, json!({"option": "z", "value": "1"})).1, "  [s]\nz = 1\n# c\n[ t ]\n#x\n");
    }

    const T: &str = "a = 1\n[s]\n# c\nx = 1\n;y = 2\n\n[t]\nx=9\n";

    #[test]
    fn options() {
        assert_eq!(call(T, json!({"section": "s", "option": "x", "value": "2"})).1, T.replace("x = 1", "x = 2"));
        assert_eq!(call(T, json!({"section": "s", "option": "x", "value": "1"})), ("OK".into(), T.into()));
        assert_eq!(call(T, json!({"section": "s", "option": "y", "value": "3"})).1, T.replace(";y = 2", "y = 3"));
        assert_eq!(
            call(T, json!({"section": "s", "option": "z", "value": "3"})),
            ("option added".into(), T.replace("x = 1\n", "x = 1\nz = 3\n"))
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
