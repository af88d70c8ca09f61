//! `debconf`: answers to the questions that Debian packages ask when they are set up.

use super::support::exec::{self, Cmd};
use super::{Arg, Args, Ctx, Diff, Failure, ModResult, Module, Outcome, Spec, Support, json_text};
use serde_json::{Map, Value as Json};

pub fn module() -> Module {
    Module {
        name: "debconf",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("name").required().aliases(&["pkg"]).doc("The package."),
            Arg::str("question").aliases(&["selection", "setting"]).doc("The question."),
            Arg::str("vtype")
                .choices(&[
                    "boolean",
                    "error",
                    "multiselect",
                    "note",
                    "password",
                    "seen",
                    "select",
                    "string",
                    "text",
                    "title",
                ])
                .doc("The kind of the question."),
            Arg::raw("value").aliases(&["answer"]).doc("The answer; a list for multiselect."),
            Arg::bool("unseen").default(false).doc("The question counts as not asked yet."),
        ])
        .together(&["question", "vtype", "value"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Configure a .deb package\n\n\
              Without a question the answers that are known are told. Passwords need `debconf-get-selections` to be \
              compared, and stand in results: use no_log.",
        run,
    }
}

fn failed(o: &exec::Output) -> Failure {
    Failure::new(if o.stderr.is_empty() { o.out() } else { o.err() })
}

/// The answers that debconf has for a package.
fn known(ctx: &Ctx, package: &str) -> Result<Map<String, Json>, Failure> {
    let tool = exec::need_program(ctx, "debconf-show")?;
    let o = Cmd::new([tool.as_str(), package]).c_locale().run(ctx)?;
    if !o.ok() {
        return Err(failed(&o));
    }
    let pair = |l: &str| {
        let (q, a) = l.split_once(':')?;
        Some((q.trim_start_matches('*').trim().to_owned(), Json::from(a.trim())))
    };
    Ok(o.out().lines().filter_map(pair).collect())
}

/// A password, which `debconf-show` does not tell.
fn password(ctx: &Ctx, package: &str, question: &str) -> Result<String, Failure> {
    let tool = exec::need_program(ctx, "debconf-get-selections")?;
    let o = Cmd::new([tool]).c_locale().run(ctx)?;
    if !o.ok() {
        return Err(failed(&o));
    }
    let found = o.out().lines().find_map(|l| {
        let mut f = l.splitn(4, '\t');
        let hit = f.next() == Some(package) && f.next() == Some(question) && f.next() == Some("password");
        f.next().filter(|_| hit).map(str::to_owned)
    });
    Ok(found.unwrap_or_default())
}

fn answer(vtype: &str, v: &Json) -> Result<String, Failure> {
    match (vtype, v) {
        ("multiselect", Json::Array(l)) => Ok(l.iter().map(json_text).collect::<Vec<_>>().join(", ")),
        (_, Json::Array(_) | Json::Object(_)) => {
            Err(Failure::new(format!("value must be text for vtype {vtype}; a list is for multiselect")))
        }
        ("boolean", v) => Ok(json_text(v).to_lowercase()),
        (_, v) => Ok(json_text(v)),
    }
}

/// Whether the answer that is there is the one wanted. The order of a list does not count; that of a text does.
fn same(vtype: &str, have: &str, want: &str, given: &Json) -> bool {
    let set = |t: &str| {
        let mut l: Vec<String> = t.split(',').map(|x| x.trim().to_owned()).collect();
        l.sort();
        l
    };
    match vtype {
        "multiselect" if given.is_array() => set(have) == set(want),
        "boolean" => have.eq_ignore_ascii_case(want),
        _ => have == want,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let name = args.str("name");
    if name.is_empty() || name.starts_with('-') {
        return Err(Failure::new(format!("'{name}' is not the name of a package")));
    }
    let before = known(ctx, name)?;
    let unchanged = |before: Map<String, Json>| Ok(Outcome::ok().msg("").set("current", before));
    let Some(question) = args.opt_str("question") else { return unchanged(before) };
    let vtype = args.str("vtype");
    let want = answer(vtype, args.get("value"))?;
    if want.contains(['\n', '\r']) || question.contains(['\n', '\r']) {
        return Err("question and value must be one line each".into());
    }
    if let Some(old) = before.get(question).and_then(Json::as_str) {
        let old = if vtype == "password" { password(ctx, name, question)? } else { old.to_owned() };
        if same(vtype, &old, &want, args.get("value")) {
            return unchanged(before);
        }
    }
    let mut said = String::new();
    if !ctx.check {
        let mut c = Cmd::new([exec::need_program(ctx, "debconf-set-selections")?]);
        if args.bool("unseen") {
            c = c.arg("-u");
        }
        let o = c.stdin(format!("{name} {question} {vtype} {want}")).run(ctx)?;
        if !o.ok() {
            return Err(failed(&o));
        }
        said = o.out();
    }
    let mut previous = Map::new();
    match before.get(question) {
        Some(old) => drop(previous.insert(question.into(), old.clone())),
        None => {
            previous = before;
            previous.insert(question.into(), "".into());
        }
    }
    let mut after = previous.clone();
    // a list that is only predicted is shown as the task has it
    let shown = if ctx.check && args.get("value").is_array() { args.get("value").clone() } else { want.into() };
    after.insert(question.into(), shown.clone());
    let current: Map<String, Json> = [(question.to_owned(), shown)].into_iter().collect();
    let o = Outcome::changed(true).msg(said).set("current", current).set("previous", previous.clone());
    Ok(o.with_diff(Diff::new(previous, after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{find, run};
    use serde_json::json;

    const SHOW: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"; cat db\n";
    const SET: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"; echo \"$*\" >> log\nread -r p q t v\n[ \"$v\" = bad ] && { echo no >&2; exit 1; }\ngrep -v \"^. $q:\" db > d2; echo \"* $q: $v\" >> d2; mv d2 db\n";
    const GET: &str = "#!/bin/sh\nprintf 'demo\\tdemo/pw\\tpassword\\tgeheim\\n'\n";

    #[test]
    fn answers_are_told_set_and_kept() {
        let d = tempfile::tempdir().expect("a directory");
        for (n, text) in [("debconf-show", SHOW), ("debconf-set-selections", SET), ("debconf-get-selections", GET)] {
            std::fs::write(d.path().join(n), text).expect("written");
            let x = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(d.path().join(n), x).expect("set");
        }
        std::fs::write(d.path().join("db"), "* demo/a: one\n  demo/b:\n* demo/pw: (password omitted)\n")
            .expect("written");
        let call = |args: Json, check| {
            let path = format!("{}:/usr/bin:/bin", d.path().display());
            let mut ctx = Ctx { check, env: vec![("PATH".into(), path)], ..Ctx::bare() };
            run(find("debconf").expect("known"), &mut ctx, args.as_object().expect("an object"))
        };
        let ask = |q: &str, t: &str, v: Json| json!({"name": "demo", "question": q, "vtype": t, "value": v});
        let all = json!({"demo/a": "one", "demo/b": "", "demo/pw": "(password omitted)"});
        assert_eq!(call(json!({"name": "demo"}), false)["current"], all);
        assert_eq!(call(ask("demo/a", "select", json!("two")), true)["changed"], true);
        let r = call(ask("demo/a", "select", json!("two")), false);
        assert_eq!((&r["previous"], &r["current"]), (&json!({"demo/a": "one"}), &json!({"demo/a": "two"})));
        assert_eq!(call(ask("demo/a", "select", json!("two")), false)["changed"], false);
        let r = call(ask("demo/new", "boolean", json!(true)), false);
        assert_eq!((&r["previous"]["demo/new"], &r["current"]), (&json!(""), &json!({"demo/new": "true"})));
        assert_eq!(call(ask("demo/new", "boolean", json!("True")), false)["changed"], false);
        assert_eq!(call(ask("demo/m", "multiselect", json!(["x", "y"])), false)["changed"], true);
        assert_eq!(call(ask("demo/m", "multiselect", json!(["y", "x"])), false)["changed"], false);
        assert_eq!(call(ask("demo/pw", "password", json!("geheim")), false)["changed"], false);
        assert_eq!(call(ask("demo/a", "string", json!("bad")), false)["msg"], "no\n");
        let r = call(json!({"name": "demo", "question": "q"}), false);
        assert_eq!(r["msg"], "parameters are required together: question, vtype, value");
        assert_eq!(call(ask("demo/a", "string", json!(["x"])), false)["failed"], true);
    }
}
