//! `acl` (ansible.posix): access control lists of files, by `setfacl` and `getfacl` or by their NFSv4 relatives.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/acl_module.html>.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "acl",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::path("path").required().aliases(&["name"]).doc("The file."),
            Arg::str("entry").doc("The old way to say etype, entity and permissions: `[default:]TYPE:NAME:PERMS`."),
            Arg::str("entity").default("").doc("The user or group."),
            Arg::str("etype").choices(&["group", "mask", "other", "user"]).doc("What kind of entry."),
            Arg::str("permissions").doc("A combination of r, w, x and X."),
            Arg::str("state").choices(&["absent", "present", "query"]).default("query"),
            Arg::bool("follow").default(true).doc("Follow a symbolic link."),
            Arg::bool("default").default(false).doc("The entry is one for what is made in the directory."),
            Arg::bool("recursive").default(false).aliases(&["recurse"]).doc("The entry is for everything below, too."),
            Arg::str("recalculate_mask")
                .choices(&["default", "mask", "no_mask"])
                .default("default")
                .doc("Whether the mask is made anew."),
            Arg::bool("use_nfsv4_acls").default(false).doc("Use nfs4_setfacl and nfs4_getfacl."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Set and retrieve file ACL information.",
        run,
    }
}

/// The parts of an entry.
#[derive(Default)]
struct Entry {
    default: bool,
    etype: String,
    entity: String,
    permissions: Option<String>,
}

/// Reads `[default:]TYPE:NAME[:PERMS]`.
fn entry(text: &str, state: &str) -> Result<Entry, Failure> {
    let mut parts: Vec<&str> = text.split(':').collect();
    let fits = match state {
        "present" => (3..=4).contains(&parts.len()),
        _ => (2..=3).contains(&parts.len()),
    };
    if !fits {
        let counts = if state == "present" { "3 or 4" } else { "2 or 3" };
        return Err(Failure::new(format!("'entry' MUST have {counts} sections divided by ':' when 'state={state}'.")));
    }
    let default = parts.first().is_some_and(|p| p.to_lowercase().starts_with('d'));
    if default {
        parts.remove(0);
    }
    let kind = parts.first().copied().unwrap_or_default();
    let etype = match kind.chars().next() {
        Some('u') => "user",
        Some('g') => "group",
        Some('m') => "mask",
        Some('o') => "other",
        _ => return Err(Failure::new(format!("'{kind}' of 'entry' is no type of entry: user, group, mask or other"))),
    };
    Ok(Entry {
        default,
        etype: etype.into(),
        entity: parts.get(1).map(|s| s.to_string()).unwrap_or_default(),
        permissions: parts.get(2).map(|s| s.to_string()).filter(|_| state == "present"),
    })
}

impl Entry {
    /// As the tool takes it.
    fn text(&self, nfs: bool) -> Result<String, Failure> {
        if nfs {
            let flag = if self.etype == "group" { "g" } else { "" };
            let perms = self
                .permissions
                .as_deref()
                .ok_or_else(|| Failure::new("an NFSv4 entry needs 'permissions', also when it shall be removed"))?;
            // what every access needs: attributes and the list itself may be read, the file synchronized
            return Ok(format!("A:{flag}:{}:{perms}tcy", self.entity));
        }
        let start = format!("{}:{}", self.etype, self.entity);
        Ok(match self.permissions.as_deref().filter(|p| !p.is_empty()) {
            Some(p) => format!("{start}:{p}"),
            None => start,
        })
    }
}

struct Job<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    default: bool,
}

impl Job<'_, '_> {
    fn nfs(&self) -> bool {
        self.args.bool("use_nfsv4_acls")
    }
    fn flags(&self, mut cmd: Cmd) -> Cmd {
        if self.args.bool("recursive") {
            cmd = cmd.arg("-R");
        }
        if self.default {
            cmd = cmd.arg("-d");
        }
        if !self.args.bool("follow") {
            cmd = cmd.arg("-P");
        }
        cmd
    }
    fn run(&self, cmd: Cmd) -> Result<Vec<String>, Failure> {
        let out = cmd.arg(self.args.str("path")).c_locale().run_ok(self.ctx)?.out();
        let mut lines: Vec<String> = out.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
        while lines.last().is_some_and(|l| l.is_empty()) {
            lines.pop();
        }
        Ok(lines)
    }
    fn get(&self) -> Result<Vec<String>, Failure> {
        let (tool, rest) = match self.nfs() {
            true => ("nfs4_getfacl", &["--omit-header"][..]),
            false => ("getfacl", &["--omit-header", "--absolute-names"][..]),
        };
        let cmd = Cmd::new([exec::need_program(self.ctx, tool)?]).args(rest.iter().copied());
        self.run(if self.nfs() { cmd } else { self.flags(cmd) })
    }
    fn set_command(&self, test: bool, present: bool, entry: &str) -> Result<Cmd, Failure> {
        let mut cmd = Cmd::new([exec::need_program(self.ctx, if self.nfs() { "nfs4_setfacl" } else { "setfacl" })?]);
        if test {
            cmd = cmd.arg("--test");
        }
        match self.args.str("recalculate_mask") {
            // lists of NFSv4 have no mask
            _ if self.nfs() => {}
            "mask" => cmd = cmd.arg("--mask"),
            "no_mask" => cmd = cmd.arg("--no-mask"),
            _ => {}
        }
        let verb = match (present, self.nfs()) {
            (false, _) => "-x",
            (true, true) => "-a",
            (true, false) => "-m",
        };
        Ok(self.flags(cmd).args([verb, entry]))
    }
    /// Whether setting or removing the entry would change anything.
    fn differs(&self, present: bool, entry: &str) -> Result<bool, Failure> {
        if self.nfs() {
            return Ok(self.get()?.iter().any(|l| l == entry) != present);
        }
        // a file that stays as it is ends with `*,*`
        Ok(self.run(self.set_command(true, present, entry)?)?.iter().any(|l| !l.ends_with("*,*")))
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let state = args.str("state");
    if !Path::new(args.str("path")).exists() {
        return Err("Path not found or not accessible.".into());
    }
    let refuse = |text: &str| Err(Failure::new(text.to_owned()));
    if state == "query" {
        if args.bool("recursive") {
            return refuse("'recursive' MUST NOT be set when 'state=query'.");
        }
        if args.str("recalculate_mask") != "default" {
            return refuse("'recalculate_mask' MUST NOT be set to 'mask' or 'no_mask' when 'state=query'.");
        }
    }
    let given = args.opt_str("entry").filter(|e| !e.is_empty());
    let apart = !args.str("entity").is_empty() || args.is_set("etype") || args.is_set("permissions");
    let mut wanted = match given {
        Some(_) if apart => {
            return refuse("'entry' MUST NOT be set when 'entity', 'etype' or 'permissions' are set.");
        }
        Some(text) if state != "query" => entry(text, state)?,
        _ => {
            let nfs = args.bool("use_nfsv4_acls");
            match state {
                "present" if !args.is_set("etype") => return refuse("'etype' MUST be set when 'state=present'."),
                "absent" if args.str("entity").is_empty() && !matches!(args.str("etype"), "mask" | "other") => {
                    return refuse("'entity' MUST be set when 'state=absent'.");
                }
                "absent" if !args.is_set("etype") => return refuse("'etype' MUST be set when 'state=absent'."),
                "absent" if args.is_set("permissions") && !nfs => {
                    return refuse("'permissions' MUST NOT be set when 'state=absent'.");
                }
                _ => {}
            }
            Entry {
                default: false,
                etype: args.str("etype").into(),
                entity: args.str("entity").into(),
                permissions: args.opt_str("permissions").map(str::to_owned),
            }
        }
    };
    wanted.default |= args.bool("default");
    let job = Job { ctx, args, default: wanted.default };
    if state == "query" {
        return Ok(Outcome::ok().msg("current acl").set("acl", job.get()?));
    }
    let text = wanted.text(job.nfs())?;
    let present = state == "present";
    let changed = job.differs(present, &text)?;
    if changed && !job.ctx.check {
        job.run(job.set_command(false, present, &text)?)?;
    }
    Ok(Outcome::changed(changed).msg(format!("{text} is {state}")).set("acl", job.get()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let text = |e: &str, state: &str| entry(e, state).and_then(|e| Ok((e.text(false)?, e.default)));
        let ok = |e: &str, state: &str| text(e, state).map_err(|f| f.msg).expect("reads");
        assert_eq!(ok("user:joe:rw", "present"), ("user:joe:rw".into(), false));
        assert_eq!(ok("default:u:joe:rX", "present"), ("user:joe:rX".into(), true));
        assert_eq!(ok("d:group:g", "absent"), ("group:g".into(), true));
        assert_eq!(ok("user:joe:rw", "absent"), ("user:joe".into(), false));
        assert_eq!(ok("mask::rwx", "present"), ("mask::rwx".into(), false));
        for (e, state, counts) in [("user:x", "present", "3 or 4"), ("user", "absent", "2 or 3")] {
            let msg = format!("'entry' MUST have {counts} sections divided by ':' when 'state={state}'.");
            assert_eq!(text(e, state).err().map(|f| f.msg), Some(msg));
        }
        assert!(text("bogus:x:r", "present").is_err());
        let e = Entry { etype: "group".into(), entity: "zed".into(), permissions: Some("r".into()), default: false };
        assert_eq!(e.text(true).ok().as_deref(), Some("A:g:zed:rtcy"));
    }
}
