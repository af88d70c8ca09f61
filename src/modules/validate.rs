//! Checks arguments against a [`Spec`]: unknown names, required ones, types (converted as Ansible
//! does), choices, nested options, rules over several arguments.

use super::convert::{convert, type_name};
use super::spec::{Arg, Args, Rule, Spec, Type, json_text};
use serde_json::{Map, Value as Json};

/// Arguments that passed, with what must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub args: Args,
    pub warnings: Vec<String>,
    secret_names: Vec<String>,
    secrets: Vec<String>,
}

const HIDDEN: &str = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER";
const MASK: &str = "********";

impl Checked {
    /// The arguments as `invocation.module_args` shows them.
    pub fn shown(&self) -> Map<String, Json> {
        let mut m = self.args.0.clone();
        for n in &self.secret_names {
            if let Some(v) = m.get_mut(n)
                && !v.is_null()
            {
                *v = HIDDEN.into();
            }
        }
        m
    }
    /// The same with one more secret.
    pub fn with_secret(&self, secret: String) -> Checked {
        let mut c = self.clone();
        c.secrets.push(secret);
        c
    }
    /// Masks the values of secret arguments wherever they stand in a result.
    pub fn censor(&self, m: &mut Map<String, Json>) {
        if self.secrets.is_empty() {
            return;
        }
        for v in m.values_mut() {
            self.censor_value(v);
        }
    }
    fn censor_value(&self, v: &mut Json) {
        match v {
            Json::String(s) => {
                for secret in &self.secrets {
                    if s == secret && s != HIDDEN {
                        *s = HIDDEN.into();
                    } else if s.contains(secret.as_str()) {
                        *s = s.replace(secret.as_str(), MASK);
                    }
                }
            }
            Json::Array(a) => a.iter_mut().for_each(|x| self.censor_value(x)),
            Json::Object(o) => o.values_mut().for_each(|x| self.censor_value(x)),
            _ => {}
        }
    }
}

/// Checks `given` against `spec`; `what` names the module or action for messages.
/// The error is the one that ansible-core would report: the first.
pub fn validate(spec: &Spec, given: &Map<String, Json>, what: &str) -> Result<Checked, String> {
    let mut run = Run::default();
    run.done.args.0 = check_level(spec, given, &[], &mut run);
    match run.errors.into_iter().next() {
        Some(first) => Err(first),
        None if run.unsupported.is_empty() => Ok(run.done),
        None => Err(format!(
            "Unsupported parameters for ({what}) module: {}",
            names_and_supported(&mut run.unsupported, &run.supported)
        )),
    }
}

/// As [`validate`], with every error, in ansible-core's order: as the arguments of roles are checked.
pub fn validate_all(spec: &Spec, given: &Map<String, Json>) -> Result<Checked, Vec<String>> {
    let mut run = Run::default();
    run.done.args.0 = check_level(spec, given, &[], &mut run);
    if !run.unsupported.is_empty() {
        run.errors.push(names_and_supported(&mut run.unsupported, &run.supported));
    }
    if run.errors.is_empty() { Ok(run.done) } else { Err(run.errors) }
}

/// The words about names that a module does not know.
pub fn unsupported(spec: &Spec, what: &str, names: &[&str]) -> String {
    let mut names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    format!("Unsupported parameters for ({what}) module: {}", names_and_supported(&mut names, &supported(spec)))
}

fn names_and_supported(names: &mut [String], supported: &str) -> String {
    names.sort_unstable();
    format!("{}. Supported parameters include: {supported}.", names.join(", "))
}

/// All names, and in parentheses the other names some of them have.
fn supported(spec: &Spec) -> String {
    let mut names: Vec<&str> =
        spec.args.iter().map(|a| a.name.as_str()).filter(|n| !n.starts_with("_ansible_")).collect();
    let mut aliases: Vec<&str> = spec.args.iter().flat_map(|a| &a.aliases).map(String::as_str).collect();
    names.sort_unstable();
    aliases.sort_unstable();
    if aliases.is_empty() { names.join(", ") } else { format!("{} ({})", names.join(", "), aliases.join(", ")) }
}

/// What a check has found so far.
#[derive(Default)]
struct Run {
    done: Checked,
    errors: Vec<String>,
    /// Names that are not declared, with the options above them.
    unsupported: Vec<String>,
    /// What would be supported in the place of the last of them.
    supported: String,
}

fn check_level(spec: &Spec, given: &Map<String, Json>, path: &[&str], run: &mut Run) -> Map<String, Json> {
    let within = if path.is_empty() { String::new() } else { format!(" found in {}", path.join(" -> ")) };
    let mut vals = named(spec, given, path, run);
    for r in &spec.rules {
        if let Rule::MutuallyExclusive(names) = r
            && names.iter().filter(|n| vals.contains_key(n.as_str())).count() > 1
        {
            run.errors.push(format!("parameters are mutually exclusive: {}{within}", names.join("|")));
        }
    }
    let mut missing: Vec<&str> =
        spec.args.iter().filter(|a| a.required && !vals.contains_key(&a.name)).map(|a| a.name.as_str()).collect();
    missing.sort_unstable();
    if !missing.is_empty() {
        run.errors.push(format!("missing required arguments: {}{within}", missing.join(", ")));
    }
    let mut nulls: Vec<&str> = vec![];
    for a in &spec.args {
        let v = match vals.get(&a.name) {
            // null is no value, but for what is required or has a default it is one, and must have the type
            Some(v) if a.required || a.default.is_some() || !v.is_null() => convert_arg(a, v, path, run),
            Some(_) => {
                nulls.push(&a.name);
                Json::Null
            }
            None => a.default.as_ref().map_or(Json::Null, |d| convert_arg(a, d, path, run)),
        };
        vals.insert(a.name.clone(), v);
    }
    for a in &spec.args {
        if nulls.contains(&a.name.as_str()) && !a.choices.is_empty() {
            run.errors.push(format!("value of {} must be one of: {}, got: None{within}", a.name, choices(a)));
        }
        check_choices(a, vals.get(&a.name).unwrap_or(&Json::Null), &within, run);
    }
    check_rules(&spec.rules, &vals, &within, &mut run.errors);
    for a in &spec.args {
        let Some(v) = vals.get_mut(&a.name).filter(|v| !v.is_null()) else { continue };
        if let Some(s) = &a.options {
            let mut sub = path.to_vec();
            sub.push(&a.name);
            match v {
                Json::Object(o) => *o = check_level(s, o, &sub, run),
                Json::Array(l) => {
                    for e in l {
                        if let Json::Object(o) = e {
                            *o = check_level(s, o, &sub, run);
                        }
                    }
                }
                _ => run.errors.push(format!("value of '{}' must be of type dict or list of dicts{within}", a.name)),
            }
        }
        if a.no_log {
            if path.is_empty() {
                run.done.secret_names.push(a.name.clone());
            }
            collect_secrets(v, &mut run.done.secrets);
        }
    }
    vals
}

/// The arguments by their first names; those that are not declared go to the report.
fn named(spec: &Spec, given: &Map<String, Json>, path: &[&str], run: &mut Run) -> Map<String, Json> {
    let mut vals: Map<String, Json> = Map::new();
    for (k, v) in given {
        match spec.find(k) {
            Some(a) if a.name == *k => drop(vals.insert(k.clone(), v.clone())),
            Some(_) => {}
            None if k.starts_with("_ansible_") => {}
            None => {
                run.unsupported.push(path.iter().copied().chain([k.as_str()]).collect::<Vec<_>>().join("."));
                run.supported = supported(spec);
            }
        }
    }
    // of several names for one argument the last alias wins, as in ansible-core
    for a in &spec.args {
        for alias in &a.aliases {
            let Some(v) = given.get(alias) else { continue };
            if vals.insert(a.name.clone(), v.clone()).is_some() {
                run.done.warnings.push(format!("Both option {} and its alias {alias} are set.", a.name));
            }
        }
    }
    // ansible-core reads texts for dictionaries with options twice; the first time the bare reason is told
    for a in spec.args.iter().filter(|a| a.options.is_some()) {
        let texts = match vals.get(&a.name) {
            Some(Json::Array(l)) => l.iter().filter(|e| e.is_string()).collect(),
            Some(v @ Json::String(_)) => vec![v],
            _ => vec![],
        };
        run.errors.extend(texts.into_iter().filter_map(|t| convert(Type::Dict, t).err()));
    }
    vals
}

fn collect_secrets(v: &Json, into: &mut Vec<String>) {
    match v {
        Json::String(s) if !s.is_empty() => into.push(s.clone()),
        Json::Array(a) => a.iter().for_each(|x| collect_secrets(x, into)),
        Json::Object(o) => o.values().for_each(|x| collect_secrets(x, into)),
        Json::Number(n) => into.push(n.to_string()),
        _ => {}
    }
}

fn choices(a: &Arg) -> String {
    a.choices.iter().map(json_text).collect::<Vec<_>>().join(", ")
}

fn check_choices(a: &Arg, v: &Json, within: &str, run: &mut Run) {
    if a.choices.is_empty() || v.is_null() {
        return;
    }
    let list = || choices(a);
    match v {
        Json::Array(l) => {
            let bad: Vec<String> = l.iter().filter(|e| !a.choices.contains(e)).map(json_text).collect();
            if !bad.is_empty() {
                run.errors.push(format!(
                    "value of {} must be one or more of: {}. Got no match for: {}{within}",
                    a.name,
                    list(),
                    bad.join(", ")
                ));
            }
        }
        v if a.choices.contains(v) => {}
        v => run.errors.push(format!("value of {} must be one of: {}, got: {}{within}", a.name, list(), json_text(v))),
    }
}

fn check_rules(rules: &[Rule], vals: &Map<String, Json>, within: &str, errors: &mut Vec<String>) {
    let given = |n: &String| vals.get(n.as_str()).is_some_and(|v| !v.is_null());
    for r in rules {
        match r {
            Rule::MutuallyExclusive(_) => {}
            Rule::RequiredTogether(n) => {
                let c = n.iter().filter(|x| given(x)).count();
                if c > 0 && c < n.len() {
                    errors.push(format!("parameters are required together: {}{within}", n.join(", ")));
                }
            }
            Rule::RequiredOneOf(n) => {
                if !n.iter().any(given) {
                    errors.push(format!("one of the following is required: {}{within}", n.join(", ")));
                }
            }
            Rule::RequiredIf { key, value, names, any } => {
                if vals.get(key.as_str()) == Some(value) {
                    let missing: Vec<&str> = names.iter().filter(|x| !given(x)).map(String::as_str).collect();
                    if (*any && missing.len() == names.len()) || (!*any && !missing.is_empty()) {
                        let how = if *any { "any" } else { "all" };
                        errors.push(format!(
                            "{key} is {} but {how} of the following are missing: {}{within}",
                            json_text(value),
                            missing.join(", ")
                        ));
                    }
                }
            }
            Rule::RequiredBy { key, names } => {
                if given(key) {
                    let missing: Vec<&str> = names.iter().filter(|x| !given(x)).map(String::as_str).collect();
                    if !missing.is_empty() {
                        errors
                            .push(format!("missing parameter(s) required by '{key}': {}{within}", missing.join(", ")));
                    }
                }
            }
        }
    }
}

/// A value as the argument's type; what cannot be converted is reported and stays as it is.
fn convert_arg(a: &Arg, v: &Json, path: &[&str], run: &mut Run) -> Json {
    let within = if path.is_empty() { String::new() } else { format!(" found in '{}'.", path.join(" -> ")) };
    let wrong = |what: &str, v: &Json, ty: Type, why: String| {
        format!(
            "{what} '{}' is of type {}{within} and we were unable to convert to {}: {why}",
            a.name,
            type_name(v),
            ty.name()
        )
    };
    match (convert(a.ty, v), a.elements) {
        (Err(why), _) => {
            run.errors.push(wrong("argument", v, a.ty, why));
            v.clone()
        }
        (Ok(Json::Array(l)), Some(ty)) => {
            let mut done = Vec::with_capacity(l.len());
            for e in l {
                match convert(ty, &e) {
                    Ok(e) => done.push(e),
                    Err(why) => {
                        run.errors.push(wrong("Elements value for option", &e, ty, why));
                        done.push(e);
                    }
                }
            }
            Json::Array(done)
        }
        (Ok(v), _) => v,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Spec {
        Spec::new(vec![
            Arg::path("path").required().aliases(&["dest"]),
            Arg::bool("force").default(false),
            Arg::str("state").choices(&["present", "absent"]).default("present"),
            Arg::list("tags", Type::Str),
            Arg::str("password").secret(),
        ])
        .exclusive(&["tags", "password"])
    }
    fn run(v: Json) -> Result<Checked, String> {
        validate(&spec(), v.as_object().expect("an object"), "t")
    }

    #[test]
    fn converts_and_defaults() {
        let c = run(json!({"dest": "/a", "force": "yes", "tags": "a, b"})).expect("valid");
        assert_eq!(c.args.str("path"), "/a");
        assert!(c.args.bool("force"));
        assert_eq!(c.args.strings("tags"), ["a", "b"]);
        assert_eq!(c.args.str("state"), "present");
    }

    #[test]
    fn refuses() {
        assert!(
            run(json!({"path": "/a", "nope": 1}))
                .unwrap_err()
                .starts_with("Unsupported parameters for (t) module: nope.")
        );
        assert_eq!(run(json!({})).unwrap_err(), "missing required arguments: path");
        assert_eq!(
            run(json!({"path": "/a", "state": "x"})).unwrap_err(),
            "value of state must be one of: present, absent, got: x"
        );
        assert_eq!(
            run(json!({"path": "/a", "tags": "a", "password": "b"})).unwrap_err(),
            "parameters are mutually exclusive: tags|password"
        );
    }

    #[test]
    fn every_error_in_order() {
        let inner = Spec::new(vec![Arg::int("k").required(), Arg::str("of").choices(&["a", "b"])]);
        let spec = Spec::new(vec![
            Arg::str("name").required(),
            Arg::int("n").aliases(&["number"]),
            Arg::list("l", Type::Int),
            Arg::dict("d").options(inner),
        ]);
        let given = json!({"number": "x", "l": "1,y", "d": {"of": "c", "more": 1}, "what": 1});
        let errors = validate_all(&spec, given.as_object().expect("an object")).expect_err("much is wrong");
        assert_eq!(
            errors,
            [
                "missing required arguments: name",
                "argument 'n' is of type str and we were unable to convert to int: \"'x'\" cannot be converted to an int",
                "Elements value for option 'l' is of type str and we were unable to convert to int: \"'y'\" cannot be \
                 converted to an int",
                "missing required arguments: k found in d",
                "value of of must be one of: a, b, got: c found in d",
                "d.more, what. Supported parameters include: k, of.",
            ]
        );
        // null is a value for what is required, or has a default
        let spec = Spec::new(vec![
            Arg::bool("force").default(false),
            Arg::str("state").choices(&["a"]).default("a"),
            Arg::str("prefix").default("x"),
            Arg::str("kind").choices(&["b"]),
            Arg::str("any"),
            Arg::raw("raw").default(1),
        ]);
        let given = json!({"force": null, "state": null, "prefix": null, "kind": null, "any": null, "raw": null});
        assert_eq!(
            validate_all(&spec, given.as_object().expect("an object")).expect_err("three are wrong"),
            [
                "argument 'force' is of type NoneType and we were unable to convert to bool: <class 'NoneType'> cannot be \
                 converted to a bool",
                "value of state must be one of: a, got: ",
                "value of kind must be one of: b, got: None",
            ]
        );
        let spec = Spec::new(vec![Arg::str("prefix").default("x"), Arg::str("any"), Arg::raw("raw").default(1)]);
        let given = json!({"prefix": null, "any": null, "raw": null});
        let c = validate_all(&spec, given.as_object().expect("an object")).expect("valid");
        assert_eq!(["prefix", "any", "raw"].map(|n| c.args.get(n)), [&json!(""), &Json::Null, &Json::Null]);
        let spec = Spec::new(vec![Arg::str("name").required(), Arg::int("n")]);
        let given = json!({"name": null, "n": null});
        let c = validate_all(&spec, given.as_object().expect("an object")).expect("valid");
        assert_eq!((c.args.opt_str("name"), c.args.get("n")), (Some(""), &Json::Null));
    }

    #[test]
    fn the_last_alias_wins() {
        let c = run(json!({"path": "/a", "dest": "/b"})).expect("valid");
        assert_eq!(c.args.str("path"), "/b");
        assert_eq!(c.warnings, ["Both option path and its alias dest are set."]);
    }

    #[test]
    fn secrets_are_masked() {
        let c = run(json!({"path": "/a", "password": "hunter2"})).expect("valid");
        let mut m = Map::new();
        m.insert("msg".into(), "it is hunter2".into());
        c.censor(&mut m);
        assert_eq!(m["msg"], "it is ********");
        assert_eq!(c.shown()["password"], HIDDEN);
    }
}
