//! How many connections may be open at once. Thousands of hosts must not exhaust file descriptors, processes or memory:
//! above the bound, connections that nobody uses are closed for the next ones, and whoever finds none of these waits.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::sync::OnceLock;

/// Descriptors of one connection: three streams and the socket to its master, and one to spare.
const FILES_EACH: u64 = 5;
/// Descriptors for everything else, masters that are being started included.
const FILES_ELSE: u64 = 256;
/// Tasks of the system for everything else.
const TASKS_ELSE: u64 = 256;
/// Memory of an OpenSSH master that is its own, and of our side of the connection.
const MEMORY_EACH: u64 = 2 << 20;

/// The bound and what it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub most: usize,
    why: String,
}

impl Bound {
    /// What the limits of this process and this machine allow now.
    pub fn find() -> Bound {
        let all = [files(), tasks(), user_processes(), memory()];
        least(all.into_iter().flatten())
    }

    /// For the user, when it binds.
    pub fn notice(&self) -> String {
        format!(
            "At most {} connections are kept open at once, because of {}; hosts beyond that are connected to anew for \
             their tasks.",
            self.most, self.why
        )
    }
}

/// The smallest of these, but at least one.
fn least(all: impl Iterator<Item = (u64, String)>) -> Bound {
    let (most, why) = all.min_by_key(|(n, _)| *n).unwrap_or((u64::MAX, String::new()));
    // a semaphore holds no more than this
    let most = most.clamp(1, (usize::MAX >> 4) as u64);
    Bound { most: usize::try_from(most).unwrap_or(1), why }
}

fn files() -> Option<(u64, String)> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some((hard.saturating_sub(FILES_ELSE) / FILES_EACH, format!("the limit of {hard} open files (ulimit -Hn)")))
}

/// Threads and processes of the whole system or of the control group, one for each master.
fn tasks() -> Option<(u64, String)> {
    let most = number("/proc/sys/kernel/threads-max")?.min(number("/proc/sys/kernel/pid_max")?);
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let now: u64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    let system = (most.saturating_sub(now + TASKS_ELSE), format!("the system's limit of {most} processes"));
    let group = group_limit("pids").map(|(limit, used)| {
        (limit.saturating_sub(used + TASKS_ELSE / 4), format!("the control group's limit of {limit} processes"))
    });
    [Some(system), group].into_iter().flatten().min_by_key(|(n, _)| *n)
}

/// Processes of this user; root is not held to it.
fn user_processes() -> Option<(u64, String)> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    let me = nix::unistd::getuid();
    if me.is_root() || limit == libc::RLIM_INFINITY {
        return None;
    }
    let own = |e: &fs::DirEntry| {
        use std::os::unix::fs::MetadataExt;
        e.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
            && e.metadata().is_ok_and(|m| m.uid() == me.as_raw())
    };
    let now = fs::read_dir("/proc").ok()?.flatten().filter(own).count() as u64;
    Some((limit.saturating_sub(now + 32), format!("the limit of {limit} processes of a user (ulimit -u)")))
}

fn memory() -> Option<(u64, String)> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let free = line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10;
    let group = group_limit("memory").map(|(limit, used)| limit.saturating_sub(used));
    let free = group.map_or(free, |g| g.min(free));
    Some((free / 10 * 9 / MEMORY_EACH, format!("the {} MB of memory that are free", free >> 20)))
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Limit and use of the control group (version 2) of this process; none if it has no limit.
fn group_limit(what: &str) -> Option<(u64, u64)> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|l| l.strip_prefix("0::"))?;
    let dir = format!("/sys/fs/cgroup{}", path.trim_end_matches('/'));
    Some((number(&format!("{dir}/{what}.max"))?, number(&format!("{dir}/{what}.current"))?))
}

/// The soft limit of open files as it was before it was raised.
static BEFORE: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files to the hard one, once this many connections need it.
pub fn raise_files(connections: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let needed = (connections as u64).saturating_mul(FILES_EACH).saturating_add(FILES_ELSE);
    if soft < hard && needed > soft && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        let _ = BEFORE.set(soft);
    }
}

/// For a command about to be started: gives it the limit of open files that the user meant.
pub fn as_before(command: &mut tokio::process::Command) {
    let Some(soft) = BEFORE.get().copied() else { return };
    // SAFETY: getrlimit and setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
            Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_binds_and_is_named() {
        let b = least([(7, "a".to_string()), (3, "b".to_string()), (9, "c".to_string())].into_iter());
        assert_eq!(b, Bound { most: 3, why: "b".into() });
        assert!(b.notice().starts_with("At most 3 connections") && b.notice().contains("because of b;"));
        assert_eq!(least([(0, String::new())].into_iter()).most, 1);
        assert!(least(std::iter::empty()).most <= tokio::sync::Semaphore::MAX_PERMITS);
    }

    #[test]
    fn this_machine_has_limits() {
        for found in [files(), tasks(), memory()] {
            assert!(found.is_some_and(|(n, why)| n > 0 && !why.is_empty()));
        }
        assert!(Bound::find().most > 1);
    }
}
