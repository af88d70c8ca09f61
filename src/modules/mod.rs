//! Modules: what runs on targets, inside the agent. One file each; each declares its arguments, its
//! check-mode support and its documentation, and is registered by one line in the list below.

mod acl;
mod alternatives;
mod apt;
mod apt_key;
mod apt_repository;
mod archive;
pub mod assemble;
mod async_status;
mod authorized_key;
mod blockinfile;
mod command;
mod convert;
mod copy;
mod cron;
mod deb822_repository;
mod debconf;
mod dnf;
mod dpkg_selections;
mod etcdctl;
mod expect;
mod facts;
mod fetch_content;
mod file;
mod filesystem;
mod find;
mod firewalld;
mod get_url;
mod getent;
mod git;
mod group;
mod haproxy_backend;
mod hostname;
mod htpasswd;
mod ini_file;
mod iptables;
mod known_hosts;
mod lineinfile;
mod lvg;
mod lvol;
mod modprobe;
mod mount;
mod mount_facts;
mod package;
mod package_facts;
mod pam_limits;
mod patch;
mod ping;
mod pip;
mod replace;
mod rpm_key;
mod script;
mod seboolean;
mod selinux;
mod service;
mod service_facts;
mod setup;
mod shell;
mod slurp;
pub mod spec;
mod stat;
mod subversion;
pub mod support;
mod synchronize;
mod sysctl;
mod systemd;
mod sysvinit;
mod tempfile;
mod timezone;
mod unarchive;
mod uri;
mod user;
mod validate;
mod wait_for;
mod xml;
mod yum_repository;

#[cfg(test)]
mod damage_tests;

pub use convert::{convert, expand_path, expand_path_with, not_a_boolean};
pub use spec::{Arg, Args, Rule, Spec, Type, json_text};
pub use validate::{Checked, unsupported, validate, validate_all};

use serde_json::{Map, Value as Json};
use std::io::BufRead;
use std::sync::OnceLock;

/// How far a module supports check mode or diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    Full,
    Partial,
    None,
}

/// A module: its declaration and its code.
pub struct Module {
    /// Ansible's short name, e.g. `lineinfile`.
    pub name: &'static str,
    /// Fully qualified home, e.g. `ansible.builtin`; the short and the full name both work.
    pub collection: &'static str,
    pub spec: Spec,
    pub check: Support,
    pub diff: Support,
    /// True for `command`-like modules whose free-form text is the `_raw_params` argument.
    pub free_form: bool,
    /// One line, then paragraphs; shown by `dirigo doc`.
    pub doc: &'static str,
    pub run: fn(&mut Ctx, &Args) -> ModResult,
}

/// What a module's code answers; a failure may carry result keys too.
pub type ModResult = std::result::Result<Outcome, Failure>;

/// The result keys of a module that did its work.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub changed: bool,
    pub data: Map<String, Json>,
    pub diff: Vec<Diff>,
    pub warnings: Vec<String>,
}

impl Outcome {
    pub fn ok() -> Outcome {
        Outcome::default()
    }
    pub fn changed(changed: bool) -> Outcome {
        Outcome { changed, ..Outcome::default() }
    }
    /// Sets a result key.
    pub fn set(mut self, key: &str, value: impl Into<Json>) -> Outcome {
        self.data.insert(key.into(), value.into());
        self
    }
    pub fn msg(self, text: impl Into<String>) -> Outcome {
        self.set("msg", text.into())
    }
    pub fn with_diff(mut self, d: Diff) -> Outcome {
        self.diff.push(d);
        self
    }
    pub fn warn(mut self, text: impl Into<String>) -> Outcome {
        self.warnings.push(text.into());
        self
    }
    /// `skipped: true` with a message, as check mode gives for what cannot be predicted.
    pub fn skipped(text: &str) -> Outcome {
        Outcome::ok().set("skipped", true).set("msg", text)
    }
}

/// A before/after pair as Ansible's `diff` key has it.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    pub before: Json,
    pub after: Json,
    pub before_header: Option<String>,
    pub after_header: Option<String>,
    /// Text that is shown as it is, instead of before and after.
    pub prepared: Option<String>,
    /// Other keys of the diff dictionary (`before_binary`, `src_larger` …).
    pub extra: Map<String, Json>,
}

impl Diff {
    pub fn new(before: impl Into<Json>, after: impl Into<Json>) -> Diff {
        Diff { before: before.into(), after: after.into(), ..Diff::default() }
    }
    pub fn headers(mut self, before: &str, after: &str) -> Diff {
        self.before_header = Some(before.into());
        self.after_header = Some(after.into());
        self
    }
    pub fn to_json(&self) -> Json {
        let mut m = self.extra.clone();
        if let Some(p) = &self.prepared {
            m.insert("prepared".into(), p.as_str().into());
        } else {
            // Content that is binary or too large is not there; a key of `extra` says so.
            for (key, side) in [("before", &self.before), ("after", &self.after)] {
                if !side.is_null() {
                    m.insert(key.into(), side.clone());
                }
            }
        }
        if let Some(h) = &self.before_header {
            m.insert("before_header".into(), h.as_str().into());
        }
        if let Some(h) = &self.after_header {
            m.insert("after_header".into(), h.as_str().into());
        }
        Json::Object(m)
    }
}

/// A module's failure: the message and further result keys (`rc`, `stderr`, …).
#[derive(Clone, Debug, Default)]
pub struct Failure {
    pub msg: String,
    pub data: Map<String, Json>,
}

impl Failure {
    pub fn new(msg: impl Into<String>) -> Failure {
        Failure { msg: msg.into(), data: Map::new() }
    }
    /// A failure that is not the module's own words: where ansible-core's module ends with an exception.
    pub fn uncaught(why: impl std::fmt::Display) -> Failure {
        Failure::new(format!("Task failed: Module failed: {why}"))
    }
    pub fn set(mut self, key: &str, value: impl Into<Json>) -> Failure {
        self.data.insert(key.into(), value.into());
        self
    }
}
impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Failure::new(e.to_string())
    }
}
impl From<String> for Failure {
    fn from(e: String) -> Self {
        Failure::new(e)
    }
}
impl From<&str> for Failure {
    fn from(e: &str) -> Self {
        Failure::new(e)
    }
}

/// Takes content on its way back to the controller.
pub type Sink<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// The hint of a request whose result nobody will see in full: keys that are dear may be left out.
pub const UNSEEN: &str = "unseen";

/// What a running module may use of its surroundings.
pub struct Ctx<'a> {
    pub check: bool,
    pub want_diff: bool,
    /// Extra environment for every process the module starts.
    pub env: Vec<(String, String)>,
    /// What the controller tells beyond the arguments: `verbosity`, `remote_tmp`, `named` (the module's name in
    /// messages about its arguments).
    pub hints: Map<String, Json>,
    pub verbosity: u8,
    /// Content sent by the controller with this request, if any.
    pub content: Option<Box<dyn ContentSource + 'a>>,
    /// Where a module streams content back to the controller (fetch).
    pub sink: Option<&'a mut Sink<'a>>,
}

impl Ctx<'_> {
    /// A context for tests and local calls: no content, no check mode.
    pub fn bare() -> Ctx<'static> {
        Ctx { check: false, want_diff: false, env: vec![], hints: Map::new(), verbosity: 0, content: None, sink: None }
    }
}

/// Content that the controller announced: asked for only if the module needs it.
pub trait ContentSource {
    fn size(&self) -> u64;
    /// SHA-1 in hex. It may cost the controller a reading of the file and a round trip before the content was read;
    /// afterwards it is known.
    fn sha1(&mut self) -> std::io::Result<String>;
    /// Says that the first `len` bytes are here already, with this running checksum. True if the controller's file
    /// begins with the same: then [`ContentSource::reader`] gives what comes after them.
    fn resume(&mut self, _have: sha1::Sha1, _len: u64) -> std::io::Result<bool> {
        Ok(false)
    }
    /// The bytes; the first read asks the controller to send them. Fails if the checksum is wrong at the end.
    fn reader(&mut self) -> std::io::Result<Box<dyn BufRead + '_>>;
}

/// The lists of modules from one line for each.
macro_rules! modules {
    (@first $all:ident first $module:path) => { $all.push($module()) };
    (@first $all:ident second $module:path) => {};
    (@second $all:ident first $module:path) => {};
    (@second $all:ident second $module:path) => { $all.push($module()) };
    ($($file:ident $module:path;)*) => {
        /// The modules of the file that every host gets.
        #[allow(clippy::vec_init_then_push)]
        pub fn first() -> Vec<Module> {
            let mut all = vec![];
            $(modules!(@first all $file $module);)*
            all
        }
        /// The modules of the file that follows when a task needs one of them.
        #[allow(clippy::vec_init_then_push)]
        pub fn second() -> Vec<Module> {
            let mut all = vec![];
            $(modules!(@second all $file $module);)*
            all
        }
    };
}

// One line for each module of the agent. What the linker finds in none of the lists of an executable is not in it:
// `first` is for what most playbooks use and needs little, `second` for what brings TLS, archives or much code of its
// own.
modules! {
    first apt::module;
    first blockinfile::module;
    first lineinfile::module;
    first replace::module;
    first copy::module;
    first file::module;
    first slurp::module;
    first stat::module;
    first script::module;
    first assemble::module;
    first cron::module;
    first async_status::module;
    first fetch_content::module;
    first find::module;
    first tempfile::module;
    first group::module;
    first user::module;
    first getent::module;
    first service::module;
    first systemd::module;
    first systemd::module_service;
    first setup::module;
    first command::module;
    first ping::module;
    first shell::module;
    second package::module;
    second dnf::module;
    second dnf::module_yum;
    second dnf::module_dnf5;
    second wait_for::module;
    second hostname::module;
    second sysctl::module;
    second mount::module;
    second ini_file::module;
    second get_url::module;
    second uri::module;
    second package_facts::module;
    second archive::module;
    second expect::module;
    second pip::module;
    second known_hosts::module;
    second iptables::module;
    second debconf::module;
    second authorized_key::module;
    second dpkg_selections::module;
    second yum_repository::module;
    second subversion::module;
    second mount_facts::module;
    second firewalld::module;
    second seboolean::module;
    second selinux::module;
    second modprobe::module;
    second acl::module;
    second pam_limits::module;
    second patch::module;
    second filesystem::module;
    second etcdctl::module;
    second unarchive::module;
    second haproxy_backend::module;
    second git::module;
    second service_facts::module;
    second apt_key::module;
    second apt_repository::module;
    second deb822_repository::module;
    second rpm_key::module;
    second sysvinit::module;
    second synchronize::module;
    second alternatives::module;
    second timezone::module;
    second htpasswd::module;
    second lvg::module;
    second lvol::module;
    second xml::module;
}

/// Every module there is. The executables of the agent must not get here, or each would hold all of them.
pub fn registry() -> &'static [Module] {
    &all().0
}

/// The modules of both files, and how many are of the first.
fn all() -> &'static (Vec<Module>, usize) {
    static ALL: OnceLock<(Vec<Module>, usize)> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = first();
        let count = all.len();
        all.append(&mut second());
        (all, count)
    })
}

/// Whether this module is in the agent's second file.
pub fn in_second(name: &str) -> bool {
    let (all, first) = all();
    position(all, name).is_some_and(|at| at >= *first)
}

/// The name of a local user, from /etc/passwd or `getent`.
pub fn user_name(uid: u32) -> Option<String> {
    support::accounts::user_by_id(&Ctx::bare(), uid).map(|u| u.name)
}

/// Finds a module by short name, `ansible.builtin.NAME`, `ansible.legacy.NAME` or its own collection's name.
pub fn find(name: &str) -> Option<&'static Module> {
    find_in(registry(), name)
}

/// As [`find()`], among these.
pub fn find_in<'m>(modules: &'m [Module], name: &str) -> Option<&'m Module> {
    modules.get(position(modules, name)?)
}

fn position(modules: &[Module], name: &str) -> Option<usize> {
    let (prefix, short) = name.rsplit_once('.').unwrap_or(("", name));
    modules.iter().position(|m| {
        m.name == short
            && (prefix.is_empty()
                || prefix == m.collection
                || (m.collection == "ansible.builtin" && prefix == "ansible.legacy"))
    })
}

/// The name that ansible-core's messages have for a module which a task names so: command and shell share one.
pub fn shown_name(action: &str) -> &str {
    match action.rsplit_once('.').map_or(action, |(_, short)| short) {
        "command" | "shell" => "ansible.legacy.command",
        _ => action,
    }
}

/// Runs a module: validates the arguments, calls its code, and puts the answer in Ansible's result keys.
pub fn run(module: &Module, ctx: &mut Ctx, args: &Map<String, Json>) -> Map<String, Json> {
    let what = ctx.hints.get("named").and_then(Json::as_str).unwrap_or(module.name);
    let checked = match validate(&module.spec, args, what) {
        Ok(c) => c,
        Err(msgs) => {
            let mut m = Map::new();
            m.insert("failed".into(), true.into());
            m.insert("msg".into(), msgs.into());
            return m;
        }
    };
    if ctx.check && module.check == Support::None {
        return finish(
            Ok(Outcome::skipped(&format!("remote module ({}) does not support check mode", module.name))),
            &checked,
        );
    }
    let r = (module.run)(ctx, &checked.args);
    finish(r, &checked)
}

fn finish(r: ModResult, checked: &Checked) -> Map<String, Json> {
    let mut m = Map::new();
    let mut warnings = checked.warnings.clone();
    match r {
        Ok(o) => {
            m.insert("changed".into(), o.changed.into());
            m.extend(o.data);
            match o.diff.as_slice() {
                [] => {}
                [one] => drop(m.insert("diff".into(), one.to_json())),
                many => drop(m.insert("diff".into(), many.iter().map(Diff::to_json).collect())),
            }
            warnings.extend(o.warnings);
        }
        Err(f) => {
            m.insert("failed".into(), true.into());
            m.insert("changed".into(), false.into());
            m.extend(f.data);
            m.insert("msg".into(), f.msg.into());
        }
    }
    if !warnings.is_empty() {
        m.insert("warnings".into(), warnings.into());
    }
    let mut inv = Map::new();
    inv.insert("module_args".into(), Json::Object(checked.shown()));
    m.insert("invocation".into(), Json::Object(inv));
    // what did not look at the file does not describe it
    if m.remove("_ansible_no_path_info").is_none() {
        support::fileargs::add_path_info(&mut m);
    }
    checked.censor(&mut m);
    // what only the module knows to be a secret
    match m.remove("_censor") {
        Some(Json::String(secret)) => checked.with_secret(secret).censor(&mut m),
        _ => checked.censor(&mut m),
    }
    m
}
