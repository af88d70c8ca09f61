//! Writing expressions, hard and soft.

use super::{Local, Lower};
use crate::diag::{Error, Result};
use crate::template::filters::{is_filter, unknown_filter};
use crate::template::tests::{is_test, unknown_test};
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::value::{Value as Mj, ValueKind};

/// A string literal of the template language.
pub(super) fn write_str(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The name of a filter or test without the collections that need not be written.
fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

impl Lower<'_> {
    fn constant(&mut self, v: &Mj) {
        match v.kind() {
            ValueKind::String => {
                let text = v.as_str().unwrap_or_default();
                write_str(text, &mut self.out);
                if self.embedded && crate::value::has_delimiter(text) {
                    self.out.push_str("|__d_tpl");
                }
            }
            ValueKind::None => self.out.push_str("none"),
            ValueKind::Bool => self.out.push_str(if v.is_true() { "true" } else { "false" }),
            ValueKind::Number if !v.is_integer() => {
                let f = f64::try_from(v.clone()).unwrap_or(f64::NAN);
                if f.is_finite() {
                    self.out.push_str(&format!("{f:?}"));
                } else {
                    self.out.push_str("\"inf\"|float");
                }
            }
            _ => self.out.push_str(&v.to_string()),
        }
    }

    /// Writes the expression so that an undefined value is an error at once.
    pub(super) fn hard(&mut self, e: &Expr<'_>) -> Result<()> {
        self.expr(e, true)
    }

    /// Writes the expression so that an undefined value is a marker.
    pub(super) fn soft(&mut self, e: &Expr<'_>) -> Result<()> {
        self.expr(e, false)
    }

    /// A value that is bound to a name: soft, and one that can be changed if the template changes any.
    pub(super) fn bound(&mut self, e: &Expr<'_>) -> Result<()> {
        if self.mutates {
            self.out.push('(');
            self.soft(e)?;
            self.out.push_str(")|__d_m");
            return Ok(());
        }
        self.soft(e)
    }

    /// An operand that is asked for its truth.
    pub(super) fn truth(&mut self, e: &Expr<'_>) -> Result<()> {
        self.out.push('(');
        self.hard(e)?;
        self.out.push(')');
        Ok(())
    }

    fn paren(&mut self, e: &Expr<'_>, hard: bool) -> Result<()> {
        if let Expr::Const(c) = e
            && (c.value.kind() != ValueKind::Number)
        {
            self.constant(&c.value);
            return Ok(());
        }
        self.out.push('(');
        self.expr(e, hard)?;
        self.out.push(')');
        Ok(())
    }

    /// `operand|helper(…)`; the caller writes the arguments.
    fn helper(&mut self, operand: &Expr<'_>, hard: bool, name: &str) -> Result<()> {
        self.paren(operand, hard)?;
        self.out.push_str("|__d_");
        self.out.push_str(name);
        Ok(())
    }

    fn binary(&mut self, left: &Expr<'_>, right: &Expr<'_>, name: &str) -> Result<()> {
        self.helper(left, true, name)?;
        self.out.push('(');
        self.hard(right)?;
        self.out.push(')');
        Ok(())
    }

    fn expr(&mut self, e: &Expr<'_>, hard: bool) -> Result<()> {
        match e {
            Expr::Const(c) => self.constant(&c.value),
            Expr::Var(v) => self.variable(v.id, hard),
            Expr::GetAttr(g) => {
                self.helper(&g.expr, hard, if hard { "a(" } else { "as(" })?;
                write_str(g.name, &mut self.out);
                self.out.push(')');
            }
            Expr::GetItem(g) => {
                self.helper(&g.expr, hard, if hard { "i(" } else { "is(" })?;
                self.hard(&g.subscript_expr)?;
                self.out.push(')');
            }
            Expr::Slice(s) => {
                self.helper(&s.expr, hard, "sl(")?;
                for (i, part) in [&s.start, &s.stop, &s.step].into_iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    match part {
                        Some(p) => self.hard(p)?,
                        None => self.out.push_str("none"),
                    }
                }
                self.out.push(')');
            }
            Expr::UnaryOp(u) => match u.op {
                UnaryOpKind::Not => {
                    self.out.push_str("not ");
                    self.truth(&u.expr)?;
                }
                UnaryOpKind::Neg => self.helper(&u.expr, true, "neg")?,
            },
            Expr::BinOp(b) => self.bin_op(b)?,
            Expr::Compare(c) => {
                let mut left = &c.expr;
                for (i, op) in c.ops.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(" and ");
                    }
                    self.out.push('(');
                    self.binary(left, &op.expr, compare(op.op))?;
                    self.out.push(')');
                    left = &op.expr;
                }
            }
            Expr::IfExpr(i) => {
                self.branches += 1;
                self.out.push('(');
                self.paren(&i.true_expr, hard)?;
                self.out.push_str(" if ");
                self.truth(&i.test_expr)?;
                if let Some(other) = &i.false_expr {
                    self.out.push_str(" else ");
                    self.paren(other, hard)?;
                }
                self.out.push(')');
                self.branches -= 1;
            }
            Expr::Filter(f) => self.filter(f, hard)?,
            Expr::Test(t) => self.test(t, hard)?,
            Expr::Call(c) => self.call(c, hard)?,
            Expr::List(l) => {
                self.items(&l.items, '[', ']')?;
                if self.mutates {
                    self.out.push_str("|__d_m");
                }
            }
            Expr::Tuple(t) => {
                self.items(&t.items, '(', ')')?;
                if t.items.len() == 1 {
                    self.out.pop();
                    self.out.push_str(",)");
                }
            }
            Expr::Map(m) => {
                self.out.push('{');
                for (i, (k, v)) in m.keys.iter().zip(&m.values).enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.paren(k, true)?;
                    self.out.push_str(": ");
                    self.paren(v, false)?;
                }
                self.out.push('}');
                if self.mutates {
                    self.out.push_str("|__d_m");
                }
            }
        }
        Ok(())
    }

    fn items(&mut self, items: &[Expr<'_>], open: char, close: char) -> Result<()> {
        self.out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.paren(item, false)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.contains_key(name)
            || (name == "loop" && self.in_loop > 0)
            || (self.in_macro > 0 && name == "caller")
    }

    /// minijinja closes a macro over the names that stand in its body, by evaluating them. So names
    /// of the template stand there, and names of the play are looked up when they are reached.
    fn variable(&mut self, name: &str, hard: bool) {
        let local = self.is_local(name);
        if hard {
            if local || self.in_macro == 0 {
                self.out.push_str(name);
                if local && name != "loop" {
                    self.out.push_str("|__d_d(");
                    write_str(name, &mut self.out);
                    self.out.push(')');
                }
            } else {
                write_str(name, &mut self.out);
                self.out.push_str("|__d_vh");
            }
            return;
        }
        if local && self.in_macro > 0 {
            self.out.push('(');
            write_str(name, &mut self.out);
            self.out.push_str("|__d_v if true|__d_id else ");
            self.out.push_str(name);
            self.out.push(')');
            if self.locals.get(name) == Some(&Local::Param) {
                self.out.push_str("|__d_p(");
                write_str(name, &mut self.out);
                self.out.push(')');
            }
        } else {
            write_str(name, &mut self.out);
            self.out.push_str("|__d_v");
        }
    }

    fn bin_op(&mut self, b: &ast::BinOp<'_>) -> Result<()> {
        let name = match b.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                self.out.push('(');
                self.truth(&b.left)?;
                self.out.push_str(if matches!(b.op, BinOpKind::ScAnd) { " and " } else { " or " });
                self.truth(&b.right)?;
                self.out.push(')');
                return Ok(());
            }
            BinOpKind::Eq => "eq",
            BinOpKind::Ne => "ne",
            BinOpKind::Lt => "lt",
            BinOpKind::Lte => "le",
            BinOpKind::Gt => "gt",
            BinOpKind::Gte => "ge",
            BinOpKind::Add => "add",
            BinOpKind::Sub => "sub",
            BinOpKind::Mul => "mul",
            BinOpKind::Div => "div",
            BinOpKind::FloorDiv => "fdiv",
            BinOpKind::Rem => "rem",
            BinOpKind::Pow => "pow",
            BinOpKind::Concat => "cat",
            BinOpKind::In => "in",
        };
        self.binary(&b.left, &b.right, name)
    }

    fn arg_list(&mut self, args: &[CallArg<'_>], hard: bool) -> Result<()> {
        for (i, arg) in args.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            match arg {
                CallArg::Pos(e) => self.paren(e, hard)?,
                CallArg::Kwarg(k, e) => {
                    self.out.push_str(k);
                    self.out.push('=');
                    self.paren(e, hard)?;
                }
                CallArg::PosSplat(e) => {
                    self.out.push('*');
                    self.paren(e, true)?;
                }
                CallArg::KwargSplat(e) => {
                    self.out.push_str("**");
                    self.paren(e, true)?;
                }
            }
        }
        Ok(())
    }

    /// Arguments after a first one that is already written.
    fn more_args(&mut self, args: &[CallArg<'_>], hard: bool) -> Result<()> {
        if !args.is_empty() {
            self.out.push_str(", ");
            self.arg_list(args, hard)?;
        }
        self.out.push(')');
        Ok(())
    }

    fn filter(&mut self, f: &ast::Filter<'_>, hard: bool) -> Result<()> {
        let Some(operand) = &f.expr else { return Ok(()) };
        self.known_filter(f.name)?;
        let helper = match short(f.name) {
            "default" | "d" => "dflt",
            "mandatory" => "mand",
            "type_debug" => "type",
            _ => {
                self.helper(operand, false, if hard { "fh(" } else { "f(" })?;
                write_str(f.name, &mut self.out);
                return self.more_args(&f.args, false);
            }
        };
        self.helper(operand, false, helper)?;
        self.out.push('(');
        self.arg_list(&f.args, false)?;
        self.out.push(')');
        if hard {
            self.out.push_str("|__d_ck");
        }
        Ok(())
    }

    /// The filters of a `filter` or `set` block, which have no operand.
    pub(super) fn filter_chain(&mut self, e: &Expr<'_>) -> Result<()> {
        let Expr::Filter(f) = e else { return Ok(()) };
        self.known_filter(f.name)?;
        if let Some(inner) = &f.expr {
            self.filter_chain(inner)?;
            self.out.push_str(" | ");
        }
        self.out.push_str("__d_fh(");
        write_str(f.name, &mut self.out);
        self.more_args(&f.args, false)
    }

    fn known_filter(&self, name: &str) -> Result<()> {
        if self.branches > 0 || is_filter(name) {
            return Ok(());
        }
        Err(Error::template(format!("Syntax error in template: {}", unknown_filter(name))))
    }

    fn test(&mut self, t: &ast::Test<'_>, hard: bool) -> Result<()> {
        if self.branches == 0 && !is_test(t.name) {
            return Err(Error::template(format!("Syntax error in template: {}", unknown_test(t.name))));
        }
        match short(t.name) {
            "defined" => self.helper(&t.expr, false, "def"),
            "undefined" => {
                self.out.push_str("not ");
                self.out.push('(');
                self.helper(&t.expr, false, "def")?;
                self.out.push(')');
                Ok(())
            }
            _ => {
                self.helper(&t.expr, false, if hard { "th(" } else { "t(" })?;
                write_str(t.name, &mut self.out);
                self.more_args(&t.args, false)
            }
        }
    }

    pub(super) fn call(&mut self, c: &ast::Call<'_>, hard: bool) -> Result<()> {
        if let Expr::GetAttr(g) = &c.expr
            && !matches!(&g.expr, Expr::Var(v) if v.id == "self")
        {
            self.helper(&g.expr, hard, if hard { "c(" } else { "cs(" })?;
            write_str(g.name, &mut self.out);
            return self.more_args(&c.args, false);
        }
        if let Expr::Var(v) = &c.expr
            && !hard
            && !self.is_native(v.id)
        {
            self.helper(&c.expr, false, "cf(")?;
            self.arg_list(&c.args, false)?;
            self.out.push(')');
            return Ok(());
        }
        self.raw_call(c)?;
        if hard && !matches!(&c.expr, Expr::Var(v) if v.id == "super" || v.id == "loop") {
            self.out.push_str("|__d_ck");
        }
        Ok(())
    }

    /// A name that minijinja itself calls: a macro of the template, a global, `loop`, `super`, `caller`.
    fn is_native(&self, name: &str) -> bool {
        matches!(name, "super" | "loop" | "caller")
            || self.locals.get(name) == Some(&Local::Macro)
            || self.known.globals.contains(name)
    }

    /// A call as minijinja has it: macros, globals, `super()`, `loop(…)`, `self.block()`.
    pub(super) fn raw_call(&mut self, c: &ast::Call<'_>) -> Result<()> {
        match &c.expr {
            Expr::Var(v) => {
                if self.is_native(v.id) {
                    self.out.push_str(v.id);
                } else {
                    self.out.push('(');
                    self.variable(v.id, true);
                    self.out.push_str("|__d_call)");
                }
            }
            Expr::GetAttr(g) => {
                // A macro of an imported module, or a block of this template.
                match &g.expr {
                    Expr::Var(v) => self.out.push_str(v.id),
                    other => self.paren(other, true)?,
                }
                self.out.push('.');
                self.out.push_str(g.name);
            }
            other => {
                self.paren(other, true)?;
                self.out.insert_str(self.out.len() - 1, "|__d_call");
            }
        }
        // Constants with templates in them are rendered where Ansible does: as arguments of lookups.
        let embedded = matches!(&c.expr, Expr::Var(v) if matches!(v.id, "lookup" | "query" | "q"));
        let before = std::mem::replace(&mut self.embedded, embedded);
        self.out.push('(');
        let done = self.arg_list(&c.args, false);
        self.embedded = before;
        done?;
        self.out.push(')');
        Ok(())
    }
}

fn compare(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "eq",
        CompareOpKind::Ne => "ne",
        CompareOpKind::Lt => "lt",
        CompareOpKind::Lte => "le",
        CompareOpKind::Gt => "gt",
        CompareOpKind::Gte => "ge",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "nin",
    }
}
