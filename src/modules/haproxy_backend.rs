//! `haproxy_backend`: the servers of a backend in haproxy.cfg. Only whole `server` lines come and go; every
//! other byte stays.
//!
//! Syntax after the HAProxy configuration manual, sections 2 and 4 (`backend`, `listen`, `server`).

use super::support::atomic;
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Map, Value as Json, json};
use std::io::Write;
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "haproxy_backend",
        collection: "dirigo.cluster",
        spec: Spec::new(vec![
            Arg::path("path").default("/etc/haproxy/haproxy.cfg").doc("The configuration file."),
            Arg::str("backend")
                .doc("The backend (or listen section); without it, every section that lists the server."),
            Arg::str("server").doc("The server's name."),
            Arg::str("address").doc("The server's address (host or IP, without port); matched as a whole."),
            Arg::int("port").doc("The server's port, for state=present."),
            Arg::str("options").doc("What follows the address in the server line, e.g. `check inter 1s`."),
            Arg::str("state").choices(&["present", "absent", "listed"]).default("present"),
            Arg::str("validate")
                .default("haproxy -c -f %s")
                .doc("A command that must accept the new file; empty for none."),
            Arg::bool("backup").default(false).doc("Keep the old file beside the new one."),
            Arg::bool("allow_empty").default(false).doc("Let a backend lose its last server."),
        ])
        .required_if("state", "present", &["backend", "server", "address"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage the servers of a haproxy backend.\n\nLayout and comments are kept; the result is validated before it replaces the file.",
        run,
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Server {
    line: usize,
    section: String,
    name: String,
    address: String,
    port: String,
    options: String,
}

/// Section that may list servers, with the line its last server (or itself) stands on.
struct Section {
    name: String,
    last: usize,
}

fn parse(lines: &[&str]) -> (Vec<Section>, Vec<Server>) {
    let (mut sections, mut servers) = (vec![], vec![]);
    let mut current: Option<String> = None;
    const OTHER: [&str; 14] = [
        "global",
        "defaults",
        "frontend",
        "userlist",
        "peers",
        "mailers",
        "resolvers",
        "program",
        "http-errors",
        "ring",
        "cache",
        "fcgi-app",
        "crt-list",
        "log-forward",
    ];
    for (i, l) in lines.iter().enumerate() {
        let mut words = l.split('#').next().unwrap_or("").split_whitespace();
        let Some(first) = words.next() else { continue };
        match first {
            "backend" | "listen" => {
                let name = words.next().unwrap_or("").to_string();
                sections.push(Section { name: name.clone(), last: i });
                current = Some(name);
            }
            w if OTHER.contains(&w) => current = None,
            "server" => {
                let (Some(section), Some(name), Some(addr)) = (&current, words.next(), words.next()) else { continue };
                let (address, port) = split_address(addr);
                let options = words.collect::<Vec<_>>().join(" ");
                servers.push(Server { line: i, section: section.clone(), name: name.into(), address, port, options });
                if let Some(s) = sections.last_mut() {
                    s.last = i;
                }
            }
            _ => {}
        }
    }
    (sections, servers)
}

/// `10.0.0.1:80`, `[::1]:80`, `ipv4@host:80`.
fn split_address(a: &str) -> (String, String) {
    let a = a.rsplit('@').next().unwrap_or(a);
    if let Some(rest) = a.strip_prefix('[')
        && let Some((ip, port)) = rest.split_once(']')
    {
        return (ip.into(), port.trim_start_matches(':').into());
    }
    match a.rsplit_once(':') {
        Some((h, p)) if !h.contains(':') => (h.into(), p.into()),
        _ => (a.into(), String::new()),
    }
}

fn listing(sections: &[Section], servers: &[Server]) -> Json {
    let mut m = Map::new();
    for s in sections {
        let list: Vec<Json> = servers
            .iter()
            .filter(|x| x.section == s.name)
            .map(|x| json!({"name": x.name, "address": x.address, "port": x.port.parse::<u16>().ok(), "options": x.options}))
            .collect();
        m.insert(s.name.clone(), list.into());
    }
    Json::Object(m)
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    let path = Path::new(a.str("path"));
    let before =
        std::fs::read_to_string(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let (sections, servers) = parse(&lines);
    if let Some(b) = a.opt_str("backend")
        && b != "*"
        && !sections.iter().any(|s| s.name == b)
    {
        return Err(Failure::new(format!("there is no backend or listen section '{b}' in {}", path.display())));
    }
    let (after, key, touched) = match a.str("state") {
        "listed" => return Ok(Outcome::ok().set("backends", listing(&sections, &servers))),
        "absent" => remove(a, &lines, &sections, &servers)?,
        _ => add(a, &lines, &sections, &servers)?,
    };
    let new_lines: Vec<&str> = after.split_inclusive('\n').collect();
    let (s2, v2) = parse(&new_lines);
    let changed = after != before;
    let mut out =
        Outcome::changed(changed).set("backends", listing(&s2, &v2)).set(key, touched).set("path", a.str("path"));
    if !changed {
        return Ok(out);
    }
    out = out.with_diff(
        Diff::new(before.as_str(), after.as_str())
            .headers(&format!("{} (content)", path.display()), &format!("{} (content)", path.display())),
    );
    let validate = a.opt_str("validate").filter(|v| !v.is_empty());
    if ctx.check {
        if let Some(v) = validate {
            let mut temp = tempfile::Builder::new().prefix("dirigo-").tempfile()?;
            temp.write_all(after.as_bytes())?;
            atomic::validate(v, temp.path(), &ctx.env)?;
        }
        return Ok(out);
    }
    if a.bool("backup") {
        out = out.set("backup_file", atomic::backup(path)?);
    }
    let mut staged = atomic::stage(path, false)?;
    staged.write(after.as_bytes())?;
    if let Some(v) = validate {
        atomic::validate(v, staged.path()?, &ctx.env)?;
    }
    staged.commit()?;
    Ok(out)
}

type Edit = (String, &'static str, Vec<String>);

fn remove(a: &Args, lines: &[&str], sections: &[Section], servers: &[Server]) -> Result<Edit, Failure> {
    let (name, address, backend) =
        (a.opt_str("server"), a.opt_str("address"), a.opt_str("backend").filter(|b| *b != "*"));
    if name.is_none() && address.is_none() {
        return Err("state is absent but any of the following are missing: server, address".into());
    }
    let gone: Vec<&Server> = servers
        .iter()
        .filter(|s| {
            backend.is_none_or(|b| s.section == b)
                && (name == Some(s.name.as_str()) || address == Some(s.address.as_str()))
        })
        .collect();
    for s in sections {
        let all = servers.iter().filter(|x| x.section == s.name).count();
        let lost = gone.iter().filter(|x| x.section == s.name).count();
        if lost > 0 && lost == all && !a.bool("allow_empty") {
            return Err(Failure::new(format!(
                "refused: backend '{}' would have no server left; set allow_empty if that is meant",
                s.name
            )));
        }
    }
    let text: String =
        lines.iter().enumerate().filter(|(i, _)| !gone.iter().any(|g| g.line == *i)).map(|(_, l)| *l).collect();
    Ok((text, "removed", gone.iter().map(|g| format!("{}/{}", g.section, g.name)).collect()))
}

fn add(a: &Args, lines: &[&str], sections: &[Section], servers: &[Server]) -> Result<Edit, Failure> {
    let (backend, name) = (a.str("backend"), a.str("server"));
    let Some(section) = sections.iter().find(|s| s.name == backend) else {
        return Err(Failure::new(format!("state=present needs the name of a backend, not '{backend}'")));
    };
    let host = a.str("address");
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let address = a.opt_int("port").map_or(host.clone(), |p| format!("{host}:{p}"));
    let own = servers.iter().find(|s| s.section == backend && s.name == name);
    // without options of its own a server is like its neighbours
    let like = own.or_else(|| servers.iter().rev().find(|s| s.section == backend));
    let options = a.opt_str("options").or(like.map(|s| s.options.as_str())).unwrap_or("");
    let indent = match like {
        Some(s) => lines.get(s.line).map_or("    ", |l| &l[..l.len() - l.trim_start().len()]),
        None => "    ",
    };
    let line = format!("{indent}server {name} {address} {options}").trim_end().to_string() + "\n";
    let mut text = String::new();
    let mut touched = vec![];
    for (i, l) in lines.iter().enumerate() {
        let is_own = own.is_some_and(|s| s.line == i);
        if is_own && l.split_whitespace().eq(line.split_whitespace()) {
            text.push_str(l);
        } else if is_own {
            text.push_str(&line);
            touched.push(format!("{backend}/{name}"));
        } else {
            text.push_str(l);
        }
        if own.is_none() && i == section.last {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
            touched.push(format!("{backend}/{name}"));
        }
    }
    Ok((text, "added", touched))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    const CFG: &str = "# top\nfrontend f\n    bind *:1\n    default_backend b\n\nbackend b\n    balance source\n    # masters\n    server m0 10.0.0.1:8443 check inter 1s\n    server m1 10.0.0.11:8443 check inter 1s  # second\n\nlisten other\n  server m0 10.0.0.1:9 check\n";

    fn call(text: &str, args: Json, check: bool) -> (Map<String, Json>, String) {
        let d = tempfile::tempdir().expect("a directory");
        let p = d.path().join("h.cfg");
        std::fs::write(&p, text).expect("writes");
        let mut m = args.as_object().cloned().unwrap_or_default();
        m.insert("path".into(), p.to_string_lossy().into_owned().into());
        m.entry("validate").or_insert("".into());
        let mut ctx = Ctx::bare();
        ctx.check = check;
        let r = modules::run(&module(), &mut ctx, &m);
        (r, std::fs::read_to_string(&p).expect("reads"))
    }

    #[test]
    fn removes_one_line_and_nothing_else() {
        let (r, t) = call(CFG, json!({"state": "absent", "address": "10.0.0.1", "backend": "b"}), false);
        assert_eq!(r["changed"], true, "{r:?}");
        assert_eq!(r["removed"], json!(["b/m0"]));
        assert_eq!(t, CFG.replace("    server m0 10.0.0.1:8443 check inter 1s\n", ""));
        let (r, _) = call(&t, json!({"state": "absent", "address": "10.0.0.1", "backend": "b"}), false);
        assert_eq!(r["changed"], false);
    }

    #[test]
    fn refuses_an_empty_backend() {
        let (r, t) = call(CFG, json!({"state": "absent", "server": "m0"}), false);
        assert_eq!(r["failed"], true);
        assert!(r["msg"].as_str().is_some_and(|m| m.starts_with("refused: backend 'other'")));
        assert_eq!(t, CFG);
    }

    #[test]
    fn check_mode_changes_nothing() {
        let (r, t) = call(CFG, json!({"state": "absent", "server": "m1"}), true);
        assert_eq!(r["changed"], true);
        assert_eq!(t, CFG);
    }

    #[test]
    fn adds_like_its_neighbours() {
        let (r, t) = call(CFG, json!({"backend": "b", "server": "m2", "address": "10.0.0.3", "port": 8443}), false);
        assert_eq!(r["added"], json!(["b/m2"]));
        assert!(t.contains("# second\n    server m2 10.0.0.3:8443 check inter 1s\n"), "{t}");
        let (r, _) = call(&t, json!({"backend": "b", "server": "m2", "address": "10.0.0.3", "port": 8443}), false);
        assert_eq!(r["changed"], false);
    }

    #[test]
    fn a_file_that_is_not_accepted_stays_as_it_was() {
        let (r, t) = call(CFG, json!({"state": "absent", "server": "m1", "validate": "false %s"}), false);
        assert_eq!(r["failed"], true);
        assert_eq!(t, CFG);
    }

    #[test]
    fn lists() {
        let (r, _) = call(CFG, json!({"state": "listed"}), false);
        assert_eq!(r["backends"]["b"][1]["address"], "10.0.0.11");
        assert_eq!(r["backends"]["other"][0]["port"], 9);
    }
}
