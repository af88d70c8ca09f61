//! The operator's terminal: keys as they are pressed, with a deadline, and lines typed in secret.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Result, Write};
use std::os::fd::AsFd;
use std::time::Instant;

const INTERRUPT: u8 = 3;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

/// Whether somebody is there to answer: stdin is a terminal, and this process may read from it.
pub fn is_interactive() -> bool {
    let stdin = std::io::stdin();
    stdin.is_terminal() && nix::unistd::tcgetpgrp(&stdin).is_ok_and(|g| g == nix::unistd::getpgrp())
}

/// How a line ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Typed(String),
    Interrupted,
    /// The deadline came first; what was typed is dropped.
    Late,
}

/// The terminal on stdin, giving its keys one by one and showing none; as it was before once this is dropped.
pub struct Keys {
    before: Termios,
}

impl Keys {
    /// Errors: stdin is no terminal.
    pub fn take() -> Result<Keys> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut t = before.clone();
        t.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
        t.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        t.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&stdin, SetArg::TCSADRAIN, &t)?;
        Ok(Keys { before })
    }

    /// The next key; nothing if the deadline comes first. The end of the terminal counts as an interruption.
    pub fn next(&self, deadline: Option<Instant>) -> Result<Option<u8>> {
        let stdin = std::io::stdin();
        loop {
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some(d) => {
                    let left = d.saturating_duration_since(Instant::now());
                    // rounded up, so that the loop does not spin through the last millisecond
                    PollTimeout::try_from(left.as_millis().saturating_add(1).min(60_000)).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
                Ok(0) if deadline.is_some_and(|d| Instant::now() >= d) => return Ok(None),
                Ok(0) => continue,
                Ok(_) => {}
            }
            let mut key = [0];
            // past the buffer of std's stdin: what it holds back could not be waited for
            return match nix::unistd::read(&stdin, &mut key) {
                Err(nix::errno::Errno::EINTR) => continue,
                Ok(0) | Err(nix::errno::Errno::EIO) => Ok(Some(INTERRUPT)),
                Err(e) => Err(e.into()),
                Ok(_) => Ok(Some(key[0])),
            };
        }
    }

    /// One line, shown as it is typed if `echo`. With a deadline the line cannot be ended by a key, only interrupted.
    pub fn line(&self, echo: bool, deadline: Option<Instant>) -> Result<Line> {
        let mut typed: Vec<u8> = vec![];
        loop {
            let Some(key) = self.next(deadline)? else { return Ok(Line::Late) };
            match key {
                INTERRUPT => {
                    show(b"\r\x1b[K")?;
                    return Ok(Line::Interrupted);
                }
                b'\n' | b'\r' if deadline.is_none() => {
                    show(b"\n")?;
                    return Ok(Line::Typed(String::from_utf8_lossy(&typed).into_owned()));
                }
                _ if deadline.is_some() => {}
                BACKSPACE | DELETE => {
                    // a character may have several bytes
                    while typed.pop().is_some_and(|b| b & 0xC0 == 0x80) {}
                    if echo {
                        show(b"\r\x1b[K")?;
                        show(&typed)?;
                    }
                }
                key => {
                    typed.push(key);
                    if echo && !key.is_ascii_control() {
                        show(&[key])?;
                    }
                }
            }
        }
    }

    /// Waits for one of these letters, whatever their case.
    pub fn choice(&self, letters: &[u8]) -> Result<u8> {
        loop {
            let key = self.next(None)?.unwrap_or(INTERRUPT).to_ascii_lowercase();
            if letters.contains(&key) {
                return Ok(key);
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

fn show(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(bytes)?;
    out.flush()
}
