use super::*;

fn opts(j: &serde_json::Value) -> EmitOptions {
    let int = |k: &str, d: i32| j.get(k).and_then(|v| v.as_i64()).map_or(d, |v| v as i32);
    let flag = |k: &str, d: bool| j.get(k).and_then(|v| v.as_bool()).unwrap_or(d);
    EmitOptions {
        indent: int("indent", 2),
        width: int("width", 80),
        sort_keys: flag("sort_keys", true),
        default_flow_style: j.get("default_flow_style").and_then(|v| v.as_bool()),
        explicit_start: flag("explicit_start", false),
        explicit_end: flag("explicit_end", false),
        allow_unicode: flag("allow_unicode", true),
        literal_lines: flag("literal_lines", false),
        default_style: j.get("default_style").and_then(|v| v.as_str()).and_then(|s| s.chars().next()),
        aliases: false,
        canonical: flag("canonical", false),
    }
}

/// Expectations recorded from `yaml.dump(value, Dumper=AnsibleDumper, …)`, PyYAML 6.0.3 with libyaml.
#[test]
fn emission_is_pyyamls() {
    let cases: Vec<(serde_json::Value, serde_json::Value, String)> =
        serde_json::from_str(include_str!("testdata/emit.json")).expect("recorded cases");
    let mut wrong = Vec::new();
    for (value, how, want) in &cases {
        let got = emit(&Value::from_json(value.clone()), &opts(how));
        if got != *want {
            wrong.push(format!("{value} {how}\n got {got:?}\nwant {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Accepted or refused, and the value, recorded from `yaml.load(text, Loader=yaml.CSafeLoader)`.
#[test]
fn reading_is_pyyamls() {
    let cases: Vec<(String, bool, serde_json::Value)> =
        serde_json::from_str(include_str!("testdata/parse.json")).expect("recorded cases");
    let mut wrong = Vec::new();
    for (text, accepted, want) in &cases {
        let got = parse_value(text);
        let same = match &got {
            Ok(v) => *accepted && v.to_json() == *want,
            Err(_) => !accepted,
        };
        if !same {
            wrong.push(format!("{text:?}\n got {got:?}\nwant {accepted} {want}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn doc(text: &str) -> Document {
    parse_str("t.yml", text).expect(text)
}

fn fails(text: &str) -> (String, usize, usize) {
    let e = parse_str("t.yml", text).expect_err(text);
    let (l, c) = e.span().map_or((0, 0), |s| s.line_col());
    (e.message().trim_start_matches("YAML parsing failed: ").to_string(), l, c)
}

/// Words and places recorded from ansible-playbook 2.19.
#[test]
fn error_words() {
    let template = "This may be an issue with missing quotes around a template block.";
    let colons = "Colons in unquoted values must be followed by a non-space character.";
    for (text, words, line, col) in [
        ("- hosts: localhost\n  vars:\n    a: {{ foo }}\n    b: 1\n", template, 3, 8),
        ("- hosts: localhost\n\ttasks: 1\n", "Tabs are usually invalid in YAML.", 2, 1),
        ("- a:\n    - \"xx\n", "While scanning a quoted scalar found unexpected end of stream.", 3, 1),
        ("- hosts: localhost\n  tasks:\n    - debug: foo: bar\n", colons, 3, 17),
        (
            "- hosts: localhost\n  tasks:\n    - name: \"foo\" bar\n",
            "Values starting with a quote must end with the same quote.",
            3,
            13,
        ),
        ("- hosts:localhost\n  tasks:\n    - name: x\n", colons, 2, 8),
        ("- a: 1\n  b: *zz\n", "Found undefined alias.", 2, 6),
        ("- a: 1\n  b: !foo 3\n", "Could not determine a constructor for the tag '!foo'.", 2, 6),
        ("- h: l\n  tasks:\n   - debug:\n  foo\n", "While scanning a simple key could not find expected ':'.", 5, 1),
        ("- h: l\n---\n- h: l\n", "Expected a single document in the stream but found another document.", 2, 1),
        (
            "- h: l\n  name: @foo\n",
            "While scanning for the next token found character that cannot start any token.",
            2,
            9,
        ),
        (
            "- h: l\n  name: [a, b\n  foo: bar\n",
            "While parsing a flow sequence did not find expected ',' or ']'.",
            3,
            6,
        ),
    ] {
        assert_eq!(fails(text), (words.to_string(), line, col), "{text}");
    }
    assert!(fails("a: foo\u{1}bar").0.starts_with("unacceptable character #x0001: control characters are not allowed"));
}

#[test]
fn places_are_bytes_and_columns_characters() {
    let d = doc("é: [ü, x]\nb: !unsafe\n  c: 'ä'\n");
    let x = &d.root.get("é").and_then(|n| n.as_seq()).expect("list")[1];
    assert_eq!((x.span.start, x.span.end), (9, 10));
    assert_eq!(x.span.line_col(), (1, 8));
    let c = d.root.get("b").and_then(|b| b.get("c")).expect("c");
    assert_eq!(c.span.line_col(), (3, 6));
    assert!(matches!(c.kind, NodeKind::Unsafe(_)));
}

#[test]
fn duplicates_and_merges() {
    let d = doc("base: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3\n  z: 4\n  z: 5\n");
    let a = d.root.get("a").expect("a").to_value();
    assert_eq!(a.to_str(), "{'x': 1, 'y': 3, 'z': 5}");
    let words: Vec<_> = d.warnings.iter().map(|w| (w.message().to_string(), w.span().map(|s| s.line_col()))).collect();
    assert_eq!(
        words,
        [
            ("Found duplicate mapping key 'y'.".to_string(), Some((4, 3))),
            ("Found duplicate mapping key 'z'.".to_string(), Some((6, 3)))
        ]
    );
    let d = doc("m: [&p {a: 1}, &q {a: 2, b: 3}]\nr: {<<: [*p, *q]}\n");
    assert_eq!(d.root.get("r").expect("r").to_value().get("a"), Some(&Value::Int(1)));
}

#[test]
fn tags() {
    let d = doc(
        "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  31\nb: !unsafe '{{ x }}'\nc: '{{ x }}'\nd: !!str 12\ne: !!int '7'\nf: !!set {p, q}\n",
    );
    let v = d.root.to_value();
    assert!(matches!(v.get("a"), Some(Value::Vault(_))));
    assert!(!v.get("b").expect("b").needs_render());
    assert!(v.get("c").expect("c").needs_render());
    assert_eq!(v.get("d"), Some(&Value::plain("12")));
    assert_eq!(v.get("e"), Some(&Value::Int(7)));
    assert_eq!(v.get("f").map(|f| f.to_str()), Some("['p', 'q']".into()));
    assert!(!parse_value("'{{ x }}'").expect("text").needs_render());
}

#[test]
fn json_files() {
    let v = |t: &str| doc(t).root.to_value();
    assert_eq!(v("{\"a\": 1e3, \"b\": [true, null, \"yes\"]}").to_str(), "{'a': 1000.0, 'b': [True, None, 'yes']}");
    assert_eq!(v("{\n\t\"a\":\t\"\\ud83d\\ude00\"\n}").get("a"), Some(&Value::plain("😀")));
    assert_eq!(v("{a: 1e3}").to_str(), "{'a': '1e3'}");
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let prev = format!("*a{}, ", i - 1).repeat(10);
        bomb += &format!("a{i}: &a{i} [{prev}]\n");
    }
    assert!(fails(&bomb).0.contains("too many nodes"));
    for open in ["[", "{", "- ", "? "] {
        let deep = open.repeat(5000);
        assert!(parse_str("deep.yml", &deep).is_err(), "{open}");
    }
    assert!(fails("a: &a [*a]\n").0.contains("undefined alias"));
}

#[test]
fn arbitrary_text_never_panics() {
    let pieces = [
        "a: b\n",
        "- ",
        "  ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "\"",
        "'",
        "|\n",
        "&a ",
        "*a",
        "!t ",
        "!!str ",
        "# c\n",
        "---\n",
        "...\n",
        "\t",
        "?",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "é",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\r\n",
        "\\x41",
        "\\u263a",
        "\\",
        "0",
        "|2-\n",
        "!<",
        "%",
        "@",
        "\u{1}",
        "😀",
        "<<",
        "!",
        "&",
        "*",
        "!!int ",
        "!!binary ",
        "!vault ",
        "!!timestamp 2001-1-1",
        "1:2",
        ".",
        "+",
        "-",
        "0x",
        "0b",
        "1e",
        "!!float ",
        "!!omap ",
        "!!set ",
    ];
    let mut noise = crate::damage::Noise::default();
    for _ in 0..20_000 {
        let text = noise.text(&pieces, 25);
        if let Ok(v) = parse_value(&text) {
            // What was read and written is read again as the same.
            let again = emit(&v, &EmitOptions { sort_keys: false, ..EmitOptions::default() });
            let back = parse_value(&again).unwrap_or_else(|e| panic!("{text:?} -> {again:?}: {e}"));
            assert_eq!(back.repr(), v.repr(), "{text:?} -> {again:?}");
        }
        let _ = parse_told(&text, true);
    }
}

#[test]
fn damaged_documents_are_an_error_or_a_value() {
    let seeds = [
        "- hosts: all\n  vars: {a: 1, 'b': [yes, 0x1f, 1:30, ~]}\n  tasks:\n    - name: \"x\\u263a\"\n      debug: msg=\"{{ a }}\"\n",
        "a: &a [x, y]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: {<<: {k: *c}, l: |-\n  text\n  more\n}\n",
        "%YAML 1.1\n---\nv: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\nu: !unsafe '{{ x }}'\n...\n",
    ];
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "? ",
        "&a ",
        "*a ",
        "*b, ",
        "<<: *a\n",
        "!!binary ",
        "!x",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "\\x",
        "#",
        "\t",
        "\n",
        "  ",
        "\u{feff}",
        "\u{2028}",
        "---\n",
        "%TAG ! !\n",
        "\0",
        "é",
    ];
    crate::damage::text_withstands(&seeds, &pieces, 1500, |text| {
        if let Ok(doc) = super::parse_str("damaged", text) {
            let _ = doc.root.to_value();
        }
    });
}

/// Every YAML file that ships, as this reader and serde_yaml (YAML 1.2) have it: nothing in them depends on the reader.
#[test]
fn what_ships_reads_the_same_elsewhere() {
    fn files(dir: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
        for e in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = e.path();
            match path.extension().and_then(|x| x.to_str()) {
                _ if e.file_type().is_ok_and(|t| t.is_dir()) => files(&path, out),
                Some("yml" | "yaml") => out.push(path),
                _ => {}
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![];
    ["playbooks", "roles", "inventories"].iter().for_each(|d| files(&root.join(d), &mut all));
    assert!(all.len() > 60, "only {} files", all.len());
    for path in all {
        let text = std::fs::read_to_string(&path).expect("a file that ships");
        let ours = parse_str("ships", &text).expect("it is YAML").root.to_value().to_json();
        let theirs: serde_json::Value = serde_yaml::from_str(&text).expect("it is YAML to others");
        assert_eq!(ours, theirs, "{}", path.display());
    }
}

/// What is written in any layout comes back from another reader as it was; texts that YAML 1.1 and 1.2 read
/// differently are in double quotes then.
#[test]
fn what_is_written_reads_the_same_elsewhere() {
    let texts = [
        "",
        " ",
        "yes",
        "No",
        "null",
        "~",
        "true",
        "1.5",
        "0x1f",
        "017",
        "1_000",
        "12:30",
        "2020-01-02",
        "a: b",
        "# c",
        "- d",
        "? e",
        "!f",
        "&g",
        "*h",
        "{i}",
        "[j]",
        "'k'",
        "\"l\"",
        "%m",
        "@n",
        "`o",
        "|",
        ">",
        "p\nq",
        "r\n",
        "\ns",
        "t\n\nu ",
        " v\n w",
        "x\ty",
        "é",
        "\u{1f600}",
        "\u{85}",
        "\u{7}",
        "{{ z }}",
        "long word ".repeat(30).as_str(),
        "...",
        "---",
        "=",
        "<<",
    ]
    .map(str::to_owned)
    .to_vec();
    let value = serde_json::json!({
        "texts": texts, "numbers": [0, -1, 1.5, 1e30, 12345678901234567_i64], "plain": [true, false, null],
        "deep": [[[]], {}, {"a": {"b": [{"c": []}, "d"]}}], "keys": {"yes": 1, "a b": 2, "": 3, "x: y": 4},
    });
    for (default_flow_style, indent) in [(None, 2), (Some(true), 2), (Some(false), 4), (Some(false), 8)] {
        for (width, allow_unicode) in [(20, true), (80, false), (i32::MAX, true)] {
            let o = EmitOptions { default_flow_style, indent, width, allow_unicode, ..Default::default() };
            let text = emit(&Value::from_json(value.clone()), &o);
            let theirs: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
            assert_eq!(theirs, value, "{o:?}\n{text}");
        }
    }
}
