//! Asynchronous jobs: a module that goes on after its request was answered, and even after the agent.
//!
//! The job file is what Ansible's own `async_status` reads: first `started`, `finished` and the id, at the
//! end the module's result, or a failure with `Timeout exceeded`.

use super::worker::failure;
use crate::proto::AsyncJob;
use serde_json::{Map, Value as Json, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Starts the job detached from agent, session and terminal, and answers as Ansible does for a started job.
pub fn detach(job: AsyncJob, run: impl FnOnce() -> Map<String, Json>) -> Map<String, Json> {
    match start(job, run) {
        Ok(m) => m,
        Err(e) => failure(format!("the asynchronous job could not be started: {e}")),
    }
}

fn start(job: AsyncJob, run: impl FnOnce() -> Map<String, Json>) -> io::Result<Map<String, Json>> {
    if job.jid.is_empty() || job.jid.contains(['/', '\0']) {
        return Err(io::Error::other(format!("{:?} cannot be a job id", job.jid)));
    }
    let dir = PathBuf::from(crate::modules::expand_path(match job.dir.as_str() {
        "" => "~/.ansible_async",
        dir => dir,
    }));
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let (hear, mut tell) = io::pipe()?;
    // SAFETY: a worker has one thread here, so the child may go on as usual.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(hear);
            // SAFETY: between fork and the end of this process nothing else runs in it.
            unsafe {
                libc::setsid();
                libc::prctl(libc::PR_SET_PDEATHSIG, 0);
                // The grandchild belongs to nobody who could take it along.
                match libc::fork() {
                    0 => {}
                    _ => libc::_exit(0),
                }
            }
            let jid = job.jid;
            let path = dir.join(&jid);
            let first = json!({"started": 1, "finished": 0, "ansible_job_id": jid});
            let told = match write_file(&path, &first) {
                Ok(()) => format!("+{jid}"),
                Err(e) => format!("-{}: {e}", path.display()),
            };
            let failed = told.starts_with('-');
            let _ = tell.write_all(told.as_bytes());
            drop(tell);
            if !failed {
                close_inherited();
                supervise(&path, crate::seconds::whole(job.limit), run);
            }
            // SAFETY: ends the process without running what belongs to the worker.
            unsafe { libc::_exit(0) }
        }
        child => {
            drop(tell);
            // SAFETY: waits for the process forked above.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            let told = io::read_to_string(hear)?;
            let jid =
                told.strip_prefix('+').ok_or_else(|| io::Error::other(told.trim_start_matches('-').to_string()))?;
            let file = dir.join(jid).display().to_string();
            let answer = json!({"changed": true, "started": true, "finished": false, "ansible_job_id": jid, "results_file": file});
            Ok(match answer {
                Json::Object(m) => m,
                _ => Map::new(),
            })
        }
    }
}

/// Runs the module in a process group of its own and stops it at the limit.
fn supervise(path: &Path, limit: Duration, run: impl FnOnce() -> Map<String, Json>) {
    let Ok((hear, mut tell)) = io::pipe() else { return };
    // SAFETY: a process with one thread. All that the module starts stays below this process, to be stopped
    // with it.
    let child = unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::fork()
    };
    if child == 0 {
        drop(hear);
        // SAFETY: own group, so that the module's processes can be stopped as one.
        unsafe {
            libc::setpgid(0, 0);
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
        }
        std::panic::set_hook(Box::new(|_| {}));
        let result = Json::Object(run());
        let _ = tell.write_all(&serde_json::to_vec(&result).unwrap_or_default());
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
    drop(tell);
    let end = Instant::now() + limit;
    let mut got = Vec::new();
    let done = child > 0 && read_until(&hear, end, &mut got);
    let result = match (done, serde_json::from_slice::<Json>(&got)) {
        (true, Ok(result)) => result,
        (true, Err(_)) => Json::Object(failure("MODULE FAILURE: the module crashed in an asynchronous job")),
        (false, _) => {
            super::tree::signal(std::process::id() as i32, false, libc::SIGTERM);
            std::thread::sleep(Duration::from_millis(500));
            super::tree::signal(std::process::id() as i32, false, libc::SIGKILL);
            json!({"msg": "Timeout exceeded", "failed": true, "child_pid": child})
        }
    };
    let _ = write_file(path, &result);
}

/// Reads to the end of the stream; false if the time is over first.
fn read_until(from: &io::PipeReader, end: Instant, into: &mut Vec<u8>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io::Read;
    use std::os::fd::AsFd;
    let mut part = [0u8; 64 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let wait = PollTimeout::try_from(left.min(Duration::from_secs(3600)) + Duration::from_millis(1));
        match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], wait.unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(nix::Error::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return false,
        }
        match (&mut &*from).read(&mut part) {
            Ok(0) => return true,
            Ok(n) => into.extend_from_slice(part.get(..n).unwrap_or(&[])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Lets go of every descriptor of the worker; 0, 1 and 2 are /dev/null there.
fn close_inherited() {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .map(|d| d.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_else(|_| (3..256).collect());
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // SAFETY: what is closed belongs to the worker this process was forked from and is not used here.
        unsafe { libc::close(fd) };
    }
}

/// Replaces the job file in one step, readable by its owner alone.
fn write_file(path: &Path, value: &Json) -> io::Result<()> {
    let tmp = path.with_file_name(format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let mut f = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&tmp)?;
    let done = f.write_all(&serde_json::to_vec(value).unwrap_or_default()).and_then(|()| fs::rename(&tmp, path));
    if done.is_err() {
        let _ = fs::remove_file(&tmp);
    }
    done
}
