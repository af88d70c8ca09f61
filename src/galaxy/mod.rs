//! Roles and collections from archives, git repositories and folders: what `ansible-galaxy` does without its
//! server. Everything is written below the folder of the role or collection and nowhere else, whatever an
//! archive, a requirements file or a repository says.

pub mod archive;
pub mod collection;
pub mod requirement;
pub mod role;
pub mod scm;
pub mod skeleton;
pub mod version;

use crate::diag::{Error, Result};
use crate::modules::support::http;
use camino::Utf8Path;
use std::time::Duration;

/// Who asks for a download, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Fetching {
    pub timeout: Duration,
    pub validate: bool,
}

/// Whom to tell of what is done, and of what is left out.
#[derive(Clone, Copy)]
pub struct Talk<'a> {
    pub say: &'a dyn Fn(&str),
    pub warn: &'a dyn Fn(&str),
}

/// Writes what a URL (`http`, `https`, `file`) gives to a file.
pub fn download(url: &str, to: &Utf8Path, f: Fetching) -> Result<()> {
    let failed = |why: String| Error::general(format!("could not download the file: {why}"));
    if let Some(path) = url.strip_prefix("file://") {
        std::fs::copy(path, to).map_err(|e| failed(format!("{path}: {e}")))?;
        return Ok(());
    }
    http::check_url(url).map_err(|e| failed(e.msg))?;
    let mut answer = http::send(http::Ask {
        url: url.into(),
        method: "GET".into(),
        headers: vec![("User-Agent".into(), concat!("dirigo/", env!("CARGO_PKG_VERSION")).into())],
        unredirected: vec![],
        body: None,
        follow: http::Follow::Safe,
        user: None,
        password: None,
        force_basic: false,
        timeout: f.timeout,
        validate: f.validate,
        ca_path: None,
        client_cert: None,
        client_key: None,
        use_proxy: true,
        use_netrc: true,
        decompress: false,
        unix_socket: None,
        ciphers: vec![],
    })
    .map_err(failed)?;
    if answer.status != 200 {
        return Err(failed(answer.msg));
    }
    let mut file = std::fs::File::create(to)?;
    std::io::copy(&mut answer.reader(), &mut file).map_err(|e| failed(e.to_string()))?;
    Ok(())
}

/// The error of everything that only a Galaxy server could answer.
pub fn needs_server(what: &str) -> Error {
    Error::general(format!("{what}: Galaxy servers are not supported")).help(
        "install from a tar archive (a path or URL) or a git repository (git+https://…, git+file://…, git+git@…), \
         or use ansible-galaxy itself for what is on a server",
    )
}
