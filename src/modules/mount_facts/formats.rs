//! The formats in which mounts are listed: fstab, vfstab (Solaris), filesystems (AIX) and what `mount` says on Linux, BSD
//! and AIX. A text is of a format if every line of it is; otherwise it is of none and has no mounts.

use crate::modules::facts::mounts::unescape;
use serde_json::{Map, Value as Json};

/// One mount, with what only some formats tell in `more`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    pub device: String,
    pub point: String,
    pub fstype: String,
    pub more: Map<String, Json>,
    /// The text it was read from.
    pub line: String,
}

impl Mount {
    fn new(device: &str, point: &str, fstype: &str, line: &str) -> Mount {
        let own = str::to_owned;
        Mount { device: own(device), point: own(point), fstype: own(fstype), more: Map::new(), line: own(line) }
    }
    fn with(mut self, key: &str, value: impl Into<Json>) -> Mount {
        self.more.insert(key.into(), value.into());
        self
    }
}

/// The mounts of a file.
pub fn file(text: &str) -> Vec<Mount> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let each = |f: fn(&str) -> Option<Mount>| lines.iter().map(|l| f(l)).collect::<Option<Vec<_>>>();
    each(vfstab).or_else(|| each(fstab)).or_else(|| filesystems(text)).unwrap_or_default()
}

/// The mounts that the program `mount` lists.
pub fn program(text: &str) -> Vec<Mount> {
    let each = |f: fn(&str) -> Option<Mount>| text.lines().map(f).collect::<Option<Vec<_>>>();
    let bsd = || {
        // The automounter's maps of macOS are no mounts.
        text.lines().filter(|l| !l.starts_with("map ")).map(bsd).collect::<Option<Vec<_>>>()
    };
    each(linux).or_else(bsd).or_else(|| aix(text)).unwrap_or_default()
}

/// `device mount type options [dump [pass]]`
fn fstab(line: &str) -> Option<Mount> {
    let f: Vec<String> = line.split_whitespace().map(unescape).collect();
    let [device, point, fstype, options, rest @ ..] = f.as_slice() else { return None };
    let mut m = Mount::new(device, point, fstype, line).with("options", options.as_str());
    if rest.len() > 2 {
        return None;
    }
    for (key, value) in ["dump", "passno"].iter().zip(rest) {
        m = m.with(key, value.parse::<i64>().ok()?);
    }
    Some(m)
}

/// `device device-to-fsck mount type pass at-boot options`
fn vfstab(line: &str) -> Option<Mount> {
    let f: Vec<&str> = line.split_whitespace().collect();
    let [device, fsck, point, fstype, pass, boot, options, ..] = f.as_slice() else { return None };
    let pass = pass.parse::<i64>().map(Json::from).unwrap_or_else(|_| Json::from(*pass));
    let m = Mount::new(device, point, fstype, line).with("device_to_fsck", *fsck).with("passno", pass);
    Some(m.with("mount_at_boot", *boot).with("options", *options))
}

/// Stanzas of `name:` and indented `key = value`; lines that begin with `*` are comments.
fn filesystems(text: &str) -> Option<Vec<Mount>> {
    let mut stanzas: Vec<(&str, Vec<&str>)> = vec![];
    for line in text.lines() {
        let t = line.trim();
        if t.is_empty() || t.starts_with('*') {
            continue;
        }
        match (t.strip_suffix(':'), stanzas.last_mut()) {
            (Some(name), _) if !line.starts_with([' ', '\t']) => stanzas.push((name, vec![line.trim_end()])),
            (_, Some((_, lines))) if t.contains('=') => lines.push(line.trim_end()),
            _ => return None,
        }
    }
    let mounts = stanzas.into_iter().map(|(point, lines)| {
        let pairs = lines.iter().skip(1).filter_map(|l| l.split_once('=')).map(|(k, v)| (k.trim(), v.trim()));
        let attributes: Map<String, Json> = pairs.map(|(k, v)| (k.to_owned(), v.into())).collect();
        let get = |k: &str| attributes.get(k).and_then(Json::as_str);
        let device = get("dev").unwrap_or("unknown").to_owned();
        let device = get("nodename").map(|n| format!("{n}:{device}")).unwrap_or(device);
        let fstype = get("vfs").unwrap_or("unknown").to_owned();
        Mount::new(&device, point, &fstype, &lines.join("\n")).with("attributes", attributes)
    });
    Some(mounts.collect())
}

/// `device on mount type fstype (options)`
fn linux(line: &str) -> Option<Mount> {
    let f: Vec<&str> = line.splitn(6, ' ').collect();
    let [device, "on", point, "type", fstype, options] = f.as_slice() else { return None };
    Some(Mount::new(device, point, fstype, line).with("options", options.strip_prefix('(')?.strip_suffix(')')?))
}

/// `device on mount (fstype[, options])`
fn bsd(line: &str) -> Option<Mount> {
    let f: Vec<&str> = line.splitn(4, ' ').collect();
    let [device, "on", point, rest] = f.as_slice() else { return None };
    let rest = rest.strip_prefix('(')?.strip_suffix(')')?;
    Some(match rest.split_once(", ") {
        Some((fstype, options)) => Mount::new(device, point, fstype, line).with("options", options),
        None => Mount::new(device, point, rest, line),
    })
}

/// A table `[node] mounted over vfs date options` under two lines of heading.
fn aix(text: &str) -> Option<Vec<Mount>> {
    let mut out = vec![];
    for line in text.lines().filter(|l| !l.trim_start().starts_with("node ") && !l.starts_with("----")) {
        let f: Vec<&str> = line.split_whitespace().collect();
        let local = line.starts_with(' ');
        let (node, rest) = if local { (None, f.as_slice()) } else { (f.first(), f.get(1..)?) };
        let [mounted, over, vfs, month, day, clock, options @ ..] = rest else { return None };
        if !(day.parse::<u8>().is_ok() && clock.split_once(':').is_some_and(|(h, m)| h.len() == 2 && m.len() == 2)) {
            return None;
        }
        let device = node.map(|n| format!("{n}:{mounted}")).unwrap_or_else(|| mounted.to_string());
        let m = Mount::new(&device, over, vfs, line).with("time", format!("{month} {day} {clock}"));
        out.push(m.with("options", options.join(" ")));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(m: &[Mount]) -> Vec<&str> {
        m.iter().map(|m| m.point.as_str()).collect()
    }

    #[test]
    fn files_are_of_one_format_or_of_none() {
        let f = file("# c\n/dev/a /data\\040dir xfs ro 0 2\n  # d\nb /five ext4 rw 3\n");
        assert_eq!((points(&f), &f[0].more["passno"]), (vec!["/data dir", "/five"], &Json::from(2)));
        assert_eq!(f[1].more.get("passno"), None);
        let v = file("/dev/c0 /dev/r0 /vf ufs 1 yes logging\n/dev/c1 - /vf2 ufs - no -\n");
        assert_eq!((points(&v), &v[1].more["passno"]), (vec!["/vf", "/vf2"], &Json::from("-")));
        let a = file("* c\n/home:\n\tdev = /dev/hd1\n\tvfs = jfs2\n\n/r:\n\tdev = /x\n\tnodename = srv\n\tvfs = nfs\n");
        assert_eq!((a[0].device.as_str(), a[1].device.as_str()), ("/dev/hd1", "srv:/x"));
        assert_eq!(a[0].line, "/home:\n\tdev = /dev/hd1\n\tvfs = jfs2");
        for bad in [
            "a /m ext4 ro x y",
            "a /m ext4",
            "a /m ext4 ro 0 0\nshort",
            "a b /m ufs 1 yes -\na /m ext4 ro 3 1",
            "#!x\necho a",
        ] {
            assert_eq!(file(bad), vec![], "{bad}");
        }
    }

    #[test]
    fn programs() {
        assert_eq!(points(&program("a on /m type xfs (ro)\nproc on /proc type proc (rw,x)\n")), ["/m", "/proc"]);
        let b = program("map -hosts on /net (autofs)\n/dev/d on / (hfs, local, journaled)\nf on /fd (fdescfs)\n");
        assert_eq!((points(&b), &b[0].more["options"]), (vec!["/", "/fd"], &Json::from("local, journaled")));
        let head = "  node  mounted  over vfs date options\n------ ---\n";
        let a = program(&format!(
            "{head}       /dev/hd4  /  jfs2  Nov 19 13:11 rw,log=/x\nsrv /e /mnt nfs3 Nov 19 13:11 ro\n"
        ));
        assert_eq!((a[0].device.as_str(), a[1].device.as_str()), ("/dev/hd4", "srv:/e"));
        for bad in [
            "a on /m b type xfs (ro)",
            "a on /m type xfs (ro) [L]",
            "/d on / (hfs)\ngarbage",
            "a on /m type x (r)\n\nb on /n type x (r)",
        ] {
            assert_eq!(program(bad), vec![], "{bad}");
        }
    }
}
