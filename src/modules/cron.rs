//! `cron`: jobs and variables of a crontab, found again by the comment above them.

use super::support::exec::{self, Cmd};
use super::support::{accounts, atomic, pytext::os_error};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use std::io::Write;
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    let time = |n: &str, d: &str| Arg::str(n).default("*").doc(d);
    Module {
        name: "cron",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("What the entry is found by; with env, the variable's name."),
            Arg::str("user").doc("Whose crontab, or in a cron_file the user to run as."),
            Arg::str("job").aliases(&["value"]).doc("The command, or the variable's value."),
            Arg::path("cron_file").doc("A file of its own instead of a user's crontab, below /etc/cron.d."),
            Arg::str("state").choices(&["present", "absent"]).default("present").doc("Whether it shall be there."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old crontab."),
            time("minute", "Minute: 0-59, *, */2 and so on."),
            time("hour", "Hour: 0-23, *, */2 and so on."),
            time("day", "Day of the month.").aliases(&["dom"]),
            time("month", "Month: JAN-DEC or 1-12."),
            time("weekday", "Day of the week: SUN-SAT or 0-6.").aliases(&["dow"]),
            Arg::str("special_time")
                .choices(&["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"])
                .doc("A time by its name, instead of the five fields."),
            Arg::bool("disabled").default(false).doc("The job is there, but commented out."),
            Arg::bool("env").default(false).doc("Manage a variable, not a job."),
            Arg::str("insertafter").doc("With env: put a new variable after this one."),
            Arg::str("insertbefore").doc("With env: put a new variable before this one."),
        ])
        .exclusive(&["insertafter", "insertbefore"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage cron.d and crontab entries",
        run,
    }
}

const MARK: &str = "#Ansible: ";

/// Where the entries are.
enum Place {
    File(PathBuf),
    /// The crontab of a user; of our own if no other is named.
    Table(Option<String>),
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let name = args.str("name");
    let (env, install) = (args.bool("env"), args.str("state") == "present");
    let job = args.opt_str("job").map(|j| j.trim_matches(['\r', '\n']));
    let mut warnings = vec![];
    if job.is_some_and(|j| j.contains(['\r', '\n'])) {
        warnings.push("Job should not contain line breaks");
    }
    refuse(args, name, env, install, job)?;
    let place = match args.opt_str("cron_file") {
        Some(f) => Place::File(Path::new("/etc/cron.d").join(f)),
        None => Place::Table(args.opt_str("user").map(str::to_owned)),
    };
    let old = place.read(ctx)?;
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    match (env, install) {
        (true, true) => set_variable(&mut lines, name, job.unwrap_or_default(), args)?,
        (true, false) => lines.retain(|l| !is_variable(l, name)),
        (false, true) => set_job(&mut lines, name, &job_line(args, job.unwrap_or_default())),
        (false, false) => remove_job(&mut lines, name),
    }
    let mut new: String = lines.iter().flat_map(|l| [l.as_str(), "\n"]).collect();
    // A crontab must end with a line end; one that does is not rewritten for its other bytes.
    let changed = lines != old.lines().collect::<Vec<_>>() || !(old.is_empty() || old.ends_with(['\n', '\r']));
    if !changed {
        new.clone_from(&old);
    }
    let mut o = Outcome::changed(changed);
    o.warnings.extend(warnings.iter().map(|w| w.to_string()));
    let header = match (&place, args.opt_str("user")) {
        (Place::File(p), _) => p.to_string_lossy().into_owned(),
        (_, Some(u)) => format!("crontab for user \"{u}\""),
        _ => "crontab".into(),
    };
    if changed {
        let goes = matches!(place, Place::File(_)) && !install && new.trim().is_empty();
        let after = if goes { "/dev/null" } else { header.as_str() };
        o = o.with_diff(Diff::new(old.as_str(), new.as_str()).headers(&header, after));
        if !ctx.check {
            if args.bool("backup") {
                o = o.set("backup_file", backup(&old)?);
            }
            if let (Place::File(p), true) = (&place, goes) {
                std::fs::remove_file(p).map_err(|e| Failure::new(os_error(&e, p)))?;
                return Ok(o.set("cron_file", args.str("cron_file")).set("state", "absent"));
            }
            place.write(ctx, &new)?;
        }
    }
    let jobs: Vec<&str> = lines.iter().filter_map(|l| l.strip_prefix(MARK)).collect();
    let envs: Vec<&str> = lines.iter().filter_map(|l| variable(l)).collect();
    o = o.set("jobs", jobs).set("envs", envs);
    if let Some(f) = args.opt_str("cron_file") {
        o = o.set("cron_file", f);
    }
    Ok(o)
}

fn refuse(args: &Args, name: &str, env: bool, install: bool, job: Option<&str>) -> Result<(), Failure> {
    let timed = ["minute", "hour", "day", "month", "weekday"].iter().any(|n| args.str(n) != "*");
    if args.is_set("special_time") && timed {
        return Err("You cannot combine special_time with any of the time or day/date parameters.".into());
    }
    if install && args.is_set("cron_file") && !args.is_set("user") {
        return Err("To use cron_file=... parameter you must specify user=... as well".into());
    }
    if install && job.is_none() {
        return Err("You must specify 'job' to install a new cron job or variable".into());
    }
    if !env && (args.is_set("insertafter") || args.is_set("insertbefore")) {
        return Err("Insertafter and insertbefore parameters are valid only with env=yes".into());
    }
    if env && (name.contains(char::is_whitespace) || name.contains('=') || name.is_empty()) {
        return Err("Invalid name for environment variable".into());
    }
    if name.contains(['\r', '\n']) {
        return Err("name must not contain line breaks".into());
    }
    Ok(())
}

fn job_line(args: &Args, job: &str) -> String {
    let mut line = String::from(if args.bool("disabled") { "#" } else { "" });
    match args.opt_str("special_time") {
        Some(t) => line.push_str(&format!("@{t} ")),
        None => {
            for n in ["minute", "hour", "day", "month", "weekday"] {
                line.push_str(args.str(n));
                line.push(' ');
            }
        }
    }
    if args.is_set("cron_file") {
        line.push_str(&format!("{} ", args.str("user")));
    }
    line + job
}

fn set_job(lines: &mut Vec<String>, name: &str, job: &str) {
    let mark = format!("{MARK}{name}");
    if let Some(i) = lines.iter().position(|l| *l == mark) {
        match lines.get_mut(i + 1) {
            Some(l) => *l = job.into(),
            None => lines.push(job.into()),
        }
        return;
    }
    // The same job without a name is taken over; one below another's name is not.
    let bare = (0..lines.len()).find(|i| {
        let above = i.checked_sub(1).and_then(|p| lines.get(p));
        lines.get(*i).is_some_and(|l| l == job) && !above.is_some_and(|l| l.starts_with(MARK))
    });
    match bare {
        Some(i) => lines.insert(i, mark),
        None => lines.extend([mark, job.to_owned()]),
    }
}

fn remove_job(lines: &mut Vec<String>, name: &str) {
    let mark = format!("{MARK}{name}");
    let mut below = false;
    lines.retain(|l| {
        let keep = !below && *l != mark;
        below = !below && *l == mark;
        keep
    });
}

/// The variable that a line sets, if it sets one.
fn variable(line: &str) -> Option<&str> {
    let name = line.split_once('=')?.0;
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}

fn is_variable(line: &str, name: &str) -> bool {
    variable(line) == Some(name)
}

fn set_variable(lines: &mut Vec<String>, name: &str, value: &str, args: &Args) -> Result<(), Failure> {
    let new = format!("{name}=\"{value}\"");
    if let Some(l) = lines.iter_mut().find(|l| is_variable(l, name)) {
        *l = new;
        return Ok(());
    }
    let (after, before) = (args.opt_str("insertafter"), args.opt_str("insertbefore"));
    let at = match after.or(before) {
        None => 0,
        Some(other) => {
            let i = lines.iter().position(|l| is_variable(l, other));
            let i = i.ok_or_else(|| Failure::new(format!("Variable named '{other}' not found.")))?;
            i + usize::from(after.is_some())
        }
    };
    lines.insert(at, new);
    Ok(())
}

fn backup(text: &str) -> Result<String, Failure> {
    let mut f = tempfile::Builder::new().prefix("crontab").tempfile()?;
    f.write_all(text.as_bytes())?;
    let (_, path) = f.keep().map_err(|e| Failure::new(e.to_string()))?;
    Ok(path.to_string_lossy().into_owned())
}

impl Place {
    /// `crontab` for this table; another user's only where it is not our own.
    fn command(ctx: &Ctx, user: Option<&str>) -> Result<Cmd, Failure> {
        let mut c = Cmd::new([exec::need_program(ctx, "crontab")?]);
        let me = accounts::user_by_id(ctx, nix::unistd::geteuid().as_raw()).map(|u| u.name);
        if let Some(u) = user.filter(|u| Some(*u) != me.as_deref()) {
            c = c.args(["-u", u]);
        }
        Ok(c)
    }

    fn read(&self, ctx: &Ctx) -> Result<String, Failure> {
        match self {
            Place::File(p) => match std::fs::read(p) {
                Ok(d) => Ok(String::from_utf8_lossy(&d).into_owned()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
                Err(e) => Err(Failure::uncaught(os_error(&e, p))),
            },
            Place::Table(user) => {
                let o = Place::command(ctx, user.as_deref())?.arg("-l").run(ctx)?;
                // 1 says that there is none yet.
                match o.rc {
                    0 => Ok(without_header(&o.out())),
                    1 => Ok(String::new()),
                    _ => Err("Unable to read crontab".into()),
                }
            }
        }
    }

    fn write(&self, ctx: &Ctx, text: &str) -> Result<(), Failure> {
        let user = match self {
            Place::File(p) => {
                if !p.parent().is_some_and(Path::is_dir) {
                    let e = exec::os_error(&std::io::Error::from_raw_os_error(libc::ENOENT), &p.to_string_lossy());
                    return Err(Failure::uncaught(e));
                }
                return atomic::write(p, text.as_bytes(), false);
            }
            Place::Table(u) => u.as_deref(),
        };
        let mut f = tempfile::Builder::new().prefix("crontab").tempfile()?;
        f.write_all(text.as_bytes())?;
        f.flush()?;
        if let Some(u) = user.and_then(|u| accounts::user_by_name(ctx, u)) {
            // crontab may read the file as that user
            let _ = std::os::unix::fs::chown(f.path(), Some(u.uid), None);
        }
        let name = f.path().to_string_lossy().into_owned();
        let o = Place::command(ctx, user)?.arg(name.as_str()).run(ctx)?;
        if o.ok() {
            return Ok(());
        }
        Err(Failure::new(format!("Failed to install new cronfile: {name}"))
            .set("rc", o.rc)
            .set("stdout", o.out())
            .set("stderr", o.err()))
    }
}

/// Without the three lines that some versions of crontab put on top of what they list.
fn without_header(text: &str) -> String {
    let mut lines = text.split_inclusive('\n').peekable();
    let heads: [fn(&str) -> bool; 3] = [
        |l| l.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall."),
        |l| l.starts_with("# (") && l.contains(" installed on "),
        |l| l.starts_with("# (") && l.contains("ersion"),
    ];
    for h in heads {
        if lines.peek().is_some_and(|l| h(l)) {
            lines.next();
        }
    }
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::{Bench, bench};
    use serde_json::{Value as Json, json};

    fn task(extra: Json) -> Json {
        let mut m = json!({"cron_file": "$D/tab", "user": "root"});
        if let (Some(m), Some(e)) = (m.as_object_mut(), extra.as_object()) {
            m.extend(e.clone());
        }
        m
    }

    #[test]
    fn jobs() {
        let b = bench("cron");
        let r = b.cycle(task(json!({"name": "a", "job": "ls -l", "minute": "5", "hour": "2,3"})));
        assert_eq!(b.read("tab"), "#Ansible: a\n5 2,3 * * * root ls -l\n");
        assert_eq!((&r["jobs"], &r["envs"], &r["cron_file"]), (&json!(["a"]), &json!([]), &json!("$D/tab")));
        b.cycle(task(json!({"name": "b", "job": "x", "special_time": "daily", "disabled": true})));
        let r = b.cycle(task(json!({"name": "a", "job": "ls", "backup": true})));
        assert!(r["backup_file"].as_str().is_some_and(|p| std::fs::remove_file(p).is_ok()));
        assert_eq!(b.read("tab"), "#Ansible: a\n* * * * * root ls\n#Ansible: b\n#@daily root x\n");
        b.cycle(task(json!({"name": "a", "state": "absent"})));
        let r = b.cycle(json!({"name": "b", "state": "absent", "cron_file": "$D/tab"}));
        assert_eq!((&r["state"], b.at("tab").exists()), (&json!("absent"), false));
    }

    #[test]
    fn what_is_there_already() {
        let b = bench("cron").file("tab", "1 2 3 4 5 root zz\n#Ansible: q\n1 1 1 1 1 root zz");
        let args = json!({"name": "z", "job": "zz", "minute": 1, "hour": 2, "day": 3, "month": 4, "dow": 5});
        b.cycle(task(args.clone()));
        assert_eq!(b.read("tab"), "#Ansible: z\n1 2 3 4 5 root zz\n#Ansible: q\n1 1 1 1 1 root zz\n");
        let b: Bench = bench("cron").file("tab", "#Ansible: z\n1 2 3 4 5 root zz");
        assert_eq!(b.real(task(args))["changed"], true);
        assert!(b.read("tab").ends_with("zz\n"));
        let listed = "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n# (/tmp/x installed on Thu)\n# (Cron version)\n1 x\n";
        assert_eq!(without_header(listed), "1 x\n");
    }

    #[test]
    fn variables() {
        let b = bench("cron").file("tab", "#Ansible: a\n* * * * * root x=1\n");
        b.cycle(task(json!({"name": "PATH", "value": "/bin", "env": true})));
        b.cycle(task(json!({"name": "A", "value": "1", "env": true, "insertafter": "PATH"})));
        let r = b.cycle(task(json!({"name": "B", "value": "1 2", "env": true, "insertbefore": "PATH"})));
        assert_eq!(b.read("tab"), "B=\"1 2\"\nPATH=\"/bin\"\nA=\"1\"\n#Ansible: a\n* * * * * root x=1\n");
        assert_eq!(r["envs"], json!(["B", "PATH", "A"]));
        b.cycle(task(json!({"name": "A", "env": true, "state": "absent"})));
        let msg = |x| b.real(task(x))["msg"].as_str().unwrap_or_default().to_owned();
        let gone = msg(json!({"name": "C", "value": "1", "env": true, "insertafter": "X"}));
        assert_eq!(gone, "Variable named 'X' not found.");
        assert_eq!(msg(json!({"name": "C D", "value": "1", "env": true})), "Invalid name for environment variable");
        assert_eq!(msg(json!({"name": "C"})), "You must specify 'job' to install a new cron job or variable");
        let both = msg(json!({"name": "C", "job": "x", "special_time": "daily", "hour": 1}));
        assert_eq!(both, "You cannot combine special_time with any of the time or day/date parameters.");
        let r = b.real(json!({"name": "C", "job": "x", "cron_file": "$D/tab"}));
        assert_eq!(r["msg"], "To use cron_file=... parameter you must specify user=... as well");
    }
}
