use super::*;
use std::os::unix::fs::PermissionsExt;

#[derive(serde::Deserialize)]
struct Case {
    kind: String,
    name: String,
    file: String,
    text: String,
    rc: i32,
    export: String,
    list: String,
    stderr: String,
}

/// The `[WARNING]` and `[ERROR]` sentences of Ansible's stderr, joined over wrapped lines.
fn sentences(stderr: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in stderr.lines() {
        let Some(text) = line.strip_prefix("[WARNING]: ").or(line.strip_prefix("[ERROR]: ")) else { continue };
        // Not ours: there are no plug-ins here, and deprecations are not announced.
        if text.starts_with("Deprecation warnings can") {
            continue;
        }
        let class = fancy_regex::Regex::new(r"<class '[a-z_.]*_AnsibleTagged(\w+)'>").expect("regex");
        out.push(class.replace_all(text, |c: &fancy_regex::Captures| c[1].to_lowercase()).into_owned());
    }
    out
}

/// Sentences that say more here than Ansible's do.
const DELIBERATE: [(&str, &str); 2] = [
    ("has no closing bracket", "not enough values to unpack"),
    ("could not be parsed as JSON", "could not be parsed as JSON"),
];

/// Odd inventories, with what `ansible-inventory` of ansible-core 2.19 said to them.
#[test]
fn odd_inventories_as_ansible() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../inventory/testdata/cases.json")).expect("recorded cases");
    let secrets = Arc::new(Secrets::default());
    let mut wrong = Vec::new();
    for c in &cases {
        let tmp = tempfile::tempdir().expect("dir");
        let dir = tmp.path().to_str().expect("utf-8");
        let path = format!("{dir}/{}", c.file);
        std::fs::write(&path, &c.text).expect("write");
        if c.kind == "script" {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        }
        let show = |export: bool| -> Result<(String, Vec<Error>)> {
            let options = crate::inventory::LoadOptions { secrets: secrets.clone(), ..Default::default() };
            let (inv, warnings) = Inventory::load(std::slice::from_ref(&path), &options)?;
            let args = Args { list: true, export, ..Args::default() };
            let (text, more) = args.show(&inv, &secrets, Map::new(), None)?;
            Ok((text, warnings.into_iter().chain(more).collect()))
        };
        let label = format!("{} {}", c.kind, c.name);
        match (show(true), show(false)) {
            (Ok((export, warnings)), Ok((list, _))) => {
                if c.rc != 0 {
                    wrong.push(format!("{label}: Ansible fails: {}", c.stderr));
                }
                for (got, want) in [(export, &c.export), (list, &c.list)] {
                    if got != *want {
                        let diff = similar::TextDiff::from_lines(want.as_str(), got.as_str());
                        wrong.push(format!("{label}:\n{}", diff.unified_diff().header("ansible", "dirigo")));
                    }
                }
                let got: Vec<String> = warnings.iter().map(|w| w.message().replace(dir, "DIR")).collect();
                let want = sentences(&c.stderr);
                let equal = got.len() == want.len()
                    && got.iter().zip(&want).all(|(g, w)| {
                        w.starts_with(g.as_str())
                            || g.starts_with(w.as_str())
                            || DELIBERATE.iter().any(|(a, b)| g.contains(a) && w.contains(b))
                    });
                if !equal {
                    wrong.push(format!("{label} warnings:\n got {got:#?}\nwant {want:#?}"));
                }
            }
            (Err(e), _) | (_, Err(e)) => {
                if c.rc == 0 {
                    wrong.push(format!("{label}: fails here: {e}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Groups, hosts and variables as TOML, read again by the TOML plug-in; what TOML cannot hold is named.
#[test]
fn toml_is_read_again() {
    let tmp = tempfile::tempdir().expect("dir");
    let dir = tmp.path().to_str().expect("utf-8");
    let secrets = Arc::new(Secrets::default());
    let load = |name: &str, text: &str| {
        let path = format!("{dir}/{name}");
        std::fs::write(&path, text).expect("write");
        Inventory::load(&[path], &load::LoadOptions::default()).expect("loads").0
    };
    let show = |inv: &Inventory, toml: bool| {
        let args = Args { list: true, export: true, toml, ..Args::default() };
        args.show(inv, &secrets, Map::new(), None).map(|(text, _)| text)
    };
    let ini = "[g]\nh1 a=1 b='x \"y\"' c='[1, {\"k\": true}]'\n[p:children]\ng\n[p:vars]\nz=1.5\n";
    let first = load("hosts", ini);
    let text = show(&first, true).expect("TOML");
    assert!(text.contains("[g.hosts.h1]") && text.contains("[p.vars]"), "{text}");
    let second = load("hosts.toml", &text);
    assert_eq!(show(&first, false).expect("JSON"), show(&second, false).expect("JSON"));
    let e = show(&load("null", "h1 a=[None]\n"), true).expect_err("no null");
    assert!(e.message().starts_with("ungrouped.hosts.h1.a[0] cannot be written as TOML"), "{e:?}");
}
