//! The messages of the race. Each carries its publisher and its number, so that every reader can
//! check what it got.

use fanfare::Payload;
use std::sync::Arc;

/// A payload that all peers of a row share: what is cheapest to hand on at its size.
pub trait RaceMessage: Payload + Clone {
    const BYTES: usize;

    fn new(publisher: usize, sequence: u64) -> Self;

    fn stamp(&self) -> Stamp;
}

/// Who published a message, and as which of its messages, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub publisher: usize,
    pub sequence: u64,
}

/// 64 bytes held in place: a copy costs less than counting references.
#[derive(Clone)]
pub struct Small {
    stamp: Stamp,
    _rest: [u8; 48],
}

/// 4 KiB behind one reference count, made anew for every message.
#[derive(Clone)]
pub struct Large(Arc<LargeBody>);

struct LargeBody {
    stamp: Stamp,
    _rest: [u8; 4080],
}

impl RaceMessage for Small {
    const BYTES: usize = 64;

    fn new(publisher: usize, sequence: u64) -> Self {
        Self { stamp: Stamp { publisher, sequence }, _rest: [0; 48] }
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }
}

impl RaceMessage for Large {
    const BYTES: usize = 4096;

    fn new(publisher: usize, sequence: u64) -> Self {
        Self(Arc::new(LargeBody { stamp: Stamp { publisher, sequence }, _rest: [0; 4080] }))
    }

    fn stamp(&self) -> Stamp {
        self.0.stamp
    }
}

impl Payload for Small {}

impl Payload for Large {
    fn weight_bytes(&self) -> usize {
        size_of::<LargeBody>()
    }
}

const _: () = assert!(size_of::<Small>() == Small::BYTES);
const _: () = assert!(size_of::<LargeBody>() == Large::BYTES);
