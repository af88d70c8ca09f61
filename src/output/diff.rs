//! Diffs as Ansible shows them: unified text between `before` and `after`.

use super::style::Style;
use crate::pyjson::py_json_indent;
use crate::value::Value;
use similar::TextDiff;

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
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(context).header(from, to).missing_newline_hint(true).to_string();
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::Ok,
            Some(b'-') => Style::Error,
            Some(b'@') => Style::Skip,
            _ => Style::Plain,
        };
        // the line's end has its colour, too
        out.push_str(&style.paint(&format!("{line}\n"), color));
    }
    out.push('\n');
    out
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
