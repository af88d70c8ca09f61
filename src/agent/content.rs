//! Content that travels with a request: asked for in portions, checked against its checksum, never kept.

use super::worker::Link;
use crate::modules::ContentSource;
use crate::proto::{Content, FrameBuf, FrameKind, hex};
use sha1::{Digest, Sha1};
use std::io::{self, BufRead, Read};

/// How many bytes may be on the way at once.
const WINDOW: u64 = 4 << 20;

/// The content of the request at hand, read from the link to the supervisor.
pub struct Incoming<'l> {
    link: &'l Link,
    id: u64,
    /// Its checksum is there once it is known: announced, asked for, or computed while it arrived.
    meta: Content,
    asked: bool,
    /// The first bytes, which are here already: how many, and their running checksum.
    have: Option<(u64, Sha1)>,
}

impl<'l> Incoming<'l> {
    pub fn new(link: &'l Link, id: u64, meta: Content) -> Incoming<'l> {
        Incoming { link, id, meta, asked: false, have: None }
    }
}

impl ContentSource for Incoming<'_> {
    fn size(&self) -> u64 {
        self.meta.size
    }

    fn sha1(&mut self) -> io::Result<String> {
        if let Some(sum) = &self.meta.sha1 {
            return Ok(sum.clone());
        }
        if self.asked {
            return Err(io::Error::other("the content was not read to its end"));
        }
        self.link.send(FrameKind::WantSum, self.id, &[])?;
        loop {
            let f = self.link.recv()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if f.id == self.id && f.kind == FrameKind::Sum {
                let text = String::from_utf8_lossy(&f.payload).into_owned();
                if let Some(why) = text.strip_prefix('!') {
                    return Err(bad(why.to_owned()));
                }
                self.meta.sha1 = Some(text.clone());
                return Ok(text);
            }
        }
    }

    fn resume(&mut self, have: Sha1, len: u64) -> io::Result<bool> {
        if self.asked || self.meta.inline || len > self.meta.size {
            return Ok(false);
        }
        let mut text = len.to_be_bytes().to_vec();
        text.extend(hex(&have.clone().finalize()).as_bytes());
        self.link.send(FrameKind::WantRest, self.id, &text)?;
        loop {
            let f = self.link.recv()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if f.id == self.id && f.kind == FrameKind::Rest {
                let same = f.payload == b"1";
                self.have = same.then_some((len, have));
                return Ok(same);
            }
        }
    }

    fn reader(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        if self.asked {
            return Err(io::Error::other("the content of a request can be read once only"));
        }
        self.asked = true;
        // Inline content is on its way already: no portion has to be asked for.
        let granted = if self.meta.inline { u64::MAX } else { 0 };
        let (got, hash) = self.have.take().unwrap_or_default();
        let buf = self.link.take();
        let granted = if granted == 0 { got } else { granted };
        Ok(Box::new(Reader { src: self, hash: Some(hash), got, granted, buf, chunk: 0, at: 0 }))
    }
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

struct Reader<'a, 'l> {
    src: &'a mut Incoming<'l>,
    /// Taken when the end was seen and checked.
    hash: Option<Sha1>,
    /// Bytes of the content that are here, those of an earlier transfer included.
    got: u64,
    granted: u64,
    /// What arrived on the link; given back at the end.
    buf: FrameBuf,
    /// Length of the chunk at hand, the last frame of the buffer, and how much of it was read.
    chunk: usize,
    at: usize,
}

impl Drop for Reader<'_, '_> {
    fn drop(&mut self) {
        self.src.link.give_back(std::mem::take(&mut self.buf));
    }
}

impl Reader<'_, '_> {
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
            (self.chunk, self.at) = (0, 0);
            let (kind, id) = self.src.link.recv_into(&mut self.buf)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if id != self.src.id {
                continue;
            }
            match kind {
                FrameKind::Data => {
                    let bytes = self.buf.payload();
                    self.got += bytes.len() as u64;
                    if self.got > self.src.meta.size {
                        return Err(bad(format!("more content than the {} bytes announced", self.src.meta.size)));
                    }
                    if let Some(h) = &mut self.hash {
                        h.update(bytes);
                    }
                    self.chunk = bytes.len();
                    if self.chunk > 0 {
                        return Ok(true);
                    }
                }
                FrameKind::DataEnd => {
                    let Some(h) = self.hash.take() else { return Ok(false) };
                    let sent = self.buf.payload().to_vec();
                    return self.check(hex(&h.finalize()), &sent).map(|()| false);
                }
                _ => return Err(bad("something else than content arrived".into())),
            }
        }
    }

    fn check(&mut self, sum: String, sent: &[u8]) -> io::Result<()> {
        let meta = &mut self.src.meta;
        if let Some(why) = sent.strip_prefix(b"!") {
            return Err(bad(String::from_utf8_lossy(why).into_owned()));
        }
        let announced = match &meta.sha1 {
            Some(s) => s.clone(),
            None => String::from_utf8_lossy(sent).into_owned(),
        };
        if self.got != meta.size || sum != announced {
            return Err(bad(format!(
                "the content changed while it was sent: {} bytes with checksum {sum}, announced were {} with {announced}",
                self.got, meta.size
            )));
        }
        meta.sha1 = Some(sum);
        Ok(())
    }
}

impl BufRead for Reader<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.chunk && (self.hash.is_none() || !self.next_chunk()?) {
            return Ok(&[]);
        }
        Ok(self.buf.payload().get(self.at..).unwrap_or(&[]))
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
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
            assert_eq!(source.sha1()?, hex(&Sha1::digest(&all)));
            Ok(all)
        })
    }

    fn meta(bytes: &[u8], inline: bool) -> Content {
        Content { size: bytes.len() as u64, sha1: Some(hex(&Sha1::digest(bytes))), inline }
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
                let _ = peer.send(FrameKind::DataEnd, 5, announced.sha1.as_deref().unwrap_or("").as_bytes());
            });
            assert_eq!(r.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let r = receive(announced, |peer| peer.send(FrameKind::DataEnd, 5, b"!could not read").unwrap());
        assert_eq!(r.unwrap_err().to_string(), "could not read");
    }

    #[test]
    fn the_checksum_comes_with_the_end_or_when_asked_for() {
        let unknown = Content { sha1: None, ..meta(b"hello", false) };
        let sum = hex(&Sha1::digest(b"hello"));
        let send = |peer: &Link| {
            while peer.recv().unwrap().unwrap().kind != FrameKind::WantData {}
            peer.send(FrameKind::Data, 5, b"hello").unwrap();
            peer.send(FrameKind::DataEnd, 5, sum.as_bytes()).unwrap();
        };
        assert_eq!(receive(unknown.clone(), |peer| send(&peer)).unwrap(), b"hello");
        let (a, b) = UnixStream::pair().unwrap();
        let (mine, peer) = (Link::new(a), Link::new(b));
        let mut source = Incoming::new(&mine, 5, unknown.clone());
        peer.send(FrameKind::Sum, 5, sum.as_bytes()).unwrap();
        assert_eq!(source.sha1().unwrap(), sum);
        assert_eq!(peer.recv().unwrap().unwrap().kind, FrameKind::WantSum);
        let mut source = Incoming::new(&mine, 6, unknown);
        peer.send(FrameKind::Sum, 6, b"!no such file").unwrap();
        assert_eq!(source.sha1().unwrap_err().to_string(), "no such file");
    }

    #[test]
    fn a_cut_transfer_goes_on_where_both_have_the_same() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i / 3) as u8).collect();
        let (a, b) = UnixStream::pair().unwrap();
        let mine = Link::new(a);
        let go = |first: &[u8], answer: &[u8], rest: &[u8]| {
            let mut source = Incoming::new(&mine, 7, Content { sha1: None, ..meta(&bytes, false) });
            std::thread::scope(|s| {
                let stream = b.try_clone().unwrap();
                let bytes = &bytes;
                let other = s.spawn(move || {
                    let peer = Link::new(stream);
                    // what the reader before this one asked for ahead is passed over
                    let mut f = peer.recv().unwrap().unwrap();
                    while f.kind != FrameKind::WantRest {
                        f = peer.recv().unwrap().unwrap();
                    }
                    let mut wanted = (first.len() as u64).to_be_bytes().to_vec();
                    wanted.extend(hex(&Sha1::digest(first)).as_bytes());
                    assert_eq!(f.payload, wanted);
                    peer.send(FrameKind::Rest, 7, answer).unwrap();
                    assert_eq!(peer.recv().unwrap().unwrap().kind, FrameKind::WantData);
                    rest.chunks(CHUNK).for_each(|c| peer.send(FrameKind::Data, 7, c).unwrap());
                    peer.send(FrameKind::DataEnd, 7, hex(&Sha1::digest(bytes)).as_bytes()).unwrap();
                });
                let same = source.resume(Sha1::new_with_prefix(first), first.len() as u64).unwrap();
                let mut got = vec![];
                let end = source.reader().unwrap().read_to_end(&mut got);
                other.join().unwrap();
                end.map(|_| (same, got))
            })
        };
        let (same, got) = go(&bytes[..1_000_000], b"1", &bytes[1_000_000..]).unwrap();
        assert!(same && got == bytes[1_000_000..]);
        let (same, got) = go(b"something else", b"0", &bytes).unwrap();
        assert!(!same && got == bytes);
        let (same, got) = go(&bytes, b"1", b"").unwrap();
        assert!(same && got.is_empty(), "all of it was here");
        // a sender that says yes to other bytes is found out at the end
        let e = go(b"something else", b"1", &bytes[14..]).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::InvalidData);
        // and the link goes on behind the content
        Link::new(b).send(FrameKind::Cancel, 9, b"").unwrap();
        assert_eq!(mine.recv().unwrap().unwrap().id, 9);
    }
}
