//! Conditions: `when`, `failed_when`, `that`, `until` …

use super::compile::Mode;
use super::convert::{to_mj, type_name};
use super::engine::Inner;
use super::object::Renderer;
use super::scope::Scope;
use crate::diag::{Error, Kind, Result, Span};
use crate::value::{Trust, Value};
use minijinja::value::Value as Mj;
use std::sync::Arc;

/// The error for an expression that does not stand in a trusted source.
pub(super) fn untrusted(origin: Option<Span>) -> Error {
    Error::template("Encountered untrusted template or expression.").at(origin).help(
        "Templates and expressions must be defined by trusted sources such as playbooks or roles, not untrusted \
         sources such as module results.",
    )
}

impl Inner {
    pub(super) fn condition(self: &Arc<Self>, v: &Value, scope: &Scope) -> Result<bool> {
        let r = self.renderer(scope);
        let (text, origin) = match v {
            Value::Bool(b) => return Ok(*b),
            Value::Str(s) if s.trust == Trust::Plain => return Err(untrusted(s.origin)),
            Value::Str(s) => (s.text.trim(), s.origin),
            other => return self.verdict(&to_mj(other), other.type_name(), scope),
        };
        let while_judging = |e: Error| match e.kind() {
            Kind::Undefined => e.context("Error while evaluating conditional"),
            _ => e,
        };
        let framed = |open, close| text.starts_with(open) && text.ends_with(close);
        if !framed("{{", "}}") && !framed("{%", "%}") {
            return self.judge(text, origin, &r).map_err(while_judging);
        }
        // The whole condition is a template: a text that it makes is the condition, if it can be trusted.
        let result = self.template(text, origin, &r).map_err(while_judging)?;
        if let Some(made) = result.to_str() {
            let made = super::tags::leave(made);
            if made.trust == Trust::Plain {
                return Err(untrusted(made.origin.or(origin)));
            }
            return self.judge(made.text.trim(), made.origin.or(origin), &r).map_err(while_judging);
        }
        self.deprecate_once(
            scope,
            "Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}.".into(),
        );
        self.verdict(&result, type_name(&result), scope)
    }

    /// The truth of an expression.
    fn judge(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<bool> {
        if text.is_empty() {
            self.warn_once(&r.scope, "Empty conditional expression was evaluated as True.".into());
            return Ok(true);
        }
        let result = self.expression(text, &Mode::Condition, origin, r)?;
        self.verdict(&result, type_name(&result), &r.scope)
    }

    fn verdict(&self, v: &Mj, kind: &str, scope: &Scope) -> Result<bool> {
        if v.kind() == minijinja::value::ValueKind::Bool {
            return Ok(v.is_true());
        }
        let truth = match v.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("false") => false,
            _ => v.is_true(),
        };
        let word = if truth { "True" } else { "False" };
        self.warn_once(
            scope,
            format!(
                "Conditional result ({word}) was derived from value of type '{kind}'. Conditionals must have a boolean result."
            ),
        );
        Ok(truth)
    }
}
