//! `galaxy collection download`: archives of collections in one folder, with a file of requirements to install them by.

use super::collection::wanted;
use super::{Common, Start};
use crate::diag::{Error, Result};
use crate::galaxy::collection::{install::check_dependencies, source};
use crate::value::{Map, Value};
use crate::yaml::{EmitOptions, emit};
use camino::Utf8Path;

#[derive(clap::Args, Debug)]
pub struct Download {
    #[command(flatten)]
    common: Common,
    /// Clear the cache of a server's answers (there is none)
    #[arg(long)]
    clear_response_cache: bool,
    /// Use no cache of a server's answers (there is none)
    #[arg(long)]
    no_cache: bool,
    /// Do not look for what the collections depend on
    #[arg(short = 'n', long)]
    no_deps: bool,
    /// Where the archives go
    #[arg(short = 'p', long, value_name = "DOWNLOAD_PATH", default_value = "./collections")]
    download_path: String,
    /// A file that lists collections
    #[arg(short = 'r', long = "requirements-file", value_name = "REQUIREMENTS")]
    requirements: Option<String>,
    /// Versions before a release, too (what is given is taken whatever its version)
    #[arg(long)]
    pre: bool,
    /// Collections: archives, folders, URLs, git repositories
    #[arg(value_name = "COLLECTION")]
    collections: Vec<String>,
}

pub fn run(a: Download) -> Result<i32> {
    let s = Start::new(&a.common)?;
    let specs = wanted(&a.collections, a.requirements.as_deref())?;
    let temp = tempfile::tempdir()?;
    let temp = Utf8Path::from_path(temp.path()).ok_or_else(|| Error::general("TMPDIR is not UTF-8"))?;
    let to = super::super::setup::absolute(crate::modules::expand_path(&a.download_path).as_str().into());
    let to = crate::playbook::clean(&to);
    std::fs::create_dir_all(&to).map_err(|e| Error::general(format!("Could not create {to}: {e}")))?;
    s.say("Process download dependency map");
    let mut sources = vec![];
    for spec in &specs {
        sources.extend(s.talking(|t| source::find(spec, temp, s.fetching, t))?);
    }
    if !a.no_deps {
        check_dependencies(&sources, &[])?;
    }
    s.say(&format!("Starting collection download process to '{to}'"));
    let mut listed = vec![];
    for x in &sources {
        let shown = format!("{}:{}", x.name, x.version);
        let name = format!("{}-{}.tar.gz", x.name.replace('.', "-"), x.version);
        let file = to.join(&name);
        s.say(&format!("Downloading collection '{shown}' to '{to}'"));
        match &x.from {
            source::From::Archive(p) => {
                std::fs::copy(p, &file).map_err(|e| Error::general(format!("cannot copy {p} to {file}: {e}")))?;
            }
            source::From::Folder(built) => {
                built.archive(&file)?;
                s.say(&format!("Created collection for {} at {file}", x.name));
            }
        }
        s.say(&format!("Collection '{shown}' was downloaded successfully"));
        let one: Map =
            [("name".into(), name.into()), ("version".into(), x.version.as_str().into())].into_iter().collect();
        listed.push(Value::map(one));
    }
    let file = to.join("requirements.yml");
    s.say(&format!("Writing requirements.yml file of downloaded collections to '{file}'"));
    let all = Value::map([("collections".into(), Value::list(listed))].into_iter().collect());
    std::fs::write(&file, emit(&all, &EmitOptions { default_flow_style: Some(false), ..EmitOptions::default() }))
        .map_err(|e| Error::general(format!("cannot write {file}: {e}")))?;
    Ok(0)
}
