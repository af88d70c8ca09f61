//! Helpers that several modules share; one topic a file.

pub mod accounts;
pub mod exec;
pub mod glob;
pub mod homedir;
pub mod pytime;
pub mod rewrite;
pub mod shlex;
