//! Bodies: JSON as Python writes it, forms, files.

use crate::modules::spec::json_text;
use crate::modules::support::exec::errno_text;
use crate::modules::{Args, Ctx, Failure};
use serde_json::Value as Json;

pub struct Body {
    pub bytes: Option<Vec<u8>>,
    pub content_type: Option<String>,
}

pub fn encode(ctx: &mut Ctx, args: &Args) -> Result<Body, Failure> {
    if let Some(p) = args.opt_str("src") {
        let mut bytes = vec![];
        match ctx.content.as_mut() {
            // The controller's file came along.
            Some(c) => drop(std::io::Read::read_to_end(&mut c.reader()?, &mut bytes)?),
            None => bytes = std::fs::read(p).map_err(|_| Failure::new(format!("Unable to open source file {p}")))?,
        }
        return Ok(Body { bytes: Some(bytes), content_type: None });
    }
    let body = args.get("body");
    let done = |text: String, kind: &str| Ok(Body { bytes: Some(text.into_bytes()), content_type: Some(kind.into()) });
    match (args.str("body_format"), body) {
        (_, Json::Null) => Ok(Body { bytes: None, content_type: None }),
        ("json", Json::String(s)) => done(s.clone(), "application/json"),
        ("json", v) => done(python_json(v), "application/json"),
        ("form-urlencoded", Json::String(s)) => done(s.clone(), "application/x-www-form-urlencoded"),
        ("form-urlencoded", v) => done(form(v)?, "application/x-www-form-urlencoded"),
        ("form-multipart", v) => multipart(v),
        (_, Json::String(s)) => Ok(Body { bytes: Some(s.clone().into_bytes()), content_type: None }),
        (_, v) => Ok(Body { bytes: Some(python_json(v).into_bytes()), content_type: None }),
    }
}

/// JSON with Python's spaces, everything beyond ASCII escaped.
fn python_json(v: &Json) -> String {
    fn text(s: &str, out: &mut String) {
        let quoted = Json::from(s).to_string();
        let mut units = [0u16; 2];
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                for u in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{u:04x}"));
                }
            }
        }
    }
    fn write(v: &Json, out: &mut String) {
        match v {
            Json::String(s) => text(s, out),
            Json::Array(a) => {
                out.push('[');
                for (i, x) in a.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    write(x, out);
                }
                out.push(']');
            }
            Json::Object(o) => {
                out.push('{');
                for (i, (k, x)) in o.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    text(k, out);
                    out.push_str(": ");
                    write(x, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(v, &mut out);
    out
}

/// As Python's `quote_plus`.
fn quote_plus(s: &str) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(b)),
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn form(v: &Json) -> Result<String, Failure> {
    let mut pairs: Vec<(String, Json)> = vec![];
    match v {
        Json::Object(o) => pairs.extend(o.iter().map(|(k, v)| (k.clone(), v.clone()))),
        Json::Array(a) => {
            for e in a {
                match e.as_array().map(Vec::as_slice) {
                    Some([k, v]) => pairs.push((json_text(k), v.clone())),
                    _ => {
                        return Err(
                            "failed to parse body as form_urlencoded: a list has to hold pairs of name and value"
                                .into(),
                        );
                    }
                }
            }
        }
        _ => return Err("failed to parse body as form_urlencoded: give a mapping or a list of pairs".into()),
    }
    let mut out: Vec<String> = vec![];
    for (k, v) in pairs {
        let list = match v {
            Json::Array(a) => a,
            one => vec![one],
        };
        let given = list.iter().filter(|x| !x.is_null());
        out.extend(given.map(|x| format!("{}={}", quote_plus(&k), quote_plus(&json_text(x)))));
    }
    Ok(out.join("&"))
}

fn multipart(v: &Json) -> Result<Body, Failure> {
    let Some(fields) = v.as_object() else {
        return Err("failed to parse body as form-multipart: Mapping is required".into());
    };
    let boundary = format!("==============={}==", uuid::Uuid::new_v4().simple());
    let mut out: Vec<u8> = vec![];
    for (name, value) in fields {
        let bad = |s: &str| s.contains(['\r', '\n', '"']);
        if bad(name) {
            return Err(Failure::new(format!(
                "failed to parse body as form-multipart: {name:?} is no name for a field"
            )));
        }
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        let content = match value {
            Json::Object(o) => {
                let get = |k: &str| o.get(k).and_then(Json::as_str);
                if let Some(f) = get("filename") {
                    let base = f.rsplit('/').next().unwrap_or(f);
                    if bad(base) {
                        return Err(Failure::new(format!(
                            "failed to parse body as form-multipart: {base:?} is no name for a file"
                        )));
                    }
                    head.push_str(&format!("; filename=\"{base}\""));
                }
                let default = if get("filename").is_some() { "application/octet-stream" } else { "text/plain" };
                let kind = get("mime_type").unwrap_or(default);
                if bad(kind) {
                    return Err(Failure::new(format!(
                        "failed to parse body as form-multipart: {kind:?} is no MIME type"
                    )));
                }
                head.push_str(&format!("\r\nContent-Type: {kind}"));
                match (get("content"), get("filename")) {
                    (Some(c), _) => c.as_bytes().to_vec(),
                    (None, Some(f)) => std::fs::read(f).map_err(|e| {
                        Failure::new(format!("failed to read {f} for field {name}: {}", errno_text(&e)))
                    })?,
                    (None, None) => {
                        return Err(Failure::new(format!(
                            "failed to parse body as form-multipart: at least one of filename or content must be provided for {name}"
                        )));
                    }
                }
            }
            Json::String(s) => s.clone().into_bytes(),
            _ => {
                return Err(Failure::new(format!(
                    "failed to parse body as form-multipart: value of {name} must be a string, or mapping"
                )));
            }
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&content);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(Body { bytes: Some(out), content_type: Some(format!("multipart/form-data; boundary=\"{boundary}\"")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_python_writes_it() {
        assert_eq!(
            python_json(&json!({"a": [1, true, null, "é\u{1F600}\n"]})),
            "{\"a\": [1, true, null, \"\\u00e9\\ud83d\\ude00\\n\"]}"
        );
        let f = form(&json!({"a": 1, "b": ["x y", "é&"], "c": null, "d": true}));
        assert_eq!(f.ok().as_deref(), Some("a=1&b=x+y&b=%C3%A9%26&d=True"));
        assert!(form(&json!(["a"])).is_err());
    }

    #[test]
    fn parts() {
        let b =
            multipart(&json!({"t": "v", "f": {"filename": "/x/y.txt", "content": "C", "mime_type": "text/x"}})).ok();
        let text = b.and_then(|b| b.bytes).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        assert!(
            text.contains("name=\"t\"\r\n\r\nv\r\n")
                && text.contains("name=\"f\"; filename=\"y.txt\"\r\nContent-Type: text/x\r\n\r\nC\r\n")
        );
        assert!(multipart(&json!({"a\"b": "v"})).is_err() && multipart(&json!("x")).is_err());
    }
}
