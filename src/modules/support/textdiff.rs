//! Content diffs with Ansible's limits: binary or large content is named, not shown.

use crate::modules::{ContentSource, Diff, Failure};
use serde_json::Value as Json;
use std::io::Read;
use std::path::Path;

/// Content above this many bytes is not shown in diffs.
pub const LIMIT: u64 = 104_448;

/// Starts a diff with what is at `path` now, under the header `shown`.
pub fn before_of(path: &Path, shown: &str) -> Result<Diff, Failure> {
    let mut d = Diff::default();
    let st = match std::fs::metadata(path) {
        Ok(st) if st.is_file() => st,
        _ => {
            d.before = "".into();
            return Ok(d);
        }
    };
    if st.len() > LIMIT {
        d.extra.insert("dst_larger".into(), LIMIT.into());
    } else {
        let data = std::fs::read(path)?;
        if data.contains(&0) {
            d.extra.insert("dst_binary".into(), 1.into());
        } else {
            d.before = text(&data);
            d.before_header = Some(shown.to_owned());
        }
    }
    Ok(d)
}

/// Completes a diff with new content.
pub fn set_after(d: &mut Diff, data: &[u8], shown: &str) {
    if data.len() as u64 > LIMIT {
        d.extra.insert("src_larger".into(), LIMIT.into());
    } else if data.contains(&0) {
        d.extra.insert("src_binary".into(), 1.into());
    } else {
        d.after = text(data);
        d.after_header = Some(shown.to_owned());
    }
}

/// Completes a diff with the content of a file.
pub fn after_of(d: &mut Diff, path: &Path, shown: &str) -> Result<(), Failure> {
    let mut data = Vec::new();
    std::fs::File::open(path)?.take(LIMIT + 1).read_to_end(&mut data)?;
    set_after(d, &data, shown);
    Ok(())
}

/// Completes a diff with content that the controller announced, asking for it only if it can be shown.
pub fn after_from<'a>(d: &mut Diff, c: Option<&mut Box<dyn ContentSource + 'a>>, shown: &str) -> Result<(), Failure> {
    let Some(c) = c else { return Ok(()) };
    let mut data = Vec::new();
    if c.size() > LIMIT {
        d.extra.insert("src_larger".into(), LIMIT.into());
        return Ok(());
    }
    let mut r = c.reader().map_err(|e| Failure::new(format!("could not receive the content: {e}")))?;
    r.read_to_end(&mut data).map_err(|e| Failure::new(format!("could not receive the content: {e}")))?;
    set_after(d, &data, shown);
    Ok(())
}

/// Bytes as text for a diff; what is not UTF-8 is shown as a question mark, as ansible-core prints it.
pub fn text(data: &[u8]) -> Json {
    match std::str::from_utf8(data) {
        Ok(t) => t.into(),
        Err(_) => String::from_utf8_lossy(data).replace('\u{fffd}', "?").into(),
    }
}
