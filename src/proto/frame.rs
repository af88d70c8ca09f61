//! Frames to bytes and back, without any input or output of its own.

use super::{FrameKind, MAX_FRAME};
use std::io::{self, Read};

/// Kind and id: what a frame's length counts beside its payload.
const HEAD: usize = 9;

/// One frame as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub id: u64,
    pub payload: Vec<u8>,
}

/// A frame among the bytes that arrived, to be passed on as it is.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    pub kind: FrameKind,
    pub id: u64,
    /// All of it, length, kind and id included.
    pub bytes: &'a [u8],
}

impl Whole<'_> {
    /// The frame taken out of the buffer.
    pub fn frame(self) -> Frame {
        Frame { kind: self.kind, id: self.id, payload: self.bytes.get(START..).unwrap_or_default().to_vec() }
    }
}

/// Why bytes are not a frame; the connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is announced; at least 9 and at most {MAX_FRAME} are allowed")]
    Length(u32),
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
}

/// The bytes of a frame; `None` if the payload is larger than a frame may be.
pub fn encode(kind: FrameKind, id: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len() + START);
    out.extend_from_slice(&start(kind, id, payload.len())?);
    out.extend_from_slice(payload);
    Some(out)
}

/// Bytes of a frame before its payload.
pub const START: usize = HEAD + 4;

/// The bytes of a frame before a payload of this length; `None` if that is larger than a frame may be.
pub fn start(kind: FrameKind, id: u64, payload: usize) -> Option<[u8; START]> {
    let len = u32::try_from(payload.checked_add(HEAD)?).ok().filter(|l| *l <= MAX_FRAME)?;
    let mut out = [0; START];
    let (length, rest) = out.split_first_chunk_mut::<4>()?;
    let (what, whose) = rest.split_first_mut()?;
    *length = len.to_be_bytes();
    *what = kind as u8;
    whose.copy_from_slice(&id.to_be_bytes());
    Some(out)
}

/// Bytes as they arrive, cut into frames. Holds what has arrived and no more, whatever a length claims.
#[derive(Debug, Default)]
pub struct FrameBuf {
    /// What arrived and was not handed out lies between `start` and `end`; the rest is room.
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the payload of the last frame begins that was handed out.
    payload: usize,
    /// The room of the next reading.
    wanted: usize,
    /// How many readings were small, one after the other.
    small: u8,
}

/// The least room for one reading, and the most: it grows while readings fill it and shrinks when they do not, so that a
/// connection that is idle holds little.
const LEAST: usize = 4 << 10;
const MOST: usize = 256 << 10;
/// After so many small readings a stream has ended, and its room is given back.
const SMALL: u8 = 8;

impl FrameBuf {
    /// Whether all that arrived was handed out.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        let to = self.end + bytes.len();
        if let Some(room) = self.buf.get_mut(self.end..to) {
            room.copy_from_slice(bytes);
            self.end = to;
        }
    }

    /// Room to read into; [`FrameBuf::filled`] tells how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        self.wanted = self.wanted.clamp(LEAST, MOST);
        self.make_room(self.wanted);
        self.buf.get_mut(self.end..self.end + self.wanted).unwrap_or_default()
    }

    /// So many bytes of the [`FrameBuf::room`] are there now.
    pub fn filled(&mut self, n: usize) {
        let n = n.min(self.buf.len() - self.end);
        self.end += n;
        if n >= self.wanted {
            self.wanted *= 2;
        }
        self.small = if n < LEAST { self.small.saturating_add(1) } else { 0 };
        if self.small >= SMALL {
            self.wanted = LEAST;
        }
    }

    /// Reads once into the room; how much, 0 at the end.
    pub fn read_from(&mut self, from: &mut impl Read) -> io::Result<usize> {
        let n = from.read(self.room())?;
        self.filled(n);
        Ok(n)
    }

    /// Sees to it that `n` bytes fit behind those that are there.
    fn make_room(&mut self, n: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.small >= SMALL && self.buf.len() > 4 * LEAST {
                self.buf = Vec::new();
            }
        }
        if self.buf.len() - self.end >= n {
            return;
        }
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buf.len() - self.end < n {
            // in a stream what is left of a frame is moved less often in a larger buffer
            let spare = if n >= MOST { 3 * MOST } else { 0 };
            let len = (self.end + n + spare).max(self.end * 2);
            self.buf.reserve_exact(len - self.buf.len());
            self.buf.resize(len, 0);
        }
    }

    /// The next complete frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        Ok(self.next_whole()?.map(Whole::frame))
    }

    /// As [`FrameBuf::next_frame`], where it lies.
    pub fn next_whole(&mut self) -> Result<Option<Whole<'_>>, FrameError> {
        let rest = self.buf.get(self.start..self.end).unwrap_or(&[]);
        let Some((len, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*len);
        if len > MAX_FRAME || (len as usize) < HEAD {
            return Err(FrameError::Length(len));
        }
        // The kind is checked as soon as it is there: a hostile peer is not worth 64 MB of patience.
        if let Some(k) = after.first()
            && FrameKind::from_byte(*k).is_none()
        {
            return Err(FrameError::Kind(*k));
        }
        let Some(bytes) = rest.get(..4 + len as usize) else { return Ok(None) };
        let Some((head, _)) = after.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [kind, id @ ..] = *head;
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        self.payload = self.start + START;
        self.start += bytes.len();
        Ok(Some(Whole { kind, id: u64::from_be_bytes(id), bytes }))
    }

    /// The payload of the frame that was handed out last, until more arrives.
    pub fn payload(&self) -> &[u8] {
        self.buf.get(self.payload..self.start).unwrap_or_default()
    }

    /// True if the middle of a frame is waiting for its rest.
    pub fn partial(&self) -> bool {
        self.start < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_anywhere() {
        let mut all = encode(FrameKind::Request, 7, b"{}").unwrap();
        all.extend(encode(FrameKind::Data, u64::MAX, &[0; 1000]).unwrap());
        all.extend(encode(FrameKind::Cancel, 0, b"").unwrap());
        for step in [1, 2, 3, 12, 13, 14, 500, all.len()] {
            let mut b = FrameBuf::default();
            let mut got = vec![];
            for part in all.chunks(step) {
                b.push(part);
                while let Some(f) = b.next_frame().unwrap() {
                    got.push((f.kind, f.id, f.payload.len()));
                }
            }
            let want = [(FrameKind::Request, 7, 2), (FrameKind::Data, u64::MAX, 1000), (FrameKind::Cancel, 0, 0)];
            assert_eq!(got, want, "step {step}");
            assert!(!b.partial());
        }
    }

    #[test]
    fn absurd_lengths_and_kinds() {
        for (bytes, want) in [
            (vec![0xff, 0xff, 0xff, 0xff], FrameError::Length(u32::MAX)),
            (vec![0, 0, 0, 8, 1], FrameError::Length(8)),
            (vec![0, 0, 0, 9, 77], FrameError::Kind(77)),
            (b"Welcome to the machine".to_vec(), FrameError::Length(u32::from_be_bytes(*b"Welc"))),
        ] {
            let mut b = FrameBuf::default();
            b.push(&bytes);
            assert_eq!(b.next_frame(), Err(want));
        }
        assert!(encode(FrameKind::Data, 1, &vec![0; MAX_FRAME as usize]).is_none());
    }

    /// Whatever arrives is cut into frames or refused, and what is in them read or refused; nothing is kept that did
    /// not arrive.
    #[test]
    fn damaged_streams() {
        let request = crate::proto::Request { module: "command".into(), timeout: 3, ..Default::default() };
        let json = serde_json::to_vec(&request).unwrap();
        let mut all = encode(FrameKind::Request, 7, &json).unwrap();
        all.extend(encode(FrameKind::Data, u64::MAX, &[0; 300]).unwrap());
        all.extend(encode(FrameKind::Cancel, 0, b"").unwrap());
        let pieces = ["{", "[", "\"", "\\u", "null", "1e999", "\0\0\0\t", "\u{1}", "{\"a\":"];
        crate::damage::withstands(&[&all, &json], &pieces, 3000, |bytes| {
            let _ = serde_json::from_slice::<crate::proto::Request>(bytes);
            let mut b = FrameBuf::default();
            b.push(bytes);
            let mut taken = 0;
            while let Ok(Some(f)) = b.next_frame() {
                taken += f.payload.len();
                let _ = serde_json::from_slice::<crate::proto::Request>(&f.payload);
            }
            assert!(taken <= bytes.len() && b.buf.capacity() <= bytes.len().max(64) * 2);
        });
    }
}
