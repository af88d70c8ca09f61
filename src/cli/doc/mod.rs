//! `dirigo doc`, also as `ansible-doc`: what modules, plug-ins, roles and keywords are and take. What is built in is
//! described by its own declarations, what is in Python by the documentation in its file.

mod find;
#[cfg(test)]
mod keywords_test;
mod markup;
mod native;
mod role;
mod snippet;
mod source;
mod text;

use super::config::Config;
use crate::diag::{Error, Result};
use crate::pyjson::py_json_indent;
use crate::value::{Map, Value};
use crate::yaml;
use camino::Utf8PathBuf;
use find::{Found, KINDS, Places};
use source::Doc;
use std::io::IsTerminal;
use text::Layout;

/// Show documentation.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Modules, plug-ins, roles or keywords
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<String>,
    /// The kind
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "module", value_parser = KINDS)]
    kind: String,
    /// As JSON
    #[arg(short = 'j', long)]
    json: bool,
    /// List what there is; names of collections limit the list
    #[arg(short = 'l', long, group = "what")]
    list: bool,
    /// List what there is with its files
    #[arg(short = 'F', long = "list_files", group = "what")]
    list_files: bool,
    /// Text to begin a task or call with (module, lookup, inventory)
    #[arg(short = 's', long, group = "what")]
    snippet: bool,
    /// Only this entry point of a role
    #[arg(short = 'e', long, value_name = "ENTRY_POINT", group = "what")]
    entry_point: Option<String>,
    /// Everything as JSON
    #[arg(long, group = "what")]
    metadata_dump: bool,
    /// Errors become part of the JSON
    #[arg(long)]
    no_fail_on_errors: bool,
    /// Directories of more modules
    #[arg(short = 'M', long = "module-path", value_name = "PATH")]
    module_path: Vec<String>,
    /// The folder beside which library, plug-ins, roles and collections are
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<String>,
    /// Directories of roles
    #[arg(short = 'r', long, value_name = "ROLES_PATH")]
    roles_path: Vec<String>,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    verbose: u8,
}

struct Docs {
    places: Places,
    layout: Layout,
    color: bool,
    args: Args,
}

pub fn run(a: Args) -> Result<i32> {
    let config = Config::load()?;
    let verbosity = a.verbose.max(config.number("verbosity")?.unwrap_or(0));
    let dir = a.playbook_dir.clone().or_else(|| std::env::var("ANSIBLE_PLAYBOOK_DIR").ok());
    let dir = dir.map(|d| super::setup::absolute(crate::modules::expand_path(&d).as_str().into()));
    let dir = dir.map(|d| crate::playbook::clean(&d));
    let columns = if std::io::stdout().is_terminal() { crate::output::terminal_columns() } else { 80 };
    let columns = columns.saturating_sub(1);
    let d = Docs {
        places: Places::new(&config, dir, &a.module_path)?,
        layout: Layout { width: (columns - columns / 5).max(70), verbosity },
        color: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        args: a,
    };
    config.tell(verbosity)?;
    if d.args.metadata_dump {
        return d.dump();
    }
    match d.args.kind.as_str() {
        "keyword" => d.keywords(),
        "role" => d.roles(),
        _ if d.args.list || d.args.list_files => d.list(),
        _ if d.args.plugins.is_empty() => {
            Err(Error::options("Incorrect options passed: name what to tell of, or --list"))
        }
        _ => d.pages(),
    }
}

/// Each keyword with where it may stand, its type and what it does.
fn keywords() -> Map {
    let rows = include_str!("keywords.tsv").lines().filter(|l| !l.starts_with('#'));
    rows.map(|row| {
        let row: Vec<&str> = row.splitn(4, '\t').collect();
        let col = |i: usize| row.get(i).copied().unwrap_or_default();
        let mut m = Map::new();
        m.insert("applies_to".into(), Value::list(col(1).split(',').map(Value::from).collect()));
        m.insert("description".into(), col(3).into());
        if !col(2).is_empty() {
            m.insert("type".into(), col(2).into());
        }
        (col(0).into(), Value::map(m))
    })
    .collect()
}

/// JSON with nothing but ASCII in it.
fn show_json(v: &Value) {
    let mut out = String::new();
    for c in py_json_indent(v, 4).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0u16; 2];
            c.encode_utf16(&mut units).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
        }
    }
    println!("{out}");
}

impl Docs {
    fn warn(&self, text: &str) {
        crate::output::show_warning(text, self.color);
    }

    /// The documentation; an error if there is none.
    fn read(&self, f: &Found) -> Result<Doc> {
        let missing = |why: String| {
            Error::general(format!(
                "{} {} Missing documentation (or could not parse documentation): {why}",
                f.kind, f.name
            ))
        };
        let none = || {
            let place = f.path.as_ref().map(|p| format!(" in '{p}'")).unwrap_or_default();
            missing(format!("No documentation available for {} plugin '{}'{place}.", f.kind, f.shown()))
        };
        if f.path.is_none() {
            return native::read(f).ok_or_else(none);
        }
        match source::read(f, &self.places) {
            Ok(Some(d)) => Ok(d),
            Ok(None) => Err(none()),
            Err(e) => Err(missing(e.message().to_string())),
        }
    }

    fn file(&self, f: &Found) -> String {
        f.path.as_ref().map(ToString::to_string).unwrap_or_else(|| "built in".into())
    }

    fn list(&self) -> Result<i32> {
        let all = self.places.list(&self.args.kind, &self.args.plugins)?;
        let rows: Vec<(String, String)> = all
            .iter()
            .map(|f| {
                let name = f.full();
                let text = match self.args.list_files {
                    true => self.file(f),
                    false => {
                        let about = match &f.path {
                            None => native::read(f).map(|d| d.doc),
                            Some(_) => source::summary(f),
                        };
                        let about = about.and_then(|d| d.get("short_description").map(|s| markup::plain(&s.to_str())));
                        about.unwrap_or_else(|| "UNDOCUMENTED".into())
                    }
                };
                (name, text)
            })
            .collect();
        if self.args.json {
            let m: Map = rows.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            show_json(&Value::map(m));
            return Ok(0);
        }
        if rows.is_empty() {
            self.warn("No plugins found.");
            return Ok(0);
        }
        let wide = rows.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
        let room = 79usize.saturating_sub(wide + 5).max(20);
        let mut out = String::new();
        for (name, text) in rows {
            if self.args.list_files {
                out.push_str(&format!("{name:wide$} {text}\n"));
                continue;
            }
            let cut =
                if text.chars().count() > room { text.chars().take(room).collect::<String>() + "..." } else { text };
            out.push_str(&format!("{name:wide$} {cut:room$}\n"));
        }
        super::pager::show(&out);
        Ok(0)
    }

    fn pages(&self) -> Result<i32> {
        let kind = self.args.kind.as_str();
        let mut out = vec![];
        let mut tree = Map::new();
        for name in &self.args.plugins {
            let Some(f) = self.places.find(kind, name) else {
                self.warn(&format!("{name} was not found"));
                continue;
            };
            let d = self.read(&f)?;
            if !self.args.json && !source::described(&d) {
                return Err(Error::general(format!(
                    "Unable to retrieve documentation from '{name}': All (sub-)options and return values must have a 'description' field"
                )));
            }
            if self.args.snippet {
                let text = match kind {
                    "module" => Some(snippet::module(&f, &d, 79)),
                    "lookup" => Some(snippet::lookup(&f, &d)),
                    "inventory" => snippet::inventory(&f, &d),
                    _ => {
                        return Err(Error::general(
                            "Snippets are only available for the following plugin types: inventory, lookup, module",
                        ));
                    }
                };
                match text {
                    Some(t) => out.push(t),
                    None => self.warn(&format!(
                        "Unable to construct a snippet for '{name}': it is not chosen by a file with the key 'plugin'."
                    )),
                }
            } else if self.args.json {
                tree.insert(name.as_str().into(), self.data(&f, d));
            } else {
                let action = kind == "module" && self.has_action(&f);
                out.push(text::page(&f, &d, &self.file(&f), action, self.layout));
            }
        }
        if self.args.json {
            show_json(&Value::map(tree));
        } else if !out.is_empty() {
            let text = if self.args.snippet { out.concat() } else { out.join("\n") + "\n" };
            super::pager::show(&text);
        }
        Ok(0)
    }

    fn has_action(&self, f: &Found) -> bool {
        match &f.path {
            None => crate::actions::find(&f.name).is_some(),
            Some(p) => {
                let action =
                    p.parent().map(|d| d.with_file_name("action")).map(|d| d.join(p.file_name().unwrap_or_default()));
                p.extension() == Some("py") && action.is_some_and(|a| a.is_file())
            }
        }
    }

    /// One plug-in as data.
    fn data(&self, f: &Found, d: Doc) -> Value {
        let mut doc = d.doc;
        doc.insert("collection".into(), f.collection.clone().unwrap_or_default().into());
        doc.insert("filename".into(), self.file(f).into());
        doc.insert("plugin_name".into(), f.shown().into());
        if f.kind == "module" {
            doc.insert("has_action".into(), self.has_action(f).into());
        }
        let mut m = Map::new();
        m.insert("doc".into(), Value::map(doc));
        m.insert("examples".into(), d.examples.map(Value::from).unwrap_or(Value::Null));
        m.insert("metadata".into(), Value::Null);
        m.insert("return".into(), d.returns);
        Value::map(m)
    }

    fn roles_path(&self) -> Vec<Utf8PathBuf> {
        let found = crate::settings::current().get("DEFAULT_ROLES_PATH").and_then(|f| f.ok());
        let configured = found.as_ref().and_then(|f| f.value.as_list()).unwrap_or_default().to_vec();
        let own =
            self.args.roles_path.iter().flat_map(|p| p.split(':')).map(|p| {
                crate::playbook::clean(&super::setup::absolute(crate::modules::expand_path(p).as_str().into()))
            });
        own.chain(configured.iter().map(|v| v.to_str().into())).collect()
    }

    fn roles(&self) -> Result<i32> {
        let listing = self.args.list || self.args.list_files;
        let filters: &[String] = if listing { &self.args.plugins } else { &[] };
        let all = role::all(&self.places, &self.roles_path(), filters);
        if listing {
            if self.args.json {
                let m: Map = all.iter().map(|r| (r.name.as_str().into(), role::data(r, None))).collect();
                show_json(&Value::map(m));
            } else {
                super::pager::show(&role::list(&all));
            }
            return Ok(0);
        }
        if self.args.plugins.is_empty() {
            return Err(Error::options("Incorrect options passed: name a role, or --list"));
        }
        let entry = self.args.entry_point.as_deref();
        let mut tree = Map::new();
        let mut out = vec![];
        for name in &self.args.plugins {
            let Some(r) = all.iter().find(|r| r.name == *name) else {
                if !self.args.json {
                    self.warn(&format!("{name} was not found"));
                }
                continue;
            };
            if let Some(e) = &r.broken {
                if !self.args.no_fail_on_errors {
                    return Err(Error::general(format!("Error reading specs of role '{name}': {}", e.in_full())));
                }
                let m: Map = [("error".into(), e.message().into())].into_iter().collect();
                tree.insert(name.as_str().into(), Value::map(m));
                continue;
            }
            if self.args.json {
                tree.insert(name.as_str().into(), role::data(r, entry));
            } else if let Some(p) = role::page(r, entry, self.layout) {
                out.push(p);
            }
        }
        if self.args.json {
            show_json(&Value::map(tree));
        } else if !out.is_empty() {
            super::pager::show(&(out.join("\n") + "\n"));
        }
        Ok(0)
    }

    fn keywords(&self) -> Result<i32> {
        let all = keywords();
        if self.args.list || self.args.list_files {
            let about = |v: &Value| v.get("description").cloned().unwrap_or(Value::Null);
            let m: Map = all.iter().map(|(k, v)| (k.clone(), about(v))).collect();
            if self.args.json {
                show_json(&Value::map(m));
            } else {
                super::pager::show(&yaml::emit(&Value::map(m), &yaml::EmitOptions::default()));
            }
            return Ok(0);
        }
        let mut tree = Map::new();
        for name in &self.args.plugins {
            match all.get(name.as_str()) {
                Some(k) => drop(tree.insert(name.as_str().into(), k.clone())),
                None => self.warn(&format!("Skipping invalid keyword '{name}': '{name}'")),
            }
        }
        if self.args.json {
            show_json(&Value::map(tree));
        } else if !tree.is_empty() {
            super::pager::show(&yaml::emit(&Value::map(tree), &yaml::EmitOptions::default()));
        }
        Ok(0)
    }

    /// Everything there is, as JSON.
    fn dump(&self) -> Result<i32> {
        let mut all = Map::new();
        let error = |e: Error| -> Result<Value> {
            if !self.args.no_fail_on_errors {
                return Err(e);
            }
            let m: Map = [("error".into(), e.message().into())].into_iter().collect();
            Ok(Value::map(m))
        };
        for kind in KINDS {
            let mut of_kind = Map::new();
            match kind {
                "keyword" => of_kind = keywords(),
                "role" => {
                    for r in role::all(&self.places, &self.roles_path(), &self.args.plugins) {
                        let v = match &r.broken {
                            Some(e) => error(e.clone())?,
                            None => role::data(&r, None),
                        };
                        of_kind.insert(r.name.as_str().into(), v);
                    }
                }
                kind => {
                    for f in self.places.list(kind, &self.args.plugins)? {
                        let v = match self.read(&f) {
                            Ok(d) => self.data(&f, d),
                            Err(e) => error(e)?,
                        };
                        let name = f.full();
                        of_kind.insert(name.as_str().into(), v);
                    }
                }
            }
            all.insert(kind.into(), Value::map(of_kind));
        }
        let mut m = Map::new();
        m.insert("all".into(), Value::map(all));
        show_json(&Value::map(m));
        Ok(0)
    }
}
