//! `tokio::sync::broadcast`.
//!
//! It has no back-pressure: a publisher that overruns the ring makes every reader lose messages.
//! The publishers here use its natural means against that: they look at `Sender::len`, once for
//! every burst, and yield while the ring has no room for a burst of each.

use super::{Ends, Message, Peer};
use crate::scenario::Scenario;
use futures_lite::future::yield_now;
use std::thread;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

pub struct TokioBroadcast;

pub struct Publisher<M> {
    sender: Sender<M>,
    burst: usize,
    left_of_burst: usize,
    /// As many messages in the ring leave room for a burst of every publisher.
    fits: usize,
}

impl Peer for TokioBroadcast {
    const NAME: &'static str = "tokio";
    const CRATE: &'static str = Self::NAME;

    type Publisher<M: Message> = Publisher<M>;
    type Reader<M: Message> = Receiver<M>;

    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M> {
        let (sender, _) = channel(scenario.queue_messages);
        let readers = (0..scenario.subscribers).map(|_| sender.subscribe()).collect();
        let capacity = scenario.queue_messages.next_power_of_two();
        // When every publisher's burst fits, all may begin theirs at once and none overruns.
        let burst = (capacity / (2 * scenario.publishers)).max(1);
        let fits = capacity - burst * scenario.publishers;
        let publisher = |_| Publisher { sender: sender.clone(), burst, left_of_burst: burst, fits };
        ((0..scenario.publishers).map(publisher).collect(), readers)
    }

    async fn publish<M: Message>(publisher: &mut Publisher<M>, message: M, blocks: bool) {
        if publisher.left_of_burst == 0 {
            while publisher.sender.len() > publisher.fits {
                match blocks {
                    true => thread::yield_now(),
                    false => yield_now().await,
                }
            }
            publisher.left_of_burst = publisher.burst;
        }
        publisher.left_of_burst -= 1;
        // It fails only if nobody reads any more, which the ledgers show.
        let _ = publisher.sender.send(message);
    }

    async fn read<M: Message>(
        reader: &mut Receiver<M>,
        blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> bool {
        let message = match blocks {
            true => reader.blocking_recv(),
            false => reader.recv().await,
        };
        match message {
            Ok(message) => see(&message),
            // Overwritten messages show as a loss in the ledger.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return false,
        }
        true
    }
}
