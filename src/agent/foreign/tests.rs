use super::*;
use serde_json::json;

fn call(text: &str, style: Style, interpreter: Interpreter, args: Json) -> Map<String, Json> {
    let t = tempfile::tempdir().expect("a directory");
    let payload = t.path().join("payload");
    std::fs::write(&payload, text).expect("written");
    let tmp = t.path().join("tmp");
    let mut extra = Map::new();
    extra.insert("_ansible_tmpdir".into(), Json::Null);
    extra.insert("_ansible_version".into(), "2.19".into());
    let f = Foreign {
        name: "mod".into(),
        file: "AnsiballZ_mod".into(),
        style,
        interpreter,
        extra,
        keep: false,
        remote_tmp: tmp.to_string_lossy().into(),
    };
    let req = Request { args: args.as_object().cloned().unwrap_or_default(), ..Request::default() };
    let out = run(&f, &payload, &req, &Ctx::bare(), false);
    assert_eq!(std::fs::read_dir(&tmp).map(Iterator::count).ok(), Some(0), "nothing stays behind");
    out
}

fn sh() -> Interpreter {
    Interpreter::Words(vec!["/bin/sh".into()])
}

#[test]
fn arguments_in_every_style() {
    let a = json!({"a": "it's é", "l": [1, "x"], "n": null, "b": true});
    let r = call(
        ". \"$1\"; printf '{\"a\": \"%s\", \"l\": \"%s\", \"n\": \"%s\", \"b\": \"%s\"}' \"$a\" \"$l\" \"$n\" \"$b\"",
        Style::TextFile,
        sh(),
        a.clone(),
    );
    assert_eq!(
        (&r["a"], &r["l"], &r["n"], &r["b"]),
        (&json!("it's é"), &json!("[1, 'x']"), &json!("None"), &json!("True"))
    );
    let r = call("cat \"$1\"", Style::JsonFile, sh(), a.clone());
    assert_eq!((&r["a"], &r["l"], &r["_ansible_version"]), (&a["a"], &a["l"], &json!("2.19")));
    assert!(r["_ansible_tmpdir"].as_str().is_some_and(|d| d.contains("/tmp/ansible-tmp-") && d.ends_with('/')));
    let r = call("cat <<'E'\n<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>\nE\n", Style::Inside, sh(), a.clone());
    assert_eq!(r["a"], a["a"]);
    let r = call("#!/bin/sh\ncat \"$1\"", Style::JsonFile, Interpreter::None, a.clone());
    assert_eq!(r["b"], a["b"]);
}

#[test]
fn what_is_no_result() {
    let r = call("echo out; echo err >&2; exit 3", Style::TextFile, sh(), json!({}));
    assert_eq!(
        (&r["failed"], &r["rc"], &r["module_stdout"], &r["module_stderr"], &r[PARSED]),
        (&json!(true), &json!(3), &json!("out\n"), &json!("err\n"), &json!(false))
    );
    assert_eq!(r["msg"], "Module result deserialization failed: No start of json char found");
    let r = call("", Style::TextFile, Interpreter::Words(vec!["/no/such/python".into()]), json!({}));
    assert_eq!((&r["msg"], &r["rc"]), (&json!("The module interpreter '/no/such/python' was not found."), &json!(127)));
    let r = call("", Style::TextFile, Interpreter::Discover(vec!["no-such-python".into()]), json!({}));
    assert_eq!(r["msg"], "no Python was found here for the module mod (tried no-such-python)");
    let r = call("echo '{}'; echo junk", Style::TextFile, sh(), json!({}));
    assert_eq!(r["warnings"], json!(["Module invocation had junk after the JSON data: junk"]));
}

#[test]
fn the_interpreter_that_was_found() {
    let r = call("echo '{}'", Style::TextFile, Interpreter::Discover(vec!["nope".into(), "sh".into()]), json!({}));
    assert!(r[FOUND].as_str().is_some_and(|p| p.ends_with("/sh")));
}
