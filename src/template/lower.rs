//! The lowering pass: rewrites a parsed template so that minijinja runs it with Ansible's semantics.
//!
//! It walks the syntax tree and writes the template anew, in private delimiters, with every operator,
//! attribute, filter and test as a call of a helper filter (`__d_…`, see [`super::helpers`]). Written
//! text rather than a changed tree, so that included and imported templates, which minijinja compiles
//! itself, go the same way. Line numbers are kept by newlines inside the tags.
//!
//! An expression is written *hard* (an undefined value is an error there and then) or *soft* (it
//! answers a marker that carries the error; operands of `default` and `is defined`, `set`, list
//! members, macro arguments).

mod expr;

use crate::diag::{Error, Result};
use minijinja::machinery::{Span, ast};
use std::collections::{HashMap, HashSet};

/// A noncharacter, which no text file holds: the private delimiters are made of it.
pub(super) const MARK: char = '\u{fdd0}';

/// What a template was lowered to.
pub(super) struct Lowered {
    pub text: String,
    /// The template is one `{{ expression }}` and nothing else: `text` is that expression.
    pub lone: bool,
}

/// Names that the engine knows everywhere.
pub(super) struct Known {
    pub globals: HashSet<String>,
}

/// How a name of the template itself came to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Local {
    Variable,
    Param,
    Macro,
}

pub(super) struct Lower<'k> {
    out: String,
    line: usize,
    known: &'k Known,
    locals: HashMap<String, Local>,
    /// Depth of macro and call bodies, whose outer names are closed over by minijinja.
    in_macro: usize,
    in_loop: usize,
    /// Output goes straight to the result, not into a macro, a `set` block or a filter block.
    direct: bool,
    /// The template calls list or dict methods that change their object.
    mutates: bool,
    macro_count: usize,
    /// Constants that hold templates are rendered.
    embedded: bool,
    /// Within branches that may never be taken, unknown filters and tests wait until they are.
    branches: usize,
}

const MUTATORS: &[&str] =
    &["append", "extend", "insert", "pop", "update", "setdefault", "remove", "clear", "sort", "reverse", "popitem"];

/// Lowers a whole template. `mutable` makes every list and dict literal one that can be changed.
pub(super) fn template(stmt: &ast::Stmt<'_>, known: &Known, file: bool) -> Result<Lowered> {
    let ast::Stmt::Template(t) = stmt else {
        return Err(Error::template("not a template"));
    };
    if let [ast::Stmt::EmitExpr(e)] = t.children.as_slice()
        && !file
    {
        let mut low = Lower::new(known);
        low.mutates = mutates_expr(&e.expr);
        low.soft(&e.expr)?;
        return Ok(Lowered { text: low.out, lone: true });
    }
    let mut low = Lower::new(known);
    low.direct = !file;
    low.collect(&t.children);
    low.mutates |= file;
    low.body(&t.children)?;
    Ok(Lowered { text: low.out, lone: false })
}

/// Lowers a bare expression. In a condition, constants that hold templates are rendered, as Ansible
/// does with a warning (`'{{ x }}' == 'y'`).
pub(super) fn expression(e: &ast::Expr<'_>, known: &Known, condition: bool) -> Result<String> {
    let mut low = Lower::new(known);
    low.embedded = condition;
    low.mutates = mutates_expr(e);
    if condition {
        low.hard(e)?
    } else {
        low.soft(e)?
    }
    Ok(low.out)
}

fn mutates_expr(e: &ast::Expr<'_>) -> bool {
    // The tree's own debug text is the cheapest full walk; it runs once for each template text.
    let text = format!("{e:?}");
    MUTATORS.iter().any(|m| text.contains(&format!("name: \"{m}\"")))
}

impl<'k> Lower<'k> {
    fn new(known: &'k Known) -> Lower<'k> {
        Lower {
            out: String::new(),
            line: 1,
            known,
            locals: HashMap::new(),
            in_macro: 0,
            in_loop: 0,
            direct: false,
            mutates: false,
            macro_count: 0,
            embedded: false,
            branches: 0,
        }
    }

    /// Finds the names that the template itself binds, and whether it changes lists or dicts.
    fn collect(&mut self, body: &[ast::Stmt<'_>]) {
        let text = format!("{body:?}");
        self.mutates = MUTATORS.iter().any(|m| text.contains(&format!("name: \"{m}\"")));
        for stmt in body {
            self.collect_stmt(stmt);
        }
    }

    fn bind(&mut self, target: &ast::Expr<'_>) {
        match target {
            ast::Expr::Var(v) => {
                self.locals.entry(v.id.to_string()).or_insert(Local::Variable);
            }
            ast::Expr::List(l) => l.items.iter().for_each(|e| self.bind(e)),
            ast::Expr::Tuple(t) => t.items.iter().for_each(|e| self.bind(e)),
            _ => {}
        }
    }

    fn collect_all(&mut self, body: &[ast::Stmt<'_>]) {
        for stmt in body {
            self.collect_stmt(stmt);
        }
    }

    fn collect_macro(&mut self, m: &ast::Macro<'_>) {
        for arg in &m.args {
            if let ast::Expr::Var(v) = arg {
                self.locals.entry(v.id.to_string()).or_insert(Local::Param);
            }
        }
        self.collect_all(&m.body);
    }

    fn collect_stmt(&mut self, stmt: &ast::Stmt<'_>) {
        use ast::Stmt::*;
        match stmt {
            ForLoop(f) => {
                self.bind(&f.target);
                self.collect_all(&f.body);
                self.collect_all(&f.else_body);
            }
            IfCond(i) => {
                self.collect_all(&i.true_body);
                self.collect_all(&i.false_body);
            }
            WithBlock(w) => {
                w.assignments.iter().for_each(|(t, _)| self.bind(t));
                self.collect_all(&w.body);
            }
            Set(s) => self.bind(&s.target),
            SetBlock(s) => {
                self.bind(&s.target);
                self.collect_all(&s.body);
            }
            AutoEscape(a) => self.collect_all(&a.body),
            FilterBlock(f) => self.collect_all(&f.body),
            Block(b) => self.collect_all(&b.body),
            Import(i) => self.bind(&i.name),
            FromImport(f) => {
                for (name, alias) in &f.names {
                    if let ast::Expr::Var(v) = alias.as_ref().unwrap_or(name) {
                        self.locals.insert(v.id.to_string(), Local::Macro);
                    }
                }
            }
            Macro(m) => {
                self.locals.insert(m.name.to_string(), Local::Macro);
                self.collect_macro(m);
            }
            CallBlock(c) => self.collect_macro(&c.macro_decl),
            _ => {}
        }
    }

    // ---- writing ----

    /// Newlines inside a tag until the written text stands in the line of the source.
    fn sync(&mut self, span: Span) {
        let want = span.start_line as usize;
        while self.line < want {
            self.out.push('\n');
            self.line += 1;
        }
    }

    fn raw(&mut self, text: &str) -> Result<()> {
        if text.contains(MARK) {
            return Err(Error::template("the template holds the noncharacter U+FDD0, which no text may hold"));
        }
        self.line += text.bytes().filter(|b| *b == b'\n').count();
        self.out.push_str(text);
        Ok(())
    }

    fn open(&mut self, span: Span) {
        self.out.push(MARK);
        self.out.push('%');
        self.sync(span);
        self.out.push(' ');
    }

    fn close(&mut self) {
        self.out.push_str(" %");
        self.out.push(MARK);
    }

    fn tag(&mut self, word: &str) {
        self.out.push(MARK);
        self.out.push_str("% ");
        self.out.push_str(word);
        self.close();
    }

    fn body(&mut self, body: &[ast::Stmt<'_>]) -> Result<()> {
        body.iter().try_for_each(|s| self.stmt(s))
    }

    /// A body whose output is captured, not written to the result.
    fn captured(&mut self, body: &[ast::Stmt<'_>]) -> Result<()> {
        let before = std::mem::replace(&mut self.direct, false);
        let done = self.body(body);
        self.direct = before;
        done
    }

    fn target(&mut self, e: &ast::Expr<'_>) -> Result<()> {
        match e {
            ast::Expr::Var(v) => self.out.push_str(v.id),
            ast::Expr::GetAttr(g) => {
                self.target(&g.expr)?;
                self.out.push('.');
                self.out.push_str(g.name);
            }
            ast::Expr::List(ast_list) => self.targets(&ast_list.items)?,
            ast::Expr::Tuple(t) => self.targets(&t.items)?,
            _ => return Err(Error::template("can't assign to this expression")),
        }
        Ok(())
    }

    fn targets(&mut self, items: &[ast::Expr<'_>]) -> Result<()> {
        self.out.push('(');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.target(item)?;
        }
        if items.len() == 1 {
            self.out.push(',');
        }
        self.out.push(')');
        Ok(())
    }

    /// The targets of `for` and `with`, which stand without outer parentheses.
    fn loop_target(&mut self, e: &ast::Expr<'_>) -> Result<()> {
        let items = match e {
            ast::Expr::List(l) => &l.items,
            ast::Expr::Tuple(t) => &t.items,
            other => return self.target(other),
        };
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.target(item)?;
        }
        if items.len() == 1 {
            self.out.push(',');
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &ast::Stmt<'_>) -> Result<()> {
        use ast::Stmt::*;
        match stmt {
            Template(t) => self.body(&t.children)?,
            EmitRaw(r) => self.raw(r.raw)?,
            EmitExpr(e) => {
                self.out.push(MARK);
                self.out.push('{');
                self.sync(e.span());
                if self.direct {
                    self.out.push('(');
                    self.soft(&e.expr)?;
                    self.out.push_str(")|__d_n");
                } else {
                    self.soft(&e.expr)?;
                }
                self.out.push('}');
                self.out.push(MARK);
            }
            ForLoop(f) => self.for_loop(f, f.span())?,
            IfCond(i) => {
                self.branches += 1;
                self.open(i.span());
                self.out.push_str("if ");
                self.truth(&i.expr)?;
                self.close();
                self.body(&i.true_body)?;
                if !i.false_body.is_empty() {
                    self.tag("else");
                    self.body(&i.false_body)?;
                }
                self.tag("endif");
                self.branches -= 1;
            }
            WithBlock(w) => {
                self.open(w.span());
                self.out.push_str("with ");
                for (i, (target, value)) in w.assignments.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.target(target)?;
                    self.out.push_str(" = ");
                    self.bound(value)?;
                }
                self.close();
                self.body(&w.body)?;
                self.tag("endwith");
            }
            Set(s) => {
                self.open(s.span());
                self.out.push_str("set ");
                self.loop_target(&s.target)?;
                self.out.push_str(" = ");
                self.bound(&s.expr)?;
                self.close();
            }
            SetBlock(s) => {
                self.open(s.span());
                self.out.push_str("set ");
                self.loop_target(&s.target)?;
                if let Some(f) = &s.filter {
                    self.out.push_str(" | ");
                    self.filter_chain(f)?;
                }
                self.close();
                self.captured(&s.body)?;
                self.tag("endset");
            }
            AutoEscape(a) => self.body(&a.body)?,
            FilterBlock(f) => {
                self.open(f.span());
                self.out.push_str("filter ");
                self.filter_chain(&f.filter)?;
                self.close();
                self.captured(&f.body)?;
                self.tag("endfilter");
            }
            Block(b) => {
                self.open(b.span());
                self.out.push_str("block ");
                self.out.push_str(b.name);
                if b.required {
                    self.out.push_str(" required");
                }
                self.close();
                self.body(&b.body)?;
                self.tag("endblock");
            }
            Import(i) => {
                self.open(i.span());
                self.out.push_str("import ");
                self.hard(&i.expr)?;
                self.out.push_str(" as ");
                self.target(&i.name)?;
                self.close();
            }
            FromImport(f) => {
                self.open(f.span());
                self.out.push_str("from ");
                self.hard(&f.expr)?;
                self.out.push_str(" import ");
                for (i, (name, alias)) in f.names.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.target(name)?;
                    if let Some(alias) = alias {
                        self.out.push_str(" as ");
                        self.target(alias)?;
                    }
                }
                self.close();
            }
            Extends(e) => {
                self.open(e.span());
                self.out.push_str("extends ");
                self.hard(&e.name)?;
                self.close();
            }
            Include(i) => {
                self.open(i.span());
                self.out.push_str("include ");
                self.hard(&i.name)?;
                if i.ignore_missing {
                    self.out.push_str(" ignore missing");
                }
                self.close();
            }
            Macro(m) => self.macro_decl(m, m.span())?,
            CallBlock(c) => self.call_block(c, c.span())?,
            Continue(c) => {
                self.open(c.span());
                self.out.push_str("continue");
                self.close();
            }
            Break(b) => {
                self.open(b.span());
                self.out.push_str("break");
                self.close();
            }
            Do(d) => {
                self.open(d.span());
                self.out.push_str("set __d_do = ");
                self.call(&d.call, true)?;
                self.close();
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, f: &ast::ForLoop<'_>, span: Span) -> Result<()> {
        self.open(span);
        self.out.push_str("for ");
        self.loop_target(&f.target)?;
        self.out.push_str(" in (");
        self.hard(&f.iter)?;
        self.out.push(')');
        match &f.target {
            ast::Expr::List(l) => self.out.push_str(&format!("|__d_it({})", l.items.len())),
            _ => self.out.push_str("|__d_it"),
        }
        if let Some(cond) = &f.filter_expr {
            self.out.push_str(" if ");
            self.truth(cond)?;
        }
        if f.recursive {
            self.out.push_str(" recursive");
        }
        self.close();
        self.in_loop += 1;
        let done = if f.recursive { self.captured(&f.body) } else { self.body(&f.body) };
        self.in_loop -= 1;
        done?;
        if !f.else_body.is_empty() {
            self.tag("else");
            self.body(&f.else_body)?;
        }
        self.tag("endfor");
        Ok(())
    }

    fn params(&mut self, m: &ast::Macro<'_>, extra: &[&str]) -> Result<()> {
        self.out.push('(');
        let first_default = m.args.len() - m.defaults.len().min(m.args.len());
        for (i, arg) in m.args.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.target(arg)?;
            if let Some(d) = i.checked_sub(first_default).and_then(|n| m.defaults.get(n)) {
                self.out.push('=');
                self.bound(d)?;
            }
        }
        for (i, name) in extra.iter().enumerate() {
            if i > 0 || !m.args.is_empty() {
                self.out.push_str(", ");
            }
            self.out.push_str(name);
            self.out.push_str("=none");
        }
        self.out.push(')');
        Ok(())
    }

    fn macro_body(&mut self, m: &ast::Macro<'_>) -> Result<()> {
        self.in_macro += 1;
        let in_loop = std::mem::replace(&mut self.in_loop, 0);
        let done = self.captured(&m.body);
        self.in_loop = in_loop;
        self.in_macro -= 1;
        done
    }

    /// A macro; one that uses `varargs` or `kwargs`, which minijinja does not have, becomes a macro
    /// with two more parameters and a wrapper that fills them.
    fn macro_decl(&mut self, m: &ast::Macro<'_>, span: Span) -> Result<()> {
        let text = format!("{:?}", m.body);
        let uses = |name: &str| text.contains(&format!("id: \"{name}\""));
        let extra: &[&str] = if uses("varargs") || uses("kwargs") { &["varargs", "kwargs"] } else { &[] };
        for name in extra {
            self.locals.entry((*name).to_string()).or_insert(Local::Variable);
        }
        self.macro_count += 1;
        let name =
            if extra.is_empty() { m.name.to_string() } else { format!("__d_macro{}_{}", self.macro_count, m.name) };
        self.open(span);
        self.out.push_str("macro ");
        self.out.push_str(&name);
        self.params(m, extra)?;
        self.close();
        self.macro_body(m)?;
        self.tag("endmacro");
        if !extra.is_empty() {
            self.open(span);
            self.out.push_str(&format!("set {} = {name}|__d_vm([", m.name));
            for arg in &m.args {
                if let ast::Expr::Var(v) = arg {
                    expr::write_str(v.id, &mut self.out);
                    self.out.push(',');
                }
            }
            self.out.push_str(&format!("], {})", uses("caller")));
            self.close();
        }
        Ok(())
    }

    fn call_block(&mut self, c: &ast::CallBlock<'_>, span: Span) -> Result<()> {
        self.open(span);
        self.out.push_str("call");
        if c.macro_decl.args.is_empty() {
            self.out.push(' ');
        } else {
            self.params(&c.macro_decl, &[])?;
            self.out.push(' ');
        }
        self.raw_call(&c.call)?;
        self.close();
        self.macro_body(&c.macro_decl)?;
        self.tag("endcall");
        Ok(())
    }
}
