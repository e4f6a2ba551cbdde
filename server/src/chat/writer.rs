//! The writing half of a connection: the answers of its session and the messages of its
//! subscriptions, side by side.

use super::names::Name;
use super::render;
use super::rooms::Presence;
use super::rooms::rules::Membership;
use super::times::{TimeFormat, Times};
use crate::connection::duplex::WriteHalf;
use crate::connection::outbound::{OutboundQueue, QueueItem};
use crate::diagnostics::ConnectionFigures;
use crate::message::{Kind, ServerMessage};
use crate::tasks::Wait;
use crate::transport::{Filled, Source, WriteBuffer};
use bytes::Bytes;
use fanfare::{Batch, BatchDelivery, Subscription};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Everything queued for the writing half, in order.
pub(super) type ChatQueue = OutboundQueue<Change>;

/// A change of what the person is sent.
pub(super) enum Change {
    /// Write this subscription's messages from now on.
    Open(Channel, Subscription<ServerMessage>, Option<Arc<Membership>>),
    /// Nothing more from that channel.
    Close(Channel),
    /// The times of lines are shown in this form.
    Times(TimeFormat),
    /// Nothing from these people is shown.
    Ignored(Vec<Name>),
}

/// A source of messages for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Room(Name),
    /// Private messages; only one at a time.
    Inbox,
}

/// One connection's subscriptions, and what its session answers.
pub(super) struct Writer<'o> {
    queue: &'o ChatQueue,
    presence: Arc<Presence>,
    figures: &'o ConnectionFigures,
    channels: Vec<OpenChannel>,
    /// The channel to look at first. It moves on, so that a busy room does not keep the others
    /// waiting.
    first: usize,
    line_bytes: usize,
    times: Times,
    ignored: Vec<Name>,
    /// The last notice shown: the same one published in several rooms is shown once.
    last_notice: Bytes,
    waits_for: Wait,
    is_over: bool,
}

struct OpenChannel {
    channel: Channel,
    /// `None` for private messages.
    membership: Option<Arc<Membership>>,
    prefix: String,
    subscription: Subscription<ServerMessage>,
    /// A received batch that is rendered up to an index, where the buffer became full.
    rest: Option<(Batch<ServerMessage>, usize)>,
    is_ended: bool,
}

impl<'o> Writer<'o> {
    pub fn new(
        queue: &'o ChatQueue,
        presence: Arc<Presence>,
        line_bytes: usize,
        figures: &'o ConnectionFigures,
    ) -> Self {
        Writer {
            queue,
            presence,
            figures,
            channels: Vec::new(),
            first: 0,
            line_bytes,
            times: Times::default(),
            ignored: Vec::new(),
            last_notice: Bytes::new(),
            waits_for: Wait::RECV,
            is_over: false,
        }
    }

    fn take_items(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        while !out.is_full() && !self.is_over {
            let Some(item) = self.queue.take_next() else { break };
            took = true;
            match item {
                QueueItem::Text(text) => out.bytes_mut().extend_from_slice(&text),
                QueueItem::Change(Change::Open(channel, subscription, membership)) => {
                    self.open((channel, membership), subscription, context, out)
                }
                QueueItem::Close => self.is_over = true,
                QueueItem::Change(Change::Times(format)) => self.times = Times::new(format),
                QueueItem::Change(Change::Ignored(names)) => self.ignored = names,
                QueueItem::Change(Change::Close(channel)) => {
                    self.channels.retain(|open| open.channel != channel);
                    self.note_channels();
                }
            }
        }
        took
    }

    /// Shows nothing more of rooms that the person was put out of, not even what waits.
    fn close_removed(&mut self, out: &mut WriteBuffer) {
        let removed =
            |open: &OpenChannel| open.membership.as_ref().is_some_and(|it| it.removed().is_some());
        if !self.channels.iter().any(removed) {
            return;
        }
        for membership in self.channels.iter().filter_map(|open| open.membership.as_ref()) {
            if let Some(notice) = membership.removed() {
                render::append_reply(out.bytes_mut(), notice);
            }
        }
        self.channels.retain(|open| !removed(open));
        self.note_channels();
    }

    /// Opens a channel. Its room's history is shown at once, before anything else that waits.
    fn open(
        &mut self,
        (channel, membership): (Channel, Option<Arc<Membership>>),
        subscription: Subscription<ServerMessage>,
        context: &mut Context<'_>,
        out: &mut WriteBuffer,
    ) {
        self.channels.retain(|open| open.channel != channel);
        let prefix = match &channel {
            Channel::Room(room) => format!("[{room}] "),
            Channel::Inbox => "(private) ".to_owned(),
        };
        self.channels.push(OpenChannel {
            channel,
            membership,
            prefix,
            subscription,
            rest: None,
            is_ended: false,
        });
        self.note_channels();
        let last = self.channels.len() - 1;
        while !out.is_full() && self.render_one(last, context, out) {}
    }

    /// Says how many subscriptions there are, where to look for what is queued in them, and what is
    /// waited for. Done when the channels change, so that it costs nothing while messages flow.
    fn note_channels(&mut self) {
        self.figures.set_subscriptions(self.channels.len());
        let watches: Vec<_> = self.channels.iter().map(|open| open.subscription.watch()).collect();
        self.figures.set_queues(move || watches.iter().map(|watch| watch.stats()).collect());
        let mut rooms = self.channels.iter().filter_map(|open| match &open.channel {
            Channel::Room(room) => Some(room.topic()),
            Channel::Inbox => None,
        });
        self.waits_for = match (rooms.next(), rooms.count()) {
            (None, _) => Wait::RECV,
            (Some(room), 0) => Wait::named(format!("recv {room}")),
            (Some(room), more) => Wait::named(format!("recv {room} and {more} more")),
        };
    }

    /// Every channel in turn, one batch at a time, until none has anything or the buffer is full.
    fn take_messages(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        let mut idle_sources = 0;
        while idle_sources < self.channels.len() && !out.is_full() {
            self.first = (self.first + 1) % self.channels.len();
            if self.render_one(self.first, context, out) {
                took = true;
                idle_sources = 0;
            } else {
                idle_sources += 1;
            }
        }
        took
    }

    /// Renders one batch of a channel, as far as the buffer takes it. False if there is none.
    fn render_one(
        &mut self,
        index: usize,
        context: &mut Context<'_>,
        out: &mut WriteBuffer,
    ) -> bool {
        let several_rooms =
            self.channels.iter().filter(|open| open.channel != Channel::Inbox).count() > 1;
        let open = &mut self.channels[index];
        if open.rest.is_none() && !open.is_ended {
            match open.subscription.poll_recv_batch(context) {
                Poll::Pending => return false,
                Poll::Ready(None) => open.is_ended = true,
                Poll::Ready(Some(BatchDelivery::Batch(batch))) => open.rest = Some((batch, 0)),
                Poll::Ready(Some(BatchDelivery::Missed(missed))) => {
                    let place = match &open.channel {
                        Channel::Room(room) => several_rooms.then(|| room.as_str()),
                        Channel::Inbox => Some("private messages"),
                    };
                    render::append_missed(out.bytes_mut(), missed, place);
                    return true;
                }
            }
        }
        let Some((batch, from)) = open.rest.take() else { return false };
        let mut rendered = from;
        for message in batch.iter().skip(from) {
            if out.is_full() {
                break;
            }
            rendered += 1;
            if let Some(sender) = message.sender.as_deref()
                && self.ignored.iter().any(|name| name.is_written(sender))
            {
                continue;
            }
            if message.kind == Kind::Notice {
                let notice = message.content.payload_bytes();
                if is_same(&self.last_notice, &notice) {
                    continue;
                }
                self.last_notice = notice;
            }
            self.times.append(out.bytes_mut(), message.time);
            render::append_message(out.bytes_mut(), &open.prefix, message, self.line_bytes);
        }
        self.figures.sent(rendered - from);
        if rendered < batch.len() {
            open.rest = Some((batch, rendered));
        }
        true
    }

    fn is_at_end(&self, out: &WriteBuffer) -> bool {
        let has_ended = |open: &OpenChannel| open.is_ended && open.rest.is_none();
        let is_drained = || !out.is_full() && self.queue.closes_after_messages();
        self.is_over || (is_drained() && self.channels.iter().all(has_ended))
    }
}

impl Source for Writer<'_> {
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
        // Registered before looking: what is handed over in between wakes us.
        self.queue.register_writer(context);
        if self.presence.is_displaced() {
            // Whatever waits is for the owner, who is elsewhere.
            render::append_reply(out.bytes_mut(), "* you logged in elsewhere; goodbye");
            return Poll::Ready(Filled::Ended);
        }
        self.close_removed(out);
        let took_items = self.take_items(context, out);
        let took_messages = self.take_messages(context, out);
        if self.is_at_end(out) {
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

impl WriteHalf for Writer<'_> {}

/// Whether two notices are one that was published in several rooms. Their bytes are shared then;
/// and since we hold the last one, no other can be at its address.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}
