//! The host's local time, as the C library has it: `TZ`, else /etc/localtime, else UTC. Reads the one file that this
//! names; the crate's own way lists all zones of the host first, which took longer than all else that a first command does.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::path::Path;

/// The zone of this process.
pub fn zone() -> TimeZone {
    of(std::env::var("TZ").ok().as_deref()).unwrap_or(TimeZone::UTC)
}

/// Now.
pub fn now() -> Zoned {
    Timestamp::now().to_zoned(zone())
}

/// The zone that a value of `TZ` names: a file of the zone directory or by its full path, or a rule as POSIX has it.
fn of(tz: Option<&str>) -> Option<TimeZone> {
    let Some(name) = tz else { return file(Path::new("/etc/localtime")) };
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let dir = std::env::var_os("TZDIR").unwrap_or("/usr/share/zoneinfo".into());
    file(&Path::new(&dir).join(name)).or_else(|| TimeZone::posix(name).ok())
}

fn file(path: &Path) -> Option<TimeZone> {
    TimeZone::tzif("", &std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_by_name_path_and_rule() {
        let shown = |tz: &str| {
            let t = Timestamp::from_second(1_700_000_000).expect("in range");
            t.to_zoned(of(Some(tz)).unwrap_or(TimeZone::UTC)).strftime("%H:%M %Z %z").to_string()
        };
        assert_eq!(shown("CET-1CEST,M3.5.0,M10.5.0/3"), "23:13 CET +0100");
        assert_eq!(
            (shown(""), shown("No/Where"), shown("UTC0")),
            ("22:13 UTC +0000".into(), "22:13 UTC +0000".into(), "22:13 UTC +0000".into())
        );
        let d = tempfile::tempdir().expect("dir");
        // a file of version 1: one kind of time, an hour east
        let mut text = b"TZif\0".to_vec();
        text.extend([0; 15]);
        text.extend([0u32, 0, 0, 0, 1, 4].iter().flat_map(|n| n.to_be_bytes()));
        text.extend(3600i32.to_be_bytes());
        text.extend(b"\0\0ABC\0");
        let path = d.path().join("zone");
        std::fs::write(&path, text).expect("written");
        assert_eq!(shown(&format!(":{}", path.display())), "23:13 ABC +0100");
    }
}
