//! What a name of the argument `name` is: a package, a file, a URL, a group.

use super::{Dialect, Job};
use crate::modules::support::exec::Output;
use crate::modules::support::{http, webargs};
use crate::modules::{Args, Failure};
use serde_json::json;
use std::io::Write;

/// The names that are asked for; a string of them has commas between.
pub(super) fn asked(args: &Args) -> Result<Vec<String>, Failure> {
    let given = args.strings("name");
    let names: Vec<String> = given.iter().flat_map(|n| n.split(',')).map(|n| n.trim().to_owned()).collect();
    // An empty name among others is one that is not found; alone it is none.
    if names.iter().all(String::is_empty) {
        return Ok(vec![]);
    }
    let spaced = |n: &String| n.contains(char::is_whitespace) && !n.contains(['@', '<', '>', '=']);
    if names.iter().any(spaced) {
        return Err("It appears that a space separated string of packages was passed in as an argument. \
            To operate on several packages, pass a comma separated string of packages or a list of packages."
            .into());
    }
    Ok(names)
}

/// True for a package file or a URL.
pub(super) fn is_file(name: &str) -> bool {
    name.ends_with(".rpm") || name.contains("://")
}

/// True for what the tool would not take for a name.
pub(super) fn is_no_name(name: &str) -> bool {
    name.is_empty() || name.starts_with('-')
}

/// A package file as the tool gets it; `kept` holds what was downloaded for it.
pub(super) struct File {
    pub path: String,
    /// The package in it, where rpm can read it.
    pub package: Option<String>,
    pub kept: Option<tempfile::NamedTempFile>,
}

/// A group or an environment of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    pub environment: bool,
    pub installed: bool,
}

impl Group {
    /// Reads `dnf group list hidden ids`.
    fn parse(said: &str) -> Vec<Group> {
        let (mut all, mut environment, mut installed) = (vec![], false, false);
        for line in said.lines() {
            if !line.starts_with(' ') {
                (environment, installed) = (line.contains("Environment"), line.starts_with("Installed"));
            } else if let Some((name, id)) = line.trim().strip_suffix(')').and_then(|l| l.rsplit_once(" (")) {
                all.push(Group { id: id.to_owned(), name: name.to_owned(), environment, installed });
            }
        }
        all
    }
    /// The group that `@spec` names.
    pub(super) fn find<'a>(all: &'a [Group], spec: &str) -> Option<&'a Group> {
        let spec = spec.strip_prefix('@')?;
        all.iter().find(|g| g.id == spec || g.name == spec)
    }
}

impl Job<'_, '_> {
    /// All groups, if one of the names is one and the tool tells of them in a form for programs.
    pub(super) fn groups(&self, names: &[String]) -> Result<Vec<Group>, Failure> {
        if self.dialect != Dialect::Dnf4 || !names.iter().any(|n| n.starts_with('@')) {
            return Ok(vec![]);
        }
        let o = self.asks(&["group", "list", "hidden", "ids"])?;
        match trouble(&o) {
            Some(e) => Err(e),
            None => Ok(Group::parse(&o.out())),
        }
    }

    /// The file of a name: downloaded, if it is a web server's.
    pub(super) fn file(&self, name: &str) -> Result<File, Failure> {
        let mut file =
            File { path: name.strip_prefix("file://").unwrap_or(name).to_owned(), package: None, kept: None };
        if name.starts_with("http://") || name.starts_with("https://") {
            let failed = |why: String| Failure::new(format!("Failure downloading {name}, {why}"));
            let mut answer = http::send(webargs::plain(name, self.args.bool("validate_certs"))).map_err(failed)?;
            if !(200..300).contains(&answer.status) {
                return Err(failed(answer.msg.clone()));
            }
            let mut temp = tempfile::Builder::new().suffix(".rpm").tempfile()?;
            std::io::copy(&mut answer.reader(), &mut temp)?;
            temp.flush()?;
            file.path = temp.path().to_string_lossy().into_owned();
            file.kept = Some(temp);
        }
        // Another URL is the tool's affair.
        if !file.path.contains("://") {
            let o = self.rpm(&["-qp", "--qf", "%{NAME}", &file.path])?;
            if !o.ok() {
                let msg = format!("Error occurred attempting remote rpm operation: Could not open: {}", file.path);
                return Err(Failure::new(msg).set("rc", 1).set("results", json!([])));
            }
            file.package = Some(o.out().trim().to_owned());
        }
        Ok(file)
    }
}

/// The failure of a repository that cannot be read.
pub(super) fn trouble(o: &Output) -> Option<Failure> {
    const WORDS: [&str; 2] = ["Failed to download metadata for repo ", "Cache-only enabled but no cache for "];
    let said = o.err();
    let why =
        said.lines().filter_map(|l| l.strip_prefix("Error: ")).find(|l| WORDS.iter().any(|w| l.starts_with(w)))?;
    Some(Failure::new(why).set("rc", 1).set("results", json!([])))
}

#[test]
fn groups_are_read() {
    let said = "Installed Environment Groups:\n   A Place (place)\nAvailable Groups:\n   Things (old) (things)\n";
    let all = Group::parse(said);
    assert_eq!(Group::find(&all, "@A Place").map(|g| (g.environment, g.installed)), Some((true, true)));
    let things = Group::find(&all, "@things");
    assert_eq!(things.map(|g| (g.name.as_str(), g.environment, g.installed)), Some(("Things (old)", false, false)));
    assert_eq!((Group::find(&all, "things"), Group::find(&all, "@none")), (None, None));
}
