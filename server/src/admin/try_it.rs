//! Subscribing and publishing from the dashboard.

use super::Page;
use super::context::AdminContext;
use crate::http::{Call, Response, append_event, events, json, read_body, text};
use crate::limits::{
    ADMIN_PUBLISH_BYTES, ADMIN_PUBLISH_MS, ADMIN_WATCH_BYTES, ADMIN_WATCH_MESSAGES, ADMIN_WATCH_MS,
};
use crate::message::ServerMessage;
use async_io::Timer;
use bytes::Bytes;
use data_encoding::BASE64;
use fanfare::{BatchDelivery, Pattern, Subscription, Topic, WhenFull};
use futures_lite::stream;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// `GET /subscribe?pattern=a.*`: messages, and gaps in their place, as server-sent events.
pub(super) async fn subscribe(context: Arc<AdminContext>, call: Call) -> Page {
    let subscription = context.broker.subscription(&parsed::<Pattern>(&call, "pattern")?);
    let subscription = subscription.queue_messages(ADMIN_WATCH_MESSAGES);
    let subscription = subscription.when_full(WhenFull::DropOldest).subscribe();
    let subscription = subscription.map_err(unavailable)?;
    // why: one for each watcher, set again for each look.
    let watch = Watch { subscription, timer: Timer::never(), is_told: false };
    Ok(events(stream::unfold(watch, Watch::next)))
}

/// A value in the query, or the answer that it is wrong.
fn parsed<T: FromStr<Err: Display>>(call: &Call, name: &'static str) -> Result<T, Box<Response>> {
    let parsed = call.text(name)?.unwrap_or_default().parse();
    parsed.map_err(|error| text(StatusCode::BAD_REQUEST, format!("{error}\n")).into())
}

fn unavailable(error: impl Display) -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}

/// Somebody who watches a pattern.
struct Watch {
    subscription: Subscription<ServerMessage>,
    timer: Timer,
    /// Whether the page knows that the subscription has begun.
    is_told: bool,
}

impl Watch {
    /// The next message, and what comes shortly after it. `None` once the broker is closed.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.is_told, true) {
            append_event(&mut out, "subscribed", &self.subscription.pattern().as_str());
            return Some((out.into(), self));
        }
        append_delivery(&mut out, self.subscription.recv_batch().await?);
        self.timer.set_after(Duration::from_millis(ADMIN_WATCH_MS));
        (&mut self.timer).await;
        // The queue's bound holds here too: what comes in the meantime waits for the next look.
        let mut left = self.subscription.books().queued;
        while left > 0
            && let Ok(delivery) = self.subscription.try_recv_batch()
        {
            if let BatchDelivery::Batch(batch) = &delivery {
                left = left.saturating_sub(batch.len() as u64);
            }
            append_delivery(&mut out, delivery);
        }
        Some((out.into(), self))
    }
}

fn append_delivery(out: &mut Vec<u8>, delivery: BatchDelivery<ServerMessage>) {
    match delivery {
        BatchDelivery::Missed(missed) => append_event(out, "missed", &missed),
        BatchDelivery::Batch(batch) => {
            for message in batch.iter() {
                append_event(out, "message", &shown(batch.topic(), message));
            }
        }
    }
}

/// A message, with the beginning of its payload, as text if it is UTF-8 and in base64 if not.
fn shown(topic: &Topic, message: &ServerMessage) -> Value {
    let payload = message.payload();
    let (name, text) = match std::str::from_utf8(payload) {
        Ok(text) => ("text", text[..text.floor_char_boundary(ADMIN_WATCH_BYTES)].to_owned()),
        Err(_) => ("base64", BASE64.encode(&payload[..payload.len().min(ADMIN_WATCH_BYTES)])),
    };
    json!({
        "topic": topic.as_str(),
        "sender": message.sender.as_deref(),
        "bytes": payload.len(),
        name: text,
    })
}

/// `POST /publish?topic=a.b`: publishes the body, and gives the receipt.
pub(super) async fn publish(context: Arc<AdminContext>, call: Call) -> Page {
    let topic: Topic = parsed(&call, "topic")?;
    let time = Duration::from_millis(ADMIN_PUBLISH_MS);
    let body = read_body(call.request.into_body(), ADMIN_PUBLISH_BYTES, time).await?;
    let published = context.broker.publish(&topic, ServerMessage::of(body)).await;
    let receipt = published.map_err(unavailable)?;
    let shown = json!({
        "matched": receipt.matched,
        "queued": receipt.queued,
        "waited": receipt.waited,
        "dropped": receipt.dropped,
        "disconnected": receipt.disconnected,
    });
    Ok(json(StatusCode::OK, &shown))
}
