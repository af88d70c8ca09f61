//! Personal package archives of Launchpad: `ppa:OWNER/NAME` becomes a source, and its key is fetched.

use super::sources::words_of;
use crate::modules::support::{atomic, webargs};
use crate::modules::{Args, Failure};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

const API: &str = "https://api.launchpad.net/1.0";
const KEYS: &str = "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x";

/// An archive, for one release of the distribution.
pub struct Ppa {
    owner: String,
    name: String,
    codename: String,
}

/// A key that is not there yet.
#[derive(Debug)]
pub struct Key {
    path: PathBuf,
    text: Vec<u8>,
}

impl Ppa {
    /// The archive that a repository names, if it names one.
    pub fn parse(repo: &str, args: &Args) -> Result<Option<Ppa>, Failure> {
        let Some(path) = repo.strip_prefix("ppa:") else { return Ok(None) };
        let (owner, name) = path.split_once('/').unwrap_or((path, "ppa"));
        let plain = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "+.-_".contains(c));
        if !plain(owner) || !plain(name) {
            return Err(Failure::new(format!("Invalid repository string: {repo}")));
        }
        let codename = args.opt_str("codename").map(str::to_owned).or_else(own_codename);
        let codename = codename.ok_or("The codename of the distribution is not known: set codename")?;
        Ok(Some(Ppa { owner: owner.into(), name: name.into(), codename }))
    }
    /// The line of sources.list.
    pub fn line(&self) -> String {
        format!("deb http://ppa.launchpad.net/{}/{}/ubuntu {} main", self.owner, self.name, self.codename)
    }
    pub fn file_stem(&self) -> String {
        words_of(&format!("ppa:{}/{}_{}", self.owner, self.name, self.codename))
    }

    /// Looks the archive up; answers its key unless the file for it is there.
    pub fn missing_key(&self, args: &Args, apt: &Path) -> Result<Option<Key>, Failure> {
        let failed = |why: String| Failure::new(format!("failed to fetch PPA information, error was: {why}"));
        let url = format!("{API}/~{}/+archive/{}", self.owner, self.name);
        let text = get(&url, args.bool("validate_certs")).map_err(failed)?;
        let info: Json = serde_json::from_slice(&text).map_err(|e| failed(e.to_string()))?;
        let print = info.get("signing_key_fingerprint").and_then(Json::as_str).unwrap_or_default();
        if print.is_empty() || !print.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(failed(format!("{url} names no signing key")));
        }
        let file = format!("{}.asc", words_of(&format!("{}_{}", self.owner, self.name)));
        let path = apt.join("trusted.gpg.d").join(file);
        if path.exists() {
            return Ok(None);
        }
        let text = get(&format!("{KEYS}{print}"), args.bool("validate_certs"))
            .map_err(|e| Failure::new(format!("failed to fetch the key {print} of the PPA: {e}")))?;
        if !String::from_utf8_lossy(&text).contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            return Err(Failure::new(format!("failed to fetch the key {print} of the PPA: the answer is no key")));
        }
        Ok(Some(Key { path, text }))
    }
}

impl Key {
    pub fn install(&self) -> Result<(), Failure> {
        atomic::write(&self.path, &self.text, false)
    }
}

fn get(url: &str, validate: bool) -> Result<Vec<u8>, String> {
    let mut ask = webargs::plain(url, validate);
    ask.headers.push(("Accept".into(), "application/json, */*".into()));
    webargs::body(ask)
}

/// The codename in `/etc/os-release`.
fn own_codename() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned()).filter(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names() {
        let args = Args(json!({"codename": "jammy"}).as_object().expect("an object").clone());
        let p = Ppa::parse("ppa:who/what-1", &args).expect("valid").expect("a ppa");
        assert_eq!(p.line(), "deb http://ppa.launchpad.net/who/what-1/ubuntu jammy main");
        assert_eq!(p.file_stem(), "ppa_who_what_1_jammy");
        assert_eq!(Ppa::parse("ppa:who", &args).expect("valid").expect("a ppa").name, "ppa");
        assert!(Ppa::parse("deb http://h s m", &args).expect("valid").is_none());
        assert!(Ppa::parse("ppa:../x y", &args).is_err());
    }
}
