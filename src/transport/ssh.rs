//! OpenSSH masters: started by us with all of the user's options, shared by every channel to the host, and
//! left to live on as ControlPersist says.

use super::channel::{Channel, Exit};
use super::{CallError, ConnParams, askpass, bound};
use crate::modules::expand_path;
use crate::seconds;
use nix::fcntl::{Flock, FlockArg};
use openssh::{Error as SshError, Session, Stdio};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A socket path longer than this does not fit: ssh adds a suffix while it makes the socket.
const MAX_PATH: usize = 86;

/// Who can answer ssh's questions.
#[derive(Clone, Debug)]
pub struct Helper {
    /// The program that is its own askpass helper.
    pub program: PathBuf,
    pub interactive: bool,
}

/// The control socket of these parameters. Everything that decides where and as whom ssh connects is in it.
pub fn socket(p: &ConnParams) -> Result<PathBuf, CallError> {
    let mut h = Sha256::new();
    let key = (
        (&p.address, p.port, &p.user, &p.private_key_file),
        (&p.ssh_executable, &p.ssh_args, &p.ssh_common_args, &p.ssh_extra_args),
        (p.host_key_checking, p.password.as_ref().map(|s| s.reveal())),
    );
    h.update(format!("{key:?}"));
    let name = format!("d{}", crate::proto::hex(&h.finalize().as_slice()[..10]));
    let wanted = PathBuf::from(expand_path(&p.control_path_dir));
    let uid = nix::unistd::getuid();
    let mut problem = String::new();
    for dir in [wanted, format!("/run/user/{uid}/dirigo-cp").into(), format!("/tmp/.dirigo-cp-{uid}").into()] {
        let path = dir.join(&name);
        if path.as_os_str().len() > MAX_PATH {
            problem = format!("{} is too long for a socket", path.display());
            continue;
        }
        match private_dir(&dir) {
            Ok(()) => return Ok(path),
            Err(e) => problem = format!("{}: {e}", dir.display()),
        }
    }
    Err(CallError::ssh(format!("there is no directory for control sockets: {problem}")))
}

/// Makes the directory if it is not there; refuses one that others could write to.
fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let m = fs::symlink_metadata(dir)?;
    if !m.is_dir() || m.uid() != nix::unistd::getuid().as_raw() || m.mode() & 0o022 != 0 {
        return Err(io::Error::other("not a directory of ours alone"));
    }
    nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK)?;
    Ok(())
}

/// True if a master listens on the socket.
async fn alive(path: &Path) -> bool {
    let session = Session::resume_mux(path.into(), None);
    matches!(timeout(Duration::from_secs(5), session.check()).await, Ok(Ok(())))
}

/// Sees to it that a master listens on the socket; answers what ssh said if it could not.
pub async fn ensure_master(p: &ConnParams, path: &Path, helper: &Helper) -> Result<(), CallError> {
    if alive(path).await {
        return Ok(());
    }
    let mut attempt = 0;
    loop {
        let lock =
            Lock::take(&path.with_extension("lock"), seconds::whole(p.timeout.saturating_mul(4).saturating_add(60)))
                .await;
        let lock = lock.map_err(|e| CallError::ssh(format!("{}: {e}", path.display())))?;
        if alive(path).await {
            return Ok(());
        }
        let _ = fs::remove_file(path);
        let result = start_master(p, path, helper).await;
        drop(lock);
        match result {
            Ok(()) => return Ok(()),
            Err(e) if attempt >= p.retries => return Err(e),
            Err(_) => {
                attempt += 1;
                tokio::time::sleep(Duration::from_secs((1u64 << attempt.min(5)) - 1).min(Duration::from_secs(30)))
                    .await;
            }
        }
    }
}

/// The command line of a master, without the program.
pub fn master_args(p: &ConnParams, path: &Path) -> Result<Vec<String>, CallError> {
    let mut a: Vec<String> = ["-M", "-N", "-f", "-S"].map(String::from).into();
    a.push(path.display().to_string());
    a.extend(split(&p.ssh_args)?);
    let mut option = |text: String| a.extend(["-o".to_string(), text]);
    if !p.host_key_checking {
        option("StrictHostKeyChecking=no".into());
    }
    if let Some(port) = p.port {
        option(format!("Port={port}"));
    }
    if let Some(key) = &p.private_key_file {
        option(format!("IdentityFile=\"{}\"", expand_path(key)));
    }
    if p.password.is_some() {
        option("NumberOfPasswordPrompts=1".into());
    } else {
        option("KbdInteractiveAuthentication=no".into());
        option("PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey".into());
        option("PasswordAuthentication=no".into());
    }
    if let Some(user) = &p.user {
        option(format!("User=\"{user}\""));
    }
    option(format!("ConnectTimeout={}", p.timeout));
    a.extend(split(&p.ssh_common_args)?);
    a.extend(split(&p.ssh_extra_args)?);
    // The first value counts, so these give way to the user's.
    a.extend(["-o".into(), format!("ControlPersist={}", p.control_persist)]);
    if p.address.starts_with('-') {
        return Err(CallError::ssh(format!("'{}' cannot be the name of a host", p.address)));
    }
    a.push(p.address.clone());
    Ok(a)
}

async fn start_master(p: &ConnParams, path: &Path, helper: &Helper) -> Result<(), CallError> {
    let io_bad = |what: &str, e: io::Error| CallError::ssh(format!("{what}: {e}"));
    let dir = path.parent().unwrap_or(Path::new("/"));
    let server = askpass::Server::start(dir, p.password.clone(), helper.interactive)
        .map_err(|e| io_bad("the socket for passwords", e))?;
    // Not a pipe: proxies that live on with the master keep it open.
    let mut words = tempfile::tempfile().map_err(|e| io_bad("a temporary file", e))?;
    let stderr = words.try_clone().map_err(|e| io_bad("a temporary file", e))?;
    let mut command = tokio::process::Command::new(&p.ssh_executable);
    command
        .args(master_args(p, path)?)
        .env("SSH_ASKPASS", &helper.program)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env(askpass::SOCKET_ENV, &server.path)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(stderr);
    if std::env::var_os("DISPLAY").is_none() {
        // Before 8.4, ssh used askpass only with a display and without a terminal.
        command.env("DISPLAY", ":0");
    }
    // SAFETY: setsid may be called between fork and exec. Without the terminal, ssh asks by askpass only,
    // and Ctrl-C does not end masters that other runs use.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from));
    }
    bound::as_before(&mut command);
    let mut child = command.spawn().map_err(|e| io_bad(&format!("{} could not be started", p.ssh_executable), e))?;
    let limit = seconds::whole(p.timeout.saturating_mul(4).saturating_add(30));
    let status = tokio::select! {
        s = child.wait() => Some(s),
        () = askpass::patience(limit, &server.asking) => None,
    };
    if status.is_none() {
        let _ = child.kill().await;
    }
    let mut text = String::new();
    let _ = words.rewind().and_then(|()| (&mut words).take(64 << 10).read_to_string(&mut text));
    let text = text.replace('\r', "").trim().to_string();
    match status {
        None => Err(CallError::ssh(format!("no connection after {} seconds. {text}", limit.as_secs()))),
        Some(Err(e)) => Err(io_bad("ssh", e)),
        Some(Ok(s)) if s.success() => {
            if alive(path).await {
                return Ok(());
            }
            Err(CallError::ssh(format!("ssh made no control socket. {text}")))
        }
        Some(Ok(s)) => {
            if text.is_empty() {
                return Err(CallError::ssh(format!("ssh ended with {s}")));
            }
            if p.password.is_some() && text.contains("Permission denied") {
                return Err(CallError::Unreachable(format!("Invalid/incorrect password: {text}")));
            }
            Err(CallError::ssh(text))
        }
    }
}

/// Runs a shell command on the host in a session of the master.
pub async fn spawn(p: &ConnParams, path: &Path, command: &str) -> Result<Channel, CallError> {
    let session = Arc::new(Session::resume_mux(path.into(), None));
    let mut cmd = Session::to_raw_command(session.clone(), command);
    cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = timeout(seconds::whole(p.timeout.saturating_add(10)), cmd.spawn()).await;
    let mut child = match spawned {
        Ok(Ok(c)) => c,
        Ok(Err(e)) => return Err(CallError::ssh(describe(&e))),
        Err(_) => return Err(CallError::ssh(format!("no session within {} seconds", p.timeout.saturating_add(10)))),
    };
    let missing = || CallError::ssh("a session without its streams");
    let (stdin, stdout) = (child.stdin().take().ok_or_else(missing)?, child.stdout().take().ok_or_else(missing)?);
    widen_first(&stdin);
    widen_first(&stdout);
    let (stdin, stdout) = (Box::new(stdin), Box::new(stdout));
    let stderr = Box::new(child.stderr().take().ok_or_else(missing)?);
    let (tell, exit) = oneshot::channel();
    let name = p.address.clone();
    let path = path.to_path_buf();
    tokio::spawn(async move {
        let end = match child.wait().await {
            Ok(status) => Exit::Code(status.code().unwrap_or(-1)),
            // The crate's reading of exit code 127.
            Err(SshError::Remote(_)) => Exit::Code(127),
            // The same error stands for a process killed by a signal and for a master that is gone.
            Err(SshError::RemoteProcessTerminated) if alive(&path).await => Exit::Signal(libc::SIGKILL),
            Err(SshError::RemoteProcessTerminated | SshError::Disconnected) => {
                Exit::Lost(format!("Shared connection to {name} closed."))
            }
            Err(e) => Exit::Lost(describe(&e)),
        };
        let _ = tell.send(end);
    });
    Ok(Channel { stdin, stdout, stderr, exit })
}

/// Pipes that get more room, which spares large files most of the switching to the master and back. Only so many: the
/// system counts all that a user has in pipes, and makes new ones small above a limit (64 MB by default).
const WIDE: usize = 8;

fn widen_first(pipe: &impl AsFd) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if COUNT.fetch_add(1, Ordering::Relaxed) < WIDE {
        crate::agent::stdio::widen(pipe);
    }
}

/// An error of the openssh crate with its causes.
fn describe(e: &SshError) -> String {
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        text = format!("{text}: {c}");
        cause = c.source();
    }
    text
}

/// Ends the master, whoever uses it.
pub async fn stop(path: &Path) {
    let _ = timeout(Duration::from_secs(5), control(path, "exit")).await;
    let _ = fs::remove_file(path);
}

/// Ends the master once the last of its sessions ends: other runs may use it.
pub async fn release(path: &Path) {
    let _ = timeout(Duration::from_secs(5), control(path, "stop")).await;
}

async fn control(path: &Path, what: &str) {
    // Without a request of the multiplexing protocol for it, ask the program.
    let _ = tokio::process::Command::new("ssh")
        .args(["-O", what, "-S"])
        .arg(path)
        .arg("none")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
}

/// True if the user's options say that masters do not outlive their run.
pub fn ends_with_run(p: &ConnParams) -> bool {
    let all = format!("{} {} {}", p.ssh_args, p.ssh_common_args, p.ssh_extra_args).to_lowercase();
    let value = |text: &str| text.split_once("controlpersist=").map(|(_, v)| v.to_string());
    let value = value(&all).unwrap_or_else(|| p.control_persist.to_lowercase());
    let first: String = value.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    matches!(first.as_str(), "no" | "false")
}

/// Words as a POSIX shell would split them, without expansions.
fn split(text: &str) -> Result<Vec<String>, CallError> {
    crate::modules::support::shlex::split(text).map_err(|e| CallError::ssh(format!("{e} in the ssh arguments: {text}")))
}

/// A lock between the runs of one user: two masters must not be started on one socket.
struct Lock {
    _file: Flock<File>,
    path: PathBuf,
}

impl Lock {
    async fn take(path: &Path, patience: Duration) -> io::Result<Lock> {
        let end = Instant::now() + patience;
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Whoever had it before may have removed the file: then the lock is on nothing.
                Ok(file) if fs::metadata(path).is_ok_and(|m| file.metadata().is_ok_and(|f| f.ino() == m.ino())) => {
                    return Ok(Lock { _file: file, path: path.into() });
                }
                Ok(_) => {}
                Err(_) if Instant::now() > end => return Err(io::Error::other("locked by another run")),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        assert_eq!(split(r#" -F '/a b' -o "X=\"1\"" c\ d"#).unwrap(), ["-F", "/a b", "-o", "X=\"1\"", "c d"]);
        assert!(split("-o 'x").is_err());
        assert_eq!(split("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn user_options_stand_before_defaults() {
        let mut p = ConnParams::ssh("web");
        p.user = Some("ops".into());
        p.ssh_args = "-o ControlPersist=5m".into();
        p.ssh_common_args = "-J jump".into();
        let a = master_args(&p, Path::new("/s")).unwrap().join(" ");
        assert!(a.starts_with("-M -N -f -S /s -o ControlPersist=5m "), "{a}");
        assert!(a.ends_with("-J jump -o ControlPersist=60s web"), "{a}");
        assert!(a.contains("PasswordAuthentication=no") && a.contains("User=\"ops\""));
        p.password = Some(crate::transport::Secret::new("geheim"));
        let a = master_args(&p, Path::new("/s")).unwrap().join(" ");
        assert!(!a.contains("geheim") && !a.contains("PasswordAuthentication=no"));
        p.address = "-oProxyCommand=id".into();
        assert!(master_args(&p, Path::new("/s")).is_err());
    }

    #[test]
    fn persistence() {
        let mut p = ConnParams::ssh("web");
        assert!(!ends_with_run(&p));
        p.ssh_args = "-o ControlPersist=no".into();
        assert!(ends_with_run(&p));
    }

    #[test]
    fn sockets_are_short_and_differ() {
        let dir = tempfile::tempdir().unwrap();
        let mut p = ConnParams::ssh("web");
        p.control_path_dir = dir.path().join("cp").display().to_string();
        let a = socket(&p).unwrap();
        p.port = Some(2222);
        assert_ne!(a, socket(&p).unwrap());
        p.control_path_dir = format!("/tmp/{}", "x".repeat(100));
        assert!(socket(&p).unwrap().as_os_str().len() <= MAX_PATH);
    }
}
