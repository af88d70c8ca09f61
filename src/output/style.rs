//! Ansible's colours.

/// What a text is, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Ok,
    Changed,
    Error,
    Unreachable,
    Skip,
    Verbose,
    Warn,
    Debug,
    Deprecate,
    Plain,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Ok => "0;32",
            Style::Changed => "0;33",
            Style::Error => "0;31",
            Style::Unreachable => "1;31",
            Style::Skip => "0;36",
            Style::Verbose => "0;34",
            Style::Warn => "1;35",
            Style::Debug => "1;30",
            Style::Deprecate => "0;35",
            Style::Plain => "",
        }
    }
    /// The text in this colour, in one piece.
    pub fn paint_whole(self, text: &str) -> String {
        format!("\x1b[{}m{text}\x1b[0m", self.code())
    }
    /// The text in this colour, line by line, if colours are wanted.
    pub fn paint(self, text: &str, color: bool) -> String {
        if !color || self == Style::Plain {
            return text.to_string();
        }
        text.split('\n').map(|l| format!("\x1b[{}m{l}\x1b[0m", self.code())).collect::<Vec<_>>().join("\n")
    }
}

/// Columns of the terminal on standard output, 80 if they cannot be had.
pub fn terminal_columns() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills the struct that the pointer names and nothing else
    let ok = unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &mut size) } == 0;
    if ok && size.ws_col > 0 { size.ws_col as usize } else { 80 }
}
