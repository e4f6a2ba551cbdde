//! Plain flume: a bounded queue for each subscriber, filled one after another. A full one is waited
//! for.

#![expect(
    clippy::disallowed_methods,
    reason = "flume's futures are what is measured here; each is awaited to its end"
)]

use super::{Ends, Message, Peer};
use crate::scenario::Scenario;
use flume::{Receiver, Sender, TrySendError, bounded};
use std::iter::repeat_n;

pub struct FlumeLoop;

impl Peer for FlumeLoop {
    const NAME: &'static str = "flume";
    const CRATE: &'static str = Self::NAME;

    type Publisher<M: Message> = Vec<Sender<M>>;
    type Reader<M: Message> = Receiver<M>;

    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M> {
        let queue = |_| bounded(scenario.queue_messages);
        let (senders, readers) = (0..scenario.subscribers).map(queue).unzip();
        (repeat_n(senders, scenario.publishers).collect(), readers)
    }

    async fn publish<M: Message>(publisher: &mut Vec<Sender<M>>, message: M, blocks: bool) {
        for sender in publisher {
            send(sender, message.clone(), blocks).await;
        }
    }

    /// A batch is put into one queue whole before the next, as anybody would who has it at hand.
    async fn publish_batch<M: Message>(
        publisher: &mut Vec<Sender<M>>,
        messages: &mut Vec<M>,
        blocks: bool,
    ) {
        for sender in publisher {
            for message in &*messages {
                send(sender, message.clone(), blocks).await;
            }
        }
        messages.clear();
    }

    async fn read<M: Message>(
        reader: &mut Receiver<M>,
        blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> bool {
        let message = match blocks {
            true => reader.recv(),
            false => reader.recv_async().await,
        };
        message.as_ref().map(see).is_ok()
    }
}

async fn send<M>(sender: &Sender<M>, message: M, blocks: bool) {
    if let Err(TrySendError::Full(message)) = sender.try_send(message) {
        // It fails only if nobody reads any more, which the ledgers show.
        let _ = match blocks {
            true => sender.send(message),
            false => sender.send_async(message).await,
        };
    }
}
