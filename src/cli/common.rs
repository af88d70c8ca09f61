//! Options that several commands share, by Ansible's names.

use crate::diag::add_whole;
use crate::value::{Trust, Value};
use crate::yaml::{Node, NodeKind};
use clap::Args;

/// What is said where no inventory has a host.
pub const ONLY_LOCALHOST: &str = "provided hosts list is empty, only localhost is available. Note that the implicit \
    localhost does not match 'all'";

/// Warns of a `--playbook-dir` that is not there.
pub fn warn_of_no_dir(dir: &camino::Utf8Path) {
    let dir = crate::playbook::clean(&super::setup::absolute(dir));
    if !dir.is_dir() {
        let text = format!("Ignoring invalid path provided to plugin path: '{dir}' is not a directory");
        crate::output::show_warning(&text, crate::output::Screen::of_stdout(0).color);
    }
}

/// `-i` and `-l`.
#[derive(Args, Clone, Debug, Default)]
pub struct InventoryArgs {
    /// Inventory: a file, a directory, a script, or hosts separated by commas
    #[arg(short = 'i', long = "inventory", visible_alias = "inventory-file", value_name = "INVENTORY")]
    pub inventory: Vec<String>,
    /// Limit the hosts further (a pattern, or @FILE)
    #[arg(short = 'l', long = "limit", value_name = "SUBSET")]
    pub limit: Option<String>,
    /// Print the hosts that match and end
    #[arg(long)]
    pub list_hosts: bool,
    /// Forget cached facts
    #[arg(long)]
    pub flush_cache: bool,
}

/// Where vault secrets come from.
#[derive(Args, Clone, Debug, Default)]
pub struct VaultArgs {
    /// A vault id with the source of its secret: LABEL@FILE or LABEL@prompt
    #[arg(long, value_name = "VAULT_IDS")]
    pub vault_id: Vec<String>,
    /// Ask for the vault password
    #[arg(
        short = 'J',
        long = "ask-vault-password",
        visible_alias = "ask-vault-pass",
        conflicts_with = "vault_password_file"
    )]
    pub ask_vault_password: bool,
    /// File (or executable) with the vault password
    #[arg(long = "vault-password-file", visible_alias = "vault-pass-file", value_name = "FILE")]
    pub vault_password_file: Vec<String>,
}

/// How hosts are reached, and as whom.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// Ask for the connection password
    #[arg(short = 'k', long = "ask-pass", conflicts_with = "connection_password_file")]
    pub ask_pass: bool,
    /// File with the connection password
    #[arg(long, visible_alias = "conn-pass-file", value_name = "FILE")]
    pub connection_password_file: Option<String>,
    /// Private key of the connection
    #[arg(long = "private-key", visible_alias = "key-file", value_name = "FILE")]
    pub private_key: Option<String>,
    /// Connect as this user
    #[arg(short = 'u', long = "user", value_name = "REMOTE_USER")]
    pub user: Option<String>,
    /// Connection to use: ssh or local
    #[arg(short = 'c', long = "connection", value_name = "CONNECTION")]
    pub connection: Option<String>,
    /// Seconds for a connection to come about
    #[arg(short = 'T', long = "timeout", value_name = "TIMEOUT")]
    pub timeout: Option<u64>,
    /// Arguments for ssh, sftp and scp alike
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_common_args: Option<String>,
    /// Arguments for sftp only (accepted; files travel over ssh here)
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub sftp_extra_args: Option<String>,
    /// Arguments for scp only (accepted; files travel over ssh here)
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub scp_extra_args: Option<String>,
    /// Arguments for ssh only
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub ssh_extra_args: Option<String>,
    /// Act as another user (root, unless --become-user)
    #[arg(short = 'b', long = "become")]
    pub become_: bool,
    /// How to become: sudo, su or doas
    #[arg(long, value_name = "METHOD")]
    pub become_method: Option<String>,
    /// Whom to become
    #[arg(long, value_name = "USER")]
    pub become_user: Option<String>,
    /// Ask for the become password
    #[arg(short = 'K', long = "ask-become-pass", conflicts_with = "become_password_file")]
    pub ask_become_pass: bool,
    /// File with the become password
    #[arg(long, visible_alias = "become-pass-file", value_name = "FILE")]
    pub become_password_file: Option<String>,
}

/// How the run goes.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// Variables: key=value, JSON, YAML, or @FILE
    #[arg(short = 'e', long = "extra-vars", value_name = "EXTRA_VARS", allow_hyphen_values = true)]
    pub extra_vars: Vec<String>,
    /// Hosts worked on at once
    #[arg(short = 'f', long = "forks", value_name = "FORKS")]
    pub forks: Option<usize>,
    /// Say what would change; change nothing
    #[arg(short = 'C', long = "check")]
    pub check: bool,
    /// Show what changes in files and states
    #[arg(short = 'D', long = "diff")]
    pub diff: bool,
    /// Directories of more modules
    #[arg(short = 'M', long = "module-path", value_name = "PATH")]
    pub module_path: Vec<String>,
    /// Say more (-vv, -vvv … for more still)
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How the run is told: default, json, ndjson or yaml
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<String>,
}

/// A value of the command line as a node; each of its texts is a place of its own.
pub fn node_of(v: &Value, option: &str) -> Node {
    let whole = |text: &str| add_whole(option, text);
    let kind = match v {
        Value::Null => NodeKind::Null,
        Value::Bool(b) => NodeKind::Bool(*b),
        Value::Int(i) => NodeKind::Int(*i),
        Value::Float(f) => NodeKind::Float(*f),
        Value::Str(s) if s.trust == Trust::Plain => {
            return Node { kind: NodeKind::Unsafe(s.text.clone()), span: whole(&s.text) };
        }
        Value::Str(s) => return Node { kind: NodeKind::Str(s.text.clone()), span: whole(&s.text) },
        Value::Vault(t) => NodeKind::Vault(t.envelope.clone()),
        Value::List(l) | Value::Tuple(l) => NodeKind::Seq(l.iter().map(|v| node_of(v, option)).collect()),
        Value::Map(m) => {
            NodeKind::Map(m.iter().map(|(k, v)| (node_of(&k.to_value(), option), node_of(v, option))).collect())
        }
    };
    Node { kind, span: whole(&v.repr()) }
}
