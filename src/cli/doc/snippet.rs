//! Text to begin a task or a call with (`-s`).

use super::find::Found;
use super::markup::{fill, plain};
use super::source::Doc;
use crate::value::{Map, Value};

fn about(o: &Value) -> String {
    let text = match o.get("description") {
        Some(Value::List(l)) => l.iter().map(Value::to_str).collect::<Vec<_>>().join(" "),
        Some(v) => v.to_str(),
        None => String::new(),
    };
    plain(&text)
}

fn required(o: &Value) -> bool {
    o.get("required").is_some_and(|r| r.to_bool_loose().unwrap_or(false))
}

fn sorted(d: &Doc) -> Vec<(String, &Value)> {
    let mut all: Vec<(String, &Value)> = d
        .doc
        .get("options")
        .and_then(Value::as_map)
        .map(Map::iter)
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.to_string(), v))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The name that the documentation gives, else that of the file.
fn name(f: &Found, d: &Doc) -> String {
    d.doc.get("module").or(d.doc.get("name")).map(Value::to_str).unwrap_or_else(|| f.name.clone())
}

/// A task with the module's arguments, each described.
pub fn module(f: &Found, d: &Doc, columns: usize) -> String {
    let title = d.doc.get("short_description").map(|s| plain(&s.to_str())).unwrap_or_default();
    let mut out = vec![format!("- name: {title}"), format!("  {}:", name(f, d))];
    // what follows the first line is counted with its indentation, as ansible-doc counts
    let under = format!("{}# ", " ".repeat(29));
    for (name, o) in sorted(d) {
        let text = about(o);
        let text = if required(o) { format!("(required) {text}") } else { text };
        let mut lines = fill(&text, "", &under, columns.saturating_sub(29)).into_iter();
        out.push(format!("      {:20}   # {}", format!("{name}:"), lines.next().unwrap_or_default()));
        out.extend(lines);
    }
    out.join("\n") + "\n"
}

/// A call of the lookup with its options.
pub fn lookup(f: &Found, d: &Doc) -> String {
    let mut out = vec![];
    let mut call = vec![];
    let mut terms = String::new();
    for (name, o) in sorted(d) {
        let ty = o.get("type").map(Value::to_str).unwrap_or_else(|| "string".into());
        // a list of sentences stands as it is written
        let text = match o.get("description") {
            Some(l @ Value::List(_)) => l.repr(),
            _ => about(o),
        };
        out.push(format!("# {name}({ty}): {text}"));
        if name == "_terms" {
            terms = "< _terms >".into();
            continue;
        }
        let default = o.get("default").cloned().unwrap_or(Value::Null);
        let quoted = matches!(o.get("type").and_then(Value::as_str), Some("str" | "string"));
        call.push(match default.to_str() {
            _ if required(o) => format!("{name}=<required>"),
            d if quoted => format!("{name}='{d}'"),
            d => format!("{name}={d}"),
        });
    }
    let mut parts = vec![format!("'{}'", name(f, d))];
    if !terms.is_empty() {
        parts.push(terms);
    }
    parts.extend(call);
    format!("{}\n\nlookup({})\n", out.join("\n"), parts.join(", "))
}

/// An inventory file that the plug-in reads.
pub fn inventory(f: &Found, d: &Doc) -> Option<String> {
    let options = sorted(d);
    options.iter().find(|(n, _)| n == "plugin")?;
    let mut out = vec![format!("plugin: {}", f.shown())];
    for (name, o) in options.iter().filter(|(n, _)| n != "plugin") {
        out.extend(fill(&about(o), "# ", "# ", 79));
        let default = o.get("default").cloned().unwrap_or(Value::Null);
        out.push(match required(o) {
            true => format!("{name}: <required>"),
            false => format!("#{name}: {}", default.to_str()),
        });
    }
    Some(out.join("\n") + "\n")
}
