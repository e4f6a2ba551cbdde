//! The connection and the clock that hyper wants, made of ours.

use crate::limits::HTTP_READ_BYTES;
use crate::transport::Connection;
use async_io::Timer;
use event_listener::EventListener;
use futures_lite::ready;
use hyper::rt::{ReadBufCursor, Sleep};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A connection that hyper reads and writes. A peer that takes nothing for the write deadline is an
/// error.
pub(super) struct Socket {
    connection: Connection,
    write_deadline: Duration,
    /// One timer while the connection lives, set when a write has to wait.
    stuck: Timer,
    is_blocked: bool,
    /// Set while the connection waits for its allowance to read more.
    granted: Option<EventListener>,
}

impl Socket {
    pub fn new(connection: Connection, write_deadline: Duration) -> Self {
        let stuck = Timer::never();
        Self { connection, write_deadline, stuck, is_blocked: false, granted: None }
    }

    fn watch_the_clock(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.is_blocked {
            self.is_blocked = true;
            self.stuck.set_after(self.write_deadline);
        }
        ready!(Pin::new(&mut self.stuck).poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Through the stack: filling hyper's own buffer without clearing it first needs `unsafe`.
        let mut bytes = [0; HTTP_READ_BYTES];
        let Self { connection, granted, .. } = &mut *self;
        ready!(connection.poll_read_allowed(granted, context));
        let most = into.remaining().min(HTTP_READ_BYTES);
        let read_bytes = ready!(self.connection.poll_read(context, &mut bytes[..most]))?;
        let traffic = self.connection.traffic();
        traffic.note_gathered(traffic.gathered_bytes() + read_bytes);
        into.put_slice(&bytes[..read_bytes]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = self.connection.poll_write(context, bytes) else {
            self.connection.traffic().note_unwritten(bytes.len());
            return self.watch_the_clock(context);
        };
        self.connection.traffic().note_unwritten(0);
        if self.is_blocked {
            self.is_blocked = false;
            self.stuck.clear();
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.finish();
        Poll::Ready(Ok(()))
    }
}

/// Notices when the peer stopped sending a while ago.
pub(super) struct Departure {
    connection: Connection,
    patience: Duration,
    /// Created once the peer has said that it sends nothing more.
    timer: Option<Timer>,
}

impl Departure {
    pub fn new(connection: Connection, patience: Duration) -> Self {
        Self { connection, patience, timer: None }
    }

    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            ready!(self.connection.poll_half_closed(context));
        }
        // why: once in the life of a connection, at its end.
        let timer = self.timer.get_or_insert_with(|| Timer::after(self.patience));
        Pin::new(timer).poll(context).map(drop)
    }
}

/// Hyper's clock: async-io's, which any executor can poll.
pub(super) struct Clock;

impl hyper::rt::Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        // why: hyper keeps it and sets it again with `reset`.
        Box::pin(Alarm(Timer::after(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        // why: hyper keeps it and sets it again with `reset`.
        Box::pin(Alarm(Timer::at(deadline)))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Alarm>() {
            Some(alarm) => alarm.get_mut().0.set_at(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

struct Alarm(Timer);

impl Sleep for Alarm {}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}
