//! `dirigo adhoc`, also as `ansible`: one module on the hosts of a pattern.

use super::common::{ConnectionArgs, InventoryArgs, RunArgs, VaultArgs};
use super::setup::{Ready, Wanted};
use crate::diag::{Error, Part, Result};
use crate::modules;
use crate::playbook::{RAW_PARAM, load_text, parse_kv, short_name};
use crate::value::{Map, Value};
use camino::Utf8PathBuf;

/// Run one module on hosts.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Host pattern
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// Module to run
    #[arg(short = 'm', long = "module-name")]
    module: Option<String>,
    /// The module's arguments: key=value pairs, JSON, or the free-form text of a command
    #[arg(short = 'a', long = "args", allow_hyphen_values = true)]
    args: Option<String>,
    /// One line a result
    #[arg(short = 'o', long = "one-line")]
    one_line: bool,
    /// Write each host's result to a file in this directory
    #[arg(short = 't', long = "tree", value_name = "DIR")]
    tree: Option<String>,
    /// Run in the background, for at most this many seconds
    #[arg(short = 'B', long = "background", default_value_t = 0)]
    background: u64,
    /// Seconds between looks at a background job
    #[arg(short = 'P', long = "poll")]
    poll: Option<u64>,
    /// Extra modifiers of the task, as JSON
    #[arg(long = "task-timeout", default_value_t = 0)]
    task_timeout: u64,
    /// Directory beside which group_vars and host_vars are looked for
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<Utf8PathBuf>,
    #[command(flatten)]
    inventory: InventoryArgs,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// The arguments of `-a`, as a task would have them.
pub(super) fn arguments(module: &str, text: &str) -> Result<Map> {
    let short = short_name(module);
    if text.trim_start().starts_with('{') {
        let doc = crate::yaml::parse_str("<args>", text)?;
        return Ok(doc.root.to_value().as_map().cloned().unwrap_or_default());
    }
    let free = RAW_PARAM.contains(&short.as_str()) || modules::find(module).is_some_and(|m| m.free_form);
    let command = matches!(short.as_str(), "command" | "shell" | "script" | "raw");
    if command && text.trim().is_empty() {
        return Err(Error::options(format!("No argument passed to {module} module")));
    }
    parse_kv(text, free, command, None)
}

impl Args {
    /// What the command line leaves open is as the configuration says.
    fn complete(&mut self) -> Result<()> {
        super::config::Config::load()?;
        let set = |name| crate::settings::current().get(name).transpose().map(|f| f.map(|f| f.value));
        if self.module.is_none() {
            self.module = set("DEFAULT_MODULE_NAME")?.map(|v| v.to_str());
        }
        if self.args.is_none() {
            self.args = set("DEFAULT_MODULE_ARGS")?.filter(|v| !v.is_null()).map(|v| v.to_str());
        }
        if self.playbook_dir.is_none() {
            self.playbook_dir = super::config::playbook_dir()?;
        }
        Ok(())
    }
    fn module(&self) -> &str {
        self.module.as_deref().unwrap_or("command")
    }
    fn poll(&self) -> u64 {
        self.poll.unwrap_or_else(|| crate::settings::poll_interval().unsigned_abs())
    }
}

pub fn run(mut a: Args) -> Result<i32> {
    a.complete()?;
    let short = short_name(a.module());
    if short == "import_playbook" {
        return Err(Error::options(format!("'{}' is not a valid action for ad-hoc commands", a.module())));
    }
    let wanted = Wanted {
        inventory: &a.inventory,
        vault: &a.vault,
        connection: &a.connection,
        run: &a.run,
        base_dir: a.playbook_dir.clone().unwrap_or_default(),
        tags: vec![],
        skip_tags: vec![],
        adhoc: true,
        one_line: a.one_line,
        tree: a.tree.clone(),
    };
    let ready = Ready::new(&wanted)?;
    let hosts = ready.store.inventory().select(&a.pattern)?;
    for w in ready.store.inventory().take_warnings() {
        crate::output::show_warning(&w, ready.screen.color);
    }
    let hosts: Vec<_> = hosts.into_iter().filter(|h| ready.limit.as_ref().is_none_or(|l| l.contains(h))).collect();
    if a.inventory.list_hosts {
        println!("  hosts ({}):", hosts.len());
        for h in hosts {
            println!("    {h}");
        }
        return Ok(0);
    }
    if hosts.is_empty() {
        crate::output::show_warning("No hosts matched, nothing to do", ready.screen.color);
        return Ok(0);
    }
    let (text, parts) = document(&a, &arguments(a.module(), a.args.as_deref().unwrap_or_default())?);
    let dir = super::setup::absolute(&wanted.base_dir);
    let book = load_text(&ready.loader, "<ad-hoc command>", &text, &dir, &ready.extra)?;
    crate::diag::show_parts(book.path.as_str(), parts);
    super::refuse::plugins(&ready, std::slice::from_ref(&book), &|_| hosts.clone())?;
    let runner = ready.runner()?;
    let code = runner.run(&[book]);
    runner.pool.shutdown();
    code
}

/// The play of an ad-hoc command as a document in YAML, and what its places are called: the task, and the options
/// that its module and its arguments come from.
fn document(a: &Args, args: &Map) -> (String, Vec<Part>) {
    let json = |v: &Value| crate::pyjson::py_json(v);
    let mut task = Map::new();
    task.insert("action".into(), a.module().into());
    task.insert("args".into(), Value::map(args.clone()));
    for (k, n) in [("timeout", a.task_timeout), ("async_val", a.background), ("poll", a.poll())] {
        task.insert(k.into(), Value::Int(n.into()));
    }
    let name = format!("<adhoc '{}' task>", a.module());
    let whole = Part { bytes: 0..usize::MAX, name, words: Value::map(task).repr() };
    let mut parts = vec![];
    let hosts = json(&a.pattern.as_str().into());
    let mut text = format!(r#"[{{"name": "Ansible Ad-Hoc", "hosts": {hosts}, "gather_facts": false, "tasks": [{{"#);
    for (k, n) in [("async", a.background), ("poll", a.poll())] {
        if a.background > 0 {
            text.push_str(&format!(r#""{k}": {n}, "#));
        }
    }
    if a.task_timeout > 0 {
        text.push_str(&format!(r#""timeout": {}, "#, a.task_timeout));
    }
    let start = text.len();
    text.push_str(&format!(r#""action": {{"module": {}, "args": {{"#, json(&a.module().into())));
    let option = |o: &str, bytes, words: String| Part { bytes, name: format!("<CLI option '-{o}'>"), words };
    parts.push(option("m", start..text.len(), a.module().to_string()));
    for (n, (k, v)) in args.iter().enumerate() {
        text.push_str(&format!("{}{}: ", if n > 0 { ", " } else { "" }, json(&k.to_string().into())));
        let start = text.len();
        text.push_str(&json(v));
        parts.push(option("a", start..text.len(), v.to_str()));
    }
    text.push_str("}}}]}]");
    parts.push(whole);
    (text, parts)
}
