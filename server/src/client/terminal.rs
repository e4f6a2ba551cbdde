//! The client at a terminal: the line being typed stays whole while messages arrive, and a lost
//! connection comes back by itself.

use super::lines::ServerLines;
use super::place::Place;
use super::server::{Server, write_line};
use crate::chat::command::is_secret;
use crate::locks::lock;
use crate::transport::ClientStream;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two attempts to connect again.
const RETRY: Duration = Duration::from_secs(1);

/// How long the prompt waits for the answer to a command that changes the room.
const ANSWER: Duration = Duration::from_secs(5);

/// The state that both threads share.
struct Shared {
    place: Mutex<Place>,
    /// Notified when the server has said something.
    heard: Condvar,
    /// `None` while there is no connection.
    stream: Mutex<Option<Arc<ClientStream>>>,
}

/// Talks until the user ends it. `place` is what the lines so far have told.
pub fn run(
    server: Server,
    stream: Arc<ClientStream>,
    lines: ServerLines,
    place: Place,
) -> io::Result<()> {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<Names, DefaultHistory> =
        Editor::with_config(config).map_err(io::Error::other)?;
    let printer = editor.create_external_printer().map_err(io::Error::other)?;
    if let Some(room) = place.talks_in() {
        write_line(&stream, &format!("/who {room}"))?;
    }
    let shared = Arc::new(Shared {
        place: Mutex::new(place),
        heard: Condvar::new(),
        stream: Mutex::new(Some(stream)),
    });
    editor.set_helper(Some(Names(shared.clone())));
    let listening = shared.clone();
    // Ends with the process.
    thread::Builder::new()
        .name("from server".into())
        .spawn(move || listening.listen(&server, lines, printer))?;
    loop {
        let prompt = lock(&shared.place).prompt(usize::MAX);
        match editor.readline(&prompt) {
            Ok(line) => {
                if !is_secret(&line) {
                    let _ = editor.add_history_entry(&line);
                }
                shared.say(&line);
                if line.trim().starts_with("/quit") {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => {
                shared.say("/quit");
                return Ok(());
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

impl Shared {
    /// Says a line, and waits a moment for the answer if that says where the person talks.
    fn say(&self, line: &str) {
        let Some(stream) = lock(&self.stream).clone() else {
            // If the write fails, nobody is there to see it.
            let _ = writeln!(io::stdout(), "(not connected; that was not said)");
            return;
        };
        let moves = {
            let mut place = lock(&self.place);
            place.say(line);
            place.moves()
        };
        let moves_on = ["/join", "/leave", "/part"].iter().any(|it| line.trim().starts_with(it));
        // The listening thread notices that the connection is lost.
        if write_line(&stream, line).is_ok() && moves_on {
            let place = lock(&self.place);
            let is_waiting = |place: &mut Place| place.moves() == moves;
            // Out of time or answered: the prompt says what is known.
            drop(
                self.heard
                    .wait_timeout_while(place, ANSWER, is_waiting)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    /// Shows what the server says, and connects again when it has gone.
    fn listen(&self, server: &Server, mut lines: ServerLines, mut printer: impl ExternalPrinter) {
        loop {
            while let Ok(Some(line)) = lines.next() {
                let taken = lock(&self.place).take(&line);
                for line in taken.shown {
                    let _ = printer.print(format!("{line}\n"));
                }
                let stream = lock(&self.stream).clone();
                if let (Some(stream), Some(asked)) = (stream, taken.asked) {
                    // If it fails, the next read says so.
                    let _ = write_line(&stream, &asked);
                }
                self.heard.notify_all();
            }
            *lock(&self.stream) = None;
            let _ = printer.print("(the connection is lost; trying again)\n".to_owned());
            let back = lock(&self.place).lose();
            let stream = loop {
                match server.connect() {
                    Ok(stream) => break stream,
                    Err(_) => thread::park_timeout(RETRY),
                }
            };
            lines = ServerLines::new(&stream);
            // If it fails, the next read says so.
            let _ = back.iter().try_for_each(|line| write_line(&stream, line));
            *lock(&self.stream) = Some(stream);
        }
    }
}

/// Completes names.
struct Names(Arc<Shared>);

impl Helper for Names {}

impl Highlighter for Names {
    /// The prompt names the room that the person talks in now. Its width stays until the next line,
    /// for the editor has measured it; so with names whose width we cannot tell it stays whole.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, own: bool) -> Cow<'b, str> {
        let now = lock(&self.0.place).prompt(prompt.len());
        if own && now.is_ascii() && prompt.is_ascii() {
            Cow::Owned(format!("{now:<width$}", width = prompt.len()))
        } else {
            Cow::Borrowed(prompt)
        }
    }
}

impl Validator for Names {}

impl Hinter for Names {
    type Hint = String;
}

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(lock(&self.0.place).complete(&line[..position]))
    }
}
