//! The broker, and the model beside it: each step is done to both, and compared.

use crate::model::{End, GROUP_PATTERNS, Model, PATTERNS, Policy, Published, Sent, Sub, TOPICS};
use fanfare::{
    BatchDelivery, Broker, Delivery, EndReason, Message, Origin, Publisher, Receipt, Subscription,
    SubscriptionWatch, TryPublishError, TryRecvError,
};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use testkit::broker::{Load, Loads, Woken, at_once, block_on, pattern, topic};

pub type Outcome = Option<Result<Receipt, ()>>;

/// A publisher, or the publish it is busy with.
#[expect(clippy::large_enum_variant, reason = "there are at most three")]
pub enum Hand {
    Free(Publisher<Load>),
    Busy(Busy),
    Gone,
}

pub struct Busy {
    pub publish: Pin<Box<dyn Future<Output = (Publisher<Load>, Outcome)>>>,
    pub stop: Rc<Cell<bool>>,
    pub woken: Arc<Woken>,
    pub waker: Waker,
}

impl Busy {
    /// Polls once, and again each time it has only yielded.
    pub fn poll(&mut self) -> Poll<(Publisher<Load>, Outcome)> {
        loop {
            let polled = self.publish.as_mut().poll(&mut Context::from_waker(&self.waker));
            if polled.is_ready() || !self.woken.take() {
                return polled;
            }
        }
    }
}

/// Publishes, and gives the publisher back; stops half-way when told so.
async fn publish(
    mut publisher: Publisher<Load>,
    to: usize,
    mut batch: Vec<Load>,
    single: bool,
    stop: Rc<Cell<bool>>,
) -> (Publisher<Load>, Outcome) {
    let to = topic(TOPICS[to]);
    let outcome = {
        let mut publish = pin!(async {
            if single {
                publisher.publish(&to, batch.pop().unwrap()).await.map_err(drop)
            } else {
                let result = publisher.publish_batch(&to, &mut batch).await.map_err(drop);
                assert_eq!(
                    batch.is_empty(),
                    result.is_ok(),
                    "a batch is taken when accepted, and only then"
                );
                result
            }
        });
        poll_fn(|context| {
            if stop.get() { Poll::Ready(None) } else { publish.as_mut().poll(context).map(Some) }
        })
        .await
    };
    (publisher, outcome)
}

pub struct Real {
    /// None once dropped.
    pub subscription: Option<Subscription<Load>>,
    pub watch: SubscriptionWatch<Load>,
    pub woken: Arc<Woken>,
    pub waker: Waker,
    /// A receive is pending: something to receive must wake it.
    pub parked: bool,
}

/// What one sequence may do.
#[derive(Clone)]
pub struct Setup {
    pub publishers: usize,
    pub policies: Vec<Policy>,
    pub group_policies: Vec<Policy>,
    pub steps: usize,
}

pub struct World {
    pub random: fastrand::Rng,
    pub setup: Setup,
    pub loads: Loads,
    pub broker: Broker<Load>,
    pub origins: [Origin; 2],
    pub hands: Vec<(Hand, Option<usize>)>,
    pub next_number: Vec<u64>,
    pub reals: Vec<Real>,
    pub model: Model,
    /// A forgotten future may own its message for ever.
    pub forgot: bool,
    pub trace: Vec<String>,
}

impl World {
    pub fn new(seed: u64, setup: Setup) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let history_of =
            random.bool().then(|| ([">", "a.>", "*"][random.usize(0..3)], random.usize(1..4)));
        let mut builder = Broker::builder();
        if let Some((kept, most)) = history_of {
            builder = builder.history(pattern(kept), most);
        }
        let broker = builder.build();
        let origins = [Origin::unique(), Origin::unique()];
        let mut hands = Vec::new();
        for _ in 0..setup.publishers {
            let origin = random.bool().then(|| random.usize(0..2));
            let publisher = origin
                .map_or_else(|| broker.publisher(), |origin| broker.publisher_as(origins[origin]));
            hands.push((Hand::Free(publisher), origin));
        }
        Self {
            random,
            loads: Loads::new(),
            broker,
            origins,
            next_number: vec![0; hands.len()],
            hands,
            reals: Vec::new(),
            model: Model { history_of, ..Model::default() },
            forgot: false,
            trace: vec![format!("history {history_of:?}")],
            setup,
        }
    }

    pub fn run(&mut self) {
        for _ in 0..3 {
            self.subscribe();
        }
        for _ in 0..self.setup.steps {
            match self.random.u8(0..100) {
                0..4 => self.subscribe(),
                4..7 => self.drop_subscription(),
                7..40 => self.publish(),
                40..55 => self.try_publish(),
                55..61 => self.cancel(),
                61..62 => self.forget(),
                62..93 => self.receive(),
                93..97 => self.receive_all(),
                97 => self.look_at_history(),
                98 => self.look_at_lists(),
                _ => {
                    if self.random.u8(0..4) == 0 {
                        self.close();
                    }
                }
            }
            self.check();
        }
        self.finish();
    }

    pub fn note(&mut self, text: String) {
        self.trace.push(text);
    }

    pub fn subscribe(&mut self) {
        if self.model.subs.iter().filter(|sub| sub.end.is_none()).count() >= 5 {
            return;
        }
        let random = &mut self.random;
        let group = (random.u8(0..4) == 0).then(|| random.usize(0..GROUP_PATTERNS.len()));
        let policies =
            if group.is_some() { &self.setup.group_policies } else { &self.setup.policies };
        let replay = if group.is_none() && random.bool() { random.usize(0..4) } else { 0 };
        let sub = Sub {
            pattern: group.map_or_else(
                || PATTERNS[random.usize(0..PATTERNS.len())],
                |group| GROUP_PATTERNS[group],
            ),
            max_messages: random.usize(1..=8),
            max_bytes: if random.bool() { random.usize(1..=8) } else { 1000 },
            policy: policies[random.usize(0..policies.len())],
            group,
            no_echo: (random.u8(0..4) == 0).then(|| random.usize(0..2)),
            items: Vec::new(),
            queued: 0,
            bytes: 0,
            offered: 0,
            received: 0,
            dropped: 0,
            high_water: 0,
            reported: 0,
            passed: 0,
            probation: false,
            line: VecDeque::new(),
            end: None,
        };
        self.note(format!(
            "subscribe {}: {:?} messages {} bytes {} {:?} group {:?} no echo {:?} replay {replay}",
            self.reals.len(),
            sub.pattern,
            sub.max_messages,
            sub.max_bytes,
            sub.policy,
            sub.group,
            sub.no_echo
        ));
        let to = pattern(sub.pattern);
        let mut builder = self
            .broker
            .subscription(&to)
            .queue_messages(sub.max_messages)
            .queue_bytes(sub.max_bytes);
        builder = builder.when_full(sub.policy.when_full());
        if let Some(group) = sub.group {
            builder = builder.group(&format!("group-{group}"));
        }
        if let Some(origin) = sub.no_echo {
            builder = builder.no_echo(self.origins[origin]);
        }
        if replay > 0 {
            builder = builder.replay(replay);
        }
        let Ok(subscription) = builder.subscribe() else {
            assert!(self.model.closed, "only a closed broker takes no subscription");
            return;
        };
        assert!(!self.model.closed, "a closed broker took a subscription");
        let (woken, waker) = Woken::new();
        let watch = subscription.watch();
        self.reals.push(Real {
            subscription: Some(subscription),
            watch,
            woken,
            waker,
            parked: false,
        });
        self.model.subs.push(sub);
        self.model.replay(self.reals.len() - 1, replay);
    }

    pub fn pick(&mut self, alike: impl Fn(&Real) -> bool) -> Option<usize> {
        let fitting: Vec<_> =
            (0..self.reals.len()).filter(|&index| alike(&self.reals[index])).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.usize(0..fitting.len())])
    }

    pub fn drop_subscription(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("drop {index}"));
            self.drop_this(index);
        }
    }

    pub fn drop_this(&mut self, index: usize) {
        self.reals[index].subscription = None;
        self.model.drop_subscription(index);
        self.settle();
    }

    pub fn pick_hand(&mut self, alike: impl Fn(&Hand) -> bool) -> Option<usize> {
        let fitting: Vec<_> =
            (0..self.hands.len()).filter(|&index| alike(&self.hands[index].0)).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.usize(0..fitting.len())])
    }

    pub fn random_batch(&mut self, from: usize) -> Vec<Sent> {
        let topic = self.random.usize(0..TOPICS.len());
        let several = !self.model.reaches_a_group(topic) && self.random.u8(0..3) == 0;
        let length = if several { self.random.usize(1..8) } else { 1 };
        let heaviest = if self.random.u8(0..4) == 0 { 10 } else { 3 };
        let mut batch = Vec::new();
        for _ in 0..length {
            batch.push(Sent {
                from,
                number: self.next_number[from],
                weight: self.random.usize(0..=heaviest),
                topic,
            });
            self.next_number[from] += 1;
        }
        batch
    }

    pub fn make(&self, batch: &[Sent]) -> Vec<Load> {
        batch.iter().map(|sent| self.loads.make(sent.from, sent.number, sent.weight)).collect()
    }

    pub fn offered(&self) -> Vec<u64> {
        self.reals.iter().map(|real| real.watch.books().offered).collect()
    }

    pub fn publish(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Free(_))) else { return };
        let batch = self.random_batch(from);
        let single = batch.len() == 1 && self.random.u8(0..4) > 0;
        self.note(format!("publish, single {single}: {batch:?}"));
        let Hand::Free(publisher) = std::mem::replace(&mut self.hands[from].0, Hand::Gone) else {
            unreachable!()
        };
        let stop = Rc::new(Cell::new(false));
        let future = publish(publisher, batch[0].topic, self.make(&batch), single, stop.clone());
        let (woken, waker) = Woken::new();
        let mut busy = Busy { publish: Box::pin(future), stop, woken, waker };
        let short = self.setup.policies.contains(&Policy::WaitShort);
        let polled = if short { Poll::Ready(block_on(busy.publish.as_mut())) } else { busy.poll() };
        let outcome = match polled {
            Poll::Ready((publisher, outcome)) => {
                self.hands[from].0 = Hand::Free(publisher);
                Some(outcome.expect("nobody stopped it"))
            }
            Poll::Pending => {
                self.hands[from].0 = Hand::Busy(busy);
                None
            }
        };
        if self.model.closed {
            assert_eq!(outcome, Some(Err(())), "a closed broker takes no message");
            return;
        }
        let (origin, offered) = (self.hands[from].1, self.offered());
        match (self.model.publish(from, origin, batch, true, &offered), outcome) {
            (Published::Done(expected), Some(Ok(receipt))) => expected.compare(receipt),
            (Published::Waits, None) => self.note(format!("  publisher {from} waits")),
            (Published::Done(expected), other) => {
                panic!("publish gave {other:?}, expected {expected:?}")
            }
            (Published::Waits, other) => panic!("publish gave {other:?}, expected to wait"),
            (Published::Full, _) => unreachable!(),
        }
        self.settle();
    }

    pub fn try_publish(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Free(_))) else { return };
        let batch = self.random_batch(from);
        let single = batch.len() == 1 && self.random.u8(0..4) > 0;
        self.note(format!("try publish, single {single}: {batch:?}"));
        self.try_publish_this(from, batch, single);
    }

    pub fn try_publish_this(&mut self, from: usize, batch: Vec<Sent>, single: bool) {
        let mut loads = self.make(&batch);
        let to = topic(TOPICS[batch[0].topic]);
        let Hand::Free(publisher) = &mut self.hands[from].0 else { unreachable!() };
        let outcome = if single {
            let number = loads[0].number;
            publisher.try_publish(&to, loads.pop().unwrap()).map_err(|error| match error {
                TryPublishError::Full(load) => {
                    assert_eq!(load.number, number, "the message back");
                    "full"
                }
                TryPublishError::Closed(load) => {
                    assert_eq!(load.number, number, "the message back");
                    "closed"
                }
                _ => "unknown",
            })
        } else {
            let outcome =
                publisher.try_publish_batch(&to, &mut loads).map_err(|error| match error {
                    TryPublishError::Full(()) => "full",
                    TryPublishError::Closed(()) => "closed",
                    _ => "unknown",
                });
            let left = if outcome.is_ok() { 0 } else { batch.len() };
            assert_eq!(loads.len(), left, "a batch is taken when accepted, and only then");
            outcome
        };
        drop(loads);
        if self.model.closed {
            assert_eq!(outcome, Err("closed"));
            return;
        }
        let (origin, offered) = (self.hands[from].1, self.offered());
        match (self.model.publish(from, origin, batch, false, &offered), outcome) {
            (Published::Done(expected), Ok(receipt)) => expected.compare(receipt),
            (Published::Full, Err("full")) => {}
            (Published::Done(expected), other) => {
                panic!("try_publish gave {other:?}, expected {expected:?}")
            }
            (Published::Full, other) => panic!("try_publish gave {other:?}, expected Full"),
            (Published::Waits, _) => unreachable!(),
        }
        self.settle();
    }

    /// A publish that waits is dropped; its publisher goes on.
    pub fn cancel(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Busy(_))) else { return };
        self.note(format!("cancel the publish of {from}"));
        self.cancel_this(from);
    }

    pub fn cancel_this(&mut self, from: usize) {
        let Hand::Busy(mut busy) = std::mem::replace(&mut self.hands[from].0, Hand::Gone) else {
            unreachable!()
        };
        busy.stop.set(true);
        let Poll::Ready((publisher, None)) = busy.poll() else { panic!("it was told to stop") };
        self.hands[from].0 = Hand::Free(publisher);
        self.model.cancel(from);
        self.settle();
    }

    /// A publish begins, is forgotten if it has to wait, and is settled by the next publish of the
    /// same publisher.
    #[expect(clippy::disallowed_methods, reason = "to be forgotten is what is tested")]
    pub fn forget(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Free(_))) else { return };
        if self.model.closed || self.setup.policies.contains(&Policy::WaitShort) {
            return;
        }
        let batch = self.random_batch(from);
        self.note(format!("publish and forget: {batch:?}"));
        let to = topic(TOPICS[batch[0].topic]);
        let mut loads = self.make(&batch);
        let Hand::Free(publisher) = &mut self.hands[from].0 else { unreachable!() };
        let mut future = Box::pin(publisher.publish_batch(&to, &mut loads));
        let outcome = testkit::broker::poll_once(future.as_mut());
        std::mem::forget(future);
        drop(loads);
        let (origin, offered) = (self.hands[from].1, self.offered());
        match (self.model.publish(from, origin, batch, true, &offered), outcome) {
            (Published::Done(expected), Poll::Ready(Ok(receipt))) => {
                return expected.compare(receipt);
            }
            (Published::Waits, Poll::Pending) => {}
            _ => panic!("to wait or not to wait"),
        }
        self.forgot = true;
        let batch = self.random_batch(from);
        self.note(format!("  it waited; then try publish {batch:?}"));
        self.model.cancel_without_settling(from);
        let single = batch.len() == 1;
        self.try_publish_this(from, batch, single);
    }

    /// Polls the publishers that were woken, and no others, until nothing moves; then the model
    /// must be there as well.
    pub fn settle(&mut self) {
        self.model.settle();
        let mut rounds = 0;
        loop {
            let mut moved = false;
            for from in 0..self.hands.len() {
                let Hand::Busy(busy) = &mut self.hands[from].0 else { continue };
                if !busy.woken.take() {
                    continue;
                }
                moved = true;
                if let Poll::Ready((publisher, outcome)) = busy.poll() {
                    self.hands[from].0 = Hand::Free(publisher);
                    let receipt = outcome
                        .expect("nobody stopped it")
                        .expect("a publish that had begun completes");
                    let expected = self.model.done.remove(&from);
                    expected
                        .unwrap_or_else(|| {
                            panic!("publisher {from} should still wait: {receipt:?}")
                        })
                        .compare(receipt);
                    self.trace.push(format!("  publisher {from} is done"));
                }
            }
            rounds += 1;
            assert!(rounds < 100, "publishers wake each other without end");
            if !moved {
                break;
            }
        }
        let late: Vec<_> = self.model.done.keys().collect();
        assert!(late.is_empty(), "publishers {late:?} should be done, and were not woken");
    }

    pub fn receive(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("receive from {index}"));
            self.receive_from(index);
        }
    }

    pub fn receive_all(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("receive all from {index}"));
            while self.receive_from(index) {
                self.check();
            }
        }
    }

    /// One receive in one of five ways. Whether it gave something.
    pub fn receive_from(&mut self, index: usize) -> bool {
        let real = &mut self.reals[index];
        let subscription = real.subscription.as_mut().expect("a living subscription");
        let context = &mut Context::from_waker(&real.waker);
        let delivery = match self.random.u8(0..5) {
            0 => subscription.try_recv().map(|one| Taken::Single(one.to_message())),
            1 => subscription.try_recv_batch().map(Taken::Run),
            2 => ready(subscription.poll_recv(context), &mut real.parked)
                .map(|one| Taken::Single(one.to_message())),
            3 => ready(subscription.poll_recv_batch(context), &mut real.parked).map(Taken::Run),
            // Cancelled right away if it has to wait; the task polled last is the one that is
            // woken, and it is gone.
            _ => {
                real.parked = false;
                ready(testkit::broker::poll_once(pin!(subscription.recv())), &mut false)
                    .map(|one| Taken::Single(one.to_message()))
            }
        };
        let sub = &mut self.model.subs[index];
        let mut gave = true;
        match delivery {
            Ok(
                Taken::Single(Delivery::Missed(count)) | Taken::Run(BatchDelivery::Missed(count)),
            ) => sub.told(count),
            Ok(Taken::Single(Delivery::Message(message))) => {
                sub.take(sent(&message, message.topic().as_str()))
            }
            Ok(Taken::Run(BatchDelivery::Batch(run))) => {
                assert!(run.len() > 0, "an empty run");
                assert_eq!(run.iter().count(), run.len());
                for load in run.iter() {
                    sub.take(sent(load, run.topic().as_str()));
                }
            }
            Err(error) => {
                gave = false;
                let ended = sub.end.is_some() || self.model.closed;
                assert_eq!(error, if ended { TryRecvError::Ended } else { TryRecvError::Empty });
                assert!(
                    !sub.deliverable(),
                    "nothing was received although there is {:?}",
                    sub.items
                );
                let reason = self.reals[index].watch.end_reason();
                match (sub.end, ended) {
                    (Some(_), _) => assert_eq!(reason, Some(EndReason::Disconnected)),
                    (None, true) => assert_eq!(reason, Some(EndReason::Closed)),
                    (None, false) => assert_eq!(reason, None),
                }
            }
        }
        self.model.subs[index].looked();
        self.settle();
        gave
    }

    pub fn look_at_history(&mut self) {
        let which = self.random.usize(0..TOPICS.len());
        let last = self.random.usize(0..5);
        let kept: Vec<u64> = self
            .broker
            .history(&topic(TOPICS[which]), last)
            .iter()
            .map(|message| message.number)
            .collect();
        let mut expected: Vec<u64> = self
            .model
            .history
            .get(&which)
            .map(|kept| kept.iter().map(|(_, _, sent)| sent.number).collect())
            .unwrap_or_default();
        expected.drain(..expected.len().saturating_sub(last));
        assert_eq!(kept, expected, "history of {:?}", TOPICS[which]);
        if self.random.u8(0..3) == 0 {
            self.note(format!("forget the history of {:?}", TOPICS[which]));
            self.broker.forget_history(&topic(TOPICS[which]));
            self.model.history.remove(&which);
        }
    }

    pub fn look_at_lists(&mut self) {
        if self.model.closed {
            return; // whether a drained subscription still counts as living is not decided
        }
        let mut listed: Vec<_> =
            self.broker.subscription_stats().iter().map(|stats| stats.id).collect();
        let living = |index: &usize| self.model.subs[*index].end.is_none();
        let mut expected: Vec<_> = (0..self.reals.len())
            .filter(living)
            .map(|index| self.reals[index].watch.stats().id)
            .collect();
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "the living subscriptions");
    }

    pub fn close(&mut self) {
        self.note("close".into());
        self.broker.close();
        self.model.closed = true;
        assert!(self.broker.is_closed());
        self.settle();
    }

    pub fn check(&mut self) {
        for (index, (real, sub)) in self.reals.iter_mut().zip(&self.model.subs).enumerate() {
            let books = real.watch.books();
            let balance = books.received + books.queued + books.dropped;
            assert_eq!(
                books.offered, balance,
                "subscription {index}: offered == received + queued + dropped: {books:?}"
            );
            assert_eq!(books.received, sub.received, "subscription {index}: received");
            assert_eq!(books.queued, sub.queued as u64, "subscription {index}: queued");
            assert_eq!(books.dropped, sub.dropped, "subscription {index}: dropped");
            let stats = real.watch.stats();
            assert_eq!(stats.queued_bytes, sub.bytes, "subscription {index}: queued bytes");
            assert!(
                sub.queued <= sub.max_messages && sub.bytes <= sub.max_bytes,
                "the model keeps its bounds"
            );
            assert_eq!(
                stats.high_water_messages, sub.high_water,
                "subscription {index}: high water"
            );
            let receivable = sub.deliverable() || sub.end.is_some() || self.model.closed;
            if real.subscription.is_some() && real.parked && receivable {
                assert!(real.woken.take(), "subscription {index}: a pending receive was not woken");
                real.parked = false;
            }
        }
        let nobody = self.model.subs.iter().all(|sub| sub.end == Some(End::Dropped));
        let waits = self.hands.iter().any(|(hand, _)| matches!(hand, Hand::Busy(_)));
        if nobody && !waits && !self.forgot && self.model.history_of.is_none() {
            assert_eq!(self.loads.alive(), 0, "nobody subscribes, and yet messages are kept");
        }
    }

    /// Everything ends: by `close`, or by the end of every handle. Then everybody reads the rest,
    /// and nothing remains.
    pub fn finish(&mut self) {
        if self.random.bool() {
            self.close();
            self.check();
        } else {
            self.note("drop every handle".into());
            for from in 0..self.hands.len() {
                if matches!(self.hands[from].0, Hand::Busy(_)) {
                    self.cancel_this(from);
                }
                self.hands[from].0 = Hand::Gone;
            }
            self.broker = Broker::new();
            self.model.closed = true;
        }
        for index in 0..self.reals.len() {
            if self.reals[index].subscription.is_some() {
                self.note(format!("read the rest of {index}"));
                while self.receive_from(index) {
                    self.check();
                }
                let subscription = self.reals[index].subscription.as_mut().unwrap();
                assert!(at_once(subscription.recv()).is_none(), "ended stays ended");
                assert_eq!(subscription.try_recv_batch().err(), Some(TryRecvError::Ended));
                if self.model.subs[index].end.is_none() {
                    assert_eq!(
                        self.model.subs[index].reported, self.model.subs[index].dropped,
                        "every drop is told"
                    );
                }
            }
        }
        self.check();
        assert!(
            self.hands.iter().all(|(hand, _)| !matches!(hand, Hand::Busy(_))),
            "everybody read all; who still waits?"
        );
        self.hands.clear();
        self.reals.clear();
        self.broker = Broker::new();
        if !self.forgot {
            assert_eq!(self.loads.alive(), 0, "everything is gone, and yet messages are kept");
        }
    }
}

pub enum Taken {
    Single(Delivery<Message<Load>>),
    Run(BatchDelivery<Load>),
}

/// A polled receive as `try_recv` would have said it.
pub fn ready<D>(polled: Poll<Option<D>>, parked: &mut bool) -> Result<D, TryRecvError> {
    match polled {
        Poll::Ready(Some(delivery)) => Ok(delivery),
        Poll::Ready(None) => Err(TryRecvError::Ended),
        Poll::Pending => {
            *parked = true;
            Err(TryRecvError::Empty)
        }
    }
}

pub fn sent(load: &Load, topic: &str) -> Sent {
    let topic = TOPICS.iter().position(|known| *known == topic).expect("a topic of ours");
    Sent { from: load.from, number: load.number, weight: load.weight, topic }
}
