//! A demonstration for browsers: for each policy a sender, and a reader that pretends to be slow.
//! It has brokers of its own, so nobody else is slowed down or sees anything of it.

use crate::http::{Call, QueryError, Response, event, events, json, text};
use crate::limits::{
    DEMO_BURST_MESSAGES, DEMO_LOOK_MS, DEMO_PER_SECOND, DEMO_QUEUE_MESSAGES, DEMO_WAIT_MS, DEMOS,
};
use crate::locks::lock;
use async_io::Timer;
use bytes::Bytes;
use fanfare::{Books, Broker, Delivery, Pattern, Subscription, Topic, TryRecvError, WhenFull};
use futures_lite::future::zip;
use futures_lite::stream;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

const TOPIC: &str = "demo";

/// The demonstrations that somebody looks at.
#[derive(Default)]
pub(super) struct Demos {
    running: Mutex<Vec<Weak<Demo>>>,
    last_number: AtomicU64,
}

/// One demonstration, which ends with the stream that shows it.
struct Demo {
    number: u64,
    trials: [Trial; 4],
    /// Messages a second that each reader takes.
    per_second: AtomicU32,
    is_bursting: AtomicBool,
}

/// A policy, and the sender that tries it out.
struct Trial {
    policy: WhenFull,
    broker: Broker<u64>,
    sent: AtomicU64,
    /// How long the last burst took; 0 while it is under way.
    took_ms: AtomicU64,
}

impl Demos {
    /// `GET /chat/demo/events`: what the readers of a new demonstration get, as server-sent events.
    pub fn begin(&self) -> Response {
        let mut running = lock(&self.running);
        running.retain(|demo| demo.strong_count() > 0);
        if running.len() >= DEMOS {
            let all = format!("{DEMOS} demonstrations are running; try again later\n");
            return text(StatusCode::SERVICE_UNAVAILABLE, all);
        }
        let demo = Arc::new(Demo::new(self.last_number.fetch_add(1, Ordering::Relaxed) + 1));
        running.push(Arc::downgrade(&demo));
        let show = Show::of(demo);
        events(stream::unfold(show, Show::next))
    }

    /// `POST /chat/demo/pace?demo=N&per_second=N`: how fast the readers read from now on.
    pub fn pace(&self, call: &Call) -> Response {
        let asked = (|| Ok((self.demo(call)?, call.number("per_second", 0)?)))();
        let (demo, per_second) = match asked {
            Ok((Some(demo), per_second)) => (demo, per_second),
            Ok((None, _)) => return gone(),
            Err(error) => return QueryError::response(error),
        };
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        let per_second = per_second.clamp(*DEMO_PER_SECOND.start(), *DEMO_PER_SECOND.end());
        demo.per_second.store(per_second, Ordering::Relaxed);
        json(StatusCode::OK, &json!({"per_second": per_second}))
    }

    /// `POST /chat/demo/burst?demo=N`: has all senders send as fast as the policies let them.
    pub async fn burst(&self, call: Call) -> Response {
        let demo = match self.demo(&call) {
            Ok(Some(demo)) => demo,
            Ok(None) => return gone(),
            Err(error) => return error.response(),
        };
        let Some(_bursting) = Bursting::begin(&demo) else {
            return text(StatusCode::CONFLICT, "a burst is under way\n");
        };
        demo.burst().await;
        json(StatusCode::OK, &json!({"sent": DEMO_BURST_MESSAGES}))
    }

    fn demo(&self, call: &Call) -> Result<Option<Arc<Demo>>, QueryError> {
        let number = call.number("demo", 0)? as u64;
        let running = lock(&self.running);
        Ok(running.iter().filter_map(Weak::upgrade).find(|demo| demo.number == number))
    }
}

fn gone() -> Response {
    text(StatusCode::NOT_FOUND, "that demonstration has ended\n")
}

impl Demo {
    fn new(number: u64) -> Self {
        let wait = Duration::from_millis(DEMO_WAIT_MS);
        let disconnect = WhenFull::Disconnect { after: wait };
        let policies =
            [WhenFull::Wait(wait), WhenFull::DropNewest, WhenFull::DropOldest, disconnect];
        Self {
            number,
            trials: policies.map(Trial::new),
            per_second: AtomicU32::new(*DEMO_PER_SECOND.start()),
            is_bursting: AtomicBool::new(false),
        }
    }

    async fn burst(&self) {
        let [one, two, three, four] = &self.trials;
        zip(zip(one.burst(), two.burst()), zip(three.burst(), four.burst())).await;
    }
}

impl Trial {
    fn new(policy: WhenFull) -> Self {
        let (sent, took_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { policy, broker: Broker::new(), sent, took_ms }
    }

    async fn burst(&self) {
        let (began, topic) = (Instant::now(), topic());
        self.took_ms.store(0, Ordering::Relaxed);
        let mut publisher = self.broker.publisher();
        for _ in 0..DEMO_BURST_MESSAGES {
            let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
            // Nobody closes the broker.
            let _ = publisher.publish(&topic, number).await;
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.took_ms.store(took_ms.max(1), Ordering::Relaxed);
    }
}

/// Ends with the burst, or with the request that asked for it.
struct Bursting<'d>(&'d AtomicBool);

impl<'d> Bursting<'d> {
    fn begin(demo: &'d Demo) -> Option<Self> {
        let was_bursting = demo.is_bursting.swap(true, Ordering::Acquire);
        (!was_bursting).then_some(Self(&demo.is_bursting))
    }
}

impl Drop for Bursting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A page's stream of server-sent events. The readers take turns in it.
struct Show {
    demo: Arc<Demo>,
    readers: Vec<Reader>,
    timer: Timer,
    last_look: Option<Instant>,
    /// The figures that the page has.
    shown: Vec<Figures>,
}

impl Show {
    fn of(demo: Arc<Demo>) -> Self {
        let readers = demo.trials.iter().map(Reader::new).collect();
        // why: one for each that looks, set again for each look.
        let timer = Timer::never();
        Self { demo, readers, timer, last_look: None, shown: Vec::new() }
    }

    /// Waits until a reader has read something, and gives it as an event.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let Some(mut last_look) = self.last_look else {
            self.last_look = Some(Instant::now());
            let opening = json!({
                "demo": self.demo.number,
                "queue_messages": DEMO_QUEUE_MESSAGES,
                "burst_messages": DEMO_BURST_MESSAGES,
                "wait_ms": DEMO_WAIT_MS,
            });
            return Some((event("opening", &opening), self));
        };
        loop {
            self.timer.set_after(Duration::from_millis(DEMO_LOOK_MS));
            (&mut self.timer).await;
            let now = Instant::now();
            let passed = now - std::mem::replace(&mut last_look, now);
            self.last_look = Some(now);
            if let Some(look) = self.look(passed) {
                return Some((event("look", &look), self));
            }
        }
    }

    /// None if nothing has changed.
    fn look(&mut self, passed: Duration) -> Option<Value> {
        let per_second = self.demo.per_second.load(Ordering::Relaxed);
        let due = passed.as_secs_f64() * f64::from(per_second);
        let read: Vec<Vec<Item>> = self.readers.iter_mut().map(|reader| reader.read(due)).collect();
        let trials = self.readers.iter().zip(&self.demo.trials);
        let figures: Vec<Figures> = trials.map(|(reader, trial)| reader.figures(trial)).collect();
        if figures == self.shown {
            return None;
        }
        let readers: Vec<Value> = figures
            .iter()
            .zip(read)
            .map(|(figures, items)| json!({"figures": figures, "items": items}))
            .collect();
        self.shown = figures;
        Some(json!({"readers": readers}))
    }
}

/// A subscription that is read at a pace.
struct Reader {
    subscription: Subscription<u64>,
    /// Messages that may be read now; a fraction is left for the next look.
    due: f64,
    is_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Figures {
    policy: &'static str,
    sent: u64,
    received: u64,
    missed: u64,
    queued: u64,
    took_ms: u64,
    is_ended: bool,
}

/// A run of messages that was read, by first and last number, or a count of missing ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Item {
    Read(u64, u64),
    Missed(u64),
}

impl Reader {
    #[expect(clippy::expect_used, reason = "a new broker has room for a few subscriptions")]
    fn new(trial: &Trial) -> Self {
        let subscription = trial
            .broker
            .subscription(&Pattern::from(&topic()))
            .queue_messages(DEMO_QUEUE_MESSAGES)
            .when_full(trial.policy)
            .subscribe()
            .expect("there is room");
        Self { subscription, due: 0.0, is_ended: false }
    }

    /// Reads what is due. A reader that finds too little saves nothing up for later.
    fn read(&mut self, due: f64) -> Vec<Item> {
        self.due = (self.due + due).min(DEMO_QUEUE_MESSAGES as f64);
        let mut items = Vec::new();
        while self.due >= 1.0 {
            match self.subscription.try_recv() {
                Ok(Delivery::Message(message)) => {
                    self.due -= 1.0;
                    append(&mut items, *message);
                }
                Ok(Delivery::Missed(missed)) => items.push(Item::Missed(missed)),
                Err(error) => {
                    self.due = 0.0;
                    self.is_ended = error == TryRecvError::Ended;
                    break;
                }
            }
        }
        items
    }

    fn figures(&self, trial: &Trial) -> Figures {
        let (sent, took_ms) =
            (trial.sent.load(Ordering::Relaxed), trial.took_ms.load(Ordering::Relaxed));
        let Books { received, dropped, queued, .. } = self.subscription.books();
        let (policy, is_ended) = (trial.policy.name(), self.is_ended);
        // A subscription that is disconnected loses what was queued, and all that is sent later.
        let (missed, queued) = if is_ended { (sent - received, 0) } else { (dropped, queued) };
        Figures { policy, sent, received, missed, queued, took_ms, is_ended }
    }
}

fn append(items: &mut Vec<Item>, number: u64) {
    match items.last_mut() {
        Some(Item::Read(_, to)) if *to + 1 == number => *to = number,
        _ => items.push(Item::Read(number, number)),
    }
}

#[expect(clippy::expect_used, reason = "one word is a topic")]
fn topic() -> Topic {
    Topic::parse(TOPIC).expect("it is a topic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn every_message_is_received_or_missed_under_each_policy() {
        let demo = Arc::new(Demo::new(1));
        let mut show = Show::of(demo.clone());
        block_on(demo.burst());
        while show.look(Duration::from_secs(60)).is_some() {}
        let sent = DEMO_BURST_MESSAGES as u64;
        let room = DEMO_QUEUE_MESSAGES as u64;
        for figures in &show.shown {
            assert_eq!(figures.received + figures.missed, sent, "{figures:?}");
            let read = if figures.policy == "disconnect" { 0 } else { room };
            assert_eq!((figures.received, figures.queued), (read, 0), "{figures:?}");
            assert_eq!(figures.is_ended, figures.policy == "disconnect", "{figures:?}");
        }
    }

    #[test]
    fn the_oldest_or_the_newest_are_missing_and_the_gap_is_where_they_are() {
        let demo = Arc::new(Demo::new(1));
        let mut show = Show::of(demo.clone());
        block_on(demo.burst());
        let (sent, room) = (DEMO_BURST_MESSAGES as u64, DEMO_QUEUE_MESSAGES as u64);
        let read = |show: &mut Show, reader: usize| -> Vec<Item> {
            let looks = std::iter::repeat_with(|| show.readers[reader].read(1e6));
            looks.take_while(|items| !items.is_empty()).flatten().collect()
        };
        let newest = read(&mut show, 1);
        assert_eq!(newest, [Item::Read(1, room), Item::Missed(sent - room)]);
        let oldest = read(&mut show, 2);
        assert_eq!(oldest, [Item::Missed(sent - room), Item::Read(sent - room + 1, sent)]);
    }

    #[test]
    fn a_reader_takes_no_more_than_its_pace_and_saves_up_nothing() {
        let demo = Arc::new(Demo::new(1));
        let mut show = Show::of(demo.clone());
        let reader = &mut show.readers[1];
        assert_eq!(reader.read(50.0), []);
        block_on(demo.burst());
        let reader = &mut show.readers[1];
        assert_eq!(reader.read(2.5), [Item::Read(1, 2)]);
        assert_eq!(reader.read(2.5), [Item::Read(3, 5)]);
    }
}
