//! Helpers that several modules share; one topic a file.

pub mod accounts;
pub mod exec;
pub mod glob;
pub mod homedir;
pub mod pytime;
pub mod rewrite;
pub mod shlex;
//! What several modules share: users and groups without NSS, file modes, the common file arguments,
//! atomic replacement, digests, running programs, and Python's ways with text.

pub mod atomic;
pub mod attrs;
pub mod copytree;
pub mod digest;
pub mod fileargs;
pub mod mode;
pub mod names;
pub mod proc;
pub mod pytext;
pub mod selinux;
#[cfg(test)]
pub mod testkit;
pub mod textdiff;
pub mod times;
