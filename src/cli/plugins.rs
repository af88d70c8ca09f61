//! Filters, tests and lookups in Python that stand beside playbooks and in roles. They would run on the
//! controller; what a playbook uses of them is refused before any host is touched.

use crate::diag::{self, Error, Result, Span};
use crate::playbook::Loader;
use crate::template::{filters, tests};
use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use std::collections::BTreeMap;

/// The kinds, their folders, and what a use looks like before the name.
const KINDS: [(&str, &str, &str); 3] = [
    ("filter", "filter_plugins", r"\|\s*"),
    ("test", "test_plugins", r"\bis\s+(?:not\s+)?"),
    ("lookup", "lookup_plugins", r#"(?:\b(?:lookup|query|q)\(\s*['"]|\bwith_)"#),
];

/// Refuses the first use of such a plug-in in the files read so far. `lookup` tells of the lookups there are.
pub fn refuse(loader: &Loader, lookup: &dyn Fn(&str) -> bool) -> Result<()> {
    for (kind, folder, before) in KINDS {
        let own = |name: &str| match kind {
            "filter" => filters::is_filter(name),
            "test" => tests::is_test(name),
            _ => lookup(name),
        };
        let mut found = BTreeMap::new();
        for dir in loader.options.library.folders(folder) {
            plugins(kind, &dir, &mut found);
        }
        found.retain(|name, _| !own(name));
        if found.is_empty() {
            continue;
        }
        let names: Vec<String> = found.keys().map(|n| regex::escape(n)).collect();
        let Ok(uses) = Regex::new(&format!(r"{before}({})\b", names.join("|"))) else { continue };
        for id in loader.sources() {
            let Some(source) = diag::source(id) else { continue };
            let Some(m) = uses.captures_iter(&source.text).filter_map(|c| c.get(1)).find(|m| {
                let line = source.text.get(..m.start()).and_then(|t| t.rsplit('\n').next()).unwrap_or_default();
                !line.trim_start().starts_with('#')
            }) else {
                continue;
            };
            let path = found.get(m.as_str()).map(|p| p.as_str()).unwrap_or_default();
            return Err(Error::parse(format!(
                "the {kind} '{}' is a plug-in in Python that would run on the controller ({path}), which is not supported",
                m.as_str()
            ))
            .at(Span::new(id, m.start(), m.end())));
        }
    }
    Ok(())
}

/// The filters or tests that a file in Python gives.
pub(super) fn names_in(path: &Utf8Path, found: &mut BTreeMap<String, Utf8PathBuf>) {
    let Ok(keys) = table_keys() else { return };
    let Ok(text) = std::fs::read_to_string(path) else { return };
    for c in keys.captures_iter(&text) {
        if let Some(name) = c.get(1).or(c.get(2)) {
            found.insert(name.as_str().to_string(), path.to_owned());
        }
    }
}

/// The table that a plug-in answers: 'name': function.
fn table_keys() -> std::result::Result<Regex, regex::Error> {
    Regex::new(r#"['"]([A-Za-z_]\w*)['"]\s*:|\b([A-Za-z_]\w*)\s*=\s*[A-Za-z_]\w*\s*[,)]"#)
}

/// The names that the plug-ins of a folder give, with their files.
fn plugins(kind: &str, dir: &Utf8Path, found: &mut BTreeMap<String, Utf8PathBuf>) {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        let path = entry.path();
        let (Some(stem), Some("py")) = (path.file_stem(), path.extension()) else { continue };
        if kind == "lookup" {
            found.insert(stem.to_string(), path.to_owned());
            continue;
        }
        names_in(path, found);
    }
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::playbook::{Library, LoaderOptions, load_playbook};
    use crate::value::Map;
    use std::sync::Arc;

    fn refused(book: &str) -> Option<String> {
        let t = tempfile::tempdir().expect("a directory");
        let root = Utf8Path::from_path(t.path()).expect("UTF-8");
        let put = |name: &str, text: &str| {
            let p = root.join(name);
            std::fs::create_dir_all(p.parent().expect("has one")).expect("made");
            std::fs::write(p, text).expect("written");
        };
        put("filter_plugins/f.py", "class FilterModule:\n  def filters(self):\n    return {'mine': f, 'upper': g}\n");
        put("test_plugins/t.py", "class TestModule:\n  def tests(self):\n    return dict(odd_one=t)\n");
        put("lookup_plugins/find.py", "class LookupModule: pass\n");
        put("site.yml", book);
        let loader = Loader::new(LoaderOptions {
            roles_path: vec![],
            collections_path: vec![],
            decrypt: Box::new(|t| Ok(t.to_string())),
            render: Box::new(|v, _| Ok(v.clone())),
            library: Arc::new(Library::built_in(crate::actions::known)),
        });
        load_playbook(&loader, &root.join("site.yml"), &Map::new()).expect("loads");
        refuse(&loader, &|n| n == "env").err().map(|e| {
            let place = e.span().map(|s| format!("{:?}", s.line_col())).unwrap_or_default();
            format!("{place} {}", e.message().split(" is a plug-in").next().unwrap_or_default())
        })
    }

    #[test]
    fn what_is_used_is_refused() {
        let task = |t: &str| refused(&format!("- hosts: all\n  tasks:\n  - {t}\n"));
        assert_eq!(task("debug: msg={{ x | mine }}").as_deref(), Some("(3, 23) the filter 'mine'"));
        assert_eq!(task("{debug: , when: x is not odd_one}").as_deref(), Some("(3, 30) the test 'odd_one'"));
        assert_eq!(task("debug: msg={{ query('find', 1) }}").as_deref(), Some("(3, 26) the lookup 'find'"));
        assert_eq!(task("debug: msg={{ x | upper }}"), None);
        assert_eq!(task("debug: msg={{ lookup('env', 'mine') }}\n  # x | mine"), None);
    }
}
