//! Users and groups by name and id. A static binary has no NSS: `/etc/passwd` and `/etc/group` are
//! read first, then `getent` is asked (LDAP, sssd).

use std::collections::HashMap;
use std::process::{Command, Stdio};

/// A cache of lookups for the life of one module call (accounts may change between tasks).
#[derive(Default)]
pub struct Names {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Names {
    /// The name of the user with this id.
    pub fn user(&mut self, uid: u32) -> Option<String> {
        self.users.entry(uid).or_insert_with(|| name_of("passwd", uid)).clone()
    }
    /// The name of the group with this id.
    pub fn group(&mut self, gid: u32) -> Option<String> {
        self.groups.entry(gid).or_insert_with(|| name_of("group", gid)).clone()
    }
}

/// The id of the user with this name.
pub fn uid_of(name: &str) -> Option<u32> {
    id_of("passwd", name)
}

/// The id of the group with this name.
pub fn gid_of(name: &str) -> Option<u32> {
    id_of("group", name)
}

/// The line of a database (`passwd` or `group`) whose field `field` is `value`, split at the colons.
fn entry(db: &str, field: usize, value: &str) -> Option<Vec<String>> {
    let split = |l: &str| l.split(':').map(str::to_owned).collect::<Vec<_>>();
    let hit = |f: &Vec<String>| f.get(field).is_some_and(|v| v == value) && f.len() >= 3;
    let text = String::from_utf8_lossy(&std::fs::read(format!("/etc/{db}")).unwrap_or_default()).into_owned();
    if let Some(found) = text.lines().map(split).find(hit) {
        return Some(found);
    }
    // An empty key would list everything; a leading dash would be an option.
    if value.is_empty() || value.starts_with('-') {
        return None;
    }
    let out = Command::new("getent").args([db, value]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&out.stdout).lines().map(split).find(hit)
}

fn name_of(db: &str, id: u32) -> Option<String> {
    entry(db, 2, &id.to_string())?.into_iter().next()
}

fn id_of(db: &str, name: &str) -> Option<u32> {
    entry(db, 0, name)?.get(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_everywhere() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(gid_of("root"), Some(0));
        assert_eq!(Names::default().user(0).as_deref(), Some("root"));
        assert_eq!(uid_of("no such user"), None);
        assert_eq!(uid_of(""), None);
        assert_eq!(Names::default().group(3_999_999_999), None);
    }
}
