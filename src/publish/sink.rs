//! A publisher as a sink.

use crate::error::PublishError;
use crate::limits::SINK_MESSAGES_MAX;
use crate::payload::Payload;
use crate::policy::Receipt;
use crate::publish::Publisher;
use crate::topic::Topic;
use futures_sink::Sink;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Publishes to one topic, as a [`Sink`]: messages are collected, and a flush publishes them as one
/// batch. The sink flushes a full batch ([`SINK_MESSAGES_MAX`]) by itself. Dropping it drops what
/// is not flushed.
///
/// ```
/// use fanfare::{BatchDelivery, Broker, Pattern, Topic};
/// use futures_util::SinkExt;
///
/// # futures_lite::future::block_on(async {
/// let broker = Broker::<u32>::new();
/// let ticks = Topic::parse("ticks")?;
/// let mut subscription = broker.subscribe(&Pattern::from(&ticks))?;
/// let mut sink = broker.publisher().into_sink(&ticks);
/// for tick in 1..=3 {
///     sink.feed(tick).await?;
/// }
/// sink.flush().await?;
/// assert_eq!(sink.receipt().queued, 3);
/// let Some(BatchDelivery::Batch(batch)) = subscription.recv_batch().await else {
///     panic!("nothing was missed")
/// };
/// assert_eq!(batch.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TopicSink<M: Payload> {
    publisher: Publisher<M>,
    topic: Topic,
    batch: Vec<M>,
    /// Whether a batch is being published.
    is_publishing: bool,
    receipt: Receipt,
}

impl<M: Payload> Publisher<M> {
    /// Publishes to `topic` as a [`Sink`] from now on.
    pub fn into_sink(self, topic: &Topic) -> TopicSink<M> {
        TopicSink {
            publisher: self,
            topic: topic.clone(),
            batch: Vec::new(),
            is_publishing: false,
            receipt: Receipt::default(),
        }
    }
}

impl<M: Payload> TopicSink<M> {
    /// The outcome of everything published through the sink.
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// The publisher back. What is not flushed is dropped.
    pub fn into_publisher(self) -> Publisher<M> {
        self.publisher
    }

    fn poll_publish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError<()>>> {
        loop {
            if self.is_publishing {
                self.receipt += ready!(self.publisher.poll_receipt(context));
                self.is_publishing = false;
            }
            if self.batch.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let outcome = self.publisher.begin_batch(&self.topic, &mut self.batch, true);
            outcome.map_err(|refusal| refusal.of(()))?;
            self.is_publishing = true;
        }
    }
}

/// It is never pinned inside.
impl<M: Payload> Unpin for TopicSink<M> {}

impl<M: Payload> Sink<M> for TopicSink<M> {
    type Error = PublishError<()>;

    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        match self.batch.len() < SINK_MESSAGES_MAX {
            true => Poll::Ready(Ok(())),
            false => self.get_mut().poll_publish(context),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Self::Error> {
        self.get_mut().batch.push(message);
        Ok(())
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_publish(context)
    }

    fn poll_close(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_publish(context)
    }
}
