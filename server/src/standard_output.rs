//! A standard output that nobody has to read.
//!
//! The logger writes to standard output, waits for it, and panics where it is closed. So the
//! process's standard output becomes a pipe whose other end we always read; another thread passes
//! on what was read to the real one. What that one does not take in time, or at all, is discarded
//! and counted, and the server neither ends nor waits.

use crate::limits::STANDARD_OUTPUT_BYTES;
use rustix::stdio::dup2_stdout;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Stands between us and the real standard output until it is closed.
pub struct StandardOutput {
    real: OwnedFd,
    /// Hears (by the other end being dropped) that the last byte was passed on or given up.
    passed_on: Receiver<()>,
}

/// Bytes that are passed on at once. Each takes one place of the queue, full or not.
const PIECE_BYTES: usize = 4 * 1024;

impl StandardOutput {
    /// Diverts standard output through a pipe and two threads.
    pub fn divert() -> io::Result<Self> {
        let real = io::stdout().as_fd().try_clone_to_owned()?;
        let (reader, writer) = io::pipe()?;
        let (pieces, queue) = sync_channel(STANDARD_OUTPUT_BYTES / PIECE_BYTES);
        let (end, passed_on) = sync_channel::<()>(1);
        let target = File::from(real.try_clone()?);
        thread::Builder::new()
            .name("stdout reader".into())
            .spawn(move || read_always(reader, &pieces))?;
        thread::Builder::new().name("stdout writer".into()).spawn(move || {
            let _end = end;
            pass_on(&queue, target);
        })?;
        dup2_stdout(&writer)?;
        Ok(Self { real, passed_on })
    }

    /// Restores standard output, and waits a little for the rest to be passed on.
    pub fn close(self, wait: Duration) {
        let _ = io::stdout().flush();
        // The pipe's last writing end goes: the reader comes to the end, then the writer.
        if dup2_stdout(&self.real).is_ok() {
            let _ = self.passed_on.recv_timeout(wait);
        }
    }
}

/// Reads until the end, and never waits for anything but the pipe.
fn read_always(mut reader: PipeReader, pieces: &SyncSender<Vec<u8>>) {
    let mut discarded_bytes = 0;
    let mut buffer = [0; PIECE_BYTES];
    while let Ok(read_bytes @ 1..) = reader.read(&mut buffer) {
        if discarded_bytes > 0 {
            let notice =
                format!("\n({discarded_bytes} bytes of output were discarded: nobody read them)\n");
            if pieces.try_send(notice.into_bytes()).is_err() {
                discarded_bytes += read_bytes;
                continue;
            }
            discarded_bytes = 0;
        }
        match pieces.try_send(buffer[..read_bytes].to_vec()) {
            Ok(()) => {}
            Err(TrySendError::Full(piece) | TrySendError::Disconnected(piece)) => {
                discarded_bytes += piece.len()
            }
        }
    }
}

/// Writes to the real one, which may take its time; once it is closed, nothing more.
fn pass_on(queue: &Receiver<Vec<u8>>, mut target: File) {
    for piece in queue {
        if target.write_all(&piece).is_err() {
            return;
        }
    }
}
