//! A session's answers and actions, line by line.

use super::super::permissions::{ResponseRule, Rules};
use super::*;
use crate::codec::nats::{Parser, ParserLimits};
use bytes::BytesMut;
use fanfare::{Broker, Mailbox, WhenFull};
use std::time::Duration;

/// A session, and a broker that it subscribes to, as the server does it.
struct Client {
    session: Session,
    parser: Parser,
    mailbox: Mailbox<u8>,
    _broker: Broker<u8>,
}

impl Client {
    fn new(limits: SessionLimits) -> Self {
        let mut parser = Parser::new(ParserLimits::default());
        parser.allow_headers(true);
        let broker = Broker::new();
        let mailbox = broker.mailbox("test").open().unwrap();
        Self { session: Session::new(limits), parser, mailbox, _broker: broker }
    }

    fn quiet() -> Self {
        let mut client = Self::new(OPEN);
        client.says(
            r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
        );
        client
    }

    /// The actions that some lines cause, in short.
    fn says(&mut self, lines: &str) -> Vec<String> {
        let mut buffer = BytesMut::from(format!("{}\r\n", lines.replace('\n', "\r\n")).as_str());
        let mut said = Vec::new();
        loop {
            let mut actions = Vec::new();
            match self.parser.next(&mut buffer) {
                Ok(None) => return said,
                Ok(Some(operation)) => self.session.handle(operation, &mut actions),
                Err(error) => self.session.mistake(error, &mut actions),
            }
            while !actions.is_empty() {
                for action in std::mem::take(&mut actions) {
                    said.push(self.told(action, &mut actions));
                }
            }
            if said.last().is_some_and(|last| last.starts_with("end")) {
                return said;
            }
        }
    }

    fn answer(&mut self, request: (&Block, usize), answer: &Value, then: &mut Vec<Action>) {
        let subscriber = self.mailbox.subscriber();
        let reply = self.session.answer(request, answer, |topic| subscriber.first_match(topic));
        then.extend(reply.map(Action::Reply));
    }

    fn told(&mut self, action: Action, then: &mut Vec<Action>) -> String {
        match action {
            Action::Reply(reply) => {
                let mut out = Vec::new();
                reply.append(&mut out);
                String::from_utf8(out).unwrap().trim_end().replace("\r\n", "|")
            }
            Action::Publish { topic, messages, .. } => format!("publish {topic} {messages:?}"),
            Action::PublishSiblings(_, topics) => format!("publish {topics:?}"),
            Action::Lost(_) => "lost".to_owned(),
            Action::PublishAnswer(topic, block, index) => {
                let is_answer = topic.as_str() == "r";
                self.session.publish_if(is_answer, topic, (&block, index), then);
                "answer?".to_owned()
            }
            Action::NobodyGets(block, index) => {
                let subscriber = self.mailbox.subscriber();
                let find = |topic: &Topic| subscriber.first_match(topic);
                let reply = self.session.no_responders(&block, index, find);
                then.extend(reply.map(Action::Reply));
                "nobody".to_owned()
            }
            Action::Answer(answer, block, index) => {
                self.answer((&block, index), &answer, then);
                "answer".to_owned()
            }
            Action::SetPolicy(request, block, index) => {
                self.session.policy_set(&request);
                self.answer((&block, index), &request.granted(0), then);
                format!("{:?}: {}", request.target, request.policy.when_full.name())
            }
            Action::Subscribe { sid, pattern, group, except, policy } => {
                let id = match &group {
                    Some(group) => self.mailbox.subscribe_in_group(&pattern, group).unwrap(),
                    None => self.mailbox.subscribe(&pattern).unwrap(),
                };
                self.session.subscribed(&sid, id, then);
                let filtered = if except.is_some() { " filtered" } else { "" };
                let policy = policy.map(|policy| format!(" {}", policy.when_full.name()));
                let policy = policy.unwrap_or_default();
                format!(
                    "subscribe {pattern}{}{filtered}{policy}",
                    group.map(|group| format!(" in {group}")).unwrap_or_default()
                )
            }
            Action::Unsubscribe(id) => format!("unsubscribe {}", self.mailbox.unsubscribe(id)),
            Action::Limit(_, max) => format!("limit {max}"),
            Action::Admit(credentials) => {
                match credentials.password.as_deref() == Some("right") {
                    true => self.session.admitted(Arc::default(), then),
                    false => self.session.refused(then),
                }
                "admit".to_owned()
            }
            Action::Connected => "connected".to_owned(),
            Action::TellConnected => "tell".to_owned(),
            Action::End(why) => format!("end: {why}"),
        }
    }
}

const OPEN: SessionLimits = SessionLimits {
    subscriptions: 3,
    authentication_required: false,
    version: NatsVersion::V2_15,
    policy: PolicyBounds {
        queue_messages: 9,
        queue_bytes: 9_999,
        wait: Duration::ZERO,
        when_full: WhenFull::DropNewest,
    },
};
const CLOSED: SessionLimits = SessionLimits { authentication_required: true, ..OPEN };

#[test]
fn everything_gets_an_ok_until_a_client_says_otherwise() {
    let mut client = Client::new(OPEN);
    assert_eq!(client.says("CONNECT {}"), ["connected", "+OK"]);
    assert_eq!(client.says("SUB a 1"), ["subscribe a", "+OK"]);
    assert_eq!(client.says("SUB b 1"), ["+OK"], "the first subject stays");
    // The answer comes before the message, of each of them.
    let two = client.says("PUB a 1\nx\nPUB a 1\ny");
    assert_eq!(two, ["+OK", "publish a 0..1", "+OK", "publish a 1..2"]);
    assert_eq!(client.says("UNSUB 1"), ["unsubscribe true", "+OK"]);
    assert_eq!(client.says("UNSUB 1"), ["+OK"]);
    assert_eq!(client.says("SUB a..b 2"), ["-ERR 'Invalid Subject'"], "and no +OK");
    assert_eq!(client.says("PING"), ["PONG"], "and no +OK");
    assert_eq!(client.says("CONNECT {\"verbose\":false}"), ["connected"]);
    assert_eq!(client.says("SUB a 1"), ["subscribe a"]);
}

#[test]
fn messages_in_a_row_are_one_publish_for_a_quiet_client() {
    let mut client = Client::quiet();
    assert_eq!(
        client.says("PUB a 1\nx\nPUB a 1\ny\nPUB b 0\n"),
        ["publish a 0..2", "publish b 0..1"]
    );
    assert_eq!(client.says("PONG\n+OK\nINFO {}"), [""; 0]);
}

#[test]
fn pedantic_clients_are_told_of_subjects_and_published_for_all_the_same() {
    let mut client = Client::new(OPEN);
    client.says("CONNECT {\"verbose\":false}");
    assert_eq!(client.says("PUB a..b 0\n"), ["-ERR 'Invalid Publish Subject'", "nobody"]);
    assert_eq!(Client::quiet().says("PUB a..b 0\n"), ["nobody"]);
}

#[test]
fn subjects_too_long_for_a_topic_are_refused_to_both_sides_alike() {
    for subject in ["x".repeat(1025), ["x"; 33].join(".")] {
        let violation =
            |of: &str| format!("-ERR 'Permissions Violation for {of} to \"{subject}\"'");
        let mut clients = [Client::new(OPEN), Client::quiet()];
        for client in &mut clients {
            let said = client.says(&format!("PUB {subject} 0\n"));
            assert_eq!(said, ["lost".to_owned(), violation("Publish")]);
            assert_eq!(client.says(&format!("SUB {subject} 1")), [violation("Subscription")]);
        }
        let invalid = Client::quiet().says(&format!("SUB {subject}. 1"));
        assert_eq!(invalid, ["-ERR 'Invalid Subject'"]);
    }
    let most = format!("{}.{}", ["x"; 31].join("."), "y".repeat(962));
    assert_eq!(Client::quiet().says(&format!("SUB {most} 1")), [format!("subscribe {most}")]);
}

#[test]
fn a_client_is_told_once_that_it_has_connected_if_it_understands_that() {
    let mut client = Client::quiet();
    assert_eq!(client.says("PING"), ["PONG"], "protocol 0");
    let mut client = Client::new(OPEN);
    assert_eq!(client.says("PING"), ["PONG"], "before CONNECT");
    client.says(r#"CONNECT {"protocol":1,"verbose":false}"#);
    assert_eq!(client.says("PING\nPING"), ["PONG", "tell", "PONG"]);
    let mut client = Client::quiet();
    client.says(r#"CONNECT {"protocol":1}"#);
    assert_eq!(client.says("PING\nPING"), ["PONG", "tell", "PONG"], "with the second CONNECT");
    let mut client = Client::new(SessionLimits { version: NatsVersion::V2_9, ..OPEN });
    client.says(r#"CONNECT {"protocol":1,"verbose":false}"#);
    assert_eq!(client.says("PING"), ["PONG"]);
}

#[test]
fn a_wrong_connect_ends_the_connection() {
    for (json, text) in [
        (r#"{"account":"x"}"#, "Authorization Violation"),
        (r#"{"protocol":2}"#, "invalid client protocol"),
        (r#"{"protocol":-1}"#, "invalid client protocol"),
        (r#"{"no_responders":true}"#, "no responders requires headers support"),
    ] {
        let said = Client::new(OPEN).says(&format!("CONNECT {json}"));
        assert_eq!(said, [format!("-ERR '{text}'"), format!("end: {text}")]);
    }
    assert_eq!(Client::new(OPEN).says("CONNECT {"), ["end: bad CONNECT"]);
    assert_eq!(Client::new(OPEN).says("PUB a b c d"), ["end: protocol violation"]);
    let unknown = ["-ERR 'Unknown Protocol Operation'", "end: Unknown Protocol Operation"];
    assert_eq!(Client::new(OPEN).says("HELLO"), unknown);
}

#[test]
fn a_client_that_must_authenticate_can_do_nothing_before() {
    let mut client = Client::new(CLOSED);
    assert!(!client.session.is_admitted());
    let right = r#"CONNECT {"verbose":false,"pass":"right"}"#;
    assert_eq!(client.says(right), ["admit", "connected"]);
    assert!(client.session.is_admitted());
    assert_eq!(
        client.says("CONNECT {}"),
        ["admit", "connected"],
        "what it said before still counts"
    );
    let refused = ["admit", "-ERR 'Authorization Violation'", "end: Authorization Violation"];
    assert_eq!(client.says(r#"CONNECT {"pass":"wrong"}"#), refused);
}

#[test]
fn permissions_hold_for_messages_and_subscriptions() {
    let rules = |allow: &[&str], deny: &[&str]| {
        let patterns =
            |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        Rules::new((!allow.is_empty()).then(|| patterns(allow)), patterns(deny))
    };
    let permissions = Permissions {
        publish: rules(&["foo.*"], &["foo.x"]),
        subscribe: rules(&["s.>"], &["s.no"]),
        responses: None,
    };
    let mut client = Client::new(OPEN);
    client.says("CONNECT {}");
    assert_eq!(client.says("PUB bar 0\n"), ["+OK", "publish bar 0..1"]);
    client.session.admitted(Arc::new(permissions), &mut Vec::new());
    assert_eq!(client.says("PUB bar 0\n"), ["-ERR 'Permissions Violation for Publish to \"bar\"'"]);
    assert_eq!(
        client.says("PUB foo.x 0\n"),
        ["-ERR 'Permissions Violation for Publish to \"foo.x\"'"]
    );
    assert_eq!(client.says("PUB foo.y 0\n"), ["+OK", "publish foo.y 0..1"]);
    let both = [
        "-ERR 'Invalid Publish Subject'",
        "-ERR 'Permissions Violation for Publish to \"foo..x\"'",
    ];
    assert_eq!(client.says("PUB foo..x 0\n"), both);
    let subscription = "Permissions Violation for Subscription to";
    assert_eq!(client.says("SUB > 1"), [format!("-ERR '{subscription} \">\"'")]);
    assert_eq!(
        client.says("SUB s.no q 1"),
        [format!("-ERR '{subscription} \"s.no\" using queue \"q\"'")]
    );
    assert_eq!(client.says("SUB s.* q 1"), ["subscribe s.* in q filtered", "+OK"]);
    assert_eq!(client.says("SUB s.a 2"), ["subscribe s.a", "+OK"]);
}

#[test]
fn a_client_that_may_answer_publishes_answers_beyond_its_rules() {
    let nothing = Rules::new(Some(Vec::new()), Vec::new());
    let responses = Some(ResponseRule::default());
    let permissions = Permissions { publish: nothing, responses, ..Permissions::default() };
    let mut client = Client::new(OPEN);
    client.says(r#"CONNECT {"pedantic":false}"#);
    client.session.admitted(Arc::new(permissions), &mut Vec::new());
    assert_eq!(client.says("PUB r 0\n"), ["answer?", "+OK", "publish r 0..1"]);
    let violation = "-ERR 'Permissions Violation for Publish to \"x\"'";
    assert_eq!(client.says("PUB x 0\n"), ["answer?", violation]);
    assert_eq!(client.says("PUB x..y 0\n"), [violation.replace('x', "x..y")]);
}

#[test]
fn subscriptions_are_bounded_and_those_that_ended_make_room() {
    let mut client = Client::quiet();
    assert_eq!(
        client.says("SUB a 1\nSUB b 2\nSUB c 3"),
        ["subscribe a", "subscribe b", "subscribe c"]
    );
    assert_eq!(client.says("SUB d 4"), ["-ERR 'maximum subscriptions exceeded'"]);
    assert!(!client.session.depends_on_expiry(b"4") && !client.session.depends_on_expiry(b"1"));
    assert_eq!(client.says("UNSUB 1 5"), ["limit 5"]);
    assert_eq!(client.says("UNSUB 1 7"), ["limit 7"], "it can be raised");
    assert!(client.session.depends_on_expiry(b"4") && client.session.depends_on_expiry(b"1"));
    let id = client.session.subscriptions[&b"1"[..]].id.unwrap();
    client.session.expired(b"2", id);
    assert_eq!(client.session.subscriptions().0, 3, "it was not that one");
    client.session.expired(b"1", id);
    assert_eq!(client.says("SUB d 1"), ["subscribe d"], "the sid can be used again");
    assert_eq!(client.says("UNSUB 2"), ["unsubscribe true"]);
    client.says("UNSUB 1\nUNSUB 3");
    assert_eq!(client.session.subscriptions(), (0, 0), "nothing is counted any more");
}

#[test]
fn nobody_to_answer_is_told_where_somebody_waits_for_it() {
    let mut client = Client::quiet();
    client.says("SUB _INBOX.me.* 9\nSUB _INBOX.other g 8");
    let told = "HMSG _INBOX.me.1 9 36 36|NATS/1.0 503|Nats-Subject: a..b";
    assert_eq!(client.says("PUB a..b _INBOX.me.1 0\n"), ["nobody", told]);
    for nobody_waits in ["PUB a..b _INBOX.other 0\n", "PUB a..b x 0\n", "PUB a..b 0\n"] {
        assert_eq!(client.says(nobody_waits), ["nobody"]);
    }
    client.session.limits.version = NatsVersion::V2_9;
    let told = "HMSG _INBOX.me.1 9 16 16|NATS/1.0 503";
    assert_eq!(client.says("PUB a..b _INBOX.me.1 0\n"), ["nobody", told]);
    client.says("UNSUB 9");
    assert_eq!(client.says("PUB a..b _INBOX.me.1 0\n"), ["nobody"]);
    client.says(
        r#"SUB > 1
CONNECT {"no_responders":false}"#,
    );
    assert_eq!(client.says("PUB a..b _INBOX.me.1 0\n"), ["nobody"]);
}

#[test]
fn a_policy_holds_for_the_subscriptions_that_are_named() {
    let mut client = Client::quiet();
    let ask = |body: &str| format!("PUB $FANFARE.POLICY r {}\n{body}", body.len());
    assert_eq!(client.says("SUB r 9"), ["subscribe r"]);
    let [set, answer] = &client.says(&ask(r#"{"subject":"a","when_full":"drop_oldest"}"#))[..]
    else {
        panic!("no answer")
    };
    assert_eq!(set, "Subject(Pattern(a)): drop_oldest");
    assert!(answer.starts_with("MSG r 9 ") && answer.contains(r#""subject":"a""#), "{answer}");
    assert_eq!(client.says("SUB a 1"), ["subscribe a drop_oldest"]);
    assert_eq!(client.says("UNSUB 1\nSUB b 1"), ["unsubscribe true", "subscribe b"]);
    client.says(&ask(r#"{"sid":"1","per_second":1}"#));
    assert_eq!(client.says("UNSUB 1\nSUB b 1"), ["unsubscribe true", "subscribe b"]);
    let refused = client.says(&ask("{}")).join(" ");
    assert!(refused.contains(r#"|{"error":"name the subscription by either "#), "{refused}");
}

#[test]
fn a_request_for_a_policy_is_answered_with_or_without_a_reply_subject() {
    let mut client = Client::quiet();
    assert_eq!(client.says("PUB $FANFARE.POLICY r 2\n{}"), ["answer"]);
    assert_eq!(client.says("PUB $FANFARE.POLICY 2\n{}"), ["answer"]);
}
