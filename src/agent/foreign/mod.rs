//! Modules that are not built in: a file that came with the request, run by an interpreter of this host.
//!
//! The file is kept by its content ([`store`]), so that it travels once. Arguments go through standard input
//! or a file in a directory of the call's own, never through a command line.

mod discover;
mod parse;
mod store;
mod summary;

use crate::modules::Ctx;
use crate::modules::support::exec::{Cmd, Output};
use crate::modules::support::shlex;
use crate::proto::{Foreign, Interpreter, Request, Style};
use crate::value::Value;
use serde_json::{Map, Value as Json};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use store::receive;

/// Result keys with this prefix are for the controller, not for the result.
const FOUND: &str = "_ansible_discovered_interpreter";
const KEPT: &str = "_ansible_kept";
/// False if the module's output was no result.
const PARSED: &str = "_ansible_parsed";
const HINT: &str = "_ansible_hint";
/// The mark for the arguments in a module's text, and those that go with it.
const JSON_ARGS: &[u8] = b"<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>";

/// Runs the module whose file is at `payload` and answers its result keys; in a `job`, with what it wrote to
/// stderr, as ansible-core's jobs have it.
pub fn run(f: &Foreign, payload: &Path, req: &Request, ctx: &Ctx, job: bool) -> Map<String, Json> {
    let mut out = match Call::new(f, payload, req, ctx) {
        Ok(mut call) => {
            call.job = job;
            let out = call.run();
            call.tidy();
            out
        }
        Err(e) => unable(e.to_string()),
    };
    if let Interpreter::Discover(_) = f.interpreter
        && let Some(path) = discover::found(&f.interpreter, ctx)
    {
        out.insert(FOUND.into(), path.into());
    }
    out
}

/// A failure that is not the module's own.
fn unable(msg: String) -> Map<String, Json> {
    let mut m = super::worker::failure(msg);
    m.insert(PARSED.into(), false.into());
    m
}

struct Call<'a, 'c> {
    f: &'a Foreign,
    req: &'a Request,
    ctx: &'a Ctx<'c>,
    payload: &'a Path,
    /// The call's own directory.
    dir: PathBuf,
    job: bool,
}

impl<'a, 'c> Call<'a, 'c> {
    fn new(f: &'a Foreign, payload: &'a Path, req: &'a Request, ctx: &'a Ctx<'c>) -> std::io::Result<Call<'a, 'c>> {
        let dir = store::private_dir(&f.remote_tmp)?;
        Ok(Call { f, req, ctx, payload, dir, job: false })
    }

    fn tidy(&self) {
        if !self.f.keep {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    /// The task's arguments with those of the engine.
    fn arguments(&self) -> Map<String, Json> {
        let mut all = self.req.args.clone();
        for (k, v) in &self.f.extra {
            let v = match k.as_str() {
                "_ansible_tmpdir" => format!("{}/", self.dir.display()).into(),
                _ => v.clone(),
            };
            all.insert(k.clone(), v);
        }
        all
    }

    fn run(&self) -> Map<String, Json> {
        let words = match &self.f.interpreter {
            Interpreter::None => vec![],
            Interpreter::Words(w) => w.clone(),
            i @ Interpreter::Discover(tried) => match discover::found(i, self.ctx) {
                Some(p) => vec![p],
                None => {
                    return unable(format!(
                        "no Python was found here for the module {} (tried {})",
                        self.f.name,
                        tried.join(", ")
                    ));
                }
            },
        };
        match self.start(words.clone()) {
            Ok((cmd, program)) => match cmd.run(self.ctx) {
                Ok(out) => self.result(&out, &words),
                Err(e) if e.errno == libc::ENOENT => {
                    let stderr = format!("/bin/sh: 1: {program}: not found\n").into_bytes();
                    self.result(&Output { rc: 127, stdout: vec![], stderr }, &words)
                }
                Err(e) => unable(format!("the module {} could not be run: {e}", self.f.name)),
            },
            Err(e) => unable(format!("the module {} could not be prepared: {e}", self.f.name)),
        }
    }

    /// Puts the files in place; answers the command and its program.
    fn start(&self, mut words: Vec<String>) -> std::io::Result<(Cmd, String)> {
        let args = Value::from_json(Json::Object(self.arguments()));
        let place = self.dir.join(Path::new(&self.f.file).file_name().unwrap_or_default());
        let mut stdin = None;
        let mut argument = None;
        let program = match self.f.style {
            Style::Archive => {
                let mut m = crate::value::Map::new();
                m.insert("ANSIBLE_MODULE_ARGS".into(), args);
                let params = ascii_json(&Value::map(m)).into_bytes();
                if self.f.keep {
                    self.keep_archive(&place, &params, words.first())?;
                }
                stdin = Some(params);
                self.payload.to_path_buf()
            }
            Style::Inside => {
                let text = std::fs::read(self.payload)?;
                let json = ascii_json(&args);
                let mut text = replace(&text, JSON_ARGS, json.as_bytes());
                let mut quoted = String::new();
                crate::value::py_repr_str(&json, &mut quoted);
                text = replace(&text, b"\"<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>\"", quoted.as_bytes());
                text = replace(&text, b"<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>", quoted.as_bytes());
                let version = self.f.extra.get("_ansible_version").and_then(Json::as_str).unwrap_or_default();
                text = replace(&text, b"\"<<ANSIBLE_VERSION>>\"", format!("'{version}'").as_bytes());
                text = replace(&text, b"<<ANSIBLE_VERSION>>", format!("'{version}'").as_bytes());
                put(&place, &text, 0o700)?;
                place
            }
            Style::JsonFile | Style::TextFile => {
                put(&place, &std::fs::read(self.payload)?, 0o700)?;
                let file = self.dir.join("args");
                let text = if self.f.style == Style::JsonFile { ascii_json(&args) } else { key_values(&args) };
                put(&file, text.as_bytes(), 0o600)?;
                argument = Some(file.to_string_lossy().into_owned());
                place
            }
        };
        words.push(program.to_string_lossy().into_owned());
        words.extend(argument);
        let first = words.first().cloned().unwrap_or_default();
        let mut cmd = Cmd::new(words);
        if let Some(s) = stdin {
            cmd = cmd.stdin(s);
        }
        Ok((cmd, first))
    }

    /// An archive that can be run by hand, with the arguments of this call in it.
    fn keep_archive(&self, place: &Path, params: &[u8], interpreter: Option<&String>) -> std::io::Result<()> {
        let bytes = std::fs::read(self.payload)?;
        let mut z = zip::ZipWriter::new_append(std::io::Cursor::new(bytes)).map_err(std::io::Error::other)?;
        z.start_file("args", zip::write::SimpleFileOptions::default()).map_err(std::io::Error::other)?;
        z.write_all(params)?;
        let bytes = z.finish().map_err(std::io::Error::other)?.into_inner();
        let first = format!("#!{}\n", interpreter.map_or("/usr/bin/env python3", String::as_str));
        put(place, &[first.as_bytes(), &bytes].concat(), 0o700)
    }

    fn result(&self, out: &Output, words: &[String]) -> Map<String, Json> {
        let mut m = self.parsed(out, words);
        if self.f.keep {
            m.insert(KEPT.into(), self.dir.join(&self.f.file).to_string_lossy().into());
        }
        m
    }

    fn parsed(&self, out: &Output, words: &[String]) -> Map<String, Json> {
        let (text, junk) = (out.out(), &mut vec![]);
        let mut m = match parse::result(&text, junk) {
            Ok(mut m) => {
                summary::flatten(&mut m);
                if self.job && !out.stderr.is_empty() {
                    m.insert("stderr".into(), out.err().into());
                }
                m
            }
            Err(why) => {
                let err = out.err();
                let mut m = unable(format!("Module result deserialization failed: {why}"));
                if let Some(program) = words.first()
                    && (out.rc == 127 || err.contains("not found"))
                    && err.contains(program.as_str())
                    && !Path::new(program).exists()
                {
                    m.insert("msg".into(), format!("The module interpreter '{program}' was not found.").into());
                    let needs = match self.f.style {
                        Style::Archive => {
                            format!("The module {} is not built in and needs Python on the host. ", self.f.name)
                        }
                        _ => String::new(),
                    };
                    let advice = "Consider overriding the configured interpreter path for this host.";
                    m.insert(HINT.into(), format!("{needs}{advice}").into());
                }
                m.insert("module_stdout".into(), text.as_str().into());
                m.insert("module_stderr".into(), err.into());
                m.insert("rc".into(), out.rc.into());
                m
            }
        };
        for w in junk.drain(..) {
            let list = m.entry("warnings").or_insert_with(|| Json::Array(vec![]));
            if let Json::Array(l) = list {
                l.push(w.into());
            }
        }
        m
    }
}

/// Writes a new file that nobody else may open.
fn put(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut f = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    f.write_all(bytes)?;
    f.set_permissions(std::fs::Permissions::from_mode(mode))
}

fn replace(text: &[u8], mark: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + with.len());
    let mut rest = text;
    while let Some(at) = rest.windows(mark.len()).position(|w| w == mark) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(with);
        rest = rest.get(at + mark.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// JSON as Python writes it, in ASCII.
fn ascii_json(v: &Value) -> String {
    let mut out = String::new();
    for c in crate::pyjson::py_json(v).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// `key=value` pairs, the values quoted for a shell.
fn key_values(v: &Value) -> String {
    let pairs = v.as_map().into_iter().flatten();
    pairs.map(|(k, v)| format!("{}={} ", k.to_text(), shlex::quote(&v.to_str()))).collect()
}

#[cfg(test)]
mod tests;
