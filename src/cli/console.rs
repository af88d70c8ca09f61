//! `dirigo console`, also as `ansible-console`: modules on hosts, one line after the other, over connections that
//! stay open.

use super::adhoc;
use super::common::{InventoryArgs, RunArgs, VaultArgs};
use super::setup::{Ready, Wanted};
use crate::diag::{Error, Result, add_whole};
use crate::executor::Options;
use crate::modules;
use crate::playbook::load_node;
use crate::transport::{Pool, PoolOptions};
use crate::value::{Map, Value, parse_bool};
use camino::Utf8PathBuf;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

/// Run modules on hosts, interactively.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Host pattern
    #[arg(value_name = "PATTERN", default_value = "all")]
    pattern: String,
    /// Directory beside which group_vars and host_vars are looked for
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<Utf8PathBuf>,
    /// Seconds that a task may take
    #[arg(long, default_value_t = 0)]
    task_timeout: u64,
    /// Ask before each task
    #[arg(long)]
    step: bool,
    #[command(flatten)]
    inventory: InventoryArgs,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    connection: super::common::ConnectionArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// The verbs with how they are used.
const VERBS: &[(&str, &str)] = &[
    ("EOF", "Leave the console."),
    ("become", "Turn privilege escalation on or off.\nUsage: become yes|no"),
    ("become_method", "How to become another user.\nUsage: become_method sudo|su|doas"),
    ("become_user", "Whom to become.\nUsage: become_user <user>"),
    ("cd", "Change the hosts that are worked on.\nUsage: cd <group>|<host>|<host pattern>"),
    ("check", "Turn check mode on or off.\nUsage: check yes|no"),
    ("collections", "Collections in which names of modules are looked for.\nUsage: collections <namespace.name>[,…]"),
    ("diff", "Turn the showing of differences on or off.\nUsage: diff yes|no"),
    ("exit", "Leave the console."),
    ("forks", "How many hosts are worked on at once.\nUsage: forks <number>"),
    ("help", "List what there is, or tell of one of it.\nUsage: help [<verb>|<module>]"),
    ("list", "List the hosts that are worked on, or the groups there are.\nUsage: list [groups]"),
    ("remote_user", "As whom to connect.\nUsage: remote_user <user>"),
    ("serial", "The same as forks.\nUsage: serial <number>"),
    ("shell", "Run a command line.\nUsage: shell <command>, or ! <command>"),
    ("timeout", "Seconds that a task may take; 0 is without end.\nUsage: timeout <seconds>"),
    ("verbosity", "How much is told.\nUsage: verbosity <number>"),
];

struct Console {
    ready: Ready,
    pool: Arc<Pool>,
    options: Options,
    pattern: String,
    task_timeout: u64,
    collections: Vec<String>,
    base: Utf8PathBuf,
    /// Shown on the prompt.
    login: String,
}

/// Goes on or ends.
enum Next {
    On,
    End,
}

pub fn run(a: Args) -> Result<i32> {
    let base = a.playbook_dir.clone().unwrap_or_default();
    if let Some(dir) = &a.playbook_dir {
        super::common::warn_of_no_dir(dir);
    }
    let wanted = Wanted {
        inventory: &a.inventory,
        vault: &a.vault,
        connection: &a.connection,
        run: &a.run,
        base_dir: base.clone(),
        tags: vec![],
        skip_tags: vec![],
        adhoc: true,
        one_line: false,
        tree: None,
    };
    let ready = Ready::new(&wanted)?;
    let mut options = ready.options.clone();
    options.step = a.step;
    let pool = Pool::new(PoolOptions::default())
        .map_err(|e| Error::general(format!("cannot start the connections' runtime: {e}")))?;
    let mut c = Console {
        pool: Arc::new(pool),
        options,
        pattern: a.pattern.clone(),
        task_timeout: a.task_timeout,
        collections: vec![],
        base,
        login: modules::user_name(nix::unistd::geteuid().as_raw()).unwrap_or_default(),
        ready,
    };
    let hosts = c.hosts(&c.pattern)?;
    if a.inventory.list_hosts {
        println!("  hosts ({}):", hosts.len());
        hosts.iter().for_each(|h| println!("    {h}"));
        return Ok(0);
    }
    if hosts.is_empty() {
        if c.ready.store.inventory().hosts.is_empty() {
            c.warn(super::common::ONLY_LOCALHOST);
        } else {
            return Err(Error::general(
                "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
            ));
        }
    }
    println!("Welcome to the ansible console. Type help or ? to list commands.\n");
    let code = c.each_line();
    c.pool.shutdown();
    code
}

impl Console {
    /// Says what is said with `-v` only.
    fn told(&self, text: &str) {
        if self.options.told > 0 {
            println!("{text}");
        }
    }

    fn warn(&self, text: &str) {
        crate::output::show_warning(text, self.ready.screen.color);
    }

    /// The hosts of a pattern, within the limit.
    fn hosts(&self, pattern: &str) -> Result<Vec<Arc<str>>> {
        let inventory = self.ready.store.inventory();
        let found = inventory.select(pattern);
        for w in inventory.take_warnings() {
            self.warn(&w);
        }
        let within = |h: &Arc<str>| self.ready.limit.as_ref().is_none_or(|l| l.contains(h));
        Ok(found?.into_iter().filter(within).collect())
    }

    fn prompt(&self) -> String {
        let d = &self.options.defaults;
        let user = d.remote_user.as_deref().unwrap_or(&self.login);
        let count = self.hosts(&self.pattern).map(|h| h.len()).unwrap_or(0);
        let root = d.become_ && d.become_user == "root";
        let sign = if root { '#' } else { '$' };
        let text = format!("{user}@{} ({count})[f:{}]{sign} ", self.pattern, self.options.forks);
        match (self.ready.screen.color, root) {
            (true, true) => format!("\x1b[0;31m{text}\x1b[0m"),
            (true, false) => format!("\x1b[0;36m{text}\x1b[0m"),
            _ => text,
        }
    }

    fn each_line(&mut self) -> Result<i32> {
        let mut input = std::io::stdin().lock();
        loop {
            print!("{}", self.prompt());
            std::io::stdout().flush()?;
            let mut line = vec![];
            if input.read_until(b'\n', &mut line)? == 0 {
                println!("\nAnsible-console was exited.");
                return Ok(0);
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            match self.line(line.trim()) {
                Ok(Next::On) => {}
                Ok(Next::End) => return Ok(0),
                Err(e) if e.kind() == crate::diag::Kind::Interrupted => return Err(e),
                // an error ends the line, not the console
                Err(e) => crate::output::show_error(
                    &e,
                    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
                ),
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Next> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(Next::On);
        }
        if let Some(command) = line.strip_prefix('!') {
            return self.task("shell", command.trim()).map(|()| Next::On);
        }
        if let Some(topic) = line.strip_prefix('?') {
            self.help(topic.trim());
            return Ok(Next::On);
        }
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match verb {
            "EOF" | "exit" => {
                println!("\nAnsible-console was exited.");
                return Ok(Next::End);
            }
            "help" => self.help(rest),
            "cd" => self.change(rest)?,
            "list" if rest == "groups" => {
                let inventory = self.ready.store.inventory();
                let mut names: Vec<&str> = inventory.groups.keys().map(|g| &**g).collect();
                names.sort_unstable();
                names.iter().for_each(|n| println!("{n}"));
            }
            "list" => self.hosts(&self.pattern)?.iter().for_each(|h| println!("{h}")),
            "forks" | "serial" => match number(rest, &format!("Usage: {verb} <number>")) {
                Some(0) => self.warn("forks must be greater than or equal to 1"),
                Some(n) => self.options.forks = n as usize,
                None => {}
            },
            "timeout" => {
                if let Some(n) = number(rest, "Usage: timeout <seconds>") {
                    self.task_timeout = n;
                }
            }
            "verbosity" => {
                if let Some(n) = number(rest, "Usage: verbosity <number>") {
                    self.options.verbosity = n.min(9) as u8;
                    self.options.told = self.options.verbosity;
                    println!("verbosity level set to {n}");
                }
            }
            "become" => {
                if let Some(on) = switch(rest, "Please specify become value, e.g. `become yes`") {
                    self.options.defaults.become_ = on;
                }
            }
            "check" => {
                if let Some(on) = switch(rest, "Please specify check mode value, e.g. `check yes`") {
                    self.options.check = on;
                    println!("check mode changed to {}", Value::Bool(on).to_str());
                }
            }
            "diff" => {
                if let Some(on) = switch(rest, "Please specify a diff value , e.g. `diff yes`") {
                    self.options.diff = on;
                    println!("diff mode changed to {}", Value::Bool(on).to_str());
                }
            }
            "become_user" if rest.is_empty() => println!("Please specify a user, e.g. `become_user jenkins`"),
            "become_user" => self.options.defaults.become_user = rest.into(),
            "become_method" if rest.is_empty() => {
                println!("Please specify a become_method, e.g. `become_method su`");
            }
            "become_method" => self.options.defaults.become_method = rest.into(),
            "remote_user" if rest.is_empty() => println!("Please specify a remote user, e.g. `remote_user root`"),
            "remote_user" => self.options.defaults.remote_user = Some(rest.into()),
            "collections" if rest.is_empty() => {
                self.collections.clear();
                self.told("Collections name search is using defaults");
            }
            "collections" => {
                self.collections = rest.split(',').map(|s| s.trim().to_string()).collect();
                self.told(&format!("Collections name search is set to: {}", self.collections.join(", ")));
            }
            module if self.is_module(module) => self.task(module, rest)?,
            _ => self.task("shell", line)?,
        }
        Ok(Next::On)
    }

    fn is_module(&self, name: &str) -> bool {
        use crate::playbook::Resolved;
        !matches!(self.ready.loader.options.library.resolve(name, &self.collections), Resolved::Unknown)
    }

    fn change(&mut self, pattern: &str) -> Result<()> {
        match pattern {
            "" => self.pattern = "*".into(),
            "/" | "/*" | "\\" => self.pattern = "all".into(),
            p => {
                if self.hosts(p)?.is_empty() {
                    println!("no host matched");
                } else {
                    self.pattern = p.into();
                }
            }
        }
        Ok(())
    }

    fn help(&self, topic: &str) {
        if topic.is_empty() {
            println!("\nVerbs (help VERB tells more; every other word is a module or a command line):");
            for (name, about) in VERBS {
                println!("  {name:15} {}", about.lines().next().unwrap_or_default());
            }
            println!("Modules (help MODULE tells more):");
            let mut names: Vec<&str> = modules::registry().iter().map(|m| m.name).collect();
            names.extend(crate::actions::ENGINE_ACTIONS);
            names.sort_unstable();
            names.dedup();
            println!("  {}\n", names.join(" "));
        } else if let Some((_, about)) = VERBS.iter().find(|(n, _)| *n == topic) {
            println!("{about}");
        } else if let Some(m) = modules::find(topic) {
            println!("{}\nParameters:", m.doc.lines().next().unwrap_or_default());
            for a in &m.spec.args {
                println!("  {}", a.name);
            }
        } else {
            println!("*** No help on {topic}");
        }
    }

    /// One task on the hosts.
    fn task(&self, module: &str, args: &str) -> Result<()> {
        if self.hosts(&self.pattern)?.is_empty() {
            return Ok(());
        }
        let args = adhoc::arguments(module, args)
            .map_err(|e| Error::new(e.kind(), format!("Unable to build command: {}", e.message())))?;
        let args = Value::map(args);
        let timeout = Value::Int(self.task_timeout.into());
        let mut shown = Map::new();
        shown.insert("action".into(), module.into());
        shown.insert("args".into(), args.clone());
        shown.insert("timeout".into(), timeout.clone());
        let mut action = Map::new();
        action.insert("module".into(), module.into());
        action.insert("args".into(), args);
        let mut task = Map::new();
        task.insert("action".into(), Value::map(action));
        task.insert("timeout".into(), timeout);
        let mut play = Map::new();
        play.insert("name".into(), "Ansible Shell".into());
        play.insert("hosts".into(), self.pattern.as_str().into());
        play.insert("gather_facts".into(), false.into());
        let names = self.collections.iter().map(|c| c.as_str().into()).collect();
        play.insert("collections".into(), Value::list(names));
        play.insert("tasks".into(), Value::list(vec![Value::map(task)]));
        let text = crate::pyjson::py_json(&Value::list(vec![Value::map(play)]));
        let dir = super::setup::absolute(&self.base);
        // a line of the console has no file that its errors could point into
        let whole = add_whole("<unknown>", Value::map(shown).repr());
        let play = crate::yaml::parse_str("<console>", &text)?.root.at(whole);
        let book = load_node(&self.ready.loader, "<console>", play, &dir, &self.ready.extra)?;
        let hosts = self.hosts(&self.pattern)?;
        super::refuse::plugins(&self.ready, std::slice::from_ref(&book), &|_| hosts.clone())?;
        let runner = self.ready.runner_with(self.options.clone(), self.pool.clone())?;
        // the exit code of a task is nobody's here; what failed was told
        runner.run(&[book]).map(|_| ())
    }
}

fn number(text: &str, usage: &str) -> Option<u64> {
    let n = text.parse().ok();
    if n.is_none() {
        println!("{usage}");
    }
    n
}

/// What is no boolean counts as no.
fn switch(text: &str, usage: &str) -> Option<bool> {
    if text.is_empty() {
        println!("{usage}");
        return None;
    }
    Some(parse_bool(text).unwrap_or(false))
}
