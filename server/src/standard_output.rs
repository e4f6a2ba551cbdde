//! Standard output and standard error that nobody has to read.
//!
//! The logger writes to standard output, waits for it, and panics where it is closed; whatever
//! writes to standard error waits too. So both become pipes whose other ends we always read. Other
//! threads pass on what was read to the real ones. What those do not take in time, or at all, is
//! discarded and counted, and the server neither ends nor waits.

use crate::limits::STANDARD_OUTPUT_BYTES;
use rustix::stdio::{dup2_stderr, dup2_stdout};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Stands between us and the real outputs until it is closed.
pub struct StandardOutput {
    output: Diverted,
    errors: Diverted,
}

/// One of the two.
struct Diverted {
    real: OwnedFd,
    /// Disconnected once the last byte was passed on or given up.
    passed_on: Receiver<()>,
}

/// Bytes that are passed on at once. Each takes one place of the queue, full or not.
const PIECE_BYTES: usize = 4 * 1024;

impl StandardOutput {
    /// Puts the pipes and their threads in place.
    pub fn divert() -> io::Result<Self> {
        let (output, output_pipe) = Diverted::new(&io::stdout())?;
        let (errors, error_pipe) = Diverted::new(&io::stderr())?;
        dup2_stdout(&output_pipe)?;
        dup2_stderr(&error_pipe)?;
        Ok(Self { output, errors })
    }

    /// Restores the real outputs, and waits a little for the rest to be passed on.
    pub fn close(self, wait: Duration) {
        let _ = io::stdout().flush();
        let end = Instant::now() + wait;
        // Each pipe's last writing end goes: its reader comes to the end, then the writer.
        let is_back =
            [dup2_stdout(&self.output.real).is_ok(), dup2_stderr(&self.errors.real).is_ok()];
        for (diverted, is_back) in [self.output, self.errors].iter().zip(is_back) {
            if is_back {
                let left = end.saturating_duration_since(Instant::now());
                let _ = diverted.passed_on.recv_timeout(left);
            }
        }
    }
}

impl Diverted {
    fn new(stream: &impl AsFd) -> io::Result<(Self, PipeWriter)> {
        let real = stream.as_fd().try_clone_to_owned()?;
        let (reader, writer) = io::pipe()?;
        let (pieces, queue) = sync_channel(STANDARD_OUTPUT_BYTES / PIECE_BYTES);
        let (end, passed_on) = sync_channel::<()>(1);
        let target = File::from(real.try_clone()?);
        let thread = |name: &str| thread::Builder::new().name(name.into());
        thread("output reader").spawn(move || read_always(reader, &pieces))?;
        thread("output writer").spawn(move || {
            let _end = end;
            pass_on(&queue, target);
        })?;
        Ok((Self { real, passed_on }, writer))
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

/// Writes to the real output, which may be slow. Stops once it is closed.
fn pass_on(queue: &Receiver<Vec<u8>>, mut target: File) {
    for piece in queue {
        if target.write_all(&piece).is_err() {
            return;
        }
    }
}
