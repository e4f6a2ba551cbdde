//! `fanfare chat`: a terminal client. At a terminal the line being typed stays whole while messages
//! arrive; between pipes it copies lines.

use crate::codec::lines::append_text;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// Talks until the server or the person has had enough.
///
/// `nick` is the name to take; without one the server gives one.
pub fn run(server: &str, nick: Option<&str>) -> Result<(), String> {
    let socket = TcpStream::connect(server)
        .map_err(|error| format!("cannot connect to {server}: {error}"))?;
    let talk = || -> io::Result<()> {
        if let Some(nick) = nick {
            // A name with a line end in it would be a command of its own.
            let nick: String = nick.chars().filter(|character| !character.is_control()).collect();
            (&socket).write_all(format!("/nick {nick}\n").as_bytes())?;
        }
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            at_terminal(&socket)
        } else {
            between_pipes(&socket)
        }
    };
    talk().map_err(|error| format!("the connection to {server} broke: {error}"))
}

/// Standard input to the server, and the server to standard output, until the server closes.
fn between_pipes(socket: &TcpStream) -> io::Result<()> {
    let input = socket.try_clone()?;
    // Ends with the process: reading standard input cannot be interrupted.
    thread::Builder::new().name("standard input".into()).spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut &input);
        let _ = input.shutdown(Shutdown::Write);
    })?;
    let mut from_server = socket;
    let mut output = io::stdout().lock();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read_bytes = match from_server.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read_bytes) => read_bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let written = output.write_all(&buffer[..read_bytes]).and_then(|()| output.flush());
        if written.is_err() {
            // Whoever read our output is gone, which is how `| head` ends.
            return Ok(());
        }
    }
}

fn at_terminal(socket: &TcpStream) -> io::Result<()> {
    let mut editor = DefaultEditor::new().map_err(io::Error::other)?;
    let mut printer = editor.create_external_printer().map_err(io::Error::other)?;
    let from_server = BufReader::new(socket.try_clone()?);
    thread::Builder::new().name("from server".into()).spawn(move || {
        for line in from_server.split(b'\n') {
            let Ok(line) = line else { break };
            // A server that is not ours could send anything at all to this terminal.
            let mut shown = Vec::new();
            append_text(&mut shown, &line, usize::MAX);
            if printer.print(format!("{}\n", String::from_utf8_lossy(&shown))).is_err() {
                break;
            }
        }
        let _ =
            printer.print("(the server closed the connection; press Enter to end)\n".to_owned());
    })?;
    let mut to_server = socket;
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                let _ = editor.add_history_entry(&line);
                if to_server.write_all(format!("{line}\n").as_bytes()).is_err()
                    || line.trim().starts_with("/quit")
                {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => {
                return to_server.write_all(b"/quit\n");
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
