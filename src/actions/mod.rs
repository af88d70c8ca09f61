//! What runs on the controller: debug, set_fact, template, copy and their like. One file each,
//! registered by one line in [`registry`]; an action may call modules on its host through [`Remote`].

mod add_host;
mod assemble;
mod assert;
mod codecs;
mod copy;
mod debug;
mod fetch;
pub mod foreign;
mod gather_facts;
mod include_vars;
mod inventory_file;
mod patch;
mod pause;
mod raw;
mod reboot;
mod script;
mod set_fact;
mod synchronize;
mod template;
pub mod terminal;
mod unarchive;
mod uri;
mod validate_argument_spec;
mod wait_for_connection;

use crate::diag::{Error, Result, Span};
use crate::modules::{Spec, validate};
use crate::proto::{Request, Response};
use crate::template::{Engine, Scope};
use crate::transport::{Become, CallError, ConnParams, Payload, RawOutput};
use crate::value::{Map, Value};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// The host a task works on, as actions see it.
pub trait Remote: Send + Sync {
    /// Runs a module; check, diff and environment of the task are filled in.
    fn call(
        &self,
        request: Request,
        payload: Option<Payload>,
        sink: Option<&mut (dyn Write + Send)>,
    ) -> std::result::Result<Response, CallError>;
    /// Runs modules one after the other in one go; after the first that fails no more are run. Answers those that ran.
    fn call_chain(&self, requests: Vec<(Request, Option<Payload>)>) -> std::result::Result<Vec<Response>, CallError>;
    /// Runs a command without an agent.
    fn raw(&self, command: &str, stdin: Option<&[u8]>) -> std::result::Result<RawOutput, CallError>;
    /// Forgets the connection, so that the next call makes a new one.
    fn reset(&self);
    /// The same host with another limit in seconds for connecting.
    fn within(&self, seconds: u64) -> Box<dyn Remote + '_>;
    /// How the host is reached.
    fn route(&self) -> Route<'_>;
    /// The same host as the user of the connection.
    fn without_become(&self) -> Box<dyn Remote + '_>;
    /// This machine, as the user who runs the play.
    fn controller(&self) -> Box<dyn Remote + '_>;
    /// Whether the connection is to this machine.
    fn is_local(&self) -> bool;
    /// Host name or address connected to, for messages.
    fn address(&self) -> String;
}

/// The way to a host, and the user to become there.
pub struct Route<'a> {
    pub params: &'a ConnParams,
    pub become_: Option<&'a Become>,
}

/// What an action may use.
pub struct ActionCtx<'a> {
    pub name: &'a str,
    /// The action's name as the task has it.
    pub written: &'a str,
    /// Rendered arguments.
    pub args: Map,
    /// Arguments as written (for `assert` and others that render themselves).
    pub raw_args: &'a Map,
    pub engine: &'a Engine,
    pub scope: &'a Scope,
    /// The host that is connected to.
    pub host: &'a Arc<str>,
    /// Whether that is the one of `delegate_to`.
    pub delegated: bool,
    pub check: bool,
    pub diff: bool,
    pub verbosity: u8,
    /// Nobody will see all of the result: what is dear in it may be left out.
    pub unseen: bool,
    pub remote: &'a dyn Remote,
    /// Reads a file of the controller, decrypted if it is vaulted.
    pub read_file: &'a (dyn Fn(&camino::Utf8Path) -> Result<Vec<u8>> + Sync),
    /// Shows a line at once (pause).
    pub display: &'a (dyn Fn(String) + Sync),
    /// Seconds of the task's `timeout`, 0 for none.
    pub timeout: u64,
    pub task_name: String,
    /// Where the task stands.
    pub task_span: Span,
}

/// What an action wants done beyond its result.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Variables of the host; with `facts` they count as facts too (`cacheable`).
    SetFacts {
        vars: Map,
        cacheable: bool,
    },
    /// Variables as `include_vars` sets them.
    IncludeVars(Map),
    AddHost {
        name: String,
        groups: Vec<String>,
        vars: Map,
    },
    GroupBy {
        group: String,
        parents: Vec<String>,
    },
    SetStats {
        data: Map,
        per_host: bool,
        aggregate: bool,
    },
}

/// An action's answer: result keys and effects.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub data: Map,
    pub effects: Vec<Effect>,
    pub verbose_always: bool,
    /// The result is a module's.
    pub by_module: bool,
    /// The failure, where there is more to it than the result's `msg`.
    pub error: Option<Error>,
}

impl Done {
    pub fn new(changed: bool) -> Done {
        let mut d = Done::default();
        d.data.insert("changed".into(), changed.into());
        d
    }
    pub fn set(mut self, key: &str, v: impl Into<Value>) -> Done {
        self.data.insert(key.into(), v.into());
        self
    }
    pub fn effect(mut self, e: Effect) -> Done {
        self.effects.push(e);
        self
    }
    pub fn failed(msg: impl Into<String>) -> Done {
        Done::default().set("failed", true).set("msg", msg.into())
    }
    pub fn of(r: Response) -> Done {
        let Value::Map(m) = Value::from_json(serde_json::Value::Object(r.result)) else { return Done::default() };
        Done { data: (*m).clone(), by_module: true, ..Done::default() }
    }
}

/// Why an action could not answer.
#[derive(Debug)]
pub enum ActionError {
    /// A failure of the task, with a place if there is one.
    Failed(Error),
    /// A failure that ansible-core's action did not word itself: its message names the task.
    Raised(Error),
    /// An argument that the action renders itself could not be rendered.
    Unfinished(Error),
    Call(CallError),
}
impl From<Error> for ActionError {
    fn from(e: Error) -> Self {
        ActionError::Failed(e)
    }
}
impl From<CallError> for ActionError {
    fn from(e: CallError) -> Self {
        ActionError::Call(e)
    }
}

pub type ActionResult = std::result::Result<Done, ActionError>;

/// An action of the controller.
pub struct Action {
    pub name: &'static str,
    /// Declared arguments; `None` where any name is an argument (set_fact) or the module behind it declares them.
    pub spec: Option<fn() -> Spec>,
    /// True if the arguments are rendered by the action itself.
    pub raw: bool,
    /// True for actions that never touch the host's connection.
    pub local: bool,
    pub run: fn(&mut ActionCtx) -> ActionResult,
}

/// Every action, one line each.
pub fn registry() -> &'static [Action] {
    static ALL: OnceLock<Vec<Action>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            add_host::add_host(),
            add_host::group_by(),
            assemble::action(),
            assert::assert(),
            assert::fail(),
            copy::action(),
            debug::action(),
            fetch::action(),
            gather_facts::action(),
            include_vars::action(),
            inventory_file::action(),
            patch::action(),
            pause::action(),
            raw::action(),
            reboot::action(),
            script::action(),
            set_fact::set_fact(),
            set_fact::set_stats(),
            synchronize::action(),
            template::action(),
            unarchive::action(),
            uri::action(),
            validate_argument_spec::action(),
            wait_for_connection::action(),
        ]
    })
}

/// Actions that are at home in another collection than ansible.builtin.
const ELSEWHERE: &[(&str, &str)] = &[("patch", "ansible.posix"), ("synchronize", "ansible.posix")];

/// Finds an action by short or full name.
pub fn find(name: &str) -> Option<&'static Action> {
    let at_home = ELSEWHERE.iter().find(|(short, home)| name.strip_prefix(home) == Some(&format!(".{short}")));
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name);
    let short = at_home.map_or(short, |(short, _)| short);
    registry().iter().find(|a| a.name == short)
}

/// The short names of all actions.
pub fn names() -> impl Iterator<Item = &'static str> {
    registry().iter().map(|a| a.name)
}

/// Actions that the executor itself carries out.
pub const ENGINE_ACTIONS: &[&str] =
    &["meta", "include_tasks", "include_role", "include", "import_tasks", "import_role", "async_status"];

/// Whether a task may name this action or module.
pub fn known(name: &str) -> bool {
    let short = crate::playbook::short_name(name);
    ENGINE_ACTIONS.contains(&short.as_str()) || find(name).is_some() || crate::modules::find(name).is_some()
}

impl ActionCtx<'_> {
    /// The bytes of a file that goes to the host, decrypted if it is vaulted.
    pub fn open_file(&self, path: &camino::Utf8Path) -> Result<Vec<u8>> {
        (self.read_file)(path).map_err(|e| match e.message() {
            crate::vault::NO_SECRETS => {
                Error::new(e.kind(), format!("A vault password or secret must be specified to decrypt {path}"))
                    .help("Give the secret with --vault-password-file, --vault-id or --ask-vault-pass.")
            }
            _ => e,
        })
    }

    /// Takes null for false: ansible-core's own actions read these so, where modules want a value.
    pub fn null_is_false(&mut self, names: &[&str]) {
        for (_, v) in self.args.iter_mut().filter(|(k, v)| v.is_null() && names.contains(&k.to_string().as_str())) {
            *v = false.into();
        }
    }
    /// Checks the arguments against a declaration; the failure is Ansible's message.
    pub fn validated(&self, spec: &Spec) -> std::result::Result<crate::modules::Args, ActionError> {
        let given = match Value::map(self.args.clone()).to_json() {
            serde_json::Value::Object(o) => o,
            _ => Default::default(),
        };
        validate(spec, &given, self.name).map(|c| c.args).map_err(|m| ActionError::Failed(Error::general(m)))
    }
    /// The rendered value of an argument of an action that renders its own.
    pub fn rendered(&self, name: &str) -> Result<Option<Value>> {
        self.raw_args.get(name).map(|v| self.engine.render(v, self.scope)).transpose()
    }
    /// Checks that no argument has another name than the declared ones, in the words of ansible-core's older
    /// actions.
    pub fn only(&self, spec: &Spec) -> std::result::Result<(), ActionError> {
        let mut other: Vec<String> =
            self.raw_args.keys().map(|k| k.to_string()).filter(|k| spec.find(k).is_none()).collect();
        other.sort();
        if other.is_empty() {
            return Ok(());
        }
        Err(ActionError::Failed(Error::general(format!("Invalid options for {}: {}", self.written, other.join(",")))))
    }
    /// Calls a module of the agent with these arguments.
    pub fn module(
        &self,
        module: &str,
        args: Map,
        payload: Option<Payload>,
    ) -> std::result::Result<Response, ActionError> {
        Ok(self.remote.call(self.request(module, args), payload, None)?)
    }
    /// A request of this module with the task's modes.
    pub fn request(&self, module: &str, args: Map) -> Request {
        let args = match Value::map(args).to_json() {
            serde_json::Value::Object(o) => o,
            _ => Default::default(),
        };
        let mut hints = serde_json::Map::new();
        hints.insert("named".into(), format!("ansible.legacy.{module}").into());
        Request {
            module: module.into(),
            args,
            hints,
            check: self.check,
            diff: self.diff,
            timeout: self.timeout,
            ..Request::default()
        }
    }
    pub fn arg_str(&self, name: &str) -> Option<String> {
        self.args.get(name).filter(|v| !v.is_null()).map(Value::to_str)
    }
    pub fn arg_bool(&self, name: &str, default: bool) -> bool {
        self.args.get(name).and_then(Value::to_bool_loose).unwrap_or(default)
    }
    /// Finds a file of the controller by the task's search path.
    pub fn find_file(&self, kind: &str, name: &str) -> Result<camino::Utf8PathBuf> {
        self.scope.files.find(kind, name).ok_or_else(|| {
            let tried: Vec<String> = self.scope.files.tried(kind, name).iter().map(|p| format!("\t{p}")).collect();
            // a file that is named in full is looked for nowhere else
            let searched = match tried.as_slice() {
                _ if camino::Utf8Path::new(name).is_absolute() => String::new(),
                _ => format!("\nSearched in:\n{}", tried.join("\n")),
            };
            not_found(&format!("'{name}'{searched}")).apart()
        })
    }
}

/// The error of a file of the controller that is not there; `what` names it.
fn not_found(what: &str) -> Error {
    Error::general(format!(
        "Could not find or access {what} on the Ansible Controller.\n\
         If you are using a module and expect the file to exist on the remote, see the remote_src option"
    ))
}
