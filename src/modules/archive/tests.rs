use crate::modules::support::testkit::{Bench, bench};
use serde_json::json;
use std::process::Command;

fn tree() -> Bench {
    bench("archive").file("s/a", "1\n").file("s/sub/b.tmp", "2\n").link("s/l", "a").dir("s/empty")
}

/// What another program reads in the archive.
fn tar_lists(b: &Bench, name: &str) -> Vec<String> {
    let out = Command::new("tar").arg("tf").arg(b.at(name)).output().expect("tar runs");
    let mut l: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    l.sort();
    l
}

#[test]
fn trees_in_every_format() {
    for format in ["gz", "bz2", "tar", "zip", "xz"] {
        let b = tree();
        let a = json!({"path": "$D/s", "dest": "$D/o", "format": format, "mode": "0600"});
        let r = b.cycle(a.clone());
        assert_eq!((&r["arcroot"], &r["dest_state"]), (&json!("$D/"), &json!("archive")), "{format}");
        // of a zip file, folders are not told
        let told = if format == "zip" { 3 } else { 5 };
        assert_eq!((r["archived"].as_array().map(Vec::len), b.mode("o")), (Some(told), 0o600));
        if format != "zip" {
            assert_eq!(tar_lists(&b, "o"), ["s/a", "s/empty/", "s/l", "s/sub/", "s/sub/b.tmp"], "{format}");
        }
        std::fs::write(b.at("s/a"), "changed\n").expect("written");
        b.cycle(a);
    }
}

#[test]
fn one_file_is_compressed() {
    let b = tree();
    let r = b.cycle(json!({"path": "$D/s/a"}));
    assert_eq!((&r["dest"], &r["dest_state"]), (&json!("$D/s/a.gz"), &json!("compress")));
    let out = Command::new("gzip").arg("-dc").arg(b.at("s/a.gz")).output().expect("gzip runs");
    assert_eq!(out.stdout, b"1\n");
    let r = b.cycle(json!({"path": "$D/s/a", "dest": "$D/fa.tgz", "force_archive": true}));
    assert_eq!((&r["dest_state"], tar_lists(&b, "fa.tgz")), (&json!("archive"), vec!["a".to_string()]));
}

#[test]
fn exclusions_and_what_is_missing() {
    let b = tree();
    b.cycle(json!({"path": ["$D/s", "$D/none"], "dest": "$D/o", "format": "tar", "exclusion_patterns": ["*.tmp"]}));
    assert_eq!(tar_lists(&b, "o"), ["s/a", "s/empty/", "s/l", "s/sub/"]);
    let r = b.real(json!({"path": ["$D/s/a", "$D/none"], "dest": "$D/p"}));
    assert_eq!((&r["missing"], &r["dest_state"]), (&json!(["$D/none"]), &json!("incomplete")));
    let r = b.real(json!({"path": "$D/none", "dest": "$D/q"}));
    assert_eq!((&r["changed"], &r["dest_state"]), (&json!(false), &json!("absent")));
    let r = b.real(json!({"path": "$D/s"}));
    assert_eq!(r["msg"], "Error, must specify \"dest\" when archiving multiple files or trees");
}

#[test]
fn sources_go_only_when_the_archive_is_there() {
    let b = tree();
    let r = b.real(json!({"path": "$D/s", "dest": "$D/no/o.tgz", "remove": true}));
    assert_eq!((&r["failed"], b.at("s/a").exists()), (&json!(true), true));
    assert_eq!(b.check(json!({"path": "$D/s", "dest": "$D/o.tgz", "remove": true}))["changed"], true);
    assert_eq!(b.real(json!({"path": "$D/s", "dest": "$D/o.tgz", "remove": true}))["changed"], true);
    assert_eq!((b.at("s").exists(), tar_lists(&b, "o.tgz").len()), (false, 5));
    assert_eq!(b.real(json!({"path": "$D/s", "dest": "$D/o.tgz", "remove": true}))["changed"], false);
}
