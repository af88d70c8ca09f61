//! The ansible-core that is installed on the controller, if there is one: modules in Python need its
//! `ansible.module_utils`, which is not ours to bring.

use camino::{Utf8Path, Utf8PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names the directory of the `ansible` package, where it is not to be looked for.
pub const VARIABLE: &str = "DIRIGO_ANSIBLE_CORE";

/// Where an installed ansible-core is; looked for once, when it is first needed.
#[derive(Debug, Default)]
pub struct Core {
    place: OnceLock<Option<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    package: Utf8PathBuf,
    version: String,
}

impl Core {
    /// An ansible-core at a known place (its `ansible` directory).
    pub fn at(package: &Utf8Path) -> Core {
        Core { place: OnceLock::from(place(package)) }
    }

    fn place(&self) -> Option<&Place> {
        self.place.get_or_init(find).as_ref()
    }

    /// The directory of the package `ansible`.
    pub fn package(&self) -> Option<&Utf8Path> {
        self.place().map(|p| p.package.as_path())
    }

    /// The directory of `ansible.module_utils`.
    pub fn module_utils(&self) -> Option<Utf8PathBuf> {
        self.package().map(|p| p.join("module_utils"))
    }

    /// Its version, e.g. `2.19.14`.
    pub fn version(&self) -> Option<&str> {
        self.place().map(|p| p.version.as_str())
    }
}

fn find() -> Option<Place> {
    if let Ok(dir) = std::env::var(VARIABLE)
        && !dir.is_empty()
    {
        return place(Utf8Path::new(&dir));
    }
    interpreters().iter().find_map(|p| ask(p))
}

/// Pythons that may have ansible-core: those on the path, then that of an `ansible` command.
fn interpreters() -> Vec<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs: Vec<&Utf8Path> = path.split(':').filter(|d| !d.is_empty()).map(Utf8Path::new).collect();
    let mut out: Vec<Utf8PathBuf> = vec![];
    for name in ["python3", "python"] {
        out.extend(dirs.iter().map(|d| d.join(name)).filter(|p| p.is_file()));
    }
    for name in ["ansible-playbook", "ansible"] {
        for p in dirs.iter().map(|d| d.join(name)) {
            let start = read_start(&p);
            if let Some(words) = super::kind::shebang(&start)
                && super::kind::interpreter_name(&words) == "python"
                && let Some(w) = words.first()
                && w.starts_with('/')
                && !w.ends_with("/env")
            {
                out.push(w.into());
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|p| seen.insert(p.clone()));
    out
}

fn read_start(path: &Utf8Path) -> Vec<u8> {
    use std::io::Read;
    let mut out = vec![];
    if let Ok(f) = std::fs::File::open(path) {
        let _ = f.take(256).read_to_end(&mut out);
    }
    out
}

/// Asks a Python where its `ansible` is; the working directory does not count.
fn ask(python: &Utf8Path) -> Option<Place> {
    const CODE: &str = "import sys; sys.path.pop(0)\nimport ansible.release\nprint(ansible.__path__[0])";
    let out = Command::new(python)
        .args(["-c", CODE])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    place(Utf8Path::new(text.lines().next()?))
}

fn place(package: &Utf8Path) -> Option<Place> {
    if !package.join("module_utils/basic.py").is_file() {
        return None;
    }
    let text = std::fs::read_to_string(package.join("release.py")).ok()?;
    let version = text.lines().find_map(|l| l.strip_prefix("__version__ ="))?.trim().trim_matches(['\'', '"']);
    Some(Place { package: package.to_owned(), version: version.into() })
}
