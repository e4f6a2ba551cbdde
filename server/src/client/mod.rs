//! `fanfare chat`: a terminal client. At a terminal the line being typed stays whole while messages
//! arrive, and a lost connection comes back; between pipes it copies lines.

mod lines;
mod place;
mod server;
mod terminal;

use crate::transport::ClientStream;
use lines::ServerLines;
use place::Place;
pub use server::Server;
use server::{PATIENCE, write_line};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread;

/// Talks until the user ends it; between pipes, until the server or the user does.
///
/// `nick` is the name to take; without one the server picks one.
pub fn run(server: Server, nick: Option<&str>) -> Result<(), String> {
    let address = server.address.clone();
    let stream =
        server.connect().map_err(|error| format!("cannot connect to {address}: {error}"))?;
    let broke = |error: io::Error| format!("the connection to {address} broke: {error}");
    let (mut lines, mut place) = (ServerLines::new(&stream), Place::default());
    if let Some(nick) = nick {
        take_name(&stream, &mut lines, nick, &mut place).map_err(broke)??;
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        greeted(&stream, &mut lines, &mut place).map_err(broke)?;
        terminal::run(server, stream, lines, place).map_err(broke)
    } else {
        between_pipes(&stream, lines).map_err(broke)
    }
}

/// Asks for the name and shows what comes until the answer. A script must not go on under a name
/// that it did not ask for.
fn take_name(
    stream: &ClientStream,
    lines: &mut ServerLines,
    nick: &str,
    place: &mut Place,
) -> io::Result<Result<(), String>> {
    // A name with a line end in it would be a command of its own.
    let nick: String = nick.chars().filter(|character| !character.is_control()).collect();
    write_line(stream, &format!("/nick {nick}"))?;
    stream.set_patience(Some(PATIENCE))?;
    let mut output = io::stdout().lock();
    while let Some(line) = lines.next()? {
        if let Some(problem) = line.strip_prefix("! ") {
            return Ok(Err(format!("the server refuses the name {nick}: {}", problem.trim_end())));
        }
        place.take(&line);
        // The reader of our output may be gone; the name still matters to people in the room.
        let _ = writeln!(output, "{line}");
        if line.starts_with("* you are now ") || line.ends_with(" already") {
            stream.set_patience(None)?;
            let _ = output.flush();
            return Ok(Ok(()));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Asks for the times of lines, and shows the first line that comes. A connection that ends before
/// it is not tried again.
fn greeted(stream: &ClientStream, lines: &mut ServerLines, place: &mut Place) -> io::Result<()> {
    write_line(stream, "/time iso")?;
    stream.set_patience(Some(PATIENCE))?;
    let line = lines.next()?;
    stream.set_patience(None)?;
    for shown in line.into_iter().flat_map(|line| place.take(&line).shown) {
        let _ = writeln!(io::stdout(), "{shown}");
    }
    Ok(())
}

/// Standard input to the server, and the server to standard output, until the server closes.
fn between_pipes(stream: &Arc<ClientStream>, mut lines: ServerLines) -> io::Result<()> {
    let to_server = stream.clone();
    // Ends with the process: reading standard input cannot be interrupted.
    thread::Builder::new().name("standard input".into()).spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut &*to_server);
        to_server.finish();
    })?;
    let mut output = io::stdout().lock();
    while let Some(line) = lines.next()? {
        let written = writeln!(output, "{line}");
        if written.and_then(|()| output.flush()).is_err() {
            // The reader of our output is gone, which is how `| head` ends.
            break;
        }
    }
    Ok(())
}
