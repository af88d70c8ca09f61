//! Documents as they are kept, and what is none, in libxml2's words.

use super::super::tree::ROOT;
use super::super::write::{Style, document, tree};
use super::*;

fn fault(text: &str) -> String {
    match parse(text, Keep::default()) {
        Ok(_) => "no fault".into(),
        Err(f) => format!("{}, line {}, column {}", f.words, f.line, f.column),
    }
}

fn kept(text: &str) -> String {
    tree(&parse(text, Keep::default()).unwrap(), ROOT, Style::default())
}

#[test]
fn nothing_is_lost() {
    for same in [
        "<!-- hi --><?pi some?><a>\n</a><!-- bye -->",
        "<!-- c --><!DOCTYPE a>\n<!--d--><a/>",
        "<!DOCTYPE a PUBLIC \"-//P\" \"x.dtd\">\n<a/>",
        "<!DOCTYPE a [\n<!ELEMENT a (b , c?)*>\n<!-- c -->\n<!ATTLIST a k CDATA \">\">\n]>\n<a/>",
        "<a zz=\"1\"><![CDATA[x<y]]>z<![CDATA[]]></a>",
        "<a k=\"&lt;&gt;&amp;&quot;'&#10;&#9;&#13;x y\">x\ny&#13;</a>",
        "<a xmlns=\"u\" xmlns:x=\"w\" b=\"1\" x:c=\"2\" d=\"3\"><x:e xmlns:x=\"w\" x:f=\"1\"/><e xmlns=\"\"/></a>",
        "<a xml:space=\"preserve\" xml:lang=\"en\"> <b/> </a>",
    ] {
        assert_eq!(kept(same), same);
    }
    assert_eq!(
        kept("\u{feff}<a  b = \"1\"   c='\"' ><b ></b >\r\n<c   /></a >\n"),
        "<a b=\"1\" c=\"&quot;\"><b/>\n<c/></a>"
    );
    assert_eq!(kept("<a>&#65;&#x42;&lt;&gt;&amp;&quot;&apos;</a>"), "<a>AB&lt;&gt;&amp;\"'</a>");
    let d = parse("<?xml version=\"1.1\" encoding='x' standalone='yes'?>\n<a/>", Keep::default()).unwrap();
    assert_eq!(document(&d, false), "<?xml version='1.1' encoding='UTF-8'?>\n<a/>");
}

#[test]
fn entities_of_the_document() {
    let t = "<!DOCTYPE a [<!ENTITY x \"y&#38;amp;z\"> <!ENTITY t \"<b>&x;</b>\">]><a k='&x;'>&t; q</a>";
    let out = kept(t);
    assert!(out.ends_with("]>\n<a k=\"y&amp;z\"><b>y&amp;z</b> q</a>"), "{out}");
    assert_eq!(fault("<a>&unk;</a>"), "Entity 'unk' not defined, line 1, column 9");
    assert!(fault("<!DOCTYPE a [<!ENTITY x '&y;'><!ENTITY y '&x;'>]><a>&x;</a>").contains("loop"));
    let many = (0..20).map(|n| format!("<!ENTITY e{} '{}'>", n + 1, format!("&e{n};").repeat(10)));
    let bomb = format!("<!DOCTYPE a [<!ENTITY e0 'lol'>{}]><a>&e20;</a>", many.collect::<String>());
    assert!(fault(&bomb).contains("amplification"), "{}", fault(&bomb));
    assert!(fault("<!DOCTYPE a [<!ENTITY x '</a>'>]><a>&x;</a>").contains("element name"));
}

#[test]
fn blanks_between_elements() {
    let pretty = |t: &str| {
        tree(&parse(t, Keep { no_blanks: true, no_cdata: false }).unwrap(), ROOT, Style { pretty: true, ascii: false })
    };
    for (text, wanted) in [
        ("<a> <b/> <c> </c> <d>x <e/> </d> </a>", "<a>\n  <b/>\n  <c> </c>\n  <d>x <e/> </d>\n</a>\n"),
        ("<a>\n<!-- c -->\n<b/><?p q?></a>", "<a>\n  <!-- c -->\n  <b/>\n  <?p q?>\n</a>\n"),
        ("<a><b xml:space=\"preserve\"> <c/> </b></a>", "<a>\n  <b xml:space=\"preserve\"> <c/> </b>\n</a>\n"),
        ("<!-- x --><a><b/></a><!-- y -->", "<!-- x -->\n<a>\n  <b/>\n</a>\n<!-- y -->\n"),
        ("<a><![CDATA[ ]]><b/></a>", "<a><![CDATA[ ]]><b/></a>\n"),
        ("<a><b/>&#32;<c/></a>", "<a><b/> <c/></a>\n"),
        ("<a>x<b><c/></b></a>", "<a>x<b><c/></b></a>\n"),
    ] {
        assert_eq!(pretty(text), wanted, "{text}");
    }
}

#[test]
fn faults_in_the_words_and_at_the_place_of_libxml2() {
    for (text, wanted) in [
        ("", "Document is empty, line 1, column 1"),
        ("   ", "Start tag expected, '<' not found, line 1, column 4"),
        ("<a>", "Premature end of data in tag a line 1, line 1, column 4"),
        ("<a>\n<b></a>", "Opening and ending tag mismatch: b line 2 and a, line 2, column 8"),
        ("<a b></a>", "Specification mandates value for attribute b, line 1, column 5"),
        ("<a b=1/>", "AttValue: \" or ' expected, line 1, column 6"),
        ("<a b=\"1\" b=\"2\"/>", "Attribute b redefined, line 1, column 15"),
        ("<a/><b/>", "Extra content at the end of the document, line 1, column 5"),
        ("<a>&</a>", "xmlParseEntityRef: no name, line 1, column 5"),
        ("<a>&x</a>", "EntityRef: expecting ';', line 1, column 6"),
        ("<a x:b=\"1\"/>", "Namespace prefix x for b on a is not defined, line 1, column 11"),
        ("<x:a/>", "Namespace prefix x on a is not defined, line 1, column 5"),
        ("<a><!-- -- --></a>", "Double hyphen within comment: <!-- , line 1, column 9"),
        ("<a b=\"<\"/>", "Unescaped '<' not allowed in attributes values, line 1, column 7"),
        ("<1/>", "StartTag: invalid element name, line 1, column 2"),
        ("<a>]]></a>", "Sequence ']]>' not allowed in content, line 1, column 4"),
        ("<a>\u{1}</a>", "PCDATA invalid Char value 1, line 1, column 4"),
        ("<!-- x", "Comment not terminated, line 1, column 7"),
        (" <?xml version=\"1.0\"?><a/>", "XML declaration allowed only at the start of the document, line 1, column 7"),
        ("<a", "Couldn't find end of Start Tag a line 1, line 1, column 3"),
        ("<a b=\"1\"c=\"2\"/>", "attributes construct error, line 1, column 9"),
        ("<a>&#0;</a>", "xmlParseCharRef: invalid xmlChar value 0, line 1, column 8"),
    ] {
        assert_eq!(fault(text), wanted, "{text}");
    }
    assert!(fault(&"<a>".repeat(300)).starts_with("Excessive depth"));
}
