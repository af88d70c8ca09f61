//! Edits an inventory file in place: hosts come and go, comments, order and every other byte stay. The
//! result is parsed again and compared before anybody may write it.

mod ini;
mod ranges;
mod yaml;

use super::{Inventory, LoadOptions};
use crate::diag::{Error, Result};
use crate::value::Map;
use camino::Utf8Path;
use indexmap::IndexMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Change {
    /// Take the host out of these groups, or out of all.
    Remove { groups: Option<Vec<String>> },
    /// Put the host in these groups, with these variables on its line.
    Add { groups: Vec<String>, vars: Vec<(String, String)> },
}

/// Members of each group.
pub type Members = IndexMap<String, Vec<String>>;

/// An edit that was checked: text and groups before and after.
#[derive(Debug)]
pub struct Edited {
    pub before: String,
    pub after: String,
    pub groups_before: Members,
    pub groups_after: Members,
}

/// Works an edit out; writes nothing. `refuse_empty` names groups that must keep a host.
pub fn edit(path: &Utf8Path, host: &str, change: &Change, refuse_empty: &[String], o: &LoadOptions) -> Result<Edited> {
    let meta = std::fs::metadata(path).map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    if meta.is_dir() {
        return Err(Error::general(format!("refused: {path} is a directory"))
            .help("name the inventory file that lists the host"));
    }
    let before = std::fs::read_to_string(path).map_err(|e| Error::general(format!("cannot read {path}: {e}")))?;
    if meta.permissions().mode() & 0o111 != 0 || before.starts_with("#!") {
        return Err(Error::general(format!("refused: {path} is an executable inventory, which cannot be edited"))
            .help("take the host out where the script has it from"));
    }
    if before.starts_with("$ANSIBLE_VAULT;") {
        return Err(Error::general(format!("refused: {path} is vaulted")).help("edit it with dirigo vault edit"));
    }
    let is_yaml = matches!(path.extension(), Some("yml" | "yaml" | "json"));
    let after = if is_yaml { yaml::edit(path, &before, host, change)? } else { ini::edit(&before, host, change)? };
    let (old, new) = (parse(path, &before, o)?, parse(path, &after, o)?);
    let edited = Edited { before, after, groups_before: members(&old), groups_after: members(&new) };
    compare(path, host, change, &old, &new)?;
    for g in refuse_empty {
        let left = new.hosts_in(g);
        if left.is_empty() && !old.hosts_in(g).is_empty() {
            return Err(Error::general(format!("refused: group '{g}' of {path} would have no host left")));
        }
    }
    Ok(edited)
}

/// Parses text as if it stood at `path`, by way of a file with the same ending.
fn parse(path: &Utf8Path, text: &str, o: &LoadOptions) -> Result<Inventory> {
    let suffix = path.extension().map(|e| format!(".{e}")).unwrap_or_default();
    let mut temp = tempfile::Builder::new().prefix("inventory-").suffix(&suffix).tempfile()?;
    temp.write_all(text.as_bytes())?;
    let options = LoadOptions { any_unparsed_is_failed: true, unparsed_is_failed: true, ..o.clone() };
    let name = temp.path().to_string_lossy().into_owned();
    Inventory::load(std::slice::from_ref(&name), &options)
        .map(|(i, _)| i)
        .map_err(|e| Error::general(e.message().replace(&name, path.as_str())))
}

fn members(inv: &Inventory) -> Members {
    inv.group_members().into_iter().map(|(g, h)| (g.to_string(), h.iter().map(|x| x.to_string()).collect())).collect()
}

fn direct(inv: &Inventory, group: &str) -> Vec<Arc<str>> {
    inv.groups.get(group).map(|g| g.hosts.iter().cloned().collect()).unwrap_or_default()
}

fn vars_of(inv: &Inventory, host: &str) -> Map {
    inv.hosts.get(host).map(|h| Map::clone(&h.vars)).unwrap_or_default()
}

/// Every group must be the old one but for the host; every other host and every group variable as before.
fn compare(path: &Utf8Path, host: &str, change: &Change, old: &Inventory, new: &Inventory) -> Result<()> {
    let fail = |what: String| {
        Err(Error::general(format!("refused: the edit of {path} would also change {what}; nothing was written"))
            .help("edit the file by hand"))
    };
    for g in old.groups.keys() {
        // a host that is in no group any more shows up in these two, and goes from them
        if matches!(&**g, "all" | "ungrouped") {
            continue;
        }
        let concerned = match change {
            Change::Remove { groups } => groups.as_ref().is_none_or(|l| l.iter().any(|x| **x == **g)),
            Change::Add { .. } => true,
        };
        let keep =
            |l: Vec<Arc<str>>| -> Vec<Arc<str>> { l.into_iter().filter(|h| !concerned || **h != *host).collect() };
        if !new.groups.contains_key(g) || keep(direct(old, g)) != keep(direct(new, g)) {
            return fail(format!("the group '{g}'"));
        }
        if let (Some(a), Some(b)) = (old.groups.get(g), new.groups.get(g))
            && (a.vars != b.vars || a.children != b.children)
        {
            return fail(format!("variables or children of the group '{g}'"));
        }
    }
    for h in old.hosts.keys().filter(|h| ***h != *host) {
        if !new.hosts.contains_key(h) || vars_of(old, h) != vars_of(new, h) {
            return fail(format!("the host '{h}'"));
        }
    }
    if let Some(h) = new.hosts.keys().find(|h| ***h != *host && !old.hosts.contains_key(*h)) {
        return fail(format!("the hosts: '{h}' would be new"));
    }
    let gone = |g: &str| !direct(new, g).iter().any(|h| **h == *host);
    match change {
        Change::Remove { groups: Some(l) } if !l.iter().all(|g| gone(g)) => {
            fail("less than asked: the host would still be there".into())
        }
        Change::Remove { groups: None } if new.hosts.contains_key(host) => {
            fail("less than asked: the host would still be there".into())
        }
        Change::Add { groups, .. } if groups.iter().any(|g| gone(g)) => {
            fail("less than asked: the host would not be there".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, text: &str, host: &str, change: Change, keep: &[&str]) -> Result<String> {
        let d = tempfile::tempdir().expect("a directory");
        let p = camino::Utf8PathBuf::from_path_buf(d.path().join(name)).expect("a name");
        std::fs::write(&p, text).expect("writes");
        let keep: Vec<String> = keep.iter().map(|s| s.to_string()).collect();
        edit(&p, host, &change, &keep, &LoadOptions::default()).map(|e| e.after)
    }
    fn remove() -> Change {
        Change::Remove { groups: None }
    }

    const INI: &str = "# cluster\n[OSEv3:children]\nmasters\netcd\nnodes\n\n[masters]\nmaster-[0:2].example.com a=1  # three\n\n[etcd]\nmaster-0.example.com\nmaster-1.example.com\nmaster-2.example.com\n\n[nodes]\nmaster-[0:2].example.com\nnode-[01:03].example.com zone='x y'\n\n[OSEv3:vars]\nansible_user=ops\n";

    #[test]
    fn a_range_is_split() {
        let t = run("hosts", INI, "master-0.example.com", remove(), &["masters"]).expect("edits");
        assert!(t.contains("[masters]\nmaster-[1:2].example.com a=1  # three\n"), "{t}");
        assert!(t.contains("[etcd]\nmaster-1.example.com\n"));
        assert!(t.starts_with("# cluster\n[OSEv3:children]\n") && t.ends_with("[OSEv3:vars]\nansible_user=ops\n"));
        let t = run("hosts", INI, "master-1.example.com", remove(), &[]).expect("edits");
        assert!(t.contains("[masters]\nmaster-0.example.com a=1  # three\nmaster-2.example.com a=1  # three\n"), "{t}");
        let t = run("hosts", INI, "node-02.example.com", remove(), &[]).expect("edits");
        assert!(t.contains("node-01.example.com zone='x y'\nnode-03.example.com zone='x y'\n"), "{t}");
    }

    #[test]
    fn the_last_host_of_a_group_stays() {
        let text = "[masters]\nm0\n[nodes]\nm0\nn0\n";
        assert!(run("hosts", text, "m0", remove(), &["masters"]).is_err_and(|e| e.message().starts_with("refused:")));
        assert_eq!(run("hosts", text, "m0", remove(), &[]).expect("edits"), "[masters]\n[nodes]\nn0\n");
    }

    #[test]
    fn chosen_groups_only() {
        let text = "[a]\nh x=1\n[b]\nh\nk\n";
        let c = Change::Remove { groups: Some(vec!["b".into()]) };
        assert_eq!(run("hosts", text, "h", c, &[]).expect("edits"), "[a]\nh x=1\n[b]\nk\n");
    }

    #[test]
    fn adding() {
        let c = Change::Add { groups: vec!["a".into(), "new".into()], vars: vec![("v".into(), "1".into())] };
        let t = run("hosts", "[a]\nh # one\n\n[b]\nk\n", "m", c.clone(), &[]).expect("edits");
        assert_eq!(t, "[a]\nh # one\nm v=1\n\n[b]\nk\n\n[new]\nm v=1\n");
        assert_eq!(run("hosts", &t, "m", c, &[]).expect("edits"), t);
    }

    const YAML: &str = "# cluster\nall:\n  children:\n    masters:\n      hosts:\n        m-[0:2]:   # three\n          a: 1\n    nodes:\n      hosts:\n        m-0:\n        n-0: {zone: x}\n  vars:\n    u: ops\n";

    #[test]
    fn yaml() {
        let t = run("hosts.yml", YAML, "m-0", remove(), &[]).expect("edits");
        assert_eq!(
            t,
            "# cluster\nall:\n  children:\n    masters:\n      hosts:\n        m-[1:2]:   # three\n          a: 1\n    nodes:\n      hosts:\n        n-0: {zone: x}\n  vars:\n    u: ops\n"
        );
        let t = run("hosts.yml", YAML, "m-1", remove(), &[]).expect("edits");
        assert!(t.contains("        m-0:   # three\n          a: 1\n        m-2:   # three\n          a: 1\n"), "{t}");
        let c = Change::Add { groups: vec!["nodes".into()], vars: vec![("z".into(), "1".into())] };
        let t = run("hosts.yml", YAML, "q", c, &[]).expect("edits");
        assert!(t.contains("        n-0: {zone: x}\n        q:\n          z: 1\n  vars:\n"), "{t}");
    }
}
