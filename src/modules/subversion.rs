//! `subversion`: checkouts and exports of Subversion repositories, by the host's svn.

use super::support::exec::{Cmd, Output, need_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use serde_json::{Value as Json, json};
use std::path::Path;

pub fn module() -> Module {
    let flag = |n: &str, on: bool, d: &str| Arg::bool(n).default(on).doc(d);
    Module {
        name: "subversion",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("repo").required().aliases(&["name", "repository"]).doc("The repository's URL."),
            Arg::path("dest").doc("Where the working copy shall be."),
            Arg::str("revision").default("HEAD").aliases(&["rev", "version"]).doc("The revision."),
            flag("force", false, "Throw away local modifications."),
            flag("in_place", false, "Check out over a directory that is no working copy."),
            Arg::str("username").doc("The user, for the server."),
            Arg::str("password").secret().doc("The password; it travels on stdin where svn can (1.10 and later)."),
            Arg::path("executable").doc("The svn to use."),
            flag("checkout", true, "Check out if there is nothing yet."),
            flag("update", true, "Update if there is a working copy already."),
            flag("export", false, "Export instead of checking out."),
            flag("switch", true, "Switch the working copy to the URL before updating."),
            flag("validate_certs", false, "Verify the server's certificate."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Deploys a subversion repository\n\nNeeds svn on the host. Externals are not looked at.",
        run,
    }
}

struct Svn<'a, 'c> {
    ctx: &'a Ctx<'c>,
    args: &'a Args,
    program: String,
    /// svn reads the password from its stdin.
    from_stdin: bool,
}

impl Svn<'_, '_> {
    fn cmd(&self, words: &[&str]) -> Cmd {
        let a = self.args;
        let mut c = Cmd::new([self.program.as_str(), "--non-interactive", "--no-auth-cache"]).c_locale();
        if !a.bool("validate_certs") {
            c = c.arg("--trust-server-cert");
        }
        if let Some(u) = a.opt_str("username").filter(|u| !u.is_empty()) {
            c = c.args(["--username", u]);
        }
        if let Some(p) = a.opt_str("password").filter(|p| !p.is_empty()) {
            c = match self.from_stdin {
                true => c.arg("--password-from-stdin").stdin(format!("{p}\n")),
                false => c.args(["--password", p]),
            };
        }
        c.args(words.iter().copied())
    }
    fn must(&self, words: &[&str]) -> Result<Output, Failure> {
        self.cmd(words).must(self.ctx)
    }
    fn dest(&self) -> &str {
        self.args.str("dest")
    }
    fn is_working_copy(&self) -> Result<bool, Failure> {
        Ok(self.cmd(&["info", self.dest()]).tried(self.ctx)?.ok())
    }
    /// The lines `Revision: N` and `URL: …` of what `info` says.
    fn state(&self) -> Result<(String, String), Failure> {
        let o = self.must(&["info", self.dest()])?;
        let revision = line_of(&o.out(), "Revision: ").ok_or("Unable to get revision")?;
        let url = line_of(&o.out(), "URL: ").ok_or("Unable to get URL")?;
        Ok((revision, url))
    }
    fn revision_of(&self, words: &[&str]) -> Result<String, Failure> {
        let o = self.must(words)?;
        Ok(line_of(&o.out(), "Revision: ").unwrap_or_else(|| "Unable to get remote revision".into()))
    }
    /// True if files under version control were changed here.
    fn is_edited(&self) -> Result<bool, Failure> {
        let o = self.must(&["status", "--quiet", "--ignore-externals", self.dest()])?;
        Ok(o.out().lines().any(|l| !l.is_empty() && !l.starts_with(['?', 'X'])))
    }
    fn revert(&self) -> Result<(), Failure> {
        self.must(&["revert", "-R", self.dest()]).map(drop)
    }
}

fn line_of(text: &str, begin: &str) -> Option<String> {
    text.lines().find(|l| l.starts_with(begin)).map(|l| l.trim_end().to_owned())
}

/// True if the output of a checkout, switch or update names a file that was touched.
fn touched(o: &Output) -> bool {
    o.out().lines().any(|l| {
        let state = l.get(..5).unwrap_or_default();
        l.len() > 5 && !state.trim().is_empty() && state.chars().all(|c| "ABCDEGRU ".contains(c))
    })
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let dest = args.str("dest");
    let (export, checkout, update) = (args.bool("export"), args.bool("checkout"), args.bool("update"));
    if dest.is_empty() && (checkout || update || export) {
        return Err("the destination directory must be specified unless checkout=no, update=no, and export=no".into());
    }
    let (repo, revision) = (args.str("repo"), args.str("revision"));
    for (name, value) in [("repo", repo), ("revision", revision), ("dest", dest)] {
        if value.starts_with('-') {
            let why = "must not begin with a dash, svn would take it for an option";
            return Err(Failure::new(format!("{name} {why}: {value}")));
        }
    }
    let program = match args.opt_str("executable") {
        Some(p) => p.to_owned(),
        None => need_program(ctx, "svn")?,
    };
    let mut svn = Svn { ctx, args, program, from_stdin: false };
    if args.is_set("password") {
        let o = Cmd::new([svn.program.as_str(), "--version", "--quiet"]).c_locale().must(ctx)?;
        let numbers: Vec<u32> = o.out().trim().split('.').map_while(|n| n.parse().ok()).collect();
        svn.from_stdin = numbers >= vec![1, 10];
    }
    if dest.is_empty() {
        return Ok(Outcome::ok().set("after", svn.revision_of(&["info", repo])?));
    }
    let mut before = Json::Null;
    let mut changed;
    if export || !Path::new(dest).exists() {
        if ctx.check {
            return Ok(Outcome::changed(true));
        }
        if !export && !checkout {
            return Ok(Outcome::ok());
        }
        if export {
            let force: &[&str] = if args.bool("force") { &["--force"] } else { &[] };
            svn.must(&[&["export"], force, &["-r", revision, repo, dest]].concat())?;
            return Ok(Outcome::changed(true));
        }
        svn.must(&["checkout", "-r", revision, repo, dest])?;
        changed = true;
    } else if svn.is_working_copy()? {
        if !update {
            return Ok(Outcome::ok());
        }
        if ctx.check {
            let now = svn.revision_of(&["info", dest])?;
            let then = svn.revision_of(&["info", "-r", revision, dest])?;
            let number = |s: &str| s.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            return Ok(Outcome::changed(number(&now) < number(&then)).set("before", now).set("after", then));
        }
        let (r, u) = svn.state()?;
        before = json!([r, u]);
        changed = svn.is_edited()?;
        if changed {
            if !args.bool("force") {
                return Err("ERROR: modified files exist in the repository.".into());
            }
            svn.revert()?;
        }
        if args.bool("switch") {
            changed |= touched(&svn.must(&["switch", "-r", revision, repo, dest])?);
        }
        changed |= touched(&svn.must(&["update", "-r", revision, dest])?);
    } else if args.bool("in_place") {
        if ctx.check {
            return Ok(Outcome::changed(true));
        }
        svn.must(&["checkout", "--force", "-r", revision, repo, dest])?;
        changed = true;
        if args.bool("force") && svn.is_edited()? {
            svn.revert()?;
        }
    } else {
        let why = "folder already exists, but its not a subversion repository.";
        return Err(Failure::new(format!("ERROR: {dest} {why}")));
    }
    let (r, u) = svn.state()?;
    let after = json!([r, u]);
    changed |= before != after;
    Ok(Outcome::changed(changed).set("before", before).set("after", after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::support::testkit::bench;

    #[test]
    fn what_svn_says() {
        let o = |t: &str| Output { stdout: t.into(), ..Output::default() };
        assert!(touched(&o("Updating 'x':\nU    x/f\nUpdated to revision 2.\n")));
        assert!(touched(&o(" U   .\n")));
        assert!(!touched(&o("Updating 'x':\nAt revision 2.\n")) && !touched(&o("")));
        assert_eq!(line_of("Path: x\nURL: file:///r\nRevision: 4\n", "Revision: ").as_deref(), Some("Revision: 4"));
    }

    #[test]
    fn a_working_copy() {
        let b = bench("subversion");
        let script = "svnadmin create up && svn -q checkout file://$PWD/up wc && cd wc && echo 1 > f && svn -q add f && svn -q commit -m 1 && echo 2 > f && svn -q commit -m 2";
        let here = b.at("").to_string_lossy().into_owned();
        let o = Cmd::new(["sh", "-c", script]).cwd(here).run_with(&[]).expect("sh runs");
        if o.err().contains("not found") {
            return;
        }
        assert!(o.ok(), "{}", o.err());
        let args = json!({"repo": "file://$D/up", "dest": "$D/co", "revision": "1"});
        assert_eq!(b.check(args.clone())["changed"], true);
        assert_eq!(b.real(args.clone())["before"], Json::Null);
        assert_eq!((b.real(args)["changed"].clone(), b.read("co/f")), (json!(false), "1\n".into()));
        let head = json!({"repo": "file://$D/up", "dest": "$D/co"});
        let r = b.real(head.clone());
        assert_eq!(
            (&r["changed"], &r["after"][0], b.read("co/f")),
            (&json!(true), &json!("Revision: 2"), "2\n".into())
        );
        std::fs::write(b.at("co/f"), "edited").expect("written");
        assert_eq!(b.real(head)["msg"], "ERROR: modified files exist in the repository.");
        let force = json!({"repo": "file://$D/up", "dest": "$D/co", "force": true});
        assert_eq!((b.real(force)["changed"].clone(), b.read("co/f")), (json!(true), "2\n".into()));
    }

    #[test]
    fn refusals() {
        let b = bench("subversion").dir("plain");
        let msg = |a| b.real(a)["msg"].as_str().unwrap_or_default().to_owned();
        let none = "the destination directory must be specified unless checkout=no, update=no, and export=no";
        assert_eq!(msg(json!({"repo": "file:///x"})), none);
        assert!(msg(json!({"repo": "--config-dir=/x", "dest": "$D/x"})).starts_with("repo must not begin"));
    }
}
