//! What is said of text that looks like a template and may not be one: nothing, unless a setting for those who test
//! their content asks for a warning or an error.

use super::scope::Scope;
use crate::diag::Result;
use crate::value::{Str, Trust, Value, has_delimiter};
use std::sync::LazyLock;

/// Of ansible-core's settings for tests: `error`, `warning` or `ignore` (the default).
const SETTING: &str = "_ANSIBLE_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Ignore,
    Warning,
    Error,
}

static BEHAVIOUR: LazyLock<Behaviour> = LazyLock::new(|| match std::env::var(SETTING).as_deref() {
    Ok("warning") => Behaviour::Warning,
    Ok("error") => Behaviour::Error,
    _ => Behaviour::Ignore,
});

/// A value that a template has come upon. An error where the setting asks for one.
pub(super) fn met(v: &Value, scope: &Scope) -> Result<()> {
    judge(v, scope, *BEHAVIOUR)
}

fn judge(v: &Value, scope: &Scope, how: Behaviour) -> Result<()> {
    if how == Behaviour::Ignore {
        return Ok(());
    }
    match v {
        Value::Str(s) => text(s, scope, how),
        Value::List(l) | Value::Tuple(l) => l.iter().try_for_each(|v| judge(v, scope, how)),
        Value::Map(m) => m.values().try_for_each(|v| judge(v, scope, how)),
        _ => Ok(()),
    }
}

fn text(s: &Str, scope: &Scope, how: Behaviour) -> Result<()> {
    if s.trust != Trust::Plain || !has_delimiter(&s.text) {
        return Ok(());
    }
    let e = super::condition::untrusted(s.origin);
    if how == Behaviour::Error {
        return Err(e);
    }
    scope.files.warn.say(&e.in_full());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{FileScope, MapVars, Notice, Warn};
    use std::sync::{Arc, Mutex};

    #[test]
    fn untrusted_templates_are_told_where_the_setting_asks() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = told.clone();
        let warn = Warn(Some(Arc::new(move |n| {
            if let Notice::Warning(t) = n {
                seen.lock().expect("lock").push(t.to_string());
            }
        })));
        let files = FileScope { warn, ..FileScope::default() };
        let scope = Scope::new(Arc::new(MapVars(Default::default())), Arc::new(files));
        let v = Value::list(vec![Value::plain("{{ x }}"), Value::plain("x"), Value::trusted("{{ y }}", None)]);
        assert!(judge(&v, &scope, Behaviour::Ignore).is_ok());
        assert!(told.lock().expect("lock").is_empty());
        assert!(judge(&v, &scope, Behaviour::Warning).is_ok());
        assert_eq!(told.lock().expect("lock").len(), 1);
        assert!(judge(&v, &scope, Behaviour::Error).is_err());
    }
}
