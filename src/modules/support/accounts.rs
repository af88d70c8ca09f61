//! Users and groups without a name service library: the local files first, then `getent`, which asks
//! LDAP, sssd and whatever else the host is set up for.

use super::exec::Cmd;
use crate::modules::Ctx;
use std::collections::HashMap;
use std::time::Duration;

/// One line of passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
    pub uid: u32,
    pub gid: u32,
    pub gecos: String,
    pub home: String,
    pub shell: String,
}

/// One line of group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

pub fn parse_user(line: &str) -> Option<User> {
    let f: Vec<&str> = line.trim_end_matches(['\n', '\r']).split(':').collect();
    match f.as_slice() {
        [name, password, uid, gid, gecos, home, shell, ..] if !name.is_empty() && !name.starts_with('#') => {
            Some(User {
                name: name.to_string(),
                password: password.to_string(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                gecos: gecos.to_string(),
                home: home.to_string(),
                shell: shell.to_string(),
            })
        }
        _ => None,
    }
}

pub fn parse_group(line: &str) -> Option<Group> {
    let f: Vec<&str> = line.trim_end_matches(['\n', '\r']).split(':').collect();
    match f.as_slice() {
        [name, _, gid, members, ..] if !name.is_empty() && !name.starts_with('#') => Some(Group {
            name: name.to_string(),
            gid: gid.parse().ok()?,
            members: members.split(',').filter(|m| !m.is_empty()).map(str::to_string).collect(),
        }),
        _ => None,
    }
}

fn content(path: &str) -> String {
    String::from_utf8(std::fs::read(path).unwrap_or_default())
        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// All users of the local file.
pub fn local_users() -> Vec<User> {
    content("/etc/passwd").lines().filter_map(parse_user).collect()
}

/// All groups of the local file.
pub fn local_groups() -> Vec<Group> {
    content("/etc/group").lines().filter_map(parse_group).collect()
}

/// The first entry of a local file with this name or number. Most lines are asked for one field and no more: files of
/// thousands of accounts are read for every task that tells an owner.
fn local<T>(path: &str, wanted: Key, parse: fn(&str) -> Option<T>) -> Option<T> {
    let fits = |line: &&str| match wanted {
        Key::Name(n) => line.split(':').next() == Some(n),
        Key::Id(id) => line.split(':').nth(2).is_some_and(|f| f.parse() == Ok(id)),
    };
    content(path).lines().filter(fits).find_map(parse)
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    Id(u32),
}

fn getent(ctx: &Ctx, db: &str, key: &str) -> Option<String> {
    // A key such as `-s` would be taken for an option.
    if key.is_empty() || key.starts_with('-') {
        return None;
    }
    let o = Cmd::new(["getent", db, key]).limit(Duration::from_secs(30)).run(ctx).ok()?;
    o.ok().then(|| o.out().lines().next().unwrap_or("").to_string())
}

pub fn user_by_name(ctx: &Ctx, name: &str) -> Option<User> {
    let local = local("/etc/passwd", Key::Name(name), parse_user);
    local.or_else(|| getent(ctx, "passwd", name).and_then(|l| parse_user(&l)).filter(|u| u.name == name))
}

pub fn user_by_id(ctx: &Ctx, uid: u32) -> Option<User> {
    let local = local("/etc/passwd", Key::Id(uid), parse_user);
    local.or_else(|| getent(ctx, "passwd", &uid.to_string()).and_then(|l| parse_user(&l)).filter(|u| u.uid == uid))
}

pub fn group_by_name(ctx: &Ctx, name: &str) -> Option<Group> {
    let local = local("/etc/group", Key::Name(name), parse_group);
    local.or_else(|| getent(ctx, "group", name).and_then(|l| parse_group(&l)).filter(|g| g.name == name))
}

pub fn group_by_id(ctx: &Ctx, gid: u32) -> Option<Group> {
    let local = local("/etc/group", Key::Id(gid), parse_group);
    local.or_else(|| getent(ctx, "group", &gid.to_string()).and_then(|l| parse_group(&l)).filter(|g| g.gid == gid))
}

/// The id of the user with this name, where no task's environment matters.
pub fn uid_of(name: &str) -> Option<u32> {
    user_by_name(&Ctx::bare(), name).map(|u| u.uid)
}

/// The id of the group with this name, where no task's environment matters.
pub fn gid_of(name: &str) -> Option<u32> {
    group_by_name(&Ctx::bare(), name).map(|g| g.gid)
}

/// Names by id, each looked up once in the life of a module call (accounts may change between tasks).
#[derive(Default)]
pub struct Names {
    users: HashMap<u32, Option<String>>,
    groups: HashMap<u32, Option<String>>,
}

impl Names {
    /// The name of the user with this id.
    pub fn user(&mut self, uid: u32) -> Option<String> {
        self.users.entry(uid).or_insert_with(|| user_by_id(&Ctx::bare(), uid).map(|u| u.name)).clone()
    }
    /// The name of the group with this id.
    pub fn group(&mut self, gid: u32) -> Option<String> {
        self.groups.entry(gid).or_insert_with(|| group_by_id(&Ctx::bare(), gid).map(|g| g.name)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let u = parse_user("ops:x:1000:1001:Ops,,,:/home/ops:/bin/bash").expect("a user");
        assert_eq!((u.uid, u.gid, u.home.as_str()), (1000, 1001, "/home/ops"));
        assert_eq!(parse_group("adm:x:4:a,b").map(|g| g.members), Some(vec!["a".into(), "b".into()]));
        assert!(parse_user("+::::::").is_none() && parse_user("junk").is_none());
        assert!(user_by_name(&Ctx::bare(), "root").is_some_and(|u| u.uid == 0));
    }

    #[test]
    fn the_first_that_fits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwd");
        let text = b"#a:x:7:1::/:\nbad:x:7\na:x:07:1:caf\xe9:/h:/sh\nb:x:7:2::/:\na:x:8:3::/:\n+::::::\n";
        std::fs::write(&path, text).unwrap();
        let find = |key| local(path.to_str().unwrap(), key, parse_user).map(|u| (u.name, u.uid, u.gid));
        let first = Some(("a".to_string(), 7, 1));
        assert_eq!((find(Key::Name("a")), find(Key::Id(7))), (first.clone(), first));
        assert_eq!(find(Key::Id(8)), Some(("a".to_string(), 8, 3)));
        assert_eq!((find(Key::Name("#a")), find(Key::Name("+")), find(Key::Id(9))), (None, None, None));
    }

    #[test]
    fn root_is_everywhere() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(gid_of("root"), Some(0));
        assert_eq!(Names::default().user(0).as_deref(), Some("root"));
        assert_eq!(uid_of("no such user"), None);
        assert_eq!((uid_of(""), uid_of("#"), gid_of("+")), (None, None, None));
        assert_eq!(Names::default().group(3_999_999_999), None);
    }
}
