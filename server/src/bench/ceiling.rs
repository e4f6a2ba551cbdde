//! What the machine can do without any server: the same bytes written straight to the sockets, one
//! after the other.

use super::frames::Protocol;
use super::load::{BenchError, Load, Outcome, SUBJECT};
use super::publishing::Batch;
use super::reading::{Inbox, Look, Progress};
use super::run::measured;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Bytes of a write: as many as a server that writes rarely would bring together.
const WRITE_BYTES: usize = 64 * 1024;

/// Writes NATS messages to `load.subscribers` sockets, in turn, by one thread, in pieces as large
/// as is worth while.
pub fn ceiling(load: &Load) -> Result<Outcome, BenchError> {
    let failed = |error: std::io::Error| format!("no sockets: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (mut writers, mut inboxes): (Vec<TcpStream>, Vec<Inbox>) = (Vec::new(), Vec::new());
    for number in 0..load.subscribers {
        inboxes.push(Inbox::new(
            TcpStream::connect(address).map_err(failed)?.into(),
            number,
            0,
            Protocol::Nats,
        ));
        let (writer, _) = listener.accept().map_err(failed)?;
        writer.set_nodelay(true).map_err(failed)?;
        writers.push(writer);
    }
    let progress = Progress::new(1, inboxes.len());
    let messages = (WRITE_BYTES / load.payload_bytes.max(1)).max(load.batch);
    let mut batch = Batch::made_of(messages, load.payload_bytes, |out, payload| {
        out.extend_from_slice(format!("MSG {SUBJECT}.0 1 {}\r\n", payload.len()).as_bytes());
        let begin = out.len();
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
        begin
    });
    measured(&mut inboxes, &progress, Look::Number, load.payload_bytes, || {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < load.duration && !progress.stop.load(Ordering::Relaxed) {
            batch.number(sent);
            for mut writer in &writers {
                writer.write_all(&batch.bytes).map_err(failed)?;
            }
            sent += messages as u64;
        }
        progress.targets[0].store(sent, Ordering::Release);
        Ok(sent)
    })
}
