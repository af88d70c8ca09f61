//! Changes to a user that is there.

use super::{Job, password};
use crate::modules::Failure;
use crate::modules::support::accounts::{self, User};
use crate::modules::support::exec::{Cmd, need_program};
use std::collections::BTreeSet;

/// Makes the user as wanted; true if something changed or would.
pub fn modify(job: &Job, u: &User) -> Result<bool, Failure> {
    let args = job.args;
    let mut opts: Vec<String> = vec![];
    let mut opt = |a: &[&str]| opts.extend(a.iter().map(|s| s.to_string()));
    if let Some(want) = args.opt_int("uid")
        && i64::from(u.uid) != want
    {
        opt(&["-u", &want.to_string()]);
        if args.bool("non_unique") {
            opt(&["-o"]);
        }
    }
    let mut primary = u.gid;
    if let Some(g) = args.opt_str("group") {
        let want = job.gid(g)?;
        if want != u.gid {
            primary = want;
            opt(&["-g", &want.to_string()]);
        }
    }
    if let Some(wanted) = &job.groups {
        groups(job, u, primary, wanted, &mut opt)?;
    }
    if let Some(c) = args.opt_str("comment")
        && c != u.gecos
    {
        opt(&["-c", c]);
    }
    if let Some(h) = args.opt_str("home")
        && h != u.home
    {
        opt(&["-d", h]);
        if args.bool("move_home") {
            opt(&["-m"]);
        }
    }
    if let Some(s) = args.opt_str("shell")
        && s != u.shell
    {
        opt(&["-s", s]);
    }
    if let Some(s) = args.opt_str("seuser") {
        opt(&["-Z", s]);
    }
    let shadow = password::shadow(job.name);
    if let Some(e) = args.opt_float("expires") {
        let now = shadow.as_ref().and_then(|s| s.expire);
        if e < 0.0 {
            if now.is_some_and(|d| d >= 0) {
                opt(&["-e", ""]);
            }
        } else if now != Some((e / 86400.0).floor() as i64) {
            opt(&["-e", &password::date(e)?]);
        }
    }
    let hash = shadow.as_ref().map(|s| s.hash.as_str()).unwrap_or("");
    let locked = hash.starts_with('!');
    let lock = args.opt_bool("password_lock");
    let new = args.opt_str("password").filter(|_| args.str("update_password") == "always");
    let new = new.map(|p| if lock == Some(true) && !p.starts_with('!') { format!("!{p}") } else { p.to_string() });
    let new = new
        .filter(|p| if lock.is_none() { p != hash } else { p.trim_start_matches('!') != hash.trim_start_matches('!') });
    if new.is_none() {
        match lock {
            Some(true) if !locked => opt(&["-L"]),
            Some(false) if locked => opt(&["-U"]),
            _ => {}
        }
    }
    let changed = !opts.is_empty() || new.is_some();
    if job.ctx.check {
        return Ok(changed);
    }
    if !opts.is_empty() {
        job.call(Cmd::new([need_program(job.ctx, "usermod")?]).args(opts).args(["--", job.name]))?;
    }
    if let Some(p) = new {
        password::set(job, &p)?;
    }
    Ok(changed)
}

/// Adds `-G` (with `-a` to append) if the supplementary groups differ.
fn groups(job: &Job, u: &User, primary: u32, wanted: &[String], opt: &mut impl FnMut(&[&str])) -> Result<(), Failure> {
    let all = accounts::local_groups();
    let now: BTreeSet<u32> =
        all.iter().filter(|g| g.members.contains(&u.name)).map(|g| g.gid).filter(|g| *g != primary).collect();
    let mut want: BTreeSet<u32> = BTreeSet::new();
    for g in wanted {
        want.insert(job.gid(g)?);
    }
    want.remove(&primary);
    let text = |s: &BTreeSet<u32>| s.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    if job.args.bool("append") {
        let missing: BTreeSet<u32> = want.difference(&now).copied().collect();
        if !missing.is_empty() {
            opt(&["-a", "-G", &text(&missing)]);
        }
    } else if want != now {
        opt(&["-G", &text(&want)]);
    }
    Ok(())
}
