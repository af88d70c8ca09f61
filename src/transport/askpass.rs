//! Answers to ssh's questions. ssh starts this program again as its askpass helper; the helper asks the
//! controller over a socket that only the user can reach, so no password is ever in an argument list, an
//! environment or a file.

use super::Secret;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as SyncStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Names the socket in the environment of ssh.
pub const SOCKET_ENV: &str = "DIRIGO_ASKPASS";

/// If this process was started by ssh to ask for something, asks and ends.
pub fn askpass_if_called() {
    let Some(path) = std::env::var_os(SOCKET_ENV) else { return };
    let mut args = std::env::args().skip(1);
    let (Some(prompt), None) = (args.next(), args.next()) else { return };
    if prompt == "__agent" {
        return;
    }
    std::process::exit(match ask_controller(Path::new(&path), &prompt) {
        Some(answer) => i32::from(writeln!(std::io::stdout(), "{answer}").is_err()),
        None => 1,
    })
}

fn ask_controller(path: &Path, prompt: &str) -> Option<String> {
    let mut s = SyncStream::connect(path).ok()?;
    s.write_all(prompt.as_bytes()).ok()?;
    s.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    s.read_to_string(&mut answer).ok()?;
    answer.strip_prefix('+').map(str::to_string)
}

/// One at a time asks the user.
static TERMINAL: Mutex<()> = Mutex::new(());

/// Serves the questions of one ssh process.
pub struct Server {
    pub path: PathBuf,
    task: tokio::task::JoinHandle<()>,
    /// True while the user is being asked, which may take long.
    pub asking: Arc<AtomicBool>,
}

impl Server {
    /// Listens in this directory, which belongs to the user alone.
    pub fn start(dir: &Path, password: Option<Secret>, interactive: bool) -> std::io::Result<Server> {
        let path = dir.join(format!("a{:08x}", rand::random::<u32>()));
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let asking = Arc::new(AtomicBool::new(false));
        let flag = asking.clone();
        let task = tokio::spawn(async move {
            let mut given = HashSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serve(stream, password.as_ref(), interactive, &mut given, &flag).await;
            }
        });
        Ok(Server { path, task, asking })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(
    mut stream: UnixStream,
    password: Option<&Secret>,
    interactive: bool,
    given: &mut HashSet<String>,
    asking: &AtomicBool,
) -> std::io::Result<()> {
    let mut prompt = String::new();
    (&mut stream).take(4096).read_to_string(&mut prompt).await?;
    let is_password = prompt.to_lowercase().contains("password") && !is_confirmation(&prompt);
    let answer = match password {
        // The same question twice means that the answer was wrong.
        Some(p) if is_password => given.insert(prompt).then(|| p.reveal().to_string()),
        _ if interactive => {
            asking.store(true, Ordering::Relaxed);
            let answer = tokio::task::spawn_blocking(move || ask_user(&prompt)).await.ok().flatten();
            asking.store(false, Ordering::Relaxed);
            answer
        }
        _ => None,
    };
    let bytes = answer.map_or_else(|| "-".to_string(), |a| format!("+{a}"));
    stream.write_all(bytes.as_bytes()).await
}

fn is_confirmation(prompt: &str) -> bool {
    prompt.contains("(yes/no")
}

/// Asks at the terminal, without echo unless it is a yes-or-no question.
fn ask_user(prompt: &str) -> Option<String> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let _one = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    tty.write_all(prompt.as_bytes()).ok()?;
    let before = tcgetattr(&tty).ok()?;
    let secret = !is_confirmation(prompt);
    if secret {
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&tty, SetArg::TCSAFLUSH, &quiet).ok()?;
    }
    let mut line = String::new();
    let got = BufReader::new(&tty).read_line(&mut line);
    if secret {
        let _ = tcsetattr(&tty, SetArg::TCSAFLUSH, &before);
        let _ = tty.write_all(b"\n");
    }
    got.ok().filter(|n| *n > 0)?;
    Some(line.trim_end_matches(['\r', '\n']).to_string())
}

/// Time for ssh to come up; the clock stands still while the user is asked.
pub async fn patience(limit: Duration, asking: &AtomicBool) {
    let step = Duration::from_millis(200);
    let mut left = limit;
    while !left.is_zero() {
        tokio::time::sleep(step).await;
        if !asking.load(Ordering::Relaxed) {
            left = left.saturating_sub(step);
        }
    }
}
