//! Hashes of passwords as web servers' files of users hold them: making and checking, by passlib's names.

use crate::template::filters::cryptf::md5_crypt;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rand::Rng;
use sha1::Digest;

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Every scheme that can be made, by passlib's name.
pub const SCHEMES: &[&str] = &[
    "apr_md5_crypt",
    "bcrypt",
    "des_crypt",
    "ldap_md5",
    "ldap_salted_md5",
    "ldap_salted_sha1",
    "ldap_salted_sha256",
    "ldap_salted_sha512",
    "ldap_sha1",
    "md5_crypt",
    "plaintext",
    "sha256_crypt",
    "sha512_crypt",
];

fn letter(v: usize) -> char {
    ALPHABET.get(v & 63).copied().map_or('.', char::from)
}

/// A fresh salt of this length.
fn salt(len: usize) -> String {
    let mut rng = rand::rng();
    (0..len).map(|_| letter(rng.random_range(0..64))).collect()
}

/// A fresh hash of a password; `None` for a scheme that is not among [`SCHEMES`], or a password it cannot take.
pub fn make(scheme: &str, password: &str) -> Option<String> {
    let p = password.as_bytes();
    Some(match scheme {
        "apr_md5_crypt" => md5_crypt(p, &salt(8), "$apr1$"),
        "md5_crypt" => md5_crypt(p, &salt(8), "$1$"),
        "sha256_crypt" => sha_crypt(p, &salt(16), Some(535_000), '5')?,
        "sha512_crypt" => sha_crypt(p, &salt(16), Some(656_000), '6')?,
        "bcrypt" => bcrypt::hash_with_salt(p, 12, rand::random()).ok()?.format_for_version(bcrypt::Version::TwoB),
        "des_crypt" => des_crypt(p, &salt(2))?,
        "plaintext" => password.to_owned(),
        other => ldap(other, p, &rand::random::<[u8; 8]>())?,
    })
}

fn sha_crypt(p: &[u8], salt: &str, rounds: Option<usize>, ident: char) -> Option<String> {
    let n = rounds.unwrap_or(5000);
    let sum = match ident {
        '5' => sha_crypt::sha256_crypt_b64(p, salt.as_bytes(), &sha_crypt::Sha256Params::new(n).ok()?).ok()?,
        _ => sha_crypt::sha512_crypt_b64(p, salt.as_bytes(), &sha_crypt::Sha512Params::new(n).ok()?).ok()?,
    };
    let told = rounds.map(|n| format!("rounds={n}$")).unwrap_or_default();
    Some(format!("${ident}${told}{salt}${sum}"))
}

/// The schemes of LDAP: a name in braces, then digest and salt in base64.
fn ldap(scheme: &str, p: &[u8], salt: &[u8]) -> Option<String> {
    let salted = [p, salt].concat();
    let (name, sum, salt): (_, Vec<u8>, &[u8]) = match scheme {
        "ldap_sha1" => ("SHA", sha1::Sha1::digest(p).to_vec(), &[]),
        "ldap_md5" => ("MD5", md5::Md5::digest(p).to_vec(), &[]),
        "ldap_salted_md5" => ("SMD5", md5::Md5::digest(salted).to_vec(), salt),
        "ldap_salted_sha1" => ("SSHA", sha1::Sha1::digest(salted).to_vec(), salt),
        "ldap_salted_sha256" => ("SSHA256", sha2::Sha256::digest(salted).to_vec(), salt),
        "ldap_salted_sha512" => ("SSHA512", sha2::Sha512::digest(salted).to_vec(), salt),
        _ => return None,
    };
    Some(format!("{{{name}}}{}", BASE64.encode([&sum, salt].concat())))
}

/// What an entry's hash is: one of those that Apache reads, or of the scheme that the task names. Everything else is
/// a password as it is.
fn scheme_of<'a>(hash: &str, named: &'a str) -> &'a str {
    let crypt_letters = |h: &str| h.bytes().all(|b| ALPHABET.contains(&b));
    match hash {
        h if h.starts_with("$apr1$") => "apr_md5_crypt",
        h if h.starts_with("$5$") => "sha256_crypt",
        h if h.starts_with("$6$") => "sha512_crypt",
        h if ["$2a$", "$2b$", "$2y$"].iter().any(|p| h.starts_with(p)) => "bcrypt",
        h if h.starts_with("{SHA}") => "ldap_sha1",
        h if h.starts_with("$1$") && named == "md5_crypt" => named,
        h if h.starts_with('{') && named.starts_with("ldap_") => named,
        h if h.len() == 13 && crypt_letters(h) => "des_crypt",
        _ => "plaintext",
    }
}

/// Whether an entry's hash is that of this password; `named` is the scheme that the task names.
pub fn verify(hash: &str, password: &str, named: &str) -> bool {
    let p = password.as_bytes();
    let salted = |mark: &str| hash.strip_prefix(mark).and_then(|r| r.split('$').next()).map(|s| md5_crypt(p, s, mark));
    let again = match scheme_of(hash, named) {
        "apr_md5_crypt" => salted("$apr1$"),
        "md5_crypt" => salted("$1$"),
        "sha256_crypt" => again_sha(hash, p, '5'),
        "sha512_crypt" => again_sha(hash, p, '6'),
        "bcrypt" => return bcrypt::verify(p, hash).unwrap_or(false),
        "des_crypt" => hash.get(..2).and_then(|s| des_crypt(p, s)),
        "plaintext" => Some(password.to_owned()),
        scheme => {
            let bytes = hash.split_once('}').and_then(|(_, b)| BASE64.decode(b).ok()).unwrap_or_default();
            let size = match scheme {
                "ldap_md5" | "ldap_salted_md5" => 16,
                "ldap_salted_sha256" => 32,
                "ldap_salted_sha512" => 64,
                _ => 20,
            };
            ldap(scheme, p, bytes.get(size..).unwrap_or_default())
        }
    };
    again.as_deref() == Some(hash)
}

fn again_sha(hash: &str, p: &[u8], ident: char) -> Option<String> {
    let mut parts = hash.split('$').skip(2);
    let first = parts.next()?;
    match first.strip_prefix("rounds=") {
        Some(n) => {
            sha_crypt(p, parts.next()?, Some(n.parse().ok().filter(|n| (1000..=999_999_999).contains(n))?), ident)
        }
        None => sha_crypt(p, first, None, ident),
    }
}

// ---------------------------------------------------------------- the DES-based crypt of old Unix systems
// The tables are those of FIPS PUB 46-3; positions count from 1, the leftmost bit first.

const IP: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32,
    24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47,
    39, 31, 23, 15, 7,
];
const FP: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
    61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
    49, 17, 57, 25,
];
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
    47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
    40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];
const SHIFTS: [usize; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4,
        1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0,
        14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13,
        6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10,
        6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4,
        2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9,
        14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1,
        4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7,
        11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

/// The bits of `v` (of `width`) at the places that a table names.
fn permute(v: u64, width: u32, table: &[u8]) -> u64 {
    table.iter().fold(0, |out, &at| out << 1 | (v >> (width - u32::from(at)) & 1))
}

/// The 16 keys of a password of 8 bytes.
fn key_schedule(key: u64) -> [u64; 16] {
    let k = permute(key, 64, &PC1);
    let (mut c, mut d) = (k >> 28, k & 0xfff_ffff);
    SHIFTS.map(|n| {
        c = (c << n | c >> (28 - n)) & 0xfff_ffff;
        d = (d << n | d >> (28 - n)) & 0xfff_ffff;
        permute(c << 28 | d, 56, &PC2)
    })
}

/// The 48 bits that a half of 32 is widened to: six each, overlapping by two.
fn expand(r: u64) -> u64 {
    (0..8u32).fold(0, |out, i| (0..6u32).fold(out, |out, j| out << 1 | (r >> (31 - (i * 4 + j + 31) % 32) & 1)))
}

/// One round's function; the salt swaps bits of the widened half's two parts.
fn round(r: u64, key: u64, salt: u64) -> u64 {
    let e = expand(r);
    let swap = (e >> 24 ^ e) & salt;
    let x = (e ^ (swap << 24 | swap)) ^ key;
    let out = S.iter().enumerate().fold(0u64, |out, (i, table)| {
        let six = (x >> (42 - 6 * i) & 63) as usize;
        let at = (six & 32) | (six & 1) << 4 | (six >> 1 & 15);
        out << 4 | u64::from(table.get(at).copied().unwrap_or(0))
    });
    permute(out, 32, &P)
}

/// crypt(3) with two letters of salt: eight bytes of the password count. `None` for letters that are no salt.
fn des_crypt(password: &[u8], salt: &str) -> Option<String> {
    let value = |c: u8| ALPHABET.iter().position(|a| *a == c).map(|p| p as u64);
    let [a, b] = <[u8; 2]>::try_from(salt.as_bytes()).ok()?;
    let number = value(a)? | value(b)? << 6;
    // the salt's lowest bit belongs to the leftmost bit of the 24
    let mask = (0..12).fold(0u64, |m, i| m | (number >> i & 1) << (23 - i));
    let key = (0..8).fold(0u64, |k, i| k << 8 | u64::from(password.get(i).copied().unwrap_or(0) << 1));
    let keys = key_schedule(key);
    let mut block = 0u64;
    for _ in 0..25 {
        let b = permute(block, 64, &IP);
        let (mut l, mut r) = (b >> 32, b & 0xffff_ffff);
        for k in keys {
            (l, r) = (r, l ^ round(r, k, mask));
        }
        block = permute(r << 32 | l, 64, &FP);
    }
    let letters = (0..11u32).map(|i| letter((if i < 10 { block >> (58 - 6 * i) } else { block << 2 } & 63) as usize));
    Some(salt.chars().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        // made by htpasswd and crypt(3)
        for (hash, password, scheme) in [
            ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "myPassword", "apr_md5_crypt"),
            ("$1$3azHgidD$SrJPt7B.9rekpmwJwtON31", "password", "md5_crypt"),
            ("{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "myPassword", "ldap_sha1"),
            ("rqXexS6ZhobKA", "myPassword", "des_crypt"),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!", "sha256_crypt"),
        ] {
            assert!(verify(hash, password, scheme), "{hash}");
            assert!(!verify(hash, "other", scheme), "{hash}");
        }
        assert!(!verify("$1$3azHgidD$SrJPt7B.9rekpmwJwtON31", "password", "apr_md5_crypt"));
        assert!(verify("geheim", "geheim", "apr_md5_crypt"));
    }

    #[test]
    fn made_and_checked() {
        for scheme in SCHEMES.iter().filter(|s| **s != "bcrypt" && !s.starts_with("sha")) {
            let hash = make(scheme, "geheim").expect("made");
            assert!(verify(&hash, "geheim", scheme), "{scheme}: {hash}");
            assert!(!verify(&hash, "geheimnis", scheme), "{scheme}: {hash}");
        }
        assert!(make("portable_apache24", "x").is_none());
    }
}
