//! `package_facts`: installed packages as the fact `packages`.

use super::support::exec::{Cmd, find_program};
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use serde_json::{Map, Value as Json, json};

pub fn module() -> Module {
    Module {
        name: "package_facts",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::list("manager", Type::Str)
                .default(json!(["auto"]))
                .doc("Managers to ask: auto, apt, rpm (dnf, yum, zypper)."),
            Arg::str("strategy")
                .default("first")
                .choices(&["first", "all"])
                .doc("Ask the first manager that is there, or all."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Return the installed packages as facts.",
        run,
    }
}

/// All names that Ansible knows; those that are not asked here are refused by name.
const KNOWN: &[&str] = &[
    "apk",
    "apt",
    "auto",
    "dnf",
    "dnf5",
    "openbsd_pkg",
    "pacman",
    "pkg",
    "pkg5",
    "pkg_info",
    "pkgng",
    "portage",
    "rpm",
    "yum",
    "zypper",
];

type Packages = Map<String, Json>;

fn run(ctx: &mut Ctx, args: &Args) -> ModResult {
    let wanted: Vec<String> = args.strings("manager").iter().map(|m| m.to_lowercase()).collect();
    let unknown: Vec<&str> = wanted.iter().map(String::as_str).filter(|m| !KNOWN.contains(m)).collect();
    if !unknown.is_empty() {
        return Err(Failure::new(format!("Unsupported package managers requested: {}", unknown.join(", "))));
    }
    let mut list: Vec<&str> = vec![];
    for m in &wanted {
        let names: &[&str] = match m.as_str() {
            "auto" => &["apt", "rpm"],
            "apt" => &["apt"],
            "rpm" | "dnf" | "dnf5" | "yum" | "zypper" => &["rpm"],
            other => {
                if !list.contains(&other) {
                    list.push(other);
                }
                continue;
            }
        };
        list.extend(names.iter().filter(|n| !list.contains(*n)).copied().collect::<Vec<_>>());
    }
    let auto = wanted.iter().any(|m| m == "auto");
    let mut all = Packages::new();
    let mut found = 0;
    let mut out = Outcome::ok();
    for m in list {
        let tool = tool_of(m);
        if find_program(ctx, tool).is_none() {
            if !auto {
                out = out
                    .warn(format!("Requested package manager {m} was not usable by this module: {tool} was not found"));
            }
            continue;
        }
        let part = match m {
            "apt" => apt(ctx)?,
            "rpm" => rpm(ctx)?,
            other => {
                return Err(Failure::new(format!("the package manager {other} is not supported; apt and rpm are")));
            }
        };
        if part.is_empty() {
            continue;
        }
        found += 1;
        for (k, v) in part {
            match (all.get_mut(&k).and_then(Json::as_array_mut), v) {
                (Some(old), Json::Array(new)) => old.extend(new),
                (_, v) => drop(all.insert(k, v)),
            }
        }
        if args.str("strategy") == "first" {
            break;
        }
    }
    if found == 0 {
        return Err(Failure::new(
            format!("Could not detect a supported package manager from the following list: {wanted:?}")
                .replace('"', "'"),
        ));
    }
    Ok(out.set("ansible_facts", json!({"packages": all})))
}

/// The program that shows that a manager is there.
fn tool_of(manager: &str) -> &str {
    match manager {
        "apt" => "dpkg-query",
        "portage" => "emerge",
        "pkg5" | "pkgng" => "pkg",
        "openbsd_pkg" => "pkg_info",
        other => other,
    }
}

fn add(all: &mut Packages, name: &str, entry: Json) {
    if let Some(list) = all.entry(name).or_insert_with(|| json!([])).as_array_mut() {
        list.push(entry);
    }
}

fn apt(ctx: &Ctx) -> Result<Packages, Failure> {
    let format = "${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\t${Section}\\t${Origin}\\n";
    let o = Cmd::new(["dpkg-query", "-W", "-f", format]).c_locale().run(ctx)?;
    let mut all = Packages::new();
    for line in o.out().lines() {
        let f: Vec<&str> = line.split('\t').collect();
        if let ["installed", name, version, arch, section, origin] = f.as_slice() {
            let entry = json!({
                "name": name, "version": version, "arch": arch, "category": section, "origin": origin, "source": "apt",
            });
            add(&mut all, name, entry);
        }
    }
    Ok(all)
}

fn rpm(ctx: &Ctx) -> Result<Packages, Failure> {
    let format = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n";
    let o = Cmd::new(["rpm", "-qa", "--qf", format]).c_locale().run(ctx)?;
    let mut all = Packages::new();
    let maybe = |s: &str| if s == "(none)" { Json::Null } else { s.into() };
    for line in o.out().lines() {
        let f: Vec<&str> = line.split('\t').collect();
        if let [name, version, release, epoch, arch] = f.as_slice() {
            // A string in any case, as ansible-core has it.
            let epoch = if *epoch == "(none)" { "None" } else { epoch };
            let entry = json!({
                "name": name, "version": version, "release": release, "epoch": epoch, "arch": maybe(arch), "source": "rpm",
            });
            add(&mut all, name, entry);
        }
    }
    Ok(all)
}
