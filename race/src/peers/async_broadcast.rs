//! `async-broadcast`. A full channel makes its senders wait.

use super::{Ends, Message, Peer};
use crate::scenario::Scenario;
use async_broadcast::{InactiveReceiver, Receiver, Sender, TrySendError, broadcast};
use std::iter::repeat_n;

pub struct AsyncBroadcast;

#[derive(Clone)]
pub struct Publisher<M> {
    sender: Sender<M>,
    /// Keeps the channel open when nobody reads.
    _open: InactiveReceiver<M>,
}

impl Peer for AsyncBroadcast {
    const NAME: &'static str = "async-broadcast";
    const CRATE: &'static str = Self::NAME;

    type Publisher<M: Message> = Publisher<M>;
    type Reader<M: Message> = Receiver<M>;

    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M> {
        let (sender, receiver) = broadcast(scenario.queue_messages);
        let readers = (0..scenario.subscribers).map(|_| sender.new_receiver()).collect();
        let publisher = Publisher { sender, _open: receiver.deactivate() };
        (repeat_n(publisher, scenario.publishers).collect(), readers)
    }

    async fn publish<M: Message>(publisher: &mut Publisher<M>, message: M, blocks: bool) {
        // The future of a waiting send is made only when it is needed.
        if let Err(TrySendError::Full(message)) = publisher.sender.try_broadcast(message) {
            // It fails only if nobody reads any more, which the ledgers show.
            let _ = match blocks {
                true => publisher.sender.broadcast_blocking(message),
                false => publisher.sender.broadcast_direct(message).await,
            };
        }
    }

    async fn read<M: Message>(
        reader: &mut Receiver<M>,
        blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> bool {
        let message = match blocks {
            true => reader.recv_blocking(),
            false => reader.recv_direct().await,
        };
        message.as_ref().map(see).is_ok()
    }
}
