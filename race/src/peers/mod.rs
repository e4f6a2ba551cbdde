//! The peers, each in its own natural use. All are lossless: a full queue is waited for.

pub mod async_broadcast;
pub mod asyncband;
pub mod fanfare;
pub mod flume_loop;
pub mod tokio_broadcast;

use crate::scenario::Scenario;
use ::fanfare::Payload;

/// A message type that every peer can carry.
pub trait Message: Payload + Clone {}

impl<M: Payload + Clone> Message for M {}

/// The publishers, and the readers.
pub type Ends<P, M> = (Vec<<P as Peer>::Publisher<M>>, Vec<<P as Peer>::Reader<M>>);

/// A way to publish messages to many readers.
///
/// With `blocks`, calls may block their thread, and use what the peer has for that.
pub trait Peer: Sized + 'static {
    /// Ours ends in how it reads.
    const NAME: &'static str;
    /// The crate that it is.
    const CRATE: &'static str;

    type Publisher<M: Message>: Send;
    type Reader<M: Message>: Send + 'static;

    /// As many publishers and readers as the scenario has, the stuck readers last.
    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M>;

    fn publish<M: Message>(
        publisher: &mut Self::Publisher<M>,
        message: M,
        blocks: bool,
    ) -> impl Future<Output = ()> + Send;

    fn publish_batch<M: Message>(
        publisher: &mut Self::Publisher<M>,
        messages: &mut Vec<M>,
        blocks: bool,
    ) -> impl Future<Output = ()> + Send {
        async move {
            for message in messages.drain(..) {
                Self::publish(publisher, message, blocks).await;
            }
        }
    }

    /// Waits for what comes next: one message, or all that can be had at once. Returns whether more
    /// can come.
    fn read<M: Message>(
        reader: &mut Self::Reader<M>,
        blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> impl Future<Output = bool> + Send;

    /// Looks at the reader's own account, if it has one.
    fn check<M: Message>(_reader: &Self::Reader<M>, _received: u64) {}
}
