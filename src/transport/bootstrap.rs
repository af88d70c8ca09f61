//! Starting an agent on a channel: one shell script finds it in its cache, receives it if it is not there,
//! verifies it and becomes it. A run that finds the agent costs one round trip and uploads nothing.

use super::channel::{Channel, Exit, Tail};
use super::escalation;
use super::locate::{AgentFile, Form};
use super::{Become, CallError};
use crate::agent::MAGIC;
use crate::modules::support::shlex::quote;
use crate::seconds;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Login shells may say this much before the agent speaks.
const NOISE: usize = 256 << 10;

/// The directories tried for the agent, `$T` being the remote temporary directory.
const PLACES: &str =
    r#""$T/dirigo-$u" "/var/tmp/.dirigo-$u" "/dev/shm/.dirigo-$u" "/run/user/$u/dirigo" "/tmp/.dirigo-$u""#;

/// Works in dash, bash and busybox; without single quotes, backslashes and exclamation marks, so that any
/// login shell passes it on unharmed. A directory or file that is not ours alone is never used: whoever
/// else could write there could replace the agent.
fn script() -> String {
    const TEXT: &str = r#"
k=$1 H=$2 T=$3 X=$4; shift 4; u=$(id -u);
case $T in *[$]*) T=$(eval echo "$T");; esac;
own() { set -- "$2" $(LC_ALL=C ls -ldn "$1" 2>/dev/null); [ "$4" = "$u" ] && case $2 in "$1"|"$1".) ;; *) false;; esac; };
both() { set -- "$1" "$2" $(LC_ALL=C ls -ldn "$1" "$2" 2>/dev/null); [ $# = 20 ] || { own "$1" drwx------ && own "$2" -rwx------; return; };
[ "$5.${14}" = "$u.$u" ] && case $3${12} in drwx-------rwx------|drwx------.-rwx------|drwx-------rwx------.|drwx------.-rwx------.) ;; *) false;; esac; };
mine() { [ -O "$1" ] || { set -- $(LC_ALL=C ls -ldn "$1"); [ "$3" = "$u" ]; }; } 2>/dev/null;
sum() { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1" 2>/dev/null || openssl dgst -r -sha256 "$1" 2>/dev/null; };
same() { case $(sum "$1") in "$H"*) ;; *) false;; esac; };
case $T in "~"*) if mine "$HOME/."; then T=$HOME${T#?}; else T=/dev/null; fi;; esac;
for d in PLACES; do f=$d/agent-$H; case "$X" in *":$d:"*) ;; *)
[ -x "$f" ] && both "$d" "$f" && same "$f" && exec "$f" __agent "$@";; esac; done;
m=$(umask); umask 077;
for d in PLACES; do case "$X" in *":$d:"*) continue;; esac;
mkdir -p "$d" 2>/dev/null; own "$d" drwx------ || continue;
t=$d/up-$$; rm -f "$t"; { echo exit 0 > "$t" && chmod 700 "$t" && "$t"; } 2>/dev/null || { rm -f "$t"; continue; };
z=cat; gzip -c </dev/null >/dev/null 2>&1 && z="gzip -dc";
echo; echo "$k SEND $(uname -s) $(uname -m) ${z%% *}"; read -r N;
head -c "$N" 2>/dev/null | $z 2>/dev/null > "$t"; f=$d/agent-$H;
if same "$t" && mv -f "$t" "$f"; then
find "$d" -name "agent-*" -mtime +7 -exec rm -f {} ";" 2>/dev/null; find "$d" -name "up-*" -mtime +0 -exec rm -f {} ";" 2>/dev/null;
umask "$m"; exec "$f" __agent "$@"; fi;
rm -f "$t"; sum /dev/null >/dev/null || { echo "$k NOSUM"; exit 1; }; echo "$k FAIL $d"; exit 1; done;
echo; echo "$k NOPLACE $(uname -s) $(uname -m)"; exit 1
"#;
    TEXT.replace("PLACES", PLACES).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What decides the command that starts an agent.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    pub agent: &'a AgentFile,
    pub token: &'a str,
    pub remote_tmp: &'a str,
    pub escalate: Option<&'a Become>,
    /// Directories that failed already.
    pub skip: &'a [String],
    /// Ask for the password on a terminal that another agent provides.
    pub terminal: bool,
}

impl Start<'_> {
    /// The shell command.
    pub fn command(&self) -> String {
        let agent = self.shell(&format!("serve {}", quote(self.token)));
        let Some(b) = self.escalate else { return format!("exec {agent}") };
        let wrapped = escalation::wrap(b, &self.prompt(), &format!("exec {agent}"));
        if !self.terminal {
            return format!("exec {wrapped}");
        }
        format!(
            "exec {}",
            self.shell(&format!("tty {} -- /bin/sh -c {}", quote(self.token), quote(&format!("exec {wrapped}"))))
        )
    }

    fn shell(&self, agent_args: &str) -> String {
        let skip: String = self.skip.iter().map(|d| format!(":{d}:")).collect();
        format!(
            "/bin/sh -c '{}' sh {} {} {} {} {agent_args}",
            script(),
            quote(self.token),
            self.agent.sha256,
            quote(self.remote_tmp),
            quote(&skip)
        )
    }

    fn prompt(&self) -> String {
        format!("[sudo via dirigo, key={}] password:", self.token)
    }
}

/// Why there is no agent.
#[derive(Debug)]
pub enum StartError {
    /// Try again without this directory.
    Place(String),
    /// Try again with a terminal for the password.
    Terminal,
    Call(CallError),
}

impl From<CallError> for StartError {
    fn from(e: CallError) -> StartError {
        StartError::Call(e)
    }
}

/// An agent that has said its magic word: the channel, what came after the word, and its stderr so far.
pub struct Started {
    pub channel: Channel,
    pub early: Vec<u8>,
    pub stderr: Tail,
}

/// Speaks with the script until the agent has taken over. `seconds` is `ansible_timeout`.
pub async fn run(mut channel: Channel, start: &Start<'_>, seconds: u64) -> Result<Started, StartError> {
    let mut talk = Talk { start, tail: Tail::default(), errors: String::new(), asked: 0, heard: vec![], noise: 0 };
    let patience = seconds::whole(seconds.max(1).saturating_add(20));
    let mut end = Instant::now() + patience;
    let (mut out, mut err) = (vec![0u8; 16 << 10], vec![0u8; 4 << 10]);
    let mut err_open = true;
    loop {
        let step = async {
            tokio::select! {
                n = channel.stdout.read(&mut out) => (true, n.unwrap_or(0)),
                n = channel.stderr.read(&mut err), if err_open => (false, n.unwrap_or(0)),
            }
        };
        let Ok((is_out, n)) = timeout_at(end, step).await else {
            return Err(talk.too_late(seconds).into());
        };
        if !is_out {
            err_open = n > 0;
            if talk.hear_error(err.get(..n).unwrap_or(&[]))? {
                let line = start.escalate.and_then(|b| b.password.as_ref()).map(|p| format!("{}\n", p.reveal()));
                send(&mut channel, line.unwrap_or_default().as_bytes()).await?;
            }
            continue;
        }
        if n == 0 {
            return Err(talk.ended(channel).await);
        }
        talk.heard.extend_from_slice(out.get(..n).unwrap_or(&[]));
        while let Some(word) = talk.next_word()? {
            match word {
                Word::Hello => return Ok(Started { early: talk.heard, stderr: talk.tail, channel }),
                Word::TerminalReady => {
                    let line = start.escalate.and_then(|b| b.password.as_ref()).map(|p| p.reveal()).unwrap_or("");
                    send(&mut channel, format!("{line}\n").as_bytes()).await?;
                }
                Word::Send { packed } => {
                    upload(&mut channel, start.agent, packed).await?;
                    end = Instant::now() + patience;
                }
            }
        }
    }
}

/// Waits for the magic word of an agent that was started without the script.
pub async fn await_hello(
    channel: &mut Channel,
    token: &str,
    tail: &Tail,
    patience: Duration,
) -> Result<Vec<u8>, CallError> {
    let end = Instant::now() + patience;
    let word = format!("\n{token} {MAGIC}\n").into_bytes();
    let (mut heard, mut part) = (vec![], vec![0u8; 4096]);
    while !heard.starts_with(&word) {
        let n = timeout_at(end, channel.stdout.read(&mut part)).await.map(|n| n.unwrap_or(0)).unwrap_or(0);
        heard.extend_from_slice(part.get(..n).unwrap_or(&[]));
        if n == 0 || heard.len() > NOISE {
            while let Ok(Ok(n @ 1..)) =
                tokio::time::timeout(Duration::from_secs(1), channel.stderr.read(&mut part)).await
            {
                tail.push(part.get(..n).unwrap_or(&[]));
            }
            return Err(CallError::Failed(format!("the agent could not be started here: {}", tail.text())));
        }
    }
    Ok(heard.split_off(word.len()))
}

async fn send(channel: &mut Channel, bytes: &[u8]) -> Result<(), CallError> {
    // A broken pipe shows as the end of stdout right after.
    let _ = channel.stdin.write_all(bytes).await;
    let _ = channel.stdin.flush().await;
    Ok(())
}

/// Sends how many bytes follow, on a line, and the bytes.
async fn upload(channel: &mut Channel, agent: &AgentFile, packed: bool) -> Result<(), CallError> {
    let file = agent.clone();
    let read = tokio::task::spawn_blocking(move || file.bytes(if packed { Form::Gzip } else { Form::Plain }))
        .await
        .map_err(std::io::Error::other);
    let bytes =
        read.and_then(|r| r).map_err(|e| CallError::Failed(format!("the agent {} cannot be read: {e}", agent.path)))?;
    send(channel, format!("{}\n", bytes.len()).as_bytes()).await?;
    for part in bytes.chunks(128 << 10) {
        match tokio::time::timeout(Duration::from_secs(60), channel.stdin.write_all(part)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(CallError::Unreachable("the host stopped taking the agent's file".into())),
        }
    }
    Ok(())
}

enum Word {
    Hello,
    /// The agent's file is wanted, compressed or as it is.
    Send {
        packed: bool,
    },
    TerminalReady,
}

/// What was heard on a channel so far.
struct Talk<'a> {
    start: &'a Start<'a>,
    tail: Tail,
    /// All of stderr that matters, bounded.
    errors: String,
    asked: usize,
    heard: Vec<u8>,
    noise: usize,
}

impl Talk<'_> {
    /// Takes words of stderr; true if the password is to be given now.
    fn hear_error(&mut self, bytes: &[u8]) -> Result<bool, StartError> {
        self.tail.push(bytes);
        let text = String::from_utf8_lossy(bytes);
        self.errors.push_str(&text);
        if self.errors.len() > 32 << 10 {
            self.errors = self.tail.text();
        }
        let Some(b) = self.start.escalate else { return Ok(false) };
        let prompt = self.start.prompt();
        if !escalation::asks(b.method, &prompt, &self.errors) {
            return Ok(false);
        }
        self.asked += 1;
        // Taken out, so that it is not found again and not shown to anybody.
        self.errors = self.errors.replace(&prompt, "").trim_end().to_string() + "\n";
        match escalation::refusal(b, &self.errors, self.asked) {
            Some(why) => Err(CallError::Failed(why).into()),
            None => Ok(b.password.is_some()),
        }
    }

    /// The next line that is meant for us.
    fn next_word(&mut self) -> Result<Option<Word>, StartError> {
        while let Some(end) = self.heard.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // A shell without line end before our word is still understood.
            let Some((_, words)) = line.split_once(self.start.token) else {
                self.noise += line.len();
                continue;
            };
            let words: Vec<&str> = words.split_whitespace().collect();
            match words.as_slice() {
                [MAGIC] => return Ok(Some(Word::Hello)),
                ["TTY"] => return Ok(Some(Word::TerminalReady)),
                ["SEND", system, machine, how] => {
                    self.check_machine(system, machine)?;
                    return Ok(Some(Word::Send { packed: *how == "gzip" }));
                }
                ["FAIL", dir @ ..] => return Err(StartError::Place(dir.join(" "))),
                ["NOPLACE", system, machine] => {
                    self.check_machine(system, machine)?;
                    let text = "no directory on the host can hold the agent: the remote temporary directory, /var/tmp, \
                                /dev/shm, /run/user and /tmp are not writable, not executable or not ours";
                    return Err(CallError::Failed(text.into()).into());
                }
                ["NOSUM"] => {
                    let text = "the host has none of sha256sum, shasum and openssl to verify the agent with";
                    return Err(CallError::Failed(text.into()).into());
                }
                _ => self.noise += line.len(),
            }
        }
        if self.noise + self.heard.len() > NOISE {
            let text = "the host talks without end instead of starting the agent";
            return Err(CallError::Unreachable(text.into()).into());
        }
        Ok(None)
    }

    fn check_machine(&self, system: &str, machine: &str) -> Result<(), CallError> {
        let ours = self.start.agent.machine;
        if system == "Linux" && machine == ours {
            return Ok(());
        }
        Err(CallError::Failed(format!(
            "the host is {system} on {machine}, the agent is for Linux on {ours}; only raw works there"
        )))
    }

    fn too_late(&self, seconds: u64) -> CallError {
        match self.start.escalate {
            Some(_) => CallError::Failed(format!(
                "Timeout ({}s) waiting for privilege escalation prompt: {}",
                seconds.saturating_add(20),
                self.errors.trim()
            )),
            None => CallError::ssh(format!(
                "the host did not start the agent within {} seconds {}",
                seconds.saturating_add(20),
                self.errors.trim()
            )),
        }
    }

    /// The channel ended before the agent spoke.
    async fn ended(mut self, mut channel: Channel) -> StartError {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut part = vec![0u8; 4096];
        while let Ok(Ok(n @ 1..)) = timeout_at(deadline, channel.stderr.read(&mut part)).await {
            if let Err(e) = self.hear_error(part.get(..n).unwrap_or(&[])) {
                return e;
            }
        }
        let exit = timeout_at(deadline, &mut channel.exit).await.ok().and_then(Result::ok);
        let words = self.errors.trim();
        if let Some(Exit::Lost(why)) = exit {
            return CallError::ssh(if words.is_empty() { &why } else { words }).into();
        }
        if let Some(b) = self.start.escalate {
            if !self.start.terminal && b.password.is_some() && escalation::wants_terminal(words) {
                return StartError::Terminal;
            }
            if let Some(why) = escalation::refusal(b, words, self.asked) {
                return CallError::Failed(why).into();
            }
        }
        let code = match exit {
            Some(Exit::Code(c)) => format!(" (exit code {c})"),
            Some(Exit::Signal(s)) => format!(" (killed by signal {s})"),
            _ => String::new(),
        };
        let heard = String::from_utf8_lossy(&self.heard);
        let words = if words.is_empty() { heard.trim() } else { words };
        let dynamic = if self.start.agent.dynamic {
            "; the agent is linked dynamically: build it static, as .cargo/config.toml of the source does"
        } else {
            ""
        };
        CallError::Failed(format!("the agent could not be started on the host{code}: {words}{dynamic}")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_passes_any_login_shell() {
        let s = script();
        assert!(!s.contains(['\'', '\\', '!', '\n']), "{s}");
    }
}
