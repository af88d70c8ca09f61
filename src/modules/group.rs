//! `group`: local groups, through groupadd, groupmod and groupdel.

use super::support::accounts::{self, Group};
use super::support::exec::{Cmd, need_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};

pub fn module() -> Module {
    Module {
        name: "group",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("Name of the group."),
            Arg::str("state")
                .default("present")
                .choices(&["absent", "present"])
                .doc("Whether the group shall be there."),
            Arg::bool("force").default(false).doc("Delete a group even if it is the primary group of a user."),
            Arg::int("gid").doc("Number of the group."),
            Arg::bool("system").default(false).doc("Create a system group."),
            Arg::bool("local").default(false).doc("Look for the group in the local file only."),
            Arg::bool("non_unique").default(false).doc("Allow a number that is taken."),
            Arg::int("gid_min").doc("Smallest number to choose from."),
            Arg::int("gid_max").doc("Largest number to choose from."),
        ])
        .required_if("non_unique", true, &["gid"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage local groups.",
        run,
    }
}

fn find(ctx: &Ctx, args: &Args) -> Option<Group> {
    let name = args.str("name");
    if args.bool("local") {
        accounts::local_groups().into_iter().find(|g| g.name == name)
    } else {
        accounts::group_by_name(ctx, name)
    }
}

fn call(ctx: &Ctx, name: &str, cmd: Cmd) -> Result<(), Failure> {
    let o = cmd.c_locale().run(ctx)?;
    if o.ok() {
        Ok(())
    } else {
        Err(Failure::new(if o.err().is_empty() { o.out() } else { o.err() }).set("name", name))
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    if args.bool("local") && args.bool("force") {
        return Err("force is not a valid option for local, force=True and local=True are mutually exclusive".into());
    }
    let name = args.str("name");
    let now = find(ctx, args);
    if args.str("state") == "absent" {
        if now.is_some() && ctx.check {
            return Ok(Outcome::changed(true));
        }
        let changed = now.is_some();
        if changed {
            let mut c = Cmd::new([need_program(ctx, "groupdel")?]);
            if args.bool("force") {
                c = c.arg("-f");
            }
            call(ctx, name, c.args(["--", name]))?;
        }
        return Ok(Outcome::changed(changed).set("name", name).set("state", "absent"));
    }
    let gid = args.opt_int("gid");
    let mut changed = false;
    match &now {
        None => {
            changed = true;
            if ctx.check {
                return Ok(Outcome::changed(true));
            }
            let mut c = Cmd::new([need_program(ctx, "groupadd")?]);
            if let Some(g) = gid {
                c = c.args(["-g".to_string(), g.to_string()]);
                if args.bool("non_unique") {
                    c = c.arg("-o");
                }
            }
            if args.bool("system") {
                c = c.arg("-r");
            }
            for (arg, key) in [("gid_min", "GID_MIN"), ("gid_max", "GID_MAX")] {
                if let Some(v) = args.opt_int(arg) {
                    c = c.args(["-K".to_string(), format!("{key}={v}")]);
                }
            }
            call(ctx, name, c.args(["--", name]))?;
        }
        Some(g) => {
            if let Some(want) = gid
                && i64::from(g.gid) != want
            {
                changed = true;
                if !ctx.check {
                    let mut c = Cmd::new([need_program(ctx, "groupmod")?, "-g".into(), want.to_string()]);
                    if args.bool("non_unique") {
                        c = c.arg("-o");
                    }
                    call(ctx, name, c.args(["--", name]))?;
                }
            }
        }
    }
    let after = if ctx.check { now } else { find(ctx, args) };
    let mut out =
        Outcome::changed(changed).set("name", name).set("state", "present").set("system", args.bool("system"));
    if let Some(g) = after {
        out = out.set("gid", g.gid);
    }
    Ok(out)
}
