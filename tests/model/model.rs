//! Random operations on the broker and on a naive model of it: after every step the books, the
//! order, the bounds, the places of `Missed`, the receipts and the wake-ups agree.
//!
//! Single-threaded, and the same for the same seed. `FANFARE_MODEL_SEQUENCES` sets how many
//! sequences each test runs, `FANFARE_MODEL_SEED` runs the one sequence that failed. Only policies
//! whose outcome does not depend on the time are used: no wait, waits that nobody but a hand can
//! end, and waits that are over at once.

use fanfare::{
    BatchDelivery, Broker, Delivery, EndReason, Message, Origin, Publisher, Receipt, Subscription,
    SubscriptionWatch, TryPublishError, TryRecvError, WhenFull,
};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testkit::broker::{FOREVER, Load, Loads, Woken, at_once, block_on, pattern, topic};

const TOPICS: [&str; 4] = ["a", "b", "a.b", "c.d.e"];
const PATTERNS: [&str; 9] = ["a", "b", "a.b", "*", ">", "a.*", "a.>", "c.*.e", ">"];
/// Members of a queue group share a pattern: what a group of several patterns means is not this
/// test's question.
const GROUP_PATTERNS: [&str; 2] = ["a", ">"];

// -------------------------------------------------------------------------------------------------
// The model
// -------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    DropNewest,
    DropOldest,
    /// `Wait(0)`: as good as `DropNewest`.
    WaitNothing,
    /// A wait that is over before anybody could have made room; then probation.
    WaitShort,
    /// A wait that only room or a cancelled publish ends.
    WaitLong,
    Block,
    Disconnect,
}

impl Policy {
    fn when_full(self) -> WhenFull {
        match self {
            Self::DropNewest => WhenFull::DropNewest,
            Self::DropOldest => WhenFull::DropOldest,
            Self::WaitNothing => WhenFull::Wait(Duration::ZERO),
            Self::WaitShort => WhenFull::Wait(Duration::from_micros(1)),
            Self::WaitLong => WhenFull::Wait(FOREVER),
            Self::Block => WhenFull::Block,
            Self::Disconnect => WhenFull::Disconnect { after: Duration::ZERO },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    from: usize,
    number: u64,
    weight: usize,
    topic: usize,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Message(Sent),
    Gap { from: usize, count: u64 },
}

impl Item {
    fn from(&self) -> usize {
        match self {
            Self::Message(sent) => sent.from,
            Self::Gap { from, .. } => *from,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Disconnected,
    Dropped,
}

#[derive(Debug)]
struct Sub {
    pattern: &'static str,
    max_messages: usize,
    max_bytes: usize,
    policy: Policy,
    group: Option<usize>,
    no_echo: Option<usize>,
    items: Vec<Item>,
    queued: usize,
    bytes: usize,
    offered: u64,
    received: u64,
    dropped: u64,
    high_water: usize,
    /// The sum of all `Missed` so far, and of the gaps that lie before something that was received.
    reported: u64,
    passed: u64,
    probation: bool,
    /// Publishers that wait for room here, first come first served.
    line: VecDeque<usize>,
    end: Option<End>,
}

impl Sub {
    fn too_heavy(&self, weight: usize) -> bool {
        weight > self.max_bytes
    }

    fn fits(&self, weight: usize) -> bool {
        self.queued < self.max_messages && self.bytes + weight <= self.max_bytes
    }

    fn accept(&mut self, sent: Sent) {
        assert!(self.fits(sent.weight));
        self.items.push(Item::Message(sent));
        self.queued += 1;
        self.bytes += sent.weight;
        self.offered += 1;
        self.high_water = self.high_water.max(self.queued);
    }

    fn refuse(&mut self, from: usize, count: u64) {
        if count > 0 {
            self.items.push(Item::Gap { from, count });
            self.offered += count;
            self.dropped += count;
        }
    }

    /// The oldest message becomes a gap.
    fn evict(&mut self) {
        let oldest = self
            .items
            .iter_mut()
            .find(|item| matches!(item, Item::Message(_)))
            .expect("something to evict");
        let Item::Message(sent) = *oldest else { unreachable!() };
        *oldest = Item::Gap { from: sent.from, count: 1 };
        self.queued -= 1;
        self.bytes -= sent.weight;
        self.dropped += 1;
    }

    /// A message was received: it must be the oldest of its publisher, with all gaps before it
    /// reported.
    fn take(&mut self, got: Sent) {
        let oldest = self
            .items
            .iter()
            .position(|item| matches!(item, Item::Message(sent) if sent.from == got.from));
        let Some(oldest) = oldest else {
            panic!("received {got:?}, which was not queued: {:?}", self.items)
        };
        let Item::Message(expected) = self.items[oldest] else { unreachable!() };
        assert_eq!(got, expected, "received out of order");
        let mut index = 0;
        self.items.retain(|item| {
            index += 1;
            if index > oldest + 1 || item.from() != got.from {
                return true;
            }
            if let Item::Gap { count, .. } = item {
                self.passed += count;
            }
            false
        });
        self.queued -= 1;
        self.bytes -= got.weight;
        self.received += 1;
        assert!(
            self.reported >= self.passed,
            "{got:?} came before the gap in front of it was told"
        );
    }

    /// Whoever looks for messages, and has no more than half of its bounds queued after that, is no
    /// longer on probation.
    fn looked(&mut self) {
        if self.queued * 2 <= self.max_messages && self.bytes * 2 <= self.max_bytes {
            self.probation = false;
        }
    }

    /// `Missed(count)` was received: there must be gaps at this place that amount to it.
    fn told(&mut self, count: u64) {
        assert!(count > 0, "Missed(0)");
        self.reported += count;
        assert!(
            self.reported <= self.tellable(),
            "Missed({count}) before its place: {:?}",
            self.items
        );
    }

    /// The sum of the gaps that may have been told by now.
    fn tellable(&self) -> u64 {
        let mut open = self.passed;
        for (index, item) in self.items.iter().enumerate() {
            if let Item::Gap { from, count } = item {
                let behind = self.items[..index]
                    .iter()
                    .any(|item| matches!(item, Item::Message(sent) if sent.from == *from));
                open += if behind { 0 } else { *count };
            }
        }
        open
    }

    /// Whether a receive must give something.
    fn deliverable(&self) -> bool {
        self.queued > 0 || self.reported < self.tellable()
    }

    fn end(&mut self, end: End) {
        self.dropped += self.queued as u64;
        self.items.clear();
        self.queued = 0;
        self.bytes = 0;
        self.end = Some(end);
    }
}

/// What is expected of a receipt; how many had to wait is not always decided.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    queued: u64,
    dropped: u64,
    disconnected: u64,
    waited_least: u64,
    waited_most: u64,
}

impl Expected {
    fn compare(&self, receipt: Receipt) {
        let matched = self.queued + self.dropped + self.disconnected;
        assert_eq!(
            (receipt.matched, receipt.queued, receipt.dropped, receipt.disconnected),
            (matched, self.queued, self.dropped, self.disconnected),
            "receipt (matched, queued, dropped, disconnected)"
        );
        let waited = self.waited_least..=self.waited_most;
        assert!(waited.contains(&receipt.waited), "waited {}, expected {waited:?}", receipt.waited);
    }
}

/// A publish that waits.
#[derive(Debug)]
struct Waiting {
    batch: Vec<Sent>,
    /// Subscriptions waited for, and the next message of the batch for each.
    targets: Vec<(usize, usize)>,
    so_far: Expected,
}

enum Published {
    Done(Expected),
    Full,
    Waits,
}

#[derive(Default)]
struct Model {
    subs: Vec<Sub>,
    waiting: HashMap<usize, Waiting>,
    /// Publishes that came to an end since they were looked at.
    done: HashMap<usize, Expected>,
    closed: bool,
    history_of: Option<(&'static str, usize)>,
    /// Kept messages by topic, each with its origin and its place in the order of all publishes.
    history: HashMap<usize, VecDeque<(u64, Option<usize>, Sent)>>,
    published: u64,
}

fn naive_match(pattern: &str, topic: &str) -> bool {
    let (mut pattern, mut topic) = (pattern.split('.'), topic.split('.'));
    loop {
        match (pattern.next(), topic.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(token), Some(other)) if token == other => {}
            _ => return false,
        }
    }
}

impl Model {
    fn matching(&self, topic: usize, origin: Option<usize>) -> Vec<usize> {
        let for_it = |sub: &Sub| {
            sub.end.is_none()
                && naive_match(sub.pattern, TOPICS[topic])
                && (sub.no_echo.is_none() || sub.no_echo != origin)
        };
        (0..self.subs.len()).filter(|&index| for_it(&self.subs[index])).collect()
    }

    fn reaches_a_group(&self, topic: usize) -> bool {
        self.subs.iter().any(|sub| {
            sub.end.is_none() && sub.group.is_some() && naive_match(sub.pattern, TOPICS[topic])
        })
    }

    /// `offered` are the real books by now: they tell which member of a group was chosen.
    fn publish(
        &mut self,
        from: usize,
        origin: Option<usize>,
        batch: Vec<Sent>,
        waits: bool,
        offered: &[u64],
    ) -> Published {
        let topic = batch[0].topic;
        let mut reached = self.matching(topic, origin);
        if !waits && reached.iter().any(|&index| self.would_block(index, &batch)) {
            return Published::Full;
        }
        self.keep(origin, &batch);
        let mut waiting = Waiting { batch, targets: Vec::new(), so_far: Expected::default() };
        for group in 0..GROUP_PATTERNS.len() {
            let (members, others) =
                reached.into_iter().partition(|&index| self.subs[index].group == Some(group));
            reached = others;
            reached.extend(self.chosen(members, &waiting.batch, offered));
        }
        for index in reached {
            self.offer(index, from, &mut waiting, waits);
        }
        if waiting.targets.is_empty() {
            return Published::Done(waiting.so_far);
        }
        self.waiting.insert(from, waiting);
        Published::Waits
    }

    fn would_block(&self, index: usize, batch: &[Sent]) -> bool {
        let sub = &self.subs[index];
        let light: Vec<_> = batch.iter().filter(|sent| !sub.too_heavy(sent.weight)).collect();
        let bytes: usize = light.iter().map(|sent| sent.weight).sum();
        let fits = sub.queued + light.len() <= sub.max_messages
            && sub.bytes + bytes <= sub.max_bytes
            && sub.line.is_empty();
        sub.policy == Policy::Block && !light.is_empty() && !fits
    }

    fn chosen(&self, members: Vec<usize>, batch: &[Sent], offered: &[u64]) -> Option<usize> {
        if members.is_empty() {
            return None;
        }
        let changed: Vec<_> = members
            .iter()
            .copied()
            .filter(|&index| offered[index] != self.subs[index].offered)
            .collect();
        assert_eq!(
            changed.len(),
            1,
            "members {changed:?} of the group {members:?} got the message"
        );
        assert_eq!(batch.len(), 1);
        let with_room = |index: usize| self.subs[index].fits(batch[0].weight);
        if members.iter().any(|&index| with_room(index)) {
            assert!(
                with_room(changed[0]),
                "member {} was full, others of {members:?} were not",
                changed[0]
            );
        }
        Some(changed[0])
    }

    fn keep(&mut self, origin: Option<usize>, batch: &[Sent]) {
        let topic = batch[0].topic;
        for &sent in batch {
            self.published += 1;
            if let Some((kept, most)) = self.history_of
                && naive_match(kept, TOPICS[topic])
            {
                let kept = self.history.entry(topic).or_default();
                kept.push_back((self.published, origin, sent));
                if kept.len() > most {
                    kept.pop_front();
                }
            }
        }
    }

    fn offer(&mut self, index: usize, from: usize, waiting: &mut Waiting, waits: bool) {
        let sub = &mut self.subs[index];
        let receipt = &mut waiting.so_far;
        for next in 0..waiting.batch.len() {
            let sent = waiting.batch[next];
            let rest = &waiting.batch[next..];
            let light = rest.iter().filter(|sent| !sub.too_heavy(sent.weight)).count() as u64;
            if sub.too_heavy(sent.weight) {
                sub.refuse(from, 1);
                receipt.dropped += 1;
                continue;
            }
            if sub.line.is_empty() && sub.fits(sent.weight) {
                sub.accept(sent);
                receipt.queued += 1;
                continue;
            }
            match sub.policy {
                Policy::DropOldest => {
                    while !sub.fits(sent.weight) {
                        sub.evict();
                    }
                    sub.accept(sent);
                    receipt.queued += 1;
                    continue;
                }
                Policy::Disconnect => {
                    // What finds it full is not offered to it any more: the receipt alone counts
                    // it.
                    sub.end(End::Disconnected);
                    receipt.disconnected += rest.len() as u64;
                    receipt.waited_most += if waits { rest.len() as u64 } else { 0 };
                }
                Policy::Block | Policy::WaitLong if waits => {
                    sub.line.push_back(from);
                    waiting.targets.push((index, next));
                    receipt.waited_least += light;
                    receipt.waited_most += rest.len() as u64;
                }
                Policy::Block => unreachable!("try_publish reported Full"),
                Policy::DropNewest | Policy::WaitNothing | Policy::WaitShort | Policy::WaitLong => {
                    sub.refuse(from, rest.len() as u64);
                    receipt.dropped += rest.len() as u64;
                    if sub.policy == Policy::WaitShort && waits && !sub.probation {
                        sub.probation = true;
                        receipt.waited_least += light;
                        receipt.waited_most += rest.len() as u64;
                    } else if sub.policy == Policy::WaitNothing && waits {
                        receipt.waited_most += rest.len() as u64;
                    }
                }
            }
            break;
        }
    }

    /// Whoever stands first in a line gets the room there is, until nothing moves.
    fn settle(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for index in 0..self.subs.len() {
                while let Some(&from) = self.subs[index].line.front() {
                    let sub = &mut self.subs[index];
                    let waiting = self.waiting.get_mut(&from).expect("who stands in a line waits");
                    let target = waiting
                        .targets
                        .iter_mut()
                        .find(|target| target.0 == index)
                        .expect("its target");
                    let sent = waiting.batch[target.1];
                    if sub.too_heavy(sent.weight) {
                        sub.refuse(from, 1);
                        waiting.so_far.dropped += 1;
                    } else if sub.fits(sent.weight) {
                        sub.accept(sent);
                        waiting.so_far.queued += 1;
                    } else {
                        break;
                    }
                    moved = true;
                    target.1 += 1;
                    if target.1 == waiting.batch.len() {
                        sub.line.pop_front();
                        waiting.targets.retain(|target| target.0 != index);
                    }
                }
            }
        }
        let ended: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.targets.is_empty())
            .map(|(&from, _)| from)
            .collect();
        for from in ended {
            self.done.insert(from, self.waiting.remove(&from).unwrap().so_far);
        }
    }

    /// The publish of `from` was dropped or forgotten: what is undelivered becomes a gap.
    fn cancel(&mut self, from: usize) {
        let waiting = self.waiting.remove(&from).expect("a publish that waits");
        for (index, next) in waiting.targets {
            let sub = &mut self.subs[index];
            sub.line.retain(|&other| other != from);
            sub.refuse(from, (waiting.batch.len() - next) as u64);
        }
        self.settle();
    }

    fn drop_subscription(&mut self, index: usize) {
        let sub = &mut self.subs[index];
        sub.end(End::Dropped);
        for from in std::mem::take(&mut sub.line) {
            let waiting = self.waiting.get_mut(&from).expect("who stands in a line waits");
            let target =
                waiting.targets.iter().position(|target| target.0 == index).expect("its target");
            let (_, next) = waiting.targets.swap_remove(target);
            let rest = (waiting.batch.len() - next) as u64;
            waiting.so_far.disconnected += rest;
        }
        self.settle();
    }

    /// The last `last` kept messages of each matching topic, in the order published; the newest
    /// that fit.
    fn replay(&mut self, index: usize, last: usize) {
        let sub = &self.subs[index];
        let mut kept: Vec<_> = Vec::new();
        for (&topic, messages) in &self.history {
            if naive_match(sub.pattern, TOPICS[topic]) {
                let of_others = messages
                    .iter()
                    .filter(|(_, origin, _)| sub.no_echo.is_none() || sub.no_echo != *origin);
                let of_others: Vec<_> = of_others.collect();
                kept.extend(
                    of_others[of_others.len().saturating_sub(last)..].iter().copied().copied(),
                );
            }
        }
        kept.retain(|(_, _, sent)| !sub.too_heavy(sent.weight));
        kept.sort_by_key(|(place, ..)| *place);
        let (mut first, mut bytes) = (kept.len(), 0);
        while first > 0
            && kept.len() - first < sub.max_messages
            && bytes + kept[first - 1].2.weight <= sub.max_bytes
        {
            first -= 1;
            bytes += kept[first].2.weight;
        }
        for &(_, _, sent) in &kept[first..] {
            self.subs[index].accept(sent);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// The broker, and the model beside it
// -------------------------------------------------------------------------------------------------

type Outcome = Option<Result<Receipt, ()>>;

/// A publisher, or the publish it is busy with.
#[expect(clippy::large_enum_variant, reason = "there are at most three")]
enum Hand {
    Free(Publisher<Load>),
    Busy(Busy),
    Gone,
}

struct Busy {
    publish: Pin<Box<dyn Future<Output = (Publisher<Load>, Outcome)>>>,
    stop: Rc<Cell<bool>>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Busy {
    fn poll(&mut self) -> Poll<(Publisher<Load>, Outcome)> {
        self.publish.as_mut().poll(&mut Context::from_waker(&self.waker))
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

struct Real {
    /// None once dropped.
    subscription: Option<Subscription<Load>>,
    watch: SubscriptionWatch<Load>,
    woken: Arc<Woken>,
    waker: Waker,
    /// A receive is pending: something to receive must wake it.
    parked: bool,
}

/// What one sequence may do.
#[derive(Clone)]
struct Setup {
    publishers: usize,
    policies: Vec<Policy>,
    group_policies: Vec<Policy>,
    steps: usize,
}

struct World {
    random: fastrand::Rng,
    setup: Setup,
    loads: Loads,
    broker: Broker<Load>,
    origins: [Origin; 2],
    hands: Vec<(Hand, Option<usize>)>,
    next_number: Vec<u64>,
    reals: Vec<Real>,
    model: Model,
    /// A forgotten future may own its message for ever.
    forgot: bool,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64, setup: Setup) -> Self {
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

    fn run(&mut self) {
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

    fn note(&mut self, text: String) {
        self.trace.push(text);
    }

    fn subscribe(&mut self) {
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

    fn pick(&mut self, alike: impl Fn(&Real) -> bool) -> Option<usize> {
        let fitting: Vec<_> =
            (0..self.reals.len()).filter(|&index| alike(&self.reals[index])).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.usize(0..fitting.len())])
    }

    fn drop_subscription(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("drop {index}"));
            self.drop_this(index);
        }
    }

    fn drop_this(&mut self, index: usize) {
        self.reals[index].subscription = None;
        self.model.drop_subscription(index);
        self.settle();
    }

    fn pick_hand(&mut self, alike: impl Fn(&Hand) -> bool) -> Option<usize> {
        let fitting: Vec<_> =
            (0..self.hands.len()).filter(|&index| alike(&self.hands[index].0)).collect();
        (!fitting.is_empty()).then(|| fitting[self.random.usize(0..fitting.len())])
    }

    fn random_batch(&mut self, from: usize) -> Vec<Sent> {
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

    fn make(&self, batch: &[Sent]) -> Vec<Load> {
        batch.iter().map(|sent| self.loads.make(sent.from, sent.number, sent.weight)).collect()
    }

    fn offered(&self) -> Vec<u64> {
        self.reals.iter().map(|real| real.watch.books().offered).collect()
    }

    fn publish(&mut self) {
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

    fn try_publish(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Free(_))) else { return };
        let batch = self.random_batch(from);
        let single = batch.len() == 1 && self.random.u8(0..4) > 0;
        self.note(format!("try publish, single {single}: {batch:?}"));
        self.try_publish_this(from, batch, single);
    }

    fn try_publish_this(&mut self, from: usize, batch: Vec<Sent>, single: bool) {
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
    fn cancel(&mut self) {
        let Some(from) = self.pick_hand(|hand| matches!(hand, Hand::Busy(_))) else { return };
        self.note(format!("cancel the publish of {from}"));
        self.cancel_this(from);
    }

    fn cancel_this(&mut self, from: usize) {
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
    fn forget(&mut self) {
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
    fn settle(&mut self) {
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

    fn receive(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("receive from {index}"));
            self.receive_from(index);
        }
    }

    fn receive_all(&mut self) {
        if let Some(index) = self.pick(|real| real.subscription.is_some()) {
            self.note(format!("receive all from {index}"));
            while self.receive_from(index) {
                self.check();
            }
        }
    }

    /// One receive in one of five ways. Whether it gave something.
    fn receive_from(&mut self, index: usize) -> bool {
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

    fn look_at_history(&mut self) {
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

    fn look_at_lists(&mut self) {
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

    fn close(&mut self) {
        self.note("close".into());
        self.broker.close();
        self.model.closed = true;
        assert!(self.broker.is_closed());
        self.settle();
    }

    fn check(&mut self) {
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
    fn finish(&mut self) {
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

impl Model {
    /// As `cancel`, when the lines move on only after the next publish.
    fn cancel_without_settling(&mut self, from: usize) {
        let waiting = self.waiting.remove(&from).expect("a publish that waits");
        for (index, next) in waiting.targets {
            let sub = &mut self.subs[index];
            sub.line.retain(|&other| other != from);
            sub.refuse(from, (waiting.batch.len() - next) as u64);
        }
    }
}

enum Taken {
    Single(Delivery<Message<Load>>),
    Run(BatchDelivery<Load>),
}

/// A polled receive as `try_recv` would have said it.
fn ready<D>(polled: Poll<Option<D>>, parked: &mut bool) -> Result<D, TryRecvError> {
    match polled {
        Poll::Ready(Some(delivery)) => Ok(delivery),
        Poll::Ready(None) => Err(TryRecvError::Ended),
        Poll::Pending => {
            *parked = true;
            Err(TryRecvError::Empty)
        }
    }
}

fn sent(load: &Load, topic: &str) -> Sent {
    let topic = TOPICS.iter().position(|known| *known == topic).expect("a topic of ours");
    Sent { from: load.from, number: load.number, weight: load.weight, topic }
}

// -------------------------------------------------------------------------------------------------
// The sequences
// -------------------------------------------------------------------------------------------------

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn run_sequences(default: u64, setup: Setup) {
    let seeds = match from_environment("FANFARE_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(default),
    };
    for seed in seeds {
        let mut world = World::new(seed, setup.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!("sequence {seed} (FANFARE_MODEL_SEED={seed}):");
            for step in &world.trace {
                eprintln!("  {step}");
            }
            #[expect(clippy::disallowed_methods, reason = "its destructors may panic as well")]
            std::mem::forget(world);
            resume_unwind(panic);
        }
    }
}

const WITHOUT_WAITING: [Policy; 4] =
    [Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing, Policy::Disconnect];

#[test]
fn one_publisher_whose_waits_are_ended_by_hand() {
    let mut policies = WITHOUT_WAITING.to_vec();
    policies.extend([Policy::Block, Policy::Block, Policy::WaitLong]);
    let group_policies = vec![Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing];
    run_sequences(15_000, Setup { publishers: 1, policies, group_policies, steps: 40 });
}

#[test]
fn one_publisher_whose_waits_are_over_at_once() {
    let mut policies = WITHOUT_WAITING.to_vec();
    policies.extend([Policy::WaitShort; 3]);
    let group_policies = vec![Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing];
    run_sequences(2_000, Setup { publishers: 1, policies, group_policies, steps: 40 });
}

/// Without `DropOldest`: which publisher's message is the oldest is not decided, so the model
/// cannot know.
#[test]
fn several_publishers() {
    let policies = vec![
        Policy::DropNewest,
        Policy::WaitNothing,
        Policy::Disconnect,
        Policy::Block,
        Policy::Block,
        Policy::WaitLong,
    ];
    let group_policies = vec![Policy::DropNewest, Policy::WaitNothing];
    run_sequences(15_000, Setup { publishers: 3, policies, group_policies, steps: 60 });
}

/// What holds for `DropOldest` whichever message is the oldest: the bound is used, order is kept,
/// what was passed over is told before the next message, and the newest message is always there.
#[test]
fn drop_oldest_of_several_publishers() {
    for seed in 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(3_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut publishers: Vec<_> = (0..3).map(|_| (broker.publisher(), 0)).collect();
        let bound = random.usize(1..=8);
        let mut subscription = testkit::broker::bounded(&broker, ">", bound, WhenFull::DropOldest);
        let (mut offered, mut received, mut told) = (0, 0, 0);
        let mut last_received = [None; 3];
        let mut newest = None;
        for step in 0..60 {
            let at = format!("seed {seed}, step {step}");
            if random.u8(0..3) > 0 {
                let from = random.usize(0..3);
                let (publisher, number) = &mut publishers[from];
                let length = random.u64(1..4);
                let mut batch: Vec<_> =
                    (0..length).map(|add| loads.make(from, *number + add, 1)).collect();
                *number += length;
                newest = Some((from, *number - 1));
                offered += length;
                let to = topic(TOPICS[random.usize(0..TOPICS.len())]);
                let receipt = publisher.try_publish_batch(&to, &mut batch).unwrap();
                assert_eq!(receipt.matched, length, "{at}");
            } else {
                match subscription.try_recv() {
                    Ok(Delivery::Missed(count)) => told += count,
                    Ok(Delivery::Message(message)) => {
                        let message = message.to_message();
                        assert_eq!(
                            told,
                            subscription.books().dropped,
                            "{at}: Missed comes before the next message"
                        );
                        assert!(last_received[message.from] < Some(message.number), "{at}: order");
                        last_received[message.from] = Some(message.number);
                        received += 1;
                    }
                    Err(_) => assert_eq!(offered, received + told, "{at}: empty"),
                }
            }
            let books = subscription.books();
            assert_eq!((books.offered, books.received), (offered, received), "{at}");
            assert_eq!(books.offered, books.received + books.queued + books.dropped, "{at}");
            assert!(books.queued <= bound as u64, "{at}: {books:?}");
            assert!(told <= books.dropped, "{at}: {books:?}");
        }
        while let Ok(delivery) = subscription.try_recv() {
            match delivery {
                Delivery::Missed(count) => told += count,
                Delivery::Message(message) => {
                    assert!(
                        last_received[message.from] < Some(message.number),
                        "seed {seed}: order"
                    );
                    last_received[message.from] = Some(message.number);
                    received += 1;
                }
            }
        }
        assert_eq!(offered, received + told, "seed {seed}");
        if let Some((from, number)) = newest {
            assert_eq!(
                last_received[from],
                Some(number),
                "seed {seed}: the newest message is never passed over"
            );
        }
    }
}

/// Batches to a group, which the model leaves out: each message goes to exactly one member, none is
/// dropped while a member has room, each member keeps the order.
#[test]
fn batches_to_a_group() {
    for seed in 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(3_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut publisher = broker.publisher();
        let mut members = Vec::new();
        for _ in 0..random.usize(1..5) {
            let bound = random.usize(1..=8);
            let policy = [WhenFull::DropNewest, WhenFull::Wait(Duration::ZERO)][random.usize(0..2)];
            let builder =
                broker.subscription(&pattern("work")).queue_messages(bound).when_full(policy);
            members.push((bound, builder.group("workers").subscribe().unwrap(), None));
        }
        let mut number = 0;
        let (mut queued, mut dropped) = (0, 0);
        let mut seen = std::collections::HashSet::new();
        for step in 0..40 {
            let at = format!("seed {seed}, step {step}");
            if random.bool() {
                let length = random.u64(1..10);
                let room: u64 = members
                    .iter()
                    .map(|(bound, member, _)| *bound as u64 - member.books().queued)
                    .sum();
                let mut batch =
                    (number..number + length).map(|number| loads.light(number)).collect();
                number += length;
                let receipt = publisher.try_publish_batch(&topic("work"), &mut batch).unwrap();
                let expected = Receipt {
                    matched: length,
                    queued: length.min(room),
                    dropped: length.saturating_sub(room),
                    ..Receipt::default()
                };
                assert_eq!(receipt, expected, "{at}");
                queued += receipt.queued;
                dropped += receipt.dropped;
            } else {
                let index = random.usize(0..members.len());
                let (_, member, last) = &mut members[index];
                for got in testkit::broker::take_all(member) {
                    if let testkit::broker::Got::Number(number) = got {
                        assert!(seen.insert(number), "{at}: {number} went to two members");
                        assert!(*last < Some(number), "{at}: order");
                        *last = Some(number);
                    }
                }
            }
        }
        for (_, member, _) in &mut members {
            for got in testkit::broker::take_all(member) {
                if let testkit::broker::Got::Number(number) = got {
                    assert!(seen.insert(number), "seed {seed}: {number} went to two members");
                }
            }
            let books = member.books();
            assert_eq!(books.offered, books.received + books.queued + books.dropped, "seed {seed}");
        }
        assert_eq!(seen.len() as u64, queued, "seed {seed}: every queued message was received");
        let booked: u64 = members.iter().map(|(_, member, _)| member.books().dropped).sum();
        assert_eq!(booked, dropped, "seed {seed}: every dropped message is in one member's books");
    }
}
