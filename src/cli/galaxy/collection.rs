//! `galaxy collection`: init, build, install, download, list, verify.

use super::role::{setting_list, setting_path};
use super::{Common, Refused, Start, free, more_vars};
use crate::diag::{Error, Result};
use crate::galaxy::collection::{self, Found, build, install as place, is_name, source, verify};
use crate::galaxy::requirement::{self, CollectionSpec};
use crate::galaxy::{needs_server, skeleton};
use crate::value::{Map, Value};
use crate::yaml;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value as Json;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Put archives of collections into one folder
    Download(super::download::Download),
    /// Make a new collection
    Init(Init),
    /// Build an archive from a collection's folder
    Build(Build),
    /// Publish an archive (needs a server: refused)
    Publish(Refused),
    /// Install collections from archives, folders, URLs and git repositories
    Install(Box<InstallArgs>),
    /// Show the collections of the collections path with their versions
    List(List),
    /// Compare installed collections with their manifests
    Verify(Verify),
}

#[derive(clap::Args, Debug)]
struct Init {
    #[command(flatten)]
    common: Common,
    /// NAMESPACE.NAME
    collection_name: String,
    /// Write over a collection that is there
    #[arg(short = 'f', long)]
    force: bool,
    /// Where the collection's folder is made
    #[arg(long, value_name = "INIT_PATH", default_value = "./")]
    init_path: String,
    /// A folder that the new collection is like
    #[arg(long, value_name = "COLLECTION_SKELETON")]
    collection_skeleton: Option<String>,
    /// Variables for the skeleton: key=value, JSON, YAML, or @FILE
    #[arg(short = 'e', long = "extra-vars", value_name = "EXTRA_VARS")]
    extra_vars: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Build {
    #[command(flatten)]
    common: Common,
    /// Write over an archive that is there
    #[arg(short = 'f', long)]
    force: bool,
    /// Where the archive is written
    #[arg(long, value_name = "OUTPUT_PATH", default_value = "./")]
    output_path: String,
    /// Folders with a galaxy.yml
    #[arg(value_name = "COLLECTION", default_value = ".")]
    collections: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Signatures {
    /// Keys for signatures (not supported)
    #[arg(long, value_name = "KEYRING")]
    keyring: Option<String>,
    /// A signature (not supported)
    #[arg(long, value_name = "SIGNATURES")]
    signature: Vec<String>,
    /// How many signatures must be valid (not supported)
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    required_valid_signature_count: Option<String>,
    /// What of signatures does not matter (not supported)
    #[arg(long = "ignore-signature-status-code", visible_alias = "ignore-signature-status-codes", value_name = "CODE")]
    ignore_signature_status_code: Vec<String>,
}

impl Signatures {
    /// None is checked here; whoever asks for it is told.
    fn refuse(&self) -> Result<()> {
        let named = if self.keyring.is_some() {
            "--keyring"
        } else if !self.signature.is_empty() {
            "--signature"
        } else if self.required_valid_signature_count.is_some() {
            "--required-valid-signature-count"
        } else if !self.ignore_signature_status_code.is_empty() {
            "--ignore-signature-status-code"
        } else {
            return Ok(());
        };
        Err(Error::options(format!("signatures of collections are not supported: {named}"))
            .help("check the archive's signature with gpg --verify before installing it"))
    }
}

#[derive(clap::Args, Debug)]
struct InstallArgs {
    #[command(flatten)]
    common: Common,
    /// Replace collections that are there
    #[arg(short = 'f', long)]
    force: bool,
    /// Clear the cache of a server's answers (there is none)
    #[arg(long)]
    clear_response_cache: bool,
    /// Use no cache of a server's answers (there is none)
    #[arg(long)]
    no_cache: bool,
    /// Go on with the next collection after an error
    #[arg(short = 'i', long)]
    ignore_errors: bool,
    /// Do not look for what the collections depend on
    #[arg(short = 'n', long, conflicts_with = "force_with_deps")]
    no_deps: bool,
    /// Replace collections and what they depend on
    #[arg(long)]
    force_with_deps: bool,
    /// Where the collections go
    #[arg(short = 'p', long, value_name = "COLLECTIONS_PATH")]
    collections_path: Option<String>,
    /// A file that lists collections
    #[arg(short = 'r', long = "requirements-file", value_name = "REQUIREMENTS")]
    requirements: Option<String>,
    /// Versions before a release, too (what is given is taken whatever its version)
    #[arg(long)]
    pre: bool,
    /// Newer versions of what is installed (what is given is taken if its version differs)
    #[arg(short = 'U', long)]
    upgrade: bool,
    #[command(flatten)]
    signatures: Signatures,
    /// Check no signatures (none are checked)
    #[arg(long)]
    disable_gpg_verify: bool,
    /// Ask no server (none is ever asked)
    #[arg(long)]
    offline: bool,
    /// Collections: archives, folders, URLs, git repositories
    #[arg(value_name = "COLLECTION_NAME")]
    collections: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct List {
    #[command(flatten)]
    common: Common,
    /// More directories of collections
    #[arg(short = 'p', long, value_name = "COLLECTIONS_PATH")]
    collections_path: Vec<String>,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = ["human", "yaml", "json"])]
    format: String,
    /// One collection
    collection: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Verify {
    #[command(flatten)]
    common: Common,
    /// More directories of collections
    #[arg(short = 'p', long, value_name = "COLLECTIONS_PATH")]
    collections_path: Vec<String>,
    /// Go on with the next collection after an error
    #[arg(short = 'i', long)]
    ignore_errors: bool,
    /// Compare with the installed manifest alone
    #[arg(long)]
    offline: bool,
    /// A file that lists collections
    #[arg(short = 'r', long = "requirements-file", value_name = "REQUIREMENTS")]
    requirements: Option<String>,
    #[command(flatten)]
    signatures: Signatures,
    /// NAMESPACE.NAME
    #[arg(value_name = "COLLECTION_NAME")]
    collections: Vec<String>,
}

/// Where and how collections are installed.
#[derive(Clone, Debug, Default)]
pub struct Where {
    path: Option<String>,
    force: bool,
    no_deps: bool,
    ignore_errors: bool,
}

pub fn run(a: Args) -> Result<i32> {
    match a.action {
        Action::Init(a) => init(a),
        Action::Build(a) => build_all(a),
        Action::List(a) => list(a),
        Action::Verify(a) => verify_all(a),
        Action::Install(a) => {
            a.signatures.refuse()?;
            let s = Start::new(&a.common)?;
            let specs = wanted(&a.collections, a.requirements.as_deref())?;
            let to = Where {
                path: a.collections_path.clone(),
                force: a.force || a.force_with_deps,
                no_deps: a.no_deps,
                ignore_errors: a.ignore_errors,
            };
            install(&s, &to, &specs)
        }
        Action::Download(a) => super::download::run(a),
        Action::Publish(_) => Err(needs_server("collection publish")),
    }
}

/// What the command line or a file asks for; one of them it must be.
pub(super) fn wanted(names: &[String], file: Option<&str>) -> Result<Vec<CollectionSpec>> {
    match (names.is_empty(), file) {
        (true, None) => Err(Error::general("You must specify a collection name or a requirements file.")),
        (false, Some(_)) => {
            Err(Error::general("The positional collection_name arg and --requirements-file are mutually exclusive."))
        }
        (true, Some(f)) => {
            let path = super::super::setup::absolute(crate::modules::expand_path(f).as_str().into());
            Ok(requirement::read(&path, false)?.collections)
        }
        (false, None) => Ok(names
            .iter()
            .map(|n| match n.split_once(':').filter(|(a, _)| is_name(a)) {
                Some((name, v)) => {
                    CollectionSpec { name: name.into(), version: Some(v.into()), kind: None, source: None }
                }
                None => CollectionSpec { name: n.clone(), version: None, kind: None, source: None },
            })
            .collect()),
    }
}

fn init(a: Init) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let Some((namespace, name)) = a.collection_name.split_once('.').filter(|_| is_name(&a.collection_name)) else {
        return Err(Error::general(format!(
            "Invalid collection name '{}', name must be in the format <namespace>.<collection>. \n\
             Please make sure namespace and collection name contains characters from [a-zA-Z0-9_] only.\n",
            a.collection_name
        )));
    };
    let mut vars = skeleton::collection_vars(namespace, name);
    vars.extend(more_vars(&a.extra_vars)?);
    let to = Utf8PathBuf::from(crate::modules::expand_path(&a.init_path)).join(namespace).join(name);
    free(&to, a.force)?;
    let own = a.collection_skeleton.or_else(|| setting_path("GALAXY_COLLECTION_SKELETON"));
    let own = own.map(|p| Utf8PathBuf::from(crate::modules::expand_path(&p)));
    let ignore = if own.is_some() { setting_list("GALAXY_COLLECTION_SKELETON_IGNORE") } else { vec![] };
    s.talking(|t| skeleton::create(skeleton::Kind::Collection, &to, vars, own.as_deref(), &ignore, t))?;
    s.say(&format!("- Collection {} was created successfully", a.collection_name));
    Ok(0)
}

fn build_all(a: Build) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let out = super::super::setup::absolute(crate::modules::expand_path(&a.output_path).as_str().into());
    let out = crate::playbook::clean(&out);
    if out.is_file() {
        return Err(Error::general(format!("- the output collection directory {out} is a file - aborting")));
    }
    std::fs::create_dir_all(&out)?;
    for c in &a.collections {
        let dir = super::super::setup::absolute(crate::modules::expand_path(c).as_str().into());
        let dir = crate::playbook::clean(&dir);
        let built = s.talking(|t| build::read(&dir, t))?;
        let file = out.join(format!("{}-{}.tar.gz", built.name.replace('.', "-"), built.version));
        if file.is_dir() {
            return Err(Error::general(format!(
                "The output collection artifact '{file}' already exists, but is a directory - aborting"
            )));
        }
        if file.exists() && !a.force {
            return Err(Error::general(format!(
                "The file '{file}' already exists. You can use --force to re-create the collection artifact."
            )));
        }
        built.archive(&file)?;
        s.say(&format!("Created collection for {} at {file}", built.name));
    }
    Ok(0)
}

/// The collections paths of the configuration.
fn configured(s: &Start) -> Vec<Utf8PathBuf> {
    s.setting_paths("COLLECTIONS_PATHS")
}

/// Installs what is asked for.
pub(super) fn install(s: &Start, to: &Where, specs: &[CollectionSpec]) -> Result<i32> {
    let temp = tempfile::tempdir()?;
    let temp = Utf8Path::from_path(temp.path()).ok_or_else(|| Error::general("TMPDIR is not UTF-8"))?;
    let usual = configured(s);
    let path = match &to.path {
        Some(p) => super::super::setup::absolute(crate::modules::expand_path(p).as_str().into()),
        None => usual.first().cloned().ok_or_else(|| Error::options("there is no collections path"))?,
    };
    s.say("Starting galaxy collection install process");
    let known = usual.iter().any(|u| collection::root(u) == collection::root(&path));
    let warned = crate::settings::current().get("GALAXY_COLLECTIONS_PATH_WARNING").and_then(|f| f.ok());
    if !known && warned.is_none_or(|w| w.value.truthy()) {
        let all: Vec<&str> = usual.iter().map(|p| p.as_str()).collect();
        s.warn(&format!(
            "The specified collections path '{path}' is not part of the configured Ansible collections paths '{}'. The \
             installed collection will not be picked up in an Ansible run, unless within a playbook-adjacent \
             collections directory.",
            all.join(":")
        ));
    }
    let mut sources = vec![];
    for spec in specs {
        // a name alone is content with whatever is there
        let named = is_name(&spec.name) && !Utf8Path::new(&spec.name).exists();
        let there = collection::version(&collection::root(&path).join(spec.name.replace('.', "/")));
        if named
            && !to.force
            && there?.is_some_and(|v| crate::galaxy::version::fits(&v, spec.version.as_deref().unwrap_or("*")))
        {
            continue;
        }
        match s.talking(|t| source::find(spec, temp, s.fetching, t)) {
            Ok(found) => sources.extend(found),
            Err(e) if to.ignore_errors => s.warn(&format!(
                "Failed to install collection {} but skipping due to --ignore-errors being set. Error: {e}",
                spec.name
            )),
            Err(e) => return Err(e),
        }
    }
    if !to.force {
        let same = |x: &source::Source| -> bool {
            let dir = collection::root(&path).join(x.name.replace('.', "/"));
            collection::version(&dir).ok().flatten().is_some_and(|v| v == x.version)
        };
        sources.retain(|x| !same(x));
    }
    let mut all = vec![path.clone()];
    all.extend(usual);
    // what an archive brings may be there in any of the paths
    let anywhere = |x: &source::Source| {
        matches!(x.from, source::From::Archive(_))
            && all.iter().any(|p| {
                let dir = collection::root(p).join(x.name.replace('.', "/"));
                collection::version(&dir).ok().flatten().is_some_and(|v| v == x.version)
            })
    };
    if sources.is_empty() || (!to.force && sources.iter().all(anywhere)) {
        s.say(
            "Nothing to do. All requested collections are already installed. If you want to reinstall them, consider \
             using `--force`.",
        );
        return Ok(0);
    }
    s.say("Process install dependency map");
    let there = if to.no_deps { Default::default() } else { place::check_dependencies(&sources, &all)? };
    s.say("Starting collection install process");
    for x in &sources {
        match s.talking(|t| place::install(x, &path, t)) {
            Err(e) if to.ignore_errors => s.warn(&format!(
                "Failed to install collection {}:{} but skipping due to --ignore-errors being set. Error: {e}",
                x.name, x.version
            )),
            r => r?,
        }
    }
    for (name, version) in there {
        s.say(&format!("'{name}:{version}' is already installed, skipping."));
    }
    Ok(0)
}

fn list(a: List) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let one = match &a.collection {
        Some(c) if !is_name(c) => {
            return Err(Error::general(format!(
                "Invalid collection name '{c}', name must be in the format <namespace>.<collection>. \nPlease make \
                 sure namespace and collection name contains characters from [a-zA-Z0-9_] only.\n"
            )));
        }
        c => c.as_deref(),
    };
    let mut paths = s.paths(&a.collections_path);
    paths.extend(configured(&s).into_iter().filter(|p| p.exists()));
    let mut found: Vec<(Utf8PathBuf, Vec<Found>)> = vec![];
    paths.iter_mut().for_each(|p| *p = crate::playbook::clean(p));
    let mut unusable = vec![];
    for p in &paths {
        if !p.exists() {
            unusable.push(format!("- the configured path {p} does not exist."));
            continue;
        }
        if !p.is_dir() {
            unusable.push(format!("- the configured path {p}, exists, but it is not a directory."));
            continue;
        }
        let root = collection::root(p);
        let mut all = collection::installed(p)?;
        all.retain(|f| one.is_none_or(|o| f.name == o));
        for f in all.iter().filter(|f| f.version.is_none()) {
            if std::fs::read(f.path.join("MANIFEST.json")).is_ok_and(|t| serde_json::from_slice::<Json>(&t).is_err()) {
                return Err(Error::general(
                    "Collection tar file member MANIFEST.json does not contain a valid json string.",
                )
                .help(format!("it lies in {}", f.path)));
            }
            s.warn(&format!(
                "Collection at '{}' does not have a MANIFEST.json file, nor has it galaxy.yml: cannot detect version.",
                f.path
            ));
        }
        if !all.is_empty() && !found.iter().any(|(r, _)| *r == root) {
            found.push((root, all));
        }
    }
    if one.is_none() {
        unusable.iter().for_each(|u| s.warn(u));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if !paths.iter().any(|p| p.exists()) {
        return Err(Error::options(
            "- None of the provided paths were usable. Please specify a valid path with --collections-path",
        ));
    }
    let version = |f: &Found| f.version.clone().unwrap_or_else(|| "*".into());
    if a.format != "human" {
        let tree: Map = found
            .iter()
            .map(|(root, all)| {
                let each: Map = all
                    .iter()
                    .map(|f| {
                        let v: Map = [("version".into(), version(f).into())].into_iter().collect();
                        (f.name.as_str().into(), Value::map(v))
                    })
                    .collect();
                (root.as_str().into(), Value::map(each))
            })
            .collect();
        let v = Value::map(tree);
        match a.format.as_str() {
            "json" => s.say(&crate::pyjson::py_json(&v)),
            _ => s.say(yaml::emit(&v, &yaml::EmitOptions { sort_keys: false, ..Default::default() }).trim_end()),
        }
        return Ok(0);
    }
    for (root, all) in found {
        let wide = all.iter().map(|f| f.name.len()).max().unwrap_or(0).max("Collection".len());
        let last = all.iter().map(|f| version(f).len()).max().unwrap_or(0).max("Version".len());
        s.say(&format!("\n# {root}"));
        s.say(&format!("{:wide$} {:last$}", "Collection", "Version"));
        s.say(&format!("{} {}", "-".repeat(wide), "-".repeat(last)));
        for f in &all {
            s.say(&format!("{:wide$} {:last$}", f.name, version(f)));
        }
    }
    Ok(0)
}

fn verify_all(a: Verify) -> Result<i32> {
    a.signatures.refuse()?;
    let s = Start::new(&a.common)?;
    let specs = wanted(&a.collections, a.requirements.as_deref())?;
    if !a.offline {
        return Err(needs_server("collection verify").help("add --offline: it compares with the installed manifest"));
    }
    let mut paths = s.paths(&a.collections_path);
    paths.extend(configured(&s));
    let mut bad = false;
    for spec in specs {
        let name = &spec.name;
        let done = (|| {
            if !is_name(name) {
                return Err(Error::general(format!(
                    "'{name}' is not a valid collection name. The format namespace.name is expected."
                )));
            }
            let dirs = paths.iter().map(|p| collection::root(p).join(name.replace('.', "/")));
            let dir = dirs.into_iter().find(|d| d.is_dir()).ok_or_else(|| {
                Error::general(format!("Collection {name} is not installed in any of the collection paths."))
            })?;
            let r = verify::verify(&dir)?;
            let full = format!("{name}:{}", r.version);
            s.say(&format!("Verifying '{full}'."));
            s.say(&format!("Installed collection found at '{dir}'"));
            s.say(&format!("MANIFEST.json hash: {}", r.manifest));
            if r.modified.is_empty() {
                s.say(&format!(
                    "Successfully verified that checksums for '{full}' are internally consistent with its manifest."
                ));
            } else {
                s.say(&format!("Collection {name} contains modified content in the following files:"));
                for m in &r.modified {
                    s.say(&format!("    {m}"));
                }
            }
            Ok(!r.modified.is_empty())
        })();
        match done {
            Ok(b) => bad |= b,
            Err(e) if a.ignore_errors => s.warn(&format!(
                "Failed to verify collection {name} but skipping due to --ignore-errors being set. Error: {e}"
            )),
            Err(e) => return Err(e),
        }
    }
    Ok(i32::from(bad))
}
