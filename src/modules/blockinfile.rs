//! `blockinfile`: a block of lines between two marker lines.

use super::support::edit;
use super::support::pyre::{Codec, Pattern};
use super::support::pytext::split_lines_keep;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};

pub fn module() -> Module {
    Module {
        name: "blockinfile",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
            Arg::str("state")
                .choices(&["absent", "present"])
                .default("present")
                .doc("Whether the block shall be there."),
            Arg::str("marker")
                .default("# {mark} ANSIBLE MANAGED BLOCK")
                .doc("The marker lines; {mark} is begin or end."),
            Arg::str("marker_begin").default("BEGIN").doc("{mark} of the first marker."),
            Arg::str("marker_end").default("END").doc("{mark} of the last marker."),
            Arg::str("block").default("").aliases(&["content"]).doc("The lines; none removes the block."),
            Arg::str("insertafter").doc("Where a new block goes: after the last match of this, or EOF."),
            Arg::str("insertbefore").doc("Where a new block goes: before the last match of this, or BOF."),
            Arg::bool("create").default(false).doc("Make the file if it is not there."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old file."),
            Arg::str("validate").doc("Command that must accept the new file; %s is its path."),
            Arg::bool("append_newline").default(false).doc("An empty line after a new block."),
            Arg::bool("prepend_newline").default(false).doc("An empty line before a new block."),
        ])
        .with_file_args()
        .exclusive(&["insertbefore", "insertafter"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Insert/update/remove a text block surrounded by marker lines",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let edit = edit::open(args, "Path")?;
    let present = args.str("state") == "present";
    if edit.old.is_none() && !present && !args.bool("create") {
        return Err(Failure::new(format!("Path {} does not exist !", edit.shown)).set("rc", 257));
    }
    if edit.old.is_none() && !present {
        return Ok(Outcome::ok().msg(format!("File {} not present", edit.shown)));
    }
    let old = edit.old.clone().unwrap_or_default();
    let mark = |n: &str| args.str("marker").replace("{mark}", args.str(n)).into_bytes();
    let (begin, end) = (mark("marker_begin"), mark("marker_end"));
    let mut block = args.str("block").as_bytes().to_vec();
    let mut new_lines: Vec<Vec<u8>> = vec![];
    if present && !block.is_empty() {
        if !block.ends_with(b"\n") {
            block.push(b'\n');
        }
        new_lines.push([begin.as_slice(), b"\n"].concat());
        new_lines.extend(split_lines_keep(&block).into_iter().map(<[u8]>::to_vec));
        new_lines.push([end.as_slice(), b"\n"].concat());
    }
    let mut lines: Vec<Vec<u8>> = split_lines_keep(&old).into_iter().map(<[u8]>::to_vec).collect();
    // The last line counts as a marker also without its end.
    let is = |l: &[u8], m: &[u8]| l.strip_suffix(b"\n").unwrap_or(l) == m;
    let first = lines.iter().rposition(|l| is(l, &begin));
    let last = lines.iter().rposition(|l| is(l, &end));
    let mut at = match (first, last) {
        (Some(a), Some(b)) => {
            let (from, to) = (a.min(b), a.max(b));
            lines.drain(from..=to);
            from
        }
        _ => place(args, &old, &lines)?,
    };
    if let Some(l) = at.checked_sub(1).and_then(|i| lines.get_mut(i)).filter(|l| !l.ends_with(b"\n")) {
        l.push(b'\n');
    }
    let blank = |l: Option<&Vec<u8>>| l.is_some_and(|l| l.as_slice() == b"\n");
    if args.bool("prepend_newline") && present && at != 0 && !blank(lines.get(at - 1)) {
        lines.insert(at, b"\n".to_vec());
        at += 1;
    }
    let after = at + new_lines.len();
    let removed = new_lines.is_empty();
    lines.splice(at..at, new_lines);
    if args.bool("append_newline") && present && after < lines.len() && !blank(lines.get(after)) {
        lines.insert(after, b"\n".to_vec());
    }
    let new = lines.concat();
    let (mut changed, msg) = match &edit.old {
        Some(o) if *o == new => (false, ""),
        None => (true, "File created"),
        Some(_) if removed => (true, "Block removed"),
        Some(_) => (true, "Block inserted"),
    };
    let mut msg = msg.to_owned();
    let mut o = Outcome::ok();
    if changed {
        let backup = edit.write(ctx, &new)?;
        if !backup.is_empty() {
            o = o.set("backup_file", backup);
        }
    }
    if ctx.check && edit.old.is_none() {
        let o = Outcome::changed(changed).msg(msg);
        return Ok(o.with_diff(edit.content_diff(ctx, &new)));
    }
    let (attrs_changed, attrs) = edit.attributes(ctx, &mut msg)?;
    changed |= attrs_changed;
    o.changed = changed;
    Ok(edit.with_diffs(ctx, o.msg(msg), &new, attrs))
}

/// The line before which a new block goes.
fn place(args: &Args, old: &[u8], lines: &[Vec<u8>]) -> Result<usize, Failure> {
    let (after, before) = (args.opt_str("insertafter"), args.opt_str("insertbefore"));
    let end = lines.len();
    let text = match (after, before) {
        (None, None) | (Some("EOF"), _) | (None, Some("EOF")) => return Ok(end),
        (Some("BOF"), _) | (None, Some("BOF")) => return Ok(0),
        (Some(t), _) | (None, Some(t)) => t,
    };
    let codec = Codec::of(old);
    let p = Pattern::new(&codec.arg(text), false)?;
    if text.starts_with("(?") && text.split(')').next().is_some_and(|f| f.contains('m')) {
        // A pattern that says it spans lines is looked for in the whole file.
        let whole = codec.decode(old);
        let Some(m) = p.search(&whole)?.and_then(|c| c.get(0).map(|m| (m.start(), m.end()))) else { return Ok(end) };
        let upto = if after.is_some() { m.1 } else { m.0 };
        let n = whole.get(..upto).unwrap_or_default().matches('\n').count();
        return Ok(if after.is_some() { (n + 1).min(end) } else { n });
    }
    let mut hit = None;
    for (i, l) in lines.iter().enumerate() {
        if p.search(&codec.decode(l))?.is_some() {
            hit = Some(i);
        }
    }
    Ok(match hit {
        None => end,
        Some(i) if after.is_some() => i + 1,
        Some(i) => i,
    })
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn comes_changes_and_goes() {
        let b = bench("blockinfile").file("f", "a\nb\nlast");
        let r = b.cycle(json!({"path": "$D/f", "block": "x\ny"}));
        assert_eq!(r["msg"], "Block inserted");
        assert_eq!(b.read("f"), "a\nb\nlast\n# BEGIN ANSIBLE MANAGED BLOCK\nx\ny\n# END ANSIBLE MANAGED BLOCK\n");
        b.cycle(json!({"path": "$D/f", "block": "z\n"}));
        let r = b.cycle(json!({"path": "$D/f", "state": "absent"}));
        assert_eq!((&r["msg"], b.read("f")), (&json!("Block removed"), "a\nb\nlast\n".into()));
        assert_eq!(
            r["diff"][1],
            json!({"before_header": "$D/f (file attributes)", "after_header": "$D/f (file attributes)"})
        );
    }

    #[test]
    fn placed_with_empty_lines() {
        let b = bench("blockinfile").file("f", "a\nb\nc\n");
        let m = json!({"path": "$D/f", "block": "k", "marker": "; {mark}", "insertbefore": "^b", "append_newline": true, "prepend_newline": true});
        b.cycle(m);
        assert_eq!(b.read("f"), "a\n\n; BEGIN\nk\n; END\n\nb\nc\n");
        let r = b.real(json!({"path": "$D/no", "block": "k"}));
        assert_eq!((&r["msg"], &r["rc"]), (&json!("Path $D/no does not exist !"), &json!(257)));
        assert_eq!(b.real(json!({"path": "$D/new", "block": "k", "create": true}))["msg"], "File created");
    }
}
