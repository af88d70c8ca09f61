//! The lookup `url`: what a server answers, as lines or as one text.

use super::Call;
use crate::diag::{Error, Result};
use crate::value::Value;
use base64::Engine as _;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The largest answer that is read, in bytes.
const MAX_BODY: u64 = 64 << 20;

pub(super) fn url(call: &Call<'_>) -> Result<Vec<Value>> {
    let split = call.flag("split_lines", true)?;
    for name in ["ciphers", "unix_socket", "use_gssapi"] {
        if call.option(name).is_some_and(Value::truthy) {
            return Err(Error::template(format!("option '{name}' is not supported")));
        }
    }
    let agent = agent(call)?;
    let mut out = Vec::new();
    for term in call.texts()? {
        let text = fetch(call, &agent, &term)?;
        if split {
            out.extend(text.lines().map(Value::plain));
        } else {
            out.push(Value::plain(text));
        }
    }
    Ok(out)
}

fn agent(call: &Call<'_>) -> Result<ureq::Agent> {
    let verify = call.flag("validate_certs", true)?;
    let mut tls = TlsConfig::builder()
        .disable_verification(!verify)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    if verify {
        tls = tls.root_certs(roots(call)?);
    }
    let timeout = match call.option("timeout") {
        None => 10.0,
        Some(v) => v.to_str().parse().map_err(|_| Error::template("option 'timeout' must be a number"))?,
    };
    if !(0.0..=1e9).contains(&timeout) {
        return Err(Error::template("option 'timeout' is out of range"));
    }
    let mut config = ureq::Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(Duration::from_secs_f64(timeout)))
        .http_status_as_error(false)
        .user_agent(call.text("http_agent").unwrap_or_else(|| "ansible-httpget".into()));
    config = match call.text("follow_redirects").unwrap_or_else(|| "urllib2".into()).as_str() {
        "no" | "none" | "False" => config.max_redirects(0).max_redirects_will_error(false),
        _ => config.max_redirects(10),
    };
    if !call.flag("use_proxy", true)? {
        config = config.proxy(None);
    }
    Ok(config.build().new_agent())
}

fn roots(call: &Call<'_>) -> Result<RootCerts> {
    let mut certs = Vec::new();
    match call.text("ca_path") {
        Some(path) => {
            let pem =
                std::fs::read(&path).map_err(|e| Error::template(format!("cannot read ca_path '{path}': {e}")))?;
            for cert in rustls_pemfile::certs(&mut pem.as_slice()) {
                let cert = cert.map_err(|e| Error::template(format!("ca_path '{path}': {e}")))?;
                certs.push(Certificate::from_der(cert.as_ref()).to_owned());
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            certs.extend(found.certs.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()));
        }
    }
    Ok(RootCerts::Specific(Arc::new(certs)))
}

fn fetch(call: &Call<'_>, agent: &ureq::Agent, url: &str) -> Result<String> {
    let mut request = agent.get(url);
    if let Some(Value::Map(headers)) = call.option("headers") {
        for (name, value) in headers.iter() {
            request = request.header(name.to_string(), value.to_str());
        }
    }
    let user = call.text("username").or_else(|| call.text("url_username"));
    if let Some(user) = user {
        let password = call.text("password").or_else(|| call.text("url_password")).unwrap_or_default();
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request = request.header("Authorization", format!("Basic {token}"));
    }
    let failed = |e: ureq::Error| {
        let why = match &e {
            ureq::Error::Io(io) => match io.raw_os_error() {
                Some(n) => {
                    let said = io.to_string();
                    let said = said.split(" (os error").next().unwrap_or("").to_string();
                    format!("<urlopen error [Errno {n}] {said}>")
                }
                None => io.to_string(),
            },
            other => other.to_string(),
        };
        Error::template(format!("Failed lookup url for {url}: {why}"))
    };
    let mut response = request.call().map_err(failed)?;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        return Err(Error::template(format!(
            "Received HTTP error for {url} : HTTP Error {}: {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or("")
        )));
    }
    let bytes = response.body_mut().with_config().limit(MAX_BODY).read_to_vec().map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
