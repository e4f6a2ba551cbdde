//! The subjects that one connection publishes to: what each means, found out once.

use super::permissions::Rules;
use super::policy::POLICY_SUBJECT;
use crate::codec::nats::{INBOXES, subject};
use crate::limits::NATS_SUBJECTS_REMEMBERED;
use fanfare::Topic;
use std::collections::HashMap;

/// A subject's meaning to a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub place: Place,
    /// Whether a pedantic client may use it.
    pub is_literal: bool,
    pub is_permitted: bool,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Topic(Topic),
    /// The server itself, which is asked for a policy.
    Policy,
    /// Nobody can be subscribed to it.
    Nowhere,
    /// Nobody can be subscribed to it here: it is right for NATS, but longer or deeper than a topic
    /// can be, or not UTF-8, or has control characters.
    TooMuch,
}

/// Remembers what the subjects mean that were used lately.
#[derive(Default)]
pub(super) struct Subjects {
    last: Option<(Box<[u8]>, Destination)>,
    /// Each is used for one request, so only the last is remembered.
    last_inbox: Option<Destination>,
    others: HashMap<Box<[u8]>, Destination>,
}

impl Subjects {
    /// The meaning of `subject` under these rules, which must always be the same.
    pub fn find(&mut self, subject: &[u8], rules: &Rules) -> &Destination {
        if subject.starts_with(INBOXES) {
            let is_it = |last: &mut Destination| last.is_topic(subject);
            let last = self.last_inbox.take_if(is_it);
            let found = last.unwrap_or_else(|| Destination::of(subject, rules));
            return self.last_inbox.insert(found);
        }
        if self.last.as_ref().is_none_or(|(last, _)| **last != *subject) {
            let remembered = self.others.remove_entry(subject);
            let found =
                remembered.unwrap_or_else(|| (subject.into(), Destination::of(subject, rules)));
            if let Some((subject, destination)) = self.last.replace(found) {
                if self.others.len() >= NATS_SUBJECTS_REMEMBERED {
                    self.others = HashMap::new();
                }
                self.others.insert(subject, destination);
            }
        }
        #[expect(clippy::expect_used, reason = "it is put there just above if it was missing")]
        let (_, destination) = self.last.as_ref().expect("the last subject");
        destination
    }
}

impl Destination {
    /// Whether it is the topic of this name.
    fn is_topic(&self, subject: &[u8]) -> bool {
        matches!(&self.place, Place::Topic(topic) if topic.as_str().as_bytes() == subject)
    }

    fn of(subject: &[u8], rules: &Rules) -> Self {
        if subject == POLICY_SUBJECT.as_bytes() {
            // Whatever the rules say: it concerns nobody but the client.
            return Self { place: Place::Policy, is_literal: true, is_permitted: true };
        }
        // To a publisher `*` and `>` are ordinary tokens.
        let topic = std::str::from_utf8(subject).ok().and_then(|text| Topic::literal(text).ok());
        let is_permitted = match &topic {
            Some(topic) => rules.permit_topic(topic),
            None => rules.allow_any(),
        };
        let place = match topic {
            Some(topic) => Place::Topic(topic),
            None if subject.split(|&byte| byte == b'.').any(<[u8]>::is_empty) => Place::Nowhere,
            None => Place::TooMuch,
        };
        let is_literal = match place {
            Place::Topic(_) => !subject::has_wildcard(subject),
            _ => subject::is_valid_literal(subject),
        };
        Self { place, is_literal, is_permitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::Pattern;

    fn place(subject: &[u8]) -> Place {
        Subjects::default().find(subject, &Rules::default()).place.clone()
    }

    #[test]
    fn subjects_lead_to_topics_or_nowhere() {
        assert_eq!(place(b"a.b"), Place::Topic(Topic::parse("a.b").unwrap()));
        assert_eq!(place(b"a.>.*"), Place::Topic(Topic::literal("a.>.*").unwrap()));
        for nowhere in ["a..b", ".", "a.", ""] {
            assert_eq!(place(nowhere.as_bytes()), Place::Nowhere, "{nowhere}");
        }
        let long = "x".repeat(1025);
        let deep = ["a"; 33].join(".");
        for too_much in [long.as_bytes(), deep.as_bytes(), b"a\xff", b"a\x01b"] {
            assert_eq!(place(too_much), Place::TooMuch);
        }
    }

    #[test]
    fn remembered_subjects_are_right_and_bounded() {
        let rules = Rules::new(Some(vec![Pattern::parse("odd.*").unwrap()]), Vec::new());
        let mut subjects = Subjects::default();
        for turn in 0..3 * NATS_SUBJECTS_REMEMBERED {
            let number = turn * 7 % (NATS_SUBJECTS_REMEMBERED + 10);
            let name = format!("{}.{number}", if number % 2 == 1 { "odd" } else { "even" });
            let found = subjects.find(name.as_bytes(), &rules);
            assert_eq!(
                (found.is_permitted, &found.place),
                (number % 2 == 1, &place(name.as_bytes()))
            );
            assert!(subjects.others.len() <= NATS_SUBJECTS_REMEMBERED);
        }
        assert!(!subjects.find(b"a..b", &rules).is_permitted);
    }
}
