//! What can be told of a playbook before any host is touched: arguments of modules and actions.
//!
//! A literal argument that cannot be right is refused only where ansible-core would certainly stop on it.
//! A task whose failure the playbook itself deals with (`ignore_errors`, `failed_when`, a block with
//! `rescue`) is left to fail when it runs; one that may never run (`when`, a loop, a handler, …) too, with
//! a warning.

use crate::actions;
use crate::diag::{Error, Kind, Result, Span};
use crate::executor::TagFilter;
use crate::modules::{self, Spec};
use crate::playbook::{Item, Play, Playbook, Task, nearest};
use crate::value::Value;
use indexmap::IndexSet;
use std::collections::HashSet;

/// Which plays and tasks are sure to run.
pub struct Reach<'a> {
    pub tags: TagFilter,
    /// False where tasks may be left out one by one (`--step`, `--start-at-task`).
    pub whole: bool,
    /// Whether a play has hosts already.
    pub has_hosts: &'a dyn Fn(&Play) -> bool,
}

/// Refuses unknown names, missing required ones and impossible choices among the literal arguments of tasks
/// that are sure to run and to stop the play; answers warnings about those of other tasks.
pub fn playbooks(books: &[Playbook], reach: &Reach) -> Result<Vec<Warning>> {
    let mut c = Check { reach, seen: HashSet::new(), warnings: IndexSet::new() };
    for play in books.iter().flat_map(|b| &b.plays) {
        c.play(play)?;
    }
    Ok(c.warnings.into_iter().collect())
}

/// Words, and the place they are about.
pub type Warning = (String, Span);

struct Check<'a> {
    reach: &'a Reach<'a>,
    seen: HashSet<usize>,
    warnings: IndexSet<Warning>,
}

/// What is known of the place a task stands in.
#[derive(Clone, Copy)]
struct At {
    /// Sure to be reached.
    certain: bool,
    /// A failure goes to a `rescue` section.
    rescued: bool,
}

impl Check<'_> {
    fn play(&mut self, play: &Play) -> Result<()> {
        let certain = self.reach.whole && play.when.is_empty() && (self.reach.has_hosts)(play);
        let mut at = At { certain, rescued: false };
        for part in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
            self.items(part, &mut at)?;
        }
        self.items(&play.handlers, &mut At { certain: false, rescued: false })
    }

    fn items(&mut self, items: &[Item], at: &mut At) -> Result<()> {
        for i in items {
            match i {
                Item::Task(t) => {
                    if self.seen.insert(t.id) {
                        self.task(t, *at)?;
                    }
                    // nothing is sure behind a task that may end the play for a host
                    at.certain &=
                        !(t.short == "meta" && t.raw_arg("_raw_params").is_some_and(|a| a.starts_with("end_")));
                }
                Item::Block(b) => {
                    let mut inner = At { rescued: at.rescued || !b.rescue.is_empty(), ..*at };
                    self.items(&b.block, &mut inner)?;
                    self.items(&b.rescue, &mut At { certain: false, ..*at })?;
                    at.certain &= inner.certain;
                    self.items(&b.always, at)?;
                }
                Item::RoleEnd(_) => {}
            }
        }
        Ok(())
    }

    fn task(&mut self, t: &Task, at: At) -> Result<()> {
        let Err(e) = check_task(t) else { return Ok(()) };
        let tags: Vec<String> = t.tags.iter().map(Value::to_str).collect();
        let tags_known = t.tags.iter().all(|v| !v.needs_render());
        if tags_known && !t.is_handler && !self.reach.tags.selects(&tags) {
            return Ok(());
        }
        let ignored = t.kw.ignore_errors.as_ref().is_some_and(|v| v.to_bool_loose() != Some(false));
        if at.rescued || ignored || !t.failed_when.is_empty() {
            return Ok(());
        }
        let looped = t.loop_.as_ref().is_some_and(|l| match &l.over {
            Value::List(items) => items.is_empty() || l.lookup.as_deref().is_some_and(|n| n != "items"),
            _ => true,
        });
        if at.certain && tags_known && !looped && !t.is_handler && t.when.is_empty() {
            return Err(e);
        }
        let short = e.message().split(" Supported parameters include").next().unwrap_or_default().to_string();
        let advice = e.help_text().map(|h| format!(" ({h})")).unwrap_or_default();
        let text = format!("{}{advice}; the task fails if it runs", short.trim_end_matches('.'));
        self.warnings.insert((text, e.span().unwrap_or(t.span)));
        Ok(())
    }
}

/// Actions of ansible-core that pay no heed to names they do not know.
const TOLERANT: [&str; 2] = ["fetch", "raw"];

fn check_task(t: &Task) -> Result<()> {
    if let Some(e) = &t.bad {
        // some end the run whatever the task says
        let kind = if e.kind() == Kind::General { Kind::General } else { Kind::Arguments };
        return Err(e.clone().with_kind(kind));
    }
    // a module that is not built in declares its arguments in its own code
    if actions::ENGINE_ACTIONS.contains(&t.short.as_str()) || t.implicit || t.module_file.is_some() {
        return Ok(());
    }
    // an action's own declaration counts, else that of the module of the same name
    let action = actions::find(&t.action);
    let module = modules::find(&t.action);
    let spec: Spec = match (action.and_then(|a| a.spec), module) {
        (Some(f), _) => f(),
        (None, Some(m)) => m.spec.clone(),
        (None, None) => return Ok(()),
    };
    check_args(t, &spec).map_err(|e| e.with_kind(Kind::Arguments))
}

fn check_args(t: &Task, spec: &Spec) -> Result<()> {
    for (k, v) in &t.args {
        let name = k.to_string();
        if name.starts_with('_') || crate::value::has_delimiter(&name) {
            continue;
        }
        let Some(arg) = spec.find(&name) else {
            // a template may come out as `omit`
            if v.needs_render() || TOLERANT.contains(&t.short.as_str()) {
                continue;
            }
            let names: Vec<&str> = spec.args.iter().map(|a| a.name.as_str()).filter(|n| !n.starts_with('_')).collect();
            let e = Error::parse(modules::unsupported(spec, modules::shown_name(&t.action), &[&name]))
                .at(place(v).unwrap_or(t.span));
            return Err(match nearest(&name, &names) {
                Some(n) => e.help(format!("did you mean '{n}'?")),
                None => e,
            });
        };
        let literal = !v.needs_render() && matches!(v, Value::Str(_) | Value::Int(_) | Value::Bool(_));
        if literal && !arg.choices.is_empty() && arg.ty == modules::Type::Str {
            let text = modules::convert(arg.ty, &v.to_json()).unwrap_or_default();
            if !arg.choices.contains(&text) {
                let list: Vec<String> = arg.choices.iter().map(modules::json_text).collect();
                return Err(Error::parse(format!(
                    "value of {} must be one of: {}, got: {}",
                    arg.name,
                    list.join(", "),
                    v.to_str()
                ))
                .at(place(v).unwrap_or(t.span)));
            }
        }
    }
    // module_defaults and templated args may give what is missing here
    if t.args_template.is_some() || !t.module_defaults.is_empty() {
        return Ok(());
    }
    let missing: Vec<&str> = spec
        .args
        .iter()
        .filter(|a| a.required && !std::iter::once(&a.name).chain(&a.aliases).any(|n| t.args.contains_key(n.as_str())))
        .map(|a| a.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(Error::parse(format!("missing required arguments: {}", missing.join(", ")))
            .at(t.span)
            .label(format!("a task of {}", t.action)));
    }
    Ok(())
}

fn place(v: &Value) -> Option<crate::diag::Span> {
    match v {
        Value::Str(s) => s.origin,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::{Loader, LoaderOptions, load_node};
    use crate::value::Map;

    fn check(tasks: &str, tags: &[&str]) -> Result<Vec<Warning>> {
        let loader = Loader::new(LoaderOptions {
            roles_path: vec![],
            collections_path: vec![],
            decrypt: Box::new(|t| Ok(t.to_string())),
            render: Box::new(|v, _| Ok(v.clone())),
            library: std::sync::Arc::new(crate::playbook::Library::built_in(actions::known)),
        });
        let text = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        let book = load_node(
            &loader,
            "test.yml",
            crate::yaml::parse_str("/test.yml", &text).expect("YAML").root,
            "/".into(),
            &Map::new(),
        )
        .expect("a playbook");
        let tags: Vec<String> = tags.iter().map(|t| t.to_string()).collect();
        playbooks(&[book], &Reach { tags: TagFilter::new(&tags, &[]), whole: true, has_hosts: &|_| true })
    }

    const WRONG: &str = "  - file: {path: /x, statte: touch}\n";

    #[test]
    fn refused_where_the_play_would_stop() {
        for task in [
            WRONG,
            "  - file: {state: touch}\n",
            "  - file: {path: /x, state: tuoch}\n",
            "  - {file: {state: touch}, ignore_errors: false}\n",
            "  - {file: {state: touch}, loop: [1]}\n",
            "  - {block: [{file: {state: touch}}], always: [{debug: {}}]}\n",
            "  - {block: [{debug: {}}], rescue: [{debug: {}}], always: [{file: {state: touch}}]}\n",
        ] {
            let e = check(task, &[]).expect_err(task);
            assert_eq!(e.exit_code(), 2, "{task}");
        }
        let e = check(WRONG, &[]).expect_err("an unknown name");
        assert!(e.message().starts_with("Unsupported parameters for (file) module: statte."), "{e}");
        assert_eq!(e.help_text(), Some("did you mean 'state'?"));
    }

    #[test]
    fn left_alone_where_the_playbook_deals_with_it() {
        for task in [
            "  - {file: {state: touch}, ignore_errors: true}\n",
            "  - {file: {state: touch}, ignore_errors: '{{ x }}'}\n",
            "  - {file: {state: touch}, failed_when: false}\n",
            "  - {block: [{block: [{file: {state: touch}}]}], rescue: [{debug: {}}]}\n",
            "  - {block: [{block: [{debug: {}}], always: [{file: {state: touch}}]}], rescue: [{debug: {}}]}\n",
            "  - {file: {state: touch}, tags: never}\n",
            "  - fetch: {src: a, dest: b, more: c}\n",
            "  - file: {path: /x, statte: '{{ omit }}'}\n",
        ] {
            assert!(check(task, &[]).expect(task).is_empty(), "{task}");
        }
        assert!(check(WRONG, &["other"]).expect("not chosen").is_empty());
    }

    #[test]
    fn a_warning_where_the_task_may_never_run() {
        for task in [
            "  - {file: {state: touch}, when: false}\n",
            "  - {block: [{file: {state: touch}}], when: x}\n",
            "  - {file: {state: touch}, loop: []}\n",
            "  - {file: {state: touch}, loop: '{{ x }}'}\n",
            "  - {block: [{debug: {}}], rescue: [{file: {state: touch}}]}\n",
            "  - meta: end_play\n  - file: {state: touch}\n",
            "  - debug:\n  handlers:\n  - {file: {state: touch}}\n",
        ] {
            let w = check(task, &[]).expect(task);
            assert_eq!(w.len(), 1, "{task}");
            assert_eq!(w[0].0, "missing required arguments: path; the task fails if it runs");
        }
        let w = check("  - file: {path: /x, statte: touch}\n    when: x\n", &[]).expect("a warning");
        let words =
            "Unsupported parameters for (file) module: statte (did you mean 'state'?); the task fails if it runs";
        assert_eq!((w[0].0.as_str(), w[0].1.show().as_str()), (words, "/test.yml:4:30"));
    }
}
