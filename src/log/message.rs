//! Views of a segment, to be kept: one message of it, or several in a row.

use crate::log::{Record, Segment};
use crate::payload::Payload;
use crate::topic::Topic;
use spin::Once;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One received message. Derefs to the payload.
///
/// It shares the segment it was published in: cloning is cheap and needs no `M: Clone`, and holding
/// it keeps the segment's other messages alive too, at most
/// [`SEGMENT_BYTES_MAX`](crate::limits::SEGMENT_BYTES_MAX) or its batch. Copy what you want to keep
/// for long.
///
/// ```
/// use fanfare::{Broker, Delivery, Message, Pattern, Topic};
///
/// let broker = Broker::<String>::new();
/// let mut lines = broker.subscribe(&Pattern::parse(">")?)?;
/// let _ = broker.publisher().publish_blocking(&Topic::parse("log.http")?, "GET /".into())?;
///
/// // What is received is lent until the next receive, and kept like this.
/// let mut kept: Vec<Message<String>> = Vec::new();
/// while let Ok(delivery) = lines.try_recv() {
///     match delivery {
///         Delivery::Message(line) => kept.push(line.to_message()),
///         Delivery::Missed(count) => println!("{count} lines are missing here"),
///     }
/// }
/// assert_eq!((kept[0].as_str(), kept[0].topic().as_str()), ("GET /", "log.http"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Message<M> {
    segment: Arc<Segment<M>>,
    index: u32,
}

impl<M> Message<M> {
    pub(crate) fn new(segment: Arc<Segment<M>>, index: u32) -> Self {
        Self { segment, index }
    }

    pub(crate) fn segment(&self) -> (&Arc<Segment<M>>, u32) {
        (&self.segment, self.index)
    }

    pub(crate) fn into_segment(self) -> Arc<Segment<M>> {
        self.segment
    }

    /// The topic that the message was published to.
    pub fn topic(&self) -> &Topic {
        self.segment.topic(self.index)
    }

    /// The message's weight against byte bounds.
    pub fn weight_bytes(&self) -> u32 {
        self.segment.weight_bytes(self.index)
    }
}

impl<M: Payload> Message<M> {
    /// The topic on which the sender waits for an answer, if it does.
    pub fn reply_to(&self) -> Option<&Topic> {
        self.segment.reply_to(self.index)
    }
}

impl<M> Deref for Message<M> {
    type Target = M;

    fn deref(&self) -> &M {
        self.segment.message(self.index)
    }
}

impl<M> Clone for Message<M> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), index: self.index }
    }
}

impl<M: fmt::Debug> fmt::Debug for Message<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("topic", self.topic()).field("payload", &**self).finish()
    }
}

/// Consecutive messages of one topic, received together and read by reference: the fast way to
/// receive. (Of several topics where [that was
/// asked for](crate::Mailbox::poll_recv_mixed).)
///
/// ```
/// use fanfare::{BatchDelivery, Broker, Pattern, Topic};
///
/// let broker = Broker::<u32>::new();
/// let ticks = Topic::parse("ticks")?;
/// let mut subscription = broker.subscribe(&Pattern::from(&ticks))?;
/// let _ = broker.publisher().publish_batch_blocking(&ticks, &mut vec![1, 2, 3])?;
///
/// let Some(BatchDelivery::Batch(batch)) = subscription.recv_batch_blocking() else {
///     panic!("nothing was missed")
/// };
/// assert_eq!((batch.len(), batch.iter().sum::<u32>()), (3, 6));
/// assert_eq!((batch.payload(2), batch.payload(3)), (Some(&3), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<M> {
    segment: Arc<Segment<M>>,
    from: u32,
    to: u32,
}

impl<M> Batch<M> {
    pub(crate) fn new(segment: Arc<Segment<M>>, from: u32, to: u32) -> Self {
        Self { segment, from, to }
    }

    /// The number of messages, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it has at least one")]
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// The topic that the messages were published to.
    pub fn topic(&self) -> &Topic {
        self.segment.topic(self.from)
    }

    /// The topic of the message at `index`.
    pub fn topic_of(&self, index: usize) -> Option<&Topic> {
        (index < self.len()).then(|| self.segment.topic(self.from + index as u32))
    }

    /// The payloads, in the order published.
    pub fn iter(&self) -> BatchIter<'_, M> {
        let Segment { first, later, .. } = &*self.segment;
        let (from, to) = (self.from as usize, self.to as usize);
        let later_range = from.max(first.len()) - first.len()..to.max(first.len()) - first.len();
        BatchIter {
            first: first[from.min(first.len())..to.min(first.len())].iter(),
            later: later[later_range].iter(),
        }
    }

    /// The payload at `index`.
    pub fn payload(&self, index: usize) -> Option<&M> {
        (index < self.len()).then(|| self.segment.message(self.from + index as u32))
    }

    /// The message at `index`, to be kept.
    pub fn get(&self, index: usize) -> Option<Message<M>> {
        (index < self.len()).then(|| Message::new(self.segment.clone(), self.from + index as u32))
    }
}

impl<M: Payload> Batch<M> {
    /// The payloads, each with the topic on which its sender waits for an answer, if it does.
    pub fn entries(&self) -> impl Iterator<Item = (&M, Option<&Topic>)> {
        let BatchIter { first, later } = self.iter();
        let later = later.filter_map(Once::get);
        first
            .map(|message| (message, message.reply_to()))
            .chain(later.map(|record| (&record.message, record.reply_to())))
    }

    /// The payload at `index`, with the topic on which its sender waits for an answer, if it does.
    pub fn entry(&self, index: usize) -> Option<(&M, Option<&Topic>)> {
        let entry = || {
            let index = self.from + index as u32;
            (self.segment.message(index), self.segment.reply_to(index))
        };
        (index < self.len()).then(entry)
    }
}

impl<'run, M> IntoIterator for &'run Batch<M> {
    type Item = &'run M;
    type IntoIter = BatchIter<'run, M>;

    fn into_iter(self) -> BatchIter<'run, M> {
        self.iter()
    }
}

/// The payloads of a [`Batch`], in the order published.
pub struct BatchIter<'run, M> {
    first: std::slice::Iter<'run, M>,
    later: std::slice::Iter<'run, Once<Record<M>>>,
}

impl<'run, M> Iterator for BatchIter<'run, M> {
    type Item = &'run M;

    fn next(&mut self) -> Option<&'run M> {
        let later = || self.later.next()?.get().map(|record| &record.message);
        self.first.next().or_else(later)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.first.len() + self.later.len();
        (left, Some(left))
    }
}

impl<M> ExactSizeIterator for BatchIter<'_, M> {}

impl<M: fmt::Debug> fmt::Debug for Batch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("topic", self.topic()).field("messages", &self.len()).finish()
    }
}
