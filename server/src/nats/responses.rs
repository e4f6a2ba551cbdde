//! The subjects that a client may publish to because it was sent a request that names them.

use super::permissions::ResponseRule;
use crate::limits::NATS_RESPONSES;
use fanfare::Topic;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// The requests that one client was sent and may answer. Time comes in as an argument.
pub(super) struct Responses {
    rule: ResponseRule,
    requests: HashMap<Topic, Request>,
    /// Oldest first. One that came again is there twice.
    order: VecDeque<(Instant, Topic)>,
}

struct Request {
    came: Instant,
    answers: u32,
}

impl Responses {
    /// Of a client that may answer as this rule says.
    pub fn new(rule: ResponseRule) -> Self {
        Self { rule, requests: HashMap::new(), order: VecDeque::new() }
    }

    /// The client is sent a request with this reply subject.
    pub fn note(&mut self, reply_to: &Topic, now: Instant) {
        if self.order.len() >= NATS_RESPONSES {
            self.forget_oldest();
        }
        self.requests.insert(reply_to.clone(), Request { came: now, answers: 0 });
        self.order.push_back((now, reply_to.clone()));
    }

    /// Whether the client may publish one answer to this subject, which counts then.
    pub fn spend(&mut self, topic: &Topic, now: Instant) -> bool {
        let Some(request) = self.requests.get_mut(topic) else { return false };
        request.answers += 1;
        let ResponseRule { max, expires } = self.rule;
        let is_late = expires.is_some_and(|time| now > request.came + time);
        let is_right = !is_late && max.is_none_or(|max| request.answers <= max);
        if !is_right {
            self.requests.remove(topic);
        }
        is_right
    }

    fn forget_oldest(&mut self) {
        let Some((came, topic)) = self.order.pop_front() else { return };
        if self.requests.get(&topic).is_some_and(|request| request.came == came) {
            self.requests.remove(&topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn topic(number: usize) -> Topic {
        Topic::parse(&format!("r.{number}")).unwrap()
    }

    #[test]
    fn answers_are_counted_and_come_in_time() {
        let second = Duration::from_secs(1);
        let rule = ResponseRule { max: Some(2), expires: Some(second) };
        let (mut responses, now) = (Responses::new(rule), Instant::now());
        assert!(!responses.spend(&topic(1), now));
        responses.note(&topic(1), now);
        assert!(responses.spend(&topic(1), now) && responses.spend(&topic(1), now + second));
        assert!(!responses.spend(&topic(1), now), "two are enough");
        responses.note(&topic(1), now);
        assert!(!responses.spend(&topic(1), now + second * 2), "too late");
        assert!(!responses.spend(&topic(1), now));
        let mut unbounded = Responses::new(ResponseRule { max: None, expires: None });
        unbounded.note(&topic(1), now);
        assert!((0..10).all(|_| unbounded.spend(&topic(1), now + second * 1_000)));
    }

    #[test]
    fn the_oldest_request_is_forgotten_at_the_bound() {
        let mut responses = Responses::new(ResponseRule::default());
        let began = Instant::now();
        let at = |number: usize| began + Duration::from_millis(number as u64);
        for number in 0..NATS_RESPONSES {
            responses.note(&topic(number), at(number));
        }
        responses.note(&topic(0), at(NATS_RESPONSES));
        assert!(responses.spend(&topic(0), at(NATS_RESPONSES)), "it came again");
        responses.note(&topic(NATS_RESPONSES), at(NATS_RESPONSES));
        assert!(!responses.spend(&topic(1), at(NATS_RESPONSES)));
        assert!(responses.spend(&topic(2), at(NATS_RESPONSES)));
        assert!(responses.order.len() <= NATS_RESPONSES);
    }
}
