//! `dirigo adhoc`, also as `ansible`: one module on the hosts of a pattern.

use super::common::{ConnectionArgs, InventoryArgs, RunArgs, VaultArgs, node_of};
use super::setup::{Ready, Wanted};
use crate::diag::{Error, Result, add_whole};
use crate::modules;
use crate::playbook::{RAW_PARAM, load_node, parse_kv, short_name};
use crate::value::{Map, Value, has_delimiter};
use crate::yaml::{Node, NodeKind};
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
    if text.starts_with('{') && text.ends_with('}') {
        let doc = crate::yaml::parse_str("<args>", text)?;
        // an empty mapping counts as text
        if let Some(m) = doc.root.to_value().as_map().filter(|m| !m.is_empty()) {
            return Ok(m.clone());
        }
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

/// The playbook of one play with one task. Its places are the options that the texts come from.
fn book(a: &Args) -> Result<Node> {
    let args = Value::map(arguments(a.module(), a.args.as_deref().unwrap_or_default())?);
    let mut shown = Map::new();
    shown.insert("action".into(), a.module().into());
    shown.insert("args".into(), args.clone());
    for (k, n) in [("timeout", a.task_timeout), ("async_val", a.background), ("poll", a.poll())] {
        shown.insert(k.into(), Value::Int(n.into()));
    }
    let whole = add_whole(format!("<adhoc '{}' task>", a.module()), Value::map(shown).repr());
    let node = |kind| Node { kind, span: whole };
    let text = |option: &str, s: &str| node_of(&Value::trusted(s, None), option);
    let number = |n: u64| node(NodeKind::Int(n.into()));
    let map = |members: Vec<(&str, Node)>| {
        let key = |k: &str, span| Node { kind: NodeKind::Str(k.into()), span };
        let pair = |(k, v): (&str, Node)| (key(k, if k == "action" { v.span } else { whole }), v);
        node(NodeKind::Map(members.into_iter().map(pair).collect()))
    };
    let module = text("<CLI option '-m'>", a.module());
    let span = module.span;
    let action = map(vec![("module", module), ("args", node_of(&args, "<CLI option '-a'>"))]);
    let mut task = vec![("action", Node { span, ..action })];
    if a.background > 0 {
        task.extend([("async", number(a.background)), ("poll", number(a.poll()))]);
    }
    if a.task_timeout > 0 {
        task.push(("timeout", number(a.task_timeout)));
    }
    let play = map(vec![
        ("name", text("<ad-hoc command>", "Ansible Ad-Hoc")),
        ("hosts", text("<CLI option 'args'>", &a.pattern)),
        ("gather_facts", node(NodeKind::Bool(false))),
        ("tasks", node(NodeKind::Seq(vec![map(task)]))),
    ]);
    Ok(Node {
        kind: NodeKind::Seq(vec![play]),
        span: add_whole("<CLI option '-a'>", a.args.as_deref().unwrap_or_default()),
    })
}

pub fn run(mut a: Args) -> Result<i32> {
    a.complete()?;
    let short = short_name(a.module());
    if short == "import_playbook" {
        return Err(Error::options(format!("'{}' is not a valid action for ad-hoc commands", a.module())));
    }
    if short == "include" {
        // playbooks may still have it; ansible-core's words and exit code
        return Err(Error::general(
            "The 'ansible.builtin.include' action plugin has been removed. Use include_tasks or import_tasks instead. \
             This feature was removed from ansible-core in a release after 2023-05-16.",
        ));
    }
    if let Some(dir) = &a.playbook_dir {
        super::common::warn_of_no_dir(dir);
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
    let empty = ready.store.inventory().hosts.is_empty();
    let local = |p: &str| matches!(p, "localhost" | "127.0.0.1" | "::1");
    if empty && !local(&a.pattern) && ready.config.flag("localhost_warning", true)? {
        crate::output::show_warning(super::common::ONLY_LOCALHOST, ready.screen.color);
    }
    let hosts: Vec<_> = hosts.into_iter().filter(|h| ready.limit.as_ref().is_none_or(|l| l.contains(h))).collect();
    if hosts.is_empty() && !empty {
        crate::output::show_warning("No hosts matched, nothing to do", ready.screen.color);
    }
    if a.inventory.list_hosts {
        println!("  hosts ({}):", hosts.len());
        for h in hosts {
            println!("    {h}");
        }
        return Ok(0);
    }
    // a pattern that is a template is looked at again when the play has it
    if hosts.is_empty() && !has_delimiter(&a.pattern) {
        return Ok(0);
    }
    let dir = super::setup::absolute(&wanted.base_dir);
    let book = load_node(&ready.loader, crate::output::AD_HOC, book(&a)?, &dir, &ready.extra)?;
    super::refuse::plugins(&ready, std::slice::from_ref(&book), &|_| hosts.clone())?;
    let runner = ready.runner()?;
    let code = runner.run(&[book]);
    runner.pool.shutdown();
    code
}
