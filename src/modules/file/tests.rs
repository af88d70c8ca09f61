use crate::modules::support::testkit::bench;
use serde_json::json;

#[test]
fn directories_with_parents_and_attributes() {
    let b = bench("file");
    let a = json!({"path": "$D/a/b", "state": "directory", "mode": "0750"});
    assert_eq!(b.check(a.clone())["diff"]["before"], json!({"path": "$D/a/b", "state": "absent"}));
    assert_eq!(b.real(a.clone())["changed"], true);
    assert_eq!((b.mode("a"), b.mode("a/b")), (0o750, 0o750));
    assert_eq!(b.real(a)["changed"], false);
}

#[test]
fn recursion_sets_everything_and_leaves_by_links_only_if_told() {
    let b = bench("file").file("d/x/f", "1").file("outside", "2").link("d/l", "../outside").link("d/x/up", "..");
    let want = "u=rwX,g=rX,o=";
    b.cycle(json!({"path": "$D/d", "state": "directory", "recurse": true, "mode": want, "follow": false}));
    assert_eq!((b.mode("d/x"), b.mode("d/x/f"), b.mode("outside")), (0o750, 0o640, 0o644));
    b.cycle(json!({"path": "$D/d", "state": "directory", "recurse": true, "mode": want}));
    assert_eq!(b.mode("outside"), 0o640);
    let r = b.real(json!({"path": "$D/d", "state": "file", "recurse": true}));
    assert_eq!(r["msg"], "recurse option requires state to be 'directory'");
}

#[test]
fn removal_lists_what_goes() {
    let b = bench("file").file("d/x/f", "1").dir("d/e");
    let r = b.cycle(json!({"path": "$D/d", "state": "absent"}));
    let content = json!({"directories": ["$D/d/e", "$D/d/x"], "files": ["$D/d/x/f"]});
    assert_eq!(r["diff"]["before"], json!({"path": "$D/d", "state": "directory", "path_content": content}));
    assert_eq!(r["state"], "absent");
}

#[test]
fn links() {
    let b = bench("file").file("f", "1").file("g", "2").dir("full/x");
    let r = b.cycle(json!({"path": "$D/l", "src": "f", "state": "link"}));
    assert_eq!((&r["dest"], &r["src"]), (&json!("$D/l"), &json!("f")));
    let r = b.cycle(json!({"path": "$D/l", "src": "g", "state": "link"}));
    assert_eq!(r["diff"]["before"], json!({"path": "$D/l", "src": "f"}));
    let r = b.real(json!({"path": "$D/l", "src": "none", "state": "link"}));
    let want = "src file does not exist, use 'force=yes' if you really want to create the link: $D/none";
    assert_eq!(r["msg"], want);
    let r = b.real(json!({"path": "$D/f", "src": "g", "state": "link"}));
    assert_eq!(r["msg"], "refusing to convert from file to symlink for $D/f");
    let r = b.real(json!({"path": "$D/full", "src": "g", "state": "link", "force": true}));
    assert_eq!(r["msg"], "the directory $D/full is not empty, refusing to convert it");
    b.cycle(json!({"path": "$D/f", "src": "g", "state": "link", "force": true}));
    b.cycle(json!({"path": "$D/h", "src": "$D/g", "state": "hard"}));
    assert_eq!(b.tree().len(), 6);
}

#[test]
fn touching() {
    let b = bench("file");
    assert_eq!(b.check(json!({"path": "$D/t", "state": "touch"}))["changed"], true);
    assert_eq!(b.real(json!({"path": "$D/t", "state": "touch", "mode": "0600"}))["mode"], "0600");
    assert_eq!(b.real(json!({"path": "$D/t", "state": "touch"}))["changed"], true);
    let keep = json!({"path": "$D/t", "state": "touch", "access_time": "preserve", "modification_time": "preserve"});
    assert_eq!(b.real(keep)["changed"], false);
    let at = json!({"path": "$D/t", "modification_time": "202001020304.05"});
    assert_eq!(b.real(at.clone())["changed"], true);
    assert_eq!(b.real(at)["changed"], false);
    let r = b.real(json!({"path": "$D/t", "modification_time": "then"}));
    assert!(r["msg"].as_str().is_some_and(|m| m.starts_with("Error while obtaining timestamp for time then")));
}

#[test]
fn a_file_must_be_there() {
    let b = bench("file").dir("d");
    let r = b.real(json!({"path": "$D/x", "state": "file"}));
    assert_eq!((&r["msg"], &r["state"]), (&json!("file ($D/x) is absent, cannot continue"), &json!("absent")));
    let r = b.real(json!({"path": "$D/d", "state": "file"}));
    assert_eq!(r["msg"], "file ($D/d) is directory, cannot continue");
}
