//! Ending a module together with everything it started, whatever process groups and sessions that made:
//! workers are subreapers, so all of it stays below them in the tree of processes.

use std::collections::HashMap;
use std::fs;

/// Sends the signal to all descendants of the process; with `own` to itself, too.
pub fn signal(pid: i32, own: bool, signal: i32) {
    let mut all = descendants(pid);
    if own {
        all.push(pid);
    }
    for p in all {
        // SAFETY: plain system call. The processes were below a child of ours a moment ago.
        unsafe { libc::kill(p, signal) };
    }
}

/// All processes below this one, the nearest first.
fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name may hold spaces and parentheses; what follows the last one is state and parent.
        let parent = stat.rsplit_once(')').and_then(|(_, r)| r.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![];
    let mut next = vec![root];
    while let Some(p) = next.pop() {
        for c in children.remove(&p).unwrap_or_default() {
            all.push(c);
            next.push(c);
        }
    }
    all
}

/// For a signal handler: ends all children, then those they left to us, with system calls that are allowed
/// there.
pub fn kill_below_in_handler() {
    let mut buf = [0u8; 4096];
    for _ in 0..200 {
        // SAFETY: open, read, close, kill, waitpid and nanosleep may be called in a signal handler; the
        // buffers live on this stack.
        unsafe {
            let fd = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if fd < 0 {
                return;
            }
            let n = libc::read(fd, buf.as_mut_ptr().cast(), buf.len());
            libc::close(fd);
            let mut pid = 0i32;
            let mut any = false;
            for b in buf.iter().take(usize::try_from(n).unwrap_or(0)) {
                if b.is_ascii_digit() {
                    pid = pid.wrapping_mul(10).wrapping_add(i32::from(b - b'0'));
                } else if pid > 0 {
                    libc::kill(pid, libc::SIGKILL);
                    any = true;
                    pid = 0;
                }
            }
            while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            if !any {
                return;
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            libc::nanosleep(&pause, std::ptr::null_mut());
        }
    }
}
