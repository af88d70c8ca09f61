//! Dirigo: a drop-in replacement for Ansible's playbook engine.
//!
//! The rooms, from the ground up: [`value`], [`diag`], [`proto`] and [`seconds`] know nothing; [`yaml`],
//! [`settings`], [`facts`], [`template`] and [`modules`] know values and spans; [`inventory`], [`playbook`], [`vars`] and
//! [`vault`] know nodes and templates, [`galaxy`] brings roles and collections; [`actions`], [`transport`] and [`agent`] know requests;
//! [`executor`] knows plays; [`output`] and [`cli`] know everything and are known by nobody.

pub mod actions;
pub mod agent;
pub mod cli;
#[cfg(test)]
mod damage;
pub mod diag;
pub mod executor;
pub mod facts;
pub mod galaxy;
pub mod inventory;
pub mod modules;
pub mod output;
pub mod playbook;
pub mod proto;
pub mod pyjson;
mod pylines;
pub mod seconds;
pub mod settings;
pub mod template;
pub mod transport;
pub mod value;
pub mod vars;
pub mod vault;
pub mod yaml;
