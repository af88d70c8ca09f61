//! `package`: the host's package manager, whichever it is.

use super::facts::package_manager;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Spec, Support, Type, apt, dnf, validate};
use serde_json::Map;

pub fn module() -> Module {
    Module {
        name: "package",
        collection: "ansible.builtin",
        spec: spec(),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Manage packages with apt, dnf or yum, whichever the host has. Further parameters are the \
              package manager's own.",
        run,
    }
}

/// `name`, `state`, `use`, and every parameter that a package manager's module takes; which are required is the
/// manager's to say.
fn spec() -> Spec {
    let mut args = vec![
        Arg::list("name", Type::Str).doc("Packages; names differ between distributions."),
        Arg::str("state").doc("present, absent, latest, or what the manager knows besides."),
        Arg::str("use").default("auto").aliases(&["use_backend"]).doc("The manager: auto, apt, dnf or yum."),
    ];
    for other in apt::spec().args.into_iter().chain(dnf::spec().args) {
        let taken = |n: &String| args.iter().any(|a| a.name == *n || a.aliases.contains(n));
        if other.name == "package" || taken(&other.name) {
            continue;
        }
        let aliases: Vec<String> = other.aliases.iter().filter(|a| !taken(a)).cloned().collect();
        args.push(Arg { required: false, default: None, choices: vec![], aliases, ..other });
    }
    Spec::new(args)
}

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let wanted = args.str("use").rsplit('.').next().unwrap_or("").to_string();
    let manager = if wanted == "auto" || wanted.is_empty() { package_manager(ctx) } else { wanted };
    let (spec, run): (Spec, fn(&mut Ctx, &Args) -> ModResult) = match manager.as_str() {
        "apt" => (apt::spec(), apt::run),
        "dnf" | "yum" | "dnf5" => (dnf::spec(), dnf::run),
        other => {
            return Err(Failure::new(format!(
                "Could not find a matching action for the \"{other}\" package manager: apt, dnf and yum are supported"
            )));
        }
    };
    let given: Map<_, _> =
        args.0.iter().filter(|(k, v)| !v.is_null() && *k != "use").map(|(k, v)| (k.clone(), v.clone())).collect();
    let checked = validate(&spec, &given, &format!("ansible.legacy.{manager}")).map_err(Failure::new)?;
    run(ctx, &checked.args)
}
