//! From the text of an expression to its tree.

use super::super::names::{is_name_char, is_name_start};
use super::super::scan::is_blank;
use super::{Axis, Expr, Fault, Op, Start, Step, Test};

/// Expressions in each other.
const DEEPEST: usize = 100;

const WRONG: Fault = Fault::Syntax("Invalid expression");

/// Reads a whole expression.
pub fn compile(text: &str) -> Result<Expr, Fault> {
    let mut p = Parser { rest: text, depth: 0 };
    let expr = p.binary(0)?;
    p.blanks();
    if p.rest.is_empty() { Ok(expr) } else { Err(WRONG) }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// The operators from the loosest to the tightest; what stands for each.
const LEVELS: [&[(&str, Op)]; 6] = [
    &[("or", Op::Or)],
    &[("and", Op::And)],
    &[("=", Op::Eq), ("!=", Op::Ne)],
    &[("<=", Op::Le), (">=", Op::Ge), ("<", Op::Lt), (">", Op::Gt)],
    &[("+", Op::Add), ("-", Op::Sub)],
    &[("*", Op::Mul), ("div", Op::Div), ("mod", Op::Mod)],
];

impl<'a> Parser<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(is_blank);
    }
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }
    fn take(&mut self, what: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(what) {
            Some(r) => {
                self.rest = r;
                true
            }
            None => false,
        }
    }
    /// A name without colons.
    fn name(&mut self) -> Option<&'a str> {
        self.blanks();
        let rest = self.rest;
        self.peek().filter(|c| is_name_start(*c))?;
        let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        self.rest = after;
        Some(name)
    }

    /// An operator that is a word must end where the word ends.
    fn operator(&mut self, level: &[(&str, Op)]) -> Option<Op> {
        self.blanks();
        for (sign, op) in level {
            if let Some(after) = self.rest.strip_prefix(sign) {
                let word = sign.starts_with(is_name_start);
                if word && after.starts_with(is_name_char) {
                    continue;
                }
                self.rest = after;
                return Some(*op);
            }
        }
        None
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::Syntax("Recursion limit exceeded"));
        }
        let r = f(self);
        self.depth -= 1;
        r
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Fault> {
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        let mut many = 0;
        while let Some(op) = self.operator(signs) {
            many += 1;
            if many > DEEPEST {
                return Err(Fault::Syntax("Recursion limit exceeded"));
            }
            let right = self.binary(level + 1)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        if self.take("-") {
            let e = self.deeper(Self::unary)?;
            return Ok(Expr::Negative(Box::new(e)));
        }
        let mut left = self.deeper(Self::path)?;
        let mut many = 0;
        while self.take("|") {
            many += 1;
            if many > DEEPEST {
                return Err(Fault::Syntax("Recursion limit exceeded"));
            }
            let right = self.deeper(Self::path)?;
            left = Expr::Binary(Op::Union, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// Whether a name and a parenthesis follow that make a function's call.
    fn call_follows(&self) -> bool {
        let mut p = Parser { rest: self.rest, depth: 0 };
        let Some(mut name) = p.name() else { return false };
        if p.rest.starts_with(':') && !p.rest.starts_with("::") {
            p.rest = p.rest.get(1..).unwrap_or("");
            match p.name() {
                Some(_) => name = "",
                None => return false,
            }
        }
        p.take("(") && !matches!(name, "node" | "text" | "comment" | "processing-instruction")
    }

    fn path(&mut self) -> Result<Expr, Fault> {
        self.blanks();
        let filter = match self.peek() {
            Some('(' | '"' | '\'' | '$' | '0'..='9') => true,
            Some('.') => self.rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()),
            Some(_) => self.call_follows(),
            None => return Err(WRONG),
        };
        if !filter {
            return self.location();
        }
        let primary = self.primary()?;
        let predicates = self.predicates()?;
        self.blanks();
        if predicates.is_empty() && !self.rest.starts_with('/') {
            return Ok(primary);
        }
        let mut steps = vec![];
        self.slashes(&mut steps, false)?;
        Ok(Expr::Path(Start::At(Box::new(primary), predicates), steps))
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        match self.peek() {
            Some('(') => {
                self.take("(");
                let e = self.deeper(|p| p.binary(0))?;
                if self.take(")") { Ok(e) } else { Err(WRONG) }
            }
            Some(q @ ('"' | '\'')) => {
                let inner = self.rest.get(1..).unwrap_or("");
                let Some((text, after)) = inner.split_once(q) else { return Err(Fault::Syntax("Unfinished literal")) };
                self.rest = after;
                Ok(Expr::Literal(text.to_owned()))
            }
            Some('$') => {
                self.take("$");
                self.name().ok_or(WRONG)?;
                if self.rest.starts_with(':') && !self.rest.starts_with("::") {
                    self.take(":");
                    self.name().ok_or(WRONG)?;
                }
                Ok(Expr::Variable)
            }
            Some('0'..='9' | '.') => Ok(Expr::Number(self.number())),
            _ => self.call(),
        }
    }

    fn number(&mut self) -> f64 {
        let len = super::values::number_length(self.rest);
        let (text, after) = self.rest.split_at(len);
        self.rest = after;
        text.parse().unwrap_or(f64::NAN)
    }

    fn call(&mut self) -> Result<Expr, Fault> {
        let mut prefix = String::new();
        let mut name = self.name().ok_or(WRONG)?;
        if self.take(":") {
            prefix = name.to_owned();
            name = self.name().ok_or(WRONG)?;
        }
        let mut arguments = vec![];
        if !self.take("(") {
            return Err(WRONG);
        }
        if !self.take(")") {
            loop {
                arguments.push(self.deeper(|p| p.binary(0))?);
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(WRONG);
                }
            }
        }
        Ok(Expr::Call(prefix, name.to_owned(), arguments))
    }

    fn predicates(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut all = vec![];
        while self.take("[") {
            let e = self.deeper(|p| p.binary(0))?;
            if !self.take("]") {
                return Err(Fault::Syntax("Invalid predicate"));
            }
            all.push(e);
        }
        Ok(all)
    }

    fn location(&mut self) -> Result<Expr, Fault> {
        let mut steps = vec![];
        if !self.rest.starts_with('/') {
            steps.push(self.step()?);
            self.slashes(&mut steps, false)?;
            return Ok(Expr::Path(Start::Here, steps));
        }
        self.slashes(&mut steps, true)?;
        Ok(Expr::Path(Start::Root, steps))
    }

    /// Steps behind slashes. The first slash of a path may stand alone, and there may be many of them.
    fn slashes(&mut self, steps: &mut Vec<Step>, mut alone: bool) -> Result<(), Fault> {
        loop {
            self.blanks();
            if !self.rest.starts_with('/') {
                return Ok(());
            }
            let (first, after) = match alone {
                // any number of them, with blanks
                true => {
                    let after = self.rest.trim_start_matches(|c| c == '/' || is_blank(c));
                    self.rest.split_at(self.rest.len() - after.len())
                }
                false => self.rest.split_at(if self.rest.starts_with("//") { 2 } else { 1 }),
            };
            let deep = first.contains("//");
            self.rest = after;
            self.blanks();
            let begins = self.peek().is_some_and(|c| is_name_start(c) || matches!(c, '@' | '.' | '*'));
            if alone && !deep && !begins {
                return Ok(());
            }
            if deep {
                steps.push(Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: vec![] });
            }
            steps.push(self.step()?);
            alone = false;
        }
    }

    fn step(&mut self) -> Result<Step, Fault> {
        self.blanks();
        let short = |axis| Step { axis, test: Test::Node, predicates: vec![] };
        if self.take("..") {
            return Ok(short(Axis::Parent));
        }
        if self.take(".") {
            return Ok(short(Axis::Itself));
        }
        let mut axis = Axis::Child;
        if self.take("@") {
            axis = Axis::Attribute;
        } else {
            let before = self.rest;
            match self.name().map(|n| (n, self.take("::"))) {
                Some((name, true)) => axis = axis_of(name).ok_or(WRONG)?,
                _ => self.rest = before,
            }
        }
        let test = self.test()?;
        Ok(Step { axis, test, predicates: self.predicates()? })
    }

    fn test(&mut self) -> Result<Test, Fault> {
        if self.take("*") {
            return Ok(Test::Any);
        }
        let name = self.name().ok_or(WRONG)?;
        if self.rest.starts_with(':') && !self.rest.starts_with("::") {
            self.take(":");
            if self.rest.starts_with('*') {
                self.take("*");
                return Ok(Test::Space(name.to_owned()));
            }
            let local = self.name().ok_or(WRONG)?;
            return Ok(Test::Name(name.to_owned(), local.to_owned()));
        }
        if !self.take("(") {
            return Ok(Test::Name(String::new(), name.to_owned()));
        }
        self.blanks();
        let test = match name {
            "node" => Test::Node,
            "text" => Test::Text,
            "comment" => Test::Comment,
            "processing-instruction" if matches!(self.peek(), Some('"' | '\'')) => match self.primary()? {
                Expr::Literal(target) => Test::Pi(Some(target)),
                _ => return Err(WRONG),
            },
            "processing-instruction" => Test::Pi(None),
            _ => return Err(WRONG),
        };
        if self.take(")") { Ok(test) } else { Err(WRONG) }
    }
}

fn axis_of(name: &str) -> Option<Axis> {
    Some(match name {
        "ancestor" => Axis::Ancestor,
        "ancestor-or-self" => Axis::AncestorOrSelf,
        "attribute" => Axis::Attribute,
        "child" => Axis::Child,
        "descendant" => Axis::Descendant,
        "descendant-or-self" => Axis::DescendantOrSelf,
        "following" => Axis::Following,
        "following-sibling" => Axis::FollowingSibling,
        "namespace" => Axis::Namespace,
        "parent" => Axis::Parent,
        "preceding" => Axis::Preceding,
        "preceding-sibling" => Axis::PrecedingSibling,
        "self" => Axis::Itself,
        _ => return None,
    })
}
