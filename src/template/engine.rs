//! The engine: renders values, expressions, conditions and template files in a scope.

use super::compile::{Compiled, FileSyntax, Memo, Mode, in_file, lower_template, private_syntax};
use super::convert::{
    carry, check, error, fail, from_mj, from_mj_defined, innermost, showing_errors, shown_error, to_mj, write_out,
};
use super::lower::Known;
use super::object::{ListObj, MapObj, Renderer, ScopeObj, take_changed};
use super::scope::Scope;
use super::{filters, globals, helpers, is_omit, lookups, prepare, tests};
use crate::diag::{Error, Kind, Result, Span};
use crate::value::{Map, Str, Trust, Value};
use minijinja::value::Value as Mj;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, machinery};
use std::sync::Arc;

/// The longest text that a template may become, in bytes.
const MAX_OUTPUT: usize = 64 << 20;

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
    /// What begins a line that is a statement; none if empty.
    pub line_statement_prefix: String,
    /// What begins a comment that goes to the end of its line; none if empty.
    pub line_comment_prefix: String,
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
            line_statement_prefix: String::new(),
            line_comment_prefix: String::new(),
            extra: Map::new(),
        }
    }
}

/// The template engine of a run; cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(super) struct Inner {
    env: Environment<'static>,
    memo: Memo,
    pub(super) known: Known,
}

impl Engine {
    pub fn new(options: EngineOptions) -> Engine {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Lenient);
        // Debug information would evaluate the variables of a failing template once more.
        env.set_debug(false);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_syntax(private_syntax());
        env.set_fuel(Some(options.fuel));
        env.set_recursion_limit(160);
        filters::register(&mut env);
        tests::register(&mut env);
        globals::register(&mut env);
        lookups::register(&mut env);
        helpers::register(&mut env);
        let known = Known { globals: env.globals().map(|(name, _)| name.to_string()).collect() };
        Engine(Arc::new(Inner { env, memo: Memo::default(), known }))
    }

    /// Renders every template within `v`. A lone `{{ expression }}` keeps its type; members that
    /// render to `omit` are left out; strings that come out are plain.
    pub fn render(&self, v: &Value, scope: &Scope) -> Result<Value> {
        let out = self.0.render(v, &self.0.renderer(scope));
        self.0.settle(scope);
        out
    }

    /// Like [`Engine::render`], but what is undefined is left out, at any depth, rather than an error. `None` if
    /// all of it is undefined.
    pub fn render_defined(&self, v: &Value, scope: &Scope) -> Result<Option<Value>> {
        let out = self.0.render_defined(v, &self.0.renderer(scope));
        self.0.settle(scope);
        out
    }

    /// Renders trusted template text to a string.
    pub fn render_to_string(&self, text: &str, scope: &Scope) -> Result<String> {
        let out = self.0.template(text, None, &self.0.renderer(scope)).and_then(|v| self.0.text(&v));
        self.0.settle(scope);
        out
    }

    /// Evaluates a bare expression from a trusted source (`when:`, `that:`, `until:` …).
    pub fn eval(&self, expression: &str, scope: &Scope) -> Result<Value> {
        self.eval_at(expression, None, scope)
    }

    /// Evaluates an expression that a value holds; one that is not from a trusted source is an error.
    pub fn eval_value(&self, expression: &Value, scope: &Scope) -> Result<Value> {
        match expression {
            Value::Str(s) if s.trust == Trust::Plain => Err(super::condition::untrusted(s.origin)),
            Value::Str(s) => self.eval_at(&s.text, s.origin, scope),
            other => Ok(other.clone()),
        }
    }

    /// Evaluates an expression that a value holds in order to show its result: undefined values are told in
    /// their places. Answers the result and the errors told.
    pub fn eval_shown(&self, expression: &Value, scope: &Scope) -> Result<(Value, Vec<String>)> {
        let (text, origin) = match expression {
            Value::Str(s) if s.trust == Trust::Plain => return Err(super::condition::untrusted(s.origin)),
            Value::Str(s) => (&s.text, s.origin),
            other => return Ok((other.clone(), vec![])),
        };
        let r = self.0.renderer(scope);
        let mut errors = vec![];
        let out = self.0.soft_expression(text, origin, &r).and_then(|v| {
            super::convert::from_mj_told(&v, &mut errors).map_err(|e| match e.kind() {
                Kind::Vault if !framed(e.message()) => e.during("Error rendering expression", origin),
                _ => e.at(origin),
            })
        });
        self.0.settle(scope);
        Ok((stored(out?), errors))
    }

    fn eval_at(&self, expression: &str, origin: Option<Span>, scope: &Scope) -> Result<Value> {
        let out = self.0.expression(expression, &Mode::Expression, origin, &self.0.renderer(scope)).and_then(|v| {
            from_mj(&v).map_err(|e| match e.kind() {
                Kind::Vault if !framed(e.message()) => e.during("Error rendering expression", origin),
                _ => e.at(origin),
            })
        });
        self.0.settle(scope);
        out.map(stored)
    }

    /// Renders text for people to read (a task's name): what cannot be rendered is told in its place, and beside the
    /// text the errors are answered.
    pub fn render_for_show(&self, v: &Value, scope: &Scope) -> (String, Vec<String>) {
        let (made, errors) = showing_errors(|| {
            self.0.render(v, &self.0.renderer(scope)).unwrap_or_else(|e| {
                let told = [e.message(), "template potentially truncated"].map(shown_error);
                Value::plain(told.into_iter().flatten().collect::<String>())
            })
        });
        self.0.settle(scope);
        let text = made.to_str();
        // what was rendered more than once may have met an error more than once
        let shown = |(i, e): (usize, String)| text.contains(&format!("<< error {} - {e} >>", i + 1)).then_some(e);
        let errors = errors.into_iter().enumerate().filter_map(shown).collect();
        (text, errors)
    }

    /// One entry of `when`, `failed_when`, `until` …: a boolean or an expression.
    ///
    /// A condition that is a template as a whole is the expression that it makes, if that is trusted. The
    /// result must be a boolean, unless `ALLOW_BROKEN_CONDITIONALS` is on.
    pub fn condition(&self, v: &Value, scope: &Scope) -> Result<bool> {
        let out = self.0.condition(v, scope);
        self.0.settle(scope);
        out
    }

    /// Renders the text of a template file.
    ///
    /// A first line `#jinja2: name: value, …` overrides the options as it does in Ansible.
    pub fn render_file(&self, text: &str, options: &FileOptions, scope: &Scope) -> Result<String> {
        let scope = if options.extra.is_empty() { scope.clone() } else { scope.with_extra(options.extra.clone()) };
        let out = self.0.file(text, options, &self.0.renderer(&scope));
        self.0.settle(&scope);
        out
    }

    /// The scope with some variables in front (`item`, `ansible_loop` …).
    pub fn with_extra(&self, extra: Map, scope: &Scope) -> Scope {
        scope.with_extra(extra)
    }

    /// The items of `with_<name>: value`, the value rendered: one that is not a list counts as a list of one.
    pub fn with_loop(&self, name: &str, value: Value, scope: &Scope) -> Result<Vec<Value>> {
        self.lookup(name, lookups::with_terms(value), Map::new(), scope)
    }

    /// True if there is a lookup of this name.
    pub fn has_lookup(&self, name: &str) -> bool {
        lookups::known(name)
    }

    /// Runs the lookup `name` on rendered terms; the list of what it found.
    pub fn lookup(&self, name: &str, terms: Vec<Value>, kwargs: Map, scope: &Scope) -> Result<Vec<Value>> {
        let out = lookups::run(&self.0.renderer(scope), name, terms, kwargs);
        self.0.settle(scope);
        out
    }
}

/// A result as Ansible stores it: tuples become lists.
pub(super) fn stored(v: Value) -> Value {
    match v {
        Value::Tuple(l) | Value::List(l) if l.iter().any(has_tuple) => {
            Value::list(l.iter().cloned().map(stored).collect())
        }
        Value::Tuple(l) => Value::List(l),
        Value::Map(m) if m.values().any(has_tuple) => {
            Value::map(m.iter().map(|(k, v)| (k.clone(), stored(v.clone()))).collect())
        }
        other => other,
    }
}

fn has_tuple(v: &Value) -> bool {
    match v {
        Value::Tuple(_) => true,
        Value::List(l) => l.iter().any(has_tuple),
        Value::Map(m) => m.values().any(has_tuple),
        _ => false,
    }
}

/// A text that a template made stands where the template does.
fn written_at(v: Value, origin: Option<Span>) -> Value {
    match v {
        Value::Str(s) if s.origin.is_none() && origin.is_some() => Value::Str(Str { origin, ..s }),
        other => other,
    }
}

/// Leaves out the members that are `omit`; not the value itself.
fn without_omit(v: Value) -> Value {
    fn holds(v: &Value) -> bool {
        match v {
            Value::List(l) => l.iter().any(|v| is_omit(v) || holds(v)),
            Value::Map(m) => m.values().any(|v| is_omit(v) || holds(v)),
            _ => false,
        }
    }
    if !holds(&v) {
        return v;
    }
    match v {
        Value::List(l) => Value::list(l.iter().filter(|v| !is_omit(v)).cloned().map(without_omit).collect()),
        Value::Map(m) => Value::map(
            m.iter().filter(|(_, v)| !is_omit(v)).map(|(k, v)| (k.clone(), without_omit(v.clone()))).collect(),
        ),
        other => other,
    }
}

impl Inner {
    pub(super) fn renderer(self: &Arc<Self>, scope: &Scope) -> Renderer {
        Renderer { engine: self.clone(), scope: scope.clone() }
    }

    /// After a template changed a list or dict of its variables in place: the next one sees the
    /// variables as they are.
    fn settle(&self, scope: &Scope) {
        if take_changed() {
            scope.cache.lock().unwrap_or_else(|e| e.into_inner()).clear();
        }
    }

    pub(super) fn render(self: &Arc<Self>, v: &Value, r: &Renderer) -> Result<Value> {
        match v {
            Value::Str(s) if s.is_template() => self.render_str(s, r),
            Value::Str(_) => super::untrusted::met(v, &r.scope).map(|()| v.clone()),
            Value::Vault(t) => {
                let text = r.scope.vars.decrypt(t)?;
                super::tags::decrypted(&text, t);
                Ok(Value::plain(text))
            }
            Value::List(l) | Value::Tuple(l) => {
                let mut out = Vec::with_capacity(l.len());
                for item in l.iter() {
                    let item = self.render(item, r)?;
                    if !is_omit(&item) {
                        out.push(item);
                    }
                }
                Ok(Value::list(out))
            }
            Value::Map(m) => {
                let mut out = Map::with_capacity(m.len());
                for (k, item) in m.iter() {
                    let item = self.render(item, r)?;
                    if !is_omit(&item) {
                        out.insert(k.clone(), item);
                    }
                }
                Ok(Value::map(out))
            }
            other => Ok(other.clone()),
        }
    }

    fn render_defined(self: &Arc<Self>, v: &Value, r: &Renderer) -> Result<Option<Value>> {
        let known = |v: &Value| Ok(self.render_defined(v, r)?.filter(|v| !is_omit(v)));
        Ok(Some(match v {
            Value::Str(s) if s.is_template() => {
                let made = match self.template(&s.text, s.origin, r) {
                    Err(e) if e.kind() == Kind::Undefined => return Ok(None),
                    made => made?,
                };
                let made = from_mj_defined(&made).map_err(|e| e.at(s.origin))?;
                return Ok(made.map(|v| written_at(without_omit(v), s.origin)));
            }
            Value::List(l) | Value::Tuple(l) => {
                Value::list(l.iter().filter_map(|v| known(v).transpose()).collect::<Result<_>>()?)
            }
            Value::Map(m) => {
                let members = m.iter().filter_map(|(k, v)| known(v).transpose().map(|v| v.map(|v| (k.clone(), v))));
                Value::map(members.collect::<Result<_>>()?)
            }
            other => self.render(other, r)?,
        }))
    }

    /// Applies a filter outside of any template.
    pub(super) fn apply_filter(&self, name: &str, args: &[Mj]) -> Result<Mj, minijinja::Error> {
        self.env.empty_state().apply_filter(name, args)
    }

    fn render_str(self: &Arc<Self>, s: &Str, r: &Renderer) -> Result<Value> {
        let made = self.template(&s.text, s.origin, r)?;
        from_mj(&made).map(|v| written_at(without_omit(stored(v)), s.origin)).map_err(|e| match e.kind() {
            Kind::Vault => e.during("Error rendering template", s.origin),
            _ => e.at(s.origin),
        })
    }

    fn text(&self, v: &Mj) -> Result<String> {
        let mut out = String::new();
        write_out(v, &mut out).map_err(error)?;
        Ok(out)
    }

    /// Runs instructions in a scope: what is left on the stack, and the output.
    fn run(
        self: &Arc<Self>,
        c: &Compiled,
        env: &Environment<'static>,
        r: &Renderer,
    ) -> Result<(Option<Mj>, String), minijinja::Error> {
        let root = Mj::from_object(ScopeObj { r: r.clone(), root: true });
        let mut text = String::new();
        let value = {
            let mut out = machinery::make_string_output(&mut text);
            machinery::eval(env, &c.instructions, root, &c.blocks, &mut out, AutoEscape::None)?.0
        };
        if text.len() > MAX_OUTPUT {
            return Err(fail("the template's result is too large"));
        }
        Ok((value, text))
    }

    /// A template string: its value, with the type of a single printed value kept.
    pub(super) fn template(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<Mj> {
        let c = self.memo.get(text, &Mode::Inline, "<template>", &self.known).map_err(|e| e.at(origin))?;
        let failed = |e| run_error(e, "template", origin, r);
        if c.lone {
            let (value, _) = self.run(&c, &self.env, r).map_err(failed)?;
            let value = value.unwrap_or_default();
            // a vaulted value that cannot be opened may still be asked whether it is one
            let value =
                if super::convert::envelope(&value).is_some() { value } else { check(value).map_err(failed)? };
            return Ok(keep_newlines(text, value));
        }
        let (done, nodes) = helpers::with_nodes(|| {
            if c.uses_files { self.run(&c, &self.file_env(r, None), r) } else { self.run(&c, &self.env, r) }
        });
        let (_, out) = done.map_err(failed)?;
        match nodes.last {
            Some(only) if nodes.count == 1 && self.text(&only).is_ok_and(|t| t == out) => Ok(keep_newlines(text, only)),
            None if nodes.none && out.is_empty() => Ok(Mj::from(())),
            _ => Ok(keep_newlines(text, Mj::from(out))),
        }
    }

    pub(super) fn expression(
        self: &Arc<Self>,
        text: &str,
        mode: &Mode,
        origin: Option<Span>,
        r: &Renderer,
    ) -> Result<Mj> {
        let c = self.memo.get(text, mode, "<expression>", &self.known).map_err(|e| e.at(origin))?;
        let failed = |e| run_error(e, "expression", origin, r);
        let (value, _) = self.run(&c, &self.env, r).map_err(failed)?;
        check(value.unwrap_or_default()).map_err(failed)
    }

    /// An expression whose result may be a marker of an undefined value.
    fn soft_expression(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<Mj> {
        let c = self.memo.get(text, &Mode::Expression, "<expression>", &self.known).map_err(|e| e.at(origin))?;
        let failed = |e| run_error(e, "expression", origin, r);
        Ok(self.run(&c, &self.env, r).map_err(failed)?.0.unwrap_or_default())
    }

    /// A value of a variable or a member of one, rendered where it is a template; maps and lists stay lazy.
    pub(super) fn lazy_value(self: &Arc<Self>, v: &Value, r: &Renderer) -> Result<Mj> {
        Ok(match v {
            Value::Str(s) if s.is_template() => self.template(&s.text, s.origin, r)?,
            Value::Vault(t) => match r.scope.vars.decrypt(t) {
                Ok(text) => super::tags::decrypted(&text, t),
                Err(e) => super::convert::sealed(t, e),
            },
            Value::List(l) if v.needs_render() => Mj::from_object(ListObj::lazy(l.clone(), r.clone())),
            Value::Map(m) if v.needs_render() => Mj::from_object(MapObj::lazy(m.clone(), r.clone())),
            other => {
                super::untrusted::met(other, &r.scope)?;
                to_mj(other)
            }
        })
    }

    // ---- template files ----

    pub(super) fn file(self: &Arc<Self>, text: &str, options: &FileOptions, r: &Renderer) -> Result<String> {
        let whole = text;
        let (text, options) = super::header::read(text, options).map_err(|e| in_file(e, None, &options.name, whole))?;
        let begins = [
            &options.block_start_string,
            &options.variable_start_string,
            &options.comment_start_string,
            &options.line_statement_prefix,
            &options.line_comment_prefix,
        ];
        if !begins.iter().any(|b| !b.is_empty() && text.contains(b.as_str())) {
            // no template: the line ends stay, too
            return Ok(text.to_string());
        }
        let syntax = Arc::new(FileSyntax {
            trim_blocks: options.trim_blocks,
            lstrip_blocks: options.lstrip_blocks,
            block: (options.block_start_string.clone(), options.block_end_string.clone()),
            variable: (options.variable_start_string.clone(), options.variable_end_string.clone()),
            comment: (options.comment_start_string.clone(), options.comment_end_string.clone()),
            line: (options.line_statement_prefix.clone(), options.line_comment_prefix.clone()),
            skipped: whole.strip_suffix(text).unwrap_or("").matches('\n').count(),
        });
        let mode = Mode::File(syntax.clone());
        let place = |e: Error, line: Option<usize>| syntax.place(e, line, &options.name, text);
        let c = self.memo.get(text, &mode, &options.name, &self.known).map_err(|e| place(e, None))?;
        let done = if c.uses_files {
            self.run(&c, &self.file_env(r, Some((&options, syntax.clone()))), r)
        } else {
            self.run(&c, &self.env, r)
        };
        let (_, mut out) = done.map_err(|e| {
            let inner = innermost(&e);
            let (name, line) = (inner.name().unwrap_or(&options.name).to_string(), inner.line());
            let other = (name != options.name).then(|| r.scope.files.read_text(camino::Utf8Path::new(&name)).ok());
            match other {
                Some(Some(included)) => in_file(run_error(e, "template", None, r), line, &name, &included),
                Some(None) => place(run_error(e, "template", None, r), None),
                None => place(run_error(e, "template", None, r), line),
            }
        })?;
        // ansible-core counts the line feeds at the end: of a result with other line ends it finds one or none
        let counted = match options.newline_sequence.as_str() {
            "\n" => out.as_str(),
            "\r\n" if out.ends_with('\n') => "\n",
            _ => "",
        };
        let missing = prepare::trailing_newlines(&text.replace("\r\n", "\n"), counted);
        out.extend(std::iter::repeat_n('\n', missing));
        Ok(match options.newline_sequence.as_str() {
            "\n" => out,
            other => out.replace('\n', other),
        })
    }

    /// The environment with a loader for the files that `include`, `import` and `extends` name.
    fn file_env(self: &Arc<Self>, r: &Renderer, file: Option<(&FileOptions, Arc<FileSyntax>)>) -> Environment<'static> {
        let mut env = self.env.clone();
        let mode = match &file {
            Some((_, syntax)) => Mode::File(syntax.clone()),
            None => Mode::File(Arc::new(FileSyntax {
                trim_blocks: true,
                lstrip_blocks: false,
                block: ("{%".into(), "%}".into()),
                variable: ("{{".into(), "}}".into()),
                comment: ("{#".into(), "#}".into()),
                line: Default::default(),
                skipped: 0,
            })),
        };
        let mut dirs = r.scope.files.folders("templates");
        dirs.extend(r.scope.files.template_dir.clone());
        if let Some((options, _)) = &file
            && let Some(dir) = camino::Utf8Path::new(&options.name).parent()
        {
            dirs.push(dir.to_owned());
        }
        let files = r.scope.files.clone();
        let engine = Arc::downgrade(self);
        env.set_loader(move |name| {
            let Some(engine) = engine.upgrade() else { return Ok(None) };
            let inside = |p: &camino::Utf8Path| p.components().all(|c| c.as_str() != "..");
            let path = if camino::Utf8Path::new(name).is_absolute() {
                Some(camino::Utf8PathBuf::from(name)).filter(|p| p.is_file())
            } else if inside(camino::Utf8Path::new(name)) {
                dirs.iter().map(|d| d.join(name)).find(|p| p.is_file())
            } else {
                None
            };
            let Some(path) = path else { return Ok(None) };
            let text = files.read_text(&path).map_err(carry)?;
            let lowered = lower_template(&text, &mode, path.as_str(), &engine.known)
                .map_err(|e| carry(in_file(e, None, path.as_str(), &text)))?;
            Ok(Some(lowered.text))
        });
        env
    }
}

/// An engine error in Ansible's words.
fn run_error(e: minijinja::Error, what: &str, origin: Option<Span>, r: &Renderer) -> Error {
    use minijinja::ErrorKind as K;
    let kind = innermost(&e).kind();
    let ours = error(e);
    if ours.kind() == Kind::Vault && !framed(ours.message()) {
        return ours.during(format!("Error rendering {what}"), origin);
    }
    if ours.kind() != Kind::Template || framed(ours.message()) {
        return ours.at(origin);
    }
    let ours = match (kind, ours.message().split('\'').nth(1)) {
        (K::TemplateNotFound, Some(name)) => {
            let dirs: Vec<String> = r.scope.files.folders("templates").iter().map(|d| format!("'{d}'")).collect();
            Error::template(format!("'{name}' not found in search path: {}", dirs.join(", ")))
        }
        (K::OutOfFuel, _) => ours.help("the template runs too long; is there a loop without end?"),
        _ => ours,
    };
    ours.context(format!("Error rendering {what}")).at(origin)
}

/// Whether a message already says whose error it is.
fn framed(message: &str) -> bool {
    ["Error rendering", "The ", "Syntax error", "Recursive loop", "Error while"].iter().any(|p| message.starts_with(p))
}

/// Puts back the newlines at the end of a template whose result is text.
fn keep_newlines(text: &str, v: Mj) -> Mj {
    if !text.ends_with('\n') {
        return v;
    }
    match v.as_str() {
        Some(s) => match prepare::trailing_newlines(text, s) {
            0 => v,
            n => Mj::from(format!("{s}{}", "\n".repeat(n))),
        },
        None => v,
    }
}
