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

const ALLOW: &str =
    "Broken conditionals can be temporarily allowed with the `ALLOW_BROKEN_CONDITIONALS` configuration option.";

const ALLOWED: &str = "Broken conditionals are currently allowed because the `ALLOW_BROKEN_CONDITIONALS` configuration \
                       option is enabled.";

/// Whether conditions that are no booleans count by Python's truth.
fn broken_allowed() -> bool {
    crate::settings::current()
        .get("ALLOW_BROKEN_CONDITIONALS")
        .is_some_and(|found| found.is_ok_and(|f| f.value.truthy()))
}

impl Inner {
    pub(super) fn condition(self: &Arc<Self>, v: &Value, scope: &Scope) -> Result<bool> {
        let r = self.renderer(scope);
        let (text, origin) = match v {
            Value::Bool(b) => return Ok(*b),
            Value::Str(s) if s.trust == Trust::Plain => return Err(untrusted(s.origin)),
            Value::Str(s) => (s.text.trim(), s.origin),
            Value::Null => return self.judge("", None, &r),
            other if broken_allowed() => return self.verdict(&to_mj(other), None, scope),
            _ => return Err(Error::template("Conditional expressions must be strings.").help(ALLOW)),
        };
        let while_judging = |e: Error| match e.kind() {
            Kind::Undefined => e.during("Error while evaluating conditional", origin),
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
            if super::is_omit(&Value::Str(made.clone())) {
                return Err(Error::template("A template was resolved to an Omit scalar.").at(origin));
            }
            if made.trust == Trust::Plain {
                return Err(untrusted(made.origin.or(origin)));
            }
            return self.judge(made.text.trim(), made.origin.or(origin), &r).map_err(while_judging);
        }
        scope.files.warn.deprecate(
            "Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}.",
            origin,
            None,
        );
        if result.is_none() {
            return self.judge("", origin, &r);
        }
        self.verdict(&result, origin, scope)
    }

    /// The truth of an expression.
    fn judge(self: &Arc<Self>, text: &str, origin: Option<Span>, r: &Renderer) -> Result<bool> {
        if text.is_empty() {
            if !broken_allowed() {
                return Err(Error::template("Empty conditional expressions are not allowed.").at(origin).help(ALLOW));
            }
            r.scope.files.warn.deprecate("Empty conditional expression was evaluated as True.", origin, Some(ALLOWED));
            return Ok(true);
        }
        let result = self.expression(text, &Mode::Condition, origin, r)?;
        self.verdict(&result, origin, &r.scope)
    }

    /// The truth of a result, which must be a boolean unless the settings allow others.
    fn verdict(&self, v: &Mj, origin: Option<Span>, scope: &Scope) -> Result<bool> {
        if v.kind() == minijinja::value::ValueKind::Bool {
            return Ok(v.is_true());
        }
        let truth = v.is_true();
        let place = if v.is_none() { None } else { super::tags::of(v).and_then(|t| t.origin).or(origin) };
        let message = format!(
            "Conditional result ({}) was derived from value of type '{}' at '{}'. Conditionals must have a boolean result.",
            if truth { "True" } else { "False" },
            type_name(v),
            place.map_or_else(|| "<unknown>".to_string(), |s| s.show()),
        );
        if !broken_allowed() {
            return Err(Error::template(message).at(origin).help(ALLOW));
        }
        scope.files.warn.deprecate(&message, origin, Some(ALLOWED));
        Ok(truth)
    }
}
