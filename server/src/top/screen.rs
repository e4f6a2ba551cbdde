//! The terminal: how large it is, and the keys pressed there.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::read;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{self, Write};
use std::thread;
use std::time::Instant;

/// Another screen than the one with the shell's lines, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Moves to the corner and clears what is there.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Standard input and output. While this lives, keys come one by one and are not echoed, and what
/// is shown replaces what was there.
pub struct Screen {
    /// The terminal's modes before; `None` if standard input is no terminal.
    before: Option<Termios>,
    is_terminal: bool,
}

/// The result of waiting for a key.
pub enum Waited {
    /// This key was pressed.
    Key(u8),
    /// None was.
    OutOfTime,
    /// The terminal is gone.
    Gone,
}

impl Screen {
    pub fn new() -> Self {
        let before = isatty(stdin()).then(|| tcgetattr(stdin()).ok()).flatten();
        if let Some(before) = &before {
            let mut modes = before.clone();
            // Signals too come as keys, so that the modes are always put back.
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
        let is_terminal = isatty(stdout());
        if is_terminal {
            let _ = io::stdout().write_all(ENTER.as_bytes());
        }
        Self { before, is_terminal }
    }

    /// Whether somebody can press keys.
    pub fn takes_keys(&self) -> bool {
        self.before.is_some()
    }

    /// Waits for a key until `next`.
    pub fn key_before(&self, next: Instant) -> Waited {
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::OutOfTime;
            }
            if self.before.is_none() {
                thread::park_timeout(left);
                continue;
            }
            let timeout = Timespec::try_from(left).ok();
            let mut keys = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
            if !matches!(poll(&mut keys, timeout.as_ref()), Ok(1..)) {
                continue;
            }
            let mut key = [0];
            return match read(stdin(), &mut key) {
                Ok(1) => Waited::Key(key[0]),
                // For ever.
                _ => Waited::Gone,
            };
        }
    }

    /// Shows as much of a frame as fits; all of it, behind the one before, where there is no
    /// terminal.
    pub fn show(&self, output: &mut impl Write, frame: &str) -> io::Result<()> {
        if !self.is_terminal {
            return writeln!(output, "{frame}");
        }
        let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        match size {
            Some(size) => {
                let frame = fit(frame, size.ws_row.into(), size.ws_col.into());
                write!(output, "{CLEAR}{frame}")
            }
            None => write!(output, "{CLEAR}{frame}"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let mut output = io::stdout();
            let _ = output.write_all(LEAVE.as_bytes()).and_then(|()| output.flush());
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// The upper left corner of a frame. The last row has no line end, which would scroll the first
/// away.
fn fit(frame: &str, rows: usize, columns: usize) -> String {
    let lines = frame.lines().take(rows).map(|line| line.chars().take(columns).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_too_large_keeps_its_head() {
        let frame: String = (0..40).map(|row| format!("{row} {}\n", "x".repeat(100))).collect();
        let shown = fit(&frame, 24, 80);
        assert!(shown.starts_with("0 x") && !shown.ends_with('\n'));
        assert_eq!(shown.lines().count(), 24);
        assert!(shown.lines().all(|line| line.len() == 80));
        assert_eq!(fit("short\n", 24, 80), "short");
    }
}
