//! Filters on URLs.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use minijinja::{State, Value};

pub const FILTERS: &[Filter] = &[
    f("urldecode", "string", |_, a| {
        let text = a.only_text("string", |kind| format!("'{kind}' object has no attribute 'replace'"))?;
        Ok(Value::from(decode(&text)))
    }),
    f("urlencode", "value", urlencode),
    f("urlsplit", "value, query=", urlsplit),
];

/// `urllib.parse.unquote_plus`
fn decode(s: &str) -> String {
    let mut out = vec![];
    let bytes = s.as_bytes();
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        let pair = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (
            b,
            pair.filter(|h| h.bytes().all(|c| c.is_ascii_hexdigit())).and_then(|h| u8::from_str_radix(h, 16).ok()),
        ) {
            (b'%', Some(code)) => {
                out.push(code);
                i += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (b, _) => out.push(*b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoding of all but letters, digits, `_.-~` and `safe`.
fn quote(s: &str, safe: &str, plus: bool) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        match b {
            b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) || safe.as_bytes().contains(&b) => {
                out.push(char::from(b))
            }
            b' ' if plus => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn urlencode(_: &mut State, a: &Args) -> Res {
    let v = a.val("value");
    let pairs = match py::view(v) {
        Py::Dict => py::pairs(v)?,
        Py::List | Py::Tuple => {
            let mut out = vec![];
            for item in py::items(v)? {
                if !matches!(py::view(&item), Py::List | Py::Tuple | Py::Str(_) | Py::Dict) {
                    return fail(format!("cannot unpack non-iterable {} object", py::type_name(&item)));
                }
                match py::iter(&item)?.as_slice() {
                    [k, x] => out.push((k.clone(), x.clone())),
                    other => return fail(format!("not enough values to unpack (expected 2, got {})", other.len())),
                }
            }
            out
        }
        _ => return Ok(Value::from(quote(&py::str(v)?, "/", false))),
    };
    let parts = pairs
        .iter()
        .map(|(k, x)| Ok(format!("{}={}", quote(&py::str(k)?, "", true), quote(&py::str(x)?, "", true))))
        .collect::<Res<Vec<_>>>()?;
    Ok(Value::from(parts.join("&")))
}

/// The parts of a URL as Python's `urlsplit` names them.
pub struct Url {
    pub scheme: String,
    pub netloc: String,
    pub path: String,
    pub query: String,
    pub fragment: String,
}

impl Url {
    pub fn split(text: &str) -> Url {
        let text = text.trim_start_matches(|c: char| c <= ' ');
        let (mut scheme, mut rest) = (String::new(), text);
        if let Some((s, r)) = text.split_once(':')
            && s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            (scheme, rest) = (s.to_lowercase(), r);
        }
        let mut netloc = "";
        if let Some(r) = rest.strip_prefix("//") {
            let end = r.find(['/', '?', '#']).unwrap_or(r.len());
            (netloc, rest) = r.split_at(end);
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Url { scheme, netloc: netloc.into(), path: path.into(), query: query.into(), fragment: fragment.into() }
    }
    fn host_part(&self) -> &str {
        self.netloc.rsplit_once('@').map_or(&self.netloc, |(_, h)| h)
    }
    pub fn hostname(&self) -> Option<String> {
        let host = self.host_part();
        let name = match host.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or(""),
            None => host.split(':').next().unwrap_or(""),
        };
        (!name.is_empty()).then(|| name.to_lowercase())
    }
    pub fn port(&self) -> Res<Option<i64>> {
        let host = self.host_part();
        let tail = host.rsplit_once(']').map_or(host, |(_, t)| t);
        match tail.split_once(':') {
            Some((_, "")) | None => Ok(None),
            Some((_, p)) => match p.parse::<u32>() {
                Ok(n) if n <= 65535 => Ok(Some(n.into())),
                Ok(_) => fail("Port out of range 0-65535"),
                Err(_) => fail(format!("Port could not be cast to integer value as {}", py::repr(&Value::from(p))?)),
            },
        }
    }
    pub fn user(&self) -> (Option<String>, Option<String>) {
        match self.netloc.rsplit_once('@') {
            None => (None, None),
            Some((info, _)) => match info.split_once(':') {
                Some((u, p)) => (Some(u.into()), Some(p.into())),
                None => (Some(info.into()), None),
            },
        }
    }
}

fn urlsplit(_: &mut State, a: &Args) -> Res {
    let url = Url::split(&a.only_text("value", |kind| format!("'{kind}' object has no attribute 'decode'"))?);
    let query = a.text_or("query", "")?;
    let opt = |s: Option<String>| s.map(Value::from).unwrap_or_else(|| Value::from(()));
    let (user, password) = url.user();
    let port = url.port()?.map(Value::from).unwrap_or_else(|| Value::from(()));
    let parts = [
        ("fragment", Value::from(url.fragment.as_str())),
        ("hostname", opt(url.hostname())),
        ("netloc", Value::from(url.netloc.as_str())),
        ("password", opt(password)),
        ("path", Value::from(url.path.as_str())),
        ("port", port),
        ("query", Value::from(url.query.as_str())),
        ("scheme", Value::from(url.scheme.as_str())),
        ("username", opt(user)),
    ];
    if query.is_empty() {
        return Ok(py::dict(parts.map(|(k, v)| (Value::from(k), v))));
    }
    match parts.into_iter().find(|(k, _)| *k == query) {
        Some((_, v)) => Ok(v),
        None => fail(format!("urlsplit: unknown URL component: {query}")),
    }
}
