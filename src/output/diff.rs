//! Diffs as Ansible shows them: unified text between `before` and `after`.

use super::sequence;
use super::style::Style;
use crate::pyjson::py_json_indent;
use crate::pylines;
use crate::value::Value;
use similar::DiffTag;
use std::borrow::Cow;

/// The text of a result's `diff` (one or a list of them); empty if nothing differs.
pub fn show(diff: &Value, context: usize, color: bool) -> String {
    let all: Vec<&Value> = match diff {
        Value::List(l) => l.iter().collect(),
        v => vec![v],
    };
    all.into_iter().map(|d| one(d, context, color)).collect()
}

fn text_of(v: Option<&Value>) -> Option<String> {
    Some(match v? {
        Value::Null => String::new(),
        m @ Value::Map(_) => py_json_indent(m, 4) + "\n",
        other => other.to_str(),
    })
}

fn one(d: &Value, context: usize, color: bool) -> String {
    let mut out = String::new();
    for (k, what) in [("dst_binary", "destination"), ("src_binary", "source")] {
        if d.get(k).is_some() {
            out.push_str(&format!("diff skipped: {what} file appears to be binary\n"));
        }
    }
    for (k, what) in [("dst_larger", "destination"), ("src_larger", "source")] {
        if let Some(n) = d.get(k) {
            out.push_str(&format!("diff skipped: {what} file size is greater than {}\n", n.to_str()));
        }
    }
    if let (Some(before), Some(after)) = (text_of(d.get("before")), text_of(d.get("after"))) {
        let header = |side: &str| match d.get(&format!("{side}_header")) {
            Some(h) if h.truthy() => format!("{side}: {}", h.to_str()),
            _ => side.to_string(),
        };
        out.push_str(&unified(&before, &after, &header("before"), &header("after"), context, color));
    }
    if let Some(p) = d.get("prepared") {
        out.push_str(&p.to_str());
    }
    out
}

fn unified(before: &str, after: &str, from: &str, to: &str, context: usize, color: bool) -> String {
    if before == after {
        return String::new();
    }
    let (old, new) = (diff_lines(before), diff_lines(after));
    let mut out = String::new();
    // a line's end has its colour, too
    let mut put = |style: Style, line: String| out.push_str(&style.paint(&line, color));
    put(Style::Error, format!("--- {from}\n"));
    put(Style::Ok, format!("+++ {to}\n"));
    for group in similar::group_diff_ops(sequence::operations(&old, &new), context) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        put(Style::Skip, format!("@@ -{old_range} +{new_range} @@\n"));
        for op in group {
            let (tag, in_old, in_new) = op.as_tag_tuple();
            if tag == DiffTag::Equal {
                old[in_old].iter().for_each(|l| put(Style::Plain, format!(" {l}")));
            } else {
                old[in_old].iter().for_each(|l| put(Style::Error, format!("-{l}")));
                new[in_new].iter().for_each(|l| put(Style::Ok, format!("+{l}")));
            }
        }
    }
    out.push('\n');
    out
}

/// The lines of a text; a last one without an end says so.
fn diff_lines(text: &str) -> Vec<Cow<'_, str>> {
    let mut lines: Vec<Cow<str>> = pylines::with_ends(text).into_iter().map(Cow::from).collect();
    if let Some(last) = lines.last_mut().filter(|l| !l.ends_with('\n')) {
        last.to_mut().push_str("\n\\ No newline at end of file\n");
    }
    lines
}

/// A hunk's lines from `start` to `end` (from 0, `end` not included) as its head names them.
fn range(start: usize, end: usize) -> String {
    match end - start {
        1 => (start + 1).to_string(),
        0 => format!("{start},0"),
        n => format!("{},{n}", start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Map;

    #[test]
    fn headers_and_hunks() {
        let mut m = Map::new();
        m.insert("before".into(), "a\nb\n".into());
        m.insert("after".into(), "a\nc\n".into());
        m.insert("before_header".into(), "/x".into());
        assert_eq!(show(&Value::map(m), 3, false), "--- before: /x\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\n");
    }

    #[test]
    fn states_are_json() {
        let side = |s: &str| {
            let mut m = Map::new();
            m.insert("state".into(), s.into());
            Value::map(m)
        };
        let mut m = Map::new();
        m.insert("before".into(), side("absent"));
        m.insert("after".into(), side("touch"));
        assert_eq!(
            show(&Value::map(m), 3, false),
            "--- before\n+++ after\n@@ -1,3 +1,3 @@\n {\n-    \"state\": \"absent\"\n+    \"state\": \"touch\"\n }\n\n"
        );
    }
}
