//! `lineinfile`: one line of a file.

use super::support::edit::{self, Edit};
use super::support::pyre::{Codec, Pattern};
use super::support::pytext::{chomp, read_lines};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use fancy_regex::Captures;

pub fn module() -> Module {
    Module {
        name: "lineinfile",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
            Arg::str("state")
                .choices(&["absent", "present"])
                .default("present")
                .doc("Whether the line shall be there."),
            Arg::str("regexp").aliases(&["regex"]).doc("The line to replace or remove: a Python expression."),
            Arg::str("search_string").doc("The line to replace or remove: text that it holds."),
            Arg::str("line").aliases(&["value"]).doc("The line."),
            Arg::bool("backrefs").default(false).doc("Fill groups of regexp into line; no match, no change."),
            Arg::str("insertafter").doc("Where a new line goes: after the last match of this, or EOF."),
            Arg::str("insertbefore").doc("Where a new line goes: before the last match of this, or BOF."),
            Arg::bool("create").default(false).doc("Make the file if it is not there."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old file."),
            Arg::bool("firstmatch").default(false).doc("Use the first match, not the last."),
            Arg::str("validate").doc("Command that must accept the new file; %s is its path."),
        ])
        .with_file_args()
        .exclusive(&["insertbefore", "insertafter"])
        .exclusive(&["regexp", "search_string"])
        .exclusive(&["backrefs", "search_string"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage lines in text files",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let edit = edit::open(args, "Destination")?;
    let empty = |n: &str| args.opt_str(n) == Some("");
    let mut notes = vec![];
    for n in ["regexp", "search_string"] {
        if empty(n) {
            let (what, hint) = if n == "regexp" {
                let hint = " If this is desired, use '^' to match every line in the file and avoid this warning.";
                ("regular expression", hint)
            } else {
                ("search string", "")
            };
            notes.push(format!("The {what} is an empty string, which will match every line in the file. This may have unintended consequences, such as replacing the last line in the file rather than appending.{hint}"));
        }
    }
    let done = match args.str("state") {
        "absent" => absent(ctx, args, &edit),
        _ => present(ctx, args, &edit),
    };
    done.map(|mut o| {
        o.warnings.extend(notes);
        o
    })
}

/// The lines of the file, and how their bytes stand as text.
fn lines_of(edit: &Edit) -> (Vec<Vec<u8>>, Codec) {
    let data = edit.old.as_deref().unwrap_or_default();
    (read_lines(data), Codec::of(data))
}

fn absent(ctx: &Ctx, args: &Args, edit: &Edit) -> ModResult {
    let (regexp, search, line) = (args.opt_str("regexp"), args.opt_str("search_string"), args.opt_str("line"));
    if regexp.is_none() && search.is_none() && line.is_none() {
        return Err("one of line, search_string, or regexp is required with state=absent".into());
    }
    if edit.old.is_none() {
        return Ok(Outcome::ok().msg("file not present"));
    }
    let (lines, codec) = lines_of(edit);
    let pattern = regexp.map(|r| Pattern::new(&codec.arg(r), false)).transpose()?;
    let search = search.map(|s| codec.arg(s));
    let mut kept = Vec::new();
    let mut found = 0usize;
    for l in &lines {
        let text = codec.decode(l);
        let goes = match (&pattern, &search) {
            (Some(p), _) => p.search(&text)?.is_some(),
            (None, Some(s)) => text.contains(s.as_str()),
            (None, None) => line.is_some_and(|w| w.as_bytes() == chomp(l)),
        };
        if goes {
            found += 1;
        } else {
            kept.extend_from_slice(l);
        }
    }
    let mut backup = String::new();
    let mut msg = String::new();
    if found > 0 {
        backup = edit.write(ctx, &kept)?;
        msg = format!("{found} line(s) removed");
    }
    let (attrs_changed, attrs) = edit.attributes(ctx, &mut msg)?;
    let o = Outcome::changed(found > 0 || attrs_changed).set("found", found).msg(msg).set("backup", backup);
    Ok(edit.with_diffs(ctx, o, &kept, attrs))
}

fn present(ctx: &Ctx, args: &Args, edit: &Edit) -> ModResult {
    let backrefs = args.bool("backrefs");
    if backrefs && !args.is_set("regexp") {
        return Err("regexp is required with backrefs=true".into());
    }
    let line = args.opt_str("line").ok_or("line is required with state=present")?;
    let (mut lines, codec) = lines_of(edit);
    let what = place(args, &lines, codec, line)?;
    let msg = match what {
        Place::Keep => "",
        Place::Replace(i, filled) => {
            let mut l = filled.map_or_else(|| line.as_bytes().to_vec(), |text| codec.encode(&text));
            if !l.ends_with(b"\n") {
                l.push(b'\n');
            }
            match lines.get_mut(i) {
                Some(old) if *old != l => {
                    *old = l;
                    "line replaced"
                }
                _ => "",
            }
        }
        Place::Insert(i) => {
            let i = i.min(lines.len());
            // A last line without its end gets one before anything follows it.
            if i == lines.len()
                && let Some(last) = lines.last_mut().filter(|l| !l.ends_with(b"\n") && !l.ends_with(b"\r"))
            {
                last.push(b'\n');
            }
            // a line with an end of its own is followed by an empty one, as in ansible-core
            lines.insert(i, [line.as_bytes(), b"\n"].concat());
            "line added"
        }
    };
    let new = lines.concat();
    let mut changed = !msg.is_empty();
    let mut msg = msg.to_owned();
    let backup = if changed { edit.write(ctx, &new)? } else { String::new() };
    if ctx.check && edit.old.is_none() {
        let o = Outcome::changed(changed).msg(msg).set("backup", backup);
        return Ok(o.with_diff(edit.content_diff(ctx, &new)));
    }
    let (attrs_changed, attrs) = edit.attributes(ctx, &mut msg)?;
    changed |= attrs_changed;
    let o = Outcome::changed(changed).msg(msg).set("backup", backup);
    Ok(edit.with_diffs(ctx, o, &new, attrs))
}

/// What happens to the line.
enum Place {
    Keep,
    /// Replaces line number N, by the line of the task or by one with its groups filled in.
    Replace(usize, Option<String>),
    /// Goes in before line number N.
    Insert(usize),
}

fn place(args: &Args, lines: &[Vec<u8>], codec: Codec, line: &str) -> Result<Place, Failure> {
    let first = args.bool("firstmatch");
    let given = |name: &str| args.opt_str(name).filter(|t| !t.is_empty());
    let (after, before) = (given("insertafter"), given("insertbefore"));
    let texts: Vec<String> = lines.iter().map(|l| codec.decode(l)).collect();
    // The line that regexp or search_string finds.
    let mut hit: Option<(usize, Option<Captures>)> = None;
    let pattern = args.opt_str("regexp").map(|r| Pattern::new(&codec.arg(r), false)).transpose()?;
    let search = args.opt_str("search_string").map(|s| codec.arg(s));
    for (i, text) in texts.iter().enumerate() {
        let found = match (&pattern, &search) {
            (Some(p), _) => p.search(text)?.map(Some),
            (None, Some(s)) => text.contains(s.as_str()).then_some(None),
            (None, None) => None,
        };
        if let Some(f) = found {
            hit = Some((i, f));
            if first {
                break;
            }
        }
    }
    if let Some((i, found)) = hit {
        let filled = match (&pattern, found) {
            (Some(p), Some(c)) if args.bool("backrefs") => Some(p.expand(&c, &codec.arg(line))?),
            _ => None,
        };
        return Ok(Place::Replace(i, filled));
    }
    // Otherwise the same line, or the neighbour that the task names.
    let anchor = match (after, before) {
        (Some("EOF" | "BOF"), _) | (None, Some("BOF" | "EOF")) | (None, None) => None,
        (Some(r), _) | (None, Some(r)) => Some(Pattern::new(&codec.arg(r), false)?),
    };
    let mut exact = None;
    let mut spot = None;
    for (i, text) in texts.iter().enumerate() {
        if lines.get(i).is_some_and(|l| chomp(l) == line.as_bytes()) {
            exact = Some(i);
        } else if let Some(a) = &anchor
            && a.search(text)?.is_some()
        {
            spot = Some(if after.is_some() { i + 1 } else { i });
            if first {
                break;
            }
        }
    }
    if args.bool("backrefs") {
        return Ok(Place::Keep);
    }
    if let Some(i) = exact {
        return Ok(Place::Replace(i, None));
    }
    let same = |i: usize| lines.get(i).is_some_and(|l| chomp(l) == line.as_bytes());
    Ok(match (after, before, spot) {
        (Some("BOF"), _, _) | (_, Some("BOF"), _) => Place::Insert(0),
        (_, _, None) => Place::Insert(lines.len()),
        (_, _, Some(i)) if same(i) => Place::Keep,
        (_, _, Some(i)) => Place::Insert(i),
    })
}

#[cfg(test)]
mod tests;
