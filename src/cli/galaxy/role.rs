//! `galaxy role`: init, install, list, info, remove.

use super::{Common, Refused, Start, free, more_vars};
use crate::diag::{Error, Kind, Result};
use crate::galaxy::requirement::{self, Requirements, RoleSpec};
use crate::galaxy::role::{Install, Role};
use crate::galaxy::{needs_server, skeleton};
use crate::value::Value;
use camino::Utf8PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Make a new role
    Init(Init),
    /// Remove roles from the roles path
    Remove(Remove),
    /// Delete a role from Galaxy (needs a server: refused)
    Delete(Refused),
    /// Show the roles of the roles path with their versions
    List(List),
    /// Search Galaxy (needs a server: refused)
    Search(Refused),
    /// Import a role into Galaxy (needs a server: refused)
    Import(Refused),
    /// Manage Galaxy's integrations (needs a server: refused)
    Setup(Refused),
    /// Tell of a role
    Info(Info),
    /// Install roles from archives, URLs and git repositories
    Install(InstallArgs),
}

#[derive(clap::Args, Debug)]
struct Init {
    #[command(flatten)]
    common: Common,
    /// The role's name
    role_name: String,
    /// Write over a role that is there
    #[arg(short = 'f', long)]
    force: bool,
    /// Ask no server (none is ever asked)
    #[arg(long)]
    offline: bool,
    /// Where the role's folder is made
    #[arg(long, value_name = "INIT_PATH", default_value = "./")]
    init_path: String,
    /// A folder that the new role is like
    #[arg(long, value_name = "ROLE_SKELETON")]
    role_skeleton: Option<String>,
    /// The type of role: default
    #[arg(long = "type", value_name = "ROLE_TYPE", default_value = "default")]
    kind: String,
    /// Variables for the skeleton: key=value, JSON, YAML, or @FILE
    #[arg(short = 'e', long = "extra-vars", value_name = "EXTRA_VARS")]
    extra_vars: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
struct Paths {
    /// Directories of roles; the default is that of the configuration
    #[arg(short = 'p', long = "roles-path", value_name = "ROLES_PATH")]
    roles_path: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Remove {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    paths: Paths,
    /// The roles
    #[arg(required = true, value_name = "ROLE")]
    roles: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct List {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    paths: Paths,
    /// One role
    role: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Info {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    paths: Paths,
    /// Ask no server
    #[arg(long)]
    offline: bool,
    /// The roles, each with its version after a comma if one is asked for (NAME,VERSION)
    #[arg(required = true, value_name = "ROLE")]
    roles: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct InstallArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    paths: Paths,
    /// Replace roles that are there
    #[arg(short = 'f', long)]
    force: bool,
    /// Go on with the next role after an error
    #[arg(short = 'i', long)]
    ignore_errors: bool,
    /// Leave out what the roles depend on
    #[arg(short = 'n', long, conflicts_with = "force_with_deps")]
    no_deps: bool,
    /// Replace roles and what they depend on
    #[arg(long)]
    force_with_deps: bool,
    /// A file that lists roles
    #[arg(short = 'r', long = "role-file", value_name = "REQUIREMENTS")]
    role_file: Option<String>,
    /// Keep .git
    #[arg(short = 'g', long)]
    keep_scm_meta: bool,
    /// Collections of the requirements file, too (`ansible-galaxy install`)
    #[arg(long, hide = true)]
    with_collections: bool,
    /// Roles: an archive or a URL, with ,VERSION and ,NAME behind it
    #[arg(value_name = "ROLE_NAME")]
    roles: Vec<String>,
}

pub fn run(a: Args) -> Result<i32> {
    match a.action {
        Action::Init(a) => init(a),
        Action::Install(a) => install(a),
        Action::List(a) => list(a),
        Action::Info(a) => info(a),
        Action::Remove(a) => remove(a),
        Action::Delete(_) => Err(needs_server("role delete")),
        Action::Search(_) => Err(needs_server("role search")),
        Action::Import(_) => Err(needs_server("role import")),
        Action::Setup(_) => Err(needs_server("role setup")),
    }
}

/// The given paths, then those of the configuration.
fn paths(s: &Start, p: &Paths) -> Vec<Utf8PathBuf> {
    let mut out = s.paths(&p.roles_path);
    for c in s.setting_paths("DEFAULT_ROLES_PATH") {
        if !out.contains(&c) {
            out.push(c);
        }
    }
    out
}

fn init(a: Init) -> Result<i32> {
    let s = Start::new(&a.common)?;
    if a.kind != "default" {
        return Err(Error::options(format!("roles of type '{}' are not offered", a.kind))
            .help("leave --type away, or give a folder of your own as --role-skeleton"));
    }
    let mut vars = skeleton::role_vars(&a.role_name);
    vars.extend(more_vars(&a.extra_vars)?);
    let base = crate::modules::expand_path(&a.init_path);
    let to = Utf8PathBuf::from(base).join(&a.role_name);
    free(&to, a.force)?;
    let own = a.role_skeleton.or_else(|| setting_path("GALAXY_ROLE_SKELETON"));
    let own = own.map(|p| Utf8PathBuf::from(crate::modules::expand_path(&p)));
    let ignore = if own.is_some() { setting_list("GALAXY_ROLE_SKELETON_IGNORE") } else { vec![] };
    s.talking(|t| skeleton::create(skeleton::Kind::Role, &to, vars, own.as_deref(), &ignore, t))?;
    s.say(&format!("- Role {} was created successfully", a.role_name));
    Ok(0)
}

/// A setting that is a path, if it is set.
pub(super) fn setting_path(name: &str) -> Option<String> {
    let v = crate::settings::current().get(name)?.ok()?.value;
    (!v.is_null()).then(|| v.to_str())
}

pub(super) fn setting_list(name: &str) -> Vec<String> {
    let found = crate::settings::current().get(name).and_then(|f| f.ok());
    found.and_then(|f| Some(f.value.as_list()?.iter().map(Value::to_str).collect())).unwrap_or_default()
}

fn list(a: List) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let mut any = false;
    let mut warnings = vec![];
    for path in paths(&s, &a.paths) {
        if !path.exists() {
            warnings.push(format!("- the configured path {path} does not exist."));
            continue;
        }
        if !path.is_dir() {
            warnings.push(format!("- the configured path {path}, exists, but it is not a directory."));
            continue;
        }
        any = true;
        let show = |r: &Role| {
            let version = r.installed().and_then(|i| i.version).filter(|v| !v.is_empty());
            s.say(&format!("- {}, {}", r.spec.name, version.as_deref().unwrap_or("(unknown version)")));
        };
        if let Some(name) = &a.role {
            let role = Role::new(named(name), std::slice::from_ref(&path))?;
            if role.path.is_dir() {
                s.say(&format!("# {path}"));
                show(&role);
                return Ok(0);
            }
            warnings.push(format!("- the role {name} was not found"));
            continue;
        }
        s.say(&format!("# {path}"));
        let mut names: Vec<String> = path.read_dir_utf8()?.flatten().map(|e| e.file_name().to_string()).collect();
        names.sort();
        for n in names {
            let role = Role::new(named(&n), std::slice::from_ref(&path))?;
            if role.metadata().is_some() {
                show(&role);
            }
        }
    }
    for w in warnings {
        s.warn(&w);
    }
    if !any {
        return Err(Error::options(
            "- None of the provided paths were usable. Please specify a valid path with --roles-path",
        ));
    }
    Ok(0)
}

fn named(name: &str) -> RoleSpec {
    RoleSpec { name: name.into(), src: name.into(), scm: None, version: None }
}

fn info(a: Info) -> Result<i32> {
    let s = Start::new(&a.common)?;
    if !a.offline {
        return Err(needs_server("role info"))
            .map_err(|e: Error| e.help("add --offline: what is installed is told then"));
    }
    let paths = paths(&s, &a.paths);
    let mut out = String::new();
    for text in &a.roles {
        let name = text.split(',').next().unwrap_or(text);
        let role = Role::new(named(name), &paths)?;
        let Some(meta) = role.metadata() else {
            out.push_str(&format!("- the role {name} was not found\n"));
            continue;
        };
        out.push_str(&format!("\nRole: {name}\n"));
        let described = meta.get("galaxy_info").and_then(|g| g.get("description")).map(Value::to_str);
        out.push_str(&format!("\tdescription: {}\n", described.unwrap_or_default()));
        let mut rows: Vec<(String, Value)> =
            meta.as_map().into_iter().flatten().map(|(k, v)| (k.to_string(), v.clone())).collect();
        if let Some(i) = role.installed() {
            rows.push(("install_date".into(), i.date.into()));
            rows.push(("installed_version".into(), i.version.map(Value::from).unwrap_or(Value::Null)));
        }
        rows.push(("path".into(), role.path.as_str().into()));
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        for (k, v) in rows {
            match v.as_map().filter(|_| k == "galaxy_info") {
                None => out.push_str(&format!("\t{k}: {}\n", v.to_str())),
                Some(m) => {
                    out.push_str(&format!("\t{k}:\n"));
                    let mut inner: Vec<_> = m.iter().filter(|(k, _)| k.as_str() != Some("description")).collect();
                    inner.sort_by_key(|(k, _)| k.to_string());
                    for (k, v) in inner {
                        out.push_str(&format!("\t\t{k}: {}\n", v.to_str()));
                    }
                }
            }
        }
    }
    crate::cli::pager::show(&out);
    Ok(0)
}

fn remove(a: Remove) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let paths = paths(&s, &a.paths);
    for name in &a.roles {
        match Role::new(named(name), &paths)?.remove() {
            Ok(true) => s.say(&format!("- successfully removed {name}")),
            Ok(false) => s.say(&format!("- {name} is not installed, skipping.")),
            Err(e) => return Err(e.context(format!("Failed to remove role {name}"))),
        }
    }
    Ok(0)
}

fn install(a: InstallArgs) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let mut wanted = Requirements::default();
    match &a.role_file {
        Some(f) => {
            if !(f.ends_with(".yml") || f.ends_with(".yaml")) {
                return Err(Error::general(
                    "Invalid role requirements file, it must end with a .yml or .yaml extension",
                ));
            }
            let path = super::super::setup::absolute(crate::modules::expand_path(f).as_str().into());
            wanted = requirement::read(&path, true)?;
            let with_them = a.with_collections && a.paths.roles_path.is_empty();
            if !wanted.collections.is_empty() && !with_them {
                s.warn(&format!(
                    "The requirements file '{path}' contains collections which will be ignored. To install these \
                     collections run 'ansible-galaxy collection install -r' or to install both at the same time run \
                     'ansible-galaxy install -r' without a custom install path."
                ));
                wanted.collections.clear();
            }
        }
        None if a.roles.is_empty() => {
            return Err(Error::options("- you must specify a user/role name or a roles file"));
        }
        None => {
            for r in &a.roles {
                wanted.roles.push(RoleSpec::parse(r.trim())?);
            }
        }
    }
    if wanted.roles.is_empty() && wanted.collections.is_empty() {
        s.say("Skipping install, no requirements found");
        return Ok(0);
    }
    if !wanted.roles.is_empty() {
        s.say("Starting galaxy role install process");
        let code = install_roles(&s, &a, wanted.roles)?;
        if code != 0 {
            return Ok(code);
        }
    }
    if !wanted.collections.is_empty() {
        let to = super::collection::Where::default();
        return super::collection::install(&s, &to, &wanted.collections);
    }
    Ok(0)
}

fn install_roles(s: &Start, a: &InstallArgs, mut todo: Vec<RoleSpec>) -> Result<i32> {
    // with a path of its own an install does not look at what is elsewhere
    let paths = if a.paths.roles_path.is_empty() { paths(s, &a.paths) } else { s.paths(&a.paths.roles_path) };
    let force = a.force || a.force_with_deps;
    let how = Install { force, keep_scm_meta: a.keep_scm_meta, fetching: s.fetching };
    let failed = |spec: &RoleSpec, e: &Error| -> Result<()> {
        s.warn(&format!("- {} was NOT installed successfully: {}", spec.name, e.in_full()));
        if a.ignore_errors {
            return Ok(());
        }
        Err(Error::general("- you can use --ignore-errors to skip failed roles and finish processing the list."))
    };
    let mut at = 0;
    while let Some(spec) = todo.get(at).cloned() {
        at += 1;
        if s.verbosity > 2 {
            s.say(&format!("Processing role {} ", spec.name));
        }
        let role = match Role::new(spec.clone(), &paths) {
            Ok(r) => r,
            Err(e) => {
                failed(&spec, &e)?;
                continue;
            }
        };
        if let Some(i) = role.installed() {
            let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "None".into());
            if force {
                let new = spec.version.as_deref().filter(|v| !v.is_empty()).unwrap_or("unspecified");
                s.say(&format!("- changing role {} from {} to {new}", spec.name, shown(&i.version)));
                role.remove()?;
            } else if i.version != spec.version {
                s.warn(&format!(
                    "- {} ({}) is already installed - use --force to change version to {}",
                    spec.name,
                    shown(&i.version),
                    spec.version.as_deref().filter(|v| !v.is_empty()).unwrap_or("unspecified")
                ));
                continue;
            } else {
                s.say(&format!("- {} is already installed, skipping.", spec.shown()));
                continue;
            }
        }
        if let Err(e) = s.talking(|t| role.install(&how, t)) {
            failed(&spec, &e)?;
            continue;
        }
        if !a.no_deps {
            dependencies(s, a, &role, &paths, &mut todo)?;
        }
    }
    Ok(0)
}

/// Adds what the role needs to what is still to be installed.
fn dependencies(
    s: &Start,
    a: &InstallArgs,
    role: &Role,
    paths: &[Utf8PathBuf],
    todo: &mut Vec<RoleSpec>,
) -> Result<()> {
    if role.metadata().is_some_and(|m| !m.truthy()) {
        s.warn(&format!("Meta file {} is empty. Skipping dependencies.", role.path));
        return Ok(());
    }
    let needed = role.dependencies().map_err(|e| e.with_kind(Kind::General).context(&role.spec.name))?;
    for dep in needed {
        // a bare name is a role beside this one
        if dep.scm.is_none() && !dep.src.contains('.') {
            continue;
        }
        let there = Role::new(dep.clone(), paths)?.installed();
        match there {
            None => {
                if !todo.contains(&dep) {
                    s.say(&format!("- adding dependency: {}", dep.shown()));
                    todo.push(dep);
                }
            }
            Some(i) if i.version != dep.version => {
                let old = i.version.unwrap_or_else(|| "None".into());
                if a.force_with_deps {
                    let new = dep.version.as_deref().filter(|v| !v.is_empty()).unwrap_or("unspecified");
                    s.say(&format!("- changing dependent role {} from {old} to {new}", dep.name));
                    todo.push(dep);
                } else {
                    s.warn(&format!(
                        "- dependency {} from role {} differs from already installed version ({old}), skipping",
                        dep.shown(),
                        role.spec.name
                    ));
                }
            }
            Some(_) if a.force_with_deps => {
                if !todo.contains(&dep) {
                    todo.push(dep);
                }
            }
            Some(_) => s.say(&format!("- dependency {} is already installed, skipping.", dep.shown())),
        }
    }
    Ok(())
}
