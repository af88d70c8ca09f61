//! `mount` (ansible.posix): file systems in fstab and in the tree.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/mount_module.html>.

use super::support::exec::{self, Cmd};
use super::support::{atomic, fileargs::real_path, pytext::os_error};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::{Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "mount",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["name"]).doc("The mount point; none for swap."),
            Arg::path("src").doc("The device, or what the file system takes instead."),
            Arg::str("fstype").doc("Type of the file system."),
            Arg::str("opts").doc("Mount options as fstab has them."),
            Arg::bool("opts_no_log").default(false).doc("Do not show opts."),
            Arg::str("dump").default("0").doc("The fifth field of fstab."),
            Arg::str("passno").default("0").doc("The sixth field of fstab."),
            Arg::str("state")
                .required()
                .choices(&["absent", "absent_from_fstab", "mounted", "present", "unmounted", "remounted", "ephemeral"])
                .doc(
                    "present, absent_from_fstab: fstab alone. mounted: fstab and mounted. unmounted: fstab stays. \
                     absent: out of fstab, unmounted, the mount point removed. remounted: mounted anew. ephemeral: \
                     mounted, fstab stays.",
                ),
            Arg::path("fstab").default("/etc/fstab").doc("The file."),
            Arg::bool("boot").default(true).doc("false adds the option noauto."),
            Arg::bool("backup").default(false).doc("Keep a copy of the old fstab."),
        ])
        .required_if("state", "mounted", &["src", "fstype"])
        .required_if("state", "present", &["src", "fstype"])
        .required_if("state", "ephemeral", &["src", "fstype"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Control active and configured mount points\n\nLinux only.",
        run,
    }
}

/// The six fields of a line of fstab, escaped as the file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry([String; 6]);

fn escape(s: &str) -> String {
    s.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

impl Entry {
    fn parse(line: &str) -> Option<Entry> {
        let t = line.trim();
        if t.is_empty() || t.starts_with('#') {
            return None;
        }
        let f: Vec<&str> = t.split_whitespace().collect();
        let at = |i: usize, d: &str| f.get(i).copied().unwrap_or(d).to_owned();
        (4..=6).contains(&f.len()).then(|| Entry([at(0, ""), at(1, ""), at(2, ""), at(3, ""), at(4, "0"), at(5, "0")]))
    }
    /// Whether two lines are of the same thing: by mount point, swap (which has none) by device.
    fn is(&self, other: &Entry) -> bool {
        let [src, path, kind, ..] = &self.0;
        let [osrc, opath, okind, ..] = &other.0;
        let swap = path == "none" && kind == "swap";
        path == opath && (!swap || osrc.is_empty() || (src == osrc && (okind == "swap" || okind.is_empty())))
    }
}

/// The text of fstab with this entry, or without it.
fn edited(text: &str, entry: &Entry, keep: bool) -> String {
    let mut out = String::new();
    let mut done = false;
    for line in text.split_inclusive('\n') {
        match Entry::parse(line).filter(|e| e.is(entry)) {
            None => out.push_str(line),
            Some(_) if !keep => {}
            Some(old) => {
                done = true;
                match old == *entry {
                    true => out.push_str(line),
                    false => out.push_str(&format!("{}\n", entry.0.join(" "))),
                }
            }
        }
    }
    if keep && !done {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!("{}\n", entry.0.join(" ")));
    }
    out
}

/// What is mounted at a path: the last mount's source, and its root within the source (for bind mounts).
fn mounted_at(path: &Path) -> Option<(String, String)> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let want = escape(&real_path(path).to_string_lossy());
    text.lines().rev().find_map(|l| {
        let (left, right) = l.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        (left.get(4) == Some(&want.as_str()))
            .then(|| (right.get(1).unwrap_or(&"").to_string(), left.get(3).unwrap_or(&"").to_string()))
    })
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    path: PathBuf,
    fstab: PathBuf,
    opts: String,
}

impl Job<'_, '_> {
    fn entry(&self) -> Entry {
        let text = |n: &str| escape(self.args.str(n));
        Entry([
            text("src"),
            escape(&self.path.to_string_lossy()),
            text("fstype"),
            escape(&self.opts),
            text("dump"),
            text("passno"),
        ])
    }
    fn read(&self) -> Result<String, Failure> {
        match std::fs::read_to_string(&self.fstab) {
            Ok(t) => Ok(t),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(Failure::new(os_error(&e, &self.fstab))),
        }
    }
    fn call(&self, program: &str, words: &[&str]) -> Result<(), String> {
        let tool = exec::need_program(self.ctx, program).map_err(|f| f.msg)?;
        let o = Cmd::new([tool]).args(words.iter().copied()).run(self.ctx).map_err(|e| e.text)?;
        if o.ok() { Ok(()) } else { Err(o.out() + &o.err()) }
    }
    fn shown(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
    /// Mounts by the line of fstab.
    fn mount(&self) -> Result<(), String> {
        let (path, table) = (self.shown(), self.fstab.to_string_lossy().into_owned());
        let mut words = vec![];
        if table != "/etc/fstab" {
            words.extend(["-T", table.as_str()]);
        }
        words.push(&path);
        self.call("mount", &words)
    }
    fn umount(&self) -> Result<(), String> {
        self.call("umount", &[self.shown().as_str()])
    }
    fn remount(&self, opts: Option<&str>) -> Result<(), String> {
        let (path, table) = (self.shown(), self.fstab.to_string_lossy().into_owned());
        let how = opts.map_or("remount".to_owned(), |o| format!("remount,{o}"));
        let mut words = vec!["-o", how.as_str()];
        if table != "/etc/fstab" && opts.is_none() {
            words.extend(["-T", table.as_str()]);
        }
        words.push(&path);
        match self.call("mount", &words) {
            Ok(()) => Ok(()),
            // With options of the task's own nothing else may be tried.
            Err(e) if opts.is_some() => Err(e),
            Err(_) => self.umount().and_then(|()| self.mount()),
        }
    }
    /// Makes the mount point; answers the topmost directory that was made.
    fn make_point(&self) -> Result<Option<PathBuf>, Failure> {
        if self.path.exists() {
            return Ok(None);
        }
        let top = self.path.ancestors().take_while(|p| !p.exists()).last().map(Path::to_owned);
        std::fs::create_dir_all(&self.path)
            .map_err(|e| Failure::new(format!("Error making dir {}: {}", self.shown(), os_error(&e, &self.path))))?;
        Ok(top)
    }
    /// Removes the empty directories that were made for a mount that failed.
    fn unmake(&self, top: Option<PathBuf>) {
        let Some(top) = top else { return };
        for p in self.path.ancestors() {
            if !p.starts_with(&top) || std::fs::remove_dir(p).is_err() {
                break;
            }
        }
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let secret = args.opt_str("opts").filter(|_| args.bool("opts_no_log"));
    match (perform(ctx, args), secret) {
        (Ok(o), Some(s)) => Ok(o.set("_censor", s)),
        (Err(f), Some(s)) => Err(f.set("_censor", s)),
        (done, None) => done,
    }
}

fn perform(ctx: &Ctx, args: &Args) -> ModResult {
    let mut opts = args.opt_str("opts").unwrap_or("defaults").to_owned();
    if !args.bool("boot") && !opts.split(',').any(|o| o == "noauto") {
        opts = if args.is_set("opts") { format!("{opts},noauto") } else { "noauto".into() };
    }
    let given = args.str("path");
    let path = PathBuf::from(match given.trim_end_matches('/') {
        "" => "/",
        p => p,
    });
    let fstab = PathBuf::from(args.str("fstab"));
    let job = Job { ctx, args, path, fstab, opts };
    let state = args.str("state");
    let mut o = Outcome::ok().set("name", given).set("fstab", args.str("fstab"));
    for n in ["src", "fstype", "dump", "passno"] {
        if args.is_set(n) {
            o = o.set(n, args.get(n).clone());
        }
    }
    o = o.set("opts", job.opts.as_str()).set("boot", if args.bool("boot") { "yes" } else { "no" });
    let old = job.read()?;
    let new = match state {
        "present" | "mounted" => edited(&old, &job.entry(), true),
        "absent" | "absent_from_fstab" => edited(&old, &job.entry(), false),
        _ => old.clone(),
    };
    let mut backup = String::new();
    if new != old {
        o.changed = true;
        if !args.bool("opts_no_log") {
            o = o.with_diff(Diff::new(old.as_str(), new.as_str()).headers(args.str("fstab"), args.str("fstab")));
        }
        if !ctx.check {
            let target = real_path(&job.fstab);
            if args.bool("backup") && target.exists() {
                backup = atomic::backup(&target)?;
            }
            if let Some(dir) = target.parent() {
                std::fs::create_dir_all(dir)?;
            }
            atomic::write(&target, new.as_bytes(), false)?;
        }
    }
    let there = mounted_at(&job.path);
    o.changed |= match state {
        "mounted" => mounted(&job, there.is_some(), new != old, &old)?,
        "absent" => absent(&job, there.is_some())?,
        "unmounted" => unmounted(&job, there.is_some())?,
        "remounted" => remounted(&job)?,
        "ephemeral" => ephemeral(&job, there)?,
        _ => false,
    };
    Ok(o.set("backup_file", backup))
}

fn mounted(job: &Job, there: bool, edited: bool, old: &str) -> Result<bool, Failure> {
    if there && !edited {
        return Ok(false);
    }
    if job.ctx.check {
        return Ok(true);
    }
    let made = job.make_point()?;
    let done = if there { job.remount(None) } else { job.mount() };
    done.map_err(|why| {
        // fstab must not name what cannot be mounted
        if edited {
            let _ = atomic::write(&real_path(&job.fstab), old.as_bytes(), false);
        }
        job.unmake(made);
        Failure::new(format!("Error mounting {}: {why}", job.shown()))
    })?;
    Ok(true)
}

fn absent(job: &Job, there: bool) -> Result<bool, Failure> {
    let exists = job.path.is_dir();
    if job.ctx.check {
        return Ok(there || exists);
    }
    if there {
        job.umount().map_err(|why| Failure::new(format!("Error unmounting {}: {why}", job.shown())))?;
    }
    if exists {
        std::fs::remove_dir(&job.path)
            .map_err(|e| Failure::new(format!("Error rmdir {}: {}", job.shown(), os_error(&e, &job.path))))?;
    }
    Ok(there || exists)
}

fn unmounted(job: &Job, there: bool) -> Result<bool, Failure> {
    if there && !job.ctx.check {
        job.umount().map_err(|why| Failure::new(format!("Error unmounting {}: {why}", job.shown())))?;
    }
    Ok(there)
}

fn remounted(job: &Job) -> Result<bool, Failure> {
    if !job.ctx.check {
        job.remount(job.args.opt_str("opts"))
            .map_err(|why| Failure::new(format!("Error remounting {}: {why}", job.shown())))?;
    }
    Ok(true)
}

fn ephemeral(job: &Job, there: Option<(String, String)>) -> Result<bool, Failure> {
    let src = job.args.str("src");
    if let Some((source, root)) = &there {
        let real = real_path(Path::new(src)).to_string_lossy().into_owned();
        if ![src, real.as_str(), escape(src).as_str()].iter().any(|s| *s == source || *s == root) {
            return Err(Failure::new(format!(
                "Ephemeral mount point is already mounted with a different source than the specified one. Failing in order to prevent an unwanted unmount or override operation. Try replacing this command with a \"state: unmounted\" followed by a \"state: ephemeral\", or use a different destination path. Mounted there: {source}"
            )));
        }
    }
    if job.ctx.check {
        return Ok(true);
    }
    let path = job.shown();
    if there.is_some() {
        let how = format!("remount,{}", job.opts);
        job.call("mount", &["-o", &how, &path])
            .map_err(|why| Failure::new(format!("Error remounting {path}: {why}")))?;
        return Ok(true);
    }
    let made = job.make_point()?;
    job.call("mount", &["-t", job.args.str("fstype"), "-o", &job.opts, src, &path]).map_err(|why| {
        job.unmake(made);
        Failure::new(format!("Error mounting {path}: {why}"))
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    const TABLE: &str = "# mine\n/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\nodd line\n";

    #[test]
    fn lines_of_fstab() {
        let e = |f: [&str; 6]| Entry(f.map(str::to_owned));
        let new = edited(TABLE, &e(["/dev/sdb", "/srv", "xfs", "ro", "0", "2"]), true);
        assert_eq!(new, format!("{TABLE}/dev/sdb /srv xfs ro 0 2\n"));
        assert_eq!(edited(&new, &e(["/dev/sdb", "/srv", "xfs", "ro", "0", "2"]), true), new);
        let other = edited(TABLE, &e(["/dev/sda9", "none", "swap", "sw", "0", "0"]), true);
        assert_eq!(other, format!("{TABLE}/dev/sda9 none swap sw 0 0\n"));
        assert_eq!(edited(&other, &e(["/dev/sda9", "none", "swap", "sw", "0", "0"]), false), TABLE);
        assert_eq!(
            edited(TABLE, &e(["", "/", "", "", "", ""]), false),
            "# mine\n/dev/sda2 none swap sw 0 0\nodd line\n"
        );
        // Fields that the file leaves out are zero.
        let short = "/dev/x /x ext4 ro\n";
        assert_eq!(edited(short, &e(["/dev/x", "/x", "ext4", "ro", "0", "0"]), true), short);
    }

    #[test]
    fn present_and_absent_from_fstab() {
        let b = bench("mount").file("fstab", TABLE);
        let task = json!({"path": "/srv/a b/", "src": "/dev/sdb", "fstype": "xfs", "state": "present", "fstab": "$D/fstab", "boot": false});
        let r = b.cycle(task);
        assert_eq!(b.read("fstab"), format!("{TABLE}/dev/sdb /srv/a\\040b xfs noauto 0 0\n"));
        assert_eq!((&r["opts"], &r["dump"], &r["name"]), (&json!("noauto"), &json!("0"), &json!("/srv/a b/")));
        let r = b.real(json!({"name": "/srv/a b", "state": "absent_from_fstab", "fstab": "$D/fstab", "backup": true}));
        assert_eq!((&r["changed"], b.read("fstab")), (&json!(true), TABLE.into()));
        assert!(r["backup_file"].as_str().is_some_and(|n| n.starts_with("$D/fstab.")));
        let r = b.real(json!({"path": "/x", "state": "mounted", "fstab": "$D/fstab"}));
        assert_eq!(r["msg"], "state is mounted but all of the following are missing: src, fstype");
    }

    #[test]
    fn a_mount_that_fails_leaves_nothing() {
        let b = bench("mount").file("fstab", TABLE);
        let r = b.real(json!({"path": "$D/deep/point", "src": "$D/none", "fstype": "none", "opts": "bind", "state": "mounted", "fstab": "$D/fstab"}));
        assert!(r["msg"].as_str().is_some_and(|m| m.starts_with("Error mounting $D/deep/point: ")), "{r:?}");
        assert_eq!((b.read("fstab").as_str(), b.at("deep").exists()), (TABLE, false));
    }

    #[test]
    fn secret_options_are_not_shown() {
        let b = bench("mount").file("fstab", "");
        let r = b.check(json!({"path": "/x", "src": "//h/s", "fstype": "cifs", "opts": "password=geheim", "opts_no_log": true, "state": "present", "fstab": "$D/fstab"}));
        assert_eq!(r["changed"], true);
        assert!(!json!(r).to_string().contains("geheim"), "{r:?}");
    }
}
