//! Commands that become another user, and what their words mean.

use super::{Become, Method};
use crate::modules::support::shlex::quote;

/// The shell command that runs `command` (itself a shell command) as the other user. `prompt` marks the
/// question for a password where the method can be told what to ask.
pub fn wrap(b: &Become, prompt: &str, command: &str) -> String {
    let exe = b.exe.as_deref().unwrap_or(b.method.name());
    let user = quote(&b.user);
    match b.method {
        Method::Sudo => {
            let given = b.flags.as_deref().unwrap_or("-H -S -n");
            let mut flags: Vec<&str> = given.split_whitespace().collect();
            let ask = if b.password.is_some() {
                flags.retain(|f| *f != "-n");
                if !flags.contains(&"-S") {
                    flags.push("-S");
                }
                format!("-p {} ", quote(prompt))
            } else {
                String::new()
            };
            format!("{exe} {} {ask}-u {user} /bin/sh -c {}", flags.join(" "), quote(command))
        }
        Method::Su => {
            let flags = b.flags.as_deref().unwrap_or("");
            format!("{exe} {flags} {user} -c {}", quote(&format!("/bin/sh -c {}", quote(command))))
        }
        Method::Doas => {
            let flags = b.flags.as_deref().unwrap_or("");
            let quiet = if b.password.is_none() && !flags.split_whitespace().any(|f| f == "-n") { "-n " } else { "" };
            format!("{exe} {flags} {quiet}-u {user} /bin/sh -c {}", quote(command))
        }
    }
}

/// True if these words of the method end in its question for a password.
pub fn asks(method: Method, prompt: &str, words: &str) -> bool {
    match method {
        Method::Sudo => words.contains(prompt),
        // Translated and without a mark of ours: whatever ends in a colon and no line end.
        Method::Su | Method::Doas => {
            let end = words.trim_end_matches([' ', '\u{a0}']);
            end.ends_with([':', '：']) && !words.ends_with('\n')
        }
    }
}

/// True if the method wants a terminal to ask on.
pub fn wants_terminal(words: &str) -> bool {
    ["must have a tty", "a terminal is required", "must be run from a terminal", "a tty is required"]
        .iter()
        .any(|w| words.contains(w))
}

/// Ansible's words for a password that is wrong or missing, if that is what happened.
pub fn refusal(b: &Become, words: &str, asked: usize) -> Option<String> {
    let name = b.method.name();
    let wrong: &[&str] = match b.method {
        Method::Sudo => &["Sorry, try again.", "incorrect password attempt"],
        Method::Su => &["Authentication failure", "incorrect password", "Sorry", "Permission denied"],
        Method::Doas => &["Authentication failed", "Permission denied"],
    };
    let missing: &[&str] = match b.method {
        Method::Sudo => &["a password is required", "no password was provided", "no askpass program"],
        Method::Su => &["Authentication failure", "must be run from a terminal", "Sorry", "Permission denied"],
        Method::Doas => &["Authorization required", "Authentication required", "a tty is required"],
    };
    let says = |list: &[&str]| list.iter().any(|w| words.contains(w));
    match &b.password {
        Some(_) if asked > 1 || says(wrong) || (asked > 0 && says(missing)) => {
            Some(format!("Incorrect {name} password"))
        }
        None if asked > 0 || says(missing) || says(wrong) => Some(format!("Missing {name} password")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Secret;

    #[test]
    fn sudo_lines() {
        let mut b = Become::new(Method::Sudo, "root");
        assert_eq!(wrap(&b, "P", "id -u"), "sudo -H -S -n -u root /bin/sh -c 'id -u'");
        b.password = Some(Secret::new("geheim"));
        b.user = "o'hara".into();
        let line = wrap(&b, "[P]:", "id");
        assert_eq!(line, r#"sudo -H -S -p '[P]:' -u 'o'"'"'hara' /bin/sh -c id"#);
        assert!(!line.contains("geheim"));
        b.flags = Some("-i".into());
        b.exe = Some("/opt/sudo".into());
        assert!(wrap(&b, "P", "id").starts_with("/opt/sudo -i -S -p P -u"));
    }

    #[test]
    fn su_and_doas_lines() {
        let b = Become::new(Method::Su, "bob");
        assert_eq!(wrap(&b, "", "id"), "su  bob -c '/bin/sh -c id'");
        let b = Become::new(Method::Doas, "bob");
        assert_eq!(wrap(&b, "", "id"), "doas  -n -u bob /bin/sh -c id");
    }

    #[test]
    fn words_of_refusal() {
        let mut b = Become::new(Method::Sudo, "root");
        assert_eq!(refusal(&b, "sudo: a password is required", 0).as_deref(), Some("Missing sudo password"));
        assert_eq!(refusal(&b, "ops is not in the sudoers file.", 0), None);
        b.password = Some(Secret::new("x"));
        assert_eq!(refusal(&b, "Sorry, try again.", 1).as_deref(), Some("Incorrect sudo password"));
        assert!(asks(Method::Su, "", "Passwort: "));
        assert!(!asks(Method::Su, "", "su: warning: cannot change directory:\n"));
    }
}
