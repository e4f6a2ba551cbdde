//! Lanes: parts of a large audience that other tasks see to, side by side with the publisher.
//!
//! A publisher takes room and appends to the frame by itself. What is left, telling everybody, it
//! deals out: each lane gets the frame and a range of its seats, on a tray. The lane's task takes
//! it from there; what no task has taken when the publisher is done with its own part, the
//! publisher does too. So it makes no difference to anybody but the clock whether a lane's task is
//! quick, slow, dropped, or was never run.
//!
//! A fan-out ends when all its parts are done, and is one synchronous call as it is without lanes.
//! Whoever serves a part holds its tray's lock meanwhile, so the publisher waits for no longer than
//! a part takes, and only for one that somebody is at. The route's lock, which the publisher holds
//! all the while, keeps the audience as it is. A lane looks at it under that lock too, but never
//! waits for it: if it can't have it, it leaves its part to the publisher.

use super::afterwards::Afterwards;
use super::bell::{Bell, Heard};
use super::locks::{lock, read, try_read};
use super::payload::Payload;
use super::route::{Audience, Route};
use super::worker::{Exceptions, News, Worker};
use crate::limits::{LANE_LOOKS, LANES_MAX};
use std::future::poll_fn;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// A lane of a [`Publisher`](super::Publisher): a task that takes over a part of its large
/// audiences. See [`Publisher::with_lanes`](super::Publisher::with_lanes).
///
/// Dropped or never run, it is missed by nobody: the publisher does its part.
#[must_use = "a lane does nothing unless its `run` is polled"]
pub struct Lane<M: Payload> {
    desk: Arc<Desk<M>>,
}

impl<M: Payload> Lane<M> {
    /// Works for its publisher until that is dropped. To be spawned as a task of its own.
    ///
    /// Cancel safe: dropped or forgotten at any time, nothing is lost and nobody waits for it.
    pub async fn run(self) {
        let mut errands = Errands { afterwards: Afterwards::new(), looks: 0 };
        poll_fn(|context| self.desk.poll(&mut errands, context)).await;
    }
}

impl<M: Payload> Drop for Lane<M> {
    fn drop(&mut self) {
        self.desk.bell.leave();
    }
}

/// The lanes of one publisher, from its side.
pub(super) struct Lanes<M> {
    hands: Vec<Hand<M>>,
    /// How many of them were dealt a part of the present publish.
    dealt: usize,
}

struct Hand<M> {
    /// It helps with audiences larger than this.
    above: usize,
    desk: Arc<Desk<M>>,
    /// Gone only while it lies on the desk.
    part: Option<Box<Part<M>>>,
}

/// Where a publisher and a lane hand a part to and fro.
struct Desk<M> {
    bell: Bell,
    tray: Mutex<Tray<M>>,
}

enum Tray<M> {
    Empty,
    Offered(Box<Part<M>>),
    Done(Box<Part<M>>),
}

/// One part of an audience, and what has to be done for it. Used again and again.
struct Part<M> {
    /// Has the timer of this lane, and knows who is waited for.
    worker: Worker<M>,
    task: Option<Task<M>>,
    refused: Vec<u32>,
    written_off: Vec<u32>,
}

struct Task<M> {
    route: Arc<Route<M>>,
    news: News<M>,
    seats: Range<usize>,
}

/// What a lane's task has to do when it has put its part back.
struct Errands<M> {
    afterwards: Afterwards<M>,
    /// How often it looks again before it sleeps.
    looks: u8,
}

impl<M> Lanes<M> {
    pub fn none() -> Self {
        Self { hands: Vec::new(), dealt: 0 }
    }

    /// One lane for each step; it helps with audiences larger than that.
    pub fn new(steps: &[usize]) -> Self {
        let mut steps = steps.to_vec();
        steps.sort_unstable();
        steps.truncate(LANES_MAX);
        let hand =
            |above| Hand { above, desk: Arc::new(Desk::new()), part: Some(Box::new(Part::new())) };
        Self { hands: steps.into_iter().map(hand).collect(), dealt: 0 }
    }

    pub fn tasks(&self) -> Vec<Lane<M>>
    where
        M: Payload,
    {
        self.hands.iter().map(|hand| Lane { desk: hand.desk.clone() }).collect()
    }

    /// Wakes the lanes that will be dealt a part, so that they come while the publisher still
    /// deals. Under no lock.
    #[inline]
    pub fn ring(&self, route: &Route<M>) {
        if !self.hands.is_empty() {
            let helping = self.helping(read(&route.audience).singles.len());
            self.hands[..helping].iter().for_each(|hand| hand.desk.bell.ring());
        }
    }

    /// Deals out parts of the audience, which is locked, and returns the seats that are left for
    /// the publisher.
    #[inline]
    pub fn deal(
        &mut self,
        route: Option<&Arc<Route<M>>>,
        audience: &Audience<M>,
        news: &News<M>,
        exceptions: Exceptions<'_>,
    ) -> Range<usize> {
        let seats = audience.singles.len();
        let helping = if self.hands.is_empty() { 0 } else { self.helping(seats) };
        self.dealt = 0;
        match route {
            Some(route) if helping > 0 => self.deal_to(helping, route, seats, news, exceptions),
            _ => 0..seats,
        }
    }

    #[cold]
    fn deal_to(
        &mut self,
        helping: usize,
        route: &Arc<Route<M>>,
        seats: usize,
        news: &News<M>,
        exceptions: Exceptions<'_>,
    ) -> Range<usize> {
        let bound = |part: usize| seats * part / (helping + 1);
        for (index, hand) in self.hands[..helping].iter_mut().enumerate() {
            let mut part = hand.part.take().unwrap_or_else(|| Box::new(Part::new()));
            let seats = bound(index + 1)..bound(index + 2);
            part.note(exceptions.among(&seats));
            part.task = Some(Task { route: route.clone(), news: news.clone(), seats });
            *lock(&hand.desk.tray) = Tray::Offered(part);
        }
        self.dealt = helping;
        0..bound(1)
    }

    /// Waits for those parts that somebody is at, does the others, and adds to the publisher's
    /// account what came of them.
    #[inline]
    pub fn join(&mut self, audience: &Audience<M>, own: &mut Worker<M>) {
        // The last first: it was dealt last, so it is the least likely to have been begun.
        for hand in self.hands[..self.dealt].iter_mut().rev() {
            let tray = mem::replace(&mut *lock(&hand.desk.tray), Tray::Empty);
            let mut part = match tray {
                Tray::Done(part) => part,
                Tray::Offered(mut part) => {
                    part.serve(audience);
                    part
                }
                Tray::Empty => continue,
            };
            own.take_over(&mut part.worker);
            hand.part = Some(part);
        }
    }

    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.hands[..self.dealt]
            .iter()
            .any(|hand| hand.part.as_ref().is_some_and(|part| part.worker.is_waiting()))
    }

    /// Those who took part in the present publish.
    pub fn workers(&mut self) -> impl Iterator<Item = &mut Worker<M>> {
        self.hands[..self.dealt]
            .iter_mut()
            .filter_map(|hand| hand.part.as_mut())
            .map(|part| &mut part.worker)
    }

    /// How many help with an audience of so many. One that was dropped does not, nor do those
    /// behind it.
    fn helping(&self, subscriptions: usize) -> usize {
        let helps =
            |hand: &&Hand<M>| subscriptions > hand.above && Arc::strong_count(&hand.desk) > 1;
        self.hands.iter().take_while(helps).count()
    }
}

impl<M> Drop for Lanes<M> {
    fn drop(&mut self) {
        self.hands.iter().for_each(|hand| hand.desk.bell.end());
    }
}

impl<M> Desk<M> {
    fn new() -> Self {
        Self { bell: Bell::new(), tray: Mutex::new(Tray::Empty) }
    }

    /// Ready when the publisher is gone.
    fn poll(&self, errands: &mut Errands<M>, context: &mut Context<'_>) -> Poll<()> {
        match self.bell.listen(context.waker()) {
            Heard::Ended => return Poll::Ready(()),
            Heard::Rung => errands.looks = LANE_LOOKS,
            Heard::Nothing => {}
        }
        if self.work(&mut errands.afterwards) {
            errands.looks = LANE_LOOKS;
            errands.afterwards.run();
        }
        if errands.looks > 0 {
            // Others run first. The publisher rings before it deals, and often deals again soon.
            errands.looks -= 1;
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Does what lies on the tray. False if that is nothing, or can't be done now.
    fn work(&self, afterwards: &mut Afterwards<M>) -> bool {
        let mut tray = lock(&self.tray);
        let Tray::Offered(part) = &mut *tray else { return false };
        let Some(route) = part.task.as_ref().map(|task| task.route.clone()) else { return false };
        // Not waited for: who wants to change the audience keeps newcomers out, and itself waits
        // for the publisher.
        let Some(audience) = try_read(&route.audience) else { return false };
        part.serve(&audience);
        drop(audience);
        part.worker.give_errands_to(afterwards);
        if let Tray::Offered(part) = mem::replace(&mut *tray, Tray::Empty) {
            *tray = Tray::Done(part);
        }
        true
    }
}

impl<M> Part<M> {
    fn new() -> Self {
        Self { worker: Worker::new(), task: None, refused: Vec::new(), written_off: Vec::new() }
    }

    fn note(&mut self, exceptions: Exceptions<'_>) {
        self.refused.clear();
        self.refused.extend_from_slice(exceptions.refused);
        self.written_off.clear();
        self.written_off.extend_from_slice(exceptions.written_off);
    }

    /// Lets go of the frame and the route too. The publisher holds both until all parts are done,
    /// so what is let go here, under locks, is never the last of them.
    fn serve(&mut self, audience: &Audience<M>) {
        let Some(Task { news, seats, .. }) = self.task.take() else { return };
        let exceptions = Exceptions { refused: &self.refused, written_off: &self.written_off };
        self.worker.serve(audience, &news, exceptions, seats);
    }
}
