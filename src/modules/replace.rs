//! `replace`: every match of an expression in a file.

use super::support::charset::{self, Charset};
use super::support::edit;
use super::support::pyre::{Codec, Pattern};
use super::support::textdiff;
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};

pub fn module() -> Module {
    Module {
        name: "replace",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["dest", "destfile", "name"]).doc("The file."),
            Arg::str("regexp").required().doc("What to replace: a Python expression, `^` and `$` match at lines."),
            Arg::str("replace").default("").doc("What to put there; `\\1` and `\\g<name>` are groups."),
            Arg::str("after").doc("Only what follows a match of this."),
            Arg::str("before").doc("Only what stands before a match of this."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old file."),
            Arg::str("validate").doc("Command that must accept the new file; %s is its path."),
            Arg::str("encoding")
                .default("utf-8")
                .doc("Encoding of the file: utf-8, ascii, latin-1, iso-8859-15, cp1252 or utf-16."),
        ])
        .with_file_args(),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Replace all instances of a particular string in a file using a back-referenced regular expression",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let encoding = args.str("encoding");
    let Some(set) = Charset::named(encoding) else {
        return Err(Failure::new(format!("encoding {encoding} is not supported; {} are", charset::KNOWN)));
    };
    let edit = edit::open(args, "Path")?;
    let old = edit.old.clone().unwrap_or_default();
    let codec = Codec::named(set, &old);
    if set.decode(&old).is_none() && codec != Codec::Bytes {
        return Err(Failure::new(format!("{} is not encoded in {encoding}", edit.shown)));
    }
    let text = codec.decode(&old);
    let (start, end) = match section(args, codec, &text)? {
        Ok(range) => range,
        Err(pattern) => {
            let msg = format!("Pattern for before/after params did not match the given file: {pattern}");
            return Ok(Outcome::ok().msg(msg).set("rc", 0));
        }
    };
    let part = text.get(start..end).unwrap_or_default();
    let pattern = Pattern::new(&codec.arg(args.str("regexp")), true)?;
    let (replaced, count) = pattern
        .replace(part, &codec.arg(args.str("replace")))
        .map_err(|f| Failure { msg: format!("Unable to process replace due to error: {}", f.msg), ..f })?;
    let changed = count > 0 && replaced != part;
    let mut o = Outcome::changed(changed).set("rc", 0);
    let mut msg = String::new();
    if changed {
        let whole = [text.get(..start).unwrap_or_default(), &replaced, text.get(end..).unwrap_or_default()].concat();
        if let Err(c) = set.encode(&whole) {
            return Err(Failure::new(format!("{encoding} has no character {c:?}")));
        }
        let new = codec.encode(&whole);
        msg = format!("{count} replacements made");
        if ctx.want_diff {
            let shown = |d: &[u8]| match codec {
                Codec::Known(set) => set.decode(d).unwrap_or_default().into(),
                Codec::Bytes => textdiff::text(d),
            };
            let d = Diff::new(shown(&old), shown(&new)).headers(&edit.shown, &edit.shown);
            o = o.with_diff(d);
        }
        let backup = edit.write(ctx, &new)?;
        if !backup.is_empty() {
            o = o.set("backup_file", backup);
        }
    }
    let (attrs_changed, _) = edit.attributes(ctx, &mut msg)?;
    o.changed |= attrs_changed;
    Ok(o.msg(msg))
}

/// The bytes between `after` and `before`; the pattern if it is not in the file.
fn section(args: &Args, codec: Codec, text: &str) -> Result<Result<(usize, usize), String>, Failure> {
    let given = |name: &str| args.opt_str(name).filter(|t| !t.is_empty());
    let pattern = match (given("after"), given("before")) {
        (None, None) => return Ok(Ok((0, text.len()))),
        (Some(a), Some(b)) => format!("{a}(?P<subsection>.*?){b}"),
        (Some(a), None) => format!("{a}(?P<subsection>.*)"),
        (None, Some(b)) => format!("(?P<subsection>.*){b}"),
    };
    // a mistake is told by its place in what the task says
    Pattern::new(&codec.arg(&pattern), false)?;
    let p = Pattern::new(&format!("(?s){}", codec.arg(&pattern)), false)?;
    let found = p.search(text)?.and_then(|c| c.name("subsection").map(|m| (m.start(), m.end())));
    Ok(found.ok_or(pattern))
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn every_match_once() {
        let b = bench("replace").file("f", "a=1\nb=2\n");
        let r = b.cycle(json!({"path": "$D/f", "regexp": "^(\\w)=(\\d)$", "replace": "\\2:\\1"}));
        assert_eq!((&r["msg"], b.read("f")), (&json!("2 replacements made"), "1:a\n2:b\n".into()));
        let want =
            json!({"before": "a=1\nb=2\n", "after": "1:a\n2:b\n", "before_header": "$D/f", "after_header": "$D/f"});
        assert_eq!(r["diff"], want);
        assert_eq!(b.real(json!({"path": "$D/f", "regexp": "x"}))["changed"], false);
    }

    #[test]
    fn sections() {
        let b = bench("replace").file("f", "x\n[a]\nx\n[b]\nx\n");
        b.cycle(json!({"path": "$D/f", "regexp": "x", "replace": "y", "after": "\\[a\\]", "before": "\\[b\\]"}));
        assert_eq!(b.read("f"), "x\n[a]\ny\n[b]\nx\n");
        let r = b.real(json!({"path": "$D/f", "regexp": "x", "after": "zzz"}));
        let want = "Pattern for before/after params did not match the given file: zzz(?P<subsection>.*)";
        assert_eq!((&r["msg"], &r["changed"]), (&json!(want), &json!(false)));
    }

    #[test]
    fn other_bytes_stay_and_refusals() {
        let b = bench("replace");
        std::fs::write(b.at("f"), b"\xff=1\r\n\x80").expect("written");
        b.real(json!({"path": "$D/f", "regexp": "1", "replace": "2"}));
        assert_eq!(std::fs::read(b.at("f")).expect("read"), b"\xff=2\r\n\x80");
        assert_eq!(b.real(json!({"path": "$D/no", "regexp": "x"}))["rc"], 257);
        let r = b.real(json!({"path": "$D/f", "regexp": "("}));
        assert!(r["msg"].as_str().is_some_and(|m| m.contains("missing ), unterminated subpattern")), "{r:?}");
        assert_eq!(b.real(json!({"path": "$D/f", "regexp": "x", "encoding": "nope"}))["failed"], true);
        b.real(json!({"path": "$D/f", "regexp": "ÿ", "replace": "ä", "encoding": "latin-1"}));
        assert_eq!(std::fs::read(b.at("f")).expect("read"), b"\xe4=2\r\n\x80");
    }
}
