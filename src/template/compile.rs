//! From template text to instructions, once for each text.

use super::convert::error;
use super::lower::{self, Known, Lowered, MARK};
use super::{forms, prepare};
use crate::diag::{Error, Result, Span};
use minijinja::machinery::{CodeGenerator, Instructions, ast, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, LazyLock, RwLock};

/// A template or expression, ready to run.
pub(super) struct Compiled {
    pub instructions: Instructions<'static>,
    pub blocks: BTreeMap<&'static str, Instructions<'static>>,
    /// One expression, whose value keeps its type.
    pub lone: bool,
    /// Needs other template files (`include`, `import`, `extends`).
    pub uses_files: bool,
}

/// How a text is to be read; with the text it is the key of the memo.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// A string of a playbook, role or vars file.
    Inline,
    /// A bare expression.
    Expression,
    /// A condition.
    Condition,
    /// A template file with its own delimiters and whitespace rules.
    File(Arc<FileSyntax>),
}

/// The syntax of a template file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct FileSyntax {
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    pub block: (String, String),
    pub variable: (String, String),
    pub comment: (String, String),
    /// The beginnings of line statements and of line comments; empty for none.
    pub line: (String, String),
    /// Lines of the file before the text: the `#jinja2:` header.
    pub skipped: usize,
}

impl FileSyntax {
    /// Points an error at a line of the text, which stands behind the header in its file.
    pub fn place(&self, e: Error, line: Option<usize>, name: &str, text: &str) -> Error {
        let whole = format!("{}{text}", "\n".repeat(self.skipped));
        in_file(e, line.map(|n| n + self.skipped), name, &whole)
    }
    pub fn config(&self) -> Result<SyntaxConfig> {
        let mut b = SyntaxConfig::builder();
        b.trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .block_delimiters(self.block.0.clone(), self.block.1.clone())
            .variable_delimiters(self.variable.0.clone(), self.variable.1.clone())
            .comment_delimiters(self.comment.0.clone(), self.comment.1.clone());
        if !self.line.0.is_empty() {
            b.line_statement_prefix(self.line.0.clone());
        }
        if !self.line.1.is_empty() {
            b.line_comment_prefix(self.line.1.clone());
        }
        b.build().map_err(error)
    }
}

/// Inline templates: Ansible trims the newline after a block in them too.
static INLINE: LazyLock<SyntaxConfig> =
    LazyLock::new(|| SyntaxConfig::builder().trim_blocks(true).build().unwrap_or_default());

/// The private syntax of lowered text.
pub(super) fn private_syntax() -> SyntaxConfig {
    let (s, e) = (|c: char| format!("{MARK}{c}"), |c: char| format!("{c}{MARK}"));
    SyntaxConfig::builder()
        .block_delimiters(s('%'), e('%'))
        .variable_delimiters(s('{'), e('}'))
        .comment_delimiters(s('#'), e('#'))
        .keep_trailing_newline(true)
        .build()
        .unwrap_or_default()
}

/// The memo from text to instructions.
#[derive(Default)]
pub(super) struct Memo(RwLock<HashMap<(Mode, Arc<str>), Kept>>);

type Kept = Arc<Compiled>;

impl Memo {
    /// The compiled form of a text.
    pub fn get(&self, text: &str, mode: &Mode, name: &str, known: &Known) -> Result<Arc<Compiled>> {
        let key = (mode.clone(), Arc::<str>::from(text));
        if let Some(hit) = self.0.read().unwrap_or_else(|e| e.into_inner()).get(&key) {
            return Ok(hit.clone());
        }
        let made = Arc::new(compile(text, mode, name, known)?);
        self.0.write().unwrap_or_else(|e| e.into_inner()).insert(key, made.clone());
        Ok(made)
    }
}

fn compile(text: &str, mode: &Mode, name: &str, known: &Known) -> Result<Compiled> {
    let lowered = match mode {
        Mode::Expression | Mode::Condition => {
            let parseable = forms::parseable(text, true, &SyntaxConfig::default())?;
            let ast = parse_expr(&parseable).map_err(|e| syntax_error("expression", text, e))?;
            Lowered { text: lower::expression(&ast, known, *mode == Mode::Condition)?, lone: true }
        }
        _ => lower_template(text, mode, name, known)?,
    };
    // The instructions borrow from the text. Texts come from the files of the play, each once, and
    // are needed until the run ends: they are kept for the life of the process.
    let name: &'static str = Box::leak(name.to_string().into_boxed_str());
    let source: &'static str = Box::leak(lowered.text.into_boxed_str());
    let mut g = CodeGenerator::new(name, source);
    let mut uses_files = false;
    if lowered.lone {
        g.compile_expr(&parse_expr(source).map_err(internal)?);
    } else {
        let tree = parse(source, name, private_syntax()).map_err(internal)?;
        if let ast::Stmt::Template(t) = &tree {
            uses_files = t.children.iter().any(needs_files);
        }
        g.compile_stmt(&tree);
    }
    let (instructions, blocks) = g.finish();
    Ok(Compiled { instructions, blocks, lone: lowered.lone, uses_files })
}

fn needs_files(s: &ast::Stmt<'_>) -> bool {
    let text = format!("{s:?}");
    ["Include ", "Import ", "FromImport ", "Extends "].iter().any(|w| text.contains(w))
}

/// Lowers a template text; also what the loader of included files calls.
pub(super) fn lower_template(text: &str, mode: &Mode, name: &str, known: &Known) -> Result<Lowered> {
    let (syntax, file) = match mode {
        Mode::File(f) => (f.config()?, true),
        _ => (INLINE.clone(), false),
    };
    let unified = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_string() };
    let prepared =
        if !file && unified.contains('\\') { prepare::double_backslashes(&unified, &syntax) } else { unified };
    let prepared = forms::parseable(&prepared, false, &syntax)?;
    let tree = parse(&prepared, name, syntax).map_err(|e| {
        let line = e.line();
        let err = syntax_error("template", text, e);
        match mode {
            Mode::File(f) => f.place(err, line, name, text),
            _ => err,
        }
    })?;
    lower::template(&tree, known, file)
}

fn internal(e: minijinja::Error) -> Error {
    error(e).context("Error rendering template")
}

/// minijinja's `unexpected X, expected Y` in Jinja's words.
fn jinja_words(said: &str) -> String {
    let token = |t: &str| match t {
        "end of variable block" => "end of print statement".to_string(),
        "end of block" => "end of statement block".to_string(),
        "end of input" => "end of template".to_string(),
        "identifier" => "name".to_string(),
        other => other.trim_matches('`').to_string(),
    };
    match said.strip_prefix("unexpected ").map(|rest| rest.rsplit_once(", expected ").unwrap_or((rest, ""))) {
        Some(("end of input", "end of block")) => "Unexpected end of template. A block is not closed.".into(),
        Some(("end of input", wanted)) if !wanted.is_empty() && wanted != "expression" => {
            format!("unexpected end of template, expected '{}'.", token(wanted))
        }
        Some(("end of block", "")) => "Expected an expression, got 'end of statement block'".into(),
        Some((got, "" | "expression")) => format!("unexpected '{}'", token(got)),
        Some((got, wanted)) => format!("expected token '{}', got '{}'", token(wanted), token(got)),
        None => said.to_string(),
    }
}

/// Points an error at a line of a template file.
pub(super) fn in_file(e: Error, line: Option<usize>, name: &str, text: &str) -> Error {
    if e.span().is_some() {
        return e;
    }
    let start: usize = match line {
        Some(n) => text.split_inclusive('\n').take(n.saturating_sub(1)).map(str::len).sum(),
        None => 0,
    };
    let len = text.get(start..).and_then(|t| t.lines().next()).map_or(0, str::len);
    let id = crate::diag::add_source(name, text);
    e.at(Span::new(id, start, start + len))
}

/// The parser's words in Ansible's frame.
fn syntax_error(what: &str, text: &str, e: minijinja::Error) -> Error {
    let line = e.line();
    let said = e.detail().unwrap_or("").to_string();
    let said = match said.strip_prefix("unknown statement ") {
        Some(tag) => format!("Encountered unknown tag '{tag}'."),
        None => said,
    };
    let said = jinja_words(&said);
    let message = if what == "expression" && (text.contains("{{") || text.contains("{%")) {
        format!("Syntax error in expression. Template delimiters are not supported in expressions: {said}")
    } else {
        format!("Syntax error in {what}: {said}")
    };
    let err = Error::template(message);
    match line {
        Some(line) if text.contains('\n') => err.label(format!("in line {line} of the template")),
        _ => err,
    }
}
