//! Arguments that `uri` and `get_url` share.

use super::http::{Ask, Follow};
use super::http_tls;
use crate::modules::spec::json_text;
use crate::modules::{Arg, Args, Failure, Type};
use crate::seconds;
use serde_json::json;

/// The declarations.
pub fn declared() -> Vec<Arg> {
    let flag = |n: &str, v: bool, d: &str| Arg::bool(n).default(v).doc(d);
    vec![
        Arg::str("url").required().doc("HTTP or HTTPS URL."),
        flag("force", false, "Do not ask for a copy that is newer only."),
        Arg::str("http_agent").default("ansible-httpget").doc("The User-Agent header."),
        flag("use_proxy", true, "Use the proxy that the environment names."),
        flag("validate_certs", true, "Verify certificates."),
        Arg::str("url_username").doc("User for basic authentication."),
        Arg::str("url_password").secret().doc("Password for basic authentication."),
        flag("force_basic_auth", false, "Send basic authentication at once."),
        Arg::path("client_cert").doc("PEM file with the client's certificate, and its key if client_key is not given."),
        Arg::path("client_key").doc("PEM file with the client's key."),
        flag("use_gssapi", false, "Not supported."),
        flag("use_netrc", true, "Take credentials from ~/.netrc."),
        Arg::list("unredirected_headers", Type::Str).default(json!([])).doc("Headers not to send after a redirect."),
        flag("decompress", true, "Decompress gzip answers."),
        Arg::list("ciphers", Type::Str).doc("Ciphers of TLS 1.2 to use, by the names of OpenSSL."),
        Arg::int("timeout").default(30).doc("Seconds of silence to wait."),
    ]
}

/// The request that the shared arguments describe, a GET without further headers.
pub fn ask(args: &Args) -> Result<Ask, Failure> {
    if args.bool("use_gssapi") {
        return Err("use_gssapi is not supported".into());
    }
    let ciphers: Vec<String> = args.strings("ciphers").iter().flat_map(|c| c.split(':')).map(str::to_owned).collect();
    if let Some(unknown) = ciphers.iter().find(|c| http_tls::suite(c).is_none()) {
        return Err(Failure::new(format!("the cipher {unknown} is not supported; {} are", http_tls::names())));
    }
    let own = |n: &str| args.opt_str(n).map(str::to_string);
    let mut headers = vec![("User-Agent".to_string(), args.str("http_agent").to_string())];
    for (k, v) in args.opt_map("headers").into_iter().flatten() {
        headers.retain(|(n, _)| !n.eq_ignore_ascii_case(k));
        headers.push((k.clone(), json_text(v)));
    }
    if args.bool("force") {
        headers.push(("Cache-Control".into(), "no-cache".into()));
    }
    if let Some((k, _)) =
        headers.iter().find(|(k, v)| k.contains(['\r', '\n', ':', ' ']) || k.is_empty() || v.contains(['\r', '\n']))
    {
        return Err(Failure::new(format!("the header {k:?} has a name or value that HTTP does not allow")));
    }
    Ok(Ask {
        url: args.str("url").to_string(),
        method: "GET".into(),
        headers,
        unredirected: args.strings("unredirected_headers"),
        body: None,
        follow: Follow::Urllib2,
        user: own("url_username"),
        password: own("url_password"),
        force_basic: args.bool("force_basic_auth"),
        timeout: seconds::whole(args.int("timeout").max(1)),
        validate: args.bool("validate_certs"),
        ca_path: own("ca_path"),
        client_cert: own("client_cert"),
        client_key: own("client_key"),
        use_proxy: args.bool("use_proxy"),
        use_netrc: args.bool("use_netrc"),
        decompress: args.bool("decompress"),
        unix_socket: own("unix_socket"),
        ciphers,
    })
}

/// A plain GET.
pub fn plain(url: &str, validate: bool) -> Ask {
    Ask {
        url: url.to_owned(),
        method: "GET".into(),
        headers: vec![("User-Agent".into(), "ansible-httpget".into())],
        unredirected: vec![],
        body: None,
        follow: Follow::Urllib2,
        user: None,
        password: None,
        force_basic: false,
        timeout: seconds::whole(10),
        validate,
        ca_path: None,
        client_cert: None,
        client_key: None,
        use_proxy: true,
        use_netrc: true,
        decompress: true,
        unix_socket: None,
        ciphers: vec![],
    }
}

/// What answers the request; an error is in ansible-core's words.
pub fn body(ask: Ask) -> Result<Vec<u8>, String> {
    super::http::check_url(&ask.url).map_err(|f| f.msg)?;
    let mut a = super::http::send(ask)?;
    if !(200..300).contains(&a.status) {
        return Err(a.msg.clone());
    }
    let mut data = vec![];
    std::io::Read::read_to_end(&mut a.reader(), &mut data).map_err(|e| e.to_string())?;
    Ok(data)
}

/// A file name for an answer: by Content-Disposition, else by the URL.
pub fn file_name(url: &str, disposition: Option<&str>) -> String {
    let named = disposition.and_then(|d| {
        let part = d.split(';').map(str::trim).find_map(|p| p.strip_prefix("filename="))?;
        let name = part.trim_matches(['"', '\'']);
        // A server's words choose a name, never a directory.
        let name = name.rsplit(['/', '\\']).next().unwrap_or("");
        (!name.is_empty() && name != "." && name != "..").then(|| name.to_string())
    });
    named.unwrap_or_else(|| {
        let path = url.split_once("://").map(|(_, r)| r).unwrap_or(url);
        let path = path.split(['?', '#']).next().unwrap_or("");
        let name = path.split_once('/').map(|(_, p)| p).unwrap_or("").rsplit('/').next().unwrap_or("");
        if name.is_empty() || name == "." || name == ".." { "index.html".into() } else { name.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(file_name("http://h/a/b.txt?x=/y", None), "b.txt");
        assert_eq!(file_name("http://h", None), "index.html");
        assert_eq!(file_name("http://h/a", Some("attachment; filename=\"../../etc/x\"")), "x");
        assert_eq!(file_name("http://h/a", Some("attachment; filename=\"..\"")), "a");
    }
}
