//! Mounted file systems and their sizes.

use super::{Env, Facts, names, obj, read};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Instant;

struct Mount {
    device: String,
    point: String,
    fstype: String,
    options: String,
    dump: i64,
    pass: i64,
}

/// `\040` and its like, as the kernel writes spaces in names.
pub(crate) fn unescape(s: &str) -> String {
    let b = s.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(b.len());
    let mut i = 0;
    while let Some(&c) = b.get(i) {
        let oct = b.get(i + 1..i + 4).filter(|d| c == b'\\' && d.iter().all(|x| (b'0'..=b'7').contains(x)));
        match oct {
            Some(d) => {
                let n = d.iter().fold(0u32, |n, x| n * 8 + u32::from(x - b'0'));
                out.push((n & 0xff) as u8);
                i += 4;
            }
            None => {
                out.push(c);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn table() -> Vec<Mount> {
    parse(&read("/etc/mtab").filter(|t| !t.is_empty()).or_else(|| read("/proc/mounts")).unwrap_or_default())
}

fn parse(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            match f.as_slice() {
                [dev, point, fs, opts, rest @ ..] => Some(Mount {
                    device: unescape(dev),
                    point: unescape(point),
                    fstype: fs.to_string(),
                    options: opts.to_string(),
                    dump: rest.first().and_then(|n| n.parse().ok()).unwrap_or(0),
                    pass: rest.get(1).and_then(|n| n.parse().ok()).unwrap_or(0),
                }),
                _ => None,
            }
        })
        .collect()
}

/// The type of the root file system.
pub fn root_type() -> Option<String> {
    table().into_iter().rfind(|m| m.point == "/").map(|m| m.fstype)
}

/// Mount points whose root is not the root of their file system (bind mounts).
fn bound() -> Vec<String> {
    let text = read("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            let (root, point) = (f.get(3)?, f.get(4)?);
            (*root != "/").then(|| unescape(point))
        })
        .collect()
}

/// Device path to file system UUID, as udev knows them.
pub(crate) fn uuids() -> HashMap<String, String> {
    names("/dev/disk/by-uuid")
        .into_iter()
        .filter_map(|u| {
            let dev = std::fs::canonicalize(format!("/dev/disk/by-uuid/{u}")).ok()?;
            Some((dev.to_string_lossy().into_owned(), u))
        })
        .collect()
}

pub(crate) fn sizes(point: &str) -> Facts {
    let Ok(s) = nix::sys::statvfs::statvfs(point) else { return Facts::new() };
    let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    let frag = n(s.fragment_size());
    let (total, avail) = (n(s.blocks()), n(s.blocks_available()));
    obj([
        ("size_total", frag.saturating_mul(total).into()),
        ("size_available", frag.saturating_mul(avail).into()),
        ("block_size", n(s.block_size()).into()),
        ("block_total", total.into()),
        ("block_available", avail.into()),
        ("block_used", total.saturating_sub(avail).into()),
        ("inode_total", n(s.files()).into()),
        ("inode_available", n(s.files_available()).into()),
        ("inode_used", n(s.files()).saturating_sub(n(s.files_available())).into()),
    ])
}

/// The mounts that facts tell of. Of those on top of one another the last is what a user sees there.
fn shown(table: Vec<Mount>) -> Vec<Mount> {
    let by_point: IndexMap<String, Mount> = table
        .into_iter()
        .filter(|m| (m.device.starts_with(['/', '\\']) || m.device.contains(":/")) && m.fstype != "none")
        .map(|m| (m.point.clone(), m))
        .collect();
    by_point.into_values().collect()
}

pub fn mounts(env: &mut Env) -> Facts {
    let (bound, uuids) = (bound(), uuids());
    let list = shown(table());
    // A dead file server may hold statvfs for ever: each mount is asked on a thread of its own.
    let (tx, rx) = mpsc::channel();
    for (i, m) in list.iter().enumerate() {
        let (tx, point) = (tx.clone(), m.point.clone());
        let asked = std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
            let _ = tx.send((i, sizes(&point)));
        });
        drop(asked);
    }
    drop(tx);
    let mut found: HashMap<usize, Facts> = HashMap::new();
    let until = Instant::now() + env.timeout;
    while found.len() < list.len() {
        let left = until.saturating_duration_since(Instant::now());
        match rx.recv_timeout(left) {
            Ok((i, f)) => drop(found.insert(i, f)),
            Err(_) => break,
        }
    }
    let out: Vec<Json> = list
        .into_iter()
        .enumerate()
        .map(|(i, m)| {
            let mut options = m.options;
            if bound.contains(&m.point) && !options.split(',').any(|o| o == "bind") {
                options.push_str(",bind");
            }
            let uuid = uuids.get(&m.device).cloned().unwrap_or_else(|| "N/A".into());
            let mut f = obj([
                ("mount", m.point.into()),
                ("device", m.device.into()),
                ("fstype", m.fstype.into()),
                ("options", options.into()),
                ("dump", m.dump.into()),
                ("passno", m.pass.into()),
            ]);
            match found.remove(&i) {
                Some(s) => f.extend(s),
                None => drop(f.insert("note".into(), "Could not get extra information due to timeout".into())),
            }
            f.insert("uuid".into(), uuid.into());
            Json::Object(f)
        })
        .collect();
    obj([("mounts", json!(out))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_mounts_at_one_place_the_last() {
        let text = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/a /m ext4 ro 0 0\nnas:/x /n nfs rw 0 0\n/dev/b /m xfs rw 0 0";
        let list: Vec<(String, String)> = shown(parse(text)).into_iter().map(|m| (m.point, m.device)).collect();
        let want = [("/", "/dev/a"), ("/m", "/dev/b"), ("/n", "nas:/x")];
        assert_eq!(list, want.map(|(p, d)| (p.to_string(), d.to_string())));
    }

    #[test]
    fn escapes() {
        assert_eq!(
            (unescape("/a\\040b"), unescape("a\\9"), unescape("\\")),
            ("/a b".into(), "a\\9".into(), "\\".into())
        );
    }
}
