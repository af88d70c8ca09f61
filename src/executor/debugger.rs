//! The task debugger (`debugger`, `strategy: debug`, `enable_task_debugger`): asks at a result what to do.
//!
//! Commands after <https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_debugger.html>.

use super::event::{Event, Status, TaskInfo, TaskResult};
use super::looping::HostOutcome;
use super::play::PlayRun;
use super::state::{Host, lock};
use crate::diag::Result;
use crate::inventory::literal;
use crate::playbook::Task;
use crate::template::Var;
use crate::value::{Key, Map, Value};
use crate::vars::View;
use std::io::{BufRead, Write};
use std::sync::Arc;

/// How a session at a result ended.
enum Next {
    Continue,
    Redo,
    Quit,
}

/// What the operator may look at and change.
struct Session<'a> {
    p: &'a PlayRun,
    host: &'a Host,
    label: &'a str,
    task: Task,
    result: &'a TaskResult,
    view: View,
    /// Variables that the operator set.
    set: Map,
}

const HELP: &str = "\nDocumented commands (type help <topic>):\n\
    ========================================\n\
    EOF  c  continue  h  help  p  pprint  q  quit  r  redo  u  update_task\n";

/// True if the debugger is to open at this result.
fn wanted(p: &PlayRun, t: &Task, view: &View, s: Status) -> Result<bool> {
    let r = &p.runner;
    let scope = r.scope(view);
    let honour = r.options.debugger_honours_ignore_errors;
    let ignored = honour && r.flag(&t.kw.ignore_errors, &scope, false, "ignore_errors").unwrap_or(false);
    let failed = s == Status::Failed && !ignored;
    Ok(match r.text(&t.kw.debugger, &scope)?.as_deref() {
        Some("always") => true,
        Some("never") => false,
        Some("on_failed") => failed,
        Some("on_unreachable") => s == Status::Unreachable,
        Some("on_skipped") => s == Status::Skipped,
        _ => p.debug && (failed || s == Status::Unreachable),
    })
}

/// Lets the operator look into the result and do the task again, as often as wanted. Answers the outcome that
/// counts, and whether it was told already.
pub fn inspect(
    p: &PlayRun,
    t: &Arc<Task>,
    info: &Arc<TaskInfo>,
    host: &Host,
    mut outcome: HostOutcome,
) -> Result<(HostOutcome, bool)> {
    if t.kw.debugger.is_none() && !p.debug {
        return Ok((outcome, false));
    }
    let mut task = t.clone();
    let mut set = Map::new();
    loop {
        let mut view = p.view(&host.name, Some(&task));
        if !set.is_empty() {
            view = view.with_locals(set.clone());
        }
        if !wanted(p, &task, &view, outcome.result.status)? {
            return Ok((outcome, false));
        }
        // one session at a time, whatever the strategy
        let _one = lock(&p.runner.state.debugging);
        outcome.result.ignored = super::looping::ignores(&p.runner, &task, &view, outcome.result.status);
        p.runner.emit(Event::Result { task: info.clone(), result: Arc::new(outcome.result.clone()) });
        let mut s = Session {
            p,
            host,
            label: &info.label,
            task: (*task).clone(),
            result: &outcome.result,
            view,
            set: std::mem::take(&mut set),
        };
        match s.ask()? {
            Next::Continue => return Ok((outcome, true)),
            Next::Quit => {
                p.runner.pool.shutdown();
                println!("User interrupted execution");
                // as after an interrupt: no recap
                std::process::exit(super::runner::exit::INTERRUPTED);
            }
            Next::Redo => {}
        }
        set = s.set;
        task = Arc::new(s.task);
        let mut view = p.view(&host.name, Some(&task));
        if !set.is_empty() {
            view = view.with_locals(set.clone());
        }
        outcome = super::looping::run(&p.runner, &task, info, &view);
    }
}

impl Session<'_> {
    fn ask(&mut self) -> Result<Next> {
        let stdin = std::io::stdin();
        loop {
            print!("[{}] TASK: {} (debug)> ", self.host.name, self.label);
            std::io::stdout().flush()?;
            let mut line = String::new();
            if stdin.lock().read_line(&mut line)? == 0 {
                return Ok(Next::Quit);
            }
            let line = line.trim();
            let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match command {
                "" => {}
                "c" | "continue" => return Ok(Next::Continue),
                "r" | "redo" => return Ok(Next::Redo),
                "q" | "quit" | "EOF" => return Ok(Next::Quit),
                // arguments and variables are read anew with every redo
                "u" | "update_task" => {}
                "h" | "help" | "?" => println!("{HELP}"),
                "p" | "pprint" => match self.show(rest.trim()) {
                    Ok(text) => println!("{text}"),
                    Err(e) => println!("***{e}"),
                },
                _ => {
                    if let Err(e) = self.assign(line) {
                        println!("***{e}");
                    }
                }
            }
        }
    }

    fn show(&self, expression: &str) -> std::result::Result<String, String> {
        Ok(match expression {
            "task" => format!("TASK: {}", self.label),
            "host" => self.host.name.to_string(),
            e => pretty(&self.value(e)?),
        })
    }

    /// The value of a literal, or of one of the names with members behind it.
    fn value(&self, text: &str) -> std::result::Result<Value, String> {
        if let Some(v) = literal::evaluate(text, &|s| Value::trusted(s, None)) {
            return Ok(v);
        }
        let (name, steps) = path(text)?;
        let mut steps = steps.into_iter();
        let mut v = match name {
            "task_vars" => match steps.next() {
                Some(Step::Item(k)) => self.variable(&k.to_string())?,
                Some(Step::Attribute(a)) => return Err(attribute("dict", &a)),
                None => self.variables(),
            },
            "task" => match steps.next() {
                Some(Step::Attribute(a)) => self.task_field(&a)?,
                _ => Value::plain(format!("TASK: {}", self.label)),
            },
            "result" => {
                let data = Value::map(self.result.data.clone());
                match steps.next() {
                    None => data,
                    Some(Step::Attribute(a)) if a == "_result" => data,
                    Some(Step::Attribute(a)) => return Err(attribute("TaskResult", &a)),
                    Some(Step::Item(k)) => item(&data, &k)?,
                }
            }
            "host" => Value::plain(self.host.name.clone()),
            other => return Err(format!("NameError:NameError(\"name '{other}' is not defined\")")),
        };
        for s in steps {
            v = match s {
                Step::Item(k) => item(&v, &k)?,
                Step::Attribute(a) => return Err(attribute(v.type_name(), &a)),
            };
        }
        Ok(v)
    }

    fn variable(&self, name: &str) -> std::result::Result<Value, String> {
        let missing = || format!("KeyError:KeyError({})", Value::plain(name).repr());
        let scope = self.p.runner.scope(&self.view);
        if let Some(v) = self.set.get(name) {
            return Ok(v.clone());
        }
        match scope.vars.get(name).map_err(|e| e.message().to_string())? {
            Some(Var::Raw(v)) => Ok(v),
            Some(Var::Scope(_)) => self.p.runner.engine.eval(name, &scope).map_err(|e| e.message().to_string()),
            None => Err(missing()),
        }
    }

    fn variables(&self) -> Value {
        let scope = self.p.runner.scope(&self.view);
        let mut all = Map::new();
        for name in scope.vars.names() {
            if let Ok(v) = self.variable(&name) {
                all.insert((&*name).into(), v);
            }
        }
        Value::map(all)
    }

    fn task_field(&self, name: &str) -> std::result::Result<Value, String> {
        let t = &self.task;
        Ok(match name {
            "args" => Value::map(t.args.clone()),
            "name" => t.name.clone().unwrap_or_else(|| "".into()),
            "action" => t.action.as_str().into(),
            "tags" => Value::list(t.tags.clone()),
            "when" => Value::list(t.when.clone()),
            "register" => t.register.as_deref().map(Value::plain).unwrap_or_default(),
            "vars" => Value::map((*t.vars).clone()),
            other => return Err(attribute("Task", other)),
        })
    }

    /// `task.args[...] = value` and `task_vars[...] = value`, with members of them.
    fn assign(&mut self, line: &str) -> std::result::Result<(), String> {
        let Some((target, value)) = line.split_once('=').filter(|(_, v)| !v.starts_with('=')) else {
            // Python would run it; here a name alone can only be looked at
            return self.value(line).map(|v| println!("{}", pretty(&v)));
        };
        let value = self.value(value.trim())?;
        let (name, steps) = path(target.trim())?;
        match (name, steps.as_slice()) {
            ("task_vars", [Step::Item(first), rest @ ..]) => {
                let name = first.to_string();
                let mut v = if rest.is_empty() { Value::Null } else { self.variable(&name)? };
                put(&mut v, rest, value)?;
                self.set.insert(name.as_str().into(), v);
            }
            ("task", [Step::Attribute(a), rest @ ..]) if a == "args" => {
                let mut v = Value::map(self.task.args.clone());
                put(&mut v, rest, value)?;
                match v {
                    Value::Map(m) => self.task.args = (*m).clone(),
                    _ => return Err("TypeError:TypeError('task.args must be a dictionary')".into()),
                }
            }
            _ => return Err(format!("SyntaxError:only task.args[...] and task_vars[...] can be set, not {target}")),
        }
        Ok(())
    }
}

/// A member: `["key"]` or `[0]`, or `.name`.
#[derive(Debug)]
enum Step {
    Item(Value),
    Attribute(String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Item(v) => f.write_str(&v.to_str()),
            Step::Attribute(a) => f.write_str(a),
        }
    }
}

trait Text {
    fn to_string(&self) -> String;
}
impl Text for Value {
    fn to_string(&self) -> String {
        self.to_str()
    }
}

fn attribute(class: &str, name: &str) -> String {
    format!("AttributeError:AttributeError(\"'{class}' object has no attribute '{name}'\")")
}

/// A name and the members behind it.
fn path(text: &str) -> std::result::Result<(&str, Vec<Step>), String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let wrong = || format!("SyntaxError:SyntaxError('invalid syntax: {text}')");
    let mut steps = vec![];
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('.') {
            let end = r.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(r.len());
            let (a, r) = r.split_at(end);
            steps.push(Step::Attribute(a.to_string()));
            rest = r;
        } else if let Some(r) = rest.strip_prefix('[') {
            // the key may hold brackets: the first closing one that makes a literal ends it
            let found = r.match_indices(']').find_map(|(i, _)| {
                let key = literal::evaluate(r.get(..i)?.trim(), &|s| Value::plain(s))?;
                Some((key, r.get(i + 1..)?))
            });
            let (key, r) = found.ok_or_else(wrong)?;
            steps.push(Step::Item(key));
            rest = r;
        } else {
            return Err(wrong());
        }
    }
    if name.is_empty() { Err(wrong()) } else { Ok((name, steps)) }
}

fn item(v: &Value, key: &Value) -> std::result::Result<Value, String> {
    match (v, key) {
        (Value::List(l) | Value::Tuple(l), Value::Int(i)) => {
            let at = if *i < 0 { l.len() as i128 + i } else { *i };
            let found = usize::try_from(at).ok().and_then(|i| l.get(i));
            found.cloned().ok_or_else(|| "IndexError:IndexError('list index out of range')".into())
        }
        (Value::Map(m), k) => {
            let found = Key::from_value(k).and_then(|k| m.get(&k).cloned());
            found.ok_or_else(|| format!("KeyError:KeyError({})", k.repr()))
        }
        (v, _) => Err(format!("TypeError:TypeError(\"'{}' object is not subscriptable\")", v.type_name())),
    }
}

fn put(v: &mut Value, steps: &[Step], new: Value) -> std::result::Result<(), String> {
    let Some((first, rest)) = steps.split_first() else {
        *v = new;
        return Ok(());
    };
    let Step::Item(key) = first else { return Err(attribute(v.type_name(), &first.to_string())) };
    let mut inner = if rest.is_empty() { Value::Null } else { item(v, key)? };
    put(&mut inner, rest, new)?;
    match v {
        Value::Map(m) => {
            let k = Key::from_value(key).ok_or("TypeError:TypeError('unhashable type')")?;
            Arc::make_mut(m).insert(k, inner);
            Ok(())
        }
        Value::List(l) => {
            let at = key.as_int().and_then(|i| usize::try_from(i).ok());
            match at.and_then(|i| Arc::make_mut(l).get_mut(i)) {
                Some(slot) => {
                    *slot = inner;
                    Ok(())
                }
                None => Err("IndexError:IndexError('list assignment index out of range')".into()),
            }
        }
        v => Err(format!("TypeError:TypeError(\"'{}' object does not support item assignment\")", v.type_name())),
    }
}

/// As Python's pprint: on one line if it fits, else a member a line.
fn pretty(v: &Value) -> String {
    let line = v.repr();
    let Some(m) = v.as_map().filter(|_| line.len() > 78) else { return line };
    let mut members: Vec<String> = m.iter().map(|(k, v)| format!("{}: {}", k.to_value().repr(), v.repr())).collect();
    members.sort();
    format!("{{{}}}", members.join(",\n "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_puts() {
        let (name, steps) = path("task.args[\"a]\"][0]").expect("parses");
        assert_eq!((name, steps.len()), ("task", 3));
        assert!(path("a b").is_err() && path("").is_err() && path("a[x]").is_err());
        let mut v = literal::evaluate("{'a': [1, {'b': 2}]}", &|s| Value::plain(s)).expect("a literal");
        let (_, steps) = path("x['a'][1]['b']").expect("parses");
        assert_eq!(put(&mut v, &steps, Value::Int(9)), Ok(()));
        assert_eq!(v.repr(), "{'a': [1, {'b': 9}]}");
        let (_, steps) = path("x['z']['y']").expect("parses");
        assert_eq!(put(&mut v, &steps, Value::Int(9)), Err("KeyError:KeyError('z')".into()));
    }
}
