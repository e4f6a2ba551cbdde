//! `fanfare chat`: a terminal client. At a terminal the line being typed stays whole while messages
//! arrive; between pipes it copies lines.

use crate::chat::command::is_secret;
use crate::codec::lines::append_text;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

/// How long the server may take to answer the request for a name.
const NICK_WAIT: Duration = Duration::from_secs(10);

/// The longest piece of a line from the server that is shown on one line.
const SHOWN_BYTES: u64 = 64 * 1024;

/// Talks until the server or the user ends the connection.
///
/// `nick` is the name to take; without one the server picks one.
///
/// # Errors
/// What went wrong, in one sentence: no connection, or the server refuses the name.
pub fn run(server: &str, nick: Option<&str>) -> Result<(), String> {
    let socket = TcpStream::connect(server)
        .map_err(|error| format!("cannot connect to {server}: {error}"))?;
    let broke = |error: io::Error| format!("the connection to {server} broke: {error}");
    let mut lines = ServerLines::new(socket.try_clone().map_err(broke)?);
    if let Some(nick) = nick {
        take_name(&socket, &mut lines, nick).map_err(broke)??;
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        at_terminal(&socket, lines).map_err(broke)
    } else {
        between_pipes(&socket, lines).map_err(broke)
    }
}

/// Asks for the name and shows what comes until the answer. A script must not go on under a name
/// that it did not ask for.
fn take_name(
    mut socket: &TcpStream,
    lines: &mut ServerLines,
    nick: &str,
) -> io::Result<Result<(), String>> {
    // A name with a line end in it would be a command of its own.
    let nick: String = nick.chars().filter(|character| !character.is_control()).collect();
    socket.write_all(format!("/nick {nick}\n").as_bytes())?;
    socket.set_read_timeout(Some(NICK_WAIT))?;
    let mut output = io::stdout().lock();
    while let Some(line) = lines.next()? {
        if let Some(problem) = line.strip_prefix("! ") {
            return Ok(Err(format!("the server refuses the name {nick}: {}", problem.trim_end())));
        }
        // Whoever reads our output may be gone; the name still matters to those who are told.
        let _ = output.write_all(line.as_bytes());
        if line.starts_with("* you are now ") || line.ends_with(" already\n") {
            socket.set_read_timeout(None)?;
            let _ = output.flush();
            return Ok(Ok(()));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Standard input to the server, and the server to standard output, until the server closes.
fn between_pipes(socket: &TcpStream, mut lines: ServerLines) -> io::Result<()> {
    let to_server = socket.try_clone()?;
    // Ends with the process: reading standard input cannot be interrupted.
    thread::Builder::new().name("standard input".into()).spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut &to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    })?;
    let mut output = io::stdout().lock();
    while let Some(line) = lines.next()? {
        let written = output.write_all(line.as_bytes());
        if written.and_then(|()| output.flush()).is_err() {
            // Whoever reads our output is gone, which is how `| head` ends.
            break;
        }
    }
    Ok(())
}

fn at_terminal(mut socket: &TcpStream, mut lines: ServerLines) -> io::Result<()> {
    let mut editor = DefaultEditor::new().map_err(io::Error::other)?;
    let mut printer = editor.create_external_printer().map_err(io::Error::other)?;
    socket.write_all(b"/time on\n")?;
    thread::Builder::new().name("from server".into()).spawn(move || {
        while let Ok(Some(line)) = lines.next() {
            if printer.print(line).is_err() {
                break;
            }
        }
        let _ =
            printer.print("(the server closed the connection; press Enter to end)\n".to_owned());
    })?;
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                if !is_secret(&line) {
                    let _ = editor.add_history_entry(&line);
                }
                if socket.write_all(format!("{line}\n").as_bytes()).is_err()
                    || line.trim().starts_with("/quit")
                {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => {
                return socket.write_all(b"/quit\n");
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// What the server says, line by line, made harmless: a server that is not ours could send anything
/// at all to this terminal.
struct ServerLines {
    socket: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl ServerLines {
    fn new(socket: TcpStream) -> Self {
        Self { socket: BufReader::new(socket), line: Vec::new() }
    }

    /// The next line with its end; `None` when the server has closed.
    fn next(&mut self) -> io::Result<Option<String>> {
        self.line.clear();
        (&mut self.socket).take(SHOWN_BYTES).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let mut shown = Vec::with_capacity(self.line.len() + 1);
        append_text(&mut shown, line.strip_suffix(b"\r").unwrap_or(line), usize::MAX);
        shown.push(b'\n');
        Ok(Some(String::from_utf8_lossy(&shown).into_owned()))
    }
}
