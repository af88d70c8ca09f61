//! Tests of laziness, template files, lookups with their own state, and the memo over threads.

use super::{Engine, EngineOptions, FileOptions, FileScope, MapVars, Notice, Scope, Var, Vars, Warn};
use crate::diag::{Kind, Result};
use crate::value::{Key, Map, Value, VaultText};
use std::sync::{Arc, Mutex};

fn t(text: &str) -> Value {
    Value::trusted(text, None)
}

fn map(vars: &[(&str, Value)]) -> Map {
    vars.iter().map(|(k, v)| (Key::from(*k), v.clone())).collect()
}

fn scope(vars: &[(&str, Value)]) -> Scope {
    Scope::new(Arc::new(MapVars(map(vars))), Arc::new(FileScope::default()))
}

/// Variables that remember who was asked for.
struct Watched(Map, Mutex<Vec<String>>);

impl Vars for Watched {
    fn get(&self, name: &str) -> Result<Option<Var>> {
        let found = self.0.get(name).cloned().map(Var::Raw);
        if found.is_some() {
            self.1.lock().expect("lock").push(name.to_string());
        }
        Ok(found)
    }
    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().filter_map(|k| k.as_str().map(Arc::from)).collect()
    }
    fn decrypt(&self, _: &VaultText) -> Result<Arc<str>> {
        Ok("secret".into())
    }
}

#[test]
fn variables_are_rendered_when_touched_and_once() {
    let vars = Arc::new(Watched(
        map(&[
            ("a", t("{{ b }}{{ b }}")),
            ("b", t("{{ c }}")),
            ("c", Value::Int(1)),
            ("d", Value::map(map(&[("x", t("{{ c }}")), ("bad", t("{{ nope }}")), ("fatal", t("{{ 1 / 0 }}"))]))),
            ("unused", t("{{ 1 / 0 }}")),
        ]),
        Mutex::default(),
    ));
    let scope = Scope::new(vars.clone(), Arc::new(FileScope::default()));
    let e = Engine::new(EngineOptions::default());
    assert_eq!(e.render(&t("{{ a }} {{ a }} {{ d.x }}"), &scope).expect("renders").to_str(), "11 11 1");
    let asked = vars.1.lock().expect("lock").clone();
    assert_eq!(asked, ["a", "b", "c", "d"], "each once, and `unused` never");
    // A sibling that cannot be rendered is no trouble until it is touched.
    assert_eq!(
        e.render(&t("{{ d.bad | default('q') }}{{ d.keys() | length }}"), &scope).expect("renders").to_str(),
        "q3"
    );
    assert_eq!(e.render(&t("{{ d.bad }}"), &scope).expect_err("undefined").kind(), Kind::Undefined);
    // `default` sees through what is undefined, and through nothing else.
    let fatal = e.render(&t("{{ d.fatal | default('q') }}"), &scope).expect_err("an error");
    assert!(fatal.message().contains("division by zero"), "{fatal}");
    assert!(e.render(&t("{{ d.fatal is defined }}"), &scope).is_err());
}

#[test]
fn vaulted_values_are_opened_when_touched() {
    let vault = Value::Vault(Arc::new(VaultText { envelope: "$ANSIBLE_VAULT;…".into(), origin: None }));
    let vars = Watched(map(&[("v", vault.clone()), ("l", Value::list(vec![vault]))]), Mutex::default());
    let scope = Scope::new(Arc::new(vars), Arc::new(FileScope::default()));
    let e = Engine::new(EngineOptions::default());
    assert_eq!(e.render(&t("{{ v }}-{{ l[0] }}"), &scope).expect("renders").to_str(), "secret-secret");
}

#[test]
fn scopes_within_scopes() {
    struct Hosts;
    impl Vars for Hosts {
        fn get(&self, name: &str) -> Result<Option<Var>> {
            let one = |host: &str| -> Arc<dyn Vars> {
                Arc::new(MapVars(map(&[
                    ("inventory_hostname", Value::plain(host)),
                    ("hi", t("hi {{ inventory_hostname }}")),
                ])))
            };
            Ok(match name {
                "hostvars" => Some(Var::Scope(Arc::new(HostVars))),
                "inventory_hostname" => Some(Var::Raw(Value::plain("h1"))),
                "other" => Some(Var::Raw(t("{{ hostvars['h2'].hi }}"))),
                "self" => Some(Var::Scope(one("h1"))),
                _ => None,
            })
        }
        fn names(&self) -> Vec<Arc<str>> {
            vec!["hostvars".into()]
        }
        fn decrypt(&self, _: &VaultText) -> Result<Arc<str>> {
            Ok("".into())
        }
    }
    struct HostVars;
    impl Vars for HostVars {
        fn get(&self, name: &str) -> Result<Option<Var>> {
            Ok(name.starts_with('h').then(|| {
                Var::Scope(Arc::new(MapVars(map(&[
                    ("inventory_hostname", Value::plain(name)),
                    ("hi", t("hi {{ inventory_hostname }}")),
                ]))))
            }))
        }
        fn names(&self) -> Vec<Arc<str>> {
            vec!["h1".into(), "h2".into()]
        }
        fn decrypt(&self, _: &VaultText) -> Result<Arc<str>> {
            Ok("".into())
        }
    }
    let e = Engine::new(EngineOptions::default());
    let s = Scope::new(Arc::new(Hosts), Arc::new(FileScope::default()));
    let show = |text: &str| e.render(&t(text), &s).map(|v| v.to_str()).unwrap_or_else(|e| format!("!{e}"));
    assert_eq!(show("{{ hostvars['h2'].hi }} {{ hostvars.h1.hi }} {{ other }}"), "hi h2 hi h1 hi h2");
    assert_eq!(show("{{ hostvars | length }} {{ 'h1' in hostvars }} {{ 'zz' in hostvars }}"), "2 True False");
    assert_eq!(show("{{ hostvars['zz'] is defined }} {{ hostvars.h1.nope | default('-') }}"), "False -");
    assert_eq!(show("{{ hostvars.h1.nope }}"), "!object of type 'HostVarsVars' has no attribute 'nope'");
    assert_eq!(show("{{ ['h1', 'h2'] | map('extract', hostvars, 'hi') | list }}"), "['hi h1', 'hi h2']");
    assert_eq!(show("{% for h in hostvars %}{{ hostvars[h].hi }};{% endfor %}"), "hi h1;hi h2;");
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Folder {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            std::fs::write(path, text).expect("written");
        }
        Folder(dir)
    }
    fn path(&self, name: &str) -> camino::Utf8PathBuf {
        camino::Utf8PathBuf::from_path_buf(self.0.path().join(name)).expect("utf-8")
    }
    fn scope(&self, vars: &[(&str, Value)]) -> Scope {
        let files = FileScope { search: vec![self.path("role")], playbook_dir: self.path(""), ..FileScope::default() };
        Scope::new(Arc::new(MapVars(map(vars))), Arc::new(files))
    }
    fn render(&self, name: &str, vars: &[(&str, Value)]) -> Result<String> {
        let path = self.path(name);
        let options = FileOptions { name: path.to_string(), ..FileOptions::default() };
        let text = std::fs::read_to_string(&path).expect("a file");
        Engine::new(EngineOptions::default()).render_file(&text, &options, &self.scope(vars))
    }
}

#[test]
fn template_files_include_import_and_extend() {
    let f = Folder::new(&[
        (
            "role/templates/main.j2",
            "line1\n{{ s }}\n{% include \"inc.j2\" %}\nafter\n  {% if true %}\n  x\n  {% endif %}\n{{ [1,2] }}\n{{ none }}\n",
        ),
        ("role/templates/inc.j2", "inc {{ s }} {{ zz.yy | default('-') }}\n"),
        ("templates/inc.j2", "wrong\n"),
        (
            "templates/lib.j2",
            "{% set greeting = 'hi' %}{% macro m(x) %}{{ greeting }} {{ x }} {{ s }}{% endmacro %}{% macro v() %}{{ varargs }}{% endmacro %}",
        ),
        (
            "role/templates/imp.j2",
            "{% import 'lib.j2' as lib %}{% from 'lib.j2' import m as mm, v with context %}{{ lib.m('a') }} {{ mm('b') }} {{ lib.greeting }} {{ v(1, 2) }}\n",
        ),
        ("role/templates/base.j2", "<{% block title %}base{% endblock %}>\n{% block body %}{% endblock %}\n"),
        (
            "role/templates/child.j2",
            "{% extends 'base.j2' %}\n{% block title %}child of {{ super() }}{% endblock %}\n{% block body %}{{ self.title() }} {{ s }}{% endblock %}\n",
        ),
        (
            "role/templates/loopinc.j2",
            "{% for i in [1, 2] %}{% include 'item.j2' %}{% endfor %}{% include 'none.j2' ignore missing %}{% include ['none.j2', 'item.j2'] ignore missing %}\n",
        ),
        ("role/templates/item.j2", "item {{ i | default('?') }};"),
        ("role/templates/bad.j2", "ok\n\n{{ s }} {{ nope }}\n"),
        ("role/templates/incbad.j2", "ok\n{% include 'bad.j2' %}\n"),
        ("role/templates/syntax.j2", "ok\n{% if x %}\n{{ s }\n"),
        ("role/templates/missing.j2", "{% include 'nowhere.j2' %}"),
        ("role/templates/outside.j2", "{% include '../../secret' %}"),
        ("secret", "secret"),
    ]);
    let vars = [("s", Value::plain("S"))];
    let r = |name: &str| f.render(&format!("role/templates/{name}"), &vars);
    // Recorded from ansible-core 2.19.
    assert_eq!(r("main.j2").expect("main"), "line1\nS\ninc S -after\n    x\n  [1, 2]\n");
    assert_eq!(r("imp.j2").expect("imp"), "hi a S hi b S hi [1, 2]\n");
    assert_eq!(r("child.j2").expect("child"), "<child of base>\nchild of base S\n");
    assert_eq!(r("loopinc.j2").expect("loopinc"), "item 1;item 2;item ?;\n");
    let place = |e: crate::diag::Error| e.span().map(|s| s.show()).unwrap_or_default();
    let bad = r("bad.j2").expect_err("undefined");
    assert_eq!((bad.kind(), bad.message()), (Kind::Undefined, "'nope' is undefined"));
    assert!(place(bad).ends_with("bad.j2:3:1"));
    let bad = r("incbad.j2").expect_err("undefined in the included file");
    assert_eq!(bad.message(), "'nope' is undefined");
    let bad = r("syntax.j2").expect_err("syntax");
    assert!(bad.message().starts_with("Syntax error in template"), "{bad}");
    assert!(place(bad).contains("syntax.j2:"));
    assert!(r("missing.j2").expect_err("missing").message().contains("'nowhere.j2' not found in search path"));
    assert!(r("outside.j2").is_err());
}

#[test]
fn white_space_is_ansibles() {
    let e = Engine::new(EngineOptions::default());
    let s = scope(&[("s", Value::plain("S")), ("l", Value::list(vec![Value::Int(1), Value::Int(2)]))]);
    let file = |text: &str, o: FileOptions| e.render_file(text, &o, &s).expect(text);
    let plain = FileOptions::default;
    assert_eq!(file("{% for i in l %}\n- {{ i }}\n{% endfor %}\nend\n", plain()), "- 1\n- 2\nend\n");
    let no_trim = FileOptions { trim_blocks: false, ..plain() };
    assert_eq!(file("{% for i in l %}\n- {{ i }}\n{% endfor %}\nend\n", no_trim), "\n- 1\n\n- 2\n\nend\n");
    let lstrip = FileOptions { lstrip_blocks: true, ..plain() };
    assert_eq!(file("a\n   {% if true %}\n  b\n   {% endif %}\nc", lstrip.clone()), "a\n  b\nc");
    assert_eq!(file("a\n   {%+ if true %}b{% endif %}\nc", lstrip), "a\n   bc");
    assert_eq!(file("x\n\n\n", plain()), "x\n\n\n");
    assert_eq!(file("{{ s }}", plain()), "S");
    assert_eq!(file("{{ s }}\n", plain()), "S\n");
    assert_eq!(file("a\r\nb {{ s }}\r\n", plain()), "a\nb S\n");
    let crlf = FileOptions { newline_sequence: "\r\n".into(), ..plain() };
    assert_eq!(file("a\nb {{ s }}\n", crlf), "a\r\nb S\r\n");
    assert_eq!(
        file("#jinja2: trim_blocks: False, lstrip_blocks: True\n{% if true %}\nx\n{% endif %}\n", plain()),
        "\nx\n"
    );
    assert_eq!(
        file("#jinja2:variable_start_string:'[%', variable_end_string:'%]'\n[% s %] {{ s }}\n", plain()),
        "S {{ s }}\n"
    );
    // Escapes mean what they say in files, and are literal in playbooks.
    assert_eq!(file("{{ 'a\\nb' }}", plain()), "a\nb");
    assert_eq!(e.render_to_string("{{ 'a\\nb' }}", &s).expect("renders"), "a\\nb");
    assert_eq!(file("{{ 'a.b' | regex_replace('\\.', '-') }}", plain()), "a-b");
    assert_eq!(file("${VAR} {# c #}%} }} {s} \u{e000}", plain()), "${VAR} %} }} {s} \u{e000}");
    assert!(e.render_file("#jinja2: nonsense: 1\nx", &plain(), &s).is_err());
}

#[test]
fn errors_of_playbook_strings_point_at_them() {
    let id = crate::diag::add_source("play.yml", "a: 1\nmsg: \"{{ nope }}\"\n");
    let origin = Some(crate::diag::Span::new(id, 10, 22));
    let e = Engine::new(EngineOptions::default());
    let err = e.render(&Value::trusted("{{ nope }}", origin), &scope(&[])).expect_err("undefined");
    assert_eq!(err.span().map(|s| s.show()).as_deref(), Some("play.yml:2:6"));
    // The innermost place is the variable's own.
    let inner = Some(crate::diag::Span::new(id, 3, 4));
    let vars = [("v", Value::trusted("{{ nope }}", inner))];
    let err = e.render(&Value::trusted("{{ v }}", origin), &scope(&vars)).expect_err("undefined");
    assert_eq!(err.span().map(|s| s.show()).as_deref(), Some("play.yml:1:4"));
}

#[test]
fn conditions_are_booleans() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = said.clone();
    let warn = Warn(Some(Arc::new(move |n: Notice<'_>| {
        if let Notice::Deprecation(m) = n {
            sink.lock().expect("lock").push(m.to_string());
        }
    })));
    let files = FileScope { warn, ..FileScope::default() };
    let vars: Map = [(Key::from("s"), Value::trusted("1 == 2", None)), (Key::from("n"), Value::Int(1))].into();
    let scope = Scope::new(Arc::new(MapVars(vars)), Arc::new(files));
    let e = Engine::new(EngineOptions::default());
    for (text, want) in [("n == 1", true), ("{{ n == 1 }}", true), ("{{ s }}", false)] {
        assert_eq!(e.condition(&Value::trusted(text, None), &scope).expect(text), want, "{text}");
    }
    for text in ["s", "n", "none", "", "{{ n }}", "'x'"] {
        assert!(e.condition(&Value::trusted(text, None), &scope).is_err(), "{text}");
    }
    let said = said.lock().expect("lock");
    assert!(said.iter().all(|m| m.starts_with("Conditionals should not be surrounded")), "{said:?}");
    assert_eq!(said.len(), 2);
}

#[test]
fn changes_in_place_do_not_leak_into_the_next_template() {
    let e = Engine::new(EngineOptions::default());
    let s = scope(&[("l", Value::list(vec![Value::Int(1)])), ("d", Value::map(map(&[("a", Value::Int(1))])))]);
    assert_eq!(e.render(&t("{{ l.append(5) }}{{ l }} "), &s).expect("renders").to_str(), "[1, 5] ");
    assert_eq!(e.render(&t("{{ l }}"), &s).expect("renders").to_str(), "[1]");
    assert_eq!(
        e.render(&t("{% set _ = d.update({'b': 2}) %}{{ d }} "), &s).expect("renders").to_str(),
        "{'a': 1, 'b': 2} "
    );
    assert_eq!(e.render(&t("{{ d }}"), &s).expect("renders").to_str(), "{'a': 1}");
}

#[test]
fn loops_of_the_old_kind() {
    let e = Engine::new(EngineOptions::default());
    let s = scope(&[]);
    let list = |v: serde_json::Value| Value::from_json(v);
    let run = |name: &str, v: serde_json::Value| {
        let found = e.with_loop(name, list(v), &s).unwrap_or_else(|e| panic!("{name}: {e}"));
        serde_json::to_string(&Value::list(found)).expect("json")
    };
    assert_eq!(run("items", serde_json::json!([1, [2, 3], [[4]]])), "[1,2,3,[4]]");
    assert_eq!(run("items", serde_json::json!("one")), "[\"one\"]");
    assert_eq!(run("dict", serde_json::json!({"a": 1})), r#"[{"key":"a","value":1}]"#);
    assert_eq!(run("nested", serde_json::json!([[1, 2], ["a"]])), r#"[[1,"a"],[2,"a"]]"#);
    assert_eq!(run("together", serde_json::json!([[1, 2], ["a"]])), r#"[[1,"a"],[2,null]]"#);
    assert_eq!(run("indexed_items", serde_json::json!(["a", "b"])), r#"[[0,"a"],[1,"b"]]"#);
    assert_eq!(run("sequence", serde_json::json!("start=1 end=3")), r#"["1","2","3"]"#);
    assert_eq!(
        run("subelements", serde_json::json!([[{"n": 1, "k": ["x", "y"]}], "k"])),
        r#"[[{"n":1},"x"],[{"n":1},"y"]]"#
    );
    assert_eq!(run("ansible.builtin.items", serde_json::json!([1])), "[1]");
    assert_eq!(run("flattened", serde_json::json!([1, [2, [3]]])), "[1,2,3]");
    assert!(e.with_loop("nonsense", Value::Null, &s).expect_err("unknown").message().contains("was not found"));
    assert!(e.has_lookup("community.general.cartesian") && !e.has_lookup("nonsense"));
}

#[test]
fn passwords_are_kept_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let f = Folder::new(&[]);
    let s = f.scope(&[]);
    let e = Engine::new(EngineOptions::default());
    let ask = |text: &str| e.render(&t(text), &s).expect(text).to_str();
    let first = ask("{{ lookup('password', 'creds/pw length=12 chars=digits') }}");
    assert!(first.len() == 12 && first.chars().all(|c| c.is_ascii_digit()), "{first}");
    assert_eq!(ask("{{ lookup('password', 'creds/pw') }}"), first);
    let mode = |p: &str| std::fs::metadata(f.path(p)).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode("creds"), mode("creds/pw")), (0o700, 0o600));
    let hashed = ask("{{ lookup('password', 'creds/pw encrypt=sha512_crypt') }}");
    assert!(hashed.starts_with("$6$"), "{hashed}");
    assert_eq!(ask("{{ lookup('password', 'creds/pw encrypt=sha512_crypt') }}"), hashed);
    let stored = std::fs::read_to_string(f.path("creds/pw")).expect("a file");
    assert!(stored.starts_with(&format!("{first} salt=")), "{stored}");
    assert_eq!(ask("{{ lookup('password', 'creds/pw') }}"), first);
    assert_eq!(
        ask("{{ lookup('password', '/dev/null', seed='s') }}"),
        ask("{{ lookup('password', '/dev/null', seed='s') }}")
    );
    assert_eq!(std::fs::read_dir(f.path("creds")).expect("a folder").count(), 1, "nothing is left over");
}

#[test]
fn urls_are_fetched() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.expect("a stream");
            let mut buffer = [0u8; 4096];
            let n = stream.read(&mut buffer).expect("a request");
            let asked = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let (status, body) = if asked.starts_with("GET /none") {
                ("404 Not Found", String::new())
            } else if asked.to_lowercase().contains("authorization: basic dtpw") {
                ("200 OK", "authorized\n".to_string())
            } else {
                ("200 OK", "one\n{{ two }}\n".to_string())
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let e = Engine::new(EngineOptions::default());
    let s = scope(&[("p", Value::from(i64::from(port)))]);
    let ask = |text: &str| e.render(&t(text), &s).map(|v| v.to_str()).unwrap_or_else(|e| format!("!{e}"));
    assert_eq!(ask("{{ query('url', 'http://127.0.0.1:' ~ p ~ '/x') }}"), "['one', '{{ two }}']");
    assert_eq!(
        ask("{{ lookup('url', 'http://127.0.0.1:' ~ p ~ '/a', split_lines=false, username='u', password='p') }}"),
        "authorized\n"
    );
    assert!(ask("{{ lookup('url', 'http://127.0.0.1:' ~ p ~ '/none') }}").contains("HTTP Error 404: Not Found"));
    server.join().expect("the server ends");
}

#[test]
fn the_memo_serves_many_threads() {
    let e = Engine::new(EngineOptions::default());
    std::thread::scope(|threads| {
        for n in 0..8i64 {
            let e = e.clone();
            threads.spawn(move || {
                let s = scope(&[("n", Value::from(n)), ("m", t("{{ n * 2 }}"))]);
                for _ in 0..200 {
                    assert_eq!(e.render(&t("{{ m + 1 }}"), &s).expect("renders"), Value::from(n * 2 + 1));
                }
            });
        }
    });
}
