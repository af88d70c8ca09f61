//! `tempfile`: a new temporary file or directory with a name nobody can guess.

use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

pub fn module() -> Module {
    Module {
        name: "tempfile",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("state").choices(&["directory", "file"]).default("file").doc("What to make."),
            Arg::path("path").doc("Where; the system's temporary directory without it."),
            Arg::str("prefix").default("ansible.").doc("Begin of the name."),
            Arg::str("suffix").default("").doc("End of the name."),
        ]),
        check: Support::None,
        diff: Support::None,
        free_form: false,
        doc: "Create a temporary file or directory.",
        run,
    }
}

fn run(_ctx: &mut Ctx, a: &Args) -> ModResult {
    let dir = a.opt_str("path").map(std::path::PathBuf::from).unwrap_or_else(std::env::temp_dir);
    let mut b = tempfile::Builder::new();
    b.prefix(a.str("prefix")).suffix(a.str("suffix")).rand_bytes(8);
    let fail =
        |e: std::io::Error| Failure::new(format!("[Errno {}] {e}: '{}'", e.raw_os_error().unwrap_or(0), dir.display()));
    let path = if a.str("state") == "directory" {
        b.permissions(Permissions::from_mode(0o700)).tempdir_in(&dir).map_err(fail)?.keep()
    } else {
        b.permissions(Permissions::from_mode(0o600))
            .tempfile_in(&dir)
            .map_err(fail)?
            .into_temp_path()
            .keep()
            .map_err(|e| Failure::new(e.to_string()))?
    };
    let m = std::fs::metadata(&path)?;
    Ok(Outcome::changed(true)
        .set("path", path.to_string_lossy().into_owned())
        .set("uid", m.uid())
        .set("gid", m.gid())
        .set("mode", format!("0{:03o}", m.mode() & 0o7777))
        .set("size", m.size())
        .set("state", if m.is_dir() { "directory" } else { "file" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn makes_private_files() {
        let d = tempfile::tempdir().expect("a directory");
        for state in ["file", "directory"] {
            let args = json!({"path": d.path().to_string_lossy(), "state": state, "suffix": ".x"});
            let r = crate::modules::run(&module(), &mut Ctx::bare(), args.as_object().expect("an object"));
            assert_eq!(r["changed"], true, "{r:?}");
            assert_eq!(r["mode"], if state == "file" { "0600" } else { "0700" });
            assert!(r["path"].as_str().is_some_and(|p| p.ends_with(".x") && std::path::Path::new(p).exists()));
        }
    }
}
