//! The lookup `config`: settings of the run and options of plug-ins.

use super::Call;
use super::variables::variable;
use crate::diag::{Error, Result};
use crate::settings::{self, Found, KINDS, Plugin, Setting, pydoc};
use crate::value::Value;
use camino::Utf8PathBuf;
use std::borrow::Cow;

fn choice(call: &Call<'_>, option: &str, choices: &[&str]) -> Result<Option<String>> {
    let Some(text) = call.text(option) else { return Ok(None) };
    if choices.contains(&text.as_str()) {
        return Ok(Some(text));
    }
    Err(Error::template(format!("Invalid value '{text}' for config '{option}' for 'config' lookup plugin."))
        .help(format!("Valid values are: {}", choices.join(", "))))
}

/// The settings named by the terms; with `show_origin`, each with the place it comes from.
pub(super) fn config(call: &Call<'_>) -> Result<Vec<Value>> {
    let missing = choice(call, "on_missing", &["error", "warn", "skip"])?.unwrap_or_else(|| "error".into());
    let kind = choice(call, "plugin_type", &KINDS)?;
    let plugin = match (kind, call.text("plugin_name")) {
        (Some(k), Some(n)) => Some((k, n)),
        (None, None) => None,
        _ => {
            return Err(Error::template(
                "Both plugin_type and plugin_name are required, cannot use one without the other.",
            ));
        }
    };
    let origin = call.flag("show_origin", false)?;
    let mut out = Vec::new();
    for term in &call.terms {
        let Some(name) = term.as_str() else {
            return Err(Error::template(format!(
                "Invalid setting identifier, {} is not a <class 'str'>, its a <class '{}'>.",
                term.to_str(),
                term.type_name()
            )));
        };
        let found = match &plugin {
            Some((kind, plugin)) => option(call, kind, plugin, name)?,
            None => base(call, name)?,
        };
        match found {
            Some(f) if origin => out.push(Value::list(vec![f.value, Value::plain(f.origin)])),
            Some(f) => out.push(f.value),
            None if missing == "skip" => {}
            None => {
                let whose =
                    plugin.as_ref().map(|(kind, plugin)| format!(" for '{plugin}' {kind} plugin")).unwrap_or_default();
                let message = format!("No config definition exists for '{name}'{whose}.");
                if missing != "warn" {
                    return Err(Error::template(message));
                }
                call.r.scope.files.warn.say(&format!("Skipping {name}: {message}"));
            }
        }
    }
    Ok(out)
}

fn found(call: &Call<'_>, s: &Setting) -> Result<Found> {
    settings::current().find(s, &|name| variable(call, name).ok().flatten())
}

/// Options that the call leaves open, from variables, the environment and the configuration file.
pub(super) fn complete(call: &mut Call<'_>, name: &str) -> Result<()> {
    for s in settings::plugin("lookup", name).map(|p| p.options.as_slice()).unwrap_or_default() {
        if call.option(&s.name).is_none() {
            let f = found(call, s)?;
            if f.origin != "default" {
                call.options.insert(s.name.as_str().into(), f.value);
            }
        }
    }
    Ok(())
}

fn base(call: &Call<'_>, name: &str) -> Result<Option<Found>> {
    if name == "CONFIG_FILE" {
        let file = settings::current().file.as_ref().map(|f| Value::plain(f.as_str()));
        return Ok(Some(Found { value: file.unwrap_or_default(), origin: String::new() }));
    }
    settings::setting(name).map(|s| found(call, s)).transpose()
}

fn option(call: &Call<'_>, kind: &str, plugin: &str, name: &str) -> Result<Option<Found>> {
    let p = load(call, kind, plugin)?;
    let Some(s) = p.options.iter().find(|o| o.name == name) else { return Ok(None) };
    let f = found(call, s)?;
    if s.required && f.value.is_null() {
        return Err(Error::template(format!("Required config '{name}' for '{plugin}' {kind} plugin not provided.")));
    }
    Ok(Some(f))
}

/// The plug-in: a built-in one, or what a Python file beside the playbook or on the plug-in path declares.
fn load(call: &Call<'_>, kind: &str, name: &str) -> Result<Cow<'static, Plugin>> {
    if let Some(p) = settings::plugin(kind, name) {
        return Ok(Cow::Borrowed(p));
    }
    if kind == "lookup" && super::LOOKUP_NAMES.contains(&super::short(name)) {
        return Ok(Cow::Owned(Plugin { kind: kind.into(), name: name.into(), options: vec![] }));
    }
    let mut dirs: Vec<Utf8PathBuf> =
        call.r.scope.files.search.iter().map(|d| d.join(format!("{kind}_plugins"))).collect();
    let path = format!("DEFAULT_{}_PLUGIN_PATH", kind.to_uppercase());
    if let Some(Ok(f)) = settings::current().get(&path) {
        dirs.extend(f.value.as_list().unwrap_or_default().iter().map(|d| d.to_str().into()));
    }
    let doc = pydoc::find(name, &dirs).map(|f| pydoc::documentation(&f)).transpose()?.flatten();
    match doc {
        Some(d) => Ok(Cow::Owned(pydoc::plugin(kind, name, &d))),
        None => Err(Error::template(format!("Unable to load {kind} plugin '{name}'."))),
    }
}
