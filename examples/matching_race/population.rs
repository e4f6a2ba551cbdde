//! Many subscriptions of every kind: a third exact, a third with `*`, a third with `>`.

use fanfare::{Broker, Pattern, Subscription, Topic, WhenFull};

/// Which kind of subscription matches a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    Exactly,
    ByStar,
    ByTail,
    ByNobody,
}

pub const ALL: [Matched; 4] =
    [Matched::Exactly, Matched::ByStar, Matched::ByTail, Matched::ByNobody];

/// The kinds of subscription, in turn.
const KINDS: [Matched; 3] = [Matched::Exactly, Matched::ByStar, Matched::ByTail];

impl Matched {
    pub fn name(self) -> &'static str {
        match self {
            Self::Exactly => "exactly",
            Self::ByStar => "by *",
            Self::ByTail => "by >",
            Self::ByNobody => "by nobody",
        }
    }

    /// The topic that only the subscription of this kind and number matches.
    pub fn topic(self, number: usize) -> Topic {
        let (group, member) = (number / 1000, number % 1000);
        let text = match self {
            Self::Exactly => format!("exact.{group}.{member}.price"),
            Self::ByStar => format!("star.{group}.eu.{member}"),
            Self::ByTail => format!("tail.{group}.{member}.eu.price"),
            Self::ByNobody => format!("exact.{group}.{member}.volume"),
        };
        Topic::parse(&text).expect("a valid topic")
    }

    /// The index of the subscription of this kind and number in [`broker_with`], if there is one.
    pub fn index(self, number: usize) -> Option<usize> {
        let kind = KINDS.iter().position(|kind| *kind == self)?;
        Some(number * KINDS.len() + kind)
    }

    fn pattern(self, number: usize) -> Pattern {
        let (group, member) = (number / 1000, number % 1000);
        match self {
            Self::ByStar => parse(&format!("star.{group}.*.{member}")),
            Self::ByTail => parse(&format!("tail.{group}.{member}.>")),
            Self::Exactly | Self::ByNobody => Pattern::from(self.topic(number)),
        }
    }
}

/// A broker with this many subscriptions, a third of each kind. They drop the newest, so no publish
/// waits.
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
