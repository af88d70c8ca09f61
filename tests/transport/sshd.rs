//! A real sshd on loopback with keys, configuration and users' files of its own.

use super::*;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Sshd {
    pub dir: tempfile::TempDir,
    pub port: u16,
    config: PathBuf,
    process: Option<Child>,
}

fn keygen(file: &std::path::Path) {
    let done = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status().unwrap();
    assert!(done.success());
}

impl Sshd {
    /// `None`, said aloud, where no sshd is installed or the tests do not run as root.
    pub fn start() -> Option<Sshd> {
        if !std::path::Path::new("/usr/sbin/sshd").exists() || !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root and /usr/sbin/sshd");
            return None;
        }
        std::fs::create_dir_all("/run/sshd").unwrap();
        let dir = tempfile::Builder::new().prefix("dsshd").tempdir_in("/tmp").unwrap();
        let d = dir.path();
        for name in ["host", "other", "user"] {
            keygen(&d.join(name));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = d.display();
        let config = d.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
             AuthorizedKeysFile {shown}/user.pub\nPermitRootLogin yes\nPasswordAuthentication no\n\
             AcceptEnv LANG\nPermitUserEnvironment yes\nLogLevel ERROR\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut s = Sshd { dir, port, config, process: None };
        s.trust("host");
        s.up();
        Some(s)
    }

    pub fn up(&mut self) {
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(&self.config);
        let child = sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.process = Some(child);
        eventually("sshd listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Stops the listening process; sessions live on.
    pub fn down(&mut self) {
        if let Some(mut c) = self.process.take() {
            let _ = c.kill();
            let _ = c.wait();
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes known_hosts with this key as the server's.
    pub fn trust(&self, key: &str) {
        let key = std::fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        std::fs::write(self.path("known_hosts"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    pub fn params(&self) -> ConnParams {
        let mut p = ConnParams::ssh("web");
        p.address = "127.0.0.1".into();
        p.port = Some(self.port);
        p.private_key_file = Some(self.path("user"));
        p.ssh_common_args =
            format!("-F /dev/null -o UserKnownHostsFile={} -o IdentitiesOnly=yes", self.path("known_hosts"));
        p.control_path_dir = self.path("cp");
        p.remote_tmp = self.path("tmp");
        p
    }

    /// The agents' files on the "host".
    pub fn uploaded(&self) -> Vec<PathBuf> {
        let dir = self.dir.path().join("tmp/dirigo-0");
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        names.collect()
    }

    pub fn master_pid(&self) -> Option<i32> {
        let dir = self.dir.path().join("cp");
        let socket = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).find(|p| p.extension().is_none())?;
        let out = Command::new("ssh").args(["-O", "check", "-S"]).arg(socket).arg("x").output().ok()?;
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        text.split("pid=").nth(1)?.split(')').next()?.parse().ok()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some(pid) = self.master_pid() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        self.down();
    }
}
