//! The messages of a run. Each carries its publisher and its number, so that every reader can check
//! what it got.

use fanfare::Payload;
use std::time::Instant;

/// A message that can be told from every other of its run.
pub trait RaceMessage: Payload + Clone {
    fn new(stamp: Stamp) -> Self;

    fn stamp(&self) -> &Stamp;
}

/// The publisher of a message, and the message's number among that publisher's, from 0.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub publisher: usize,
    pub sequence: u64,
    /// Just before it was published; known only where latency is measured.
    pub published: Option<Instant>,
}

/// 64 bytes held in place: a copy costs less than counting references.
#[derive(Clone, Copy)]
pub struct Plain {
    stamp: Stamp,
    _rest: [u8; 64 - size_of::<Stamp>()],
}

/// 64 bytes on the heap, made for each message. A peer that clones makes them again.
#[derive(Clone)]
pub struct Text {
    stamp: Stamp,
    body: String,
}

impl RaceMessage for Plain {
    fn new(stamp: Stamp) -> Self {
        Self { stamp, _rest: [0; _] }
    }

    fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

impl RaceMessage for Text {
    fn new(stamp: Stamp) -> Self {
        let body = "sixty-four characters on the heap, made anew for each message ..".to_owned();
        Self { stamp, body }
    }

    fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

impl Payload for Plain {}

impl Payload for Text {
    fn weight_bytes(&self) -> usize {
        size_of::<Stamp>() + self.body.len()
    }
}
