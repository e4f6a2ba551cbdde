//! Messages that wait until they may be sent, and that newer ones replace.

use crate::codec::nats::Outgoing;
use std::collections::{BTreeMap, HashMap};
use std::mem::size_of;

/// The newest message of each subject, or the newest of all, in the order in which they began to
/// wait. Each is a copy of its own, so that few bytes keep no large segment alive.
#[derive(Default)]
pub(super) struct Gathered {
    /// The messages, by a number that grows.
    waiting: BTreeMap<u64, Copied>,
    /// The number of the message that waits, by its subject.
    places: HashMap<Box<[u8]>, u64>,
    last_number: u64,
    bytes: usize,
}

/// A copy of a message as a client is sent it.
pub(super) struct Copied {
    /// The key by which newer messages replace it.
    key: Box<[u8]>,
    subject: Box<[u8]>,
    reply_to: Option<Box<[u8]>>,
    headers: Box<[u8]>,
    payload: Box<[u8]>,
}

impl Copied {
    fn of(message: &Outgoing<'_>, key: &[u8]) -> Self {
        Self {
            key: key.into(),
            subject: message.subject.into(),
            reply_to: message.reply_to.map(Into::into),
            headers: message.headers.into(),
            payload: message.payload.into(),
        }
    }

    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            subject: &self.subject,
            reply_to: self.reply_to.as_deref(),
            headers: &self.headers,
            payload: &self.payload,
            sizes_as_written: None,
        }
    }

    fn bytes(&self) -> usize {
        let keys = 2 * self.key.len() + self.subject.len();
        let reply_bytes = self.reply_to.as_deref().map_or(0, <[u8]>::len);
        2 * size_of::<Self>() + keys + reply_bytes + self.headers.len() + self.payload.len()
    }
}

impl Gathered {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a message wait: in the place of an older one of the same subject, or else of the only
    /// one. Returns how many messages it replaced, or pushed out because of the bounds.
    pub fn put(
        &mut self,
        message: &Outgoing<'_>,
        by_subject: bool,
        (messages_max, bytes_max): (usize, usize),
    ) -> u64 {
        let key = if by_subject { message.subject } else { &[] };
        let copied = Copied::of(message, key);
        self.bytes += copied.bytes();
        let number = self.places.get(key).copied().unwrap_or_else(|| {
            self.last_number += 1;
            self.places.insert(key.into(), self.last_number);
            self.last_number
        });
        let replaced = self.waiting.insert(number, copied);
        self.bytes -= replaced.as_ref().map_or(0, Copied::bytes);
        let mut left_out = u64::from(replaced.is_some());
        // One may be larger than the bound: the queue that it came through had room for it.
        while self.waiting.len() > messages_max || self.waiting.len() > 1 && self.bytes > bytes_max
        {
            left_out += u64::from(self.take_first().is_some());
        }
        left_out
    }

    /// The one that waits for longest, if it may be sent.
    pub fn take_first_if(&mut self, may_send: bool) -> Option<Copied> {
        if may_send { self.take_first() } else { None }
    }

    /// The one that waits for longest.
    pub fn take_first(&mut self) -> Option<Copied> {
        let (_, first) = self.waiting.pop_first()?;
        self.places.remove(&first.key);
        self.bytes -= first.bytes();
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(gathered: &mut Gathered, text: &str, by_subject: bool, bounds: (usize, usize)) -> u64 {
        let (subject, payload) = text.split_once(' ').unwrap();
        let message = Outgoing {
            subject: subject.as_bytes(),
            reply_to: None,
            headers: &[],
            payload: payload.as_bytes(),
            sizes_as_written: None,
        };
        gathered.put(&message, by_subject, bounds)
    }

    fn texts(mut gathered: Gathered) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(first) = gathered.take_first() {
            let parts = [&first.subject, &first.payload];
            texts.push(parts.map(|part| String::from_utf8_lossy(part).into_owned()).join(" "));
        }
        assert_eq!((gathered.bytes, gathered.places.len()), (0, 0));
        texts
    }

    #[test]
    fn the_newest_of_each_subject_waits_where_the_first_did() {
        let mut gathered = Gathered::default();
        let counts = ["a 1", "b 1", "a 2", "c 1", "b 2"]
            .map(|text| put(&mut gathered, text, true, (9, 9999)));
        assert_eq!(counts, [0, 0, 1, 0, 1]);
        assert_eq!(texts(gathered), ["a 2", "b 2", "c 1"]);
    }

    #[test]
    fn the_newest_of_all_waits_alone() {
        let mut gathered = Gathered::default();
        let counts = ["a 1", "b 1", "a 2"].map(|text| put(&mut gathered, text, false, (9, 9999)));
        assert_eq!((counts, texts(gathered)), ([0, 1, 1], vec!["a 2".to_owned()]));
    }

    #[test]
    fn at_a_bound_the_one_that_waits_for_longest_is_left_out() {
        let three = ["a 1", "b 1", "c 1"];
        for bounds in [(2, 9999), (9, 5 * size_of::<Copied>())] {
            let mut gathered = Gathered::default();
            let counts = three.map(|text| put(&mut gathered, text, true, bounds));
            assert_eq!((counts, texts(gathered)), ([0, 0, 1], vec!["b 1".into(), "c 1".into()]));
        }
        let mut gathered = Gathered::default();
        assert_eq!(put(&mut gathered, "a larger", true, (9, 1)), 0);
        assert_eq!(texts(gathered), ["a larger"]);
    }
}
