//! Running programs: arguments as a list, never through a shell.

use crate::modules::Failure;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a program that ended left behind.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Exit code; minus the signal's number if a signal ended it.
    pub rc: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Finds a program in PATH and in the sbin directories that a login shell may not have.
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| is_program(p));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .filter(|d| !d.is_empty())
        .chain(["/sbin", "/usr/sbin", "/usr/local/sbin", "/bin", "/usr/bin"])
        .map(|d| PathBuf::from(d).join(name))
        .find(|p| is_program(p))
}

fn is_program(p: &std::path::Path) -> bool {
    p.is_file() && nix::unistd::access(p, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Runs a program to its end with extra environment and, if given, bytes on its standard input.
pub fn run(argv: &[String], env: &[(String, String)], stdin: Option<&[u8]>) -> Result<Output, Failure> {
    let (program, args) = argv.split_first().ok_or("no command given")?;
    let fail = |e: std::io::Error| {
        let rc = e.raw_os_error().unwrap_or(1);
        Failure::new(format!("Error executing command: {}", super::pytext::os_error(&e, program.as_ref())))
            .set("rc", rc)
            .set("cmd", argv.join(" "))
    };
    let mut child = Command::new(program)
        .args(args)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    // Written from a thread of its own, so that a program that talks before it has read all cannot block us.
    let feeder = child.stdin.take().zip(stdin.map(<[u8]>::to_vec)).map(|(mut pipe, data)| {
        std::thread::spawn(move || {
            // A program may well not read its input; what it answers decides.
            let _ = pipe.write_all(&data);
        })
    });
    let out = child.wait_with_output().map_err(fail)?;
    if let Some(f) = feeder {
        let _ = f.join();
    }
    use std::os::unix::process::ExitStatusExt;
    Ok(Output {
        rc: out.status.code().unwrap_or_else(|| -out.status.signal().unwrap_or(1)),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_feeds() {
        let argv = ["sh".to_string(), "-c".into(), "cat; echo $X >&2; exit 3".into()];
        let o = run(&argv, &[("X".into(), "y".into())], Some(b"in")).expect("runs");
        assert_eq!((o.rc, o.stdout.as_str(), o.stderr.as_str()), (3, "in", "y\n"));
        assert!(run(&["/no/such".to_string()], &[], None).is_err());
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program").is_none());
    }
}
