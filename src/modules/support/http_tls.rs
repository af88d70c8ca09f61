//! What TLS a request speaks: certificates that are trusted and shown, ciphers.

use super::http::{Ask, Trouble};
use rustls::crypto::ring;
use rustls::{CipherSuite, SupportedCipherSuite};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// OpenSSL's names of the ciphers that there are.
const SUITES: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The cipher of a name.
pub fn suite(name: &str) -> Option<CipherSuite> {
    SUITES.iter().find(|(n, _)| *n == name).map(|(_, s)| *s)
}

/// All names, for messages.
pub fn names() -> String {
    SUITES.map(|(n, _)| n).join(", ")
}

/// The certificates and ciphers of a request.
///
/// # Errors
/// Files that cannot be read or hold nothing of use.
pub fn config(ask: &Ask) -> Result<TlsConfig, Trouble> {
    // Fails only if a provider is there already, which is as good.
    let _ = ring::default_provider().install_default();
    let mut t = TlsConfig::builder().provider(TlsProvider::Rustls).disable_verification(!ask.validate);
    if !ask.ciphers.is_empty() {
        let mut provider = ring::default_provider();
        let chosen: Vec<CipherSuite> = ask.ciphers.iter().filter_map(|n| suite(n)).collect();
        // as in OpenSSL, the list says nothing of TLS 1.3
        let new = |s: &SupportedCipherSuite| s.version().version == rustls::ProtocolVersion::TLSv1_3;
        provider.cipher_suites.retain(|s| new(s) || chosen.contains(&s.suite()));
        t = t.unversioned_rustls_crypto_provider(Arc::new(provider));
    }
    if ask.validate {
        let mut certs: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|c| Certificate::from_der(c.as_ref()).to_owned())
            .collect();
        if let Some(p) = &ask.ca_path {
            certs.extend(pem_certs(p)?);
        }
        t = t.root_certs(RootCerts::Specific(Arc::new(certs)));
    }
    if let Some(p) = &ask.client_cert {
        let key_file = ask.client_key.as_deref().unwrap_or(p);
        let pem = std::fs::read(key_file).map_err(unreadable)?;
        let key = PrivateKey::from_pem(&pem).map_err(|_| format!("Request failed: no private key in {key_file}"))?;
        t = t.client_cert(Some(ClientCert::new_with_certs(&pem_certs(p)?, key)));
    }
    Ok(t.build())
}

/// A file of certificates that cannot be read, in the words of ansible-core.
fn unreadable(e: std::io::Error) -> Trouble {
    format!("Connection failure: {}", super::exec::errno_text(&e))
}

fn pem_certs(path: &str) -> Result<Vec<Certificate<'static>>, Trouble> {
    let pem = std::fs::read(path).map_err(unreadable)?;
    let found: Vec<Certificate<'static>> = rustls_pemfile::certs(&mut pem.as_slice())
        .filter_map(Result::ok)
        .map(|c| Certificate::from_der(c.as_ref()).to_owned())
        .collect();
    if found.is_empty() { Err(format!("Request failed: no certificate in {path}")) } else { Ok(found) }
}
