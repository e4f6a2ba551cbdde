//! Standard output of a command.

use std::io::{self, ErrorKind, Stdout, Write};

/// Standard output, which remembers why it failed. Commands end quietly when they cannot write,
/// since whoever reads may have seen enough: `fanfare sub a | head -1`. A full disk is no such end.
pub struct Output {
    stdout: Stdout,
    problem: Option<String>,
}

impl Output {
    pub fn new() -> Self {
        Self { stdout: io::stdout(), problem: None }
    }

    /// Writes what is left. An error says what could not be written.
    pub fn close(mut self) -> Result<(), String> {
        // The problem is noted.
        let _ = self.flush();
        self.problem.map_or(Ok(()), |problem| Err(format!("cannot write the output: {problem}")))
    }

    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && ![ErrorKind::BrokenPipe, ErrorKind::Interrupted].contains(&error.kind())
        {
            self.problem.get_or_insert_with(|| error.to_string());
        }
        result
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stdout.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.stdout.flush();
        self.noted(flushed)
    }
}
