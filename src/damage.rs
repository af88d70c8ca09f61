//! Damaged input for tests: what is valid, with a few bytes changed, taken out, put in or repeated, the same in every
//! run. `DIRIGO_DAMAGE` multiplies the number of rounds.

use std::time::{Duration, Instant};

/// A small generator of numbers (xorshift): tests must not depend on chance.
pub struct Noise(u64);

impl Default for Noise {
    fn default() -> Noise {
        Noise(88172645463325252)
    }
}

impl Noise {
    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % (n.max(1) as u64)) as usize
    }

    /// At most `most` of the pieces, one behind the other.
    pub fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.below(most)).map(|_| pieces[self.below(pieces.len())]).collect()
    }

    /// The bytes with one to four kinds of damage.
    pub fn damaged(&mut self, bytes: &[u8], pieces: &[&str]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len() + 1);
            let end = (at + self.below(40)).min(out.len());
            match self.below(7) {
                0 if at < out.len() => out[at] ^= 1 << self.below(8),
                1 => drop(out.drain(at..end)),
                2 => {
                    let copy = out[at..end].to_vec();
                    let to = self.below(out.len() + 1);
                    out.splice(to..to, copy);
                }
                3 => out.truncate(at),
                4 if !pieces.is_empty() => {
                    // so often that whatever recurses for each of them goes deep
                    let many = [1, 2, 60, 3000][self.below(4)];
                    let piece = pieces[self.below(pieces.len())].repeat(many);
                    out.splice(at..at, piece.into_bytes());
                }
                5 => {
                    let byte = self.below(256) as u8;
                    out.splice(at..at, std::iter::repeat_n(byte, self.below(9)));
                }
                _ if !pieces.is_empty() => {
                    let piece = pieces[self.below(pieces.len())];
                    out.splice(at..end, piece.bytes());
                }
                _ => {}
            }
        }
        out
    }
}

/// So many rounds, or more where they are asked for.
pub fn rounds(n: usize) -> usize {
    n * std::env::var("DIRIGO_DAMAGE").ok().and_then(|v| v.parse().ok()).unwrap_or(1)
}

/// Hands `rounds` damaged copies of the seeds to `read`, which must come back from each: with a value or an error,
/// without a panic, within seconds.
pub fn withstands(seeds: &[&[u8]], pieces: &[&str], rounds: usize, mut read: impl FnMut(&[u8])) {
    let mut noise = Noise::default();
    for seed in seeds {
        for cut in 0..seed.len().min(200) {
            read(&seed[..cut]);
        }
    }
    for _ in 0..self::rounds(rounds) {
        let which = noise.below(seeds.len());
        let bytes = noise.damaged(seeds[which], pieces);
        let started = Instant::now();
        read(&bytes);
        let took = started.elapsed();
        // generous: tests run beside others, without optimisation
        assert!(took < Duration::from_secs(20), "{took:?} for {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// As [`withstands`], for readers of text.
pub fn text_withstands(seeds: &[&str], pieces: &[&str], rounds: usize, mut read: impl FnMut(&str)) {
    let seeds: Vec<&[u8]> = seeds.iter().map(|s| s.as_bytes()).collect();
    withstands(&seeds, pieces, rounds, |bytes| read(&String::from_utf8_lossy(bytes)));
}
