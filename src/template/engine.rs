//! The engine: compiles each template text once and renders it in a scope.

use super::convert::{error, from_mj, py_str, to_mj};
use super::object::{ListObj, MapObj, Renderer, ScopeObj};
use super::scope::Scope;
use super::{filters, globals, is_omit, tests};
use crate::diag::{Error, Result, Span};
use crate::value::{Map, Str, Value};
use minijinja::value::Value as Mj;
use minijinja::{Environment, UndefinedBehavior};
use std::sync::Arc;

/// How the engine is set up for a run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Instructions that one template may use before it is stopped.
    pub fuel: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions { fuel: 50_000_000 }
    }
}

/// How a template file is to be read (`template` module and lookup).
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// The file's path as errors show it.
    pub name: String,
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    pub newline_sequence: String,
    pub block_start_string: String,
    pub block_end_string: String,
    pub variable_start_string: String,
    pub variable_end_string: String,
    pub comment_start_string: String,
    pub comment_end_string: String,
    /// Variables in front of the scope's (`ansible_managed`, `template_path` …).
    pub extra: Map,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            name: "<template>".into(),
            trim_blocks: true,
            lstrip_blocks: false,
            newline_sequence: "\n".into(),
            block_start_string: "{%".into(),
            block_end_string: "%}".into(),
            variable_start_string: "{{".into(),
            variable_end_string: "}}".into(),
            comment_start_string: "{#".into(),
            comment_end_string: "#}".into(),
            extra: Map::new(),
        }
    }
}

/// The template engine of a run; cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(super) struct Inner {
    env: Environment<'static>,
}

impl Engine {
    pub fn new(options: EngineOptions) -> Engine {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(options.fuel));
        filters::register(&mut env);
        tests::register(&mut env);
        globals::register(&mut env);
        Engine(Arc::new(Inner { env }))
    }

    /// Renders every template within `v`. A lone `{{ expression }}` keeps its type; members that
    /// render to `omit` are left out; strings that come out are plain.
    pub fn render(&self, v: &Value, scope: &Scope) -> Result<Value> {
        match v {
            Value::Str(s) if s.is_template() => self.render_str(s, scope),
            Value::Str(s) => Ok(Value::plain(s.text.clone())),
            Value::Vault(t) => scope.vars.decrypt(t).map(Value::plain),
            Value::List(l) | Value::Tuple(l) => {
                let mut out = Vec::with_capacity(l.len());
                for item in l.iter() {
                    let item = self.render(item, scope)?;
                    if !is_omit(&item) {
                        out.push(item);
                    }
                }
                Ok(Value::list(out))
            }
            Value::Map(m) => {
                let mut out = Map::with_capacity(m.len());
                for (k, item) in m.iter() {
                    let item = self.render(item, scope)?;
                    if !is_omit(&item) {
                        out.insert(k.clone(), item);
                    }
                }
                Ok(Value::map(out))
            }
            other => Ok(other.clone()),
        }
    }

    fn render_str(&self, s: &Str, scope: &Scope) -> Result<Value> {
        from_mj(&self.0.template(&s.text, s.origin, &self.0.renderer(scope))?)
    }

    /// Renders trusted template text to a string.
    pub fn render_to_string(&self, text: &str, scope: &Scope) -> Result<String> {
        py_str(&self.0.template(text, None, &self.0.renderer(scope))?).map_err(error)
    }

    /// Evaluates a bare expression from a trusted source (`when:`, `that:`, `until:` …).
    pub fn eval(&self, expression: &str, scope: &Scope) -> Result<Value> {
        from_mj(&self.0.expression(expression, None, &self.0.renderer(scope))?)
    }

    /// One entry of `when`, `failed_when`, `until` …: a boolean or an expression.
    pub fn condition(&self, v: &Value, scope: &Scope) -> Result<bool> {
        match v {
            Value::Bool(b) => Ok(*b),
            Value::Str(s) => Ok(self.eval(&s.text, scope)?.truthy()),
            other => Ok(other.truthy()),
        }
    }

    /// Renders the text of a template file.
    pub fn render_file(&self, text: &str, options: &FileOptions, scope: &Scope) -> Result<String> {
        let scope = self.with_extra(options.extra.clone(), scope);
        self.render_to_string(text, &scope)
    }

    /// The scope with some variables in front (`item`, `ansible_loop` …).
    pub fn with_extra(&self, extra: Map, scope: &Scope) -> Scope {
        scope.with_extra(extra)
    }

    /// Runs the lookup `name`; the list of what it found.
    pub fn lookup(&self, name: &str, terms: Vec<Value>, kwargs: Map, scope: &Scope) -> Result<Vec<Value>> {
        let _ = (terms, kwargs, scope);
        Err(Error::template(format!("lookup plugin '{name}' not found")))
    }
}

impl Inner {
    pub(super) fn renderer(self: &Arc<Self>, scope: &Scope) -> Renderer {
        Renderer { engine: self.clone(), scope: scope.clone() }
    }

    fn template(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<Mj> {
        let inner = text.trim();
        if let Some(expr) = inner.strip_prefix("{{").and_then(|t| t.strip_suffix("}}"))
            && !expr.contains("{{")
            && !expr.contains("}}")
        {
            return self.expression(expr, origin, r);
        }
        let root = Mj::from_object(ScopeObj::of(self, &r.scope));
        self.env.render_str(text, root).map(Mj::from).map_err(|e| error(e).at(origin))
    }

    fn expression(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<Mj> {
        let root = Mj::from_object(ScopeObj::of(self, &r.scope));
        self.env.compile_expression(text).and_then(|e| e.eval(root)).map_err(|e| error(e).at(origin))
    }

    /// A variable's value, rendered where it is a template; maps and lists stay lazy.
    pub(super) fn lazy_variable(self: &Arc<Self>, _name: &str, v: &Value, r: &Renderer) -> Result<Mj> {
        self.lazy_value(v, r)
    }

    pub(super) fn lazy_value(self: &Arc<Self>, v: &Value, r: &Renderer) -> Result<Mj> {
        Ok(match v {
            Value::Str(s) if s.is_template() => self.template(&s.text, s.origin, r)?,
            Value::Vault(t) => Mj::from(r.scope.vars.decrypt(t)?),
            Value::List(l) if v.needs_render() => Mj::from_object(ListObj::lazy(l.clone(), r.clone())),
            Value::Map(m) if v.needs_render() => Mj::from_object(MapObj::lazy(m.clone(), r.clone())),
            other => to_mj(other),
        })
    }
}
