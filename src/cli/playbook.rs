//! `dirigo playbook`, also as `ansible-playbook`.

use super::common::{ConnectionArgs, InventoryArgs, RunArgs, VaultArgs};
use super::setup::{Ready, Wanted};
use crate::diag::{Error, Result};
use crate::executor::{Runner, TagFilter, heading, list_play};
use crate::playbook::{Play, Playbook, Task, load_playbook};
use crate::template::{FileScope, MapVars, Scope};
use crate::value::Value;
use camino::{Utf8Path, Utf8PathBuf};
use std::sync::Arc;

/// Run playbooks.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The playbooks, in order of running
    #[arg(required = true, value_name = "PLAYBOOK")]
    playbooks: Vec<Utf8PathBuf>,
    #[command(flatten)]
    inventory: InventoryArgs,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Run only plays and tasks with one of these tags
    #[arg(short = 't', long = "tags", value_name = "TAGS")]
    tags: Vec<String>,
    /// Leave out plays and tasks with one of these tags
    #[arg(long, value_name = "SKIP_TAGS")]
    skip_tags: Vec<String>,
    /// Check the playbooks' syntax; run nothing
    #[arg(long)]
    syntax_check: bool,
    /// Print the tasks that would run
    #[arg(long)]
    list_tasks: bool,
    /// Print the tags there are
    #[arg(long)]
    list_tags: bool,
    /// Ask before each task
    #[arg(long)]
    step: bool,
    /// Begin at the task of this name
    #[arg(long, value_name = "NAME")]
    start_at_task: Option<String>,
    /// Run handlers even if a task fails
    #[arg(long)]
    force_handlers: bool,
}

/// Loads everything, then runs, lists or checks.
pub fn run(a: Args) -> Result<i32> {
    let first = a.playbooks.first().map(|p| p.parent().unwrap_or(Utf8Path::new("")).to_owned()).unwrap_or_default();
    for p in &a.playbooks {
        if !p.exists() {
            return Err(Error::general(format!("the playbook: {p} could not be found")));
        }
    }
    let wanted = Wanted {
        inventory: &a.inventory,
        vault: &a.vault,
        connection: &a.connection,
        run: &a.run,
        base_dir: first,
        tags: a.tags.clone(),
        skip_tags: a.skip_tags.clone(),
        adhoc: false,
        one_line: false,
        tree: None,
    };
    let mut ready = Ready::new(&wanted)?;
    ready.options.step = a.step;
    ready.options.start_at_task = a.start_at_task.clone();
    ready.options.force_handlers |= a.force_handlers;
    ready.options.flush_cache = a.inventory.flush_cache;
    if ready.store.inventory().hosts.is_empty() && ready.config.flag("localhost_warning", true)? {
        crate::output::show_warning(super::common::ONLY_LOCALHOST, ready.screen.color);
    }
    let listing = a.list_tasks || a.list_tags || a.inventory.list_hosts;
    if listing {
        ready.loader.only_tell();
    }
    let mut books = vec![];
    for p in &a.playbooks {
        books.push(load_playbook(&ready.loader, p, &ready.extra)?);
    }
    if !listing {
        check(&a, &ready, &books)?;
    }
    if a.syntax_check || listing {
        for w in ready.loader.take_warnings() {
            crate::output::show_warning(&w.in_full(), ready.screen.color);
        }
        let runner = ready.runner()?;
        let lists: Vec<String> = books.iter().map(|b| list(&a, &runner, b)).collect::<Result<_>>()?;
        print!("{}", lists.concat());
        return Ok(0);
    }
    let runner: Arc<Runner> = ready.runner()?;
    let code = runner.run(&books);
    runner.pool.shutdown();
    code
}

/// What can be told of the tasks before the run; shows the warnings.
fn check(a: &Args, ready: &Ready, books: &[Playbook]) -> Result<()> {
    let inventory = ready.store.inventory();
    let reach = super::check::Reach {
        tags: TagFilter::new(&ready.options.tags, &ready.options.skip_tags),
        whole: !a.step && a.start_at_task.is_none(),
        has_hosts: &|play| {
            let found = pattern(ready, play).and_then(|p| inventory.select(&p));
            found.is_ok_and(|f| f.iter().any(|h| ready.limit.as_ref().is_none_or(|l| l.contains(h))))
        },
    };
    super::refuse::plugins(ready, books, &|play| {
        let found = pattern(ready, play).and_then(|p| inventory.select(&p)).unwrap_or_default();
        found.into_iter().filter(|h| ready.limit.as_ref().is_none_or(|l| l.contains(h))).collect()
    })?;
    super::plugins::refuse(&ready.loader, &|name| ready.engine.has_lookup(name))?;
    let warnings = super::check::playbooks(books, &reach)?;
    // the run tells again of patterns that match nothing
    inventory.take_warnings();
    for (text, place) in warnings {
        crate::output::show_warning(&Error::parse(text).at(place).in_full(), ready.screen.color);
    }
    Ok(())
}

/// `--list-hosts`, `--list-tasks`, `--list-tags`, `--syntax-check`.
fn list(a: &Args, r: &Arc<Runner>, book: &Playbook) -> Result<String> {
    let mut out = format!("\nplaybook: {}\n", book.path);
    if !(a.list_tasks || a.list_tags || a.inventory.list_hosts) {
        return Ok(out);
    }
    let filter = TagFilter::new(&r.options.tags, &r.options.skip_tags);
    // as ansible-core: nothing is told of a playbook one of whose plays has no hosts to name
    let headings = book.plays.iter().map(|p| heading(r, p)).collect::<Result<Vec<_>>>()?;
    for (i, (play, head)) in book.plays.iter().zip(headings).enumerate() {
        let hosts = head.patterns.join(",");
        let mut tags: Vec<String> = play.tags.iter().map(Value::to_str).collect();
        tags.sort();
        tags.dedup();
        out.push_str(&format!("\n  play #{} ({hosts}): {}\tTAGS: [{}]\n", i + 1, head.name, tags.join(",")));
        let inventory = r.store.inventory();
        let mut found = inventory.select(&hosts)?;
        inventory.take_warnings().into_iter().for_each(|w| r.warn(w));
        if a.inventory.list_hosts {
            if let Some(l) = &r.limit {
                found.retain(|h| l.contains(h));
            }
            let patterns = head.patterns.into_iter().map(Value::plain).collect();
            out.push_str(&format!("    pattern: {}\n    hosts ({}):\n", Value::list(patterns).to_str(), found.len()));
            found.iter().for_each(|h| out.push_str(&format!("      {h}\n")));
        }
        let listing = list_play(play, &filter, &|t| tags_of(r, play, t));
        if a.list_tasks {
            out.push_str("    tasks:\n");
            for (label, tags) in &listing.tasks {
                out.push_str(&format!("      {label}\tTAGS: [{}]\n", tags.join(", ")));
            }
        }
        if a.list_tags {
            let all: Vec<&str> = listing.tags.iter().map(String::as_str).collect();
            out.push_str(&format!("      TASK TAGS: [{}]\n", all.join(", ")));
        }
    }
    Ok(out)
}

/// A task's tags; templates among them are rendered with the play's variables as far as that is possible.
fn tags_of(r: &Arc<Runner>, play: &Play, t: &Task) -> Vec<String> {
    let mut vars = (*play.vars).clone();
    for m in t.block_vars.iter().chain([&t.vars]) {
        vars.extend(m.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    vars.extend(r.store.extra.iter().map(|(k, v)| (k.clone(), v.clone())));
    let scope = Scope::new(Arc::new(MapVars(vars)), Arc::new(FileScope::default()));
    let rendered = t.tags.iter().map(|v| r.engine.render(v, &scope).unwrap_or_else(|_| v.clone()));
    rendered
        .flat_map(|v| match v {
            Value::List(l) => l.iter().map(Value::to_str).collect(),
            v => vec![v.to_str()],
        })
        .collect()
}

fn pattern(ready: &Ready, play: &Play) -> Result<String> {
    let mut vars = (*play.vars).clone();
    vars.extend(ready.extra.iter().map(|(k, v)| (k.clone(), v.clone())));
    let scope = Scope::new(Arc::new(MapVars(vars)), Arc::new(FileScope::default()));
    Ok(match ready.engine.render(&play.hosts, &scope)? {
        Value::List(l) => l.iter().map(Value::to_str).collect::<Vec<_>>().join(","),
        v => v.to_str(),
    })
}
