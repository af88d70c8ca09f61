//! `wait_for`: a port, a file, a text in either, or only time.

use super::support::{accounts, pyre};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use crate::seconds;
use serde_json::{Map, Value as Json, json};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

pub fn module() -> Module {
    Module {
        name: "wait_for",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("host").default("127.0.0.1").doc("Name or address to wait for."),
            Arg::int("timeout").default(300).doc("Seconds to wait at most."),
            Arg::int("connect_timeout").default(5).doc("Seconds that one connection may take."),
            Arg::int("delay").default(0).doc("Seconds before the first look."),
            Arg::int("port").doc("Port to look at."),
            Arg::list("active_connection_states", Type::Str)
                .default(json!(["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"]))
                .doc("States that count as active for `drained`."),
            Arg::path("path").doc("File to look at."),
            Arg::str("search_regex").doc("Text to find in the file or on the connection."),
            Arg::str("state")
                .default("started")
                .choices(&["absent", "drained", "present", "started", "stopped"])
                .doc("What to wait for."),
            Arg::list("exclude_hosts", Type::Str).doc("Peers that `drained` ignores."),
            Arg::int("sleep").default(1).doc("Seconds between looks."),
            Arg::str("msg").doc("Message to fail with instead of the usual one."),
        ]),
        check: Support::None,
        diff: Support::None,
        free_form: false,
        doc: "Wait until a port is open, closed or drained, a file is there or gone, a text appears.",
        run,
    }
}

/// Words of the module that the loop needs.
struct Wait<'a> {
    args: &'a Args,
    host: &'a str,
    port: Option<u16>,
    path: Option<&'a str>,
    regex: Option<fancy_regex::Regex>,
    states: Vec<u8>,
    excluded: Vec<IpAddr>,
    started: Instant,
    end: Instant,
}

#[derive(Default)]
struct Match {
    groups: Vec<Json>,
    named: Map<String, Json>,
}

fn run(_: &mut Ctx, args: &Args) -> ModResult {
    let started = Instant::now();
    let early = |m: String| Failure::new(m).set("elapsed", 0);
    let seconds = |n: &str| seconds::whole(args.int(n));
    let state = args.str("state");
    let (port, path) = (args.opt_int("port"), args.opt_str("path"));
    if port.is_some() && path.is_some() {
        return Err(early("port and path parameter can not both be passed to wait_for".into()));
    }
    if path.is_some() && state == "stopped" {
        return Err(early("state=stopped should only be used for checking a port in the wait_for module".into()));
    }
    if path.is_some() && state == "drained" {
        return Err(early("state=drained should only be used for checking a port in the wait_for module".into()));
    }
    if args.is_set("exclude_hosts") && state != "drained" {
        return Err(early("exclude_hosts should only be with state=drained".into()));
    }
    let mut states = vec![];
    for s in args.strings("active_connection_states") {
        let Some(n) = TCP_STATES.iter().position(|t| *t == s) else {
            return Err(early(format!("unknown active_connection_state ({s}) defined")));
        };
        states.push(n as u8);
    }
    let port = match port {
        Some(p) => Some(u16::try_from(p).map_err(|_| early(format!("port must be 0-65535, not {p}")))?),
        None => None,
    };
    let regex = match args.opt_str("search_regex") {
        Some(r) => {
            let bad = |why: String| Failure::new(format!("Invalid regular expression: {why}"));
            if let Err(f) = pyre::Pattern::new(r, true) {
                return Err(bad(f.msg.trim_start_matches("Task failed: Module failed: ").to_owned()));
            }
            Some(fancy_regex::Regex::new(&format!("(?m){r}")).map_err(|e| bad(e.to_string()))?)
        }
        None => None,
    };
    let host = args.opt_str("host").unwrap_or("127.0.0.1");
    let excluded = args.strings("exclude_hosts").iter().flat_map(|h| addresses(h, 0)).map(|a| a.ip()).collect();
    let timeout = seconds("timeout");
    // The delay counts for `elapsed`, not for the time that may be waited.
    std::thread::sleep(seconds("delay"));
    let end = started + seconds("delay") + timeout;
    let w = Wait { args, host, port, path, regex, states, excluded, started, end };
    let found = if port.is_none() && path.is_none() && state != "drained" {
        std::thread::sleep(timeout);
        Match::default()
    } else {
        match state {
            "absent" | "stopped" => w.gone()?,
            "drained" => w.drained()?,
            _ => w.there()?,
        }
    };
    let mut out = Outcome::ok()
        .set("state", state)
        .set("port", port.map(Json::from).unwrap_or(Json::Null))
        .set("search_regex", args.get("search_regex").clone())
        .set("match_groups", found.groups)
        .set("match_groupdict", Json::Object(found.named))
        .set("path", args.get("path").clone())
        .set("elapsed", started.elapsed().as_secs());
    if let Some(p) = path {
        out.data.extend(path_info(p));
    }
    Ok(out)
}

impl Wait<'_> {
    fn failed(&self, msg: String) -> Failure {
        let text = self.args.opt_str("msg").map(str::to_string).unwrap_or(msg);
        Failure::new(text).set("elapsed", self.started.elapsed().as_secs())
    }
    /// Sleeps between looks; false if the time is over.
    fn again(&self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        std::thread::sleep(seconds::whole(self.args.int("sleep")));
        Instant::now() < self.end
    }
    fn connect(&self, port: u16) -> Option<TcpStream> {
        let most = seconds::whole(self.args.int("connect_timeout").max(1));
        addresses(self.host, port).iter().find_map(|a| {
            let left = self.end.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(100), most);
            TcpStream::connect_timeout(a, left).ok()
        })
    }

    fn gone(&self) -> Result<Match, Failure> {
        loop {
            let gone = match (self.path, self.port) {
                (Some(p), _) => std::fs::metadata(p).is_err(),
                (_, Some(n)) => self.connect(n).is_none(),
                _ => true,
            };
            if gone {
                return Ok(Match::default());
            }
            if !self.again() {
                return Err(self.failed(match (self.path, self.port) {
                    (Some(p), _) => format!("Timeout when waiting for {p} to be absent."),
                    (_, n) => format!("Timeout when waiting for {}:{} to stop.", self.host, n.unwrap_or(0)),
                }));
            }
        }
    }

    fn there(&self) -> Result<Match, Failure> {
        loop {
            let found = match (self.path, self.port) {
                (Some(p), _) => self.in_file(p),
                (_, Some(n)) => self.on_port(n),
                _ => None,
            };
            if let Some(m) = found {
                return Ok(m);
            }
            if !self.again() {
                let what = self.args.opt_str("search_regex");
                let place = match (self.path, self.port) {
                    (Some(p), _) => p.to_string(),
                    (_, n) => format!("{}:{}", self.host, n.unwrap_or(0)),
                };
                return Err(self.failed(match (what, self.path) {
                    (Some(r), _) => format!("Timeout when waiting for search string {r} in {place}"),
                    (None, Some(_)) => format!("Timeout when waiting for file {place}"),
                    (None, None) => format!("Timeout when waiting for {place}"),
                }));
            }
        }
    }

    fn in_file(&self, path: &str) -> Option<Match> {
        let Some(re) = &self.regex else { return std::fs::metadata(path).is_ok().then(Match::default) };
        search(re, &std::fs::read(path).ok()?)
    }

    fn on_port(&self, port: u16) -> Option<Match> {
        let mut s = self.connect(port)?;
        let Some(re) = &self.regex else { return Some(Match::default()) };
        let mut seen: Vec<u8> = vec![];
        let mut part = [0u8; 1024];
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.len() > 64 << 20 {
                return None;
            }
            s.set_read_timeout(Some(left.min(Duration::from_secs(5)))).ok()?;
            match s.read(&mut part) {
                Ok(0) => return None,
                Ok(n) => seen.extend_from_slice(part.get(..n).unwrap_or(&[])),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
            if let Some(m) = search(re, &seen) {
                return Some(m);
            }
        }
    }

    fn drained(&self) -> Result<Match, Failure> {
        let Some(port) = self.port else { return Ok(Match::default()) };
        let mine: Vec<IpAddr> = addresses(self.host, port).iter().map(SocketAddr::ip).collect();
        loop {
            if self.active(&mine, port) == 0 {
                return Ok(Match::default());
            }
            if !self.again() {
                return Err(self.failed(format!("Timeout when waiting for {}:{port} to drain", self.host)));
            }
        }
    }

    /// Connections of the port in a state that counts, from /proc/net.
    fn active(&self, mine: &[IpAddr], port: u16) -> usize {
        let any = mine.iter().any(IpAddr::is_unspecified);
        ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .flat_map(|p| connections(&std::fs::read_to_string(p).unwrap_or_default()))
            .filter(|c| c.local.1 == port && self.states.contains(&c.state))
            .filter(|c| any || mine.contains(&c.local.0))
            .filter(|c| !self.excluded.contains(&c.remote))
            .count()
    }
}

/// By their number in /proc/net/tcp.
const TCP_STATES: &[&str] = &[
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

struct Connection {
    local: (IpAddr, u16),
    remote: IpAddr,
    state: u8,
}

fn connections(text: &str) -> Vec<Connection> {
    let side = |s: &str| -> Option<(IpAddr, u16)> {
        let (a, p) = s.split_once(':')?;
        let port = u16::from_str_radix(p, 16).ok()?;
        let words: Vec<u32> = a
            .as_bytes()
            .chunks(8)
            .map(|c| std::str::from_utf8(c).ok().and_then(|t| u32::from_str_radix(t, 16).ok()))
            .collect::<Option<_>>()?;
        match words.as_slice() {
            [v4] => Some((IpAddr::V4(Ipv4Addr::from(v4.to_ne_bytes())), port)),
            [a, b, c, d] => {
                let mut all = [0u8; 16];
                for (slot, w) in all.chunks_mut(4).zip([a, b, c, d]) {
                    slot.copy_from_slice(&w.to_ne_bytes());
                }
                let v6 = Ipv6Addr::from(all);
                Some((v6.to_ipv4_mapped().map(IpAddr::V4).unwrap_or(IpAddr::V6(v6)), port))
            }
            _ => None,
        }
    };
    text.lines()
        .skip(1)
        .filter_map(|l| {
            let f: Vec<&str> = l.split_whitespace().collect();
            let state = u8::from_str_radix(f.get(3)?, 16).ok()?;
            Some(Connection { local: side(f.get(1)?)?, remote: side(f.get(2)?)?.0, state })
        })
        .collect()
}

/// Addresses of a host name: a literal, the hosts file, or the resolver.
fn addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return vec![SocketAddr::new(ip, port)];
    }
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    if !found.is_empty() || host.is_empty() || host.starts_with('-') {
        return found;
    }
    // A static C library may not reach the host's own name services.
    let out = super::support::exec::Cmd::new(["getent", "ahosts", host]).limit(Duration::from_secs(10)).run_with(&[]);
    let text = out.map(|o| o.out()).unwrap_or_default();
    let mut all: Vec<SocketAddr> = text
        .lines()
        .filter_map(|l| l.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    all.dedup();
    all
}

fn search(re: &fancy_regex::Regex, bytes: &[u8]) -> Option<Match> {
    let text = String::from_utf8_lossy(bytes);
    let c = re.captures(&text).ok().flatten()?;
    let of = |m: Option<fancy_regex::Match>| m.map(|m| Json::from(m.as_str())).unwrap_or(Json::Null);
    let groups = (1..c.len()).map(|i| of(c.get(i))).collect();
    let named = re.capture_names().flatten().map(|n| (n.to_string(), of(c.name(n)))).collect();
    Some(Match { groups, named })
}

/// What Ansible adds to every result with a path: owner, mode, size, kind.
fn path_info(path: &str) -> Map<String, Json> {
    let mut out = Map::new();
    let Ok(m) = std::fs::symlink_metadata(path) else {
        out.insert("state".into(), "absent".into());
        return out;
    };
    let ctx = Ctx::bare();
    let owner = accounts::user_by_id(&ctx, m.uid()).map(|u| u.name).unwrap_or_else(|| m.uid().to_string());
    let group = accounts::group_by_id(&ctx, m.gid()).map(|g| g.name).unwrap_or_else(|| m.gid().to_string());
    let kind = if m.is_symlink() {
        "link"
    } else if m.is_dir() {
        "directory"
    } else if m.nlink() > 1 {
        "hard"
    } else {
        "file"
    };
    out.insert("uid".into(), m.uid().into());
    out.insert("gid".into(), m.gid().into());
    out.insert("owner".into(), owner.into());
    out.insert("group".into(), group.into());
    out.insert("mode".into(), format!("{:04o}", m.mode() & 0o7777).into());
    out.insert("state".into(), kind.into());
    out.insert("size".into(), m.size().into());
    out
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::{Map, Value as Json, json};
    use std::io::Write;

    fn wait(args: Json) -> Map<String, Json> {
        run(find("wait_for").expect("registered"), &mut Ctx::bare(), &args.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn ports() {
        let l = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = l.local_addr().expect("bound").port();
        let t = std::thread::spawn(move || {
            for _ in 0..2 {
                if let Ok((mut s, _)) = l.accept() {
                    let _ = s.write_all(b"SSH-2.0-x\r\n");
                }
            }
        });
        assert_eq!(wait(json!({"port": port, "timeout": 5})).get("failed"), None);
        let r = wait(json!({"port": port, "timeout": 5, "search_regex": "^(SSH)-(?P<v>[0-9.]+)"}));
        assert_eq!((&r["match_groups"], &r["match_groupdict"]), (&json!(["SSH", "2.0"]), &json!({"v": "2.0"})));
        t.join().expect("ends");
        assert_eq!(wait(json!({"port": port, "state": "stopped", "timeout": 5})).get("failed"), None);
        let r = wait(json!({"port": port, "timeout": 0}));
        assert_eq!(r["msg"], format!("Timeout when waiting for 127.0.0.1:{port}"));
    }

    #[test]
    fn tables_of_the_kernel() {
        let t = "h\n 0: 0100007F:1F90 0200007F:C001 01 rest\n 1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000001000000:0001 06 x\njunk\n";
        let c = super::connections(t);
        assert_eq!(c.len(), 2);
        assert_eq!((c[0].local.0.to_string(), c[0].local.1, c[0].state), ("127.0.0.1".into(), 8080, 1));
        assert_eq!((c[1].local.0.to_string(), c[1].remote.to_string()), ("127.0.0.1".into(), "::1".into()));
    }
}
