//! `unarchive`: unpacks tar and zip archives. What is unpacked already is left alone.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/builtin/unarchive_module.html>; tar archives go
//! through the host's own tar, zip archives need no program.

use super::support::exec::Cmd;
use super::support::{fileargs, glob};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

pub fn module() -> Module {
    Module {
        name: "unarchive",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("src").required().doc("The archive, on the controller unless remote_src."),
            Arg::path("dest").required().doc("The directory to unpack in."),
            Arg::bool("remote_src").default(false),
            Arg::path("creates").doc("A path that means the work is done."),
            Arg::int("io_buffer_size").default(65536),
            Arg::bool("list_files").default(false),
            Arg::list("exclude", Type::Str).default(json!([])),
            Arg::list("include", Type::Str).default(json!([])),
            Arg::bool("keep_newer").default(false),
            Arg::list("extra_opts", Type::Str).default(json!([])),
            Arg::bool("validate_certs").default(true),
            Arg::bool("copy").default(true),
            Arg::bool("decrypt").default(true),
        ])
        .with_file_args()
        .exclusive(&["include", "exclude"]),
        check: Support::Partial,
        diff: Support::Partial,
        free_form: false,
        doc: "Unpack an archive.",
        run,
    }
}

/// What no handler takes: no archive, or one that nothing would be unpacked of.
fn unknown(src: &Path) -> Failure {
    Failure::new(format!(
        "Failed to find handler for \"{}\". Make sure the required command to extract the file is installed.",
        src.display()
    ))
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let given = a.str("dest");
    let dest = std::path::absolute(given).unwrap_or_else(|_| given.into());
    if let Some(c) = a.opt_str("creates")
        && Path::new(c).exists()
    {
        return Ok(Outcome::ok().set("skipped", true).msg(format!("skipped, since {c} exists")));
    }
    // the archive is here, or comes with the request
    let mut spool = None;
    let src = match ctx.content.as_mut() {
        Some(c) => {
            let mut t = tempfile::Builder::new().prefix("dirigo-").tempfile()?;
            std::io::copy(&mut c.reader()?, t.as_file_mut())?;
            t.flush()?;
            let p = t.path().to_path_buf();
            spool = Some(t);
            p
        }
        None if a.str("src").contains("://") => {
            return Err("an address as src is not supported; fetch it with get_url first".into());
        }
        None => PathBuf::from(a.str("src")),
    };
    if !dest.is_dir() {
        return Err(Failure::new(format!("dest '{}' must be an existing dir", dest.display())));
    }
    if !src.exists() {
        return Err(Failure::new(format!("Source '{}' does not exist", src.display())));
    }
    if std::fs::metadata(&src)?.len() == 0 {
        return Err(Failure::new(format!("Invalid archive '{}', the file is 0 bytes", src.display())));
    }
    let kind = Archive::of(&src)?;
    let members = kind.members(ctx, &src, a)?;
    if members.is_empty() {
        return Err(unknown(&src));
    }
    for m in &members {
        refuse_outside(m)?;
    }
    let relative = Path::new(given).is_relative();
    let mut out = Outcome::ok()
        .set("handler", kind.handler())
        .set("dest", given)
        .set("src", if spool.is_some() { a.str("src").to_string() } else { src.to_string_lossy().into_owned() });
    if a.bool("list_files") {
        out =
            out.set("files", members.iter().map(|m| Json::from(m.strip_prefix('/').unwrap_or(m))).collect::<Vec<_>>());
    }
    let there = kind.is_unpacked(ctx, &src, &dest, a, &members)?;
    out.changed = !there;
    if relative {
        let full = dest.display();
        out = out.warn(format!("Relative destination path '{given}' was resolved to absolute path '{full}'."));
    }
    if !there && !ctx.check {
        out = out.set("extract_results", kind.unpack(ctx, &src, &dest, a)?);
    }
    if !ctx.check {
        let attrs = fileargs::FileArgs::from_args(a);
        let mut diff = fileargs::AttrDiff::default();
        // the folders at the top may not be members themselves
        let tops: BTreeSet<&str> =
            members.iter().filter_map(|m| m.split_once('/')).map(|(top, _)| top).filter(|t| !t.is_empty()).collect();
        for m in members.iter().map(String::as_str).chain(tops) {
            let p = dest.join(m.trim_matches('/'));
            if p.symlink_metadata().is_ok() {
                out.changed |= attrs.apply(&p, false, &mut diff)?;
            }
        }
    }
    fileargs::add_path_info(&mut out.data);
    drop(spool);
    Ok(out)
}

/// A member must stay below the destination.
fn refuse_outside(name: &str) -> Result<(), Failure> {
    // tar shows what --strip-components leaves nothing of as a slash, and unpacks none of it
    let bad =
        name != "/" && Path::new(name).components().any(|c| matches!(c, Component::ParentDir | Component::RootDir));
    if bad {
        Err(Failure::new(format!(
            "refused: the archive's member '{name}' would be unpacked outside of the destination"
        )))
    } else {
        Ok(())
    }
}

enum Archive {
    /// With the option that names the compression to tar.
    Tar(Option<&'static str>),
    Zip,
}

impl Archive {
    fn of(src: &Path) -> Result<Archive, Failure> {
        if src.is_dir() {
            return Err(unknown(src));
        }
        let mut head = [0u8; 512];
        let mut f = std::fs::File::open(src)?;
        let mut n = 0;
        while n < head.len() {
            match f.read(&mut head[n..])? {
                0 => break,
                k => n += k,
            }
        }
        let h = &head[..n];
        Ok(match h {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Archive::Zip,
            [0x1f, 0x8b, ..] => Archive::Tar(Some("--gzip")),
            [b'B', b'Z', b'h', ..] => Archive::Tar(Some("--bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Archive::Tar(Some("--xz")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Archive::Tar(Some("--zstd")),
            h if h.len() > 262 && &h[257..262] == b"ustar" => Archive::Tar(None),
            _ => return Err(unknown(src)),
        })
    }

    fn handler(&self) -> &'static str {
        match self {
            Archive::Zip => "ZipArchive",
            Archive::Tar(Some("--gzip")) => "TgzArchive",
            // tar tells the other compressions by itself, so that ansible-core's first handler takes them
            Archive::Tar(_) => "TarArchive",
        }
    }

    fn tar(&self, what: &str, src: &Path, a: &Args) -> Cmd {
        let mut c = Cmd::new(["tar", what, "--show-transformed-names"]);
        if let Archive::Tar(Some(z)) = self {
            c = c.arg(*z);
        }
        for e in a.strings("exclude") {
            c = c.arg(format!("--exclude={e}"));
        }
        c.args(a.strings("extra_opts")).arg("-f").arg(src.to_string_lossy()).c_locale()
    }

    fn members(&self, ctx: &Ctx, src: &Path, a: &Args) -> Result<Vec<String>, Failure> {
        match self {
            Archive::Zip => {
                let z = open(src)?;
                Ok(z.file_names().filter(|n| wanted(n, a)).map(str::to_string).collect())
            }
            Archive::Tar(_) => {
                let o = self
                    .tar("--list", src, a)
                    .args(a.strings("include"))
                    .run(ctx)
                    .map_err(|e| Failure::new(format!("cannot run tar: {}", e.text)))?;
                if !o.ok() {
                    return Err(Failure::new(format!("Unable to list files in the archive: {}", o.err().trim()))
                        .set("rc", o.rc));
                }
                Ok(o.out().lines().map(str::to_string).collect())
            }
        }
    }

    fn is_unpacked(&self, ctx: &Ctx, src: &Path, dest: &Path, a: &Args, members: &[String]) -> Result<bool, Failure> {
        if let Archive::Zip = self {
            let mut z = open(src)?;
            return members.iter().try_fold(true, |ok, m| Ok(ok && same(&mut z, m, dest)?));
        }
        let o = self
            .tar("--diff", src, a)
            .arg("-C")
            .arg(dest.to_string_lossy())
            .args(a.strings("include"))
            .run(ctx)
            .map_err(|e| Failure::new(format!("cannot run tar: {}", e.text)))?;
        if o.ok() {
            return Ok(true);
        }
        let root = fileargs::is_root();
        let text = format!("{}\n{}", o.out(), o.err());
        // what the task itself sets afterwards does not count
        let differs = text.lines().any(|l| {
            (root && !a.is_set("owner") && l.contains("Uid differs"))
                || (root && !a.is_set("group") && l.contains("Gid differs"))
                || (!a.is_set("mode") && l.contains("Mode differs"))
                || l.contains("Mod time differs")
                || l.contains("Size differs")
                || l.contains("Contents differ")
                || l.contains("Symlink differs")
                || l.contains("File type differs")
                // what --strip-components leaves nothing of has no name
                || (l.contains("No such file or directory") && !l.contains(": : "))
        });
        Ok(!differs)
    }

    fn unpack(&self, ctx: &Ctx, src: &Path, dest: &Path, a: &Args) -> Result<Json, Failure> {
        if let Archive::Zip = self {
            let mut z = open(src)?;
            let names: Vec<String> = z.file_names().filter(|n| wanted(n, a)).map(str::to_string).collect();
            for n in &names {
                extract(&mut z, n, dest, a.bool("keep_newer"))?;
            }
            return Ok(json!({"cmd": ["unzip"], "rc": 0, "out": "", "err": ""}));
        }
        let tar = super::support::exec::find_program(ctx, "tar").unwrap_or_else(|| "tar".into());
        let mut words = vec![tar, "--extract".into(), "-C".into(), dest.to_string_lossy().into_owned()];
        match self {
            Archive::Tar(Some("--gzip")) => words.push("-z".into()),
            Archive::Tar(Some(z @ "--zstd")) => words.push((*z).into()),
            _ => {}
        }
        let extra = a.strings("extra_opts");
        if !extra.is_empty() {
            words.push("--show-transformed-names".into());
            words.extend(extra);
        }
        for (k, o) in [("owner", "--owner"), ("group", "--group")] {
            words.extend(a.opt_str(k).map(|v| format!("{o}={v}")));
        }
        if a.bool("keep_newer") {
            words.push("--keep-newer-files".into());
        }
        words.extend(a.strings("exclude").iter().map(|e| format!("--exclude={e}")));
        words.extend(["-f".into(), src.to_string_lossy().into_owned()]);
        words.extend(a.strings("include"));
        let c = Cmd::new(words.clone()).c_locale();
        let cmd = words;
        let o = c.run(ctx).map_err(|e| Failure::new(format!("cannot run tar: {}", e.text)))?;
        if !o.ok() {
            return Err(Failure::new(format!("failed to unpack {} to {}", src.display(), dest.display()))
                .set("rc", o.rc)
                .set("err", o.err()));
        }
        Ok(json!({"cmd": cmd, "rc": o.rc, "out": o.out(), "err": o.err()}))
    }
}

type Zip = zip::ZipArchive<std::fs::File>;

fn open(src: &Path) -> Result<Zip, Failure> {
    zip::ZipArchive::new(std::fs::File::open(src)?)
        .map_err(|e| Failure::new(format!("cannot read the archive {}: {e}", src.display())))
}

fn wanted(name: &str, a: &Args) -> bool {
    let (inc, exc) = (a.strings("include"), a.strings("exclude"));
    (inc.is_empty() || inc.iter().any(|p| glob::fnmatch(name, p))) && !exc.iter().any(|p| glob::fnmatch(name, p))
}

fn entry_error(e: zip::result::ZipError) -> Failure {
    Failure::new(format!("cannot read the archive: {e}"))
}

/// True if a member is on the disk as the archive has it.
fn same(z: &mut Zip, name: &str, dest: &Path) -> Result<bool, Failure> {
    let mut e = z.by_name(name).map_err(entry_error)?;
    let p = dest.join(name.trim_end_matches('/'));
    let Ok(m) = std::fs::metadata(&p) else { return Ok(false) };
    if e.is_dir() {
        return Ok(m.is_dir());
    }
    if m.size() != e.size() || e.unix_mode().is_some_and(|w| w & 0o7777 != m.mode() & 0o7777 && w & 0o7777 != 0) {
        return Ok(false);
    }
    let mut want = vec![];
    e.read_to_end(&mut want)?;
    Ok(std::fs::read(&p)? == want)
}

fn extract(z: &mut Zip, name: &str, dest: &Path, keep_newer: bool) -> Result<(), Failure> {
    let mut e = z.by_name(name).map_err(entry_error)?;
    let p = dest.join(name.trim_end_matches('/'));
    if e.is_dir() {
        std::fs::create_dir_all(&p)?;
        return Ok(());
    }
    if keep_newer && p.exists() {
        return Ok(());
    }
    if let Some(d) = p.parent() {
        std::fs::create_dir_all(d)?;
        // a link within the destination must not lead out of it
        let (real, root) = (std::fs::canonicalize(d)?, std::fs::canonicalize(dest)?);
        if !real.starts_with(&root) {
            return Err(Failure::new(format!("refused: '{name}' would be unpacked outside of the destination")));
        }
    }
    let mode = e.unix_mode().filter(|m| m & 0o7777 != 0).unwrap_or(0o644);
    let dir = p.parent().unwrap_or(dest);
    let mut t = tempfile::Builder::new().prefix(".dirigo-").tempfile_in(dir)?;
    std::io::copy(&mut e, t.as_file_mut())?;
    t.as_file().set_permissions(std::fs::Permissions::from_mode(mode & 0o7777))?;
    t.persist(&p).map_err(|e| Failure::new(e.error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(src: &Path, dest: &Path, check: bool) -> serde_json::Map<String, Json> {
        let args = json!({"src": src.to_string_lossy(), "dest": dest.to_string_lossy(), "remote_src": true, "list_files": true});
        let mut ctx = Ctx::bare();
        ctx.check = check;
        crate::modules::run(&module(), &mut ctx, args.as_object().expect("an object"))
    }

    #[test]
    fn tar_and_zip() {
        let d = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(d.path().join("in/sub")).expect("makes");
        std::fs::write(d.path().join("in/sub/f"), "text").expect("writes");
        let tgz = d.path().join("a.tgz");
        let o = std::process::Command::new("tar")
            .arg("-czf")
            .arg(&tgz)
            .arg("-C")
            .arg(d.path().join("in"))
            .arg("sub")
            .status();
        assert!(o.is_ok_and(|s| s.success()));
        let zip = d.path().join("a.zip");
        let mut z = zip::ZipWriter::new(std::fs::File::create(&zip).expect("creates"));
        z.start_file("sub/f", zip::write::SimpleFileOptions::default().unix_permissions(0o644)).expect("starts");
        z.write_all(b"text").expect("writes");
        z.finish().expect("ends");
        for src in [tgz, zip] {
            let dest = d.path().join(format!("out-{}", src.extension().unwrap_or_default().to_string_lossy()));
            std::fs::create_dir(&dest).expect("makes");
            let r = call(&src, &dest, true);
            assert_eq!(r["changed"], true, "{r:?}");
            assert!(!dest.join("sub").exists());
            assert_eq!(call(&src, &dest, false)["changed"], true);
            assert_eq!(std::fs::read_to_string(dest.join("sub/f")).expect("reads"), "text");
            assert_eq!(call(&src, &dest, false)["changed"], false);
            std::fs::write(dest.join("sub/f"), "TEXT").expect("writes");
            std::fs::write(dest.join("sub/f"), "other").expect("writes");
            assert_eq!(call(&src, &dest, false)["changed"], true);
        }
    }

    #[test]
    fn members_outside_are_refused() {
        assert!(refuse_outside("../x").is_err());
        assert!(refuse_outside("/etc/passwd").is_err());
        assert!(refuse_outside("a/b").is_ok());
    }
}
