//! What a user may publish to and subscribe to.

use fanfare::{Pattern, Topic};

/// What a user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// What it may publish to.
    pub publish: Rules,
    /// What it may subscribe to.
    pub subscribe: Rules,
}

/// Patterns that allow, and patterns that forbid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is allowed. None: everything. An empty list allows nothing.
    pub allow: Option<Vec<Pattern>>,
    /// What is forbidden, even if it is allowed.
    pub deny: Vec<Pattern>,
}

impl Rules {
    /// Whether a message of this topic is allowed.
    pub fn permit_topic(&self, topic: &Topic) -> bool {
        self.allow_any(|pattern| pattern.matches(topic)) && !self.deny_topic(topic)
    }

    /// Whether a message of this topic is forbidden, whatever is allowed.
    pub fn deny_topic(&self, topic: &Topic) -> bool {
        self.deny.iter().any(|pattern| pattern.matches(topic))
    }

    /// Whether a subscription is allowed: all that it can match is allowed, and not all of it is
    /// forbidden. What is forbidden of it has to be kept from it: see
    /// [`deny_part_of`](Self::deny_part_of).
    pub fn permit_pattern(&self, pattern: &Pattern) -> bool {
        self.allow_any(|outer| covers(outer, pattern))
            && !self.deny.iter().any(|outer| covers(outer, pattern))
    }

    /// Whether a subscription could match something forbidden.
    pub fn deny_part_of(&self, pattern: &Pattern) -> bool {
        self.deny.iter().any(|denied| overlap(denied, pattern))
    }

    fn allow_any(&self, is_it: impl FnMut(&Pattern) -> bool) -> bool {
        self.allow.as_ref().is_none_or(|allowed| allowed.iter().any(is_it))
    }
}

/// Whether everything that `inner` matches is matched by `outer` too.
fn covers(outer: &Pattern, inner: &Pattern) -> bool {
    let mut inner = inner.tokens();
    for token in outer.tokens() {
        match (token, inner.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// Whether there is a topic that both match.
fn overlap(one: &Pattern, other: &Pattern) -> bool {
    let (mut one, mut other) = (one.tokens(), other.tokens());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(token), Some(same)) if token == same => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        Rules {
            allow: (!allow.is_empty()).then(|| allow.iter().map(|text| pattern(text)).collect()),
            deny: deny.iter().map(|text| pattern(text)).collect(),
        }
    }

    #[test]
    fn messages_are_judged_by_their_topic() {
        let rules = rules(&["foo.*", "bar.>"], &["foo.x"]);
        let permits = |text: &str| rules.permit_topic(&Topic::parse(text).unwrap());
        assert!(permits("foo.y") && permits("bar.a.b"));
        assert!(!permits("foo.x") && !permits("foo.a.b") && !permits("bar") && !permits("other"));
        assert!(Rules::default().permit_topic(&Topic::parse("any").unwrap()));
        let denied = Rules { allow: None, deny: vec![pattern(">")] };
        let not_allowed = Rules { allow: Some(Vec::new()), deny: Vec::new() };
        for nothing in [denied, not_allowed] {
            assert!(!nothing.permit_topic(&Topic::parse("any").unwrap()));
            assert!(!nothing.permit_pattern(&pattern("any")));
        }
    }

    #[test]
    fn subscriptions_must_lie_within_what_is_allowed() {
        let allowed = rules(&["foo.*", "bar.>", "_INBOX.>"], &["foo.x", "bar.no.>"]);
        for right in ["foo.y", "foo.*", "bar.>", "bar.*", "bar.a.*", "_INBOX.1.2"] {
            assert!(allowed.permit_pattern(&pattern(right)), "{right}");
        }
        for wrong in [">", "*", "foo.>", "foo.x", "*.y", "foo", "bar.no.a", "bar.no.>", "bar.no.*"]
        {
            assert!(!allowed.permit_pattern(&pattern(wrong)), "{wrong}");
        }
    }

    #[test]
    fn what_is_forbidden_of_a_wider_subscription_is_known() {
        let rules = rules(&[], &["foo.x", "bar.*.no"]);
        for wider in ["foo.*", ">", "foo.>", "*.x", "bar.>", "bar.a.*", "*.*.*"] {
            assert!(
                rules.permit_pattern(&pattern(wider)) && rules.deny_part_of(&pattern(wider)),
                "{wider}"
            );
        }
        for apart in ["foo.y", "foo.*.z", "bar.a.yes", "bar", "*"] {
            assert!(
                rules.permit_pattern(&pattern(apart)) && !rules.deny_part_of(&pattern(apart)),
                "{apart}"
            );
        }
    }

    /// Against what the patterns say of every topic of up to three tokens from a small alphabet.
    #[test]
    fn covering_and_overlapping_are_what_matching_says() {
        let words = ["a", "b", "*", ">"];
        let mut texts: Vec<String> = Vec::new();
        for one in words {
            texts.push(one.to_owned());
            for two in words {
                texts.push(format!("{one}.{two}"));
                texts.extend(words.iter().map(|three| format!("{one}.{two}.{three}")));
            }
        }
        let patterns: Vec<Pattern> =
            texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        // Other tokens stand for all that no pattern names, and a fourth token for all that is
        // longer.
        let mut topics = Vec::new();
        let names = ["a", "b", "c"];
        for one in names {
            topics.push(one.to_owned());
            for two in names {
                topics.push(format!("{one}.{two}"));
                for three in names {
                    topics.push(format!("{one}.{two}.{three}"));
                    topics.extend(names.iter().map(|four| format!("{one}.{two}.{three}.{four}")));
                }
            }
        }
        let topics: Vec<Topic> = topics.iter().map(|text| Topic::parse(text).unwrap()).collect();
        for one in &patterns {
            for other in &patterns {
                let both = topics.iter().any(|topic| one.matches(topic) && other.matches(topic));
                assert_eq!(overlap(one, other), both, "{one} {other}");
                let all = topics.iter().all(|topic| one.matches(topic) || !other.matches(topic));
                assert_eq!(covers(one, other), all, "{one} {other}");
            }
        }
    }
}
