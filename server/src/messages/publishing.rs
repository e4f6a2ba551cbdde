//! `fanfare pub`.

use super::connection::{Connection, Outgoing};
use super::options::{PubOptions, check_subject};
use crate::counted::counted;
use crate::progress::Progress;
use std::io::{Write, stderr};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// In a payload, the message's number replaces this word.
const COUNT: &str = "{{Count}}";

/// Bytes that are sent in one go.
const WRITE_BYTES: usize = 64 * 1024;

/// Shorter waits than this do not listen meanwhile: a socket's time-outs are not exact enough.
const LISTENING_WAIT: Duration = Duration::from_millis(100);

/// Publishes, and waits until the server has taken everything.
pub fn publish(options: &PubOptions) -> Result<(), String> {
    let message = &options.message;
    check_subject(&message.subject)?;
    options.reply.as_deref().map_or(Ok(()), check_subject)?;
    let payload = message.payload()?;
    let numbered = std::str::from_utf8(&payload).ok().filter(|text| text.contains(COUNT));
    let mut connection = Connection::open(&options.server)?;
    let (mut out, mut sent_bytes, began) = (Vec::new(), 0, Instant::now());
    let mut progress = Progress::new(options.count > 1);
    for number in 1..=options.count {
        let text = numbered.map(|text| text.replace(COUNT, &number.to_string()));
        let payload = text.as_ref().map_or(payload.as_slice(), String::as_bytes);
        let (subject, headers) = (message.subject.as_str(), message.headers.as_slice());
        Outgoing { subject, reply_to: options.reply.as_deref(), headers, payload }.append(&mut out);
        sent_bytes += payload.len();
        if options.rate.is_some() || out.len() >= WRITE_BYTES || number == options.count {
            connection.write(&out)?;
            out.clear();
            progress.show(number, options.count);
        }
        if let Some(rate) = options.rate.filter(|_| number < options.count) {
            let due = began + Duration::from_secs_f64(number as f64 / rate);
            wait_until(due, &mut connection)?;
        }
    }
    connection.sync(drop)?;
    progress.end();
    let (subject, messages) = (&message.subject, counted(options.count, "message"));
    let bytes = counted(sent_bytes, "byte");
    // If nobody reads it, nothing is lost.
    let _ = writeln!(stderr(), "Published {messages}, {bytes}, to {subject:?}");
    Ok(())
}

/// Waits, and answers the server's pings meanwhile; it would disconnect a silent publisher.
fn wait_until(due: Instant, connection: &mut Connection) -> Result<(), String> {
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
        match left < LISTENING_WAIT {
            true => park_timeout(left),
            false => drop(connection.next(Some(left))?),
        }
    }
    Ok(())
}
