//! The fact cache (`fact_caching`): what is kept of hosts from run to run. `memory` keeps nothing; `jsonfile` has one
//! file for each host, which ansible-core 2.19 can read and whose files are read here.
//!
//! A file is named PREFIXs1_HOST and holds `{"__payload__": TEXT}`, TEXT being the JSON of the facts by their full
//! names. Values that ansible-core knows more of (where they were written) stand in it as
//! `{"__ansible_type": …, "value": …, "tags": […]}`. Whatever the tags say, a fact is never a template.

use crate::diag::{Error, Result};
use crate::settings::{self, Settings};
use crate::value::{Key, Map, Value, VaultText};
use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::{AccessFlags, access};
use serde_json::{Value as Json, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// The version of ansible-core's form of the files.
const SCHEMA: &str = "s1_";
/// The key under which ansible-core names the type of what stands beside it.
const TYPE: &str = "__ansible_type";
/// The fact that says that the host's facts were gathered, not only set.
pub const GATHERED: &str = "_ansible_facts_gathered";

/// A directory with a file for each host.
#[derive(Debug)]
pub struct FactCache {
    dir: Utf8PathBuf,
    prefix: String,
    /// How long an entry counts; `None` is for ever.
    lifetime: Option<Duration>,
    /// Why facts could not be written, for warnings.
    problems: Mutex<Vec<String>>,
}

/// Names that a host's facts may never set (CVE-2020-10684): they steer the connection.
pub fn is_control_name(name: &str) -> bool {
    const EXACT: [&str; 22] = [
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_password",
        "ansible_pass",
        "ansible_connection",
        "ansible_private_key_file",
        "ansible_shell_type",
        "ansible_shell_executable",
        "ansible_timeout",
        "ansible_remote_tmp",
        "ansible_scp_executable",
        "ansible_sftp_executable",
        "ansible_ssh_executable",
        "ansible_pipelining",
        "ansible_rsync_path",
        "ansible_playbook_python",
        "ansible_agent_path",
        "ansible_verbosity",
        "ansible_check_mode",
        "ansible_diff_mode",
        "ansible_facts",
    ];
    EXACT.contains(&name)
        || name.starts_with("ansible_become")
        || name.starts_with("ansible_sudo")
        || name.starts_with("ansible_su_")
        || (name.starts_with("ansible_ssh_") && !name.starts_with("ansible_ssh_host_key"))
        || (name.starts_with("ansible_") && name.ends_with("_interpreter"))
}

impl FactCache {
    /// The cache that the settings name, and warnings. Without one that can be used facts live as long as the run,
    /// as in ansible-core; a cache plug-in that is not built in is an error.
    pub fn open(s: &Settings) -> Result<(Option<FactCache>, Vec<String>)> {
        let name = match s.get("CACHE_PLUGIN") {
            Some(f) => f?.value.to_str(),
            None => return Ok((None, vec![])),
        };
        match name.strip_prefix("ansible.builtin.").unwrap_or(&name) {
            "memory" => return Ok((None, vec![])),
            "jsonfile" => {}
            _ => {
                return Err(Error::options(format!("Unable to load the cache plugin '{name}'."))
                    .help("fact_caching: memory and jsonfile are built in; plug-ins in Python are not supported"));
            }
        }
        let option = |name: &str| -> Result<Value> {
            let options = settings::plugin("cache", "jsonfile").map(|p| &*p.options).unwrap_or_default();
            match options.iter().find(|o| o.name == name) {
                Some(o) => Ok(s.find(o, &|_| None)?.value),
                None => Ok(Value::Null),
            }
        };
        let uri = option("_uri")?;
        if uri.is_null() {
            return Ok((None, vec!["Required config '_uri' for 'jsonfile' cache plugin not provided.".into()]));
        }
        let prefix = option("_prefix")?;
        let seconds = option("_timeout")?.as_int().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let cache = FactCache {
            dir: uri.to_str().into(),
            prefix: if prefix.is_null() { String::new() } else { prefix.to_str() },
            lifetime: (seconds > 0).then(|| Duration::from_secs(seconds)),
            problems: Mutex::default(),
        };
        Ok(match cache.prepare() {
            Ok(()) => (Some(cache), vec![]),
            Err(words) => (None, vec![words]),
        })
    }

    fn prepare(&self) -> std::result::Result<(), String> {
        let dir = &self.dir;
        if !dir.exists() {
            return std::fs::create_dir_all(dir).map_err(|e| {
                format!("Error in 'jsonfile' cache plugin while trying to create cache dir '{dir}': {e}")
            });
        }
        let all = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        if !dir.is_dir() || access(dir.as_std_path(), all).is_err() {
            return Err(format!(
                "error in 'jsonfile' cache, configured path ({dir}) does not have necessary permissions (rwx), disabling plugin"
            ));
        }
        Ok(())
    }

    /// The host's file; `None` for a name that would lead out of the directory.
    fn file(&self, host: &str) -> Option<Utf8PathBuf> {
        (!host.contains(['/', '\0'])).then(|| self.dir.join(format!("{}{SCHEMA}{host}", self.prefix)))
    }

    /// The host's facts by their full names; `None` if there are none, or they are too old. A file that is none of
    /// ours is removed and an error.
    pub fn get(&self, host: &str) -> Result<Option<Map>> {
        let Some(file) = self.file(host) else { return Ok(None) };
        let Ok(made) = std::fs::metadata(&file).and_then(|m| m.modified()) else { return Ok(None) };
        if self.lifetime.is_some_and(|l| SystemTime::now().duration_since(made).is_ok_and(|age| age > l)) {
            return Ok(None);
        }
        let text = match std::fs::read(&file) {
            Ok(t) => t,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::general(format!("Error while accessing the cache file '{file}': {e}"))),
        };
        match payload(&text) {
            Ok(m) => Ok(Some(m)),
            Err(why) => {
                let _ = std::fs::remove_file(&file);
                Err(Error::general(format!(
                    "The cache file {file} was corrupt, or did not otherwise contain valid data. It has been removed, so you can re-run your command now."
                ))
                .help(why))
            }
        }
    }

    /// Writes the host's facts. What goes wrong is one of [`FactCache::take_problems`].
    pub fn set(&self, host: &str, facts: &Map) {
        if let Err(words) = self.write(host, facts) {
            self.problems.lock().unwrap_or_else(|e| e.into_inner()).push(words);
        }
    }

    /// What went wrong while facts were written, for warnings; taken out.
    pub fn take_problems(&self) -> Vec<String> {
        std::mem::take(&mut *self.problems.lock().unwrap_or_else(|e| e.into_inner()))
    }

    fn write(&self, host: &str, facts: &Map) -> std::result::Result<(), String> {
        let Some(file) = self.file(host) else {
            return Err(format!("facts of '{host}' are not cached: its name cannot be that of a file"));
        };
        let facts: serde_json::Map<String, Json> = facts.iter().map(|(k, v)| (k.to_string(), encoded(v))).collect();
        let text = json!({"__payload__": Json::Object(facts).to_string()}).to_string();
        let write = || -> std::io::Result<()> {
            let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Utf8Path::new(".")))?;
            new.write_all(text.as_bytes())?;
            new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            new.persist(&file).map(drop).map_err(|e| e.error)
        };
        write().map_err(|e| format!("Error in 'jsonfile' cache plugin while trying to write to '{file}': {e}"))
    }

    /// Forgets a host.
    pub fn delete(&self, host: &str) {
        if let Some(file) = self.file(host) {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Facts as variables of their host: without those that are the engine's own or would steer the connection.
pub fn as_variables(facts: Map) -> Map {
    let own = |k: &Key| k.as_str().is_some_and(|n| n.starts_with("_ansible_") || is_control_name(n));
    facts.into_iter().filter(|(k, _)| !own(k)).collect()
}

fn payload(text: &[u8]) -> std::result::Result<Map, String> {
    let outer: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let inner = outer.get("__payload__").and_then(Json::as_str).ok_or("it has no text '__payload__'")?;
    match decoded(serde_json::from_str(inner).map_err(|e| e.to_string())?) {
        Value::Map(m) => Ok((*m).clone()),
        other => Err(format!("it holds a {}, not a dictionary", other.type_name())),
    }
}

/// A value without what ansible-core knows beside it. Strings are plain.
fn decoded(j: Json) -> Value {
    match j {
        Json::Array(a) => Value::list(a.into_iter().map(decoded).collect()),
        Json::Object(mut o) if o.contains_key(TYPE) => {
            if let Some(v) = o.remove("value") {
                return decoded(v);
            }
            match (o.get("ciphertext").and_then(Json::as_str), o.get("iso8601").and_then(Json::as_str)) {
                (Some(envelope), _) => {
                    Value::Vault(std::sync::Arc::new(VaultText { envelope: envelope.into(), origin: None }))
                }
                (None, Some(date)) => Value::plain(date),
                (None, None) => {
                    o.remove(TYPE);
                    decoded(Json::Object(o))
                }
            }
        }
        Json::Object(o) => Value::map(o.into_iter().map(|(k, v)| (Key::from(k), decoded(v))).collect()),
        plain => Value::from_json(plain),
    }
}

/// A value for a file. A host must not be able to say what ansible-core thinks of it: its own key of that name is
/// left out.
fn encoded(v: &Value) -> Json {
    match v {
        Value::List(l) | Value::Tuple(l) => Json::Array(l.iter().map(encoded).collect()),
        Value::Map(m) => Json::Object(
            m.iter()
                .map(|(k, v)| (k.to_text().to_string(), v))
                .filter(|(k, _)| k != TYPE)
                .map(|(k, v)| (k, encoded(v)))
                .collect(),
        ),
        Value::Vault(v) => json!({TYPE: "EncryptedString", "ciphertext": v.envelope.to_string()}),
        plain => plain.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(dir: &Utf8Path) -> FactCache {
        FactCache {
            dir: dir.to_owned(),
            prefix: "p_".into(),
            lifetime: Some(Duration::from_secs(60)),
            problems: Mutex::default(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("directory");
        let c = cache(dir.path().try_into().expect("UTF-8"));
        let facts = Value::from_json(json!({"ansible_a": "{{ x }}", "b": [1, {"c": 2.5, TYPE: "Evil", "value": 1}]}));
        c.set("h1", facts.as_map().expect("map"));
        assert_eq!(c.take_problems(), [] as [String; 0]);
        assert!(dir.path().join("p_s1_h1").is_file());
        let back = Value::map(c.get("h1").expect("read").expect("there"));
        assert_eq!(back.to_json(), json!({"ansible_a": "{{ x }}", "b": [1, {"c": 2.5, "value": 1}]}));
        assert!(!back.needs_render());
        c.set("../h1", facts.as_map().expect("map"));
        assert!(c.take_problems().len() == 1 && c.get("../h1").expect("none").is_none());
        let old = SystemTime::now() - Duration::from_secs(61);
        std::fs::File::open(dir.path().join("p_s1_h1")).and_then(|f| f.set_modified(old)).expect("old");
        assert!(c.get("h1").expect("read").is_none());
        c.delete("h1");
        assert!(!dir.path().join("p_s1_h1").exists());
    }

    #[test]
    fn tags_are_taken_off_and_trust_with_them() {
        let inner = json!({
            "a": {TYPE: "_AnsibleTaggedStr", "value": "{{ evil }}", "tags": [{TYPE: "TrustedAsTemplate"}]},
            "d": {TYPE: "_AnsibleTaggedDateTime", "value": {TYPE: "AnsibleSerializableDateTime", "iso8601": "2026-01-02T03:04:05", "fold": 0}, "tags": []},
            "l": {TYPE: "_AnsibleTaggedList", "value": [{TYPE: "_AnsibleTaggedInt", "value": 1, "tags": []}], "tags": []},
        });
        let text = json!({"__payload__": inner.to_string()}).to_string();
        let back = Value::map(payload(text.as_bytes()).expect("reads"));
        assert_eq!(back.to_json(), json!({"a": "{{ evil }}", "d": "2026-01-02T03:04:05", "l": [1]}));
        assert!(!back.needs_render());
    }

    #[test]
    fn a_damaged_file_is_removed_and_told() {
        let dir = tempfile::tempdir().expect("directory");
        let c = cache(dir.path().try_into().expect("UTF-8"));
        for text in ["{bad", "{}", r#"{"__payload__": "[1]"}"#] {
            std::fs::write(dir.path().join("p_s1_h1"), text).expect("written");
            assert!(c.get("h1").is_err_and(|e| e.message().contains("corrupt")), "{text}");
            assert!(c.get("h1").expect("gone").is_none());
        }
    }
}
