//! What a connection is made from: the values of `ansible_host`, `ansible_become_user` and their kin.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl AsRef<str>) -> Secret {
        Secret(text.as_ref().into())
    }
    /// The text itself; for stdin of a process and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// `ansible_connection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    Local,
    Ssh,
}

impl FromStr for Connection {
    type Err = String;

    /// Short and full names; `smart` is ssh as in Ansible, and what Ansible does with paramiko OpenSSH does here.
    /// Others are refused by name.
    fn from_str(name: &str) -> Result<Connection, String> {
        match name.strip_prefix("ansible.builtin.").or(name.strip_prefix("ansible.legacy.")).unwrap_or(name) {
            "local" => Ok(Connection::Local),
            "ssh" | "smart" | "paramiko_ssh" | "paramiko" => Ok(Connection::Ssh),
            "winrm" | "psrp" => Err(format!("the connection plugin '{name}' is not supported")),
            // ansible-core's words for what nobody has
            _ => Err(format!("the connection plugin '{name}' was not found")),
        }
    }
}

/// One way to one host. Equal values share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnParams {
    /// Name in the inventory, for messages.
    pub host: Arc<str>,
    pub connection: Connection,
    /// `ansible_host`: what ssh is given as destination.
    pub address: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub private_key_file: Option<String>,
    pub password: Option<Secret>,
    /// `ansible_ssh_executable`, by default `ssh`.
    pub ssh_executable: String,
    /// `ssh_args`, `ansible_ssh_common_args` and `ansible_ssh_extra_args`, each split as a shell would.
    pub ssh_args: String,
    pub ssh_common_args: String,
    pub ssh_extra_args: String,
    /// Seconds for a connection to come about.
    pub timeout: u64,
    /// False only if the user's configuration says so.
    pub host_key_checking: bool,
    /// Directory of control sockets; a leading `~` is the home directory.
    pub control_path_dir: String,
    /// ControlPersist for masters, unless `ssh_args` name it.
    pub control_persist: String,
    /// `ansible_remote_tmp`: the agent lives below it.
    pub remote_tmp: String,
    /// Further attempts to connect.
    pub retries: u32,
}

impl ConnParams {
    /// A connection with Ansible's defaults.
    pub fn new(host: &str, connection: Connection) -> ConnParams {
        ConnParams {
            host: host.into(),
            connection,
            address: host.into(),
            port: None,
            user: None,
            private_key_file: None,
            password: None,
            ssh_executable: "ssh".into(),
            ssh_args: "-C -o ControlMaster=auto -o ControlPersist=60s".into(),
            ssh_common_args: String::new(),
            ssh_extra_args: String::new(),
            timeout: 10,
            host_key_checking: true,
            control_path_dir: "~/.ansible/cp".into(),
            control_persist: "60s".into(),
            remote_tmp: "~/.ansible/tmp".into(),
            retries: 0,
        }
    }
    /// This machine, as the user who runs the controller.
    pub fn local(host: &str) -> ConnParams {
        ConnParams::new(host, Connection::Local)
    }
    pub fn ssh(host: &str) -> ConnParams {
        ConnParams::new(host, Connection::Ssh)
    }
}

/// `become_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Sudo,
    Su,
    Doas,
}

impl Method {
    pub const ALL: [Method; 3] = [Method::Sudo, Method::Su, Method::Doas];

    pub fn name(self) -> &'static str {
        match self {
            Method::Sudo => "sudo",
            Method::Su => "su",
            Method::Doas => "doas",
        }
    }
}

impl FromStr for Method {
    type Err = String;

    /// The words of the error are ansible-core's.
    fn from_str(name: &str) -> Result<Method, String> {
        if name.is_empty() {
            return Err("A non-empty plugin name is required.".into());
        }
        let short = match name.rsplit_once('.') {
            Some(("ansible.builtin" | "ansible.legacy" | "community.general", short)) => short,
            _ => name,
        };
        Method::ALL.into_iter().find(|m| m.name() == short).ok_or_else(|| {
            format!(
                "Invalid become method specified, could not find matching plugin: '{name}'. Use `ansible-doc -t \
                 become -l` to list available plugins."
            )
        })
    }
}

/// Another user to act as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Become {
    pub method: Method,
    /// Ansible's default is `root`.
    pub user: String,
    pub password: Option<Secret>,
    /// `become_flags`; `None` for the method's default (`-H -S -n` for sudo).
    pub flags: Option<String>,
    /// `become_exe`; `None` for the method's own name.
    pub exe: Option<String>,
}

impl Become {
    pub fn new(method: Method, user: &str) -> Become {
        Become { method, user: user.into(), password: None, flags: None, exe: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_plugins() {
        assert_eq!("ansible.builtin.ssh".parse(), Ok(Connection::Ssh));
        assert_eq!("smart".parse(), Ok(Connection::Ssh));
        assert!("winrm".parse::<Connection>().is_err_and(|e| e.contains("'winrm'")));
        assert_eq!("community.general.doas".parse(), Ok(Method::Doas));
        assert!("runas".parse::<Method>().is_err_and(|e| e.contains("'runas'")));
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut p = ConnParams::ssh("h");
        p.password = Some(Secret::new("hunter2"));
        assert!(!format!("{p:?}").contains("hunter2"));
    }
}
