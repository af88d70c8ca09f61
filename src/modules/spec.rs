//! Declared arguments: one declaration feeds validation before any host is touched, the agent's own
//! check, role argument specs, `dirigo doc` and the documentation.
//!
//! Behaviour after <https://docs.ansible.com/ansible/latest/dev_guide/developing_program_flow_modules.html#argument-spec>.

use serde_json::{Map, Value as Json};

/// The type of an argument, by Ansible's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Str,
    Bool,
    Int,
    Float,
    List,
    Dict,
    Path,
    Raw,
    Jsonarg,
    Json,
    Bytes,
    Bits,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Str => "str",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::List => "list",
            Type::Dict => "dict",
            Type::Path => "path",
            Type::Raw => "raw",
            Type::Jsonarg => "jsonarg",
            Type::Json => "json",
            Type::Bytes => "bytes",
            Type::Bits => "bits",
        }
    }
    pub fn from_name(s: &str) -> Option<Type> {
        use Type::*;
        [Str, Bool, Int, Float, List, Dict, Path, Raw, Jsonarg, Json, Bytes, Bits].into_iter().find(|t| t.name() == s)
    }
}

/// One argument of a module or role.
#[derive(Clone, Debug)]
pub struct Arg {
    pub name: String,
    pub ty: Type,
    /// Type of the elements of a list.
    pub elements: Option<Type>,
    pub required: bool,
    pub default: Option<Json>,
    pub choices: Vec<Json>,
    pub aliases: Vec<String>,
    /// Never shown: its value is censored in results.
    pub no_log: bool,
    /// Arguments of a dictionary (or of each element of a list of dictionaries).
    pub options: Option<Box<Spec>>,
    /// One paragraph of documentation.
    pub doc: String,
}

impl Arg {
    pub fn new(name: &str, ty: Type) -> Arg {
        Arg {
            name: name.into(),
            ty,
            elements: None,
            required: false,
            default: None,
            choices: vec![],
            aliases: vec![],
            no_log: false,
            options: None,
            doc: String::new(),
        }
    }
    pub fn str(name: &str) -> Arg {
        Arg::new(name, Type::Str)
    }
    pub fn path(name: &str) -> Arg {
        Arg::new(name, Type::Path)
    }
    pub fn bool(name: &str) -> Arg {
        Arg::new(name, Type::Bool)
    }
    pub fn int(name: &str) -> Arg {
        Arg::new(name, Type::Int)
    }
    pub fn float(name: &str) -> Arg {
        Arg::new(name, Type::Float)
    }
    pub fn raw(name: &str) -> Arg {
        Arg::new(name, Type::Raw)
    }
    pub fn dict(name: &str) -> Arg {
        Arg::new(name, Type::Dict)
    }
    /// A list with elements of one type.
    pub fn list(name: &str, elements: Type) -> Arg {
        Arg { elements: Some(elements), ..Arg::new(name, Type::List) }
    }
    pub fn required(mut self) -> Arg {
        self.required = true;
        self
    }
    pub fn default(mut self, v: impl Into<Json>) -> Arg {
        self.default = Some(v.into());
        self
    }
    pub fn choices(mut self, c: &[&str]) -> Arg {
        self.choices = c.iter().map(|s| Json::from(*s)).collect();
        self
    }
    pub fn aliases(mut self, a: &[&str]) -> Arg {
        self.aliases = a.iter().map(|s| s.to_string()).collect();
        self
    }
    pub fn secret(mut self) -> Arg {
        self.no_log = true;
        self
    }
    pub fn options(mut self, s: Spec) -> Arg {
        self.options = Some(Box::new(s));
        self
    }
    pub fn doc(mut self, d: &str) -> Arg {
        self.doc = d.into();
        self
    }
}

/// A rule over several arguments.
#[derive(Clone, Debug)]
pub enum Rule {
    MutuallyExclusive(Vec<String>),
    RequiredTogether(Vec<String>),
    RequiredOneOf(Vec<String>),
    /// If `key` has `value`, all of (or, with `any`, one of) `names` must be given.
    RequiredIf {
        key: String,
        value: Json,
        names: Vec<String>,
        any: bool,
    },
    /// If `key` is given, all of `names` must be.
    RequiredBy {
        key: String,
        names: Vec<String>,
    },
}

/// All arguments of a module, role entry point or dictionary option.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub args: Vec<Arg>,
    pub rules: Vec<Rule>,
}

impl Spec {
    pub fn new(args: Vec<Arg>) -> Spec {
        Spec { args, rules: vec![] }
    }
    /// Adds the arguments that all file modules share: mode, owner, group, seuser, serole, setype,
    /// selevel, attributes (attr), unsafe_writes.
    pub fn with_file_args(mut self) -> Spec {
        self.args.extend([
            Arg::raw("mode").doc("Permissions, octal (as a string) or symbolic."),
            Arg::str("owner").doc("Name or id of the user that shall own the file."),
            Arg::str("group").doc("Name or id of the group that shall own the file."),
            Arg::str("seuser").doc("SELinux user."),
            Arg::str("serole").doc("SELinux role."),
            Arg::str("setype").doc("SELinux type."),
            Arg::str("selevel").doc("SELinux level."),
            Arg::str("attributes").aliases(&["attr"]).doc("File attributes as chattr takes them."),
            Arg::bool("unsafe_writes").default(false).doc("Allow a write that is not atomic where renaming fails."),
        ]);
        self
    }
    pub fn exclusive(mut self, names: &[&str]) -> Spec {
        self.rules.push(Rule::MutuallyExclusive(own(names)));
        self
    }
    pub fn together(mut self, names: &[&str]) -> Spec {
        self.rules.push(Rule::RequiredTogether(own(names)));
        self
    }
    pub fn one_of(mut self, names: &[&str]) -> Spec {
        self.rules.push(Rule::RequiredOneOf(own(names)));
        self
    }
    pub fn required_if(mut self, key: &str, value: impl Into<Json>, names: &[&str]) -> Spec {
        self.rules.push(Rule::RequiredIf { key: key.into(), value: value.into(), names: own(names), any: false });
        self
    }
    pub fn required_by(mut self, key: &str, names: &[&str]) -> Spec {
        self.rules.push(Rule::RequiredBy { key: key.into(), names: own(names) });
        self
    }
    /// The argument with this name or alias.
    pub fn find(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|a| a.name == name || a.aliases.iter().any(|x| x == name))
    }
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|s| s.to_string()).collect()
}

/// Validated arguments of one call: every declared name is present (null if not given), typed as declared.
#[derive(Clone, Debug, Default)]
pub struct Args(pub Map<String, Json>);

impl Args {
    pub fn get(&self, name: &str) -> &Json {
        self.0.get(name).unwrap_or(&Json::Null)
    }
    pub fn is_set(&self, name: &str) -> bool {
        !self.get(name).is_null()
    }
    pub fn opt_str(&self, name: &str) -> Option<&str> {
        self.get(name).as_str()
    }
    /// The text, or "" if not given.
    pub fn str(&self, name: &str) -> &str {
        self.opt_str(name).unwrap_or("")
    }
    pub fn bool(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or(false)
    }
    pub fn opt_bool(&self, name: &str) -> Option<bool> {
        self.get(name).as_bool()
    }
    pub fn opt_int(&self, name: &str) -> Option<i64> {
        self.get(name).as_i64()
    }
    pub fn int(&self, name: &str) -> i64 {
        self.opt_int(name).unwrap_or(0)
    }
    pub fn opt_float(&self, name: &str) -> Option<f64> {
        self.get(name).as_f64()
    }
    /// The texts of a list (numbers as text), empty if not given.
    pub fn strings(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Json::Array(a) => a.iter().map(json_text).collect(),
            _ => vec![],
        }
    }
    pub fn opt_map(&self, name: &str) -> Option<&Map<String, Json>> {
        self.get(name).as_object()
    }
}

/// A JSON scalar as text, strings without quotes.
pub fn json_text(j: &Json) -> String {
    match j {
        Json::String(s) => s.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::Null => "None".into(),
        other => other.to_string(),
    }
}
