//! The agent's executable on this side: where it is, what it is, its checksum.

use super::CallError;
use crate::agent::Holds;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Set by `dirigo`'s main: this executable answers `__agent` itself.
static OWN_AGENT: AtomicBool = AtomicBool::new(false);

/// To be called by `dirigo` before anything else: answers when it is started as its own helper (the agent,
/// or the askpass program of ssh), and remembers that it can be.
/// `holds`: the modules of this executable.
pub fn hidden_commands(holds: Holds) {
    super::askpass::askpass_if_called();
    let mut args = std::env::args().skip(1);
    if args.next().is_some_and(|a| a == "__agent") {
        crate::agent::main(holds, &args.collect::<Vec<_>>());
    }
    OWN_AGENT.store(true, Ordering::Relaxed);
}

/// The file that is started here and uploaded to hosts; it answers `__agent serve TOKEN`.
#[derive(Clone, Debug)]
pub struct AgentFile {
    pub path: Utf8PathBuf,
    /// SHA-256 in hex.
    pub sha256: String,
    /// As `uname -m` says it.
    pub machine: &'static str,
    /// Linked to shared libraries of this machine.
    pub dynamic: bool,
    /// Its bytes in each form, read when the first host needs them.
    bytes: Arc<[Mutex<Option<Arc<[u8]>>>; 3]>,
}

/// How a file travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// For the host's own gzip.
    Gzip,
    /// Deflate without head and checksum: for the agent, which computes a better one anyway.
    Deflate,
}

/// Executables above this size are of debug builds, whose time is worth more than their bytes.
const LARGE: usize = 16 << 20;

/// Finds the agent: `DIRIGO_AGENT`, `dirigo-agent` beside this executable, or this executable itself.
pub fn find() -> Result<Utf8PathBuf, CallError> {
    if let Some(p) = std::env::var("DIRIGO_AGENT").ok().filter(|p| !p.is_empty()) {
        return Ok(p.into());
    }
    let exe = std::env::current_exe().ok().and_then(|p| Utf8PathBuf::from_path_buf(p).ok());
    let exe = exe.ok_or_else(|| CallError::Failed("this program's own file cannot be found".into()))?;
    // The second folder is for tests, which live in target/*/deps.
    let beside = exe.ancestors().skip(1).take(2).map(|d| d.join("dirigo-agent")).find(|p| p.is_file());
    match beside {
        Some(p) => Ok(p),
        None if OWN_AGENT.load(Ordering::Relaxed) => Ok(exe),
        None => Err(CallError::Failed(format!("there is no dirigo-agent beside {exe}; set DIRIGO_AGENT to its path"))),
    }
}

/// Finds the file with the modules that this agent has not: `dirigo-agent-more` beside it or beside this executable, or
/// this executable itself, which has them all.
pub fn find_second(agent: &Utf8Path) -> Result<Utf8PathBuf, CallError> {
    let exe = std::env::current_exe().ok().and_then(|p| Utf8PathBuf::from_path_buf(p).ok());
    let places = agent.ancestors().skip(1).take(1).chain(exe.iter().flat_map(|e| e.ancestors().skip(1).take(2)));
    match places.map(|d| d.join("dirigo-agent-more")).find(|p| p.is_file()) {
        Some(p) => Ok(p),
        None if OWN_AGENT.load(Ordering::Relaxed) && exe.is_some() => Ok(exe.unwrap_or_default()),
        None => Err(CallError::Failed(format!(
            "there is no dirigo-agent-more beside {agent}, which has the modules that dirigo-agent has not; install all \
             executables of dirigo in one folder"
        ))),
    }
}

impl AgentFile {
    /// Reads the file once.
    pub fn load(path: &Utf8Path) -> Result<AgentFile, CallError> {
        let bad = |e: &dyn std::fmt::Display| CallError::Failed(format!("the agent {path} cannot be used: {e}"));
        let mut f = std::fs::File::open(path).map_err(|e| bad(&e))?;
        let mut head = vec![];
        Read::by_ref(&mut f).take(4096).read_to_end(&mut head).map_err(|e| bad(&e))?;
        let (machine, dynamic) = inspect(&head).ok_or_else(|| bad(&"it is no 64-bit Linux executable"))?;
        let mut sum = Sha256::new_with_prefix(&head);
        std::io::copy(&mut f, &mut sum).map_err(|e| bad(&e))?;
        Ok(AgentFile {
            path: path.into(),
            sha256: crate::proto::hex(&sum.finalize()),
            machine,
            dynamic,
            bytes: Arc::default(),
        })
    }

    /// The file in this form; once for all hosts. May take a good part of a second.
    pub fn bytes(&self, form: Form) -> std::io::Result<Arc<[u8]>> {
        let [plain, gzip, deflate] = &*self.bytes;
        let place = match form {
            Form::Plain => plain,
            Form::Gzip => gzip,
            Form::Deflate => deflate,
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(b) = &*place {
            return Ok(b.clone());
        }
        let all = std::fs::read(&self.path)?;
        let level = if all.len() > LARGE { flate2::Compression::fast() } else { flate2::Compression::default() };
        let all: Arc<[u8]> = match form {
            Form::Plain => all.into(),
            Form::Gzip => {
                let mut z = flate2::write::GzEncoder::new(vec![], level);
                z.write_all(&all)?;
                z.finish()?.into()
            }
            Form::Deflate => {
                let mut z = flate2::write::DeflateEncoder::new(vec![], level);
                z.write_all(&all)?;
                z.finish()?.into()
            }
        };
        Ok(place.insert(all).clone())
    }
}

/// Machine and whether an interpreter (the dynamic linker) is named, from an ELF file's first bytes.
fn inspect(head: &[u8]) -> Option<(&'static str, bool)> {
    let u16_at = |at: usize| head.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    let u32_at = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let machine = match u16_at(18)? {
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        21 => "ppc64le",
        22 => "s390x",
        _ => return None,
    };
    let table = usize::try_from(u32_at(32)?).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    let interpreter = 3;
    Some((machine, (0..count).any(|i| u32_at(table + i * size) == Some(interpreter))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_an_executable() {
        let me = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        let a = AgentFile::load(&me).unwrap();
        assert_eq!(a.machine, std::env::consts::ARCH);
        assert_eq!(a.dynamic, !cfg!(target_feature = "crt-static"));
        assert!(inspect(b"#!/bin/sh\n").is_none());
        assert!(inspect(b"\x7fELF\x02\x01").is_none());
    }

    #[test]
    fn its_bytes_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("a")).unwrap();
        let mut all = std::fs::read("/proc/self/exe").unwrap();
        all.truncate(300_000);
        std::fs::write(&path, &all).unwrap();
        let a = AgentFile::load(&path).unwrap();
        let (plain, packed) = (a.bytes(Form::Plain).unwrap(), a.bytes(Form::Gzip).unwrap());
        let (mut back, mut again) = (vec![], vec![]);
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut back).unwrap();
        flate2::read::DeflateDecoder::new(&*a.bytes(Form::Deflate).unwrap()).read_to_end(&mut again).unwrap();
        assert!(plain[..] == all && back == all && again == all && packed.len() < all.len());
        assert!(Arc::ptr_eq(&packed, &a.clone().bytes(Form::Gzip).unwrap()), "once for all hosts");
    }
}
