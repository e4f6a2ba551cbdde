//! What a program that looks on sees: log lines, and with the feature `tracing` events.
//!
//! Called under no lock, since a subscriber of events is foreign code.

use crate::policy::Receipt;
use crate::queue::Queue;
use crate::stats::EndReason;
use crate::topic::Topic;
use std::time::Duration;

/// A publish that somebody did not get, or that waited, has completed. `topic` is not known where
/// a topic is used for the first time.
#[inline]
pub(crate) fn published(topic: Option<&Topic>, receipt: &Receipt, waited: Option<Duration>) {
    #[cfg(feature = "tracing")]
    if waited.is_some() || receipt.dropped + receipt.disconnected > 0 {
        let Receipt { matched, queued, dropped, disconnected, .. } = receipt;
        let (topic, waited_us) =
            (topic.map(Topic::as_str), waited.map(|waited| waited.as_micros()));
        let waited_us = waited_us.map(|waited| u64::try_from(waited).unwrap_or(u64::MAX));
        tracing::debug!(
            target: "fanfare", topic, matched, queued, dropped, disconnected, waited_us, "published"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (topic, receipt, waited);
}

/// A subscription or mailbox has ended.
pub(crate) fn ended<M>(queue: &Queue<M>, reason: EndReason) {
    let (id, interest) = (queue.terms.id, queue.terms.wanted.interest());
    let queued = queue.queued().messages;
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "fanfare", %id, %interest, ?reason, queued, "subscription ended");
    if matches!(reason, EndReason::Disconnected | EndReason::GivenUp) {
        log::debug!(
            "ended subscription {id} to {interest} ({reason:?}) with {queued} messages queued"
        );
    }
}
