//! `dirigo config`, also as `ansible-config`: what can be set, what is set, and where from.

use super::config::Config;
use crate::diag::{Error, Result};
use crate::pyjson::py_json_indent;
use crate::settings::{self, Found, KINDS, Plugin, Setting};
use crate::value::{Map, Value};
use crate::yaml::{EmitOptions, emit};
use camino::Utf8PathBuf;
use std::fmt::Write;

/// Show the configuration.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Print every setting with its type, default and the places it is read from
    List(Common<ListFormat>),
    /// Print every setting's value and where it comes from
    Dump {
        #[command(flatten)]
        common: Common<DumpFormat>,
        /// Only what is not the default
        #[arg(long, visible_alias = "changed-only")]
        only_changed: bool,
    },
    /// Print the configuration file
    View {
        /// Configuration file instead of the one that would be found
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        config: Option<Utf8PathBuf>,
        /// Accepted as with the other actions: the file is shown whole
        #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "base", value_parser = kind)]
        kind: String,
        /// Plug-ins of the type (accepted)
        plugins: Vec<String>,
    },
    /// Print a configuration file with all defaults, to begin one's own with
    Init {
        #[command(flatten)]
        common: Common<InitFormat>,
        /// Put a comment mark before every entry
        #[arg(long)]
        disabled: bool,
    },
    /// Look for unknown settings in the configuration file, or for unknown variables in the environment
    Validate(Common<ValidateFormat>),
}

#[derive(clap::Args, Debug)]
struct Common<F: clap::ValueEnum + Clone + Send + Sync + 'static> {
    /// Configuration file instead of the one that would be found
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<Utf8PathBuf>,
    /// Only settings of this kind of plug-in; base is those of no plug-in
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "base", value_parser = kind)]
    kind: String,
    /// Format
    #[arg(short = 'f', long, value_enum)]
    format: Option<F>,
    /// Plug-ins of the type
    plugins: Vec<String>,
}

fn kind(s: &str) -> std::result::Result<String, String> {
    match s {
        "all" | "base" => Ok(s.into()),
        s if KINDS.contains(&s) => Ok(s.into()),
        _ => Err(format!("choose from all, base, {}", KINDS.join(", "))),
    }
}

#[derive(clap::ValueEnum, Clone, Debug, Default)]
enum ListFormat {
    Json,
    #[default]
    Yaml,
}
#[derive(clap::ValueEnum, Clone, Debug, Default)]
enum DumpFormat {
    Json,
    Yaml,
    #[default]
    Display,
}
#[derive(clap::ValueEnum, Clone, Debug, Default, PartialEq)]
enum InitFormat {
    #[default]
    Ini,
    Env,
    Vars,
}
#[derive(clap::ValueEnum, Clone, Debug, Default, PartialEq)]
enum ValidateFormat {
    #[default]
    Ini,
    Env,
}

/// The file that was named, checked as Ansible does, becomes the one of the process.
fn load(named: Option<&Utf8PathBuf>) -> Result<Config> {
    let Some(f) = named else { return Config::load() };
    let path = super::setup::absolute(&Utf8PathBuf::from(crate::modules::expand_path(f.as_str())));
    if !path.is_file() {
        return Err(Error::options(format!("The provided configuration file is missing or not accessible: {path}")));
    }
    if !matches!(path.extension(), Some("ini" | "cfg")) {
        let ext = path.extension().map(|e| format!(".{e}")).unwrap_or_default();
        return Err(Error::options(format!("Unsupported configuration file extension for {path}: {ext}")));
    }
    Config::load_file(&path)
}

pub fn run(a: Args) -> Result<i32> {
    if a.verbose > 0 {
        // the one that is found, whatever -c names
        Config::load()?.tell(a.verbose)?;
    }
    match a.verb {
        Verb::List(c) => {
            load(c.config.as_ref())?;
            list(&c)?;
        }
        Verb::Dump { common, only_changed } => {
            load(common.config.as_ref())?;
            dump(&common, only_changed)?;
        }
        Verb::View { config, .. } => {
            let c = load(config.as_ref())?;
            let Some(f) = c.file else { return Err(Error::general("Invalid or no config file was supplied")) };
            let text = std::fs::read_to_string(&f).map_err(|e| Error::options(format!("Unable to open {f}: {e}")))?;
            super::pager::show(&text);
        }
        Verb::Init { common, disabled } => {
            load(common.config.as_ref())?;
            let places = listed(&common.kind, &common.plugins)?;
            let text = match common.format.unwrap_or_default() {
                InitFormat::Ini => init_ini(&places, disabled),
                f => init_lines(&places, disabled, f == InitFormat::Env),
            };
            super::pager::show(text.strip_suffix('\n').unwrap_or(&text));
        }
        Verb::Validate(c) => return validate(&c),
    }
    Ok(0)
}

/// The settings that a type and names choose: of no plug-in, and of plug-ins by kind.
struct Listed {
    base: bool,
    kinds: Vec<(&'static str, Vec<Plugin>)>,
}

fn listed(kind: &str, names: &[String]) -> Result<Listed> {
    let kinds: Vec<&'static str> = KINDS.into_iter().filter(|k| kind == "all" || kind == *k).collect();
    let mut out = Listed { base: matches!(kind, "all" | "base"), kinds: vec![] };
    for k in kinds {
        let mut found: Vec<Plugin> = settings::plugins().iter().filter(|p| p.kind == k).cloned().collect();
        if !names.is_empty() && kind != "all" {
            for n in names {
                if settings::plugin(k, n).is_none() {
                    let text = format!("Skipping {n} as we could not find matching plugin");
                    crate::output::show_warning(&text, crate::output::Screen::of_stdout(0).color);
                }
            }
            found.retain(|p| names.iter().any(|n| settings::plugin(k, n).is_some_and(|q| q.name == p.name)));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        out.kinds.push((k, found));
    }
    Ok(out)
}

/// Settings that begin with `_` are for tests of the configuration itself.
fn public(list: &[Setting]) -> impl Iterator<Item = &Setting> {
    list.iter().filter(|s| !s.name.starts_with("_Z_"))
}

/// What is known of a setting, by Ansible's keys.
pub(super) fn describe(s: &Setting) -> Value {
    let mut m = Map::new();
    let list = |names: &[String], key: &str| {
        Value::list(names.iter().map(|n| Value::map(Map::from_iter([(key.into(), n.as_str().into())]))).collect())
    };
    if !s.choices.is_empty() {
        m.insert("choices".into(), Value::list(s.choices.iter().map(|c| c.as_str().into()).collect()));
    }
    let default = match s.default.as_str() {
        Some(d) => Value::plain(match d.strip_prefix(settings::HOME) {
            Some("") => "{{ ANSIBLE_HOME }}".into(),
            Some(rest) => format!("{{{{ ANSIBLE_HOME ~ \"{rest}\" }}}}"),
            None => d.into(),
        }),
        None => Value::from_json(s.default.clone()),
    };
    m.insert("default".into(), default);
    let about = if s.about.is_empty() { "Accepted for compatibility; it has no effect here." } else { &s.about };
    m.insert("description".into(), about.into());
    if !s.env.is_empty() {
        m.insert("env".into(), list(&s.env, "name"));
    }
    if !s.ini.is_empty() {
        let places = s.ini.iter().map(|(section, key)| {
            Value::map(Map::from_iter([
                ("key".into(), key.as_str().into()),
                ("section".into(), section.as_str().into()),
            ]))
        });
        m.insert("ini".into(), Value::list(places.collect()));
    }
    if s.required {
        m.insert("required".into(), true.into());
    }
    m.insert("type".into(), s.ty.as_str().into());
    if !s.vars.is_empty() {
        m.insert("vars".into(), list(&s.vars, "name"));
    }
    Value::map(m)
}

fn show(v: &Value, json: bool) {
    super::pager::show(&if json {
        py_json_indent(v, 4) + "\n"
    } else {
        emit(v, &EmitOptions { sort_keys: true, ..EmitOptions::default() })
    });
}

fn list(c: &Common<ListFormat>) -> Result<()> {
    let l = listed(&c.kind, &c.plugins)?;
    let all = |s: &[Setting]| Value::map(public(s).map(|s| (s.name.as_str().into(), describe(s))).collect());
    let mut out = Map::new();
    if l.base {
        out = all(settings::settings()).as_map().cloned().unwrap_or_default();
        let file = [("default".into(), Value::Null), ("type".into(), "path".into())];
        out.insert("CONFIG_FILE".into(), Value::map(file.into_iter().collect()));
        // none is asked
        out.insert("GALAXY_SERVERS".into(), Value::empty_map());
    }
    let kinds: Map = l
        .kinds
        .iter()
        .map(|(k, found)| {
            (
                k.to_string().into(),
                Value::map(found.iter().map(|p| (p.name.as_str().into(), all(&p.options))).collect()),
            )
        })
        .collect();
    if !kinds.is_empty() {
        out.insert("PLUGINS".into(), Value::map(kinds));
    }
    show(&Value::map(out), matches!(c.format, Some(ListFormat::Json)));
    Ok(())
}

/// One line or entry of a dump.
struct Shown {
    name: String,
    found: Found,
}

fn shown(list: &[Setting], changed: bool, plugin: bool) -> Result<Vec<Shown>> {
    let current = settings::current();
    let mut out = vec![];
    for s in public(list) {
        let mut found = current.find(s, &|_| None)?;
        if plugin && s.required && found.value.is_null() && found.origin == "default" {
            found.origin = "REQUIRED".into();
        }
        if !changed || !matches!(found.origin.as_str(), "default" | "REQUIRED") {
            out.push(Shown { name: s.name.clone(), found });
        }
    }
    if !plugin {
        let file = current.file.as_ref().map(|f| Value::plain(f.as_str())).unwrap_or_default();
        out.push(Shown { name: "CONFIG_FILE".into(), found: Found { value: file, origin: String::new() } });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

fn text(list: &[Shown]) -> String {
    list.iter().fold(String::new(), |mut t, s| {
        let _ = writeln!(t, "{}({}) = {}", s.name, s.found.origin, s.found.value.to_str());
        t
    })
}

fn data(list: Vec<Shown>) -> Vec<Value> {
    list.into_iter()
        .map(|s| {
            Value::map(Map::from_iter([
                ("name".into(), s.name.into()),
                ("origin".into(), s.found.origin.into()),
                ("value".into(), s.found.value),
            ]))
        })
        .collect()
}

fn dump(c: &Common<DumpFormat>, changed: bool) -> Result<()> {
    let l = listed(&c.kind, &c.plugins)?;
    let display = matches!(c.format, None | Some(DumpFormat::Display));
    let (mut words, mut values) = (String::new(), vec![]);
    if l.base {
        let base = shown(settings::settings(), changed, false)?;
        if display {
            words.push_str(&text(&base));
            words.push_str("\nGALAXY_SERVERS:\n");
        } else {
            values = data(base);
            values.push(Value::map(Map::from_iter([("GALAXY_SERVERS".into(), Value::empty_map())])));
        }
    }
    for (k, found) in &l.kinds {
        let mut of_kind = vec![];
        let mut pages = String::new();
        for p in found {
            let options = shown(&p.options, changed, true)?;
            if options.is_empty() && (changed || display) {
                continue;
            }
            if display {
                let _ = write!(pages, "\n{}:\n{}\n{}", p.name, "_".repeat(p.name.len()), text(&options));
            } else {
                of_kind.push(Value::map(Map::from_iter([(p.name.as_str().into(), Value::list(data(options)))])));
            }
        }
        // of what has changed, kinds without a change are not told
        if display && c.kind == "all" && !(changed && pages.is_empty()) {
            if words.ends_with("GALAXY_SERVERS:\n") {
                words.push('\n');
            }
            let _ = write!(words, "\n{}:\n{}\n", k.to_uppercase(), "=".repeat(k.len()));
        }
        words.push_str(&pages);
        if !display {
            if c.kind == "all" {
                let name = format!("{}_PLUGINS", k.to_uppercase());
                values.push(Value::map(Map::from_iter([(name.into(), Value::list(of_kind))])));
            } else {
                values.extend(of_kind);
            }
        }
    }
    if display {
        super::pager::show(&words);
    } else {
        show(&Value::list(values), matches!(c.format, Some(DumpFormat::Json)));
    }
    Ok(())
}

/// A default as a configuration file has it.
fn written(s: &Setting) -> String {
    // whoever reads it has another home
    if let Some(d) = s.default.as_str().filter(|d| d.starts_with("~/")) {
        return d.into();
    }
    match default_of(s) {
        Some(Value::Null) | None => String::new(),
        Some(Value::List(l)) => {
            let sep = if s.ty == "pathspec" { ":" } else { ", " };
            l.iter().map(Value::to_str).collect::<Vec<_>>().join(sep)
        }
        Some(v) => v.to_str(),
    }
}

/// A default in the setting's type.
fn default_of(s: &Setting) -> Option<Value> {
    let alone = Setting { env: vec![], ini: vec![], vars: vec![], ..s.clone() };
    settings::current().find(&alone, &|_| None).ok().map(|f| f.value)
}

fn everything(l: &Listed) -> impl Iterator<Item = &Setting> {
    let base = if l.base { settings::settings() } else { &[] };
    public(base).chain(l.kinds.iter().flat_map(|(_, p)| p).flat_map(|p| &p.options))
}

/// The same, the settings of no plug-in by their names.
fn by_name(l: &Listed) -> Vec<&Setting> {
    let mut base: Vec<&Setting> = public(if l.base { settings::settings() } else { &[] }).collect();
    base.sort_by_key(|s| &s.name);
    for (_, found) in &l.kinds {
        for p in found {
            let mut own: Vec<&Setting> = p.options.iter().collect();
            own.sort_by_key(|s| &s.name);
            base.extend(own);
        }
    }
    base
}

fn init_ini(l: &Listed, disabled: bool) -> String {
    // in the order of the settings' names, which the keys need not have
    let mut sections: Vec<(&str, Vec<(&str, &Setting)>)> = vec![];
    for s in by_name(l) {
        let Some((section, key)) = s.ini.last() else { continue };
        match sections.iter_mut().find(|(n, _)| n == section) {
            Some((_, m)) => match m.iter_mut().find(|(k, _)| k == key) {
                // of several with one place the last one is told where the first one stands
                Some((_, old)) => *old = s,
                None => m.push((key, s)),
            },
            None => sections.push((section, vec![(key.as_str(), s)])),
        }
    }
    let mut out = String::new();
    for (section, entries) in sections {
        let _ = writeln!(out, "[{section}]");
        for (key, s) in entries {
            let mark = if disabled { ";" } else { "" };
            let about =
                if s.about.is_empty() { "Accepted for compatibility; it has no effect here." } else { &s.about };
            let _ = write!(out, "# ({}) {about}\n{mark}{key}={}\n\n", s.ty, written(s));
        }
        out.push('\n');
    }
    out
}

/// Variables of the environment, or of a host. What is internal is left out.
fn init_lines(l: &Listed, disabled: bool, env: bool) -> String {
    let mut out = String::new();
    let mark = if disabled { "#" } else { "" };
    for s in everything(l) {
        let Some(name) = (if env { s.env.last() } else { s.vars.last() }) else { continue };
        if name.starts_with('_') {
            continue;
        }
        let about = if s.about.is_empty() { "Accepted for compatibility; it has no effect here." } else { &s.about };
        let _ = writeln!(out, "# {}({}): {about}", s.name, s.ty);
        if env {
            let value = match (s.ty.as_str(), written(s)) {
                ("boolean", v) => if v == "True" { "1" } else { "0" }.to_string(),
                (_, v) if v.contains(|c: char| !c.is_alphanumeric() && !"_-./:@%+=".contains(c)) => {
                    format!("'{}'", v.replace('\'', "'\"'\"'"))
                }
                (_, v) => v,
            };
            let _ = write!(out, "{mark}{name}={value}\n\n");
        } else {
            let value = match default_of(s) {
                Some(Value::Null) | None => Value::from(""),
                Some(v) => v,
            };
            let m = Value::map([(name.as_str().into(), value)].into_iter().collect());
            // one line a variable
            let options = EmitOptions { width: -1, default_flow_style: Some(true), ..EmitOptions::default() };
            let line = emit(&m, &options);
            let line = line.trim().trim_start_matches('{');
            let _ = write!(out, "{mark}{}\n\n\n", line.strip_suffix('}').unwrap_or(line));
        }
    }
    out
}

fn validate(c: &Common<ValidateFormat>) -> Result<i32> {
    let config = load(c.config.as_ref())?;
    let l = Listed { base: true, kinds: listed(if c.kind == "base" { "" } else { &c.kind }, &c.plugins)?.kinds };
    let mut problems = vec![];
    if c.format == Some(ValidateFormat::Env) {
        for (k, _) in std::env::vars().filter(|(k, _)| k.starts_with("ANSIBLE_") && k != "ANSIBLE_CONFIG") {
            if !everything(&l).any(|s| s.env.contains(&k)) {
                problems.push(format!("Found unknown environment variable '{k}'."));
            }
        }
    } else if let Some(f) = &config.file {
        for (section, key, _) in &settings::current().entries {
            let mut known = everything(&l).flat_map(|s| &s.ini).filter(|(s, _)| s == section).peekable();
            if known.peek().is_none() {
                let words = format!("Found unknown section '{section}' in '{f}.");
                if !problems.contains(&words) {
                    problems.push(words);
                }
            } else if !known.any(|(_, k)| k == key) {
                problems.push(format!("Found unknown key '{key}' in section '{section}' in '{f}."));
            }
        }
    }
    for p in &problems {
        eprintln!("[ERROR]: {p}");
    }
    if problems.is_empty() {
        println!("All configurations seem valid!");
    }
    Ok(i32::from(!problems.is_empty()))
}
