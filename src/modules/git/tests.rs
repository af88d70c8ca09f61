use super::*;
use crate::modules::support::testkit::{Bench, bench};

/// A bench with a repository `up`: `v1` is a tag, `main` one commit later, `side` beside it. `None` without git.
fn upstream() -> Option<Bench> {
    let b = bench("git").dir("up");
    let script = "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git init -q -b main .; echo 1 > f; git add f; git commit -qm 1; git tag v1; git branch side
        echo 2 > f; git commit -qam 2; git checkout -q side; echo s > s; git add s; git commit -qm s; git checkout -q main";
    let o = Cmd::new(["sh", "-c", script]).cwd(b.at("up").to_string_lossy()).run_with(&[]).ok()?;
    assert!(o.ok() || o.err().contains("not found"), "{}", o.err());
    o.ok().then_some(b)
}

#[test]
fn clones_moves_and_stays() {
    let Some(b) = upstream() else { return };
    let task = |more: Json| {
        let mut t = json!({"repo": "$D/up", "dest": "$D/co"});
        t.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        t
    };
    let r = b.cycle(task(json!({})));
    assert_eq!((b.read("co/f").as_str(), &r["before"]), ("2\n", &Json::Null));
    b.cycle(task(json!({"version": "v1"})));
    assert_eq!(b.read("co/f"), "1\n");
    let r = b.cycle(task(json!({"version": "side"})));
    assert!(r["diff"]["prepared"].as_str().is_some_and(|d| d.contains("+s")), "{r:?}");
    std::fs::write(b.at("co/f"), "edited").expect("written");
    let r = b.real(task(json!({"version": "side"})));
    assert_eq!(r["msg"], "Local modifications exist in the destination: $D/co (force=no).");
    assert_eq!(b.real(task(json!({"version": "side", "force": true})))["changed"], true);
    assert_eq!(b.read("co/f"), "1\n");
}

#[test]
fn a_check_run_fetches_for_its_diff_and_leaves_no_trace() {
    let Some(b) = upstream() else { return };
    b.real(json!({"repo": "file://$D/up", "dest": "$D/co"}));
    let add = "echo 3 > f; git -c user.name=a -c user.email=a@b commit -qam 3";
    let up = b.at("up").to_string_lossy().into_owned();
    assert!(Cmd::new(["sh", "-c", add]).cwd(up).run_with(&[]).expect("runs").ok());
    let r = b.check(json!({"repo": "file://$D/up", "dest": "$D/co"}));
    assert!(r["diff"]["prepared"].as_str().is_some_and(|d| d.contains("+3")), "{r:?}");
}

#[test]
fn options_for_ssh() {
    let words = |more: Json| {
        let mut all = json!({"accept_hostkey": false});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let ctx = Ctx { env: vec![("GIT_SSH_COMMAND".into(), "ssh -v".into())], ..Ctx::bare() };
        ssh_command(&ctx, &Args(all.as_object().expect("an object").clone())).0
    };
    assert_eq!(words(json!({})), "ssh -v -o BatchMode=yes");
    let all = json!({"accept_hostkey": true, "ssh_opts": "-o X=y", "key_file": "/a b"});
    let said = "ssh -v -o X=y -o StrictHostKeyChecking=no -o BatchMode=yes -i '/a b' -o IdentitiesOnly=yes";
    assert_eq!(words(all), said);
}

#[test]
fn refusals() {
    let b = bench("git");
    let msg = |a: Json| b.real(a)["msg"].as_str().unwrap_or_default().to_owned();
    assert!(msg(json!({"repo": "--upload-pack=x", "dest": "$D/x"})).starts_with("repo must not begin with a dash"));
    assert_eq!(msg(json!({"repo": "x"})), "the destination directory must be specified unless clone=no");
    assert_eq!(msg(json!({"repo": "x", "dest": "/x", "umask": 7})), "umask must be defined as a quoted octal integer");
}
