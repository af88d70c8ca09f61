//! `firewalld` (ansible.posix): services, ports, bindings and zones of firewalld, in its permanent configuration and
//! in the running daemon.
//!
//! After <https://docs.ansible.com/ansible/latest/collections/ansible/posix/firewalld_module.html>. Where
//! ansible.posix needs the Python bindings of firewalld on the host, this asks `firewall-cmd`, and
//! `firewall-offline-cmd` where the daemon does not run.

use super::support::exec::{self, Cmd, Output};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, json_text};

/// What may be asked for; one at a time.
const KINDS: &[&str] = &[
    "icmp_block",
    "icmp_block_inversion",
    "service",
    "protocol",
    "port",
    "port_forward",
    "rich_rule",
    "interface",
    "forward",
    "masquerade",
    "source",
    "target",
];

pub fn module() -> Module {
    Module {
        name: "firewalld",
        collection: "ansible.posix",
        spec: Spec::new(vec![
            Arg::str("icmp_block").doc("An ICMP type to block."),
            Arg::bool("icmp_block_inversion").doc("Block all ICMP types but the listed ones."),
            Arg::str("service").doc("A service that firewalld knows."),
            Arg::str("protocol").doc("A protocol by name or number."),
            Arg::str("port").doc("PORT/PROTOCOL or PORT-PORT/PROTOCOL."),
            Arg::list("port_forward", Type::Dict).doc("One dictionary of port, proto, toport and, if wanted, toaddr."),
            Arg::str("rich_rule").doc("A rule in firewalld's rich language."),
            Arg::str("source").doc("An address, network, MAC address or ipset that belongs to the zone."),
            Arg::str("interface").doc("An interface that belongs to the zone."),
            Arg::str("zone").doc("The zone; the default zone if left out."),
            Arg::bool("permanent").default(false).doc("Change the permanent configuration."),
            Arg::bool("immediate").default(false).doc("Change the running daemon; always so if not permanent."),
            Arg::str("state").required().choices(&["absent", "disabled", "enabled", "present"]),
            Arg::int("timeout").default(0).doc("Seconds until an immediate change ends by itself, 0 for never."),
            Arg::bool("forward").doc("Forward packets within the zone."),
            Arg::bool("masquerade").doc("Masquerade what leaves through the zone."),
            Arg::bool("offline").default(false).doc("Overlook `immediate` where the daemon does not run."),
            Arg::str("target")
                .choices(&["default", "ACCEPT", "DROP", "%%REJECT%%"])
                .doc("What happens to packets that no rule matches."),
        ])
        .exclusive(KINDS)
        .required_by("interface", &["zone"])
        .required_by("target", &["zone"]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Manage arbitrary ports/services with firewalld",
        run,
    }
}

/// How firewalld is reached.
struct Wall<'a, 'c> {
    ctx: &'a Ctx<'c>,
    tool: String,
    offline: bool,
}

impl Wall<'_, '_> {
    fn call(&self, permanent: bool, words: &[String]) -> Result<Output, Failure> {
        let mut cmd = Cmd::new([self.tool.as_str()]).c_locale();
        // the offline tool knows the permanent configuration alone
        if permanent && !self.offline {
            cmd = cmd.arg("--permanent");
        }
        Ok(cmd.args(words.iter().cloned()).run(self.ctx)?)
    }
    /// What a command answers; its error in the words that the Python bindings have for it.
    fn ask(&self, permanent: bool, words: &[String]) -> Result<String, String> {
        let out = self.call(permanent, words).map_err(|f| f.msg)?;
        if out.ok() {
            return Ok(out.out().trim_end().to_owned());
        }
        Err(self.error(&out, words))
    }
    fn error(&self, out: &Output, words: &[String]) -> String {
        let text = out.err();
        let why = text
            .lines()
            .chain(out.out().lines())
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with("usage:"))
            .find_map(|l| l.strip_prefix("Error: "))
            .unwrap_or(text.trim())
            .to_owned();
        // a rule is read by the bindings themselves, not by the daemon
        let local = self.offline || words.iter().any(|w| w.contains("-rich-rule="));
        let origin = if local { "" } else { "org.fedoraproject.FirewallD1.Exception: " };
        format!("ERROR: Exception caught: {origin}{why}")
    }
    /// Yes or no; other answers are errors.
    fn query(&self, permanent: bool, words: &[String]) -> Result<bool, String> {
        let out = self.call(permanent, words).map_err(|f| f.msg)?;
        match out.rc {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(self.error(&out, words)),
        }
    }
}

/// One thing of a zone: how to look for it and how to change it.
struct Item {
    /// firewall-cmd's word, as in `--add-WORD`.
    word: &'static str,
    value: Option<String>,
    /// Whether the zone lists such things.
    listed: Option<&'static str>,
    /// Whether a change in the running daemon may end by itself.
    timed: bool,
    /// What the result says once it was switched on or off.
    said: [String; 2],
    /// Another line of the result, should it fail.
    hint: Option<&'static str>,
}

impl Item {
    fn option(&self, verb: &str) -> String {
        match &self.value {
            Some(v) => format!("--{verb}-{}={v}", self.word),
            None => format!("--{verb}-{}", self.word),
        }
    }
    fn there(&self, wall: &Wall, zone: &str, permanent: bool) -> Result<bool, String> {
        let zone = format!("--zone={zone}");
        match (self.listed, &self.value) {
            (Some(list), Some(v)) => {
                let all = wall.ask(permanent, &[zone, format!("--list-{list}")])?;
                Ok(all.split_whitespace().any(|x| x == v))
            }
            _ => wall.query(permanent, &[zone, self.option("query")]),
        }
    }
    fn switch(&self, wall: &Wall, zone: &str, permanent: bool, on: bool, timeout: i64) -> Result<(), String> {
        let verb = match (self.word, on) {
            ("interface", true) => "change",
            (_, true) => "add",
            (_, false) => "remove",
        };
        let mut option = self.option(verb);
        if wall.offline && option.starts_with("--remove-service=") {
            // the offline tool keeps the short form for a mode of its own
            option = option.replacen("service", "service-from-zone", 1);
        }
        let mut words = vec![format!("--zone={zone}"), option];
        if on && self.timed && !permanent && timeout > 0 {
            words.push(format!("--timeout={timeout}s"));
        }
        wall.ask(permanent, &words).map(drop)
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let permanent = args.bool("permanent");
    let mut immediate = args.bool("immediate") || !permanent;
    if args.bool("offline") && !permanent {
        return Err("offline cannot be enabled unless permanent changes are allowed".into());
    }
    let tool = exec::need_program(ctx, "firewall-cmd")?;
    let offline = !Cmd::new([tool.as_str(), "--state"]).c_locale().run(ctx)?.ok();
    let tool = if offline { exec::need_program(ctx, "firewall-offline-cmd")? } else { tool };
    if offline && immediate && !args.bool("offline") {
        return Err(
            "firewall is not currently running, unable to perform immediate actions without a running firewall daemon"
                .into(),
        );
    }
    immediate &= !offline;
    let wall = Wall { ctx, tool, offline };
    let state = args.str("state");
    let kind = KINDS.iter().copied().find(|k| args.is_set(k));
    if kind.is_some_and(|k| k != "target") && matches!(state, "absent" | "present") {
        return Err("absent and present state can only be used in zone level operations".into());
    }
    let zone = match args.opt_str("zone") {
        Some(z) => z.to_owned(),
        None => wall.ask(false, &["--get-default-zone".into()])?,
    };
    let (changed, mut said) = match kind {
        Some("target") => target(&wall, args, &zone, permanent && !immediate)?,
        Some(k) => {
            let item = item(args, k, &zone)?;
            let on = match args.opt_bool(k) {
                Some(b) => b == (state == "enabled"),
                None => state == "enabled",
            };
            settle(&wall, &item, &zone, (permanent, immediate), on, args.int("timeout"))?
        }
        None if matches!(state, "absent" | "present") => zone_itself(&wall, &zone, state, permanent && !immediate)?,
        None => (false, vec![]),
    };
    if changed && ctx.check {
        return Ok(Outcome::changed(true));
    }
    if offline {
        said.push("(offline operation: only on-disk configs were altered)".into());
    }
    Ok(Outcome::changed(changed).msg(said.join(", ")))
}

fn item(args: &Args, kind: &str, zone: &str) -> Result<Item, Failure> {
    let value = args.opt_str(kind).map(str::to_owned);
    let text = value.clone().unwrap_or_default();
    let named = |what: &str| ["enabled", "disabled"].map(|s| format!("Changed {what} to {s}"));
    let bound = |what: &str| [format!("Added {what} to zone {zone}"), format!("Removed {what} from zone {zone}")];
    let plain = |word, listed, timed, said| Item { word, value: value.clone(), listed, timed, said, hint: None };
    Ok(match kind {
        "icmp_block" => plain("icmp-block", Some("icmp-blocks"), true, named(&format!("icmp-block {text}"))),
        "icmp_block_inversion" => {
            // named after the task's state, whatever was switched
            let said = format!("Changed icmp-block-inversion {} to {}", json_text(args.get(kind)), args.str("state"));
            plain("icmp-block-inversion", None, false, [said.clone(), said])
        }
        "service" => Item {
            hint: Some(
                "Services are defined by port/tcp relationship and named as they are in /etc/services (on most systems)",
            ),
            ..plain("service", Some("services"), true, named(&format!("service {text}")))
        },
        "protocol" => plain("protocol", Some("protocols"), true, named(&format!("protocol {text}"))),
        "port" => {
            match text.split('/').collect::<Vec<_>>()[..] {
                [_, proto] if !proto.is_empty() => {}
                [_, _, _, ..] => return Err(Failure::uncaught("too many values to unpack (expected 2)")),
                _ => return Err("improper port format (missing protocol?)".into()),
            }
            plain("port", Some("ports"), true, named(&format!("port {text}")))
        }
        "port_forward" => {
            let (option, shown) = port_forward(args)?;
            Item { value: Some(option), ..plain("forward-port", None, true, named(&format!("port_forward {shown}"))) }
        }
        "rich_rule" => plain("rich-rule", None, true, named(&format!("rich_rule {text}"))),
        "interface" => {
            let said = [format!("Changed {text} to zone {zone}"), format!("Removed {text} from zone {zone}")];
            plain("interface", Some("interfaces"), false, said)
        }
        "source" => plain("source", Some("sources"), false, bound(&text)),
        "forward" => plain("forward", None, false, bound("forward")),
        _ => plain("masquerade", None, true, bound("masquerade")),
    })
}

/// The one forwarding as firewall-cmd's option has it, and as results show it.
fn port_forward(args: &Args) -> Result<(String, String), Failure> {
    let all = args.get("port_forward").as_array().map(Vec::as_slice).unwrap_or_default();
    let [one] = all else { return Err("Only one port forward supported at a time".into()) };
    let need = |key: &str| one.get(key).map(json_text).ok_or_else(|| Failure::uncaught(format_args!("'{key}'")));
    let start = format!("port={}:proto={}:toport={}", need("port")?, need("proto")?, need("toport")?);
    let addr = one.get("toaddr").filter(|a| !a.is_null()).map(json_text).unwrap_or_default();
    let option = if addr.is_empty() { start.clone() } else { format!("{start}:toaddr={addr}") };
    Ok((option, format!("{start}:toaddr={addr}")))
}

/// Switches an item on or off wherever it is not so yet; whether anything differed, and what to say of it.
fn settle(
    wall: &Wall,
    item: &Item,
    zone: &str,
    (permanent, immediate): (bool, bool),
    on: bool,
    timeout: i64,
) -> Result<(bool, Vec<String>), Failure> {
    let mut said = vec![
        match (permanent, immediate) {
            (true, true) => "Permanent and Non-Permanent(immediate) operation",
            (true, false) => "Permanent operation",
            _ => "Non-permanent operation",
        }
        .to_owned(),
    ];
    let mut todo = vec![];
    for (wanted, side) in [(permanent, true), (immediate, false)] {
        if wanted && item.there(wall, zone, side)? != on {
            todo.push(side);
        }
    }
    if todo.is_empty() || wall.ctx.check {
        return Ok((!todo.is_empty(), said));
    }
    for side in todo {
        item.switch(wall, zone, side, on, timeout).map_err(|e| {
            let lines: Vec<&str> = said.iter().map(String::as_str).chain(item.hint).collect();
            Failure::new(format!("{e} {}", lines.join(", ")))
        })?;
    }
    let [added, removed] = &item.said;
    said.push(if on { added.clone() } else { removed.clone() });
    Ok((true, said))
}

const ZONE_ONLY: &str = "Zone operations must be permanent. Make sure you didn't set the 'permanent' flag to 'false' or the 'immediate' flag to 'true'.";
const PERMANENT: &str = "Permanent operation";

fn target(wall: &Wall, args: &Args, zone: &str, permanent: bool) -> Result<(bool, Vec<String>), Failure> {
    if !permanent {
        return Err(ZONE_ONLY.into());
    }
    let (wanted, on) = (args.str("target"), matches!(args.str("state"), "enabled" | "present"));
    let at = format!("--zone={zone}");
    let now = wall.ask(true, &[at.clone(), "--get-target".into()])?;
    // the tool shows %%REJECT%% without its marks
    let same = now.trim_matches('%') == wanted.trim_matches('%');
    let mut said = vec![PERMANENT.to_owned()];
    // switched off is what does not have this target
    if same == on || (!on && wanted == "default") {
        return Ok((false, said));
    }
    if !wall.ctx.check {
        let to = if on { wanted } else { "default" };
        wall.ask(true, &[at, format!("--set-target={to}")]).map_err(|e| Failure::new(format!("{e} {PERMANENT}")))?;
    }
    said.push(match on {
        true => format!("Set zone {zone} target to {wanted}"),
        false => format!("Reset zone {zone} target to default"),
    });
    Ok((true, said))
}

fn zone_itself(wall: &Wall, zone: &str, state: &str, permanent: bool) -> Result<(bool, Vec<String>), Failure> {
    if !permanent {
        return Err(ZONE_ONLY.into());
    }
    let all = wall.ask(true, &["--get-zones".into()])?;
    let (there, on) = (all.split_whitespace().any(|z| z == zone), state == "present");
    let mut said = vec![PERMANENT.to_owned()];
    if there == on {
        return Ok((false, said));
    }
    if !wall.ctx.check {
        let verb = if on { "new" } else { "delete" };
        wall.ask(true, &[format!("--{verb}-zone={zone}")]).map_err(|e| Failure::new(format!("{e} {PERMANENT}")))?;
    }
    said.push(format!("{} zone {zone}", if on { "Added" } else { "Removed" }));
    said.push(format!("Changed zone {zone} to {state}"));
    Ok((true, said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::validate;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    /// A stand-in for both tools: the zone `public` is the default one; whatever is added is a line of `$side.ZONE`.
    const TOOL: &str = r##"#!/bin/sh
cd "$(dirname "$0")"
echo "${0##*/} $*" >> log
side=now zone=public
[ "${0##*/}" = firewall-offline-cmd ] && side=kept
for a; do
  case $a in
  --state) [ -e running ]; exit ;;
  --permanent) side=kept ;;
  --get-default-zone) echo public; exit ;;
  --zone=nosuch) echo "Error: INVALID_ZONE: nosuch" >&2; exit 112 ;;
  --zone=*) zone=${a#*=} ;;
  --get-zones) cat zones; exit ;;
  --new-zone=*) echo ${a#*=} >> zones; exit ;;
  --delete-zone=*) sed -i "/^${a#*=}\$/d" zones; exit ;;
  --get-target) cat target; exit ;;
  --set-target=*) echo ${a#*=} | tr -d % > target; exit ;;
  --list-*) sed -n "s/^${a#--list-}=//p" $side.$zone 2>/dev/null; exit 0 ;;
  --query-rich-rule=bogus) echo "Error: INVALID_RULE: unknown element bogus" >&2; exit 122 ;;
  --query-*) touch $side.$zone; grep -qxF -e "${a#--query-}" $side.$zone; exit ;;
  --add-service=bogus) echo "Error: INVALID_SERVICE: bogus" >&2; exit 101 ;;
  --add-masquerade|--add-rich-rule=*|--add-forward-port=*|--add-icmp-block-inversion) echo "${a#--add-}" >> $side.$zone ;;
  --remove-masquerade|--remove-icmp-block-inversion) sed -i "/^${a#--remove-}\$/d" $side.$zone ;;
  --add-*=*|--change-*=*) a=${a#--*-}; echo "${a%%=*}s=${a#*=}" >> $side.$zone ;;
  --remove-service-from-zone=*) sed -i "/^services=${a#*=}\$/d" $side.$zone ;;
  --remove-*) a=${a#--remove-}; sed -i "\|^${a%%=*}s=${a#*=}\$|d" $side.$zone ;;
  esac
done
"##;

    struct Host(tempfile::TempDir);

    impl Host {
        fn new(running: bool) -> Host {
            let h = Host(tempfile::tempdir().expect("a directory"));
            for tool in ["firewall-cmd", "firewall-offline-cmd"] {
                let p = h.0.path().join(tool);
                std::fs::write(&p, TOOL).expect("written");
                std::fs::set_permissions(&p, std::fs::Permissions::from_mode(0o755)).expect("set");
            }
            std::fs::write(h.0.path().join("zones"), "public\ndmz\n").expect("written");
            std::fs::write(h.0.path().join("target"), "default\n").expect("written");
            if running {
                std::fs::write(h.0.path().join("running"), "").expect("written");
            }
            h
        }
        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
        }
        /// Whether it changed, and the message; a failure is its message alone.
        fn call(&self, args: &serde_json::Value, check: bool) -> Result<(bool, String), String> {
            let mut ctx = Ctx::bare();
            ctx.check = check;
            ctx.env = vec![("PATH".into(), format!("{}:/usr/bin:/bin", self.0.path().display()))];
            let given = args.as_object().cloned().unwrap_or_default();
            let args = validate(&module().spec, &given, "firewalld")?.args;
            let text = |o: &Outcome| o.data.get("msg").map(json_text).unwrap_or_default();
            run(&mut ctx, &args).map(|o| (o.changed, text(&o))).map_err(|f| f.msg)
        }
        /// check, first, second: what the first said
        fn cycle(&self, args: serde_json::Value) -> String {
            assert_eq!(self.call(&args, true), Ok((true, String::new())), "{args}");
            let first = self.call(&args, false).expect("works");
            assert!(first.0, "{args}");
            assert!(!self.call(&args, false).expect("works").0, "{args}");
            first.1
        }
    }

    // The messages are what ansible.posix 2.1 said beside firewalld 1.3.

    #[test]
    fn both_sides() {
        let h = Host::new(true);
        let said = h.cycle(json!({"service": "https", "state": "enabled", "permanent": true, "immediate": true}));
        assert_eq!(said, "Permanent and Non-Permanent(immediate) operation, Changed service https to enabled");
        assert_eq!(
            (h.read("now.public"), h.read("kept.public")),
            ("services=https\n".into(), "services=https\n".into())
        );
        let said = h.cycle(json!({"service": "https", "state": "disabled"}));
        assert_eq!(said, "Non-permanent operation, Changed service https to disabled");
        assert_eq!((h.read("now.public").as_str(), h.read("kept.public").as_str()), ("", "services=https\n"));
        h.cycle(json!({"port": "81-82/tcp", "zone": "dmz", "state": "enabled", "timeout": 60}));
        assert!(h.read("log").contains("firewall-cmd --zone=dmz --add-port=81-82/tcp --timeout=60s\n"));
        let said = h.cycle(json!({"interface": "eth2", "zone": "dmz", "state": "enabled", "permanent": true}));
        assert_eq!(said, "Permanent operation, Changed eth2 to zone dmz");
        assert!(h.read("log").contains("firewall-cmd --permanent --zone=dmz --change-interface=eth2\n"));
        let said = h.cycle(json!({"source": "192.0.2.0/24", "zone": "dmz", "state": "enabled"}));
        assert_eq!(said, "Non-permanent operation, Added 192.0.2.0/24 to zone dmz");
        let rule = "rule service name=\"ftp\" accept";
        assert!(
            h.cycle(json!({"rich_rule": rule, "state": "enabled"}))
                .ends_with(&format!("Changed rich_rule {rule} to enabled"))
        );
        let forward = json!([{"port": 443, "proto": "tcp", "toport": 8443}]);
        let said = h.cycle(json!({"port_forward": forward, "state": "enabled"}));
        assert!(said.ends_with("Changed port_forward port=443:proto=tcp:toport=8443:toaddr= to enabled"));
        assert!(h.read("now.public").ends_with("forward-port=port=443:proto=tcp:toport=8443\n"));
    }

    #[test]
    fn switches_that_are_told_twice() {
        let h = Host::new(true);
        let task = |on: bool, state: &str| json!({"masquerade": on, "state": state, "permanent": true});
        assert!(h.cycle(task(true, "enabled")).ends_with("Added masquerade to zone public"));
        assert!(h.cycle(task(false, "enabled")).ends_with("Removed masquerade from zone public"));
        assert!(h.cycle(task(false, "disabled")).ends_with("Added masquerade to zone public"));
        let said = h.cycle(json!({"icmp_block_inversion": true, "state": "enabled"}));
        assert!(said.ends_with("Changed icmp-block-inversion True to enabled"));
        let said = h.cycle(json!({"icmp_block_inversion": false, "state": "enabled"}));
        assert!(said.ends_with("Changed icmp-block-inversion False to enabled"));
    }

    #[test]
    fn zones() {
        let h = Host::new(true);
        let zone = |state: &str| json!({"zone": "own", "state": state, "permanent": true});
        assert_eq!(h.cycle(zone("present")), "Permanent operation, Added zone own, Changed zone own to present");
        let target = |state: &str| json!({"zone": "own", "target": "%%REJECT%%", "state": state, "permanent": true});
        assert_eq!(h.cycle(target("enabled")), "Permanent operation, Set zone own target to %%REJECT%%");
        assert_eq!(h.cycle(target("absent")), "Permanent operation, Reset zone own target to default");
        assert_eq!(h.cycle(zone("absent")), "Permanent operation, Removed zone own, Changed zone own to absent");
        assert_eq!(h.call(&json!({"zone": "own", "state": "present"}), false), Err(ZONE_ONLY.into()));
        assert_eq!(h.call(&json!({"state": "enabled"}), false), Ok((false, String::new())));
    }

    #[test]
    fn without_the_daemon() {
        let h = Host::new(false);
        let tail = ", (offline operation: only on-disk configs were altered)";
        let on = |state: &str| json!({"service": "ntp", "state": state, "permanent": true, "immediate": true, "offline": true});
        assert_eq!(h.cycle(on("enabled")), format!("Permanent operation, Changed service ntp to enabled{tail}"));
        assert_eq!(h.cycle(on("disabled")), format!("Permanent operation, Changed service ntp to disabled{tail}"));
        assert!(h.read("log").contains("firewall-offline-cmd --zone=public --remove-service-from-zone=ntp\n"));
        let e = h.call(&json!({"service": "ntp", "state": "enabled"}), false).expect_err("no daemon");
        assert_eq!(
            e,
            "firewall is not currently running, unable to perform immediate actions without a running firewall daemon"
        );
    }

    #[test]
    fn refusals() {
        let h = Host::new(true);
        let e = |args: serde_json::Value| h.call(&args, false).expect_err("fails");
        let hint =
            "Services are defined by port/tcp relationship and named as they are in /etc/services (on most systems)";
        assert_eq!(
            e(json!({"service": "bogus", "state": "enabled"})),
            format!(
                "ERROR: Exception caught: org.fedoraproject.FirewallD1.Exception: INVALID_SERVICE: bogus Non-permanent operation, {hint}"
            )
        );
        assert_eq!(
            e(json!({"service": "x", "zone": "nosuch", "state": "enabled"})),
            "ERROR: Exception caught: org.fedoraproject.FirewallD1.Exception: INVALID_ZONE: nosuch"
        );
        assert_eq!(
            e(json!({"rich_rule": "bogus", "state": "enabled"})),
            "ERROR: Exception caught: INVALID_RULE: unknown element bogus"
        );
        assert_eq!(e(json!({"port": "80", "state": "enabled"})), "improper port format (missing protocol?)");
        assert_eq!(
            e(json!({"port": "80/tcp", "state": "present"})),
            "absent and present state can only be used in zone level operations"
        );
        assert_eq!(
            e(json!({"service": "x", "state": "enabled", "offline": true})),
            "offline cannot be enabled unless permanent changes are allowed"
        );
        assert_eq!(
            e(json!({"interface": "x", "state": "enabled"})),
            "missing parameter(s) required by 'interface': zone"
        );
        let two = json!([{"port": 1, "proto": "tcp", "toport": 2}, {}]);
        assert_eq!(e(json!({"port_forward": two, "state": "enabled"})), "Only one port forward supported at a time");
        assert_eq!(
            e(json!({"port_forward": [{"port": 1}], "state": "enabled"})),
            "Task failed: Module failed: 'proto'"
        );
    }
}
