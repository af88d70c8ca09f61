//! password_hash: crypt(3) hashes as passlib makes them.

use super::py::{self, Res, error, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};
use rand::Rng;
use sha1::Digest;

pub const FILTERS: &[Filter] =
    &[f("password_hash", "password, hashtype=, salt=, salt_size=, rounds=, ident=", password_hash)];

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BCRYPT: &str = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn password_hash(_: &mut State, a: &Args) -> Res {
    let secret = a.val("password");
    if !matches!(py::view(secret), py::Py::Str(_) | py::Py::Bytes(_)) {
        return fail(format!("secret must be unicode or bytes, not {}", py::type_name(secret)));
    }
    let password = py::str(secret)?;
    let kind = a.text_or("hashtype", "sha512")?;
    let salt = a.text_opt("salt")?.filter(|s| !s.is_empty());
    let size = a.int_opt("salt_size").map_err(|_| error("salt_size must be an integer"))?;
    let size = size.and_then(|n| usize::try_from(n).ok());
    let rounds = match a.some("rounds").map(py::view) {
        Some(py::Py::Str(s)) => Some(
            super::numbers::parse_int(s, 10)
                .ok_or_else(|| error(format!("invalid literal for int() with base 10: '{s}'")))?,
        ),
        _ => a.int_opt("rounds")?,
    };
    let ident = a.text_opt("ident")?;
    if password.contains('\0') {
        return fail("embedded null byte in password");
    }
    let hash = match kind.as_str() {
        "md5" | "md5_crypt" if rounds.is_some() => {
            return fail("md5_crypt has no rounds: unexpected keyword argument 'rounds'");
        }
        "md5" | "md5_crypt" => md5_crypt(password.as_bytes(), &checked_salt(salt, size, 8, "md5_crypt")?, "$1$"),
        "sha256" | "sha256_crypt" => {
            sha(&password, checked_salt(salt, size, 16, "sha256_crypt")?, rounds, 535_000, "5")?
        }
        "sha512" | "sha512_crypt" => {
            sha(&password, checked_salt(salt, size, 16, "sha512_crypt")?, rounds, 656_000, "6")?
        }
        "blowfish" | "bcrypt" => bcrypt_hash(&password, salt, rounds.unwrap_or(12), ident.as_deref().unwrap_or("2b"))?,
        other => {
            return fail(format!(
                "{other} is not in the list of supported passlib algorithms: md5, blowfish, sha256, sha512"
            ));
        }
    };
    Ok(Value::from(hash))
}

/// The salt given, or a fresh one.
fn checked_salt(salt: Option<String>, size: Option<usize>, longest: usize, scheme: &str) -> Res<String> {
    if let Some(n) = size.filter(|n| *n > longest) {
        return fail(format!("Could not hash the secret: {scheme}: salt_size ({n}) above max_salt_size ({longest})"));
    }
    match salt {
        Some(s) => {
            if s.bytes().any(|b| !ALPHABET.contains(&b)) {
                return fail(format!("Could not hash the secret: invalid characters in {scheme} salt"));
            }
            if s.len() > longest {
                return fail(format!(
                    "Could not hash the secret: salt too large ({scheme} requires <= {longest} chars)"
                ));
            }
            Ok(s)
        }
        None => {
            let n = size.unwrap_or(longest);
            let mut rng = rand::rng();
            Ok((0..n).map(|_| ALPHABET.get(rng.random_range(0..64)).copied().map_or('.', char::from)).collect())
        }
    }
}

fn sha(password: &str, salt: String, rounds: Option<i128>, default: usize, ident: &str) -> Res<String> {
    let rounds = match rounds {
        None => default,
        Some(n) => usize::try_from(n).ok().filter(|n| (1000..=999_999_999).contains(n)).ok_or_else(|| {
            let scheme = if ident == "5" { "sha256_crypt" } else { "sha512_crypt" };
            let (low, limit) = if n < 1000 {
                ("min_desired_rounds", "low, must be at least 1000")
            } else {
                ("max_desired_rounds", "high, must be at most 999999999")
            };
            error(format!("Could not hash the secret: {scheme}: {low} ({n}) is too {limit}"))
        })?,
    };
    let bad = |e: sha_crypt::CryptError| error(format!("password_hash failed: {e:?}"));
    let (p, s) = (password.as_bytes(), salt.as_bytes());
    let sum = match ident {
        "5" => sha_crypt::sha256_crypt_b64(p, s, &sha_crypt::Sha256Params::new(rounds).map_err(bad)?).map_err(bad)?,
        _ => sha_crypt::sha512_crypt_b64(p, s, &sha_crypt::Sha512Params::new(rounds).map_err(bad)?).map_err(bad)?,
    };
    // 5000 rounds are what a hash means that does not say
    Ok(match rounds {
        5000 => format!("${ident}${salt}${sum}"),
        n => format!("${ident}$rounds={n}${salt}${sum}"),
    })
}

fn bcrypt_hash(password: &str, salt: Option<String>, rounds: i128, ident: &str) -> Res<String> {
    let Some(cost) = u32::try_from(rounds).ok().filter(|c| (4..=31).contains(c)) else {
        return fail(format!("rounds must be between 4 and 31, not {rounds}"));
    };
    let version = match ident.trim_matches('$') {
        "2" | "2a" => bcrypt::Version::TwoA,
        "2b" => bcrypt::Version::TwoB,
        "2y" => bcrypt::Version::TwoY,
        "2x" => bcrypt::Version::TwoX,
        other => return fail(format!("invalid ident: {other}")),
    };
    let bytes: [u8; 16] = match salt {
        None => rand::random(),
        Some(s) => {
            if s.len() != 22 {
                return fail(format!("invalid salt size {} (bcrypt requires exactly 22 chars)", s.len()));
            }
            let mut bits: Vec<u8> = vec![];
            for c in s.chars() {
                let Some(six) = BCRYPT.find(c) else {
                    return fail(format!("invalid characters in salt: {}", py::repr(&Value::from(c.to_string()))?));
                };
                bits.extend((0..6).rev().map(|i| (six >> i & 1) as u8));
            }
            let all: Vec<u8> = bits.chunks_exact(8).map(|c| c.iter().fold(0u8, |x, b| x << 1 | b)).collect();
            <[u8; 16]>::try_from(all.as_slice()).map_err(|_| error("invalid salt"))?
        }
    };
    bcrypt::hash_with_salt(password, cost, bytes)
        .map(|parts| parts.format_for_version(version))
        .map_err(|e| error(format!("password_hash failed: {e}")))
}

/// The MD5-based crypt: of FreeBSD and old Linux systems with the mark `$1$`, Apache's own with `$apr1$`.
pub fn md5_crypt(password: &[u8], salt: &str, mark: &str) -> String {
    let s = salt.as_bytes();
    let alternate = md5::Md5::digest([password, s, password].concat());
    let mut first = [password, mark.as_bytes(), s].concat();
    first.extend(alternate.iter().cycle().take(password.len()));
    let mut n = password.len();
    while n > 0 {
        first.push(if n & 1 == 1 { 0 } else { password.first().copied().unwrap_or(0) });
        n >>= 1;
    }
    let mut sum = md5::Md5::digest(first);
    for i in 0..1000 {
        let mut round: Vec<u8> = vec![];
        round.extend(if i & 1 == 1 { password } else { &sum });
        if i % 3 != 0 {
            round.extend(s);
        }
        if i % 7 != 0 {
            round.extend(password);
        }
        round.extend(if i & 1 == 1 { sum.as_slice() } else { password });
        sum = md5::Md5::digest(round);
    }
    let byte = |i: usize| u32::from(sum.get(i).copied().unwrap_or(0));
    let mut out = format!("{mark}{salt}$");
    let mut put = |mut v: u32, n: usize| {
        for _ in 0..n {
            out.push(ALPHABET.get((v & 63) as usize).copied().map_or('.', char::from));
            v >>= 6;
        }
    };
    for (x, y, z) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        put(byte(x) << 16 | byte(y) << 8 | byte(z), 4);
    }
    put(byte(11), 2);
    out
}
