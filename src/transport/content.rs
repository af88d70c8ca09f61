//! Content on its way to an agent. A large file is read once: its checksum is computed while it is sent, or, where
//! several hosts get it, once for all of them.

use super::CallError;
use super::client::Client;
use super::pool::Payload;
use crate::proto::{CHUNK, Content, FrameKind, INLINE, START, hex, start};
use camino::Utf8Path;
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Files up to this size are read for their checksum before they are announced: an agent that has them already then
/// needs no question.
const SUM_FIRST: u64 = 4 << 20;
/// A file that was changed so lately may change again without another time of change.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells one state of a file from another: device, inode, size, and the times of change in nanoseconds.
type Identity = (u64, u64, u64, (i64, i64), (i64, i64));

/// Checksum of a file in one state.
#[derive(Default)]
struct Known {
    sum: Option<String>,
    /// Whether somebody is sending it.
    used: bool,
}

static KNOWN: LazyLock<Mutex<HashMap<Identity, Arc<Mutex<Known>>>>> = LazyLock::new(Default::default);

fn identity(m: &Metadata) -> Identity {
    (m.dev(), m.ino(), m.size(), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()))
}

/// Whether nothing changed this file lately.
fn settled(m: &Metadata) -> bool {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(m.ctime().max(m.mtime()).unsigned_abs());
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
}

enum From {
    Bytes(Arc<[u8]>, usize),
    File(File),
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            From::File(f) => f.read(buf),
            From::Bytes(b, at) => {
                let n = b.get(*at..).unwrap_or_default().read(buf)?;
                *at += n;
                Ok(n)
            }
        }
    }
}

/// Content of one request.
pub struct Source {
    pub meta: Content,
    from: From,
    /// Computed while the content is sent, if it was not announced.
    sum: Option<Sha1>,
    /// Where the checksum of a settled file is kept for the next host.
    known: Option<(Identity, Arc<Mutex<Known>>)>,
    done: bool,
}

impl Source {
    /// Opens the content. Its checksum is announced if it is small, known, or wanted by a second host.
    pub async fn open(p: &Payload) -> Result<Source, CallError> {
        match p {
            Payload::Bytes(b) => {
                let meta = Content {
                    size: b.len() as u64,
                    sha1: Some(hex(&Sha1::digest(b))),
                    inline: b.len() as u64 <= INLINE,
                };
                Ok(Source { meta, from: From::Bytes(b.clone(), 0), sum: None, known: None, done: false })
            }
            Payload::File(path) => {
                let bad = |e: io::Error| CallError::Failed(format!("could not read {path}: {e}"));
                Source::of_file(path).await.map_err(bad)
            }
        }
    }

    async fn of_file(path: &Utf8Path) -> io::Result<Source> {
        let mut f = File::open(path)?;
        let m = f.metadata()?;
        if m.is_file() && m.size() > SUM_FIRST {
            let known = settled(&m).then(|| {
                let key = identity(&m);
                (key, KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone())
            });
            let first = known.as_ref().is_none_or(|(_, k)| {
                let mut k = k.lock().unwrap_or_else(PoisonError::into_inner);
                !std::mem::replace(&mut k.used, true)
            });
            let meta = Content { size: m.size(), sha1: None, inline: false };
            let mut s = Source { meta, from: From::File(f), sum: Some(Sha1::new()), known, done: false };
            if !first {
                s.sha1().await?;
            }
            return Ok(s);
        }
        let mut sum = Sha1::new();
        let size = io::copy(&mut f, &mut sum)?;
        f.rewind()?;
        let meta = Content { size, sha1: Some(hex(&sum.finalize())), inline: size <= INLINE };
        Ok(Source { meta, from: From::File(f), sum: None, known: None, done: false })
    }

    /// The checksum before the content is sent. A large file is read by one thread for all hosts.
    pub async fn sha1(&mut self) -> io::Result<String> {
        if let Some(sum) = &self.meta.sha1 {
            return Ok(sum.clone());
        }
        let From::File(f) = &self.from else { return Err(io::Error::other("content without a checksum")) };
        // a handle shares its position with its copies, so the sum is taken without moving it
        let (f, known) = (f.try_clone()?, self.known.clone());
        let work = move || -> io::Result<String> {
            let Some((key, known)) = known else { return sum_of(&f) };
            let mut k = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sum) = &k.sum {
                return Ok(sum.clone());
            }
            let sum = sum_of(&f)?;
            if identity(&f.metadata()?) == key {
                k.sum = Some(sum.clone());
            }
            Ok(sum)
        };
        let sum = tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??;
        self.meta.sha1 = Some(sum.clone());
        self.sum = None;
        Ok(sum)
    }

    /// Whether the content begins with `len` bytes of this SHA-1 (in hex); then only what comes after them is sent. Nothing
    /// else is believed of what a host has: a file that cannot be read is sent from its beginning, where that fails.
    pub async fn skip(&mut self, len: u64, sum: &[u8]) -> bool {
        if len > self.meta.size || self.done {
            return false;
        }
        let (state, wanted) = match &mut self.from {
            From::Bytes(b, at) => {
                let Some(first) = usize::try_from(len).ok().and_then(|n| b.get(..n)) else { return false };
                let state = Sha1::new_with_prefix(first);
                if hex(&state.clone().finalize()).as_bytes() == sum {
                    *at = first.len();
                    return true;
                }
                return false;
            }
            From::File(f) => {
                let Ok(f) = f.try_clone() else { return false };
                let work = tokio::task::spawn_blocking(move || first_of(&f, len));
                (work.await.ok().and_then(Result::ok), sum)
            }
        };
        let Some(state) = state.filter(|s| hex(&s.clone().finalize()).as_bytes() == wanted) else { return false };
        let From::File(f) = &mut self.from else { return false };
        if f.seek(io::SeekFrom::Start(len)).is_err() {
            return false;
        }
        if self.sum.is_some() {
            self.sum = Some(state);
        }
        true
    }

    /// Sends as much as was granted, and the end when it is reached.
    pub async fn portion(&mut self, client: &Client, id: u64, mut grant: u64) -> Result<(), CallError> {
        let mut frame = vec![0u8; START + CHUNK.min(self.meta.size as usize).max(1)];
        while !self.done && grant > 0 {
            let room = (frame.len() - START).min(usize::try_from(grant).unwrap_or(usize::MAX));
            let n = match self.from.read(frame.get_mut(START..START + room).unwrap_or_default()) {
                Ok(n) => n,
                Err(e) => {
                    self.done = true;
                    return client.send(FrameKind::DataEnd, id, format!("!{e}").as_bytes()).await;
                }
            };
            if n == 0 {
                self.done = true;
                let sum = self.finish();
                return client.send(FrameKind::DataEnd, id, sum.as_bytes()).await;
            }
            let Some((head, rest)) = frame.split_first_chunk_mut::<START>() else { return Ok(()) };
            if let (Some(sum), Some(bytes)) = (&mut self.sum, rest.get(..n)) {
                sum.update(bytes);
            }
            *head = start(FrameKind::Data, id, n).unwrap_or_default();
            client.send_encoded(frame.get(..START + n).unwrap_or_default()).await?;
            grant -= n as u64;
        }
        Ok(())
    }

    /// The checksum at the end of the content: the announced one (the agent compares it with what it got), or that of
    /// what was sent.
    fn finish(&mut self) -> String {
        let Some(sum) = self.sum.take() else { return self.meta.sha1.clone().unwrap_or_default() };
        let sum = hex(&sum.finalize());
        if let (Some((key, known)), From::File(f)) = (&self.known, &self.from)
            && f.metadata().is_ok_and(|m| identity(&m) == *key)
        {
            known.lock().unwrap_or_else(PoisonError::into_inner).sum = Some(sum.clone());
        }
        sum
    }
}

fn sum_of(f: &File) -> io::Result<String> {
    first_of(f, u64::MAX).map(|sum| hex(&sum.finalize()))
}

/// The running checksum of the first `len` bytes of a file, or of all of it if it is shorter; its position stays.
fn first_of(f: &File, len: u64) -> io::Result<Sha1> {
    use std::os::unix::fs::FileExt;
    let (mut sum, mut part, mut at) = (Sha1::new(), vec![0u8; CHUNK], 0);
    loop {
        let room = (len - at).min(CHUNK as u64) as usize;
        match f.read_at(part.get_mut(..room).unwrap_or_default(), at) {
            Ok(0) => return Ok(sum),
            Ok(n) => {
                sum.update(part.get(..n).unwrap_or_default());
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    async fn announced(path: &Utf8Path) -> Option<String> {
        Source::open(&Payload::File(path.to_owned())).await.unwrap().meta.sha1
    }

    #[tokio::test]
    async fn large_files_are_summed_once_and_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(dir.path().join("f")).unwrap();
        let small = vec![1u8; SUM_FIRST as usize];
        std::fs::write(&path, &small).unwrap();
        assert_eq!(announced(&path).await, Some(hex(&Sha1::digest(&small))));
        let large = vec![2u8; SUM_FIRST as usize + 1];
        std::fs::write(&path, &large).unwrap();
        // too young for anything to be kept about it
        assert_eq!((announced(&path).await, announced(&path).await), (None, None));
        tokio::time::sleep(SETTLED + Duration::from_millis(1100)).await;
        assert_eq!(announced(&path).await, None, "the first host gets it while it is read");
        assert_eq!(announced(&path).await, Some(hex(&Sha1::digest(&large))), "the second one needs no second reading");
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(announced(&path).await, None);
        let mut s = Source::open(&Payload::File(path.clone())).await.unwrap();
        let all = [large.as_slice(), b"x"].concat();
        assert_eq!(s.sha1().await.unwrap(), hex(&Sha1::digest(&all)), "asked for");
        let mut got = vec![];
        s.from.read_to_end(&mut got).unwrap();
        assert!(got == all, "and sent from the beginning");
    }

    #[tokio::test]
    async fn what_a_host_has_is_skipped_if_it_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(dir.path().join("f")).unwrap();
        let bytes: Vec<u8> = (0..SUM_FIRST as u32 + 1000).map(|i| (i / 5) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let sum = |b: &[u8]| hex(&Sha1::digest(b)).into_bytes();
        for p in [Payload::File(path), Payload::Bytes(bytes.clone().into())] {
            for (len, first, same) in [
                (1000, &bytes[..1000], true),
                (bytes.len() as u64, &bytes[..], true),
                (1000, &bytes[1..1001], false),
                (1001, &bytes[..1000], false),
                (bytes.len() as u64 + 1, &bytes[..], false),
                (u64::MAX, &bytes[..], false),
            ] {
                let mut s = Source::open(&p).await.unwrap();
                assert_eq!(s.skip(len, &sum(first)).await, same, "{len}");
                let mut rest = vec![];
                s.from.read_to_end(&mut rest).unwrap();
                let from = if same { len as usize } else { 0 };
                assert!(rest == bytes[from..], "{len}");
                if let Some(sum) = &mut s.sum {
                    sum.update(&rest);
                    assert_eq!(s.finish(), hex(&Sha1::digest(&bytes)), "the checksum is that of the whole");
                }
            }
        }
    }
}
