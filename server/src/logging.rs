//! The log, on standard error: text for people, or JSON by femme.
//!
//! Nobody has to read it. Lines wait in a bounded queue for a thread that writes them. What does
//! not fit is discarded and counted, so the server neither waits for its log nor ends with it.

use crate::limits::LOG_BYTES;
use crate::locks::lock;
use log::{Level, LevelFilter, Record, kv};
use rustix::stdio::dup2_stdout;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// A line for people: time, level, what happened.
    Text,
    /// An object a line, for programs that collect logs.
    Json,
}

/// The log of this process.
pub struct Logging {
    queue: Arc<Queue>,
    /// Where femme writes, and the thread that passes it on.
    json: Option<JoinHandle<()>>,
}

impl Logging {
    /// Sends what is logged to standard error. May be called once.
    pub fn start(format: LogFormat, level: LevelFilter) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (lines, target) = (queue.clone(), own(&io::stderr())?);
        named("log writer").spawn(move || lines.write_to(target))?;
        let is_text = match format {
            LogFormat::Auto => io::stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        let json = match is_text {
            true => {
                text(&queue).map_err(io::Error::other)?;
                None
            }
            false => Some(json(queue.clone())?),
        };
        log::set_max_level(level);
        // A panic is logged like anything else: standard error itself may be stuck.
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
        Ok(Self { queue, json })
    }

    /// Writes a line as it is.
    pub fn say(&self, line: &str) {
        self.queue.push(line.as_bytes());
    }

    /// Waits a little for the rest to be written.
    pub fn close(self, wait: Duration) {
        if let Some(reader) = self.json {
            // Its pipe's only writing end goes, so the reader comes to the end.
            let is_closed = own(&io::stderr()).and_then(|other| Ok(dup2_stdout(&other)?));
            let _ = is_closed.map(|()| reader.join());
        }
        self.queue.wait_until_written(wait);
    }
}

/// A duplicate of a stream, without its locks and buffers.
pub fn own(stream: &impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// Logs text, with colours on a terminal unless `NO_COLOR` is set.
fn text(queue: &Arc<Queue>) -> Result<(), log::SetLoggerError> {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let coloured = io::stderr().is_terminal() && !no_colour;
    let lines: Box<dyn Write + Send> = Box::new(BufWriter::new(Lines(queue.clone())));
    fern::Dispatch::new()
        .format(move |out, message, record| {
            out.finish(format_args!("{}", Line { message, record, coloured }));
        })
        .chain(lines)
        .apply()
}

/// Logs JSON. Femme writes to the standard output alone, waits for it, and panics once it is
/// closed. So the standard output becomes a pipe that we always read. Whoever needs the real one
/// takes a duplicate before.
fn json(queue: Arc<Queue>) -> io::Result<JoinHandle<()>> {
    let (reader, writer) = io::pipe()?;
    dup2_stdout(&writer)?;
    femme::with_level(LevelFilter::Trace);
    named("log reader").spawn(move || read_always(reader, &queue))
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into())
}

fn read_always(mut reader: PipeReader, queue: &Queue) {
    let mut buffer = [0; 4 * 1024];
    while let Ok(read_bytes @ 1..) = reader.read(&mut buffer) {
        queue.push(&buffer[..read_bytes]);
    }
}

/// One line of text: `2026-11-21T17:30:00.123Z INFO  what happened task=nats/connection`.
struct Line<'l> {
    message: &'l fmt::Arguments<'l>,
    record: &'l Record<'l>,
    coloured: bool,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, message) = (self.record.level(), self.message);
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let (colour, plain) = match (self.coloured, level) {
            (false, _) => ("", ""),
            (_, Level::Error) => ("\x1b[31m", "\x1b[0m"),
            (_, Level::Warn) => ("\x1b[33m", "\x1b[0m"),
            (_, Level::Info) => ("\x1b[32m", "\x1b[0m"),
            (_, Level::Debug | Level::Trace) => ("\x1b[2m", "\x1b[0m"),
        };
        write!(out, "{time} {colour}{level:<5}{plain} {message}")?;
        self.record.key_values().visit(&mut Pairs(out)).map_err(|_| fmt::Error)
    }
}

struct Pairs<'p, 'f>(&'p mut fmt::Formatter<'f>);

impl<'kvs> kv::VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        Ok(write!(self.0, " {key}={value}")?)
    }
}

/// Takes whole lines, since fern flushes its writer after each.
struct Lines(Arc<Queue>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What waits to be written, up to [`LOG_BYTES`].
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    discarded_bytes: usize,
    is_writing: bool,
}

impl Queue {
    fn push(&self, piece: &[u8]) {
        let mut state = lock(&self.state);
        if state.queued_bytes + piece.len() > LOG_BYTES {
            state.discarded_bytes += piece.len();
            return;
        }
        if state.discarded_bytes > 0 {
            let notice = format!(
                "\n({} bytes of the log were discarded: nobody read them)\n",
                std::mem::take(&mut state.discarded_bytes)
            );
            state.push(notice.into_bytes());
        }
        state.push(piece.to_vec());
        self.changed.notify_all();
    }

    /// Writes for ever. What cannot be written, since nobody can read it any more, is gone.
    fn write_to(&self, mut target: File) {
        let mut state = lock(&self.state);
        loop {
            let Some(piece) = state.pieces.pop_front() else {
                state.is_writing = false;
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.queued_bytes -= piece.len();
            state.is_writing = true;
            drop(state);
            let _ = target.write_all(&piece);
            state = lock(&self.state);
        }
    }

    fn wait_until_written(&self, wait: Duration) {
        let is_pending = |state: &mut State| state.is_writing || !state.pieces.is_empty();
        let _ = self.changed.wait_timeout_while(lock(&self.state), wait, is_pending);
    }
}

impl State {
    fn push(&mut self, piece: Vec<u8>) {
        self.queued_bytes += piece.len();
        self.pieces.push_back(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_time_a_level_a_message_and_its_pairs() {
        let line = |coloured| {
            let pairs = [("task", "nats")];
            let message = format_args!("it {} {}", "happened", 7);
            let record = Record::builder().level(Level::Warn).key_values(&pairs).build();
            Line { message: &message, record: &record, coloured }.to_string()
        };
        let (time, rest) = (line(false)[..24].to_owned(), line(false)[24..].to_owned());
        assert!(humantime::parse_rfc3339(&time).is_ok(), "{time}");
        assert_eq!(rest, " WARN  it happened 7 task=nats");
        assert!(line(true).contains("\x1b[33mWARN \x1b[0m "), "{}", line(true));
    }

    #[test]
    fn unread_output_is_bounded_and_counted() {
        let queue = Arc::new(Queue::default());
        let line = [b'x'; 1_000];
        (0..2 * LOG_BYTES / line.len()).for_each(|_| queue.push(&line));
        assert!(lock(&queue.state).queued_bytes <= LOG_BYTES);
        assert!(lock(&queue.state).discarded_bytes >= LOG_BYTES / 2);
        let (mut reader, writer) = io::pipe().unwrap();
        let (writing, target) = (queue.clone(), own(&writer).unwrap());
        named("test").spawn(move || writing.write_to(target)).unwrap();
        let mut read = vec![0; LOG_BYTES / line.len() * line.len()];
        reader.read_exact(&mut read).unwrap();
        queue.push(b"next\n");
        let mut notice = vec![0; 100];
        let notice_bytes = reader.read(&mut notice).unwrap();
        let notice = String::from_utf8_lossy(&notice[..notice_bytes]).into_owned();
        assert!(notice.contains("bytes of the log were discarded"), "{notice}");
        queue.wait_until_written(Duration::from_secs(30));
    }
}
