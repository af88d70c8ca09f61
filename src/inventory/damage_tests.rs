//! Inventories, host patterns and values that are damaged: an error or a value, never a panic or a hang.

use super::{Inventory, ini, literal, toml, yaml};
use crate::damage::{Noise, text_withstands};
use crate::value::Value;

const INI: &str = "\
lone ansible_host=192.0.2.1 # note
[masters]
master-[0:2].example.org:2222 v=\"a b\" l=[1,2]
[nodes]
node[a:c] labels=\"{'region': 'x', 'n': 1}\"
[all:children]
masters
nodes
[nodes:vars]
x=1
y={{ x }}
";
const YAML: &str =
    "all:\n  hosts:\n    h[1:3]: {a: 1}\n  children:\n    web:\n      hosts: {h1: }\n      vars: {v: '{{ a }}'}\n";
const TOML: &str = "[all.vars]\na = 1\n[web]\nchildren = ['db']\n[web.hosts]\nh1 = {}\nh2 = { p = 22 }\n";
const PIECES: &[&str] = &[
    "[",
    "]",
    ":",
    "[0:99]",
    "[a:z]",
    "[9:1]",
    "[00:05:0]",
    "=",
    "'",
    "\"",
    "#",
    "\n",
    "[g:children]\n",
    "[g:vars]\n",
    "g\n",
    "{",
    "}",
    "(",
    ",",
    "\\",
    "\u{85}",
    "é",
    "&a ",
    "*a ",
    "<<: ",
    "\0",
];

#[test]
fn files() {
    text_withstands(&[INI], PIECES, 1500, |t| drop(ini::read("damaged", t, &mut Inventory::new())));
    text_withstands(&[YAML], PIECES, 800, |t| drop(yaml::read("damaged", t, &mut Inventory::new())));
    text_withstands(&[TOML], PIECES, 500, |t| drop(toml::read("damaged", t, &mut Inventory::new())));
}

#[test]
fn patterns_and_values() {
    let pieces = [
        "a", ":", ",", "[", "]", "!", "&", "~", "*", "0", "-", "é", " ", "{", "}", "\\", "(", "?", "=", "'", "\"", "#",
        "\n", "[g]\n", ":vars]\n",
    ];
    let mut noise = Noise::default();
    let mut inv = Inventory::new();
    inv.add_host("a0", Some("ungrouped"), None);
    let read = |text: &str| {
        let _ = inv.select(text);
        let _ = ini::read("damaged", text, &mut Inventory::new());
        let _ = literal::evaluate(text, &|s| Value::plain(s));
    };
    for _ in 0..3_000 {
        read(&noise.text(&pieces, 12));
    }
    let seeds = ["web:&db:!h[1:2],~a.*b", "{'a': [1, (2, None)], 'b': \"x\\n\", 3: -1.5e3}"];
    text_withstands(&seeds, &pieces, 1_500, read);
}
