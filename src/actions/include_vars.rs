//! `include_vars`: variables from files of the controller.

use super::{Action, ActionCtx, ActionError, ActionResult, Done, Effect};
use crate::diag::Error;
use crate::modules::{Arg, Spec, Type};
use crate::playbook::reserved_in;
use crate::template::Var;
use crate::value::{Map, Value, merged};
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};

pub fn action() -> Action {
    Action { name: "include_vars", spec: None, raw: false, local: true, run }
}

fn spec() -> Spec {
    Spec::new(vec![
        Arg::str("file"),
        Arg::str("dir"),
        Arg::str("name"),
        Arg::int("depth").default(0),
        Arg::str("files_matching"),
        Arg::list("ignore_files", Type::Str),
        Arg::list("extensions", Type::Str).default(serde_json::json!(["yaml", "yml", "json"])),
        Arg::bool("ignore_unknown_extensions").default(false),
        Arg::str("hash_behaviour").choices(&["replace", "merge"]),
        Arg::str("_raw_params"),
    ])
}

fn run(ctx: &mut ActionCtx) -> ActionResult {
    let spec = spec();
    if let Some(k) = ctx.args.keys().find(|k| spec.find(&k.to_string()).is_none()) {
        let text = format!("{k} is not a valid option in include_vars");
        return Err(ActionError::Raised(Error::general(text)));
    }
    let a = ctx.validated(&spec)?;
    let file = a.opt_str("file").or(a.opt_str("_raw_params").map(|f| f.trim_end_matches('\n'))).map(str::to_string);
    if file.is_some() && a.is_set("dir") {
        let text = "You are mixing file only and dir only arguments, these are incompatible";
        return Err(ActionError::Raised(Error::general(text)));
    }
    let mut all = Map::new();
    let mut secret = false;
    let mut read: Vec<Value> = vec![];
    if let Some(dir) = a.opt_str("dir") {
        let root = match find_dir(ctx, dir) {
            Ok(root) => root,
            Err(e) => return Ok(not_read(&e)),
        };
        let pattern = a
            .opt_str("files_matching")
            .map(regex::Regex::new)
            .transpose()
            .map_err(|e| Error::general(format!("files_matching: {e}")))?;
        let mut files = vec![];
        walk(&root, 1, a.int("depth"), &mut files);
        let ext = a.strings("extensions");
        let ignored = a.strings("ignore_files");
        for f in files {
            let name = f.file_name().unwrap_or_default();
            if pattern.as_ref().is_some_and(|p| !p.is_match(name))
                || ignored.iter().any(|i| regex::Regex::new(&format!("{i}$")).map_or(i == name, |r| r.is_match(name)))
            {
                continue;
            }
            if !ext.iter().any(|e| f.extension().unwrap_or_default() == *e) {
                if a.bool("ignore_unknown_extensions") || pattern.is_some() {
                    continue;
                }
                let text = format!("{f} does not have a valid extension: {}", ext.join(", "));
                return Ok(not_read(&Error::general(text)));
            }
            match load(ctx, &f, &mut secret) {
                Ok(vars) => all.extend(vars),
                Err(e) => return Ok(hidden(not_read(&e), secret)),
            }
            read.push(f.as_str().into());
        }
    } else {
        let f = match &file {
            Some(name) => ctx.find_file("vars", name),
            None => Err(Error::general(
                "Could not find file on the Ansible Controller.\nIf you are using a module and expect the file to exist \
                 on the remote, see the remote_src option",
            )),
        };
        let f = match f {
            Ok(f) => f,
            Err(e) => return Ok(not_read(&e)),
        };
        match load(ctx, &f, &mut secret) {
            Ok(vars) => all.extend(vars),
            Err(e) => return Ok(hidden(not_read(&e), secret)),
        }
        read.push(f.as_str().into());
    }
    if let Some(n) = a.opt_str("name") {
        let mut outer = Map::new();
        outer.insert(n.into(), Value::map(all));
        all = outer;
    }
    if a.opt_str("hash_behaviour") == Some("merge") {
        all = over_existing(ctx, all)?;
    }
    let shown = Value::map(all.clone());
    Ok(hidden(Done::default(), secret)
        .set("ansible_included_var_files", Value::list(read))
        .set("ansible_facts", shown)
        .effect(Effect::IncludeVars(all)))
}

/// With `hash_behaviour: merge`: dictionaries join those that the host has by their names, as they are written.
/// Those of several files of a folder replace each other.
fn over_existing(ctx: &ActionCtx, new: Map) -> Result<Map, Error> {
    let mut out = Map::with_capacity(new.len());
    for (k, v) in new {
        let old = match k.as_str() {
            Some(name) => ctx.scope.vars.get(name)?,
            None => None,
        };
        match old {
            Some(Var::Raw(old)) => out.insert(k, merged(old, v)),
            _ => out.insert(k, v),
        };
    }
    Ok(out)
}

/// What comes from a vaulted file is not shown, nor what is wrong with it.
fn hidden(done: Done, secret: bool) -> Done {
    if secret { done.set("_ansible_no_log", true) } else { done }
}

/// A failure in the shape of ansible-core's: what was wrong is in `message`.
fn not_read(e: &Error) -> Done {
    Done::new(false)
        .set("failed", true)
        .set("message", e.message())
        .set("ansible_facts", Value::empty_map())
        .set("ansible_included_var_files", Value::list(vec![]))
}

fn find_dir(ctx: &ActionCtx, dir: &str) -> Result<Utf8PathBuf, Error> {
    let found = ctx.scope.files.candidates("vars", dir).into_iter().find(|p| p.is_dir());
    let shown = ctx.scope.files.candidates("", dir).into_iter().next().unwrap_or_else(|| dir.into());
    found.ok_or_else(|| Error::general(format!("{shown} directory does not exist")))
}

fn walk(dir: &Utf8Path, level: i64, depth: i64, out: &mut Vec<Utf8PathBuf>) {
    let Ok(rd) = dir.read_dir_utf8() else { return };
    let mut entries: Vec<Utf8PathBuf> = rd.flatten().map(|e| e.into_path()).collect();
    entries.sort();
    out.extend(entries.iter().filter(|e| e.is_file()).cloned());
    if depth == 0 || level < depth {
        for d in entries.iter().filter(|e| e.is_dir()) {
            walk(d, level + 1, depth, out);
        }
    }
}

/// The mapping of a vars file. Its strings are templates: the file belongs to the playbook.
fn load(ctx: &ActionCtx, path: &Utf8Path, secret: &mut bool) -> Result<Map, Error> {
    let mut head = [0u8; 15];
    let vaulted = std::fs::File::open(path)
        .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head))
        .is_ok_and(|()| &head == b"$ANSIBLE_VAULT;");
    let bytes = (ctx.read_file)(path)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::general(format!("{path} is not valid UTF-8")))?;
    let doc = yaml::parse_str(path.as_str(), &text)?;
    for w in doc.warnings.iter().cloned().chain(reserved_in(&doc.root)) {
        ctx.scope.files.warn.say(&w.in_full());
    }
    *secret |= vaulted;
    match doc.root.to_value() {
        Value::Map(m) => Ok((*m).clone()),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::general(format!("{path} must be stored as a dictionary/hash")).at(doc.root.span)),
    }
}
