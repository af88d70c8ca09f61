//! `iptables`: rules, chains and policies of the kernel's packet filter, by `iptables` and `ip6tables`.

use super::support::exec::{self, Cmd, Output};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};
use serde_json::{Value as Json, json};

pub fn module() -> Module {
    let list = |n: &str, d: &str| Arg::list(n, Type::Str).default(json!([])).doc(d);
    let text = |n: &str, d: &str| Arg::str(n).doc(d);
    Module {
        name: "iptables",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            text("table", "The table.").choices(&["filter", "nat", "mangle", "raw", "security"]).default("filter"),
            text("state", "Whether the rule shall be there.").choices(&["absent", "present"]).default("present"),
            text("action", "Where a new rule goes.").choices(&["append", "insert"]).default("append"),
            text("ip_version", "The protocol's version.").choices(&["ipv4", "ipv6", "both"]).default("ipv4"),
            text("chain", "The chain."),
            text("rule_num", "With insert: the number of the new rule."),
            text("protocol", "Protocol by name or number; ! inverts."),
            text("source", "Source address, network or host; ! inverts."),
            text("destination", "Destination address, network or host; ! inverts."),
            Arg::dict("tcp_flags")
                .options(
                    Spec::new(vec![
                        Arg::list("flags", Type::Str).doc("The flags to look at."),
                        Arg::list("flags_set", Type::Str).doc("Those that must be set."),
                    ])
                    .together(&["flags", "flags_set"]),
                )
                .doc("TCP flags to match."),
            list("match", "Extension modules to load."),
            text("jump", "The target."),
            text("gateway", "With TEE: where the copies go."),
            text("log_prefix", "With LOG: the text before each line."),
            text("log_level", "With LOG: the level.").choices(&[
                "0", "1", "2", "3", "4", "5", "6", "7", "emerg", "alert", "crit", "error", "warning", "notice", "info",
                "debug",
            ]),
            text("goto", "The chain to go on in."),
            text("in_interface", "Interface of arrival; ! inverts."),
            text("out_interface", "Interface of departure; ! inverts."),
            text("fragment", "Second and further fragments; ! inverts."),
            text("set_counters", "Packet and byte counters to begin with."),
            text("source_port", "Source port or range; ! inverts."),
            text("destination_port", "Destination port or range; ! inverts."),
            list("destination_ports", "Several destination ports or ranges."),
            text("to_ports", "With REDIRECT or MASQUERADE: the port or range."),
            text("to_destination", "With DNAT: the new destination."),
            text("to_source", "With SNAT: the new source."),
            text("syn", "Match packets with SYN alone, or all others.")
                .choices(&["ignore", "match", "negate"])
                .default("ignore"),
            text("set_dscp_mark", "With DSCP: the mark."),
            text("set_dscp_mark_class", "With DSCP: the class."),
            text("comment", "A comment on the rule."),
            list("ctstate", "Connection states."),
            text("src_range", "Range of source addresses; ! inverts."),
            text("dst_range", "Range of destination addresses; ! inverts."),
            text("match_set", "A set of ipset; ! inverts."),
            text("match_set_flags", "Which address the set is compared with.")
                .choices(&["src", "dst", "src,dst", "dst,src", "dst,dst", "src,src"]),
            text("limit", "How many matches in a time."),
            text("limit_burst", "How many before the limit counts."),
            text("uid_owner", "Owner of the sending process; ! inverts."),
            text("gid_owner", "Group of the sending process; ! inverts."),
            text("reject_with", "How to reject; implies jump REJECT."),
            text("icmp_type", "ICMP type."),
            Arg::bool("flush").default(false).doc("Remove all rules of the chain, or of the table."),
            text("policy", "The policy of a built-in chain.").choices(&["ACCEPT", "DROP", "QUEUE", "RETURN"]),
            text("wait", "Seconds to wait for the lock."),
            Arg::bool("chain_management").default(false).doc("Make the chain, or remove it."),
            Arg::bool("numeric").default(false).doc("List without looking up names."),
        ])
        .exclusive(&["set_dscp_mark", "set_dscp_mark_class"])
        .exclusive(&["flush", "policy"])
        .required_by("set_dscp_mark", &["jump"])
        .required_if("jump", "TEE", &["gateway"])
        .required_if("jump", "tee", &["gateway"])
        .required_by("set_dscp_mark_class", &["jump"])
        .together(&["match_set", "match_set_flags"])
        .required_if("flush", false, &["chain"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Modify iptables rules\n\n\
              Rules live in the running kernel; saving them over a restart is another task's work.",
        run,
    }
}

/// One iptables program at work on a table and a chain.
struct Tool<'a, 'c> {
    ctx: &'a Ctx<'c>,
    program: String,
    args: &'a Args,
    /// `-w` as this version of the program takes it.
    wait: Vec<String>,
}

impl Tool<'_, '_> {
    fn run(&self, action: &[&str], rest: &[String]) -> Result<(String, Output), Failure> {
        let mut c = Cmd::new([self.program.as_str(), "-t", self.args.str("table")]).args(action.iter().copied());
        // the chain and its number stand before the lock's option
        c = c.args(self.wait.iter().cloned()).args(rest.iter().cloned());
        let shown = c.shown();
        Ok((shown, c.run(self.ctx)?))
    }
    fn must(&self, action: &[&str], rest: &[String]) -> Result<Output, Failure> {
        let (cmd, o) = self.run(action, rest)?;
        if o.ok() {
            return Ok(o);
        }
        Err(Failure::new(o.err().trim_end().to_owned())
            .set("cmd", cmd)
            .set("rc", o.rc)
            .set("stdout", o.out())
            .set("stderr", o.err()))
    }
    fn chain(&self) -> &str {
        self.args.str("chain")
    }
    fn list(&self) -> Result<Output, Failure> {
        let numeric: Vec<String> = if self.args.bool("numeric") { vec!["--numeric".into()] } else { vec![] };
        Ok(self.run(&["-L", self.chain()], &numeric)?.1)
    }
    fn has_chain(&self) -> Result<bool, Failure> {
        Ok(self.list()?.ok())
    }
    fn has_rule(&self, rule: &[String]) -> Result<bool, Failure> {
        Ok(self.run(&["-C", self.chain()], rule)?.1.ok())
    }

    /// Does what the task says for this version of the protocol; true if something changed.
    fn apply(&self, rule: &[String]) -> Result<bool, Failure> {
        let (a, check) = (self.args, self.ctx.check);
        let present = a.str("state") == "present";
        if a.bool("flush") {
            if !check {
                let mut words = vec!["-F"];
                words.extend(a.opt_str("chain"));
                self.must(&words, &[])?;
            }
            return Ok(true);
        }
        if let Some(policy) = a.opt_str("policy") {
            let listed = self.list()?.out();
            let now = listed.lines().next().and_then(|l| l.split_once("(policy ")).map(|(_, p)| p);
            let same = now.and_then(|p| p.split([' ', ')']).next()) == Some(policy);
            if !same && !check {
                self.must(&["-P", self.chain(), policy], &[])?;
            }
            return Ok(!same);
        }
        if rule.is_empty() && a.bool("chain_management") {
            let there = self.has_chain()?;
            if there != present && !check {
                self.must(&[if present { "-N" } else { "-X" }, self.chain()], &[])?;
            }
            return Ok(there != present);
        }
        let there = self.has_rule(rule)?;
        if there == present {
            return Ok(false);
        }
        if check {
            return Ok(true);
        }
        if !present {
            self.must(&["-D", self.chain()], rule)?;
            return Ok(true);
        }
        if a.bool("chain_management") && !self.has_chain()? {
            self.must(&["-N", self.chain()], &[])?;
        }
        match (a.str("action"), a.opt_str("rule_num")) {
            ("insert", Some(n)) => self.must(&["-I", self.chain(), n], rule)?,
            ("insert", None) => self.must(&["-I", self.chain()], rule)?,
            _ => self.must(&["-A", self.chain()], rule)?,
        };
        Ok(true)
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let logs = args.is_set("log_prefix") || args.is_set("log_level");
    let jump = match args.opt_str("jump") {
        Some("LOG") => Some("LOG"),
        Some(_) if logs => return Err("Logging options can only be used with the LOG jump target.".into()),
        None if logs => Some("LOG"),
        other => other,
    };
    let rule = words_of(args, jump);
    let programs: &[&str] = match args.str("ip_version") {
        "ipv4" => &["iptables"],
        "ipv6" => &["ip6tables"],
        _ => &["iptables", "ip6tables"],
    };
    let mut changed = false;
    for name in programs {
        let program = exec::need_program(ctx, name)?;
        let wait = wait_option(ctx, &program, args.opt_str("wait"))?;
        changed |= Tool { ctx, program, args, wait }.apply(&rule)?;
    }
    Ok(Outcome::changed(changed)
        .set("ip_version", args.str("ip_version"))
        .set("table", args.str("table"))
        .set("chain", args.get("chain").clone())
        .set("flush", args.bool("flush"))
        // what the task says, without the target that its logging implies
        .set("rule", words_of(args, args.opt_str("jump")).join(" "))
        .set("state", args.str("state"))
        .set("chain_management", args.bool("chain_management"))
        .set("wait", args.get("wait").clone()))
}

/// `-w SECONDS` where the program knows it: never before 1.4.20, without seconds before 1.6.0.
fn wait_option(ctx: &Ctx, program: &str, seconds: Option<&str>) -> Result<Vec<String>, Failure> {
    let Some(seconds) = seconds else { return Ok(vec![]) };
    let out = Cmd::new([program, "--version"]).run(ctx)?.out();
    let version = out.split_whitespace().find_map(|w| w.strip_prefix('v')).unwrap_or_default();
    let parts: Vec<u32> = version.split('.').map_while(|p| p.parse().ok()).collect();
    Ok(if !parts.is_empty() && parts < vec![1, 4, 20] {
        vec![]
    } else if !parts.is_empty() && parts < vec![1, 6, 0] {
        vec!["-w".into()]
    } else {
        vec!["-w".into(), seconds.into()]
    })
}

/// The words of a rule, growing.
struct Rule(Vec<String>);

impl Rule {
    fn plain(&mut self, option: &str, value: Option<&str>) {
        if let Some(v) = value {
            self.0.extend([option.to_owned(), v.to_owned()]);
        }
    }
    /// A value that may be inverted by `!` before it.
    fn either(&mut self, option: &str, value: Option<&str>) {
        let Some(v) = value else { return };
        match v.strip_prefix('!') {
            Some(rest) => self.0.extend(["!".to_owned(), option.to_owned(), rest.trim_start().to_owned()]),
            None => self.plain(option, Some(v)),
        }
    }
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|w| w.to_string()));
    }
}

fn words_of(a: &Args, jump: Option<&str>) -> Vec<String> {
    let mut r = Rule(vec![]);
    let s = |n: &str| a.opt_str(n);
    let matches = a.strings("match");
    let loaded = |n: &str| matches.iter().any(|m| m == n);
    let joined = |n: &str| Some(a.strings(n).join(",")).filter(|t| !t.is_empty());
    r.either("-p", s("protocol"));
    r.either("-s", s("source"));
    r.either("-d", s("destination"));
    for m in &matches {
        r.plain("-m", Some(m));
    }
    if let Some(f) = a.opt_map("tcp_flags") {
        let of = |k: &str| match f.get(k) {
            Some(Json::Array(l)) => l.iter().map(json_text).collect::<Vec<_>>().join(","),
            _ => String::new(),
        };
        if f.get("flags").is_some_and(Json::is_array) {
            r.words(&["--tcp-flags", &of("flags"), &of("flags_set")]);
        }
    }
    r.plain("-j", jump);
    r.plain("--gateway", s("gateway"));
    r.plain("--log-prefix", s("log_prefix"));
    r.plain("--log-level", s("log_level"));
    r.plain("--to-destination", s("to_destination"));
    if let Some(ports) = joined("destination_ports") {
        r.words(&["-m", "multiport", "--dports", &ports]);
    }
    r.plain("--to-source", s("to_source"));
    r.plain("-g", s("goto"));
    r.either("-i", s("in_interface"));
    r.either("-o", s("out_interface"));
    match s("fragment") {
        Some(f) if f.starts_with('!') => r.words(&["!", "-f"]),
        Some(_) => r.words(&["-f"]),
        None => {}
    }
    if let Some(c) = s("set_counters") {
        r.words(&["-c"]);
        r.words(&c.split([' ', ',']).filter(|w| !w.is_empty()).collect::<Vec<_>>());
    }
    r.either("--source-port", s("source_port"));
    r.either("--destination-port", s("destination_port"));
    r.plain("--to-ports", s("to_ports"));
    r.plain("--set-dscp", s("set_dscp_mark"));
    r.plain("--set-dscp-class", s("set_dscp_mark_class"));
    match a.str("syn") {
        "match" => r.words(&["--syn"]),
        "negate" => r.words(&["!", "--syn"]),
        _ => {}
    }
    if let Some(states) = joined("ctstate") {
        match (loaded("conntrack"), loaded("state")) {
            (true, _) => r.words(&["--ctstate", &states]),
            (false, true) => r.words(&["--state", &states]),
            (false, false) => r.words(&["-m", "conntrack", "--ctstate", &states]),
        }
    }
    if (a.is_set("src_range") || a.is_set("dst_range")) && !loaded("iprange") {
        r.words(&["-m", "iprange"]);
    }
    r.either("--src-range", s("src_range"));
    r.either("--dst-range", s("dst_range"));
    if let (Some(set), Some(flags)) = (s("match_set"), s("match_set_flags")) {
        if !loaded("set") {
            r.words(&["-m", "set"]);
        }
        r.either("--match-set", Some(set));
        r.words(&[flags]);
    }
    if a.is_set("limit") || a.is_set("limit_burst") {
        r.words(&["-m", "limit"]);
    }
    r.plain("--limit", s("limit"));
    r.plain("--limit-burst", s("limit_burst"));
    for (name, option) in [("uid_owner", "--uid-owner"), ("gid_owner", "--gid-owner")] {
        if a.is_set(name) {
            r.words(&["-m", "owner"]);
        }
        r.either(option, s(name));
    }
    if a.is_set("reject_with") && jump.is_none() {
        r.words(&["-j", "REJECT"]);
    }
    r.plain("--reject-with", s("reject_with"));
    r.plain("--icmp-type", s("icmp_type"));
    if let Some(c) = s("comment") {
        r.words(&["-m", "comment", "--comment", c]);
    }
    r.0
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::{Map, Value as Json, json};

    /// A stand-in that notes its arguments and keeps its rules in a file.
    const FAKE: &str = r#"#!/bin/sh
d=$(dirname "$0"); echo "$*" >> "$d/log"; touch "$d/rules"
[ "$1" = --version ] && { echo "iptables v1.8.9 (nf_tables)"; exit 0; }
shift 2; verb=$1; chain=$2; shift; [ $# -gt 0 ] && shift
case $verb in
  -C) grep -qxF -- "$chain $*" "$d/rules" ;;
  -A) [ "$*" = "-j BAD" ] && { echo "iptables: no such target" >&2; exit 2; }; echo "$chain $*" >> "$d/rules" ;;
  -I) shift; echo "$chain $*" >> "$d/rules" ;;
  -D) grep -vxF -- "$chain $*" "$d/rules" > "$d/r2"; mv "$d/r2" "$d/rules" ;;
  -L) [ "$chain" = INPUT ] || grep -qx "N $chain" "$d/rules" || exit 1; echo "Chain $chain (policy ACCEPT)" ;;
  -N) echo "N $chain" >> "$d/rules" ;;
  *) true ;;
esac
"#;

    struct Kernel(tempfile::TempDir);
    impl Kernel {
        fn new() -> Kernel {
            let d = tempfile::tempdir().expect("a directory");
            for n in ["iptables", "ip6tables"] {
                std::fs::write(d.path().join(n), FAKE).expect("written");
                let x = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(d.path().join(n), x).expect("set");
            }
            Kernel(d)
        }
        fn call(&self, args: Json, check: bool) -> Map<String, Json> {
            let path = format!("{}:/usr/bin:/bin", self.0.path().display());
            let mut ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
            run(find("iptables").expect("known"), &mut ctx, args.as_object().expect("an object"))
        }
        /// What was asked of the programs since the last call of this.
        fn log(&self) -> Vec<String> {
            let p = self.0.path().join("log");
            let text = std::fs::read_to_string(&p).unwrap_or_default();
            let _ = std::fs::remove_file(p);
            text.lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn a_rule_comes_stays_and_goes() {
        let k = Kernel::new();
        let rule = json!({"chain": "INPUT", "protocol": "tcp", "destination_port": "80", "jump": "ACCEPT",
            "comment": "a b", "ctstate": ["NEW"], "match": ["tcp"]});
        assert_eq!(k.call(rule.clone(), true)["changed"], true);
        let words =
            "INPUT -p tcp -m tcp -j ACCEPT --destination-port 80 -m conntrack --ctstate NEW -m comment --comment a b";
        assert_eq!(k.log(), [format!("-t filter -C {words}")]);
        let r = k.call(rule.clone(), false);
        assert_eq!((&r["changed"], &r["rule"]), (&json!(true), &json!(words.trim_start_matches("INPUT "))));
        assert_eq!(k.call(rule.clone(), false)["changed"], false);
        assert_eq!(k.log().len(), 3);
        let mut gone = rule.as_object().cloned().expect("an object");
        gone.insert("state".into(), "absent".into());
        assert_eq!(k.call(Json::Object(gone.clone()), false)["changed"], true);
        assert_eq!(k.call(Json::Object(gone), false)["changed"], false);
    }

    #[test]
    fn words_in_order() {
        let k = Kernel::new();
        let rule = |args: Json| k.call(args, true)["rule"].as_str().unwrap_or_default().to_owned();
        let r = rule(json!({"chain": "X", "source": "!10.0.0.0/8", "destination": "1.2.3.4", "protocol": "! tcp",
            "in_interface": "!eth0", "out_interface": "eth1+", "fragment": "!", "set_counters": "1 2", "jump": "LOG",
            "log_prefix": "p", "log_level": "info"}));
        assert_eq!(
            r,
            "! -p tcp ! -s 10.0.0.0/8 -d 1.2.3.4 -j LOG --log-prefix p --log-level info ! -i eth0 -o eth1+ ! -f -c 1 2"
        );
        let r = rule(
            json!({"chain": "X", "destination_ports": ["80", "8081:8083"], "protocol": "tcp", "jump": "ACCEPT",
            "limit": "5/s", "limit_burst": "20", "uid_owner": "!root", "gid_owner": "g", "syn": "match", "icmp_type": "8"}),
        );
        assert_eq!(
            r,
            "-p tcp -j ACCEPT -m multiport --dports 80,8081:8083 --syn -m limit --limit 5/s --limit-burst 20 -m owner ! --uid-owner root -m owner --gid-owner g --icmp-type 8"
        );
        let r = rule(
            json!({"chain": "X", "protocol": "tcp", "syn": "negate", "reject_with": "tcp-reset", "src_range": "1-2",
            "tcp_flags": {"flags": ["ALL", "ACK"], "flags_set": ["ACK"]}, "dst_range": "!3-4", "match_set": "!s", "match_set_flags": "src,dst"}),
        );
        assert_eq!(
            r,
            "-p tcp --tcp-flags ALL,ACK ACK ! --syn -m iprange --src-range 1-2 ! --dst-range 3-4 -m set ! --match-set s src,dst -j REJECT --reject-with tcp-reset"
        );
    }

    #[test]
    fn chains_policies_and_flushing() {
        let k = Kernel::new();
        let chain = json!({"chain": "NEW", "chain_management": true, "wait": "5"});
        assert_eq!(k.call(chain.clone(), false)["changed"], true);
        assert_eq!(k.call(chain, false)["changed"], false);
        assert_eq!(k.log().get(2).map(String::as_str), Some("-t filter -N NEW -w 5"));
        assert_eq!(k.call(json!({"chain": "INPUT", "policy": "ACCEPT"}), false)["changed"], false);
        assert_eq!(k.call(json!({"chain": "INPUT", "policy": "DROP", "numeric": true}), false)["changed"], true);
        assert_eq!(k.call(json!({"flush": true, "table": "nat", "ip_version": "both"}), false)["changed"], true);
        assert_eq!(
            k.log(),
            ["-t filter -L INPUT", "-t filter -L INPUT --numeric", "-t filter -P INPUT DROP", "-t nat -F", "-t nat -F"]
        );
    }

    #[test]
    fn refusals() {
        let k = Kernel::new();
        let r = k.call(json!({"chain": "INPUT", "jump": "BAD"}), false);
        assert_eq!((&r["rc"], &r["msg"]), (&json!(2), &json!("iptables: no such target")));
        let msg = |a| k.call(a, false)["msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(msg(json!({"jump": "X"})), "flush is False but all of the following are missing: chain");
        let logs = msg(json!({"chain": "X", "jump": "ACCEPT", "log_level": "info"}));
        assert_eq!(logs, "Logging options can only be used with the LOG jump target.");
    }
}
