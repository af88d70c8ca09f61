//! Helpers that several modules share; one topic a file.

pub mod accounts;
pub mod atomic;
pub mod attrs;
pub mod charset;
pub mod copytree;
pub mod crypt;
pub mod digest;
pub mod edit;
pub mod exec;
pub mod fileargs;
pub mod glob;
pub mod homedir;
pub mod http;
mod http_socket;
pub mod http_tls;
pub mod localtime;
pub mod mode;
pub mod partial;
pub mod pep440;
pub mod pyre;
pub mod pytext;
pub mod pytime;
pub mod selinux;
pub mod shlex;
#[cfg(test)]
pub mod testkit;
pub mod textdiff;
pub mod times;
#[cfg(test)]
pub mod toolkit;
pub mod webargs;
