//! `setup`: gathers facts.

use super::support::glob::fnmatch;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type, facts};
use crate::seconds;
use serde_json::{Map, Value as Json, json};

pub fn module() -> Module {
    Module {
        name: "setup",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::path("fact_path").default("/etc/ansible/facts.d").doc("Directory of local facts (`*.fact`)."),
            Arg::list("filter", Type::Str).default(json!([])).doc("Return only facts whose name matches a pattern."),
            Arg::list("gather_subset", Type::Str)
                .default(json!(["all"]))
                .doc("Which facts to gather; `!name` to leave out."),
            Arg::int("gather_timeout").default(10).doc("Seconds that one slow fact may take."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Gather facts about the host. No Python is needed there.",
        run,
    }
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let subset = args.strings("gather_subset");
    let filter: Vec<String> = args.strings("filter").into_iter().filter(|f| !f.is_empty()).collect();
    let timeout = seconds::whole(args.int("gather_timeout").max(1));
    let (found, warnings) = facts::gather(ctx, &subset, args.str("fact_path"), timeout).map_err(Failure::new)?;
    let mut out: Map<String, Json> = Map::new();
    for (k, v) in found {
        let full = format!("ansible_{}", k.replace('-', "_"));
        let full = if k.starts_with("facter_") || k.starts_with("ohai_") { k.clone() } else { full };
        if filter.is_empty() || filter.iter().any(|f| fnmatch(&full, f) || fnmatch(&k, f)) {
            out.insert(full, v);
        }
    }
    if filter.is_empty() {
        out.insert("gather_subset".into(), subset.into());
        out.insert("module_setup".into(), true.into());
    }
    // facts are never printed: the result would drown everything else
    let mut o = Outcome::ok().set("ansible_facts", Json::Object(out)).set("_ansible_verbose_override", true);
    o.warnings = warnings;
    Ok(o)
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::json;

    #[test]
    fn filters_by_either_name() {
        let call = |a: serde_json::Value| {
            let args = a.as_object().cloned().unwrap_or_default();
            run(find("setup").expect("registered"), &mut Ctx::bare(), &args)
        };
        let r = call(json!({"filter": ["kernel", "ansible_mach*"], "gather_subset": "!all"}));
        let f = r["ansible_facts"].as_object().expect("facts");
        assert!(f.contains_key("ansible_kernel") && f.contains_key("ansible_machine"));
        assert!(!f.contains_key("ansible_env") && !f.contains_key("module_setup"));
        assert_eq!(call(json!({"gather_subset": "nope"}))["failed"], true);
    }
}
