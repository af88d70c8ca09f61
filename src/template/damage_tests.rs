//! Templates that are damaged: an error or a value, never a panic, a hang or unbounded memory.

use super::{Engine, EngineOptions, FileOptions, FileScope, MapVars, Scope};
use crate::damage::text_withstands;
use crate::value::{Key, Map, Value};
use std::sync::Arc;

// nothing here reaches files, programs or the network, whatever becomes of it
const SEEDS: &[&str] = &[
    "{{ a.b.c | default('x') }} {{ l[1:] + [1, 2] }} {{ 'a' ~ 1 }}",
    "{% for i in l if i is not none %}{{ loop.index }}:{{ i }}{% else %}none{% endfor %}",
    "{% macro m(x, y=2) %}{{ x * y }}{% endmacro %}{{ m(3) }}{% set z = [1] %}{% set _ = z.append(2) %}{{ z }}",
    "{% if a is mapping and l | length > 2 or not n %}{{ '%s-%d' % ('a', 3) }}{% endif %}{# note #}{% raw %}{{ x }}{% endraw %}",
    "{{ l | map('string') | join(',') | upper | regex_replace('(A)', '\\\\1') }}{{ {'k': [1, (2, 3)]} | to_json }}",
    "{% block b scoped %}{{ range(3) | list }}{% endblock %}{% filter upper %}x{% endfilter %}{{ 2 ** 10 // 3 }}",
];
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "-%}",
    "{%-",
    "(",
    ")",
    "[",
    "]",
    "{",
    "|",
    ".",
    "~",
    "'",
    "\"",
    "\\",
    " if ",
    " for i in l ",
    " is ",
    "not ",
    "{% if a %}",
    "{% for i in l %}",
    "{% endfor %}",
    "{% raw %}",
    "{% set a = a %}",
    "**9",
    "*99",
    "- ",
    "1e9",
    "é",
    "\u{0}",
    " | list",
    " | string",
    " | default(a)",
    "range(9999999)",
    "\n",
];

/// On a stack of the size that the executor gives its threads: the parser's own limit of nesting must come first.
#[test]
fn templates_and_conditions() {
    let done = std::thread::Builder::new().stack_size(8 << 20).spawn(damage_them).expect("a thread").join();
    done.expect("no panic");
}

fn damage_them() {
    let vars: Map = [
        ("a", Value::map(Map::from_iter([(Key::from("b"), Value::Int(1))]))),
        ("l", Value::list(vec![Value::Int(1), Value::plain("{{ a }}"), Value::Null])),
        ("n", Value::trusted("{{ l | first }}", None)),
    ]
    .into_iter()
    .map(|(k, v)| (Key::from(k), v))
    .collect();
    let scope = Scope::new(Arc::new(MapVars(vars)), Arc::new(FileScope::default()));
    let engine = Engine::new(EngineOptions { fuel: 50_000 });
    text_withstands(SEEDS, PIECES, 700, |text| {
        let _ = engine.render(&Value::trusted(text, None), &scope);
        let _ = engine.render_file(text, &FileOptions::default(), &scope);
        let _ = engine.condition(&Value::trusted(text.trim_matches(['{', '}', '%']), None), &scope);
    });
}
