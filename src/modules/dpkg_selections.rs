//! `dpkg_selections`: what dpkg shall do with a package.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};

pub fn module() -> Module {
    Module {
        name: "dpkg_selections",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().doc("The package."),
            Arg::str("selection")
                .choices(&["install", "hold", "deinstall", "purge"])
                .required()
                .doc("What dpkg shall do with it."),
        ]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Dpkg package selection selections\n\nNothing is installed or removed: dpkg is told what is wanted.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let (name, want) = (args.str("name"), args.str("selection"));
    if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
        return Err(Failure::new(format!("'{name}' is not the name of a package")));
    }
    let dpkg = exec::need_program(ctx, "dpkg")?;
    let failed = |o: &exec::Output, cmd: &Cmd| {
        Failure::new(o.err().trim_end().to_owned())
            .set("cmd", cmd.shown())
            .set("rc", o.rc)
            .set("stdout", o.out())
            .set("stderr", o.err())
    };
    let asks = Cmd::new([dpkg.as_str(), "--get-selections", name]).c_locale();
    let o = asks.run(ctx)?;
    if !o.ok() {
        return Err(failed(&o, &asks));
    }
    let out = o.out();
    if o.err().contains("no packages found matching") {
        return Err(Failure::new(format!("Failed to find package '{name}' to perform selection '{want}'.")));
    }
    let before = out.split_whitespace().nth(1).unwrap_or("not present").to_owned();
    let changed = before != want;
    if changed && !ctx.check {
        let sets = Cmd::new([dpkg.as_str(), "--set-selections"]).stdin(format!("{name} {want}"));
        let o = sets.run(ctx)?;
        if !o.ok() {
            return Err(failed(&o, &sets));
        }
    }
    Ok(Outcome::changed(changed).set("before", before).set("after", want))
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::json;

    const FAKE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
  --get-selections) [ "$2" = bad ] && { echo "dpkg: bad" >&2; exit 2; }; grep "^$2 " state || echo "dpkg: no packages found matching $2" >&2; true ;;
  --set-selections) cat > state; echo >> state ;;
esac
"#;

    #[test]
    fn sets_once() {
        let d = tempfile::tempdir().expect("a directory");
        std::fs::write(d.path().join("dpkg"), FAKE).expect("written");
        std::fs::write(d.path().join("state"), "demo install\n").expect("written");
        let x = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(d.path().join("dpkg"), x).expect("set");
        let call = |name: &str, check| {
            let path = format!("{}:/usr/bin:/bin", d.path().display());
            let mut ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
            let args = json!({"name": name, "selection": "hold"});
            run(find("dpkg_selections").expect("known"), &mut ctx, args.as_object().expect("an object"))
        };
        assert_eq!(call("demo", true)["changed"], true);
        let r = call("demo", false);
        assert_eq!((&r["changed"], &r["before"], &r["after"]), (&json!(true), &json!("install"), &json!("hold")));
        assert_eq!(call("demo", false)["changed"], false);
        assert_eq!(call("none", false)["msg"], "Failed to find package 'none' to perform selection 'hold'.");
        assert_eq!((&call("bad", false)["rc"], &call("-x", false)["failed"]), (&json!(2), &json!(true)));
    }
}
