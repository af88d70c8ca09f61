//! Content that travels with a request: asked for in portions, checked against its checksum, never kept.

use super::worker::Link;
use crate::modules::ContentSource;
use crate::proto::{Content, FrameKind, hex};
use sha1::{Digest, Sha1};
use std::io::{self, Read};

/// How many bytes may be on the way at once.
const WINDOW: u64 = 2 << 20;

/// The content of the request at hand, read from the link to the supervisor.
pub struct Incoming<'l> {
    link: &'l Link,
    id: u64,
    meta: Content,
    asked: bool,
}

impl<'l> Incoming<'l> {
    pub fn new(link: &'l Link, id: u64, meta: Content) -> Incoming<'l> {
        Incoming { link, id, meta, asked: false }
    }
}

impl ContentSource for Incoming<'_> {
    fn size(&self) -> u64 {
        self.meta.size
    }

    fn sha1(&self) -> &str {
        &self.meta.sha1
    }

    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        if self.asked {
            return Err(io::Error::other("the content of a request can be read once only"));
        }
        self.asked = true;
        // Inline content is on its way already: no portion has to be asked for.
        let granted = if self.meta.inline { u64::MAX } else { 0 };
        Ok(Box::new(Reader { src: self, hash: Some(Sha1::new()), got: 0, granted, chunk: vec![], at: 0 }))
    }
}

struct Reader<'a, 'l> {
    src: &'a Incoming<'l>,
    /// Taken when the end was seen and checked.
    hash: Option<Sha1>,
    got: u64,
    granted: u64,
    chunk: Vec<u8>,
    at: usize,
}

impl Reader<'_, '_> {
    fn bad(text: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// Asks for more before the last portion is used up.
    fn grant(&mut self) -> io::Result<()> {
        if self.granted == u64::MAX || self.granted.saturating_sub(self.got) > WINDOW / 2 {
            return Ok(());
        }
        let more = self.got + WINDOW - self.granted;
        self.granted += more;
        self.src.link.send(FrameKind::WantData, self.src.id, &more.to_be_bytes())
    }

    fn next_chunk(&mut self) -> io::Result<bool> {
        loop {
            self.grant()?;
            let f = self.src.link.recv()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if f.id != self.src.id {
                continue;
            }
            match f.kind {
                FrameKind::Data => {
                    self.got += f.payload.len() as u64;
                    if self.got > self.src.meta.size {
                        return Err(Self::bad(format!("more content than the {} bytes announced", self.src.meta.size)));
                    }
                    if let Some(h) = &mut self.hash {
                        h.update(&f.payload);
                    }
                    self.chunk = f.payload;
                    self.at = 0;
                    if !self.chunk.is_empty() {
                        return Ok(true);
                    }
                }
                FrameKind::DataEnd => {
                    let Some(h) = self.hash.take() else { return Ok(false) };
                    return self.check(&hex(&h.finalize()), &f.payload).map(|()| false);
                }
                _ => return Err(Self::bad("something else than content arrived".into())),
            }
        }
    }

    fn check(&self, sum: &str, sent: &[u8]) -> io::Result<()> {
        let meta = &self.src.meta;
        if let Some(why) = sent.strip_prefix(b"!") {
            return Err(Self::bad(String::from_utf8_lossy(why).into_owned()));
        }
        if self.got != meta.size || sum != meta.sha1 {
            return Err(Self::bad(format!(
                "the content changed while it was sent: {} bytes with checksum {sum}, announced were {} with {}",
                self.got, meta.size, meta.sha1
            )));
        }
        Ok(())
    }
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.chunk.len() && (self.hash.is_none() || !self.next_chunk()?) {
            return Ok(0);
        }
        let rest = self.chunk.get(self.at..).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        buf.iter_mut().zip(rest).for_each(|(b, r)| *b = *r);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CHUNK;
    use std::os::unix::net::UnixStream;

    /// Reads content that the closure sends as the controller would.
    fn receive(meta: Content, send: impl FnOnce(Link) + Send) -> io::Result<Vec<u8>> {
        let (a, b) = UnixStream::pair().unwrap();
        let mine = Link::new(a);
        std::thread::scope(|s| {
            s.spawn(move || send(Link::new(b)));
            let mut source = Incoming::new(&mine, 5, meta);
            let mut all = vec![];
            source.reader()?.read_to_end(&mut all)?;
            assert!(source.reader().is_err());
            Ok(all)
        })
    }

    fn meta(bytes: &[u8], inline: bool) -> Content {
        Content { size: bytes.len() as u64, sha1: hex(&Sha1::digest(bytes)), inline }
    }

    #[test]
    fn streams_in_portions_and_checks() {
        let bytes: Vec<u8> = (0..10_000_000u32).map(|i| (i / 7) as u8).collect();
        let got = receive(meta(&bytes, false), |peer| {
            let mut granted = 0;
            let mut sent = 0;
            for chunk in bytes.chunks(CHUNK) {
                while sent + chunk.len() > granted {
                    let f = peer.recv().unwrap().unwrap();
                    assert_eq!((f.kind, f.id), (FrameKind::WantData, 5));
                    granted += u64::from_be_bytes(f.payload.try_into().unwrap()) as usize;
                    assert!(granted - sent <= WINDOW as usize);
                }
                peer.send(FrameKind::Data, 5, chunk).unwrap();
                sent += chunk.len();
            }
            // What belongs to others is passed over.
            peer.send(FrameKind::Data, 4, b"late").unwrap();
            peer.send(FrameKind::DataEnd, 5, hex(&Sha1::digest(&bytes)).as_bytes()).unwrap();
        });
        assert!(got.unwrap() == bytes);
    }

    #[test]
    fn what_is_not_as_announced_is_refused() {
        let announced = meta(b"hello", true);
        let bad: [&[&[u8]]; 3] = [&[b"hallo"], &[b"hell"], &[b"hello", b"!"]];
        for parts in bad {
            let r = receive(announced.clone(), |peer| {
                for p in parts {
                    peer.send(FrameKind::Data, 5, p).unwrap();
                }
                let _ = peer.send(FrameKind::DataEnd, 5, announced.sha1.as_bytes());
            });
            assert_eq!(r.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let r = receive(announced, |peer| peer.send(FrameKind::DataEnd, 5, b"!could not read").unwrap());
        assert_eq!(r.unwrap_err().to_string(), "could not read");
    }
}
