//! Requests over HTTP and HTTPS for `uri` and `get_url`: redirects by Ansible's policies, basic
//! authentication after a challenge or at once, proxies by the environment, system certificates.

use super::http_socket::{NoNames, SocketFile};
use super::http_tls;
use crate::modules::Failure;
use base64::Engine;
use std::io::Read;
use std::time::Duration;

use ureq::http::{Request, Uri};
use ureq::unversioned::transport::{Connector, RustlsConnector};

/// What to ask, and how.
#[derive(Clone, Debug)]
pub struct Ask {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Names of headers that are not sent after a redirect.
    pub unredirected: Vec<String>,
    pub body: Option<Vec<u8>>,
    pub follow: Follow,
    pub user: Option<String>,
    pub password: Option<String>,
    pub force_basic: bool,
    pub timeout: Duration,
    pub validate: bool,
    pub ca_path: Option<String>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub use_proxy: bool,
    pub use_netrc: bool,
    pub decompress: bool,
    /// A socket file that is asked instead of the address's host.
    pub unix_socket: Option<String>,
    /// The ciphers of TLS 1.2 that may be used, by OpenSSL's names; all where there are none.
    pub ciphers: Vec<String>,
}

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// All, keeping the method where the status says so.
    All,
    /// Those of GET and HEAD.
    Safe,
    /// As Python's urllib: GET, HEAD, and POST turned into GET.
    Urllib2,
    None,
}

impl Follow {
    pub fn by_name(s: &str) -> Option<Follow> {
        Some(match s {
            "all" | "yes" => Follow::All,
            "safe" => Follow::Safe,
            "urllib2" => Follow::Urllib2,
            "none" | "no" => Follow::None,
            _ => return None,
        })
    }
}

/// An answer whose body is still to be read.
pub struct Answer {
    pub status: u16,
    /// The URL that answered in the end.
    pub url: String,
    /// Names in lower case, in the server's order.
    pub headers: Vec<(String, String)>,
    /// Ansible's words for it: `OK (6 bytes)`, `HTTP Error 404: Not Found`.
    pub msg: String,
    body: ureq::Body,
    /// The body is gzip and shall be unpacked.
    unpack: bool,
}

/// The largest body that is kept in memory.
const MAX_BODY: u64 = 256 << 20;

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn reader(&mut self) -> Box<dyn Read + '_> {
        let raw = self.body.as_reader();
        if self.unpack { Box::new(flate2::read::MultiGzDecoder::new(raw)) } else { Box::new(raw) }
    }
    pub fn read(&mut self) -> Result<Vec<u8>, String> {
        let mut all = vec![];
        self.reader().take(MAX_BODY + 1).read_to_end(&mut all).map_err(|e| e.to_string())?;
        if all.len() as u64 > MAX_BODY {
            return Err(format!("the answer is larger than {} MiB", MAX_BODY >> 20));
        }
        Ok(all)
    }
    /// The character set that the content type names.
    pub fn is_latin1(&self) -> bool {
        let t = self.header("content-type").unwrap_or("").to_ascii_lowercase();
        ["iso-8859-1", "latin-1", "latin1"].iter().any(|c| t.contains(&format!("charset={c}")))
    }
    /// Bytes as text in the answer's character set.
    pub fn text(&self, bytes: &[u8]) -> String {
        if self.is_latin1() {
            bytes.iter().map(|b| char::from(*b)).collect()
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

/// Why there was no answer, in Ansible's words.
pub type Trouble = String;

const REDIRECTS: u32 = 10;
const SAME: usize = 4;

/// Sends the request, follows redirects, answers a challenge.
pub fn send(mut ask: Ask) -> Result<Answer, Trouble> {
    if let Some((scheme, _)) = ask.url.split_once("://").filter(|(s, _)| !matches!(*s, "http" | "https")) {
        return Err(format!("Request failed: <urlopen error unknown url type: {scheme}>"));
    }
    split_credentials(&mut ask);
    if ask.user.is_none() && ask.use_netrc {
        netrc(&mut ask);
    }
    let agent = agent(&ask)?;
    let mut seen: Vec<String> = vec![];
    let mut url = ask.url.clone();
    let mut method = ask.method.clone();
    let mut body = ask.body.clone();
    let mut headers = ask.headers.clone();
    let mut with_auth = ask.force_basic && ask.user.is_some();
    let mut last_words = String::new();
    for _ in 0..REDIRECTS * 2 {
        let mut a = once(&agent, &ask, &url, &method, &headers, body.as_deref(), with_auth)?;
        let basic = a.header("www-authenticate").is_some_and(|h| h.to_ascii_lowercase().contains("basic"));
        if a.status == 401 && basic && ask.user.is_some() && !with_auth {
            with_auth = true;
            continue;
        }
        let to = match a.status {
            301 | 302 | 303 | 307 | 308 => a.header("location").map(str::to_string),
            _ => None,
        };
        let Some(location) = to else {
            a.msg = words(&a);
            return Ok(a);
        };
        let next = resolve(&url, &location);
        for (n, v) in a.headers.iter_mut() {
            if n == "location" {
                *v = next.clone();
            }
        }
        let plain = matches!(method.as_str(), "GET" | "HEAD");
        let follow = match ask.follow {
            Follow::None => false,
            Follow::Safe => plain,
            Follow::Urllib2 => plain || (method == "POST" && matches!(a.status, 301..=303)),
            Follow::All => true,
        };
        if !follow {
            a.msg = words(&a);
            return Ok(a);
        }
        last_words = reason(a.status);
        if seen.iter().filter(|s| **s == next).count() >= SAME || seen.len() as u32 >= REDIRECTS {
            a.msg = format!(
                "HTTP Error {}: The HTTP server returned a redirect error that would lead to an infinite loop.\nThe last 30x error message was:\n{last_words}",
                a.status
            );
            a.url = ask.url.clone();
            return Ok(a);
        }
        seen.push(next.clone());
        if !matches!(a.status, 307 | 308) && !plain || a.status == 303 && method != "HEAD" {
            method = "GET".into();
            body = None;
            headers.retain(|(n, _)| !matches!(n.to_ascii_lowercase().as_str(), "content-type" | "content-length"));
        }
        headers.retain(|(n, _)| !ask.unredirected.iter().any(|u| u.eq_ignore_ascii_case(n)));
        if host_of(&next) != host_of(&url) {
            // Credentials are for the host they were given for.
            headers.retain(|(n, _)| !n.eq_ignore_ascii_case("authorization") && !n.eq_ignore_ascii_case("cookie"));
            ask.user = None;
            with_auth = false;
        }
        url = next;
    }
    Err(format!("Request failed: too many redirects ({last_words})"))
}

fn once(
    agent: &ureq::Agent,
    ask: &Ask,
    url: &str,
    method: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
    with_auth: bool,
) -> Result<Answer, Trouble> {
    let mut r = Request::builder().method(method).uri(url);
    let has = |n: &str| headers.iter().any(|(h, _)| h.eq_ignore_ascii_case(n));
    if !has("accept-encoding") {
        r = r.header("Accept-Encoding", "identity");
    }
    if body.is_some() && !has("content-type") {
        r = r.header("Content-Type", "application/x-www-form-urlencoded");
    }
    if with_auth && let Some(u) = &ask.user {
        let pair = format!("{u}:{}", ask.password.as_deref().unwrap_or(""));
        let text = base64::engine::general_purpose::STANDARD.encode(pair);
        r = r.header("Authorization", format!("Basic {text}"));
    }
    for (n, v) in headers {
        r = r.header(n.as_str(), v.as_str());
    }
    r = r.header("Connection", "close");
    let request = |e: ureq::http::Error| format!("Request failed: {e}");
    let answer = match body {
        Some(b) => agent.run(r.body(b).map_err(request)?),
        None => agent.run(r.body(()).map_err(request)?),
    };
    let answer = answer.map_err(trouble)?;
    let (parts, body) = answer.into_parts();
    let mut all: Vec<(String, String)> = vec![];
    for (n, v) in &parts.headers {
        let text = String::from_utf8_lossy(v.as_bytes()).into_owned();
        match all.iter_mut().find(|(h, _)| h == n.as_str()) {
            Some((_, old)) => {
                old.push_str(", ");
                old.push_str(&text);
            }
            None => all.push((n.as_str().to_string(), text)),
        }
    }
    let status = parts.status.as_u16();
    let gzip = all.iter().any(|(n, v)| n == "content-encoding" && v.trim().eq_ignore_ascii_case("gzip"));
    let unpack = gzip && ask.decompress && method != "HEAD";
    let a = Answer { status, url: url.into(), headers: all, msg: String::new(), body, unpack };
    Ok(a)
}

fn reason(status: u16) -> String {
    let code = ureq::http::StatusCode::from_u16(status).ok();
    code.and_then(|s| s.canonical_reason()).unwrap_or("").to_string()
}

fn words(a: &Answer) -> String {
    if (200..300).contains(&a.status) {
        format!("OK ({} bytes)", a.header("content-length").unwrap_or("unknown"))
    } else {
        format!("HTTP Error {}: {}", a.status, reason(a.status))
    }
}

fn trouble(e: ureq::Error) -> Trouble {
    let failed = |t: String| format!("Request failed: <urlopen error {t}>");
    match e {
        ureq::Error::Timeout(_) => "Connection failure: timed out".into(),
        ureq::Error::HostNotFound => failed("[Errno -2] Name or service not known".into()),
        ureq::Error::ConnectionFailed => failed("[Errno 111] Connection refused".into()),
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => "Connection failure: timed out".into(),
        ureq::Error::Io(e) => match e.raw_os_error() {
            Some(_) => failed(super::exec::errno_text(&e)),
            None => match e.to_string().strip_prefix("failed to lookup address information: ") {
                Some(why) => failed(format!("[Errno -2] {why}")),
                None if e.to_string().contains("invalid peer certificate") => {
                    failed(format!("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {e}"))
                }
                None => failed(e.to_string()),
            },
        },
        other => failed(other.to_string()),
    }
}

/// The URL that a Location header names.
fn resolve(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_string();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let (host, path) = rest.find(['/', '?', '#']).map(|i| rest.split_at(i)).unwrap_or((rest, ""));
    if let Some(l) = location.strip_prefix("//") {
        return format!("{scheme}://{l}");
    }
    if location.starts_with('/') {
        return format!("{scheme}://{host}{location}");
    }
    let dir = path.split(['?', '#']).next().unwrap_or("");
    let dir = dir.rsplit_once('/').map(|(d, _)| d).unwrap_or("");
    format!("{scheme}://{host}{dir}/{location}")
}

fn host_of(url: &str) -> Option<(Option<String>, Option<u16>, bool)> {
    let u: Uri = url.parse().ok()?;
    Some((u.host().map(str::to_string), u.port_u16(), u.scheme_str() == Some("https")))
}

/// Takes `user:password@` out of the URL.
fn split_credentials(ask: &mut Ask) {
    let Some((scheme, rest)) = ask.url.split_once("://") else { return };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let Some((who, host)) = host.rsplit_once('@') else { return };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let (user, password) = (unquote(user), unquote(password));
    let url = format!("{scheme}://{host}{path}");
    if ask.user.is_none() {
        ask.user = Some(user);
        ask.password = Some(password);
    }
    ask.url = url;
}

/// `%41` to `A`.
fn unquote(s: &str) -> String {
    let b = s.as_bytes();
    let mut out = vec![];
    let mut i = 0;
    while let Some(&c) = b.get(i) {
        let hex =
            b.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (c, hex) {
            (b'%', Some(n)) => {
                out.push(n);
                i += 3;
            }
            _ => {
                out.push(c);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Credentials of ~/.netrc for the host.
fn netrc(ask: &mut Ask) {
    let path = std::env::var("NETRC").ok().or_else(|| std::env::var("HOME").ok().map(|h| format!("{h}/.netrc")));
    let Some(text) = path.and_then(|p| std::fs::read_to_string(p).ok()) else { return };
    let Some(host) = ask.url.parse::<Uri>().ok().and_then(|u| u.host().map(str::to_string)) else { return };
    let mut words = text.split_whitespace();
    let mut mine = false;
    let (mut user, mut password) = (None, None);
    while let Some(w) = words.next() {
        match w {
            "machine" | "default" if mine => break,
            "machine" => mine = words.next() == Some(&host),
            "default" => mine = true,
            "login" if mine => user = words.next().map(str::to_string),
            "password" if mine => password = words.next().map(str::to_string),
            _ => {}
        }
    }
    if user.is_some() {
        ask.user = user;
        ask.password = password;
        ask.force_basic = true;
    }
}

fn agent(ask: &Ask) -> Result<ureq::Agent, Trouble> {
    let mut c = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .accept("")
        .timeout_resolve(Some(ask.timeout))
        .timeout_connect(Some(ask.timeout))
        .timeout_recv_response(Some(ask.timeout))
        .timeout_per_read(Some(ask.timeout))
        .timeout_per_write(Some(ask.timeout))
        .max_idle_connections(0);
    c = match ask.use_proxy {
        true => c.proxy(ureq::Proxy::try_from_env()),
        false => c.proxy(None),
    };
    if ask.url.starts_with("https:") || ask.follow != Follow::None {
        c = c.tls_config(http_tls::config(ask)?);
    }
    let config = c.build();
    Ok(match &ask.unix_socket {
        Some(file) => {
            let connector = SocketFile(file.into()).chain(RustlsConnector::default());
            ureq::Agent::with_parts(config, connector, NoNames)
        }
        None => config.new_agent(),
    })
}

/// Fails for what is no http or https URL, as the modules do.
pub fn check_url(url: &str) -> Result<(), Failure> {
    let fail = |m: String| Err(Failure::new(m).set("status", -1).set("url", url));
    match url.split_once("://") {
        None => fail(format!("unknown url type: '{url}'")),
        Some(("http" | "https", _)) if url.parse::<Uri>().is_ok_and(|u| u.host().is_some()) => Ok(()),
        Some(("http" | "https", _)) => fail(format!("invalid url: '{url}'")),
        // known to Python, but not here
        Some((scheme @ ("ftp" | "file" | "data"), _)) => {
            fail(format!("urls of type {scheme} are not supported, only http and https: '{url}'"))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        assert_eq!(resolve("http://h:1/a/b?c", "d"), "http://h:1/a/d");
        assert_eq!(resolve("http://h", "/x?y"), "http://h/x?y");
        assert_eq!(resolve("https://h/a", "//o/b"), "https://o/b");
        assert_eq!(resolve("https://h/a", "http://o/b"), "http://o/b");
        assert_eq!(unquote("a%40b%"), "a@b%");
    }

    #[test]
    fn only_http() {
        assert!(check_url("http://a/b").is_ok());
        for u in ["nonsense", "ftp://a/b", "http://", "http://a b/"] {
            assert!(check_url(u).is_err(), "{u}");
        }
    }
}
