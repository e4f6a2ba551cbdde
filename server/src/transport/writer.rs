//! Writing to a socket: everything that is ready goes out in one write, from one capped buffer,
//! before a deadline.
//!
//! A [`Source`] renders what is ready into the buffer; [`write_all_from`] moves the bytes, and asks
//! quiet peers whether they are there. One timer serves a connection all its life: it is set again
//! when it fires, and in between if the source has something due earlier.

use super::{Connection, WriteBuffer};
use crate::limits::WRITES_PER_TURN;
use crate::tasks::{Wait, note_wait};
use async_io::Timer;
use futures_lite::ready;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Renders what a peer is to be sent.
pub trait Source {
    /// Appends what is ready, until there is nothing more or [`WriteBuffer::is_full`]. `Pending`:
    /// nothing is ready, and `context` is woken when something is.
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled>;

    /// Accepts changes that must not wait until the full buffer has room. Nothing by default.
    fn poll_gather(&mut self, _context: &mut Context<'_>) {}

    /// Appends a ping for a peer that has been quiet.
    fn ping(&mut self, out: &mut WriteBuffer);

    /// Appends why a peer that gave no sign of life is disconnected. Appends nothing by default.
    fn say_why(&mut self, _out: &mut WriteBuffer) {}

    /// When something becomes due that is not ready now. Called after each
    /// [`poll_fill`](Self::poll_fill). Never by default.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Appends what is due by now. Called once that time has come.
    fn alarm(&mut self, _now: Instant, _out: &mut WriteBuffer) {}

    /// The source's reason to wait when nothing is ready, for the list of tasks. Called often, so
    /// make it once and keep it.
    fn waits_for(&self) -> Wait {
        Wait::RECV
    }
}

/// The outcome of filling a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The source appended something.
    Some,
    /// The source has ended.
    Ended,
}

/// The bounds of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// Bytes that may wait for the kernel.
    pub buffer_bytes: usize,
    /// The time in which the peer has to take at least one byte of what waits.
    pub deadline: Duration,
    /// When a quiet peer is pinged, and disconnected.
    pub idle: Idle,
}

/// How quiet a peer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// How long nothing has been read from a peer before it is sent a ping, and then another.
    pub interval: Duration,
    /// After this many pings without a sign of life the peer is disconnected.
    pub misses: u32,
    /// Which signs of life count. True: something was read, or the peer made room for more of
    /// what waits, since its answer may stand behind megabytes. False: also that everything written
    /// has gone out, so a person who only reads stays for ever. [`Connection`] then leaves it to
    /// the kernel to notice that the peer's machine is gone, by the missing acknowledgements of
    /// pings.
    pub answer_required: bool,
}

impl Idle {
    /// How long a peer may give no sign of life: at least a second.
    pub fn patience(self) -> Duration {
        let last = self.misses.saturating_add(1);
        self.interval.saturating_mul(last).max(Duration::from_secs(1))
    }
}

/// Why writing ended.
#[derive(Debug)]
pub enum Outcome {
    /// The source ended and everything was written.
    Finished,
    /// The connection broke.
    Broken(io::Error),
    /// The peer took nothing for the deadline.
    Stuck,
    /// The peer gave no sign of life after as many pings as it may miss.
    Quiet,
}

/// Writes all that `source` renders, until it ends or the peer does.
/// [`Traffic::unwritten_bytes`](super::Traffic::unwritten_bytes) says what was rendered but not
/// written, also when this is dropped before its end.
pub async fn write_all_from(
    source: &mut impl Source,
    connection: &Connection,
    settings: WriterSettings,
) -> Outcome {
    let buffer = WriteBuffer::new(settings.buffer_bytes);
    let alarm = Alarm::new(settings, source.due());
    let mut writer = Writer {
        connection,
        buffer,
        source_ended: false,
        blocked_since: None,
        made_room: Instant::now(),
        alarm,
        settings,
    };
    let outcome = poll_fn(|context| {
        let outcome = writer.poll(context, source);
        connection.traffic().note_unwritten(writer.buffer.waiting_bytes());
        outcome
    });
    outcome.await
}

struct Writer<'c> {
    connection: &'c Connection,
    buffer: WriteBuffer,
    source_ended: bool,
    /// Since when the kernel has taken none of what waits.
    blocked_since: Option<Instant>,
    /// When the kernel last took something again after it had taken nothing: the peer reads.
    made_room: Instant,
    alarm: Alarm,
    settings: WriterSettings,
}

impl Writer<'_> {
    fn poll(&mut self, context: &mut Context<'_>, source: &mut impl Source) -> Poll<Outcome> {
        if let Poll::Ready(outcome) = self.poll_alarm(context, source) {
            return Poll::Ready(outcome);
        }
        for _ in 0..WRITES_PER_TURN {
            if self.buffer.is_full() {
                source.poll_gather(context);
            } else if !self.source_ended {
                match source.poll_fill(context, &mut self.buffer) {
                    Poll::Ready(Filled::Ended) => self.source_ended = true,
                    Poll::Ready(Filled::Some) | Poll::Pending => {}
                }
                self.alarm.be_ready_for(source.due(), context);
            }
            let is_empty = self.buffer.is_empty();
            if is_empty {
                self.buffer.release();
            }
            match self.poll_write(context) {
                // Nothing was appended, so the source is pending or has ended.
                Poll::Ready(Ok(())) if is_empty && self.source_ended => {
                    return Poll::Ready(Outcome::Finished);
                }
                Poll::Ready(Ok(())) if is_empty => {
                    note_wait(source.waits_for());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Outcome::Broken(error)),
                Poll::Pending => {
                    note_wait(Wait::SOCKET_WRITE);
                    return Poll::Pending;
                }
            }
        }
        // More may be ready; continue after other tasks have had their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes everything that waits, including what was encrypted before, once. Pending when the
    /// kernel takes nothing.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Writer { connection, buffer, .. } = self;
        loop {
            let written = match buffer.is_empty() {
                true => connection.flush().map(|()| None),
                false => buffer.write_with(|slices| connection.write(slices)).map(Some),
            };
            match written {
                Ok(Some(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {
                    if self.blocked_since.take().is_some() {
                        self.made_room = Instant::now();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.blocked_since.get_or_insert_with(Instant::now);
                    self.alarm.be_ready_for(Some(since + self.settings.deadline), context);
                    ready!(connection.socket().poll_writable(context))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes once more, whatever the kernel takes at once.
    fn let_go(&mut self, source: &mut impl Source) -> Outcome {
        source.say_why(&mut self.buffer);
        let Writer { connection, buffer, .. } = self;
        // The peer is gone, so the kernel will not take the rest later.
        let _ = buffer.write_with(|slices| connection.write(slices));
        Outcome::Quiet
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>, source: &mut impl Source) -> Poll<Outcome> {
        while let Poll::Ready(now) = self.alarm.poll_fired(context) {
            if self.blocked_since.is_some_and(|since| now >= since + self.settings.deadline) {
                // The peer may have read while this task waited for its turn on a busy machine.
                match self.poll_write(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Outcome::Broken(error)),
                    Poll::Pending => return Poll::Ready(Outcome::Stuck),
                }
            }
            let last_sign = self.connection.traffic().last_read().max(self.made_room);
            match self.alarm.liveness.check(now, last_sign, self.blocked_since.is_some()) {
                Liveness::Alive => {}
                // A full buffer needs no ping: what waits in it shows the same.
                Liveness::Ask if !self.source_ended && !self.buffer.is_full() => {
                    source.ping(&mut self.buffer)
                }
                Liveness::Ask => {}
                Liveness::Gone => return Poll::Ready(self.let_go(source)),
            }
            if source.due().is_some_and(|due| now >= due) {
                source.alarm(now, &mut self.buffer);
            }
            let write_due = self.blocked_since.map(|since| since + self.settings.deadline);
            self.alarm.set_again([source.due(), write_due]);
        }
        Poll::Pending
    }
}

/// The one timer of a connection, with what it is checked against when it fires.
struct Alarm {
    timer: Timer,
    fires_at: Instant,
    liveness: Watch,
}

impl Alarm {
    fn new(settings: WriterSettings, source_due: Option<Instant>) -> Self {
        let now = Instant::now();
        let liveness = Watch::new(settings.idle, now);
        let mut alarm = Self { timer: Timer::never(), fires_at: now, liveness };
        alarm.set_again([source_due, None]);
        alarm
    }

    fn poll_fired(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        Pin::new(&mut self.timer).poll(context).map(|_| Instant::now())
    }

    /// Sets the timer for the earliest of the next ping and what is due. A quiet connection is
    /// woken for nothing else: ten thousand of them must cost next to nothing.
    fn set_again(&mut self, due: [Option<Instant>; 2]) {
        let due = due.into_iter().flatten();
        self.set_at(due.fold(self.liveness.next_check, Instant::min));
    }

    /// Moves the timer forward: something has become due earlier than when it was set. At most once
    /// a deadline for writes that wait, since the next of them is due later.
    fn be_ready_for(&mut self, due: Option<Instant>, context: &Context<'_>) {
        if let Some(due) = due.filter(|due| *due < self.fires_at) {
            self.set_at(due);
            // The timer wakes only tasks that have polled it since it was set.
            context.waker().wake_by_ref();
        }
    }

    fn set_at(&mut self, time: Instant) {
        self.fires_at = time;
        self.timer.set_at(time);
    }
}

/// The step to take about a quiet peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Nothing: the peer is alive.
    Alive,
    /// Send a ping.
    Ask,
    /// Disconnect the peer.
    Gone,
}

/// Counts the pings that a peer did not react to. Time is an argument.
struct Watch {
    idle: Idle,
    misses: u32,
    last_sign: Instant,
    next_check: Instant,
}

impl Watch {
    fn new(idle: Idle, now: Instant) -> Self {
        Self { idle, misses: 0, last_sign: now, next_check: now + idle.interval }
    }

    /// `blocked`: something that was written has not gone out.
    fn check(&mut self, now: Instant, last_sign: Instant, blocked: bool) -> Liveness {
        if last_sign > self.last_sign {
            self.last_sign = last_sign;
            self.misses = 0;
            self.next_check = last_sign + self.idle.interval;
        }
        if now < self.next_check {
            return Liveness::Alive;
        }
        self.next_check = now + self.idle.interval;
        if !self.idle.answer_required && !blocked {
            self.misses = 0;
            return Liveness::Ask;
        }
        if self.misses >= self.idle.misses {
            return Liveness::Gone;
        }
        self.misses += 1;
        Liveness::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::super::connected;
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::io::Read;

    /// Always has more to write.
    struct Endless;

    impl Source for Endless {
        fn poll_fill(&mut self, _: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
            while !out.is_full() {
                out.bytes_mut().extend_from_slice(&[b'x'; 1024]);
            }
            Poll::Ready(Filled::Some)
        }

        fn ping(&mut self, _: &mut WriteBuffer) {}
    }

    fn settings(interval: Duration, deadline: Duration) -> WriterSettings {
        let idle = Idle { interval, misses: 3, answer_required: true };
        WriterSettings { buffer_bytes: 64 * 1024, deadline, idle }
    }

    #[test]
    fn the_timer_waits_for_the_ping_and_a_stuck_peer_is_found_all_the_same() {
        let (_peer, connection) = connected();
        let settings = settings(Duration::from_secs(3600), Duration::from_millis(50));
        let alarm = Alarm::new(settings, None);
        assert_eq!(alarm.fires_at, alarm.liveness.next_check);
        let outcome = block_on(write_all_from(&mut Endless, &connection, settings));
        assert!(matches!(outcome, Outcome::Stuck), "{outcome:?}");
    }

    #[test]
    fn a_peer_that_reads_and_never_finds_the_end_is_kept() {
        let (mut peer, connection) = connected();
        peer.set_nonblocking(true).unwrap();
        let settings = settings(Duration::from_millis(50), Duration::from_secs(60));
        let mut source = Endless;
        let mut writing = Box::pin(write_all_from(&mut source, &connection, settings));
        // On one thread, so that a machine without time for it reads as often as it writes.
        let (began, mut piece) = (Instant::now(), vec![0; 256 * 1024]);
        while began.elapsed() < settings.idle.interval * 20 {
            let outcome = block_on(poll_once(&mut writing));
            assert!(outcome.is_none(), "{outcome:?}");
            let _ = peer.read(&mut piece);
        }
    }

    #[test]
    fn a_peer_that_reads_while_the_writer_has_no_turn_is_kept() {
        let (mut peer, connection) = connected();
        peer.set_nonblocking(true).unwrap();
        let settings = settings(Duration::from_secs(3600), Duration::from_millis(50));
        let mut source = Endless;
        let mut writing = Box::pin(write_all_from(&mut source, &connection, settings));
        while connection.traffic().unwritten_bytes() == 0 {
            assert!(block_on(poll_once(&mut writing)).is_none());
        }
        let (began, mut piece) = (Instant::now(), vec![0; 256 * 1024]);
        while began.elapsed() < settings.deadline * 2 {
            let _ = peer.read(&mut piece);
        }
        let outcome = block_on(poll_once(&mut writing));
        assert!(outcome.is_none(), "{outcome:?}");
    }

    const INTERVAL: Duration = Duration::from_secs(10);

    fn watch(answer_required: bool) -> (Watch, Instant) {
        let began = Instant::now();
        (Watch::new(Idle { interval: INTERVAL, misses: 3, answer_required }, began), began)
    }

    #[test]
    fn a_peer_that_owes_an_answer_is_asked_three_times_and_then_closed() {
        let (mut watch, began) = watch(true);
        assert_eq!(watch.check(began + INTERVAL / 2, began, false), Liveness::Alive);
        for turn in 1..=3 {
            assert_eq!(watch.check(began + INTERVAL * turn, began, false), Liveness::Ask);
        }
        assert_eq!(watch.check(began + INTERVAL * 4, began, false), Liveness::Gone);
    }

    #[test]
    fn an_answer_begins_the_count_anew() {
        let (mut watch, began) = watch(true);
        for turn in 1..=100 {
            let answered = began + INTERVAL * (turn - 1) + INTERVAL / 2 * u32::from(turn % 3 == 0);
            assert_ne!(
                watch.check(began + INTERVAL * turn, answered.min(began + INTERVAL * turn), false),
                Liveness::Gone
            );
        }
    }

    #[test]
    fn a_client_that_only_reads_is_asked_but_stays() {
        let (mut watch, began) = watch(false);
        for turn in 1..=100 {
            assert_eq!(watch.check(began + INTERVAL * turn, began, false), Liveness::Ask);
        }
    }

    #[test]
    fn a_peer_that_takes_nothing_is_closed_even_if_it_owes_no_answer() {
        let (mut watch, began) = watch(false);
        assert_eq!(watch.check(began + INTERVAL, began, false), Liveness::Ask);
        for turn in 2..=4 {
            assert_eq!(watch.check(began + INTERVAL * turn, began, true), Liveness::Ask);
        }
        assert_eq!(watch.check(began + INTERVAL * 5, began, true), Liveness::Gone);
    }
}
