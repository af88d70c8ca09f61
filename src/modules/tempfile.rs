//! `tempfile`: a new temporary file or directory with a name nobody can guess.

use super::support::pytext::os_error;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "tempfile",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("state").choices(&["file", "directory"]).default("file").doc("What to make."),
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
    let make = |p: &Path| match a.str("state") {
        "directory" => DirBuilder::new().mode(0o700).create(p),
        _ => File::options().write(true).create_new(true).mode(0o600).open(p).map(drop),
    };
    let mut tries = 0;
    let path = loop {
        let p = dir.join(format!("{}{}{}", a.str("prefix"), random_name(), a.str("suffix")));
        match make(&p) {
            Ok(()) => break p,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && tries < 100 => tries += 1,
            Err(e) => return Err(Failure::new(os_error(&e, &p))),
        }
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

/// Eight characters of those that Python's temporary names are made of.
fn random_name() -> String {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
    let mut random = [0u64; 8];
    // SAFETY: writes that many bytes into the array; so few are never given in part.
    unsafe { libc::getrandom(random.as_mut_ptr().cast(), size_of_val(&random), 0) };
    random.iter().filter_map(|n| SIGNS.get((n % SIGNS.len() as u64) as usize)).map(|b| char::from(*b)).collect()
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
