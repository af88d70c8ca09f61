//! Layers of variables in Ansible's order of precedence; looked up, never merged or copied.
//!
//! Order after <https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_variables.html#understanding-variable-precedence>.

mod magic;
mod store;
mod view;

pub use magic::{ANSIBLE_VERSION, Globals, RunInfo};
pub use store::{HostStore, PlayVars, Store};
pub use view::View;
