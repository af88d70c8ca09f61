//! The lookup `password`: a random password, kept in a file so that the next run has the same one.

use super::{Call, split_term};
use crate::diag::{Error, Result};
use crate::template::convert::error;
use crate::value::{Map, Value};
use camino::{Utf8Path, Utf8PathBuf};
use minijinja::value::{Kwargs, Value as Mj};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;

const KNOWN: &[&str] = &["length", "encrypt", "chars", "ident", "seed"];
const SALT: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./";

pub(super) fn password(call: &Call<'_>) -> Result<Vec<Value>> {
    call.texts()?.iter().map(|term| one(call, term).map(Value::plain)).collect()
}

fn one(call: &Call<'_>, term: &str) -> Result<String> {
    let (path, own) = split_term(term)?;
    if path.contains(' ') && !own.is_empty() && !term.starts_with(&path) {
        return Err(Error::template("Unrecognized value after key=value parameters given to password lookup"));
    }
    // a term with options of its own goes without those of the call
    let options: Map = if own.is_empty() { call.options.clone() } else { own };
    let unknown: Vec<String> =
        options.keys().map(ToString::to_string).filter(|k| !KNOWN.contains(&k.as_str())).collect();
    if !unknown.is_empty() {
        return Err(Error::template(format!(
            "Unrecognized parameter(s) given to password lookup: {}",
            unknown.join(", ")
        )));
    }
    let get = |name: &str| options.get(name).filter(|v| !v.is_null());
    let length: usize = match get("length") {
        None => 20,
        Some(v) => v.to_str().trim().parse().ok().filter(|n| *n <= 1 << 16).ok_or_else(|| {
            Error::template(format!(
                "Config 'length' for 'password' lookup plugin from 'Direct' has an invalid value: \
                     Invalid value provided for 'integer': '{}'",
                v.to_str()
            ))
        })?,
    };
    let seed = get("seed").map(Value::to_str);
    let encrypt = get("encrypt").filter(|v| v.as_bool() != Some(false)).map(Value::to_str).filter(|v| !v.is_empty());
    let mut rng = match &seed {
        Some(s) => StdRng::from_seed(Sha256::digest(s.as_bytes()).into()),
        None => StdRng::from_os_rng(),
    };
    let chars = characters(get("chars"))?;
    let file = resolve(call, &path);
    let keep = file.as_str() != "/dev/null";
    let _lock = if keep { Some(Lock::take(&file)?) } else { None };
    let stored = if keep && file.exists() { Some(call.r.scope.files.read_text(&file)?) } else { None };
    let (mut plain, mut salt, mut ident) = (String::new(), None, None);
    if let Some(text) = &stored {
        (plain, salt, ident) = parse(text.trim_end());
    }
    let mut changed = stored.is_none();
    if stored.is_none() {
        plain = pick(&mut rng, &chars, length)?;
    }
    if let Some(method) = &encrypt {
        if salt.is_none() {
            let size = match method.as_str() {
                "md5_crypt" => 8,
                "bcrypt" => 22,
                _ => 16,
            };
            salt = Some(pick(&mut rng, &SALT.chars().collect::<Vec<_>>(), size)?);
            changed = true;
        }
        if ident.is_none() {
            ident = get("ident").map(Value::to_str).or_else(|| (method == "bcrypt").then(|| "2b".to_string()));
            changed |= ident.is_some();
        }
    }
    if changed && keep {
        let mut line = plain.clone();
        if encrypt.is_some() {
            line.push_str(&format!(" salt={}", salt.as_deref().unwrap_or("")));
            if let Some(i) = &ident {
                line.push_str(&format!(" ident={i}"));
            }
        }
        store(&file, &line)?;
    }
    match encrypt {
        None => Ok(plain),
        Some(method) => hash(call, &plain, &method, salt, ident),
    }
}

fn resolve(call: &Call<'_>, path: &str) -> Utf8PathBuf {
    let path = crate::template::expand_user(path);
    if path.is_absolute() { path } else { call.r.scope.files.playbook_dir.join(path) }
}

/// The characters of `chars`: names of Python's `string` sets, or characters themselves.
fn characters(v: Option<&Value>) -> Result<Vec<char>> {
    let words: Vec<String> = match v {
        None => vec!["ascii_letters".into(), "digits".into(), ".,:-_".into()],
        Some(Value::List(l)) => l.iter().map(Value::to_str).collect(),
        Some(v) => {
            let text = v.to_str();
            let mut words: Vec<String> =
                text.replace(",,", "\0").split(',').filter(|w| !w.is_empty()).map(|w| w.replace('\0', "")).collect();
            words.retain(|w| !w.is_empty());
            if text.contains(",,") || text == "," {
                words.push(",".into());
            }
            words
        }
    };
    let mut out = Vec::new();
    for word in words {
        match word.as_str() {
            "ascii_letters" => out.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => out.extend('a'..='z'),
            "ascii_uppercase" => out.extend('A'..='Z'),
            "digits" => out.extend('0'..='9'),
            "hexdigits" => out.extend("0123456789abcdefABCDEF".chars()),
            "octdigits" => out.extend('0'..='7'),
            "punctuation" => out.extend("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars()),
            other => out.extend(other.chars().filter(|c| *c != '"' && *c != '\'')),
        }
    }
    if out.is_empty() {
        return Err(Error::template("option 'chars' names no characters"));
    }
    Ok(out)
}

fn pick(rng: &mut StdRng, chars: &[char], n: usize) -> Result<String> {
    (0..n)
        .map(|_| chars.get(rng.random_range(0..chars.len())).copied())
        .collect::<Option<String>>()
        .ok_or_else(|| Error::template("no characters to choose from"))
}

fn parse(text: &str) -> (String, Option<String>, Option<String>) {
    let (text, ident) = match text.rsplit_once(" ident=") {
        Some((t, i)) => (t, Some(i.to_string())),
        None => (text, None),
    };
    match text.rsplit_once(" salt=") {
        Some((p, s)) => (p.to_string(), Some(s.to_string()), ident),
        None => (text.to_string(), None, ident),
    }
}

fn hash(call: &Call<'_>, plain: &str, method: &str, salt: Option<String>, ident: Option<String>) -> Result<String> {
    let kind = method.trim_end_matches("_crypt");
    if !matches!(kind, "md5" | "sha256" | "sha512" | "bcrypt" | "blowfish") {
        return Err(Error::template(format!("the '{method}' algorithm is not supported"))
            .help("known ones: md5_crypt, sha256_crypt, sha512_crypt, bcrypt"));
    }
    let mut options: Vec<(&str, Mj)> = Vec::new();
    if let Some(s) = salt {
        options.push(("salt", Mj::from(s)));
    }
    if let Some(i) = ident {
        options.push(("ident", Mj::from(i)));
    }
    let args = [Mj::from(plain), Mj::from(kind), Kwargs::from_iter(options).into()];
    let made = call.r.engine.apply_filter("password_hash", &args).map_err(error)?;
    Ok(made.as_str().unwrap_or_default().to_string())
}

/// Writes the password so that no one else can read it, and never half of it.
fn store(path: &Utf8Path, line: &str) -> Result<()> {
    let dir = path.parent().filter(|d| !d.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let failed = |e: std::io::Error| Error::template(format!("cannot write the password file '{path}': {e}"));
    let mut temp = tempfile::Builder::new().prefix(".password").tempfile_in(dir).map_err(failed)?;
    temp.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
    temp.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Keeps hosts that ask for the same new password at once from making two of it, and two runs too:
/// a lock on the folder.
struct Lock {
    _held: nix::fcntl::Flock<std::fs::File>,
}

impl Lock {
    fn take(path: &Utf8Path) -> Result<Lock> {
        let failed = |e: std::io::Error| Error::template(format!("cannot lock the folder of '{path}': {e}"));
        let dir = path.parent().filter(|d| !d.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let file = std::fs::File::open(dir).map_err(failed)?;
        let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
            .map_err(|(_, errno)| failed(errno.into()))?;
        Ok(Lock { _held: held })
    }
}
