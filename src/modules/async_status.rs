//! `async_status`: what became of an asynchronous job, read from its file under `~/.ansible_async`.

use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, expand_path};
use serde_json::{Map, Value as Json};
use std::path::Path;

pub fn module() -> Module {
    Module {
        name: "async_status",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("jid").required().doc("The job's id (`ansible_job_id`)."),
            Arg::str("mode").default("status").choices(&["status", "cleanup"]).doc("Read the job file or remove it."),
            Arg::path("_ansible_async_dir").doc("Internal: directory of the job files."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Obtain the status of an asynchronous task.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let jid = args.str("jid");
    let dir = args.opt_str("_ansible_async_dir").map(str::to_string).unwrap_or_else(|| expand_path("~/.ansible_async"));
    let file = Path::new(&dir).join(jid);
    let shown = file.to_string_lossy().into_owned();
    let not_there = || {
        Failure::new("could not find job")
            .set("ansible_job_id", jid)
            .set("started", true)
            .set("finished", true)
            .set("results_file", shown.as_str())
            .set("stdout", "")
            .set("stderr", "")
    };
    // A job's id is a name, not a way out of the directory.
    if jid.is_empty() || jid.contains(['/', '\0']) || !file.is_file() {
        return Err(not_there());
    }
    if args.str("mode") == "cleanup" {
        if !ctx.check {
            std::fs::remove_file(&file)?;
        }
        return Ok(Outcome::ok()
            .set("ansible_job_id", jid)
            .set("erased", shown.as_str())
            .set("started", false)
            .set("finished", false)
            .set("stdout", "")
            .set("stderr", ""));
    }
    let bytes = std::fs::read(&file)?;
    let Ok(mut data) = serde_json::from_slice::<Map<String, Json>>(&bytes) else {
        // The job is just writing its file.
        return Ok(Outcome::ok()
            .set("ansible_job_id", jid)
            .set("results_file", shown)
            .set("started", true)
            .set("finished", false));
    };
    let flag = |d: &Map<String, Json>, k: &str| match d.get(k) {
        Some(Json::Bool(b)) => *b,
        Some(Json::Number(n)) => n.as_i64() != Some(0),
        _ => false,
    };
    let done = !data.contains_key("started");
    let finished = done || flag(&data, "finished");
    data.remove("invocation");
    data.insert("started".into(), true.into());
    data.insert("finished".into(), finished.into());
    data.insert("ansible_job_id".into(), jid.into());
    data.insert("results_file".into(), shown.as_str().into());
    for k in ["stdout", "stderr"] {
        data.entry(k).or_insert_with(|| "".into());
    }
    let changed = flag(&data, "changed");
    data.remove("changed");
    if flag(&data, "failed") {
        let msg = data.get("msg").and_then(Json::as_str).unwrap_or("").to_string();
        data.insert("changed".into(), changed.into());
        return Err(Failure { msg, data });
    }
    Ok(Outcome { changed, data, ..Outcome::default() })
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::{Map, Value as Json, json};

    fn ask(dir: &std::path::Path, jid: &str, mode: &str, check: bool) -> Map<String, Json> {
        let args = json!({"jid": jid, "_ansible_async_dir": dir.to_string_lossy(), "mode": mode});
        let args = args.as_object().cloned().unwrap_or_default();
        run(find("async_status").expect("registered"), &mut Ctx { check, ..Ctx::bare() }, &args)
    }

    #[test]
    fn states_of_a_job() {
        let t = tempfile::tempdir().expect("a directory");
        let put = |n: &str, s: &str| std::fs::write(t.path().join(n), s).expect("written");
        put("run", r#"{"started": 1, "finished": 0, "ansible_job_id": "run"}"#);
        put("done", r#"{"changed": true, "rc": 3, "failed": true, "msg": "non-zero return code"}"#);
        put("half", "{\"chan");
        assert_eq!(ask(t.path(), "run", "status", false)["finished"], false);
        assert_eq!(ask(t.path(), "half", "status", false)["finished"], false);
        let r = ask(t.path(), "done", "status", false);
        assert_eq!(
            (&r["finished"], &r["failed"], &r["rc"], &r["changed"]),
            (&json!(true), &json!(true), &json!(3), &json!(true))
        );
        assert_eq!(ask(t.path(), "nope", "status", false)["msg"], "could not find job");
        assert_eq!(ask(t.path(), "../x", "status", false)["msg"], "could not find job");
        ask(t.path(), "run", "cleanup", true);
        assert!(t.path().join("run").exists());
        ask(t.path(), "run", "cleanup", false);
        assert!(!t.path().join("run").exists());
    }
}
