//! Filters on file names, and those that ask the controller's file system.

use super::py::{self, Py, Res, fail};
use super::{Args, Filter, f};
use crate::modules::support::glob::{fnmatch, has_magic};
use minijinja::{State, Value};
use std::path::Path;

pub const FILTERS: &[Filter] = &[
    f("basename", "p", |_, a| Ok(Value::from(split(&path(a, "p")?).1))),
    f("dirname", "p", |_, a| Ok(Value::from(split(&path(a, "p")?).0))),
    f("normpath", "path", |_, a| Ok(Value::from(normpath(&path(a, "path")?)))),
    f("path_join", "paths", path_join),
    f("commonpath", "paths", commonpath),
    f("relpath", "path, start=", relpath),
    f("splitext", "p", splitext),
    f("expanduser", "path", |_, a| Ok(Value::from(expanduser(&path(a, "path")?)))),
    f("expandvars", "path", |_, a| Ok(Value::from(expandvars(&path(a, "path")?)))),
    f("realpath", "path", |_, a| Ok(Value::from(realpath(&path(a, "path")?)))),
    f("fileglob", "pathname", fileglob),
    f("win_basename", "p", |_, a| Ok(Value::from(win_split(&path(a, "p")?).2))),
    f("win_dirname", "p", |_, a| {
        let (drive, head, _) = win_split(&path(a, "p")?);
        Ok(Value::from(format!("{drive}{head}")))
    }),
    f("win_splitdrive", "p", |_, a| {
        let p = path(a, "p")?;
        let (drive, rest) = win_drive(&p);
        Ok(py::tuple(vec![Value::from(drive), Value::from(rest)]))
    }),
];

fn path(a: &Args, name: &str) -> Res<String> {
    path_of(a.val(name))
}

fn path_of(v: &Value) -> Res<String> {
    match py::view(v) {
        Py::Str(s) => Ok(s.to_string()),
        _ => fail(format!("expected str, bytes or os.PathLike object, not {}", py::type_name(v))),
    }
}

/// `os.path.split`: what stands before the last slash (without slashes at its end) and after it.
pub fn split(p: &str) -> (String, String) {
    let at = p.rfind('/').map_or(0, |i| i + 1);
    let (head, tail) = p.split_at(at);
    let trimmed = head.trim_end_matches('/');
    let head = if trimmed.is_empty() { head } else { trimmed };
    (head.to_string(), tail.to_string())
}

/// `os.path.normpath`
pub fn normpath(p: &str) -> String {
    if p.is_empty() {
        return ".".to_string();
    }
    let root = if p.starts_with("//") && !p.starts_with("///") {
        "//"
    } else if p.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = vec![];
    for part in p.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|l| *l != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let out = format!("{root}{}", parts.join("/"));
    if out.is_empty() { ".".to_string() } else { out }
}

/// `os.path.abspath`
pub fn abspath(p: &str) -> String {
    if p.starts_with('/') {
        return normpath(p);
    }
    let cwd = std::env::current_dir().map(|d| d.to_string_lossy().into_owned()).unwrap_or_else(|_| "/".into());
    normpath(&format!("{cwd}/{p}"))
}

fn path_join(_: &mut State, a: &Args) -> Res {
    let v = a.val("paths");
    let parts = match py::view(v) {
        Py::Str(s) => return Ok(Value::from(s)),
        Py::List | Py::Tuple => py::items(v)?,
        _ => {
            return fail(format!("|path_join expects string or sequence, got <class '{}'> instead.", py::type_name(v)));
        }
    };
    if parts.is_empty() {
        return fail("join() missing 1 required positional argument: 'a'");
    }
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        let Py::Str(part) = py::view(part) else {
            return fail(format!(
                "join() argument must be str, bytes, or os.PathLike object, not '{}'",
                py::type_name(part)
            ));
        };
        if part.starts_with('/') {
            out = part.to_string();
        } else {
            if i > 0 && !out.is_empty() && !out.ends_with('/') {
                out.push('/');
            }
            out.push_str(part);
        }
    }
    Ok(Value::from(out))
}

fn commonpath(_: &mut State, a: &Args) -> Res {
    let v = a.val("paths");
    if !matches!(py::view(v), Py::List | Py::Tuple) {
        return fail(format!("|commonpath expects sequence, got <class '{}'> instead.", py::type_name(v)));
    }
    let paths = py::items(v)?.iter().map(path_of).collect::<Res<Vec<_>>>()?;
    let Some(first) = paths.first() else { return fail("commonpath() arg is an empty sequence") };
    let absolute = first.starts_with('/');
    if paths.iter().any(|p| p.starts_with('/') != absolute) {
        return fail("Can't mix absolute and relative paths");
    }
    let parts =
        |p: &str| -> Vec<String> { p.split('/').filter(|x| !x.is_empty() && *x != ".").map(str::to_string).collect() };
    let mut common = parts(first);
    for p in &paths {
        let n = common.iter().zip(parts(p)).take_while(|(x, y)| *x == y).count();
        common.truncate(n);
    }
    Ok(Value::from(format!("{}{}", if absolute { "/" } else { "" }, common.join("/"))))
}

fn relpath(_: &mut State, a: &Args) -> Res {
    let path = path(a, "path")?;
    if path.is_empty() {
        return fail("no path specified");
    }
    let (path, start) = (abspath(&path), abspath(&a.some("start").map_or_else(|| Ok(".".into()), path_of)?));
    let parts = |p: &str| -> Vec<String> { p.split('/').filter(|x| !x.is_empty()).map(str::to_string).collect() };
    let (p, s) = (parts(&path), parts(&start));
    let n = p.iter().zip(&s).take_while(|(x, y)| x == y).count();
    let up = std::iter::repeat_n("..", s.len() - n);
    let out = up.chain(p.iter().skip(n).map(String::as_str)).collect::<Vec<_>>().join("/");
    Ok(Value::from(if out.is_empty() { ".".to_string() } else { out }))
}

fn splitext(_: &mut State, a: &Args) -> Res {
    let p = path(a, "p")?;
    let name_at = p.rfind('/').map_or(0, |i| i + 1);
    let name = p.get(name_at..).unwrap_or("");
    let leading = name.len() - name.trim_start_matches('.').len();
    let at = match name.rfind('.') {
        Some(i) if i >= leading && leading < name.len() => name_at + i,
        _ => p.len(),
    };
    let (root, ext) = p.split_at(at);
    Ok(py::tuple(vec![Value::from(root), Value::from(ext)]))
}

/// `~` and `~user` at the start; unknown users leave the path as it is.
pub fn expanduser(p: &str) -> String {
    let Some(rest) = p.strip_prefix('~') else { return p.to_string() };
    let (user, tail) = match rest.find('/') {
        Some(i) => rest.split_at(i),
        None => (rest, ""),
    };
    let home = if user.is_empty() {
        let own = || home_of(|f| f.get(2) == Some(&nix::unistd::getuid().to_string().as_str()), None);
        std::env::var("HOME").ok().or_else(own)
    } else {
        home_of(|f| f.first() == Some(&user), Some(user))
    };
    match home {
        Some(h) => {
            let joined = format!("{}{tail}", h.trim_end_matches('/'));
            if joined.is_empty() { "/".to_string() } else { joined }
        }
        None => p.to_string(),
    }
}

/// The home folder in the line of /etc/passwd that fits, or of `getent`: a static binary must not
/// call the system's name service.
fn home_of(fits: impl Fn(&[&str]) -> bool, name: Option<&str>) -> Option<String> {
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        if fits(&fields) { fields.get(5).map(|h| h.to_string()) } else { None }
    };
    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    local.lines().find_map(home).or_else(|| {
        let name =
            name.filter(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c)) && !n.starts_with('-'))?;
        let out = std::process::Command::new("getent").args(["passwd", name]).output().ok()?;
        String::from_utf8_lossy(&out.stdout).lines().find_map(home)
    })
}

/// `$NAME` and `${NAME}` of the environment; unknown names stay.
pub fn expandvars(p: &str) -> String {
    let mut out = String::new();
    let mut rest = p;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let body = tail.get(1..).unwrap_or("");
        let (name, used) = match body.strip_prefix('{') {
            Some(b) => match b.find('}') {
                Some(e) => (b.get(..e).unwrap_or(""), e + 3),
                None => ("", 1),
            },
            None => {
                let e = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
                (body.get(..e).unwrap_or(""), e + 1)
            }
        };
        match std::env::var(name) {
            Ok(v) if !name.is_empty() => out.push_str(&v),
            _ => out.push_str(tail.get(..used).unwrap_or(tail)),
        }
        rest = tail.get(used..).unwrap_or("");
    }
    out + rest
}

/// `os.path.realpath`: symbolic links are followed as far as the path exists.
pub fn realpath(p: &str) -> String {
    let full = abspath(p);
    let mut at = Path::new(&full).to_path_buf();
    let mut tail = vec![];
    loop {
        if let Ok(real) = at.canonicalize() {
            let mut real = real;
            real.extend(tail.iter().rev());
            return real.to_string_lossy().into_owned();
        }
        match (at.file_name().map(|n| n.to_os_string()), at.parent().map(Path::to_path_buf)) {
            (Some(name), Some(parent)) => {
                tail.push(name);
                at = parent;
            }
            _ => return full,
        }
    }
}

fn fileglob(_: &mut State, a: &Args) -> Res {
    let pattern = a.only_text("pathname", |kind| format!("'{kind}' object is not subscriptable"))?;
    Ok(py::list(glob(&pattern).into_iter().filter(|p| Path::new(p).is_file()).map(Value::from).collect()))
}

/// Paths that match a shell pattern, sorted; names that begin with a dot only if the pattern does.
pub fn glob(pattern: &str) -> Vec<String> {
    let mut found = vec![if pattern.starts_with('/') { "/".to_string() } else { String::new() }];
    for part in pattern.split('/').filter(|p| !p.is_empty()) {
        let mut next = vec![];
        let matcher = has_magic(part).then_some(part);
        for base in &found {
            let join = |name: &str| match base.as_str() {
                "" => name.to_string(),
                b if b.ends_with('/') => format!("{b}{name}"),
                b => format!("{b}/{name}"),
            };
            match &matcher {
                None => {
                    let path = join(part);
                    if Path::new(&path).symlink_metadata().is_ok() {
                        next.push(path);
                    }
                }
                Some(m) => {
                    let dir = if base.is_empty() { "." } else { base };
                    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
                    for name in names.filter_map(|e| e.file_name().into_string().ok()) {
                        if (!name.starts_with('.') || part.starts_with('.')) && fnmatch(&name, m) {
                            next.push(join(&name));
                        }
                    }
                }
            }
        }
        next.sort();
        found = next;
    }
    found
}

/// Drive (or share) and the rest of a Windows path.
fn win_drive(p: &str) -> (String, String) {
    let slash = |c: char| c == '\\' || c == '/';
    let at = if p.starts_with(slash)
        && p.get(1..).is_some_and(|r| r.starts_with(slash))
        && !p.get(2..).is_some_and(|r| r.starts_with(slash))
    {
        let body = p.get(2..).unwrap_or("");
        let host = body.find(slash);
        match host.and_then(|h| body.get(h + 1..).map(|r| (h, r))) {
            Some((h, r)) => 2 + h + 1 + r.find(slash).unwrap_or(r.len()),
            None => p.len(),
        }
    } else if p.chars().nth(1) == Some(':') {
        p.char_indices().nth(2).map_or(p.len(), |(i, _)| i)
    } else {
        0
    };
    let (drive, rest) = p.split_at(at);
    (drive.to_string(), rest.to_string())
}

/// Drive, directory and name of a Windows path.
fn win_split(p: &str) -> (String, String, String) {
    let slash = |c: char| c == '\\' || c == '/';
    let (drive, rest) = win_drive(p);
    let at = rest.rfind(slash).map_or(0, |i| i + 1);
    let (head, tail) = rest.split_at(at);
    let trimmed = head.trim_end_matches(slash);
    let head = if trimmed.is_empty() { head } else { trimmed };
    (drive, head.to_string(), tail.to_string())
}
