use super::transaction::Plan;
use super::*;
use crate::modules::{find, run as call_module};
use serde_json::{Map, Value as Json};

/// Notes its arguments, and answers with the file that is named after the verb.
const TOOL: &str = r#"#!/bin/sh
d=$(dirname "$0"); echo "$*" >> "$d/log"
for v in install upgrade remove autoremove makecache repoquery repolist; do
  case " $* " in *" $v "*) [ -e "$d/$v" ] && { cat "$d/$v"; exit 1; }; [ -e "$d/$v.ok" ] && cat "$d/$v.ok"; exit 0 ;; esac
done
exit 0
"#;
/// Knows the packages of a file.
const RPM: &str = "#!/bin/sh\ncase $* in *-qa*) cat \"$(dirname \"$0\")/db\" ;; *) for n; do :; done; grep \"^$n-\" \"$(dirname \"$0\")/db\" ;; esac\n";

struct Host(tempfile::TempDir);

impl Host {
    fn new(tool: &str, db: &str) -> Host {
        let h = Host(tempfile::tempdir().expect("a directory"));
        h.put(tool, TOOL).put("rpm", RPM).put("db", db);
        h
    }
    fn put(&self, name: &str, text: &str) -> &Host {
        let at = self.0.path().join(name);
        std::fs::write(&at, text).expect("written");
        std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        self
    }
    fn call(&self, module: &str, args: Json, check: bool) -> Map<String, Json> {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
        call_module(find(module).expect("known"), &mut ctx, args.as_object().expect("an object"))
    }
    fn log(&self) -> String {
        std::fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }
}

const TABLE: &str = "Dependencies resolved.\n=====\n Package  Architecture Version Repository Size\n=====\nInstalling:\n bar noarch 1.0-1 local 5 k\nInstalling dependencies:\n foo noarch 2:2.0-1 local 5 k\nUpgrading:\n baz noarch 1.1-1 local 5 k\nRemoving:\n old noarch 1-1 @System 0\n\nTransaction Summary\n=====\nInstall  2 Packages\n\nOperation aborted.\n";

#[test]
fn a_check_run_tells_the_plan() {
    let h = Host::new("dnf", "baz-1.0-1.noarch\nold-1-1.noarch\n");
    h.put("install", TABLE);
    let r = h.call("dnf", json!({"name": "bar"}), true);
    let results = [
        "Installed: bar-1.0-1.noarch",
        "Installed: foo-2:2.0-1.noarch",
        "Installed: baz-1.1-1.noarch",
        "Removed: baz-1.0-1.noarch",
        "Removed: old-1-1.noarch",
    ];
    assert_eq!((&r["changed"], &r["results"]), (&json!(true), &json!(results)));
    assert!(h.log().starts_with("--assumeno "), "{}", h.log());
    let five = Plan::parse(
        "Package Arch Version Repository Size\nUpgrading:\n foo noarch 2.0-1 local 0 B\n   replacing foo noarch 1.0-1 local 0 B\n",
    );
    assert_eq!(five, Plan::parse("Upgrading:\n foo noarch 2.0-1 x\nRemoving:\n foo noarch 1.0-1 x\n"));
}

#[test]
fn every_argument_has_its_option() {
    let all = json!({"name": "foo", "state": "latest", "enablerepo": "a,b", "disablerepo": ["c"], "exclude": "x", "conf_file": "/dev/null",
        "disable_gpg_check": true, "installroot": "/r", "releasever": "9", "skip_broken": true, "update_cache": true, "security": true,
        "bugfix": true, "download_only": true, "download_dir": "/d", "allowerasing": true, "nobest": true, "cacheonly": true,
        "install_weak_deps": false, "sslverify": false, "disable_plugin": "p", "enable_plugin": "q", "disable_excludes": "all"});
    let common = "--exclude=x";
    let four = "-y --disablerepo=c --enablerepo=a --enablerepo=b --exclude=x --enableplugin=q --disableplugin=p --config=/dev/null --releasever=9 \
        --disableexcludes=all --downloadonly --downloaddir=/d --installroot=/r --nogpgcheck --skip-broken --setopt=strict=False --security \
        --bugfix --cacheonly --allowerasing --nobest --setopt=install_weak_deps=False --setopt=sslverify=False --refresh \
        --setopt=clean_requirements_on_remove=False install foo\n";
    let five = "-y --disable-repo=c --enable-repo=a --enable-repo=b --exclude=x --enable-plugin=q --disable-plugin=p --config=/dev/null --releasever=9 \
        --setopt=disable_excludes=all --downloadonly --setopt=destdir=/d --installroot=/r --no-gpgchecks --skip-broken --skip-unavailable --security \
        --bugfix --cacheonly --allowerasing --no-best --setopt=install_weak_deps=False --setopt=sslverify=False --refresh \
        --setopt=clean_requirements_on_remove=False install foo\n";
    for (tool, module, want) in [("dnf", "dnf", four), ("dnf5", "dnf5", five)] {
        let h = Host::new(tool, "");
        let r = h.call(module, all.clone(), false);
        assert_eq!(r.get("failed"), None, "{r:?}");
        assert_eq!(h.log(), want);
        assert!(h.log().contains(common));
    }
}

#[test]
fn what_is_there_stays() {
    let h = Host::new("dnf", "foo-1.0-1.noarch\n");
    assert_eq!(h.call("dnf", json!({"name": "foo"}), false)["msg"], "Nothing to do");
    assert_eq!(
        h.call("dnf", json!({"name": "gone", "state": "absent"}), false)["results"],
        json!(["No match for argument: gone"])
    );
    assert_eq!(h.log(), "");
    // an older version is asked for, and not installed unless that is allowed
    h.put("install", "Downgrading:\n foo noarch 0.9-1 local 1 k\nOperation aborted.\n");
    let r = h.call("yum", json!({"name": "foo-0.9"}), false);
    assert_eq!((&r["changed"], &r["msg"]), (&json!(false), &json!("Nothing to do")));
    assert!(h.log().starts_with("--assumeno") && h.log().lines().count() == 1);
    h.call("dnf", json!({"autoremove": true}), false);
    assert!(h.log().trim_end().ends_with("autoremove"), "{}", h.log());
}

#[test]
fn failures() {
    let h = Host::new("dnf", "");
    h.put("install", "No match for argument: none\nError: Unable to find a match: none\n");
    let r = h.call("dnf", json!({"name": ["none", "bar"]}), false);
    assert_eq!(
        (&r["msg"], &r["failures"]),
        (&json!("Failed to install some of the specified packages"), &json!(["No package none available."]))
    );
    h.put(
        "install",
        "Error: \n Problem: conflicting requests\n  - nothing provides x needed by y\n(try to add '--skip-broken')\n",
    );
    let r = h.call("dnf", json!({"name": "y"}), false);
    assert_eq!(
        r["msg"],
        "Depsolve Error occurred: \n Problem: conflicting requests\n  - nothing provides x needed by y"
    );
    let msg = |a: Json| h.call("dnf", a, false)["msg"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        msg(json!({"name": "/none.rpm"})),
        "Error occurred attempting remote rpm operation: Could not open: /none.rpm"
    );
    assert_eq!(
        msg(json!({"name": "x", "best": true, "nobest": true})),
        "parameters are mutually exclusive: best|nobest"
    );
    let r = h.call("dnf", json!({"name": "--x"}), false);
    assert_eq!(r["failures"], json!(["No package --x available."]));
    assert!(!h.log().contains("--x"));
}

#[test]
fn lists() {
    let h = Host::new("dnf", "");
    h.put("repoquery.ok", "foo|noarch|0|2.0|1|local\n").put("repolist.ok", "repo id    repo name\nlocal      Local\n");
    let r = h.call("dnf", json!({"list": "foo"}), false);
    let (a, b) = (&r["results"][0], &r["results"][1]);
    assert_eq!((&a["repo"], &a["yumstate"], &b["repo"]), (&json!("@System"), &json!("installed"), &json!("local")));
    assert_eq!(b["nevra"], "0:foo-2.0-1.noarch");
    let r = h.call("dnf", json!({"list": "repos"}), false);
    assert_eq!(r["results"], json!([{"repoid": "local", "state": "enabled"}]));
}
