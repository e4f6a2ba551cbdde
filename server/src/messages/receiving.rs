//! `fanfare sub`, `request` and `reply`.

use super::connection::{Connection, Message, Outgoing};
use super::options::{ReplyOptions, RequestOptions, ShowOptions, SubOptions, check_subject};
use super::show::show;
use crate::codec::nats::read_headers;
use std::hash::{BuildHasher, RandomState};
use std::io::{Write, stderr};
use std::time::Duration;

/// The status of the server's own answer when nobody subscribes.
const NO_RESPONDERS: &str = "503";

/// Shows messages until enough have come.
pub fn subscribe(options: &SubOptions, output: &mut impl Write) -> Result<(), String> {
    let mut connection = Connection::open(&options.server)?;
    for (sid, subject) in options.subjects.iter().enumerate() {
        connection.subscribe(subject, options.queue.as_deref(), sid + 1)?;
    }
    let mut shown = Shown::new(&options.show, options.count);
    listen(&mut connection, &options.subjects.join(", "), &mut shown, output, |_, _| Ok(()))
}

/// Answers requests until enough have come.
pub fn reply(options: &ReplyOptions, output: &mut impl Write) -> Result<(), String> {
    let mut connection = Connection::open(&options.server)?;
    connection.subscribe(&options.subject, Some(&options.queue), 1)?;
    let mut shown = Shown::new(&options.show, options.count);
    listen(&mut connection, &options.subject, &mut shown, output, |connection, asked| {
        let Some(subject) = asked.head.reply_to.as_deref() else { return Ok(()) };
        let payload = options.answer.as_ref().map_or(asked.payload.as_slice(), String::as_bytes);
        let mut out = Vec::new();
        Outgoing { subject, reply_to: None, headers: &[], payload }.append(&mut out);
        connection.write(&out)
    })
}

/// Sends a request and shows the answers.
pub fn request(options: &RequestOptions, output: &mut impl Write) -> Result<(), String> {
    let message = &options.message;
    check_subject(&message.subject)?;
    let payload = message.payload()?;
    let mut connection = Connection::open(&options.server)?;
    let inbox = format!("_INBOX.{:016x}", RandomState::new().hash_one(0));
    connection.subscribe(&inbox, None, 1)?;
    let (subject, headers) = (message.subject.as_str(), message.headers.as_slice());
    let mut out = Vec::new();
    Outgoing { subject, reply_to: Some(&inbox), headers, payload: &payload }.append(&mut out);
    connection.write(&out)?;
    let wait = Duration::from_millis(options.timeout_ms);
    let mut shown = Shown::new(&options.show, Some(options.replies));
    while !shown.is_enough() {
        let Some(answer) = connection.next(Some(wait))? else {
            let (came, wanted, wait_ms) = (shown.messages, options.replies, options.timeout_ms);
            return Err(format!("{came} of {wanted} answers came within {wait_ms} ms"));
        };
        if read_headers(&answer.headers).0 == Some(NO_RESPONDERS) {
            return Err(format!("nobody answers on {subject:?}"));
        }
        if !shown.show(&answer, output, true) {
            break;
        }
    }
    Ok(())
}

/// The messages shown so far, and their form.
struct Shown<'s> {
    options: &'s ShowOptions,
    messages: u64,
    wanted: Option<u64>,
}

impl<'s> Shown<'s> {
    fn new(options: &'s ShowOptions, wanted: Option<u64>) -> Self {
        Self { options, messages: 0, wanted }
    }

    fn is_enough(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.messages >= wanted)
    }

    /// Shows a message; false if the output is closed.
    fn show(&mut self, message: &Message, output: &mut impl Write, is_last: bool) -> bool {
        self.messages += 1;
        let shown = show(output, self.messages, message, self.options);
        let flushed = if is_last || self.is_enough() { output.flush() } else { Ok(()) };
        shown.and(flushed).is_ok()
    }
}

/// Shows messages, and calls `act` for each.
fn listen(
    connection: &mut Connection,
    subjects: &str,
    shown: &mut Shown<'_>,
    output: &mut impl Write,
    act: impl Fn(&mut Connection, &Message) -> Result<(), String>,
) -> Result<(), String> {
    let mut early = Vec::new();
    connection.sync(|message| early.push(message))?;
    // If nobody reads it, nothing is lost.
    let _ = writeln!(stderr(), "Subscribed to {subjects}");
    let mut early = early.into_iter();
    while !shown.is_enough() {
        let message = match early.next() {
            Some(message) => message,
            None => match connection.next(None)? {
                Some(message) => message,
                None => continue,
            },
        };
        act(connection, &message)?;
        if !shown.show(&message, output, !connection.has_more()) {
            return Ok(());
        }
    }
    Ok(())
}
