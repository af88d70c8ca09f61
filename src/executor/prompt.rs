//! `vars_prompt`: asks the operator before a play.

use super::runner::Runner;
use crate::actions::terminal::{self, Line};
use crate::diag::{Error, Kind, Result};
use crate::playbook::{Play, Prompt};
use crate::template::Scope;
use crate::value::{Key, Map, Value};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

/// The answers to a play's prompts; names set by `-e` are not asked for.
pub fn ask(r: &Arc<Runner>, play: &Play, scope: &Scope) -> Result<Map> {
    let mut out = Map::new();
    for p in &play.vars_prompt {
        if r.store.extra.contains_key(p.name.as_str()) {
            continue;
        }
        let text = |v: &Option<Value>| v.as_ref().map(|v| r.engine.render(v, scope)).transpose();
        let default = text(&p.default)?;
        let prompt = text(&p.prompt)?.map(|v| v.to_str()).unwrap_or_else(|| p.name.clone());
        let (answer, typed) = answer(r, p, &prompt, default.as_ref())?;
        out.insert(
            Key::from(p.name.as_str()),
            match &p.encrypt {
                Some(how) => Value::plain(encrypt(r, &answer, how, p, scope)?),
                // whoever starts the run may write templates, here as with `-e`
                None if typed && !p.unsafe_ => Value::trusted(answer, None),
                None => Value::plain(answer),
            },
        );
    }
    Ok(out)
}

/// What the prompts of a play stand for where nobody is asked, in `--list-tasks` and the like: their defaults.
pub fn defaults(r: &Arc<Runner>, play: &Play) -> Map {
    let unanswered = play.vars_prompt.iter().filter(|p| !r.store.extra.contains_key(p.name.as_str()));
    unanswered.map(|p| (Key::from(p.name.as_str()), p.default.clone().unwrap_or(Value::Null))).collect()
}

/// The answer to a prompt, and whether somebody typed it.
fn answer(r: &Arc<Runner>, p: &Prompt, prompt: &str, default: Option<&Value>) -> Result<(String, bool)> {
    let shown = match default {
        Some(d) => format!("{prompt} [{}]: ", d.to_str()),
        None => format!("{prompt}: "),
    };
    if !std::io::stdin().is_terminal() {
        r.warn("Not prompting as we are not in interactive mode");
        return Ok((default.map_or_else(|| "None".into(), Value::to_str), false));
    }
    loop {
        let a = read_line(&shown, p.private)?;
        if p.confirm {
            let b = read_line(&format!("confirm {shown}"), p.private)?;
            if a != b {
                eprintln!("***** VALUES ENTERED DO NOT MATCH ****");
                continue;
            }
        }
        return Ok(match default {
            Some(d) if a.is_empty() => (d.to_str(), false),
            _ => (a, true),
        });
    }
}

/// Reads a line from the terminal, without echo if it is private. Errors: the user interrupts it.
pub fn read_line(prompt: &str, private: bool) -> Result<String> {
    print!("{prompt}");
    std::io::stdout().flush()?;
    if private && terminal::is_interactive() {
        return match terminal::Keys::take()?.line(false, None)? {
            Line::Typed(line) => Ok(line),
            _ => Err(Error::new(Kind::Interrupted, "User interrupted execution")),
        };
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_string())
}

fn encrypt(r: &Arc<Runner>, plain: &str, how: &str, p: &Prompt, scope: &Scope) -> Result<String> {
    let mut locals = Map::new();
    locals.insert("_plain".into(), Value::plain(plain));
    locals.insert("_how".into(), how.into());
    locals.insert("_salt".into(), p.salt.as_deref().map(Value::plain).unwrap_or_default());
    let scope = r.engine.with_extra(locals, scope);
    let expr = if p.salt.is_some() { "_plain | password_hash(_how, _salt)" } else { "_plain | password_hash(_how)" };
    r.engine
        .eval(expr, &scope)
        .map(|v| v.to_str())
        .map_err(|e| Error::general(format!("vars_prompt {}: {}", p.name, e.message())))
}
