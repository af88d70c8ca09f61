//! `yum_repository`: a repository of yum or dnf in a `.repo` file.

use super::support::atomic;
use super::support::fileargs::{AttrDiff, FileArgs};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Rule, Spec, Support, Type, json_text};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

const NO_EFFECT: &str = "it has no effect with dnf as an underlying package manager";

/// Arguments that go into the file under their own names; `true` marks a yes or no, text says why one is deprecated.
const OPTIONS: &[(&str, bool, Option<(&str, &str)>)] = &[
    ("async", true, Some(("it has been removed on systems supported by ansible-core", "2.22"))),
    ("bandwidth", false, None),
    ("cost", false, None),
    ("countme", true, None),
    ("deltarpm_metadata_percentage", false, Some((NO_EFFECT, "2.22"))),
    ("deltarpm_percentage", false, None),
    ("enabled", true, None),
    ("enablegroups", true, None),
    ("gpgcakey", false, Some((NO_EFFECT, "2.22"))),
    ("gpgcheck", true, None),
    ("include", false, None),
    ("keepalive", true, Some((NO_EFFECT, "2.22"))),
    ("metadata_expire", false, None),
    ("metalink", false, None),
    ("mirrorlist", false, None),
    ("mirrorlist_expire", false, Some((NO_EFFECT, "2.22"))),
    ("module_hotfixes", true, None),
    ("priority", false, None),
    ("protect", true, Some((NO_EFFECT, "2.22"))),
    ("proxy", false, None),
    ("proxy_username", false, None),
    ("repo_gpgcheck", true, None),
    ("retries", false, None),
    ("s3_enabled", true, None),
    ("skip_if_unavailable", true, None),
    ("ssl_check_cert_permissions", true, Some((NO_EFFECT, "2.22"))),
    ("throttle", false, None),
    ("timeout", false, None),
    ("ui_repoid_vars", false, Some((NO_EFFECT, "2.22"))),
    ("username", false, None),
];

/// Those with choices, aliases, secrets or lists.
const OTHERS: &[(&str, Option<(&str, &str)>)] = &[
    ("failovermethod", None),
    ("http_caching", Some((NO_EFFECT, "2.22"))),
    ("ip_resolve", None),
    ("keepcache", Some(("it is only valid in the main configuration", "2.20"))),
    ("metadata_expire_filter", Some((NO_EFFECT, "2.22"))),
    ("password", None),
    ("proxy_password", None),
    ("sslcacert", None),
    ("sslclientcert", None),
    ("sslclientkey", None),
    ("sslverify", None),
    ("baseurl", None),
    ("exclude", None),
    ("gpgkey", None),
    ("includepkgs", None),
];

pub fn module() -> Module {
    let option =
        |n: &str| Arg::str(n).doc("The repository's option of this name, as yum.conf(5) or dnf.conf(5) has it.");
    let list = |n: &str| Arg::list(n, Type::Str).doc("The repository's option of this name; several values.");
    let mut args = vec![
        Arg::str("name").required().doc("The repository's id: the section in the file."),
        Arg::str("description").doc("The name shown to people."),
        Arg::str("file").doc("The file's name without .repo; the id if not given."),
        Arg::path("reposdir").default("/etc/yum.repos.d").doc("The directory of the files."),
        Arg::str("state").choices(&["present", "absent"]).default("present").doc("Whether it shall be there."),
        option("failovermethod").choices(&["roundrobin", "priority"]),
        option("http_caching").choices(&["all", "packages", "none"]),
        option("ip_resolve").choices(&["4", "6", "IPv4", "IPv6", "whatever"]),
        option("keepcache").choices(&["0", "1"]),
        option("metadata_expire_filter").choices(&["never", "read-only:past", "read-only:present", "read-only:future"]),
        option("password").secret(),
        option("proxy_password").secret(),
        option("sslcacert").aliases(&["ca_cert"]),
        option("sslclientcert").aliases(&["client_cert"]),
        option("sslclientkey").aliases(&["client_key"]),
        Arg::bool("sslverify").aliases(&["validate_certs"]).doc("Verify certificates."),
        list("baseurl"),
        list("exclude").aliases(&["excludepkgs"]),
        list("gpgkey"),
        list("includepkgs"),
    ];
    args.extend(OPTIONS.iter().map(|(n, is_bool, _)| match is_bool {
        true => Arg::bool(n).doc("The repository's option of this name, yes or no."),
        false => option(n),
    }));
    let mut spec = Spec::new(args).with_file_args();
    let needs = |names: &[&str], any| Rule::RequiredIf {
        key: "state".into(),
        value: "present".into(),
        names: names.iter().map(|n| n.to_string()).collect(),
        any,
    };
    spec.rules.extend([needs(&["baseurl", "mirrorlist", "metalink"], true), needs(&["description"], false)]);
    Module {
        name: "yum_repository",
        collection: "ansible.builtin",
        spec,
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Add or remove YUM repositories\n\nThe file is written anew: comments in it go.",
        run,
    }
}

/// The sections of a file in order, each with its options in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Repos(Vec<(String, Vec<(String, String)>)>);

impl Repos {
    /// Reads INI text as Python's ConfigParser does: names in small letters, indented lines go on the value above.
    fn parse(text: &str, path: &str) -> Result<Repos, Failure> {
        let mut out = Repos::default();
        for (n, line) in text.lines().enumerate() {
            let t = line.trim();
            if t.is_empty() || t.starts_with(['#', ';']) {
                continue;
            }
            let bad = || {
                Failure::new(format!("Error reading {path}: line {} is neither a section nor an option: {t}", n + 1))
            };
            if line.starts_with([' ', '\t'])
                && let Some((_, value)) = out.0.last_mut().and_then(|(_, o)| o.last_mut())
            {
                value.push('\n');
                value.push_str(t);
            } else if let Some(name) = t.strip_prefix('[').and_then(|r| r.split_once(']')).map(|(n, _)| n) {
                out.0.push((name.into(), vec![]));
            } else {
                let (k, v) = t.split_once(['=', ':']).ok_or_else(bad)?;
                let (_, options) = out.0.last_mut().ok_or_else(bad)?;
                options.push((k.trim().to_lowercase(), v.trim().into()));
            }
        }
        Ok(out)
    }
    /// As the file has it: further lines of a value are indented.
    fn text(&self) -> String {
        self.show(&self.0, "\n\t")
    }
    /// As diffs show it: sections and options sorted.
    fn sorted(&self) -> String {
        let mut all = self.0.clone();
        all.sort();
        for (_, o) in &mut all {
            o.sort();
        }
        self.show(&all, "\n")
    }
    fn show(&self, sections: &[(String, Vec<(String, String)>)], line: &str) -> String {
        let mut out = String::new();
        for (name, options) in sections {
            out.push_str(&format!("[{name}]\n"));
            for (k, v) in options {
                out.push_str(&format!("{k} = {}\n", v.replace('\n', line)));
            }
            out.push('\n');
        }
        out
    }
}

fn value_of(v: &Json, glue: &str) -> Option<String> {
    match v {
        Json::Null => None,
        Json::Bool(b) => Some(u8::from(*b).to_string()),
        Json::Array(l) => Some(l.iter().map(json_text).collect::<Vec<_>>().join(glue)),
        other => Some(json_text(other)),
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let (name, dir) = (args.str("name"), args.str("reposdir"));
    if !std::path::Path::new(dir).is_dir() {
        return Err(Failure::new(format!("Repo directory '{dir}' does not exist.")));
    }
    let file = args.opt_str("file").unwrap_or(name);
    if file.contains('/') || name.contains(['\n', ']']) {
        return Err(Failure::new(format!("'{file}' and '{name}' cannot be the names of a file and a section")));
    }
    let path = PathBuf::from(dir).join(format!("{file}.repo"));
    let shown = path.to_string_lossy().into_owned();
    let old = match std::fs::read_to_string(&path) {
        Ok(t) => Repos::parse(&t, &shown)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Repos::default(),
        Err(e) => return Err(Failure::new(format!("Cannot read {shown}: {e}"))),
    };
    let mut new = old.clone();
    new.0.retain(|(n, _)| n != name);
    let present = args.str("state") == "present";
    if present {
        new.0.push((name.into(), options(args)));
    }
    let mut changed = old.sorted() != new.sorted();
    let mut o = Outcome::ok().set("repo", name).set("state", args.str("state"));
    if changed {
        if !ctx.check && new.0.is_empty() {
            std::fs::remove_file(&path).map_err(|e| Failure::new(format!("Cannot remove {shown}: {e}")))?;
        } else if !ctx.check {
            atomic::write(&path, new.text().as_bytes(), args.bool("unsafe_writes"))?;
        }
        o = o.with_diff(Diff::new(old.sorted(), new.sorted()).headers(&shown, &shown));
    }
    if path.exists() && present {
        changed |= FileArgs::from_args(args).apply(&path, ctx.check, &mut AttrDiff::default())?;
    }
    o.changed = changed;
    let mut gone: Vec<_> = OPTIONS.iter().map(|(n, _, d)| (*n, *d)).chain(OTHERS.iter().copied()).collect();
    gone.sort_unstable();
    let notes: Vec<Json> = gone
        .into_iter()
        .filter_map(|(n, d)| d.filter(|_| args.is_set(n)).map(|(why, version)| (n, why, version)))
        .map(|(n, why, version)| {
            let msg = format!(
                "'{n}' parameter is deprecated as {why}. This feature will be removed from module 'yum_repository' in ansible-core version {version}."
            );
            json!({"msg": msg, "version": version, "collection_name": "ansible.builtin"})
        })
        .collect();
    Ok(if notes.is_empty() { o } else { o.set("deprecations", notes) })
}

/// The options of the section, sorted by name.
fn options(args: &Args) -> Vec<(String, String)> {
    let names = OPTIONS.iter().map(|(n, ..)| *n).chain(OTHERS.iter().map(|(n, _)| *n));
    let mut all: Vec<(String, String)> = names
        .filter_map(|n| {
            let glue = if matches!(n, "exclude" | "includepkgs") { " " } else { "\n" };
            value_of(args.get(n), glue).map(|v| (n.to_owned(), v))
        })
        .collect();
    all.extend(value_of(args.get("description"), "\n").map(|v| ("name".to_owned(), v)));
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use crate::modules::support::testkit::bench;
    use serde_json::json;

    #[test]
    fn comes_changes_and_goes() {
        let b = bench("yum_repository");
        let epel = json!({"name": "epel", "description": "EPEL", "baseurl": ["u1", "u2"], "enabled": true,
            "exclude": ["x", "y"], "reposdir": "$D", "mode": "0640"});
        b.cycle(epel);
        let text = "[epel]\nbaseurl = u1\n\tu2\nenabled = 1\nexclude = x y\nname = EPEL\n\n";
        assert_eq!((b.read("epel.repo").as_str(), b.mode("epel.repo")), (text, 0o640));
        let r = b.cycle(json!({"name": "two", "file": "epel", "description": "d", "metalink": "m", "reposdir": "$D"}));
        assert_eq!(b.read("epel.repo"), format!("{text}[two]\nmetalink = m\nname = d\n\n"));
        assert_eq!((&r["repo"], &r["state"]), (&json!("two"), &json!("present")));
        b.cycle(json!({"name": "epel", "state": "absent", "reposdir": "$D"}));
        b.cycle(json!({"name": "two", "file": "epel", "state": "absent", "reposdir": "$D"}));
        assert!(!b.at("epel.repo").exists());
    }

    #[test]
    fn reads_what_is_there() {
        let b = bench("yum_repository").file("h.repo", "# c\n[a]\nName: 1\n; k\nbaseurl=z\n  y\n\n[b]\nname=2\n");
        b.cycle(json!({"name": "b", "file": "h", "description": "y", "baseurl": "b", "reposdir": "$D"}));
        assert_eq!(b.read("h.repo"), "[a]\nname = 1\nbaseurl = z\n\ty\n\n[b]\nbaseurl = b\nname = y\n\n");
    }

    #[test]
    fn refusals_and_notes() {
        let b = bench("yum_repository").file("bad.repo", "nonsense\n");
        let msg = |a| b.real(a)["msg"].as_str().unwrap_or_default().to_owned();
        let none = msg(json!({"name": "x", "reposdir": "$D", "description": "d"}));
        assert_eq!(none, "state is present but any of the following are missing: baseurl, mirrorlist, metalink");
        let dir = msg(json!({"name": "x", "reposdir": "$D/no", "description": "d", "baseurl": "b"}));
        assert_eq!(dir, "Repo directory '$D/no' does not exist.");
        assert!(msg(json!({"name": "bad", "reposdir": "$D", "state": "absent"})).contains("line 1"));
        let r = b.real(json!({"name": "k", "reposdir": "$D", "description": "d", "baseurl": "b", "keepcache": "1", "password": "pw"}));
        assert_eq!(r["deprecations"][0]["version"], "2.20");
        assert!(b.read("k.repo").contains("password = pw\n"));
    }
}
