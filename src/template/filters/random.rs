//! random and shuffle. With a seed they give what Python's generator gives for it, because
//! playbooks use that for values that must stay the same (`59 | random(seed=inventory_hostname)`).

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};
use sha1::Digest;

pub const FILTERS: &[Filter] =
    &[f("random", "end, start=, step=, seed=", random), f("shuffle", "mylist, seed=", shuffle)];

const N: usize = 624;

/// The Mersenne Twister with 32-bit words, seeded as CPython's `random.Random` does.
struct Twister {
    state: [u32; N],
    at: usize,
}

impl Twister {
    fn from_words(key: &[u32]) -> Twister {
        let mut state = [0u32; N];
        let mut last = 19_650_218u32;
        for (i, slot) in state.iter_mut().enumerate() {
            if i > 0 {
                last = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
            }
            *slot = last;
        }
        let key = if key.is_empty() { &[0] } else { key };
        let mut t = Twister { state, at: N };
        let (mut i, mut j) = (1usize, 0usize);
        for _ in 0..N.max(key.len()) {
            let prev = t.word(i - 1);
            let mixed = (t.word(i) ^ (prev ^ (prev >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key.get(j).copied().unwrap_or(0))
                .wrapping_add(j as u32);
            t.set(i, mixed);
            (i, j) = (t.step(i), (j + 1) % key.len());
        }
        for _ in 0..N - 1 {
            let prev = t.word(i - 1);
            let mixed = (t.word(i) ^ (prev ^ (prev >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            t.set(i, mixed);
            i = t.step(i);
        }
        t.set(0, 0x8000_0000);
        t
    }
    fn step(&mut self, i: usize) -> usize {
        if i + 1 < N {
            return i + 1;
        }
        let last = self.word(N - 1);
        self.set(0, last);
        1
    }
    fn word(&self, i: usize) -> u32 {
        self.state.get(i).copied().unwrap_or(0)
    }
    fn set(&mut self, i: usize, v: u32) {
        if let Some(slot) = self.state.get_mut(i) {
            *slot = v;
        }
    }
    fn next(&mut self) -> u32 {
        if self.at >= N {
            for i in 0..N {
                let y = (self.word(i) & 0x8000_0000) | (self.word((i + 1) % N) & 0x7fff_ffff);
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                let v = self.word((i + 397) % N) ^ (y >> 1) ^ odd;
                self.set(i, v);
            }
            self.at = 0;
        }
        let mut y = self.word(self.at);
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
    fn bits(&mut self, n: u32) -> u128 {
        let (mut out, mut shift, mut left) = (0u128, 0u32, n);
        while left > 0 {
            let take = left.min(32);
            out |= u128::from(self.next() >> (32 - take)) << shift;
            shift += 32;
            left -= take;
        }
        out
    }
}

/// Where numbers come from: the seed, or the system.
enum Source {
    Seeded(Box<Twister>),
    System,
}

impl Source {
    fn new(seed: Option<&Value>) -> Res<Source> {
        let Some(seed) = seed else { return Ok(Source::System) };
        let words: Vec<u32> = match py::view(seed) {
            Py::Int(i) => {
                let n = i.unsigned_abs();
                let mut words: Vec<u32> = (0..4).map(|k| (n >> (32 * k)) as u32).collect();
                while words.len() > 1 && words.last() == Some(&0) {
                    words.pop();
                }
                words
            }
            Py::Bool(b) => vec![u32::from(b)],
            _ => {
                let mut text = py::str(seed)?.into_bytes();
                let sum = sha2::Sha512::digest(&text);
                text.extend_from_slice(&sum);
                let mut words: Vec<u32> =
                    text.rchunks(4).map(|c| c.iter().fold(0u32, |w, b| w << 8 | u32::from(*b))).collect();
                while words.len() > 1 && words.last() == Some(&0) {
                    words.pop();
                }
                words
            }
        };
        Ok(Source::Seeded(Box::new(Twister::from_words(&words))))
    }
    /// A number from 0 up to but not including `n`.
    fn below(&mut self, n: u128) -> u128 {
        if n == 0 {
            return 0;
        }
        match self {
            Source::System => rand::random_range(0..n),
            Source::Seeded(t) => {
                let k = 128 - n.leading_zeros();
                loop {
                    let r = t.bits(k);
                    if r < n {
                        return r;
                    }
                }
            }
        }
    }
}

fn random(_: &mut State, a: &Args) -> Res {
    let mut source = Source::new(a.some("seed"))?;
    let end = a.val("end");
    if let Py::Int(end) = py::view(end) {
        let start = a.int("start", 0)?;
        let step = Some(a.int("step", 1)?).filter(|s| *s != 0).unwrap_or(1);
        let width = end.saturating_sub(start);
        let n = if step > 0 { (width + step - 1).div_euclid(step) } else { (width + step + 1).div_euclid(step) };
        let Some(n) = u128::try_from(n).ok().filter(|n| *n > 0) else {
            return fail(format!("empty range for randrange() ({start}, {end}, {width})"));
        };
        return Ok(py::int(start + step * source.below(n) as i128));
    }
    if !matches!(py::view(end), Py::List | Py::Tuple | Py::Str(_) | Py::Dict) {
        return fail("random can only be used on sequences and integers");
    }
    if a.some("start").is_some() || a.some("step").is_some() {
        return fail("start and step can only be used with integer values");
    }
    let all = py::iter(end)?;
    if all.is_empty() {
        return fail("Cannot choose from an empty sequence");
    }
    let at = source.below(all.len() as u128) as usize;
    Ok(all.get(at).cloned().unwrap_or_default())
}

fn shuffle(_: &mut State, a: &Args) -> Res {
    let v = a.val("mylist");
    let Ok(mut all) = py::iter(v) else { return Ok(v.clone()) };
    let mut source = Source::new(a.some("seed"))?;
    for i in (1..all.len()).rev() {
        all.swap(i, source.below(i as u128 + 1) as usize);
    }
    Ok(py::list(all))
}
