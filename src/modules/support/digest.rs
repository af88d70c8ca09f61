//! Checksums of files and streams, by the names Ansible's modules use.

use sha2::Digest as _;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

/// A running checksum of one kind.
pub enum Hasher {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// The hasher called `md5`, `sha1`, `sha224`, `sha256`, `sha384` or `sha512`.
    pub fn by_name(name: &str) -> Option<Hasher> {
        Some(match name {
            "md5" => Hasher::Md5(md5::Md5::new()),
            "sha1" => Hasher::Sha1(sha1::Sha1::new()),
            "sha224" => Hasher::Sha224(sha2::Sha224::new()),
            "sha256" => Hasher::Sha256(sha2::Sha256::new()),
            "sha384" => Hasher::Sha384(sha2::Sha384::new()),
            "sha512" => Hasher::Sha512(sha2::Sha512::new()),
            _ => return None,
        })
    }
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Hasher::Md5(h) => h.update(data),
            Hasher::Sha1(h) => h.update(data),
            Hasher::Sha224(h) => h.update(data),
            Hasher::Sha256(h) => h.update(data),
            Hasher::Sha384(h) => h.update(data),
            Hasher::Sha512(h) => h.update(data),
        }
    }
    /// The checksum in hex.
    pub fn finish(self) -> String {
        match self {
            Hasher::Md5(h) => hex(&h.finalize()),
            Hasher::Sha1(h) => hex(&h.finalize()),
            Hasher::Sha224(h) => hex(&h.finalize()),
            Hasher::Sha256(h) => hex(&h.finalize()),
            Hasher::Sha384(h) => hex(&h.finalize()),
            Hasher::Sha512(h) => hex(&h.finalize()),
        }
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// The checksum of everything a reader gives.
pub fn of_reader(kind: &str, mut r: impl Read) -> io::Result<String> {
    let mut h = Hasher::by_name(kind).ok_or_else(|| io::Error::other(format!("unknown checksum algorithm {kind}")))?;
    // most files are small
    let mut buf = vec![0u8; 4 << 10];
    loop {
        match r.read(&mut buf)? {
            0 => return Ok(h.finish()),
            n => {
                h.update(buf.get(..n).unwrap_or_default());
                if n == buf.len() && n < 64 << 10 {
                    buf = vec![0; 64 << 10];
                }
            }
        }
    }
}

/// The checksum of a file's content.
pub fn of_file(kind: &str, path: &Path) -> io::Result<String> {
    of_reader(kind, std::fs::File::open(path)?)
}

/// The checksum of bytes in memory.
pub fn of_bytes(kind: &str, data: &[u8]) -> String {
    of_reader(kind, data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(of_bytes("md5", b"hi\n"), "764efa883dda1e11db47671c4a3bbd9e");
        assert_eq!(of_bytes("sha1", b"hi\n"), "55ca6286e3e4f4fba5d0448333fa99fc5a404a73");
        assert!(of_reader("crc", &b""[..]).is_err());
    }
}
