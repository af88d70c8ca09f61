//! `pam_limits` (community.general): limits of users and groups in limits.conf(5).
//!
//! After <https://docs.ansible.com/ansible/latest/collections/community/general/pam_limits_module.html>.

use super::support::{atomic, fileargs::real_path};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::Path;

const ITEMS: &[&str] = &[
    "core",
    "data",
    "fsize",
    "memlock",
    "nofile",
    "rss",
    "stack",
    "cpu",
    "nproc",
    "as",
    "maxlogins",
    "maxsyslogins",
    "priority",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "chroot",
];

pub fn module() -> Module {
    Module {
        name: "pam_limits",
        collection: "community.general",
        spec: Spec::new(vec![
            Arg::str("domain").required().doc("A user, an @group, a wildcard or a range of ids."),
            Arg::str("limit_type").required().choices(&["hard", "soft", "-"]),
            Arg::str("limit_item").required().choices(ITEMS).doc("What is limited."),
            Arg::str("value").required().doc("The limit; `unlimited`, `infinity` or -1 for none."),
            Arg::bool("use_max").default(false).doc("Keep a larger limit that is there."),
            Arg::bool("use_min").default(false).doc("Keep a smaller limit that is there."),
            Arg::bool("backup").default(false),
            Arg::str("dest").default("/etc/security/limits.conf").doc("The file."),
            Arg::str("comment").default("").doc("A comment behind the limit."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Modify Linux PAM limits",
        run,
    }
}

const MANUAL: &str = "Refer to the limits.conf(5) manual pages for more details.";

/// A limit that can be compared: how much, or none at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Number(i64),
    Unlimited,
}

/// Reads the limit of an item; the error says what it may be.
fn limit(item: &str, text: &str) -> Result<Limit, Failure> {
    let refused =
        |rule: &str| Err(Failure::new(format!(" Value of '{text}' for item '{item}' is invalid. {rule} {MANUAL}")));
    let number = text.parse::<i64>().ok();
    if matches!(item, "nice" | "priority") {
        return match number {
            Some(n @ -20..=19) => Ok(Limit::Number(n)),
            _ => refused("Value must be a number in the range -20 to 19 inclusive."),
        };
    }
    match number {
        Some(-1) => Ok(Limit::Unlimited),
        Some(n) if n >= 0 => Ok(Limit::Number(n)),
        None if matches!(text, "unlimited" | "infinity") => Ok(Limit::Unlimited),
        _ => refused(
            "Value must either be 'unlimited', 'infinity' or -1, all of which indicate no limit, or a limit of 0 or larger.",
        ),
    }
}

/// What a task asks for.
struct Wanted<'a> {
    fields: [&'a str; 3],
    value: &'a str,
    limit: Limit,
    comment: &'a str,
    keep: fn(Limit, Limit) -> bool,
}

impl Wanted<'_> {
    fn line(&self, value: &str, comment: &str) -> String {
        let [domain, kind, item] = self.fields;
        let start = format!("{domain}\t{kind}\t{item}\t{value}");
        if comment.is_empty() { start } else { format!("{start}\t{comment}") }
    }
    /// The text with the limit in it, and the line that says it.
    fn edited(&self, text: &str) -> Result<(String, String), Failure> {
        let [_, _, item] = self.fields;
        let mut out = String::new();
        let mut found = None;
        for line in text.split_inclusive('\n') {
            let (body, note) = line.split_once('#').map_or((line, ""), |(b, n)| (b, n.trim_end()));
            let words: Vec<&str> = body.split_whitespace().collect();
            let (true, &[_, _, _, old]) = (words.get(..3) == Some(&self.fields[..]), words.as_slice()) else {
                out.push_str(line);
                continue;
            };
            let own = if line.contains('#') { format!("#{note}") } else { String::new() };
            // a value of the file that says nothing makes way
            let keeps = old == self.value || limit(item, old).is_ok_and(|o| (self.keep)(o, self.limit));
            if keeps {
                out.push_str(line);
                found = Some(line.trim_end().to_owned());
            } else {
                let comment = if self.comment.is_empty() { own } else { format!("#{}", self.comment) };
                let new = self.line(self.value, &comment);
                out.push_str(&new);
                out.push('\n');
                found = Some(new);
            }
        }
        let line = match found {
            Some(l) => l,
            None => {
                let comment = if self.comment.is_empty() { String::new() } else { format!("#{}", self.comment) };
                let new = self.line(self.value, &comment);
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                out.push_str(&format!("{new}\n"));
                new
            }
        };
        Ok((out, format!("{line}\n")))
    }
}

fn writable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let dest = Path::new(args.str("dest"));
    if dest.exists() {
        if !writable(dest) {
            return Err(Failure::new(format!("{} is not writable. Use sudo", dest.display())));
        }
    } else {
        let dir = dest.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !writable(dir) {
            let dir = dir.display();
            return Err(Failure::new(format!(
                "directory {dir} is not writable (check presence, access rights, use sudo)"
            )));
        }
    }
    let keep: fn(Limit, Limit) -> bool = match (args.bool("use_max"), args.bool("use_min")) {
        (true, true) => return Err("Cannot use use_min and use_max at the same time.".into()),
        (true, false) => |old, new| old >= new,
        (false, true) => |old, new| old <= new,
        (false, false) => |_, _| false,
    };
    let item = args.str("limit_item");
    let wanted = Wanted {
        fields: [args.str("domain"), args.str("limit_type"), item],
        value: args.str("value"),
        limit: limit(item, args.str("value"))?,
        comment: args.str("comment"),
        keep,
    };
    let before = match std::fs::read(dest) {
        Ok(b) => String::from_utf8_lossy(&b).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e.into()),
    };
    let (after, line) = wanted.edited(&before)?;
    let changed = after != before;
    let mut out = Outcome::changed(changed).msg(line).with_diff(Diff::new(before.as_str(), after.as_str()));
    if args.bool("backup") {
        // a copy is kept whether or not a limit changes
        out = out.set("backup_file", if ctx.check { String::new() } else { atomic::backup(dest)? });
    }
    if changed && !ctx.check {
        atomic::write(&real_path(dest), after.as_bytes(), false)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::{Value as Json, json};

    fn task(domain: &str, kind: &str, item: &str, value: &str) -> Json {
        json!({"dest": "$D/l", "domain": domain, "limit_type": kind, "limit_item": item, "value": value})
    }

    const TEXT: &str = "# x\n@g hard core 0 # c\njoe  -  nproc  5\nbad line\njoe - nproc 6\n# End of file";

    #[test]
    fn lines() {
        let b = bench("pam_limits").file("l", TEXT);
        let r = b.cycle(task("joe", "soft", "nofile", "64000"));
        assert_eq!(b.read("l"), format!("{TEXT}\njoe\tsoft\tnofile\t64000\n"));
        assert_eq!((&r["msg"], &r["diff"]["before"]), (&json!("joe\tsoft\tnofile\t64000\n"), &json!(TEXT)));
        let b = bench("pam_limits").file("l", TEXT);
        b.cycle(task("@g", "hard", "core", "7"));
        assert_eq!(b.read("l"), TEXT.replace("@g hard core 0 # c", "@g\thard\tcore\t7\t# c"));
        let mut t = task("@g", "hard", "core", "8");
        t["comment"] = "mine".into();
        b.cycle(t);
        assert!(b.read("l").contains("\n@g\thard\tcore\t8\t#mine\n"));
        // what equals the value already stays as it was written
        let b = bench("pam_limits").file("l", TEXT);
        b.cycle(task("joe", "-", "nproc", "5"));
        assert_eq!(b.read("l"), TEXT.replace("joe - nproc 6", "joe\t-\tnproc\t5"));
    }

    #[test]
    fn the_larger_and_the_smaller() {
        for (old, new, which, changes) in [
            ("7", "3", "use_max", false),
            ("7", "9", "use_max", true),
            ("7", "unlimited", "use_max", true),
            ("unlimited", "infinity", "use_max", false),
            ("-1", "4", "use_max", false),
            ("7", "11", "use_min", false),
            ("7", "1", "use_min", true),
            ("7", "unlimited", "use_min", false),
            ("unlimited", "4", "use_min", true),
        ] {
            let b = bench("pam_limits").file("l", &format!("j - core {old}\n"));
            let mut t = task("j", "-", "core", new);
            t[which] = true.into();
            assert_eq!(b.real(t)["changed"], changes, "{old} {new} {which}");
        }
    }

    #[test]
    fn values_that_are_none() {
        let b = bench("pam_limits").file("l", "");
        let msg = |t: Json| b.check(t)["msg"].as_str().unwrap_or_default().to_owned();
        assert!(msg(task("j", "-", "nice", "-50")).starts_with(
            " Value of '-50' for item 'nice' is invalid. Value must be a number in the range -20 to 19 inclusive. "
        ));
        assert!(msg(task("j", "-", "core", "-7")).contains("'unlimited', 'infinity' or -1, all of which"));
        let mut t = task("j", "-", "core", "1");
        (t["use_min"], t["use_max"]) = (true.into(), true.into());
        assert_eq!(msg(t), "Cannot use use_min and use_max at the same time.");
    }
}
