use crate::modules::support::testkit::bench;
use serde_json::json;

#[test]
fn adds_replaces_removes() {
    let b = bench("lineinfile").file("f", "a=1\nb=2\nlast");
    let r = b.cycle(json!({"path": "$D/f", "line": "z=9"}));
    assert_eq!((&r["msg"], &r["backup"]), (&json!("line added"), &json!("")));
    assert_eq!(b.read("f"), "a=1\nb=2\nlast\nz=9\n");
    let r = b.cycle(json!({"path": "$D/f", "regexp": "^b=", "line": "b=3"}));
    assert_eq!(r["msg"], "line replaced");
    let header = "$D/f (content)";
    let want = json!({"before": "a=1\nb=2\nlast\nz=9\n", "after": "a=1\nb=3\nlast\nz=9\n", "before_header": header, "after_header": header});
    assert_eq!(r["diff"][0], want);
    let r = b.cycle(json!({"path": "$D/f", "regexp": "=", "state": "absent"}));
    assert_eq!((&r["found"], &r["msg"], b.read("f")), (&json!(3), &json!("3 line(s) removed"), "last\n".into()));
}

#[test]
fn places() {
    let b = bench("lineinfile").file("f", "a\nb\na\nc\n");
    b.cycle(json!({"path": "$D/f", "line": "1", "insertafter": "^a"}));
    b.cycle(json!({"path": "$D/f", "line": "2", "insertafter": "^a", "firstmatch": true}));
    b.cycle(json!({"path": "$D/f", "line": "3", "insertbefore": "BOF"}));
    b.cycle(json!({"path": "$D/f", "line": "4", "insertbefore": "^c"}));
    assert_eq!(b.read("f"), "3\na\n2\nb\na\n1\n4\nc\n");
}

#[test]
fn groups() {
    let b = bench("lineinfile").file("f", "k = v\n");
    b.cycle(json!({"path": "$D/f", "regexp": "^(\\w) = (\\w)$", "line": "\\1=\\g<2>", "backrefs": true}));
    assert_eq!(b.read("f"), "k=v\n");
    let r = b.real(json!({"path": "$D/f", "regexp": "^q", "line": "q", "backrefs": true}));
    assert_eq!(r["changed"], false);
}

#[test]
fn attributes_and_content_are_told_together() {
    let b = bench("lineinfile").file("f", "x\n");
    let r = b.cycle(json!({"path": "$D/f", "line": "y", "mode": "0600"}));
    assert_eq!(r["msg"], "line added and ownership, perms or SE linux context changed");
    assert_eq!((&r["diff"][1]["before"], &r["diff"][1]["after"]), (&json!({"mode": "0644"}), &json!({"mode": "0600"})));
}

#[test]
fn refusals_and_creation() {
    let b = bench("lineinfile").dir("d");
    let r = b.real(json!({"path": "$D/no", "line": "x"}));
    assert_eq!((&r["msg"], &r["rc"]), (&json!("Destination $D/no does not exist !"), &json!(257)));
    assert_eq!(b.real(json!({"path": "$D/d", "line": "x"}))["rc"], 256);
    assert_eq!(b.real(json!({"path": "$D/no", "line": "x", "state": "absent"}))["msg"], "file not present");
    assert_eq!(b.check(json!({"path": "$D/no/deep", "line": "x", "create": true}))["changed"], true);
    b.real(json!({"path": "$D/no/deep", "line": "x", "create": true}));
    assert_eq!(b.read("no/deep"), "x\n");
    let r = b.real(json!({"path": "$D/no/deep", "line": "y", "validate": "grep -q never %s"}));
    assert!(r["msg"].as_str().is_some_and(|m| m.starts_with("failed to validate: rc:1")));
    assert_eq!(b.read("no/deep"), "x\n");
}
