//! `user`: local users, through useradd, usermod, userdel, chage, chpasswd and ssh-keygen.
//!
//! Password hashes go to chpasswd by its standard input, never by the command line. Keys are made as
//! the user, so that nothing in a user's home can lead root astray.

mod keys;
mod modify;
mod password;

use super::support::accounts::{self, User};
use super::support::exec::{Cmd, Output, need_program};
use super::support::homedir;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "user",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage local users: account, groups, password hash, expiry, home, ssh key.",
        run,
    }
}

fn spec() -> Spec {
    let flag = |n: &str, d: &str| Arg::bool(n).default(false).doc(d);
    Spec::new(vec![
        Arg::str("name").required().aliases(&["user"]).doc("Name of the user."),
        Arg::str("state").default("present").choices(&["absent", "present"]).doc("Whether the user shall be there."),
        Arg::int("uid").doc("Number of the user."),
        flag("non_unique", "Allow a number that is taken."),
        Arg::str("group").doc("Primary group, by name or number."),
        Arg::list("groups", Type::Str).doc("Supplementary groups; an empty list removes all."),
        flag("append", "Add to the groups given, do not remove from others."),
        Arg::str("comment").doc("The GECOS field."),
        Arg::path("home").doc("Home directory."),
        flag("move_home", "Move the old home to the new place."),
        Arg::path("shell").doc("Login shell."),
        Arg::str("password").secret().doc("Password hash as crypt(3) has it."),
        Arg::str("login_class").doc("BSD only."),
        Arg::int("password_expire_max").doc("Most days between changes of the password."),
        Arg::int("password_expire_min").doc("Fewest days between changes of the password."),
        Arg::int("password_expire_warn").doc("Days of warning before the password expires."),
        Arg::int("password_expire_account_disable").doc("Days from expiry of the password to the end of the account."),
        Arg::str("role").doc("Solaris only."),
        Arg::str("profile").doc("Solaris only."),
        Arg::str("authorization").doc("Solaris only."),
        Arg::bool("hidden").doc("macOS only."),
        flag("system", "Create a system account."),
        flag("force", "Remove a user even while logged in."),
        flag("remove", "Remove home and mail spool too."),
        Arg::bool("create_home").default(true).aliases(&["createhome"]).doc("Make the home directory."),
        Arg::str("skeleton").doc("Skeleton for a new home."),
        Arg::str("umask").doc("Umask for a new home."),
        flag("generate_ssh_key", "Make an ssh key."),
        Arg::int("ssh_key_bits").doc("Length of the key."),
        Arg::str("ssh_key_type").default("rsa").doc("Type of the key."),
        Arg::path("ssh_key_file").doc("File of the key, relative to the home."),
        Arg::str("ssh_key_comment").doc("Comment of the key."),
        Arg::str("ssh_key_passphrase").secret().doc("Passphrase of the key."),
        Arg::str("update_password")
            .default("always")
            .choices(&["always", "on_create"])
            .doc("Whether an existing user's password is set."),
        Arg::float("expires").doc("End of the account in seconds since 1970; negative for none."),
        Arg::bool("password_lock").doc("Lock or unlock the password."),
        flag("local", "Look for the user in the local file only."),
        Arg::str("seuser").doc("SELinux user."),
        Arg::int("uid_min").doc("Smallest number to choose from."),
        Arg::int("uid_max").doc("Largest number to choose from."),
    ])
}

/// What the work on one user needs everywhere.
struct Job<'a, 'b> {
    ctx: &'a Ctx<'b>,
    args: &'a Args,
    name: &'a str,
    groups: Option<Vec<String>>,
}

impl Job<'_, '_> {
    fn find(&self) -> Option<User> {
        if self.args.bool("local") {
            accounts::local_users().into_iter().find(|u| u.name == self.name)
        } else {
            accounts::user_by_name(self.ctx, self.name)
        }
    }

    /// Runs a tool; its failure is the module's.
    fn call(&self, cmd: Cmd) -> Result<Output, Failure> {
        let o = cmd.c_locale().run(self.ctx)?;
        if o.ok() {
            return Ok(o);
        }
        let said = if o.err().is_empty() { o.out() } else { o.err() };
        Err(Failure::new(said).set("name", self.name).set("rc", o.rc))
    }

    /// The number of a group given by name or number.
    fn gid(&self, group: &str) -> Result<u32, Failure> {
        let found = accounts::group_by_name(self.ctx, group)
            .or_else(|| group.parse().ok().and_then(|n| accounts::group_by_id(self.ctx, n)));
        found.map(|g| g.gid).ok_or_else(|| Failure::new(format!("Group {group} does not exist")))
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let groups = args.is_set("groups").then(|| {
        let list = args.strings("groups");
        list.iter().flat_map(|g| g.split(',')).map(|g| g.trim().to_string()).filter(|g| !g.is_empty()).collect()
    });
    let job = Job { ctx, args, name: args.str("name"), groups };
    if args.is_set("umask") && args.bool("local") {
        return Err("'umask' can not be used with 'local'".into());
    }
    let warnings = warnings(args);
    let mut out = if args.str("state") == "absent" { absent(&job)? } else { present(&job)? };
    out.warnings.splice(0..0, warnings);
    Ok(out)
}

fn warnings(args: &Args) -> Vec<String> {
    let mut w = vec![];
    if args.opt_str("password").is_some_and(|p| !password::looks_hashed(p)) {
        w.push(
            "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly."
                .to_string(),
        );
    }
    if args.bool("append") && !args.is_set("groups") {
        w.push(
            "'append' is set, but no 'groups' are specified. Use 'groups' for appending new groups.This will change to an error in Ansible 2.14."
                .to_string(),
        );
    }
    for n in ["login_class", "role", "profile", "authorization", "hidden"] {
        if args.is_set(n) {
            w.push(format!("'{n}' does nothing on Linux"));
        }
    }
    w
}

fn absent(job: &Job) -> ModResult {
    let done = Outcome::ok().set("name", job.name).set("state", "absent");
    if job.find().is_none() {
        return Ok(done);
    }
    if job.ctx.check {
        return Ok(Outcome::changed(true));
    }
    let (force, remove) = (job.args.bool("force"), job.args.bool("remove"));
    let mut c = Cmd::new([need_program(job.ctx, "userdel")?]);
    for (on, flag) in [(force, "-f"), (remove, "-r")] {
        if on {
            c = c.arg(flag);
        }
    }
    let o = job.call(c.args(["--", job.name]))?;
    let mut done = done.set("force", force).set("remove", remove);
    done.changed = true;
    Ok(with_words(done, &o))
}

fn with_words(out: Outcome, o: &Output) -> Outcome {
    let out = if o.err().is_empty() { out } else { out.set("stderr", o.err()) };
    if o.out().is_empty() { out } else { out.set("stdout", o.out()) }
}

fn present(job: &Job) -> ModResult {
    let args = job.args;
    let before = job.find();
    // a task before this one may have made its groups, had it not been a check
    if before.is_none() && job.ctx.check {
        return Ok(Outcome::changed(true));
    }
    for g in args.opt_str("group").into_iter().chain(job.groups.iter().flatten().map(String::as_str)) {
        job.gid(g)?;
    }
    let mut out = Outcome::ok().set("name", job.name).set("state", "present");
    let mut changed = false;
    match &before {
        None => {
            changed = true;
            let o = create(job)?;
            out = with_words(out, &o).set("system", args.bool("system")).set("create_home", args.bool("create_home"));
        }
        Some(u) => {
            changed |= modify::modify(job, u)?;
            out = out.set("append", args.bool("append")).set("move_home", args.bool("move_home"));
        }
    }
    if args.is_set("password") {
        out = out.set("password", "NOT_LOGGING_PASSWORD");
    }
    // In check mode a changed account is still the old one.
    let now = job.find().or(before.clone());
    changed |= password::ages(job, before.is_none())?;
    if let Some(u) = &now {
        let home = Path::new(&u.home);
        if args.bool("create_home") && !u.home.is_empty() && !home.exists() {
            changed = true;
            if !job.ctx.check {
                let skel = args.opt_str("skeleton").unwrap_or("/etc/skel");
                homedir::create(home, Path::new(skel), args.opt_str("umask"), u.uid, u.gid).map_err(|e| {
                    Failure::new(format!("failed to create home directory {}: {e}", u.home)).set("name", job.name)
                })?;
            }
        }
        out = out
            .set("uid", u.uid)
            .set("group", u.gid)
            .set("comment", u.gecos.as_str())
            .set("home", u.home.as_str())
            .set("shell", u.shell.as_str());
        if let Some(g) = &job.groups {
            out = out.set("groups", g.join(","));
        }
        if args.bool("generate_ssh_key") {
            let (key, made) = keys::ssh_key(job, u)?;
            changed |= made;
            out.data.extend(key.data);
            out.warnings.extend(key.warnings);
        }
    }
    out.changed = changed;
    Ok(out)
}

fn create(job: &Job) -> Result<Output, Failure> {
    let args = job.args;
    let mut c = Cmd::new([need_program(job.ctx, "useradd")?]);
    if let Some(u) = args.opt_int("uid") {
        c = c.args(["-u".to_string(), u.to_string()]);
        if args.bool("non_unique") {
            c = c.arg("-o");
        }
    }
    if let Some(s) = args.opt_str("seuser") {
        c = c.args(["-Z", s]);
    }
    match args.opt_str("group") {
        Some(g) => c = c.args(["-g".to_string(), job.gid(g)?.to_string()]),
        // useradd would fail to make a group of the user's name if that is there.
        None if accounts::group_by_name(job.ctx, job.name).is_some() => c = c.arg("-N"),
        None => {}
    }
    if let Some(g) = job.groups.as_ref().filter(|g| !g.is_empty()) {
        c = c.args(["-G", &g.join(",")]);
    }
    if let Some(t) = args.opt_str("comment") {
        c = c.args(["-c", t]);
    }
    if let Some(h) = args.opt_str("home") {
        c = c.args(["-d", h]);
        if args.bool("create_home")
            && let Some(parent) = Path::new(h).parent()
        {
            std::fs::create_dir_all(parent)?;
        }
    }
    if let Some(s) = args.opt_str("shell") {
        c = c.args(["-s", s]);
    }
    if let Some(e) = args.opt_float("expires") {
        c = c.args(["-e".to_string(), password::date(e)?]);
    }
    if args.bool("create_home") {
        c = c.arg("-m");
        if let Some(s) = args.opt_str("skeleton") {
            c = c.args(["-k", s]);
        }
        if let Some(u) = args.opt_str("umask") {
            c = c.args(["-K".to_string(), format!("UMASK={u}")]);
        }
    } else {
        c = c.arg("-M");
    }
    if args.bool("system") {
        c = c.arg("-r");
    }
    for (arg, key) in [("uid_min", "UID_MIN"), ("uid_max", "UID_MAX")] {
        if let Some(v) = args.opt_int(arg) {
            c = c.args(["-K".to_string(), format!("{key}={v}")]);
        }
    }
    let o = job.call(c.args(["--", job.name]))?;
    if let Some(p) = args.opt_str("password") {
        let lock = args.opt_bool("password_lock") == Some(true) && !p.starts_with('!');
        password::set(job, &if lock { format!("!{p}") } else { p.to_string() })?;
    }
    Ok(o)
}
