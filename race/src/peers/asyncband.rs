//! The bounded broadcast channel of `asyncband`. A full channel makes its senders wait.

use super::{Ends, Message, Peer};
use crate::scenario::Scenario;
use asyncband::broadcast::mpmc::{BoundedReceiver, BoundedSender, bounded};
use std::iter::repeat_n;

pub struct Asyncband;

impl Peer for Asyncband {
    const NAME: &'static str = "asyncband";
    const CRATE: &'static str = Self::NAME;

    type Publisher<M: Message> = BoundedSender<M>;
    type Reader<M: Message> = BoundedReceiver<M>;

    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M> {
        let (sender, _) = bounded(scenario.queue_messages);
        let readers = (0..scenario.subscribers).map(|_| sender.subscribe()).collect();
        (repeat_n(sender, scenario.publishers).collect(), readers)
    }

    // It has no blocking calls but a `block_on`, which our caller has already.
    async fn publish<M: Message>(publisher: &mut BoundedSender<M>, message: M, _blocks: bool) {
        publisher.send(message).await;
    }

    async fn read<M: Message>(
        reader: &mut BoundedReceiver<M>,
        _blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> bool {
        reader.recv().await.as_ref().map(see).is_ok()
    }
}
