//! XPath 1.0, <https://www.w3.org/TR/1999/REC-xpath-19991116/>, with the few liberties of libxml2: numbers may have
//! exponents, and more than two slashes at the beginning count as two.

mod eval;
mod functions;
mod parse;
mod values;

pub use eval::Focus;
pub use parse::compile;
pub use values::{Item, Value};

/// Why an expression has no value, in libxml2's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no expression.
    Syntax(&'static str),
    /// It cannot be evaluated here.
    Evaluation(&'static str),
}

impl Fault {
    pub fn words(&self) -> &'static str {
        match self {
            Fault::Syntax(w) | Fault::Evaluation(w) => w,
        }
    }
}

/// Where a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Namespace,
    Parent,
    Preceding,
    PrecedingSibling,
    Itself,
}

/// What a step takes of what is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `*`
    Any,
    /// `prefix:*`
    Space(String),
    /// Prefix ("" for none) and name.
    Name(String, String),
    Node,
    Text,
    Comment,
    Pi(Option<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub axis: Axis,
    pub test: Test,
    pub predicates: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Union,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    Root,
    Here,
    /// A value with its predicates.
    At(Box<Expr>, Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Binary(Op, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Path(Start, Vec<Step>),
    Literal(String),
    Number(f64),
    Variable,
    /// Prefix, name and arguments.
    Call(String, String, Vec<Expr>),
}

#[cfg(test)]
mod tests;
