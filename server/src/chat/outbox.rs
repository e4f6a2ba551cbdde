//! What one connection is to be sent: the answers of its session and the messages of its
//! subscriptions, side by side.
//!
//! [`Feeds`] is the writing half's [`Source`].

use super::names::Name;
use super::render;
use crate::connection::outbox::{self, Item, WritingEnd};
use crate::diagnostics::ConnectionFigures;
use crate::message::{Kind, ServerMessage};
use crate::tasks::Wait;
use crate::transport::{Filled, Source, WriteBuffer};
use bytes::Bytes;
use fanfare::{Batch, BatchDelivery, Subscription};
use std::task::{Context, Poll};

/// What waits for the writing half, in order.
pub(super) type Outbox = outbox::Outbox<Change>;

/// A change of what one is sent.
pub(super) enum Change {
    /// What a subscription receives, from now on.
    Open(Place, Subscription<ServerMessage>),
    /// No more for that place.
    Close(Place),
}

/// What a subscription is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Room(Name),
    /// Private messages; only one at a time.
    Inbox,
}

impl Outbox {
    pub fn reply(&self, line: &str) {
        self.append(|out| render::append_reply(out, line));
    }
}

/// One connection's subscriptions, and the outbox.
pub(super) struct Feeds<'o> {
    outbox: &'o Outbox,
    figures: &'o ConnectionFigures,
    feeds: Vec<Feed>,
    /// Which feed is looked at first; moves on, so that a busy room does not keep the others
    /// waiting.
    first: usize,
    line_bytes: usize,
    /// The last notice shown: the same one published in several rooms is shown once.
    last_notice: Bytes,
    waits_for: Wait,
}

struct Feed {
    place: Place,
    prefix: String,
    subscription: Subscription<ServerMessage>,
    /// Received but not rendered: the buffer became full in the middle.
    rest: Option<(Batch<ServerMessage>, usize)>,
    is_ended: bool,
}

impl<'o> Feeds<'o> {
    pub fn new(outbox: &'o Outbox, line_bytes: usize, figures: &'o ConnectionFigures) -> Self {
        let waits_for = Wait::RECV;
        Feeds {
            outbox,
            figures,
            feeds: Vec::new(),
            first: 0,
            line_bytes,
            last_notice: Bytes::new(),
            waits_for,
        }
    }

    fn take_items(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        while !out.is_full() {
            let Some(item) = self.outbox.take() else { break };
            took = true;
            match item {
                Item::Text(text) => out.bytes_mut().extend_from_slice(&text),
                Item::Change(Change::Open(place, subscription)) => {
                    self.open(place, subscription, context, out)
                }
                Item::Change(Change::Close(place)) => {
                    self.feeds.retain(|feed| feed.place != place);
                    self.note_feeds();
                }
            }
        }
        took
    }

    /// What a room kept is shown at once, before anything else that waits.
    fn open(
        &mut self,
        place: Place,
        subscription: Subscription<ServerMessage>,
        context: &mut Context<'_>,
        out: &mut WriteBuffer,
    ) {
        self.feeds.retain(|feed| feed.place != place);
        let prefix = match &place {
            Place::Room(room) => format!("[{room}] "),
            Place::Inbox => "(private) ".to_owned(),
        };
        self.feeds.push(Feed { place, prefix, subscription, rest: None, is_ended: false });
        self.note_feeds();
        let last = self.feeds.len() - 1;
        while !out.is_full() && self.render_one(last, context, out) {}
    }

    /// Says how many subscriptions there are, where to look for what is queued in them, and what is
    /// waited for. Done when the feeds change, so that it costs nothing while messages flow.
    fn note_feeds(&mut self) {
        self.figures.set_subscriptions(self.feeds.len());
        let watches: Vec<_> = self.feeds.iter().map(|feed| feed.subscription.watch()).collect();
        self.figures
            .set_queued_bytes(move || watches.iter().map(|watch| watch.stats().queued_bytes).sum());
        let mut rooms = self.feeds.iter().filter_map(|feed| match &feed.place {
            Place::Room(room) => Some(room.topic()),
            Place::Inbox => None,
        });
        self.waits_for = match (rooms.next(), rooms.count()) {
            (None, _) => Wait::RECV,
            (Some(room), 0) => Wait::named(format!("recv {room}")),
            (Some(room), more) => Wait::named(format!("recv {room} and {more} more")),
        };
    }

    /// Every feed in turn, one run at a time, until none has anything or the buffer is full.
    fn take_messages(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        let mut idle_feeds = 0;
        while idle_feeds < self.feeds.len() && !out.is_full() {
            self.first = (self.first + 1) % self.feeds.len();
            if self.render_one(self.first, context, out) {
                took = true;
                idle_feeds = 0;
            } else {
                idle_feeds += 1;
            }
        }
        took
    }

    /// Renders one run of a feed, as far as the buffer takes it. False if there is none.
    fn render_one(
        &mut self,
        index: usize,
        context: &mut Context<'_>,
        out: &mut WriteBuffer,
    ) -> bool {
        let several_rooms = self.feeds.iter().filter(|feed| feed.place != Place::Inbox).count() > 1;
        let feed = &mut self.feeds[index];
        if feed.rest.is_none() && !feed.is_ended {
            match feed.subscription.poll_recv_batch(context) {
                Poll::Pending => return false,
                Poll::Ready(None) => feed.is_ended = true,
                Poll::Ready(Some(BatchDelivery::Batch(run))) => feed.rest = Some((run, 0)),
                Poll::Ready(Some(BatchDelivery::Missed(missed))) => {
                    let place = match &feed.place {
                        Place::Room(room) => several_rooms.then(|| room.as_str()),
                        Place::Inbox => Some("private messages"),
                    };
                    render::append_missed(out.bytes_mut(), missed, place);
                    return true;
                }
            }
        }
        let Some((run, from)) = feed.rest.take() else { return false };
        let mut rendered = from;
        for message in run.iter().skip(from) {
            if out.is_full() {
                break;
            }
            rendered += 1;
            if message.kind == Kind::Notice {
                let notice = message.content.payload_bytes();
                if is_same(&self.last_notice, &notice) {
                    continue;
                }
                self.last_notice = notice;
            }
            render::append_message(out.bytes_mut(), &feed.prefix, message, self.line_bytes);
        }
        self.figures.sent(rendered - from);
        if rendered < run.len() {
            feed.rest = Some((run, rendered));
        }
        true
    }
}

impl Source for Feeds<'_> {
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
        // Registered before looking: what is handed over in between wakes us.
        self.outbox.register_writer(context);
        let took_items = self.take_items(context, out);
        let took_messages = self.take_messages(context, out);
        let is_ended = match self.outbox.ending() {
            _ if out.is_full() => false,
            None => false,
            Some(WritingEnd::AfterReplies) => true,
            Some(WritingEnd::AfterMessages) => {
                self.feeds.iter().all(|feed| feed.is_ended && feed.rest.is_none())
            }
        };
        if is_ended {
            return Poll::Ready(Filled::Ended);
        }
        if took_items || took_messages { Poll::Ready(Filled::Some) } else { Poll::Pending }
    }

    fn ping(&mut self, out: &mut WriteBuffer) {
        out.bytes_mut().extend_from_slice(b"* ping\n");
    }

    fn waits_for(&self) -> Wait {
        self.waits_for.clone()
    }
}

/// Whether two notices are one that was published in several rooms. Their bytes are shared then;
/// and since we hold the last one, no other can be at its place.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}
