//! The subjects that a user may publish and subscribe to.

use crate::codec::nats::subject::{covers, overlap};
use fanfare::{Pattern, Topic};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The rights of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The subjects it may publish to.
    pub publish: Rules,
    /// The subjects it may subscribe to.
    pub subscribe: Rules,
    /// Whether it may answer the requests that it is sent, wherever the answers go.
    pub responses: Option<ResponseRule>,
}

/// How requests may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseRule {
    /// Answers to one request.
    pub max: Option<u32>,
    /// The time after a request in which they have to come.
    pub expires: Option<Duration>,
}

impl Default for ResponseRule {
    /// nats-server's.
    fn default() -> Self {
        Self { max: Some(1), expires: Some(Duration::from_secs(120)) }
    }
}

/// Patterns that allow, and patterns that forbid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Allowed patterns. `None`: everything that is not private. An empty list allows nothing.
    allow: Option<Vec<Pattern>>,
    /// Forbidden patterns, even where allowed.
    deny: Arc<[Pattern]>,
    /// What a subscription that begins before a private prefix must not get: `deny`, and what is
    /// private.
    deny_wide: Arc<[Pattern]>,
    /// Whether some topics are private: those of chat and pushes, which are in one account.
    has_private: bool,
    /// Patterns allowed and forbidden only to members of some queue groups.
    allow_groups: Vec<GroupRule>,
    deny_groups: Vec<GroupRule>,
}

/// A rule for subscriptions in queue groups. Group names are matched as subjects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// The subjects.
    pub subject: Pattern,
    /// The names of the groups.
    pub group: Pattern,
}

/// Private topics begin with one of these: `/msg` goes to a person, a push to its clients. A rule
/// that begins with the same prefix allows them; no other rule, and no lack of rules, does.
const PRIVATE_PREFIXES: [&str; 2] = ["chat.user.", "push."];

impl Permissions {
    /// The rights of a client without rules. Shared, so that they cost a connection nothing.
    pub fn unrestricted() -> Arc<Self> {
        static UNRESTRICTED: LazyLock<Arc<Permissions>> = LazyLock::new(Arc::default);
        UNRESTRICTED.clone()
    }
}

impl Rules {
    /// Allows what one of `allow` matches, or without it everything that is not private, but not
    /// what one of `deny` matches.
    pub fn new(allow: Option<Vec<Pattern>>, deny: Vec<Pattern>) -> Self {
        let mut deny_wide = deny.clone();
        deny_wide.extend(PRIVATE_PREFIXES.iter().filter_map(|prefix| {
            let private = Pattern::parse(&format!("{prefix}>")).ok()?;
            let is_named = named(&allow, prefix).any(|rule| covers(rule, &private));
            (!is_named).then_some(private)
        }));
        Self {
            allow,
            deny: deny.into(),
            deny_wide: deny_wide.into(),
            has_private: true,
            allow_groups: Vec::new(),
            deny_groups: Vec::new(),
        }
    }

    /// The same, where nothing is private: in an account without chat and pushes.
    pub fn without_private(self) -> Self {
        Self { deny_wide: self.deny.clone(), has_private: false, ..self }
    }

    /// The same, with rules for queue groups. Where some that allow are for a subject, they decide
    /// for subscriptions in groups.
    pub fn with_groups(self, allow_groups: Vec<GroupRule>, deny_groups: Vec<GroupRule>) -> Self {
        Self { allow_groups, deny_groups, ..self }
    }

    /// Whether everything is allowed that is not private or forbidden.
    pub fn allow_any(&self) -> bool {
        self.allow.is_none()
    }

    /// The allowed patterns as they are written, with the groups they are for.
    pub fn allowed(&self) -> Vec<String> {
        written(self.allow.iter().flatten(), &self.allow_groups)
    }

    /// The forbidden patterns as they are written, with the groups they are for.
    pub fn denied(&self) -> Vec<String> {
        written(self.deny.iter(), &self.deny_groups)
    }

    /// Whether a message of this topic is allowed.
    pub fn permit_topic(&self, topic: &Topic) -> bool {
        self.allows(topic.as_str(), |rule| rule.matches(topic))
            && !self.deny.iter().any(|denied| denied.matches(topic))
    }

    /// Whether a subscription is allowed: all that it can match is allowed, and not all of it is
    /// forbidden. What else is forbidden or private has to be kept from it: see
    /// [`kept_from`](Self::kept_from).
    pub fn permit_pattern(&self, pattern: &Pattern, group: Option<&str>) -> bool {
        let private = self.private_prefix(pattern.as_str());
        let mut of_groups = self.allow_groups.iter().filter(|rule| {
            covers(&rule.subject, pattern)
                && private.is_none_or(|prefix| rule.subject.as_str().starts_with(prefix))
        });
        let is_allowed = match group.and_then(|group| Some((group, of_groups.next()?))) {
            Some((group, first)) => first.is_for(group) || of_groups.any(|rule| rule.is_for(group)),
            None => self.allows(pattern.as_str(), |rule| covers(rule, pattern)),
        };
        is_allowed
            && !self.deny.iter().any(|outer| covers(outer, pattern))
            && !self.denied_to(group).any(|outer| covers(outer, pattern))
    }

    /// The patterns that must not reach an allowed subscription, if it could match any of them.
    pub fn kept_from(&self, pattern: &Pattern, group: Option<&str>) -> Option<Arc<[Pattern]>> {
        // One that begins with a private prefix is allowed because a rule names it.
        let kept = match self.private_prefix(pattern.as_str()) {
            Some(_) => &self.deny,
            None => &self.deny_wide,
        };
        if self.denied_to(group).any(|denied| overlap(denied, pattern)) {
            return Some(kept.iter().chain(self.denied_to(group)).cloned().collect());
        }
        kept.iter().any(|kept| overlap(kept, pattern)).then(|| kept.clone())
    }

    /// The patterns forbidden to members of a queue group.
    fn denied_to(&self, group: Option<&str>) -> impl Iterator<Item = &Pattern> {
        let is_denied = move |rule: &&GroupRule| group.is_some_and(|group| rule.is_for(group));
        self.deny_groups.iter().filter(is_denied).map(|rule| &rule.subject)
    }

    fn private_prefix(&self, subject: &str) -> Option<&'static str> {
        let mut prefixes = PRIVATE_PREFIXES.into_iter().filter(|_| self.has_private);
        prefixes.find(|prefix| subject.starts_with(prefix))
    }

    fn allows(&self, subject: &str, fits: impl Fn(&Pattern) -> bool) -> bool {
        match self.private_prefix(subject) {
            Some(prefix) => named(&self.allow, prefix).any(fits),
            None => self.allow.as_ref().is_none_or(|rules| rules.iter().any(fits)),
        }
    }
}

impl GroupRule {
    fn is_for(&self, group: &str) -> bool {
        Topic::literal(group).is_ok_and(|name| self.group.matches(&name))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(None, Vec::new())
    }
}

/// Rules as they are written in files.
fn written<'r>(rules: impl Iterator<Item = &'r Pattern>, of_groups: &[GroupRule]) -> Vec<String> {
    let of_groups = of_groups
        .iter()
        .map(|GroupRule { subject, group }| format!("{} {}", subject.as_str(), group.as_str()));
    rules.map(|rule| rule.as_str().to_owned()).chain(of_groups).collect()
}

/// The rules that begin with this prefix.
fn named<'r>(rules: &'r Option<Vec<Pattern>>, prefix: &str) -> impl Iterator<Item = &'r Pattern> {
    rules.iter().flatten().filter(move |rule| rule.as_str().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let patterns = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect();
        Rules::new((!allow.is_empty()).then(|| patterns(allow)), patterns(deny))
    }

    fn kept(rules: &Rules, from: &str) -> Vec<Pattern> {
        rules.kept_from(&pattern(from), None).map_or_else(Vec::new, |kept| kept.to_vec())
    }

    #[test]
    fn messages_are_judged_by_their_topic() {
        let rules = rules(&["foo.*", "bar.>"], &["foo.x"]);
        let permits = |text: &str| rules.permit_topic(&Topic::parse(text).unwrap());
        assert!(permits("foo.y") && permits("bar.a.b"));
        assert!(!permits("foo.x") && !permits("foo.a.b") && !permits("bar") && !permits("other"));
        assert!(Rules::default().permit_topic(&Topic::parse("any").unwrap()));
        let denied = Rules::new(None, vec![pattern(">")]);
        let not_allowed = Rules::new(Some(Vec::new()), Vec::new());
        for nothing in [denied, not_allowed] {
            assert!(!nothing.permit_topic(&Topic::parse("any").unwrap()));
            assert!(!nothing.permit_pattern(&pattern("any"), None));
        }
    }

    #[test]
    fn subscriptions_must_lie_within_what_is_allowed() {
        let allowed = rules(&["foo.*", "bar.>", "_INBOX.>"], &["foo.x", "bar.no.>"]);
        for right in ["foo.y", "foo.*", "bar.>", "bar.*", "bar.a.*", "_INBOX.1.2"] {
            assert!(allowed.permit_pattern(&pattern(right), None), "{right}");
        }
        for wrong in [">", "*", "foo.>", "foo.x", "*.y", "foo", "bar.no.a", "bar.no.>", "bar.no.*"]
        {
            assert!(!allowed.permit_pattern(&pattern(wrong), None), "{wrong}");
        }
    }

    #[test]
    fn the_forbidden_part_of_a_wider_subscription_is_known() {
        let rules = rules(&[], &["foo.x", "bar.*.no"]);
        for wider in ["foo.*", ">", "foo.>", "*.x", "bar.>", "bar.a.*", "*.*.*"] {
            assert!(
                rules.permit_pattern(&pattern(wider), None)
                    && kept(&rules, wider).contains(&pattern("foo.x")),
                "{wider}"
            );
        }
        for apart in ["foo.y", "foo.*.z", "bar.a.yes", "bar", "*", "push", "chat.user", "chat.*"] {
            assert!(
                rules.permit_pattern(&pattern(apart), None) && kept(&rules, apart).is_empty(),
                "{apart}"
            );
        }
    }

    #[test]
    fn only_rules_that_name_private_subjects_reach_them() {
        let permits = |rules: &Rules, text: &str| rules.permit_pattern(&pattern(text), None);
        let publish =
            |rules: &Rules, text: &str| rules.permit_topic(&Topic::literal(text).unwrap());
        let private = [pattern("chat.user.>"), pattern("push.>")];
        for wide in [rules(&[], &[]), rules(&[">"], &[]), rules(&["*.>", "*"], &[])] {
            for text in ["push.all", "push.user.1", "push.*", "push.>", "chat.user.bob"] {
                assert!(!permits(&wide, text) && !publish(&wide, text), "{text}");
            }
            assert_eq!(kept(&wide, "*.>"), private);
            for text in ["chat.>", "chat.*.bob", "*.user.1", "*.all.a.b.*"] {
                assert!(permits(&wide, text) && kept(&wide, text) == private, "{text}");
            }
            for text in ["chat.room.>", "chat.*", "push", "pushes.>", "*"] {
                assert!(permits(&wide, text) && kept(&wide, text).is_empty(), "{text}");
            }
        }
        let named = rules(&[">", "push.>", "chat.user.bob"], &["push.user.*"]);
        for text in ["push.all", "push.group.*", "chat.user.bob"] {
            assert!(permits(&named, text) && publish(&named, text), "{text}");
            assert!(kept(&named, text).is_empty(), "{text}");
        }
        for text in ["chat.user.eve", "chat.user.*", "push.user.1"] {
            assert!(!permits(&named, text) && !publish(&named, text), "{text}");
        }
        let denied = pattern("push.user.*");
        assert_eq!(kept(&named, "push.>"), std::slice::from_ref(&denied));
        assert_eq!(kept(&named, ">"), [denied, pattern("chat.user.>")]);
    }

    #[test]
    fn rules_for_queue_groups_are_for_their_members_alone() {
        let group_rules = |texts: &[(&str, &str)]| {
            let rule = |(subject, group): &(&str, &str)| GroupRule {
                subject: pattern(subject),
                group: pattern(group),
            };
            texts.iter().map(rule).collect::<Vec<_>>()
        };
        let allow = group_rules(&[("jobs", "q"), ("n.*", "v1.>"), (">", "all")]);
        let deny = group_rules(&[("z", "bad"), ("push.a", "all")]);
        let rules = rules(&["z", "jobs.x"], &["k"]).with_groups(allow, deny);
        for (text, group, is_permitted) in [
            ("jobs", None, false),
            ("jobs", Some("q"), true),
            ("jobs", Some("other"), false),
            ("n.a", Some("v1.x.y"), true),
            ("n.*", Some("v1.x"), true),
            ("n.a", Some("v1"), false),
            ("z", None, true),
            ("z", Some("all"), true),
            ("z", Some("bad"), false),
            ("k", Some("all"), false),
            ("push.b", Some("all"), false),
            (">", Some("all"), true),
        ] {
            assert_eq!(
                rules.permit_pattern(&pattern(text), group),
                is_permitted,
                "{text} {group:?}"
            );
        }
        let kept = |from, group| rules.kept_from(&pattern(from), group).unwrap_or_default();
        let private = ["k", "chat.user.>", "push.>"].map(pattern);
        assert_eq!(kept(">", None)[..], private);
        assert_eq!(kept(">", Some("bad"))[..], [&private[..], &[pattern("z")]].concat());
    }
}
