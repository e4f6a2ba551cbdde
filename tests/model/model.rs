//! The naive model of a broker: what it should do, as plainly as it can be said.

use fanfare::{Receipt, WhenFull};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use testkit::broker::FOREVER;

pub const TOPICS: [&str; 4] = ["a", "b", "a.b", "c.d.e"];
pub const PATTERNS: [&str; 9] = ["a", "b", "a.b", "*", ">", "a.*", "a.>", "c.*.e", ">"];
/// Members of a queue group share a pattern: what a group of several patterns means is not this
/// test's question.
pub const GROUP_PATTERNS: [&str; 2] = ["a", ">"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
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
    pub fn when_full(self) -> WhenFull {
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
pub struct Sent {
    pub from: usize,
    pub number: u64,
    pub weight: usize,
    pub topic: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Item {
    Message(Sent),
    Gap { from: usize, count: u64 },
}

impl Item {
    pub fn from(&self) -> usize {
        match self {
            Self::Message(sent) => sent.from,
            Self::Gap { from, .. } => *from,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Disconnected,
    Dropped,
}

#[derive(Debug)]
pub struct Sub {
    pub pattern: &'static str,
    pub max_messages: usize,
    pub max_bytes: usize,
    pub policy: Policy,
    pub group: Option<usize>,
    pub no_echo: Option<usize>,
    pub items: Vec<Item>,
    pub queued: usize,
    pub bytes: usize,
    pub offered: u64,
    pub received: u64,
    pub dropped: u64,
    pub high_water: usize,
    /// The sum of all `Missed` so far, and of the gaps that lie before something that was received.
    pub reported: u64,
    pub passed: u64,
    pub probation: bool,
    /// Publishers that wait for room here, first come first served.
    pub line: VecDeque<usize>,
    pub end: Option<End>,
}

impl Sub {
    pub fn too_heavy(&self, weight: usize) -> bool {
        weight > self.max_bytes
    }

    pub fn fits(&self, weight: usize) -> bool {
        self.queued < self.max_messages && self.bytes + weight <= self.max_bytes
    }

    pub fn accept(&mut self, sent: Sent) {
        assert!(self.fits(sent.weight));
        self.items.push(Item::Message(sent));
        self.queued += 1;
        self.bytes += sent.weight;
        self.offered += 1;
        self.high_water = self.high_water.max(self.queued);
    }

    pub fn refuse(&mut self, from: usize, count: u64) {
        if count > 0 {
            self.items.push(Item::Gap { from, count });
            self.offered += count;
            self.dropped += count;
        }
    }

    /// The oldest message becomes a gap.
    pub fn evict(&mut self) {
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
    pub fn take(&mut self, got: Sent) {
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
    pub fn looked(&mut self) {
        if self.queued * 2 <= self.max_messages && self.bytes * 2 <= self.max_bytes {
            self.probation = false;
        }
    }

    /// `Missed(count)` was received: there must be gaps at this place that amount to it.
    pub fn told(&mut self, count: u64) {
        assert!(count > 0, "Missed(0)");
        self.reported += count;
        assert!(
            self.reported <= self.tellable(),
            "Missed({count}) before its place: {:?}",
            self.items
        );
    }

    /// The sum of the gaps that may have been told by now.
    pub fn tellable(&self) -> u64 {
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
    pub fn deliverable(&self) -> bool {
        self.queued > 0 || self.reported < self.tellable()
    }

    pub fn end(&mut self, end: End) {
        self.dropped += self.queued as u64;
        self.items.clear();
        self.queued = 0;
        self.bytes = 0;
        self.end = Some(end);
    }
}

/// What is expected of a receipt; how many had to wait is not always decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    pub queued: u64,
    pub dropped: u64,
    pub disconnected: u64,
    pub waited_least: u64,
    pub waited_most: u64,
}

impl Expected {
    pub fn compare(&self, receipt: Receipt) {
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
pub struct Waiting {
    pub batch: Vec<Sent>,
    /// Subscriptions waited for, and the next message of the batch for each.
    pub targets: Vec<(usize, usize)>,
    pub so_far: Expected,
}

pub enum Published {
    Done(Expected),
    Full,
    Waits,
}

#[derive(Default)]
pub struct Model {
    pub subs: Vec<Sub>,
    pub waiting: HashMap<usize, Waiting>,
    /// Publishes that came to an end since they were looked at.
    pub done: HashMap<usize, Expected>,
    pub closed: bool,
    pub history_of: Option<(&'static str, usize)>,
    /// Kept messages by topic, each with its origin and its place in the order of all publishes.
    pub history: HashMap<usize, VecDeque<(u64, Option<usize>, Sent)>>,
    pub published: u64,
}

pub fn naive_match(pattern: &str, topic: &str) -> bool {
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
    pub fn matching(&self, topic: usize, origin: Option<usize>) -> Vec<usize> {
        let for_it = |sub: &Sub| {
            sub.end.is_none()
                && naive_match(sub.pattern, TOPICS[topic])
                && (sub.no_echo.is_none() || sub.no_echo != origin)
        };
        (0..self.subs.len()).filter(|&index| for_it(&self.subs[index])).collect()
    }

    pub fn reaches_a_group(&self, topic: usize) -> bool {
        self.subs.iter().any(|sub| {
            sub.end.is_none() && sub.group.is_some() && naive_match(sub.pattern, TOPICS[topic])
        })
    }

    /// `offered` are the real books by now: they tell which member of a group was chosen.
    pub fn publish(
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

    pub fn would_block(&self, index: usize, batch: &[Sent]) -> bool {
        let sub = &self.subs[index];
        let light: Vec<_> = batch.iter().filter(|sent| !sub.too_heavy(sent.weight)).collect();
        let bytes: usize = light.iter().map(|sent| sent.weight).sum();
        let fits = sub.queued + light.len() <= sub.max_messages
            && sub.bytes + bytes <= sub.max_bytes
            && sub.line.is_empty();
        sub.policy == Policy::Block && !light.is_empty() && !fits
    }

    pub fn chosen(&self, members: Vec<usize>, batch: &[Sent], offered: &[u64]) -> Option<usize> {
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

    pub fn keep(&mut self, origin: Option<usize>, batch: &[Sent]) {
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

    pub fn offer(&mut self, index: usize, from: usize, waiting: &mut Waiting, waits: bool) {
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
    pub fn settle(&mut self) {
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
    pub fn cancel(&mut self, from: usize) {
        let waiting = self.waiting.remove(&from).expect("a publish that waits");
        for (index, next) in waiting.targets {
            let sub = &mut self.subs[index];
            sub.line.retain(|&other| other != from);
            sub.refuse(from, (waiting.batch.len() - next) as u64);
        }
        self.settle();
    }

    pub fn drop_subscription(&mut self, index: usize) {
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
    pub fn replay(&mut self, index: usize, last: usize) {
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

    /// As `cancel`, when the lines move on only after the next publish.
    pub fn cancel_without_settling(&mut self, from: usize) {
        let waiting = self.waiting.remove(&from).expect("a publish that waits");
        for (index, next) in waiting.targets {
            let sub = &mut self.subs[index];
            sub.line.retain(|&other| other != from);
            sub.refuse(from, (waiting.batch.len() - next) as u64);
        }
    }
}
