//! Many subscriptions of every kind: a third exact, a third with `*`, a third with `>`.

use fanfare::{Broker, Pattern, Subscription, Topic, WhenFull};

/// How a topic is matched, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    Exactly,
    ByStar,
    ByTail,
    ByNobody,
}

pub const ALL: [Matched; 4] = [Matched::Exactly, Matched::ByStar, Matched::ByTail, Matched::ByNobody];

/// The kinds of subscription, in the order in which they take turns.
const KINDS: [Matched; 3] = [Matched::Exactly, Matched::ByStar, Matched::ByTail];

impl Matched {
    pub fn name(self) -> &'static str {
        match self {
            Matched::Exactly => "exactly",
            Matched::ByStar => "by *",
            Matched::ByTail => "by >",
            Matched::ByNobody => "by nobody",
        }
    }

    /// A topic that the subscription of this kind and number matches, and no other does.
    pub fn topic(self, number: usize) -> Topic {
        let (group, member) = (number / 1000, number % 1000);
        let text = match self {
            Matched::Exactly => format!("exact.{group}.{member}.price"),
            Matched::ByStar => format!("star.{group}.eu.{member}"),
            Matched::ByTail => format!("tail.{group}.{member}.eu.price"),
            Matched::ByNobody => format!("exact.{group}.{member}.volume"),
        };
        Topic::parse(&text).expect("a valid topic")
    }

    /// Where the subscription of this kind and number is among all of [`broker_with`], if there is one.
    pub fn place(self, number: usize) -> Option<usize> {
        let kind = KINDS.iter().position(|kind| *kind == self)?;
        Some(number * KINDS.len() + kind)
    }

    fn pattern(self, number: usize) -> Pattern {
        let (group, member) = (number / 1000, number % 1000);
        match self {
            Matched::ByStar => parse(&format!("star.{group}.*.{member}")),
            Matched::ByTail => parse(&format!("tail.{group}.{member}.>")),
            Matched::Exactly | Matched::ByNobody => Pattern::from(self.topic(number)),
        }
    }
}

/// A broker with so many subscriptions, a third of each kind. `DropNewest`, so that nothing is ever waited for.
pub fn broker_with(subscriptions: usize) -> (Broker<u64>, Vec<Subscription<u64>>) {
    let broker = Broker::<u64>::builder().when_full(WhenFull::DropNewest).build();
    let all = (0..subscriptions)
        .map(|number| {
            let kind = KINDS[number % KINDS.len()];
            broker.subscribe(&kind.pattern(number / KINDS.len())).expect("room for a subscription")
        })
        .collect();
    (broker, all)
}

pub fn parse(pattern: &str) -> Pattern {
    Pattern::parse(pattern).expect("a valid pattern")
}
