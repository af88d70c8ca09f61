use crate::modules::support::testkit::{Bench, bench};
use serde_json::{Map, Value, json};

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>\n";
const SHOP: &str = "<shop kind=\"small\">\n  <open/>\n  <shelf>\n    <item no=\"1\">tea</item>\n    \
                    <item no=\"2\">milk</item>\n  </shelf>\n</shop>";

/// A run that changes the file: what it is afterwards.
fn became(text: &str, more: Value) -> String {
    let b = bench("xml").file("f", text);
    let r = b.real(args(more));
    assert_eq!((r.get("failed"), r.get("changed")), (None, Some(&true.into())), "{r:?}");
    b.read("f").strip_prefix(HEAD).expect("a declaration").to_owned()
}

fn args(more: Value) -> Value {
    let mut args = json!({"path": "$D/f"});
    for (k, v) in more.as_object().into_iter().flatten() {
        args[k] = v.clone();
    }
    args
}

fn answer(text: &str, more: Value) -> Map<String, Value> {
    let b: Bench = bench("xml").file("f", text);
    let before = b.tree();
    let r = b.real(args(more));
    assert_eq!(before, b.tree());
    r
}

fn fails(text: &str, more: Value, words: &str) {
    let r = answer(text, more);
    let msg = r.get("msg").and_then(Value::as_str).unwrap_or_default();
    assert!(r.contains_key("failed") && msg.contains(words), "{msg}");
}

#[test]
fn values_come_and_stay() {
    let b = bench("xml").file("f", SHOP);
    for more in [
        json!({"xpath": "/shop/shelf/item[@no='2']", "value": "cream"}),
        json!({"xpath": "/shop/phone", "value": "12"}),
        json!({"xpath": "/shop/open/@since"}),
        json!({"xpath": "/shop/shelf", "attribute": "at", "value": "<left>"}),
        json!({"xpath": "//item", "attribute": "{urn:x}sold", "value": "no"}),
        json!({"xpath": "/shop/shelf", "set_children": [{"item": {"no": "3", "+value": "rice"}}, "gap"]}),
        json!({"xpath": "/shop/open", "state": "absent"}),
        json!({"xpath": "/shop/@kind", "state": "absent"}),
    ] {
        b.cycle(args(more));
    }
    let wanted =
        "<shop>\n  <shelf at=\"&lt;left&gt;\">\n    <item no=\"3\">rice</item><gap/></shelf>\n<phone>12</phone></shop>";
    assert_eq!(b.read("f"), format!("{HEAD}{wanted}"));
}

#[test]
fn what_an_expression_names_is_made() {
    for (xpath, wanted) in [
        ("/a/b/c", "<a><b><c/></b></a>"),
        ("/a/b[@k='v' and @l=\"it's\"]/c", "<a><b k=\"v\" l=\"it's\"><c/></b></a>"),
        ("/a/b[@k='v'][@l='w']", "<a><b k=\"v\" l=\"w\"/></a>"),
        ("/a/b[@k='x and y']", "<a><b k=\"x and y\"/></a>"),
        ("/a/b[c/@d and text()='t']/@e", "<a><b e=\"\">t<c d=\"\"/></b></a>"),
        ("/a/b[c[@d='e/f']]", "<a><b><c d=\"e/f\"/></b></a>"),
        ("/a/@k='v'", "<a k=\"v\"/>"),
        ("/a/b/text()='t' ", "<a><b>t</b></a>"),
        ("/a/x:b/@x:c", "<a><ns0:b xmlns:ns0=\"u\" ns0:c=\"\"/></a>"),
    ] {
        assert_eq!(became("<a/>", json!({"xpath": xpath, "namespaces": {"x": "u"}})), wanted, "{xpath}");
    }
    assert_eq!(
        became("<a xmlns='u'/>", json!({"xpath": "/x:a/x:b/@x:c", "namespaces": {"x": "u"}})),
        "<a xmlns=\"u\"><b xmlns:ns0=\"u\" ns0:c=\"\"/></a>"
    );
    for xpath in [
        "/a/b[1]",
        "/a/b[@k='x' or @k='y']",
        "/a/b[.='t']",
        "/a/b/text()",
        "b",
        "//b",
        "/",
        "/a/*[@k='v']",
        "/a/b[@k=1]",
    ] {
        fails("<a/>", json!({"xpath": xpath}), "Can't process Xpath ");
    }
    fails(
        "<a/>",
        json!({"xpath": "/a/b[3]", "value": "x"}),
        "Can't process Xpath ./3 in order to spawn nodes! tree is b'<b/>\\n'",
    );
    fails("<a/>", json!({"xpath": "/b"}), "Invalid expression");
    fails(
        "<a>é's</a>",
        json!({"xpath": "/b", "value": "x"}),
        "Xpath /b causes a failure: Invalid expression\n  -- tree is b\"<a>&#233;'s</a>\\n\"",
    );
    fails(
        "<a/>",
        json!({"xpath": "/a/@k", "value": "x"}),
        "Xpath /a/@k does not reference a node! tree is b'<a k=\"\"/>\\n'",
    );
}

#[test]
fn children() {
    let add = |more: Value| became("<a><b>1</b> <b>2</b> </a>", more);
    assert_eq!(add(json!({"xpath": "/a", "add_children": ["c", {"d": "t"}]})), "<a><b>1</b> <b>2</b> <c/><d>t</d></a>");
    assert_eq!(
        add(json!({"xpath": "/a/b", "add_children": ["c", "d"], "insertbefore": true})),
        "<a><c/><d/><b>1</b> <b>2</b> </a>"
    );
    assert_eq!(
        add(json!({"xpath": "/a/b[1]", "add_children": ["c", "d"], "insertafter": true})),
        "<a><b>1</b> <c/><d/><b>2</b> </a>"
    );
    assert_eq!(
        add(json!({"xpath": "/a/b", "add_children": ["c"], "insertafter": true})),
        "<a><b>1</b> <b>2</b> <c/></a>"
    );
    assert_eq!(add(json!({"xpath": "/a", "set_children": []})), "<a/>");
    assert_eq!(
        add(json!({"xpath": "/a", "set_children": ["<x k='&#10;'><![CDATA[y]]></x>"], "input_type": "xml"})),
        "<a><x k=\"&#10;\">y</x></a>"
    );
    let deep = json!([{"e": {"k": "v", "+value": "t", "_": ["f", {"g": {"_": [{"h": "i"}]}}]}}]);
    assert_eq!(
        became("<a/>", json!({"xpath": "/a", "add_children": deep})),
        "<a><e k=\"v\">t<f/><g><h>i</h></g></e></a>"
    );
    let spaced = json!(["{u}b", "{w}c", "d", {"{u}e": {"{w}k": "v"}}]);
    assert_eq!(
        became("<a xmlns=\"u\" xmlns:ns0=\"zz\"/>", json!({"xpath": "/*", "add_children": spaced})),
        "<a xmlns=\"u\" xmlns:ns0=\"zz\"><b/><ns0:c xmlns:ns0=\"w\"/><d/><e xmlns:ns1=\"w\" ns1:k=\"v\"/></a>"
    );
    let same = json!({"xpath": "/a", "set_children": [{"b": "1"}, {"b": "2"}]});
    assert_eq!(answer("<a>\n  <b>1</b>\n  <b>2</b>\n</a>", same).get("changed"), Some(&false.into()));
    // one set of new elements: it ends where it was wanted last
    assert_eq!(
        became("<r><a>1<d/></a><a>2</a><a>3</a></r>", json!({"xpath": "/r/a", "set_children": ["d"]})),
        "<r><a>1<d/></a><a>2</a><a>3<d/></a></r>"
    );
    let no = |c: Value, words: &str| fails("<a/>", json!({"xpath": "/a", "add_children": [c]}), words);
    no(json!({"b": "1", "c": "2"}), "Can only create children from hashes with one key");
    no(json!(5), "Invalid child type: <class 'int'>. Children must be either strings or hashes.");
    no(json!({"b": 5}), "Argument must be bytes or unicode, got 'int'");
    no(json!({"b": {"_": "x"}}), "Invalid children type: <class 'str'>, must be list.");
    no(json!("x y"), "Invalid tag name 'x y'");
    fails(
        "<a/>",
        json!({"xpath": "/a", "add_children": ["<x>"], "input_type": "xml"}),
        "Error while parsing child element: Premature end of data in tag x line 1, line 1, column 4 (<string>, line 1)",
    );
}

#[test]
fn answers() {
    let of = |more: Value, key: &str| answer(SHOP, more).get(key).cloned().unwrap_or_default();
    assert_eq!(of(json!({"xpath": "//item", "count": true}), "count"), 2);
    assert_eq!(of(json!({"xpath": "/shop/none", "count": true}), "msg"), "found 0 nodes");
    assert_eq!(
        of(json!({"xpath": "//item", "print_match": true}), "msg"),
        "selector '//item' match: [\"/shop/shelf/item[1]\", \"/shop/shelf/item[2]\"]"
    );
    assert_eq!(
        of(json!({"xpath": "//item | //open", "content": "text"}), "matches"),
        json!([{"open": null}, {"item": "tea"}, {"item": "milk"}])
    );
    assert_eq!(of(json!({"xpath": "//item[1]", "content": "attribute"}), "matches"), json!([{"item": {"no": "1"}}]));
    assert_eq!(of(json!({"xpath": "//item", "content": "text"}), "msg"), 2);
    let actions = json!({"xpath": "/shop", "namespaces": {"x": "u"}, "state": "present"});
    assert_eq!(of(json!({"xpath": "/shop", "namespaces": {"x": "u"}}), "actions"), actions);
    let r = bench("xml").real(json!({"xmlstring": "<a><b/></a>", "xpath": "/a/b", "value": "1", "pretty_print": true}));
    assert_eq!(r.get("xmlstring"), Some(&format!("{HEAD}<a>\n  <b>1</b>\n</a>\n").into()));
    let diff = r.get("diff").and_then(|d| d.get(0).unwrap_or(d).get("before")).cloned();
    assert_eq!(diff, Some(format!("{HEAD}<a>\n  <b/>\n</a>\n").into()), "{r:?}");
}

#[test]
fn forms() {
    assert_eq!(became("<a><b/></a>", json!({"pretty_print": true})), "<a>\n  <b/>\n</a>\n");
    let b = bench("xml").file("f", "<a>  <b><c/> </b></a>");
    b.cycle(args(json!({"pretty_print": true})));
    let text = "<a><![CDATA[x<y]]><b/></a>";
    assert_eq!(became(text, json!({"xpath": "/a/b", "value": "z"})), "<a><![CDATA[x<y]]><b>z</b></a>");
    assert_eq!(became(text, json!({"xpath": "/a/b", "value": "z", "strip_cdata_tags": true})), "<a>x&lt;y<b>z</b></a>");
    let kept = b.file("g", "<a/>");
    let r = kept.real(json!({"path": "$D/g", "xpath": "/a", "value": "z", "backup": true}));
    let copy = r.get("backup_file").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(kept.read(copy.strip_prefix("$D/").unwrap()), "<a/>");
}

#[test]
fn refusals() {
    for (more, words) in [
        (json!({"xpath": "//b["}), "Syntax error in xpath expression: //b[ (Invalid expression)"),
        (json!({"xpath": "/a/y:b", "count": true}), "Undefined namespace prefix"),
        (
            json!({"xpath": "/a", "state": "absent"}),
            "Couldn't delete xpath target: /a ('NoneType' object has no attribute 'remove')",
        ),
        (json!({"xpath": "/a/text()", "state": "absent"}), "Couldn't delete xpath target: /a/text() (Argument must be"),
        (json!({"xpath": "/a", "value": 11}), "Argument must be bytes or unicode, got 'int'"),
        (json!({"xpath": "/a", "value": "\u{1}"}), "All strings must be XML compatible"),
        (json!({"xpath": "/a", "attribute": "a b", "value": "x"}), "Invalid attribute name 'a b'"),
        (json!({"xpath": "/a", "attribute": "x:k", "value": "x"}), "'x'"),
        (json!({"xpath": "/a/none", "content": "text"}), "Xpath /a/none does not reference a node!"),
        (json!({"xpath": "1=1"}), "'bool' object is not subscriptable"),
        (json!({}), "Don't know what to do"),
        (json!({"count": true}), "count is True but all of the following are missing: xpath"),
        (json!({"xpath": "/a", "count": true, "value": "x"}), "mutually exclusive"),
    ] {
        fails("<a>t</a>", more, words);
    }
    fails(
        "<a><b></a>",
        json!({"xpath": "/a"}),
        "(Opening and ending tag mismatch: b line 1 and a, line 1, column 11 (f, line 1))",
    );
    let r = bench("xml").real(json!({"path": "$D/none", "xpath": "/a"}));
    assert_eq!(r.get("msg"), Some(&"The target XML source '$D/none' does not exist.".into()));
}
