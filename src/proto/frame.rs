//! Frames to bytes and back, without any input or output of its own.

use super::{FrameKind, MAX_FRAME};

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
    buf: Vec<u8>,
    start: usize,
}

impl FrameBuf {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buf.len() {
            self.buf.clear();
            self.start = 0;
        } else if self.start > 1 << 20 {
            self.buf.drain(..self.start);
            self.start = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next complete frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        Ok(self.next_whole()?.map(Whole::frame))
    }

    /// As [`FrameBuf::next_frame`], where it lies.
    pub fn next_whole(&mut self) -> Result<Option<Whole<'_>>, FrameError> {
        if self.start == self.buf.len() && self.buf.capacity() > 4 << 20 {
            self.buf = Vec::new();
            self.start = 0;
        }
        let rest = self.buf.get(self.start..).unwrap_or(&[]);
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
        self.start += bytes.len();
        Ok(Some(Whole { kind, id: u64::from_be_bytes(id), bytes }))
    }

    /// True if the middle of a frame is waiting for its rest.
    pub fn partial(&self) -> bool {
        self.start < self.buf.len()
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
