//! Tests of the attack classes that templates must withstand: host words rendered as templates
//! (docs/security.md, class 1) and templates that eat the machine (class 10).

use super::{Engine, EngineOptions, FileOptions, FileScope, MapVars, Scope, is_omit, omit};
use crate::value::{Key, Map, Str, Trust, Value};
use std::sync::Arc;
use std::time::Instant;

const ATTACK: &str = "{{ lookup('pipe', 'id') }}";

fn engine() -> Engine {
    Engine::new(EngineOptions { fuel: 2_000_000 })
}

fn scope(vars: &[(&str, Value)]) -> Scope {
    let map: Map = vars.iter().map(|(k, v)| (Key::from(*k), v.clone())).collect();
    Scope::new(Arc::new(MapVars(map)), Arc::new(FileScope::default()))
}

fn t(text: &str) -> Value {
    Value::trusted(text, None)
}

fn host_result() -> Value {
    Value::from_json(serde_json::json!({
        "stdout": ATTACK, "stdout_lines": [ATTACK], "rc": 0,
        "results": [{"item": ATTACK, "stat": {"path": ATTACK}}],
        "nested": {ATTACK: ATTACK}, "cond": "1 == 1 or true",
    }))
}

/// Every way that a host's words take through the engine gives them back as they are.
#[test]
fn host_words_are_never_templates() {
    let vars = [
        ("reg", host_result()),
        ("copy", t("{{ reg.stdout }}")),
        ("copy2", t("{{ copy }}")),
        ("wrap", t("<{{ copy2 }}>")),
    ];
    let scope = scope(&vars);
    let e = engine();
    let show = |text: &str| e.render(&t(text), &scope).map(|v| v.to_str()).unwrap_or_else(|e| format!("!{e}"));
    for text in [
        "{{ reg.stdout }}",
        "{{ copy }}",
        "{{ copy2 }}",
        "{{ reg['stdout'] }}",
        "{{ reg.stdout_lines[0] }}",
        "{{ reg.stdout_lines | first }}",
        "{{ reg.results[0].item }}",
        "{{ reg.results | map(attribute='stat.path') | first }}",
        "{{ reg.nested.keys() | first }}",
        "{{ reg.nested.values() | first }}",
        "{{ reg | dict2items | selectattr('key', 'eq', 'stdout') | map(attribute='value') | first }}",
        "{{ lookup('vars', 'copy') }}",
        "{{ query('items', reg.stdout_lines) | first }}",
        "{{ lookup('list', reg.stdout) }}",
        "{{ reg.stdout | default('x') }}",
        "{{ nope | default(reg.stdout) }}",
        "{{ (reg.stdout ~ '') }}",
        "{{ '%s' % reg.stdout }}",
        "{{ '{}'.format(reg.stdout) }}",
        "{{ [reg.stdout] | join('') }}",
        "{{ reg.stdout | string }}",
        "{{ true | ternary(reg.stdout, 'x') }}",
        "{% set x = reg.stdout %}{{ x }}",
        "{% for x in reg.stdout_lines %}{{ x }}{% endfor %}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(reg.stdout) }}",
        "{% set ns = namespace(v=reg.stdout) %}{{ ns.v }}",
        "{% set d = {} %}{% set _ = d.update({'k': reg.stdout}) %}{{ d.k }}",
        "{% filter trim %}{{ reg.stdout }}{% endfilter %}",
    ] {
        assert_eq!(show(text), ATTACK, "{text}");
    }
    assert_eq!(show("{{ wrap }}"), format!("<{ATTACK}>"));
    assert_eq!(show("a {{ reg.stdout }} b"), format!("a {ATTACK} b"));
}

/// A result is plain: used again as a variable it is not rendered, in however many rounds.
#[test]
fn results_are_plain_for_ever() {
    let e = engine();
    let mut value = e.render(&t("{{ '{{' }} 7 * 7 }}"), &scope(&[])).expect("renders");
    for _ in 0..3 {
        assert_eq!(value.to_str(), "{{ 7 * 7 }}");
        assert!(matches!(&value, Value::Str(s) if s.trust == Trust::Plain));
        value = e.render(&t("{{ v }}"), &scope(&[("v", value.clone())])).expect("renders");
    }
    let list = e.render(&Value::list(vec![t("{{ h }}")]), &scope(&[("h", Value::plain(ATTACK))])).expect("renders");
    let again = e.render(&list, &scope(&[])).expect("renders");
    assert_eq!(again.as_list().and_then(|l| l[0].as_str()), Some(ATTACK));
}

/// `when`, `that`, `until` on a host's words: they are compared, not evaluated.
#[test]
fn conditions_do_not_evaluate_host_words() {
    let e = engine();
    let scope = scope(&[("reg", host_result()), ("ind", t("{{ reg.cond }}"))]);
    assert!(e.condition(&t("reg.stdout == '1'"), &scope).is_ok_and(|b| !b));
    assert!(e.condition(&t("'pipe' in reg.stdout"), &scope).is_ok_and(|b| b));
    // Text that is not the playbook's own is refused as a condition.
    let untrusted = Value::Str(Str::plain("lookup('pipe', 'id') is defined"));
    assert!(e.condition(&untrusted, &scope).is_err());
    // A word of a host that looks like an expression is text, and text is no truth.
    let refused = e.condition(&t("reg.cond"), &scope).expect_err("text");
    assert!(refused.message().contains("derived from value of type 'str'"), "{refused}");
    // As a whole condition it is refused, however it comes there, and also if the playbook has the same text.
    let evil = "lookup('file', '/nonexistent')";
    let host = Value::from_json(serde_json::json!({"cond": "own", "l": [evil], "d": {"k": evil}}));
    let vars =
        [("reg", host), ("ind", t("{{ reg.cond }}")), ("own", t("1 == 2")), ("l", Value::list(vec![t("1 == 2")]))];
    let scope = scope_with(&vars);
    for text in [
        "{{ reg.cond }}",
        "{{ ind }}",
        "{{ reg.l[0] }}",
        "{{ reg.d.k | default('x') }}",
        "{{ l[0] ~ '' }}",
        "{{ 'own' }}",
        "{% if true %}own{% endif %}",
    ] {
        let refused = e.condition(&t(text), &scope).expect_err(text);
        assert_eq!(refused.message(), "Encountered untrusted template or expression.", "{text}");
    }
    // The playbook's own text is a condition, also if it is handed on by templates.
    for text in ["{{ own }}", "{{ l | first }}", "{{ nope | default(own) }}"] {
        assert!(e.condition(&t(text), &scope).is_ok(), "{text}");
    }
}

fn scope_with(vars: &[(&str, Value)]) -> Scope {
    scope(vars)
}

/// What lookups find is plain: files, processes, variables of the environment, CSV and INI cells.
#[test]
fn lookups_answer_plain_text() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |n: &str| dir.path().join(n).display().to_string();
    std::fs::write(path("f.txt"), ATTACK).expect("written");
    std::fs::write(path("c.csv"), format!("k,\"{ATTACK}\"\n")).expect("written");
    std::fs::write(path("i.ini"), format!("[s]\nk={ATTACK}\n")).expect("written");
    std::fs::write(path("t.j2"), "{{ '{{' }} lookup('pipe', 'id') }}").expect("written");
    let e = engine();
    let files = FileScope {
        playbook_dir: camino::Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).expect("utf-8"),
        ..FileScope::default()
    };
    let scope = Scope::new(Arc::new(MapVars(Map::new())), Arc::new(files));
    for text in [
        "{{ lookup('file', 'f.txt') }}",
        "{{ lookup('unvault', 'f.txt') }}",
        "{{ lookup('pipe', 'cat f.txt') }}",
        "{{ lookup('lines', 'cat f.txt') }}",
        "{{ lookup('csvfile', 'k', file='c.csv', delimiter=',') }}",
        "{{ lookup('ini', 'k', section='s', file='i.ini', interpolation=false) }}",
        "{{ lookup('template', 't.j2') }}",
    ] {
        let got = e.render(&t(text), &scope).expect(text);
        assert_eq!(got.to_str(), ATTACK, "{text}");
        let again = e.render(&got, &scope).expect(text);
        assert_eq!(again.to_str(), ATTACK, "{text}, a second time");
    }
    // The name of a file is a host's word too when a pattern finds it.
    std::fs::write(path("{{ 1 + 1 }}.glob"), "").expect("written");
    let got = e.render(&t("{{ query('fileglob', '*.glob') | map('basename') | first }}"), &scope).expect("renders");
    assert_eq!(got.to_str(), "{{ 1 + 1 }}.glob");
}

/// Loop items, extra variables and file templates: a plain value in front of the scope stays plain.
#[test]
fn items_and_files_do_not_render_host_words() {
    let e = engine();
    let base = scope(&[("item", t("{{ 'wrong' }}"))]);
    let mut extra = Map::new();
    extra.insert(Key::from("item"), Value::plain(ATTACK));
    let inner = e.with_extra(extra, &base);
    assert_eq!(e.render(&t("{{ item }}"), &inner).expect("renders").to_str(), ATTACK);
    assert_eq!(
        e.render_file("x={{ item }}\n", &FileOptions::default(), &inner).expect("renders"),
        format!("x={ATTACK}\n")
    );
    assert_eq!(e.render_to_string("{{ item }}", &inner).expect("renders"), ATTACK);
    // `omit` cannot be forged by a host.
    assert!(!is_omit(&Value::plain("__omit_place_holder__")));
    assert!(is_omit(&e.render(&t("{{ omit }}"), &inner).expect("renders")) && is_omit(&omit()));
}

fn refused(text: &str, vars: &[(&str, Value)], words: &str) {
    let started = Instant::now();
    let error = engine().render(&t(text), &scope(vars)).map(|_| ()).expect_err(text);
    assert!(error.message().contains(words), "{text}: {error}");
    assert!(started.elapsed().as_secs() < 60, "{text} took {:?}", started.elapsed());
}

#[test]
fn endless_templates_are_stopped() {
    refused("{% for i in range(10 ** 12) %}{% endfor %}", &[], "too large");
    refused("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", &[], "fuel");
    refused("{{ range(10 ** 12) | list | length }}", &[], "too large");
    refused("{{ 'x' * 10 ** 12 }}", &[], "too large");
    refused("{{ [0] * 10 ** 12 }}", &[], "too large");
    refused("{{ 10 ** 10 ** 10 }}", &[], "too large");
    refused("{{ '%1000000000d' % 1 }}", &[], "too large");
    refused("{{ 'x'.center(1000000000) }}", &[], "too large");
    refused("{{ '{:>1000000000}'.format(1) }}", &[], "too large");
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", &[], "recursion");
    refused("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", &[], "recursion");
}

#[test]
fn cycles_name_the_variables() {
    let vars = [
        ("a", t("{{ b }}")),
        ("b", t("{{ c.x }}")),
        ("c", Value::map([(Key::from("x"), t("{{ a }}"))].into_iter().collect())),
    ];
    refused("{{ a }}", &vars, "Recursive loop detected in template: a -> b -> a");
    refused("{{ s }}", &[("s", t("x{{ s }}"))], "s -> s");
    refused("{{ a | default('x') }}", &vars, "Recursive loop");
    refused("{{ a is defined }}", &vars, "Recursive loop");
}

/// Variables that double one another: the text is bounded, and so is the chain.
#[test]
fn doubling_is_bounded() {
    let names: Vec<String> = (0..40).map(|i| format!("v{i}")).collect();
    let mut vars: Vec<(&str, Value)> = vec![("v0", Value::plain("xxxxxxxx"))];
    for (i, name) in names.iter().enumerate().skip(1) {
        vars.push((name.as_str(), t(&format!("{{{{ v{} }}}}{{{{ v{} }}}}", i - 1, i - 1))));
    }
    refused("{{ v39 }}", &vars, "too large");
    let long: Vec<String> = (0..200).map(|i| format!("w{i}")).collect();
    let mut chain: Vec<(&str, Value)> = vec![("w0", Value::plain("end"))];
    for (i, name) in long.iter().enumerate().skip(1) {
        chain.push((name.as_str(), t(&format!("{{{{ w{} }}}}", i - 1))));
    }
    refused("{{ w199 }}", &chain, "recursion");
    assert_eq!(engine().render(&t("{{ w30 }}"), &scope(&chain)).expect("a chain of 30").to_str(), "end");
}

/// Deep nesting in source text and in data is an error or works; it does not break the stack.
#[test]
fn deep_nesting_does_not_break_the_stack() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    refused(&deep, &[], "");
    let mut value = Value::plain(ATTACK);
    for _ in 0..150 {
        value = Value::list(vec![value]);
    }
    let shown = engine().render(&t("{{ v }} "), &scope(&[("v", value)])).expect("renders");
    assert!(shown.to_str().starts_with("[[["));
}
