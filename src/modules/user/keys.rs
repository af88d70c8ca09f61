//! A user's ssh key, made by ssh-keygen under the user's own id.

use super::Job;
use crate::modules::support::accounts::User;
use crate::modules::support::exec::{Cmd, find_program, need_program};
use crate::modules::{Failure, Outcome};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// Makes the key if it is not there; answers the result keys and whether one was made.
pub fn ssh_key(job: &Job, u: &User) -> Result<(Outcome, bool), Failure> {
    let file = match job.args.opt_str("ssh_key_file") {
        Some(f) => Path::new(&u.home).join(f),
        None => Path::new(&u.home).join(format!(".ssh/id_{}", job.args.str("ssh_key_type"))),
    };
    let shown = file.to_string_lossy().into_owned();
    let there = file.exists();
    let mut out = Outcome::ok();
    let mut made = true;
    if there && !job.args.bool("force") {
        made = false;
        out = out.warn(format!(
            "Found existing ssh key private file \"{shown}\", no force, so skipping ssh-keygen generation"
        ));
    } else if !job.ctx.check {
        generate(job, u, &file)?;
    }
    let print = match find_program(job.ctx, "ssh-keygen") {
        Some(k) => Cmd::new([k.as_str(), "-l", "-f", &shown]).c_locale().user_if_root(u).run(job.ctx).ok(),
        None => None,
    };
    let text = match print {
        Some(o) if o.ok() => Json::from(o.out().trim()),
        Some(o) if !job.ctx.check => Json::from(o.err().trim()),
        _ => Json::Null,
    };
    let public = std::fs::read(format!("{shown}.pub")).ok().map(|b| String::from_utf8_lossy(&b).trim().to_string());
    out = out
        .set("ssh_fingerprint", text)
        .set("ssh_key_file", shown)
        .set("ssh_public_key", public.map(Json::from).unwrap_or(Json::Null));
    Ok((out, made))
}

trait AsUser {
    fn user_if_root(self, u: &User) -> Cmd;
}
impl AsUser for Cmd {
    fn user_if_root(self, u: &User) -> Cmd {
        if nix::unistd::geteuid().is_root() { self.user(u.uid, u.gid) } else { self }
    }
}

fn generate(job: &Job, u: &User, file: &Path) -> Result<(), Failure> {
    let args = job.args;
    let keygen = need_program(job.ctx, "ssh-keygen")?;
    let failed = |e: String| Failure::new(e).set("name", job.name);
    if !Path::new(&u.home).exists() {
        return Err(failed(format!("User {} home directory does not exist", u.name)));
    }
    let dir: PathBuf = file.parent().map(Path::to_path_buf).unwrap_or_else(|| "/".into());
    if !dir.exists() {
        let cmd = Cmd::new(["mkdir", "-m", "0700", "--", &dir.to_string_lossy()]).c_locale().user_if_root(u);
        let o = cmd.run(job.ctx)?;
        if !o.ok() {
            return Err(failed(format!("Failed to create {}: {}", dir.display(), o.err())));
        }
    }
    let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
    let comment = args.opt_str("ssh_key_comment").map(str::to_string).unwrap_or(format!("ansible-generated on {host}"));
    let mut words: Vec<String> =
        [keygen.as_str(), "-q", "-t", args.str("ssh_key_type"), "-C", &comment].map(str::to_string).into();
    if let Some(b) = args.opt_int("ssh_key_bits").filter(|b| *b > 0) {
        words.extend(["-b".into(), b.to_string()]);
    }
    words.extend(["-f".into(), file.to_string_lossy().into_owned()]);
    let cmd = match args.opt_str("ssh_key_passphrase") {
        None => Cmd::new(words).args(["-N", ""]).stdin("y\n"),
        // Without a terminal ssh-keygen reads the passphrase from its standard input.
        Some(p) => {
            let setsid = need_program(job.ctx, "setsid")?;
            let overwrite = if file.exists() { "y\n" } else { "" };
            Cmd::new([setsid, "-w".into()])
                .args(words)
                .env("SSH_ASKPASS_REQUIRE", "never")
                .stdin(format!("{overwrite}{p}\n{p}\n"))
        }
    };
    let o = cmd.c_locale().user_if_root(u).run(job.ctx)?;
    if o.ok() { Ok(()) } else { Err(failed(format!("{}{}", o.out(), o.err())).set("rc", o.rc)) }
}
