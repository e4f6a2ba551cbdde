//! Topics and patterns: what is accepted, what is refused and where the fault is, and what matches
//! what.

use fanfare::{
    BatchDelivery, Broker, Delivery, MailboxDelivery, Pattern, Subscription, Topic, TopicError,
    TopicErrorKind,
};
use futures_lite::future::block_on;
use std::collections::HashSet;
use std::str::FromStr;
use std::task::{Context, Poll, Waker};

fn error_of(topic: &str) -> TopicError {
    match Topic::parse(topic) {
        Ok(topic) => panic!("{topic:?} should have been refused"),
        Err(error) => error,
    }
}

fn pattern_error_of(pattern: &str) -> TopicError {
    match Pattern::parse(pattern) {
        Ok(pattern) => panic!("{pattern:?} should have been refused"),
        Err(error) => error,
    }
}

#[test]
fn ordinary_topics_are_kept_as_written() {
    for text in [
        "a",
        "orders.eu.created",
        "Räume.日本.🎺",
        "_x-1.$SYS.a/b",
        "fo*",
        "fo>",
        "*o.>o",
        "a.**",
        "a.>>",
    ] {
        let topic = Topic::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(topic.as_str(), text);
        assert_eq!(topic.to_string(), text);
        let as_ref: &str = topic.as_ref();
        assert_eq!(as_ref, text);
        assert_eq!(topic.tokens().collect::<Vec<_>>(), text.split('.').collect::<Vec<_>>());
        assert_eq!(topic, Topic::from_str(text).unwrap());
        assert_eq!(topic, Topic::try_from(text).unwrap());
        assert_eq!(topic.clone(), topic);
        let pattern = Pattern::parse(text).unwrap();
        assert!(pattern.is_literal(), "{text:?} has no wildcard");
        assert!(pattern.matches(&topic));
        assert_eq!(Pattern::from(&topic), pattern);
        assert_eq!(Pattern::from(topic), pattern);
        assert_eq!(pattern.to_string(), text);
    }
}

#[test]
fn topics_are_keys() {
    let mut set = HashSet::new();
    assert!(set.insert(Topic::parse("a.b").unwrap()));
    assert!(!set.insert(Topic::parse("a.b").unwrap()));
    assert!(Topic::parse("a").unwrap() < Topic::parse("b").unwrap());
    assert_ne!(Topic::parse("a").unwrap(), Topic::parse("A").unwrap(), "case counts");
}

#[test]
fn the_empty_topic_and_empty_tokens_are_refused_where_they_stand() {
    for (text, position) in [
        ("", 0),
        (".", 0),
        (".a", 0),
        ("a.", 2),
        ("a..b", 2),
        ("a.b..c", 4),
        ("日..b", 4),
        ("...", 0),
    ] {
        assert_eq!(error_of(text).position(), position, "topic {text:?}");
        assert_eq!(pattern_error_of(text).position(), position, "pattern {text:?}");
    }
}

#[test]
fn white_space_and_control_characters_are_refused_where_they_stand() {
    let bad = [
        ' ', '\t', '\n', '\r', '\0', '\u{7f}', '\u{85}', '\u{a0}', '\u{2003}', '\u{2028}',
        '\u{3000}', '\u{1b}',
    ];
    for character in bad {
        for (before, after) in [("", ""), ("a", "b"), ("a.b", ""), ("é.", "c"), ("", "x")] {
            let text = format!("{before}{character}{after}");
            assert_eq!(error_of(&text).position(), before.len(), "topic {text:?}");
            assert_eq!(pattern_error_of(&text).position(), before.len(), "pattern {text:?}");
        }
    }
}

#[test]
fn length_is_counted_in_bytes_up_to_1024() {
    let longest = "x".repeat(1024);
    assert!(Topic::parse(&longest).is_ok());
    assert!(Pattern::parse(&longest).is_ok());
    let too_long = "x".repeat(1025);
    assert_eq!(error_of(&too_long).position(), 1024, "the first byte too many");
    assert_eq!(pattern_error_of(&too_long).position(), 1024);

    let longest = "é".repeat(512); // 1,024 bytes
    assert_eq!(longest.len(), 1024);
    assert!(Topic::parse(&longest).is_ok());
    assert!(Topic::parse(&"é".repeat(513)).is_err(), "1,026 bytes, though only 513 characters");
    assert!(Topic::parse(&"x".repeat(1 << 20)).is_err());
}

#[test]
fn thirty_two_tokens_are_the_most() {
    let most = ["t"; 32].join(".");
    assert_eq!(Topic::parse(&most).unwrap().tokens().count(), 32);
    assert!(Pattern::parse(&["*"; 32].join(".")).is_ok());
    let too_many = ["t"; 33].join(".");
    assert_eq!(error_of(&too_many).position(), 64, "where the thirty-third token begins");
    assert_eq!(pattern_error_of(&["*"; 33].join(".")).position(), 64);
}

#[test]
fn wildcards_are_refused_in_a_topic_where_they_stand() {
    for (text, position) in
        [("*", 0), (">", 0), ("a.*", 2), ("a.>", 2), ("*.b", 0), ("a.*.c", 2), ("日.>", 4)]
    {
        assert_eq!(error_of(text).position(), position, "{text:?}");
        assert!(Pattern::parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_greater_sign_must_be_the_last_token_of_a_pattern() {
    for (text, position) in [(">.a", 0), ("a.>.b", 2), (">.>", 0), ("*.>.*", 2)] {
        assert_eq!(pattern_error_of(text).position(), position, "{text:?}");
    }
}

#[test]
fn different_faults_have_different_kinds_and_say_what_is_wrong() {
    for (text, kind) in [
        ("", TopicErrorKind::Empty),
        ("a b", TopicErrorKind::Character(' ')),
        (&"x".repeat(1025), TopicErrorKind::TooLong),
        (&["t"; 33].join("."), TopicErrorKind::TooManyTokens),
        ("a.*", TopicErrorKind::Wildcard),
        ("a..b", TopicErrorKind::EmptyToken),
    ] {
        assert_eq!(error_of(text).kind(), kind, "{text:?}");
    }
    assert_eq!(pattern_error_of("a.>.b").kind(), TopicErrorKind::RestNotLast);
    for text in ["a..b", "a.b c", "a.*"] {
        let error = error_of(text);
        let said = error.to_string();
        assert!(
            said.contains(&error.position().to_string()),
            "{said:?} should name byte {}",
            error.position()
        );
        let _: &dyn std::error::Error = &error;
    }
}

#[test]
fn parsing_random_text_agrees_with_the_written_rules() {
    let mut random = fastrand::Rng::with_seed(1);
    let alphabet = ['a', 'b', '.', '.', '*', '>', ' ', 'é', '\n', 'z'];
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let length = random.usize(0..10);
        let text: String = (0..length).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
        let tokens = tokens(&text);
        let plain = tokens.iter().all(|token| !token.is_empty() && !token.contains([' ', '\n']));
        let topic = plain && !tokens.iter().any(|token| ["*", ">"].contains(token));
        let pattern = plain && !tokens[..tokens.len() - 1].contains(&">");
        assert_eq!(Topic::parse(&text).is_ok(), topic, "topic {text:?}");
        assert_eq!(Pattern::parse(&text).is_ok(), pattern, "pattern {text:?}");
        if let Err(error) = Topic::parse(&text) {
            assert!(text.is_char_boundary(error.position()), "{text:?}: {error}");
            refused += 1;
        } else {
            accepted += 1;
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

fn matches(pattern: &str, topic: &str) -> bool {
    Pattern::parse(pattern).unwrap().matches(&Topic::parse(topic).unwrap())
}

#[test]
fn the_rules_of_nats() {
    assert!(matches("a", "a"));
    assert!(!matches("a", "b"));
    assert!(!matches("a", "a.b"));
    assert!(!matches("a.b", "a"));
    assert!(matches("*", "a"));
    assert!(!matches("*", "a.b"));
    assert!(matches("a.*", "a.b"));
    assert!(!matches("a.*", "a"));
    assert!(!matches("a.*", "a.b.c"));
    assert!(!matches("a.*.c", "a.b.b.c"));
    assert!(matches("*.b", "a.b"));
    assert!(matches("a.*.c", "a.b.c"));
    assert!(matches(">", "a"));
    assert!(matches(">", "a.b.c"));
    assert!(matches("a.>", "a.b"));
    assert!(matches("a.>", "a.b.c.d"));
    assert!(!matches("a.>", "a"), "`>` stands for one token or more");
    assert!(!matches("a.>", "b.c"));
    assert!(matches("*.>", "a.b"));
    assert!(!matches("*.>", "a"));
    assert!(matches("fo*", "fo*"));
    assert!(!matches("fo*", "foo"), "`fo*` is a literal");
    assert!(!matches("fo>", "foo"));
    assert!(!matches("fo*", "fo"));
    assert!(!matches("A", "a"));
}

fn tokens(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

/// The rules once more, in the plainest way.
fn naive_match(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", pattern @ ..], [_, topic @ ..]) => naive_match(pattern, topic),
        ([first, pattern @ ..], [token, topic @ ..]) => {
            first == token && naive_match(pattern, topic)
        }
        _ => false,
    }
}

fn random_topic(random: &mut fastrand::Rng) -> String {
    let tokens: Vec<_> =
        (0..random.usize(1..6)).map(|_| ["a", "b", "ab"][random.usize(0..3)]).collect();
    tokens.join(".")
}

fn random_pattern(random: &mut fastrand::Rng) -> String {
    let mut tokens: Vec<_> = (0..random.usize(1..6))
        .map(|_| ["a", "b", "ab", "*", "*", "a*"][random.usize(0..6)])
        .collect();
    if random.u8(0..3) == 0 {
        tokens.pop();
        tokens.push(">");
    }
    tokens.join(".")
}

#[test]
fn a_pattern_agrees_with_a_naive_matcher() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut matched = 0;
    for _ in 0..50_000 {
        let (pattern, topic) = (random_pattern(&mut random), random_topic(&mut random));
        let expected = naive_match(&tokens(&pattern), &tokens(&topic));
        assert_eq!(matches(&pattern, &topic), expected, "pattern {pattern:?}, topic {topic:?}");
        matched += usize::from(expected);
    }
    assert!(matched > 1000, "only {matched} matches");
}

/// The router is not the pattern: subscriptions come and go, publishers with cached routes see it.
#[test]
fn the_router_agrees_with_a_naive_matcher_while_subscriptions_come_and_go() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<u64>::new();
        let mut publishers = [broker.publisher(), broker.publisher()];
        let mut subscriptions = Vec::new();
        for number in 0..60_u64 {
            match random.u8(0..4) {
                0 => {
                    let pattern = random_pattern(&mut random);
                    let subscription =
                        broker.subscribe(&Pattern::parse(&pattern).unwrap()).unwrap();
                    subscriptions.push((pattern, subscription));
                }
                1 if !subscriptions.is_empty() => {
                    subscriptions.swap_remove(random.usize(0..subscriptions.len()));
                }
                _ => {
                    let name = random_topic(&mut random);
                    let publisher = &mut publishers[random.usize(0..2)];
                    let receipt =
                        publisher.try_publish(&Topic::parse(&name).unwrap(), number).unwrap();
                    let mut expected = 0;
                    for (pattern, subscription) in &mut subscriptions {
                        if naive_match(&tokens(pattern), &tokens(&name)) {
                            expected += 1;
                            let Ok(Delivery::Message(message)) = subscription.try_recv() else {
                                panic!("seed {seed}: {pattern:?} did not get {name:?}");
                            };
                            assert_eq!(*message, number, "seed {seed}");
                            assert_eq!(message.topic().as_str(), name, "seed {seed}");
                        }
                        assert!(
                            subscription.try_recv().is_err(),
                            "seed {seed}: {pattern:?} got too much of {name:?}"
                        );
                    }
                    assert_eq!(receipt.matched, expected, "seed {seed}: {name:?}");
                }
            }
        }
    }
}

/// Topics that are used once share what is known of their siblings, which every subscription that
/// begins or ends may change: with wildcards, to one of them, or to what lies below one.
#[test]
fn topics_that_are_used_once_reach_whom_they_match_while_subscriptions_come_and_go() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<u64>::new();
        let mut publishers = [broker.publisher(), broker.publisher()];
        let mut subscriptions: Vec<(String, Subscription<u64>)> = Vec::new();
        for number in 0..200_u64 {
            if random.u8(0..8) == 0 {
                let next = number + random.u64(0..9);
                let pattern = match random.u8(0..8) {
                    0..3 => "in.a.*".to_owned(),
                    3 => "in.*.*".to_owned(),
                    4 => ">".to_owned(),
                    5 => "in.b.>".to_owned(),
                    6 => format!("in.a.{next}"),
                    _ => format!("in.a.{next}.below"),
                };
                let subscription = broker.subscribe(&Pattern::parse(&pattern).unwrap()).unwrap();
                subscriptions.push((pattern, subscription));
            }
            if random.u8(0..12) == 0 && !subscriptions.is_empty() {
                subscriptions.swap_remove(random.usize(0..subscriptions.len()));
            }
            // Now and then one is used again, and has a route of its own from then on.
            let last = number - u64::from(random.u8(0..10) == 0 && number > 0);
            let name = format!("in.{}.{last}", ["a", "b"][usize::from(random.u8(0..4) == 0)]);
            let publisher = &mut publishers[usize::from(random.u8(0..4) == 0)];
            let topic = Topic::parse(&name).unwrap();
            let mut batch = vec![number];
            let together = publisher.publish_siblings(std::slice::from_ref(&topic), &mut batch);
            let receipt = match random.bool().then(|| block_on(together).unwrap()) {
                Some((1, receipt)) => receipt,
                _ => publisher.try_publish(&topic, number).unwrap(),
            };
            let matching =
                subscriptions.iter().filter(|(it, _)| naive_match(&tokens(it), &tokens(&name)));
            assert_eq!(receipt.matched, matching.count() as u64, "seed {seed}: {name}");
            // Otherwise several lie ready, of several topics.
            if random.bool() {
                continue;
            }
            for (pattern, subscription) in &mut subscriptions {
                let mut before = None;
                while let Ok(Delivery::Message(message)) = subscription.try_recv() {
                    let topic = message.topic().as_str();
                    assert!(naive_match(&tokens(pattern), &tokens(topic)), "seed {seed}: {topic}");
                    let of: u64 = tokens(topic)[2].parse().unwrap();
                    assert!(of == *message || of + 1 == *message, "seed {seed}: {topic} {number}");
                    assert_eq!(topic, message.to_message().topic().as_str());
                    before = Some(before.map_or(*message, |before: u64| before.max(*message)));
                }
                assert!(before.is_none_or(|before| before <= number));
            }
        }
        for (pattern, subscription) in &subscriptions {
            let books = subscription.books();
            assert_eq!(books.offered, books.received + books.queued, "seed {seed}: {pattern}");
        }
    }
}

/// A batch is of one topic, however many lie ready.
#[test]
fn topics_that_are_used_once_come_in_order_each_in_a_batch_of_its_own() {
    let broker = Broker::<usize>::new();
    let mut subscription = broker.subscribe(&Pattern::parse("in.*").unwrap()).unwrap();
    let mut publisher = broker.publisher();
    let sizes = [1, 1, 1, 3, 1, 2, 2, 1];
    let mut next = 0;
    for (number, size) in sizes.into_iter().enumerate() {
        let topic = Topic::parse(&format!("in.{number}")).unwrap();
        let mut batch: Vec<_> = (next..next + size).collect();
        next += size;
        assert_eq!(publisher.try_publish_batch(&topic, &mut batch).unwrap().queued, size as u64);
    }
    next = 0;
    for (number, size) in sizes.into_iter().enumerate() {
        let Ok(BatchDelivery::Batch(batch)) = subscription.try_recv_batch() else {
            panic!("nothing was missed")
        };
        assert_eq!(batch.topic().as_str(), format!("in.{number}"));
        assert!(batch.iter().copied().eq(next..next + size), "{batch:?}");
        next += size;
    }
    assert!(subscription.try_recv_batch().is_err());
}

/// Those whose turn it is to be used once go together, up to the first that was used before or is
/// no sibling; whoever asks for it gets them together.
#[test]
fn siblings_that_are_used_once_are_published_together() {
    let broker = Broker::<usize>::new();
    let mut each = broker.subscribe(&Pattern::parse("in.>").unwrap()).unwrap();
    let mut mixed = broker.mailbox("mixed").open().unwrap();
    let _ = mixed.subscribe(&Pattern::parse("in.>").unwrap()).unwrap();
    let names = ["in.1", "in.2", "in.3", "in.4", "in.5", "in.3", "in.6", "in.7", "in.b.8", "in.9"];
    let topics: Vec<_> = names.iter().map(|name| Topic::parse(name).unwrap()).collect();
    let (mut publisher, mut batch) = (broker.publisher(), (0..names.len()).collect::<Vec<_>>());
    let mut taken = Vec::new();
    while !batch.is_empty() {
        let at = names.len() - batch.len();
        let (count, receipt) =
            block_on(publisher.publish_siblings(&topics[at..], &mut batch)).unwrap();
        assert_eq!(receipt.queued, 2 * count as u64);
        if count == 0 {
            let _ = publisher.try_publish(&topics[at], batch.remove(0)).unwrap();
        }
        taken.push(count);
    }
    // The first says that there are siblings, and so does the first elsewhere.
    assert_eq!(taken, [0, 4, 0, 2, 0, 1]);
    for (number, name) in names.iter().enumerate() {
        let Ok(BatchDelivery::Batch(batch)) = each.try_recv_batch() else { panic!("{name}") };
        assert_eq!(
            (batch.topic().as_str(), batch.len(), batch.payload(0)),
            (*name, 1, Some(&number))
        );
    }
    let (mut next, mut sizes) = (0, Vec::new());
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(delivery)) = mixed.poll_recv_mixed(&mut context) {
        let MailboxDelivery::Batch(_, batch) = delivery else { panic!("nothing was missed") };
        for index in 0..batch.len() {
            assert_eq!(batch.payload(index), Some(&next));
            assert_eq!(batch.topic_of(index), Some(&topics[next]));
            next += 1;
        }
        assert_eq!(batch.topic_of(batch.len()), None);
        sizes.push(batch.len());
    }
    assert_eq!((next, sizes), (names.len(), vec![1, 4, 1, 2, 1, 1]));
    assert!(block_on(publisher.publish_siblings(&topics, &mut Vec::new())).unwrap().0 == 0);
}

/// What is published to one that another publisher remembers counts for it.
#[test]
fn a_topic_with_a_route_is_counted_though_its_siblings_are_used_once() {
    let broker = Broker::<u8>::new();
    let _subscription = broker.subscribe(&Pattern::parse("in.*").unwrap()).unwrap();
    let topic = |number: u32| Topic::parse(&format!("in.{number}")).unwrap();
    let (mut once, mut often) = (broker.publisher(), broker.publisher());
    for number in 0..4 {
        let _ = once.try_publish(&topic(number), 0).unwrap();
    }
    assert_eq!(broker.topic_stats().len(), 0, "no topic is remembered");
    for _ in 0..2 {
        let _ = often.try_publish(&topic(9), 0).unwrap();
    }
    assert_eq!(once.try_publish(&topic(9), 0).unwrap().queued, 1);
    let counted: Vec<_> =
        broker.topic_stats().into_iter().map(|it| (it.topic, it.published)).collect();
    assert_eq!(counted, [(topic(9), 2)], "the first is the one that makes it remembered");
}

#[test]
fn literal_topics_reach_patterns_whenever_they_came() {
    let broker = Broker::<u8>::new();
    let subscribe = |pattern: &str| broker.subscribe(&Pattern::parse(pattern).unwrap()).unwrap();
    let (mut one, mut apart) = (subscribe("a.*"), subscribe("a.b"));
    let mut publisher = broker.publisher();
    let topic = Topic::literal("a.*").unwrap();
    // More often than it takes for the route of another topic to be remembered.
    for number in 0..4 {
        let _ = publisher.publish_blocking(&topic, number).unwrap();
    }
    let mut late = subscribe(">");
    let _ = publisher.publish_blocking(&topic, 4).unwrap();
    let heard = |subscription: &mut Subscription<u8>| -> Vec<u8> {
        std::iter::from_fn(|| subscription.try_recv().ok()?.message().map(|message| *message))
            .collect()
    };
    assert_eq!(
        (heard(&mut one), heard(&mut apart), heard(&mut late)),
        (vec![0, 1, 2, 3, 4], vec![], vec![4])
    );
}
