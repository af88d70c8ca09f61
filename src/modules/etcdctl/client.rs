//! One etcdctl with its certificates and endpoints.

use crate::modules::support::exec::{Cmd, Output};
use crate::modules::{Args, Ctx, Failure};
use crate::seconds;
use serde_json::Value as Json;

/// How to call etcdctl.
pub struct Client {
    path: String,
    pub api: i64,
    endpoints: Vec<String>,
    tls: Vec<String>,
    timeout: i64,
    env: Vec<(String, String)>,
}

/// Health of one endpoint.
#[derive(Clone, Debug)]
pub struct Health {
    pub endpoint: String,
    pub healthy: bool,
    pub took: Option<String>,
    pub error: Option<String>,
}

impl Client {
    pub fn new(ctx: &Ctx, a: &Args) -> Result<Client, Failure> {
        for k in ["cacert", "cert", "key"] {
            if let Some(p) = a.opt_str(k) {
                std::fs::File::open(p).map_err(|e| Failure::new(format!("{k}: cannot read {p}: {e}")))?;
            }
        }
        let api = a.int("api");
        let names = if api == 2 { ["--ca-file", "--cert-file", "--key-file"] } else { ["--cacert", "--cert", "--key"] };
        let mut tls = vec![];
        for (n, k) in names.iter().zip(["cacert", "cert", "key"]) {
            if let Some(p) = a.opt_str(k) {
                tls.push(format!("{n}={p}"));
            }
        }
        Ok(Client {
            path: a.str("etcdctl_path").to_string(),
            api,
            endpoints: endpoints(a)?,
            tls,
            timeout: a.int("timeout").max(1),
            env: ctx.env.clone(),
        })
    }

    /// The same client for other endpoints.
    pub fn at(&self, endpoints: &[String]) -> Client {
        Client {
            path: self.path.clone(),
            endpoints: endpoints.to_vec(),
            tls: self.tls.clone(),
            env: self.env.clone(),
            ..*self
        }
    }

    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Runs one command of etcdctl.
    pub fn run(&self, words: &[&str]) -> Result<Output, Failure> {
        let mut cmd = Cmd::new([self.path.clone()])
            .arg(format!("--endpoints={}", self.endpoints.join(",")))
            .args(self.tls.iter().cloned());
        if self.api == 3 {
            cmd = cmd.arg(format!("--command-timeout={}s", self.timeout));
        } else {
            cmd = cmd.arg(format!("--timeout={}s", self.timeout)).arg(format!("--total-timeout={}s", self.timeout * 3));
        }
        cmd.args(words.iter().map(|w| w.to_string()))
            .env("ETCDCTL_API", self.api.to_string())
            .c_locale()
            .limit(seconds::whole(i128::from(self.timeout) * 6 + 30))
            .run_with(&self.env)
            .map_err(|e| Failure::new(format!("cannot run {}: {}", self.path, e.text)))
    }

    /// As [`Client::run`], a bad exit code being a failure in `what`'s name.
    pub fn must(&self, words: &[&str], what: &str) -> Result<Output, Failure> {
        let o = self.run(words)?;
        if o.ok() {
            return Ok(o);
        }
        Err(failure(&o, what))
    }

    /// Asks every endpoint whether it is healthy; one that does not answer is a line, not a failure.
    pub fn health(&self, urls: &[String]) -> Result<Vec<Health>, Failure> {
        if urls.is_empty() {
            return Ok(vec![]);
        }
        let o = self.at(urls).run(&["endpoint", "health"])?;
        let text = format!("{}\n{}", o.out(), o.err());
        Ok(urls.iter().map(|u| health_of(u, &text)).collect())
    }

    /// `endpoint status` of these URLs as JSON; null if none answers.
    pub fn status(&self, urls: &[String]) -> Json {
        if self.api == 2 || urls.is_empty() {
            return Json::Null;
        }
        match self.at(urls).run(&["endpoint", "status", "-w", "json"]) {
            Ok(o) => serde_json::from_slice(&o.stdout).unwrap_or(Json::Null),
            Err(_) => Json::Null,
        }
    }
}

/// The words of a command that failed.
pub fn failure(o: &Output, what: &str) -> Failure {
    let err = o.err();
    let line = err
        .lines()
        .rev()
        .find(|l| l.contains("Error:") || l.contains("error"))
        .or(err.lines().last())
        .unwrap_or("")
        .trim();
    Failure::new(format!("{what} failed: {line}")).set("rc", o.rc).set("stdout", o.out()).set("stderr", err.clone())
}

/// Finds an endpoint's line; never the last line alone, which sums up wrongly with some versions.
fn health_of(url: &str, text: &str) -> Health {
    let mut h = Health { endpoint: url.into(), healthy: false, took: None, error: Some("no answer".into()) };
    for l in text.lines() {
        let Some(rest) = l.trim().strip_prefix(url) else { continue };
        if let Some(r) = rest.trim_start().strip_prefix("is healthy:") {
            h.healthy = true;
            h.error = None;
            h.took = r.split("took = ").nth(1).map(|t| t.trim().to_string());
        } else if let Some(r) = rest.trim_start().strip_prefix("is unhealthy:") {
            h.healthy = false;
            h.error = Some(r.trim().to_string());
        }
    }
    h
}

/// The endpoints given, or those of the manifest or the environment file.
fn endpoints(a: &Args) -> Result<Vec<String>, Failure> {
    let given: Vec<String> = a.strings("endpoints").into_iter().filter(|e| !e.is_empty()).collect();
    if !given.is_empty() {
        return Ok(given);
    }
    if let Some(m) = a.opt_str("manifest") {
        return from_manifest(m, a.opt_str("env_file"));
    }
    match a.opt_str("env_file") {
        Some(f) => from_env_file(f),
        None => Err("one of the following is required: endpoints, manifest, env_file".into()),
    }
}

fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read {path}: {e}")))
}

/// ETCD_ADVERTISE_CLIENT_URLS of an etcd.conf.
fn from_env_file(path: &str) -> Result<Vec<String>, Failure> {
    let text = read(path)?;
    let urls: Vec<String> = text
        .lines()
        .filter_map(|l| l.trim().strip_prefix("ETCD_ADVERTISE_CLIENT_URLS="))
        .next_back()
        .map(|v| {
            v.trim()
                .trim_matches(['"', '\''])
                .split(',')
                .map(|u| u.trim().to_string())
                .filter(|u| !u.is_empty())
                .collect()
        })
        .unwrap_or_default();
    if urls.is_empty() {
        return Err(Failure::new(format!("{path} has no ETCD_ADVERTISE_CLIENT_URLS")));
    }
    Ok(urls)
}

/// The client URL of a static pod: named in the manifest itself, or in the file that it sources.
fn from_manifest(path: &str, env_file: Option<&str>) -> Result<Vec<String>, Failure> {
    let text = read(path)?;
    let mut urls: Vec<String> = vec![];
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '=')) {
        let client = word.starts_with("https://") || word.starts_with("http://");
        if client && !word.contains(":2380") && !urls.iter().any(|u| u == word) {
            urls.push(word.trim_end_matches('/').to_string());
        }
    }
    match urls.len() {
        1 => Ok(urls),
        0 => {
            // OpenShift's own manifest names no URL: its container sources etcd.conf
            let sourced = text
                .lines()
                .filter_map(|l| l.trim().strip_prefix("source ").or(l.trim().strip_prefix(". ")))
                .map(str::trim)
                .find(|f| f.starts_with('/'));
            match env_file.or(sourced) {
                Some(f) => from_env_file(f),
                None => {
                    Err(Failure::new(format!("{path} names no client URL and no environment file; give endpoints")))
                }
            }
        }
        n => Err(Failure::new(format!("refused: {path} names {n} client URLs ({}); give endpoints", urls.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_read_line_by_line() {
        let text = "https://a:2379 is healthy: successfully committed proposal: took = 2.1ms\nhttps://b:2379 is unhealthy: failed to commit proposal: context deadline exceeded\nError: unhealthy cluster\n";
        let h = health_of("https://a:2379", text);
        assert!(h.healthy);
        assert_eq!(h.took.as_deref(), Some("2.1ms"));
        assert!(!health_of("https://b:2379", text).healthy);
        assert!(!health_of("https://c:2379", text).healthy);
    }

    #[test]
    fn endpoints_of_files() {
        let d = tempfile::tempdir().expect("a directory");
        let conf = d.path().join("etcd.conf");
        std::fs::write(&conf, "#x\nETCD_ADVERTISE_CLIENT_URLS=\"https://10.0.0.1:2379\"\n").expect("writes");
        let conf = conf.to_string_lossy().into_owned();
        assert_eq!(from_env_file(&conf).expect("reads"), ["https://10.0.0.1:2379"]);
        let pod = d.path().join("etcd.yaml");
        let write = |t: String| std::fs::write(&pod, t).expect("writes");
        let ask = || from_manifest(&pod.to_string_lossy(), None);
        write(format!("args:\n- |\n  #!/bin/sh\n  source {conf}\n  exec etcd\n"));
        assert_eq!(ask().expect("reads"), ["https://10.0.0.1:2379"]);
        write("- --advertise-client-urls=https://10.0.0.2:2379\n- --listen-peer-urls=https://10.0.0.2:2380\n".into());
        assert_eq!(ask().expect("reads"), ["https://10.0.0.2:2379"]);
        write("- --a=https://10.0.0.2:2379\n- --b=https://10.0.0.3:2379\n".into());
        assert!(ask().is_err_and(|e| e.msg.starts_with("refused:")));
    }
}
